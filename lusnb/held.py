"""What arms say about patients they never saw: the predictions of all folds put together."""

from dataclasses import dataclass

import numpy as np

from lusnb.predictions import Predictions


@dataclass(frozen=True)
class Held:
    """What an arm says about frames of patients it never saw; only their entries mean anything.

    Arrays are uint8 (N, C, S, S), 255 = 1, in the order of the labelled frames. labelled: probabilities.
    tempered: the same at the temperatures fitted on validation. cuts: uint8 (N,), the cut of the training
    that held the frame out, a level from 1 to 255 (cuts.py). dropout: with Monte-Carlo dropout, or None.
    """

    labelled: np.ndarray
    tempered: np.ndarray
    cuts: np.ndarray
    dropout: np.ndarray | None = None

    def masks(self, where: np.ndarray) -> np.ndarray:
        """What is drawn on some frames at the arm's own cut, bool (n, C, S, S). where: int (n,)."""
        return self.labelled[where] >= self.cuts[where, None, None, None]


def stitch(parts: list[Predictions]) -> Held:
    """One arm's predictions from those of its folds, each for the frames that it held out."""
    shape = parts[0].labelled.shape
    whole, tempered, dropout = (np.zeros(shape, np.uint8) for _ in range(3))  # untouched pages cost nothing
    cuts = np.zeros(shape[0], np.uint8)
    for found in parts:
        whole[found.held_out] = found.labelled[found.held_out]
        tempered[found.held_out] = found.tempered
        cuts[found.held_out] = found.cut
        if found.dropout is not None:
            dropout[found.held_out] = found.dropout
    return Held(whole, tempered, cuts, dropout if all(found.dropout is not None for found in parts) else None)
