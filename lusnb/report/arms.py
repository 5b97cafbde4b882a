"""All arms in one picture each: ranking, calibration, differences, raters, uncertainty. One row an arm.

Tidy tables of compare/arms.py and compare/uncertainty.py to figures. Nothing here computes a result. Heights
grow with the number of arms.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lusnb.cohort.problems import words
from lusnb.report.figures import threshold_name
from lusnb.report.looks import BLUE, ORANGE, SMALL, WIDTH, nothing
from lusnb.report.raters import looks
from lusnb.segment.predictions import FIXED

GREY = "0.62"
FILLED: dict[str, Any] = {"s": 22, "color": BLUE, "marker": "d"}  # at the arm's own cut
HOLLOW: dict[str, Any] = {"s": 24, "facecolor": "white", "edgecolor": BLUE, "marker": "d"}  # at a cut of 0.5
SCORES = {"truth_iou": "IoU, truth", "iou": "IoU, labels {}"}
PAINTED = {"truth_painted_empty": "empty images\npainted, truth", "painted_empty": "empty images\npainted"}
KINDS = {"single": ("one network", "o", GREY), "dropout": ("dropout mean", "D", ORANGE),
         "ensemble": ("ensemble", "s", BLUE)}  # fmt: skip
UNCERTAINTY = {
    "ece_band": "ECE in the band",
    "level_dice": "Dice over levels",
    "spearman": "rank correlation\nwith confidence",
    "auroc_unsure": "AUROC, expert\nunsure or sure",
    "auroc_wrong": "AUROC, model\nwrong or right",
}


def _panels(arms: list[str], titles: list[str], foot: float = 0.75) -> tuple[Figure, list[Axes]]:
    """Panels side by side that share their rows, one an arm, the first on top; foot: inches below."""
    height = foot + 0.45 + 0.21 * max(2, len(arms))
    shared: dict[str, Any] = {"figsize": (WIDTH, height), "squeeze": False, "sharey": True}
    figure, axes = plt.subplots(1, len(titles), layout="constrained", **shared)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=SMALL)
        ax.tick_params(labelsize=SMALL)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        for row in range(len(arms)):
            ax.axhline(row, color="0.93", linewidth=0.8, zorder=0)
        sns.despine(ax=ax, left=True)
    axes[0, 0].set_yticks(range(len(arms)), arms, fontsize=SMALL)
    axes[0, 0].set_ylim(len(arms) - 0.4, -0.6)
    return figure, list(axes[0])


def legend(figure: Figure, handles: list, where: str = "lower", columns: int = 4) -> None:
    """A legend of some handles outside of the panels."""
    kept: dict[str, Any] = {"loc": f"outside {where} center", "frameon": False, "fontsize": SMALL}
    figure.legend(handles=handles, ncols=columns, **kept)


def mark(marker: str, colour: str, label: str, line: str = "none", edge: str | None = None) -> Line2D:
    """A marker for a legend; edge: the colour of its outline, where that is another one."""
    drawn: dict[str, Any] = {"marker": marker, "linestyle": line, "markersize": 4.5, "label": label}
    return Line2D([], [], color=colour, markeredgecolor=edge or colour, **drawn)


# -- ranking


def ranking(by_patient: pd.DataFrame, means: pd.DataFrame, calibration: pd.DataFrame) -> Figure:
    """Every arm's leading scores, at its own cut and at 0.5: patients as dots, their mean, its interval.

    IoU against truth and labels, the share of images without a feature that are painted, and ECE. by_patient:
    averages.patient_scores. means: arms.intervals with a column compared_at, the threshold of the labels; an
    interval is drawn where it is not blank. calibration: reliability.calibration_errors, drawn as ECE of the
    band, from before to after temperature scaling. Scores that the cohort has not are left out.
    """
    compared_at = threshold_name(means["compared_at"].iloc[0])
    arms, there = list(dict.fromkeys(means["arm"])), set(means["metric"])
    shown = {name: title.format(compared_at) for name, title in SCORES.items() if name in there}
    shown |= dict([own for own in PAINTED.items() if own[0] in there][:1])  # of the truth where it is known
    figure, axes = _panels(arms, [*shown.values(), "ECE in the band"])
    place = {arm: row for row, arm in enumerate(arms)}
    for ax, name in zip(axes, shown, strict=False):
        dots, mean, fixed = (
            table[table["metric"] == metric]
            for table, metric in ((by_patient, name), (means, name), (means, f"{name}{FIXED}"))
        )
        ax.scatter(dots["value"], dots["arm"].map(place), s=9, color=GREY, alpha=0.55, linewidths=0, zorder=1)
        rows = mean["arm"].map(place)
        ax.hlines(rows, mean["low"], mean["high"], color=BLUE, linewidth=1.6, zorder=2)
        ax.scatter(fixed["mean"], fixed["arm"].map(place), **HOLLOW, zorder=3)
        ax.scatter(mean["mean"], rows, s=26, color=BLUE, marker="d", zorder=4)
        reach = np.nanmax([0.05, dots["value"].max(), mean["high"].max(), fixed["mean"].max()])
        ax.set_xlim(-0.04 * reach, 1.08 * reach)  # a marker at 0 is whole
    _before_after(axes[-1], calibration, place)
    handles = [mark("o", GREY, "a patient"), mark("d", BLUE, "mean, own cut")]
    if means["low"].notna().any():
        handles[1] = mark("d", BLUE, "mean, own cut, 95 % interval", "-")
    handles += [mark("d", "white", "mean, cut at 0.5", edge=BLUE), mark("o", "white", "ECE raw", edge="0.3")]
    legend(figure, [*handles, mark("o", ORANGE, "ECE at the fitted temperature")], columns=3)
    return figure


def _before_after(ax: Axes, calibration: pd.DataFrame, place: dict[str, int]) -> None:
    """ECE of the band against the labels, features pooled, seeds averaged: raw joined with tempered."""
    chosen = calibration.query("pixels == 'band' and against == 'labels' and feature == 'all'")
    ece = chosen.pivot_table(index="arm", columns="scaled", values="ece")
    ece = ece.reindex(index=list(place), columns=["raw", "tempered"]).astype(float)
    rows = list(place.values())
    ax.hlines(rows, ece["raw"], ece["tempered"], color="0.5", linewidth=1, zorder=1)
    ax.scatter(ece["raw"], rows, s=20, facecolor="white", edgecolor="0.3", zorder=2)
    ax.scatter(ece["tempered"], rows, s=20, color=ORANGE, zorder=3)
    ax.set_xlim(0, 1.08 * np.nanmax([0.05, *ece.to_numpy().ravel()]))


def few_patients(table: pd.DataFrame) -> Figure:
    """How often each arm comes out best in a study of few patients; the best of all is filled.

    table: few_patients.winners; a sentence if it is empty.
    """
    if table.empty:
        return nothing("no more test patients than a small study has, or one arm alone")
    arms, metrics = list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["metric"]))
    figure, axes = _panels(arms, [SCORES[name].format("").strip() for name in metrics], foot=0.75)
    for ax, name in zip(axes, metrics, strict=True):
        rows = table[table["metric"] == name]
        place = rows["arm"].map(arms.index)
        face = np.where(rows["best"].astype(bool), BLUE, "white")
        ax.barh(place, 100 * rows["share"], height=0.6, color=face, edgecolor=BLUE, zorder=2)
        ax.set_xlim(0, 100)
        ax.set_xlabel("% of draws in which it is best", fontsize=SMALL)
    few = table["few"].iloc[0]
    title = f"best arm of {few} test patients, drawn from {table['patients'].max()}"
    figure.suptitle(title, fontsize=SMALL)
    legend(figure, [mark("s", BLUE, "best over all patients"), mark("s", "white", "another", edge=BLUE)])
    return figure


def differences(table: pd.DataFrame) -> Figure:
    """Each arm less its reference, one panel a score, at the arms' own cuts and at 0.5, with intervals.

    table: arms.differences: metric, arm, reference, difference, low, high; a sentence if it is empty.
    """
    if table.empty:
        return nothing("one arm alone: nothing to compare it with")
    there = [name for name in SCORES if (table["metric"] == name).any()]
    table = table.assign(pair=table["arm"] + " - " + table["reference"])
    pairs = list(dict.fromkeys(table["pair"]))
    figure, axes = _panels(pairs, [SCORES[name].format("").strip() for name in there], foot=0.75)
    for ax, name in zip(axes, there, strict=True):
        ax.axvline(0, color="0.5", linewidth=1, zorder=1)
        reach = 0.02  # no range that magnifies nothing
        for metric, shift, looks_of in ((name, -0.13, FILLED), (f"{name}{FIXED}", 0.13, HOLLOW)):
            rows = table[table["metric"] == metric]
            place = rows["pair"].map(pairs.index) + shift
            ax.hlines(place, rows["low"], rows["high"], color=BLUE, linewidth=1.2, zorder=2)
            ax.scatter(rows["difference"], place, **looks_of, zorder=3)
            furthest = rows[["difference", "low", "high"]].abs().max(axis=None)
            reach = max(reach, 0.0 if np.isnan(furthest) else furthest)
        ax.set_xlim(-1.1 * reach, 1.1 * reach)
        ax.set_xlabel("difference", fontsize=SMALL)
    legend(figure, [mark("d", BLUE, "at the arms' own cuts"), mark("d", "white", "cut at 0.5", edge=BLUE)])
    return figure


# -- calibration


def reliability(curves: pd.DataFrame, calibration: pd.DataFrame, columns: int = 5) -> Figure:
    """One panel an arm: mean confidence against mean prediction in the band, raw and tempered.

    curves: reliability.curves, of which the first seed, features pooled, is drawn; where the cohort has
    truth, the tempered prediction against it too. calibration: reliability.calibration_errors; its ECE stands
    in the titles.
    """
    chosen = "pixels == 'band' and feature == 'all'"
    curves, errors = (table.query(chosen) for table in (curves, calibration))
    arms = list(dict.fromkeys(curves["arm"]))
    columns = min(columns, max(2, len(arms)))
    rows = -(-len(arms) // columns)
    side = min(WIDTH / columns, 2.4)
    size = (side * columns, 0.9 + (side + 0.35) * rows)
    same: dict[str, Any] = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, figsize=size, **same)
    looks_of = {
        ("labels", "raw"): ("labels, raw", "o", GREY),
        ("labels", "tempered"): ("labels, tempered", "o", BLUE),
        ("truth", "tempered"): ("truth, tempered", "^", ORANGE),
    }
    for ax in axes.flat[len(arms) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, len(arms) - columns) : len(arms)]:
        ax.tick_params(labelbottom=True)  # also above a panel that is not there
    for ax, arm in zip(axes.flat, arms, strict=False):
        _one_reliability(ax, arm, curves[curves["arm"] == arm], errors[errors["arm"] == arm], looks_of)
    figure.supxlabel("predicted probability", fontsize=SMALL)
    figure.supylabel("mean of the labels", fontsize=SMALL)
    there = set(zip(curves["against"], curves["scaled"], strict=True))
    marks = [mark(m, c, label, "-") for key, (label, m, c) in looks_of.items() if key in there]
    legend(figure, marks, "upper")
    return figure


def _one_reliability(ax: Axes, arm: str, curves: pd.DataFrame, errors: pd.DataFrame, looks_of: dict) -> None:
    first = curves["seed"] == curves["seed"].iloc[0]
    ax.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    for (name, scaled), (_, marker, colour) in looks_of.items():
        own = curves[first & (curves["against"] == name) & (curves["scaled"] == scaled)].dropna()
        ax.plot(own["predicted"], own["observed"], color=colour, marker=marker, markersize=2.5, linewidth=1)
    ece = errors[errors["against"] == "labels"].groupby("scaled")["ece"].mean()
    ax.set_title(f"{arm}\nECE {ece['raw']:.3f} → {ece['tempered']:.3f}", fontsize=7)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.tick_params(labelsize=7)
    sns.despine(ax=ax)


# -- raters


def against_raters(table: pd.DataFrame, columns: int = 3) -> Figure:
    """Each arm's Dice with each rater (markers) beside what the other raters reach with that rater (lines).

    Filled markers: at the arm's own cut; hollow ones: at 0.5.
    table: raters.against_raters; one panel a feature, one row an arm. Lines: the other raters' mean map,
    and dotted the other raters one by one. A sentence where the table is empty.
    """
    if table.empty:
        return nothing("no two raters share a held-out image")
    arms, features = (list(dict.fromkeys(table[column])) for column in ("arm", "feature"))
    columns = min(columns, len(features))
    rows = -(-len(features) // columns)
    size = (WIDTH, 0.8 + (0.6 + 0.21 * max(2, len(arms))) * rows)
    same: dict[str, Any] = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, figsize=size, **same)
    known = looks(table["rater"].tolist())
    for ax in axes.flat[len(features) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, len(features) - columns) : len(features)]:
        ax.tick_params(labelbottom=True)
    for ax, feature in zip(axes.flat, features, strict=False):
        _one_feature(ax, table[table["feature"] == feature], arms, known)
        ax.set_title(words(feature), fontsize=SMALL)
    figure.supxlabel("Dice", fontsize=SMALL)
    lines = [Line2D([], [], color="0.3", label="the others' mean"),
             Line2D([], [], color="0.3", linestyle=":", label="another rater")]  # fmt: skip
    marks = [mark(m, c, f"model with {name}") for name, (c, m) in known.items()]
    legend(figure, [*marks, mark("o", "white", "cut at 0.5", edge="0.3"), *lines], "upper", columns=3)
    return figure


def _one_feature(ax: Axes, table: pd.DataFrame, arms: list[str], known: dict) -> None:
    ax.set_yticks(range(len(arms)), arms)
    ax.tick_params(labelsize=SMALL)
    ax.set(xlim=(0, 1), ylim=(len(arms) - 0.4, -0.6))
    for row in range(len(arms)):
        ax.axhline(row, color="0.93", linewidth=0.8, zorder=0)
    for rater, (colour, marker) in known.items():
        own = table[table["rater"] == rater]
        if len(own):
            ax.axvline(own["others"].iloc[0], color=colour, linewidth=1, zorder=1)
            ax.axvline(own["pairs"].iloc[0], color=colour, linewidth=1, linestyle=":", zorder=1)
            rows = own["arm"].map(arms.index)
            hollow: dict[str, Any] = {"facecolor": "none", "edgecolor": colour, "linewidths": 0.8}
            ax.scatter(own["model_fixed"], rows, s=16, marker=marker, **hollow, zorder=2)
            ax.scatter(own["model"], rows, s=22, color=colour, marker=marker, zorder=3)
    sns.despine(ax=ax)


# -- uncertainty


def uncertainty(table: pd.DataFrame) -> Figure:
    """One network, dropout and ensembles beside each other, one row an arm, one panel a metric.

    table: uncertainty.compare: arm, kind, metric, value; an ensemble stands in the row of its group.
    """
    arms = list(dict.fromkeys(table["arm"]))
    shown = [name for name in UNCERTAINTY if (table["metric"] == name).any()]
    figure, axes = _panels(arms, [UNCERTAINTY[name] for name in shown])
    for ax, name in zip(axes, shown, strict=True):
        for kind, (_, marker, colour) in KINDS.items():
            rows = table[(table["metric"] == name) & (table["kind"] == kind)]
            style: dict[str, Any] = {"s": 26, "color": colour, "marker": marker, "linewidths": 0}
            ax.scatter(rows["value"], rows["arm"].map(arms.index), zorder=2 + (kind == "single"), **style)
        values = table.loc[table["metric"] == name, "value"]
        if name.startswith("auroc"):
            ax.axvline(0.5, color="0.5", linewidth=1, linestyle=":", zorder=1)
            ax.set_xlim(min(0.45, values.min() - 0.03), 1)
        else:
            ax.set_xlim(min(0.0, values.min() - 0.03), max(0.1, 1.08 * values.max()))
    there = set(table["kind"])
    handles = [mark(m, c, label) for kind, (label, m, c) in KINDS.items() if kind in there]
    chance = Line2D([], [], color="0.5", linestyle=":", label="chance")
    legend(figure, [*handles, chance])
    return figure
