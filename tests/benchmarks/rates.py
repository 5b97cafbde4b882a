"""How often something happened in so many studies, and whether that is more than it may."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.random import Generator
from scipy.stats import binomtest

LEVEL = 0.05


@dataclass(frozen=True)
class Rate:
    """count of `studies` in which it happened; low, high: exact binomial, 95 %."""

    count: int
    studies: int

    @property
    def limits(self) -> tuple[float, float]:
        found = binomtest(self.count, self.studies).proportion_ci(0.95, method="exact")
        return float(found.low), float(found.high)

    def more(self, level: float = LEVEL) -> bool:
        """Whether it happens more often than the level, beyond what so many studies leave open."""
        return self.limits[0] > level

    def shown(self, level: float | None = LEVEL) -> str:
        """In per cent with its limits, in bold where it is more than the level."""
        low, high = self.limits
        said = f"{100 * self.count / self.studies:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        return f"**{said}**" if level is not None and self.more(level) else said


def generator(seed: int, *words: object) -> Generator:
    """A stream of its own for each study set, whatever else is run."""
    return np.random.default_rng([seed, crc32(" ".join(map(str, words)).encode())])


def counted(studies: int, study: Callable[[], Mapping[str, bool | None]]) -> dict[str, Rate]:
    """Run a study so many times: how often each of what it tells is true; None does not count as a study."""
    return tallied(study() for _ in range(studies))


def tallied(told: Iterable[Mapping[str, bool | None]]) -> dict[str, Rate]:
    """The same of studies that were run already."""
    happened, asked = Counter(), Counter()
    for found in told:
        for name, is_true in found.items():
            if is_true is not None:
                happened[name] += bool(is_true)
                asked[name] += 1
    return {name: Rate(happened[name], count) for name, count in asked.items()}
