"""The true masks of a whole clip in one file: a TIFF of a page a frame, 8-bit, losslessly compressed.

Bit k of a pixel is set where the cohort's k-th feature truly is. Pages, since the tasks look at a few frames
of a clip only, and one image of all frames of a long clip is more than Pillow opens.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from lusnb import files

MOST_FEATURES = 8  # features that fit into the bits of a pixel


def pack(true: np.ndarray) -> np.ndarray:
    """Masks of one frame as one page: bool (C, H, W) -> uint8 (H, W). Raises ValueError above 8 features."""
    check_count(len(true))
    return np.bitwise_or.reduce(true.astype(np.uint8) << _places(len(true)), axis=0)


def unpack(pages: np.ndarray, count: int) -> np.ndarray:
    """Pages as masks of `count` features: uint8 (T, H, W) -> uint8 0/1 (T, C, H, W)."""
    check_count(count)
    return (pages[:, None] >> _places(count)) & np.uint8(1)


def _places(count: int) -> np.ndarray:
    """The bit of each feature, uint8 (C, 1, 1)."""
    return np.arange(count, dtype=np.uint8)[:, None, None]


def check_count(features: int) -> None:
    """Raise ValueError where so many features have no bit each."""
    if features > MOST_FEATURES:
        raise ValueError(
            f"true masks: expected at most {MOST_FEATURES} features, a bit of a pixel each, got {features}; "
            "leave some out of cohort.yaml's features."
        )


def write(path: Path, pages: np.ndarray) -> None:
    """Write the pages of a clip, uint8 (T, H, W)."""
    first, *others = [Image.fromarray(page) for page in pages]
    how = {"format": "TIFF", "compression": "tiff_adobe_deflate"}
    files.write_with(path, lambda to: first.save(to, save_all=True, append_images=others, **how))


def read(path: Path, frames: Iterable[int]) -> np.ndarray:
    """Some pages of a file, in the order of `frames`: uint8 (T, H, W)."""
    pages = []
    with Image.open(path, formats=["TIFF"]) as image:
        for frame in frames:
            image.seek(int(frame))
            pages.append(np.asarray(image))
    return np.stack(pages)


def shrink(masks: np.ndarray, size: int) -> np.ndarray:
    """Masks averaged over areas, then cut at one half: uint8 0/1 (..., H, W) -> uint8 0/1 (..., size, size).

    The areas are those of PyTorch's adaptive average pooling, whole pixels, which overlap where the size does
    not divide H or W. A pixel is set where at least half of its area is.
    """
    counts, high = _summed(masks, size, -2, np.uint16)  # at most H each
    counts, wide = _summed(counts, size, -1, np.uint32)
    return (2 * counts >= high[:, None] * wide).astype(np.uint8)


def _summed(values: np.ndarray, size: int, axis: int, kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Sums over `size` areas of one axis, of dtype `kind`, and how many pixels each area has (size,)."""
    length, step = values.shape[axis], np.arange(size)
    low, high = step * length // size, -((step + 1) * length // -size)
    beyond = [(0, 0)] * values.ndim
    beyond[axis] = (0, 1)  # a zero, for the areas that are smaller than the largest
    padded = np.pad(values, beyond)
    pixels = (np.where(low + k < high, low + k, length) for k in range((high - low).max()))
    return sum(padded.take(at, axis=axis).astype(kind) for at in pixels), high - low
