"""The door of a cohort: what it refuses, in which words, and that it changes nothing."""

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageSequence

from lusnb.cohort import cohort as cohorts
from lusnb.cohort.problems import CohortError
from tests.faults.make import both, put, repeat

Break = Callable[[Path], object]


@pytest.fixture
def folder(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom cohort, to be broken."""
    return shutil.copytree(phantom, tmp_path / "cohort")


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)


def text(name: str, edit: Callable[[str], str]) -> Break:
    return lambda folder: (folder / name).write_text(edit((folder / name).read_text()))


def first(folder: Path, name: str) -> Path:
    """The file of a table's first row."""
    return folder / table(folder, name)["path"][0]


def of_clip(write: Callable[[Path, np.ndarray], object]) -> Break:
    """Write the first clip's file anew."""
    return lambda folder: write(first(folder, "clips"), np.load(first(folder, "clips")))


def of_label(write: Callable[[Path, Image.Image], object]) -> Break:
    """Write the first confidence image anew."""

    def change(folder: Path) -> None:
        with Image.open(first(folder, "labels")) as image:
            image.load()
        write(first(folder, "labels"), image)

    return change


def deep(path: Path, image: Image.Image) -> None:
    Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(path)


def outside(path: Path, _: np.ndarray) -> None:
    """Replace a file by a link to one outside the cohort."""
    path.rename(path.parents[2] / "elsewhere.npy")
    path.symlink_to(path.parents[2] / "elsewhere.npy")


def archive(path: Path, clip: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, clip)


def of_masks(change: Callable[[np.ndarray], np.ndarray], how: str = "TIFF") -> Break:
    """Write the first clip's true masks anew, (T, H, W)."""

    def break_it(folder: Path) -> None:
        with Image.open(first(folder, "masks")) as image:
            pages = np.stack([np.array(page) for page in ImageSequence.Iterator(image)])
        one, *others = [Image.fromarray(page) for page in change(pages)]
        one.save(first(folder, "masks"), format=how, save_all=True, append_images=others)

    return break_it


def trailing_commas(text: str) -> str:
    head, *rows = text.splitlines()
    return "\n".join([head, *(row + "," for row in rows)]) + "\n"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(folder: Path) -> CohortError:
    """Open a cohort that cannot be used: the error, after making sure that the folder is as it was."""
    before = snapshot(folder)
    with pytest.raises(CohortError) as caught:
        cohorts.read(folder, 2)
    assert snapshot(folder) == before
    return caught.value


# claim: how it is broken; file and row, expected, arrived, remedy (regular expressions)
CASES: dict[str, tuple[Break, str, str, str, str]] = {
    "no cohort.yaml": (
        lambda d: (d / "cohort.yaml").unlink(),
        r"cohort\.yaml", "a cohort folder with a cohort.yaml", "no such file", "make the cohort first",
    ),
    "no patients.csv": (
        lambda d: (d / "patients.csv").unlink(),
        r"patients\.csv", "a table", "no such file", "write it with the columns .*patient_id",
    ),
    "no labels.csv": (
        lambda d: (d / "labels.csv").unlink(),
        r"labels\.csv", "a table", "no such file", "write it with the columns .*clip_id.*frame.*rater",
    ),
    "a clip's file is missing": (
        lambda d: first(d, "clips").unlink(),
        r"clips\.csv, row 1", "a clip file", r"no file clips/\S+\.npy", "put it there or correct the path",
    ),
    "a label's file is missing": (
        lambda d: first(d, "labels").unlink(),
        r"labels\.csv, row 1", "a confidence image", r"no file labels/\S+\.png", "put it there or correct",
    ),
    "a patient in two splits": (
        both(put("patients", 2, split="test"), repeat("patients", 2, split="train")),
        r"patients\.csv, row 7", "each patient in one split", "patient P02 in test and train", "keep one",
    ),
    "a patient twice": (
        repeat("patients", 2),
        r"patients\.csv, row 7", "each row once", "patient_id P02 a second time", "remove or rename one",
    ),
    "a clip_id twice": (
        repeat("clips", 3),
        r"clips\.csv, row 27", "each row once", r"clip_id \S+ a second time", "remove or rename one",
    ),
    "an exam twice": (
        repeat("exams", 1, spo2="90", sf_ratio=""),
        r"exams\.csv, row \d+", "each row once", r"patient_id P01, day 0 a second time", "remove or rename",
    ),
    "an exam of an unknown patient": (
        put("exams", 2, patient_id="P99"),
        r"exams\.csv, row 2", r"a patient_id listed in patients\.csv", "'P99'", "correct it or add it there",
    ),
    "a clip of an unknown patient": (
        put("clips", 2, patient_id="P99"),
        r"clips\.csv, row 2", r"a patient_id listed in patients\.csv", "'P99'", "correct it or add it there",
    ),
    "a label of an unknown clip": (
        put("labels", 4, clip_id="nowhere"),
        r"labels\.csv, row 4", r"a clip_id listed in clips\.csv", "'nowhere'", "correct it or add it there",
    ),
    "an unknown view": (
        put("clips", 5, view="R9"),
        r"clips\.csv, row 5", r"a view listed in cohort\.yaml's views", "'R9'", "correct it or add it there",
    ),
    "an unknown feature": (
        put("labels", 6, feature="c_line"),
        r"labels\.csv, row 6", r"a feature listed in cohort\.yaml's features", "'c_line'", "correct it or",
    ),
    "a confidence image of another size": (
        of_label(lambda path, image: image.resize((32, 48)).save(path)),
        r"labels\.csv, row 1", r"the clip's size, 64 x 64 \(height x width\)", r"labels/\S+ of 48 x 32",
        "export it at the clip's size",
    ),
    "a confidence image in colour": (
        of_label(lambda path, image: image.convert("RGB").save(path)),
        r"labels\.csv, row 1", r"an 8-bit grayscale PNG \(mode L\)", r"labels/\S+ of mode RGB",
        "save it as 8-bit grayscale",
    ),
    "a confidence image of 16 bits": (
        of_label(deep),
        r"labels\.csv, row 1", r"an 8-bit grayscale PNG \(mode L\)", r"labels/\S+ of mode I;16",
        "save it as 8-bit grayscale",
    ),
    "a confidence image with a palette": (
        of_label(lambda path, image: image.convert("P").save(path)),
        r"labels\.csv, row 1", r"an 8-bit grayscale PNG \(mode L\)", r"labels/\S+ of mode P",
        "save it as 8-bit grayscale",
    ),
    "a confidence image that lost detail as a JPEG": (
        of_label(lambda path, image: image.save(path, format="JPEG")),
        r"labels\.csv, row 1", "an 8-bit grayscale PNG", "JPEG", "save it",
    ),
    "a confidence image that is no image": (
        lambda d: first(d, "labels").write_text("no image"),
        r"labels\.csv, row 1", "an 8-bit grayscale PNG", r"labels/\S+: cannot identify", "save it again",
    ),
    "a confidence image cut short": (
        lambda d: first(d, "labels").write_bytes(first(d, "labels").read_bytes()[:60]),
        r"labels\.csv, row 1", "an 8-bit grayscale PNG", r"labels/\S+", "save it again",
    ),
    "a label of a frame that does not exist": (
        put("labels", 1, frame="6"),
        r"labels\.csv, row 1", "a frame from 0 to 5", "frame 6", "correct the frame number",
    ),
    "a label of a negative frame": (
        put("labels", 1, frame="-1"), r"labels\.csv, row 1", "frame to be .*0", "-1", "correct",
    ),
    "true masks of an unknown clip": (
        put("masks", 4, clip_id="nowhere"),
        r"masks\.csv, row 4", r"a clip_id listed in clips\.csv", "'nowhere'", "correct it or add it there",
    ),
    "true masks of a clip twice": (
        repeat("masks", 3),
        r"masks\.csv, row 27", "each row once", r"clip_id \S+ a second time", "remove or rename one",
    ),
    "a missing file of true masks": (
        lambda d: first(d, "masks").unlink(),
        r"masks\.csv, row 1", "a file of true masks", r"no file truth/\S+\.tif", "put it there or correct",
    ),
    "a path of true masks that leaves the folder": (
        put("masks", 1, path="truth/../../x.tif"),
        r"masks\.csv, row 1", "a path inside the cohort's folder", r"x\.tif'", "copy the masks into truth/",
    ),
    "true masks of another size": (
        of_masks(lambda pages: pages[:, :48, :32]),
        r"masks\.csv, row 1", r"the clip's size, 64 x 64 \(height x width\)", r"page 0 of \S+ of 48 x 32",
        "make the phantom again",
    ),
    "true masks that lack a frame": (
        of_masks(lambda pages: pages[:5]),
        r"masks\.csv, row 1", "a page for each of the clip's 6 frames", r"truth/\S+ with 5",
        "make the phantom again",
    ),
    "true masks of more features than there are": (
        of_masks(lambda pages: np.where(np.arange(6)[:, None, None] == 3, np.uint8(64), pages)),
        r"masks\.csv, row 1", "a bit for each of 6 features", r"page 3 of \S+ with 64", "make the phantom",
    ),
    "true masks in colour": (
        of_masks(lambda pages: np.stack([pages] * 3, -1)),
        r"masks\.csv, row 1", "an 8-bit grayscale TIFF", r"page 0 of \S+ of mode RGB", "make the phantom",
    ),
    "true masks as another kind of image": (
        of_masks(lambda pages: pages[:1], how="PNG"),
        r"masks\.csv, row 1", "an 8-bit grayscale TIFF", r"truth/\S+: cannot identify", "make the phantom",
    ),
    "true masks cut short": (
        lambda d: first(d, "masks").write_bytes(first(d, "masks").read_bytes()[:900]),
        r"masks\.csv, row 1", "an 8-bit grayscale TIFF, a page a frame", r"truth/\S+: ", "make the phantom",
    ),
    "true masks of nine features": (
        text("cohort.yaml", lambda s: s.replace("features:\n", "features:\n- one\n- two\n- three\n")),
        r"masks\.csv", "at most 8 features, of which each has a bit", "9", "leave features out",
    ),
    "S/F that contradicts SpO2 / FiO2": (
        put("exams", 1, spo2="95", fio2="0.5", sf_ratio="191.5"),
        r"exams\.csv, row 1", r"sf_ratio within 1 of spo2 / fio2 = 190\.0", r"sf_ratio 191\.5",
        "correct one of the three, or leave sf_ratio blank",
    ),
    "S/F above 477": (
        put("exams", 1, spo2="", fio2="", sf_ratio="478.5"),
        r"exams\.csv, row 1", "S/F of at most 477", r"478\.5", r"is fio2 a fraction from 0\.21 to 1\?",
    ),
    "FiO2 in per cent": (
        put("exams", 1, fio2="40", sf_ratio=""),
        r"exams\.csv, row 1", r"fio2 to be a fraction from 0\.21 to 1", "40", "correct",
    ),
    "SpO2 above 100 %": (
        put("exams", 1, spo2="101", sf_ratio=""),
        r"exams\.csv, row 1", "spo2 to be per cent above 1 and up to 100", "101", "correct",
    ),
    "a day after the last": (
        put("exams", 1, day="366"), r"exams\.csv, row 1", "day to be a day from 0 to 365", "366",
        "days count from admission",
    ),
    "a date for a clip's day": (
        put("clips", 1, day="2024-02-01"), r"clips\.csv, row 1", "day to be a whole number", "2024-02-01",
        "a date would tell who it is",
    ),
    "a fold that was not asked for": (
        put("patients", 1, split="train", fold="3"), r"patients\.csv, row 1", "a fold from 1 to 2", "fold 3",
        "ask for more folds",
    ),
    "a clip that is nearly black": (
        of_clip(lambda path, clip: np.save(path, clip % 8)),
        r"labels\.csv, row 1", "a labelled frame with an image", "nearly black", "label another frame",
    ),
    "a clip's path that leaves the folder": (
        put("clips", 1, path="../elsewhere.npy"),
        r"clips\.csv, row 1", "a path inside the cohort's folder", r"'\.\./elsewhere\.npy'", "copy the clip",
    ),
    "a clip's absolute path": (
        lambda d: put("clips", 1, path=str(shutil.copy(first(d, "clips"), d.parent / "a.npy")))(d),
        r"clips\.csv, row 1", "a path inside the cohort's folder", r"'/.*a\.npy'", "copy the clip",
    ),
    "a clip that is a link to a file elsewhere": (
        of_clip(outside),
        r"clips\.csv, row 1", "a path inside the cohort's folder", r"'clips/\S+\.npy'", "copy the clip",
    ),
    "a label's path that leaves the folder": (
        put("labels", 1, path="labels/../../x.png"),
        r"labels\.csv, row 1", "a path inside the cohort's folder", r"x\.png'", "copy the image",
    ),
    "a clip of floats": (
        of_clip(lambda path, clip: np.save(path, clip / 255)),
        r"clips\.csv, row 1", r"a uint8 array \(frames, height, width\)", r"float64 of shape \(6, 64, 64\)",
        "convert it to 8-bit grayscale",
    ),
    "a clip with a colour axis": (
        of_clip(lambda path, clip: np.save(path, np.stack([clip] * 3, -1))),
        r"clips\.csv, row 1", r"a uint8 array \(frames, height, width\)", r"uint8 of shape \(6, 64, 64, 3\)",
        "convert it to 8-bit grayscale",
    ),
    "a clip without frames": (
        of_clip(lambda path, clip: np.save(path, clip[:0])),
        r"clips\.csv, row 1", r"a uint8 array \(frames, height, width\)", r"shape \(0, 64, 64\)", "convert",
    ),
    "a clip cut short": (
        lambda d: first(d, "clips").write_bytes(first(d, "clips").read_bytes()[:-9]),
        r"clips\.csv, row 1", r"a \.npy array", r"clips/\S+: ", "save it again with numpy.save",
    ),
    "an archive under the name of a clip": (
        of_clip(archive),
        r"clips\.csv, row 1", r"a \.npy array", r"clips/\S+", "save it again with numpy.save",
    ),
    "a day in words": (
        put("exams", 3, day="admission"), r"exams\.csv, row 3", "day to be ", "'admission'", "correct it",
    ),
    "half a day": (put("exams", 3, day="0.5"), r"exams\.csv, row 3", "day to be ", r"0\.5", "correct it"),
    "a clip's day in words": (
        put("clips", 3, day="first"), r"clips\.csv, row 3", "day to be ", "'first'", "correct it",
    ),
    "an unknown split": (
        put("patients", 1, split="Train"),
        r"patients\.csv, row 1", "split to be .*train.*validation.*test", "'Train'", "correct it",
    ),
    "a patient without a name": (
        put("patients", 1, patient_id="  "), r"patients\.csv, row 1", "patient_id to be not blank", "a blank",
        "fill it in",
    ),
    "another separator": (
        text("labels.csv", lambda s: s.replace(",", ";")),
        r"labels\.csv", "a comma-separated table", "one separated by semicolons", 
        "save it again as CSV with commas",
    ),
    "another separator in a table with optional columns": (
        text("exams.csv", lambda s: s.replace(",", ";")),
        r"exams\.csv", "a comma-separated table", "one separated by semicolons", 
        "save it again as CSV with commas",
    ),
    "a comma too many in every row": (
        text("exams.csv", trailing_commas), r"exams\.csv", ".+", ".+", ".+",
    ),
    "another encoding": (
        lambda d: (d / "patients.csv").write_bytes((d / "patients.csv").read_bytes() + b"M\xfcller,,,\n"),
        r"patients\.csv", "a comma-separated UTF-8 table", "'utf-8' codec", "export it again",
    ),
    "a cohort.yaml that is no YAML": (
        text("cohort.yaml", lambda s: s + "\nbroken: [1"), r"cohort\.yaml", ".+", ".+", ".+",
    ),
    "a cohort.yaml that is a list": (
        text("cohort.yaml", lambda s: "- sharp_pleura\n"), r"cohort\.yaml", ".+", ".+", ".+",
    ),
    "features that are no list": (
        text("cohort.yaml", lambda s: yaml.safe_dump({**yaml.safe_load(s), "features": "b_line"})),
        r"cohort\.yaml", "`features` as .*list", "'b_line'", "correct it",
    ),
    "a feature named twice": (
        text("cohort.yaml", lambda s: yaml.safe_dump({**yaml.safe_load(s), "features": ["a", "a"]})),
        r"cohort\.yaml", "`features` as a list of distinct", r"\['a', 'a'\]", "correct it",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # what Pillow says of a TIFF that is cut short
@pytest.mark.parametrize("claim", CASES)
def test_refused_in_a_sentence_and_left_as_it_was(folder: Path, claim: str):
    break_it, where, expected, arrived, remedy = CASES[claim]
    break_it(folder)
    sentence = rf"^{re.escape(str(folder))}/{where}: expected {expected}.*, got .*{arrived}.*; .*{remedy}"
    assert re.search(sentence, str(refused(folder)), re.DOTALL), str(refused(folder))


def test_the_phantom_itself_is_accepted(folder: Path):
    before = snapshot(folder)
    assert len(cohorts.read(folder, 2).clips) == 26
    assert snapshot(folder) == before


def test_what_agrees_within_rounding_is_accepted(folder: Path):
    put("exams", 1, spo2="95", fio2="0.5", sf_ratio="190.9")(folder)
    put("exams", 2, spo2="100", fio2="0.21", sf_ratio="477")(folder)
    assert list(cohorts.read(folder, 2).exams["sf_ratio"][:2]) == [190.9, 477.0]


@pytest.mark.parametrize(
    "edit",
    [lambda b: b"\xef\xbb\xbf" + b, lambda b: b.replace(b"\n", b"\r\n")],
    ids=["a byte-order mark", "Windows line ends"],
)
def test_what_spreadsheets_add_is_accepted(folder: Path, edit: Callable[[bytes], bytes]):
    want = cohorts.read(folder, 2)
    for name in ("patients", "exams", "clips", "labels"):
        (folder / f"{name}.csv").write_bytes(edit((folder / f"{name}.csv").read_bytes()))
    pd.testing.assert_frame_equal(cohorts.read(folder, 2).clips, want.clips)


def test_every_problem_is_listed_with_its_row(folder: Path):
    put("exams", 2, spo2="95", fio2="0.5", sf_ratio="300")(folder)
    put("clips", 4, view="R9")(folder)
    put("labels", 9, frame="77")(folder)
    first(folder, "clips").unlink()
    error = refused(folder)
    found = error.problems.sort_values(["file", "row"])
    assert list(found.columns) == ["file", "row", "expected", "arrived", "remedy"]
    assert [(Path(p.file).name, p.row) for p in found.itertuples()] == [
        ("clips.csv", 1),
        ("clips.csv", 4),
        ("exams.csv", 2),
        ("labels.csv", 9),
    ]
    assert all(p.expected in str(error) and p.arrived in str(error) for p in found.itertuples())


def test_faults_of_every_kind_are_told_in_one_refusal(folder: Path):
    text("cohort.yaml", lambda s: yaml.safe_dump({**yaml.safe_load(s), "sf_max": "x"}))(folder)
    put("patients", 1, readmitted_30d="yes")(folder)
    put("patients", 2, fold="9", split="train")(folder)
    put("exams", 1, spo2="9 5")(folder)
    put("exams", 2, fio2="40")(folder)
    put("exams", 4, patient_id="P99")(folder)
    repeat("exams", 3)(folder)
    put("clips", 2, day="first")(folder)
    (folder / table(folder, "clips")["path"][2]).unlink()
    put("labels", 1, frame="-1")(folder)
    put("labels", 7, clip_id="nowhere")(folder)
    put("labels", 13, path="../x.png")(folder)  # of the clip that is not there
    put("labels", 19, path=" ")(folder)
    put("labels", 25, frame="6")(folder)
    found = refused(folder).problems
    rows = [(Path(p.file).stem, 0 if pd.isna(p.row) else p.row) for p in found.itertuples()]
    labels = [("labels", row) for row in (1, 7, 13, 19, 25)]
    exams = [("exams", row) for row in (1, 2, 4, len(table(folder, "exams")))]
    some = [("cohort", 0), ("patients", 1), ("patients", 2), ("clips", 2), ("clips", 3)]
    assert sorted(rows) == sorted([*some, *exams, *labels])


def test_what_follows_from_another_problem_is_not_told(folder: Path):
    (folder / "patients.csv").unlink()
    put("clips", 1, clip_id="")(folder)
    put("clips", 2, fps="fast")(folder)
    files = [Path(file).name for file in refused(folder).problems["file"]]
    assert files == ["patients.csv", "clips.csv", "clips.csv"]


def test_names_that_may_be_one_are_warned_of(folder: Path):
    put("patients", 2, patient_id="p 001")(folder)
    for name in ("clips", "exams"):
        rows = table(folder, name)
        rows.assign(patient_id=rows["patient_id"].replace("P02", "p 001")).to_csv(
            folder / f"{name}.csv", index=False
        )
    (one,) = cohorts.read(folder, 2).warnings.to_dict("records")
    assert (one["row"], one["arrived"]) == (2, "'P01' and 'p 001'")


def test_without_anyone_to_test_on_there_is_a_warning(folder: Path):
    table(folder, "patients").assign(split="train").to_csv(folder / "patients.csv", index=False)
    (one,) = cohorts.read(folder, 2).warnings.to_dict("records")
    assert one["expected"] == "patients to test on" and one["arrived"] == "6 of 6 patients in train"


def test_a_change_that_is_rounding_alone_is_warned_of(folder: Path):
    """95 / 0.36 = 263.9, written as 264 on one day and left to be computed on the other."""
    rows = table(folder, "exams")
    first, second = rows.index[rows["patient_id"] == rows["patient_id"].iloc[0]][:2]
    rows.loc[[first, second], ["spo2", "fio2"]] = ["95", "0.36"]
    rows.loc[first, "sf_ratio"], rows.loc[second, "sf_ratio"] = "264", ""
    rows.to_csv(folder / "exams.csv", index=False)
    (one,) = cohorts.read(folder, 2).warnings.to_dict("records")
    assert one["row"] == second + 1 and one["expected"].startswith("sf_ratio given on all days of a patient")
    assert one["arrived"] == f"computed as 263.9 here and given as 264 on day {rows.loc[first, 'day']}"
    rows.loc[first, "sf_ratio"] = ""
    rows.to_csv(folder / "exams.csv", index=False)
    assert cohorts.read(folder, 2).warnings.empty


def test_confidence_in_per_cent_is_warned_of_once_a_rater_and_feature(folder: Path):
    rows = table(folder, "labels")
    for path in rows.loc[rows["feature"] == "sharp_pleura", "path"]:
        with Image.open(folder / path) as image:
            level = np.asarray(image) * 20.0 / 255
        Image.fromarray((np.rint(level) * 5).astype(np.uint8)).save(folder / path)
    (one,) = cohorts.read(folder, 2).warnings.to_dict("records")
    assert "at most 1" in one["arrived"] or "at most 9" in one["arrived"]
    assert one["remedy"] == "is it painted in per cent? 255 is 100 %."


def test_rows_keep_their_number_after_blank_ones(folder: Path):
    text("exams.csv", lambda s: s.replace("\n", "\n\n", 1) + ",,,,\n,,,,\n")(folder)
    before = cohorts.read(folder, 2).exams
    assert list(before.index) == list(range(len(before)))
    text("exams.csv", lambda s: re.sub(r"^(P0\d),0,", r"\1,x,", s, count=1, flags=re.M))(folder)
    assert list(refused(folder).problems["row"]) == [2]


def test_a_message_spells_out_some_problems_and_counts_the_rest(folder: Path):
    labels = table(folder, "labels")
    labels.assign(clip_id="X" + labels["clip_id"]).to_csv(folder / "labels.csv", index=False)
    error = refused(folder)
    assert len(error.problems) == len(labels) == 156
    assert re.search(r"and \d+ more problems: see `\.problems`", str(error))
    assert len(str(error).splitlines()) < 30


def test_broken_tables_are_all_listed_at_once(folder: Path):
    (folder / "labels.csv").unlink()
    put("exams", 1, fio2="40")(folder)
    put("patients", 2, readmitted_30d="2")(folder)
    files = {Path(file).name for file in refused(folder).problems["file"]}
    assert files == {"labels.csv", "exams.csv", "patients.csv"}


@pytest.mark.parametrize(
    "change",
    [put("exams", 3, day="admission"), put("patients", 1, readmitted_30d="yes"), put("exams", 1, fio2="40%")],
    ids=["day", "readmitted_30d", "fio2"],
)
def test_one_wrong_value_is_one_problem(folder: Path, change: Break):
    change(folder)
    assert len(refused(folder).problems) == 1


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self) -> tuple:
        return (open, (str(self.witness), "w"))


@pytest.mark.parametrize("wrap", [False, True], ids=["a bare pickle", "an array of objects"])
def test_a_pickled_clip_is_refused_and_never_loaded(folder: Path, wrap: bool):
    witness, path = folder.parent / "witness", first(folder, "clips")
    if wrap:
        np.save(path, np.array([Payload(witness)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Payload(witness)))
    error = refused(folder)
    assert re.search(r"clips\.csv, row 1: expected a \.npy array, got clips/", str(error))
    assert not witness.exists()
    np.load(path, allow_pickle=True)  # the payload is live: only the refusal held it back
    assert witness.exists()
