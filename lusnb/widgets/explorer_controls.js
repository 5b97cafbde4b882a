// The explorer's own controls: label threshold and rater, arm and output threshold, the look of the picture.
import { button, checkbox, element, group, select, slider } from "./controls.js";
import { HALF, OWN, showCut } from "./explorer_cut.js";
import { point } from "./explorer_words.js";

const MODES = { labels: "Labels", prediction: "Prediction", errors: "Errors" };

export function labelControls(view) {
  view.threshold = slider({
    id: "threshold", label: "Label threshold", min: 0, max: 100, value: view.state.threshold, unit: " %",
    oninput: (value) => view.turnThreshold(value),
  });
  view.threshold.input.title = "What counts as labelled: confidence of at least so much; 0 %: anything painted ([ and ])";
  view.source = select({
    id: "source", label: "Labels of", options: [], onchange: (source) => { view.set({ source }); view.loadLabels(); },
  });
  return group("Labels", view.threshold.node, view.source.node);
}

// Predicted from somewhere else. output: per cent, or OWN.
export function turnCut(view, output) {
  view.set({ output });
  showCut(view);
  view.turn();
  if (view.card) point(view, view.last);
}

export function armControls(view) {
  const arms = [["", "none"], ...view.arms.map(({ key }) => [key, key])];
  view.arm = select({ id: "arm", label: "Arm", options: arms, value: view.state.arm, onchange: (arm) => view.chooseArm(arm) });
  if (!view.arms.some(({ key }) => key === view.state.arm)) view.set({ arm: "" });
  view.arm.set(view.state.arm);
  view.output = slider({
    id: "output", label: "Predicted from", min: 1, max: 100, value: HALF, unit: " %", oninput: (output) => turnCut(view, output),
  });
  view.output.input.title = "Output threshold: a pixel is predicted where the arm's probability is at least so much";
  const cutTo = (id, label, tip, to) => ({ to, ...button({ id, label, tip, pressed: false, onclick: () => turnCut(view, to) }) });
  view.cutButtons = [
    cutTo("cut-own", "Own cut", "Own cut: predicted from where this arm's validation patients put it (O: this, then 50 %)", OWN),
    cutTo("cut-half", "50 %", "Every arm predicted from 50 % (O)", HALF),
  ];
  view.cutWords = element("p", { class: "lusnb-status", role: "status", data: { testid: "cut" } });
  const features = [["all", "all features shown"], ...view.catalogue.features.map((name, c) => [name, view.catalogue.words[c]])];
  view.of = select({
    id: "of", label: "Errors in", options: features, onchange: () => { view.charts.arms(view.armName(), view.of.get()); view.turn(); },
  });
  view.modes = Object.entries(MODES).map(([mode, label]) => ({
    mode, ...button({ id: `show-${mode}`, label, tip: `Show ${label.toLowerCase()}`, pressed: false, onclick: () => view.showMode(mode) }),
  }));
  view.role = element("p", { class: "lusnb-status", data: { testid: "role" }, text: view.advice });
  const note = element("p", { class: "lusnb-note", data: { testid: "note" }, text: view.note });
  view.ofArm = [view.output.node, ...view.cutButtons.map(({ node }) => node), view.of.node, view.cutWords];
  const controls = view.arms.length ? [view.arm.node, ...view.ofArm.slice(0, -1)] : [];
  return element("div", { class: "lusnb-picker" },
    group("What is shown", ...(view.arms.length ? view.modes.map(({ node }) => node) : [])),
    group("Predictions", ...controls), view.cutWords, view.role, ...(view.note ? [note] : []));
}

export function lookControls(view) {
  const grey = (name, label, min, max, step) => slider({
    id: name, label, min, max, step, value: view.look[name],
    oninput: (value) => { view.look[name] = value; view.greyStale = true; view.turn(); },
  }).node;
  const opacity = slider({
    id: "opacity", label: "Opacity", min: 0, max: 100, value: 100 * view.opacity, unit: " %",
    oninput: (value) => { view.opacity = value / 100; view.turn(); },
  });
  const flat = checkbox({ id: "flat", label: "One opacity for all that is kept", onchange: (on) => { view.flat = on; view.turn(); } });
  const fit = button({ id: "fit", label: "Fit", tip: "Show the whole frame (0)", onclick: () => view.picture.fit() });
  return element("details", {}, element("summary", { text: "Picture: window, gain, opacity, zoom" }),
    group("Picture", grey("level", "Level", 0, 255, 0.5), grey("window", "Window", 5, 255, 1), grey("gain", "Gain", 0.2, 4, 0.1),
      opacity.node, flat.node, fit.node));
}
