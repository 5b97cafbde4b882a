// What a brush does to a layer: pure arithmetic on bytes (255 = 100 %), rows of `width`; no DOM.
// A box is {x, y, w, h} in pixels. A point lies at (x, y) with (0, 0) the outer corner of the first pixel, so
// that the centre of pixel (column, row) is (column + 0.5, row + 0.5).

export const LEAST_RADIUS = 0.75; // pixels; the nearest centre is never farther than 0.71

// Share of the paint at a distance from the stroke: 1 up to hardness * radius, then falling to 0 at the radius.
export function profile(distance, radius, hardness) {
  const core = hardness * radius;
  if (distance <= core) return 1;
  return distance >= radius ? 0 : (radius - distance) / (radius - core);
}

// The box around points and all within `reach` of them, cut to the picture.
export function boxOf(points, reach, { height, width }) {
  const within = (v, most) => Math.min(most, Math.max(0, v));
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
  const x = within(Math.floor(Math.min(...xs) - reach), width);
  const y = within(Math.floor(Math.min(...ys) - reach), height);
  const right = within(Math.ceil(Math.max(...xs) + reach), width);
  const bottom = within(Math.ceil(Math.max(...ys) + reach), height);
  return { x, y, w: right - x, h: bottom - y };
}

export const empty = (box) => !box || box.w <= 0 || box.h <= 0;

// The least box that holds both.
export function joined(a, b) {
  if (empty(a)) return b;
  if (empty(b)) return a;
  const x = Math.min(a.x, b.x), y = Math.min(a.y, b.y);
  const right = Math.max(a.x + a.w, b.x + b.w), bottom = Math.max(a.y + a.h, b.y + b.h);
  return { x, y, w: right - x, h: bottom - y };
}

// The bytes of a box, row by row.
export function taken(bytes, width, { x, y, w, h }) {
  const part = new Uint8Array(w * h);
  for (let row = 0; row < h; row += 1) {
    const at = (y + row) * width + x;
    part.set(bytes.subarray(at, at + w), row * w);
  }
  return part;
}

// Puts bytes that were `taken` back.
export function put(bytes, width, { x, y, w, h }, part) {
  for (let row = 0; row < h; row += 1) bytes.set(part.subarray(row * w, row * w + w), (y + row) * width + x);
}

// A stroke over one layer: a polyline, added point by point. Each pixel takes the paint of the segment (or of
// the first point) that covers it most, so how often a place is crossed does not matter, nor how many points
// came on the way.
// kind: "set" (towards `value`), "build" (adds) or "erase"; value: 0..255. `radius` and `strength` (0..1) of a
// point change along a segment as its place does; of equal cover the stronger counts.
export class Stroke {
  constructor(bytes, size, { kind, value, hardness }) {
    Object.assign(this, { bytes, size, kind, value, hardness });
    this.before = bytes.slice();
    this.cover = new Float64Array(bytes.length);
    this.strength = new Float64Array(bytes.length);
    this.box = null;
    this.last = null;
  }

  // Adds a point {x, y, radius, strength}; returns the box that it changed.
  add(point) {
    const from = this.last || point;
    this.last = point;
    const changed = boxOf([from, point], Math.max(from.radius, point.radius), this.size);
    this.box = joined(this.box, changed);
    if (!empty(changed)) this.mark(from, point, changed);
    return changed;
  }

  // Takes all points away again, for a line whose end is still being moved; returns the box.
  restart() {
    const { box, size: { width } } = this;
    for (let row = box ? box.y : 0; box && row < box.y + box.h; row += 1) {
      const at = row * width + box.x, end = at + box.w;
      this.bytes.set(this.before.subarray(at, end), at);
      this.cover.fill(0, at, end);
      this.strength.fill(0, at, end);
    }
    this.box = this.last = null;
    return box;
  }

  mark(a, b, { x, y, w, h }) {
    const dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy, { width } = this.size;
    for (let row = y; row < y + h; row += 1) {
      const py = row + 0.5 - a.y;
      for (let column = x; column < x + w; column += 1) {
        const px = column + 0.5 - a.x;
        const t = length2 > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 1;
        const ex = px - t * dx, ey = py - t * dy, radius = a.radius + t * (b.radius - a.radius);
        const square = ex * ex + ey * ey;
        if (square > radius * radius) continue;
        const cover = profile(Math.sqrt(square), radius, this.hardness);
        this.take(row * width + column, cover, a.strength + t * (b.strength - a.strength));
      }
    }
  }

  take(at, cover, strength) {
    if (cover < this.cover[at] || (cover === this.cover[at] && strength <= this.strength[at])) return;
    this.cover[at] = cover;
    this.strength[at] = strength;
    this.bytes[at] = blended(this.kind, this.before[at], this.value, cover, strength);
  }
}

// What becomes of one pixel: `old` is the byte before the stroke, the rest as in Stroke.
export function blended(kind, old, value, cover, strength) {
  if (kind === "erase") return Math.round(old * (1 - cover * strength));
  if (kind === "build") return Math.min(255, old + Math.round(value * strength * cover));
  return Math.round(old * (1 - cover) + value * strength * cover);
}

// Fills the region of equal bytes around pixel (column, row), across edges, not corners; returns its box.
export function fill(bytes, { height, width }, column, row, value) {
  const old = bytes[row * width + column];
  if (old === value) return null;
  const open = [row * width + column];
  let [left, right, top, bottom] = [column, column, row, row];
  bytes[open[0]] = value;
  const visit = (at) => { if (bytes[at] === old) { bytes[at] = value; open.push(at); } };
  while (open.length) {
    const at = open.pop(), x = at % width, y = (at - x) / width;
    left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    if (x > 0) visit(at - 1);
    if (x < width - 1) visit(at + 1);
    if (y > 0) visit(at - width);
    if (y < height - 1) visit(at + width);
  }
  return { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

// Sets the pixels whose centre lies inside a polygon (even-odd); returns the box around it.
export function polygon(bytes, size, points, value) {
  const box = boxOf(points, 0, size);
  for (let row = box.y; row < box.y + box.h; row += 1) {
    const level = row + 0.5;
    const crossings = points.flatMap((a, k) => {
      const b = points[(k + 1) % points.length];
      return a.y > level === b.y > level ? [] : [a.x + ((level - a.y) / (b.y - a.y)) * (b.x - a.x)];
    });
    for (let column = box.x; column < box.x + box.w; column += 1) {
      const inside = crossings.filter((x) => x > column + 0.5).length % 2;
      if (inside) bytes[row * size.width + column] = value;
    }
  }
  return box;
}

// The least box around what is not zero, or null.
export function painted(bytes, { height, width }) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] === 0) continue;
    const x = at % width, y = (at - x) / width;
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    bottom = y;
  }
  return right < 0 ? null : { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

// Steps that can be undone. A step is a list of parts {feature, box, bytes, looked} and a `source`: what was
// there before. The last LEAST steps are always kept, more while they take less than MOST bytes.
export class History {
  constructor() {
    this.done = [];
    this.undone = [];
  }

  push(step) {
    this.undone = [];
    this.done.push(step);
    let weight = this.done.reduce((sum, one) => sum + weightOf(one), 0);
    while (this.done.length > History.LEAST && weight > History.MOST) weight -= weightOf(this.done.shift());
  }

  // Takes the last step back, or does it again: `swap` changes the layers and returns what was there before.
  undo(swap) { return History.move(this.done, this.undone, swap); }

  redo(swap) { return History.move(this.undone, this.done, swap); }

  static move(from, to, swap) {
    const step = from.pop();
    if (step) to.push(swap(step));
    return step !== undefined;
  }
}
History.LEAST = 200;
History.MOST = 100e6;

function weightOf(step) {
  return step.parts.reduce((sum, part) => sum + part.bytes.length, 0);
}
