"""Scan a scene: the echo of each frame as breathing moves the tissue, and from them the clip.

The speckle is warped with what carries it: the chest wall stretches, the lung slides. Below an aerated pleura
there are no scatterers, only reverberation and noise.

Sources
- Sliding, with B lines that move with the pleura: Lichtenstein; Volpicelli et al. 2012 (see anatomy.py).
- TURN_PER_MM (speckle is new after some 3 to 4.5 mm of motion, a few beam widths) and the sharpness and
  grain of each line: chosen by eye beside a real clip.
"""

import numpy as np

from lusnb.phantom.acoustics import amplitude, compress, display
from lusnb.phantom.anatomy import Pose, Scene
from lusnb.phantom.structures_and_artefacts import (
    Grid,
    Ribbon,
    b_half_width,
    b_profile,
    fuzziness,
    pleura_depth,
    shadow,
    structures,
)
from lusnb.phantom.tissue import STILL_SHARE, Tissue, draw_tissue, sheet

# Rows are at most this far apart, or speckle and sheets fall between them; smaller images average rows.
COARSEST_ROW_MM = 0.5
# How far the two-field mixture turns, in radians, for each mm that the tissue has moved out of its plane.
TURN_PER_MM = {"wall": 0.5, "lung": 0.35}


def turned(pair: tuple[np.ndarray, np.ndarray], angle: float) -> np.ndarray:
    """Mix two independent draws so that frames decorrelate with the cosine of the angle between them."""
    return np.float32(np.cos(angle)) * pair[0] + np.float32(np.sin(angle)) * pair[1]


def warp_wall(tissue: Tissue, scene: Scene, pose: Pose) -> np.ndarray:
    """The chest wall's field in a pose, complex64 (wall rows, columns): stretched evenly."""
    field = turned(tissue.wall, TURN_PER_MM["wall"] * pose.lift_mm)
    rest = pleura_depth(scene, tissue.grid.x_mm, Pose(0.0, 0.0))
    rows = np.arange(field.shape[0]) + 0.5
    source = rows[:, None] * (rest / (rest + pose.lift_mm))[None, :] - 0.5
    source = np.clip(source, 0.0, field.shape[0] - 1.001)
    first = source.astype(np.intp)
    share = (source - first).astype(np.float32)
    columns = np.arange(field.shape[1])
    return field[first, columns] * (1 - share) + field[first + 1, columns] * share


def slide_lung(tissue: Tissue, pose: Pose) -> np.ndarray:
    """The lung's unit speckle in a pose, complex64 (rows, columns): slid along x."""
    field = turned(tissue.lung, TURN_PER_MM["lung"] * pose.slide_mm)
    start = tissue.margin - pose.slide_mm * tissue.grid.columns / tissue.grid.width_mm
    whole = int(np.floor(start))
    share = np.float32(start - whole)
    columns = tissue.grid.columns
    return field[:, whole : whole + columns] * (1 - share) + field[:, whole + 1 : whole + 1 + columns] * share


def below_pleura(scene: Scene, tissue: Tissue, lung: np.ndarray, pose: Pose) -> np.ndarray:
    """The echo of what is diffuse below the pleura, complex64 (rows, columns): haze and B lines.

    `lung` is unit speckle in this pose. B lines and a part of the haze move with it, the other part stays.
    """
    grid = tissue.grid
    depth = pleura_depth(scene, grid.x_mm, pose).astype(np.float32)
    below = grid.z_mm[:, None].astype(np.float32) - depth
    under = 1.0 / (1.0 + np.exp(np.clip(-below / 0.15, -30, 30)))
    haze = amplitude(scene.haze_db - scene.haze_decay_db_per_mm * np.maximum(below, 0.0))
    haze *= tissue.streaks
    still = np.float32(STILL_SHARE * scene.layering)
    bright = (1 - still) * haze * haze
    for line in scene.b_lines:
        x = line.x_mm + pose.slide_mm
        reach = float(b_half_width(scene, line.width_mm, np.array(scene.depth_mm))) * 2.2
        columns = np.flatnonzero(np.abs(grid.x_mm - x) < reach)
        if len(columns):
            span = slice(columns[0], columns[-1] + 1)
            shape = b_profile(scene, line, grid.x_mm[None, span], grid.z_mm[:, None], pose)
            level = line.level_db - scene.b_fade_db_per_mm * np.maximum(below[:, span], 0.0)
            bright[:, span] += (shape * amplitude(level)) ** 2
    return under * (np.sqrt(bright) * lung + np.sqrt(still) * haze * tissue.repeats)


def echo(rng: np.random.Generator, tissue: Tissue, scene: Scene, pose: Pose) -> np.ndarray:
    """The complex echo of one frame, complex64 (rows, columns)."""
    grid = tissue.grid
    lung = slide_lung(tissue, pose)
    field = below_pleura(scene, tissue, lung, pose)
    wall = warp_wall(tissue, scene, pose)
    depth = pleura_depth(scene, grid.x_mm, pose)
    above = 1.0 / (1.0 + np.exp(np.clip((grid.z_mm[: len(wall), None] - depth) / 0.15, -30, 30)))
    field[: len(wall)] += wall * above.astype(np.float32)
    for ribbon in structures(scene, grid, pose):
        if ribbon.along == "z" or ribbon.feature == "fascia_band":
            continue  # B lines are in the lung's amplitude, fasciae in the wall's field
        add_line(scene, grid, pose, field, lung, ribbon)
    field *= tissue.gain
    cast_rib(scene, grid, pose, field, lung)
    noise = np.roll(tissue.noise, tuple(rng.integers(0, tissue.noise.shape)), axis=(0, 1))
    return field + tissue.noise_level * noise


def add_line(
    scene: Scene, grid: Grid, pose: Pose, field: np.ndarray, grain: np.ndarray, ribbon: Ribbon
) -> None:
    """Add a pleural line or a repeat of it to the field in place; fine lines have little grain."""
    if ribbon.feature == "fuzzy_pleura":
        sigma, tail, steady, rough = 0.45, 0.8, 0.3, 0.9
        share = fuzziness(scene, grid.x_mm, pose)
    elif ribbon.feature == "sharp_pleura":
        sigma, tail, steady, rough = 0.22, 0.36, 0.8, 0.45
        share = 1.0 - fuzziness(scene, grid.x_mm, pose)
    else:
        sigma, tail, steady, rough = 0.28, 0.34, 0.6, 0.7
        share = (ribbon.centre_mm < grid.depth_mm).astype(float)
    rows, bright = sheet(grid.z_mm, ribbon, sigma, tail)
    field[rows] += bright * share.astype(np.float32) * (steady + rough * grain[rows]).astype(np.complex64)


def cast_rib(scene: Scene, grid: Grid, pose: Pose, field: np.ndarray, grain: np.ndarray) -> None:
    """Shade what lies below the rib and add its bright convex face, in place."""
    if scene.rib is None:
        return
    away = (grid.x_mm - scene.rib.x_mm) / scene.rib.half_width_mm
    face = pleura_depth(scene, grid.x_mm, pose) - scene.rib.above_pleura_mm * np.sqrt(
        np.clip(1 - away**2, 0, 1)
    )
    taken = shadow(scene, grid.x_mm)
    below = 1.0 / (1.0 + np.exp(np.clip(-(grid.z_mm[:, None] - face - 0.6) / 0.4, -30, 30)))
    field *= amplitude(-34.0 * taken * below)
    line = Ribbon("rib", "x", face, face, taken > 0.5, -20.0 + 30.0 * np.log10(np.maximum(taken, 1e-4)))
    rows, bright = sheet(grid.z_mm, line, 0.35, 0.6)
    field[rows] += bright * (0.6 + 0.6 * grain[rows])


def render(rng: np.random.Generator, scene: Scene, size: int, n_frames: int, fps: float) -> np.ndarray:
    """Render a clip, uint8 (T, H, W), H = W = size over the scene's depth and width."""
    fold = int(np.ceil(scene.depth_mm / size / COARSEST_ROW_MM))
    grid = Grid(size * fold, size, scene.depth_mm, scene.width_mm)
    tissue = draw_tissue(rng, scene, grid)
    steps = (grid.depth_mm / grid.rows, grid.width_mm / grid.columns)
    clip = np.empty((n_frames, size, size), np.uint8)
    for frame in range(n_frames):
        field = echo(rng, tissue, scene, scene.breathing.pose(frame / fps))
        grey = display(compress(np.abs(field)), steps)
        clip[frame] = np.rint(grey.reshape(size, fold, size).mean(axis=1))  # (H, fold, W) -> (H, W)
    return clip
