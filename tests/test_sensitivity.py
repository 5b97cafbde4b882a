"""The sweep over calibration, noise and threshold: by hand, by enumeration, and on painted cohorts."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lusnb import confidence, stats
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import sensitivity
from lusnb.compare import truth as compare_truth
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.report import sensitivity as report_sensitivity
from lusnb.report import sentences
from tests.test_raters import painted, row_of
from tests.test_stats import holm

mpl.use("Agg")
TENS = np.arange(0, 256, 25.5).round().astype(int)  # 0, 26, ... 255


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- what the labels imply


def calibrated(power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """1000 pixels at each ten of per cent, right with chance s ** power."""
    pixels, right = np.zeros(256, int), np.zeros(256, int)
    pixels[TENS], right[TENS] = 1000, np.rint(1000 * (np.arange(11) / 10) ** power).astype(int)
    return pixels, right


def test_decided_by_hand():
    pixels, right = np.zeros(256, int), np.zeros(256, int)
    pixels[[0, 51, 153, 255]] = 90, 4, 3, 3  # unpainted, 20, 60 and 100 %
    right[[0, 51, 153, 255]] = 9, 1, 2, 3
    assert compare_truth.decided(pixels, right, 0.0) == pytest.approx((1.0, 6 / 10))
    assert compare_truth.decided(pixels, right, 0.2) == pytest.approx((1.0, 6 / 10))
    assert compare_truth.decided(pixels, right, 0.6) == pytest.approx((0.6, (3 + 5) / 10))
    assert compare_truth.decided(pixels, right, 0.8) == pytest.approx((0.3, (3 + 3 + 1) / 10))
    assert np.isnan(compare_truth.decided(np.eye(256, dtype=int)[0], np.zeros(256, int), 0.5)).all()


@pytest.mark.parametrize(("power", "level"), [(0.5, 30), (1.0, 50), (2.0, 80)])  # 0.25, 0.5 and 0.707
def test_half_right_is_what_calibration_says(power: float, level: float):
    pixels, right = calibrated(power)
    assert compare_truth.half_right(pixels, right) == level
    best = max(confidence.THRESHOLDS, key=lambda t: compare_truth.decided(pixels, right, t)[1])
    assert best == {30: 0.4, 50: 0.5, 80: 0.8}[level]  # the tens at hand; 50 % ties with 60 %


def test_half_right_needs_every_level_above():
    pixels, right = calibrated()
    right[TENS[9]] = 499
    assert compare_truth.half_right(pixels, right) == 100
    right[TENS[10]] = 0
    assert np.isnan(compare_truth.half_right(pixels, right))
    pixels[TENS[5:]] = right[TENS[5:]] = 0  # never said: not asked
    right[TENS[3:5]] = 1000
    assert compare_truth.half_right(pixels, right) == 30


def test_labels_alone_by_hand(tmp_path: Path):
    images = {
        ("p_0", "r", "a_line"): row_of(255, 128, 51, 0),
        ("p_1", "r", "a_line"): row_of(0, 0, 255, 0),
        ("p_0", "r", "b_line"): row_of(128, 128, 0, 0),
        ("q_0", "r", "a_line"): row_of(51, 0, 0, 0),
    }
    truth = {
        ("p_0", "a_line"): np.array([[1, 1, 0, 1]], bool),
        ("p_1", "a_line"): np.zeros((1, 4), bool),  # empty: no IoU, but its pixels count for `right`
        ("p_0", "b_line"): np.array([[1, 0, 0, 0]], bool),
        ("q_0", "a_line"): np.array([[1, 0, 0, 0]], bool),
    }
    table = compare_truth.labels_alone(painted(tmp_path / "c", images, truth), [0.5, 0.0])
    iou = table.pivot(index="feature", columns="threshold", values="iou")
    # a line at 0: p has 2/4, q 1/1; at 50 %: p 2/3, q 0/1. b line: p alone, 1/2
    assert iou.loc["a_line"].to_list() == pytest.approx([(0.5 + 1) / 2, (2 / 3 + 0) / 2])
    assert iou.loc["b_line"].to_list() == pytest.approx([0.5, 0.5])
    # p: mean of its features, q: its one feature; then the mean of both
    assert iou.loc["all"].to_list() == pytest.approx([(0.5 + 1) / 2, ((2 / 3 + 0.5) / 2 + 0) / 2])
    own = table.set_index(["feature", "threshold"])
    assert own["patients"].to_dict() == {
        ("all", 0.0): 2, ("all", 0.5): 2, ("a_line", 0.0): 2, ("a_line", 0.5): 2,
        ("b_line", 0.0): 1, ("b_line", 0.5): 1,
    }  # fmt: skip
    # a line: painted 255 (right, wrong), 128 (right), 51 (wrong, right)
    assert own.loc[("a_line", 0.5), ["kept", "right"]].to_list() == pytest.approx([3 / 5, 3 / 5])
    assert own.loc[("all", 0.0), ["kept", "right"]].to_list() == pytest.approx([1, 4 / 7])
    assert (own.loc["b_line", "level"] == 50).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_alone_leaves_out_other_patients_and_is_what_numpy_says(cohort: Cohort, split: str):
    whose = cohort.patients_in(split)
    asked = {} if split == "train" else {"patients": whose}
    table = compare_truth.labels_alone(cohort, [0.2, 0.6], **asked).set_index(["feature", "threshold"])
    frames = cohorts.labelled_frames(cohort)
    frames = frames[frames["patient_id"].isin(whose)].reset_index(drop=True)
    maps, _ = arrays.confidence_of(cohort, frames, None)
    truth, _ = arrays.confidence_of(cohort, frames, None, source="truth")
    for k, feature in enumerate(cohort.features):
        for t in (0.2, 0.6):
            y, there = maps[:, k] >= 255 * t - 0.5, truth[:, k] > 0
            per = {}
            for n, patient in enumerate(frames["patient_id"]):
                if there[n].any():
                    per.setdefault(patient, []).append((y[n] & there[n]).sum() / (y[n] | there[n]).sum())
            want = np.mean([np.mean(v) for v in per.values()]) if per else np.nan
            assert table.loc[(feature, t), "iou"] == pytest.approx(want, nan_ok=True)
            assert table.loc[(feature, t), "patients"] == len(per)
            painted_there = maps[:, k] > 0
            assert table.loc[(feature, t), "kept"] == pytest.approx(
                (y & painted_there).sum() / painted_there.sum()
            )
            right = ((y == there) & painted_there).sum() / painted_there.sum()
            assert table.loc[(feature, t), "right"] == pytest.approx(right)


def test_the_level_agrees_with_the_reliability_of_the_rater(cohort: Cohort):
    counts = compare_truth.right_counts(cohort)
    counts = counts[counts["patient_id"].isin(cohort.patients_in("train"))]
    curve = compare_truth.reliability(counts, by=()).query("level > 0").sort_values("level", ascending=False)
    enough = curve["share"].ge(0.5).cummin()
    want = curve.loc[enough, "level"].min()
    (level,) = compare_truth.labels_alone(cohort, [0.5]).query("feature == 'all'")["level"]
    assert level == want


def labels_of(cell: dict, iou: list[float], kept: list[float] | None = None, **more: float) -> pd.DataFrame:
    own = {
        "threshold": [0.2, 0.6, 0.8],
        "iou": iou,
        "kept": kept or [0.9, 0.5, 0.2],
        "right": [0.5, 0.7, 0.6],
    }
    return pd.DataFrame({**cell, "feature": compare_truth.ALL, **own, "patients": 9, "level": 50.0, **more})


def test_optima_and_twins_by_hand():
    one = {"cohort": "a", "calibration": 1.0, "noise": 0.0}
    table = labels_of(one, [0.5, 0.4, 0.5], kept=[0.9, 0.89, 0.2])
    (row,) = compare_truth.optima(table).to_dict("records")
    assert row == one | {"feature": "all", "implied": 0.2, "iou": 0.5, "pixelwise": 0.6, "level": 50.0}
    (twin,) = compare_truth.one_arm(table).to_dict("records")
    assert twin == one | {"low": 0.2, "high": 0.6, "apart": pytest.approx(0.01)}
    assert compare_truth.optima(table.assign(iou=np.nan)).empty


def test_a_rater_of_other_calibration_sees_the_same_pictures(tmp_path: Path):
    asked = {
        "name": "c", "n_patients": 3, "n_clips": 6, "size": 48, "n_frames": 1, "fps": 15, "split": (1, 1, 1),
        "folds": 2, "seed": 3,
    }  # fmt: skip
    cells = [(0.5, 0.0), (2.0, 1.5)]
    one, other = (make_cohort(tmp_path / str(c), Plan(calibration=c, noise=n, **asked)) for c, n in cells)
    files = sorted(p.relative_to(one) for d in ("clips", "truth", "labels") for p in (one / d).iterdir())
    same = {p for p in files if (one / p).read_bytes() == (other / p).read_bytes()}
    assert {p for p in files if p.parts[0] != "labels"} <= same
    assert any(p.parts[0] == "labels" for p in set(files) - same)
    for name in ("patients", "clips", "truth", "labels"):
        assert (one / f"{name}.csv").read_bytes() == (other / f"{name}.csv").read_bytes()


# -- what was measured


def test_cells_are_sorted_and_distinct():
    asked = {"b": {"calibration": 2, "noise": 0.5, "size": 9}, "a": {"calibration": 1.0, "noise": 0.5}}
    table = sensitivity.cells(asked)
    assert table.to_dict("list") == {"cohort": ["a", "b"], "calibration": [1.0, 2.0], "noise": [0.5, 0.5]}
    with pytest.raises(
        ValueError, match="cohorts a, c: expected one calibration and noise each, got the same"
    ):
        sensitivity.cells(asked | {"c": asked["a"]})


CELL = {"cohort": "a", "calibration": 1.0, "noise": 0.5}
ARMS = pd.Series({"t020": 0.2, "t060": 0.6, "t080": 0.8})


def common(rows: list[tuple]) -> pd.DataFrame:
    columns = ["arm", "seed", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_gathered_takes_the_truth_where_there_is_some():
    rows = [
        ("t020", 0, "p", "p_0", 0, "a_line", "truth_iou", 0.5),
        ("t020", 0, "p", "p_0", 0, "b_line", "truth_iou", np.nan),  # truth empty
        ("t020", 0, "p", "p_0", 0, "a_line", "iou", 0.9),
        ("t020", 0, "p", "p_0", 0, "a_line", "truth_iou_fixed", 0.4),
        ("other", 0, "p", "p_0", 0, "a_line", "truth_iou", 0.9),
    ]
    where = pd.DataFrame([CELL])
    table = sensitivity.gathered({"a": common(rows)}, where, ARMS)
    assert table.to_dict("records") == [
        CELL | {"threshold": 0.2, "seed": 0, "patient_id": "p", "feature": "a_line", "value": 0.5}
    ]
    fixed = sensitivity.gathered({"a": common(rows)}, where, ARMS, cut="fixed")
    assert fixed["value"].to_list() == [0.4]
    with pytest.raises(ValueError, match="cohort a: expected rows of truth_iou"):
        sensitivity.gathered({"a": common(rows[2:])}, where, ARMS)
    with pytest.raises(ValueError, match="expected one arm a threshold"):
        sensitivity.gathered({"a": common(rows)}, where, pd.Series({"t060": 0.6, "soft": 0.6}))


def test_the_order_of_averages_by_hand():
    rows = [
        ("p", "a_line", 0, 0.2), ("p", "a_line", 0, 0.4), ("p", "b_line", 0, 0.9), ("q", "a_line", 0, 0.1),
        ("p", "a_line", 1, 0.5), ("p", "b_line", 1, 0.5), ("q", "a_line", 1, 0.5),
    ]  # fmt: skip
    images = pd.DataFrame(rows, columns=["patient_id", "feature", "seed", "value"]).assign(
        **CELL, threshold=0.2
    )
    values = sensitivity.patient_values(images).set_index(["seed", "patient_id"])["value"]
    assert values.to_dict() == pytest.approx({(0, "p"): 0.6, (0, "q"): 0.1, (1, "p"): 0.5, (1, "q"): 0.5})
    by_feature = sensitivity.feature_values(images).set_index("feature")
    # a line: p has (0.2 + 0.4 + 0.5) / 3 over images and seeds, q (0.1 + 0.5) / 2
    assert by_feature["value"].to_dict() == pytest.approx({"a_line": (1.1 / 3 + 0.3) / 2, "b_line": 0.7})
    assert by_feature["patients"].to_dict() == {"a_line": 2, "b_line": 1}


# -- which threshold wins


def test_frequency_is_that_of_all_resamples():
    wide = pd.DataFrame({0.2: [0.5, 0.1, 0.3], 0.6: [0.2, 0.4, 0.3], 0.8: [0.0, 0.0, 0.9]})
    best = np.zeros(3)
    for chosen in product(range(3), repeat=3):
        means = wide.to_numpy()[list(chosen)].mean(axis=0)
        top = np.isclose(means, means.max())
        best += top / top.sum() / 27
    found = sensitivity.frequency(wide, rng(), 60_000)
    np.testing.assert_allclose(found, best, atol=0.01)
    assert found.sum() == pytest.approx(1) and list(found.index) == [0.2, 0.6, 0.8]


def test_thresholds_that_are_equal_share_the_frequency():
    wide = pd.DataFrame({0.2: [0.5, 0.1], 0.6: [0.5, 0.1], 0.8: [0.0, 0.0]})
    assert sensitivity.frequency(wide, rng()).to_list() == pytest.approx([0.5, 0.5, 0])


def values_of(
    means: dict[float, float], patients: int = 12, seed: int = 0, cell: dict = CELL, spread: float = 0.01
) -> pd.DataFrame:
    """Patients who differ much from one another and little in how they differ between thresholds."""
    base = rng(seed).normal(0, 0.1, patients)
    base -= base.mean()
    noise = rng(seed + 1).normal(0, spread, (patients, len(means)))
    noise -= noise.mean(axis=0)
    names = [f"P{n:02}" for n in range(patients)]
    parts = [
        pd.DataFrame({"patient_id": names, "value": mean + base + noise[:, k]})
        .assign(**cell, threshold=t, seed=0)
        for k, (t, mean) in enumerate(means.items())
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def wide_of(values: pd.DataFrame) -> pd.DataFrame:
    return values.pivot(index="patient_id", columns="threshold", values="value")


def test_curves_average_seeds_within_patients():
    zero = values_of({0.2: 0.4, 0.6: 0.5})
    one = zero.assign(seed=1, value=zero["value"] + np.where(zero["threshold"] == 0.2, 0.02, 0.0))
    table = sensitivity.curves(pd.concat([zero, one]), rng()).set_index("threshold")
    assert table["iou"].to_dict() == pytest.approx(
        {
            0.2: zero.query("threshold == 0.2")["value"].mean() + 0.01,
            0.6: zero.query("threshold == 0.6")["value"].mean(),
        }
    )
    assert table["seed_range"].to_dict() == pytest.approx({0.2: 0.02, 0.6: 0})
    assert (table["patients"] == 12).all() and (table["seeds"] == 2).all()
    assert ((table["low"] < table["iou"]) & (table["iou"] < table["high"])).all()
    assert table["frequency"].to_dict() == {0.2: 0, 0.6: 1}


def test_alike_by_hand():
    far = wide_of(values_of({0.2: 0.3, 0.6: 0.5, 0.8: 0.4}))
    assert sensitivity.alike(far, rng()) == [0.6]
    near = wide_of(values_of({0.2: 0.3, 0.6: 0.5, 0.8: 0.499}))
    assert sensitivity.alike(near, rng()) == [0.6, 0.8]
    few = wide_of(values_of({0.2: 0.3, 0.6: 0.5}, patients=5))
    assert sensitivity.alike(few, rng()) == [0.2, 0.6]
    assert sensitivity.alike(far[[0.6]], rng()) == [0.6]


def test_alike_corrects_for_all_pairs():
    """Six patients: p is 1/32 at best, which one test may show and three may not."""
    wide = wide_of(values_of({0.2: 0.3, 0.6: 0.5, 0.8: 0.4}, patients=6))
    assert sensitivity.alike(wide[[0.2, 0.6]], rng()) == [0.6]
    assert sensitivity.alike(wide, rng()) == [0.2, 0.6, 0.8]


def test_against_corrects_over_all_cells():
    other = {"cohort": "b", "calibration": 2.0, "noise": 0.5}
    values = pd.concat(
        [
            values_of({0.2: 0.3, 0.6: 0.5, 0.8: 0.498}),
            values_of({0.2: 0.5, 0.6: 0.5, 0.8: 0.51}, seed=5, cell=other),
        ]
    )
    table = sensitivity.against(values, {"a": 0.6, "b": 0.2}, rng(4))
    assert table[["cohort", "arm", "reference"]].to_numpy().tolist() == [
        ["a", 0.2, 0.6], ["a", 0.8, 0.6], ["b", 0.6, 0.2], ["b", 0.8, 0.2]
    ]  # fmt: skip
    wides = {name: wide_of(values[values["cohort"] == name]) for name in "ab"}
    raw = [
        stats.sign_flip((wides[r.cohort][r.arm] - wides[r.cohort][r.reference]).to_numpy(), rng())
        for r in table.itertuples()
    ]
    np.testing.assert_allclose(table["p"], raw)  # 12 patients: exact
    np.testing.assert_allclose(table["p_holm"], holm(raw))
    for told, p in zip(table["reading"], holm(raw), strict=True):
        assert told.startswith("different" if p < 0.05 else "no difference shown")


@cache
def sweep(patients: int = 12) -> dict[str, pd.DataFrame]:
    """Three cells: the winner is the paper's, near it, and far from it and from what the labels imply."""
    cells = [{"cohort": n, "calibration": c, "noise": 0.5} for n, c in (("a", 0.5), ("b", 1.0), ("c", 2.0))]
    means = [{0.2: 0.3, 0.6: 0.5, 0.8: 0.4}, {0.2: 0.3, 0.6: 0.499, 0.8: 0.5}, {0.2: 0.5, 0.6: 0.4, 0.8: 0.3}]
    values = [values_of(m, patients, k, cell) for k, (m, cell) in enumerate(zip(means, cells, strict=True))]
    alone = [labels_of(cell, [0.5, 0.7, 0.6]) for cell in cells]
    labels = pd.concat(alone, ignore_index=True)
    found = {
        "values": pd.concat(values, ignore_index=True),
        "labels": labels,
        "optima": compare_truth.optima(labels),
    }
    found["measured"] = sensitivity.curves(found["values"], rng())
    found["winners"] = sensitivity.winners(*(found[k] for k in ("values", "measured", "optima")), 0.6, rng(1))
    return found


def test_winners_by_hand():
    table = sweep()["winners"].set_index("cohort")
    assert table["winner"].to_dict() == {"a": 0.6, "b": 0.8, "c": 0.2}
    assert table["alike"].to_dict() == {"a": "60", "b": "60 80", "c": "20"}
    assert table["paper_alike"].to_dict() == {"a": True, "b": True, "c": False}
    assert table["departure"].to_dict() == {"a": 0.0, "b": 0.2, "c": -0.4}
    assert table["holds"].to_dict() == {"a": False, "b": False, "c": True}
    for what in ("cost", "gain"):  # the winner is the paper's and the implied one: nothing to compare
        own = table.loc["a", [f"{what}{end}" for end in ("", "_p")]].to_list()
        assert own == [0, 1] and table.loc["a", [f"{what}_low", f"{what}_high"]].isna().all()
    assert table.loc["c", "cost"] == pytest.approx(0.1)
    assert table.loc["c", "cost_low"] < table.loc["c", "cost"] < table.loc["c", "cost_high"]
    # exact p of 12 patients who all agree, six tests: two thresholds against the reference in each cell
    assert table.loc["c", "gain_p"] == pytest.approx(6 * 2 / 2**12)
    assert table["span"].to_dict() == pytest.approx({"a": 0.2, "b": 0.2, "c": 0.2})
    assert table["seed_winners"].to_dict() == {"a": "60", "b": "80", "c": "20"}
    assert table[["patients", "seeds"]].to_numpy().tolist() == [[12, 1]] * 3


def test_what_another_seed_does_not_repeat_is_no_finding():
    found = sweep()
    one = found["values"]
    turned = one.assign(seed=1, value=one["value"] + np.where(one["threshold"] == 0.6, 0.101, 0.0))
    for other, finding, seeds in ((one.assign(seed=1), True, 2), (turned, False, 1)):
        values = pd.concat([one, other])
        measured = sensitivity.curves(values, rng())
        table = sensitivity.winners(values, measured, found["optima"], 0.6, rng()).set_index("cohort")
        assert table.loc["c", "winner"] == 0.2 and table.loc["c", "gain_p"] < 0.05
        assert (table.loc["c", "holds"], table.loc["c", "gain_seeds"]) == (finding, seeds)
        assert (table.loc["c", "cost_seeds"], table.loc["c", "seeds"]) == (seeds, 2)
    assert table.loc["c", "seed_winners"] == "20 60"


def test_few_patients_make_no_finding():
    found = sweep(patients=5)["winners"]
    assert not found["holds"].any() and found["paper_alike"].all()
    assert found.loc[2, ["cost_low", "cost_p", "gain_p"]].isna().all()


def test_a_paper_threshold_without_an_arm_is_refused():
    found = sweep()
    with pytest.raises(ValueError, match="expected one of the arms' thresholds, got 0.5"):
        sensitivity.winners(found["values"], found["measured"], found["optima"], 0.5, rng())


def test_curves_repeat_with_their_seed():
    values = values_of({0.2: 0.4, 0.6: 0.41})
    pd.testing.assert_frame_equal(sensitivity.curves(values, rng(7)), sensitivity.curves(values, rng(7)))


# -- in words and in pictures


def features_of(values: pd.DataFrame, weak: float) -> pd.DataFrame:
    rows = [("b_line", 0.5), ("sub_a_line", weak)]
    return pd.DataFrame(
        [(*CELL.values(), f, 0.2, v, 9) for f, v in rows],
        columns=[*CELL, "feature", "threshold", "value", "patients"],
    )


def told_of(found: dict, winners: pd.DataFrame, weak: float) -> str:
    """What is told of a sweep whose masks at 0.5 are those at the own cuts."""
    by_cut = {cut: (winners, found["measured"]) for cut in ("own", "fixed")}
    two = ({cut: own[k] for cut, own in by_cut.items()} for k in (0, 1))
    return sentences.told(*two, found["labels"], features_of(found["values"], weak))


def test_the_sentences_are_those_of_the_tables():
    found = sweep()
    text = told_of(found, found["winners"], 0.01)
    first, *lines = text.splitlines()
    assert first == "At the learners' own cuts:"
    assert lines[0] == (
        "60 % wins in 1 of 3 cells, and cannot be distinguished from the winner in 2; "
        "it can at calibration 2 with noise 0.5."
    )
    assert lines[1].startswith("It costs 0.000 to 0.100 in IoU against the winner, most at calibration 2 ")
    assert lines[2] == "After Holm the winner is better than 60 % in 1 of 3 cells."
    assert lines[4] == (
        "At calibration 1 the winner is 80 %; the labels alone imply 60 % by IoU, 60 % pixel by pixel."
    )
    assert (
        "implied" not in text
        and "below the threshold that the labels imply by IoU in 1 of 3 cells, above it in 1." in text
    )
    held = "Departures that hold, given these trainings: 1 (calibration 2 with noise 0.5)"
    assert f"{held}; above what labels imply: 0." in lines
    assert "One seed: by how much another training would differ is not known." in lines
    assert "At its best the learner reaches 71 % of the IoU of the labels themselves." in lines
    assert "Learnt nowhere (IoU under 0.05 at every threshold): sub_a_line." in lines
    assert "The winner is the lowest or highest threshold tried in 2 of 3 cells." in lines
    assert "Nearly one arm" not in text and "nan" not in text


def test_where_the_paper_wins_everywhere_no_cost_is_placed_and_no_patients_are_missed():
    found = sweep()
    own = found["winners"].iloc[[0]].reset_index(drop=True)
    text = told_of(found | {"values": found["values"]}, own, 0.01)
    assert "It costs 0.000 in IoU against the winner.\n" in text
    assert "too few patients" not in text and "nan" not in text


def test_the_sentences_on_seeds_and_few_patients():
    found = sweep(patients=5)
    two = found["winners"].assign(seeds=2, seed_range=0.03, seed_winners=["60", "60 80", "20"])
    text = told_of(found, two, 0.2)
    assert "Seeds of one threshold lie up to 0.030 apart in IoU, and name one winner in 2 of 3 cells" in text
    assert "(too few patients for an interval)" in text and "nan" not in text
    assert "Learnt nowhere" not in text


def test_the_sentences_on_the_cut_by_hand():
    """60 % less 20 %: 0.3 and 0.1 at the own cuts, -0.2 and 0.1 at 0.5, where 20 % wins the first cell."""
    own, fixed = (
        pd.DataFrame(
            [
                (cohort, t, iou)
                for cohort, pair in ious.items()
                for t, iou in zip((0.2, 0.6), pair, strict=True)
            ],
            columns=["cohort", "threshold", "iou"],
        )
        for ious in ({"a": (0.1, 0.4), "b": (0.2, 0.3)}, {"a": (0.3, 0.1), "b": (0.2, 0.3)})
    )
    rows = {"own": ((0.6, 0.0), (0.6, 0.0)), "fixed": ((0.2, 0.2), (0.6, 0.0))}
    winners = {
        cut: pd.DataFrame(pairs, columns=["winner", "cost"]).assign(cohort=["a", "b"], paper=0.6)
        for cut, pairs in rows.items()
    }
    assert sentences.on_the_cut(winners, {"own": own, "fixed": fixed}) == [
        "Cut at 0.5 the winner is a lower threshold in 1 of 2 cells and a higher one in 0; 60 % costs 0.000 "
        "to 0.200 in IoU there, 0.000 at the own cuts.",
        "60 % less 20 %: 0.100 to 0.300 in IoU at the own cuts, above 0 in 2 of 2 cells; -0.200 to 0.100 at "
        "0.5, above 0 in 1.",
    ]


def test_the_maps_show_every_cell():
    found = sweep()
    lower = found["winners"].assign(winner=0.2)
    figure = report_sensitivity.maps({"own": found["winners"], "fixed": lower}, found["optima"])
    assert [text.get_text() for text in figure.axes[1].texts][::2] == ["20 %"] * 3
    own, _, by_iou, pixelwise = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert own[::2] == ["60 %", "80 %", "20 %"] and own[1] == "in 100 %"
    assert by_iou == ["60 %", "IoU 0.70"] * 3
    assert pixelwise == ["60 %", "from 50 %"] * 3
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert markers == ["o", "o", "*"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [
        "0.5\ntoo cautious", "1\ncalibrated", "2\ntoo sure"
    ]  # fmt: skip


def test_the_curves_have_a_panel_a_cell():
    found = sweep()
    fixed = found["measured"].assign(iou=found["measured"]["iou"] / 2)
    figure = report_sensitivity.curves({"own": found["measured"], "fixed": fixed}, found["labels"], 0.6)
    assert [ax.get_title() for ax in figure.axes] == [
        f"calibration {c}, noise 0.5" for c in ("0.5", "1", "2")
    ]
    paper, learner, half, labels, best, worse, implies = figure.axes[2].lines
    np.testing.assert_allclose(half.get_ydata(), learner.get_ydata() / 2)
    assert worse.get_ydata()[0] == best.get_ydata()[0] / 2
    assert list(paper.get_xdata()) == [60, 60]
    assert list(learner.get_xdata()) == [20, 60, 80] and list(labels.get_ydata()) == [0.5, 0.7, 0.6]
    assert best.get_xdata()[0] == 20 and implies.get_xdata()[0] == 60


def test_a_missing_cell_leaves_its_panel_empty():
    found = sweep()
    other = found["measured"].assign(noise=1.0, cohort="d").query("calibration == 1")
    alone = found["labels"].query("calibration == 1").assign(noise=1.0, cohort="d")
    measured, labels = pd.concat([found["measured"], other]), pd.concat([found["labels"], alone])
    figure = report_sensitivity.curves({"own": measured, "fixed": measured}, labels, 0.6)
    assert [ax.axison for ax in figure.axes] == [False, True, False, True, True, True]


def test_the_cost_is_filled_where_it_holds():
    found = sweep()["winners"]
    fixed = found.iloc[::-1].assign(cost=found["cost"] + 0.1, cost_p=0.01)
    ax = report_sensitivity.cost({"own": found, "fixed": fixed})
    faces = [line.get_markerfacecolor() for line in ax.lines[1:]]
    assert faces == ["white", "white", report_sensitivity.LEARNER, *[report_sensitivity.HALF] * 3]
    costs = [line.get_xdata()[0] for line in ax.lines[1:]]
    assert costs == pytest.approx([*found["cost"], *(found["cost"] + 0.1)])
    assert ax.get_yticklabels()[2].get_text() == "calibration 2, noise 0.5: 20 % wins"
