"""What a finished node leaves on disk: outputs.yaml, which is data, so that a new name trains nothing."""

from functools import cache
from pathlib import Path

from lusnb import params


@cache
def _listed() -> dict[str, list[str]]:
    return params.read_yaml(Path(__file__).with_suffix(".yaml"))


def promised(notebook: str) -> list[str]:
    """Every file that a finished run of a notebook leaves, as `Run.path` names it: tables/ and figures/ go to
    the folders that the runs of a cohort share."""
    return list(_listed().get(notebook, ()))
