"""Masks of several people become a cohort: on a tiny folder worked by hand, and on real ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import cohort as cohorts
from lusnb import readers

META = {"name": "cells", "licence": "open", "provenance": {"made_by": "lusnb.readers"}}
INSIDE, OUTSIDE = 0, 255  # in these masks the structure is black


def write(path: Path, pixels: list, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).convert(mode).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Image C1 outlined by Ann with two tools and by Bo and Cy with one each; C2 by Bo alone."""
    folder, i, o = tmp_path / "source", INSIDE, OUTSIDE
    write(folder / "raw/c1.png", [[10, 20, 30, 40], [50, 60, 70, 80]])
    write(folder / "raw/C2.png", [[1, 2], [3, 4]])
    write(folder / "raters/Ann_X/seg_C1.png", [[i, i, o, o], [i, o, o, o]])
    write(folder / "raters/Ann_Y/SEG_c1.PNG", [[i, o, i, o], [i, o, o, o]], "RGB")
    write(folder / "raters/Bo_X/seg_c1.png", [[i, i, o, o], [o, i, o, o]], "RGB")
    write(folder / "raters/Cy_Y/Seg_C1.png", [[i, i, o, o], [o, o, o, o]])
    write(folder / "raters/Bo_X/seg_c2.png", [[i, o], [o, o]])
    (folder / "raters/Bo_X/notes.txt").write_text("not a mask")
    write(folder / "raters/Bo_X/preview_c2.png", [[i, i], [i, i]])
    return folder


def imported(source: Path, folder: Path) -> cohorts.Cohort:
    readers.import_rater_masks(source, folder, feature="cell", foreground=INSIDE, meta=META)
    return cohorts.read(folder)


def test_masks_are_found_whatever_the_case_of_their_names(source: Path):
    found = readers.rater_masks(source)
    names = sorted(zip(found["image"], found["person"], strict=True))
    assert names == [("C1", "Ann"), ("C1", "Ann"), ("C1", "Bo"), ("C1", "Cy"), ("C2", "Bo")]


def test_a_person_s_tools_are_averaged_and_people_stay_apart(source: Path, tmp_path: Path):
    cohort = imported(source, tmp_path / "cohort")
    labels = cohort.labels.set_index(["clip_id", "rater"])["path"]
    assert sorted(labels.index) == [("C1", "Ann"), ("C1", "Bo"), ("C1", "Cy"), ("C2", "Bo")]
    ann, bo = (cohorts.image(cohort, labels["C1", who]).tolist() for who in ("Ann", "Bo"))
    assert ann == [[255, 128, 128, 0], [255, 0, 0, 0]]
    assert bo == [[255, 255, 0, 0], [0, 255, 0, 0]]


def test_confidence_is_the_mean_over_people_not_over_masks(source: Path, tmp_path: Path):
    cohort = imported(source, tmp_path / "cohort")
    maps, known = cohorts.confidence_of(cohort, cohorts.labelled_frames(cohort)[:1], None)
    assert known.all()
    share = np.array([[1, 2.5 / 3, 0.5 / 3, 0], [1 / 3, 1 / 3, 0, 0]])  # four masks, but three people
    np.testing.assert_allclose(maps[0, 0] / 255, share, atol=1 / 255)


def test_an_image_is_a_patient_of_one_clip_of_one_gray_frame(source: Path, tmp_path: Path):
    cohort = imported(source, tmp_path / "cohort")
    assert cohort.clips[["clip_id", "patient_id"]].to_numpy().tolist() == [["C2", "C2"], ["C1", "C1"]]
    np.testing.assert_array_equal(cohorts.clip(cohort, "C1"), [[[10, 20, 30, 40], [50, 60, 70, 80]]])
    assert (cohort.features, cohort.views, cohort.origin, cohort.name) == (("cell",), {}, "imported", "cells")
    assert all(cohort.lacks(task) for task in ("sf_change", "sf_ratio", "readmission"))


def test_a_folder_without_masks_is_refused_in_words(tmp_path: Path):
    write(tmp_path / "raw/A.png", [[1]])
    words = r"raters: expected masks as <person>_<tool>/seg_<image>\.png, found none; set LUSNB_SAMPLES"
    with pytest.raises(FileNotFoundError, match=words):
        readers.import_rater_masks(tmp_path, tmp_path / "cohort", feature="cell", foreground=0, meta=META)
    assert not (tmp_path / "cohort").exists()


def test_colour_becomes_gray_by_luma(tmp_path: Path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).save(tmp_path / "c.png")
    np.testing.assert_allclose(
        readers.gray(tmp_path / "c.png"), [[0.299 * 255, 0.587 * 255, 0.114 * 255]], atol=1
    )


# -- six real images, five people, two tools


@pytest.fixture(scope="module")
def bubil(samples: Path) -> Path:
    if not (samples / "bubil").is_dir():
        pytest.skip(f"no sample: {samples / 'bubil'}")
    return samples / "bubil"


@pytest.fixture(scope="module")
def cells(bubil: Path, tmp_path_factory: pytest.TempPathFactory) -> cohorts.Cohort:
    return imported(bubil, tmp_path_factory.mktemp("bubil") / "cohort")


def test_the_real_images_open_as_a_cohort_of_five_raters(cells: cohorts.Cohort):
    assert sorted(cells.clips["clip_id"]) == [f"B0{k}" for k in range(1, 7)]
    people = cells.labels.groupby("clip_id")["rater"].agg(sorted)
    assert all(names == [f"Person{k}" for k in range(1, 6)] for names in people)
    assert set(cells.patients["split"]) == {"train", "validation", "test"}


def test_two_folders_of_the_real_masks_are_known_to_be_one(bubil: Path, cells: cohorts.Cohort):
    for k in range(1, 7):
        amira, imagej = (bubil / f"raters/Person2_{tool}/seg_B0{k}.png" for tool in ("Amira", "ImageJ"))
        np.testing.assert_array_equal(readers.gray(amira), readers.gray(imagej))
    second = cells.labels[cells.labels["rater"] == "Person2"]["path"]
    assert all(set(np.unique(cohorts.image(cells, path))) == {0, 255} for path in second)
    others = cells.labels[cells.labels["rater"] == "Person1"]["path"]
    assert all(set(np.unique(cohorts.image(cells, path))) == {0, 128, 255} for path in others)


def test_the_real_confidence_is_the_mean_of_its_masks(bubil: Path, cells: cohorts.Cohort):
    table = pd.DataFrame({"clip_id": ["B01"], "frame": [0]})
    maps, _ = cohorts.confidence_of(cells, table, None)
    masks = [readers.gray(path) == 0 for path in sorted((bubil / "raters").glob("*/seg_B01.png"))]
    assert len(masks) == 10  # two a person: here the mean over people is the mean over masks
    assert np.abs(maps[0, 0] / 255 - np.mean(masks, axis=0)).max() <= 1.1 / 255
    assert 0.01 < (maps > 0).mean() < 0.5
