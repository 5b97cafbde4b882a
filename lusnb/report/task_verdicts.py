"""What a comparison of tasks found: its verdict, in sentences that its tables bear out (see verdicts.py)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lusnb import stats
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort.problems import counted, sentence
from lusnb.compare.tasks import patient_values
from lusnb.report import wording
from lusnb.report.task_tables import in_words, tested, title
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.registry import TASKS

OPPONENTS = {
    **{"majority": "the majority class", "mean": "the training mean"},
    GRAYSCALE: "the network without masks",
}


def of_tasks(
    scores: Mapping[str, pd.DataFrame],
    against: pd.DataFrame,
    compared: pd.DataFrame,
    lacks: Mapping[str, Sequence[str]],
) -> str:
    """Per task: does anything beat the trivial model, do masks help, do arms differ? A line each.

    scores: task -> its tidy scores; against, compared: of compare.tasks.against_baselines and .differences;
    lacks: task -> what the cohort misses for it (coverage.lacks), empty where nothing.
    """
    ran = [name for name in scores if tested(scores[name])]
    lines = [line for name in ran for line in _of_task(name, scores[name], against, compared)]
    lacking = [TASKS[name].title for name in scores if name not in ran and lacks.get(name)]
    rest = [TASKS[name].title for name in scores if name not in ran and not lacks.get(name)]
    lines += [f"Not possible with this cohort: {', '.join(lacking)}."] if lacking else []
    lines += [f"Not asked by this profile, or of nobody held out: {', '.join(rest)}."] if rest else []
    return "\n".join([*lines, *wording.footnotes(lines), *_retrained(compared)])


def _of_task(name: str, scores: pd.DataFrame, against: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    rows, pairs = against[against["task"] == name], compared[compared["task"] == name]
    start = sentence(TASKS[name].title)
    patients = max([0, *rows["patients"], *pairs["patients"]])
    if patients < 1:
        return [f"{start}: no held-out patient has a value to compare."]
    who = counted(patients, "patient")
    if patients < stats.FEW:
        return [f"{start}: {who}. {wording.too_few(max(rows, pairs, key=len))}"]
    trivial, oracle = rows["reference"].isin(TRIVIAL), rows["arm"] == TRUE_MASKS
    asked = {
        "Does anything beat": trivial & ~oracle,
        "Does anything with the true masks beat": trivial & oracle,
        "Does an arm beat": rows["reference"] == GRAYSCALE,
    }
    lines = [f"{start}, {who}:"]
    for question, own in ((question, rows[chosen]) for question, chosen in asked.items() if chosen.any()):
        reference, metric = OPPONENTS[own["reference"].iloc[0]], in_words(name, own["metric"].iloc[0])
        lines.append(f"  {question} {reference} ({metric})? {_beating(own, rows, scores)}")
    return [*lines, f"  Do arms differ{_between(name, pairs, rows[trivial], scores)}"]


def _beating(rows: pd.DataFrame, family: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Which models of `rows`, which have one reference, beat it; family: all rows that Holm corrects for."""
    rows = rows.dropna(subset="difference").sort_values("difference", ascending=False, kind="stable")
    if rows.empty or rows["patients"].max() < stats.FEW:
        return "Too few patients to compare."
    shown = rows[rows["p_holm"] < wording.LEVEL]
    ahead, behind = shown[shown["difference"] > 0], shown[shown["difference"] < 0]
    worse = wording.some([_model(row) for _, row in behind.iterrows()])
    end = f" Shown to be worse: {worse}." if worse else ""
    if len(ahead):
        better = [f"{_model(row)} by {wording.tested(row)}" for _, row in ahead.iterrows()]
        return f"Shown: {wording.some(better)}.{end}"
    row = rows.iloc[0]
    if not row["difference"] > 0:
        return f"Not shown; none has a better mean.{end}"
    needed = wording.needed(_differences(scores, row), family)
    return f"Not shown. Largest lead: {_model(row)} by {wording.tested(row)}.{needed}{end}"


def _between(name: str, pairs: pd.DataFrame, trivial: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Which arms differ from their reference, and whether they beat the trivial model; from the metric on."""
    rows = pairs.dropna(subset="difference")
    rows = rows.reindex(rows["difference"].abs().sort_values(ascending=False, kind="stable").index)
    if rows.empty:
        return "? There are no two arms to compare."
    metric = rows["metric"].iloc[0]
    start = f" ({in_words(name, metric)})? "
    if rows["patients"].max() < stats.FEW:
        return f"{start}Too few patients to compare."
    shown = rows[rows["p_holm"] < wording.LEVEL]
    if len(shown):
        beat = (trivial["model"] == "tsm") & (trivial["p_holm"] < wording.LEVEL) & (trivial["difference"] > 0)
        beats = set(trivial.loc[beat, "arm"])
        return f"{start}Shown: {wording.some([_shown_pair(row, beats) for _, row in shown.iterrows()])}."
    row = rows.iloc[0]
    if row["difference"] == 0:
        return f"{start}Not shown; every mean difference is 0."
    values = patient_values(scores, metric)
    needed = wording.needed(values[row["arm"]] - values[row["reference"]], pairs)
    return f"{start}Not shown. Largest lead: {wording.lead(row)}.{needed}"


def _shown_pair(row: pd.Series, beats: set[str]) -> str:
    """A pair that differs: does it if trained anew, and does its better arm beat the trivial model?"""
    better, p = wording.order(row)[0], row["p_retrained"]
    anew = "unknown" if p != p else "also shown" if p < wording.LEVEL else "not shown"
    alone = "" if better in beats else f", though {better} is not shown to beat the trivial model"
    return f"{wording.lead(row)}, {anew} for retrained arms{alone}"


def _model(row: pd.Series) -> str:
    return title(row["model"], row["arm"]).replace(", ", " on ")


def _differences(scores: pd.DataFrame, row: pd.Series) -> pd.Series:
    """Each patient's difference of a row of `against_baselines`; its sign does not matter here."""
    own = patient_values(scores, row["metric"], row["model"])[row["arm"]]
    trivial = row["reference"] in TRIVIAL
    other = patient_values(scores, row["metric"], row["reference"] if trivial else "tsm")
    return own - (other.iloc[:, 0] if trivial else other[row["reference"]])


def _retrained(compared: pd.DataFrame) -> list[str]:
    """In how many tested pairs both p are small; nothing where no pair of arms was tested."""
    rows = compared.dropna(subset="p_holm")
    if rows.empty:
        return []
    if rows["p_retrained"].isna().all():
        return ["Too few trainings to say anything about retrained arms: p_retrained is blank."]
    both, pairs = (
        (rows[["p_holm", "p_retrained"]] < wording.LEVEL).all(axis=1).sum(),
        counted(len(rows), "pair"),
    )
    return [f"Shown both for these trained models and for retrained arms (p_retrained): {both} of {pairs}."]
