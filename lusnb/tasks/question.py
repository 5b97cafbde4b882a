"""What a clinical task asks, as one object: its units, what it needs of a cohort, and what is learnt from.

How answers are scored is in tasks/task.py: a score trains nothing. Nothing here needs torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params

Units = Callable[[Cohort, Params], pd.DataFrame]
RUN = ["arm", "model", "seed", "fold", "split"]  # what a prediction, and then a score, is of


@dataclass(frozen=True)
class Pairs:
    """Pairs of clips to learn from, drawn anew each epoch and each in a random order.

    ids, zones: of every clip, (clips,); pairs are of one zone. every: all unordered pairs of clip ids,
    (pairs, 2). target: the classes of ordered pairs, (n, 2) clip ids -> int (n,).
    """

    ids: np.ndarray
    zones: np.ndarray
    every: np.ndarray
    target: Callable[[np.ndarray], np.ndarray]


def of_one_kind(units: pd.DataFrame) -> np.ndarray:
    """All units are of one kind, bool (n,)."""
    return np.zeros(len(units), bool)


@dataclass(frozen=True)
class Question:
    """A task, up to its predictions.

    name: as in study.yaml. classes: names of the answers, in the order of the logits; () where the answer is
    a value. output: what an explained output is, in words; of three classes and more, each logit has its own.

    units: of a cohort (all its clips and patients count) and the task's parameters: one row a question asked,
    with patient_id, truth, and clip_id, or clip_1 and clip_2, whose features are subtracted.
    lacks: what a cohort misses, a sentence each; [] where the task can be done.
    reasons: why a clip can be left out (coverage.REASONS), in the order in which they are looked at.
    holds: of a cohort, its units and the parameters: reason -> bool (clips,), where `reasons` has more than
    what every task leaves out (no view, an unknown view, no day).

    features: of units and the clips' measures (indexed by clip_id), float (n, k), for the regressions.
    once: the columns that name one truth: the trivial model counts each once, (): every unit.
    of_a_kind: units whose answer is likely another, bool (n,); the trivial model answers both kinds apart.

    pairs: what is learnt from, if not the units of the training patients themselves.
    telling: the units that are worth explaining, bool (n,).
    """

    name: str
    classes: tuple[str, ...]
    output: str
    units: Units
    lacks: Callable[[Cohort], list[str]]
    reasons: tuple[str, ...]
    holds: Callable[[Cohort, pd.DataFrame, Mapping], dict[str, pd.Series]]
    features: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
    once: tuple[str, ...] = ()
    of_a_kind: Callable[[pd.DataFrame], np.ndarray] = of_one_kind
    pairs: Callable[[Cohort, Params], Pairs] | None = None
    telling: Callable[[pd.DataFrame], np.ndarray] | None = None

    def outputs(self) -> dict[str, str]:
        """What is explained, by its name in explained.csv, in words."""
        if not self.classes:
            return {"prediction": self.output}
        if len(self.classes) == 2:
            return {"logit_1 - logit_0": self.output}
        return {f"logit_{k}": f"{self.output} {name}" for k, name in enumerate(self.classes)}


def of_patients(cohort: Cohort, patients: list[str]) -> Cohort:
    """The cohort with the clips and rows of these patients alone."""
    clips = cohort.clips[cohort.clips["patient_id"].isin(patients)]
    return replace(
        cohort, clips=clips, patients=cohort.patients[cohort.patients["patient_id"].isin(patients)]
    )


def viewed(cohort: Cohort) -> pd.DataFrame:
    """The clips of the cohort's views, with their zone, ordered by patient, day, view and clip_id."""
    rank = {view: k for k, view in enumerate(cohort.views)}
    known = cohort.clips[cohort.clips["view"].isin(rank)]
    known = known.assign(zone=known["view"].map(cohort.views), rank=known["view"].map(rank))
    return known.sort_values(["patient_id", "day", "rank", "clip_id"]).drop(columns="rank")


def dated(cohort: Cohort) -> pd.DataFrame:
    """Of `viewed` the clips that have an S/F."""
    known = viewed(cohort)
    return known[known["sf_ratio"].notna()]


def without_views(cohort: Cohort) -> list[str]:
    """What every task misses of a cohort without views."""
    return [] if cohort.views else ["the cohort names no views"]


def without_sf(cohort: Cohort) -> list[str]:
    """What a task of S/F misses."""
    none = cohort.clips["sf_ratio"].isna().all()
    missing = ["no clip has an S/F ratio (exams.csv is absent or empty)"] if none else []
    return [*without_views(cohort), *missing]


def difference(units: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Measures of the second clip less those of the first, and the sizes of these differences: (n, 2 k)."""
    first, second = (table.loc[units[name]].to_numpy(float) for name in ("clip_1", "clip_2"))
    return np.hstack([second - first, np.abs(second - first)])


def both(units: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Measures of the first clip and of the second: (n, 2 k)."""
    return np.hstack([table.loc[units[name]].to_numpy(float) for name in ("clip_1", "clip_2")])


def own(units: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Measures of each clip: (n, k)."""
    return table.loc[units["clip_id"]].to_numpy(float)
