"""notebooks_and_outputs.yaml: what a finished run of each notebook leaves, and which task it trains.

That is data, not code: a new name, and a new task, train nothing.
"""

from functools import cache
from pathlib import Path

from lusnb import params


@cache
def _listed() -> dict[str, dict]:
    return params.read_yaml(Path(__file__).with_name("notebooks_and_outputs.yaml"))


def promised(notebook: str) -> list[str]:
    """Every file that a finished run of a notebook leaves, as `Run.path` names it: tables/ and figures/ go to
    the folders that the runs of a cohort share."""
    return list(_listed().get(notebook, {}).get("leaves", ()))


def tasks() -> dict[str, str]:
    """The notebook that trains each task, in the order of their tables. What a task is: tasks/registry.py."""
    return {known["task"]: name for name, known in _listed().items() if "task" in known}


def starts_from() -> dict[str, str]:
    """The task from whose networks a task starts, where it does."""
    return {known["task"]: known["starts_from"] for known in _listed().values() if "starts_from" in known}
