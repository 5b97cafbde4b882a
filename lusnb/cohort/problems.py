"""What is wrong with a cohort or a file, for people: all problems at once, each with its remedy.

A problem is a dict: file, row, expected, arrived, remedy; a warning is a problem that stops nothing.
"""

import reprlib
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlist, _SHORT.maxlevel = 12, 3

TOLD = 20  # problems spelt out in a message
SHOWN = 200  # problems shown in a notebook
WIDE = (14, 4, 34, 34, 34)  # letters of each of their columns
COLUMNS = ["file", "row", "expected", "arrived", "remedy"]


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


def words(name: str) -> str:
    """A feature's name for a legend."""
    return name.replace("_", " ")


def sentence(words: str) -> str:
    """Words with a capital letter in front."""
    return words[:1].upper() + words[1:]


def counted(number: int, name: str) -> str:
    """A number with its noun: 1 image, 2 images."""
    return f"{number} {name}" + ("" if number == 1 else "s")


def short(value: object) -> str:
    """A value as a message may show it: its beginning, whatever its size."""
    return _SHORT.repr(value)


def as_problem(file: Path, row: int | None, error: Unfit, warning: bool = False) -> dict:
    """A refusal as a row of the table of problems."""
    return problem(file, row, error.expected, error.arrived, error.remedy, warning)
