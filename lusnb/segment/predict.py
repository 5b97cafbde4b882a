"""What a trained arm leaves: its weights, what it says of every labelled frame, and its frames for the tasks.

Nothing is measured here, so that an edit of a metric trains nothing: compare/measured.py does it from this.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lusnb import confidence, files
from lusnb.params import Params
from lusnb.segment import cuts, fitting, predictions, segmenter
from lusnb.segment.frames import Labelled
from lusnb.segment.segmenter import Segments, build


@dataclass(frozen=True)
class Predicted:
    """What a trained arm says about the labelled frames.

    table: clip_id, frame of all N. levels: uint8 (N, C, S, S), 255 = 1, in their order. validation (v,) and
    held_out (h,): positions of those frames. logits: float32 (v + h, C, S, S), of validation frames, then of
    held-out ones. untrained: uint8 (v + h, C, S, S), what the network said before training. dropout:
    uint8 (h, C, S, S), the mean by Monte-Carlo dropout, or None where none was asked for. cut: the arm's own,
    a level from 1 to 255 fitted on validation (segment/cuts.py). Of an inner model, which is there for the
    tasks alone, all but the cut are empty.
    """

    table: pd.DataFrame
    levels: Tensor
    validation: np.ndarray
    held_out: np.ndarray
    logits: Tensor
    untrained: Tensor
    dropout: Tensor | None
    cut: int


def labelled(network: nn.Module, data: Labelled, roles: dict[str, list[str]], p: Params) -> Predicted:
    """Predict all labelled frames, and fit the cut on those of the validation patients.

    p: the arm, batch, seed, seed_offset, mc_samples, inner.
    """
    activation = confidence.supervision(p).activation
    validation, test = (data.of(roles[name]) for name in ("validation", "test"))
    asked = validation if p.inner else np.concatenate([validation, test])
    logits = segmenter.predict(network, data.images[asked], p.batch, activation)
    said, first = cuts.quantise(logits), len(validation)
    cut = cuts.own(said[:first], data.confidence[validation], data.known[validation], p.label_threshold)
    if p.inner:
        nothing = np.zeros(0, int)
        return Predicted(data.table[:0], said[:0], nothing, nothing, logits[:0], said[:0], None, cut)
    levels = torch.zeros_like(data.confidence)
    levels[asked] = said
    rest = np.setdiff1d(np.arange(len(data.table)), asked)
    for chunk in np.array_split(rest, len(rest) // 64 + 1):
        levels[chunk] = cuts.quantise(segmenter.predict(network, data.images[chunk], p.batch, activation))
    before = segmenter.predict(build(p, levels.shape[1]), data.images[asked], p.batch, activation)
    dropout = segmenter.predict_dropout(network, data.images[test], p) if p.mc_samples else None
    return Predicted(data.table, levels, validation, test, logits, cuts.quantise(before), dropout, cut)


def store(
    folder: Path,
    trained: tuple[nn.Module, pd.DataFrame],
    roles: dict[str, list[str]],
    predicted: Predicted,
    segments: Segments,
    cohort_fingerprint: str,
    p: Params,
) -> None:
    """Write weights, history, who was what (patients.csv), and predictions with their fingerprint.

    trained: the network and its history, as `segmenter.train` returns them.
    """
    network, history = trained
    weights = folder / "model.safetensors"
    fitting.save(weights, network)
    files.write_csv(folder / "history.csv", history)
    who = [(patient, role) for role, ids in roles.items() for patient in ids]
    files.write_csv(folder / "patients.csv", pd.DataFrame(who, columns=["patient_id", "role"]))
    made_from = {
        "cohort": cohort_fingerprint,
        "model": predictions.model_fingerprint(weights),
        "size": p.size,
        "task_size": p.task_size,
        "task_frames": p.task_frames,
        "channels": p.task_channels,
        "cut": predicted.cut,
        "task_cut": segmenter.task_cut(predicted.cut, p),
    }
    arrays = {
        "labelled": predicted.levels.numpy(),
        "frames": segments.frames,
        "logits": predicted.logits.numpy(),
        "untrained": predicted.untrained.numpy(),
    }
    if predicted.dropout is not None:
        arrays["dropout"] = predicted.dropout.numpy()
    table = predictions.index(predicted.table, segments.table, predicted.validation, predicted.held_out)
    predictions.write(folder, arrays, table, made_from)
