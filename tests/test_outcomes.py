"""Scores and decisions, worked by hand."""

import numpy as np
import pandas as pd
import pytest

from lusnb import outcomes

RUN = {"arm": "t060", "model": "tsm", "seed": 0, "fold": 1, "split": "test"}


def changes(rows: list[tuple]) -> pd.DataFrame:
    """rows: patient_id, day_1, day_2, truth, predicted class."""
    table = pd.DataFrame(rows, columns=["patient_id", "day_1", "day_2", "truth", "predicted"])
    logits = np.eye(3)[table.pop("predicted")] - 0.5
    return table.assign(**RUN, **{f"logit_{k}": logits[:, k] for k in range(3)})


def views(rows: list[tuple]) -> pd.DataFrame:
    """rows: patient_id, truth, logit_0, logit_1."""
    return pd.DataFrame(rows, columns=["patient_id", "truth", "logit_0", "logit_1"]).assign(**RUN)


def ratios(rows: list[tuple]) -> pd.DataFrame:
    """rows: patient_id, day, truth, prediction."""
    return pd.DataFrame(rows, columns=["patient_id", "day", "truth", "prediction"]).assign(**RUN)


# -- S/F change


def test_change_scores_by_hand():
    table = changes(
        [
            ("A", 0, 1, 2, 2),  # right, right
            ("A", 0, 1, 0, 1),  # wrong as one of three, right as "not an increase"
            ("A", 0, 0, 1, 1),  # the same day: right, right
            ("B", 1, 1, 1, 2),  # the same day: wrong, wrong
            ("B", 0, 1, 2, 0),  # wrong, wrong
        ]
    )
    assert outcomes.change_scores(table) == pytest.approx(
        {
            "accuracy_3class": 2 / 5,
            "accuracy_2class": 3 / 5,
            "accuracy_3class_cross_day": 1 / 3,
            "accuracy_2class_cross_day": 2 / 3,
            "pairs": 5,
            "pairs_cross_day": 3,
            "true_decrease": 1,
            "true_same": 2,
            "true_increase": 2,
        }
    )


def test_cross_day_scores_are_undefined_without_such_pairs():
    scores = outcomes.change_scores(changes([("A", 0, 0, 1, 1)]))
    assert scores["accuracy_3class"] == 1
    assert np.isnan(scores["accuracy_3class_cross_day"]) and np.isnan(scores["accuracy_2class_cross_day"])


# -- S/F ratio


def test_rmse_is_over_patient_days_for_each_way_to_aggregate():
    table = ratios(
        [
            ("A", 0, 0.5, 0.1),
            ("A", 0, 0.5, 0.2),
            ("A", 0, 0.5, 0.6),  # max 0.6, mean 0.3, median 0.2
            ("A", 1, 0.7, 0.7),  # a day of one view
            ("B", 0, 0.4, 0.8),
            ("B", 0, 0.4, 0.2),  # max 0.8, mean 0.5, median 0.5
        ]
    )
    days = outcomes.patient_days(table)
    assert days[["patient_id", "day"]].to_numpy().tolist() == [["A", 0], ["A", 1], ["B", 0]]
    np.testing.assert_allclose(days["max"], [0.6, 0.7, 0.8])
    np.testing.assert_allclose(days["mean"], [0.3, 0.7, 0.5])
    np.testing.assert_allclose(days["median"], [0.2, 0.7, 0.5])
    np.testing.assert_allclose(days["truth"], [0.5, 0.7, 0.4])
    assert outcomes.ratio_scores(table) == pytest.approx(
        {
            "rmse_max": np.sqrt((0.1**2 + 0 + 0.4**2) / 3),
            "rmse_mean": np.sqrt((0.2**2 + 0 + 0.1**2) / 3),
            "rmse_median": np.sqrt((0.3**2 + 0 + 0.1**2) / 3),
            "patient_days": 3,
        }
    )


# -- readmission


def test_votes_and_ties_by_hand():
    table = views(
        [
            ("A", 1, 0.0, 0.1),  # two views of three say 1, though the logits' sum says 0
            ("A", 1, 0.0, 0.1),
            ("A", 1, 9.0, 0.0),
            ("B", 0, 1.0, 0.0),  # one each: the sum of logits, 1.0 against 2.5, decides
            ("B", 0, 0.0, 2.5),
            ("C", 1, 2.0, 1.0),  # one each, and 3 against 3: class 0
            ("C", 1, 1.0, 2.0),
            ("D", 0, 3.0, 1.0),  # a single view
        ]
    )
    votes = outcomes.patient_votes(table)
    assert votes.to_numpy().tolist() == [
        ["A", 1, 1, "vote", 3],
        ["B", 0, 1, "logit_sum", 2],
        ["C", 1, 0, "class_0", 2],
        ["D", 0, 0, "vote", 1],
    ]
    assert outcomes.readmission_scores(table) == pytest.approx(
        {
            "accuracy": 2 / 4,
            "recall": 1 / 2,
            "precision": 1 / 2,
            "predicted_positive": 2,
            "decided_by_logits": 1,
            "decided_by_class_0": 1,
            "patients": 4,
        }
    )


def test_a_tie_may_also_go_to_class_0_by_the_logits():
    votes = outcomes.patient_votes(views([("A", 1, 3.0, 0.0), ("A", 1, 0.0, 1.0)]))
    assert votes[["decision", "decided_by"]].to_numpy().tolist() == [[0, "logit_sum"]]


def test_precision_is_0_when_nothing_is_predicted_positive_and_says_so():
    scores = outcomes.readmission_scores(views([("A", 1, 1.0, 0.0), ("B", 0, 1.0, 0.0)]))
    assert (scores["precision"], scores["recall"], scores["predicted_positive"]) == (0.0, 0.0, 0)
    assert scores["accuracy"] == 0.5


def test_recall_is_undefined_when_nobody_was_readmitted():
    scores = outcomes.readmission_scores(views([("A", 0, 0.0, 1.0), ("B", 0, 1.0, 0.0)]))
    assert np.isnan(scores["recall"])
    assert (scores["precision"], scores["accuracy"]) == (0.0, 0.5)


def test_all_votes_are_of_one_model_and_the_test_split():
    test = views([("A", 1, 0.0, 1.0)])
    table = pd.concat(
        [test, test.assign(fold=2, logit_0=5.0), test.assign(model="ridge"), test.assign(split="validation")]
    )
    votes = outcomes.all_votes(table)
    assert votes[["fold", "decision"]].to_numpy().tolist() == [[1, 1], [2, 0]]
    assert len(outcomes.all_votes(table, "ridge")) == 1
    assert len(outcomes.all_votes(table, "majority")) == 0


# -- tidy scores


def test_scores_are_pooled_and_of_each_patient_alone():
    table = changes([("A", 0, 1, 2, 2), ("A", 0, 1, 0, 0), ("B", 0, 1, 2, 1)])
    scores = outcomes.score("sf_change", pd.concat([table, table.assign(fold=2, truth=1)]))
    assert list(scores) == ["arm", "model", "seed", "fold", "split", "patient_id", "metric", "value"]
    three = scores[scores["metric"] == "accuracy_3class"].set_index(["fold", "patient_id"])["value"]
    assert three.loc[1].to_dict() == pytest.approx({"": 2 / 3, "A": 1.0, "B": 0.0})
    assert three.loc[2].to_dict() == pytest.approx({"": 1 / 3, "A": 0.0, "B": 1.0})


def test_no_predictions_give_an_empty_table_with_headers():
    empty = pd.DataFrame(columns=[*outcomes.RUN, "patient_id", "truth"])
    for task in outcomes.SCORES:
        assert list(outcomes.score(task, empty)) == [*outcomes.RUN, "patient_id", "metric", "value"]


def test_mean_and_sd_over_folds_by_hand():
    def row(fold: int, value: float, **changed: object) -> dict:
        return {**RUN, "fold": fold, "patient_id": "", "metric": "accuracy", "value": value, **changed}

    scores = pd.DataFrame(
        [
            row(1, 0.2),
            row(1, 0.4, seed=1),  # seeds are averaged first: fold 1 is 0.3
            row(2, 0.5),
            row(3, 0.7),
            row(1, 0.0, patient_id="A"),
            row(1, 0.0, split="validation"),
            row(1, 0.9, model="majority"),
            row(2, np.nan, metric="recall"),
            row(3, 1.0, metric="recall"),
        ]
    )
    folds = outcomes.over_folds(scores).set_index(["model", "metric"])
    tsm = folds.loc[("tsm", "accuracy")]
    assert tsm["mean"] == pytest.approx(0.5)
    assert tsm["sd"] == pytest.approx(np.sqrt((0.2**2 + 0 + 0.2**2) / 2))  # 0.3, 0.5, 0.7 with ddof = 1
    assert tsm["folds"] == 3
    assert folds.loc[("majority", "accuracy"), "mean"] == 0.9
    assert np.isnan(folds.loc[("majority", "accuracy"), "sd"])
    assert folds.loc[("tsm", "recall"), ["mean", "folds"]].to_list() == [1.0, 1]
    validation = outcomes.over_folds(scores, "validation")
    assert validation["mean"].to_list() == [0.0]
    as_read = outcomes.over_folds(scores.assign(patient_id=scores["patient_id"].replace("", np.nan)))
    pd.testing.assert_frame_equal(as_read, outcomes.over_folds(scores))
