"""Models against the training mean, with something to know and without: by hand, by counting."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import beta, binom

from lusnb import stats
from lusnb.compare import linked
from lusnb.report import linked as report_linked
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_all() -> Iterator[None]:
    yield
    plt.close("all")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def asked(**change: object) -> dict:
    return {"source": "phantom", "null": "none", "link": 1.0, **change}


WHERE = linked.kinds({"a": asked(), "b": asked(null="outcome")})
SCORE = ["task", "arm", "model", "seed", "fold", "split", "patient_id", "metric", "value"]


def score(arm: str, model: str, patient: str, value: float, fold: int = 1, seed: int = 0, **change: str):
    row = ("sf_ratio", arm, model, seed, fold, "test", patient, "mse_mean", value)
    return {**dict(zip(SCORE, row, strict=True)), **change}


# -- what was measured


def test_kinds_put_null_cohorts_last():
    table = linked.kinds({"n": asked(null="outcome", link=0.6), "s": asked(), "t": asked(link=0.9)})
    assert table.to_numpy().tolist() == [["s", False, 1.0], ["t", False, 0.9], ["n", True, 0.6]]


@pytest.mark.parametrize("change", [{"null": "confidence"}, {"source": "import"}])
def test_kinds_refuse_what_has_no_link(change: dict):
    with pytest.raises(
        ValueError, match=r"cohort x: expected a phantom with null none or outcome, got source"
    ):
        linked.kinds({"x": asked(**change)})


def mean_rows(patient: str, misses: dict[int, float], arm: str = "t020") -> list[dict]:
    """The training mean's rows of a patient with one day: by how much each fold's mean misses it."""
    rows = []
    for fold, miss in misses.items():
        rows.append(score(arm, "mean", patient, miss**2, fold))
    return rows


def test_errors_by_hand():
    rows = [
        score("t020", "tsm", "p", 0.1, fold=1),
        score("t020", "tsm", "p", 0.3, fold=2),
        score("t020", "tsm", "q", 0.5, fold=1, seed=0),
        score("t020", "tsm", "q", 0.7, fold=1, seed=1),
        score("t020", "ridge", "p", 0.8),
        score("grayscale", "tsm", "p", 0.6),
        *mean_rows("p", {1: 0.5, 2: 0.5}),
        *mean_rows("p", {1: 0.5, 2: 0.5}, "grayscale"),
        *mean_rows("q", {1: 2.0, 2: 2.0}),
        # none of these counts
        score("t020", "tsm", "p", 9.0, split="validation"),
        score("t020", "tsm", "p", 9.0, metric="rmse_mean"),
        score("t020", "tsm", "p", 9.0, task="readmission"),
        score("t020", "tsm", "", 9.0),
    ]
    table = linked.errors({"a": pd.DataFrame(rows)}, WHERE[:1])
    found = table.set_index(["arm", "model", "patient_id"])[["error", "of_mean"]]
    assert found.index[-1] == ("t020", "ridge", "p"), "TSM comes first"
    assert len(found) == 4
    assert found.loc[("t020", "tsm", "p")].to_numpy() == pytest.approx([0.2, 0.25])
    assert found.loc[("t020", "tsm", "q")].to_numpy() == pytest.approx([0.6, 4.0])
    assert found.loc[("grayscale", "tsm", "p")].to_numpy() == pytest.approx([0.6, 0.25])
    assert set(table["cohort"]) == {"a"}
    assert not table["null"].any()


def test_the_mean_of_means_over_days_and_folds():
    """From predictions: the errors of one constant, the mean of three, over the days of a patient."""
    truth, constants = np.array([0.2, 0.5, 0.9]), {1: 0.3, 2: 0.45, 3: 0.9}
    rows = [
        ("t", model, 0, fold, "test", "p", f"c{day}", day, true, c if model == "mean" else true)
        for fold, c in constants.items()
        for day, true in enumerate(truth)
        for model in ("tsm", "mean")
    ]
    columns = [*tasks_scores.RUN, "patient_id", "clip_id", "day", "truth", "prediction"]
    scores = tasks_scores.score(TASKS["sf_ratio"], pd.DataFrame(rows, columns=columns)).assign(
        task="sf_ratio"
    )
    table = linked.errors({"a": scores}, WHERE[:1])
    assert table["of_mean"].tolist() == pytest.approx([((0.55 - truth) ** 2).mean()])
    assert table["error"].tolist() == [0]


def test_errors_of_folds_put_together_count_alone():
    rows = [score("t", "tsm", "p", value, fold) for fold, value in ((0, 0.25), (1, 1.0))]
    rows += mean_rows("p", {0: 2.0, 1: 7.0}, "t")
    table = linked.errors({"a": pd.DataFrame(rows)}, WHERE[:1])
    assert table[["error", "of_mean"]].to_numpy().tolist() == [[0.25, 4.0]]


def test_errors_say_what_a_cohort_lacks():
    told = "cohort a: expected mse_mean of sf_ratio of test patients in .* add sf_ratio to tasks"
    with pytest.raises(ValueError, match=told):
        linked.errors({"a": pd.DataFrame([score("t", "tsm", "p", 1.0)])}, WHERE[:1])


def test_congestion_known_by_hand(tmp_path: Path):
    patients = pd.DataFrame({"patient_id": list("uvwx"), "split": ["train", "validation", "train", "test"]})
    rows = [
        ("u0", "u", 0, 0.9),
        ("v0", "v", 0, 0.6),
        ("w0", "w", 0, 0.3),
        ("x0", "x", 0, 0.8),
        ("x0b", "x", 0, 0.8),
        ("x1", "x", 1, 0.2),
        ("x2", "x", 2, np.nan),  # nobody measured it
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "patient_id", "day", "sf_ratio"])
    drawn = {"u0": 0.1, "v0": 0.3, "w0": 0.5, "x0": 0.1, "x0b": 0.3, "x1": 0.9, "x2": 0.5}
    pd.Series(drawn, name="congestion").rename_axis("clip_id").to_csv(tmp_path / "scenes.csv")
    found = linked.known("a", SimpleNamespace(folder=tmp_path, patients=patients, clips=clips))
    # day 0: at 0.2, half way from 0.9 to 0.6; day 1: beyond the wettest, 0.3. The others' mean is 0.6
    assert found["error"].tolist() == pytest.approx([((0.75 - 0.8) ** 2 + (0.3 - 0.2) ** 2) / 2])
    assert found["of_mean"].tolist() == pytest.approx([((0.6 - 0.8) ** 2 + (0.6 - 0.2) ** 2) / 2])
    assert found[["cohort", "null", "arm", "model", "patient_id"]].to_numpy().tolist() == [
        ["a", False, "", "congestion", "x"]
    ]
    assert list(found) == linked.ERRORS


# -- is it better than the mean?


def measured(saved: dict[tuple[str, bool, str], np.ndarray]) -> pd.DataFrame:
    """Errors of models (cohort, null, model) that are the mean's, 1 in every patient, less what is saved."""
    rows = [
        (cohort, null, "t", model, f"p{k}", 1 - value, 1.0)
        for (cohort, null, model), values in saved.items()
        for k, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=linked.ERRORS)


UP = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
MIXED = np.array([-0.4, 0.5, -0.3, 0.2, 0.1, -0.2, 0.3, -0.1])


def test_compared_by_hand():
    found = measured({("a", False, "tsm"): UP, ("a", False, "ridge"): -UP, ("b", True, "tsm"): MIXED})
    table = linked.compared(found, rng()).set_index(["cohort", "model"])
    up, down, mixed = (table.loc[key] for key in (("a", "tsm"), ("a", "ridge"), ("b", "tsm")))
    assert up["patients"] == 8
    assert up[["error", "of_mean", "difference", "saved"]].tolist() == pytest.approx([0.55, 1.0, 0.45, 0.45])
    assert up["p"] == pytest.approx(2 / 2**8)  # of all ways to flip signs only these two reach it
    assert up["p_better"] == pytest.approx(1 / 2**8)
    assert down["p_better"] == pytest.approx(1 - 1 / 2**8)
    assert table[["beats", "worse", "flips"]].to_numpy().tolist() == [
        [True, False, True],
        [False, True, False],
        [False, False, False],
    ]
    low, high = stats.interval(UP, rng())
    assert up[["low", "high"]].tolist() == pytest.approx([low, high])
    assert mixed["low"] < mixed["difference"] < mixed["high"]


def test_saved_is_a_share_of_the_means_error():
    found = measured({("a", False, "tsm"): UP}).assign(of_mean=2.0)
    table = linked.compared(found, rng())
    assert table.loc[0, "saved"] == pytest.approx((2 - 0.55) / 2)


def test_order_of_patients_does_not_matter():
    found = measured({("a", False, "tsm"): MIXED})
    assert linked.compared(found, rng()).equals(linked.compared(found[::-1], rng()))


def test_few_patients_are_refused():
    with pytest.raises(
        ValueError, match=r"cohort a: expected at least 6 test patients, got 5; widen the test"
    ):
        linked.compared(measured({("a", False, "tsm"): UP[:5]}), rng())


def verdicts(beats: list[bool], **change: object) -> pd.DataFrame:
    """Null cohorts of one model each, of which some beat the mean."""
    table = pd.DataFrame({"cohort": [f"n{k}" for k in range(len(beats))], "beats": beats})
    difference = np.where(beats, 0.1, -0.1)
    same = {"null": True, "arm": "t", "model": "tsm", "p": 0.5, "flips": False, "worse": False}
    return table.assign(difference=difference, patients=20, **{**same, **change})


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_rates_beside_the_binomial(count: int):
    n = 20
    table = linked.rates(verdicts([k < count for k in range(n)], flips=True, worse=True))
    row = table[table["model"] == "tsm"].iloc[0]
    assert row[["cohorts", "beats", "rate", "flips", "worse"]].tolist() == [n, count, count / n, n, n]
    # Clopper and Pearson by quantiles of the beta distribution
    assert row["low"] == pytest.approx(beta.ppf(0.025, count, n - count + 1) if count else 0.0)
    assert row["high"] == pytest.approx(beta.ppf(0.975, count + 1, n - count) if count < n else 1.0)
    assert row["nominal"] == pytest.approx(0.025)
    assert row["p_more"] == pytest.approx(binom.sf(count - 1, n, 0.025))


def test_any_multiplies_p_by_the_models():
    same = {"null": True, "beats": False, "flips": False, "worse": False, "patients": 20}
    rows = [
        ("n0", "tsm", 0.1, 0.024),  # 2 x 0.024 < 0.05
        ("n0", "ridge", 0.1, 0.9),
        ("n1", "tsm", 0.1, 0.026),  # 2 x 0.026 > 0.05
        ("n1", "ridge", -0.1, 0.01),  # sure, but worse
        ("n2", "tsm", -0.1, 0.01),
        ("n2", "ridge", 0.1, 0.03),
    ]
    table = pd.DataFrame(rows, columns=["cohort", "model", "difference", "p"]).assign(arm="t", **same)
    row = linked.rates(table).iloc[-1]
    assert row[["model", "cohorts", "beats", "flips", "worse"]].tolist() == ["any", 3, 1, 1, 2]


def test_rates_leave_linked_cohorts_out():
    table = pd.concat([verdicts([True] * 3, null=False), verdicts([False] * 4)])
    assert linked.rates(table)[["cohorts", "beats"]].to_numpy().tolist() == [[4, 0], [4, 0]]
    assert linked.rates(verdicts([True], null=False)).empty


def test_a_model_of_chance_beats_at_the_nominal_rate():
    """What is saved scatters about zero: 2.5 of 100 cohorts beat the mean, as many are worse."""
    draws, n = rng(5), 80
    saved = {(f"n{k}", True, "tsm"): draws.normal(0, 1, 40) for k in range(n)}
    row = linked.rates(linked.compared(measured(saved), draws)).iloc[0]
    for count in row[["beats", "flips", "worse"]]:
        assert binom.ppf(0.001, n, 0.025) <= count <= binom.ppf(0.999, n, 0.025)
    assert row["beats"] + row["worse"] > 0


# -- in words and in pictures


@pytest.mark.parametrize(
    ("arm", "model", "said"),
    [
        ("t020", "tsm", "TSM, masks of t020"),
        ("grayscale", "tsm", "TSM, grayscale alone"),
        ("true_masks", "ridge", "ridge, true masks"),
        ("", "congestion", "congestion known"),
        ("", "any", "any of them"),
    ],
)
def test_titles(arm: str, model: str, said: str):
    assert linked.title(arm, model) == said


def both() -> pd.DataFrame:
    saved = {("a", False, "tsm"): UP, ("b", False, "tsm"): UP / 2}
    saved |= {(f"n{k}", True, "tsm"): UP if k == 0 else MIXED - 0.01 * k for k in range(20)}
    found = measured(saved)
    best = measured({("a", False, "congestion"): UP + 0.1}).assign(arm="")
    return linked.compared(pd.concat([found, best]), rng())


def test_told_says_what_the_tables_say():
    table = both()
    lines = linked.told(table, linked.rates(table)).split("\n")
    assert lines[0] == "Linked: 2 cohorts of 8 test patients."
    assert lines[1].startswith("TSM, masks of t: squared error 22 to 45 % below the training mean's; ")
    assert "lies above zero in 2 of 2" in lines[1]
    assert lines[2].startswith("congestion known: squared error 55 % below")
    assert lines[3] == "Null: 20 cohorts of 8 test patients; 2.5 % would be 0.5 of 20."
    assert (
        "beats the mean in 1 of 20 (95 % interval of the rate 0 to 25 %), by the sign-flip test in 1"
        in lines[4]
    )
    assert lines[5].startswith("At least one model beats it, Bonferroni over the models, in 1 of 20")
    assert lines[6] == (
        "More often than 2.5 % allows: none. In 20 cohorts that would take 3; rarer excess is not ruled out."
    )


def test_told_says_what_is_missing():
    table = both()
    nothing = linked.rates(table[~table["null"]])
    assert "by chance alone is not shown" in linked.told(table[~table["null"]], nothing)
    null = table[table["null"]]
    assert linked.told(null, linked.rates(null)).startswith("No cohort with a link")


@pytest.mark.parametrize("n", [1, 5, 20, 100])
def test_needed_by_counting(n: int):
    enough = [k for k in range(n + 1) if binom.sf(k - 1, n, 0.025) < 0.05]
    assert linked._needed(n) == (min(enough) if enough else n + 1)


def test_picture_shows_each_cohort_once():
    table = both()
    figure = report_linked.picture(table)
    strong, null, p = figure.axes
    assert strong.get_title() == "S/F follows congestion: 2 phantom cohorts"
    assert null.get_title() == "S/F at random: 20 phantom cohorts"
    assert [t.get_text() for t in strong.get_yticklabels()] == ["TSM\nmasks of t", "congestion known"]
    points = lambda ax: sorted(  # noqa: E731
        float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"
    )
    for ax, own in ((strong, table[~table["null"]]), (null, table[table["null"]])):
        assert points(ax) == pytest.approx(sorted(own["difference"]))
    assert strong.get_xlim() == null.get_xlim()
    assert [t.get_text() for t in null.texts] == ["not asked"]  # the congestion
    steps = p.lines[-1].get_xydata()
    assert steps[1].tolist() == pytest.approx([table.loc[table["null"], "p_better"].min(), 1 / 20])


def test_colour_tells_where_the_interval_lies():
    found = measured({("a", True, "up"): UP, ("a", True, "down"): -UP, ("a", True, "mixed"): MIXED})
    table = linked.compared(found, rng())
    ax = report_linked.against_mean(table, [("t", "up"), ("t", "down"), ("t", "mixed")])
    colours = [line.get_color() for line in ax.lines if line.get_marker() == "o"]
    assert colours == [report_linked.BETTER, report_linked.WORSE, report_linked.NEITHER]


@pytest.mark.parametrize("null", [True, False])
def test_picture_of_one_kind_alone(null: bool):
    table = both()
    figure = report_linked.picture(table[table["null"] == null])
    assert sum("no cohort" in ax.get_title() for ax in figure.axes) == 1
