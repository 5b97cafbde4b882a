"""The clinical tasks, by name, in the order of their tables."""

from lusnb.tasks import readmission, sf_change, sf_ratio
from lusnb.tasks.task import Task

TASKS: dict[str, Task] = {own.TASK.name: own.TASK for own in (sf_change, sf_ratio, readmission)}
