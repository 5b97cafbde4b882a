"""Arms side by side: every training against every threshold, all on common ground, and beside the raters."""

from itertools import product

import numpy as np
import pandas as pd
import torch

from lusnb import agreement, common, confidence, metrics, soft_metrics, stats
from lusnb import arms as describe
from lusnb import cohort as cohorts
from lusnb.cohort import Cohort
from lusnb.common import Ground
from lusnb.held import Held
from lusnb.predictions import FIXED
from lusnb.tables import macro

SCORES = ("iou", "truth_iou", "surface_dice", "hausdorff95", "missed")  # where there is something to find
FALSE = ("painted_empty", "false_area_mm2", "truth_painted_empty", "truth_false_area_mm2")  # where nothing is
GRADED = ("level_dice", "level_dice_marked")  # these read probabilities as they are: no cut
RANKED = (*(f"{name}{end}" for name in (*SCORES, *FALSE) for end in ("", FIXED)), *GRADED)
TESTED = ("iou", "truth_iou", f"iou{FIXED}", f"truth_iou{FIXED}")  # in which pairs of arms are tested
CURVES = ["arm", "seed", "pixels", "scaled", "against", "feature"]
RATERS = ["arm", "feature", "rater", "model", "model_fixed", "others", "pairs", "patients", "images"]


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
        masks = held.labelled[ground.where] >= metrics.CUT if fixed else held.masks(ground.where)
        c = common.fractions(ground.labels)
        scores = {
            t: metrics.labelled_iou(torch.from_numpy(masks), confidence.targets(c, t)) for t in thresholds
        }
        return {t: common.masked(value, ground.known) for t, value in scores.items()}

    found = common.scored(cohort, patients, opened, merge, score)
    parts = [
        table.rename(columns={"metric": "threshold"}).assign(arm=arm, seed=seed, metric="iou")
        for (arm, seed), table in found.items()
    ]
    return pd.concat(parts, ignore_index=True)[[*common.TIDY[:2], "threshold", *common.TIDY[2:]]]


def matrix(scores: pd.DataFrame, patients: list[str], arms: list[str]) -> pd.DataFrame:
    """Mean IoU (tables.macro): a row an arm, a column an evaluation threshold. scores: of `across_all`."""
    columns = {
        t: macro(part, patients).reindex(columns=["iou"])["iou"]
        for t, part in scores.groupby("threshold", sort=True)
    }
    return pd.DataFrame(columns).reindex(arms)


# -- ranking


def intervals(by_patient: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Mean over patients with its 95 % interval, blank under 6 patients: arm, metric, patients, mean,
    low, high. by_patient: from tables.patient_scores; the ranked metrics alone."""
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

    by_patient: from tables.patient_scores. arms: of arms.table. pairs: each 'arm - reference'; none: those of
    arms.pairs. Columns: metric, then those of stats.compare_pairs. Raises ValueError for a pair of unknown
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


def calibration(curves: pd.DataFrame) -> pd.DataFrame:
    """ECE, ACE and MCE of each curve of common.curves: one row each."""
    rows = []
    for key, curve in curves.groupby(CURVES, sort=False):
        arrays = {name: curve[name].to_numpy() for name in ("count", "predicted", "observed")}
        rows.append(
            {**dict(zip(CURVES, key, strict=True)), **metrics.calibration_error(arrays)},
        )
    return pd.DataFrame(rows, columns=[*CURVES, "ece", "ace", "mce"])


def calibration_columns(errors: pd.DataFrame) -> pd.DataFrame:
    """Errors of `calibration`, features pooled, seeds averaged, as columns: one row an arm.

    Against the graded labels `<ece|ace|mce>_<band|all>[_tempered]`; against the arm's own target
    `own_ece_<...>`, and the truth `truth_ece_<...>`.
    """
    pooled = errors[errors["feature"] == common.ALL]
    columns = {}
    for (name, pixels, scaled), rows in pooled.groupby(["against", "pixels", "scaled"], sort=False):
        end = f"{pixels}_tempered" if scaled == "tempered" else pixels
        means = rows.groupby("arm")[["ece", "ace", "mce"]].mean()
        if name == "labels":
            columns |= {f"{error}_{end}": means[error] for error in means}
        else:
            columns[f"{name}_ece_{end}"] = means["ece"]
    return pd.DataFrame(columns)


def pooled_iou(images: pd.DataFrame) -> pd.DataFrame:
    """IoU with intersections and unions summed over all images, label-empty ones too: one row an arm.

    What is drawn where nothing is lowers it. Mean over the features that are labelled at all. Columns:
    `pooled_iou[_fixed]` and, where the truth is known, `truth_pooled_iou[_fixed]`. images: of common.images.
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

    images: common.images. errors: `calibration`. arms: index arm, columns shown and group. Columns: arm,
    shown, patients, label_images and empty_images (images and features with a label to find, and without),
    then RANKED, each the mean over patients of tables.patient_scores, `pooled_iou`, `calibration_columns`.
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


def against_raters(cohort: Cohort, patients: list[str], opened: dict, threshold: float = 0.5) -> pd.DataFrame:
    """Dice of each arm with each rater, beside what the other raters reach with that rater.

    Masks of raters are >= threshold with the tolerance of labels; the model's are at its own cut, and as
    model_fixed at 0.5. Only images that two or more raters looked at and on which this rater marked
    something: the same for model and raters, and for all arms. Mean over patients of their means over images;
    seeds averaged. Columns: arm, feature, rater, model, model_fixed, others (the mean map of the other
    raters), pairs (mean over the other raters one by one), patients, images. No rows where no two raters
    share an image.
    """
    names = sorted(cohort.labels["rater"].unique())
    table, where = common.placed(cohort, patients)
    size, found = common.size_of(opened), []
    for place, frame in zip(where if len(names) > 1 else [], table.itertuples(), strict=False):
        row = table[frame.Index : frame.Index + 1]
        maps, known = (array[0] for array in cohorts.raters_of(cohort, row, size))  # (R, C, S, S), (R, C)
        for k in np.flatnonzero(known.sum(0) > 1):
            looked = np.flatnonzero(known[:, k])
            drawn = {names[r] for r in looked if confidence.targets(maps[r, k] / 255, threshold).any()}
            raters, own = maps[looked, k], [names[r] for r in looked]
            for (arm, _), held in opened.items():
                masks = {"model": held.masks(np.array([place]))[0, k]}
                masks["model_fixed"] = held.labelled[place, k] >= metrics.CUT
                dice = soft_metrics.rater_dice(masks, raters, own, threshold)
                same = {"arm": arm, "feature": cohort.features[k], "patient_id": frame.patient_id}
                found.append(dice[dice["rater"].isin(drawn)].assign(place=place, **same))
    arms = list(dict.fromkeys(arm for arm, _ in opened))
    return (
        _rater_means(pd.concat(found), [*arms, *cohort.features]) if found else pd.DataFrame(columns=RATERS)
    )


def _rater_means(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    keys, values = ["arm", "feature", "rater"], ["model", "model_fixed", "others", "pairs"]
    patients = table.groupby([*keys, "patient_id"])[values].mean()
    counts = {"patients": patients.groupby(keys).size(), "images": table.groupby(keys)["place"].nunique()}
    means = patients.groupby(keys)[values].mean().assign(**counts).reset_index()
    place = {name: k for k, name in enumerate(order)}
    return means.sort_values(keys, key=lambda c: c if c.name == "rater" else c.map(place), ignore_index=True)


def raters_told(cohort: Cohort, table: pd.DataFrame) -> str:
    """One sentence on who labelled, and whether models stand beside raters. table: `against_raters`."""
    if len(table):
        return (
            f"{agreement.told(cohort)}; up to {table['images'].max()} held-out images of a rater and feature"
        )
    return f"{agreement.told(cohort)}; no two raters share a held-out image, so no model stands beside them"
