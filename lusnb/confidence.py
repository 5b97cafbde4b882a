"""Confidence maps become targets, weights and trimaps; several raters become one map.

Confidence is a fraction c in [0, 1]. The functions use comparisons and arithmetic alone, so that they work on
NumPy arrays and torch tensors alike, of any shape.
"""

import numpy as np

TOLERANCE = 1 / 510 + 1e-6  # half an 8-bit step, and the last bits of a float: 254.9/255 counts as 100 %
THRESHOLDS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)  # the paper's seven
EXTREME_BACKGROUND = 0.8  # the paper's background weight at t = 0 and t = 1 (Section 2.2.1)
MERGES = ("mean", "majority", "staple")
STAPLE_STEPS = 1000  # steps of its expectation-maximisation; raters little better than chance need thousands


def targets(c, t: float):
    """Binary target of a confidence map at threshold t: c >= t - 1/510, and c > 0 at t = 0. Returns bool.

    Raises ValueError when t is not a fraction in [0, 1].
    """
    if not 0 <= t <= 1:
        raise ValueError(
            f"confidence threshold: expected a fraction from 0 to 1, got {t:g}; write 60 % as 0.6."
        )
    return c > 0 if t == 0 else c >= t - TOLERANCE


def paper_background(t: float) -> float:
    """The paper's weight of background pixels: t, but 0.8 at t = 0 and t = 1 (Section 2.2.1)."""
    return EXTREME_BACKGROUND if t in (0, 1) else float(t)


def weights(c, t: float, confidence_weight: str = "paper", background: float | None = None):
    """Weight of each pixel in the cross-entropy (paper, Eq. 1), same shape as c.

    confidence_weight: 'paper': c where the target is 1, the background weight elsewhere, also where
    0 < c < t; 'confidence': c wherever c > 0, the background weight where c = 0; 'none': 1 where the target
    is 1, the background weight elsewhere. background: the background weight; None is the paper's.
    """
    y = targets(c, t)
    w0 = paper_background(t) if background is None else background
    if confidence_weight == "paper":
        return y * c + (~y) * w0
    if confidence_weight == "confidence":
        return c + (c == 0) * w0
    if confidence_weight == "none":
        return y * 1.0 + (~y) * w0
    raise ValueError(f"confidence_weight: expected paper, confidence or none, got {confidence_weight!r}.")


def certain(c):
    """Pixels of the trimap that count: certainly background (c = 0) or certainly foreground (c = 1). Bool."""
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
