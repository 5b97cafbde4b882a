"""Tables 2 to 4, intervals and comparisons of the tasks: recomputed plainly, and by hand."""

import numpy as np
import pandas as pd
import pytest

from lusnb.compare import tasks
from lusnb.report import tables, task_tables
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS
from tests.guesses import TIDY, every, patient_scores

ARMS = pd.DataFrame(
    {"threshold": [0.0, 0.6, 0.3], "published": [True, True, False]}, index=["t000", "t060", "t030"]
).rename_axis("arm")
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
    arms, shown = list(ARMS.index), metric if task == "readmission" else f"{metric}_pooled"
    assert list(zip(table["model"], table["arm"], strict=True)) == [
        *(("tsm", arm) for arm in [*arms, *BASELINES]),
        (trivial, ""),
        *(("ridge", arm) for arm in [*arms, "true_masks"]),
        *(("logistic", arm) for arm in [*arms, "true_masks"]),
    ]
    for row in table[table["arm"] != ""].itertuples():
        values = rows.loc[(rows["arm"] == row.arm) & (rows["model"] == row.model), "value"].to_numpy()
        assert getattr(row, shown) == pytest.approx(values.mean())
        spread = np.sqrt(((values - values.mean()) ** 2).sum() / 2)
        assert getattr(row, f"{shown}_sd") == pytest.approx(spread)
    assert table.loc[5, shown] == pytest.approx(0.2)
    published = tables.published()
    printed = published[(published["metric"] == metric) & (published["threshold"] == 0.6)]["mean"].item()
    assert table[f"paper_{shown}"][1] == printed
    assert table[f"paper_{shown}"].notna().to_list() == [True, True] + [False] * 12
    assert table["threshold"].notna().to_list() == [True] * 3 + [False] * 11


def test_another_arm_of_a_published_threshold_has_no_published_number_beside_it():
    arms = ARMS.assign(threshold=0.6, published=[False, False, True])
    table = task_tables.main("readmission", scores("accuracy", "majority"), arms, rng())
    printed = table[table["paper_accuracy"].notna()]
    assert list(zip(printed["model"], printed["arm"], strict=True)) == [("tsm", "t030")]


def test_a_task_of_one_fold_has_no_spread():
    table = task_tables.main("sf_ratio", scores("rmse_mean", "mean", folds=1), ARMS, rng())
    assert len(table) == 14 and table["rmse_mean_pooled"].notna().all()
    assert "rmse_mean_pooled_sd" not in table


def pooled(task: str, names: list[str]) -> list[str]:
    """The columns of pooled scores: only a patient's decision on readmission is one by itself."""
    return names if task == "readmission" else [f"{name}_pooled" for name in names]


def main_columns(task: str) -> list[str]:
    return pooled(task, [*TASKS[task].metrics]) + [*TASKS[task].counts]


def second_columns(task: str) -> list[str]:
    return pooled(task, [*TASKS[task].second])


@pytest.mark.parametrize(
    "rows", [pd.DataFrame(), scores("accuracy", "majority")[:0]], ids=["left out", "none"]
)
def test_a_task_that_was_not_possible_gives_headers_alone(rows: pd.DataFrame):
    for task in TASKS:
        table, lead = task_tables.main(task, rows, ARMS, rng()), TASKS[task].leading
        assert len(table) == 0 and list(table)[:4] == ["model", "arm", "threshold", lead]
        assert {*main_columns(task), f"{lead}_low", f"{lead}_high"} <= set(table)
        again = task_tables.second(task, rows, ARMS)
        own = ["brier_cross_day"] if task == "sf_change" else []
        assert len(again) == 0
        assert list(again) == ["model", "arm", "threshold", *own, *second_columns(task)]


def test_nobody_tested_gives_headers_alone():
    rows = scores("accuracy", "majority").assign(split="validation")
    assert len(task_tables.main("readmission", rows, ARMS, rng())) == 0


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_both_tables_hold_every_number_of_the_scores(protocol: str):
    _, found = every(protocol)
    for task, rows in found.items():
        both = [task_tables.main(task, rows, ARMS, rng()), task_tables.second(task, rows, ARMS)]
        numbers = tasks_scores.over_folds(rows).set_index(["model", "arm", "metric"])["mean"].sort_index()
        names_of = [[*TASKS[task].metrics] + [*TASKS[task].counts], [*TASKS[task].second]]
        shown = (main_columns(task), second_columns(task))
        for table, names, columns in zip(both, names_of, shown, strict=True):
            assert len(table) == 4 + 1 + 3 * (1 if task == "sf_ratio" else 2)
            for row in table.to_dict("records"):
                own = numbers[row["model"], row["arm"] or "t000"]
                assert [row[c] for c in columns] == pytest.approx([own[n] for n in names], nan_ok=True)
            spreads = [c for c in table if c.endswith("_sd") and not c.startswith("paper")]
            assert bool(spreads) == (protocol == "paper")
            assert not [c for c in spreads if "positive" in c or "patient" in c]  # of a count there is none


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
    return tasks_scores.score(TASKS["sf_change"], table[kept], "cross_fitted")


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
    two = [f"{end}accuracy_{k}class_pooled" for k in (3, 2) for end in ("", "paper_")]
    assert list(page) == ["row", "accuracy_2class_cross_day", *two]
    assert page["row"].to_list()[2:6] == ["grayscale", "true masks", "majority class", "ridge, t000"]
    assert page["paper_accuracy_2class_pooled"].to_list()[:3] == ["0.497 ± 0.055", "0.515", ""]
    low, high = (f"{table[f'accuracy_2class_cross_day_{end}'][0]:.3g}" for end in ("low", "high"))
    assert page["accuracy_2class_cross_day"][0].endswith(f"[{low}, {high}]")
    for protocol in ("paper", "cross_fitted"):  # with and without a spread over folds
        for task, own in every(protocol)[1].items():
            table = task_tables.main(task, own, ARMS, rng())
            page = task_tables.for_paper(task, table)
            wide = {"sf_change": 6, "sf_ratio": 8, "readmission": 7}
            assert page.shape[1] == wide[task] and page.columns.is_unique
            metric = pooled(task, [*TASKS[task].metrics])[1]
            assert page[metric].str.contains(" ± ").any() == (protocol == "paper")


def test_what_is_told_counts_the_patients_and_the_comparisons_of_each_task():
    _, found = every("cross_fitted")
    found = found | {"readmission": found["readmission"][:0]}
    against = tasks.against_baselines(found, ["t000"], rng())
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
    against = tasks.against_baselines(found, ["t000"], rng())
    assert task_tables.told("cross_fitted", found, against).split("\n")[1] == (
        "S/F change: 8 held-out patients, none with a value to compare (Brier score, cross-day pairs); "
        "nothing is compared."
    )
    paper = task_tables.told("paper", found, against).split("\n")[0]
    assert paper.startswith("The published test patients, the same in every fold")


def test_what_pairs_of_arms_can_show_is_said_of_each_task():
    _, found = every("cross_fitted")
    arms = ARMS.loc[["t000", "t060"]].assign(supervision="threshold")
    compared = tasks.differences(found, arms, rng())
    said = task_tables.can_show(found, compared, tasks.leading())
    assert said == [f"{TASKS[task].title}: " + tables.can_show(8, 1) for task in found]
    alone = tasks.differences(found, arms[:1], rng())
    said = task_tables.can_show(found, alone, tasks.leading())
    assert said == [f"{TASKS[task].title}: " + tables.can_show(8, 0) for task in found]
    found = found | {"sf_change": same_day_alone(), "readmission": pd.DataFrame()}
    said = task_tables.can_show(found, compared[:0], tasks.leading())
    assert said[0] == (
        "S/F change: 8 held-out patients, none with a value to compare (2-class accuracy, cross-day pairs); "
        "nothing is compared."
    )
    assert said[2] == "readmission: not possible with this cohort."


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
