"""Read a cohort's tables; check what they say of each other, and what of one row must fit another."""

import re
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb.cohort.cells import fitted
from lusnb.cohort.problems import problem, short, sorted_out, unread
from lusnb.cohort.schema import Table

AGAIN = "export it again, as CSV in UTF-8."
SF_AGREEMENT = 1.0  # S/F given and S/F computed may differ by this much, from rounding


def check_links(folder: Path, meta: dict, tables: dict[str, pd.DataFrame], found: list[dict]) -> list[dict]:
    """Check what one table says of another: known patients, clips, views and features.

    `found`: what was found before. No link to a table or list that could not be read is told, nor what may be
    the name of a row whose own is not legible.
    """
    links = [("exams", "patient_id", "patients"), ("clips", "patient_id", "patients")]
    links += [(name, "clip_id", "clips") for name in ("labels", "truth", "masks")]
    links = [link for link in links if link[0] in tables and link[2] not in unread(found)]
    known = [(t, c, tables[target][c], f"{target}.csv") for t, c, target in links]
    about = "cohort.yaml's features"
    if meta.get("features"):
        known += [
            (t, "feature", pd.Series(meta["features"]), about) for t in ("labels", "truth") if t in tables
        ]
    if meta.get("views"):
        known.append(("clips", "view", pd.Series(list(meta["views"])), "cohort.yaml's views"))
    told = []
    for name, column, allowed, where in known:
        cells = tables[name][column]
        strange = cells[~cells.isin(set(allowed)) & cells.notna()]
        if strange.nunique() <= allowed.isna().sum():
            continue
        for row, value in strange.items():
            expected, remedy = f"a {column} listed in {where}", "correct it or add it there."
            told.append(problem(folder / f"{name}.csv", row, expected, short(value), remedy))
    return told


def check_names(folder: Path, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Names that differ so little that they may mean one and the same: warnings."""
    found = []
    people = "patients" if (folder / "patients.csv").is_file() else "clips"
    written = [(people, "patient_id"), ("clips", "clip_id"), ("labels", "rater"), ("labels", "feature")]
    for name, column in written:
        seen: dict[str, str] = {}
        for row, value in tables[name][column].dropna().drop_duplicates().items():
            other = seen.setdefault(plain(value), value)
            if other != value:
                expected = f"each {column} written in one way"
                remedy = "are they the same? Then write them alike."
                arrived = f"{short(other)} and {short(value)}"
                found.append(problem(folder / f"{name}.csv", row, expected, arrived, remedy, warning=True))
    return found


def check_patients(folder: Path, patients: pd.DataFrame, folds: int) -> list[dict]:
    """Folds must be among those asked for; without a test patient a warning is due."""
    path, found = folder / "patients.csv", []
    for row, fold in patients["fold"].dropna().items():
        if fold > folds:
            remedy = "correct it, leave it blank, or ask for more folds."
            found.append(problem(path, row, f"a fold from 1 to {folds}", f"fold {fold}", remedy))
    given = patients["split"].dropna()
    if len(given) and "test" not in set(given) and len(patients) - len(given) <= 2:
        arrived = f"{len(given)} of {len(patients)} patients in {' and '.join(sorted(set(given)))}"
        remedy = "name some `test`, or leave more splits blank to have them drawn."
        found.append(problem(path, None, "patients to test on", arrived, remedy, warning=True))
    return found


def check_exams(folder: Path, exams: pd.DataFrame, sf_max: float) -> list[dict]:
    """S/F must agree with SpO2 / FiO2 where all three are given, and stay within 0 to sf_max."""
    found = []
    computed = exams["spo2"] / exams["fio2"]
    for row, given, want in zip(exams.index, exams["sf_ratio"], computed, strict=True):
        here = (folder / "exams.csv", row)
        if pd.notna(given) and pd.notna(want) and abs(given - want) > SF_AGREEMENT:
            expected = f"sf_ratio within {SF_AGREEMENT:g} of spo2 / fio2 = {want:.1f}"
            remedy = "correct one of the three, or leave sf_ratio blank to have it computed."
            found.append(problem(*here, expected, f"sf_ratio {given:g}", remedy))
        value = given if pd.notna(given) else want
        if pd.notna(value) and value > sf_max + SF_AGREEMENT:
            remedy = "is fio2 a fraction from 0.21 to 1?"
            found.append(problem(*here, f"S/F of at most {sf_max:g}", f"{value:.1f}", remedy))
    return found + _both_kinds(folder, exams)


def _both_kinds(folder: Path, exams: pd.DataFrame) -> list[dict]:
    """A warning where a patient's S/F is given on one day and computed on another, and they differ by no more
    than rounding may: it would count as a change."""
    computed = exams["spo2"] / exams["fio2"]
    known = exams.assign(computed=computed.where(exams["sf_ratio"].isna()))
    pairs = known.reset_index(names="row").dropna(subset="computed")
    pairs = pairs.merge(known.dropna(subset="sf_ratio"), on="patient_id", suffixes=("", "_other"))
    apart = (pairs["computed"] - pairs["sf_ratio_other"]).abs()
    odd = pairs[(apart > 0) & (apart <= SF_AGREEMENT)].drop_duplicates("row")
    expected = "sf_ratio given on all days of a patient, or computed on all"
    remedy = "give or leave out all: so little is rounding, and would count as a change."
    told = "computed as {:.1f} here and given as {:g} on day {}"
    return [
        problem(
            folder / "exams.csv", one.row, expected,
            told.format(one.computed, one.sf_ratio_other, one.day_other), remedy, warning=True,
        )
        for one in odd.itertuples()
    ]  # fmt: skip


def plain(name: str) -> str:
    """A name without case, spaces, leading zeros and ways of writing accents."""
    joined = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return re.sub(r"(?<!\d)0+(?=\d)", "", joined)


def read_table(path: Path, table: Table) -> tuple[pd.DataFrame, list[dict]]:
    """Read and check one table; return it with the right types, and what was found (warnings among it).

    Its index is the row in the file, from 1 below the header. Cells that do not fit are blank in it, and
    rows without any text are left out.
    """
    columns = list(table.columns)
    empty = pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
    if not path.is_file():
        missing = problem(path, None, "a table", "no such file", f"write it with the columns {columns}.")
        return empty, [missing] if table.needed else []
    expected = "a comma-separated UTF-8 table"
    told = _foreign(path)
    if told:
        return empty, [problem(path, None, expected, told, AGAIN)]
    try:
        rows = text(path)
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        return empty, [problem(path, None, expected, " ".join(str(error).split()), AGAIN)]
    found = _check_header(path, table, list(rows.columns))
    if sorted_out(found)[0]:
        return empty, found
    rows, wrong = fitted(table, rows.replace("", np.nan).reindex(columns=columns))
    for row, name, expected, arrived, remedy in wrong:
        found.append(problem(path, row, expected, arrived, remedy) | {"column": name})
    return rows, found


def text(path: Path) -> pd.DataFrame:
    """The cells of a table as text, under the names of its columns; the index is the row in the file."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        before = next((n for n, line in enumerate(file) if line.strip()), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        rows = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
            header=None,
            skiprows=before,
            skip_blank_lines=False,
        )
    rows = rows.apply(lambda column: column.str.strip())
    rows = rows.set_axis(rows.iloc[0], axis=1).iloc[1:].rename_axis("row")
    rows = rows.loc[:, rows.columns != ""]  # spreadsheets leave blank columns at the end, and blank rows
    return rows[(rows != "").any(axis=1)]


def _foreign(path: Path) -> str | None:
    """What the first bytes of a table give away: another kind of file."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((b"PK", b"\xd0\xcf")):
        return "a workbook of Excel or the like"
    return "text in UTF-16" if b"\0" in start or start[:2] in (b"\xff\xfe", b"\xfe\xff") else None


def _check_header(path: Path, table: Table, header: list[str]) -> list[dict]:
    """What is wrong with the names of the columns: missing, twice, unknown (a warning)."""
    missing = [c for c in table.columns if c not in header and c not in table.optional]
    for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if any(sign in name for name in header):
            told, remedy = f"one separated by {name}", "save it again as CSV with commas."
            return [problem(path, None, "a comma-separated table", told, remedy)]
    if missing:
        return [problem(path, None, f"the columns {missing}", f"columns {short(header)}", "add them.")]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        return [problem(path, None, "each column once", f"{twice} twice", "remove or rename one of the two.")]
    unknown = [name for name in header if name not in table.columns and name]
    known, remedy = f"columns of {list(table.columns)}", "it is left out."
    return [problem(path, None, known, f"a column {short(name)}", remedy, True) for name in unknown]
