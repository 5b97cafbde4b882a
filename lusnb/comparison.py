"""Arms side by side, from what each left on disk: every training against every evaluation threshold."""

import numpy as np
import pandas as pd
import torch

from lusnb import cohort as cohorts
from lusnb import confidence, metrics
from lusnb.cohort import Cohort
from lusnb.predictions import Predictions
from lusnb.tables import feature_means, macro, patient_means

BAND = 5  # pixels of dilation: foreground and its surround, where the background does not dominate


def held_out(cohort: Cohort, patients: list[str], predictions: Predictions, merge: str) -> tuple:
    """Labelled frames of some patients at the predictions' size: (table, positions, maps uint8, known)."""
    table = cohorts.labelled_frames(cohort)
    where = np.flatnonzero(table["patient_id"].isin(patients))
    chosen = table.iloc[where].reset_index(drop=True)
    maps, known = cohorts.confidence_of(cohort, chosen, predictions.labelled.shape[-1], merge)
    return chosen, where, maps, known


def across_thresholds(
    cohort: Cohort,
    patients: list[str],
    arm: str,
    predictions: Predictions,
    merge: str,
    thresholds: list[float],
) -> pd.DataFrame:
    """IoU of one arm's predictions (cut 0.5) against the labels at every threshold, label-non-empty images.

    Columns: arm, threshold, patient_id, clip_id, frame, feature, metric, value.
    """
    table, where, maps, known = held_out(cohort, patients, predictions, merge)
    predicted = torch.from_numpy(predictions.labelled[where] >= metrics.CUT)
    c = torch.from_numpy(maps).float() / 255
    parts = []
    for t in thresholds:
        iou = metrics.labelled_iou(predicted, confidence.targets(c, t)).numpy()
        iou = np.where(known, iou, np.nan)
        for k, feature in enumerate(cohort.features):
            same = {"arm": arm, "threshold": t, "feature": feature, "metric": "iou", "value": iou[:, k]}
            parts.append(table[["patient_id", "clip_id", "frame"]].assign(**same))
    return pd.concat(parts, ignore_index=True)


def across_all(
    cohort: Cohort, patients: list[str], opened: dict, merge: str, thresholds: list[float]
) -> pd.DataFrame:
    """`across_thresholds` of every arm and seed. opened: (arm, seed) -> Predictions."""
    parts = [
        across_thresholds(cohort, patients, arm, found, merge, thresholds).assign(seed=seed)
        for (arm, seed), found in opened.items()
    ]
    return pd.concat(parts, ignore_index=True)


def patient_values(scores: pd.DataFrame, patients: list[str], threshold: float) -> pd.DataFrame:
    """IoU against the labels at one threshold: one row a patient, one column an arm; mean over features."""
    means = patient_means(scores[scores["threshold"] == threshold], patients)
    return means.pivot_table(index="patient_id", columns="arm", values="value", aggfunc="mean", sort=False)


def matrix(scores: pd.DataFrame, patients: list[str], arms: list[str]) -> pd.DataFrame:
    """Macro IoU: one row an arm, one column an evaluation threshold. scores: from `across_thresholds`."""
    columns = {
        t: macro(feature_means(part, patients)).reindex(columns=["iou"])["iou"]
        for t, part in scores.groupby("threshold", sort=True)
    }
    return pd.DataFrame(columns).reindex(arms)


def reliability(
    cohort: Cohort, patients: list[str], arm: str, predictions: Predictions, merge: str
) -> pd.DataFrame:
    """Reliability of one arm against raw confidence, over all pixels and over the painted ones and a band.

    Columns: arm, pixels ('all' or 'band'), bin, count, predicted, observed.
    """
    from scipy.ndimage import binary_dilation

    _, where, maps, known = held_out(cohort, patients, predictions, merge)
    levels = predictions.labelled[where]
    all_pixels = np.broadcast_to(known[:, :, None, None], maps.shape)
    near = binary_dilation(maps > 0, np.ones((1, 1, 3, 3), bool), iterations=BAND)
    parts = []
    for pixels, chosen in (("all", all_pixels), ("band", near & all_pixels)):
        curve = pd.DataFrame(metrics.reliability(levels[chosen], maps[chosen]))
        parts.append(curve.rename_axis("bin").reset_index().assign(arm=arm, pixels=pixels))
    columns = ["arm", "pixels", "bin", "count", "predicted", "observed"]
    return pd.concat(parts, ignore_index=True)[columns]


def reliability_all(cohort: Cohort, patients: list[str], opened: dict, merge: str) -> pd.DataFrame:
    """`reliability` of every arm, its first seed. opened: (arm, seed) -> Predictions."""
    first = {arm: found for (arm, _), found in reversed(opened.items())}
    parts = [reliability(cohort, patients, arm, first[arm], merge) for arm in reversed(first)]
    return pd.concat(parts, ignore_index=True)


def calibration(curves: pd.DataFrame) -> pd.DataFrame:
    """ECE, ACE and MCE per arm and pixel set: one row each."""
    rows = []
    for (arm, pixels), curve in curves.groupby(["arm", "pixels"], sort=False):
        arrays = {name: curve[name].to_numpy() for name in ("count", "predicted", "observed")}
        rows.append({"arm": arm, "pixels": pixels, **metrics.calibration_error(arrays)})
    return pd.DataFrame(rows)
