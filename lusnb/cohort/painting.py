"""What a rater paints on a frame, and how it is kept in the cohort: whole or not at all, nothing ever lost.

    annotations.csv                    what was painted here, as distinct from labels that came from elsewhere
    labels/painted/<rater>/<clip>_f<frame>/<feature>.<n>.png    each save of a feature, n = 1, 2, ...

A save writes new images, never over one that is there, and then lets labels.csv name them: the renaming of
that one table is the moment at which all of it counts. So every earlier save is still there, and one that is
broken off changes nothing. Tables are read again under a lock, as others may paint in the same cohort.
"""

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import files
from lusnb.cohort import arrays, contents, problems, schema, tables
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.fingerprint import ANNOTATIONS

KEY = schema.OTHERS["annotations"].key
PLACE = "labels/painted"
LONGEST = 60  # letters of a rater's name
LONGEST_SLUG = 120  # bytes of a name as part of a path; longer ones end in a fingerprint
LOCK = ".painting.lock"  # hidden: no part of the cohort
EMPTY = "empty"


class PaintingError(ValueError):
    """A painting that cannot be made or kept: what was expected, what arrived, what to do."""


@dataclass
class Painting:
    """One rater's labels of one frame.

    maps: uint8 (C, H, W), 255 = 100 %, features in the cohort's order. looked: bool (C,), False for a feature
    that the rater did not look at, whose map is zero. seconds: time spent. started_from: `empty`, or whose
    map it was at first.
    """

    clip_id: str
    frame: int
    rater: str
    maps: np.ndarray
    looked: np.ndarray
    seconds: float = 0.0
    started_from: str = EMPTY
    known: dict[str, str] | None = None  # feature -> path, as labels.csv had them when this was read or saved


def painted(cohort: Cohort) -> pd.DataFrame:
    """What was painted in a cohort, as the disk has it now; frame and saves are whole numbers."""
    table = _read(cohort.folder / ANNOTATIONS, schema.columns("annotations"))
    return table.astype({"frame": int, "saves": int, "seconds": float}).rename_axis(columns=None)


def labels_now(cohort: Cohort) -> pd.DataFrame:
    """labels.csv as the disk has it now; frame is a whole number, all else is text.

    `cohort.labels` is as it was when the cohort was opened; since then others may have painted.
    """
    labels = _labels(cohort)
    return labels.assign(frame=pd.to_numeric(labels["frame"]).astype(int)).rename_axis(columns=None)


def kept(cohort: Cohort, rater: str) -> set[tuple[str, int]]:
    """The frames, (clip_id, frame), of which labels.csv has something by a rater now."""
    labels = labels_now(cohort)
    own = labels[labels["rater"] == rater]
    return set(zip(own["clip_id"], own["frame"], strict=True))


def claim(cohort: Cohort, rater: str) -> str:
    """The name under which a rater may paint here: `rater` without needless spaces.

    Raises PaintingError for a name that is blank, too long or not printable, that differs from a known
    rater's by case or spaces alone, or whose labels here were not painted here: those stay as they are. It
    raises it too where nobody may write in the cohort, so that nothing is painted that cannot be saved.
    """
    name = " ".join(rater.split())
    if not name or len(name) > LONGEST or not name.isprintable() or not re.search(r"\w", name):
        raise PaintingError(
            f"rater: expected a name of 1 to {LONGEST} letters, got {problems.short(rater)}; give your name."
        )
    labels = _labels(cohort)
    taken = {*_not_painted(cohort, labels)["rater"], *cohort.truth["rater"]}
    known = taken | {*labels["rater"], *painted(cohort)["rater"]}
    another = "choose another name, and start from that rater's map."
    for other in sorted(known - {name}):
        if tables.plain(other) == tables.plain(name):
            remedy = (
                f"{other!r} did not paint here: {another}" if other in taken else f"write it as {other!r}."
            )
            raise PaintingError(f"rater: {name!r} and {other!r} differ by case or spaces alone; {remedy}")
    if name in taken:
        raise PaintingError(
            f"rater: {name!r} has labels in {cohort.folder.name} that were not painted here, and they stay "
            f"as they are; {another}"
        )
    _check_writable(cohort)
    return name


def _check_writable(cohort: Cohort) -> None:
    try:
        with _alone(cohort.folder), tempfile.TemporaryFile(dir=cohort.folder):
            pass
    except OSError as error:
        raise PaintingError(
            f"{cohort.folder.name}: expected a cohort that can be written to, as every save goes there, got "
            f"{error.strerror or error}; copy the cohort, or ask for the right to write."
        ) from error


def _not_painted(cohort: Cohort, labels: pd.DataFrame) -> pd.DataFrame:
    mine = painted(cohort)[KEY].astype(str).drop_duplicates()
    joined = labels.merge(mine, on=KEY, how="left", indicator=True)
    return joined[joined["_merge"] == "left_only"]


def read(cohort: Cohort, clip_id: str, frame: int, rater: str) -> Painting:
    """A rater's labels of a frame as the disk has them now; empty where there are none.

    Raises PaintingError for a clip or frame that the cohort does not have.
    """
    shape = _shape(cohort, clip_id, frame)
    maps = np.zeros((len(cohort.features), *shape), np.uint8)
    looked = np.zeros(len(cohort.features), bool)
    rows = _rows_of(_labels(cohort), clip_id, frame, rater)
    known = _paths(rows)
    for feature, path in known.items():
        at = cohort.features.index(feature)
        maps[at], looked[at] = arrays.image(cohort, path), True
    table = painted(cohort)
    own = table[(table["clip_id"] == clip_id) & (table["frame"] == frame) & (table["rater"] == rater)]
    seconds, start = (0.0, EMPTY) if own.empty else own.iloc[0][["seconds", "started_from"]]
    return Painting(clip_id, frame, rater, maps, looked, float(seconds), str(start), known)


def _shape(cohort: Cohort, clip_id: str, frame: int) -> tuple[int, int]:
    """Height and width of a frame of the cohort."""
    if clip_id not in set(cohort.clips["clip_id"]):
        raise PaintingError(
            f"{cohort.folder.name}: expected a clip of the cohort, got {problems.short(clip_id)}; "
            "see clips.csv."
        )
    count, *shape = arrays.clip(cohort, clip_id).shape
    if not 0 <= frame < count:
        raise PaintingError(
            f"clip {clip_id}: expected a frame from 0 to {count - 1}, got {frame}; choose another."
        )
    return tuple(shape)


def odd(cohort: Cohort, clip_id: str, frame: int) -> str:
    """One sentence on a frame that cannot be labelled, as it shows nothing; "" for any other."""
    try:
        contents.check_frame(arrays.clip(cohort, clip_id)[frame], frame)
    except problems.Unfit as error:
        return f"What is painted here cannot be saved: {error}"
    return ""


def save(cohort: Cohort, painting: Painting) -> str:
    """Keep a painting in its cohort; returns the time of day, "14:03:12".

    A feature that was not looked at gets no row; one that was is written where it differs from what the
    tables name. Raises PaintingError, and writes nothing, for what the cohort could not be opened with again
    (100 % all over, a frame without an image, another size), and for labels that were not painted here.
    """
    _check(cohort, painting)
    with _alone(cohort.folder):
        labels, table = _labels(cohort), painted(cohort)
        rows = _rows_of(labels, painting.clip_id, painting.frame, painting.rater)
        if len(_not_painted(cohort, rows)):
            raise PaintingError(
                f"clip {painting.clip_id}, frame {painting.frame}: the labels of {painting.rater} were not "
                "painted here, and they stay as they are; paint under another name."
            )
        named = _paths(rows)
        if painting.known not in (None, named):
            raise PaintingError(
                f"clip {painting.clip_id}, frame {painting.frame}: {painting.rater} painted this in another "
                "window meanwhile, and that stays; give this up to go on from there."
            )
        paths = {f: _keep(cohort, painting, f, named.get(f)) for f in looked_at(cohort, painting)}
        now = datetime.now().astimezone()
        changed = paths != named
        files.write_csv(cohort.folder / ANNOTATIONS, _noted(table, painting, now, changed))
        if changed:
            files.write_csv(cohort.folder / "labels.csv", _with(labels, painting, paths))
        painting.known = paths
    return now.strftime("%H:%M:%S")


def _check(cohort: Cohort, painting: Painting) -> None:
    shape = (len(cohort.features), *_shape(cohort, painting.clip_id, painting.frame))
    where = f"clip {painting.clip_id}, frame {painting.frame}"
    if painting.maps.shape != shape or painting.maps.dtype != np.uint8 or len(painting.looked) != shape[0]:
        arrived = f"{painting.maps.dtype} {painting.maps.shape}"
        raise PaintingError(f"{where}: expected maps uint8 {shape}, got {arrived}; start again.")
    try:
        if painting.looked.any():
            contents.check_frame(arrays.clip(cohort, painting.clip_id)[painting.frame], painting.frame)
        for feature, values, looked in zip(cohort.features, painting.maps, painting.looked, strict=True):
            if values.min() == 255:
                raise problems.Unfit(
                    "some of the frame unpainted", f"{feature}, 100 % all over", "undo the fill."
                )
            if values.any() and not looked:
                raise problems.Unfit(
                    "nothing painted of a feature that was not looked at", feature, "mark it as looked at."
                )
    except problems.Unfit as error:
        raise PaintingError(f"{where}: {error}") from None


def looked_at(cohort: Cohort, painting: Painting) -> list[str]:
    """The features that a painting has a map of."""
    return [f for f, looked in zip(cohort.features, painting.looked, strict=True) if looked]


def _keep(cohort: Cohort, painting: Painting, feature: str, now: str | None) -> str:
    """Write one feature where it changed; returns the path that labels.csv is to name."""
    values = painting.maps[cohort.features.index(feature)]
    if now is not None and np.array_equal(arrays.image(cohort, now), values):
        return now
    place = f"{PLACE}/{slug(painting.rater)}/{slug(painting.clip_id)}_f{painting.frame}"
    stem = slug(feature)
    known = (path.name.split(".")[1:-1] for path in (cohort.folder / place).glob(f"{stem}.*.png"))
    numbers = [int(one[0]) for one in known if len(one) == 1 and one[0].isdecimal()]
    path = f"{place}/{stem}.{max(numbers, default=0) + 1}.png"
    files.write_png(cohort.folder / path, values)
    return path


def slug(name: str) -> str:
    """A name as part of a path: what is neither letter, digit, _ nor - as its number, so that no two meet."""
    whole = re.sub(r"[^\w-]", lambda found: f"%{ord(found[0]):x}%", name)
    if len(whole.encode()) <= LONGEST_SLUG:
        return whole
    first = whole.encode()[: LONGEST_SLUG - 20].decode(errors="ignore")
    return f"{first}%%{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _with(labels: pd.DataFrame, painting: Painting, paths: dict[str, str]) -> pd.DataFrame:
    """The label table with a painting's rows in place of its earlier ones; all others as they were.

    What another column says of an earlier row stays where its image does; of a new image it says nothing.
    """
    earlier = _rows_of(labels, painting.clip_id, painting.frame, painting.rater)
    same = {row["path"]: row for row in earlier.to_dict("records")}
    one = {"clip_id": painting.clip_id, "frame": str(painting.frame), "rater": painting.rater}
    rows = [{**same.get(path, {}), **one, "feature": f, "path": path} for f, path in paths.items()]
    table = pd.concat([labels.drop(earlier.index), pd.DataFrame(rows)], ignore_index=True)
    return table[list(labels.columns)].fillna("")


def _noted(table: pd.DataFrame, painting: Painting, now: datetime, changed: bool) -> pd.DataFrame:
    key = (painting.clip_id, painting.frame, painting.rater)
    own = (table[KEY] == pd.Series(key, KEY)).all(axis=1)
    saves = int(table.loc[own, "saves"].sum()) + changed
    row = dict(zip(KEY, key, strict=True)) | {
        "seconds": round(painting.seconds, 1),
        "saves": saves,
        "started_from": painting.started_from,
        "saved_at": now.isoformat(timespec="seconds"),
    }
    new = schema.shaped("annotations", pd.DataFrame([row]))
    return pd.concat([table[~own], new], ignore_index=True)


def _labels(cohort: Cohort) -> pd.DataFrame:
    """labels.csv as it is on the disk now, all cells as text."""
    return _read(cohort.folder / "labels.csv", schema.columns("labels"))


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=columns, dtype=str)
    return tables.text(path).reset_index(drop=True)


def _rows_of(labels: pd.DataFrame, clip_id: str, frame: int, rater: str) -> pd.DataFrame:
    own = (labels["clip_id"] == clip_id) & (labels["rater"] == rater)
    return labels[own & (pd.to_numeric(labels["frame"], errors="coerce") == frame)]


def _paths(rows: pd.DataFrame) -> dict[str, str]:
    """The image of each feature, of the rows of one rater and frame."""
    return dict(zip(rows["feature"], rows["path"], strict=True))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a cohort's folder while its tables are read and written, in this process and all others."""
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks only what is open for writing
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
