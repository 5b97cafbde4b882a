"""What the networks of finished tasks use of their inputs, some arms and every task of a profile."""

import pandas as pd

from lusnb.arms import one_of
from lusnb.cohort.cohort import Cohort
from lusnb.compare import finished_tasks
from lusnb.params import ParameterError, Params
from lusnb.study import profile
from lusnb.tasks import explained as tasks_explained
from lusnb.tasks import masks, train
from lusnb.tasks.explained import Example
from lusnb.tasks.registry import TASKS

OF = ["task", "arm"]


def asked(p: Params) -> dict[tuple[str, str], tuple]:
    """The trained tasks that are explained, (task, arm) -> folder and parameters (finished_tasks.trained).

    Of the profile's first seed: every task of p.explained_arms, or of the first on the tasks where none is.
    Raises ParameterError for a name that is no arm of the profile.
    """
    study = profile.load(p.profile)
    known = study.task_arms(p.cohort)
    for name in p.explained_arms:
        if told := one_of("explained_arms", name, known):
            raise ParameterError(f"{p.notebook}: {told}")
    names = p.explained_arms or known[:1]
    return {
        (task, arm): finished_tasks.trained(p, task, arm, study.seeds[0])
        for task in study.tasks
        for arm in names
    }


def explained(
    asked: dict[tuple[str, str], tuple], cohort: Cohort, fingerprint: str, count: int
) -> tuple[pd.DataFrame, dict[tuple[str, str], Example]]:
    """explained.of_task of each of them, at most `count` test units a task and arm.

    asked: of `asked`. Returns the tables under one another, with columns task and arm, and the example of
    each that has one: a task that this cohort does not allow has none.
    """
    tables, examples = [pd.DataFrame(columns=[*OF, *tasks_explained.COLUMNS])], {}
    for (task, arm), (folder, own) in asked.items():
        segmented = masks.open_segmenter(own, cohort, fingerprint)
        result = train.read(TASKS[task].question, folder, cohort, segmented, own)
        table, example = tasks_explained.of_task(result, cohort, segmented, own, count)
        if example is not None:
            tables.append(table.assign(task=task, arm=arm)[[*OF, *tasks_explained.COLUMNS]])
            examples[task, arm] = example
    return pd.concat(tables[1:] or tables, ignore_index=True), examples
