"""What lies under the probe: one scene in millimetres, and how breathing moves it.

A linear probe looks down: depth z grows from 0 at the probe face, x runs from -width/2 to +width/2 along it.
Levels are in dB below the echo that saturates the display (0 dB). Left out: pleural effusion, consolidation,
subpleural cysts and nodules, the lung point, heart and diaphragm.

Sources
- What an A line, a B line, lung sliding and a rib's shadow are: Lichtenstein, Whole Body Ultrasonography in
  the Critically Ill; B lines "laser-like", from the pleura to the bottom without fading, erasing A lines
  and moving with sliding: Volpicelli et al. 2012, Intensive Care Med 38:577.
- WIDTH_MM, DEPTHS_MM: a common 38 mm linear probe, and depth 4 to 6 cm as in the study's protocol.
- Breathing rate 14 to 26 a minute: a resting adult's 12 to 20, faster in heart failure; its excursions:
  chosen.
- PLEURA_DEPTH_MM and its spread, fasciae, ribs, thicknesses: chosen within the anatomy of adults, pleura at
  1 to 2.5 cm; line thicknesses also so that a line is about 3 pixels thick at 128 px and 60 mm.
- Levels, their modulation, the haze and its decay, B lines' number (some seven apart at most, then merging)
  and widths of 1 to 4 mm at the bottom, fuzzy pleura's weak tie to congestion: chosen by eye beside a real
  clip and for the tasks.
"""

from dataclasses import dataclass

import numpy as np

FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")

# Lateral extent of the image: the face of a common linear lung and vascular probe, 38 mm long.
WIDTH_MM = 38.0
# The depth settings a linear probe is used at on the chest wall: 4 to 6 cm.
DEPTHS_MM = (40.0, 50.0, 60.0)
# Depth of the pleura by zone, mean in mm: the pectoral muscles cover the upper front (zone 1), the side is
# thinner (zone 2), the lower back and side thinnest over the last ribs (zone 3). Adults: 10 to 25 mm in all.
PLEURA_DEPTH_MM = {1: 17.5, 2: 15.5, 3: 14.0}
PLEURA_RANGE_MM = (10.5, 24.0)
# Echoes fainter than this are under the receiver's noise: no line is drawn, and none counts as present.
FAINTEST_DB = -47.0


@dataclass(frozen=True)
class Curve:
    """A smooth random function of a position in mm: a sum of sines, so it can be read anywhere."""

    amplitude: np.ndarray  # (n,) in the unit of the value
    wavelength_mm: np.ndarray  # (n,)
    phase: np.ndarray  # (n,) radians

    def __call__(self, position_mm: np.ndarray) -> np.ndarray:
        """Value at each position; any shape in, the same shape out."""
        turns = np.asarray(position_mm, float)[..., None] / self.wavelength_mm
        return (self.amplitude * np.sin(2 * np.pi * turns + self.phase)).sum(axis=-1)


def draw_curve(rng: np.random.Generator, rms: float, shortest_mm: float, longest_mm: float) -> Curve:
    """Draw a curve of six sines with the given root mean square and range of wavelengths."""
    wavelength = np.exp(rng.uniform(np.log(shortest_mm), np.log(longest_mm), 6))
    share = rng.uniform(0.5, 1.0, 6)
    amplitude = rms * np.sqrt(2.0) * share / np.sqrt((share**2).sum())
    return Curve(amplitude, wavelength, rng.uniform(0, 2 * np.pi, 6))


@dataclass(frozen=True)
class Pose:
    """Where breathing has brought the chest: the lung slid along x, the pleura sunk in z (mm)."""

    slide_mm: float
    lift_mm: float


@dataclass(frozen=True)
class Breathing:
    """A sinusoidal breath. Rate in Hz, excursions in mm to either side of the middle."""

    rate_hz: float
    slide_mm: float
    lift_mm: float
    phase: float

    def pose(self, time_s: float) -> Pose:
        """The pose at a time in seconds; the chest wall lags the lung by a fifth of a turn."""
        turn = 2 * np.pi * self.rate_hz * time_s + self.phase
        return Pose(float(self.slide_mm * np.sin(turn)), float(self.lift_mm * np.sin(turn - 0.4 * np.pi)))


@dataclass(frozen=True)
class Fascia:
    """A sheet of connective tissue between two layers of the chest wall."""

    depth_mm: float
    undulation_mm: Curve
    thickness_mm: float
    level_db: float
    modulation_db: Curve
    span_mm: tuple[float, float]  # it tapers away outside of these x


@dataclass(frozen=True)
class Pleura:
    """The pleural line; where it is fuzzy thick, irregular and broken, else thin and continuous."""

    depth_mm: float
    slope: float  # mm of depth per mm along x
    bend_mm: Curve
    thickness_mm: float
    fuzzy_thickness_mm: float
    fuzzy_span_mm: tuple[float, float]  # in the lung's own x; empty when the first is not below the second
    irregularity_mm: Curve  # of the fuzzy part, in the lung's own x
    level_db: float
    modulation_db: Curve


@dataclass(frozen=True)
class BLine:
    """A vertical reverberation that hangs from the visceral pleura. x in the lung's own coordinate."""

    x_mm: float
    width_mm: float
    level_db: float


@dataclass(frozen=True)
class Rib:
    """A rib at the edge of the view: a bright convex face and a shadow below it."""

    x_mm: float
    half_width_mm: float
    above_pleura_mm: float


@dataclass(frozen=True)
class Scene:
    """All that one clip shows, in the middle of a breath."""

    depth_mm: float
    width_mm: float
    fasciae: tuple[Fascia, ...]
    pleura: Pleura
    b_lines: tuple[BLine, ...]
    rib: Rib | None
    breathing: Breathing
    a_level_db: float  # of the line at twice the pleural depth
    a_decay_db: float  # from each line to the next
    a_modulation_db: Curve
    sub_a_level_db: float
    haze_db: float  # diffuse reverberation just below the pleura
    haze_decay_db_per_mm: float
    b_fade_db_per_mm: float  # what B lines lose below the pleura; by definition (Volpicelli) nothing
    b_erases: bool  # B lines erase the repeats they cross, faded or not
    congestion: float
    focus_mm: float = 20.0  # where the beam is narrowest
    layering: float = 1.0  # 0: wall and haze are even, without layers, fibres and streaks, like a test block


def draw_fasciae(rng: np.random.Generator, pleura_mm: float) -> tuple[Fascia, ...]:
    """Draw two to four bands from the fat to 3.8 mm above the pleura, at least 3 mm apart."""
    top, bottom = 4.0, pleura_mm - 3.8
    wanted = min(int(rng.integers(2, 5)), 1 + int((bottom - top) / 3.0))
    slack = (bottom - top) - 3.0 * (wanted - 1)
    depths = top + np.sort(rng.uniform(0, slack, wanted)) + 3.0 * np.arange(wanted)
    fasciae = []
    for depth in depths:
        whole = rng.random() < 0.7
        left, right = (-40.0, 40.0) if whole else (rng.uniform(-30, -5), rng.uniform(5, 30))
        fasciae.append(
            Fascia(
                float(depth),
                draw_curve(rng, rng.uniform(0.2, 0.45), 16.0, 70.0),
                float(rng.uniform(1.6, 2.2)),
                float(rng.uniform(-24.0, -9.0)),
                draw_curve(rng, 4.0, 4.0, 40.0),
                (float(left), float(right)),
            )
        )
    return tuple(fasciae)


def draw_pleura(rng: np.random.Generator, depth_mm: float, congestion: float) -> Pleura:
    """Draw the pleural line. In heart failure it is usually smooth: fuzziness follows congestion weakly."""
    fuzzy_chance = 0.30 + 0.20 * congestion
    span = (1.0, 0.0)
    if rng.random() < fuzzy_chance:
        # Half of the fuzzy ones are so all along, half over a stretch that reaches one edge of the view.
        edge = 0.0 if rng.random() < 0.5 else rng.uniform(-8.0, 8.0)
        span = (-60.0, 60.0) if edge == 0.0 else ((-60.0, edge) if rng.random() < 0.5 else (edge, 60.0))
    return Pleura(
        depth_mm=depth_mm,
        slope=float(rng.normal(0.0, 0.06)),
        bend_mm=draw_curve(rng, 0.5, 35.0, 90.0),
        thickness_mm=float(rng.uniform(1.9, 2.3)),
        fuzzy_thickness_mm=float(rng.uniform(2.8, 3.8)),
        fuzzy_span_mm=span,
        irregularity_mm=draw_curve(rng, rng.uniform(0.25, 0.45), 4.0, 10.0),
        level_db=float(rng.uniform(-14.0, -5.0)),
        modulation_db=draw_curve(rng, 2.5, 6.0, 40.0),
    )


def draw_b_lines(rng: np.random.Generator, congestion: float, reach_mm: float) -> tuple[BLine, ...]:
    """Draw B lines: more, wider and brighter as congestion rises, until they merge.

    The mean count over the view, 7 c^1.6 + 13 c^8, gives under one line at c = 0.2, about seven at c = 0.8,
    still apart, and 20 at c = 1, which cover most of the view: a white lung.
    """
    mean = 7.0 * congestion**1.6 + 13.0 * congestion**8
    count = rng.poisson(mean * (2 * reach_mm / WIDTH_MM))
    lines = []
    for _ in range(count):
        width = 1.1 + rng.uniform(0.2, 1.0) * (0.6 + 2.3 * congestion)
        level = rng.normal(-29.5 + 6.0 * congestion, 4.0)
        lines.append(
            BLine(
                float(rng.uniform(-reach_mm, reach_mm)),
                float(min(width, 4.0)),
                float(np.clip(level, -42, -18)),
            )
        )
    return tuple(sorted(lines, key=lambda line: line.x_mm))


def draw_breathing(rng: np.random.Generator) -> Breathing:
    """Draw a breath: 14 to 26 a minute in decompensated patients, the lung sliding some millimetres."""
    return Breathing(
        rate_hz=float(rng.uniform(14.0, 26.0) / 60.0),
        slide_mm=float(rng.uniform(2.0, 5.0)),
        lift_mm=float(rng.uniform(0.2, 0.6)),
        phase=float(rng.uniform(0.0, 2 * np.pi)),
    )


def choose_depth_mm(rng: np.random.Generator, pleura_mm: float) -> float:
    """The depth setting: mostly the first that shows the A line at twice the pleural depth."""
    first = next((i for i, depth in enumerate(DEPTHS_MM) if depth >= 2 * pleura_mm + 8.0), len(DEPTHS_MM) - 1)
    step = rng.choice([-1, 0, 1], p=[0.1, 0.65, 0.25])
    return DEPTHS_MM[int(np.clip(first + step, 0, len(DEPTHS_MM) - 1))]


def draw_scene(rng: np.random.Generator, zone: int, congestion: float, habitus_mm: float) -> Scene:
    """Draw what one view of one patient shows.

    `zone` 1 to 3; `congestion` of this view, 0 to 1; `habitus_mm`, how much thicker than the mean the
    patient's chest wall is.
    """
    depth = PLEURA_DEPTH_MM.get(zone, 15.5) + habitus_mm + rng.normal(0.0, 1.5)
    depth = float(np.clip(depth, *PLEURA_RANGE_MM))
    breathing = draw_breathing(rng)
    rib = None
    if rng.random() < 0.2:
        side = rng.choice([-1.0, 1.0])
        rib = Rib(
            float(side * rng.uniform(19.0, 21.0)), float(rng.uniform(5.0, 8.0)), float(rng.uniform(3.5, 5.5))
        )
    aerated = 1.0 - congestion
    return Scene(
        depth_mm=choose_depth_mm(rng, depth),
        width_mm=WIDTH_MM,
        fasciae=draw_fasciae(rng, depth),
        pleura=draw_pleura(rng, depth, congestion),
        b_lines=draw_b_lines(rng, congestion, WIDTH_MM / 2 + breathing.slide_mm),
        rib=rib,
        breathing=breathing,
        # The first repeat loses some 15 to 25 dB against the pleura; a wet lung reflects less of the beam.
        a_level_db=float(rng.normal(-34.0 + 5.0 * aerated, 6.0)),
        a_decay_db=float(rng.uniform(6.0, 11.0)),
        a_modulation_db=draw_curve(rng, 3.5, 4.0, 30.0),
        sub_a_level_db=float(rng.normal(-38.0 + 3.0 * aerated, 4.5)),
        haze_db=float(rng.normal(-40.0 + 6.0 * congestion**2, 2.0)),
        haze_decay_db_per_mm=float(rng.uniform(0.3, 0.6) * (1.0 - 0.5 * congestion)),
        b_fade_db_per_mm=0.0,
        b_erases=True,
        congestion=float(congestion),
        focus_mm=float(rng.uniform(15.0, 25.0)),
    )
