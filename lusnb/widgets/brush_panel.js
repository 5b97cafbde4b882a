// The controls of the brush. Each says what to do to the Desk; `sync()` shows the state as it is now.
import { button, checkbox, element, group, select, slider } from "./controls.js";
import { empty, painted } from "./strokes.js";
import { SIZES } from "./brush_painter.js";

const TOOLS = ["brush", "eraser", "fill", "polygon", "line"];
const title = (text) => text[0].toUpperCase() + text.slice(1);
const heading = (text) => element("h4", { class: "lusnb-heading", text });

// A button that asks before it acts where `risky()`: the second press within four seconds counts.
export function asking({ id, label, tip, risky, question, act }) {
  let asked = 0;
  const made = button({ id, label, tip, onclick: () => {
    if (risky() && !asked) {
      made.node.textContent = question;
      made.said = made.node.getAttribute("aria-label");
      made.node.setAttribute("aria-label", question);
      made.node.classList.add("lusnb-brush-asks");
      asked = setTimeout(calm, 4000);
    } else {
      calm();
      act();
    }
  } });
  const calm = () => {
    clearTimeout(asked);
    if (asked) made.node.setAttribute("aria-label", made.said);
    asked = 0;
    made.node.classList.remove("lusnb-brush-asks");
    made.node.textContent = made.label || label;
  };
  made.asks = () => asked !== 0;
  made.name = (text) => {
    made.label = text;
    if (!asked && made.node.textContent !== text) made.node.textContent = text;
  };
  return made;
}

// Tools and how they paint, above the picture.
export function toolbar(desk) {
  const { painter } = desk;
  const tools = TOOLS.map((tool) => button({
    id: `tool-${tool}`, label: title(tool), tip: `${title(tool)} (${tool[0].toUpperCase()})`, pressed: false,
    onclick: () => desk.choose(tool),
  }));
  const confidence = slider({
    id: "confidence", label: "Confidence", min: 0, max: 100, value: 100, unit: " %",
    oninput: (v) => desk.set({ confidence: v / 100 }),
  });
  const size = slider({
    id: "size", label: "Size", min: SIZES.least, max: SIZES.most, value: painter.size, unit: " px",
    oninput: (v) => desk.set({ size: v }),
  });
  const hardness = slider({
    id: "hardness", label: "Hardness", min: 0, max: 100, value: 50, unit: " %",
    oninput: (v) => desk.set({ hardness: v / 100 }),
  });
  const mode = select({
    id: "mode", label: "Paint", options: [["set", "set"], ["build", "build up"]],
    onchange: (v) => desk.set({ mode: v }),
  });
  const pressure = select({
    id: "pressure", label: "Pen pressure", onchange: (v) => desk.set({ pressure: v }),
    options: [["off", "off"], ["size", "changes size"], ["confidence", "changes confidence"]],
  });
  const undo = button({ id: "undo", label: "Undo", tip: "Undo (Ctrl+Z)", onclick: () => painter.undo() });
  const redo = button({ id: "redo", label: "Redo", tip: "Redo (Ctrl+Shift+Z)", onclick: () => painter.redo() });
  const help = button({ id: "help", label: "?", tip: "Help (?)", onclick: () => desk.help.showModal() });
  const sync = () => {
    tools.forEach((tool, k) => tool.press(painter.tool === TOOLS[k]));
    confidence.set(Math.round(100 * painter.confidence));
    size.set(painter.size);
    hardness.set(Math.round(100 * painter.hardness));
    mode.set(painter.mode);
    pressure.set(painter.pressure);
    undo.node.disabled = !painter.history.done.length;
    redo.node.disabled = !painter.history.undone.length;
  };
  const top = group("Tools", ...tools.map(({ node }) => node), undo.node, redo.node, help.node);
  const ways = [confidence, size, hardness, mode, pressure].map(({ node }) => node);
  return { nodes: [top, group("How it paints", ...ways)], sync };
}

// One row a feature: choose it, show it, lock it, and what is known of it.
export function featureTable(desk) {
  const node = element("div", { class: "lusnb-brush-features", role: "group", "aria-label": "Features" });
  let rows = [];
  const build = () => {
    rows = desk.painter.features.map((feature, k) => featureRow(desk, feature.name, feature.colour, k));
    node.replaceChildren(...rows.flatMap(({ nodes }) => nodes));
  };
  return { node, build, sync: () => rows.forEach((row) => row.sync()) };
}

function featureRow(desk, name, colour, k) {
  const feature = () => desk.painter.features[k];
  const choose = button({
    id: `feature-${k}`, label: name, tip: `Paint ${name}`, pressed: false, onclick: () => desk.activate(k),
  });
  choose.node.prepend(element("span", { class: "lusnb-swatch", style: `background:${colour}` }));
  const show = checkbox({
    id: `show-${k}`, label: "show", checked: true, onchange: (on) => desk.change(k, { shown: on }),
  });
  const lock = checkbox({ id: `lock-${k}`, label: "lock", onchange: (on) => desk.change(k, { locked: on }) });
  show.input.setAttribute("aria-label", `show ${name}`);
  lock.input.setAttribute("aria-label", `lock ${name}`);
  const some = () => !empty(painted(feature().layer.bytes, desk.painter.dims));
  const state = asking({
    id: `looked-${k}`, label: "not looked at", tip: `What is known of ${name}; press to change`,
    risky: some, question: "empty it?", act: () => desk.look(k, !feature().looked),
  });
  const sync = () => {
    const { looked, shown, locked } = feature();
    const words = looked ? (some() ? "painted" : "nothing there") : "not looked at";
    state.name(words);
    if (!state.asks()) state.node.setAttribute("aria-label", `${name}: ${words}; press to change`);
    state.node.dataset.state = words;
    choose.press(desk.painter.active === k);
    show.set(shown);
    lock.set(locked);
  };
  return { nodes: [choose.node, show.node, lock.node, state.node], sync };
}

// What is shown, and how: threshold preview, opacity, window, gain, view.
export function viewControls(desk) {
  const { painter } = desk;
  const percent = (id, label, value, done) =>
    slider({ id, label, min: 0, max: 100, value, unit: " %", oninput: (v) => done(v / 100) });
  const preview = checkbox({ id: "preview", label: "show what is kept", onchange: (on) => desk.set({ preview: on }) });
  const threshold = percent("threshold", "from", 50, (v) => desk.set({ threshold: v, preview: true }));
  threshold.input.setAttribute("aria-label", "Threshold preview: show what is kept from");
  const opacity = percent("opacity", "Opacity", 70, (v) => desk.set({ opacity: v }));
  const grey = (id, label, min, max, step, value) =>
    slider({ id, label, min, max, step, value, oninput: (v) => desk.grey({ [id]: v }) });
  const window_ = grey("window", "Window", 10, 255, 1, 255), level = grey("level", "Level", 0, 255, 0.5, 127.5);
  const gain = grey("gain", "Gain", 0.2, 4, 0.05, 1);
  const reset = button({ id: "reset", label: "Reset", tip: "Reset window, level and gain", onclick: () => {
    window_.set(255); level.set(127.5); gain.set(1);
    desk.grey({ window: 255, level: 127.5, gain: 1 });
  } });
  const fit = button({ id: "fit", label: "Fit", tip: "Fit the whole picture in", onclick: () => desk.stage.fit() });
  const sync = () => {
    preview.set(painter.preview);
    threshold.set(Math.round(100 * painter.threshold));
    opacity.set(Math.round(100 * painter.opacity));
  };
  const nodes = [
    heading("Threshold preview"), group("Threshold preview", preview.node, threshold.node),
    heading("View"), group("Layers", opacity.node, fit.node),
    group("Grey values", window_.node, level.node, gain.node, reset.node),
  ];
  return { nodes, sync };
}

// Another text on a button; its name for screen readers and its tip begin with what is seen.
function rename(node, text, more) {
  node.textContent = text;
  node.title = text + more;
  node.setAttribute("aria-label", text + more);
}

// Other frames of the clip.
export function frameControls(desk) {
  const play = button({
    id: "play", label: "Play", tip: "Play the clip (Space)", pressed: false, onclick: () => desk.play(),
  });
  const scrub = slider({
    id: "context-frame", label: "Frame", min: 0, max: 0, value: 0,
    oninput: (v) => { desk.frames.stop(); desk.frames.go(v); },
  });
  const back = button({ id: "back", label: "Back", onclick: () => desk.frames.back() });
  const paint = button({
    id: "paint-this", label: "Paint this frame", tip: "Paint this frame: what was painted is saved first",
    onclick: () => desk.openAt(desk.about.clip_id, desk.frames.at),
  });
  const told = element("div", { class: "lusnb-status", "aria-live": "polite", data: { testid: "context" } });
  const sync = () => {
    const { at, own, count, playing, painting } = desk.frames;
    scrub.input.max = count - 1;
    scrub.set(at);
    play.press(playing);
    rename(play.node, playing ? "Stop" : "Play", " the clip (Space)");
    rename(back.node, `Back to frame ${own}`, ", the one that is painted");
    back.node.disabled = painting && !playing;
    paint.node.disabled = painting || playing;
    told.textContent = painting ? `Frame ${own} is the one that is painted.`
      : `Frame ${at} of 0 to ${count - 1}, for context: what is painted is frame ${own}.`;
    told.classList.toggle("lusnb-warning", !painting);
  };
  return { nodes: [heading("The clip"), group("The clip", play.node, scrub.node, back.node, paint.node), told], sync };
}

// From what to start.
export function startControls(desk) {
  const source = select({ id: "source", label: "Start from", options: [["empty", "empty"]], onchange: () => {} });
  const start = asking({
    id: "start", label: "Start", tip: "Start from this: it replaces all layers that are not locked; can be undone",
    risky: () => desk.painter.features.some(({ locked, looked }) => looked && !locked),
    question: "replace what is here?",
    act: () => { if (desk.seen()) desk.link.send("start", { source: source.get() }); },
  });
  const fill = (names) => source.fill(names.map((name) => [name, name]));
  return { node: group("Start from", source.node, start.node), fill };
}

// The frames that are to be painted.
export function queueList(desk) {
  const input = element("select", {
    size: 7, class: "lusnb-brush-queue", "aria-label": "Frames to paint", data: { testid: "queue" },
  });
  let wait = 0;
  input.addEventListener("change", () => {
    clearTimeout(wait);
    wait = setTimeout(() => desk.open(Number(input.value)), 200); // arrow keys pass by many
  });
  const to = (id, label, tip, by) => button({ id, label, tip, onclick: () => desk.next(by) });
  const before = to("previous", "Previous", "Previous frame of the list (Shift+N)", -1);
  const after = to("next", "Next", "Next frame that is not painted yet (N)", 1);
  const told = element("div", { class: "lusnb-status", data: { testid: "queue-count" } });
  const sync = () => {
    const { queue, position } = desk;
    const first = Math.max(0, Math.min(position, queue.length) - 200), shown = queue.slice(first, first + 500);
    const options = shown.map((row, k) => [first + k, queueWords(row)]);
    input.replaceChildren(...options.map(([value, text]) => element("option", { value, text })));
    input.value = String(position);
    const done = queue.filter((row) => row[7]).length;
    told.textContent = `${done} of ${queue.length} frames painted by you`
      + (shown.length < queue.length ? `; ${shown.length} around this one are listed.` : ".");
  };
  return { nodes: [heading("Frames to paint"), input, group("Frames to paint", before.node, after.node), told], sync };
}

function queueWords([clip, frame, patient, day, view, uncertainty, raters, done]) {
  const parts = [clip, `frame ${frame}`, patient];
  if (day !== null) parts.push(`day ${day}`);
  if (view) parts.push(view);
  if (uncertainty !== null) parts.push(`unsure ${Math.round(100 * uncertainty)} %`);
  const others = raters ? raters.split(", ") : [];
  if (others.length) parts.push(`by ${others.length > 2 ? `${others.length} raters` : raters}`);
  return `${done ? "\u2713 " : "\u2007 "}${parts.join(" \u00b7 ")}`;
}
