"""What is drawn is what the tables say."""

import subprocess
import sys
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import QuadMesh
from matplotlib.contour import ContourSet

from lusnb.cohort import problems
from lusnb.report import explained
from lusnb.tasks.registry import TASKS

mpl.use("Agg")
CHANNELS = ("gray", "sharp_pleura", "b_line")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def table(units: dict[tuple[str, int], list[float]], clips: int = 1, slots: int = 2) -> pd.DataFrame:
    """(patient, unit) -> one number a channel; the last slot of the last clip has twice the others' share."""
    rows = []
    for (patient, unit), values in units.items():
        parts = np.ones((clips, slots))
        parts[-1, -1] = 2
        cells = parts[:, :, None] * np.array(values) / parts.sum() / np.sum(values)
        for (clip, slot, c), share in np.ndenumerate(cells):
            row = {"patient_id": patient, "fold": 1, "unit": unit, "clip": clip + 1, "slot": slot}
            rows.append(row | {"channel": CHANNELS[c], "share": share, "value": -2 * share, "se": 0.1})
    return pd.DataFrame(rows)


def example(slots: int = 2, size: int = 16, channels: tuple[str, ...] = ("gray", "b_line")) -> tuple:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (slots, size, size), dtype=np.uint8)
    maps = {channel: (k + 1) * rng.normal(size=(slots, size, size)) for k, channel in enumerate(channels)}
    mask = np.zeros((slots, size, size))
    mask[:, 4:8, 4:8] = 1
    return frames, 3 * np.arange(slots) + 1, maps, mask, "clip c1, patient A, fold 1; output: prediction"


# patient A has three units, B one: A's mean is (0.5, 0.3, 0.2), B's (0.1, 0.1, 0.8)
UNEVEN = {("A", 0): [4, 4, 2], ("A", 1): [5, 3, 2], ("A", 2): [6, 2, 2], ("B", 3): [1, 1, 8]}


def test_shares_are_averaged_within_a_patient_first():
    shares = explained.mean_shares(table(UNEVEN), ["channel"])
    np.testing.assert_allclose(shares.loc["A", list(CHANNELS)], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(shares.loc["B", list(CHANNELS)], [0.1, 0.1, 0.8])
    cells = explained.mean_shares(table(UNEVEN, clips=2), ["clip", "slot", "channel"])
    np.testing.assert_allclose(cells.sum(axis=1), 1)


def test_the_heatmap_shows_the_mean_over_patients():
    ax = explained.heatmap(table(UNEVEN), plt.gca())
    want = 100 * np.outer([1 / 3, 2 / 3], [0.3, 0.2, 0.5])  # of patients, not of units: 0.4, 0.25, 0.35
    np.testing.assert_allclose(ax.images[0].get_array(), want)
    shown = [t.get_text() for t in ax.texts if t.get_text().isdigit()]
    assert shown == [f"{v:.0f}" for v in want.ravel()]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["gray", "sharp pleura", "b line"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "2"]
    assert "input frames" in {t.get_text() for t in ax.texts}  # not the clip's own numbers


def test_the_heatmap_of_pairs_has_the_frames_of_both_clips():
    ax = explained.heatmap(table(UNEVEN, clips=2, slots=3), plt.gca())
    assert ax.images[0].get_array().shape == (6, 3)
    rows = ax.images[0].get_array().sum(axis=1)
    np.testing.assert_allclose(rows / rows.sum(), [1 / 7] * 5 + [2 / 7])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "2", "3"] * 2
    assert {f"clip {k},\ninput frames" for k in (1, 2)} <= {t.get_text() for t in ax.texts}


def test_small_shares_have_a_decimal():
    ax = explained.heatmap(table(UNEVEN, clips=2, slots=5), plt.gca())  # at most 2 / 11 of 50 %
    assert [t.get_text() for t in ax.texts][:3] == ["2.7", "1.8", "4.5"]


def test_the_sampling_error_is_that_of_a_mean_share():
    # four units, values of -2 * share: their size adds up to 2, an error of 0.1 is 0.05 of it
    assert explained.sampling_error(table(UNEVEN)) == pytest.approx(0.05 / np.sqrt(4))
    assert (
        explained.heatmap(table(UNEVEN), plt.gca()).get_title() == "mean share, %; sampling error about 2.5"
    )
    for unknown in (table(UNEVEN).assign(se=np.nan), table(UNEVEN).assign(value=0.0)):
        assert explained.heatmap(unknown, plt.figure().gca()).get_title() == "mean share, %"


def test_each_patient_is_a_dot_and_the_mean_a_bar():
    ax = explained.channel_shares(table(UNEVEN), plt.gca())
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    bars = [line for line in ax.lines if line.get_marker() != "o"]
    np.testing.assert_allclose([sorted(d.get_xdata()) for d in dots], [[10, 50], [10, 30], [20, 80]])
    np.testing.assert_allclose([b.get_xdata()[0] for b in bars], [30, 20, 50])
    assert len({d.get_color() for d in dots}) == len(CHANNELS)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["gray", "sharp pleura", "b line"]


def test_the_maps_share_one_symmetric_scale_and_the_mask_is_outlined():
    shown = example()
    figure = plt.figure()
    explained.clip_maps(figure, shown)
    limit = max(np.abs(m).max() for m in shown[2].values())
    frames = [ax for ax in figure.axes if len(ax.images) == 2]
    assert len(frames) == 4
    for k, ax in enumerate(frames):
        channel, slot = divmod(k, 2)
        below, above = ax.images
        np.testing.assert_array_equal(below.get_array(), shown[0][slot])
        np.testing.assert_array_equal(above.get_array(), list(shown[2].values())[channel][slot])
        assert above.get_clim() == (-limit, limit)
        assert any(isinstance(c, ContourSet) for c in ax.collections) == (channel == 1)
    (bar,) = [ax for ax in figure.axes if any(isinstance(c, QuadMesh) for c in ax.collections)]
    assert bar.get_ylim() == (-limit, limit)
    said = ["input frame 1\nclip frame 1", "input frame 2\nclip frame 4"]  # places in the input, in the clip
    assert [ax.get_title() for ax in frames] == [*said, "", ""]
    assert figure._suptitle.get_text() == f"Example: {shown[4]}; yellow: its mask"


@pytest.mark.parametrize(("slots", "shown"), [(1, 1), (8, 8), (20, 8)])
def test_long_clips_show_eight_frames_from_first_to_last(slots: int, shown: int):
    figure = plt.figure()
    explained.clip_maps(figure, example(slots))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == shown
    assert titles[0] == "input frame 1\nclip frame 1"
    assert titles[-1] == f"input frame {slots}\nclip frame {3 * (slots - 1) + 1}"


@pytest.mark.parametrize(("task", "clips"), [("sf_change", 2), ("sf_ratio", 1), ("readmission", 2)])
def test_the_whole_figure_says_what_it_is_and_is_not(task: str, clips: int):
    figure = explained.drivers(table(UNEVEN, clips), example(), task)
    title = figure._suptitle.get_text()
    assert title.startswith(f"{problems.sentence(TASKS[task].title)}: what")
    assert "what the networks use, not what is true of lungs" in title
    assert "(4 test units of 2 patients)" in title
    figure.canvas.draw()
    box = figure.bbox
    for ax in figure.axes:
        tight = ax.get_tightbbox()
        assert tight.x0 >= -1 and tight.x1 <= box.x1 + 1 and tight.y0 >= -1 and tight.y1 <= box.y1 + 1


def test_gray_alone_and_a_network_without_an_opinion_can_be_drawn():
    alone = table({("A", 0): [1, 0, 0]}).query("channel == 'gray'")
    frames, numbers, maps, mask, told = example(channels=("gray",))
    nothing = {"gray": np.zeros_like(maps["gray"])}
    flat = alone.assign(share=0.0, value=0.0, se=0.0)
    figure = explained.drivers(flat, (frames, numbers, nothing, mask * 0, told), "sf_ratio")
    figure.canvas.draw()
    assert "(1 test unit of 1 patient)" in figure._suptitle.get_text()
    assert "yellow" not in figure.subfigs[1]._suptitle.get_text()


def test_nothing_to_explain_is_said():
    figure = explained.drivers(table({("A", 0): [1, 1, 1]})[:0], None, "sf_ratio")
    assert [t.get_text() for t in figure.axes[0].texts] == ["no test unit to explain"]


def test_the_figures_need_no_torch():
    code = "import sys, lusnb.report.explained; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
