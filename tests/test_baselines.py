"""The baselines, against scikit-learn used plainly and against arithmetic."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GroupKFold

from lusnb.tasks import baselines, question
from lusnb.tasks.registry import TASKS

FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")
MEASURES = ["b_line_area", "b_line_columns", "pleura_columns", "pleura_thickness", "fuzzy_share"]


def standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Both by the training mean and SD; the others no further out than training."""
    mean, sd = train.mean(0), train.std(0)
    return [(np.clip(x, train.min(0), train.max(0)) - mean) / sd for x in (train, *others)]


# -- measures


def test_measures_by_hand():
    masks = np.zeros((2, 6, 8, 4), np.uint8)
    masks[0, 5, 4:, 1] = 1  # a B line: four of eight rows of one column, in one of two frames
    masks[0, 0, 2:4, :2] = 1  # sharp pleura, two rows thick, over two columns
    masks[0, 1, 3:6, 1] = 1  # fuzzy over the second of them: four rows together
    masks[1, 1, 7, 3] = 1  # and one pixel of the second frame
    masks[:, 2:5] = 1  # what is no measure
    found = baselines.measures(masks, FEATURES, 1)
    assert list(found) == MEASURES
    assert found == pytest.approx(
        {
            "b_line_area": 4 / 64,
            "b_line_columns": 1 / 8,
            "pleura_columns": 3 / 8,
            "pleura_thickness": (2 + 4 + 1) / 3 / 8,
            "fuzzy_share": 2 / 3,
        }
    )


def test_probabilities_count_in_full_for_the_area_and_from_one_half_for_the_rest():
    masks = np.zeros((1, 6, 2, 2), np.uint8)
    masks[0, 5] = [[127, 128], [0, 0]]
    found = baselines.measures(masks, FEATURES, 255)
    assert found["b_line_area"] == pytest.approx(1 / 4)
    assert found["b_line_columns"] == 1 / 2
    binary = (masks > 127).astype(np.uint8)
    assert baselines.measures(binary * 255, FEATURES, 255) == baselines.measures(binary, FEATURES, 1)


def test_a_clip_on_which_nothing_is_marked_measures_0():
    assert baselines.measures(np.zeros((3, 6, 4, 4), np.uint8), FEATURES, 1) == dict.fromkeys(MEASURES, 0.0)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (("b_line", "a_line"), MEASURES[:2]),
        (("a_line", "fuzzy_pleura"), MEASURES[2:4]),  # all of it fuzzy: the share would say nothing
        (("cell",), []),
    ],
)
def test_a_feature_that_the_cohort_lacks_gives_no_measure(features: tuple[str, ...], names: list[str]):
    masks = np.ones((1, len(features), 4, 4), np.uint8)
    assert list(baselines.measures(masks, features, 1)) == names


def table() -> pd.DataFrame:
    return pd.DataFrame({"burden": [0.1, 0.4, 0.2], "columns": [1.0, 0.5, 0.7]}, index=["a", "b", "c"])


def test_features_of_a_clip_a_change_and_two_days_by_hand():
    pairs = pd.DataFrame({"clip_1": ["a", "b"], "clip_2": ["b", "c"]})
    change = [[0.3, -0.5, 0.3, 0.5], [-0.2, 0.2, 0.2, 0.2]]
    np.testing.assert_allclose(question.difference(pairs, table()), change)
    both = [[0.1, 1.0, 0.4, 0.5], [0.4, 0.5, 0.2, 0.7]]
    np.testing.assert_allclose(question.both(pairs, table()), both)
    clips = pd.DataFrame({"clip_id": ["c", "a"]})
    np.testing.assert_allclose(question.own(clips, table()), [[0.2, 0.7], [0.1, 1.0]])


# -- models


def test_the_majority_class_wins_and_unseen_classes_stay_possible():
    logits = baselines.class_logits(pd.Series([2, 2, 0, 2]), 3, 5)
    np.testing.assert_allclose(np.exp(logits), np.tile([2 / 7, 1 / 7, 4 / 7], (5, 1)))


def chosen_alpha(x: np.ndarray, y: np.ndarray, patients: np.ndarray) -> float:
    """The penalty with the least squared error on patients left out, scaled without them, one fit each."""

    def error(alpha: float) -> float:
        misses = []
        for a, b in GroupKFold(baselines.PARTS).split(x, y, patients):
            z, z_at = standardised(x[a], x[b])
            misses.append(np.square(Ridge(alpha).fit(z, y[a]).predict(z_at) - y[b]).mean())
        return float(np.mean(misses))

    return min(baselines.ALPHAS, key=error)


def test_ridge_value_is_ridge_at_the_penalty_that_is_best_for_other_patients():
    rng = np.random.default_rng(0)
    x, at, patients = rng.normal(5, 3, (40, 2)), rng.normal(5, 3, (7, 2)), np.arange(40) // 4
    y = x @ [0.4, -0.1] + rng.normal(0, 2.0, 40)
    alpha = chosen_alpha(x, y, patients)
    assert baselines.ALPHAS[0] < alpha < baselines.ALPHAS[-1]
    z, z_at = standardised(x, at)
    found = baselines.ridge_value(x, y, patients, at)
    np.testing.assert_allclose(found, Ridge(alpha).fit(z, y).predict(z_at), rtol=1e-8)


def test_clips_of_one_patient_never_stand_on_both_sides():
    """Each patient has measures and a value of their own: only who knows the patient can predict it."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(10), 6)
    x, y = rng.normal(size=(10, 12))[patients], rng.normal(size=10)[patients]
    found = baselines.ridge_value(x, y, patients, x)
    z = standardised(x)[0]
    np.testing.assert_allclose(found, Ridge(baselines.ALPHAS[-1]).fit(z, y).predict(z))  # the strongest
    leaking = baselines.ridge_value(x, y, np.arange(60), x)
    np.testing.assert_allclose(leaking, y, atol=0.02)  # were clips left out one by one


def test_a_measure_far_beyond_training_goes_no_further_than_training_did():
    rng = np.random.default_rng(8)
    x = np.stack([rng.normal(size=40), np.r_[1e-6, np.zeros(39)]], 1)  # the second hardly ever marked
    y = x[:, 0] + rng.normal(0, 0.3, 40)
    patients, at = np.arange(40) // 4, np.array([[0.0, 0.5], [0.0, 1e-6], [9.0, 0.0], [x[:, 0].max(), 0.0]])
    first, second, third, fourth = baselines.ridge_value(x, y, patients, at)
    assert first == second and third == fourth and abs(first) < 2
    binary = (y > 0).astype(int)
    logits = baselines.logistic_logits(x, binary, patients, at, 2)
    np.testing.assert_allclose(logits[[0, 2]], logits[[1, 3]])


def test_ridge_value_of_a_constant_measure_is_the_training_mean():
    x, y = np.full((6, 1), 0.3), np.arange(6.0)
    found = baselines.ridge_value(x, y, np.arange(6) // 2, np.array([[0.3], [0.9]]))
    np.testing.assert_allclose(found, 2.5)


def classes_of(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    y = np.digitize(x[:, 0] + rng.normal(0, 0.7, count), [-0.5, 0.5])
    return x, y, np.arange(count) // 5


def test_ridge_chooses_the_class_of_a_ridge_classifier():
    x, y, patients = classes_of(1)
    at = np.random.default_rng(9).normal(size=(50, 2))
    logits = baselines.ridge_logits(x, y, patients, at, 3)
    z, z_at = standardised(x, at)
    fits = [RidgeClassifier(alpha).fit(z, y).decision_function(z_at) for alpha in baselines.ALPHAS]
    shares = [np.clip((fit + 1) / 2, 1 / (12 + 3), 1) for fit in fits]  # of -1 and 1: shares
    assert min(np.abs(share - np.exp(logits)).max() for share in shares) < 1e-8
    assert any((fit.argmax(1) == logits.argmax(1)).all() for fit in fits)


def test_ridge_shares_are_probabilities():
    x, y, patients = classes_of(2)
    logits = baselines.ridge_logits(x, y, patients, 50 * x, 3)  # far outside what was learnt
    assert np.exp(logits).min() == pytest.approx(1 / 15) and np.exp(logits).max() == pytest.approx(1)


@pytest.mark.parametrize("model", [baselines.ridge_logits, baselines.logistic_logits])
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_class_that_training_did_not_have_is_never_chosen(model, pair: tuple[int, int]):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 1))
    y = np.where(x[:, 0] > 0, pair[1], pair[0])
    logits = model(x, y, np.arange(30) // 3, np.array([[-3.0], [0.01], [3.0]]), 3)
    assert np.isfinite(logits).all()
    chosen = logits.argmax(1)
    assert set(chosen) <= set(pair)
    assert (chosen[0], chosen[-1]) == pair


@pytest.mark.parametrize("model", [baselines.ridge_logits, baselines.logistic_logits])
def test_a_class_that_stands_alone_wins(model):
    logits = model(np.ones((4, 1)), np.full(4, 1), np.array(["A", "A", "B", "C"]), np.zeros((2, 1)), 3)
    assert np.isfinite(logits).all() and (logits.argmax(1) == 1).all()


@pytest.mark.parametrize("model", [baselines.ridge_logits, baselines.logistic_logits])
def test_one_patient_alone_is_learnt_without_choosing_a_strength(model):
    x, y, _ = classes_of(3, 20)
    logits = model(x, y, np.full(20, "A"), x, 3)
    assert (logits.argmax(1) == y).mean() > 0.5


def test_logistic_regression_is_the_one_of_greatest_likelihood_on_other_patients():
    x, y, patients = classes_of(4)

    def likelihood(c: float) -> float:
        found = []
        for a, b in GroupKFold(baselines.PARTS).split(x, y, patients):
            z, z_at = standardised(x[a], x[b])
            p = LogisticRegression(C=c, max_iter=1000).fit(z, y[a]).predict_proba(z_at)
            found.append(np.log(p[np.arange(len(b)), y[b]]).mean())
        return float(np.mean(found))

    best = max(1 / baselines.ALPHAS, key=likelihood)
    z = standardised(x)[0]
    wanted = LogisticRegression(C=best, max_iter=1000).fit(z, y).predict_proba(z)
    logits = baselines.logistic_logits(x, y, patients, x, 3)
    np.testing.assert_allclose(softmax(logits, axis=1), wanted, atol=1e-4)


def test_a_patient_whose_class_nobody_else_has_stops_nothing():
    x, y, patients = classes_of(5)
    y = np.where(patients == 3, 2, np.minimum(y, 1))  # the split without that patient knows two classes
    logits = baselines.logistic_logits(x, y, patients, x, 3)
    assert logits.shape == (60, 3) and np.isfinite(logits).all()


# -- all together


def units(task: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Known and asked units and the clips' measures, of a random cohort of eight patients."""
    rng = np.random.default_rng(6)
    ids = [f"c{k}" for k in range(30)]
    known = pd.DataFrame({"patient_id": np.repeat(list("ABCDEFGH"), 5)})
    for name in ("clip_id",) if task == "sf_ratio" else ("clip_1", "clip_2"):
        known[name] = rng.choice(ids, len(known))
    if task == "sf_ratio":
        known["day"] = np.arange(len(known)) % 5 // 3  # two days a patient, three clips and two
        known["truth"] = rng.random(16)[np.arange(len(known)) // 5 * 2 + known["day"]]
    else:
        known["truth"] = np.arange(len(known)) % len(TASKS[task].question.classes)
    if task == "sf_change":
        known["day_1"], known["day_2"] = 0, np.arange(len(known)) % 2
    return known, known.iloc[::-3].drop(columns="truth"), pd.DataFrame(rng.random((30, 2)), index=ids)


@pytest.mark.parametrize(
    ("task", "names", "width"),
    [
        ("sf_change", ["majority", "ridge", "logistic"], 3),
        ("sf_ratio", ["mean", "ridge"], 1),
        ("readmission", ["majority", "ridge", "logistic"], 2),
    ],
)
def test_every_baseline_answers_every_unit(task: str, names: list[str], width: int):
    known, asked, measured = units(task)
    found = baselines.predict(TASKS[task].question, known, asked, measured)
    assert list(found) == names
    assert all(value.shape == (len(asked), width) and np.isfinite(value).all() for value in found.values())
    for nothing in (None, measured[[]]):
        assert list(baselines.predict(TASKS[task].question, known, asked, nothing)) == names[:1]


def test_the_mean_and_the_regressions_learn_from_the_known_units_alone():
    known, asked, measured = units("sf_ratio")
    found = baselines.predict(TASKS["sf_ratio"].question, known, asked, measured)
    days = known.groupby(["patient_id", "day"])["truth"].first()  # however many clips a day has
    assert len(days) < len(known) and found["mean"] == pytest.approx(days.mean())
    x, at = (measured.loc[t["clip_id"]].to_numpy() for t in (known, asked))
    wanted = baselines.ridge_value(x, known["truth"].to_numpy(), known["patient_id"].to_numpy(), at)
    np.testing.assert_allclose(found["ridge"][:, 0], wanted)


def test_the_majority_of_readmission_is_that_of_patients_and_not_of_their_views():
    rows = [("A", 1)] * 6 + [("B", 0), ("C", 0)]
    known = pd.DataFrame(rows, columns=["patient_id", "truth"])
    found = baselines.predict(TASKS["readmission"].question, known, known[:1], None)["majority"]
    np.testing.assert_allclose(np.exp(found), [[3 / 5, 2 / 5]])


def test_the_majority_of_a_change_is_that_of_pairs_of_one_day_or_of_two():
    rows = [("A", 0, 0, 1)] * 4 + [("A", 0, 1, 2)] * 2 + [("B", 0, 1, 0), ("B", 1, 2, 2)]
    known = pd.DataFrame(rows, columns=["patient_id", "day_1", "day_2", "truth"])
    asked = known.iloc[[4, 0]]
    found = baselines.predict(TASKS["sf_change"].question, known, asked, None)["majority"]
    np.testing.assert_allclose(np.exp(found), [[2 / 7, 1 / 7, 4 / 7], [1 / 7, 5 / 7, 1 / 7]])
