"""The segmenter: the loss sees what it should, training and measuring."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.segment import fitting, losses, predictions
from lusnb.segment import segmenter as segment_segmenter
from lusnb.segment.frames import Labelled
from tests.frames import ROLES

# the loss


class Halved(nn.Module):
    """An augmentation that halves confidence and leaves images alone."""

    def forward(self, images: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return images, c / 2


def segmenter(p, features: int) -> segment_segmenter.Segmenter:
    """A segmenter whose network is one 1 x 1 convolution with logits of 1 everywhere."""
    module = segment_segmenter.Segmenter(nn.Conv2d(1, features, 1), p)
    nn.init.zeros_(module.network.weight)
    nn.init.ones_(module.network.bias)
    module.log = lambda *_, **__: None
    return module


def batch_of(c: list, known: list) -> tuple[Tensor, Tensor, Tensor]:
    """Images, one rater's uint8 confidence (N, 1, C, 2, 2), constant in each half, and known, as loaded."""
    levels = torch.tensor(c, dtype=torch.uint8)[:, None, :, None].expand(-1, -1, -1, 2, -1).contiguous()
    return torch.full((len(c), 1, 2, 2), 100, dtype=torch.uint8), levels, torch.tensor(known)[:, None]


YES, NO = np.log1p(np.exp(-1)), np.log1p(np.exp(1))  # cross-entropy of a logit of 1 where y = 1 and y = 0


def test_the_threshold_comes_after_augmentation(params_of):
    # left half 100 %, right half 80 %; halved: 50 % and 40 %, so that at t = 0.5 only the left is a target
    module = segmenter(params_of(label_threshold=0.5), 1)
    module.augment = Halved()
    loss = module.training_step(batch_of([[[255, 204]]], [[True]]), 0)
    assert loss.item() == pytest.approx((0.5 * YES + 0.5 * NO) / 2, rel=1e-5)


def test_the_loss_takes_the_arms_weights(params_of):
    module = segmenter(params_of(label_threshold=0.6, confidence_weight="none", background_weight=0.25), 1)
    module.augment = Halved()
    loss = module.training_step(batch_of([[[255, 0]]], [[True]]), 0)  # 50 % is background at t = 0.6
    assert loss.item() == pytest.approx(0.25 * NO, rel=1e-5)


def test_unknown_features_give_neither_loss_nor_gradient(params_of):
    module = segmenter(params_of(label_threshold=0.5), 3)
    module.augment = nn.Identity()
    module.augment.forward = lambda images, c: (images, c)
    # feature 2 is unknown everywhere, feature 1 in the second image
    known = [[True, True, False], [True, False, False]]
    losses = []
    for level in (0, 255):
        c = [[[255, 0], [255, 255], [level, 0]], [[0, 0], [level, level], [0, level]]]
        module.zero_grad()
        loss = module.training_step(batch_of(c, known), 0)
        loss.backward()
        losses.append(loss.item())
        assert module.network.weight.grad[2].abs().sum() == 0
        assert module.network.bias.grad[2] == 0
        assert (module.network.bias.grad[:2] != 0).all()
    by_hand = ((YES + 0.5 * NO) / 2 + YES + 0.5 * NO) / 3  # the three known: image 1 twice, image 2 once
    assert losses == pytest.approx([by_hand, by_hand], rel=1e-5)


def test_a_batch_without_a_known_feature_gives_zero(params_of):
    module = segmenter(params_of(), 2)
    loss = module.training_step(batch_of([[[255, 0], [0, 0]]], [[False, False]]), 0)
    assert loss.item() == 0


# training


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([v.detach().float().flatten() for v in network.state_dict().values()])


def validation_iou(network: nn.Module, data: Labelled, t: float) -> float:
    """The best of all cuts' mean over features of the IoU over all known validation images, in NumPy."""
    where = data.of(ROLES["validation"])
    levels = np.rint(segment_segmenter.predict(network, data.images[where], 3).sigmoid().numpy() * 255)
    y, known = data.confidence[where].numpy() / 255 >= t - 1 / 510, data.known[where].numpy()
    y, levels = y & known[:, :, None, None], np.where(known[:, :, None, None], levels, -1)
    there = y.any((0, 2, 3))
    cuts = [levels >= cut for cut in range(1, 256)]
    scores = [(y & p).sum((0, 2, 3))[there] / (y | p).sum((0, 2, 3))[there] for p in cuts]
    return float(np.mean(scores, axis=1).max())


def test_the_epoch_with_the_highest_validation_iou_is_returned(data, p, trained):
    network, history = trained
    assert len(history) == p.epochs == 2
    assert history["best"].sum() == 1
    best = history.loc[history["best"], "validation_iou"].item()
    assert best == history["validation_iou"].max()
    assert best > 0
    assert validation_iou(network, data, p.label_threshold) == pytest.approx(best, abs=2e-3)
    assert not network.training


def test_an_earlier_epoch_is_returned_when_it_is_the_best(data, params_of, monkeypatch):
    scripted = iter([0.4, 0.9, 0.1])

    def score(self):
        self.log("validation_iou", next(scripted))

    monkeypatch.setattr(segment_segmenter.Segmenter, "on_validation_epoch_end", score)
    two = {"batch": 4, "size": 64, "learning_rate": 0.01}
    network, history = segment_segmenter.train(data, ROLES, params_of(epochs=3, **two))
    assert history["best"].tolist() == [False, True, False]
    losses = [validation_loss(network, data, t=0.6)]
    assert losses == pytest.approx([history["validation_loss"][1]], rel=1e-4)
    assert abs(history["validation_loss"][2] - history["validation_loss"][1]) > 1e-3


def validation_loss(network: nn.Module, data: Labelled, t: float) -> float:
    """Paper-weighted cross-entropy over the known features of the validation images, in NumPy."""
    where = data.of(ROLES["validation"])
    z = segment_segmenter.predict(network, data.images[where], 4).double().numpy()
    c = data.confidence[where].numpy() / 255
    y = c >= t - 1 / 510
    loss = np.where(y, c, t) * np.where(y, np.logaddexp(0, -z), np.logaddexp(0, z))
    return float(loss.mean((2, 3))[data.known[where].numpy()].mean())


def test_training_is_the_same_for_a_seed_and_another_for_another(data, p, trained, params_of):
    torch.manual_seed(12345)  # what was drawn before must not matter
    again, history = segment_segmenter.train(data, ROLES, p)
    assert torch.equal(weights_of(again), weights_of(trained[0]))
    pd.testing.assert_frame_equal(history, trained[1], check_exact=True)
    other, _ = segment_segmenter.train(data, ROLES, params_of(**{**p, "seed": p.seed + 1}))
    assert not torch.equal(weights_of(other), weights_of(trained[0]))


def test_only_training_patients_are_trained_on(data, p, trained):
    """Other labels and images of the test patient leave every weight as it was."""
    images, c = data.images.clone(), data.confidence.clone()
    where = data.of(ROLES["test"])
    images[where], c[where] = 255 - images[where], 255 - c[where]
    network, _ = segment_segmenter.train(replace(data, images=images, confidence=c), ROLES, p)
    assert torch.equal(weights_of(network), weights_of(trained[0]))


@pytest.mark.parametrize("decoder", ["FPN", "DeepLabV3Plus"])
def test_a_last_batch_of_one_image_is_trained_on(data, p, params_of, decoder):
    """A decoder that pools to one pixel cannot normalise over one image: it joins the batch before."""
    part = replace(data, table=data.table.assign(patient_id=["P1"] * 5 + ["P2"] * 15))
    roles = {**ROLES, "train": ["P1"], "validation": ["P2"]}
    _, history = segment_segmenter.train(part, roles, params_of(**{**p, "decoder": decoder}))
    assert len(history) == 2


def test_every_image_is_in_one_batch_an_epoch():
    for count, sizes in ((9, [4, 5]), (8, [4, 4]), (10, [4, 4, 2]), (1, [1]), (5, [5])):
        batches = list(segment_segmenter._Batches(range(count), 4, drop_last=False))
        assert [len(batch) for batch in batches] == sizes
        assert sum(batches, []) == list(range(count))


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_a_sampler_is_as_long_as_what_it_yields(batch):
    for count in range(1, 3 * batch + 2):
        batches = segment_segmenter._Batches(range(count), batch, drop_last=False)
        assert len(batches) == len(list(batches))
        assert sum(batches, []) == list(range(count))


@pytest.mark.parametrize("count", range(1, 3 * 3 + 2))
def test_any_number_of_training_frames_validates_every_epoch_and_moves_the_rate(data, params_of, count):
    """One frame more than a multiple of the batch once skipped validation and schedule, in silence."""
    part = replace(data, table=data.table.assign(patient_id=["P1"] * count + ["P2"] * (20 - count)))
    roles = {**ROLES, "train": ["P1"], "validation": ["P2"]}
    asked = params_of(epochs=3, batch=3, size=64, label_threshold=0.6, learning_rate=0.01)
    _, history = segment_segmenter.train(part, roles, asked)
    assert history[["validation_loss", "validation_iou"]].notna().all(axis=None)
    assert history["lr"].tolist() == pytest.approx([0.01, 0.0075, 0.0025])


def test_without_validation_the_last_epoch_is_returned(data, p):
    _, history = segment_segmenter.train(data, {**ROLES, "validation": []}, p)
    assert history["best"].tolist() == [False, True]


def test_build_gives_the_same_weights_for_a_seed(p, params_of):
    assert torch.equal(weights_of(segment_segmenter.build(p, 3)), weights_of(segment_segmenter.build(p, 3)))
    other = segment_segmenter.build(params_of(**{**p, "seed": 1}), 3)
    assert not torch.equal(weights_of(other), weights_of(segment_segmenter.build(p, 3)))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"supervision": "soft_"}, "supervision: expected one of threshold, soft, .*, got 'soft_'"),
        ({"supervision": "softseg"}, "loss weighted_ce: expected the activation sigmoid"),
        (
            {"supervision": "soft", "background_weight": 0.2},
            "background_weight: expected none beside supervision soft, .*, got 0.2; leave it out",
        ),
        ({"loss": "hinge"}, "loss: expected one of weighted_ce, dice, .*, got 'hinge'"),
    ],
)
def test_arms_that_do_not_exist_are_refused(data, params_of, wrong, text):
    with pytest.raises(ValueError, match=text):
        segment_segmenter.train(data, ROLES, params_of(**wrong))


@pytest.mark.parametrize("name", ["dice_ce", "tversky"])
def test_an_arm_is_trained_with_the_loss_it_names(data, p, params_of, name):
    asked = params_of(**{**p, "loss": name, "epochs": 1})
    module = segment_segmenter.Segmenter(segment_segmenter.build(asked, 3), asked)
    c = data.confidence[:2].float() / 255
    logits = torch.zeros(c.shape)
    y, w = confidence.targets(c, p.label_threshold), confidence.weights(c, p.label_threshold)
    known = torch.tensor([[True, True, False], [True, False, True]])
    wanted = losses.loss(name)(logits, y, w)[known].mean()
    assert module._loss(logits, c, known).item() == pytest.approx(wanted.item(), rel=1e-6)
    network, history = segment_segmenter.train(data, ROLES, asked)
    assert np.isfinite(history["train_loss"]).all()


WAYS = [
    {"supervision": "soft"},
    {"supervision": "softseg", "loss": "wing"},
    {"supervision": "trimap"},
    {"supervision": "sampled"},
    {"supervision": "smoothed"},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way["supervision"])
def test_every_way_of_showing_confidence_learns(data, params_of, way):
    """Probabilities after training order the pixels by whether they were painted, far better than before."""
    asked = params_of(epochs=8, batch=4, size=64, label_threshold=0.5, learning_rate=0.01, **way)
    network, history = segment_segmenter.train(data, ROLES, asked)
    assert np.isfinite(history[["train_loss", "validation_loss", "validation_iou"]]).all(axis=None)
    where = data.of(ROLES["test"])
    activation = confidence.supervision(asked).activation
    after = segment_segmenter.predict(network, data.images[where], 4, activation)
    before = segment_segmenter.predict(segment_segmenter.build(asked, 3), data.images[where], 4, activation)
    assert after.isfinite().all()
    for k in range(3):
        ranked = [
            roc_auc_score(data.confidence[where, k].ravel() > 0, z[:, k].ravel()) for z in (after, before)
        ]
        assert ranked[0] > max(0.7, ranked[1]), (k, ranked)


def test_no_weights_at_a_threshold_is_what_a_consensus_is_shown(data, p, params_of):
    """Two names of one supervision where there is one rater: the same network to the last bit."""
    one = params_of(**{**p, "confidence_weight": "none", "background_weight": "none"})
    other = params_of(**{**p, "supervision": "consensus"})
    networks = [segment_segmenter.train(data, ROLES, asked)[0] for asked in (one, other)]
    assert torch.equal(*map(weights_of, networks))


def test_a_rater_is_drawn_anew_at_each_step_and_alone_decides(params_of):
    """Rater 1 painted everything, rater 2 nothing; feature 2 was looked at by rater 2 alone."""
    module = segmenter(params_of(supervision="rater", label_threshold=0.5), 2)
    module.augment = Halved()
    maps = torch.zeros(64, 2, 2, 2, 2, dtype=torch.uint8)
    maps[:, 0] = 255
    known = torch.tensor([[True, False], [True, True]]).expand(64, 2, 2)
    images = torch.full((64, 1, 2, 2), 100, dtype=torch.uint8)
    torch.manual_seed(0)
    losses_seen = {
        round(module.training_step((images[:1], maps[:1], known[:1]), 0).item(), 5) for _ in range(40)
    }
    assert losses_seen == {round(YES, 5), round(NO, 5)}
    share = module.training_step((images, maps, known), 0).item()  # one feature of rater 1, two of rater 2
    off = [abs(share - (n * YES + 2 * (64 - n) * NO) / (128 - n)) for n in range(65)]  # n images of rater 1
    assert min(off) < 1e-5
    assert 16 < int(np.argmin(off)) < 48


def test_graded_arms_choose_their_epoch_by_the_mean_over_evaluation_thresholds(data, params_of):
    asked = params_of(epochs=2, batch=4, size=64, learning_rate=0.01, supervision="soft", label_threshold=0.5)
    network, history = segment_segmenter.train(data, ROLES, asked)
    wanted = np.mean([validation_iou(network, data, t) for t in (0.2, 0.4, 0.5, 0.6, 0.8)])
    assert history.loc[history["best"], "validation_iou"].item() == pytest.approx(wanted, abs=2e-3)


def test_softseg_is_predicted_as_probabilities_of_its_own_activation(data, params_of):
    asked = params_of(supervision="softseg", loss="wing")
    network = segment_segmenter.build(asked, 3).eval()
    with torch.inference_mode():
        outputs = network(segment_segmenter.as_input(data.images[:2]))
    positive = outputs.clamp(min=0)
    wanted = positive / positive.amax((-2, -1), keepdim=True).clamp(min=1e-6)
    found = segment_segmenter.predict(network, data.images[:2], 2, "normalised_relu").sigmoid()
    assert (found - wanted).abs().max() <= 1 / 1020 + 1e-6
    _, levels = segment_segmenter.segment_frames(network, data.images[:2, 0].numpy(), asked)
    np.testing.assert_allclose(levels, found, atol=1e-6)


def test_training_without_frames_is_refused(data, p):
    text = "arm t060: expected labelled frames of training patients, found none; label some"
    with pytest.raises(ValueError, match=text):
        segment_segmenter.train(data, {**ROLES, "train": ["P9"]}, p)


# with a cohort


@pytest.fixture(scope="module")
def untrained(params_of) -> nn.Module:
    """A network that marks some of every frame."""
    return segment_segmenter.build(params_of(), 6)


def test_clips_are_segmented_at_their_segment_centres(cohort, params_of, untrained):
    """Binary frames are the probabilities at the given cut; both average the larger prediction."""
    asked = params_of(task_channels="probability")
    levels, table = segment_segmenter.segment_clips(untrained, cohort, asked, cut=140)
    packed, same = segment_segmenter.segment_clips(untrained, cohort, params_of(), cut=140)
    n = len(cohort.clips)
    assert levels.shape == (n, 2, 6, 32, 32)
    assert packed.shape == (n, 2, 6, 32, 4)
    pd.testing.assert_frame_equal(table, same)
    binary = np.unpackbits(packed, axis=-1)
    np.testing.assert_array_equal(binary, levels >= 140)
    assert 0 < binary.mean() < (levels >= 128).mean() < 1

    assert list(table.itertuples(index=False, name=None))[:2] == [
        (cohort.clips["clip_id"][0], 0, 1),
        (cohort.clips["clip_id"][0], 1, 4),
    ]  # 6 frames in 2 segments: centres 1.5 and 4.5
    frame = np.array(arrays.clip(cohort, cohort.clips["clip_id"][5])[4])
    probability = segment_segmenter.predict(untrained, torch.from_numpy(frame)[None, None], 1).sigmoid()
    by_four = probability.reshape(6, 32, 2, 32, 2).mean((2, 4)).numpy() * 255
    assert np.abs(levels[5, 1] - by_four).max() <= 0.51


def test_task_channels_that_do_not_exist_are_refused(cohort, params_of, untrained):
    with pytest.raises(ValueError, match=r"task_channels: expected one of .*binary.*, got 'soft'"):
        asked = params_of(task_channels="soft")
        segment_segmenter.segment_clips(untrained, cohort, asked, cut=128)


def test_masks_for_tasks_are_cut_where_the_profile_says(params_of):
    assert segment_segmenter.task_cut(70, params_of()) == 70
    assert segment_segmenter.task_cut(70, params_of(task_cut="fixed")) == predictions.CUT


def test_an_arm_is_restored_from_its_run_and_segments_any_frames(tmp_path, data, p, trained):
    network, _ = trained
    fitting.save(tmp_path / "model.safetensors", network)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(dict(p)))
    fresh, asked = segment_segmenter.restore(tmp_path, 3)
    frames = data.images[:2, 0].numpy()
    seen, levels = segment_segmenter.segment_frames(fresh, frames, asked)
    assert dict(asked) == dict(p) and np.array_equal(seen, frames)
    wanted = segment_segmenter.predict(network, data.images[:2], 2).sigmoid().numpy()
    np.testing.assert_allclose(levels, wanted, atol=1e-6)


def test_a_seed_offset_is_another_seed(p, params_of):
    weights = [
        next(segment_segmenter.build(params_of(**{**p, **change}), 3).parameters()).detach()
        for change in ({}, {"seed_offset": 5}, {"seed": p.seed + 5})
    ]
    assert not torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])
