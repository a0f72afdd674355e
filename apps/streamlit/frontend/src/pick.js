// What a click on a chart means: the row of a mark that says where to go, else the step under the pointer.

// Names of the plots of a specification whose x axis is the step: "" is the chart itself, "concat_0" its first strip.
export function stepPlots(spec, name = "") {
  const parts = spec.vconcat ?? spec.hconcat ?? spec.concat;
  if (parts) return parts.flatMap((part, i) => stepPlots(part, part.name ?? (name ? `${name}_concat_${i}` : `concat_${i}`)));
  return overSteps(spec) ? [name] : [];
}

function overSteps(spec) {
  return spec.encoding?.x?.field === "step" || (spec.layer ?? []).some(overSteps);
}

const isPlace = (value, to) => Number.isFinite(value) || (to === "run" && typeof value === "string");

// {field: value} of the first mark under the pointer that has one of the fields, as coordinates; a run by its name.
export function picked(item, picks) {
  const rows = [item?.datum, item?.mark?.group?.datum].filter(Boolean);
  for (const row of rows) {
    const moved = Object.fromEntries(picks.filter(([field, to]) => isPlace(row[field], to)).map(([field, to]) => [to, row[field]]));
    if (Object.keys(moved).length) return moved;
  }
  return null;
}

// The nearest mark that has one, when it is at most `reach` px away: dots and thin bars are hard to hit.
export function markNear(view, picks, event, surface, reach = 8) {
  const [x, y] = pointer(view, event, surface);
  let best = null;
  let least = reach;
  const look = (items, dx, dy) => {
    for (const item of items) {
      if (item.items) {
        for (const mark of item.items) look(mark.items, dx + (item.x ?? 0), dy + (item.y ?? 0));
      } else if (item.bounds && picked(item, picks)) {
        const { x1, x2, y1, y2 } = item.bounds;
        const away = Math.hypot(Math.max(x1 + dx - x, 0, x - x2 - dx), Math.max(y1 + dy - y, 0, y - y2 - dy));
        if (away < least) [best, least] = [item, away];
      }
    }
  };
  look(view.scenegraph().root.items, 0, 0);
  return best;
}

// {coordinate: values} of all marks that touch the rectangle between two pointer events.
export function marksIn(view, picks, [from, to], surface) {
  const [a, b] = [pointer(view, from, surface), pointer(view, to, surface)];
  const [left, right] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])];
  const [top, bottom] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])];
  const found = {};
  const look = (items, dx, dy) => {
    for (const item of items) {
      if (item.items) {
        for (const mark of item.items) look(mark.items, dx + (item.x ?? 0), dy + (item.y ?? 0));
        continue;
      }
      const { x1, x2, y1, y2 } = item.bounds ?? {};
      if (!(x1 + dx <= right && x2 + dx >= left && y1 + dy <= bottom && y2 + dy >= top)) continue;
      for (const [name, value] of Object.entries(picked(item, picks) ?? {})) (found[name] ??= new Set()).add(value);
    }
  };
  look(view.scenegraph().root.items, 0, 0);
  return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, [...values]]));
}

// The place under the pointer on an axis over steps, and the name of its plot; null outside such plots. A little below a plot counts: its axis is there.
export function stepAt(view, plots, event, surface) {
  const [x, y] = pointer(view, event, surface);
  for (const name of plots) {
    const group = groupOf(view, name);
    if (!group) continue;
    const [dx, dy] = [x - group.x, y - group.y];
    if (dx < -4 || dx > group.width + 4 || dy < 0 || dy > group.height + 26) continue;
    const scale = scaleOf(view, name);
    if (scale?.invert) return [scale.invert(Math.max(0, Math.min(group.width, dx))), name];
  }
  return null;
}

// The step of the page's run at a place on an axis: straight between the points of the plot's clock, and on beyond them. `clocks` is of the card: null
// where no place has such a step, {} where the axes are of that run's steps, else points by plot ("" for all). The twin of `strobe.panels.align.read_off`.
export function stepOf(place, plot, clocks) {
  if (!clocks) return null;
  const name = Object.keys(clocks).find((own) => !own || plot === own || plot?.startsWith(`${own}_`));
  if (name === undefined) return Object.keys(clocks).length ? null : place;
  const points = clocks[name];
  const after = points.findIndex(([at]) => at >= place);
  const i = Math.max(1, after < 0 ? points.length - 1 : after);
  const [[from, step], [to, next]] = [points[i - 1], points[i]];
  return step + ((place - from) / (to - from)) * (next - step);
}

// The name of the plot that a mark is in: "" for the chart itself.
export function plotOf(item) {
  for (let group = item?.mark?.group; group; group = group.mark?.group) {
    const name = group.mark?.name;
    if (name?.endsWith("_group")) return name.slice(0, -"_group".length);
  }
  return "";
}

// Where the pointer is, in the drawing's own pixels from its origin.
function pointer(view, event, surface) {
  const box = surface.getBoundingClientRect();
  const natural = surface.viewBox?.baseVal?.width || Number.parseFloat(surface.style.width) || box.width;
  const scaled = Math.min(box.width / natural, surface.viewBox?.baseVal?.height ? box.height / surface.viewBox.baseVal.height : Infinity);
  const [left, top] = corner(view);
  const spare = (box.width - natural * scaled) / 2; // an enlarged drawing stands in the middle
  return [(event.clientX - box.left - spare) / scaled - left, (event.clientY - box.top) / scaled - top];
}

// Where the plots begin in a drawing, px from its left and top.
export function corner(view) {
  const [left, top] = view.origin();
  const padding = view.padding();
  return [left + padding.left, top + padding.top];
}

function scaleOf(view, name) {
  for (const scale of name ? [`${name}_x`, "x"] : ["x"]) {
    try {
      return view.scale(scale);
    } catch {
      continue; // strips with a shared axis have one scale for all
    }
  }
  return null;
}

function groupOf(view, name) {
  const root = view.scenegraph().root.items[0];
  if (!name) return { x: 0, y: 0, width: view.width(), height: view.height() };
  const mark = search(root, `${name}_group`);
  return mark && { ...mark, width: mark.item.width, height: mark.item.height };
}

function search(group, name, x = 0, y = 0) {
  for (const mark of group.items ?? []) {
    if (mark.marktype !== "group") continue;
    for (const item of mark.items) {
      const at = { x: x + (item.x ?? 0), y: y + (item.y ?? 0), item };
      if (mark.name === name) return at;
      const inner = search(item, name, at.x, at.y);
      if (inner) return inner;
    }
  }
  return null;
}
