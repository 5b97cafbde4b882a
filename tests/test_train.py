"""The three tasks: who trains, who is predicted, from which weights, and what is left on disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lusnb import calibration
from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.params import PAIRINGS, Params
from lusnb.segment import fitting
from lusnb.segment.predictions import Predictions, pack
from lusnb.tasks import batches, clipbank, encoder, masks
from lusnb.tasks import network as tasks_network
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks import train as tasks_train
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.masks import Segmented
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

SIZE, FRAMES = 32, 2
NOTEBOOKS = {"sf_change": "05_sf_change", "sf_ratio": "06_sf_ratio", "readmission": "07_readmission"}
OWN_COLUMNS = {
    "sf_change": {"clip_1", "clip_2", "day_1", "day_2", "truth", "logit_0", "logit_1", "logit_2"},
    "sf_ratio": {"clip_id", "day", "view", "truth", "prediction"},
    "readmission": {"view", "clip_1", "clip_2", "truth", "logit_0", "logit_1"},
}
TRIVIAL = {"sf_change": "majority", "sf_ratio": "mean", "readmission": "majority"}
every_task = pytest.mark.parametrize("task", NOTEBOOKS)


@pytest.fixture(scope="module")
def outcome_cohort(cohort: Cohort) -> Cohort:
    """The phantom, with both outcomes of readmission and views of two days in every role."""
    patients = cohort.patients.assign(readmitted_30d=pd.array([0, 1] * 3, "Int64"))
    units = batches.units(
        QUESTIONS["readmission"],
        cohort,
        list(patients["patient_id"]),
        Params("", {"first_day": 0, "second_day": 1}),
    )
    assert set(units["patient_id"]) == set(patients["patient_id"])
    return replace(cohort, patients=patients)


@pytest.fixture(scope="module")
def segmented(cohort: Cohort) -> Segmented:
    shape = (len(cohort.clips), FRAMES, len(cohort.features), SIZE, SIZE)
    frames = pack(np.random.default_rng(0).random(shape) < 0.3)
    made_from = {"channels": "binary", "task_size": SIZE, "task_frames": FRAMES}
    return masks.whole(cohort, Predictions(np.zeros((0,), np.uint8), frames, pd.DataFrame(), made_from))


@pytest.fixture(scope="module")
def bank(outcome_cohort: Cohort, segmented: Segmented) -> ClipBank:
    return tasks_train.open_bank(outcome_cohort, segmented).of_fold(segmented, 1)


@pytest.fixture(scope="module")
def p_of(params_of: Callable) -> Callable[..., Params]:
    return lambda task, **changes: params_of(NOTEBOOKS[task], **{"epochs": 1, "batch": 8, **changes})


@pytest.fixture(scope="module")
def results(outcome_cohort: Cohort, segmented: Segmented, p_of: Callable) -> dict[str, tasks_train.Result]:
    """Every task, trained for one epoch on both folds."""
    return {
        task: tasks_train.run(QUESTIONS[task], outcome_cohort, segmented, p_of(task)) for task in NOTEBOOKS
    }


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Training that only notes what it was given: (module, training batches, validation batches)."""
    seen = []

    def fit(module: torch.nn.Module, train: object, validation: object, **_: object) -> pd.DataFrame:
        seen.append((module, list(train), list(validation) if validation else []))
        return pd.DataFrame({"epoch": [0], "best": [True]})

    monkeypatch.setattr(fitting, "fit", fit)
    return seen


def by_role(cohort: Cohort, fold: int) -> dict[str, set[str]]:
    table = cohort.patients.set_index("patient_id")
    test = set(table.index[table["split"] == "test"])
    validation = set(table.index[(table["fold"] == fold).fillna(False)])
    return {"test": test, "validation": validation, "train": set(table.index) - test - validation}


# -- who trains, who is predicted


@every_task
@pytest.mark.parametrize("fold", [1, 2])
def test_no_patient_of_the_fold_or_the_test_split_is_trained_on(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, untrained: list, task: str, fold: int
):
    tasks_train.train_fold(QUESTIONS[task], outcome_cohort, bank, fold, p_of(task))
    ((module, train, validation),) = untrained
    owner = bank.clips["patient_id"].to_numpy()
    roles = by_role(outcome_cohort, fold)
    assert {*owner[module.learnt]} == roles["train"]
    assert {*owner[np.concatenate([b.clips for b in train])]} == roles["train"]
    assert {*owner[np.concatenate([b.clips for b in validation])]} == roles["validation"]
    if validation[0].pairs is not None:
        pairs = owner[validation[0].clips[validation[0].pairs.numpy()]]
        assert (pairs[:, 0] == pairs[:, 1]).all()  # asked within a patient


def test_only_the_change_task_trains_on_pairs_across_patients(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, untrained: list
):
    owner = bank.clips["patient_id"].to_numpy()
    across = {}
    for task in ("sf_change", "readmission"):
        tasks_train.train_fold(QUESTIONS[task], outcome_cohort, bank, 1, p_of(task))
        pairs = np.concatenate([owner[b.clips[b.pairs.numpy()]] for b in untrained.pop()[1]])
        across[task] = (pairs[:, 0] != pairs[:, 1]).any()
    assert across == {"sf_change": True, "readmission": False}


@every_task
def test_predictions_are_of_the_fold_and_of_the_test_patients_alone(
    outcome_cohort: Cohort, results: dict, task: str
):
    table = results[task].predictions
    assert set(table["fold"]) == {1, 2}
    for (fold, split), part in table.groupby(["fold", "split"]):
        assert set(part["patient_id"]) == by_role(outcome_cohort, fold)[split]
    tests = table[(table["split"] == "test") & (table["model"] == "tsm")]
    keys = [c for c in ("view", "clip_id", "clip_1", "clip_2") if c in table]
    one, two = (tests[tests["fold"] == k][keys].to_numpy().tolist() for k in (1, 2))
    assert one == two  # the same test units in every fold


@every_task
def test_predictions_have_the_documented_columns_and_one_row_a_unit_and_model(
    outcome_cohort: Cohort, p_of: Callable, results: dict, task: str
):
    table = results[task].predictions
    assert set(table) >= {"arm", "model", "seed", "fold", "split", "patient_id"} | OWN_COLUMNS[task]
    more = set() if task == "sf_ratio" else {"logistic"}
    assert set(table["model"]) == {"tsm", TRIVIAL[task], "ridge"} | more
    assert (set(table["arm"]), set(table["seed"])) == ({"t060"}, {0})
    assert table[list(OWN_COLUMNS[task])].notna().all(axis=None)
    test = batches.units(QUESTIONS[task], outcome_cohort, outcome_cohort.patients_in("test"), p_of(task))
    for _, part in table[table["split"] == "test"].groupby(["fold", "model"]):
        assert part["truth"].to_list() == test["truth"].to_list()
    assert set(results[task].history["fold"]) == {1, 2}


@every_task
def test_each_prediction_is_that_of_its_own_clips(
    outcome_cohort: Cohort, bank: ClipBank, results: dict, task: str
):
    table = results[task].predictions
    rows = table[(table["model"] == "tsm") & (table["fold"] == 2)].iloc[::3]
    network = results[task].networks[2].cpu().eval()
    for row in rows.to_dict("records"):
        clips = [row["clip_id"]] if task == "sf_ratio" else [row["clip_1"], row["clip_2"]]
        with torch.inference_mode():
            features = network.encoder(bank.inputs(bank.position.loc[clips].to_numpy()))
            want = network.head(features if task == "sf_ratio" else features[1:] - features[:1])[0].numpy()
        got = [row[c] for c in ("prediction", "logit_0", "logit_1", "logit_2") if c in row]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_baselines_know_the_training_patients_alone(outcome_cohort: Cohort, results: dict):
    table, clips = results["sf_ratio"].predictions, outcome_cohort.clips
    for fold in (1, 2):
        train = clips["patient_id"].isin(by_role(outcome_cohort, fold)["train"])
        mean = table[(table["fold"] == fold) & (table["model"] == "mean")]["prediction"]
        days = clips[train].drop_duplicates(["patient_id", "day"])
        np.testing.assert_allclose(mean, days["sf_ratio"].mean())
    table = results["readmission"].predictions
    units = table[(table["model"] == "tsm") & (table["split"] == "validation")]
    for fold, other in ((1, 2), (2, 1)):  # with two folds, one trains on the other
        count = np.bincount(units.loc[units["fold"] == other, "truth"], minlength=2) + 1
        rows = table[(table["fold"] == fold) & (table["model"] == "majority")]
        want = np.broadcast_to(np.log(count / count.sum()), (len(rows), 2))
        np.testing.assert_allclose(rows[["logit_0", "logit_1"]], want)


def test_a_task_that_nobody_of_a_fold_and_the_test_split_can_be_asked_gives_no_rows(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable
):
    members = by_role(outcome_cohort, 1)["train"]
    known = outcome_cohort.patients["patient_id"].isin(members)
    alone = outcome_cohort.patients.assign(
        readmitted_30d=outcome_cohort.patients["readmitted_30d"].where(known)
    )
    network = tasks_network.TaskNetwork(2, bank.channels, FRAMES)
    table = tasks_train.predict_fold(
        QUESTIONS["readmission"],
        replace(outcome_cohort, patients=alone),
        bank,
        1,
        p_of("readmission"),
        network,
    )
    assert len(table) == 0


def test_a_fold_that_leaves_nobody_to_learn_from_says_so(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable
):
    members = by_role(outcome_cohort, 1)["train"]
    known = ~outcome_cohort.patients["patient_id"].isin(members)
    outcome = outcome_cohort.patients["readmitted_30d"].where(known)
    gone = replace(outcome_cohort, patients=outcome_cohort.patients.assign(readmitted_30d=outcome))
    with pytest.raises(
        ValueError, match="readmission, fold 1: expected units of 2 training patients, found none"
    ):
        tasks_train.train_fold(QUESTIONS["readmission"], gone, bank, 1, p_of("readmission"))


# -- networks


def test_batch_norm_is_refreshed_from_the_training_clips(bank: ClipBank, p_of: Callable):
    network, learnt = (
        tasks_network.TaskNetwork(0, 7, FRAMES),
        np.array([1, 4, 9, 11]),
    )
    norm = network.encoder.body[0][1]
    inputs = bank.inputs(learnt).flatten(0, 1)
    stem = network.encoder.body[0][0](inputs).detach()
    tasks_network.ClipTask(
        network, bank, learnt, p_of("sf_ratio", refresh_norm=False), 1e-3
    ).on_validation_epoch_start()
    assert not norm.running_mean.any()
    tasks_network.ClipTask(
        network, bank, learnt, p_of("sf_ratio", refresh_norm=True), 1e-3
    ).on_validation_epoch_start()
    torch.testing.assert_close(norm.running_mean, stem.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, stem.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_heads_are_as_deep_as_the_task_asks():
    def linear(task: str) -> list[tuple[int, int]]:
        layers = [
            m
            for m in tasks_network.TaskNetwork(len(QUESTIONS[task].classes), 1, FRAMES).head.modules()
            if isinstance(m, torch.nn.Linear)
        ]
        return [(m.in_features, m.out_features) for m in layers]

    assert linear("sf_change") == [(1280, 3)]
    assert linear("sf_ratio") == [(1280, 256), (256, 64), (64, 1)]
    assert linear("readmission") == [(1280, 2)]


def test_losses_by_hand():
    logits = torch.tensor([[0.0, np.log(3.0), 0.0], [0.0, 0.0, 0.0]])
    want = (np.log(5 / 3) + np.log(3)) / 2
    assert tasks_network.task_loss(logits, torch.tensor([1, 0])).item() == pytest.approx(want, rel=1e-6)
    values = torch.tensor([[0.5], [1.0]])
    assert tasks_network.task_loss(values, torch.tensor([0.2, 1.0])).item() == pytest.approx(0.045, rel=1e-6)


def test_readmission_starts_from_the_change_task_s_encoder_of_its_own_fold(
    outcome_cohort: Cohort,
    segmented: Segmented,
    p_of: Callable,
    results: dict,
    untrained: list,
    tmp_path: Path,
):
    tasks_train.store(tmp_path, results["sf_change"])
    tasks_train.run(QUESTIONS["readmission"], outcome_cohort, segmented, p_of("readmission"), start=tmp_path)
    started = [module.network.state_dict() for module, *_ in untrained]
    saved = [load_file(tmp_path / f"model_fold{fold}.safetensors") for fold in (1, 2)]
    names = [k for k in saved[0] if k.startswith("encoder.")]
    assert len(names) > 100 and any(not torch.equal(saved[0][k], saved[1][k]) for k in names)
    for mine, theirs in zip(started, saved, strict=True):
        assert all(torch.equal(mine[k], theirs[k]) for k in names)
        assert mine["head.weight"].shape == (2, 1280)


def test_without_a_start_the_encoder_is_its_own(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, untrained: list
):
    p = p_of("readmission")
    given = {k: v + 1 for k, v in tasks_network.TaskNetwork(3, 7, FRAMES).state_dict().items()}
    plain, _ = tasks_train.train_fold(QUESTIONS["readmission"], outcome_cohort, bank, 1, p)
    started, _ = tasks_train.train_fold(QUESTIONS["readmission"], outcome_cohort, bank, 1, p, given)
    weights = [n.encoder.state_dict()["body.0.0.weight"] for n in (plain, started)]
    assert not torch.equal(*weights)
    torch.testing.assert_close(started.head.state_dict(), plain.head.state_dict())


def test_the_value_head_may_start_at_the_training_mean(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, untrained: list
):
    train = outcome_cohort.clips["patient_id"].isin(by_role(outcome_cohort, 1)["train"])
    mean = outcome_cohort.clips.loc[train, "sf_ratio"].mean()
    at_mean, _ = tasks_train.train_fold(QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p_of("sf_ratio"))
    plain, _ = tasks_train.train_fold(
        QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p_of("sf_ratio", start_at_mean=False)
    )
    assert at_mean.head[-1].bias.item() == pytest.approx(mean, rel=1e-6)
    assert plain.head[-1].bias.item() != pytest.approx(mean, rel=1e-2)


def test_grayscale_has_one_channel_and_no_ridge(
    outcome_cohort: Cohort, segmented: Segmented, p_of: Callable, untrained: list
):
    found = tasks_train.run(
        QUESTIONS["sf_ratio"], outcome_cohort, segmented, p_of("sf_ratio", arm="grayscale")
    )
    assert found.networks[1].encoder.body[0][0].in_channels == 1
    assert set(found.predictions["model"]) == {"tsm", "mean"}
    assert set(found.predictions["arm"]) == {"grayscale"}


@pytest.mark.parametrize("task", ["sf_change", "sf_ratio"])
def test_the_same_seed_gives_the_same_predictions(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, results: dict, task: str
):
    def predictions(seed: int) -> pd.DataFrame:
        p = p_of(task, seed=seed)
        network, _ = tasks_train.train_fold(QUESTIONS[task], outcome_cohort, bank, 1, p)
        return tasks_train.predict_fold(QUESTIONS[task], outcome_cohort, bank, 1, p, network)

    first = results[task].predictions
    first = first[first["fold"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(predictions(0), first, check_exact=True)
    value = "prediction" if task == "sf_ratio" else "logit_0"
    assert not np.allclose(predictions(1)[value], first[value])


# -- what is left


def test_a_cohort_without_exams_gives_empty_tables_with_headers(
    cohort: Cohort, segmented: Segmented, p_of: Callable, tmp_path: Path
):
    blank = replace(cohort, clips=cohort.clips.assign(sf_ratio=np.nan), exams=cohort.exams[:0])
    for task in ("sf_change", "sf_ratio"):
        result = tasks_train.run(QUESTIONS[task], blank, segmented, p_of(task))
        assert result.networks == {}
        tasks_train.store(tmp_path / task, result)
        names = sorted(path.name for path in (tmp_path / task).iterdir())
        assert names == ["history.csv", "patients.csv", "predictions.csv"]
        tables = {n: pd.read_csv(tmp_path / task / n) for n in names}
        assert all(len(t) == 0 for t in tables.values())
        assert set(tables["predictions.csv"]) >= {*tasks_scores.RUN, "patient_id", "truth"}
        assert {"epoch", "fold"} <= set(tables["history.csv"])


def test_a_cohort_without_outcomes_gives_no_readmission(cohort: Cohort, segmented: Segmented, p_of: Callable):
    patients = cohort.patients.assign(readmitted_30d=pd.array([pd.NA] * 6, "Int64"))
    found = tasks_train.run(
        QUESTIONS["readmission"], replace(cohort, patients=patients), segmented, p_of("readmission")
    )
    assert (len(found.predictions), found.networks) == (0, {})


@every_task
def test_what_a_task_leaves_is_what_it_found(
    outcome_cohort: Cohort, segmented: Segmented, p_of: Callable, results: dict, task: str, tmp_path: Path
):
    """To the last digit: its scores are computed from what is stored, and its networks explained."""
    tasks_train.store(tmp_path, results[task])
    found = tasks_train.read(QUESTIONS[task], tmp_path, outcome_cohort, segmented, p_of(task))
    for name in ("predictions", "history", "patients"):
        want = getattr(results[task], name).replace("", np.nan)
        pd.testing.assert_frame_equal(getattr(found, name), want, check_dtype=False, check_exact=True)
    again = tasks_scores.score(TASKS[task], tasks_scores.tempered(found.predictions))
    want = tasks_scores.score(TASKS[task], tasks_scores.tempered(results[task].predictions))
    pd.testing.assert_frame_equal(again, want, check_exact=True)
    assert len(want) > 0 and (want["patient_id"] == "").any()
    assert found.networks.keys() == results[task].networks.keys()
    for fold, network in results[task].networks.items():
        kept = found.networks[fold].state_dict()
        assert all(torch.equal(kept[k], v.cpu()) for k, v in network.state_dict().items())


def test_stored_frames_are_those_that_were_segmented(cohort: Cohort, segmented: Segmented):
    bank = clipbank.load(cohort, SIZE, FRAMES)
    np.testing.assert_array_equal(bank.frames, arrays.task_frames(cohort, SIZE, FRAMES))


# -- what was planned is what runs


class Glance(torch.nn.Module):
    """An encoder of almost nothing: the mean of each channel, so that hundreds of trainings are quick."""

    def __init__(self, channels: int, *_: object):
        super().__init__()
        self.line = torch.nn.Linear(channels, 1280)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.line(clips.mean((1, 3, 4)))  # (N, T, C, H, W) -> (N, C)


def of_so_many(task: str, bank: ClipBank, cohort: Cohort, p: Params, n: int) -> batches.Lesson:
    """A lesson of n clips of one zone, of n clips, or of n views of two days."""
    everybody = list(cohort.patients["patient_id"])
    if task != "sf_change":
        return batches.unit_lesson(bank, batches.units(QUESTIONS[task], cohort, everybody, p)[:n], p.batch)
    zone = cohort.clips["view"].map(cohort.views)
    own = cohort.clips[zone == zone.value_counts().idxmax()]
    assert len(own) >= n
    return batches.lesson(QUESTIONS[task], bank, replace(cohort, clips=own[:n]), everybody, p)


PLANS = [("sf_ratio", ""), ("readmission", ""), *(("sf_change", pairing) for pairing in PAIRINGS)]


@pytest.mark.parametrize(("task", "pairing"), PLANS)
def test_whatever_the_number_of_units_every_epoch_is_learnt_validated_and_scheduled(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, monkeypatch: pytest.MonkeyPatch, task, pairing
):
    size, epochs = 2, 2
    more = {"pairing": pairing, "batch_pairs": size} if pairing else {}
    p = p_of(task, batch=size, epochs=epochs, restart_epochs=epochs, learning_rates=[0.01], **more)
    monkeypatch.setattr(encoder, "ClipEncoder", Glance)
    for n in range(2 if pairing else 1, 3 * size + 2):
        lesson = of_so_many(task, bank, outcome_cohort, p, n)
        assert pairing or lesson.possible == n
        monkeypatch.setattr(tasks_train, "_lesson", lambda *_, lesson=lesson: lesson)
        _, history = tasks_train.train_fold(QUESTIONS[task], outcome_cohort, bank, 1, p)
        assert history["validation_loss"].notna().to_list() == [True] * epochs
        np.testing.assert_allclose(history["lr"], [0.01, 0.005])  # a cosine from its start to its middle
        assert set(history["steps"]) == {len(batches.Epochs(lesson, 0))}
        if pairing in ("every", "pair"):
            assert (history["pairs"] == history["possible_pairs"]).all()
        elif pairing:
            assert (history["clips"] == n).all() and (history["possible_pairs"] == n * (n - 1) / 2).all()
        else:
            assert (history["clips"] == (n if task == "sf_ratio" else 2 * n)).all()
            assert "pairs" not in history


def test_a_training_that_loses_a_batch_is_not_passed_over(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, monkeypatch: pytest.MonkeyPatch
):
    """As where two batches are made one behind a length that still counts both."""
    lesson = of_so_many("sf_ratio", bank, outcome_cohort, p_of("sf_ratio", batch=2), 5)
    dealt = iter([2, 1])
    short = replace(lesson, deal=lambda rng: lesson.deal(rng)[: next(dealt)])
    monkeypatch.setattr(encoder, "ClipEncoder", Glance)
    monkeypatch.setattr(tasks_train, "_lesson", lambda *_: short)
    with pytest.raises(RuntimeError, match="training: expected 1 validations in 1 epochs, got 0"):
        tasks_train.train_fold(QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p_of("sf_ratio", batch=2))


def test_clips_that_make_no_pair_teach_nothing_and_say_so(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable
):
    alone = outcome_cohort.clips.drop_duplicates("view")
    alone = alone[~alone["view"].map(outcome_cohort.views).duplicated()]
    with pytest.raises(ValueError, match="sf_change, fold 1: expected units of 2 training patients, found"):
        tasks_train.train_fold(
            QUESTIONS["sf_change"], replace(outcome_cohort, clips=alone), bank, 1, p_of("sf_change")
        )


def test_what_an_epoch_meets_is_said_and_kept(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(encoder, "ClipEncoder", Glance)
    p = p_of("sf_change", pairing="batch", batch=4, epochs=3, learning_rates=[0.01, 0.001])
    lesson = of_so_many("sf_change", bank, outcome_cohort, p, 8)
    monkeypatch.setattr(tasks_train, "_lesson", lambda *_: lesson)
    _, history = tasks_train.train_fold(QUESTIONS["sf_change"], outcome_cohort, bank, 1, p)
    assert history[["steps", "clips", "pairs", "possible_pairs"]].to_numpy().tolist() == [[2, 8, 12, 28]] * 6
    assert tasks_train.met(history) == (
        "fold 1: 3 epochs, 6 steps; an epoch meets 12 of 28 pairs (43 %), takes 2 steps and encodes 8 clips"
    )
    assert tasks_train.met(history.drop(columns=["pairs", "possible_pairs"])) == (
        "fold 1: 3 epochs, 6 steps; an epoch takes 2 steps and encodes 8 clips"
    )
    assert tasks_train.met(pd.DataFrame(columns=["epoch", "fold"])) == ""


# -- learning rates, class weights, temperatures


def test_the_learning_rate_that_validates_best_is_kept_and_recorded(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable
):
    p = p_of("sf_ratio", learning_rates=[1e-9, 0.001, 1.0])
    network, history = tasks_train.train_fold(QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p)
    kept = history[history["best"]].set_index("learning_rate")
    assert list(kept.index) == [1e-9, 0.001, 1.0] and len(history) == 3 * p.epochs
    best = kept["validation_loss"].idxmin()
    assert list(kept.index[kept["chosen"]]) == [best]
    alone, _ = tasks_train.train_fold(
        QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p_of("sf_ratio", learning_rates=[best])
    )
    for mine, theirs in zip(network.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("rates", [[], [0.0], ["fast"], [0.1, -1], [0.1, 0.1], [True]])
def test_learning_rates_that_are_none_are_refused(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, rates: list
):
    with pytest.raises(ValueError, match="learning_rates: expected different numbers above 0, as"):
        tasks_train.train_fold(
            QUESTIONS["sf_ratio"], outcome_cohort, bank, 1, p_of("sf_ratio", learning_rates=rates)
        )


def test_balanced_class_weights_by_hand():
    truth = np.array([0, 0, 0, 2])  # 3 and 1 of two classes that are there
    assert tasks_network.class_weights("balanced", truth, 3).tolist() == pytest.approx([2 / 3, 1.0, 2.0])
    assert tasks_network.class_weights("none", truth, 3) is None
    with pytest.raises(ValueError, match=r"class_weights: expected one of .*balanced.*, got 'even'"):
        tasks_network.class_weights("even", truth, 3)


def test_a_weighted_loss_by_hand():
    logits, weights = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]]).float(), torch.tensor([1.0, 3.0])
    want = (3 * np.log(2) + np.log(4 / 3)) / 4  # torch divides by the sum of the weights
    assert tasks_network.task_loss(logits, torch.tensor([1, 0]), weights).item() == pytest.approx(
        want, rel=1e-6
    )


def test_class_weights_of_the_change_task_count_every_training_pair_both_ways(
    outcome_cohort: Cohort, bank: ClipBank, p_of: Callable, untrained: list
):
    p = p_of("sf_change", class_weights="balanced", pairing="pair")
    tasks_train.train_fold(QUESTIONS["sf_change"], outcome_cohort, bank, 1, p)
    ((module, train, _),) = untrained
    drawn = np.concatenate([b.target.numpy() for b in train])
    both = np.concatenate([drawn, 2 - drawn])  # the other order: decrease for increase
    torch.testing.assert_close(module.weights, tasks_network.class_weights("balanced", both, 3))


@pytest.mark.parametrize("task", ["sf_change", "readmission"])
def test_temperatures_are_fitted_on_the_validation_units_of_their_fold(results: dict, task: str):
    table = tasks_scores.tempered(results[task].predictions)
    for (_, model), part in table.groupby(["fold", "model"]):
        (temperature,) = part["temperature"].unique()
        own = part[part["split"] == "validation"]
        logits = own[[c for c in own if c.startswith("logit_")]].to_numpy()
        want = calibration.fit_temperature(logits, own["truth"].to_numpy()) if model == "tsm" else 1.0
        assert temperature == pytest.approx(want)


# -- who was what


def test_who_was_what_is_left_beside_the_predictions(outcome_cohort: Cohort, results: dict):
    table = results["sf_ratio"].patients
    assert set(table["segmented_by"]) == {""}  # predictions without a run
    for fold, part in table.groupby("fold"):
        for role, ids in by_role(outcome_cohort, fold).items():
            assert set(part.loc[part["role"] == role, "patient_id"]) == ids


def test_cross_fitted_everybody_is_tested_once(outcome_cohort: Cohort, segmented: Segmented, p_of: Callable):
    """And scored once over all folds: fold 0."""
    found = tasks_train.run(
        QUESTIONS["sf_ratio"], outcome_cohort, segmented, p_of("sf_ratio", protocol="cross_fitted")
    )
    tested = found.predictions[(found.predictions["split"] == "test") & (found.predictions["model"] == "tsm")]
    assert sorted(tested["clip_id"]) == sorted(outcome_cohort.clips["clip_id"])
    outer = outcome_cohort.patients.set_index("patient_id")["outer_fold"]
    assert (tested["fold"].to_numpy() == tested["patient_id"].map(outer).to_numpy()).all()
    scores = tasks_scores.score(TASKS["sf_ratio"], found.predictions, "cross_fitted")
    pooled = scores[(scores["fold"] == 0) & (scores["model"] == "tsm") & (scores["metric"] == "patient_days")]
    days = outcome_cohort.clips[["patient_id", "day"]].drop_duplicates()
    assert pooled.loc[pooled["patient_id"] == "", "value"].tolist() == [len(days)]


def test_readmission_is_left_out_where_the_change_task_was(
    outcome_cohort: Cohort, segmented: Segmented, p_of: Callable, tmp_path: Path, capsys
):
    found = tasks_train.run(
        QUESTIONS["readmission"], outcome_cohort, segmented, p_of("readmission"), start=tmp_path
    )
    assert found.networks == {} and found.predictions.empty
    assert "sf_change, from whose networks it starts, was not trained" in capsys.readouterr().out
