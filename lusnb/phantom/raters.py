"""A rater who paints one frame: how sure, where the edges run, what is missed and what is taken for what.

The rater paints stroke by stroke. A true structure gets a confidence c from how far it stands out of its
surround in that frame. Painted at c, a calibrated rater is right with probability c: so for each true stroke
there are on average (1 - c) / c strokes of that size and confidence on look-alikes. Along its edges the paint
thins out, since the place of the true edge is in doubt.
"""

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from lusnb.phantom.anatomy import FEATURES
from lusnb.phantom.structures import Grid, Ribbon

# How far a drawn edge lies from the true one, SD in mm: about half the axial extent of a line's echo.
EDGE_MM = 0.3
# A stroke along a layer is this long at most; confidence may differ from stroke to stroke.
STROKE_MM = 13.0
# The surround that a structure is held against: this far from it on either side, mm.
SURROUND_MM = 2.5
# Brush levels are multiples of this share; nothing fainter than 15 % is painted.
LEVEL = 0.1
FAINTEST_STROKE = 0.15
# Confidence is logistic in the contrast (in SDs of the surround's grey): at HALF_CONTRAST it is 50 %.
HALF_CONTRAST, SLOPE = 0.6, 2.5
# B lines merge and look like haze, and repeats can be anything: the same contrast convinces less.
DOUBT = {"b_line": 1.3, "a_line": 0.2, "sub_a_line": 0.4, "fuzzy_pleura": 0.2}
# A look-alike is bright, like what it is taken for: the best of this many places.
PLACES_TRIED = 8


def logit(probability: float) -> float:
    """Log odds of a probability."""
    return float(np.log(probability / (1 - probability)))


def strokes(ribbon: Ribbon, grid: Grid) -> list[Ribbon]:
    """Cut a layer into strokes of at most STROKE_MM; a B line is one stroke."""
    if ribbon.along == "z":
        return [ribbon] if ribbon.present.any() else []
    count = int(np.ceil(grid.width_mm / STROKE_MM))
    part = np.minimum(np.arange(grid.columns) * count // grid.columns, count - 1)
    cut = [replace(ribbon, present=ribbon.present & (part == k)) for k in range(count)]
    return [stroke for stroke in cut if stroke.present.sum() * grid.width_mm / grid.columns >= 2.0]


def contrast(frame: np.ndarray, stroke: Ribbon, grid: Grid, taken: np.ndarray) -> float:
    """How far a stroke stands out: mean grey in it less that of its surround, in SDs of the surround.

    `frame` float (H, W). The surround lies across the run, up to SURROUND_MM to either side, without
    the other structures `taken` (bool (H, W)) unless little else is left.
    """
    wide = replace(stroke, low_mm=stroke.low_mm - SURROUND_MM, high_mm=stroke.high_mm + SURROUND_MM)
    gap = replace(stroke, low_mm=stroke.low_mm - 0.4, high_mm=stroke.high_mm + 0.4)
    inside = stroke.mask(grid)
    beside = wide.mask(grid) & ~gap.mask(grid)
    around = beside & ~taken
    if around.sum() < 0.2 * beside.sum():
        around = beside
    if not inside.any() or not around.any():
        return 0.0
    return float((frame[inside].mean() - frame[around].mean()) / (frame[around].std() + 8.0))


def confidence(rng: np.random.Generator, seen: float, feature: str, noise: float) -> float:
    """A brush level 0.1 to 1 for a contrast, or 0 where the structure is missed.

    `noise` is the SD, in logits, of what parts a confidence from the contrast. Faint strokes are missed more.
    """
    odds = SLOPE * (seen - HALF_CONTRAST - DOUBT.get(feature, 0.0)) + noise * rng.standard_normal()
    sure = float(1.0 / (1.0 + np.exp(-odds)))
    missed = rng.random() < 0.95 * (1.0 - sure) ** 1.5
    return 0.0 if missed or sure < FAINTEST_STROKE else float(np.rint(sure / LEVEL) * LEVEL)


def shifted(stroke: Ribbon, by_mm: float) -> Ribbon:
    """The same stroke elsewhere across its run."""
    return replace(stroke, low_mm=stroke.low_mm + by_mm, high_mm=stroke.high_mm + by_mm)


def bounds_of(feature: str, pleura_mm: float, grid: Grid) -> tuple[float, float]:
    """Where a rater could take something for this feature: across its run, mm."""
    if feature == "b_line":
        return -grid.width_mm / 2, grid.width_mm / 2
    if feature == "fascia_band":
        return 1.5, pleura_mm + 4.0  # layers of fibres, and the pleura itself
    if feature in ("a_line", "sub_a_line"):
        return pleura_mm + 2.0, grid.depth_mm
    return 4.0, 2.0 * pleura_mm  # the other kind of pleura, a fascia, a haze


def look_alike(
    rng: np.random.Generator,
    frame: np.ndarray,
    stroke: Ribbon,
    grid: Grid,
    free: np.ndarray,
    pleura_mm: float,
) -> Ribbon | None:
    """A place for a false stroke of this size: of several that hold nothing of the feature, the brightest.

    `free` bool (H, W) is where the feature is not. None where no place was found.
    """
    middle = float(stroke.centre_mm[stroke.present].mean())
    low, high = bounds_of(stroke.feature, pleura_mm, grid)
    best, best_seen = None, -np.inf
    for _ in range(PLACES_TRIED):
        place = shifted(stroke, float(rng.uniform(low, high)) - middle)
        mask = place.mask(grid)
        if mask.sum() < 0.9 * stroke.mask(grid).sum() or not free[mask].all():
            continue
        seen = contrast(frame, place, grid, ~free)
        if seen > best_seen:
            best, best_seen = place, seen
    return best


def soft(rng: np.random.Generator, stroke: Ribbon, grid: Grid) -> np.ndarray:
    """Chance that each pixel is inside, given edges drawn EDGE_MM off the true ones; float (H, W)."""
    drift = rng.normal(0.0, EDGE_MM, (2, 1))
    across = grid.z_mm[:, None] if stroke.along == "x" else grid.x_mm[:, None]
    above = ndtr((across - stroke.low_mm - drift[0]) / EDGE_MM)
    below = ndtr((stroke.high_mm + drift[1] - across) / EDGE_MM)
    inside = above * below * stroke.present
    return inside if stroke.along == "x" else inside.T


def reported(sure: np.ndarray, calibration: float) -> np.ndarray:
    """What a rater says for what is true with chance `sure`: sure ** (1 / calibration).

    1 is calibrated; above it over-confident, below it too cautious. What is said at s is right with
    chance s ** calibration.
    """
    return sure ** (1.0 / calibration)


def typical_pleura_mm(ribbons: list[Ribbon], grid: Grid) -> float:
    """Mean depth of the pleura in view, mm; a third of the image where a rib hides all of it."""
    depths = [r.centre_mm[r.present] for r in ribbons if r.feature.endswith("pleura") and r.present.any()]
    return float(np.concatenate(depths).mean()) if depths else grid.depth_mm / 3


def paint(
    rng: np.random.Generator,
    frame: np.ndarray,
    ribbons: list[Ribbon],
    true: np.ndarray,
    grid: Grid,
    *,
    calibration: float,
    noise: float,
) -> np.ndarray:
    """Paint one frame.

    `frame` uint8 (H, W); `ribbons` and `true` (bool (6, H, W)) what is in it, on `grid` (H x W). Returns
    confidence, uint8 (6, H, W), 255 = 100 %, in whole multiples of 10 %.
    """
    grey, pleura_mm = frame.astype(np.float32), typical_pleura_mm(ribbons, grid)
    taken = true.any(axis=0)
    sure = np.zeros(true.shape, np.float64)
    for ribbon in ribbons:
        channel = FEATURES.index(ribbon.feature)
        for stroke in strokes(ribbon, grid):
            level = confidence(rng, contrast(grey, stroke, grid, taken), ribbon.feature, noise)
            if level == 0.0:
                continue
            marks = [stroke]
            for _ in range(rng.poisson((1 - level) / level)):
                marks.append(look_alike(rng, grey, stroke, grid, ~true[channel], pleura_mm))
            for mark in marks:
                if mark is not None:
                    np.maximum(sure[channel], level * soft(rng, mark, grid), out=sure[channel])
    said = np.rint(reported(sure, calibration) / LEVEL) * LEVEL
    return np.rint(255.0 * said).astype(np.uint8)
