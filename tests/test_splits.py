"""Outer folds: every patient is held out once, and never seen by the model that is asked about them."""

import numpy as np
import pandas as pd
import pytest

from lusnb import splits


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
