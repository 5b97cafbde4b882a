"""A sweep over calibration, noise and threshold in pictures: maps of who wins, the curves, what 60 % costs.

Tidy tables of sensitivity.py and implied.py to Axes and figures. Nothing here computes a result.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb import figures
from lusnb.implied import ALL

SMALL = 8
RATER = {-1: "too cautious", 0: "calibrated", 1: "too sure"}
LEARNER, LABELS, PAPER = "#0072b2", "#d55e00", "0.35"


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


def maps(winners: pd.DataFrame, optima: pd.DataFrame) -> Figure:
    """Which threshold wins by the learner, beside what the labels imply by IoU and pixel by pixel.

    winners: of sensitivity.winners; optima: of implied.optima. A ring: the paper's threshold cannot be told
    from the winner; a star: the winner parts from the labels' threshold by IoU, and the difference holds. In
    the last map stands from which confidence on the rater is right half of the time.
    """
    size = (1.55 * figures.WIDTH, 1.5 + 0.75 * winners["noise"].nunique())
    figure, axes = plt.subplots(1, 3, figsize=size, sharey=True)
    often = [f"in {per_cent(f)}" for f in winners["frequency"]]
    tiles(winners, "winner", often, ax=axes[0]).set_title(
        "The learner's winner: best in ... of resamples", fontsize=9
    )
    pooled = optima[optima["feature"] == ALL]
    iou = [f"IoU {v:.2f}" for v in pooled["iou"]]
    tiles(pooled, "implied", iou, ax=axes[1]).set_title("Implied by the labels, by IoU", fontsize=9)
    level = ["never" if np.isnan(v) else f"from {v:g} %" for v in pooled["level"]]
    tiles(pooled, "pixelwise", level, ax=axes[2]).set_title(
        "Implied, pixel by pixel: half right from ...", fontsize=9
    )
    axes[0].set_ylabel("noise of the rater (logits)", fontsize=SMALL)
    places = _grid(axes[0], winners)
    for marker, own in (("o", winners[winners["paper_alike"]]), ("*", winners[winners["holds"]])):
        for cohort in own["cohort"]:
            x, y = places[cohort]
            left = -0.36 if marker == "o" else 0.36
            axes[0].plot(
                x + left, y + 0.34, marker, markersize=8, markerfacecolor="white", markeredgecolor="black"
            )
    paper = per_cent(winners["paper"].iloc[0])
    names = {"o": f"{paper} cannot be told from the winner", "*": "parts from the middle map, and it holds"}
    keys = [plt.Line2D([], [], marker=m, markerfacecolor="white", color="black", linestyle="") for m in names]
    figure.legend(keys, list(names.values()), loc="lower left", ncols=2, frameon=False, fontsize=SMALL)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def curve(measured: pd.DataFrame, labels: pd.DataFrame, paper: float, ax: Axes | None = None) -> Axes:
    """One cell: IoU against the truth over the label threshold, of the learner and of the labels alone.

    measured: of sensitivity.curves, the band is its interval over patients; labels: of implied.of_cells, the
    rows over all features (dashed). Filled: the best of each; the thin line is the paper's threshold.
    """
    ax = ax or plt.gca()
    ax.axvline(100 * paper, color=PAPER, linewidth=1, linestyle=":", label=f"the paper's {per_cent(paper)}")
    own, alone = measured.sort_values("threshold"), labels.sort_values("threshold")
    x = 100 * own["threshold"]
    ax.fill_between(x, own["low"], own["high"], color=LEARNER, alpha=0.2, linewidth=0)
    ax.plot(x, own["iou"], color=LEARNER, marker="o", markersize=4, markerfacecolor="white", label="learner")
    ax.plot(
        100 * alone["threshold"], alone["iou"], color=LABELS, linestyle="--", marker="s", markersize=3,
        markerfacecolor="white", label="labels alone (training patients)",
    )  # fmt: skip
    for table, colour, marker in ((own, LEARNER, "o"), (alone, LABELS, "s")):
        best = table.loc[table["iou"].idxmax()]
        ax.plot(100 * best["threshold"], best["iou"], marker, color=colour, markersize=6)
    sns.despine(ax=ax)
    return ax


def curves(measured: pd.DataFrame, labels: pd.DataFrame, paper: float) -> Figure:
    """`curve` of every cell: calibration across, noise upwards, on the same axes."""
    across, up = (sorted(measured[name].unique()) for name in ("calibration", "noise"))
    size = (1.35 * figures.WIDTH, 0.9 + 1.75 * len(up))
    figure, axes = plt.subplots(len(up), len(across), figsize=size, sharex=True, sharey=True, squeeze=False)
    pooled = labels[labels["feature"] == ALL]
    for (row, col), ax in np.ndenumerate(axes):
        calibration, noise = across[col], up[len(up) - 1 - row]
        here = [
            table[(table["calibration"] == calibration) & (table["noise"] == noise)]
            for table in (measured, pooled)
        ]
        if here[0].empty:
            ax.axis("off")
            continue
        curve(*here, paper, ax=ax)
        ax.set_title(f"calibration {calibration:g}, noise {noise:g}", fontsize=SMALL)
    axes[0, 0].set_ylim(0, None)
    axes[0, 0].set_xticks(range(0, 101, 20)[: 1 + int(5 * measured["threshold"].max())])
    for ax in axes.flat:
        ax.tick_params(labelsize=SMALL)
    figure.supxlabel("label threshold (%)", fontsize=9)
    figure.supylabel("IoU against the truth", fontsize=9)
    handles, names = axes[-1, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=3, frameon=False, fontsize=SMALL)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    return figure


def cost(winners: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What the paper's threshold costs in each cell against the winner, with 95 % intervals over patients.

    winners: of sensitivity.winners. Filled: the difference holds after Holm. The winner was chosen on these
    patients, so the costs err upwards.
    """
    ax = ax or plt.gca()
    table = winners.sort_values(["calibration", "noise"], ignore_index=True)
    ax.axvline(0, color="0.7", linewidth=1)
    ax.hlines(table.index, table["cost_low"], table["cost_high"], color=LEARNER)
    for row in table.itertuples():
        face = LEARNER if row.cost_p < 0.05 else "white"
        ax.plot(row.cost, row.Index, "o", color=LEARNER, markerfacecolor=face, markersize=5)
    names = [
        f"calibration {r.calibration:g}, noise {r.noise:g}: {per_cent(r.winner)} wins"
        for r in table.itertuples()
    ]
    ax.set_yticks(table.index, names, fontsize=SMALL)
    ax.set_ylim(-0.6, len(table) - 0.4)
    paper = per_cent(table["paper"].iloc[0])
    ax.set_xlabel(f"IoU lost by choosing {paper} (filled: holds after Holm)", fontsize=SMALL)
    sns.despine(ax=ax)
    return ax
