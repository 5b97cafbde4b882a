"""Targets, weights and trimaps by hand on 4 x 4 maps, at every threshold of the paper."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from lusnb import confidence, params

A, B = 0.99999, 254.9 / 255  # both must still count as 100 %
# just below the threshold: by less and by more than 1/510 (at t = 0: just above zero, and zero)
LESS = {0.0: 1e-6, **{t: t - 1 / 600 for t in (0.2, 0.4, 0.5, 0.6, 0.8, 1.0)}}
MORE = {0.0: 0.0, **{t: t - 1 / 400 for t in (0.2, 0.4, 0.5, 0.6, 0.8, 1.0)}}

TARGETS = {
    0.0: [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
    0.2: [[0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
    0.4: [[0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
    0.5: [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
    0.6: [[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
    0.8: [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 0]],
    1.0: [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]],
}
PAPER = {
    0.0: [[0.8, 0.001, 0.1, 0.2], [0.3, 0.4, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[0.0], 0.8]],
    0.2: [[0.2, 0.2, 0.2, 0.2], [0.3, 0.4, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[0.2], 0.2]],
    0.4: [[0.4, 0.4, 0.4, 0.4], [0.4, 0.4, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[0.4], 0.4]],
    0.5: [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[0.5], 0.5]],
    0.6: [[0.6, 0.6, 0.6, 0.6], [0.6, 0.6, 0.6, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[0.6], 0.6]],
    0.8: [[0.8, 0.8, 0.8, 0.8], [0.8, 0.8, 0.8, 0.8], [0.8, 0.8, 0.9, 1.0], [A, B, LESS[0.8], 0.8]],
    1.0: [[0.8, 0.8, 0.8, 0.8], [0.8, 0.8, 0.8, 0.8], [0.8, 0.8, 0.8, 1.0], [A, B, LESS[1.0], 0.8]],
}
EVERY = pytest.mark.parametrize("t", confidence.THRESHOLDS)


def example(t: float) -> np.ndarray:
    """A 4 x 4 map: zero, next to zero, every tenth, two that count as 100 %, two just below t."""
    return np.array(
        [[0, 0.001, 0.1, 0.2], [0.3, 0.4, 0.5, 0.6], [0.7, 0.8, 0.9, 1.0], [A, B, LESS[t], MORE[t]]]
    )


def test_the_thresholds_are_the_papers_seven():
    assert confidence.THRESHOLDS == (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0) == tuple(TARGETS)


@EVERY
def test_targets_by_hand(t):
    y = confidence.targets(example(t), t)
    assert y.dtype == bool
    np.testing.assert_array_equal(y, np.array(TARGETS[t], bool))


@EVERY
def test_paper_weights_by_hand(t):
    np.testing.assert_allclose(confidence.weights(example(t), t), PAPER[t], rtol=0, atol=1e-12)


def test_confidence_weights_keep_c_wherever_it_is_not_zero():
    c = np.array([[0, 0.1, 0.5, 0.6], [0, 0.59, 1.0, A], [0, 0, 0, 0], [0.2, 0.4, 0.8, 0]])
    by_hand = [[0.6, 0.1, 0.5, 0.6], [0.6, 0.59, 1.0, A], [0.6, 0.6, 0.6, 0.6], [0.2, 0.4, 0.8, 0.6]]
    np.testing.assert_allclose(confidence.weights(c, 0.6, "confidence"), by_hand, rtol=0, atol=1e-12)


def test_no_confidence_weight_is_one_on_the_target():
    by_hand = [[0.6, 0.6, 0.6, 0.6], [0.6, 0.6, 0.6, 1], [1, 1, 1, 1], [1, 1, 1, 0.6]]
    np.testing.assert_allclose(confidence.weights(example(0.6), 0.6, "none"), by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("how", "by_hand"),
    [("paper", [0.3, 0.3, 0.6, 1.0]), ("confidence", [0.3, 0.4, 0.6, 1.0]), ("none", [0.3, 0.3, 1, 1])],
)
def test_a_fixed_background_replaces_the_papers(how, by_hand):
    c = np.array([0, 0.4, 0.6, 1.0])
    np.testing.assert_allclose(confidence.weights(c, 0.6, how, 0.3), by_hand, rtol=0, atol=1e-12)


def test_a_background_of_zero_is_not_taken_for_the_papers():
    np.testing.assert_array_equal(confidence.weights(np.array([0, 0.4, 1.0]), 0.6, "paper", 0.0), [0, 0, 1])


def test_paper_background_is_t_but_08_at_both_ends():
    assert [confidence.paper_background(t) for t in confidence.THRESHOLDS] == [
        0.8, 0.2, 0.4, 0.5, 0.6, 0.8, 0.8
    ]  # fmt: skip


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numpy_and_torch_agree(t, dtype):
    c, tensor = example(t), torch.tensor(example(t), dtype=dtype)
    np.testing.assert_array_equal(confidence.targets(tensor, t).numpy(), confidence.targets(c, t))
    np.testing.assert_array_equal(confidence.certain(tensor).numpy(), confidence.certain(c))
    for how in ("paper", "confidence", "none"):
        for background in ("paper", "none", 0.3):
            w = confidence.weights(tensor, t, how, background)
            assert w.is_floating_point()
            np.testing.assert_allclose(w, confidence.weights(c, t, how, background), rtol=0, atol=1e-7)


@pytest.mark.parametrize("percent", [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
def test_every_8_bit_level_falls_on_the_side_exact_arithmetic_puts_it(percent):
    exact = [
        level > 0 if percent == 0 else Fraction(level, 255) >= Fraction(percent, 100) - Fraction(1, 510)
        for level in range(256)
    ]
    levels = torch.arange(256, dtype=torch.uint8)
    in_numpy = confidence.targets(levels.numpy() / 255, percent / 100)
    in_torch = confidence.targets(levels.float() / 255, percent / 100)
    assert np.flatnonzero(in_numpy != exact).tolist() == []
    assert np.flatnonzero(in_torch.numpy() != exact).tolist() == []


def test_certain_is_zero_or_as_good_as_one():
    c = np.array([[0, 1e-9, 0.5, 1], [A, B, 1 - 1 / 600, 1 - 1 / 400]])
    by_hand = [[True, False, False, True], [True, True, True, False]]
    np.testing.assert_array_equal(confidence.certain(c), by_hand)


def test_mean_of_raters_by_hand():
    raters = np.array([[[0, 255, 10]], [[255, 255, 20]], [[0, 255, 40]]], np.uint8)
    merged = confidence.merge(raters, "mean")
    assert merged.dtype == np.uint8
    np.testing.assert_array_equal(merged, [[85, 255, 23]])  # 70 / 3 = 23.3


def test_majority_needs_more_than_half_who_are_at_least_half_sure():
    three = np.array([[[127, 126, 0, 255]], [[127, 255, 255, 255]], [[0, 126, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(confidence.merge(three, "majority"), [[255, 0, 0, 255]])
    tie = np.array([[[255, 255]], [[255, 255]], [[0, 200]], [[0, 0]]], np.uint8)
    np.testing.assert_array_equal(confidence.merge(tie, "majority"), [[0, 255]])


@pytest.mark.parametrize("how", params.MERGES)
def test_one_rater_merged_by(how):
    one = np.array([[[0, 100, 128, 255]]], np.uint8)
    by_hand = {"mean": [[0, 100, 128, 255]]}.get(how, [[0, 0, 255, 255]])
    merged = confidence.merge(one, how)
    assert merged.dtype == np.uint8
    np.testing.assert_array_equal(merged, by_hand)


# -- STAPLE


def noisy(rng: np.random.Generator, sensitivities: list[float], specificities: list[float]) -> np.ndarray:
    """Masks of one disc by raters of known sensitivity and specificity: bool (R, 24, 24)."""
    down, across = np.mgrid[:24, :24]
    disc = (down - 12) ** 2 + (across - 10) ** 2 < 60
    chance = rng.random((len(sensitivities), 24, 24))
    pairs = zip(chance, sensitivities, specificities, strict=True)
    return np.stack([np.where(disc, u < p, u > q) for u, p, q in pairs])


def by_expectation_maximisation(masks: np.ndarray, steps: int = 2000) -> np.ndarray:
    """STAPLE written out: the mean vote to begin with, the masks' mean area as prior, in plain loops."""
    votes = masks.reshape(len(masks), -1).astype(float)
    prior, weight = votes.mean(), votes.mean(axis=0)
    for _ in range(steps):
        there, not_there = np.full(weight.shape, prior), np.full(weight.shape, 1 - prior)
        for vote in votes:
            p = (weight * vote).sum() / weight.sum()
            q = ((1 - weight) * (1 - vote)).sum() / (1 - weight).sum()
            there *= np.where(vote == 1, p, 1 - p)
            not_there *= np.where(vote == 1, 1 - q, q)
        weight = there / (there + not_there)
    return weight.reshape(masks.shape[1:])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("raters", [2, 3, 5])
def test_staple_is_an_independent_expectation_maximisation(seed, raters):
    masks = noisy(
        np.random.default_rng(seed), [0.95, 0.8, 0.6, 0.9, 0.7][:raters], [0.97, 0.9, 0.95, 0.8, 0.9][:raters]
    )
    merged = confidence.merge(np.where(masks, 255, 0).astype(np.uint8), "staple")
    expected = np.where(masks.any(axis=0), 255 * by_expectation_maximisation(masks), 0)
    np.testing.assert_allclose(merged, expected, rtol=0, atol=0.75)
    assert len(np.unique(merged)) > 2  # neither a vote nor a mask


def test_staple_believes_the_better_raters():
    masks = noisy(np.random.default_rng(5), [0.97, 0.97, 0.6, 0.6, 0.6], [0.99, 0.99, 0.6, 0.6, 0.6])
    merged = confidence.merge(np.where(masks, 255, 0).astype(np.uint8), "staple")
    two_good_against_three = masks[0] & masks[1] & ~masks[2:].any(axis=0)
    assert two_good_against_three.any() and (merged[two_good_against_three] > 250).all()


def test_staple_of_a_mask_and_an_empty_one_by_hand():
    # 12 of 64 pixels: prior 6/64. Specificity of the one who painted 52/58, sensitivities 1 and 0, so that
    # painted pixels get 6/64 / (6/64 + 58/64 * 6/58) = 1/2: nothing tells who of the two is right.
    raters = np.zeros((2, 8, 8), np.uint8)
    raters[0, 2:5, 2:6] = 255
    merged = confidence.merge(raters, "staple")
    assert set(merged[raters[0] > 0]) <= {127, 128}
    assert not merged[raters[0] == 0].any()


def test_staple_of_two_who_are_equal_and_one_who_saw_nothing_is_theirs():
    raters = np.zeros((3, 8, 8), np.uint8)
    raters[:2, 2:5, 2:6] = 255
    np.testing.assert_array_equal(confidence.merge(raters, "staple"), raters[0])


def test_staple_takes_masks_of_at_least_half():
    raters = np.zeros((3, 1, 4), np.uint8)
    raters[:, 0] = [126, 127, 128, 0]  # 127/255 is 50 % but for half an 8-bit step
    np.testing.assert_array_equal(confidence.merge(raters, "staple"), [[0, 255, 255, 0]])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("level", [0, 100, 255])
def test_staple_where_nobody_or_everybody_painted_everything(count, level):
    merged = confidence.merge(np.full((count, 4, 4), level, np.uint8), "staple")
    np.testing.assert_array_equal(merged, np.full((4, 4), 255 if level == 255 else 0))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_staple_of_equals_is_what_they_share(count):
    one = np.where(noisy(np.random.default_rng(0), [0.9], [0.9]), 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(confidence.merge(np.repeat(one, count, axis=0), "staple"), one[0])


@pytest.mark.parametrize(("areas", "by_hand"), [((1, 1), [26, 26, 0]), ((1, 2), [0, 213, 213])])
def test_staple_of_raters_who_meet_nowhere(areas, by_hand):
    raters = np.zeros((2, 10, 10), np.uint8)
    raters[0, : areas[0]] = raters[1, areas[0] : sum(areas)] = 255
    merged = confidence.merge(raters, "staple")
    np.testing.assert_array_equal(merged[:3, 0], by_hand)  # equal areas: their share of the frame, 10 %
    assert not merged[3:].any()  # the prior is not spread over what nobody painted


def test_staple_ends_with_raters_who_are_near_to_chance():
    rng = np.random.default_rng(399)
    masks = rng.random((3, 40, 40)) < 0.5
    merged = confidence.merge(np.where(masks, 255, 0).astype(np.uint8), "staple")
    assert not merged[~masks.any(axis=0)].any()


@pytest.mark.parametrize(("t", "shown"), [(60, "60"), (-0.1, "-0.1"), (1.01, "1.01"), (np.nan, "nan")])
def test_a_threshold_that_is_no_fraction_is_refused(t, shown):
    text = rf"confidence threshold: expected a fraction from 0 to 1, got {shown}; write 60 % as 0\.6"
    with pytest.raises(ValueError, match=text):
        confidence.targets(np.zeros(4), t)
    with pytest.raises(ValueError, match=text):
        confidence.weights(np.zeros(4), t)


def test_unknown_weightings_and_merges_are_refused():
    with pytest.raises(
        ValueError, match="confidence_weight: expected paper, confidence, none or a number .*got 'linear'"
    ):
        confidence.weights(np.zeros(4), 0.5, "linear")
    with pytest.raises(ValueError, match="merge: expected one of mean, majority, staple, got 'median'"):
        confidence.merge(np.zeros((2, 4, 4), np.uint8), "median")


# -- what a learner is shown


def arm_of(supervision: str, t: float = 0.5, **more: object) -> dict:
    weights = {"confidence_weight": "paper", "background_weight": "paper"}
    return {"supervision": supervision, "label_threshold": t, **weights, **more}


C = np.array([[0, 51, 127, 128], [153, 204, 254, 255]])[None, None] / 255  # (1, 1, 2, 4)
ONES = np.ones(C.shape)


@pytest.mark.parametrize(
    ("arm", "target", "weight"),
    [
        (arm_of("threshold"), C >= 0.5 - 1 / 400, np.where(C >= 0.5 - 1 / 400, C, 0.5)),
        (arm_of("threshold", 0.2, background_weight=0.5), C > 0, np.where(C > 0, C, 0.5)),
        (arm_of("threshold", confidence_weight=2, background_weight="none"), C > 0.49, 1.0 + (C > 0.49)),
        (arm_of("soft"), C, ONES),
        (arm_of("softseg"), C, ONES),
        (arm_of("sampled"), C, ONES),  # nothing drawn: the mean
        (arm_of("trimap"), C == 1, (C == 0) | (C == 1)),
        (arm_of("rater", 0.8), C > 0.79, ONES),
        (arm_of("consensus", 0.8), C > 0.79, ONES),
    ],
)
def test_what_a_learner_is_shown_by_hand(arm, target, weight):
    y, w = confidence.shown(C, arm)
    np.testing.assert_allclose(y, target, rtol=0, atol=1e-12)
    np.testing.assert_allclose(w, weight, rtol=0, atol=1e-12)
    tensors = confidence.shown(torch.tensor(C), arm)
    for tensor, array in zip(tensors, (y, w), strict=True):
        np.testing.assert_array_equal(np.asarray(tensor), array)


def test_no_pixel_below_full_confidence_counts_in_a_trimap():
    y, w = confidence.shown(np.array([[[[0.0, 0.001, 0.99, 1.0]]]]), arm_of("trimap"))
    np.testing.assert_array_equal(w, [[[[1, 0, 0, 1]]]])
    np.testing.assert_array_equal(y * w, [[[[0, 0, 0, 1]]]])


def test_a_sampled_threshold_is_one_an_image_and_right_on_average():
    c = np.broadcast_to(C, (255, *C.shape[1:]))
    every_level = (np.arange(255) + 0.5) / 255
    y, _ = confidence.shown(c, arm_of("sampled"), every_level)
    np.testing.assert_allclose(y.mean(0, keepdims=True), C, rtol=0, atol=1e-12)
    assert all(
        (np.diff(image.ravel().astype(int)) >= 0).all() for image in y
    )  # a threshold, not a coin a pixel
    assert not y[:, 0, 0, 0].any() and y[:, 0, 1, 3].all()  # never painted, surely painted
    torched, _ = confidence.shown(torch.tensor(c.copy()), arm_of("sampled"), torch.tensor(every_level))
    np.testing.assert_array_equal(torched, y)


def test_smoothing_is_a_gaussian_whose_centre_weighs_as_much_as_its_surround():
    from scipy.ndimage import convolve

    y = np.random.default_rng(0).integers(0, 2, (2, 3, 7, 9)).astype(float)
    distance = np.array([[2, 1, 2], [1, 0, 1], [2, 1, 2]])
    kernel = np.exp(-distance / 2.0)
    kernel[1, 1] = 0
    kernel[1, 1] = kernel.sum()
    wanted = convolve(y, (kernel / kernel.sum())[None, None], mode="nearest")
    np.testing.assert_allclose(confidence.smoothed(y), wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(confidence.smoothed(torch.tensor(y)), wanted, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(confidence.smoothed(np.ones((1, 1, 4, 4))), np.ones((1, 1, 4, 4)))
    shown, _ = confidence.shown(C, arm_of("smoothed"))
    np.testing.assert_allclose(shown, confidence.smoothed((C > 0.49) * 1.0))


def test_a_rater_is_drawn_among_those_who_looked():
    looked = np.array([[True, False, True], [False, False, True], [True, True, True]])
    for draw, wanted in ((0.0, [0, 2, 0]), (0.49, [0, 2, 1]), (0.5, [2, 2, 1]), (0.999, [2, 2, 2])):
        chosen = confidence.chosen_rater(looked, np.full(3, draw))
        np.testing.assert_array_equal(chosen, wanted)
        torched = confidence.chosen_rater(torch.tensor(looked), torch.full((3,), draw))
        np.testing.assert_array_equal(torched, wanted)


@pytest.mark.parametrize(
    ("arm", "text"),
    [
        (arm_of("hard"), "supervision: expected one of threshold, soft, .*, got 'hard'; correct the arm"),
        (
            arm_of("soft", confidence_weight="none"),
            "confidence_weight: expected none beside supervision soft",
        ),
        (
            arm_of("rater", background_weight=0.3),
            "background_weight: .* supervision rater, .* got 0.3; leave",
        ),
        (arm_of("threshold", background_weight=-1), "background_weight: .* a number from 0 on, got -1"),
        (arm_of("threshold", background_weight="confidence"), "background_weight: .*got 'confidence'"),
    ],
)
def test_arms_that_cannot_be_are_refused(arm, text):
    with pytest.raises(ValueError, match=text):
        confidence.shown(C, arm)
