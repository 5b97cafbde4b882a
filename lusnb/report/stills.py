"""Small stacks of images for the figures: a label at every threshold, a frame as each arm segments it."""

import numpy as np
import pandas as pd

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare.finished import Held
from lusnb.report import figures
from lusnb.segment.predictions import CUT


def example_frame(cohort: Cohort, patients: list[str], merge: str) -> tuple[str, int]:
    """A frame of some patients with the most features painted, the median area of these: clip_id, frame.

    Of all patients where none of these has a labelled frame. Raises ValueError where there is none at all.
    """
    table = cohorts.labelled_frames(cohort)
    chosen = table["patient_id"].isin(patients)
    table = (table[chosen] if chosen.any() else table).reset_index(drop=True)
    if table.empty:
        raise ValueError(f"{cohort.folder / 'labels.csv'}: expected a labelled frame, found none; label one.")
    maps, _ = arrays.confidence_of(cohort, table, 64, merge)
    painted = (maps > 0).mean((2, 3))
    richest = np.flatnonzero((painted > 0).sum(1) == (painted > 0).sum(1).max())
    best = richest[np.argsort(painted[richest].sum(1), kind="stable")[len(richest) // 2]]
    return table.loc[best, "clip_id"], int(table.loc[best, "frame"])


def _row(cohort: Cohort, clip_id: str, frame: int) -> pd.DataFrame:
    table = cohorts.labelled_frames(cohort)
    return table[(table["clip_id"] == clip_id) & (table["frame"] == frame)]


def thresholds(cohort: Cohort, clip_id: str, frame: int, merge: str) -> dict[str, np.ndarray]:
    """The frame, its confidence, its targets at the seven thresholds, under their titles (Fig. 1, Fig. 2)."""
    row = _row(cohort, clip_id, frame)
    image = arrays.frames_of(cohort, row, None)[0]
    levels = arrays.confidence_of(cohort, row, None, merge)[0][0] / 255  # (C, H, W)
    shown = {"frame": image, "confidence": figures.overlay(image, levels, cohort.features, opacity=1.0)}
    for t in confidence.THRESHOLDS:
        shown[figures.threshold_name(t)] = figures.overlay(
            image, confidence.targets(levels, t), cohort.features
        )
    return shown


def predictions(
    cohort: Cohort, clip_id: str, frame: int, opened: dict[tuple[str, int], Held], arms: list[str], merge: str
) -> dict[str, np.ndarray]:
    """The frame, its confidence, the truth if it is known, and what each arm draws (Fig. 4), by their titles.

    opened: (arm, seed) -> Held, whose frame it is; an arm's first seed is drawn at its own cut, and behind
    all of these the same at 0.5.
    """
    first = {arm: found for (arm, _), found in reversed(opened.items())}
    row = _row(cohort, clip_id, frame)
    size = first[arms[0]].labelled.shape[-1]
    image = arrays.frames_of(cohort, row, size)[0]
    levels = arrays.confidence_of(cohort, row, size, merge)[0][0] / 255
    shown = {"frame": image, "confidence": figures.overlay(image, levels, cohort.features, opacity=1.0)}
    if len(cohort.truth):
        truth, _ = arrays.confidence_of(cohort, row, size, source="truth")
        shown["truth"] = figures.overlay(image, truth[0] > 0, cohort.features)
    for fixed in (False, True):
        for arm in arms:
            cut = CUT if fixed else first[arm].cuts[row.index[0]]
            masks = first[arm].labelled[row.index[0]] >= cut  # (C, S, S)
            title = f"{arm}: cut at 0.5" if fixed else f"{arm}: own cut {cut / 255:.2f}"  # also where equal
            shown[title] = figures.overlay(image, masks, cohort.features)
    return shown


def segmented(
    seen: tuple[np.ndarray, np.ndarray], numbers: list[int], features: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Frames, uint8 (T, S, S), above what a network draws on them, (T, C, S, S), under their titles."""
    frames, levels = seen
    plain = {f"frame {t}": frame for t, frame in zip(numbers, frames, strict=True)}
    drawn = zip(numbers, frames, levels, strict=True)
    return plain | {
        f"frame {t}, segmented": figures.overlay(f, level >= 0.5, features) for t, f, level in drawn
    }
