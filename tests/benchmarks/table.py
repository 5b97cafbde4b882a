"""The one table that the benchmarks end with: a row a comparison."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Row:
    """One comparison. ours, other: what a unit took, in words. ratio: other over ours, or as `name` says."""

    name: str
    ours: str
    other: str
    ratio: str
    processor: str = ""  # the same ratio in seconds of processor, which a busy machine disturbs less
    limit: str = (
        ""  # operations a second over those of one large matrix product on the same cores, ours / other
    )
    target: str = ""
    met: str = ""
    memory: str = ""  # peak in MiB, ours / other


def seconds(value: float, unit: str) -> str:
    """A time a unit in words, three digits: 0.0123 s, image -> 12.3 ms/image."""
    for limit, factor, name in ((1e-3, 1e6, "us"), (1, 1e3, "ms"), (float("inf"), 1, "s")):
        if value < limit:
            return f"{value * factor:.3g} {name}/{unit}"
    raise ValueError(f"seconds: expected a number, got {value}.")


def judged(values: Sequence[float], least: float | None, most: float | None = None) -> tuple[str, str]:
    """A target in words, and whether all values meet it."""
    if least is None and most is None:
        return "", ""
    good = all(v >= least for v in values) if least is not None else all(v <= most for v in values)
    return (f"at least {least:g}" if least is not None else f"at most {most:g}"), "yes" if good else "NO"


def shown(rows: list[Row]) -> str:
    """The rows as one table."""
    names = {
        "name": "what", "other": "the ordinary way", "processor": "in processor time",
        "limit": "share of the limit", "memory": "peak MiB",
    }  # fmt: skip
    table = pd.DataFrame([asdict(row) for row in rows]).rename(columns=names)
    widths = {c: max([len(c), *table[c].str.len()]) for c in table}
    lines = ["  ".join(c.ljust(w) for c, w in widths.items())]
    lines += ["  ".join(row[c].ljust(w) for c, w in widths.items()) for row in table.to_dict("records")]
    return "\n".join(line.rstrip() for line in lines)
