"""The trivial baselines, against scikit-learn used plainly and against arithmetic."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import LeaveOneOut

from lusnb import baselines


def standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    mean, sd = train.mean(0), train.std(0)
    return [(x - mean) / sd for x in (train, *others)]


def chosen_alpha(x: np.ndarray, y: np.ndarray) -> float:
    """The penalty with the least leave-one-out squared error, one fit a held-out row."""

    def error(alpha: float) -> float:
        misses = [
            np.square(Ridge(alpha).fit(x[a], y[a]).predict(x[b]) - y[b]).sum()
            for a, b in LeaveOneOut().split(x)
        ]
        return float(np.mean(misses))

    return min(baselines.ALPHAS, key=error)


def test_burden_is_the_share_of_one_feature_s_pixels():
    masks = np.zeros((2, 3, 4, 4), np.uint8)
    masks[0, 1, :2] = 1  # half of one of two frames
    masks[:, 2] = 1
    assert baselines.burden(masks, 1, 1) == 0.25
    assert baselines.burden(masks * 255, 1, 255) == 0.25
    assert baselines.burden(masks, 0, 1) == 0.0


def test_the_majority_class_wins_and_unseen_classes_stay_possible():
    logits = baselines.class_logits(pd.Series([2, 2, 0, 2]), 3, 5)
    np.testing.assert_allclose(np.exp(logits), np.tile([2 / 7, 1 / 7, 4 / 7], (5, 1)))


def test_ridge_value_is_leave_one_out_ridge_on_standardised_features():
    rng = np.random.default_rng(0)
    x, at = rng.normal(5, 3, (25, 2)), rng.normal(5, 3, (7, 2))
    y = x @ [0.4, -0.1] + rng.normal(0, 2.0, 25)
    z, z_at = standardised(x, at)
    alpha = chosen_alpha(z, y)
    assert baselines.ALPHAS[0] < alpha < baselines.ALPHAS[-1]
    np.testing.assert_allclose(
        baselines.ridge_value(x, y, at), Ridge(alpha).fit(z, y).predict(z_at), rtol=1e-8
    )


def test_ridge_value_of_a_constant_burden_is_the_training_mean():
    x, y = np.full((6, 1), 0.3), np.arange(6.0)
    np.testing.assert_allclose(baselines.ridge_value(x, y, np.array([[0.3], [0.9]])), 2.5)


def test_ridge_logits_are_the_decision_values_of_a_ridge_classifier():
    rng = np.random.default_rng(1)
    x, at = rng.normal(size=(40, 2)), rng.normal(size=(9, 2))
    y = np.digitize(x[:, 0] + rng.normal(0, 0.7, 40), [-0.5, 0.5])
    z, z_at = standardised(x, at)
    logits = baselines.ridge_logits(x, y, at, 3)
    fits = [RidgeClassifier(alpha).fit(z, y).decision_function(z_at) for alpha in baselines.ALPHAS]
    assert min(np.abs(fit - logits).max() for fit in fits) < 1e-8


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_ridge_logits_never_choose_a_class_that_training_did_not_have(pair: tuple[int, int]):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 1))
    y = np.where(x[:, 0] > 0, pair[1], pair[0])
    chosen = baselines.ridge_logits(x, y, np.array([[-3.0], [0.01], [3.0]]), 3).argmax(1)
    assert set(chosen) <= set(pair)
    assert (chosen[0], chosen[-1]) == pair


def test_ridge_logits_of_a_class_that_stands_alone():
    logits = baselines.ridge_logits(np.ones((4, 1)), np.full(4, 1), np.zeros((2, 1)), 3)
    assert (logits.argmax(1) == 1).all()


def test_features_of_a_change_and_of_two_days_by_hand():
    burdens = pd.Series({"a": 0.1, "b": 0.4, "c": 0.2})
    pairs = pd.DataFrame({"clip_1": ["a", "b"], "clip_2": ["b", "c"]})
    np.testing.assert_allclose(baselines.change_features(pairs, burdens), [[0.3, 0.3], [-0.2, 0.2]])
    np.testing.assert_allclose(baselines.day_features(pairs, burdens), [[0.1, 0.4], [0.4, 0.2]])
