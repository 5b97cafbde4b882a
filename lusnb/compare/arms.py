"""Arms side by side, on common ground and at every threshold: scores, ranking, intervals, differences."""

from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb import arms as describe
from lusnb import confidence, stats
from lusnb.cohort.cohort import Cohort
from lusnb.compare.finished import Held
from lusnb.compare.ground import TIDY, Ground, fractions, masked, scored
from lusnb.compare.reliability import calibration_columns
from lusnb.segment import metrics, predictions
from lusnb.segment.averages import macro
from lusnb.segment.predictions import FIXED

SCORES = ("iou", "truth_iou", "surface_dice", "hausdorff95", "missed")  # where there is something to find
FALSE = ("painted_empty", "false_area_mm2", "truth_painted_empty", "truth_false_area_mm2")  # where nothing is
GRADED = ("level_dice", "level_dice_marked")  # these read probabilities as they are: no cut
RANKED = (*(f"{name}{end}" for name in (*SCORES, *FALSE) for end in ("", FIXED)), *GRADED)
TESTED = ("iou", "truth_iou", f"iou{FIXED}", f"truth_iou{FIXED}")  # in which pairs of arms are tested


# -- every threshold


def across_all(
    cohort: Cohort,
    patients: list[str],
    opened: dict,
    merge: str,
    thresholds: list[float],
    fixed: bool = False,
) -> pd.DataFrame:
    """IoU of each arm's predictions against the labels at every threshold, label-non-empty images.

    opened: (arm, seed) -> Held. fixed: cut at 0.5, not at the arm's own cut. Columns: arm, seed, threshold,
    patient_id, clip_id, frame, feature, metric, value; arm by arm.
    """

    def score(held: Held, ground: Ground) -> dict[float, np.ndarray]:
        masks = held.labelled[ground.where] >= predictions.CUT if fixed else held.masks(ground.where)
        c = fractions(ground.labels)
        scores = {
            t: metrics.labelled_iou(torch.from_numpy(masks), confidence.targets(c, t)) for t in thresholds
        }
        return {t: masked(value, ground.known) for t, value in scores.items()}

    found = scored(cohort, patients, opened, merge, score)
    parts = [
        table.rename(columns={"metric": "threshold"}).assign(arm=arm, seed=seed, metric="iou")
        for (arm, seed), table in found.items()
    ]
    return pd.concat(parts, ignore_index=True)[[*TIDY[:2], "threshold", *TIDY[2:]]]


def matrix(scores: pd.DataFrame, patients: list[str], arms: list[str]) -> pd.DataFrame:
    """Mean IoU (averages.macro): a row an arm, a column an evaluation threshold. scores: of `across_all`."""
    columns = {
        t: macro(part, patients).reindex(columns=["iou"])["iou"]
        for t, part in scores.groupby("threshold", sort=True)
    }
    return pd.DataFrame(columns).reindex(arms)


# -- ranking


def intervals(by_patient: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Mean over patients with its 95 % interval, blank under 6 patients: arm, metric, patients, mean,
    low, high. by_patient: from averages.patient_scores; the ranked metrics alone."""
    rows = []
    for (arm, metric), group in by_patient.groupby(["arm", "metric"], sort=False):
        if metric in RANKED:
            values = group.sort_values("patient_id")["value"].to_numpy()
            rows.append((arm, metric, len(values), values.mean(), *stats.interval(values, rng)))
    return pd.DataFrame(rows, columns=["arm", "metric", "patients", "mean", "low", "high"])


def differences(
    by_patient: pd.DataFrame, arms: pd.DataFrame, rng: np.random.Generator, pairs: list[str] | None = None
) -> pd.DataFrame:
    """Pairs of arms tested in each metric of TESTED that there is; Holm within a metric.

    by_patient: from averages.patient_scores. arms: of arms.table. pairs: each 'arm - reference'; none: those
    of arms.pairs. Columns: metric, then those of stats.compare_pairs. Raises ValueError for a pair of unknown
    arms.
    """
    asked, names = describe.pairs(arms, pairs), list(arms.index)
    parts = [stats.compare_pairs(pd.DataFrame(columns=names, dtype=float), [], rng).assign(metric="")]
    for metric in TESTED:
        rows = by_patient[by_patient["metric"] == metric]
        if len(rows):
            values = rows.pivot(index="patient_id", columns="arm", values="value").sort_index()
            parts.append(stats.compare_pairs(values.reindex(columns=names), asked, rng).assign(metric=metric))
    found = pd.concat(parts[1:] or parts, ignore_index=True)
    return found[["metric", *(name for name in found if name != "metric")]]


def pooled_iou(images: pd.DataFrame) -> pd.DataFrame:
    """IoU with intersections and unions summed over all images, label-empty ones too: one row an arm.

    What is drawn where nothing is lowers it. Mean over the features that are labelled at all. Columns:
    `pooled_iou[_fixed]` and, where the truth is known, `truth_pooled_iou[_fixed]`. images: of images.
    """
    sums = images.groupby(["metric", "arm", "feature"], sort=False)["value"].sum(min_count=1)
    found = {}
    for of, end in product(("", "truth_"), ("", FIXED)):
        overlap, union = f"{of}overlap_px{end}", f"{of}union_px{end}"
        if overlap in sums.index.get_level_values("metric"):
            labelled = images.loc[(images["metric"] == f"{of}iou") & images["value"].notna(), "feature"]
            share = (sums[overlap] / sums[union]).unstack("feature").reindex(columns=labelled.unique())
            found[f"{of}pooled_iou{end}"] = share.mean(axis=1)
    return pd.DataFrame(found)


def ranking(
    images: pd.DataFrame, errors: pd.DataFrame, arms: pd.DataFrame, patients: list[str]
) -> pd.DataFrame:
    """All arms in one table, every column on the same labels for all: one row an arm, in their order.

    images: images. errors: `calibration`. arms: index arm, columns shown and group. Columns: arm,
    shown, patients, label_images and empty_images (images and features with a label to find, and without),
    then RANKED, each the mean over patients of averages.patient_scores, `pooled_iou`, `calibration_columns`.
    What the cohort does not have (truth, mm) is absent or blank.
    """
    chosen = images[images["patient_id"].isin(patients)]
    scores = macro(chosen, patients).reindex(index=arms.index)
    table = arms[["shown"]].copy()
    for name, metric in (("label_images", "iou"), ("empty_images", "painted_empty")):
        rows = chosen[chosen["metric"] == metric].dropna(subset="value")
        if metric == "iou":
            table["patients"] = rows.groupby("arm")["patient_id"].nunique()
        kept = rows.drop_duplicates(["arm", "clip_id", "frame", "feature"])
        table[name] = kept.groupby("arm").size()
    counted = ["patients", "label_images", "empty_images"]
    table[counted] = table[counted].fillna(0).astype(int)
    there = set(images["metric"])
    table = table.assign(**{name: scores.get(name, np.nan) for name in RANKED if name in there})
    table = table.join(pooled_iou(chosen)).join(calibration_columns(errors))
    return table.rename_axis("arm").reset_index()


# -- raters


def scores_of(held: Held, ground: Ground, compared_at: float) -> dict[str, np.ndarray]:
    """Scores (N, C) of an arm against labels that do not depend on it: the same images count for every arm.

    Masks are at the arm's own cut, and under `<name>_fixed` at 0.5. Against the labels >= compared_at, where
    these are not empty: `iou`, `surface_dice` (1 mm), `hausdorff95` (mm; the frame's diagonal where nothing
    is drawn) and `missed` (1 where nothing is drawn); where they are empty: `false_area_mm2` and
    `painted_empty` (1 where anything is drawn); on all images `overlap_px` and `union_px`, whose sums give
    the pooled IoU. Where the truth is known, in the same way: `truth_iou`, `truth_false_area_mm2`,
    `truth_painted_empty`, `truth_overlap_px`, `truth_union_px`. Against the graded label, reading
    probabilities as they are: those of metrics.level_dice.
    """
    levels = np.asarray(held.labelled[ground.where])
    stored, cut = torch.from_numpy(levels), torch.from_numpy(held.cuts[ground.where])[:, None, None, None]
    c = fractions(ground.labels)
    y, truth = confidence.targets(c, compared_at), torch.from_numpy(ground.truth >= predictions.CUT)

    def against_labels(predicted: Tensor) -> dict[str, Tensor]:
        missed = torch.where(y.any((-2, -1)), (~predicted.any((-2, -1))).float(), torch.nan)
        return _overlaps(predicted, y, ground) | _distances(predicted, y, ground.spacing) | {"missed": missed}

    found = metrics.at_both(stored, cut, against_labels) | metrics.level_dice(fractions(levels), c)
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
        distance[n, k] = metrics.hausdorff95(*pairs)[:, 0].float()
    return {"surface_dice": surface, "hausdorff95": distance}


def images(cohort: Cohort, patients: list[str], opened: dict, merge: str, compared_at: float) -> pd.DataFrame:
    """`scores_of` every arm and seed, per image and feature, NaN where one is not defined.

    Columns: arm, seed, patient_id, clip_id, frame, feature, metric, value; arm by arm.
    """
    found = scored(cohort, patients, opened, merge, lambda held, g: scores_of(held, g, compared_at))
    parts = [table.assign(arm=arm, seed=seed) for (arm, seed), table in found.items()]
    return pd.concat(parts, ignore_index=True)[TIDY]
