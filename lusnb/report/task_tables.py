"""The tasks' scores to Tables 2 to 4, and in words.

A score that a table leads with is a mean over patients (compare/tasks.py). What stands beside it as the paper
counts, pooled over pairs or over patients' days, has a name that ends in `_pooled`; of readmission, one
decision a patient, the two are the same.

`scores` are a task's tidy scores (tasks_scores.score), of every arm; `arms` is the table of arms
(arms.table).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort import problems
from lusnb.compare import tasks
from lusnb.compare.tasks import REGRESSIONS
from lusnb.report import tables
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.registry import TASKS

ROWS = ["model", "arm", "threshold"]
SIGNS = ("_positive", "_negative")  # counts again: no spread is shown
PROTOCOLS = {
    "paper": "The published test patients, the same in every fold: the spread over folds is that of "
    "retraining alone.",
    "cross_fitted": "Every patient who can be asked is predicted once a seed, by models that never saw them. "
    "Patients of one fold share a model: tests and intervals speak of these fitted models; as statements "
    "about arms trained anew they reject too often.",
}


# -- Tables 2 to 4


def main(name: str, scores: pd.DataFrame, arms: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Tables 2 to 4: one row an arm or baseline, its scores beside the published ones.

    Rows: every arm's TSM; TSM on grayscale alone and on true masks; the majority class or the training mean,
    one for all folds (reference.one); ridge and logistic regression on measures of each arm's masks and of
    the true ones. First the leading score, mean over patients, with its 95 % interval, `_low` and `_high`
    (tasks.interval). Then, as the paper counts and named `<metric>_pooled` where the two differ, mean
    and SD (ddof = 1) over folds as `<metric>` and `<metric>_sd`; where folds were put together, no SD.
    """
    task = TASKS[name]
    table, lead = _rows(name, scores, arms, [*task.metrics, *task.counts]), task.leading
    own = [_leading(name, scores, row.model, row.arm, rng) for row in table.itertuples()]
    table[[lead, f"{lead}_low", f"{lead}_high"]] = np.array(own, float).reshape(-1, 3)
    order = dict.fromkeys([*ROWS, *(f"{lead}{end}" for end in ("", "_sd", "_low", "_high")), *table])
    table = table[[column for column in order if column in table]]
    published = table["arm"].isin(arms.index[arms["published"].astype(bool)])
    table = tables.beside_published(table, task.number, published & (table["model"] == "tsm"))
    return table.rename(columns=lambda column: _pooled(name, column, "paper_"))


def second(name: str, scores: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Calibration and ranking of the same rows as in `main`: see the scores' own words in tasks/scores.py.

    Pooled and named as there. The Brier score of S/F change, in which baselines are compared, also as a mean
    over patients.
    """
    task = TASKS[name]
    table, own = _rows(name, scores, arms, [*task.second]), task.compared
    if f"{own}_pooled" in table:
        values = [_of_row(scores, own, row.model, row.arm).mean() for row in table.itertuples()]
        table.insert(len(ROWS), own, np.array(values, float))
    return table


def _leading(
    name: str, scores: pd.DataFrame, model: str, arm: str, rng: np.random.Generator
) -> tuple[float, float, float]:
    """A row's leading score and its interval."""
    lead, each = TASKS[name].leading, TASKS[name].each
    values = _of_row(scores, each, model, arm)
    mean = values.mean() if lead == each else np.sqrt(values.mean())
    return (mean, *tasks.interval(values, lead, rng))


def _of_row(scores: pd.DataFrame, metric: str, model: str, arm: str) -> pd.Series:
    """Each patient's score of a row; a trivial model's, the same in every arm, is that of its first."""
    values = tasks.patient_values(scores, metric, model)
    return values[arm] if arm in values else values.iloc[:, 0] if values.shape[1] else pd.Series(dtype=float)


def _pooled(name: str, column: str, before: str = "") -> str:
    """The name of a column of pooled scores, of the task's metrics, in the table; others as they are."""
    metric = column.removeprefix(before)
    end = "_sd" if metric.endswith("_sd") else ""
    task = TASKS[name]
    known = metric.removesuffix(end) in (*task.metrics, *task.second) and column.startswith(before)
    return f"{column.removesuffix(end)}_pooled{end}" if known and task.several else column


def _rows(name: str, scores: pd.DataFrame, arms: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """model, arm, threshold, and the mean (and SD) over folds of the metrics, in the order of `main`."""
    folds = pd.DataFrame() if scores.empty else tasks_scores.over_folds(scores)
    if folds.empty:
        return pd.DataFrame(columns=[*ROWS, *(_pooled(name, metric) for metric in shown)])
    wide = folds[folds["metric"].isin(shown)].pivot(index=["model", "arm"], columns="metric")
    columns = {}
    for metric in shown:
        columns[_pooled(name, metric)] = wide.get(("mean", metric))
        spread = wide.get(("sd", metric), pd.Series(dtype=float))
        if spread.notna().any() and metric not in TASKS[name].counts and not metric.endswith(SIGNS):
            columns[_pooled(name, f"{metric}_sd")] = spread
    found = pd.DataFrame(columns, index=wide.index).astype(float)
    place = [("tsm", arm) for arm in (*arms.index, GRAYSCALE, TRUE_MASKS)]
    place += [key for key in found.index if key[0] in TRIVIAL][:1]
    place += [(model, arm) for model in REGRESSIONS for arm in (*arms.index, TRUE_MASKS)]
    table = found.loc[[key for key in place if key in found.index]].reset_index()
    table.loc[table["model"].isin(TRIVIAL), "arm"] = ""
    table.insert(2, "threshold", table["arm"].map(arms["threshold"]).where(table["model"] == "tsm"))
    return table


# -- words


def in_words(task: str, metric: str) -> str:
    """A score of a task in words."""
    return TASKS[task].words.get(metric, problems.words(metric))


def title(model: str, arm: str = "") -> str:
    """A row of the tables in words: the arm where it is TSM, else the baseline."""
    if model in TRIVIAL:
        return {"majority": "majority class", "mean": "training mean"}[model]
    name = arm.replace("_", " ") if arm in (GRAYSCALE, TRUE_MASKS) else arm
    return name if model == "tsm" else f"{model}, {name}"


def tested(scores: pd.DataFrame, count: str = "") -> int:
    """Number of patients in the test rows of a task's scores; count: of those with more than 0 of this."""
    if scores.empty:
        return 0
    rows = scores[scores["split"] == "test"]
    rows = rows[(rows["metric"] == count) & (rows["value"] > 0)] if count else rows
    return rows["patient_id"].replace("", np.nan).nunique()


def heading(name: str, scores: pd.DataFrame, cohort: str, origin: str, protocol: str) -> str:
    """`tables.heading` of one of Tables 2 to 4; of S/F change with whom its leading score rests on."""
    patients, number = tested(scores), tested(scores, TASKS[name].rests)
    among = f"{number or 'none'} of them with cross-day pairs, on which the leading score rests"
    among = among if number < patients else ""  # a patient of another task always weighs something
    return tables.heading(TASKS[name].number, cohort, origin, patients, protocol, among)


def for_paper(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Of `main` what a page has room for (tables.for_paper), each row with its name in words."""
    rows = [title(row.model, row.arm) for row in table.itertuples()]
    return tables.for_paper(table.assign(row=rows), "row", (TASKS[name].leading,))


def told(protocol: str, scores: dict[str, pd.DataFrame], against: pd.DataFrame) -> str:
    """What the test patients of each task can show of the comparisons with baselines, a line each."""
    return "\n".join([PROTOCOLS[protocol], *can_show(scores, against, tasks.compared(scores))])


def can_show(
    scores: dict[str, pd.DataFrame], compared: pd.DataFrame, metrics: Mapping[str, str]
) -> list[str]:
    """A line a task: what its test patients can show of so many comparisons, of these metrics."""
    lines = []
    for name, table in scores.items():
        rows, said = compared[compared["task"] == name], "not possible with this cohort."
        known = len(tasks.patient_values(table, metrics[name]).dropna(how="all"))
        if known:
            said = tables.can_show(int(rows["patients"].max()) if len(rows) else known, len(rows))
        elif tested(table):
            who, metric = problems.counted(tested(table), "held-out patient"), in_words(name, metrics[name])
            said = f"{who}, none with a value to compare ({metric}); nothing is compared."
        lines.append(f"{TASKS[name].title}: {said}")
    return lines


def stacked(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The scores of all tasks in one table, with a column `task`."""
    return pd.concat([table.assign(task=name) for name, table in scores.items()], ignore_index=True)
