"""Pictures of a phantom: what they draw is what was simulated."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from lusnb.cohort import arrays
from lusnb.phantom import block
from lusnb.report import phantom

matplotlib.use("Agg")
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01_explore_data.ipynb"


@pytest.fixture(autouse=True)
def closed():
    yield
    phantom.plt.close("all")


def test_speckle_shows_the_ratio_and_both_directions():
    figure = phantom.speckle()
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
    figure = phantom.b_lines(cohort)
    for ax, column in zip(figure.axes, ("b_lines", "b_covered"), strict=True):
        dots = np.asarray(ax.collections[0].get_offsets())
        assert dots == pytest.approx(scenes[["congestion", column]].to_numpy())
        line = ax.lines[0]
        fifth = np.minimum(np.ceil(scenes["congestion"] * 5), 5)
        assert line.get_ydata() == pytest.approx(scenes.groupby(fifth)[column].mean().to_numpy())


def test_an_imported_cohort_is_told_so_in_one_sentence():
    assert phantom.NOTHING.count(".") == 1 and phantom.NOTHING.endswith(".")
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    calls = [line for cell in code for line in cell.splitlines() if "phantom." in line]
    calls = [line for line in calls if not line.startswith(" ")]
    assert len(calls) == 2 and all("if simulated else print(phantom.NOTHING)" in c for c in calls)


def real_cell() -> str:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return next("".join(c["source"]) for c in cells if "side_by_side(" in "".join(c["source"]))


def test_without_the_sample_one_sentence_stands_in_its_place(cohort, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LUSNB_SAMPLES", str(tmp_path))
    for simulated, said in ((True, phantom.NO_SAMPLE), (False, phantom.NOTHING)):
        exec(real_cell(), {"simulated": simulated, "data": cohort, "phantom": phantom})
        assert capsys.readouterr().out == said + "\n" and said.count(".") == 1
    assert not phantom.plt.get_fignums()


def test_the_phantom_is_drawn_beside_the_real_clip(cohort, samples):
    exec(real_cell(), {"simulated": True, "data": cohort, "phantom": phantom})
    axes = phantom.plt.gcf().axes
    assert len(axes) == 6 and axes[0].get_title() == "real clip"
    assert all(ax.get_title().startswith("phantom P") for ax in axes[1:3])
    assert axes[0].images[0].get_extent()[2:] == [69.5, 0]


def test_recordings_stand_at_one_scale_in_mm():
    rng = np.random.default_rng(0)
    wide = phantom.Recording("a", rng.integers(0, 256, (8, 40, 50), np.uint8), 40.0, 38.0, 10.0)
    deep = phantom.Recording("b", rng.integers(0, 256, (60, 90, 30), np.uint8), 60.0, 30.0, 20.0)
    figure = phantom.side_by_side([wide, deep])
    figure.canvas.draw()
    top, bottom = figure.axes[:2], figure.axes[2:]
    for ax, one in zip(top, (wide, deep), strict=True):
        assert ax.get_aspect() == 1.0 and tuple(ax.get_ylim()) == (60.0, 0.0)
        assert ax.images[0].get_extent() == [-one.width_mm / 2, one.width_mm / 2, one.depth_mm, 0]
        assert np.array_equal(ax.images[0].get_array(), one.frames[0])
    scale = [ax.bbox.width / np.ptp(ax.get_xlim()) for ax in top]
    assert scale[0] == pytest.approx(scale[1], rel=0.02)
    assert np.array_equal(bottom[1].images[0].get_array(), deep.frames[:16, :, 15].T)
    assert all(tuple(ax.get_xlim()) == pytest.approx((0.0, 0.8)) for ax in bottom)


def test_the_clips_chosen_are_of_near_depth_with_an_a_line_and_dry(cohort):
    chosen = phantom.alike(cohort, 60.0, 3)
    names = [one.title.removeprefix("phantom ") for one in chosen]
    assert len({name[:3] for name in names}) == 3, "three patients"
    table = cohort.clips.merge(pd.read_csv(cohort.folder / "scenes.csv"), on="clip_id").set_index("clip_id")
    truth = cohort.truth[cohort.truth["feature"] == "a_line"].set_index("clip_id")["path"]
    table["bare"] = [not arrays.image(cohort, truth[clip]).any() for clip in table.index]
    table["off"] = (10 * table["depth_cm"] - 60.0).abs()
    order = table.sort_values(["off", "bare", "congestion"])
    assert names == order.drop_duplicates("patient_id").head(3).index.tolist()
    assert chosen[0].frames.shape == (6, 64, 64) and chosen[0].width_mm == pytest.approx(38.0)
