"""The spreadsheets of an import: clips.csv and labels.csv, and where there are any patients.csv, exams.csv.

A `cohort.yaml` in their folder may name features (in order), views and more; see cohort/schema.py.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lusnb.cohort import meta as cohort_meta
from lusnb.cohort import problems, schema
from lusnb.cohort import tables as cohort_tables
from lusnb.cohort.cohort import FOLDS
from lusnb.cohort.problems import problem

# The order in which features and views stand where no cohort.yaml gives one; others follow as they come.
FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")
VIEWS = ("R1", "L1", "R2", "L2", "R3", "L3")
GIVEN = ("name", "provenance")  # keys of cohort.yaml that the import itself gives


@dataclass(frozen=True)
class Sheets:
    """What the spreadsheets say: tables with the right types, and the content of cohort.yaml.

    `clips` and `labels` have a column more, `row`: the row in the file, from 1 below the header. Where
    something is wrong, cells that cannot be used are blank, names and paths among them "", and `meta` has a
    count of it, `refused`; labels with a `foreground` that cannot be used are `unsure`.
    """

    folder: Path
    meta: dict
    patients: pd.DataFrame
    exams: pd.DataFrame
    clips: pd.DataFrame
    labels: pd.DataFrame


def read(folder: Path) -> tuple[Sheets | None, list[dict]]:
    """Read and check the spreadsheets of a folder; returns what of them can be used, and what was found.

    Without a patients.csv every patient of clips.csv is one whose outcome is not known. None where neither
    clips nor labels could be read.
    """
    meta, found = cohort_meta.read(folder / "cohort.yaml", whole=False)
    if "provenance" in meta:
        arrived, remedy = "`provenance`", "it is left out: the import writes its own."
        found.append(
            problem(folder / "cohort.yaml", None, "a cohort.yaml without `provenance`", arrived, remedy, True)
        )
    meta = {key: value for key, value in meta.items() if key not in GIVEN}
    has_patients, tables = (folder / "patients.csv").is_file(), {}
    for name in ("exams", "clips", "labels", *["patients"] * has_patients):
        tables[name], new = cohort_tables.read_table(folder / f"{name}.csv", schema.sheet(name))
        found += new
    if not has_patients:
        named = tables["clips"]["patient_id"].drop_duplicates().sort_values(ignore_index=True)
        tables["patients"] = pd.DataFrame({"patient_id": named}).reindex(columns=schema.columns("patients"))
    unread = problems.unread(found)
    for name in ("clips", "labels", "patients"):
        if not len(tables[name]) and not {name, "clips"} & unread:
            remedy = "fill it in."
            found.append(problem(folder / f"{name}.csv", None, "at least one row", "a header alone", remedy))
    if {"clips", "labels"} <= unread:
        return None, found
    meta["features"] = meta.get("features") or _ordered(tables["labels"]["feature"].dropna(), FEATURES)
    meta["views"] = meta.get("views") or _ordered(tables["clips"]["view"].dropna(), VIEWS)
    found += _between(folder, meta, tables, found)
    return _usable(folder, meta, tables, found), found


def _between(folder: Path, meta: dict, tables: dict[str, pd.DataFrame], found: list[dict]) -> list[dict]:
    """What is wrong between rows and between tables."""
    patients = tables["patients"]
    if not (folder / "patients.csv").is_file() and "clips" in problems.unread(found):
        tables = {name: rows for name, rows in tables.items() if name != "exams"}
    told = cohort_tables.check_links(folder, meta, tables, found)
    told += cohort_tables.check_names(folder, tables)
    told += cohort_tables.check_patients(folder, patients, max(FOLDS, len(patients)))
    if "exams" in tables:
        told += cohort_tables.check_exams(folder, tables["exams"], meta.get("sf_max", schema.SF_MAX))
    return told


def _usable(folder: Path, meta: dict, tables: dict[str, pd.DataFrame], found: list[dict]) -> Sheets:
    """The tables as an import needs them; see Sheets."""
    wrong = problems.sorted_out(found)[0]
    clips, labels = (tables[name].rename_axis("row").reset_index() for name in ("clips", "labels"))
    patients, exams = (tables[name].reset_index(drop=True) for name in ("patients", "exams"))
    labels["unsure"] = labels["row"].isin([p["row"] for p in wrong if p.get("column") == "foreground"])
    if wrong:
        clips = clips.fillna(dict.fromkeys(schema.sheet("clips").names, ""))
        labels = labels.fillna(dict.fromkeys(schema.sheet("labels").names, ""))
        named = {*patients["patient_id"].dropna(), *clips["patient_id"]}
        patients = pd.DataFrame({"patient_id": sorted(named)}).reindex(columns=patients.columns)
        meta = {**meta, "refused": len(wrong)}
    return Sheets(folder, meta, patients, exams, clips, labels)


def _ordered(names: pd.Series, usual: tuple[str, ...]) -> list[str]:
    there = list(dict.fromkeys(names))
    return [name for name in usual if name in there] + [name for name in there if name not in usual]
