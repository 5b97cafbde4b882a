"""Every clip of a cohort at the tasks' size, where the networks compute."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.segment import fitting
from lusnb.tasks import baselines
from lusnb.tasks.masks import Segmented

BITS = torch.arange(7, -1, -1, dtype=torch.uint8)  # np.packbits: the first pixel is the highest bit


@dataclass(frozen=True)
class ClipBank:
    """Every clip of a cohort at the tasks' size: its frames, and one arm's segmentations of them.

    clips: the cohort's clip table. frames: uint8 (clips, T, s, s). packed: the masks, uint8 (clips, T, C, s,
    b) as segment/predictions.py stores them, or None for grayscale alone. Both lie on the networks' device
    where they fit there, else memory-mapped. full: what a pixel that is surely of a feature is stored as.
    """

    clips: pd.DataFrame
    frames: Tensor
    features: tuple[str, ...]
    packed: Tensor | None = None
    full: int = 1
    stored: np.ndarray | None = None  # what `packed` was placed from

    @property
    def position(self) -> pd.Series:
        """Position of each clip_id in the bank."""
        return pd.Series(range(len(self.clips)), index=self.clips["clip_id"])

    @property
    def channels(self) -> int:
        """Input channels: gray, and one a feature unless the bank is of grayscale alone."""
        return 1 + (0 if self.packed is None else len(self.features))

    def masks(self, where: np.ndarray) -> Tensor:
        """Segmentations of some clips, uint8 (n, T, C, s, s), 0 to `full`; on the device they lie on."""
        found = self.packed[torch.tensor(where, device=self.packed.device)]
        if self.full == 255:
            return found
        bits = (found[..., None] >> BITS.to(found.device)) & 1
        return bits.flatten(-2)[..., : self.frames.shape[-1]]

    def inputs(self, where: np.ndarray) -> Tensor:
        """Network input of some clips, float (n, T, channels, s, s): gray from -1 to 1, masks from 0 to 1."""
        frames = self.frames[torch.tensor(where, device=self.frames.device)]
        gray = frames.to(fitting.device())[:, :, None].float() / 127.5 - 1
        if self.packed is None:
            return gray
        return torch.cat([gray, self.masks(where).to(gray.device).float() / self.full], 2)

    @cached_property
    def measures(self) -> pd.DataFrame | None:
        """What the baselines are told of each clip's masks, by clip_id (baselines.measures), or None."""
        if self.packed is None:
            return None
        rows = [
            baselines.measures(self.masks(np.array([n]))[0].cpu().numpy(), self.features, self.full)
            for n in range(len(self.clips))
        ]
        return pd.DataFrame(rows, index=pd.Index(self.clips["clip_id"], name="clip_id"))

    def of_fold(self, segmented: Segmented | None, fold: int) -> "ClipBank":
        """The same frames with the masks that a fold of the task may read; None: without masks.

        This very bank where it holds them already.
        """
        if segmented is None:
            return replace(self, packed=None, stored=None)
        masks = segmented.masks(fold)
        if masks is self.stored:
            return self
        return replace(self, packed=fitting.place(masks), full=segmented.full, stored=masks)


def load(cohort: Cohort, size: int, count: int) -> ClipBank:
    """Read `count` frames of every clip at `size` pixels a side; `of_fold` adds the masks."""
    frames = fitting.place(arrays.task_frames(cohort, size, count))
    return ClipBank(cohort.clips, frames, cohort.features)
