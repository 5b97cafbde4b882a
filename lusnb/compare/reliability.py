"""How far arms' probabilities can be believed on patients that they never saw: curves and their errors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lusnb import calibration, confidence
from lusnb.cohort.arrays import ALL
from lusnb.cohort.cohort import Cohort
from lusnb.compare.ground import Ground, grounds, size_of
from lusnb.segment import metrics as segment_metrics

CURVES = ["arm", "seed", "pixels", "scaled", "against", "feature"]
BINS = 20
CURVE = ["arm", "seed", "pixels", "scaled", "against", "feature", "bin", "count", "predicted", "observed"]


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
    -> float64 (C, 2, 256), see segment_metrics.level_counts; scaled is 'raw' or 'tempered'.
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
                    sums[key] = sums.get(key, 0) + segment_metrics.level_counts(levels, labels, chosen)
    return {key: sums[key] for key in _ordered(sums, opened)}


def _ordered(sums: dict, opened: dict) -> list[tuple]:
    """Keys arm by arm, as `opened` has them, each arm's in the order in which they were counted."""
    return [key for own in opened for key in sums if key[:2] == own]


def curve(counted: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Reliability of counts (2, 256): bin, count, predicted and observed (means, NaN in an empty bin)."""
    return pd.DataFrame({"bin": range(bins), **calibration.reliability(counted, bins)})


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


def calibration_errors(curves: pd.DataFrame) -> pd.DataFrame:
    """ECE, ACE and MCE of each curve of curves: one row each."""
    rows = []
    for key, curve in curves.groupby(CURVES, sort=False):
        arrays = {name: curve[name].to_numpy() for name in ("count", "predicted", "observed")}
        rows.append(
            {**dict(zip(CURVES, key, strict=True)), **calibration.calibration_error(arrays)},
        )
    return pd.DataFrame(rows, columns=[*CURVES, "ece", "ace", "mce"])


def calibration_columns(errors: pd.DataFrame) -> pd.DataFrame:
    """Errors of `calibration_errors`, features pooled, seeds averaged, as columns: one row an arm.

    Against the graded labels `<ece|ace|mce>_<band|all>[_tempered]`; against the arm's own target
    `own_ece_<...>`, and the truth `truth_ece_<...>`.
    """
    pooled = errors[errors["feature"] == ALL]
    columns: dict[str, pd.Series] = {}
    for (name, pixels, scaled), rows in pooled.groupby(["against", "pixels", "scaled"], sort=False):
        end = f"{pixels}_tempered" if scaled == "tempered" else pixels
        means = rows.groupby("arm")[["ece", "ace", "mce"]].mean()
        if name == "labels":
            columns |= {f"{error}_{end}": means[error] for error in means}
        else:
            columns[f"{name}_ece_{end}"] = means["ece"]
    return pd.DataFrame(columns)
