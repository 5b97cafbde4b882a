"""The clinical tasks: pairs in the batch against pair by pair, segmenting once against inside the task."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from lusnb.study import matrix, profile
from tests.benchmarks import cases, ordinary
from tests.benchmarks.table import Row, judged
from tests.benchmarks.ways import Way

STEPS = 3  # of each way, since an epoch pair by pair would take minutes
PER_ZONE = (45, 64, 90, 127)  # clips of a zone: n (n - 1) / 2 pairs, 1, 2, 4 and 8 times 990


@pytest.fixture(scope="module")
def large(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort eight times: 384 clips, about as many as the paper's learn from."""
    return cases.copies(folder, tmp_path_factory.mktemp("large") / "bench", 8)


def test_pairs(compare: Callable, large: Path):
    ours = Way("ours", cases.change_steps, (large, "batch", STEPS, 64, 4))
    alone = Way(f"pair by pair ({STEPS} steps of each)", cases.change_steps, (large, "pair", STEPS, 64, 4))
    what = "task 1, 32 clips a batch, statistics not refreshed"
    compare(what, ours, [alone], unit="pair", rounds=5, least=25)


@pytest.mark.parametrize("pairing", ["batch", "pair"])
def test_memory_of_pairs(take_turns: Callable, tell: Callable, large: Path, pairing: str):
    steps = None if pairing == "batch" else STEPS
    ways = [Way(f"{n}", cases.change_steps, (large, pairing, steps, 32, 2, n)) for n in PER_ZONE]
    take_turns(ways, 1)
    own = [way.peak - way.before for way in ways]
    grown = [one / own[0] for one in own[1:]]
    words = ", ".join(f"{one:.2f}" for one in grown)
    target = judged(grown, None, 1.1) if pairing == "batch" else ("", "")
    memory = " ".join(f"{one:.0f}" for one in own)
    name = f"task 1 by {pairing}, memory over 1, 2, 4, 8 times the pairs"
    tell(Row(name, f"{own[-1]:.0f} MiB", f"{own[0]:.0f} MiB", words, "", "", *target, memory))


def of_an_arm(way: Way, k: int, what: str) -> float:
    """Seconds of an arm of `quick` behind its segmenter, from the parts measured in round k."""
    total = getattr(way.rounds[cases.ONCE,][k], what)
    for task in matrix.TASKS:
        trainings = profile.load("quick").folds * len(cases.task_params(task).learning_rates)
        total += trainings * getattr(way.rounds[task,][k], what)
    return total


@pytest.mark.parametrize("encoder, size, rounds", [("tu-resnet10t", 96, 2), ("resnet34", 224, 1)])
def test_segmenting_once(
    take_turns: Callable, tell: Callable, folder: Path, encoder: str, size: int, rounds: int
):
    """With the segmenter of `quick`, and with one nearer to the paper's."""
    given = folder, encoder, size
    ours, inside = Way("ours", cases.tasks, given), Way("inside the task", ordinary.tasks, given)
    take_turns([ours, inside], rounds, [(task,) for task in (cases.ONCE, *matrix.TASKS)])
    found = {
        what: [[of_an_arm(way, k, what) for k in range(rounds)] for way in (ours, inside)]
        for what in ("wall", "cpu")
    }
    ratios = {what: median(b / a for a, b in zip(*both, strict=True)) for what, both in found.items()}
    times = (f"{median(values):.3g} s/arm" for values in found["wall"])
    shown = f"{ratios['wall']:.2f}", f"{ratios['cpu']:.2f}", "", *judged([ratios["wall"]], 3)
    memory = f"{ours.peak:.0f} / {inside.peak:.0f}"
    name = f"a further arm's tasks, {encoder} at {size} px: segmenting inside the task"
    tell(Row(name, *times, *shown, memory))
