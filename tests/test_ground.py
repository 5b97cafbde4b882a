"""Common ground against plain NumPy, scikit-learn and MONAI; portions against the whole."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import binary_dilation, maximum_filter
from sklearn.metrics import jaccard_score

from lusnb import calibration
from lusnb.cohort import cohort
from lusnb.cohort.cohort import Cohort
from lusnb.compare import arms, reliability
from lusnb.compare import ground as compare_ground
from lusnb.compare.finished import Held
from lusnb.segment import metrics as segment_metrics
from tests.predicted import SIZE, held

nan = float("nan")


@pytest.fixture(scope="module")
def images(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return arms.images(part, patients, opened, "mean", 0.5)


@pytest.fixture(scope="module")
def whole(part: Cohort, patients: list[str]) -> compare_ground.Ground:
    return next(compare_ground.grounds(part, patients, SIZE, "mean"))


def scores(images: pd.DataFrame, metric: str, shape: tuple[int, int], arm: str = "b") -> np.ndarray:
    rows = images[(images["arm"] == arm) & (images["seed"] == 1) & (images["metric"] == metric)]
    return rows["value"].to_numpy().reshape(shape)


# -- ground


def test_portions_are_the_whole(part: Cohort, patients: list[str], whole: compare_ground.Ground, monkeypatch):
    monkeypatch.setattr(compare_ground, "PORTION", 3 * len(part.features) * SIZE**2)
    portions = list(compare_ground.grounds(part, patients, SIZE, "mean"))
    assert {len(g.table) for g in portions[:-1]} == {3} and len(portions) > 2
    for name in ("where", "labels", "known", "truth", "true", "near", "near_truth"):
        joined = np.concatenate([getattr(g, name) for g in portions])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_ground_is_labels_truth_and_a_band(part: Cohort, patients: list[str], whole: compare_ground.Ground):
    table = cohort.labelled_frames(part)
    assert list(whole.where) == list(np.flatnonzero(table["patient_id"].isin(patients)))
    assert whole.known.sum() == whole.known.size - 2 and whole.true.all()
    assert set(np.unique(whole.truth)) == {0, 255}
    np.testing.assert_array_equal(whole.near, maximum_filter(whole.labels, (1, 1, 11, 11)) > 0)
    either = np.maximum(whole.labels, whole.truth)
    np.testing.assert_array_equal(whole.near_truth, maximum_filter(either, (1, 1, 11, 11)) > 0)
    assert len(whole.spacing) == len(whole.where)


def test_a_cohort_without_truth_has_none(part: Cohort, patients: list[str]):
    bare = replace(part, truth=part.truth[:0])
    ground = next(compare_ground.grounds(bare, patients, SIZE, "mean"))
    assert not ground.true.any()
    assert {name for _, name, _, _ in reliability.against(ground)} == {"labels"}
    np.testing.assert_array_equal(ground.near_truth, ground.near)
    assert not [name for name in arms.scores_of(held(part, 0), ground, 0.5) if name.startswith("truth_")]


def test_arms_of_different_sizes_share_no_labels(opened: dict):
    small = np.zeros((26, 6, 16, 16), np.uint8)
    with pytest.raises(ValueError, match="expected one size for all arms.*a 32 px, .*c 16 px"):
        compare_ground.size_of({**opened, ("c", 0): Held(small, small, np.full(26, 128, np.uint8))})
    assert compare_ground.size_of(opened) == SIZE


def test_no_held_out_label_stops_with_a_sentence(part: Cohort):
    with pytest.raises(
        ValueError, match="labels.csv: expected labelled frames of held-out patients, found none"
    ):
        compare_ground.placed(part, [])


# -- scores


@pytest.mark.parametrize("end", ["", "_fixed"])
def test_scores_are_scikit_learns_and_monais_at_both_cuts(
    part: Cohort, opened: dict, images: pd.DataFrame, whole: compare_ground.Ground, end: str
):
    """At the cut of the training that held the frame out, which differs from frame to frame, and at 0.5."""
    levels, cuts = opened["b", 1].labelled[whole.where], opened["b", 1].cuts[whole.where]
    assert len(set(cuts)) > 3
    found = {m: scores(images, m, whole.known.shape) for m in dict.fromkeys(images["metric"])}
    for n, k in np.ndindex(whole.known.shape):
        p = levels[n, k] >= (128 if end else cuts[n])
        y, true = whole.labels[n, k] >= 127.5, whole.truth[n, k] > 0
        mine = {name: value[n, k] for name, value in found.items()}
        assert_overlaps(mine, "truth_", end, p, true, whole.spacing[n])
        if not whole.known[n, k]:
            assert np.isnan([v for name, v in mine.items() if not name.startswith("truth_")]).all()
            continue
        assert_overlaps(mine, "", end, p, y, whole.spacing[n])
        assert mine[f"missed{end}"] == pytest.approx(float(not p.any()) if y.any() else nan, nan_ok=True)
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
            assert mine[f"surface_dice{end}"] == pytest.approx(surface, abs=1e-6)
            assert mine[f"hausdorff95{end}"] == pytest.approx(far, rel=1e-5)
        else:
            worst = (0.0, np.hypot(SIZE * mm[0], SIZE * mm[1])) if y.any() else (nan, nan)
            told = [mine[f"surface_dice{end}"], mine[f"hausdorff95{end}"]]
            assert told == pytest.approx(worst, nan_ok=True)
    assert np.isfinite(found[f"hausdorff95{end}"]).sum() > 5 and np.isnan(found[f"iou{end}"]).sum() > 2


def assert_overlaps(mine: dict, of: str, end: str, p: np.ndarray, y: np.ndarray, mm: tuple) -> None:
    """What a mask shares with a label, (SIZE, SIZE) each, and what it draws where there is none."""
    want = {"iou": nan, "false_area_mm2": nan, "painted_empty": nan}
    if y.any():
        want["iou"] = jaccard_score(y.ravel(), p.ravel(), zero_division=0)
    else:
        want |= {"false_area_mm2": p.sum() * mm[0] * mm[1], "painted_empty": float(p.any())}
    want |= {"overlap_px": (p & y).sum(), "union_px": (p | y).sum()}
    for name, value in want.items():
        assert mine[f"{of}{name}{end}"] == pytest.approx(value, nan_ok=True, rel=1e-6, abs=1e-6), (of, name)


def levels_of(n: int, k: int, levels: np.ndarray, ground: compare_ground.Ground) -> list[tuple]:
    cuts = [25.5 * tenth - 0.5 for tenth in range(1, 10)]
    return [(levels[n, k] >= cut - 1e-3, ground.labels[n, k] >= cut - 1e-3) for cut in cuts]


def drawn(levels: np.ndarray, ground: compare_ground.Ground, cut: int = 128) -> Held:
    """A prediction for the frames of a portion, uint8 (N, C, S, S), at one cut."""
    whole = np.zeros((ground.where.max() + 1, *levels.shape[1:]), np.uint8)
    whole[ground.where] = levels
    return Held(whole, whole, np.full(len(whole), cut, np.uint8))


def test_an_empty_prediction_and_no_scale_by_hand(whole: compare_ground.Ground):
    labelled = (whole.labels >= 127.5).any((-2, -1)) & whole.known
    nothing = arms.scores_of(drawn(np.zeros_like(whole.labels), whole), whole, 0.5)
    assert (nothing["surface_dice"][labelled] == 0).all() and (nothing["iou"][labelled] == 0).all()
    assert (nothing["missed"][labelled] == 1).all() and np.isnan(nothing["missed"][~labelled]).all()
    diagonal = SIZE * np.linalg.norm(whole.spacing, axis=1)
    every = np.where(labelled, diagonal[:, None], nan)  # the farthest that a mask could be off
    np.testing.assert_allclose(nothing["hausdorff95"], every, rtol=1e-6)
    assert (nothing["painted_empty"][whole.known & ~labelled] == 0).all()
    unscaled = replace(whole, spacing=[(nan, nan)] * len(whole.spacing))
    for levels in (whole.labels, np.zeros_like(whole.labels)):
        found = arms.scores_of(drawn(levels, whole), unscaled, 0.5)
        for name in ("surface_dice", "hausdorff95", "false_area_mm2"):
            assert np.isnan(found[name]).all()
        assert (found["iou"][labelled] == levels.any()).all()
        assert (found["painted_empty"][whole.known & ~labelled] == 0).all()  # this needs no scale


def test_nothing_is_farther_off_than_drawing_nothing(whole: compare_ground.Ground):
    """A pixel in the corner farthest from the label is nearer than the penalty of an empty mask."""
    labels, far = np.zeros_like(whole.labels), np.zeros_like(whole.labels)
    labels[:, :, 0, 0], far[:, :, -1, -1] = 255, 255
    ground = replace(whole, labels=labels, known=np.ones_like(whole.known))
    corner, nothing = (arms.scores_of(drawn(p, ground), ground, 0.5)["hausdorff95"] for p in (far, 0 * far))
    assert (corner < nothing).all() and (corner > 0.95 * nothing).all()


def test_images_are_tidy_arm_by_arm_whatever_the_portion(
    part: Cohort, patients: list[str], opened: dict, images: pd.DataFrame, monkeypatch
):
    assert list(images) == ["arm", "seed", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    assert list(dict.fromkeys(zip(images["arm"], images["seed"], strict=True))) == list(opened)
    assert set(images["patient_id"]) == set(patients)
    monkeypatch.setattr(compare_ground, "PORTION", 1)
    pd.testing.assert_frame_equal(arms.images(part, patients, opened, "mean", 0.5), images)


# -- reliability


@pytest.fixture(scope="module")
def counted(part: Cohort, patients: list[str], opened: dict) -> dict:
    return reliability.counts(part, patients, opened, "mean")


@pytest.mark.parametrize("pixels", ["all", "band"])
@pytest.mark.parametrize("scaled", ["raw", "tempered"])
@pytest.mark.parametrize("name", ["labels", "truth"])
def test_reliability_is_a_plain_histogram_of_known_pixels(
    part: Cohort,
    opened: dict,
    counted: dict,
    whole: compare_ground.Ground,
    pixels: str,
    scaled: str,
    name: str,
):
    stored = {"raw": opened["a", 0].labelled, "tempered": opened["a", 0].tempered}[scaled][whole.where]
    label, known = {"labels": (whole.labels, whole.known), "truth": (whole.truth, whole.true)}[name]
    chosen = np.repeat(known[:, :, None, None], SIZE * SIZE).reshape(label.shape)
    near = {"labels": whole.near, "truth": whole.near_truth}[name]
    chosen = chosen & near if pixels == "band" else chosen
    curves = reliability.curves({key: n for key, n in counted.items() if key[:2] == ("a", 0)}, part.features)
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
    monkeypatch.setattr(compare_ground, "PORTION", 1)
    again = reliability.counts(part, patients, opened, "mean")
    assert list(again) == list(counted)
    assert list(dict.fromkeys(key[:2] for key in counted)) == list(opened)
    for key, sums in counted.items():
        np.testing.assert_allclose(again[key], sums, rtol=1e-12)


def test_an_arm_is_held_against_its_own_target_where_it_has_one(
    part: Cohort, patients: list[str], opened: dict, counted: dict, whole: compare_ground.Ground
):
    targets = pd.Series({"a": 0.6, "b": nan})
    found = reliability.counts(part, patients, opened, "mean", targets)
    assert {key[0] for key in found if key[4] == "own"} == {"a"}
    assert {key for key in found if key[4] != "own"} == set(counted)
    for key in counted:
        np.testing.assert_array_equal(found[key], counted[key])
    levels, known = opened["a", 1].labelled[whole.where], whole.known[:, :, None, None]
    for pixels, chosen in (("all", known & np.ones_like(whole.near)), ("band", known & whole.near)):
        sums = found["a", 1, pixels, "raw", "own"]
        for k in range(len(part.features)):
            at = levels[:, k][chosen[:, k]]
            there = (whole.labels[:, k] >= 153)[chosen[:, k]]  # 60 % of 255
            np.testing.assert_array_equal(sums[k, 0], np.bincount(at, minlength=256))
            np.testing.assert_array_equal(sums[k, 1], np.bincount(at[there], minlength=256))


def test_who_says_how_likely_confidence_reaches_the_threshold_is_calibrated_for_it_alone(
    whole: compare_ground.Ground,
):
    """Pixels of three kinds, each with its share of graded labels >= 60 %; the arm says just that share."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, whole.labels.shape)
    reached = rng.random(kind.shape) < np.array([0.1, 0.5, 0.9])[kind]
    labels = np.where(reached, rng.choice([153, 204], kind.shape), rng.choice([26, 128], kind.shape))
    ground = replace(whole, labels=labels.astype(np.uint8), known=np.ones_like(whole.known))
    said = np.array([reached[kind == k].mean() for k in range(3)])
    levels = np.rint(255 * said)[kind].astype(np.uint8)
    ece = {}
    for pixels, name, label, chosen in reliability.against(ground, own=0.6):
        sums = segment_metrics.level_counts(levels, label, chosen).sum(0)
        ece[pixels, name] = calibration.calibration_error(calibration.reliability(sums))["ece"]
    assert ece["all", "own"] < 1 / 255  # half a step of what is stored, and rounding
    assert ece["all", "labels"] > 0.1  # the same predictions: graded labels are not what the arm estimates


def test_the_band_of_the_truth_holds_what_the_rater_missed(whole: compare_ground.Ground):
    """Paint in one corner, truth in the other: the miss counts against the truth, not against the labels."""
    labels, truth = np.zeros_like(whole.labels), np.zeros_like(whole.labels)
    labels[:, :, :3, :3], truth[:, :, -3:, -3:] = 255, 255
    cells = np.ones((1, 1, 11, 11), bool)
    near, near_truth = (binary_dilation(m > 0, cells) for m in (labels, np.maximum(labels, truth)))
    ground = replace(whole, labels=labels, truth=truth, near=near, near_truth=near_truth)
    bands = {name: chosen for pixels, name, _, chosen in reliability.against(ground, 0.5) if pixels == "band"}
    assert bands["truth"][:, :, -3:, -3:].all() and bands["truth"][:, :, :3, :3].all()
    assert not bands["labels"][:, :, -3:, -3:].any() and not bands["own"][:, :, -3:, -3:].any()


def test_portions_make_the_band_around_what_is_painted_or_true(whole: compare_ground.Ground):
    """The phantom's rater misses some truth: it lies in the truth's band, and not all of it in the other."""
    missed = (whole.truth > 0) & (whole.labels == 0)
    assert missed.any()
    assert whole.near_truth[missed].all() and not whole.near[missed].all()
