"""The three clinical tasks: train TSM-MobileNetV2 on clips and their segmentations, predict, fold by fold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lusnb import files
from lusnb.arms import GRAYSCALE
from lusnb.cohort import problems, splits
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment import fitting
from lusnb.study import matrix
from lusnb.study.runs import read_csv
from lusnb.tasks import baselines, batches, clipbank
from lusnb.tasks import network as tasks_network
from lusnb.tasks.batches import Lesson
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.masks import Segmented
from lusnb.tasks.network import ClipTask, TaskNetwork, class_weights, outputs
from lusnb.tasks.question import RUN, Question


def build(
    question: Question, bank: ClipBank, fold: int, p: Params, start: dict[str, Tensor] | None
) -> TaskNetwork:
    """The untrained network of one fold; the same seed and fold give the same weights.

    start: weights of the task 1 network of the same arm and fold, whose encoder is taken over.
    """
    torch.manual_seed(1000 * p.seed + fold)
    network = TaskNetwork(len(question.classes), bank.channels, bank.frames.shape[1], p.encoder_weights)
    network = network.to(memory_format=torch.channels_last)  # a third faster on a CPU
    if start is not None:
        encoder = {k.removeprefix("encoder."): v for k, v in start.items() if k.startswith("encoder.")}
        network.encoder.load_state_dict(encoder)
    return network


def _lesson(question: Question, cohort: Cohort, bank: ClipBank, fold: int, p: Params) -> Lesson:
    """What a fold learns from, of which it needs something."""
    members = splits.task_roles(cohort.patients, fold, p.protocol)["train"]
    found = batches.lesson(question, bank, cohort, members, p)
    if not found.possible:
        raise ValueError(
            f"{question.name}, fold {fold}: expected units of {len(members)} training patients, found none; "
            "this fold leaves nothing to learn from: add patients or use fewer folds."
        )
    return found


def train_fold(
    question: Question,
    cohort: Cohort,
    bank: ClipBank,
    fold: int,
    p: Params,
    start: dict[str, Tensor] | None = None,
) -> tuple[TaskNetwork, pd.DataFrame]:
    """Train one task for one fold with each learning rate, and keep the one that validates best.

    p: protocol, learning_rates, epochs, batch, restart_epochs, encoder_weights, refresh_norm, precision,
    seed, and the task's own (class_weights for classes). start: as in `build`. Returns the network of the
    best epoch of the chosen rate, and the history of all rates: fold, learning_rate, chosen, epoch, ..., best
    (the epoch that was kept of each rate), steps and clips (optimiser steps of the epoch, clips encoded in
    them); where pairs are drawn also pairs and possible_pairs (met in the epoch, and how many there are).
    Without validation units the first rate is taken.
    """
    members, rates = splits.task_roles(cohort.patients, fold, p.protocol), p.learning_rates
    lesson, classes = _lesson(question, cohort, bank, fold, p), len(question.classes)
    weights = class_weights(p.class_weights, lesson.truth, classes) if classes else None
    held_out = batches.units(question, cohort, members["validation"], p)
    clips = bank.clips["patient_id"].isin(members["train"])
    trained, histories, losses = [], [], []
    for rate in rates:
        network = build(question, bank, fold, p, start)
        if not classes and p.start_at_mean:
            nn.init.constant_(network.head[-1].bias, float(lesson.truth.mean()))
        module = ClipTask(network, bank, np.flatnonzero(clips), p, rate, weights)
        history = fitting.fit(
            module,
            DataLoader(batches.Epochs(lesson, 1000 * p.seed + fold), batch_size=None),
            DataLoader([batches.as_batch(bank, held_out)], batch_size=None) if len(held_out) else None,
            **{"epochs": p.epochs, "precision": p.precision, "monitor": "validation_loss", "highest": False},
        )
        if not len(held_out):
            module.to(fitting.device()).refresh()  # Lightning has taken it back to the CPU
        history = fitting.complete(history, "validation_loss").join(_met(question, module, lesson))
        history = history.assign(fold=fold, learning_rate=rate)
        trained.append(network)
        histories.append(history)
        losses.append(history.loc[history["best"], "validation_loss"].fillna(np.inf).min())
    best = int(np.argmin(losses))
    table = pd.concat(histories, ignore_index=True)
    return trained[best], table.assign(chosen=table["learning_rate"] == rates[best])


def _met(question: Question, module: ClipTask, lesson: Lesson) -> pd.DataFrame:
    """What each epoch was, a row each, as `train_fold` says."""
    counts = pd.DataFrame(module.met, columns=tasks_network.MET)
    if not question.pairs:
        return counts.drop(columns="pairs")  # every unit once
    return counts.assign(possible_pairs=lesson.possible)


def met(history: pd.DataFrame) -> str:
    """A line a fold, as with every learning rate: steps, and what an epoch meets and encodes."""
    lines = []
    for fold, own in history[history["chosen"]].groupby("fold", sort=True) if len(history) else ():
        last, meets = own.iloc[-1], ""
        if "pairs" in own:
            share = 100 * last["pairs"] / last["possible_pairs"]
            meets = f"meets {last['pairs']:,} of {last['possible_pairs']:,} pairs ({share:.0f} %), "
        epochs, steps, each, clips = (
            problems.counted(number, name)
            for number, name in (
                *((len(own), "epoch"), (own["steps"].sum(), "step")),
                *((last["steps"], "step"), (last["clips"], "clip")),
            )
        )
        lines.append(f"fold {fold}: {epochs}, {steps}; an epoch {meets}takes {each} and encodes {clips}")
    return "\n".join(lines)


def predict_fold(
    question: Question, cohort: Cohort, bank: ClipBank, fold: int, p: Params, network: TaskNetwork
) -> pd.DataFrame:
    """Predictions of one fold's network and of the baselines, for validation and test patients.

    One row a unit and model (tsm, mean or majority, ridge, logistic), as tasks/scores.py describes. Logits
    stand as the network gives them.
    """
    members = splits.task_roles(cohort.patients, fold, p.protocol)
    known = batches.units(question, cohort, members["train"], p)
    network, measures = network.to(fitting.device()), bank.measures
    parts = {name: batches.units(question, cohort, members[name], p) for name in ("validation", "test")}
    asked = pd.concat([part.assign(split=name) for name, part in parts.items()], ignore_index=True)
    if asked.empty:
        return pd.DataFrame(columns=[*RUN, "patient_id", "truth"])
    values = {"tsm": outputs(network, bank, batches.as_batch(bank, asked), p.batch).float().cpu().numpy()}
    values |= baselines.predict(question, known, asked, measures)
    table = pd.concat([_rows(asked, model, value) for model, value in values.items()], ignore_index=True)
    for k, (name, value) in enumerate({"arm": p.arm, "seed": p.seed, "fold": fold}.items()):
        table.insert(k, name, value)
    return table


def _rows(asked: pd.DataFrame, model: str, value: np.ndarray) -> pd.DataFrame:
    if value.shape[1] == 1:
        table = asked.assign(prediction=value[:, 0])
    else:
        logits = {f"logit_{k}": value[:, k] for k in range(value.shape[1])}
        table = asked.assign(**logits)
    table.insert(0, "model", model)
    table.insert(1, "split", table.pop("split"))
    return table


@dataclass(frozen=True)
class Result:
    """One arm's task: a network a fold, the history, the predictions; all empty where it cannot be done.

    patients: who was what in which fold, and whose masks were read: fold, patient_id, role, segmented_by (the
    run of the segmenter, blank where there is none).
    """

    question: Question
    networks: dict[int, TaskNetwork]
    history: pd.DataFrame
    predictions: pd.DataFrame
    patients: pd.DataFrame


def _who(cohort: Cohort, segmented: Segmented, fold: int, p: Params) -> pd.DataFrame:
    """Each patient's role in one fold, and the segmenter of their clips."""
    roles = splits.task_roles(cohort.patients, fold, p.protocol)
    by = segmented.by(fold) if p.arm != GRAYSCALE else pd.Series("", index=cohort.clips["clip_id"])
    names = by.groupby(cohort.clips["patient_id"].to_numpy()).first()
    rows = [(fold, patient, role) for role, ids in roles.items() for patient in ids]
    table = pd.DataFrame(rows, columns=["fold", "patient_id", "role"])
    return table.assign(segmented_by=table["patient_id"].map(names).fillna(""))


def _empty(question: Question) -> Result:
    return Result(
        question,
        {},
        pd.DataFrame(columns=["epoch", "fold"]),
        pd.DataFrame(columns=[*RUN, "patient_id", "truth"]),
        pd.DataFrame(columns=["fold", "patient_id", "role", "segmented_by"]),
    )


def _thin(question: Question, cohort: Cohort, p: Params) -> list[int]:
    """The folds that leave nothing to learn from."""
    found = []
    for fold in splits.task_folds(cohort.patients, p.protocol):
        members = splits.task_roles(cohort.patients, fold, p.protocol)["train"]
        if batches.units(question, cohort, members, p).empty:
            found.append(fold)
    return found


def open_bank(cohort: Cohort, segmented: Segmented) -> ClipBank:
    """The frames of every clip as a task reads them; `of_fold` adds a fold's masks."""
    return clipbank.load(cohort, segmented.task_size, segmented.task_frames)


def run(
    question: Question, cohort: Cohort, segmented: Segmented, p: Params, start: Path | None = None
) -> Result:
    """Train and predict every fold of one arm's task.

    segmented: the masks that each fold may read (for `grayscale`, size and
    frames alone count). start: folder of the finished task of the same arm from whose networks this one
    starts. A cohort that lacks what the task needs gives an empty result.
    """
    task = question.name
    if question.lacks(cohort):
        return _empty(question)
    if thin := _thin(question, cohort, p):
        print(f"{task}: nothing to learn from outside fold {', '.join(map(str, thin))}; nothing is trained")
        return _empty(question)
    if start and not _models(start):
        first = matrix.STARTS_FROM[task]
        print(f"{task}: {first}, from whose networks it starts, was not trained; nothing is trained")
        return _empty(question)
    bank = open_bank(cohort, segmented)
    done, histories, tables, who = {}, [], [], []
    for fold in splits.task_folds(cohort.patients, p.protocol):
        bank = bank.of_fold(None if p.arm == GRAYSCALE else segmented, fold)
        first = load_file(_models(start)[fold]) if start else None
        done[fold], history = train_fold(question, cohort, bank, fold, p, first)
        histories.append(history)
        tables.append(predict_fold(question, cohort, bank, fold, p, done[fold]))
        who.append(_who(cohort, segmented, fold, p))
    history, table, patients = (pd.concat(parts, ignore_index=True) for parts in (histories, tables, who))
    return Result(question, done, history, table, patients)


def _models(folder: Path) -> dict[int, Path]:
    """The stored weights of each fold."""
    found = {
        int(path.stem.removeprefix("model_fold")): path for path in folder.glob("model_fold*.safetensors")
    }
    return dict(sorted(found.items()))


def store(folder: Path, result: Result) -> None:
    """Write what a task leaves: weights of each fold, history, predictions, who was what."""
    for fold, network in result.networks.items():
        fitting.save(folder / f"model_fold{fold}.safetensors", network)
    files.write_csv(folder / "history.csv", result.history)
    files.write_csv(folder / "predictions.csv", result.predictions)
    files.write_csv(folder / "patients.csv", result.patients)


def read(question: Question, folder: Path, cohort: Cohort, segmented: Segmented, p: Params) -> Result:
    """What `store` left of a task that `run` trained; the same arguments."""
    networks = {}
    for fold, path in _models(folder).items():
        channels = 1 if p.arm == GRAYSCALE else 1 + len(cohort.features)
        networks[fold] = TaskNetwork(len(question.classes), channels, segmented.task_frames)
        networks[fold].load_state_dict(load_file(path))
    tables = (read_csv(folder, f"{name}.csv") for name in ("history", "predictions", "patients"))
    return Result(question, networks, *tables)
