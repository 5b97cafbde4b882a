"""Whole studies as `make study` runs them, each in a copy of the project: `smoke` both ways, and `quick`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.benchmarks.table import Row, judged
from tests.benchmarks.ways import memory, processor
from tests.test_smoke import copy_project

PROFILE, JOBS, MOST = "quick", 2, 600  # seconds on two cores
BESIDE, LEAST = 1.5, 2  # seconds of a node beside its computing; times faster than processes of their own
LOOK = 0.5  # seconds between two looks at memory


def watched(command: list[str], where: Path) -> tuple[float, float, float]:
    """Run a command: seconds, seconds of processor, and peak MiB over all its processes at one time."""
    environment = {**os.environ, "PYTHONPATH": str(where)}
    start, peak, before = time.perf_counter(), 0.0, processor()
    with open(where / "said.txt", "w") as said:
        running = subprocess.Popen(command, cwd=where, env=environment, stdout=said, stderr=said)
        while running.poll() is None:
            time.sleep(LOOK)
            if running.poll() is None:
                peak = max(peak, memory(psutil.Process(running.pid)))
    assert running.returncode == 0, (where / "said.txt").read_text()[-3000:]
    return time.perf_counter() - start, processor() - before, peak


def run(profile: str, project: Path, *more: str) -> tuple[float, float, float]:
    """`make study` of a profile in a copy of the project, as `watched`."""
    command = [sys.executable, "-m", "lusnb.study", "run", profile, "--jobs", str(JOBS), *more]
    return watched(command, copy_project(project))


def computed(project: Path) -> tuple[float, int]:
    """Seconds that the cells of all executed notebooks took, and how many notebooks there are.

    Of kernels that were forked: to import takes no time there.
    """
    books = list((project / "runs").glob("**/notebook.ipynb"))
    cells = [cell for book in books for cell in json.loads(book.read_text())["cells"]]
    return sum(cell["metadata"].get("papermill", {}).get("duration") or 0.0 for cell in cells), len(books)


def test_nodes(benchmark: object, tell: Callable, tmp_path: Path):
    """What a node takes beside its computing: forked, and each in a process of its own."""
    found = {}

    def both() -> None:
        for name, more in (("cold", ["--cold"]), ("warm", [])):
            found[name] = run("smoke", tmp_path / name, *more)

    benchmark.pedantic(both)
    total, count = computed(tmp_path / "warm")
    beside = {name: (taken[0] - total / JOBS) / count for name, taken in found.items()}
    share = found["cold"][1] / found["warm"][1]
    target = judged([beside["warm"]], None, BESIDE)
    peaks = f"{found['warm'][2]:.0f} / {found['cold'][2]:.0f}"
    times = f"{beside['warm']:.2f} s/node", f"{beside['cold']:.2f} s/node"
    name = f"smoke, {JOBS} jobs, wall time a node adds to its computing: each a process of its own"
    told = f"{beside['cold'] / beside['warm']:.2f}", f"{share:.2f}", "", *target, peaks
    tell(Row(name, *times, *told))
    walls = f"{found['warm'][0]:.0f} s", f"{found['cold'][0]:.0f} s"
    ratio = found["cold"][0] / found["warm"][0]
    target = judged([ratio], LEAST)
    name = f"smoke, {JOBS} jobs: each a process of its own"
    tell(Row(name, *walls, f"{ratio:.2f}", f"{share:.2f}", "", *target, peaks))


def test_quick(benchmark: object, tell: Callable, tmp_path: Path):
    found = []
    benchmark.pedantic(lambda: found.extend(run(PROFILE, tmp_path / "project")))
    seconds, cpu, peak = found
    target = judged([seconds], None, MOST)
    told = f"{seconds:.0f} s", "", "", f"{cpu:.0f} s", "", *target, f"{peak:.0f}"
    tell(Row(f"study {PROFILE}, {JOBS} jobs", *told))
