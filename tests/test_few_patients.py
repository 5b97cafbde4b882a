"""What a few of the patients would have said, counted by hand and by brute force."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lusnb.compare import few_patients
from lusnb.report import arms as report_arms
from lusnb.report import verdicts


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scores(values: dict[str, list[float]], metric: str = "iou") -> pd.DataFrame:
    rows = [(arm, metric, f"P{k:02}", v) for arm, own in values.items() for k, v in enumerate(own)]
    return pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])


def test_winners_of_two_of_three_patients_by_hand():
    """P0 and P1 prefer a by 0.1 each, P2 prefers b by 0.3: {P0, P1} says a, both others b; all say b."""
    table = few_patients.winners(
        scores({"a": [0.6, 0.5, 0.2], "b": [0.5, 0.4, 0.5]}), ["a", "b"], rng(), few=2
    )
    assert table["share"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert table["best"].tolist() == [False, True]
    assert set(table["draws"]) == {3} and set(table["patients"]) == {3}
    assert verdicts.of_few_patients(table) == (
        "IoU against the labels: 2 of these 3 patients, drawn 3 times, name as the best arm b in 67 %, a in "
        "33 %. All of them name b: 67 of 100 such studies would have agreed."
    )


def test_ties_share_a_draw():
    table = few_patients.winners(
        scores({"a": [0.5] * 6, "b": [0.5] * 6, "c": [0.1] * 6}), ["a", "b", "c"], rng()
    )
    assert table["share"].tolist() == [0.5, 0.5, 0.0] and table["best"].tolist() == [True, True, False]
    assert "All of them name a and b: 100 of 100" in verdicts.of_few_patients(table)


def test_every_subset_counts_once_against_brute_force():
    made = {arm: list(rng().normal(0.4 + 0.02 * k, 0.1, 9)) for k, arm in enumerate("abc")}
    made["b"] = made["b"][::-1]
    table = few_patients.winners(scores(made, "truth_iou"), list("abc"), rng()).set_index("arm")
    subsets = list(combinations(range(9), 4))
    first = [max("abc", key=lambda arm: np.mean([made[arm][k] for k in own])) for own in subsets]
    for arm in "abc":
        assert table.loc[arm, "share"] == pytest.approx(first.count(arm) / len(subsets))
    assert (table["metric"] == "truth_iou").all() and set(table["draws"]) == {126}


def test_of_many_patients_draws_are_random_and_without_repeats():
    drawn = few_patients._subsets(60, 4, rng())
    assert drawn.shape == (few_patients.DRAWS, 4)
    assert all(len(set(own)) == 4 for own in drawn[:500])
    assert np.bincount(drawn.ravel(), minlength=60) == pytest.approx(few_patients.DRAWS * 4 / 60, rel=0.2)
    np.testing.assert_array_equal(drawn, few_patients._subsets(60, 4, rng()))


@pytest.mark.parametrize(
    "made",
    [{"a": [0.1] * 4, "b": [0.2] * 4}, {"a": [0.1] * 9}, {"a": [0.1] * 9, "b": [np.nan] * 6 + [0.1] * 3}],
)
def test_no_more_patients_than_a_few_or_one_arm_says_nothing(made):
    table = few_patients.winners(scores(made), list(made), rng())
    assert table.empty and list(table) == ["metric", "arm", "patients", "few", "draws", "share", "best"]
    assert verdicts.of_few_patients(table).startswith("Nothing to draw: too few test patients")
    report_arms.few_patients(table).canvas.draw()
    plt.close("all")


def test_the_figure_has_a_bar_an_arm_and_fills_the_best():
    made = {"a": [0.6, 0.5, 0.2, 0.3, 0.4], "b": [0.5, 0.4, 0.5, 0.1, 0.2]}
    both = pd.concat([scores(made), scores(made, "truth_iou")])
    figure = report_arms.few_patients(few_patients.winners(both, ["a", "b"], rng()))
    assert (
        len(figure.axes) == 2 and figure._suptitle.get_text() == "best arm of 4 test patients, drawn from 5"
    )
    for ax in figure.axes:
        widths = [bar.get_width() for bar in ax.patches]
        assert sum(widths) == pytest.approx(100) and len(widths) == 2
        assert [bar.get_facecolor() == (1, 1, 1, 1) for bar in ax.patches] == [False, True]
    figure.canvas.draw()
    plt.close("all")
