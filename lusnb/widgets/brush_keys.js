// What keys do, told once: for the keyboard and for the help sheet.
import { element } from "./controls.js";

// [keys, what the help sheet says, what is done]; `desk` is the brush's Desk.
export const KEYS = [
  [[..."123456789"], "confidence 10 % to 90 %", (desk, key) => desk.set({ confidence: Number(key) / 10 })],
  [["0"], "confidence 100 %", (desk) => desk.set({ confidence: 1 })],
  [["["], "smaller brush", (desk) => desk.grow(-1)],
  [["]"], "larger brush", (desk) => desk.grow(1)],
  [["b"], "brush", (desk) => desk.choose("brush")],
  [["e"], "eraser", (desk) => desk.choose("eraser")],
  [["f"], "fill: the connected region of the clicked value", (desk) => desk.choose("fill")],
  [["p"], "polygon: click its corners, close it by Enter or a double click", (desk) => desk.choose("polygon")],
  [["l"], "line: drag from end to end, as wide as the brush", (desk) => desk.choose("line")],
  [["m"], "set or build up", (desk) => desk.set({ mode: desk.painter.mode === "set" ? "build" : "set" })],
  [["Ctrl+z"], "undo", (desk) => desk.painter.undo()],
  [["Ctrl+Shift+z", "Ctrl+y"], "redo", (desk) => desk.painter.redo()],
  [["Ctrl+s"], "save now (it saves by itself too)", (desk) => desk.save()],
  [["ArrowUp"], "the feature above", (desk) => desk.feature(-1)],
  [["ArrowDown"], "the feature below", (desk) => desk.feature(1)],
  [["ArrowLeft"], "frame before, for context", (desk) => desk.frames.step(-1)],
  [["ArrowRight"], "frame after, for context", (desk) => desk.frames.step(1)],
  [[" "], "play the clip, or stop", (desk) => desk.play()],
  [["Home"], "back to the frame that is painted", (desk) => desk.frames.back()],
  [["h"], "hide all layers while held", (desk) => desk.hide(true)],
  [["t"], "show what a threshold would keep", (desk) => desk.set({ preview: !desk.painter.preview })],
  [["n"], "next frame of the list that is not painted yet", (desk) => desk.next(1)],
  [["Shift+n"], "frame before in the list", (desk) => desk.next(-1)],
  [["Enter"], "close the polygon", (desk) => desk.closePolygon()],
  [["Escape"], "drop the polygon", (desk) => desk.dropPolygon()],
  [["+"], "zoom in", (desk) => desk.stage.zoomTo(desk.stage.zoom * 1.25)],
  [["-"], "zoom out", (desk) => desk.stage.zoomTo(desk.stage.zoom / 1.25)],
  [["?"], "this sheet", (desk) => desk.help.showModal()],
];

const POINTER = [
  ["Drag", "paint on the active layer; the right button drags the eraser, and so does a pen's other end"],
  ["Wheel", "confidence, 5 % a step (once the picture was clicked: before, the page scrolls)"],
  ["Shift + wheel", "brush size"],
  ["Ctrl + wheel", "zoom at the pointer"],
  ["Shift + drag", "move the picture"],
];

const WORDS = [
  "Set: where the brush is full, the confidence becomes what is chosen; at its soft edge it goes over into what "
    + "was there. Build up: every stroke adds. Within one stroke a place is painted once, however often it is crossed.",
  "Not looked at: nothing is known of this feature here, and nothing is stored. Nothing there: you looked, and "
    + "there is none. Painting marks a feature as looked at by itself.",
  "Everything is saved by itself, and every earlier save is kept.",
];

const NAMES = { " ": "Space", ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193" };

// The name of a pressed key as in KEYS: "Ctrl+Shift+z". Shift counts for letters only.
export function keyName(event) {
  const letter = event.key.length === 1 && event.key.toLowerCase() !== event.key.toUpperCase();
  const key = letter ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return `${control}${letter && event.shiftKey ? "Shift+" : ""}${key}`;
}

// Whether a focused control needs a key itself: arrows on a slider, letters in a list, Space on a button.
export function ownKey(target, name) {
  const kind = target.tagName === "INPUT" ? target.type : target.tagName;
  if (kind === "text" || kind === "SELECT") return true;
  if (kind === "range") return /^(Arrow|Home|End|Page)/.test(name);
  return (kind === "BUTTON" || kind === "checkbox") && (name === " " || name === "Enter");
}

// The help sheet, a dialog that keeps the focus until it is closed.
export function helpSheet() {
  const shown = (keys) => (keys.length > 3 ? `${keys[0]} ... ${keys[keys.length - 1]}`
    : keys.map((key) => NAMES[key] || key.replace(/\b[a-z]$/, (one) => one.toUpperCase())).join(", "));
  const rows = [...POINTER, ...KEYS.map(([keys, words]) => [shown(keys), words])];
  const table = element("table", { class: "lusnb-brush-keys" }, ...rows.map(([keys, words]) =>
    element("tr", {}, element("th", { scope: "row", text: keys }), element("td", { text: words }))));
  const close = element("button", {
    type: "button", class: "lusnb-button", text: "Close", autofocus: true, data: { testid: "help-close" },
  });
  const dialog = element("dialog", {
    class: "lusnb-brush-help", "aria-label": "Help for the soft brush", data: { testid: "help-sheet" },
  }, element("h3", { text: "The soft brush" }), close, ...WORDS.map((text) => element("p", { text })), table);
  close.addEventListener("click", () => dialog.close());
  return dialog;
}
