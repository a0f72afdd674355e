// A file on paper: every card as lines and text at the cursor, drawn when somebody prints; what is on the screen stays.
import { Panel } from "./panel.js";
import { element } from "./words.js";

// A browser that prints waits for no timer and no picture, only for what its "beforeprint" leaves to microtasks: every card is drawn in those.
export function forPaper(board) {
  clear(board);
  return Promise.all(board.panels.map((panel) => onPaper(panel, board)));
}

async function onPaper({ card, element: shown }, board) {
  const panel = new Panel(card, board, "svg", null, true);
  panel.near = true;
  const place = element("div", { className: "printed" });
  shown.querySelector(".chart").before(place);
  place.append(panel.chart); // Vega measures what is in the page
  await panel.update();
  const drawn = panel.chart.querySelector("svg");
  if (drawn) drawn.style.maxWidth = `min(100%, ${drawn.getAttribute("width")}px)`; // no larger than on the screen
  place.replaceChildren(...(drawn ? [drawn] : panel.chart.childNodes));
  panel.mounted?.close();
}

export function clear(board) {
  for (const place of board.root.querySelectorAll(".printed")) place.remove();
}

export function listenToPrint(board, button) {
  button.addEventListener("click", () => globalThis.print());
  addEventListener("beforeprint", () => void forPaper(board));
  addEventListener("afterprint", () => clear(board));
}
