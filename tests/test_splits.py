"""Outer folds: every patient is held out once, and never seen by the model that is asked about them."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lusnb.cohort import splits


def people(count: int, folds: int, seed: int = 0) -> pd.DataFrame:
    blank = pd.DataFrame({"patient_id": [f"P{k:02}" for k in range(count)], "split": None, "fold": pd.NA})
    return splits.split(blank.astype({"fold": "Int64"}), folds, seed)


@pytest.mark.parametrize(("count", "folds"), [(42, 5), (6, 6), (12, 2), (7, 3)])
def test_every_patient_is_held_out_exactly_once(count: int, folds: int):
    patients = people(count, folds)
    held_out = []
    for fold in range(1, folds + 1):
        roles = splits.roles(patients, fold, "cross_fitted")
        everyone = sum(roles.values(), [])
        assert sorted(everyone) == sorted(patients["patient_id"])
        assert roles["train"] and roles["validation"] and roles["test"]
        held_out += roles["test"]
    assert sorted(held_out) == sorted(patients["patient_id"])


def test_outer_folds_keep_the_folds_there_are_and_fill_the_smallest():
    patients = people(42, 5)
    outer = patients.set_index("patient_id")["outer_fold"]
    given = patients.set_index("patient_id")["fold"].dropna()
    assert (outer[given.index] == given).all()
    assert sorted(outer.value_counts()) == [8, 8, 8, 9, 9]
    shuffled = people(42, 5).sample(frac=1, random_state=1).drop(columns=["fold", "outer_fold"])
    again = splits.split(shuffled.assign(fold=patients["fold"]), 5).set_index("patient_id")["outer_fold"]
    assert (again[outer.index] == outer).all()


def test_validation_patients_come_from_the_next_fold_and_differ_between_folds():
    patients = people(42, 5)
    outer = patients.set_index("patient_id")["outer_fold"]
    chosen = {k: splits.roles(patients, k, "cross_fitted")["validation"] for k in range(1, 6)}
    for k, ids in chosen.items():
        assert set(outer[ids]) == {k % 5 + 1}
        assert len(ids) == (42 - (outer == k).sum()) // 6
    assert len(set(np.concatenate(list(chosen.values())))) == sum(map(len, chosen.values()))


@pytest.mark.parametrize(
    ("fold", "protocol", "text"),
    [
        (0, "cross_fitted", r"fold: expected one of \[1, 2, 3\], got 0; nobody is in it"),
        (4, "paper", r"fold: expected one of \[1, 2, 3\], or 0 for the published split, got 4"),
        (1, "crossed", "protocol: expected paper or cross_fitted, got 'crossed'"),
    ],
)
def test_folds_and_protocols_that_are_not_there_are_refused(fold: int, protocol: str, text: str):
    with pytest.raises(ValueError, match=text):
        splits.roles(people(9, 3), fold, protocol)


def test_too_few_patients_to_train_on_are_told():
    with pytest.raises(ValueError, match="fold 1: expected patients to train on beside 1 who choose .* none"):
        splits.roles(people(2, 2), 1, "cross_fitted")


# -- tasks


@pytest.mark.parametrize(("patients", "folds"), [(12, 3), (42, 5), (13, 4)])
def test_an_inner_model_sees_neither_of_its_two_folds(patients, folds):
    table = people(patients, folds)
    outer = table.set_index("patient_id")["outer_fold"]
    for fold, inner in combinations(range(1, folds + 1), 2):
        found = splits.roles(table, fold, "cross_fitted", inner)
        assert set(found["test"]) == set(outer.index[outer.isin([fold, inner])])
        seen = set(found["train"]) | set(found["validation"])
        assert seen == set(outer.index) - set(found["test"]) and found["train"] and found["validation"]
        assert not set(found["train"]) & set(found["validation"])


def test_a_cross_fitted_task_tests_everybody_once():
    table = people(42, 5)
    found = [splits.task_roles(table, k, "cross_fitted") for k in splits.task_folds(table, "cross_fitted")]
    tested = [patient for roles in found for patient in roles["test"]]
    assert sorted(tested) == sorted(table["patient_id"])
    for roles in found:
        assert sorted(sum(roles.values(), [])) == sorted(table["patient_id"])
        assert len(roles["validation"]) == 8  # a quarter of 33 or 34: as many as a fold of the paper's 38


def test_a_task_of_the_paper_has_the_published_test_patients_in_every_fold():
    table = people(42, 5)
    published = set(table.loc[table["split"] == "test", "patient_id"])
    validated = []
    for fold in splits.task_folds(table):
        roles = splits.task_roles(table, fold)
        assert set(roles["test"]) == published
        assert set(roles["train"]) | set(roles["validation"]) == set(table["patient_id"]) - published
        assert not set(roles["train"]) & set(roles["validation"])
        validated += roles["validation"]
    assert len(validated) == len(set(validated)) == 38


def test_a_second_fold_is_left_out_under_cross_fitting_alone():
    table = people(12, 3)
    with pytest.raises(
        ValueError, match="inner: expected 0, or under cross_fitted another fold than 1, got 2"
    ):
        splits.roles(table, 1, "paper", 2)
    with pytest.raises(ValueError, match="inner: expected 0, .* another fold than 1, got 1"):
        splits.roles(table, 1, "cross_fitted", 1)
    with pytest.raises(ValueError, match="got 7; nobody is in it"):
        splits.roles(table, 1, "cross_fitted", 7)
    with pytest.raises(ValueError, match="protocol: expected paper or cross_fitted, got 'papper'"):
        splits.task_roles(table, 1, "papper")


def test_given_folds_are_the_outer_folds_of_test_patients_too():
    given = pd.array([1] * 9 + [2] * 9 + [3] * 8 + [4] * 8 + [5] * 8, "Int64")
    table = pd.DataFrame({"patient_id": [f"P{k:02}" for k in range(42)], "split": None, "fold": given})
    for seed in range(10):
        dealt = splits.split(table, 5, seed)
        assert (dealt["split"] == "test").sum() == 4 and dealt["fold"].isna().sum() == 4
        assert dealt["outer_fold"].tolist() == list(given)
