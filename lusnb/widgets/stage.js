// A picture that can be zoomed and moved, with coloured layers over it, drawn in the picture's own pixels.
import { element } from "./controls.js";
import { greyTable } from "./levels.js";

// One layer: bytes (height x width) through a table of 256 colours. `paint(box)` redraws a part, or all.
export class Layer {
  constructor(height, width) {
    this.canvas = element("canvas", { width, height });
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.bytes = new Uint8Array(height * width);
    this.table = greyTable();
    this.visible = true;
  }

  paint({ x = 0, y = 0, w = this.canvas.width, h = this.canvas.height } = {}) {
    const { bytes, pixels, table } = this;
    const width = this.canvas.width;
    for (let row = y; row < y + h; row += 1) {
      const end = row * width + x + w;
      for (let at = row * width + x; at < end; at += 1) pixels[at] = table[bytes[at]];
    }
    this.context.putImageData(this.image, 0, 0, x, y, w, h);
  }
}

// The stage: `node` to put into the page, `layers` from the bottom up, `draw()` shows them at the next frame.
// Wheel zooms at the pointer, where the widget has the focus or Ctrl is held: else it scrolls the page. The middle
// button or Shift + drag moves. Positions given to `onpointer` are in pixels of the picture, (0, 0) the outer
// corner of the first one.
export class Stage {
  constructor({ label, onpointer = () => {}, ondrawn = () => {} }) {
    this.canvas = element("canvas", {
      class: "lusnb-stage", tabindex: 0, role: "img", "aria-label": label, data: { testid: "stage" },
    });
    this.node = element("div", { class: "lusnb-frame" }, this.canvas);
    this.layers = [];
    this.above = () => {}; // (context, stage): drawn over the layers, in screen pixels
    this.size = { height: 1, width: 1 };
    this.stretch = 1; // height of a pixel of the picture over its width, on the body
    this.onpointer = onpointer;
    this.ondrawn = ondrawn;
    this.waiting = false;
    this.moving = null;
    this.fit();
    this.listen();
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.node);
  }

  // Layers of another picture: the view is kept where the size stays.
  show(layers, { height, width, stretch = 1 }) {
    const other = height !== this.size.height || width !== this.size.width || stretch !== this.stretch;
    this.layers = layers;
    this.size = { height, width };
    this.stretch = stretch;
    if (other) this.fit();
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.middle = { x: 0.5, y: 0.5 }; // of the view, as a fraction of the picture
    this.draw();
  }

  // Screen pixels (CSS) for a picture pixel, across and down, and where the picture's corner lies.
  view() {
    const box = { width: this.canvas.clientWidth || 1, height: this.canvas.clientHeight || 1 };
    const across = Math.min(box.width / this.size.width, box.height / (this.size.height * this.stretch));
    const sx = across * this.zoom, sy = sx * this.stretch;
    const left = box.width / 2 - this.middle.x * this.size.width * sx;
    const top = box.height / 2 - this.middle.y * this.size.height * sy;
    return { sx, sy, left, top, ...box };
  }

  // Where an event points, in pixels of the picture.
  place(event) {
    const box = this.canvas.getBoundingClientRect(), { sx, sy, left, top } = this.view();
    return { x: (event.clientX - box.left - left) / sx, y: (event.clientY - box.top - top) / sy };
  }

  zoomTo(zoom, at = { x: this.middle.x * this.size.width, y: this.middle.y * this.size.height }) {
    const next = Math.min(40, Math.max(1, zoom)), keep = this.zoom / next;
    this.middle.x = at.x / this.size.width + (this.middle.x - at.x / this.size.width) * keep;
    this.middle.y = at.y / this.size.height + (this.middle.y - at.y / this.size.height) * keep;
    this.zoom = next;
    this.draw();
  }

  draw() {
    if (this.waiting || !this.canvas) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.drawNow(); });
  }

  // Where it has no size (hidden) the picture stays. The observer tells when it is shown again, but not where it
  // was hidden for less than a frame, as while a theme changes: so a few tries follow.
  drawNow() {
    if (!this.canvas.clientWidth) {
      this.tries = (this.tries || 0) + 1;
      if (this.tries < 10) setTimeout(() => this.draw(), 100);
      return;
    }
    this.tries = 0;
    const { sx, sy, left, top, width, height } = this.view(), dense = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    context.setTransform(dense * sx, 0, 0, dense * sy, dense * left, dense * top);
    context.imageSmoothingEnabled = sx * dense < 2; // far in, pixels are shown as they are
    for (const layer of this.layers) if (layer.visible) context.drawImage(layer.canvas, 0, 0);
    context.setTransform(dense, 0, 0, dense, 0, 0);
    this.above(context, this);
    this.ondrawn();
  }

  listen() {
    const tell = (kind) => (event) => this.pointer(kind, event);
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"]) {
      this.canvas.addEventListener(kind, tell(kind.slice(7)));
    }
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("wheel", (event) => {
      const ours = event.ctrlKey || event.metaKey || this.node.closest(".lusnb")?.matches(":focus-within");
      if (event.defaultPrevented || !ours) return;
      event.preventDefault();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY / 400), this.place(event));
    }, { passive: false });
  }

  pointer(kind, event) {
    const start = kind === "down" && (event.button === 1 || event.shiftKey);
    if (start) {
      event.preventDefault();
      this.canvas.setPointerCapture(event.pointerId);
      this.moving = { x: event.clientX, y: event.clientY };
      return;
    }
    if (this.moving) {
      if (kind === "move") this.moveBy(event.clientX - this.moving.x, event.clientY - this.moving.y);
      this.moving = kind === "up" || kind === "cancel" ? null : { x: event.clientX, y: event.clientY };
      return;
    }
    this.onpointer(kind, this.place(event), event);
  }

  moveBy(dx, dy) {
    const { sx, sy } = this.view();
    this.middle.x = Math.min(1, Math.max(0, this.middle.x - dx / sx / this.size.width));
    this.middle.y = Math.min(1, Math.max(0, this.middle.y - dy / sy / this.size.height));
    this.draw();
  }

  close() {
    this.watch.disconnect();
  }
}
