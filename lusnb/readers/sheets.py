"""The spreadsheets of an import: clips.csv and labels.csv, and where there are any patients.csv, exams.csv.

A `cohort.yaml` beside them may name features (in order), views, sf_max, licence and notes.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import yaml

from lusnb import checks, contents
from lusnb.checks import TABLES, Table, Unfit, problem, short
from lusnb.readers.grey import decoding

# The order in which features and views stand where no cohort.yaml gives one; others follow as they come.
FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")
VIEWS = ("R1", "L1", "R2", "L2", "R3", "L3")
WHITE = pa.Check.in_range(1, 65535, error="a value from 1 to 65535, or blank")
LARGEST_YAML, DEEPEST_YAML = 1_000_000, 10  # characters, lists within lists
CLIPS = Table(
    {**TABLES["clips"].columns, "crop": checks.text_column(), "white": checks.whole_column(WHITE)},
    ["clip_id"],
    (*TABLES["clips"].optional, "crop", "white"),
)
LABELS = Table(
    {
        **TABLES["labels"].columns,
        "layer": checks.text_column(),
        "foreground": checks.whole_column(),
        "reading": checks.text_column(),
    },
    ["clip_id", "frame", "rater", "feature", "reading"],
    ("layer", "foreground", "reading"),
)


@dataclass(frozen=True)
class Sheets:
    """What the spreadsheets say: tables with the right types, and the content of cohort.yaml."""

    folder: Path
    meta: dict
    patients: pd.DataFrame
    exams: pd.DataFrame
    clips: pd.DataFrame
    labels: pd.DataFrame


def read(folder: Path) -> tuple[Sheets | None, list[dict]]:
    """Read and check the spreadsheets of a folder; returns them (or None) and what was found.

    Without a patients.csv every patient of clips.csv is one whose outcome is not known.
    """
    meta, found = _meta(folder / "cohort.yaml")
    tables = {}
    for name, table in (("exams", TABLES["exams"]), ("clips", CLIPS), ("labels", LABELS)):
        tables[name], new = checks.read_table(folder / f"{name}.csv", table)
        found += new
    if (folder / "patients.csv").is_file():
        tables["patients"], new = checks.read_table(folder / "patients.csv", TABLES["patients"])
        found += new
    else:
        known = sorted(set(tables["clips"]["patient_id"].dropna()))
        tables["patients"] = pd.DataFrame({"patient_id": known}).reindex(columns=TABLES["patients"].columns)
    unread = {Path(p["file"]).stem for p in found}
    for name in ("clips", "labels", "patients"):
        if not len(tables[name]) and not {name, "clips"} & unread:
            remedy = "fill it in."
            found.append(problem(folder / f"{name}.csv", None, "at least one row", "a header alone", remedy))
    if checks.sorted_out(found)[0]:
        return None, found
    meta["features"] = meta.get("features") or _ordered(tables["labels"]["feature"], FEATURES)
    meta["views"] = meta.get("views") or _ordered(tables["clips"]["view"].dropna(), VIEWS)
    found += contents.check_links(folder, meta, tables)
    found += contents.check_exams(folder, tables["exams"], meta.get("sf_max", 477))
    return Sheets(folder, meta, **tables), found


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


def _content(path: Path) -> object:
    """What a YAML file says. Raises Unfit; also for aliases, by which a few lines can stand for gigabytes."""
    with decoding("YAML", path.name, "correct it."):
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > LARGEST_YAML:
            raise Unfit(f"at most {LARGEST_YAML:,} characters", f"{len(text):,}", "shorten it.")
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise Unfit("YAML without aliases", "an alias (*)", "write out what it stands for.")
            if depth > DEEPEST_YAML:
                raise Unfit(f"at most {DEEPEST_YAML} levels", "more than that", "take them out.")
        return yaml.safe_load(text)


def _meta(path: Path) -> tuple[dict, list[dict]]:
    """The content of an optional cohort.yaml, and what is wrong with it."""
    if not path.is_file():
        return {}, []
    try:
        content = _content(path) or {}
    except Unfit as error:
        return {}, [contents.as_problem(path, None, error)]
    if not isinstance(content, dict):
        return {}, [problem(path, None, "`key: value` lines", short(content), "see README.")]
    found = []
    meta = {key: value for key, value in content.items() if key in KINDS and value is not None}
    for key, value in meta.items():
        kind, fits = KINDS[key]
        if not fits(value):
            found.append(problem(path, None, f"`{key}` as {kind}", short(value), "correct it."))
    for key in content:
        if key not in KINDS and key != "name":
            kept = f"one of {', '.join(KINDS)}"
            found.append(problem(path, None, kept, f"`{short(key)}`", "it is left out.", warning=True))
    if not found and "features" in meta:
        meta["features"] = [str(name) for name in meta["features"]]
    return meta, found
