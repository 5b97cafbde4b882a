"""Notebooks are stories: clean, short cells, no definitions, parameters that explain themselves."""

import json
import re
from pathlib import Path

import pytest

from lusnb import params

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ACROSS = {"12_sensitivity", "13_outcome"}  # over all cohorts of a sweep, so without one of its own


def cells(path, kind=None):
    found = json.loads(path.read_text())["cells"]
    return [c for c in found if kind is None or c["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_without_outputs(path):
    assert "papermill" not in json.loads(path.read_text())["metadata"]
    for cell in cells(path, "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_calls_not_definitions(path):
    for cell in cells(path, "code"):
        source = "".join(cell["source"])
        assert not re.search(r"^\s*(def|class|while) |lambda", source, re.M)
        assert not re.search(r"for .* in range\(.*epochs", source)
        if "parameters" not in cell["metadata"].get("tags", []):
            assert len(source.splitlines()) <= 15, source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_headline_comes_first_and_parameters_once(path):
    first = "".join(cells(path)[0]["source"])
    assert first.startswith(f"# {path.stem[:2]} ") and "**In short.**" in first
    tagged = [c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1 and "".join(tagged[0]["source"]).startswith(params.MARK)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_parameter_says_what_it_is(path):
    tagged = next(c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", []))
    lines = "".join(tagged["source"]).splitlines()[1:]
    for line in lines:
        assert re.match(r"\w+: [\w| ]+ = .+  # \S", line), line
    assert len(params.of_notebook(path)) == len(lines)


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem not in ACROSS], ids=lambda p: p.stem)
def test_the_defaults_are_the_smoke_profile(path):
    found = params.of_notebook(path)
    assert found["profile"][1] == "smoke" and found["cohort"][1] == "phantom_smoke"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_frozen_name_is_the_notebooks_own(path):
    code = "\n".join("".join(c["source"]) for c in cells(path, "code"))
    assert f'params.freeze("{path.stem}", globals())' in code
