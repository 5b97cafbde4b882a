"""Copy clips and labels into a cohort that is being made, one frame at a time, and collect what is wrong."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import contents, files
from lusnb.checks import Unfit
from lusnb.readers import clips as clip_files
from lusnb.readers import identity, labels
from lusnb.readers.grey import Crop, cropped, parse_crop
from lusnb.readers.sheets import Sheets

DARK = 32  # of 255: a 16-bit clip that never exceeds this was probably recorded with fewer bits


@dataclass
class Import:
    """One import as it goes: where from and where to, what was found, what was learnt of each clip."""

    source: Path
    folder: Path
    found: list[dict]
    clips: dict[str, dict] = field(default_factory=dict)  # clip_id -> a row of the cohort's clips.csv
    crops: dict[str, tuple[tuple, Crop | None]] = field(default_factory=dict)  # -> stored shape, crop
    blank: dict[str, set[int]] = field(default_factory=dict)  # -> labelled frames without an image
    tags: dict[str, dict] = field(default_factory=dict)  # -> technical tags
    labels: dict[tuple, str] = field(default_factory=dict)  # clip_id, frame, rater, feature -> path
    same: dict[str, list[str]] = field(default_factory=dict)  # digest of the pixels -> clip_ids
    owners: dict[str, dict[str, int]] = field(default_factory=dict)  # who was scanned -> patient_id -> row

    def note(self, table: Path, row: int | None, error: Unfit, warning: bool = False) -> None:
        """Remember a problem."""
        self.found.append(contents.as_problem(table, row, error, warning))


def copy_clips(work: Import, read: Sheets, names: dict[str, str]) -> None:
    """Read every clip into the cohort; then compare who the files say was scanned."""
    table = read.folder / "clips.csv"
    places = identity.slugs(list(names.values()))
    for i, row in enumerate(read.clips.itertuples()):
        labelled = set(read.labels.loc[read.labels["clip_id"] == row.clip_id, "frame"])
        try:
            _copy_clip(work, row, i, f"clips/{places[names[row.clip_id]]}.npy", labelled, table)
        except Unfit as error:
            work.note(table, i + 1, error)
    patient_of = read.clips.set_index("clip_id")["patient_id"]
    for ids in work.same.values():
        if len(ids) > 1:
            across = len(set(patient_of[ids])) > 1
            expected = "each recording once" + (", of one patient" if across else "")
            remedy = (
                "correct the path: a patient's clips must stay in one split." if across else "is it meant?"
            )
            rows = [int(np.flatnonzero(read.clips["clip_id"] == one)[0]) + 1 for one in ids]
            arrived = f"the same pixels as in row {rows[0]}"
            work.note(table, rows[-1], Unfit(expected, arrived, remedy), warning=not across)
    for rows in (list(people.values()) for people in work.owners.values() if len(people) > 1):
        arrived = f"the person of row {rows[0]} under another"
        error = Unfit("each person under one patient_id", arrived, "correct patient_id.")
        work.note(table, rows[1], error)


def _copy_clip(work: Import, row, i: int, place: str, labelled: set[int], table: Path) -> None:
    """Read one clip into the cohort, and remember what is known of it. Raises Unfit."""
    where = "the folder of files"
    path = contents.find(work.source, row.path, "a clip file", where, "copy the file into the folder.")
    clip = clip_files.open_clip(path)
    crop = _crop_of(work, row, i, clip, table)
    white = int(row.white) if pd.notna(row.white) else None
    digest, brightest, blank = hashlib.sha256(), [0], set()

    def look(t: int, frame: np.ndarray) -> None:
        digest.update(frame.tobytes())
        brightest[0] = max(brightest[0], int(frame.max()))
        if t in labelled and frame.min() == frame.max():
            blank.add(t)

    shape = clip_files.write_npy(clip_files.stream(clip, crop, white), work.folder / place, look)
    if clip.white > 255 and white is None and brightest[0] < DARK:
        remedy = "was it recorded with fewer bits? Give the value of white (4095 for 12 bits) as `white`."
        odd = Unfit("a clip that is not all dark", f"{row.path}, at most {brightest[0]} of 255", remedy)
        work.note(table, i + 1, odd, warning=True)
    work.blank[row.clip_id] = blank
    work.crops[row.clip_id] = ((shape[0], clip.height, clip.width), crop)
    work.tags[row.clip_id] = clip.tags
    work.same.setdefault(digest.hexdigest(), []).append(row.clip_id)
    if clip.owner:
        work.owners.setdefault(clip.owner, {}).setdefault(row.patient_id, i + 1)
    cm = (clip.cm[0] * shape[1], clip.cm[1] * shape[2]) if clip.cm else (np.nan, np.nan)
    known = {"depth_cm": cm[0], "fps": clip.fps, "width_cm": cm[1]}
    given = {name: getattr(row, name) for name in known if pd.notna(getattr(row, name))}
    work.clips[row.clip_id] = {"path": place, **known, **given}


def _crop_of(work: Import, row, i: int, clip: clip_files.Clip, table: Path) -> Crop | None:
    """The rectangle to keep of a clip. Raises Unfit where its text would come along."""
    if pd.notna(row.crop):
        if row.crop != "region":
            return parse_crop(row.crop)
        if clip.region is None:
            remedy = "write left, top, width and height."
            raise Unfit("a file that declares its ultrasound region", row.path, remedy)
        return clip.region
    if clip.burned_in:
        remedy = "give the rectangle of the image as `crop`: left, top, width, height, or `region`."
        raise Unfit("a crop, since the file declares burned-in text", f"no crop of {row.path}", remedy)
    if "PhotometricInterpretation" in clip.tags and clip.burned_in is None:  # a DICOM file
        remedy = "look at it, and give a `crop` where there is any."
        odd = Unfit("a file that says whether text is burned in", f"nothing in {row.path}", remedy)
        work.note(table, i + 1, odd, warning=True)
    return None


def copy_labels(work: Import, read: Sheets, names: dict[str, str]) -> None:
    """Read every label into the cohort; a rater's readings of one frame and feature are averaged."""
    table = read.folder / "labels.csv"
    rows = read.labels.assign(row=np.arange(len(read.labels)) + 1)
    rows = rows[rows["clip_id"].isin(work.clips)]
    raters, features = (identity.slugs(list(rows[c])) for c in ("rater", "feature"))
    clips = identity.slugs(list(names.values()))
    empty = {}
    for key, group in rows.groupby(["clip_id", "frame", "rater", "feature"], sort=False):
        clip_id, frame, rater, feature = key
        place = f"labels/{clips[names[clip_id]]}_{frame}_{raters[rater]}_{features[feature]}.png"
        readings = []
        for row in group.itertuples():
            try:
                readings.append(_label(work, row))
                doubt = contents.check_paint(readings[-1], row.path)
                if doubt:
                    work.note(table, row.row, doubt, warning=True)
                if pd.notna(row.foreground) or row.path.endswith(".json"):
                    empty.setdefault(feature, []).append((row.row, not readings[-1].any()))
            except Unfit as error:
                work.note(table, row.row, error)
        if readings:
            mean = np.ceil(np.mean(readings, axis=0))  # what anyone painted stays above 0
            files.write_png(work.folder / place, mean.astype(np.uint8))
            work.labels[key] = place
    for feature, masks in empty.items():
        if all(none for _, none in masks):
            remedy = "correct `foreground` or `layer`."
            arrived = f"nothing of that value or name in {len(masks)} of {len(masks)}"
            error = Unfit(f"{feature} in at least one of its labels", arrived, remedy)
            work.note(table, masks[0][0], error)


def _label(work: Import, row) -> np.ndarray:
    """One label at the size of the cropped clip, uint8 (H, W). Raises Unfit."""
    where = "the folder of files"
    path = contents.find(work.source, row.path, "a label file", where, "copy the file into the folder.")
    (length, height, width), crop = work.crops[row.clip_id]
    layer = row.layer if pd.notna(row.layer) else row.feature
    foreground = int(row.foreground) if pd.notna(row.foreground) else None
    if row.frame >= length:
        remedy = "correct the frame number."
        raise Unfit(f"a frame from 0 to {length - 1}", f"frame {row.frame}", remedy)
    if row.frame in work.blank[row.clip_id]:
        remedy = "label another frame, or correct the frame's number."
        raise Unfit("a labelled frame with an image", f"frame {row.frame}, one grey all over", remedy)
    image = labels.read(path, (height, width), frame=row.frame, layer=layer, foreground=foreground)
    if foreground == 0 and (image == 255).mean() > contents.MOST:
        arrived = f"{row.path}, {(image == 255).mean():.0%} of it 0"
        remedy = "is 0 the background? Give the structure's own value as `foreground`."
        raise Unfit("a structure smaller than its background", arrived, remedy)
    if image.shape == (height, width):
        return cropped(image, crop)
    if crop is not None and image.shape == crop[:1:-1]:
        return image
    contents.check_size(image.shape, (length, height, width), row.path, row.frame)
    return image
