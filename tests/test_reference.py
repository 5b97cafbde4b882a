"""The one prediction of who knows nothing: by hand."""

import numpy as np
import pandas as pd
import pytest

from lusnb.tasks import reference
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS

SAME = {"arm": "t000", "seed": 0}


def test_the_training_means_of_the_folds_become_their_mean_where_they_test_the_same():
    rows = [
        ("mean", 1, "test", "P1", "c1", 0.4),
        ("mean", 2, "test", "P1", "c1", 0.6),
        ("mean", 1, "test", "P2", "c2", 0.4),  # tested in one fold alone
        ("mean", 1, "validation", "P3", "c3", 0.4),
        ("mean", 2, "validation", "P3", "c3", 0.6),
        ("tsm", 1, "test", "P1", "c1", 0.1),
        ("tsm", 2, "test", "P1", "c1", 0.9),
    ]
    table = pd.DataFrame(rows, columns=["model", "fold", "split", "patient_id", "clip_id", "prediction"])
    before = table.copy()
    found = reference.one(table.assign(**SAME))
    assert found["prediction"].to_list() == pytest.approx([0.5, 0.5, 0.4, 0.4, 0.6, 0.1, 0.9])
    pd.testing.assert_frame_equal(table, before)


def test_of_the_majority_the_probabilities_are_averaged():
    p = np.array([[0.8, 0.2], [0.5, 0.5]])
    rows = [("majority", fold, "test", "P1", "R1", *np.log(p[fold - 1])) for fold in (1, 2)]
    table = pd.DataFrame(rows, columns=["model", "fold", "split", "patient_id", "view", "logit_0", "logit_1"])
    found = reference.one(table.assign(**SAME))
    assert np.exp(found[["logit_0", "logit_1"]]).to_numpy() == pytest.approx(np.array([[0.65, 0.35]] * 2))


def test_pairs_of_one_day_and_of_two_stay_apart():
    rows = [
        ("majority", fold, "test", "P1", "a", second, 0, day, *np.log(p))
        for second, day, folds in (
            ("b", 0, [(0.1, 0.8, 0.1), (0.2, 0.6, 0.2)]),
            ("c", 1, [(0.4, 0.2, 0.4), (0.6, 0.2, 0.2)]),
        )
        for fold, p in enumerate(folds, 1)
    ]
    names = ["model", "fold", "split", "patient_id", "clip_1", "clip_2", "day_1", "day_2"]
    table = pd.DataFrame(rows, columns=[*names, "logit_0", "logit_1", "logit_2"]).assign(**SAME)
    p = np.exp(reference.one(table)[["logit_0", "logit_1", "logit_2"]].to_numpy())
    np.testing.assert_allclose(p, [[0.15, 0.7, 0.15]] * 2 + [[0.5, 0.2, 0.3]] * 2)
    scores = tasks_scores.score(TASKS["sf_change"], table.assign(truth=[1, 1, 0, 0]))
    brier = scores.query("metric == 'brier_cross_day' and patient_id == 'P1'")["value"]
    assert brier.to_list() == pytest.approx([0.5**2 + 0.2**2 + 0.3**2] * 2)  # the same in both folds


def test_nothing_to_unite_is_left_as_it_is():
    table = pd.DataFrame({"model": ["tsm"], "split": ["test"], "prediction": [0.5]})
    assert reference.one(table) is table
    empty = pd.DataFrame(columns=[*tasks_scores.RUN, "patient_id", "truth"])
    assert reference.one(empty) is empty
