"""What only graded labels, several raters or millimetres can tell, and temperature scaling.

Predictions are probabilities and labels are confidence. A label may also be the truth of a phantom, as 0 and
1 (0 and 255 where uint8): every function here, and IoU and reliability in metrics.py, takes it unchanged. As
there, a metric is per image and feature, NaN where it is not defined; the caller leaves out unknown features.
"""

import warnings

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit
from torch import Tensor

from lusnb import agreement, confidence, metrics

LEVELS = tuple(k / 10 for k in range(1, 10))  # 10 % ... 90 %
PERCENTILE = 95
TEMPERATURES = (0.05, 20.0)  # the search ends here: a separable label would take 0, a useless one infinity
STORED = logit(np.clip(np.arange(256), 0.25, 254.75) / 255)  # of uint8 probabilities; the ends half a step in


# -- levels


def level_dice(p: Tensor, c: Tensor, levels: tuple[float, ...] = LEVELS) -> dict[str, Tensor]:
    """Dice of prediction and label cut at the same level, averaged over levels (QUBIQ, Li et al. 2024).

    p, c: float (N, C, H, W) in [0, 1]. A pixel is in where its value is >= level - 1/510, in both alike. Two
    masks that are both empty count 1.0, one empty mask 0.0. Returns float (N, C): `level_dice`;
    `level_dice_empty`, how many levels are empty in both; `level_dice_marked`, the mean over the other levels
    (NaN where there is none), since an image without the feature is otherwise a free 1.0.
    """
    masks = [(confidence.targets(p, t), confidence.targets(c, t)) for t in levels]
    iou = torch.stack([metrics.iou(predicted, target) for predicted, target in masks])  # (levels, N, C)
    dice = 2 * iou / (1 + iou)
    return {
        "level_dice": dice.nan_to_num(nan=1.0).mean(0),
        "level_dice_empty": dice.isnan().sum(0).to(dice.dtype),
        "level_dice_marked": dice.nanmean(0),
    }


# -- raters


def rater_dice(
    model: np.ndarray, raters: np.ndarray, names: list[str], threshold: float = 0.5
) -> pd.DataFrame:
    """Dice of the model with each rater, beside what the other raters reach with that rater; one image.

    model: uint8 (H, W), the model's probability; raters: uint8 (R, H, W), those who looked; 255 = 1. names:
    of the R raters. A mask is >= threshold (a fraction; > 0 at 0; tolerance 1/510). Columns: rater; model;
    others, of the other raters' mean map at the same threshold; pairs, the mean over the other raters one by
    one. NaN where both masks are empty, and in others and pairs of a single rater. A mean of raters is
    smoother than any of them: compare a model of a consensus with others, a model of one rater with pairs.
    """
    masks, own = confidence.targets(raters / 255, threshold), confidence.targets(model / 255, threshold)
    rows = []
    for a, name in enumerate(names):
        row = {"rater": name, "model": agreement.mask_dice(own, masks[a]), "others": np.nan, "pairs": np.nan}
        if len(names) > 1:
            mean = confidence.merge(np.delete(raters, a, axis=0), "mean")
            row["others"] = agreement.mask_dice(confidence.targets(mean / 255, threshold), masks[a])
            each = [agreement.mask_dice(mask, masks[a]) for b, mask in enumerate(masks) if b != a]
            row["pairs"] = pd.Series(each).mean()
        rows.append(row)
    return pd.DataFrame(rows, columns=["rater", "model", "others", "pairs"])


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


def _temperature(z: np.ndarray, label: np.ndarray, count: np.ndarray | float) -> float:
    """The temperature of least cross-entropy, of `count` pixels at logit z whose labels add up to `label`.

    The cross-entropy is convex in 1 / T, so its slope has one root.
    """

    def slope(sharpness: float) -> float:
        return float((z * (count * expit(sharpness * z) - label)).sum())

    if not np.any(z * count):  # no pixel, or every prediction is 0.5: nothing to scale
        return np.nan
    low, high = (1 / t for t in reversed(TEMPERATURES))
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return TEMPERATURES[0]
    return 1 / brentq(slope, low, high, xtol=1e-12)


def temperatures(logits: Tensor, c: Tensor, known: Tensor, shared: bool = False) -> np.ndarray:
    """Temperature T of each feature, so that sigmoid(logits / T) has the least cross-entropy against c.

    Guo et al. 2017, with soft labels; exact, over all known pixels. logits, c: float (N, C, H, W), of
    validation images; known: bool (N, C), or (N, C, H, W) to fit on some pixels alone. shared: one T for all
    features. Returns float64 (C,) from 0.05 to 20; NaN without a known pixel, or where all logits are 0.
    """
    known = known if known.ndim == 4 else known[:, :, None, None].expand(logits.shape)
    features = range(logits.shape[1])

    def pixels(k: int) -> tuple[np.ndarray, ...]:
        return tuple(a[:, k][known[:, k]].cpu().double().numpy() for a in (logits, c))

    if shared:
        z, y = (np.concatenate(parts) for parts in zip(*map(pixels, features), strict=True))
        return np.full(len(features), _temperature(z, y, 1.0))
    return np.array([_temperature(*pixels(k), 1.0) for k in features])


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


def temperatures_of_counts(counts: np.ndarray, shared: bool = False) -> np.ndarray:
    """`temperatures`, from stored probabilities: `level_counts` (C, 2, 256) to float64 (C,).

    Every pixel counts, but what is stored as 0 or 255 is taken as 1/1020 or 1 - 1/1020, however sure the
    network was. Where most pixels are background these decide: fit on logits if they are at hand.
    """
    if shared:
        return np.full(len(counts), _temperature(STORED, counts[:, 1].sum(0), counts[:, 0].sum(0)))
    return np.array([_temperature(STORED, label, count) for count, label in counts])


def temper(levels: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """Stored probabilities at a temperature, uint8 (N, C, H, W), 255 = 1; temperature: float (C,).

    A feature whose temperature is NaN stays as it is. See `temperatures_of_counts` for the ends 0 and 255;
    with logits at hand, divide them by the temperature instead.
    """
    tables = np.rint(255 * expit(STORED / np.nan_to_num(temperature, nan=1.0)[:, None])).astype(np.uint8)
    return np.stack([table[levels[:, k]] for k, table in enumerate(tables)], axis=1)
