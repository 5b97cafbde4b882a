// From bytes and thresholds to the layers of the stage; and what the thresholds keep, in numbers.
import { confidenceTable, greyTable, leastKept, packed, rgb } from "./levels.js";
import { Layer, Stage } from "./stage.js";

export const ERRORS = [
  { name: "agreeing", colour: "#2ca5e0" },
  { name: "missed", colour: "#ffd92f" },
  { name: "spurious", colour: "#e0409f" },
  { name: "missed and spurious", colour: "#ff5a1f" },
];
const MISSED = 1, SPURIOUS = 2, AGREEING = 4;

// The least byte of a prediction that counts at an output threshold of so many per cent: 128 at 50 %, as
// predictions.CUT in Python. At 0 % every pixel that is not surely without the feature.
export function leastPredicted(percent) {
  return Math.max(1, Math.ceil((255 * percent) / 100));
}

// The least byte of a label that a threshold of so many per cent keeps.
export function leastLabelled(percent) {
  return leastKept(percent / 100);
}

// A stage that paints its layers again right before they are shown, however often something was turned.
export class Picture extends Stage {
  constructor(options) {
    super(options);
    this.repaint = () => {};
  }

  change(repaint) {
    this.repaint = repaint;
    this.dirty = true;
    this.draw();
  }

  drawNow() {
    if (this.dirty) { this.dirty = false; this.repaint(); }
    super.drawNow();
  }
}

// Layers of one clip's size: grey below, one a feature, errors on top.
export class Overlays {
  constructor(height, width, colours) {
    this.size = { height, width };
    this.colours = colours;
    this.grey = new Layer(height, width);
    this.nothing = new Uint8Array(height * width);
    this.features = colours.map(() => new Layer(height, width));
    this.errors = new Layer(height, width);
    this.layers = [this.grey, ...this.features, this.errors];
  }

  // bytes: one frame, or null where it is not here yet: black.
  setGrey(bytes, look) {
    this.grey.bytes = bytes || this.nothing;
    this.grey.table = bytes ? greyTable(look) : greyTable();
    this.grey.paint();
  }

  // maps: Uint8Array (C x H x W) or null; shown: one truth value a feature; least: the first byte that is shown.
  setMaps(maps, { shown, least, flat, opacity }) {
    const one = this.size.height * this.size.width;
    this.features.forEach((layer, c) => {
      layer.visible = Boolean(maps) && shown[c];
      if (!layer.visible) return;
      layer.bytes = maps.subarray(c * one, (c + 1) * one);
      layer.table = confidenceTable(this.colours[c], { least, flat, opacity });
      layer.paint();
    });
    this.errors.visible = false;
  }

  // Both maps (C x H x W), cut at their least bytes. Returns {features, both}: per feature {missed, spurious,
  // agreeing} in pixels, null where it is not shown; both: pixels where one is missed and another is spurious.
  setErrors(labels, predicted, { shown, leastLabel, leastPrediction, opacity }) {
    for (const layer of this.features) layer.visible = false;
    const { bytes } = this.errors, one = bytes.length;
    bytes.fill(0);
    const features = shown.map((on, c) =>
      (on ? compare(labels, predicted, c * one, bytes, leastLabel, leastPrediction) : null));
    let both = 0;
    for (let i = 0; i < one; i += 1) both += bytes[i] & SPURIOUS && bytes[i] & MISSED;
    this.errors.table = errorTable(Math.min(255, 350 * opacity)); // surer than confidence: it has no grades
    this.errors.visible = true;
    this.errors.paint();
    return { features, both };
  }
}

// One feature's errors, marked into `codes` and counted.
export function compare(labels, predicted, from, codes, leastLabel, leastPrediction) {
  const counts = [0, 0, 0, 0, 0], bit = [0, SPURIOUS, MISSED, AGREEING];
  for (let i = 0; i < codes.length; i += 1) {
    const labelled = labels[from + i] >= leastLabel, said = predicted[from + i] >= leastPrediction;
    const mark = bit[(labelled ? 2 : 0) + (said ? 1 : 0)];
    counts[mark] += 1;
    codes[i] |= mark;
  }
  return { missed: counts[MISSED], spurious: counts[SPURIOUS], agreeing: counts[AGREEING] };
}

// A pixel of several features: what is wrong goes before what agrees.
function errorTable(alpha) {
  const [agreeing, missed, spurious, other] = ERRORS.map(({ colour }) => packed(rgb(colour), Math.round(alpha)));
  return Uint32Array.from({ length: 256 }, (_, code) => {
    if ((code & MISSED) && (code & SPURIOUS)) return other;
    if (code & MISSED) return missed;
    if (code & SPURIOUS) return spurious;
    return code & AGREEING ? agreeing : 0;
  });
}

// (C x S x T) on the frame's own pixels (C x H x W), nearest neighbour.
export function scaledUp(data, [count, high, wide], height, width) {
  const out = new Uint8Array(count * height * width);
  const column = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * wide) / width));
  let at = 0;
  for (let c = 0; c < count; c += 1) {
    for (let y = 0; y < height; y += 1) {
      const row = (c * high + Math.floor(((y + 0.5) * high) / height)) * wide;
      for (let x = 0; x < width; x += 1) { out[at] = data[row + column[x]]; at += 1; }
    }
  }
  return out;
}

// Share of the painted area (c > 0) that each threshold from 0 to 100 % keeps: 101 fractions; null where nothing
// is painted.
export function keptShares(maps, from, one) {
  const counts = new Int32Array(256), kept = new Int32Array(257);
  for (let i = from; i < from + one; i += 1) counts[maps[i]] += 1;
  for (let v = 255; v >= 0; v -= 1) kept[v] = kept[v + 1] + counts[v];
  return kept[1] ? Array.from({ length: 101 }, (_, t) => kept[leastLabelled(t)] / kept[1]) : null;
}
