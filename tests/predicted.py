"""Predictions of networks that were never trained, for tests of what is done with predictions."""

from dataclasses import replace

import numpy as np
import pandas as pd

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare.finished import Held

SIZE = 32


def partly_labelled(cohort: Cohort) -> Cohort:
    """The cohort without the labels of one feature of two test clips: unknown there, though not its truth."""
    ids = cohort.clips.loc[cohort.clips["patient_id"].isin(cohort.patients_in("test")), "clip_id"][:2]
    gone = cohort.labels["clip_id"].isin(ids) & (cohort.labels["feature"] == "b_line")
    assert gone.sum() == 2
    return replace(cohort, labels=cohort.labels[~gone])


def held(cohort: Cohort, seed: int, dropout: bool = False) -> Held:
    """Predictions that follow the labels loosely, with noise; tempered is halfway to 0.5."""
    maps, _ = arrays.confidence_of(cohort, cohorts.labelled_frames(cohort), SIZE)
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, maps.shape)
    levels = np.where(noise < 128, maps, noise // 2).astype(np.uint8)
    tempered = ((levels.astype(int) + 128) // 2).astype(np.uint8)
    sampled = np.where(rng.random(maps.shape) < 0.5, levels, tempered) if dropout else None
    cuts = rng.integers(90, 150, len(levels), np.uint8)  # as of several folds
    return Held(levels, tempered, cuts, sampled)


def arms(names: str, **groups: str) -> pd.DataFrame:
    """Arms of one letter each, every one a group of its own unless told."""
    rows = {
        n: {"threshold": 0.5, "shown": f"arm {n}", "supervision": "threshold", "group": groups.get(n, n)}
        for n in names
    }
    return pd.DataFrame.from_dict(rows, orient="index").assign(published=False).rename_axis("arm")


def scaled(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """A prediction on its frame's own pixels: uint8 (C, S, S) -> (C, height, width), nearest neighbour."""
    rows = ((np.arange(height) + 0.5) * maps.shape[1] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * maps.shape[2] / width).astype(int)
    return maps[:, rows[:, None], columns]
