// All about one submission: what it says of itself, its predictions, and its scores out of distribution.
const FACTS = {
  method: "method",
  version: "version",
  authors: "authors",
  description: "description",
  paper: "paper",
  code: "code",
  track: "track",
  training_data: "training data",
  validation_labels: "validation labels",
  seeds: "seeds",
  parameters: "parameters",
  hardware: "hardware",
  training_hours: "training hours",
  command: "command",
};

function fact(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([zoo, count]) => `${zoo}: ${count.toLocaleString("en")}`)
      .join("\n");
  return typeof value === "number" ? value.toLocaleString("en") : link(value);
}

function facts(one) {
  const filled = Object.entries(FACTS).filter(
    ([name]) => known(one[name]) && one[name] !== "" && one[name].length !== 0,
  );
  return el(
    "dl",
    {},
    filled.map(([name, label]) => [el("dt", {}, label), el("dd", {}, fact(one[name]))]),
  );
}

function confusion(task, { classes, counts }) {
  const share = counts.map((line) =>
    line.map(
      (count) =>
        count /
        Math.max(
          line.reduce((sum, n) => sum + n, 0),
          1,
        ),
    ),
  );
  return el(
    "figure",
    {},
    heat(share, classes, classes, "true \\ predicted", (value) => `${Math.round(100 * value)} %`),
    el("figcaption", {}, `${task}: share of each true class`),
  );
}

// Predictions are kept for the first protocol, whose boards come first; others score some of the same networks.
function predictions(name, zoo) {
  const has = (board) => board.entries.find((one) => one.submission === name);
  const board = DATA.boards.find((one) => one.zoo === zoo && has(one));
  const entry = has(board);
  return [
    el("h3", {}, `Predictions on ${zoo}`),
    el(
      "p",
      {},
      `Of up to 150 networks of the test split, the same for all submissions (protocol ${board.protocol}, first seed); outside the frame they lie on its edge.`,
    ),
    el(
      "div",
      { class: "plots" },
      Object.keys(entry.points).map((task) => truth(task, board, entry)),
      Object.entries(entry.confusion).map(([task, matrix]) => confusion(task, matrix)),
    ),
  ];
}

function transfers(name) {
  const parts = DATA.transfers.filter((one) => one.submission === name && one.protocol === state.protocol);
  if (!parts.length) return [];
  const task =
    state.task || ["accuracy", ...Object.keys(DATA.tasks)].find((one) => parts.some((part) => part.scores[one]));
  const metric =
    state.metric && DATA.metrics[state.metric].kind === DATA.tasks[task].kind
      ? state.metric
      : DATA.tasks[task].kind === "regression"
        ? "kendall_tau"
        : "accuracy";
  const cells = new Map(
    parts.map((part) => [`${part.trained_on}\n${part.zoo}`, part.scores[task]?.[metric]?.[0] ?? null]),
  );
  for (const board of DATA.boards.filter((one) => one.protocol === state.protocol)) {
    const entry = board.entries.find((one) => one.submission === name);
    if (entry) cells.set(`${board.zoo}\n${board.zoo}`, entry.scores[task]?.[metric]?.[0] ?? null);
  }
  const zoos = [...new Set(parts.flatMap((part) => [part.trained_on, part.zoo]))].sort();
  const values = zoos.map((origin) => zoos.map((zoo) => cells.get(`${origin}\n${zoo}`) ?? null));
  return [
    el("h3", {}, `Out of distribution: ${DATA.metrics[metric].label} of ${task}`),
    el("div", { class: "transfer" }, heat(values, zoos, zoos, "trained on \\ predicts", number)),
  ];
}

function showPanel() {
  const panel = byId("panel"),
    name = state.submission;
  if (name === "") {
    if (panel.open) panel.close();
    return;
  }
  const zoos = ZOOS.filter((zoo) =>
    DATA.boards.some((board) => board.zoo === zoo && board.entries.some((entry) => entry.submission === name)),
  );
  const chosen = zoos.includes(state.zoo) ? state.zoo : zoos[0];
  const pick = el(
    "select",
    { change: (event) => showPanelAt(event.target.value) },
    zoos.map((zoo) => el("option", { value: zoo, selected: zoo === chosen }, zoo)),
  );
  const place = el("div", { id: "panel-predictions" });
  const showPanelAt = (zoo) => place.replaceChildren(...predictions(name, zoo));
  panel.replaceChildren(
    el("button", { type: "button", class: "close", click: () => panel.close() }, "Close"),
    el("h2", { id: "panel-title" }, name),
    facts(DATA.submissions[name]),
    el("label", {}, "Zoo ", pick),
    place,
    ...transfers(name),
  );
  if (chosen) showPanelAt(chosen);
  if (!panel.open) panel.showModal();
}
