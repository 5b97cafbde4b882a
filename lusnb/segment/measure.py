"""Measure a trained arm on validation and held-out frames, and store what it leaves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lusnb import confidence, files
from lusnb.params import Params
from lusnb.segment import cuts, fitting, metrics, predictions, segmenter
from lusnb.segment import metrics as segment_metrics
from lusnb.segment.frames import Labelled
from lusnb.segment.metrics import (
    REFERENCE_THRESHOLD,
    at_both,
    cross_entropy,
    entropy,
    false_area,
    labelled_iou,
    plain_iou,
    quantise,
    surface_dice,
    trimap_cross_entropy,
)
from lusnb.segment.segmenter import build, predict, predict_dropout


@dataclass(frozen=True)
class Measured:
    """What a trained arm says about the labelled frames, as uint8 probabilities, 255 = 1.

    levels (N, C, S, S): of all of them, in their order. held_out (n,): positions of the held-out ones.
    tempered (n, C, S, S): these at the temperatures fitted on validation. dropout (n, C, S, S): their mean by
    Monte-Carlo dropout, or None where none was asked for. metrics: arm, seed, fold, patient_id, clip_id,
    frame, feature, metric, value. cut: the arm's own, a level from 1 to 255 fitted on validation
    (segment/cuts.py).
    """

    levels: Tensor
    held_out: np.ndarray
    tempered: Tensor
    dropout: Tensor | None
    metrics: pd.DataFrame
    cut: int


def measure(
    network: nn.Module, data: Labelled, roles: dict[str, list[str]], features: tuple[str, ...], p: Params
) -> Measured:
    """Predict all labelled frames, and measure the validation and held-out ones.

    An inner model, which is there for the tasks alone, is measured on validation and nowhere else.

    Metrics: see evaluate; `iou_untrained` is the same network before training, at its own cut; tuned
    on validation and of no image: `cut` (one row, a probability) and `temperature` (one a feature,
    segment_metrics.temperatures).
    """
    validation = data.of(roles["validation"])
    test = data.of([] if p.inner else roles["test"])
    measured = np.concatenate([validation, test])
    rest = np.setdiff1d(np.arange(0 if p.inner else len(data.table)), measured)
    activation = confidence.supervision(p).activation
    logits = predict(network, data.images[measured], p.batch, activation)
    levels = torch.zeros_like(data.confidence)
    levels[measured] = metrics.quantise(logits)
    for chunk in np.array_split(rest, len(rest) // 64 + 1):
        levels[chunk] = metrics.quantise(predict(network, data.images[chunk], p.batch, activation))
    c = data.confidence[validation].float() / 255
    cut = _own_cut(levels[validation], data, validation, p)
    temperatures = segment_metrics.temperatures(logits[: len(validation)], c, data.known[validation])
    untrained = predict(build(p, len(features)), data.images[measured], p.batch, activation)
    before = metrics.quantise(untrained)
    before = before >= _own_cut(before[: len(validation)], data, validation, p)
    scores = _tidy(_scores(logits, before, data, measured, p, cut), data.table.iloc[measured], features, p)
    return Measured(
        levels,
        test,
        metrics.quantise(_tempered(logits[len(validation) :], temperatures)),
        predict_dropout(network, data.images[test], p) if p.mc_samples else None,
        pd.concat([scores, _tuned(cut, temperatures, features, p)], ignore_index=True),
        cut,
    )


def _own_cut(levels: Tensor, data: Labelled, where: np.ndarray, p: Params) -> int:
    """The cut of stored probabilities, uint8 (n, C, S, S), that fits the labels of some frames best."""
    counted = np.zeros((levels.shape[1], 2, cuts.LEVELS), np.int64)
    for k in range(len(where)):  # one at a time: every pixel is counted as 8 bytes
        one = where[k : k + 1]
        y = confidence.targets(data.confidence[one].float() / 255, p.label_threshold)
        counted += cuts.counts(levels[k : k + 1], y, data.known[one])
    return cuts.best(counted)[0]


def _tempered(logits: Tensor, temperatures: np.ndarray) -> Tensor:
    """Logits (N, C, S, S) divided by each feature's temperature; as they are where there is none (NaN)."""
    return logits / torch.tensor(temperatures).nan_to_num(nan=1.0).float()[:, None, None]


def _tuned(cut: int, temperatures: np.ndarray, features: tuple[str, ...], p: Params) -> pd.DataFrame:
    """What was tuned on validation images, as rows of the metrics."""
    own = {"arm": p.arm, "seed": p.seed, "fold": p.fold, "patient_id": "", "clip_id": "", "frame": -1}
    rows = [{**own, "feature": "", "metric": "cut", "value": cut / 255}]
    each = zip(features, temperatures, strict=True)
    rows += [{**own, "feature": name, "metric": "temperature", "value": t} for name, t in each]
    return pd.DataFrame(rows)


def _scores(
    logits: Tensor, before: Tensor, data: Labelled, measured: np.ndarray, p: Params, cut: int
) -> dict[str, Tensor]:
    """Every metric of the measured images, (N, C), a few images at a time; NaN where a feature is unknown.

    before: masks of the untrained network, bool (N, C, S, S)."""
    parts = []
    for k in np.array_split(np.arange(len(measured)), len(measured) // 16 + 1):
        c = data.confidence[measured[k]].float() / 255
        scores = evaluate(logits[k], c, p, [data.spacing[n] for n in measured[k]], cut)
        y = confidence.targets(c, p.label_threshold)
        scores["iou_untrained"] = metrics.labelled_iou(before[k], y)
        known = data.known[measured[k]]
        parts.append({name: torch.where(known, value, torch.nan) for name, value in scores.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _tidy(
    scores: dict[str, Tensor], table: pd.DataFrame, features: tuple[str, ...], p: Params
) -> pd.DataFrame:
    images = table[["patient_id", "clip_id", "frame"]].loc[table.index.repeat(len(features))]
    images = images.assign(feature=list(features) * len(table)).reset_index(drop=True)
    long = [images.assign(metric=name, value=value.flatten().numpy()) for name, value in scores.items()]
    tidy = pd.concat(long, ignore_index=True)
    tidy.insert(0, "arm", p.arm)
    tidy.insert(1, "seed", p.seed)
    tidy.insert(2, "fold", p.fold)
    return tidy


def store(
    folder: Path,
    network: nn.Module,
    history: pd.DataFrame,
    measured: Measured,
    labelled: pd.DataFrame,
    segmented: tuple[np.ndarray, pd.DataFrame],
    cohort_fingerprint: str,
    roles: dict[str, list[str]],
    p: Params,
) -> None:
    """Write what a trained arm leaves: weights, history, metrics, who was what (patients.csv), and
    predictions with their fingerprint.

    labelled: table of the labelled frames (`Labelled.table`). segmented: the tasks' frames and their table
    (`segmenter.segment_clips`).
    """
    frames, task_table = segmented
    weights = folder / "model.safetensors"
    fitting.save(weights, network)
    files.write_csv(folder / "history.csv", history)
    files.write_csv(folder / "metrics.csv", measured.metrics)
    who = [(patient, role) for role, ids in roles.items() for patient in ids]
    files.write_csv(folder / "patients.csv", pd.DataFrame(who, columns=["patient_id", "role"]))
    made_from = {
        "cohort": cohort_fingerprint,
        "model": predictions.model_fingerprint(weights),
        "size": p.size,
        "task_size": p.task_size,
        "task_frames": p.task_frames,
        "channels": p.task_channels,
        "cut": measured.cut,
        "task_cut": segmenter.task_cut(measured.cut, p),
    }
    dropout = None if measured.dropout is None else measured.dropout.numpy()
    levels, tempered = measured.levels.numpy(), measured.tempered.numpy()
    if p.inner:
        labelled, levels = labelled[:0], levels[:0]
    table = predictions.index(labelled, task_table, measured.held_out)
    predictions.write(folder, levels, frames, tempered, table, made_from, dropout)


def evaluate(
    logits: Tensor, c: Tensor, arm: dict, spacing: list[tuple[float, float]], cut: int
) -> dict[str, Tensor]:
    """All metrics of one arm against the labels at its own threshold and at one that all arms share.

    arm: supervision, label_threshold, confidence_weight, background_weight. c: the map that all arms are
    measured on, cut at label_threshold; weighted cross-entropy takes target and weight of it as the
    supervision does, what is drawn at its mean. spacing: mm (height, width) a pixel of each image. cut: the
    arm's own, fitted on validation images, a level from 1 to 255 (segment/cuts.py); metrics of masks are at
    this cut, and under `<name>_fixed` at 0.5.
    """
    y = confidence.targets(c, arm["label_threshold"])
    shown, w = confidence.shown(c, arm)
    levels = quantise(logits)
    y0, w0 = confidence.targets(c, REFERENCE_THRESHOLD), confidence.weights(c, REFERENCE_THRESHOLD)
    raw = cross_entropy(logits, c)
    return {
        **at_both(levels, cut, lambda predicted: _of_masks(predicted, y, spacing)),
        "weighted_ce": cross_entropy(logits, shown, w),
        "reference_ce": cross_entropy(logits, y0, w0),
        "ce": raw,
        "ce_excess": raw - entropy(c),
        **trimap_cross_entropy(logits, c),
    }


def _of_masks(predicted: Tensor, y: Tensor, spacing: list[tuple[float, float]]) -> dict[str, Tensor]:
    area = torch.tensor([h * v for h, v in spacing], device=predicted.device)
    return {
        "iou": labelled_iou(predicted, y),
        "iou_plain": plain_iou(predicted, y),
        "false_area_mm2": false_area(predicted, y, area),
        "surface_dice": torch.where(y.any((-2, -1)), surface_dice(predicted, y, spacing), torch.nan),
    }
