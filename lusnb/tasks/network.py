"""The network of the clinical tasks, its loss, and what one step of its training is.

Every task encodes clips to features and puts a head on them: on the difference of two clips (S/F change: a
pair of clips; readmission: two days of one view) or on a clip's own (S/F ratio). A value has a deeper head.
"""

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from lusnb.params import CLASS_WEIGHTS, Params
from lusnb.tasks import encoder
from lusnb.tasks.batches import Batch
from lusnb.tasks.clipbank import ClipBank

MET = ("steps", "clips", "pairs")  # columns of a history: what an epoch was


class TaskNetwork(nn.Module):
    """A clip encoder and a task's head; `clips` (N, T, C, H, W), `pairs` positions (P, 2) or None.

    classes: how many answers there are; 0: a value.
    """

    def __init__(self, classes: int, channels: int, frames: int, weights: str = "none"):
        super().__init__()
        self.encoder = encoder.ClipEncoder(channels, frames, weights)
        if not classes:
            layers = (nn.Linear(encoder.FEATURES, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
            self.head = nn.Sequential(*layers, nn.Linear(64, 1))
        else:
            self.head = nn.Linear(encoder.FEATURES, classes)

    def logits(self, features: Tensor, pairs: Tensor | None) -> Tensor:
        """Head on features (N, 1280), or on second minus first of each pair: (N or P, outputs)."""
        return self.head(features if pairs is None else features[pairs[:, 1]] - features[pairs[:, 0]])

    def forward(self, clips: Tensor, pairs: Tensor | None) -> Tensor:
        return self.logits(self.encoder(clips), pairs)


def task_loss(outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits, with a weight a class where given, or mean squared error (float targets)."""
    if target.is_floating_point():
        return F.mse_loss(outputs.squeeze(1), target)
    return F.cross_entropy(outputs, target, weight=weights)


def class_weights(how: str, truth: np.ndarray, classes: int) -> Tensor | None:
    """Weights of the classes in the loss: None, or 'balanced', inverse to how often each is in the training.

    A class that is not in it gets 1. Raises ValueError for another word.
    """
    if how not in CLASS_WEIGHTS:
        raise ValueError(f"class_weights: expected one of {CLASS_WEIGHTS}, got {how!r}; correct it.")
    if how == "none":
        return None
    counts = np.bincount(truth, minlength=classes)
    present = counts > 0
    weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0)
    return torch.tensor(weights, dtype=torch.float32)


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

    learnt: positions of the training clips. rate: of Adam. weights: of the classes in the loss. With
    p.refresh_norm the statistics of batch normalisation are taken anew from these clips before each
    validation: over few steps the running averages lag so far behind that a network gives every clip the same
    answer. `met` counts what each epoch was: its steps, the clips encoded and the pairs, or else units, met.
    """

    def __init__(
        self,
        network: TaskNetwork,
        bank: ClipBank,
        learnt: np.ndarray,
        p: Params,
        rate: float,
        weights: Tensor | None = None,
    ):
        super().__init__()
        self.network, self.bank, self.learnt, self.p, self.rate = network, bank, learnt, p, rate
        self.met: list[dict[str, int]] = []
        self.register_buffer("weights", weights)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _: int) -> Batch:
        return batch  # the clips are fetched by position, in the step

    def on_train_epoch_start(self) -> None:
        self.met.append(dict.fromkeys(MET, 0))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        for name, count in zip(MET, (1, len(batch.clips), len(batch.target)), strict=True):
            self.met[-1][name] += count
        pairs = None if batch.pairs is None else batch.pairs.to(self.device)
        predicted = self.network(self.bank.inputs(batch.clips).to(self.device), pairs)
        loss = task_loss(predicted, batch.target.to(self.device), self.weights)
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
        loss = task_loss(predicted, batch.target.to(predicted.device), self.weights)
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(batch.target))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.rate, fused=True)
        restarts = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=self.p.restart_epochs)
        return {"optimizer": optimizer, "lr_scheduler": restarts}
