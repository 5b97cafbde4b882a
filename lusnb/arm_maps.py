"""What finished arms predict on single frames, for people who look at them or start painting from them.

More forgiving than `runs`: an arm that is half done is shown as far as it goes, one made from an earlier
state of the cohort is shown with a note. Nothing is written.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import params, reruns, study
from lusnb.cohort import Cohort

HASHED = 300 * 2**20  # bytes of a cohort up to which its content is compared, beyond it names and times alone
KINDS = {"labelled": "labelled", "frames": "task"}  # predictions.index -> what a frame's prediction is
FRAMES = ["clip_id", "frame", "kind", "role"]


@dataclass(frozen=True)
class _Part:
    """One finished training of an arm, one fold; whole: it serves every patient, not only those held out."""

    folder: Path
    whole: bool


@dataclass(frozen=True)
class ArmMaps:
    """Predictions of finished arms.

    names: (arm, seed), in the order of study.yaml where it is known. note: "" or what a reader must know.
    """

    names: tuple[tuple[str, int], ...]
    note: str
    cohort: Cohort = field(repr=False)
    _parts: dict = field(repr=False)
    _found: dict = field(default_factory=dict, repr=False)  # (arm, seed) -> table, once it was asked for

    def frames(self, arm: str, seed: int) -> pd.DataFrame:
        """The frames that an arm predicted: clip_id, frame, kind, role.

        kind: 'labelled', probabilities at the network's size, or 'task', at the tasks' size and maybe binary.
        role: of the patient in this training: train, validation or test. Raises KeyError for an arm and seed
        that are not among `names`.
        """
        return self._table(arm, seed)[FRAMES].reset_index(drop=True)

    def maps(self, arm: str, seed: int, clip_id: str, frame: int) -> tuple[np.ndarray, str] | None:
        """One frame's prediction, uint8 (C, S, S), 255 = 1, features in the cohort's order; and the role.

        None where nothing was predicted. Cross-fitted: from the fold that held the patient out. Raises
        KeyError for an arm and seed that are not among `names`.
        """
        table = self._table(arm, seed)
        if (clip_id, frame) not in table.index:
            return None
        row = table.loc[(clip_id, frame)]
        place = row["folder"] / "predictions"
        array = np.load(place / f"{row['array']}.npy", mmap_mode="r", allow_pickle=False)
        if row["kind"] == "labelled":
            return np.array(array[row["position"]]), row["role"]
        return _task_map(array[row["position"], row["slot"]], _made_from(row["folder"])), row["role"]

    def _table(self, arm: str, seed: int) -> pd.DataFrame:
        key = (arm, int(seed))
        if key not in self._found:
            tables = [_frames_of(part, self.cohort) for part in self._parts[key]]
            table = pd.concat(tables, ignore_index=True).drop_duplicates(["clip_id", "frame"])
            self._found[key] = table.set_index(["clip_id", "frame"], drop=False).sort_index()
        return self._found[key]


def open_runs(folder: str | Path, cohort: Cohort) -> ArmMaps:
    """Predictions of every finished arm and seed below `folder`, which is runs/<profile>/<cohort>.

    A folder that is not there gives one without names. Arms whose files do not fit the cohort are left out;
    `note` says which, and whether the cohort changed since the others were made.
    """
    folder = Path(folder).resolve()
    parts, odd = {}, []
    for key, found in _finished(folder).items():
        wrong = [told for part in found if (told := _misfit(part, cohort))]
        odd += [f"{key[0]} seed {key[1]}: {told}" for told in wrong]
        if not wrong:
            parts[key] = found
    order = _order(folder)
    names = tuple(sorted(parts, key=lambda key: (order.get(key[0], len(order)), key)))
    notes = [f"Left out: {'; '.join(odd)}."] if odd else []
    notes += [note] if (note := _changed(folder, cohort, parts)) else []
    return ArmMaps(names, " ".join(notes), cohort, parts)


def _finished(folder: Path) -> dict[tuple[str, int], list[_Part]]:
    """(arm, seed) -> its finished trainings: the published split where it is there, else all outer folds."""
    found: dict[tuple[str, int], dict[int, Path]] = {}
    for path in sorted(folder.glob(f"{study.NOTEBOOKS['train']}/*/seed*/fold*/finished")):
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
        return {arm: k for k, arm in enumerate(study.load(folder.parent.name, folder.parents[2]).arms)}
    except (OSError, params.ParameterError):
        return {}


def _misfit(part: _Part, cohort: Cohort) -> str:
    """Why a training's predictions cannot be shown over this cohort's frames; "" where they can."""
    path = part.folder / "predictions" / "labelled.npy"
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        _made_from(part.folder)["cohort"]
    except (OSError, ValueError, KeyError) as error:
        return f"{path.parent} cannot be read ({error})"
    if len(shape) != 4 or shape[1] != len(cohort.features):
        return f"{path}: expected {len(cohort.features)} features, got an array of {shape}"
    return ""


def _made_from(folder: Path) -> dict:
    return json.loads((folder / "predictions" / "fingerprint.json").read_text(encoding="utf-8"))


def _changed(folder: Path, cohort: Cohort, parts: dict) -> str:
    """One sentence where the cohort is not, or may not be, what the predictions were made from."""
    then = {key: {_made_from(part.folder)["cohort"] for part in found} for key, found in parts.items()}
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
    path = folder / "00_cohort" / "fingerprint.json"
    checked = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"stamp": "", "cohort": ""}
    if reruns.cohort_stamp(cohort.folder) == checked["stamp"]:
        return checked["cohort"]
    size = sum(file.stat().st_size for file in cohort.folder.rglob("*") if file.is_file())
    return reruns.cohort_fingerprint(cohort.folder) if size <= HASHED else ""


def _frames_of(part: _Part, cohort: Cohort) -> pd.DataFrame:
    """FRAMES, and where each lies: folder, array, position, slot; labelled frames first."""
    index = pd.read_csv(part.folder / "predictions" / "index.csv", dtype={"clip_id": str})
    index = index[index["array"].isin(KINDS) & index["clip_id"].isin(cohort.clips["clip_id"])]
    patient = index["clip_id"].map(cohort.clips.set_index("clip_id")["patient_id"])
    table = index.assign(
        kind=index["array"].map(KINDS), role=patient.map(_roles(part, cohort)).fillna(""), folder=part.folder
    )
    if not part.whole:
        table = table[table["role"] == "test"]
    return table.sort_values("kind", kind="stable")


def _roles(part: _Part, cohort: Cohort) -> dict[str, str]:
    """Patient -> role in one training; of a run older than its patients.csv, the published split."""
    path = part.folder / "patients.csv"
    if path.is_file():
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return dict(zip(table["patient_id"], table["role"], strict=True))
    return (
        dict(zip(cohort.patients["patient_id"], cohort.patients["split"], strict=True)) if part.whole else {}
    )


def _task_map(stored: np.ndarray, made_from: dict) -> np.ndarray:
    """One of the tasks' frames as uint8 (C, s, s), 255 = 1: binary ones are packed along the width."""
    if made_from["channels"] == "probability":
        return np.array(stored)
    return np.unpackbits(stored, axis=-1, count=made_from["task_size"]) * np.uint8(255)
