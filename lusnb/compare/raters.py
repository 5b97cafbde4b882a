"""Do the raters agree with one another?

Images are read one labelled frame at a time; what is kept are counts, or the pixels of a grid. A rater
without a row for a frame and feature did not look there: missing, which is not an all-zero image.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import ndimage

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort.arrays import FRAME, looked, ordered
from lusnb.cohort.cohort import Cohort
from lusnb.confidence import TENS

DICE = ["measure", "feature", "rater", "other", "threshold", "value", "patients", "frames", "both_empty"]
ALPHA = ["measure", "feature", "value", "raters", "patients", "frames", "units", "reading"]


def told(cohort: Cohort) -> str:
    """One sentence on who labelled how much, and on whether there is anything to compare or harmonise."""
    count = cohort.labels.groupby("rater").size()
    names = ", ".join(f"{rater} ({n} image{'s' * (n != 1)})" for rater, n in count.items())
    shared = cohort.labels.groupby(["clip_id", "frame", "feature"])["rater"].nunique() > 1
    if not shared.any():
        who = "one rater" if len(count) == 1 else f"{len(count)} raters who share no image"
        return f"{who}, {names}: nothing to compare and nothing to harmonise"
    return f"{len(count)} raters, {names}: {shared.sum()} of {len(shared)} labels are of two or more"


# -- agreement


def dice_of_frames(cohort: Cohort, threshold: float = 0.5) -> pd.DataFrame:
    """Dice of each pair of raters, and of each rater with the others' consensus, frame by frame.

    A mask is c >= threshold (a fraction; c > 0 at 0). The consensus is the mean of the other raters' maps at
    the same threshold; of two raters it is the other one. Columns: patient_id, clip_id, frame, feature,
    measure ('pair' or 'others'), rater, other (blank for 'others'), threshold, value (NaN where both are
    empty). Frames that one rater alone looked at have no rows.
    """
    rows = []
    for key, raters, maps in looked(cohort):
        masks = confidence.targets(maps / 255, threshold)
        for (a, one), (b, other) in combinations(enumerate(raters), 2):
            rows.append((*key, "pair", one, other, threshold, mask_dice(masks[a], masks[b])))
        for a, one in enumerate(raters if len(raters) > 1 else []):
            consensus = confidence.merge(np.delete(maps, a, axis=0), "mean")
            others = confidence.targets(consensus / 255, threshold)
            rows.append((*key, "others", one, "", threshold, mask_dice(masks[a], others)))
    return pd.DataFrame(rows, columns=[*FRAME, "measure", "rater", "other", "threshold", "value"])


def dice(cohort: Cohort, threshold: float = 0.5) -> pd.DataFrame:
    """Dice per feature, for each pair of raters and for each rater against the consensus of the others.

    The mean over patients of each patient's mean over frames (`dice_of_frames`). A frame where one of the two
    is empty counts 0; where both are it is left out, and counted. Columns: measure ('pair' or 'others'),
    feature, rater, other, threshold, value (NaN without a frame that counts), patients, frames (that count),
    both_empty. No rows where no frame was looked at by two raters.
    """
    frames = dice_of_frames(cohort, threshold)
    rows = []
    for key, group in frames.groupby(DICE[:5]):
        counted = group.dropna(subset="value")
        values = counted.groupby("patient_id")["value"].mean()
        value = values.mean() if len(values) else np.nan
        rows.append((*key, value, len(values), len(counted), len(group) - len(counted)))
    return ordered(cohort, pd.DataFrame(rows, columns=DICE), ["measure", "feature", "rater", "other"])


def units(maps: np.ndarray, points: int = 48, margin: float = 0.02) -> np.ndarray:
    """The pixels at which agreement on the level is asked: uint8 (R, H, W) -> levels in tens, int (R, units).

    Of a regular grid of points x points over the frame, those no further than `margin` (a share of the
    frame's height; at least a pixel) from what some rater painted. The empty rest of the frame is left out:
    all agree on it, so that alpha would tell how much of it is in view.
    """
    height, width = maps.shape[1:]
    reach = max(1, round(margin * height))
    near = ndimage.maximum_filter((maps > 0).any(axis=0), size=2 * reach + 1, mode="constant")
    grid = np.zeros((height, width), bool)
    rows, columns = (np.unique(arrays.segment_centres(side, points)) for side in (height, width))
    grid[np.ix_(rows, columns)] = True
    return TENS[maps[:, near & grid]]


def alpha(cohort: Cohort, points: int = 48, margin: float = 0.02) -> pd.DataFrame:
    """Krippendorff's alpha of the raters' levels, per feature, with interval distance (nltk).

    1: they say the same level everywhere; 0: they agree as levels shuffled over the units would; below 0:
    less. Units are pixels in tens of per cent: see `units` for which. A rater who did not look at a frame is
    missing there. Columns: measure ('alpha'), feature, value (NaN where it is not defined), raters, patients,
    frames, units, reading (why it is not defined, otherwise blank).
    """
    rows = []
    for feature in cohort.features:
        ratings: list[tuple] = []
        patients: set[str] = set()
        names: set[str] = set()
        counts: list[int] = []
        for (patient, *_), raters, maps in looked(cohort, feature=feature):
            if len(raters) > 1:
                levels, first = units(maps, points, margin), sum(counts)
                for name, row in zip(raters, levels.tolist(), strict=True):
                    ratings += [(name, first + k, level) for k, level in enumerate(row)]
                patients.add(patient)
                names.update(raters)
                counts.append(levels.shape[1])
        value, reading = _alpha(ratings, len(names))
        rows.append(("alpha", feature, value, len(names), len(patients), len(counts), sum(counts), reading))
    return pd.DataFrame(rows, columns=ALPHA)


def _alpha(ratings: list[tuple], raters: int) -> tuple[float, str]:
    """Alpha of (rater, unit, level) triples, and why there is none."""
    if raters < 2:
        return np.nan, "not defined: no frame was looked at by two raters"
    if not ratings:
        return np.nan, "not defined: nobody painted it where two raters looked"
    if len({level for _, _, level in ratings}) < 2:
        return np.nan, "not defined: every unit has the same level"
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import interval_distance

    return float(AnnotationTask(ratings, distance=interval_distance).alpha()), ""


def mask_dice(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of two masks (H, W): NaN where both are empty, 0 where one of them is."""
    both = one.sum() + other.sum()
    return 2 * (one & other).sum() / both if both else np.nan
