"""Common ground: what every arm is measured on alike, whatever labels it was shown.

Held-out frames come in portions: only the arms' predictions, a byte a pixel, grow with their number. `opened`
maps (arm, seed) to held.Held everywhere: uint8 probabilities of all labelled frames, 255 = 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb import cohort as cohorts
from lusnb import confidence, metrics, soft_metrics
from lusnb.cohort import Cohort
from lusnb.held import Held

BAND = 5  # pixels of dilation: foreground and its surround, where the background does not dominate
PORTION = 2**21  # pixels of labels held at once
TIDY = ["arm", "seed", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
BINS = 20
CURVE = ["arm", "seed", "pixels", "scaled", "against", "feature", "bin", "count", "predicted", "observed"]
ALL = "all"  # the feature of a row that is pooled over features


@dataclass(frozen=True)
class Ground:
    """Some held-out frames and what is known of them.

    table: clip_id, frame, patient_id, view, day. where: int (N,), their places among all labelled frames.
    labels: uint8 (N, C, S, S), 255 = 100 %; known: bool (N, C). truth, true: the same of a phantom's masks (0
    or 255); nothing is known where the cohort has no truth. near: bool (N, C, S, S), the painted pixels and a
    band of 5 pixels around them; near_truth: around what is painted or true, so that what a rater left out
    counts. spacing: mm (height, width) a pixel, one a frame.
    """

    table: pd.DataFrame
    where: np.ndarray
    labels: np.ndarray
    known: np.ndarray
    truth: np.ndarray
    true: np.ndarray
    near: np.ndarray
    near_truth: np.ndarray
    spacing: list[tuple[float, float]]


def size_of(opened: dict) -> int:
    """Pixels a side of all predictions; ValueError where arms differ, which leaves them no common labels."""
    sizes = {key: held.labelled.shape[-1] for key, held in opened.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{arm} {size} px" for (arm, _), size in sizes.items())
        raise ValueError(
            f"size: expected one size for all arms, so that they share labels, got {told}; "
            "set size in 03_train_segmentation.yaml alone."
        )
    return next(iter(sizes.values()))


def placed(cohort: Cohort, patients: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Labelled frames of some patients, and their places among all labelled frames; ValueError if none."""
    table = cohorts.labelled_frames(cohort)
    where = np.flatnonzero(table["patient_id"].isin(patients))
    if not len(where):
        raise ValueError(
            f"{cohort.folder / 'labels.csv'}: expected labelled frames of held-out patients, found none; "
            "label some, or change split in patients.csv."
        )
    return table.iloc[where].reset_index(drop=True), where


def grounds(cohort: Cohort, patients: list[str], size: int, merge: str) -> Iterator[Ground]:
    """The labelled frames of some patients at size x size, portion by portion, in the cohort's order."""
    from scipy.ndimage import binary_dilation

    table, where = placed(cohort, patients)
    step = max(1, PORTION // (len(cohort.features) * size**2))
    for first in range(0, len(table), step):
        part = table.iloc[first : first + step].reset_index(drop=True)
        labels, known = cohorts.confidence_of(cohort, part, size, merge)
        truth, true = cohorts.confidence_of(cohort, part, size, source="truth")
        near, near_truth = (
            binary_dilation(there, np.ones((1, 1, 3, 3), bool), iterations=BAND)
            for there in (labels > 0, (labels > 0) | (truth > 0))
        )
        spacing = [cohorts.pixel_mm(cohort, clip_id, size) for clip_id in part["clip_id"]]
        yield Ground(part, where[first : first + step], labels, known, truth, true, near, near_truth, spacing)


def fractions(levels: np.ndarray) -> Tensor:
    """uint8, 255 = 1, as float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(levels)).float() / 255


def masked(scores: Tensor, known: np.ndarray) -> np.ndarray:
    """Scores (N, C), NaN where a feature is not known."""
    return np.where(known, scores.numpy(), np.nan)


def scored(
    cohort: Cohort,
    patients: list[str],
    opened: dict,
    merge: str,
    score: Callable[[object, Ground], dict[object, np.ndarray]],
    size: int | None = None,
) -> dict[tuple, pd.DataFrame]:
    """Apply `score` to each prediction and portion, and put the portions together.

    score(held, ground): name -> (n, C). Returns for each key of `opened` a table: patient_id, clip_id, frame,
    feature, metric (the name), value. The scores' place is made at the start: small tables made between large
    arrays would scatter over the memory and keep it.
    """
    table, where = placed(cohort, patients)
    sheets: dict[tuple, dict] = {key: {} for key in opened}
    for ground in grounds(cohort, patients, size or size_of(opened), merge):
        rows = np.searchsorted(where, ground.where)
        for key, held in opened.items():
            for name, value in score(held, ground).items():
                if name not in sheets[key]:
                    sheets[key][name] = np.full((len(table), len(cohort.features)), np.nan)
                sheets[key][name][rows] = value
    return {key: tidy(table, cohort.features, sheet) for key, sheet in sheets.items()}


def tidy(table: pd.DataFrame, features: tuple[str, ...], scores: dict[object, np.ndarray]) -> pd.DataFrame:
    """Scores (N, C) by name, one row each: patient_id, clip_id, frame, feature, metric, value."""
    images = table[["patient_id", "clip_id", "frame"]]
    images = images.loc[images.index.repeat(len(features))].assign(feature=list(features) * len(images))
    parts = [images.assign(metric=name, value=value.ravel()) for name, value in scores.items()]
    return pd.concat(parts, ignore_index=True)


# -- scores


def scores_of(held: Held, ground: Ground, compared_at: float) -> dict[str, np.ndarray]:
    """Scores (N, C) of an arm against labels that do not depend on it: the same images count for every arm.

    Masks are at the arm's own cut, and under `<name>_fixed` at 0.5. Against the labels >= compared_at, where
    these are not empty: `iou`, `surface_dice` (1 mm), `hausdorff95` (mm; the frame's diagonal where nothing
    is drawn) and `missed` (1 where nothing is drawn); where they are empty: `false_area_mm2` and
    `painted_empty` (1 where anything is drawn); on all images `overlap_px` and `union_px`, whose sums give
    the pooled IoU. Where the truth is known, in the same way: `truth_iou`, `truth_false_area_mm2`,
    `truth_painted_empty`, `truth_overlap_px`, `truth_union_px`. Against the graded label, reading
    probabilities as they are: those of soft_metrics.level_dice.
    """
    levels = np.asarray(held.labelled[ground.where])
    stored, cut = torch.from_numpy(levels), torch.from_numpy(held.cuts[ground.where])[:, None, None, None]
    c = fractions(ground.labels)
    y, truth = confidence.targets(c, compared_at), torch.from_numpy(ground.truth >= metrics.CUT)

    def against_labels(predicted: Tensor) -> dict[str, Tensor]:
        missed = torch.where(y.any((-2, -1)), (~predicted.any((-2, -1))).float(), torch.nan)
        return _overlaps(predicted, y, ground) | _distances(predicted, y, ground.spacing) | {"missed": missed}

    found = metrics.at_both(stored, cut, against_labels) | soft_metrics.level_dice(fractions(levels), c)
    found = {name: masked(value, ground.known) for name, value in found.items()}
    if ground.true.any():
        true = metrics.at_both(stored, cut, lambda predicted: _overlaps(predicted, truth, ground))
        found |= {f"truth_{name}": masked(value, ground.true) for name, value in true.items()}
    return found


def _overlaps(predicted: Tensor, y: Tensor, ground: Ground) -> dict[str, Tensor]:
    """What masks, bool (N, C, S, S), share with a label and draw beside it, each (N, C)."""
    area = torch.tensor([down * across for down, across in ground.spacing])
    return {
        "iou": metrics.labelled_iou(predicted, y),
        "false_area_mm2": metrics.false_area(predicted, y, area),
        "painted_empty": metrics.falsely_painted(predicted, y),
        "overlap_px": (predicted & y).sum((-2, -1)).double(),
        "union_px": (predicted | y).sum((-2, -1)).double(),
    }


def _distances(predicted: Tensor, y: Tensor, spacing: list[tuple[float, float]]) -> dict[str, Tensor]:
    """`surface_dice` and `hausdorff95`, (N, C), computed for the pairs of masks that have them alone.

    Where the label is not empty and nothing is drawn: 0, and the frame's diagonal, the farthest that any mask
    could be off, so that leaving labels out is no way to a short distance.
    """
    drawn, labelled = predicted.any((-2, -1)), y.any((-2, -1))
    n, k = torch.nonzero(drawn & labelled, as_tuple=True)
    mm = torch.tensor(spacing, dtype=torch.float64)
    measurable = labelled & mm.isfinite().all(1)[:, None]
    surface = torch.where(measurable, 0.0, torch.nan)
    diagonal = (mm * torch.tensor(y.shape[-2:])).square().sum(1).sqrt()[:, None].float()
    distance = torch.where(measurable, diagonal, torch.nan)
    if len(n):
        pairs = (predicted[n, k][:, None], y[n, k][:, None], [tuple(row) for row in mm[n].tolist()])
        surface[n, k] = metrics.surface_dice(*pairs)[:, 0]
        distance[n, k] = soft_metrics.hausdorff95(*pairs)[:, 0].float()
    return {"surface_dice": surface, "hausdorff95": distance}


def images(cohort: Cohort, patients: list[str], opened: dict, merge: str, compared_at: float) -> pd.DataFrame:
    """`scores_of` every arm and seed, per image and feature, NaN where one is not defined.

    Columns: arm, seed, patient_id, clip_id, frame, feature, metric, value; arm by arm.
    """
    found = scored(cohort, patients, opened, merge, lambda held, g: scores_of(held, g, compared_at))
    parts = [table.assign(arm=arm, seed=seed) for (arm, seed), table in found.items()]
    return pd.concat(parts, ignore_index=True)[TIDY]


# -- reliability


def against(ground: Ground, own: float | None = None) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """What predictions are held against: (pixels, against, labels uint8, chosen bool), all (N, C, S, S).

    pixels: 'all', or 'band' for the painted (or true) ones and the band around them. against: 'labels', as
    graded; 'own', the labels >= `own`, which is what an arm of that threshold estimates; or 'truth'.
    """
    targets = [("labels", ground.labels, ground.known, ground.near)]
    if own is not None:
        cut = confidence.targets(ground.labels / 255, own) * np.uint8(255)
        targets.append(("own", cut, ground.known, ground.near))
    for name, levels, known, near in (*targets, ("truth", ground.truth, ground.true, ground.near_truth)):
        if known.any():
            everywhere = np.broadcast_to(known[:, :, None, None], levels.shape)
            yield ALL, name, levels, everywhere
            yield "band", name, levels, everywhere & near


def counts(
    cohort: Cohort, patients: list[str], opened: dict, merge: str, targets: pd.Series | None = None
) -> dict[tuple, np.ndarray]:
    """Pixels at each stored probability and the sum of their labels, exact: every pixel counts.

    Counts of images add up, so memory does not grow with their number. targets: of each arm the threshold of
    its target, NaN where it has grades; none: 'own' is left out. Returns (arm, seed, pixels, scaled, against)
    -> float64 (C, 2, 256), see soft_metrics.level_counts; scaled is 'raw' or 'tempered'.
    """
    sums: dict[tuple, np.ndarray] = {}
    for ground in grounds(cohort, patients, size_of(opened), merge):
        for (arm, seed), held in opened.items():
            own = None if targets is None or np.isnan(targets[arm]) else targets[arm]
            held_against = list(against(ground, own))
            for scaled, stored in (("raw", held.labelled), ("tempered", held.tempered)):
                levels = stored[ground.where]
                for pixels, name, labels, chosen in held_against:
                    key = (arm, seed, pixels, scaled, name)
                    sums[key] = sums.get(key, 0) + soft_metrics.level_counts(levels, labels, chosen)
    return {key: sums[key] for key in _ordered(sums, opened)}


def _ordered(sums: dict, opened: dict) -> list[tuple]:
    """Keys arm by arm, as `opened` has them, each arm's in the order in which they were counted."""
    return [key for own in opened for key in sums if key[:2] == own]


def curve(counted: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Reliability of counts (2, 256): bin, count, predicted and observed (means, NaN in an empty bin)."""
    return pd.DataFrame({"bin": range(bins), **metrics.reliability(counted, bins)})


def curves(counted: dict[tuple, np.ndarray], features: tuple[str, ...]) -> pd.DataFrame:
    """Reliability curves of `counts`, pooled over features and of each.

    Columns: arm, seed, pixels ('all' or 'band'), scaled ('raw' or 'tempered'), against ('labels', 'own' or
    'truth'), feature ('all' or one), bin, count, predicted, observed.
    """
    parts = []
    for (arm, seed, pixels, scaled, name), sums in counted.items():
        same = {"arm": arm, "seed": seed, "pixels": pixels, "scaled": scaled, "against": name}
        for feature, own in zip((ALL, *features), (sums.sum(0), *sums), strict=True):
            parts.append(curve(own).assign(**same, feature=feature))
    return pd.concat(parts, ignore_index=True)[CURVE]
