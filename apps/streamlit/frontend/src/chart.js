// How a chart is mounted: which expressions run, which marks the view leaves to the overlay, and pictures that are decoded before they are drawn.
import embed from "vega-embed";
import { expressionInterpreter } from "vega-interpreter";
import { movingMarks, Overlay } from "./overlay.js";
import { lazyTips, tooltip } from "./tips.js";

const MOST_PICTURES = 600;
const DECODED = 2000; // ms for a browser to decode a picture: one that draws no frames decodes none, and a chart does not wait for that
const pictures = new Map(); // url -> decoded image, least recently used first

// Expressions are compiled where the page may; under a policy that forbids it they are interpreted, which takes about three times as long.
const expressions = allowed() ? {} : { ast: true, expr: expressionInterpreter };

// To try is a violation that a policy reports, so a page may say that it need not be tried: by its own policy, or with `<html data-csp>`.
function allowed() {
  const own = document.querySelector("meta[http-equiv='Content-Security-Policy' i]")?.content;
  if ("csp" in document.documentElement.dataset || (own && /(script|default)-src/.test(own) && !own.includes("'unsafe-eval'"))) return false;
  try {
    return new Function("return true")();
  } catch {
    return false;
  }
}

// A mounted chart: its view, and the overlay that moves the cursor without drawing the chart again (null where the cursor changes more than a rule).
export class Chart {
  // `atOnce`: nothing is waited for that a browser does elsewhere, so the chart stands when the microtasks of the caller are done.
  static async mount(element, spec, datasets, renderer, atOnce = false) {
    const rows = Object.fromEntries(await Promise.all(Object.entries(datasets).map(async ([name, given]) => [name, await prepared(given, atOnce)])));
    let moving = null;
    const patch = (compiled) => {
      if (renderer === "canvas") moving = movingMarks(compiled);
      lazyTips(compiled);
      return withPictures(compiled);
    };
    const config = renderer === "canvas" ? { aria: false } : {}; // what every single mark is, is of use where marks are elements
    const options = { actions: false, renderer, logLevel: 1, patch, config, tooltip: tooltip(() => embedded.view), ...expressions };
    const embedded = await embed(element, { ...spec, datasets: rows }, options);
    if (spec.description) element.querySelector("canvas, svg")?.setAttribute("aria-label", spec.description);
    return new Chart(embedded, moving && new Overlay(element, embedded.view, moving));
  }

  constructor(embedded, overlay) {
    this.view = embedded.view;
    this.overlay = overlay;
    this.finish = () => embedded.finalize();
  }

  // New rows for some datasets, {name: rows}: one run of the view for all of them, none when the overlay can show it.
  async swap(datasets) {
    const names = Object.keys(datasets);
    if (this.overlay && names.length === 1 && names[0] === "cursor") return this.overlay.move(datasets.cursor);
    const rows = await Promise.all(names.map((name) => prepared(datasets[name])));
    names.forEach((name, i) => this.view.data(name, rows[i]));
    await this.view.runAsync();
    this.overlay?.place(datasets.cursor);
    return undefined;
  }

  // The rows that are drawn.
  rows(name) {
    return name === "cursor" && this.overlay ? this.overlay.rows : this.view.data(name);
  }

  close() {
    this.overlay?.close();
    this.finish();
  }
}

// Copies, because Vega marks the rows it is given; with their pictures, so that a map is drawn at once and never blank.
async function prepared(rows, atOnce = false) {
  const wanted = rows.some((row) => row.url) ? await Promise.all(rows.map((row) => row.url && (atOnce ? loading(row.url) : picture(row.url)))) : [];
  return rows.map((row, i) => (wanted[i] ? { ...row, picture: wanted[i] } : { ...row }));
}

async function picture(url) {
  const kept = pictures.get(url);
  if (kept) {
    pictures.delete(url);
    pictures.set(url, kept);
    return kept;
  }
  const made = loading(url);
  try {
    await Promise.race([made.decode(), new Promise((done) => setTimeout(done, DECODED))]);
  } catch {
    return null; // no picture: the mark stays empty
  }
  pictures.set(url, made);
  if (pictures.size > MOST_PICTURES) pictures.delete(pictures.keys().next().value);
  return made;
}

function loading(url) {
  const made = new Image();
  made.src = url;
  return Object.defineProperty(made, "url", { value: url, writable: true }); // Vega compares it with the mark's
}

// Image marks take the decoded picture of their row.
function withPictures(group) {
  for (const mark of group.marks ?? []) {
    if (mark.type === "image") mark.encode.update.image = { field: "picture" };
    withPictures(mark);
  }
  return group;
}
