"""The operating point: from which stored probability on a pixel counts as a prediction.

Arms that are shown high thresholds say less: cut at 0.5 they differ mostly in how far they fall below it.
So an arm is compared at its own cut, the one at which it validates best against its own labels, and at 0.5
beside it.

What is maximised is the pooled IoU: intersections and unions summed over all validation images, those
without the feature too, so that what is drawn where nothing is costs something; then the mean over features
that are labelled at all. The same number, at its best cut, chooses the epoch, which therefore depends on no
cut.
"""

import numpy as np
import torch
from torch import Tensor

from lusnb import confidence
from lusnb.segment.predictions import CUT

STORED = 256  # levels of a probability: it is kept as uint8, 255 = 1


def counts(levels: Tensor, y: Tensor, known: Tensor) -> np.ndarray:
    """Pixels at each stored probability, outside the label and inside it; counts of images add up.

    levels: uint8 (N, C, H, W); y: bool, the label; known: bool (N, C), what counts. Returns int64
    (C, 2, 256).
    """
    features = levels.shape[1]
    own = 2 * torch.arange(features, device=levels.device)[:, None, None]
    code = (own + y) * STORED + levels  # (N, C, H, W)
    found = torch.bincount(code[known].flatten(), minlength=2 * STORED * features)
    return found.view(features, 2, STORED).cpu().numpy()


def at_each(counted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `counts`, for a cut at each level: pixels drawn, of these the label's, and the label's in all.

    Returns int (..., 256), (..., 256) and (..., 1).
    """
    above = counted[..., ::-1].cumsum(-1)[..., ::-1]  # at or above each level
    hit = above[..., 1, :]
    return above.sum(-2), hit, hit[..., :1]


def pooled_iou(counted: np.ndarray) -> np.ndarray:
    """IoU of each feature for a cut at each level, (C, 256), images pooled; NaN where nothing is labelled."""
    drawn, hit, label = at_each(counted)
    with np.errstate(invalid="ignore"):
        return np.where(label > 0, hit / (drawn + label - hit), np.nan)


def best(counted: np.ndarray) -> tuple[int, float]:
    """The cut with the highest pooled IoU, its mean over labelled features, and that mean.

    A level from 1 to 255. Of cuts that are equally good the highest: it is a level that some pixel has, so
    that a monotone change of all probabilities changes the cut with them. (128, NaN) where nothing is
    labelled, and (128, 0) where no cut finds any of it.
    """
    known = pooled_iou(counted)[counted[:, 1].any(-1)]
    if not len(known):
        return CUT, float("nan")
    means = known[:, 1:].mean(0)
    level = STORED - 1 - int(means[::-1].argmax())
    return (level, float(means[level - 1])) if means.any() else (CUT, 0.0)


def own(levels: Tensor, labels: Tensor, known: Tensor, threshold: float) -> int:
    """The cut of stored probabilities that fits labels at a threshold best: `best`, image by image.

    levels, labels: uint8 (N, C, H, W), 255 = 1 and 100 %; known: bool (N, C).
    """
    counted = np.zeros((levels.shape[1], 2, STORED), np.int64)
    for n in range(len(levels)):  # one at a time: every pixel is counted as 8 bytes
        y = confidence.targets(labels[n : n + 1].float() / 255, threshold)
        counted += counts(levels[n : n + 1], y, known[n : n + 1])
    return best(counted)[0]


def quantise(logits: Tensor) -> Tensor:
    """Probabilities of logits as uint8, 255 = 1: what is stored, and what every cut is applied to."""
    return (torch.sigmoid(logits.float()) * 255).round().to(torch.uint8)
