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
from lusnb.compare.tasks import AGAINST, EACH, REGRESSIONS
from lusnb.report import tables
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.scores import LEADING, METRICS

COUNTS = {  # shown beside them: what the scores rest on, mean over folds
    "sf_change": ["pairs", "pairs_cross_day", "true_decrease", "true_same", "true_increase"],
    "sf_ratio": ["patient_days"],
    "readmission": ["patients", "predicted_positive"],
}
SECOND = {  # calibration and ranking, and the counts behind them
    "sf_change": [
        *("balanced_accuracy", "balanced_accuracy_cross_day", "auroc", "auroc_cross_day"),
        *("auroc_within_folds_cross_day", "brier", "brier_tempered"),
        *("brier_cross_day", "brier_tempered_cross_day"),
    ],
    "sf_ratio": [
        *("bias_mean", "limit_low_mean", "limit_high_mean", "correlation_mean", "bias_max", "bias_median")
    ],
    "readmission": [
        *("auroc", "auroc_within_folds", "brier", "brier_tempered", "bias", "bias_tempered"),
        *("true_positive", "false_positive", "false_negative", "true_negative"),
    ],
}
ROWS = ["model", "arm", "threshold"]
SIGNS = ("_positive", "_negative")  # counts again: no spread is shown
WORDS = {
    **{"sf_change": "S/F change", "sf_ratio": "S/F ratio", "readmission": "readmission"},
    **{LEADING["sf_change"]: "2-class accuracy, cross-day pairs", "rmse_mean": "RMSE of S/F / maximum"},
    **{"mse_mean": "squared error of S/F / maximum", "brier": "Brier score"},
    "brier_cross_day": "Brier score, cross-day pairs",
}
SEVERAL = ("sf_change", "sf_ratio")  # of a patient there are several units, over which one can pool
RESTS = {"sf_change": "pairs_cross_day"}  # a patient without any has no leading score
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
    table, lead = _rows(name, scores, arms, [*METRICS[name], *COUNTS[name]]), LEADING[name]
    own = [_leading(name, scores, row.model, row.arm, rng) for row in table.itertuples()]
    table[[lead, f"{lead}_low", f"{lead}_high"]] = np.array(own, float).reshape(-1, 3)
    order = dict.fromkeys([*ROWS, *(f"{lead}{end}" for end in ("", "_sd", "_low", "_high")), *table])
    table = table[[column for column in order if column in table]]
    published = table["arm"].isin(arms.index[arms["published"].astype(bool)])
    table = tables.beside_published(table, tables.NUMBER[name], published & (table["model"] == "tsm"))
    return table.rename(columns=lambda column: _pooled(name, column, "paper_"))


def second(name: str, scores: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Calibration and ranking of the same rows as in `main`: see the scores' own words in tasks/scores.py.

    Pooled and named as there. The Brier score of S/F change, in which baselines are compared, also as a mean
    over patients.
    """
    table, own = _rows(name, scores, arms, SECOND[name]), AGAINST[name]
    if f"{own}_pooled" in table:
        values = [_of_row(scores, own, row.model, row.arm).mean() for row in table.itertuples()]
        table.insert(len(ROWS), own, np.array(values, float))
    return table


def _leading(
    name: str, scores: pd.DataFrame, model: str, arm: str, rng: np.random.Generator
) -> tuple[float, float, float]:
    """A row's leading score and its interval."""
    values, lead = _of_row(scores, EACH[name], model, arm), LEADING[name]
    mean = values.mean() if lead == EACH[name] else np.sqrt(values.mean())
    return (mean, *tasks.interval(values, lead, rng))


def _of_row(scores: pd.DataFrame, metric: str, model: str, arm: str) -> pd.Series:
    """Each patient's score of a row; a trivial model's, the same in every arm, is that of its first."""
    values = tasks.patient_values(scores, metric, model)
    return values[arm] if arm in values else values.iloc[:, 0] if values.shape[1] else pd.Series(dtype=float)


def _pooled(name: str, column: str, before: str = "") -> str:
    """The name of a column of pooled scores, of the task's metrics, in the table; others as they are."""
    metric = column.removeprefix(before)
    end = "_sd" if metric.endswith("_sd") else ""
    known = metric.removesuffix(end) in (*METRICS[name], *SECOND[name]) and column.startswith(before)
    return f"{column.removesuffix(end)}_pooled{end}" if known and name in SEVERAL else column


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
        if spread.notna().any() and metric not in COUNTS[name] and not metric.endswith(SIGNS):
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
    patients, number = tested(scores), tested(scores, RESTS.get(name, ""))
    among = f"{number or 'none'} of them with cross-day pairs, on which the leading score rests"
    among = among if number < patients else ""  # a patient of another task always weighs something
    return tables.heading(tables.NUMBER[name], cohort, origin, patients, protocol, among)


def for_paper(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Of `main` what a page has room for (tables.for_paper), each row with its name in words."""
    rows = [title(row.model, row.arm) for row in table.itertuples()]
    return tables.for_paper(table.assign(row=rows), "row", (LEADING[name],))


def told(protocol: str, scores: dict[str, pd.DataFrame], against: pd.DataFrame) -> str:
    """What the test patients of each task can show of the comparisons with baselines, a line each."""
    return "\n".join([PROTOCOLS[protocol], *can_show(scores, against, AGAINST)])


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
            who, metric = problems.counted(tested(table), "held-out patient"), WORDS[metrics[name]]
            said = f"{who}, none with a value to compare ({metric}); nothing is compared."
        lines.append(f"{WORDS[name]}: {said}")
    return lines


def stacked(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The scores of all tasks in one table, with a column `task`."""
    return pd.concat([table.assign(task=name) for name, table in scores.items()], ignore_index=True)
