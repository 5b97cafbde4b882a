"""What every reader shares: limits, luma, grey levels and crops."""

import re

import numpy as np

from lusnb.cohort.problems import Unfit

LARGEST_SIDE = 8192  # pixels: beyond any scanner's screen; a file that declares more is a mistake or a trap
MOST_FRAMES = 100_000  # more than half an hour at 50 frames a second
LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R BT.601 weights of red, green and blue, times 2 ** 16
Crop = tuple[int, int, int, int]  # left, top, width, height in pixels


def check_declared(height: int, width: int, frames: int | None, name: str) -> None:
    """Refuse sizes that no recording has, before anything of that size is decoded. Raises Unfit."""
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        arrived = f"{name}, which declares {height} x {width}"
        remedy = "is it what it says? Export it again."
        raise Unfit(f"frames of 1 to {LARGEST_SIDE} pixels a side", arrived, remedy)
    if frames is not None and not 0 < frames <= MOST_FRAMES:
        arrived = f"{name}, which holds {frames}"
        raise Unfit(f"1 to {MOST_FRAMES} frames", arrived, "export the clip again.")


def luma(frame: np.ndarray) -> np.ndarray:
    """Brightness of colour, unsigned (H, W, 3) to (H, W) of the same type (ITU-R BT.601, rounded)."""
    weighted = (frame[..., :3].astype(np.uint32) * LUMA).sum(-1, dtype=np.uint32)
    return ((weighted + 2**15) >> 16).astype(frame.dtype)


def table_of_greys(white: int, inverted: bool, bits: int) -> np.ndarray:
    """Grey level of each possible value: uint8 (2 ** bits,); `white` and above become 255."""
    levels = np.minimum(np.arange(2**bits, dtype=np.float64) / white, 1.0)
    return np.rint(255 * (1 - levels if inverted else levels)).astype(np.uint8)


def parse_crop(text: str) -> Crop:
    """A rectangle from `left top width height`, in pixels. Raises Unfit."""
    parts = text.replace(",", " ").split()
    if len(parts) != 4 or not all(re.fullmatch("[0-9]{1,5}", part) for part in parts):
        raise Unfit("a crop as `left top width height` in pixels", repr(text), "write four whole numbers.")
    left, top, width, height = map(int, parts)
    if not (width and height):
        raise Unfit("a crop of some width and height", repr(text), "write left, top, width, height.")
    return left, top, width, height


def check_crop(crop: Crop, height: int, width: int) -> None:
    """Refuse a rectangle that leaves a frame of height x width. Raises Unfit."""
    left, top, wide, high = crop
    if left + wide > width or top + high > height:
        arrived = f"{left} {top} {wide} {high}"
        remedy = "correct it: it is left, top, width, height."
        raise Unfit(f"a crop inside the frame of {width} x {height} (width x height)", arrived, remedy)


def cropped(frame: np.ndarray, crop: Crop | None) -> np.ndarray:
    """The rectangle of a frame (H, W, ...); all of it where crop is None."""
    if crop is None:
        return frame
    left, top, width, height = crop
    return frame[top : top + height, left : left + width]
