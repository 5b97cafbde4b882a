"""Readmission: a patient's views vote; scores of these decisions, and what its tables show."""

import numpy as np
import pandas as pd
from scipy.special import expit

from lusnb.calibration import auroc
from lusnb.tasks.readmission_question import QUESTION
from lusnb.tasks.scores import RUN, cooled, each_run, logits
from lusnb.tasks.task import Card, Task


def patient_votes(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient: majority vote over the views present, and the probability of readmission.

    A tie goes to the larger sum of logits, and where that ties too to class 0; `decided_by` says which:
    vote, logit_sum or class_0. log_odds: mean over the views of the difference of the tempered logits;
    probability and probability_tempered: the sigmoid of that mean, raw and tempered.
    """
    rows = []
    for patient, group in table.groupby("patient_id", sort=True):
        own, tempered = logits(group), cooled(group)
        votes = np.bincount(own.argmax(1), minlength=2)
        sums = own.sum(0)
        if votes[0] != votes[1]:
            decision, by = int(votes[1] > votes[0]), "vote"
        elif sums[0] != sums[1]:
            decision, by = int(sums[1] > sums[0]), "logit_sum"
        else:
            decision, by = 0, "class_0"
        odds = [float((z[:, 1] - z[:, 0]).mean()) for z in (own, tempered)]
        first = group.iloc[0]
        chances = [float(expit(o)) for o in odds]
        rows.append((patient, first["fold"], first["truth"], decision, by, len(group), *chances, odds[1]))
    columns = ["patient_id", "fold", "truth", "decision", "decided_by", "views"]
    return pd.DataFrame(rows, columns=[*columns, "probability", "probability_tempered", "log_odds"])


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


def _patients(table: pd.DataFrame, _: float) -> pd.DataFrame:
    """Each patient's tempered probability of readmission, as it is scored."""
    votes = each_run(table, patient_votes)
    votes = votes.rename(columns={"probability_tempered": "value", "views": "count"})
    return votes[[*RUN, "patient_id", "truth", "value", "count"]]


TASK = Task(
    question=QUESTION,
    title="readmission",
    number=4,
    scores=readmission_scores,
    leading="accuracy",
    metrics=("accuracy", "recall", "precision"),
    counts=("patients", "predicted_positive"),
    second=(
        *("auroc", "auroc_within_folds", "brier", "brier_tempered", "bias", "bias_tempered"),
        *("true_positive", "false_positive", "false_negative", "true_negative"),
    ),
    compared="brier",
    errors=("brier",),
    several=False,
    words={"brier": "Brier score"},
    card=Card(
        kind="probability",
        patients=_patients,
        axis="probability",
        heading="Readmission",
        note="Tempered probability of readmission. Shaded: truly readmitted.",
    ),
)
