"""Pictures of several raters are drawn where they are told, from what they are given, or say why not."""

from collections.abc import Callable, Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from lusnb.compare import raters
from lusnb.report import looks
from lusnb.report import raters as report_raters
from lusnb.segment import harmonise

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def pairs() -> pd.DataFrame:
    """Two raters and two features, as raters.dice tells."""
    rows = [
        ("others", "b_line", "r", "", 0.5, 0.7, 2, 3, 0),
        ("others", "b_line", "s", "", 0.5, 0.6, 2, 3, 0),
        ("others", "a_line", "r", "", 0.5, 0.4, 2, 3, 0),
        ("others", "a_line", "s", "", 0.5, np.nan, 0, 0, 3),
        ("pair", "b_line", "r", "s", 0.5, 0.65, 2, 3, 0),
        ("pair", "a_line", "r", "s", 0.5, 0.5, 2, 3, 0),
    ]
    return pd.DataFrame(rows, columns=raters.DICE)


def alphas() -> pd.DataFrame:
    rows = [
        ("alpha", "b_line", 0.7, 2, 2, 3, 40, ""),
        ("alpha", "a_line", np.nan, 2, 2, 3, 0, "not defined: nobody painted it where two raters looked"),
    ]
    return pd.DataFrame(rows, columns=raters.ALPHA)


def maps() -> pd.DataFrame:
    """Two raters who say 40 and 80 % (102 and 204); r a little less sure than s."""
    rows = []
    for rater, low, high in (("r", 0.5, 0.9), ("s", 0.2, 0.6)):
        said = {0: 0.01, 102: low, 204: high}
        mapped = np.interp(range(256), [0, 102, 204], [0, low, high])
        rows += [(rater, "all", k, int(k in said) * 9, said.get(k, np.nan), mapped[k]) for k in range(256)]
    return pd.DataFrame(rows, columns=harmonise.MAPS)


def rights() -> pd.DataFrame:
    rows = [
        ("s", 0, 0.0, 0.01, 900),
        ("s", 80, 0.8, 0.6, 30),
        ("s", 40, 0.4, 0.2, 10),
        ("r", 40, 0.4, 0.4, 5),
    ]
    return pd.DataFrame(rows, columns=["rater", "level", "said", "share", "pixels"])


DRAWN = [
    (report_raters.dice, pairs),
    (report_raters.alpha, alphas),
    (report_raters.harmonisation, maps),
    (report_raters.reliability, rights),
]
EACH = pytest.mark.parametrize(("draw", "table"), DRAWN, ids=[draw.__name__ for draw, _ in DRAWN])


def words_of(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts).replace("\n", " ")


def points(ax: Axes, label: str) -> np.ndarray:
    """The markers of one rater, (n, 2), of a scatter or a line."""
    for found in ax.collections:
        if found.get_label() == label:
            return np.asarray(found.get_offsets())
    return next(line.get_xydata() for line in ax.lines if line.get_label() == label)


@EACH
def test_a_picture_is_drawn_on_the_axes_it_is_given(draw: Callable, table: Callable):
    figure, (left, right) = plt.subplots(1, 2)
    before = table()
    given = before.copy()
    assert draw(given, ax=left) is left
    assert left.get_xlabel() and not right.has_data()
    pd.testing.assert_frame_equal(given, before)  # left as it was
    plt.figure()
    assert draw(given) is plt.gca()
    figure.canvas.draw()


@EACH
def test_an_empty_table_is_said_in_a_sentence(draw: Callable, table: Callable):
    ax = draw(table().iloc[:0], ax=plt.subplots()[1])
    said = {
        "dice": "no image was labelled by two raters: nothing to compare",
        "alpha": "no feature: nothing to compare",
        "harmonisation": "no image was labelled by two raters: nothing to harmonise",
        "reliability": "no truth in this cohort: whether a rater is right is unknown",
    }
    assert words_of(ax) == said[draw.__name__] and not ax.axison
    assert report_raters.one(draw, table().iloc[:0]).get_figheight() < 1
    assert report_raters.one(draw, table()).get_figheight() > 3


def test_raters_keep_their_colour_and_marker_from_picture_to_picture():
    expected = report_raters.looks(["s", "r", "r"])
    assert expected == report_raters.looks(["", "r", "s"]) and list(expected) == ["r", "s"]
    assert [marker for _, marker in expected.values()] == ["o", "s"]
    assert {colour for colour, _ in expected.values()} <= set(looks.PALETTE)
    for draw, table in DRAWN[2:]:
        ax = draw(table(), ax=plt.subplots()[1])
        for rater, (colour, _) in expected.items():
            found = next(c for c in ax.collections if c.get_label() == rater)
            assert mpl.colors.to_hex(found.get_facecolor()[0]) == colour
    ax = report_raters.dice(pairs(), ax=plt.subplots()[1])
    for rater, (colour, marker) in expected.items():
        line = next(line for line in ax.lines if line.get_label() == rater)
        assert (line.get_color(), line.get_marker()) == (colour, marker)


def test_more_raters_than_colours_are_still_drawn():
    names = [f"r{k:02d}" for k in range(30)]
    assert len(report_raters.looks(names)) == 30


def test_dice_has_a_row_a_feature():
    ax = report_raters.dice(pairs(), ax=plt.subplots()[1])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b line", "a line"]
    assert ax.get_ylim() == (1.5, -0.5) and ax.get_xlim() == (0, 1)  # the first on top
    assert ax.get_xlabel() == "Dice of labels ≥ 50 %"
    at = points(ax, "r")
    assert at[:, 0].tolist() == [0.7, 0.4] and np.rint(at[:, 1]).tolist() == [0, 1]
    assert points(ax, "of any two raters")[:, 0].tolist() == [0.65, 0.5]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["r", "s", "of any two raters"]


def test_alpha_says_where_it_is_not_defined():
    ax = report_raters.alpha(alphas(), ax=plt.subplots()[1])
    assert "not defined: nobody painted it where two raters looked" in words_of(ax)
    assert "0.667" in words_of(ax) and "0.8" in words_of(ax)
    assert ax.get_xlim() == (0, 1)
    ax = report_raters.alpha(alphas().assign(value=[-0.3, np.nan]), ax=plt.subplots()[1])
    assert ax.get_xlim()[0] < -0.3


def test_harmonisation_shows_the_map_and_what_was_said():
    ax = report_raters.harmonisation(maps(), ax=plt.subplots()[1])
    np.testing.assert_allclose(points(ax, "r"), [[40, 50], [80, 90]])  # level 0 is left out
    line = ax.lines[1].get_xydata()
    np.testing.assert_allclose(line[[0, -1]], [[0, 0], [80, 90]])  # nothing beyond what was said
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [100, 100]]
    assert ax.get_xlabel() == "confidence said (%)" and "other raters (%)" in ax.get_ylabel()


def test_reliability_is_in_per_cent_of_what_was_painted():
    ax = report_raters.reliability(rights(), ax=plt.subplots()[1])
    np.testing.assert_allclose(points(ax, "s"), [[40, 20], [80, 60]])
    small, large = next(c for c in ax.collections if c.get_label() == "s").get_sizes()
    assert small < large  # 10 and 30 pixels
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["calibrated", "r", "s"]


def test_agreement_side_by_side_or_in_a_sentence():
    figure = report_raters.agreement(pairs(), alphas())
    assert [ax.get_xlabel().split()[0] for ax in figure.axes] == ["Krippendorff's", "Dice"]
    figure = report_raters.agreement(pairs().iloc[:0], alphas())
    assert words_of(figure.axes[0]) == "no image was labelled by two raters: nothing to compare"
