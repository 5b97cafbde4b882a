"""Paired tests on patients: against enumeration, and by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from lusnb import stats

SKEWED = "of {} patients p and interval are unreliable where differences are skewed"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def enumerated(differences: np.ndarray) -> float:
    """Share of all sign patterns whose mean is at least as far from 0 as the observed one."""
    signs = np.array(list(product([-1, 1], repeat=len(differences))))
    means = np.abs((signs * differences).mean(1))
    return float((means >= abs(differences.mean()) - 1e-12).mean())


def test_attainable_p_by_hand():
    assert [stats.attainable_p(n) for n in (0, 1, 2, 4, 6, 10)] == [1, 1, 0.5, 0.125, 1 / 32, 1 / 512]


@pytest.mark.parametrize("n", [2, 3, 4, 6, 9, 12])
def test_sign_flip_is_the_share_of_sign_patterns(n: int):
    for seed in range(4):
        differences = rng(seed).normal(0.4, 1, n)
        assert stats.sign_flip(differences, rng()) == pytest.approx(enumerated(differences), abs=1e-12)


@pytest.mark.parametrize("n", [2, 4, 6, 10])
def test_sign_flip_reaches_the_attainable_p_and_no_less(n: int):
    assert stats.sign_flip(np.arange(1, n + 1), rng()) == pytest.approx(stats.attainable_p(n))
    assert stats.sign_flip(-np.arange(1, n + 1), rng()) == pytest.approx(stats.attainable_p(n))


def test_sign_flip_of_tied_and_zero_differences():
    differences = np.array([1.0, 1.0, -1.0, 0.0, 0.0])
    assert stats.sign_flip(differences, rng()) == pytest.approx(enumerated(differences)) == 1.0
    assert stats.sign_flip(np.zeros(4), rng()) == 1.0


def test_sign_flip_of_one_patient_is_1():
    assert stats.sign_flip(np.array([0.3]), rng()) == 1.0


@pytest.mark.parametrize("n", [5, 9, 20])
def test_sign_flip_is_scipy_s(n: int):
    for seed in range(5):
        differences = rng(seed).normal(0.3, 1, n)
        wanted = scipy_stats.permutation_test(
            (differences,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            rng=rng(),
        ).pvalue
        assert stats.sign_flip(differences, rng()) == pytest.approx(wanted, abs=1e-9 if n < 14 else 0.02)


def test_sign_flip_of_decimals_that_cancel():
    differences = np.array([0.1, 0.2, -0.3, 0.4])  # 0.1 + 0.2 - 0.3 is 5.6e-17
    assert stats.sign_flip(differences, rng()) == pytest.approx(enumerated(differences), abs=1e-12)


def test_sign_flip_of_many_patients_is_drawn_and_repeats_with_its_seed():
    differences = rng(3).normal(0.35, 1, 30)
    p = stats.sign_flip(differences, rng(1))
    assert p == stats.sign_flip(differences, rng(1))
    signs = rng(9).choice([-1, 1], (200_000, 30))
    want = (np.abs((signs * differences).mean(1)) >= abs(differences.mean())).mean()
    assert p == pytest.approx(want, abs=0.015)


def test_interval_is_blank_under_6_patients():
    assert all(np.isnan(stats.interval(np.arange(5.0), rng())))
    low, high = stats.interval(np.arange(6.0), rng())
    assert low < 2.5 < high


def test_interval_by_hand():
    """Six values: of 64 subsets one lies beyond each end, the means of the least and of the largest alone."""
    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    assert stats.interval(values, rng()) == (1.0, 9.0)
    assert stats.interval(values, rng(), level=0.9) == (1.5, (3.0 + 9.0) / 2)  # the third of each end


@pytest.mark.parametrize("n", [6, 8, 11])
def test_the_interval_holds_what_the_test_does_not_reject(n: int):
    for seed in range(6):
        values = rng(seed).exponential(1, n).round(1) - 0.3  # ties too
        low, high = stats.interval(values, rng())
        for centre in np.linspace(values.min() - 0.2, values.max() + 0.2, 61):
            inside = low <= centre <= high
            assert (
                inside == (enumerated(values - centre) > 0.05)
                or min(abs(centre - low), abs(centre - high)) < 1e-9
            )


def test_interval_of_many_patients_is_near_the_normal_one():
    values = rng(0).normal(2, 1, 200)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    want = (values.mean() - half, values.mean() + half)
    assert stats.interval(values, rng(1)) == pytest.approx(want, abs=0.03)
    narrow = stats.interval(values, rng(1), level=0.5)
    assert want[0] < narrow[0] < narrow[1] < want[1]
    assert stats.interval(values, rng(1)) == stats.interval(values, rng(1))


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_interval_covers_95_of_100_where_values_are_symmetric(n: int):
    draws = rng(n).normal(1, 1, (400, n))
    held = [low <= 1 <= high for low, high in (stats.interval(values, rng(n)) for values in draws)]
    assert 0.92 < np.mean(held) < 0.99  # BCa: 0.84, 0.90, 0.92


def test_equal_values_have_no_interval():
    for values in (
        np.full(8, 0.3),
        np.zeros(20),
        0.000298 + 1e-19 * np.arange(12),
        0.1 + 0.2 - np.full(30, 0.3),
    ):
        assert all(np.isnan(stats.interval(values, rng())))


def test_no_interval_where_so_few_values_cannot_reach_the_level():
    assert all(np.isnan(stats.interval(np.arange(6.0), rng(), level=0.99)))
    assert stats.interval(np.arange(8.0), rng(), level=0.99) == (0.0, 7.0)


def holm(p: list[float]) -> list[float]:
    order = np.argsort(p)
    stepped = np.maximum.accumulate([p[k] * (len(p) - i) for i, k in enumerate(order)])
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1)
    return list(out)


@pytest.fixture
def values() -> pd.DataFrame:
    """Ten patients; arms: the reference, the same, far better, a little better, known for four alone."""
    base = rng(5).uniform(0.3, 0.6, 10)
    far = base + np.linspace(0.1, 0.2, 10)
    near = base + rng(6).normal(0.01, 0.05, 10)
    some = np.where(np.arange(10) < 4, base + 0.1, np.nan)
    return pd.DataFrame({"ref": base, "same": base, "far": far, "near": near, "some": some})


def test_compare_by_hand(values: pd.DataFrame):
    arms = ["ref", "same", "far", "near", "some"]
    table = stats.compare(values, arms, "ref", rng()).set_index("arm")
    assert list(table.index) == arms[1:]
    assert table["patients"].to_list() == [10, 10, 10, 4]
    raw = [1.0, 2 / 1024, enumerated((values["near"] - values["ref"]).to_numpy())]
    np.testing.assert_allclose(table["p"], [*raw, np.nan])
    np.testing.assert_allclose(table["p_holm"], [*holm(raw), np.nan])
    assert table.loc["far", "difference"] == pytest.approx(0.15)
    assert table.loc["far", "low"] < 0.15 < table.loc["far", "high"]
    assert table.loc["some", ["low", "high"]].isna().all()
    assert table.loc["some", "attainable_p"] == 0.125
    assert table["reading"].to_list() == [
        f"no difference shown; {SKEWED.format(10)}",
        f"different; {SKEWED.format(10)}",
        f"no difference shown; {SKEWED.format(10)}",
        "4 patients: p cannot fall below 0.125; no claim either way",
    ]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    p = rng().uniform(0, 0.3, 15).round(2)  # ties too
    np.testing.assert_allclose(stats.holm(p), multipletests(p, method="holm")[1])
    assert len(stats.holm(np.array([]))) == 0


def test_two_identical_arms_have_a_p_of_1(values: pd.DataFrame):
    (row,) = stats.compare(values, ["ref", "same"], "ref", rng()).itertuples()
    assert (row.p, row.p_holm, row.difference) == (1, 1, 0)
    assert np.isnan(row.low) and np.isnan(row.high)
    assert row.reading.startswith("no difference shown; ")


def test_p_and_interval_of_a_comparison_never_disagree():
    """Of 300 comparisons each, where subsets are tried and where they are drawn."""
    for n in (8, 16):
        values = pd.DataFrame(rng(n).normal(0.25, 1, (n, 301)), columns=[str(k) for k in range(301)])
        table = stats.compare(values - 0.0, list(values), "0", rng(1))
        left_out = (table["low"] > 0) | (table["high"] < 0)
        assert (left_out == (table["p"] <= 0.05)).all() and 0 < left_out.sum() < 300


def test_patients_with_a_blank_leave_that_comparison_alone(values: pd.DataFrame):
    table = stats.compare(values, ["ref", "some", "far"], "ref", rng()).set_index("arm")
    assert table["patients"].to_dict() == {"some": 4, "far": 10}
    assert table.loc["some", "difference"] == pytest.approx(0.1)


def test_arms_with_no_or_one_common_patient_make_no_claim(values: pd.DataFrame):
    one = values["ref"].where(values.index == 2) + 0.1
    table = stats.compare(values.assign(none=np.nan, one=one), ["ref", "none", "one"], "ref", rng())
    assert table["patients"].to_list() == [0, 1]
    assert set(table["reading"]) == {"too few patients to compare"}
    assert np.isnan(table["p"][0])


@pytest.mark.parametrize(
    ("patients", "p", "words"),
    [
        (0, np.nan, "too few patients to compare"),
        (1, 1.0, "too few patients to compare"),
        (2, 0.5, "2 patients: p cannot fall below 0.5; no claim either way"),
        (4, 0.125, "4 patients: p cannot fall below 0.125; no claim either way"),
        (6, 0.03, f"different; {SKEWED.format(6)}"),
        (59, 0.5, f"no difference shown; {SKEWED.format(59)}"),
        (60, 0.049, "different"),
        (60, 0.05, "no difference shown"),
    ],
)
def test_readings(patients: int, p: float, words: str):
    assert stats.reading(patients, p) == words


UNCORRECTED = (
    "no difference shown, though the interval, which is not corrected for the number of comparisons, "
    "leaves out 0"
)


@pytest.mark.parametrize(
    ("p", "low", "high", "words"),
    [
        (0.01, 0.1, 0.3, "different"),
        (0.01, -0.1, 0.3, "different, though the interval holds 0"),
        (0.01, 0.0, 0.3, "different, though the interval holds 0"),
        (0.06, 0.1, 0.3, UNCORRECTED),
        (0.06, -0.3, -0.1, UNCORRECTED),
        (0.06, -0.3, 0.1, "no difference shown"),
        (0.06, np.nan, np.nan, "no difference shown"),
        (0.01, np.nan, np.nan, "different"),
    ],
)
def test_where_p_and_interval_part_the_reading_says_so(p: float, low: float, high: float, words: str):
    assert stats.reading(60, p, low, high) == words


def test_a_comparison_that_holm_turns_down_says_that_its_interval_is_not_corrected():
    base = rng(0).normal(0.5, 0.1, 60)
    off = rng(1).normal(0, 0.1, 60)
    arm = base + off - off.mean() + 0.025  # p is about 0.03, and four times that after Holm
    others = {f"same{k}": base for k in range(3)}
    values = pd.DataFrame({"ref": base, "arm": arm, **others})
    table = stats.compare(values, list(values), "ref", rng())
    row = table.iloc[0]
    assert row["p"] < 0.05 < row["p_holm"] and row["low"] > 0
    assert row["reading"] == UNCORRECTED


# -- arms trained anew


def test_of_folds_the_means_are_tested():
    """Three folds of two patients, means 1, 2 and 6: t = 3 / sqrt(7 / 3) with 2 degrees of freedom."""
    table = pd.DataFrame(np.nan, index=range(6), columns=[1, 2, 3])
    for fold, values in enumerate(([0.5, 1.5], [1, 3], [6, 6]), start=1):
        table.loc[2 * fold - 2 : 2 * fold - 1, fold] = values
    wanted = 2 * scipy_stats.t.sf(3 / np.sqrt(7 / 3), 2)
    assert stats.retrained(table) == pytest.approx(wanted) == stats.retrained(-table)


def test_of_seeds_that_predict_the_same_patients_both_vary():
    """Three seeds, two patients: mean 2; mean squares of seeds 2 x 1, of patients 3 x 2; 6 values."""
    table = pd.DataFrame([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    freedom = 8**2 / (2**2 / 2 + 6**2 / 1)
    assert stats.retrained(table) == pytest.approx(2 * scipy_stats.t.sf(2 / np.sqrt(8 / 6), freedom))
    blank = pd.concat([table, pd.DataFrame([[np.nan] * 3])])
    assert stats.retrained(blank) == stats.retrained(table)


def test_nothing_is_said_of_arms_trained_anew_from_few_trainings_or_equal_ones():
    assert np.isnan(stats.retrained(pd.DataFrame({0: [0.1, 0.2, 0.4]})))
    assert np.isnan(stats.retrained(pd.DataFrame(rng().normal(1, 0.1, (8, 2)))))
    assert np.isnan(stats.retrained(pd.DataFrame({k: [0.5, 0.0] for k in range(3)})))
    assert np.isnan(stats.retrained(pd.DataFrame()))
    assert stats.retrained(pd.DataFrame(np.zeros((4, 3)))) == 1.0


def test_trainings_that_overlap_in_part_are_refused():
    table = pd.DataFrame([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]], index=["P1", "P2"])
    with pytest.raises(
        ValueError, match="predicted by one training or by all 3, got P1 by 2; average the seeds"
    ):
        stats.retrained(table)


@pytest.mark.parametrize("folds", [3, 5])
def test_what_patients_of_a_fold_share_is_no_difference_of_arms_trained_anew(folds: int):
    """Luck of a fold's model, a quarter of the variance: the p of the models given rejects far over 5 %."""
    draw, own = rng(folds), np.repeat(np.eye(folds, dtype=bool), 6, axis=0)
    found = []
    for _ in range(250):
        values = own @ draw.normal(0, 0.5, folds) + draw.normal(0, 0.866, len(own))
        table = pd.DataFrame(np.where(own, values[:, None], np.nan))
        found.append((stats.sign_flip(values, draw) < 0.05, stats.retrained(table) < 0.05))
    given, anew = np.mean(found, axis=0)
    assert given > 0.12 and 0.01 < anew < 0.1


# -- how many patients


def of_effect(effect: float, n: int = 20) -> np.ndarray:
    """Differences whose SD (ddof = 1) is 1 and whose mean is `effect`."""
    values = rng().normal(size=n)
    return (values - values.mean()) / values.std(ddof=1) + effect


@pytest.mark.parametrize("effect", [0.02, -0.2, 0.5, 1.0])
@pytest.mark.parametrize(("power", "level"), [(0.8, 0.05), (0.9, 0.05), (0.8, 0.05 / 12)])
def test_patients_needed_are_the_fewest_whose_power_statsmodels_finds_enough(effect, power, level):
    n = stats.patients_needed(of_effect(effect), power, level)
    reached, before = (TTestPower().power(abs(effect), m, level) for m in (n, n - 1))
    assert before < power <= reached and stats.patients_needed(-of_effect(effect), power, level) == n


def test_patients_needed_reject_as_often_as_they_should():
    n = int(stats.patients_needed(of_effect(1.0)))
    assert n == 10
    draws = rng(1).normal(1.0, 1.0, (600, n))
    rejected = np.mean([stats.sign_flip(row, rng()) < 0.05 for row in draws])
    assert rejected == pytest.approx(0.8, abs=0.06)


def test_no_fewer_patients_are_needed_than_the_sign_flip_test_can_use():
    huge = of_effect(50.0)
    assert [stats.patients_needed(huge, level=0.05 / k) for k in (1, 3, 12)] == [6, 7, 9]
    assert [stats.attainable_p(n) <= 0.05 / 12 for n in (8, 9)] == [False, True]
    assert stats.patients_needed(np.full(6, 0.3)) == 6  # no spread
    assert stats.patients_needed(huge, level=1e-5) == np.inf  # 9999 resamples never get there


def test_patients_needed_where_nothing_can_be_said():
    assert np.isnan(stats.patients_needed(np.array([0.1, 0.2, 0.3, 0.1, 0.2])))
    assert np.isnan(stats.patients_needed(np.array([0.1, 0.2, 0.3, 0.1, 0.2, np.nan])))
    assert np.isnan(stats.patients_needed(np.array([])))
    assert stats.patients_needed(np.array([0.1, -0.1] * 4)) == np.inf
    assert stats.patients_needed(np.zeros(8)) == np.inf


def test_the_fewest_patients_who_can_reach_a_level_by_hand():
    """2 / 2^n, n from 6 on: 1 / 32 of six patients, 1 / 64 of seven."""
    assert [stats.least_patients(level) for level in (0.05, 1 / 32, 0.03, 1 / 64)] == [6, 6, 7, 7]
    assert stats.least_patients(1e-9) == np.inf
