"""How costs grow with a cohort: 1, 2, 4 and 8 times the clips and patients."""

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import cases, import_memory
from tests.benchmarks.table import Row, judged
from tests.benchmarks.ways import Way, ratio

TIMES = (1, 2, 4, 8)
SLACK = 1.15  # a ratio of 8 for 8 times the clips is linear; noise may add so much
MEGABYTES = (100, 400)


def test_growth(take_turns: Callable, tell: Callable, folder: Path, tmp_path: Path):
    folders = [cases.copies(folder, tmp_path / f"{k}" / "bench", k) for k in TIMES]
    ways = [Way(f"{k}", cases.grown, (place,)) for k, place in zip(TIMES, folders, strict=True)]
    take_turns(ways, 3, [(what,) for what in cases.GROWN])
    first, *others = ways
    for what in cases.GROWN:
        wall, cpu = ([ratio(way, first, kind, (what,)) for way in others] for kind in ("wall", "cpu"))
        words = (", ".join(f"{one:.2f}" for one in found) for found in (wall, cpu))
        times = (f"{way.took('wall', (what,)):.3g} s" for way in (ways[-1], first))
        target = judged([wall[-1]], None, TIMES[-1] * SLACK)
        memory = " ".join(f"{way.peak:.0f}" for way in ways)
        tell(Row(f"{what}: 2, 4, 8 times the clips over once", *times, *words, "", *target, memory))


def test_import(benchmark: object, tell: Callable):
    measured = {}
    benchmark.pedantic(lambda: measured.update({m: import_memory.measured(m) for m in MEGABYTES}))
    small, large = measured.values()
    times = f"{large.seconds:.3g} s", f"{small.seconds:.3g} s"
    name = f"import of {MEGABYTES[1]} MB over {MEGABYTES[0]} MB"
    told = f"{large.seconds / small.seconds:.2f}", "", "", "", "", f"{large.peak:.0f} / {small.peak:.0f}"
    tell(Row(name, *times, *told))
