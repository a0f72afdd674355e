// One cursor for all charts. A step change swaps the rows of the datasets that differ; a chart is built anew only when its specification differs.
const report = JSON.parse(document.getElementById("report").textContent);
const { steps, rows, films, events, metrics } = report;
const at = document.getElementById("at");
const slider = document.getElementById("step");
const play = document.getElementById("play");
const number = new Intl.NumberFormat("en-US");
const copy = (position) => rows[position].map((row) => ({ ...row })); // Vega marks the rows it is given
let current = report.start;
let playing = false;

class Panel {
  constructor(element) {
    this.element = element;
    this.chart = element.querySelector(".chart");
    this.film = films[Number(element.dataset.card)];
    this.shown = null; // the shot that is drawn
    this.near = false;
    this.work = Promise.resolve();
    element.querySelector("details").addEventListener("toggle", () => this.list());
  }

  get shot() {
    return this.film.shots[current];
  }

  // Off-screen charts wait until they come near: their work is not worth a frame.
  update() {
    if (!this.near) return Promise.resolve();
    this.work = this.work.then(() => this.draw()).catch((error) => this.say(String(error)));
    return this.work;
  }

  async draw() {
    const shot = this.shot;
    if (shot === this.shown) return;
    if (shot.problem) this.say(shot.problem);
    else if (this.view && this.shown?.spec === shot.spec) await this.swap(shot);
    else await this.mount(shot);
    this.shown = shot;
    this.list();
  }

  async swap(shot) {
    for (const [name, position] of Object.entries(shot.datasets)) {
      if (this.shown.datasets[name] !== position) this.view.data(name, copy(position));
    }
    await this.view.runAsync();
  }

  async mount(shot) {
    const datasets = Object.fromEntries(Object.entries(shot.datasets).map(([name, position]) => [name, copy(position)]));
    this.close();
    const embedded = await vegaEmbed(this.chart, { ...this.film.specs[shot.spec], datasets }, { actions: false, renderer: "canvas" });
    this.view = embedded.view;
    this.finish = () => embedded.finalize();
  }

  say(problem) {
    this.close();
    const words = document.createElement("p");
    words.className = "problem";
    words.textContent = problem;
    this.chart.replaceChildren(words);
  }

  close() {
    this.finish?.();
    this.view = this.finish = null;
    this.chart.replaceChildren();
  }

  // The data behind the chart, as tables.
  list() {
    const details = this.element.querySelector("details");
    if (!details.open) return;
    const sets = Object.entries(this.shot.datasets ?? {}).filter(([name, position]) => !/^(cursor|room)/.test(name) && rows[position].length);
    details.querySelector(".rows").replaceChildren(...sets.map(([name, position]) => table(name, rows[position])));
  }
}

function table(name, data, most = 200) {
  const columns = [...new Set(data.flatMap(Object.keys))].filter((column) => column !== "url");
  const element = document.createElement("table");
  element.createCaption().textContent = data.length > most ? `${name}: first ${most} of ${number.format(data.length)} rows` : name;
  const head = element.createTHead().insertRow();
  for (const column of columns) head.append(Object.assign(document.createElement("th"), { textContent: column, scope: "col" }));
  const body = element.createTBody();
  for (const row of data.slice(0, most)) {
    const line = body.insertRow();
    for (const column of columns) line.insertCell().textContent = written(row[column]);
  }
  return element;
}

function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.001 && value !== 0 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

const panels = [...document.querySelectorAll(".card")].map((element) => new Panel(element));

async function look(index) {
  current = Math.max(0, Math.min(steps.length - 1, index));
  slider.value = current;
  slider.setAttribute("aria-valuetext", `step ${steps[current]}`);
  at.textContent = number.format(steps[current]);
  document.getElementById("metrics").replaceChildren(
    ...Object.entries(metrics[current]).flatMap(([name, value]) => {
      return [Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value })];
    }),
  );
  const target = current;
  await Promise.all(panels.map((panel) => panel.update()));
  if (target === current) document.body.dataset.step = steps[current]; // everything in sight shows this step
}

async function run() {
  while (playing) {
    const started = performance.now();
    await look(current + 1 < steps.length ? current + 1 : 0);
    await new Promise((done) => setTimeout(done, Math.max(30, 350 - (performance.now() - started))));
    if (current === steps.length - 1) toggle(false);
  }
}

function toggle(on) {
  playing = on;
  play.textContent = on ? "❚❚" : "▶";
  play.setAttribute("aria-label", on ? "pause" : "play");
}

function nearest(step) {
  return steps.reduce((best, s, i) => (Math.abs(s - step) < Math.abs(steps[best] - step) ? i : best), 0);
}

// Where a step lies on the slider, which counts checkpoints: between its neighbours, in proportion.
function share(step) {
  const after = steps.findIndex((s) => s >= step);
  if (after < 0 || steps.length < 2) return 1;
  const before = Math.max(after - 1, 0);
  const between = after === before ? 0 : (step - steps[before]) / (steps[after] - steps[before]);
  return (before + between) / (steps.length - 1);
}

slider.max = steps.length - 1;
document.getElementById("of").textContent = `of ${number.format(steps.at(-1))}`;
slider.addEventListener("input", () => look(Number(slider.value)));
play.addEventListener("click", () => {
  toggle(!playing);
  if (playing) run();
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || /^(TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (move) {
    event.preventDefault(); // the slider would move a second time
    look(current + move);
  } else if (event.key === " " && !/^(BUTTON|SUMMARY|A)$/.test(event.target.tagName)) {
    event.preventDefault();
    play.click();
  }
});
for (const event of events) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: "go to the nearest checkpoint" });
  button.append(Object.assign(document.createElement("b"), { textContent: number.format(Math.round(event.step)) }), event.event);
  button.addEventListener("click", () => look(nearest(event.step)));
  const item = document.createElement("li");
  item.append(button);
  document.getElementById("events").append(item);
  const tick = Object.assign(document.createElement("i"), { title: event.event });
  tick.style.left = `${100 * share(event.step)}%`;
  document.getElementById("ticks").append(tick);
}
document.getElementById("events-title").hidden = !events.length;

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const panel = panels.find((p) => p.element === entry.target);
      panel.near = entry.isIntersecting;
      panel.update();
    }
  },
  { rootMargin: "400px" },
);
for (const panel of panels) watcher.observe(panel.element);
look(current);
