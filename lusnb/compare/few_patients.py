"""What a study with few test patients would have said, from the scores of a study with more.

A design like the paper's tests four patients. Drawn again and again from those that were tested here, with
the same predictions, it names now this arm as the best and now that.
"""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

PAPER = 4  # test patients of the paper
DRAWS = 20_000  # as many draws at most; where there are no more subsets, each of them once
ALIKE = 1e-12  # means that differ by less are the same


def winners(
    by_patient: pd.DataFrame, arms: list[str], rng: np.random.Generator, few: int = PAPER
) -> pd.DataFrame:
    """How often each arm has the highest mean over a few of the patients, in each IoU that there is.

    by_patient: of averages.patient_scores; patients that lack an arm's score are left out. Arms that tie
    share a draw. Columns: metric (iou, truth_iou), arm, patients, few, draws, share (of the draws), best (it
    is, of all patients). Empty where there are not more patients than a few, or one arm alone.
    """
    tables = []
    for metric in ("truth_iou", "iou"):
        rows = by_patient[by_patient["metric"] == metric]
        scores = rows.pivot(index="patient_id", columns="arm", values="value").reindex(columns=arms).dropna()
        if len(scores) > few and len(arms) > 1:
            values = scores.sort_index().to_numpy(float)
            drawn = _subsets(len(values), few, rng)
            wins = _highest(values[drawn].mean(axis=1))
            found = {"metric": metric, "arm": arms, "patients": len(values), "few": few, "draws": len(drawn)}
            best = _highest(values.mean(axis=0)[None])[0] > 0
            tables.append(pd.DataFrame({**found, "share": wins.mean(axis=0), "best": best}))
    columns = ["metric", "arm", "patients", "few", "draws", "share", "best"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _subsets(patients: int, few: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of every subset of a few patients, or DRAWS random ones: int (draws, few)."""
    if comb(patients, few) <= DRAWS:
        return np.array(list(combinations(range(patients), few)))
    return rng.permuted(np.tile(np.arange(patients), (DRAWS, 1)), axis=1)[:, :few]


def _highest(means: np.ndarray) -> np.ndarray:
    """Of each row the columns that are highest, sharing 1 between them."""
    top = means >= means.max(axis=1, keepdims=True) - ALIKE
    return top / top.sum(axis=1, keepdims=True)
