"""What each threshold keeps and loses of a cohort's labels, and how thick a painted line is in pixels."""

import numpy as np
import pandas as pd

from lusnb import cohort as cohorts
from lusnb import confidence
from lusnb.cohort import Cohort

TOO_THIN = 3.0  # pixels: a working size at which a pleura is thinner than this is too small
PLEURA = ("sharp_pleura", "fuzzy_pleura")
LINES = (*PLEURA, "fascia_band", "a_line", "sub_a_line")


def kept(cohort: Cohort, size: int, merge: str, thresholds: list[float]) -> pd.DataFrame:
    """Per labelled frame, feature and threshold: area of the target, and its share of the area of c > 0.

    Columns: clip_id, frame, patient_id, feature, threshold, area (share of the frame), share (NaN where
    nothing is painted), present. Unknown features have no rows.
    """
    table = cohorts.labelled_frames(cohort)
    maps, known = cohorts.confidence_of(cohort, table, size, merge)
    painted = (maps > 0).mean((2, 3))
    rows = []
    for t in thresholds:
        area = confidence.targets(maps / 255, t).mean((2, 3))
        with np.errstate(invalid="ignore"):
            share = np.where(painted > 0, area / painted, np.nan)
        for n, c in zip(*np.nonzero(known), strict=True):
            frame = table.iloc[n]
            key = (frame["clip_id"], frame["frame"], frame["patient_id"], cohort.features[c], t)
            rows.append((*key, area[n, c], share[n, c], area[n, c] > 0))
    names = ["clip_id", "frame", "patient_id", "feature", "threshold", "area", "share", "present"]
    return pd.DataFrame(rows, columns=names)


def levels_used(cohort: Cohort, merge: str) -> pd.DataFrame:
    """How often each confidence was painted: feature, level (to the next 10 %), share of painted pixels."""
    table = cohorts.labelled_frames(cohort)
    maps, _ = cohorts.confidence_of(cohort, table, None if _one_size(cohort) else 256, merge)
    counts = [np.bincount(maps[:, c].ravel(), minlength=256) for c in range(len(cohort.features))]
    tens = np.rint(np.arange(256) / 25.5).astype(int)
    rows = []
    for feature, count in zip(cohort.features, counts, strict=True):
        by_ten = np.bincount(tens[1:], weights=count[1:], minlength=11)
        rows += [(feature, 10 * k, by_ten[k] / max(1, by_ten.sum())) for k in range(11)]
    return pd.DataFrame(rows, columns=["feature", "level", "share"])


def _one_size(cohort: Cohort) -> bool:
    return len({cohorts.clip(cohort, c).shape[1:] for c in cohort.clips["clip_id"]}) == 1


def thickness(cohort: Cohort, merge: str, sizes: list[int]) -> pd.DataFrame:
    """Median vertical thickness of lines painted with at least 50 %, in mm and in pixels at working sizes.

    A column's thickness is its longest vertical run of such pixels. Columns: feature, mm, and one
    `px_<size>` a size; features that are not lines are left out.
    """
    table = cohorts.labelled_frames(cohort)
    found = {feature: [] for feature in cohort.features if feature in LINES}
    for row in table.itertuples():
        maps, _ = cohorts.confidence_of(cohort, table.loc[[row.Index]], None, merge)
        height = maps.shape[2]
        down, _ = cohorts.pixel_mm(cohort, row.clip_id)
        for feature in found:
            runs = _runs(confidence.targets(maps[0, cohort.features.index(feature)] / 255, 0.5))
            found[feature] += [(run * down, run / height) for run in runs]
    rows = []
    for feature, values in found.items():
        mm, share = np.median(np.array(values or [(np.nan, np.nan)]), axis=0)
        rows.append({"feature": feature, "mm": mm, **{f"px_{size}": share * size for size in sizes}})
    return pd.DataFrame(rows, columns=["feature", "mm", *(f"px_{size}" for size in sizes)])


def _runs(mask: np.ndarray) -> np.ndarray:
    """Longest vertical run of each column that has one: mask (H, W) -> pixels, (columns,)."""
    run, longest = np.zeros(mask.shape[1], int), np.zeros(mask.shape[1], int)
    for line in mask:
        run = (run + 1) * line
        longest = np.maximum(longest, run)
    return longest[longest > 0]


def too_thin(table: pd.DataFrame) -> str:
    """One sentence on the working sizes at which a pleura is under three pixels thick."""
    pleura = table[table["feature"].isin(PLEURA)].dropna()
    sizes = [c for c in table if c.startswith("px_")]
    if pleura.empty:
        return "no pleura is painted in this cohort: nothing to judge a working size by"
    thin = [c.removeprefix("px_") for c in sizes if pleura[c].min() < TOO_THIN]
    told = (
        f"too small, a pleura is under {TOO_THIN:g} pixels thick: {', '.join(thin)} px"
        if thin
        else "none is too small"
    )
    return f"working sizes {', '.join(c.removeprefix('px_') for c in sizes)} px: {told}"


def true_burden(cohort: Cohort, feature: str = "b_line") -> pd.DataFrame:
    """Share of each labelled frame that truly is of one feature, beside its S/F: clip_id, burden, sf_ratio.

    Empty where the cohort has no true masks of it, or no S/F.
    """
    rows = cohort.truth[cohort.truth["feature"] == feature]
    share = [(cohorts.image(cohort, path) > 0).mean() for path in rows["path"]]
    table = rows[["clip_id"]].assign(burden=share).merge(cohort.clips[["clip_id", "sf_ratio"]], on="clip_id")
    return table.dropna()
