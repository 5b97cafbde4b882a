// Questions to Python and their answers; pixels come in pieces and are kept for a while.
import { AGAIN } from "./controls.js";
import { Film } from "./explorer_film.js";

const KEEP = 256 * 2 ** 20; // bytes of pixels kept
const PATIENCE = 15000; // ms after which a silent kernel is told
const SILENT = `The kernel does not answer. Where it was restarted, ${AGAIN}.`;

export class Python {
  constructor(model) {
    this.model = model;
    this.name = Math.random().toString(36).slice(2); // several views of one model may ask
    this.count = 0;
    this.waiting = new Map();
    this.kept = new Map();
    this.hear = this.hear.bind(this);
    model.on("msg:custom", this.hear);
  }

  close() {
    this.model.off("msg:custom", this.hear);
    for (const { fail, timer } of this.waiting.values()) { clearTimeout(timer); fail(new Closed()); }
    this.waiting.clear();
  }

  hear(answer, buffers) {
    const asked = this.waiting.get(answer.id);
    if (!asked) return; // another view's
    this.waiting.delete(answer.id);
    clearTimeout(asked.timer);
    if (answer.error) asked.fail(new Error(answer.error));
    else asked.done({ ...answer, buffers });
  }

  // One question, one answer: {...content, buffers}. Rejects with what Python says is wrong.
  ask(content) {
    const id = `${this.name}:${(this.count += 1)}`;
    return new Promise((done, fail) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        fail(new Error(SILENT));
      }, PATIENCE);
      this.waiting.set(id, { done, fail, timer });
      try {
        this.model.send({ ...content, id });
      } catch { // the kernel was restarted or ended
        this.waiting.delete(id);
        clearTimeout(timer);
        fail(new Error(SILENT));
      }
    });
  }

  // One piece of pixels from byte `start` on: {shape, start, total, piece}. Rejects where `stop()` is true by then.
  async piece(what, start, stop) {
    const { buffers: [piece], ...told } = await this.ask({ type: "bytes", what, start });
    if (stop()) throw new Closed();
    return { ...told, piece: new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength) };
  }

  // Pixels: {shape, data}, whole. `stop()` true ends the asking, and what came so far is thrown away.
  async bytes(what, { stop = () => false } = {}) {
    const key = JSON.stringify(what);
    let found = this.kept.get(key), got = 0;
    if (!found) {
      do {
        const { shape, start, total, piece } = await this.piece(what, got, stop);
        found = found || { shape, data: new Uint8Array(total) };
        found.data.set(piece, start);
        got = start + piece.length;
      } while (got < found.data.length);
    }
    this.keep(key, found);
    return found;
  }

  // The frames of a clip, as far as they are here: a Film. card: clip_id, frames, height, width.
  film(card) {
    const key = `film ${card.clip_id}`, old = this.kept.get(key), own = new Film(card);
    const film = old && old.one === own.one && old.data.length === own.data.length ? old : own;
    this.keep(key, film);
    return film;
  }

  // Asks for the frames of a film that are not here, the wanted one always next; onpiece() after each piece.
  async fill(film, clip_id, { onpiece, stop }) {
    onpiece();
    for (let frame = film.next(); frame >= 0; frame = film.next()) {
      const { start, piece } = await this.piece({ kind: "clip", clip_id }, film.from(frame), stop);
      film.put(start, piece);
      onpiece();
    }
  }

  // The last ones that were asked for stay, as far as there is room.
  keep(key, found) {
    this.kept.delete(key); // to the end of the queue
    this.kept.set(key, found);
    let sum = 0;
    for (const one of this.kept.values()) sum += one.data.length;
    for (const [old, one] of this.kept) {
      if (sum <= KEEP || old === key) break;
      this.kept.delete(old);
      sum -= one.data.length;
    }
  }
}

// What was asked for is no longer wanted: no fault.
export class Closed extends Error {}
