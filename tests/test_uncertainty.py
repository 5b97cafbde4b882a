"""One network, dropout and ensembles against scipy, scikit-learn and cases by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy, rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from lusnb import calibration
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import ground as compare_ground
from lusnb.compare import uncertainty
from lusnb.segment import metrics as segment_metrics
from tests.predicted import SIZE, arms, held, partly_labelled


@pytest.fixture(scope="module")
def part(cohort: Cohort) -> Cohort:
    return partly_labelled(cohort)


@pytest.fixture(scope="module")
def opened(part: Cohort) -> dict:
    return {(a, s): held(part, 10 * k + s, dropout=a == "b") for k, a in enumerate("abc") for s in (0, 1)}


@pytest.fixture(scope="module")
def alike() -> pd.DataFrame:
    """a and b differ by their seed alone."""
    return arms("abc", b="a")


@pytest.fixture(scope="module")
def table(part: Cohort, opened: dict, alike: pd.DataFrame) -> pd.DataFrame:
    return uncertainty.compare(part, part.patients_in("test"), opened, alike, "mean")


def levels(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(len(values), 1, 1, 1)


def test_members_are_networks_dropout_means_and_groups(opened: dict, alike: pd.DataFrame):
    found = uncertainty.models(opened, alike)
    assert {key: len(members) for key, members in found.items()} == {
        **{(arm, "single", seed): 1 for arm in "abc" for seed in (0, 1)},
        **{("b", "dropout", seed): 1 for seed in (0, 1)},
        ("a", "ensemble", 0): 4,
        ("c", "ensemble", 0): 2,
    }
    one = {("a", 0): opened["a", 0], ("c", 0): opened["c", 0]}
    assert [kind for _, kind, _ in uncertainty.models(one, alike)] == ["single", "single"]


def test_the_mean_of_an_ensemble_by_hand():
    members = (levels(0, 255, 10, 3), levels(1, 255, 11, 3), levels(0, 255, 11, 5))
    found = uncertainty.mean_of(members, np.array([0, 1, 2, 3]))
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [0, 255, 11, 4]  # 1/3, 255, 32/3, 11/3
    assert uncertainty.mean_of(members[:2], np.array([2, 0])).ravel().tolist() == [11, 1]  # halves go up


def test_ranks_order_levels_by_their_binary_entropy():
    every = np.arange(256)
    bits = entropy(np.stack([every, 255 - every]) / 255)
    np.testing.assert_array_equal(
        rankdata(uncertainty.entropy_rank(every.astype(np.uint8))), rankdata(bits.round(9))
    )


def test_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    values, chosen = rng.integers(0, 20, 400), rng.random(400) < 0.3
    assert uncertainty.auroc(rankdata(values), chosen) == pytest.approx(roc_auc_score(chosen, values))
    assert np.isnan(uncertainty.auroc(rankdata(values), np.zeros(400, bool)))
    assert np.isnan(uncertainty.auroc(rankdata(values), np.ones(400, bool)))
    assert np.isnan(uncertainty.auroc(np.array([]), np.array([], bool)))


def test_rank_correlation_is_scipys():
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, 300).astype(np.uint8), rng.integers(0, 11, 300).astype(np.uint8)
    assert uncertainty.spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert np.isnan(uncertainty.spearman(one, np.zeros(300, np.uint8)))
    assert uncertainty.spearman(np.zeros(300, np.uint8), other) == 0  # silent: it counts, and tells nothing
    assert np.isnan(uncertainty.spearman(one[:0], other[:0]))


def test_scores_are_of_the_band_alone(part: Cohort, opened: dict):
    ground = next(compare_ground.grounds(part, part.patients_in("test"), SIZE, "mean"))
    p = opened["a", 0].labelled[ground.where]
    found = uncertainty.scores_of(p, ground)
    assert set(found) == {"spearman", "auroc_unsure", "auroc_wrong", "level_dice"}
    for n, k in np.ndindex(ground.known.shape):
        band = ground.near[n, k]
        if not (ground.known[n, k] and band.any()):
            assert np.isnan([found[name][n, k] for name in ("spearman", "auroc_unsure", "auroc_wrong")]).all()
            continue
        level, c, true = (a[n, k][band] for a in (p, ground.labels, ground.truth))
        unsure, bits = (c > 0) & (c < 255), entropy(np.stack([level, 255 - level]) / 255).round(9)
        assert found["spearman"][n, k] == pytest.approx(spearmanr(level, c).statistic)
        wrong = (level >= 128) != (true > 0)
        for name, chosen in (("auroc_unsure", unsure), ("auroc_wrong", wrong)):
            want = roc_auc_score(chosen, bits) if len(set(chosen)) == 2 else np.nan
            assert found[name][n, k] == pytest.approx(want, nan_ok=True)


def test_a_network_that_says_the_confidence_is_perfect(part: Cohort):
    ground = next(compare_ground.grounds(part, part.patients_in("test"), SIZE, "mean"))
    found = uncertainty.scores_of(ground.labels, ground)
    assert np.nanmin(found["spearman"]) == pytest.approx(1)
    assert np.nanmin(found["auroc_unsure"]) == 1
    assert np.nanmin(found["level_dice"]) == 1


def test_the_table_is_the_mean_over_seeds_with_its_counts(
    part: Cohort, opened: dict, table: pd.DataFrame, alike: pd.DataFrame
):
    assert list(table) == ["arm", "kind", "members", "metric", "value", "patients", "images"]
    rows = list(dict.fromkeys(zip(table["arm"], table["kind"], table["members"], strict=True)))
    assert rows == [
        ("a", "single", 1), ("b", "single", 1), ("b", "dropout", 1), ("c", "single", 1),
        ("a", "ensemble", 4), ("c", "ensemble", 2),
    ]  # fmt: skip
    ground = next(compare_ground.grounds(part, part.patients_in("test"), SIZE, "mean"))
    members = uncertainty.models(opened, alike)
    chosen = ground.near & ground.known[:, :, None, None]
    for kind, keys in (
        ("ensemble", [("a", "ensemble", 0)]),
        ("dropout", [("b", "dropout", s) for s in (0, 1)]),
    ):
        p = [uncertainty.mean_of(members[key], ground.where) for key in keys]
        counted = [segment_metrics.level_counts(one, ground.labels, chosen).sum(0) for one in p]
        curves = [calibration.reliability(sums) for sums in counted]
        ece = np.mean([calibration.calibration_error(curve)["ece"] for curve in curves])
        own = table[(table["kind"] == kind) & (table["arm"] == keys[0][0])].set_index("metric")
        assert own.at["ece_band", "value"] == pytest.approx(ece)
        maps = np.nanmean([uncertainty.scores_of(one, ground)["spearman"] for one in p], axis=0)
        long = pd.DataFrame(maps).assign(patient=ground.table["patient_id"].to_numpy())
        assert own.at["spearman", "value"] == pytest.approx(long.groupby("patient").mean().mean().mean())
        assert own.at["spearman", "patients"] == 2
        assert own.at["spearman", "images"] == np.isfinite(maps).any(1).sum()


def test_without_truth_nothing_is_held_against_it(part: Cohort, opened: dict, alike: pd.DataFrame):
    bare = replace(part, truth=part.truth[:0])
    one = {("a", 0): replace(opened["a", 0], dropout=None)}
    table = uncertainty.compare(bare, part.patients_in("test"), one, alike, "mean")
    assert set(table["metric"]) == {"ece_band", "level_dice", "spearman", "auroc_unsure"}
    assert uncertainty.told(table) == (
        "1 single network by arm; no arm with dropout samples; "
        "no ensemble (a group needs two arms or seeds alike)"
    )


def test_what_there_is_in_words(table: pd.DataFrame):
    assert uncertainty.told(table) == (
        "3 single networks by arm; 1 with dropout; ensembles: a (4 networks), c (2 networks)"
    )


def test_a_score_that_one_model_lacks_has_no_row_there_and_counts_stay_whole_numbers(
    part: Cohort, opened: dict, alike: pd.DataFrame
):
    """A network that is never wrong has no AUROC of its errors; the one beside it has."""
    truth, _ = arrays.confidence_of(part, cohorts.labelled_frames(part), SIZE, source="truth")
    two = {("a", 0): replace(opened["a", 0], labelled=truth, dropout=None), ("c", 0): opened["c", 0]}
    table = uncertainty.compare(part, part.patients_in("test"), two, alike, "mean")
    wrong = table[table["metric"] == "auroc_wrong"]
    assert wrong["arm"].to_list() == ["c"]
    assert table["value"].notna().all()
    of_images = table[~table["metric"].isin(uncertainty.ECE)]
    assert of_images[["patients", "images"]].notna().all(axis=None)


def test_errors_against_the_truth_count_what_the_rater_missed(part: Cohort, opened: dict):
    """The band of the truth is around what is painted or true."""
    one = {("a", 0): replace(opened["a", 0], dropout=None)}
    table = uncertainty.compare(part, part.patients_in("test"), one, arms("a"), "mean")
    found = table.set_index("metric")["value"]
    ground = next(compare_ground.grounds(part, part.patients_in("test"), SIZE, "mean"))
    p = one["a", 0].labelled[ground.where]
    ece = {}
    for name, near in (("painted", ground.near), ("or true", ground.near_truth)):
        chosen = near & ground.true[:, :, None, None]
        sums = segment_metrics.level_counts(p, ground.truth, chosen).sum(0)
        ece[name] = calibration.calibration_error(calibration.reliability(sums))["ece"]
    assert found["truth_ece_band"] == pytest.approx(ece["or true"])
    assert abs(ece["or true"] - ece["painted"]) > 1e-3
