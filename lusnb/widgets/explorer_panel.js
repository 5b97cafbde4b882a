// What stands beside the picture: features with their numbers, errors in words, the three charts.
import { checkbox, element } from "./controls.js";
import { Chart, percent } from "./curves.js";
import { ERRORS } from "./explorer_picture.js";

const NOTHING = "–", IOU = "IoU on held-out labels";

// One row a feature: a switch, confidence and prediction under the pointer, the share that is kept.
export class FeatureTable {
  constructor({ words, colours }, onswitch) {
    this.shown = words.map(() => true);
    this.rows = words.map((word, c) => {
      const box = checkbox({
        id: `feature-${c}`, label: word, checked: true, colour: colours[c],
        onchange: (on) => { this.shown[c] = on; onswitch(); },
      });
      box.input.title = c < 9 ? `Show or hide (${c + 1})` : "Show or hide";
      const [here, said, kept] = ["here", "said", "kept"].map((name) =>
        element("td", { class: "lusnb-number", data: { testid: `${name}-${c}` }, text: NOTHING }));
      const node = element("tr", {}, element("th", { scope: "row" }, box.node), here, said, kept);
      return { box, here, said, kept, node };
    });
    const heads = ["Feature", "label here", "predicted here", "kept"].map((text) => element("th", { scope: "col", text }));
    this.node = element("table", { class: "lusnb-table lusnb-counts", data: { testid: "features" } },
      element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {}, ...this.rows.map(({ node }) => node)));
    this.onswitch = onswitch;
  }

  toggle(c) {
    if (!this.rows[c]) return;
    this.shown[c] = !this.shown[c];
    this.rows[c].box.set(this.shown[c]);
    this.onswitch();
  }

  // Bytes under the pointer, one a feature (null: none), and whether the rater looked at it.
  here(labels, predictions, known) {
    this.rows.forEach(({ here, said }, c) => {
      const looked = !known || known[c];
      here.textContent = looked ? (labels ? percent(labels[c] / 255) : NOTHING) : "not looked at";
      said.textContent = predictions ? percent(predictions[c] / 255) : NOTHING;
    });
  }

  // Shares that the threshold keeps of each feature's painted area; null: nothing is painted.
  kept(shares) {
    this.rows.forEach(({ kept }, c) => { kept.textContent = shares && shares[c] !== null ? percent(shares[c]) : NOTHING; });
  }
}

// The legend of errors, and how many pixels are which.
export class ErrorWords {
  constructor() {
    this.numbers = ERRORS.map(() => element("output", { class: "lusnb-value" }));
    const items = ERRORS.map(({ name, colour }, k) => element("li", {},
      element("span", { class: "lusnb-swatch", style: `background:${colour}` }), element("span", { text: name }), this.numbers[k]));
    this.sum = element("p", { class: "lusnb-status", data: { testid: "iou" } });
    this.list = element("ul", { class: "lusnb-values" }, ...items);
    this.node = element("div", { data: { testid: "errors" } }, this.list, this.sum);
    this.last = items[items.length - 1];
    this.hide();
  }

  hide() {
    this.node.style.display = "none";
  }

  // In place of errors: why there are none to show.
  none(why) {
    this.node.style.display = "";
    this.list.style.display = "none";
    this.sum.textContent = `No errors to show: there is ${why}.`;
  }

  // features, both: from Overlays.setErrors; skipped: names of features that nobody looked at; cut: in words.
  show({ features, both }, skipped, cut) {
    this.node.style.display = this.list.style.display = "";
    const counted = features.filter(Boolean), total = (name) => counted.reduce((sum, one) => sum + one[name], 0);
    ["agreeing", "missed", "spurious"].forEach((name, k) => { this.numbers[k].textContent = `${total(name)} px`; });
    this.numbers[3].textContent = `${both} px`;
    this.last.style.display = counted.length > 1 ? "" : "none";
    const labelled = counted.filter(({ missed, agreeing }) => missed + agreeing > 0);
    const ious = labelled.map(({ missed, spurious, agreeing }) => agreeing / (missed + spurious + agreeing));
    const mean = ious.reduce((sum, iou) => sum + iou, 0) / ious.length;
    const of = counted.length > 1 ? `mean IoU of the ${ious.length} features that have a label here` : "IoU on this frame";
    const left = skipped.length ? ` Not looked at, so not counted: ${skipped.join(", ")}.` : "";
    this.sum.textContent = (ious.length ? `${of}: ${percent(mean, 1)} (${cut}).` : "Nothing is labelled here at this threshold.") + left;
  }
}

// Three charts of what the thresholds do.
export class Curves {
  constructor({ catalogue, curves, colours }) {
    Object.assign(this, { catalogue, curves, colours });
    this.kept = new Chart({ id: "curve-kept", title: "Kept of the painted area", across: "label threshold", up: "kept" });
    this.iou = new Chart({ id: "curve-iou", title: IOU, across: "label threshold", up: "IoU" });
    this.calibration = new Chart({
      id: "curve-calibration", title: "Calibration", across: "output threshold", up: "label", diagonal: true,
    });
    this.node = element("div", { class: "lusnb-below" }, this.kept.node, this.iou.node, this.calibration.node);
    this.half = false; // whether IoU is asked for at a cut of 50 %, in place of the arms' own
    this.arms("");
  }

  // shares: 101 fractions a feature, or null; labels: whose they are (`of`) and of which frame, or null.
  frame(shares, labels) {
    const { words, colours, features } = this.catalogue, { kept, missing } = this.curves;
    const here = words.map((name, c) => ({ name, colour: colours[c], points: ((shares && shares[c]) || []).map((y, t) => [t / 100, y]) }));
    const all = words.map((name, c) => ({ name, colour: colours[c], points: kept[features[c]] || [], dots: true, told: false }));
    const whole = missing.kept ? `Whole cohort: ${missing.kept}` : "Dotted: mean over the whole cohort, labels of all raters merged, as in 02.";
    this.kept.title(labels ? `Kept of the painted area, frame ${labels.frame}` : "Kept of the painted area");
    if (!shares && missing.kept) this.kept.empty(`No labels here. ${whole}`);
    else this.kept.set([...all, ...here], { note: shares ? `Lines: labels of ${labels.of}. ${whole}` : `No labels here. ${whole}` });
  }

  // The chosen arm is drawn strong; calibration is of one feature where it is known, else of all.
  arms(chosen, feature = "all") {
    const { calibration, missing } = this.curves;
    this.series = (found) => Object.entries(found).map(([name, points]) =>
      ({ name, points, colour: this.colours[name] || "#888888", dots: true, strong: name === chosen, round: true }));
    this.ious();
    const own = calibration[feature] ? feature : "all";
    const word = own === "all" ? "all features" : this.catalogue.words[this.catalogue.features.indexOf(own)];
    this.calibration.title(`Calibration, ${word}`);
    if (missing.calibration) this.calibration.empty(missing.calibration);
    else {
      const note = "Mean confidence of the label (of all raters merged, as in 04) where an arm predicts so much, near painted pixels.";
      this.calibration.set(this.series(calibration[own] || {}), { note });
    }
  }

  // IoU at the arms' own cuts or at 50 %, on one scale; where there is one of them alone, that one.
  ious() {
    const { iou: own, iou_fixed: fixed, missing } = this.curves, there = (found) => Object.keys(found).length > 0;
    const half = there(fixed) && (this.half || !there(own)), shown = half ? fixed : own;
    this.iou.title(`${IOU}, ${half ? "every arm cut at 50 %" : "each arm at its own validation cut"}`);
    if (!there(shown)) { this.iou.empty(missing.iou || missing.iou_fixed || ""); return; }
    const highest = Math.max(0.1, ...[own, fixed].flatMap((found) => Object.values(found).flat().map(([, y]) => y)));
    const other = half ? missing.iou || (there(own) ? "" : "This run of 04 is older, and has no other cut.") : missing.iou_fixed || "";
    const note = `Against labels of all raters merged, as in 04. ${other}`.trim();
    this.iou.set(this.series(shown), { top: [0.2, 0.4, 0.6, 0.8, 1].find((top) => top >= highest) || 1, note });
  }

  label(threshold) {
    this.kept.mark(threshold / 100);
    this.iou.mark(threshold / 100);
  }

  // at: the cut as a fraction; half: whether it was put to 50 %, and not to the arms' own or elsewhere.
  output(at, half) {
    this.calibration.mark(at);
    if (half !== this.half) { this.half = half; this.ious(); }
  }
}
