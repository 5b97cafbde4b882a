"""Whole studies, run as a user would: the same tables twice, real labels, a failure and its repair."""

import json
import os
import shutil

import pandas as pd
import pytest
import yaml

from lusnb import study
from tests.test_smoke import call, copy_project, run_study

pytestmark = pytest.mark.slow


def tables_of(project, cohort):
    return {p.name: p.read_bytes() for p in sorted((project / "runs" / cohort / "tables").glob("*.csv"))}


def test_two_runs_give_the_same_tables_to_the_last_digit(tmp_path):
    found = []
    for name in ("one", "two"):
        project = copy_project(tmp_path / name)
        jobs = "2" if name == "one" else "1"  # whatever the number of workers
        done = call(project, "lusnb.graph", "run", "smoke", "--jobs", jobs)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(tables_of(project, "smoke/phantom_smoke"))
    assert len(found[0]) == 12
    assert found[0] == found[1]


def test_a_failed_node_keeps_its_notebook_and_the_rest_goes_on(tmp_path):
    project = copy_project(tmp_path)
    broken = project / "params" / "smoke" / "06_sf_ratio.yaml"
    broken.write_text("encoder_weights: no/such/file.pt\n")
    failed = run_study(project)
    said = failed.stdout + failed.stderr
    assert failed.returncode != 0
    node = "runs/smoke/phantom_smoke/06_sf_ratio/t060/seed0"
    assert f"{node}/notebook.ipynb" in said and "make study PROFILE=smoke" in said
    notebook = (project / node / "notebook.ipynb").read_text()
    assert "expected a local state dict" in notebook and "Traceback" in notebook
    assert not (project / node / "finished").exists() and not (project / node / "metrics.csv").exists()
    kept = project / "runs/smoke/phantom_smoke/07_readmission/t060/seed0/finished"
    assert kept.is_file()  # it does not need the failed node
    before = kept.stat().st_mtime_ns
    broken.unlink()
    repaired = run_study(project)
    assert repaired.returncode == 0, repaired.stderr[-3000:]
    assert kept.stat().st_mtime_ns == before and (project / node / "finished").is_file()


def test_real_labels_of_several_people_through_the_same_notebooks(tmp_path, samples):
    project = copy_project(tmp_path)
    short = project / "params" / "bubil" / "03_train_segmentation.yaml"
    short.write_text(yaml.safe_dump({**yaml.safe_load(short.read_text()), "epochs": 2}))
    matrix = project / "params" / "bubil" / "study.yaml"
    content = yaml.safe_load(matrix.read_text())
    content["arms"] = {name: content["arms"][name] for name in ("t020", "t060")}
    matrix.write_text(yaml.safe_dump(content, sort_keys=False))
    os.environ["LUSNB_SAMPLES"] = str(samples)
    done = call(project, "lusnb.graph", "run", "bubil", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(project / "runs/bubil/bubil/tables/table1_segmentation.csv")
    assert list(table["arm"]) == ["t020", "t060"] and table["iou"].notna().all()
    for notebook in ("05_sf_change", "06_sf_ratio", "07_readmission"):
        text = (project / f"runs/bubil/bubil/{notebook}/t060/seed0/notebook.ipynb").read_text()
        assert "the cohort names no views" in text
    assert pd.read_csv(project / "runs/bubil/bubil/tables/table2_sf_change.csv").empty


def test_run_all_in_a_notebook_folder_makes_what_it_needs(tmp_path):
    """As JupyterLab runs them: cells in order, no injected parameters, the notebook's folder as the place."""
    from nbclient import NotebookClient
    from nbformat import read

    project = copy_project(tmp_path)
    os.environ["PYTHONPATH"] = str(project)
    os.environ.setdefault("LUSNB_SAMPLES", str(study.samples(study.root())))
    said = {}
    for name in (
        "03_train_segmentation",
        "00_bring_your_own",
        "01_explore_data",
        "02_confidence_maps",
        "00_cohort",
        "04_compare_segmentation",
    ):
        path = project / "notebooks" / f"{name}.ipynb"
        client = NotebookClient(
            read(path, 4), resources={"metadata": {"path": path.parent}}, allow_errors=True
        )
        cells = client.execute().cells
        errors = [o for c in cells for o in c.get("outputs", []) if o["output_type"] == "error"]
        said[name] = errors[0]["evalue"] if errors else "done"
    assert [said[n] for n in list(said)[:5]] == ["done"] * 5
    assert "make study PROFILE=smoke" in said["04_compare_segmentation"]
    assert (project / "runs/smoke/phantom_smoke/03_train_segmentation/t060/seed0/fold0/finished").is_file()


def test_a_private_cohort_without_views_or_exams_trains_a_segmenter(tmp_path, phantom):
    """One feature, no views, no exams, blank splits: a new profile of two small files is all it takes."""
    project = copy_project(tmp_path)
    mine = shutil.copytree(phantom, project / "data" / "mine")
    for name in ("exams.csv", "truth.csv"):
        (mine / name).unlink()
    labels = pd.read_csv(mine / "labels.csv")
    labels[labels["feature"] == "sharp_pleura"].to_csv(mine / "labels.csv", index=False)
    clips = pd.read_csv(mine / "clips.csv")
    clips[["clip_id", "patient_id", "path"]].to_csv(mine / "clips.csv", index=False)
    pd.read_csv(mine / "patients.csv")[["patient_id"]].to_csv(mine / "patients.csv", index=False)
    (mine / "cohort.yaml").write_text("name: mine\nfeatures: [sharp_pleura]\n")
    (project / "params" / "mine").mkdir()
    content = {"cohorts": {"mine": {"source": "folder"}}, "arms": {"t050": {"label_threshold": 0.5}}}
    content |= {"tasks": [], "seeds": [0], "folds": 2, "protocol": "paper"}
    (project / "params" / "mine" / "study.yaml").write_text(yaml.safe_dump(content))
    done = call(project, "lusnb.graph", "run", "mine", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert pd.read_csv(project / "runs/mine/mine/tables/table1_segmentation.csv")["iou"].notna().all()
    asked = study.load("mine", project)
    assert all((project / "runs" / node.folder / "finished").is_file() for node in study.nodes(asked))
    assert json.loads((project / "runs/mine/mine/00_cohort/fingerprint.json").read_text())["cohort"]
