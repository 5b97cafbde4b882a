"""The parameters of one run: read them, check them, freeze them.

A notebook declares its parameters in one cell, `name: type = default  # unit and meaning`, whose first line
starts with MARK. papermill puts the values it was given into a second cell behind it. Unknown names, which
papermill lets through with a warning, are errors here. What the value of a parameter may be stands once in
RULES, whatever notebook declares it; which values of a training go together is in segment/choices.py.
"""

import ast
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")  # Lightning's names
PROTOCOLS = ("paper", "cross_fitted")
PAIRINGS = ("batch", "every", "pair")
CLASS_WEIGHTS = ("none", "balanced")
MERGES = ("mean", "majority", "staple")  # of several raters' maps
CHANNELS = ("binary", "probability")  # what is stored of the tasks' frames
TASK_CUTS = ("validation", "fixed")  # the masks that tasks read: at the own cut, or at 0.5
INTERPOLATIONS = ("nearest", "linear")  # of confidence, when it is warped and resized
SOURCES = ("phantom", "import", "folder")  # where a cohort comes from
NULLS = ("none", "confidence", "outcome")  # what a phantom says nothing about
WORDS = {  # parameters that are one of a few words
    "pairing": PAIRINGS,
    "class_weights": CLASS_WEIGHTS,
    "protocol": PROTOCOLS,
    "precision": PRECISIONS,
    "task_channels": CHANNELS,
    "task_cut": TASK_CUTS,
    "interpolation": INTERPOLATIONS,
    "merge": MERGES,
    "measured_on": MERGES,
    "source": SOURCES,
    "null": NULLS,
}
FEW = 6  # with fewer patients only their values and the smallest attainable p are reported
Rule = tuple[Callable[[Any], bool], str]  # whether a value will do, and what is expected

MARK = "# parameters:"
INJECTED = "# Parameters"
TYPES: dict[str, Any] = {
    "int": int,
    "float": (float, int),
    "str": str,
    "bool": bool,
    "list": list,
}


class ParameterError(ValueError):
    """A parameter that is unknown, of the wrong type, impossible, or given twice."""


class Params(Mapping):
    """Frozen parameters, read as attributes (`p.epochs`) or as a mapping."""

    _notebook: str
    _values: dict[str, Any]

    def __init__(self, notebook: str, values: Mapping[str, object]):
        object.__setattr__(self, "_notebook", notebook)
        object.__setattr__(self, "_values", dict(values))

    @property
    def notebook(self) -> str:
        """Name of the notebook, without its ending."""
        return self._notebook

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # no parameter; asked for while unpickling, when there are no values yet
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(unknown(self._notebook, name, self._values)) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"parameters are frozen: {name} cannot be set to {value!r}; make new Params")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Params({self._notebook}: " + ", ".join(f"{k}={v!r}" for k, v in self._values.items()) + ")"


def unknown(where: str, name: str, known: Mapping) -> str:
    """One sentence on a name that is not among the known ones, with the nearest right one."""
    nearest = near(name, known, 0.4)
    hint = f"did you mean `{nearest}`?" if nearest else f"known are {', '.join(known)}."
    return f"{where}: there is no parameter `{name}`; {hint}"


def declared(source: str) -> dict[str, tuple[str, object]]:
    """Parse a parameters cell: name -> (type name, default). The cell is read, never run."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
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


def check(where: str, name: str, kind: str, value: Any) -> object:
    """Return the value, an int as float where a float is declared.

    kind: a name of TYPES or None, or several, `str | float`. Raises ParameterError on another type, and on a
    value that no parameter of this name can have (params.py).
    """
    kinds = kind.split(" | ")
    if value is None and "None" in kinds:
        return None
    for plain in (k for k in kinds if k != "None"):
        if isinstance(value, TYPES[plain]) and (plain == "bool" or not isinstance(value, bool)):
            if told := wrong(name, value):
                raise ParameterError(f"{where}: {name}: {told}; change its value.")
            return float(value) if plain == "float" else value
    raise ParameterError(f"{where}: parameter `{name}`: expected {kind}, got {value!r}; change its value.")


def freeze(notebook: str, namespace: Mapping[str, Any]) -> Params:
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
    if told := wrong_together(found):
        raise ParameterError(f"{notebook}: {told}")
    return Params(notebook, found)


def _at_least(least: int) -> Rule:
    return lambda value: value >= least, f"{least} or more"


def _one_of(*names: str) -> Rule:
    return lambda value: value in names, f"one of {', '.join(names)}"


def near(name: object, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The known name that is nearest to a wrong one; "" where none is near."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_rates(values: list) -> bool:
    numbers = all(map(_is_number, values)) and len(set(values)) == len(values)
    return bool(values) and numbers and min(values) > 0


def _are_fractions(values: list) -> bool:
    return bool(values) and all(_is_number(value) and 0 <= value <= 1 for value in values)


def _are_sizes(values: list) -> bool:
    return bool(values) and all(isinstance(value, int) and value >= 1 for value in values)


FRACTION = (lambda value: 0 <= value <= 1, "a fraction from 0 to 1 (60 % is 0.6)")
RULES: dict[str, Rule] = {
    **dict.fromkeys(("epochs", "batch", "batch_pairs", "restart_epochs"), _at_least(1)),
    **dict.fromkeys(("task_size", "task_frames", "workers", "sampled_size"), _at_least(1)),
    **dict.fromkeys(("seed", "shuffle_seed", "fold", "inner", "explained", "mc_samples"), _at_least(0)),
    **dict.fromkeys(("tolerance", "rotation", "first_day", "second_day"), _at_least(0)),
    **dict.fromkeys(("label_threshold", "agreement_threshold", "compared_at", "paper_threshold"), FRACTION),
    "learning_rate": (lambda value: value > 0, "a number above 0"),
    "learning_rates": (
        _are_rates,
        "different numbers above 0, as [0.0001, 0.00001] (1e-4 is text to YAML: write 0.0001 or 1.0e-4)",
    ),
    "thresholds": (_are_fractions, "fractions from 0 to 1, as [0.2, 0.6] (60 % is 0.6)"),
    "working_sizes": (_are_sizes, "pixels a side, as [96, 512]"),
    **{name: _one_of(*words) for name, words in WORDS.items()},
}


def wrong(name: str, value: object) -> str:
    """What is wrong with a value of the right type, "expected ..., got ..."; "" for one that will do."""
    if name not in RULES or value is None:
        return ""
    will_do, expected = RULES[name]
    if will_do(value):
        return ""
    nearest = near(value, WORDS.get(name, ()))
    return f"expected {expected}, got {value!r}" + (f" (did you mean {nearest}?)" if nearest else "")


def wrong_together(values: Mapping[str, object]) -> str:
    """What is wrong with the values of one notebook that are each right by themselves; "" for nothing."""
    if "first_day" in values and values["first_day"] == values["second_day"]:
        told = f"got {values['first_day']} twice; change one."
        return f"first_day and second_day: expected two different days, {told}"
    return ""
