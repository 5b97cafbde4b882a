"""Pictures of scenes that belong to no cohort, and what is in them: what networks see before any study.

Every scene is drawn from a generator of its own, derived from the seed and its number in a branch of numpy's
seed tree (SCENES) that no cohort's parts are drawn from (plan.generator): whatever seed a cohort has, it
holds none of them.

They are as varied as the phantom allows: congestion from none to a white lung, thick and thin chest walls,
narrow and wide probes, depths, and gains. B lines fade and erase as in a cohort's defaults.
"""

from dataclasses import replace

import numpy as np

from lusnb.cohort import arrays, true_masks
from lusnb.phantom import plan as plans
from lusnb.phantom.anatomy import FEATURES, Scene, draw_scene
from lusnb.phantom.scan import render
from lusnb.phantom.structures_and_artefacts import Grid, masks_of_frames

SCENES = 3  # first number of a scene's place in the seed tree; a cohort's parts have 0 to 2 (plan.generator)
SIZES = (96, 128, 160, 192)  # pixels a side at which a scene is scanned, before it is resized
WIDTHS_MM = (28.0, 38.0)  # of the probe, from and to; wider ones would have no B lines at their sides
HABITUS_MM = 3.0  # SD of how much thicker than the mean a chest wall is
DEEPER_MM = 10.0  # at most how much deeper than a cohort's the depth is set
GAINS = (0.6, 1.4)  # times the gray
FPS = (5.0, 20.0)


def draw(rng: np.random.Generator) -> Scene:
    """What one scene shows, from a generator of its own."""
    drawn = draw_scene(rng, int(rng.integers(1, 4)), float(rng.random()), float(rng.normal(0.0, HABITUS_MM)))
    depth = drawn.depth_mm + float(rng.uniform(0.0, DEEPER_MM))
    return replace(drawn, width_mm=float(rng.uniform(*WIDTHS_MM)), depth_mm=depth)


def scan(seed: int, number: int, frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene, by its seed and its number: gray, and what is truly in it.

    Gray is uint8 (frames, size, size), masks are uint8 0/1 (frames, features, size, size), features in the
    phantom's order. It is scanned at a size of SIZES that is not smaller, if there is one, and resized;
    frames a second and one gain for all frames are drawn too.
    """
    rng = plans.generator(seed, SCENES, number)
    scene, fps, gain = draw(rng), float(rng.uniform(*FPS)), float(rng.uniform(*GAINS))
    scanned = int(rng.choice([at for at in SIZES if at >= size] or [size]))
    gray = render(rng, scene, scanned, frames, fps)
    grid = Grid(scanned, scanned, scene.depth_mm, scene.width_mm)
    true = np.stack(list(masks_of_frames(scene, grid, frames, fps))).astype(np.uint8)
    gained = np.rint(np.clip(gray * np.float32(gain), 0, 255)).astype(np.uint8)
    return np.stack([arrays.resize(frame, size) for frame in gained]), true_masks.shrink(true, size)


def scans(seed: int, numbers: range, frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Several scenes, as `scan`: (scenes, frames, size, size) and (scenes, frames, features, size, size)."""
    gray = np.empty((len(numbers), frames, size, size), np.uint8)
    true = np.empty((len(numbers), frames, len(FEATURES), size, size), np.uint8)
    for place, number in enumerate(numbers):
        gray[place], true[place] = scan(seed, number, frames, size)
    return gray, true
