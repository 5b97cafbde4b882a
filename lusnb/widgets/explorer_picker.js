// The list of clips, by patient, with a filter; and the bar that plays one clip.
import { button, element, group } from "./controls.js";

export function dayWord(day) {
  return ["admission", "next day", "discharge"][day] || (day === null ? "day unknown" : `day ${day}`);
}

// What a clip is called in a list.
export function clipWords({ day, view, clip_id: id, labelled }) {
  const what = [day === null ? "" : dayWord(day), view].filter(Boolean).join(", ");
  return [what, id, labelled === 0 ? "no labels" : ""].filter(Boolean).join(" · ");
}

// Clips to choose from. split: whether the published split is told. onchoose(clip_id), onfilter(text).
export class Picker {
  constructor(clips, { split, onchoose, onfilter }) {
    this.clips = clips;
    this.split = (clip) => (split && clip.split) || "";
    this.onchoose = onchoose;
    this.text = element("input", {
      type: "text", placeholder: "patient or clip", "aria-label": `Filter clips: patient or clip, view${split ? ", split" : ""}`,
      data: { testid: "filter" }, on: {
        input: () => { this.fill(); onfilter(this.text.value); },
        keydown: ({ key }) => { if (key === "Enter" && this.found.length) onchoose(this.found[0].clip_id); },
      },
    });
    this.list = element("select", {
      size: 7, "aria-label": "Clips", class: "lusnb-list", data: { testid: "clips" },
      on: { change: () => onchoose(this.list.value) },
    });
    this.count = element("span", { class: "lusnb-status", data: { testid: "clip-count" } });
    const before = button({ id: "previous", label: "◀ Previous", tip: "Previous clip (P)", onclick: () => this.step(-1) });
    const after = button({ id: "next", label: "Next ▶", tip: "Next clip (N)", onclick: () => this.step(1) });
    this.node = element("div", { class: "lusnb-picker" },
      group("Which clip", this.text, before.node, after.node, this.count), this.list);
    this.fill();
  }

  filter(text) {
    this.text.value = text;
    this.fill();
  }

  // One group a patient. All words of the filter must be in patient, clip, view or split (where it is told).
  fill() {
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = this.clips.filter((clip) => {
      const all = `${clip.patient_id} ${clip.clip_id} ${clip.view || ""} ${this.split(clip)}`.toLowerCase();
      return words.every((word) => all.includes(word));
    });
    const groups = new Map();
    for (const clip of this.found) {
      if (!groups.has(clip.patient_id)) {
        const split = this.split(clip), label = split ? `${clip.patient_id} (${split})` : clip.patient_id;
        groups.set(clip.patient_id, element("optgroup", { label }));
      }
      groups.get(clip.patient_id).append(element("option", { value: clip.clip_id, text: clipWords(clip) }));
    }
    this.list.replaceChildren(...groups.values());
    this.count.textContent = `${this.found.length} of ${this.clips.length}`;
    this.list.value = this.chosen || "";
  }

  choose(id) {
    this.chosen = id;
    this.list.value = id;
  }

  step(by) {
    const at = this.found.findIndex((clip) => clip.clip_id === this.chosen);
    const next = this.found[Math.min(this.found.length - 1, Math.max(0, at + by))];
    if (next && next.clip_id !== this.chosen) this.onchoose(next.clip_id);
  }
}

// Play, step and scrub. onframe(number) when another frame is to be shown; ready(number) says whether it is there.
export class Player {
  constructor({ onframe, ready }) {
    this.onframe = onframe;
    this.ready = ready;
    this.count = 1;
    this.frame = 0;
    this.playing = false;
    this.button = button({
      id: "play", label: "▶ Play", tip: "Play or stop (space)", pressed: false, onclick: () => this.toggle(),
    });
    this.scrub = element("input", {
      type: "range", min: 0, max: 0, value: 0, class: "lusnb-scrub", "aria-label": "Frame", data: { testid: "frame" },
      on: { input: () => this.go(Number(this.scrub.value)) },
    });
    this.written = element("output", { class: "lusnb-value", data: { testid: "frame-number" } });
    this.marks = element("div", { class: "lusnb-marks", "aria-hidden": "true" });
    const track = element("div", { class: "lusnb-track" }, this.scrub, this.marks);
    this.node = element("div", { class: "lusnb-player", role: "group", "aria-label": "Frames" },
      this.button.node, track, this.written);
  }

  set({ frames, fps, labelled }, frame) {
    this.stop();
    this.count = frames;
    this.pause = 1000 / Math.min(60, fps || 10);
    this.scrub.max = frames - 1;
    this.button.node.disabled = this.scrub.disabled = frames < 2;
    const place = (n) => `left:${frames > 1 ? (100 * n) / (frames - 1) : 50}%`;
    this.marks.replaceChildren(...labelled.map((n) => element("span", { class: "lusnb-mark", style: place(n) })));
    this.show(frame);
  }

  show(frame) {
    this.frame = frame;
    this.scrub.value = frame;
    this.written.textContent = this.count > 1 ? `frame ${frame} (0 to ${this.count - 1})` : "its only frame";
    this.scrub.setAttribute("aria-valuetext", this.written.textContent);
  }

  go(frame) {
    this.show(Math.min(this.count - 1, Math.max(0, frame)));
    this.onframe(this.frame);
  }

  step(by) {
    this.stop();
    this.go(this.frame + by);
  }

  toggle() {
    if (this.playing) this.stop();
    else this.play();
  }

  play() {
    if (this.count < 2) return;
    this.playing = true;
    this.button.press(true);
    this.button.node.textContent = "■ Stop";
    this.timer = setInterval(() => {
      const next = (this.frame + 1) % this.count;
      if (this.ready(next)) this.go(next);
    }, this.pause);
  }

  stop() {
    this.playing = false;
    clearInterval(this.timer);
    this.button.press(false);
    this.button.node.textContent = "▶ Play";
  }
}
