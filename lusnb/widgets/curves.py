"""Curves that stand beside the explorer's sliders, from the tables of finished runs."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lusnb.cohort.cohort import Cohort
from lusnb.study import matrix
from lusnb.widgets.arm_maps import BROKEN, unreadable

READS = {  # what a table of finished runs is needed for -> the notebook that makes it
    "kept": "02_confidence_maps",
    "iou": matrix.NOTEBOOKS["segmentation"],
    "iou_fixed": matrix.NOTEBOOKS["segmentation"],
    "calibration": matrix.NOTEBOOKS["segmentation"],
}
TABLES = {  # the tables themselves, below the folder of runs
    "kept": f"{READS['kept']}/kept_area.csv",
    "iou": "tables/threshold_matrix.csv",
    "iou_fixed": "tables/threshold_matrix_fixed.csv",
    "calibration": "tables/reliability.csv",
}
ONE_SCALE = {"pixels": "band", "scaled": "raw", "against": "labels"}  # which of 04's reliability curves


def curves(folder: Path, cohort: Cohort, remedy: str) -> dict:
    """Curves of finished runs; fractions throughout, points [x, y] by rising x.

    kept: feature -> [threshold, mean share of the painted area that it keeps]; iou: arm -> [threshold, macro
    IoU on labels at this threshold], each arm at its own validation cut; iou_fixed: the same, every arm cut
    at 0.5; calibration: feature (or 'all') -> arm -> [mean prediction, mean confidence of the label], near
    painted pixels. missing: which of them there are no runs for, or whose table cannot be read -> what to do.
    A run that is older than the arms' own cuts left one table of IoU, at 0.5: there iou is empty, and not
    missing. remedy: what makes runs.
    """
    found: dict[str, dict] = {"kept": {}, "iou": {}, "iou_fixed": {}, "calibration": {}, "missing": {}}
    readers: dict[str, Callable[[Path, Cohort], dict]] = {
        "kept": _kept,
        "iou": _iou,
        "iou_fixed": _iou,
        "calibration": _calibration,
    }
    older = not (folder / TABLES["iou_fixed"]).is_file()
    if older:
        readers.pop("iou_fixed")
    for name, reader in readers.items():
        notebook, path = READS[name], folder / TABLES[name]
        if not (folder / notebook / "finished").is_file():
            found["missing"][name] = f"{notebook} is not finished: {remedy}"
            continue
        try:
            found[name] = reader(path, cohort)
        except BROKEN as error:
            told = unreadable(path, error)
            found["missing"][name] = f"{told}: delete {notebook}/finished, then {remedy}"
    return found | {"iou": {}, "iou_fixed": found["iou"]} if older else found


def read(path: Path) -> pd.DataFrame:
    """A table of a run, names as text."""
    ids = dict.fromkeys(("arm", "patient_id", "clip_id", "feature", "model"), str)
    return pd.read_csv(path, dtype=ids, keep_default_na=False, na_values=[""])


def _kept(path: Path, cohort: Cohort) -> dict[str, list]:
    table = read(path)
    means = table.groupby(["feature", "threshold"])["share"].mean().dropna().reset_index()
    return {f: _points(means[means["feature"] == f], "threshold", "share") for f in cohort.features}


def _iou(path: Path, _: Cohort) -> dict[str, list]:
    table = read(path)
    long = table.melt("arm", var_name="threshold", value_name="iou").dropna()
    long = long.astype({"threshold": float})
    return {arm: _points(long[long["arm"] == arm], "threshold", "iou") for arm in table["arm"]}


def _calibration(path: Path, _: Cohort) -> dict[str, dict]:
    """Seeds are pooled by their pixels; tables of earlier versions lack some of the columns."""
    table = read(path)
    for column, value in ONE_SCALE.items():
        table = table[table[column] == value] if column in table else table
    table = table.assign(feature=table.get("feature", "all"))
    table = table[table["count"] > 0]
    weighed = table[["predicted", "observed"]].mul(table["count"], axis=0)
    sums = pd.concat([table[["feature", "arm", "bin", "count"]], weighed], axis=1)
    sums = sums.groupby(["feature", "arm", "bin"], sort=False).sum().reset_index()
    sums[["predicted", "observed"]] = sums[["predicted", "observed"]].div(sums["count"], axis=0)
    return {
        feature: {arm: _points(own, "predicted", "observed") for arm, own in part.groupby("arm", sort=False)}
        for feature, part in sums.groupby("feature", sort=False)
    }


def _points(table: pd.DataFrame, x: str, y: str) -> list[list[float]]:
    return table.sort_values(x)[[x, y]].round(5).to_numpy(float).tolist()
