"""What makes a node run again: the code that its notebook uses, and the files of its cohort."""

import ast
import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from lusnb.params import ParameterError

COHORT_TABLES = ("patients", "exams", "clips", "labels", "truth", "masks", "scenes")  # that anything reads
ANNOTATIONS = "annotations.csv"  # of a cohort in which somebody painted (painting.py)


@cache
def _imports(path: Path) -> frozenset:
    return frozenset(_imported(path.read_text(encoding="utf-8")))


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str, base: Path) -> Iterator[Path]:
    """The files that importing `name` runs: the packages on the way, and the module itself."""
    parts = name.split(".")
    for k in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:k])
        yield from (p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file())


def closure(source: str, base: Path) -> list[Path]:
    """The files of the package that a piece of source uses, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = [name for name in _imported(source) if name.split(".")[0] == "lusnb"]
    while waiting:
        for path in _files(waiting.pop(), base):
            if path not in found:
                found.add(path)
                waiting += [name for name in _imports(path) if name.split(".")[0] == "lusnb"]
    return sorted(found)


def cells(notebook: str, base: Path) -> list[tuple[str, str]]:
    """The cells of a notebook, in order: kind (code, markdown) and source."""
    content = json.loads((base / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    return [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]


@cache
def used(notebook: str, base: Path) -> tuple[Path, ...]:
    """The files of the package that a notebook uses, published numbers among them."""
    code = "\n".join(source for kind, source in cells(notebook, base) if kind == "code")
    found = closure(code, base)
    if base / "lusnb" / "tables.py" in found:
        found += sorted((base / "lusnb").glob("*.csv"))  # the published numbers
    return tuple(found)


@cache
def code_fingerprint(notebook: str, base: Path) -> str:
    """Fingerprint of a notebook's cells and of the code that it uses: when it changes, the node runs again.

    Outputs and metadata do not count, so running a notebook in JupyterLab and saving it changes nothing.
    """
    digest = hashlib.sha256("\0".join(source for _, source in cells(notebook, base)).encode())
    for path in used(notebook, base):
        digest.update(path.relative_to(base).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def forget() -> None:
    """Forget what was read of notebooks and code: they may be others now."""
    for remembered in (_imports, used, code_fingerprint):
        remembered.cache_clear()


def _cohort_files(folder: Path) -> list[Path]:
    """A cohort's tables and the files that these name, sorted; nothing that merely lies beside them.

    So neither earlier saves of the brush count, nor who painted when, nor exports and files of an editor.
    """
    tables = [folder / "cohort.yaml", *(folder / f"{name}.csv" for name in COHORT_TABLES)]
    named = {path.replace("\0", "") for table in tables[1:] for path in column(table, "path")}
    return [p for p in tables if p.is_file()] + [folder / path for path in sorted(named)]


def column(table: Path, name: str) -> list[str]:
    """The distinct values of a column of a table, sorted, blanks aside; [] where there is none.

    As far as the table can be read: whether it is right is asked by others.
    """
    found = set()
    if table.is_file():
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file, suppress(csv.Error):
            found = {(row.get(name) or "").strip() for row in csv.DictReader(file)}
    return sorted(found - {""})


def cohort_fingerprint(folder: Path) -> str:
    """Fingerprint of the content of a cohort: of its tables and of every file that they name."""
    digest = hashlib.sha256()
    for path in _cohort_files(folder):
        digest.update(os.path.relpath(path, folder).encode() + b"\0" + _content(path))
    return digest.hexdigest()[:16]


def _content(path: Path) -> bytes:
    """SHA-256 of a file; of one that cannot be read, that it cannot."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"missing"


def cohort_stamp(folder: Path) -> str:
    """Names, sizes and times of a cohort's files: as long as it is the same, so is the fingerprint."""
    return _stamp(folder, _cohort_files(folder))


def folder_stamp(folder: Path) -> str:
    """Names, sizes and times of all files of a folder that is imported from, hidden ones aside.

    Of all, unlike a cohort's: there a spreadsheet may have any name and form, and name what an import finds
    by other ways than a column (the slices of a series, the masks beside an image). Too much counts at worst:
    the import is then compared with what it made before, and what comes after it stays.
    """
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return _stamp(folder, sorted(found))


def _stamp(folder: Path, paths: list[Path]) -> str:
    states = []
    for path in paths:
        with suppress(OSError):  # one that is not there leaves its name out
            state = path.stat()
            states.append((os.path.relpath(path, folder), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def checked(run_folder: Path) -> dict[str, str]:
    """What 00_cohort found of a cohort: `cohort` (its fingerprint), `stamp`; {} where unreadable."""
    try:
        found = json.loads((run_folder / "fingerprint.json").read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in ("cohort", "stamp")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def fingerprint_now(folder: Path, checked: dict) -> str:
    """The fingerprint of a cohort; the one found before when no file was touched since."""
    return checked["cohort"] if cohort_stamp(folder) == checked["stamp"] else cohort_fingerprint(folder)


def outside(asked: Mapping, base: Path) -> dict[str, str]:
    """State of what parameters name outside of cohorts and runs: the files of an import, start weights.

    Without what is out of reach (a drive taken away): that counts as it was when last seen.
    """
    found = {}
    if asked.get("source") == "import":
        places = dict(zip(("files", "sheets"), import_places(asked, base), strict=True))
        found |= {name: folder_stamp(place) for name, place in places.items() if place.is_dir()}
    weights = asked.get("encoder_weights", "none")
    if weights not in ("none", "imagenet") and (base / weights).is_file():
        found["encoder_weights"] = _weights(base / weights, (base / weights).stat().st_mtime_ns)
    return found


@cache
def _weights(path: Path, time: int) -> str:
    return _content(path).hex()[:16]


def painted_in(folder: Path) -> bool:
    """Whether somebody painted labels in a cohort: nothing may remove it or make it anew."""
    return (folder / ANNOTATIONS).exists()


def samples(base: Path) -> Path:
    """The folder of real samples: LUSNB_SAMPLES, or ../shared/data beside the project."""
    return Path(os.environ.get("LUSNB_SAMPLES", base.parent / "shared" / "data"))


def import_places(asked: dict, base: Path) -> tuple[Path, Path]:
    """The folder of files and that of the spreadsheets, by the parameters of a 00_cohort that imports.

    Relative ones are below the samples and below the project. Raises ParameterError where none is named.
    """
    if not asked["files"]:
        raise ParameterError(
            "00_cohort: `files` must name the folder that holds the clips; set it beside `source: import`."
        )
    source = samples(base) / asked["files"]
    return source, base / asked["sheets"] if asked["sheets"] else source
