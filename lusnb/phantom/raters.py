"""A rater who paints one frame: how sure, where the edges run, what is missed and what is taken for what.

The rater paints stroke by stroke. A true structure gets a confidence c from how far it stands out of its
surround in that frame. Painted at c, a calibrated rater is right with probability c: so for each true stroke
there are on average (1 - c) / c strokes of that size and confidence on look-alikes (mistakes.py). Whether a
structure is there and where its edge runs are two separate doubts: along its edges the paint thins out.

Sources
- Right with probability c when saying c: the definition of calibration (Murphy and Winkler 1977, Appl
  Stat).
- EDGE_MM, STROKE_MM, SURROUND_MM, LEVEL, FAINTEST_STROKE, the logistic curve from contrast to confidence
  and DOUBT: chosen, so that all brush levels occur and B lines are the most doubtful, as in the paper's
  Figure 1.
- MISSED_AT_NOTHING, MISSED_POWER, LEAST_SPREAD: chosen, so that what stands out little is mostly missed and
  even tissue does not turn small contrasts into sure ones.
- The spread of habits (HABIT_EDGE_MM): chosen; a drawn edge differs between people by about a pulse length.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from lusnb.phantom.anatomy import FEATURES
from lusnb.phantom.structures_and_artefacts import Grid, Ribbon

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
HALF_CONTRAST, SLOPE = 0.45, 2.7
# B lines merge and look like haze, and repeats can be anything: the same contrast convinces less.
DOUBT = {"b_line": 1.3, "a_line": 0.1, "sub_a_line": 0.25, "fuzzy_pleura": 0.05}
# A stroke seen with confidence s is missed with chance MISSED_AT_NOTHING (1 - s) ** MISSED_POWER.
MISSED_AT_NOTHING, MISSED_POWER = 0.95, 1.5
# Added to the SD of the surround's grey (0 to 255), so that an even surround does not make all of it sure.
LEAST_SPREAD = 8.0
# How far outside the true edges the widest brush among raters paints when habits = 1, mm on either side.
HABIT_EDGE_MM = 0.4


@dataclass(frozen=True)
class Habits:
    """What one rater does otherwise than another.

    `calibration`: 1 calibrated, above it over-confident; `noise`: SD in logits of what parts a confidence
    from the contrast; `edge_bias_mm`: how far outside the true edges the brush runs on either side;
    `eagerness`: the chance of missing a structure is raised to this power, so 2 misses less than 1.
    """

    rater: str = "rater_1"
    calibration: float = 1.0
    noise: float = 0.5
    edge_bias_mm: float = 0.0
    eagerness: float = 1.0


@dataclass(frozen=True)
class Sight:
    """One frame as it lies before a rater: `grey` float32 (H, W), what is in it, and the true masks."""

    grey: np.ndarray
    ribbons: list[Ribbon]
    true: np.ndarray  # bool (6, H, W)
    grid: Grid


@dataclass(frozen=True)
class Mark:
    """One stroke of the brush at one level, 0.1 to 1, before the rater's own way of reporting it."""

    ribbon: Ribbon
    level: float


def draw_habits(raters: int, habits: float, calibration: float, noise: float) -> list[Habits]:
    """The habits of each rater; nothing in them is random, so the truth about each rater is known.

    z_k runs evenly from -1 to 1 over the raters (0 for one alone). Rater k's calibration is calibration x
    exp(habits z_k); its edge bias and its eagerness take the same values in another order of raters. A brush
    that is too wide or too narrow is wrong at the edges, beyond what the calibration says.
    """
    z = np.linspace(-1.0, 1.0, raters) if raters > 1 else np.zeros(1)
    edge, eager = np.roll(z, 1), np.roll(z, 2)
    return [
        Habits(
            rater=f"rater_{k + 1}",
            calibration=float(calibration * np.exp(habits * z[k])),
            noise=float(noise),
            edge_bias_mm=float(HABIT_EDGE_MM * habits * edge[k]),
            eagerness=float(np.exp(habits * eager[k])),
        )
        for k in range(raters)
    ]


def strokes(rng: np.random.Generator, ribbon: Ribbon, grid: Grid) -> list[Ribbon]:
    """Cut a layer at random into strokes of at most STROKE_MM; a B line is one stroke."""
    if ribbon.along == "z":
        return [ribbon] if ribbon.present.any() else []
    lengths = STROKE_MM * rng.uniform(0.6, 1.0, int(grid.width_mm / (0.6 * STROKE_MM)) + 2)
    borders = np.cumsum(lengths) - grid.width_mm / 2 - rng.uniform(0.0, lengths[0])
    part = np.searchsorted(borders, grid.x_mm)
    cut = [replace(ribbon, present=ribbon.present & (part == k)) for k in range(part.max() + 1)]
    return [stroke for stroke in cut if stroke.present.sum() * grid.width_mm / grid.columns >= 2.0]


def widened(ribbon: Ribbon, by_mm: float) -> Ribbon:
    """The same band, wider by this much on either side."""
    return replace(ribbon, low_mm=ribbon.low_mm - by_mm, high_mm=ribbon.high_mm + by_mm)


def contrast(grey: np.ndarray, stroke: Ribbon, grid: Grid, taken: np.ndarray) -> float:
    """How far a stroke stands out: mean grey in it less that of its surround, in SDs of the surround.

    `grey` float (H, W). The surround lies across the run, up to SURROUND_MM to either side, without
    the other structures `taken` (bool (H, W)) unless little else is left.
    """
    inside = stroke.mask(grid)
    beside = widened(stroke, SURROUND_MM).mask(grid) & ~widened(stroke, 0.4).mask(grid)
    around = beside & ~taken
    if around.sum() < 0.2 * beside.sum():
        around = beside
    if not inside.any() or not around.any():
        return 0.0
    return float((grey[inside].mean() - grey[around].mean()) / (grey[around].std() + LEAST_SPREAD))


def confidence(rng: np.random.Generator, seen: float, feature: str, habits: Habits) -> float:
    """A brush level 0.1 to 1 for a contrast, or 0 where the structure is missed.

    Faint strokes are missed more; an eager rater misses fewer.
    """
    odds = SLOPE * (seen - HALF_CONTRAST - DOUBT.get(feature, 0.0)) + habits.noise * rng.standard_normal()
    sure = float(1.0 / (1.0 + np.exp(-odds)))
    missed = rng.random() < (MISSED_AT_NOTHING * (1.0 - sure) ** MISSED_POWER) ** habits.eagerness
    return 0.0 if missed or sure < FAINTEST_STROKE else float(np.rint(sure / LEVEL) * LEVEL)


def recognise(rng: np.random.Generator, sight: Sight, habits: Habits) -> list[Mark]:
    """The strokes that a rater paints on true structures, each at its level; the missed ones are left out."""
    taken = np.any(sight.true, axis=0)
    marks = []
    for ribbon in sight.ribbons:
        for stroke in strokes(rng, ribbon, sight.grid):
            seen = contrast(sight.grey, stroke, sight.grid, taken)
            level = confidence(rng, seen, ribbon.feature, habits)
            if level > 0.0:
                marks.append(Mark(stroke, level))
    return marks


def drawn(
    rng: np.random.Generator, stroke: Ribbon, grid: Grid, bias_mm: float, soft: bool = True
) -> np.ndarray:
    """Chance that each pixel is inside, given edges drawn EDGE_MM off the true ones; float (H, W), 0 to 1.

    `bias_mm` moves both edges outwards. Without `soft` the drawn edges are hard: 0 or 1.
    """
    drift = rng.normal(0.0, EDGE_MM, (2, 1))
    inside = np.zeros((grid.rows, grid.columns))
    turned = inside if stroke.along == "x" else inside.T  # a view: (across, along)
    rows, run = stroke.window(grid, float(np.abs(drift).max()) + abs(bias_mm) + 4.0 * EDGE_MM)
    across = (grid.z_mm if stroke.along == "x" else grid.x_mm)[rows, None]
    above = across - stroke.low_mm[run] - drift[0] + bias_mm
    below = stroke.high_mm[run] + drift[1] - across + bias_mm
    edges = ndtr(above / EDGE_MM) * ndtr(below / EDGE_MM) if soft else (above >= 0) & (below >= 0)
    turned[rows, run] = edges * stroke.present[run]
    return inside


def reported(sure: np.ndarray, calibration: float) -> np.ndarray:
    """What a rater says for what is true with chance `sure`: sure ** (1 / calibration).

    1 is calibrated; above it over-confident, below it too cautious. What is said at s is right with
    chance s ** calibration.
    """
    return sure ** (1.0 / calibration)


def compose(
    rng: np.random.Generator,
    marks: list[Mark],
    grid: Grid,
    habits: Habits,
    apart: np.random.Generator | None = None,
) -> np.ndarray:
    """Paint marks over each other: confidence, uint8 (6, H, W), 255 = 100 %, in whole multiples of 10 %.

    Where strokes of a feature overlap the surer one is seen. `apart` is for the null "confidence": each
    stroke's level is drawn from it, apart from everything else, and of overlapping strokes any may lie on
    top. The edges are then hard, lie where `rng` puts them, and know no habits: raters who share `rng` and
    marks paint the same pixels, and neither the levels nor who painted where tell what is true.
    """
    said = np.zeros((len(FEATURES), grid.rows, grid.columns))
    if apart is not None:
        areas = [drawn(rng, mark.ribbon, grid, 0.0, soft=False) > 0 for mark in marks]
        for k in apart.permutation(len(marks)):
            said[FEATURES.index(marks[k].ribbon.feature)][areas[k]] = LEVEL * apart.integers(1, 11)
    else:
        for mark in marks:
            channel = said[FEATURES.index(mark.ribbon.feature)]
            sure = mark.level * drawn(rng, mark.ribbon, grid, habits.edge_bias_mm)
            np.maximum(channel, sure, out=channel)
        said = reported(said, habits.calibration)
    return np.rint(255.0 * np.rint(said / LEVEL) * LEVEL).astype(np.uint8)
