"""Scores of finished tasks are computed from the predictions on disk, whoever wrote them."""

import numpy as np
import pandas as pd
import pytest

from lusnb import files
from lusnb.compare import drivers, finished_tasks
from lusnb.params import ParameterError, Params
from lusnb.report import explained
from lusnb.study import matrix, places
from lusnb.study import profile as study_profile
from lusnb.tasks import scores
from lusnb.tasks.registry import TASKS
from tests.guesses import predictions

ARMS = ("t060", "t000", "grayscale")  # not in the order of the alphabet
P = Params("08_compare_tasks", {"profile": "own", "cohort": "c", "explained_arms": [], "explained": 2})


@pytest.fixture
def study(tmp_path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """A profile of two tasks, two seeds and three arms, whose predictions are on disk."""
    own = study_profile.Study(
        "own", {"c": {}}, {arm: {"label_threshold": 0.0} for arm in ARMS[:2]}, ("sf_change", "sf_ratio"),
        (0, 1), 2, "cross_fitted",
    )  # fmt: skip
    monkeypatch.setattr(study_profile, "load", lambda *_: own)
    made = {}
    for task in own.tasks:
        made[task] = predictions(task, "cross_fitted", np.random.default_rng(0), ARMS, 6, seeds=(0, 1))
        for (arm, seed), table in made[task].groupby(["arm", "seed"]):
            folder = tmp_path / places.run_folder(
                matrix.TASKS[task], {"profile": "own", "cohort": "c", "arm": arm, "seed": seed}
            )
            files.write_csv(folder / "predictions.csv", table.drop(columns="temperature", errors="ignore"))

    def find(p: Params, notebook: str, **identity: object):
        return tmp_path / places.run_folder(notebook, {"profile": p.profile, "cohort": p.cohort, **identity})

    monkeypatch.setattr(finished_tasks, "find", find)
    return made


def test_predictions_come_as_they_were_left_with_the_temperatures_that_fit_validation(study):
    found = finished_tasks.predictions(P)
    assert list(found) == list(TASKS) and found["readmission"].empty
    for task, made in study.items():
        own = found[task]
        assert list(dict.fromkeys(own["arm"])) == list(ARMS)
        same = [name for name in own if name != "temperature"]
        keys = ["arm", "seed"]
        want = pd.concat([made[made["arm"] == arm] for arm in ARMS]).sort_values("seed", kind="stable")
        got = own.sort_values("seed", kind="stable")
        for key, part in want.groupby(keys, sort=False):
            mine = got[(got["arm"] == key[0]) & (got["seed"] == key[1])][same].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, part[same].reset_index(drop=True), check_exact=True)
    assert "temperature" not in found["sf_ratio"]
    tsm = found["sf_change"].query("model == 'tsm'")
    assert tsm.groupby(["arm", "seed", "fold"])["temperature"].nunique().eq(1).all()
    assert tsm["temperature"].nunique() > 1
    assert set(found["sf_change"].query("model != 'tsm'")["temperature"]) == {1.0}


def test_scores_are_those_of_each_training_in_the_order_of_the_arms(study):
    found = finished_tasks.scored(P, finished_tasks.predictions(P))
    assert list(found["readmission"]) == scores.TIDY and found["readmission"].empty
    for task in study:
        assert list(dict.fromkeys(found[task]["arm"])) == list(ARMS)
        own = finished_tasks.predictions(P)[task]
        one = own[(own["arm"] == "t060") & (own["seed"] == 1)]
        want = scores.score(TASKS[task], one, "cross_fitted")
        got = found[task].query("arm == 't060' and seed == 1")
        pd.testing.assert_frame_equal(got.reset_index(drop=True), want)
        assert (got["fold"] == scores.POOLED).any(), "all folds put together, once a seed"


def test_a_task_or_an_arm_that_is_not_trained_is_named(study):
    with pytest.raises(ParameterError, match="got readmission of t060; correct the name, or add it there"):
        finished_tasks.trained(P, "readmission", "t060", 0)
    odd = Params("14_what_drives", {**P, "explained_arms": ["t06"]})
    with pytest.raises(ParameterError, match="explained_arms: expected .* got 't06'; did you mean t060"):
        drivers.asked(odd)


def test_shares_of_channels_are_means_over_units_then_patients():
    rows = [
        ("A", 0, "gray", 0.2), ("A", 0, "b_line", 0.8),
        ("A", 1, "gray", 0.6), ("A", 1, "b_line", 0.4),
        ("B", 0, "gray", 0.8), ("B", 0, "b_line", 0.2),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["patient_id", "unit", "channel", "share"])
    table = table.assign(task="sf_ratio", arm="t060", fold=1)
    found = explained.mean_shares(table, ["task", "arm", "channel"]).mean().unstack("channel")
    assert found.loc[("sf_ratio", "t060")].to_dict() == pytest.approx({"gray": 0.6, "b_line": 0.4})
