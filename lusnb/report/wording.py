"""How a comparison is put into words: difference, p, and how many patients would be needed to show it."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from lusnb import stats
from lusnb.cohort.problems import counted

LEVEL = 0.05
ROUGH = 10  # forecasts from fewer patients are marked as rough
MANY = 10_000  # more patients than this are not counted out
NAMED = 3  # of a longer list so many are spelt out
FOOTNOTES = {  # the first word that calls for a note -> the note
    "would be needed": "Patients needed: paired t-test, 80 % power, two-sided 5 % divided by the number of "
    "comparisons, if mean and SD of the difference are as here.",
    "corrected p": "Intervals are not corrected for the number of comparisons. Intervals and p are "
    "conditional on these trained models. The largest of several means or leads is overstated on average, "
    "since these same patients chose it.",
}


def turned(row: pd.Series, sign: int) -> pd.Series:
    """A comparison as it is (1), or the other way round (-1)."""
    if sign > 0:
        return row
    other = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
    return pd.Series({**row, **other})


def tested(row: pd.Series) -> str:
    """Difference, interval and corrected p of a row of stats.compare_pairs."""
    limits = "no interval"
    if row["low"] == row["low"]:
        limits = f"95 % interval {row['low'] + 0.0:.3g} to {row['high'] + 0.0:.3g}"  # -0.0 is 0
    return f"{row['difference']:.3g} ({limits}, corrected p {row['p_holm']:.2g})"


def needed(differences: pd.Series, family: pd.DataFrame) -> str:
    """How many patients would show the mean of these; family: the comparisons that Holm corrects for."""
    have, comparisons = int(differences.notna().sum()), max(1, int(family["p_holm"].notna().sum()))
    needed = stats.patients_needed(differences.to_numpy(float), level=LEVEL / comparisons)
    if np.isnan(needed):
        return ""
    number = f"about {float(f'{needed:.2g}'):,.0f}" if needed <= MANY else f"more than {MANY:,}"
    number = "about as many patients as here" if needed <= have else f"{number} patients"
    rough = f" (rough: from {have})" if have < ROUGH else ""
    least = min(1.0, stats.attainable_p(have) * comparisons)
    limit = f"; with {have} no corrected p can be below {least:.2g}" if least >= LEVEL else ""
    return f" To show it, {number} would be needed{rough}{limit}."


def too_few(family: pd.DataFrame) -> str:
    """What is said of fewer than FEW patients: nothing, and how many could show anything."""
    said, comparisons = f"Under {stats.FEW} patients nothing is claimed", counted(len(family), "comparison")
    least = stats.least_patients(LEVEL / max(1, len(family)))
    if family.empty or least == np.inf:
        return f"{said}."
    return (
        f"{said}: with {comparisons} it takes at least {least:.0f} patients to show even a large difference."
    )


def footnotes(lines: Iterable[str]) -> list[str]:
    """The notes that these lines call for."""
    text = "\n".join(lines)
    return [note for word, note in FOOTNOTES.items() if word in text]


def order(row: pd.Series) -> tuple[str, str]:
    """The better of two arms, and the other one."""
    return (row["arm"], row["reference"])[:: 1 if row["difference"] > 0 else -1]


def lead(row: pd.Series) -> str:
    """A difference as the lead of its better arm over the other."""
    return f"{' over '.join(order(row))} by {tested(turned(row, 1 if row['difference'] > 0 else -1))}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names in a row: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def some(names: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return "; ".join(names[:NAMED]) + more
