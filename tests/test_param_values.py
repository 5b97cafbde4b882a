"""Values that no parameter of a name can have: refused before anything runs, in a sentence that says why."""

import pytest

from lusnb import params
from lusnb.segment import choices
from tests.conftest import PROJECT

RATES = r"learning_rates: expected different numbers above 0, as \[0.0001, 0.00001\] \(1e-4 is text to YAML"


@pytest.mark.parametrize(
    ("name", "kind", "value", "told"),
    [
        ("epochs", "int", 0, "epochs: expected 1 or more, got 0"),
        ("epochs", "int", -1, "epochs: expected 1 or more, got -1"),
        ("batch", "int", 0, "batch: expected 1 or more, got 0"),
        ("batch_pairs", "int", 0, "batch_pairs: expected 1 or more, got 0"),
        ("restart_epochs", "int", 0, "restart_epochs: expected 1 or more, got 0"),
        ("pairing", "str", "Batch", "pairing: expected one of batch, every, pair, got 'Batch'"),
        ("tolerance", "float", -1, "tolerance: expected 0 or more, got -1"),
        ("first_day", "int", -1, "first_day: expected 0 or more, got -1"),
        ("class_weights", "str", "balancd", "class_weights: expected one of none, balanced, got 'balancd'"),
        ("precision", "str", "bf17", "precision: expected one of 32-true, bf16-mixed, .*, got 'bf17'"),
        ("protocol", "str", "loo", "protocol: expected one of paper, cross_fitted, got 'loo'"),
        (
            "compared_at",
            "float",
            50.0,
            r"compared_at: expected a fraction from 0 to 1 .*, got 50.0",
        ),
        ("learning_rate", "float", 0.0, "learning_rate: expected a number above 0, got 0.0"),
        *[("learning_rates", "list", given, RATES) for given in ([], [0.0], [0.1, -1], [0.1, 0.1], [True])],
        ("learning_rates", "list", ["1e-4", "1e-5"], RATES + r".*, got \['1e-4', '1e-5'\]"),
    ],
)
def test_an_impossible_value_is_refused_by_name(name, kind, value, told):
    with pytest.raises(params.ParameterError, match=rf"^here: {told}.*; change its value\.$"):
        params.check("here", name, kind, value)


def test_what_is_possible_passes_and_other_names_take_anything():
    assert params.check("here", "learning_rates", "list", [0.0001, 1e-05]) == [0.0001, 1e-05]
    assert params.check("here", "epochs", "int", 1) == 1
    assert params.check("here", "noise", "float", -3) == -3.0
    assert params.wrong("pairing", "pair") == params.wrong("rater", "anybody") == ""


def test_two_days_that_are_one_are_refused():
    with pytest.raises(params.ParameterError, match="here: first_day and second_day: .* got 2 twice"):
        choices.check_together("here", {"first_day": 2, "second_day": 2, "epochs": 1})
    choices.check_together("here", {"first_day": 0, "second_day": 1})
    choices.check_together("here", {"epochs": 1})


def test_every_rule_is_of_a_parameter_and_every_default_passes():
    declared = {}
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        for name, (kind, value) in params.of_notebook(path).items():
            assert params.check(path.stem, name, kind, value) == value
            declared[name] = kind
    assert set(params.RULES) <= set(declared)
