"""Common ground against plain NumPy, scikit-learn and MONAI; portions against the whole."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import maximum_filter
from sklearn.metrics import jaccard_score

from lusnb import cohort as cohorts
from lusnb import common
from lusnb.cohort import Cohort
from lusnb.held import Held
from tests.predicted import SIZE, held

nan = float("nan")


@pytest.fixture(scope="module")
def images(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return common.images(part, patients, opened, "mean", 0.5)


@pytest.fixture(scope="module")
def whole(part: Cohort, patients: list[str]) -> common.Ground:
    return next(common.grounds(part, patients, SIZE, "mean"))


def scores(images: pd.DataFrame, metric: str, shape: tuple[int, int], arm: str = "b") -> np.ndarray:
    rows = images[(images["arm"] == arm) & (images["seed"] == 1) & (images["metric"] == metric)]
    return rows["value"].to_numpy().reshape(shape)


# -- ground


def test_portions_are_the_whole(part: Cohort, patients: list[str], whole: common.Ground, monkeypatch):
    monkeypatch.setattr(common, "PORTION", 3 * len(part.features) * SIZE**2)
    portions = list(common.grounds(part, patients, SIZE, "mean"))
    assert {len(g.table) for g in portions[:-1]} == {3} and len(portions) > 2
    for name in ("where", "labels", "known", "truth", "true", "near"):
        joined = np.concatenate([getattr(g, name) for g in portions])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_ground_is_labels_truth_and_a_band(part: Cohort, patients: list[str], whole: common.Ground):
    table = cohorts.labelled_frames(part)
    assert list(whole.where) == list(np.flatnonzero(table["patient_id"].isin(patients)))
    assert whole.known.sum() == whole.known.size - 2 and whole.true.all()
    assert set(np.unique(whole.truth)) == {0, 255}
    np.testing.assert_array_equal(whole.near, maximum_filter(whole.labels, (1, 1, 11, 11)) > 0)
    assert len(whole.spacing) == len(whole.where)


def test_a_cohort_without_truth_has_none(part: Cohort, patients: list[str]):
    bare = replace(part, truth=part.truth[:0])
    ground = next(common.grounds(bare, patients, SIZE, "mean"))
    assert not ground.true.any()
    assert {name for _, name, _, _ in common.against(ground)} == {"labels"}
    assert "truth_iou" not in common.scores_of(held(part, 0).labelled[ground.where], ground, 0.5)


def test_arms_of_different_sizes_share_no_labels(opened: dict):
    small = np.zeros((26, 6, 16, 16), np.uint8)
    with pytest.raises(ValueError, match="expected one size for all arms.*a 32 px, .*c 16 px"):
        common.size_of({**opened, ("c", 0): Held(small, small)})
    assert common.size_of(opened) == SIZE


def test_no_held_out_label_stops_with_a_sentence(part: Cohort):
    with pytest.raises(
        ValueError, match="labels.csv: expected labelled frames of held-out patients, found none"
    ):
        common.placed(part, [])


# -- scores


def test_scores_are_scikit_learns_and_monais(
    part: Cohort, opened: dict, images: pd.DataFrame, whole: common.Ground
):
    levels = opened["b", 1].labelled[whole.where]
    found = {m: scores(images, m, whole.known.shape) for m in dict.fromkeys(images["metric"])}
    for n, k in np.ndindex(whole.known.shape):
        p, y = levels[n, k] >= 128, whole.labels[n, k] >= 127.5
        mine = {name: value[n, k] for name, value in found.items()}
        if not whole.known[n, k]:
            assert np.isnan([v for name, v in mine.items() if name != "truth_iou"]).all()
            continue
        want = jaccard_score(y.ravel(), p.ravel()) if y.any() else nan
        assert mine["iou"] == pytest.approx(want, nan_ok=True, abs=1e-6)
        assert mine["one_empty"] == (p.any() != y.any())
        true = whole.truth[n, k] > 0
        want = jaccard_score(true.ravel(), p.ravel()) if true.any() else nan
        assert mine["truth_iou"] == pytest.approx(want, nan_ok=True, abs=1e-6)
        dice = [
            2 * (a & b).sum() / (a.sum() + b.sum()) if (a | b).any() else 1.0
            for a, b in levels_of(n, k, levels, whole)
        ]
        assert mine["level_dice"] == pytest.approx(np.mean(dice), abs=1e-6)
        a, b = (torch.from_numpy(m)[None, None].float() for m in (p, y))
        mm = list(whole.spacing[n])
        if p.any() and y.any():
            surface = compute_surface_dice(a, b, [1.0], include_background=True, spacing=mm).item()
            far = compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=mm).item()
            assert mine["surface_dice"] == pytest.approx(surface, abs=1e-6)
            assert mine["hausdorff95"] == pytest.approx(far, rel=1e-5)
        else:
            assert np.isnan(mine["hausdorff95"])
            assert mine["surface_dice"] == pytest.approx(0.0 if y.any() else nan, nan_ok=True)
    assert np.isfinite(found["hausdorff95"]).sum() > 5 and np.isnan(found["iou"]).sum() > 2


def levels_of(n: int, k: int, levels: np.ndarray, ground: common.Ground) -> list[tuple]:
    cuts = [25.5 * tenth - 0.5 for tenth in range(1, 10)]
    return [(levels[n, k] >= cut - 1e-3, ground.labels[n, k] >= cut - 1e-3) for cut in cuts]


def test_an_empty_prediction_and_no_scale_by_hand(whole: common.Ground):
    labelled = (whole.labels >= 127.5).any((-2, -1)) & whole.known
    nothing = common.scores_of(np.zeros_like(whole.labels), whole, 0.5)
    assert (nothing["surface_dice"][labelled] == 0).all() and (nothing["iou"][labelled] == 0).all()
    assert np.isnan(nothing["hausdorff95"]).all()
    assert nothing["one_empty"][whole.known].sum() == labelled.sum()
    unscaled = replace(whole, spacing=[(nan, nan)] * len(whole.spacing))
    found = common.scores_of(whole.labels, unscaled, 0.5)
    assert np.isnan(found["surface_dice"]).all() and np.isnan(found["hausdorff95"]).all()
    assert (found["iou"][labelled] == 1).all()


def test_images_are_tidy_arm_by_arm_whatever_the_portion(
    part: Cohort, patients: list[str], opened: dict, images: pd.DataFrame, monkeypatch
):
    assert list(images) == ["arm", "seed", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    assert list(dict.fromkeys(zip(images["arm"], images["seed"], strict=True))) == list(opened)
    assert set(images["patient_id"]) == set(patients)
    monkeypatch.setattr(common, "PORTION", 1)
    pd.testing.assert_frame_equal(common.images(part, patients, opened, "mean", 0.5), images)


# -- reliability


@pytest.fixture(scope="module")
def counted(part: Cohort, patients: list[str], opened: dict) -> dict:
    return common.counts(part, patients, opened, "mean")


@pytest.mark.parametrize("pixels", ["all", "band"])
@pytest.mark.parametrize("scaled", ["raw", "tempered"])
@pytest.mark.parametrize("name", ["labels", "truth"])
def test_reliability_is_a_plain_histogram_of_known_pixels(
    part: Cohort, opened: dict, counted: dict, whole: common.Ground, pixels: str, scaled: str, name: str
):
    stored = {"raw": opened["a", 0].labelled, "tempered": opened["a", 0].tempered}[scaled][whole.where]
    label, known = {"labels": (whole.labels, whole.known), "truth": (whole.truth, whole.true)}[name]
    chosen = np.repeat(known[:, :, None, None], SIZE * SIZE).reshape(label.shape)
    chosen = chosen & whole.near if pixels == "band" else chosen
    curves = common.curves({key: n for key, n in counted.items() if key[:2] == ("a", 0)}, part.features)
    curves = curves.query("pixels == @pixels and scaled == @scaled and against == @name")
    for feature in ("all", "b_line"):
        own = chosen if feature == "all" else chosen[:, [5]]
        p, c = ((a if feature == "all" else a[:, [5]])[own] / 255 for a in (stored, label))
        place = np.minimum((p * 20 + 1e-9).astype(int), 19)
        curve = curves[curves["feature"] == feature].set_index("bin")
        assert len(curve) == 20
        assert curve["count"].to_list() == np.bincount(place, minlength=20).tolist()
        for k in range(20):
            if (place == k).any():
                assert curve.at[k, "predicted"] == pytest.approx(p[place == k].mean())
                assert curve.at[k, "observed"] == pytest.approx(c[place == k].mean())
            else:
                assert np.isnan(curve.at[k, "predicted"]) and np.isnan(curve.at[k, "observed"])


def test_counts_of_portions_add_up(
    part: Cohort, patients: list[str], opened: dict, counted: dict, monkeypatch
):
    monkeypatch.setattr(common, "PORTION", 1)
    again = common.counts(part, patients, opened, "mean")
    assert list(again) == list(counted)
    assert list(dict.fromkeys(key[:2] for key in counted)) == list(opened)
    for key, sums in counted.items():
        np.testing.assert_allclose(again[key], sums, rtol=1e-12)
