"""What a network must beat: the majority class, the training mean, ridge regression on B-line burden."""

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

ALPHAS = np.logspace(-2, 3, 11)


def burden(masks: np.ndarray, feature: int, full: int) -> float:
    """Share of a clip's pixels predicted as one feature: masks uint8 (T, C, H, W), 0 to `full`."""
    return float(masks[:, feature].mean() / full)


def class_logits(truth: pd.Series, classes: int, count: int) -> np.ndarray:
    """Log frequencies of the training classes (one added to each), the same for `count` predictions."""
    frequency = np.bincount(truth, minlength=classes) + 1
    return np.tile(np.log(frequency / frequency.sum()), (count, 1))


def _ridge(model: RidgeCV | RidgeClassifierCV) -> Pipeline:
    return make_pipeline(StandardScaler(), model)


def ridge_value(train_x: np.ndarray, train_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Ridge regression of a value: (n, k) -> (n,)."""
    return _ridge(RidgeCV(ALPHAS)).fit(train_x, train_y).predict(x)


def ridge_logits(train_x: np.ndarray, train_y: np.ndarray, x: np.ndarray, classes: int) -> np.ndarray:
    """Ridge classification: decision values as logits (n, classes); a class that stands alone wins."""
    present = np.unique(train_y)
    logits = np.full((len(x), classes), -1.0)
    if len(present) == 1:
        logits[:, present[0]] = 1.0
        return logits
    value = _ridge(RidgeClassifierCV(ALPHAS)).fit(train_x, train_y).decision_function(x)
    logits[:, present] = np.stack([-value, value], 1) if value.ndim == 1 else value
    return logits


def change_features(pairs: pd.DataFrame, burdens: pd.Series) -> np.ndarray:
    """Burden of the second clip less that of the first, and the size of that difference: (n, 2)."""
    change = burdens.loc[pairs["clip_2"]].to_numpy() - burdens.loc[pairs["clip_1"]].to_numpy()
    return np.stack([change, np.abs(change)], 1)


def day_features(units: pd.DataFrame, burdens: pd.Series) -> np.ndarray:
    """Burden on the first and on the second day: (n, 2)."""
    return np.stack([burdens.loc[units[c]].to_numpy() for c in ("clip_1", "clip_2")], 1)
