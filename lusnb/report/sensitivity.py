"""A sweep over calibration, noise and threshold in pictures: maps of who wins, the curves, what 60 % costs.

Tidy tables of compare/sensitivity.py and compare/truth.py to Axes and figures. Nothing here computes a
result.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.compare.truth import ALL
from lusnb.report import looks
from lusnb.report.looks import BLUE, ORANGE, SMALL

RATER = {-1: "too cautious", 0: "calibrated", 1: "too sure"}
LEARNER, HALF, LABELS, PAPER = BLUE, "0.55", ORANGE, "0.35"


def colours(thresholds: list[float]) -> dict[float, tuple]:
    """A fixed colour for each threshold, dark to light, told apart by the colour-blind too."""
    return {t: plt.get_cmap("cividis")(0.15 + 0.85 * t) for t in sorted(set(thresholds))}


def per_cent(share: float) -> str:
    """A share in whole per cent."""
    return f"{100 * share:.0f} %"


def calibration_names(values: list[float]) -> list[str]:
    """Calibrations, ascending, for an axis: each factor, at the ends and at 1 also what such a rater is."""
    told = {values[0], 1.0, values[-1]}
    return [f"{v:g}\n{RATER[int(np.sign(v - 1))]}" if v in told else f"{v:g}" for v in values]


def _grid(ax: Axes, table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Calibration across, noise upwards, and where each cohort lies."""
    across, up = (sorted(table[name].unique()) for name in ("calibration", "noise"))
    ax.set_xticks(range(len(across)), calibration_names(across), fontsize=SMALL)
    ax.set_yticks(range(len(up)), [f"{n:g}" for n in up], fontsize=SMALL)
    ax.set(xlim=(-0.5, len(across) - 0.5), ylim=(-0.5, len(up) - 0.5))
    ax.set_xlabel("calibration of the rater", fontsize=SMALL)
    ax.tick_params(length=0)
    return {r.cohort: (across.index(r.calibration), up.index(r.noise)) for r in table.itertuples()}


def tiles(table: pd.DataFrame, column: str, second: list[str], ax: Axes | None = None) -> Axes:
    """One tile a cell: its colour and first line are a threshold (`column`), its second line is given.

    table: cohort, calibration, noise and the column, a fraction.
    """
    ax = ax or plt.gca()
    places, shades = _grid(ax, table), colours(list(np.linspace(0, 1, 101).round(2)))
    for (_, row), below in zip(table.iterrows(), second, strict=True):
        x, y = places[row["cohort"]]
        shade = shades[round(row[column], 2)]
        ax.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor="white", linewidth=2))
        ink = "white" if np.dot(shade[:3], (0.3, 0.59, 0.11)) < 0.5 else "black"
        ax.text(x, y + 0.1, f"{per_cent(row[column])}", ha="center", va="center", color=ink, fontsize=11)
        ax.text(x, y - 0.22, below, ha="center", va="center", color=ink, fontsize=7)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax


def maps(winners: Mapping[str, pd.DataFrame], optima: pd.DataFrame) -> Figure:
    """Which threshold wins by the learner, beside what the labels imply by IoU and pixel by pixel.

    winners: of sensitivity.winners by cut, 'own' (the learners' own) and 'fixed' (0.5); optima: of
    truth.optima. A ring: the paper's threshold cannot be told from the winner; a star: the winner parts
    from the labels' threshold by IoU, and the difference holds. In the last map stands from which
    confidence on the rater is right half of the time.
    """
    own, fixed = winners["own"], winners["fixed"]
    size = (1.9 * looks.WIDTH, 1.5 + 0.75 * own["noise"].nunique())
    figure, axes = plt.subplots(1, 4, figsize=size, sharey=True)
    for ax, table, name in ((axes[0], own, "own cut"), (axes[1], fixed, "cut at 0.5")):
        often = [f"in {per_cent(f)}" for f in table["frequency"]]
        tiles(table, "winner", often, ax=ax).set_title(
            f"The learner's winner, {name}:\nbest in ... of resamples", fontsize=9
        )
        _marks(ax, table)
    pooled = optima[optima["feature"] == ALL]
    iou = [f"IoU {v:.2f}" for v in pooled["iou"]]
    tiles(pooled, "implied", iou, ax=axes[2]).set_title("Implied by the labels,\nby IoU", fontsize=9)
    level = ["never" if np.isnan(v) else f"from {v:g} %" for v in pooled["level"]]
    tiles(pooled, "pixelwise", level, ax=axes[3]).set_title(
        "Implied, pixel by pixel:\nhalf right from ...", fontsize=9
    )
    axes[0].set_ylabel("noise of the rater (logits)", fontsize=SMALL)
    paper = per_cent(own["paper"].iloc[0])
    names = {
        "o": f"{paper} cannot be distinguished from the winner",
        "*": "differs from the third map, and it holds",
    }
    keys = [plt.Line2D([], [], marker=m, markerfacecolor="white", color="black", linestyle="") for m in names]
    figure.legend(keys, list(names.values()), loc="lower left", ncols=2, frameon=False, fontsize=SMALL)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def _marks(ax: Axes, winners: pd.DataFrame) -> None:
    """A ring or a star in the corner of each cell that has one, see `maps`."""
    places = _grid(ax, winners)
    for marker, own, left in (
        ("o", winners[winners["paper_alike"]], -0.36),
        ("*", winners[winners["holds"]], 0.36),
    ):
        for cohort in own["cohort"]:
            x, y = places[cohort]
            white: dict[str, Any] = {"markersize": 8, "markerfacecolor": "white", "markeredgecolor": "black"}
            ax.plot(x + left, y + 0.34, marker, **white)


def curve(
    measured: pd.DataFrame,
    fixed: pd.DataFrame,
    labels: pd.DataFrame,
    paper: float,
    ax: Axes | None = None,
) -> Axes:
    """One cell: IoU against the truth over the label threshold, of the learner and of the labels alone.

    measured, fixed: of sensitivity.curves at the learners' own cuts and at 0.5, the band is the interval of
    the first over patients; labels: of truth.of_cells, the rows over all features (dashed). Filled: the
    best of each; the dotted line is the paper's threshold.
    """
    ax = ax or plt.gca()
    ax.axvline(100 * paper, color=PAPER, linewidth=1, linestyle=":", label=f"the paper's {per_cent(paper)}")
    own, half, alone = (table.sort_values("threshold") for table in (measured, fixed, labels))
    x = 100 * own["threshold"]
    ax.fill_between(x, own["low"], own["high"], color=LEARNER, alpha=0.2, linewidth=0)
    white: dict[str, Any] = {"markersize": 4, "markerfacecolor": "white"}
    ax.plot(x, own["iou"], color=LEARNER, marker="o", **white, label="learner, own cut")
    ax.plot(
        100 * half["threshold"], half["iou"], color=HALF, marker="v", **white, label="learner, cut at 0.5"
    )
    ax.plot(
        100 * alone["threshold"], alone["iou"], color=LABELS, linestyle="--", marker="s", markersize=3,
        markerfacecolor="white", label="labels alone (training patients)",
    )  # fmt: skip
    for table, colour, marker in ((own, LEARNER, "o"), (half, HALF, "v"), (alone, LABELS, "s")):
        best = table.loc[table["iou"].idxmax()]
        ax.plot(100 * best["threshold"], best["iou"], marker, color=colour, markersize=6)
    sns.despine(ax=ax)
    return ax


def curves(by_cut: Mapping[str, pd.DataFrame], labels: pd.DataFrame, paper: float) -> Figure:
    """`curve` of every cell: calibration across, noise upwards, on the same axes. by_cut: see `maps`."""
    measured = by_cut["own"]
    across, up = (sorted(measured[name].unique()) for name in ("calibration", "noise"))
    size = (1.35 * looks.WIDTH, 0.9 + 1.75 * len(up))
    figure, axes = plt.subplots(len(up), len(across), figsize=size, sharex=True, sharey=True, squeeze=False)
    pooled = labels[labels["feature"] == ALL]
    for (row, col), ax in np.ndenumerate(axes):
        calibration, noise = across[col], up[len(up) - 1 - row]
        own, half, alone = (
            table[(table["calibration"] == calibration) & (table["noise"] == noise)]
            for table in (measured, by_cut["fixed"], pooled)
        )
        if own.empty:
            ax.axis("off")
            continue
        curve(own, half, alone, paper, ax=ax)
        ax.set_title(f"calibration {calibration:g}, noise {noise:g}", fontsize=SMALL)
    axes[0, 0].set_ylim(0, None)
    axes[0, 0].set_xticks(range(0, 101, 20)[: 1 + int(5 * measured["threshold"].max())])
    for ax in axes.flat:
        ax.tick_params(labelsize=SMALL)
    figure.supxlabel("label threshold (%)", fontsize=9)
    figure.supylabel("IoU against the truth", fontsize=9)
    handles, names = axes[-1, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=4, frameon=False, fontsize=SMALL)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    return figure


def cost(by_cut: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """What the paper's threshold costs in each cell against the winner, with 95 % intervals over patients.

    by_cut: of sensitivity.winners, at the learners' own cuts and, in grey, at 0.5. Filled: the difference
    holds after Holm. The winner was chosen on these patients, so the costs err upwards.
    """
    ax = ax or plt.gca()
    order = by_cut["own"].sort_values(["calibration", "noise"], ignore_index=True)
    ax.axvline(0, color="0.7", linewidth=1)
    for cut, colour, shift in (("own", LEARNER, 0.12), ("fixed", HALF, -0.12)):
        table = by_cut[cut].set_index("cohort").loc[order["cohort"]].reset_index()
        ax.hlines(table.index + shift, table["cost_low"], table["cost_high"], color=colour)
        for row in table.itertuples():
            face = colour if row.cost_p < 0.05 else "white"
            ax.plot(row.cost, row.Index + shift, "o", color=colour, markerfacecolor=face, markersize=5)
    names = [
        f"calibration {r.calibration:g}, noise {r.noise:g}: {per_cent(r.winner)} wins"
        for r in order.itertuples()
    ]
    ax.set_yticks(order.index, names, fontsize=SMALL)
    ax.set_ylim(-0.6, len(order) - 0.4)
    paper = per_cent(order["paper"].iloc[0])
    words = f"IoU lost by choosing {paper}: own cuts blue, 0.5 grey (filled: holds after Holm)"
    ax.set_xlabel(words, fontsize=SMALL)
    sns.despine(ax=ax)
    return ax
