"""The harness itself: it runs what it says it runs, and sees what fails."""

import pytest


def test_a_notebook_is_run_and_read_back(notebook):
    page = notebook("02_confidence_maps", sampled_size=64)
    assert page.python("[1 + 1, b'\\x00']") == [2, b"\x00"]
    page.execute("seen = 3")
    assert page.python("seen") == 3
    page.restart_kernel()
    with pytest.raises(RuntimeError, match="NameError"):
        page.python("seen")
    page.theme("dark")
    page.theme("light")
    assert page.screenshot("lab").stat().st_size > 10_000


def test_a_cell_that_fails_is_seen(notebook):
    page = notebook("02_confidence_maps", cohort="nowhere")
    with pytest.raises(AssertionError, match="nowhere"):
        page.run_all()
    with pytest.raises(KeyError, match="no such parameters: cohrt"):
        notebook("02_confidence_maps", cohrt="x")
