"""The reference of each task: what is predicted by who knows nothing but how the outcome is spread."""

import numpy as np
import pandas as pd
from scipy.special import softmax

TRIVIAL = ("majority", "mean")  # models that give every unit of a kind the same answer
UNIT = ("patient_id", "view", "day", "clip_id", "day_1", "day_2", "clip_1", "clip_2")


def one(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions with one and the same of a trivial model for a unit, in whatever fold tests it.

    That is the mean of what it says in these folds: of S/F, or of the probabilities, whose logarithms become
    the logits. Where folds test the same patients a fold's own constant knows fewer patients, and the mean
    error of several constants is that of their mean plus their variance, in every patient alike: held against
    them a constant that knows nothing is better beyond doubt. Where each patient is tested in one fold
    nothing changes, nor for validation patients, nor for other models.

    predictions: as tasks/scores.py says.
    """
    chosen = predictions["model"].isin(TRIVIAL) & (predictions["split"] == "test")
    values = [name for name in predictions if name == "prediction" or name.startswith("logit_")]
    if not (chosen.any() and values):
        return predictions
    table, own = predictions.copy(), predictions[chosen]
    keys = [name for name in ("arm", "model", *UNIT) if name in own]
    said = own[values].to_numpy(float)
    said = pd.DataFrame(said if values == ["prediction"] else softmax(said, axis=1), own.index, values)
    means = said.groupby([own[key] for key in keys], dropna=False).transform("mean")
    table.loc[chosen, values] = means if values == ["prediction"] else np.log(means)
    return table
