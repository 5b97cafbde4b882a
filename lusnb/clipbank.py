"""The clips of a cohort as the tasks see them: a few frames each, and one arm's segmentations of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb import baselines
from lusnb import cohort as cohorts
from lusnb.cohort import Cohort
from lusnb.predictions import Predictions

BURDEN_FEATURE = "b_line"


@dataclass(frozen=True)
class ClipBank:
    """Every clip of a cohort at the tasks' size: its frames, and one arm's segmentations of them.

    clips: the cohort's clip table. frames: uint8 (clips, T, s, s). masks: False for grayscale alone.
    """

    clips: pd.DataFrame
    frames: np.ndarray
    predictions: Predictions
    features: tuple[str, ...]
    masks: bool

    @cached_property
    def position(self) -> pd.Series:
        """Position of each clip_id in the bank."""
        return pd.Series(range(len(self.clips)), index=self.clips["clip_id"])

    @property
    def channels(self) -> int:
        """Input channels: gray, and one a feature unless the bank is of grayscale alone."""
        return 1 + (len(self.features) if self.masks else 0)

    def inputs(self, where: np.ndarray) -> Tensor:
        """Network input of some clips, float (n, T, channels, s, s): gray from -1 to 1, masks from 0 to 1."""
        gray = torch.from_numpy(self.frames[where])[:, :, None].float() / 127.5 - 1
        if not self.masks:
            return gray
        masks = torch.from_numpy(self.predictions.task_channels(where)).float()
        return torch.cat([gray, masks / self.predictions.full], 2)

    def burdens(self) -> pd.Series | None:
        """Share of each clip predicted as B line, by clip_id; None without that feature, or without masks."""
        if not self.masks or BURDEN_FEATURE not in self.features:
            return None
        k = self.features.index(BURDEN_FEATURE)
        one_by_one = (self.predictions.task_channels(np.array([n]))[0] for n in range(len(self.clips)))
        return pd.Series(
            [baselines.burden(m, k, self.predictions.full) for m in one_by_one], index=self.clips["clip_id"]
        )


def load(cohort: Cohort, predictions: Predictions, masks: bool) -> ClipBank:
    """Read the frames that were segmented, of every clip; `masks=False` leaves the segmentations out."""
    size, frames = predictions.made_from["task_size"], predictions.made_from["task_frames"]
    return ClipBank(
        cohort.clips, cohorts.task_frames(cohort, size, frames), predictions, cohort.features, masks
    )
