"""Labels against the truth, without a learner: are raters right, and which threshold do labels imply?

Two answers to the second. Pixel by pixel a threshold is best where the rater is right half of the time: at 50
% for a calibrated rater, higher for one who is too sure, lower for one who is too cautious. By IoU it lies at
or below that: a pixel of the feature that is left out costs more than one too many. Where the best IoU is J,
pixels that are right in more than J / (1 + J) of cases raise it.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort.arrays import ALL, looked, ordered
from lusnb.cohort.cohort import Cohort
from lusnb.confidence import LEVELS, TENS
from lusnb.segment import averages
from lusnb.segment.harmonise import COUNTS

CELL = ["cohort", "calibration", "noise"]
FRAME = ["clip_id", "frame", "feature"]
SAME_ARM = 0.02  # neighbouring thresholds whose targets differ by less than this share of the paint: one arm


def labels_alone(
    cohort: Cohort, thresholds: Iterable[float], merge: str = "mean", patients: list[str] | None = None
) -> pd.DataFrame:
    """How good the labels themselves are at each threshold, at their own size.

    patients: whose labels; None: those of the training patients.

    Columns: feature (`all`: over features), threshold; iou of the target c >= t against the truth, over
    images whose truth is not empty: each patient's mean per feature, for `all` its mean over features, then
    the mean over patients; patients; kept and right: see `decided`; level: see `half_right`.
    """
    thresholds = sorted(thresholds)
    whose = set(cohort.patients_in("train") if patients is None else patients)
    images, counts = _compared(cohort, thresholds, merge, whose)
    per_feature = images.groupby(["feature", "threshold", "patient_id"])["value"].mean().reset_index()
    pooled = averages.over_features(images, ["threshold"]).assign(feature=ALL)
    iou = pd.concat([pooled, per_feature]).groupby(["feature", "threshold"])["value"]
    iou = iou.agg(iou="mean", patients="count")
    rows = []
    for k, feature in enumerate([ALL, *cohort.features]):
        pixels, right = counts.sum(axis=0) if feature == ALL else counts[k - 1]  # (256,) each
        for t in thresholds:
            measured = iou.loc[(feature, t)] if (feature, t) in iou.index else (np.nan, 0)
            rows.append((feature, t, *measured, *decided(pixels, right, t), half_right(pixels, right)))
    columns = ["feature", "threshold", "iou", "patients", "kept", "right", "level"]
    return pd.DataFrame(rows, columns=columns).astype({"patients": int})


def _compared(
    cohort: Cohort, thresholds: list[float], merge: str, whose: set[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels of some patients against the truth, one frame and feature at a time.

    Returns (IoU of images whose truth is not empty: patient_id, feature, threshold, value; how many pixels
    have each level and how many of these truly are of the feature, int (features, 2, 256)).
    """
    true = cohort.truth.set_index(FRAME)["path"].to_dict()
    patient_of = cohort.clips.set_index("clip_id")["patient_id"]
    rows, counts = [], np.zeros((len(cohort.features), 2, 256), np.int64)
    for place, raters in cohort.labels.groupby(FRAME):
        patient, feature = patient_of[place[0]], place[2]
        if patient not in whose or place not in true:
            continue
        levels = confidence.merge(np.stack([arrays.image(cohort, path) for path in raters["path"]]), merge)
        there = arrays.image(cohort, true[place]) > 0
        both = [np.bincount(pixels.ravel(), minlength=256) for pixels in (levels, levels[there])]
        counts[cohort.features.index(feature)] += both
        for t in thresholds if there.any() else []:
            y = confidence.targets(levels / 255, t)
            rows.append((patient, feature, t, (y & there).sum() / (y | there).sum()))
    return pd.DataFrame(rows, columns=["patient_id", "feature", "threshold", "value"]), counts


def decided(pixels: np.ndarray, right: np.ndarray, t: float) -> tuple[float, float]:
    """Of the painted pixels (c > 0) the share that is target at t, and the share that t decides rightly.

    pixels, right: int (256,), pixels at each 8-bit level and how many of them truly are of the feature. A
    target is right where it is of the feature, the rest where it is not. NaN where nothing is painted.
    """
    painted = LEVELS > 0
    target = painted & confidence.targets(LEVELS / 255, t)
    total = pixels[painted].sum()
    if not total:
        return np.nan, np.nan
    rightly = right[target].sum() + (pixels - right)[painted & ~target].sum()
    return pixels[target].sum() / total, rightly / total


def half_right(pixels: np.ndarray, right: np.ndarray) -> float:
    """The lowest confidence (%, in tens) from which on the rater is right at least half of the time.

    So it is at every level painted from there up to 100 %; NaN where at none. pixels, right: as in `decided`.
    """
    said, true = (np.bincount(TENS[1:], x[1:], 11)[1:] for x in (pixels, right))
    levels = np.arange(10, 101, 10)[said > 0]
    wrong = np.flatnonzero(2 * true[said > 0] < said[said > 0])
    first = wrong[-1] + 1 if len(wrong) else 0
    return float(levels[first]) if first < len(levels) else np.nan


def of_cells(
    opened: dict[str, Cohort], cells: pd.DataFrame, thresholds: Iterable[float], merge: str
) -> pd.DataFrame:
    """`labels_alone` of every cell, with cohort, calibration and noise. cells: of sensitivity.cells."""
    thresholds = list(thresholds)
    parts = [
        labels_alone(opened[cell["cohort"]], thresholds, merge).assign(**cell)
        for cell in cells.to_dict("records")
    ]
    found = pd.concat(parts, ignore_index=True)
    return found[[*CELL, *(name for name in found if name not in CELL)]]


def optima(labels: pd.DataFrame) -> pd.DataFrame:
    """The thresholds that the labels imply, one row a cell and feature; the lowest where several are best.

    labels: of `of_cells`. Columns: cohort, calibration, noise, feature (`all` first), implied (of highest
    IoU), iou (there), pixelwise (which decides most of the painted pixels rightly), level (`half_right`).
    """
    rows = []
    for (*cell, feature), own in labels.groupby([*CELL, "feature"], sort=False):
        own = own.sort_values("threshold")
        if own["iou"].notna().any() and own["right"].notna().any():
            best, most = own.loc[own["iou"].idxmax()], own.loc[own["right"].idxmax()]
            rows.append((*cell, feature, best["threshold"], best["iou"], most["threshold"], best["level"]))
    return pd.DataFrame(rows, columns=[*CELL, "feature", "implied", "iou", "pixelwise", "level"])


def one_arm(labels: pd.DataFrame) -> pd.DataFrame:
    """Neighbouring thresholds that are nearly one arm: targets differ by under 2 % of the painted pixels.

    labels: of `of_cells`. Columns: cohort, calibration, noise, low, high (thresholds), apart (share).
    """
    own = labels[labels["feature"] == ALL].sort_values([*CELL, "threshold"])
    groups = own.groupby("cohort", sort=False)
    own = own.assign(
        low=own["threshold"], high=groups["threshold"].shift(-1), apart=own["kept"] - groups["kept"].shift(-1)
    )
    return own.loc[own["apart"] < SAME_ARM, [*CELL, "low", "high", "apart"]].reset_index(drop=True)


def right_counts(cohort: Cohort) -> pd.DataFrame:
    """How often each rater is right at each level, where the cohort has truth; exact, over all pixels.

    Columns: patient_id, rater, feature, level (0 to 255), pixels, right (how many of them truly are of the
    feature); levels never said have no row. Empty where the cohort has no truth.
    """
    true = cohort.truth.set_index(["clip_id", "frame", "feature"])["path"].to_dict()
    sums: dict[tuple[str, str, str], np.ndarray] = {}
    for (patient, *place), raters, maps in looked(cohort) if len(true) else []:
        if tuple(place) in true:
            there = arrays.image(cohort, true[tuple(place)]) > 0
            for rater, levels in zip(raters, maps, strict=True):
                key = (patient, rater, place[2])
                counted = [np.bincount(pixels, minlength=256) for pixels in (levels.ravel(), levels[there])]
                sums[key] = sums.get(key, 0) + np.stack(counted)
    rows = [(*key, k, *c[:, k]) for key, c in sums.items() for k in np.flatnonzero(c[0])]
    table = pd.DataFrame(rows, columns=[*COUNTS, "pixels", "right"])
    return ordered(cohort, table, ["rater", "feature", "patient_id", "level"])


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
    return "\n".join(lines) or "no truth in this cohort: whether a rater is right is unknown"


def true_burden(cohort: Cohort, feature: str = "b_line") -> pd.DataFrame:
    """Share of each labelled frame that truly is of one feature, beside its S/F: clip_id, patient_id, day,
    burden, sf_ratio.

    Empty where the cohort has no true masks of it, or no S/F.
    """
    rows = cohort.truth[cohort.truth["feature"] == feature]
    share = [(arrays.image(cohort, path) > 0).mean() for path in rows["path"]]
    known = cohort.clips[["clip_id", "patient_id", "day", "sf_ratio"]]
    table = rows[["clip_id"]].assign(burden=share).merge(known, on="clip_id")
    return table[["clip_id", "patient_id", "day", "burden", "sf_ratio"]].dropna()


def burden_told(table: pd.DataFrame) -> str:
    """Spearman's correlation of burden and S/F clip by clip and by patient and day, whose clips share an S/F.

    table: of `true_burden`; a patient-day's burden is the mean over its clips.
    """
    days = table.groupby(["patient_id", "day"])[["burden", "sf_ratio"]].mean()
    by_clip, by_day = (t["burden"].corr(t["sf_ratio"], method="spearman") for t in (table, days))
    return f"rho {by_clip:.2f} over {len(table)} clips, {by_day:.2f} over {len(days)} patient-days"
