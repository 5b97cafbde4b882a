"""Each arm's own metrics on held-out patients, for Table 1, computed from what its trainings left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare.finished import Held
from lusnb.segment import cuts, metrics
from lusnb.segment.cuts import quantise
from lusnb.segment.metrics import REFERENCE_THRESHOLD, at_both, cross_entropy, entropy
from lusnb.segment.predictions import Predictions

PORTION = 16  # images measured at once
Training = tuple[str, int, int]  # arm, seed, fold


@dataclass(frozen=True)
class Labels:
    """What all arms are measured on, of some labelled frames.

    table: clip_id, frame, patient_id. confidence: uint8 (n, C, S, S), 255 = 100 %; known: bool (n, C).
    spacing: mm (height, width) a pixel, one an image.
    """

    table: pd.DataFrame
    confidence: Tensor
    known: Tensor
    spacing: list[tuple[float, float]]


def labels_of(cohort: Cohort, where: np.ndarray, size: int, merge: str) -> Labels:
    """The labels of some frames, by their positions among the labelled ones, at size x size."""
    table = cohorts.labelled_frames(cohort).iloc[where]
    maps, known = arrays.confidence_of(cohort, table, size, merge)
    spacing = [arrays.pixel_mm(cohort, clip_id, size) for clip_id in table["clip_id"]]
    return Labels(table, torch.from_numpy(maps), torch.tensor(known), spacing)


def _reader(cohort: Cohort, merge: str) -> Callable[[np.ndarray, int], Labels]:
    """`labels_of` by positions and size, that remembers the validation and held-out frames of one fold, which
    its arms share."""

    @lru_cache(maxsize=2)
    def read(where: tuple[int, ...], size: int) -> Labels:
        return labels_of(cohort, np.array(where, int), size, merge)

    return lambda where, size: read(tuple(where.tolist()), size)


def _trainings(opened: Mapping[tuple[str, int], Held]) -> list[tuple[Training, Predictions]]:
    """Every training, fold by fold, and what it left."""
    found = [
        ((arm, seed, fold), own) for (arm, seed), held in opened.items() for fold, own in held.parts.items()
    ]
    return sorted(found, key=lambda item: item[0][2])


def temperatures(
    cohort: Cohort, opened: Mapping[tuple[str, int], Held], merge: str
) -> dict[Training, np.ndarray]:
    """Of every training each feature's temperature (segment/metrics.py), fitted on its validation frames."""
    found, read = {}, _reader(cohort, merge)
    for key, own in _trainings(opened):
        labels = read(own.validation, own.labelled.shape[-1])
        logits = torch.from_numpy(np.array(own.logits[: len(own.validation)]))
        found[key] = metrics.temperatures(logits, labels.confidence.float() / 255, labels.known)
    return found


def tempered(
    opened: Mapping[tuple[str, int], Held], temperatures: Mapping[Training, np.ndarray]
) -> dict[tuple[str, int], Held]:
    """The same with what held-out frames say at these temperatures; as they are where there is none (NaN)."""
    found = {}
    for (arm, seed), held in opened.items():
        levels = np.zeros(held.labelled.shape, np.uint8)  # untouched pages cost nothing
        for fold, own in held.parts.items():
            divisor = torch.tensor(temperatures[arm, seed, fold]).nan_to_num(nan=1.0).float()[:, None, None]
            first = len(own.validation)
            for k, n in enumerate(own.held_out):
                logits = torch.from_numpy(np.array(own.logits[first + k]))
                levels[n] = quantise(logits / divisor).numpy()
        found[arm, seed] = replace(held, tempered=levels)
    return found


def of_arms(
    cohort: Cohort,
    opened: Mapping[tuple[str, int], Held],
    asked: Mapping[str, Mapping],
    temperatures: Mapping[Training, np.ndarray],
    merge: str,
) -> pd.DataFrame:
    """Every metric of every training, on the frames that it held out: arm, seed, fold, patient_id, clip_id,
    frame, feature, metric, value.

    asked: all parameters of each arm's training. merge: the one map that all arms are measured on. Metrics:
    `evaluate`; `iou_untrained` is of the same network before training, at the cut that suited it best; tuned
    on validation and of no image (patient_id blank): `cut` (a probability) and `temperature` (one a feature).
    """
    parts, read = [], _reader(cohort, merge)
    for key, own in _trainings(opened):
        rows = [_tuned(own.cut, temperatures[key], cohort.features)]
        if len(own.held_out):
            size, first = own.labelled.shape[-1], len(own.validation)
            fitted, labels = read(own.validation, size), read(own.held_out, size)
            untrained, arm = torch.from_numpy(np.array(own.untrained)), asked[key[0]]
            t = arm["label_threshold"]
            cut = cuts.own(untrained[:first], fitted.confidence, fitted.known, t)
            scores = _scores(own, untrained[first:] >= cut, labels, arm)
            rows.insert(0, _tidy(scores, labels.table, cohort.features))
        same = dict(zip(("arm", "seed", "fold"), key, strict=True))
        parts.append(pd.concat(rows, ignore_index=True).assign(**same))
    columns = ["arm", "seed", "fold", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    return pd.concat(parts, ignore_index=True)[columns]


def _scores(own: Predictions, before: Tensor, labels: Labels, arm: Mapping) -> dict[str, Tensor]:
    """Every metric of the held-out images, (n, C), a few images at a time; NaN where a feature is unknown.

    before: masks of the untrained network, bool (n, C, S, S).
    """
    parts, first = [], len(own.validation)
    for k in np.array_split(np.arange(len(before)), len(before) // PORTION + 1):
        c = labels.confidence[k].float() / 255
        logits = torch.from_numpy(np.array(own.logits[first + k]))
        scores = evaluate(logits, c, arm, [labels.spacing[n] for n in k], own.cut)
        y = confidence.targets(c, arm["label_threshold"])
        scores["iou_untrained"] = metrics.labelled_iou(before[k], y)
        known = labels.known[k]
        parts.append({name: torch.where(known, value, torch.nan) for name, value in scores.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _tidy(scores: dict[str, Tensor], table: pd.DataFrame, features: tuple[str, ...]) -> pd.DataFrame:
    images = table[["patient_id", "clip_id", "frame"]].loc[table.index.repeat(len(features))]
    images = images.assign(feature=list(features) * len(table)).reset_index(drop=True)
    long = [images.assign(metric=name, value=value.flatten().numpy()) for name, value in scores.items()]
    return pd.concat(long, ignore_index=True)


def _tuned(cut: int, temperatures: np.ndarray, features: tuple[str, ...]) -> pd.DataFrame:
    """What was tuned on validation images, as rows of the metrics."""
    own = {"patient_id": "", "clip_id": "", "frame": -1}
    rows = [{**own, "feature": "", "metric": "cut", "value": cut / 255}]
    each = zip(features, temperatures, strict=True)
    rows += [{**own, "feature": name, "metric": "temperature", "value": t} for name, t in each]
    return pd.DataFrame(rows)


def evaluate(
    logits: Tensor, c: Tensor, arm: Mapping, spacing: list[tuple[float, float]], cut: int
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
        **metrics.trimap_cross_entropy(logits, c),
    }


def _of_masks(predicted: Tensor, y: Tensor, spacing: list[tuple[float, float]]) -> dict[str, Tensor]:
    area = torch.tensor([h * v for h, v in spacing], device=predicted.device)
    return {
        "iou": metrics.labelled_iou(predicted, y),
        "iou_plain": metrics.plain_iou(predicted, y),
        "false_area_mm2": metrics.false_area(predicted, y, area),
        "surface_dice": torch.where(y.any((-2, -1)), metrics.surface_dice(predicted, y, spacing), torch.nan),
    }
