"""What the benchmarks share: comparing ways in turns, cohorts, and the table at the end."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.benchmarks import cases, limits
from tests.benchmarks.table import Row, judged, seconds, shown
from tests.benchmarks.ways import Way, in_turns, ratio

ROWS: list[Row] = []


@pytest.fixture
def tell(benchmark: object) -> Callable[[Row], None]:
    """Put a row into the table at the end, and into pytest-benchmark's record (--benchmark-json)."""

    def add(row: Row) -> None:
        ROWS.append(row)
        benchmark.extra_info.setdefault("rows", []).append(asdict(row))

    return add


@pytest.fixture
def take_turns(benchmark: object) -> Callable:
    """Run ways round by round in turns, pytest-benchmark counting the rounds."""

    def run(ways: list[Way], rounds: int, asked: Sequence[tuple] = ((),)) -> None:
        counted = lambda one, n: benchmark.pedantic(one, rounds=n, iterations=1)  # noqa: E731
        in_turns(ways, rounds, counted, list(asked))

    return run


@pytest.fixture
def compare(take_turns: Callable, tell: Callable) -> Callable:
    """Compare our way with others that do the same, and tell a row of each of them.

    asked: what rounds are done with, and what to call it. operations: of a unit; with them each way's share
    of what the same cores reach in one large matrix product is told, measured in the same turns. bounds:
    parts of our own work that no way can skip, told without a target.
    """

    def run(
        what: str, ours: Way, others: list[Way], *, unit: str, rounds: int, least: float | None = None,
        asked: dict[tuple, str] | None = None, operations: float | None = None,
        bounds: Sequence[Way] = (),
    ) -> None:  # fmt: skip
        asked = asked or {(): ""}
        top = [Way("one matrix product", limits.products, threads=ours.threads)] if operations else []
        take_turns([ours, *others, *bounds, *top], rounds, asked)
        for one, called in asked.items():
            for other in (*others, *bounds):
                value = ratio(other, ours, "wall", one)
                target, met = judged([value], None if other in bounds else least)
                times = (seconds(way.took("wall", one), unit) for way in (ours, other))
                memory = "" if called else f"{ours.peak:.0f} / {other.peak:.0f}"
                cpu = f"{ratio(other, ours, 'cpu', one):.2f}"
                shares = [limits.share(operations, way, limit, one) for way in (ours, other) for limit in top]
                limit = " / ".join(f"{share:.2f}" for share in shares)
                told = f"{value:.2f}", cpu, limit, target, met, memory
                tell(Row(f"{what}{called}: {other.name}", *times, *told))

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a phantom cohort whose clips and labels are stored at 256 pixels."""
    return cases.phantom(tmp_path_factory.mktemp("cohort") / "bench")


def pytest_terminal_summary(terminalreporter: object) -> None:
    if ROWS:
        terminalreporter.section("benchmarks", sep="=")
        terminalreporter.write_line(shown(ROWS))
