"""What start weights are worth: the table of lusnb/segment/weights/README.md.

python -m tests.benchmarks.starts [--samples ../shared/data] [--write lusnb/segment/weights/README.md]

Networks are trained from nothing, from phantoms and from ImageNet on the same few frames, and tested on
patients (images, stretches of a clip) that they did not see: on a phantom as the weights were trained on, on
one of other habits (B lines that fade and do not erase what they cross, three raters who differ), and on real
images. Every training is as long. Labels count from 50 % on; phantoms are measured by their truth, real
images by their labels. The tasks' encoder is tried on S/F, from true masks and from gray alone.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lusnb import stats
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.readers.folder import import_folder
from lusnb.segment import averages, frames, metrics, predict, segmenter
from lusnb.segment.frames import Labelled
from lusnb.segment.predictions import Predictions
from lusnb.tasks import masks, train
from lusnb.tasks.sf_ratio import TASK
from tests.benchmarks.cases import ROOT, params_of

FIRST, LAST = "<!-- table -->", "<!-- end -->"  # marks of the page that is written
LITE = "tu-tf_efficientnet_lite0"
STARTS = {  # name -> encoder, encoder_weights
    "MobileNetV2, nothing": ("mobilenet_v2", "none"),
    "MobileNetV2, phantoms": ("mobilenet_v2", "phantom"),
    "EfficientNet-Lite0, nothing": (LITE, "none"),
    "EfficientNet-Lite0, ImageNet": (LITE, "pypi"),
}
FRAMES = "frames of one clip"
FOLDS, STEPS, BATCH = 3, 300, 4
USUAL = {"n_patients": 12, "n_clips": 48, "split": (8, 2, 2), "size": 128, "n_frames": 1, "seed": 7}
OTHER = {"b_fade": 2.0, "b_erases": False, "raters": 3, "habits": 1.0}
ARM = {"arm": "t050", "label_threshold": 0.5, "confidence_weight": "none", "background_weight": "none"}
TASK_COHORT = {"n_patients": 48, "n_clips": 288, "split": (20, 4, 24), "size": 128, "n_frames": 12, "seed": 7}


def asked(start: str, count: int) -> Params:
    """Parameters of a training on `count` frames: as many steps whatever their number."""
    encoder, weights = STARTS[start]
    epochs = max(1, round(STEPS / -(-count // BATCH)))
    given = {"encoder": encoder, "encoder_weights": weights, "size": 96, "batch": BATCH, "epochs": epochs}
    return params_of("train", "smoke", **ARM, **given, learning_rate=0.003)


def as_measured(cohort: Cohort, p: Params) -> Labelled:
    """The labelled frames with what they are measured by: the truth of a phantom, else the labels."""
    return frames.load(cohort if cohort.truth.empty else replace(cohort, labels=cohort.truth), p, [])


def groups(table: pd.DataFrame, parts: int) -> pd.Series:
    """The part of each frame: its patient's in turns, or of one patient's frames stretches of time."""
    patients = table["patient_id"].unique()
    if len(patients) > 1:
        return table["patient_id"].map({one: k % parts for k, one in enumerate(patients)})
    return pd.Series(np.arange(len(table)) * parts // len(table), index=table.index)


def scores(cohort: Cohort, start: str) -> pd.Series:
    """IoU of each patient, or of each frame of one patient, tested by a network that did not see it."""
    p = asked(start, 1)
    data, truth = frames.load(cohort, p, []), as_measured(cohort, p)
    part, alone = groups(data.table, FOLDS), data.table["patient_id"].nunique() == 1
    roles = {name: [name] for name in ("train", "validation", "test")}
    found = []
    for k in range(FOLDS):
        # a third is tested; of the others every fourth frame chooses the epoch and the cut
        role = np.where(np.arange(len(part)) % 4 == 0, "validation", "train")
        role = np.where(part == k, "test", role)
        here = replace(data, table=data.table.assign(patient_id=role))
        network, _ = segmenter.train(here, roles, asked(start, int((role == "train").sum())))
        said = predict.labelled(network, here, roles, p)
        tested = said.held_out
        drawn = said.levels[tested] >= said.cut
        value = metrics.labelled_iou(drawn, truth.confidence[tested] >= 128)
        units = truth.table["frame" if alone else "patient_id"].iloc[tested].to_numpy()
        found += [
            {"patient_id": unit, "feature": c, "value": float(v)}
            for unit, row in zip(units, value, strict=True)
            for c, v in enumerate(row)
        ]
    images = pd.DataFrame(found).dropna()
    return averages.over_features(images.assign(arm=start), ["arm"]).set_index("patient_id")["value"]


def compared(values: dict[str, pd.Series], unit: str) -> list[dict]:
    """One row a start: its mean, and what it gains over nothing with the same network (difference, p).

    values: start -> a value of each unit; nothing and the other start of a network in turns.
    """
    table, rows = pd.DataFrame(values), []
    names = list(table)
    for nothing, start in zip(names[::2], names[1::2], strict=True):
        tested = stats.compare_pairs(table, [(start, nothing)], np.random.default_rng(0)).iloc[0]
        gained = tested[["difference", "low", "high", "p"]].to_dict()
        if unit == FRAMES:  # of one clip, which are no independent draws of anything
            gained |= dict.fromkeys(("low", "high", "p"), np.nan)
        for name, told in ((nothing, {}), (start, gained)):
            row = {"start": name, "mean": f"{table[name].mean():.3g}", "tested": f"{len(table)} {unit}"}
            rows.append(row | told)
    return rows


def told(found: pd.DataFrame) -> pd.DataFrame:
    """The rows in words; p are corrected for all of them (Holm)."""
    known = found["p"].notna()
    found.loc[known, "p_holm"] = stats.holm(found.loc[known, "p"].to_numpy())
    words = []
    for row in found.itertuples():
        gain = "" if np.isnan(row.difference) else f"{row.difference:+.3g}"
        words.append(gain + (f" [{row.low:.3g}, {row.high:.3g}]" if known[row.Index] else ""))
    p = found["p_holm"].map(lambda value: "" if np.isnan(value) else f"{value:.2g}")
    columns = ["on", "of", "tested", "start", "mean"]
    return found[columns].assign(**{"over nothing": words, "p (Holm)": p})


def segmenters(name: str, cohort: Cohort, unit: str) -> Iterator[dict]:
    """The rows of one cohort."""
    values = {start: scores(cohort, start) for start in STARTS}
    for row in compared(values, unit):
        yield {"on": name, "of": "IoU", **row}


def tasks(folder: Path) -> Iterator[dict]:
    """The tasks' encoder on S/F, from true masks and from gray: mean squared error of the test patients."""
    cohort = cohorts.read(make_cohort(folder / "tasks", Plan(name="tasks", **TASK_COHORT)), 2)
    nothing = np.zeros(0, np.uint8)
    like = Predictions(nothing, nothing, pd.DataFrame(), {"task_size": 32, "task_frames": 2})
    true = masks.true(cohort, like)
    for arm in ("true_masks", "grayscale"):
        values = {}
        for weights in ("none", "phantom"):
            p = params_of("sf_ratio", "quick", arm=arm, encoder_weights=weights)
            table = train.run(TASK.question, cohort, true, p).predictions
            values[f"MobileNetV2, {'phantoms' if weights == 'phantom' else 'nothing'}"] = _errors(table)
        for row in compared(values, "patients"):
            yield {"on": f"S/F from {arm.replace('_', ' ')}", "of": "squared error", **row}


def _errors(table: pd.DataFrame) -> pd.Series:
    """Each test patient's squared error of TSM, views of a day averaged, days and folds averaged."""
    own = table[(table["split"] == "test") & (table["model"] == "tsm")]
    days = own.groupby(["patient_id", "day", "fold"])[["prediction", "truth"]].mean()
    return ((days["prediction"] - days["truth"]) ** 2).groupby("patient_id").mean()


def real(samples: Path, name: str, folder: Path) -> Cohort:
    """A sample as a cohort."""
    tables = ROOT / "notebooks" / "samples" / name
    import_folder(samples / name, folder / name, name=name, tables=tables, study_ids=False)
    return cohorts.read(folder / name)


def rows(samples: Path, folder: Path) -> Iterator[dict]:
    """All rows of the table."""
    for name, plan in (
        ("a phantom", Plan(name="usual", **USUAL)),
        ("a phantom of other habits", Plan(name="other", **USUAL, **OTHER)),
    ):
        yield from segmenters(name, cohorts.read(make_cohort(folder / plan.name, plan), 2), "patients")
    for name, told, unit in (
        ("usgra", "real: nerves of an arm, 12 images", "images"),
        ("lus_linear", "real: one lung clip", FRAMES),
    ):
        if (samples / name).is_dir():
            yield from segmenters(told, real(samples, name, folder), unit)
    yield from tasks(folder)


def main() -> None:
    """Print the table, or write it between the two marks of a page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--samples", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for row in rows(given.samples, Path(folder)):
            print(row, flush=True)
            found.append(row)
    table = told(pd.DataFrame(found))
    lines = ["| " + " | ".join(map(str, line)) + " |" for line in [table.columns, *table.to_numpy()]]
    lines.insert(1, "|" + "---|" * len(table.columns))
    if given.write:
        before, rest = given.write.read_text(encoding="utf-8").split(FIRST)
        page = "\n".join([before + FIRST, *lines, LAST + rest.split(LAST)[1]])
        given.write.write_text(page, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
