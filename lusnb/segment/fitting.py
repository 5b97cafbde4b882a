"""What every training here shares: Lightning without files, the best epoch kept in memory, the history."""

import contextlib
import logging
import warnings
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lusnb import files


class KeepBest(lightning.Callback):
    """Keep the weights of the best epoch, and one history row an epoch.

    `monitor` is a logged value; later epochs win ties, and every epoch counts as best while it is undefined.
    """

    def __init__(self, monitor: str, highest: bool):
        self.monitor, self.sign = monitor, 1 if highest else -1
        self.rows, self.best, self.state, self.validated = [], -float("inf"), None, 0

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.validated += 1

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]  # the schedule steps before the epoch's end

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        row = {k: float(v) for k, v in trainer.callback_metrics.items()}
        score = self.sign * row.get(self.monitor, float("nan"))
        row["epoch"], row["lr"] = trainer.current_epoch, self.rate
        row["kept"] = score >= self.best or (score != score and self.best == -float("inf"))
        if row["kept"]:
            self.best = score if score == score else self.best
            self.state = {k: v.detach().cpu().clone() for k, v in module.network.state_dict().items()}
        self.rows.append(row)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch, lr, what was logged, and `best` at the epoch that was kept."""
        table = pd.DataFrame(self.rows)
        last = table.index[table["kept"]].max()
        first = [c for c in ("epoch", "lr") if c in table]
        rest = sorted(c for c in table if c not in (*first, "kept"))
        return table[first + rest].assign(best=table.index == last)


def fit(
    module: lightning.LightningModule,
    train: object,
    validation: object,
    *,
    epochs: int,
    precision: str,
    monitor: str,
    highest: bool,
) -> pd.DataFrame:
    """Train `module.network`, leave it with the weights of its best epoch in eval mode, return the history.

    `train` and `validation` are loaders; an empty validation keeps the last epoch. Raises RuntimeError where
    Lightning did less than was asked: fewer steps, no validation, a schedule that stood still.
    """
    keep = KeepBest(monitor, highest)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec", category=FutureWarning)  # its own
        trainer = lightning.Trainer(
            max_epochs=epochs,
            precision=precision,
            callbacks=[keep],
            accelerator="auto",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=0,
        )
        trainer.fit(module, train, validation)
    _check_done(trainer, train, keep.validated if validation is not None else None)
    module.network.load_state_dict(keep.state)
    module.network.eval()
    return keep.history


def _check_done(trainer: lightning.Trainer, train: object, validated: int | None) -> None:
    """Raise RuntimeError unless every step ran, every epoch was validated, and every schedule moved.

    A loader that yields fewer batches than its length makes Lightning skip validation and schedule in
    silence. train: its length is taken where it has one. validated: how often; None where nobody validates.
    """
    epochs = trainer.max_epochs
    done = {"validations": (validated, epochs)} if validated is not None else {}
    for config in trainer.lr_scheduler_configs:
        done["steps of the learning-rate schedule"] = config.scheduler.last_epoch, epochs
    if hasattr(train, "__len__"):
        with contextlib.suppress(TypeError):  # a loader of a stream has no length
            done["optimiser steps"] = trainer.global_step, epochs * len(train)
    for what, (found, expected) in done.items():
        if found != expected:
            raise RuntimeError(
                f"training: expected {expected} {what} in {epochs} epochs, got {found}; the batches that the "
                "training loader yields are not as many as its length says."
            )


def complete(history: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The history with these columns, blank where nobody validated."""
    return history.reindex(columns=[*history, *(c for c in columns if c not in history)])


def device() -> torch.device:
    """Where networks run: the GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def place(array: np.ndarray | Tensor) -> Tensor:
    """An array as a tensor where networks run, if it takes at most half of the memory left there.

    Else it stays where it is: a memory-mapped file is read as it is used.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor = torch.as_tensor(array)
    where = device()
    if where.type == "cuda":
        torch.cuda.empty_cache()  # what PyTorch keeps for later counts as taken
    if where.type == "cuda" and 2 * tensor.nbytes <= torch.cuda.mem_get_info()[0]:
        return tensor.to(where)
    return tensor


def save(path: Path, network: nn.Module) -> None:
    """Write a network's weights as safetensors, whole or not at all."""
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    files.write_with(path, lambda beside: save_file(state, beside))


def restore(path: Path, network: nn.Module) -> nn.Module:
    """Read weights written by `save` into a network of the same shape."""
    network.load_state_dict(load_file(path))
    return network
