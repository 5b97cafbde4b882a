"""Open, check and split a cohort; its frames and confidence maps as arrays."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lusnb import bitmasks, checks, confidence, contents, files, relations, splits

META = {"name": str, "features": list, "views": (dict, list), "sf_max": (int, float)}
FOLDS = 5  # to make where nobody asks for another number


@dataclass(frozen=True)
class Cohort:
    """A checked cohort: its tables in memory, its clips and confidence images on disk.

    `views` maps each view to its zone. `exams.sf_ratio` is filled in; `clips` carries `sf_ratio` of its day,
    divided by `sf_max`. `patients` has a split and an outer_fold for everyone, and a fold for all but the
    test patients. `masks` names the file of each clip's true masks (`true_masks`); empty unless a phantom.
    `warnings` is what looks odd but stops nothing: file, row, expected, arrived, remedy.
    """

    folder: Path
    name: str
    features: tuple[str, ...]
    views: dict
    sf_max: float
    patients: pd.DataFrame
    exams: pd.DataFrame
    clips: pd.DataFrame
    labels: pd.DataFrame
    truth: pd.DataFrame
    masks: pd.DataFrame
    meta: dict
    warnings: pd.DataFrame

    @property
    def origin(self) -> str:
        """What its clips are, for headings: 'phantom' or 'imported'."""
        made_by = (self.meta.get("provenance") or {}).get("made_by")
        return "phantom" if made_by == "lusnb.phantom" else "imported"

    def patients_in(self, split: str) -> list[str]:
        """Patient ids of one split, in table order."""
        return list(self.patients.loc[self.patients["split"] == split, "patient_id"])

    def lacks(self, task: str) -> list[str]:
        """What this cohort misses for a task, one sentence each; [] when the task can be done."""
        missing = []
        if not self.views:
            missing.append("the cohort names no views")
        if task != "readmission" and self.clips["sf_ratio"].isna().all():
            missing.append("no clip has an S/F ratio (exams.csv is absent or empty)")
        if task == "readmission" and self.patients["readmitted_30d"].isna().all():
            missing.append("no patient has a value of readmitted_30d")
        if task == "readmission" and self.clips["day"].dropna().nunique() < 2:
            missing.append("no clips of two days")
        if task == "readmission" and self.lacks("sf_change"):
            missing.append("its networks start from those of S/F change, which cannot be trained here")
        return missing


def summary(cohort: Cohort) -> pd.DataFrame:
    """Counts per split: patients, clips, labelled frames, readmitted patients, days with S/F."""
    split_of = cohort.patients.set_index("patient_id")["split"]
    frames, with_sf = labelled_frames(cohort), cohort.exams[cohort.exams["sf_ratio"].notna()]
    counts = {
        "patients": cohort.patients["split"].value_counts(),
        "clips": cohort.clips["patient_id"].map(split_of).value_counts(),
        "labelled frames": frames["patient_id"].map(split_of).value_counts(),
        "readmitted": cohort.patients.groupby("split")["readmitted_30d"].sum(),
        "days with S/F": with_sf["patient_id"].map(split_of).value_counts(),
    }
    table = pd.DataFrame(counts).reindex(checks.SPLITS).fillna(0).astype(int)
    table.loc["all"] = table.sum()
    return table.rename_axis("split")


def _read_meta(folder: Path) -> tuple[dict, list[dict]]:
    path = folder / "cohort.yaml"
    if not path.is_file():
        return {}, [
            checks.problem(
                path, None, "a cohort folder with a cohort.yaml", "no such file", "make the cohort first."
            )
        ]
    try:
        content = checks.read_yaml(path)
    except checks.Unfit as error:
        return {}, [contents.as_problem(path, None, error)]
    if not isinstance(content, dict):
        return {}, [checks.problem(path, None, "`key: value` lines", checks.short(content), "see README.")]
    meta = {"sf_max": 477, **content, "views": content.get("views") or {}}
    bad = [key for key, kind in META.items() if not isinstance(meta.get(key), kind)]
    wrong = [
        checks.problem(
            path, None, f"`{key}` as {META[key]}", checks.short(meta.pop(key, None)), "correct it."
        )
        for key in bad
    ]
    names = [str(feature) for feature in meta.get("features", [])]  # YAML reads some names as numbers
    if "features" not in bad and len(set(names)) < max(1, len(names)):
        told = checks.short(meta["features"])
        wrong.append(checks.problem(path, None, "distinct features", told, "correct the list."))
        names = []
    return meta | {"features": names, "views": _zones(meta.get("views", {}))}, wrong


def _zones(views: dict | list) -> dict[str, object]:
    """View -> zone. In a plain list R1 and L1 are of zone 1, and any other view is a zone of its own."""
    if isinstance(views, dict):
        return {str(view): zone for view, zone in views.items()}
    names = [str(view) for view in views]
    return {name: int(name[1]) if re.fullmatch("[RL][1-3]", name) else name for name in names}


def read(folder: str | Path, folds: int | None = None, look: bool = True) -> Cohort:
    """Open a cohort folder and check all of it.

    `folds`: how many folds to make where the fold column is blank; patients.csv may name no other. None: 5,
    and it may name as many as there are patients. `look`: whether to open every clip and
    image too; only for a cohort whose files were checked before is it False. Raises checks.CohortError with
    every problem found; nothing is written.
    """
    folder = Path(folder)
    meta, found = _read_meta(folder)
    if found and not any((folder / f"{name}.csv").is_file() for name in checks.TABLES):
        raise checks.CohortError(found)
    tables = {}
    for name, table in checks.TABLES.items():
        tables[name], new = checks.read_table(folder / f"{name}.csv", table)
        found += new
    patients = tables["patients"]
    found += relations.check_links(folder, meta, tables, found)
    found += relations.check_names(folder, tables)
    found += relations.check_patients(folder, patients, folds or max(FOLDS, len(patients)))
    found += relations.check_exams(folder, tables["exams"], meta.get("sf_max", np.inf))
    found += contents.check_files(folder, tables, len(meta.get("features", []))) if look else []
    wrong, odd = checks.sorted_out(found)
    if wrong:
        raise checks.CohortError(wrong)
    tables = {name: rows.reset_index(drop=True) for name, rows in tables.items()}
    tables["patients"] = splits.split(tables["patients"], folds or FOLDS, seed=int(meta.get("split_seed", 0)))
    tables["exams"] = _with_sf(tables["exams"])
    tables["clips"] = _with_target(tables["clips"], tables["exams"], meta["sf_max"])
    kept = {key: meta[key] for key in ("name", "views")} | {"sf_max": float(meta["sf_max"])}
    return Cohort(
        folder=folder,
        features=tuple(meta["features"]),
        meta=meta,
        warnings=checks.as_table(odd),
        **kept,
        **tables,
    )


def _with_sf(exams: pd.DataFrame) -> pd.DataFrame:
    return exams.assign(sf_ratio=exams["sf_ratio"].fillna(exams["spo2"] / exams["fio2"]).astype(float))


def _with_target(clips: pd.DataFrame, exams: pd.DataFrame, sf_max: float) -> pd.DataFrame:
    target = exams.set_index(["patient_id", "day"])["sf_ratio"].astype(float) / sf_max
    keys = zip(clips["patient_id"], clips["day"], strict=True)
    return clips.assign(sf_ratio=[target.get(k, np.nan) if pd.notna(k[1]) else np.nan for k in keys])


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


def labelled_frames(cohort: Cohort) -> pd.DataFrame:
    """The frames that carry a label, in clip order: clip_id, frame, patient_id, view, day."""
    frames = cohort.labels[["clip_id", "frame"]].drop_duplicates()
    table = cohort.clips[["clip_id", "patient_id", "view", "day"]].merge(frames, on="clip_id")
    return table.sort_values(["clip_id", "frame"], ignore_index=True)


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
    feature) -> uint8 (256,), what each level becomes before anything else (`agreement.mappings`); None
    changes nothing.
    """
    rows = {key: group for key, group in getattr(cohort, source).groupby(["clip_id", "frame", "feature"])}
    keys = [[(r.clip_id, r.frame, feature) for feature in cohort.features] for r in table.itertuples()]
    known = np.array([[key in rows for key in frame] for frame in keys], bool)

    def maps(frame: list[tuple]) -> np.ndarray:
        height, width = (size, size) if size else clip(cohort, frame[0][0]).shape[1:]
        out = np.zeros((len(frame), height, width), np.uint8)
        for c, key in enumerate(frame):
            if key in rows:
                raters = np.stack([_changed(cohort, row, change or {}) for row in rows[key].itertuples()])
                out[c] = resize(confidence.merge(raters, merge), size, how)
        return out

    return files.stack((maps(frame) for frame in keys), len(keys)), known


def _changed(cohort: Cohort, row: tuple, change: dict) -> np.ndarray:
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
    segmenter's are (`segmentation.segment_clips`). Raises ValueError where a clip's are not there.
    """
    paths = dict(zip(cohort.masks["clip_id"], cohort.masks["path"], strict=True))
    without = [clip_id for clip_id in cohort.clips["clip_id"] if clip_id not in paths]
    if without:
        told = f"none of {len(without)} clips, {without[0]} the first" if paths else "none"
        raise ValueError(
            f"{cohort.folder / 'masks.csv'}: expected the true masks of every clip, got {told}; "
            "only a phantom has them: make one, or go without them."
        )
    bitmasks.check_count(len(cohort.features))
    out = files.room((len(cohort.clips), count, len(cohort.features), size, size))
    for n, clip_id in enumerate(cohort.clips["clip_id"]):
        frames = segment_centres(len(clip(cohort, clip_id)), count)
        pages = bitmasks.read(cohort.folder / paths[clip_id], frames)
        out[n] = bitmasks.shrink(bitmasks.unpack(pages, len(cohort.features)), size)
    return out
