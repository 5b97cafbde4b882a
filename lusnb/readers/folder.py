"""A folder of files and its spreadsheets become a cohort: all of it, or nothing and a table of what is wrong.

Clips and labels are read one frame at a time into a folder beside the cohort's, which takes its place at the
end. All problems of all files are found in one pass.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import yaml

from lusnb import checks, cohort, contents, files
from lusnb.checks import as_table, sorted_out
from lusnb.readers import identity, sheets
from lusnb.readers.copying import Import, copy_clips, copy_labels
from lusnb.readers.sheets import Sheets

MADE_BY = "lusnb.readers"
STAMP = ".source"  # what the cohort was imported from; hidden, so no part of the cohort
VERSION = "1"  # raised whenever the same files would give other bytes


def import_folder(
    source: str | Path,
    folder: str | Path,
    *,
    name: str,
    tables: str | Path | None = None,
    study_ids: bool = True,
    key: str | Path | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Import a folder of clips and labels as the cohort `folder`; returns its warnings as a table.

    `tables`: where the spreadsheets lie (see `sheets`); `source` where None. `study_ids`: patients and clips
    get names of the study's own, in an order drawn from `seed`; `key`: a file outside the cohort that keeps
    who is who; None keeps it nowhere. A folder that was imported from the same files already is left alone.
    Raises checks.CohortError with everything that is wrong; then nothing was written.
    """
    source, folder = Path(source), Path(folder)
    folder = folder.resolve() if folder.is_symlink() else folder
    tables = Path(tables) if tables else source
    for needed in (source, tables):
        if not needed.is_dir():
            raise FileNotFoundError(f"{needed}: expected a folder, found none; correct the path.")
    _check_place(folder)
    if key:
        identity.check_key(Path(key), folder)
    read, found = sheets.read(tables)
    if read is None:
        raise checks.CohortError(sorted_out(found)[0])
    stamp = _stamp(source, read, name, study_ids, seed)
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == stamp and not key:
        return as_table(cohort.read(folder, look=False).meta["provenance"]["warnings"])
    people, names = _names(read, study_ids, seed)
    with _beside(folder) as staging:
        work = Import(source, staging, found)
        odd = _fill(work, read, people, names)
        files.write_text(staging / "cohort.yaml", _describe(name, read, work, odd, study_ids))
        files.write_text(staging / STAMP, stamp)
        cohort.read(staging)
        _put(staging, folder)
    if key:
        identity.write_key(Path(key), people, names)
    return as_table(odd)


def _fill(work: Import, read: Sheets, people: dict, names: dict) -> list[dict]:
    """Copy everything into the folder that is being made; returns warnings. Raises CohortError."""
    copy_clips(work, read, names)
    copy_labels(work, read, names)
    wrong, odd = sorted_out(work.found)
    if wrong:
        raise checks.CohortError(wrong)
    _write_tables(work, read, people, names)
    return odd


def _check_place(folder: Path) -> None:
    """Refuse to write over anything but an earlier import. Raises ValueError."""
    made_by, there = None, folder.is_dir() and any(folder.iterdir())
    with suppress(Exception):  # somebody else's cohort.yaml may hold anything
        content = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8"))
        made_by = content["provenance"]["made_by"]
    if (there and made_by != MADE_BY) or (folder.exists() and not folder.is_dir()):
        raise ValueError(
            f"{folder}: expected an empty folder or an earlier import, found other files; "
            "choose another name for the cohort."
        )


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A place beside `folder` to make it in; what is left of it goes, and so do parents made in vain."""
    staging = folder.with_name(f".{folder.name}.importing")
    new = [parent for parent in folder.parents if not parent.exists()]
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for parent in new:
            with suppress(OSError):  # not empty: the cohort is in it
                parent.rmdir()


def _put(staging: Path, folder: Path) -> None:
    """Let the finished import take the place of an earlier one."""
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _stamp(source: Path, read: Sheets, name: str, study_ids: bool, seed: int) -> str:
    """Stands for all that an import depends on: the spreadsheets, and size and time of every file."""
    states = []
    for path in sorted({*read.clips["path"], *read.labels["path"]}):
        if contents.inside(source, path) and os.path.isfile(source / path):
            state = (source / path).stat()
            states.append((path, state.st_size, state.st_mtime_ns))
    texts = [t.to_csv() for t in (read.patients, read.exams, read.clips, read.labels)]
    known = json.dumps([VERSION, name, study_ids, seed, read.meta, texts, states], default=str)
    return hashlib.sha256(known.encode()).hexdigest()


def _names(read: Sheets, study_ids: bool, seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """New names of patients and clips; their own where no study identifiers are asked for."""
    if study_ids:
        return identity.study_ids(list(read.patients["patient_id"]), read.clips, seed)
    same = {name: name for name in read.patients["patient_id"]}
    return same, {name: name for name in read.clips["clip_id"]}


def _write_tables(work: Import, read: Sheets, people: dict, names: dict) -> None:
    """Write the cohort's tables under its own names, sorted, so that no order tells of the old ones."""
    clips = read.clips[["clip_id", "patient_id", "day", "view"]]
    known = pd.DataFrame([work.clips[one] for one in clips["clip_id"]])
    clips = pd.concat([clips, known], axis=1)
    rows = pd.Series(work.labels, dtype=object).rename_axis(["clip_id", "frame", "rater", "feature"])
    rows = rows.rename("path").reset_index()
    tags = pd.DataFrame([{"clip_id": names[one], **tags} for one, tags in work.tags.items() if tags])
    for table, content in (
        ("patients", read.patients),
        ("exams", read.exams),
        ("clips", clips),
        ("labels", rows),
        ("recordings", tags),
    ):
        content = content.copy()
        for column, new in (("patient_id", people), ("clip_id", names)):
            if column in content and table != "recordings":
                content[column] = content[column].map(new)
        if len(content):
            key = [c for c in ("patient_id", "clip_id", "day", "frame", "rater") if c in content]
            files.write_csv(work.folder / f"{table}.csv", content.sort_values(key, kind="stable"))


def _describe(name: str, read: Sheets, work: Import, odd: list[dict], study_ids: bool) -> str:
    """The text of cohort.yaml. With study identifiers no word of a file's name comes along."""
    told = [p if not study_ids else {**p, "arrived": "(not kept)"} for p in odd]
    warnings = [{**p, "file": Path(p["file"]).name} for p in told]
    for one in warnings:
        one.pop("warning", None)
    provenance = {
        "made_by": MADE_BY,
        "files": {"clips": len(work.clips), "labels": len(read.labels)},
        "formats": read.clips["path"].map(lambda p: Path(p).suffix.lower()).value_counts().to_dict(),
        "study_ids": study_ids,
        "warnings": warnings,
    }
    content = {"name": name, "sf_max": 477, **read.meta, "provenance": provenance}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
