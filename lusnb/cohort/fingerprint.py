"""What a cohort holds, in sixteen letters: of its tables and of the files that they name."""

import csv
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

COHORT_TABLES = ("patients", "exams", "clips", "labels", "truth", "masks", "scenes")  # that anything reads
ANNOTATIONS = "annotations.csv"  # of a cohort in which somebody painted (cohort/painting.py)


def _cohort_files(folder: Path) -> list[Path]:
    """A cohort's tables and the files that these name, sorted; nothing that merely lies beside them.

    So neither earlier saves of the brush count, nor who painted when, nor exports and files of an editor.
    """
    tables = [folder / "cohort.yaml", *(folder / f"{name}.csv" for name in COHORT_TABLES)]
    named = {path.replace("\0", "") for table in tables[1:] for path in column(table, "path")}
    return [p for p in tables if p.is_file()] + [folder / path for path in sorted(named)]


def column(table: Path, name: str) -> list[str]:
    """The distinct values of a column of a table, sorted, blanks aside; [] where there is none.

    As far as the table can be read: whether it is right is asked by others.
    """
    found = set()
    if table.is_file():
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file, suppress(csv.Error):
            found = {(row.get(name) or "").strip() for row in csv.DictReader(file)}
    return sorted(found - {""})


def cohort_fingerprint(folder: Path) -> str:
    """Fingerprint of the content of a cohort: of its tables and of every file that they name."""
    digest = hashlib.sha256()
    for path in _cohort_files(folder):
        digest.update(os.path.relpath(path, folder).encode() + b"\0" + content(path))
    return digest.hexdigest()[:16]


def content(path: Path) -> bytes:
    """SHA-256 of a file; of one that cannot be read, that it cannot."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"missing"


def cohort_stamp(folder: Path) -> str:
    """Names, sizes and times of a cohort's files: as long as it is the same, so is the fingerprint."""
    return _stamp(folder, _cohort_files(folder))


def folder_stamp(folder: Path) -> str:
    """Names, sizes and times of all files of a folder that is imported from, hidden ones aside.

    Of all, unlike a cohort's: there a spreadsheet may have any name and form, and name what an import finds
    by other ways than a column (the slices of a series, the masks beside an image). Too much counts at worst:
    the import is then compared with what it made before, and what comes after it stays.
    """
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return _stamp(folder, sorted(found))


def _stamp(folder: Path, paths: list[Path]) -> str:
    states = []
    for path in paths:
        with suppress(OSError):  # one that is not there leaves its name out
            state = path.stat()
            states.append((os.path.relpath(path, folder), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def checked(run_folder: Path) -> dict[str, str]:
    """What 00_cohort found of a cohort: `cohort` (its fingerprint), `stamp`; {} where unreadable."""
    try:
        found = json.loads((run_folder / "fingerprint.json").read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in ("cohort", "stamp")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def fingerprint_now(folder: Path, checked: dict) -> str:
    """The fingerprint of a cohort; the one found before when no file was touched since."""
    return checked["cohort"] if cohort_stamp(folder) == checked["stamp"] else cohort_fingerprint(folder)


def painted_in(folder: Path) -> bool:
    """Whether somebody painted labels in a cohort: nothing may remove it or make it anew."""
    return (folder / ANNOTATIONS).exists()
