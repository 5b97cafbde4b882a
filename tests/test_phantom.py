"""The phantom cohort: same bytes, true geometry, moving lungs, tables that add up."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lusnb.cohort import true_masks
from lusnb.phantom import build
from lusnb.phantom.anatomy import FEATURES, Pose, Scene, draw_scene
from lusnb.phantom.build import make_cohort
from lusnb.phantom.patients import FIO2_LADDER, VIEWS, draw_tables
from lusnb.phantom.plan import (
    PARAMETERS,
    Plan,
    asked,
    check,
    describe,
    groups_of,
    lenders_of,
    scene_of,
)  # fmt: skip
from lusnb.phantom.scan import render
from lusnb.phantom.structures_and_artefacts import Grid, masks, pleura_depth, structures

TINY = dict(
    name="tiny", n_patients=4, n_clips=9, size=64, n_frames=3, fps=20.0, split=(2, 1, 1), folds=2, seed=7
)
STILL = Pose(0.0, 0.0)


def scene_with(seed: int = 0, **changes) -> Scene:
    """A scene without a rib, drawn at a middling congestion, with some of its parts changed."""
    changes = {"rib": None, **changes}
    return replace(draw_scene(np.random.default_rng(seed), 2, 0.5, 0.0), **changes)


def square(scene: Scene, size: int = 128) -> Grid:
    return Grid(size, size, scene.depth_mm, scene.width_mm)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("tiny") / "cohort", Plan(**TINY))


def test_the_notebook_shows_the_defaults_of_the_plan(params_of):
    p = params_of("00_cohort")
    assert Plan.of(p) == Plan()
    assert set(PARAMETERS.values()) <= set(p)


def test_a_plan_takes_each_parameter_under_its_own_name(params_of):
    given = {
        "cohort": "c", "patients": 9, "clips": 20, "size": 64, "frames": 3, "fps": 10.0, "split": [5, 2, 2],
        "folds": 3, "seed": 4, "calibration": 2.0, "noise": 0.1, "link": 0.3, "raters": 2, "habits": 0.7,
        "null": "outcome", "b_fade": 0.2, "b_erases": False,
    }  # fmt: skip
    assert asdict(Plan.of(params_of("00_cohort", **given))) == {
        "name": "c", "n_patients": 9, "n_clips": 20, "size": 64, "n_frames": 3, "fps": 10.0,
        "split": (5, 2, 2), "folds": 3, "seed": 4, "calibration": 2.0, "noise": 0.1, "link": 0.3,
        "raters": 2, "habits": 0.7, "null": "outcome", "b_fade": 0.2, "b_erases": False,
    }  # fmt: skip


def test_plans_whose_numbers_are_written_in_another_way_are_the_same():
    one, other = Plan(fps=10, noise=1, split=[4, 2, 2]), Plan(fps=10.0, noise=1.0, split=(4, 2, 2))
    assert one == other and describe(one) == describe(other)


def test_two_workers_make_the_same_bytes_as_one(tiny, tmp_path):
    other = make_cohort(tmp_path / "cohort", Plan(**TINY), workers=2)
    assert bytes_of(other) == bytes_of(tiny)


def test_another_seed_makes_another_cohort(tiny, tmp_path):
    other = make_cohort(tmp_path / "cohort", Plan(**{**TINY, "seed": 8}))
    ours, theirs = ({c for p, c in bytes_of(f).items() if p.startswith("clips/")} for f in (tiny, other))
    assert len(ours) == len(theirs) == 9 and not ours & theirs


def test_files_are_what_the_tables_say(tiny):
    clips = pd.read_csv(tiny / "clips.csv")
    assert list(clips.columns) == [
        "clip_id", "patient_id", "day", "view", "path", "depth_cm", "fps", "width_cm",
    ]  # fmt: skip
    for path in clips["path"]:
        clip = np.load(tiny / path, allow_pickle=False)
        assert clip.shape == (3, 64, 64) and clip.dtype == np.uint8 and clip.std() > 10
    for table in ("labels", "truth"):
        rows = pd.read_csv(tiny / f"{table}.csv")
        assert len(rows) == len(clips) * len(FEATURES)
        images = [np.asarray(Image.open(tiny / path)) for path in rows["path"]]
        assert all(image.shape == (64, 64) and image.dtype == np.uint8 for image in images)
    truth = pd.read_csv(tiny / "truth.csv")
    assert {int(v) for p in truth["path"] for v in np.unique(Image.open(tiny / p))} == {0, 255}
    assert sorted(pd.read_csv(tiny / "masks.csv")["clip_id"]) == sorted(clips["clip_id"])
    described = yaml.safe_load((tiny / "cohort.yaml").read_text())
    assert described["features"] == list(FEATURES) and described["views"] == VIEWS
    assert described["provenance"]["made_by"] == "lusnb.phantom" and described["provenance"]["seed"] == 7
    assert not (tiny / "making.json").exists()


def test_features_keep_their_order():
    assert FEATURES == ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")


def test_a_line_lies_at_twice_the_pleural_depth():
    checked = 0
    for seed in range(12):
        scene = scene_with(seed, b_lines=(), a_level_db=-20.0, depth_mm=60.0)
        grid = square(scene, 256)
        true = masks(structures(scene, grid, STILL), grid)
        twice = 2 * pleura_depth(scene, grid.x_mm, STILL)
        for column in (20, 128, 230):
            rows = grid.z_mm[true[3, :, column] & (grid.z_mm < twice[column] + 4.0)]
            pleura = grid.z_mm[true[:2, :, column].any(axis=0)]
            if len(rows):
                assert rows.mean() == pytest.approx(twice[column], abs=0.2)
                assert pleura.min() < twice[column] / 2 < pleura.max()
                checked += 1
    assert checked >= 30


def test_the_picture_is_bright_where_the_truth_says():
    scene = scene_with(3, b_lines=(), a_level_db=-20.0, a_decay_db=40.0, depth_mm=60.0, sub_a_level_db=-90.0)
    grid = square(scene)
    true = masks(structures(scene, grid, scene.breathing.pose(0.0)), grid)
    frame = render(np.random.default_rng(0), scene, 128, 1, 20.0)[0].astype(float)
    for channel in (0, 3):
        if true[channel].any():
            below = np.roll(true[channel], 8, axis=0) & ~true.any(axis=0)
            assert frame[true[channel]].mean() > frame[below].mean() + 25


def test_the_masks_of_all_frames_begin_with_the_truth_of_the_first(tiny):
    truth = pd.read_csv(tiny / "truth.csv").set_index(["clip_id", "feature"])["path"]
    for row in pd.read_csv(tiny / "masks.csv").itertuples():
        with Image.open(tiny / row.path) as file:  # not by the package's own reader
            assert (file.n_frames, file.mode, file.size) == (3, "L", (64, 64))
            page = np.asarray(file)
        for k, feature in enumerate(FEATURES):
            first = np.asarray(Image.open(tiny / truth[row.clip_id, feature]))
            np.testing.assert_array_equal((page >> k & 1) * 255, first)


def test_the_masks_move_with_the_picture():
    drawn = draw_scene(np.random.default_rng(5), 2, 0.9, 0.0)
    line = replace(drawn.b_lines[0], x_mm=0.0, width_mm=3.0, level_db=-16.0)
    breathing = replace(drawn.breathing, rate_hz=0.25, slide_mm=4.0, lift_mm=0.4, phase=-np.pi / 2)
    scene = scene_with(1, b_lines=(line,), breathing=breathing, haze_db=-60.0, a_level_db=-90.0)
    plan = Plan(**{**TINY, "size": 128, "n_frames": 5, "fps": 1.0})  # out, middle, in, middle, out
    pages = build.true_pages(plan, scene)
    clip = render(np.random.default_rng(0), scene, 128, 5, 1.0)
    assert pages.shape == clip.shape and pages.dtype == np.uint8
    line_masks = true_masks.unpack(pages, len(FEATURES))[:, FEATURES.index("b_line")].astype(bool)
    for k, (page, frame) in enumerate(zip(line_masks, clip.astype(float), strict=True)):
        other = line_masks[2 if k in (0, 4) else 0]
        assert frame[page].mean() > frame[other & ~page].mean() + 40
    np.testing.assert_array_equal(pages[0], pages[4])  # a breath takes four seconds


def test_masks_do_not_overlap_and_lines_are_thick_enough():
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), 1 + seed % 3, seed / 20, 0.0)
        grid = square(scene, 96)
        true = masks(structures(scene, grid, scene.breathing.pose(0.4)), grid)
        assert true.dtype == bool and true.shape == (6, 96, 96)
        assert true.sum(axis=0).max() == 1
        pleura = true[:2].any(axis=0).sum(axis=0)
        thinnest = int(1.8 / (scene.depth_mm / 96))
        assert pleura[pleura > 0].min() >= thinnest
        assert not (true[5] & (grid.z_mm[:, None] < scene.pleura.depth_mm - 4.0)).any()


def test_b_lines_erase_the_a_line_unless_told_not_to():
    drawn = draw_scene(np.random.default_rng(5), 2, 0.9, 0.0)
    keep = dict(b_lines=drawn.b_lines, a_level_db=-20.0, depth_mm=60.0)
    erased = scene_with(5, **keep)
    grid = square(erased)

    def a_area(scene):
        lines = [r for r in structures(scene, grid, STILL) if r.feature == "a_line"]
        return sum(int(line.present.sum()) for line in lines)

    assert len(erased.b_lines) >= 3
    assert a_area(erased) < 0.85 * a_area(replace(erased, b_erases=False))


def test_b_lines_and_their_picture_move_with_breathing():
    line = replace(
        draw_scene(np.random.default_rng(5), 2, 0.9, 0.0).b_lines[0], x_mm=0.0, width_mm=3.0, level_db=-16.0
    )
    breathing = replace(scene_with(1).breathing, rate_hz=0.25, slide_mm=4.0, lift_mm=0.4, phase=-np.pi / 2)
    scene = scene_with(
        1, b_lines=(line,), breathing=breathing, haze_db=-60.0, a_level_db=-90.0, sub_a_level_db=-90.0
    )
    grid = square(scene)
    clip = render(np.random.default_rng(0), scene, 128, 3, 1.0)  # one frame a second: out, middle, in
    for frame, expected in zip(clip, (-4.0, 0.0, 4.0), strict=True):
        profile = frame[90:].mean(axis=0)
        assert grid.x_mm[profile > 0.7 * profile.max()].mean() == pytest.approx(expected, abs=0.6)
    for time, expected in ((0.0, -4.0), (2.0, 4.0)):
        true = masks(structures(scene, grid, breathing.pose(time)), grid)[5]
        assert grid.x_mm[true.any(axis=0)].mean() == pytest.approx(expected, abs=0.3)


def test_speckle_moves_with_the_lung_and_decorrelates_over_time():
    breathing = replace(scene_with(1).breathing, rate_hz=0.25, slide_mm=3.0, lift_mm=0.0, phase=0.0)
    scene = scene_with(
        1, b_lines=(), breathing=breathing, haze_db=-20.0, haze_decay_db_per_mm=0.0,
        a_level_db=-90.0, sub_a_level_db=-90.0, layering=0.0,
    )  # fmt: skip
    clip = render(np.random.default_rng(0), scene, 128, 21, 20.0).astype(float)
    patch = clip[:, 90:120, 30:98]

    def alike(frame, columns):
        moved = clip[frame, 90:120, 30 + columns : 98 + columns]
        return np.corrcoef(patch[0].ravel(), moved.ravel())[0, 1]

    pixel = scene.width_mm / 128
    quarter = 3.0 * np.sin(2 * np.pi * 0.25 * 0.25)
    there = round(quarter / pixel)
    assert alike(5, there) > 0.75 and alike(5, there) > alike(5, 0) + 0.3
    assert alike(20, round(3.0 / pixel)) < alike(5, there)


def test_b_burden_rises_with_congestion():
    burden = []
    for congestion in (0.05, 0.3, 0.6, 0.9):
        scenes = [draw_scene(np.random.default_rng(seed), 2, congestion, 0.0) for seed in range(60)]
        burden.append(np.mean([sum(line.width_mm for line in scene.b_lines) for scene in scenes]))
    assert all(later > earlier + 1.0 for earlier, later in zip(burden, burden[1:], strict=False))


@pytest.mark.parametrize(
    ("n_patients", "n_clips", "split", "folds", "sizes"),
    [
        (42, 466, (32, 6, 4), 5, [8, 8, 8, 7, 7]),
        (12, 96, (8, 2, 2), 2, [5, 5]),
        (6, 24, (3, 1, 2), 2, [2, 2]),
    ],
)
def test_tables_have_the_counts_asked_for(n_patients, n_clips, split, folds, sizes):
    for seed in range(5):
        tables = draw_tables(np.random.default_rng(seed), n_patients, n_clips, split, folds, 0.6)
        patients, views, exams = tables["patients"], tables["views"], tables["exams"]
        counts = patients["split"].value_counts()
        assert tuple(int(counts[name]) for name in ("train", "validation", "test")) == split
        assert patients["fold"].value_counts().sort_index().tolist() == sizes
        assert patients.loc[patients["split"] == "test", "fold"].isna().all()
        assert set(patients.loc[patients["split"] == "test", "readmitted_30d"]) == {0, 1}
        assert len(views) == n_clips and views["clip_id"].is_unique
        by_day = views.groupby(["patient_id", "view"])["day"].agg(set)
        shared = by_day.map(lambda days: {0, 1} <= days)
        assert shared.groupby("patient_id").any().all() and shared.mean() > 0.6
        assert (exams["sf_ratio"] - exams["spo2"] / exams["fio2"]).abs().max() < 0.5
        assert exams["sf_ratio"].between(0, 477).all() and set(exams["fio2"]) <= set(FIO2_LADDER)
        assert {0, 1} <= set(exams["day"]) and not exams.duplicated(["patient_id", "day"]).any()


def test_congestion_drives_oxygen_by_the_link():
    def correlation(link):
        tables = draw_tables(np.random.default_rng(1), 200, 1600, (160, 20, 20), 5, link)
        exams = tables["views"].merge(tables["exams"])
        return exams["congestion"].corr(exams["sf_ratio"])

    assert correlation(0.6) < -0.6 and correlation(0.0) > -0.25


def test_a_resumed_cohort_skips_what_is_there(tiny, tmp_path, monkeypatch):
    folder, made = tmp_path / "cohort", []
    whole = build.make_clip

    def stop_after_four(*args):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(whole(*args))

    monkeypatch.setattr(build, "make_clip", stop_after_four)
    with pytest.raises(KeyboardInterrupt):
        make_cohort(folder, Plan(**TINY))
    assert not (folder / "cohort.yaml").exists()
    assert json.loads((folder / "making.json").read_text())["seed"] == 7
    again = []
    monkeypatch.setattr(build, "make_clip", lambda *args: again.append(whole(*args)))
    make_cohort(folder, Plan(**TINY))
    assert len(made) == 4 and len(again) == 5
    assert bytes_of(folder) == bytes_of(tiny)
    make_cohort(folder, Plan(**TINY))
    assert len(again) == 5, "a finished cohort is left as it is"
    make_cohort(folder, Plan(**{**TINY, "noise": 0.0}))
    assert len(again) == 14, "other parameters start over"


def test_a_plan_that_was_cut_short_is_started_over(tiny, tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "making.json").write_text('{"made_by": "lusnb.ph')
    make_cohort(folder, Plan(**TINY))
    assert bytes_of(folder) == bytes_of(tiny)


def test_painting_is_resumed_too(tiny, tmp_path, monkeypatch):
    folder, painted = tmp_path / "cohort", []
    whole = build.label_clip

    def stop_after_three(*args):
        if len(painted) == 3:
            raise KeyboardInterrupt
        painted.append(whole(*args))

    monkeypatch.setattr(build, "label_clip", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        make_cohort(folder, Plan(**TINY))
    (folder / "labels" / f"{painted[0]}_rater_1_b_line.png").unlink()
    again, seen = [], []
    monkeypatch.setattr(build, "label_clip", lambda *args: again.append(whole(*args)))
    make_cohort(folder, Plan(**TINY), progress=lambda done, total: seen.append((done, total)))
    assert len(again) == 7 and painted[0] in again
    assert seen[-1] == (9, 9) and seen == sorted(seen)
    assert bytes_of(folder) == bytes_of(tiny)


def test_a_clip_that_lacks_its_masks_is_made_again(tiny, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    folder, made, whole = tmp_path / "cohort", [], build.make_clip
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "label_clip", stop)
        make_cohort(folder, Plan(**TINY))
    (folder / pd.read_csv(folder / "masks.csv")["path"][4]).unlink()
    monkeypatch.setattr(build, "make_clip", lambda *args: made.append(whole(*args)))
    make_cohort(folder, Plan(**TINY))
    assert len(made) == 1 and bytes_of(folder) == bytes_of(tiny)


def test_a_cohort_from_before_there_were_masks_is_made_again(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "cohort")
    for path in [folder / "masks.csv", *folder.glob("truth/*.tif")]:
        path.unlink()
    described = yaml.safe_load((folder / "cohort.yaml").read_text())
    described["provenance"]["phantom_version"] = "3"
    (folder / "cohort.yaml").write_text(yaml.safe_dump(described))
    assert bytes_of(make_cohort(folder, Plan(**TINY))) == bytes_of(tiny)


def test_starting_over_leaves_nothing_of_a_phantom_and_all_else(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "cohort")
    (folder / "truth" / "notes.txt").write_text("mine")
    build.start_over(folder)
    assert list(bytes_of(folder)) == ["truth/notes.txt"]


def test_every_clip_lends_to_as_many_as_it_borrows_from_and_never_to_itself():
    for n_clips, count in ((9, 4), (40, 4), (3, 2), (2, 1)):
        lenders = lenders_of(7, ["train"] * n_clips)
        assert all(len(set(row)) == count and k not in row for k, row in enumerate(lenders))
        assert np.bincount(np.ravel(lenders), minlength=n_clips).tolist() == [count] * n_clips
    assert lenders_of(7, ["train"] * 40) != lenders_of(8, ["train"] * 40)
    assert lenders_of(7, ["train"]) == [[]], "a clip alone borrows nothing"
    groups = ["train", "test", "train", "train"]
    assert [sorted(row) for row in lenders_of(7, groups)] == [[2, 3], [], [0, 3], [0, 2]]


@pytest.mark.parametrize(
    ("n_patients", "n_clips", "split", "folds"),
    [(42, 466, (32, 6, 4), 5), (8, 32, (4, 2, 2), 2), (6, 12, (3, 1, 2), 2)],
)
def test_no_stroke_is_lent_across_a_split_or_a_fold(n_patients, n_clips, split, folds):
    for seed in range(5):
        tables = draw_tables(np.random.default_rng(seed), n_patients, n_clips, split, folds, 0.6)
        views, patients = tables["views"], tables["patients"].set_index("patient_id")
        who = patients.loc[views["patient_id"], ["split", "fold"]].fillna(0).to_numpy().tolist()
        lenders = lenders_of(seed, groups_of(views, tables["patients"]))
        assert all(who[lender] == who[k] for k, row in enumerate(lenders) for lender in row)
        assert all(len(row) == min(4, who.count(who[k]) - 1) for k, row in enumerate(lenders))


def test_clips_are_painted_with_strokes_of_their_own_split_and_fold(tiny, tmp_path, monkeypatch):
    asked_of, whole = {}, build.label_clip

    def look(folder, plan, clip, lenders):
        asked_of[clip[1]["patient_id"]] = {row["patient_id"] for _, row in lenders}
        return whole(folder, plan, clip, lenders)

    monkeypatch.setattr(build, "label_clip", look)
    folder = make_cohort(tmp_path / "cohort", Plan(**TINY))
    patients = pd.read_csv(folder / "patients.csv").set_index("patient_id")[["split", "fold"]].fillna(0)
    assert len(asked_of) == 4 and all(asked_of.values())
    for patient, lent in asked_of.items():
        assert all((patients.loc[other] == patients.loc[patient]).all() for other in lent)


def test_fading_and_erasing_are_asked_for_and_remembered(tmp_path):
    row = {"view": "R2", "congestion": 0.8, "habitus_mm": 0.0}
    plain, other = (Plan(**{**TINY, **change}) for change in ({}, {"b_fade": 0.8, "b_erases": False}))
    scenes = [scene_of(plan, 0, row) for plan in (plain, other)]
    assert [(s.b_fade_db_per_mm, s.b_erases) for s in scenes] == [(0.0, True), (0.8, False)]
    assert replace(scenes[1], b_fade_db_per_mm=0.0, b_erases=True).b_lines == scenes[0].b_lines
    assert asked(other)["b_fade"] == 0.8 and asked(other)["b_erases"] is False
    with pytest.raises(ValueError, match=r"b_fade: expected 0 to 10, got -1.0; change b_fade"):
        check(replace(plain, b_fade=-1.0), 1)
    folder = make_cohort(tmp_path / "cohort", Plan(**{**TINY, "b_fade": 0.8, "b_erases": False}))
    made_by = yaml.safe_load((folder / "cohort.yaml").read_text())["provenance"]
    assert (made_by["b_fade"], made_by["b_erases"], made_by["phantom_version"]) == (0.8, False, "4")


def test_a_b_line_ends_where_it_fades_into_the_noise():
    drawn = draw_scene(np.random.default_rng(5), 2, 0.9, 0.0)
    keep = dict(b_lines=(replace(drawn.b_lines[0], x_mm=0.0, level_db=-30.0),), depth_mm=60.0)
    grid = square(scene_with(5, **keep))

    def lowest(fade):
        scene = scene_with(5, **keep, b_fade_db_per_mm=fade)
        true = masks(structures(scene, grid, STILL), grid)[5]
        return grid.z_mm[true.any(axis=1)].max() - grid.z_mm[true.any(axis=1)].min()

    assert lowest(0.0) > 35.0 and lowest(1.0) == pytest.approx(17.0, abs=1.5), "-30 to -47 dB"


def test_what_stands_in_the_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an empty folder or a phantom cohort, got other files"):
        make_cohort(tmp_path, Plan(**TINY))
    (tmp_path / "cohort.yaml").write_text("name: real\nprovenance: {made_by: a hospital}\n")
    with pytest.raises(ValueError, match="got another kind of cohort; choose another folder"):
        make_cohort(tmp_path, Plan(**TINY))
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_what_was_painted_in_a_phantom_outlives_a_phantom_of_other_parameters(tmp_path):
    folder = make_cohort(tmp_path / "cohort", Plan(**TINY))
    (folder / "annotations.csv").write_text("clip_id\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    make_cohort(folder, Plan(**TINY))  # the same: left as it is
    with pytest.raises(ValueError, match="got labels painted by hand .annotations.csv.; give the phantom"):
        make_cohort(folder, Plan(**{**TINY, "seed": TINY["seed"] + 1}))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clips": 7}, r"n_clips: expected 8 to 72 for 4 patients .*, got 7; change n_clips or n_patients"),
        ({"n_clips": 73}, r"n_clips: expected 8 to 72 .*, got 73"),
        ({"split": (2, 1, 2)}, r"split: expected three counts .* add up to n_patients=4, got \(2, 1, 2\)"),
        ({"folds": 4}, r"folds: expected 1 to 3, the patients outside the test set, got 4"),
        ({"size": 16}, r"size: expected 32 to 1024, got 16; change size"),
        ({"calibration": 0.0}, r"calibration: expected 0.1 to 10, got 0.0"),
    ],
)
def test_impossible_wishes_are_refused_in_a_sentence(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_cohort(tmp_path / "cohort", Plan(**{**TINY, **change}))
    assert not (tmp_path / "cohort").exists()
