"""The spreadsheets of an import: clips.csv and labels.csv, and where there are any patients.csv, exams.csv.

A `cohort.yaml` beside them may name features (in order), views, sf_max, licence and notes.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from lusnb.cohort import problems
from lusnb.cohort import tables as cohort_tables
from lusnb.cohort.cohort import FOLDS
from lusnb.cohort.problems import Unfit, problem, short
from lusnb.cohort.schema import TABLES, Table, text_column, whole_column

# The order in which features and views stand where no cohort.yaml gives one; others follow as they come.
FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")
VIEWS = ("R1", "L1", "R2", "L2", "R3", "L3")
WHITE = pa.Check.in_range(1, 65535, error="a value from 1 to 65535, or blank")
CLIPS = Table(
    {**TABLES["clips"].columns, "crop": text_column(), "white": whole_column(WHITE)},
    ["clip_id"],
    (*TABLES["clips"].optional, "crop", "white"),
)
LABELS = Table(
    {
        **TABLES["labels"].columns,
        "layer": text_column(),
        "foreground": whole_column(),
        "reading": text_column(),
    },
    ["clip_id", "frame", "rater", "feature", "reading"],
    ("layer", "foreground", "reading"),
)


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
    meta, found = _meta(folder / "cohort.yaml")
    tables = {}
    for name, table in (("exams", TABLES["exams"]), ("clips", CLIPS), ("labels", LABELS)):
        tables[name], new = cohort_tables.read_table(folder / f"{name}.csv", table)
        found += new
    if (folder / "patients.csv").is_file():
        tables["patients"], new = cohort_tables.read_table(folder / "patients.csv", TABLES["patients"])
        found += new
    else:
        named = tables["clips"]["patient_id"].drop_duplicates().sort_values(ignore_index=True)
        tables["patients"] = pd.DataFrame({"patient_id": named}).reindex(columns=TABLES["patients"].columns)
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
        told += cohort_tables.check_exams(folder, tables["exams"], meta.get("sf_max", 477))
    return told


def _usable(folder: Path, meta: dict, tables: dict[str, pd.DataFrame], found: list[dict]) -> Sheets:
    """The tables as an import needs them; see Sheets."""
    wrong = problems.sorted_out(found)[0]
    clips, labels = (tables[name].rename_axis("row").reset_index() for name in ("clips", "labels"))
    patients, exams = (tables[name].reset_index(drop=True) for name in ("patients", "exams"))
    labels["unsure"] = labels["row"].isin([p["row"] for p in wrong if p.get("column") == "foreground"])
    if wrong:
        clips = clips.fillna({"clip_id": "", "patient_id": "", "path": ""})
        labels = labels.fillna(dict.fromkeys(("clip_id", "rater", "feature", "path"), ""))
        named = {*patients["patient_id"].dropna(), *clips["patient_id"]}
        patients = pd.DataFrame({"patient_id": sorted(named)}).reindex(columns=patients.columns)
        meta = {**meta, "refused": len(wrong)}
    return Sheets(folder, meta, patients, exams, clips, labels)


def _ordered(names: pd.Series, usual: tuple[str, ...]) -> list[str]:
    there = list(dict.fromkeys(names))
    return [name for name in usual if name in there] + [name for name in there if name not in usual]


def _name(value: object) -> bool:
    return isinstance(value, str | int | float)


def _names(value: object) -> bool:
    return isinstance(value, list) and all(map(_name, value)) and len(set(map(str, value))) == len(value)


# What each key of a cohort.yaml must be.
KINDS = {
    "features": ("a list of distinct names", _names),
    "views": (
        "a list of distinct names, or a zone for each",
        lambda v: _names(v) or (isinstance(v, dict) and all(map(_name, [*v, *v.values()]))),
    ),
    "sf_max": ("a number above 0", lambda v: isinstance(v, int | float) and 0 < v < float("inf")),
    "licence": ("text", lambda v: isinstance(v, str)),
    "notes": ("text", lambda v: isinstance(v, str)),
    "split_seed": ("a whole number from 0 on", lambda v: isinstance(v, int) and v >= 0),
}


def _meta(path: Path) -> tuple[dict, list[dict]]:
    """The content of an optional cohort.yaml, and what is wrong with it."""
    if not path.is_file():
        return {}, []
    try:
        content = cohort_tables.read_yaml(path) or {}
    except Unfit as error:
        return {}, [problems.as_problem(path, None, error)]
    if not isinstance(content, dict):
        return {}, [problem(path, None, "`key: value` lines", short(content), "see README.")]
    found = []
    meta = {key: value for key, value in content.items() if key in KINDS and value is not None}
    for key, value in list(meta.items()):
        kind, fits = KINDS[key]
        if not fits(value):
            found.append(problem(path, None, f"`{key}` as {kind}", short(meta.pop(key)), "correct it."))
    for key in content:
        if key not in KINDS and key != "name":
            kept = f"one of {', '.join(KINDS)}"
            found.append(problem(path, None, kept, f"`{short(key)}`", "it is left out.", warning=True))
    for key in {"features", "views"} & set(meta):  # YAML reads some names as numbers
        value = meta[key]
        named = isinstance(value, dict)
        meta[key] = {str(k): zone for k, zone in value.items()} if named else [str(one) for one in value]
    return meta, found
