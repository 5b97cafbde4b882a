"""Pictures of the tasks show the tables' numbers, for any number of arms, patients and folds."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from lusnb import files
from lusnb.compare import tasks as compare_tasks
from lusnb.report import progress, tables, task_panels, task_tables, tasks
from lusnb.study import runs
from lusnb.tasks import readmission, sf_change
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS
from tests.guesses import every, predictions

mpl.use("Agg")
RUN = {"model": "tsm", "seed": 0, "fold": 1, "split": "test", "patient_id": ""}
ARMS = ["t000", "t060"]


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.axison]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in panels(figure)]


# -- scores


def scores() -> pd.DataFrame:
    """Two arms over two folds, their baselines, of two patients 0.1 apart, and scores that do not count."""
    rows = []
    for arm, model, values in (
        ("t000", "tsm", (0.2, 0.4)),
        ("t060", "tsm", (0.6, 0.8)),
        ("true_masks", "tsm", (0.9, 0.9)),
        ("t000", "majority", (0.5, 0.5)),
        ("t060", "ridge", (0.1, 0.3)),
        ("t060", "logistic", (0.3, 0.4)),
    ):
        for fold, value in enumerate(values, 1):
            same = {**RUN, "arm": arm, "model": model, "fold": fold, "metric": "accuracy"}
            rows += [{**same, "patient_id": f"P{k}", "value": value + (0.1 * k - 0.05)} for k in (0, 1)]
    rows += [{**rows[0], "patient_id": "", "value": 0.9}, {**rows[0], "split": "validation", "value": 0.95}]
    return pd.DataFrame(rows)


def dots(ax: Axes) -> list[tuple]:
    return sorted(tuple(p) for c in ax.collections for p in np.asarray(c.get_offsets()).round(6).tolist())


def lines(ax: Axes) -> dict[str, np.ndarray]:
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in ax.get_lines()}


def test_scores_are_drawn_on_the_axes_they_are_given():
    figure, (mine, other) = plt.subplots(1, 2)
    assert tasks.task_scores("readmission", scores(), "accuracy", ax=mine) is mine
    assert mine.has_data() and not other.has_data() and plt.get_fignums() == [figure.number]
    plt.close(figure)
    assert tasks.task_scores("readmission", scores(), "accuracy") is plt.gca()


def test_task_scores_are_the_patients_means_and_their_baselines():
    ax = tasks.task_scores("readmission", scores(), "accuracy")
    assert dots(ax) == [(0, 0.2), (0, 0.4), (1, 0.6), (1, 0.8), (2, 0.9), (2, 0.9)]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["t000", "t060", "true_masks"]
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["TSM"], [0.3, 0.7, 0.9])
    np.testing.assert_allclose(drawn["majority class"], 0.5)
    np.testing.assert_allclose(drawn["ridge on measures of the masks"], [np.nan, 0.2, np.nan])
    np.testing.assert_allclose(drawn["logistic, the same"], [np.nan, 0.35, np.nan])
    assert ax.get_ylim() == (-0.05, 1.05)


def test_folds_put_together_are_drawn_as_the_mean_over_patients_and_each_fold_as_a_dot():
    made = scores()[:4]
    made = made[(made["fold"] == 1) | (made["patient_id"] == "P1")].assign(patient_id=["P0", "P1", "P2"])
    ax = tasks.task_scores("readmission", made, "accuracy")  # 0.15 and 0.25 in one fold, 0.45 in the other
    assert dots(ax) == [(0, 0.2), (0, 0.45)]
    np.testing.assert_allclose(lines(ax)["TSM"], [0.85 / 3])


def test_an_error_is_drawn_as_the_root_of_the_patients_squares():
    made = scores()[:4].assign(metric="mse_mean", value=[0.01, 0.03, 0.05, 0.07])
    ax = tasks.task_scores("sf_ratio", made, "rmse_mean")
    np.testing.assert_allclose(dots(ax), [(0, np.sqrt(0.02)), (0, np.sqrt(0.06))], atol=1e-6)
    np.testing.assert_allclose(lines(ax)["TSM"], np.sqrt(0.04))


def test_the_legend_names_the_dots():
    ax = tasks.task_scores("readmission", scores(), "accuracy")
    marks = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    named, drawn = marks["TSM, one fold and seed"], ax.collections[0]
    assert colors.same_color(named.get_color(), "0.45") and named.get_marker() == "o"
    assert np.allclose(drawn.get_facecolor()[0][:3], 0.45)
    assert named.get_markersize() ** 2 == pytest.approx(drawn.get_sizes()[0])
    assert len(named.get_xdata()) == 0  # it adds no dot


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(),
        scores()[:0],
        pd.DataFrame(columns=["task"]),
        scores().assign(split="validation"),
        scores().assign(patient_id=""),
        scores().assign(metric="recall"),
        scores().assign(value=np.nan),  # S/F change of a cohort without cross-day pairs
    ],
    ids=["left out", "no rows", "read", "nobody tested", "no patient", "another metric", "no value"],
)
def test_an_impossible_task_says_so(table: pd.DataFrame):
    ax = tasks.task_scores("readmission", table, "accuracy")
    assert [t.get_text() for t in ax.texts] == ["not possible with this cohort"]


def test_three_tasks_have_a_panel_each():
    parts = [scores().assign(task=task, metric=metric) for task, metric in compare_tasks.leading().items()]
    figure = tasks.every_task(pd.concat(parts))
    assert titles(figure) == ["S/F change", "S/F ratio", "readmission"]
    said = ["2-class accuracy, cross-day pairs", "RMSE of S/F / maximum", "accuracy"]
    assert [ax.get_ylabel() for ax in figure.axes] == said
    assert len(tasks.every_task(pd.DataFrame(columns=["task"])).axes) == 3


def test_one_task_without_tested_patients_leaves_the_other_panels():
    parts = [scores().assign(task=task, metric=metric) for task, metric in compare_tasks.leading().items()]
    parts[2]["split"] = "validation"
    change, ratio, readmission = tasks.every_task(pd.concat(parts)).axes
    assert [t.get_text() for t in readmission.texts] == ["not possible with this cohort"]
    assert not change.texts and not ratio.texts and len(dots(change)) == len(dots(ratio)) == 6


# -- a panel an arm


def names_of(figure: Figure) -> list[str]:
    return [title.split(":")[0].split("\n")[0] for title in titles(figure)]


def drawn(task: str, protocol: str, made: pd.DataFrame, found: pd.DataFrame, arms: list[str]) -> Figure:
    if task == "sf_change":
        return task_panels.change_confusion(found, arms)
    if task == "sf_ratio":
        return task_panels.ratio_agreement(made, found, arms, 477)
    return task_panels.readmission_scores(made, found, arms)


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
@pytest.mark.parametrize("task", TASKS)
def test_arms_their_baselines_the_trivial_model_and_one_regression_have_a_panel(task: str, protocol: str):
    made, found = (tables[task] for tables in every(protocol))
    figure = drawn(task, protocol, made, found, ARMS)
    trivial, regression = ("training mean", "ridge") if task == "sf_ratio" else ("majority class", "logistic")
    assert names_of(figure) == ["t000", "t060", "grayscale", "true masks", trivial, f"{regression}, t060"]
    said = figure.get_suptitle()
    who = {
        "paper": "2 patients, each judged by 2 models (numbers: means over these)",
        "cross_fitted": "8 patients",
    }
    assert who[protocol] in said and "arms" not in said
    figure.canvas.draw()  # without a warning


@pytest.mark.parametrize("task", TASKS)
def test_of_many_arms_some_are_shown_from_first_to_last(task: str):
    arms = [f"a{k:02}" for k in range(11)]
    made = predictions(
        task, "paper", np.random.default_rng(0), arms=(*arms, "grayscale"), patients=3, folds=1
    )
    figure = drawn(task, "paper", made, tasks_scores.score(TASKS[task], made), arms)
    shown = names_of(figure)
    assert len(shown) == task_panels.PANELS
    assert (shown[0], shown[5]) == ("a00", "a10") and len(set(shown)) == 9
    assert shown[6] == "grayscale" and shown[8].endswith(", a05")
    assert figure.get_suptitle().startswith("6 of 11 arms. ")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("table", [pd.DataFrame(), scores()[:0], scores().assign(split="validation")])
def test_a_task_without_tested_patients_says_so(task: str, table: pd.DataFrame):
    (ax,) = drawn(task, "paper", table, table, ARMS).axes
    assert [t.get_text() for t in ax.texts] == ["not possible with this cohort"]


def test_confusion_shows_the_counts_of_the_table_and_their_shares():
    _, found = every("cross_fitted")
    ax = panels(task_panels.change_confusion(found["sf_change"], ARMS))[1]
    own = tasks_scores.over_folds(found["sf_change"]).query("model == 'tsm' and arm == 't060'")
    own = own.set_index("metric")["mean"]
    counts = [own[f"{a}_as_{b}_cross_day"] for a in sf_change.CLASSES for b in sf_change.CLASSES]
    texts = {tuple(map(int, t.get_position())): t.get_text().split("\n") for t in ax.texts}
    assert [float(texts[j, i][1]) for i, j in np.ndindex(3, 3)] == counts
    rows = np.reshape(counts, (3, 3)).sum(1)
    assert [texts[j, i][0] for i, j in np.ndindex(3, 3)] == [
        f"{100 * count / rows[k // 3]:.0f} %" for k, count in enumerate(counts)
    ]
    assert ax.get_title() == f"t060: {own['accuracy_3class_cross_day']:.2f} right"


def test_confusion_counts_the_patients_with_cross_day_pairs():
    """Three patients of a fold; one was seen on one day alone, and none of its pairs is shown."""
    table = predictions("sf_change", "paper", np.random.default_rng(0), arms=("t000",), patients=9, folds=1)
    here = (table["patient_id"] == "P06") & (table["day_1"] != table["day_2"])
    figure = task_panels.change_confusion(tasks_scores.score(TASKS["sf_change"], table[~here]), ["t000"])
    assert figure.get_suptitle().endswith("number of cross-day pairs, pooled; 2 patients")
    same = table[table["day_1"] == table["day_2"]]
    figure = task_panels.change_confusion(tasks_scores.score(TASKS["sf_change"], same), ["t000"])
    assert figure.get_suptitle().endswith("number of pairs, pooled; 3 patients")


def test_a_class_that_does_not_occur_stays_empty_and_same_day_pairs_count_where_there_are_no_others():
    table = predictions("sf_change", "paper", np.random.default_rng(0), arms=("t000",), patients=2, folds=1)
    table = table[(table["day_1"] == table["day_2"]) & (table["model"] == "tsm")]
    figure = task_panels.change_confusion(tasks_scores.score(TASKS["sf_change"], table), ["t000"])
    (ax,) = panels(figure)
    assert {t.get_position()[1] for t in ax.texts} == {1}  # all of them are "same"
    assert "number of pairs, pooled; 1 patient" in figure.get_suptitle()


@pytest.mark.parametrize("protocol", ["paper", "cross_fitted"])
def test_agreement_is_the_table_s_in_units_of_s_f(protocol: str):
    made, found = (tables["sf_ratio"] for tables in every(protocol))
    ax = panels(task_panels.ratio_agreement(made, found, ARMS, 477))[1]
    own = tasks_scores.over_folds(found).query("model == 'tsm' and arm == 't060'").set_index("metric")["mean"]
    bias, low, high = (477 * own[f"{name}_mean"] for name in ("bias", "limit_low", "limit_high"))
    heights = [line.get_ydata()[0] for line in ax.get_lines()]
    assert heights == pytest.approx([0, bias, low, high])
    assert ax.get_title() == f"t060: {bias:+.0f} [{low:.0f}, {high:.0f}]"
    tested = made.query("split == 'test' and model == 'tsm' and arm == 't060'")
    days = tested.groupby(["fold", "patient_id", "day"])[["prediction", "truth"]].mean()
    errors = 477 * (days["prediction"] - days["truth"])
    middles = 477 * (days["prediction"] + days["truth"]) / 2
    wanted = np.stack([middles, errors], 1)
    found_dots = np.array(dots(ax))
    assert len(found_dots) == len(wanted) == (12 if protocol == "paper" else 24)
    np.testing.assert_allclose(found_dots, wanted[np.lexsort(wanted.T[::-1])], atol=1e-5)
    hues = {tuple(c) for path in ax.collections for c in path.get_facecolors()}
    assert len(hues) == (2 if protocol == "paper" else 1)  # few patients are told apart


def test_probabilities_are_tempered_and_coloured_by_what_came_true():
    made, found = (tables["readmission"] for tables in every("cross_fitted"))
    ax = panels(task_panels.readmission_scores(made, found, ARMS))[1]
    tested = made.query("split == 'test' and model == 'tsm' and arm == 't060'")
    votes = readmission.patient_votes(tested)
    (path,) = ax.collections
    places = path.get_offsets()
    np.testing.assert_allclose(np.sort(places[:, 0]), np.sort(votes["probability_tempered"]))
    returned = [tuple(c[:3]) == colors.to_rgb(tasks.ORANGE) for c in path.get_facecolors()]
    assert (np.abs(places[:, 1] - returned) < 0.2).all() and sum(returned) == votes["truth"].sum()
    own = tasks_scores.over_folds(found).query("model == 'tsm' and arm == 't060'").set_index("metric")["mean"]
    assert ax.get_title() == f"t060\nAUROC {own['auroc']:.2f}, tempered Brier {own['brier_tempered']:.2f}"
    assert len(ax.get_lines()) == 1  # no reliability of eight patients


def test_many_patients_show_their_reliability():
    made = predictions("readmission", "cross_fitted", np.random.default_rng(0), arms=("t060",), patients=24)
    made = made[made["model"] == "tsm"]
    figure = task_panels.readmission_scores(
        made, tasks_scores.score(TASKS["readmission"], made, "cross_fitted"), ["t060"]
    )
    (ax,) = panels(figure)
    curve = ax.get_lines()[-1]
    votes = readmission.patient_votes(made[made["split"] == "test"]).sort_values("probability_tempered")
    bins = np.array_split(votes[["probability_tempered", "truth"]].to_numpy(float), task_panels.BINS)
    np.testing.assert_allclose(curve.get_xydata(), [part.mean(0) for part in bins])
    assert figure.get_suptitle() == "24 patients; line: share readmitted in 4 bins"


def test_one_outcome_alone_has_no_auroc_in_its_title():
    made = predictions("readmission", "paper", np.random.default_rng(0), arms=("t060",), patients=3, folds=1)
    figure = task_panels.readmission_scores(made, tasks_scores.score(TASKS["readmission"], made), ["t060"])
    assert "AUROC none, tempered Brier 0." in titles(figure)[0]
    assert "1 patient" in figure.get_suptitle()


# -- training


def history() -> pd.DataFrame:
    """Two folds, two rates, three epochs of five steps; each fold takes another rate."""
    rows = [
        (
            fold,
            rate,
            (fold == 1) == (rate == 0.01),
            epoch,
            5,
            1.0 - 0.1 * epoch,
            0.9 + fold / 10,
            epoch == fold,
        )
        for fold in (1, 2)
        for rate in (0.01, 0.001)
        for epoch in range(3)
    ]
    names = ["fold", "learning_rate", "chosen", "epoch", "steps", "train_loss", "validation_loss", "best"]
    return pd.DataFrame(rows, columns=names)


def test_learning_is_drawn_against_steps_with_the_kept_epoch():
    figure = progress.learning(history())
    assert titles(figure) == [f"learning rate {rate}: taken in 1 of 2 folds" for rate in ("0.01", "0.001")]
    train, validation, kept = figure.axes[0].get_lines()[:3]
    assert train.get_xydata().tolist() == [[5, 1.0], [10, 0.9], [15, 0.8]] and train.get_linestyle() == "--"
    assert validation.get_ydata().tolist() == [1.0, 1.0, 1.0] and validation.get_label() == "fold 1"
    assert kept.get_xydata().tolist() == [[10, 1.0]]
    figure.canvas.draw()


def test_what_was_not_trained_or_not_validated_is_drawn_as_such():
    (ax,) = progress.learning(pd.DataFrame(columns=["epoch", "fold"])).axes
    assert [t.get_text() for t in ax.texts] == ["not possible with this cohort"]
    progress.learning(history().assign(validation_loss=np.nan)).canvas.draw()


# -- baselines


def against() -> pd.DataFrame:
    """Two rows a task: one shown to be better than the trivial model, one not shown against grayscale."""
    rows = []
    for task in TASKS:
        same = {"task": task, "metric": TASKS[task].compared, "arm": "t060", "model": "tsm"}
        rows.append({**same, "reference": "mean", "difference": 0.2, "low": 0.1, "high": 0.3, "p_holm": 0.01})
        rows.append(
            {**same, "reference": "grayscale", "difference": -0.1, "low": -0.2, "high": 0.1, "p_holm": 0.5}
        )
    rows.append({**rows[0], "model": "ridge"})
    return pd.DataFrame(rows)


def marks(ax: Axes) -> list[PathCollection]:
    return [c for c in ax.collections if isinstance(c, PathCollection) and len(c.get_offsets())]


def test_a_mark_is_a_difference_filled_where_it_is_shown():
    figure = tasks.baselines(against())
    assert titles(figure)[0] == "S/F change\nBrier score, cross-day pairs"
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["t060", "ridge, t060"]
    ax = figure.axes[1]
    found = {round(float(c.get_offsets()[0][0]), 3): c for c in marks(ax)}
    assert set(found) == {0.2, -0.1}
    white = (1.0, 1.0, 1.0)
    assert tuple(found[-0.1].get_facecolor()[0][:3]) == white
    assert tuple(found[0.2].get_facecolor()[0][:3]) == colors.to_rgb(tasks.BLUE)
    assert ax.get_xlim() == pytest.approx((-0.33, 0.33))  # 0 in the middle
    (legend,) = figure.legends
    said = ["against majority class or training mean", "against TSM on grayscale"]
    assert [t.get_text() for t in legend.get_texts()] == said
    assert figure.get_suptitle().startswith("Mean over patients and its 95 % interval; filled:")


def test_too_few_patients_are_said_to_be():
    table = against().assign(low=np.nan, high=np.nan, p_holm=np.nan)
    figure = tasks.baselines(table)
    assert figure.get_suptitle() == "Mean over patients, who are too few for an interval or a test"


def test_the_picture_grows_with_the_rows_and_shows_only_tasks_that_there_are():
    one = against().query("task == 'sf_ratio'")
    many = pd.concat([one.assign(arm=f"a{k}") for k in range(20)])
    few, tall = tasks.baselines(one), tasks.baselines(many)
    assert len(few.axes) == len(tall.axes) == 1
    assert tall.get_figheight() > 2 * few.get_figheight()


def test_no_comparison_no_picture():
    (ax,) = tasks.baselines(pd.DataFrame(columns=compare_tasks.COMPARED)).axes
    assert [t.get_text() for t in ax.texts] == ["no baseline to compare with"]


def test_baselines_of_synthetic_studies_are_drawn():
    _, found = every("cross_fitted")
    table = compare_tasks.against_baselines(found, ARMS, np.random.default_rng(0))
    figure = tasks.baselines(table)
    rows = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert rows[:4] == ["t000", "t060", "grayscale", "true masks"] and len(rows) == 4 + 2 * 3
    assert sum(len(c.get_offsets()) for ax in figure.axes for c in marks(ax)) == len(table)


# -- whatever is missing


def lacking(kind: str) -> tuple[dict, dict]:
    """Predictions and scores of a study in which a task, or every one, has no test patient or no row."""
    made, found = every("cross_fitted")
    readmission = made["readmission"].query("split == 'validation'")
    nothing = dict.fromkeys(made, pd.DataFrame())
    return {
        "one task without test rows": (
            made | {"readmission": readmission},
            found | {"readmission": tasks_scores.score(TASKS["readmission"], readmission, "cross_fitted")},
        ),
        "one task empty": (made | {"sf_ratio": pd.DataFrame()}, found | {"sf_ratio": found["sf_ratio"][:0]}),
        "first task left out": (made | {"sf_change": pd.DataFrame()}, found | {"sf_change": pd.DataFrame()}),
        "all without test rows": (
            {task: table.query("split == 'validation'") for task, table in made.items()},
            {task: table.query("split == 'validation'") for task, table in found.items()},
        ),
        "all empty": (nothing, {task: table[:0] for task, table in found.items()}),
        "all left out": (nothing, nothing),
    }[kind]


def read_again(table: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    """A table as it is after writing and reading, which makes blanks of empty words."""
    files.write_csv(tmp_path / "table.csv", table)
    return runs.read_csv(tmp_path, "table.csv")


KINDS = (
    *("one task without test rows", "one task empty", "first task left out"),
    *("all without test rows", "all empty", "all left out"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_and_pictures_of_a_study_that_lacks_something(kind: str, tmp_path: Path):
    """Every call of 08 and of 09, in their order."""
    made, found = lacking(kind)
    arms = pd.DataFrame({"threshold": [0.0, 0.6], "published": True}, index=pd.Index(ARMS, name="arm"))
    arms["supervision"] = "threshold"
    against = compare_tasks.against_baselines(found, ARMS, np.random.default_rng(0))
    said = task_tables.told("cross_fitted", found, against).split("\n")[1:]
    gone = [task for task in found if task_tables.tested(found[task]) == 0]
    assert sum("not possible with this cohort." in line for line in said) == len(gone)
    written = {}
    for task, own in found.items():
        table = task_tables.main(task, own, arms, np.random.default_rng(0))
        assert (len(table) == 0) == (task in gone)
        tables.readable(table)
        tables.readable(task_tables.second(task, own, arms))
        written[task] = read_again(tables.told_whose(table, "here", "imported"), tmp_path)
    compared = compare_tasks.differences(found, arms, np.random.default_rng(0))
    assert set(compared["task"]) == set(compare_tasks.patients(found)["task"]) == set(found) - set(gone)
    for task, own in found.items():
        plt.figure()
        ax = tasks.task_scores(task, own)
        assert [t.get_text() for t in ax.texts] == [tasks.IMPOSSIBLE] * (task in gone)
        drawn(task, "cross_fitted", made[task], own, ARMS).canvas.draw()
    tasks.baselines(against).canvas.draw()
    stacked = read_again(task_tables.stacked(found), tmp_path)
    impossible = [ax for ax in tasks.every_task(stacked).axes if ax.texts]
    assert len(impossible) == len(gone)
    tasks.baselines(read_again(against, tmp_path)).canvas.draw()
    for task, table in written.items():
        own = stacked[stacked["task"] == task]
        drawn(task, "cross_fitted", made[task], own, ARMS).canvas.draw()
        page = task_tables.for_paper(task, table)
        heading = task_tables.heading(task, own, "here", "imported", "cross_fitted")
        assert len(page) == len(table) and f", {0 if task in gone else 8} held-out patients" in heading
        tables.write_latex(tmp_path / "table.tex", page, heading)


def test_08_writes_every_table_before_it_draws():
    path = Path(__file__).parents[1] / "notebooks" / "08_compare_tasks.ipynb"
    code = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    writes = [k for k, source in enumerate(code) if "write_csv(" in source]
    draws = [k for k, source in enumerate(code) if re.search(r"(?m)^(tasks|task_panels)\.", source)]
    assert len(draws) == 7 and max(writes) < min(draws)
