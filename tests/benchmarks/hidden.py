"""Do start weights from phantoms hide what thresholds differ in? From a finished study `pretrained`.

python -m tests.benchmarks.hidden [--runs runs]

A difference of two thresholds is taken patient by patient after each way of training; then two ways are
compared in that difference, again patient by patient (sign-flip test, Holm over all rows).
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import stats
from lusnb.segment import averages

PLACE = Path("pretrained") / "phantom_pretrained" / "tables" / "segmentation_common.csv"
WAYS, THRESHOLDS = ("short", "long", "phantom"), ("t020", "t050", "t080")


def compared(images: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Differences of thresholds after each way, and what two ways differ in them: stats.compare_pairs.

    images: segmentation_common.csv. metric: one of its metrics.
    """
    rows = images[images["metric"] == metric].dropna(subset="value")
    wide = averages.over_features(rows, ["arm"]).pivot(index="patient_id", columns="arm", values="value")
    rng = np.random.default_rng(0)
    pairs = [(f"{a}_{way}", f"{b}_{way}") for a, b in combinations(THRESHOLDS, 2) for way in WAYS]
    between = {f"{a} less {b}": wide[a] - wide[b] for a, b in pairs}
    twice = [
        (f"{a}_phantom less {b}_phantom", f"{a}_{way} less {b}_{way}")
        for a, b in combinations(THRESHOLDS, 2)
        for way in ("long", "short")
    ]
    return stats.compare_pairs(wide, pairs, rng), stats.compare_pairs(pd.DataFrame(between), twice, rng)


def main() -> None:
    """Print both tables for the IoU against the truth."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    images = pd.read_csv(parser.parse_args().runs / PLACE)
    means = averages.over_features(images[images["metric"] == "truth_iou"].dropna(subset="value"), ["arm"])
    print(means.groupby("arm", sort=False)["value"].mean().round(3).to_string())
    columns = ["arm", "reference", "patients", "difference", "low", "high", "p_holm"]
    for table in compared(images, "truth_iou"):
        print(table[columns].round(4).to_string(index=False))


if __name__ == "__main__":
    main()
