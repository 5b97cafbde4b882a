// The threshold explorer. Python hands over bytes and tables; what thresholds do to them is done here.
import { button, element, group, keepKeys } from "./controls.js";
import { armControls, labelControls, lookControls, turnCut } from "./explorer_controls.js";
import { Closed, Python } from "./explorer_data.js";
import { Curves, ErrorWords, FeatureTable } from "./explorer_panel.js";
import { Picker, Player } from "./explorer_picker.js";
import { paint } from "./explorer_paint.js";
import { showCut } from "./explorer_cut.js";
import { keptShares, Overlays, Picture, scaledUp } from "./explorer_picture.js";
import { act, keyed, keySheet } from "./explorer_keys.js";
import { point, where } from "./explorer_words.js";

const TRAITS = ["frame", "threshold", "output", "source", "arm", "shown", "clip_id", "patient"];

class View {
  constructor(model, root) {
    Object.assign(this, { model, root, python: new Python(model), ticket: 0, since: null });
    this.state = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
    this.clip = this.card = this.labels = this.predicted = this.armCard = null;
    this.look = { level: 127.5, window: 255, gain: 1 };
    this.flat = false;
    this.opacity = 0.6;
    this.heard = TRAITS.map((name) => [`change:${name}`, () => this.follow(name)]);
    for (const [event, listener] of this.heard) model.on(event, listener);
    this.start();
  }

  close() {
    for (const [event, listener] of this.heard) this.model.off(event, listener);
    clearTimeout(this.telling);
    if (this.player) this.player.stop();
    if (this.picture) this.picture.close();
    this.python.close();
  }

  // Runs what may fail on the way, and tells the reader how it failed.
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Closed)) this.tell(error.message, true);
    }
  }

  start() {
    return this.attempt(async () => {
      this.root.replaceChildren(element("p", { class: "lusnb-status", text: "Opening the cohort ..." }));
      Object.assign(this, await this.python.ask({ type: "ready" }));
      this.build();
      if (!this.catalogue.clips.length) this.tell("This cohort has no clips.", true);
      else await this.open(this.state.clip_id, this.state.frame);
    });
  }

  build() {
    this.picture = new Picture({
      label: "Frame with overlays; once clicked the wheel zooms, before with Ctrl; Shift and drag moves",
      onpointer: (kind, place) => this.card && point(this, kind === "leave" ? null : place), ondrawn: () => this.drawn(),
    });
    this.player = new Player({ onframe: (frame) => this.go(frame), ready: (frame) => this.has(frame) });
    this.readout = element("div", { class: "lusnb-readout", data: { testid: "readout" } });
    this.status = element("div", { class: "lusnb-status", role: "status", data: { testid: "status" } });
    this.jump = button({ id: "to-label", label: "To the labels", tip: "To the nearest labelled frame (L)", onclick: () => this.toLabels() });
    this.progress = element("div", { class: "lusnb-progress", data: { testid: "progress" } });
    this.picker = new Picker(this.catalogue.clips, {
      split: this.split, onchoose: (id) => this.open(id), onfilter: (text) => this.set({ patient: text }),
    });
    this.picker.filter(this.state.patient);
    this.table = new FeatureTable(this.catalogue, () => this.turn());
    this.errorWords = new ErrorWords();
    this.charts = new Curves({ catalogue: this.catalogue, curves: this.curves, colours: this.colours });
    const main = element("div", { class: "lusnb-main" },
      element("div", { class: "lusnb-over" }, this.picture.node, this.progress), this.player.node,
      group("Where", this.status, this.jump.node), this.readout);
    const side = element("div", { class: "lusnb-side" }, this.picker.node, labelControls(this), this.table.node,
      armControls(this), this.errorWords.node, lookControls(this), keySheet());
    this.root.replaceChildren(main, side, this.charts.node);
    this.charts.label(this.state.threshold);
    showCut(this);
    this.showModes();
  }

  tell(text, wrong = false) {
    if (!this.status) {
      this.root.replaceChildren(element("p", { class: "lusnb-warning", role: "alert", text }));
      return;
    }
    this.status.textContent = text;
    this.status.className = wrong ? "lusnb-warning" : "lusnb-status";
  }

  // What is chosen is kept in Python too, a moment later, so that a reload of the page finds it.
  set(changes) {
    Object.assign(this.state, changes);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      for (const [name, value] of Object.entries(this.state)) {
        if (this.model.get(name) !== value) this.model.set(name, value);
      }
      this.model.save_changes();
    }, 250);
  }

  // Python, the other page or another view chose something.
  follow(name) {
    const value = this.model.get(name);
    if (value === this.state[name] || !this.card) return;
    if (name === "clip_id") this.open(value);
    else if (name === "patient") { this.set({ patient: value }); this.picker.filter(value); }
    else if (name === "frame") { if (value >= 0) this.player.go(value); }
    else if (name === "threshold") { this.threshold.set(value); this.turnThreshold(value); }
    else if (name === "output") turnCut(this, value);
    else if (name === "arm") { this.arm.set(value); this.chooseArm(value); }
    else if (name === "source") { this.set({ source: value }); this.source.set(value); this.loadLabels(); }
    else this.showMode(value);
  }

  open(id, frame = -1) {
    const ticket = (this.ticket += 1), stop = () => ticket !== this.ticket;
    this.state.clip_id = id;
    this.picker.choose(id);
    return this.attempt(async () => {
      this.player.stop();
      const { card } = await this.python.ask({ type: "clip", clip_id: id });
      if (stop()) return;
      const { height, width } = card, [down, across] = card.mm;
      Object.assign(this, { card, clip: this.python.film(card), labels: null, predicted: null, armCard: null });
      this.labelled = Object.keys(card.labelled).map(Number).sort((a, b) => a - b);
      this.overlays = new Overlays(height, width, this.catalogue.colours);
      this.picture.show(this.overlays.layers, { height, width, stretch: down && across ? down / across : 1 });
      const first = frame >= 0 && frame < card.frames ? frame : this.labelled[0] || 0;
      this.player.set({ ...card, labelled: this.labelled }, first);
      this.set({ clip_id: id, frame: first });
      this.aim(first);
      point(this, null);
      this.loadLabels();
      this.loadArm();
      await this.python.fill(this.clip, id, { stop, onpiece: () => this.pieceCame() });
      this.root.dataset.clip = id; // all of its frames are here
    });
  }

  pieceCame() {
    this.progress.textContent = this.clip.progress(this.state.frame);
    if (this.greyStale && this.has(this.state.frame)) { this.turn(); point(this, this.last); }
  }

  has(frame) {
    return Boolean(this.clip) && this.clip.has(frame);
  }

  // A frame that is to be seen is asked for before all others.
  aim(frame) {
    this.greyStale = true;
    this.clip.wanted = frame;
    this.progress.textContent = this.clip.progress(frame);
  }

  go(frame) {
    this.set({ frame });
    this.aim(frame);
    if (this.labelled.includes(frame) && (!this.labels || this.labels.frame !== frame)) this.loadLabels();
    this.loadPrediction();
    this.turn();
    where(this);
    point(this, this.last);
  }

  // The labelled frame that the numbers beside the picture are of: this one, or the nearest; null: none.
  labelFrame() {
    const near = [...this.labelled].sort((a, b) => Math.abs(a - this.state.frame) - Math.abs(b - this.state.frame));
    return near.length ? near[0] : null;
  }

  toLabels() {
    if (this.labelled.length) { this.player.stop(); this.player.go(this.labelFrame()); }
  }

  loadLabels() {
    const frame = this.labelFrame(), clip_id = this.card.clip_id, ticket = this.ticket;
    const sources = frame === null ? [] : this.card.labelled[frame];
    this.source.fill(sources.map(({ key, text }) => [key, text]));
    const chosen = sources.find(({ key }) => key === this.state.source) || sources[0];
    where(this);
    if (!chosen) { this.labels = null; this.newLabels(); return Promise.resolve(); }
    this.source.set(chosen.key);
    return this.attempt(async () => {
      const what = { kind: "labels", clip_id, frame, source: chosen.key };
      const { data } = await this.python.bytes(what, { stop: () => ticket !== this.ticket });
      if (ticket !== this.ticket || this.source.get() !== chosen.key) return;
      this.labels = { frame, data, known: chosen.known, of: chosen.text };
      this.newLabels();
    });
  }

  // Shares that thresholds keep change with the labels alone, not with the slider.
  newLabels() {
    const one = this.card.height * this.card.width;
    this.shares = this.labels && this.catalogue.features.map((_, c) =>
      (this.labels.known[c] ? keptShares(this.labels.data, c * one, one) : null));
    this.charts.frame(this.shares, this.labels);
    this.numbers();
    this.turn();
    point(this, this.last);
  }

  armName() {
    const arm = this.arms.find(({ key }) => key === this.state.arm);
    return arm ? arm.arm : "";
  }

  chooseArm(key) {
    const shown = key ? (this.state.shown === "labels" ? "errors" : this.state.shown) : "labels";
    this.set({ arm: key, shown });
    this.showModes();
    this.charts.arms(this.armName(), this.of.get());
    if (this.card) this.loadArm();
  }

  loadArm() {
    const chosen = this.arms.find(({ key }) => key === this.state.arm), ticket = this.ticket;
    this.predicted = this.armCard = null;
    this.charts.arms(this.armName(), this.of.get());
    where(this);
    this.turn();
    if (!chosen) return Promise.resolve();
    return this.attempt(async () => {
      const asked = { type: "arm", arm: chosen.arm, seed: chosen.seed, clip_id: this.card.clip_id };
      const { card } = await this.python.ask(asked);
      if (ticket !== this.ticket || chosen.key !== this.state.arm) return;
      this.armCard = card;
      await this.loadPrediction();
    });
  }

  loadPrediction() {
    const chosen = this.arms.find(({ key }) => key === this.state.arm), { frame } = this.state;
    const kind = this.armCard && this.armCard.frames[frame], { clip_id, height, width } = this.card;
    where(this);
    if (this.predicted && this.predicted.frame !== frame) this.predicted = null;
    if (!chosen || !kind) { this.predicted = null; this.turn(); return Promise.resolve(); }
    const still = () => this.card.clip_id === clip_id && this.state.frame === frame && this.state.arm === chosen.key;
    return this.attempt(async () => {
      const what = { kind: "prediction", clip_id, frame, arm: chosen.arm, seed: chosen.seed };
      const { data, shape } = await this.python.bytes(what);
      if (!still()) return;
      this.predicted = { frame, kind, size: shape[2], data: scaledUp(data, shape, height, width) };
      where(this);
      this.turn();
      point(this, this.last);
    });
  }

  showMode(shown) {
    this.set({ shown });
    this.showModes();
    this.turn();
  }

  showModes() {
    for (const { mode, node, press } of this.modes) {
      press(mode === this.state.shown);
      node.disabled = mode !== "labels" && !this.state.arm;
    }
    for (const node of this.ofArm) node.style.display = this.state.arm ? "" : "none";
  }

  turnThreshold(threshold) {
    this.set({ threshold });
    this.charts.label(threshold);
    this.numbers();
    this.turn();
  }

  numbers() {
    this.table.kept(this.shares && this.shares.map((shares) => shares && shares[this.state.threshold]));
  }

  // Something that is seen was turned: painted at the next frame of the screen. The time until then is told.
  turn() {
    if (!this.overlays) return;
    if (this.since === null) this.since = performance.now();
    this.picture.change(() => paint(this));
  }

  // After the picture was drawn: the time from the turn of a control to the frame after, which shows it.
  drawn() {
    if (this.since === null) return;
    const { since } = this;
    this.since = null;
    requestAnimationFrame(() => {
      const ms = performance.now() - since;
      this.root.dataset.drawn = ms.toFixed(1);
      this.root.dispatchEvent(new CustomEvent("lusnb:drawn", { detail: { ms } }));
    });
  }
}

function render({ model, el }) {
  const root = element("div", { class: "lusnb", data: { testid: "explorer" } });
  el.append(root);
  keepKeys(root);
  const view = new View(model, root);
  root.addEventListener("keydown", (event) => keyed(event, (key) => Boolean(view.card) && act(view, key)));
  return () => view.close();
}

export default { render };
