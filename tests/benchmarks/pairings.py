"""Do pairs in the batch learn as much a step as pair by pair? Validation of both at equal optimiser steps.

    python -m tests.benchmarks.pairings [--seeds 3] [--epochs 20]

A small phantom with a strong link between congestion and S/F, its true masks, so that there is something to
learn. An epoch is as many steps for both as the batches of `batch`; a step encodes up to `--clips` clips in
both: all their pairs (batch), or half as many pairs that share no clip but by chance (pair).
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

from lusnb import batches, clipbank, downstream, predictions, splits, tasknet, training
from lusnb import cohort as cohorts
from lusnb.clipbank import ClipBank
from lusnb.cohort import Cohort
from lusnb.params import Params
from lusnb.phantom.build import make_cohort
from tests.benchmarks import cases

SIZE, FRAMES = 32, 2
PAIRINGS = ("batch", "pair")


def made(folder: Path) -> tuple[Cohort, ClipBank]:
    """The phantom, and the bank of its clips with their true masks."""
    make_cohort(
        folder, name="pairings", n_patients=32, n_clips=256, size=96, n_frames=4, fps=5, split=(22, 6, 4),
        folds=2, seed=3, workers=2, link=0.95,
    )  # fmt: skip
    cohort = cohorts.read(folder, 2)
    true = predictions.pack(cohorts.true_masks(cohort, SIZE, FRAMES).astype(bool))
    bank = clipbank.load(cohort, SIZE, FRAMES)
    return cohort, ClipBank(bank.clips, bank.frames, bank.features, torch.from_numpy(true))


def trained(cohort: Cohort, bank: ClipBank, fold: int, steps: int, p: Params) -> dict:
    """Train one fold for p.epochs epochs of so many steps; what its best epoch says of the validation."""
    members = splits.task_roles(cohort.patients, fold)
    clips = cohort.clips[cohort.clips["patient_id"].isin(members["train"])]
    asked = batches.units("sf_change", cohort, members["validation"], p)
    network = downstream.build("sf_change", bank, fold, p, None)
    learnt = np.flatnonzero(bank.clips["patient_id"].isin(members["train"]))
    draw = lambda rng: islice(batches.change_batches(bank, clips, cohort, p, rng), steps)  # noqa: E731
    start, held = time.process_time(), batches.as_batch(bank, asked)
    history = training.fit(
        tasknet.ClipTask(network, bank, learnt, p, p.learning_rates[0]),
        DataLoader(batches.Epochs(draw, 1000 * p.seed + fold), batch_size=None),
        DataLoader([held], batch_size=None),
        epochs=p.epochs, precision=p.precision, monitor="validation_loss", highest=False,
    )  # fmt: skip
    took = time.process_time() - start
    said = tasknet.outputs(network, bank, held, p.batch).argmax(1).cpu().numpy()
    accuracy = float((said == asked["truth"]).mean())
    majority = asked["truth"].value_counts(normalize=True).max()
    row = {"pairing": p.pairing, "seed": p.seed, "fold": fold, "steps": steps * p.epochs}
    row |= {"accuracy": accuracy, "loss": history["validation_loss"].min(), "majority": majority}
    return row | {"train loss": history["train_loss"].iloc[-1], "cpu s/step": took / steps / p.epochs}


def compared(cohort: Cohort, bank: ClipBank, seeds: int, epochs: int, clips: int) -> pd.DataFrame:
    """A row a pairing, seed and fold."""
    rows = []
    for seed in range(seeds):
        for fold in splits.task_folds(cohort.patients):
            given = {"batch": clips, "batch_pairs": clips // 2, "epochs": epochs, "seed": seed}
            asked = {n: cases.params_of("sf_change", "quick", pairing=n, **given) for n in PAIRINGS}
            train = splits.task_roles(cohort.patients, fold)["train"]
            own = cohort.clips[cohort.clips["patient_id"].isin(train)]
            rng = np.random.default_rng(0)
            steps = sum(1 for _ in batches.change_batches(bank, own, cohort, asked["batch"], rng))
            for pairing in PAIRINGS:
                rows.append(trained(cohort, bank, fold, steps, asked[pairing]))
                print(".", end="", flush=True, file=sys.stderr)
    return pd.DataFrame(rows)


def main(words: list[str]) -> None:
    """Compare, and print each run, then mean and SD over seeds and folds, and the paired difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pairings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        table = compared(*made(Path(place) / "pairings"), given.seeds, given.epochs, given.clips)
    print("\n" + table.round(3).to_string(index=False))
    numbers = ["accuracy", "loss", "train loss", "majority", "cpu s/step"]
    print("\n" + table.groupby("pairing")[numbers].agg(["mean", "std"]).round(3).to_string())
    wide = table.pivot(index=["seed", "fold"], columns="pairing", values=["accuracy", "loss"])
    for name in ("accuracy", "loss"):
        apart = wide[name]["batch"] - wide[name]["pair"]
        error = apart.std() / np.sqrt(len(apart))
        print(f"{name}, batch less pair: {apart.mean():+.3f}, standard error {error:.3f}, {len(apart)} runs")


if __name__ == "__main__":
    main(sys.argv[1:])
