// Which frequency leads each neuron at the cursor's step, read off the rows of whatever panel of the page draws both.
import { store } from "./store.js";

// {of: neuron -> frequency, members: frequency -> neurons in the order of the panel}; null where no panel of the page tells.
export async function bands(board) {
  for (const card of board.cards) {
    if (!card.picks.some(([, to]) => to === "neuron")) continue;
    const { set: _, only: __, ...cursor } = store.cursor;
    if (!board.frames.get(card, cursor)) await board.frames.want([card], cursor).catch(() => {});
    const found = read(board.frames.get(card, cursor));
    if (found) return found;
  }
  return null;
}

// The same from the shots that are here already.
export function bandsHere(board) {
  for (const card of board.cards) {
    const found = card.picks.some(([, to]) => to === "neuron") && read(board.frames.get(card, store.cursor));
    if (found) return found;
  }
  return null;
}

function read(shot) {
  for (const [, rows] of Object.values(shot?.datasets ?? {})) {
    if (!rows.length || !("neuron" in rows[0]) || !("frequency" in rows[0])) continue;
    const of = new Map();
    const members = new Map();
    for (const { neuron, frequency } of rows) {
      if (!Number.isFinite(neuron) || !Number.isFinite(frequency) || of.has(neuron)) continue;
      of.set(neuron, frequency);
      if (!members.has(frequency)) members.set(frequency, []);
      members.get(frequency).push(neuron);
    }
    if (of.size) return { of, members };
  }
  return null;
}

// The next neuron (places 1) or the previous one (-1) that the same frequency leads; at the last the first follows.
export async function moveInBand(places) {
  const known = store.board && (await bands(store.board));
  const frequency = known?.of.get(store.cursor.neuron);
  if (frequency === undefined) return false;
  const neurons = known.members.get(frequency);
  const at = neurons.indexOf(store.cursor.neuron);
  return store.set({ neuron: neurons[(at + places + neurons.length) % neurons.length] }, "band");
}
