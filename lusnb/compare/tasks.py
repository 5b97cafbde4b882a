"""The tasks patient by patient: the score of a model as a mean over patients, its interval, and differences.

One estimand for all three: each test patient's own score is the mean over their units, then over seeds and
over the folds that test them; a model's score is the mean over patients. The RMSE is the root of that mean of
squared errors, its interval that of the mean under the root, and what is tested are the squared errors. What
the paper counts instead, pooled over pairs or days, is in scores.over_folds.

`scores` are a task's tidy scores (scores.score), of every arm; `arms` is the table of arms (arms.table).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from lusnb import arms as describe
from lusnb import stats
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.registry import TASKS
from lusnb.tasks.scores import TIDY
from lusnb.tasks.task import ROOT, UNDER

REGRESSIONS = ("ridge", "logistic")
COMPARED = [
    *("task", "metric", "arm", "model", "reference", "patients", "difference", "low", "high"),
    *("p", "p_holm", "attainable_p", "better", "reading"),
]
OF_ARMS = [*(name for name in COMPARED if name not in ("model", "better", "reading")), "p_retrained"]
OF_ARMS += ["better", "reading"]


def leading(tasks: Iterable[str] = TASKS) -> dict[str, str]:
    """What each patient has of the leading score of some tasks: that in which arms are compared."""
    return {name: TASKS[name].each for name in tasks}


def compared(tasks: Iterable[str] = TASKS) -> dict[str, str]:
    """The score of some tasks in which baselines are compared."""
    return {name: TASKS[name].compared for name in tasks}


# -- scores


def means(scores: pd.DataFrame, metric: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """A score of every model as the mean over its test patients: arm, model, *by, patients, value.

    by: of seed and fold those that are not averaged over. patients: those who have this score.
    """
    own = metric.replace(ROOT, UNDER)
    chosen, run = _of_patients(scores, own), ["arm", "model", *by]
    each = chosen.groupby([*run, "patient_id"], sort=False)["value"].mean().dropna()
    table = each.groupby(run, sort=False).agg(patients="count", value="mean").reset_index()
    return table if own == metric else table.assign(value=np.sqrt(table["value"]))


def patient_values(scores: pd.DataFrame, metric: str, model: str = "tsm") -> pd.DataFrame:
    """Each test patient's score of a model, mean over folds and seeds: a row a patient, a column an arm."""
    chosen = _of_patients(scores, metric)
    chosen = chosen[chosen["model"] == model]
    keys = {"index": "patient_id", "columns": "arm"}
    return chosen.pivot_table(**keys, values="value", aggfunc="mean", sort=False).sort_index()


def _of_patients(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of single test patients; none, with the same columns, of a task that has no rows."""
    if scores.empty:
        return pd.DataFrame(columns=TIDY)
    chosen = scores[(scores["metric"] == metric) & (scores["split"] == "test")]
    return chosen[chosen["patient_id"].fillna("") != ""]


def interval(values: pd.Series, metric: str, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean over patients of `values` (stats.interval), as `metric` shows that mean.

    values: of `patient_values`, one arm. Conditional on the fitted models: it does not say how another
    training would have come out. (nan, nan) for too few patients, and where they are all alike.
    """
    low, high = stats.interval(values.dropna().to_numpy(float), rng)
    return (low, high) if not metric.startswith(ROOT) else (float(np.sqrt(low)), float(np.sqrt(high)))


def patients(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Each test patient's part of the leading score of each task (Task.each): task, metric, patient_id, and
    one column an arm, whose mean is the arm's score."""
    parts = [pd.DataFrame(columns=["task", "metric", "patient_id"])]
    for name, metric in leading(scores).items():
        values = patient_values(scores[name], metric).reset_index()
        if len(values):
            values.insert(0, "task", name)
            values.insert(1, "metric", metric)
            parts.append(values)
    return pd.concat(parts[1:] or parts, ignore_index=True)


# -- differences


def differences(
    scores: dict[str, pd.DataFrame],
    arms: pd.DataFrame,
    rng: np.random.Generator,
    pairs: Sequence[str] = (),
) -> pd.DataFrame:
    """Pairs of arms in each task's leading score, patient by patient; Holm over all pairs of a task.

    pairs: each 'arm - reference'; none: those of arms.pairs. As in `against_baselines` a difference above 0
    means better than the reference, of an error too. p and interval are of these fitted models; p_retrained,
    Holm as well, asks the same of arms trained anew (stats.retrained over folds and seeds), blank where there
    are too few trainings to tell; `reading` says where the two part. Raises ValueError for a pair of unknown
    arms.
    """
    asked, parts = describe.pairs(arms, pairs), [pd.DataFrame(columns=OF_ARMS)]
    for name, metric in leading(scores).items():
        values = patient_values(scores[name], metric)
        if len(values) and asked:
            own = _compared(name, values.reindex(columns=arms.index), asked, metric, rng)
            own["p_retrained"] = _retrained(scores[name], metric, asked)
            own["reading"] = [_of_whom(row) for row in own.itertuples()]
            parts.append(own.assign(task=name)[OF_ARMS])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _retrained(scores: pd.DataFrame, metric: str, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """stats.retrained of each pair, Holm over them; NaN where too few trainings tell."""
    chosen = _of_patients(scores, metric)
    chosen = chosen[chosen["model"] == "tsm"]
    table = chosen.pivot_table(index=["arm", "patient_id"], columns=["seed", "fold"], values="value")
    if len(table) and not table.notna().all(axis=1).all():  # outer folds: each patient is one fold's
        table = chosen.pivot_table(index=["arm", "patient_id"], columns="fold", values="value")
    own = {arm: table.loc[arm] for arm in table.index.unique("arm")}
    p = [stats.retrained((own[a] - own[b]).round(12)) if a in own and b in own else np.nan for a, b in pairs]
    return stats.holm(np.array(p, float))


def _of_whom(row) -> str:
    """The reading of a difference between fitted models, and whether it is shown of arms trained anew."""
    if not row.p_holm < 0.05 or row.p_retrained < 0.05:
        return row.reading
    anew = "too few trainings to speak of" if np.isnan(row.p_retrained) else "not shown of"
    return f"{row.reading}; these fitted models alone: {anew} arms trained anew"


def against_baselines(
    scores: dict[str, pd.DataFrame], arms: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Does anything beat what is trivial, or the network without masks? Patient by patient; Holm in a task.

    TSM of every arm, of grayscale and of true masks, and each regression, against the majority class or the
    training mean (reference.one); TSM of every arm against TSM on grayscale and on true masks. One value a
    patient (Task.compared): Brier score of cross-day pairs; mean squared error over the patient's days (of
    the square, since a constant guess near the median has the least mean error of a day); Brier score. A
    difference above 0 means better than the reference in each of them; `better` says so in words. The rest
    as in stats.compare_pairs.
    """
    parts = [pd.DataFrame(columns=COMPARED)]
    for name, metric in compared(scores).items():
        values, pairs = _opponents(scores[name], metric, arms)
        if not pairs:
            continue
        held = [(":".join(own), ref) for own, ref in pairs]
        found = _compared(name, values, held, metric, rng)
        own = pd.DataFrame([own for own, _ in pairs], columns=["model", "arm"])
        reference = [ref.split(":")[-1] or ref.split(":")[0] for _, ref in pairs]
        found = found.drop(columns="arm").assign(task=name, reference=reference, **own)
        parts.append(found[COMPARED])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _compared(
    task: str,
    values: pd.DataFrame,
    pairs: list[tuple[str, str]],
    metric: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """stats.compare_pairs, above 0 being better, with what may be said of each.

    Values are rounded to twelve digits, lest two alike differ by how they were summed, in all patients alike.
    """
    sign = -1 if metric in TASKS[task].errors else 1
    table = stats.compare_pairs((sign * values).round(12), pairs, rng)
    return table.assign(metric=metric, better=_in_words(table))


def _in_words(compared: pd.DataFrame) -> list[str]:
    """Which way the mean points, and whether the test shows it."""
    said = {-1.0: "worse", 0.0: "alike", 1.0: "better"}
    ways = [said.get(way, "") for way in np.sign(compared["difference"])]
    shown = (compared["difference"] == 0) | (compared["p_holm"] < 0.05) | compared["difference"].isna()
    return [way if sure else f"{way}, not shown" for way, sure in zip(ways, shown, strict=True)]


def _opponents(
    scores: pd.DataFrame, metric: str, arms: list[str]
) -> tuple[pd.DataFrame, list[tuple[tuple[str, str], str]]]:
    """Patients' values with a column `model:arm` each, and who is held against whom: ((model, arm), column).

    A trivial model, the same in every arm, is the column `majority:` or `mean:`.
    """
    columns, trivial = {}, None
    for model in ("tsm", *REGRESSIONS, *TRIVIAL):
        found = patient_values(scores, metric, model)
        if model in TRIVIAL and len(found):
            columns[trivial := f"{model}:"] = found.iloc[:, 0]
        elif model not in TRIVIAL:
            known = [arm for arm in (*arms, GRAYSCALE, TRUE_MASKS) if arm in found]
            columns |= {f"{model}:{arm}": found[arm] for arm in known}
    named = (column.partition(":") for column in columns if column != trivial)
    rows = [(model, arm) for model, _, arm in named]
    pairs = [(row, trivial) for row in rows if trivial]
    for arm in (GRAYSCALE, TRUE_MASKS):
        if f"tsm:{arm}" in columns:
            pairs += [(row, f"tsm:{arm}") for row in rows if row[0] == "tsm" and row[1] in arms]
    return pd.DataFrame(columns).sort_index(), pairs
