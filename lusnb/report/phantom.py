"""Pictures of what only a phantom can show: its speckle against theory, its B lines against congestion."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.compare import truth
from lusnb.phantom import block
from lusnb.report.looks import BLUE, ORANGE, WIDTH

NOTHING = "An imported cohort: nothing was simulated, so there is nothing to check here."
NO_SAMPLE = "The real clip is not on this machine, so the phantom is compared with nothing."


@dataclass(frozen=True)
class Recording:
    """A clip as it is shown beside another: frames uint8 (T, H, W) over depth_mm x width_mm."""

    title: str
    frames: np.ndarray
    depth_mm: float
    width_mm: float
    fps: float


def envelope_histogram(envelope: np.ndarray, ax: Axes | None = None) -> Axes:
    """Histogram of an envelope of mean power 1 (any shape) against Rayleigh's density 2 a exp(-a^2)."""
    ax = ax or plt.gca()
    ratio = envelope.mean() / envelope.std()
    ax.hist(envelope.ravel(), bins=60, range=(0, 3), density=True, color="#56b4e9", label="block")
    amplitude = np.linspace(0, 3, 200)
    ax.plot(amplitude, 2 * amplitude * np.exp(-(amplitude**2)), color=ORANGE, label="Rayleigh")
    ax.set(xlabel="envelope / RMS", ylabel="density", title=f"mean / SD {ratio:.2f} (Rayleigh 1.91)")
    ax.legend(frameon=False, fontsize=7)
    return ax


def autocorrelation(table: pd.DataFrame, direction: str, ax: Axes | None = None) -> Axes:
    """Found (dots) and asked (lines) against lag, by patch. table: block.autocorrelation."""
    ax = ax or plt.gca()
    table = table[table["direction"] == direction]
    sns.lineplot(table, x="lag_mm", y="asked", hue="patch", palette="viridis", ax=ax)
    sns.scatterplot(table, x="lag_mm", y="found", hue="patch", palette="viridis", legend=False, s=18, ax=ax)
    ax.set(xlabel=f"{direction} lag, mm", ylabel="autocorrelation", ylim=(-0.05, 1.05), title=direction)
    ax.legend(frameon=False, fontsize=7)
    return ax


def speckle() -> Figure:
    """The test block's echo before compression: its envelope, its axial and its lateral autocorrelation."""
    fields = block.patches()
    table = block.autocorrelation(fields)
    figure, axes = plt.subplots(1, 3, figsize=(1.4 * WIDTH, 0.4 * WIDTH))
    envelope_histogram(np.abs(np.concatenate(list(fields.values()), axis=1)), axes[0])
    autocorrelation(table, "axial", axes[1])
    autocorrelation(table, "lateral", axes[2])
    for ax in axes:
        ax.title.set_fontsize(9)
        sns.despine(ax=ax)
    figure.tight_layout()
    return figure


def b_lines(cohort: Cohort) -> Figure:
    """B lines of each clip's first frame against its congestion: their number, and what they cover.

    Reads scenes.csv of a phantom cohort: congestion (0 to 1), b_lines (count), b_covered (0 to 1).
    """
    scenes = pd.read_csv(cohort.folder / "scenes.csv")
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 0.4 * WIDTH))
    middle = scenes.groupby(pd.cut(scenes["congestion"], np.linspace(0, 1, 6)), observed=True)
    labels = {"b_lines": "B lines in the frame, count", "b_covered": "share of the view they cover"}
    for ax, (column, label) in zip(axes, labels.items(), strict=True):
        sns.scatterplot(scenes, x="congestion", y=column, s=18, color=BLUE, alpha=0.6, ax=ax)
        means = middle[["congestion", column]].mean()
        ax.plot(means["congestion"], means[column], color=ORANGE, marker="o", label="mean of a fifth")
        ax.set(xlabel="congestion", ylabel=label, xlim=(0, 1.02))
        ax.legend(frameon=False, fontsize=7)
        sns.despine(ax=ax)
    figure.tight_layout()
    return figure


def alike(cohort: Cohort, depth_mm: float, count: int = 2) -> list[Recording]:
    """Clips of a phantom cohort to put beside a real one of a dry lung, of different patients where it can.

    Nearest in depth come first, then those that show an A line, then the least congested (scenes.csv).
    """
    table = cohort.clips.merge(pd.read_csv(cohort.folder / "scenes.csv"), on="clip_id")
    a_line = truth.true_burden(cohort, "a_line").set_index("clip_id")["burden"]
    table["off"] = (10 * table["depth_cm"] - depth_mm).abs().round()
    table["bare"] = ~(table["clip_id"].map(a_line) > 0)
    table = table.sort_values(["off", "bare", "congestion", "clip_id"])
    table["again"] = table.groupby("patient_id").cumcount()  # 0: a patient's best one
    return [
        Recording(
            f"phantom {row.clip_id}",
            arrays.clip(cohort, row.clip_id),
            10 * row.depth_cm,
            10 * row.width_cm,
            row.fps,
        )
        for row in table.sort_values("again", kind="stable").head(count).itertuples()
    ]


def side_by_side(recordings: list[Recording]) -> Figure:
    """The first frame of each recording at one scale in mm, and below it its middle column over time.

    The columns run as long as the shortest recording, so that one second is as wide everywhere.
    """
    seconds = min(len(one.frames) / one.fps for one in recordings)
    widths = [one.width_mm for one in recordings]
    deepest = max(one.depth_mm for one in recordings)
    height = 2.2 * WIDTH * deepest / (1.5 * sum(widths)) + 0.6
    figure, axes = plt.subplots(
        2, len(recordings), figsize=(WIDTH, height), sharey=True, squeeze=False, width_ratios=widths,
        layout="constrained",
    )  # fmt: skip
    grey = dict(cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for one, (top, bottom) in zip(recordings, axes.T, strict=True):
        half, depth = one.width_mm / 2, one.depth_mm
        top.imshow(one.frames[0], extent=(-half, half, depth, 0), aspect="equal", **grey)
        column = one.frames[: round(seconds * one.fps), :, one.frames.shape[2] // 2].T  # (depth, time)
        bottom.imshow(column, extent=(0, column.shape[1] / one.fps, depth, 0), aspect="auto", **grey)
        top.set_title(one.title, fontsize=8)
        top.set(xlabel="mm", ylim=(deepest, 0), facecolor="0.85")
        bottom.set(xlabel="middle column, s", ylim=(deepest, 0), xlim=(0, seconds), facecolor="0.85")
    for ax in axes[:, 0]:
        ax.set_ylabel("depth, mm")
    return figure
