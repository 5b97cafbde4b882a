"""The good source, its copies, and what it means to be refused without a trace."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lusnb.cohort.problems import CohortError
from lusnb.readers.folder import import_folder
from tests.faults import make

Told = tuple[str, int | None, str, str, str]  # file, row, and patterns of expected, arrived, remedy


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source that is accepted; read it, never change it."""
    return make.good(tmp_path_factory.mktemp("faults") / "source")


@pytest.fixture
def source(good: Path, tmp_path: Path) -> Path:
    """A copy of the good source, to be broken."""
    return shutil.copytree(good, tmp_path / "source")


@pytest.fixture
def refused(source: Path, tmp_path: Path) -> Callable[..., CohortError]:
    """Import a broken source: the error, after making sure that nothing was left and nothing changed."""

    def run(**how: object) -> CohortError:
        (tmp_path / "cohorts").mkdir()
        before = make.snapshot(tmp_path)
        with pytest.raises(CohortError) as caught:
            import_folder(source, tmp_path / "cohorts" / "new", name="new", **how)
        assert make.snapshot(tmp_path) == before
        return caught.value

    return run


def check(problems: pd.DataFrame, source: Path, *wanted: Told) -> None:
    """The table of problems holds these and no other."""
    found = [(Path(p.file), p.row, p.expected, p.arrived, p.remedy) for p in problems.itertuples()]
    assert len(found) == len(wanted), found
    for (file, row, *texts), (name, at, *patterns) in zip(found, wanted, strict=True):
        assert file == source / name and (pd.isna(row) if at is None else row == at), found
        for text, pattern in zip(texts, patterns, strict=True):
            assert re.search(pattern, text), f"{pattern!r} is not in {text!r}"
