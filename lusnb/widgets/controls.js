// Labelled controls. Text from a cohort is only ever set as text, never as HTML.

// What brings a widget back whose kernel is new, as advice.AGAIN in Python: its cell alone lacks what others made.
export const AGAIN = "choose Run All Cells in the menu Run; in the app, load the page again";

export function element(tag, { text, on = {}, data = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  Object.assign(node.dataset, data);
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children);
  return node;
}

// What a screen reader calls a button: its tip; the written words before it where they are not in it, since who
// steers by voice says what is seen.
export function spoken(label, tip) {
  const words = label.replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  return tip.toLowerCase().includes(words.toLowerCase()) ? tip : `${words}: ${tip}`;
}

// A button: {node, press(on)}; `pressed` given makes it a toggle. `keys` are told in its tip.
export function button({ id, label, tip = label, pressed, onclick }) {
  const node = element("button", {
    type: "button", text: label, title: tip, "aria-label": spoken(label, tip), class: "lusnb-button",
    data: { testid: id }, on: { click: onclick },
  });
  const press = (on) => node.setAttribute("aria-pressed", String(on));
  if (pressed !== undefined) press(pressed);
  return { node, press };
}

// A slider with its value written out: {node, input, get(), set(value)}. oninput(value) on every move.
export function slider({ id, label, min, max, step = 1, value, unit = "", oninput }) {
  const written = element("output", { class: "lusnb-value" });
  const input = element("input", {
    type: "range", min, max, step, value, "aria-label": label, data: { testid: id },
  });
  const show = () => {
    written.textContent = `${input.value}${unit}`;
    input.setAttribute("aria-valuetext", written.textContent);
  };
  input.addEventListener("input", () => { show(); oninput(Number(input.value)); });
  show();
  const node = element("label", { class: "lusnb-control" }, element("span", { text: label }), input, written);
  const set = (to) => { input.value = to; show(); };
  return { node, input, get: () => Number(input.value), set };
}

// A list to choose from: {node, input, get(), set(value), fill(options)}. options: [value, text] pairs.
export function select({ id, label, options, value, onchange }) {
  const input = element("select", {
    "aria-label": label, data: { testid: id }, on: { change: () => onchange(input.value) },
  });
  const fill = (pairs) =>
    input.replaceChildren(...pairs.map(([v, text]) => element("option", { value: v, text })));
  const set = (to) => { input.value = to; };
  fill(options);
  if (value !== undefined) set(value);
  const node = element("label", { class: "lusnb-control" }, element("span", { text: label }), input);
  return { node, input, get: () => input.value, set, fill };
}

// A box to tick: {node, input, get(), set(on)}; `colour` puts a swatch before its label.
export function checkbox({ id, label, checked = false, colour, onchange }) {
  const input = element("input", {
    type: "checkbox", checked, "aria-label": label, data: { testid: id },
    on: { change: () => onchange(input.checked) },
  });
  const swatch = colour ? [element("span", { class: "lusnb-swatch", style: `background:${colour}` })] : [];
  const node = element("label", { class: "lusnb-control" }, input, ...swatch, element("span", { text: label }));
  return { node, input, get: () => input.checked, set: (on) => { input.checked = on; } };
}

// A row of controls under a name that screen readers tell.
export function group(label, ...nodes) {
  return element("div", { class: "lusnb-group", role: "group", "aria-label": label }, ...nodes);
}

// JupyterLab moves between cells by arrows and runs commands by letters, unless what has the focus forbids it.
export function keepKeys(root) {
  root.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
}
