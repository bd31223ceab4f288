// A score is a list: value, low, high, spread over seeds; what is undefined is null or missing.
const boardsOf = (zoo) => DATA.boards.filter((board) => board.zoo === zoo && board.protocol === state.protocol);
const largestBoard = (zoo) => boardsOf(zoo).sort((one, other) => other.entries.length - one.entries.length)[0];
const metricOf = (task) => {
  const chosen = state.metric && DATA.metrics[state.metric].kind === DATA.tasks[task].kind;
  return chosen ? state.metric : DATA.tasks[task].main;
};
const known = (value) => value !== null && value !== undefined;

function number(value) {
  if (!known(value)) return "–";
  if (Math.abs(value) >= 1e6) return value.toExponential(2);
  return Math.abs(value) >= 0.01 || value === 0 ? value.toFixed(3) : String(Number(value.toPrecision(2)));
}

// The ends of what is drawn. What is far beyond the rest would leave it no room, and stands at an end.
function extent(values) {
  const ordered = [...values].sort((one, other) => one - other);
  const at = (share) => ordered[Math.floor(share * (ordered.length - 1))];
  const room = 20 * (at(0.75) - at(0.25)) || Infinity;
  const near = ordered.filter((value) => Math.abs(value - at(0.5)) <= room);
  return [near[0], near[near.length - 1]];
}
const within = (value, [low, high]) => Math.min(Math.max(value, low), high);

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Mean over the zoos of a family, then over the families; null unless all are there.
function macro(values) {
  if (!Object.values(values).every(known)) return null;
  const families = {};
  for (const [zoo, value] of Object.entries(values)) (families[zoo.split("/")[0]] ??= []).push(value);
  return average(Object.values(families).map(average));
}

// What a table shows: columns (key, label, title, whether higher is better) and rows (name, mean, places, scores by key).
function overallView() {
  const found = DATA.overall.find((one) => one.protocol === state.protocol);
  const metric = state.task === "" ? null : DATA.metrics[metricOf(state.task)];
  const columns = found.zoos.map((zoo) => ({
    key: zoo,
    label: zoo,
    title: DATA.zoos[zoo].summary,
    higher: metric ? metric.higher : true,
  }));
  const rows = found.entries.map((entry) => ({
    name: entry.submission,
    mean: entry.mean,
    places: entry.places,
    scores: { ...entry.means },
  }));
  if (state.task === "")
    return {
      title: "All zoos",
      about:
        "Mean over each zoo's targets of skill: R² where it is above 0, and the same share of errors avoided for classes; their mean over the zoos of a family, then over the families. A zoo that a submission does not predict counts 0.",
      columns,
      rows,
      mean: { label: "mean skill", higher: true },
    };
  const name = metricOf(state.task);
  const by = Object.fromEntries(found.zoos.map((zoo) => [zoo, largestBoard(zoo)]));
  const having = columns.filter((column) => by[column.key].tasks.includes(state.task));
  for (const row of rows) {
    row.scores = Object.fromEntries(
      having.map(({ key }) => [
        key,
        by[key].entries.find((one) => one.submission === row.name)?.scores[state.task]?.[name] ?? [],
      ]),
    );
    row.mean = [macro(Object.fromEntries(having.map(({ key }) => [key, row.scores[key][0] ?? null])))].filter(known);
    row.places = {};
  }
  return {
    title: `All zoos, ${state.task}`,
    about: `${metric.label} of ${DATA.tasks[state.task].description}, and its mean over families of zoos; ranks are given for the mean over tasks.`,
    columns: having,
    rows,
    mean: { label: `mean ${metric.label}`, higher: metric.higher },
  };
}

// What is gained over predictions from the hyperparameters alone: of one task, or in the mean of those that have it.
function overColumns(board, one) {
  const has = (task) => board.entries.some((entry) => (task ? entry.over.tasks[task] : entry.over.mean.length));
  if (!has(one)) return [];
  const column = (key, label, title, of) => ({ key, label, title, higher: true, of });
  if (one === null)
    return [
      column(
        "Δ",
        "Δ hyperparameters",
        "mean skill less that of the reference that knows how networks were trained, over the tasks that it predicts",
        (over) => over.mean,
      ),
    ];
  return [
    column(
      "Δ",
      "Δ hyperparameters",
      "less the reference that knows how networks were trained, on the same runs",
      (over) => over.tasks[one]?.difference,
    ),
    column("left", "R² of the rest", "R² of what that reference leaves", (over) => over.tasks[one]?.left),
  ];
}

function boardView(board) {
  const tasks = state.task === "" ? board.tasks : board.tasks.filter((task) => task === state.task);
  const one = tasks.length === 1 && state.task !== "" ? tasks[0] : null;
  const columns = one
    ? Object.entries(DATA.metrics)
        .filter(([, metric]) => metric.kind === DATA.tasks[one].kind)
        .map(([name, metric]) => ({
          key: name,
          label: metric.label,
          title: metric.higher ? "higher is better" : "lower is better",
          higher: metric.higher,
          of: (scores) => scores[one]?.[name],
        }))
    : tasks.map((task) => ({
        key: task,
        label: task,
        title: DATA.tasks[task].description,
        higher: DATA.metrics[metricOf(task)].higher,
        of: (scores) => scores[task]?.[metricOf(task)],
      }));
  const scored = (scores) => Object.fromEntries(columns.map((column) => [column.key, column.of(scores) ?? []]));
  const gains = overColumns(board, one);
  const over = (entry) => Object.fromEntries(gains.map((column) => [column.key, column.of(entry.over) ?? []]));
  return {
    title: one ? `${board.zoo}, ${one}` : board.zoo,
    board,
    columns: [...columns, ...gains],
    rows: board.entries.map((entry) => ({
      name: entry.submission,
      mean: entry.mean,
      places: entry.places,
      scores: { ...scored(entry.scores), ...over(entry) },
      parameters: entry.parameters,
    })),
    references: Object.entries(board.references).map(([name, scores]) => ({
      name,
      scores: { ...scored(scores), ...Object.fromEntries(gains.map(({ key }) => [key, []])) },
    })),
    mean: { label: "mean skill", higher: true },
    about: null,
  };
}

function matches(row) {
  const one = DATA.submissions[row.name];
  if (state.track !== "all" && one.track !== state.track) return false;
  const text = [row.name, one.method, one.authors, one.description].join("\n").toLowerCase();
  return state.q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
