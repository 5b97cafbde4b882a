"""The three clinical tasks: train TSM-MobileNetV2 on clips and their segmentations, predict, fold by fold.

Every task encodes clips to features and puts a head on them: on the difference of two clips (S/F change: a
pair of clips; readmission: two days of one view) or on a clip's own (S/F ratio).
"""

from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from lusnb import baselines, batches, clipbank, files, networks, outcomes, training
from lusnb.batches import Batch
from lusnb.clipbank import ClipBank
from lusnb.cohort import Cohort
from lusnb.params import Params
from lusnb.predictions import Predictions
from lusnb.study import GRAYSCALE

CLASSES = {"sf_change": 3, "readmission": 2}


class TaskNetwork(nn.Module):
    """A clip encoder and a task's head; `clips` (N, T, C, H, W), `pairs` positions (P, 2) or None."""

    def __init__(self, task: str, channels: int, frames: int, weights: str = "none"):
        super().__init__()
        self.encoder = networks.ClipEncoder(channels, frames, weights)
        if task == "sf_ratio":
            layers = (nn.Linear(networks.FEATURES, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
            self.head = nn.Sequential(*layers, nn.Linear(64, 1))
        else:
            self.head = nn.Linear(networks.FEATURES, CLASSES[task])

    def logits(self, features: Tensor, pairs: Tensor | None) -> Tensor:
        """Head on features (N, 1280), or on second minus first of each pair: (N or P, outputs)."""
        return self.head(features if pairs is None else features[pairs[:, 1]] - features[pairs[:, 0]])

    def forward(self, clips: Tensor, pairs: Tensor | None) -> Tensor:
        return self.logits(self.encoder(clips), pairs)


def task_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of logits, or mean squared error of values (float targets)."""
    if target.is_floating_point():
        return F.mse_loss(outputs.squeeze(1), target)
    return F.cross_entropy(outputs, target)


@torch.inference_mode()
def encode(network: TaskNetwork, bank: ClipBank, where: np.ndarray, batch: int) -> Tensor:
    """Features of clips, (n, 1280), a batch at a time, in the network's present mode."""
    device = next(network.parameters()).device
    parts = np.array_split(where, max(1, -(-len(where) // batch)))
    return torch.cat([network.encoder(bank.inputs(part).to(device)).float() for part in parts])


@torch.inference_mode()
def outputs(network: TaskNetwork, bank: ClipBank, asked: Batch, batch: int) -> Tensor:
    """Logits or values of units, each clip encoded once; eval mode."""
    network.eval()
    features = encode(network, bank, asked.clips, batch)
    pairs = None if asked.pairs is None else asked.pairs.to(features.device)
    return network.logits(features, pairs)


class ClipTask(lightning.LightningModule):
    """One task's training: any of them is a batch of clips, perhaps their pairs, and targets.

    learnt: positions of the training clips. With p.refresh_norm the statistics of batch normalisation are
    taken anew from them before each validation: over few steps the running averages lag so far behind that
    a network gives every clip the same answer.
    """

    def __init__(self, network: TaskNetwork, bank: ClipBank, learnt: np.ndarray, p: Params):
        super().__init__()
        self.network, self.bank, self.learnt, self.p = network, bank, learnt, p

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _: int) -> Batch:
        return batch  # the clips are fetched by position, in the step

    def training_step(self, batch: Batch, _: int) -> Tensor:
        pairs = None if batch.pairs is None else batch.pairs.to(self.device)
        predicted = self.network(self.bank.inputs(batch.clips).to(self.device), pairs)
        loss = task_loss(predicted, batch.target.to(self.device))
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch.target))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Take the statistics of batch normalisation anew from the training clips, where asked for."""
        if self.p.refresh_norm:
            parts = np.array_split(self.learnt, max(1, len(self.learnt) // self.p.batch))
            inputs = (self.bank.inputs(part).to(self.device) for part in parts)
            update_bn(inputs, self.network.encoder)

    def validation_step(self, batch: Batch, _: int) -> None:
        predicted = outputs(self.network, self.bank, batch, self.p.batch)
        loss = task_loss(predicted, batch.target.to(predicted.device))
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(batch.target))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.p.learning_rate, fused=True)
        restarts = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=self.p.restart_epochs)
        return {"optimizer": optimizer, "lr_scheduler": restarts}


def _learners(cohort: Cohort, fold: int) -> list[str]:
    """The patients who train when one fold validates: neither of that fold nor of the test split."""
    patients = cohort.patients
    return list(patients.loc[patients["fold"].notna() & (patients["fold"] != fold), "patient_id"])


def train_fold(
    task: str, cohort: Cohort, bank: ClipBank, fold: int, p: Params, start: dict[str, Tensor] | None = None
) -> tuple[TaskNetwork, pd.DataFrame]:
    """Train one task without one fold, which validates; return the best epoch's network, and the history.

    p: learning_rate, epochs, batch, restart_epochs, encoder_weights, refresh_norm, precision, seed, and the
    task's own.
    start: weights of the task 1 network of the same arm and fold, whose encoder is taken over.
    """
    patients, members = cohort.patients, _learners(cohort, fold)
    torch.manual_seed(1000 * p.seed + fold)
    network = TaskNetwork(task, bank.channels, bank.frames.shape[1], p.encoder_weights)
    network = network.to(memory_format=torch.channels_last)  # a third faster on a CPU
    if start is not None:
        encoder = {k.removeprefix("encoder."): v for k, v in start.items() if k.startswith("encoder.")}
        network.encoder.load_state_dict(encoder)
    clips = bank.clips[bank.clips["patient_id"].isin(members)]
    if task == "sf_change":
        draw = lambda rng: batches.change_batches(bank, clips, cohort, p, rng)  # noqa: E731
    else:
        table = batches.units(task, cohort, members, p)
        if table.empty:
            raise ValueError(
                f"{task}, fold {fold}: expected units of {len(members)} training patients, found none; "
                "this fold leaves nothing to learn from: add patients or use fewer folds."
            )
        if task == "sf_ratio" and p.start_at_mean:
            nn.init.constant_(network.head[-1].bias, float(table["truth"].mean()))
        draw = lambda rng: batches.unit_batches(bank, table, p.batch, rng)  # noqa: E731
    held_out = batches.units(task, cohort, list(patients.loc[patients["fold"] == fold, "patient_id"]), p)
    module = ClipTask(network, bank, bank.position.loc[clips["clip_id"]].to_numpy(), p)
    history = training.fit(
        module,
        DataLoader(batches.Epochs(draw, 1000 * p.seed + fold), batch_size=None),
        DataLoader([batches.as_batch(bank, held_out)], batch_size=None) if len(held_out) else None,
        epochs=p.epochs,
        precision=p.precision,
        monitor="validation_loss",
        highest=False,
    )
    if not len(held_out):
        module.refresh()
    return network, training.complete(history, "validation_loss").assign(fold=fold)


def predict_fold(
    task: str, cohort: Cohort, bank: ClipBank, fold: int, p: Params, network: TaskNetwork
) -> pd.DataFrame:
    """Predictions of one fold's network and of the baselines, for validation and test patients.

    One row a unit and model (tsm, mean or majority, ridge), as outcomes.py describes.
    """
    patients = cohort.patients
    ids = {"validation": patients["fold"] == fold, "test": patients["split"] == "test"}
    known = batches.units(task, cohort, _learners(cohort, fold), p)
    tables = []
    for split, chosen in ids.items():
        asked = batches.units(task, cohort, list(patients.loc[chosen, "patient_id"]), p)
        if len(asked):
            network = network.to(training.device())
            values = {
                "tsm": outputs(network, bank, batches.as_batch(bank, asked), p.batch).float().cpu().numpy()
            }
            values |= _baselines(task, known, asked, bank.burdens())
            tables += [_rows(asked, model, value, split) for model, value in values.items()]
    if not tables:
        return pd.DataFrame(columns=[*outcomes.RUN, "patient_id", "truth"])
    table = pd.concat(tables, ignore_index=True)
    for k, (name, value) in enumerate({"arm": p.arm, "seed": p.seed, "fold": fold}.items()):
        table.insert(k, name, value)
    return table


def _rows(asked: pd.DataFrame, model: str, value: np.ndarray, split: str) -> pd.DataFrame:
    names = ["prediction"] if value.shape[1] == 1 else [f"logit_{k}" for k in range(value.shape[1])]
    table = asked.assign(**{name: value[:, k] for k, name in enumerate(names)})
    table.insert(0, "model", model)
    table.insert(1, "split", split)
    return table


def _baselines(
    task: str, known: pd.DataFrame, asked: pd.DataFrame, burdens: pd.Series | None
) -> dict[str, np.ndarray]:
    """Outputs (units, 1 or classes) of the trivial baselines, from the training patients' units alone."""
    if task == "sf_ratio":
        values = {"mean": np.full((len(asked), 1), known["truth"].mean())}
        if burdens is not None:
            x, at = (burdens.loc[t["clip_id"]].to_numpy()[:, None] for t in (known, asked))
            values["ridge"] = baselines.ridge_value(x, known["truth"].to_numpy(), at)[:, None]
        return values
    values = {"majority": baselines.class_logits(known["truth"], CLASSES[task], len(asked))}
    if burdens is not None:
        measure = baselines.change_features if task == "sf_change" else baselines.day_features
        x, at = measure(known, burdens), measure(asked, burdens)
        values["ridge"] = baselines.ridge_logits(x, known["truth"].to_numpy(), at, CLASSES[task])
    return values


@dataclass(frozen=True)
class Result:
    """One arm's task: a network a fold, the history, the predictions; all empty where it cannot be done."""

    networks: dict[int, TaskNetwork]
    history: pd.DataFrame
    predictions: pd.DataFrame
    task: str

    @property
    def scores(self) -> pd.DataFrame:
        """Tidy scores of the predictions (outcomes.py)."""
        return outcomes.score(self.task, self.predictions)


def run(task: str, cohort: Cohort, segmented: Predictions, p: Params, start: Path | None = None) -> Result:
    """Train and predict every fold of one arm's task.

    segmented: predictions of the arm's segmenter (of any arm for `grayscale`, which leaves the masks out).
    start: folder of the same arm's finished task 1, for readmission. A cohort that lacks what the task needs
    gives an empty result.
    """
    folds = sorted(cohort.patients["fold"].dropna().unique())
    thin = (
        []
        if cohort.lacks(task)
        else [k for k in folds if batches.units(task, cohort, _learners(cohort, k), p).empty]
    )
    if thin:
        print(f"{task}: nothing to learn from outside fold {', '.join(map(str, thin))}; nothing is trained")
    if cohort.lacks(task) or thin:
        empty = pd.DataFrame(columns=[*outcomes.RUN, "patient_id", "truth"])
        return Result({}, pd.DataFrame(columns=["epoch", "fold"]), empty, task)
    bank = clipbank.load(cohort, segmented, masks=p.arm != GRAYSCALE)
    done, histories, tables = {}, [], []
    for fold in folds:
        first = load_file(start / f"model_fold{fold}.safetensors") if start else None
        done[fold], history = train_fold(task, cohort, bank, fold, p, first)
        histories.append(history)
        tables.append(predict_fold(task, cohort, bank, fold, p, done[fold]))
    return Result(done, pd.concat(histories, ignore_index=True), pd.concat(tables, ignore_index=True), task)


def store(folder: Path, result: Result) -> None:
    """Write what a task leaves: weights of each fold, history, predictions, metrics."""
    for fold, network in result.networks.items():
        training.save(folder / f"model_fold{fold}.safetensors", network)
    files.write_csv(folder / "history.csv", result.history)
    files.write_csv(folder / "predictions.csv", result.predictions)
    files.write_csv(folder / "metrics.csv", result.scores)
