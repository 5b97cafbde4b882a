// What the explorer says in words and numbers about where one is.
import { cutOf, showCut } from "./explorer_cut.js";

// In words: which frame this is, whose labels there are, what the arm knows.
export function where(view) {
  const { frame, arm } = view.state, { labelled } = view;
  const others = labelled.length ? `labels are of frame ${labelled.join(", ")}` : "this clip has no labels";
  view.tell(`${view.card.patient_id}, ${view.card.clip_id}: frame ${frame}, ${labelled.includes(frame) ? "labelled" : others}.`);
  view.jump.node.style.display = labelled.length && !labelled.includes(frame) ? "" : "none";
  showCut(view);
  if (!arm) { view.role.textContent = view.advice; return; }
  if (!view.armCard) { view.role.textContent = `${arm}: opening ...`; return; }
  const frames = Object.keys(view.armCard.frames).map(Number).sort((a, b) => a - b);
  const kind = view.armCard.frames[frame];
  const now = kind === "labelled" ? "" : kind ? " Here it is what the clinical tasks read: smaller."
    : frames.length ? ` No prediction of this frame, but of ${frames.join(", ")}.` : "";
  view.role.textContent = `${arm}: ${view.armCard.told}.${now}`;
}

// What lies under the pointer; null: nothing.
export function point(view, place) {
  view.last = place;
  const { height, width, mm: [down, across] } = view.card, { frame } = view.state;
  const x = place ? Math.floor(place.x) : -1, y = place ? Math.floor(place.y) : -1;
  if (x < 0 || y < 0 || x >= width || y >= height || !view.has(frame)) {
    view.readout.textContent = "Point at the frame to read a pixel.";
    view.table.here(null, null, null);
    return;
  }
  const at = y * width + x, one = height * width, all = view.catalogue.features;
  const mm = down && across ? `${((x + 0.5) * across).toFixed(1)} mm across, ${((y + 0.5) * down).toFixed(1)} mm down` : "mm not known";
  const labels = view.labels && view.labels.frame === frame ? view.labels : null, { predicted } = view;
  const cut = predicted ? ` · ${cutOf(view).words}` : "";
  view.readout.textContent = `column ${x}, row ${y} · ${mm} · grey ${view.clip.data[frame * one + at]}${cut}`;
  const under = (data) => data && all.map((_, c) => data[c * one + at]);
  view.table.here(under(labels && labels.data), under(predicted && predicted.data), labels && labels.known);
}
