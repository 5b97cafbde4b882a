"""From a task's predictions, one row each, to decisions about patients and to scores.

A table of predictions holds arm, model, seed, fold, split, patient_id and, per task,
sf_change: clip_1, clip_2, day_1, day_2, truth, logit_0, logit_1, logit_2 (decrease, same, increase);
sf_ratio: clip_id, day, view, truth, prediction (S/F divided by the cohort's maximum);
readmission: view, clip_1, clip_2, truth, logit_0, logit_1 (not readmitted, readmitted).
Class tasks may have a temperature too: calibrated probabilities are softmax(logits / temperature); 1 where it
is missing. Scores are tidy: arm, model, seed, fold, split, patient_id (blank: the pairs, days or decisions of
all patients pooled, as the paper counts), metric, value.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from lusnb.calibration import auroc
from lusnb.tasks import reference

# the score that each task leads with (a mean over patients: compare/tasks.py), and those of its table
LEADING = {"sf_change": "accuracy_2class_cross_day", "sf_ratio": "rmse_mean", "readmission": "accuracy"}
METRICS = {
    "sf_change": ["accuracy_3class", "accuracy_2class", "accuracy_3class_cross_day", LEADING["sf_change"]],
    "sf_ratio": ["rmse_max", "rmse_mean", "rmse_median"],
    "readmission": ["accuracy", "recall", "precision"],
}
RUN = ["arm", "model", "seed", "fold", "split"]
AGGREGATES = ("max", "mean", "median")
CHANGES = ("decrease", "same", "increase")
OF_PAIRS = (
    *("accuracy_3class", "accuracy_2class", "balanced_accuracy", "auroc", "auroc_within_folds"),
    *("brier", "brier_tempered"),
)
AGREEMENT = 1.96  # SD on either side of the bias hold 95 % of the differences, if these are normal
CONSTANT = 1e-9  # predictions that differ by less are one and the same
POOLED = 0  # the "fold" of all outer folds' test predictions put together


def _logits(table: pd.DataFrame) -> np.ndarray:
    return table[sorted(c for c in table if c.startswith("logit_"))].to_numpy(float)


def _tempered(table: pd.DataFrame) -> np.ndarray:
    """Logits divided by their row's temperature."""
    if "temperature" not in table:
        return _logits(table)
    return _logits(table) / table["temperature"].fillna(1.0).to_numpy(float)[:, None]


# -- S/F change


def change_scores(table: pd.DataFrame) -> dict[str, float]:
    """Scores of pairs, and under the same names with `_cross_day` of the pairs of two days alone.

    accuracy_3class; accuracy_2class (increase against the rest: three classes read as two, as in the paper;
    of the majority what is more frequent of the two); balanced_accuracy (mean over the classes
    that are there of the share found); auroc (mean over classes, one against the rest, of the tempered
    probability) and auroc_within_folds (only pairs of one fold are compared, see `readmission_scores`); brier
    and brier_tempered (squared error summed over the classes, 0 to 2); <true>_as_<predicted>, counts. And
    the numbers of pairs and of each class.
    """
    cross = (table["day_1"] != table["day_2"]).to_numpy()
    truth = table["truth"].to_numpy(int)
    found = _pair_scores(table)
    found |= {f"{name}_cross_day": value for name, value in _pair_scores(table[cross]).items()}
    found |= {"pairs": len(table), "pairs_cross_day": int(cross.sum())}
    return found | {f"true_{name}": int((truth == k).sum()) for k, name in enumerate(CHANGES)}


def _pair_scores(table: pd.DataFrame) -> dict[str, float]:
    logits, truth = _logits(table), table["truth"].to_numpy(int)
    predicted, classes = logits.argmax(1) if len(table) else truth, range(len(CHANGES))
    counts = np.zeros((len(CHANGES), len(CHANGES)), int)
    np.add.at(counts, (truth, predicted), 1)
    named = {f"{CHANGES[i]}_as_{CHANGES[j]}": int(count) for (i, j), count in np.ndenumerate(counts)}
    if not len(table):
        return dict.fromkeys(OF_PAIRS, np.nan) | named
    p, tempered = softmax(logits, axis=1), softmax(_tempered(table), axis=1)
    increase = p[:, 2] > 0.5 if (table["model"] == "majority").all() else predicted == 2
    target, folds = np.eye(len(CHANGES))[truth], table["fold"].to_numpy()
    there = counts.sum(1) > 0
    values = (
        (predicted == truth).mean(),
        (increase == (truth == 2)).mean(),
        (counts.diagonal()[there] / counts.sum(1)[there]).mean(),
        pd.Series([auroc(tempered[:, k], truth == k) for k in classes]).mean(),
        pd.Series([auroc(tempered[:, k], truth == k, folds) for k in classes]).mean(),
        ((p - target) ** 2).sum(1).mean(),
        ((tempered - target) ** 2).sum(1).mean(),
    )
    return dict(zip(OF_PAIRS, values, strict=True)) | named


# -- S/F ratio


def patient_days(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient and day: truth, and the max, mean and median of the views' predictions."""
    groups = table.groupby(["patient_id", "day"], sort=True)
    first = {name: (name, "first") for name in ("fold", "truth")}
    return groups.agg(**first, **{a: ("prediction", a) for a in AGGREGATES}).reset_index()


def ratio_scores(table: pd.DataFrame) -> dict[str, float]:
    """Errors over patient-days for each way to aggregate the views: rmse_<max, mean, median>, and so on.

    rmse, mse; bias (calibration in the large: mean of predicted less true); limit_low and limit_high, the
    limits of agreement, bias -+ 1.96 SD of the differences (ddof = 1; Bland and Altman 1986; days of one
    patient are taken as independent); correlation (Pearson), NaN under three patient-days or where the
    prediction is one and the same within each fold. In units of the prediction.
    """
    days = patient_days(table)
    folds = days.groupby("fold")[list(AGGREGATES)]
    ranked = (folds.max() - folds.min() > CONSTANT).any() & (len(days) > 2) & (np.ptp(days["truth"]) > 0)
    found = {}
    for name in AGGREGATES:
        error = days[name] - days["truth"]
        bias, spread = error.mean(), AGREEMENT * error.std()
        mse = (error**2).mean()
        found |= {f"rmse_{name}": np.sqrt(mse), f"mse_{name}": mse, f"bias_{name}": bias}
        found |= {f"limit_low_{name}": bias - spread, f"limit_high_{name}": bias + spread}
        found[f"correlation_{name}"] = days[name].corr(days["truth"]) if ranked[name] else np.nan
    return {name: float(value) for name, value in found.items()} | {"patient_days": len(days)}


# -- readmission


def patient_votes(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient: majority vote over the views present, and the probability of readmission.

    A tie goes to the larger sum of logits, and where that ties too to class 0; `decided_by` says which:
    vote, logit_sum or class_0. log_odds: mean over the views of the difference of the tempered logits;
    probability and probability_tempered: the sigmoid of that mean, raw and tempered.
    """
    rows = []
    for patient, group in table.groupby("patient_id", sort=True):
        logits, tempered = _logits(group), _tempered(group)
        votes = np.bincount(logits.argmax(1), minlength=2)
        sums = logits.sum(0)
        if votes[0] != votes[1]:
            decision, by = int(votes[1] > votes[0]), "vote"
        elif sums[0] != sums[1]:
            decision, by = int(sums[1] > sums[0]), "logit_sum"
        else:
            decision, by = 0, "class_0"
        odds = [float((z[:, 1] - z[:, 0]).mean()) for z in (logits, tempered)]
        first = group.iloc[0]
        chances = [float(expit(o)) for o in odds]
        rows.append((patient, first["fold"], first["truth"], decision, by, len(group), *chances, odds[1]))
    columns = ["patient_id", "fold", "truth", "decision", "decided_by", "views"]
    return pd.DataFrame(rows, columns=[*columns, "probability", "probability_tempered", "log_odds"])


def all_votes(predictions: pd.DataFrame, model: str = "tsm") -> pd.DataFrame:
    """`patient_votes` of one model in every fold of the test split."""
    chosen = predictions[(predictions["model"] == model) & (predictions["split"] == "test")]
    parts = [patient_votes(table) for _, table in chosen.groupby("fold", sort=True)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def readmission_scores(table: pd.DataFrame) -> dict[str, float]:
    """Scores over patients.

    accuracy, recall and precision of the votes, and their counts (true_positive, ...); recall is NaN when no
    patient was readmitted, precision is 0 when nothing is predicted positive. auroc of the tempered log odds,
    NaN with one class alone. auroc_within_folds: only patients of one fold are compared, since different
    folds have different models, and over several of them a constant guess ranks below 0.5: a fold with more
    readmissions leaves fewer to learn from. brier: squared error of the probability, 0 to 1; bias:
    calibration in the large, mean probability less the share readmitted; both raw and `_tempered`.
    """
    votes = patient_votes(table)
    truth, decision = votes["truth"].to_numpy() == 1, votes["decision"].to_numpy() == 1
    hits, called = int((truth & decision).sum()), int(decision.sum())
    found = {
        "accuracy": float((truth == decision).mean()),
        "recall": hits / truth.sum() if truth.any() else np.nan,
        "precision": hits / called if called else 0.0,
        "auroc": auroc(votes["log_odds"], truth),
        "auroc_within_folds": auroc(votes["log_odds"], truth, votes["fold"]),
    }
    for end in ("", "_tempered"):
        error = votes[f"probability{end}"] - truth
        found |= {f"brier{end}": float((error**2).mean()), f"bias{end}": float(error.mean())}
    return found | {
        "true_positive": hits,
        "false_positive": called - hits,
        "false_negative": int(truth.sum()) - hits,
        "true_negative": int((~truth & ~decision).sum()),
        "predicted_positive": called,
        "decided_by_logits": int((votes["decided_by"] == "logit_sum").sum()),
        "decided_by_class_0": int((votes["decided_by"] == "class_0").sum()),
        "patients": len(votes),
    }


# -- all tasks

SCORES: dict[str, Callable] = {
    "sf_change": change_scores,
    "sf_ratio": ratio_scores,
    "readmission": readmission_scores,
}


def score(task: str, predictions: pd.DataFrame, protocol: str = "paper") -> pd.DataFrame:
    """Score every run in a table of predictions: pooled over its patients, and each patient alone.

    The trivial models say the same of a test unit in every fold (reference.one).
    Under protocol 'cross_fitted' rows of fold 0 are added: the test predictions of all outer folds together,
    every patient once a seed. Raises ValueError for an unknown protocol, and where a patient is tested twice.
    """
    if protocol not in ("paper", "cross_fitted"):
        raise ValueError(
            f"protocol: expected paper or cross_fitted, got {protocol!r}; correct the parameter."
        )
    rows, predictions = [], reference.one(predictions)
    for run, table in predictions.groupby(RUN, sort=True):
        parts = [("", table), *table.groupby("patient_id", sort=True)]
        for patient, part in parts:
            rows += _scored(task, dict(zip(RUN, run, strict=True)) | {"patient_id": patient}, part)
    if protocol == "cross_fitted":
        together = [name for name in RUN if name != "fold"]
        tested = predictions[predictions["split"] == "test"]
        for run, table in tested.groupby(together, sort=True):
            _check_once(table)
            same = dict(zip(together, run, strict=True)) | {"fold": POOLED, "patient_id": ""}
            rows += _scored(task, same, table)
    return pd.DataFrame(rows, columns=[*RUN, "patient_id", "metric", "value"])


def _scored(task: str, same: dict, table: pd.DataFrame) -> list[dict]:
    return [{**same, "metric": m, "value": float(v)} for m, v in SCORES[task](table).items()]


def _check_once(table: pd.DataFrame) -> None:
    folds = table.groupby("patient_id")["fold"].nunique()
    if (folds > 1).any():
        raise ValueError(
            f"predictions: expected each patient in the test set of one outer fold, got {folds.idxmax()} in "
            f"{folds.max()}; score with protocol='paper', or deal the patients to outer folds again."
        )


def over_folds(scores: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The pooled scores in one number each, as the paper counts: arm, model, metric, mean, sd, folds.

    Mean and SD (ddof = 1) over folds, averaged over seeds first: the folds share their test patients, so this
    spread is that of retraining alone. Where the folds were put together (rows of fold 0): that value,
    averaged over seeds; sd is blank, and folds counts the outer ones.
    """
    pooled = scores[(scores["patient_id"].fillna("") == "") & (scores["split"] == split)]
    key = ["arm", "model", "metric"]
    folds = pooled.groupby([*key, "fold"], sort=False)["value"].mean().reset_index()
    outer = folds[folds["fold"] != POOLED].groupby(key, sort=False)["value"]
    table = outer.agg(mean="mean", sd="std", folds="count")
    together = folds[folds["fold"] == POOLED].set_index(key)["value"]
    if len(together):
        table = table.assign(mean=together, sd=np.nan, folds=outer.size())
    return table.reset_index()
