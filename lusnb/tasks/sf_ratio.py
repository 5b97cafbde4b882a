"""S/F ratio: errors over patients' days, and what its tables show."""

import numpy as np
import pandas as pd

from lusnb.tasks.scores import RUN, each_run
from lusnb.tasks.sf_ratio_question import QUESTION
from lusnb.tasks.task import Card, Task

AGGREGATES = ("max", "mean", "median")
AGREEMENT = 1.96  # SD on either side of the bias hold 95 % of the differences, if these are normal
CONSTANT = 1e-9  # predictions that differ by less are one and the same


def patient_days(table: pd.DataFrame) -> pd.DataFrame:
    """One row a patient and day: fold, truth, the max, mean and median of the views' predictions, views."""
    groups = table.groupby(["patient_id", "day"], sort=True)
    first = {name: (name, "first") for name in ("fold", "truth")}
    of_views = {a: ("prediction", a) for a in AGGREGATES} | {"views": ("prediction", "size")}
    return groups.agg(**first, **of_views).reset_index()


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
    found: dict[str, float] = {}
    for name in AGGREGATES:
        error = days[name] - days["truth"]
        bias, spread = error.mean(), AGREEMENT * error.std()
        mse = (error**2).mean()
        found |= {f"rmse_{name}": np.sqrt(mse), f"mse_{name}": mse, f"bias_{name}": bias}
        found |= {f"limit_low_{name}": bias - spread, f"limit_high_{name}": bias + spread}
        found[f"correlation_{name}"] = days[name].corr(days["truth"]) if ranked[name] else np.nan
    return {name: float(value) for name, value in found.items()} | {"patient_days": len(days)}


def _patients(table: pd.DataFrame, sf_max: float) -> pd.DataFrame:
    """Each patient's days as they are scored, in units of S/F."""
    days = each_run(table, patient_days).rename(columns={"mean": "value", "views": "count"})
    days[["truth", "value"]] *= sf_max
    return days[[*RUN, "patient_id", "day", "truth", "value", "count"]]


TASK = Task(
    question=QUESTION,
    title="S/F ratio",
    number=3,
    scores=ratio_scores,
    leading="rmse_mean",
    metrics=tuple(f"rmse_{name}" for name in AGGREGATES),
    counts=("patient_days",),
    second=(
        *("bias_mean", "limit_low_mean", "limit_high_mean", "correlation_mean", "bias_max", "bias_median"),
    ),
    compared="mse_mean",
    errors=("mse_mean",),
    words={"rmse_mean": "RMSE of S/F / maximum", "mse_mean": "squared error of S/F / maximum"},
    card=Card(
        kind="value",
        patients=_patients,
        axis="S/F",
        heading="S/F",
        note="Days of each patient, views averaged. On the dashed line: right.",
        known="sf",
    ),
)
