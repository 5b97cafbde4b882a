"""Arms side by side, against plain NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter

from lusnb import cohort as cohorts
from lusnb import comparison
from lusnb.cohort import Cohort
from lusnb.predictions import Predictions

SIZE = 32
THRESHOLDS = [0.0, 0.5, 1.0]


@pytest.fixture(scope="module")
def part(cohort: Cohort) -> Cohort:
    """The phantom without the labels of one feature of two test clips: unknown there."""
    ids = cohort.clips.loc[cohort.clips["patient_id"].isin(cohort.patients_in("test")), "clip_id"][:2]
    gone = cohort.labels["clip_id"].isin(ids) & (cohort.labels["feature"] == "b_line")
    assert gone.sum() == 2
    return replace(cohort, labels=cohort.labels[~gone])


@pytest.fixture(scope="module")
def patients(part: Cohort) -> list[str]:
    return part.patients_in("test")


def predicted(part: Cohort, seed: int) -> Predictions:
    """Predictions that follow the labels loosely, with noise."""
    table = cohorts.labelled_frames(part)
    maps, _ = cohorts.confidence_of(part, table, SIZE)
    noise = np.random.default_rng(seed).integers(0, 256, maps.shape)
    levels = np.where(noise < 128, maps, noise // 2).astype(np.uint8)
    return Predictions(levels, np.zeros((0,), np.uint8), pd.DataFrame(), {})


@pytest.fixture(scope="module")
def opened(part: Cohort) -> dict:
    return {(arm, seed): predicted(part, 10 * k + seed) for k, arm in enumerate("ab") for seed in (0, 1)}


@pytest.fixture(scope="module")
def scores(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return comparison.across_all(part, patients, opened, "mean", THRESHOLDS)


@pytest.fixture(scope="module")
def levels(part: Cohort) -> dict[tuple[str, str], np.ndarray]:
    """Confidence of each label there is, from its own file: (clip, feature) -> uint8 (SIZE, SIZE)."""
    nearest = Image.Resampling.NEAREST
    return {
        (r.clip_id, r.feature): np.asarray(Image.open(part.folder / r.path).resize((SIZE, SIZE), nearest))
        for r in part.labels.itertuples()
    }


def naive_iou(guess: np.ndarray, level: np.ndarray | None, t: float) -> float:
    if level is None:
        return np.nan
    target = level > 0 if t == 0 else level >= 255 * t - 0.5
    return (guess & target).sum() / (guess | target).sum() if target.any() else np.nan


def test_iou_across_thresholds_is_plain_set_arithmetic(
    part: Cohort, patients: list[str], opened: dict, scores: pd.DataFrame, levels: dict
):
    mine = scores[(scores["arm"] == "b") & (scores["seed"] == 1)]
    order = sorted(part.clips["clip_id"])
    assert len(mine) == len(THRESHOLDS) * len(part.features) * part.clips["patient_id"].isin(patients).sum()
    want = []
    for r in mine.itertuples():
        guess = opened["b", 1].labelled[order.index(r.clip_id), part.features.index(r.feature)] >= 127.5
        want.append(naive_iou(guess, levels.get((r.clip_id, r.feature)), r.threshold))
    np.testing.assert_allclose(mine["value"], want, rtol=1e-6)
    assert 0 < mine["value"].isna().sum() < len(mine)
    assert set(mine["patient_id"]) == set(patients)


def test_unknown_features_have_no_score(part: Cohort, scores: pd.DataFrame):
    known = set(zip(part.labels["clip_id"], part.labels["feature"], strict=True))
    for row in scores[scores["feature"] == "b_line"].itertuples():
        if (row.clip_id, "b_line") not in known:
            assert np.isnan(row.value)


def test_the_images_that_count_do_not_depend_on_the_arm(scores: pd.DataFrame):
    counted = (
        scores.dropna(subset="value").groupby(["arm", "seed", "threshold", "feature"]).size().unstack([0, 1])
    )
    assert (counted.nunique(axis=1) == 1).all()


def plain_mean(rows: pd.DataFrame) -> float:
    """Mean over images within a patient, over patients, over features."""
    rows = rows.dropna(subset="value")
    by_feature = []
    for _, of_feature in rows.groupby("feature"):
        by_feature.append(
            np.mean([of_patient["value"].mean() for _, of_patient in of_feature.groupby("patient_id")])
        )
    return float(np.mean(by_feature))


def test_the_matrix_is_one_row_an_arm_and_one_column_a_threshold(scores: pd.DataFrame, patients: list[str]):
    table = comparison.matrix(scores, patients, ["b", "a"])
    assert (list(table.index), list(table.columns)) == (["b", "a"], THRESHOLDS)
    for arm in table.index:
        for t in THRESHOLDS:
            rows = scores[(scores["arm"] == arm) & (scores["threshold"] == t)]
            assert table.at[arm, t] == pytest.approx(plain_mean(rows), rel=1e-6)


def test_patient_values_are_means_over_a_patient_s_features(scores: pd.DataFrame, patients: list[str]):
    table = comparison.patient_values(scores, patients, 0.5)
    assert sorted(table.index) == sorted(patients)
    for patient in patients:
        rows = scores[
            (scores["patient_id"] == patient) & (scores["arm"] == "a") & (scores["threshold"] == 0.5)
        ]
        assert table.at[patient, "a"] == pytest.approx(plain_mean(rows), rel=1e-6)


@pytest.mark.parametrize("pixels", ["all", "band"])
def test_reliability_is_a_plain_histogram_of_known_pixels(
    part: Cohort, patients: list[str], opened: dict, pixels: str
):
    table = cohorts.labelled_frames(part)
    where = np.flatnonzero(table["patient_id"].isin(patients))
    maps, known = cohorts.confidence_of(part, table.iloc[where], SIZE)
    chosen = np.repeat(known[:, :, None, None], SIZE * SIZE).reshape(maps.shape)
    assert not chosen.all()
    if pixels == "band":  # within five pixels of a painted one
        chosen = chosen & (maximum_filter(maps, (1, 1, 11, 11)) > 0)
    p, c = opened["a", 0].labelled[where][chosen] / 255, maps[chosen] / 255
    place = np.minimum((p * 20 + 1e-9).astype(int), 19)
    curves = comparison.reliability(part, patients, "a", opened["a", 0], "mean")
    curve = curves[curves["pixels"] == pixels].set_index("bin")
    assert len(curve) == 20 and set(curve["arm"]) == {"a"}
    for k in range(20):
        inside = place == k
        assert curve.at[k, "count"] == inside.sum()
        if inside.any():
            assert curve.at[k, "predicted"] == pytest.approx(p[inside].mean())
            assert curve.at[k, "observed"] == pytest.approx(c[inside].mean())
        else:
            assert np.isnan(curve.at[k, "predicted"])


def test_reliability_of_all_arms_is_of_each_arm_s_first_seed(part: Cohort, patients: list[str], opened: dict):
    curves = comparison.reliability_all(part, patients, opened, "mean")
    assert list(dict.fromkeys(curves["arm"])) == ["a", "b"]
    want = [comparison.reliability(part, patients, arm, opened[arm, 0], "mean") for arm in "ab"]
    pd.testing.assert_frame_equal(curves, pd.concat(want, ignore_index=True))


def test_calibration_errors_by_hand():
    curve = {
        "bin": [0, 1, 2],
        "count": [10, 0, 30],
        "predicted": [0.1, np.nan, 0.9],
        "observed": [0.3, np.nan, 0.8],
    }
    curves = pd.concat(
        [
            pd.DataFrame(curve).assign(arm="a", pixels="all"),
            pd.DataFrame(curve).assign(arm="a", pixels="band", count=[10, 0, 10]),
        ]
    )
    table = comparison.calibration(curves).set_index("pixels")
    assert table.loc["all", ["ece", "ace", "mce"]].to_list() == pytest.approx([0.125, 0.15, 0.2])
    assert table.loc["band", ["ece", "ace", "mce"]].to_list() == pytest.approx([0.15, 0.15, 0.2])
