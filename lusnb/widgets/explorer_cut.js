// From which probability on an arm's pixels count as predicted, and that in words.
//
// The slider stands at the arm's own validation cut, which another arm, seed or fold has elsewhere, until the
// reader moves it. What was chosen by hand then holds for every arm and clip, until the own cut is asked for again.
import { leastPredicted } from "./explorer_picture.js";

export const OWN = -1; // in place of a per cent: each arm's own cut
export const HALF = 50; // per cent: a cut at 0.5

const perCent = (level) => Math.max(1, Math.round((100 * level) / 255)); // the slider begins at 1 %

// {least: the least byte that is predicted, percent: where the slider stands, at: the same as a fraction, told: in
// words, masked: the frame was cut already, words: at which cut the frame is shown}. output: OWN or per cent; card:
// what the arm predicted of this clip (cut, task_cut: levels, null where not known); frame: its number.
export function cutAt(output, card, frame) {
  const there = card && Object.keys(card.frames).length > 0, own = there ? card.cut : null, at = output === OWN ? own : null;
  const percent = at !== null ? perCent(at) : output === OWN ? HALF : output;
  let told = `${percent} %`;
  if (at !== null) told += ", its own validation cut";
  else if (own !== null) told += `; its own validation cut is ${perCent(own)} %`;
  else if (there) told += "; its own validation cut is not known, as this run is older";
  const chosen = { least: at ?? leastPredicted(percent), percent, at: at === null ? percent / 100 : at / 255, told };
  const mask = there && card.frames[frame] === "task" ? card.task_cut : null;
  if (mask === null) return { ...chosen, masked: false, words: `predicted from ${told}` };
  return { ...chosen, masked: true, words: `cut at ${perCent(mask)} % already${mask === own ? ", its own validation cut" : ""}` };
}

// The cut of what is shown now.
export function cutOf(view) {
  return cutAt(view.state.output, view.armCard, view.state.frame);
}

// Puts slider, buttons, chart and words to it.
export function showCut(view) {
  const cut = cutOf(view), { output, arm } = view.state, { words, masked } = cut;
  for (const { to, press } of view.cutButtons) press(to === output);
  if (output === OWN && arm && !view.armCard) return; // this arm's own cut is on its way
  view.output.set(cut.percent);
  view.output.input.setAttribute("aria-valuetext", cut.told);
  view.cutWords.textContent = `${words[0].toUpperCase()}${words.slice(1)}${masked ? ": the slider changes nothing on this frame" : ""}.`;
  view.charts.output(cut.at, output === HALF);
}
