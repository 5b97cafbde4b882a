"""Twenty synthetic labelled frames that tests of training and measuring share."""

import numpy as np
import pandas as pd
import torch

from lusnb.segment.frames import Labelled

FEATURES = ("one", "two", "three")
ROLES = {"train": ["P1", "P2"], "validation": ["P3"], "test": ["P4"]}


def synthetic(seed: int = 0) -> Labelled:
    """20 frames of 64 x 64: a bright band a feature at its own grade; 6, 6, 4, 4 frames of P1 to P4."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(["P1", "P2", "P3", "P4"], [6, 6, 4, 4])
    c = np.zeros((20, 3, 64, 64), np.uint8)
    images = rng.integers(0, 60, (20, 1, 64, 64), np.uint8)
    for n, k in np.ndindex(20, 3):
        top = 4 + 20 * k + rng.integers(0, 8)
        c[n, k, top : top + 10] = (255, 204, 153)[k]
        images[n, 0, top : top + 10] += (180, 120, 80)[k]
    c[12, 2] = 0  # a validation frame without the third feature
    known = torch.ones(20, 3, dtype=torch.bool)
    known[13, 0] = known[16, 1] = False
    table = pd.DataFrame({"clip_id": [f"C{n:02}" for n in range(20)], "frame": 0, "patient_id": patients})
    return Labelled(table, torch.from_numpy(images), torch.from_numpy(c), known, [(0.5, 0.25)] * 20)
