"""What the finished tasks of a profile left: predictions of every arm, and their scores."""

from pathlib import Path

import pandas as pd

from lusnb.params import ParameterError, Params
from lusnb.study import matrix, places, profile
from lusnb.study.runs import find, read_csv
from lusnb.tasks import scores
from lusnb.tasks.registry import TASKS


def predictions(p: Params) -> dict[str, pd.DataFrame]:
    """Predictions of every task of the profile, all its arms, baselines and seeds, with the temperatures that
    fit validation (scores.tempered); empty for a task that the profile leaves out."""
    return {task: scores.tempered(table) for task, table in _stacked(p).items()}


def _stacked(p: Params) -> dict[str, pd.DataFrame]:
    asked, found = profile.load(p.profile), {}
    for task in TASKS:
        parts = [
            read_csv(find(p, matrix.TASKS[task], arm=arm, seed=seed), "predictions.csv")
            for arm in asked.task_arms(p.cohort)
            for seed in asked.seeds
            if task in asked.tasks
        ]
        parts = [part for part in parts if len(part)] or parts[:1]
        found[task] = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return found


def scored(p: Params, predictions: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Scores of these predictions (scores.score), by the profile's protocol; arms in the order of theirs."""
    protocol, found = profile.load(p.profile).protocol, {}
    for task, table in predictions.items():
        parts = [pd.DataFrame(columns=scores.TIDY)]
        if len(table):
            trainings = table.groupby(["arm", "seed"], sort=False)
            parts = [scores.score(TASKS[task], own, protocol) for _, own in trainings]
        found[task] = pd.concat(parts, ignore_index=True)
    return found


def trained(p: Params, task: str, arm: str, seed: int) -> tuple[Path, Params]:
    """A finished task of one arm: its folder, and the parameters that it was trained with.

    Raises ParameterError for a task or an arm that the profile does not train.
    """
    base = places.root()
    asked = {"cohort": p.cohort, "arm": arm, "seed": seed}.items()
    for node in profile.nodes(profile.load(p.profile)):
        if node.notebook == matrix.TASKS[task] and asked <= dict(node.identity).items():
            folder = find(p, node.notebook, arm=arm, seed=seed)
            return folder, Params(node.notebook, profile.parameters(node, base))
    raise ParameterError(
        f"{p.notebook}: expected a task and an arm that params/{p.profile}/study.yaml trains, got {task} of "
        f"{arm}; correct the name, or add it there."
    )
