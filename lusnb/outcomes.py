"""From a task's predictions, one row each, to decisions about patients and to scores.

A table of predictions holds arm, model, seed, fold, split, patient_id and, per task,
sf_change: clip_1, clip_2, day_1, day_2, truth, logit_0, logit_1, logit_2 (decrease, same, increase);
sf_ratio: clip_id, day, view, truth, prediction (S/F divided by the cohort's maximum);
readmission: view, clip_1, clip_2, truth, logit_0, logit_1 (not readmitted, readmitted).
Scores are tidy: arm, model, seed, fold, split, patient_id (blank: all patients pooled), metric, value.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

RUN = ["arm", "model", "seed", "fold", "split"]
AGGREGATES = ("max", "mean", "median")


def _logits(table: pd.DataFrame) -> np.ndarray:
    return table[sorted(c for c in table if c.startswith("logit_"))].to_numpy(float)


def change_scores(table: pd.DataFrame) -> dict[str, float]:
    """3-class and 2-class (increase against the rest) accuracy of pairs, and of cross-day pairs alone."""
    predicted, truth = _logits(table).argmax(1), table["truth"].to_numpy(int)
    three, two = predicted == truth, (predicted == 2) == (truth == 2)
    cross = (table["day_1"] != table["day_2"]).to_numpy()
    return {
        "accuracy_3class": three.mean(),
        "accuracy_2class": two.mean(),
        "accuracy_3class_cross_day": three[cross].mean() if cross.any() else np.nan,
        "accuracy_2class_cross_day": two[cross].mean() if cross.any() else np.nan,
        "pairs": len(table),
        "pairs_cross_day": int(cross.sum()),
        "true_decrease": int((truth == 0).sum()),
        "true_same": int((truth == 1).sum()),
        "true_increase": int((truth == 2).sum()),
    }


def patient_days(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient and day: truth, and the max, mean and median of the views' predictions."""
    groups = table.groupby(["patient_id", "day"], sort=True)
    return groups.agg(truth=("truth", "first"), **{a: ("prediction", a) for a in AGGREGATES}).reset_index()


def ratio_scores(table: pd.DataFrame) -> dict[str, float]:
    """Root mean squared error over patient-days, for each way to aggregate the views."""
    days = patient_days(table)
    errors = {a: float(np.sqrt(((days[a] - days["truth"]) ** 2).mean())) for a in AGGREGATES}
    return {f"rmse_{a}": error for a, error in errors.items()} | {"patient_days": len(days)}


def patient_votes(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient: majority vote over the views present.

    A tie goes to the larger sum of logits, and where that ties too to class 0; `decided_by` says which:
    vote, logit_sum or class_0.
    """
    rows = []
    for patient, group in table.groupby("patient_id", sort=True):
        logits = _logits(group)
        votes = np.bincount(logits.argmax(1), minlength=2)
        sums = logits.sum(0)
        if votes[0] != votes[1]:
            decision, by = int(votes[1] > votes[0]), "vote"
        elif sums[0] != sums[1]:
            decision, by = int(sums[1] > sums[0]), "logit_sum"
        else:
            decision, by = 0, "class_0"
        rows.append((patient, group["truth"].iloc[0], decision, by, len(group)))
    return pd.DataFrame(rows, columns=["patient_id", "truth", "decision", "decided_by", "views"])


def all_votes(predictions: pd.DataFrame, model: str = "tsm") -> pd.DataFrame:
    """`patient_votes` of one model in every fold of the test split: fold, patient_id, truth, decision, ..."""
    chosen = predictions[(predictions["model"] == model) & (predictions["split"] == "test")]
    parts = [patient_votes(table).assign(fold=fold) for fold, table in chosen.groupby("fold", sort=True)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def readmission_scores(table: pd.DataFrame) -> dict[str, float]:
    """Accuracy, recall and precision over patients; precision is 0 when nothing is predicted positive.

    Recall is NaN when no patient was readmitted.
    """
    votes = patient_votes(table)
    truth, decision = votes["truth"] == 1, votes["decision"] == 1
    hits = int((truth & decision).sum())
    return {
        "accuracy": float((truth == decision).mean()),
        "recall": hits / truth.sum() if truth.any() else np.nan,
        "precision": hits / decision.sum() if decision.any() else 0.0,
        "predicted_positive": int(decision.sum()),
        "decided_by_logits": int((votes["decided_by"] == "logit_sum").sum()),
        "decided_by_class_0": int((votes["decided_by"] == "class_0").sum()),
        "patients": len(votes),
    }


SCORES: dict[str, Callable] = {
    "sf_change": change_scores,
    "sf_ratio": ratio_scores,
    "readmission": readmission_scores,
}


def score(task: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """Score every run in a table of predictions: pooled over its patients, and each patient alone."""
    rows = []
    for run, table in predictions.groupby(RUN, sort=True):
        parts = [("", table), *table.groupby("patient_id", sort=True)]
        for patient, part in parts:
            same = dict(zip(RUN, run, strict=True)) | {"patient_id": patient}
            rows += [{**same, "metric": m, "value": float(v)} for m, v in SCORES[task](part).items()]
    return pd.DataFrame(rows, columns=[*RUN, "patient_id", "metric", "value"])


def over_folds(scores: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Mean and SD (ddof = 1) over folds of the pooled scores, averaged over seeds first.

    Columns: arm, model, metric, mean, sd, folds. The folds share their test patients: this spread is that of
    retraining alone.
    """
    pooled = scores[(scores["patient_id"].fillna("") == "") & (scores["split"] == split)]
    folds = pooled.groupby(["arm", "model", "metric", "fold"], sort=False)["value"].mean()
    groups = folds.groupby(["arm", "model", "metric"], sort=False)
    return groups.agg(mean="mean", sd="std", folds="count").reset_index()
