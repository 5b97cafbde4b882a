"""Imports point down, and light notebooks stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lusnb import reruns

ROOT = Path(__file__).parents[1]
FLOORS = [
    ["cells", "values", "locks", "reference"],
    [
        "files",
        "confidence",
        "stats",
        "networks",
        "baselines",
        "examples",
        "outcomes",
        "checks",
        "outputs",
        "augmentation",
        "looks",
    ],
    ["bitmasks", "proofs", "ways"],
    ["params"],
    ["arms", "reruns", "splits"],
    ["matrix", "task_patients"],
    ["study", "contents", "phantom", "predictions", "training", "tables", "losses"],
    ["relations"],
    ["cohort", "held", "cuts", "making"],
    [
        "nodes",
        "readers",
        "metrics",
        "segmented",
        "labels",
        "agreement",
        "figures",
        "progress",
        "implied",
        "task_tables",
        "arm_maps",
        "painting",
    ],
    [
        "soft_metrics",
        "clipbank",
        "task_figures",
        "linked",
        "labelled",
        "sensitivity",
        "sensitivity_words",
        "sensitivity_figures",
        "queue",
        "export",
        "finished_curves",
    ],
    [
        "segmentation",
        "batches",
        "task_panels",
        "linked_figures",
        "explain_figures",
        "common",
        "panels",
        "sources",
        "rater_figures",
        "phantom_figures",
        "exploring",
    ],
    ["tasknet"],
    ["downstream", "explain", "graph", "measuring", "comparison", "uncertainty", "arm_figures"],
    ["precision_recall", "operating_figures"],
    ["explain_task"],
    ["runs"],
    ["widgets"],
]
FLOOR = {name: k for k, names in enumerate(FLOORS) for name in names}
LIGHT = [
    "01_explore_data",
    "02_confidence_maps",
    "08_compare_tasks",
    "09_figures",
    "12_sensitivity",
    "13_outcome",
    "10_explore_thresholds",
    "11_annotate",
]


def modules():
    return [p for p in (ROOT / "lusnb").rglob("*.py") if p.name != "__init__.py"]


def floor_of(path):
    return path.relative_to(ROOT / "lusnb").parts[0].removesuffix(".py")


def test_every_module_has_a_floor():
    assert {floor_of(p) for p in modules()} == set(FLOOR)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_imports_point_down(path):
    own = floor_of(path)
    names = [n.split(".")[1] for n in reruns._imported(path.read_text()) if n.startswith("lusnb.")]
    for used in {n for n in names if n in FLOOR and n != own}:
        assert FLOOR[used] < FLOOR[own], f"{own} imports {used}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_modules_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 310
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 45, f"{node.name} is long"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_public_functions_are_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def notebook_modules(name):
    import json

    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return sorted({n for n in reruns._imported(code) if n.startswith("lusnb.")})


@pytest.mark.parametrize("name", LIGHT)
def test_light_notebooks_import_no_torch(name):
    found = [n for n in notebook_modules(name) if n.count(".") == 1]
    code = f"import sys, {', '.join(found)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_package_itself_does_nothing_on_import():
    assert (ROOT / "lusnb" / "__init__.py").read_text().count("\n") <= 2
