"""The segmenter: augmentation keeps target areas, the loss sees what it should, training and measuring."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from kornia.constants import DataKey, Resample
from torch import Tensor, nn

from lusnb import cohort as cohorts
from lusnb import confidence, losses, metrics, predictions, segmentation, tables, training
from lusnb.segmentation import Labelled

LEVELS = (51, 102, 128, 153, 204, 255)  # 20, 40, 50, 60, 80, 100 %
FEATURES = ("one", "two", "three")
ROLES = {"train": ["P1", "P2"], "validation": ["P3"], "test": ["P4"]}


# augmentation


def lines(seed: int, count: int = 64) -> Tensor:
    """Confidence with one line a feature, inside the circle that no rotation moves out of the frame.

    (count, 6, 64, 64), 3 to 5 pixels thick at the feature's level, between bands of 3 pixels at half of it.
    """
    rng = np.random.default_rng(seed)
    c = torch.zeros(count, len(LEVELS), 64, 64)
    for n, k in np.ndindex(c.shape[:2]):
        thick, left = rng.integers(3, 6), rng.integers(12, 16)
        top = rng.integers(20, 38 - thick)
        c[n, k, top - 3 : top + thick + 3, left : left + 36] = LEVELS[k] // 2 / 255
        c[n, k, top : top + thick, left : left + 36] = LEVELS[k] / 255
    return c


def areas_after(resample: Resample, c: Tensor) -> dict[float, float]:
    """Mean target area after augmentation over that before it, at every threshold; 12 draws."""
    augment = segmentation.augmentation(15.0)
    augment.extra_args = {DataKey.MASK: {"resample": resample, "align_corners": False}}
    torch.manual_seed(0)
    drawn = torch.cat([augment(torch.zeros(len(c), 1, 64, 64), c)[1] for _ in range(12)])
    area = {t: confidence.targets(drawn, t).double().mean() for t in confidence.THRESHOLDS}
    return {t: (area[t] / confidence.targets(c, t).double().mean()).item() for t in confidence.THRESHOLDS}


def test_nearest_neighbour_is_asked_for_under_a_key_that_kornia_knows():
    """A key that is no DataKey is ignored in silence."""
    assert segmentation.augmentation(15.0).extra_args[DataKey.MASK]["resample"] == Resample.NEAREST


def test_augmentation_keeps_the_target_area_at_every_threshold():
    for t, ratio in areas_after(Resample.NEAREST, lines(0)).items():
        assert ratio == pytest.approx(1, abs=0.05), t


def test_bilinear_warping_would_not_keep_the_target_area():
    ratios = areas_after(Resample.BILINEAR, lines(0))
    assert ratios[0.0] > 1.05
    assert ratios[1.0] < 0.95


def test_augmentation_keeps_the_set_of_levels():
    c = lines(1, 16)
    torch.manual_seed(1)
    _, warped = segmentation.augmentation(15.0)(torch.zeros(16, 1, 64, 64), c)
    assert (warped != c).any()
    assert set(warped.unique().tolist()) == set(c.unique().tolist())


def test_image_and_confidence_are_warped_alike():
    c = torch.zeros(64, 2, 64, 64)
    c[:, 0, 16:26, 14:44], c[:, 0, 26:50, 14:24] = 1.0, 1.0  # an L: no flip or rotation leaves it as it was
    c[:, 1] = 1 - c[:, 0]
    torch.manual_seed(2)
    images, warped = segmentation.augmentation(15.0)(0.2 + 0.5 * c[:, :1], c)
    moved = 0
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    inside = (rows - 31.5) ** 2 + (columns - 31.5) ** 2 < 31**2  # away from the corners that become black
    for image, mask in zip(images[:, 0], warped[:, 0] > 0.5, strict=True):
        seen = (image > (image[inside].min() + image[inside].max()) / 2) & inside
        assert (seen & mask).sum() / (seen | mask).sum() > 0.92
        for axis in (rows, columns):
            assert axis[seen].mean().item() == pytest.approx(axis[mask].mean().item(), abs=0.3)
        moved += bool((mask != (c[0, 0] > 0.5)).any())
    assert 30 < moved < 64  # flipped or rotated: three of four


def test_images_of_a_batch_are_drawn_apart_and_stay_in_range():
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)).repeat(16, 1, 1, 1)
    torch.manual_seed(3)
    drawn, _ = segmentation.augmentation(15.0)(images, images)
    assert len({tuple(image.flatten().tolist()) for image in drawn}) > 10
    assert drawn.min() >= 0
    assert drawn.max() <= 1


# the loss


class Halved(nn.Module):
    """An augmentation that halves confidence and leaves images alone."""

    def forward(self, images: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return images, c / 2


def segmenter(p, features: int) -> segmentation.Segmenter:
    """A segmenter whose network is one 1 x 1 convolution with logits of 1 everywhere."""
    module = segmentation.Segmenter(nn.Conv2d(1, features, 1), p)
    nn.init.zeros_(module.network.weight)
    nn.init.ones_(module.network.bias)
    module.log = lambda *_, **__: None
    return module


def batch_of(c: list, known: list) -> tuple[Tensor, Tensor, Tensor]:
    """Images, uint8 confidence (N, C, 2, 2) constant in each half, and known, as a loader gives them."""
    levels = torch.tensor(c, dtype=torch.uint8)[:, :, None].expand(-1, -1, 2, -1).contiguous()
    return torch.full((len(c), 1, 2, 2), 100, dtype=torch.uint8), levels, torch.tensor(known)


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


def synthetic(seed: int = 0) -> Labelled:
    """20 frames of 64 x 64: a bright band a feature at its own grade; 6, 6, 4, 4 frames of P1 to P4."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(["P1", "P2", "P3", "P4"], [6, 6, 4, 4])
    c = np.zeros((20, 3, 64, 64), np.uint8)
    images = rng.integers(0, 60, (20, 1, 64, 64), np.uint8)
    for n, k in np.ndindex(20, 3):
        top = 4 + 20 * k + rng.integers(0, 8)
        c[n, k, top : top + 10] = (255, 204, 153)[k]
        images[n, 0, top : top + 10] += (180, 120, 80)[k]
    c[12, 2] = 0  # a validation frame without the third feature
    known = torch.ones(20, 3, dtype=torch.bool)
    known[13, 0] = known[16, 1] = False
    table = pd.DataFrame({"clip_id": [f"C{n:02}" for n in range(20)], "frame": 0, "patient_id": patients})
    return Labelled(table, torch.from_numpy(images), torch.from_numpy(c), known, [(0.5, 0.25)] * 20)


@pytest.fixture(scope="module")
def data() -> Labelled:
    return synthetic()


@pytest.fixture(scope="module")
def p(params_of):
    return params_of(epochs=2, batch=4, size=64, label_threshold=0.6, learning_rate=0.01)


@pytest.fixture(scope="module")
def trained(data, p):
    """Network and history of two epochs."""
    return segmentation.train(data, ROLES, p)


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([v.detach().float().flatten() for v in network.state_dict().values()])


def validation_iou(network: nn.Module, data: Labelled, t: float) -> float:
    """Mean over images of the mean over known, labelled features, set by set in NumPy."""
    where = data.of(ROLES["validation"])
    predicted = segmentation.predict(network, data.images[where], 3).sigmoid().numpy() >= 0.5
    y = data.confidence[where].numpy() / 255 >= t - 1 / 510
    union = (predicted | y).sum((2, 3))
    iou = (predicted & y).sum((2, 3)) / np.maximum(union, 1)
    iou[~y.any((2, 3)) | ~data.known[where].numpy()] = np.nan
    return float(np.nanmean(np.nanmean(iou, axis=1)))


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

    monkeypatch.setattr(segmentation.Segmenter, "on_validation_epoch_end", score)
    two = {"batch": 4, "size": 64, "learning_rate": 0.01}
    network, history = segmentation.train(data, ROLES, params_of(epochs=3, **two))
    assert history["best"].tolist() == [False, True, False]
    losses = [validation_loss(network, data, t=0.6)]
    assert losses == pytest.approx([history["validation_loss"][1]], rel=1e-4)
    assert abs(history["validation_loss"][2] - history["validation_loss"][1]) > 1e-3


def validation_loss(network: nn.Module, data: Labelled, t: float) -> float:
    """Paper-weighted cross-entropy over the known features of the validation images, in NumPy."""
    where = data.of(ROLES["validation"])
    z = segmentation.predict(network, data.images[where], 4).double().numpy()
    c = data.confidence[where].numpy() / 255
    y = c >= t - 1 / 510
    loss = np.where(y, c, t) * np.where(y, np.logaddexp(0, -z), np.logaddexp(0, z))
    return float(loss.mean((2, 3))[data.known[where].numpy()].mean())


def test_training_is_the_same_for_a_seed_and_another_for_another(data, p, trained, params_of):
    torch.manual_seed(12345)  # what was drawn before must not matter
    again, history = segmentation.train(data, ROLES, p)
    assert torch.equal(weights_of(again), weights_of(trained[0]))
    pd.testing.assert_frame_equal(history, trained[1], check_exact=True)
    other, _ = segmentation.train(data, ROLES, params_of(**{**p, "seed": p.seed + 1}))
    assert not torch.equal(weights_of(other), weights_of(trained[0]))


def test_only_training_patients_are_trained_on(data, p, trained):
    """Other labels and images of the test patient leave every weight as it was."""
    images, c = data.images.clone(), data.confidence.clone()
    where = data.of(ROLES["test"])
    images[where], c[where] = 255 - images[where], 255 - c[where]
    network, _ = segmentation.train(replace(data, images=images, confidence=c), ROLES, p)
    assert torch.equal(weights_of(network), weights_of(trained[0]))


def test_a_last_batch_of_one_image_is_trained_on(data, p):
    part = replace(data, table=data.table.assign(patient_id=["P1"] * 5 + ["P2"] * 15))
    _, history = segmentation.train(part, {**ROLES, "train": ["P1"], "validation": ["P2"]}, p)
    assert len(history) == 2


def test_without_validation_the_last_epoch_is_returned(data, p):
    _, history = segmentation.train(data, {**ROLES, "validation": []}, p)
    assert history["best"].tolist() == [False, True]


def test_build_gives_the_same_weights_for_a_seed(p, params_of):
    assert torch.equal(weights_of(segmentation.build(p, 3)), weights_of(segmentation.build(p, 3)))
    other = segmentation.build(params_of(**{**p, "seed": 1}), 3)
    assert not torch.equal(weights_of(other), weights_of(segmentation.build(p, 3)))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"supervision": "soft"}, "arm t060: expected supervision `threshold`, got 'soft'"),
        ({"loss": "hinge"}, "loss: expected one of weighted_ce, dice, .*, got 'hinge'"),
    ],
)
def test_arms_that_do_not_exist_are_refused(data, params_of, wrong, text):
    with pytest.raises(ValueError, match=text):
        segmentation.train(data, ROLES, params_of(**wrong))


@pytest.mark.parametrize("name", ["dice_ce", "tversky"])
def test_an_arm_is_trained_with_the_loss_it_names(data, p, params_of, name):
    asked = params_of(**{**p, "loss": name, "epochs": 1})
    module = segmentation.Segmenter(segmentation.build(asked, 3), asked)
    c = data.confidence[:2].float() / 255
    logits = torch.zeros(c.shape)
    y, w = confidence.targets(c, p.label_threshold), confidence.weights(c, p.label_threshold)
    known = torch.tensor([[True, True, False], [True, False, True]])
    wanted = losses.loss(name)(logits, y, w)[known].mean()
    assert module._loss(logits, c, known).item() == pytest.approx(wanted.item(), rel=1e-6)
    network, history = segmentation.train(data, ROLES, asked)
    assert np.isfinite(history["train_loss"]).all()


def test_training_without_frames_is_refused(data, p):
    text = "arm t060: expected labelled frames of training patients, found none; label some"
    with pytest.raises(ValueError, match=text):
        segmentation.train(data, {**ROLES, "train": ["P9"]}, p)


# measuring


@pytest.fixture(scope="module")
def measured(data, p, trained) -> tuple[Tensor, pd.DataFrame]:
    return segmentation.measure(trained[0], data, ROLES, FEATURES, p)


def test_measures_are_tidy_and_of_validation_and_test_only(data, p, measured):
    _, scores = measured
    columns = "arm, seed, fold, patient_id, clip_id, frame, feature, metric, value"
    assert list(scores) == columns.split(", ")
    cut = scores[scores["metric"] == "cut"]
    rows = scores.drop(cut.index)
    assert set(rows["patient_id"]) == {"P3", "P4"}
    assert set(rows["metric"]) == set(tables.TABLE1)
    assert len(rows) == 8 * len(FEATURES) * len(tables.TABLE1)
    assert not rows.duplicated(["clip_id", "frame", "feature", "metric"]).any()
    own = data.table.set_index("clip_id")["patient_id"]
    assert (rows["patient_id"] == rows["clip_id"].map(own)).all()
    assert scores[["arm", "seed", "fold"]].drop_duplicates().to_numpy().tolist() == [[p.arm, p.seed, p.fold]]
    assert cut[["patient_id", "clip_id", "feature"]].to_numpy().tolist() == [["", "", ""]]


def test_probabilities_are_of_every_frame(data, measured, trained):
    levels, _ = measured
    assert levels.shape == data.confidence.shape
    assert levels.dtype == torch.uint8
    probability = segmentation.predict(trained[0], data.images, 20).sigmoid() * 255
    assert (levels.float() - probability).abs().max() <= 0.75  # half a step, and batches differ


def test_iou_is_that_of_the_returned_probabilities(data, p, measured):
    levels, scores = measured
    tuned = scores.loc[scores["metric"] == "cut", "value"].item()
    for metric, cut in (("iou", 128), ("iou_tuned", round(255 * tuned))):
        rows = scores[scores["metric"] == metric]
        for row in rows.itertuples():
            n, k = int(row.clip_id[1:]), FEATURES.index(row.feature)
            predicted = levels[n, k].numpy() >= cut
            y = data.confidence[n, k].numpy() / 255 >= p.label_threshold - 1 / 510
            expected = (predicted & y).sum() / (predicted | y).sum() if y.any() else np.nan
            expected = expected if data.known[n, k] else np.nan
            assert row.value == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert rows["value"].notna().sum() == 8 * 3 - 3  # two unknown, one empty
        assert rows["value"].max() > 0


def test_nothing_is_measured_of_an_unknown_feature(measured):
    _, scores = measured
    for clip_id, feature in (("C13", "one"), ("C16", "two")):
        rows = scores[(scores["clip_id"] == clip_id) & (scores["feature"] == feature)]
        assert len(rows) == len(tables.TABLE1)
        assert rows["value"].isna().all()


def test_the_cut_is_tuned_on_validation_images_alone(data, p, trained, measured):
    where = data.of(ROLES["validation"])
    y = confidence.targets(data.confidence[where].float() / 255, p.label_threshold)
    cut = metrics.best_cut(measured[0][where], y, data.known[where])
    assert measured[1].loc[measured[1]["metric"] == "cut", "value"].tolist() == [cut]
    c = data.confidence.clone()
    c[data.of(ROLES["test"])] = 255
    other = segmentation.measure(trained[0], replace(data, confidence=c), ROLES, FEATURES, p)[1]
    assert other.loc[other["metric"] == "cut", "value"].tolist() == [cut]


def test_the_untrained_network_measures_the_same_as_itself(data, p):
    _, scores = segmentation.measure(segmentation.build(p, 3), data, ROLES, FEATURES, p)
    wide = scores[scores["metric"].isin(["iou", "iou_untrained"])].pivot(
        index=["clip_id", "feature"], columns="metric", values="value"
    )
    np.testing.assert_allclose(wide["iou"], wide["iou_untrained"], rtol=1e-6)


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_measuring_without_patients_of_one_role(data, p, trained, empty):
    _, scores = segmentation.measure(trained[0], data, {**ROLES, empty: []}, FEATURES, p)
    left = {"validation": "P4", "test": "P3"}[empty]
    assert set(scores.loc[scores["metric"] != "cut", "patient_id"]) == {left}


# with a cohort


@pytest.mark.parametrize("size", [48, 100])
def test_a_size_the_network_cannot_halve_is_refused(cohort, size):
    text = re.escape(f"size: expected a multiple of 32 from 64 on (the FPN halves five times), got {size};")
    with pytest.raises(ValueError, match=text):
        segmentation.load_labelled(cohort, size, "mean")


@pytest.mark.parametrize("size", [0, 32])
def test_a_size_that_leaves_one_pixel_or_none_to_normalise_over_is_refused(cohort, size):
    """At 32 x 32 the deepest maps are of one pixel, and a batch of one image cannot be normalised."""
    with pytest.raises(ValueError, match=f"size: expected .*, got {size}"):
        segmentation.load_labelled(cohort, size, "mean")


def test_labelled_frames_are_read_at_the_working_size(cohort):
    data = segmentation.load_labelled(cohort, 96, "mean")
    n = len(cohort.clips)
    assert (data.images.shape, data.images.dtype) == ((n, 1, 96, 96), torch.uint8)
    assert (data.confidence.shape, data.confidence.dtype) == ((n, 6, 96, 96), torch.uint8)
    assert data.known.all()
    row = cohort.clips.set_index("clip_id").loc[data.table["clip_id"][3]]
    assert data.spacing[3] == pytest.approx((row["depth_cm"] * 10 / 96, row["width_cm"] * 10 / 96))
    whole = segmentation.load_labelled(cohort, 64, "mean")
    assert set(data.confidence.unique().tolist()) <= set(whole.confidence.unique().tolist())


@pytest.fixture(scope="module")
def untrained(params_of) -> nn.Module:
    """A network that marks some of every frame."""
    return segmentation.build(params_of(), 6)


def test_clips_are_segmented_at_their_segment_centres(cohort, params_of, untrained):
    """Binary frames are the probabilities cut at a half; both are the average of the larger prediction."""
    levels, table = segmentation.segment_clips(untrained, cohort, params_of(task_channels="probability"))
    packed, same = segmentation.segment_clips(untrained, cohort, params_of())
    n = len(cohort.clips)
    assert levels.shape == (n, 2, 6, 32, 32)
    assert packed.shape == (n, 2, 6, 32, 4)
    pd.testing.assert_frame_equal(table, same)
    binary = np.unpackbits(packed, axis=-1)
    np.testing.assert_array_equal(binary, levels >= 128)
    assert 0 < binary.mean() < 1

    assert list(table.itertuples(index=False, name=None))[:2] == [
        (cohort.clips["clip_id"][0], 0, 1),
        (cohort.clips["clip_id"][0], 1, 4),
    ]  # 6 frames in 2 segments: centres 1.5 and 4.5
    frame = np.array(cohorts.clip(cohort, cohort.clips["clip_id"][5])[4])
    probability = segmentation.predict(untrained, torch.from_numpy(frame)[None, None], 1).sigmoid()
    by_four = probability.reshape(6, 32, 2, 32, 2).mean((2, 4)).numpy() * 255
    assert np.abs(levels[5, 1] - by_four).max() <= 0.51


def test_task_channels_that_do_not_exist_are_refused(cohort, params_of, untrained):
    with pytest.raises(ValueError, match=r"task_channels: expected one of .*binary.*, got 'soft'"):
        segmentation.segment_clips(untrained, cohort, params_of(task_channels="soft"))


def test_what_is_stored_is_read_back_and_the_network_predicts_the_same(tmp_path, data, p, trained, measured):
    network, history = trained
    levels, scores = measured
    task = pd.DataFrame({"clip_id": ["C00"], "slot": [0], "frame": [0]})
    frames = np.zeros((1, 1, 3, 32, 4), np.uint8)
    segmentation.store(tmp_path, network, history, scores, (data.table, levels, frames, task), "c0ffee", p)
    found = predictions.read(tmp_path, "c0ffee")
    np.testing.assert_array_equal(found.labelled, levels)
    assert {k: found.made_from[k] for k in ("size", "task_size", "task_frames", "channels")} == {
        "size": 64, "task_size": 32, "task_frames": 2, "channels": "binary",
    }  # fmt: skip
    fresh = training.restore(tmp_path / "model.safetensors", segmentation.build(p, 3))
    one, other = (segmentation.predict(n, data.images[:4], 4) for n in (fresh, network))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv", "metrics.csv", "model.safetensors", "predictions",
    ]  # fmt: skip


def test_an_arm_is_restored_from_its_run_and_segments_any_frames(tmp_path, data, p, trained):
    network, _ = trained
    training.save(tmp_path / "model.safetensors", network)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(dict(p)))
    fresh, asked = segmentation.restore(tmp_path, 3)
    frames = data.images[:2, 0].numpy()
    seen, levels = segmentation.segment_frames(fresh, frames, asked)
    assert dict(asked) == dict(p) and np.array_equal(seen, frames)
    wanted = segmentation.predict(network, data.images[:2], 2).sigmoid().numpy()
    np.testing.assert_allclose(levels, wanted, atol=1e-6)


def test_a_seed_offset_is_another_seed(p, params_of):
    weights = [
        next(segmentation.build(params_of(**{**p, **change}), 3).parameters()).detach()
        for change in ({}, {"seed_offset": 5}, {"seed": p.seed + 5})
    ]
    assert not torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])
