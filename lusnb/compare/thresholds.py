"""What each threshold keeps and loses of a cohort's labels, and how thick a painted line is in pixels."""

import numpy as np
import pandas as pd

from lusnb import confidence
from lusnb.cohort import arrays, problems
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort

TOO_THIN = 3.0  # pixels: a working size at which a feature is thinner than this is too small
PLACES = 1  # decimals of a pixel that are shown, and judged by
ALONG = ("down", "across")  # the axes of an image, in their order


def kept(cohort: Cohort, size: int, merge: str, thresholds: list[float]) -> pd.DataFrame:
    """Per labelled frame, feature and threshold: area of the target, and its share of the area of c > 0.

    Columns: clip_id, frame, patient_id, feature, threshold, area (share of the frame), share (NaN where
    nothing is painted), present. Unknown features have no rows.
    """
    table = cohorts.labelled_frames(cohort)
    maps, known = arrays.confidence_of(cohort, table, size, merge)
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
    maps, _ = arrays.confidence_of(cohort, table, None if _one_size(cohort) else 256, merge)
    counts = [np.bincount(maps[:, c].ravel(), minlength=256) for c in range(len(cohort.features))]
    tens = np.rint(np.arange(256) / 25.5).astype(int)
    rows = []
    for feature, count in zip(cohort.features, counts, strict=True):
        by_ten = np.bincount(tens[1:], weights=count[1:], minlength=11)
        rows += [(feature, 10 * k, by_ten[k] / max(1, by_ten.sum())) for k in range(11)]
    return pd.DataFrame(rows, columns=["feature", "level", "share"])


def _one_size(cohort: Cohort) -> bool:
    return len({arrays.clip(cohort, c).shape[1:] for c in cohort.clips["clip_id"]}) == 1


def thickness(cohort: Cohort, merge: str, sizes: list[int]) -> pd.DataFrame:
    """Median thickness of each feature where painted with 50 % or more, in mm and in pixels at working sizes.

    A column's thickness is its longest vertical run of such pixels, a row's its longest horizontal one; a
    feature's is the lesser of both medians: a pleura is measured downwards, a B line across, and what is no
    line by its lesser extent. Columns: feature, along ('down', 'across'), mm, and one `px_<size>` a size,
    to PLACES decimals; all blank for a feature that is nowhere so surely painted.
    """
    table = cohorts.labelled_frames(cohort)
    found = {(feature, along): [np.empty((2, 0))] for feature in cohort.features for along in ALONG}
    for row in table.itertuples():
        maps, _ = arrays.confidence_of(cohort, table.loc[[row.Index]], None, merge)
        masks = confidence.targets(maps[0] / 255, 0.5)  # (C, H, W)
        for axis, mm in enumerate(arrays.pixel_mm(cohort, row.clip_id)):
            for feature, mask in zip(cohort.features, masks, strict=True):
                lengths = _runs(mask if axis == 0 else mask.T)
                found[feature, ALONG[axis]].append(np.stack([lengths / mask.shape[axis], lengths * mm]))
    rows = []
    for feature in cohort.features:
        runs = {along: np.concatenate(found[feature, along], axis=1) for along in ALONG}
        medians = [(*np.median(values, axis=1), along) for along, values in runs.items() if values.size]
        share, mm, along = min(medians, key=lambda one: one[0], default=(np.nan, np.nan, ""))
        pixels = {f"px_{size}": round(float(share) * size, PLACES) for size in sizes}
        rows.append({"feature": feature, "along": along, "mm": mm, **pixels})
    return pd.DataFrame(rows, columns=["feature", "along", "mm", *(f"px_{size}" for size in sizes)])


def _runs(mask: np.ndarray) -> np.ndarray:
    """Longest vertical run of each column that has one: mask (H, W) -> pixels, (columns,)."""
    run, longest = np.zeros(mask.shape[1], int), np.zeros(mask.shape[1], int)
    for line in mask:
        run = (run + 1) * line
        longest = np.maximum(longest, run)
    return longest[longest > 0]


def too_thin(table: pd.DataFrame) -> str:
    """Which features are under three pixels thick at which working size, and which were judged; a line each.

    table: of `thickness`.
    """
    sizes = [c for c in table if c.startswith("px_")]
    blank = table[sizes].isna().any(axis=1)
    judged, left = (table[rows]["feature"].map(problems.words) for rows in (~blank, blank))
    if judged.empty:
        return "nothing is painted with at least 50 % in this cohort: nothing to judge a working size by"
    lines = [f"judged: {', '.join(judged)}"]
    lines += [f"not judged, as nowhere painted with at least 50 %: {', '.join(left)}"] if len(left) else []
    for size in sizes:
        thin = table[table[size] < TOO_THIN]
        named = [
            f"{problems.words(f)} ({px:.{PLACES}f})"
            for f, px in zip(thin["feature"], thin[size], strict=True)
        ]
        told = f"too small, under {TOO_THIN:g} pixels thick: {', '.join(named)}" if named else "thick enough"
        lines.append(f"{size.removeprefix('px_')} px: {told}")
    return "\n".join(lines)
