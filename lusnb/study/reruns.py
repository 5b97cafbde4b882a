"""What makes a node run again: the code that its notebook uses, and the files of its cohort."""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from lusnb.cohort.fingerprint import content, folder_stamp
from lusnb.study.places import import_places


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
    if base / "lusnb" / "report" / "tables.py" in found:
        found += sorted((base / "lusnb" / "report").glob("*.csv"))  # the published numbers
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
    return content(path).hex()[:16]
