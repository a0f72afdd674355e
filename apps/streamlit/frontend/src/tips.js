// What a mark says when it is pointed at is worked out then, for this one; not at every step for all of them, which took half the time of a step.
import { Handler } from "vega-tooltip";

const POINTED = "strobe_pointed"; // the row under the pointer, as a signal
const TIP = "strobe_tip_"; // what is said of it, a signal per kind of mark
const DATUM = /\bdatum\b(?=[.[])/g;

// Take the words of marks out of a compiled specification, and leave the name of the signal that gives them.
export function lazyTips(compiled) {
  const found = new Map();
  const look = (group) => {
    for (const mark of group.marks ?? []) {
      const said = mark.encode?.update?.tooltip?.signal;
      if (said) {
        if (!found.has(said)) found.set(said, `${TIP}${found.size}`);
        mark.encode.update.tooltip = { value: found.get(said) };
      }
      look(mark);
    }
  };
  look(compiled);
  if (!found.size) return;
  const signals = [...found].map(([said, name]) => ({ name, update: said.replaceAll(DATUM, POINTED) }));
  compiled.signals = [...(compiled.signals ?? []), { name: POINTED, value: {} }, ...signals];
}

// A tooltip that looks up what `lazyTips` left; `view()` gives the chart, which is there only after this was handed to it.
export function tooltip(view) {
  const shown = new Handler();
  let pointings = 0;
  return async (handler, event, item, value) => {
    const pointing = (pointings += 1);
    if (typeof value !== "string" || !value.startsWith(TIP)) return shown.call(handler, event, item, value);
    await view().signal(POINTED, item.datum).runAsync();
    if (pointing === pointings) shown.call(handler, event, item, view().signal(value)); // the pointer may be elsewhere by now
    return undefined;
  };
}
