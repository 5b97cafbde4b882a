"""Common ground: what every arm is measured on alike, whatever labels it was shown.

Held-out frames come in portions: only the arms' predictions, a byte a pixel, grow with their number. `opened`
maps (arm, seed) to finished.Held everywhere: uint8 probabilities of all labelled frames, 255 = 1.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort

BAND = 5  # pixels of dilation: foreground and its surround, where the background does not dominate
PORTION = 2**21  # pixels of labels held at once
TIDY = ["arm", "seed", "patient_id", "clip_id", "frame", "feature", "metric", "value"]


@dataclass(frozen=True)
class Ground:
    """Some held-out frames and what is known of them.

    table: clip_id, frame, patient_id, view, day. where: int (N,), their places among all labelled frames.
    labels: uint8 (N, C, S, S), 255 = 100 %; known: bool (N, C). truth, true: the same of a phantom's masks (0
    or 255); nothing is known where the cohort has no truth. near: bool (N, C, S, S), the painted pixels and a
    band of 5 pixels around them; near_truth: around what is painted or true, so that what a rater left out
    counts. spacing: mm (height, width) a pixel, one a frame.
    """

    table: pd.DataFrame
    where: np.ndarray
    labels: np.ndarray
    known: np.ndarray
    truth: np.ndarray
    true: np.ndarray
    near: np.ndarray
    near_truth: np.ndarray
    spacing: list[tuple[float, float]]


def size_of(opened: dict) -> int:
    """Pixels a side of all predictions; ValueError where arms differ, which leaves them no common labels."""
    sizes = {key: held.labelled.shape[-1] for key, held in opened.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{arm} {size} px" for (arm, _), size in sizes.items())
        raise ValueError(
            f"size: expected one size for all arms, so that they share labels, got {told}; "
            "set size in 03_train_segmentation.yaml alone."
        )
    return next(iter(sizes.values()))


def placed(cohort: Cohort, patients: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Labelled frames of some patients, and their places among all labelled frames; ValueError if none."""
    table = cohorts.labelled_frames(cohort)
    where = np.flatnonzero(table["patient_id"].isin(patients))
    if not len(where):
        raise ValueError(
            f"{cohort.folder / 'labels.csv'}: expected labelled frames of held-out patients, found none; "
            "label some, or change split in patients.csv."
        )
    return table.iloc[where].reset_index(drop=True), where


def grounds(cohort: Cohort, patients: list[str], size: int, merge: str) -> Iterator[Ground]:
    """The labelled frames of some patients at size x size, portion by portion, in the cohort's order."""
    from scipy.ndimage import binary_dilation

    table, where = placed(cohort, patients)
    step = max(1, PORTION // (len(cohort.features) * size**2))
    for first in range(0, len(table), step):
        part = table.iloc[first : first + step].reset_index(drop=True)
        labels, known = arrays.confidence_of(cohort, part, size, merge)
        truth, true = arrays.confidence_of(cohort, part, size, source="truth")
        near, near_truth = (
            binary_dilation(there, np.ones((1, 1, 3, 3), bool), iterations=BAND)
            for there in (labels > 0, (labels > 0) | (truth > 0))
        )
        spacing = [arrays.pixel_mm(cohort, clip_id, size) for clip_id in part["clip_id"]]
        yield Ground(part, where[first : first + step], labels, known, truth, true, near, near_truth, spacing)


def fractions(levels: np.ndarray) -> Tensor:
    """uint8, 255 = 1, as float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(levels)).float() / 255


def masked(scores: Tensor, known: np.ndarray) -> np.ndarray:
    """Scores (N, C), NaN where a feature is not known."""
    return np.where(known, scores.numpy(), np.nan)


def scored(
    cohort: Cohort,
    patients: list[str],
    opened: dict,
    merge: str,
    score: Callable[[Any, Ground], Mapping[Any, np.ndarray]],
    size: int | None = None,
) -> dict[tuple, pd.DataFrame]:
    """Apply `score` to each prediction and portion, and put the portions together.

    score(held, ground): name -> (n, C). Returns for each key of `opened` a table: patient_id, clip_id, frame,
    feature, metric (the name), value. The scores' place is made at the start: small tables made between large
    arrays would scatter over the memory and keep it.
    """
    table, where = placed(cohort, patients)
    sheets: dict[tuple, dict] = {key: {} for key in opened}
    for ground in grounds(cohort, patients, size or size_of(opened), merge):
        rows = np.searchsorted(where, ground.where)
        for key, held in opened.items():
            for name, value in score(held, ground).items():
                if name not in sheets[key]:
                    sheets[key][name] = np.full((len(table), len(cohort.features)), np.nan)
                sheets[key][name][rows] = value
    return {key: tidy(table, cohort.features, sheet) for key, sheet in sheets.items()}


def tidy(table: pd.DataFrame, features: tuple[str, ...], scores: dict[object, np.ndarray]) -> pd.DataFrame:
    """Scores (N, C) by name, one row each: patient_id, clip_id, frame, feature, metric, value."""
    images = table[["patient_id", "clip_id", "frame"]]
    images = images.loc[images.index.repeat(len(features))].assign(feature=list(features) * len(images))
    parts = [images.assign(metric=name, value=value.ravel()) for name, value in scores.items()]
    return pd.concat(parts, ignore_index=True)
