"""Curves of precision and recall with the two points of each arm: what is drawn is what the table says."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.report import looks, operating_points

mpl.use("Agg")
FEATURES = ("sharp_pleura", "a_line", "b_line", "sub_a_line")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def curves(
    count: int, features: tuple[str, ...] = FEATURES[1:3], against: tuple[str, ...] = ("labels", "truth")
) -> pd.DataFrame:
    """precision_recall.curves of so many arms: three levels, a point at each cut; a second seed at 0.9."""
    rows = []
    for seed in (0, 1):
        for k in range(count):
            for name in against:
                for j, feature in enumerate(features):
                    own = [("", 50, 0.2, 0.8), ("", 99, 0.4, 0.5), ("", 200, 0.9, 0.1)]
                    own += [("own", 99, 0.4, 0.5), ("fixed", 128, 0.9, 0.1)]
                    for point, level, precision, recall in own:
                        less = k / 100 + j / 1000 + (name == "truth") / 50
                        values = (0.9, 0.9) if seed else (precision - less, recall)
                        rows.append((f"arm_{k}", seed, name, feature, point, level, *values))
    columns = ["arm", "seed", "against", "feature", "point", "level", "precision", "recall"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=0).sort_values(
        ["arm", "feature"], key=lambda c: c.str[4:].astype(int) if c.name == "arm" else c, kind="stable"
    )  # fmt: skip


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.axison]


def points(ax: Axes) -> list[list[float]]:
    """Recall and precision of the markers, in the order in which they are drawn."""
    return [np.round(c.get_offsets()[0], 6).tolist() for c in ax.collections if len(c.get_offsets())]


def lines(ax: Axes) -> list[list[list[float]]]:
    return [np.round(line.get_xydata(), 6).tolist() for line in ax.get_lines()]


def legend(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_few_arms_are_lines_in_a_panel_a_feature_first_against_the_truth():
    figure = operating_points.precision_recall(curves(2))
    assert titles(figure) == ["a line, truth", "b line, truth", "a line, labels", "b line, labels"]
    of_labels = figure.axes[2]
    assert lines(of_labels) == [
        [[0.8, 0.2], [0.5, 0.4], [0.1, 0.9]],
        [[0.8, 0.19], [0.5, 0.39], [0.1, 0.89]],
    ]
    assert lines(figure.axes[0])[0][0] == [0.8, 0.18]
    assert points(of_labels) == [[0.1, 0.9], [0.5, 0.4], [0.1, 0.89], [0.5, 0.39]]  # fixed, own, by arm
    assert legend(figure) == ["arm_0", "arm_1", "own cut", "cut at 0.5"]


def test_the_own_point_is_filled_with_the_arm_s_colour_and_the_other_is_hollow():
    (ax, *_) = operating_points.precision_recall(curves(2)).axes
    for k, line in enumerate(ax.get_lines()):
        fixed, own = ax.collections[2 * k : 2 * k + 2]
        colour = mpl.colors.to_rgba(line.get_color())
        assert own.get_facecolor()[0] == pytest.approx(colour)
        assert fixed.get_facecolor()[0] == pytest.approx([1, 1, 1, 1])
        assert fixed.get_edgecolor()[0] == pytest.approx(colour)


def test_without_truth_the_labels_alone_are_drawn():
    figure = operating_points.precision_recall(curves(3, against=("labels",)))
    assert titles(figure) == ["a line, labels", "b line, labels"]


def test_a_table_read_from_a_file_gives_the_same_picture(tmp_path):
    table = curves(2)
    table.to_csv(tmp_path / "t.csv", index=False)
    drawn = [operating_points.precision_recall(t) for t in (table, pd.read_csv(tmp_path / "t.csv"))]
    for mine, read in zip(drawn[0].axes, drawn[1].axes, strict=True):
        assert lines(mine) == lines(read) and points(mine) == points(read)
        assert len(lines(mine)) == 2 and all(len(line) == 3 for line in lines(mine))


def test_more_arms_than_colours_can_tell_apart_are_a_panel_each_with_a_line_a_feature():
    figure = operating_points.precision_recall(curves(10))
    assert titles(figure) == [f"arm_{k}" for k in range(10)]
    assert figure.get_supylabel() == "precision against the truth"
    assert legend(figure) == ["a line", "b line", "own cut", "cut at 0.5"]
    colours = list(looks.feature_colours(FEATURES[1:3]).values())
    for k, ax in enumerate(figure.axes[:10]):
        assert [line.get_color() for line in ax.get_lines()] == colours
        assert lines(ax)[1][1] == pytest.approx([0.5, 0.4 - k / 100 - 0.001 - 0.02])
    bare = operating_points.precision_recall(curves(10, against=("labels",)))
    assert bare.get_supylabel() == "precision against the labels"
    assert titles(operating_points.precision_recall(curves(9)))[0] == "a line, truth"


@pytest.mark.parametrize("count", [1, 7, 9, 10, 23, 26])
@pytest.mark.parametrize("features", [FEATURES[:1], FEATURES])
def test_nothing_overlaps_and_each_column_has_its_scale(count: int, features: tuple[str, ...]):
    figure = operating_points.precision_recall(curves(count, features))
    figure.canvas.draw()
    shown = [ax for ax in figure.axes if ax.axison]
    spots = [ax.title.get_window_extent() for ax in shown]
    assert not any(a.overlaps(b) for k, a in enumerate(spots) for b in spots[k + 1 :])
    assert not any(figure.legends[0].get_window_extent().overlaps(spot) for spot in spots)
    lowest = {}
    for ax in shown:
        lowest[round(ax.get_position().x0, 2)] = ax
    for ax in shown:
        assert ax.get_ylim() == (0, 1.02)
    for ax in lowest.values():
        assert [t.get_text() for t in ax.get_xticklabels() if t.get_visible()] == ["0", "0.5", "1"]


def test_an_arm_that_draws_nothing_has_no_marker_there_and_hinders_nobody():
    table = curves(2, against=("labels",))
    silent = (table["arm"] == "arm_0") & (table["point"] == "fixed")
    table.loc[silent, ["precision", "recall"]] = [np.nan, 0.0]
    (ax, *_) = operating_points.precision_recall(table).axes
    drawn = [c.get_offsets() for c in ax.collections]
    assert np.ma.getmaskarray(drawn[0]).any() or np.isnan(np.asarray(drawn[0])).any()
    assert points(ax)[-1] == [0.5, 0.39]


@pytest.mark.parametrize(("factor", "top"), [(1, 1), (0.5, 0.5), (0.2, 0.2), (0.01, 0.2)])
def test_precision_has_one_scale_that_low_curves_do_not_leave_empty(factor: float, top: float):
    table = curves(2)
    figure = operating_points.precision_recall(table.assign(precision=factor * table["precision"]))
    for ax in figure.axes:
        assert ax.get_ylim() == pytest.approx((0, 1.02 * top)) and ax.get_xlim() == (0, 1.02)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["0", f"{top / 2:g}", f"{top:g}"]
    nothing = operating_points.precision_recall(table.assign(precision=np.nan))
    assert nothing.axes[0].get_ylim() == (0, 1.02)
