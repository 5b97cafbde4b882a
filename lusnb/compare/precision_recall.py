"""One output, thresholded to each application's needs: precision and recall of every arm at every cut.

Pixels are pooled over the held-out images of all patients, label-empty ones too, so that what is drawn where
nothing is costs precision. A curve shows what an arm could do at any cut; the points on it, what it does.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from lusnb import confidence
from lusnb.cohort.cohort import Cohort
from lusnb.compare import ground as compare_ground
from lusnb.compare.ground import Ground
from lusnb.segment import cuts, predictions

OWN, FIXED = "own", "fixed"  # points of a curve: at the arm's own cut, and at 0.5
COLUMNS = ["arm", "seed", "against", "feature", "point", "level", "precision", "recall"]


def _targets(ground: Ground, compared_at: float) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(against, masks bool (N, C, S, S), known bool (N, C)): the labels >= compared_at, and the truth."""
    yield "labels", confidence.targets(ground.labels / 255, compared_at), ground.known
    if ground.true.any():
        yield "truth", ground.truth >= predictions.CUT, ground.true


def curves(cohort: Cohort, patients: list[str], opened: dict, merge: str, compared_at: float) -> pd.DataFrame:
    """Precision and recall of every arm, seed and feature at every stored level, and at its two points.

    Against the labels >= compared_at and, where it is known, the truth. Columns: arm, seed, against, feature,
    point ('' on the curve, 'own' at the arm's own cut, 'fixed' at 0.5), level (1 to 255; of 'own' that of the
    folds where these agree, else 0), precision (NaN where nothing is drawn), recall (NaN where nothing is
    labelled). Only levels at which something changes.
    """
    counted: dict[tuple, np.ndarray] = {}  # (C, 2, 256), cuts.counts
    drawn: dict[tuple, np.ndarray] = {}  # (C, 2): outside the label and inside it, at the own cut
    for ground in compare_ground.grounds(cohort, patients, compare_ground.size_of(opened), merge):
        for name, y, known in _targets(ground, compared_at):
            for (arm, seed), held in opened.items():
                key, levels = (arm, seed, name), np.asarray(held.labelled[ground.where])
                found = cuts.counts(*map(torch.from_numpy, (levels, y, known)))
                masks = held.masks(ground.where) & known[:, :, None, None]
                own = np.stack([(masks & ~y).sum((0, 2, 3)), (masks & y).sum((0, 2, 3))], axis=1)
                counted[key], drawn[key] = counted.get(key, 0) + found, drawn.get(key, 0) + own
    parts, where = [], compare_ground.placed(cohort, patients)[1]
    for (arm, seed, name), counts in counted.items():
        places = np.unique(opened[arm, seed].cuts[where])
        level = int(places[0]) if len(places) == 1 else 0
        same = {"arm": arm, "seed": seed, "against": name}
        for k, feature in enumerate(cohort.features):
            table = _of_feature(counts[k], drawn[arm, seed, name][k], level)
            parts.append(table.assign(**same, feature=feature))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _of_feature(counts: np.ndarray, own: np.ndarray, level: int) -> pd.DataFrame:
    """One feature's curve and points. counts: int (2, 256); own: int (2,), drawn at that cut, `level`."""
    above, hit, label = cuts.at_each(counts)
    there = np.flatnonzero(counts.sum(0)[1:]) + 1  # elsewhere a cut draws the same as at the next level
    drawn = np.concatenate([above[there], [own.sum(), above[predictions.CUT]]])
    right = np.concatenate([hit[there], [own[1], hit[predictions.CUT]]])
    points = [""] * len(there) + [OWN, FIXED]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = {"precision": right / drawn, "recall": right / label}
    return pd.DataFrame({"point": points, "level": [*there, level, predictions.CUT], **shares})
