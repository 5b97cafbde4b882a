"""Parameters: declared in a notebook, given from outside, frozen."""

import copy
import pickle

import pytest

from lusnb import params

CELL = """# parameters: change them here
epochs: int = 3  # passes
rate: float = 0.1  # of Adam
name: str = "a"  # a name
weight: float | None = None  # None: the paper's
sizes: list = [1, 2]  # pixels
flag: bool = False  # a switch
"""


def run_cells(*cells):
    """The namespace of a notebook after some cells, as IPython leaves it."""
    namespace = {"In": ["", *cells]}
    for cell in cells:
        exec(cell, namespace)
    return namespace


def test_declared_reads_types_and_defaults_without_running():
    found = params.declared(CELL + "boom = 1 / 0\n")
    assert found["epochs"] == ("int", 3)
    assert found["weight"] == ("float | None", None)
    assert list(found) == ["epochs", "rate", "name", "weight", "sizes", "flag"]


def test_values_given_from_outside_win():
    p = params.freeze("nb", run_cells(CELL, "# Parameters\nepochs = 7\nrate = 1\n"))
    assert (p.epochs, p.rate, p.name, p.sizes) == (7, 1.0, "a", [1, 2])
    assert isinstance(p.rate, float)


def test_a_mistyped_parameter_names_the_nearest_right_one():
    with pytest.raises(
        params.ParameterError, match="nb: there is no parameter `epoch`; did you mean `epochs`"
    ):
        params.freeze("nb", run_cells(CELL, "# Parameters\nepoch = 7\n"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("epochs = 'ten'", "`epochs`: expected int, got 'ten'"),
        ("epochs = 2.5", "`epochs`: expected int, got 2.5"),
        ("epochs = True", "`epochs`: expected int, got True"),
        ("rate = None", "`rate`: expected float, got None"),
        ("flag = 1", "`flag`: expected bool, got 1"),
    ],
)
def test_a_wrong_type_is_refused(given, message):
    with pytest.raises(params.ParameterError, match=message):
        params.freeze("nb", run_cells(CELL, f"# Parameters\n{given}\n"))


def test_an_optional_parameter_takes_none_or_its_type():
    assert params.freeze("nb", run_cells(CELL)).weight is None
    assert params.freeze("nb", run_cells(CELL, "# Parameters\nweight = 1\n")).weight == 1.0


def test_a_cell_run_again_counts_with_its_new_values():
    p = params.freeze("nb", run_cells(CELL, CELL.replace("= 3", "= 5")))
    assert p.epochs == 5


def test_without_the_parameters_cell_the_remedy_is_named():
    with pytest.raises(params.ParameterError, match="run the notebook from the top"):
        params.freeze("nb", {"In": ["", "x = 1"]})


def test_params_are_frozen_and_name_what_they_lack():
    p = params.Params("nb", {"epochs": 3})
    with pytest.raises(AttributeError, match="frozen"):
        p.epochs = 4
    with pytest.raises(AttributeError, match="did you mean `epochs`"):
        _ = p.epoch
    assert dict(p) == {"epochs": 3}


@pytest.mark.parametrize("value", [-0.1, 1.01, 60.0, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(value):
    with pytest.raises(params.ParameterError, match="here: label_threshold: expected a fraction from 0 to 1"):
        params.check("here", "label_threshold", "float", value)


def test_params_travel_to_another_process():
    given = params.Params("03_train", {"epochs": 3})
    for again in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given)):
        assert again.notebook == "03_train" and dict(again) == {"epochs": 3}
    with pytest.raises(AttributeError, match="epochs"):
        _ = given.epoch
