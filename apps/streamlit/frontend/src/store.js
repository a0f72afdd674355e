// Where everyone looks. One store per page, shared by everything that is mounted on it.
import { nearest, number } from "./words.js";

// Coordinates that are texts; the twin of `strobe_app.variants.WORDS`.
export const isWord = (name) => /^(only|probe|minus|set\d+)$/.test(name);
const keeps = (name, before, model) => before.run === model.run && (!name.startsWith("set") || before.address?.report === model.address?.report);

class Store {
  cursor = {};
  model = null; // what the page is about: run, steps, events, choices, cards, bookmarks
  notes = []; // what was moved because it does not exist here
  pins = {};
  listeners = new Set();

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  // The page and the cursor in words: equal where a reader sees the same.
  get place() {
    return `${this.model.version ?? ""} ${JSON.stringify(Object.entries(this.cursor).sort())}`;
  }

  // A new page, or the same one with newer results. The reader's place is kept as far as it exists; what does not exist is said.
  load(model) {
    if (this.model?.version === model.version) return;
    const fresh = !this.model;
    const before = this.model;
    const wanted = fresh ? model.cursor : this.cursor;
    this.model = model;
    this.notes = [];
    this.cursor = {};
    for (const [name, values] of Object.entries({ step: model.steps, ...model.choices })) {
      if (!values.length) continue;
      const value = wanted[name] ?? values[0];
      this.cursor[name] = values[nearest(values, value)];
      if (this.cursor[name] !== value) this.notes.push(`${name} ${number(value)} is not in ${model.run}: ${number(this.cursor[name])} is the nearest`);
    }
    for (const [name, text] of Object.entries(wanted)) if (isWord(name) && (fresh || keeps(name, before, model))) this.cursor[name] = text;
    for (const pin of Object.keys(this.pins)) if (this.pins[pin].run !== model.run) delete this.pins[pin];
    this.tell("model", {});
  }

  values(name) {
    return name === "step" ? this.model.steps : (this.model.choices[name] ?? []);
  }

  // Move coordinates; values that do not exist go to the nearest that does.
  set(patch, origin = "") {
    const moved = {};
    for (const [name, value] of Object.entries(patch)) {
      const values = this.values(name);
      if (!values.length || !Number.isFinite(value)) continue;
      const to = values[nearest(values, value)];
      if (to !== this.cursor[name]) moved[name] = to;
    }
    if (!Object.keys(moved).length) return false;
    this.notes = [];
    this.cursor = { ...this.cursor, ...moved };
    this.tell(origin, moved);
    return true;
  }

  // Go where a click points: to coordinates of this page, or to another run, which is another page (`openRun`; a file has only its own).
  go({ run, ...moved }, origin = "pick") {
    if (run !== undefined && run !== this.model.run) return void this.openRun?.(run);
    this.set(moved, origin);
  }

  // A coordinate that is a text: a brush, a probe, the settings of a card. "" takes it away.
  write(name, text, origin = "") {
    if ((this.cursor[name] ?? "") === text) return;
    const { [name]: _, ...rest } = this.cursor;
    this.cursor = text ? { ...rest, [name]: text } : rest;
    this.tell(origin, { [name]: text });
  }

  // Move a coordinate by places in its list; stays inside.
  move(name, places, origin = "") {
    const values = this.values(name);
    const at = values.indexOf(this.cursor[name]);
    this.set({ [name]: values[Math.max(0, Math.min(values.length - 1, at + places))] }, origin);
  }

  pin(name) {
    this.pins[name] = { ...this.cursor, run: this.model.run };
    this.tell("pins", {});
  }

  unpin() {
    this.pins = {};
    this.tell("pins", {});
  }

  tell(origin, moved) {
    for (const listener of [...this.listeners]) listener(origin, moved);
  }
}

export const store = new Store();
