"""Is a model unsure where the expert was? One network, Monte-Carlo dropout and deep ensembles side by side.

Members of an ensemble are averaged frame by frame: nothing but their predictions grows with their number.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lusnb import calibration
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.problems import counted
from lusnb.compare import ground as compare_ground
from lusnb.compare import reliability
from lusnb.compare.ground import Ground
from lusnb.segment import metrics as segment_metrics
from lusnb.segment import predictions
from lusnb.segment.averages import macro

KINDS = ("single", "dropout", "ensemble")
ECE = ("ece_band", "truth_ece_band")
COLUMNS = ["arm", "kind", "members", "metric", "value", "patients", "images"]


@dataclass(frozen=True)
class Model:
    """The networks whose mean is compared: key (arm, kind, number), members uint8 (N, C, S, S) each."""

    key: tuple[str, str, int]
    members: tuple[np.ndarray, ...]


def models(opened: dict, arms: pd.DataFrame) -> dict[tuple[str, str, int], tuple[np.ndarray, ...]]:
    """What is compared: (arm, kind, number) -> the probabilities that are averaged, uint8 (N, C, S, S) each.

    'single': one network, numbered by its seed; 'dropout': the same with its mean over dropout samples, where
    they were drawn; 'ensemble': all members of a group (arms: index arm, column group) with two or more arms
    or seeds, under the group's name.
    """
    found: dict[tuple[str, str, int], tuple[np.ndarray, ...]] = {}
    groups: dict[str, list[np.ndarray]] = {}
    for (arm, seed), held in opened.items():
        found[arm, "single", seed] = (held.labelled,)
        if held.dropout is not None:
            found[arm, "dropout", seed] = (held.dropout,)
        groups.setdefault(arms.at[arm, "group"], []).append(held.labelled)
    several = {(name, "ensemble", 0): tuple(own) for name, own in groups.items() if len(own) > 1}
    return found | several


def mean_of(members: tuple[np.ndarray, ...], where: np.ndarray) -> np.ndarray:
    """Mean probability of some frames over members, uint8 (n, C, S, S) to the nearest step, halves up."""
    if len(members) == 1:
        return np.asarray(members[0][where])
    total = sum(member[where].astype(np.uint32) for member in members)
    return ((2 * total + len(members)) // (2 * len(members))).astype(np.uint8)


def entropy_rank(levels: np.ndarray) -> np.ndarray:
    """A number that orders stored probabilities by their binary entropy: 0 where sure, 127 at 0.5; exact."""
    return np.minimum(levels, 255 - levels)


def auroc(ranks: np.ndarray, chosen: np.ndarray) -> float:
    """Probability that a chosen pixel has a higher rank than another, ties half; NaN without both kinds.

    ranks: from scipy.stats.rankdata, float (pixels,); chosen: bool (pixels,).
    """
    n = int(chosen.sum())
    pairs = n * (len(chosen) - n)
    return (ranks[chosen].sum() - n * (n + 1) / 2) / pairs if pairs else np.nan


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation of a prediction and a label (pixels,), ties averaged.

    NaN where the label is constant; 0 where the prediction alone is: it tells nothing, and the image counts.
    """
    if not len(one) or np.ptp(other) == 0:
        return np.nan
    if np.ptp(one) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def scores_of(levels: np.ndarray, ground: Ground) -> dict[str, np.ndarray]:
    """Scores (N, C) of probabilities, uint8 (N, C, S, S), over the painted pixels and their band.

    `spearman`: of probability with confidence. `auroc_unsure`: does entropy tell pixels where the expert was
    unsure (0 < c < 1) from sure ones. `auroc_wrong`: does it tell where the prediction (cut 0.5) is not the
    truth; images without an error there do not count, so that which do depends on the model. `level_dice`:
    see soft_metrics. NaN where nothing is painted or one of two kinds of pixels lacks.
    """
    names = ("spearman", "auroc_unsure", *(["auroc_wrong"] if ground.true.any() else []))
    found = {name: np.full(ground.known.shape, np.nan) for name in names}
    for n, k in zip(*np.nonzero(ground.known & ground.near.any((-2, -1))), strict=True):
        band = ground.near[n, k]
        level, c = levels[n, k][band], ground.labels[n, k][band]
        ranks = rankdata(entropy_rank(level))
        found["spearman"][n, k] = spearman(level, c)
        found["auroc_unsure"][n, k] = auroc(ranks, (c > 0) & (c < 255))
        if ground.true[n, k]:
            wrong = (level >= predictions.CUT) != (ground.truth[n, k][band] >= predictions.CUT)
            found["auroc_wrong"][n, k] = auroc(ranks, wrong)
    dice = segment_metrics.level_dice(
        compare_ground.fractions(levels), compare_ground.fractions(ground.labels)
    )["level_dice"]
    return found | {"level_dice": compare_ground.masked(dice, ground.known)}


def compare(
    cohort: Cohort, patients: list[str], opened: dict, arms: pd.DataFrame, merge: str
) -> pd.DataFrame:
    """Single networks, dropout and ensembles against the expert's confidence and, on phantoms, the truth.

    opened: (arm, seed) -> Held. arms: index arm, column group. Columns: arm (an ensemble: its group), kind
    ('single', 'dropout' or 'ensemble'), members (networks that vote), metric, value, patients, images (that
    count). Metrics: those of `scores_of`, in the order of averages of report/tables.py;
    `ece_band` and `truth_ece_band` of all pixels of the band, features pooled. Seeds are averaged.
    """
    asked = models(opened, arms)
    sums: dict[tuple, np.ndarray] = {}

    def score(model: Model, ground: Ground) -> dict[str, np.ndarray]:
        levels = mean_of(model.members, ground.where)
        for pixels, name, labels, chosen in reliability.against(ground):
            if pixels == "band":
                pixels_at = segment_metrics.level_counts(levels, labels, chosen).sum(0)
                sums[model.key, name] = sums.get((model.key, name), 0) + pixels_at
        return scores_of(levels, ground)

    named = {key: Model(key, members) for key, members in asked.items()}
    found = compare_ground.scored(cohort, patients, named, merge, score, compare_ground.size_of(opened))
    images = pd.concat([part.assign(arm=[key[:2]] * len(part)) for key, part in found.items()])
    rows = [_means(images, patients), _calibrated(sums)]
    table = pd.concat(rows, ignore_index=True)
    networks = {key[:2]: len(members) for key, members in asked.items()}
    table["members"] = table["arm"].map(networks)
    table[["arm", "kind"]] = table["arm"].to_list()
    place = {key: k for k, key in enumerate(networks)}
    order = pd.Series(list(zip(table["arm"], table["kind"], strict=True))).map(place)
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)[COLUMNS]


def _means(images: pd.DataFrame, patients: list[str]) -> pd.DataFrame:
    """Scores per model (arm, kind): arm, metric, value, patients, images."""
    value = macro(images, patients).stack().dropna().rename("value")
    groups = images.dropna(subset="value").groupby(["arm", "metric"], sort=False)
    patients_counted = groups["patient_id"].nunique()
    kept = images.dropna(subset="value").drop_duplicates(["arm", "metric", "clip_id", "frame"])
    return pd.DataFrame(
        {"value": value, "patients": patients_counted, "images": kept.groupby(["arm", "metric"]).size()}
    ).reset_index()


def _calibrated(sums: dict[tuple, np.ndarray]) -> pd.DataFrame:
    """Calibration errors per model (arm, kind): arm, metric, value; seeds averaged."""
    rows = []
    for (key, name), pixels_at in sums.items():
        error = calibration.calibration_error(calibration.reliability(pixels_at))
        rows.append({"arm": key[:2], "metric": ECE[name == "truth"], "value": error["ece"]})
    table = pd.DataFrame(rows)
    return table.groupby(["arm", "metric"], sort=False)["value"].mean().reset_index()


def told(table: pd.DataFrame) -> str:
    """One sentence on which of the three there are here. table: from `compare`."""
    kinds = table.drop_duplicates(["arm", "kind"])["kind"].value_counts()
    said = [f"{counted(kinds['single'], 'single network')} by arm"]
    said.append(f"{kinds['dropout']} with dropout" if "dropout" in kinds else "no arm with dropout samples")
    ensembles = table[table["kind"] == "ensemble"].drop_duplicates("arm")
    sizes = ", ".join(f"{r.arm} ({r.members} networks)" for r in ensembles.itertuples())
    said.append(f"ensembles: {sizes}" if sizes else "no ensemble (a group needs two arms or seeds alike)")
    return "; ".join(said)
