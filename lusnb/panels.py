"""Small stacks of images for the figures: a label at every threshold, a frame as each arm segments it."""

import numpy as np
import pandas as pd

from lusnb import cohort as cohorts
from lusnb import confidence, figures
from lusnb.cohort import Cohort
from lusnb.predictions import CUT, Predictions


def example_frame(cohort: Cohort, patients: list[str], merge: str) -> tuple[str, int]:
    """A frame of some patients with the most features painted, the median area of these: clip_id, frame.

    Of all patients where none of these has a labelled frame. Raises ValueError where there is none at all.
    """
    table = cohorts.labelled_frames(cohort)
    chosen = table["patient_id"].isin(patients)
    table = (table[chosen] if chosen.any() else table).reset_index(drop=True)
    if table.empty:
        raise ValueError(f"{cohort.folder / 'labels.csv'}: expected a labelled frame, found none; label one.")
    maps, _ = cohorts.confidence_of(cohort, table, 64, merge)
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
    image = cohorts.frames_of(cohort, row, None)[0]
    levels = cohorts.confidence_of(cohort, row, None, merge)[0][0] / 255  # (C, H, W)
    shown = {"frame": image, "confidence": figures.overlay(image, levels, cohort.features, opacity=1.0)}
    for t in confidence.THRESHOLDS:
        shown[figures.threshold_name(t)] = figures.overlay(
            image, confidence.targets(levels, t), cohort.features
        )
    return shown


def predictions(
    cohort: Cohort, clip_id: str, frame: int, opened: dict[tuple[str, int], Predictions], arms: pd.Series
) -> dict[str, np.ndarray]:
    """The frame, and what each arm (its first seed) draws on it, under their titles (Fig. 4).

    opened: (arm, seed) -> Predictions. arms: label threshold of each arm.
    """
    first = {arm: found for (arm, _), found in reversed(opened.items())}
    where = _row(cohort, clip_id, frame).index[0]
    shown = {}
    for arm, t in arms.items():
        levels = first[arm].labelled[where]  # (C, S, S)
        image = cohorts.frames_of(cohort, _row(cohort, clip_id, frame), levels.shape[-1])[0]
        shown[f"{arm}: {figures.threshold_name(t)}"] = figures.overlay(image, levels >= CUT, cohort.features)
    return {"frame": image, **shown}


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
