"""What a segmenter leaves on disk for everyone behind it, and the proof that it is not stale.

predictions/labelled.npy      uint8 (N, C, S, S)        probabilities of the labelled frames, 255 = 1; of an
                              inner model, which is there for the tasks alone, none
predictions/frames.npy        uint8 (clips, T, C, s, b)  the tasks' frames: binary, packed 8 pixels a byte
                              along the width (b = ceil(s / 8)), or probabilities (b = s)
predictions/logits.npy        float32 (v + h, C, S, S)  of validation frames, then of held-out ones
predictions/untrained.npy     uint8 (v + h, C, S, S)    of the same frames: probabilities before training
predictions/dropout.npy       uint8 (h, C, S, S)        of held-out frames, where asked for: their mean with
                              dropout on
predictions/index.csv         array, position, slot, clip_id, frame: what each entry is of
predictions/fingerprint.json  the cohort, the model and the settings they were made from; `cut`: the level, 1
                              to 255, from which on a pixel is a prediction at the training's own cut;
                              `task_cut`: the level at which the tasks' binary frames were cut
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import files

AGAIN = "run 03_train_segmentation again, or make study, which makes anew what is no longer what it was."
CUT = 128  # a uint8 probability of at least 128/255 is a prediction at 0.5
FIXED = "_fixed"  # the ending of what is measured at this cut, beside the same at the arm's own


class StalePredictions(ValueError):
    """Predictions made from another cohort or another model than those at hand."""


@dataclass(frozen=True)
class Predictions:
    """Open predictions: memory-mapped arrays, their index and their settings."""

    labelled: np.ndarray
    frames: np.ndarray
    index: pd.DataFrame
    made_from: dict
    logits: np.ndarray | None = None
    untrained: np.ndarray | None = None
    dropout: np.ndarray | None = None

    @property
    def cut(self) -> int:
        """The training's own cut, a level from 1 to 255, fitted on its validation patients."""
        return int(self.made_from["cut"])

    @property
    def validation(self) -> np.ndarray:
        """Positions of the validation frames among the labelled ones, in the order of `logits`."""
        return self._places("validation")

    @property
    def held_out(self) -> np.ndarray:
        """Positions of the held-out frames among the labelled ones, in the order of the rest of `logits`."""
        return self._places("held_out")

    def _places(self, role: str) -> np.ndarray:
        chosen = self.index[self.index["array"] == role].sort_values("position")
        return chosen["slot"].to_numpy()

    @property
    def full(self) -> int:
        """What a pixel that is surely of a feature is stored as: 1 where binary, 255 as a probability."""
        return 255 if self.made_from["channels"] == "probability" else 1

    def positions(self, clips: pd.Series) -> np.ndarray:
        """Where the tasks' frames of some clip_ids lie in `frames`.

        Raises KeyError for a clip that was not segmented.
        """
        first = self.index[(self.index["array"] == "frames") & (self.index["slot"] == 0)]
        return first.set_index("clip_id")["position"].loc[list(clips)].to_numpy()


def model_fingerprint(weights: Path) -> str:
    """Fingerprint of a file of weights."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]


def pack(masks: np.ndarray) -> np.ndarray:
    """Pack binary masks along the width: bool (..., H, W) -> uint8 (..., H, ceil(W / 8))."""
    return np.packbits(masks, axis=-1)


def index(
    labelled: pd.DataFrame, task_frames: pd.DataFrame, validation: np.ndarray, held_out: np.ndarray
) -> pd.DataFrame:
    """One row per stored image. labelled: clip_id, frame. task_frames: clip_id, slot, frame.

    validation, held_out: positions among the labelled frames of what `logits` holds; stored as their slot.
    """
    one = labelled[["clip_id", "frame"]].assign(array="labelled", position=range(len(labelled)), slot=0)
    position = task_frames["clip_id"].factorize()[0]
    two = task_frames[["clip_id", "slot", "frame"]].assign(array="frames", position=position)
    slots = np.concatenate([validation, held_out]).astype(int)
    roles = ["validation"] * len(validation) + ["held_out"] * len(held_out)
    three = labelled[["clip_id", "frame"]].iloc[slots]
    three = three.assign(array=roles, position=range(len(three)), slot=slots)
    columns = ["array", "position", "slot", "clip_id", "frame"]
    return pd.concat([one, two, three], ignore_index=True)[columns]


def write(folder: Path, arrays: dict[str, np.ndarray], table: pd.DataFrame, made_from: dict) -> None:
    """Write predictions into `folder`/predictions; the fingerprint comes last.

    arrays: labelled, frames, logits, untrained and, where there is one, dropout. table: of `index`.
    """
    place = folder / "predictions"
    for name, array in arrays.items():
        files.write_npy(place / f"{name}.npy", array)
    files.write_csv(place / "index.csv", table)
    files.write_json(place / "fingerprint.json", made_from)


def read(folder: Path, cohort_fingerprint: str) -> Predictions:
    """Open the predictions of a finished segmenter's folder.

    Raises StalePredictions when the cohort or the model beside them is not the one they were made from, or
    when that cannot be told.
    """
    place = folder / "predictions"
    made_from = _made_from(place / "fingerprint.json")
    now = {"cohort": cohort_fingerprint, "model": model_fingerprint(folder / "model.safetensors")}
    for what, fingerprint in now.items():
        if made_from[what] != fingerprint:
            raise StalePredictions(
                f"{place}: made from the {what} {made_from[what]}, but the {what} is now {fingerprint}; "
                + AGAIN
            )
    names = ["labelled", "frames", "logits", "untrained", "dropout"]
    there = [name for name in names if name != "dropout" or (place / "dropout.npy").is_file()]
    arrays = {n: np.load(place / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in there}
    index = pd.read_csv(place / "index.csv", dtype={"clip_id": str})
    return Predictions(index=index, made_from=made_from, **arrays)


def _made_from(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"cohort", "model"} <= set(found):
            return found
    except (OSError, ValueError):
        pass
    raise StalePredictions(f"{path} cannot be read: no one can tell what they were made from; {AGAIN}")
