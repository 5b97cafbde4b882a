"""Each picture is drawn where it is told, from what it is given, in fixed colours."""

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

from lusnb.cohort.cohort import Cohort
from lusnb.compare.finished import Held
from lusnb.report import figures, looks, stills

mpl.use("Agg")
FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def shares() -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": ["a_line"] * 2 + ["b_line"] * 2, "threshold": [0, 1] * 2, "share": [1, 0.5, 1, 0.25]}
    )


def arms() -> pd.DataFrame:
    own = pd.DataFrame(
        {"arm": ["t0", "t1"] * 2, "feature": ["a_line"] * 2 + ["b_line"] * 2, "value": [0.1, 0.2, 0.3, 0.4]}
    ).assign(metric="iou")
    return pd.concat([own, own.assign(metric="iou_fixed", value=own["value"] / 2)], ignore_index=True)


def heat() -> pd.DataFrame:
    return pd.DataFrame([[0.5, 0.2], [0.4, 0.3]], index=["t000", "t060"], columns=[0.0, 0.6])


def exams() -> pd.DataFrame:
    return pd.DataFrame({"patient_id": ["A", "A", "B"], "day": [0, 1, 0], "sf_ratio": [200.0, 300.0, 250.0]})


def burdens() -> pd.DataFrame:
    return pd.DataFrame({"burden": [0.1, 0.2, 0.4], "sf_ratio": [0.9, 0.8, 0.5]})


DRAW: dict[str, Callable[..., Axes]] = {
    "show": lambda ax: figures.show(ax, np.zeros((4, 4), np.uint8), "title"),
    "confidence_histogram": lambda ax: figures.confidence_histogram(shares(), FEATURES, ax=ax),
    "iou_by_feature": lambda ax: figures.iou_by_feature(arms(), ("a_line", "b_line"), ax=ax),
    "matrix": lambda ax: figures.matrix(heat(), ax=ax),
    "sf_by_day": lambda ax: figures.sf_by_day(exams(), 477, ax=ax),
    "burden_against_sf": lambda ax: figures.burden_against_sf(burdens(), ax=ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_each_picture_is_drawn_on_the_axes_it_is_given(name: str):
    figure, (mine, other) = plt.subplots(1, 2)
    assert DRAW[name](mine) is mine
    assert mine.has_data()
    assert not other.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", [n for n in DRAW if n != "show"])
def test_each_picture_finds_an_axes_of_its_own(name: str):
    assert DRAW[name](None) is plt.gca()


def test_every_picture_of_one_axes_is_tested():
    import inspect

    returns = {
        n
        for n, f in inspect.getmembers(figures, inspect.isfunction)
        if f.__annotations__.get("return") is Axes and not n.startswith("_")
    }
    assert returns == set(DRAW)


# -- colours


def test_a_feature_keeps_its_colour():
    colour = looks.feature_colours(FEATURES)
    assert list(colour) == list(FEATURES)
    assert list(colour.values()) == ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00"]


def test_more_features_than_the_palette_have_distinct_colours():
    many = looks.feature_colours(tuple(f"f{k}" for k in range(16)))
    assert len(set(many.values())) == 16


def test_lines_have_their_feature_s_colour():
    ax = figures.confidence_histogram(shares(), FEATURES)
    drawn = {tuple(line.get_ydata()): line.get_color() for line in ax.get_lines() if len(line.get_ydata())}
    assert drawn[1.0, 0.5] == looks.feature_colours(FEATURES)["a_line"]
    assert drawn[1.0, 0.25] == looks.feature_colours(FEATURES)["b_line"]


def test_overlay_by_hand():
    image = np.array([[0, 255], [51, 51]], np.uint8)
    masks = np.zeros((6, 2, 2))
    masks[0, 0, 0], masks[5, 1, 1] = 1, 0.5
    out = figures.overlay(image, masks, FEATURES, opacity=0.8)
    first, last = (np.array(colors.to_rgb(looks.PALETTE[k])) for k in (0, 5))
    np.testing.assert_allclose(out[0, 0], 0.8 * first)
    np.testing.assert_allclose(out[0, 1], [1, 1, 1])
    np.testing.assert_allclose(out[1, 0], [0.2, 0.2, 0.2])
    np.testing.assert_allclose(out[1, 1], 0.6 * 0.2 + 0.4 * last)


# -- what is drawn


def test_bars_are_the_values_of_each_arm():
    ax = figures.iou_by_feature(arms(), ("b_line", "a_line"))
    heights = [[round(bar.get_height(), 6) for bar in bars] for bars in ax.containers]
    assert heights == [[0.3, 0.1], [0.4, 0.2]]  # by arm, in the order of the features


def markers(ax: Axes) -> set[tuple[float, float]]:
    """Middles of the markers, each rounded."""
    found = [c.get_offsets() for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    return {tuple(np.round(p, 6).tolist()) for own in found for p in own}


def test_a_marker_on_each_bar_says_what_the_arm_reaches_at_a_half():
    ax = figures.iou_by_feature(arms(), ("b_line", "a_line"))
    bars = [[bar.get_x() + bar.get_width() / 2 for bar in one] for one in ax.containers]
    want = {(bars[0][0], 0.15), (bars[0][1], 0.05), (bars[1][0], 0.2), (bars[1][1], 0.1)}
    assert markers(ax) == {tuple(np.round(p, 6).tolist()) for p in want}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["t0", "t1", "cut at 0.5"]


def test_without_scores_at_a_half_there_are_bars_alone():
    ax = figures.iou_by_feature(arms().query("metric == 'iou'"), ("b_line", "a_line"))
    assert not markers(ax) and len(ax.containers) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["t0", "t1"]


def frames_of(ax: Axes) -> list[tuple[float, float]]:
    return [patch.get_xy() for patch in ax.patches if isinstance(patch, plt.Rectangle)]


def test_the_matrix_frames_the_best_arm_of_each_column():
    assert frames_of(figures.matrix(heat())) == [(0, 0), (1, 1)]


def test_the_matrix_never_frames_an_arm_without_a_value():
    table = heat()
    table.loc["missing"] = np.nan
    assert frames_of(figures.matrix(table)) == [(0, 0), (1, 1)]


def test_the_matrix_names_its_columns_as_thresholds_also_when_read_from_a_file():
    for table in (heat(), heat().rename(columns=str)):
        plt.figure()
        assert [t.get_text() for t in figures.matrix(table).get_xticklabels()] == ["> 0 %", "≥ 60 %"]


def many(count: int) -> pd.DataFrame:
    names = [f"arm_{k}" for k in range(count)]
    own = [(arm, f, "iou", k / 100) for k, arm in enumerate(names) for f in ("a_line", "b_line")]
    rows = own + [(arm, f, "iou_fixed", 0.9) for arm, f, _, _ in own]
    return pd.DataFrame(rows, columns=["arm", "feature", "metric", "value"])


def test_more_arms_than_bars_can_tell_apart_are_numbers_in_rows_high_enough():
    bars = figures.one(figures.iou_by_feature, many(9), ("a_line", "b_line"), rows=figures.crowd(range(9)))
    assert len(bars.axes[0].containers) == 9
    grid = figures.one(figures.iou_by_feature, many(26), ("b_line", "a_line"), rows=figures.crowd(range(26)))
    assert [t.get_text() for t in grid.axes[0].get_yticklabels()] == [f"arm_{k}" for k in range(26)]
    assert [t.get_text() for t in grid.axes[0].get_xticklabels()] == ["b\nline", "a\nline"]
    assert [t.get_text() for t in grid.axes[0].texts[:4]] == ["0.00", "0.00", "0.01", "0.01"]
    assert not frames_of(grid.axes[0])  # own labels: no ranking
    assert grid.get_figheight() > 6 > bars.get_figheight()


def test_a_strip_of_many_images_has_more_columns_and_titles_of_two_lines():
    images = {f"arm {k}: ≥ 50 %": np.zeros((4, 4), np.uint8) for k in range(27)}
    shown = [ax for ax in figures.strip(images, FEATURES).axes if ax.images]
    assert len(shown) == 27
    assert len({round(ax.get_position().x0, 3) for ax in shown}) == 6
    assert shown[3].get_title() == "arm 3\n≥ 50 %"
    few = [ax for ax in figures.strip(dict(list(images.items())[:2]), ("b_line",)).axes if ax.images]
    assert [ax.get_title() for ax in few] == ["arm 0: ≥ 50 %", "arm 1: ≥ 50 %"]


@pytest.mark.parametrize("count", [10, 17, 49, 55])
def test_no_title_of_a_strip_touches_the_image_above_it(count: int):
    """Figure 4 of 2 to 26 arms: a few images, and each arm's at two cuts."""
    images = {f"t050_weighted_{k}: own cut 0.25": np.zeros((4, 4), np.uint8) for k in range(count)}
    figure = figures.strip(images, FEATURES)
    figure.canvas.draw()
    shown = [ax for ax in figure.axes if ax.images]
    titles, pictures = ([part.get_window_extent() for part in parts] for parts in
                        ([ax.title for ax in shown], [ax.images[0] for ax in shown]))  # fmt: skip
    assert not any(a.overlaps(b.padded(2)) for a in titles for b in pictures)  # pixels
    assert not any(a.overlaps(b) for k, a in enumerate(titles) for b in titles[k + 1 :])


def test_the_correlation_stands_above_the_dots():
    assert figures.burden_against_sf(burdens()).get_title() == "3 clips, rho -1.00"


@pytest.mark.parametrize(("t", "name"), [(0, "> 0 %"), (0.2, "≥ 20 %"), (0.6, "≥ 60 %"), (1.0, "≥ 100 %")])
def test_thresholds_are_named_as_in_the_paper(t: float, name: str):
    assert figures.threshold_name(t) == name


def test_a_strip_holds_every_image_under_its_title_and_one_legend():
    images = {f"image {k}": np.full((4, 4), k, np.uint8) for k in range(5)}
    figure = figures.strip(images, FEATURES, columns=4)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == list(images)
    assert [ax.images[0].get_array()[0, 0] for ax in shown] == [0, 1, 2, 3, 4]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [f.replace("_", " ") for f in FEATURES]


def test_a_figure_of_nothing_says_why():
    (ax,) = looks.nothing("no two raters").axes
    assert [text.get_text() for text in ax.texts] == ["no two raters"] and not ax.axison


def test_a_figure_is_saved_as_pdf_png_and_svg(tmp_path: Path):
    figure = figures.one(figures.sf_by_day, exams(), 477)
    figures.save(figure, tmp_path / "figures", "sf")
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["sf.pdf", "sf.png", "sf.svg"]
    assert (tmp_path / "figures/sf.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "figures/sf.svg").read_text()
    with Image.open(tmp_path / "figures/sf.png") as image:
        assert image.width > 1000  # 200 dpi
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


# -- stacks of images


def test_the_example_is_a_rich_frame_of_the_patients_asked_for(cohort: Cohort):
    patients = cohort.patients_in("test")
    clip, frame = stills.example_frame(cohort, patients, "mean")
    assert cohort.clips.set_index("clip_id").at[clip, "patient_id"] in patients

    def painted(clip_id: str) -> int:
        rows = cohort.labels[cohort.labels["clip_id"] == clip_id]
        return sum(np.asarray(Image.open(cohort.folder / path)).any() for path in rows["path"])

    assert frame == 0
    own = cohort.clips[cohort.clips["patient_id"].isin(patients)]["clip_id"]
    assert painted(clip) == max(painted(c) for c in own)


def test_thresholds_of_a_frame_lose_colour_from_left_to_right(cohort: Cohort):
    clip, frame = stills.example_frame(cohort, cohort.patients_in("test"), "mean")
    shown = stills.thresholds(cohort, clip, frame, "mean")
    names = ["> 0 %", *(f"≥ {t} %" for t in (20, 40, 50, 60, 80, 100))]
    assert list(shown) == ["frame", "confidence", *names]
    coloured = [(np.ptp(shown[n], axis=2) > 0).sum() for n in names]
    assert coloured == sorted(coloured, reverse=True) and coloured[0] > coloured[-1]


def said(cohort: Cohort, levels: np.ndarray, cut: int) -> Held:
    """A prediction at one cut, but at 7 of every frame but one: each has the cut of its own fold."""
    cuts = np.full(len(levels), 7, np.uint8)
    cuts[sorted(cohort.clips["clip_id"]).index(cohort.clips["clip_id"][7])] = cut
    return Held(levels, levels, cuts)


def test_predictions_are_those_of_the_frame_at_both_cuts_of_each_arm_s_first_seed(cohort: Cohort):
    levels = np.random.default_rng(0).integers(0, 256, (26, 6, 32, 32), dtype=np.uint8)
    clip = cohort.clips["clip_id"][7]
    one, other = said(cohort, levels, 64), said(cohort, 255 - levels, 200)
    opened = {("t000", 0): one, ("t000", 1): other, ("t060", 0): other}
    shown = stills.predictions(cohort, clip, 0, opened, ["t000", "t060"], "mean")
    assert list(shown) == [
        *("frame", "confidence", "truth"),
        *("t000: own cut 0.25", "t060: own cut 0.78", "t000: cut at 0.5", "t060: cut at 0.5"),
    ]
    where = sorted(cohort.clips["clip_id"]).index(clip)
    for (name, image), cut in zip(list(shown.items())[3:], (64, 200, 128, 128), strict=True):
        masks = {"t000": one, "t060": other}[name[:4]].labelled[where] >= cut
        np.testing.assert_allclose(image, figures.overlay(shown["frame"], masks, cohort.features))


def test_an_arm_whose_own_cut_is_a_half_keeps_both_pictures(cohort: Cohort):
    levels = np.random.default_rng(0).integers(0, 256, (26, 6, 32, 32), dtype=np.uint8)
    clip = cohort.clips["clip_id"][7]
    for cut in (127, 128, 129):  # all of them told as 0.50
        shown = stills.predictions(cohort, clip, 0, {("a", 0): said(cohort, levels, cut)}, ["a"], "mean")
        assert list(shown)[3:] == [f"a: own cut {cut / 255:.2f}", "a: cut at 0.5"]
        same = np.array_equal(shown[f"a: own cut {cut / 255:.2f}"], shown["a: cut at 0.5"])
        assert same == (cut == 128)
