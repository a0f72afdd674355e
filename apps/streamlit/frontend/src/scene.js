// A scene: points and lines in three dimensions, turned with the mouse. A script of its own, fetched when a page has one; three.js is in it.
//
// It paints on a plain canvas, far to near, so that a page may hold many scenes: browsers allow a page about sixteen WebGL contexts.
import { OrthographicCamera, Vector3 } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

const REACH = 1.8; // half the height of the picture, where the box is 2 wide; the twin of strobe.charts.scene.REACH
const INSIDE = 0.86; // where on its edge the end of an axis is written: at the corners two axes meet
const FAR = 10;
const NEAR_ENOUGH = 9; // px around a dot in which a click or the pointer finds it
const LEGEND = 34; // px under the picture
const ENDS = [-1, 1];
const RAMPS = { linear: (v) => v, sqrt: (v) => Math.sqrt(Math.max(v, 0)), log: (v) => Math.log(Math.max(v, Number.MIN_VALUE)) };

export class Scene {
  // `camera` is {azimuth, elevation, zoom} of an earlier scene in this place, or empty: what the reader turned stays turned.
  constructor(host, spec, datasets, { camera = {}, large = false, onPick } = {}) {
    Object.assign(this, { host, spec: spec.scene, datasets: { ...datasets }, onPick, held: camera });
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${this.spec.description} Drag to turn it, or Shift and arrow keys; double click to turn back.`);
    this.tip = document.createElement("div");
    this.tip.className = "scene-tip";
    this.tip.hidden = true;
    host.replaceChildren(this.canvas, this.tip);
    this.size(large);
    this.look(large);
    this.listen();
    this.place();
  }

  size(large) {
    const scale = large ? Math.max(1, Math.min((this.host.clientWidth || innerWidth / 2) / this.spec.width, (innerHeight - 240) / (this.spec.height + LEGEND))) : 1;
    [this.width, this.height] = [Math.round(this.spec.width * scale), Math.round(this.spec.height * scale)];
    const dots = globalThis.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: this.width * dots, height: (this.height + LEGEND) * dots });
    Object.assign(this.canvas.style, { width: `${this.width}px`, height: `${this.height + LEGEND}px`, cursor: "grab", outlineOffset: "-2px" });
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(dots, dots);
  }

  look(large) {
    const wide = (REACH * this.width) / this.height;
    this.camera = new OrthographicCamera(-wide, wide, REACH, -REACH, 0, 2 * FAR);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, this.canvas);
    Object.assign(this.controls, { enablePan: false, enableZoom: large, enableDamping: false });
    this.canvas.style.touchAction = large ? "none" : "pan-y";
    this.turn(this.held.azimuth ?? this.spec.camera.azimuth, this.held.elevation ?? this.spec.camera.elevation, this.held.zoom ?? 1);
    this.controls.addEventListener("change", () => this.turned());
  }

  // Look from there: degrees from the first axis towards the second, and above their plane.
  turn(azimuth, elevation, zoom = this.camera.zoom) {
    const [a, e] = [azimuth, Math.max(-89.9, Math.min(89.9, elevation))].map((degrees) => (degrees * Math.PI) / 180);
    this.camera.position.set(FAR * Math.cos(e) * Math.cos(a), FAR * Math.cos(e) * Math.sin(a), FAR * Math.sin(e));
    this.camera.zoom = zoom;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.turned();
  }

  turned() {
    const { x, y, z } = this.camera.position;
    const degrees = (angle) => (angle * 180) / Math.PI;
    Object.assign(this.held, { azimuth: degrees(Math.atan2(y, x)), elevation: degrees(Math.asin(z / Math.hypot(x, y, z))), zoom: this.camera.zoom });
    this.camera.updateMatrixWorld();
    if (this.placed) this.paintSoon();
  }

  listen() {
    let down = null;
    this.canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
    this.canvas.addEventListener("click", (event) => {
      if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 4) return; // it was turned, not clicked
      const found = this.under(event, true);
      if (found) this.onPick?.(found.row);
    });
    this.canvas.addEventListener("dblclick", () => this.turn(this.spec.camera.azimuth, this.spec.camera.elevation, 1));
    this.canvas.addEventListener("pointermove", (event) => this.tell(event));
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const move = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] }[event.key];
    if (!move || !event.shiftKey) return; // bare arrows move the step, here as everywhere
    event.preventDefault();
    event.stopPropagation();
    this.turn(this.held.azimuth + move[0], this.held.elevation + move[1]);
  }

  // --- rows ----------------------------------------------------------------------------------------------------------------------------------

  data(name, rows) {
    this.datasets[name] = rows;
    return this;
  }

  async runAsync() {
    this.place();
  }

  finalize() {
    cancelAnimationFrame(this.frame);
    this.controls.dispose();
    this.host.replaceChildren();
  }

  // Places of all rows in the box, and their colours; once per change of the rows, not per turn.
  place() {
    const fit = this.datasets.axes.map(({ low, high }) => [low, high]);
    const at = (row) => {
      const place = ["x", "y", "z"].map((c, i) => (row[c] === null || row[c] === undefined ? NaN : (2 * (row[c] - fit[i][0])) / (fit[i][1] - fit[i][0]) - 1));
      return place.every(Number.isFinite) ? new Vector3(...place) : null;
    };
    this.placed = this.spec.layers.map((layer) => {
      const colour = this.colourOf(layer);
      return { layer, rows: (this.datasets[layer.data] ?? []).map((row) => ({ row, place: at(row), colour: colour(row) })) };
    });
    cancelAnimationFrame(this.frame);
    this.paint(); // at once: what is said to show a place shows it
  }

  colourOf(layer) {
    if (layer.tint) return (row) => row[layer.tint];
    const [ramp] = this.datasets.ramp ?? [];
    if (!layer.value || !ramp) return () => layer.colour;
    const warp = RAMPS[this.spec.ramp.type];
    const [low, high] = [warp(ramp.low), warp(ramp.high)];
    const { colours } = this.spec.ramp;
    return (row) => {
      const share = (warp(row[layer.value]) - low) / (high - low || 1);
      return Number.isFinite(share) ? colours[Math.round(Math.max(0, Math.min(1, share)) * (colours.length - 1))] : this.spec.look.muted;
    };
  }

  // --- painting ------------------------------------------------------------------------------------------------------------------------------

  paintSoon() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  // Pixels to the right and down, and how far away.
  see(place) {
    const seen = place.clone().project(this.camera);
    return [((seen.x + 1) / 2) * this.width, ((1 - seen.y) / 2) * this.height, seen.z];
  }

  paint() {
    const { pen } = this;
    this.frame = null;
    pen.clearRect(0, 0, this.width, this.height + LEGEND);
    this.dots = [];
    this.box();
    const strokes = this.placed.flatMap(({ layer, rows }) => (layer.type === "line" ? this.lines(layer, rows) : this.points(layer, rows)));
    strokes.sort((a, b) => b.far - a.far);
    for (const stroke of strokes) stroke.draw();
    for (const { layer, rows } of this.placed) if (layer.type === "points") this.words(layer, rows);
    this.legend();
    this.painted = (this.painted ?? 0) + 1;
  }

  lines(layer, rows) {
    const found = [];
    for (let i = 1; i < rows.length; i++) {
      const [a, b] = [rows[i - 1], rows[i]];
      if (!a.place || !b.place || (layer.series && a.row[layer.series] !== b.row[layer.series])) continue;
      const [x, y, far] = this.see(a.place);
      const [x2, y2, far2] = this.see(b.place);
      const draw = () => this.stroke(a.colour, layer.width, layer.opacity, layer.dash, [x, y], [x2, y2]);
      found.push({ far: (far + far2) / 2 + 1e-6, draw }); // a dot lies on its line
    }
    return found;
  }

  points(layer, rows) {
    const radius = Math.sqrt(layer.size / Math.PI);
    return rows.filter(({ place }) => place).map(({ row, place, colour }) => {
      const [x, y, far] = this.see(place);
      this.dots.push({ x, y, far, row, layer });
      return { far, draw: () => this.disc(x, y, radius, colour) };
    });
  }

  // What is read: texts beside dots, and the ring at the cursor; over everything else.
  words(layer, rows) {
    const here = this.datasets.cursor?.[0]?.[layer.follow];
    for (const { row, place } of rows) {
      if (!place) continue;
      const [x, y] = this.see(place);
      if (layer.text && row[layer.text]) this.write(row[layer.text], x + 7, y - 7, this.spec.look.text, "left");
      if (layer.follow && here !== undefined && row[layer.follow] === here) this.ring(x, y);
    }
  }

  box() {
    const corner = (axis, a, b, end) => new Vector3(...[[end, a, b], [a, end, b], [a, b, end]][axis]);
    for (const axis of [0, 1, 2]) for (const a of ENDS) for (const b of ENDS) {
      const [start, end] = ENDS.map((e) => this.see(corner(axis, a, b, e)));
      this.stroke(this.spec.look.grid, 1, 1, [], start, end);
    }
    for (const [axis, ends] of Object.entries(this.titled())) this.label(this.datasets.axes[axis], ends.map((end) => this.see(end)));
  }

  // Where titles stand: below and in front for the first two axes, the leftmost edge for the third; the twin of strobe.charts.scene.titled.
  titled() {
    const { x, y, z } = this.camera.position;
    const [front, side, floor] = [x >= 0 ? 1 : -1, y >= 0 ? 1 : -1, z >= 0 ? -1 : 1];
    const corners = ENDS.flatMap((i) => ENDS.map((j) => [i, j]));
    const left = corners.reduce((best, c) => (-y * c[0] + x * c[1] < -y * best[0] + x * best[1] - 1e-9 ? c : best));
    return [ENDS.map((e) => new Vector3(e, side, floor)), ENDS.map((e) => new Vector3(front, e, floor)), ENDS.map((e) => new Vector3(...left, e))];
  }

  label(axis, [start, end]) {
    const middle = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
    const [dx, dy] = [middle[0] - this.width / 2, middle[1] - this.height / 2];
    const far = Math.hypot(dx, dy) || 1;
    const unit = this.height / 2 / REACH;
    const inside = (end) => [0, 1].map((i) => middle[i] + INSIDE * (end[i] - middle[i]));
    const at = ([x, y], away) => [x + (dx / far) * away * unit, y + (dy / far) * away * unit];
    this.write(axis.title, ...at(middle, 0.24), this.spec.look.text, "center");
    this.write(short(axis.low), ...at(inside(start), 0.1), this.spec.look.muted, "center");
    this.write(short(axis.high), ...at(inside(end), 0.1), this.spec.look.muted, "center");
  }

  legend() {
    const [ramp] = this.datasets.ramp ?? [];
    if (!ramp) return;
    const { colours } = this.spec.ramp;
    const [x, y, wide] = [Math.max(8, this.width / 2 - 100), this.height + 14, 200];
    colours.forEach((colour, i) => {
      this.pen.fillStyle = colour;
      this.pen.fillRect(x + (i * wide) / colours.length, y, wide / colours.length + 0.5, 8);
    });
    this.write(ramp.title, x + wide / 2, y - 8, this.spec.look.text, "center");
    this.write(short(ramp.low), x - 6, y + 4, this.spec.look.muted, "right");
    this.write(short(ramp.high), x + wide + 6, y + 4, this.spec.look.muted, "left");
  }

  stroke(colour, width, opacity, dash, from, to) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle: colour, lineWidth: width, globalAlpha: opacity, lineCap: "round" });
    pen.setLineDash(dash ?? []);
    pen.beginPath();
    pen.moveTo(from[0], from[1]);
    pen.lineTo(to[0], to[1]);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  disc(x, y, radius, colour) {
    this.pen.fillStyle = colour;
    this.pen.beginPath();
    this.pen.arc(x, y, radius, 0, 2 * Math.PI);
    this.pen.fill();
  }

  ring(x, y) {
    Object.assign(this.pen, { strokeStyle: this.spec.look.ink, lineWidth: 2.25 });
    this.pen.beginPath();
    this.pen.arc(x, y, 7, 0, 2 * Math.PI);
    this.pen.stroke();
    this.marked = [x, y];
  }

  write(text, x, y, colour, align) {
    const font = getComputedStyle(this.canvas).fontFamily;
    Object.assign(this.pen, { font: `11px ${font}`, fillStyle: colour, textAlign: align, textBaseline: "middle" });
    const half = this.pen.measureText(text).width / 2;
    this.pen.fillText(text, align === "center" ? Math.max(half + 2, Math.min(this.width - half - 2, x)) : x, y);
  }

  // --- the pointer ---------------------------------------------------------------------------------------------------------------------------

  // The nearest dot under the pointer; of two at one place, the one in front.
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    for (const dot of this.dots ?? []) {
      const away = Math.hypot(dot.x - x, dot.y - y);
      if (away <= NEAR_ENOUGH && (!best || away < best.away - 1 || (away < best.away + 1 && dot.far < best.far))) best = { ...dot, away };
    }
    return best;
  }

  tell(event) {
    const found = event.buttons ? null : this.under(event);
    const words = found?.layer.tooltip?.map((name) => `${name}: ${typeof found.row[name] === "number" ? short(found.row[name]) : found.row[name]}`) ?? [];
    this.tip.hidden = !words.length;
    if (!words.length) return;
    this.tip.textContent = words.join("\n");
    const right = Math.max(0, this.canvas.clientWidth - found.x - 140);
    Object.assign(this.tip.style, right ? { left: `${found.x + 12}px`, right: "" } : { right: `${this.canvas.clientWidth - found.x + 12}px`, left: "" });
    this.tip.style.top = `${found.y + 12}px`;
  }
}

function short(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString().replace("-", "\u2212");
}

globalThis.strobeScene = Scene; // in a file this script stands before the board's, which finds it here
