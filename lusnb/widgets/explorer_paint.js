// The layers that are shown: labels, a prediction, or where the two part.
import { cutOf } from "./explorer_cut.js";
import { leastLabelled } from "./explorer_picture.js";

export function paint(view) {
  const { frame, threshold, shown } = view.state, { height, width } = view.card, one = height * width, cut = cutOf(view);
  if (view.greyStale) {
    view.greyStale = !view.has(frame); // what is on its way replaces another frame at once, and is painted when it comes
    view.overlays.setGrey(view.greyStale ? null : view.clip.data.subarray(frame * one, (frame + 1) * one), view.look);
  }
  const labels = view.labels && view.labels.frame === frame ? view.labels : null, { predicted } = view;
  const features = view.table.shown, look = { flat: view.flat, opacity: view.opacity };
  view.errorWords.hide();
  if (shown === "errors" && labels && predicted) {
    const own = view.of.get(), chosen = view.catalogue.features.map((name, c) => (own === "all" ? features[c] : name === own));
    const counted = chosen.map((on, c) => on && labels.known[c]);
    const least = { leastLabel: leastLabelled(threshold), leastPrediction: cut.least };
    const found = view.overlays.setErrors(labels.data, predicted.data, { shown: counted, opacity: view.opacity, ...least });
    view.errorWords.show(found, view.catalogue.words.filter((_, c) => chosen[c] && !labels.known[c]), cut.words);
    return;
  }
  if (shown === "errors") view.errorWords.none(labels ? "no prediction of this frame" : "no labels of this frame");
  if (shown === "prediction" || (shown === "errors" && predicted)) {
    view.overlays.setMaps(predicted && predicted.data, { shown: features, least: cut.least, ...look });
  } else {
    view.overlays.setMaps(labels && labels.data, { shown: features, least: leastLabelled(threshold), ...look });
  }
}
