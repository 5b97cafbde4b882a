"""What a network must beat: the majority class, the training mean, and ridge and logistic regression on a
handful of measures of the masks (B-line burden, pleura).

How strongly these regress is chosen by cross-validation over patients: clips of one patient never stand on
both sides.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

from lusnb.tasks.question import Question

ALPHAS = np.logspace(-2, 3, 6)  # strengths of the penalty; of logistic regression their inverses
PARTS = 5  # of the training patients, to choose the strength
PLEURA = ("sharp_pleura", "fuzzy_pleura")
B_LINE = "b_line"


# -- measures of a clip


def measures(masks: np.ndarray, features: tuple[str, ...], full: int) -> dict[str, float]:
    """What a clip's masks say of congestion, averaged over its frames; 0 where nothing is marked.

    masks: uint8 (T, C, H, W), 0 to `full`, C in the order of `features`. A pixel is marked above full / 2.
    b_line_area: share of the area, as probabilities where the masks are. b_line_columns: share of the columns
    with any B line. pleura_columns: share of the columns with any pleura, sharp or fuzzy; pleura_thickness:
    its mean share of the height over these columns; fuzzy_share: the share of them with fuzzy pleura. A
    feature that the cohort lacks gives no measure.
    """
    where = {name: masks[:, k] for k, name in enumerate(features)}  # each (T, H, W)
    marked = {name: mask > full / 2 for name, mask in where.items() if name in (*PLEURA, B_LINE)}
    found = {}
    if B_LINE in marked:
        found["b_line_area"] = float(where[B_LINE].mean() / full)
        found["b_line_columns"] = float(marked[B_LINE].any(1).mean())
    pleura = [marked[name] for name in PLEURA if name in marked]
    if pleura:
        every = np.any(pleura, axis=0)
        columns = every.any(1)  # (T, W)
        count = max(1, columns.sum())
        found["pleura_columns"] = float(columns.mean())
        found["pleura_thickness"] = float(every.sum() / every.shape[1] / count)
        if len(pleura) == len(PLEURA):
            found["fuzzy_share"] = float(marked["fuzzy_pleura"].any(1).sum() / count)
    return found


# -- models


def class_logits(truth: pd.Series, classes: int, count: int) -> np.ndarray:
    """Log frequencies of the training classes (one added to each), the same for `count` predictions."""
    frequency = np.bincount(truth, minlength=classes) + 1
    return np.tile(np.log(frequency / frequency.sum()), (count, 1))


def _fitted(
    model: Ridge | LogisticRegression,
    grid: dict[str, np.ndarray],
    scoring: str | Callable,
    x: np.ndarray,
    y: np.ndarray,
    patients: np.ndarray,
) -> Pipeline:
    """The model on standardised features, its strength the best over the patients left out, in turn.

    A feature beyond what training showed is taken as the nearest that it did: masks of another segmenter may
    be of another kind, and a line drawn on has no bounds. A split whose training part holds one class alone
    does not count; without any split the model's own strength stays.
    """
    line = make_pipeline(MinMaxScaler(clip=True), StandardScaler(), model)
    count = min(PARTS, len(np.unique(patients)))
    splits = list(GroupKFold(count).split(x, y, patients)) if count > 1 else []
    splits = [(a, b) for a, b in splits if len(np.unique(y[a], axis=0)) > 1]
    with threadpool_limits(1):  # so small that threads would but wait for each other
        if not splits:
            return line.fit(x, y)
        return GridSearchCV(line, grid, scoring=scoring, cv=splits).fit(x, y).best_estimator_


def ridge_value(x: np.ndarray, y: np.ndarray, patients: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Ridge regression of a value, or of several at once: x (n, k), y (n,) or (n, m), at (j, k) -> (j,) or
    (j, m). patients: of each row of x."""
    grid = {"ridge__alpha": ALPHAS}
    return _fitted(Ridge(), grid, "neg_mean_squared_error", x, y, patients).predict(at)


def ridge_logits(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, at: np.ndarray, classes: int
) -> np.ndarray:
    """Ridge classification: the logarithm of the share that least squares gives each class, (j, classes).

    The class with the largest share is that of a ridge classifier. Shares are kept between 0 and 1: at least
    that of one unseen patient (`_floor`).
    """
    shares = ridge_value(x, np.eye(classes)[y], patients, at)
    return np.log(np.clip(shares, _floor(patients, classes), 1.0))


def _floor(patients: np.ndarray, classes: int) -> float:
    """The smallest share of a class: that of one not seen among the patients, one added to each."""
    return 1 / (len(np.unique(patients)) + classes)


def logistic_logits(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, at: np.ndarray, classes: int
) -> np.ndarray:
    """Logistic regression: log probabilities (j, classes), at least `_floor` for a class not in training.

    Where training has one class alone: its log frequency, for every row.
    """
    known = np.unique(y)
    if len(known) == 1:
        return class_logits(pd.Series(y), classes, len(at))
    grid = {"logisticregression__C": 1 / ALPHAS}
    model = _fitted(LogisticRegression(max_iter=1000), grid, _log_likelihood, x, y, patients)
    logits = np.full((len(at), classes), np.log(_floor(patients, classes)))
    logits[:, known] = model.predict_log_proba(at)
    return logits


def _log_likelihood(model: Pipeline, x: np.ndarray, y: np.ndarray) -> float:
    """Mean log probability of the true class, over the rows whose class the model knows; 0 without any."""
    known = np.isin(y, model.classes_)
    if not known.any():
        return 0.0
    own = np.searchsorted(model.classes_, y[known])
    return float(model.predict_log_proba(x[known])[np.arange(len(own)), own].mean())


def _trivial(question: Question, known: pd.DataFrame, asked: pd.DataFrame) -> dict[str, np.ndarray]:
    """The answer of who knows only how the truth is spread; see `predict`."""
    known = known.drop_duplicates([*question.once]) if question.once else known
    if not question.classes:
        return {"mean": np.full((len(asked), 1), known["truth"].mean())}
    out = np.empty((len(asked), len(question.classes)))
    for kind in (True, False):
        own, alike = (question.of_a_kind(units) == kind for units in (asked, known))
        out[own] = class_logits(known.loc[alike, "truth"], len(question.classes), own.sum())
    return {"majority": out}


def predict(
    question: Question, known: pd.DataFrame, asked: pd.DataFrame, table: pd.DataFrame | None
) -> dict[str, np.ndarray]:
    """Outputs of every baseline for the units asked about, learnt from the known units alone.

    known, asked: units of the question, with patient_id, truth, and clip_id or clip_1 and clip_2. table: the
    clips' `measures`, indexed by clip_id; None, or without a column, leaves the regressions out. Returns
    model -> float (units, 1), of a value, or (units, classes), logits: mean, ridge; or majority, ridge,
    logistic. The mean and the majority count each truth once (question.once): a patient's day, however many
    clips it has. The majority answers units of two kinds apart (question.of_a_kind): pairs of two days, or of
    one, since who knows the days knows that one day's pairs are the same.
    """
    truth, patients = known["truth"].to_numpy(), known["patient_id"].to_numpy()
    found, classes = _trivial(question, known, asked), len(question.classes)
    if table is None or table.shape[1] == 0:
        return found
    x, at = (question.features(units, table) for units in (known, asked))
    if not classes:
        return found | {"ridge": ridge_value(x, truth, patients, at)[:, None]}
    learnt = (x, truth.astype(int), patients, at, classes)
    return found | {"ridge": ridge_logits(*learnt), "logistic": logistic_logits(*learnt)}
