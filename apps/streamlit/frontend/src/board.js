// The cards of a report, and the loop that keeps those in sight at the cursor.
import { Panel } from "./panel.js";
import { comparison } from "./pins.js";
import { store } from "./store.js";
import { element } from "./words.js";

export class Board {
  constructor(root, frames) {
    this.root = root;
    this.frames = frames;
    this.direction = 1;
    this.turn = 0; // how often the page was to be brought up to date
    this.large = []; // panels over the page
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { root: scroller(root), rootMargin: "400px" });
    this.stop = store.subscribe((origin, moved) => this.moved(origin, moved));
    this.build();
  }

  get cards() {
    return store.model.sections.flatMap((section) => section.cards);
  }

  build() {
    this.panels = [];
    const sections = store.model.sections.map((section) => {
      const panels = section.cards.map((card) => new Panel(card, this));
      this.panels.push(...panels);
      const cards = element("div", { className: "cards" }, ...panels.map((panel) => panel.element));
      const words = section.html ? element("div", { className: "words", innerHTML: section.html }) : ""; // made safe by strobe.reports.markdown
      const heading = element(section.level ? "h3" : "h2", { className: "heading" }, section.title);
      if (!section.folded) return element("section", {}, heading, section.description ? element("p", {}, section.description) : "", words, section.cards.length ? cards : "");
      return element("details", { className: "fold" }, element("summary", {}, `${section.title}: ${section.cards.length} charts`), cards);
    });
    this.root.replaceChildren(...sections);
    this.looked = !this.panels.length; // whether the browser has said which of them are in sight
    for (const panel of this.panels) this.watcher.observe(panel.element);
    this.open(location.hash);
  }

  // The card an address names: `#card-3`, or `#loss_curves` by its renderer. Gone to again once the charts above it have their heights.
  open(hash) {
    const wanted = decodeURIComponent(hash.slice(1));
    const card = wanted && this.cards.find((c) => c.renderer === wanted || `card-${c.number}` === wanted);
    if (!card) return;
    const again = store.subscribe((origin) => {
      if (origin !== "settled") return;
      again();
      this.goTo(card);
    });
    requestAnimationFrame(() => this.goTo(card));
  }

  // The same cards over newer results: what is equal stays as it is drawn.
  refresh(frames) {
    this.frames = frames;
    this.update();
  }

  // The page is known again: what could not be asked for is.
  again() {
    if (!this.frames.gone) return;
    this.frames.gone = false;
    this.update();
  }

  close() {
    this.stop();
    this.watcher.disconnect();
    for (const panel of this.panels) panel.close();
  }

  seen(entries) {
    this.looked = true;
    for (const entry of entries) this.panels.find((panel) => panel.element === entry.target).near = entry.isIntersecting;
    this.update();
  }

  moved(origin, moved) {
    if ("step" in moved) {
      const steps = store.model.steps;
      this.direction = steps.indexOf(moved.step) >= steps.indexOf(this.last ?? moved.step) ? 1 : -1;
      this.last = moved.step;
    }
    if (Object.keys(moved).length) this.update();
  }

  get inSight() {
    return [...this.panels.filter((panel) => panel.near), ...this.large];
  }

  // Whether everything in sight shows the whole of the reader's place: nothing is asked for, nothing is still being drawn.
  get settled() {
    return this.looked && this.shows === store.place;
  }

  // Draw what is here; ask for what is missing, one question at a time, always for the latest place.
  update() {
    this.shows = null;
    this.turn += 1;
    this.settling = this.settle(this.turn);
    return this.settling;
  }

  async settle(turn) {
    const { cursor, place } = store;
    const panels = this.inSight;
    const drawn = Promise.all(panels.map((panel) => panel.update()));
    if (this.missing(panels).length) return this.ask();
    await drawn;
    if (turn !== this.turn) return undefined; // another one has begun since
    this.shows = place;
    this.root.dataset.step = cursor.step; // everything in sight shows this step
    store.tell("settled", {});
    const cards = panels.filter((panel) => !panel.pin).map((panel) => panel.card);
    this.frames.ahead(cards, cursor, store.model.steps, this.direction, () => this.asking || cursor !== store.cursor);
    return undefined;
  }

  missing(panels) {
    return panels.filter((panel) => !this.frames.get(panel.card, panel.cursor));
  }

  async ask() {
    if (this.asking || this.broken || this.frames.gone) return;
    const missing = this.missing(this.inSight);
    const pinned = missing.filter((panel) => panel.pin);
    const asked = pinned.length ? [pinned[0]] : missing;
    this.asking = this.frames.want([...new Set(asked.map((panel) => panel.card))], asked[0].cursor);
    await this.asking.catch((error) => this.lost(error));
    this.asking = null;
    await this.update();
  }

  // The server is gone or failed: what is drawn stays, those without a picture say so, and it is asked again in a while.
  lost(error) {
    for (const panel of this.missing(this.inSight)) panel.say(`no picture of this place yet: ${error.message}`);
    this.broken = setTimeout(() => {
      this.broken = null;
      this.update();
    }, 3000);
  }

  // Cards cut at a coordinate: where its details are.
  detailsOf(name, except) {
    return this.cards.filter((card) => card !== except && card.at.includes(name));
  }

  goTo(card) {
    const target = this.root.querySelector(`#card-${card.number}`);
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView({ behavior: "instant", block: "start" });
    target.classList.add("found");
    setTimeout(() => target.classList.remove("found"), 1500);
  }

  // One card over the whole page with its settings; Escape closes it, and the page has not moved.
  enlarge(card) {
    const panel = new Panel(card, this, "svg");
    const form = panel.element.querySelector("details.settings");
    if (form) form.open = true;
    this.over(card.title, [panel]);
  }

  // One card at the two pinned places, side by side, and their difference.
  compare(card) {
    this.over(`${card.title}, A and B`, comparison(card, this));
  }

  over(title, panels) {
    const dialog = element("dialog", { className: `large of-${panels.length}`, "aria-label": title });
    this.large = panels;
    for (const panel of panels) {
      panel.near = true;
      panel.element.removeAttribute("id");
      const leave = element("button", { type: "button", className: "quiet", textContent: "✕ Esc", on: { click: () => dialog.close() } });
      panel.element.querySelector(".actions").replaceChildren(leave);
      dialog.append(panel.element);
    }
    dialog.addEventListener("close", () => {
      for (const panel of panels) panel.close();
      this.large = [];
      dialog.remove();
    });
    this.root.append(dialog);
    dialog.showModal();
    this.update();
  }
}

// What scrolls a page's content; null for the window itself.
function scroller(node) {
  for (let at = node.parentElement ?? node.getRootNode().host; at; at = at.parentElement ?? at.getRootNode().host) {
    if (at !== document.body && at !== document.documentElement && /auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}
