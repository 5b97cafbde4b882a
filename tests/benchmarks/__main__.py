"""All benchmarks, or some of them, and one table at the end.

make bench        or        python -m tests.benchmarks [segmentation tasks growth study] [options]
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLAIN = ["-q", "--override-ini", "addopts=", "--benchmark-quiet", "--no-header", "-p", "no:cacheprovider"]


def main(words: list[str]) -> int:
    """Run the files bench_<word>.py, or all; other words are pytest's."""
    known = {path.stem.removeprefix("bench_"): str(path) for path in sorted(HERE.glob("bench_*.py"))}
    chosen = [known[word] for word in words if word in known] or list(known.values())
    return pytest.main([*PLAIN, *(word for word in words if word not in known), *chosen])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
