// One card: mounted once, its rows swapped when the cursor moves, its marks clickable, its data listed when asked for.
import { brushable } from "./brush.js";
import { Chart } from "./chart.js";
import { openDoors } from "./doors.js";
import { markNear, picked, plotOf, stepAt, stepOf, stepPlots } from "./pick.js";
import { sceneClass } from "./scenes.js";
import { settingsForm } from "./settings.js";
import { store } from "./store.js";
import { element, number, table } from "./words.js";

const SLOW = 150; // ms after which a picture of another place is dimmed

export class Panel {
  // `pin` is a cursor of its own, for a panel that does not follow the page; `atOnce` see `Chart.mount`.
  constructor(card, board, renderer = "canvas", pin = null, atOnce = false) {
    this.card = card;
    this.board = board;
    this.renderer = renderer;
    this.pin = pin;
    this.atOnce = atOnce;
    this.shown = null; // the shot that is drawn
    this.mounted = null; // the chart
    this.near = false;
    this.work = Promise.resolve();
    this.build();
  }

  get cursor() {
    return this.pin ?? store.cursor;
  }

  build() {
    const { card } = this;
    this.chart = element("div", { className: "chart" });
    this.asOf = element("p", { className: "as-of", hidden: true });
    this.details = element("details", { on: { toggle: () => this.list() } }, element("summary", {}, "data"), element("div", { className: "rows" }));
    const title = element("h3", {}, element("span", {}, String(card.number)), card.title);
    this.element = element(
      "article",
      { className: `card ${card.width}`, id: `card-${card.number}`, "data-card": card.number - 1, "data-renderer": card.renderer },
      element("header", { className: "top" }, title, this.actions()),
      element("p", { className: "how" }, card.how),
      this.chart,
      this.asOf,
      element("p", { className: "footnote" }, card.footnote),
      this.details,
      this.pin ? "" : settingsForm(card),
    );
    brushable(this);
  }

  // What else this panel opens: the details of what a click on it chooses, and itself over the whole page.
  actions() {
    const moves = [...new Set(this.card.picks.map(([, to]) => to))].filter((name) => store.values(name).length > 1);
    const found = moves.flatMap((name) => this.board.detailsOf(name, this.card).slice(0, 1).map((card) => [name, card]));
    const details = found.filter(([, card], i) => found.findIndex(([, other]) => other === card) === i);
    const go = details.map(([name, card]) =>
      element("button", {
        type: "button",
        className: "quiet",
        textContent: `${card.title} ↓`,
        title: `go to the ${name} that is chosen: ${card.title}`,
        "data-details": name,
        on: { click: () => this.board.goTo(card) },
      }),
    );
    const label = `enlarge ${this.card.title}`;
    const enlarge = element("button", { type: "button", className: "quiet enlarge", textContent: "⤢", title: "enlarge", "aria-label": label });
    enlarge.addEventListener("click", () => this.board.enlarge(this.card));
    return element("div", { className: "actions" }, ...go, this.exporting(), enlarge);
  }

  // Opens what leaves the panel: pictures, rows, SQL and Python. A file has no server that could write them.
  exporting() {
    if (!store.model.doors) return "";
    const open = () => {
      this.details.open = true;
      this.details.scrollIntoView({ block: "nearest" });
    };
    const label = `export ${this.card.title}`;
    return element("button", { type: "button", className: "quiet export", textContent: "Export", title: label, "aria-label": label, on: { click: open } });
  }

  // Show the cursor's place, if the shot is here; a picture of another place is marked as such until then.
  update() {
    if (!this.near) return Promise.resolve();
    const shot = this.board.frames.get(this.card, this.cursor);
    if (!shot) {
      this.wanted = null; // what is still being drawn is of another place by now
      this.wait(true);
      return Promise.resolve();
    }
    this.wanted = shot;
    this.work = this.work.then(() => this.draw(shot)).catch((error) => this.say(String(error)));
    return this.work;
  }

  async draw(shot) {
    if (shot !== this.wanted) return; // the cursor has moved on
    if (!same(shot, this.shown)) {
      if (shot.problem) this.say(shot.problem);
      else if (this.view && this.shown?.spec === shot.spec) await this.swap(shot);
      else await this.mount(shot);
      this.shown = shot;
      this.list();
    }
    if (shot !== this.wanted) return;
    this.wait(false);
    this.element.dataset.at = this.board.frames.key(this.card, this.cursor);
    this.asOf.hidden = shot.asOf === undefined;
    if (shot.asOf === undefined) return;
    const [own, step] = [number(shot.asOf), number(this.cursor.step)];
    this.asOf.textContent = this.card.of ? `step ${own} of ${this.card.of}` : `as of step ${own}: nothing is stored at ${step}`;
  }

  wait(on) {
    clearTimeout(this.dimming);
    this.element.setAttribute("aria-busy", String(on));
    if (on) this.dimming = setTimeout(() => this.element.classList.add("late"), SLOW);
    else this.element.classList.remove("late");
  }

  get view() {
    return this.mounted?.view ?? null;
  }

  async swap(shot) {
    const changed = Object.entries(shot.datasets).filter(([name, [key]]) => this.shown.datasets[name]?.[0] !== key);
    await this.mounted.swap(Object.fromEntries(changed.map(([name, [, rows]]) => [name, rows])));
  }

  async mount(shot) {
    const spec = this.board.frames.spec(shot.spec);
    await (spec.scene ? this.mountScene(spec, shot) : this.mountChart(spec, shot));
  }

  async mountChart(spec, shot) {
    const datasets = Object.fromEntries(Object.entries(shot.datasets).map(([name, [, rows]]) => [name, rows]));
    this.close();
    this.mounted = await Chart.mount(this.chart, spec, datasets, this.renderer, this.atOnce);
    this.plots = stepPlots(spec);
    this.chart.classList.toggle("clickable", this.plots.length > 0 || this.card.picks.length > 0);
    this.view.addEventListener("click", (event, item) => this.click(event, item));
    if (this.renderer === "svg") this.stretch();
  }

  // What is three-dimensional: it answers to data(), runAsync() and finalize() as a chart does. `camera` outlives it: what was turned stays turned.
  async mountScene(spec, shot) {
    const Scene = await sceneClass();
    const datasets = Object.fromEntries(Object.entries(shot.datasets).map(([name, [, rows]]) => [name, rows]));
    this.close();
    this.camera ??= {};
    const onPick = (row) => {
      const moved = picked({ datum: row }, this.card.picks);
      if (moved) this.go(moved, "");
    };
    const scene = new Scene(this.chart, spec, datasets, { camera: this.camera, large: this.renderer === "svg", onPick });
    this.mounted = { view: scene, rows: (name) => scene.datasets[name], swap: (changed) => swapped(scene, changed), close: () => scene.finalize() };
    this.plots = [];
  }

  // Over the whole page the drawing grows; its text and lines grow with it.
  stretch() {
    const svg = this.chart.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
    svg.style.width = "100%";
    svg.style.height = "100%";
    svg.style.maxHeight = "calc(100vh - 190px)";
  }

  click(event, item) {
    if (item?.datum?.door && store.model.address) return void location.assign(item.datum.door); // the panel behind a cell
    const surface = this.chart.querySelector("canvas, svg");
    const { picks } = this.card;
    const hit = picked(item, picks) ? item : picks.length ? markNear(this.view, picks, event, surface) : null;
    if (hit) return void this.go(picked(hit, picks), plotOf(hit));
    const [step, plot] = stepAt(this.view, this.plots, event, surface) ?? [];
    if (step !== undefined) this.go({ step }, plot);
  }

  // Steps of a chart are the page's own unless its runs are aligned: then they are those at which its run stands at the same aligned step.
  go({ step, ...moved }, plot) {
    const here = step === undefined ? null : stepOf(step, plot, this.card.clocks);
    store.go(here === null ? moved : { ...moved, step: here });
  }

  say(problem) {
    this.close();
    this.chart.replaceChildren(element("p", { className: "problem", textContent: problem }));
    this.wait(false);
  }

  close() {
    this.mounted?.close();
    this.mounted = null;
    this.chart.replaceChildren();
  }

  // The data behind the chart, as tables.
  list() {
    if (!this.details.open || !this.shown) return;
    openDoors(this);
    const sets = Object.entries(this.shown.datasets ?? {}).filter(([name, [, rows]]) => !/^(cursor|room|axes|ramp)/.test(name) && rows.length);
    this.details.querySelector(".rows").replaceChildren(...sets.map(([name, [, rows]]) => table(name, rows)));
  }
}

function same(a, b) {
  if (a === b) return true;
  if (!a || !b || a.problem || b.problem || a.spec !== b.spec) return false;
  const names = Object.keys(a.datasets);
  return names.length === Object.keys(b.datasets).length && names.every((name) => a.datasets[name][0] === b.datasets[name]?.[0]);
}

function swapped(scene, datasets) {
  for (const [name, rows] of Object.entries(datasets)) scene.data(name, rows);
  return scene.runAsync();
}
