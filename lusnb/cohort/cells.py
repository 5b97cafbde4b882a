"""Every cell and row of a table that does not fit its schema, and what to do about it."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pandera.pandas as pa

from lusnb.cohort.problems import short
from lusnb.cohort.schema import LAST_DAY, Table

SENTINELS = (-1, -9, -99, -999, -9999, 999, 9999)  # numbers that people write for "not known"
UNKNOWN = ("na", "n/a", "nan", "none", "null", "unknown", "missing", "-", ".", "?", "#n/a")
DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}\b")
Wrong = tuple[int, str, str, str, str]  # row, column ("": the row itself), expected, arrived, remedy


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
