"""The matrix, the nodes and their parameters; what makes a node run again."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from lusnb import confidence, params
from lusnb.cohort import fingerprint, schema
from lusnb.segment import choices, losses
from lusnb.study import graph, matrix, places, reruns
from lusnb.study import profile as study_profile

ROOT = Path(__file__).parents[1]
PROFILES = sorted(p.parent.name for p in (ROOT / "params").glob("*/study.yaml"))


@pytest.fixture
def project(tmp_path):
    """A copy of the project's notebooks, parameters and code, to change."""
    for name in ("notebooks", "params", "lusnb"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    reruns.forget()
    yield tmp_path
    reruns.forget()


def edit(path, **changes):
    content = (yaml.safe_load(path.read_text()) if path.is_file() else None) or {}
    path.write_text(yaml.safe_dump({**content, **changes}))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_key_of_every_profile_is_known_to_its_notebook(profile):
    study_profile.check(study_profile.load(profile, ROOT), ROOT)


def test_the_named_profiles_are_there():
    assert {"smoke", "quick", "paper", "bubil", "arms", "sensitivity", "sensitivity_coarse"} <= set(PROFILES)


def test_every_way_of_using_confidence_and_every_loss_is_an_arm_of_arms():
    asked = study_profile.load("arms", ROOT).arms.values()
    assert {a.get("supervision", "threshold") for a in asked} == set(confidence.SUPERVISIONS)
    assert {a.get("loss", "weighted_ce") for a in asked} == set(losses.FORMS)
    assert {a.get("merge", "mean") for a in asked} == set(params.MERGES)


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_the_sweep_has_the_papers_seven_thresholds(profile):
    arms = study_profile.load(profile, ROOT).arms
    assert [a["label_threshold"] for a in arms.values()] == [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0]


def test_the_paper_profile_has_the_papers_numbers():
    nodes = {
        n.notebook: study_profile.parameters(n, ROOT)
        for n in study_profile.nodes(study_profile.load("paper", ROOT))
    }
    cohort, train = nodes["00_cohort"], nodes["03_train_segmentation"]
    assert (cohort["patients"], cohort["clips"], cohort["split"], cohort["folds"]) == (42, 466, [32, 6, 4], 5)
    assert (train["encoder"], train["size"], train["batch"]) == ("resnet34", 512, 8)
    assert (train["epochs"], train["learning_rate"], train["rotation"]) == (100, 1e-4, 15.0)
    assert (train["task_size"], train["task_frames"]) == (224, 8)
    assert (nodes["05_sf_change"]["epochs"], nodes["05_sf_change"]["batch"]) == (30, 32)
    assert nodes["06_sf_ratio"]["epochs"] == nodes["07_readmission"]["epochs"] == 50


def test_the_nodes_of_quick_are_counted_by_hand():
    nodes = study_profile.nodes(study_profile.load("quick", ROOT))
    # 00 01 02 04 08 09 14, seven segmenters, three tasks of three arms, grayscale alone and the true masks
    assert len(nodes) == 7 + 7 + 3 * 5
    assert len({n.folder for n in nodes}) == len(nodes)


def test_a_node_comes_after_what_it_needs():
    seen = set()
    for node in study_profile.nodes(study_profile.load("quick", ROOT)):
        assert all(needed.folder in seen for needed in node.needs)
        seen.add(node.folder)


def test_readmission_needs_the_sf_change_of_its_arm():
    for node in study_profile.nodes(study_profile.load("smoke", ROOT)):
        if node.notebook == "07_readmission":
            arm = dict(node.identity)["arm"]
            assert [dict(n.identity)["arm"] for n in node.needs if n.notebook == "05_sf_change"] == [arm]


def test_a_value_comes_from_default_then_file_then_identity(project):
    path = project / "params" / "smoke" / "03_train_segmentation.yaml"
    node = next(
        n for n in study_profile.nodes(study_profile.load("smoke", project)) if n.notebook == path.stem
    )
    assert (
        study_profile.parameters(node, project)["epochs"]
        == params.of_notebook(project / "notebooks" / "03_train_segmentation.ipynb")["epochs"][1]
    )
    edit(path, epochs=17)
    assert study_profile.parameters(node, project)["epochs"] == 17
    assert study_profile.parameters(node, project)["arm"] == "t000"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("03_train_segmentation", {"epoch": 3}, "there is no parameter `epoch`; did you mean `epochs`"),
        ("03_train_segmentation", {"epochs": "x"}, "`epochs`: expected int, got 'x'"),
        ("03_train_segmentation", {"label_threshold": 0.5}, "also comes from study.yaml"),
        ("03_train_segmentaton", {"epochs": 3}, "did you mean `03_train_segmentation`"),
    ],
)
def test_a_wrong_key_stops_before_anything_runs(project, file, change, message):
    edit(project / "params" / "smoke" / f"{file}.yaml", **change)
    with pytest.raises(params.ParameterError, match=message):
        study_profile.check(study_profile.load("smoke", project), project)


def test_what_papermill_gets_is_scalars():
    for node in study_profile.nodes(study_profile.load("bubil", ROOT)):
        assert all(isinstance(value, str | int | float | bool) for _, value in node.identity)


def test_every_file_that_is_read_of_a_cohort_is_in_its_fingerprint():
    assert set(fingerprint.COHORT_TABLES) == {*schema.TABLES, "scenes"}


FILES = {
    "cohort.yaml": "name: c",
    "patients.csv": "patient_id\nP1\n",
    "clips.csv": "clip_id,patient_id,path\nc1,P1,clips/c1.npy\nc2,P1,\n",
    "labels.csv": "clip_id,frame,rater,feature,path\nc1,0,anna,a_line,labels/painted/anna/a_line.2.png\n",
    "masks.csv": "clip_id,path\nc1,truth/c1.tif\n",
    "scenes.csv": "clip_id,congestion\nc1,0.5\n",
    "clips/c1.npy": "clip",
    "labels/painted/anna/a_line.2.png": "second save",
    "truth/c1.tif": "masks",
}
BESIDE = {
    "labels/painted/anna/a_line.1.png": "first save",
    "annotations.csv": "who,when\n",
    "making.json": "{}",
    "export/anna/a_line.nrrd": "for another program",
    "clips/old.npy": "named by no table",
    ".source": "{}",
    "labels.csv~": "of an editor",
}


@pytest.fixture
def cohort_folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).write_text(text)
    return tmp_path / "c"


def both(folder):
    return fingerprint.cohort_fingerprint(folder), fingerprint.cohort_stamp(folder)


def test_a_cohort_is_its_tables_and_the_files_that_they_name(cohort_folder):
    before = both(cohort_folder)
    for name, text in BESIDE.items():
        (cohort_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (cohort_folder / name).write_text(text)
        assert both(cohort_folder) == before, name
    for name, text in FILES.items():
        (cohort_folder / name).write_text(f"{text} ")
        assert both(cohort_folder)[0] != before[0] and both(cohort_folder)[1] != before[1], name
        (cohort_folder / name).write_text(text)
        assert both(cohort_folder)[0] == before[0]
        (cohort_folder / name).unlink()
        assert both(cohort_folder)[0] != before[0]
        (cohort_folder / name).write_text(text)


def test_a_doodle_that_is_undone_changes_nothing(cohort_folder):
    """Painted, saved, undone: labels.csv is what it was, the saves stay on disk, named by nobody."""
    before = fingerprint.cohort_fingerprint(cohort_folder)
    table = cohort_folder / "labels.csv"
    text = table.read_text()
    for version in (3, 4):
        (cohort_folder / f"labels/painted/anna/a_line.{version}.png").write_text("doodle")
    table.write_text(text.replace("a_line.2", "a_line.4"))
    assert fingerprint.cohort_fingerprint(cohort_folder) != before
    table.write_text(text)
    assert fingerprint.cohort_fingerprint(cohort_folder) == before


def test_tables_that_cannot_be_read_still_have_a_fingerprint(cohort_folder):
    before = both(cohort_folder)
    (cohort_folder / "labels.csv").write_bytes(b"\xff\xfe\0path\n\0")
    (cohort_folder / "clips.csv").write_text('path\n"' + "x" * 200_000)
    assert both(cohort_folder)[0] != before[0]


def test_of_a_folder_that_is_imported_from_every_file_counts(tmp_path):
    (tmp_path / "raters").mkdir()
    (tmp_path / "sheet.xlsx").write_text("1")
    before = fingerprint.folder_stamp(tmp_path)
    (tmp_path / "raters" / "seg.png").write_text("2")
    assert fingerprint.folder_stamp(tmp_path) != before
    before = fingerprint.folder_stamp(tmp_path)
    (tmp_path / ".hidden").write_text("3")
    assert fingerprint.folder_stamp(tmp_path) == before


REFUSED = [  # a typo in params/smoke/03_train_segmentation.yaml -> what is said
    ({"loss": "dise"}, "loss: expected one of weighted_ce, .*, got 'dise'; did you mean dice?"),
    ({"merge": "stapel"}, r"merge: expected one of mean, .*, got 'stapel' \(did you mean staple\?\)"),
    ({"decoder": "Unett"}, "decoder: expected one of Unet, .*, got 'Unett'; did you mean Unet?"),
    ({"encoder": "resnet19"}, "encoder: expected one of seg.*, got 'resnet19'; did you mean resnet1"),
    ({"encoder": "tu-resnet10"}, "encoder: .*, got 'tu-resnet10'; did you mean tu-resnet10t?"),
    ({"decoder": "PAN"}, "encoder mobilenet_v2 with decoder PAN at 64 px: "),
    ({"decoder": "Linknet", "encoder": "mit_b0"}, "encoder mit_b0 with decoder Linknet at 64 px: .*not supp"),
    ({"decoder_channels": 100}, ".*decoder_channels: expected a multiple of 64"),
    ({"size": 70}, "size: expected a multiple of 32 from 64 on .*, got 70"),
    ({"size": 32}, "size: expected a multiple of 32 from 64 on .*, got 32"),
    ({"encoder_weights": "imagnet"}, "encoder_weights: expected none, .*no file 'imagnet'"),
    ({"precision": "bf16"}, r"precision: .*, got 'bf16' \(did you mean bf16-"),
    ({"supervision": "sofft"}, "supervision: expected one of threshold, .*, got 'sofft'; did you mean soft"),
    ({"supervision": "soft", "background_weight": 0.1}, "background_weight: expected none beside"),
    ({"background_weight": -0.5}, "background_weight: expected paper, none or a number from 0 on, got -0.5"),
    ({"only_rater": "rater_2"}, "only_rater: expected one of rater_1, got 'rater_2'; did you mean rater_1"),
    ({"task_channels": "binry"}, r"task_channels: .*, got 'binry' \(did you mean binary\?\)"),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_what_can_only_fail_in_training_is_refused_before_anything_runs(project, change, told):
    edit(project / "params" / "smoke" / "03_train_segmentation.yaml", **change)
    with pytest.raises(params.ParameterError, match=f"params/smoke/03_train_segmentation.yaml: {told}"):
        study_profile.check(study_profile.load("smoke", project), project)


@pytest.mark.parametrize(
    ("notebook", "change", "told"),
    [
        (
            "04_compare_segmentation",
            {"pairs": ["t06 - t000"]},
            "got 't06 - t000'; did you mean 't060",
        ),
        (
            "04_compare_segmentation",
            {"pairs": ["t060"]},
            "pairs: expected 'arm - reference' with arms of t",
        ),
        (
            "04_compare_segmentation",
            {"pairs": ["t060 - t060"]},
            "pairs: expected 'arm - reference' with two arms of t000, t060, got 't060 - t060'",
        ),
        (
            "08_compare_tasks",
            {"pairs": ["t060 - grayscale"]},
            "pairs: expected 'arm - reference' with arms of t000, t060, got 't060 - grayscale'",
        ),
        (
            "04_compare_segmentation",
            {"thresholds": [20, 60]},
            r"thresholds: expected fractions .*\[20, 60",
        ),
        ("06_sf_ratio", {"encoder_weights": "no/such.pt"}, "found no file 'no/such.pt'; correct the path"),
        ("00_cohort", {"null": "outcomes"}, r"null: expected one of .*\(did you mean outcome\?\)"),
        ("00_cohort", {"source": "phantoms"}, r"source: expected one of .*\(did you mean phantom\?\)"),
    ],
)
def test_so_are_names_and_values_of_the_other_notebooks(project, notebook, change, told):
    edit(project / "params" / "smoke" / f"{notebook}.yaml", **change)
    with pytest.raises(params.ParameterError, match=told):
        study_profile.check(study_profile.load("smoke", project), project)


def test_a_rater_is_looked_up_where_the_cohort_has_them(project):
    arms = {"a": {"label_threshold": 0.5, "only_rater": "P1"}}
    edit(project / "params" / "bubil" / "study.yaml", arms=arms)
    with pytest.raises(params.ParameterError, match="one of Person1, Person2, .*, got 'P1'"):
        study_profile.check(study_profile.load("bubil", project), project)
    edit(project / "params" / "smoke" / "study.yaml", cohorts={"mine": {"source": "folder"}})
    edit(project / "params" / "smoke" / "03_train_segmentation.yaml", only_rater="anna")
    study_profile.check(study_profile.load("smoke", project), project)  # nobody knows yet
    (project / "data" / "mine").mkdir(parents=True)
    (project / "data" / "mine" / "labels.csv").write_text("rater\nAnna\n")
    with pytest.raises(params.ParameterError, match="one of Anna, got 'anna'; did you mean Anna"):
        study_profile.check(study_profile.load("smoke", project), project)


def test_known_networks_are_not_built_to_be_checked(monkeypatch):
    monkeypatch.setattr(choices, "_built", None)  # torch takes seconds
    for profile in PROFILES:
        study_profile.check(study_profile.load(profile, ROOT), ROOT)


def test_the_decoders_are_those_there_are():
    from lusnb.segment import network

    assert tuple(network.DECODERS) == choices.DECODERS


@pytest.mark.parametrize("profile", ["../smoke", "a b", "{x}", ""])
def test_a_profile_that_is_no_folder_s_name_is_refused(profile):
    with pytest.raises(params.ParameterError, match="expected the name of a folder below params/"):
        study_profile.load(profile, ROOT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"arms": {"t060": {"label_treshold": 0.6}}},
            "arm t060: .*; did you mean `label_threshold` by `label_treshold`?",
        ),
        (
            {"arms": {"t060": {"label_threshold": 60}}},
            "label_threshold: expected a fraction from 0 to 1 .*, got 60",
        ),
        ({"arm": {}}, "no parameter `arm`; did you mean `arms`"),
        ({"cohorts": {}}, "expected at least one cohort"),
        ({"cohorts": {"x": "folder"}}, r"cohort x: expected \{source: folder\} or .*, got 'folder'"),
        ({"cohorts": {"../x": {}}}, "cohort ../x: expected the name of a folder below data/"),
        ({"tasks": ["sf_chnge"]}, "did you mean `sf_change`"),
        ({"folds": "two"}, "`folds`: expected a value of type int, got 'two'"),
        ({"protocol": "papers"}, "protocol: expected one of"),
        ({"seeds": [0, 0]}, "seeds that differ"),
        ({"arms": {}}, "at least one arm"),
    ],
)
def test_a_wrong_study_is_refused(project, change, message):
    edit(project / "params" / "smoke" / "study.yaml", **change)
    with pytest.raises(params.ParameterError, match=message):
        study_profile.load("smoke", project)


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(params.ParameterError, match="profiles are .*smoke"):
        study_profile.load("smok", ROOT)


def test_yaml_is_never_executed(project):
    (project / "params" / "smoke" / "study.yaml").write_text(
        "arms: !!python/object/apply:os.system ['exit 1']"
    )
    with pytest.raises(params.ParameterError, match="study.yaml: could not determine a constructor"):
        study_profile.load("smoke", project)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "arms:\n  t020: {label_threshold: 0.2}\n  t020: {label_threshold: 0.4}\n",
            "`t020` is given twice; keep",
        ),
        ("folds: 2\nfolds: 3\n", "`folds` is given twice; keep one"),
        ("- smoke\n", r"expected `name: value` lines, got \['smoke'\]"),
        ("arms: {\n", "study.yaml: while parsing"),
        ("no: 3\n", "there is no parameter `False`"),
    ],
)
def test_yaml_that_is_no_study_is_refused_in_words(project, text, told):
    (project / "params" / "smoke" / "study.yaml").write_text(text)
    with pytest.raises(params.ParameterError, match=told):
        study_profile.load("smoke", project)


def test_a_merge_of_yaml_may_be_given_new_values(tmp_path):
    (tmp_path / "one.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert params.read_yaml(tmp_path / "one.yaml") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


def prints(project):
    reruns.forget()
    return {name: reruns.code_fingerprint(name, project) for name in matrix.NOTEBOOKS.values()}


def changed(project, path, text="\nEDITED = 1\n"):
    before = prints(project)
    target = project / path
    target.write_text(target.read_text() + text)
    after = prints(project)
    return {name for name in before if before[name] != after[name]}


TRAINING = {"03_train_segmentation", "05_sf_change", "06_sf_ratio", "07_readmission"}


def test_an_edit_to_figures_reruns_no_training(project):
    found = changed(project, "lusnb/report/figures.py")
    assert found & TRAINING == set()
    assert {"04_compare_segmentation", "09_figures"} <= found


def test_an_edit_to_the_tasks_leaves_the_segmenters_alone(project):
    found = changed(project, "lusnb/tasks/train.py")
    assert found == {"05_sf_change", "06_sf_ratio", "07_readmission", "14_what_drives"}


def test_an_edit_to_the_loss_reruns_all_training_of_segmenters(project):
    assert "03_train_segmentation" in changed(project, "lusnb/confidence.py")


def test_an_import_inside_a_function_counts(project):
    source = "def f():\n    from lusnb import stats\n"
    assert project / "lusnb" / "stats.py" in reruns.closure(source, project)


def test_outputs_and_metadata_of_a_notebook_do_not_count(project):
    before = prints(project)
    path = project / "notebooks" / "01_explore_data.ipynb"
    content = json.loads(path.read_text())
    content["metadata"]["kernelspec"]["display_name"] = "another"
    code = next(c for c in content["cells"] if c["cell_type"] == "code")
    code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}]
    code["execution_count"] = 3
    path.write_text(json.dumps(content))
    assert prints(project) == before
    code["source"] = [*code["source"], "\nx = 1"]
    path.write_text(json.dumps(content))
    assert {n for n, v in prints(project).items() if v != before[n]} == {"01_explore_data"}


def test_clean_removes_runs_and_own_cohorts_and_nothing_else(project):
    for name, made_by in (("phantom_smoke", "lusnb.phantom"), ("mine", "someone")):
        (project / "data" / name).mkdir(parents=True)
        meta = {"name": name, "provenance": {"made_by": made_by}}
        (project / "data" / name / "cohort.yaml").write_text(yaml.safe_dump(meta))
    imported = project / "data" / "by_hand"  # made by lusnb, but not by this profile: taken as it lies
    imported.mkdir()
    (imported / "cohort.yaml").write_text(yaml.safe_dump({"provenance": {"made_by": "lusnb.readers"}}))
    cohorts = {"phantom_smoke": {}, "mine": {}, "by_hand": {"source": "folder"}}
    edit(project / "params" / "smoke" / "study.yaml", cohorts=cohorts)
    for profile in ("smoke", "quick"):
        (project / "runs" / profile).mkdir(parents=True)
    painted = project / "data" / "phantom_smoke" / "annotations.csv"
    painted.touch()  # what a rater painted is nobody's to remove
    assert graph.clean("smoke", project) == ["runs/smoke"] and painted.is_file()
    painted.unlink()
    (project / "runs" / "smoke").mkdir()
    assert graph.clean("smoke", project) == ["data/phantom_smoke", "runs/smoke"]
    assert (
        (project / "data" / "mine").is_dir() and imported.is_dir() and (project / "runs" / "quick").is_dir()
    )


def test_null_arms_are_one_arm_under_several_seeds(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, arms={"t050": {"label_threshold": 0.5}}, null_arms=3)
    made = study_profile.load("smoke", project)
    assert made.arms == {
        f"t050_{k}": {"label_threshold": 0.5, "seed_offset": 1000 * (k - 1)} for k in (1, 2, 3)
    }
    study_profile.check(made, project)
    trained = [n for n in study_profile.nodes(made) if n.notebook == "03_train_segmentation"]
    asked = [study_profile.parameters(n, project) for n in trained]
    assert [a["seed_offset"] for a in asked] == [0, 1000, 2000]
    edit(path, null_arms=1)
    with pytest.raises(params.ParameterError, match="copies one arm at least twice, got 1 copies of 1 arms"):
        study_profile.load("smoke", project)
    edit(path, null_arms=2, arms={"a": {"label_threshold": 0.5}, "b": {"label_threshold": 0.6}})
    with pytest.raises(params.ParameterError, match="got 2 copies of 2 arms"):
        study_profile.load("smoke", project)


def test_an_import_without_a_folder_of_files_is_refused(project):
    with pytest.raises(params.ParameterError, match="`files` must name the folder that holds the clips"):
        places.import_places({"files": "", "sheets": ""}, project)


def test_cross_fitting_trains_every_arm_once_an_outer_fold(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, protocol="cross_fitted", tasks=[], folds=3)
    made = study_profile.load("smoke", project)
    trained = [n for n in study_profile.nodes(made) if n.notebook == "03_train_segmentation"]
    asked = [study_profile.parameters(n, project) for n in trained]
    assert [(a["arm"], a["fold"], a["protocol"]) for a in asked] == [
        (arm, fold, "cross_fitted") for arm in ("t000", "t060") for fold in (1, 2, 3)
    ]
    (compared,) = [n for n in study_profile.nodes(made) if n.notebook == "04_compare_segmentation"]
    assert set(trained) <= set(compared.needs)


def test_cross_fitted_tasks_need_an_inner_segmenter_of_every_pair_of_folds(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, protocol="cross_fitted", folds=4, arms={"t060": {"label_threshold": 0.6}})
    made = study_profile.load("smoke", project)
    trained = [n for n in study_profile.nodes(made) if n.notebook == "03_train_segmentation"]
    at = "smoke/phantom_smoke/03_train_segmentation/t060/seed0"
    outer = [f"{at}/fold{k}" for k in (1, 2, 3, 4)]
    pairs = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    assert [n.folder for n in trained] == outer + [f"{at}/fold{a}/inner{b}" for a, b in pairs]
    (compared,) = [n for n in study_profile.nodes(made) if n.notebook == "04_compare_segmentation"]
    assert {n.folder for n in compared.needs if n in trained} == set(outer)
    change = next(n for n in study_profile.nodes(made) if n.folder.endswith("05_sf_change/t060/seed0"))
    assert set(trained) <= set(change.needs)
    assert study_profile.parameters(change, project)["protocol"] == "cross_fitted"
    edit(path, folds=2)
    with pytest.raises(
        params.ParameterError,
        match="folds: expected at least 3 for tasks under cross_fitted, .* got 2; set folds",
    ):
        study_profile.load("smoke", project)


def test_true_masks_are_a_baseline_of_phantoms_alone(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, cohorts={"made": {}, "mine": {"source": "folder"}})
    made = study_profile.load("smoke", project)
    assert made.task_arms("made") == ("t000", "t060", "grayscale", "true_masks")
    assert made.task_arms("mine") == ("t000", "t060", "grayscale")
    edit(project / "params" / "smoke" / "00_cohort.yaml", source="import", files="x")
    assert "true_masks" not in study_profile.load("smoke", project).task_arms("made")


def test_a_notebook_across_cohorts_needs_every_comparison_and_has_no_cohort(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, cohorts={"one": {"noise": 0.1}, "two": {"noise": 1.0}}, tasks=[], across="12_sensitivity")
    made = study_profile.load("smoke", project)
    last = study_profile.nodes(made)[-1]
    assert last.folder == "smoke/12_sensitivity" and last.identity == (("profile", "smoke"),)
    used = {n.notebook for n in study_profile.nodes(made)}
    assert used == {"00_cohort", "03_train_segmentation", "04_compare_segmentation", "12_sensitivity"}
    assert [n.folder for n in last.needs] == [f"smoke/{c}/04_compare_segmentation" for c in ("one", "two")]
    edit(path, protocol="cross_fitted")
    with pytest.raises(
        params.ParameterError, match="protocol: expected paper where across is set, .* got cross_fitted; set"
    ):
        study_profile.load("smoke", project)
    edit(path, across="13_anything", protocol="paper")
    with pytest.raises(params.ParameterError, match="across: expected one of 12_sens.*, got '13_any"):
        study_profile.load("smoke", project)


def test_a_notebook_across_cohorts_may_read_their_tasks(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, cohorts={"one": {"seed": 0}, "two": {"seed": 1}}, tasks=["sf_ratio"], across="13_outcome")
    made = study_profile.nodes(study_profile.load("smoke", project))
    used = {n.notebook for n in made}
    assert used == {
        "00_cohort",
        "03_train_segmentation",
        "06_sf_ratio",
        "08_compare_tasks",
        "13_outcome",
    }
    assert [n.folder for n in made[-1].needs] == [f"smoke/{c}/08_compare_tasks" for c in ("one", "two")]
    edit(path, tasks=[])
    with pytest.raises(params.ParameterError, match="13_outcome reads 08_compare_tasks: expected tasks, got"):
        study_profile.load("smoke", project)
    edit(path, tasks=["sf_change"])
    with pytest.raises(params.ParameterError, match="13_outcome compares errors of sf_ratio: .*; add it"):
        study_profile.load("smoke", project)
    edit(path, tasks=["sf_ratio"])
    with pytest.raises(params.ParameterError, match="one: expected at least 6 test patients .*, got 2"):
        study_profile.check(study_profile.load("smoke", project), project)
    edit(path, cohorts={"one": {"source": "folder"}, "two": {"null": "confidence"}})
    with pytest.raises(params.ParameterError, match="one: expected a phantom with null none or outcome"):
        study_profile.check(study_profile.load("smoke", project), project)
    edit(path, cohorts={"two": {"null": "confidence"}})
    with pytest.raises(params.ParameterError, match="got source phantom with null confidence"):
        study_profile.check(study_profile.load("smoke", project), project)
    edit(path, cohorts={"one": {"seed": 0}}, tasks=["sf_ratio"], across="12_sensitivity")
    with pytest.raises(
        params.ParameterError, match="12_sensitivity reads 04_.*: expected tasks: \\[\\], got"
    ):
        study_profile.load("smoke", project)


def test_an_arm_that_cannot_be_stops_the_study(project):
    path = project / "params" / "smoke" / "study.yaml"
    edit(path, arms={"s": {"supervision": "soft", "label_threshold": 0.5, "background_weight": 0.3}})
    with pytest.raises(params.ParameterError, match="arm s: background_weight: expected none beside"):
        study_profile.load("smoke", project)


def test_no_notebook_uses_what_drives_the_graph():
    """So that an edit to how Snakemake is called reruns nothing."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        used = {used.relative_to(ROOT / "lusnb").as_posix() for used in reruns.closure(code, ROOT)}
        assert "files.py" in used or not used
        assert not {"study/graph.py", "study/nodes.py"} & used, path.stem


def test_whose_masks_a_task_reads():
    asked = study_profile.load("smoke", ROOT)
    assert [study_profile.segmenter_of(asked, arm) for arm in ("t060", "grayscale", "true_masks")] == [
        "t060", "t000", "t000",
    ]  # fmt: skip
    assert study_profile.segmenter_of(asked, "t030") == "t030"  # one trained by hand: never another arm's


def test_an_impossible_value_stops_before_anything_runs(project):
    path = project / "params" / "smoke" / "05_sf_change.yaml"
    path.write_text("learning_rates: [1e-4, 1e-5]\n")
    with pytest.raises(params.ParameterError, match=r"05_sf_change.yaml: learning_rates: .* got \['1e-4'"):
        study_profile.check(study_profile.load("smoke", project), project)
    path.unlink()
    (project / "params" / "smoke" / "07_readmission.yaml").write_text("second_day: 0\n")
    with pytest.raises(params.ParameterError, match="07_readmission.yaml: first_day and second_day"):
        study_profile.check(study_profile.load("smoke", project), project)


@pytest.mark.parametrize("name", PROFILES)
def test_a_node_is_looked_for_where_its_notebook_writes(name):
    """Of every profile: by the identity of a node, and by all parameters of its run."""
    nodes = study_profile.nodes(study_profile.load(name, ROOT))
    for node in nodes[:: max(1, len(nodes) // 60)]:
        asked = study_profile.parameters(node, ROOT)
        assert node.folder == places.run_folder(node.notebook, asked), node.identity


def test_a_cohort_with_a_seed_of_its_own_has_no_level_of_it():
    asked = {"profile": "outcome", "cohort": "null_06", "seed": 106}
    assert places.run_folder("00_cohort", asked) == "outcome/null_06/00_cohort"
    trained = asked | {"arm": "t060", "fold": 1, "inner": 2}
    found = places.run_folder("03_train_segmentation", trained)
    assert found == "outcome/null_06/03_train_segmentation/t060/seed106/fold1/inner2"


def limited(project, **more):
    edit(project / "params" / "smoke" / "study.yaml", **more)
    return study_profile.load("smoke", project)


def test_only_the_arms_that_are_named_go_on_to_the_tasks(project):
    made = limited(project, task_arms=["t060"])
    assert made.arms_on_tasks == ("t060",)
    assert made.task_arms("phantom_smoke") == ("t060", "grayscale", "true_masks")
    nodes = study_profile.nodes(made)
    segmented = {dict(n.identity)["arm"] for n in nodes if n.notebook == "03_train_segmentation"}
    asked = [n for n in nodes if n.notebook in matrix.TASKS.values()]
    assert segmented == {"t000", "t060"}
    assert {dict(n.identity)["arm"] for n in asked} == {"t060", "grayscale", "true_masks"}
    for node in asked:  # a baseline takes size and frames of an arm that goes on
        read = {dict(n.identity)["arm"] for n in node.needs if n.notebook == "03_train_segmentation"}
        assert read == {"t060"}
    crossed = limited(project, protocol="cross_fitted", folds=3)
    inner = [n for n in study_profile.nodes(crossed) if dict(n.identity).get("inner")]
    assert {dict(n.identity)["arm"] for n in inner} == {"t060"} and len(inner) == 3


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "expected at least one arm, each once, got"),
        (["t060", "t060"], "expected at least one arm, each once, got"),
        (["t06"], "expected one of t000, t060, got 't06'; did you mean t060?"),
    ],
)
def test_arms_on_tasks_that_are_none_are_refused(project, names, said):
    with pytest.raises(params.ParameterError, match=re.escape(f"task_arms: {said}")):
        limited(project, task_arms=names)


def test_pairs_of_tasks_are_of_arms_that_go_on_to_them(project):
    edit(project / "params" / "smoke" / "08_compare_tasks.yaml", pairs=["t060 - t000"])
    study_profile.check(limited(project), project)
    with pytest.raises(
        params.ParameterError, match="pairs: expected 'arm - reference' with arms of t060, got"
    ):
        study_profile.check(limited(project, task_arms=["t060"]), project)
