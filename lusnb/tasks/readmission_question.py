"""Will the patient be back within 30 days? One question a view with a clip on both days."""

from collections.abc import Mapping

import pandas as pd

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks import question, sf_change_question
from lusnb.tasks.question import Question

OUTCOME = "readmitted_30d"


def readmission_units(cohort: Cohort, days: tuple[int, int]) -> pd.DataFrame:
    """One row a patient and view with a clip on both days: patient_id, view, clip_1, clip_2, truth (0 or 1).

    Several clips of one view and day: the first by clip_id. Patients without an outcome or without any such
    view are left out.
    """
    outcome = cohort.patients.set_index("patient_id")[OUTCOME].dropna()
    clips = cohort.clips[cohort.clips["patient_id"].isin(outcome.index)]
    known = clips[clips["view"].isin(cohort.views)].sort_values("clip_id")
    first, second = (
        known[known["day"] == day].groupby(["patient_id", "view"], sort=True)["clip_id"].first()
        for day in days
    )
    units = pd.concat({"clip_1": first, "clip_2": second}, axis=1, join="inner").reset_index()
    return units.assign(truth=units["patient_id"].map(outcome).astype(int))


def _days(p: Mapping) -> tuple[int, int]:
    return p["first_day"], p["second_day"]


def _units(cohort: Cohort, p: Params) -> pd.DataFrame:
    return readmission_units(cohort, _days(p))


def _lacks(cohort: Cohort) -> list[str]:
    missing = question.without_views(cohort)
    if cohort.patients[OUTCOME].isna().all():
        missing.append(f"no patient has a value of {OUTCOME}")
    if cohort.clips["day"].dropna().nunique() < 2:
        missing.append("no clips of two days")
    if sf_change_question.QUESTION.lacks(cohort):
        missing.append("its networks start from those of S/F change, which cannot be trained here")
    return missing


def _holds(cohort: Cohort, units: pd.DataFrame, p: Mapping) -> dict[str, pd.Series]:
    clips, outcome = cohort.clips, cohort.patients.set_index("patient_id")[OUTCOME]
    seen = clips[clips["clip_id"].isin(units["clip_1"])]
    paired = pd.MultiIndex.from_frame(seen[["patient_id", "view"]])
    twice = pd.MultiIndex.from_frame(clips[["patient_id", "view"]]).isin(paired)
    return {
        "outcome": clips["patient_id"].map(outcome).isna(),
        "elsewhen": ~clips["day"].isin(_days(p)),
        "once": ~twice,
        "again": twice,
    }


QUESTION = Question(
    name="readmission",
    classes=("not readmitted", "readmitted"),
    output="log odds of readmission",
    units=_units,
    lacks=_lacks,
    reasons=("outcome", "view", "unknown", "day", "elsewhen", "once", "again"),
    holds=_holds,
    features=question.both,
    once=("patient_id",),
)
