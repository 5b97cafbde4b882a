"""Cross-fitted, no prediction of a patient comes from a model, at any stage, that saw the patient.

Shown by intervention: whatever a patient's labels and outcomes are, and whatever the other patients of their
fold are, clips and all, what is predicted for them stays the same to the last bit. A change of the labels or
the outcomes of the patients of the other folds does change it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb.cohort import cohort as cohorts
from lusnb.cohort import splits
from lusnb.segment import frames as segment_frames
from lusnb.segment import predict, predictions, segmenter
from lusnb.tasks import masks, train
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

pytestmark = pytest.mark.slow
FOLDS, TESTED = 3, 1
SMALL = {"encoder": "tu-resnet10t", "size": 64, "task_size": 32, "batch": 4, "epochs": 2}
NOTEBOOKS = {"sf_change": "05_sf_change", "sf_ratio": "06_sf_ratio", "readmission": "07_readmission"}


@pytest.fixture(scope="module")
def folder(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom, dealt to three outer folds of two patients; both outcomes in every fold."""
    place = shutil.copytree(phantom, tmp_path_factory.mktemp("leaks") / "cohort")
    patients = pd.read_csv(place / "patients.csv")
    patients = patients.assign(split="", fold=[1, 1, 2, 2, 3, 3], readmitted_30d=[0, 1] * 3)
    patients.to_csv(place / "patients.csv", index=False)
    return place


def segmenters(cohort: cohorts.Cohort, params_of: Callable, into: Path) -> masks.Segmented:
    """Train every segmenter that the tasks of the tested fold may read, and open what it left."""
    parts = {}
    for own in range(1, FOLDS + 1):
        fold, inner = masks.pair(TESTED, own)
        p = params_of(protocol="cross_fitted", fold=fold, inner=inner, **SMALL)
        roles = splits.roles(cohort.patients, fold, "cross_fitted", inner)
        frames = segment_frames.load(cohort, p, roles["train"])
        trained = segmenter.train(frames, roles, p)
        found = predict.labelled(trained[0], frames, roles, p)
        cut = segmenter.task_cut(found.cut, p)
        clips = segmenter.segment_clips(trained[0], cohort, p, cut, roles["test"])
        place = into / f"{fold}_{inner}"
        predict.store(place, trained, roles, found, clips, "", p)
        parts[fold, inner] = predictions.read(place, ""), place.name
    return masks.cross_fitted(cohort, parts)


def predicted(folder: Path, params_of: Callable, into: Path) -> dict[str, pd.DataFrame]:
    """What each task says of the test patients of the tested fold, all models: the whole chain, from disk."""
    cohort = cohorts.read(folder, FOLDS)
    found = segmenters(cohort, params_of, into)
    bank = train.open_bank(cohort, found).of_fold(found, TESTED)
    tables, start = {}, None
    for task, notebook in NOTEBOOKS.items():
        p = params_of(notebook, protocol="cross_fitted", epochs=2, learning_rates=[0.001, 0.0001])
        network, _ = train.train_fold(
            QUESTIONS[task], cohort, bank, TESTED, p, start if task == "readmission" else None
        )
        start = network.state_dict() if task == "sf_change" else start
        table = train.predict_fold(QUESTIONS[task], cohort, bank, TESTED, p, network)
        tables[task] = table[table["split"] == "test"]
    return tables


def relabel(folder: Path, patients: list[str]) -> None:
    """Every confidence image of some patients upside down."""
    clips = pd.read_csv(folder / "clips.csv").set_index("clip_id")["patient_id"]
    for row in pd.read_csv(folder / "labels.csv").itertuples():
        if clips[row.clip_id] in patients:
            path = folder / row.path
            Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)


def change_outcomes(folder: Path, patients: list[str]) -> None:
    """Another S/F on every day, the other readmission."""
    exams = pd.read_csv(folder / "exams.csv")
    where = exams["patient_id"].isin(patients)
    exams.loc[where, "fio2"] = np.where(exams.loc[where, "fio2"] > 0.4, 0.21, 0.6)
    exams.loc[where, "sf_ratio"] = exams.loc[where, "spo2"] / exams.loc[where, "fio2"]
    exams.to_csv(folder / "exams.csv", index=False)
    table = pd.read_csv(folder / "patients.csv")
    where = table["patient_id"].isin(patients)
    table.loc[where, "readmitted_30d"] = 1 - table.loc[where, "readmitted_30d"]
    table.to_csv(folder / "patients.csv", index=False)


def change_clips(folder: Path, patients: list[str]) -> None:
    """Noise in place of every frame."""
    clips = pd.read_csv(folder / "clips.csv")
    rng = np.random.default_rng(5)
    for path in clips.loc[clips["patient_id"].isin(patients), "path"]:
        shape = np.load(folder / path).shape
        np.save(folder / path, rng.integers(0, 256, shape, np.uint8))


def answers(tables: dict[str, pd.DataFrame], patient: str) -> dict[str, pd.DataFrame]:
    """What is said of one patient, without what is true of them."""
    return {
        task: table[table["patient_id"] == patient].drop(columns="truth").reset_index(drop=True)
        for task, table in tables.items()
    }


@pytest.fixture(scope="module")
def before(folder: Path, params_of: Callable, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The predictions without any intervention."""
    return predicted(folder, params_of, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def names(folder: Path) -> list[str]:
    """The patients, two a fold in the order of the folds."""
    return list(pd.read_csv(folder / "patients.csv")["patient_id"])


def test_a_patients_own_labels_and_outcomes_change_nothing_that_is_said_of_them(
    folder: Path, before: dict, names: list[str], params_of: Callable, tmp_path: Path
):
    other = shutil.copytree(folder, tmp_path / "cohort")
    relabel(other, names[:1])
    change_outcomes(other, names[:1])
    after = predicted(other, params_of, tmp_path / "runs")
    for task, table in answers(after, names[0]).items():
        assert len(table) > 0
        pd.testing.assert_frame_equal(table, answers(before, names[0])[task], check_exact=True)


def test_nothing_of_another_patient_of_the_fold_reaches_a_patient(
    folder: Path, before: dict, names: list[str], params_of: Callable, tmp_path: Path
):
    other = shutil.copytree(folder, tmp_path / "cohort")
    for change in (relabel, change_outcomes, change_clips):
        change(other, names[1:2])
    after = predicted(other, params_of, tmp_path / "runs")
    for task, table in answers(after, names[0]).items():
        pd.testing.assert_frame_equal(table, answers(before, names[0])[task], check_exact=True)
    assert not after["sf_ratio"]["prediction"].equals(
        before["sf_ratio"]["prediction"]
    )  # of the other patient


@pytest.mark.parametrize("change", [relabel, change_outcomes])
def test_a_training_patient_does_reach_them(
    folder: Path, before: dict, names: list[str], params_of: Callable, tmp_path: Path, change: Callable
):
    """So that the two tests above can fail: the chain does react to whom it may know."""
    other = shutil.copytree(folder, tmp_path / "cohort")
    change(other, names[2:])
    after = predicted(other, params_of, tmp_path / "runs")
    for task, table in answers(after, names[0]).items():
        values = [c for c in table if c == "prediction" or c.startswith("logit_")]
        tsm = table["model"] == "tsm"
        assert not np.allclose(table.loc[tsm, values], answers(before, names[0])[task].loc[tsm, values])
