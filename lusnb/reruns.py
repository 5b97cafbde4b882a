"""What makes a node run again: the code that its notebook uses, and the files of its cohort."""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lusnb.params import ParameterError

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


@cache
def code_fingerprint(notebook: str, base: Path) -> str:
    """Fingerprint of a notebook's cells and of the code that it uses: when it changes, the node runs again.

    Outputs and metadata do not count, so running a notebook in JupyterLab and saving it changes nothing.
    """
    cells = json.loads((base / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    code = "\n".join(s for s, cell in zip(sources, cells, strict=True) if cell["cell_type"] == "code")
    digest = hashlib.sha256("\0".join(sources).encode())
    used = closure(code, base)
    if base / "lusnb" / "tables.py" in used:
        used += sorted((base / "lusnb").glob("*.csv"))  # the published numbers
    for path in used:
        digest.update(path.relative_to(base).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cohort_files(folder: Path) -> list[Path]:
    """All but hidden files and the table of who painted when, on which nothing else depends."""
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in found if p != folder / ANNOTATIONS)


def cohort_fingerprint(folder: Path) -> str:
    """Fingerprint of the content of every file of a cohort."""
    digest = hashlib.sha256()
    for path in _cohort_files(folder):
        with path.open("rb") as file:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def cohort_stamp(folder: Path) -> str:
    """Names, sizes and times of a cohort's files: as long as it is the same, so is the fingerprint."""
    states = [
        (p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns)
        for p in _cohort_files(folder)
    ]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def fingerprint_now(folder: Path, checked: dict) -> str:
    """The fingerprint of a cohort; the one found before when no file was touched since."""
    return checked["cohort"] if cohort_stamp(folder) == checked["stamp"] else cohort_fingerprint(folder)


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
