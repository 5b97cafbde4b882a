"""Arms side by side: every training against every threshold, all on common ground, and beside the raters."""

import numpy as np
import pandas as pd
import torch

from lusnb import agreement, common, confidence, metrics, soft_metrics, stats
from lusnb import cohort as cohorts
from lusnb.arms import named_pairs
from lusnb.cohort import Cohort
from lusnb.common import Ground
from lusnb.held import Held
from lusnb.tables import feature_means, macro

RANKED = ("iou", "level_dice", "level_dice_marked", "surface_dice", "hausdorff95", "truth_iou")
TESTED = ("iou", "truth_iou")  # in which pairs of arms are tested
CURVES = ["arm", "seed", "pixels", "scaled", "against", "feature"]
RATERS = ["arm", "feature", "rater", "model", "others", "pairs", "patients", "images"]


# -- every threshold


def across_all(
    cohort: Cohort, patients: list[str], opened: dict, merge: str, thresholds: list[float]
) -> pd.DataFrame:
    """IoU of each arm's predictions (cut 0.5) against the labels at every threshold, label-non-empty images.

    opened: (arm, seed) -> Held. Columns: arm, seed, threshold, patient_id, clip_id, frame, feature, metric,
    value; arm by arm.
    """

    def score(held: Held, ground: Ground) -> dict[float, np.ndarray]:
        predicted = torch.from_numpy(held.labelled[ground.where] >= metrics.CUT)
        c = common.fractions(ground.labels)
        targets = {t: confidence.targets(c, t) for t in thresholds}
        return {
            t: common.masked(metrics.labelled_iou(predicted, y), ground.known) for t, y in targets.items()
        }

    found = common.scored(cohort, patients, opened, merge, score)
    parts = [
        table.rename(columns={"metric": "threshold"}).assign(arm=arm, seed=seed, metric="iou")
        for (arm, seed), table in found.items()
    ]
    return pd.concat(parts, ignore_index=True)[[*common.TIDY[:2], "threshold", *common.TIDY[2:]]]


def matrix(scores: pd.DataFrame, patients: list[str], arms: list[str]) -> pd.DataFrame:
    """Macro IoU: one row an arm, one column an evaluation threshold. scores: from `across_all`."""
    columns = {
        t: macro(feature_means(part, patients)).reindex(columns=["iou"])["iou"]
        for t, part in scores.groupby("threshold", sort=True)
    }
    return pd.DataFrame(columns).reindex(arms)


# -- ranking


def intervals(by_patient: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Mean over patients with its 95 % BCa interval, blank under 6 patients: arm, metric, patients, mean,
    low, high. by_patient: from tables.patient_scores; the ranked metrics alone."""
    rows = []
    for (arm, metric), group in by_patient.groupby(["arm", "metric"], sort=False):
        if metric in RANKED:
            values = group.sort_values("patient_id")["value"].to_numpy()
            rows.append((arm, metric, len(values), values.mean(), *stats.interval(values, rng)))
    return pd.DataFrame(rows, columns=["arm", "metric", "patients", "mean", "low", "high"])


def differences(
    by_patient: pd.DataFrame, arms: list[str], rng: np.random.Generator, pairs: list[str] | None = None
) -> pd.DataFrame:
    """Pairs of arms tested in each metric of TESTED that there is; Holm within a metric.

    by_patient: from tables.patient_scores. pairs: each 'arm - reference'; none: each arm against the first.
    Columns: metric, then those of stats.compare_pairs. Raises ValueError for a pair of unknown arms.
    """
    asked = named_pairs(pairs, arms) if pairs else [(arm, arms[0]) for arm in arms[1:]]
    parts = [stats.compare_pairs(pd.DataFrame(columns=arms, dtype=float), [], rng).assign(metric="")]
    for metric in TESTED:
        rows = by_patient[by_patient["metric"] == metric]
        if len(rows):
            values = rows.pivot(index="patient_id", columns="arm", values="value").sort_index()
            parts.append(stats.compare_pairs(values.reindex(columns=arms), asked, rng).assign(metric=metric))
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

    Against the labels `<ece|ace|mce>_<band|all>[_tempered]`; against the truth `truth_ece_<...>`.
    """
    pooled = errors[errors["feature"] == common.ALL]
    columns = {}
    for (name, pixels, scaled), rows in pooled.groupby(["against", "pixels", "scaled"], sort=False):
        end = f"{pixels}_tempered" if scaled == "tempered" else pixels
        means = rows.groupby("arm")[["ece", "ace", "mce"]].mean()
        if name == "truth":
            columns[f"truth_ece_{end}"] = means["ece"]
        else:
            columns |= {f"{error}_{end}": means[error] for error in means}
    return pd.DataFrame(columns)


def ranking(
    images: pd.DataFrame, errors: pd.DataFrame, arms: pd.DataFrame, patients: list[str]
) -> pd.DataFrame:
    """All arms in one table, every column on the same labels for all: one row an arm, in their order.

    images: common.images. errors: `calibration`. arms: index arm, columns shown and group. Each score is the
    mean over patients of their means over images, then over features. Columns: arm, shown, patients,
    label_images (images and features with a label to find), the scores of common.scores_of,
    no_distance (images and features where hausdorff95 is not defined since one of the two is empty; a mean
    over seeds), then `calibration_columns`. What the cohort does not have (truth, mm) is absent or blank.
    """
    chosen = images[images["patient_id"].isin(patients)]
    scores = macro(feature_means(chosen, patients)).reindex(index=arms.index)
    table = arms[["shown"]].copy()
    labelled = chosen[chosen["metric"] == "iou"].dropna(subset="value")
    table["patients"] = labelled.groupby("arm")["patient_id"].nunique()
    kept = labelled.drop_duplicates(["arm", "clip_id", "frame", "feature"])
    table["label_images"] = kept.groupby("arm").size()
    for name in RANKED:
        if name in scores or name in set(images["metric"]):
            table[name] = scores.get(name, np.nan)
        if name == "hausdorff95":
            empty = chosen[chosen["metric"] == "one_empty"].groupby(["arm", "seed"])["value"].sum()
            table["no_distance"] = empty.groupby("arm").mean()
    table = table.join(calibration_columns(errors))
    counted = ["patients", "label_images"]
    table[counted] = table[counted].fillna(0).astype(int)
    return table.rename_axis("arm").reset_index()


# -- raters


def against_raters(cohort: Cohort, patients: list[str], opened: dict, threshold: float = 0.5) -> pd.DataFrame:
    """Dice of each arm with each rater, beside what the other raters reach with that rater.

    Masks are >= threshold with the tolerance of labels, the model's too. Only images that two or more raters
    looked at and on which this rater marked something: the same for model and raters, and for all arms. Mean
    over patients of their means over images; seeds averaged. Columns: arm, feature, rater, model, others (the
    mean map of the other raters), pairs (mean over the other raters one by one), patients, images. No rows
    where no two raters share an image.
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
                dice = soft_metrics.rater_dice(held.labelled[place, k], raters, own, threshold)
                same = {"arm": arm, "feature": cohort.features[k], "patient_id": frame.patient_id}
                found.append(dice[dice["rater"].isin(drawn)].assign(place=place, **same))
    arms = list(dict.fromkeys(arm for arm, _ in opened))
    return (
        _rater_means(pd.concat(found), [*arms, *cohort.features]) if found else pd.DataFrame(columns=RATERS)
    )


def _rater_means(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    keys, values = ["arm", "feature", "rater"], ["model", "others", "pairs"]
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
