// The entry of both pages: the component that Streamlit mounts, and the file that opens without a server.
import { Board } from "./board.js";
import { Chip } from "./brush.js";
import { HttpFrames } from "./frames.js";
import { InlineFrames, unpacked } from "./inline.js";
import { forPaper, listenToPrint } from "./print.js";
import { isWord, store } from "./store.js";
import { listenToKeys, player, Strip, TimePanel, toggle } from "./time.js";
import { Watch } from "./watch.js";
import { element } from "./words.js";

const PAUSE = 200; // ms between two moves of one that goes on
const SETTLE = 600; // ms of rest after which Python learns where the reader is
const GONE = 1000; // ms after which something that was unmounted is not coming back
const mounts = new WeakMap();
let listening = false;

function listen() {
  if (!listening) listenToKeys();
  listening = true;
}

// --- in the app --------------------------------------------------------------------------------------------------------------------------------

export default function mount({ data, parentElement, setStateValue, setTriggerValue }) {
  listen();
  store.load(data.model);
  let held = mounts.get(parentElement);
  if (!held) mounts.set(parentElement, (held = { root: element("div", { className: `strobe ${data.kind}` }) }));
  clearTimeout(held.leaving);
  if (!held.root.isConnected) parentElement.append(held.root);
  for (const [name, value] of Object.entries(data.colours)) held.root.style.setProperty(`--${name}`, value);
  Object.assign(held, { setStateValue, setTriggerValue });
  if (data.kind === "board") mountBoard(held, data);
  else mountTime(held);
  return () => (held.leaving = setTimeout(() => unmount(held, parentElement), GONE));
}

function unmount(held, parent) {
  held.part?.close();
  held.strip?.close();
  held.watch?.close();
  held.chip?.close();
  held.leave?.();
  held.root.remove();
  mounts.delete(parent);
}

function mountBoard(held, data) {
  if (held.version === data.model.version) return; // Python ran again and nothing is different: leave everything as it is
  held.watch ??= new Watch(() => store.model, () => held.setTriggerValue("changed", Date.now()));
  held.watch.onSettled = () => held.part.again();
  const changed = () => held.watch.changed();
  const page = JSON.stringify([data.model.place, data.model.sections]);
  const { stamp } = data.model;
  const [samePage, sameResults] = [held.page === page, held.stamp === stamp];
  Object.assign(held, { version: data.model.version, page, stamp });
  if (samePage && sameResults) return void held.part.update(); // a bookmark was added
  if (samePage) return void held.part.refresh(new HttpFrames(store.model, changed));
  held.part?.close();
  const cards = element("div", { className: "sections" });
  const strip = element("div", { className: "strip", hidden: store.timeInSight !== false });
  const chip = element("div", { className: "chip", hidden: true });
  held.root.replaceChildren(chip, cards, strip);
  held.part = store.board = new Board(cards, new HttpFrames(store.model, changed));
  held.strip?.close();
  held.strip = new Strip(strip);
  held.chip?.close();
  held.chip = new Chip(chip);
  held.leave ??= tellPython(held);
  store.onTimeInSight = () => (strip.hidden = store.timeInSight !== false);
  store.openRun = (run) => location.assign(`?${addressOf({ run })}`);
  globalThis.strobe = { store, player, toggle, board: held.part, watch: held.watch }; // for the console, and for tests
}

// What stands behind "?": the page, the cursor, and whether plain charts are asked for.
function addressOf(other = {}) {
  const query = new URLSearchParams({ ...store.model.address, ...store.cursor, ...other });
  for (const [name, value] of new URLSearchParams(location.search)) if (name === "board") query.set(name, value);
  return query;
}

// The address learns of a move at once, before somebody can reload the page, but of moves in a row when they pause (to write it takes a browser longer
// than to move a chart). Python learns of the cursor when it rests, unless a link was followed meanwhile: to be told of anything
// before it has answered, it would make this page again instead of the other one.
function tellPython(held) {
  let timer, writing, last = -Infinity;
  const write = () => history.replaceState(history.state, "", `?${addressOf()}${location.hash}`);
  const send = (origin, moved) => {
    if (!Object.keys(moved).length) return;
    clearTimeout(writing);
    if (Object.keys(moved).some(isWord)) write();
    else {
      writing = setTimeout(write, performance.now() - last > PAUSE ? 0 : PAUSE);
      last = performance.now();
    }
    clearTimeout(timer);
    if (player.playing) return;
    timer = setTimeout(() => held.setStateValue("cursor", { ...store.cursor, run: store.model.run }), SETTLE);
  };
  const leaving = (event) => event.composedPath().some((node) => node.tagName === "A" && !node.hasAttribute("download")) && clearTimeout(timer);
  document.addEventListener("click", leaving, { capture: true });
  const stop = store.subscribe(send);
  writing = setTimeout(write, PAUSE); // back from another page, which had an address of its own
  return () => {
    stop();
    document.removeEventListener("click", leaving, { capture: true });
    clearTimeout(writing);
    clearTimeout(timer);
  };
}

function mountTime(held) {
  if (held.part) return;
  const save = (bookmark) => held.setTriggerValue("bookmark", { save: bookmark, run: store.model.run });
  const remove = (name) => held.setTriggerValue("bookmark", { remove: name, run: store.model.run });
  held.part = new TimePanel(held.root, { save, remove });
  const seen = (inSight) => {
    store.timeInSight = inSight; // the board may be mounted later than this is known
    store.onTimeInSight?.();
  };
  const watcher = new IntersectionObserver((entries) => seen(entries.at(-1).isIntersecting));
  watcher.observe(held.root);
  held.leave = () => {
    watcher.disconnect();
    seen(false);
  };
}

// --- in a file ---------------------------------------------------------------------------------------------------------------------------------

async function openFile(text) {
  const report = await unpacked(text);
  listen();
  store.load(report.model);
  const time = document.getElementById("time");
  new TimePanel(time);
  const sections = element("div", { className: "sections" });
  document.getElementById("board").append(sections);
  store.board = new Board(sections, new InlineFrames(report));
  store.subscribe((origin) => {
    if (origin === "settled") document.body.dataset.step = store.cursor.step; // everything in sight shows this step
  });
  listenToPrint(store.board, document.getElementById("print"));
  globalThis.strobe = { store, player, toggle, board: store.board, forPaper: () => forPaper(store.board) };
}

const report = document.getElementById("report");
if (report?.type === "application/octet-stream") openFile(report.textContent);
