"""Do pairs in the batch learn as much a step as pair by pair? Validation of both at equal optimiser steps.

    python -m tests.benchmarks.pairings [--seeds 3] [--folds 2] [--epochs 20] [--rate 0.003]

A phantom in which S/F is congestion and little else, and its true masks, so that there is something to learn.
An epoch is as many steps for both as the batches of `batch`; a step encodes up to `--clips` clips in both:
all their pairs (batch), or half as many pairs that share no clip but by chance (pair).
"""

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from lusnb import batches, clipbank, downstream, outcomes, predictions, splits, tasknet, training
from lusnb import cohort as cohorts
from lusnb.clipbank import ClipBank
from lusnb.cohort import Cohort
from lusnb.params import Params
from lusnb.phantom.build import make_cohort
from tests.benchmarks import cases

SIZE, FRAMES, FOLDS = 32, 2, 4
SCORES = ("accuracy_3class", "accuracy_2class", "accuracy_2class_cross_day", "auroc")
PAIRINGS = ("batch", "pair")


def made(folder: Path) -> tuple[Cohort, ClipBank]:
    """The phantom, and the bank of its clips with their true masks."""
    make_cohort(
        folder, name="pairings", n_patients=72, n_clips=432, size=64, n_frames=4, fps=8, split=(64, 4, 4),
        folds=FOLDS, seed=1, workers=2, link=1.0,
    )  # fmt: skip
    cohort = cohorts.read(folder, FOLDS)
    true = predictions.pack(cohorts.true_masks(cohort, SIZE, FRAMES).astype(bool))
    bank = clipbank.load(cohort, SIZE, FRAMES)
    return cohort, ClipBank(bank.clips, bank.frames, bank.features, torch.from_numpy(true))


def trained(cohort: Cohort, bank: ClipBank, fold: int, steps: int, p: Params) -> dict:
    """Train one fold for p.epochs epochs of so many steps; how its best epoch scores in validation."""
    members = splits.task_roles(cohort.patients, fold)
    clips = cohort.clips[cohort.clips["patient_id"].isin(members["train"])]
    held = batches.as_batch(bank, batches.units("sf_change", cohort, members["validation"], p))
    network = downstream.build("sf_change", bank, fold, p, None)
    learnt = np.flatnonzero(bank.clips["patient_id"].isin(members["train"]))
    draw = lambda rng: islice(batches.change_batches(bank, clips, cohort, p, rng), steps)  # noqa: E731
    start = time.process_time()
    history = training.fit(
        tasknet.ClipTask(network, bank, learnt, p, p.learning_rates[0]),
        DataLoader(batches.Epochs(draw, 1000 * p.seed + fold), batch_size=None),
        DataLoader([held], batch_size=None),
        epochs=p.epochs, precision=p.precision, monitor="validation_loss", highest=False,
    )  # fmt: skip
    took = time.process_time() - start
    scores = outcomes.score("sf_change", downstream.predict_fold("sf_change", cohort, bank, fold, p, network))
    own = scores[(scores["split"] == "validation") & (scores["patient_id"].fillna("") == "")]
    table = own.pivot_table(index="metric", columns="model", values="value")
    row = {"pairing": p.pairing, "seed": p.seed, "fold": fold, "steps": steps * p.epochs}
    row |= {"best epoch": int(history.loc[history["best"], "epoch"].iloc[0])}
    row |= {name: table.at[name, "tsm"] for name in SCORES}
    row |= {"validation loss": history["validation_loss"].min()}
    return row | {"train loss": history["train_loss"].iloc[-1], "cpu s/step": took / steps / p.epochs}


def compared(cohort: Cohort, bank: ClipBank, asked: argparse.Namespace) -> pd.DataFrame:
    """A row a pairing, seed and fold."""
    rows, sizes = [], {"batch": asked.clips, "batch_pairs": asked.clips // 2}
    for seed in range(asked.seeds):
        for fold in splits.task_folds(cohort.patients)[: asked.folds]:
            given = {**sizes, "epochs": asked.epochs, "restart_epochs": asked.epochs, "seed": seed}
            given["learning_rates"] = [asked.rate]
            each = {n: cases.params_of("sf_change", "quick", pairing=n, **given) for n in PAIRINGS}
            train = splits.task_roles(cohort.patients, fold)["train"]
            own = cohort.clips[cohort.clips["patient_id"].isin(train)]
            rng = np.random.default_rng(0)
            steps = sum(1 for _ in batches.change_batches(bank, own, cohort, each["batch"], rng))
            for pairing in PAIRINGS:
                rows.append(trained(cohort, bank, fold, steps, each[pairing]))
                print(".", end="", flush=True, file=sys.stderr)
    return pd.DataFrame(rows)


def main(words: list[str]) -> None:
    """Compare, and print each run, then mean and SD over seeds and folds, and the paired difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pairings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        table = compared(*made(Path(place) / "pairings"), given)
    print("\n" + table.round(3).to_string(index=False))
    numbers = [*SCORES, "validation loss", "train loss"]
    print("\n" + table.groupby("pairing")[numbers].agg(["mean", "std"]).round(3).T.to_string())
    wide = table.pivot(index=["seed", "fold"], columns="pairing", values=numbers)
    for name in numbers:
        apart = wide[name]["batch"] - wide[name]["pair"]
        error = apart.std() / np.sqrt(len(apart))
        print(f"{name}, batch less pair: {apart.mean():+.3f}, standard error {error:.3f}, {len(apart)} runs")


if __name__ == "__main__":
    main(sys.argv[1:])
