"""What a study.yaml may say: its keys, and what must hold between them."""

import re
from collections.abc import Mapping
from pathlib import Path

from lusnb import arms, params
from lusnb.params import PROTOCOLS
from lusnb.study import notebooks

TASKS = notebooks.tasks()  # task -> notebook
NOTEBOOKS = {
    "cohort": "00_cohort",
    "explore": "01_explore_data",
    "confidence": "02_confidence_maps",
    "train": "03_train_segmentation",
    "segmentation": "04_compare_segmentation",
    **TASKS,
    "tasks": "08_compare_tasks",
    "figures": "09_figures",
    "sensitivity": "12_sensitivity",
    "outcome": "13_outcome",
    "drives": "14_what_drives",
}
# notebooks over all cohorts of a profile, and the comparison of each cohort that they read
ACROSS = {"12_sensitivity": "04_compare_segmentation", "13_outcome": "08_compare_tasks"}
STARTS_FROM = notebooks.starts_from()
OPTIONAL_KEYS = {
    "null_arms": int,  # how many copies of the one arm, which differ by their seed alone
    "task_arms": list,  # the arms that go on to the tasks; all where it is left out
    "across": str,  # a notebook that reads the finished comparisons of all the cohorts
}
STUDY_KEYS = {"cohorts": dict, "arms": dict, "tasks": list, "seeds": list, "folds": int, "protocol": str}


def check_linked(cohort: str, own: Mapping) -> None:
    """Raise ParameterError unless a cohort, made with these parameters, can stand in 13_outcome."""
    if own["source"] != "phantom" or own["null"] not in ("none", "outcome"):
        raise params.ParameterError(
            f"cohort {cohort}: expected a phantom with null none or outcome, got source {own['source']} "
            f"with null {own['null']}; correct it in study.yaml."
        )


def check(path: Path, matrix: dict) -> None:
    """Raise ParameterError unless the content of a study.yaml makes a study: keys and types, arms with a
    threshold each, enough folds, tasks that can start."""
    _check_keys(path, matrix)
    _check_cohorts(path, matrix["cohorts"])
    for arm, fields in matrix["arms"].items():
        arms.check(str(path), arm, fields)
    seeds = matrix["seeds"]
    if not matrix["arms"] or not seeds or len(set(seeds)) < len(seeds):
        raise params.ParameterError(
            f"{path}: expected at least one arm, and seeds that differ, got {len(matrix['arms'])} arms and "
            f"seeds {seeds}; add an arm, or correct the seeds."
        )
    if "null_arms" in matrix and (matrix["null_arms"] < 2 or len(matrix["arms"]) != 1):
        raise params.ParameterError(
            f"{path}: null_arms copies one arm at least twice, got {matrix['null_arms']} copies of "
            f"{len(matrix['arms'])} arms; name one arm, or leave null_arms out."
        )
    if "across" in matrix:
        _check_across(path, matrix)
    if "task_arms" in matrix:
        _check_task_arms(path, matrix)
    if matrix["protocol"] == "cross_fitted" and matrix["tasks"] and matrix["folds"] < 3:
        raise params.ParameterError(
            f"{path}: folds: expected at least 3 for tasks under cross_fitted, as inner segmenters leave out "
            f"two, got {matrix['folds']}; set folds higher."
        )
    if matrix["folds"] < 2:
        raise params.ParameterError(
            f"{path}: folds: expected at least 2, got {matrix['folds']}; set folds higher."
        )
    for task, first in STARTS_FROM.items():
        if task in matrix["tasks"] and first not in matrix["tasks"]:
            raise params.ParameterError(
                f"{path}: tasks: expected {first} besides {task}, which starts from its networks, got "
                f"{matrix['tasks']}; add {first}."
            )


def _check_task_arms(path: Path, matrix: dict) -> None:
    """Names of arms, at least one, each once."""
    names, known = matrix["task_arms"], [*arms.copies(matrix["arms"], matrix.get("null_arms"))]
    if not names or len(set(map(str, names))) < len(names):
        raise params.ParameterError(
            f"{path}: task_arms: expected at least one arm, each once, got {names}; correct it, or leave it "
            "out."
        )
    for name in names:
        if told := arms.one_of("task_arms", name, known):
            raise params.ParameterError(f"{path}: {told}")


def _check_across(path: Path, matrix: dict) -> None:
    """What a notebook over all cohorts needs of the matrix."""
    name = matrix["across"]
    if name not in ACROSS:
        raise params.ParameterError(
            f"{path}: across: expected one of {', '.join(ACROSS)}, got {name!r}; correct it, or leave it out."
        )
    if matrix["protocol"] != "paper":
        raise params.ParameterError(
            f"{path}: protocol: expected paper where across is set, as its training patients are tested "
            f"nowhere, got {matrix['protocol']}; set protocol to paper, or leave across out."
        )
    reads_tasks = ACROSS[name] == NOTEBOOKS["tasks"]
    if reads_tasks != bool(matrix["tasks"]):
        raise params.ParameterError(
            f"{path}: {name} reads {ACROSS[name]}: expected {'tasks' if reads_tasks else 'tasks: []'}, got "
            f"{matrix['tasks']}; correct tasks."
        )
    if name == NOTEBOOKS["outcome"] and "sf_ratio" not in matrix["tasks"]:
        raise params.ParameterError(
            f"{path}: {name} compares errors of sf_ratio: expected it among tasks, got {matrix['tasks']}; "
            "add it."
        )


def _check_cohorts(path: Path, cohorts: dict) -> None:
    if not cohorts:
        raise params.ParameterError(f"{path}: expected at least one cohort; add one below cohorts.")
    for name, fields in cohorts.items():
        if not re.fullmatch(arms.NAME, str(name)):
            raise params.ParameterError(
                f"{path}, cohort {name}: expected the name of a folder below data/, of letters, digits and "
                "_ . -; rename the cohort."
            )
        if not isinstance(fields, dict | None):
            raise params.ParameterError(
                f"{path}, cohort {name}: expected {{source: folder}} or other parameters of "
                f"{NOTEBOOKS['cohort']}, or {{}}, got {fields!r}; correct it."
            )


def _check_keys(path: Path, matrix: dict) -> None:
    for key in matrix:
        if key not in STUDY_KEYS | OPTIONAL_KEYS:
            raise params.ParameterError(params.unknown(str(path), key, STUDY_KEYS | OPTIONAL_KEYS))
    for key, kind in (STUDY_KEYS | {k: v for k, v in OPTIONAL_KEYS.items() if k in matrix}).items():
        if not isinstance(matrix.get(key), kind):
            raise params.ParameterError(
                f"{path}: `{key}`: expected a value of type {kind.__name__}, got {matrix.get(key)!r}; "
                "see params/smoke/study.yaml."
            )
    for task in matrix["tasks"]:
        if task not in TASKS:
            raise params.ParameterError(params.unknown(str(path), task, dict.fromkeys(TASKS)))
    if matrix["protocol"] not in PROTOCOLS:
        raise params.ParameterError(
            f"{path}: protocol: expected one of {', '.join(PROTOCOLS)}, got {matrix['protocol']!r}; "
            "correct it."
        )
