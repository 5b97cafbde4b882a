"""Which frames and channels drive a task's prediction: Shapley values of the cells of a clip.

A cell is one frame slot of one channel of one clip. Cells change one by one, in a random order, from those of
a reference clip to the clip's own, and each is credited with what the explained output changes by; the mean
over several orders estimates its Shapley value (Strumbelj and Kononenko 2014; captum). What all cells of a
unit are credited with adds up, in each order, to the output less that of the reference.

The references are clips of training patients, a new one for each order, so that the question is: what in this
clip moves the answer away from the one for other patients' clips? A black frame, empty masks or a mean clip
are nothing a network was trained on; and beside an empty mask the absence of B lines could explain nothing.

Why not gradients: on the way from a reference to a clip the answers of these networks are so rough that
integrated gradients of 64 steps miss the change of output by as much as itself, at a higher cost, and summed
over absolute pixels they give gray the most whatever was learnt.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

from lusnb.tasks.batches import Batch
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.network import TaskNetwork

ORDERS = 4  # random orders, each with a reference of its own
AT_ONCE = 16  # clips in a forward pass
CELL = ["unit", "patient_id", "clip_id", "clip", "slot", "channel"]
COLUMNS = [*CELL, "value", "se", "share", "explained", "output", "reference"]


def explained(outputs: Tensor, target: int) -> Tensor:
    """The number explained, (n,): a value, logit_1 - logit_0 of two classes, else the logit of `target`."""
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs[:, target]


def _name(count: int, target: int) -> str:
    return {1: "prediction", 2: "logit_1 - logit_0"}.get(count, f"logit_{target}")


def effects(
    measure: Callable[[Tensor], Tensor], own: Tensor, other: Tensor, players: Tensor, method: type
) -> Tensor:
    """What each part of an input does to `measure`, float (players,), when it changes from `other` to `own`.

    measure: inputs (n, T, C, H, W) -> (n,). own, other: (T, C, H, W). players: the part of each element,
    integers from 0, of a shape that broadcasts to theirs. method: ShapleyValueSampling (in one random order
    of torch's generator), or FeatureAblation (each part alone). Parts that are alike in both get 0.
    """
    members, differ = players.expand(own.shape), own != other
    active = members[differ].unique()
    found = torch.zeros(int(players.max()) + 1, device=own.device)
    if not len(active):
        return found
    switch = torch.full_like(found, len(active), dtype=torch.long)  # the last switch stays off
    switch[active] = torch.arange(len(active), device=own.device)
    switch = switch[players]

    def switched(on: Tensor) -> Tensor:
        off = on.new_zeros(len(on), 1)
        return measure(torch.where(torch.cat([on, off], 1)[:, switch] > 0, own, other))

    once = {"n_samples": 1} if method is ShapleyValueSampling else {}
    every = torch.ones(1, len(active), device=own.device)
    found[active] = method(switched).attribute(every, baselines=0, perturbations_per_eval=AT_ONCE, **once)[0]
    return found


class Unit:
    """One unit of a task before a network: its clips, its output, and that output beside a reference."""

    def __init__(
        self, network: TaskNetwork, bank: ClipBank, asked: Batch, unit: int, target: int | None = None
    ):
        pairs = None if asked.pairs is None else asked.pairs[unit].cpu().numpy()
        self.network, self.bank = network, bank
        self.where = asked.clips[[unit] if pairs is None else pairs]
        self.clips, self.features = self.see(self.where)
        outputs = self.logits(self.features)
        self.target = int(outputs[0].argmax()) if target is None else target
        self.name = _name(outputs.shape[1], self.target)
        self.output = float(explained(outputs, self.target)[0])

    def see(self, where: np.ndarray) -> tuple[Tensor, Tensor]:
        """Inputs and features of some clips."""
        clips = self.bank.inputs(where).to(next(self.network.parameters()).device)
        return clips, self.network.encoder(clips)

    def logits(self, features: Tensor) -> Tensor:
        """Outputs of units whose clips' features, (n, F) or (2 n, F), follow one another."""
        count = len(features) // len(self.where)
        pairs = None if len(self.where) == 1 else torch.arange(2 * count, device=features.device)
        return self.network.logits(features, None if pairs is None else pairs.reshape(-1, 2))

    def measure(self, place: int, beside: Tensor) -> Callable[[Tensor], Tensor]:
        """The explained output as a function of the clip at `place`, with the unit's features `beside` it."""

        def measured(clips: Tensor) -> Tensor:
            features = beside.repeat(len(clips), 1, 1)  # (n, clips, F)
            features[:, place] = self.network.encoder(clips)
            return explained(self.logits(features.flatten(0, 1)), self.target)

        return measured

    def against(self, reference: int, players: Tensor) -> tuple[Tensor, float]:
        """Cells' values in one order, (clips, players), and the output of the reference in all places.

        The second clip follows the first, which is exact where clips add up, as in a linear head on their
        difference; the values add up in any case.
        """
        clip, features = self.see(np.array([reference]))
        beside = features.repeat(len(self.where), 1)
        start, found = float(explained(self.logits(beside), self.target)[0]), []
        for place, own in enumerate(self.clips):
            measure = self.measure(place, beside.clone())
            found.append(effects(measure, own, clip[0], players, ShapleyValueSampling))
            beside[place] = self.features[place]
        return torch.stack(found), start


def _orders(unit: Unit, references: np.ndarray, rng: np.random.Generator, players: Tensor) -> tuple:
    """Cells' values in one order a reference, float (orders, clips, players), and the references' outputs."""
    values, starts = [], []
    for reference in references:
        torch.default_generator.manual_seed(int(rng.integers(2**31)))  # captum draws the order from it
        value, start = unit.against(reference, players.to(unit.clips.device))
        values.append(value.double().cpu().numpy())
        starts.append(start)
    return np.stack(values), starts


@torch.no_grad()
def attribute(
    network: TaskNetwork,
    bank: ClipBank,
    asked: Batch,
    references: np.ndarray,
    rng: np.random.Generator,
    orders: int = ORDERS,
    target: int | None = None,
) -> pd.DataFrame:
    """What each cell of some units adds to a network's output (see above), unit by unit.

    references: positions in the bank of training clips, of which each order takes one. target: the class
    whose logit is explained where there are three and more, or None for each unit's predicted one; of two
    classes the difference of logits is explained, of a value itself.
    Columns: unit (row of `asked`), patient_id, clip_id, clip (1, or 2 for the second of a pair), slot (from
    0), channel (gray, then the features), value (in units of the output; a unit's add up to output -
    reference), se (standard error over the orders), share (of the absolute values of the unit; they add up to
    1, or are 0 where no cell does anything), explained (which output), output, reference (mean over orders).
    """
    network.eval()
    slots, channels = bank.frames.shape[1], ["gray", *bank.features][: bank.channels]
    players = torch.arange(slots * len(channels)).reshape(slots, -1, 1, 1)
    tables = []
    with torch.random.fork_rng(devices=[]):
        for n in range(len(asked.target)):
            unit = Unit(network, bank, asked, n, target)
            drawn = rng.choice(references, orders, replace=len(references) < orders)
            values, starts = _orders(unit, drawn, rng, players)
            names = pd.MultiIndex.from_product(
                [[n], range(len(unit.where)), range(slots), channels],
                names=["unit", "clip", "slot", "channel"],
            )
            table = pd.DataFrame({"value": values.mean(0).ravel()}, index=names).reset_index()
            spread = values.std(0, ddof=1).ravel() if orders > 1 else np.nan
            ids = bank.clips[["patient_id", "clip_id"]].iloc[unit.where[table["clip"]]].reset_index(drop=True)
            table = table.join(ids).assign(clip=table["clip"] + 1, se=spread / np.sqrt(orders))
            tables.append(table.assign(explained=unit.name, output=unit.output, reference=np.mean(starts)))
    table = pd.concat(tables, ignore_index=True)
    size = table["value"].abs()
    table["share"] = (size / size.groupby(table["unit"]).transform("sum")).fillna(0.0)
    return table[COLUMNS]
