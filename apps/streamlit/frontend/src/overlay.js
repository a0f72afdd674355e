// The cursor over a chart: its rule and flag lie on narrow canvases above the drawing, so that a step moves them and the drawing stays.
//
// The view computes these marks once and draws them with no opacity; the overlay draws copies of them elsewhere, by Vega's own hand.
import { Marks } from "vega";
import { corner } from "./pick.js";

const WIDE = 80; // px of a canvas: a flag and a margin for numbers of six digits

// The marks of a compiled specification in which nothing but x follows the step of the dataset `cursor`; null when it has others, or none.
export function movingMarks(compiled) {
  const sources = derived(compiled, "cursor");
  const marks = found(compiled, (mark) => sources.has(mark.from?.data));
  if (!marks.length || !marks.every((mark) => mark.name && movesAlongX(mark.encode.update)) || scaled(compiled, sources)) return null;
  return marks.map((mark) => {
    const { update } = mark.encode;
    const opacity = update.opacity?.value ?? 1;
    update.opacity = { value: 0 };
    return { name: mark.name, scale: update.x.scale, opacity, labelled: "text" in update };
  });
}

function derived(compiled, name) {
  const names = new Set([name]);
  for (const { name: own, source } of compiled.data ?? []) if (names.has(source)) names.add(own);
  return names;
}

function found(group, wanted) {
  return (group.marks ?? []).flatMap((mark) => [...(wanted(mark) ? [mark] : []), ...found(mark, wanted)]);
}

function movesAlongX(update) {
  const { x, text, ...rest } = update;
  const fixed = Object.values(rest).every((value) => !JSON.stringify(value).match(/"field":"|datum/));
  return x?.field === "step" && typeof x.scale === "string" && fixed && (!text || JSON.stringify(text).includes("label"));
}

function scaled(group, sources) {
  const uses = (group.scales ?? []).some((scale) => [...sources].some((name) => JSON.stringify(scale.domain ?? "").includes(`"data":"${name}"`)));
  return uses || (group.marks ?? []).some((mark) => scaled(mark, sources));
}

export class Overlay {
  constructor(element, view, marks) {
    this.view = view;
    this.marks = marks;
    this.rows = view.data("cursor").map((row) => ({ step: row.step, label: row.label }));
    this.surface = element.querySelector("canvas");
    this.strips = new Map(); // left end of a plot -> its canvas
    this.surface.parentElement.style.position = "relative";
    this.place();
  }

  // The drawing has changed: look again where its plots are.
  place(rows = this.rows) {
    this.items = this.marks.map((mark) => ({ ...mark, ...scene(this.view.scenegraph().root.items[0], mark.name) })).filter((mark) => mark.item);
    this.move(rows);
  }

  move(rows) {
    this.rows = rows;
    const byPlot = groupBy(this.items, plot);
    for (const [key, strip] of this.strips) if (!byPlot.has(key) || !rows.length) strip.remove();
    if (!rows.length) return;
    for (const [key, items] of byPlot) this.draw(key, items, rows[0]);
  }

  draw(key, items, { step, label }) {
    const ratio = globalThis.devicePixelRatio || 1;
    const tall = Number.parseFloat(this.surface.style.height) || this.surface.height / ratio;
    const [left, top] = corner(this.view);
    const x = items[0].x + this.view.scale(items[0].scale)(step);
    const shift = Math.floor(left + x - WIDE / 2); // whole pixels, so that lines fall where the chart itself would draw them
    const canvas = this.strip(key, WIDE * ratio, Math.round(tall * ratio), tall);
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const mark of items) {
      context.setTransform(ratio, 0, 0, ratio, ratio * (left + mark.x - shift), ratio * (top + mark.y));
      const item = Object.assign(Object.create(Object.getPrototypeOf(mark.item)), mark.item, { opacity: mark.opacity });
      const by = this.view.scale(mark.scale)(step) - item.x;
      item.x += by;
      if (item.x2 !== undefined) item.x2 += by;
      if (mark.labelled) item.text = label;
      Marks[mark.type].draw.call(null, context, { marktype: mark.type, items: [item] }, null);
    }
    canvas.style.transform = `translateX(${shift}px)`;
  }

  strip(key, width, height, tall) {
    let canvas = this.strips.get(key);
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.className = "cursor";
      canvas.setAttribute("aria-hidden", "true");
      canvas.style.cssText = `position: absolute; left: 0; top: 0; width: ${WIDE}px; pointer-events: none;`;
      this.strips.set(key, canvas);
    }
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.style.height = `${tall}px`;
    if (!canvas.isConnected) this.surface.after(canvas);
    return canvas;
  }

  close() {
    for (const canvas of this.strips.values()) canvas.remove();
  }
}

const plot = ({ x, scale }) => `${x} ${scale}`;

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

// The item of a mark, and where the plot around it begins.
function scene(group, name, x = 0, y = 0) {
  for (const mark of group.items ?? []) {
    if (mark.name === name) return { item: mark.items[0], type: mark.marktype, x, y };
    if (mark.marktype !== "group") continue;
    for (const inner of mark.items) {
      const hit = scene(inner, name, x + (inner.x ?? 0), y + (inner.y ?? 0));
      if (hit) return hit;
    }
  }
  return null;
}
