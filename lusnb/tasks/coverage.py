"""What each clinical task uses of a cohort, what it leaves out and why, counted."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lusnb.cohort import schema
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks.question import Question

REASONS = {
    "outcome": "its patient has no outcome",
    "view": "no view",
    "unknown": "a view that the cohort does not name",
    "day": "no day",
    "sf": "no S/F on its day",
    "alone": "the only clip of its patient and zone",
    "elsewhen": "neither of the two days",
    "once": "its view is missing on the other day",
    "again": "another clip of its view and day is used",
    "other": "another reason",
    "none": "a patient without clips",
}


def _reasons(question: Question) -> tuple[str, ...]:
    return (*question.reasons, "other")


def _used(units: pd.DataFrame) -> set[str]:
    """The clips that some unit has."""
    return {clip for name in ("clip_id", "clip_1", "clip_2") if name in units for clip in units[name]}


def _status(question: Question, cohort: Cohort, units: pd.DataFrame, p: Mapping) -> np.ndarray:
    """Of each clip: `used` where a unit has it, else the first of the question's reasons that holds."""
    clips = cohort.clips
    holds = {
        "view": clips["view"].isna(),
        "unknown": ~clips["view"].isin(cohort.views),
        "day": clips["day"].isna(),
        **question.holds(cohort, units, p),
    }
    used = clips["clip_id"].isin(_used(units))
    reasons = question.reasons
    return np.select([used, *(np.asarray(holds[k], bool) for k in reasons)], ["used", *reasons], "other")


def _people(
    question: Question, clips: pd.DataFrame, units: pd.DataFrame, patients: pd.DataFrame
) -> pd.DataFrame:
    """Of each patient: split, the furthest status of its clips, clips, units, and views and days in use."""
    order = ["none", *_reasons(question), "used"]
    used = clips[clips["status"] == "used"].groupby("patient_id")
    counts = {
        "furthest": clips["status"].map(order.index).groupby(clips["patient_id"]).max(),
        "clips": clips["patient_id"].value_counts(),
        "units": units["patient_id"].value_counts(),
        "views": used["view"].nunique(),
        "days": used["day"].nunique(),
    }
    ids = patients["patient_id"]
    table = pd.DataFrame({name: ids.map(found).fillna(0).astype(int) for name, found in counts.items()})
    return table.assign(split=patients["split"], status=[order[k] for k in table.pop("furthest")])


def _tally(question: Question, clips: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """`coverage` of some patients and their clips."""
    sums = people.groupby("status")["units"].sum()
    rows = [("all", "all", len(people), len(clips), people["units"].sum())]
    for name in (*_reasons(question), "none", "used"):
        counts = ((people["status"] == name).sum(), (clips["status"] == name).sum(), sums.get(name, 0))
        rows.append(("used", "used", *counts) if name == "used" else ("left out", REASONS[name], *counts))
    for kind in ("views", "days"):
        for k, own in people.groupby(kind, sort=True):
            rows.append((kind, str(k), len(own), own["clips"].sum(), own["units"].sum()))
    table = pd.DataFrame(rows, columns=["kind", "what", "patients", "clips", "units"])
    return table[(table["what"] != REASONS["other"]) | (table[["patients", "clips"]].sum(axis=1) > 0)]


def coverage(question: Question, cohort: Cohort, p: Params) -> pd.DataFrame:
    """What a task asks of a cohort, and what it leaves out and why: every patient and every clip once.

    p: the task's parameters. Columns: split (`all`, then those of the patients), kind,
    what, patients, clips, units. Kinds: `all`; `left out`, one row a reason; `used`; `views` and `days`, all
    patients again, by how many different ones their used clips show. So left out and used add up to all, and
    so do views, and days, in each column.
    A clip stands under the first reason that holds, in the question's order; a patient under `used` with one
    used clip, else with the clip that came furthest. A clip that is alone in its patient's zone is in no pair
    within a patient, but still trains S/F change, whose training pairs cross patients.
    """
    patients = cohort.patients
    units = question.units(cohort, p)
    clips = cohort.clips.assign(status=_status(question, cohort, units, p))
    people = _people(question, clips, units, patients)
    split = clips["patient_id"].map(patients.set_index("patient_id")["split"])
    parts = [_tally(question, clips, people).assign(split="all")]
    for name in schema.SPLITS:
        own = people[people["split"] == name]
        parts += [_tally(question, clips[split == name], own).assign(split=name)] if len(own) else []
    return pd.concat(parts, ignore_index=True)[["split", "kind", "what", "patients", "clips", "units"]]


def coverage_told(table: pd.DataFrame) -> str:
    """`coverage` of all patients in words: what is used, why the rest is not, views of a patient in use."""
    table = table[table["split"] == "all"]
    whole, used = (table[table["kind"] == kind].iloc[0] for kind in ("all", "used"))
    gone = table[(table["kind"] == "left out") & (table["clips"] + table["patients"] > 0)]
    reasons = [f"{r.what} (clips {r.clips}, whole patients {r.patients})" for r in gone.itertuples()]
    views = table[table["kind"] == "views"]
    shown = pd.Series(np.repeat(views["what"].astype(int), views["patients"]))
    spread = f"{shown.min()} to {shown.max()}, median {shown.median():g}" if len(shown) else "none"
    return (
        f"Used: clips {used.clips} of {whole.clips}, patients {used.patients} of {whole.patients}, "
        f"units {used.units}. Left out: {'; '.join(reasons) or 'nothing'}. Views in use, a patient: {spread}."
    )
