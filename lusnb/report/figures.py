"""Tidy tables and small stacks of images to Axes. Nothing here computes a result."""

from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lusnb import files
from lusnb.cohort.problems import words
from lusnb.report.looks import BLUE, ORANGE, WIDTH, feature_colours

FORMATS = ("pdf", "png", "svg")
MANY = 9  # more arms than these cannot be told apart by colour
ONE_LINE = 24  # letters of a title above one of four images


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PDF, PNG (200 dpi) and SVG, each whole or not at all."""
    for ending in FORMATS:
        date = {"pdf": "CreationDate", "svg": "Date"}.get(ending)  # left out: it would differ each time
        still: dict[str, Any] = {"metadata": {date: None}} if date else {}
        write = partial(figure.savefig, dpi=200, bbox_inches="tight", **still)
        files.write_with(folder / f"{name}.{ending}", write)


def overlay(
    image: np.ndarray, masks: np.ndarray, features: tuple[str, ...], opacity: float = 0.75
) -> np.ndarray:
    """Colours over a gray frame. image uint8 (H, W), masks (C, H, W) in 0 to 1; returns (H, W, 3) floats."""
    out = np.repeat(image[..., None] / 255.0, 3, axis=2)
    for mask, colour in zip(masks, feature_colours(features).values(), strict=True):
        alpha = opacity * np.asarray(mask, float)[..., None]
        out = out * (1 - alpha) + np.array(colors.to_rgb(colour)) * alpha
    return out


def show(ax: Axes, image: np.ndarray, title: str = "") -> Axes:
    """An image without ticks; gray where it is (H, W)."""
    ax.imshow(image, cmap="gray" if image.ndim == 2 else None, interpolation="nearest", vmin=0)
    ax.set_title(title, fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def legend(figure: Figure, features: tuple[str, ...]) -> None:
    """One legend of the features' colours below a figure."""
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in feature_colours(features).values()]
    names = [words(f) for f in features]
    foot = 0.03 * 0.5 * WIDTH / figure.get_figheight()  # as far from the edge whatever the height
    figure.legend(
        handles, names, loc="upper center", bbox_to_anchor=(0.5, foot), ncols=6, frameon=False, fontsize=8
    )


def strip(images: dict[str, np.ndarray], features: tuple[str, ...], columns: int | None = None) -> Figure:
    """Images in a grid, each under its title, with the features' legend: Figures 1 and 4.

    columns: None takes four, and six where there are more than twelve images. A title `name: what` takes two
    lines where it would run into the next one.
    """
    columns = min(len(images), columns or (4 if len(images) <= 12 else 6))
    rows = -(-len(images) // columns)
    narrow = columns > 4
    broken = narrow or max(map(len, images)) > ONE_LINE
    tall = WIDTH / columns * (1.36 if narrow else 1.25 if broken else 1.05)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, tall * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, image) in zip(axes.flat, images.items(), strict=False):
        ax.axis("on")
        show(ax, image, title.replace(": ", "\n") if broken else title)
        ax.title.set_fontsize(7 if narrow else 8)
    figure.tight_layout(rect=(0, 0.015 * WIDTH / figure.get_figheight(), 1, 1), w_pad=0.4)
    legend(figure, features)
    return figure


def threshold_name(t: float) -> str:
    """A threshold as the paper writes it."""
    return "> 0 %" if t == 0 else f"≥ {100 * t:g} %"


def confidence_histogram(table: pd.DataFrame, features: tuple[str, ...], ax: Axes | None = None) -> Axes:
    """Share of labelled area kept at each threshold. table: feature, threshold, share."""
    ax = ax or plt.gca()
    named = table.assign(feature=table["feature"].map(words))
    colour = {words(f): c for f, c in feature_colours(features).items()}
    sns.lineplot(
        named, x="threshold", y="share", hue="feature", palette=colour, marker="o", errorbar=None, ax=ax
    )
    ax.set(xlabel="confidence threshold", ylabel="share of labelled area kept", ylim=(0, 1.05))
    ax.legend(frameon=False, fontsize=8)
    return ax


def crowd(arms: Sized) -> int:
    """Rows that `iou_by_feature` needs for these arms: none for bars, one an arm where they are too many."""
    return len(arms) if len(arms) > MANY else 0


def iou_by_feature(table: pd.DataFrame, features: tuple[str, ...], ax: Axes | None = None) -> Axes:
    """Figure 3: IoU of each arm per feature, as bars; numbers in a grid where there are more than 9 arms.

    At the arm's own cut; as hollow markers at 0.5, which the grid leaves to the table. table: arm, feature,
    metric (iou or iou_fixed), value.
    """
    ax = ax or plt.gca()
    arms = list(dict.fromkeys(table["arm"]))
    own, fixed = (table[table["metric"] == name] for name in ("iou", "iou_fixed"))
    label = "IoU at the arm's own cut,\nlabels at own threshold"
    if len(arms) > MANY:
        grid = own.pivot(index="arm", columns="feature", values="value")
        grid = grid.reindex(index=arms, columns=list(features))
        ax = _grid(grid, label, ax)
        ax.set_xticks(ax.get_xticks(), ["\n".join(words(f).rsplit(" ", 1)) for f in features], rotation=0)
        return ax
    kept = {"x": "feature", "y": "value", "hue": "arm", "order": features, "hue_order": arms, "ax": ax}
    sns.barplot(own, palette="viridis", **kept)
    hollow = {
        "marker": "d",
        "size": 4,
        "linewidth": 0.7,
        "edgecolor": "0.2",
        "palette": ["white"] * len(arms),
        "clip_on": False,  # a marker at 0 is whole
    }
    sns.stripplot(fixed, dodge=True, jitter=False, legend=False, **hollow, **kept)
    ax.set(xlabel="", ylabel=label)
    ax.set_xticks(range(len(features)), ["\n".join(words(f).rsplit(" ", 1)) for f in features])
    beside: dict[str, Any] = {"bbox_to_anchor": (1.01, 1), "loc": "upper left", "alignment": "left"}
    handles, names = ax.get_legend_handles_labels()
    if len(fixed):
        handles.append(Line2D([], [], color="white", markeredgecolor="0.2", marker="d", linestyle="none"))
        names.append("cut at 0.5")
    ax.legend(handles, names, frameon=False, fontsize=7, title="arm", title_fontsize=7, **beside)
    sns.despine(ax=ax)
    return ax


def _grid(table: pd.DataFrame, label: str, ax: Axes) -> Axes:
    """Numbers on colours, one row an arm."""
    bar = {"label": label, "shrink": min(1.0, 6 / len(table))}
    kept = {"annot": True, "fmt": ".2f", "cmap": "viridis", "annot_kws": {"size": 8}}
    sns.heatmap(table, cbar_kws=bar, ax=ax, **kept)
    ax.set(xlabel="", ylabel="")
    ax.set_yticks(np.arange(len(table)) + 0.5, list(table.index), rotation=0)
    ax.tick_params(labelsize=8, length=0)
    return ax


def matrix(table: pd.DataFrame, label: str = "IoU", ax: Axes | None = None) -> Axes:
    """Arms (rows) evaluated at every threshold (columns); the best arm of each column is framed.

    label: what the numbers are.
    """
    named = table.rename(columns=lambda t: threshold_name(float(t)))
    ax = _grid(named, label, ax or plt.gca())
    values = np.nan_to_num(table.to_numpy(float), nan=-np.inf)
    for column, row in enumerate(values.argmax(0)):
        if np.isfinite(values[row, column]):
            frame: dict[str, Any] = {"edgecolor": ORANGE, "linewidth": 2, "clip_on": False}
            ax.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, **frame))
    ax.set(xlabel="evaluated against labels at confidence", ylabel="arm")
    return ax


def one(draw: Callable, *arguments: object, rows: int = 0) -> Figure:
    """A figure of one Axes: `draw(*arguments, ax=...)`. rows: of the picture, which needs height for them."""
    figure, ax = plt.subplots(figsize=(WIDTH, max(0.55 * WIDTH, 0.8 + 0.24 * rows)))
    draw(*arguments, ax=ax)
    return figure


def sf_by_day(exams: pd.DataFrame, sf_max: float, ax: Axes | None = None) -> Axes:
    """Each patient's S/F over the recorded days, one line a patient."""
    ax = ax or plt.gca()
    sns.lineplot(
        exams, x="day", y="sf_ratio", units="patient_id", estimator=None, color="0.5", marker="o", ax=ax
    )
    ax.axhline(sf_max, color=ORANGE, linestyle="--", linewidth=1)
    ax.set(xlabel="day (0 admission, 1 next, 2 discharge)", ylabel="S/F", ylim=(0, sf_max * 1.08))
    ax.set_xticks(sorted(exams["day"].unique()))
    sns.despine(ax=ax)
    return ax


def burden_against_sf(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """B-line burden against S/F, one dot a clip, with Spearman's correlation. table: burden, sf_ratio."""
    ax = ax or plt.gca()
    sns.scatterplot(table, x="burden", y="sf_ratio", s=18, color=BLUE, alpha=0.6, ax=ax)
    rho = table["burden"].corr(table["sf_ratio"], method="spearman")
    ax.set(
        xlabel="B lines, share of the frame",
        ylabel="S/F / maximum",
        title=f"{len(table)} clips, rho {rho:.2f}",
    )
    sns.despine(ax=ax)
    return ax
