// Brushing: a rectangle drawn over marks of neurons or frequencies; atlas and tables of the page show only those until Escape.
import { bands } from "./bands.js";
import { marksIn } from "./pick.js";
import { store } from "./store.js";
import { element, number } from "./words.js";

const BRUSHED = ["neuron", "frequency"]; // what can be marked, the finer first
const LEAST = 6; // px; less is a click

// As text: "neuron:3-17,20;frequency:24", the finer coordinate first; the twin of `strobe.reports.brush`.
export function written(selection) {
  return Object.entries(selection).map(([name, values]) => `${name}:${spans(values).join(",")}`).join(";");
}

function spans(values) {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  const found = [];
  for (const value of sorted) {
    const last = found.at(-1);
    if (last && last[1] === value - 1) last[1] = value;
    else found.push([value, value]);
  }
  return found.map(([low, high]) => (low === high ? low : `${low}-${high}`));
}

export function read(text = "") {
  const parts = text.split(";").filter(Boolean).map((part) => part.split(":"));
  return Object.fromEntries(parts.map(([name, values]) => [name, values.split(",").flatMap(unspan)]));
}

function unspan(text) {
  const [low, high = low] = text.split("-").map(Number);
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
}

export function select(selection) {
  store.write("only", written(selection), "brush");
}

// A frequency stands for the neurons that it leads at this step, where the page knows them.
export async function selectFrequencies(frequencies, board) {
  const known = await bands(board);
  const neurons = frequencies.flatMap((k) => known?.members.get(k) ?? []);
  select(neurons.length ? { neuron: neurons, frequency: frequencies } : { frequency: frequencies });
}

// Lets a panel be brushed: drag over its marks.
export function brushable(panel) {
  const fields = panel.card.picks.filter(([, to]) => BRUSHED.includes(to));
  if (!fields.length || !store.model.frames) return; // a file holds one picture per step
  panel.chart.title = `drag over ${[...new Set(fields.map(([, to]) => to))].join(" or ")} marks: atlas and tables show only these`;
  panel.chart.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch" && panel.view) drag(panel, fields, event);
  });
}

function drag(panel, fields, down) {
  const { chart } = panel;
  const box = element("div", { className: "brush", hidden: true });
  chart.append(box);
  const frame = chart.getBoundingClientRect();
  const moved = (event) => {
    const [x, y] = [Math.min(down.clientX, event.clientX), Math.min(down.clientY, event.clientY)];
    const [wide, tall] = [Math.abs(event.clientX - down.clientX), Math.abs(event.clientY - down.clientY)];
    box.hidden = Math.max(wide, tall) < LEAST;
    Object.assign(box.style, { left: `${x - frame.left + chart.scrollLeft}px`, top: `${y - frame.top}px`, width: `${wide}px`, height: `${tall}px` });
  };
  const up = (event) => {
    document.removeEventListener("pointermove", moved);
    const far = Math.max(Math.abs(event.clientX - down.clientX), Math.abs(event.clientY - down.clientY)) >= LEAST;
    box.remove();
    if (!far) return;
    const end = (click) => click.stopPropagation(); // the end of a drag is no click; the next one, after it, is
    chart.addEventListener("click", end, { capture: true });
    setTimeout(() => {
      chart.removeEventListener("click", end, { capture: true });
      brushed(panel, fields, down, event);
    });
  };
  document.addEventListener("pointermove", moved);
  document.addEventListener("pointerup", up, { once: true });
}

function brushed(panel, fields, down, up) {
  const found = marksIn(panel.view, fields, [down, up], panel.chart.querySelector("canvas, svg"));
  if (found.neuron?.length) return select({ neuron: found.neuron });
  if (found.frequency?.length) return void selectFrequencies(found.frequency, panel.board);
}

// Says what is filtered and how many remain; a click or Escape lets go of it.
export class Chip {
  constructor(root) {
    this.root = root;
    this.stop = store.subscribe(() => this.show());
    this.keys = (event) => {
      if (event.key === "Escape" && store.cursor.only && !store.board?.root.querySelector("dialog[open]")) select({});
    };
    document.addEventListener("keydown", this.keys);
    this.show();
  }

  close() {
    this.stop();
    document.removeEventListener("keydown", this.keys);
  }

  show() {
    const text = store.cursor.only ?? "";
    if (this.shown === text) return;
    this.shown = text;
    this.root.hidden = !text;
    const leave = element("button", { type: "button", textContent: "Show all ✕ Esc", title: "let go of the selection", on: { click: () => select({}) } });
    this.root.replaceChildren(element("span", { role: "status" }, this.words(read(text))), leave);
  }

  words(selection) {
    const told = Object.entries(selection).map(([name, values]) => {
      const of = store.values(name).length;
      const which = values.length <= 6 ? values.join(", ") : `${values.length} of ${number(of)}`;
      return name === "neuron" ? `${number(values.length)} of ${number(of)} neurons` : `${name} ${which}`;
    });
    const target = store.board?.cards.filter((card) => card.narrows).length ?? 0;
    return `Filtered: ${told.join(", ")}; ${target ? `${target === 1 ? "1 panel shows" : `${target} panels show`} only these` : "no panel of this page is filtered by it"}`;
  }
}
