// Plots of what arms say about patients: one point a patient (and day) and arm. A click chooses the patient.
import { element } from "./controls.js";
import { svg } from "./curves.js";
import { dayWord } from "./explorer_picker.js";

const EDGE = { left: 46, right: 10, top: 10, bottom: 46 };
const HIGH = 210;

function written(text, x, y, anchor, more = {}) {
  return svg("text", { x, y, "text-anchor": anchor, class: "lusnb-tick", ...more }, text);
}

// Horizontal lines with their values, and what is drawn upwards.
function upright(values, place, width, name, tell) {
  const middle = (EDGE.top + HIGH - EDGE.bottom) / 2;
  const lines = values.flatMap((value) => [
    svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: place(value), y2: place(value), class: "lusnb-grid" }),
    written(tell(value), EDGE.left - 4, place(value) + 3.5, "end"),
  ]);
  return [...lines, written(name, 10, middle, "middle", { transform: `rotate(-90 10 ${middle})` })];
}

// A point that can be clicked; the chosen patient's have a ring, those of other arms than the chosen one are faint.
function point({ x, y, colour, faint, ringed, told, onclick }) {
  const node = svg("circle", {
    cx: x, cy: y, r: faint ? 3 : 5, fill: colour, "fill-opacity": faint ? 0.35 : 0.95, class: "lusnb-pick",
    stroke: ringed ? "currentColor" : "none", "stroke-width": ringed ? (faint ? 1 : 2) : 0,
  }, svg("title", {}, told));
  node.addEventListener("click", onclick);
  return node;
}

function figure(id, title, note, width, label, nodes) {
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${HIGH}`, class: "lusnb-plot", role: "img", "aria-label": `${label}; the table has the same numbers`,
    style: `max-width:${width}px`,
  }, ...nodes);
  return element("figure", { class: "lusnb-curve", data: { testid: id } },
    element("figcaption", { class: "lusnb-title", text: title }), picture, element("p", { class: "lusnb-status", text: note }));
}

// The chosen arm is drawn last, above the others.
function ordered(rows, arm) {
  return [...rows].sort((a, b) => (a.arm === arm) - (b.arm === arm));
}

// Round numbers from 0 to a little above the largest value: about five of them.
export function ticksTo(most) {
  const ten = 10 ** Math.floor(Math.log10(most)), step = most / ten < 2 ? ten / 2 : most / ten < 5 ? ten : 2 * ten;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, k) => k * step);
}

// Predicted against true values, one point a patient-day and arm.
export function valuePlot(rows, { card, colours, arm, patient, onpick }) {
  const ticks = ticksTo(Math.max(1, ...rows.flatMap(({ truth, value }) => [truth, value]))), top = ticks.at(-1);
  const width = 320, high = HIGH - EDGE.top - EDGE.bottom, wide = width - EDGE.left - EDGE.right;
  const up = (value) => HIGH - EDGE.bottom - (high * value) / top, across = (value) => EDGE.left + (wide * value) / top;
  const nodes = upright(ticks, up, width, `predicted ${card.axis}`, (value) => `${Math.round(value)}`);
  nodes.push(svg("line", { x1: across(0), y1: up(0), x2: across(top), y2: up(top), class: "lusnb-grid", "stroke-dasharray": "4 3" }));
  for (const value of ticks) nodes.push(written(`${Math.round(value)}`, across(value), HIGH - EDGE.bottom + 13, "middle"));
  nodes.push(written(`true ${card.axis}`, EDGE.left + wide / 2, HIGH - EDGE.bottom + 28, "middle"));
  for (const row of ordered(rows, arm)) {
    nodes.push(point({
      x: across(row.truth), y: up(row.value), colour: colours[row.arm], faint: row.arm !== arm, ringed: row.patient_id === patient,
      told: `${row.patient_id}, ${dayWord(row.day)}, ${row.arm}: predicted ${row.value.toFixed(0)}, true ${row.truth.toFixed(0)}`,
      onclick: () => onpick(row.patient_id),
    }));
  }
  return figure(`plot-${card.task}`, card.title, card.note, width, `Predicted against true ${card.axis}`, nodes);
}

// A value from 0 to 1 for each patient; shaded: those whose truth is 1.
export function stripPlot(rows, { card, shaded, colours, arm, patient, onpick, tell }) {
  const ids = [...new Set(rows.map((row) => row.patient_id))].sort();
  const step = Math.max(16, Math.min(60, 260 / Math.max(1, ids.length)));
  const width = EDGE.left + EDGE.right + step * ids.length;
  const up = (value) => HIGH - EDGE.bottom - (HIGH - EDGE.top - EDGE.bottom) * value;
  const across = (patientId) => EDGE.left + step * (ids.indexOf(patientId) + 0.5);
  const nodes = [];
  for (const one of shaded ? new Set(rows.filter((row) => row.truth === 1).map((row) => row.patient_id)) : []) {
    nodes.push(svg("rect", {
      x: across(one) - step / 2, y: up(1), width: step, height: up(0) - up(1), fill: "currentColor", "fill-opacity": 0.12,
    }));
  }
  nodes.push(...upright([0, 0.25, 0.5, 0.75, 1], up, width, card.axis, (value) => `${100 * value} %`));
  for (const one of ids) {
    const x = across(one), y = HIGH - EDGE.bottom + 12, short = one.length > 9 ? `${one.slice(0, 8)}…` : one;
    const turned = step < 40 ? { transform: `rotate(-60 ${x} ${y})` } : {};
    nodes.push(written(short, x, y, step < 40 ? "end" : "middle", turned));
  }
  for (const row of ordered(rows, arm)) {
    nodes.push(point({
      x: across(row.patient_id), y: up(row.value), colour: colours[row.arm], faint: row.arm !== arm,
      ringed: row.patient_id === patient, told: tell(row), onclick: () => onpick(row.patient_id),
    }));
  }
  return figure(`plot-${card.task}`, card.title, card.note, width, card.title, nodes);
}
