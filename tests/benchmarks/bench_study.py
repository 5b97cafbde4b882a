"""A whole `quick` study as `make study` runs it, in a copy of the project."""

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
LOOK = 0.5  # seconds between two looks at memory


def watched(command: list[str], where: Path) -> tuple[float, float, float]:
    """Run a command: seconds, seconds of processor, and peak MiB over all its processes at one time."""
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(where)}
    start, peak, before = time.perf_counter(), 0.0, processor()
    with open(where / "said.txt", "w") as said:
        running = subprocess.Popen(command, cwd=where, env=environment, stdout=said, stderr=said)
        while running.poll() is None:
            time.sleep(LOOK)
            if running.poll() is None:
                peak = max(peak, memory(psutil.Process(running.pid)))
    assert running.returncode == 0, (where / "said.txt").read_text()[-3000:]
    return time.perf_counter() - start, processor() - before, peak


def test_quick(benchmark: object, tell: Callable, tmp_path: Path):
    project = copy_project(tmp_path / "project")
    command = [sys.executable, "-m", "lusnb.study", "run", PROFILE, "--jobs", str(JOBS)]
    found = []
    benchmark.pedantic(lambda: found.extend(watched(command, project)))
    seconds, cpu, peak = found
    target = judged([seconds], None, MOST)
    tell(
        Row(
            f"study {PROFILE}, {JOBS} jobs",
            f"{seconds:.0f} s",
            "",
            "",
            f"{cpu:.0f} s",
            *target,
            f"{peak:.0f}",
        )
    )
