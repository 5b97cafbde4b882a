// The layers of a picture and what is done to them: tools, undo, what was looked at. Shows nothing by itself.
import { Layer } from "./stage.js";
import { confidenceTable, leastKept } from "./levels.js";
import { History, LEAST_RADIUS, Stroke, empty, fill, joined, painted, polygon, put, taken } from "./strokes.js";

const NOWHERE = { x: 0, y: 0, w: 0, h: 0 };
export const SIZES = { least: 2, most: 200 }; // of the brush, in pixels of the picture

export class Painter {
  // changed(feature, box): these bytes are others now; told(text): why something was not done.
  constructor({ changed, told }) {
    Object.assign(this, { changed, told });
    this.blocked = () => ""; // why nothing may be changed now
    this.features = [];
    this.active = 0;
    this.tool = "brush";
    Object.assign(this, { mode: "set", size: 16, hardness: 0.5, confidence: 1, pressure: "off" });
    Object.assign(this, { opacity: 0.7, preview: false, threshold: 0.5, hidden: false, source: "empty" });
    this.dims = { height: 1, width: 1 };
    this.corners = []; // of a polygon that is not closed yet
    this.stroke = null;
    this.history = new History();
  }

  // The features of a cohort: names and colours.
  name(names, colours) {
    const kept = (k) => this.features[k] || { shown: true, locked: false, looked: false };
    this.features = names.map((name, k) => ({ ...kept(k), name, colour: colours[k], layer: new Layer(1, 1) }));
    this.active = Math.min(this.active, names.length - 1);
  }

  // Another picture, or the same one as Python has it: height, width, looked, source and one buffer a feature.
  open({ height, width, looked, source }, maps) {
    this.dims = { height, width };
    this.source = source;
    this.corners = [];
    this.stroke = null;
    this.history = new History();
    this.features.forEach((feature, k) => {
      if (feature.layer.canvas.width !== width || feature.layer.canvas.height !== height) {
        feature.layer = new Layer(height, width);
      }
      feature.layer.bytes.set(maps[k]);
      feature.looked = looked[k];
    });
    this.colour();
  }

  // Colours of all layers, as shown or as a threshold would keep them.
  colour() {
    const least = this.preview ? leastKept(this.threshold) : 1;
    for (const { layer, colour, shown } of this.features) {
      layer.table = confidenceTable(colour, { least, flat: this.preview, opacity: this.opacity });
      layer.visible = shown && !this.hidden;
      layer.paint();
    }
  }

  get now() { return this.features[this.active]; }

  get value() { return 255 * this.confidence; }

  // Why the active layer takes nothing; "" when it does.
  closed() {
    if (!this.now) return "There is nothing to paint on yet.";
    if (this.now.locked) return `${this.now.name} is locked: unlock it to paint.`;
    if (!this.now.shown) return `${this.now.name} is hidden: show it to paint.`;
    return "";
  }

  begin(place, press) {
    if (this.tool === "fill") return this.fillAt(place, press.erase ? 0 : Math.round(this.value));
    if (this.tool === "polygon") return void this.corners.push(place);
    const kind = this.tool === "eraser" || press.erase ? "erase" : this.mode;
    const hardness = this.tool === "line" ? 1 : this.hardness;
    this.stroke = new Stroke(this.now.layer.bytes, this.dims, { kind, value: this.value, hardness });
    this.start = this.point(place, press);
    this.drawn = { feature: this.active, looked: this.now.looked, line: this.tool === "line" };
    return this.extend([[place, press]]);
  }

  // A place as a point of the stroke; the pen's pressure (0..1) counts where it was asked for.
  point({ x, y }, { pressure }) {
    const scale = (what) => (this.pressure === what ? pressure : 1);
    const radius = Math.max(LEAST_RADIUS, (this.size / 2) * scale("size"));
    return { x, y, radius, strength: scale("confidence") };
  }

  extend(places) {
    if (!this.stroke) return;
    let box = null;
    if (this.drawn.line) {
      box = this.stroke.restart();
      box = joined(box, this.stroke.add(this.start));
      const end = this.point(...places[places.length - 1]);
      box = joined(box, this.stroke.add({ ...end, radius: this.start.radius, strength: this.start.strength }));
    } else {
      for (const place of places) box = joined(box, this.stroke.add(this.point(...place)));
    }
    if (empty(box)) return;
    if (this.stroke.kind !== "erase") this.features[this.drawn.feature].looked = true;
    this.shown(this.drawn.feature, box);
  }

  // The pointer is up: the stroke becomes a step.
  end() {
    const { stroke, drawn } = this;
    this.stroke = null;
    if (!stroke) return;
    if (empty(stroke.box)) { // beside the picture
      this.features[drawn.feature].looked = drawn.looked;
      return;
    }
    this.keep([{ ...drawn, box: stroke.box, bytes: taken(stroke.before, this.dims.width, stroke.box) }]);
  }

  fillAt({ x, y }, value) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= this.dims.width || row >= this.dims.height) return;
    this.whole((bytes) => fill(bytes, this.dims, column, row, value));
  }

  closePolygon() {
    const points = this.corners;
    this.corners = [];
    if (points.length > 2) this.whole((bytes) => polygon(bytes, this.dims, points, Math.round(this.value)));
  }

  // Does something to the active layer that returns the box it changed, as one step.
  whole(change) {
    const { bytes } = this.now.layer, before = bytes.slice(), { looked } = this.now;
    const box = change(bytes);
    if (empty(box)) return;
    this.now.looked = true;
    this.keep([{ feature: this.active, looked, box, bytes: taken(before, this.dims.width, box) }]);
    this.shown(this.active, box);
  }

  // Looked at or not, as one step; what was not looked at has no paint.
  look(k, on) {
    const feature = this.features[k], { looked, layer: { bytes } } = feature;
    const box = on ? NOWHERE : painted(bytes, this.dims) || NOWHERE;
    this.keep([{ feature: k, looked, box, bytes: taken(bytes, this.dims.width, box) }]);
    if (box.w) put(bytes, this.dims.width, box, new Uint8Array(box.w * box.h));
    feature.looked = on;
    this.shown(k, box);
  }

  // Other maps and states for all layers that are not locked, as one step.
  startFrom(source, maps, looked) {
    const box = { x: 0, y: 0, w: this.dims.width, h: this.dims.height };
    const free = this.features.flatMap((feature, k) => (feature.locked ? [] : [k]));
    this.keep(free.map((k) => {
      const { layer: { bytes }, looked: before } = this.features[k];
      return { feature: k, looked: before, box, bytes: bytes.slice() };
    }));
    this.source = source;
    for (const k of free) {
      this.features[k].layer.bytes.set(maps[k]);
      this.features[k].looked = looked[k];
      this.shown(k, box);
    }
  }

  keep(parts) {
    this.history.push({ parts, source: this.source });
  }

  // Takes a step back or does it again; nobody is told before both lists of the history are as they are then.
  undo() { this.again("undo", this.history.done); }

  redo() { this.again("redo", this.history.undone); }

  again(way, steps) {
    if (this.stroke || !steps.length || this.blocked()) return;
    const { parts } = steps[steps.length - 1];
    const held = parts.find(({ feature }) => this.features[feature].locked);
    if (held) return void this.told(`${this.features[held.feature].name} is locked: unlock it to ${way}.`);
    this.history[way]((step) => this.swap(step));
    for (const { feature, box } of parts) this.shown(feature, box); // now that the history has moved
  }

  swap({ parts, source }) {
    const { width } = this.dims, before = this.source;
    this.source = source;
    const back = parts.map((part) => {
      const feature = this.features[part.feature], { bytes } = feature.layer;
      const was = { ...part, bytes: taken(bytes, width, part.box), looked: feature.looked };
      put(bytes, width, part.box, part.bytes);
      feature.looked = part.looked;
      return was;
    });
    return { parts: back, source: before };
  }

  shown(k, box) {
    if (!empty(box)) this.features[k].layer.paint(box);
    this.changed(k, empty(box) ? NOWHERE : box);
  }
}
