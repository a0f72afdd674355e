// The panel that is always in reach: step, play, events, coordinates, bookmarks, pins. It moves the store and shows it, nothing else.
import { bandsHere, moveInBand } from "./bands.js";
import { selectFrequencies } from "./brush.js";
import { recorded } from "./pins.js";
import { isWord, store } from "./store.js";
import { element, nearest, number } from "./words.js";

const PACE = 350; // ms a step at speed 1
const SPEEDS = [0.5, 1, 2, 4, 8];
const LIST = 30; // more values than this are typed

export const player = { playing: false, speed: 1, loop: false };

export function toggle(on = !player.playing) {
  if (on === player.playing) return;
  player.playing = on;
  store.tell("play", {});
  if (on) run();
}

// From step to step, each only when the one before is drawn. At the end it starts over, once it is asked to play again or to loop.
async function run() {
  const { steps } = store.model;
  if (store.cursor.step === steps.at(-1)) store.set({ step: steps[0] }, "play");
  while (player.playing) {
    const started = performance.now();
    await drawn();
    await new Promise((done) => setTimeout(done, Math.max(15, PACE / player.speed - (performance.now() - started))));
    if (!player.playing) return;
    if (store.cursor.step === store.model.steps.at(-1)) {
      if (!player.loop) return toggle(false);
      store.set({ step: store.model.steps[0] }, "play");
    } else store.move("step", 1, "play");
  }
}

function drawn() {
  return new Promise((done) => {
    const give = () => {
      clearTimeout(late);
      leave();
      done();
    };
    const leave = store.subscribe((origin) => origin === "settled" && give());
    const late = setTimeout(give, 2000); // a picture that does not come does not stop the show for ever
    store.board?.update();
  });
}

const KEYS = {
  ArrowLeft: (event) => store.move("step", event.shiftKey ? -10 : -1, "key"),
  ArrowRight: (event) => store.move("step", event.shiftKey ? 10 : 1, "key"),
  Home: () => store.set({ step: store.model.steps[0] }, "key"),
  End: () => store.set({ step: store.model.steps.at(-1) }, "key"),
  " ": () => toggle(),
  n: () => store.move("neuron", 1, "key"),
  p: () => store.move("neuron", -1, "key"),
  "]": () => moveInBand(1),
  "[": () => moveInBand(-1),
  b: () => moveInBand(1),
  B: () => moveInBand(-1),
};

const HELP = [
  ["← →", "one checkpoint back, on"],
  ["shift ← →", "ten"],
  ["home end", "first, last checkpoint"],
  ["space", "play, pause"],
  ["n p", "next, previous neuron"],
  ["] [", "next, previous neuron of the same band; also b and B"],
  ["esc", "let go of a selection, close what is enlarged"],
  ["drag", "over neurons or frequencies: filter atlas and tables"],
];

// Keys work wherever the reader is, except in fields that take text, and space on a button, which presses it.
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const target = event.composedPath()[0];
    if (!store.model || event.altKey || event.ctrlKey || event.metaKey) return;
    if (/^(TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable || (target.tagName === "INPUT" && target.type !== "range")) return;
    if (event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(target.tagName)) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault(); // the slider would move a second time, the page would scroll
    event.stopPropagation();
    action(event);
  }, true);
}

// Where a step lies on the slider, which counts checkpoints: between its neighbours, in proportion.
export function share(steps, step) {
  const after = steps.findIndex((s) => s >= step);
  if (after < 0 || steps.length < 2) return 1;
  const before = Math.max(after - 1, 0);
  const between = after === before ? 0 : (step - steps[before]) / (steps[after] - steps[before]);
  return (before + between) / (steps.length - 1);
}

function button(label, title, click, className = "") {
  return element("button", { type: "button", textContent: label, title, "aria-label": title, className, on: { click } });
}

export class TimePanel {
  // `save(bookmark)` and `remove(name)` are given where bookmarks can be kept.
  constructor(root, { save = null, remove = null } = {}) {
    this.root = root;
    this.save = save;
    this.remove = remove;
    this.filled = new Map(); // a part of the panel -> what it was made of
    this.stop = store.subscribe((origin) => this.changed(origin));
    this.build();
  }

  changed(origin) {
    if (origin === "settled") return void this.showBand();
    if (origin === "model") this.renew();
    else this.show(origin === "pins");
  }

  close() {
    this.stop();
  }

  // Made once: whoever drags the slider or types a name goes on doing so when there are newer results.
  build() {
    this.at = element("output", { className: "at", id: "at" });
    this.play = button("▶", "play", () => toggle(), "play");
    this.play.id = "play";
    this.of = element("span", { className: "of" });
    this.slider = element("input", { id: "step", type: "range", min: 0, step: 1, className: "step", "aria-label": "step" });
    this.slider.addEventListener("input", () => store.set({ step: store.model.steps[Number(this.slider.value)] }, "slider"));
    this.ticks = element("div", { className: "ticks", "aria-hidden": "true" });
    this.metrics = element("dl", { className: "metrics" });
    this.notes = element("div", { className: "notes", role: "status" });
    this.places = element("div", { className: "places" });
    this.band = this.makeBand();
    this.happened = element("div", {});
    this.pinned = element("div", {});
    this.kept = element("ul", {});
    const typed = element("input", { type: "number", className: "typed", "aria-label": "go to step", placeholder: "go to step" });
    typed.addEventListener("change", () => {
      if (typed.value !== "") store.set({ step: Number(typed.value) }, "typed");
      typed.value = "";
    });
    const speed = element("select", { "aria-label": "speed", title: "speed" }, ...SPEEDS.map((s) => element("option", { value: s, textContent: `${s}×`, selected: s === player.speed })));
    speed.addEventListener("change", () => (player.speed = Number(speed.value)));
    const loop = element("input", { type: "checkbox", checked: player.loop, on: { change: (event) => (player.loop = event.target.checked) } });
    this.root.replaceChildren(
      element("h2", {}, "Step"),
      element("div", { className: "now" }, this.at, this.of, this.play),
      element("div", { className: "track" }, this.ticks, this.slider),
      element("div", { className: "pace" }, typed, speed, element("label", {}, loop, "loop")),
      element("p", { className: "hint" }, "← → one checkpoint, shift ten; space plays"),
      element("details", { className: "keys" }, element("summary", {}, "all keys"), element("dl", {}, ...HELP.flatMap(([key, does]) => [element("dt", {}, key), element("dd", {}, does)]))),
      this.notes,
      this.metrics,
      this.places,
      this.band,
      this.happened,
      this.pinned,
      this.save ? element("div", {}, element("h2", {}, "Bookmarks"), this.kept, this.form()) : "",
    );
    this.renew();
  }

  // Another page, or newer results.
  renew() {
    const { steps } = store.model;
    this.slider.max = steps.length - 1;
    this.of.textContent = `of ${number(steps.at(-1))}`;
    this.show(true);
  }

  // Elements are made anew only where what they are made of is different: somebody may be about to press one.
  fill(part, from, make) {
    const key = JSON.stringify(from);
    if (this.filled.get(part) === key) return;
    this.filled.set(part, key);
    part.replaceChildren(...make());
  }

  events(events) {
    if (!events.length) return [];
    const items = events.map(({ event, step }) => this.jump(step, event, "go to the nearest checkpoint", () => store.set({ step }, "event")));
    return [element("h2", {}, "Events"), element("ul", { className: "events", id: "events" }, ...items)];
  }

  jump(step, label, title, click, ...more) {
    const go = element("button", { type: "button", title, className: "jump", on: { click } }, element("b", {}, number(Math.round(step))), element("span", {}, label));
    return element("li", {}, go, ...more);
  }

  show(everything = false) {
    const { model, cursor, notes } = store;
    const at = model.steps.indexOf(cursor.step);
    this.slider.value = at;
    this.slider.setAttribute("aria-valuetext", `step ${cursor.step}`);
    this.at.textContent = number(cursor.step);
    this.play.textContent = player.playing ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", player.playing ? "pause" : "play");
    this.play.title = this.play.getAttribute("aria-label");
    this.notes.replaceChildren(...notes.map((note) => element("p", {}, note)));
    const known = Object.entries(model.metrics[at] ?? {});
    this.metrics.replaceChildren(...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
    if (everything) this.rebuild();
    for (const field of this.places.querySelectorAll("[data-coordinate]")) field.value = cursor[field.dataset.coordinate];
    this.showBand();
  }

  makeBand() {
    this.before = button("‹", "previous neuron of this band", () => moveInBand(-1));
    this.only = button("", "show only this band in atlas and tables", () => selectFrequencies([this.frequency], store.board), "quiet");
    this.after = button("›", "next neuron of this band", () => moveInBand(1));
    return element("div", { className: "band", hidden: true }, element("span", {}, "Its band"), this.before, this.only, this.after);
  }

  // The band of the neuron: which frequency leads it at this step, and the way to the others of the same.
  showBand() {
    const known = store.board && "neuron" in store.cursor ? bandsHere(store.board) : null;
    if (!known && store.board?.settled === false) return; // its rows are on their way: nothing jumps meanwhile
    this.band.hidden = !known;
    if (!known) return;
    this.frequency = known.of.get(store.cursor.neuron);
    const neurons = known.members.get(this.frequency) ?? [];
    this.only.textContent = this.frequency === undefined ? "no frequency leads it" : `k ${this.frequency}: ${neurons.indexOf(store.cursor.neuron) + 1} of ${neurons.length}`;
    this.only.disabled = this.frequency === undefined;
    this.before.disabled = this.after.disabled = neurons.length < 2;
  }

  rebuild() {
    const { run, steps, events, bookmarks, choices, probes, version, address } = store.model;
    this.fill(this.happened, events, () => this.events(events));
    this.fill(this.ticks, [steps, events, bookmarks], () => this.marked(steps, events, bookmarks));
    const chosen = Object.entries(choices).filter(([, values]) => values.length > 1);
    this.fill(this.places, [run, choices, probes], () => [...chosen.map(([name, values]) => this.place(name, values)), this.probes()]);
    this.fill(this.pinned, [version, store.pins], () => this.pins());
    this.fill(this.kept, [address, choices, bookmarks], () => bookmarks.map((bookmark) => this.bookmark(bookmark)));
  }

  // Events and bookmarks as ticks at the slider.
  marked(steps, events, bookmarks) {
    const ticks = [...events.map((e) => [e.step, e.event, "event"]), ...bookmarks.map((b) => [b.cursor.step, b.name, "bookmark"])];
    return ticks.map(([step, title, className]) => {
      const tick = element("i", { title, className });
      tick.style.left = `${100 * share(steps, step)}%`;
      return tick;
    });
  }

  // Which inputs the results are of, where some were computed on more than one probe.
  probes() {
    const names = store.model.probes ?? [];
    const field = element("select", { "aria-label": "probe" }, ...names.map((name) => element("option", { value: name, textContent: name })));
    field.value = store.cursor.probe ?? names[0];
    field.addEventListener("change", () => store.write("probe", field.value === names[0] ? "" : field.value, "place"));
    return names.length > 1 ? element("label", { className: "place probe" }, element("span", {}, "Probe"), element("span", {}), field, element("span", {})) : "";
  }

  place(name, values) {
    const title = name[0].toUpperCase() + name.slice(1);
    const field =
      values.length > LIST
        ? element("input", { type: "number", min: values[0], max: values.at(-1), step: 1 })
        : element("select", {}, ...values.map((value) => element("option", { value, textContent: value })));
    field.dataset.coordinate = name;
    field.addEventListener("change", () => {
      store.set({ [name]: Number(field.value) }, "place");
      field.value = store.cursor[name];
    });
    const ends = `${values[0]} to ${values.at(-1)}`;
    return element("label", { className: "place", title: ends }, element("span", {}, title), button("‹", `previous ${name}`, () => store.move(name, -1)), field, button("›", `next ${name}`, () => store.move(name, 1)));
  }

  pins() {
    const held = Object.entries(store.pins);
    const set = ["A", "B"].map((name) => button(`Pin ${name}`, `keep this place as ${name}`, () => store.pin(name)));
    const jumps = held.map(([name, { run, ...cursor }]) => this.jump(cursor.step, `${name}${where(cursor)}`, "go there", () => store.set(cursor, "pin")));
    const compare =
      held.length === 2
        ? [element("select", { className: "compare", "aria-label": "compare A and B in", on: { change: (e) => this.compare(e.target) } }, element("option", { value: "", textContent: "Compare A and B in …" }), ...store.model.sections.flatMap((section) => section.cards).map((card) => element("option", { value: card.number, textContent: card.title })))]
        : [];
    const list = held.length ? [element("ul", {}, ...jumps), recorded(), ...compare, button("Unpin", "let go of A and B", () => store.unpin(), "quiet")] : [];
    return [element("h2", {}, "Side by side"), element("div", { className: "row" }, ...set), ...list];
  }

  compare(field) {
    const card = store.board.cards.find((c) => c.number === Number(field.value));
    field.value = "";
    if (card) store.board.compare(card);
  }

  bookmark(bookmark) {
    const text = `${bookmark.name}${bookmark.note ? `: ${bookmark.note}` : ""}`;
    const remove = button("✕", `remove bookmark ${bookmark.name}`, () => this.remove(bookmark.name), "quiet");
    const link = element("a", { href: address(bookmark.cursor), title: "address of this bookmark", textContent: "link", className: "link" });
    return this.jump(bookmark.cursor.step, text, where(bookmark.cursor), () => store.set(bookmark.cursor, "bookmark"), link, remove);
  }

  form() {
    const name = element("input", { type: "text", placeholder: "name", "aria-label": "bookmark name", maxLength: 80, required: true });
    const note = element("input", { type: "text", placeholder: "note", "aria-label": "bookmark note", maxLength: 500 });
    const form = element("form", { className: "bookmark" }, name, note, element("button", { type: "submit", textContent: "Bookmark this place" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!name.value.trim()) return;
      const place = Object.fromEntries(Object.entries(store.cursor).filter(([key]) => !isWord(key)));
      this.save({ name: name.value.trim(), note: note.value.trim(), cursor: place });
      name.value = note.value = "";
    });
    return form;
  }
}

function where(cursor) {
  const words = Object.entries(cursor).filter(([name]) => name === "probe" || (name !== "step" && !isWord(name) && (store.model.choices[name]?.length ?? 0) > 1));
  return words.map(([name, value]) => `, ${name} ${value}`).join("");
}

export function address(cursor) {
  const query = new URLSearchParams({ ...store.model.address, ...cursor });
  return `?${query}`;
}

// The thin strip: step and play when the panel itself is out of sight.
export class Strip {
  constructor(root) {
    this.root = root;
    this.at = element("output", { className: "at" });
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "step, in the strip" });
    this.slider.addEventListener("input", () => store.set({ step: store.model.steps[Number(this.slider.value)] }, "slider"));
    this.play = button("▶", "play", () => toggle(), "play");
    root.replaceChildren(this.play, this.at, this.slider);
    this.stop = store.subscribe(() => this.show());
    this.show();
  }

  close() {
    this.stop();
  }

  show() {
    this.slider.max = store.model.steps.length - 1;
    this.slider.value = nearest(store.model.steps, store.cursor.step);
    this.at.textContent = number(store.cursor.step);
    this.play.textContent = player.playing ? "❚❚" : "▶";
  }
}
