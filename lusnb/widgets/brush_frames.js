// Other frames of the clip, for context: motion shows what a still cannot. Painting stays on its own frame.
import { Layer } from "./stage.js";

const KEPT = 200e6; // bytes of frames to keep

export class Frames {
  // ask(frame): have it sent; shown(): what is to be shown changed.
  constructor({ ask, shown }) {
    Object.assign(this, { ask, shown });
    this.layer = new Layer(1, 1);
    this.open({ frame: 0, frames: 1, height: 1, width: 1, fps: null }, new Uint8Array(1));
  }

  // The frame that is painted, and the clip around it.
  open({ frame, frames, height, width, fps }, grey) {
    const table = this.layer.table;
    this.stop();
    this.layer = new Layer(height, width);
    this.layer.table = table;
    Object.assign(this, { own: frame, count: frames, at: frame, fps: fps || 20 });
    this.cache = new Map([[frame, grey]]);
    this.asked = new Set();
    this.show(frame);
  }

  get painting() { return this.at === this.own; }

  step(by) { this.go((this.at + by + this.count) % this.count); }

  // Goes to a frame: at once where it is here, else when it comes.
  go(frame) {
    this.at = frame;
    if (this.cache.has(frame)) this.show(frame);
    else this.want(frame);
    this.shown();
  }

  want(frame) {
    if (this.cache.has(frame) || this.asked.has(frame)) return;
    this.asked.add(frame);
    this.ask(frame);
  }

  came({ frame }, grey) {
    this.asked.delete(frame);
    this.cache.set(frame, grey);
    if (this.cache.size * grey.length > KEPT) {
      this.cache.delete([...this.cache.keys()].find((one) => one !== this.own && one !== frame));
    }
    if (frame === this.at) this.show(frame);
    this.shown();
  }

  show(frame) {
    this.layer.bytes.set(this.cache.get(frame));
    this.layer.paint();
  }

  get playing() { return this.timer !== undefined; }

  // Plays the clip around and around; a frame that is not here yet is waited for.
  play() {
    if (this.playing || this.count < 2) return;
    this.timer = setInterval(() => {
      const next = (this.at + 1) % this.count;
      for (let ahead = 0; ahead < 4; ahead += 1) this.want((next + ahead) % this.count);
      if (this.cache.has(next)) this.go(next);
    }, 1000 / Math.min(50, this.fps));
    this.shown();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  // Back to the frame that is painted.
  back() {
    this.stop();
    this.go(this.own);
  }
}
