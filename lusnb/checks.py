"""The door of a cohort, its tables: columns, ranges, links. All problems are found in one pass.

A problem is a dict: file, row, expected, arrived, remedy; a warning is a problem that stops nothing.
"""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import yaml

from lusnb.cells import LAST_DAY, Table, column, fitted, name_column, short, text_column, whole_column

SPLITS = ("train", "validation", "test")
LARGEST_YAML, DEEPEST_YAML = 1_000_000, 10  # characters, lists within lists
TOLD = 20  # problems spelt out in a message
SHOWN = 200  # problems shown in a notebook
WIDE = (14, 4, 34, 34, 34)  # letters of each of their columns
AGAIN = "export it again, as CSV in UTF-8."
COLUMNS = ["file", "row", "expected", "arrived", "remedy"]


def _above_zero(unit: str, most: float) -> pa.Check:
    return pa.Check.in_range(
        0, most, include_min=False, error=f"a number of {unit} above 0 and up to {most:g}"
    )


_FROM_0 = pa.Check.ge(0, error="a number from 0 on")
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
        more = len(self.problems) - SHOWN
        rest = [f"... and {more} more problems"] if more > 0 else []
        count = f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}"
        places = ", ".join(sorted({str(Path(file).parent) for file in self.problems["file"]}))
        return [f"CohortError: {count} in {places}; nothing was written", self._shown(), *rest]

    def _shown(self) -> str:
        """The problems as a table whose long cells go on in the next line."""
        rows = self.problems.head(SHOWN).astype(object).fillna("")
        rows["file"] = [Path(file).name for file in rows["file"]]
        lines = []
        for cells in (COLUMNS, *rows.to_numpy().tolist()):
            pieces = [textwrap.wrap(str(cell), WIDE[k]) or [""] for k, cell in enumerate(cells)]
            for n in range(max(map(len, pieces))):
                texts = [one[n] if n < len(one) else "" for one in pieces]
                padded = (text.ljust(wide) for text, wide in zip(texts, WIDE, strict=True))
                lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)


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


def unread(found: list[dict]) -> set[str]:
    """Names of the files of which nothing could be used, without what follows the dot."""
    return {Path(p["file"]).stem for p in sorted_out(found)[0] if p["row"] is None}


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
    return rows, found + [problem(path, row, *words) | {"column": name} for row, name, *words in wrong]


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


@contextmanager
def decoding(expected: str, name: str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a bad file into Unfit.

    Decoders raise anything on damaged input, from struct.error to IndexError: all of it means the same here.
    """
    try:
        yield
    except Unfit:
        raise
    except Exception as error:
        told = getattr(error, "strerror", None) or str(error)
        told = " ".join(told.split())[:160] or "nothing said"
        raise Unfit(expected, f"{name}: {told} ({type(error).__name__})", remedy) from None


def read_yaml(path: Path) -> object:
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
