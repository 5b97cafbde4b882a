"""Do the raters agree with one another and with the truth, and how does each one's confidence translate?

Images are read one labelled frame at a time; what is kept are counts, or the pixels of a grid. A rater
without a row for a frame and feature did not look there: missing, which is not an all-zero image.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import ndimage

from lusnb import cohort as cohorts
from lusnb import confidence
from lusnb.cohort import Cohort
from lusnb.confidence import LEVELS, TENS

ALL = "all"  # the feature of a table's row that is pooled over features
FRAME = ["patient_id", "clip_id", "frame", "feature"]
DICE = ["measure", "feature", "rater", "other", "threshold", "value", "patients", "frames", "both_empty"]
ALPHA = ["measure", "feature", "value", "raters", "patients", "frames", "units", "reading"]
COUNTS = ["patient_id", "rater", "feature", "level"]
MAPS = ["rater", "feature", "level", "pixels", "consensus", "mapped"]
GAINS = ["rater", "feature", "patients", "pixels", "before", "after"]


def _looked(cohort: Cohort, patients: list[str] | None = None, feature: str | None = None) -> Iterator[tuple]:
    """Each labelled frame and feature: (patient, clip, frame, feature), its raters, their maps (R, H, W)."""
    patient_of = cohort.clips.set_index("clip_id")["patient_id"]
    labels = cohort.labels[cohort.labels["feature"] == feature] if feature else cohort.labels
    labels = labels.sort_values("rater", kind="stable")
    for (clip_id, frame, name), rows in labels.groupby(["clip_id", "frame", "feature"]):
        patient = patient_of[clip_id]
        if patients is None or patient in patients:
            maps = np.stack([cohorts.image(cohort, path) for path in rows["path"]])
            yield (patient, clip_id, int(frame), name), list(rows["rater"]), maps


def _ordered(cohort: Cohort, table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Rows in the cohort's order of features, then by the other columns."""
    place = {feature: k for k, feature in enumerate(cohort.features)}
    return table.sort_values(by, key=lambda c: c.map(place) if c.name == "feature" else c, ignore_index=True)


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


def mask_dice(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of two masks (H, W): NaN where both are empty, 0 where one of them is."""
    both = one.sum() + other.sum()
    return 2 * (one & other).sum() / both if both else np.nan


def dice_of_frames(cohort: Cohort, threshold: float = 0.5) -> pd.DataFrame:
    """Dice of each pair of raters, and of each rater with the others' consensus, frame by frame.

    A mask is c >= threshold (a fraction; c > 0 at 0). The consensus is the mean of the other raters' maps at
    the same threshold; of two raters it is the other one. Columns: patient_id, clip_id, frame, feature,
    measure ('pair' or 'others'), rater, other (blank for 'others'), threshold, value (NaN where both are
    empty). Frames that one rater alone looked at have no rows.
    """
    rows = []
    for key, raters, maps in _looked(cohort):
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
    return _ordered(cohort, pd.DataFrame(rows, columns=DICE), ["measure", "feature", "rater", "other"])


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
    rows, columns = (np.unique(cohorts.segment_centres(side, points)) for side in (height, width))
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
        ratings, patients, names, counts = [], set(), set(), []
        for (patient, *_), raters, maps in _looked(cohort, feature=feature):
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


# -- harmonisation


def joint_counts(cohort: Cohort, patients: list[str]) -> pd.DataFrame:
    """What the other raters say where a rater says each level, over every pixel of these patients; exact.

    The others' consensus is the mean of the maps of the same frame and feature without the rater's own, a
    fraction. Columns: patient_id, rater, feature, level (0 to 255), pixels, total and squares (sums of the
    consensus and of its square); levels never said have no row.
    """
    sums = {}
    for (patient, _, _, feature), raters, maps in _looked(cohort, patients):
        for a, rater in enumerate(raters if len(raters) > 1 else []):
            consensus = np.delete(maps, a, axis=0).mean(axis=0).ravel() / 255
            weights = (None, consensus, consensus**2)
            counted = np.stack([np.bincount(maps[a].ravel(), w, 256) for w in weights])
            key = (patient, rater, feature)
            sums[key] = sums.get(key, 0) + counted
    rows = [(*key, k, *c[:, k]) for key, c in sums.items() for k in np.flatnonzero(c[0])]
    table = pd.DataFrame(rows, columns=[*COUNTS, "pixels", "total", "squares"]).astype({"pixels": int})
    return _ordered(cohort, table, ["rater", "feature", "patient_id", "level"])


def fit(cohort: Cohort, patients: list[str], per_feature: bool = False, zero: str = "kept") -> pd.DataFrame:
    """For each rater the non-decreasing map from a level to the consensus of the other raters.

    Isotonic regression (scikit-learn) on the pixels of `patients` alone, the training patients: the others'
    mean at each level, weighted by pixels. Features pooled, or each apart. Levels never said lie on the line
    between their neighbours; beyond the last one they keep its value.

    zero: 'kept': unpainted pixels stay 0 and are no part of the fit, so that c > 0 still means that the rater
    painted. They are most pixels, and what the others say there tells what the rater misses, which no map of
    levels can put in its place. 'fitted': level 0 is fitted too, and becomes a haze over the whole frame.

    Columns: rater, feature ('all' when pooled), level (0 to 255), pixels, consensus (the others' mean at this
    level, a fraction; NaN where it was never said), mapped (a fraction). No rows for a rater who painted
    nothing that another looked at: nothing to harmonise. Raises ValueError for an unknown `zero`.
    """
    if zero not in ("kept", "fitted"):
        raise ValueError(f"zero: expected kept or fitted, got {zero!r}; correct the parameter.")
    counts = joint_counts(cohort, patients)
    if not per_feature:
        counts = counts.assign(feature=ALL)
    tables = [pd.DataFrame(columns=MAPS)]
    for (rater, feature), group in counts.groupby(["rater", "feature"], sort=False):
        sums = group.groupby("level")[["pixels", "total"]].sum().reindex(LEVELS, fill_value=0)
        if sums.loc[1:, "pixels"].any():
            tables.append(_isotonic(sums, zero).assign(rater=rater, feature=feature)[MAPS])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _isotonic(sums: pd.DataFrame, zero: str) -> pd.DataFrame:
    """One rater's map. sums: pixels and total of the consensus, one row for each of the 256 levels."""
    from sklearn.isotonic import IsotonicRegression

    pixels = sums["pixels"].to_numpy()
    consensus = np.divide(sums["total"], pixels, out=np.full(256, np.nan), where=pixels > 0)
    said = np.flatnonzero((pixels > 0) & ((LEVELS > 0) | (zero == "fitted")))
    regression = IsotonicRegression(y_min=0, y_max=1)
    fitted = regression.fit(said, consensus[said], sample_weight=pixels[said]).predict(said)
    if zero == "kept":
        said, fitted = np.append(0, said), np.append(0, fitted)
    mapped = np.interp(LEVELS, said, fitted)
    return pd.DataFrame({"level": LEVELS, "pixels": pixels, "consensus": consensus, "mapped": mapped})


def mappings(table: pd.DataFrame, features: tuple[str, ...]) -> dict[tuple[str, str], np.ndarray]:
    """The maps of `fit`'s table, for `apply`: (rater, feature) -> uint8 (256,), 255 = 100 %."""
    found = {}
    for (rater, feature), group in table.groupby(["rater", "feature"], sort=False):
        levels = np.rint(255 * group.sort_values("level")["mapped"].to_numpy(float)).astype(np.uint8)
        found |= {(rater, name): levels for name in (features if feature == ALL else [feature])}
    return found


def apply(image: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """One rater's confidence image, uint8 of any shape, with every level replaced by what it maps to."""
    return mapping[image]


def gain(cohort: Cohort, patients: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """How far each rater is from the others' consensus before and after harmonisation, where it painted.

    table: of `fit`. patients: others than those it was fitted on, since on these it cannot do worse. Columns:
    rater, feature (as in the table), patients, pixels (painted by the rater), before, after (root mean square
    difference to the others' consensus, a fraction; exact over all these pixels).
    """
    counts = joint_counts(cohort, patients).query("level > 0")
    if (table["feature"] == ALL).all():
        counts = counts.assign(feature=ALL)
    joined = counts.merge(table[["rater", "feature", "level", "mapped"]], on=["rater", "feature", "level"])
    for name, own in (("before", joined["level"] / 255), ("after", joined["mapped"].astype(float))):
        joined[name] = joined["squares"] - 2 * own * joined["total"] + own**2 * joined["pixels"]
    groups = joined.groupby(["rater", "feature"], sort=False)
    found = groups[["pixels", "before", "after"]].sum().assign(patients=groups["patient_id"].nunique())
    off = found[["before", "after"]].clip(lower=0).div(found["pixels"], axis=0) ** 0.5
    return found.assign(**off).reset_index()[GAINS]


# -- truth


def right_counts(cohort: Cohort) -> pd.DataFrame:
    """How often each rater is right at each level, where the cohort has truth; exact, over all pixels.

    Columns: patient_id, rater, feature, level (0 to 255), pixels, right (how many of them truly are of the
    feature); levels never said have no row. Empty where the cohort has no truth.
    """
    true = cohort.truth.set_index(["clip_id", "frame", "feature"])["path"].to_dict()
    sums = {}
    for (patient, *place), raters, maps in _looked(cohort) if len(true) else []:
        if tuple(place) in true:
            there = cohorts.image(cohort, true[tuple(place)]) > 0
            for rater, levels in zip(raters, maps, strict=True):
                key = (patient, rater, place[2])
                counted = [np.bincount(pixels, minlength=256) for pixels in (levels.ravel(), levels[there])]
                sums[key] = sums.get(key, 0) + np.stack(counted)
    rows = [(*key, k, *c[:, k]) for key, c in sums.items() for k in np.flatnonzero(c[0])]
    table = pd.DataFrame(rows, columns=[*COUNTS, "pixels", "right"])
    return _ordered(cohort, table, ["rater", "feature", "patient_id", "level"])


def reliability(counts: pd.DataFrame, by: tuple[str, ...] = ("rater", "feature")) -> pd.DataFrame:
    """Share of pixels that truly are of the feature at each level that a rater said; counts: `right_counts`.

    A calibrated rater is right on 60 of 100 pixels where it says 60 %. `by`: of patient_id, rater, feature;
    what is left out is pooled over its pixels. Columns: `by`, level (%, to the next ten), said (mean
    confidence, a fraction), share (fraction), pixels, right, patients. Empty where the cohort has no truth.
    """
    counts = counts.astype({"level": int})
    counts = counts.assign(said=counts["level"] / 255 * counts["pixels"], level=10 * TENS[counts["level"]])
    groups = counts.groupby([*by, "level"], sort=False)
    table = groups[["said", "pixels", "right"]].sum().assign(patients=groups["patient_id"].nunique())
    table = table.assign(said=table["said"] / table["pixels"], share=table["right"] / table["pixels"])
    return table.reset_index()[[*by, "level", "said", "share", "pixels", "right", "patients"]]


def right_told(counts: pd.DataFrame) -> str:
    """One line a rater: what it says on average where it painted, and what is right (`right_counts`)."""
    sums = counts.assign(said=counts["level"] / 255 * counts["pixels"]).query("level > 0").groupby("rater")
    means = sums[["said", "right"]].sum().div(sums["pixels"].sum(), axis=0).astype(float)
    lines = [
        f"{name} says {mean.said:.0%} on average where it paints, {mean.right:.0%} is right"
        for name, mean in means.T.items()
    ]
    return "\n".join(lines) or "no truth in this cohort: whether a rater is right cannot be told"
