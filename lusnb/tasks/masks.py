"""Whose masks a clinical task reads: for each of its folds, the segmenters that may segment each patient.

Under `paper` one segmenter segments every clip. Under `cross_fitted` it depends on the fold of the task that
is tested, k: the clips of fold k come from the segmenter that never saw fold k, and those of another fold j
from an inner one that saw neither j nor k. So neither what a task learns from nor what it is asked was made
by a network that knew the patient or the patients to be tested.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lusnb import files
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.params import ParameterError, Params
from lusnb.segment import predictions
from lusnb.segment.predictions import Predictions
from lusnb.study import matrix, places, profile
from lusnb.study.runs import find


@dataclass(frozen=True)
class Segmented:
    """The tasks' frames of every clip of a cohort, segmented.

    task_size (pixels a side), task_frames (a clip), full: what a pixel that is surely of a feature is stored
    as, 1 (binary, packed) or 255. masks: fold -> uint8 (clips, T, C, s, b) as segment/predictions.py stores
    them, in the order of the cohort's clips. by: fold -> the run that segmented each clip, indexed by
    clip_id.
    """

    task_size: int
    task_frames: int
    full: int
    masks: Callable[[int], np.ndarray]
    by: Callable[[int], pd.Series]


def _as(found: Predictions, masks: Callable, by: Callable) -> Segmented:
    made = found.made_from
    return Segmented(made["task_size"], made["task_frames"], found.full, masks, by)


def whole(cohort: Cohort, found: Predictions, name: str = "") -> Segmented:
    """One segmenter for every clip and fold. name: of its run."""
    by = pd.Series(name, index=cohort.clips["clip_id"])
    return _as(found, lambda _: found.frames, lambda _: by)


def true(cohort: Cohort, like: Predictions) -> Segmented:
    """A phantom's true masks, at the size and the frames of another arm's predictions."""
    size, count = like.made_from["task_size"], like.made_from["task_frames"]
    masks = predictions.pack(arrays.true_masks(cohort, size, count))
    by = pd.Series("", index=cohort.clips["clip_id"])
    return Segmented(size, count, 1, lambda _: masks, lambda _: by)


def pair(fold: int, own: int) -> tuple[int, int]:
    """The folds (fold, inner) that a segmenter of fold `own` must not have seen, where `fold` is tested.

    inner 0: no second one. Without 1 and 2 is the same model for both.
    """
    return (fold, 0) if own == fold else (min(fold, own), max(fold, own))


def cross_fitted(cohort: Cohort, parts: dict[tuple[int, int], tuple[Predictions, str]]) -> Segmented:
    """Each clip from the segmenter that may segment it. parts: `pair` -> its predictions, its run's name."""
    own = cohort.clips["patient_id"].map(cohort.patients.set_index("patient_id")["outer_fold"])

    def masks(fold: int) -> np.ndarray:
        first = next(iter(parts.values()))[0].frames
        out = files.room((len(own), *first.shape[1:]))
        for other in sorted(own.unique()):
            where = np.flatnonzero(own == other)
            found = parts[pair(fold, other)][0]
            out[where] = found.frames[found.positions(cohort.clips["clip_id"].iloc[where])]
        return out

    def by(fold: int) -> pd.Series:
        return pd.Series([parts[pair(fold, k)][1] for k in own], index=cohort.clips["clip_id"])

    return _as(next(iter(parts.values()))[0], masks, by)


def open_segmenter(p: Params, cohort: Cohort, fingerprint: str) -> Segmented:
    """The masks that a task run reads, fold by fold: of its arm, or the true ones.

    Where there are none, for grayscale alone, size and frames are those of the first arm on the tasks.
    """
    asked = profile.load(p.profile)
    if p.protocol != asked.protocol:
        raise ParameterError(
            f"{p.notebook}: protocol is {p.protocol!r}, but profile {p.profile} has {asked.protocol!r}; "
            "give that."
        )
    arm = profile.segmenter_of(asked, p.arm)
    parts = {}
    for fold, inner in [(fold, 0) for fold in asked.segmenter_folds] + list(asked.inner_pairs):
        folder = find(p, matrix.NOTEBOOKS["train"], arm=arm, seed=p.seed, fold=fold, inner=inner)
        name = folder.relative_to(places.root() / "runs" / p.profile / p.cohort).as_posix()
        parts[fold, inner] = predictions.read(folder, fingerprint), name
        if p.arm in (GRAYSCALE, TRUE_MASKS):
            break  # a baseline takes nothing of it but the size and the frames
    first = next(iter(parts.values()))
    if p.arm == TRUE_MASKS:
        return true(cohort, first[0])
    if p.arm == GRAYSCALE or asked.protocol == "paper":
        return whole(cohort, *first)
    return cross_fitted(cohort, parts)
