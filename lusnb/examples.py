"""What each clinical task learns from and is asked: clips, pairs of clips and pairs of days, as tables.

`clips` is a cohort's clip table with `sf_ratio`, S/F divided by the cohort's maximum; `views` maps a view to
its zone, in the cohort's order.
"""

from itertools import combinations

import numpy as np
import pandas as pd

DECREASE, SAME, INCREASE = 0, 1, 2
ROUNDING = 1e-9  # a change of exactly the tolerance is "same", whatever the last bit says
CLASSES = ("decrease", "same", "increase")


def change_class(first: np.ndarray, second: np.ndarray, tolerance: float) -> np.ndarray:
    """Class of S/F from a first to a second clip: 0 decrease, 1 same (within tolerance), 2 increase."""
    change = np.asarray(second, float) - np.asarray(first, float)
    return np.where(np.abs(change) <= tolerance + ROUNDING, SAME, np.where(change > 0, INCREASE, DECREASE))


def dated(clips: pd.DataFrame, views: dict) -> pd.DataFrame:
    """The clips that have an S/F and a view, with their zone, ordered by patient, day, view and clip_id."""
    rank = {view: k for k, view in enumerate(views)}
    known = clips[clips["sf_ratio"].notna() & clips["view"].isin(rank)]
    known = known.assign(zone=known["view"].map(views), rank=known["view"].map(rank))
    return known.sort_values(["patient_id", "day", "rank", "clip_id"]).drop(columns="rank")


def within_patient_pairs(clips: pd.DataFrame, views: dict, tolerance: float) -> pd.DataFrame:
    """Every pair of clips of one patient and one zone, the earlier first; same-day pairs by view, clip_id.

    Columns: patient_id, zone, clip_1, clip_2, day_1, day_2, truth (0 decrease, 1 same, 2 increase).
    """
    rows = []
    for (patient, zone), group in dated(clips, views).groupby(["patient_id", "zone"], sort=True):
        for a, b in combinations(group.itertuples(), 2):
            rows.append((patient, zone, a.clip_id, b.clip_id, a.day, b.day, a.sf_ratio, b.sf_ratio))
    pairs = pd.DataFrame(
        rows, columns=["patient_id", "zone", "clip_1", "clip_2", "day_1", "day_2", "sf_1", "sf_2"]
    )
    return pairs.assign(truth=change_class(pairs["sf_1"], pairs["sf_2"], tolerance)).drop(
        columns=["sf_1", "sf_2"]
    )


def training_pairs(clips: pd.DataFrame, views: dict) -> np.ndarray:
    """Every unordered pair of clips of one zone, across patients and days: clip ids, (pairs, 2)."""
    groups = dated(clips, views).groupby("zone", sort=True)["clip_id"]
    pairs = [pair for _, ids in groups for pair in combinations(ids, 2)]
    return np.array(pairs, dtype=object).reshape(-1, 2)


def orient(pairs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each pair, (pairs, 2), a random order."""
    flip = rng.random(len(pairs)) < 0.5
    return np.where(flip[:, None], pairs[:, ::-1], pairs)


def zone_batches(zones: np.ndarray, batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle the clips of each zone into batches of one zone: positions, at most about `batch` each.

    zones: the zone of each clip. A zone is cut into equal parts, so that no clip is left without a partner.
    """
    batches = []
    for zone in sorted(set(zones), key=str):
        where = rng.permutation(np.flatnonzero(zones == zone))
        if len(where) > 1:
            batches += np.array_split(where, max(1, min(round(len(where) / batch), len(where) // 2)))
    return [batches[k] for k in rng.permutation(len(batches))]


def readmission_units(
    clips: pd.DataFrame, patients: pd.DataFrame, views: dict, days: tuple[int, int]
) -> pd.DataFrame:
    """One row a patient and view with a clip on both days: patient_id, view, clip_1, clip_2, truth (0 or 1).

    Several clips of one view and day: the first by clip_id. Patients without an outcome or without any such
    view are left out.
    """
    outcome = patients.set_index("patient_id")["readmitted_30d"].dropna()
    known = clips[clips["patient_id"].isin(outcome.index) & clips["view"].isin(views)].sort_values("clip_id")
    first, second = (
        known[known["day"] == day].groupby(["patient_id", "view"], sort=True)["clip_id"].first()
        for day in days
    )
    units = pd.concat({"clip_1": first, "clip_2": second}, axis=1, join="inner").reset_index()
    return units.assign(truth=units["patient_id"].map(outcome).astype(int))
