"""`make pretrain`: train the start weights `encoder_weights: phantom`, on scenes that belong to no cohort.

Two networks see the scenes of phantom/scenes.py. A segmenter learns what is truly in each picture. A clip
encoder learns how much of the view each feature covers, from gray and masks, or from gray alone: a target
that is in the picture, never an outcome. Their encoders are stored in half precision;
segment/weights/README.md says what they are worth.
"""

import argparse
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lusnb import files, params
from lusnb.params import Params
from lusnb.phantom import plan as plans
from lusnb.phantom import scenes
from lusnb.phantom.anatomy import FEATURES
from lusnb.segment import fitting, segmenter, start_weights
from lusnb.segment.frames import Labelled
from lusnb.tasks import encoder as clip_encoder

ENCODER = "mobilenet_v2"  # of what comes with the package
HELD_OUT = 200  # scenes to choose the best epoch on
SEGMENTER: dict[str, Any] = {"size": 128, "batch": 16, "epochs": 12, "learning_rate": 0.003}
# The masks are the truth: no threshold and no weight plays a part.
TRUTH = {"arm": "truth", "label_threshold": 0.5, "confidence_weight": "none", "background_weight": "none"}
CLIPS: dict[str, Any] = {"size": 64, "frames": 4, "batch": 16, "epochs": 10, "learning_rate": 0.003}
NO_MASKS = 0.5  # share of the clips that are shown without their masks


def as_labels(gray: np.ndarray, true: np.ndarray) -> Labelled:
    """Scenes of one frame as labelled frames that are certain: a confidence of 100 % where a mask is, else 0.

    gray: uint8 (N, 1, S, S). true: uint8 0/1 (N, 1, C, S, S). The first HELD_OUT are of the patient
    "held_out", the others of "seen".
    """
    table = pd.DataFrame({"patient_id": np.where(np.arange(len(gray)) < HELD_OUT, "held_out", "seen")})
    known = torch.ones(true.shape[0], true.shape[2], dtype=torch.bool)
    return Labelled(table, torch.from_numpy(gray), torch.from_numpy(true[:, 0] * 255), known, [])


def train_segmenter(seed: int, count: int, encoder: str) -> tuple[nn.Module, pd.DataFrame]:
    """A segmenter of the truth in `count` scenes, HELD_OUT of them to choose its best epoch on.

    Returns it with that epoch's weights in eval mode, and the history (segmenter.train).
    """
    notebook = Path(__file__).parents[2] / "notebooks" / "03_train_segmentation.ipynb"
    defaults = {name: value for name, (_, value) in params.of_notebook(notebook).items()}
    asked = {**defaults, **TRUTH, **SEGMENTER, "encoder": encoder, "seed": seed}
    data = as_labels(*scenes.scans(seed, range(count), 1, SEGMENTER["size"]))
    roles = {"train": ["seen"], "validation": ["held_out"]}
    return segmenter.train(data, roles, Params("03_train_segmentation", asked))


class Coverage(lightning.LightningModule):
    """A clip encoder that learns which share of the view's columns each feature covers."""

    def __init__(self, epochs: int):
        super().__init__()
        self.body, self.epochs = clip_encoder.ClipEncoder(1 + len(FEATURES), CLIPS["frames"]), epochs
        self.network = nn.Sequential(self.body, nn.Linear(clip_encoder.FEATURES, len(FEATURES)))

    def _loss(self, gray: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
        """Binary cross-entropy of the shares, mean over clips and features.

        gray: uint8 (N, T, S, S). masks: uint8 0/1 (N, T, C, S, S). shown: bool (N,), whether the network
        sees the masks; else they are zeros.
        """
        covered = masks.amax(3).float().mean((1, 3))  # (N, C)
        seen = masks.float() * shown[:, None, None, None, None]
        inputs = torch.cat([segmenter.as_input(gray)[:, :, None], seen], 2)
        return F.binary_cross_entropy_with_logits(self.network(inputs), covered)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        shown = (torch.rand(len(batch[0])) >= NO_MASKS).to(batch[0].device)
        loss = self._loss(*batch, shown)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        gray, masks = batch
        loss = self._loss(gray, masks, torch.zeros(len(gray), dtype=torch.bool, device=gray.device))
        self.log("validation_loss", loss, on_epoch=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=CLIPS["learning_rate"], fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def train_clips(seed: int, count: int) -> tuple[clip_encoder.ClipEncoder, pd.DataFrame]:
    """A clip encoder of what `count` scenes hold; HELD_OUT of them, in gray alone, choose its best epoch.

    Returns it with that epoch's weights in eval mode, and the history (fitting.fit).
    """
    gray, true = scenes.scans(seed, range(count), CLIPS["frames"], CLIPS["size"])
    tensors = torch.from_numpy(gray), torch.from_numpy(true)
    held_out = TensorDataset(*(part[:HELD_OUT] for part in tensors))
    seen = TensorDataset(*(part[HELD_OUT:] for part in tensors))
    torch.manual_seed(seed)
    module = Coverage(CLIPS["epochs"])
    shuffle = torch.Generator().manual_seed(seed)
    history = fitting.fit(
        module,
        DataLoader(seen, CLIPS["batch"], shuffle=True, generator=shuffle, drop_last=True),
        DataLoader(held_out, CLIPS["batch"]),
        epochs=CLIPS["epochs"],
        precision="32-true",
        monitor="validation_loss",
        highest=False,
    )
    return module.body, history


def unshifted(network: clip_encoder.ClipEncoder) -> dict[str, Tensor]:
    """A clip encoder's weights by the names of torchvision's MobileNetV2, which knows no shifts."""
    state = network.body.state_dict()
    return {clip_encoder.BODY + name.replace(".conv.weight", ".weight"): v for name, v in state.items()}


def store(place: Path, state: dict[str, Tensor], told: dict[str, Any]) -> None:
    """Write weights in half precision, integers as they are; the metadata say how they were made."""
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    place.parent.mkdir(parents=True, exist_ok=True)
    files.write_with(place, lambda beside: save_file(half, beside, {k: str(v) for k, v in told.items()}))


def main() -> None:
    """`python -m lusnb.tasks.pretrain`: half an hour of one core for both networks."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--encoder", default=ENCODER, help="the segmenter's, by SMP's name")
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=start_weights.FOLDER)
    given = parser.parse_args()
    if given.scenes <= HELD_OUT:
        parser.error(f"--scenes: expected more than the {HELD_OUT} that choose the epoch, got {given.scenes}")
    if given.encoder != ENCODER and given.out.resolve() == start_weights.FOLDER:
        parser.error(f"--out: the package holds weights of {ENCODER} alone; give another folder")
    torch.set_num_threads(1)  # as in every node of a study, so that the same seed gives the same weights
    made = {"made_by": "lusnb.tasks.pretrain", "phantom_version": plans.VERSION}
    made |= {"seed": given.seed, "scenes": given.scenes}
    network, history = train_segmenter(given.seed, given.scenes, given.encoder)
    told = made | SEGMENTER | {"encoder": given.encoder, "validation_iou": _best(history, "validation_iou")}
    store(given.out / f"segmenter_{given.encoder}.safetensors", _encoder(network).state_dict(), told)
    print(history.to_string(index=False))
    if given.encoder == ENCODER:  # the tasks have but one
        clips, history = train_clips(given.seed, given.scenes)
        told = made | CLIPS | {"validation_loss": _best(history, "validation_loss")}
        store(given.out / start_weights.TASKS.name, unshifted(clips), told)
        print(history.to_string(index=False))


def _encoder(network: Any) -> nn.Module:
    """Of a network of segmentation-models-pytorch."""
    return network.encoder


def _best(history: pd.DataFrame, column: str) -> float:
    return float(history.loc[history["best"], column].iloc[0])


if __name__ == "__main__":
    main()
