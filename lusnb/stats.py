"""Is a difference real? The patient is the unit: never the pixel, the clip or the fold."""

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

FEW = 6  # with fewer patients only their values and the smallest attainable p are reported
RESAMPLES = 9999  # of sign_flip where there are too many patients to try every flip
UNRELIABLE = 10  # below this BCa intervals cover too little (about 78 % at 4 patients)


def attainable_p(patients: int) -> float:
    """Smallest two-sided p that `sign_flip` can reach: 2 / 2^patients where it tries every flip."""
    every = 2.0**patients <= RESAMPLES
    return min(1.0, 2.0 ** (1 - patients)) if every else 2 / (RESAMPLES + 1)


def sign_flip(differences: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """Two-sided p of a paired sign-flip test on the patients' mean difference.

    differences: one a patient. Exact where 2^patients does not exceed `resamples`. 1.0 for one
    patient, and when all are zero.
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2 or not differences.any():
        return 1.0
    test = stats.permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=rng,
    )
    return float(test.pvalue)


def interval(values: np.ndarray, rng: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """BCa bootstrap interval of the mean over patients; (nan, nan) for fewer than FEW patients."""
    values = np.asarray(values, float)
    if len(values) < FEW:
        return (np.nan, np.nan)
    if np.ptp(values) == 0:
        return (float(values[0]), float(values[0]))
    found = stats.bootstrap((values,), np.mean, confidence_level=level, method="BCa", rng=rng)
    return (float(found.confidence_interval.low), float(found.confidence_interval.high))


def compare(values: pd.DataFrame, arms: list[str], reference: str, rng: np.random.Generator) -> pd.DataFrame:
    """Compare each arm with a reference arm: `compare_pairs`."""
    pairs = [(arm, reference) for arm in arms if arm != reference]
    return compare_pairs(values.reindex(columns=arms), pairs, rng)


def compare_pairs(
    values: pd.DataFrame, pairs: list[tuple[str, str]], rng: np.random.Generator
) -> pd.DataFrame:
    """Compare pairs of arms, (arm, reference), patient by patient, and correct for their number (Holm).

    values: one row a patient and one column an arm; patients with a blank are left out of that comparison.
    Columns: arm, reference, patients, difference (mean over patients), low, high (95 % BCa), p, p_holm,
    attainable_p, reading. Under FEW patients interval and p stay blank: only what p could reach is told.
    """
    rows = []
    for arm, reference in pairs:
        both = values[[arm, reference]].dropna()
        difference = (both[arm] - both[reference]).to_numpy()
        n = len(difference)
        low, high = interval(difference, rng)
        p = sign_flip(difference, rng) if n >= FEW else np.nan
        mean = difference.mean() if n else np.nan
        rows.append((arm, reference, n, mean, low, high, p, attainable_p(n)))
    columns = ["arm", "reference", "patients", "difference", "low", "high", "p", "attainable_p"]
    table = pd.DataFrame(rows, columns=columns)
    known = table["p"].notna()
    table["p_holm"] = np.nan
    if known.any():
        table.loc[known, "p_holm"] = multipletests(table.loc[known, "p"], method="holm")[1]
    return table.assign(reading=[reading(r.patients, r.p_holm) for r in table.itertuples()])


def reading(patients: int, p: float) -> str:
    """What may be said: under 6 patients only how small p could have become."""
    if patients < 2:
        return "too few patients to compare"
    if patients < FEW:
        return f"{patients} patients: p cannot fall below {attainable_p(patients):.3g}; no claim either way"
    shaky = f"; {patients} patients: the interval is unreliable" if patients < UNRELIABLE else ""
    return ("different" if p < 0.05 else "no difference shown") + shaky
