"""The parameters of one run: read them, check them, freeze them.

A notebook declares its parameters in one cell, `name: type = default  # unit and meaning`, whose first line
starts with MARK. papermill puts the values it was given into a second cell behind it. Unknown names, which
papermill lets through with a warning, are errors here.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from lusnb import values, ways

MARK = "# parameters:"
INJECTED = "# Parameters"
TYPES = {"int": int, "float": (float, int), "str": str, "bool": bool, "list": list}


class ParameterError(ValueError):
    """A parameter that is unknown, of the wrong type, impossible, or given twice."""


class Params(Mapping):
    """Frozen parameters, read as attributes (`p.epochs`) or as a mapping."""

    def __init__(self, notebook: str, values: Mapping[str, object]):
        object.__setattr__(self, "_notebook", notebook)
        object.__setattr__(self, "_values", dict(values))

    @property
    def notebook(self) -> str:
        """Name of the notebook, without its ending."""
        return self._notebook

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):  # no parameter; asked for while unpickling, when there are no values yet
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(unknown(self._notebook, name, self._values)) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"parameters are frozen: {name} cannot be set to {value!r}; make new Params")

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Params({self._notebook}: " + ", ".join(f"{k}={v!r}" for k, v in self._values.items()) + ")"


def unknown(where: str, name: str, known: Mapping) -> str:
    """One sentence on a name that is not among the known ones, with the nearest right one."""
    near = values.near(name, known, 0.4)
    hint = f"did you mean `{near}`?" if near else f"known are {', '.join(known)}."
    return f"{where}: there is no parameter `{name}`; {hint}"


def declared(source: str) -> dict[str, tuple[str, object]]:
    """Parse a parameters cell: name -> (type name, default). The cell is read, never run."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            found[node.target.id] = (ast.unparse(node.annotation), ast.literal_eval(node.value))
    return found


class _Once(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            name = key.value
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"`{name}` is given twice; keep one", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """The `name: value` lines of a YAML file; {} where it has none. Nothing in it is executed.

    Raises ParameterError for anything else, and for a name that is given twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Once) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: expected `name: value` lines, got {content!r}.")
    return content


def of_notebook(path: str | Path) -> dict[str, tuple[str, object]]:
    """Read the declared parameters of a notebook file: name -> (type name, default)."""
    for cell in json.loads(Path(path).read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            return declared("".join(cell["source"]))
    return {}


def _assigned(source: str) -> list[str]:
    targets = [t for node in ast.parse(source).body if isinstance(node, ast.Assign) for t in node.targets]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def check(where: str, name: str, kind: str, value: object) -> object:
    """Return the value, an int as float where a float is declared.

    kind: a name of TYPES or None, or several, `str | float`. Raises ParameterError on another type, and on a
    value that no parameter of this name can have (values.py).
    """
    kinds = kind.split(" | ")
    if value is None and "None" in kinds:
        return None
    for plain in (k for k in kinds if k != "None"):
        if isinstance(value, TYPES[plain]) and (plain == "bool" or not isinstance(value, bool)):
            if told := values.wrong(name, value):
                raise ParameterError(f"{where}: {name}: {told}; change its value.")
            return float(value) if plain == "float" else value
    raise ParameterError(f"{where}: parameter `{name}` must be {kind}, got {value!r}; change its value.")


def freeze(notebook: str, namespace: Mapping[str, object]) -> Params:
    """Freeze the parameters of a running notebook; call it in the cell behind the parameters.

    `namespace` is the notebook's `globals()`. The cells already run (`In`) tell what was declared and what
    papermill injected. Raises ParameterError on an unknown name, a wrong type or an impossible value.
    """
    cells = list(namespace["In"])
    own = [c for c in cells if c.lstrip().startswith(MARK)]
    if not own:
        raise ParameterError(f"{notebook}: the parameters cell was not run; run the notebook from the top.")
    known = declared(own[-1])
    for cell in cells:
        if cell.strip().split("\n", 1)[0].strip() == INJECTED:
            for name in _assigned(cell):
                if name not in known:
                    raise ParameterError(unknown(notebook, name, known))
    found = {n: check(notebook, n, kind, namespace[n]) for n, (kind, _) in known.items()}
    check_together(notebook, found)
    return Params(notebook, found)


def check_together(where: str, found: Mapping[str, object], base: Path = Path()) -> None:
    """Raise ParameterError where values that are each right by themselves do not go together, or name what is
    not there. base: the folder that paths among them are relative to."""
    told = values.wrong_together(found)
    if not told and "encoder" in found:  # of a segmenter
        told = ways.wrong_labels(found) or ways.wrong_network(found)
    if not told and "encoder_weights" in found:
        told = ways.wrong_weights(found["encoder_weights"], base)
    if told:
        raise ParameterError(f"{where}: {told}")
