"""S/F change: scores of pairs, and what its tables show."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from lusnb.calibration import auroc
from lusnb.tasks.scores import RUN, cooled, logits
from lusnb.tasks.sf_change_question import CLASSES, INCREASE, QUESTION
from lusnb.tasks.task import Card, Task

OF_PAIRS = (
    *("accuracy_3class", "accuracy_2class", "balanced_accuracy", "auroc", "auroc_within_folds"),
    *("brier", "brier_tempered"),
)
LEADING = "accuracy_2class_cross_day"


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
    return found | {f"true_{name}": int((truth == k).sum()) for k, name in enumerate(CLASSES)}


def _pair_scores(table: pd.DataFrame) -> dict[str, float]:
    own, truth = logits(table), table["truth"].to_numpy(int)
    predicted, classes = own.argmax(1) if len(table) else truth, range(len(CLASSES))
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(counts, (truth, predicted), 1)
    named = {f"{CLASSES[i]}_as_{CLASSES[j]}": int(count) for (i, j), count in np.ndenumerate(counts)}
    if not len(table):
        return dict.fromkeys(OF_PAIRS, np.nan) | named
    p, tempered = softmax(own, axis=1), softmax(cooled(table), axis=1)
    increase = p[:, INCREASE] > 0.5 if (table["model"] == "majority").all() else predicted == INCREASE
    target, folds = np.eye(len(CLASSES))[truth], table["fold"].to_numpy()
    there = counts.sum(1) > 0
    values = (
        (predicted == truth).mean(),
        (increase == (truth == INCREASE)).mean(),
        (counts.diagonal()[there] / counts.sum(1)[there]).mean(),
        pd.Series([auroc(tempered[:, k], truth == k) for k in classes]).mean(),
        pd.Series([auroc(tempered[:, k], truth == k, folds) for k in classes]).mean(),
        ((p - target) ** 2).sum(1).mean(),
        ((tempered - target) ** 2).sum(1).mean(),
    )
    return dict(zip(OF_PAIRS, values, strict=True)) | named


def _patients(table: pd.DataFrame, _: float) -> pd.DataFrame:
    """Each patient's share of pairs whose class was right; truth: the share that truly rises."""
    right, rises = logits(table).argmax(1) == table["truth"], table["truth"] == INCREASE
    groups = table.assign(right=right, rises=rises).groupby([*RUN, "patient_id"], sort=False)
    found = groups.agg(truth=("rises", "mean"), value=("right", "mean"), count=("right", "size"))
    return found.reset_index()


TASK = Task(
    question=QUESTION,
    title="S/F change",
    number=2,
    scores=change_scores,
    leading=LEADING,
    metrics=("accuracy_3class", "accuracy_2class", "accuracy_3class_cross_day", LEADING),
    counts=("pairs", "pairs_cross_day", "true_decrease", "true_same", "true_increase"),
    second=(
        *("balanced_accuracy", "balanced_accuracy_cross_day", "auroc", "auroc_cross_day"),
        *("auroc_within_folds_cross_day", "brier", "brier_tempered"),
        *("brier_cross_day", "brier_tempered_cross_day"),
    ),
    compared="brier_cross_day",  # of probabilities: the most frequent of three classes is not always the
    errors=("brier_cross_day",),  # better guess of two
    rests="pairs_cross_day",
    words={
        LEADING: "2-class accuracy, cross-day pairs",
        "brier_cross_day": "Brier score, cross-day pairs",
    },
    card=Card(
        kind="share",
        patients=_patients,
        axis="right",
        heading="S/F change right",
        note="Share of the patient's pairs of clips whose class was right.",
        units="pairs",
    ),
)
