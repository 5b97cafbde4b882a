"""What the value of a parameter may be: said once, whatever notebook declares it."""

from collections.abc import Callable, Mapping

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")  # Lightning's names
PROTOCOLS = ("paper", "cross_fitted")
PAIRINGS = ("batch", "pair")
CLASS_WEIGHTS = ("none", "balanced")
MERGES = ("mean", "majority", "staple")  # of several raters' maps
CHANNELS = ("binary", "probability")  # what is stored of the tasks' frames
TASK_CUTS = ("validation", "fixed")  # where the tasks' masks are cut: the arm's own cut, or 0.5
INTERPOLATIONS = ("nearest", "linear")  # of confidence, when it is warped and resized
Rule = tuple[Callable[[object], bool], str]  # whether a value will do, and what is expected


def _at_least(least: int) -> Rule:
    return lambda value: value >= least, f"{least} or more"


def _one_of(*names: str) -> Rule:
    return lambda value: value in names, f"one of {', '.join(names)}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_rates(values: list) -> bool:
    numbers = all(map(_is_number, values)) and len(set(values)) == len(values)
    return bool(values) and numbers and min(values) > 0


FRACTION = (lambda value: 0 <= value <= 1, "a fraction from 0 to 1 (60 % is 0.6)")
RULES: dict[str, Rule] = {
    **dict.fromkeys(("epochs", "batch", "batch_pairs", "restart_epochs"), _at_least(1)),
    **dict.fromkeys(("task_size", "task_frames", "workers"), _at_least(1)),
    **dict.fromkeys(("seed", "shuffle_seed", "fold", "inner", "explained", "mc_samples"), _at_least(0)),
    **dict.fromkeys(("tolerance", "rotation", "first_day", "second_day"), _at_least(0)),
    **dict.fromkeys(("label_threshold", "agreement_threshold", "compared_at", "paper_threshold"), FRACTION),
    "learning_rate": (lambda value: value > 0, "a number above 0"),
    "learning_rates": (
        _are_rates,
        "different numbers above 0, as [0.0001, 0.00001] (1e-4 is text to YAML: write 0.0001 or 1.0e-4)",
    ),
    "pairing": _one_of(*PAIRINGS),
    "class_weights": _one_of(*CLASS_WEIGHTS),
    "protocol": _one_of(*PROTOCOLS),
    "precision": _one_of(*PRECISIONS),
    "task_channels": _one_of(*CHANNELS),
    "task_cut": _one_of(*TASK_CUTS),
    "interpolation": _one_of(*INTERPOLATIONS),
    "measured_on": _one_of(*MERGES),
}


def wrong(name: str, value: object) -> str:
    """What is wrong with a value of the right type, "expected ..., got ..."; "" for one that will do."""
    if name not in RULES or value is None:
        return ""
    will_do, expected = RULES[name]
    return "" if will_do(value) else f"expected {expected}, got {value!r}"


def wrong_together(values: Mapping[str, object]) -> str:
    """What is wrong with the values of one notebook that are each right by themselves; "" for nothing."""
    if "first_day" in values and values["first_day"] == values["second_day"]:
        return f"first_day and second_day: expected two different days, got {values['first_day']} twice"
    return ""
