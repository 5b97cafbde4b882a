"""What finished arms predict on single frames, for people who look at them or start painting from them.

More forgiving than `runs`: an arm that is half done is shown as far as it goes, one made from an earlier
state of the cohort is shown with a note. Nothing is written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb.cohort import fingerprint, schema
from lusnb.cohort.cohort import Cohort
from lusnb.segment import predictions
from lusnb.study import matrix, profile

HASHED = 300 * 2**20  # bytes of a cohort up to which its content is compared, beyond it names and times alone
KINDS = {"labelled": "labelled", "frames": "task"}  # predictions.index -> what a frame's prediction is
FRAMES = ["clip_id", "frame", "kind", "role"]
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError)  # what a file that is not as it was may raise


class PredictionsError(ValueError):
    """Files of a finished training that cannot be shown."""


def unreadable(path: Path, error: Exception) -> str:
    """That a file cannot be read, and why; `error` is one of BROKEN."""
    why = getattr(error, "strerror", None) or (f"no {error}" if isinstance(error, KeyError) else error)
    return f"{path} cannot be read ({why})"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong in here is a fault of this file."""
    try:
        yield
    except BROKEN as error:
        raise PredictionsError(unreadable(path, error)) from error


@dataclass(frozen=True)
class _Part:
    """One finished training of an arm, one fold; whole: it serves every patient, not only those held out."""

    folder: Path
    whole: bool


@dataclass(frozen=True)
class Cuts:
    """From which uint8 level on a pixel counts as predicted by one training.

    own: fitted on its validation patients; None of a run that is older than this and does not say. tasks: at
    which its tasks' frames were cut already; None where these are probabilities.
    """

    own: int | None
    tasks: int | None


@dataclass(frozen=True)
class ArmMaps:
    """Predictions of finished arms.

    names: (arm, seed), in the order of study.yaml where it is known. note: "" or what a reader must know.
    cross_fitted: every arm's maps are of the folds that held the patients out: the published split is none
    of theirs.
    """

    names: tuple[tuple[str, int], ...]
    note: str
    cross_fitted: bool
    cohort: Cohort = field(repr=False)
    _tables: dict = field(repr=False)  # (arm, seed) -> what it predicted, see _frames_of
    _cuts: dict = field(repr=False)  # folder of a training -> Cuts

    def frames(self, arm: str, seed: int) -> pd.DataFrame:
        """The frames that an arm predicted: clip_id, frame, kind, role.

        kind: 'labelled', probabilities at the network's size, or 'task', at the tasks' size and maybe binary.
        role: of the patient in this training: train, validation or test. Raises KeyError for an arm and seed
        that are not among `names`.
        """
        return self._tables[arm, int(seed)][FRAMES].reset_index(drop=True)

    def maps(self, arm: str, seed: int, clip_id: str, frame: int) -> tuple[np.ndarray, str] | None:
        """One frame's prediction, uint8 (C, S, S), 255 = 1, features in the cohort's order; and the role.

        None where nothing was predicted. Cross-fitted: from the fold that held the patient out. Raises
        KeyError for an arm and seed that are not among `names`.
        """
        table = self._tables[arm, int(seed)]
        if (clip_id, frame) not in table.index:
            return None
        row = table.loc[(clip_id, frame)]
        array = _array(row["folder"], row["array"])
        if row["kind"] == "labelled":
            return np.array(array[row["position"]]), row["role"]
        return _task_map(array[row["position"], row["slot"]], row["packed"]), row["role"]

    def cuts(self, arm: str, seed: int, clip_id: str) -> Cuts | None:
        """At which levels an arm's predictions of a clip are cut: those of the training that `maps` shows.

        None where it predicted nothing of this clip. Raises KeyError for an arm and seed that are not among
        `names`.
        """
        table = self._tables[arm, int(seed)]
        own = table.loc[table["clip_id"] == clip_id, "folder"]
        return self._cuts[own.iloc[0]] if len(own) else None

    def least(self, arm: str, seed: int, clip_id: str, frame: int) -> int:
        """From which level on `maps` counts as predicted: the training's own cut, 0.5 where it does not say.

        Of a mask, which was cut for the tasks already, half way between its two values. Raises KeyError where
        nothing was predicted.
        """
        row = self._tables[arm, int(seed)].loc[(clip_id, frame)]
        cuts = self._cuts[row["folder"]]
        return predictions.CUT if cuts.own is None or row["packed"] and row["kind"] == "task" else cuts.own


def open_runs(folder: str | Path, cohort: Cohort) -> ArmMaps:
    """Predictions of every finished arm and seed below `folder`, which is runs/<profile>/<cohort>.

    A folder that is not there gives one without names. Arms whose files are not all there, cannot be read or
    do not fit the cohort are left out; `note` says which, and whether the cohort changed since the others
    were made.
    """
    folder = Path(folder).resolve()
    tables, made, odd, whole = {}, {}, [], False
    cuts: dict[Path, Cuts] = {}
    for key, parts in _finished(folder).items():
        try:
            tables[key], made[key], own = _opened(parts, cohort)
            cuts |= own
            whole = whole or parts[0].whole
        except PredictionsError as error:
            odd.append(f"{key[0]} seed {key[1]}: {error}")
    order = _order(folder)
    names = tuple(sorted(tables, key=lambda key: (order.get(key[0], len(order)), key)))
    remedy = f"Delete an arm's folder, and make study PROFILE={folder.parent.name} makes it anew."
    notes = [f"Left out: {'; '.join(odd)}. {remedy}"] if odd else []
    notes += [note] if (note := _changed(folder, cohort, made)) else []
    return ArmMaps(names, " ".join(notes), bool(names) and not whole, cohort, tables, cuts)


def _finished(folder: Path) -> dict[tuple[str, int], list[_Part]]:
    """(arm, seed) -> its finished trainings: the published split where it is there, else all outer folds."""
    found: dict[tuple[str, int], dict[int, Path]] = {}
    for path in sorted(folder.glob(f"{matrix.NOTEBOOKS['train']}/*/seed*/fold*/finished")):
        fold, seed, arm = (path.parents[k].name for k in range(3))
        numbers = (seed.removeprefix("seed"), fold.removeprefix("fold"))
        if all(number.isdecimal() for number in numbers):
            found.setdefault((arm, int(numbers[0])), {})[int(numbers[1])] = path.parent
    return {
        key: [_Part(folds[0], True)] if 0 in folds else [_Part(folds[k], False) for k in sorted(folds)]
        for key, folds in found.items()
    }


def _order(folder: Path) -> dict[str, int]:
    """Arm -> its place in the profile's study.yaml; {} where that cannot be read."""
    if len(folder.parents) < 3:
        return {}
    try:
        return {arm: k for k, arm in enumerate(profile.load(folder.parent.name, folder.parents[2]).arms)}
    except BROKEN:
        return {}


def _opened(parts: list[_Part], cohort: Cohort) -> tuple[pd.DataFrame, set[str], dict[Path, Cuts]]:
    """An arm's trainings, one seed: their frames in one table, the cohorts that they were made from, cuts.

    Raises PredictionsError where one of their files is missing, cannot be read or does not fit.
    """
    tables, made, cuts = [], set(), {}
    for part in parts:
        path = part.folder / "predictions" / "fingerprint.json"
        with _reading(path):
            made_from = json.loads(path.read_text(encoding="utf-8"))
            packed = 0 if made_from["channels"] == "probability" else int(made_from["task_size"])
            made.add(str(made_from["cohort"]))
            cuts[part.folder] = _cuts_of(made_from)
        tables.append(_frames_of(part, cohort, packed))
    table = pd.concat(tables, ignore_index=True).drop_duplicates(["clip_id", "frame"])
    return table.set_index(["clip_id", "frame"], drop=False).sort_index(), made, cuts


def _cuts_of(made_from: dict) -> Cuts:
    """The cuts that a fingerprint.json names; raises ValueError for one that is no level."""
    own, tasks = (made_from.get(name) for name in ("cut", "task_cut"))
    for name, level in (("cut", own), ("task_cut", tasks)):
        if level is not None and (type(level) is not int or not 1 <= level <= 255):
            raise ValueError(f"{name}: expected a level from 1 to 255, got {level!r}")
    if made_from["channels"] == "probability":
        return Cuts(own, None)
    return Cuts(own, predictions.CUT if tasks is None else tasks)  # older runs were all cut at 0.5


def _array(folder: Path, name: str) -> np.ndarray:
    """An array of a training's predictions, as it lies on disk."""
    return np.load(folder / "predictions" / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def _check_arrays(part: _Part, index: pd.DataFrame, count: int, packed: int) -> None:
    """Raise PredictionsError unless the arrays have so many features, and all that the index names."""
    for name, axes in {"labelled": 4, "frames": 5}.items():
        path = part.folder / "predictions" / f"{name}.npy"
        with _reading(path):
            shape = _array(part.folder, name).shape
        if len(shape) != axes or shape[axes - 3] != count:
            raise PredictionsError(f"{path}: expected {count} features, got an array of {shape}")
        places = index.loc[index["array"] == name, ["position", "slot"][: axes - 3]]
        cut = name == "frames" and packed > 8 * shape[-1]
        if cut or (places < 0).any(axis=None) or (places.to_numpy() >= shape[: axes - 3]).any():
            raise PredictionsError(f"{path}: index.csv beside it is not of this array of {shape}")


def _changed(folder: Path, cohort: Cohort, then: dict[tuple[str, int], set[str]]) -> str:
    """One sentence where the cohort is not, or may not be, what the predictions were made from."""
    if not then:
        return ""
    remedy = f"make study PROFILE={folder.parent.name} makes them anew."
    now = _fingerprint(folder, cohort)
    if not now:
        return (
            f"Files of the cohort were touched since 00_cohort checked it: predictions may be older; {remedy}"
        )
    old = [f"{arm} seed {seed}" for (arm, seed), made in then.items() if made != {now}]
    if not old:
        return ""
    told = "all arms" if len(old) == len(then) else ", ".join(old)
    return f"The cohort's files changed since these predictions were made ({told}); {remedy}"


def _fingerprint(folder: Path, cohort: Cohort) -> str:
    """The cohort's fingerprint; "" where it is too large to find again and was touched since it was found."""
    try:
        checked = json.loads((folder / "00_cohort" / "fingerprint.json").read_text(encoding="utf-8"))
        stamp, found = str(checked["stamp"]), str(checked["cohort"])
    except BROKEN:  # without a word of 00_cohort it is found again
        stamp = found = ""
    if fingerprint.cohort_stamp(cohort.folder) == stamp:
        return found
    size = sum(file.stat().st_size for file in cohort.folder.rglob("*") if file.is_file())
    return fingerprint.cohort_fingerprint(cohort.folder) if size <= HASHED else ""


def _frames_of(part: _Part, cohort: Cohort, packed: int) -> pd.DataFrame:
    """FRAMES, and where each lies: folder, array, position, slot, packed; labelled frames first.

    packed: the width of a task's frame whose pixels are packed, else 0.
    """
    path = part.folder / "predictions" / "index.csv"
    with _reading(path):
        index = pd.read_csv(path, dtype={"clip_id": str}, keep_default_na=False)
        index = index[index["array"].isin(KINDS) & index["clip_id"].isin(cohort.clips["clip_id"])]
        index = index.astype({"position": int, "slot": int, "frame": int})
    _check_arrays(part, index, len(cohort.features), packed)
    patient = index["clip_id"].map(cohort.clips.set_index("clip_id")["patient_id"])
    role = patient.map(_roles(part, cohort)).fillna("")
    table = index.assign(kind=index["array"].map(KINDS), role=role, folder=part.folder, packed=packed)
    if not part.whole:
        table = table[table["role"] == "test"]
    return table.sort_values("kind", kind="stable")


def _roles(part: _Part, cohort: Cohort) -> dict[str, str]:
    """Patient -> role in one training; of a run older than its patients.csv, the published split. A fold's
    is needed: nothing else says whom it held out."""
    path = part.folder / "patients.csv"
    if part.whole and not path.is_file():
        return dict(zip(cohort.patients["patient_id"], cohort.patients["split"], strict=True))
    with _reading(path):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        known = table[table["role"].isin(schema.SPLITS)]
        return dict(zip(known["patient_id"], known["role"], strict=True))


def _task_map(stored: np.ndarray, packed: int) -> np.ndarray:
    """One of the tasks' frames as uint8 (C, s, s), 255 = 1: binary ones are packed along the width."""
    return np.unpackbits(stored, axis=-1, count=packed) * np.uint8(255) if packed else np.array(stored)
