"""Raters' levels mapped to what the others mean by them, learnt from the training patients alone."""

import numpy as np
import pandas as pd

from lusnb.cohort.arrays import ALL, looked, ordered
from lusnb.cohort.cohort import Cohort
from lusnb.confidence import LEVELS

COUNTS = ["patient_id", "rater", "feature", "level"]
MAPS = ["rater", "feature", "level", "pixels", "consensus", "mapped"]
GAINS = ["rater", "feature", "patients", "pixels", "before", "after"]


def joint_counts(cohort: Cohort, patients: list[str]) -> pd.DataFrame:
    """What the other raters say where a rater says each level, over every pixel of these patients; exact.

    The others' consensus is the mean of the maps of the same frame and feature without the rater's own, a
    fraction. Columns: patient_id, rater, feature, level (0 to 255), pixels, total and squares (sums of the
    consensus and of its square); levels never said have no row.
    """
    sums: dict[tuple[str, str, str], np.ndarray] = {}
    for (patient, _, _, feature), raters, maps in looked(cohort, patients):
        for a, rater in enumerate(raters if len(raters) > 1 else []):
            consensus = np.delete(maps, a, axis=0).mean(axis=0).ravel() / 255
            weights = (None, consensus, consensus**2)
            counted = np.stack([np.bincount(maps[a].ravel(), w, 256) for w in weights])
            key = (patient, rater, feature)
            sums[key] = sums.get(key, 0) + counted
    rows = [(*key, k, *c[:, k]) for key, c in sums.items() for k in np.flatnonzero(c[0])]
    table = pd.DataFrame(rows, columns=[*COUNTS, "pixels", "total", "squares"]).astype({"pixels": int})
    return ordered(cohort, table, ["rater", "feature", "patient_id", "level"])


def fit(cohort: Cohort, patients: list[str]) -> pd.DataFrame:
    """For each rater the non-decreasing map from a level to the consensus of the other raters.

    Isotonic regression (scikit-learn) on the pixels of `patients` alone, the training patients: the others'
    mean at each level, weighted by pixels, features pooled. Levels never said lie on the line between their
    neighbours; beyond the last one they keep its value. Unpainted pixels stay 0 and are no part of the fit,
    so that c > 0 still means that the rater painted: they are most pixels, and what the others say there
    tells what the rater misses, which no map of levels can put in its place.

    Columns: rater, feature ('all'), level (0 to 255), pixels, consensus (the others' mean at this level, a
    fraction; NaN where it was never said), mapped (a fraction). No rows for a rater who painted nothing that
    another looked at: nothing to harmonise.
    """
    counts, tables = joint_counts(cohort, patients), [pd.DataFrame(columns=MAPS)]
    for rater, group in counts.groupby("rater", sort=False):
        sums = group.groupby("level")[["pixels", "total"]].sum().reindex(LEVELS, fill_value=0)
        if sums.loc[1:, "pixels"].any():
            tables.append(_isotonic(sums).assign(rater=rater, feature=ALL)[MAPS])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _isotonic(sums: pd.DataFrame) -> pd.DataFrame:
    """One rater's map. sums: pixels and total of the consensus, one row for each of the 256 levels."""
    from sklearn.isotonic import IsotonicRegression

    pixels = sums["pixels"].to_numpy()
    consensus = np.divide(sums["total"], pixels, out=np.full(256, np.nan), where=pixels > 0)
    said = np.flatnonzero((pixels > 0) & (LEVELS > 0))
    regression = IsotonicRegression(y_min=0, y_max=1)
    fitted = regression.fit(said, consensus[said], sample_weight=pixels[said]).predict(said)
    mapped = np.interp(LEVELS, np.append(0, said), np.append(0, fitted))
    return pd.DataFrame({"level": LEVELS, "pixels": pixels, "consensus": consensus, "mapped": mapped})


def mappings(table: pd.DataFrame, features: tuple[str, ...]) -> dict[tuple[str, str], np.ndarray]:
    """The maps of `fit`'s table, an array indexed by level: (rater, feature) -> uint8 (256,), 255 = 100 %."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for rater, group in table.groupby("rater", sort=False):
        levels = np.rint(255 * group.sort_values("level")["mapped"].to_numpy(float)).astype(np.uint8)
        found |= {(rater, name): levels for name in features}
    return found


def gain(cohort: Cohort, patients: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """How far each rater is from the others' consensus before and after harmonisation, where it painted.

    table: of `fit`. patients: others than those it was fitted on, since on these it cannot do worse. Columns:
    rater, feature ('all'), patients, pixels (painted by the rater), before, after (root mean square
    difference to the others' consensus, a fraction; exact over all these pixels).
    """
    counts = joint_counts(cohort, patients).query("level > 0").assign(feature=ALL)
    joined = counts.merge(table[["rater", "feature", "level", "mapped"]], on=["rater", "feature", "level"])
    for name, own in (("before", joined["level"] / 255), ("after", joined["mapped"].astype(float))):
        joined[name] = joined["squares"] - 2 * own * joined["total"] + own**2 * joined["pixels"]
    groups = joined.groupby(["rater", "feature"], sort=False)
    found = groups[["pixels", "before", "after"]].sum().assign(patients=groups["patient_id"].nunique())
    off = found[["before", "after"]].clip(lower=0).div(found["pixels"], axis=0) ** 0.5
    return found.assign(**off).reset_index()[GAINS]
