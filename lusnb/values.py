"""What the value of a parameter may be: said once, whatever notebook declares it."""

import difflib
from collections.abc import Callable, Iterable, Mapping

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")  # Lightning's names
PROTOCOLS = ("paper", "cross_fitted")
PAIRINGS = ("batch", "every", "pair")
CLASS_WEIGHTS = ("none", "balanced")
MERGES = ("mean", "majority", "staple")  # of several raters' maps
CHANNELS = ("binary", "probability")  # what is stored of the tasks' frames
TASK_CUTS = (
    "validation",
    "fixed",
)  # where probabilities become the masks that tasks read: the own cut, or 0.5
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
Rule = tuple[Callable[[object], bool], str]  # whether a value will do, and what is expected


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
