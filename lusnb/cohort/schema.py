"""What a cohort's files may say: the columns of its tables, the keys of its cohort.yaml, each in one line.

A new column or key is added here; checks, readers, painting, export and phantoms take it from here. Whoever
writes a table and knows nothing of a column leaves it out or blank, which only an optional column may be.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import pandas as pd
import pandera.pandas as pa

SPLITS = ("train", "validation", "test")
LAST_DAY = 365  # of a study: a larger number is a date, or stands for "not known"


# -- tables


@dataclass(frozen=True)
class Table:
    """A table: its columns, those that name a row, whether a cohort must have it."""

    columns: dict[str, pa.Column]
    key: list[str]
    needed: bool = True

    @property
    def optional(self) -> list[str]:
        """The columns that may be blank, and so may be missing."""
        return [name for name, column in self.columns.items() if column.nullable]

    @property
    def names(self) -> list[str]:
        """The columns of text that is never blank."""
        texts = [name for name, column in self.columns.items() if str(column.dtype).startswith("str")]
        return [name for name in texts if name not in self.optional]

    @property
    def details(self) -> list[str]:
        """The columns that say more of a row than which it is and where its file lies."""
        return [name for name in self.columns if name not in (*self.key, "path")]


def column(kind: object, check: pa.Check | None = None, blank: bool = False) -> pa.Column:
    """A column of one kind; `blank`: it is optional, and its cells may be blank."""
    return pa.Column(kind, check, nullable=blank, coerce=True)


def name_column() -> pa.Column:
    """A column of names: text, never blank."""
    return pa.Column(str, pa.Check(lambda s: s.str.strip() != "", error="not blank"), nullable=False)


def text_column() -> pa.Column:
    """An optional column of text."""
    return column(str, blank=True)


def whole_column(check: pa.Check | None = None) -> pa.Column:
    """An optional column of whole numbers."""
    return column("Int64", check, blank=True)


def _numbers(*names: str) -> dict[str, pa.Column]:
    return {name: column(float) for name in names}


_FROM_0 = pa.Check.ge(0, error="a number from 0 on")
_CM = pa.Check.in_range(0, 40, include_min=False, error="a number of cm above 0 and up to 40")
_FPS = pa.Check.in_range(
    0, 1000, include_min=False, error="a number of frames a second above 0 and up to 1000"
)
_PER_CENT = pa.Check.in_range(1, 100, include_min=False, error="per cent above 1 and up to 100")
_SPLIT = pa.Check.isin(SPLITS, error="train, validation, test or blank")
_DAY = pa.Check.in_range(0, LAST_DAY, error=f"a day from 0 to {LAST_DAY}")
_LABEL = {
    "clip_id": name_column(),
    "frame": column(int, _FROM_0),
    "rater": name_column(),
    "feature": name_column(),
    "path": name_column(),
}
_LABEL_KEY = ["clip_id", "frame", "rater", "feature"]

TABLES = {  # that a cohort is opened with
    "patients": Table(
        {
            "patient_id": name_column(),
            "readmitted_30d": whole_column(pa.Check.isin([0, 1], error="0, 1 or blank")),
            "split": column(str, _SPLIT, blank=True),
            "fold": whole_column(pa.Check.ge(1, error="a number from 1 on, or blank")),
        },
        ["patient_id"],
    ),
    "exams": Table(
        {
            "patient_id": name_column(),
            "day": column(int, _DAY),
            "spo2": column(float, _PER_CENT, blank=True),
            "fio2": column(float, pa.Check.in_range(0.21, 1, error="a fraction from 0.21 to 1"), blank=True),
            "sf_ratio": column(float, _FROM_0, blank=True),
        },
        ["patient_id", "day"],
        needed=False,
    ),
    "clips": Table(
        {
            "clip_id": name_column(),
            "patient_id": name_column(),
            "day": whole_column(_DAY),
            "view": text_column(),
            "path": name_column(),
            "depth_cm": column(float, _CM, blank=True),
            "fps": column(float, _FPS, blank=True),
            "width_cm": column(float, _CM, blank=True),
        },
        ["clip_id"],
    ),
    "labels": Table(_LABEL, _LABEL_KEY),
    "truth": Table(dict(_LABEL), _LABEL_KEY, needed=False),
    "masks": Table({"clip_id": name_column(), "path": name_column()}, ["clip_id"], needed=False),
}
OTHERS = {  # that may lie in a cohort's folder, and are read by those who need them
    "scenes": Table(  # what a phantom simulated
        {
            "clip_id": name_column(),
            **_numbers("congestion", "pleura_depth_mm", "fuzzy", "b_lines", "b_covered"),
        },
        ["clip_id"],
        needed=False,
    ),
    "raters": Table(  # their habits in a phantom
        {"rater": name_column(), **_numbers("calibration", "noise", "edge_bias_mm", "eagerness")},
        ["rater"],
        needed=False,
    ),
    "annotations": Table(  # what was painted here
        {
            "clip_id": name_column(),
            "frame": column(int, _FROM_0),
            "rater": name_column(),
            **_numbers("seconds", "saves"),
            "started_from": name_column(),
            "saved_at": name_column(),
        },
        ["clip_id", "frame", "rater"],
        needed=False,
    ),
}
_WHITE = pa.Check.in_range(1, 65535, error="a value from 1 to 65535, or blank")
SHEETS = {  # columns that an import's spreadsheets may have besides; `reading` is of their labels' key too
    "clips": {"crop": text_column(), "white": whole_column(_WHITE)},
    "labels": {"layer": text_column(), "foreground": whole_column(), "reading": text_column()},
}


def sheet(name: str) -> Table:
    """A table as an import reads it."""
    table, more = TABLES[name], SHEETS.get(name, {})
    return Table(table.columns | more, [*table.key, *({"reading"} & set(more))], table.needed)


def columns(name: str) -> list[str]:
    """The columns of a table of a cohort, in order."""
    return list((TABLES | OTHERS)[name].columns)


def shaped(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of a table's columns, to be written; optional ones that they lack stay out.

    Raises ValueError for a column that the table does not have, and for one that it needs.
    """
    table = (TABLES | OTHERS)[name]
    kept = [one for one in table.columns if one in rows or one not in table.optional]
    if set(kept) != set(rows.columns):
        raise ValueError(
            f"{name}.csv: expected columns {kept}, got {list(rows.columns)}; see cohort/schema.py."
        )
    return rows[kept]


# -- cohort.yaml


@dataclass(frozen=True)
class Key:
    """A key of cohort.yaml: what is expected, whether a value fits, whether a cohort must have it."""

    expected: str
    fits: Callable[[object], bool]
    needed: bool = False


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(value: object) -> bool:
    return isinstance(value, str) or _number(value)


def _names(value: object) -> bool:
    return isinstance(value, list) and all(map(_name, value)) and len(set(map(str, value))) == len(value)


def _zones(value: object) -> bool:
    return isinstance(value, dict) and _names(list(value)) and all(map(_name, value.values()))


def _text(value: object) -> bool:
    return isinstance(value, str)


SF_MAX = 477  # where cohort.yaml gives none: 100 % over 0.21, rounded up
META = {
    "name": Key("text", _text, needed=True),
    "version": Key("text or a number", _name),
    "features": Key("a list of distinct names, at least one", lambda v: _names(v) and bool(v), needed=True),
    "views": Key("a list of distinct names, or a zone for each", lambda v: _names(v) or _zones(v)),
    "sf_max": Key("a number above 0", lambda v: _number(v) and 0 < v <= sys.float_info.max),
    "licence": Key("text", _text),
    "notes": Key("text", _text),
    "split_seed": Key("a whole number from 0 on", lambda v: _number(v) and isinstance(v, int) and v >= 0),
    "provenance": Key("`key: value` lines", lambda v: isinstance(v, dict)),
}
