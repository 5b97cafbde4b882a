"""How often do the package's intervals hold what they are intervals of?

A set is a function (seed, studies) -> rows of a table, as dicts. Nominal is 95 %.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats
from scipy.stats import binom

from lusnb import stats
from lusnb.compare import linked
from lusnb.report import task_tables
from tests.benchmarks import made
from tests.benchmarks.rates import Rate, generator
from tests.benchmarks.shapes import SHAPES

PATIENTS = (6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80)
TOLERANCE = 1e-9  # a mean on the very end of an interval is inside
REACHED = 0.93  # an interval that covers less is called unreliable
ARMS = pd.DataFrame({"threshold": [0.0], "published": [False], "shown": ["t000"]}, index=["t000"])
Limits = tuple[float, float]


def covered(limits: list[Limits], mean: float) -> Rate:
    """How many of the intervals that are not blank hold the mean."""
    low, high = np.array(limits, float).T
    there = ~np.isnan(low)
    held = (low[there] <= mean + TOLERANCE) & (high[there] >= mean - TOLERANCE)
    return Rate(int(held.sum()), int(there.sum()))


def bca(values: np.ndarray, rng: np.random.Generator) -> Limits:
    """The bootstrap's BCa interval of the mean (scipy), blank where all values are alike."""
    if np.ptp(values) == 0:
        return (np.nan, np.nan)
    found = scipy_stats.bootstrap((values,), np.mean, method="BCa", n_resamples=1999, rng=rng)
    return tuple(found.confidence_interval)


def student(values: np.ndarray, rng: np.random.Generator) -> Limits:
    """Student's t interval of the mean."""
    if np.ptp(values) == 0:
        return (np.nan, np.nan)
    return tuple(scipy_stats.ttest_1samp(values, 0.0).confidence_interval())


WAYS: dict[str, Callable[[np.ndarray, np.random.Generator], Limits]] = {
    "stats.interval": stats.interval, "BCa": bca, "Student's t": student,
}  # fmt: skip


def of_means(seed: int, studies: int) -> Iterator[dict]:
    """stats.interval for each shape of scores beside Student's t, and BCa on a quarter of the studies."""
    for shape in SHAPES:
        for way, interval in WAYS.items():
            row = {"shape": shape.name, "interval": way}
            for n in PATIENTS:
                rng = generator(seed, "means", shape.name, n)
                drawn = shape.draw(rng, (studies // 4 if interval is bca else studies, n))
                rate = covered([interval(values, rng) for values in drawn], shape.mean)
                row[str(n)] = rate.count / max(rate.studies, 1)
            yield row


def of_tasks(seed: int, studies: int) -> Iterator[dict]:
    """The interval of a task's leading score in Tables 2 to 4 (task_tables.main), protocol paper, two folds.

    Patients are drawn from many; what is to be held is the score of all of them.
    """
    for task in made.TRIVIAL:
        rng = generator(seed, "tasks", task)
        everyone = made.twins(task, "paper", 2, 400, 0.0, rng)
        everyone = everyone[everyone["arm"] == made.ARMS[0]].assign(arm="t000")
        lead = next(c for c in task_tables.main(task, everyone, ARMS, rng) if c.endswith("_low"))
        metric = lead.removesuffix("_low")
        truth = float(task_tables.main(task, everyone, ARMS, rng)[metric].iloc[0])
        row = {"task": task, "score": metric, "studies": studies}
        names = np.array(sorted(set(everyone["patient_id"]) - {""}))
        for n in (8, 12, 24, 40):
            found = []
            for _ in range(studies):
                who = rng.choice(names, n, replace=False)
                table = task_tables.main(task, everyone[everyone["patient_id"].isin(["", *who])], ARMS, rng)
                found.append(tuple(table[[lead, f"{metric}_high"]].iloc[0]))
            row[f"{n} patients"] = covered(found, truth).shown(None)
        yield row


def of_rates(seed: int, studies: int) -> Iterator[dict]:
    """The exact binomial interval of a rate and its one-sided p (linked.rates): every count weighed."""
    for n in (10, 20, 40):
        limits, more = [], []
        for count in range(n + 1):
            beats = np.arange(n) < count
            table = pd.DataFrame(
                {"beats": beats, "worse": False, "flips": beats, "p": 1.0, "difference": 0.0}
            )
            row = linked.rates(table.assign(null=True, arm="a", model="tsm", cohort=range(n))).iloc[0]
            limits.append((row["low"], row["high"]))
            more.append(row["p_more"])
        low, high = np.array(limits).T
        row = {"cohorts": n}
        for rate in (linked.NOMINAL, 0.05, 0.1, 0.3):
            chance = binom.pmf(np.arange(n + 1), n, rate)
            row[f"covered at {100 * rate:g} %"] = f"{100 * chance[(low <= rate) & (rate <= high)].sum():.1f}"
        chance = binom.pmf(np.arange(n + 1), n, linked.NOMINAL)
        yield row | {
            "`p_more` < 0.05 at the nominal rate": f"{100 * chance[np.array(more) < 0.05].sum():.1f}"
        }


def reached(rows: list[dict]) -> dict[str, int | None]:
    """For each shape of a difference the number of patients from which stats.interval covers 93 % and stays.

    None where it does not up to the most patients tried. rows: of `of_means`.
    """
    found = {}
    for shape in (s.name for s in SHAPES if s.difference):
        own = next(r for r in rows if r["shape"] == shape and r["interval"] == "stats.interval")
        less = [n for n in PATIENTS if own[str(n)] < REACHED]
        later = [n for n in PATIENTS if n > max(less, default=0)]
        found[shape] = later[0] if later else None
    return found
