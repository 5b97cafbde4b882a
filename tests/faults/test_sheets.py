"""Spreadsheets, cohort.yaml and paths that an import refuses: in which words, and without a trace."""

import os
import zipfile
from pathlib import Path

import pytest

from lusnb.readers.folder import import_folder
from tests.faults import make
from tests.faults.conftest import Told, check
from tests.faults.make import META, Break, both, edit, put, repeat, text

UTF8 = ("a comma-separated UTF-8 table", "export it again, as CSV in UTF-8")
HERE = ("a path inside the folder of files", "copy the file into the folder")
BOMB = "\n".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def header_alone(name: str) -> Break:
    return edit(name, lambda content: content.splitlines()[0])


def recoded(name: str, encoding: str, old: str = "", new: str = "") -> Break:
    return edit(name, lambda content: content.decode().replace(old, new, 1).encode(encoding))


def in_its_place(make_other: Break) -> Break:
    """Something else where a clip should lie."""
    return lambda folder: ((folder / "clips/brandt.npy").unlink(), make_other(folder / "clips/brandt.npy"))


def moved_out(name: str) -> Break:
    """A link to a file outside the folder."""

    def change(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return change


def workbook(folder: Path) -> None:
    with zipfile.ZipFile(folder / "clips.csv", "w") as out:
        out.writestr("xl/workbook.xml", "<workbook/>" * 99)


BROKEN = {  # in what was the second row
    "clips": (b"Adler-7731,1,", b"Adler-7731,x,"),
    "labels": (b"adler-avi,3,", b"adler-avi,x,"),
    "patients": (b"1,train,2", b"1,x,2"),
    "exams": (b"Adler-7731,1,", b"Adler-7731,x,"),
}
NUMBERS = {
    "FiO2 in per cent": ("fio2", "40", "a fraction from 0.21 to 1", "40", "40 % as 0.4"),
    "FiO2 with a sign": ("fio2", "40%", "a number", "'40%'", "40 % as 0.4"),
    "FiO2 with a comma": ("fio2", "0,4", "a number", "'0,4'", "the decimal point as a point"),
    "SpO2 as a fraction": ("spo2", "0.95", "per cent above 1 and up to 100", "0.95", "0.95 as 95"),
    "SpO2 above 100": ("spo2", "101", "per cent above 1 and up to 100", "101", "correct it"),
    "a sentinel": ("spo2", "-99", "per cent", "-99", "leave the cell blank"),
    "a space in a number": ("spo2", "9 5", "a number", "'9 5'", "take the space out"),
    "NA": ("spo2", "NA", "a number", "'NA'", "leave the cell blank"),
    "infinity": ("spo2", "inf", "a number", "'inf'", "correct it"),
    "a negative S/F": ("sf_ratio", "-2", "a number from 0 on", "-2", "correct it"),
    "a day after the last": ("day", "366", "a day from 0 to 365", "366", "days count from admission"),
    "a date for a day": ("day", "2024-01-05", "a whole number", "2024-01-05", "would tell who it is"),
    "half a day": ("day", "0.5", "a whole number", "'0.5'", "correct it"),
}
CASES: dict[str, tuple[Break, Told]] = {
    name: (put("exams", 1, **{column: value}), ("exams.csv", 1, f"{column} to be {kind}", arrived, remedy))
    for name, (column, value, kind, arrived, remedy) in NUMBERS.items()
} | {
    "S/F above 477": (
        put("exams", 3, sf_ratio="500"),
        ("exams.csv", 3, "S/F of at most 477", r"500\.0", "is fio2 a fraction"),
    ),
    "S/F that contradicts": (
        put("exams", 1, sf_ratio="300"),
        ("exams.csv", 1, r"within 1 of spo2 / fio2 = 230\.0", "sf_ratio 300", "correct one of the three"),
    ),
    "a patient in two splits": (
        repeat("patients", 1, split="test"),
        ("patients.csv", 4, "each patient in one split", "Adler-7731 in train and test",
         "keep one of its rows"),
    ),
    "a patient twice": (
        repeat("patients", 1),
        ("patients.csv", 4, "each row once", "patient_id Adler-7731 a second", "remove"),
    ),
    "a fold that nobody makes": (
        put("patients", 3, fold="99"), ("patients.csv", 3, "a fold from 1 to 5", "fold 99", "more folds"),
    ),
    "readmitted twice": (
        put("patients", 1, readmitted_30d="2"), ("patients.csv", 1, "0, 1 or blank", "2", "correct it"),
    ),
    "an unknown split": (
        put("patients", 1, split="Training"),
        ("patients.csv", 1, "train, validation, test", "'Training'", "correct"),
    ),
    "a clip_id twice": (
        repeat("clips", 3),
        ("clips.csv", 8, "each row once", "clip_id brandt-npy a second time", "rename one"),
    ),
    "a label twice": (
        repeat("labels", 3),
        ("labels.csv", 10, "each row once", "rater ann, feature sharp_pleura a second time",
         "remove or rename"),
    ),
    "a negative frame": (
        put("labels", 3, frame="-1"), ("labels.csv", 3, "frame to be a number from 0 on", "-1", "correct it"),
    ),
    "a foreground in words": (
        put("labels", 9, foreground="yes"),
        ("labels.csv", 9, "foreground to be a whole", "'yes'", "correct it"),
    ),
    "a clip of an unknown patient": (
        put("clips", 1, patient_id="Zed"),
        ("clips.csv", 1, r"listed in patients\.csv", "'Zed'", "add it there"),
    ),
    "an exam of an unknown patient": (
        put("exams", 1, patient_id="Zed"),
        ("exams.csv", 1, r"listed in patients\.csv", "'Zed'", "add it there"),
    ),
    "a label of an unknown clip": (
        put("labels", 3, clip_id="none"),
        ("labels.csv", 3, r"listed in clips\.csv", "'none'", "add it there"),
    ),
    "an unknown feature": (
        put("labels", 3, feature="rib"), ("labels.csv", 3, r"in cohort\.yaml's features", "'rib'", "add it"),
    ),
    "an unknown view": (
        put("clips", 1, view="R9"), ("clips.csv", 1, r"in cohort\.yaml's views", "'R9'", "add it there"),
    ),
    "semicolons": (
        edit("clips.csv", lambda b: b.replace(b",", b";")),
        ("clips.csv", None, "a comma-separated table", "separated by semicolons", "as CSV with commas"),
    ),
    "tabs": (
        edit("labels.csv", lambda b: b.replace(b",", b"\t")),
        ("labels.csv", None, "a comma-separated table", "separated by tabs", "as CSV with commas"),
    ),
    "UTF-16": (recoded("clips.csv", "utf-16"), ("clips.csv", None, UTF8[0], "text in UTF-16", UTF8[1])),
    "UTF-16 without a mark": (
        recoded("clips.csv", "utf-16-le"), ("clips.csv", None, UTF8[0], "text in UTF-16", UTF8[1]),
    ),
    "Latin-1": (
        recoded("clips.csv", "latin-1", "R1", "Rück"), ("clips.csv", None, UTF8[0], "byte 0xfc", UTF8[1]),
    ),
    "a workbook named CSV": (workbook, ("clips.csv", None, UTF8[0], "a workbook of Excel", UTF8[1])),
    "an empty table": (text("exams.csv", ""), ("exams.csv", None, UTF8[0], "No columns to parse", UTF8[1])),
    "a decimal comma between commas": (
        edit("exams.csv", lambda b: b.replace(b"0.4", b"0,4")),
        ("exams.csv", None, UTF8[0], "Expected 5 fields in line 2, saw 6$", UTF8[1]),
    ),
    "a quote that is never closed": (
        edit("clips.csv", lambda b: b.replace(b"adler-mp4", b'"adler-mp4')),
        ("clips.csv", None, UTF8[0], "EOF inside string", UTF8[1]),
    ),
    "a column twice": (
        edit("clips.csv", lambda b: b.replace(b"fps", b"view")),
        ("clips.csv", None, "each column once", r"\['view'\] twice", "remove or rename"),
    ),
    "a column missing": (
        edit("clips.csv", lambda b: b.replace(b"patient_id", b"patient")),
        ("clips.csv", None, r"the columns \['patient_id'\]", "'patient'", "add them"),
    ),
    "no clips.csv": (
        lambda d: (d / "clips.csv").unlink(), ("clips.csv", None, "a table", "no such file", "write it with"),
    ),
    "a pipe for a table, which would wait for ever": (
        lambda d: ((d / "labels.csv").unlink(), os.mkfifo(d / "labels.csv")),
        ("labels.csv", None, "a table", "no such file", "write it with the columns"),
    ),
    "no clips": (
        header_alone("clips.csv"), ("clips.csv", None, "at least one row", "a header alone", "fill it in"),
    ),
    "no labels": (
        header_alone("labels.csv"), ("labels.csv", None, "at least one row", "a header alone", "fill"),
    ),
    "no patients": (
        header_alone("patients.csv"),
        ("patients.csv", None, "at least one row", "a header alone", "fill it in"),
    ),
    "YAML that would run a command": (
        text("cohort.yaml", 'notes: !!python/object/apply:os.system ["touch witness"]\n'),
        ("cohort.yaml", None, "YAML", "could not determine a constructor", "correct it"),
    ),
    "YAML that stands for gigabytes": (
        text("cohort.yaml", f"a: &a [x, x]\n{BOMB}\nfeatures: *i\n"),
        ("cohort.yaml", None, "YAML without aliases", r"an alias \(\*\)", "write out what it stands for"),
    ),
    "YAML of lists within lists": (
        text("cohort.yaml", "[" * 5000),
        ("cohort.yaml", None, "at most 10 levels", "more than that", "take them out"),
    ),
    "YAML without end": (
        text("cohort.yaml", "#" * 2_000_000),
        ("cohort.yaml", None, "at most 1,000,000 char", "2,000,000", "shorten"),
    ),
    "a YAML list": (
        text("cohort.yaml", "- a\n"),
        ("cohort.yaml", None, "`key: value` lines", r"\['a'\]", "docs/formats.md"),
    ),
    "YAML with a date that is none": (
        text("cohort.yaml", "notes: 2020-13-45\n"),
        ("cohort.yaml", None, "YAML", "month must be", "correct it"),
    ),
    "features that are no list": (
        text("cohort.yaml", "features: b_line\n"),
        ("cohort.yaml", None, "`features` as a list", "'b_line'", "correct"),
    ),
    "a feature named twice": (
        text("cohort.yaml", "features: [a, a]\n"),
        ("cohort.yaml", None, "a list of distinct names", "'a'", "correct"),
    ),
    "views that are lists": (
        text("cohort.yaml", "views: [[R1]]\n"),
        ("cohort.yaml", None, "`views` as a list of", "'R1'", "correct it"),
    ),
    "a seed in words": (
        text("cohort.yaml", META + "split_seed: x\n"),
        ("cohort.yaml", None, "`split_seed` as a whole", "'x'", "correct"),
    ),
    "a largest S/F that is none": (
        text("cohort.yaml", META + "sf_max: .nan\n"),
        ("cohort.yaml", None, "`sf_max` as a number", "nan", "correct it"),
    ),
    "a path out of the folder": (
        both(put("clips", 3, path="../elsewhere.npy"),
             lambda d: (d.parent / "elsewhere.npy").write_bytes((d / "clips/brandt.npy").read_bytes())),
        ("clips.csv", 3, HERE[0], r"'\.\./elsewhere\.npy'", HERE[1]),
    ),
    "an absolute path": (
        put("clips", 3, path="/etc/passwd"), ("clips.csv", 3, HERE[0], "'/etc/passwd'", HERE[1]),
    ),
    "a link out of the folder": (
        moved_out("clips/brandt.npy"), ("clips.csv", 3, HERE[0], r"clips/brandt\.npy", HERE[1]),
    ),
    "a label behind a link out of the folder": (
        moved_out("labels/grey.png"), ("labels.csv", 3, HERE[0], r"labels/grey\.png", HERE[1]),
    ),
    "a link to itself": (
        in_its_place(lambda path: path.symlink_to(path.name)),
        ("clips.csv", 3, HERE[0], r"brandt\.npy", HERE[1]),
    ),
    "a path with a NUL": (
        edit("clips.csv", lambda b: b.replace(b"brandt.npy", b"brandt\0.npy")),
        ("clips.csv", 3, HERE[0], r"brandt\\x00\.npy", HERE[1]),
    ),
    "a folder in place of a clip": (
        in_its_place(Path.mkdir),
        ("clips.csv", 3, "a clip file", r"brandt\.npy, which is no file", "put it there"),
    ),
    "a pipe in place of a clip, which would wait for ever": (
        in_its_place(os.mkfifo),
        ("clips.csv", 3, "a clip file", r"brandt\.npy, which is no file", "put it there"),
    ),
    "a clip that is missing": (
        in_its_place(lambda path: None),
        ("clips.csv", 3, "a clip file", r"no file clips/brandt\.npy", "correct the path"),
    ),
    "a path longer than paths can be": (
        put("clips", 3, path="x" * 5000),
        ("clips.csv", 3, "a clip file", r"no file xxx+\.\.\.xxx+$", "correct the path"),
    ),
    "a blank path": (
        put("clips", 3, path=" "), ("clips.csv", 3, "path to be not blank", "a blank", "fill it in"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("claim", CASES)
def test_a_broken_sheet_is_refused_in_its_own_words(source, refused, monkeypatch, claim):
    break_it, told = CASES[claim]
    break_it(source)
    monkeypatch.chdir(source.parent)
    check(refused().problems, source, told)
    assert not make.snapshot(source.parent).keys() & {"witness", "source/witness"}


@pytest.mark.parametrize("name", ["clips", "labels", "patients", "exams"])
def test_rows_without_text_are_no_rows_and_others_keep_their_number(source, refused, name):
    blank = (",,,\n", "\n", " \n")

    def change(content: bytes) -> bytes:
        head, first, *rest = content.decode().splitlines(keepends=True)
        return "".join(["\n", head, blank[1], first, blank[0], *rest, *blank]).encode()

    edit(f"{name}.csv", change)(source)
    folder = source.parent / "kept"
    assert import_folder(source, folder, name="kept").empty
    column, at = ("frame", 4) if name == "labels" else ("day", 4)
    column = "split" if name == "patients" else column
    edit(f"{name}.csv", lambda b: b.replace(*BROKEN[name], 1))(source)
    problems = refused().problems
    assert list(problems["row"]) == [at] and column in problems["expected"][0], problems.to_dict("records")
