"""A trained task explained: some of its test units, cell by cell, and one clip of them, patch by patch."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from captum.attr import FeatureAblation
from torch import Tensor

from lusnb.arms import GRAYSCALE
from lusnb.cohort import arrays, splits
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks import batches, shapley, train
from lusnb.tasks.masks import Segmented
from lusnb.tasks.question import Question

PATCHES, BESIDE = 5, 2  # of the example's maps: patches along each side of a frame, references
COLUMNS = ["fold", "split", *shapley.COLUMNS]
COLUMNS.insert(COLUMNS.index("channel"), "frame")


class Example(NamedTuple):
    """One clip and where in its frames the explained output comes from.

    frames: uint8 (T, s, s). numbers: frame numbers (T,). maps: channel -> float (T, s, s), in units of the
    output: what it loses when this patch of this channel becomes that of a reference. mask: float (T, s, s)
    from 0 to 1, of the mask channel among the maps; zeros where there is none. told: which clip and output.
    """

    frames: np.ndarray
    numbers: np.ndarray
    maps: dict[str, np.ndarray]
    mask: np.ndarray
    told: str


def spread(table: pd.DataFrame, count: int) -> np.ndarray:
    """Positions of at most `count` rows, as even over patients as can be, and evenly within each of them.

    table: patient_id. Deterministic; a patient with few rows leaves the rest to the others.
    """
    rows = [np.flatnonzero(table["patient_id"] == who) for who in sorted(table["patient_id"].unique())]
    if count < len(rows):
        rows = [rows[k] for k in arrays.segment_centres(len(rows), count)] if count else []
    quota = np.zeros(len(rows), int)
    while quota.sum() < min(count, sum(map(len, rows))):
        open_ = [k for k, own in enumerate(rows) if quota[k] < len(own)]
        quota[open_[: count - quota.sum()]] += 1
    parts = [own[arrays.segment_centres(len(own), q)] for own, q in zip(rows, quota, strict=True) if q]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, int)


def chosen(question: Question, cohort: Cohort, folds: list[int], p: Params, count: int) -> pd.DataFrame:
    """At most `count` units of the folds' test patients, `spread` over these: fold, unit, and the units' own.

    unit: its row among those of the fold's test patients (batches.units). Those that are worth explaining
    (question.telling), where there are any. Where several folds are asked the same, they take turns.
    """
    parts = [
        batches.units(question, cohort, splits.task_roles(cohort.patients, k, p.protocol)["test"], p)
        .rename_axis("unit")
        .reset_index()
        .assign(fold=k)
        for k in folds
    ]
    if not parts:
        return pd.DataFrame(columns=["fold", "unit", "patient_id"])
    table = pd.concat(parts, ignore_index=True)
    if question.telling and (worth := question.telling(table)).any():
        table = table[worth]
    same = [own for _, own in table.groupby(["patient_id", "unit"], sort=True)]
    where = spread(pd.DataFrame({"patient_id": [own["patient_id"].iloc[0] for own in same]}), count)
    turns = [same[k].iloc[[turn % len(same[k])]] for turn, k in enumerate(where)]
    return pd.concat([table[:0], *turns]).sort_values(["fold", "unit"], ignore_index=True)


def of_task(
    result: train.Result,
    cohort: Cohort,
    segmented: Segmented,
    p: Params,
    count: int = 4,
    orders: int = shapley.ORDERS,
) -> tuple[pd.DataFrame, Example | None]:
    """`shapley.attribute` of at most `count` test units of a trained task, and an example of them.

    Columns fold, split and frame (its number, of the slot) are added; unit is the row among the fold's test
    units. p: seed, protocol, arm and what batches.units needs. An empty result gives an empty table and None.
    """
    asked = chosen(result.question, cohort, sorted(result.networks), p, count)
    if asked.empty:
        return pd.DataFrame(columns=COLUMNS), None
    frames, rng = train.open_bank(cohort, segmented), np.random.default_rng(p.seed)
    seen, tables = {}, []
    for fold, own in asked.groupby("fold"):
        bank = frames.of_fold(None if p.arm == GRAYSCALE else segmented, fold)
        learnt = bank.clips["patient_id"].isin(splits.task_roles(cohort.patients, fold, p.protocol)["train"])
        seen[fold] = (result.networks[fold], bank, batches.as_batch(bank, own), np.flatnonzero(learnt))
        found = shapley.attribute(*seen[fold], rng, orders)
        tables.append(found.assign(fold=fold, at=found["unit"], unit=own["unit"].to_numpy()[found["unit"]]))
    table = pd.concat(tables, ignore_index=True).assign(split="test")
    count = bank.frames.shape[1]
    numbers = {
        name: arrays.segment_centres(len(arrays.clip(cohort, name)), count)
        for name in table["clip_id"].unique()
    }
    table["frame"] = [numbers[name][slot] for name, slot in zip(table["clip_id"], table["slot"], strict=True)]
    return table[COLUMNS], example(table, seen, numbers, rng, result.question.outputs())


def typical(table: pd.DataFrame) -> tuple[pd.Series, str | None]:
    """The unit whose channels' shares are nearest to their mean, and the mask channel with the largest mean.

    Returns the row of the unit's strongest clip (its first cell); None where there is gray alone.
    """
    keys = ["fold", "unit"]
    shares = table.pivot_table(index=keys, columns="channel", values="share", aggfunc="sum")
    nearest = (shares - shares.mean()).abs().sum(axis=1).idxmin()
    own = table.set_index(keys).loc[nearest].reset_index()
    clip = own.groupby("clip")["share"].sum().idxmax()
    masks = shares.mean().drop("gray")
    return own[own["clip"] == clip].iloc[0], masks.idxmax() if len(masks) else None


def patches(slots: int, channels: int, size: int) -> Tensor:
    """Number of the patch that each pixel of a clip is in: integers from 0, (slots, channels, size, size)."""
    side = torch.arange(size) * PATCHES // size
    cell = torch.arange(slots * channels).reshape(slots, channels, 1, 1)
    return cell * PATCHES**2 + side[:, None] * PATCHES + side


@torch.no_grad()
def example(
    table: pd.DataFrame,
    seen: dict[int, tuple],
    numbers: dict[str, np.ndarray],
    rng: np.random.Generator,
    outputs: Mapping[str, str],
) -> Example:
    """Where in the frames of the `typical` unit's strongest clip the output comes from.

    Each of PATCHES x PATCHES patches of a frame is exchanged alone, in gray and in the strongest mask
    channel, for that of a reference; mean over BESIDE references. table: of `shapley.attribute`, with fold
    and `at`, the row in its `asked`. seen: fold -> network, bank, asked, references. numbers: of the frames,
    by clip_id. outputs: what is explained, in words (Question.outputs).
    """
    row, name = typical(table)
    network, bank, asked, references = seen[row["fold"]]
    unit, place = shapley.Unit(network, bank, asked, row["at"]), row["clip"] - 1
    measure, own = unit.measure(place, unit.features), unit.clips[place]
    shown = {"gray": 0} | ({name: 1 + bank.features.index(name)} if name else {})
    players, lost = patches(*own.shape[:3]).to(own.device), torch.zeros_like(own)
    for reference in rng.choice(references, BESIDE, replace=len(references) < BESIDE):
        other = own.clone()
        other[:, [*shown.values()]] = bank.inputs(np.array([reference])).to(own.device)[
            0, :, [*shown.values()]
        ]
        lost += shapley.effects(measure, own, other, players, FeatureAblation)[players] / BESIDE
    which = f" ({('first', 'second')[place]} of its pair)" if len(unit.where) > 1 else ""
    told = f"clip {row['clip_id']}{which}, patient {row['patient_id']}, fold {row['fold']}"
    return Example(
        bank.frames[unit.where[place]].cpu().numpy(),
        numbers[row["clip_id"]],
        {channel: lost[:, k].cpu().numpy() for channel, k in shown.items()},
        (own[:, shown[name]] if name else torch.zeros_like(own[:, 0])).cpu().numpy(),
        f"{told}; output: {outputs[unit.name]}",
    )
