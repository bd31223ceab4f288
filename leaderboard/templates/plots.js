// Pictures as SVG and as coloured tables, with the numbers in titles for those who do not see them.
const SIZE = { width: 460, height: 280, left: 52, right: 14, top: 12, bottom: 38 };

function scatter(view, rows) {
  const task = state.task === "" ? null : state.task;
  const metric = task ? metricOf(task) : null;
  const points = rows
    .map((row) => ({ name: row.name, x: row.parameters, score: task ? (row.scores[metric] ?? []) : row.mean }))
    .filter((point) => point.x > 0 && known(point.score[0]));
  if (!points.length) return null;
  const label = task ? `${DATA.metrics[metric].label} of ${task}` : "mean of main metrics";
  const xs = points.map((point) => Math.log10(point.x));
  const ys = points.flatMap((point) => point.score.slice(0, 3)).filter(known);
  const [x0, x1] = [Math.min(...xs) - 0.2, Math.max(...xs) + 0.2];
  const drawn = extent(ys);
  const gap = 0.06 * (drawn[1] - drawn[0] || 1);
  const [y0, y1] = [drawn[0] - gap, drawn[1] + gap];
  const { width, height, left, right, top, bottom } = SIZE;
  const at = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const up = (y) => height - bottom - ((within(y, [y0, y1]) - y0) / (y1 - y0)) * (height - top - bottom);
  const decades = [];
  for (let decade = Math.ceil(x0); decade <= x1; decade++) decades.push(decade);
  const ticks = [0, 1, 2, 3].map((k) => y0 + gap + (k / 3) * (y1 - y0 - 2 * gap));
  return el(
    "figure",
    { class: "scatter" },
    svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        role: "img",
        "aria-label": `${label} against learned parameters, ${points.length} submissions`,
      },
      svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
      decades.map((decade) =>
        svg("text", { x: at(decade), y: height - bottom + 16, "text-anchor": "middle" }, `1e${decade}`),
      ),
      ticks.map((tick) => svg("text", { x: left - 6, y: up(tick) + 4, "text-anchor": "end" }, number(tick))),
      svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "learned parameters"),
      points.map(({ name, x, score: [value, low, high] }) => [
        known(low) && known(high)
          ? svg("line", { class: "error", x1: at(Math.log10(x)), x2: at(Math.log10(x)), y1: up(low), y2: up(high) })
          : null,
        svg(
          "a",
          { href: address({ submission: name }) },
          svg(
            "circle",
            { class: "dot", cx: at(Math.log10(x)), cy: up(value), r: 4.5 },
            svg("title", {}, `${name}: ${number(value)}, ${x.toLocaleString("en")} parameters`),
          ),
        ),
        points.length <= 12 ? svg("text", { x: at(Math.log10(x)) + 7, y: up(value) + 4 }, name) : null,
      ]),
    ),
    el("figcaption", {}, `${label} against learned parameters, where a submission says how many they are.`),
  );
}

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function truth(task, board, entry) {
  const frame = board.points[task];
  const targets = bytes(frame.targets),
    predicted = bytes(entry.points[task]);
  const side = 180,
    edge = 30;
  const at = (byte) => edge + (byte / 255) * (side - edge - 4);
  const up = (byte) => side - edge - (byte / 255) * (side - edge - 4);
  const score = entry.scores[task][DATA.tasks[task].main] ?? [];
  return el(
    "figure",
    { class: "truth" },
    svg(
      "svg",
      {
        viewBox: `0 0 ${side} ${side}`,
        width: side,
        height: side,
        role: "img",
        "aria-label": `${task}: predictions against true values of ${targets.length} networks`,
      },
      svg("path", { class: "axis", d: `M${edge} 4V${side - edge}H${side - 4}` }),
      svg("line", { class: "diagonal", x1: at(0), y1: up(0), x2: at(255), y2: up(255) }),
      svg("text", { x: edge, y: side - edge + 13 }, number(frame.low)),
      svg("text", { x: side - 4, y: side - edge + 13, "text-anchor": "end" }, number(frame.high)),
      svg("text", { x: (edge + side) / 2, y: side - 3, "text-anchor": "middle" }, "true"),
      svg(
        "text",
        { transform: `translate(12 ${(side - edge) / 2}) rotate(-90)`, "text-anchor": "middle" },
        "predicted",
      ),
      [...targets].map((target, k) => svg("circle", { class: "dot", cx: at(target), cy: up(predicted[k]), r: 2.2 })),
    ),
    el("figcaption", {}, `${task}: ${DATA.metrics[DATA.tasks[task].main].label} ${number(score[0])}`),
  );
}

function heat(values, rowNames, columnNames, corner, text) {
  const defined = values.flat().filter(known);
  const [low, high] = [Math.min(...defined), Math.max(...defined)];
  const shade = (value) =>
    known(value)
      ? `background: rgba(var(--heat), ${(0.08 + (0.55 * (value - low)) / (high - low || 1)).toFixed(2)})`
      : null;
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "heat" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, corner),
          columnNames.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el(
        "tbody",
        {},
        values.map((line, k) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, rowNames[k]),
            line.map((value) => el("td", { style: shade(value) }, text(value))),
          ),
        ),
      ),
    ),
  );
}
