"""Which units of a trained task are explained, from which networks, and what the example shows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from lusnb.arms import GRAYSCALE
from lusnb.cohort import arrays, splits
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment.predictions import Predictions, pack
from lusnb.tasks import batches, explained, masks, shapley, train
from lusnb.tasks.masks import Segmented
from lusnb.tasks.network import TaskNetwork
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

SIZE, SLOTS = 32, 2
NOTEBOOKS = {"sf_change": "05_sf_change", "sf_ratio": "06_sf_ratio", "readmission": "07_readmission"}
every_task = pytest.mark.parametrize("task", NOTEBOOKS)


class OnePatch(nn.Module):
    """One feature: the mean of one channel in the upper left corner of the second frame."""

    def __init__(self, channel: int):
        super().__init__()
        self.channel, self.none = channel, nn.Parameter(torch.zeros(1))

    def forward(self, clips: Tensor) -> Tensor:
        return clips[:, 1, self.channel, :6, :6].mean((1, 2))[:, None] + self.none


def network(task: str, channels: int, encoder: nn.Module | None = None) -> nn.Module:
    """A task's network that was never trained, or one with this encoder and a head that takes its feature."""
    torch.manual_seed(0)
    made = TaskNetwork(len(QUESTIONS[task].classes), channels, SLOTS)
    for module in made.modules():  # statistics as after a training, not those of a start
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.01, 0.1)
    if encoder is not None:
        made.encoder, made.head = encoder, nn.Linear(1, 1 if task == "sf_ratio" else made.head.out_features)
        made.head.weight.data.fill_(1)
    return made


@pytest.fixture(scope="module")
def told(cohort: Cohort) -> Cohort:
    """The phantom, with both outcomes of readmission."""
    return replace(cohort, patients=cohort.patients.assign(readmitted_30d=pd.array([0, 1] * 3, "Int64")))


@pytest.fixture(scope="module")
def segmented(cohort: Cohort) -> Segmented:
    shape = (len(cohort.clips), SLOTS, len(cohort.features), SIZE, SIZE)
    made_from = {"channels": "binary", "task_size": SIZE, "task_frames": SLOTS}
    frames = pack(np.random.default_rng(0).random(shape) < 0.3)
    return masks.whole(cohort, Predictions(np.zeros((0,), np.uint8), frames, pd.DataFrame(), made_from))


def asked_of(params_of: Callable, task: str, **changes: object) -> Params:
    return params_of(NOTEBOOKS[task], **changes)


def result(task: str, told: Cohort, p: Params, encoder: Callable | None = None) -> train.Result:
    """A task's result with networks that nobody trained, one a fold."""
    channels = 1 if p.arm == GRAYSCALE else 1 + len(told.features)
    folds = splits.task_folds(told.patients, p.protocol)
    none = pd.DataFrame()
    networks = {fold: network(task, channels, encoder and encoder()) for fold in folds}
    return train.Result(QUESTIONS[task], networks, none, none, none)


# -- which units


@pytest.mark.parametrize(
    ("sizes", "count", "want"),
    [
        ({"A": 5, "B": 5}, 2, {"A": 1, "B": 1}),
        ({"A": 5, "B": 5}, 3, {"A": 2, "B": 1}),
        ({"A": 1, "B": 5}, 4, {"A": 1, "B": 3}),
        ({"A": 1, "B": 2}, 9, {"A": 1, "B": 2}),
        ({"A": 3, "B": 3, "C": 3, "D": 3}, 2, {"B": 1, "D": 1}),
        ({"A": 3}, 0, {}),
        ({}, 3, {}),
    ],
)
def test_units_are_spread_over_patients(sizes: dict, count: int, want: dict):
    table = pd.DataFrame({"patient_id": [who for who, n in sizes.items() for _ in range(n)]})
    where = explained.spread(table, count)
    assert len(set(where)) == len(where)
    assert table["patient_id"].iloc[where].value_counts().to_dict() == want


def test_units_of_a_patient_are_far_apart():
    table = pd.DataFrame({"patient_id": ["A"] * 12})
    assert explained.spread(table, 3).tolist() == [2, 6, 10]
    assert explained.spread(table, 12).tolist() == list(range(12))


@every_task
@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_only_test_units_are_chosen_and_every_fold_has_its_turn(
    told: Cohort, params_of: Callable, task: str, protocol: str
):
    p = asked_of(params_of, task, protocol=protocol)
    folds = splits.task_folds(told.patients, protocol)
    table = explained.chosen(QUESTIONS[task], told, folds, p, 4)
    assert set(table["fold"]) == set(folds)
    assert len(table) == (3 if (task, protocol) == ("readmission", "paper") else 4)  # there are no more
    assert not table.duplicated(["patient_id", "unit"]).any()
    for row in table.itertuples():
        tested = splits.task_roles(told.patients, row.fold, protocol)["test"]
        assert row.patient_id in tested
        own = batches.units(QUESTIONS[task], told, tested, p).loc[row.unit]
        assert own["patient_id"] == row.patient_id and own["truth"] == row.truth
    assert explained.chosen(QUESTIONS[task], told, [], p, 4).empty


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_pairs_of_two_days_are_chosen_where_there_are_any(told: Cohort, params_of: Callable, protocol: str):
    told = replace(told, clips=told.clips.assign(view=told.clips["view"].iloc[0]))  # all of one zone
    p = asked_of(params_of, "sf_change", protocol=protocol)
    folds = splits.task_folds(told.patients, protocol)
    tested = splits.task_roles(told.patients, folds[0], protocol)["test"]
    known = batches.units(QUESTIONS["sf_change"], told, tested, p)
    assert (known["day_1"] == known["day_2"]).any()  # there are others to choose
    table = explained.chosen(QUESTIONS["sf_change"], told, folds, p, 40)
    assert len(table) and (table["day_1"] != table["day_2"]).all()
    own = table[table["fold"] == folds[0]]
    names = ["patient_id", "clip_1", "clip_2"]
    assert (known.loc[own["unit"], names].to_numpy() == own[names].to_numpy()).all()  # unit is still the row
    pd.testing.assert_frame_equal(table, explained.chosen(QUESTIONS["sf_change"], told, folds, p, 40))
    once = told.clips.assign(day=told.clips["day"].where(told.clips["day"].isna(), told.clips["day"].min()))
    alone = explained.chosen(QUESTIONS["sf_change"], replace(told, clips=once), folds, p, 4)
    assert len(alone) == 4 and (alone["day_1"] == alone["day_2"]).all()


# -- a whole task


@every_task
def test_a_task_is_explained(told: Cohort, segmented: Segmented, params_of: Callable, task: str):
    p = asked_of(params_of, task)
    table, example = explained.of_task(result(task, told, p), told, segmented, p, count=3, orders=1)
    assert list(table) == explained.COLUMNS
    assert table.groupby(["fold", "unit"]).ngroups == 3 and set(table["split"]) == {"test"}
    np.testing.assert_allclose(table.groupby(["fold", "unit"])["share"].sum(), 1)
    tested = batches.units(QUESTIONS[task], told, told.patients_in("test"), p)
    names = ["clip_id"] if task == "sf_ratio" else ["clip_1", "clip_2"]
    for (_, unit, clip), own in table.groupby(["fold", "unit", "clip"]):
        assert set(own["clip_id"]) == {tested.loc[unit, names[clip - 1]]}
        assert set(own["patient_id"]) == {tested.loc[unit, "patient_id"]}
        length = len(arrays.clip(told, own["clip_id"].iloc[0]))
        want = arrays.segment_centres(length, SLOTS)
        assert own.groupby("slot")["frame"].unique().map(list).to_list() == [[k] for k in want]
    assert example.frames.shape == (SLOTS, SIZE, SIZE) and example.frames.dtype == np.uint8
    assert list(example.maps)[0] == "gray" and list(example.maps)[1] in told.features
    assert all(m.shape == (SLOTS, SIZE, SIZE) for m in (*example.maps.values(), example.mask))
    assert set(np.unique(example.mask)) == {0, 1}


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_references_are_training_clips_of_the_fold(
    told: Cohort, segmented: Segmented, params_of: Callable, protocol: str, monkeypatch: pytest.MonkeyPatch
):
    seen, real = [], shapley.attribute

    def spy(
        network: nn.Module, bank: object, asked: object, references: np.ndarray, *rest: object
    ) -> pd.DataFrame:
        seen.append((network, set(bank.clips["patient_id"].iloc[references])))
        return real(network, bank, asked, references, *rest)

    monkeypatch.setattr(shapley, "attribute", spy)
    p = asked_of(params_of, "sf_ratio", protocol=protocol)
    made = result("sf_ratio", told, p, lambda: OnePatch(0))
    explained.of_task(made, told, segmented, p, count=6, orders=1)
    fold_of = {id(net): fold for fold, net in made.networks.items()}
    assert len(seen) == len(made.networks)
    for net, patients in seen:
        assert patients == set(splits.task_roles(told.patients, fold_of[id(net)], protocol)["train"])


def test_an_empty_result_gives_an_empty_table(told: Cohort, segmented: Segmented, params_of: Callable):
    p = asked_of(params_of, "sf_change")
    made = replace(result("sf_change", told, p), networks={})
    table, example = explained.of_task(made, told, segmented, p)
    assert table.empty and list(table) == explained.COLUMNS and example is None


def test_the_same_seed_gives_the_same_explanation(told: Cohort, segmented: Segmented, params_of: Callable):
    p = asked_of(params_of, "sf_ratio")
    one, two = (explained.of_task(result("sf_ratio", told, p), told, segmented, p, 2, 1) for _ in range(2))
    pd.testing.assert_frame_equal(one[0], two[0])
    for a, b in zip(one[1].maps.values(), two[1].maps.values(), strict=True):
        np.testing.assert_array_equal(a, b)


# -- the example


@every_task
def test_the_example_shows_the_only_patch_and_channel_that_count(
    told: Cohort, segmented: Segmented, params_of: Callable, task: str
):
    k = told.features.index("a_line")
    p = asked_of(params_of, task)
    made = result(task, told, p, lambda: OnePatch(1 + k))
    if task != "sf_ratio":
        for net in made.networks.values():
            net.head.weight.data = torch.arange(1.0, 1 + net.head.out_features)[:, None]
    table, example = explained.of_task(made, told, segmented, p, count=2)
    assert set(table.loc[table["share"] > 1e-5, "channel"]) == {"a_line"}
    assert set(table.loc[table["share"] > 1e-5, "slot"]) == {1}
    assert list(example.maps) == ["gray", "a_line"]
    hot = np.abs(example.maps["a_line"]) > 1e-6
    assert hot[1, :6, :6].all() and not hot[0].any() and not hot[1, 7:].any() and not hot[1, :, 7:].any()
    assert np.abs(example.maps["gray"]).max() < 1e-6
    assert ("of its pair" in example.told) == (task != "sf_ratio")
    assert example.told.startswith("clip ") and ", patient " in example.told
    named = {
        "sf_change": {"logit of decrease", "logit of same", "logit of increase"},
        "sf_ratio": {"predicted S/F / maximum"},
        "readmission": {"log odds of readmission"},
    }
    assert example.told.split("; output: ")[1] in named[task]


def test_every_output_has_a_name_in_words():
    """Those that explain gives: of a value, of two classes, of each of three."""
    given = [shapley._name(count, k) for count, k in ((1, 0), (2, 0), (3, 0), (3, 1), (3, 2))]
    outputs = {}
    for task in ("sf_ratio", "readmission", "sf_change"):
        outputs |= QUESTIONS[task].outputs()
    assert [outputs[name] for name in given] == [
        *("predicted S/F / maximum", "log odds of readmission"),
        *("logit of decrease", "logit of same", "logit of increase"),
    ]


def test_the_example_of_grayscale_alone_has_one_map(told: Cohort, segmented: Segmented, params_of: Callable):
    p = asked_of(params_of, "sf_ratio", arm=GRAYSCALE)
    table, example = explained.of_task(result("sf_ratio", told, p), told, segmented, p, 2, 1)
    assert table["channel"].unique().tolist() == ["gray"]
    assert list(example.maps) == ["gray"] and not example.mask.any()


def test_patches_cut_each_frame_of_each_channel_alike():
    found = explained.patches(2, 3, 10)
    assert found.shape == (2, 3, 10, 10)
    assert found.unique().tolist() == list(range(2 * 3 * explained.PATCHES**2))
    first = found[0, 0]
    assert first[0, :4].tolist() == [0, 0, 1, 1] and first[:4, 0].tolist() == [0, 0, 5, 5]
    assert (found[1, 2] == first + 5 * explained.PATCHES**2).all()


def test_the_typical_unit_is_the_one_nearest_to_the_mean():
    shares = {0: (0.9, 0.1, 0.0), 1: (0.5, 0.4, 0.1), 2: (0.1, 0.2, 0.7)}  # mean 0.5, 0.23, 0.27
    rows = [
        (1, unit, clip, channel, share * (0.25 if clip == 1 else 0.75))
        for unit, parts in shares.items()
        for clip in (1, 2)
        for channel, share in zip(("gray", "a", "b"), parts, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["fold", "unit", "clip", "channel", "share"])
    row, channel = explained.typical(table)
    assert (row["unit"], row["clip"], channel) == (1, 2, "b")
    assert explained.typical(table[table["channel"] == "gray"])[1] is None
