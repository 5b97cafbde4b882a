// Questions to Python and their answers; pixels come in pieces and are kept for a while.

const KEEP = 256 * 2 ** 20; // bytes of pixels kept
const PATIENCE = 15000; // ms after which a silent kernel is told
const SILENT = "The kernel does not answer: is it running? Then run the cell again.";

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

  // Pixels: {shape, data, got}, filled from the first byte on; onpiece(it) after each piece. `stop()` true ends
  // the asking, and what came so far is thrown away.
  async bytes(what, { onpiece = () => {}, stop = () => false } = {}) {
    const key = JSON.stringify(what);
    let found = this.kept.get(key);
    if (found) {
      this.kept.delete(key); // to the end of the queue
      this.kept.set(key, found);
      onpiece(found);
      return found;
    }
    do {
      const { shape, start, total, buffers } = await this.ask({ type: "bytes", what, start: found ? found.got : 0 });
      if (stop()) throw new Closed();
      found = found || { shape, data: new Uint8Array(total), got: 0 };
      const [piece] = buffers;
      found.data.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), start);
      found.got = start + piece.byteLength;
      onpiece(found);
    } while (found.got < found.data.length);
    this.keep(key, found);
    return found;
  }

  keep(key, found) {
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
