"""The tables of a cohort: their columns, what each must hold, and every cell and row that does not fit.

Here a column is added; readers, painting, export and phantoms take it from here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from lusnb.cohort.problems import short

SPLITS = ("train", "validation", "test")
SENTINELS = (-1, -9, -99, -999, -9999, 999, 9999)  # numbers that people write for "not known"
UNKNOWN = ("na", "n/a", "nan", "none", "null", "unknown", "missing", "-", ".", "?", "#n/a")
DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}\b")
LAST_DAY = 365  # of a study: a larger number is a date, or stands for "not known"
_FROM_0 = pa.Check.ge(0, error="a number from 0 on")
Wrong = tuple[int, str, str, str, str]  # row, column ("": the row itself), expected, arrived, remedy


@dataclass(frozen=True)
class Table:
    """What a table must be: its columns, what names a row, which columns and whether all of it may lack."""

    columns: dict[str, pa.Column]
    key: list[str]
    optional: tuple[str, ...] = ()
    needed: bool = True


def column(kind: object, check: pa.Check | None = None, blank: bool = False) -> pa.Column:
    """A column of one kind, whose cells may be blank where `blank`."""
    return pa.Column(kind, check, nullable=blank, coerce=True)


def name_column() -> pa.Column:
    """A column of names: text, never blank."""
    return pa.Column(str, pa.Check(lambda s: s.str.strip() != "", error="not blank"), nullable=False)


def text_column() -> pa.Column:
    """A column of text that may be blank."""
    return column(str, blank=True)


def whole_column(check: pa.Check | None = None) -> pa.Column:
    """A column of whole numbers that may be blank."""
    return column("Int64", check, blank=True)


def fitted(table: Table, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Wrong]]:
    """Text as the right types, blank where a cell does not fit, and all that is wrong, in order of rows.

    A wrong cell hides no other; rows are compared with each other where what names them is whole.
    """
    columns, wrong = {}, []
    bad = pd.DataFrame(False, index=rows.index, columns=list(table.columns))
    for name in table.columns:
        values, new = _numbers(table, name, rows[name])
        values, more = _checked(table, name, values.drop([one[0] for one in new]))
        bad.loc[[one[0] for one in (*new, *more)], name] = True
        columns[name] = values if len(values) == len(rows) else _with_gaps(values, rows.index)
        wrong += [*new, *more]
    out = pd.DataFrame(columns, index=rows.index)
    wrong += _repeated(table, out[~bad[table.key].any(axis=1)])
    return out, sorted(wrong, key=lambda one: one[0])


def _with_gaps(values: pd.Series, index: pd.Index) -> pd.Series:
    whole = "int" in str(values.dtype).lower()
    return (values.astype("Int64") if whole else values).reindex(index)


def _numbers(table: Table, name: str, cells: pd.Series) -> tuple[pd.Series, list[Wrong]]:
    """Text that should hold numbers as floats, and the cells that hold none."""
    kind = str(table.columns[name].dtype).lower()
    if "str" in kind:
        return cells, []
    number = pd.to_numeric(cells, errors="coerce").astype(float)
    bad = cells.notna() & ~np.isfinite(number)
    bad |= number.notna() & ("int" in kind) & ((number % 1 != 0) | (number.abs() > 2**53))
    wanted = f"{name} to be a {'whole ' if 'int' in kind else ''}number"
    told = [(row, name, wanted, short(v), remedy(table, name, v)) for row, v in cells[bad].items()]
    return number, told


def _checked(table: Table, name: str, cells: pd.Series) -> tuple[pd.Series, list[Wrong]]:
    """The cells of a column that its schema lets pass, in their type, and those that it does not."""
    schema, one = pa.DataFrameSchema({name: table.columns[name]}), cells.to_frame(name)
    try:
        return schema.validate(one, lazy=True)[name], []
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.dropna(subset="index").drop_duplicates("index").to_dict("records")
    wrong = []
    for case in cases:
        check = "not blank" if case["check"] == "not_nullable" else case["check"]
        value = cells[case["index"]]
        arrived = "a blank" if pd.isna(value) else short(value)
        wrong.append((int(case["index"]), name, f"{name} to be {check}", arrived, remedy(table, name, value)))
    return schema.validate(one.drop([row for row, *_ in wrong]))[name], wrong


def _repeated(table: Table, rows: pd.DataFrame) -> Iterator[Wrong]:
    """Rows that are named as one above them."""
    for row in rows.index[rows.duplicated(table.key)]:
        key = rows.loc[row, table.key]
        same = rows[(rows[table.key] == key).all(axis=1)]
        if "split" in rows and same["split"].nunique() > 1:
            both = " and ".join(same["split"].dropna().unique())
            arrived = f"patient {key.iloc[0]} in {both}"
            yield row, "", "each patient in one split", arrived, "keep one of its rows."
            continue
        words = ", ".join(f"{k} {v}" for k, v in key.items() if pd.notna(v))
        yield row, "", "each row once", f"{words} a second time", "remove or rename one of the two."


def remedy(table: Table, column: str, value: object) -> str:
    """What to do about a wrong value."""
    text = "" if pd.isna(value) else str(value).strip()
    number = pd.to_numeric(text, errors="coerce")
    if not text:
        return "correct it: fill it in."
    if table.columns[column].nullable and (text.lower() in UNKNOWN or number in SENTINELS):
        return "correct it: leave the cell blank where it is not known."
    if column == "day" and (number > LAST_DAY or DATE.match(text)):
        return "correct it: days count from admission; a date would tell who it is."
    if column == "fio2" and (text.endswith("%") or 1 < number <= 100):
        return "correct it: write FiO2 as a fraction, 40 % as 0.4."
    if column == "spo2" and 0 < number <= 1:
        return "correct it: write SpO2 in per cent, 0.95 as 95."
    if np.isnan(number) and not np.isnan(pd.to_numeric(text.replace(",", "."), errors="coerce")):
        return "correct it: write the decimal point as a point."
    if np.isnan(number) and not np.isnan(pd.to_numeric("".join(text.split()), errors="coerce")):
        return "correct it: take the space out."
    return "correct it."


def _above_zero(unit: str, most: float) -> pa.Check:
    return pa.Check.in_range(
        0, most, include_min=False, error=f"a number of {unit} above 0 and up to {most:g}"
    )


_DAY = pa.Check.in_range(0, LAST_DAY, error=f"a day from 0 to {LAST_DAY}")
_LABEL = {
    "clip_id": name_column(),
    "frame": column(int, _FROM_0),
    "rater": name_column(),
    "feature": name_column(),
    "path": name_column(),
}


TABLES = {
    "patients": Table(
        {
            "patient_id": name_column(),
            "readmitted_30d": whole_column(pa.Check.isin([0, 1], error="0, 1 or blank")),
            "split": column(str, pa.Check.isin(SPLITS, error="train, validation, test or blank"), blank=True),
            "fold": whole_column(pa.Check.ge(1, error="a number from 1 on, or blank")),
        },
        ["patient_id"],
        ("readmitted_30d", "split", "fold"),
    ),
    "exams": Table(
        {
            "patient_id": name_column(),
            "day": column(int, _DAY),
            "spo2": column(
                float,
                pa.Check.in_range(1, 100, include_min=False, error="per cent above 1 and up to 100"),
                blank=True,
            ),
            "fio2": column(float, pa.Check.in_range(0.21, 1, error="a fraction from 0.21 to 1"), blank=True),
            "sf_ratio": column(float, _FROM_0, blank=True),
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
            "depth_cm": column(float, _above_zero("cm", 40), blank=True),
            "fps": column(float, _above_zero("frames a second", 1000), blank=True),
            "width_cm": column(float, _above_zero("cm", 40), blank=True),
        },
        ["clip_id"],
        ("day", "view", "fps", "width_cm", "depth_cm"),
    ),
    "labels": Table(_LABEL, ["clip_id", "frame", "rater", "feature"]),
    "truth": Table(_LABEL, ["clip_id", "frame", "rater", "feature"], needed=False),
    "masks": Table({"clip_id": name_column(), "path": name_column()}, ["clip_id"], needed=False),
}
