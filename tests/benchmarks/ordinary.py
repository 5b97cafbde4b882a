"""The ordinary ways of doing the work, as a competent user of the same libraries would write them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment import losses, segmenter
from lusnb.tasks.clipbank import ClipBank
from tests.benchmarks import cases


def torchvision_transforms(rotation: float) -> v2.Transform:
    """Flip, rotation and intensity of one image and its masks; masks are warped by nearest neighbour."""
    some = lambda transform: v2.RandomApply([transform], p=0.5)  # noqa: E731
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(p=0.5),
            some(v2.RandomRotation(rotation, interpolation=v2.InterpolationMode.BILINEAR)),
            some(v2.ColorJitter(brightness=0.15)),
            some(v2.ColorJitter(contrast=0.2)),
            some(Gamma()),
        ]
    )


class Gamma(v2.Transform):
    """A random gamma, 0.8 to 1.25, of the image alone."""

    _transformed_types = (tv_tensors.Image,)

    def make_params(self, flat_inputs: list) -> dict:
        """Draw it."""
        return {"gamma": float(torch.empty(1).uniform_(0.8, 1.25))}

    def transform(self, image: Tensor, params: dict) -> Tensor:
        """Apply it."""
        return self._call_kernel(v2.functional.adjust_gamma, image, **params)


def kornia_transforms(rotation: float) -> torch.nn.Module:
    """The same by kornia, of one image or of a batch."""
    from kornia import augmentation as ka
    from kornia.constants import DataKey, Resample

    return ka.AugmentationSequential(
        ka.RandomHorizontalFlip(p=0.5),
        ka.RandomRotation(rotation, p=0.5),
        ka.RandomBrightness((0.85, 1.15), p=0.5),
        ka.RandomContrast((0.8, 1.2), p=0.5),
        ka.RandomGamma((0.8, 1.25), p=0.5),
        data_keys=["input", "mask"],
        extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": False}},
    )


class PerItem(Dataset):
    """Labelled frames, read, resized, augmented and thresholded one by one."""

    def __init__(self, folder: Path, p: Params):
        cohort = cohorts.read(folder, cases.FOLDS, look=False)
        train = cases.roles_of(cohort)["train"]
        clips = cohort.clips.set_index("clip_id")["path"]
        table = cohorts.labelled_frames(cohort)
        table = table[table["patient_id"].isin(train)]
        labels = cohort.labels.set_index(["clip_id", "frame", "feature"])["path"]
        self.items = []
        for row in table.itertuples():
            painted = [folder / labels[row.clip_id, row.frame, feature] for feature in cohort.features]
            self.items.append((folder / clips[row.clip_id], row.frame, painted))
        self.p, self.transforms = p, torchvision_transforms(p.rotation)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        clip, frame, paths = self.items[n]
        size = (self.p.size, self.p.size)
        image = Image.fromarray(np.load(clip, mmap_mode="r")[frame]).resize(size, Image.Resampling.BILINEAR)
        maps = [np.asarray(Image.open(path).resize(size, Image.Resampling.NEAREST)) for path in paths]
        image = tv_tensors.Image(np.asarray(image)[None])
        image, maps = self.transforms(image, tv_tensors.Mask(np.stack(maps)))
        c, t = maps.float() / 255, self.p.label_threshold
        y = c >= t - 1 / 510
        return image.float() / 127.5 - 1, y.float(), torch.where(y, c, t)


def loader(folder: Path, p: Params, workers: int) -> DataLoader:
    """Shuffled batches of items."""
    given = {"num_workers": workers, "persistent_workers": workers > 0}
    given["multiprocessing_context"] = "fork" if workers else None  # as ever on Linux
    return DataLoader(PerItem(folder, p), batch_size=p.batch, shuffle=True, **given)


def segmenter_epochs(
    folder: Path, encoder: str, epochs: int, workers: int, channels_last: bool = False
) -> Callable[[], int]:
    """SMP, a DataLoader and a plain loop: the same network, loss, optimiser and batch as ours."""
    p = cases.segmentation_params(encoder)
    batches = loader(folder, p, workers)
    criterion = losses.loss(p.loss, "sigmoid")

    def work() -> int:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        network = segmenter.build(p, 6).train().to(memory_format=layout)
        optimizer = torch.optim.Adam(network.parameters(), lr=p.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
        for _ in range(epochs):
            for images, y, w in batches:
                optimizer.zero_grad()
                outputs = network(images.contiguous(memory_format=layout))
                criterion(outputs, y, w).mean().backward()
                optimizer.step()
            schedule.step()
        return len(batches.dataset) * epochs

    return work


def fed(folder: Path, epochs: int, workers: int) -> Callable[[], int]:
    """What the network is fed, without the network."""
    batches = loader(folder, cases.segmentation_params("mobilenet_v2"), workers)

    def work() -> int:
        return sum(len(images) for _ in range(epochs) for images, _, _ in batches)

    return work


def augmented(how: str) -> Callable[[int, int], int]:
    """Augmentation alone: `torchvision` or `kornia` item by item, or `kornia by batch`."""
    p = cases.segmentation_params("mobilenet_v2")
    change = (torchvision_transforms if how == "torchvision" else kornia_transforms)(p.rotation)

    def once(images: Tensor, levels: Tensor) -> None:
        if how == "torchvision":
            for image, maps in zip(images, levels, strict=True):
                [x.float() / 255 for x in change(tv_tensors.Image(image), tv_tensors.Mask(maps))]
            return
        step = len(images) if how == "kornia by batch" else 1
        for image, maps in zip(images.split(step), levels.split(step), strict=True):
            change(image.float() / 255, maps.float() / 255)

    def work(batch: int, size: int) -> int:
        items = cases.random_items(batch, size)
        with torch.no_grad():
            for _ in range(cases.repeats(batch, size)):
                once(*items)
        return batch * cases.repeats(batch, size)

    return work


@dataclass(frozen=True)
class SegmentingBank(ClipBank):
    """A bank without stored masks: the frozen segmenter is asked for them whenever a clip is used."""

    cohort: Cohort | None = None
    network: torch.nn.Module | None = None
    p: Params | None = None

    @property
    def channels(self) -> int:
        """Input channels: gray, and one a feature."""
        return 1 + len(self.features)

    def inputs(self, where: np.ndarray) -> Tensor:
        """Network input of some clips, float (n, T, channels, s, s), as from stored masks."""
        count, side = self.frames.shape[1:3]
        read = [arrays.clip(self.cohort, one) for one in self.clips["clip_id"].iloc[where]]
        frames = [clip[t] for clip in read for t in arrays.segment_centres(len(clip), count)]
        small = torch.from_numpy(np.stack([arrays.resize(one, self.p.size) for one in frames]))[:, None]
        with torch.inference_mode():
            parts = small.split(self.p.batch)
            as_seen = (segmenter.as_input(x).contiguous(memory_format=torch.channels_last) for x in parts)
            found = torch.cat([self.network(x).sigmoid() for x in as_seen])
            masks = torch.nn.functional.interpolate(found, (side, side), mode="area") >= 0.5
        gray = self.frames[torch.as_tensor(where)][:, :, None].float() / 127.5 - 1
        return torch.cat([gray, masks.float().unflatten(0, (len(where), count))], 2)


def tasks(folder: Path, encoder: str, size: int) -> Callable[[str], int]:
    """A training of a task that segments its clips itself, each time that it uses them."""
    cohort, bank, network, p = cases.segmented_tasks(folder, encoder, size=size)
    given = {"frames": bank.frames, "features": bank.features, "cohort": cohort, "network": network, "p": p}
    inside = SegmentingBank(bank.clips, **given)

    def work(task: str) -> int:
        return cases.one_training(task, cohort, inside) if task != cases.ONCE else 1

    return work
