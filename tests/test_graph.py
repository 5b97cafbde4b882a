"""A study as a user drives it, killed, mistyped and damaged: real processes over notebooks of three lines."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lusnb import params
from lusnb.study import proofs
from tests.test_profile import edit
from tests.test_smoke import copy_project

pytestmark = pytest.mark.slow
TRAIN = "03_train_segmentation"
WHERE = f"runs/tiny/c/{TRAIN}"
MAKES = """import time
from pathlib import Path

from lusnb.study import making, notebooks, runs

p = params.freeze("{name}", globals())
run = making.start(p)
for name in notebooks.promised(p.notebook):
    run.path(name).parent.mkdir(parents=True, exist_ok=True)
    run.path(name).write_text(f"{{name}} {{dict(p)}}")"""
COHORT = """from lusnb import files
from lusnb.cohort import fingerprint

data = run.cohort_folder
data.mkdir(parents=True, exist_ok=True)
data.joinpath("cohort.yaml").write_text("name: c")
found = {"cohort": fingerprint.cohort_fingerprint(data), "stamp": fingerprint.cohort_stamp(data)}
files.write_json(run.path("fingerprint.json"), found)"""
WAITS = """while p.epochs > 50 and not Path("go").exists():
    time.sleep(0.1)
if p.epochs == 13:
    raise ValueError("thirteen epochs")"""
READS = """for arm in ("t000", "t060"):
    runs.find(p, "03_train_segmentation", arm=arm, seed=0, fold=0)"""
MORE = {"00_cohort": COHORT, TRAIN: WAITS, "04_compare_segmentation": READS}


@pytest.fixture
def project(tmp_path):
    """A project whose notebooks have their own parameters and next to nothing else: 00, two of 03, 04, 12."""
    base = copy_project(tmp_path / "project")
    for path in (base / "notebooks").glob("*.ipynb"):
        content = json.loads(path.read_text())
        declared = next(c for c in content["cells"] if "parameters" in c["metadata"].get("tags", []))
        sources = ["from lusnb import params\n" + MAKES.format(name=path.stem)]
        sources += [MORE[path.stem]] if path.stem in MORE else []
        cells = [{**declared, "id": "p", "metadata": {**declared["metadata"]}}]
        for k, source in enumerate([*sources, "run.finish()"]):
            cells.append({**declared, "id": f"c{k}", "metadata": {}, "source": source})
        path.write_text(json.dumps({**content, "cells": cells}))
    (base / "params" / "tiny").mkdir()
    arms = {"t000": {"label_threshold": 0.0}, "t060": {"label_threshold": 0.6}}
    asked = {"cohorts": {"c": {}}, "arms": arms, "tasks": [], "seeds": [0], "folds": 2, "protocol": "paper"}
    (base / "params" / "tiny" / "study.yaml").write_text(
        yaml.safe_dump({**asked, "across": "12_sensitivity"})
    )
    return base


def environment(base):
    return {**os.environ, "PYTHONPATH": str(base), "PYTHONDONTWRITEBYTECODE": "1"}


def call(base, *command):
    """A module of this Python, run in a project: its exit status and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=base, env=environment(base), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def study(base, *more):
    return call(base, "lusnb.study", "run", "tiny", "--jobs", "2", *more)


def epochs(base, value):
    edit(base / f"params/tiny/{TRAIN}.yaml", epochs=value)


def content(base):
    """Every file of runs/ and data/ but the hidden ones, with what it holds."""
    found = [p for place in ("runs", "data") for p in (base / place).rglob("*") if p.is_file()]
    hidden = [p for p in found if "/." in str(p.relative_to(base))]
    return {p.relative_to(base).as_posix(): p.read_bytes() for p in found if p not in hidden}


def test_a_failed_rerun_leaves_the_finished_runs_and_names_its_own_notebook(project):
    status, said = study(project)
    assert status == 0 and "study tiny is complete" in said, said
    assert "TCP" not in said
    before = content(project)
    assert f"{WHERE}/t060/seed0/fold0/notebook.ipynb" in before

    epochs(project, 13)
    status, said = study(project)
    assert status != 0 and "epochs 4 -> 13: " in said
    assert f"tiny/c/{TRAIN}/t060/seed0/fold0: ValueError: thirteen epochs" in said
    after = content(project)
    failed = [f"{WHERE}/{arm}/seed0/fold0/unfinished.ipynb" for arm in ("t000", "t060")]
    assert {name: after[name] for name in before} == before and set(after) - set(before) == set(failed)
    assert not list((project / "runs").rglob(".*.new"))  # what it had made so far is thrown away
    assert all(f"  {name}\n" in said for name in failed) and b"thirteen epochs" in after[failed[0]]

    epochs(project, 4)  # as it was: nothing is to be made, and nothing tells of the failure any longer
    status, said = study(project)
    assert status == 0 and "Nothing to be done" in said and content(project) == before

    epochs(project, 0)
    status, said = study(project)
    assert status != 0 and "epochs: expected 1 or more, got 0" in said and content(project) == before


def test_damage_is_named_and_repaired_by_one_command_and_equal_results_stop_there(project):
    assert study(project)[0] == 0
    before = content(project)
    broken = {
        f"{WHERE}/t000/seed0/fold0/history.csv": b"half",
        f"{WHERE}/t060/seed0/fold0/predictions/logits.npy": b"\0\0",
        f"{WHERE}/t060/seed0/fold0/params.yaml": b"",
        "runs/tiny/c/00_cohort/fingerprint.json": b"",
        "runs/tiny/c/tables/raters.csv": b"edited",
    }
    for name, spoilt in broken.items():
        (project / name).write_bytes(spoilt)
    times = {name: (project / name).stat().st_mtime_ns for name in before}
    status, said = study(project)
    assert status == 0, said
    for name in ("history.csv", "predictions/logits.npy", "fingerprint.json", "tables/raters.csv"):
        assert f"{name} is not what it left" in said
    after = content(project)
    same = [n for n in before if n.endswith((".csv", ".npy", "params.yaml"))]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert "tiny/12_sensitivity: nothing that it depends on changed" in said
    untouched = "runs/tiny/12_sensitivity/winners.csv"
    assert (project / untouched).stat().st_mtime_ns == times[untouched]


def started(base, *more):
    """A driver whose two trainings wait, with the trainings' kernels holding their locks."""
    driver = subprocess.Popen(
        [sys.executable, "-m", "lusnb.study", "run", "tiny", "--jobs", "2", *more],
        cwd=base, env=environment(base), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    waiting = [base / WHERE / arm / "seed0" / ".fold0.new" / "history.csv" for arm in ("t000", "t060")]
    until = time.monotonic() + 240
    while not all(path.exists() for path in waiting):
        assert driver.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    return driver


def processes(base):
    """The processes that run in a project: number -> command line."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").resolve() == base and int(place.name) != os.getpid():
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def kill(project, driver):
    """Kill whoever drives a study, and Snakemake; with what they forked, that ends too."""
    for number, line in processes(project).items():
        if "snakemake" in line or number == driver.pid:
            os.kill(number, signal.SIGKILL)
    driver.wait()
    time.sleep(0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
def test_a_killed_driver_takes_with_it_what_was_forked_for_it(project):
    """Half a training is lost, as at any kill; nothing goes on in secret, and the next study may start."""
    epochs(project, 60)
    kill(project, started(project))
    until = time.monotonic() + 20
    while processes(project):
        assert time.monotonic() < until, processes(project)
        time.sleep(0.2)
    (project / "go").touch()
    status, said = study(project)
    assert status == 0, said
    found = project / WHERE / "t060/seed0/fold0"
    assert "'epochs': 60" in (found / "history.csv").read_text()
    assert proofs.damaged(found, proofs.read(found)) == []


def test_after_a_killed_driver_nobody_writes_beside_what_goes_on(project):
    """The lock of a study ends with its driver; kernels of their own go on, and hold their runs' locks."""
    epochs(project, 60)
    kill(project, started(project, "--cold"))
    going = [
        n for n, line in processes(project).items() if "lusnb.study.nodes" in line or "ipykernel" in line
    ]
    assert len(going) >= 4

    epochs(project, 1)
    status, said = study(project)
    assert status != 0 and f"error: {WHERE}/t000/seed0/fold0 is being written by process " in said, said
    assert any(f"process {number} (" in said for number in going)
    assert call(project, "lusnb.study", "clean", "tiny")[0] != 0

    (project / "go").touch()  # the old trainings end, in their own time
    until = time.monotonic() + 120
    while any("lusnb.study.nodes" in line for line in processes(project).values()):
        assert time.monotonic() < until
        time.sleep(0.2)
    found = (project / WHERE / "t060/seed0/fold0/history.csv").read_text()
    assert "'epochs': 60" in found  # whole, and of one training
    status, said = study(project)
    assert status == 0 and "epochs 60 -> 1: " in said, said
    found = project / WHERE / "t060/seed0/fold0"
    assert "'epochs': 1," in (found / "history.csv").read_text()
    assert proofs.damaged(found, proofs.read(found)) == []


def run_all(base, name, change=None, more=()):
    """Run All of a notebook, as JupyterLab does it, with cells changed or added; returns its error, or ""."""
    from nbclient import NotebookClient
    from nbformat import read, v4

    book = read(base / "notebooks" / f"{name}.ipynb", 4)
    for old, new in (change or {}).items():
        for cell in book.cells:
            cell.source = cell.source.replace(old, new)
    book.cells[-1:-1] = [v4.new_code_cell(source) for source in more]
    client = NotebookClient(book, resources={"metadata": {"path": base / "notebooks"}}, allow_errors=True)
    os.environ["PYTHONPATH"] = str(base)
    cells = client.execute().cells
    errors = [o for c in cells for o in c.get("outputs", []) if o["output_type"] == "error"]
    return errors[0]["evalue"] if errors else ""


def test_runs_made_by_hand_count_if_they_are_what_the_study_asks_for(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(project))
    assert study(project)[0] == 0
    own = {'"smoke"': '"tiny"', '"phantom_smoke"': '"c"'}
    folder = project / WHERE / "t060/seed0/fold0"

    def why():
        return study(project, "-n")[1]

    assert run_all(project, TRAIN, own) == ""
    assert "Nothing to be done" in why() and not (folder / "notebook.ipynb").exists()
    assert run_all(project, TRAIN, {**own, "epochs: int = 4": "epochs: int = 9"}) == ""
    assert f"  epochs 9 -> 4: c/{TRAIN}/t060/seed0/fold0\n" in why()
    assert run_all(project, TRAIN, own, more=["p = 3"]) == ""
    assert f"  cells ran that are not the notebook's: c/{TRAIN}/t060/seed0/fold0\n" in why()
    given = ["-p", "profile", "tiny", "-p", "cohort", "c", "-p", "epochs", "9"]
    status, said = call(project, "papermill", f"notebooks/{TRAIN}.ipynb", "out.ipynb", *given)
    assert status == 0, said
    assert f"  epochs 9 -> 4: c/{TRAIN}/t060/seed0/fold0\n" in why()
    given[-1] = "13"
    before = content(project)
    assert call(project, "papermill", f"notebooks/{TRAIN}.ipynb", "out.ipynb", *given)[0] != 0
    assert content(project) == before
    given[-1] = "0"
    assert (
        "epochs: expected 1 or more, got 0"
        in call(project, "papermill", f"notebooks/{TRAIN}.ipynb", "out.ipynb", *given)[1]
    )
    status, said = study(project)
    assert status == 0 and (folder / "notebook.ipynb").is_file() and "Nothing to be done" in why()


def test_the_tiny_notebooks_take_the_parameters_of_the_real_ones(project):
    root = Path(__file__).parents[1]
    for path in (project / "notebooks").glob("*.ipynb"):
        assert params.of_notebook(path) == params.of_notebook(root / "notebooks" / path.name)
