// The controls, and drawing everything anew when they or the address change.
function options(id, choices) {
  const nodes = choices.map(([value, label]) => el("option", { value, selected: value === state[id] }, label));
  byId(id).replaceChildren(...nodes);
}

function shownTasks() {
  const boards = state.zoo === "" ? DATA.boards : boardsOf(state.zoo);
  const here = new Set(boards.flatMap((board) => board.tasks));
  return Object.keys(DATA.tasks).filter((task) => here.has(task));
}

function controls() {
  const tasks = shownTasks();
  if (state.task !== "" && !tasks.includes(state.task)) state.task = "";
  const kinds = new Set((state.task === "" ? tasks : [state.task]).map((task) => DATA.tasks[task].kind));
  if (state.metric !== "" && !kinds.has(DATA.metrics[state.metric].kind)) state.metric = "";
  options("zoo", [["", "all zoos"], ...ZOOS.map((zoo) => [zoo, zoo])]);
  options("task", [["", "all tasks"], ...tasks.map((task) => [task, task])]);
  const metrics = Object.entries(DATA.metrics).filter(([, metric]) => kinds.has(metric.kind));
  options("metric", [
    ["", "main (R², accuracy)"],
    ...metrics.map(([name, metric]) => [name, `${metric.label} ${metric.higher ? "↑" : "↓"}`]),
  ]);
  options(
    "protocol",
    PROTOCOLS.map((protocol) => [protocol, protocol]),
  );
  const tracks = Object.values(DATA.submissions).map((one) => one.track);
  const count = (track) => (track === "all" ? tracks.length : tracks.filter((one) => one === track).length);
  options(
    "track",
    TRACKS.map((track) => [track, `${track} (${count(track)})`]),
  );
  byId("metric").disabled = state.zoo === "" && state.task === "";
  if (byId("q").value !== state.q) byId("q").value = state.q;
}

function about(view) {
  if (!view.board) return el("p", {}, view.about);
  const { board } = view,
    zoo = DATA.zoos[board.zoo];
  return el(
    "p",
    {},
    zoo.summary,
    zoo.scale === "full" ? null : el("strong", {}, ` Scale ${zoo.scale}: not the paper's zoo.`),
    el("br"),
    `Test split, ${board.runs.toLocaleString("en")} runs, ${board.rows.toLocaleString("en")} checkpoints, protocol `,
    el("code", {}, board.protocol),
    ", labels ",
    el("code", {}, board.labels.slice(0, 12)),
    ".",
    known(board.detectable)
      ? ` Of two submissions that differ by ${number(board.detectable)} in mean skill, a test of the pair alone finds it in four cases of five (median over pairs).`
      : null,
    board.ranked ? null : " Not ranked: the runs differ in their seed alone and end alike.",
  );
}

function section(view) {
  const [rows, table] = boardTable(view);
  const extra = view.board ? [scatter(view, rows), literatureTable(view.board.zoo)] : [];
  return [rows.length, el("section", {}, el("h2", {}, view.title), about(view), table, ...extra.filter(known))];
}

function render() {
  controls();
  const views = state.zoo === "" ? [overallView()] : boardsOf(state.zoo).map(boardView);
  const parts = views.map(section);
  byId("table").replaceChildren(...parts.map(([, node]) => node));
  const shown = parts.reduce((sum, [count]) => sum + count, 0);
  const all = views.reduce((sum, view) => sum + view.rows.length, 0);
  byId("status").textContent =
    `${shown} of ${all} submissions${state.sort ? `, sorted by ${state.sort.replace(/\.asc$/, ", lowest first").replace(/\.desc$/, ", highest first")}` : ""}`;
  showPanel();
}

for (const name of ["zoo", "task", "metric", "protocol", "track"]) {
  byId(name).addEventListener("change", (event) =>
    change({ [name]: event.target.value, ...(name === "zoo" || name === "task" ? { sort: "" } : {}) }),
  );
}
byId("q").addEventListener("input", (event) => change({ q: event.target.value }));
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("panel").addEventListener("close", () => {
  if (state.submission !== "") change({ submission: "" });
});
document.addEventListener("keydown", (event) => {
  if (
    event.key !== "/" ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) ||
    byId("panel").open
  )
    return;
  event.preventDefault();
  byId("q").focus();
});
addEventListener("popstate", () => become(readState()));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("table").focus();
});
render();
