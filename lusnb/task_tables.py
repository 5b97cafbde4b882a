"""The tasks' scores to Tables 2 to 4, to intervals, and to comparisons patient by patient.

`scores` are a task's tidy scores (outcomes.score), of every arm; `arms` is the table of arms (arms.table).
"""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from lusnb import outcomes, stats, tables
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.outcomes import LEADING, METRICS

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
SIGNS = ("_positive", "_negative")  # counts again: no spread is shown
WORDS = {
    **{"sf_change": "S/F change", "sf_ratio": "S/F ratio", "readmission": "readmission"},
    **{LEADING["sf_change"]: "2-class accuracy, cross-day pairs", "rmse_mean": "RMSE of S/F / maximum"},
    **{"mse_mean": "squared error of S/F / maximum", "brier": "Brier score"},
    "brier_cross_day": "Brier score, cross-day pairs",
}
TRIVIAL = ("majority", "mean")
REGRESSIONS = ("ridge", "logistic")
POOLED = {  # the leading metric from patients: their means, how much each weighs, what the mean goes through
    "sf_change": (LEADING["sf_change"], "pairs_cross_day", lambda mean: mean),
    "sf_ratio": ("mse_mean", "patient_days", np.sqrt),
    "readmission": ("accuracy", "patients", lambda mean: mean),
}
AGAINST = {  # what baselines are compared in, one value a patient; -1: smaller is better
    "sf_change": ("brier_cross_day", -1),  # of probabilities: the most frequent of three classes is not
    "sf_ratio": ("mse_mean", -1),  # always the better guess of two, and would be too easy to beat
    "readmission": ("brier", -1),
}
PROTOCOLS = {
    "paper": "The published test patients, the same in every fold: the spread over folds is that of "
    "retraining alone.",
    "cross_fitted": "Every patient who can be asked is predicted once a seed, by models that never saw them. "
    "Patients of one fold share a model: tests and intervals speak of these fitted models; as statements "
    "about arms trained anew they reject too often.",
}
COMPARED = [
    *("task", "metric", "arm", "model", "reference", "patients", "difference", "low", "high"),
    *("p", "p_holm", "attainable_p", "better", "reading"),
]


# -- Tables 2 to 4


def main(name: str, scores: pd.DataFrame, arms: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Tables 2 to 4: one row an arm or baseline, its scores beside the published ones.

    Rows: every arm's TSM; TSM on grayscale alone and on true masks; the majority class or the training mean;
    ridge and logistic regression on measures of each arm's masks and of the true ones. Mean and SD (ddof = 1)
    over folds as `<metric>` and `<metric>_sd`; where folds were put together, no SD. The leading metric has a
    95 % BCa interval over patients too, `_low` and `_high` (`interval`).
    """
    table = _rows(name, scores, arms, [*METRICS[name], *COUNTS[name]])
    lead = LEADING[name]
    limits = [interval(name, _of(scores, row.model, row.arm), rng) for row in table.itertuples()]
    after = list(table).index(f"{lead}_sd" if f"{lead}_sd" in table else lead) + 1
    for k, end in enumerate(("low", "high")):
        table.insert(after + k, f"{lead}_{end}", [pair[k] for pair in limits])
    published = table["arm"].isin(arms.index[arms["published"].astype(bool)])
    return tables.beside_published(table, tables.NUMBER[name], published & (table["model"] == "tsm"))


def second(name: str, scores: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Calibration and ranking of the same rows as in `main`: see the scores' own words in outcomes.py."""
    return _rows(name, scores, arms, SECOND[name])


def _of(scores: pd.DataFrame, model: str, arm: str) -> pd.DataFrame:
    """A row's scores; a trivial model's, which are the same in every arm, are those of its first."""
    own = scores[scores["model"] == model]
    return own[own["arm"] == (arm or own["arm"].iloc[0])]


def _rows(name: str, scores: pd.DataFrame, arms: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """model, arm, threshold, and the mean (and SD) over folds of the metrics, in the order of `main`."""
    folds = pd.DataFrame() if scores.empty else outcomes.over_folds(scores)
    if folds.empty:
        return pd.DataFrame(columns=["model", "arm", "threshold", *shown])
    wide = folds[folds["metric"].isin(shown)].pivot(index=["model", "arm"], columns="metric")
    columns = {}
    for metric in shown:
        columns[metric] = wide.get(("mean", metric))
        spread = wide.get(("sd", metric), pd.Series(dtype=float))
        if spread.notna().any() and metric not in COUNTS[name] and not metric.endswith(SIGNS):
            columns[f"{metric}_sd"] = spread
    found = pd.DataFrame(columns, index=wide.index).astype(float)
    place = [("tsm", arm) for arm in (*arms.index, GRAYSCALE, TRUE_MASKS)]
    place += [key for key in found.index if key[0] in TRIVIAL][:1]
    place += [(model, arm) for model in REGRESSIONS for arm in (*arms.index, TRUE_MASKS)]
    table = found.loc[[key for key in place if key in found.index]].reset_index()
    table.loc[table["model"].isin(TRIVIAL), "arm"] = ""
    table.insert(2, "threshold", table["arm"].map(arms["threshold"]).where(table["model"] == "tsm"))
    return table


# -- intervals


def interval(name: str, scores: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float]:
    """95 % BCa interval of one row's leading metric: patients drawn anew, the pooled score computed again.

    Conditional on the fitted models: it does not say how another training would have come out. The score is
    averaged over seeds, and over folds where these share their test patients. (nan, nan) under FEW patients,
    and where these are all alike, so that drawing them anew tells nothing.
    """
    metric, weigh, through = POOLED[name]
    means, weights = (_by_patient(scores, m) for m in (metric, weigh))
    counted = weights.columns[weights.gt(0).any()]
    if len(counted) < stats.FEW:
        return (np.nan, np.nan)
    weights = weights[counted].fillna(0).to_numpy()  # (runs, patients)
    sums = means.reindex(columns=counted).fillna(0).to_numpy() * weights

    def pooled(where: np.ndarray, axis: int = -1) -> np.ndarray:
        return through(sums[:, where].sum(axis) / weights[:, where].sum(axis)).mean(0)

    everyone = np.arange(len(counted))
    without = pooled(np.stack([np.delete(everyone, k) for k in everyone]))
    if np.ptp(without) == 0:
        return (np.nan, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a draw of patients without weight
        found = bootstrap((everyone,), pooled, batch=1000, method="BCa", rng=rng).confidence_interval
    return (float(found.low), float(found.high))


def _by_patient(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric of each test patient: one row a run (seed, and fold unless folds are put together)."""
    chosen = scores[(scores["metric"] == metric) & (scores["split"] == "test")]
    run = ["seed"] if (chosen["fold"] == outcomes.POOLED).any() else ["seed", "fold"]
    chosen = chosen[chosen["patient_id"].fillna("") != ""]
    return chosen.pivot_table(index=run, columns="patient_id", values="value", dropna=False)


# -- patient by patient


def patient_values(scores: pd.DataFrame, metric: str, model: str = "tsm") -> pd.DataFrame:
    """Each test patient's score of a model, mean over folds and seeds: a row a patient, a column an arm."""
    if scores.empty:
        return pd.DataFrame()
    chosen = scores[(scores["metric"] == metric) & (scores["split"] == "test") & (scores["model"] == model)]
    chosen = chosen[chosen["patient_id"].fillna("") != ""]
    return chosen.pivot_table(index="patient_id", columns="arm", values="value", aggfunc="mean", sort=False)


def differences(scores: dict[str, pd.DataFrame], arms: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Each arm against the first in each task's leading metric, patient by patient (stats.compare).

    As in `against_baselines` a difference above 0 means better than the first arm, of an error too.
    """
    columns = [name for name in COMPARED if name != "model"]
    parts = [pd.DataFrame(columns=columns)]
    for name, metric in LEADING.items():
        values = patient_values(scores[name], metric)
        if len(values):
            sign = -1 if name == "sf_ratio" else 1  # the smaller error is the better one
            compared = stats.compare(sign * values.reindex(columns=arms), arms, arms[0], rng)
            parts.append(compared.assign(task=name, metric=metric, better=_in_words(compared))[columns])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def patients(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Each test patient's leading score in each task: task, metric, patient_id, one column an arm."""
    parts = [pd.DataFrame(columns=["task", "metric", "patient_id"])]
    for name, metric in LEADING.items():
        values = patient_values(scores[name], metric).reset_index()
        if len(values):
            values.insert(0, "task", name)
            values.insert(1, "metric", metric)
            parts.append(values)
    return pd.concat(parts[1:] or parts, ignore_index=True)


def against_baselines(
    scores: dict[str, pd.DataFrame], arms: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Does anything beat what is trivial, or the network without masks? Patient by patient; Holm in a task.

    TSM of every arm, of grayscale and of true masks, and each regression, against the majority class or the
    training mean; TSM of every arm against TSM on grayscale and on true masks. One value a patient
    (AGAINST): Brier score of cross-day pairs; mean squared error over the patient's days (of the square,
    since a constant guess near the median has the least mean error of a day); Brier score. A difference above
    0 means better than the reference in each of them; `better` says so in words. The rest as in
    stats.compare_pairs.
    """
    parts = [pd.DataFrame(columns=COMPARED)]
    for name, (metric, sign) in AGAINST.items():
        values, pairs = _opponents(scores[name], metric, arms)
        if not pairs:
            continue
        compared = stats.compare_pairs(sign * values, [(":".join(own), ref) for own, ref in pairs], rng)
        own = pd.DataFrame([own for own, _ in pairs], columns=["model", "arm"])
        reference = [ref.split(":")[-1] or ref.split(":")[0] for _, ref in pairs]
        compared = compared.drop(columns="arm").assign(
            task=name, metric=metric, reference=reference, **own, better=_in_words(compared)
        )
        parts.append(compared[COMPARED])
    return pd.concat(parts[1:] or parts, ignore_index=True)


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
    rows = [tuple(column.split(":", 1)) for column in columns if column != trivial]
    pairs = [(row, trivial) for row in rows if trivial]
    for arm in (GRAYSCALE, TRUE_MASKS):
        if f"tsm:{arm}" in columns:
            pairs += [(row, f"tsm:{arm}") for row in rows if row[0] == "tsm" and row[1] in arms]
    return pd.DataFrame(columns).sort_index(), pairs


def _in_words(compared: pd.DataFrame) -> list[str]:
    """Which way the mean points, and whether the test shows it."""
    said = {-1.0: "worse", 0.0: "alike", 1.0: "better"}
    ways = [said.get(way, "") for way in np.sign(compared["difference"])]
    shown = (compared["difference"] == 0) | (compared["p_holm"] < 0.05) | compared["difference"].isna()
    return [way if sure else f"{way}, not shown" for way, sure in zip(ways, shown, strict=True)]


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
    patients, number = tested(scores), tested(scores, POOLED[name][1])
    among = f"{number or 'none'} of them with cross-day pairs, on which the leading score rests"
    among = among if number < patients else ""  # a patient of another task always weighs something
    return tables.heading(tables.NUMBER[name], cohort, origin, patients, protocol, among)


def for_paper(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Of `main` what a page has room for (tables.for_paper), each row with its name in words."""
    rows = [title(row.model, row.arm) for row in table.itertuples()]
    return tables.for_paper(table.assign(row=rows), "row", (LEADING[name],))


def told(protocol: str, scores: dict[str, pd.DataFrame], against: pd.DataFrame) -> str:
    """What the test patients of each task can show of the comparisons of `against_baselines`, a line each."""
    lines = [PROTOCOLS[protocol]]
    for name, table in scores.items():
        rows, said = against[against["task"] == name], "not possible with this cohort."
        if len(rows):
            said = tables.can_show(int(rows["patients"].max()), len(rows))
        elif tested(table):
            who, metric = tables.counted(tested(table), "held-out patient"), WORDS[AGAINST[name][0]]
            said = f"{who}, none with a value to compare ({metric}); nothing is compared."
        lines.append(f"{WORDS[name]}: {said}")
    return "\n".join(lines)


def stacked(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The scores of all tasks in one table, with a column `task`."""
    return pd.concat([table.assign(task=name) for name, table in scores.items()], ignore_index=True)
