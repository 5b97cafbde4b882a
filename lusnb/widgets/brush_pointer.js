// What pointer, wheel and keys do, and what is shown at the pointer.
import { KEYS, keyName, ownKey } from "./brush_keys.js";
import { keepKeys } from "./controls.js";

const PUSH = 60; // px of a wheel that make a step: a notch of a mouse is 100 to 120, a trackpad sends a few at once
const UNITS = [1, 40, 800]; // px of a wheel's unit: pixels, lines (three a notch), pages

// Drawn over the layers, in screen pixels.
export function drawAbove(context, { painter, pointer, stage, frames }) {
  const { sx, sy, left, top } = stage.view(), screen = (p) => [left + p.x * sx, top + p.y * sy];
  if (!frames.painting) return;
  if (painter.corners.length) {
    const corners = [...painter.corners, ...(pointer ? [pointer] : [])].map(screen);
    outline(context, () => corners.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y))));
    for (const [x, y] of corners) outline(context, () => context.rect(x - 2, y - 2, 4, 4));
  }
  if (!pointer || !painter.now || ["fill", "polygon"].includes(painter.tool)) return;
  const [x, y] = screen(pointer), radius = painter.size / 2;
  outline(context, () => context.ellipse(x, y, radius * sx, radius * sy, 0, 0, 2 * Math.PI), painter.now.colour);
  const core = radius * (painter.tool === "line" ? 1 : painter.hardness);
  if (core > 0 && core < radius) {
    context.setLineDash([2, 3]);
    outline(context, () => context.ellipse(x, y, core * sx, core * sy, 0, 0, 2 * Math.PI));
    context.setLineDash([]);
  }
}

// Light on dark, so that it is seen on any grey.
function outline(context, path, colour = "#ffffff") {
  for (const [style, width] of [["rgba(0, 0, 0, 0.6)", 3], [colour, 1.5]]) {
    context.beginPath();
    path();
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

// Pixel, mm, grey value and the confidence of each feature that has any.
function readout({ painter, pointer, frames, about }) {
  if (!about || !pointer) return "";
  const { height, width } = painter.dims, [x, y] = [Math.floor(pointer.x), Math.floor(pointer.y)];
  if (x < 0 || y < 0 || x >= width || y >= height) return "";
  const at = y * width + x, parts = [`x ${x}, y ${y}`];
  if (about.mm) {
    const [deep, across] = [pointer.y * about.mm[0], pointer.x * about.mm[1]].map((mm) => mm.toFixed(1));
    parts.push(`${across} mm across, ${deep} mm deep`);
  }
  parts.push(`grey ${frames.layer.bytes[at]}`);
  for (const { name, layer } of frames.painting ? painter.features : []) {
    if (layer.bytes[at]) parts.push(`${name} ${Math.round(layer.bytes[at] / 2.55)} %`);
  }
  return parts.join(" \u00b7 ");
}

// A pointer event on the picture, at a place in its pixels.
export function pointed(desk, kind, place, event) {
  const { painter, link, stage } = desk;
  link.touched();
  if (painter.stroke && event.pointerId !== desk.paints) return; // a second finger, a palm beside the pen
  desk.pointer = kind === "leave" ? null : place;
  const press = (one) => ({
    pressure: one.pointerType === "pen" ? one.pressure : 1, erase: event.button === 2 || event.button === 5,
  });
  if (kind === "down") down(desk, place, press(event), event);
  if (kind === "move" && painter.stroke) {
    const more = event.getCoalescedEvents?.() || [], all = more.length ? more : [event];
    if (link.reason()) painter.end();
    else painter.extend(all.map((one) => [stage.place(one), press(one)]));
  }
  if ((kind === "up" || kind === "cancel") && painter.stroke) {
    painter.end();
    link.flush();
    desk.sync();
  }
  desk.read.textContent = readout(desk);
  stage.draw();
}

function down(desk, place, press, event) {
  const { painter, link, stage } = desk;
  stage.canvas.focus({ preventScroll: true });
  if (!desk.free()) return;
  try {
    stage.canvas.setPointerCapture(event.pointerId);
  } catch { /* no such pointer: an event that a program made */ }
  desk.paints = event.pointerId;
  painter.begin(place, press);
  if (!painter.stroke) link.flush();
}

// Wheel and keys, while something in the widget has the focus.
export function listen(desk) {
  const { root, stage, painter, link } = desk, wheel = new Wheel();
  const calm = () => { if (painter.hidden) desk.hide(false); };
  keepKeys(root);
  root.addEventListener("keydown", (event) => pressed(desk, event));
  root.addEventListener("keyup", (event) => {
    event.stopPropagation();
    if (event.key.toLowerCase() === "h") calm();
  });
  root.addEventListener("focusout", calm);
  // A notebook that sees these takes the focus to its cell, where the next key would be a command.
  for (const kind of ["mousedown", "mouseup", "click", "dblclick"]) {
    root.addEventListener(kind, (event) => event.stopPropagation());
  }
  root.addEventListener("pointermove", () => link.touched());
  stage.canvas.addEventListener("dblclick", () => desk.closePolygon());
  stage.node.addEventListener("wheel", (event) => wheeled(desk, wheel, event), { capture: true, passive: false });
}

// Nothing that is typed here may reach the notebook, whose single letters delete cells.
function pressed(desk, event) {
  const name = keyName(event), action = KEYS.find(([keys]) => keys.includes(name));
  event.stopPropagation();
  desk.link.touched();
  if (desk.help.open || !action || event.altKey || ownKey(event.target, name)) return;
  event.preventDefault();
  if (desk.about) action[2](desk, name);
}

// Steps of a wheel. What is pushed is summed up, in one direction, until it makes one: a notch is never two.
export class Wheel {
  constructor() { this.sum = 0; }

  // 1 up, -1 down, 0 not yet. With Shift some browsers tell a push down as one to the right.
  step({ deltaMode, deltaX, deltaY, shiftKey }) {
    const push = (UNITS[deltaMode] || 1) * (deltaY || (shiftKey ? deltaX : 0));
    this.sum = push * this.sum < 0 ? push : this.sum + push;
    if (Math.abs(this.sum) < PUSH) return 0;
    const way = this.sum < 0 ? 1 : -1;
    this.sum = 0;
    return way;
  }
}

function wheeled(desk, wheel, event) {
  if (!desk.root.matches(":focus-within")) {
    event.stopPropagation(); // the page scrolls until the picture was clicked
    return;
  }
  desk.link.touched();
  if (event.ctrlKey || event.metaKey) return; // the stage zooms
  event.preventDefault();
  const up = wheel.step(event), { confidence } = desk.painter;
  if (!up) return;
  if (event.shiftKey) desk.grow(up);
  else desk.set({ confidence: Math.min(1, Math.max(0, Math.round(20 * confidence + up) / 20)) });
}
