"""What 00_cohort's parameters make: an import by name or by key, and no key inside the project."""

from pathlib import Path

import pandas as pd
import pytest

from lusnb.cohort import cohort as cohorts
from lusnb.study import sources
from tests.faults import make


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of good files with their spreadsheets."""
    return make.good(tmp_path / "files")


def asked(params_of, files: Path, **more):
    return params_of("00_cohort", source="import", cohort="mine", files=str(files), **more)


def test_an_import_is_made_as_the_parameters_say(params_of, files, tmp_path):
    project, key = tmp_path / "project", tmp_path / "safe" / "key.csv"
    sources.make(asked(params_of, files, key=str(key)), project / "data" / "mine", project)
    cohort = cohorts.read(project / "data" / "mine")
    assert set(pd.read_csv(key)["study"]) >= set(cohort.patients["patient_id"])
    run = tmp_path / "run"
    assert sources.remember(cohort, run) and (run / "warnings.csv").is_file()
    assert list(sources.warnings(cohort).columns) == list(cohort.warnings.columns)


@pytest.mark.parametrize("place", ["key.csv", "data/key.csv", "notebooks/key.csv"])
def test_a_key_inside_the_project_is_refused(params_of, files, tmp_path, place):
    project = tmp_path / "project"
    with pytest.raises(ValueError, match="key: expected a file outside the project"):
        sources.make(asked(params_of, files, key=place), project / "data" / "mine", project)
    assert not project.exists()


def test_a_source_that_is_not_known_is_refused(params_of, tmp_path):
    with pytest.raises(ValueError, match="source: expected one of phantom, import, folder, got 'nowhere'"):
        sources.make(params_of("00_cohort", source="nowhere"), tmp_path / "c", tmp_path)
