"""Training a segmenter: an epoch, what it is fed, augmentation, and what the loop itself costs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lusnb.segment import segmenter
from tests.benchmarks import cases, limits, ordinary
from tests.benchmarks.ways import Way

EPOCHS = {"tu-resnet10t": 3, "mobilenet_v2": 3, "resnet34": 1}
LEAST = 1.2  # of an epoch, over the fastest ordinary way


@pytest.mark.parametrize("encoder", EPOCHS)
def test_epoch(compare: Callable, folder: Path, encoder: str):
    """Beside what the network alone takes on a batch that is there already: no feeding can be faster."""
    epochs, p = EPOCHS[encoder], cases.segmentation_params(encoder)
    ours = Way("ours", cases.segmenter_epochs, (folder, encoder, epochs))
    others = [
        Way(f"{workers} workers{', channels-last' if last else ''}", ordinary.segmenter_epochs,
            (folder, encoder, epochs, workers, last))
        for last in (False, True) for workers in (0, 2)
    ]  # fmt: skip
    bounds = [Way("the network alone", cases.network_steps, (encoder, 20))]
    what = f"FPN epoch, {encoder}, {p.size} px"
    counted = limits.operations(segmenter.build(p, 6), p.batch, 1, p.size, p.size)
    compare(what, ours, others, unit="image", rounds=3, least=LEAST, operations=counted, bounds=bounds)


@pytest.mark.parametrize("opened", [False, True], ids=["in memory", "with opening"])
def test_fed(compare: Callable, folder: Path, opened: bool):
    epochs = cases.segmentation_params("mobilenet_v2").epochs if opened else 5
    ours = Way("ours", cases.fed, (folder, epochs, opened))
    others = [Way(f"{workers} workers", ordinary.fed, (folder, 2, workers)) for workers in (0, 2)]
    what = f"loading and augmentation{f', read once in {epochs} epochs' if opened else ''}"
    compare(what, ours, others, unit="image", rounds=5, least=5)


def test_augmentation(compare: Callable):
    ours = Way("ours", cases.augmented, threads=1)
    names = ("torchvision", "kornia", "kornia by batch")
    others = [Way(how, ordinary.augmented, (how,), threads=1) for how in names]
    asked = {(batch, size): f", batch {batch}, {size} px" for size in (96, 256) for batch in (4, 8, 16)}
    compare("augmentation", ours, others, unit="image", rounds=5, asked=asked)


def test_loop(compare: Callable):
    """What Lightning adds to a step, beside a step of the network of `quick`."""
    ours = Way("ours", cases.trivial_steps, (100, False), threads=1)
    others = [
        Way("no Lightning", cases.trivial_steps, (100, True), threads=1),
        Way("a whole step of quick's network", cases.network_steps, ("tu-resnet10t", 20, True), threads=1),
    ]
    compare("a step of a trivial network", ours, others, unit="step", rounds=5)
