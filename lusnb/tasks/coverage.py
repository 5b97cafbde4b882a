"""What each clinical task learns from and is asked: clips, pairs of clips and pairs of days, as tables.

`clips` is a cohort's clip table with `sf_ratio`, S/F divided by the cohort's maximum; `views` maps a view to
its zone, in the cohort's order. `coverage` counts what is used and what is not, and why.
"""

from itertools import combinations

import numpy as np
import pandas as pd

DECREASE, SAME, INCREASE = 0, 1, 2
ROUNDING = 1e-9  # a change of exactly the tolerance is "same", whatever the last bit says
CLASSES = ("decrease", "same", "increase")
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
ASKED = {  # what a clip can be left out for: the first that holds
    "sf_change": ("view", "unknown", "day", "sf", "alone", "other"),
    "sf_ratio": ("view", "unknown", "day", "sf", "other"),
    "readmission": ("outcome", "view", "unknown", "day", "elsewhen", "once", "again", "other"),
}
SPLITS = ("train", "validation", "test")


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


def pairs_among(ids: np.ndarray) -> np.ndarray:
    """Every unordered pair of some clips: (n,) -> (n (n - 1) / 2, 2)."""
    return ids[np.stack(np.triu_indices(len(ids), 1), 1)]


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


def every_pair(zones: np.ndarray, batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Every unordered pair of clips of a zone, once, in draws of few clips: positions, (pairs, 2) a draw.

    zones: the zone of each clip. A draw holds at most `batch` clips, and at least two. A zone of more clips
    is shuffled and cut into equal blocks of at most half a draw. Each two blocks are a draw, with every pair
    between them and an equal share of the pairs within either, so that draws are of about one size and no
    pair weighs more than another. A clip is encoded once for every other block: some 2 n / batch times.
    """
    draws = []
    for zone in sorted(set(zones), key=str):
        where = rng.permutation(np.flatnonzero(zones == zone))
        if len(where) > 1:
            draws += [pairs_among(where)] if len(where) <= batch else _of_blocks(where, batch // 2, rng)
    return [draws[k] for k in rng.permutation(len(draws))]


def _of_blocks(where: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The draws of one zone, each of two blocks of at most `size` clips (one at least)."""
    blocks = np.array_split(where, -(-len(where) // max(1, size)))
    within = [np.array_split(rng.permutation(pairs_among(block)), len(blocks) - 1) for block in blocks]
    draws = []
    for i, j in combinations(range(len(blocks)), 2):
        between = np.stack(np.meshgrid(blocks[i], blocks[j]), -1).reshape(-1, 2)
        draws.append(np.concatenate([between, within[i].pop(), within[j].pop()]))
    return draws


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


def _units(task: str, clips: pd.DataFrame, patients: pd.DataFrame, views: dict, days: tuple) -> pd.DataFrame:
    """One row a unit: patient_id, and its clips under `first` and `second` (the same one for sf_ratio)."""
    if task == "sf_ratio":
        found = dated(clips, views)[["patient_id", "clip_id", "clip_id"]]
    elif task == "sf_change":
        found = within_patient_pairs(clips, views, 0.0)[["patient_id", "clip_1", "clip_2"]]
    else:
        found = readmission_units(clips, patients, views, days)[["patient_id", "clip_1", "clip_2"]]
    return found.set_axis(["patient_id", "first", "second"], axis=1)


def _status(
    task: str, clips: pd.DataFrame, patients: pd.DataFrame, units: pd.DataFrame, views: dict, days: tuple
) -> np.ndarray:
    """Of each clip: `used` where a unit has it, else the first of ASKED[task] that holds."""
    holds = {
        "view": clips["view"].isna(),
        "unknown": ~clips["view"].isin(views),
        "day": clips["day"].isna(),
    }
    if task == "readmission":
        seen = clips[clips["clip_id"].isin(units["first"])]
        paired = pd.MultiIndex.from_frame(seen[["patient_id", "view"]])
        own = pd.MultiIndex.from_frame(clips[["patient_id", "view"]])
        outcome = patients.set_index("patient_id")["readmitted_30d"]
        holds["outcome"] = clips["patient_id"].map(outcome).isna()
        holds["elsewhen"] = ~clips["day"].isin(days)
        holds["once"] = ~own.isin(paired)
        holds["again"] = own.isin(paired)
    else:
        holds["sf"] = clips["sf_ratio"].isna()
        holds["alone"] = ~holds["sf"]
    used = clips["clip_id"].isin({*units["first"], *units["second"]})
    asked = ASKED[task][:-1]
    return np.select([used, *(np.asarray(holds[k], bool) for k in asked)], ["used", *asked], "other")


def _people(task: str, clips: pd.DataFrame, units: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Of each patient: split, the furthest status of its clips, clips, units, and views and days in use."""
    order = ["none", *ASKED[task], "used"]
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


def _tally(task: str, clips: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """`coverage` of some patients and their clips."""
    sums = people.groupby("status")["units"].sum()
    rows = [("all", "all", len(people), len(clips), people["units"].sum())]
    for name in (*ASKED[task], "none", "used"):
        counts = ((people["status"] == name).sum(), (clips["status"] == name).sum(), sums.get(name, 0))
        rows.append(("used", "used", *counts) if name == "used" else ("left out", REASONS[name], *counts))
    for kind in ("views", "days"):
        for k, own in people.groupby(kind, sort=True):
            rows.append((kind, str(k), len(own), own["clips"].sum(), own["units"].sum()))
    table = pd.DataFrame(rows, columns=["kind", "what", "patients", "clips", "units"])
    return table[(table["what"] != REASONS["other"]) | (table[["patients", "clips"]].sum(axis=1) > 0)]


def coverage(
    task: str, clips: pd.DataFrame, patients: pd.DataFrame, views: dict, days: tuple[int, int] | None = None
) -> pd.DataFrame:
    """What a task asks of a cohort, and what it leaves out and why: every patient and every clip once.

    task: sf_change (its units are pairs within a patient), sf_ratio (clips) or readmission (views with a clip
    on both `days`). Columns: split (`all`, then those of `patients`), kind, what, patients, clips, units.
    Kinds: `all`; `left out`, one row a reason; `used`; `views` and `days`, all patients again, by how many
    different ones their used clips show. So left out and used add up to all, and so do views, and days, in
    each column.
    A clip stands under the first reason that holds, in the order of ASKED; a patient under `used` with one
    used clip, else with the clip that came furthest. A clip that is alone in its patient's zone is in no pair
    within a patient, but still trains S/F change, whose training pairs cross patients.
    """
    units = _units(task, clips, patients, views, days)
    clips = clips.assign(status=_status(task, clips, patients, units, views, days))
    people = _people(task, clips, units, patients)
    split = clips["patient_id"].map(patients.set_index("patient_id")["split"])
    parts = [_tally(task, clips, people).assign(split="all")]
    for name in SPLITS:
        own = people[people["split"] == name]
        parts += [_tally(task, clips[split == name], own).assign(split=name)] if len(own) else []
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
