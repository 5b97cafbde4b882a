"""Clips as stacks of images: NPY arrays, TIFF stacks, PNG stills."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from lusnb.cohort.contents import open_npy
from lusnb.cohort.problems import Unfit, decoding
from lusnb.readers.clip import Clip
from lusnb.readers.grey import check_declared

BROKEN = "it may be damaged: copy or export it again."
LEAST_SIDE = 16  # pixels: an array (H, W, 3) with both sides of this and more is one frame in colour
DEEP = ("I;16", "I;16B", "I;16L", "I")  # Pillow's modes of 16-bit grey


def open_npy_clip(path: Path) -> Clip:
    """Open an array of frames, uint8 or uint16: (T, H, W), (H, W), or with a last axis of 3 or 4 colours."""
    stored = open_npy(path, path.name)
    array: np.ndarray = stored
    still = array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) >= LEAST_SIDE
    if still:
        array = array[None, ..., :3]
    colour = array.ndim == 4 and array.shape[-1] == 3
    if array.dtype not in (np.uint8, np.uint16) or not (array.ndim in (2, 3) or colour):
        arrived = f"{path.name}: {array.dtype} of shape {array.shape}"
        remedy = "convert it: for floats from 0 to 1, (255 * clip).round().astype('uint8')."
        raise Unfit("a uint8 or uint16 array (frames, height, width[, 3])", arrived, remedy)
    array = array[None] if array.ndim == 2 else array
    white = 255 if array.dtype == np.uint8 else 65535
    height, width = array.shape[1:3]
    return Clip(path.name, height, width, lambda: _npy_frames(path, array, stored.offset), len(array), white)


def _npy_frames(path: Path, array: np.ndarray, offset: int) -> Iterator[np.ndarray]:
    """Frames by plain reads, since pages of a memory map would pile up; a Fortran order leaves no choice."""
    if not array.flags.c_contiguous:
        yield from (np.array(frame) for frame in array)
        return
    size = int(np.prod(array.shape[1:]))
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(len(array)):
            yield np.fromfile(file, array.dtype, size).reshape(array.shape[1:])


def open_images(path: Path) -> Clip:
    """Open the pages of a TIFF, or one PNG."""
    expected = "a PNG or TIFF image"
    with decoding(expected, path.name, BROKEN), Image.open(path) as image:
        kind, mode, (width, height) = image.format, image.mode, image.size
        count = getattr(image, "n_frames", 1)
        tags = dict(getattr(image, "tag_v2", {}))
    if kind not in ("PNG", "TIFF"):
        raise Unfit(expected, f"{path.name}, a {kind}", "give it the ending of what it is.")
    check_declared(height, width, count, path.name)
    if mode == "F" or (mode == "I" and kind == "TIFF"):
        raise Unfit("8 or 16 bits a pixel", f"{path.name} of mode {mode}", "export it with 8 or 16 bits.")
    planes = _imagej_planes(tags)
    if count == 1 and planes > 1:
        arrived = f"{path.name}: {planes} frames behind one, as ImageJ writes large stacks"
        raise Unfit("a TIFF with a page a frame", arrived, "save it as AVI, or as a stack below 4 GB.")
    deep = mode in DEEP
    white = (_declared_white(tags) or 65535) if deep else 255
    inverted = (
        deep and tags.get(262) == 0
    )  # PhotometricInterpretation: WhiteIsZero; 8 bits are turned already
    return Clip(path.name, height, width, lambda: _pages(path, count, mode), count, white, inverted)


def _imagej_planes(tags: dict) -> int:
    """How many frames ImageJ says there are, in the ImageDescription (tag 270)."""
    found = re.search(r"^images=(\d{1,9})$", str(tags.get(270, "")), re.MULTILINE)
    return int(found.group(1)) if found else 1


def _declared_white(tags: dict) -> int | None:
    """The largest value that a TIFF declares: SMaxSampleValue (341), MaxSampleValue (281), or none."""
    for tag in (341, 281):
        value = tags.get(tag)
        value = value[0] if isinstance(value, tuple) and value else value
        if isinstance(value, int | float) and 0 < value <= 65535:
            return int(value)
    return None


def _pages(path: Path, count: int, mode: str) -> Iterator[np.ndarray]:
    with decoding("a PNG or TIFF image", path.name, BROKEN), Image.open(path) as image:
        for page in range(count):
            if count > 1:
                image.seek(page)
            check_declared(image.height, image.width, None, path.name)
            if image.mode != mode:
                arrived = f"{path.name}, whose frame {page} is of mode {image.mode}"
                raise Unfit(f"frames of one kind, mode {mode}", arrived, "export all frames alike.")
            yield plain(image)


def plain(image: Image.Image) -> np.ndarray:
    """A Pillow image as numbers: uint16 (H, W) for 16-bit grey, else uint8 (H, W) or (H, W, 3)."""
    if image.mode in DEEP:
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))
