"""Train a segmenter on one arm's labels, and segment frames and clips with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lightning
import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, SubsetRandomSampler, TensorDataset

from lusnb import confidence, params
from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment import cuts, fitting, losses, predictions
from lusnb.segment import network as segment_network
from lusnb.segment.augmentation import Augmentation
from lusnb.segment.frames import Labelled


def as_input(images: Tensor) -> Tensor:
    """uint8 0 to 255 -> float -1 to 1."""
    return images.float() / 127.5 - 1


class Segmenter(lightning.LightningModule):
    """A network and one arm's loss: confidence is augmented first, then becomes target and weight."""

    def __init__(self, network: nn.Module, p: Params):
        super().__init__()
        self.network, self.p, self.way = network, p, confidence.supervision(p)
        self.criterion = losses.loss(p.loss, self.way.activation)
        self.augment = Augmentation(p.rotation, p.interpolation)

    def _loss(self, outputs: Tensor, c: Tensor, known: Tensor, draw: Tensor | None = None) -> Tensor:
        y, w = confidence.shown(c, self.p, draw)
        per_feature = self.criterion(outputs, y, w)  # (N, C)
        return (per_feature * known).sum() / known.sum().clamp(min=1)

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        images, levels, known = batch  # (N, 1, S, S), (N, R, C, S, S), (N, R, C)
        draw = torch.rand(2, len(images)).to(images.device) if self.way.random else None
        levels, known = _one_rater(levels, known, draw)
        with torch.no_grad():
            images, c = self.augment(images.float() / 255, levels.float() / 255)
        images = images.mul(2).sub(1).contiguous(memory_format=torch.channels_last)
        loss = self._loss(self.network(images), c, known, None if draw is None else draw[0])
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(images))
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        images, levels, known = batch  # one map an image
        outputs, c = self.network(as_input(images)), levels.float() / 255
        levels = cuts.quantise(losses.as_logits(outputs, self.way.activation))
        for t in self.counted:
            self.counted[t] += cuts.counts(levels, confidence.targets(c, t), known)
        self.log("validation_loss", self._loss(outputs, c, known), on_epoch=True, batch_size=len(images))

    def on_validation_epoch_start(self) -> None:
        thresholds = confidence.GRADES if self.way.graded else (self.p.label_threshold,)
        self.counted = dict.fromkeys(thresholds, 0)

    def on_validation_epoch_end(self) -> None:
        scores = [cuts.best(counted)[1] for counted in self.counted.values()]
        if not np.isnan(scores).all():
            self.log("validation_iou", float(np.nanmean(scores)))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.p.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.p.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _one_rater(levels: Tensor, known: Tensor, draw: Tensor | None) -> tuple[Tensor, Tensor]:
    """One rater's maps of each image: (N, R, C, S, S), (N, R, C) -> (N, C, S, S), (N, C); draw: (2, N)."""
    if levels.shape[1] == 1:
        return levels[:, 0], known[:, 0]
    images = torch.arange(len(levels), device=levels.device)
    rater = confidence.chosen_rater(known.any(2), draw[1])
    return levels[images, rater], known[images, rater]


class _Batches(BatchSampler):
    """Batches of positions; a last one of a single image joins the one before, as some decoders cannot
    normalise over it."""

    @property
    def _lone(self) -> bool:
        return 1 < self.batch_size < len(self.sampler) and len(self.sampler) % self.batch_size == 1

    def __iter__(self) -> Iterator[list[int]]:
        found = list(super().__iter__())
        if self._lone:
            found[-2:] = [found[-2] + found[-1]]
        yield from found

    def __len__(self) -> int:  # Lightning waits for as many, and validates when the last has come
        return super().__len__() - self._lone


def _loader(
    tensors: tuple[Tensor, ...], chosen: np.ndarray, batch: int, generator: torch.Generator | None
) -> DataLoader:
    """Batches of the chosen positions of some tensors, wherever these lie; shuffled by the generator."""
    order = SubsetRandomSampler(chosen.tolist(), generator=generator) if generator else chosen.tolist()
    return DataLoader(
        TensorDataset(*tensors), sampler=_Batches(order, batch, drop_last=False), batch_size=None
    )


def _loaders(data: Labelled, roles: dict[str, list[str]], p: Params) -> tuple[DataLoader, DataLoader | None]:
    """Batches to train on, and to validate on: one map an image there, raters who are apart merged."""
    train, validation = data.of(roles["train"]), data.of(roles["validation"])
    images, maps, known = (fitting.place(part) for part in (data.images, *data.taught))
    shuffle = torch.Generator().manual_seed(p.seed + p.seed_offset)
    taught = _loader((images, maps, known), train, p.batch, shuffle)
    if not len(validation):
        return taught, None
    apart = confidence.supervision(p).raters_apart
    one = (data.confidence, data.known) if apart else (maps[:, 0], known[:, 0])
    return taught, _loader((images, *one), validation, p.batch, None)


def build(p: Params, features: int) -> nn.Module:
    """The untrained network of a run; the same seed gives the same weights."""
    torch.manual_seed(p.seed + p.seed_offset)
    network = segment_network.build_segmenter(
        p.encoder, features, p.decoder_channels, p.encoder_weights, p.decoder
    )
    return network.to(memory_format=torch.channels_last)


def train(data: Labelled, roles: dict[str, list[str]], p: Params) -> tuple[nn.Module, pd.DataFrame]:
    """Train one arm; return the network of the best epoch, and the history.

    p: the arm (supervision, label_threshold, confidence_weight, background_weight, loss), decoder, encoder,
    decoder_channels, encoder_weights, learning_rate, epochs, batch, rotation, interpolation, precision, seed,
    seed_offset. The best epoch has the highest pooled IoU on validation images at whichever cut is best for
    it (segment/cuts.py), so that it depends on no cut: against labels at the arm's label_threshold, or, where
    its target has grades, the mean over labels at several thresholds.
    """
    module = Segmenter(build(p, data.confidence.shape[1]), p)
    if p.mc_samples:
        check_dropout(module.network, p)
    if not len(data.of(roles["train"])):
        raise ValueError(
            f"arm {p.arm}: expected labelled frames of training patients, found none; "
            "label some, or change split in patients.csv."
        )
    history = fitting.fit(
        module,
        *_loaders(data, roles, p),
        epochs=p.epochs,
        precision=p.precision,
        monitor="validation_iou",
        highest=True,
    )
    return module.network, fitting.complete(history, "validation_loss", "validation_iou")


@torch.inference_mode()
def predict(
    network: nn.Module, images: Tensor, batch: int, activation: str = "sigmoid", dropout: bool = False
) -> Tensor:
    """Logits (N, C, S, S) on the CPU, of uint8 images (N, 1, S, S); eval mode, batch by batch.

    With another activation than sigmoid they are the logits of the probabilities that it gives. dropout:
    leave the dropout layers as in training, on PyTorch's random numbers.
    """
    where = fitting.device()
    network = network.to(where).eval()
    for layer in network.modules() if dropout else ():
        if isinstance(layer, DROPOUT):
            layer.train()
    some = images if len(images) else images.new_zeros((1, *images.shape[1:]))  # none: the shape of no logits
    inputs = (as_input(chunk.to(where)) for chunk in some.split(batch))
    outputs = [network(x.contiguous(memory_format=torch.channels_last)).float().cpu() for x in inputs]
    network.eval()
    return losses.as_logits(torch.cat(outputs)[: len(images)], activation)


DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def check_dropout(network: nn.Module, p: Params) -> None:
    """Raise ValueError where the network has no dropout layer, so that every pass would be the same."""
    if not any(isinstance(layer, DROPOUT) for layer in network.modules()):
        raise ValueError(
            f"mc_samples: expected 0, {p.decoder} has no dropout layer, got {p.mc_samples}; set 0."
        )


def predict_dropout(network: nn.Module, images: Tensor, p: Params) -> Tensor:
    """Mean probability over passes with dropout on (Gal and Ghahramani 2016), uint8 (N, C, S, S).

    p: mc_samples, batch, supervision, seed, seed_offset. The same seed gives the same samples. Raises
    ValueError where the network has no dropout layer.
    """
    check_dropout(network, p)
    activation = confidence.supervision(p).activation
    torch.manual_seed(p.seed + p.seed_offset)
    total = sum(
        predict(network, images, p.batch, activation, dropout=True).sigmoid() for _ in range(p.mc_samples)
    )
    return (total / p.mc_samples * 255).round().to(torch.uint8)


def segment_frames(network: nn.Module, frames: np.ndarray, p: Params) -> tuple[np.ndarray, np.ndarray]:
    """Segment frames, uint8 (T, H, W).

    Returns them as the network saw them, uint8 (T, S, S), and each feature's probability, (T, C, S, S).
    """
    small = np.stack([arrays.resize(frame, p.size) for frame in frames])
    activation = confidence.supervision(p).activation
    return small, predict(network, torch.from_numpy(small)[:, None], p.batch, activation).sigmoid().numpy()


def restore(folder: Path, features: int) -> tuple[nn.Module, Params]:
    """A trained arm from the folder of its run: the network, and the parameters that it was trained with."""
    asked = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    p = Params("03_train_segmentation", {**asked, "encoder_weights": "none"})
    return fitting.restore(folder / "model.safetensors", build(p, features)), p


def task_cut(own: int, p: Params) -> int:
    """The level at which the tasks' masks are cut: the arm's own, fitted on validation, or 0.5.

    p.task_cut: 'validation' or 'fixed'.
    """
    return own if p.task_cut == "validation" else predictions.CUT


class Segments(NamedTuple):
    """The tasks' frames of clips, segmented: uint8 (clips, T, C, s, b) as segment/predictions.py stores them,
    and their table clip_id, slot, frame."""

    frames: np.ndarray
    table: pd.DataFrame


def segment_clips(
    network: nn.Module, cohort: Cohort, p: Params, cut: int, patients: list[str] | None = None
) -> Segments:
    """Segment the tasks' frames of every clip once, or of every clip of some patients.

    p: size, batch, task_size, task_frames, task_channels. Frames are read at the segmenter's size; their
    probabilities are averaged down to the tasks' size, then cut at a level (1 to 255, `task_cut`).
    """
    if p.task_channels not in params.CHANNELS:
        raise ValueError(f"task_channels: expected one of {params.CHANNELS}, got {p.task_channels!r}.")
    out, rows = [], []
    width = -(-p.task_size // 8) if p.task_channels == "binary" else p.task_size
    out.append(np.zeros((0, p.task_frames, len(cohort.features), p.task_size, width), np.uint8))
    chosen = cohort.clips if patients is None else cohort.clips[cohort.clips["patient_id"].isin(patients)]
    for clip_id in chosen["clip_id"]:
        clip = arrays.clip(cohort, clip_id)
        centres = arrays.segment_centres(len(clip), p.task_frames)
        _, probability = segment_frames(network, clip[centres], p)
        small = nn.functional.interpolate(
            torch.from_numpy(probability), (p.task_size, p.task_size), mode="area"
        )
        levels = (small * 255).round().to(torch.uint8).numpy()
        out.append((predictions.pack(levels >= cut) if p.task_channels == "binary" else levels)[None])
        rows += [{"clip_id": clip_id, "slot": k, "frame": int(t)} for k, t in enumerate(centres)]
    return Segments(np.concatenate(out), pd.DataFrame(rows, columns=["clip_id", "slot", "frame"]))
