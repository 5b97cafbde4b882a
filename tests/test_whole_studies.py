"""Whole studies, run as a user would: the same tables twice, real labels, a failure and its repair."""

import json
import os
import shutil

import pandas as pd
import pytest
import yaml

from lusnb.cohort import arrays, painting
from lusnb.cohort import cohort as cohorts
from lusnb.study import matrix, notebooks, places, profile
from tests.test_smoke import call, copy_project, run_study

pytestmark = pytest.mark.slow


def tables_of(project, cohort):
    return {p.name: p.read_bytes() for p in sorted((project / "runs" / cohort / "tables").glob("*.csv"))}


def shown_by(project):
    """What the executed notebooks of a project show: of each, the kinds of every output, in order, and the
    tables as a page has them."""
    found = {}
    for path in sorted(project.glob("runs/**/notebook.ipynb")):
        outputs = [o for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", [])]
        kinds = [sorted(o.get("data", {o["output_type"]: ""})) for o in outputs]
        pages = ["".join(o["data"]["text/html"]) for o in outputs if "text/html" in o.get("data", {})]
        tables = [page.replace(str(project), "") for page in pages]
        found[path.relative_to(project).as_posix()] = (kinds, tables)
    return found


def rewrite(path, **change):
    """Change keys of a YAML file."""
    content = yaml.safe_load(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**content, **change}, sort_keys=False))


def test_a_failed_node_is_repaired_and_a_second_run_gives_the_same_tables_to_the_last_digit(tmp_path):
    project, other = (copy_project(tmp_path / name) for name in ("one", "two"))
    for one in (project, other):
        rewrite(one / "params" / "smoke" / "study.yaml", tasks=["sf_change", "sf_ratio"])
    broken = project / "params" / "smoke" / "06_sf_ratio.yaml"
    (project / "weights.pt").write_text("no weights")
    broken.write_text("encoder_weights: weights.pt\n")
    failed = run_study(project)
    said = failed.stdout + failed.stderr
    assert failed.returncode != 0
    node = "runs/smoke/phantom_smoke/06_sf_ratio/t060/seed0"
    assert f"{node}/unfinished.ipynb" in said and "make study PROFILE=smoke" in said
    notebook = (project / node / "unfinished.ipynb").read_text()
    assert "expected a state dict, names and tensors alone" in notebook and "Traceback" in notebook
    assert not (project / node / "finished").exists() and not (project / node / "history.csv").exists()
    kept = project / "runs/smoke/phantom_smoke/05_sf_change/t060/seed0/finished"
    assert kept.is_file()  # it does not need the failed node
    before = kept.stat().st_mtime_ns
    broken.unlink()
    repaired = run_study(project)
    assert repaired.returncode == 0, repaired.stderr[-3000:]
    assert kept.stat().st_mtime_ns == before and (project / node / "finished").is_file()
    # whatever the number of workers, and whether each node imports for itself
    done = call(other, "lusnb.study", "run", "smoke", "--jobs", "1", "--cold")
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (tables_of(one, "smoke/phantom_smoke") for one in (project, other))
    promised = {name for notebook in matrix.NOTEBOOKS.values() for name in notebooks.promised(notebook)}
    assert {os.path.basename(name) for name in promised if name.startswith("tables/")} <= set(first)
    assert first == second
    assert shown_by(project) == shown_by(other), "pictures and tables are shown by either"


def test_real_labels_of_several_people_are_held_out_image_by_image(tmp_path, samples):
    project = copy_project(tmp_path)
    rewrite(project / "params/bubil/03_train_segmentation.yaml", epochs=2)
    arms = profile.load("bubil", project).arms
    chosen = {name: arms[name] for name in ("t050", "rater")}
    rewrite(project / "params/bubil/study.yaml", arms=chosen, folds=3)
    os.environ["LUSNB_SAMPLES"] = str(samples)
    done = call(project, "lusnb.study", "run", "bubil", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    tables = project / "runs/bubil/bubil/tables"
    table = pd.read_csv(tables / "table1_segmentation.csv")
    assert list(table["arm"]) == ["t050", "rater"] and table["iou"].notna().all()
    common = pd.read_csv(tables / "segmentation_common.csv")
    assert sorted(common["patient_id"].unique()) == [f"B0{k}" for k in range(1, 7)]
    assert set(pd.read_csv(tables / "raters.csv")["rater"]) == {f"Person{k}" for k in range(1, 6)}
    held_out = []
    for fold in (1, 2, 3):
        index = pd.read_csv(
            project / f"runs/bubil/bubil/03_train_segmentation/rater/seed0/fold{fold}/predictions/index.csv"
        )
        held_out += list(index.loc[index["array"] == "held_out", "clip_id"])
    assert sorted(held_out) == [f"B0{k}" for k in range(1, 7)]
    scores = pd.read_csv(tables / "segmentation_metrics.csv")
    tuned = scores[scores["metric"].isin(["cut", "temperature"])]
    assert set(tuned["fold"]) == {1, 2, 3} and set(tuned["metric"]) == {"cut", "temperature"}
    assert pd.read_csv(tables / "table2_sf_change.csv").empty


def test_arms_of_every_kind_go_through_one_study(tmp_path):
    project = copy_project(tmp_path)
    half = {"label_threshold": 0.5}
    arms = {
        "bare": {**half, "confidence_weight": "none", "background_weight": "none", "mc_samples": 2},
        "bare_2": {**half, "confidence_weight": "none", "background_weight": "none", "seed_offset": 9},
        "softseg": {**half, "supervision": "softseg", "loss": "wing"},
        "rater": {**half, "supervision": "rater"},
        "staple": {**half, "supervision": "consensus", "merge": "staple", "decoder": "Unet"},
        "harmonised": {**half, "supervision": "soft", "harmonise": True},
    }
    rewrite(project / "params/smoke/study.yaml", arms=arms, tasks=[])
    rewrite(project / "params/smoke/00_cohort.yaml", raters=2, habits=0.5)
    done = run_study(project)
    assert done.returncode == 0, done.stderr[-3000:]
    tables = project / "runs/smoke/phantom_smoke/tables"
    ranking = pd.read_csv(tables / "segmentation_ranking.csv")
    assert list(ranking["arm"]) == list(arms)
    unsure = pd.read_csv(tables / "uncertainty.csv")
    assert set(unsure.loc[unsure["kind"] == "ensemble", "members"]) == {2}
    assert set(unsure.loc[unsure["kind"] == "dropout", "arm"]) == {"bare"}
    table1 = pd.read_csv(tables / "table1_segmentation.csv")
    assert table1.filter(like="paper_").isna().all(axis=None)  # none of these is an arm of the paper


def test_a_sweep_over_raters_ends_in_one_map(tmp_path):
    project = copy_project(tmp_path)
    cohorts = {f"cal{k}": {"calibration": c} for k, c in enumerate((0.5, 2.0))}
    bare = {"confidence_weight": "none", "background_weight": "none"}
    arms = {f"t{t}": {"label_threshold": t / 100, **bare} for t in (20, 60)}
    rewrite(project / "params/sensitivity_coarse/study.yaml", cohorts=cohorts, arms=arms)
    small = {"patients": 8, "clips": 18, "split": [4, 1, 3], "size": 64}
    rewrite(project / "params/sensitivity_coarse/00_cohort.yaml", **small)
    short = {"encoder": "mobilenet_v2", "size": 64, "epochs": 1}
    rewrite(project / "params/sensitivity_coarse/03_train_segmentation.yaml", **short)
    done = call(project, "lusnb.study", "run", "sensitivity_coarse", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = project / "runs/sensitivity_coarse/12_sensitivity"
    winners = pd.read_csv(folder / "winners.csv")
    assert winners["cut"].tolist() == ["own", "own", "fixed", "fixed"]
    assert winners["calibration"].tolist() == [0.5, 2.0] * 2
    assert (folder / "winners.pdf").stat().st_size > 1000
    again = call(project, "lusnb.study", "run", "sensitivity_coarse", "--jobs", "2")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_run_all_in_a_notebook_folder_makes_what_it_needs(tmp_path):
    """As JupyterLab runs them: cells in order, no injected parameters, the notebook's folder as the place."""
    from nbclient import NotebookClient
    from nbformat import read

    project = copy_project(tmp_path)
    os.environ["PYTHONPATH"] = str(project)
    os.environ.setdefault("LUSNB_SAMPLES", str(places.samples(places.root())))
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


def test_a_private_cohort_without_views_or_exams_is_painted_and_trains_a_segmenter(tmp_path, phantom):
    """One feature, no views, no exams, no labels, blank splits: a brush and a small file are all it takes."""
    project = copy_project(tmp_path)
    mine = shutil.copytree(phantom, project / "data" / "mine")
    for name in ("exams.csv", "truth.csv", "masks.csv"):
        (mine / name).unlink()
    shutil.rmtree(mine / "labels")
    (mine / "labels.csv").write_text("clip_id,frame,rater,feature,path\n")
    clips = pd.read_csv(mine / "clips.csv")
    clips[["clip_id", "patient_id", "path"]].to_csv(mine / "clips.csv", index=False)
    pd.read_csv(mine / "patients.csv")[["patient_id"]].to_csv(mine / "patients.csv", index=False)
    (mine / "cohort.yaml").write_text("name: mine\nfeatures: [sharp_pleura]\n")
    bare, seen = cohorts.read(mine), cohorts.read(phantom)
    for row in seen.labels[seen.labels["feature"] == "sharp_pleura"].itertuples():
        one = painting.read(bare, row.clip_id, row.frame, "anna")
        one.maps[0], one.looked[0] = arrays.image(seen, row.path), True
        painting.save(bare, one)
    (project / "params" / "mine").mkdir()
    content = {"cohorts": {"mine": {"source": "folder"}}, "arms": {"t050": {"label_threshold": 0.5}}}
    content |= {"tasks": list(matrix.TASKS), "seeds": [0], "folds": 2, "protocol": "paper"}
    (project / "params" / "mine" / "study.yaml").write_text(yaml.safe_dump(content))
    done = call(project, "lusnb.study", "run", "mine", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert pd.read_csv(project / "runs/mine/mine/tables/table1_segmentation.csv")["iou"].notna().all()
    for notebook in ("05_sf_change", "06_sf_ratio", "07_readmission"):
        text = (project / f"runs/mine/mine/{notebook}/t050/seed0/notebook.ipynb").read_text()
        assert "the cohort names no views" in text
    assert pd.read_csv(project / "runs/mine/mine/tables/table2_sf_change.csv").empty
    kept = pd.read_csv(project / "runs/mine/mine/02_confidence_maps/kept_area.csv")
    assert kept["clip_id"].nunique() == 26 and (kept.loc[kept["threshold"] == 0, "area"] > 0).any()
    asked = profile.load("mine", project)
    assert all((project / "runs" / node.folder / "finished").is_file() for node in profile.nodes(asked))
    assert json.loads((project / "runs/mine/mine/00_cohort/fingerprint.json").read_text())["cohort"]


def test_a_cross_fitted_study_says_who_saw_whom_and_nobody_is_judged_by_who_knew_them(tmp_path):
    """From the files that it leaves: whom a model saw at every stage, and whom it is asked about."""
    project = copy_project(tmp_path)
    path = project / "params" / "smoke" / "study.yaml"
    content = yaml.safe_load(path.read_text()) | {"protocol": "cross_fitted", "folds": 3}
    content |= {"arms": {"t060": {"label_threshold": 0.6}}, "tasks": ["sf_change", "readmission"]}
    path.write_text(yaml.safe_dump(content))
    done = call(project, "lusnb.study", "run", "smoke", "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    at = project / "runs/smoke/phantom_smoke"
    everybody = set(pd.read_csv(project / "data/phantom_smoke/patients.csv")["patient_id"])

    def knows(folder):
        """The patients whom a segmenter saw, in training or to choose its epoch, temperature and cut."""
        who = pd.read_csv(at / folder / "patients.csv")
        assert set(who["patient_id"]) == everybody
        return set(who.loc[who["role"] != "test", "patient_id"])

    for notebook in ("05_sf_change", "07_readmission"):
        for arm in ("t060", "grayscale", "true_masks"):
            run = at / notebook / arm / "seed0"
            said, who = (pd.read_csv(run / f"{name}.csv") for name in ("predictions", "patients"))
            started = pd.read_csv(at / "05_sf_change" / arm / "seed0" / "patients.csv")
            said = said[said["split"] == "test"]
            assert said.groupby("patient_id")["fold"].nunique().eq(1).all()
            tested = who[who["role"] == "test"]
            assert sorted(tested["patient_id"]) == sorted(everybody)
            for fold, asked in tested.groupby("fold"):
                asked = set(asked["patient_id"])
                assert set(said.loc[said["fold"] == fold, "patient_id"]) <= asked
                for table in (who, started):  # the task's own network, and the one that it starts from
                    seen = table[(table["fold"] == fold) & (table["role"] != "test")]
                    assert not asked & set(seen["patient_id"])
                for row in who[who["fold"] == fold].itertuples():  # whoever made the masks that are read
                    if arm == "t060":
                        assert not (asked | {row.patient_id}) & knows(row.segmented_by)
                    else:
                        assert pd.isna(row.segmented_by)
