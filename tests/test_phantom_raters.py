"""The phantom's raters: right as often as they say, edge by edge and feature by feature; habits; nulls."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import confidence
from lusnb.phantom.anatomy import FEATURES, draw_scene
from lusnb.phantom.build import make_cohort
from lusnb.phantom.mistakes import mistake, paint
from lusnb.phantom.patients import draw_tables
from lusnb.phantom.plan import Plan
from lusnb.phantom.raters import (
    Habits,
    Mark,
    Sight,
    compose,
    draw_habits,
    drawn,
    recognise,
    reported,
    strokes,
)
from lusnb.phantom.scan import render
from lusnb.phantom.structures_and_artefacts import Grid, Ribbon, masks, structures
from tests.test_phantom import TINY, bytes_of, scene_with

PEOPLE = dict(n_patients=3, n_clips=8, split=(1, 1, 1), n_frames=1)
LEVELS = np.arange(1, 11) / 10
FRAMES = 90
Drawn = list[list[Mark]]  # the strokes of each frame, true ones and mistakes


def sight_of(rng, scene) -> Sight:
    grid = Grid(96, 96, scene.depth_mm, scene.width_mm)
    ribbons = structures(scene, grid, scene.breathing.pose(0.0))
    frame = render(rng, scene, 96, 1, 20.0)[0]
    return Sight(frame.astype(np.float32), ribbons, masks(ribbons, grid), grid)


def marks_of(sights, draw: int) -> Drawn:
    """All that one plain rater paints; each frame borrows from its four neighbours."""
    own = [recognise(np.random.default_rng([draw, k, 0]), s, Habits()) for k, s in enumerate(sights)]
    marks = []
    for k, sight in enumerate(sights):
        near = [(k + step) % len(sights) for step in (1, 2, 3, 4)]
        lent = [(mark, sights[n].grid) for n in near for mark in own[n]]
        marks.append([*own[k], *mistake(np.random.default_rng([draw, k, 1]), sight, own[k], lent, 0.25)])
    return marks


def painted(sights, marks: Drawn, habits=None, apart=None) -> np.ndarray:
    """What is said when these strokes are painted, in per cent (N, 6, H, W)."""
    rng, habits = np.random.default_rng(0), habits or Habits()
    both = zip(sights, marks, strict=True)
    return np.rint(np.stack([compose(rng, m, s.grid, habits, apart) for s, m in both]) / 2.55)


def right(said, true) -> np.ndarray:
    """Share of the pixels painted at each level, 10 to 100 %, that are true (10,)."""
    return np.array([true[said == level].mean() for level in range(10, 101, 10)])


@pytest.fixture(scope="module")
def sights() -> list[Sight]:
    """Frames over all congestions and zones."""
    rngs = [np.random.default_rng(seed) for seed in range(FRAMES)]
    return [
        sight_of(rng, draw_scene(rng, 1 + k % 3, (k * 37 % FRAMES) / FRAMES, 0.0))
        for k, rng in enumerate(rngs)
    ]


@pytest.fixture(scope="module")
def truth(sights) -> np.ndarray:
    return np.stack([sight.true for sight in sights])


@pytest.fixture(scope="module")
def thrice(sights) -> list[Drawn]:
    """The same frames painted three times, each time anew."""
    return [marks_of(sights, draw) for draw in range(3)]


@pytest.fixture(scope="module")
def said(sights, thrice) -> np.ndarray:
    """What the plain rater says, per cent (3, N, 6, H, W)."""
    return np.stack([painted(sights, marks) for marks in thrice])


def test_a_calibrated_rater_is_right_as_often_as_it_says(said, truth):
    assert set(np.unique(said)) == {0, *range(10, 101, 10)}
    every = np.broadcast_to(truth, said.shape)
    assert np.abs(right(said, every) - LEVELS).max() < 0.03
    for channel, feature in enumerate(FEATURES):
        off = right(said[:, :, channel], every[:, :, channel]) - LEVELS
        assert np.abs(off).max() < 0.1 and np.abs(off).mean() < 0.04, (feature, off.round(2))


@pytest.mark.parametrize("calibration", [2.0, 0.5])
def test_another_calibration_departs_as_its_formula_says(sights, thrice, truth, calibration):
    habits = Habits(calibration=calibration)
    said = np.stack([painted(sights, marks, habits) for marks in thrice])
    found = right(said, np.broadcast_to(truth, said.shape))
    assert np.abs(found - LEVELS**calibration).max() < 0.05
    assert (np.abs(found - LEVELS) > 0.1).sum() >= 3, "the plain rater's formula must not fit as well"


def test_reporting_is_a_power_of_what_is_true():
    sure = np.array([0.0, 0.25, 0.81, 1.0])
    assert reported(sure, 1.0) == pytest.approx(sure)
    assert reported(sure, 2.0) == pytest.approx([0.0, 0.5, 0.9, 1.0])
    assert reported(sure, 0.5) == pytest.approx([0.0, 0.0625, 0.6561, 1.0])


def band(low, high, columns=50) -> Ribbon:
    ones = np.ones(columns)
    return Ribbon("a_line", "x", low * ones, high * ones, ones > 0, 0 * ones)


def test_where_an_edge_runs_is_a_doubt_of_its_own():
    grid = Grid(400, 50, 20.0, 10.0)
    rng = np.random.default_rng(0)
    tried = [band(low, low + 2.0) for low in rng.uniform(4, 14, 400)]
    sure = np.stack([drawn(rng, ribbon, grid, 0.0)[:, 0] for ribbon in tried])
    true = np.stack([ribbon.mask(grid)[:, 0] for ribbon in tried])
    for level in np.arange(0.1, 0.95, 0.1):
        here = np.abs(sure - level) < 0.05
        assert here.sum() > 200 and true[here].mean() == pytest.approx(level, abs=0.06)
    wide = drawn(np.random.default_rng(1), tried[0], grid, 0.5).sum()
    plain = drawn(np.random.default_rng(1), tried[0], grid, 0.0).sum()
    assert (wide - plain) * 20.0 / 400 / 50 == pytest.approx(1.0, abs=0.02), "0.5 mm on either side"


def test_strokes_cut_a_layer_at_random_borders_and_lose_little_of_it():
    grid = Grid(96, 380, 40.0, 38.0)
    borders, rng = set(), np.random.default_rng(0)
    for _ in range(20):
        parts = strokes(rng, band(10.0, 12.0, 380), grid)
        lengths = [part.present.sum() * 0.1 for part in parts]
        assert max(lengths) <= 13.1 and sum(lengths) > 33 and sum(p.present for p in parts).max() == 1
        borders |= {int(np.flatnonzero(part.present)[0]) for part in parts[1:]}
    assert len(borders) > 30


def test_a_frame_that_holds_nothing_of_a_feature_gets_some_all_the_same(sights, said, truth):
    dry = ~truth[:, 5].any(axis=(1, 2))
    assert dry.sum() >= 10
    false = (said[:, dry, 5] > 0).any(axis=2)  # (3, dry frames, columns)
    assert 0.3 < false.any(axis=2).mean() < 0.9
    halves = false[..., :48].any(axis=2).mean(), false[..., 48:].any(axis=2).mean()
    assert min(halves) > 0.15 and false.reshape(-1, 96).any(axis=0)[4:-4].all(), "at any lateral place"
    hits = (said[:, :, 5] > 0) & ~np.broadcast_to(truth[:, 5], said[:, :, 5].shape)
    above = [hits[:, k][:, s.grid.z_mm < s.grid.depth_mm / 6].mean() for k, s in enumerate(sights)]
    assert np.mean(above) < 0.002, "false B lines start at the pleura too"


def test_a_rater_paints_what_was_recognised_and_its_mistakes(sights):
    own, lent = (recognise(np.random.default_rng(k), sights[k], Habits()) for k in (0, 1))
    lent = [[(mark, sights[1].grid) for mark in lent]]
    rng = np.random.default_rng(2)
    every = [*own, *mistake(rng, sights[0], own, lent[0], 1.0)]
    expected = compose(rng, every, sights[0].grid, Habits())
    label = paint(np.random.default_rng(2), sights[0], own, lent, Habits())
    assert label.dtype == np.uint8 and label.shape == (6, 96, 96) and np.array_equal(label, expected)
    assert np.array_equal(
        paint(np.random.default_rng(2), sights[0], own, [], Habits()),
        compose(np.random.default_rng(2), own, sights[0].grid, Habits()),
    )


def test_mistakes_are_as_many_as_calibration_asks_for(sights):
    lender, sight = (next(s for s in sights if s.true[3].any() == has) for has in (True, False))
    line = next(r for r in lender.ribbons if r.feature == "a_line")
    stroke = strokes(np.random.default_rng(0), line, lender.grid)[0]
    counts = {
        level: np.mean(
            [
                len(mistake(np.random.default_rng(k), sight, [], [(Mark(stroke, level), lender.grid)], 1.0))
                for k in range(200)
            ]
        )
        for level in (0.5, 0.8, 1.0)
    }
    assert counts[0.5] == pytest.approx(1.0, abs=0.2) and counts[0.8] == pytest.approx(0.25, abs=0.1)
    assert counts[1.0] == 0


def test_faint_structures_are_missed_and_less_so_by_the_eager():
    def share(level_db, eagerness):
        found = 0
        for seed in range(30):
            scene = scene_with(
                seed, b_lines=(), a_level_db=level_db, a_decay_db=30.0, depth_mm=60.0,
                haze_db=-45.0, haze_decay_db_per_mm=0.0,
            )  # fmt: skip
            sight = sight_of(np.random.default_rng(seed), scene)
            marks = recognise(np.random.default_rng(seed), sight, Habits(eagerness=eagerness))
            found += sum(mark.ribbon.feature == "a_line" for mark in marks)
        return found / 30  # strokes a frame: about four cover the line

    bright, faint = share(-24.0, 1.0), share(-44.0, 1.0)
    assert bright > faint + 1.0
    assert share(-44.0, 4.0) > faint + 0.5 and share(-44.0, 0.25) < faint - 0.5


def test_target_area_falls_with_the_threshold_and_b_lines_vanish_first(said):
    label = said[0]
    area = np.array([(label >= level).mean(axis=(0, 2, 3)) for level in (1, 20, 40, 50, 60, 80, 100)])
    assert (np.diff(area, axis=0) < 0).all()
    left = area[5] / area[0]  # what 80 % keeps of what was painted at all
    assert left[5] < left[0] and left[5] < left[2] and left[0] > 0.15


def test_habits_are_even_symmetric_and_known():
    assert draw_habits(1, 1.0, 1.0, 0.5) == [Habits("rater_1", 1.0, 0.5, 0.0, 1.0)]
    for person in draw_habits(4, 0.0, 0.8, 0.3):
        assert replace(person, rater="") == Habits("", 0.8, 0.3, 0.0, 1.0)
    three = draw_habits(3, 0.5, 2.0, 0.5)
    assert [person.rater for person in three] == ["rater_1", "rater_2", "rater_3"]
    assert np.log([person.calibration / 2.0 for person in three]) == pytest.approx([-0.5, 0.0, 0.5])
    assert sorted(person.edge_bias_mm for person in three) == pytest.approx([-0.2, 0.0, 0.2])
    assert sorted(np.log(person.eagerness) for person in three) == pytest.approx([-0.5, 0.0, 0.5])


def test_several_raters_paint_the_same_frames_each_in_their_own_way(tmp_path):
    wish = {**TINY, **PEOPLE}
    alone = bytes_of(make_cohort(tmp_path / "alone", Plan(**wish)))
    alike = bytes_of(make_cohort(tmp_path / "alike", Plan(**wish, raters=2)))
    folder = make_cohort(tmp_path / "people", Plan(**wish, raters=3, habits=1.0))
    people = bytes_of(folder)
    for name, content in alone.items():
        if name.startswith(("clips/", "truth/")):
            assert alike[name] == content and people[name] == content
        if name.startswith("labels/"):
            assert alike[name] == content, "another rater beside it changes nothing for the first"
    names = [name for name in alike if "rater_1" in name]
    assert len(names) == 48 and any(alike[n] != alike[n.replace("rater_1", "rater_2")] for n in names)
    labels, raters = pd.read_csv(folder / "labels.csv"), pd.read_csv(folder / "raters.csv")
    assert list(labels.columns) == ["clip_id", "frame", "rater", "feature", "path"]
    assert labels.groupby("rater").size().to_dict() == {f"rater_{k}": 48 for k in (1, 2, 3)}
    assert all((folder / path).exists() for path in labels["path"]) and labels["path"].is_unique
    assert list(raters.columns) == ["rater", "calibration", "noise", "edge_bias_mm", "eagerness"]
    assert raters["calibration"].tolist() == pytest.approx([np.exp(-1), 1.0, np.exp(1)])


def test_under_the_null_what_is_said_tells_nothing_about_what_is_true(sights, thrice, truth):
    levels = np.random.default_rng(4)
    said = np.stack([painted(sights, marks, apart=levels) for marks in thrice])
    every = np.broadcast_to(truth, said.shape)
    found = right(said, every)
    assert np.ptp(found) < 0.12 and abs(np.polyfit(LEVELS, found, 1)[0]) < 0.08
    for channel, feature in enumerate(FEATURES):
        level, true = said[:, :, channel], every[:, :, channel]
        assert abs(np.corrcoef(level[level > 0], true[level > 0])[0, 1]) < 0.12, feature
    counts = np.array([(said == level).sum() for level in range(10, 101, 10)])
    assert counts.min() > 0.7 * counts.mean(), "each level is said about as often"


def test_under_the_null_no_merge_of_three_raters_tells_what_is_true(sights, thrice, truth):
    rngs = [np.random.default_rng(k) for k in (4, 5, 6)]
    wide = [Habits(edge_bias_mm=bias, eagerness=2.0, calibration=3.0) for bias in (-0.4, 0.0, 0.4)]
    levels = np.stack(
        [
            np.stack([painted(sights, marks, person, rng) for person, rng in zip(wide, rngs, strict=True)])
            for marks in thrice[:2]
        ]
    )  # (2 draws, 3 raters, N, 6, H, W)
    every = np.broadcast_to(truth, levels[:, 0].shape)
    anyone = (levels > 0).any(axis=1)
    assert ((levels > 0).all(axis=1) == anyone).all(), "who painted a pixel tells nothing: all did"
    base = every[anyone].mean()
    for merged in (levels.mean(axis=1), np.median(levels, axis=1), (levels >= 60).mean(axis=1)):
        here = merged[anyone]
        assert abs(np.corrcoef(here, every[anyone])[0, 1]) < 0.04
        quarter = np.digitize(here, np.quantile(here, [0.25, 0.5, 0.75]))
        found = [every[anyone][quarter == k].mean() for k in np.unique(quarter)]
        assert np.abs(np.array(found) - base).max() < 0.05
    apart = [np.corrcoef(levels[:, k][anyone], levels[:, k - 1][anyone])[0, 1] for k in range(3)]
    assert np.abs(apart).max() < 0.05, "each says what it likes"


@pytest.mark.parametrize("merge", ["mean", "majority", "staple"])
def test_merged_maps_tell_the_truth_of_three_plain_raters_and_nothing_under_the_null(
    sights, thrice, said, truth, merge
):
    rngs = [np.random.default_rng(k) for k in (4, 5, 6)]
    some = slice(0, 20)  # frames, since STAPLE is slow
    null = np.stack([painted(sights[some], thrice[0][some], apart=rng) for rng in rngs])
    found = {}
    for name, levels in (("plain", said[:, some]), ("null", null)):
        bytes_said = np.rint(2.55 * levels).astype(np.uint8)  # (3 raters, N, 6, H, W)
        here = (bytes_said > 0).any(axis=0)
        merged = np.zeros(here.shape, np.uint8)
        for n, channel in zip(*np.nonzero(here.any(axis=(2, 3))), strict=True):
            merged[n, channel] = confidence.merge(bytes_said[:, n, channel], merge)
        found[name] = np.corrcoef(merged[here], truth[some][here])[0, 1]
    assert abs(found["null"]) < 0.1 and found["plain"] > 0.3, found


def test_under_the_null_raters_have_no_habits_and_paint_the_same_pixels(tmp_path):
    wish = {**TINY, **PEOPLE, "raters": 3, "null": "confidence"}
    folder = make_cohort(tmp_path / "people", Plan(**wish, habits=1.0))
    labels, raters = (pd.read_csv(folder / f"{table}.csv") for table in ("labels", "raters"))
    assert (raters["edge_bias_mm"] == 0).all() and (raters["eagerness"] == 1).all()
    assert raters["calibration"].nunique() == 1
    images = np.array(  # (raters, clips x features, H, W)
        [[Image.open(folder / path) for path in rows["path"]] for _, rows in labels.groupby("rater")]
    )
    assert len(images) == 3 and ((images > 0).all(axis=0) == (images > 0).any(axis=0)).all()
    here = images[0] > 0
    pairs = [np.corrcoef(images[k][here], images[k - 1][here])[0, 1] for k in range(3)]
    assert here.sum() > 1000 and np.abs(pairs).max() < 0.3, "each rater's levels are its own"


def test_under_the_null_an_edge_is_hard():
    grid = Grid(400, 50, 20.0, 10.0)
    marks = [Mark(band(8.0, 10.0), 0.9)]
    label = compose(np.random.default_rng(0), marks, grid, Habits(), np.random.default_rng(1))
    assert len(np.unique(label[3])) == 2 and (label[3][:, 0] > 0).sum() == pytest.approx(40, abs=25)
    soft = compose(np.random.default_rng(3), marks, grid, Habits())
    assert len(np.unique(soft[3])) > 5


def test_the_null_of_outcomes_permutes_courses_and_readmission_and_nothing_else():
    def tables(null):
        return draw_tables(np.random.default_rng(1), 200, 1600, (160, 20, 20), 5, 0.9, null)

    plain, null = tables("none"), tables("outcome")
    pd.testing.assert_frame_equal(plain["views"], null["views"])
    assert plain["patients"]["readmitted_30d"].sum() == null["patients"]["readmitted_30d"].sum()

    def courses(t):
        early = t["exams"][t["exams"]["day"] < 2]
        return sorted(tuple(g["sf_ratio"]) for _, g in early.groupby("patient_id"))

    def links(t):
        both = t["views"].merge(t["exams"]).merge(t["patients"]).query("day == 1")
        return both["congestion"].corr(both["sf_ratio"]), both["readmitted_30d"].corr(both["congestion"])

    assert courses(plain) == courses(null)
    (oxygen, readmission), (no_oxygen, no_readmission) = links(plain), links(null)
    assert oxygen < -0.8 and abs(no_oxygen) < 0.15
    assert readmission > 0.3 and abs(no_readmission) < 0.15


def test_the_nulls_change_no_picture(tmp_path):
    wish = {**TINY, **PEOPLE}
    made = {
        null: bytes_of(make_cohort(tmp_path / null, Plan(**wish, null=null)))
        for null in ("none", "confidence", "outcome")
    }
    pictures = [name for name in made["none"] if name.startswith(("clips/", "truth/"))]
    labels = [name for name in made["none"] if name.startswith("labels/")]
    for null in ("confidence", "outcome"):
        assert all(made[null][name] == made["none"][name] for name in pictures)
    assert all(made["outcome"][name] == made["none"][name] for name in labels)
    assert any(made["confidence"][name] != made["none"][name] for name in labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"null": "arms"}, r"null: expected one of none, confidence, outcome, got 'arms'; change null"),
        ({"raters": 0}, r"raters: expected 1 to 20, got 0"),
        ({"habits": 3.0}, r"habits: expected 0 to 2, got 3.0"),
    ],
)
def test_unknown_raters_and_nulls_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_cohort(tmp_path / "cohort", Plan(**{**TINY, **change}))
    assert not (tmp_path / "cohort").exists()
