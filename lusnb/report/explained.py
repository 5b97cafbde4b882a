"""What drives a task's prediction, in one picture: tables and arrays of tasks/explained.py to a figure.

Nothing here computes an explanation, and no torch is needed.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from lusnb.cohort.problems import sentence, words
from lusnb.report.looks import SMALL, WIDTH, feature_colours
from lusnb.tasks.registry import TASKS

GRAY = "0.35"  # colour of the gray channel
OUTLINE, DIVERGING = "#f0e442", "RdBu_r"
SHOWN = 8  # frames of the example, at most


def mean_shares(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Shares by patient: summed within a unit over what is not named, then the mean over a patient's units.

    table: as explained.of_task gives it. by: columns such as clip, slot, channel. Returns one row a
    patient, one column a combination of `by`; a patient's row adds up to 1.
    """
    units = table.groupby(["patient_id", "fold", "unit", *by], sort=False)["share"].sum()
    return units.groupby(["patient_id", *by], sort=False).mean().unstack(by)


def sampling_error(table: pd.DataFrame) -> float:
    """Standard error of a mean share from the random orders, typical of a cell, as a share; or NaN."""
    units = table.assign(size=table["value"].abs()).groupby(["fold", "unit"])
    relative = table["se"] / units["size"].transform("sum").replace(0, np.nan)
    return float(np.sqrt((relative**2).mean() / units.ngroups))


def heatmap(table: pd.DataFrame, ax: Axes) -> Axes:
    """Mean share of each frame of the input (rows, the pair's clips below one another) and channel, over
    patients. Frames are counted from 1 in the order in which the network sees them."""
    channels = list(dict.fromkeys(table["channel"]))
    mean = mean_shares(table, ["clip", "slot", "channel"]).mean().unstack("channel")[channels].sort_index()
    cells = 100 * mean.to_numpy()
    digits = 0 if cells.max() >= 10 else 1
    ax.imshow(cells, cmap="viridis", vmin=0, aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        colour = "w" if value < 0.6 * cells.max() else "k"
        ax.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=6, color=colour)
    names = [words(channel) for channel in channels]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(mean)), [str(slot + 1) for _, slot in mean.index])
    clips, slots = ["input frames"], table["slot"].nunique()
    if table["clip"].nunique() > 1:
        clips = ["clip 1,\ninput frames", "clip 2,\ninput frames"]
        ax.axhline(slots - 0.5, color="w", linewidth=2)
    for k, name in enumerate(clips):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "ha": "center", "va": "center"}
        ax.annotate(name, (-0.09, (k + 0.5) * slots - 0.5), fontsize=7, rotation=90, **place)
    error = 100 * sampling_error(table)
    told = f"; sampling error about {error:.1f}" if np.isfinite(error) else ""
    ax.set_title(f"mean share, %{told}", fontsize=SMALL)
    ax.tick_params(labelsize=7, length=0)
    return ax


def channel_shares(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of each channel: a dot a patient, a bar for their mean."""
    channels = list(dict.fromkeys(table["channel"]))
    shares = 100 * mean_shares(table, ["channel"])[channels]
    masks = tuple(c for c in channels if c != "gray")
    colour = {"gray": GRAY} | feature_colours(masks)
    for row, channel in enumerate(channels):
        ax.plot(
            shares[channel], np.full(len(shares), row), "o", color=colour[channel], markersize=4, alpha=0.6
        )
        ax.plot([shares[channel].mean()] * 2, [row - 0.35, row + 0.35], color="k", linewidth=1.5)
    ax.set_yticks(range(len(channels)), [words(c) for c in channels])
    ax.set(ylim=(len(channels) - 0.4, -0.6), xlim=(0, None))
    ax.set_xlabel("share, %", fontsize=SMALL)
    ax.set_title("a dot a patient, a bar for the mean", fontsize=SMALL)
    ax.tick_params(labelsize=7)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def _overlay(ax: Axes, frame: np.ndarray, values: np.ndarray, mask: np.ndarray | None, limit: float) -> Axes:
    """One frame, the map over it: the stronger the less of the frame shows; the mask's outline."""
    ax.imshow(frame, cmap="gray", vmin=0, vmax=255)
    if mask is not None and 0 < mask.mean() < 1:
        ax.contour(mask, [0.5], colors=OUTLINE, linewidths=0.7)
    ax.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit, alpha=0.7 * np.sqrt(np.abs(values) / limit))
    ax.set(xticks=[], yticks=[])
    return ax


def clip_maps(figure: Figure | SubFigure, example: tuple) -> None:
    """The example's frames, one row a channel of its maps, with these over them, on one symmetric scale.

    Above each which frame of the network's input it is, from 1, and its number in the clip, from 0.
    """
    frames, numbers, maps, mask, told = example
    some = np.unique(np.linspace(0, len(frames) - 1, min(SHOWN, len(frames))).round().astype(int))
    axes = figure.subplots(len(maps), len(some), squeeze=False)
    limit = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    for row, (channel, values) in zip(axes, maps.items(), strict=True):
        for ax, k in zip(row, some, strict=True):
            _overlay(ax, frames[k], values[k], None if channel == "gray" else mask[k], limit)
        row[0].set_ylabel(words(channel), fontsize=SMALL)
    for ax, k in zip(axes[0], some, strict=True):
        ax.set_title(f"input frame {k + 1}\nclip frame {numbers[k]}", fontsize=7)
    scale = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    bar = figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("what a patch adds\nto the output", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    outlined = "; yellow: its mask" if len(maps) > 1 else ""
    figure.suptitle(f"Example: {told}{outlined}", fontsize=SMALL)


def drivers(table: pd.DataFrame, example: tuple | None, task: str, arm: str = "") -> Figure:
    """What one task's networks use: share by frame and channel, by channel and patient, and one clip.

    table, example: of explained.of_task. An empty table gives a figure that says so.
    """
    if table.empty or example is None:
        figure, ax = plt.subplots(figsize=(WIDTH, 0.6))
        ax.text(0.5, 0.5, "no test unit to explain", ha="center", va="center", fontsize=SMALL)
        ax.set_axis_off()
        return figure
    rows, maps = table[["clip", "slot"]].drop_duplicates().shape[0], len(example[2])
    columns = min(SHOWN, len(example[0]))
    top, below = max(2.4, 1.1 + 0.19 * rows), 0.45 + maps * min(1.5, 0.86 * WIDTH / columns)
    figure = plt.figure(figsize=(WIDTH, top + below + 0.3), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[top, below])[:, 0]
    left, right = upper.subplots(1, 2, width_ratios=[1.2, 1])
    heatmap(table, left)
    channel_shares(table, right)
    clip_maps(lower, example)
    units, patients = table.groupby(["fold", "unit"]).ngroups, table["patient_id"].nunique()
    of = f", {words(arm)}" if arm else ""
    title = f"{sentence(TASKS[task].title)}{of}: what the networks use, not what is true of lungs"
    asked = f"{units} test unit{'s' * (units != 1)} of {patients} patient{'s' * (patients != 1)}"
    figure.suptitle(f"{title} ({asked})", fontsize=9)
    return figure
