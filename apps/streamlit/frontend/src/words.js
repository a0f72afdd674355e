// Elements, numbers and tables.
const thousands = new Intl.NumberFormat("en-US");

export const number = (value) => thousands.format(value);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function table(name, data, most = 200) {
  const columns = [...new Set(data.flatMap(Object.keys))].filter((column) => column !== "url");
  const made = document.createElement("table");
  made.createCaption().textContent = data.length > most ? `${name}: first ${most} of ${number(data.length)} rows` : name;
  const head = made.createTHead().insertRow();
  for (const column of columns) head.append(element("th", { textContent: column, scope: "col" }));
  const body = made.createTBody();
  for (const row of data.slice(0, most)) {
    const line = body.insertRow();
    for (const column of columns) line.insertCell().textContent = written(row[column]);
  }
  return made;
}

function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.001 && value !== 0 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

// The position of the value nearest to `wanted` in an ascending list.
export function nearest(values, wanted) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
  return best;
}
