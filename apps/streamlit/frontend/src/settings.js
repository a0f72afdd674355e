// The settings of a card's renderer as a form. What is changed here holds for this card until the page is left or it is reset; the address keeps it.
import { store } from "./store.js";
import { element } from "./words.js";

const key = (card) => `set${card.number}`;
const given = (card) => JSON.parse(store.cursor[key(card)] ?? "{}");

export function settingsForm(card) {
  if (!card.form?.length || !store.model.frames) return "";
  const fields = element("div", { className: "fields" });
  const reset = element("button", { type: "button", className: "quiet", textContent: "Reset", on: { click: () => put(card, {}) } });
  const form = element("details", { className: "settings" }, element("summary", {}, "settings"), fields, reset);
  form.show = () => {
    const values = given(card);
    fields.replaceChildren(...card.form.map((field) => row(card, field, field.name in values ? values[field.name] : field.value)));
    reset.disabled = !Object.keys(values).length;
  };
  form.addEventListener("toggle", () => form.open && form.show());
  form.show();
  return form;
}

function put(card, values) {
  store.write(key(card), Object.keys(values).length ? JSON.stringify(values) : "", "settings");
}

function row(card, field, value) {
  const input = INPUTS[field.kind](field, value);
  input.dataset.setting = field.name;
  const problem = element("span", { className: "wrong", role: "alert" });
  input.addEventListener("change", () => {
    try {
      const wanted = READ[field.kind](input, field);
      problem.textContent = "";
      const values = { ...given(card), [field.name]: wanted };
      if (JSON.stringify(wanted) === JSON.stringify(field.value)) delete values[field.name];
      put(card, values);
    } catch (error) {
      problem.textContent = error.message;
    }
  });
  return element("label", { title: field.help ?? "" }, element("span", {}, field.name.replaceAll("_", " ")), input, problem);
}

const typed = (type) => (field, value) => {
  const input = element("input", { type, value: value ?? "" });
  if (type === "number") Object.assign(input, { step: field.kind === "integer" ? 1 : "any", min: field.least ?? "", max: field.most ?? "", placeholder: field.optional ? "any" : "" });
  return input;
};

const INPUTS = {
  integer: typed("number"),
  number: typed("number"),
  text: typed("text"),
  json: (field, value) => element("input", { type: "text", value: JSON.stringify(value) }),
  bool: (field, value) => element("input", { type: "checkbox", checked: value === true }),
  choice: (field, value) => {
    const options = field.optional ? ["", ...field.choices] : field.choices;
    return element("select", {}, ...options.map((choice) => element("option", { value: choice, textContent: choice === "" ? "–" : choice, selected: choice === (value ?? "") })));
  },
};

function numeric(input, field) {
  if (input.value === "" && field.optional) return null;
  if (input.value === "" || !input.validity.valid) throw new Error(input.validationMessage || "a number, please");
  return Number(input.value);
}

const READ = {
  integer: numeric,
  number: numeric,
  text: (input, field) => (input.value === "" && field.optional ? null : input.value),
  bool: (input) => input.checked,
  choice: (input) => input.value || null,
  json: (input) => {
    try {
      return JSON.parse(input.value);
    } catch {
      throw new Error("JSON, please, such as [1, 2]");
    }
  },
};
