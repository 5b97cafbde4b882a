// Which keys the explorer takes, and a sheet that tells them.
import { element } from "./controls.js";
import { turnCut } from "./explorer_controls.js";
import { HALF, OWN } from "./explorer_cut.js";

const KEYS = [
  ["← →", "frame back, on"], ["Space", "play, stop"], ["[ ]", "label threshold down, up by 1 % ({ } by 10 %)"],
  ["1 to 9", "feature on, off"], ["P N", "previous, next clip"], ["L", "to the labelled frame"], ["O", "arm's own cut, cut at 50 %"],
  ["+ − 0", "zoom in, out, whole frame"], ["wheel", "zoom, once the picture was clicked; before, with Ctrl"], ["Shift + drag", "move"],
];
const TYPED = ["text", "number", "search"];

// Hands a key on unless the control that has it needs it itself: text, arrows of a list or a slider, space of a button.
export function keyed(event, take) {
  const { target, key } = event, tag = target.tagName, kind = tag === "INPUT" ? target.type : "";
  if (event.ctrlKey || event.metaKey || event.altKey || TYPED.includes(kind)) return;
  if (tag === "SELECT" && key !== "[" && key !== "]") return;
  if (kind === "range" && (key.startsWith("Arrow") || key === "Home" || key === "End")) return;
  if (key === " " && ["BUTTON", "INPUT", "SUMMARY"].includes(tag)) return;
  if (take(key.length === 1 ? key.toLowerCase() : key)) event.preventDefault();
}

export function keySheet() {
  const items = KEYS.flatMap(([keys, what]) => [element("dt", { text: keys }), element("dd", { text: what })]);
  return element("details", {}, element("summary", { text: "Keys" }), element("dl", { class: "lusnb-keys" }, ...items));
}

// One key; true where it meant something.
export function act(view, key) {
  const by = { "[": -1, "]": 1, "{": -10, "}": 10 }[key];
  if (by) {
    const value = Math.min(100, Math.max(0, view.state.threshold + by));
    view.threshold.set(value);
    view.turnThreshold(value);
  } else if (key === "ArrowLeft" || key === "ArrowRight") view.player.step(key === "ArrowLeft" ? -1 : 1);
  else if (key === " ") view.player.toggle();
  else if (key === "p" || key === "n") view.picker.step(key === "p" ? -1 : 1);
  else if (key === "l") view.toLabels();
  else if (key === "o" && view.state.arm) turnCut(view, view.state.output === OWN ? HALF : OWN);
  else if (key === "0") view.picture.fit();
  else if (key === "+" || key === "-") view.picture.zoomTo(view.picture.zoom * (key === "+" ? 1.25 : 0.8));
  else if (/^[1-9]$/.test(key)) view.table.toggle(Number(key) - 1);
  else return false;
  return true;
}
