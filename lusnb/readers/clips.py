"""Clips as people have them, one frame at a time: MP4, AVI, DICOM, NPY, TIFF stacks, PNG stills.

    frames = clips.read("clip.mp4")  # uint8 (frames, height, width)

Colour becomes grey by luma; 16 bits are scaled by the range that the file declares. Whatever cannot be read
raises checks.Unfit: expected, arrived, remedy.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from lusnb import files
from lusnb.checks import Unfit, decoding
from lusnb.contents import open_npy
from lusnb.readers.grey import Crop, check_crop, check_declared, cropped, luma, table_of_greys

VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".m4v")
DICOM = (".dcm", ".dicom", ".dic", ".ima")
IMAGES = (".png", ".tif", ".tiff")
KNOWN = "MP4, AVI, DICOM, NPY, TIFF or PNG"
BROKEN = "it may be damaged: copy or export it again."
LEAST_SIDE = 16  # pixels: an array (H, W, 3) with both sides of this and more is one frame in colour
DEEP = ("I;16", "I;16B", "I;16L", "I")  # Pillow's modes of 16-bit grey


@dataclass(frozen=True)
class Clip:
    """An opened clip: what it declares, and its frames, which are decoded as they are asked for.

    `raw()` yields uint8 or uint16, (H, W) or (H, W, 3). `count` is None where only reading to the end tells.
    `white` is the value shown as white, `inverted` whether 0 is. `cm` is the size of a pixel, (down, across).
    `burned_in`: whether the file declares text in its pixels; None where it says nothing. `region` is the
    image's rectangle, where the file declares one. `tags` are technical; nothing else is ever kept. `owner`
    is whoever the file says was scanned: for comparing, never for writing.
    """

    name: str
    height: int
    width: int
    raw: Callable[[], Iterator[np.ndarray]]
    count: int | None = None
    white: int = 255
    inverted: bool = False
    fps: float | None = None
    cm: tuple[float, float] | None = None
    burned_in: bool | None = None
    region: Crop | None = None
    tags: dict = field(default_factory=dict)
    owner: str | None = field(default=None, repr=False)


def open_clip(path: str | Path) -> Clip:
    """Open a clip by its name's ending, or as DICOM where the file says so. Raises Unfit."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending in DICOM or (ending not in (*VIDEO, *IMAGES, ".npy") and _says_dicom(path)):
        from lusnb.readers import dicom

        clip = dicom.open_dicom(path)
    elif ending in VIDEO:
        from lusnb.readers import video

        clip = video.open_video(path)
    elif ending == ".npy":
        clip = _open_npy(path)
    elif ending in IMAGES:
        clip = _open_images(path)
    else:
        raise Unfit(f"a clip as {KNOWN}", path.name, "convert it to one of these.")
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
    declare it (4095 for 12 bits kept in 16). Raises checks.Unfit, which says what was expected, what arrived
    and what to do, for whatever cannot be read in full. `open_clip` and `stream` give the same one frame at
    a time, and what the file says of its rate (frames a second) and scale (cm a pixel).
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
    count, size = 0, None
    with files.whole(path) as beside, beside.open("wb") as out:
        for frame in frames:
            size = frame.shape
            if count == 0:
                _write_header(out, (0, *size))
            look(count, frame)
            out.write(np.ascontiguousarray(frame).tobytes())
            count += 1
        out.seek(0)
        _write_header(out, (count, *(size or (0, 0))))  # as long as the first one: numpy leaves room to grow
    return (count, *size)


def _write_header(out, shape: tuple) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _says_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _open_npy(path: Path) -> Clip:
    array = open_npy(path, path.name)
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
    return Clip(path.name, *array.shape[1:3], lambda: _npy_frames(path, array), len(array), white)


def _npy_frames(path: Path, array: np.ndarray) -> Iterator[np.ndarray]:
    """Frames by plain reads, since pages of a memory map would pile up; a Fortran order leaves no choice."""
    if not array.flags.c_contiguous:
        yield from (np.array(frame) for frame in array)
        return
    size = int(np.prod(array.shape[1:]))
    with path.open("rb") as file:
        file.seek(array.offset)
        for _ in range(len(array)):
            yield np.fromfile(file, array.dtype, size).reshape(array.shape[1:])


def _open_images(path: Path) -> Clip:
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
