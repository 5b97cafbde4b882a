"""Imports point down, and light notebooks stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lusnb.study import reruns

ROOT = Path(__file__).parents[1]
ORDER = [  # a wing imports only from what stands before it; those of one line not from one another
    ["root"],
    ["cohort"],
    ["phantom", "readers", "segment"],
    ["study"],
    ["tasks"],
    ["compare"],
    ["report"],
    ["widgets"],
]
PLACE = {wing: k for k, wings in enumerate(ORDER) for wing in wings}
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


TRAIN = ["03_train_segmentation", "05_sf_change", "06_sf_ratio", "07_readmission"]


def modules():
    return [p for p in (ROOT / "lusnb").rglob("*.py") if p.name not in ("__init__.py", "__main__.py")]


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def wing_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else "root"


def imports_of(path):
    """The modules of the package that a module imports, at its top or within a function."""
    known = {name_of(p) for p in modules()}
    return {name for name in reruns.imported(path.read_text()) if name in known}


def broken(imports):
    """Imports that break the order of wings, and circles, in words; imports: module -> modules."""
    found = []
    for name, used in sorted(imports.items()):
        own = wing_of(name)
        for other in sorted(used):
            if wing_of(other) != own and PLACE[wing_of(other)] >= PLACE[own]:
                found.append(f"{name} imports {other}, but {wing_of(other)} is not left of {own}")
    return found + circles(imports)


def circles(imports):
    found, done = [], set()

    def walk(name, path):
        if name in path:
            found.append("a circle: " + " -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(imports.get(name, ())):
                walk(other, [*path, name])
            done.add(name)

    for name in sorted(imports):
        walk(name, [])
    return found


def test_the_package_is_nine_wings_and_six_modules_at_the_door():
    entries = {p.name for p in (ROOT / "lusnb").iterdir() if p.name != "__pycache__"}
    wings = {wing for wings in ORDER[1:] for wing in wings}
    door = {"arms", "calibration", "confidence", "files", "params", "stats"}
    assert entries == wings | {f"{name}.py" for name in door} | {"__init__.py"} and len(entries) <= 16


def test_imports_point_left_and_run_in_no_circle():
    assert broken({name_of(p): imports_of(p) for p in modules()}) == []


def test_the_import_that_breaks_the_order_is_named():
    wrong = {
        "lusnb.segment.losses": {"lusnb.compare.arms", "lusnb.readers.clips"},
        "lusnb.files": {"lusnb.cohort.tables"},
        "lusnb.tasks.a": {"lusnb.tasks.b", "lusnb.segment.losses"},
        "lusnb.tasks.b": {"lusnb.tasks.a"},
        "lusnb.report.arms": {"lusnb.compare.arms", "lusnb.stats"},
    }
    assert broken(wrong) == [
        "lusnb.files imports lusnb.cohort.tables, but cohort is not left of root",
        "lusnb.segment.losses imports lusnb.compare.arms, but compare is not left of segment",
        "lusnb.segment.losses imports lusnb.readers.clips, but readers is not left of segment",
        "a circle: lusnb.tasks.a -> lusnb.tasks.b -> lusnb.tasks.a",
    ]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_modules_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 45, f"{node.name} is long"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_public_functions_are_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def notebook_modules(name):
    import json

    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return sorted({n for n in reruns.imported(code) if n.startswith("lusnb.")})


@pytest.mark.parametrize("name", LIGHT)
def test_light_notebooks_import_no_torch(name):
    found = [n for n in notebook_modules(name) if n in {name_of(p) for p in modules()}]
    code = f"import sys, {', '.join(found)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_package_itself_does_nothing_on_import():
    assert (ROOT / "lusnb" / "__init__.py").read_text().count("\n") <= 2
