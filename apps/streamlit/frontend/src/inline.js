// What an exported file holds: deflated columns, made into rows when a chart first needs them. The twin of strobe/export/columns.py and inline.py.

const LEVELS = 65534; // of a measured number; one more says that it is missing
const PNG = "data:image/png;base64,";

export async function unpacked(text) {
  const packed = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { ...header, bytes: bytes.subarray(4 + length) };
}

// All shots in the page itself.
export class InlineFrames {
  constructor({ steps, takes, tables, places, bytes }) {
    this.steps = new Map(steps.map((step, i) => [step, i]));
    this.takes = takes;
    this.places = places;
    this.tables = tables.map((table) => new Table(table, bytes));
  }

  key(card, cursor) {
    return `${card.number} ${this.place(card, cursor)} ${cursor.step}`;
  }

  place(card, cursor) {
    return this.takes[card.number - 1].at.map((name) => cursor[name]).join(" ");
  }

  get(card, cursor) {
    const shot = this.takes[card.number - 1].films[this.place(card, cursor)][this.steps.get(cursor.step)];
    if (typeof shot === "string") return { problem: shot };
    const [spec, datasets, asOf] = shot;
    const rows = Object.entries(datasets).map(([name, position]) => [name, [position, this.rows(position)]]);
    return { spec: `${card.number} ${spec}`, datasets: Object.fromEntries(rows), asOf };
  }

  rows(position) {
    const [table, item] = this.places[position];
    return this.tables[table].rows(item);
  }

  spec(key) {
    const [number, position] = key.split(" ");
    return this.takes[number - 1].specs[position];
  }

  async want() {}
  ahead() {}
}

class Table {
  constructor(header, bytes) {
    this.header = header;
    this.bytes = bytes;
    this.kept = new Map(); // item -> rows
  }

  rows(item) {
    if (this.header.json) return this.header.json[item];
    if (!this.kept.has(item)) this.kept.set(item, this.made(item));
    return this.kept.get(item);
  }

  made(item) {
    this.columns ??= this.header.columns.map((column) => [column.name, column.fixed, reader(column, this.bytes)]);
    this.starts ??= this.header.rows.reduce((starts, count) => [...starts, starts.at(-1) + count], [0]);
    const start = this.starts[item];
    return Array.from({ length: this.header.rows[item] }, (_, i) => {
      const row = {};
      for (const [name, fixed, value] of this.columns) row[name] = value(fixed ? i : start + i);
      return row;
    });
  }
}

// position -> value
function reader(column, bytes) {
  if (column.kind === "same") return () => column.value;
  const codes = decoded(column, bytes);
  if (column.kind === "one of") return (i) => column.values[codes[i]];
  if (column.kind === "whole") return (i) => (codes[i] === column.missing ? null : column.low + codes[i]);
  if (column.kind === "pictures") {
    const urls = [];
    return (i) => (urls[codes[i]] ??= PNG + base64(bytes.subarray(...column.at[codes[i]])));
  }
  const { unit, low, high } = column;
  return (i) => (codes[i] > LEVELS ? null : unit * Math.sinh(low + (codes[i] / LEVELS) * (high - low)));
}

// Bytes apart by their weight, and differences to the code `back` places before: sums of typed arrays wrap as they should.
function decoded({ width, back, size, from }, bytes) {
  const codes = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[width](size);
  for (let weight = 0; weight < width; weight++) {
    const plane = bytes.subarray(from + weight * size, from + (weight + 1) * size);
    for (let i = 0; i < size; i++) codes[i] += plane[i] * 256 ** weight;
  }
  if (back) for (let i = back; i < size; i++) codes[i] += codes[i - back];
  return codes;
}

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
