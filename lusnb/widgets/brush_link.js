// What a view and Python tell each other: patches go out, answers come in, and where they do not, it is said.
import { AGAIN } from "./controls.js";
import { joined, taken } from "./strokes.js";

const PAUSE = 400; // ms between patches of one stroke
const PATIENCE = 2000; // ms until a silent Python is said to be silent
const MOST = 4e6; // bytes of one message; servers refuse long ones
const IDLE = 30000; // ms without pointer or keys from which time does not count

export class Link {
  // told(): something about the connection changed; on: {type: (content, buffers)} for messages of Python.
  constructor(model, painter, { told, on }) {
    Object.assign(this, { model, painter, told, on });
    this.id = Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("");
    this.sequence = this.revision = this.savedRevision = this.picture = 0;
    this.waiting = new Map(); // number of a message -> {at, type}: sent and not answered
    this.dirty = new Map(); // feature -> box
    this.lastSent = this.active = this.spent = this.ticked = 0;
    this.stale = false;
    this.refused = this.notice = this.retired = this.silent = this.savedAt = "";
    this.listen = (content, buffers) => this.heard(content, buffers);
    model.on("msg:custom", this.listen);
    this.clock = setInterval(() => this.tick(), 200);
  }

  close() {
    this.flush();
    clearInterval(this.clock);
    this.model.off("msg:custom", this.listen);
  }

  send(type, content = {}, buffers = []) {
    this.sequence += 1;
    const seconds = this.spent / 1000;
    this.spent = 0;
    this.waiting.set(this.sequence, { at: performance.now(), type });
    const message = { type, view: this.id, sequence: this.sequence, seconds, ...content };
    try {
      this.model.send(message, undefined, buffers);
    } catch (error) {
      this.broken = String(error); // a closed connection: no answer will come, and tick() says so
    }
  }

  // These pixels are to be sent; w = 0: only whether they were looked at.
  note(feature, box) {
    const known = this.dirty.get(feature);
    this.dirty.set(feature, known ? joined(known, box) : box);
    if (performance.now() - this.lastSent > PAUSE && this.painter.stroke) this.flush();
  }

  // Sends what is to be sent: long rectangles in bands.
  flush() {
    for (const [feature, box] of this.dirty) {
      const rows = box.w ? Math.max(1, Math.floor(MOST / box.w)) : 1;
      for (let y = box.y; y < box.y + Math.max(1, box.h); y += rows) {
        this.patch(feature, { ...box, y, h: Math.min(rows, box.y + box.h - y) });
      }
    }
    this.dirty.clear();
    this.lastSent = performance.now();
  }

  patch(feature, box) {
    const { features, dims, source } = this.painter, { layer, looked } = features[feature];
    const about = { picture: this.picture, revision: this.revision, feature, looked, source };
    this.send("patch", { ...about, ...box }, [taken(layer.bytes, dims.width, box).buffer]);
  }

  // Pointer or keys were used.
  touched() { this.active = performance.now(); }

  tick() {
    const now = performance.now();
    if (document.visibilityState === "visible" && now - this.active < IDLE && this.active) {
      this.spent += Math.min(1000, now - this.ticked);
    }
    this.ticked = now;
    if (this.dirty.size && now - this.lastSent > PAUSE && !this.reason()) this.flush();
    if (this.spent > 5000 && !this.waiting.size) this.send("seconds");
    if (this.stale && !this.waiting.size) this.send("again");
    const since = Math.min(...Array.from(this.waiting.values(), ({ at }) => at));
    const silent = this.waiting.size > 0 && now - since > PATIENCE;
    this.silent = silent ? this.whySilent(Math.floor((now - since) / 1000)) : "";
    this.told();
  }

  whySilent(seconds) {
    const kernel = this.model.widget_manager?.kernel?.status, lost = `has it lost this brush? Then ${AGAIN}`;
    const busy = "it is busy: painting goes on when it answers";
    const words = { busy, idle: lost, dead: `it is dead: restart it, then ${AGAIN}` };
    const why = this.broken ? lost : words[kernel] || `it is busy or restarted: wait, or ${AGAIN}`;
    return `Nothing is being saved: the kernel has not answered for ${seconds} s (${why}).`;
  }

  // Why nothing may be painted now; "" when it may.
  reason() {
    return this.retired || this.silent || (this.stale ? "Painted elsewhere: bringing it here ..." : "");
  }

  // {state, text} of what is saved.
  status() {
    if (this.reason()) return { state: "blocked", text: this.reason() };
    if (this.refused || this.notice) return { state: "refused", text: this.refused || this.notice };
    if (this.dirty.size || this.waiting.size || this.revision !== this.savedRevision) {
      return { state: "saving", text: this.savedAt ? `Saving ... (last saved ${this.savedAt})` : "Saving ..." };
    }
    return { state: "saved", text: this.savedAt ? `All saved, ${this.savedAt}` : "Nothing to save yet" };
  }

  heard(content, buffers) {
    if (content.to && content.to !== this.id) return;
    const bytes = (buffers || []).map((one) => new Uint8Array(one.buffer, one.byteOffset, one.byteLength));
    if (content.type === "got") this.got(content);
    if (content.type === "saved" && content.picture === this.picture) this.saved(content);
    if (content.type === "unsaved") this.refused = content.text;
    if (content.type === "refused") this.notice = content.text;
    if (content.type === "retired") this.retired = content.text;
    if (content.type === "picture") this.shown(content);
    this.on[content.type]?.(content, bytes);
    this.told();
  }

  got({ view, sequence, ok, revision }) {
    if (view !== this.id) {
      if (revision > this.revision) this.stale = true;
      return;
    }
    const type = this.waiting.get(sequence)?.type;
    this.waiting.delete(sequence);
    if (ok) this.revision = revision;
    else if (type === "patch") this.stale = true; // what is on the screen is not what Python has
    if (ok && !["seconds", "again"].includes(type)) this.notice = "";
    if (!this.waiting.size) this.silent = "";
  }

  saved({ at, revision }) {
    this.savedAt = at;
    this.savedRevision = revision;
    this.refused = "";
  }

  // What Python has now: also whether its last save failed, which a view that came later has not heard.
  shown({ picture, revision, saved, dirty, unsaved = "" }) {
    this.refused = unsaved;
    Object.assign(this, { picture, revision, stale: false, savedAt: saved });
    this.savedRevision = dirty ? -1 : revision;
    this.dirty.clear();
  }
}
