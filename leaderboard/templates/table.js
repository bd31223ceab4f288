// The boards as tables; sorting moves the rows of submissions and leaves references where they are.
function range(score, ends) {
  const [value, low, high] = score;
  if (!known(low) || !known(high)) return null;
  const width = ends[1] - ends[0] || 1;
  const at = (x) => `${((100 * (within(x, ends) - ends[0])) / width).toFixed(1)}%`;
  const wide = Math.max((100 * (within(high, ends) - within(low, ends))) / width, 1).toFixed(1);
  return el(
    "span",
    { class: "range", "aria-hidden": "true" },
    el("i", { style: `left:${at(low)};width:${wide}%` }),
    el("b", { style: `left:${at(value)}` }),
  );
}

// Scores that have no interval say why; the means of a task over zoos have none.
function cell(score, ends, why = true) {
  const [value, low, high, spread] = score;
  const interval =
    known(low) && known(high)
      ? el("span", { class: "interval" }, `[${number(low)}, ${number(high)}]`)
      : why && known(value)
        ? el("span", { class: "interval" }, "too few runs")
        : null;
  const title = known(spread) ? `standard deviation over seeds ${number(spread)}` : null;
  return el("td", { title }, number(value), interval, range(score, ends));
}

// A long name may be broken after "/" and "_".
const breakable = (label) => label.split(/(?<=[/_])/).flatMap((part, k) => (k ? [el("wbr"), part] : [part]));

function key(row, column) {
  if (column === "rank") return row.places[state.track]?.[0] ?? null;
  if (column === "name") return row.name;
  return (column === "mean" ? row.mean : row.scores[column])?.[0] ?? null;
}

// By which column, "asc" or "desc"; by the mean, best first, where nothing is chosen.
function sorting(view) {
  return state.sort.match(/^(.+)\.(asc|desc)$/)?.slice(1) ?? ["mean", view.mean.higher ? "desc" : "asc"];
}

function sorted(rows, [column, direction]) {
  const sign = direction === "asc" ? 1 : -1;
  return [...rows].sort((one, other) => {
    const a = key(one, column),
      b = key(other, column);
    if (!known(a) || !known(b)) return known(b) - known(a) || (one.name < other.name ? -1 : 1);
    return a === b ? (one.name < other.name ? -1 : 1) : sign * (a < b ? -1 : 1);
  });
}

function heading([sortedBy, direction], column, label, title, higher) {
  const best = higher ? "desc" : "asc";
  const now = sortedBy === column ? direction : null;
  const words = { asc: "ascending", desc: "descending" };
  const next = now === best ? { asc: "desc", desc: "asc" }[best] : best;
  const sort = () => {
    change({ sort: `${column}.${next}` });
    document.querySelector(`thead button[data-column="${CSS.escape(column)}"]`)?.focus();
  };
  return el(
    "th",
    { scope: "col", title, "aria-sort": words[now] },
    el("button", { type: "button", "data-column": column, click: sort }, breakable(label)),
  );
}

function place(row) {
  const found = row.places[state.track];
  if (!found) return "–";
  const [rank, low, high] = found;
  return low === high ? String(rank) : `${rank} (${low}–${high})`;
}

function named(row) {
  const one = DATA.submissions[row.name];
  const badges = [];
  if (state.track === "all" && one.track === "open") badges.push(el("span", { class: "badge" }, "open"));
  if (!row.mean.length)
    badges.push(el("span", { class: "badge", title: "does not cover everything: not ranked" }, "partial"));
  const show = () => change({ submission: row.name }, true);
  return el(
    "th",
    { scope: "row" },
    el("button", { type: "button", class: "name", click: show }, row.name),
    badges,
    el("span", { class: "about" }, `${one.method} · ${one.authors}`),
  );
}

function ends(column, rows) {
  const found = [];
  for (const row of rows) {
    const score = (column === "mean" ? row.mean : row.scores[column]) ?? [];
    if (known(score[1]) && known(score[2])) found.push(score[1], score[2]);
  }
  return found.length ? extent(found) : [0, 1];
}

function boardTable(view) {
  const by = sorting(view);
  const rows = sorted(view.rows.filter(matches), by);
  const scales = view.columns.map((column) => ends(column.key, rows)),
    means = ends("mean", rows);
  const head = el(
    "tr",
    {},
    heading(by, "rank", "#", "rank by the mean, in this track", false),
    heading(by, "name", "submission", null, false),
    heading(
      by,
      "mean",
      view.mean.label,
      "mean over targets: R² where it is above 0, and the share of errors avoided for classes",
      view.mean.higher,
    ),
    view.columns.map((column) => heading(by, column.key, column.label, column.title, column.higher)),
  );
  const body = rows.map((row) =>
    el(
      "tr",
      {},
      el("td", {}, place(row)),
      named(row),
      row.mean.length ? cell(row.mean, means, false) : el("td", {}, "partial"),
      view.columns.map((column, k) => cell(row.scores[column.key] ?? [], scales[k])),
    ),
  );
  const references = (view.references ?? []).map((row) =>
    el(
      "tr",
      {},
      el("td", {}, ""),
      el(
        "th",
        { scope: "row" },
        row.name,
        el("span", { class: "badge", title: "carried by the zoo; not ranked" }, "reference"),
      ),
      el("td", {}, ""),
      view.columns.map((column) => el("td", {}, number(row.scores[column.key][0]))),
    ),
  );
  const table = el(
    "table",
    { class: "board" },
    el("caption", { class: "unseen" }, view.title),
    el("thead", {}, head),
    el("tbody", {}, body),
  );
  if (references.length) table.append(el("tbody", { class: "references" }, references));
  return [
    rows,
    el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Scores on ${view.title}` }, table),
  ];
}

function literatureTable(zoo) {
  const rows = DATA.zoos[zoo].literature.filter(([, task]) => state.task === "" || task === state.task);
  if (!rows.length) return null;
  const lines = rows.map(([method, task, metric, value, source, url, where]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, method),
      el("td", {}, task),
      el("td", {}, DATA.metrics[metric]?.label ?? metric),
      el("td", {}, String(value)),
      el("td", {}, url ? el("a", { href: url, rel: "noopener noreferrer" }, source) : source, ", ", where),
    ),
  );
  const head = ["method", "task", "metric", "value", "source"].map((name) => el("th", { scope: "col" }, name));
  return el(
    "details",
    { class: "literature", open: state.task !== "" },
    el(
      "summary",
      {},
      `Reported in the literature on this kind of zoo (${rows.length} numbers): not re-scored, never ranked`,
    ),
    el(
      "div",
      { class: "scroll" },
      el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", { class: "references" }, lines)),
    ),
  );
}
