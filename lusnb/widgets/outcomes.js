// What arms say about patients, beside what is true; a chosen patient's clips open on the first page.
import { button, element, group, keepKeys, select } from "./controls.js";
import { percent } from "./curves.js";
import { dayWord } from "./explorer_picker.js";
import { stripPlot, valuePlot } from "./outcome_plots.js";

const SPLITS = {
  test: "held out: in neither training nor choice", validation: "validation: helped to choose the network",
};
const MODELS = { tsm: "network (TSM)", majority: "majority class", mean: "training mean", ridge: "ridge regression", logistic: "logistic regression" };
const NONE = "–";
// How each kind of task (task.Card) is drawn.
const PLOTS = {
  value: (rows, more) => valuePlot(rows, more),
  share: (rows, more) => stripPlot(rows, {
    ...more, tell: (row) => `${row.patient_id}, ${row.arm}: ${percent(row.value)} of ${row.count} ${more.card.units} right`,
  }),
  probability: (rows, more) => stripPlot(rows, {
    ...more, shaded: true, tell: (row) => `${row.patient_id}, ${row.arm}: ${percent(row.value)}; ${row.truth === 1 ? "it did happen" : "it did not happen"}`,
  }),
};

// A patient's days, each once: what is true and what was predicted, null where there is none. sf: day -> S/F;
// rows: predictions of these days.
export function byDay(sf, rows) {
  const days = [...new Set([...Object.keys(sf).map(Number), ...rows.map((row) => row.day)])].sort((a, b) => a - b);
  return days.map((day) => {
    const row = rows.find((one) => one.day === day), known = sf[day] ?? null;
    return { day, truth: known === null && row ? row.truth : known, value: row ? row.value : null };
  });
}

// S/F as it is written, one a day.
export function dayList(values) {
  return values.map((value) => (value === null ? NONE : value.toFixed(0))).join(", ") || NONE;
}

class Patients {
  constructor(model, root) {
    Object.assign(this, { model, root, name: Math.random().toString(36).slice(2), patient: model.get("patient") });
    this.hear = (answer) => { if (answer.id === this.name) this.build(answer); };
    this.follow = () => this.choose(model.get("patient"), false);
    model.on("msg:custom", this.hear);
    model.on("change:patient", this.follow);
    root.append(element("p", { class: "lusnb-status", text: "Reading the outcomes ..." }));
    model.send({ type: "ready", id: this.name });
  }

  close() {
    this.model.off("msg:custom", this.hear);
    this.model.off("change:patient", this.follow);
  }

  build(all) {
    this.all = all;
    this.colours = Object.fromEntries(all.arms.map(({ name, colour }) => [name, colour]));
    const rows = Object.values(all.tasks).flat(), there = (column) => [...new Set(rows.map((row) => row[column]))];
    const options = (names, words) => names.map((name) => [name, words[name] || name]);
    const redraw = () => this.draw();
    this.split = select({ id: "split", label: "Patients", options: options(there("split").sort(), SPLITS), value: "test", onchange: redraw });
    this.arm = select({ id: "outcome-arm", label: "Arm", options: all.arms.map(({ name }) => [name, name]), onchange: redraw });
    this.method = select({ id: "model", label: "Predicted by", options: options(there("model"), MODELS), value: "tsm", onchange: redraw });
    if (!this.method.get()) this.method.set(there("model")[0]);
    if (!this.split.get()) this.split.set(there("split")[0]);
    this.plots = element("div", { class: "lusnb-below", data: { testid: "plots" } });
    this.legend = element("ul", { class: "lusnb-values lusnb-full" });
    this.table = element("div", { class: "lusnb-scroll", data: { testid: "patients" }, tabindex: 0, role: "region", "aria-label": "Patients" });
    this.own = element("div", { data: { testid: "patient" }, "aria-live": "polite" });
    const advice = element("p", { class: "lusnb-note", data: { testid: "advice" }, text: all.advice });
    const controls = group("What is shown", this.arm.node, this.method.node, this.split.node);
    const note = all.note ? [element("p", { class: "lusnb-note", data: { testid: "outcome-note" }, text: all.note })] : [];
    const head = element("div", { class: "lusnb-full" }, all.advice ? advice : controls, ...note);
    const beside = element("div", { class: "lusnb-side" }, this.own);
    this.root.replaceChildren(head, this.plots, this.legend, element("div", { class: "lusnb-main lusnb-wide" }, this.table), beside);
    this.draw();
  }

  // Rows of one task, of the chosen patients and method; all arms.
  rows(task) {
    const rows = this.all.tasks[task] || [];
    return rows.filter((row) => row.split === this.split.get() && row.model === this.method.get());
  }

  draw() {
    const arm = this.arm.get(), same = { colours: this.colours, arm, patient: this.patient, onpick: (id) => this.choose(id) };
    const plots = this.all.cards.map((card) => [card, this.rows(card.task)]).filter(([, rows]) => rows.length)
      .map(([card, rows]) => PLOTS[card.kind](rows, { ...same, card }));
    const told = this.all.advice ? [] : [element("p", { class: "lusnb-status", text: "No predictions of these patients by this method." })];
    this.plots.replaceChildren(...(plots.length ? plots : told));
    this.legend.replaceChildren(...this.all.arms.map(({ name, colour }) => element("li", {},
      element("span", { class: "lusnb-swatch lusnb-arm", style: `background:${colour}` }),
      element("span", { class: name === arm ? "lusnb-strong" : "", text: name }))));
    this.list();
    this.show();
  }

  // One row a patient, of the chosen arm.
  list() {
    const arm = this.arm.get(), own = (task, id) => this.rows(task).filter((row) => row.arm === arm && row.patient_id === id);
    const split = this.all.split ? ["Split"] : []; // cross-fitted everybody is held out once: it says nothing
    const known = this.all.cards.find((card) => card.known === "sf"), ofSf = (id) => (known ? own(known.task, id) : []);
    const heads = ["Patient", ...split, "S/F true, each day", "Readmitted", ...this.all.cards.map(({ kind, heading }) => (kind === "value" ? `${heading} predicted` : heading))];
    const rows = this.all.patients.map((patient) => {
      const { patient_id: id, readmitted, sf } = patient, truth = readmitted === null ? "unknown" : readmitted ? "yes" : "no";
      const said = this.all.cards.map((card) => {
        const found = own(card.task, id);
        if (card.kind !== "value") return found.map((row) => percent(row.value)).join(", ") || NONE;
        return dayList(byDay(patient[card.known] ?? {}, found).map(({ value }) => value));
      });
      const name = button({ id: `patient-${id}`, label: id, tip: `Choose patient ${id}`, pressed: id === this.patient, onclick: () => this.choose(id) });
      const cells = [...split.map(() => patient.split ?? NONE), dayList(byDay(sf, ofSf(id)).map((day) => day.truth)), truth, ...said];
      return element("tr", { class: id === this.patient ? "lusnb-row-chosen" : "" },
        element("th", { scope: "row" }, name.node), ...cells.map((text) => element("td", { text })));
    });
    this.table.replaceChildren(element("table", { class: "lusnb-table" },
      element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, ...rows)));
  }

  choose(id, tell = true) {
    this.patient = id;
    if (tell) {
      this.model.set("patient", id);
      this.model.save_changes();
    }
    if (this.all) this.draw();
  }

  // The chosen patient: every arm's predictions, and the clips.
  show() {
    const chosen = this.all.patients.find(({ patient_id: id }) => id === this.patient);
    if (!chosen) {
      this.own.replaceChildren(element("p", { class: "lusnb-status", text: "Choose a patient to see all arms and the clips." }));
      return;
    }
    const clips = chosen.clips.map((id) => this.all.clips[id]);
    const open = clips.map(({ clip_id: id, day, view }) => button({
      id: `open-${id}`, label: [dayWord(day), view].filter(Boolean).join(", "), tip: `Open clip ${id}`,
      onclick: () => this.model.send({ type: "open", clip_id: id }),
    }).node);
    this.own.replaceChildren(element("p", { class: "lusnb-title", text: `Patient ${chosen.patient_id}` }),
      ...this.arms(chosen), element("p", { class: "lusnb-status", text: "Clips; each opens on the first page:" }), group("Clips", ...open));
  }

  // Every arm's predictions of a patient: a column a day of a value, one of anything else.
  arms(patient) {
    const columns = this.all.cards.flatMap((card) => {
      const rows = this.rows(card.task).filter((row) => row.patient_id === patient.patient_id);
      if (!rows.length) return [];
      if (card.kind === "value") {
        return byDay(patient[card.known] ?? {}, rows).map(({ day, truth }) => ({
          head: `${card.heading} ${dayWord(day)} (true ${dayList([truth])})`, rows: rows.filter((row) => row.day === day), tell: (v) => v.toFixed(0),
        }));
      }
      const truth = card.kind === "probability" ? ` (${rows[0].truth === 1 ? "true" : "not so"})` : "";
      return [{ head: card.heading + truth, rows, tell: percent }];
    });
    if (!columns.length) {
      return [element("p", { class: "lusnb-status", text: "No predictions of this patient among those shown." })];
    }
    const heads = ["Arm", ...columns.map(({ head }) => head)];
    const rows = this.all.arms.map(({ name }) => {
      const cells = columns.map((column) => {
        const row = column.rows.find((one) => one.arm === name);
        return element("td", { text: row ? column.tell(row.value) : NONE });
      });
      return element("tr", {}, element("th", { scope: "row", text: name }), ...cells);
    });
    return [element("table", { class: "lusnb-table" },
      element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, ...rows))];
  }
}

function render({ model, el }) {
  const root = element("div", { class: "lusnb", data: { testid: "outcomes" } });
  el.append(root);
  keepKeys(root);
  const view = new Patients(model, root);
  return () => view.close();
}

export default { render };
