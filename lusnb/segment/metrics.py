"""Prediction and label to numbers: each per image and feature, NaN where it is not defined.

Arrays are torch tensors (N, C, H, W): images, features, height, width. `logits` are float; `c` is confidence
as a float in [0, 1], or the truth of a phantom as 0 and 1; masks are bool. Every metric returns float (N, C);
the caller leaves out unknown features.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.segmentation import mean_iou

from lusnb import calibration, confidence
from lusnb.segment import losses
from lusnb.segment.predictions import CUT, FIXED

TENTHS = tuple(k / 10 for k in range(1, 10))  # 10 % ... 90 %
PERCENTILE = 95
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
    """IoU where the label is not empty, NaN where it is: the set of images does not depend on the arm.

    >>> label = torch.tensor([[[[True, True, False, False]], [[False] * 4]]])
    >>> labelled_iou(torch.tensor([[[[True, True, True, True]], [[True] * 4]]]), label)
    tensor([[0.5000,    nan]])
    """
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


def at_both(
    levels: Tensor, cut: int | Tensor, scores: Callable[[Tensor], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Scores of the masks at the arm's own cut, and under `<name>_fixed` of those at 0.5.

    levels: uint8 (N, C, H, W). cut: a level from 1 to 255, or one an image, (N, 1, 1, 1). scores: masks ->
    name -> (N, C).
    """
    fixed = scores(levels >= CUT)
    return scores(levels >= cut) | {f"{name}{FIXED}": value for name, value in fixed.items()}


# -- levels


def level_dice(p: Tensor, c: Tensor, levels: tuple[float, ...] = TENTHS) -> dict[str, Tensor]:
    """Dice of prediction and label cut at the same level, averaged over levels (QUBIQ, Li et al. 2024).

    p, c: float (N, C, H, W) in [0, 1]. A pixel is in where its value is >= level - 1/510, in both alike. Two
    masks that are both empty count 1.0, one empty mask 0.0. Returns float (N, C): `level_dice`, from 0 to 1;
    `level_dice_empty`, how many levels are empty in both; `level_dice_marked`, the mean over the levels at
    which the label is not empty (NaN where there is none), since an image without the feature is otherwise a
    free 1.0: which levels count does not depend on the prediction.
    """
    overlap = torch.stack([iou(confidence.targets(p, t), confidence.targets(c, t)) for t in levels])
    dice = 2 * overlap / (1 + overlap)  # (levels, N, C)
    marked = torch.stack([confidence.targets(c, t).any((-2, -1)) for t in levels])
    return {
        "level_dice": dice.nan_to_num(nan=1.0).mean(0),
        "level_dice_empty": dice.isnan().sum(0).to(dice.dtype),
        "level_dice_marked": torch.where(marked, dice, torch.nan).nanmean(0),
    }


# -- millimetres


def hausdorff95(predicted: Tensor, target: Tensor, spacing: list[tuple[float, float]]) -> Tensor:
    """95th percentile of the Hausdorff distance in mm (MONAI), float (N, C).

    predicted, target: bool (N, C, H, W). spacing: mm (height, width) a pixel, one an image. The larger of the
    two directed percentiles of the distances between the edges. NaN where one of the two or both are empty,
    and where the spacing is not known.
    """
    from monai.metrics import compute_hausdorff_distance

    images = zip(predicted.float(), target.float(), spacing, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning an empty mask; the NaN below says the same
        scores = [
            compute_hausdorff_distance(
                p[None], y[None], include_background=True, percentile=PERCENTILE, spacing=list(mm)
            )
            if np.isfinite(mm).all()
            else torch.full((1, target.shape[1]), torch.nan, device=target.device)
            for p, y, mm in images
        ]
    both = predicted.any((-2, -1)) & target.any((-2, -1))
    return torch.where(both, torch.cat(scores).to(torch.float32), torch.nan)


# -- temperature


def _temperature_of_pixels(cells: list[tuple[Tensor, Tensor]]) -> float:
    """Of logits and labels, a pair an image and feature; in float64, one of them at a time."""
    if not any(z.any() for z, _ in cells):  # no pixel, or every prediction is 0.5: nothing to scale
        return np.nan

    def slope(sharpness: float) -> float:
        wide = ((z.double(), y.double()) for z, y in cells)
        return sum((z * (torch.sigmoid(sharpness * z) - y)).sum().item() for z, y in wide)

    return calibration.temperature(slope)


def temperatures(logits: Tensor, c: Tensor, known: Tensor) -> np.ndarray:
    """Temperature T of each feature, so that sigmoid(logits / T) has the least cross-entropy against c.

    Guo et al. 2017, with soft labels; exact, over all known pixels. logits, c: float (N, C, H, W), of
    validation images; known: bool (N, C), or (N, C, H, W) to fit on some pixels alone. Returns float64 (C,)
    from 0.05 to 20; NaN without a known pixel, or where all logits are 0. Takes besides its arrays a copy of
    one feature's logits and labels.
    """

    def cells(k: int) -> list[tuple[Tensor, Tensor]]:
        at = [(n, k) for n in range(len(logits))]
        return [tuple(a[cell][known[cell]].cpu() for a in (logits, c)) for cell in at]

    return np.array([_temperature_of_pixels(cells(k)) for k in range(logits.shape[1])])


def level_counts(levels: np.ndarray, c: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels at each stored probability, and the sum of their labels; counts of images add up.

    levels, c: uint8 (N, C, H, W), 255 = 1; known: bool (N, C) or (N, C, H, W). Returns float64 (C, 2, 256):
    the count, and the labels as fractions.
    """
    known = known if known.ndim == 4 else np.broadcast_to(known[:, :, None, None], levels.shape)
    counts = np.zeros((levels.shape[1], 2, 256))
    for k in range(levels.shape[1]):
        at, label = levels[:, k][known[:, k]], c[:, k][known[:, k]]
        counts[k] = np.bincount(at, minlength=256), np.bincount(at, label, 256) / 255
    return counts
