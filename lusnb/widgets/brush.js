// The soft brush: joins picture, layers, controls, keys and the way to Python.
import { button, element } from "./controls.js";
import { greyTable } from "./levels.js";
import { Stage } from "./stage.js";
import { SIZES, Painter } from "./brush_painter.js";
import { Link } from "./brush_link.js";
import { Frames } from "./brush_frames.js";
import { helpSheet } from "./brush_keys.js";
import { asking, featureTable, frameControls, queueList, startControls, toolbar, viewControls } from "./brush_panel.js";
import { drawAbove, listen, pointed } from "./brush_pointer.js";

class Desk {
  constructor(model, el) {
    this.queue = [];
    this.position = -1;
    this.greys = {};
    this.about = null; // the picture as Python told it
    this.pointer = null;
    this.painter = new Painter({ changed: (k, box) => this.changed(k, box), told: (text) => this.say(text) });
    this.link = new Link(model, this.painter, { told: () => this.status(), on: this.hears() });
    this.painter.blocked = () => Boolean(this.link.reason()) || !this.seen();
    this.frames = new Frames({ ask: (frame) => this.link.send("look", { frame }), shown: () => this.framesShown() });
    this.stage = new Stage({
      label: "Picture to paint on; press ? for help",
      onpointer: (kind, place, event) => pointed(this, kind, place, event), ondrawn: () => this.drawn(),
    });
    this.stage.above = (context) => drawAbove(context, this);
    this.build(el);
    listen(this);
    this.link.send("ready");
  }

  build(el) {
    this.help = helpSheet();
    this.parts = {
      tools: toolbar(this), features: featureTable(this), view: viewControls(this),
      frames: frameControls(this), start: startControls(this), queue: queueList(this),
    };
    const { tools, features, view, frames, start, queue } = this.parts;
    const line = (id, kind, attributes) => element("div", { class: kind, data: { testid: id }, ...attributes });
    this.heading = line("title", "lusnb-heading");
    this.read = line("readout", "lusnb-readout");
    this.state = line("status", "lusnb-status", { role: "status" });
    this.told = line("told", "lusnb-status lusnb-warning", { role: "alert" });
    this.note = line("note", "lusnb-status");
    this.drop = asking({
      id: "drop", label: "Give it up", tip: "Give it up: go back to what was saved of this frame", risky: () => true,
      question: "give up what is not saved?", act: () => this.link.send("drop"),
    }).node;
    const below = [this.read, this.state, this.drop, this.told];
    this.main = element("div", { class: "lusnb-main" }, this.heading, ...tools.nodes, this.stage.node, ...below);
    this.side = element("div", { class: "lusnb-side" }, element("h4", { class: "lusnb-heading", text: "Features" }),
      features.node, start.node, ...frames.nodes, ...view.nodes, ...queue.nodes, this.note);
    this.root = element("div", {
      class: "lusnb lusnb-brush", data: { testid: "brush" },
    }, this.main, this.side, this.help);
    this.asked = this.askName();
    el.append(this.root);
    this.sync();
  }

  // A rater's name is asked for where the notebook gave none.
  askName() {
    const input = element("input", { type: "text", maxlength: 60, data: { testid: "rater" } });
    const begin = () => this.link.send("rater", { name: input.value });
    const start = button({ id: "begin", label: "Start painting", onclick: begin });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") start.node.click(); });
    return element("div", { class: "lusnb-group lusnb-brush-name" }, element("label", { class: "lusnb-control" },
      element("span", { text: "Who paints? Your name as a rater:" }), input), start.node);
  }

  hears() {
    return {
      hello: (told) => this.hello(told),
      picture: (told, buffers) => this.picture(told, buffers),
      frame: (told, [grey]) => { if (told.picture === this.link.picture) this.frames.came(told, grey); },
      start: (told, maps) => this.started(told, maps),
      saved: () => this.markPainted(),
    };
  }

  hello({ rater, features, colours, queue, note }) {
    this.rater = rater;
    this.queue = queue;
    this.painter.name(features, colours);
    this.parts.features.build();
    this.note.textContent = note;
    this.main.hidden = this.side.hidden = !rater;
    if (rater) this.asked.remove();
    else this.root.prepend(this.asked, this.state);
    if (rater) this.told.before(this.state);
  }

  picture(told, [grey, ...maps]) {
    const other = !this.about || this.about.clip_id !== told.clip_id || this.about.frame !== told.frame;
    this.about = told;
    this.painter.open(told, maps);
    if (other || !this.frames.painting) this.frames.open(told, grey);
    if (other) this.say(told.odd);
    this.position = this.queue.findIndex(([clip, frame]) => clip === told.clip_id && frame === told.frame);
    const day = told.day === null ? "" : `day ${told.day}`;
    const where = [told.clip_id, `frame ${told.frame}`, told.patient_id, day, told.view];
    this.heading.textContent = `${where.filter(Boolean).join(" \u00b7 ")} \u00b7 painted by ${this.rater}`;
    this.parts.start.fill(told.starts);
    this.parts.queue.sync();
    this.show();
    this.sync();
  }

  started({ picture, source, looked }, maps) {
    if (picture !== this.link.picture) return;
    const held = this.painter.features.filter(({ locked }) => locked).map(({ name }) => name);
    this.painter.startFrom(source, maps, looked);
    this.say(held.length ? `Kept as it was, being locked: ${held.join(", ")}.` : "");
    this.link.flush();
    this.sync();
  }

  // The layers to be seen: those of the painted frame, or another frame of the clip alone.
  show() {
    if (!this.about) return;
    const layers = this.frames.painting ? this.painter.features.map(({ layer }) => layer) : [];
    this.stage.show([this.frames.layer, ...layers], this.about);
  }

  framesShown() {
    if (!this.stage) return;
    if (!this.frames.painting) this.painter.end(); // what is not seen is not painted
    this.show();
    this.parts.frames.sync();
    this.seenAgain();
  }

  changed(k, box) {
    this.link.note(k, box);
    this.stage.draw();
    if (!this.painter.stroke) this.sync();
  }

  // Options of the painter: {confidence, size, hardness, mode, pressure, preview, threshold, opacity}.
  set(options) {
    Object.assign(this.painter, options);
    if (["preview", "threshold", "opacity"].some((name) => name in options)) this.painter.colour();
    this.stage.draw();
    this.sync();
  }

  grey(options) {
    Object.assign(this.greys, options);
    this.frames.layer.table = greyTable(this.greys);
    this.frames.layer.paint();
    this.stage.draw();
  }

  grow(by) {
    const step = Math.max(1, Math.round(this.painter.size * 0.12));
    this.set({ size: Math.min(SIZES.most, Math.max(SIZES.least, this.painter.size + by * step)) });
  }

  choose(tool) {
    this.painter.corners = [];
    this.painter.end();
    this.set({ tool });
  }

  activate(k) {
    this.painter.end();
    this.painter.active = k;
    this.say("");
    this.sync();
    this.stage.draw();
  }

  feature(by) {
    const count = this.painter.features.length;
    this.activate((this.painter.active + by + count) % count);
  }

  change(k, state) {
    Object.assign(this.painter.features[k], state);
    this.painter.colour();
    this.stage.draw();
    this.sync();
  }

  look(k, on) {
    const { locked, name } = this.painter.features[k];
    this.say(locked ? `${name} is locked: unlock it to change it.` : "");
    if (!locked && !this.link.reason() && (on || this.seen())) this.painter.look(k, on);
  }

  hide(on) {
    if (on === this.painter.hidden) return; // a key that is held repeats
    this.painter.end();
    this.painter.hidden = on;
    this.painter.colour();
    this.stage.draw();
    this.sync();
    this.seenAgain();
  }

  play() {
    if (this.frames.playing) this.frames.stop();
    else this.frames.play();
    this.parts.frames.sync();
  }

  save() {
    this.link.flush();
    this.link.send("save");
  }

  closePolygon() {
    if (this.painter.corners.length && this.free()) this.painter.closePolygon();
    this.stage.draw();
  }

  dropPolygon() {
    this.painter.corners = [];
    this.stage.draw();
  }

  next(by) {
    const count = this.queue.length;
    const around = this.queue.map((_, k) => (this.position + by * (k + 1) + 2 * count) % count);
    const to = around.find((k) => by < 0 || !this.queue[k][7]); // forward to what is not painted yet
    if (count) this.open(to ?? around[0]);
  }

  open(position) {
    this.openAt(...this.queue[position]);
  }

  openAt(clip_id, frame) {
    this.painter.end();
    this.say("");
    this.link.flush();
    this.link.send("open", { clip_id, frame });
  }

  markPainted() {
    const row = this.queue[this.position], done = this.painter.features.some(({ looked }) => looked);
    if (row && row[7] !== done) {
      row[7] = done;
      this.parts.queue.sync();
    }
  }

  // Whether something can be painted now; where not, it is said why.
  free() {
    if (!this.about || this.link.reason()) return false; // the line below the picture says why
    if (!this.seen()) return false;
    const why = this.painter.closed();
    this.say(why);
    return !why;
  }

  // Whether the painted frame and its layers are on the screen; where not, it is said why nothing changes.
  seen() {
    const context = `This frame is for context: go back to frame ${this.frames.own} to paint.`;
    const hidden = this.painter.hidden ? "All layers are hidden: let go of H to paint." : "";
    this.unseen = this.frames.painting ? hidden : context;
    if (this.unseen) this.say(this.unseen);
    return !this.unseen;
  }

  // Takes back what `seen` said, once it is so no more.
  seenAgain() {
    if (this.frames.painting && !this.painter.hidden && this.told.textContent === this.unseen) this.say("");
  }

  say(text) { this.told.textContent = text; }

  status() {
    if (!this.state) return;
    const { state, text } = this.link.status();
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("lusnb-warning", state === "blocked" || state === "refused");
    Object.assign(this.root.dataset, { state, revision: this.link.revision, sequence: this.link.sequence });
    this.root.classList.toggle("lusnb-brush-blocked", state === "blocked");
    this.drop.hidden = !this.link.refused;
  }

  drawn() {
    const { sx, sy, left, top } = this.stage.view();
    this.stage.canvas.dataset.view = JSON.stringify({ sx, sy, left, top });
  }

  sync() {
    for (const name of ["tools", "features", "view", "frames"]) this.parts[name].sync();
    this.status();
  }

  close() {
    this.painter.end();
    this.frames.stop();
    this.link.close();
    this.stage.close();
  }
}

function render({ model, el }) {
  const desk = new Desk(model, el);
  return () => desk.close();
}

export default { render };
