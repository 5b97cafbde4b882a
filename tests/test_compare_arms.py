"""Arms side by side, against plain NumPy."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score

from lusnb import stats
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import arms as compare_arms
from lusnb.compare import arms_beside_raters, reliability
from lusnb.compare.finished import Held
from lusnb.segment import averages, predictions
from tests.predicted import SIZE, arms, held

THRESHOLDS = [0.0, 0.5, 1.0]


@pytest.fixture(scope="module")
def scores(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return compare_arms.across_all(part, patients, opened, "mean", THRESHOLDS)


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


@pytest.mark.parametrize("fixed", [False, True])
def test_iou_across_thresholds_is_plain_set_arithmetic_at_both_cuts(
    part: Cohort, patients: list[str], opened: dict, scores: pd.DataFrame, levels: dict, fixed: bool
):
    if fixed:
        scores = compare_arms.across_all(part, patients, opened, "mean", THRESHOLDS, fixed=True)
    mine = scores[(scores["arm"] == "b") & (scores["seed"] == 1)]
    order = sorted(part.clips["clip_id"])
    assert len(mine) == len(THRESHOLDS) * len(part.features) * part.clips["patient_id"].isin(patients).sum()
    want = []
    for r in mine.itertuples():
        place = order.index(r.clip_id)
        cut = 128 if fixed else opened["b", 1].cuts[place]
        guess = opened["b", 1].labelled[place, part.features.index(r.feature)] >= cut
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
    """Mean over a patient's images of a feature, over the features that it has, over patients."""
    rows = rows.dropna(subset="value")
    by_patient = []
    for _, own in rows.groupby("patient_id"):
        by_patient.append(np.mean([of_feature["value"].mean() for _, of_feature in own.groupby("feature")]))
    return float(np.mean(by_patient)) if by_patient else np.nan


def test_the_matrix_is_one_row_an_arm_and_one_column_a_threshold(scores: pd.DataFrame, patients: list[str]):
    table = compare_arms.matrix(scores, patients, ["b", "a"])
    assert (list(table.index), list(table.columns)) == (["b", "a"], THRESHOLDS)
    for arm in table.index:
        for t in THRESHOLDS:
            rows = scores[(scores["arm"] == arm) & (scores["threshold"] == t)]
            assert table.at[arm, t] == pytest.approx(plain_mean(rows), rel=1e-6)


# -- ranking


@pytest.fixture(scope="module")
def images(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    return compare_arms.images(part, patients, opened, "mean", 0.5)


@pytest.fixture(scope="module")
def errors(part: Cohort, patients: list[str], opened: dict) -> pd.DataFrame:
    curves = reliability.curves(reliability.counts(part, patients, opened, "mean"), part.features)
    return reliability.calibration_errors(curves)


def test_the_ranking_is_the_mean_over_images_features_and_patients(
    images: pd.DataFrame, errors: pd.DataFrame, patients: list[str]
):
    table = compare_arms.ranking(images, errors, arms("ba"), patients)
    assert table["arm"].to_list() == ["b", "a"] and table["shown"].to_list() == ["arm b", "arm a"]
    for row in table.to_dict("records"):
        own = images[images["arm"] == row["arm"]]
        for metric in compare_arms.RANKED:
            assert row[metric] == pytest.approx(plain_mean(own[own["metric"] == metric])), metric
        seed = own[own["seed"] == 0].pivot(index=["clip_id", "feature"], columns="metric", values="value")
        labelled, empty = (seed[name].notna().sum() for name in ("iou", "painted_empty"))
        assert (row["label_images"], row["empty_images"], row["patients"]) == (labelled, empty, 2)
        assert labelled + empty == seed["union_px"].notna().sum() > labelled > 0
        pooled = errors[(errors["arm"] == row["arm"]) & (errors["feature"] == "all")]
        pooled = pooled[(pooled["pixels"] == "band") & (pooled["scaled"] == "tempered")]
        ece = pooled.groupby("against")["ece"].mean()
        assert row["ece_band_tempered"] == pytest.approx(ece["labels"])
        assert row["truth_ece_band_tempered"] == pytest.approx(ece["truth"])
    kinds = [f"{e}_{p}{t}" for t in ("", "_tempered") for p in ("all", "band") for e in ("ece", "ace", "mce")]
    assert {*kinds, "truth_ece_band", "truth_ece_all"} <= set(table)


def test_the_labels_that_count_in_the_ranking_are_the_same_for_all(
    images: pd.DataFrame, errors: pd.DataFrame, patients: list[str]
):
    table = compare_arms.ranking(images, errors, arms("ab"), patients)
    assert table["label_images"].nunique() == table["empty_images"].nunique() == 1
    counted = images[images["value"].notna()].groupby(["arm", "seed", "metric"]).size().unstack("metric")
    assert (counted.nunique() == 1).all()  # every metric of common ground, both cuts, is of the same images


def test_what_a_cohort_has_not_is_absent_or_blank(part: Cohort, patients: list[str], opened: dict):
    clips = part.clips.assign(depth_cm=np.nan, width_cm=np.nan)
    bare = replace(part, truth=part.truth[:0], clips=clips)
    one = {("a", 0): opened["a", 0]}
    images = compare_arms.images(bare, patients, one, "mean", 0.5)
    errors = reliability.calibration_errors(
        reliability.curves(reliability.counts(bare, patients, one, "mean"), bare.features)
    )
    table = compare_arms.ranking(images, errors, arms("a"), patients)
    assert not [name for name in table if name.startswith(("truth", "own"))]
    in_mm = ("surface_dice", "hausdorff95", "false_area_mm2")
    both = [f"{name}{end}" for name in in_mm for end in ("", "_fixed")]
    assert table[both].isna().all(axis=None)
    without = ["iou", "missed", "painted_empty", "pooled_iou", "pooled_iou_fixed", "level_dice", "ece_band"]
    assert table[without].notna().all(axis=None)
    compared = compare_arms.intervals(averages.patient_scores(images, patients), np.random.default_rng(0))
    masks = {f"{name}{end}" for name in ("iou", "missed", "painted_empty") for end in ("", "_fixed")}
    assert set(compared["metric"]) == {"level_dice", "level_dice_marked", *masks}


def by_patient(count: int, metrics_of: tuple[str, ...] = ("iou", "truth_iou")) -> pd.DataFrame:
    rows = [
        (
            arm,
            metric,
            f"P{k}",
            (0.1 + 0.002 * (k - (count - 1) / 2) ** 3) * (arm == "b") * (1 + (metric == "iou")) + 0.01 * k,
        )
        for metric in metrics_of
        for arm in "ab"
        for k in range(count)
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])


def test_differences_are_tested_in_each_metric_there_is():
    table = compare_arms.differences(by_patient(7), arms("ab"), np.random.default_rng(0))
    assert table["metric"].to_list() == ["iou", "truth_iou"]
    assert table["difference"].to_list() == pytest.approx([0.2, 0.1])
    assert table["p"].to_list() == pytest.approx([stats.attainable_p(7)] * 2)
    alone = compare_arms.differences(by_patient(7, ("iou",)), arms("ab"), np.random.default_rng(0))
    assert alone["metric"].to_list() == ["iou"]
    four = ("truth_iou_fixed", "iou_fixed", "missed", "truth_iou", "iou")
    both = compare_arms.differences(by_patient(7, four), arms("ab"), np.random.default_rng(0))
    assert both["metric"].to_list() == ["iou", "truth_iou", "iou_fixed", "truth_iou_fixed"]
    one = compare_arms.differences(by_patient(7), arms("a"), np.random.default_rng(0))
    assert one.empty and list(one) == list(both)


def test_intervals_wait_for_six_patients():
    few, six = (compare_arms.intervals(by_patient(n), np.random.default_rng(0)) for n in (5, 6))
    assert few[["low", "high"]].isna().all(axis=None) and (few["patients"] == 5).all()
    assert (six["low"] < six["mean"]).all() and (six["mean"] < six["high"]).all()
    assert six["mean"][0] == pytest.approx(0.025)


def test_calibration_errors_by_hand():
    curve = pd.DataFrame(
        {
            "bin": [0, 1, 2],
            "count": [10, 0, 30],
            "predicted": [0.1, np.nan, 0.9],
            "observed": [0.3, np.nan, 0.8],
        }
    ).assign(arm="a", seed=0, scaled="raw", against="labels", feature="all")
    curves = pd.concat([curve.assign(pixels="all"), curve.assign(pixels="band", count=[10, 0, 10])])
    table = reliability.calibration_errors(curves).set_index("pixels")
    assert table.loc["all", ["ece", "ace", "mce"]].to_list() == pytest.approx([0.125, 0.15, 0.2])
    assert table.loc["band", ["ece", "ace", "mce"]].to_list() == pytest.approx([0.15, 0.15, 0.2])


# -- raters


@pytest.fixture(scope="module")
def three(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cohort]:
    """The phantom with three raters, who have the rater's map of a clip, of the next and of the one after.

    Of one feature of the first test clip ben alone has no row.
    """
    folder = cohort.folder
    labels, parts = cohort.labels.sort_values(["feature", "clip_id"]).reset_index(drop=True), []
    for k, rater in enumerate(["anna", "ben", "carl"]):
        shifted = labels.groupby("feature")["path"].transform(lambda p, k=k: np.roll(p.to_numpy(), -k))
        parts.append(labels.assign(rater=rater, path=shifted))
    every = pd.concat(parts, ignore_index=True)
    first = cohort.clips.loc[cohort.clips["patient_id"].isin(cohort.patients_in("test")), "clip_id"].min()
    gone = (every["clip_id"] == first) & (every["feature"] == "a_line") & (every["rater"] == "ben")
    assert gone.sum() == 1
    yield replace(cohort, labels=every[~gone].reset_index(drop=True), folder=folder)


def test_models_stand_beside_raters_on_the_same_images(three: Cohort):
    patients = three.patients_in("test")
    opened = {(arm, 0): held(three, k) for k, arm in enumerate("ba")}
    table = arms_beside_raters.against_raters(three, patients, opened)
    assert list(table) == arms_beside_raters.RATERS
    assert list(dict.fromkeys(table["arm"])) == ["b", "a"]
    frames = cohorts.labelled_frames(three)
    nearest = Image.Resampling.NEAREST
    for row in table.query("arm == 'a'").itertuples():
        found = []
        for place, frame in frames[frames["patient_id"].isin(patients)].iterrows():
            rows = three.labels.query("clip_id == @frame.clip_id and feature == @row.feature")
            maps = {r.rater: np.asarray(Image.open(three.folder / r.path).resize((SIZE, SIZE), nearest))
                    for r in rows.itertuples()}  # fmt: skip
            own = maps.pop(row.rater, np.zeros((SIZE, SIZE))) >= 127.5
            if own.any() and maps:
                model = opened["a", 0].labelled[place, three.features.index(row.feature)]
                mean = np.rint(np.mean(list(maps.values()), axis=0)) >= 127
                drawn = (model >= opened["a", 0].cuts[place], model >= 128, mean)
                dice = [f1_score(own.ravel(), m.ravel(), zero_division=0) for m in drawn]
                pairs = [f1_score(own.ravel(), (m >= 127.5).ravel(), zero_division=0) for m in maps.values()]
                found.append((frame["patient_id"], *dice, np.mean(pairs)))
        want = pd.DataFrame(found).groupby(0).mean().mean()
        found_here = [row.model, row.model_fixed, row.others, row.pairs]
        assert found_here == pytest.approx(want.to_list(), abs=1e-6)
        assert (row.images, row.patients) == (len(found), len({f[0] for f in found}))
    same = table.pivot(index=["feature", "rater"], columns="arm", values=["others", "pairs", "images"])
    for name in ("others", "pairs", "images"):
        pd.testing.assert_series_equal(same[name, "a"], same[name, "b"], check_names=False)
    assert arms_beside_raters.raters_told(three, table).startswith("3 raters, anna (")


def test_one_rater_leaves_nothing_to_stand_beside(part: Cohort, patients: list[str], opened: dict):
    table = arms_beside_raters.against_raters(part, patients, opened)
    assert len(table) == 0 and list(table) == arms_beside_raters.RATERS
    said = arms_beside_raters.raters_told(part, table)
    assert said.startswith("one rater, ")
    assert said.endswith("no two raters share a held-out image, so no model is compared with them")


def test_a_perfect_prediction_is_best_everywhere(part: Cohort, patients: list[str]):
    maps, _ = arrays.confidence_of(part, cohorts.labelled_frames(part), SIZE)
    perfect = Held(maps, maps, np.full(len(maps), 128, np.uint8))
    images = compare_arms.images(part, patients, {("a", 0): perfect}, "mean", 0.5)
    means = images.groupby("metric")["value"].mean()
    assert means[["iou", "iou_fixed", "level_dice", "surface_dice"]].to_list() == [1, 1, 1, 1]
    wrong = ["hausdorff95", "missed", "painted_empty", "false_area_mm2"]
    assert means[[*wrong, *(f"{name}_fixed" for name in wrong)]].to_list() == [0] * 8
    assert compare_arms.pooled_iou(images)[["pooled_iou", "pooled_iou_fixed"]].to_numpy().tolist() == [[1, 1]]
    assert predictions.CUT == 128


def test_pairs_that_a_profile_names_are_tested_and_others_are_not():
    rng = np.random.default_rng(0)
    rows = [(arm, "iou", f"P{k}", rng.random() + (arm == "c")) for arm in ("a", "b", "c") for k in range(8)]
    by_patient = pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])
    every = arms("abc")
    found = compare_arms.differences(by_patient, every, np.random.default_rng(0), ["c - b", "a - b"])
    assert found[["arm", "reference"]].to_numpy().tolist() == [["c", "b"], ["a", "b"]]
    wide = by_patient.pivot(index="patient_id", columns="arm", values="value")
    assert found["difference"].tolist() == pytest.approx(
        [(wide["c"] - wide["b"]).mean(), (wide["a"] - wide["b"]).mean()]
    )
    assert found["p_holm"].iloc[0] == pytest.approx(min(1, 2 * found["p"].iloc[0]))
    first = compare_arms.differences(by_patient, every, np.random.default_rng(0))
    assert first["reference"].unique().tolist() == ["a"] and first["arm"].tolist() == ["b", "c"]
    none = compare_arms.differences(by_patient.assign(metric="other"), arms("ab"), np.random.default_rng(0))
    assert none.empty and list(none) == list(first)
    for wrong in ("c-b", "c - d", "c", "c - c"):
        with pytest.raises(ValueError, match="pairs: expected 'arm - reference' with two arms of a, b, c, g"):
            compare_arms.differences(by_patient, every, np.random.default_rng(0), [wrong])


def test_arms_are_held_against_the_naive_one_too_and_holm_counts_these_pairs():
    rng = np.random.default_rng(0)
    rows = [(arm, "iou", f"P{k}", rng.random() + (arm == "c")) for arm in "abc" for k in range(8)]
    by_patient = pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])
    every = arms("abc").assign(threshold=[0.0, 0.5, 0.6], published=True)
    found = compare_arms.differences(by_patient, every, np.random.default_rng(0))
    assert found[["arm", "reference"]].to_numpy().tolist() == [["b", "a"], ["c", "a"], ["c", "b"]]
    p = found["p"].to_numpy()
    holm = np.maximum.accumulate(np.sort(p) * [3, 2, 1])[np.argsort(np.argsort(p, kind="stable"))]
    assert found["p_holm"].to_list() == pytest.approx(np.minimum(holm, 1).tolist())


def test_the_ranking_holds_each_arm_against_its_own_target_where_it_has_one(
    part: Cohort, patients: list[str], opened: dict, images: pd.DataFrame
):
    targets = pd.Series({"a": 0.6, "b": np.nan})
    counted = reliability.counts(part, patients, opened, "mean", targets)
    errors = reliability.calibration_errors(reliability.curves(counted, part.features))
    table = compare_arms.ranking(images, errors, arms("ab"), patients).set_index("arm")
    for name in ("own_ece_band", "own_ece_all", "own_ece_band_tempered", "own_ece_all_tempered"):
        assert table[name].isna().to_dict() == {"a": False, "b": True}
    own = errors.query("against == 'own' and pixels == 'band' and scaled == 'raw' and feature == 'all'")
    assert table.at["a", "own_ece_band"] == pytest.approx(own["ece"].mean()) and len(own) == 2
    assert table["ece_band"].notna().all()


def test_a_study_without_a_label_empty_image_or_without_a_label_is_blank_there(
    images: pd.DataFrame, errors: pd.DataFrame, patients: list[str]
):
    keys = ["clip_id", "frame", "feature"]
    empty = images[(images["metric"] == "painted_empty") & images["value"].notna()]
    empty = set(empty[keys].itertuples(index=False, name=None))
    is_empty = pd.Series([key in empty for key in images[keys].itertuples(index=False, name=None)])
    full = compare_arms.ranking(images[~is_empty], errors, arms("ab"), patients)
    assert (full["empty_images"] == 0).all() and (full["label_images"] > 0).all()
    assert full["painted_empty"].isna().all() and full["pooled_iou"].notna().all()
    bare = compare_arms.ranking(images[is_empty], errors, arms("ab"), patients)
    assert (bare["label_images"] == 0).all() and (bare["patients"] == 0).all()
    assert bare[["iou", "pooled_iou"]].isna().all(axis=None) and bare["painted_empty"].notna().all()
