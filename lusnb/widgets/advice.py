"""Where a widget's cohort and runs are, and in a sentence what to do where there are none."""

import os
from collections.abc import Mapping
from pathlib import Path

from lusnb.study import places as study_places
from lusnb.study import profile as study_profile
from lusnb.study.profile import Study

# what brings back a widget whose kernel is new: its cell alone lacks what the others made
AGAIN = "choose Run All Cells in the menu Run; in the app, load the page again"


def places(p: Mapping) -> tuple[Path, Path]:
    """The cohort's folder and that of its runs. p: profile, cohort, cohort_folder, runs_folder.

    Blank ones are data/<cohort> and runs/<profile>/<cohort>; relative ones are below the project; `~` is
    one's home.
    """
    base = study_places.root()
    cohort = p["cohort_folder"] or f"data/{p['cohort']}"
    runs = p["runs_folder"] or f"runs/{p['profile']}/{p['cohort']}"
    return base / os.path.expanduser(cohort), base / os.path.expanduser(runs)


def no_cohort(folder: Path, p: Mapping) -> str:
    """One sentence that says what to do, where `folder` holds no cohort; "" where it does.

    p: profile, cohort, cohort_folder, as `places` took them.
    """
    if (folder / "cohort.yaml").is_file():
        return ""
    if p["cohort_folder"]:
        return f"There is no cohort.yaml in {folder}: correct cohort_folder."
    asked = _study(p["profile"])
    if isinstance(asked, str):
        return f"There is no cohort in {folder}, and {asked}"
    if p["cohort"] in asked.cohorts:
        return f"There is no cohort in {folder} yet; make one with: {command(p['profile'])}"
    return f"There is no cohort in {folder}, and {_without(asked, p['cohort'])}: correct cohort or profile."


def command(profile: str) -> str:
    """What makes a whole study."""
    return f"make study PROFILE={profile}"


def remedy(cohort_folder: Path, runs_folder: Path, profile: str) -> str:
    """What makes the runs of a cohort: a command; or, where it would not make these, what to correct."""
    asked, place = _study(profile), cohort_folder.resolve()
    if isinstance(asked, str):
        return asked
    if place not in [_data(name) for name in asked.cohorts]:
        return (
            f"{_without(asked, place)}; give a profile that has it, or put it into data/ and add it to "
            f"params/{profile}/study.yaml."
        )
    made = f"runs/{profile}/{place.name}"
    if runs_folder.resolve() != (study_places.root() / made).resolve():
        return f"{command(profile)} writes to {made}, not to {runs_folder}; correct runs_folder."
    return command(profile)


def no_segmenter(cohort_folder: Path, runs_folder: Path, profile: str) -> str:
    """Where no segmenter is finished: what makes one."""
    return f"No segmenter is finished: {remedy(cohort_folder, runs_folder, profile)}"


def no_task(cohort_folder: Path, runs_folder: Path, profile: str) -> str:
    """Where no task is finished: what makes one, or that the study has none."""
    made, asked = remedy(cohort_folder, runs_folder, profile), _study(profile)
    if not isinstance(asked, str) and made == command(profile) and not asked.tasks:
        return f"This study has no tasks: the list `tasks` in params/{profile}/study.yaml is empty."
    return f"No task is finished: {made}"


def _study(profile: str) -> Study | str:
    """A profile's study, or why it cannot be read."""
    try:
        return study_profile.load(profile)
    except (OSError, ValueError) as error:
        return f"profile {profile!r} cannot be read: {error}"


def _data(name: str) -> Path:
    return (study_places.root() / "data" / name).resolve()


def _without(asked: Study, cohort: object) -> str:
    return f"profile {asked.profile} does not have the cohort {cohort}, only {', '.join(asked.cohorts)}"
