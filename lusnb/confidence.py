"""Confidence maps become what a learner is shown, targets and weights; several raters become one map.

Confidence is a fraction c in [0, 1]. The functions use comparisons, arithmetic and indexing alone, so that
they work on NumPy arrays and torch tensors alike; of any shape, where none is named.

A new way of showing labels is one function and one line of SUPERVISIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lusnb.params import MERGES

if TYPE_CHECKING:
    from torch import Tensor

    Array = TypeVar("Array", np.ndarray, Tensor)
    Show = Callable[[Array, Mapping, Array | None], tuple[Array, Array]]

LEVELS = np.arange(256)  # confidence as it is stored, a byte a pixel; 255 = 100 %
TENS = np.rint(LEVELS / 25.5).astype(int)  # each level in tens of per cent, 0 to 10
TOLERANCE = 1 / 510 + 1e-6  # half an 8-bit step, and the last bits of a float: 254.9/255 counts as 100 %
THRESHOLDS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)  # the paper's seven
EXTREME_BACKGROUND = 0.8  # the paper's background weight at t = 0 and t = 1 (Section 2.2.1)
STAPLE_STEPS = 1000  # steps of its expectation-maximisation; raters little better than chance need thousands


def targets(c: Array, t: float) -> Array:
    """Binary target of a confidence map at threshold t: c >= t - 1/510, and c > 0 at t = 0. Returns bool.

    Raises ValueError when t is not a fraction in [0, 1].

    >>> c = np.array([0.0, 0.3, 0.6, 1.0])
    >>> targets(c, 0.6).tolist()
    [False, False, True, True]
    >>> targets(c, 0).tolist()
    [False, True, True, True]
    """
    if not 0 <= t <= 1:
        raise ValueError(
            f"confidence threshold: expected a fraction from 0 to 1, got {t:g}; write 60 % as 0.6."
        )
    return c > 0 if t == 0 else c >= t - TOLERANCE


def paper_background(t: float) -> float:
    """The paper's weight of background pixels: t, but 0.8 at t = 0 and t = 1 (Section 2.2.1)."""
    return EXTREME_BACKGROUND if t in (0, 1) else float(t)


def weights(
    c: Array, t: float, confidence_weight: str | float = "paper", background: str | float = "paper"
) -> Array:
    """Weight of each pixel in the cross-entropy (paper, Eq. 1), same shape as c.

    confidence_weight: 'paper': c where the target is 1, the background weight elsewhere, also where
    0 < c < t; 'confidence': c wherever c > 0, the background weight where c = 0; 'none': 1 where the target
    is 1, the background weight elsewhere; a number: that number in place of this 1. background: the
    background weight: 'paper' (see `paper_background`), 'none', which is 1, or a number. Numbers are 0 or
    more. Raises ValueError for anything else.

    >>> c = np.array([0.0, 0.3, 0.6, 1.0])
    >>> weights(c, 0.6).tolist()
    [0.6, 0.6, 0.6, 1.0]
    >>> weights(c, 0.6, "none", 0.5).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    y = targets(c, t)
    w0 = _fixed("background_weight", background, {"paper": paper_background(t), "none": 1.0})
    if confidence_weight == "paper":
        return y * c + (~y) * w0
    if confidence_weight == "confidence":
        return c + (c == 0) * w0
    w1 = _fixed("confidence_weight", confidence_weight, {"paper": None, "confidence": None, "none": 1.0})
    return y * w1 + (~y) * w0


def _fixed(name: str, value: str | float, named: Mapping[str, float | None]) -> float:
    """A weight by its name, or the number itself."""
    if isinstance(value, str) and value in named:
        return named[value]
    if isinstance(value, str) or not 0 <= value < np.inf:
        raise ValueError(
            f"{name}: expected {', '.join(named)} or a number from 0 on, got {value!r}; correct the arm."
        )
    return float(value)


def certain(c: Array) -> Array:
    """Pixels of the trimap that count: certainly background (c = 0) or certainly foreground (c = 1). Bool.

    >>> certain(np.array([0.0, 0.3, 1.0])).tolist()
    [True, False, True]
    """
    return (c == 0) | (c >= 1 - TOLERANCE)


def merge(raters: np.ndarray, how: str) -> np.ndarray:
    """One confidence map from several raters' maps.

    raters: uint8 (R, H, W), 255 = 100 %. 'mean': their mean; 'majority': 100 % where more than half of them
    are at least 50 % sure; 'staple': the probability that STAPLE gives to each pixel (Warfield et al. 2004,
    SimpleITK), from the masks of at least 50 %. It weighs each rater by the sensitivity and specificity that
    it finds over the whole frame, background included. Returns uint8 (H, W).

    STAPLE at its edges: one rater gives that rater's mask; all equal give what they share; where nobody's
    mask is, the result is 0, so that c > 0 still means that somebody painted. Raters who meet nowhere have no
    consensus: it then believes the one who marked most, or, where all marked as much, gives each marked pixel
    that share of the frame. Raises ValueError for an unknown `how`.

    >>> raters = np.array([[[0, 255, 255]], [[0, 0, 204]], [[0, 0, 102]]], np.uint8)
    >>> merge(raters, "mean").tolist()
    [[0, 85, 187]]
    >>> merge(raters, "majority").tolist()
    [[0, 0, 255]]
    """
    if how == "mean":
        return np.rint(raters.mean(axis=0)).astype(np.uint8)
    if how == "majority":
        votes = targets(raters / 255, 0.5).sum(axis=0)
        return np.where(2 * votes > len(raters), 255, 0).astype(np.uint8)
    if how == "staple":
        return np.rint(255 * _staple(targets(raters / 255, 0.5))).astype(np.uint8)
    raise ValueError(f"merge: expected one of {', '.join(MERGES)}, got {how!r}; correct the parameter.")


def _staple(masks: np.ndarray) -> np.ndarray:
    """STAPLE's probability of each pixel, 0 where no mask is: bool (R, H, W) -> float (H, W)."""
    if masks.all() or not masks.any():  # its prior is then 0 or 1, and its sensitivities are 0 / 0
        return masks[0].astype(float)
    import SimpleITK as sitk

    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    found = sitk.STAPLE(images, 1.0, 1.0, STAPLE_STEPS)  # weight of the prior, foreground value, most steps
    return np.where(masks.any(axis=0), sitk.GetArrayFromImage(found), 0.0)


# -- what a learner is shown


def _threshold(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    t = arm["label_threshold"]
    return targets(c, t), weights(c, t, arm["confidence_weight"], arm["background_weight"])


def _cut(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    return targets(c, arm["label_threshold"]), _ones(c)


def _soft(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    return c, _ones(c)


def _trimap(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    return certain(c) & (c > 0), certain(c) * 1.0


def _sampled(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    if draw is None:
        return c, _ones(c)  # the mean over all draws
    level = (draw * 255) // 1 + 1  # 1 to 255, alike often: c >= level has probability c, in 8-bit steps
    return c >= ((level - 0.5) / 255)[:, None, None, None], _ones(c)


def _smoothed(c: Array, arm: Mapping, draw: Array | None) -> tuple[Array, Array]:
    return smoothed(targets(c, arm["label_threshold"]) * 1.0), _ones(c)


def _ones(c: Array) -> Array:
    return c * 0.0 + 1.0


def smoothed(y: Array) -> Array:
    """Targets smoothed where they change: half the pixel's own, half its eight neighbours', same shape.

    y: float (..., H, W). Spatially varying label smoothing (Islam and Glocker 2021): a Gaussian kernel of
    3 x 3 with an SD of one pixel, whose centre weighs as much as all its neighbours; beyond the edges of the
    frame its pixels repeat.

    >>> smoothed(np.array([[0.0, 0.0, 1.0, 1.0]])).round(2).tolist()
    [[0.0, 0.17, 0.83, 1.0]]
    """
    beside, across = np.exp(-0.5), np.exp(-1.0)
    total = 4 * (beside + across)
    out = y * 0.5
    for down in (-1, 0, 1):
        rows = np.clip(np.arange(y.shape[-2]) + down, 0, y.shape[-2] - 1)
        for right in (-1, 0, 1):
            columns = np.clip(np.arange(y.shape[-1]) + right, 0, y.shape[-1] - 1)
            weight = {0: 0.0, 1: beside, 2: across}[abs(down) + abs(right)]
            out = out + 0.5 * weight / total * y[..., rows, :][..., columns]
    return out


@dataclass(frozen=True)
class Supervision:
    """One way of showing confidence to a learner.

    show: (c, arm, draw) -> target and weight, see `shown`. words: what it is. cut: by label_threshold.
    graded: the target has grades, so that predictions are cut at the level of the label they are held
    against, not at 0.5 alone. weighted: the arm's confidence_weight and background_weight count; otherwise
    every pixel that counts weighs 1. random: `draw` is used. raters_apart: one rater is drawn for each image
    and step. activation: see losses.activate.
    """

    show: Show
    words: str
    cut: bool = False
    graded: bool = False
    weighted: bool = False
    random: bool = False
    raters_apart: bool = False
    activation: str = "sigmoid"


SUPERVISIONS = {
    "threshold": Supervision(_threshold, "threshold", cut=True, weighted=True),
    "soft": Supervision(_soft, "confidence itself", graded=True),
    "softseg": Supervision(
        _soft, "confidence itself, normalised ReLU", graded=True, activation="normalised_relu"
    ),
    "trimap": Supervision(_trimap, "certain pixels alone"),
    "sampled": Supervision(_sampled, "a threshold drawn at each step", graded=True, random=True),
    "smoothed": Supervision(_smoothed, "smoothed along edges, threshold", cut=True),
    "rater": Supervision(
        _cut, "one rater drawn at each step, threshold", cut=True, random=True, raters_apart=True
    ),
    "consensus": Supervision(_cut, "consensus of the raters, threshold", cut=True),
}
GRADES = THRESHOLDS[1:-1]  # where graded predictions are held against labels cut alike


def supervision(arm: Mapping) -> Supervision:
    """How an arm shows confidence, by its `supervision`. Raises ValueError for an unknown one, and where the
    arm names weights that its supervision does not take."""
    name = arm["supervision"]
    if not isinstance(name, str) or name not in SUPERVISIONS:
        known = ", ".join(SUPERVISIONS)
        raise ValueError(f"supervision: expected one of {known}, got {name!r}; correct the arm.")
    given = [k for k in ("confidence_weight", "background_weight") if arm.get(k, "paper") != "paper"]
    if given and not SUPERVISIONS[name].weighted:
        raise ValueError(
            f"{given[0]}: expected none beside supervision {name}, which weighs every pixel that counts "
            f"alike, got {arm[given[0]]!r}; leave it out, or use supervision threshold."
        )
    return SUPERVISIONS[name]


def shown(c: Array, arm: Mapping, draw: Array | None = None) -> tuple[Array, Array]:
    """What a learner is shown of confidence maps: target in [0, 1] and weight, each of c's shape.

    c: (N, C, H, W), images, features, height, width. arm: supervision, label_threshold, confidence_weight,
    background_weight. draw: (N,) uniform in [0, 1), one an image, for what is drawn anew at each step; None
    in validation: the mean over draws. One of several raters was chosen before (`chosen_rater`).

    `threshold`: targets and weights of these names. Every pixel weighs 1 in: `soft` and `softseg`: c itself
    (Silva and Oliveira 2021; Gros et al. 2021, SoftSeg); `sampled`: c >= a level drawn for the image, so that
    the mean over draws is c; `smoothed`: the target at the threshold, smoothed along its edges; `rater` and
    `consensus`: the target at the threshold, of one rater's map or of the merged one. `trimap`: 1 and 0 where
    the rater was certain, weight 0 elsewhere.
    """
    return supervision(arm).show(c, arm, draw)


def chosen_rater(looked: Array, draw: Array) -> Array:
    """The rater to learn from, one an image: position (N,) among R, uniform over those who looked.

    looked: bool (N, R), at least one rater an image; draw: (N,) uniform in [0, 1).

    >>> chosen_rater(np.array([[True, False, True], [False, True, False]]), np.array([0.7, 0.7])).tolist()
    [2, 1]
    """
    place = (draw * looked.sum(1)) // 1  # which of those who looked, counted from 0
    return (((looked.cumsum(1) - 1 >= place[:, None]) & looked) * 1).argmax(1)
