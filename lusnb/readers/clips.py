"""Clips as people have them, one frame at a time: MP4, AVI, DICOM, NPY, TIFF stacks, PNG stills.

    frames = clips.read("clip.mp4")  # uint8 (frames, height, width)

Colour becomes grey by luma; 16 bits are scaled by the range that the file declares. Whatever cannot be read
raises problems.Unfit: expected, arrived, remedy.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lusnb import files
from lusnb.cohort.problems import Unfit
from lusnb.readers import images
from lusnb.readers.clip import Clip
from lusnb.readers.grey import Crop, check_crop, check_declared, cropped, luma, table_of_greys

KNOWN = "MP4, AVI, DICOM, NPY, TIFF or PNG"


def _dicom(path: Path) -> Clip:
    from lusnb.readers import dicom

    return dicom.open_dicom(path)


def _video(path: Path) -> Clip:
    from lusnb.readers import video

    return video.open_video(path, path.name)


OPENERS: dict[
    str, Callable[[Path], Clip]
] = {  # by a file's ending; a new format is its module and a line here
    **dict.fromkeys((".dcm", ".dicom", ".dic", ".ima"), _dicom),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".m4v"), _video),
    **dict.fromkeys((".png", ".tif", ".tiff"), images.open_images),
    ".npy": images.open_npy_clip,
}


def open_clip(path: str | Path) -> Clip:
    """Open a clip by its name's ending (OPENERS), or as DICOM where the file says so. Raises Unfit."""
    path = Path(path)
    opener = OPENERS.get(path.suffix.lower()) or (_dicom if _says_dicom(path) else None)
    if opener is None:
        raise Unfit(f"a clip as {KNOWN}", path.name, "convert it to one of these.")
    clip = opener(path)
    check_declared(clip.height, clip.width, clip.count, path.name)
    return clip


def stream(clip: Clip, crop: Crop | None = None, white: int | None = None) -> Iterator[np.ndarray]:
    """The frames of a clip as grey, uint8 (H, W), one at a time. Raises Unfit.

    `crop`: left, top, width, height in pixels. `white`: the value shown as white, where the file does not
    declare it (4095 for 12 bits kept in 16).
    """
    if crop is not None:
        check_crop(crop, clip.height, clip.width)
    greys, count, size = None, 0, None
    for frame in clip.raw():
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:
            arrived = f"{clip.name}, frame {count} of {frame.shape[:2]}"
            raise Unfit(f"frames of one size, {size}", arrived, "export it with frames of one size.")
        frame = cropped(frame, crop)
        frame = luma(frame) if frame.ndim == 3 else frame
        if frame.dtype != np.uint8 or white or clip.inverted or clip.white != 255:
            if greys is None:
                greys = table_of_greys(white or clip.white, clip.inverted, 8 * frame.dtype.itemsize)
            frame = greys[frame]
        count += 1
        yield frame
    if count == 0 or (clip.count is not None and count < clip.count):
        whole = "at least one frame" if clip.count is None else f"{clip.count} frames, as it declares"
        remedy = "it may be cut short: copy it again; or frames were dropped when it was recorded: "
        remedy += "export it again at a constant rate."
        raise Unfit(whole, f"{clip.name}: {count}", remedy)


def read(path: str | Path, crop: Crop | None = None, white: int | None = None) -> np.ndarray:
    """A whole clip as grey: uint8 (T, H, W), T frames of H rows and W columns, 255 = white.

    `path`: MP4, AVI, MOV, MKV, DICOM, NPY, TIFF or PNG. `crop`: the rectangle to keep, (left, top, width,
    height) in pixels of the file. `white`: the value shown as white in a file of 16 bits that does not
    declare it (4095 for 12 bits kept in 16). Raises problems.Unfit, which says what was expected, what
    arrived and what to do, for whatever cannot be read in full. `open_clip` and `stream` give the same one
    frame at a time, and what the file says of its rate (frames a second) and scale (cm a pixel).
    """
    return np.stack(list(stream(open_clip(path), crop, white)))


def write_npy(
    frames: Iterator[np.ndarray],
    path: Path,
    look: Callable[[int, np.ndarray], object] = lambda t, frame: None,
) -> tuple[int, int, int]:
    """Write uint8 frames of one size, (H, W), into a .npy of (T, H, W) as they come; returns that shape.

    `look(t, frame)` is shown each frame. Only one frame is ever in memory.
    """
    count = height = width = 0
    with files.whole(path) as beside, beside.open("wb") as out:
        for frame in frames:
            height, width = frame.shape
            if count == 0:
                _write_header(out, (0, height, width))
            look(count, frame)
            out.write(np.ascontiguousarray(frame).tobytes())
            count += 1
        out.seek(0)
        _write_header(out, (count, height, width))  # as long as the first one: numpy leaves room to grow
    return count, height, width


def _write_header(out, shape: tuple) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _says_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
