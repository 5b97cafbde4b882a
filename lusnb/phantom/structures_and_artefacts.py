"""Where each structure of a scene lies in one frame: ribbons in millimetres, and from them the true masks.

A ribbon is a band that runs along one axis of the image: along x for layers and their repeats, along z for
B lines. Everything that draws, paints or counts a structure starts from its ribbon.

Sources
- A lines at k times the pleural depth, as echoes that run k times between probe and pleura: Lichtenstein,
  Whole Body Ultrasonography in the Critically Ill. Sub-A lines at the sums and differences of such paths:
  geometry.
- APART_MM, LEFT_OVER, how far a B line narrows towards the pleura: chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lusnb.phantom.anatomy import FAINTEST_DB, FEATURES, Fascia, Pose, Scene

# Two horizontal lines nearer than this are one line on the screen; the A line then gives its name.
APART_MM = 2.0
# Erasing: a repeat is gone where what is left of its amplitude beside a B line falls below this share.
LEFT_OVER = 0.5


@dataclass(frozen=True)
class Grid:
    """Pixel centres of an image of `rows` x `columns` over depth_mm x width_mm."""

    rows: int
    columns: int
    depth_mm: float
    width_mm: float

    @cached_property
    def z_mm(self) -> np.ndarray:
        """Depth of each row, float64 (rows,)."""
        return (np.arange(self.rows) + 0.5) * self.depth_mm / self.rows

    @cached_property
    def x_mm(self) -> np.ndarray:
        """Lateral position of each column, float64 (columns,), 0 in the middle."""
        return ((np.arange(self.columns) + 0.5) / self.columns - 0.5) * self.width_mm


@dataclass(frozen=True)
class Ribbon:
    """One structure in one frame; arrays are as long as its axis of run.

    `low_mm` and `high_mm` bound it across its run (depths for "x", lateral positions for "z"); `present` says
    where along the run it can be seen; `level_db` how bright it is there.
    """

    feature: str
    along: str
    low_mm: np.ndarray
    high_mm: np.ndarray
    present: np.ndarray
    level_db: np.ndarray

    @property
    def centre_mm(self) -> np.ndarray:
        """Middle of the band along the run."""
        return (self.low_mm + self.high_mm) / 2

    def window(self, grid: Grid, beyond_mm: float = 0.0) -> tuple[slice, slice]:
        """The smallest box around the band and this much beyond it across its run: (across, along)."""
        there = np.flatnonzero(self.present)
        if not len(there):
            return slice(0, 0), slice(0, 0)
        along = slice(int(there[0]), int(there[-1]) + 1)
        across = grid.z_mm if self.along == "x" else grid.x_mm
        low = np.searchsorted(across, self.low_mm[along].min() - beyond_mm)
        high = np.searchsorted(across, self.high_mm[along].max() + beyond_mm, side="right")
        return slice(int(low), int(high)), along

    def mask(self, grid: Grid) -> np.ndarray:
        """Pixels whose centre lies in the band, bool (rows, columns)."""
        inside = np.zeros((grid.rows, grid.columns), bool)
        turned = inside if self.along == "x" else inside.T  # a view: (across, along)
        rows, run = self.window(grid)
        across = (grid.z_mm if self.along == "x" else grid.x_mm)[rows, None]
        turned[rows, run] = (across >= self.low_mm[run]) & (across <= self.high_mm[run]) & self.present[run]
        return inside


def band(feature: str, centre: np.ndarray, thickness, present, level_db) -> Ribbon:
    """A ribbon along x from its centre line and thickness (mm)."""
    half = np.broadcast_to(np.asarray(thickness, float) / 2, centre.shape)
    level = np.broadcast_to(np.asarray(level_db, float), centre.shape)
    return Ribbon(feature, "x", centre - half, centre + half, np.asarray(present, bool), level)


def pleura_depth(scene: Scene, x_mm: np.ndarray, pose: Pose) -> np.ndarray:
    """Depth of the smooth pleura in mm at each x: what the repeats copy."""
    pleura = scene.pleura
    return pleura.depth_mm + pleura.slope * x_mm + pleura.bend_mm(x_mm) + pose.lift_mm


def fascia_depth(scene: Scene, fascia: Fascia, x_mm: np.ndarray, pose: Pose) -> np.ndarray:
    """Depth of a fascia in mm; the chest wall stretches evenly between the probe face and the pleura."""
    still = fascia.depth_mm + fascia.undulation_mm(x_mm) + 0.5 * scene.pleura.slope * x_mm
    rest = pleura_depth(scene, x_mm, Pose(0.0, 0.0))
    return np.minimum(still, rest - 2.8) * (1.0 + pose.lift_mm / rest)


def fuzziness(scene: Scene, x_mm: np.ndarray, pose: Pose) -> np.ndarray:
    """1 where the pleura is fuzzy, 0 where sharp, a soft step between; it slides with the lung."""
    low, high = scene.pleura.fuzzy_span_mm
    if low >= high:
        return np.zeros_like(x_mm)
    own = x_mm - pose.slide_mm
    return 1.0 / (1.0 + np.exp(np.clip(-np.minimum(own - low, high - own) / 0.5, -50, 50)))


def shadow(scene: Scene, x_mm: np.ndarray) -> np.ndarray:
    """Share of the beam that the rib takes away at each x, 0 to 1."""
    if scene.rib is None:
        return np.zeros_like(x_mm)
    inside = scene.rib.half_width_mm - np.abs(x_mm - scene.rib.x_mm)
    return 1.0 / (1.0 + np.exp(-inside / 0.4))


def b_profile(scene: Scene, line, x_mm: np.ndarray, z_mm: np.ndarray, pose: Pose) -> np.ndarray:
    """Amplitude of one B line across its width, 1 in its middle, a half at its edges; x and z broadcast."""
    half = b_half_width(scene, line.width_mm, z_mm)
    across = (x_mm - line.x_mm - pose.slide_mm) / half
    square = across * across
    return np.exp(-np.log(2.0) * square * square)


def b_half_width(scene: Scene, width_mm: float, z_mm: np.ndarray) -> np.ndarray:
    """Half the width of a B line at a depth: 70 % of it at the pleura, all of it at the bottom."""
    top = scene.pleura.depth_mm
    along = np.clip((z_mm - top) / max(scene.depth_mm - top, 1.0), 0.0, 1.0)
    return 0.5 * width_mm * (0.7 + 0.3 * along)


def left_by_b_lines(scene: Scene, x_mm: np.ndarray, z_mm: np.ndarray, pose: Pose) -> np.ndarray:
    """Share of a repeat's amplitude that B lines leave at (x, z), 0 to 1."""
    left = np.ones(np.broadcast_shapes(np.shape(x_mm), np.shape(z_mm)))
    if scene.b_erases:
        for line in scene.b_lines:
            left = left * (1.0 - b_profile(scene, line, x_mm, z_mm, pose))
    return left


def fascia_ribbons(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """One ribbon a fascia, from the shallowest."""
    x = grid.x_mm
    ribbons = []
    for fascia in scene.fasciae:
        left, right = fascia.span_mm
        taper = 12.0 * np.clip(np.maximum(left - x, x - right) / 4.0, 0.0, 3.0)
        level = fascia.level_db + fascia.modulation_db(x) - taper
        centre = fascia_depth(scene, fascia, x, pose)
        ribbons.append(band("fascia_band", centre, fascia.thickness_mm, taper < 8.0, level))
    return ribbons


def pleura_ribbons(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """The sharp and the fuzzy part of the pleural line; never both at one x."""
    x = grid.x_mm
    own = x - pose.slide_mm
    pleura = scene.pleura
    fuzzy = fuzziness(scene, x, pose)
    smooth = pleura_depth(scene, x, pose)
    level = pleura.level_db + pleura.modulation_db(own)
    lit = shadow(scene, x) < 0.5
    # Broken: the fuzzy line drops by up to some 12 dB where its irregularity runs deep.
    breaks = -8.0 * np.clip(np.abs(pleura.irregularity_mm(own * 0.7 + 50.0)) / 0.5, 0.0, 1.5)
    parts = (
        ("sharp_pleura", smooth + 0.15, pleura.thickness_mm, fuzzy < 0.5, level),
        (
            "fuzzy_pleura",
            smooth + 0.4 + pleura.irregularity_mm(own),
            pleura.fuzzy_thickness_mm,
            fuzzy >= 0.5,
            level - 6.0 + breaks,
        ),
    )
    return [band(name, c, t, here & lit, db) for name, c, t, here, db in parts if here.any()]


def repeat(scene: Scene, grid: Grid, pose: Pose, feature: str, centre, thickness, level_db) -> Ribbon | None:
    """A reverberation line, erased by B lines, shadowed by the rib; None where nothing of it can be seen."""
    left = left_by_b_lines(scene, grid.x_mm, centre, pose)
    haze = scene.haze_db - scene.haze_decay_db_per_mm * (centre - pleura_depth(scene, grid.x_mm, pose))
    level = level_db + scene.a_modulation_db(grid.x_mm) + 20 * np.log10(np.maximum(left, 1e-3))
    here = (left > LEFT_OVER) & (shadow(scene, grid.x_mm) < 0.5) & (centre < scene.depth_mm - thickness / 2)
    # A line no brighter than the haze about it, or than the noise, is not there for anyone.
    here = here & (level_db > np.maximum(haze, FAINTEST_DB))
    if not here.any():
        return None
    return band(feature, centre, thickness, here, level)


def a_ribbons(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """A lines: the pleura again at 2, 3, 4 times its local depth, each fainter than the one before."""
    depth = pleura_depth(scene, grid.x_mm, pose)
    lines = []
    for times in (2, 3, 4):
        level = scene.a_level_db - (times - 2) * scene.a_decay_db
        lines.append(repeat(scene, grid, pose, "a_line", times * depth, 1.9, level))
    return [line for line in lines if line is not None]


def sub_a_ribbons(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """Repeats between fascia and pleura: at their sum, and at twice the pleura less the fascia.

    Only the brightest fascia sends back enough; where a line falls on an A line it is that A line.
    """
    if not scene.fasciae:
        return []
    brightest = max(scene.fasciae, key=lambda fascia: fascia.level_db)
    depth = pleura_depth(scene, grid.x_mm, pose)
    above = fascia_depth(scene, brightest, grid.x_mm, pose)
    lines: list[Ribbon] = []
    for centre, loss_db in ((depth + above, 0.0), (2 * depth - above, 3.0)):
        line = repeat(scene, grid, pose, "sub_a_line", centre, 1.7, scene.sub_a_level_db - loss_db)
        if line is not None and np.abs(centre - 2 * depth).min() > APART_MM:
            clear = np.all([np.abs(centre - other.centre_mm) > APART_MM for other in lines], axis=0)
            here = line.present & clear
            lines += [band("sub_a_line", centre, 1.7, here, line.level_db)] if here.any() else []
    return lines


def b_ribbons(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """B lines from the lower edge of the pleural line to the bottom of the image, or to where they fade."""
    z = grid.z_mm
    ribbons = []
    for line in scene.b_lines:
        x = line.x_mm + pose.slide_mm
        edge_mm = scene.width_mm / 2
        at = np.array([np.clip(x, -edge_mm, edge_mm)])  # a line may be in view with its side alone
        if abs(x) - line.width_mm / 2 > edge_mm or shadow(scene, at)[0] > 0.5:
            continue
        thick = fuzziness(scene, at, pose)[0] > 0.5
        edge = scene.pleura.fuzzy_thickness_mm if thick else scene.pleura.thickness_mm
        top = pleura_depth(scene, at, pose)[0] + edge / 2 + 0.3
        half = b_half_width(scene, line.width_mm, z)
        level = line.level_db - scene.b_fade_db_per_mm * np.maximum(z - top, 0.0)
        present = (z > top) & (level > FAINTEST_DB)
        if present.any():
            ribbons.append(Ribbon("b_line", "z", x - half, x + half, present, level))
    return ribbons


def structures(scene: Scene, grid: Grid, pose: Pose) -> list[Ribbon]:
    """Every ribbon of the scene in one pose."""
    return [
        *pleura_ribbons(scene, grid, pose),
        *fascia_ribbons(scene, grid, pose),
        *a_ribbons(scene, grid, pose),
        *sub_a_ribbons(scene, grid, pose),
        *b_ribbons(scene, grid, pose),
    ]


def masks(ribbons: list[Ribbon], grid: Grid) -> np.ndarray:
    """True masks, bool (6, rows, columns) in the order of FEATURES.

    Where two could claim a pixel the nearer cause wins: pleura, fascia, B line, A line, sub-A line.
    """
    true = np.zeros((len(FEATURES), grid.rows, grid.columns), bool)
    taken = np.zeros((grid.rows, grid.columns), bool)
    for feature in ("sharp_pleura", "fuzzy_pleura", "fascia_band", "b_line", "a_line", "sub_a_line"):
        here = np.zeros_like(taken)
        for ribbon in ribbons:
            if ribbon.feature == feature:
                here |= ribbon.mask(grid)
        true[FEATURES.index(feature)] = here & ~taken
        taken |= here
    return true


def masks_of_frames(scene: Scene, grid: Grid, frames: int, fps: float) -> Iterator[np.ndarray]:
    """The true masks of each frame of a clip, `fps` frames a second: `masks`."""
    for frame in range(frames):
        yield masks(structures(scene, grid, scene.breathing.pose(frame / fps)), grid)
