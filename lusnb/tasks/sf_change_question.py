"""Did S/F change from a first to a second clip of one zone? Pairs of one patient; for training of any two."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks import question
from lusnb.tasks.question import Pairs, Question

DECREASE, SAME, INCREASE = 0, 1, 2
ROUNDING = 1e-9  # a change of exactly the tolerance is "same", whatever the last bit says
CLASSES = ("decrease", "same", "increase")
COLUMNS = ["patient_id", "zone", "clip_1", "clip_2", "day_1", "day_2", "sf_1", "sf_2"]


def change_class(first: np.ndarray, second: np.ndarray, tolerance: float) -> np.ndarray:
    """Class of S/F from a first to a second clip: 0 decrease, 1 same (within tolerance), 2 increase."""
    change = np.asarray(second, float) - np.asarray(first, float)
    return np.where(np.abs(change) <= tolerance + ROUNDING, SAME, np.where(change > 0, INCREASE, DECREASE))


def within_patient_pairs(cohort: Cohort, tolerance: float) -> pd.DataFrame:
    """Every pair of clips of one patient and one zone, the earlier first; same-day pairs by view, clip_id.

    tolerance: as a fraction of the cohort's largest S/F. Columns: patient_id, zone, clip_1, clip_2, day_1,
    day_2, truth (0 decrease, 1 same, 2 increase).
    """
    rows = []
    for (patient, zone), group in question.dated(cohort).groupby(["patient_id", "zone"], sort=True):
        for a, b in combinations(group.itertuples(), 2):
            rows.append((patient, zone, a.clip_id, b.clip_id, a.day, b.day, a.sf_ratio, b.sf_ratio))
    pairs = pd.DataFrame(rows, columns=COLUMNS)
    truth = change_class(pairs["sf_1"], pairs["sf_2"], tolerance)
    return pairs.assign(truth=truth).drop(columns=["sf_1", "sf_2"])


def training_pairs(cohort: Cohort) -> np.ndarray:
    """Every unordered pair of clips of one zone, across patients and days: clip ids, (pairs, 2)."""
    groups = question.dated(cohort).groupby("zone", sort=True)["clip_id"]
    pairs = [pair for _, ids in groups for pair in combinations(ids, 2)]
    return np.array(pairs, dtype=object).reshape(-1, 2)


def _units(cohort: Cohort, p: Params) -> pd.DataFrame:
    return within_patient_pairs(cohort, p.tolerance / cohort.sf_max)


def _pairs(cohort: Cohort, p: Params) -> Pairs:
    """Pairs across patients and days, classed by the S/F of their clips."""
    clips, tolerance = question.dated(cohort), p.tolerance / cohort.sf_max
    sf = clips.set_index("clip_id")["sf_ratio"]

    def target(ordered: np.ndarray) -> np.ndarray:
        first, second = (sf.loc[ordered[:, k]].to_numpy() for k in (0, 1))
        return change_class(first, second, tolerance)

    return Pairs(clips["clip_id"].to_numpy(object), clips["zone"].to_numpy(), training_pairs(cohort), target)


def _holds(cohort: Cohort, _: pd.DataFrame, __: Mapping) -> dict[str, pd.Series]:
    without = cohort.clips["sf_ratio"].isna()
    return {"sf": without, "alone": ~without}


def _same_day(units: pd.DataFrame) -> np.ndarray:
    """Whoever knows the days knows that the pairs of one day are the same."""
    return (units["day_1"] == units["day_2"]).to_numpy(bool)


QUESTION = Question(
    name="sf_change",
    classes=CLASSES,
    output="logit of",
    units=_units,
    lacks=question.without_sf,
    reasons=("view", "unknown", "day", "sf", "alone"),
    holds=_holds,
    features=question.difference,
    of_a_kind=_same_day,
    pairs=_pairs,
    telling=lambda units: ~_same_day(units),  # the answer to a same-day pair is known beforehand
)
