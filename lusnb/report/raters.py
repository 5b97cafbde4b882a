"""Several raters in pictures: do they agree, is each one right, and what does each one's confidence become?

Tidy tables of compare/raters.py to Axes. Nothing here computes a result.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.cohort import problems
from lusnb.report import figures
from lusnb.report import looks as report_looks
from lusnb.report.looks import BLUE, SMALL

MARKERS = "osD^vP"  # a rater is told by its marker as well as by its colour
CUSTOMARY = (0.667, 0.8)  # Krippendorff: below the first no conclusions, from the second on reliable


def looks(raters: list[str]) -> dict[str, tuple[str, str]]:
    """A fixed colour and marker for each rater, in the order of their names; a blank is nobody."""
    names = sorted(set(raters) - {""})
    colours = report_looks.feature_colours(tuple(names)) if len(names) <= 20 else dict.fromkeys(names, "0.3")
    return {name: (colours[name], marker) for name, marker in zip(names, cycle(MARKERS), strict=False)}


def _nothing(ax: Axes, why: str) -> Axes:
    """An Axes that says why there is nothing to draw."""
    ax.text(0.5, 0.5, why, ha="center", va="center", wrap=True, transform=ax.transAxes, fontsize=SMALL)
    ax.set_axis_off()
    return ax


def _diagonal(ax: Axes, name: str) -> None:
    """A square of per cent with its diagonal, what the curves are held against."""
    ax.plot([0, 100], [0, 100], color="0.7", linewidth=1, zorder=1, label=name)
    ax.set(xlim=(0, 103), ylim=(0, 103), aspect="equal")
    ax.set_xticks(range(0, 101, 20))
    ax.set_yticks(range(0, 101, 20))


def _finish(ax: Axes, title: str | None = None) -> Axes:
    beside: dict[str, Any] = {"bbox_to_anchor": (1.02, 1), "loc": "upper left", "alignment": "left"}
    ax.legend(frameon=False, fontsize=SMALL, title=title, title_fontsize=SMALL, **beside)
    sns.despine(ax=ax)
    return ax


def reliability(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How often each rater is right where it says so, against the diagonal of a calibrated rater.

    table: truth.reliability by rater: rater, level, said, share, pixels. Unpainted pixels (level 0) are
    left out; a marker's area tells the level's share of what the rater painted.
    """
    ax = ax or plt.gca()
    painted = table[table["level"] > 0]
    if painted.empty:
        return _nothing(ax, "no truth in this cohort:\nwhether a rater is right is unknown")
    _diagonal(ax, "calibrated")
    for rater, (colour, marker) in looks(painted["rater"].tolist()).items():
        rows = painted[painted["rater"] == rater].sort_values("level")
        x, y = 100 * rows["said"], 100 * rows["share"]
        area = 12 + 150 * rows["pixels"] / rows["pixels"].sum()
        ax.plot(x, y, color=colour, linewidth=1, zorder=2)
        ax.scatter(x, y, s=area, color=colour, marker=marker, label=rater, zorder=3, clip_on=False)
    ax.set(xlabel="confidence said (%)", ylabel="pixels that truly are of the feature (%)")
    return _finish(ax)


def harmonisation(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What each rater's confidence becomes: the fitted line, and what the others say at each level (markers).

    table: harmonise.fit, features pooled or the rows of one: rater, level, pixels, consensus, mapped.
    """
    ax = ax or plt.gca()
    if table.empty:
        return _nothing(ax, "no image was labelled by two raters:\nnothing to harmonise")
    _diagonal(ax, "unchanged")
    for rater, (colour, marker) in looks(table["rater"].tolist()).items():
        rows = table[table["rater"] == rater].sort_values("level")
        said = rows[(rows["pixels"] > 0) & (rows["level"] > 0)]
        drawn = rows[rows["level"] <= said["level"].max()]
        ax.plot(drawn["level"] / 2.55, 100 * drawn["mapped"], color=colour, linewidth=1.2, zorder=2)
        x, y = said["level"] / 2.55, 100 * said["consensus"]
        ax.scatter(x, y, s=22, color=colour, marker=marker, label=rater, zorder=3, clip_on=False)
    ax.set(xlabel="confidence said (%)", ylabel="mean confidence of the other raters (%)")
    return _finish(ax)


def _rows(ax: Axes, features: list[str]) -> dict[str, int]:
    """One row a feature, the first on top, parted by thin lines."""
    ax.set_yticks(range(len(features)), [problems.words(feature) for feature in features], fontsize=SMALL)
    ax.set_ylim(len(features) - 0.5, -0.5)
    for k in range(1, len(features)):
        ax.axhline(k - 0.5, color="0.9", linewidth=0.8, zorder=0)
    ax.tick_params(axis="y", length=0)
    return {feature: k for k, feature in enumerate(features)}


def dice(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Dice of each rater with the consensus of the others (markers), of each pair of raters (grey strokes).

    table: raters.dice: measure, feature, rater, threshold, value; one row of the picture a feature.
    """
    ax = ax or plt.gca()
    if table.empty:
        return _nothing(ax, "no image was labelled by two raters:\nnothing to compare")
    place = _rows(ax, list(dict.fromkeys(table["feature"])))
    known = looks(table["rater"].tolist() + table["other"].tolist())
    for k, (rater, (colour, marker)) in enumerate(known.items()):
        rows = table[(table["measure"] == "others") & (table["rater"] == rater)]
        y = rows["feature"].map(place) - 0.34 + 0.56 * (k + 0.5) / len(known)
        ax.plot(rows["value"], y, marker, color=colour, markersize=5, label=rater, clip_on=False)
    pairs = table[table["measure"] == "pair"]
    ax.plot(pairs["value"], pairs["feature"].map(place) + 0.36, "|", color="0.45", label="of any two raters")
    ax.set(xlabel=f"Dice of labels {figures.threshold_name(table['threshold'].iloc[0])}", xlim=(0, 1))
    return _finish(ax, "with the others' mean")


def alpha(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Krippendorff's alpha of the levels, one row a feature, with the customary marks at 0.667 and 0.8.

    table: raters.alpha: feature, value, reading; where it is not defined the row says so.
    """
    ax = ax or plt.gca()
    if table.empty:
        return _nothing(ax, "no feature: nothing to compare")
    place = _rows(ax, list(table["feature"]))
    for mark in CUSTOMARY:
        ax.axvline(mark, color="0.7", linewidth=1, linestyle=":", zorder=1)
        ax.text(mark, -0.52, f"{mark:g}", ha="center", va="bottom", fontsize=7, color="0.35")
    ax.axvline(0, color="0.7", linewidth=1, zorder=1)
    ax.plot(table["value"], table["feature"].map(place), "o", color=BLUE, markersize=5, clip_on=False)
    for row in table[table["value"].isna()].itertuples():
        ax.text(0.02, place[row.feature], row.reading, fontsize=7, color="0.35", va="center")
    low = np.nanmin([0.0, *table["value"]])
    ax.set_xlim(low - 0.05 if low < 0 else 0, 1)
    ax.set_xlabel("Krippendorff's alpha (0: chance, 1: same levels)")
    sns.despine(ax=ax)
    return ax


def agreement(pairs: pd.DataFrame, alphas: pd.DataFrame) -> Figure:
    """Alpha and Dice side by side, one row a feature: tables of raters.dice and raters.alpha."""
    if pairs.empty:
        return one(dice, pairs)
    size = (1.35 * report_looks.WIDTH, 1.4 + 0.5 * max(2, len(alphas)))
    figure, axes = plt.subplots(1, 2, figsize=size)
    alpha(alphas, ax=axes[0])
    dice(pairs, ax=axes[1])
    figure.tight_layout()
    return figure


def one(draw: Callable, table: pd.DataFrame) -> Figure:
    """A figure of one Axes, `draw(table, ax=...)`; a few lines high where the table is empty."""
    if len(table):
        return figures.one(draw, table)
    figure, ax = plt.subplots(figsize=(report_looks.WIDTH, 0.6))
    draw(table, ax=ax)
    return figure
