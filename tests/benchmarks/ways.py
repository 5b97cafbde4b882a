"""Ways of doing the same work, each in a process of its own, asked in turns for one round of it.

In turns, A B, B A, A B, so that whatever else the machine does disturbs all alike; in processes of their own,
so that each has its own peak of memory. A way is made by a function of some module, which prepares and
returns what does one round and tells how many units (images, pairs, clips) it did. The processes are forked
from one that has only imported what is slow to import.
"""

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

import psutil
import torch

MIB = 2**20
SLOW_TO_IMPORT = ["tests.benchmarks.ordinary", "tests.benchmarks.cases"]


@dataclass(frozen=True)
class Round:
    """What one round took: seconds by the clock, seconds of processor over all processes, units done."""

    wall: float
    cpu: float
    units: float


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def memory(process: psutil.Process) -> float:
    """MiB that a process takes, and its descendants beside what they share with it or others."""
    total = 0
    for one in family(process):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += one.memory_info().rss if one == process else one.memory_full_info().uss
    return total / MIB


def processor() -> float:
    """Seconds of processor so far of this process and of its descendants, ended ones included."""
    ended = os.times()
    total = time.process_time() + ended.children_user + ended.children_system
    for one in family(psutil.Process())[1:]:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def _serve(pipe: object, threads: int, make: Callable, given: tuple) -> None:
    """What a way's process does: prepare, then a round whenever asked."""
    torch.set_num_threads(threads)
    before = memory(psutil.Process())
    work = make(*given)
    pipe.send(before)
    while (asked := pipe.recv()) != "stop":
        gc.collect()
        cpu, start = processor(), time.perf_counter()
        units = work(*asked)
        wall = time.perf_counter() - start
        pipe.send(Round(wall, processor() - cpu, units))


@dataclass
class Way:
    """One way; `make(*given)` runs in its process. threads: PyTorch's own.

    rounds: what each round took, a list for each of the arguments that rounds are asked with.
    """

    name: str
    make: Callable
    given: tuple = ()
    threads: int = 2
    rounds: dict[tuple, list[Round]] = field(default_factory=dict)
    before: float = 0.0  # MiB, with everything imported
    peak: float = 0.0  # MiB, over the preparation and the first round, which is not counted

    def start(self, asked: list[tuple]) -> None:
        """Start the process, let it prepare and do a first round, while memory is looked at."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(SLOW_TO_IMPORT)
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, self.threads, self.make, self.given))
        self.process.start()
        far.close()
        done = threading.Event()
        looking = threading.Thread(target=self._look, args=(done,))
        looking.start()
        try:
            self.before = self.pipe.recv()
            for one in asked:
                self._ask(one)
        finally:
            done.set()
            looking.join()

    def _look(self, done: threading.Event) -> None:
        process = psutil.Process(self.process.pid)
        while not done.wait(0.1):
            self.peak = max(self.peak, memory(process))

    def _ask(self, one: tuple) -> Round:
        self.pipe.send(one)
        return self.pipe.recv()

    def go(self, one: tuple) -> None:
        """One round that counts."""
        self.rounds.setdefault(one, []).append(self._ask(one))

    def stop(self) -> None:
        """End the process."""
        with suppress(OSError):
            self.pipe.send("stop")
        self.process.join(20)
        if self.process.is_alive():
            for one in reversed(family(psutil.Process(self.process.pid))):
                one.kill()

    def took(self, what: str = "wall", asked: tuple = ()) -> float:
        """Seconds a unit, by the clock (`wall`) or of processor (`cpu`): the median over rounds."""
        return median(getattr(one, what) / one.units for one in self.rounds[asked])


def ratio(
    slow: Way, fast: Way, what: str = "wall", asked: tuple = (), fast_asked: tuple | None = None
) -> float:
    """How many times longer one way takes a unit than another: the median over rounds done side by side."""
    pairs = zip(slow.rounds[asked], fast.rounds[asked if fast_asked is None else fast_asked], strict=True)
    return median((getattr(s, what) / s.units) / (getattr(f, what) / f.units) for s, f in pairs)


def in_turns(ways: list[Way], rounds: int, counted: Callable, asked: list[tuple]) -> None:
    """Start the ways, one after another, then go through all of them round by round; then end them.

    counted(one_round, rounds) is asked to run the rounds (`benchmark.pedantic`). asked: the arguments that
    each round is done with, one after another.
    """
    order = list(ways)

    def one_round() -> None:
        for one in asked:
            for way in order:
                way.go(one)
            order.reverse()

    try:
        for way in ways:
            way.start(asked)
        counted(one_round, rounds)
    finally:
        for way in ways:
            if hasattr(way, "process"):
                way.stop()
