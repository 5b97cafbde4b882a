"""What a rater takes for a structure that is not there, and the whole of one rater's painting of a frame.

Nobody knows which strokes are mistakes when painting them: false strokes have the sizes, shapes and levels of
true ones. They are therefore lent by the strokes that the same rater painted in other frames of the same
split and fold (plan.lenders_of), and fall in any frame, at any lateral place, on what looks brightest there:
a dry lung gets false B lines too.

Sources
- (1 - c) / c false strokes for each true one painted at c: what calibration asks for (see raters.py).
- PLACES_TRIED, CLEAR_MM and the depths where each feature is looked for: chosen, so that a fascia passes
  for pleura and the pleura for a fascia, a repeat of the wall for an A line, and a streak of haze for a B
  line.
"""

from dataclasses import replace

import numpy as np

from lusnb.phantom.anatomy import FEATURES
from lusnb.phantom.raters import Habits, Mark, Sight, compose, contrast, widened
from lusnb.phantom.structures_and_artefacts import Grid, Ribbon

# A look-alike is bright, like what it is taken for: the best of this many places, found in so many tries.
PLACES_TRIED, MOST_TRIES = 8, 80
# A false stroke keeps this far from the same feature's true area and from other strokes, mm.
CLEAR_MM = 0.5


def typical_pleura_mm(sight: Sight) -> float:
    """Mean depth of the pleura in view, mm; a third of the image where a rib hides all of it."""
    ribbons = [r for r in sight.ribbons if r.feature.endswith("pleura") and r.present.any()]
    depths = [ribbon.centre_mm[ribbon.present] for ribbon in ribbons]
    return float(np.concatenate(depths).mean()) if depths else sight.grid.depth_mm / 3


def below_pleura_mm(sight: Sight) -> np.ndarray:
    """Depth of the pleura's lower edge, mm (columns,); where it is hidden, its typical depth."""
    edge = np.full(sight.grid.columns, typical_pleura_mm(sight) + 1.2)
    for ribbon in sight.ribbons:
        if ribbon.feature.endswith("pleura"):
            edge[ribbon.present] = ribbon.high_mm[ribbon.present]
    return edge


def depths_of(feature: str, pleura_mm: float, grid: Grid) -> tuple[float, float]:
    """Between which depths a rater could take something for this layer, mm."""
    if feature == "fascia_band":
        return 1.5, pleura_mm + 4.0  # layers of fibres, and the pleura itself
    if feature in ("a_line", "sub_a_line"):
        return pleura_mm + 2.0, grid.depth_mm
    return 4.0, 2.0 * pleura_mm  # the other kind of pleura, a fascia, a haze


def moved_layer(rng: np.random.Generator, stroke: Ribbon, sight: Sight, pleura_mm: float) -> Ribbon:
    """A layer's stroke at another lateral place and another depth."""
    there = np.flatnonzero(stroke.present)
    by = int(rng.integers(-there[0], sight.grid.columns - there[-1]))
    low, high = depths_of(stroke.feature, pleura_mm, sight.grid)
    down = float(rng.uniform(low, high) - stroke.centre_mm[there].mean())
    return replace(
        stroke,
        low_mm=np.roll(stroke.low_mm, by) + down,
        high_mm=np.roll(stroke.high_mm, by) + down,
        present=np.roll(stroke.present, by),
        level_db=np.roll(stroke.level_db, by),
    )


def moved_b_line(rng: np.random.Generator, stroke: Ribbon, lender: Grid, sight: Sight, top_mm) -> Ribbon:
    """A B line's stroke of the same width elsewhere, from that frame's pleura to where it ends."""
    grid = sight.grid
    half = np.interp(grid.z_mm, lender.z_mm, (stroke.high_mm - stroke.low_mm) / 2)
    room = grid.width_mm / 2 - 0.8 * half.max()
    x = float(rng.uniform(-room, room))
    below = grid.z_mm - np.interp(x, grid.x_mm, top_mm) - 0.3
    present = below > 0.0
    if not stroke.present[-1]:  # it faded before the bottom: as long as it was there
        present &= below <= np.ptp(lender.z_mm[stroke.present])
    level = np.full(grid.rows, float(stroke.level_db.mean()))
    return Ribbon("b_line", "z", x - half, x + half, present, level)


def look_alike(
    rng: np.random.Generator, stroke: Ribbon, lender: Grid, sight: Sight, free: np.ndarray
) -> Ribbon | None:
    """A place for a false stroke: of several that hold nothing of the feature, the brightest.

    `stroke` as it was painted on `lender`; `free` bool (H, W) is where `sight` has room for it. None where no
    place was found.
    """
    grid, pleura_mm, top_mm = sight.grid, typical_pleura_mm(sight), below_pleura_mm(sight)
    best, best_seen, found = None, -np.inf, 0
    for _ in range(MOST_TRIES):
        if stroke.along == "z":
            place = moved_b_line(rng, stroke, lender, sight, top_mm)
        else:
            place = moved_layer(rng, stroke, sight, pleura_mm)
        if not free[widened(place, CLEAR_MM).mask(grid)].all():
            continue
        area = ((place.high_mm - place.low_mm) * place.present).sum()
        across = grid.width_mm / grid.columns if stroke.along == "z" else grid.depth_mm / grid.rows
        if place.mask(grid).sum() < 0.85 * area / across:
            continue
        seen = contrast(sight.grey, place, grid, ~free)
        if seen > best_seen:
            best, best_seen = place, seen
        found += 1
        if found == PLACES_TRIED:
            break
    return best


def mistake(
    rng: np.random.Generator, sight: Sight, own: list[Mark], lent: list[tuple[Mark, Grid]], share: float
) -> list[Mark]:
    """The false strokes of one frame.

    `own` are the true strokes already painted in it; `lent` the true strokes painted in other frames, each
    with that frame's grid; each of these leads to (1 - c) / c times `share` false ones here on average.
    """
    free = ~sight.true
    for mark in own:
        free[FEATURES.index(mark.ribbon.feature)] &= ~mark.ribbon.mask(sight.grid)
    marks = []
    for mark, lender in lent:
        room = free[FEATURES.index(mark.ribbon.feature)]
        for _ in range(rng.poisson(share * (1 - mark.level) / mark.level)):
            place = look_alike(rng, mark.ribbon, lender, sight, room)
            if place is not None:
                room &= ~place.mask(sight.grid)
                marks.append(Mark(place, mark.level))
    return marks


def paint(
    rng: np.random.Generator,
    sight: Sight,
    own: list[Mark],
    lent: list[list[tuple[Mark, Grid]]],
    habits: Habits,
    apart: np.random.Generator | None = None,
) -> np.ndarray:
    """Paint one frame: its recognised structures `own` (raters.recognise) and what is taken for them.

    `lent` holds, for each of some other frames, what the same rater recognised there, with that frame's grid.
    `apart` draws the levels under the null "confidence" (raters.compose).
    Returns confidence, uint8 (6, H, W), 255 = 100 %, in whole multiples of 10 %.
    """
    given = [pair for frame in lent for pair in frame]
    false = mistake(rng, sight, own, given, 1.0 / max(len(lent), 1))
    return compose(rng, [*own, *false], sight.grid, habits, apart)
