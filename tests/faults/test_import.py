"""What an import accepts and warns of, all problems at once, what it keeps secret, and where it may write."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.readers.folder import import_folder
from tests.faults import make, test_labels, test_sheets
from tests.faults.conftest import check
from tests.faults.make import FRAMES, band, both, cut, edit, pixels, put, repeat, tagged

SECRETS = (
    *make.PERSONS,
    "Adele",
    "Cleo",
    "bed 3",
    "19500101",
    "1.2.3.4",
    "adler",
    "brandt",
    "conrad",
    "volume.n",
)


def test_the_good_source_is_accepted_without_a_warning(good, tmp_path):
    before = make.snapshot(good)
    warnings = import_folder(good, tmp_path / "new", name="new", study_ids=False)
    assert warnings.empty and list(warnings.columns) == ["file", "row", "expected", "arrived", "remedy"]
    cohort = cohorts.read(tmp_path / "new")
    assert len(cohort.clips) == 7 and len(cohort.labels) == 9 and cohort.warnings.empty
    assert np.array_equal(arrays.clip(cohort, "brandt-npy"), FRAMES)
    for row in cohort.labels.itertuples():
        image = arrays.image(cohort, row.path)
        wanted = {204, 0} if row.clip_id in ("adler-mp4", "adler-avi", "brandt-tif") else {255, 0}
        where = band()[:, 8:] if row.clip_id == "conrad-jpeg" else band()
        assert set(np.unique(image)) == wanted and np.array_equal(image > 0, where > 0), row
    assert make.snapshot(good) == before


def test_fortran_order_is_no_fault(source, tmp_path):
    np.save(source / "clips/brandt.npy", np.asfortranarray(FRAMES))
    import_folder(source, tmp_path / "new", name="new", study_ids=False)
    assert np.array_equal(np.load(tmp_path / "new/clips/brandt-npy.npy"), FRAMES)


def test_blank_columns_at_the_end_are_no_fault(source, tmp_path):
    lines = (source / "exams.csv").read_text().splitlines()
    (source / "exams.csv").write_text("\n".join(line + ",,," for line in lines) + "\n")
    assert import_folder(source, tmp_path / "new", name="new").empty


def test_everything_that_is_wrong_is_told_at_once(source, refused):
    cut("clips/adler.mp4", 0.5)(source)
    tagged(BurnedInAnnotation="YES")(source)
    put("clips", 7, path="../x.png")(source)
    put("labels", 3, frame="9")(source)
    pixels("labels/deep.png", lambda: band(1))(source)
    put("exams", 3, sf_ratio="500")(source)
    error = refused()
    wanted = [
        ("exams.csv", 3, "S/F of at most 477", "500", "fraction"),
        ("clips.csv", 1, "a video", "Invalid", "copy"),
        ("clips.csv", 5, "a crop", "no crop", "rectangle"),
        ("clips.csv", 7, "a path inside", "x.png", "copy the file"),
        ("labels.csv", 3, "a frame from 0 to 5", "frame 9", "correct"),
        ("labels.csv", 4, "confidence up to 255", "at most 1", "`foreground`"),
    ]
    check(error.problems, source, *wanted)
    shown = "\n".join(error._render_traceback_())
    assert shown.startswith("CohortError: 6 problems in ") and "Traceback" not in shown
    told = " ".join(str(error).split())
    for p in error.problems.itertuples():
        assert f"{p.file}, row {p.row}: expected {p.expected}, got {p.arrived}; {p.remedy}" in told
    assert all(column in shown.splitlines()[1] for column in error.problems.columns)
    assert shown.count("clips.csv") == 3 and "expected S/F" not in shown  # the table, without the sentences
    assert shown.replace("\n", " ").split().count("rectangle") == 1 and len(shown.splitlines()) < 40


# How a whole source is broken, in a place each, and what is told of it.
MANY = {
    "a key of cohort.yaml": (
        edit("cohort.yaml", lambda b: b + b"split_seed: x\n"),
        ("cohort.yaml", None, "`split_seed` as a whole number", "'x'", "correct"),
    ),
    "SpO2 with a space": (put("exams", 1, spo2="9 2"), ("exams.csv", 1, "a number", "'9 2'", "space out")),
    "FiO2 in per cent": (put("exams", 2, fio2="21"), ("exams.csv", 2, "a fraction", "21", "40 % as 0.4")),
    "an exam of an unknown patient": (
        put("exams", 3, patient_id="Zed"), ("exams.csv", 3, "listed in patients", "'Zed'", "add it"),
    ),
    "an exam twice": (
        repeat("exams", 2, spo2="", fio2=""),
        ("exams.csv", 4, "each row once", "day 1 a second time", "remove"),
    ),
    "an unknown split": (put("patients", 2, split="x"), ("patients.csv", 2, "train, val", "'x'", "correct")),
    "a fold beyond": (
        put("patients", 1, fold="99"),
        ("patients.csv", 1, "fold from 1 to 5", "99", "more folds"),
    ),
    "a depth of zero": (
        edit("clips.csv", lambda b: b.replace(b",,,10\n", b",,,0\n", 1)),
        ("clips.csv", 3, "fps to be a number of frames", "0", "correct it"),
    ),
    "an unknown view": (put("clips", 4, view="R9"), ("clips.csv", 4, "yaml's views", "'R9'", "add it there")),
    "half a film": (cut("clips/adler.mp4", 0.5), ("clips.csv", 1, "a video", "Invalid", "copy")),
    "a clip that is not there": (
        put("clips", 5, path="none.dcm"), ("clips.csv", 5, "a clip file", "no file none.dcm", "put it there"),
    ),
    "a label of the film, which is not JSON": (
        cut("labels/polygons.json", 0.5), ("labels.csv", 1, "polygons as JSON", "JSON", "guide"),
    ),
    "a frame that is no number": (
        put("labels", 3, frame="one"), ("labels.csv", 3, "frame to be a whole", "'one'", "correct it"),
    ),
    "half an image": (cut("labels/deep.png", 0.6), ("labels.csv", 4, "an image", "truncated", "export it")),
    "a label of an unknown clip": (
        put("labels", 5, clip_id="none"), ("labels.csv", 5, "listed in clips", "'none'", "add it there"),
    ),
    "a frame beyond the end": (
        put("labels", 6, frame="99"), ("labels.csv", 6, "a frame from 0 to 4", "frame 99", "correct the"),
    ),
    "the label of a missing clip": (
        put("labels", 7, path="../x.nii"), ("labels.csv", 7, "a path inside", "x.nii", "copy the file"),
    ),
    "a foreground in words": (
        put("labels", 9, foreground="x"), ("labels.csv", 9, "foreground to be a whole", "'x'", "correct it"),
    ),
}  # fmt: skip


def test_one_refusal_tells_of_all_faults_and_mending_these_is_enough(source, good, refused, tmp_path):
    for change, _ in MANY.values():
        change(source)
    problems = refused().problems
    for _, told in MANY.values():
        one = problems[
            [(Path(p.file).name, p.row if told[1] else None) == told[:2] for p in problems.itertuples()]
        ]
        check(one, source, told)
    assert len(problems) == len(MANY) == 18
    mended = {(Path(p.file).name, p.row) for p in problems.itertuples()}
    for file in {file for file, _ in mended}:  # exactly the rows that were told of, and no other
        was, now = ((folder / file).read_text().splitlines() for folder in (good, source))
        if file.endswith(".yaml"):
            was, now = was, was
        for row in {row for name, row in mended if name == file and not pd.isna(row)}:
            now[row : row + 1] = was[row : row + 1]
        (source / file).write_text("\n".join(now) + "\n")
    for file in ("clips/adler.mp4", "labels/polygons.json", "labels/deep.png"):
        (source / file).write_bytes((good / file).read_bytes())
    assert import_folder(source, tmp_path / "cohorts" / "new", name="new").empty


ALONE = {
    **{f"sheets: {name}": one for name, one in test_sheets.CASES.items()},
    **{f"labels: {name}": one for name, one in test_labels.LABELS.items()},
}
FILES = {"clips.csv", "labels.csv", "patients.csv", "exams.csv", "cohort.yaml"}


def touched(claim: str, good: Path, folder: Path) -> set[str]:
    """Which files a breakage changes."""
    broken = shutil.copytree(good, folder / "broken", symlinks=True)
    ALONE[claim][0](broken)
    before, after = make.snapshot(good), make.snapshot(broken)
    shutil.rmtree(folder)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize("seed", range(25))
def test_two_faults_are_both_told(good, tmp_path, refused, source, seed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, names = np.random.default_rng(seed), sorted(ALONE)
    while True:
        pair = [names[k] for k in rng.choice(len(names), 2, replace=False)]
        told = [ALONE[name][1] for name in pair]
        files = [touched(name, good, tmp_path / "try") for name in pair]
        read = any(one[:2] in (("clips.csv", None), ("labels.csv", None)) for one in told)
        read |= told[0][:2] == ("clips.csv", 3) or told[1][:2] == ("clips.csv", 3)  # its labels need it
        if not files[0] & files[1] and not read and len({one[:2] for one in told}) == 2:
            break
    for name in pair:
        ALONE[name][0](source)
    found = refused().problems
    for file, row, *patterns in told:
        rows = found[[Path(p).name == file for p in found["file"]]]
        rows = rows[rows["row"].isna() if row is None else rows["row"] == row]
        texts = [(p.expected, p.arrived, p.remedy) for p in rows.itertuples()]
        assert any(all(map(re.search, patterns, words)) for words in texts), (pair, found.to_dict("records"))
    found = found.drop_duplicates(["expected", "arrived"])  # a file may be that of two rows
    assert len(found) == 2, (pair, found.to_dict("records"))


def test_every_broken_sheet_is_told_at_once(source, refused):
    put("exams", 1, fio2="40")(source)
    put("patients", 1, split="x")(source)
    (source / "labels.csv").unlink()
    (source / "cohort.yaml").write_text("- a\n")
    files = [Path(file).name for file in refused().problems["file"]]
    assert sorted(files) == ["cohort.yaml", "exams.csv", "labels.csv", "patients.csv"]


def test_a_whole_file_has_no_row_in_the_table_that_is_shown(source, refused):
    (source / "clips.csv").unlink()
    shown = "\n".join(refused()._render_traceback_())
    assert "clips.csv" in shown and "<NA>" not in shown and "nan" not in shown


def notes(folder: Path) -> None:
    """A column that nobody asked for."""
    lines = (folder / "clips.csv").read_text().splitlines()
    lines = [f"{line},{'brandt_notes' if n == 0 else 'see Brandt'}" for n, line in enumerate(lines)]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")


ODD = {
    "a column that is not known": (notes, "clips.csv", None, "a column 'brandt_notes'", "it is left out"),
    "a dark clip of 16 bits": (
        put("clips", 7, white=""), "clips.csv", 7, "at most 16 of 255", "recorded with fewer bits",
    ),
    "a DICOM file that does not say": (
        tagged(drop=("BurnedInAnnotation",)), "clips.csv", 5, "nothing in clips/conrad.dcm", "look at it",
    ),
    "more than half painted": (
        pixels("labels/grey.png", lambda: ((np.arange(40) > 12) * np.full((24, 1), 255)).astype(np.uint8)),
        "labels.csv", 3, "68% of it at 100 %", "Then invert it",
    ),
    "paint that a crop cuts away": (
        put("clips", 4, crop="0 14 40 10"), "labels.csv", 6, "100 % lie outside", "correct `crop`",
    ),
    "two ids that are one": (
        both(edit("labels.csv", lambda b: b.replace(b"2,bo,", b"2,Ann ,", 1))),
        "labels.csv", 5, "'ann' and 'Ann'", "write them alike",
    ),
    "nobody to test on": (
        put("patients", 3, split="train"),
        "patients.csv", None, "3 of 3 patients in train", "name some `test`",
    ),
    "paint in per cent": (
        pixels("labels/layer.png", lambda: np.minimum(make.painted(), 90)),
        "labels.csv", 2, "at most 90", "is it painted in per cent",
    ),
    "a polygon that is off by one": (
        both(repeat("labels", 1), put("labels", 1, frame="3")),
        "labels.csv", 1, "none on frame 3 of labels/polygons.json, but on frame 2", "off by one",
    ),
    "the same recording twice": (
        put("clips", 2, path="clips/adler.mp4"), "clips.csv", 2, "the same pixels as in row 1", "is it meant",
    ),
}  # fmt: skip


@pytest.mark.parametrize("study_ids", [False, True])
@pytest.mark.parametrize("claim", ODD)
def test_what_is_odd_is_told_and_kept(source, tmp_path, claim, study_ids):
    change, file, row, arrived, remedy = ODD[claim]
    change(source)
    told = import_folder(source, tmp_path / "new", name="new", study_ids=study_ids).to_dict("records")
    assert len(told) == 1 and Path(told[0]["file"]).name == file and remedy in told[0]["remedy"], told
    assert arrived in told[0]["arrived"]
    kept = yaml.safe_load((tmp_path / "new/cohort.yaml").read_text())["provenance"]["warnings"]
    assert [(one["file"], one["row"], one["remedy"]) for one in kept] == [(file, row, told[0]["remedy"])]
    assert (arrived in kept[0]["arrived"]) == (not study_ids)


def outlines(folder: Path, name: str, *drawn: tuple[int, str]) -> None:
    """A polygon file of the same band on several frames, under several names."""
    band_of = {"polygon_xy_px": [[5, 8], [30, 8], [30, 11], [5, 11]]}
    shapes = [{"frame": frame, "label": label, **band_of} for frame, label in drawn]
    (folder / name).write_text(json.dumps({"shapes": shapes}))


def test_one_rater_s_misspelt_layer_is_told_however_well_the_others_spell(source, refused):
    outlines(source, "labels/polygons.json", (2, "pleura"), (3, "pleura"))
    row = "adler-mp4,{},bo,sharp_pleura,labels/polygons.json,Pleura,\n"
    edit("labels.csv", lambda b: b + (row.format(2) + row.format(3)).encode())(source)
    arrived = r"nothing of that value or name, 'Pleura', in 2 rows, but \['pleura'\]"
    told = ("labels.csv", 10, "sharp_pleura in at least one polygon by bo", arrived, "correct `layer`")
    check(refused().problems, source, told)


def test_one_rater_s_wrong_foreground_is_told_however_right_the_others_are(source, refused):
    edit("labels.csv", lambda b: b + b"conrad-png,0,bo,a_line,labels/mask.png,,1\n")(source)
    edit("labels.csv", lambda b: b + b"conrad-png,0,cy,a_line,labels/mask.png,,2\n")(source)
    told = ("labels.csv", 11, "a_line in at least one of its labels by cy", "in 1 of 1", "`foreground`")
    check(refused().problems, source, told)


def test_polygons_beyond_the_clip_are_told_once(source, refused):
    outlines(source, "labels/polygons.json", (2, "pleura"), (6, "pleura"), (77, "rib"))
    edit("labels.csv", lambda b: b + b"adler-mp4,2,bo,sharp_pleura,labels/polygons.json,pleura,\n")(source)
    arrived = r"polygons\.json with frames \[6, 77\]"
    told = ("labels.csv", 1, "polygons on frames from 0 to 5", arrived, "counted from 1")
    check(refused().problems, source, told)


def test_what_one_clip_lacks_and_another_has_may_be_absent_and_is_told(source, tmp_path):
    outlines(source, "labels/other.json", (3, "rib"))
    edit("labels.csv", lambda b: b + b"adler-avi,3,ann,sharp_pleura,labels/other.json,pleura,\n")(source)
    (told,) = import_folder(source, tmp_path / "new", name="new").to_dict("records")
    assert told["row"] == 10 and "'pleura', in 1 rows, but ['rib']" in told["arrived"], told


def test_a_nearly_black_frame_is_as_black(source, refused):
    frames = FRAMES.copy()
    frames[1] %= 8
    np.save(source / "clips/brandt.npy", frames)
    told = ("labels.csv", 4, "a labelled frame with an image", "frame 1, nearly black", "label another frame")
    check(refused().problems, source, told)


def test_views_may_be_numbers(source, tmp_path):
    edit("clips.csv", lambda b: re.sub(rb",[RL](\d),", rb",\1,", b))(source)
    edit("cohort.yaml", lambda b: b.replace(b"[R1, L1, R2, L2]", b"{1: 1, 2: far}"))(source)
    assert import_folder(source, tmp_path / "new", name="new").empty
    assert cohorts.read(tmp_path / "new").views == {"1": 1, "2": "far"}


def test_an_import_that_was_is_no_excuse_for_what_is_wrong_now(source, tmp_path):
    import_folder(source, tmp_path / "new", name="new")
    put("exams", 3, fio2="NA")(source)  # a blank before
    with pytest.raises(ValueError, match="fio2 to be a number"):
        import_folder(source, tmp_path / "new", name="new")


def private(folder: Path, *names: str) -> None:
    """No byte of a cohort, its files' names included, says who was scanned."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for name in (*SECRETS, *names):
            assert name not in str(path.relative_to(folder)), (path, name)
            assert name.encode() not in content and name.encode("utf-16-le") not in content, (path, name)


def test_study_identifiers_leave_nobody_s_name(source, tmp_path):
    for change, *_ in ODD.values():  # warnings may not carry names along either
        change(source)
    warnings = import_folder(source, tmp_path / "new", name="new", study_ids=True)
    assert len(warnings) == len(ODD)
    private(tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "source"]  # no key that was not asked for
    recordings = (tmp_path / "new/recordings.csv").read_text()
    assert "Scanner 3000" in recordings and len(cohorts.read(tmp_path / "new").clips) == 7


def test_the_key_is_written_where_it_is_asked_for(source, tmp_path):
    key = tmp_path / "safe" / "key.csv"
    import_folder(source, tmp_path / "new", name="new", study_ids=True, key=key)
    private(tmp_path / "new")
    rows = [line.split(",") for line in key.read_text().splitlines()[1:]]
    patients = {old: new for kind, old, new in rows if kind == "patient"}
    assert set(patients) == {"Adler-7731", "Brandt-4402", "Conrad-9063"}
    cohort = cohorts.read(tmp_path / "new")
    assert set(patients.values()) == set(cohort.patients["patient_id"])
    clips = {new: old for kind, old, new in rows if kind == "clip"}
    assert set(clips) == set(cohort.clips["clip_id"]) and "brandt-npy" in clips.values()


def someone_s_file(path: Path) -> None:
    path.write_bytes(b"\xffmine")


def someone_s_folder(path: Path) -> None:
    path.mkdir()
    (path / "cohort.yaml").write_text("- [a list, of my own")


@pytest.mark.parametrize("occupy", [someone_s_file, someone_s_folder])
def test_nothing_of_others_is_written_over(source, tmp_path, occupy):
    occupy(tmp_path / "new")
    before = make.snapshot(tmp_path)
    with pytest.raises(
        ValueError, match="expected an empty folder or an earlier import, found other files; choose"
    ):
        import_folder(source, tmp_path / "new", name="new")
    assert make.snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("new/key.csv", "expected a file outside the cohort, got .*; choose another folder"),
        ("new", "expected a file outside the cohort, got .*; choose another folder"),
        ("link/key.csv", "expected a file outside the cohort, got .*; choose another folder"),
        ("thesis.csv", "expected a new file or an earlier key, got .*; choose another name"),
        ("source", "expected a new file or an earlier key, got .*; choose another name"),
    ],
)
def test_a_key_lies_outside_the_cohort_and_over_nothing(source, tmp_path, key, told):
    (tmp_path / "thesis.csv").write_bytes(b"\xffmine")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    before = make.snapshot(tmp_path)
    with pytest.raises(ValueError, match=told):
        import_folder(source, tmp_path / "new", name="new", key=tmp_path / key)
    assert make.snapshot(tmp_path) == before


def test_a_folder_that_is_made_in_vain_goes_again(source, tmp_path):
    cut("clips/adler.mp4", 0.5)(source)
    before = make.snapshot(tmp_path)
    with pytest.raises(ValueError, match="a video"):
        import_folder(source, tmp_path / "a" / "b" / "new", name="new")
    assert make.snapshot(tmp_path) == before


def test_a_link_to_an_earlier_import_stays_a_link(source, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / "disk" / "cohort")
    for value in (200, 255):
        Image.fromarray(band(value)).save(source / "labels/grey.png")
        import_folder(source, tmp_path / "new", name="new")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["disk", "new", "source"]
        assert (tmp_path / "new").is_symlink() and [p.name for p in (tmp_path / "disk").iterdir()] == [
            "cohort"
        ]


def test_a_source_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: expected a folder, found none; correct the path"):
        import_folder(tmp_path / "none", tmp_path / "new", name="new")
