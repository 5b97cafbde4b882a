"""Batches: one encoding of a clip serves all its pairs, and gives the loss and gradient of pair by pair."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.params import PAIRINGS, Params
from lusnb.segment.predictions import Predictions, pack
from lusnb.tasks import batches, clipbank, sf_change_question
from lusnb.tasks import masks as tasks_masks
from lusnb.tasks import network as tasks_network
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

SIZE, FRAMES = 32, 2


def segmented(cohort: Cohort, channels: str = "binary", seed: int = 0) -> Predictions:
    """Random masks of every clip, as a segmenter would have left them."""
    rng = np.random.default_rng(seed)
    shape = (len(cohort.clips), FRAMES, len(cohort.features), SIZE, SIZE)
    frames = pack(rng.random(shape) < 0.3) if channels == "binary" else rng.integers(0, 256, shape, np.uint8)
    made_from = {"channels": channels, "task_size": SIZE, "task_frames": FRAMES}
    return Predictions(np.zeros((0,), np.uint8), frames, pd.DataFrame(), made_from)


def with_masks(cohort: Cohort, found: Predictions) -> ClipBank:
    return clipbank.load(cohort, SIZE, FRAMES).of_fold(tasks_masks.whole(cohort, found), 1)


@pytest.fixture(scope="module")
def bank(cohort: Cohort) -> ClipBank:
    return with_masks(cohort, segmented(cohort))


# -- the bank


def test_inputs_are_gray_and_then_the_masks_of_the_same_clip(cohort: Cohort, bank: ClipBank):
    where = np.array([7, 0, 7])
    inputs = bank.inputs(where)
    assert inputs.shape == (3, FRAMES, 7, SIZE, SIZE) and bank.channels == 7
    gray = arrays.task_frames(cohort, SIZE, FRAMES)[where] / 127.5 - 1
    np.testing.assert_allclose(inputs[:, :, 0], gray, atol=1e-6)
    masks = np.random.default_rng(0).random((26, FRAMES, 6, SIZE, SIZE)) < 0.3
    np.testing.assert_array_equal(inputs[:, :, 1:], masks[where])


def test_probabilities_become_fractions(cohort: Cohort):
    found = segmented(cohort, "probability")
    inputs = with_masks(cohort, found).inputs(np.array([3]))
    np.testing.assert_allclose(inputs[0, :, 1:], found.frames[3] / 255, atol=1e-6)


def test_grayscale_alone_has_one_channel_and_no_measures(cohort: Cohort, bank: ClipBank):
    alone = bank.of_fold(None, 1)
    assert alone.channels == 1
    torch.testing.assert_close(alone.inputs(np.array([4])), bank.inputs(np.array([4]))[:, :, :1])
    assert alone.measures is None
    assert replace(bank, features=("a", "b", "c", "d", "e", "f")).measures.shape == (26, 0)


def test_burden_is_the_share_of_b_line_pixels_of_each_clip(cohort: Cohort, bank: ClipBank):
    masks = np.random.default_rng(0).random((26, FRAMES, 6, SIZE, SIZE)) < 0.3
    burdens = bank.measures["b_line_area"]
    want = masks[:, :, cohort.features.index("b_line")].mean((1, 2, 3))
    np.testing.assert_allclose(burdens.loc[cohort.clips["clip_id"]], want)


def test_burden_of_faint_probabilities_is_faint(cohort: Cohort):
    found = segmented(cohort, "probability")
    found.frames[0] = 1  # 1/255 everywhere
    found.frames[1] = 2
    burdens = with_masks(cohort, found).measures["b_line_area"]
    assert burdens.iloc[:2].to_list() == pytest.approx([1 / 255, 2 / 255])


@pytest.mark.parametrize("width", [1, 7, 8, 13, 16])
def test_masks_unpack_to_what_was_packed(width: int):
    binary = np.random.default_rng(0).random((3, 2, 6, 5, width)) < 0.4
    packed = torch.from_numpy(pack(binary))
    frames = torch.zeros((3, 2, width, width), dtype=torch.uint8)
    found = ClipBank(pd.DataFrame(), frames, tuple("abcdef"), packed).masks(np.array([2, 0, 2]))
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found, binary[[2, 0, 2]])


# -- batches


def change_lesson(bank: ClipBank, cohort: Cohort, p: Params) -> batches.Lesson:
    """What S/F change learns from all patients of a cohort."""
    return batches.lesson(QUESTIONS["sf_change"], bank, cohort, list(cohort.patients["patient_id"]), p)


def drawn(cohort: Cohort, bank: ClipBank, p: object, seed: int = 0) -> list[batches.Batch]:
    lesson = change_lesson(bank, cohort, p)
    return list(batches.one_epoch(lesson, np.random.default_rng(seed)))


def pairs_of(bank: ClipBank, drawn: list[batches.Batch]) -> list[tuple[str, str]]:
    ids = bank.clips["clip_id"].to_numpy()
    return [tuple(ids[b.clips[pair]]) for b in drawn for pair in b.pairs.numpy()]


def test_a_pair_batch_encodes_each_clip_once_and_finds_it_again(bank: ClipBank):
    ids = bank.clips["clip_id"].to_numpy(object)
    pairs = np.array([[ids[5], ids[2]], [ids[2], ids[9]], [ids[5], ids[9]]], dtype=object)
    batch = batches.pair_batch(bank, pairs, np.array([0, 1, 2]))
    assert sorted(batch.clips) == [2, 5, 9]
    np.testing.assert_array_equal(ids[batch.clips[batch.pairs.numpy()]], pairs)
    assert batch.target.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("pairing", "batch"), [("batch", 64), ("pair", 16), *(("every", size) for size in (1, 2, 3, 4, 5, 8, 64))]
)
def test_an_epoch_holds_every_pair_of_a_zone_once(
    cohort: Cohort, bank: ClipBank, params_of: Callable, pairing: str, batch: int
):
    p = params_of("05_sf_change", pairing=pairing, batch=batch, batch_pairs=5)
    got = pairs_of(bank, drawn(cohort, bank, p))
    want = sf_change_question.training_pairs(cohort)
    assert len(got) == len(want)
    assert {frozenset(pair) for pair in got} == {frozenset(pair) for pair in want}


@pytest.mark.parametrize(
    ("pairing", "possible"), [("batch", "a share"), ("every", "all"), ("pair", "all")], ids=str
)
def test_a_lesson_knows_how_many_pairs_there_are(
    cohort: Cohort, bank: ClipBank, params_of: Callable, pairing: str, possible: str
):
    p = params_of("05_sf_change", pairing=pairing, batch=4, batch_pairs=5)
    lesson = change_lesson(bank, cohort, p)
    sizes = bank.clips["view"].map(cohort.views).value_counts()
    assert lesson.possible == (sizes * (sizes - 1) // 2).sum()
    met = len(pairs_of(bank, drawn(cohort, bank, p)))
    assert met == lesson.possible if possible == "all" else 0 < met < lesson.possible / 2


def test_draws_of_every_pair_encode_a_clip_once_each_and_stay_small(
    cohort: Cohort, bank: ClipBank, params_of: Callable
):
    zone = bank.clips["view"].map(cohort.views).to_numpy()
    p = params_of("05_sf_change", pairing="every", batch=4)
    for batch in drawn(cohort, bank, p):
        assert 2 <= len(batch.clips) == len(set(batch.clips)) <= 4
        assert len(set(zone[batch.clips])) == 1


def test_targets_follow_the_orientation(cohort: Cohort, bank: ClipBank, params_of: Callable):
    sf = bank.clips.set_index("clip_id")["sf_ratio"]
    batch = drawn(cohort, bank, params_of("05_sf_change", batch=8))
    truth = torch.cat([b.target for b in batch]).tolist()
    first, second = (sf.loc[list(ids)].to_numpy() for ids in zip(*pairs_of(bank, batch), strict=True))
    assert truth == (np.sign(second - first) + 1).astype(int).tolist()
    assert set(truth) == {0, 1, 2}


def test_a_small_batch_still_has_pairs_and_stays_in_its_zone(
    cohort: Cohort, bank: ClipBank, params_of: Callable
):
    zone = bank.clips["view"].map(cohort.views).to_numpy()
    for seed in range(5):
        for batch in drawn(cohort, bank, params_of("05_sf_change", batch=3), seed):
            n = len(batch.clips)
            assert n > 1 and len(batch.pairs) == len(batch.target) == n * (n - 1) // 2
            assert len(set(zone[batch.clips])) == 1


@pytest.mark.parametrize("count", [3, 7])
def test_batches_of_two_leave_no_clip_without_a_pair(
    cohort: Cohort, bank: ClipBank, params_of: Callable, count: int
):
    zone = bank.clips["view"].map(cohort.views)
    few = bank.clips[zone == zone.value_counts().idxmax()].iloc[:count]
    p = params_of("05_sf_change", batch=2)
    lesson = change_lesson(bank, replace(cohort, clips=few), p)
    for batch in batches.one_epoch(lesson, np.random.default_rng(0)):
        assert len(batch.pairs) > 0


def test_epochs_draw_anew_and_repeat_with_their_seed(cohort: Cohort, bank: ClipBank, params_of: Callable):
    p = params_of("05_sf_change", batch=4)
    lesson = change_lesson(bank, cohort, p)
    one, two = batches.Epochs(lesson, 3), batches.Epochs(lesson, 3)
    first = pairs_of(bank, list(one))
    assert pairs_of(bank, list(two)) == first
    assert pairs_of(bank, list(one)) != first
    assert pairs_of(bank, list(batches.Epochs(lesson, 4))) != first


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_epochs_are_as_long_as_what_they_yield(
    cohort: Cohort, bank: ClipBank, params_of: Callable, size: int
):
    """From one clip to three batches and one, in every way to pair, and as units: always as many steps."""
    zone = bank.clips["view"].map(cohort.views)
    own = bank.clips[zone == zone.value_counts().idxmax()]
    other = bank.clips[zone != zone.value_counts().idxmax()]
    table = batches.units(
        QUESTIONS["sf_ratio"], cohort, list(cohort.patients["patient_id"]), params_of("06_sf_ratio")
    )
    for n in range(1, 3 * size + 2):
        lessons = [batches.unit_lesson(bank, table[:n], size)]
        for pairing in PAIRINGS:
            p = params_of("05_sf_change", pairing=pairing, batch=size, batch_pairs=size)
            few = pd.concat([own[:n], other[:2]])
            lessons += [change_lesson(bank, replace(cohort, clips=clips), p) for clips in (own[:n], few)]
        for lesson in lessons:
            epochs = batches.Epochs(lesson, 0)
            assert [len(list(epochs)) for _ in range(3)] == [len(epochs)] * 3
            assert len(epochs) > 0 or (lesson.possible == 0 and n == 1)


def test_a_word_that_is_no_pairing_is_refused(cohort: Cohort, bank: ClipBank, params_of: Callable):
    p = Params("", {**params_of("05_sf_change"), "pairing": "all"})
    with pytest.raises(ValueError, match="expected one of batch, every, pair, got 'all'; correct the param"):
        drawn(cohort, bank, p)


def test_unit_batches_hold_every_unit_once(cohort: Cohort, bank: ClipBank, params_of: Callable):
    p = params_of("06_sf_ratio")
    table = batches.units(QUESTIONS["sf_ratio"], cohort, list(cohort.patients["patient_id"]), p)
    got = list(batches.one_epoch(batches.unit_lesson(bank, table, 8), np.random.default_rng(0)))
    where = np.concatenate([b.clips for b in got])
    assert len(got) == 3 and sorted(where) == list(range(26))
    truth = torch.cat([b.target for b in got])
    assert truth.dtype == torch.float32
    np.testing.assert_allclose(truth, bank.clips["sf_ratio"].to_numpy()[where], rtol=1e-6)


# -- batch of clips against pair by pair


def loss_of(network: torch.nn.Module, bank: ClipBank, batch: batches.Batch) -> torch.Tensor:
    return tasks_network.task_loss(network(bank.inputs(batch.clips).double(), batch.pairs), batch.target)


def gradient_of(network: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
    grads = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([g.flatten() for g in grads])


def test_batch_of_clips_has_the_loss_and_gradient_of_pair_by_pair(
    cohort: Cohort, bank: ClipBank, params_of: Callable
):
    torch.manual_seed(0)
    network = tasks_network.TaskNetwork(3, bank.channels, FRAMES).double().eval()
    torch.nn.init.normal_(network.head.weight, std=0.2)  # so that the classes' losses differ
    few = bank.clips[bank.clips["view"].map(cohort.views) == 1].iloc[:5]
    p = params_of("05_sf_change", batch=64)
    lesson = change_lesson(bank, replace(cohort, clips=few), p)
    (whole,) = batches.one_epoch(lesson, np.random.default_rng(0))
    ids = bank.clips["clip_id"].to_numpy(object)
    assert len(whole.clips) == 5 and len(whole.pairs) == 10
    losses, gradients = [], []
    for pair, target in zip(whole.pairs.numpy(), whole.target, strict=True):
        one = batches.pair_batch(bank, ids[whole.clips[pair]][None], target[None])
        assert len(one.clips) == 2  # both clips of the pair are encoded for it alone
        loss = loss_of(network, bank, one)
        losses.append(loss.item())
        gradients.append(gradient_of(network, loss))
    together = loss_of(network, bank, whole)
    assert together.item() == pytest.approx(np.mean(losses), rel=1e-10)
    assert np.ptp(losses) > 1e-3
    want = torch.stack(gradients).mean(0)
    assert want.norm() > 1e-3
    torch.testing.assert_close(gradient_of(network, together), want, rtol=1e-7, atol=1e-10)


def test_the_head_sees_the_second_clip_less_the_first(bank: ClipBank):
    network = tasks_network.TaskNetwork(3, bank.channels, FRAMES).eval()
    features = torch.randn(2, 1280, generator=torch.Generator().manual_seed(0))
    forward = network.logits(features, torch.tensor([[0, 1]]))
    torch.testing.assert_close(forward, network.head(features[1:] - features[:1]))
    backward = network.logits(features, torch.tensor([[1, 0]]))
    torch.testing.assert_close(forward + backward, 2 * network.head.bias[None])
