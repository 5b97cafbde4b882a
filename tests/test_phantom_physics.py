"""The phantom's physics, read off the complex echo before compression, and what a scene holds."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lusnb.phantom import block
from lusnb.phantom.acoustics import (
    NOISE_DB,
    NOISE_RISE_DB_PER_MM,
    RESIDUAL_DB_PER_MM,
    amplitude,
    compress,
    draw_gain,
    lateral_fwhm_mm,
    speckle,
)
from lusnb.phantom.anatomy import BLine, draw_scene
from lusnb.phantom.block import GRID
from lusnb.phantom.scan import render
from lusnb.phantom.structures_and_artefacts import Grid, fascia_depth, masks, pleura_depth, structures
from tests.test_phantom import STILL, scene_with

WALL = slice(25, 125)  # rows: 4.7 to 23.4 mm
DEEP = slice(200, 310)  # rows: 37.5 to 58 mm


@cache
def echoes() -> dict[str, np.ndarray]:
    return block.patches()


def decibels(field: np.ndarray, axis=None) -> np.ndarray:
    return 10 * np.log10((np.abs(field) ** 2).mean(axis=axis))


@pytest.mark.parametrize("name", block.PATCHES)
def test_the_echo_of_even_tissue_is_fully_developed_speckle(name):
    """Rayleigh: mean / SD is sqrt(pi / (4 - pi)), the median sqrt(ln 2) RMS; no phase is preferred."""
    field = echoes()[name]
    envelope = np.abs(field)
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, rel=0.05)
    assert np.median(envelope) == pytest.approx(np.sqrt(np.log(2)), rel=0.03)
    assert abs((field**2).mean()) < 0.05


@pytest.mark.parametrize(
    ("name", "axial", "lateral"),
    [("wall, 14 mm", 0.45, 0.8), ("haze, 41 mm", 0.45, 1.2 * 1.56), ("haze, 55 mm", 0.45, 1.2 * 2.19)],
)
def test_the_echo_is_correlated_as_the_point_spread_asked_for(name, axial, lateral):
    """A Gaussian of FWHM w: exp(-lag^2 2 ln 2 / w^2). Laterally w is hypot(0.8, 0.05 (depth - focus))."""
    asked = block.asked_fwhm_mm(name)
    assert (asked["axial"], asked["lateral"]) == pytest.approx((axial, lateral), rel=0.01)
    table = block.autocorrelation({name: echoes()[name]}, lags=8)
    for direction, width in (("axial", axial), ("lateral", lateral)):
        rows = table[table["direction"] == direction]
        expected = np.exp(-(rows["lag_mm"] ** 2) * 2 * np.log(2) / width**2)
        assert np.abs(rows["asked"] - expected).max() < 0.01
        assert np.abs(rows["found"] - expected).max() < 0.06, direction


def test_an_axial_lag_is_a_row_and_a_lateral_lag_a_column():
    """White noise smeared along z alone: correlated along z, not along x."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((4, 60, 80)) + 1j * rng.standard_normal((4, 60, 80))
    smeared = white[:, 1:] + white[:, :-1]
    smeared /= np.sqrt((np.abs(smeared) ** 2).mean())
    table = block.autocorrelation({"wall, 14 mm": smeared}, lags=2).set_index(["direction", "lag_mm"])
    assert table.loc["axial", "found"].to_numpy() == pytest.approx([1.0, 0.5, 0.0], abs=0.05)
    assert table.loc["lateral", "found"].to_numpy() == pytest.approx([1.0, 0.0, 0.0], abs=0.05)


def test_the_beam_is_narrowest_at_its_focus():
    assert lateral_fwhm_mm(np.array([14.0]), 14.0) == pytest.approx([0.8])
    assert lateral_fwhm_mm(np.array([54.0, -26.0]), 14.0) == pytest.approx(np.hypot(0.8, 2.0) * np.ones(2))
    field = speckle(np.random.default_rng(0), (200, 600), (0.2, 0.1), 0.4, np.linspace(0.6, 3.0, 200))
    near, far = (np.abs((np.conj(f) * np.roll(f, -8, 1)).mean()) for f in (field[:40], field[-40:]))
    assert far > near + 0.4


def test_log_compression_recovers_decibels():
    assert compress(np.array([1.0, 1e-3, 1e-9]), 60.0) == pytest.approx([255.0, 0.0, 0.0])
    assert compress(np.array([10 ** (-30 / 20)]), 60.0) == pytest.approx([127.5])
    loud, soft = (np.abs(block.scan(block.block(haze_db=level), 0)[0][DEEP]) for level in (-20.0, -35.0))
    steps = compress(loud, 60.0) - compress(soft, 60.0)
    assert np.median(steps) * 60.0 / 255.0 == pytest.approx(15.0, abs=0.3)


def test_attenuation_is_left_in_where_the_gain_misses_it():
    gains = [draw_gain(np.random.default_rng(seed), GRID) for seed in range(300)]
    middle = np.mean([20 * np.log10(gain[:, 100:156]) for gain in gains], axis=(0, 2))
    assert np.polyfit(GRID.z_mm, middle, 1)[0] == pytest.approx(-RESIDUAL_DB_PER_MM, abs=0.015)
    side = np.mean([20 * np.log10(gain[:, [0, -1]] / gain[:, [128]]) for gain in gains])
    assert side < -2.0, "the ends of the probe are darker"
    field, gain = block.scan(block.block(), 3)
    found = decibels(field * gain, axis=1)[DEEP] - decibels(gain, axis=1)[DEEP]
    assert np.polyfit(GRID.z_mm[DEEP], found, 1)[0] == pytest.approx(0.0, abs=0.08), "even but for the gain"


def test_haze_decays_as_asked():
    field = np.stack([block.scan(block.block(haze_decay_db_per_mm=0.6), seed)[0] for seed in range(4)])
    level = decibels(field, axis=(0, 2))
    assert np.polyfit(GRID.z_mm[DEEP], level[DEEP], 1)[0] == pytest.approx(-0.6, abs=0.05)
    rest = pleura_depth(block.block(), GRID.x_mm, STILL).mean()
    assert level[DEEP].mean() == pytest.approx(-20.0 - 0.6 * (GRID.z_mm[DEEP].mean() - rest), abs=0.7)


def test_below_an_aerated_pleura_only_the_noise_is_left():
    """No scatterers there: without reverberation the echo falls to the receiver's noise at once."""
    fields, gains = zip(*(block.scan(block.block(haze_db=-200.0), seed) for seed in range(4)), strict=True)
    level = decibels(np.array(fields) * np.array(gains), axis=(0, 2))
    noise = NOISE_DB + NOISE_RISE_DB_PER_MM * GRID.z_mm
    under = GRID.z_mm > pleura_depth(block.block(), GRID.x_mm, STILL).max() + 3.0
    assert np.abs(level - noise)[under].mean() < 0.5
    assert (level - noise)[WALL].min() > 6.0


def test_repeats_lie_where_their_paths_end():
    checked = 0
    for seed in range(12):
        scene = scene_with(
            seed, b_lines=(), a_level_db=-99.0, sub_a_level_db=-20.0, haze_db=-60.0, depth_mm=60.0
        )
        brightest = max(scene.fasciae, key=lambda fascia: fascia.level_db)
        pleura = pleura_depth(scene, GRID.x_mm, STILL)
        above = fascia_depth(scene, brightest, GRID.x_mm, STILL)
        places = (pleura + above, 2 * pleura - above)
        for line in (r for r in structures(scene, GRID, STILL) if r.feature == "sub_a_line"):
            off = [np.abs(line.centre_mm - place)[line.present].max() for place in places]
            assert min(off) < 1e-6
            checked += 1
    assert checked >= 12


def test_no_line_is_drawn_beyond_the_image_or_below_the_noise():
    deep = scene_with(0, b_lines=(), a_level_db=-20.0, sub_a_level_db=-99.0, depth_mm=40.0)
    deep = replace(deep, pleura=replace(deep.pleura, depth_mm=22.0, slope=0.0))
    grid = Grid(128, 128, 40.0, 38.0)
    assert not [r for r in structures(deep, grid, STILL) if r.feature == "a_line"]
    near = replace(deep, pleura=replace(deep.pleura, depth_mm=11.0), haze_db=-60.0, a_decay_db=40.0)
    lines = [r for r in structures(near, grid, STILL) if r.feature == "a_line"]
    assert len(lines) == 1, "the line at three times the depth would be at -60 dB"


def test_a_white_lung_is_covered_and_a_dry_one_is_not():
    def covered(congestion):
        shares = []
        for seed in range(30):
            scene = replace(draw_scene(np.random.default_rng(seed), 2, congestion, 0.0), rib=None)
            grid = Grid(96, 96, scene.depth_mm, scene.width_mm)
            true = masks(structures(scene, grid, STILL), grid)[5]
            shares.append(true[-10:].any(axis=0).mean())
        return np.mean(shares)

    assert covered(0.05) < 0.05 and 0.1 < covered(0.5) < 0.4 and covered(1.0) > 0.75


def test_b_lines_are_one_to_four_mm_wide():
    widths = [
        line.width_mm
        for seed in range(200)
        for line in draw_scene(np.random.default_rng(seed), 2, seed / 200, 0.0).b_lines
    ]
    assert min(widths) >= 1.0 and max(widths) <= 4.0 and np.mean(widths) == pytest.approx(2.5, abs=0.6)


def test_b_lines_fade_only_when_told_to():
    line = BLine(0.0, 4.0, -20.0)

    def lower_part(fade):
        scene = block.block(b_lines=(line,), b_fade_db_per_mm=fade, haze_db=-80.0)
        level = decibels(
            np.stack([block.scan(scene, seed)[0] for seed in range(4)])[:, :, 120:136], axis=(0, 2)
        )
        return np.polyfit(GRID.z_mm[DEEP], level[DEEP], 1)[0]

    assert lower_part(0.0) == pytest.approx(0.0, abs=0.1)
    assert lower_part(0.5) == pytest.approx(-0.5, abs=0.12)


@pytest.mark.parametrize(("x_mm", "inside_mm"), [(20.0, 0.5), (-20.0, 0.5), (20.6, 0.0), (18.0, 2.5)])
def test_a_b_line_whose_middle_has_left_the_view_is_still_in_the_truth(x_mm, inside_mm):
    """At the bottom its edge stands 1.5 mm from its middle; the view ends at 19 mm."""
    scene = block.block(b_lines=(BLine(x_mm, 3.0, -20.0),), haze_db=-60.0)
    grid = Grid(128, 512, 60.0, 38.0)
    true = masks(structures(scene, grid, STILL), grid)[5]
    assert true[-1].sum() == pytest.approx(inside_mm / grid.width_mm * 512, abs=1)
    assert true[-1].any() == (inside_mm > 0)


def test_fuzzy_pleura_is_only_weakly_tied_to_congestion():
    def share(congestion):
        drawn = [draw_scene(np.random.default_rng(seed), 2, congestion, 0.0).pleura for seed in range(600)]
        return np.mean([pleura.fuzzy_span_mm[0] < pleura.fuzzy_span_mm[1] for pleura in drawn])

    dry, wet = share(0.0), share(1.0)
    assert 0.2 < dry < wet < 0.6 and wet - dry < 0.3


def test_a_rib_shades_what_lies_below_it():
    drawn = next(
        s for s in (draw_scene(np.random.default_rng(k), 2, 0.2, 0.0) for k in range(50)) if s.rib is not None
    )
    scene = replace(drawn, rib=replace(drawn.rib, x_mm=19.0, half_width_mm=6.0))
    frame = render(np.random.default_rng(0), scene, 128, 1, 20.0)[0].astype(float)
    grid = Grid(128, 128, scene.depth_mm, scene.width_mm)
    below = grid.z_mm > scene.pleura.depth_mm + 2.0
    shaded, lit = frame[below][:, grid.x_mm > 15.0], frame[below][:, np.abs(grid.x_mm) < 8.0]
    assert shaded.mean() < 0.3 * lit.mean()
    true = masks(structures(scene, grid, STILL), grid)
    assert not true[[0, 1, 3, 4]][..., grid.x_mm > 14.0].any(), "no pleura and no repeat of it in the shadow"


def test_amplitude_is_the_inverse_of_decibels():
    assert amplitude(np.array([0.0, -20.0, -6.0206])) == pytest.approx([1.0, 0.1, 0.5], rel=1e-4)
