"""README, docs and notebooks as text: lines that fit; links, paths and targets that exist."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DOCS = sorted((ROOT / "docs").glob("*.md"))
CARD = ROOT / "lusnb" / "segment" / "weights" / "README.md"
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS, CARD]
WIDTH = 120
LINK = re.compile(r"\]\(([^)#\s]+)\)")
CODE = re.compile(r"`((?:lusnb|tests|docs|notebooks)/[\w./-]*)`")
TARGET = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.M)


def text_of(path):
    """The Markdown of a page or of a notebook's cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def name_of(path):
    return path.name


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=name_of)
def test_lines_of_markdown_fit(path):
    lines = text_of(path).splitlines()
    if (
        path.name == "statistics.md" or path == CARD
    ):  # their tables are computed, and a row of numbers cannot be broken
        lines = [line for line in lines if not line.startswith("|")]
    assert [line for line in lines if len(line) > WIDTH] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_heading_opens_its_cell(path):
    """JupyterLab folds what is below a heading, if the heading is the first line of its cell."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            text = re.sub(r"^```.*?^```", "", "".join(cell["source"]), flags=re.S | re.M)
            assert not re.search(r"\n#+ ", text), text


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    links = [link for link in LINK.findall(text_of(path)) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_of_docs_is_linked_from_the_readme():
    linked = LINK.findall(text_of(ROOT / "README.md"))
    assert {f"docs/{path.name}" for path in DOCS} <= set(linked)


@pytest.mark.parametrize("path", [*PAGES[:2], *DOCS, *NOTEBOOKS], ids=name_of)
def test_files_that_are_named_exist(path):
    named = [name for name in CODE.findall(text_of(path)) if "..." not in name]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_stays_one_page_and_knows_every_notebook_and_profile():
    text = text_of(ROOT / "README.md")
    assert len(text.splitlines()) <= 155
    assert [path.stem for path in NOTEBOOKS if f"`{path.stem}`" not in text] == []
    profiles = [path.parent.name for path in (ROOT / "params").glob("*/study.yaml")]
    assert [name for name in profiles if f"| `{name}` |" not in text] == []


def test_the_map_names_every_wing():
    text = text_of(ROOT / "CONTRIBUTING.md")
    wings = [p.name for p in (ROOT / "lusnb").iterdir() if (p / "__init__.py").is_file()]
    assert len(wings) == 9 and [wing for wing in wings if f"| `lusnb/{wing}/` |" not in text] == []


def test_make_alone_prints_every_target_on_a_line():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [t for line in re.findall(r"^\.PHONY: (.*)$", makefile, re.M) for t in line.split()]
    # under `make test` a second make would also say which folder it enters and leaves
    command = ["make", "--no-print-directory"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[1] for line in shown] == re.findall(r"^([a-z-]+):.*##", makefile, re.M)
    assert sorted(line.split()[1] for line in shown) == sorted(targets)
    assert all(len(line.split()) > 2 and len(line) <= 100 for line in shown)
    named = {name for path in PAGES for name in TARGET.findall(text_of(path))}
    assert named - set(targets) == set()


def test_a_study_needs_no_tools_of_the_tests():
    """`make study` installs the package; only what tests or checks installs `.[test]`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ready = {t: needs.split() for t, needs in re.findall(r"^([a-z-]+): ([^#\n]*)##", makefile, re.M)}
    of_package = [target for target, needs in ready.items() if "$(READY)" in needs]
    of_tests = [target for target, needs in ready.items() if "$(READY_TEST)" in needs]
    assert of_package == ["setup", "study", "lab", "app", "clean", "pretrain"] and of_tests == [
        "test",
        "types",
        "bench",
    ]


def test_the_citation_is_of_this_version_and_of_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited["cff-version"] == "1.2.0"
    assert (str(cited["version"]), cited["license"]) == (project["version"], project["license"])
    (paper,) = cited["references"]
    assert paper["title"] == "Label Uncertainty for Ultrasound Segmentation" and paper["year"] == 2025
    assert [one["family-names"] for one in paper["authors"]][:2] == ["Shivaram", "Gare"]


def test_hooks_and_workflows_are_yaml_and_hooks_have_the_versions_of_make_lint():
    for path in (ROOT / ".github").rglob("*.yml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    pinned = {repo["repo"].rsplit("/", 1)[1]: repo["rev"] for repo in repos}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nruff=={pinned['ruff-pre-commit'].removeprefix('v')}\n" in constraints


def test_the_public_workflow_covers_the_oldest_and_the_newest_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, beyond = re.findall(r"3\.(\d+)", project["requires-python"])
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["linux"]["strategy"]["matrix"]["python"] == [f"3.{oldest}", f"3.{int(beyond) - 1}"]
    assert any(step.get("run") == ".ci/run" for step in jobs["linux"]["steps"])


def test_modules_whose_types_are_not_checked_exist():
    types = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert types["files"] == ["lusnb"]
    assert [name for name in types["exclude"] if not (ROOT / name).is_file()] == []
