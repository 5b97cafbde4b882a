"""Precision and recall at every cut, against scikit-learn; the two points where an arm stands, by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve, precision_score, recall_score

from lusnb.cohort.cohort import Cohort
from lusnb.compare import ground as compare_ground
from lusnb.compare import precision_recall
from lusnb.compare.finished import Held
from tests.predicted import SIZE


@pytest.fixture(scope="module")
def table(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return precision_recall.curves(part, patients, opened, "mean", 0.5)


@pytest.fixture(scope="module")
def ground(part: Cohort, patients: list[str]) -> compare_ground.Ground:
    return next(compare_ground.grounds(part, patients, SIZE, "mean"))


def of(table: pd.DataFrame, arm: str, seed: int, against: str, feature: str) -> pd.DataFrame:
    return table.query("arm == @arm and seed == @seed and against == @against and feature == @feature")


def pixels(ground: compare_ground.Ground, against: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a feature, bool (n, SIZE, SIZE), of the images where it is known, and which these are."""
    y, known = {
        "labels": (ground.labels >= 127.5, ground.known),
        "truth": (ground.truth > 0, ground.true),
    }[against]
    return y[known[:, k], k], known[:, k]


def test_the_table_is_tidy_and_holds_every_arm_seed_feature_and_both_points(
    part: Cohort, opened: dict, table: pd.DataFrame
):
    assert list(table) == precision_recall.COLUMNS
    keys = table.drop_duplicates(["arm", "seed", "against", "feature"])
    assert len(keys) == len(opened) * 2 * len(part.features)
    points = table[table["point"] != ""].groupby(["arm", "seed", "against", "feature"])["point"].apply(list)
    assert (points.map(tuple) == ("own", "fixed")).all()
    assert table.query("point == ''")["level"].between(1, 255).all()


@pytest.mark.parametrize("against", ["labels", "truth"])
def test_the_curve_is_scikit_learns_at_every_level_that_a_pixel_has(
    part: Cohort, opened: dict, table: pd.DataFrame, ground: compare_ground.Ground, against: str
):
    for k, feature in enumerate(part.features):
        y, known = pixels(ground, against, k)
        levels = opened["b", 1].labelled[ground.where][known, k]
        precision, recall, at = precision_recall_curve(y.ravel(), levels.ravel())
        want = pd.DataFrame({"precision": precision[:-1], "recall": recall[:-1]}, index=at)
        mine = of(table, "b", 1, against, feature).query("point == ''").set_index("level")
        want = want[want.index > 0]  # no cut lies at 0: it would draw every pixel
        assert mine.index.to_list() == want.index.to_list() and len(mine) > 50
        np.testing.assert_allclose(mine[["precision", "recall"]], want, rtol=1e-12)


@pytest.mark.parametrize("against", ["labels", "truth"])
def test_the_points_are_those_of_the_masks_that_are_drawn(
    part: Cohort, opened: dict, table: pd.DataFrame, ground: compare_ground.Ground, against: str
):
    """Of the own one each frame at the cut of the fold that held it out, all pixels in one."""
    for (arm, seed), said in opened.items():
        cuts = said.cuts[ground.where]
        assert len(set(cuts)) > 3
        for k, feature in enumerate(part.features):
            y, known = pixels(ground, against, k)
            levels = said.labelled[ground.where][known, k]
            masks = {"own": levels >= cuts[known, None, None], "fixed": levels >= 128}
            points = of(table, arm, seed, against, feature).query("point != ''").set_index("point")
            for name, drawn in masks.items():
                assert points.at[name, "precision"] == pytest.approx(
                    precision_score(y.ravel(), drawn.ravel())
                )
                assert points.at[name, "recall"] == pytest.approx(recall_score(y.ravel(), drawn.ravel()))
            assert points["level"].to_dict() == {"own": 0, "fixed": 128}  # folds disagree: no one level


def test_the_own_point_of_one_cut_lies_on_the_curve(part: Cohort, patients: list[str], opened: dict):
    levels = opened["a", 0].labelled
    one = {("a", 0): replace(opened["a", 0], cuts=np.full(len(levels), 101, np.uint8))}
    table = precision_recall.curves(part, patients, one, "mean", 0.5)
    for feature in part.features:
        own = of(table, "a", 0, "labels", feature)
        point = own.query("point == 'own'").iloc[0]
        curve = own.query("point == ''")
        first = curve[curve["level"] >= 101].iloc[0]  # the next level that a pixel has draws the same
        assert point["level"] == 101
        assert (point["precision"], point["recall"]) == (first["precision"], first["recall"])


def test_folds_with_different_cuts_elsewhere_do_not_matter(
    part: Cohort, patients: list[str], opened: dict, ground: compare_ground.Ground
):
    """Only the held-out frames that are measured decide whether the folds agree."""
    cuts = np.full(len(opened["a", 0].cuts), 7, np.uint8)
    cuts[ground.where] = 99
    table = precision_recall.curves(
        part, patients, {("a", 0): replace(opened["a", 0], cuts=cuts)}, "mean", 0.5
    )
    assert set(table.query("point == 'own'")["level"]) == {99}


def drawn_by_hand(labels: list, levels: list, known: list, cuts: list) -> tuple[compare_ground.Ground, Held]:
    """Four images of one row of four pixels, one feature."""
    y, p = (np.array(a, np.uint8).reshape(-1, 1, 1, 4) for a in (labels, levels))
    nothing, n = np.zeros(y.shape, bool), len(y)
    ground = compare_ground.Ground(
        pd.DataFrame(index=range(n)), np.arange(n), y, np.array(known)[:, None], np.zeros_like(y),
        np.zeros((n, 1), bool), nothing, nothing, [(1.0, 1.0)] * n,
    )  # fmt: skip
    return ground, Held(p, p, np.array(cuts, np.uint8))


def by_hand(monkeypatch, part: Cohort, **arrays: list) -> pd.DataFrame:
    ground, said = drawn_by_hand(**arrays)
    monkeypatch.setattr(compare_ground, "grounds", lambda *_: iter([ground]))
    monkeypatch.setattr(compare_ground, "placed", lambda *_: (ground.table, ground.where))
    return precision_recall.curves(replace(part, features=("one",)), [], {("a", 0): said}, "mean", 0.5)


def test_two_points_by_hand(part: Cohort, monkeypatch):
    """A label of two pixels (127 is 50 % to half a step), an empty image that is painted, an unknown one."""
    table = by_hand(
        monkeypatch, part,
        labels=[[255, 127, 126, 0], [0, 0, 0, 0], [255, 255, 255, 255]],
        levels=[[200, 100, 130, 20], [150, 90, 0, 0], [255, 255, 255, 255]],
        known=[True, True, False],
        cuts=[100, 160, 1],
    )  # fmt: skip
    points = table[table["point"] != ""].set_index("point")
    assert set(table["against"]) == {"labels"}
    # own: 200, 100, 130 of the first at 100; nothing of the second at 160. fixed: 200, 130 and 150
    assert points.loc["own", ["precision", "recall"]].to_list() == pytest.approx([2 / 3, 2 / 2])
    assert points.loc["fixed", ["precision", "recall"]].to_list() == pytest.approx([1 / 3, 1 / 2])
    curve = table[table["point"] == ""]
    assert curve["level"].to_list() == [20, 90, 100, 130, 150, 200]
    assert curve["precision"].to_list() == pytest.approx([2 / 6, 2 / 5, 2 / 4, 1 / 3, 1 / 2, 1])
    assert curve["recall"].to_list() == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5])


def test_nothing_labelled_has_no_recall_and_nothing_drawn_no_precision(part: Cohort, monkeypatch):
    same = {"known": [True], "cuts": [60]}
    table = by_hand(monkeypatch, part, labels=[[0, 0, 0, 0]], levels=[[50, 70, 0, 0]], **same)
    points = table[table["point"] != ""].set_index("point")
    assert table["recall"].isna().all()
    assert points.at["own", "precision"] == 0 and np.isnan(points.at["fixed", "precision"])
    table = by_hand(monkeypatch, part, labels=[[255, 0, 0, 0]], levels=[[0, 0, 0, 0]], **same)
    assert table["point"].to_list() == ["own", "fixed"]  # no level to cut at: no curve
    assert table["precision"].isna().all() and (table["recall"] == 0).all()


def test_a_feature_that_nobody_looked_at_has_points_without_numbers(part: Cohort, monkeypatch):
    table = by_hand(monkeypatch, part, labels=[[255] * 4], levels=[[200] * 4], known=[False], cuts=[9])
    assert table["point"].to_list() == ["own", "fixed"]
    assert table[["precision", "recall"]].isna().all(axis=None)


def test_portions_add_up_and_a_cohort_without_truth_has_labels_alone(
    part: Cohort, patients: list[str], opened: dict, table: pd.DataFrame, monkeypatch
):
    monkeypatch.setattr(compare_ground, "PORTION", 1)
    one = {("a", 0): opened["a", 0]}
    again = precision_recall.curves(part, patients, one, "mean", 0.5)
    want = table.query("arm == 'a' and seed == 0").reset_index(drop=True)
    order = ["against", "feature", "point", "level"]
    pd.testing.assert_frame_equal(*(t.sort_values(order, ignore_index=True) for t in (again, want)))
    bare = replace(part, truth=part.truth[:0])
    assert set(precision_recall.curves(bare, patients, one, "mean", 0.5)["against"]) == {"labels"}


def test_labels_are_cut_where_the_study_compares(part: Cohort, patients: list[str], opened: dict):
    """At 100 % the labels shrink: less to find, so that no precision rises."""
    one = {("a", 0): opened["a", 0]}
    half, all_of_it = (precision_recall.curves(part, patients, one, "mean", t) for t in (0.5, 1.0))
    points = [t.query("point == 'own' and against == 'labels'")["precision"] for t in (half, all_of_it)]
    assert (points[1].to_numpy() <= points[0].to_numpy()).all() and (points[1] < points[0]).any()
    truth = [t.query("against == 'truth'").reset_index(drop=True) for t in (half, all_of_it)]
    pd.testing.assert_frame_equal(*truth)  # which the threshold of the labels does not move
