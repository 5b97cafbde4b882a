"""What is the S/F ratio of a clip's patient on its day?"""

from collections.abc import Mapping

import pandas as pd

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks import question
from lusnb.tasks.question import Question


def _units(cohort: Cohort, _: Params) -> pd.DataFrame:
    """One row a clip: patient_id, clip_id, day, view, truth (S/F divided by the cohort's maximum)."""
    table = question.dated(cohort)[["patient_id", "clip_id", "day", "view", "sf_ratio"]]
    return table.rename(columns={"sf_ratio": "truth"}).reset_index(drop=True)


def _holds(cohort: Cohort, _: pd.DataFrame, __: Mapping) -> dict[str, pd.Series]:
    return {"sf": cohort.clips["sf_ratio"].isna()}


QUESTION = Question(
    name="sf_ratio",
    classes=(),
    output="predicted S/F / maximum",
    units=_units,
    lacks=question.without_sf,
    reasons=("view", "unknown", "day", "sf"),
    holds=_holds,
    features=question.own,
    once=("patient_id", "day"),  # a patient's day weighs the same, however many clips it has
)
