"""Attributions against networks whose answer is known by hand, and against a plain search over all orders."""

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import FeatureAblation, IntegratedGradients, ShapleyValueSampling
from torch import Tensor, nn

from lusnb.segment.predictions import pack
from lusnb.tasks import shapley
from lusnb.tasks.batches import Batch
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.network import TaskNetwork, outputs
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

CLIPS, SLOTS, SIZE, FEATURES = 8, 3, 8, ("pleura", "b_line")
KNOWN = np.arange(4, CLIPS)  # the training clips; the others are asked about


class Hand(nn.Module):
    """A task network made by hand: any encoder, and a linear head on clips or on differences of clips."""

    def __init__(self, encoder: nn.Module, weight: Tensor):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(*weight.shape[::-1])
        self.head.weight.data, self.head.bias.data = weight, torch.arange(len(weight)) / 10

    logits, forward = TaskNetwork.logits, TaskNetwork.forward


class Weighted(nn.Module):
    """Features that are weighted sums of the clip: weight (F, T, C, s, s)."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, clips: Tensor) -> Tensor:
        return torch.einsum("ntchw,ftchw->nf", clips, self.weight)


class Crossed(nn.Module):
    """One feature: frames and channels multiplied with one another, so that no cell acts alone."""

    def forward(self, clips: Tensor) -> Tensor:
        means = clips.mean((3, 4))  # (n, T, C)
        mixed = means[:, 0, 0] * means[:, 1, 1] * 50 + means[:, 2, 2].exp() * means[:, 0, 2] + means[:, 1, 0]
        return mixed[:, None]


@pytest.fixture
def bank() -> ClipBank:
    """Eight clips of three frames with two masks; two clips a patient."""
    rng = np.random.default_rng(0)
    frames = torch.tensor(rng.integers(0, 256, (CLIPS, SLOTS, SIZE, SIZE), dtype=np.uint8))
    masks = rng.random((CLIPS, SLOTS, len(FEATURES), SIZE, SIZE)) < 0.4
    ids = [f"c{k}" for k in range(CLIPS)]
    clips = pd.DataFrame({"clip_id": ids, "patient_id": [f"P{k // 2}" for k in range(CLIPS)]})
    return ClipBank(clips, frames, FEATURES, torch.tensor(pack(masks)))


def weight(outputs: int, seed: int = 1) -> Tensor:
    return torch.randn(
        outputs, SLOTS, 1 + len(FEATURES), SIZE, SIZE, generator=torch.Generator().manual_seed(seed)
    )


def single(*clips: int) -> Batch:
    return Batch(np.array(clips), None, torch.zeros(len(clips)))


def paired(*pairs: tuple[int, int]) -> Batch:
    """Pairs of clips in a batch in which clips stand in another order."""
    where = np.array(sorted({k for pair in pairs for k in pair}, reverse=True))
    local = [[int(np.flatnonzero(where == k)[0]) for k in pair] for pair in pairs]
    return Batch(where, torch.tensor(local), torch.zeros(len(pairs), dtype=torch.long))


def run(network: nn.Module, bank: ClipBank, asked: Batch, seed: int = 0, **how: object) -> pd.DataFrame:
    return shapley.attribute(network, bank, asked, KNOWN, np.random.default_rng(seed), **how)


def grid(table: pd.DataFrame, unit: int = 0, clip: int = 1) -> np.ndarray:
    """Values of one clip, (T, C)."""
    own = table[(table["unit"] == unit) & (table["clip"] == clip)]
    return own["value"].to_numpy().reshape(SLOTS, -1)


@pytest.mark.parametrize("slot", range(SLOTS))
@pytest.mark.parametrize("channel", range(3))
def test_the_only_frame_and_channel_that_a_network_sees_is_named(bank: ClipBank, slot: int, channel: int):
    seen = torch.zeros(1, SLOTS, 3, SIZE, SIZE)
    seen[0, slot, channel] = 1
    table = run(Hand(Weighted(seen), torch.tensor([[2.0]])), bank, single(0, 3))
    named = table[table["share"] > 1e-5]  # the rest is rounding
    assert named[["unit", "slot", "channel"]].to_numpy().tolist() == [
        [unit, slot, ("gray", *FEATURES)[channel]] for unit in (0, 1)
    ]
    np.testing.assert_allclose(named["share"], 1, rtol=1e-4)


def test_a_linear_network_is_explained_by_its_weights_exactly(bank: ClipBank):
    weights = weight(1)
    table = run(Hand(Weighted(weights), torch.tensor([[1.0]])), bank, single(2))
    moved = bank.inputs(np.array([2])) - bank.inputs(KNOWN)  # four references for four orders: each once
    want = (weights * moved).sum((3, 4)).mean(0)
    np.testing.assert_allclose(grid(table), want, rtol=1e-4, atol=1e-4)
    other = IntegratedGradients(
        lambda clips: Hand(Weighted(weights), torch.tensor([[1.0]]))(clips, None)[:, 0]
    )
    inputs = bank.inputs(np.array([2])).repeat(len(KNOWN), 1, 1, 1, 1)
    gradients = other.attribute(inputs, bank.inputs(KNOWN)).sum((3, 4)).mean(0)
    np.testing.assert_allclose(grid(table), gradients.detach(), rtol=1e-4, atol=1e-4)


def test_in_a_pair_the_first_clip_counts_against_and_the_second_for(bank: ClipBank):
    weights, head = weight(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    network = Hand(Weighted(weights), head)
    table = run(network, bank, paired((3, 0), (1, 2)), target=1)
    for unit, pair in enumerate([(3, 0), (1, 2)]):
        for clip, sign in ((0, -1), (1, 1)):
            moved = bank.inputs(np.array([pair[clip]])) - bank.inputs(KNOWN)
            want = sign * (weights[1] * moved).sum((3, 4)).mean(0)
            np.testing.assert_allclose(grid(table, unit, clip + 1), want, rtol=1e-4, atol=1e-4)
    named = table.groupby(["unit", "clip"], sort=True)["clip_id"].first()
    assert named.to_list() == ["c3", "c0", "c1", "c2"]
    assert table.groupby(["unit", "clip"])["patient_id"].first().to_list() == ["P1", "P0", "P0", "P1"]


def test_interactions_are_shared_out_as_over_all_orders(bank: ClipBank):
    network, reference = Hand(Crossed(), torch.tensor([[1.0]])), np.array([5])
    own, other = bank.inputs(np.array([1]))[0], bank.inputs(reference)[0]

    def value(cells: tuple) -> float:
        clip = other.clone()
        for k in cells:
            clip[k // 3, k % 3] = own[k // 3, k % 3]
        with torch.no_grad():
            return float(network(clip[None], None))

    acting = [0, 2, 3, 4, 8]  # cells that Crossed reads: (0, 0), (0, 2), (1, 0), (1, 1), (2, 2)
    want = np.zeros(9)
    orders = list(permutations(acting))
    for order in orders:
        for k, cell in enumerate(order):
            want[cell] += (value(order[: k + 1]) - value(order[:k])) / len(orders)
    table = shapley.attribute(network, bank, single(1), reference, np.random.default_rng(0), orders=80)
    off = np.abs(table["value"] - want)
    assert (off <= 4 * table["se"] + 1e-6).all()
    assert table["se"].max() < 0.2 * np.abs(want).max()
    assert np.abs(want[[0, 4]]).min() > 5 * table["se"].max()  # the check could have failed


@pytest.mark.parametrize("task", ["sf_change", "sf_ratio", "readmission"])
def test_values_add_up_to_the_change_of_output(bank: ClipBank, task: str):
    torch.manual_seed(3)
    network = TaskNetwork(len(QUESTIONS[task].classes), 3, SLOTS)
    for module in network.modules():  # statistics as after a training, not those of a start
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.01, 0.1)
    asked = single(0, 3) if task == "sf_ratio" else paired((0, 1), (2, 3))
    table = run(network, bank, asked, orders=2)
    logits = outputs(network, bank, asked, 4)
    bias = [None, None] if task == "sf_ratio" else network.head.bias.tolist()
    for unit, own in table.groupby("unit"):
        row = logits[unit]
        top = int(row.argmax())
        want, name, start = {
            "sf_change": (row[top], f"logit_{top}", bias[top]),
            "sf_ratio": (row[0], "prediction", None),
            "readmission": (row[-1] - row[0], "logit_1 - logit_0", bias),
        }[task]
        start = start[1] - start[0] if task == "readmission" else start
        output, reference = own["output"].iloc[0], own["reference"].iloc[0]
        assert own["explained"].unique().tolist() == [name]
        assert output == pytest.approx(float(want), abs=1e-5)
        if start is not None:  # two clips that are the same one: no difference, the head's bias alone
            assert reference == pytest.approx(float(start), abs=1e-6)
        assert own["value"].sum() == pytest.approx(output - reference, abs=1e-4 * own["value"].abs().sum())
        assert own["value"].abs().sum() > 1e-3 and own["share"].sum() == pytest.approx(1)


def test_values_add_up_where_clips_do_not(bank: ClipBank):
    network = Hand(Weighted(weight(1) / 10), torch.tensor([[1.0]]))
    network.head = nn.Sequential(nn.Tanh(), network.head)  # a bent difference of features
    table = run(network, bank, paired((0, 1)), target=0)
    change = float(outputs(network, bank, paired((0, 1)), 2)[0, 0])  # the bias is 0
    assert table["value"].sum() == pytest.approx(change, abs=1e-4) and abs(change) > 0.01


def test_another_class_can_be_asked_for(bank: ClipBank):
    network = Hand(Weighted(weight(1)), torch.tensor([[1.0], [-1.0], [3.0]]))
    asked = paired((0, 1))
    one, two, three = (run(network, bank, asked, target=k) for k in range(3))
    np.testing.assert_allclose(two["value"], -one["value"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(three["value"], 3 * one["value"], rtol=1e-4, atol=1e-4)
    assert [t["explained"][0] for t in (one, two, three)] == ["logit_0", "logit_1", "logit_2"]
    top = outputs(network, bank, asked, 2)[0].argmax()
    pd.testing.assert_frame_equal(run(network, bank, asked), (one, two, three)[top])


def test_the_table_is_tidy(bank: ClipBank):
    table = run(Hand(Crossed(), torch.tensor([[1.0]])), bank, single(0, 3))
    assert list(table) == shapley.COLUMNS and table.notna().all(axis=None)
    assert len(table) == 2 * SLOTS * 3 and not table.duplicated(shapley.CELL).any()
    assert table["channel"].unique().tolist() == ["gray", *FEATURES]
    size = table["value"].abs()
    np.testing.assert_allclose(table["share"], size / size.groupby(table["unit"]).transform("sum"))


def test_grayscale_alone_has_one_channel(bank: ClipBank):
    gray = ClipBank(bank.clips, bank.frames, FEATURES)
    network = Hand(Weighted(weight(1)[:, :, :1]), torch.tensor([[1.0]]))
    assert run(network, gray, single(0))["channel"].unique().tolist() == ["gray"]


def test_a_network_without_an_opinion_has_no_shares(bank: ClipBank):
    network = Hand(Weighted(torch.zeros(1, SLOTS, 3, SIZE, SIZE)), torch.tensor([[1.0]]))
    table = run(network, bank, single(0))
    assert (table[["value", "se", "share"]] == 0).all(axis=None)


def test_the_standard_error_is_that_over_orders(bank: ClipBank):
    weights = weight(1)
    table = run(Hand(Weighted(weights), torch.tensor([[1.0]])), bank, single(2))
    moved = bank.inputs(np.array([2])) - bank.inputs(KNOWN)
    each = (weights * moved).sum((3, 4)).numpy()  # (orders, T, C)
    np.testing.assert_allclose(table["se"], each.std(0, ddof=1).ravel() / 2, rtol=1e-3)
    assert run(Hand(Weighted(weights), torch.tensor([[1.0]])), bank, single(2), orders=1)["se"].isna().all()


def test_the_same_seed_gives_the_same_and_leaves_torchs_generator_alone(bank: ClipBank):
    network, asked = Hand(Crossed(), torch.tensor([[1.0]])), single(0, 3)
    torch.manual_seed(7)
    want = torch.rand(1)
    torch.manual_seed(7)
    one = run(network, bank, asked)
    assert torch.rand(1) == want
    torch.manual_seed(8)
    pd.testing.assert_frame_equal(run(network, bank, asked), one)
    assert not np.allclose(run(network, bank, asked, seed=1)["value"], one["value"])


def test_only_references_and_the_unit_are_looked_at_and_few_clips_at_once(
    bank: ClipBank, monkeypatch: pytest.MonkeyPatch
):
    sizes, looked = [], []
    monkeypatch.setattr(shapley, "AT_ONCE", 4)

    class Spy(Weighted):
        def forward(self, clips: Tensor) -> Tensor:
            sizes.append(len(clips))
            return super().forward(clips)

    def inputs(where: np.ndarray) -> Tensor:
        looked.extend(np.asarray(where).tolist())
        return bank.inputs(where)

    watched = SimpleNamespace(
        clips=bank.clips, frames=bank.frames, features=FEATURES, channels=3, inputs=inputs
    )
    run(Hand(Spy(weight(1)), torch.ones(1, 1)), watched, paired((0, 3)), orders=20)
    assert max(sizes) == 4
    assert set(looked) == {0, 3, *KNOWN}
    assert sum(sizes) <= 20 * 2 * (SLOTS * 3 + 2) + 2 + 20  # linear in cells, not in their combinations


@pytest.mark.parametrize("method", [ShapleyValueSampling, FeatureAblation])
def test_parts_that_are_alike_cost_and_count_nothing(method: type):
    own, seen = torch.ones(2, 2, 4, 4), []
    other = own.clone()
    other[0, 1, 0, 0] = 0
    players = torch.arange(4).reshape(2, 2, 1, 1)

    def measure(clips: Tensor) -> Tensor:
        seen.append(len(clips))
        return clips.sum((1, 2, 3, 4))

    assert shapley.effects(measure, own, other, players, method).tolist() == [0, 1, 0, 0]
    assert sum(seen) <= 3
    assert shapley.effects(measure, own, own, players, method).tolist() == [0, 0, 0, 0]
