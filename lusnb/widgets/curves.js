// Small line charts whose marker follows a slider; values at the marker are written out beside them.
import { element } from "./controls.js";

const BOX = { width: 300, height: 170, left: 34, right: 16, top: 8, bottom: 32 };

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function percent(value, digits = 0) {
  return `${(100 * value).toFixed(digits)} %`;
}

// The value of a line at x, and whether a point lies there; null beyond its ends. points: [x, y] by rising x.
export function valueAt(points, x) {
  for (let k = 0; k < points.length; k += 1) {
    const [x1, y1] = points[k];
    if (Math.abs(x1 - x) < 1e-9) return { y: y1, exact: true };
    if (x1 > x) {
      if (k === 0) return null;
      const [x0, y0] = points[k - 1];
      return { y: y0 + ((y1 - y0) * (x - x0)) / (x1 - x0), exact: false };
    }
  }
  return null;
}

// A chart of fractions from 0 to 1 across, 0 to `top` up. `set(series)` draws, `mark(x)` moves the marker.
// series: {name, colour, points, dots (drawn at the points), strong, told (false: no value is written), round (its
// swatch: an arm's, where others are features)}.
export class Chart {
  constructor({ id, title, across, up, diagonal = false }) {
    this.across = across;
    this.up = up;
    this.diagonal = diagonal;
    this.series = [];
    this.x = 0.5;
    this.picture = svg("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", class: "lusnb-chart" });
    this.caption = element("figcaption", { class: "lusnb-title", text: title });
    this.note = element("p", { class: "lusnb-status", data: { testid: `${id}-note` } });
    this.values = element("ul", { class: "lusnb-values", data: { testid: `${id}-values` } });
    this.node = element("figure", { class: "lusnb-curve", data: { testid: id } },
      this.caption, this.picture, this.values, this.note);
  }

  title(text) {
    this.caption.textContent = text;
  }

  // In place of a chart: why there is none.
  empty(reason) {
    this.series = [];
    this.picture.replaceChildren();
    this.picture.style.display = "none";
    this.note.textContent = reason;
    this.values.replaceChildren();
  }

  set(series, { top = 1, note = "" } = {}) {
    this.series = series;
    this.top = top;
    this.note.textContent = note;
    this.picture.style.display = "";
    this.line = svg("line", { class: "lusnb-marker", y1: BOX.top, y2: BOX.height - BOX.bottom });
    this.points = series.map((one) => svg("circle", { r: 3.2, fill: one.colour, class: "lusnb-dot" }));
    this.picture.replaceChildren(...this.axes(), ...series.flatMap((one) => this.drawn(one)), this.line, ...this.points);
    this.rows = series.map((one) => {
      const value = element("output", { class: "lusnb-value" });
      const swatch = element("span", { class: `lusnb-swatch${one.round ? " lusnb-arm" : ""}`, style: `background:${one.colour}` });
      const name = element("span", { class: one.strong ? "lusnb-strong" : "", text: one.name });
      return { value, node: element("li", {}, swatch, name, value) };
    });
    this.values.replaceChildren(...this.rows.filter((_, k) => series[k].told !== false).map(({ node }) => node));
    this.mark(this.x);
  }

  at(x, y) {
    const wide = BOX.width - BOX.left - BOX.right, high = BOX.height - BOX.top - BOX.bottom;
    return [BOX.left + x * wide, BOX.height - BOX.bottom - (y / this.top) * high];
  }

  axes() {
    const parts = [];
    const write = (text, x, y, anchor, more = {}) =>
      parts.push(svg("text", { x, y, "text-anchor": anchor, class: "lusnb-tick", ...more }, text));
    for (const k of [0, 0.25, 0.5, 0.75, 1]) {
      const [x, y] = this.at(k, k * this.top), [left, bottom] = this.at(0, 0), [right] = this.at(1, 0);
      parts.push(svg("line", { x1: left, x2: right, y1: y, y2: y, class: "lusnb-grid" }));
      write(`${Math.round(100 * k)}`, x, bottom + 12, "middle");
      write(`${Math.round(100 * k * this.top)}`, left - 4, y + 3.5, "end");
    }
    const [middle] = this.at(0.5, 0), [, half] = this.at(0, this.top / 2);
    write(`${this.across}, %`, middle, BOX.height - 4, "middle");
    write(`${this.up}, %`, 8, half, "middle", { transform: `rotate(-90 8 ${half})` });
    if (this.diagonal) {
      const [x1, y1] = this.at(0, 0), [x2, y2] = this.at(1, 1);
      parts.push(svg("line", { x1, y1, x2, y2, class: "lusnb-grid", "stroke-dasharray": "3 3" }));
    }
    return parts;
  }

  drawn({ colour, points, dots, strong, told }) {
    const places = points.map(([x, y]) => this.at(x, y));
    const line = svg("polyline", {
      points: places.map((place) => place.join(",")).join(" "), fill: "none", stroke: colour,
      "stroke-width": strong ? 3 : 1.5, "stroke-dasharray": told === false ? "2 3" : undefined,
    });
    const marks = dots ? places.map(([cx, cy]) => svg("circle", { cx, cy, r: 1.8, fill: colour })) : [];
    return [line, ...marks];
  }

  mark(x) {
    this.x = x;
    if (!this.series.length) return;
    const [at] = this.at(x, 0);
    this.line.setAttribute("x1", at);
    this.line.setAttribute("x2", at);
    const told = [];
    this.series.forEach((one, k) => {
      const found = valueAt(one.points, x), dot = this.points[k];
      dot.style.display = found && one.told !== false ? "" : "none";
      if (found) {
        const [cx, cy] = this.at(x, found.y);
        dot.setAttribute("cx", cx);
        dot.setAttribute("cy", cy);
      }
      const text = found ? `${found.exact ? "" : "≈ "}${percent(found.y, 1)}` : "–";
      this.rows[k].value.textContent = text;
      if (one.told !== false) told.push(`${one.name} ${text}`);
    });
    this.picture.setAttribute("aria-label", `${this.caption.textContent}, at ${percent(x)}: ${told.join(", ")}`);
  }
}
