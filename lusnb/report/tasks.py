"""The clinical tasks in one picture each: every arm's scores, and whether they beat the baselines.

Tidy tables of tasks/scores.py and report/task_tables.py to Axes and figures. Nothing here computes a result.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.compare import tasks
from lusnb.report import task_tables
from lusnb.report.looks import BLUE, GREEN, ORANGE, PALETTE, SMALL, WIDTH, nothing
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.registry import TASKS

GREY = "0.55"
PROPORTIONS = ("recall", "precision")
CROWDED = {"labelrotation": 90, "labelsize": 6}  # ticks of a dozen arms and more
IMPOSSIBLE = "not possible with this cohort"


# -- scores


def task_scores(task: str, scores: pd.DataFrame, metric: str = "", ax: Axes | None = None) -> Axes:
    """A score of a task, means over patients: dots are folds of an arm, bars the table's numbers, a line and
    crosses the baselines.

    scores: a task's tidy scores (tasks/scores.py), arms in the order of the picture, baseline arms among
    them. metric: as tasks.means takes it; "": that which the task leads with. Where no test patient has this
    score, the picture says so.
    """
    ax, metric = ax or plt.gca(), metric or TASKS[task].leading
    table = tasks.means(scores, metric)
    if table.empty:
        ax.text(0.5, 0.5, IMPOSSIBLE, ha="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return ax
    order, means = list(dict.fromkeys(table["arm"])), table.set_index(["model", "arm"])["value"]
    width = min(16, 180 / len(order))  # points: bars of neighbouring arms do not touch
    dots = tasks.means(scores, metric, by=["seed", "fold"])
    _dots(ax, dots[dots["model"] == "tsm"], order, max(2.5, width / 4))
    places = np.arange(len(order))
    beside: dict[str, tuple[float, dict[str, Any]]] = {  # so that no mark hides another one
        "tsm": (0, {"marker": "_", "markersize": width, "markeredgewidth": 2, "color": BLUE, "label": "TSM"}),
        "ridge": (-0.15, {"marker": "x", "color": GREEN, "label": "ridge on measures of the masks"}),
        "logistic": (0.15, {"marker": "+", "color": PALETTE[4], "label": "logistic, the same"}),
    }
    for model, (aside, look) in beside.items():
        if model in means.index.get_level_values(0):
            found = means[model].reindex(order)
            ax.plot(places + aside, found, linestyle="none", **{"markersize": width / 2.4, **look})
    for model in TRIVIAL:
        if model in means.index.get_level_values(0):
            line: dict[str, Any] = {"color": ORANGE, "linestyle": "--", "linewidth": 1}
            ax.axhline(means[model].iloc[0], label=task_tables.title(model), **line)
    ax.set(xlabel="", ylabel=task_tables.in_words(task, metric))
    share = metric in PROPORTIONS or metric.startswith("accuracy")
    ax.set(ylim=(-0.05, 1.05) if share else (0, None))
    ax.tick_params(axis="x", **({"labelrotation": 45, "labelsize": 8} if len(order) <= 12 else CROWDED))
    ax.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    sns.despine(ax=ax)
    return ax


def _dots(ax: Axes, scores: pd.DataFrame, order: list[str], size: float) -> None:
    """A gray dot a run, above its arm, and one in the legend. size: in points."""
    look: dict[str, Any] = {"color": "0.45", "alpha": 0.7}
    sns.stripplot(scores, x="arm", y="value", order=order, size=size, jitter=False, **look, ax=ax)
    ax.plot([], [], "o", markersize=size, label="TSM, one fold and seed", **look)  # stripplot names nothing


def every_task(scores: pd.DataFrame) -> Figure:
    """One panel a task, of its leading score; scores: task_tables.stacked."""
    size = (0.5 * len(TASKS) * WIDTH, 0.55 * WIDTH)
    figure, axes = plt.subplots(1, len(TASKS), figsize=size, squeeze=False, layout="constrained")
    marks: dict[str, Any] = {}
    for ax, (task, own) in zip(axes[0], TASKS.items(), strict=True):
        task_scores(task, scores[scores["task"] == task], ax=ax)
        ax.set_title(own.title, fontsize=9)
        handles, labels = ax.get_legend_handles_labels()
        marks |= dict(zip(labels, handles, strict=True))
        if ax.get_legend():
            ax.get_legend().remove()
    trivial = [
        name for name in map(task_tables.title, TRIVIAL) if name in marks
    ]  # one look, whatever the task
    lines = [marks.pop(name) for name in trivial]
    marks |= {" or ".join(trivial): lines[0]} if lines else {}
    if marks:
        where: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 8}
        figure.legend(marks.values(), marks.keys(), ncols=len(marks), **where)
    return figure


# -- baselines


def baselines(table: pd.DataFrame) -> Figure:
    """Who beats the baselines, one panel a task: differences with intervals, right of 0 is better.

    table: task_tables.against_baselines.
    """
    if table.empty:
        return nothing("no baseline to compare with")
    table = table.assign(row=[task_tables.title(r.model, r.arm) for r in table.itertuples()])
    table["against"] = table["reference"].map(lambda r: "trivial" if r in TRIVIAL else r)
    rows = list(dict.fromkeys(table["row"]))
    looks = {
        "trivial": ("majority class or training mean", "d", BLUE, -0.24),
        GRAYSCALE: ("TSM on grayscale", "o", GREY, 0.0),
        TRUE_MASKS: ("TSM on true masks", "s", GREEN, 0.24),
    }
    names = [name for name in TASKS if (table["task"] == name).any()]
    size = (WIDTH, 1.1 + 0.27 * max(3, len(rows)))
    figure, axes = plt.subplots(1, len(names), figsize=size, squeeze=False, sharey=True, layout="constrained")
    for ax, name in zip(axes[0], names, strict=True):
        _forest(ax, table[table["task"] == name], rows, looks)
    told = "Mean over patients and its 95 % interval; filled: a difference is shown (Holm within a task)"
    if table["low"].isna().all():
        told = "Mean over patients, who are too few for an interval or a test"
    figure.suptitle(told, fontsize=SMALL)
    axes[0, 0].set_yticks(range(len(rows)), rows, fontsize=SMALL)
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    known = [look for against, look in looks.items() if (table["against"] == against).any()]
    same: dict[str, Any] = {"markersize": 4.5, "markerfacecolor": "white"}
    marks = [Line2D([], [], marker=m, color=c, label=f"against {name}", **same) for name, m, c, _ in known]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=SMALL)
    return figure


def _forest(ax: Axes, table: pd.DataFrame, rows: list[str], looks: dict) -> None:
    """One task: a row an arm or regression, a mark a reference; filled where the test shows a difference."""
    for row in range(len(rows)):
        ax.axhline(row, color="0.93", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.5", linewidth=1, zorder=1)
    for against, (_, marker, colour, aside) in looks.items():
        own = table[table["against"] == against]
        place = own["row"].map(rows.index) + aside
        ax.hlines(place, own["low"], own["high"], color=colour, linewidth=1.3, zorder=2)
        face = np.where(own["p_holm"] < 0.05, colour, "white")
        look = {"s": 18, "marker": marker, "color": face, "edgecolors": colour, "linewidths": 1, "zorder": 3}
        ax.scatter(own["difference"], place, **look)
    furthest = np.nanmax([*table[["difference", "low", "high"]].abs().max(), 1e-3])
    ax.set_xlim(-1.1 * furthest, 1.1 * furthest)
    task, metric = table[["task", "metric"]].iloc[0]
    ax.set_title(f"{TASKS[task].title}\n{task_tables.in_words(task, metric)}", fontsize=SMALL)
    ax.set_xlabel("worse      better", fontsize=SMALL)
    ax.tick_params(labelsize=7)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=3)
    sns.despine(ax=ax, left=True)
