"""What the comparison of arms claims: the order of probabilities alone counts, one estimand, false paint.

Each is recomputed here by other means than the package's own averages.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import arms as compare_arms
from lusnb.compare import ground as compare_ground
from lusnb.compare import precision_recall, reliability
from lusnb.compare.finished import Held
from lusnb.report import tables
from lusnb.segment import averages, cuts
from tests.predicted import SIZE, arms, held

AS_THEY_ARE = ("level_dice", "level_dice_empty", "level_dice_marked")  # these read probabilities, at no cut
MASKS = ("iou", "surface_dice", "hausdorff95", "missed", "painted_empty", "false_area_mm2")
OF_TRUTH = ("truth_iou", "truth_painted_empty", "truth_false_area_mm2")


def fitted(levels: np.ndarray, cohort: Cohort) -> Held:
    """A prediction with the cut that fits the labels of the validation patients."""
    table = cohorts.labelled_frames(cohort)
    where = np.flatnonzero(table["patient_id"].isin(cohort.patients_in("validation")))
    maps, known = arrays.confidence_of(cohort, table, SIZE)
    y = confidence.targets(maps[where] / 255, 0.5)
    cut, _ = cuts.best(cuts.counts(*map(torch.from_numpy, (levels[where], y, known[where]))))
    return Held(levels, levels, np.full(len(levels), cut, np.uint8))


# -- order alone counts


@pytest.fixture(scope="module")
def plain(part: Cohort) -> dict:
    """Two arms of 64 different probabilities, each at the cut that validates best; a is the better one."""
    a, b = (held(part, seed).labelled // 4 * 4 for seed in (0, 1))
    noise = np.random.default_rng(2).random(b.shape) < 0.03
    return {("a", 0): fitted(a, part), ("b", 0): fitted(np.where(noise, 255 - b, b) // 4 * 4, part)}


@pytest.fixture(scope="module")
def squeezed(part: Cohort, plain: dict) -> dict:
    """The same two; what a says is changed by a strictly monotone function that stays under 0.5."""
    there = np.unique(plain["a", 0].labelled)
    low = np.sort(np.random.default_rng(3).choice(np.arange(1, 127), len(there) - 1, replace=False))
    change = np.zeros(256, np.uint8)
    change[there] = [0, *low]
    assert (np.diff(change[there].astype(int)) > 0).all()
    return {("a", 0): fitted(change[plain["a", 0].labelled], part), ("b", 0): plain["b", 0]}


@pytest.fixture(scope="module")
def everything(part: Cohort, plain: dict, squeezed: dict) -> tuple[dict, dict]:
    """All tables that notebook 04 makes of masks, before and after the change."""
    patients, rng = part.patients_in("test"), np.random.default_rng
    found = []
    for opened in (plain, squeezed):
        images = compare_arms.images(part, patients, opened, "mean", 0.5)
        by_patient = averages.patient_scores(images, patients)
        errors = reliability.calibration_errors(
            reliability.curves(reliability.counts(part, patients, opened, "mean"), part.features)
        )
        across = {
            fixed: compare_arms.across_all(part, patients, opened, "mean", [0.0, 0.5, 1.0], fixed)
            for fixed in (False, True)
        }
        found.append(
            {
                "images": images,
                "ranking": compare_arms.ranking(images, errors, arms("ab"), patients).set_index("arm"),
                "intervals": compare_arms.intervals(by_patient, rng(0)),
                "differences": compare_arms.differences(by_patient, arms("ab"), rng(0)),
                "matrix": {k: compare_arms.matrix(v, patients, ["a", "b"]) for k, v in across.items()},
                "curves": precision_recall.curves(part, patients, opened, "mean", 0.5),
            }
        )
    return tuple(found)


def own(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of scores of masks at the arm's own cut."""
    return table[~table["metric"].str.endswith("_fixed") & ~table["metric"].isin(AS_THEY_ARE)]


def test_a_monotone_change_of_probabilities_changes_no_score_at_the_own_cut(everything: tuple):
    before, after = everything
    for name in ("images", "intervals", "differences"):
        kept = own(before[name])
        assert len(kept) > 1 and kept.notna().any(axis=None)
        pd.testing.assert_frame_equal(own(after[name]), kept, check_exact=True)
    columns = [*MASKS, *OF_TRUTH, "pooled_iou", "truth_pooled_iou"]
    pd.testing.assert_frame_equal(after["ranking"][columns], before["ranking"][columns], check_exact=True)
    pd.testing.assert_frame_equal(after["matrix"][False], before["matrix"][False], check_exact=True)
    points = [
        table.query("point == 'own'").drop(columns="level") for table in (t["curves"] for t in everything)
    ]
    pd.testing.assert_frame_equal(*points, check_exact=True)
    assert points[0]["recall"].notna().all()


def test_the_same_change_turns_the_ranking_round_at_a_half(everything: tuple):
    """What is under 0.5 everywhere draws nothing there, though it orders pixels as before."""
    before, after = everything
    for metric in ("iou", "truth_iou", "pooled_iou", "truth_pooled_iou", "surface_dice"):
        for table, end, first in (
            (before, "", "a"),
            (after, "", "a"),
            (before, "_fixed", "a"),
            (after, "_fixed", "b"),
        ):
            assert table["ranking"][f"{metric}{end}"].idxmax() == first, (metric, end)
    assert (after["ranking"].at["a", "missed_fixed"], after["ranking"].at["a", "missed"] < 1) == (1, True)
    tested = [t["differences"].set_index("metric")["difference"] for t in everything]
    assert (np.sign(tested[0]) == -1).all()  # b less a
    assert np.sign(tested[1]).to_dict() == {
        "iou": -1, "truth_iou": -1, "iou_fixed": 1, "truth_iou_fixed": 1,
    }  # fmt: skip
    assert (after["matrix"][True].loc["a"] == 0).all() and (before["matrix"][True].loc["a"] > 0).all()
    fixed = after["curves"].query("point == 'fixed' and arm == 'a'")
    assert (fixed["recall"] == 0).all() and fixed["precision"].isna().all()
    same = [t["images"].query("arm == 'b'") for t in everything]  # the arm that was left as it is
    pd.testing.assert_frame_equal(*same)


# -- one estimand


@pytest.fixture(scope="module")
def uneven(cohort: Cohort) -> Cohort:
    """Patients lack features: one has no B lines, one three features of six, one five on a frame."""
    labels, names = cohort.labels, list(cohort.patients["patient_id"])
    patient = labels["clip_id"].map(cohort.clips.set_index("clip_id")["patient_id"])
    first = labels.groupby(patient)["clip_id"].transform("min") == labels["clip_id"]
    gone = (patient == names[0]) & (labels["feature"] == "b_line")
    gone |= (patient == names[1]) & labels["feature"].isin(["a_line", "sub_a_line", "b_line"])
    gone |= (patient == names[2]) & first & (labels["feature"] == "fascia_band")
    return replace(cohort, labels=labels[~gone].reset_index(drop=True))


@pytest.fixture(scope="module")
def three(uneven: Cohort) -> dict:
    """Two arms of two seeds and one that draws nothing."""
    opened = {(arm, seed): held(uneven, 10 * k + seed) for k, arm in enumerate("ab") for seed in (0, 1)}
    nothing = np.zeros_like(opened["a", 0].labelled)
    silent = Held(nothing, nothing, np.full(len(nothing), 128, np.uint8))
    return opened | {("silent", seed): silent for seed in (0, 1)}


@pytest.fixture(scope="module")
def rows(uneven: Cohort, three: dict) -> pd.DataFrame:
    return compare_arms.images(uneven, list(uneven.patients["patient_id"]), three, "mean", 0.5)


def three_arms() -> pd.DataFrame:
    return arms("abs").rename(index={"s": "silent"}).rename_axis("arm")


def by_hand(rows: pd.DataFrame, arm: str, metric: str) -> dict[str, float]:
    """Each patient's score, plain Python: images, a feature's mean, the mean of these."""
    kept: dict[str, dict[str, list]] = {}
    for row in rows[(rows["arm"] == arm) & (rows["metric"] == metric)].itertuples():
        if not np.isnan(row.value):
            kept.setdefault(row.patient_id, {}).setdefault(row.feature, []).append(row.value)
    means = {p: [sum(v) / len(v) for v in of.values()] for p, of in kept.items()}
    return {p: sum(v) / len(v) for p, v in means.items()}


def test_table_interval_and_test_are_of_one_estimand(rows: pd.DataFrame, uneven: Cohort):
    patients, rng = list(uneven.patients["patient_id"]), np.random.default_rng(0)
    by_patient = averages.patient_scores(rows, patients)
    curves = pd.DataFrame(columns=[*reliability.CURVES, "ece", "ace", "mce"])
    ranking = compare_arms.ranking(rows, curves, three_arms(), patients).set_index("arm")
    centres = compare_arms.intervals(by_patient, rng).set_index(["arm", "metric"])
    tested = compare_arms.differences(by_patient, three_arms(), rng).set_index(["metric", "arm"])
    table1 = tables.segmentation(rows.assign(fold=0), patients, three_arms()).set_index("arm")
    for arm in three_arms().index:
        for metric in compare_arms.RANKED:
            score = np.mean(list(by_hand(rows, arm, metric).values()))
            assert ranking.at[arm, metric] == pytest.approx(score, rel=1e-12, abs=1e-12), metric
            assert centres.at[(arm, metric), "mean"] == pytest.approx(score, rel=1e-12, abs=1e-12), metric
        for metric in set(tables.TABLE1) & set(compare_arms.RANKED):
            assert table1.at[arm, metric] == pytest.approx(ranking.at[arm, metric], rel=1e-12, abs=1e-12)
        for metric in compare_arms.TESTED if arm != "a" else ():
            less = ranking.at[arm, metric] - ranking.at["a", metric]
            one, other = (by_hand(rows, name, metric) for name in (arm, "a"))
            assert one.keys() == other.keys() and len(one) == 6
            assert tested.at[(metric, arm), "difference"] == pytest.approx(less, rel=1e-12, abs=1e-12)
            assert tested.at[(metric, arm), "patients"] == 6


def test_the_other_order_of_averages_is_another_number_here(rows: pd.DataFrame, uneven: Cohort):
    """Otherwise the test above could not tell them apart: features first, or patients first."""
    other = averages.feature_means(rows, list(uneven.patients["patient_id"]))
    other = other.groupby(["arm", "metric"])["value"].mean()
    for metric in ("iou", "hausdorff95"):
        assert abs(other["b", metric] - np.mean(list(by_hand(rows, "b", metric).values()))) > 1e-3


def test_who_draws_nothing_is_farthest_off_not_nearest(rows: pd.DataFrame, uneven: Cohort, three: dict):
    patients = list(uneven.patients["patient_id"])
    means = averages.macro(rows, patients)
    for end in ("", "_fixed"):
        assert means[f"hausdorff95{end}"].idxmax() == "silent"
        assert means[f"surface_dice{end}"].idxmin() == "silent" and means.at["silent", f"missed{end}"] == 1
    # all but one label left out, and that one drawn to the pixel: near zero where it counted alone
    maps, _ = arrays.confidence_of(uneven, cohorts.labelled_frames(uneven), SIZE)
    lazy = np.zeros_like(maps)
    lazy[:, 0] = maps[:, 0]
    opened = {("a", 0): three["a", 0], ("lazy", 0): Held(lazy, lazy, np.full(len(lazy), 128, np.uint8))}
    found = averages.macro(compare_arms.images(uneven, patients, opened, "mean", 0.5), patients)
    assert found.at["lazy", "hausdorff95"] > found.at["a", "hausdorff95"] > 0


# -- false positives on common ground


@pytest.fixture(scope="module")
def painted(part: Cohort) -> dict:
    """An arm that draws the labels, and one that also paints a block where there is none to find."""
    maps, known = arrays.confidence_of(part, cohorts.labelled_frames(part), SIZE)
    truth, _ = arrays.confidence_of(part, cohorts.labelled_frames(part), SIZE, source="truth")
    empty = known & ~(maps >= 128).any((-2, -1)) & ~(truth > 0).any((-2, -1))
    assert empty.sum() > 3
    more = maps.copy()
    more[empty, 4:9, 4:8] = 255
    half = np.full(len(maps), 128, np.uint8)
    return {("sober", 0): Held(maps, maps, half), ("eager", 0): Held(more, more, half)}


def test_paint_where_nothing_is_costs_what_counts_it_on_the_same_images(part: Cohort, painted: dict):
    patients = list(part.patients["patient_id"])
    images = compare_arms.images(part, patients, painted, "mean", 0.5)
    table = arms("se").rename(index={"s": "sober", "e": "eager"}).rename_axis("arm")
    errors = reliability.calibration_errors(
        reliability.curves(reliability.counts(part, patients, painted, "mean"), part.features)
    )
    found = compare_arms.ranking(images, errors, table, patients).set_index("arm")
    counted = found[["label_images", "empty_images", "patients"]]
    assert (counted.loc["sober"] == counted.loc["eager"]).all() and (counted > 0).all(axis=None)
    for metric in ("iou", "surface_dice", "hausdorff95", "missed", "truth_iou"):
        assert found.at["sober", metric] == found.at["eager", metric], metric
    for end in ("", "_fixed"):
        for metric in ("painted_empty", "false_area_mm2", "truth_painted_empty", "truth_false_area_mm2"):
            assert found.at["eager", metric + end] > found.at["sober", metric + end], metric
        assert found.at["sober", f"painted_empty{end}"] == found.at["sober", f"false_area_mm2{end}"] == 0
        assert found.at["sober", f"pooled_iou{end}"] == 1 > found.at["eager", f"pooled_iou{end}"]
        assert found.at["eager", f"truth_pooled_iou{end}"] < found.at["sober", f"truth_pooled_iou{end}"]
    images = images[images["metric"] == "painted_empty"].dropna(subset="value")
    same = images.groupby("arm")[["clip_id", "frame", "feature"]].apply(
        lambda g: set(g.itertuples(index=False))
    )
    assert set(map(tuple, same["sober"])) == set(map(tuple, same["eager"]))


def test_paint_where_nothing_is_costs_precision_and_no_recall(part: Cohort, painted: dict):
    table = precision_recall.curves(part, list(part.patients["patient_id"]), painted, "mean", 0.5)
    points = table.query("point == 'own'").pivot(index=["against", "feature"], columns="arm")
    assert points["recall", "sober"].equals(points["recall", "eager"])
    less = points["precision", "eager"] < points["precision", "sober"]
    assert less.loc["labels"].any() and (points["precision", "eager"] <= points["precision", "sober"]).all()


def test_the_pooled_iou_is_that_of_all_images_in_one(part: Cohort, opened: dict):
    """Scikit-learn's, on the pixels of all known images of a feature laid end to end; seeds too."""
    from sklearn.metrics import jaccard_score

    patients = part.patients_in("test")
    found = compare_arms.pooled_iou(compare_arms.images(part, patients, opened, "mean", 0.5))
    ground = next(compare_ground.grounds(part, patients, SIZE, "mean"))
    for of, y, known in (
        ("", ground.labels >= 127.5, ground.known),
        ("truth_", ground.truth > 0, ground.true),
    ):
        for end in ("", "_fixed"):
            scores = []
            for k in range(len(part.features)):
                two = [opened["b", seed] for seed in (0, 1)]
                drawn = [h.labelled[ground.where] >= 128 if end else h.masks(ground.where) for h in two]
                p = np.concatenate([d[known[:, k], k].ravel() for d in drawn])
                truth = np.tile(y[known[:, k], k].ravel(), 2)
                if truth.any():
                    scores.append(jaccard_score(truth, p))
            assert found.at["b", f"{of}pooled_iou{end}"] == pytest.approx(np.mean(scores), rel=1e-12)
