"""DICOM clips by pydicom and its decoders: pixels and an allow-list of technical tags, nothing else."""

import math
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pydicom
from pydicom import encaps, uid
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import apply_color_lut, iter_pixels

from lusnb.cohort.problems import Unfit, decoding
from lusnb.readers.clip import Clip
from lusnb.readers.dicom_fragments import Pieces, size_of
from lusnb.readers.grey import Crop, check_declared

EXPECTED, REMEDY = "a DICOM file with an image or a clip", "export it again."
# What may be known of a recording without knowing of whom: how the pixels were made.
ALLOWED = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "TransducerType",
    "TransducerFrequency",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsStored",
    "PhotometricInterpretation",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "FrameTime",
)
NEEDED = ("Rows", "Columns", "BitsStored", "PhotometricInterpretation")
# Read, and not kept.
READ = (
    *("BitsAllocated", "HighBit", "PixelRepresentation", "FrameTimeVector", "SequenceOfUltrasoundRegions"),
    *("BurnedInAnnotation", "PatientID", "PatientIdentityRemoved"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
PALETTE = [
    f"{form}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for form, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
]
BROKEN = "it may be cut short: copy or export it again, uncompressed where the decoder is missing."
CENTIMETRES, TISSUE = 3, 1  # of an ultrasound region: PhysicalUnitsXDirection and YDirection; RegionDataType
NOBODY = ("ANON", "REMOVED", "UNKNOWN", "DEIDENT")  # how the one PatientID begins that replaces every other
PILLOWS = (uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.JPEG2000)
JPEG_SYNTAXES = "1.2.840.10008.1.2.4."
PIXELS = (0x7FE0, 0x0010)  # the tag of PixelData
VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"  # MPEG-2, MPEG-4 and HEVC begin so: .100 to .108


# Another process decodes: a line a frame, its type and shape, then its bytes; then `whole`, or the error.
DECODE = """
import os, sys
out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
try:
    from pydicom.pixels import iter_pixels
    for frame in iter_pixels(sys.argv[1]):
        out.write(" ".join([frame.dtype.str, *map(str, frame.shape)]).encode() + b"\\n" + frame.tobytes())
    out.write(b"whole")
except Exception as error:
    out.write(b"! " + " ".join(str(error).split())[:160].encode())
"""


def open_dicom(path: Path) -> Clip:
    """Open a DICOM file; its pixels stay in it until they are asked for. Raises Unfit."""
    with decoding(EXPECTED, path.name, REMEDY):
        with path.open("rb") as file:
            data, _ = _header(file, path.name)
        lacking = [name for name in NEEDED if data.get(name) is None]
        if lacking:
            raise Unfit(EXPECTED, f"{path.name}, which does not say its {', '.join(lacking)}", REMEDY)
        height, width = int(data.Rows), int(data.Columns)
        count = int(data.get("NumberOfFrames") or 1)
        check_declared(height, width, count, path.name)
        _check_bits(data, path.name)
        colours = str(data.PhotometricInterpretation)
        film = str(data.file_meta.TransferSyntaxUID).startswith(VIDEO_SYNTAXES)
        region, cm = _region(data)
        return Clip(
            path.name,
            height,
            width,
            (lambda: _film(path)) if film else (lambda: _frames(path, colours)),
            count,
            white=255 if colours == "PALETTE COLOR" else 2 ** int(data.BitsStored) - 1,
            inverted=colours == "MONOCHROME1",
            fps=_fps(data),
            cm=cm,
            burned_in={"YES": True, "NO": False}.get(str(data.get("BurnedInAnnotation", "")).upper()),
            region=region,
            tags={name: _plain(data.get(name)) for name in ALLOWED if data.get(name) not in (None, "")},
            owner=_owner(data),
        )


def _header(file: BinaryIO, name: str, tags: Sequence[str] = ()) -> tuple[pydicom.Dataset, int]:
    """The few tags that are of use, and where the pixels begin: `file` stands there. Raises Unfit."""
    if read_file_meta_info(file.name).get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
        remedy = "export it uncompressed."  # a deflated file may unfold to a thousand times its size
        raise Unfit("a DICOM file that is not deflated", name, remedy)
    data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*ALLOWED, *READ, *tags])
    implicit, little = data.original_encoding
    head = file.read(8 if implicit else 12)
    if len(head) < 8 or struct.unpack("<HH" if little else ">HH", head[:4]) != PIXELS:
        remedy = "choose the file that holds the clip; or was this one cut short? Then copy it again."
        raise Unfit(EXPECTED, f"{name}, which has no pixels", remedy)
    return data, file.tell()


def _check_bits(data: pydicom.Dataset, name: str) -> None:
    stored, signed = int(data.BitsStored), int(data.get("PixelRepresentation") or 0)
    if not 1 <= stored <= 16 or signed:
        arrived = f"{name}: {stored} bits, {'signed' if signed else 'unsigned'}"
        raise Unfit("unsigned pixels of up to 16 bits", arrived, "export it with 8 or 16 bits.")
    highest = data.get("HighBit")
    if highest is not None and int(highest) != stored - 1:
        arrived = f"{name}: {stored} bits, of which the highest is bit {highest}"
        remedy = "export it with HighBit = BitsStored - 1."
        raise Unfit(f"pixels in the lowest {stored} bits of each number", arrived, remedy)


def _owner(data: pydicom.Dataset) -> str | None:
    """Who was scanned, to be compared and never written.

    None where the file says that this was removed, or where it looks like the one name that a program gives
    to all: no digit, fewer than three characters, or the same one throughout.
    """
    owner = str(data.get("PatientID") or "").strip()
    removed = str(data.get("PatientIdentityRemoved") or "").upper() == "YES"
    dummy = len(owner) < 3 or len(set(owner)) == 1 or not any(one.isdigit() for one in owner)
    return None if removed or dummy or owner.upper().startswith(NOBODY) else owner


def _plain(value: object) -> object:
    """A tag's value as a number or text."""
    return int(value) if isinstance(value, int) else float(value) if isinstance(value, float) else str(value)


def _frames(path: Path, colours: str) -> Iterator[np.ndarray]:
    with decoding(EXPECTED, path.name, BROKEN):
        palette = _palette(path) if colours == "PALETTE COLOR" else None
        # A frame is decoded when its compressed piece has been looked at.
        for _, frame in zip(_checked(path), _decoded(path), strict=False):
            if palette is not None:
                yield palette[frame]
            else:
                yield frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.uint16)


def _decoded(path: Path) -> Iterator[np.ndarray]:
    """Frames by the decoder that is safe.

    GDCM ends the whole process on some damaged files. So Pillow decodes what it can, pydicom what is not
    compressed or run lengths alone, and another process does the rest.
    """
    syntax = str(read_file_meta_info(path).TransferSyntaxUID)
    if syntax.startswith(JPEG_SYNTAXES) and syntax not in PILLOWS:
        yield from _decoded_elsewhere(path)
    else:
        yield from iter_pixels(path, decoding_plugin="pillow" if syntax in PILLOWS else "")


def _decoded_elsewhere(path: Path) -> Iterator[np.ndarray]:
    """Frames by way of one other process, which may break down over them. Raises ValueError."""
    for _ in _checked(path):  # it runs ahead
        pass
    command = [sys.executable, "-c", DECODE, str(path.absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        out = cast(BinaryIO, child.stdout)  # there, as it is a pipe
        try:
            while (line := out.readline()).endswith(b"\n"):
                name, *sides = line.split()
                shape, kind = tuple(map(int, sides)), np.dtype(name.decode())
                yield np.frombuffer(out.read(math.prod(shape) * kind.itemsize), kind).reshape(shape)
        finally:
            child.kill()
    if line != b"whole":
        broke = "the decoder broke down over it"
        raise ValueError(line.removeprefix(b"! ").decode() if line.startswith(b"! ") else broke)


def _checked(path: Path) -> Iterator[None]:
    """Look at one compressed frame after the other; for ever, where frames are not compressed.

    Raises ValueError where one is of another size than the file's, or of none: decoders believe it, and would
    make room for it.
    """
    with path.open("rb") as file:
        data, _ = _header(file, path.name)
        if not data.file_meta.TransferSyntaxUID.is_encapsulated:
            yield from repeat(None)
        table = (data.get("ExtendedOffsetTable"), data.get("ExtendedOffsetTableLengths"))
        count = int(data.get("NumberOfFrames") or 1)
        for piece in encaps.generate_frames(
            file, number_of_frames=count, extended_offsets=table if all(table) else None
        ):
            own = size_of(piece)
            if own is not None and own != (data.Rows, data.Columns):
                told = "{} x {} in a file of {} x {}".format(*own, data.Rows, data.Columns)
                raise ValueError(f"a frame of {told}")
            yield


def _film(path: Path) -> Iterator[np.ndarray]:
    """Frames of a video inside a DICOM file, whose fragments together are one video file."""
    from lusnb.readers import video

    with decoding(EXPECTED, path.name, BROKEN), path.open("rb") as file:
        _header(file, path.name)
        yield from video.open_video(Pieces(file), path.name).raw()


def _palette(path: Path) -> np.ndarray:
    """Colour of each possible value: uint8 (values, 3)."""
    with path.open("rb") as file:
        data, _ = _header(file, path.name, PALETTE)
    values = np.arange(2 ** (8 if data.BitsAllocated == 8 else 16), dtype=np.uint16)
    colours = apply_color_lut(values[None], data)[0]
    deep = colours.max() > 255  # some keep 8 bits in entries of 16
    return (colours >> 8 if deep else colours).astype(np.uint8)


def _fps(data: pydicom.Dataset) -> float | None:
    """Frames a second as recorded, from the first tag that says it; times are in ms."""
    times = data.get("FrameTimeVector")  # from each frame to the one before; 0 for the first
    times = [float(time) for time in times] if isinstance(times, Iterable) else []
    between = float(data.get("FrameTime") or 0) or sum(times[1:]) / max(len(times) - 1, 1)
    if between > 0:
        return 1000 / between
    rates = (float(data.get(name) or 0) for name in ("RecommendedDisplayFrameRate", "CineRate"))
    return next((rate for rate in rates if rate > 0), None)


def _region(data: pydicom.Dataset) -> tuple[Crop | None, tuple[float, float] | None]:
    """The image among the ultrasound regions: left, top, width, height; and a pixel's height and width in cm.

    The largest whose scale is in centimetres, of tissue rather than of anything else; either may be unknown.
    Without such a scale it must at least be of tissue: a strip of text or a curve is a region too.
    """
    best: tuple[Crop | None, tuple[float, float] | None] = (None, None)
    known = (False, False, 0)
    for region in data.get("SequenceOfUltrasoundRegions") or []:
        ends = [region.get(f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        left, top, right, bottom = map(int, ends) if None not in ends else (0, 0, -1, -1)
        wide, high = max(0, right - left + 1), max(0, bottom - top + 1)
        units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
        down, across = region.get("PhysicalDeltaY"), region.get("PhysicalDeltaX")
        scaled = bool(units == {CENTIMETRES} and down and across)
        rank = (scaled, region.get("RegionDataType") == TISSUE, wide * high)
        if any(rank[:2]) and rank > known:
            known = rank
            crop = (left, top, wide, high) if wide and high else None
            best = crop, (abs(float(down)), abs(float(across))) if scaled else None
    return best
