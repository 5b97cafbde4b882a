"""The door of a cohort, its tables: columns, ranges, links. All problems are found in one pass.

A problem is a dict: file, row, expected, arrived, remedy; a warning is a problem that stops nothing.
"""

import reprlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

SPLITS = ("train", "validation", "test")
TOLD = 20  # problems spelt out in a message
AGAIN = "export it again, as CSV in UTF-8."
COLUMNS = ["file", "row", "expected", "arrived", "remedy"]
SENTINELS = (-1, -9, -99, -999, -9999, 999, 9999)  # numbers that people write for "not known"
UNKNOWN = ("na", "n/a", "nan", "none", "null", "unknown", "missing", "-", ".", "?", "#n/a")


def _column(
    kind: object, check: pa.Check | None = None, blank: bool = False, required: bool = True
) -> pa.Column:
    return pa.Column(kind, check, nullable=blank, required=required, coerce=True)


def name_column() -> pa.Column:
    """A column of names: text, never blank."""
    return pa.Column(str, pa.Check(lambda s: s.str.strip() != "", error="not blank"), nullable=False)


def text_column() -> pa.Column:
    """A column of text that may be blank."""
    return _column(str, blank=True)


def whole_column(check: pa.Check | None = None) -> pa.Column:
    """A column of whole numbers that may be blank."""
    return _column("Int64", check, blank=True)


@dataclass(frozen=True)
class Table:
    """What a table must be: its columns, what names a row, which columns and whether all of it may lack."""

    columns: dict[str, pa.Column]
    key: list[str]
    optional: tuple[str, ...] = ()
    needed: bool = True
    schema: pa.DataFrameSchema = field(init=False)

    def __post_init__(self):
        """Build the schema of the columns."""
        object.__setattr__(self, "schema", pa.DataFrameSchema(dict(self.columns)))


def _above_zero(unit: str, most: float) -> pa.Check:
    return pa.Check.in_range(
        0, most, include_min=False, error=f"a number of {unit} above 0 and up to {most:g}"
    )


_DAY = pa.Check.ge(0, error="a number from 0 on")
_LABEL = {
    "clip_id": name_column(),
    "frame": _column(int, _DAY),
    "rater": name_column(),
    "feature": name_column(),
    "path": name_column(),
}
TABLES = {
    "patients": Table(
        {
            "patient_id": name_column(),
            "readmitted_30d": whole_column(pa.Check.isin([0, 1], error="0, 1 or blank")),
            "split": _column(
                str, pa.Check.isin(SPLITS, error="train, validation, test or blank"), blank=True
            ),
            "fold": whole_column(pa.Check.ge(1, error="a number from 1 on, or blank")),
        },
        ["patient_id"],
        ("readmitted_30d", "split", "fold"),
    ),
    "exams": Table(
        {
            "patient_id": name_column(),
            "day": _column(int, _DAY),
            "spo2": _column(
                float,
                pa.Check.in_range(1, 100, include_min=False, error="per cent above 1 and up to 100"),
                blank=True,
            ),
            "fio2": _column(float, pa.Check.in_range(0.21, 1, error="a fraction from 0.21 to 1"), blank=True),
            "sf_ratio": _column(float, _DAY, blank=True),
        },
        ["patient_id", "day"],
        ("sf_ratio", "spo2", "fio2"),
        needed=False,
    ),
    "clips": Table(
        {
            "clip_id": name_column(),
            "patient_id": name_column(),
            "day": whole_column(_DAY),
            "view": text_column(),
            "path": name_column(),
            "depth_cm": _column(float, _above_zero("cm", 40), blank=True),
            "fps": _column(float, _above_zero("frames a second", 1000), blank=True),
            "width_cm": _column(float, _above_zero("cm", 40), blank=True),
        },
        ["clip_id"],
        ("day", "view", "fps", "width_cm", "depth_cm"),
    ),
    "labels": Table(_LABEL, ["clip_id", "frame", "rater", "feature"]),
    "truth": Table(_LABEL, ["clip_id", "frame", "rater", "feature"], needed=False),
}


class CohortError(ValueError):
    """A cohort that cannot be used; `problems` holds all of them: file, row, expected, arrived, remedy.

    In a notebook it shows as that table, without a traceback.
    """

    def __init__(self, problems: list[dict]):
        self.problems = as_table(problems)
        sentences = [_sentence(p) for p in problems[:TOLD]]
        if len(problems) > TOLD:
            sentences.append(f"... and {len(problems) - TOLD} more problems: see `.problems`")
        super().__init__("\n".join(sentences))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        whole = self.problems.fillna({"row": ""}).to_string(index=False, max_colwidth=70)
        return [f"CohortError: {len(self.problems)} problems; nothing was written", whole, str(self)]


class Unfit(ValueError):
    """A file that cannot be read as what it should be: `expected`, `arrived` and `remedy` are apart."""

    def __init__(self, expected: str, arrived: str, remedy: str):
        self.expected, self.arrived, self.remedy = expected, arrived, remedy
        super().__init__(f"expected {expected}, got {arrived}; {remedy}")


def as_table(problems: list[dict]) -> pd.DataFrame:
    """Problems as a table: file, row (blank: the whole file), expected, arrived, remedy."""
    table = pd.DataFrame(problems, columns=COLUMNS)
    return table.astype({"row": "Int64"})


def _sentence(p: dict) -> str:
    row = "" if p["row"] is None else f", row {p['row']}"
    return f"{p['file']}{row}: expected {p['expected']}, got {p['arrived']}; {p['remedy']}"


def problem(
    file: object, row: int | None, expected: str, arrived: str, remedy: str, warning: bool = False
) -> dict:
    """One problem; `row` counts from 1 below the header; None means the whole file."""
    found = {"file": str(file), "row": row, "expected": expected, "arrived": arrived, "remedy": remedy}
    return found | ({"warning": True} if warning else {})


def sorted_out(found: list[dict]) -> tuple[list[dict], list[dict]]:
    """Problems and warnings, apart."""
    return [p for p in found if not p.get("warning")], [p for p in found if p.get("warning")]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlist, _SHORT.maxlevel = 12, 3


def short(value: object) -> str:
    """A value as a message may show it: its beginning, whatever its size."""
    return _SHORT.repr(value)


def read_table(path: Path, table: Table) -> tuple[pd.DataFrame, list[dict]]:
    """Read and check one table; return it with the right types, and what was found (warnings among it)."""
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(
                path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig", header=None
            )
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        return empty, [problem(path, None, expected, " ".join(str(error).split()), AGAIN)]
    rows = rows.apply(lambda column: column.str.strip())
    rows = rows.set_axis(rows.iloc[0], axis=1).iloc[1:].reset_index(drop=True)
    found = _check_header(path, table, list(rows.columns))
    if any(not p.get("warning") for p in found):
        return empty, found
    rows, wrong = _validated(path, table, rows.replace("", np.nan).reindex(columns=columns))
    return rows, found + wrong


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


def _remedy(table: Table, column: str, value: object) -> str:
    """What to do about a wrong value."""
    text = "" if pd.isna(value) else str(value).strip()
    number = pd.to_numeric(text, errors="coerce")
    if not text:
        return "correct it: fill it in."
    if table.columns[column].nullable and (text.lower() in UNKNOWN or number in SENTINELS):
        return "correct it: leave the cell blank where it is not known."
    if column == "fio2" and (text.endswith("%") or 1 < number <= 100):
        return "correct it: write FiO2 as a fraction, 40 % as 0.4."
    if column == "spo2" and 0 < number <= 1:
        return "correct it: write SpO2 in per cent, 0.95 as 95."
    if np.isnan(number) and not np.isnan(pd.to_numeric(text.replace(",", "."), errors="coerce")):
        return "correct it: write the decimal point as a point."
    if np.isnan(number) and not np.isnan(pd.to_numeric("".join(text.split()), errors="coerce")):
        return "correct it: take the space out."
    return "correct it."


def _numbers(path: Path, table: Table, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """Text columns that should hold numbers as floats, with one problem for each cell that is none."""
    found, rows = [], rows.copy()
    for column, rule in table.columns.items():
        kind = str(rule.dtype).lower()
        if "str" in kind:
            continue
        number = pd.to_numeric(rows[column], errors="coerce").astype(float)
        bad = rows[column].notna() & ~np.isfinite(number)
        bad |= number.notna() & ("int" in kind) & ((number % 1 != 0) | (number.abs() > 2**53))
        wanted = f"{column} to be a {'whole ' if 'int' in kind else ''}number"
        for i in np.flatnonzero(bad):
            value = rows[column][i]
            found.append(problem(path, int(i) + 1, wanted, short(value), _remedy(table, column, value)))
        rows[column] = number.mask(bad)
    return rows, found


def _validated(path: Path, table: Table, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    rows, found = _numbers(path, table, rows)
    if found:
        return rows, found
    try:
        rows = table.schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        return rows, [_case(path, table, case) for case in error.failure_cases.to_dict("records")]
    twice = rows.duplicated(table.key)
    return rows, [_twice(path, table, rows, i) for i in np.flatnonzero(twice)]


def _case(path: Path, table: Table, case: dict) -> dict:
    """One of pandera's failure cases as a problem."""
    row = None if pd.isna(case["index"]) else int(case["index"]) + 1
    check = "not blank" if case["check"] == "not_nullable" else case["check"]
    value = "a blank" if pd.isna(case["failure_case"]) else short(case["failure_case"])
    return problem(
        path,
        row,
        f"{case['column']} to be {check}",
        value,
        _remedy(table, case["column"], case["failure_case"]),
    )


def _twice(path: Path, table: Table, rows: pd.DataFrame, row: int) -> dict:
    key = rows.loc[row, table.key]
    same = rows[(rows[table.key] == key).all(axis=1)]
    if "split" in rows and same["split"].nunique() > 1:
        both = " and ".join(same["split"].dropna().unique())
        arrived = f"patient {key.iloc[0]} in {both}"
        return problem(path, row + 1, "each patient in one split", arrived, "keep one of its rows.")
    words = ", ".join(f"{k} {v}" for k, v in key.items() if pd.notna(v))
    remedy = "remove or rename one of the two."
    return problem(path, row + 1, "each row once", f"{words} a second time", remedy)
