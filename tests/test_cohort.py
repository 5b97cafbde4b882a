"""A cohort opened: S/F, splits, folds, and its images as arrays."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image, ImageSequence

from lusnb.cohort import arrays, splits
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.segment import predictions
from lusnb.tasks.registry import TASKS


@pytest.fixture
def folder(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom cohort, to be changed."""
    return shutil.copytree(phantom, tmp_path / "cohort")


def plain_cohort(folder: Path, raters: int = 2) -> Path:
    """One feature, no views, no exams: two patients, a clip each of 2 frames of 4 x 6 pixels."""
    (folder / "labels").mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = []
    for clip in ("a", "b"):
        np.save(folder / f"{clip}.npy", rng.integers(0, 256, (2, 4, 6), dtype=np.uint8))
        for rater in range(raters):
            level = np.full((4, 6), 250 if rater == 0 else 100, np.uint8)
            Image.fromarray(level).save(folder / f"labels/{clip}{rater}.png")
            labels.append((clip, 1, f"r{rater}", "nerve", f"labels/{clip}{rater}.png"))
    columns = ["clip_id", "frame", "rater", "feature", "path"]
    pd.DataFrame(labels, columns=columns).to_csv(folder / "labels.csv", index=False)
    columns = "clip_id,patient_id,day,view,path,depth_cm,fps,width_cm"
    (folder / "clips.csv").write_text(f"{columns}\na,A,,,a.npy,,,\nb,B,,,b.npy,,,\n")
    (folder / "patients.csv").write_text("patient_id,readmitted_30d,split,fold\nA,,,\nB,,,\n")
    (folder / "cohort.yaml").write_text("name: plain\nfeatures: [nerve]\n")
    return folder


def patients(count: int, **columns: list) -> pd.DataFrame:
    blank = pd.DataFrame({"patient_id": [f"P{k:02d}" for k in range(1, count + 1)]})
    blank = blank.assign(
        split=pd.Series([None] * count, dtype=object), fold=pd.array([pd.NA] * count, "Int64")
    )
    return blank.assign(**columns)


# -- opening


def test_sf_is_computed_where_blank_and_kept_where_given(folder: Path):
    exams = pd.read_csv(folder / "exams.csv")
    exams.loc[0, ["spo2", "fio2", "sf_ratio"]] = [90, 0.3, np.nan]
    exams.loc[1, ["spo2", "fio2", "sf_ratio"]] = [np.nan, np.nan, 250.5]
    exams.loc[2, ["spo2", "fio2", "sf_ratio"]] = [np.nan, np.nan, np.nan]
    exams.to_csv(folder / "exams.csv", index=False)
    cohort = cohorts.read(folder, 2)
    assert cohort.exams["sf_ratio"][0] == pytest.approx(300)
    assert cohort.exams["sf_ratio"][1] == 250.5
    assert np.isnan(cohort.exams["sf_ratio"][2])
    days = [(r.patient_id, r.day) for r in exams.iloc[:3].itertuples()]
    for day, want in zip(days, [300 / 477, 250.5 / 477, np.nan], strict=True):
        here = (cohort.clips["patient_id"] == day[0]) & (cohort.clips["day"] == day[1])
        assert here.any()
        np.testing.assert_allclose(cohort.clips.loc[here, "sf_ratio"], want)


def test_each_clip_carries_the_sf_of_its_own_day(cohort: Cohort):
    for clip in cohort.clips.itertuples():
        day = cohort.exams[
            (cohort.exams["patient_id"] == clip.patient_id) & (cohort.exams["day"] == clip.day)
        ]
        assert clip.sf_ratio == pytest.approx(day["sf_ratio"].item() / 477)


def test_views_as_a_list_and_as_a_mapping_give_the_same_zones(folder: Path):
    meta = yaml.safe_load((folder / "cohort.yaml").read_text())
    as_mapping = cohorts.read(folder, 2).views
    (folder / "cohort.yaml").write_text(yaml.safe_dump({**meta, "views": list(meta["views"])}))
    assert (
        cohorts.read(folder, 2).views == as_mapping == {"R1": 1, "L1": 1, "R2": 2, "L2": 2, "R3": 3, "L3": 3}
    )


def test_a_listed_view_without_a_number_is_its_own_zone(tmp_path: Path):
    folder = plain_cohort(tmp_path / "plain")
    (folder / "cohort.yaml").write_text("name: plain\nfeatures: [nerve]\nviews: [L2, apex]\n")
    assert cohorts.read(folder).views == {"L2": 2, "apex": "apex"}


def test_a_cohort_of_one_feature_without_views_and_exams_opens_and_says_what_it_lacks(tmp_path: Path):
    cohort = cohorts.read(plain_cohort(tmp_path / "plain"))
    assert (cohort.features, cohort.views, cohort.origin) == (("nerve",), {}, "imported")
    assert len(cohort.exams) == len(cohort.truth) == len(cohort.masks) == 0
    no_sf = "no clip has an S/F ratio (exams.csv is absent or empty)"
    assert (
        TASKS["sf_change"].question.lacks(cohort)
        == TASKS["sf_ratio"].question.lacks(cohort)
        == ["the cohort names no views", no_sf]
    )
    assert TASKS["readmission"].question.lacks(cohort) == [
        "the cohort names no views",
        "no patient has a value of readmitted_30d",
        "no clips of two days",
        "its networks start from those of S/F change, which cannot be trained here",
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [("patients", c) for c in ("readmitted_30d", "split", "fold")]
    + [("clips", c) for c in ("day", "view", "depth_cm", "fps", "width_cm")]
    + [("exams", c) for c in ("spo2", "fio2", "sf_ratio")],
)
def test_an_optional_column_may_be_absent_and_is_then_blank(folder: Path, name: str, column: str):
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    table.assign(**{column: ""}).to_csv(folder / f"{name}.csv", index=False)
    blank = getattr(cohorts.read(folder, 2), name)
    table.drop(columns=column).to_csv(folder / f"{name}.csv", index=False)
    pd.testing.assert_frame_equal(getattr(cohorts.read(folder, 2), name), blank)


def test_the_phantom_lacks_nothing_and_says_what_it_is(cohort: Cohort):
    assert [TASKS[task].question.lacks(cohort) for task in ("sf_change", "sf_ratio", "readmission")] == [
        [],
        [],
        [],
    ]
    assert cohort.origin == "phantom"


def test_summary_counts_every_patient_and_clip_once(cohort: Cohort):
    table = cohorts.summary(cohort)
    assert list(table["patients"]) == [3, 1, 2, 6]
    assert table.loc["all", "clips"] == table.loc["all", "labelled frames"] == 26
    test = cohort.patients_in("test")
    assert table.loc["test", "clips"] == cohort.clips["patient_id"].isin(test).sum()


# -- split and folds


def test_as_many_folds_as_a_table_names_may_be_read_where_no_number_is_asked_for(folder: Path):
    table = pd.read_csv(folder / "patients.csv").assign(split="train", fold=range(1, 7))
    table.to_csv(folder / "patients.csv", index=False)
    assert cohorts.read(folder).patients["fold"].max() == 6
    assert cohorts.read(folder, 6).patients["fold"].max() == 6
    with pytest.raises(ValueError, match="row 6: expected a fold from 1 to 5, got fold 6"):
        cohorts.read(folder, 5)


def test_split_of_42_patients_is_32_6_4_with_folds_of_8_8_8_7_7():
    table = splits.split(patients(42), 5, seed=3)
    assert table["split"].value_counts().to_dict() == {"train": 32, "validation": 6, "test": 4}
    assert sorted(table["fold"].value_counts()) == [7, 7, 8, 8, 8]
    assert (table["fold"].isna() == (table["split"] == "test")).all()
    assert set(table["fold"].dropna()) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("shuffle", range(3))
def test_split_does_not_depend_on_the_order_of_the_rows(shuffle: int):
    table = patients(23)
    table.loc[[2, 9], "split"] = ["test", "train"]
    table.loc[4, "fold"] = 3
    mixed = table.sample(frac=1, random_state=np.random.default_rng(shuffle)).reset_index(drop=True)
    assert list(mixed["patient_id"]) != list(table["patient_id"])
    want = splits.split(table, 5, seed=1).set_index("patient_id")[["split", "fold"]]
    got = splits.split(mixed, 5, seed=1).set_index("patient_id")[["split", "fold"]]
    pd.testing.assert_frame_equal(got.sort_index(), want)


def test_split_follows_its_seed():
    one, two = (splits.split(patients(42), 5, seed=k) for k in (0, 1))
    pd.testing.assert_frame_equal(one, splits.split(patients(42), 5, seed=0))
    assert list(one["split"]) != list(two["split"])


def test_split_keeps_what_the_table_says():
    given = patients(6, split=["train", "train", "validation", "test", "test", None])
    given["fold"] = pd.array([2, pd.NA, 1, pd.NA, pd.NA, pd.NA], "Int64")
    table = splits.split(given, 2)
    assert list(table["split"][:5]) == ["train", "train", "validation", "test", "test"]
    assert (table["fold"][0], table["fold"][2]) == (2, 1)
    assert given["split"].isna().sum() == 1  # the table that came in is not changed
    assert table.loc[table["split"] != "test", "fold"].notna().all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_small_cohorts_always_have_someone_to_train_on(count: int):
    table = splits.split(patients(count), 2)
    assert (table["split"] == "train").any()
    assert table["split"].notna().all()


def test_roles_of_the_published_split(cohort: Cohort):
    roles = splits.roles(cohort.patients, 0)
    assert {name: len(ids) for name, ids in roles.items()} == {"train": 3, "validation": 1, "test": 2}
    assert roles["test"] == list(cohort.patients.loc[cohort.patients["split"] == "test", "patient_id"])


@pytest.mark.parametrize("fold", [1, 2])
def test_roles_of_a_fold_hold_it_out_and_never_touch_the_test_patients(cohort: Cohort, fold: int):
    roles = splits.roles(cohort.patients, fold)
    everyone = [p for ids in roles.values() for p in ids]
    assert len(everyone) == len(set(everyone)) == 4
    assert set(roles["test"]) == set(cohort.patients.loc[cohort.patients["fold"] == fold, "patient_id"])
    assert not set(everyone) & set(cohort.patients_in("test"))
    assert roles["train"] and roles["validation"]


def test_roles_of_a_fold_let_the_published_validation_patients_choose_where_there_are_some(cohort: Cohort):
    (chosen,) = cohort.patients_in("validation")
    for fold in (1, 2):
        roles = splits.roles(cohort.patients, fold)
        held_out = cohort.patients.set_index("patient_id").at[chosen, "fold"] == fold
        assert (chosen in roles["test"]) if held_out else (roles["validation"] == [chosen])


def test_roles_of_an_unknown_fold_name_the_folds_there_are(cohort: Cohort):
    text = r"fold: expected one of \[1, 2\], or 0 for the published split, got 7; nobody is in it"
    with pytest.raises(ValueError, match=text):
        splits.roles(cohort.patients, 7)


# -- arrays


@pytest.mark.parametrize(
    ("length", "count", "frames"),
    [
        (16, 8, [1, 3, 5, 7, 9, 11, 13, 15]),
        (10, 2, [2, 7]),
        (9, 3, [1, 4, 7]),
        (7, 7, [0, 1, 2, 3, 4, 5, 6]),
        (5, 1, [2]),
        (3, 6, [0, 0, 1, 1, 2, 2]),
        (1, 4, [0, 0, 0, 0]),
    ],
)
def test_segment_centres_by_hand(length: int, count: int, frames: list[int]):
    assert list(arrays.segment_centres(length, count)) == frames


def test_pixel_size_by_hand(folder: Path):
    clips = pd.read_csv(folder / "clips.csv")
    clips.loc[0, ["depth_cm", "width_cm"]] = [6.4, 3.2]
    clips.loc[1, ["depth_cm", "width_cm"]] = [5.0, np.nan]
    clips.loc[2, ["depth_cm", "width_cm"]] = [np.nan, np.nan]
    clips.to_csv(folder / "clips.csv", index=False)
    wide = np.zeros((6, 64, 128), np.uint8)
    np.save(folder / clips["path"][1], wide)
    for name in ("labels", "truth", "masks"):  # the labels of the clip that was widened
        rows = pd.read_csv(folder / f"{name}.csv")
        rows[rows["clip_id"] != clips["clip_id"][1]].to_csv(folder / f"{name}.csv", index=False)
    cohort = cohorts.read(folder, 2)
    one, two, three = clips["clip_id"][:3]
    assert arrays.pixel_mm(cohort, one) == pytest.approx((64 / 64, 32 / 64))
    assert arrays.pixel_mm(cohort, one, 16) == pytest.approx((64 / 16, 32 / 16))
    assert arrays.pixel_mm(cohort, two) == pytest.approx((50 / 64, 50 / 64))  # square pixels
    assert arrays.pixel_mm(cohort, two, 32) == pytest.approx((50 / 32, 100 / 32))
    assert np.isnan(arrays.pixel_mm(cohort, three)).all()  # without a depth it is not known


def test_resizing_by_nearest_neighbour_makes_no_new_level_and_bilinear_does():
    image = np.random.default_rng(0).choice(np.array([0, 51, 255], np.uint8), (64, 48))
    nearest = arrays.resize(image, 40, Image.Resampling.NEAREST)
    assert nearest.shape == (40, 40)
    assert set(np.unique(nearest)) == {0, 51, 255}
    assert set(np.unique(arrays.resize(image, 40))) - {0, 51, 255}
    assert arrays.resize(image, None) is image


def test_resizing_bilinearly_averages_areas_when_it_shrinks():
    image = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((16, 16), np.uint8))
    assert arrays.resize(image, 1)[0, 0] == pytest.approx(85, abs=1)


def test_an_unknown_feature_differs_from_one_that_was_looked_for_and_not_found(folder: Path):
    labels = pd.read_csv(folder / "labels.csv")
    clip = labels["clip_id"][0]
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / labels["path"][0])
    gone = (labels["clip_id"] == clip) & (labels["feature"] == "b_line")
    labels[~gone].to_csv(folder / "labels.csv", index=False)
    cohort = cohorts.read(folder, 2)
    table = cohorts.labelled_frames(cohort)
    maps, known = arrays.confidence_of(cohort, table[table["clip_id"] == clip], None)
    looked, absent = cohort.features.index(labels["feature"][0]), cohort.features.index("b_line")
    assert not maps[0, looked].any() and not maps[0, absent].any()
    assert known[0, looked] and not known[0, absent]
    assert known.sum() == 5


def test_confidence_is_that_of_the_named_frame_and_merges_its_raters(tmp_path: Path):
    cohort = cohorts.read(plain_cohort(tmp_path / "plain", raters=3))
    table = cohorts.labelled_frames(cohort)
    assert table[["clip_id", "frame"]].to_numpy().tolist() == [["a", 1], ["b", 1]]
    mean, known = arrays.confidence_of(cohort, table, None, "mean")
    majority, _ = arrays.confidence_of(cohort, table, None, "majority")
    assert mean.shape == (2, 1, 4, 6) and mean.dtype == np.uint8 and known.all()
    assert (mean == round((250 + 100 + 100) / 3)).all()
    assert (majority == 0).all()  # one of three is at least 50 % sure
    _, known = arrays.confidence_of(cohort, table.assign(frame=0), None)
    assert not known.any()


def test_confidence_keeps_its_levels_when_resized(cohort: Cohort):
    table = cohorts.labelled_frames(cohort)
    full, _ = arrays.confidence_of(cohort, table, None)
    small, _ = arrays.confidence_of(cohort, table, 24)
    assert small.shape == (26, 6, 24, 24)
    assert set(np.unique(small)) <= set(np.unique(full))


def test_frames_and_task_frames_are_the_clips_own(cohort: Cohort):
    table = cohorts.labelled_frames(cohort)
    frames = arrays.frames_of(cohort, table, None)
    tasks = arrays.task_frames(cohort, 64, 3)
    assert tasks.shape == (26, 3, 64, 64)
    for n, row in enumerate(cohort.clips.itertuples()):
        clip = np.load(cohort.folder / row.path)
        where = np.flatnonzero(table["clip_id"] == row.clip_id).item()
        np.testing.assert_array_equal(frames[where], clip[table["frame"][where]])
        np.testing.assert_array_equal(tasks[n], clip[[1, 3, 5]])


# -- true masks


def with_masks(folder: Path, masks: dict[str, np.ndarray], features: list[str]) -> Cohort:
    """A plain cohort with true masks, clip_id -> uint8 (2, 4, 6), and its clip b before its clip a."""
    plain_cohort(folder)
    rows = (folder / "clips.csv").read_text().splitlines()
    (folder / "clips.csv").write_text("\n".join([rows[0], rows[2], rows[1]]) + "\n")
    (folder / "cohort.yaml").write_text(yaml.safe_dump({"name": "plain", "features": features}))
    for name, (one, two) in masks.items():  # not by the package's own writer
        Image.fromarray(one).save(folder / f"{name}.tif", save_all=True, append_images=[Image.fromarray(two)])
    table = pd.DataFrame({"clip_id": list(masks), "path": [f"{name}.tif" for name in masks]})
    table.to_csv(folder / "masks.csv", index=False)
    return cohorts.read(folder)


def test_true_masks_by_hand(tmp_path: Path):
    nothing = np.zeros((4, 6), np.uint8)
    nerve = np.array(  # areas of 2 x 3 pixels with 6, 3 | 2, 1 of them set
        [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], np.uint8
    )
    both = nerve + 2 * np.uint8(1)  # the second feature is everywhere
    cohort = with_masks(
        tmp_path / "plain",
        {"a": np.stack([nothing, nerve]), "b": np.stack([both, nothing])},
        ["nerve", "muscle"],
    )
    true = arrays.true_masks(cohort, 2, 2)
    assert (true.shape, true.dtype) == ((2, 2, 2, 2, 2), np.uint8)
    half, none, full = [[1, 1], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]
    assert list(cohort.clips["clip_id"]) == ["b", "a"]
    assert true.tolist() == [[[half, full], [none, none]], [[none, none], [half, none]]]
    assert arrays.true_masks(cohort, 2, 1).tolist() == [[[none, none]], [[half, none]]]  # frame 1 alone


@pytest.mark.parametrize(("size", "count"), [(64, 3), (37, 8), (16, 1), (96, 2)])
def test_true_masks_are_cut_as_a_segmenters_are(cohort: Cohort, size: int, count: int):
    true = arrays.true_masks(cohort, size, count)
    assert true.shape == (26, count, 6, size, size)
    for masks, row in zip(true, cohort.clips.merge(cohort.masks, on="clip_id").itertuples(), strict=True):
        centres = arrays.segment_centres(6, count)
        with Image.open(cohort.folder / row.path_y) as file:
            pages = [np.array(page) for page in ImageSequence.Iterator(file)]
        bits = np.stack([[(pages[t] >> k) & 1 for k in range(6)] for t in centres])
        areas = torch.nn.functional.interpolate(torch.from_numpy(bits).double(), (size, size), mode="area")
        np.testing.assert_array_equal(masks, (areas * 255).round().numpy() >= predictions.CUT)


def test_true_masks_of_the_labelled_frame_are_its_truth(cohort: Cohort):
    first = replace(cohort, clips=cohort.clips.iloc[[7]].reset_index(drop=True))
    table = pd.DataFrame({"clip_id": first.clips["clip_id"], "frame": 0})
    truth, _ = arrays.confidence_of(cohort, table, None, source="truth")
    np.testing.assert_array_equal(arrays.true_masks(first, 64, 6)[:, 0] * 255, truth)


def test_without_true_masks_there_is_a_sentence(tmp_path: Path, cohort: Cohort):
    with pytest.raises(
        ValueError, match=r"masks\.csv: expected the true masks of every clip, got none; only a"
    ):
        arrays.true_masks(cohorts.read(plain_cohort(tmp_path / "plain")), 4, 2)
    gone = cohort.clips["clip_id"][3]
    few = replace(
        cohort, masks=cohort.masks[~cohort.masks["clip_id"].isin([gone, cohort.clips["clip_id"][9]])]
    )
    with pytest.raises(ValueError, match=f"got none of 2 clips, {gone} the first; only a phantom has them"):
        arrays.true_masks(few, 4, 2)
    many = replace(cohort, features=tuple("abcdefghi"))
    with pytest.raises(ValueError, match="at most 8 features, a bit of a pixel each, got 9; leave some out"):
        arrays.true_masks(many, 4, 2)
