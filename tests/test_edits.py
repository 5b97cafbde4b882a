"""What an edit runs again: only what can change a training trains anything, and only the arms that use it."""

import json
import shutil
from pathlib import Path

import pytest

from lusnb.study import notebooks, reruns
from lusnb.study.matrix import NOTEBOOKS
from tests.studies import finish_all
from tests.test_smoke import copy_project, planned

ARMS = {
    "cut": {"label_threshold": 0.6},
    "soft": {"supervision": "soft", "label_threshold": 0.5, "loss": "dice"},
}
TASKS = {"05_sf_change", "06_sf_ratio", "07_readmission"}
COMPARED = "04_compare_segmentation"
TABLES = {"08_compare_tasks", "09_figures"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which every run of a study of two arms is finished; to be copied."""
    base = copy_project(tmp_path_factory.mktemp("finished"))
    shutil.rmtree(base / "params" / "smoke")
    (base / "params" / "smoke").mkdir()
    asked = {
        "cohorts": {"phantom_smoke": {}}, "arms": ARMS, "seeds": [0], "folds": 2, "protocol": "paper",
        "tasks": ["sf_change", "sf_ratio", "readmission"],
    }  # fmt: skip
    (base / "params" / "smoke" / "study.yaml").write_text(json.dumps(asked))
    finish_all("smoke", base)
    return base


@pytest.fixture
def project(finished, tmp_path):
    yield shutil.copytree(finished, tmp_path / "project")
    reruns.forget()


def edit(base: Path, path: str, old: str, new: str) -> set[str]:
    """Replace text once in a file of the package; what would run, below the cohort's folder."""
    file = base / "lusnb" / path
    text = file.read_text()
    assert text.count(old) >= 1, (path, old)
    file.write_text(text.replace(old, new, 1))
    return planned(base)


def trained(found: set[str]) -> set[str]:
    """The trainings among them: 03/<arm>, and the notebooks of tasks."""
    segmenters = {"/".join(n.split("/")[:2]) for n in found if n.startswith("03_train_segmentation")}
    return segmenters | {n.split("/")[0] for n in found if n.split("/")[0] in TASKS}


def test_nothing_runs_without_an_edit(project):
    assert planned(project) == set()


def test_a_figure_runs_those_that_draw_it(project):
    found = edit(project, "report/tasks.py", "import numpy as np\n", "import numpy as np\n\nEDITED = 1\n")
    assert found == TABLES


def test_a_figure_of_the_training_itself_trains_nothing(project):
    found = edit(project, "report/progress.py", "from matplotlib", "EDITED = 1\nfrom matplotlib")
    assert trained(found) == set()


def test_a_figure_s_name_runs_the_notebook_that_promises_it(project, monkeypatch):
    listed = {name: {"leaves": [*notebooks.promised(name)]} for name in NOTEBOOKS.values()}
    monkeypatch.setattr(notebooks, "_listed", lambda: listed)
    assert planned(project) == set()
    listed["09_figures"]["leaves"].append("figures/another.pdf")
    assert planned(project) == {"09_figures"}


def test_the_list_of_promised_files_is_no_code(project):
    assert not any(
        "notebooks_and_outputs.yaml" in path.name for path in reruns.used("03_train_segmentation", project)
    )


def test_a_metric_runs_the_comparison(project):
    found = edit(project, "segment/metrics.py", "SURFACE_TOLERANCE_MM = 1.0", "SURFACE_TOLERANCE_MM = 2.0")
    assert found == {COMPARED, "09_figures"}


def test_a_heading_of_a_table_runs_those_that_print_tables(project):
    found = edit(project, "report/tables.py", '"iou": "IoU"', '"iou": "Jaccard"')
    assert found == {COMPARED, *TABLES}


@pytest.mark.parametrize("path", ["segment/losses.py", "tasks/train.py", "stats.py"])
def test_a_comment_or_a_docstring_runs_nothing(project, path):
    assert edit(project, path, '"""', '"""Edited. ') == set()
    file = project / "lusnb" / path
    file.write_text("# edited\n" + file.read_text().replace("\n\n\n", "\n\n\n# edited\n", 1))
    assert planned(project) == set()


def test_the_prose_of_a_notebook_that_trains_runs_nothing_and_its_code_runs_it(project):
    path = project / "notebooks" / "03_train_segmentation.ipynb"
    notebook = json.loads(path.read_text())
    prose = next(c for c in notebook["cells"] if c["cell_type"] == "markdown")
    prose["source"] = ["Edited."]
    path.write_text(json.dumps(notebook))
    assert planned(project) == set()
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"][2]
    code["source"] = [*code["source"], "\nedited = 1"]
    path.write_text(json.dumps(notebook))
    assert trained(planned(project)) >= {"03_train_segmentation/cut", "03_train_segmentation/soft"}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("tasks/sf_ratio.py", "AGREEMENT = 1.96", "AGREEMENT = 1.95"),
        ("tasks/sf_change.py", 'title="S/F change"', 'title="Change of S/F"'),
        (
            "tasks/readmission.py",
            '"precision": hits / called if called',
            '"precision": 1.0 * hits / called if called',
        ),
        ("tasks/scores.py", "POOLED = 0", "POOLED = -1"),
        ("calibration.py", "low, high = (1 / t for t", "low, high = (1.0 / t for t"),
        ("stats.py", "RESAMPLES = 9999", "RESAMPLES = 999"),
        ("report/task_tables.py", "SIGNS = (", "SIGNS = EDITED = ("),
    ],
)
def test_a_task_s_score_or_a_statistic_runs_the_comparison_and_trains_nothing(project, path, old, new):
    found = edit(project, path, old, new)
    assert trained(found) == set() and {"08_compare_tasks", "09_figures"} <= found
    assert (COMPARED in found) == (path in ("calibration.py", "stats.py")), (
        "segmenters are compared without tasks"
    )


def test_an_explanation_trains_nothing(project):
    assert edit(project, "tasks/shapley.py", "ORDERS = ", "ORDERS = EDITED = ") == {"14_what_drives"}


def test_what_a_task_asks_trains_this_task_and_what_starts_from_it(project):
    found = edit(project, "tasks/sf_ratio_question.py", "QUESTION = Q", "EDITED = QUESTION = Q")
    assert trained(found) == {"06_sf_ratio"}
    found = edit(project, "tasks/sf_change_question.py", "ROUNDING = 1e-9", "ROUNDING = 1e-8")
    assert trained(found) == TASKS


def test_another_task_trains_nothing_that_is_there(project):
    found = edit(project, "tasks/registry.py", "readmission)", "readmission, another)")
    assert trained(found) == set() and "08_compare_tasks" in found
    path = project / "lusnb" / "study" / "notebooks_and_outputs.yaml"
    path.write_text(path.read_text() + "15_another:\n  task: another\n  leaves: []\n")
    assert planned(project) == found


def test_a_loss_trains_the_arms_that_use_it(project):
    found = edit(project, "segment/losses.py", "SMOOTH = 1.0", "SMOOTH = 1.0  # pixels")
    assert found == set()
    found = edit(project, "segment/losses.py", "form = DiceLoss(", "edited = 1\n    form = DiceLoss(")
    segmenters = {n for n in trained(found) if n.startswith("03")}
    assert segmenters == {"03_train_segmentation/soft"}


def test_a_loss_that_no_arm_uses_trains_nothing(project):
    found = edit(project, "segment/losses.py", "form = TverskyLoss(", "edited = 1\n    form = TverskyLoss(")
    assert trained(found) == set() and COMPARED in found


def test_a_new_loss_trains_nothing(project):
    new = "def hard(logits, y, w):\n    return weighted_ce(logits, y, w)\n\n\nFORMS = {\n    'hard': hard,"
    edit(project, "segment/losses.py", "FORMS = {", new)
    found = edit(
        project,
        "arms.py",
        '    "wing": "probabilities",',
        '    "wing": "probabilities",\n    "hard": "logits",',
    )
    assert trained(found) == set()


def test_losses_from_elsewhere_may_be_those_of_any_arm(project):
    found = edit(project, "segment/losses.py", "FORMS = {", "FORMS = {\n    **{},")
    assert trained(found) >= {"03_train_segmentation/cut", "03_train_segmentation/soft"}


def test_a_supervision_trains_the_arms_that_use_it(project):
    found = edit(
        project,
        "confidence.py",
        "    return certain(c) & (c > 0), certain(c) * 1.0",
        "    return c > 0, c * 1.0",
    )
    assert trained(found) == set()  # trimap: nobody uses it
    found = edit(
        project,
        "confidence.py",
        "    return c, _ones(c)",
        "    return 1.0 * c, _ones(c)",
    )
    assert {n for n in trained(found) if n.startswith("03")} == {"03_train_segmentation/soft"}


def test_what_all_supervisions_share_trains_all_segmenters(project):
    found = edit(project, "confidence.py", "TOLERANCE = 1 / 510", "TOLERANCE = 1 / 500")
    assert trained(found) >= {"03_train_segmentation/cut", "03_train_segmentation/soft"}
