"""Paired tests on patients: against enumeration, and by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from lusnb import stats


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


def test_interval_of_many_patients_is_near_the_normal_one():
    values = rng(0).normal(2, 1, 200)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    want = (values.mean() - half, values.mean() + half)
    assert stats.interval(values, rng(1)) == pytest.approx(want, abs=0.03)
    narrow = stats.interval(values, rng(1), level=0.5)
    assert want[0] < narrow[0] < narrow[1] < want[1]


def test_interval_of_equal_values_is_their_value():
    assert stats.interval(np.full(8, 0.3), rng()) == (0.3, 0.3)


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
        "no difference shown",
        "different",
        "no difference shown",
        "4 patients: p cannot fall below 0.125; no claim either way",
    ]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_two_identical_arms_have_a_p_of_1(values: pd.DataFrame):
    (row,) = stats.compare(values, ["ref", "same"], "ref", rng()).itertuples()
    assert (row.p, row.p_holm, row.difference, row.low, row.high) == (1, 1, 0, 0, 0)


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
        (6, 0.03, "different; 6 patients: the interval is unreliable"),
        (9, 0.5, "no difference shown; 9 patients: the interval is unreliable"),
        (10, 0.049, "different"),
        (10, 0.05, "no difference shown"),
    ],
)
def test_readings(patients: int, p: float, words: str):
    assert stats.reading(patients, p) == words
