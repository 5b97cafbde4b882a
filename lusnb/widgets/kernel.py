"""What a widget may ask of the kernel it lives in."""

from collections.abc import Callable


def before_cells(do: Callable[[], object]) -> Callable[[], object]:
    """Have `do` called before each cell runs; returns what ends that. Without IPython nothing happens."""
    try:
        from IPython import get_ipython
    except ImportError:
        return lambda: None
    shell = get_ipython()
    if shell is None:
        return lambda: None

    def called(*_: object) -> None:
        do()

    shell.events.register("pre_run_cell", called)
    return lambda: shell.events.unregister("pre_run_cell", called)
