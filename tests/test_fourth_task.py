"""A task is one object: a fourth one, added here, is trained, scored, tabled, drawn, explained and explored.

Length of stay: how many days after admission is a patient's last examination? A value of a patient's day,
so a second regression next to the S/F ratio: nothing may call it S/F.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lusnb import files
from lusnb.cohort.cohort import Cohort
from lusnb.compare import tasks as compare_tasks
from lusnb.report import explained as report_explained
from lusnb.report import task_tables, tasks
from lusnb.segment.predictions import Predictions, pack
from lusnb.study import matrix
from lusnb.study import profile as study_profile
from lusnb.tasks import coverage, explained, masks, question, sf_ratio, train
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.question import Question
from lusnb.tasks.registry import TASKS
from lusnb.tasks.task import Card, Task
from lusnb.widgets import explorer_data

SIZE, SLOTS = 32, 2
STAY, NOTEBOOK = "stay", "15_stay"
ARMS = ("t000", "t060")


def units(cohort: Cohort, _: object) -> pd.DataFrame:
    table = question.viewed(cohort)
    truth = table["patient_id"].map(cohort.clips.groupby("patient_id")["day"].max()).astype(float)
    return table.assign(truth=truth)[["patient_id", "clip_id", "day", "view", "truth"]].reset_index(drop=True)


def stay_scores(table: pd.DataFrame) -> dict[str, float]:
    error = sf_ratio.patient_days(table)["mean"] - sf_ratio.patient_days(table)["truth"]
    return {
        "rmse_stay": float(np.sqrt((error**2).mean())),
        "mse_stay": float((error**2).mean()),
        "days": len(error),
    }


def of_patients(table: pd.DataFrame, _: float) -> pd.DataFrame:
    return sf_ratio.TASK.card.patients(table, 1.0)


ASKED = Question(
    name=STAY,
    classes=(),
    output="predicted days of stay",
    units=units,
    lacks=lambda cohort: [] if cohort.views else ["the cohort names no views"],
    reasons=("view", "unknown", "day"),
    holds=lambda *_: {},
    features=question.own,
    once=("patient_id",),
)
JUDGED = Task(
    question=ASKED,
    title="length of stay",
    number=5,
    scores=stay_scores,
    leading="rmse_stay",
    metrics=("rmse_stay",),
    counts=("days",),
    second=("mse_stay",),
    compared="mse_stay",
    errors=("mse_stay",),
    words={"rmse_stay": "RMSE of days of stay", "mse_stay": "squared error of days of stay"},
    card=Card("value", of_patients, axis="days of stay", heading="Stay", note="On the dashed line: right."),
)


@pytest.fixture(autouse=True)
def fourth(monkeypatch: pytest.MonkeyPatch) -> None:
    """What adding a task takes: a line in the registry, and its notebook's name among the data."""
    monkeypatch.setitem(TASKS, STAY, JUDGED)
    monkeypatch.setitem(matrix.TASKS, STAY, NOTEBOOK)
    monkeypatch.setitem(matrix.NOTEBOOKS, STAY, NOTEBOOK)


@pytest.fixture(scope="module")
def segmented(cohort: Cohort) -> masks.Segmented:
    shape = (len(cohort.clips), SLOTS, len(cohort.features), SIZE, SIZE)
    frames = pack(np.random.default_rng(0).random(shape) < 0.3)
    made_from = {"channels": "binary", "task_size": SIZE, "task_frames": SLOTS}
    return masks.whole(cohort, Predictions(np.zeros((0,), np.uint8), frames, pd.DataFrame(), made_from))


@pytest.fixture(scope="module")
def trained(cohort: Cohort, segmented: masks.Segmented, params_of) -> dict[str, train.Result]:
    """Trained by the parameters of the S/F ratio, one epoch, an arm each."""
    same = {"epochs": 1, "batch": 8}
    asked = {arm: params_of("06_sf_ratio", arm=arm, **same) for arm in ARMS}
    return {arm: train.run(ASKED, cohort, segmented, p) for arm, p in asked.items()}


@pytest.fixture
def made(trained: dict[str, train.Result]) -> pd.DataFrame:
    return pd.concat([result.predictions for result in trained.values()], ignore_index=True)


def test_it_is_asked_and_counted(cohort: Cohort):
    assert ASKED.lacks(cohort) == []
    assert ASKED.lacks(replace(cohort, views={})) == ["the cohort names no views"]
    counts = coverage.coverage(ASKED, cohort, SimpleNamespace())
    used = counts[(counts["split"] == "all") & (counts["kind"] == "used")].iloc[0]
    assert used["clips"] == used["units"] == len(cohort.clips)


def test_it_is_trained_and_held_against_its_own_mean(cohort: Cohort, made: pd.DataFrame):
    assert set(made["model"]) == {"tsm", "mean", "ridge"}
    assert np.isfinite(made["prediction"]).all()
    last = cohort.clips.groupby("patient_id")["day"].max()
    assert (made["truth"] == made["patient_id"].map(last)).all()


def test_its_tables_tests_and_pictures_name_it_and_never_sf(made: pd.DataFrame):
    own = tasks_scores.score(JUDGED, tasks_scores.tempered(made))
    found = {task: own[:0] for task in TASKS} | {STAY: own}
    arms = pd.DataFrame({"threshold": [0.0, 0.6], "published": False}, index=pd.Index(ARMS, name="arm"))
    arms["supervision"] = "threshold"
    table = task_tables.main(STAY, own, arms, np.random.default_rng(0))
    assert {"rmse_stay", "rmse_stay_pooled", "days"} <= set(table)
    assert task_tables.heading(STAY, own, "here", "phantom", "paper").startswith("Table 5")
    assert list(task_tables.second(STAY, own, arms))[:3] == ["model", "arm", "threshold"]
    compared = compare_tasks.differences(found, arms, np.random.default_rng(0))
    assert set(compared["task"]) == {STAY} and set(compared["metric"]) == {"mse_stay"}
    against = compare_tasks.against_baselines(found, list(ARMS), np.random.default_rng(0))
    worse = against[against["model"] == "tsm"].iloc[0]
    means = compare_tasks.means(own, "mse_stay").set_index(["model", "arm"])["value"]
    assert worse["difference"] == pytest.approx(
        means["mean"].iloc[0] - means["tsm", worse["arm"]]
    )  # less is better
    figure = tasks.every_task(task_tables.stacked(found))
    assert [ax.get_title() for ax in figure.axes] == [
        "S/F change",
        "S/F ratio",
        "readmission",
        "length of stay",
    ]
    assert figure.axes[3].get_ylabel() == "RMSE of days of stay"
    (forest,) = tasks.baselines(against).axes
    assert forest.get_title() == "length of stay\nsquared error of days of stay"
    plt.close("all")


def test_what_drives_it_is_captioned_by_the_task(cohort: Cohort, segmented, params_of, trained):
    p = params_of("06_sf_ratio", arm="t060", epochs=1, batch=8)
    table, example = explained.of_task(trained["t060"], cohort, segmented, p, count=1, orders=1)
    assert example.told.endswith("output: predicted days of stay")
    figure = report_explained.drivers(table, example, STAY, "t060")
    assert figure._suptitle.get_text().startswith("Length of stay, t060: what the networks use")
    plt.close("all")


def test_the_explorer_shows_it(made: pd.DataFrame, tmp_path):
    folder = tmp_path / NOTEBOOK / "t060" / "seed0"
    files.write_csv(folder / "predictions.csv", made[made["arm"] == "t060"])
    files.write_text(folder / "finished", "")
    found, note = explorer_data.outcomes_of(tmp_path, 477)
    assert list(found) == [STAY] and note == ""
    rows = found[STAY]
    assert set(rows["truth"]) <= set(made["truth"]), "days, not fractions of the largest S/F"
    (card,) = explorer_data.cards(found)
    assert card["title"] == "Length of stay" and (card["kind"], card["axis"]) == ("value", "days of stay")


def test_a_study_that_asks_for_it_has_its_nodes(tmp_path, monkeypatch: pytest.MonkeyPatch):
    matrix.check(
        tmp_path / "study.yaml",
        {
            "cohorts": {"a": {}}, "arms": {"t060": {"label_threshold": 0.6}}, "tasks": [STAY], "seeds": [0],
            "folds": 2, "protocol": "paper",
        },
    )  # fmt: skip
    study = study_profile.Study("p", {"a": {}}, {"t060": {"label_threshold": 0.6}}, (STAY,), (0,), 2, "paper")
    folders = [node.folder for node in study_profile.nodes(study)]
    assert f"p/a/{NOTEBOOK}/t060/seed0" in folders and f"p/a/{NOTEBOOK}/grayscale/seed0" in folders
