"""Pictures of a phantom: what they draw is what was simulated."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from lusnb import phantom_figures
from lusnb.phantom import block

matplotlib.use("Agg")
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01_explore_data.ipynb"


@pytest.fixture(autouse=True)
def closed():
    yield
    phantom_figures.plt.close("all")


def test_speckle_shows_the_ratio_and_both_directions():
    figure = phantom_figures.speckle()
    histogram, axial, lateral = figure.axes
    assert histogram.get_title().startswith("mean / SD 1.9")
    density = np.array([bar.get_height() for bar in histogram.patches])
    middle = np.array([bar.get_x() + bar.get_width() / 2 for bar in histogram.patches])
    assert np.abs(density - 2 * middle * np.exp(-(middle**2))).max() < 0.08
    assert axial.get_xlabel() == "axial lag, mm" and lateral.get_xlabel() == "lateral lag, mm"
    for ax in (axial, lateral):
        lines = [line for line in ax.lines if len(line.get_xdata())]
        assert len(lines) == len(block.PATCHES)
        dots = max((np.asarray(c.get_offsets()) for c in ax.collections), key=len)
        asked = np.concatenate([line.get_ydata() for line in lines])
        assert len(dots) == len(asked) and np.abs(np.sort(dots[:, 1]) - np.sort(asked)).max() < 0.08


def test_b_lines_are_drawn_clip_by_clip(cohort):
    scenes = pd.read_csv(cohort.folder / "scenes.csv")
    figure = phantom_figures.b_lines(cohort)
    for ax, column in zip(figure.axes, ("b_lines", "b_covered"), strict=True):
        dots = np.asarray(ax.collections[0].get_offsets())
        assert dots == pytest.approx(scenes[["congestion", column]].to_numpy())
        line = ax.lines[0]
        fifth = np.minimum(np.ceil(scenes["congestion"] * 5), 5)
        assert line.get_ydata() == pytest.approx(scenes.groupby(fifth)[column].mean().to_numpy())


def test_an_imported_cohort_is_told_so_in_one_sentence():
    assert phantom_figures.NOTHING.count(".") == 1 and phantom_figures.NOTHING.endswith(".")
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    calls = [line for cell in code for line in cell.splitlines() if "phantom_figures." in line]
    assert len(calls) == 2 and all("if simulated else print(phantom_figures.NOTHING)" in c for c in calls)
