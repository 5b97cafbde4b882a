"""Models of S/F against the training mean: where there is something to know, where there is not, and the p.

Tidy tables of compare/linked.py to Axes and figures. Nothing here computes a result.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.compare import linked
from lusnb.report import looks
from lusnb.report.looks import BLUE, ORANGE, SMALL

BETTER, WORSE, NEITHER = BLUE, ORANGE, "0.45"
SPREAD = 0.74  # of a row's height, over which its cohorts lie


def _rows(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The models of a table in its order, (arm, model), the one that knows the congestion last."""
    keys = list(dict.fromkeys(zip(table["arm"], table["model"], strict=True)))
    return sorted(keys, key=lambda key: key[1] == linked.CONGESTION)


def against_mean(table: pd.DataFrame, rows: list[tuple[str, str]], ax: Axes | None = None) -> Axes:
    """Squared error saved against the training mean, one row a model, one point a cohort with interval.

    table: of linked.compared. Within a row, cohorts from the least saved to the most, upwards. Coloured where
    the interval excludes zero.
    """
    ax = ax or plt.gca()
    ax.axvline(0, color="0.2", linewidth=1)
    for place, (arm, model) in enumerate(rows):
        own = table[(table["arm"] == arm) & (table["model"] == model)].sort_values("difference")
        at = place + SPREAD * ((np.arange(len(own)) + 0.5) / max(len(own), 1) - 0.5)
        for y, row in zip(at[::-1], own.itertuples(), strict=True):
            colour = BETTER if row.beats else WORSE if row.worse else NEITHER
            ax.plot([row.low, row.high], [y, y], color=colour, linewidth=1)
            ax.plot(row.difference, y, "o", color=colour, markersize=3)
        if place:
            ax.axhline(place - 0.5, color="0.9", linewidth=0.8)
    ax.set_yticks(range(len(rows)), [linked.title(*row).replace(", ", "\n") for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(labelsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("squared error saved, (S/F / maximum)²", fontsize=SMALL)
    sns.despine(ax=ax, left=True)
    return ax


def p_values(table: pd.DataFrame, rows: list[tuple[str, str]], ax: Axes | None = None) -> Axes:
    """Share of the null cohorts with a one-sided p (better than the mean) of at most x, one line a model.

    table: of linked.compared, null cohorts alone. At the nominal rate the lines follow the diagonal; a line
    that starts below it belongs to a model that beats the mean more rarely than chance would.
    """
    ax = ax or plt.gca()
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="nominal")
    colours = looks.feature_colours(tuple(map(str, range(len(rows))))).values()
    for (arm, model), colour in zip(rows, colours, strict=True):
        own = np.sort(table.loc[(table["arm"] == arm) & (table["model"] == model), "p_better"])
        share = np.arange(len(own) + 1) / len(own)
        steps: dict[str, Any] = {"where": "post", "color": colour, "linewidth": 1.4}
        ax.step([0, *own, 1], [*share, 1], label=linked.title(arm, model), **steps)
    ax.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", anchor="N")
    ax.set_xlabel("one-sided p, better than the mean", fontsize=SMALL)
    ax.set_ylabel("share of null cohorts", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(-0.02, -0.24))
    sns.despine(ax=ax)
    return ax


def picture(table: pd.DataFrame) -> Figure:
    """Linked cohorts, null cohorts, and the p of the null ones, side by side; table: of linked.compared."""
    linked_ones, null = table[~table["null"]], table[table["null"]]
    rows = _rows(table)
    asked = [row for row in rows if row in _rows(null)]
    size = (1.35 * looks.WIDTH, 1.1 + 0.62 * max(len(rows), 5))
    figure, axes = plt.subplots(1, 3, figsize=size, width_ratios=(1, 1, 0.8))
    for ax, own, kind in ((axes[0], linked_ones, "S/F follows congestion"), (axes[1], null, "S/F at random")):
        number = own["cohort"].nunique()
        title = f"{kind}: {number} phantom cohorts" if number else f"{kind}: no cohort"
        against_mean(own, rows, ax=ax).set_title(title, fontsize=9)
    low, high = min(table["low"].min(), 0), max(table["high"].max(), 0)
    reach = (low - 0.04 * (high - low), high + 0.04 * (high - low))
    for ax in axes[:2]:
        ax.set_xlim(*reach)
    axes[1].set_yticklabels([])
    for place, row in enumerate(rows):
        if row not in asked:
            axes[1].text(reach[1] / 2, place, "not asked", ha="center", va="center", fontsize=7, color="0.5")
    if asked:
        p_values(null, asked, ax=axes[2]).set_title("How often by chance?", fontsize=9)
    else:
        axes[2].axis("off")
    keys = {"better than the mean": BETTER, "worse": WORSE, "interval holds zero": NEITHER}
    handles = [plt.Line2D([], [], color=colour, marker="o", markersize=3) for colour in keys.values()]
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.legend(handles, list(keys), loc="lower left", ncols=3, frameon=False, fontsize=SMALL)
    return figure
