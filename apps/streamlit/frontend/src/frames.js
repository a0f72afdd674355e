// Where charts come from: a shot is a card at a cursor, its specification and the rows of its datasets.
//
// shot: {spec: key, datasets: {name: [key, rows]}, asOf?, problem?}. Equal keys mean equal content.

const MOST = 3000; // shots kept; a page of 20 cards over 43 steps has 860

// The coordinates a card follows, as text: shots of one place are the same.
export function place(card, cursor) {
  return [card.pinned ? "" : cursor.step, ...card.at.map((name) => cursor[name])].join(" ");
}

// Shots from the server: one request for all cards in sight, the latest place first, those around it when nothing else is to do.
export class HttpFrames {
  constructor(model, onChanged) {
    this.model = model;
    this.onChanged = onChanged;
    this.shots = new Map(); // "card place" -> shot, least recently used first
    this.specs = new Map();
    this.base = new Map(); // "card other coordinates" -> {step, shot}: the first shot of a card; later ones travel as the difference to it
    this.still = new Map(); // "card other coordinates" -> a shot in which only the cursor moves
    this.flying = new Map(); // url -> promise
    this.requests = 0;
    this.gone = false; // the server knows nothing of this page: no question makes sense until there is a new one
  }

  key(card, cursor) {
    return `${card.number} ${place(card, cursor)}`;
  }

  rest(card, cursor) {
    return `${card.number} ${card.at.map((name) => cursor[name]).join(" ")}`;
  }

  get(card, cursor) {
    if (card.problem) return { problem: card.problem };
    const still = this.still.get(this.rest(card, cursor));
    if (still) return moved(still, cursor.step);
    const key = this.key(card, cursor);
    const shot = this.shots.get(key);
    if (shot) {
      this.shots.delete(key);
      this.shots.set(key, shot);
    }
    return shot;
  }

  spec(key) {
    return this.specs.get(key);
  }

  missing(cards, cursor) {
    return cards.filter((card) => !this.get(card, cursor));
  }

  // Resolves once every card has its shot at the cursor.
  async want(cards, cursor) {
    const missing = this.missing(cards, cursor);
    if (!missing.length || this.gone) return;
    const url = this.url(missing, cursor);
    if (!this.flying.has(url)) {
      const flight = this.fetch(url, missing, cursor).finally(() => this.flying.delete(url));
      this.flying.set(url, flight);
    }
    await this.flying.get(url);
  }

  // Cards as "3@500": number, and the step of the shot that is here already.
  url(cards, cursor) {
    const names = ["step", ...new Set(cards.flatMap((card) => card.at))].sort();
    const asked = cards.map((card) => {
      const base = this.base.get(this.rest(card, cursor));
      return base ? `${card.number}@${base.step}` : card.number;
    });
    const query = new URLSearchParams({ ...this.model.query, cards: asked.join(",") });
    for (const name of names) if (cursor[name] !== undefined) query.set(name, cursor[name]);
    return new URL(`${this.model.frames}/${this.model.stamp}?${query}`, document.baseURI).href;
  }

  async fetch(url, cards, cursor) {
    this.requests += 1;
    const response = await fetch(url);
    if (response.status === 409) {
      this.gone = true;
      return this.onChanged();
    }
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    const frame = await response.json();
    if (frame.changed) this.onChanged(); // drawn from newer results than the page was made for
    for (const [key, spec] of Object.entries(frame.specs)) this.specs.set(key, spec);
    for (const card of cards) this.keep(card, cursor, frame.shots[card.number], frame.rows);
  }

  keep(card, cursor, shot, rows) {
    if (!shot.problem) {
      const rest = this.rest(card, cursor);
      const base = this.base.get(rest)?.shot;
      const known = new Map(Object.values(base?.datasets ?? {}));
      shot.datasets = Object.fromEntries(Object.entries(shot.datasets).map(([name, key]) => [name, [key, rows[key] ?? known.get(key)]]));
      if (!base) this.base.set(rest, { step: cursor.step, shot });
      if (shot.still) this.still.set(rest, shot);
    }
    this.shots.set(this.key(card, cursor), shot);
    if (this.shots.size > MOST) this.shots.delete(this.shots.keys().next().value);
  }

  // Fetch the neighbours while nobody waits for anything: the way one is going first.
  ahead(cards, cursor, steps, direction, busy) {
    const at = steps.indexOf(cursor.step);
    const around = [direction, -direction, 2 * direction, -2 * direction].map((places) => steps[at + places]).filter((step) => step !== undefined);
    const idle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const next = () => {
      const step = around.shift();
      if (step === undefined) return;
      idle(async () => {
        if (busy()) return;
        await this.want(cards, { ...cursor, step }).catch(() => {});
        next();
      });
    };
    next();
  }
}

// The same chart with the cursor elsewhere; the twin of `strobe.film.moved`.
function moved(shot, step) {
  if (!shot.datasets.cursor?.[1].length) return shot;
  const rows = [{ step, label: step.toLocaleString("en-US") }];
  return { ...shot, datasets: { ...shot.datasets, cursor: [`cursor ${step}`, rows] } };
}
