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

// {field: value} of the first mark under the pointer that has one of the fields, as coordinates.
export function picked(item, picks) {
  const rows = [item?.datum, item?.mark?.group?.datum].filter(Boolean);
  for (const row of rows) {
    const moved = Object.fromEntries(picks.filter(([field]) => Number.isFinite(row[field])).map(([field, to]) => [to, row[field]]));
    if (Object.keys(moved).length) return moved;
  }
  return null;
}

// The step under the pointer, null outside the plots over steps. A little below a plot counts: its axis is there.
export function stepAt(view, plots, event, surface) {
  const box = surface.getBoundingClientRect();
  const natural = surface.viewBox?.baseVal?.width || Number.parseFloat(surface.style.width) || box.width;
  const scaled = box.width / natural;
  const [left, top] = view.origin();
  const x = (event.clientX - box.left) / scaled - left;
  const y = (event.clientY - box.top) / scaled - top;
  for (const name of plots) {
    const group = groupOf(view, name);
    if (!group) continue;
    const [dx, dy] = [x - group.x, y - group.y];
    if (dx < -4 || dx > group.width + 4 || dy < 0 || dy > group.height + 26) continue;
    const scale = scaleOf(view, name);
    if (scale?.invert) return scale.invert(Math.max(0, Math.min(group.width, dx)));
  }
  return null;
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
