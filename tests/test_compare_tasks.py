"""The tasks patient by patient: one estimand from predictions to p, and a constant that never beats one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ttest_1samp
from statsmodels.stats.multitest import multipletests

from lusnb import stats
from lusnb.compare import tasks
from lusnb.report import task_tables
from lusnb.tasks import baselines, reference
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS
from tests.guesses import errors, every, patient_scores, predictions

ARMS = pd.DataFrame(
    {
        "threshold": [0.0, 0.5, 0.5, 0.6],
        "published": [True, False, True, True],
        "supervision": ["threshold", "soft", "threshold", "threshold"],
    },
    index=["t000", "soft", "t050", "t060"],
).rename_axis("arm")
TWO = ARMS.loc[["t000", "t060"]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- one estimand


def means_of(task: str, made: pd.DataFrame) -> pd.DataFrame:
    """Plainly from predictions, of TSM: what a patient has of the leading score, a column an arm."""
    made = made[(made["split"] == "test") & (made["model"] == "tsm")]
    rows = []
    for (arm, fold, patient), own in made.groupby(["arm", "fold", "patient_id"]):
        if task == "sf_change":
            own = own[own["day_1"] != own["day_2"]]
            said = own[["logit_0", "logit_1", "logit_2"]].to_numpy().argmax(1) == 2
            value = np.mean(said == (own["truth"].to_numpy() == 2))
        elif task == "sf_ratio":
            days = own.groupby("day")[["prediction", "truth"]].mean()
            value = np.mean((days["prediction"] - days["truth"]) ** 2)
        else:
            for_one = (own["logit_1"] > own["logit_0"]).sum()  # three views: no tie
            value = float((for_one > len(own) / 2) == (own["truth"].iloc[0] == 1))
        rows.append((arm, fold, patient, value))
    table = pd.DataFrame(rows, columns=["arm", "fold", "patient_id", "value"])
    return table.groupby(["patient_id", "arm"])["value"].mean().unstack()


def uneven(task: str, protocol: str) -> pd.DataFrame:
    """Predictions of patients who were asked differently often, so that pooling is another number."""
    made = predictions(task, protocol, rng(3), arms=("t000", "t060"), patients=24, folds=3)
    if task == "readmission":  # nor is every patient alike, which would tell nothing
        wrong = made["patient_id"].isin(["P16", "P19"]) & (made["fold"] == 1)
        return made.assign(truth=made["truth"].where(~wrong, 1 - made["truth"]))
    day = "day" if task == "sf_ratio" else "day_2"
    return made[(made[day] < 2) | (made["patient_id"].str[1:].astype(int) % 3 > 0)]


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
@pytest.mark.parametrize("task", TASKS)
def test_table_interval_and_difference_are_of_one_quantity(task: str, protocol: str):
    """Each recomputed from predictions alone."""
    made = uneven(task, protocol)
    scores, lead = tasks_scores.score(TASKS[task], made, protocol), TASKS[task].leading
    values = means_of(task, made)
    through = np.sqrt if task == "sf_ratio" else lambda x: x
    table = task_tables.main(task, scores, TWO, rng()).query("model == 'tsm'").set_index("arm")
    assert table[lead].to_dict() == pytest.approx(through(values.mean()).to_dict())
    generator = rng()
    for arm in TWO.index:
        limits = through(stats.interval(values[arm].to_numpy(), generator))
        assert table.loc[arm, [f"{lead}_low", f"{lead}_high"]].to_list() == pytest.approx(tuple(limits))
        assert table[f"{lead}_low"][arm] < table[lead][arm] < table[f"{lead}_high"][arm]
    nothing = dict.fromkeys(TASKS, scores[:0])
    (row,) = tasks.differences(nothing | {task: scores}, TWO, rng()).itertuples()
    wanted = (values["t060"] - values["t000"]) * (-1 if task == "sf_ratio" else 1)
    assert row.difference == pytest.approx(wanted.mean())
    assert row.p == pytest.approx(stats.sign_flip(wanted.to_numpy().round(12), rng()), abs=0.02)
    between = [
        sign * table[lead][arm] ** (2 if task == "sf_ratio" else 1)
        for arm, sign in (("t060", 1), ("t000", -1))
    ]
    assert row.difference == pytest.approx(sum(between) * (-1 if task == "sf_ratio" else 1))
    shown = tasks.patients(nothing | {task: scores}).set_index("patient_id")
    assert through(shown["t060"].mean()) == pytest.approx(table[lead]["t060"])
    figure = tasks.means(scores, lead).set_index(["model", "arm"])["value"]
    assert figure["tsm", "t060"] == pytest.approx(table[lead]["t060"])
    if task != "readmission":
        assert abs(table[f"{lead}_pooled"] - table[lead]).min() > 1e-5


def test_the_brier_score_of_the_second_table_is_what_baselines_are_tested_in():
    scores = tasks_scores.score(TASKS["sf_change"], uneven("sf_change", "paper"), "paper")
    table = task_tables.second("sf_change", scores, TWO).set_index(["model", "arm"])["brier_cross_day"]
    nothing = dict.fromkeys(TASKS, scores[:0])
    tested = tasks.against_baselines(nothing | {"sf_change": scores}, list(TWO.index), rng())
    tested = tested[tested["reference"] == "majority"].set_index(["model", "arm"])["difference"]
    assert len(tested) == 6
    for key, difference in tested.items():
        assert table["majority", ""] - table[key] == pytest.approx(difference)


# -- a constant knows nothing


def drawn(task: str, seed: int, patients: int = 24) -> pd.DataFrame:
    """Units of patients whose outcome is drawn at random, each seen on two or three days from two views."""
    draw, rows = rng([seed, 7]), []
    for k in range(patients):
        sf = draw.normal(0.6, 0.15, draw.integers(2, 4)).round(2)
        for day, value in enumerate(sf):
            rows += [(f"P{k:02}", f"P{k:02}_{day}_{view}", day, view, value) for view in ("R1", "L1")]
    clips = pd.DataFrame(rows, columns=["patient_id", "clip_id", "day", "view", "truth"])
    if task == "sf_ratio":
        return clips
    if task == "readmission":
        outcome = dict(zip(sorted(set(clips["patient_id"])), draw.random(patients) < 0.4, strict=True))
        units = clips[clips["day"] == 0].assign(truth=lambda t: t["patient_id"].map(outcome).astype(int))
        return units.rename(columns={"clip_id": "clip_1"}).drop(columns="day")
    pairs = clips.merge(clips, on=["patient_id", "view"], suffixes=("_1", "_2")).query("day_1 < day_2")
    truth = np.sign(pairs["truth_2"] - pairs["truth_1"]).astype(int) + 1
    return (
        pairs.assign(truth=truth)[["patient_id", "clip_id_1", "clip_id_2", "day_1", "day_2", "truth"]]
        .rename(columns={"clip_id_1": "clip_1", "clip_id_2": "clip_2"})
        .reset_index(drop=True)
    )


def of_a_constant(task: str, protocol: str, seed: int) -> pd.DataFrame:
    """Predictions of a study in which TSM is a constant: what all who are not tested have on average.

    paper: eight test patients, and a fold of the others validates; cross_fitted: a fold is tested, the next
    validates. The trivial model of a fold knows neither.
    """
    units = drawn(task, seed)
    number = units["patient_id"].str[1:].astype(int)
    tested, own, parts = number >= 16, number % 3, []
    for fold in range(3):
        if protocol == "cross_fitted":
            tested, validates = own == fold, own == (fold + 1) % 3
        else:
            validates = (own == fold) & ~tested
        known, everybody, asked = units[~tested & ~validates], units[~tested], units[tested]
        for model, learnt in (("tsm", everybody), (reference.TRIVIAL[task == "sf_ratio"], known)):
            (said,) = baselines.predict(TASKS[task].question, learnt, asked, None).values()
            names = ["prediction"] if task == "sf_ratio" else [f"logit_{k}" for k in range(said.shape[1])]
            made = asked.assign(**dict(zip(names, said.T, strict=True)))
            parts.append(made.assign(arm="t000", model=model, seed=0, fold=fold + 1, split="test"))
    return pd.concat(parts, ignore_index=True)


STUDIES = 10


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
@pytest.mark.parametrize("task", TASKS)
def test_a_constant_that_knows_nothing_beats_no_reference(task: str, protocol: str):
    """In 2.5 of 100 studies by chance, on the better side: more than 2 of 10 would come once in 500 times."""
    better = []
    for seed in range(STUDIES):
        scores = tasks_scores.score(TASKS[task], of_a_constant(task, protocol, seed), protocol)
        nothing = dict.fromkeys(TASKS, scores[:0])
        (row,) = tasks.against_baselines(nothing | {task: scores}, ["t000"], rng(seed)).itertuples()
        assert row.patients == (8 if protocol == "paper" else 24)
        better.append(row.difference > 0 and row.p < 0.05)
    assert binom.sf(2, STUDIES, 0.025) < 1 / 500
    assert sum(better) <= 2


def test_the_reference_itself_is_not_different_from_itself():
    """A model that says what the reference says, in floating point another way: exactly 0, p = 1."""
    made = of_a_constant("readmission", "paper", 0)
    made = made[made["model"] == "majority"]
    p = np.exp(made[["logit_0", "logit_1"]]).groupby(made["clip_1"]).transform("mean")
    own = made.assign(model="tsm", **{name: np.log(p[name]) + 0.1 for name in p})
    scores = tasks_scores.score(TASKS["readmission"], pd.concat([own, made], ignore_index=True), "paper")
    nothing = dict.fromkeys(TASKS, scores[:0])
    found = tasks.against_baselines(nothing | {"readmission": scores}, ["t000"], rng())
    assert found[["difference", "p"]].to_numpy().tolist() == [[0, 1]]
    assert found["better"].tolist() == ["alike"]


# -- intervals


def test_an_interval_is_of_the_mean_or_of_its_root():
    values = pd.Series(rng(4).random(15))
    found = tasks.interval(values, "accuracy", rng())
    assert found == stats.interval(values, rng())
    assert tasks.interval(values, "rmse_mean", rng()) == pytest.approx(np.sqrt(found))
    blank = pd.concat([values, pd.Series([np.nan, np.nan])])
    assert tasks.interval(blank, "accuracy", rng()) == found


def test_few_patients_and_patients_who_are_all_alike_have_no_interval():
    for values in ([0.1, 0.2, 0.3, 0.4, 0.5], [1.0] * 20, [0.1] * 3 + [np.nan] * 9, []):
        found = tasks.interval(pd.Series(values, dtype=float), "rmse_mean", rng())
        assert np.isnan(found).all()


def test_only_rows_of_enough_patients_show_an_interval():
    arms = ARMS.loc[["t000", "t060"]]
    _, found = every("cross_fitted")
    table = task_tables.main("sf_ratio", found["sf_ratio"], arms, rng())
    assert (table["rmse_mean_low"] < table["rmse_mean"]).all()
    assert list(table).index("rmse_mean_low") == list(table).index("rmse_mean") + 1
    _, few = every("paper")
    assert task_tables.main("sf_ratio", few["sf_ratio"], arms, rng())["rmse_mean_low"].isna().all()


def test_means_over_patients_by_hand():
    """Two arms, two seeds, two folds: fold + 10 x patient, + 100 in t060; P3 was seen in one run alone."""
    table = patient_scores()
    missing = (table["patient_id"] == "P3") & (table["fold"] == 2)
    table.loc[missing, "value"] = np.nan
    found = tasks.means(table[table["model"] == "tsm"], "accuracy")
    assert found.to_numpy().tolist() == [["t000", "tsm", 3, 64 / 3], ["t060", "tsm", 3, 364 / 3]]
    runs = tasks.means(table[table["model"] == "tsm"], "accuracy", by=["seed", "fold"])
    assert runs[["seed", "fold", "patients", "value"]].iloc[:2].to_numpy().tolist() == [
        [0, 1, 3, 21],
        [0, 2, 2, 17],
    ]
    squares = table.assign(metric="mse_mean")
    roots = tasks.means(squares[squares["model"] == "tsm"], "rmse_mean")["value"]
    assert roots.tolist() == pytest.approx(np.sqrt([64 / 3, 364 / 3]))
    assert tasks.means(pd.DataFrame(), "accuracy").empty


# -- patient by patient


def test_patient_values_average_folds_and_seeds_of_a_model_s_test_scores():
    values = tasks.patient_values(patient_scores(), "accuracy")
    assert values.to_dict() == {
        "t000": {"P1": 11.5, "P2": 21.5, "P3": 31.5},
        "t060": {"P1": 111.5, "P2": 121.5, "P3": 131.5},
    }
    ridge = tasks.patient_values(patient_scores(), "accuracy", "ridge")
    assert (ridge == -9).all(axis=None)


def test_differences_of_tasks_are_to_the_first_arm_with_the_patient_as_the_unit():
    empty = patient_scores()[:0]
    found = {"sf_change": empty, "sf_ratio": empty, "readmission": patient_scores()}
    (row,) = tasks.differences(found, TWO, rng()).itertuples()
    assert (row.task, row.metric, row.arm, row.reference) == ("readmission", "accuracy", "t060", "t000")
    assert (row.patients, row.difference, row.attainable_p) == (3, 100, stats.attainable_p(3))
    none = tasks.differences(dict.fromkeys(found, empty), ARMS[:1], rng())
    assert len(none) == 0 and {"arm", "reference", "patients", "reading"} <= set(none)
    assert len(tasks.patients(found)) == 3 and len(tasks.patients(dict.fromkeys(found, empty))) == 0


def test_each_arm_is_held_against_the_first_and_the_naive_one_and_no_two_twice():
    scores = errors({("tsm", arm): 0.1 * rng(k).random(8) for k, arm in enumerate(ARMS.index)}, "accuracy")
    found = {"sf_change": scores[:0], "sf_ratio": scores.assign(metric="mse_mean"), "readmission": scores}
    table = tasks.differences(found, ARMS, rng())
    for _, own in table.groupby("task"):
        assert own[["arm", "reference"]].to_numpy().tolist() == [
            *(["soft", "t000"], ["t050", "t000"], ["t060", "t000"]),
            *(["soft", "t050"], ["t060", "t050"]),
        ]
        assert own["p_holm"].to_list() == pytest.approx(multipletests(own["p"], method="holm")[1])
    values = scores.pivot(index="patient_id", columns="arm", values="value")
    for own in table[table["task"] == "readmission"].itertuples():
        assert own.difference == pytest.approx((values[own.arm] - values[own.reference]).mean())
    asked = tasks.differences(found, ARMS, rng(), ["t060 - soft"])
    assert asked[["task", "arm", "reference"]].to_numpy().tolist() == [
        ["sf_ratio", "t060", "soft"],
        ["readmission", "t060", "soft"],
    ]
    with pytest.raises(
        ValueError, match="pairs: expected 'arm - reference' with two arms of t000, soft, t050, t060, got"
    ):
        tasks.differences(found, ARMS, rng(), ["t060 - t020"])


def of_folds(task: str, differences: np.ndarray, folds: int, seeds: int = 1) -> pd.DataFrame:
    """Tidy scores of TWO: the first arm 0.5 in each patient, the second that and (patients, seeds) more;
    patient k is predicted in fold k % folds + 1 alone, as under cross_fitted."""
    metric = TASKS[task].each
    rows = [
        (arm, "tsm", seed, k % folds + 1, "test", f"P{k:02d}", metric, 0.5 + more * (arm == "t060"))
        for arm in TWO.index
        for k, own in enumerate(differences)
        for seed, more in zip(range(seeds), own, strict=True)
    ]
    names = ["arm", "model", "seed", "fold", "split", "patient_id", "metric", "value"]
    return pd.DataFrame(rows, columns=names)


def test_luck_of_a_fold_s_model_is_told_from_a_better_arm():
    """Eighteen patients of three folds: two models are far better, one is as much worse in fewer of them."""
    nothing = {task: of_folds(task, np.zeros((0, 1)), 3) for task in tasks.leading()}
    lucky = np.where(np.arange(18) % 3 == 0, -0.01, 0.1)[:, None] + rng().normal(0, 0.002, (18, 1))
    given = nothing | {"readmission": of_folds("readmission", lucky, 3)}
    (row,) = tasks.differences(given, TWO, rng()).itertuples()
    means = [lucky[k::3].mean() for k in range(3)]
    assert row.p_holm < 0.05
    assert row.p_retrained == pytest.approx(ttest_1samp(means, 0).pvalue) and row.p_retrained > 0.05
    assert row.reading.endswith("these fitted models alone: not shown of arms trained anew")
    two = nothing | {"readmission": of_folds("readmission", np.repeat(lucky, 2, axis=1), 3, seeds=2)}
    (row,) = tasks.differences(two, TWO, rng()).itertuples()
    assert row.p_retrained == pytest.approx(ttest_1samp(means, 0).pvalue)
    even = np.full((18, 1), 0.1) + rng().normal(0, 0.002, (18, 1))
    (row,) = tasks.differences(
        nothing | {"readmission": of_folds("readmission", even, 3)}, TWO, rng()
    ).itertuples()
    assert row.p_retrained < 0.05 and "trained anew" not in row.reading
    (row,) = tasks.differences(
        nothing | {"readmission": of_folds("readmission", even, 2)}, TWO, rng()
    ).itertuples()
    assert np.isnan(row.p_retrained) and "too few trainings to speak of arms trained anew" in row.reading


def test_a_difference_above_0_is_better_in_every_task():
    """Seven patients: the second arm has the higher accuracies, and the higher error."""
    little = 0.01 * np.arange(7)
    own = {("tsm", "t000"): 0.5 - little, ("tsm", "t060"): 0.7 + little}
    found = {task: errors(own, metric) for task, metric in tasks.leading().items()}
    table = tasks.differences(found, TWO, rng()).set_index("task")
    assert table["metric"].to_dict() == tasks.leading()
    assert table["difference"].to_dict() == pytest.approx(
        {"sf_change": 0.26, "sf_ratio": -0.26, "readmission": 0.26}
    )
    assert table["better"].to_dict() == {"sf_change": "better", "sf_ratio": "worse", "readmission": "better"}
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()
    assert list(table.reset_index()) == tasks.OF_ARMS


def test_what_is_not_shown_is_said_to_point_one_way():
    table = pd.DataFrame({"difference": [0.1, -0.1, 0.1, -0.1, 0.0, np.nan]})
    said = tasks._in_words(table.assign(p_holm=[0.01, 0.01, 0.5, np.nan, 1.0, np.nan]))
    assert said == ["better", "worse", "better, not shown", "worse, not shown", "alike", ""]


def test_differences_to_baselines_by_hand():
    """Errors of eight patients: the arm is 0.3 better than the mean and 0.1 worse than true masks."""
    base, little = np.linspace(0.5, 0.9, 8), 0.01 * np.resize([1, -1], 8)
    values = {("tsm", "t000"): base - 0.3 + little, ("tsm", "grayscale"): base}
    values |= {("tsm", "true_masks"): base - 0.4 - little, ("ridge", "t000"): base + 0.1 + little}
    values |= {("mean", arm): base for arm in ("t000", "grayscale", "true_masks")}
    none = patient_scores()[:0]
    found = {"sf_change": none, "sf_ratio": errors(values, "mse_mean"), "readmission": none}
    table = tasks.against_baselines(found, ["t000"], rng())
    shown = table[["model", "arm", "reference", "better"]].to_numpy().tolist()
    assert shown == [
        ["tsm", "t000", "mean", "better"],
        ["tsm", "grayscale", "mean", "alike"],
        ["tsm", "true_masks", "mean", "better"],
        ["ridge", "t000", "mean", "worse"],
        ["tsm", "t000", "grayscale", "better"],
        ["tsm", "t000", "true_masks", "worse"],
    ]
    assert table["difference"].to_list() == pytest.approx([0.3, 0, 0.4, -0.1, 0.3, -0.1])
    assert (table["task"] == "sf_ratio").all() and (table["metric"] == "mse_mean").all()
    assert table["p"].to_list() == pytest.approx([2 / 2**8, 1] + [2 / 2**8] * 4)
    assert table["p_holm"].to_list() == pytest.approx(multipletests(table["p"], method="holm")[1])
    assert table["p_holm"].max() == 1 and table["p_holm"].min() == pytest.approx(6 * 2 / 2**8)


def test_a_lower_brier_score_is_better():
    none = patient_scores()[:0]
    for task in ("sf_change", "readmission"):
        metric = TASKS[task].compared
        own = {("tsm", "t000"): [0.6, 0.7], ("majority", "t000"): [0.4, 0.4]}
        found = dict.fromkeys(TASKS, none) | {task: errors(own, metric)}
        (row,) = tasks.against_baselines(found, ["t000"], rng()).itertuples()
        assert row.difference == pytest.approx(-0.25) and row.reference == "majority"
        assert row.better == "worse, not shown"
        assert row.reading.startswith("2 patients: p cannot fall below 0.5")


def test_every_arm_and_regression_is_compared_within_its_task():
    _, found = every("cross_fitted")
    table = tasks.against_baselines(found, ["t000", "t060"], rng())
    assert list(table) == tasks.COMPARED
    counts = table.groupby(["task", "reference"], sort=False).size()
    for task, trivial, regressions in (("sf_change", "majority", 2), ("sf_ratio", "mean", 1)):
        assert counts[task].to_dict() == {trivial: 4 + 3 * regressions, "grayscale": 2, "true_masks": 2}
    for _, rows in table.groupby("task"):
        assert rows["p_holm"].to_list() == pytest.approx(multipletests(rows["p"], method="holm")[1])
    again = tasks.against_baselines(found, ["t000", "t060"], rng())
    pd.testing.assert_frame_equal(table, again)


def test_no_task_no_comparison():
    for nothing in (pd.DataFrame(), patient_scores()[:0]):
        table = tasks.against_baselines(dict.fromkeys(TASKS, nothing), ["t000"], rng())
        assert len(table) == 0 and list(table) == tasks.COMPARED
