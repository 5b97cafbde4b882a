"""A test block, as one is used to check a scanner: even tissue over an even haze, and its echo's statistics.

It has no layers, lines, fibres or decay, so that its echo shows the acoustics alone: speckle, its point
spread, its level.

Sources
- Fully developed speckle has a Rayleigh envelope, mean / SD = 1.91: Burckhardt 1978, IEEE Trans Sonics
  Ultrason 25:1. The complex field's autocorrelation is the point spread's: Wagner et al. 1983, the same
  journal 30:156.
- Depths and levels of the block: chosen, far above the noise.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from lusnb.phantom.acoustics import AXIAL_FWHM_MM, lateral_fwhm_mm
from lusnb.phantom.anatomy import Pose, Scene, draw_scene
from lusnb.phantom.scan import echo
from lusnb.phantom.structures_and_artefacts import Grid
from lusnb.phantom.tissue import REPEAT_WIDENING, draw_tissue

REST = Pose(0.0, 0.0)
GRID = Grid(320, 256, 60.0, 38.0)
# Stretches of the block, rows of GRID: of the wall at its focus, of the haze below it; and how much wider
# than the beam's the point spread asked for there is.
PATCHES = {
    "wall, 14 mm": (slice(60, 95), 1.0),
    "haze, 41 mm": (slice(200, 235), REPEAT_WIDENING),
    "haze, 55 mm": (slice(275, 310), REPEAT_WIDENING),
}


def block(**changes) -> Scene:
    """Even tissue to about 30 mm, an even haze below; `changes` replace fields of the Scene.

    The focus is at 14 mm, the image 60 mm deep and 38 mm wide.
    """
    drawn = draw_scene(np.random.default_rng(1), 2, 0.5, 0.0)
    even = dict(
        rib=None, fasciae=(), b_lines=(), layering=0.0, depth_mm=60.0, focus_mm=14.0, haze_db=-20.0,
        haze_decay_db_per_mm=0.0, a_level_db=-99.0, sub_a_level_db=-99.0,
        pleura=replace(drawn.pleura, depth_mm=30.0, slope=0.0, fuzzy_span_mm=(1.0, 0.0)),
    )  # fmt: skip
    return replace(drawn, **{**even, **changes})


def scan(scene: Scene, seed: int, grid: Grid = GRID) -> tuple[np.ndarray, np.ndarray]:
    """The complex echo of a scene at rest with its gain divided out, and that gain; both (rows, columns)."""
    rng = np.random.default_rng(seed)
    tissue = draw_tissue(rng, scene, grid)
    return echo(rng, tissue, scene, REST) / tissue.gain, tissue.gain


def patches(scans: int = 8) -> dict[str, np.ndarray]:
    """PATCHES of several scans: name -> complex64 (scans, rows, columns), mean power 1 in each."""
    fields = np.stack([scan(block(), seed)[0] for seed in range(scans)])
    cut = {name: fields[:, rows] for name, (rows, _) in PATCHES.items()}
    return {
        name: field / np.sqrt((np.abs(field) ** 2).mean(axis=(1, 2), keepdims=True))
        for name, field in cut.items()
    }


def asked_fwhm_mm(name: str) -> dict[str, float]:
    """Full widths at half maximum, mm, of the point spread asked for in a patch: axial and lateral."""
    rows, widening = PATCHES[name]
    lateral = float(lateral_fwhm_mm(GRID.z_mm[rows].mean(), block().focus_mm)) * widening
    return {"axial": AXIAL_FWHM_MM, "lateral": lateral}


def autocorrelation(fields: dict[str, np.ndarray], lags: int = 12) -> pd.DataFrame:
    """The patches' autocorrelation against that of the point spread asked for.

    Columns patch, direction (axial, lateral), lag_mm, found (magnitude) and asked: a Gaussian of full width w
    has exp(-lag^2 / (4 sigma^2)) with sigma = w / 2.3548.
    """
    steps = {"axial": (1, GRID.depth_mm / GRID.rows), "lateral": (2, GRID.width_mm / GRID.columns)}
    rows = []
    for name, field in fields.items():
        for direction, (axis, step) in steps.items():
            sigma = asked_fwhm_mm(name)[direction] / 2.3548
            for lag in range(lags + 1):
                length = field.shape[axis]
                behind = np.take(field, range(length - lag), axis)
                ahead = np.take(field, range(lag, length), axis)
                rows.append(
                    {
                        "patch": name,
                        "direction": direction,
                        "lag_mm": lag * step,
                        "found": float(np.abs((np.conj(behind) * ahead).mean())),
                        "asked": float(np.exp(-((lag * step) ** 2) / (4 * sigma**2))),
                    }
                )
    return pd.DataFrame(rows)
