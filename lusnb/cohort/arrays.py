"""A cohort's clips, frames, confidence maps and true masks as arrays, read when they are asked for."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image

from lusnb import confidence, files
from lusnb.cohort import true_masks as cohort_true_masks
from lusnb.cohort.cohort import Cohort

ALL = "all"  # the feature of a table's row that is pooled over features
FRAME = ["patient_id", "clip_id", "frame", "feature"]


def clip(cohort: Cohort, clip_id: str) -> np.ndarray:
    """One clip, uint8 (T, H, W), memory-mapped."""
    path = cohort.clips.set_index("clip_id").at[clip_id, "path"]
    return np.load(cohort.folder / path, mmap_mode="r", allow_pickle=False)


def image(cohort: Cohort, path: str) -> np.ndarray:
    """One confidence image, uint8 (H, W)."""
    with Image.open(cohort.folder / path) as file:
        return np.asarray(file)


def pixel_mm(cohort: Cohort, clip_id: str, size: int | None = None) -> tuple[float, float]:
    """Height and width in mm of one pixel, at the clip's own size or resized to size x size.

    Without a width the clip's own pixels are taken as square; without a depth it is not known: NaN.
    """
    row = cohort.clips.set_index("clip_id").loc[clip_id]
    _, height, width = clip(cohort, clip_id).shape
    down = row["depth_cm"] * 10 if pd.notna(row["depth_cm"]) else np.nan
    across = row["width_cm"] * 10 if pd.notna(row["width_cm"]) else down * width / height
    return (down / (size or height), across / (size or width))


def resize(
    image: np.ndarray, size: int | None, how: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """Resize one uint8 image (H, W) to (size, size); bilinear is area-aware when shrinking. None keeps it."""
    if size is None or image.shape == (size, size):
        return np.asarray(image)
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((size, size), how))


def frames_of(cohort: Cohort, table: pd.DataFrame, size: int | None) -> np.ndarray:
    """The frames that a table names (clip_id, frame): uint8 (N, H, W), resized bilinearly."""
    images = (resize(clip(cohort, r.clip_id)[r.frame], size) for r in table.itertuples())
    return files.stack(images, len(table))


def confidence_of(
    cohort: Cohort,
    table: pd.DataFrame,
    size: int | None,
    merge: str = "mean",
    source: str = "labels",
    change: dict | None = None,
    how: Image.Resampling = Image.Resampling.NEAREST,
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence maps of the frames that a table names.

    Returns (uint8 (N, C, H, W), 255 = 100 %; known, bool (N, C)). A feature without a row is unknown: its map
    is zero and `known` is False. Resized by nearest neighbour, since blur is biased by threshold, or as
    `how` says. Several raters become one map by `merge`. `source`: 'labels' or 'truth'. change: (rater,
    feature) -> uint8 (256,), what each level becomes before anything else (`harmonise.mappings`); None
    changes nothing.
    """
    rows = _by_image(getattr(cohort, source), table)
    keys = [[(r.clip_id, r.frame, feature) for feature in cohort.features] for r in table.itertuples()]
    known = np.array([[key in rows for key in frame] for frame in keys], bool)

    def maps(frame: list[tuple]) -> np.ndarray:
        height, width = (size, size) if size else clip(cohort, frame[0][0]).shape[1:]
        out = np.zeros((len(frame), height, width), np.uint8)
        for c, key in enumerate(frame):
            if key in rows:
                raters = np.stack([_changed(cohort, row, change or {}) for row in rows[key]])
                out[c] = resize(confidence.merge(raters, merge), size, how)
        return out

    return files.stack((maps(frame) for frame in keys), len(keys)), known


def _by_image(labels: pd.DataFrame, table: pd.DataFrame) -> dict[tuple, list]:
    """The labels of a table's clips: (clip_id, frame, feature) -> rows, in order. The rest of the labels
    costs nothing, since frames are asked for one by one too."""
    found: dict[tuple, list] = {}
    for row in labels[labels["clip_id"].isin(set(table["clip_id"]))].itertuples():
        found.setdefault((row.clip_id, row.frame, row.feature), []).append(row)
    return found


def _changed(cohort: Cohort, row, change: dict) -> np.ndarray:
    levels, mapping = image(cohort, row.path), change.get((row.rater, row.feature))
    return levels if mapping is None else mapping[levels]


def raters_of(
    cohort: Cohort,
    table: pd.DataFrame,
    size: int | None,
    change: dict | None = None,
    how: Image.Resampling = Image.Resampling.NEAREST,
) -> tuple[np.ndarray, np.ndarray]:
    """Each rater's confidence maps of the frames that a table names, raters in the order of their names.

    Returns (uint8 (N, R, C, H, W); known, bool (N, R, C)), otherwise as `confidence_of`.
    """
    parts = [
        confidence_of(replace(cohort, labels=own), table, size, change=change, how=how)
        for _, own in cohort.labels.groupby("rater", sort=True)
    ]
    maps, known = zip(*parts, strict=True)
    whole = files.room((len(table), len(maps), *maps[0].shape[1:]))
    return np.stack(maps, axis=1, out=whole), np.stack(known, axis=1)


def segment_centres(length: int, count: int) -> np.ndarray:
    """Frame numbers at the centres of `count` equal segments of a clip; a short clip repeats frames."""
    return np.minimum(((np.arange(count) + 0.5) * length / count).astype(int), length - 1)


def task_frames(cohort: Cohort, size: int, count: int) -> np.ndarray:
    """The tasks' frames of every clip, in table order: uint8 (clips, count, size, size)."""
    out = files.room((len(cohort.clips), count, size, size))
    for n, clip_id in enumerate(cohort.clips["clip_id"]):
        frames = clip(cohort, clip_id)
        for k, t in enumerate(segment_centres(len(frames), count)):
            out[n, k] = resize(frames[t], size)
    return out


def true_masks(cohort: Cohort, size: int, count: int) -> np.ndarray:
    """The true masks of the tasks' frames of every clip, in table order: 0/1 (clips, count, C, size, size).

    uint8, features in the cohort's order. Averaged over areas down to size, then cut at one half, as a
    segmenter's are (`segmenter.segment_clips`). Raises ValueError where a clip's are not there.
    """
    paths = dict(zip(cohort.masks["clip_id"], cohort.masks["path"], strict=True))
    without = [clip_id for clip_id in cohort.clips["clip_id"] if clip_id not in paths]
    if without:
        told = f"none of {len(without)} clips, {without[0]} the first" if paths else "none"
        raise ValueError(
            f"{cohort.folder / 'masks.csv'}: expected the true masks of every clip, got {told}; "
            "only a phantom has them: make one, or go without them."
        )
    cohort_true_masks.check_count(len(cohort.features))
    out = files.room((len(cohort.clips), count, len(cohort.features), size, size))
    for n, clip_id in enumerate(cohort.clips["clip_id"]):
        frames = segment_centres(len(clip(cohort, clip_id)), count)
        pages = cohort_true_masks.read(cohort.folder / paths[clip_id], frames)
        out[n] = cohort_true_masks.shrink(cohort_true_masks.unpack(pages, len(cohort.features)), size)
    return out


def looked(cohort: Cohort, patients: list[str] | None = None, feature: str | None = None) -> Iterator[tuple]:
    """Each labelled frame and feature: (patient, clip, frame, feature), its raters, their maps (R, H, W)."""
    patient_of = cohort.clips.set_index("clip_id")["patient_id"]
    labels = cohort.labels[cohort.labels["feature"] == feature] if feature else cohort.labels
    labels = labels.sort_values("rater", kind="stable")
    for (clip_id, frame, name), rows in labels.groupby(["clip_id", "frame", "feature"]):
        patient = patient_of[clip_id]
        if patients is None or patient in patients:
            maps = np.stack([image(cohort, path) for path in rows["path"]])
            yield (patient, clip_id, int(frame), name), list(rows["rater"]), maps


def ordered(cohort: Cohort, table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Rows in the cohort's order of features, then by the other columns."""
    place = {feature: k for k, feature in enumerate(cohort.features)}
    return table.sort_values(by, key=lambda c: c.map(place) if c.name == "feature" else c, ignore_index=True)
