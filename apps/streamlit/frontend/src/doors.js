// The ways out of a panel: its rows as a file, and the SQL and the Python that give them. Only where a server can be asked.
import { store } from "./store.js";
import { element } from "./words.js";

export async function openDoors(panel) {
  const { doors, query } = store.model;
  if (!doors || !panel.card.number) return;
  const asked = new URLSearchParams({ ...query, ...panel.cursor, card: panel.card.number });
  if (panel.doors?.dataset.asked === String(asked)) return;
  const made = element("div", { className: "doors", "data-asked": String(asked) });
  panel.doors?.remove();
  panel.doors = made;
  panel.details.querySelector(".rows").before(made);
  made.append(element("p", {}, "All rows: ", link("CSV", `${doors.rows}/csv?${asked}`), " ", link("Parquet", `${doors.rows}/parquet?${asked}`)));
  const pictures = ["PNG", "SVG", "PDF"].flatMap((kind) => [" ", link(kind, `${doors.picture}/${kind.toLowerCase()}?${asked}`)]);
  made.append(element("p", {}, "Picture: ", ...pictures));
  try {
    const response = await fetch(address(`${doors.source}?${asked}`));
    const { sql, python, error } = await response.json();
    if (error) throw new Error(error);
    made.append(code("SQL", sql), code("Python", python));
  } catch (error) {
    made.append(element("p", { className: "problem", textContent: error.message }));
  }
}

const address = (path) => new URL(path, document.baseURI).href;
const link = (text, path) => element("a", { href: address(path), textContent: text, download: "" });

function code(name, text) {
  const copy = element("button", { type: "button", className: "quiet", textContent: "copy", "aria-label": `copy the ${name}` });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = "copy"), 1500);
  });
  return element("figure", {}, element("figcaption", {}, name, copy), element("pre", { "data-language": name.toLowerCase(), textContent: text }));
}
