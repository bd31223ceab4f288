// What is shown lies in the address: #zoo=tetris-zoo/seed&task=accuracy&sort=r2.desc. What is not there is as in DEFAULTS.
const DATA = JSON.parse(byId("payload").textContent);
const ZOOS = Object.keys(DATA.zoos);
const PROTOCOLS = [...new Set(DATA.boards.map((board) => board.protocol))];
const TRACKS = ["standard", "open", "all"];
const DEFAULTS = {
  zoo: ZOOS.length === 1 ? ZOOS[0] : "",
  task: "",
  metric: "",
  protocol: PROTOCOLS[0],
  track: "standard",
  q: "",
  sort: "",
  submission: "",
};
const KNOWN = {
  zoo: (value) => value === "" || ZOOS.includes(value),
  task: (value) => value === "" || Object.hasOwn(DATA.tasks, value),
  metric: (value) => value === "" || Object.hasOwn(DATA.metrics, value),
  protocol: (value) => PROTOCOLS.includes(value),
  track: (value) => TRACKS.includes(value),
  q: () => true,
  sort: (value) => value === "" || /^.+\.(asc|desc)$/.test(value),
  submission: (value) => value === "" || Object.hasOwn(DATA.submissions, value),
};

function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  const read = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = given.get(name);
    if (value !== null && KNOWN[name](value)) read[name] = value;
  }
  return read;
}

let state = readState();

function address(changed) {
  const next = { ...state, ...changed };
  const query = new URLSearchParams(Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name]));
  return "#" + query.toString().replaceAll("%2F", "/");
}

function change(changed, push = false) {
  const url = location.href.split("#")[0] + address(changed);
  history[push ? "pushState" : "replaceState"](null, "", url);
  become({ ...state, ...changed });
}

// The table is left alone where only the panel opens or closes: focus returns to where it was.
function become(next) {
  const before = JSON.stringify({ ...state, submission: "" });
  state = next;
  if (JSON.stringify({ ...next, submission: "" }) === before) showPanel();
  else render();
}
