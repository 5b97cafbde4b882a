"""What makes a node run again: the code that its notebook uses, and what lies outside of cohorts and runs.

Code is compared as syntax, without comments and docstrings. A node that makes a cohort or trains, after which
much runs again, is asked more closely: neither the prose of its notebook counts, nor how it draws (the wing
`report`), nor the supervisions and losses that its arm does not use.
"""

import ast
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from lusnb.cohort.fingerprint import content, folder_stamp
from lusnb.segment import start_weights
from lusnb.study.matrix import NOTEBOOKS, TASKS
from lusnb.study.places import import_places

MADE = tuple(NOTEBOOKS[name] for name in ("cohort", "train", *TASKS))  # cohorts and trainings
REGISTRIES = {  # tables, name -> how it is done, of which a training uses the entry that a parameter names
    "SUPERVISIONS": "supervision",
    "LOSSES": "loss",
    "FORMS": "loss",
}


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# What is found in a text is remembered by the text itself: a plan after an edit looks at that file alone.


@cache
def imported(source: str) -> frozenset[str]:
    """The modules, and the names in them, that a piece of source imports."""
    found: set[str] = set()
    for node in ast.walk(_syntax(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _files(name: str, base: Path) -> Iterator[Path]:
    """The files that importing `name` runs: the packages on the way, and the module itself."""
    parts = name.split(".")
    for k in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:k])
        yield from (p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file())


def closure(source: str, base: Path) -> list[Path]:
    """The files of the package that a piece of source uses, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = [name for name in imported(source) if name.split(".")[0] == "lusnb"]
    while waiting:
        for path in _files(waiting.pop(), base):
            if path not in found:
                found.add(path)
                waiting += [name for name in imported(_text(path)) if name.split(".")[0] == "lusnb"]
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


def code_fingerprint(notebook: str, base: Path, asked: Mapping[str, object] | None = None) -> str:
    """Fingerprint of a notebook and of the code that it uses: when it changes, the node runs again.

    asked: the node's parameters, which say what its arm uses of REGISTRIES; without them nothing is used.
    Outputs and metadata do not count, so running a notebook in JupyterLab and saving it changes nothing.
    """
    chosen = tuple((name, str((asked or {}).get(name, ""))) for name in sorted(set(REGISTRIES.values())))
    return _fingerprint(notebook, base, chosen)


@cache
def _fingerprint(notebook: str, base: Path, chosen: tuple[tuple[str, str], ...]) -> str:
    trains = notebook in MADE
    digest = hashlib.sha256()
    for kind, source in cells(notebook, base):
        if kind == "code":
            digest.update(_dumped(_syntax(source)))
        elif not trains:
            digest.update(source.encode() + b"\0")
    for path in used(notebook, base):
        name = path.relative_to(base).as_posix()
        if trains and name.startswith("lusnb/report/"):
            continue
        digest.update(name.encode() + b"\0")
        if path.suffix != ".py":
            digest.update(path.read_bytes())
        elif trains and _registries(_syntax(_text(path))):
            digest.update(_dumped(_pruned(path, notebook, base, dict(chosen))))
        else:
            digest.update(_digest(_text(path)))
    return digest.hexdigest()[:16]


# -- code as syntax


@cache
def _syntax(source: str) -> ast.Module:
    """Code without docstrings; comments are none already. The tree is shared: copy it before changing it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return tree


def _dumped(tree: ast.Module) -> bytes:
    return ast.dump(tree).encode() + b"\0"


@cache
def _digest(source: str) -> bytes:
    return hashlib.sha256(_dumped(_syntax(source))).digest()


def _registries(tree: ast.Module) -> dict[str, ast.Dict]:
    """The tables of REGISTRIES that a module holds, by name."""
    found = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(targets[0], ast.Name) and isinstance(value, ast.Dict):
            found[targets[0].id] = value
    return {name: table for name, table in found.items() if name in REGISTRIES}


def _pruned(path: Path, notebook: str, base: Path, chosen: Mapping[str, str]) -> ast.Module:
    """A module without the entries of its registries that are not chosen, and without what only these use."""
    tree = copy.deepcopy(_syntax(_text(path)))
    for name, table in _registries(tree).items():
        entries = zip(table.keys, table.values, strict=True)
        wanted = chosen[REGISTRIES[name]]  # a key that is computed may be this one
        own = [(k, value) for k, value in entries if not isinstance(k, ast.Constant) or k.value == wanted]
        table.keys, table.values = [key for key, _ in own], [value for _, value in own]
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    rest = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    reached, waiting = set(), [*_named(rest), *_asked_of(path, notebook, base)]
    while waiting:
        name = waiting.pop()
        if name in defined and name not in reached:
            reached.add(name)
            waiting += _named([defined[name]])
    tree.body = [n for n in tree.body if not isinstance(n, ast.FunctionDef) or n.name in reached]
    return tree


def _named(nodes: list[ast.stmt]) -> set[str]:
    return {node.id for top in nodes for node in ast.walk(top) if isinstance(node, ast.Name)}


def _asked_of(path: Path, notebook: str, base: Path) -> set[str]:
    """What a notebook, and the modules that it uses, take from one of these modules."""
    module = ".".join(path.relative_to(base).with_suffix("").parts)
    own = "\n".join(source for kind, source in cells(notebook, base) if kind == "code")
    others = [_taken(_text(p)) for p in used(notebook, base) if p.suffix == ".py" and p != path]
    return {name for taken in (_taken(own), *others) for of, name in taken if of == module}


@cache
def _taken(source: str) -> frozenset[tuple[str, str]]:
    """What code takes from modules, by name or as an attribute: (module, name)."""
    nodes = list(ast.walk(_syntax(source)))
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    by_name = {(node.module or "", alias.name) for node in imported for alias in node.names}
    local = {alias.asname or alias.name: f"{n.module}.{alias.name}" for n in imported for alias in n.names}
    attributes = [n for n in nodes if isinstance(n, ast.Attribute)]
    dotted = {(n.value.id, n.attr) for n in attributes if isinstance(n.value, ast.Name)}
    return frozenset(by_name | {(local[of], name) for of, name in dotted if of in local})


def forget() -> None:
    """Forget what was read of notebooks and code: they may be others now."""
    for remembered in (_text, used, _fingerprint):
        remembered.cache_clear()


def outside(asked: Mapping, base: Path) -> dict[str, str]:
    """State of what parameters name outside of cohorts and runs: the files of an import, start weights.

    Without what is out of reach (a drive taken away): that counts as it was when last seen.
    """
    found: dict[str, str] = {}
    if asked.get("source") == "import":
        places = dict(zip(("files", "sheets"), import_places(asked, base), strict=True))
        found |= {name: folder_stamp(place) for name, place in places.items() if place.is_dir()}
    place = start_weights.file_of(asked.get("encoder_weights", "none"), asked.get("encoder"), base)
    if place is not None and place.is_file():
        found["encoder_weights"] = _weights(place, place.stat().st_mtime_ns)
    return found


@cache
def _weights(path: Path, time: int) -> str:
    return content(path).hex()[:16]
