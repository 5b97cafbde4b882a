"""Tables 2 to 4, intervals and comparisons of the tasks: recomputed plainly, and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from statsmodels.stats.multitest import multipletests

from lusnb import outcomes, stats, tables, task_tables
from tests.guesses import every, predictions

ARMS = pd.DataFrame(
    {"threshold": [0.0, 0.6, 0.3], "published": [True, True, False]}, index=["t000", "t060", "t030"]
).rename_axis("arm")
TIDY = [*outcomes.RUN, "patient_id", "metric", "value"]
BASELINES = ("grayscale", "true_masks")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# -- Tables 2 to 4


def scores(metric: str, trivial: str, folds: int = 3) -> pd.DataFrame:
    """Pooled test scores: TSM of three arms, grayscale and true masks; a trivial model and regressions."""
    rows, draw = [], np.random.default_rng(1)
    for arm in ("grayscale", "t060", "t000", "true_masks", "t030"):
        regressions = [] if arm == "grayscale" else ["ridge", "logistic"]
        for model in ("tsm", trivial, *regressions):
            for fold in range(1, folds + 1):
                value = 0.1 * fold if model == trivial else draw.random()
                rows.append((arm, model, 0, fold, "test", "", metric, value))
    return pd.DataFrame(rows, columns=TIDY)


@pytest.mark.parametrize(
    ("task", "metric", "trivial"),
    [
        ("sf_change", "accuracy_3class", "majority"),
        ("sf_ratio", "rmse_mean", "mean"),
        ("readmission", "recall", "majority"),
    ],
)
def test_rows_are_arms_their_two_baselines_the_trivial_model_and_the_regressions(task, metric, trivial):
    rows = scores(metric, trivial)
    table = task_tables.main(task, rows, ARMS, rng())
    arms = list(ARMS.index)
    assert list(zip(table["model"], table["arm"], strict=True)) == [
        *(("tsm", arm) for arm in [*arms, *BASELINES]),
        (trivial, ""),
        *(("ridge", arm) for arm in [*arms, "true_masks"]),
        *(("logistic", arm) for arm in [*arms, "true_masks"]),
    ]
    for row in table[table["arm"] != ""].itertuples():
        values = rows.loc[(rows["arm"] == row.arm) & (rows["model"] == row.model), "value"].to_numpy()
        assert getattr(row, metric) == pytest.approx(values.mean())
        spread = np.sqrt(((values - values.mean()) ** 2).sum() / 2)
        assert getattr(row, f"{metric}_sd") == pytest.approx(spread)
    assert table.loc[5, metric] == pytest.approx(0.2)
    published = tables.published()
    printed = published[(published["metric"] == metric) & (published["threshold"] == 0.6)]["mean"].item()
    assert table[f"paper_{metric}"][1] == printed
    assert table[f"paper_{metric}"].notna().to_list() == [True, True] + [False] * 12
    assert table["threshold"].notna().to_list() == [True] * 3 + [False] * 11


def test_another_arm_of_a_published_threshold_has_no_published_number_beside_it():
    arms = ARMS.assign(threshold=0.6, published=[False, False, True])
    table = task_tables.main("readmission", scores("accuracy", "majority"), arms, rng())
    printed = table[table["paper_accuracy"].notna()]
    assert list(zip(printed["model"], printed["arm"], strict=True)) == [("tsm", "t030")]


def test_a_task_of_one_fold_has_no_spread():
    table = task_tables.main("sf_ratio", scores("rmse_mean", "mean", folds=1), ARMS, rng())
    assert len(table) == 14 and table["rmse_mean"].notna().all()
    assert "rmse_mean_sd" not in table


@pytest.mark.parametrize(
    "rows", [pd.DataFrame(), scores("accuracy", "majority")[:0]], ids=["left out", "none"]
)
def test_a_task_that_was_not_possible_gives_headers_alone(rows: pd.DataFrame):
    for task, names in task_tables.METRICS.items():
        table = task_tables.main(task, rows, ARMS, rng())
        assert len(table) == 0
        assert {"model", "arm", "threshold", *names, *task_tables.COUNTS[task]} <= set(table)
        again = task_tables.second(task, rows, ARMS)
        assert len(again) == 0 and list(again) == ["model", "arm", "threshold", *task_tables.SECOND[task]]


def test_nobody_tested_gives_headers_alone():
    rows = scores("accuracy", "majority").assign(split="validation")
    assert len(task_tables.main("readmission", rows, ARMS, rng())) == 0


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_both_tables_hold_every_number_of_the_scores(protocol: str):
    _, found = every(protocol)
    for task, rows in found.items():
        both = [task_tables.main(task, rows, ARMS, rng()), task_tables.second(task, rows, ARMS)]
        numbers = outcomes.over_folds(rows).set_index(["model", "arm", "metric"])["mean"].sort_index()
        shown = [task_tables.METRICS[task] + task_tables.COUNTS[task], task_tables.SECOND[task]]
        for table, names in zip(both, shown, strict=True):
            assert len(table) == 4 + 1 + 3 * (1 if task == "sf_ratio" else 2)
            for row in table.to_dict("records"):
                own = numbers[row["model"], row["arm"] or "t000"]
                assert [row[n] for n in names] == pytest.approx([own[n] for n in names], nan_ok=True)
            spreads = [c for c in table if c.endswith("_sd") and not c.startswith("paper")]
            assert bool(spreads) == (protocol == "paper")
            assert not [c for c in spreads if "positive" in c or "patient" in c]  # of a count there is none


# -- intervals


def test_the_interval_of_an_accuracy_is_that_of_the_patients_mean():
    draw = np.random.default_rng(4)
    values = draw.random(15) < 0.6
    rows = [
        ("t060", "tsm", 0, 1 + k % 3, "test", f"P{k:02}", "accuracy", float(v)) for k, v in enumerate(values)
    ]
    rows += [(*row[:6], "patients", 1.0) for row in rows]
    found = task_tables.interval("readmission", pd.DataFrame(rows, columns=TIDY).assign(fold=1), rng())
    wanted = bootstrap((values.astype(float),), np.mean, method="BCa", rng=rng()).confidence_interval
    assert found == pytest.approx(tuple(wanted), abs=0.02)
    assert 0 < found[0] < values.mean() < found[1] < 1


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_the_interval_of_a_pooled_error_draws_patients_with_all_their_days(protocol: str):
    table = predictions("sf_ratio", protocol, np.random.default_rng(1), arms=("t060",), patients=24)
    table = table[(table["model"] == "tsm") & (table["split"] == "test")]
    table = table[(table["patient_id"] != "P20") | (table["day"] == 0)]  # a patient of one day weighs less
    days = table.groupby(["fold", "patient_id", "day"])[["prediction", "truth"]].mean()
    squares = (days["prediction"] - days["truth"]).pow(2).groupby(["patient_id", "fold"])
    sums, counts = (squares.agg(how).unstack().to_numpy() for how in ("sum", "count"))

    def rmse(*drawn: np.ndarray, axis: int) -> np.ndarray:
        half = len(drawn) // 2
        both = zip(drawn[:half], drawn[half:], strict=True)
        return np.mean([np.sqrt(s.sum(axis) / c.sum(axis)) for s, c in both], axis=0)

    if protocol == "cross_fitted":
        sums, counts = (np.nansum(a, 1, keepdims=True) for a in (sums, counts))
    wanted = bootstrap((*sums.T, *counts.T), rmse, paired=True, vectorized=True, method="BCa", rng=rng())
    scored = outcomes.score("sf_ratio", table, protocol)
    found = task_tables.interval("sf_ratio", scored, rng())
    assert found == pytest.approx(tuple(wanted.confidence_interval), rel=0.01)
    pooled = outcomes.over_folds(scored).set_index("metric")["mean"]["rmse_mean"]
    assert found[0] < pooled < found[1]


def test_few_patients_and_patients_who_are_all_alike_have_no_interval():
    def of(count: int, value: float) -> tuple[float, float]:
        rows = [("a", "tsm", 0, 1, "test", f"P{k}", "accuracy", value) for k in range(count)]
        rows += [(*row[:6], "patients", 1.0) for row in rows]
        return task_tables.interval("readmission", pd.DataFrame(rows, columns=TIDY), rng())

    assert np.isnan(of(5, 0.5)).all() and np.isnan(of(20, 1.0)).all()


def test_a_patient_without_cross_day_pairs_does_not_count():
    rows = [("a", "tsm", 0, 1, "test", f"P{k}", "accuracy_2class_cross_day", k % 2) for k in range(7)]
    rows += [(*row[:6], "pairs_cross_day", 4.0) for row in rows]
    table = pd.DataFrame(rows, columns=TIDY)
    assert np.isfinite(task_tables.interval("sf_change", table, rng())).all()
    without = table["patient_id"].isin(["P5", "P6"])
    table.loc[without & (table["metric"] == "pairs_cross_day"), "value"] = 0.0
    table.loc[without & (table["metric"] != "pairs_cross_day"), "value"] = np.nan
    assert np.isnan(task_tables.interval("sf_change", table, rng())).all()  # five are left


def test_only_rows_of_enough_patients_show_an_interval():
    _, found = every("cross_fitted")
    table = task_tables.main("sf_ratio", found["sf_ratio"], ARMS, rng())
    assert (table["rmse_mean_low"] < table["rmse_mean"]).all()
    assert list(table).index("rmse_mean_low") == list(table).index("rmse_mean") + 1
    _, few = every("paper")
    assert task_tables.main("sf_ratio", few["sf_ratio"], ARMS, rng())["rmse_mean_low"].isna().all()


# -- patient by patient


def patient_scores() -> pd.DataFrame:
    """Two arms, two folds, two seeds, three patients: the score is fold + 10 x patient, + 100 in arm t060."""
    rows = [
        (arm, "tsm", seed, fold, "test", f"P{k}", "accuracy", fold + 10 * k + 100 * (arm == "t060"))
        for arm in ("t000", "t060")
        for seed in (0, 1)
        for fold in (1, 2)
        for k in (1, 2, 3)
    ]
    table = pd.DataFrame(rows, columns=TIDY)
    others = [table.assign(model="ridge"), table.assign(split="validation"), table.assign(patient_id="")]
    return pd.concat([table, *(other.assign(value=-9.0) for other in others)])


def test_patient_values_average_folds_and_seeds_of_a_model_s_test_scores():
    values = task_tables.patient_values(patient_scores(), "accuracy")
    assert values.to_dict() == {
        "t000": {"P1": 11.5, "P2": 21.5, "P3": 31.5},
        "t060": {"P1": 111.5, "P2": 121.5, "P3": 131.5},
    }
    ridge = task_tables.patient_values(patient_scores(), "accuracy", "ridge")
    assert (ridge == -9).all(axis=None)


def test_differences_of_tasks_are_to_the_first_arm_with_the_patient_as_the_unit():
    empty = patient_scores()[:0]
    found = {"sf_change": empty, "sf_ratio": empty, "readmission": patient_scores()}
    (row,) = task_tables.differences(found, ["t000", "t060"], rng()).itertuples()
    assert (row.task, row.metric, row.arm, row.reference) == ("readmission", "accuracy", "t060", "t000")
    assert (row.patients, row.difference, row.attainable_p) == (3, 100, stats.attainable_p(3))
    none = task_tables.differences(dict.fromkeys(found, empty), ["t000"], rng())
    assert len(none) == 0 and {"arm", "reference", "patients", "reading"} <= set(none)
    assert (
        len(task_tables.patients(found)) == 3 and len(task_tables.patients(dict.fromkeys(found, empty))) == 0
    )


def test_a_difference_above_0_is_better_in_every_task():
    """Seven patients: the second arm has the higher accuracies, and the higher error."""
    little = 0.01 * np.arange(7)
    own = {("tsm", "t000"): 0.5 - little, ("tsm", "t060"): 0.7 + little}
    found = {task: errors(own, metric) for task, metric in task_tables.LEADING.items()}
    table = task_tables.differences(found, ["t000", "t060"], rng()).set_index("task")
    assert table["metric"].to_dict() == task_tables.LEADING
    assert table["difference"].to_dict() == pytest.approx(
        {"sf_change": 0.26, "sf_ratio": -0.26, "readmission": 0.26}
    )
    assert table["better"].to_dict() == {"sf_change": "better", "sf_ratio": "worse", "readmission": "better"}
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()
    assert list(table.reset_index()) == [name for name in task_tables.COMPARED if name != "model"]


def test_what_is_not_shown_is_said_to_point_one_way():
    table = pd.DataFrame({"difference": [0.1, -0.1, 0.1, -0.1, 0.0, np.nan]})
    said = task_tables._in_words(table.assign(p_holm=[0.01, 0.01, 0.5, np.nan, 1.0, np.nan]))
    assert said == ["better", "worse", "better, not shown", "worse, not shown", "alike", ""]


def errors(values: dict[tuple[str, str], list[float]], metric: str) -> pd.DataFrame:
    """Test scores of patients, a list each (model, arm)."""
    rows = [
        (arm, model, 0, 1, "test", f"P{k:02}", metric, value)
        for (model, arm), own in values.items()
        for k, value in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=TIDY)


def test_differences_to_baselines_by_hand():
    """Errors of eight patients: the arm is 0.3 better than the mean and 0.1 worse than true masks."""
    base, little = np.linspace(0.5, 0.9, 8), 0.01 * np.resize([1, -1], 8)
    values = {("tsm", "t000"): base - 0.3 + little, ("tsm", "grayscale"): base}
    values |= {("tsm", "true_masks"): base - 0.4 - little, ("ridge", "t000"): base + 0.1 + little}
    values |= {("mean", arm): base for arm in ("t000", "grayscale", "true_masks")}
    none = patient_scores()[:0]
    found = {"sf_change": none, "sf_ratio": errors(values, "mse_mean"), "readmission": none}
    table = task_tables.against_baselines(found, ["t000"], rng())
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
        metric = task_tables.AGAINST[task][0]
        own = {("tsm", "t000"): [0.6, 0.7], ("majority", "t000"): [0.4, 0.4]}
        found = dict.fromkeys(task_tables.LEADING, none) | {task: errors(own, metric)}
        (row,) = task_tables.against_baselines(found, ["t000"], rng()).itertuples()
        assert row.difference == pytest.approx(-0.25) and row.reference == "majority"
        assert row.better == "worse, not shown"
        assert row.reading.startswith("2 patients: p cannot fall below 0.5")


def test_every_arm_and_regression_is_compared_within_its_task():
    _, found = every("cross_fitted")
    table = task_tables.against_baselines(found, ["t000", "t060"], rng())
    assert list(table) == task_tables.COMPARED
    counts = table.groupby(["task", "reference"], sort=False).size()
    for task, trivial, regressions in (("sf_change", "majority", 2), ("sf_ratio", "mean", 1)):
        assert counts[task].to_dict() == {trivial: 4 + 3 * regressions, "grayscale": 2, "true_masks": 2}
    for _, rows in table.groupby("task"):
        assert rows["p_holm"].to_list() == pytest.approx(multipletests(rows["p"], method="holm")[1])
    again = task_tables.against_baselines(found, ["t000", "t060"], rng())
    pd.testing.assert_frame_equal(table, again)


def test_no_task_no_comparison():
    for nothing in (pd.DataFrame(), patient_scores()[:0]):
        table = task_tables.against_baselines(dict.fromkeys(task_tables.LEADING, nothing), ["t000"], rng())
        assert len(table) == 0 and list(table) == task_tables.COMPARED


# -- words


def test_rows_in_words():
    assert task_tables.title("tsm", "t_060") == "t_060"
    assert task_tables.title("tsm", "true_masks") == "true masks"
    assert task_tables.title("logistic", "t060") == "logistic, t060"
    assert [task_tables.title(m, "t060") for m in ("majority", "mean")] == ["majority class", "training mean"]


def same_day_alone(seen_again: tuple[str, ...] = ()) -> pd.DataFrame:
    """Scores of S/F change of eight patients, of whom only these were seen on another day."""
    table = every("cross_fitted")[0]["sf_change"]
    kept = (table["day_1"] == table["day_2"]) | table["patient_id"].isin(seen_again)
    return outcomes.score("sf_change", table[kept], "cross_fitted")


def test_a_heading_says_on_whom_the_leading_score_rests():
    rests = ", on which the leading score rests)"
    said = task_tables.heading(
        "sf_change", same_day_alone(("P01", "P04")), "here", "imported", "cross_fitted"
    )
    assert said == (
        f"Table 2. Our runs on here, 8 held-out patients (2 of them with cross-day pairs{rests}, each "
        "predicted once, by models that never saw them. Columns paper_*: as published."
    )
    none = task_tables.heading("sf_change", same_day_alone(), "here", "imported", "paper")
    assert f"8 held-out patients (none of them with cross-day pairs{rests}." in none
    _, found = every("cross_fitted")
    for number, (task, own) in enumerate(found.items(), 2):
        said = task_tables.heading(task, own, "here", "imported", "paper")
        assert said == tables.heading(number, "here", "imported", 8, "paper") and "(" not in said


def test_a_page_has_room_for_the_scores_that_the_paper_prints_and_the_leading_one():
    _, found = every("cross_fitted")
    table = task_tables.main("sf_change", found["sf_change"], ARMS, rng())
    table["arm"] = table["arm"].replace("", np.nan)  # as it is read
    page = task_tables.for_paper("sf_change", table)
    two = [f"{end}accuracy_{k}class" for k in (3, 2) for end in ("", "paper_")]
    assert list(page) == ["row", *two, "accuracy_2class_cross_day"]
    assert page["row"].to_list()[2:6] == ["grayscale", "true masks", "majority class", "ridge, t000"]
    assert page["paper_accuracy_2class"].to_list()[:3] == ["0.497 ± 0.055", "0.515", ""]
    low, high = (f"{table[f'accuracy_2class_cross_day_{end}'][0]:.3g}" for end in ("low", "high"))
    assert page["accuracy_2class_cross_day"][0].endswith(f"[{low}, {high}]")
    for protocol in ("paper", "cross_fitted"):  # with and without a spread over folds
        for task, own in every(protocol)[1].items():
            table = task_tables.main(task, own, ARMS, rng())
            page = task_tables.for_paper(task, table)
            assert page.shape[1] == (6 if task == "sf_change" else 7) and page.columns.is_unique
            metric = task_tables.METRICS[task][1]
            assert page[metric].str.contains(" ± ").any() == (protocol == "paper")


def test_what_is_told_counts_the_patients_and_the_comparisons_of_each_task():
    _, found = every("cross_fitted")
    found = found | {"readmission": found["readmission"][:0]}
    against = task_tables.against_baselines(found, ["t000"], rng())
    said = task_tables.told("cross_fitted", found, against).split("\n")
    assert said[0].startswith("Every patient who can be asked is predicted once a seed, by models that never")
    assert said[0].endswith("as statements about arms trained anew they reject too often.")
    compared = {
        "sf_change": 3 + 4 + 2,
        "sf_ratio": 3 + 2 + 2,
    }
    assert against.groupby("task").size().to_dict() == compared
    assert said[1] == "S/F change: " + tables.can_show(8, 9)
    assert said[2] == "S/F ratio: " + tables.can_show(8, 7)
    assert said[3] == "readmission: not possible with this cohort."
    found |= {"sf_change": same_day_alone()}
    against = task_tables.against_baselines(found, ["t000"], rng())
    assert task_tables.told("cross_fitted", found, against).split("\n")[1] == (
        "S/F change: 8 held-out patients, none with a value to compare (Brier score, cross-day pairs); "
        "nothing is compared."
    )
    paper = task_tables.told("paper", found, against).split("\n")[0]
    assert paper.startswith("The published test patients, the same in every fold")


def test_the_tested_are_counted_once():
    table = pd.concat([patient_scores(), patient_scores().assign(arm="t030")])
    assert task_tables.tested(table) == 3
    as_read = table.assign(patient_id=table["patient_id"].replace("", np.nan))
    assert task_tables.tested(as_read) == 3
    assert task_tables.tested(pd.DataFrame()) == 0
    assert task_tables.tested(table, "accuracy") == 3 and task_tables.tested(table, "pairs") == 0
    none = table.assign(value=table["value"].where(table["patient_id"] != "P2", 0.0))
    assert task_tables.tested(none, "accuracy") == 2


def test_stacked_scores_name_their_task():
    one = scores("rmse_mean", "mean")
    table = task_tables.stacked({"sf_ratio": one, "readmission": one[:2]})
    assert table["task"].value_counts().to_dict() == {"sf_ratio": len(one), "readmission": 2}
