"""Studies in which nothing is to be found, put to the package's tests: how often does each find something?

A set of studies is a function (seed, studies) -> rows of a table, as dicts. Where a study holds several tests
its first one is counted under `p`, so that the studies are independent of one another, and all of them
together under `Holm`: whether any is below 0.05 after the correction.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.random import Generator

from lusnb import stats
from lusnb.cohort import problems
from lusnb.compare import arms as compare_arms
from lusnb.compare import linked, sensitivity, tasks, truth
from tests.benchmarks import made
from tests.benchmarks.rates import LEVEL, Rate, counted, generator, tallied

PATIENTS = (6, 8, 10, 12, 20, 24, 40)
FOLDS, OF_FOLD = 3, 4
SPREADS = (0.0, 0.05, 0.1, 0.2, 0.4)
ALIKE = ("one", "two", "three", "four")
PAIRS = [f"{arm} - {ALIKE[0]}" for arm in ALIKE[1:]]


# -- arms alike, the models given

NOISES: dict[str, Callable[[Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed alike in all arms": lambda rng, size: rng.exponential(size=size),
    "a patient in twenty far off": lambda rng, size: (
        rng.normal(size=size) * np.where(rng.random(size) < 0.05, 8, 1)
    ),
    "votes, right or wrong": lambda rng, size: 10 * rng.binomial(1, 0.7, size),
    "skewed in one arm alone": lambda rng, size: np.concatenate(
        [np.zeros((size[0], 1)), rng.exponential(size=(size[0], size[1] - 1)) - 1], axis=1
    ),
}


def told(table: pd.DataFrame) -> dict[str, bool | None]:
    """Of a table of stats.compare_pairs: the first test; any after Holm; whether p and interval disagree."""
    first = table.iloc[0]
    left_out = first["low"] > 0 or first["high"] < 0
    return {
        "p": first["p"] < LEVEL,
        "Holm": bool((table["p_holm"] < LEVEL).any()),
        "part": bool(left_out != (first["p"] < LEVEL)),
    }


def shown(rates: dict[str, Rate], level: float | None = LEVEL, **same: object) -> dict[str, object]:
    """A row: what is the same in all studies, how many there are, and each rate in per cent.

    Bold is what is above the level; one way alone half of it.
    """
    names = {"p": "p < 0.05", "Holm": "any after Holm", "part": "p and interval part"}
    half = {"better", "worse", "beats"}
    studies = max(rate.studies for rate in rates.values())
    told = {n: rate.shown(LEVEL / 2 if n in half else level) for n, rate in rates.items()}
    return same | {"studies": studies} | {names.get(n, n): text for n, text in told.items()}


def arms_alike(seed: int, studies: int) -> Iterator[dict]:
    """stats.compare_pairs on four arms alike: what a patient has in common, and noise in each arm."""
    pairs = [(arm, ALIKE[0]) for arm in ALIKE[1:]]
    for name, noise in NOISES.items():
        for n in PATIENTS:
            rng = generator(seed, "alike", name, n)

            def study(rng=rng, n=n, noise=noise) -> dict:
                values = 0.5 + 0.1 * rng.normal(size=(n, 1)) + 0.05 * noise(rng, (n, len(ALIKE)))
                return told(stats.compare_pairs(pd.DataFrame(values, columns=list(ALIKE)), pairs, rng))

            yield shown(counted(studies, study), **{"noise": name, "patients": n})


def through_tables(seed: int, studies: int) -> Iterator[dict]:
    """The same through the tables that notebooks make: 04's of images, 08's of the three tasks."""
    rng = generator(seed, "images")

    def of_images() -> dict:
        values = 0.5 + 0.1 * rng.normal(size=(12, 1)) + 0.05 * rng.normal(size=(12, len(ALIKE)))
        wide = pd.DataFrame(values, index=made.names(12), columns=list(ALIKE))
        scores = made.patient_scores(wide, compare_arms.TESTED)
        found = compare_arms.differences(scores, pd.DataFrame(index=list(ALIKE)), rng, PAIRS)
        return told(found[found["metric"] == found["metric"].iloc[0]])

    yield shown(counted(studies, of_images), table="compare_arms.differences", patients=12)
    for task in made.TRIVIAL:
        rng = generator(seed, "paper", task)
        population = made.twins(task, "paper", 2, 60, 0.0, rng)

        def of_task(task=task, rng=rng, population=population) -> dict:
            return told(compared(task, made.drawn(population, "paper", 2, 12, rng), rng))

        yield shown(counted(studies, of_task), table=f"tasks.differences, {task}", patients=12)


def compared(task: str, scores: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """tasks.differences of one task."""
    given = {name: scores if name == task else scores[:0] for name in made.TRIVIAL}
    return tasks.differences(given, pd.DataFrame(index=list(made.ARMS)), rng, [" - ".join(made.ARMS)])


# -- arms alike, trained anew


def trained_anew(seed: int, studies: int) -> Iterator[dict]:
    """Arms alike as arms, whose trainings differ by luck: what the tests say of arms trained anew.

    luck: how much of the variance of a patient's difference all patients of one training have in common.
    """
    for trainings, each in ((3, 4), (3, 8), (5, 4), (5, 8)):
        for luck in SPREADS:
            rng = generator(seed, "nested", trainings, each, luck)

            def folds(rng=rng, trainings=trainings, each=each, luck=luck) -> dict:
                own = np.repeat(np.eye(trainings), each, axis=0)  # (patients, trainings)
                values = own * np.sqrt(luck) * rng.normal(size=trainings)
                values = values.sum(1) + np.sqrt(1 - luck) * rng.normal(size=len(own))
                table = pd.DataFrame(np.where(own > 0, values[:, None], np.nan))
                return both(values, table, rng)

            same = {"trainings": f"{trainings} folds", "patients": trainings * each, "luck": luck}
            yield shown(counted(studies, folds), **same)
    for trainings, patients in ((1, 12), (1, 24), (3, 12), (3, 24), (5, 12), (5, 24)):
        for luck in SPREADS:
            rng = generator(seed, "crossed", trainings, patients, luck)

            def seeds(rng=rng, trainings=trainings, patients=patients, luck=luck) -> dict:
                own = np.sqrt((1 - luck) / 2) * rng.normal(size=(2, patients, trainings))
                values = np.sqrt(luck) * rng.normal(size=trainings) + own[0][:, :1] + own[1]
                return both(values.mean(1), pd.DataFrame(values), rng)

            same = {"trainings": problems.counted(trainings, "seed"), "patients": patients, "luck": luck}
            yield shown(counted(studies, seeds), **same)


def both(values: np.ndarray, table: pd.DataFrame, rng: Generator) -> dict[str, bool | None]:
    """p of the patients, the models given, and p of arms trained anew, where there is one."""
    anew = stats.retrained(table)
    told_anew = None if np.isnan(anew) else anew < LEVEL
    return {"`p`": stats.sign_flip(values, rng) < LEVEL, "`retrained`": told_anew}


def folds_of_tasks(seed: int, studies: int) -> Iterator[dict]:
    """tasks.differences under cross_fitted, where the patients of a fold share a model."""
    for task in made.TRIVIAL:
        for share in (0.0, 0.2):
            rng = generator(seed, "folds", task, share)
            population = made.twins(task, "cross_fitted", 60, OF_FOLD, share, rng)

            def study(task=task, rng=rng, population=population) -> dict:
                found = compared(task, made.drawn(population, "cross_fitted", FOLDS, 0, rng), rng)
                return {"p": told(found)["p"], "p_retrained": bool(found["p_retrained"].iloc[0] < LEVEL)}

            yield shown(counted(studies, study), task=task, folds=FOLDS, patients=FOLDS * OF_FOLD, luck=share)


# -- models that know nothing


def knows_nothing(seed: int, studies: int) -> Iterator[dict]:
    """tasks.against_baselines: models that know nothing against the training mean or majority."""
    for task, trivial in made.TRIVIAL.items():
        rng, found = generator(seed, "nothing", task), []
        for _ in range(studies):
            scores = made.ignorant(task, rng)
            given = {name: scores if name == task else scores[:0] for name in made.TRIVIAL}
            table = tasks.against_baselines(given, list(made.GUESSES), rng)
            table = table[table["reference"] == trivial].set_index("arm")
            found.append({arm: ways(table.loc[arm]) for arm in made.GUESSES})
        for arm in made.GUESSES:
            rates = tallied(study[arm] for study in found)
            yield shown(rates, task=task, model=arm, patients=int(table["patients"].iloc[0]))


def ways(row: pd.Series) -> dict[str, bool]:
    """Of a comparison with a trivial model: whether it is told apart, and which way."""
    apart = bool(row["p"] < LEVEL)
    better, worse = (apart and bool(way * row["difference"] > 0) for way in (1, -1))
    return {"p": apart, "better": better, "worse": worse}


def against_the_mean(seed: int, studies: int) -> Iterator[dict]:
    """linked.compared: predictions that know nothing against the mean of everybody outside the test.

    Truth is drawn anew for each study, and with it the mean that is learnt.
    """
    for n in (8, 12, 24):
        for name, noise in (("another constant", 0.0), ("scatters about the mean", 0.05)):
            rng = generator(seed, "linked", n, name)
            parts = [of_a_null_cohort(f"null_{k}", n, noise, rng) for k in range(studies)]
            table = linked.compared(pd.concat(parts, ignore_index=True), rng)
            told_of = table[["p", "difference", "beats", "worse"]].assign(p=table["p"] < LEVEL)
            yield shown(
                tallied(told_of.drop(columns="difference").to_dict("records")), model=name, patients=n
            )


def of_a_null_cohort(name: str, tested: int, noise: float, rng: Generator, train: int = 36) -> pd.DataFrame:
    """Errors (linked.ERRORS) of a model that learnt nothing, in a cohort with nothing to learn."""
    sf = 0.6 + made.TRUTH_SD * rng.choice([-1, 1], (train + tested, 1))
    sf = sf + made.DAY_SD * rng.normal(size=(train + tested, 2))  # (patients, days)
    mean, of_test = sf[:train].mean(), sf[train:]
    guess = sf[: train // 2].mean() + noise * rng.normal(size=of_test.shape)
    errors, means = ((g - of_test) ** 2 for g in (guess, mean))
    own = pd.DataFrame({"patient_id": made.names(tested), "error": errors.mean(1), "of_mean": means.mean(1)})
    return own.assign(cohort=name, null=True, arm="t020", model="tsm")[linked.ERRORS]


# -- the sweep


def sweep(seed: int, studies: int, cells: int = 3, patients: int = 20) -> Iterator[dict]:
    """sensitivity: thresholds alike in every cell of a sweep; the first of its claims counted in one cell."""
    thresholds = (0.0, 0.2, 0.5, 0.6)
    for seeds in (1, 2):
        rng = generator(seed, "sweep", seeds)

        def study(rng=rng, seeds=seeds) -> dict:
            parts = []
            for cell in range(cells):
                own = 0.5 + 0.1 * rng.normal(size=(1, patients, 1))
                own = own + 0.05 * rng.normal(size=(seeds, patients, len(thresholds)))
                at = pd.MultiIndex.from_product([range(seeds), made.names(patients), thresholds])
                tidy = pd.Series(own.ravel(), at.set_names(["seed", "patient_id", "threshold"]), name="value")
                same = {"cohort": f"c{cell}", "calibration": float(cell), "noise": 0.0}
                parts.append(tidy.reset_index().assign(**same))
            return of_sweep(pd.concat(parts, ignore_index=True), rng)

        found = counted(studies, study)
        yield shown(found, seeds=seeds, cells=cells, patients=patients, thresholds=len(thresholds))


def of_sweep(values: pd.DataFrame, rng: Generator) -> dict[str, bool]:
    """What sensitivity.winners claims of a sweep."""
    optima = values[["cohort"]].drop_duplicates().assign(feature=truth.ALL, implied=0.5, pixelwise=0.5)
    table = sensitivity.winners(values, sensitivity.curves(values, rng), optima, 0.6, rng)
    first = table.iloc[0]
    thresholds = values["threshold"].nunique()
    return {
        "`alike`, a cell": len(first["alike"].split()) < thresholds,
        "`cost_p`, any cell": bool((table["cost_p"] < LEVEL).any()),
        "`gain_p`, any cell": bool((table["gain_p"] < LEVEL).any()),
        "`holds`, any cell": bool(table["holds"].any()),
        "`cost_low` > 0, a cell": bool(first["cost_low"] > 0),
    }


def frequencies(seed: int, studies: int) -> Iterator[dict]:
    """sensitivity.frequency of thresholds alike: how large the leader's is although none is best."""
    for n in (6, 12, 24):
        for arms in (2, 7):
            rng = generator(seed, "frequency", n, arms)
            most = [
                sensitivity.frequency(pd.DataFrame(rng.normal(size=(n, arms))), rng, 999).max()
                for _ in range(studies)
            ]
            often = {"at least 95 %": Rate(sum(m >= 0.95 for m in most), studies)}
            middle = f"{np.median(most):.2f}"
            yield shown(often, None, thresholds=arms, patients=n) | {"median of the leader's": middle}
