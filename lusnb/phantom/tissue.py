"""The tissue of one clip, drawn and filtered once: chest wall, lung, noise and gain.

Sources
- Fat dark between bright septa, muscle striated along its fibres, fasciae as bright sheets: any atlas of
  musculoskeletal ultrasound; the levels, lengths and shares here: chosen by eye beside a real clip.
- Haze below an aerated pleura as repeats of the wall, and so in still streaks along its layers: seen in
  that clip (grey there stays correlated by 0.76 after 2 s); STILL_SHARE, STREAK_DB, REPEAT_WIDENING:
  chosen.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from lusnb.phantom.acoustics import (
    AXIAL_FWHM_MM,
    NOISE_DB,
    NOISE_RISE_DB_PER_MM,
    amplitude,
    draw_gain,
    lateral_fwhm_mm,
    speckle,
)
from lusnb.phantom.anatomy import Pose, Scene
from lusnb.phantom.structures_and_artefacts import Grid, Ribbon, fascia_depth, fascia_ribbons, pleura_depth

# Mean levels of fat and of muscle: fat of the chest wall is dark between bright septa.
FAT_DB, MUSCLE_DB = -54.0, -41.5
# Bundles of fibres and fat lobules seen along their length echo in phase over some millimetres.
FIBRE_MM = 3.5
# Share of the chest wall's power that comes from them.
FIBROUS = 0.64
# A repeat has travelled further than the depth it is drawn at: its beam is this much wider.
REPEAT_WIDENING = 1.2
# The haze repeats the layers above it, as faint streaks: their SD in dB.
STREAK_DB = 3.5
# Share of the haze's power that repeats the still chest wall; the rest comes back from the sliding lung.
STILL_SHARE = 0.65
# Half-thickness (Gaussian sigma) of the echo of a sheet thinner than the pulse.
SHEET_SIGMA_MM = 0.2


@dataclass(frozen=True)
class Tissue:
    """What is filtered once for a clip. Fields are complex64; `margin` columns stand at either side."""

    grid: Grid
    margin: int
    wall: tuple[np.ndarray, np.ndarray]  # (wall rows, columns): two draws of the same chest wall
    lung: tuple[np.ndarray, np.ndarray]  # (rows, columns + 2 margin): unit speckle that slides with the lung
    repeats: np.ndarray  # (rows, columns): unit speckle of the wall's repeats below the pleura, which stay
    noise: np.ndarray  # (rows, columns): unit receiver noise
    gain: np.ndarray  # (rows, columns) float32: imperfect gain, rib shadow not in it
    noise_level: np.ndarray  # (rows, 1) float32
    streaks: np.ndarray  # (rows, columns) float32: amplitude of the haze's streaks, 1 on average in dB


def flattened_shift(scene: Scene, grid: Grid) -> np.ndarray:
    """How far the layers at (z, x) lie below their mean depth, mm (rows, columns)."""
    still = Pose(0.0, 0.0)
    knots = [np.zeros(grid.columns)]
    shifts = [np.zeros(grid.columns)]
    for fascia in scene.fasciae:
        depth = fascia_depth(scene, fascia, grid.x_mm, still)
        knots.append(depth)
        shifts.append(depth - fascia.depth_mm)
    depth = pleura_depth(scene, grid.x_mm, still)
    knots.append(depth)
    shifts.append(depth - scene.pleura.depth_mm)
    by_column = zip(np.transpose(knots), np.transpose(shifts), strict=True)
    columns = [np.interp(grid.z_mm, knot, shift) for knot, shift in by_column]
    return np.stack(columns, axis=1)


def layer_level(rng: np.random.Generator, scene: Scene, z_mm: np.ndarray) -> np.ndarray:
    """Mean level of the layers between skin, fasciae and pleura at each flattened depth, dB (rows,)."""
    edges = [fascia.depth_mm for fascia in scene.fasciae]
    level = np.full(z_mm.shape, FAT_DB + rng.normal(0.0, 2.0))
    for edge in edges:
        below = MUSCLE_DB + rng.normal(0.0, 3.0)
        level += (below - level) / (1.0 + np.exp(-(z_mm - edge) / 0.25))
    return level


def follow(flat: np.ndarray, shift_rows: np.ndarray) -> np.ndarray:
    """Bend what was drawn on flat layers so that it follows them; float or complex (rows, columns)."""
    rows, columns = np.indices(flat.shape)
    return map_coordinates(flat, [rows - shift_rows, columns], order=1, mode="nearest")


def chest_wall_texture(
    rng: np.random.Generator, scene: Scene, grid: Grid, flattened: np.ndarray
) -> np.ndarray:
    """Level of the chest wall without its fasciae, dB (rows, columns): layers, fibres, septa and skin.

    `flattened` is the shift of the layers at each pixel, in rows.
    """
    z, steps = grid.z_mm, (grid.depth_mm / grid.rows, grid.width_mm / grid.columns)
    shape = (grid.rows, grid.columns)
    # Fibres of muscle run along the layer, some 7 mm in view and finer than a pulse across.
    fibre = speckle(rng, shape, steps, 0.5, 7.0).real * np.sqrt(2.0)
    septa = speckle(rng, shape, steps, 0.3, 5.0).real * np.sqrt(2.0)
    first = scene.fasciae[0].depth_mm if scene.fasciae else scene.pleura.depth_mm
    muscle = 1.0 / (1.0 + np.exp(-(z[:, None] - first) / 0.3))
    streaks = (2.5 + 3.5 * muscle) * fibre + 14.0 * np.clip(septa - 0.9, 0.0, 1.5)
    level = layer_level(rng, scene, z)[:, None] + scene.layering * streaks
    level = follow(level, flattened)
    # The skin and the gel above it: a bright double line at the probe face.
    skin = -4.0 - 45.0 * ((z - 0.7) / 1.1) ** 2
    second = -24.0 - 40.0 * ((z - 1.9) / 0.9) ** 2
    return np.maximum(level, np.maximum(skin, second)[:, None])


def sheet(z_mm: np.ndarray, ribbon: Ribbon, sigma_mm: float, tail_mm: float) -> tuple[slice, np.ndarray]:
    """Amplitude of a thin bright line: a Gaussian edge above, a longer one below (the pulse rings on).

    Returns the rows touched and their amplitudes, float32 (those rows, columns).
    """
    centre, visible = ribbon.centre_mm, ribbon.level_db > -80.0
    step = z_mm[1] - z_mm[0]
    low = int(max((centre.min() - 4 * sigma_mm) / step, 0))
    high = int(min((centre.max() + 4 * tail_mm) / step + 2, len(z_mm)))
    off = (z_mm[low:high, None] - centre).astype(np.float32)
    width = np.where(off < 0, np.float32(sigma_mm), np.float32(tail_mm))
    return slice(low, high), np.exp(-0.5 * (off / width) ** 2) * amplitude(ribbon.level_db) * visible


def ribbon_thickness(ribbon: Ribbon) -> float:
    """Mean thickness across the run, mm."""
    return float(np.mean(ribbon.high_mm - ribbon.low_mm))


def add_fasciae(scene: Scene, grid: Grid, field: np.ndarray, grain: np.ndarray) -> None:
    """Add the specular echo of each fascia to the wall's field in place; `grain` is unit speckle."""
    for ribbon in fascia_ribbons(scene, grid, Pose(0.0, 0.0)):
        sigma = SHEET_SIGMA_MM * ribbon_thickness(ribbon) / 1.9
        rows, bright = sheet(grid.z_mm[: field.shape[0]], ribbon, sigma, 1.3 * sigma)
        field[rows] += bright * (0.75 + 0.6 * grain[rows])


def draw_tissue(rng: np.random.Generator, scene: Scene, grid: Grid) -> Tissue:
    """Draw and filter everything that a clip's frames share."""
    steps = (grid.depth_mm / grid.rows, grid.width_mm / grid.columns)
    margin = int(np.ceil(scene.breathing.slide_mm / steps[1])) + 2
    width = lateral_fwhm_mm(grid.z_mm, scene.focus_mm)
    deepest = pleura_depth(scene, grid.x_mm, Pose(0.0, 1.0)).max() + 3.0
    rows = min(int(deepest / steps[0]) + 1, grid.rows)
    flattened = flattened_shift(scene, grid) / steps[0]
    texture = amplitude(chest_wall_texture(rng, scene, grid, flattened)[:rows])
    fibres = follow(speckle(rng, (grid.rows, grid.columns), steps, AXIAL_FWHM_MM, FIBRE_MM), flattened)[:rows]
    fibrous = FIBROUS * scene.layering
    wall = []
    for _ in range(2):
        grain = speckle(rng, (grid.rows, grid.columns), steps, AXIAL_FWHM_MM, width)[:rows]
        field = texture * (np.sqrt(1.0 - fibrous) * grain + np.sqrt(fibrous) * fibres)
        add_fasciae(scene, grid, field, grain)
        wall.append(field)
    shape = (grid.rows, grid.columns + 2 * margin)
    lung = [speckle(rng, shape, steps, AXIAL_FWHM_MM, width * REPEAT_WIDENING) for _ in range(2)]
    noise = speckle(rng, (grid.rows, grid.columns), steps, AXIAL_FWHM_MM, 0.5)
    rise = NOISE_DB + NOISE_RISE_DB_PER_MM * grid.z_mm
    streak = follow(speckle(rng, (grid.rows, grid.columns), steps, 0.5, 3.0).real * np.sqrt(2.0), flattened)
    return Tissue(
        grid=grid,
        margin=margin,
        wall=(wall[0], wall[1]),
        lung=(lung[0], lung[1]),
        repeats=speckle(rng, (grid.rows, grid.columns), steps, AXIAL_FWHM_MM, width * REPEAT_WIDENING),
        noise=noise,
        gain=draw_gain(rng, grid),
        noise_level=amplitude(rise)[:, None],
        streaks=amplitude(scene.layering * STREAK_DB * streak),
    )
