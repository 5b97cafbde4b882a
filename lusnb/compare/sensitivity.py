"""Which threshold wins against the truth, by how the rater's confidence is calibrated and how noisy it is?

A sweep has one phantom cohort a cell: a calibration (1 is calibrated, above it too sure) and a noise of the
rater. Patients, pictures and truth are the same in all cells. In every cell one learner a threshold is
trained and measured by IoU against the truth, at its own validation cut and at 0.5 (segment/cuts.py): the
first leads, since at 0.5 thresholds differ mostly in how far the learner's probabilities fall below it.

The order of averages, everywhere: images whose truth is not empty -> each patient's mean per feature -> each
patient's mean over the features it has -> (mean over seeds) -> mean over patients. Which images count depends
on the truth alone, so that cells and thresholds are compared on the same ones.

Resampling is over patients. All intervals and p values are conditional on the fitted models: another seed
gives other models. With several seeds each patient's value is their mean, and the spread between seeds is
told beside it: a difference within it is noise, whatever its p.

Beside what the learner does stands what the labels imply without one (compare/truth.py). For a rater who is
right in half of the pixels where it says 70 % no cut is better, pixel by pixel: that the winner moves with
calibration is no finding; only where it parts from the implied threshold, and the difference holds, may one
be. Cut at 0.5, departures below it are expected of an ideal learner too: it does not see what parts a noisy
rater's confidence from the picture, predicts a mean over that, and marks less than the labels do.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from lusnb import stats
from lusnb.compare.truth import ALL, CELL
from lusnb.segment import averages

METRICS = {"own": "truth_iou", "fixed": "truth_iou_fixed"}  # by cut: the learner's own, or 0.5


# -- what was measured


def cells(asked: Mapping[str, Mapping]) -> pd.DataFrame:
    """The cells of a sweep: cohort, calibration, noise, one row a cohort, sorted by the last two.

    asked: all parameters that each cohort was made by. ValueError for two cohorts in one cell.
    """
    rows = [(name, *(float(own[k]) for k in CELL[1:])) for name, own in asked.items()]
    table = pd.DataFrame(rows, columns=CELL).sort_values(CELL[1:], ignore_index=True)
    twice = table[table.duplicated(CELL[1:], keep=False)]
    if len(twice):
        raise ValueError(
            f"cohorts {', '.join(twice['cohort'])}: expected one calibration and noise each, got the same; "
            "let them differ in study.yaml."
        )
    return table


def gathered(
    tables: Mapping[str, pd.DataFrame], where: pd.DataFrame, thresholds: pd.Series, cut: str = "own"
) -> pd.DataFrame:
    """IoU against the truth of all cells, one row an image and feature whose truth is not empty.

    tables: each cohort's segmentation_common.csv (arm, seed, patient_id, feature, metric, value); where: of
    `cells`; thresholds: label threshold of each arm, indexed by arm; cut: of METRICS. Columns: cohort,
    calibration, noise, threshold, seed, patient_id, feature, value. ValueError for two arms of one threshold,
    and where a cohort has no truth.
    """
    if thresholds.duplicated().any():
        raise ValueError(
            f"arms {', '.join(thresholds.index)}: expected one arm a threshold, since here the threshold is "
            "what is compared; drop the others from study.yaml."
        )
    parts, metric = [], METRICS[cut]
    for cell in where.to_dict("records"):
        table = tables[cell["cohort"]]
        table = table[(table["metric"] == metric) & table["arm"].isin(thresholds.index)].dropna(
            subset="value"
        )
        if table.empty:
            raise ValueError(
                f"cohort {cell['cohort']}: expected rows of {metric} in segmentation_common.csv, found none; "
                "only a phantom has the truth."
            )
        parts.append(table.assign(threshold=table["arm"].map(thresholds).astype(float), **cell))
    found = pd.concat(parts, ignore_index=True)
    return found[[*CELL, "threshold", "seed", "patient_id", "feature", "value"]]


def patient_values(images: pd.DataFrame) -> pd.DataFrame:
    """Each patient's IoU: cohort, calibration, noise, threshold, seed, patient_id, value.

    images: of `gathered`.
    """
    return averages.over_features(images, [*CELL, "threshold", "seed"])


def feature_values(images: pd.DataFrame) -> pd.DataFrame:
    """IoU per feature: mean over patients of their means over images, seeds averaged.

    Columns: cohort, calibration, noise, feature, threshold, value, patients. images: of `gathered`.
    """
    by = [*CELL, "feature", "threshold"]
    per_patient = images.groupby([*by, "patient_id"], sort=False)["value"].mean()
    return per_patient.groupby(by, sort=False).agg(value="mean", patients="count").reset_index()


def _wide(values: pd.DataFrame) -> pd.DataFrame:
    """One cell: one row a patient, one column a threshold, ascending; seeds averaged."""
    return values.pivot_table(index="patient_id", columns="threshold", values="value", aggfunc="mean")


def _of_seeds(values: pd.DataFrame) -> pd.DataFrame:
    """One cell: each seed's mean over patients, one row a seed, one column a threshold, ascending."""
    return values.pivot_table(index="seed", columns="threshold", values="value", aggfunc="mean")


# -- which threshold wins


def frequency(wide: pd.DataFrame, rng: np.random.Generator, resamples: int = 9999) -> pd.Series:
    """Bootstrap rank frequency: how often each threshold is best when patients are drawn with replacement.

    wide: one row a patient, one column a threshold. Ties share. No probability that a threshold is best.
    """
    draws = rng.multinomial(len(wide), np.full(len(wide), 1 / len(wide)), resamples)  # (resamples, patients)
    means = draws @ wide.to_numpy() / len(wide)
    best = means >= means.max(axis=1, keepdims=True) - 1e-12
    return pd.Series((best / best.sum(axis=1, keepdims=True)).mean(axis=0), wide.columns, name="frequency")


def curves(values: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """IoU of every cell and threshold with its 95 % interval over patients, blank under 6 patients.

    values: of `patient_values`. Columns: cohort, calibration, noise, threshold, patients, seeds, iou, low,
    high, frequency (of being best, see `frequency`), seed_range (how far apart the seeds' means lie; 0 for
    one seed).
    """
    rows = []
    for cell, own in values.groupby(CELL, sort=False):
        wide, seeds = _wide(own), _of_seeds(own)
        often, apart = frequency(wide, rng), np.ptp(seeds.to_numpy(), axis=0)
        for k, t in enumerate(wide):
            v = wide[t].to_numpy()
            row = (len(v), len(seeds), v.mean(), *stats.interval(v, rng), often[t], apart[k])
            rows.append((*cell, t, *row))
    columns = ["threshold", "patients", "seeds", "iou", "low", "high", "frequency", "seed_range"]
    return pd.DataFrame(rows, columns=[*CELL, *columns])


def alike(wide: pd.DataFrame, rng: np.random.Generator) -> list[float]:
    """The thresholds that cannot be told from the best one, itself among them.

    Paired sign-flip tests over patients, Holm over all pairs of thresholds, since the best one is only known
    from the same data. Under 6 patients none can be told apart.
    """
    best = wide.mean().idxmax()
    pairs = list(combinations(wide.columns, 2))
    differences = [(wide[a] - wide[b]).to_numpy() for a, b in pairs]
    if len(wide) < stats.FEW or not pairs:
        return list(wide.columns)
    p = stats.holm(np.array([stats.sign_flip(d, rng) for d in differences]))
    told = {
        a if b == best else b for (a, b), holm in zip(pairs, p, strict=True) if best in (a, b) and holm < 0.05
    }
    return [t for t in wide.columns if t not in told]


def against(values: pd.DataFrame, references: Mapping[str, float], rng: np.random.Generator) -> pd.DataFrame:
    """Every threshold against one that was fixed beforehand, in each cell; Holm over all of these tests.

    values: of `patient_values`; references: cohort -> threshold. So the p of the best threshold is corrected
    for having been looked for. Columns: cohort, calibration, noise, and of stats.compare: arm (the
    threshold), reference, patients, difference, low, high, p, attainable_p, p_holm, reading.
    """
    parts = []
    for cell, own in values.groupby(CELL, sort=False):
        wide = _wide(own)
        compared = stats.compare(wide, list(wide), references[cell[0]], rng)
        parts.append(compared.assign(**dict(zip(CELL, cell, strict=True))))
    found = pd.concat(parts, ignore_index=True)
    found["p_holm"] = stats.holm(found["p"].to_numpy(float))
    found["reading"] = [stats.reading(r.patients, r.p_holm, r.low, r.high) for r in found.itertuples()]
    return found[[*CELL, *(c for c in found if c not in CELL)]]


def winners(
    values: pd.DataFrame,
    measured: pd.DataFrame,
    optima: pd.DataFrame,
    paper: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The winning threshold of each cell, what the paper's costs against it, what the labels imply.

    values: of `patient_values`; measured: of `curves`; optima: of truth.optima; paper: a threshold.
    Columns: cohort, calibration, noise, patients, seeds; winner, iou (there), frequency (`frequency`), alike
    (thresholds in %, not to be told from the winner: `alike`), span (best less worst mean), seed_range (the
    largest of the thresholds), seed_winners (of each seed alone, in %); paper, paper_alike (whether it is
    among them), cost (winner less paper) with 95 % interval, p and the seeds in which it is above 0; implied
    and pixelwise (of the labels alone), departure (winner less implied), gain (IoU at the winner less at the
    implied) with interval, p and seeds; holds (p below 0.05, an interval that excludes 0, and a gain in
    every seed). Both p: Holm over all thresholds and cells (`against`); where the winner is the reference
    itself its difference is 0, its interval blank and p 1. Cost and gain are never below 0: chosen on these
    patients, the winner makes both err upwards.
    """
    if paper not in set(values["threshold"]):
        raise ValueError(f"paper_threshold: expected one of the arms' thresholds, got {paper:g}; add an arm.")
    implies = optima[optima["feature"] == ALL].set_index("cohort")
    best = measured.loc[measured.groupby("cohort", sort=False)["iou"].idxmax()]
    costs = against(values, dict.fromkeys(best["cohort"], paper), rng)
    gains = against(values, implies["implied"], rng)
    rows = []
    for cell in best.to_dict("records"):
        name, t = cell["cohort"], cell["threshold"]
        labels, own = implies.loc[name], values[values["cohort"] == name]
        row = {k: cell[k] for k in (*CELL, "patients", "seeds")}
        row |= {"winner": t, "iou": cell["iou"], "frequency": cell["frequency"]}
        row |= _spread(own, rng)
        row |= {"paper": paper, "paper_alike": f"{100 * paper:g}" in row["alike"].split()}
        row |= _of_winner(costs, own, t, paper, "cost")
        row |= {"implied": labels["implied"], "pixelwise": labels["pixelwise"]}
        row |= {"departure": round(t - labels["implied"], 9)}
        row |= _of_winner(gains, own, t, labels["implied"], "gain")
        repeated = row["gain_seeds"] == row["seeds"]
        rows.append(row | {"holds": row["gain_low"] > 0 and row["gain_p"] < 0.05 and repeated})
    return pd.DataFrame(rows)


def _spread(values: pd.DataFrame, rng: np.random.Generator) -> dict[str, object]:
    """One cell: alike, span, seed_range and seed_winners of `winners`."""
    wide, seeds = _wide(values), _of_seeds(values)
    return {
        "alike": _in_per_cent(alike(wide, rng)),
        "span": np.ptp(wide.mean()),
        "seed_range": np.ptp(seeds.to_numpy(), axis=0).max(),
        "seed_winners": _in_per_cent(set(seeds.idxmax(axis=1))),
    }


def _in_per_cent(thresholds: Iterable[float]) -> str:
    return " ".join(f"{100 * t:g}" for t in sorted(thresholds))


def _of_winner(
    table: pd.DataFrame, values: pd.DataFrame, winner: float, reference: float, name: str
) -> dict[str, float]:
    """One cell: difference of the winner to the reference, its interval and p, and in how many seeds it is
    above 0; blank, with p 1, where the winner is the reference. table: of `against`."""
    row = table[(table["cohort"] == values["cohort"].iloc[0]) & (table["arm"] == winner)]
    row = row[["difference", "low", "high", "p_holm"]].astype(float).to_numpy()
    names = (name, f"{name}_low", f"{name}_high", f"{name}_p")
    seeds = _of_seeds(values)
    above = int((seeds[winner] > seeds[reference]).sum())
    return dict(zip(names, row[0] if len(row) else (0.0, np.nan, np.nan, 1.0), strict=True)) | {
        f"{name}_seeds": above
    }
