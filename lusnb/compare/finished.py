"""What the finished segmenters of a profile left: what arms say of patients they never saw."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lusnb import arms as describe
from lusnb import params
from lusnb.cohort.cohort import Cohort
from lusnb.params import ParameterError, Params
from lusnb.segment import predictions
from lusnb.segment.predictions import Predictions
from lusnb.study import matrix, places, profile
from lusnb.study.runs import find


@dataclass(frozen=True)
class Held:
    """What an arm says about frames of patients it never saw; only their entries mean anything.

    Arrays are uint8 (N, C, S, S), 255 = 1, in the order of the labelled frames. labelled: probabilities.
    tempered: the same at the temperatures fitted on validation (compare/measured.py); None until then. cuts:
    uint8 (N,), the cut of the training that held the frame out, a level from 1 to 255 (segment/cuts.py).
    dropout: with Monte-Carlo dropout, or None. parts: what the training of each fold left.
    """

    labelled: np.ndarray
    tempered: np.ndarray | None
    cuts: np.ndarray
    dropout: np.ndarray | None = None
    parts: dict[int, Predictions] = field(default_factory=dict, repr=False)

    def masks(self, where: np.ndarray) -> np.ndarray:
        """What is drawn on some frames at the arm's own cut, bool (n, C, S, S). where: int (n,)."""
        return self.labelled[where] >= self.cuts[where, None, None, None]


def stitch(parts: dict[int, Predictions]) -> Held:
    """One arm's predictions from those of its folds, each for the frames that it held out."""
    shape = next(iter(parts.values())).labelled.shape
    whole, dropout = (np.zeros(shape, np.uint8) for _ in range(2))  # untouched pages cost nothing
    cuts = np.zeros(shape[0], np.uint8)
    for found in parts.values():
        whole[found.held_out] = found.labelled[found.held_out]
        cuts[found.held_out] = found.cut
        if found.dropout is not None:
            dropout[found.held_out] = found.dropout
    sampled = all(found.dropout is not None for found in parts.values())
    return Held(whole, None, cuts, dropout if sampled else None, parts)


def asked_of_arms(p: Params) -> dict[str, dict]:
    """All parameters of the training of each arm of the profile, its first seed and fold."""
    base = places.root()
    found: dict[str, dict] = {}
    for node in profile.nodes(profile.load(p.profile, base)):
        if node.notebook == matrix.NOTEBOOKS["train"]:
            found.setdefault(dict(node.identity)["arm"], profile.parameters(node, base))
    return found


def arms(p: Params) -> pd.DataFrame:
    """The arms of the profile in the order of its study.yaml, indexed by arm: see `arms.table`."""
    path = places.root() / "notebooks" / f"{matrix.NOTEBOOKS['train']}.ipynb"
    declared = {name: value for name, (_, value) in params.of_notebook(path).items()}
    return describe.table(
        asked_of_arms(p), declared | profile.overrides(p.profile, matrix.NOTEBOOKS["train"])
    )


def arms_on_tasks(p: Params) -> pd.DataFrame:
    """Of `arms` those that go on to the tasks."""
    return arms(p).loc[list(profile.load(p.profile).arms_on_tasks)]


def check_measured_on(p: Params) -> None:
    """Raise ParameterError unless every arm was measured on labels merged as `p.measured_on` says."""
    for arm, asked in asked_of_arms(p).items():
        if asked["measured_on"] != p.measured_on:
            raise ParameterError(
                f"{p.notebook}: measured_on is {p.measured_on!r}, but arm {arm} was measured on "
                f"{asked['measured_on']!r}; give all the same in params/{p.profile}."
            )


def tested(p: Params, cohort: Cohort) -> list[str]:
    """The patients that arms are compared on: the published test patients; where cross-fitted, everybody."""
    if profile.load(p.profile).protocol == "paper":
        return cohort.patients_in("test")
    return list(cohort.patients["patient_id"])


def open_held_out(p: Params, names: list[str], fingerprint: str) -> dict[tuple[str, int], Held]:
    """What arms say about patients they never saw, every seed: (arm, seed) -> Held; folds put together."""
    asked = profile.load(p.profile)
    found, notebook = {}, matrix.NOTEBOOKS["train"]
    for arm in names:
        for seed in asked.seeds:
            same = {"arm": arm, "seed": seed}
            folders = {fold: find(p, notebook, **same, fold=fold) for fold in asked.segmenter_folds}
            parts = {fold: predictions.read(folder, fingerprint) for fold, folder in folders.items()}
            found[arm, seed] = stitch(parts)
    return found
