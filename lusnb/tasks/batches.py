"""What a task's network is fed: batches of clips, pairs of them, and targets, drawn anew each epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lusnb.cohort.cohort import Cohort
from lusnb.params import PAIRINGS, Params
from lusnb.tasks import coverage
from lusnb.tasks.clipbank import ClipBank


@dataclass(frozen=True)
class Batch:
    """Clips by their position in the bank, pairs of positions within `clips` (or None), and targets."""

    clips: np.ndarray
    pairs: Tensor | None
    target: Tensor


def pair_batch(bank: ClipBank, pairs: np.ndarray, target: np.ndarray) -> Batch:
    """A batch that encodes each clip of its pairs, clip ids (P, 2), once."""
    ids, local = np.unique(pairs.astype(str), return_inverse=True)
    local = torch.as_tensor(local.reshape(-1, 2))
    return Batch(bank.position.loc[ids].to_numpy(), local, torch.tensor(target))


def units(task: str, cohort: Cohort, patients: list[str], p: Params) -> pd.DataFrame:
    """What a task is asked about some patients: one row a pair, a clip, or a view; see tasks/coverage.py."""
    clips = cohort.clips[cohort.clips["patient_id"].isin(patients)]
    if task == "sf_change":
        return coverage.within_patient_pairs(clips, cohort.views, p.tolerance / cohort.sf_max)
    if task == "sf_ratio":
        table = coverage.dated(clips, cohort.views)[["patient_id", "clip_id", "day", "view", "sf_ratio"]]
        return table.rename(columns={"sf_ratio": "truth"}).reset_index(drop=True)
    days = (p.first_day, p.second_day)
    chosen = cohort.patients[cohort.patients["patient_id"].isin(patients)]
    return coverage.readmission_units(clips, chosen, cohort.views, days)


def as_batch(bank: ClipBank, table: pd.DataFrame) -> Batch:
    """Units (`units`) as one batch."""
    if "clip_id" in table:
        where = bank.position.loc[table["clip_id"]].to_numpy()
        return Batch(where, None, torch.tensor(table["truth"].to_numpy(np.float32)))
    return pair_batch(bank, table[["clip_1", "clip_2"]].to_numpy(), table["truth"].to_numpy(np.int64))


@dataclass(frozen=True)
class Lesson:
    """What is learnt in an epoch: `deal` makes its parts, one a step and always as many; `batch` one of them.

    possible: how many pairs or units there are. truth: their targets; of pairs in both orders, in which they
    are drawn alike.
    """

    deal: Callable[[np.random.Generator], list[np.ndarray]]
    batch: Callable[[np.ndarray, np.random.Generator], Batch]
    possible: int
    truth: np.ndarray


def one_epoch(lesson: Lesson, rng: np.random.Generator) -> Iterator[Batch]:
    """The batches of one epoch of a lesson."""
    for part in lesson.deal(rng):
        yield lesson.batch(part, rng)


def change_lesson(bank: ClipBank, clips: pd.DataFrame, cohort: Cohort, p: Params) -> Lesson:
    """S/F change: pairs across patients and days of one zone, each in a random order.

    pairing 'batch': draw `batch` clips of one zone, take all their pairs, encode each clip once; every clip
    is drawn once an epoch, so that pairs of two draws are not met. 'every': several draws of clips an epoch,
    until every pair was met once (coverage.every_pair). 'pair': walk through every pair, 'batch_pairs' at a
    time, and encode both its clips.
    """
    clips, tolerance = coverage.dated(clips, cohort.views), p.tolerance / cohort.sf_max
    sf, ids, zones = clips.set_index("clip_id")["sf_ratio"], clips["clip_id"].to_numpy(object), clips["zone"]
    pairs = coverage.training_pairs(clips, cohort.views)

    def deal(rng: np.random.Generator) -> list[np.ndarray]:
        if p.pairing == "batch":
            groups = coverage.zone_batches(zones.to_numpy(), p.batch, rng)
            return [coverage.pairs_among(ids[group]) for group in groups]
        if p.pairing == "every":
            return [ids[draw] for draw in coverage.every_pair(zones.to_numpy(), p.batch, rng)]
        if p.pairing == "pair":
            parts = np.array_split(rng.permutation(pairs), max(1, len(pairs) // p.batch_pairs))
            return parts if len(pairs) else []
        raise ValueError(
            f"pairing: expected one of {', '.join(PAIRINGS)}, got {p.pairing!r}; correct the parameter."
        )

    def target(ordered: np.ndarray) -> np.ndarray:
        first, second = (sf.loc[ordered[:, k]].to_numpy() for k in (0, 1))
        return coverage.change_class(first, second, tolerance)

    def batch(part: np.ndarray, rng: np.random.Generator) -> Batch:
        ordered = coverage.orient(part, rng)
        return pair_batch(bank, ordered, target(ordered))

    return Lesson(deal, batch, len(pairs), np.concatenate([target(pairs), target(pairs[:, ::-1])]))


def unit_lesson(bank: ClipBank, table: pd.DataFrame, size: int) -> Lesson:
    """Every unit of `units` once an epoch, in random order, about `size` of them at a time."""
    parts = max(1, round(len(table) / size))
    return Lesson(
        lambda rng: np.array_split(rng.permutation(len(table)), parts),
        lambda part, _: as_batch(bank, table.iloc[part]),
        len(table),
        table["truth"].to_numpy(),
    )


def lesson(task: str, bank: ClipBank, cohort: Cohort, patients: list[str], p: Params) -> Lesson:
    """What a task learns from some patients."""
    if task == "sf_change":
        return change_lesson(bank, cohort.clips[cohort.clips["patient_id"].isin(patients)], cohort, p)
    return unit_lesson(bank, units(task, cohort, patients, p), p.batch)


class Epochs(IterableDataset):
    """Batches of a lesson, drawn anew each epoch from one seeded generator; as long as what it yields.

    Lightning asks for the length before it draws: with a wrong one, or none, it cannot be told whether
    everything that was planned was learnt (fitting.fit).
    """

    def __init__(self, lesson: Lesson, seed: int):
        self.lesson, self.rng = lesson, np.random.default_rng(seed)
        self.steps = len(lesson.deal(np.random.default_rng(seed)))  # how many does not depend on chance

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        yield from one_epoch(self.lesson, self.rng)
