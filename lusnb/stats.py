"""Is a difference real? The patient is the unit: never the pixel, the clip or the fold.

Test and interval are one: the interval holds the means that the paired sign-flip test does not reject. Both
come from the means of the patients' subsets: where values are as likely to lie so far above as below their
centre, each gap between two neighbouring subset means is as likely as any other to hold it (Hartigan 1969,
Using subsample values as typical values, JASA 64: 1303). What that is worth at which number of patients, for
which shapes of scores, beside BCa and Student's t: docs/statistics.md.

All of this is conditional on the fitted models. `retrained` asks of arms trained anew.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from lusnb.params import FEW

TRAININGS = 3  # with fewer nothing is said of arms trained anew
RESAMPLES = 9999  # subsets that are drawn where there are too many patients to try every one
UNRELIABLE = 60  # with fewer, of a difference of skewness 2, intervals cover under 93 % (docs/statistics.md)


def attainable_p(patients: int) -> float:
    """Smallest two-sided p that `sign_flip` can reach: 2 / 2^patients where it tries every flip."""
    every = 2.0**patients <= RESAMPLES
    return min(1.0, 2.0 ** (1 - patients)) if every else 2 / (RESAMPLES + 1)


def _subset_means(values: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Ascending means of the non-empty subsets: of each where 2^n does not exceed `resamples`, else drawn."""
    values, n = np.asarray(values, float), len(values)
    if 2.0**n <= resamples:
        members = np.arange(1, 2**n)[:, None] >> np.arange(n) & 1  # (subsets, n), 0 or 1
    else:
        members = rng.integers(0, 2, (resamples, n), dtype=np.int8)
        members = members[members.any(axis=1)]
    members = members.astype(float)
    means = members @ values / members.sum(axis=1)
    means[np.abs(means) <= 1e-12 * np.abs(values).max(initial=0.0)] = 0.0  # 0.1 + 0.2 - 0.3
    return np.sort(means)


def _p(means: np.ndarray) -> float:
    """Of `_subset_means`: flipping a subset's signs moves the mean up where the subset's own is below 0."""
    beyond = 1 + min((means <= 0).sum(), (means >= 0).sum())  # the empty subset, which flips none, is one
    return float(min(1.0, 2 * beyond / (1 + len(means))))


def _limits(means: np.ndarray, level: float) -> tuple[float, float]:
    """Of `_subset_means`; blank where so few values cannot reach the level, and where all are alike."""
    beyond = int((1 - level) / 2 * (1 + len(means)) + 1e-9)
    if beyond < 1 or np.ptp(means) <= 1e-9 * np.abs(means).max():
        return (np.nan, np.nan)
    return (float(means[beyond - 1]), float(means[-beyond]))


def sign_flip(differences: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """Two-sided p of a paired sign-flip test on the patients' mean difference.

    differences: one a patient. Exact where 2^patients does not exceed `resamples`. 1.0 for one patient, and
    when all are zero. What it tests is that the arms may be exchanged, so that differences lie symmetrically
    about 0; of a skewed difference whose mean is 0 it rejects too often (docs/statistics.md).

    >>> sign_flip(np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]), np.random.default_rng(0))
    0.03125
    """
    return _p(_subset_means(differences, rng, resamples)) if len(differences) else 1.0


def interval(values: np.ndarray, rng: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean over patients: what the sign-flip test does not reject at 1 - level.

    Always within the values' own range. (nan, nan) for fewer than FEW patients, and where all are alike, so
    that they tell nothing of other patients.

    >>> low, high = interval(np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]), np.random.default_rng(0))
    >>> round(low, 2), round(high, 2)
    (0.1, 0.3)
    """
    if len(values) < FEW:
        return (np.nan, np.nan)
    return _limits(_subset_means(values, rng), level)


def holm(p: np.ndarray) -> np.ndarray:
    """p values corrected for their number, Holm's step-down method (1979); blank ones do not count, and stay.

    As statsmodels' multipletests does, which collects all garbage at each call: a third of a second beside
    torch.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order, known = np.argsort(p), int(np.count_nonzero(~np.isnan(p)))  # blanks are sorted to the end
    corrected = np.full(len(p), np.nan)
    stepped = np.maximum.accumulate(p[order[:known]] * np.arange(known, 0, -1))
    corrected[order[:known]] = np.minimum(1.0, stepped)
    return corrected


def compare(
    values: pd.DataFrame, arms: Sequence[Hashable], reference: Hashable, rng: np.random.Generator
) -> pd.DataFrame:
    """Compare each arm with a reference arm: `compare_pairs`.

    >>> dice = pd.DataFrame({"t060": [0.7, 0.8, 0.6, 0.9, 0.7, 0.8], "t020": [0.5, 0.7, 0.5, 0.6, 0.6, 0.7]})
    >>> table = compare(dice, ["t060", "t020"], "t020", np.random.default_rng(0))
    >>> table[["arm", "patients", "difference", "p"]].round(3).to_dict("records")
    [{'arm': 't060', 'patients': 6, 'difference': 0.15, 'p': 0.031}]
    """
    pairs = [(arm, reference) for arm in arms if arm != reference]
    return compare_pairs(values.reindex(columns=arms), pairs, rng)


def compare_pairs(
    values: pd.DataFrame, pairs: Sequence[tuple[Hashable, Hashable]], rng: np.random.Generator
) -> pd.DataFrame:
    """Compare pairs of arms, (arm, reference), patient by patient, and correct for their number (Holm).

    values: one row a patient and one column an arm; patients with a blank are left out of that comparison.
    Columns: arm, reference, patients, difference (mean over patients), low, high (95 %, `interval`), p (which
    is below 0.05 where they leave out 0), p_holm, attainable_p, reading. Under FEW patients interval and p
    stay blank: only what p could reach is told.
    """
    rows = []
    for arm, reference in pairs:
        both = values[[arm, reference]].dropna()
        difference = (both[arm] - both[reference]).to_numpy()
        n = len(difference)
        low, high, p = _tested(difference, rng)
        mean = difference.mean() if n else np.nan
        rows.append((arm, reference, n, mean, low, high, p, attainable_p(n)))
    columns = ["arm", "reference", "patients", "difference", "low", "high", "p", "attainable_p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_holm"] = holm(table["p"].to_numpy(float))
    return table.assign(reading=[reading(r.patients, r.p_holm, r.low, r.high) for r in table.itertuples()])


def _tested(differences: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """low, high and p from the same subsets, so that they never disagree; blank under FEW patients."""
    if len(differences) < FEW:
        return (np.nan, np.nan, np.nan)
    means = _subset_means(differences, rng)
    return (*_limits(means, 0.95), _p(means))


def reading(patients: int, p: float, low: float = np.nan, high: float = np.nan) -> str:
    """What may be said: under 6 patients only how small p could have become.

    p: corrected for the number of comparisons; low, high: of the interval, which is not. Where they part, it
    is said.
    """
    if patients < 2:
        return "too few patients to compare"
    if patients < FEW:
        return f"{patients} patients: p cannot fall below {attainable_p(patients):.3g}; no claim either way"
    said = "different" if p < 0.05 else "no difference shown"
    if p < 0.05 and low <= 0 <= high:
        said += ", though the interval holds 0"
    elif p >= 0.05 and (low > 0 or high < 0):
        said += ", though the interval, which is not corrected for the number of comparisons, leaves out 0"
    return said + (f"; {skew_told(patients)}" if patients < UNRELIABLE else "")


def skew_told(patients: int) -> str:
    """What p and interval of so few patients, under UNRELIABLE, rest on."""
    return f"of {patients} patients p and interval are unreliable where differences are skewed"


# -- how many patients


def least_patients(level: float) -> float:
    """The fewest patients, FEW or more, of whom `sign_flip` can reach a level; inf where no number can."""
    reached = (n for n in range(FEW, RESAMPLES.bit_length() + 1) if attainable_p(n) <= level)
    return float(next(reached, np.inf))


def patients_needed(differences: np.ndarray, power: float = 0.8, level: float = 0.05) -> float:
    """How many patients a paired two-sided test would need, if mean and SD are as in these differences.

    differences: one a patient, blank ones left out. By the power of the t-test (noncentral t), and never
    fewer than FEW or than `sign_flip` needs to reach `level`; for several comparisons divide the level by
    their number. A whole number; inf where the mean is 0, or where no number of patients reaches the level;
    nan under FEW differences, whose SD says too little. A forecast, as uncertain as mean and SD are.

    >>> patients_needed(np.array([0.1, 0.2, 0.3, -0.1, 0.2, 0.0]))
    15.0
    """
    values = np.asarray(differences, float)
    values = values[~np.isnan(values)]
    if len(values) < FEW:
        return np.nan
    mean, spread = abs(values.mean()), values.std(ddof=1)
    most = np.abs(values).max()
    least = least_patients(level)
    if mean <= 1e-12 * most or least == np.inf:
        return np.inf
    if spread <= 1e-12 * most:
        return least
    effect = mean / spread
    normal = (stats.norm.isf(level / 2) + stats.norm.isf(1 - power)) / effect
    n = max(int(least), int(np.ceil(normal**2)))  # the normal's number is the least that the t-test can need
    while stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, effect * np.sqrt(n)) < power:
        n += 1
    return float(n)


# -- arms trained anew


def retrained(differences: pd.DataFrame) -> float:
    """Two-sided p that two arms differ if both are trained anew: trainings are a sample, as patients are.

    differences: one row a patient, one column a training of both arms, blank where it did not predict the
    patient. Each patient predicted by one training (outer folds of `cross_fitted`, seeds averaged): t-test of
    the trainings' means. All by all (seeds): trainings crossed with patients, both random; as variance of the
    mean the sum of both mean squares, a little too large, degrees of freedom of Satterthwaite (1946). Both
    hold for means that are about normal; that trainings of different folds learn from many of the same
    patients is not counted. NaN under TRAININGS trainings, and where their means are all alike;
    1.0 where all is 0. ValueError where several trainings predicted some patients, but not all of them did.
    """
    table = differences.dropna(how="all").dropna(axis=1, how="all")
    n, trainings = table.shape
    asked, means = table.notna().sum(axis=1), table.mean().to_numpy()
    some = asked[(asked > 1) & (asked < trainings)]
    if len(some):
        raise ValueError(
            f"differences: expected each patient predicted by one training or by all {trainings}, got "
            f"{some.index[0]} by {some.iloc[0]}; average the seeds of a fold."
        )
    if trainings < TRAININGS or np.ptp(means) <= 1e-12 * np.abs(means).max():
        return 1.0 if n and not table.fillna(0).to_numpy().any() else np.nan
    if (asked == 1).all():
        return float(stats.ttest_1samp(means, 0.0).pvalue)
    values = table.dropna().to_numpy(float)
    squares = [len(values) * values.mean(0).var(ddof=1), trainings * values.mean(1).var(ddof=1)]
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / (trainings - 1) + squares[1] ** 2 / (len(values) - 1))
    return float(2 * stats.t.sf(abs(values.mean()) / np.sqrt(sum(squares) / values.size), freedom))
