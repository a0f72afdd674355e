// Two pinned places beside each other, and what is different between them.
import { Panel } from "./panel.js";
import { isWord, store } from "./store.js";
import { element, number } from "./words.js";

export const pinned = () => (store.pins.A && store.pins.B ? [place("A"), place("B")] : null);

function place(name) {
  const { run, ...cursor } = store.pins[name];
  return cursor;
}

export function worded(cursor) {
  return Object.entries(cursor).filter(([name]) => !isWord(name) || name === "probe").map(([name, value]) => `${name} ${name === "probe" ? value : number(value)}`).join(", ");
}

// The card at A, at B, and their difference, as panels of an overlay.
export function comparison(card, board) {
  const [a, b] = pinned();
  const minus = JSON.stringify(Object.fromEntries(Object.entries(b).filter(([name]) => !isWord(name) || name === "probe")));
  const panels = [["A", a], ["B", b], ["difference", { ...a, minus }]].map(([name, cursor]) => {
    const panel = new Panel(card, board, "svg", cursor);
    panel.element.dataset.place = name;
    panel.element.querySelector("h3").replaceChildren(name === "difference" ? "A and B, their difference" : `${card.title}, ${name}`);
    panel.element.querySelector(".how").textContent = name === "difference" ? changed(a, b) : `${name}: ${worded(cursor)}`;
    return panel;
  });
  return panels;
}

function changed(a, b) {
  const names = Object.keys({ ...a, ...b }).filter((name) => a[name] !== b[name] && (!isWord(name) || name === "probe"));
  const words = names.map((name) => `${name} ${a[name] ?? "default"} (A), ${b[name] ?? "default"} (B)`);
  return names.length ? `What differs: ${words.join("; ")}. Maps show A − B, tables B − A.` : "A and B are the same place.";
}

// What training recorded at A, at B, and B - A.
export function recorded() {
  const { steps, metrics, recorded: numbers } = store.model;
  if (!pinned()) return "";
  const [at, bt] = pinned().map((cursor) => steps.indexOf(cursor.step));
  const rows = Object.keys(metrics[at] ?? {}).map((name) => {
    const [x, y] = [numbers?.[at]?.[name], numbers?.[bt]?.[name]];
    const less = Number.isFinite(x) && Number.isFinite(y) ? signed(y - x) : "–";
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, metrics[at][name]), element("td", {}, metrics[bt]?.[name] ?? "–"), element("td", {}, less));
  });
  const head = element("tr", {}, ...["", "A", "B", "B − A"].map((text) => element("th", {}, text)));
  return rows.length ? element("table", { className: "ab" }, head, ...rows) : "";
}

function signed(value) {
  const size = Math.abs(value);
  const text = size !== 0 && size < 0.001 ? size.toExponential(1) : String(Number(size.toPrecision(3)));
  return value < 0 ? `−${text}` : `+${text}`;
}
