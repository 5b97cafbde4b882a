"""What a task's network is fed: batches of clips, pairs of them, and targets, drawn anew each epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lusnb import examples
from lusnb.clipbank import ClipBank
from lusnb.cohort import Cohort
from lusnb.params import Params


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
    """What a task is asked about some patients: one row a pair, a clip, or a view; see examples.py."""
    clips = cohort.clips[cohort.clips["patient_id"].isin(patients)]
    if task == "sf_change":
        return examples.within_patient_pairs(clips, cohort.views, p.tolerance / cohort.sf_max)
    if task == "sf_ratio":
        table = examples.dated(clips, cohort.views)[["patient_id", "clip_id", "day", "view", "sf_ratio"]]
        return table.rename(columns={"sf_ratio": "truth"}).reset_index(drop=True)
    days = (p.first_day, p.second_day)
    chosen = cohort.patients[cohort.patients["patient_id"].isin(patients)]
    return examples.readmission_units(clips, chosen, cohort.views, days)


def as_batch(bank: ClipBank, table: pd.DataFrame) -> Batch:
    """Units (`units`) as one batch."""
    if "clip_id" in table:
        where = bank.position.loc[table["clip_id"]].to_numpy()
        return Batch(where, None, torch.tensor(table["truth"].to_numpy(np.float32)))
    return pair_batch(bank, table[["clip_1", "clip_2"]].to_numpy(), table["truth"].to_numpy(np.int64))


def change_batches(
    bank: ClipBank, clips: pd.DataFrame, cohort: Cohort, p: Params, rng: np.random.Generator
) -> Iterator[Batch]:
    """One epoch of S/F change: pairs across patients and days of one zone, each in a random order.

    pairing 'batch': draw `batch` clips of one zone, take all their pairs, encode each clip once. pairing
    'pair': walk through every pair, 'batch_pairs' at a time, and encode both its clips.
    """
    clips = examples.dated(clips, cohort.views)
    sf, ids = clips.set_index("clip_id")["sf_ratio"], clips["clip_id"].to_numpy(object)
    if p.pairing == "batch":
        groups = examples.zone_batches(clips["zone"].to_numpy(), p.batch, rng)
        chunks = [_all_pairs(ids[group]) for group in groups]
    elif p.pairing == "pair":
        pairs = rng.permutation(examples.training_pairs(clips, cohort.views))
        chunks = np.array_split(pairs, max(1, len(pairs) // p.batch_pairs))
    else:
        raise ValueError(f"pairing: expected batch or pair, got {p.pairing!r}; correct the parameter.")
    for chunk in chunks:
        ordered = examples.orient(chunk, rng)
        first, second = sf.loc[ordered[:, 0]].to_numpy(), sf.loc[ordered[:, 1]].to_numpy()
        yield pair_batch(bank, ordered, examples.change_class(first, second, p.tolerance / cohort.sf_max))


def change_targets(clips: pd.DataFrame, cohort: Cohort, p: Params) -> np.ndarray:
    """The classes of every training pair of S/F change, in both orders, in which they are drawn alike."""
    clips = examples.dated(clips, cohort.views)
    sf, pairs = clips.set_index("clip_id")["sf_ratio"], examples.training_pairs(clips, cohort.views)
    first, second = (sf.loc[pairs[:, k]].to_numpy() for k in (0, 1))
    tolerance = p.tolerance / cohort.sf_max
    both = ((first, second), (second, first))
    return np.concatenate([examples.change_class(a, b, tolerance) for a, b in both])


def _all_pairs(ids: np.ndarray) -> np.ndarray:
    return ids[np.stack(np.triu_indices(len(ids), 1), 1)]


class Epochs(IterableDataset):
    """Batches drawn anew each epoch from one seeded generator."""

    def __init__(self, draw: Callable, seed: int):
        self.draw, self.rng = draw, np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Batch]:
        yield from self.draw(self.rng)


def unit_batches(
    bank: ClipBank, table: pd.DataFrame, batch: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """One epoch of units in random order, about `batch` of them at a time."""
    order = rng.permutation(len(table))
    for part in np.array_split(order, max(1, round(len(table) / batch))):
        yield as_batch(bank, table.iloc[part])
