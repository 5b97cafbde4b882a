"""Labelled frames at a network's size: the images, what arms are trained on, what all are measured on."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment import harmonise

RESAMPLING = {"nearest": Image.Resampling.NEAREST, "linear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Labelled:
    """Labelled frames at the working size, on the CPU as uint8.

    table: clip_id, frame, patient_id, view, day. images (N, 1, S, S). confidence (N, C, S, S), 255 = 100 %:
    what every arm is measured on. known (N, C): False where a feature was not looked at. spacing: mm (height,
    width) a pixel, one an image. shown (N, R, C, S, S) and shown_known (N, R, C): what this arm is trained
    on, R raters apart or one merged map; None where it is what all are measured on.
    """

    table: pd.DataFrame
    images: Tensor
    confidence: Tensor
    known: Tensor
    spacing: list[tuple[float, float]]
    shown: Tensor | None = None
    shown_known: Tensor | None = None

    def of(self, patients: list[str]) -> np.ndarray:
        """Positions of the frames of some patients."""
        return np.flatnonzero(self.table["patient_id"].isin(patients))

    @property
    def taught(self) -> tuple[Tensor, Tensor]:
        """What the arm is trained on: uint8 (N, R, C, S, S), and known, bool (N, R, C)."""
        if self.shown is None:
            return self.confidence[:, None], self.known[:, None]
        return self.shown, self.shown_known


def load(cohort: Cohort, p: Params, trained_on: list[str]) -> Labelled:
    """Read every labelled frame of a cohort as one arm takes them.

    p: size, merge, measured_on, supervision, harmonise, only_rater, interpolation (of what is trained on;
    what all are measured on is never blurred). trained_on: the training patients, on whom alone the raters
    are harmonised. Raises ValueError for a size that the network cannot halve five
    times, and for a rater whom the cohort does not have.
    """
    size = p.size
    if size % 32 or size < 64:
        raise ValueError(
            f"size: expected a multiple of 32 from 64 on (the network halves five times), "
            f"got {size}; change it."
        )
    table = cohorts.labelled_frames(cohort)
    images = arrays.frames_of(cohort, table, size)
    maps, known = arrays.confidence_of(cohort, table, size, p.measured_on)
    spacing = [arrays.pixel_mm(cohort, clip_id, size) for clip_id in table["clip_id"]]
    taught = _taught(cohort, table, p, trained_on)
    return Labelled(
        table,
        torch.from_numpy(images)[:, None],
        torch.from_numpy(maps),
        torch.tensor(known),
        spacing,
        *(torch.from_numpy(array) for array in taught),
    )


def _taught(cohort: Cohort, table: pd.DataFrame, p: Params, trained_on: list[str]) -> tuple:
    """What the arm is trained on, (N, R, C, S, S) and (N, R, C); () where it is what all are measured on."""
    change = harmonise.mappings(harmonise.fit(cohort, trained_on), cohort.features) if p.harmonise else None
    if p.only_rater:
        own = cohort.labels[cohort.labels["rater"] == p.only_rater]
        if own.empty:
            names = ", ".join(sorted(cohort.labels["rater"].unique()))
            raise ValueError(f"only_rater: expected one of {names}, got {p.only_rater!r}; correct the arm.")
        cohort = replace(cohort, labels=own)
    if confidence.supervision(p).raters_apart:
        return arrays.raters_of(cohort, table, p.size, change, RESAMPLING[p.interpolation])
    as_measured = p.merge == p.measured_on and not p.only_rater and p.interpolation == "nearest"
    if change is None and as_measured:
        return ()
    how = RESAMPLING[p.interpolation]
    maps, known = arrays.confidence_of(cohort, table, p.size, p.merge, change=change, how=how)
    return maps[:, None], known[:, None]
