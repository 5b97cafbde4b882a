"""All arms in one picture: what is drawn is what the tables say, for two arms and for 26."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lusnb.report import arms as report_arms

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def arms(count: int) -> list[str]:
    return [f"arm_{k}" for k in range(count)]


LABELS = ("iou", "painted_empty")
EVERY = ("truth_iou", "truth_painted_empty", *LABELS, "level_dice")  # as arms.intervals has them


def means(count: int, metrics: tuple[str, ...] = EVERY) -> pd.DataFrame:
    """At the own cut 0.1 and a hundredth more from arm to arm; at 0.5 half of that."""
    rows = [
        (a, m + end, 3, (0.1 + k / 100) / (2 if end else 1), np.nan, np.nan)
        for m in metrics
        for k, a in enumerate(arms(count))
        for end in ("", "_fixed")
    ]
    table = pd.DataFrame(rows, columns=["arm", "metric", "patients", "mean", "low", "high"])
    return table.assign(compared_at=0.5)


def patients(count: int) -> pd.DataFrame:
    rows = [
        (arm, metric, f"P{p}", 0.1 + k / 100 + p / 10)
        for metric in EVERY
        for k, arm in enumerate(arms(count))
        for p in (-1, 0, 1)
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])


def errors(count: int, names: tuple[str, ...] = ("labels", "truth")) -> pd.DataFrame:
    rows = [
        (arm, seed, pixels, scaled, name, feature, 0.1 + k / 100 - 0.05 * (scaled == "tempered"))
        for k, arm in enumerate(arms(count))
        for seed in (0, 1)
        for pixels in ("all", "band")
        for scaled in ("raw", "tempered")
        for name in names
        for feature in ("all", "b_line")
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "pixels", "scaled", "against", "feature", "ece"])


def curves(count: int, names: tuple[str, ...] = ("labels", "truth")) -> pd.DataFrame:
    base = errors(count, names).drop(columns="ece")
    parts = [base.assign(bin=b, predicted=b / 2, observed=b / 2 - base["seed"] / 10) for b in (0, 1, 2)]
    return pd.concat(parts, ignore_index=True)


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.axison]


def dots(ax: Axes) -> list[list[tuple[float, float]]]:
    found = [c.get_offsets() for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    return [[tuple(np.round(p, 6).tolist()) for p in own] for own in found]


def legend(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.legends[0].get_texts()]


@pytest.mark.parametrize("count", [1, 2, 26])
def test_every_arm_has_a_row(count: int):
    for figure in (
        report_arms.ranking(patients(count), means(count), errors(count)),
        report_arms.ranking(patients(count), means(count, LABELS), errors(count, ("labels",))),
        report_arms.uncertainty(unsure(count)),
        report_arms.against_raters(raters(count)),
    ):
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == arms(count)
        figure.canvas.draw()
        spots = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
        assert all(a.y0 >= b.y1 for a, b in zip(spots, spots[1:], strict=False))  # no two run into each other


def test_the_ranking_shows_patients_means_at_both_cuts_and_ece_before_and_after():
    figure = report_arms.ranking(patients(2), means(2), errors(2))
    painted = "empty images\npainted, truth"
    assert titles(figure) == ["IoU, truth", "IoU, labels ≥ 50 %", painted, "ECE in the band"]
    for ax in figure.axes[:3]:
        small, fixed, own = dots(ax)
        assert small == [(0.0, 0), (0.1, 0), (0.2, 0), (0.01, 1), (0.11, 1), (0.21, 1)]
        assert (fixed, own) == ([(0.05, 0), (0.055, 1)], [(0.1, 0), (0.11, 1)])
        hollow, filled = ax.collections[-2:]
        assert hollow.get_facecolor().tolist() == [[1, 1, 1, 1]] and filled.get_facecolor()[0][0] < 1
        low, high = ax.get_xlim()
        assert low < 0 and high > 0.21
    assert dots(figure.axes[3]) == [[(0.1, 0), (0.11, 1)], [(0.05, 0), (0.06, 1)]]
    assert legend(figure) == [
        *("a patient", "mean, own cut", "mean, cut at 0.5", "ECE raw", "ECE at the fitted temperature"),
    ]
    certain = means(2).assign(low=0.05, high=0.2)
    assert legend(report_arms.ranking(patients(2), certain, errors(2)))[1] == "mean, own cut, 95 % interval"


def test_the_ranking_of_a_cohort_without_truth_has_no_panel_for_it():
    figure = report_arms.ranking(patients(2), means(2, LABELS), errors(2, ("labels",)))
    assert titles(figure) == ["IoU, labels ≥ 50 %", "empty images\npainted", "ECE in the band"]


def test_the_ranking_without_an_image_that_is_empty_has_no_panel_for_it():
    figure = report_arms.ranking(patients(2), means(2, ("iou",)), errors(2, ("labels",)))
    assert titles(figure) == ["IoU, labels ≥ 50 %", "ECE in the band"]


def compared(count: int, references: tuple[str, ...] = ("arm_0",)) -> pd.DataFrame:
    """comparison.differences of these arms less each reference."""
    table = means(count, ("iou", "truth_iou")).rename(columns={"mean": "difference"})
    return pd.concat([table[table["arm"] != name].assign(reference=name) for name in references])


def test_differences_have_a_panel_a_score_and_both_cuts_beside_each_other():
    figure = report_arms.differences(compared(3))
    assert titles(figure) == ["IoU, truth", "IoU, labels"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["arm_1 - arm_0", "arm_2 - arm_0"]
    own, fixed = dots(figure.axes[0])
    assert own == [(0.11, -0.13), (0.12, 0.87)] and fixed == [(0.055, 0.13), (0.06, 1.13)]
    assert figure.axes[0].collections[-1].get_facecolor().tolist() == [[1, 1, 1, 1]]  # hollow: at 0.5
    assert legend(figure) == ["at the arms' own cuts", "cut at 0.5"]
    low, high = figure.axes[0].get_xlim()
    assert -low == high > 0.12
    alone = report_arms.differences(compared(3)[:0])
    assert [t.get_text() for t in alone.axes[0].texts] == ["one arm alone: nothing to compare it with"]
    labels = report_arms.differences(compared(3).query("metric.str.startswith('iou')"))
    assert titles(labels) == ["IoU, labels"]


@pytest.mark.parametrize("count", [2, 7, 26])
def test_each_pair_of_arms_has_a_row_of_its_own(count: int):
    figure = report_arms.differences(compared(count, ("arm_0", "arm_1")))
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(names) == len(set(names)) == 2 * (count - 1)
    figure.canvas.draw()
    spots = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in zip(spots, spots[1:], strict=False))
    assert min(spot.x0 for spot in spots) >= 0  # not cut off at the left


@pytest.mark.parametrize("count", [1, 2, 7, 26])
def test_reliability_is_a_panel_an_arm_of_the_first_seed(count: int):
    figure = report_arms.reliability(curves(count), errors(count))
    assert titles(figure) == [
        f"arm_{k}\nECE {0.1 + k / 100:.3f} → {0.05 + k / 100:.3f}" for k in range(count)
    ]
    lines = figure.axes[0].get_lines()[1:]
    assert len(lines) == 3
    for line in lines:
        assert line.get_xydata().tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert legend(figure) == ["labels, raw", "labels, tempered", "truth, tempered"]
    figure.canvas.draw()
    shown = [t.get_window_extent() for ax in figure.axes if ax.axison for t in [ax.title]]
    assert not any(a.overlaps(b) for k, a in enumerate(shown) for b in shown[k + 1 :])


def test_reliability_without_truth_does_not_name_it():
    figure = report_arms.reliability(curves(1, ("labels",)), errors(1, ("labels",)))
    assert legend(figure) == ["labels, raw", "labels, tempered"]


def raters(count: int, features: tuple[str, ...] = ("a_line", "b_line")) -> pd.DataFrame:
    rows = [(a, f, r, 0.3 + k / 100, 0.2, 0.6, 0.5, 4, 9)
            for k, a in enumerate(arms(count)) for f in features for r in ("anna", "ben")]  # fmt: skip
    names = ["arm", "feature", "rater", "model", "model_fixed", "others", "pairs", "patients", "images"]
    return pd.DataFrame(rows, columns=names)


def test_raters_are_lines_and_models_are_markers():
    figure = report_arms.against_raters(raters(2))
    assert titles(figure) == ["a line", "b line"]
    assert dots(figure.axes[0]) == [[(0.2, 0), (0.2, 1)], [(0.3, 0), (0.31, 1)]] * 2
    hollow, filled = figure.axes[0].collections[:2]
    assert not len(hollow.get_facecolor()) and len(filled.get_facecolor())
    upright = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if len(set(line.get_xdata())) == 1]
    assert upright == [0.6, 0.5, 0.6, 0.5]
    names = ["model with anna", "model with ben", "cut at 0.5", "the others' mean", "another rater"]
    assert legend(figure) == names
    assert titles(report_arms.against_raters(raters(26, ("b_line",)))) == ["b line"]


def test_one_rater_is_said_so():
    figure = report_arms.against_raters(raters(2)[:0])
    assert [t.get_text() for t in figure.axes[0].texts] == ["no two raters share a held-out image"]


def unsure(count: int, kinds: tuple[str, ...] = ("single", "dropout", "ensemble")) -> pd.DataFrame:
    rows = [(a, kind, m, 0.2 + k / 100) for k, a in enumerate(arms(count)) for kind in kinds
            for m in ("ece_band", "spearman", "auroc_unsure")]  # fmt: skip
    return pd.DataFrame(rows, columns=["arm", "kind", "metric", "value"])


def test_uncertainty_tells_kinds_by_their_marker():
    figure = report_arms.uncertainty(unsure(2))
    assert len(titles(figure)) == 3
    assert legend(figure) == ["one network", "dropout mean", "ensemble", "chance"]
    assert dots(figure.axes[0]) == [[(0.2, 0), (0.21, 1)]] * 3
    assert legend(report_arms.uncertainty(unsure(2, ("single",)))) == ["one network", "chance"]
