"""The smoke study from end to end, in a copy of the project, as a user would run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lusnb.study import graph, notebooks, profile, proofs, reruns

ROOT = Path(__file__).parents[1]
COHORT = "runs/smoke/phantom_smoke"
TRAINED = f"{COHORT}/03_train_segmentation/t060/seed0/fold0"


PICTURES = {  # at least so many are shown in an executed notebook
    **{"01_explore_data": 3, "02_confidence_maps": 3, "03_train_segmentation": 1, "14_what_drives": 2},
    **{"04_compare_segmentation": 8, "05_sf_change": 1, "06_sf_ratio": 1, "08_compare_tasks": 6},
}


def copy_project(folder):
    for name in ("notebooks", "params", "lusnb"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def call(project, *command):
    """Run a module of this Python in a project; returns the finished process, output as text."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)}
    environment.pop("MPLBACKEND", None)  # executed notebooks show what they draw
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_study(project, *more):
    return call(project, "lusnb.study", "run", "smoke", "--jobs", "2", *more)


def papermill(project, notebook, **given):
    arguments = [word for name, value in given.items() for word in ("-p", name, str(value))]
    out = project / "out.ipynb"
    return call(
        project, "papermill", f"notebooks/{notebook}.ipynb", str(out), "--no-progress-bar", *arguments
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose smoke study has run."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = run_study(folder)
    assert done.returncode == 0, done.stderr[-5000:] + done.stdout[-2000:]
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    return folder


def test_every_node_is_finished_and_left_what_it_promises(project):
    for node in profile.nodes(profile.load("smoke", project)):
        folder = project / "runs" / node.folder
        for name in notebooks.promised(node.notebook):
            assert proofs.place(folder, name).is_file(), name
        assert (
            proofs.damaged(folder, proofs.read(folder)) == [] and not (folder / "unfinished.ipynb").exists()
        )
        cells = json.loads((project / "runs" / node.folder / "notebook.ipynb").read_text())["cells"]
        outputs = [o for c in cells for o in c.get("outputs", [])]
        assert "error" not in {o["output_type"] for o in outputs}
        pictures = sum("image/png" in o.get("data", {}) for o in outputs)
        assert pictures >= PICTURES.get(node.notebook, 0), node.folder


def test_the_end_says_where_everything_is(project):
    said = (project / "said.txt").read_text()
    assert f"tables in {COHORT}/tables, figures in {COHORT}/figures" in said
    assert "steps (100%) done" in said and "study smoke: 21 of 21 nodes to run" in said


def test_nothing_is_run_again(project):
    before = {p: p.stat().st_mtime_ns for p in (project / COHORT).rglob("*") if p.is_file()}
    again = run_study(project)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in (project / COHORT).rglob("*") if p.is_file()}


def planned(project):
    """The nodes that would run, as a dry run finds them."""
    reruns.forget()
    return {node.folder.split("/", 2)[-1] for node in graph.plan(profile.load("smoke", project), project)}


def test_a_changed_parameter_reruns_its_node_and_what_needs_it(project):
    path = project / "params" / "smoke" / "06_sf_ratio.yaml"
    path.write_text("batch: 4\n")
    rerun = {name.split("/")[0] for name in planned(project)}
    path.unlink()
    assert rerun == {"06_sf_ratio", "08_compare_tasks", "09_figures", "14_what_drives"}
    assert planned(project) == set()


def test_an_edit_to_figures_plans_no_training(project):
    path = project / "lusnb" / "report/figures.py"
    text = path.read_text()
    path.write_text(text + "\nEDITED = 1\n")
    rerun = {name.split("/")[0] for name in planned(project)}
    path.write_text(text)
    assert "09_figures" in rerun and not rerun & {"03_train_segmentation", "05_sf_change", "06_sf_ratio"}


def test_papermill_alone_repeats_a_node_to_the_last_digit(project):
    folder = project / TRAINED
    names = (
        "history.csv",
        "model.safetensors",
        "predictions/labelled.npy",
        "predictions/frames.npy",
    )
    before = {name: (folder / name).read_bytes() for name in names}
    done = papermill(project, "03_train_segmentation", arm="t060", label_threshold=0.6, seed=0, fold=0)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert planned(project) == set()  # it counts, whoever made it


def test_the_stored_probabilities_give_the_ious_of_the_table(project):
    from lusnb.cohort import arrays
    from lusnb.cohort import cohort as cohorts

    data = cohorts.read(project / "data" / "phantom_smoke", 2)
    folder = project / TRAINED
    levels = np.load(folder / "predictions" / "labelled.npy")
    index = pd.read_csv(folder / "predictions" / "index.csv").query("array == 'labelled'")
    maps, _ = arrays.confidence_of(data, index, levels.shape[-1])
    metrics = pd.read_csv(project / COHORT / "tables" / "segmentation_metrics.csv")
    metrics = metrics.query("metric == 'iou' and arm == 't060'").dropna(subset="value")
    place = index.set_index("clip_id")["position"]
    cut = json.loads((folder / "predictions" / "fingerprint.json").read_text())["cut"]
    for row in metrics.itertuples():
        n, c = place[row.clip_id], data.features.index(row.feature)
        drawn, label = levels[n, c] >= cut, maps[n, c] >= 0.6 * 255 - 0.5
        assert (drawn & label).sum() / (drawn | label).sum() == pytest.approx(row.value, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 3}, "there is no parameter `epoch`; did you mean `epochs`"),
        ({"arm": "odd", "label_threshold": 60}, "expected a fraction from 0 to 1 (60 % is 0.6), got 60"),
        (
            {"arm": "t000", "label_threshold": 0.5},
            "arm t000 of profile smoke has label_threshold = 0.0, got 0.5",
        ),
        ({"cohort": "nowhere"}, "cohort nowhere is not in params/smoke/study.yaml"),
        ({"arm": "odd", "size": 65}, "expected a multiple of 32 from 64 on"),
    ],
)
def test_bad_input_stops_with_a_sentence_and_leaves_no_finished_run(project, given, message):
    done = papermill(project, "03_train_segmentation", **given)
    assert done.returncode != 0 and message in done.stderr
    where = project / "runs/smoke" / given.get("cohort", "phantom_smoke") / "03_train_segmentation"
    if given.get("arm") != "t000":
        assert not list(where.glob(f"{given.get('arm', 'nothing')}/**/finished"))
        assert not list(where.glob(f"{given.get('arm', 'nothing')}/**/history.csv"))
    assert planned(project) == set()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arm": "greyscale"}, "has no arm 'greyscale' (its arms: t000, t060): correct the name, or run 03_"),
        ({"arm": "t060", "protocol": "cross_fitted"}, "'cross_fitted', but profile smoke has 'paper'"),
        ({"arm": "t060", "epochs": 0}, "epochs: expected 1 or more, got 0"),
    ],
)
def test_a_task_that_cannot_start_leaves_what_is_there(project, given, message):
    folder = project / COHORT / "05_sf_change"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = papermill(project, "05_sf_change", **given)
    assert done.returncode != 0 and message in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_broken_cohort_is_named_and_repaired_by_running_again(project):
    path = project / "data" / "phantom_smoke" / "exams.csv"
    text = path.read_text()
    table = pd.read_csv(path)
    table.loc[0, "sf_ratio"] += 30
    table.to_csv(path, index=False)
    failed = run_study(project)
    assert failed.returncode != 0
    said = failed.stdout + failed.stderr
    row = re.search(r"^exams.csv +1 +sf_ratio within 1 of spo2 / fio2 = .*$", said, re.MULTILINE)
    assert row and "CohortError: 1 problem in " in said
    assert {"leave", "blank", "computed."} <= set(said.split())
    assert f"{COHORT}/00_cohort/unfinished.ipynb" in said and "make study PROFILE=smoke" in said
    left = project / COHORT / "00_cohort" / "unfinished.ipynb"
    assert "CohortError" in left.read_text() and planned(project) >= {"00_cohort", "09_figures"}
    path.write_text(text)
    again = run_study(project)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout and not left.exists()


def test_a_comparison_without_runs_names_the_one_command(tmp_path):
    project = copy_project(tmp_path)
    done = papermill(project, "08_compare_tasks")
    assert done.returncode != 0 and "make study PROFILE=smoke" in done.stderr


def test_papermill_alone_takes_the_paper_profiles_file(tmp_path):
    """The file of the paper profile is accepted by 03 as it is; shrunk by -p to what a test can wait for."""
    project = copy_project(tmp_path)
    given = yaml.safe_load((project / "params/paper/03_train_segmentation.yaml").read_text())
    assert given["size"] == 512
    small = {
        "size": 64,
        "epochs": 1,
        "encoder": "mobilenet_v2",
        "decoder_channels": 64,
        "precision": "32-true",
    }
    small |= {"task_size": 32, "task_frames": 2, "arm": "t060", "label_threshold": 0.6}
    words = [word for name, value in small.items() for word in ("-p", name, str(value))]
    done = call(
        project, "papermill", "notebooks/03_train_segmentation.ipynb", "out.ipynb", "--no-progress-bar",
        "-f", "params/paper/03_train_segmentation.yaml", *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (project / TRAINED / "finished").is_file()
