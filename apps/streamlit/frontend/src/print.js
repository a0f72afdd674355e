// A file on paper: every card as lines and text at the cursor, drawn when somebody prints; what is on the screen stays.
import { Panel } from "./panel.js";
import { element } from "./words.js";

export async function forPaper(board) {
  clear(board);
  for (const { card, element: shown } of board.panels) {
    const panel = new Panel(card, board, "svg");
    panel.near = true;
    const place = element("div", { className: "printed" });
    shown.querySelector(".chart").before(place);
    place.append(panel.chart); // Vega measures what is in the page
    await panel.update();
    const drawn = panel.chart.querySelector("svg");
    place.replaceChildren(...(drawn ? [drawn] : panel.chart.childNodes));
    panel.mounted?.close();
  }
}

export function clear(board) {
  for (const place of board.root.querySelectorAll(".printed")) place.remove();
}

// Charts take time to draw, and a browser's own "print" waits for nothing: the button and Ctrl+P draw first.
export function listenToPrint(board, button) {
  const print = async () => {
    await forPaper(board);
    globalThis.print();
  };
  button.addEventListener("click", print);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "p") return;
    event.preventDefault();
    print();
  });
  addEventListener("afterprint", () => clear(board));
}
