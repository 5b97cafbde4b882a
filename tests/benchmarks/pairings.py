"""What an epoch's pairs are drawn by, and what is learnt: at equal pairs and at equal optimiser steps.

    python -m tests.benchmarks.pairings [--seeds 2] [--folds 1] [--passes 4] [--rate 0.001] [--clips 8]

Three ways, as profiles name them (batches.pair_lesson): `batch`, `every`, `pair`. Equal pairs: each goes on
until it has met as many as `--passes` passes over all pairs hold; `batch` meets some of them more often than
others. Equal steps: each takes as many steps as `every` in these passes. A training is cut into ten parts,
after each of which it is validated; one cosine over all of them; the best part is kept, as a profile does.

A phantom in which S/F is congestion and little else, and its true masks, so that there is something to learn.
Zones are to draws about as in `paper`: some 30 clips in draws of 8, where there are some 112 in draws of 32.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, IterableDataset

from lusnb.cohort import arrays, splits
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.params import PAIRINGS, Params
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.segment import fitting, predictions
from lusnb.tasks import batches, clipbank, train
from lusnb.tasks import network as tasks_network
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.batches import Batch, Lesson
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.registry import TASKS
from tests.benchmarks import cases

QUESTIONS = {name: task.question for name, task in TASKS.items()}

SIZE, FRAMES, FOLDS, PARTS = 32, 2, 2, 10
NUMBERS = ("validation loss", "accuracy_3class", "accuracy_2class_cross_day", "auroc", "train loss")


class Parts(IterableDataset):
    """So many steps of a lesson, epoch after epoch, in ten parts of a length."""

    def __init__(self, lesson: Lesson, steps: int, seed: int):
        self.steps, rng = steps // PARTS, np.random.default_rng(seed)
        self.stream = (batch for _ in iter(int, 1) for batch in batches.one_epoch(lesson, rng))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return islice(self.stream, self.steps)


def made(folder: Path) -> tuple[Cohort, ClipBank]:
    """The phantom, and the bank of its clips with their true masks; half of the patients train."""
    plan = Plan(
        name="pairings", n_patients=48, n_clips=204, size=64, n_frames=4, fps=8, split=(40, 4, 4),
        folds=FOLDS, seed=1, link=1.0,
    )  # fmt: skip
    make_cohort(folder, plan)
    cohort = cohorts.read(folder, FOLDS)
    true = predictions.pack(arrays.true_masks(cohort, SIZE, FRAMES).astype(bool))
    bank = clipbank.load(cohort, SIZE, FRAMES)
    return cohort, ClipBank(bank.clips, bank.frames, bank.features, torch.from_numpy(true))


def lesson_of(cohort: Cohort, bank: ClipBank, fold: int, p: Params) -> tuple[Lesson, int, int]:
    """What a fold learns, and the steps and pairs of its epoch."""
    members = splits.task_roles(cohort.patients, fold)["train"]
    lesson = batches.lesson(QUESTIONS["sf_change"], bank, cohort, members, p)
    drawn = list(batches.one_epoch(lesson, np.random.default_rng(0)))
    return lesson, len(drawn), sum(len(batch.target) for batch in drawn)


def trained(cohort: Cohort, bank: ClipBank, fold: int, lesson: Lesson, steps: int, p: Params) -> dict:
    """Train one fold for so many steps; how its best part scores in validation."""
    members = splits.task_roles(cohort.patients, fold)
    held = batches.as_batch(bank, batches.units(QUESTIONS["sf_change"], cohort, members["validation"], p))
    network = train.build(QUESTIONS["sf_change"], bank, fold, p, None)
    learnt = np.flatnonzero(bank.clips["patient_id"].isin(members["train"]))
    module = tasks_network.ClipTask(network, bank, learnt, p, p.learning_rates[0])
    start = time.process_time()
    history = fitting.fit(
        module,
        DataLoader(Parts(lesson, steps, 1000 * p.seed + fold), batch_size=None),
        DataLoader([held], batch_size=None),
        epochs=PARTS, precision=p.precision, monitor="validation_loss", highest=False,
    )  # fmt: skip
    took = time.process_time() - start
    scores = tasks_scores.score(
        TASKS["sf_change"], train.predict_fold(QUESTIONS["sf_change"], cohort, bank, fold, p, network)
    )
    own = scores[(scores["split"] == "validation") & (scores["model"] == "tsm")]
    pooled = own[own["patient_id"].fillna("") == ""].set_index("metric")["value"]
    done = pd.DataFrame(module.met).sum()
    row = {"steps": done["steps"], "pairs": done["pairs"], "clips": done["clips"], "cpu s": took}
    row |= {"best": int(history.loc[history["best"], "epoch"].iloc[0]) + 1}
    row |= {name: pooled[name] for name in NUMBERS if name in pooled}
    row |= {"validation loss": history["validation_loss"].min(), "train loss": history["train_loss"].iloc[-1]}
    return row


def compared(cohort: Cohort, bank: ClipBank, asked: argparse.Namespace) -> pd.DataFrame:
    """A row a question, pairing, seed and fold."""
    rows = []
    given = {"batch": asked.clips, "batch_pairs": asked.clips // 2, "learning_rates": [asked.rate]}
    given |= {"epochs": PARTS, "restart_epochs": PARTS}
    for seed in range(asked.seeds):
        for fold in splits.task_folds(cohort.patients)[: asked.folds]:
            each = {n: cases.params_of("sf_change", "quick", pairing=n, seed=seed, **given) for n in PAIRINGS}
            lessons = {name: lesson_of(cohort, bank, fold, p) for name, p in each.items()}
            goal, same = asked.passes * lessons["every"][2], asked.passes * lessons["every"][1]
            for name, (lesson, steps, pairs) in lessons.items():
                plan = {"pairs": round(goal * steps / pairs), "steps": same}
                for equal in ("pairs", "steps") if name != "every" else ("pairs",):
                    row = trained(cohort, bank, fold, lesson, plan[equal], each[name])
                    rows.append({"equal": equal, "pairing": name, "seed": seed, "fold": fold} | row)
                    print(".", end="", flush=True, file=sys.stderr)
    table = pd.DataFrame(rows)
    both = table[table["pairing"] == "every"].assign(equal="steps")  # its steps are the measure: the same run
    return pd.concat([table, both], ignore_index=True).sort_values(["equal", "pairing"], kind="stable")


def told(table: pd.DataFrame) -> str:
    """Each run, the means, and each way less `every`, paired over seeds and folds."""
    numbers = [name for name in NUMBERS if name in table]
    lines = [table.round(3).to_string(index=False)]
    means = table.groupby(["equal", "pairing"])[["steps", "pairs", "clips", "cpu s", *numbers]].mean()
    lines.append(means.round(3).to_string())
    for (equal, name), own in table[table["pairing"] != "every"].groupby(["equal", "pairing"]):
        other = table[(table["pairing"] == "every") & (table["equal"] == equal)]
        keys = ["seed", "fold"]
        apart = own.set_index(keys)["validation loss"] - other.set_index(keys)["validation loss"]
        lines.append(
            f"equal {equal}: validation loss, {name} less every: {apart.mean():+.3f} "
            f"({', '.join(f'{one:+.3f}' for one in apart)})"
        )
    return "\n\n".join(lines)


def main(words: list[str]) -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pairings")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--passes", type=int, default=4, help="over all pairs")
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--clips", type=int, default=8, help="in a draw")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        table = compared(*made(Path(place) / "pairings"), given)
    print("\n" + told(table))


if __name__ == "__main__":
    main(sys.argv[1:])
