"""The examples in docstrings give what they show."""

import doctest
import importlib

import pytest

MODULES = ["lusnb.calibration", "lusnb.confidence", "lusnb.segment.metrics", "lusnb.stats"]


def examples(name: str) -> list[doctest.DocTest]:
    """The docstrings of a module that hold examples."""
    found = doctest.DocTestFinder().find(importlib.import_module(name), name)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0 and tried >= len(examples(name)) >= 1


def test_a_dozen_functions_have_examples():
    assert sum(len(examples(name)) for name in MODULES) >= 12
