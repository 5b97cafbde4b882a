"""What only graded labels, several raters or millimetres can tell, and temperature scaling.

Predictions are probabilities and labels are confidence. A label may also be the truth of a phantom, as 0 and
1 (0 and 255 where uint8): every function here, and IoU and reliability in metrics.py, takes it unchanged. As
there, a metric is per image and feature, NaN where it is not defined; the caller leaves out unknown features.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from torch import Tensor

from lusnb import agreement, confidence, metrics

LEVELS = tuple(k / 10 for k in range(1, 10))  # 10 % ... 90 %
PERCENTILE = 95
TEMPERATURES = (0.05, 20.0)  # the search ends here: a separable label would take 0, a useless one infinity


# -- levels


def level_dice(p: Tensor, c: Tensor, levels: tuple[float, ...] = LEVELS) -> dict[str, Tensor]:
    """Dice of prediction and label cut at the same level, averaged over levels (QUBIQ, Li et al. 2024).

    p, c: float (N, C, H, W) in [0, 1]. A pixel is in where its value is >= level - 1/510, in both alike. Two
    masks that are both empty count 1.0, one empty mask 0.0. Returns float (N, C): `level_dice`, from 0 to 1;
    `level_dice_empty`, how many levels are empty in both; `level_dice_marked`, the mean over the levels at
    which the label is not empty (NaN where there is none), since an image without the feature is otherwise a
    free 1.0: which levels count does not depend on the prediction.
    """
    iou = torch.stack([metrics.iou(confidence.targets(p, t), confidence.targets(c, t)) for t in levels])
    dice = 2 * iou / (1 + iou)  # (levels, N, C)
    marked = torch.stack([confidence.targets(c, t).any((-2, -1)) for t in levels])
    return {
        "level_dice": dice.nan_to_num(nan=1.0).mean(0),
        "level_dice_empty": dice.isnan().sum(0).to(dice.dtype),
        "level_dice_marked": torch.where(marked, dice, torch.nan).nanmean(0),
    }


# -- raters


def rater_dice(
    models: dict[str, np.ndarray], raters: np.ndarray, names: list[str], threshold: float = 0.5
) -> pd.DataFrame:
    """Dice of models with each rater, beside what the other raters reach with that rater; one image.

    models: name -> mask, bool (H, W); raters: uint8 (R, H, W), those who looked, 255 = 1. names: of the R
    raters, whose masks are >= threshold (a fraction; > 0 at 0; tolerance 1/510). Columns: rater; one a model;
    others, of the other raters' mean map at the same threshold; pairs, the mean over the other raters one by
    one. NaN where both masks are empty, and in others and pairs of a single rater. A mean of raters is
    smoother than any of them: compare a model of a consensus with others, a model of one rater with pairs.
    """
    masks = confidence.targets(raters / 255, threshold)
    rows = []
    for a, name in enumerate(names):
        row = {"rater": name, **{key: agreement.mask_dice(own, masks[a]) for key, own in models.items()}}
        row |= {"others": np.nan, "pairs": np.nan}
        if len(names) > 1:
            mean = confidence.merge(np.delete(raters, a, axis=0), "mean")
            row["others"] = agreement.mask_dice(confidence.targets(mean / 255, threshold), masks[a])
            each = [agreement.mask_dice(mask, masks[a]) for b, mask in enumerate(masks) if b != a]
            row["pairs"] = pd.Series(each).mean()
        rows.append(row)
    return pd.DataFrame(rows, columns=["rater", *models, "others", "pairs"])


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


def _temperature(slope: Callable[[float], float]) -> float:
    """The temperature of least cross-entropy, from its slope over the sharpness 1 / T.

    The cross-entropy is convex in 1 / T, so its slope has one root; without one, the end that it points at.
    """
    low, high = (1 / t for t in reversed(TEMPERATURES))
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return TEMPERATURES[0]
    return 1 / brentq(slope, low, high, xtol=1e-12)


def _temperature_of_pixels(cells: list[tuple[Tensor, Tensor]]) -> float:
    """Of logits and labels, a pair an image and feature; in float64, one of them at a time."""
    if not any(z.any() for z, _ in cells):  # no pixel, or every prediction is 0.5: nothing to scale
        return np.nan

    def slope(sharpness: float) -> float:
        wide = ((z.double(), y.double()) for z, y in cells)
        return sum((z * (torch.sigmoid(sharpness * z) - y)).sum().item() for z, y in wide)

    return _temperature(slope)


def temperatures(logits: Tensor, c: Tensor, known: Tensor, shared: bool = False) -> np.ndarray:
    """Temperature T of each feature, so that sigmoid(logits / T) has the least cross-entropy against c.

    Guo et al. 2017, with soft labels; exact, over all known pixels. logits, c: float (N, C, H, W), of
    validation images; known: bool (N, C), or (N, C, H, W) to fit on some pixels alone. shared: one T for all
    features. Returns float64 (C,) from 0.05 to 20; NaN without a known pixel, or where all logits are 0.
    Takes beside its arrays a copy of one feature's logits and labels, or, shared, of all.
    """
    features = range(logits.shape[1])

    def cells(k: int) -> list[tuple[Tensor, Tensor]]:
        at = [(n, k) for n in range(len(logits))]
        return [tuple(a[cell][known[cell]].cpu() for a in (logits, c)) for cell in at]

    if shared:
        every = [cell for k in features for cell in cells(k)]
        return np.full(len(features), _temperature_of_pixels(every))
    return np.array([_temperature_of_pixels(cells(k)) for k in features])


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
