"""Train an FPN on one arm's labels, segment clips with it, and measure it."""

from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
import yaml
from kornia.augmentation import (
    AugmentationSequential,
    RandomBrightness,
    RandomContrast,
    RandomGamma,
    RandomHorizontalFlip,
    RandomRotation,
)
from kornia.constants import DataKey, Resample
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from lusnb import cohort as cohorts
from lusnb import confidence, files, losses, metrics, networks, predictions, training
from lusnb.cohort import Cohort
from lusnb.params import Params


@dataclass(frozen=True)
class Labelled:
    """Labelled frames at the working size, on the CPU as uint8.

    table: clip_id, frame, patient_id, view, day. images (N, 1, S, S). confidence (N, C, S, S), 255 = 100 %.
    known (N, C): False where a feature was not looked at. spacing: mm (height, width) a pixel, one an image.
    """

    table: pd.DataFrame
    images: Tensor
    confidence: Tensor
    known: Tensor
    spacing: list[tuple[float, float]]

    def of(self, patients: list[str]) -> np.ndarray:
        """Positions of the frames of some patients."""
        return np.flatnonzero(self.table["patient_id"].isin(patients))


def load_labelled(cohort: Cohort, size: int, merge: str) -> Labelled:
    """Read every labelled frame of a cohort at size x size."""
    if size % 32 or size < 64:
        raise ValueError(
            f"size: expected a multiple of 32 from 64 on (the FPN halves five times), got {size}; change it."
        )
    table = cohorts.labelled_frames(cohort)
    images = cohorts.frames_of(cohort, table, size)
    maps, known = cohorts.confidence_of(cohort, table, size, merge)
    spacing = [cohorts.pixel_mm(cohort, clip_id, size) for clip_id in table["clip_id"]]
    return Labelled(
        table, torch.from_numpy(images)[:, None], torch.from_numpy(maps), torch.tensor(known), spacing
    )


def augmentation(rotation: float) -> AugmentationSequential:
    """Random flip, rotation (degrees) and intensity of each image; confidence is warped by nearest neighbour.

    Each transform applies to half of the images (the paper: 'probabilistically').
    """
    return AugmentationSequential(
        RandomHorizontalFlip(p=0.5),
        RandomRotation(rotation, p=0.5),
        RandomBrightness((0.85, 1.15), p=0.5),
        RandomContrast((0.8, 1.2), p=0.5),
        RandomGamma((0.8, 1.25), p=0.5),
        data_keys=["input", "mask"],
        extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": False}},
    )


def as_input(images: Tensor) -> Tensor:
    """uint8 0 to 255 -> float -1 to 1."""
    return images.float() / 127.5 - 1


class Segmenter(lightning.LightningModule):
    """An FPN and one arm's loss: confidence is augmented first and becomes target and weight afterwards."""

    def __init__(self, network: nn.Module, p: Params):
        super().__init__()
        self.network, self.p, self.criterion = network, p, losses.loss(p.loss)
        self.augment = augmentation(p.rotation)

    def _loss(self, logits: Tensor, c: Tensor, known: Tensor) -> Tensor:
        p = self.p
        y = confidence.targets(c, p.label_threshold)
        w = confidence.weights(c, p.label_threshold, p.confidence_weight, p.background_weight)
        per_feature = self.criterion(logits, y, w)  # (N, C)
        return (per_feature * known).sum() / known.sum().clamp(min=1)

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        images, levels, known = batch
        with torch.no_grad():
            images, c = self.augment(images.float() / 255, levels.float() / 255)
        images = images.mul(2).sub(1).contiguous(memory_format=torch.channels_last)
        loss = self._loss(self.network(images), c, known)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(images))
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        images, levels, known = batch
        logits, c = self.network(as_input(images)), levels.float() / 255
        y = confidence.targets(c, self.p.label_threshold)
        scores = metrics.labelled_iou(metrics.quantise(logits) >= metrics.CUT, y)
        self.scores.append(torch.where(known, scores, torch.nan))
        self.log("validation_loss", self._loss(logits, c, known), on_epoch=True, batch_size=len(images))

    def on_validation_epoch_start(self) -> None:
        self.scores = []

    def on_validation_epoch_end(self) -> None:
        if self.scores:
            self.log("validation_iou", torch.cat(self.scores).nanmean(1).nanmean())  # over images

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.p.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.p.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _loader(data: Labelled, where: np.ndarray, batch: int, generator: torch.Generator | None) -> DataLoader:
    part = TensorDataset(data.images[where], data.confidence[where], data.known[where])
    order = RandomSampler(part, generator=generator) if generator else SequentialSampler(part)
    return DataLoader(part, sampler=BatchSampler(order, batch, drop_last=False), batch_size=None)


def build(p: Params, features: int) -> nn.Module:
    """The untrained network of a run; the same seed gives the same weights."""
    torch.manual_seed(p.seed + p.seed_offset)
    network = networks.build_fpn(p.encoder, features, p.decoder_channels, p.encoder_weights)
    return network.to(memory_format=torch.channels_last)


def train(data: Labelled, roles: dict[str, list[str]], p: Params) -> tuple[nn.Module, pd.DataFrame]:
    """Train one arm; return the network of the best epoch, and the history.

    p: label_threshold, confidence_weight, background_weight, loss, encoder, decoder_channels,
    encoder_weights, learning_rate, epochs, batch, rotation, precision, seed. The best epoch has the highest
    mean IoU over validation images.
    """
    if p.supervision != "threshold":
        raise ValueError(f"arm {p.arm}: expected supervision `threshold`, got {p.supervision!r}; correct it.")
    part = {name: data.of(patients) for name, patients in roles.items()}
    if not len(part["train"]):
        raise ValueError(
            f"arm {p.arm}: expected labelled frames of training patients, found none; "
            "label some, or change split in patients.csv."
        )
    module = Segmenter(build(p, data.confidence.shape[1]), p)
    shuffle = torch.Generator().manual_seed(p.seed + p.seed_offset)
    history = training.fit(
        module,
        _loader(data, part["train"], p.batch, shuffle),
        _loader(data, part["validation"], p.batch, None) if len(part["validation"]) else None,
        epochs=p.epochs,
        precision=p.precision,
        monitor="validation_iou",
        highest=True,
    )
    return module.network, training.complete(history, "validation_loss", "validation_iou")


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Logits (N, C, S, S) on the CPU, of uint8 images (N, 1, S, S); eval mode, batch by batch."""
    where = training.device()
    network = network.to(where).eval()
    inputs = (as_input(chunk.to(where)) for chunk in images.split(batch))
    return torch.cat([network(x.contiguous(memory_format=torch.channels_last)).float().cpu() for x in inputs])


def segment_frames(network: nn.Module, frames: np.ndarray, p: Params) -> tuple[np.ndarray, np.ndarray]:
    """Segment frames, uint8 (T, H, W).

    Returns them as the network saw them, uint8 (T, S, S), and each feature's probability, (T, C, S, S).
    """
    small = np.stack([cohorts.resize(frame, p.size) for frame in frames])
    return small, predict(network, torch.from_numpy(small)[:, None], p.batch).sigmoid().numpy()


def restore(folder: Path, features: int) -> tuple[nn.Module, Params]:
    """A trained arm from the folder of its run: the network, and the parameters that it was trained with."""
    asked = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    p = Params("03_train_segmentation", {**asked, "encoder_weights": "none"})
    return training.restore(folder / "model.safetensors", build(p, features)), p


def segment_clips(network: nn.Module, cohort: Cohort, p: Params) -> tuple[np.ndarray, pd.DataFrame]:
    """Segment the tasks' frames of every clip once.

    p: size, batch, task_size, task_frames, task_channels. Frames are read at the segmenter's size; their
    probabilities are averaged down to the tasks' size, then cut at 0.5. Returns (uint8 (clips, T, C, s, b)
    as predictions.py stores it, and its table clip_id, slot, frame).
    """
    if p.task_channels not in predictions.CHANNELS:
        raise ValueError(f"task_channels: expected one of {predictions.CHANNELS}, got {p.task_channels!r}.")
    out, rows = [], []
    for clip_id in cohort.clips["clip_id"]:
        clip = cohorts.clip(cohort, clip_id)
        centres = cohorts.segment_centres(len(clip), p.task_frames)
        frames = np.stack([cohorts.resize(clip[t], p.size) for t in centres])
        probability = predict(network, torch.from_numpy(frames)[:, None], p.batch).sigmoid()
        small = nn.functional.interpolate(probability, (p.task_size, p.task_size), mode="area")
        levels = (small * 255).round().to(torch.uint8).numpy()
        out.append(predictions.pack(levels >= metrics.CUT) if p.task_channels == "binary" else levels)
        rows += [{"clip_id": clip_id, "slot": k, "frame": int(t)} for k, t in enumerate(centres)]
    return np.stack(out), pd.DataFrame(rows)


def measure(
    network: nn.Module, data: Labelled, roles: dict[str, list[str]], features: tuple[str, ...], p: Params
) -> tuple[Tensor, pd.DataFrame]:
    """Predict all labelled frames, and measure the validation and held-out ones.

    Returns (probabilities uint8 (N, C, S, S) of all frames; tidy metrics with the columns arm, seed, fold,
    patient_id, clip_id, frame, feature, metric, value). Metrics: see metrics.evaluate; `iou_untrained` is the
    same network before training; `cut` (one row) is the cut tuned on validation.
    """
    validation, test = data.of(roles["validation"]), data.of(roles["test"])
    measured = np.concatenate([validation, test])
    rest = np.setdiff1d(np.arange(len(data.table)), measured)
    logits = predict(network, data.images[measured], p.batch)
    levels = torch.zeros_like(data.confidence)
    levels[measured] = metrics.quantise(logits)
    for chunk in np.array_split(rest, len(rest) // 64 + 1):
        levels[chunk] = metrics.quantise(predict(network, data.images[chunk], p.batch))
    y = confidence.targets(data.confidence[validation].float() / 255, p.label_threshold)
    cut = metrics.best_cut(levels[validation], y, data.known[validation])
    before = predict(build(p, len(features)), data.images[measured], p.batch)
    scores = _scores(logits, before, data, measured, p, cut)
    own = {"arm": p.arm, "seed": p.seed, "fold": p.fold, "patient_id": "", "clip_id": "", "frame": -1}
    tuned = pd.DataFrame([{**own, "feature": "", "metric": "cut", "value": cut}])
    return levels, pd.concat(
        [_tidy(scores, data.table.iloc[measured], features, p), tuned], ignore_index=True
    )


def _scores(
    logits: Tensor, before: Tensor, data: Labelled, measured: np.ndarray, p: Params, cut: float
) -> dict[str, Tensor]:
    """Every metric of the measured images, (N, C), a few images at a time; NaN where a feature is unknown."""
    parts = []
    for k in np.array_split(np.arange(len(measured)), len(measured) // 16 + 1):
        c = data.confidence[measured[k]].float() / 255
        scores = metrics.evaluate(logits[k], c, p, [data.spacing[n] for n in measured[k]], cut)
        y = confidence.targets(c, p.label_threshold)
        scores["iou_untrained"] = metrics.labelled_iou(metrics.quantise(before[k]) >= metrics.CUT, y)
        known = data.known[measured[k]]
        parts.append({name: torch.where(known, value, torch.nan) for name, value in scores.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _tidy(
    scores: dict[str, Tensor], table: pd.DataFrame, features: tuple[str, ...], p: Params
) -> pd.DataFrame:
    images = table[["patient_id", "clip_id", "frame"]].loc[table.index.repeat(len(features))]
    images = images.assign(feature=list(features) * len(table)).reset_index(drop=True)
    long = [images.assign(metric=name, value=value.flatten().numpy()) for name, value in scores.items()]
    tidy = pd.concat(long, ignore_index=True)
    tidy.insert(0, "arm", p.arm)
    tidy.insert(1, "seed", p.seed)
    tidy.insert(2, "fold", p.fold)
    return tidy


def store(
    folder: Path,
    network: nn.Module,
    history: pd.DataFrame,
    scores: pd.DataFrame,
    predicted: tuple[pd.DataFrame, Tensor, np.ndarray, pd.DataFrame],
    cohort_fingerprint: str,
    p: Params,
) -> None:
    """Write what a trained arm leaves: weights, history, metrics, and predictions with their fingerprint.

    predicted: table and probabilities of the labelled frames (`Labelled.table`, `measure`), then frames and
    table of the tasks' frames (`segment_clips`).
    """
    labelled, levels, frames, task_table = predicted
    weights = folder / "model.safetensors"
    training.save(weights, network)
    files.write_csv(folder / "history.csv", history)
    files.write_csv(folder / "metrics.csv", scores)
    made_from = {
        "cohort": cohort_fingerprint,
        "model": predictions.model_fingerprint(weights),
        "size": p.size,
        "task_size": p.task_size,
        "task_frames": p.task_frames,
        "channels": p.task_channels,
    }
    predictions.write(folder, levels.numpy(), frames, predictions.index(labelled, task_table), made_from)
