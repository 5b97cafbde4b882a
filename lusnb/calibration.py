"""Are probabilities what they say? Reliability curves and their errors, temperature scaling, AUROC.

On arrays alone, for segmenters and tasks alike.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import rankdata

TEMPERATURES = (0.05, 20.0)  # the search ends here: a separable label would take 0, a useless one infinity


def reliability(counted: np.ndarray, bins: int = 20) -> dict[str, np.ndarray]:
    """Reliability of stored probabilities against labels, exact: every pixel counts.

    counted: float (2, 256), pixels at each stored probability and the sum of their labels as fractions
    (metrics.level_counts); counts of images add up. Returns per bin: count, mean prediction, mean label
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

    >>> curve = {"count": [30, 10], "predicted": [0.1, 0.9], "observed": [0.2, 0.6]}
    >>> errors = calibration_error({name: np.array(values) for name, values in curve.items()})
    >>> {name: round(error, 2) for name, error in errors.items()}
    {'ece': 0.15, 'ace': 0.2, 'mce': 0.3}
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


def temperature(slope: Callable[[float], float]) -> float:
    """The temperature of least cross-entropy, from its slope over the sharpness 1 / T.

    The cross-entropy is convex in 1 / T, so its slope has one root; without one, the end of TEMPERATURES that
    it points at.
    """
    low, high = (1 / t for t in reversed(TEMPERATURES))
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return TEMPERATURES[0]
    return 1 / brentq(slope, low, high, xtol=1e-12)


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature T at which softmax(logits / T) has the least cross-entropy (Guo et al. 2017).

    logits: float (n, classes), of validation units; truth: int (n,). From 0.05 to 20, the nearer of the two
    where the least lies beyond: 20 too where the logits say less than chance. 1.0 where there is nothing to
    fit on: no unit, logits that name no class, or no unit with a class above the true one, so that nothing
    bounds the certainty.
    """
    logits, truth = np.asarray(logits, float), np.asarray(truth, int)
    if not len(truth) or not np.ptp(logits, axis=1).any():
        return 1.0
    own = logits[np.arange(len(truth)), truth]
    if (own >= logits.max(axis=1)).all():
        return 1.0

    def slope(sharpness: float) -> float:
        return float(((softmax(sharpness * logits, axis=1) * logits).sum(1) - own).mean())

    return temperature(slope)


def auroc(score: np.ndarray, positive: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Share of (positive, negative) pairs that the score puts in order, ties by half; NaN without a pair.

    groups: only pairs within one group count. The rank sum, since hundreds of small tables are scored.

    >>> auroc([0.1, 0.4, 0.4, 0.8], [False, False, True, True])
    0.875
    """
    score, positive = np.asarray(score, float), np.asarray(positive, bool)
    groups = np.zeros(len(score)) if groups is None else np.asarray(groups)
    ordered = pairs = 0.0
    for group in pd.unique(groups):
        own = groups == group
        n = int(positive[own].sum())
        ordered += rankdata(score[own])[positive[own]].sum() - n * (n + 1) / 2
        pairs += n * (own.sum() - n)
    return float(ordered / pairs) if pairs else np.nan
