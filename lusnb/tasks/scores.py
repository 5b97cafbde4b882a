"""From a task's predictions, one row each, to decisions about patients and to scores.

A table of predictions holds arm, model, seed, fold, split, patient_id and, per task,
sf_change: clip_1, clip_2, day_1, day_2, truth, logit_0, logit_1, logit_2 (decrease, same, increase);
sf_ratio: clip_id, day, view, truth, prediction (S/F divided by the cohort's maximum);
readmission: view, clip_1, clip_2, truth, logit_0, logit_1 (not readmitted, readmitted).
Class tasks may have a temperature too (`tempered`): calibrated probabilities are softmax(logits /
temperature); 1 where it is missing. Scores are tidy: arm, model, seed, fold, split, patient_id (blank: the
pairs, days or decisions of all patients pooled, as the paper counts), metric, value.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from lusnb import calibration
from lusnb.tasks import reference
from lusnb.tasks.question import RUN
from lusnb.tasks.task import Task

TIDY = [*RUN, "patient_id", "metric", "value"]
POOLED = 0  # the "fold" of all outer folds' test predictions put together


# -- predictions


def logits(table: pd.DataFrame) -> np.ndarray:
    """The logits of predictions, float (n, classes)."""
    return table[_classes(table)].to_numpy(float)


def _classes(table: pd.DataFrame) -> list[str]:
    return sorted(c for c in table if c.startswith("logit_"))


def cooled(table: pd.DataFrame) -> np.ndarray:
    """Logits divided by their row's temperature."""
    if "temperature" not in table:
        return logits(table)
    return logits(table) / table["temperature"].fillna(1.0).to_numpy(float)[:, None]


def tempered(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions with a column `temperature`: of each network that which fits its validation units best,
    1 for baselines. Predictions of a value, and none at all, as they are."""
    if not _classes(predictions):
        return predictions
    table = predictions.assign(temperature=1.0)
    networks = table[table["model"] == "tsm"].groupby(["arm", "seed", "fold"], sort=False)
    for _, own in networks:
        known = own[own["split"] == "validation"]
        truth = known["truth"].to_numpy(int)
        table.loc[own.index, "temperature"] = calibration.fit_temperature(logits(known), truth)
    return table


def each_run(table: pd.DataFrame, of_one: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """What `of_one` makes of the predictions of each run, under one another, with the columns RUN."""
    runs = table.groupby(RUN, sort=False)
    parts = [of_one(own).assign(**dict(zip(RUN, run, strict=True))) for run, own in runs]
    return pd.concat(parts, ignore_index=True)


# -- scores


def score(task: Task, predictions: pd.DataFrame, protocol: str = "paper") -> pd.DataFrame:
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
    return pd.DataFrame(rows, columns=TIDY)


def _scored(task: Task, same: dict, table: pd.DataFrame) -> list[dict]:
    return [{**same, "metric": m, "value": float(v)} for m, v in task.scores(table).items()]


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
