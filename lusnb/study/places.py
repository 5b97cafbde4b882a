"""Where things are: the project, a run's folder, real samples, the files of an import."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lusnb.params import ParameterError


def samples(base: Path) -> Path:
    """The folder of real samples: LUSNB_SAMPLES, or ../shared/data beside the project."""
    return Path(os.environ.get("LUSNB_SAMPLES", base.parent / "shared" / "data"))


def import_places(asked: Mapping[str, Any], base: Path) -> tuple[Path, Path]:
    """The folder of files and that of the spreadsheets, by the parameters of a 00_cohort that imports.

    Relative ones are below the samples and below the project. Raises ParameterError where none is named.
    """
    if not asked["files"]:
        raise ParameterError(
            "00_cohort: `files` must name the folder that holds the clips; set it beside `source: import`."
        )
    source = samples(base) / asked["files"]
    return source, base / asked["sheets"] if asked["sheets"] else source


def root(start: Path | None = None) -> Path:
    """The project's folder: the nearest from here (or `start`) upwards that holds `params/` and `notebooks/`.

    Raises FileNotFoundError where there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        f"{here}: no lusnb project here or above (a folder with params/ and notebooks/); "
        "change to the project's folder."
    )


def run_folder(notebook: str, given: Mapping) -> str:
    """`<profile>[/<cohort>]/<notebook>[/<arm>[/seed<k>][/fold<j>][/inner<i>]]`, from whatever is given.

    given: a node's identity, or all parameters of a run: both name the same folder. Without an arm there is
    no level below the notebook: the seed of a cohort is a parameter like any other. inner 0, no second fold
    left out, is no level.
    """
    parts = [given["profile"], *([given["cohort"]] if "cohort" in given else []), notebook]
    if "arm" in given:
        parts += [given["arm"], *(f"{level}{given[level]}" for level in ("seed", "fold") if level in given)]
        parts += [f"inner{given['inner']}"] if given.get("inner") else []
    return "/".join(parts)
