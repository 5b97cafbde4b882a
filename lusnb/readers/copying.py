"""Copy clips and labels into a cohort that is being made, one frame at a time, and collect what is wrong."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lusnb import files
from lusnb.cohort import contents, problems, schema
from lusnb.cohort.problems import Unfit
from lusnb.readers import clip as readers_clip
from lusnb.readers import clips as clip_files
from lusnb.readers import identity, label_doubts, labels
from lusnb.readers.grey import Crop, cropped, parse_crop
from lusnb.readers.sheets import Sheets

LOST = 0.5  # share of a label's paint; beyond it a crop probably cuts off what it should keep
DARK = 32  # of 255: a 16-bit clip that never exceeds this was probably recorded with fewer bits


@dataclass
class Import:
    """One import as it goes: where from and where to, what was found, what was learnt of each clip."""

    source: Path
    folder: Path
    found: list[dict]
    clips: dict[str, dict] = field(default_factory=dict)  # clip_id -> a row of the cohort's clips.csv
    crops: dict[str, tuple[tuple, Crop | None]] = field(default_factory=dict)  # -> stored shape, crop
    blank: dict[str, dict[int, Unfit]] = field(default_factory=dict)  # -> labelled frames without an image
    tags: dict[str, dict] = field(default_factory=dict)  # -> technical tags
    labels: dict[tuple, dict] = field(
        default_factory=dict
    )  # key -> the rest of a row of the cohort's labels.csv
    same: dict[str, dict[int, str]] = field(default_factory=dict)  # digest of the pixels -> row -> patient_id
    owners: dict[str, dict[str, int]] = field(default_factory=dict)  # who was scanned -> patient_id -> row

    def note(self, table: Path, row: int | None, error: Unfit, warning: bool = False) -> None:
        """Remember a problem."""
        self.found.append(problems.as_problem(table, row, error, warning))


def copy_clips(work: Import, read: Sheets, names: dict[str, str]) -> None:
    """Read every clip into the cohort; then compare who the files say was scanned."""
    table = read.folder / "clips.csv"
    places = identity.slugs(list(names.values()))
    for row in read.clips[read.clips["path"] != ""].itertuples():
        labelled = set(read.labels.loc[read.labels["clip_id"] == row.clip_id, "frame"].dropna())
        try:
            _copy_clip(work, row, f"clips/{places[names[row.clip_id]]}.npy", labelled, table)
        except Unfit as error:
            work.note(table, row.row, error)
    for patients in work.same.values():
        (first, patient), *others = patients.items()
        for row, other in others:
            across = other != patient and "" not in (other, patient)
            expected = "each recording once" + (", of one patient" if across else "")
            remedy = (
                "correct the path: a patient's clips must stay in one split." if across else "is it meant?"
            )
            arrived = f"the same pixels as in row {first}"
            work.note(table, row, Unfit(expected, arrived, remedy), warning=not across)
    for first, *again in (people.values() for people in work.owners.values()):
        for row in again:
            arrived = f"the person of row {first} under another"
            odd = Unfit("each person under one patient_id", arrived, "correct patient_id.")
            work.note(table, row, odd)


def _copy_clip(work: Import, row, place: str, labelled: set[int], table: Path) -> None:
    """Read one clip into the cohort, and remember what is known of it. Raises Unfit.

    Of a clip that has no name of its own, the file alone is looked at.
    """
    where = "the folder of files"
    path = contents.find(work.source, row.path, "a clip file", where, "copy the file into the folder.")
    clip = clip_files.open_clip(path)
    crop = _crop_of(work, row, clip, table)
    white = int(row.white) if pd.notna(row.white) else None
    digest, brightest, blank = hashlib.sha256(), [0], {}

    def look(t: int, frame: np.ndarray) -> None:
        digest.update(frame.tobytes())
        brightest[0] = max(brightest[0], int(frame.max()))
        if t in labelled:
            try:
                contents.check_frame(frame, t)
            except Unfit as error:
                blank[t] = error

    shape = clip_files.write_npy(clip_files.stream(clip, crop, white), work.folder / place, look)
    if clip.white > 255 and white is None and brightest[0] < DARK:
        remedy = "was it recorded with fewer bits? Give the value of white (4095 for 12 bits) as `white`."
        odd = Unfit("a clip that is not all dark", f"{row.path}, at most {brightest[0]} of 255", remedy)
        work.note(table, row.row, odd, warning=True)
    if not row.clip_id or row.clip_id in work.clips:
        return
    work.blank[row.clip_id] = blank
    work.crops[row.clip_id] = ((shape[0], clip.height, clip.width), crop)
    work.tags[row.clip_id] = clip.tags
    work.same.setdefault(digest.hexdigest(), {})[row.row] = row.patient_id
    if clip.owner and row.patient_id:
        work.owners.setdefault(clip.owner, {}).setdefault(row.patient_id, row.row)
    cm = (clip.cm[0] * shape[1], clip.cm[1] * shape[2]) if clip.cm else (np.nan, np.nan)
    known = {"depth_cm": cm[0], "fps": clip.fps, "width_cm": cm[1]}
    given = {name: getattr(row, name) for name in known if pd.notna(getattr(row, name))}
    work.clips[row.clip_id] = {"path": place, **known, **given}


def _crop_of(work: Import, row, clip: readers_clip.Clip, table: Path) -> Crop | None:
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
        work.note(table, row.row, odd, warning=True)
    return None


def copy_labels(work: Import, read: Sheets, names: dict[str, str]) -> None:
    """Read every label into the cohort; a rater's readings of one frame and feature are averaged."""
    table, rows = read.folder / "labels.csv", read.labels
    raters, features = (identity.slugs(list(rows[c])) for c in ("rater", "feature"))
    clips, seen, used = identity.slugs(list(names.values())), label_doubts.Seen(), set()
    named = schema.TABLES["labels"]
    for key, group in rows.groupby(named.key, sort=False, dropna=False):
        readings = []
        for row in group[group["path"] != ""].itertuples():
            image = _noted(work, row, table, seen)
            readings += [] if image is None else [image]
        if readings:
            clip_id, frame, rater, feature = key
            stem = f"{clips[names[clip_id]]}_{frame}_{raters[rater]}_{features[feature]}"
            while stem.lower() in used:  # x and sub_a_line, x_sub and a_line
                stem += "-"
            used.add(stem.lower())
            place = f"labels/{stem}.png"
            mean = np.ceil(np.mean(readings, axis=0))  # what anyone painted stays above 0
            files.write_png(work.folder / place, mean.astype(np.uint8))
            work.labels[key] = {"path": place, **{name: _shared(group[name]) for name in named.details}}
    lengths = {clip_id: shape[0] for clip_id, (shape, _) in work.crops.items()}
    for row, error, warning in label_doubts.together(seen, work.source, lengths):
        work.note(table, row, error, warning)


def _shared(cells: pd.Series) -> object:
    """What all readings of a label say in a column; blank where they differ."""
    return cells.iloc[0] if cells.nunique(dropna=False) == 1 else None


def _noted(work: Import, row, table: Path, seen: label_doubts.Seen) -> np.ndarray | None:
    """One label at the size of the cropped clip, uint8 (H, W); None where it cannot be used.

    All that is wrong with it is noted: with its frame, and with its file even where clip or frame are not
    known.
    """
    wrong = _wrong_frame(work, row)
    if wrong:
        work.note(table, row.row, wrong)
    whole = row.clip_id in work.crops and pd.notna(row.frame) and not (wrong or row.unsure)
    image = None
    try:
        image = _label(work, row)
        doubt = None if image is None or row.unsure else contents.check_paint(image, row.path)
        if doubt:
            work.note(table, row.row, doubt, warning=True)
    except Unfit as error:
        work.note(table, row.row, error)
        image = None
    seen.add(row, image if whole else None)
    if image is None or not whole:
        return None
    return _kept(work, row, image, table)


def _wrong_frame(work: Import, row) -> Unfit | None:
    """What is wrong with the frame that a label names."""
    if row.clip_id not in work.crops or pd.isna(row.frame):
        return None
    length = work.crops[row.clip_id][0][0]
    if row.frame >= length:
        remedy = "correct the frame number."
        return Unfit(f"a frame from 0 to {length - 1}", f"frame {row.frame}", remedy)
    return work.blank[row.clip_id].get(row.frame)


def _label(work: Import, row) -> np.ndarray | None:
    """The image of one label, uint8 (H, W); None where it cannot be had without its clip. Raises Unfit."""
    where = "the folder of files"
    path = contents.find(work.source, row.path, "a label file", where, "copy the file into the folder.")
    foreground = int(row.foreground) if pd.notna(row.foreground) else None
    how: dict[str, Any] = {"layer": label_doubts.layer_of(row), "foreground": 1 if row.unsure else foreground}
    if row.clip_id not in work.crops:
        if label_doubts.is_polygons(row.path):
            labels.polygon_frames(path)
        return labels.read(path, (1, 1), **how) if row.path.lower().endswith(labels.IMAGES) else None
    (length, height, width), crop = work.crops[row.clip_id]
    frame = int(row.frame) if pd.notna(row.frame) and row.frame < length else 0
    image = labels.read(path, (height, width), frame=frame, **how)
    if foreground == 0 and (image == 255).mean() > contents.MOST:
        arrived = f"{row.path}, {(image == 255).mean():.0%} of it 0"
        remedy = "is 0 the background? Give the structure's own value as `foreground`."
        raise Unfit("a structure smaller than its background", arrived, remedy)
    if crop is None or image.shape != crop[:1:-1]:
        contents.check_size(image.shape, (length, height, width), row.path, frame)
    return image


def _kept(work: Import, row, image: np.ndarray, table: Path) -> np.ndarray:
    """What the clip's crop keeps of a label that was drawn on the whole frame."""
    shape, crop = work.crops[row.clip_id]
    if crop is None or image.shape != shape[1:]:
        return image
    kept = cropped(image, crop)
    painted = np.count_nonzero(image)
    lost = painted - np.count_nonzero(kept)
    if lost > LOST * painted:
        arrived = f"{row.path}, of whose painted pixels {100 * lost // painted} % lie outside"
        odd = Unfit("a label inside the clip's crop", arrived, "correct `crop`, or is it the right label?")
        work.note(table, row.row, odd, warning=True)
    return kept
