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
from lusnb.tasks import draws
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.question import Pairs, Question, of_patients


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


def units(question: Question, cohort: Cohort, patients: list[str], p: Params) -> pd.DataFrame:
    """What a task is asked about some patients: one row a pair, a clip, or a view."""
    return question.units(of_patients(cohort, patients), p)


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


def pair_lesson(bank: ClipBank, pairs: Pairs, p: Params) -> Lesson:
    """Pairs of clips of one zone, each in a random order.

    pairing 'batch': draw `batch` clips of one zone, take all their pairs, encode each clip once; every clip
    is drawn once an epoch, so that pairs of two draws are not met. 'every': several draws of clips an epoch,
    until every pair was met once (draws.every_pair). 'pair': walk through every pair, 'batch_pairs' at a
    time, and encode both its clips.
    """
    ids, zones, every = pairs.ids, pairs.zones, pairs.every

    def deal(rng: np.random.Generator) -> list[np.ndarray]:
        if p.pairing == "batch":
            return [draws.pairs_among(ids[group]) for group in draws.zone_batches(zones, p.batch, rng)]
        if p.pairing == "every":
            return [ids[draw] for draw in draws.every_pair(zones, p.batch, rng)]
        if p.pairing == "pair":
            parts = np.array_split(rng.permutation(every), max(1, len(every) // p.batch_pairs))
            return parts if len(every) else []
        raise ValueError(
            f"pairing: expected one of {', '.join(PAIRINGS)}, got {p.pairing!r}; correct the parameter."
        )

    def batch(part: np.ndarray, rng: np.random.Generator) -> Batch:
        ordered = draws.orient(part, rng)
        return pair_batch(bank, ordered, pairs.target(ordered))

    both_ways = np.concatenate([pairs.target(every), pairs.target(every[:, ::-1])])
    return Lesson(deal, batch, len(every), both_ways)


def unit_lesson(bank: ClipBank, table: pd.DataFrame, size: int) -> Lesson:
    """Every unit of `units` once an epoch, in random order, about `size` of them at a time."""
    parts = max(1, round(len(table) / size))
    return Lesson(
        lambda rng: np.array_split(rng.permutation(len(table)), parts),
        lambda part, _: as_batch(bank, table.iloc[part]),
        len(table),
        table["truth"].to_numpy(),
    )


def lesson(question: Question, bank: ClipBank, cohort: Cohort, patients: list[str], p: Params) -> Lesson:
    """What a task learns from some patients."""
    if question.pairs:
        return pair_lesson(bank, question.pairs(of_patients(cohort, patients), p), p)
    return unit_lesson(bank, units(question, cohort, patients, p), p.batch)


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
