"""Which finished runs count, why others do not, and what is said of it; nothing here is trained."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from lusnb import params
from lusnb.segment import start_weights
from lusnb.study import graph, locks, making, nodes, proofs, reruns
from lusnb.study import profile as study_profile
from tests.studies import finish, finish_all
from tests.test_locks import HOLD, ROOT
from tests.test_profile import edit, project  # noqa: F401

TRAINED = "03_train_segmentation/t060/seed0/fold0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which every run of the smoke study is finished; to be copied."""
    base = tmp_path_factory.mktemp("finished")
    for name in ("notebooks", "params", "lusnb"):
        shutil.copytree(ROOT / name, base / name, ignore=shutil.ignore_patterns("__pycache__"))
    return base, finish_all("smoke", base)


@pytest.fixture
def done(finished, tmp_path):
    """A copy of it: its folder, and the nodes by folder."""
    yield shutil.copytree(finished[0], tmp_path / "project"), finished[1]
    locks.release_all()


def plan(base, profile="smoke"):
    """What would run: folder below the cohort's -> reasons."""
    found = graph.plan(study_profile.load(profile, base), base)
    return {node.folder.split("/", 2)[-1]: reasons for node, reasons in found.items()}


def behind(done, *first):
    """The nodes that need some others, directly or not."""
    found = set(first)
    for name, node in done[1].items():
        if any(needed.folder.split("/", 2)[-1] in found for needed in node.needs):
            found.add(name)
    return found


def test_a_finished_study_has_nothing_to_run_and_another_has_everything(done):
    base, made = done
    assert plan(base) == {}
    shutil.rmtree(base / "runs")
    assert plan(base) == dict.fromkeys(made, ["not made yet"])


def test_a_changed_parameter_is_told_with_its_old_and_its_new_value(done):
    base = done[0]
    edit(base / "params/smoke/03_train_segmentation.yaml", epochs=30, loss="dice")
    found = plan(base)
    arms = [f"03_train_segmentation/{arm}/seed0/fold0" for arm in ("t000", "t060")]
    told = ["loss weighted_ce -> dice", "epochs 4 -> 30"]
    assert {name: why for name, why in found.items() if why} == dict.fromkeys(arms, told)
    assert set(found) == behind(done, *arms)


def test_a_run_with_other_parameters_does_not_count_whoever_made_it(done):
    """As Run All in JupyterLab leaves it, or papermill by hand: finished, but not what the study asks for."""
    base, made = done
    finish(made[TRAINED], base, "by hand", epochs=9)
    assert plan(base)[TRAINED] == ["epochs 9 -> 4"]
    finish(made[TRAINED], base)  # and with the study's own it does
    assert plan(base) == {}


def test_a_run_by_other_code_does_not_count(done):
    base = done[0]
    path = base / "lusnb" / "report/figures.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    reruns.forget()
    found = plan(base)
    assert found["09_figures"] == ["its code changed"]
    assert not {name.split("/")[0] for name in found} & {"03_train_segmentation", "05_sf_change"}


def test_code_that_was_edited_under_a_running_kernel_is_not_taken_for_what_ran(done, monkeypatch):
    """A kernel goes on with the modules that it has imported, whatever is on disk by now."""
    base, made = done
    now = reruns.code_fingerprint("03_train_segmentation", base)
    assert making._code("03_train_segmentation", base) == now
    path = base / "lusnb" / "files.py"
    time = path.stat().st_mtime_ns
    os.utime(path, ns=(time, making.LOADED + 1))
    assert making._code("03_train_segmentation", base) == making.EDITED
    folder = finish(made[TRAINED], base)
    proof = json.loads((folder / "finished").read_text())
    (folder / "finished").write_text(json.dumps({**proof, "code": making.EDITED}))
    assert plan(base)[TRAINED] == ["its code was edited while its kernel ran"]


@pytest.mark.parametrize(
    ("where", "name", "spoil"),
    [
        (TRAINED, "history.csv", lambda path: path.write_text(path.read_text()[:10])),
        (TRAINED, "predictions/logits.npy", lambda path: path.write_bytes(bytes(path.stat().st_size))),
        (TRAINED, "model.safetensors", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("05_sf_change/t060/seed0", "predictions.csv", lambda path: path.unlink()),
        ("04_compare_segmentation", "tables/table1_segmentation.csv", lambda path: path.write_text("")),
        ("09_figures", "figures/ranking.pdf", lambda path: path.write_text("drawn over")),
    ],
)
def test_damaged_outputs_are_found_by_name_and_made_again(done, where, name, spoil):
    base, made = done
    spoil(proofs.place(base / "runs" / made[where].folder, name))
    found = plan(base)
    assert found[where] == [f"{name} is not what it left"]
    assert set(found) == behind(done, where)
    told = graph.planned(
        study_profile.load("smoke", base), graph.plan(study_profile.load("smoke", base), base)
    )
    assert f"{name} is not what it left: phantom_smoke/{where}\n" in told + "\n"
    finish(made[where], base)  # the same as before: what is after it stays
    assert plan(base) == {}


def test_only_other_results_make_what_reads_them_run_again(done):
    base, made = done
    finish(made[TRAINED], base, "otherwise")
    found = plan(base)
    read = [f"smoke/phantom_smoke/{TRAINED} is another now"]
    assert found["04_compare_segmentation"] == read and TRAINED not in found
    assert set(found) == behind(done, TRAINED) - {TRAINED}


@pytest.mark.parametrize("name", ["params.yaml", "fingerprint.json", "finished", "provenance.json"])
@pytest.mark.parametrize("text", ["", '{"coho'])
def test_a_small_file_that_is_cut_costs_no_training(done, name, text):
    base, made = done
    (base / "runs/smoke/phantom_smoke/00_cohort" / name).write_text(text)
    found = plan(base)
    assert {where for where, why in found.items() if why} <= {"00_cohort"}
    asked = study_profile.load("smoke", base)
    graph.tidy(asked, base)
    if name in ("params.yaml", "provenance.json"):  # the proof holds them, and writes them again
        assert plan(base) == {}
    elif name == "finished":
        assert plan(base)["00_cohort"] == [
            "left with a finished that cannot be read (cut short, or of an earlier version)"
        ]
    else:
        assert "fingerprint.json is not what it left" in plan(base)["00_cohort"]
    finish(made["00_cohort"], base)
    assert plan(base) == {}


@pytest.mark.parametrize("text", ["", "epo"])
def test_a_training_whose_parameters_were_cut_is_not_trained_again(done, text):
    base, made = done
    folder = base / "runs" / made[TRAINED].folder
    before = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text)
    graph.tidy(study_profile.load("smoke", base), base)
    assert plan(base) == {} and (folder / "params.yaml").read_text() == before


def test_a_changed_cohort_is_checked_again_and_what_read_it_follows_if_it_differs(done):
    base, made = done
    path = base / "data/phantom_smoke/cohort.yaml"
    path.touch()
    assert plan(base) == {}
    path.write_text("name: d")
    found = plan(base)
    assert found["00_cohort"] == ["files of data/phantom_smoke changed"] and set(found) == set(made)
    finish(made["00_cohort"], base)
    assert plan(base)[TRAINED] == ["cohort phantom_smoke changed"]
    path.write_text("name: c")
    finish(made["00_cohort"], base)
    assert plan(base) == {}


def test_an_import_runs_again_when_its_files_or_spreadsheets_change(project, monkeypatch):  # noqa: F811
    monkeypatch.setenv("LUSNB_SAMPLES", str(project / "samples"))
    clip = project / "samples" / "bubil" / "clip.npy"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"1")
    node = study_profile.nodes(study_profile.load("bubil", project))[0]
    finish(node, project)
    assert nodes.differs(node, project) == []
    clip.write_bytes(b"22")
    assert nodes.differs(node, project) == ["files of files changed"]
    shutil.move(project / "samples", project / "away")  # a drive that is taken away changes nothing
    assert nodes.differs(node, project) == []
    shutil.move(project / "away", project / "samples")
    finish(node, project)
    (project / "notebooks" / "samples" / "bubil" / "clips.csv").write_text("clip_id")
    assert nodes.differs(node, project) == ["files of sheets changed"]


def test_start_weights_count_by_their_content(done):
    base, made = done
    weights = base / "weights.pt"
    weights.write_bytes(b"one")
    edit(base / "params/smoke/06_sf_ratio.yaml", encoder_weights="weights.pt")
    where = "06_sf_ratio/t060/seed0"
    assert plan(base)[where] == ["encoder_weights none -> weights.pt"]
    finish(made[where], base)
    assert where not in plan(base)
    os.utime(weights, (1, 1))
    assert where not in plan(base)
    weights.write_bytes(b"two")
    assert plan(base)[where] == ["files of encoder_weights changed"]


def test_start_weights_that_come_with_the_package_count_by_their_content(done, monkeypatch, tmp_path):
    base, made = done
    shipped = tmp_path / "shipped.safetensors"
    shipped.write_bytes(b"one")
    monkeypatch.setattr(start_weights, "TASKS", shipped)
    edit(base / "params/smoke/06_sf_ratio.yaml", encoder_weights="phantom")
    where = "06_sf_ratio/t060/seed0"
    finish(made[where], base)
    assert where not in plan(base)
    shipped.write_bytes(b"another release's")
    assert plan(base)[where] == ["files of encoder_weights changed"]


def listing(base):
    return {str(p): (p.stat().st_mtime_ns, p.is_dir()) for p in sorted(base.rglob("*"))}


def test_a_dry_run_says_what_would_run_and_touches_nothing(done):
    base = done[0]
    edit(base / "params/smoke/08_compare_tasks.yaml", shuffle_seed=1)
    (base / "data/phantom_smoke/cohort.yaml").write_text("name: d")
    (base / "runs/smoke/phantom_smoke/01_explore_data/params.yaml").write_text("cut")
    before = listing(base)
    environment = {**os.environ, "PYTHONPATH": str(base), "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(
        [sys.executable, "-m", "lusnb.study", "run", "smoke", "-n"],
        cwd=base, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert listing(base) == before
    assert "study smoke: 21 of 21 nodes to run" in said
    assert "  files of data/phantom_smoke changed: phantom_smoke/00_cohort\n" in said
    assert "  shuffle_seed 0 -> 1: phantom_smoke/08_compare_tasks\n" in said
    assert "  params.yaml is not what it left: phantom_smoke/01_explore_data\n" in said
    assert "  after these, where what they read differs: " in said


def another(lock):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(""), str(lock)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize(
    ("lock", "refused"),
    [
        ("runs/smoke/phantom_smoke/03_train_segmentation/t060/seed0/.fold0.lock", True),
        ("runs/smoke/phantom_smoke/03_train_segmentation/t060/seed0/.fold0.executed.lock", True),
        ("data/.phantom_smoke.lock", False),  # 00_cohort counts, so nothing is to be written there
        ("runs/smoke/phantom_smoke/.01_explore_data.lock", False),
    ],
)
def test_a_study_refuses_to_write_beside_another_process_and_names_it(done, monkeypatch, lock, refused):
    base = done[0]
    edit(base / "params/smoke/03_train_segmentation.yaml", epochs=1)
    monkeypatch.chdir(base)
    monkeypatch.setattr(graph, "_snakemake", lambda *_: 3)
    other = another(base / lock)
    try:
        if refused:
            told = rf"runs/smoke/phantom_smoke/{TRAINED} is being written by process {other.pid} \("
            with pytest.raises(locks.Busy, match=told):
                graph.run("smoke", 1, [])
        else:
            assert graph.run("smoke", 1, []) == 3
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    "lock",
    [
        ".snakemake/lusnb.lock",
        "runs/smoke/phantom_smoke/03_train_segmentation/t060/seed0/.fold0.lock",
        "data/.phantom_smoke.lock",
    ],
)
def test_clean_removes_nothing_that_somebody_writes(done, lock):
    base = done[0]
    made = {"name": "c", "provenance": {"made_by": "lusnb.phantom"}}
    (base / "data/phantom_smoke/cohort.yaml").write_text(yaml.safe_dump(made))
    (base / lock).parent.mkdir(parents=True, exist_ok=True)
    other = another(base / lock)
    before = listing(base / "runs"), listing(base / "data")
    try:
        with pytest.raises(locks.Busy, match=f"process {other.pid} \\("):
            graph.clean("smoke", base)
        assert (listing(base / "runs"), listing(base / "data")) == before
    finally:
        other.kill()
        other.wait()
    assert graph.clean("smoke", base) == ["data/phantom_smoke", "runs/smoke"]
    assert locks.HELD == {} and not (base / "data/.phantom_smoke.lock").exists()


def test_a_failure_names_the_notebook_that_failed_and_how_to_go_on(done):
    base, made = done
    folder = base / "runs" / made[TRAINED].folder
    (folder / "unfinished.ipynb").write_text("{}")
    told = graph.failure(study_profile.load("smoke", base), base)
    assert f"  runs/{made[TRAINED].folder}/unfinished.ipynb\n" in told and "make study PROFILE=smoke" in told
    assert f"{made[TRAINED].folder}/notebook.ipynb" not in told


def test_what_a_kill_left_is_put_right_before_a_study_starts(done):
    base, made = done
    folder = base / "runs" / made[TRAINED].folder
    os.replace(folder / "notebook.ipynb", folder / "unfinished.ipynb")  # killed between the two
    other = base / "runs" / made["09_figures"].folder
    (other / "unfinished.ipynb").write_text("a failed attempt that is no longer asked for")
    os.utime(other.parent / "figures" / "ranking.pdf", (1, 1))
    graph.tidy(study_profile.load("smoke", base), base)
    for place in (folder, other):
        assert (place / "notebook.ipynb").read_text() == "{}" and not (place / "unfinished.ipynb").exists()
    assert proofs.read(other)["files"]["figures/ranking.pdf"]["time"] == 10**9


def test_a_node_is_found_by_its_folder_or_its_absence_told(project):  # noqa: F811
    assert nodes.find(f"smoke/phantom_smoke/{TRAINED}", project).notebook == "03_train_segmentation"
    with pytest.raises(params.ParameterError, match="params/smoke/study.yaml asks for no run smoke/x/03"):
        nodes.find("smoke/x/03", project)


def test_marks_are_apart_and_no_part_of_a_run(project):  # noqa: F811
    marks = [graph.mark(node) for node in study_profile.nodes(study_profile.load("smoke", project))]
    assert len(set(marks)) == len(marks) and all(mark.startswith(".snakemake/lusnb/smoke+") for mark in marks)


def test_a_run_that_nobody_proved_does_not_count(done):
    """What an earlier version left: an empty `finished`."""
    base, made = done
    (base / "runs" / made["09_figures"].folder / "finished").write_text("")
    assert plan(base) == {
        "09_figures": ["left with a finished that cannot be read (cut short, or of an earlier version)"]
    }
    assert json.loads((base / "runs" / made["08_compare_tasks"].folder / "finished").read_text())["files"]


def test_a_kernel_takes_no_port_that_another_could_take_before_it(done, monkeypatch):
    base, made = done
    cell = nbformat.v4.new_code_cell(
        "from ipykernel.connect import get_connection_info\n"
        "print(get_connection_info(), file=open('connection.json', 'w'))"
    )
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    nbformat.write(book, base / "notebooks" / "01_explore_data.ipynb")
    monkeypatch.chdir(base)
    nodes.execute(made["01_explore_data"], base)
    connection = json.loads((base / "connection.json").read_text())
    assert connection["transport"] == "ipc"
    assert not Path(connection["ip"]).parent.exists()  # nor is anything of it left
