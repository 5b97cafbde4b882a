"""Scores and decisions, worked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from scipy.stats import pearsonr
from sklearn import metrics as sk

from lusnb import calibration
from lusnb.tasks import readmission, sf_change, sf_ratio
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS
from tests.guesses import predictions

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
    scores = sf_change.change_scores(table)
    known = {
        "accuracy_3class": 2 / 5,
        "accuracy_2class": 3 / 5,
        "accuracy_3class_cross_day": 1 / 3,
        "accuracy_2class_cross_day": 2 / 3,
        "balanced_accuracy": (0 + 1 / 2 + 1 / 2) / 3,
        "balanced_accuracy_cross_day": (0 + 1 / 2) / 2,  # two classes are there
        "increase_as_increase": 1,
        "increase_as_decrease": 1,
        "decrease_as_same": 1,
        "same_as_same": 1,
        "same_as_increase": 1,
        "same_as_increase_cross_day": 0,
        "decrease_as_same_cross_day": 1,
        "pairs": 5,
        "pairs_cross_day": 3,
        "true_decrease": 1,
        "true_same": 2,
        "true_increase": 2,
    }
    assert {name: scores[name] for name in known} == pytest.approx(known)
    counts = [value for name, value in scores.items() if "_as_" in name]
    assert len(counts) == 18 and sum(counts) == 5 + 3


def test_the_majority_of_two_classes_is_not_the_plurality_of_three():
    """45 % increase is the most frequent of three classes, and the rarer of two."""
    table = changes([("A", 0, 1, 2, 0)] * 9 + [("A", 0, 1, 0, 0)] * 7 + [("A", 0, 1, 1, 0)] * 4)
    logits = dict(zip(("logit_0", "logit_1", "logit_2"), np.log([0.35, 0.2, 0.45]), strict=True))
    scores = sf_change.change_scores(table.assign(model="majority", **logits))
    assert scores["accuracy_3class"] == pytest.approx(0.45)
    assert scores["accuracy_2class"] == scores["accuracy_2class_cross_day"] == pytest.approx(0.55)
    network = sf_change.change_scores(table.assign(**logits))  # as the paper reads three classes as two
    assert network["accuracy_2class"] == pytest.approx(0.45)
    often = dict(zip(logits, np.log([0.3, 0.1, 0.6]), strict=True))
    assert sf_change.change_scores(table.assign(model="majority", **often))["accuracy_2class"] == 0.45


def test_cross_day_scores_are_undefined_without_such_pairs():
    scores = sf_change.change_scores(changes([("A", 0, 0, 1, 1)]))
    assert scores["accuracy_3class"] == 1
    assert all(np.isnan(scores[f"{name}_cross_day"]) for name in sf_change.OF_PAIRS)
    assert sum(value for name, value in scores.items() if name.endswith("_cross_day") and "_as_" in name) == 0


def test_change_scores_are_scikit_learn_s():
    table = predictions("sf_change", "cross_fitted", np.random.default_rng(3), arms=("t000",))
    table = table[(table["model"] == "tsm") & (table["split"] == "test")]
    scores, truth = sf_change.change_scores(table), table["truth"].to_numpy()
    logits = table[["logit_0", "logit_1", "logit_2"]].to_numpy()
    raw, tempered = (softmax(z, axis=1) for z in (logits, logits / table[["temperature"]].to_numpy()))
    assert scores["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, logits.argmax(1)))
    assert scores["auroc"] == pytest.approx(sk.roc_auc_score(truth, tempered, multi_class="ovr"))
    for name, p in (("brier", raw), ("brier_tempered", tempered)):
        classes = [sk.brier_score_loss(truth == k, p[:, k]) for k in range(3)]
        assert scores[name] == pytest.approx(sum(classes))
    assert abs(scores["brier"] - scores["brier_tempered"]) > 1e-4
    names = [f"{a}_as_{b}" for a in sf_change.CLASSES for b in sf_change.CLASSES]
    counts = sk.confusion_matrix(truth, logits.argmax(1), labels=range(3))
    assert [scores[name] for name in names] == counts.ravel().tolist()
    crossing = table[table["day_1"] != table["day_2"]]
    alone = sf_change.change_scores(crossing)
    for name in sf_change.OF_PAIRS:
        assert scores[f"{name}_cross_day"] == pytest.approx(alone[name])


def test_auroc_leaves_out_a_class_that_is_not_there():
    table = changes([("A", 0, 1, 2, 2), ("A", 0, 1, 1, 1), ("A", 0, 1, 2, 1)])
    p = softmax(table[["logit_0", "logit_1", "logit_2"]].to_numpy(), axis=1)
    wanted = [sk.roc_auc_score(table["truth"] == k, p[:, k]) for k in (1, 2)]
    assert sf_change.change_scores(table)["auroc"] == pytest.approx(np.mean(wanted))
    assert np.isnan(sf_change.change_scores(table[:1])["auroc"])


def test_auroc_is_scikit_learn_s_with_ties_and_within_groups():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    groups = rng.integers(0, 3, 60)
    assert calibration.auroc(score, positive) == pytest.approx(sk.roc_auc_score(positive, score))
    parts = [(score[groups == g], positive[groups == g]) for g in range(3)]
    pairs = [own.sum() * (~own).sum() for _, own in parts]
    wanted = np.average([sk.roc_auc_score(own, s) for s, own in parts], weights=pairs)
    assert calibration.auroc(score, positive, groups) == pytest.approx(wanted)
    assert np.isnan(calibration.auroc(score, np.ones(60, bool)))


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
    days = sf_ratio.patient_days(table)
    assert days[["patient_id", "day"]].to_numpy().tolist() == [["A", 0], ["A", 1], ["B", 0]]
    np.testing.assert_allclose(days["max"], [0.6, 0.7, 0.8])
    np.testing.assert_allclose(days["mean"], [0.3, 0.7, 0.5])
    np.testing.assert_allclose(days["median"], [0.2, 0.7, 0.5])
    np.testing.assert_allclose(days["truth"], [0.5, 0.7, 0.4])
    scores = sf_ratio.ratio_scores(table)
    known = {
        "rmse_max": np.sqrt((0.1**2 + 0 + 0.4**2) / 3),
        "rmse_mean": np.sqrt((0.2**2 + 0 + 0.1**2) / 3),
        "rmse_median": np.sqrt((0.3**2 + 0 + 0.1**2) / 3),
        "mse_mean": (0.2**2 + 0 + 0.1**2) / 3,
        "bias_max": (0.1 + 0 + 0.4) / 3,
        "bias_mean": (-0.2 + 0 + 0.1) / 3,
        "patient_days": 3,
    }
    assert {name: scores[name] for name in known} == pytest.approx(known)


def test_limits_of_agreement_by_hand():
    table = ratios([("A", 0, 0.5, 0.4), ("A", 1, 0.6, 0.7), ("B", 0, 0.4, 0.7)])  # -0.1, 0.1, 0.3
    scores = sf_ratio.ratio_scores(table)
    assert scores["bias_mean"] == pytest.approx(0.1)
    assert scores["limit_low_mean"] == pytest.approx(0.1 - 1.96 * 0.2)
    assert scores["limit_high_mean"] == pytest.approx(0.1 + 1.96 * 0.2)
    assert scores["correlation_mean"] == pytest.approx(pearsonr([0.4, 0.7, 0.7], [0.5, 0.6, 0.4])[0])


def test_one_day_has_a_bias_and_no_limits():
    scores = sf_ratio.ratio_scores(ratios([("A", 0, 0.5, 0.4)]))
    assert scores["bias_max"] == pytest.approx(-0.1)
    assert np.isnan([scores[f"{name}_max"] for name in ("limit_low", "limit_high", "correlation")]).all()


def test_a_constant_of_each_fold_has_no_correlation():
    rows = [("A", 0, 0.9, 0.5), ("B", 0, 0.8, 0.5), ("C", 0, 0.3, 0.7), ("D", 0, 0.4, 0.7)]
    table = ratios(rows).assign(fold=[1, 1, 2, 2])  # the training mean is high where the tested are low
    assert np.isnan(sf_ratio.ratio_scores(table)["correlation_mean"])
    assert sf_ratio.ratio_scores(table.assign(fold=1))["correlation_mean"] < -0.9


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
    votes = readmission.patient_votes(table)
    shown = ["patient_id", "truth", "decision", "decided_by", "views"]
    assert votes[shown].to_numpy().tolist() == [
        ["A", 1, 1, "vote", 3],
        ["B", 0, 1, "logit_sum", 2],
        ["C", 1, 0, "class_0", 2],
        ["D", 0, 0, "vote", 1],
    ]
    scores = readmission.readmission_scores(table)
    known = {
        "accuracy": 2 / 4,
        "recall": 1 / 2,
        "precision": 1 / 2,
        "true_positive": 1,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 1,
        "predicted_positive": 2,
        "decided_by_logits": 1,
        "decided_by_class_0": 1,
        "patients": 4,
    }
    assert {name: scores[name] for name in known} == pytest.approx(known)


def test_a_patient_s_probability_is_that_of_the_mean_over_views():
    table = views([("A", 1, 0.0, 2.0), ("A", 1, 1.0, 5.0), ("B", 0, 1.0, 0.0)])
    votes = readmission.patient_votes(table.assign(temperature=[2.0, 2.0, 0.5])).set_index("patient_id")
    assert votes["probability"].to_list() == pytest.approx([expit(3), expit(-1)])
    assert votes["probability_tempered"].to_list() == pytest.approx([expit(1.5), expit(-2)])
    assert votes["log_odds"].to_list() == pytest.approx([1.5, -2])
    for plain in (table, table.assign(temperature=np.nan)):  # 1 where none is known
        own = readmission.patient_votes(plain)
        assert own["probability_tempered"].to_list() == own["probability"].to_list()


def test_readmission_probabilities_are_scored_as_scikit_learn_does():
    table = predictions("readmission", "cross_fitted", np.random.default_rng(5), arms=("t000",), patients=15)
    table = table[(table["model"] == "tsm") & (table["split"] == "test")]
    votes, scores = readmission.patient_votes(table), readmission.readmission_scores(table)
    truth = votes["truth"].to_numpy(int)
    assert scores["auroc"] == pytest.approx(sk.roc_auc_score(truth, votes["log_odds"]))
    for end in ("", "_tempered"):
        p = votes[f"probability{end}"]
        assert scores[f"brier{end}"] == pytest.approx(sk.brier_score_loss(truth, p))
        assert scores[f"bias{end}"] == pytest.approx(p.mean() - truth.mean())
    assert abs(scores["brier"] - scores["brier_tempered"]) > 1e-4
    named = ("true_negative", "false_positive", "false_negative", "true_positive")
    counts = sk.confusion_matrix(truth, votes["decision"].to_numpy(int)).ravel()
    assert [scores[name] for name in named] == counts.tolist()


def test_a_constant_guess_ranks_below_chance_over_folds_and_at_chance_within_them():
    low, high = (0.0, -1.0), (0.0, 1.0)  # more readmissions in the first fold leave fewer to learn from
    rows = [("A", 1, *low), ("B", 1, *low), ("C", 0, *low), ("D", 1, *high), ("E", 0, *high), ("F", 0, *high)]
    scores = readmission.readmission_scores(views(rows).assign(fold=[1, 1, 1, 2, 2, 2]))
    assert scores["auroc"] == pytest.approx(3 / 9)
    assert scores["auroc_within_folds"] == 0.5


def test_one_outcome_alone_has_no_auroc():
    scores = readmission.readmission_scores(views([("A", 1, 0.0, 1.0), ("B", 1, 1.0, 0.0)]))
    assert np.isnan(scores["auroc"]) and np.isnan(scores["auroc_within_folds"])
    assert scores["brier"] == pytest.approx((expit(-1) ** 2 + expit(1) ** 2) / 2)


def test_a_tie_may_also_go_to_class_0_by_the_logits():
    votes = readmission.patient_votes(views([("A", 1, 3.0, 0.0), ("A", 1, 0.0, 1.0)]))
    assert votes[["decision", "decided_by"]].to_numpy().tolist() == [[0, "logit_sum"]]


def test_precision_is_0_when_nothing_is_predicted_positive_and_says_so():
    scores = readmission.readmission_scores(views([("A", 1, 1.0, 0.0), ("B", 0, 1.0, 0.0)]))
    assert (scores["precision"], scores["recall"], scores["predicted_positive"]) == (0.0, 0.0, 0)
    assert scores["accuracy"] == 0.5


def test_recall_is_undefined_when_nobody_was_readmitted():
    scores = readmission.readmission_scores(views([("A", 0, 0.0, 1.0), ("B", 0, 1.0, 0.0)]))
    assert np.isnan(scores["recall"])
    assert (scores["precision"], scores["accuracy"]) == (0.0, 0.5)


# -- temperature


@pytest.mark.parametrize("classes", [2, 3])
def test_the_temperature_is_the_one_of_least_cross_entropy(classes: int):
    rng = np.random.default_rng(classes)
    calibrated = rng.normal(0, 1.5, (500, classes))
    truth = np.array([rng.choice(classes, p=p) for p in softmax(calibrated, axis=1)])

    def loss(t: float) -> float:
        return sk.log_loss(truth, softmax(3 * calibrated / t, axis=1))

    found = calibration.fit_temperature(3 * calibrated, truth)
    assert found == pytest.approx(minimize_scalar(loss, bounds=(0.1, 15), method="bounded").x, rel=1e-3)
    assert found == pytest.approx(3, rel=0.2)
    shifted = 3 * calibrated + rng.normal(size=(500, 1))  # what is added to all classes does not matter
    assert calibration.fit_temperature(shifted, truth) == pytest.approx(found)


def test_the_temperature_without_anything_to_fit_on_is_1():
    assert calibration.fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0
    assert calibration.fit_temperature(np.full((4, 2), 0.3), np.array([0, 1, 1, 1])) == 1.0
    assert (
        calibration.fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) == 1.0
    )  # all right
    assert (
        calibration.fit_temperature(np.array([[0.01, 0.0], [0.0, 0.0]]), np.array([0, 1])) == 1.0
    )  # or even


def test_the_lowest_temperature_is_taken_where_the_best_lies_below():
    """Three of four right by the same small margin d: softmax says 3/4 at T = d / ln 3."""
    truth = np.array([0, 0, 0, 1])
    for margin, want in ((0.1, 0.1 / np.log(3)), (0.06, 0.06 / np.log(3)), (0.05, 0.05), (0.001, 0.05)):
        logits = np.tile([margin, 0.0], (4, 1))
        assert calibration.fit_temperature(logits, truth) == pytest.approx(want, rel=1e-6)


def test_logits_that_say_less_than_chance_are_not_believed():
    assert calibration.fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1, 0])) == 20.0


# -- tidy scores


def test_scores_are_pooled_and_of_each_patient_alone():
    table = changes([("A", 0, 1, 2, 2), ("A", 0, 1, 0, 0), ("B", 0, 1, 2, 1)])
    scores = tasks_scores.score(TASKS["sf_change"], pd.concat([table, table.assign(fold=2, truth=1)]))
    assert list(scores) == ["arm", "model", "seed", "fold", "split", "patient_id", "metric", "value"]
    three = scores[scores["metric"] == "accuracy_3class"].set_index(["fold", "patient_id"])["value"]
    assert three.loc[1].to_dict() == pytest.approx({"": 2 / 3, "A": 1.0, "B": 0.0})
    assert three.loc[2].to_dict() == pytest.approx({"": 1 / 3, "A": 0.0, "B": 1.0})


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_no_predictions_give_an_empty_table_with_headers(protocol: str):
    empty = pd.DataFrame(columns=[*tasks_scores.RUN, "patient_id", "truth"])
    for task in TASKS:
        assert list(tasks_scores.score(TASKS[task], empty, protocol)) == [
            *tasks_scores.RUN,
            "patient_id",
            "metric",
            "value",
        ]


@pytest.mark.parametrize("task", TASKS)
def test_outer_folds_are_put_together_beside_each_alone(task: str):
    table = predictions(task, "cross_fitted", np.random.default_rng(2), arms=("t000",), patients=4, folds=2)
    table = table[table["model"] == "tsm"]
    found = tasks_scores.score(TASKS[task], table, "cross_fitted")
    together = found[found["fold"] == tasks_scores.POOLED]
    alone = tasks_scores.score(TASKS[task], table)
    assert not (alone["fold"] == tasks_scores.POOLED).any()
    pd.testing.assert_frame_equal(found[found["fold"] != tasks_scores.POOLED].reset_index(drop=True), alone)
    assert (together["split"] == "test").all() and (together["patient_id"] == "").all()
    rows = table[table["split"] == "test"]
    assert rows["patient_id"].nunique() == 4
    assert together.set_index("metric")["value"].to_dict() == pytest.approx(
        TASKS[task].scores(rows), nan_ok=True
    )


def test_a_patient_who_is_tested_in_two_outer_folds_is_refused():
    table = pd.concat([views([("A", 1, 0.0, 1.0)]), views([("A", 1, 0.0, 1.0)]).assign(fold=2)])
    said = (
        r"predictions: expected each patient in the test set of one outer fold, got A in 2; "
        r"score with protocol='paper', or deal the patients to outer folds again\."
    )
    with pytest.raises(ValueError, match=said):
        tasks_scores.score(TASKS["readmission"], table, "cross_fitted")
    assert len(tasks_scores.score(TASKS["readmission"], table)) > 0


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="protocol: expected paper or cross_fitted, got 'loo'"):
        tasks_scores.score(TASKS["readmission"], views([("A", 1, 0.0, 1.0)]), "loo")


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
    folds = tasks_scores.over_folds(scores).set_index(["model", "metric"])
    tsm = folds.loc[("tsm", "accuracy")]
    assert tsm["mean"] == pytest.approx(0.5)
    assert tsm["sd"] == pytest.approx(np.sqrt((0.2**2 + 0 + 0.2**2) / 2))  # 0.3, 0.5, 0.7 with ddof = 1
    assert tsm["folds"] == 3
    assert folds.loc[("majority", "accuracy"), "mean"] == 0.9
    assert np.isnan(folds.loc[("majority", "accuracy"), "sd"])
    assert folds.loc[("tsm", "recall"), ["mean", "folds"]].to_list() == [1.0, 1]
    validation = tasks_scores.over_folds(scores, "validation")
    assert validation["mean"].to_list() == [0.0]
    as_read = tasks_scores.over_folds(scores.assign(patient_id=scores["patient_id"].replace("", np.nan)))
    pd.testing.assert_frame_equal(as_read, tasks_scores.over_folds(scores))


def test_folds_put_together_have_their_own_value_and_no_spread():
    def row(fold: int, value: float, seed: int = 0, split: str = "test") -> dict:
        same = {**RUN, "patient_id": "", "metric": "accuracy", "split": split}
        return {**same, "fold": fold, "seed": seed, "value": value}

    rows = [row(1, 0.2), row(2, 0.9), row(0, 0.6), row(1, 0.2, 1), row(2, 0.9, 1), row(0, 0.8, 1)]
    rows += [row(1, 0.1, split="validation"), row(2, 0.3, split="validation")]
    scores = pd.DataFrame(rows)
    (found,) = tasks_scores.over_folds(scores).itertuples()
    assert found.mean == pytest.approx(0.7) and np.isnan(found.sd) and found.folds == 2
    (found,) = tasks_scores.over_folds(scores, "validation").itertuples()
    assert (found.mean, found.folds) == (pytest.approx(0.2), 2) and found.sd > 0


def test_the_pooled_error_is_over_all_patients_and_not_the_mean_over_folds():
    table = predictions("sf_ratio", "cross_fitted", np.random.default_rng(0), patients=5, arms=("t060",))
    table = table[(table["model"] == "tsm") & (table["split"] == "test")]
    scores = tasks_scores.score(TASKS["sf_ratio"], table, "cross_fitted")
    days = scores.query("patient_id != '' and fold != 0").pivot_table(
        index="patient_id", columns="metric", values="value"
    )
    wanted = np.sqrt(np.average(days["mse_mean"], weights=days["patient_days"]))
    found = tasks_scores.over_folds(scores).set_index("metric")["mean"]
    assert found["rmse_mean"] == pytest.approx(wanted)
    folds = scores.query("patient_id == '' and fold != 0 and metric == 'rmse_mean'")["value"]
    assert abs(found["rmse_mean"] - folds.mean()) > 1e-6
