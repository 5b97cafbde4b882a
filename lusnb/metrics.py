"""Prediction and label to numbers: each per image and feature, NaN where it is not defined.

Arrays are torch tensors (N, C, H, W): images, features, height, width. `logits` are float; `c` is confidence
as a float in [0, 1]; masks are bool. Every metric returns float (N, C).
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.segmentation import mean_iou

from lusnb import confidence, losses
from lusnb.predictions import CUT, FIXED

REFERENCE_THRESHOLD = 0.5  # the fixed weighting in which arms can be compared: labels and weights at 50 %
SURFACE_TOLERANCE_MM = 1.0


def iou(predicted: Tensor, target: Tensor) -> Tensor:
    """Intersection over union (torchmetrics), NaN where prediction and target are both empty."""
    scores = mean_iou(
        predicted.int(), target.int(), num_classes=target.shape[1], per_class=True, input_format="one-hot"
    )
    return torch.where(scores < 0, torch.nan, scores)


def plain_iou(predicted: Tensor, target: Tensor) -> Tensor:
    """IoU as a plain macro average counts it: two empty masks agree, 1.0."""
    return iou(predicted, target).nan_to_num(nan=1.0)


def labelled_iou(predicted: Tensor, target: Tensor) -> Tensor:
    """IoU where the label is not empty, NaN where it is: the set of images does not depend on the arm."""
    return torch.where(target.any((-2, -1)), iou(predicted, target), torch.nan)


def false_area(predicted: Tensor, target: Tensor, pixel_mm2: Tensor) -> Tensor:
    """Predicted area in mm^2 on images whose label is empty, NaN on the others. pixel_mm2: (N,)."""
    area = predicted.sum((-2, -1)) * pixel_mm2[:, None]
    return torch.where(target.any((-2, -1)), torch.nan, area)


def falsely_painted(predicted: Tensor, target: Tensor) -> Tensor:
    """On images whose label is empty 1 where anything is predicted, else 0; NaN on the others."""
    return torch.where(target.any((-2, -1)), torch.nan, predicted.any((-2, -1)).float())


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    count = mask.sum((-2, -1))
    total = torch.where(mask, values, 0.0).sum((-2, -1))
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over pixels of -w (y log p + (1 - y) log(1 - p)), natural log (paper, Eq. 1)."""
    return losses.weighted_ce(logits, target.to(logits.dtype), weight)


def entropy(c: Tensor) -> Tensor:
    """Mean entropy of the labels, natural log: the least cross-entropy against raw c of any prediction.

    0 for labels of 0 and 1 alone.
    """
    return -(torch.xlogy(c, c) + torch.xlogy(1 - c, 1 - c)).mean((-2, -1))


def trimap_cross_entropy(logits: Tensor, c: Tensor) -> dict[str, Tensor]:
    """Cross-entropy on certain pixels (c = 0 or c = 1): over all of them, and split by what they are."""
    certain = confidence.certain(c)
    y = certain & (c > 0)
    loss = F.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), reduction="none")
    return {
        "trimap_ce": _masked_mean(loss, certain),
        "trimap_ce_foreground": _masked_mean(loss, y),
        "trimap_ce_background": _masked_mean(loss, certain & ~y),
    }


def surface_dice(predicted: Tensor, target: Tensor, spacing: list[tuple[float, float]]) -> Tensor:
    """Normalised surface Dice within 1 mm (MONAI), NaN where both are empty or
    the spacing, mm (height, width), is not known."""
    from monai.metrics import compute_surface_dice

    thresholds = [SURFACE_TOLERANCE_MM] * target.shape[1]
    images = zip(predicted.float(), target.float(), spacing, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning an empty mask; the NaN below says the same
        scores = [
            compute_surface_dice(p[None], y[None], thresholds, include_background=True, spacing=list(mm))
            if np.isfinite(mm).all()
            else torch.full((1, target.shape[1]), torch.nan, device=target.device)
            for p, y, mm in images
        ]
    return torch.cat(scores).to(torch.float32)


def evaluate(
    logits: Tensor, c: Tensor, arm: dict, spacing: list[tuple[float, float]], cut: int
) -> dict[str, Tensor]:
    """All metrics of one arm against the labels at its own threshold and at one that all arms share.

    arm: supervision, label_threshold, confidence_weight, background_weight. c: the map that all arms are
    measured on, cut at label_threshold; weighted cross-entropy takes target and weight of it as the
    supervision does, what is drawn at its mean. spacing: mm (height, width) a pixel of each image. cut: the
    arm's own, fitted on validation images, a level from 1 to 255 (cuts.py); metrics of masks are at this cut,
    and under `<name>_fixed` at 0.5.
    """
    y = confidence.targets(c, arm["label_threshold"])
    shown, w = confidence.shown(c, arm)
    levels = quantise(logits)
    y0, w0 = confidence.targets(c, REFERENCE_THRESHOLD), confidence.weights(c, REFERENCE_THRESHOLD)
    raw = cross_entropy(logits, c)
    return {
        **at_both(levels, cut, lambda predicted: _of_masks(predicted, y, spacing)),
        "weighted_ce": cross_entropy(logits, shown, w),
        "reference_ce": cross_entropy(logits, y0, w0),
        "ce": raw,
        "ce_excess": raw - entropy(c),
        **trimap_cross_entropy(logits, c),
    }


def at_both(
    levels: Tensor, cut: int | Tensor, scores: Callable[[Tensor], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Scores of the masks at the arm's own cut, and under `<name>_fixed` of those at 0.5.

    levels: uint8 (N, C, H, W). cut: a level from 1 to 255, or one an image, (N, 1, 1, 1). scores: masks ->
    name -> (N, C).
    """
    fixed = scores(levels >= CUT)
    return scores(levels >= cut) | {f"{name}{FIXED}": value for name, value in fixed.items()}


def _of_masks(predicted: Tensor, y: Tensor, spacing: list[tuple[float, float]]) -> dict[str, Tensor]:
    area = torch.tensor([h * v for h, v in spacing], device=predicted.device)
    return {
        "iou": labelled_iou(predicted, y),
        "iou_plain": plain_iou(predicted, y),
        "false_area_mm2": false_area(predicted, y, area),
        "surface_dice": torch.where(y.any((-2, -1)), surface_dice(predicted, y, spacing), torch.nan),
    }


def quantise(logits: Tensor) -> Tensor:
    """Probabilities of logits as uint8, 255 = 1: what is stored, and what every cut is applied to."""
    return (torch.sigmoid(logits.float()) * 255).round().to(torch.uint8)


def reliability(counted: np.ndarray, bins: int = 20) -> dict[str, np.ndarray]:
    """Reliability of stored probabilities against labels, exact: every pixel counts.

    counted: float (2, 256), pixels at each stored probability and the sum of their labels as fractions
    (soft_metrics.level_counts); counts of images add up. Returns per bin: count, mean prediction, mean label
    (NaN in an empty bin).
    """
    place = np.minimum(np.arange(256) * bins // 255, bins - 1)
    sums = (counted[0], counted[0] * np.arange(256) / 255, counted[1])
    n, said, label = (np.bincount(place, weights=values, minlength=bins) for values in sums)
    with np.errstate(invalid="ignore"):
        return {"count": n.astype(np.int64), "predicted": said / n, "observed": label / n}


def calibration_error(curve: dict[str, np.ndarray]) -> dict[str, float]:
    """ECE (count-weighted), ACE (plain mean over non-empty bins), MCE (largest) of a reliability curve.

    NaN for a curve of no pixels.
    """
    full = curve["count"] > 0
    gap = np.abs(curve["predicted"] - curve["observed"])[full]
    if not full.any():
        return {"ece": np.nan, "ace": np.nan, "mce": np.nan}
    return {
        "ece": float(np.average(gap, weights=curve["count"][full])),
        "ace": float(gap.mean()),
        "mce": float(gap.max()),
    }
