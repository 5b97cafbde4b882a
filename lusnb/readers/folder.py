"""A folder of files and its spreadsheets become a cohort: all of it, or nothing and a table of what is wrong.

Clips and labels are read one frame at a time into a folder beside the cohort's, which takes its place at the
end. All problems of all files are found in one pass.
"""

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import yaml

from lusnb import files
from lusnb.cohort import cohort, contents, problems, schema
from lusnb.cohort.problems import as_table, sorted_out
from lusnb.readers import identity, sheets
from lusnb.readers import staging as readers_staging
from lusnb.readers.copying import Import, copy_clips, copy_labels
from lusnb.readers.identity import Key
from lusnb.readers.sheets import Sheets

VERSION = "1"  # raised whenever the same files would give other bytes


def import_folder(
    source: str | Path,
    folder: str | Path,
    *,
    name: str,
    tables: str | Path | None = None,
    study_ids: bool = True,
    key: str | Path | None = None,
) -> pd.DataFrame:
    """Import a folder of clips and labels as the cohort `folder`; returns its warnings as a table.

    `tables`: where the spreadsheets lie (see `sheets`); `source` where None. `study_ids`: patients and clips
    get names of the study's own, in an order drawn anew; `key`: a file outside the cohort that keeps who is
    who, and with which a later import gives the same names again; None keeps it nowhere. A folder that was
    imported from the same files already is left alone. Raises problems.CohortError with everything that is
    wrong; then nothing was written.
    """
    source, folder = Path(source), Path(folder)
    folder = folder.resolve() if folder.is_symlink() else folder
    tables, key = Path(tables) if tables else source, Path(key) if key else None
    readers_staging.check_places(source, tables, folder)
    known = identity.read_key(key, folder)
    read, found = sheets.read(tables)
    if read is None:
        raise problems.CohortError(sorted_out(found)[0])
    stamp = _stamp(source, read, name, study_ids)
    if readers_staging.is_there(folder, stamp, key, known):
        return as_table(cohort.read(folder, look=False).meta["provenance"]["warnings"])
    readers_staging.check_alone(folder)
    named = (
        identity.study_ids if study_ids else lambda patients, clips, _: identity.own_names(patients, clips)
    )
    who = named(list(read.patients["patient_id"]), read.clips, known)
    with readers_staging.beside(folder) as staging:
        work = Import(source, staging, found)
        odd = _fill(work, read, who)
        files.write_text(staging / "cohort.yaml", _describe(name, read, work, odd, study_ids))
        cohort.read(staging)
        files.write_json(
            staging / readers_staging.STAMP, {"source": stamp, "cohort": readers_staging.state_of(staging)}
        )
        if key:
            identity.write_key(key, who)
        readers_staging.put(staging, folder)
    return as_table(odd)


def _fill(work: Import, read: Sheets, who: Key) -> list[dict]:
    """Copy everything into the folder that is being made; returns warnings. Raises CohortError."""
    copy_clips(work, read, who.clips)
    copy_labels(work, read, who.clips)
    wrong, odd = sorted_out(work.found)
    if wrong:
        raise problems.CohortError(wrong)
    _write_tables(work, read, who.patients, who.clips)
    return odd


def _stamp(source: Path, read: Sheets, name: str, study_ids: bool) -> str:
    """Stands for all that an import depends on: the spreadsheets, and size and time of every file."""
    states = []
    for path in sorted({*read.clips["path"], *read.labels["path"]}):
        if contents.inside(source, path) and os.path.isfile(source / path):
            state = (source / path).stat()
            states.append((path, state.st_size, state.st_mtime_ns))
    texts = [t.to_csv() for t in (read.patients, read.exams, read.clips, read.labels)]
    known = json.dumps([VERSION, name, study_ids, read.meta, texts, states], default=str)
    return hashlib.sha256(known.encode()).hexdigest()


def _write_tables(work: Import, read: Sheets, people: dict, names: dict) -> None:
    """Write the cohort's tables under its own names, sorted, so that no order tells of the old ones."""
    known = pd.DataFrame([work.clips[one] for one in read.clips["clip_id"]])
    clips = read.clips[schema.columns("clips")].assign(**known)
    key = schema.TABLES["labels"].key
    rows = pd.DataFrame([dict(zip(key, one, strict=True), **told) for one, told in work.labels.items()])
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
            content = content if table == "recordings" else schema.shaped(table, content)
            key = [c for c in ("patient_id", "clip_id", "day", "frame", "rater") if c in content]
            files.write_csv(work.folder / f"{table}.csv", content.sort_values(key, kind="stable"))


def _describe(name: str, read: Sheets, work: Import, odd: list[dict], study_ids: bool) -> str:
    """The text of cohort.yaml. With study identifiers no word of a file's name comes along."""
    told = [p if not study_ids else {**p, "arrived": "(not kept)"} for p in odd]
    warnings = [{**p, "file": Path(p["file"]).name} for p in told]
    for one in warnings:
        one.pop("warning", None)
    provenance = {
        "made_by": readers_staging.MADE_BY,
        "files": {"clips": len(work.clips), "labels": len(read.labels)},
        "formats": read.clips["path"].map(lambda p: Path(p).suffix.lower()).value_counts().to_dict(),
        "study_ids": study_ids,
        "warnings": warnings,
    }
    content = {"name": name, "sf_max": schema.SF_MAX, **read.meta, "provenance": provenance}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
