// The frames of a clip as they come: the one that is looked at first, then those behind it, around to the start.

export class Film {
  constructor({ frames, height, width }) {
    this.one = height * width;
    this.data = new Uint8Array(frames * this.one);
    this.got = new Int32Array(frames); // bytes of each frame that are here, from its first on
    this.count = 0; // frames that are here whole
    this.wanted = 0;
  }

  has(frame) {
    return this.got[frame] === this.one;
  }

  // The frame to ask for next; -1: all are here.
  next() {
    const frames = this.got.length;
    for (let k = 0; k < frames; k += 1) {
      const frame = (this.wanted + k) % frames;
      if (!this.has(frame)) return frame;
    }
    return -1;
  }

  // Where to ask from for a frame: behind what of it is here.
  from(frame) {
    return frame * this.one + this.got[frame];
  }

  // A piece that was asked for at `from(...)`: it fills frames from there on, the last maybe in part.
  put(start, piece) {
    this.data.set(piece, start);
    const end = start + piece.length;
    for (let frame = Math.floor(start / this.one); frame * this.one < end; frame += 1) {
      if (this.has(frame)) continue;
      this.got[frame] = Math.max(this.got[frame], Math.min(this.one, end - frame * this.one));
      if (this.has(frame)) this.count += 1;
    }
  }

  // In words, how far it is; "" where all frames are here. frame: the one that is looked at.
  progress(frame) {
    const frames = this.got.length;
    if (this.count === frames) return "";
    return `frames: ${this.count} of ${frames}${this.has(frame) ? "" : `; frame ${frame} is on its way`}`;
  }
}
