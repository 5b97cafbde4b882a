"""DICOM clips by pydicom and its decoders: pixels and an allow-list of technical tags, nothing else."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom import encaps, uid
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import apply_color_lut, iter_pixels

from lusnb.checks import Unfit
from lusnb.readers.clips import Clip
from lusnb.readers.grey import Crop, check_declared, decoding

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
BROKEN = "it may be cut short: copy or export it again, uncompressed where the decoder is missing."
CENTIMETRES = 3  # PhysicalUnitsXDirection and YDirection of an ultrasound region
FRAME_MARKS = [bytes([mark]) for mark in (*range(0xC0, 0xD0), 0xF7) if mark not in (0xC4, 0xC8, 0xCC)]
PILLOWS = (uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.JPEG2000)
JPEG_SYNTAXES = "1.2.840.10008.1.2.4."
VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"  # MPEG-2, MPEG-4 and HEVC begin so: .100 to .108


def open_dicom(path: Path) -> Clip:
    """Open a DICOM file. Raises Unfit."""
    with decoding(EXPECTED, path.name, REMEDY):
        if read_file_meta_info(path).get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
            remedy = "export it uncompressed."  # a deflated file may unfold to a thousand times its size
            raise Unfit("a DICOM file that is not deflated", path.name, remedy)
        data = pydicom.dcmread(path, defer_size="64 KB")
        if "PixelData" not in data:
            remedy = "choose the file that holds the clip; or was this one cut short? Then copy it again."
            raise Unfit(EXPECTED, f"{path.name}, which has no pixels", remedy)
        lacking = [name for name in NEEDED if data.get(name) is None]
        if lacking:
            raise Unfit(EXPECTED, f"{path.name}, which does not say its {', '.join(lacking)}", REMEDY)
        height, width = int(data.Rows), int(data.Columns)
        count = int(data.get("NumberOfFrames") or 1)
        check_declared(height, width, count, path.name)
        colours = str(data.PhotometricInterpretation)
        stored, signed = int(data.BitsStored), int(data.get("PixelRepresentation") or 0)
        if not 1 <= stored <= 16 or signed:
            arrived = f"{path.name}: {stored} bits, {'signed' if signed else 'unsigned'}"
            raise Unfit("unsigned pixels of up to 16 bits", arrived, "export it with 8 or 16 bits.")
        film = str(data.file_meta.TransferSyntaxUID).startswith(VIDEO_SYNTAXES)
        raw = (lambda: _film(path)) if film else (lambda: _frames(path, colours))
        return Clip(
            path.name,
            height,
            width,
            raw,
            count,
            white=255 if colours == "PALETTE COLOR" else 2**stored - 1,
            inverted=colours == "MONOCHROME1",
            fps=_fps(data),
            cm=_pixel_cm(data),
            burned_in={"YES": True, "NO": False}.get(str(data.get("BurnedInAnnotation", "")).upper()),
            region=_region(data),
            tags={name: _plain(data.get(name)) for name in ALLOWED if data.get(name) not in (None, "")},
            owner=_owner(data),
        )


def _owner(data: pydicom.Dataset) -> str | None:
    """Who was scanned, to be compared and never written; None where the file says that this was removed."""
    owner = str(data.get("PatientID") or "").strip()
    removed = str(data.get("PatientIdentityRemoved") or "").upper() == "YES"
    dummy = not owner.strip("0") or owner.upper().startswith(("ANON", "REMOVED", "UNKNOWN", "DEIDENT"))
    return None if removed or dummy else owner


def _plain(value: object) -> object:
    """A tag's value as a number or text."""
    return int(value) if isinstance(value, int) else float(value) if isinstance(value, float) else str(value)


def _frames(path: Path, colours: str) -> Iterator[np.ndarray]:
    with decoding(EXPECTED, path.name, BROKEN):
        _check_pieces(path)
        plugin = _plugin(path)
        palette = pydicom.dcmread(path, stop_before_pixels=True) if colours == "PALETTE COLOR" else None
        for frame in iter_pixels(path, decoding_plugin=plugin):
            if palette is not None:
                frame = apply_color_lut(frame, palette)
                frame = (frame >> 8).astype(np.uint8) if frame.dtype == np.uint16 else frame
            yield frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.uint16)


def _plugin(path: Path) -> str:
    """Which decoder to use; '' is pydicom's choice. Raises ValueError.

    GDCM ends the whole process on some damaged files. So Pillow decodes what it can, and before GDCM is given
    anything, another process tries.
    """
    syntax = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    if syntax in PILLOWS:
        return "pillow"
    if syntax.startswith(JPEG_SYNTAXES):
        code = "import sys; from pydicom.pixels import iter_pixels; [None for _ in iter_pixels(sys.argv[1])]"
        if subprocess.run([sys.executable, "-c", code, path], capture_output=True).returncode < 0:
            raise ValueError("the decoder broke down over it")
    return ""


def _check_pieces(path: Path) -> None:
    """Refuse compressed frames of another size than the file's, or without one. Raises ValueError.

    Decoders believe them, and would make room for it.
    """
    data = pydicom.dcmread(path, defer_size="64 KB")
    if not data.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    for piece in encaps.generate_frames(
        data.PixelData, number_of_frames=int(data.get("NumberOfFrames") or 1)
    ):
        own = _size_of(piece)
        if own is not None and own != (data.Rows, data.Columns):
            told = "{} x {} in a file of {} x {}".format(*own, data.Rows, data.Columns)
            raise ValueError(f"a frame of {told}")


def _size_of(piece: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG, JPEG-LS or JPEG 2000 image declares; None of other kinds."""
    if piece.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top = struct.unpack(">4I", piece[8:24])
        return bottom - top, right - left
    if not piece.startswith(b"\xff\xd8"):
        return None
    at, size = 2, (0, 0)
    while piece[at : at + 2] != b"\xff\xda":  # up to the scan, one segment follows the other
        mark, length = piece[at + 1 : at + 2], int.from_bytes(piece[at + 2 : at + 4], "big")
        if piece[at : at + 1] != b"\xff" or length < 2:
            raise ValueError("a JPEG image with a damaged header")
        if mark in FRAME_MARKS:
            size = struct.unpack(">2H", piece[at + 5 : at + 9])
        at += 2 + length
    return size


def _film(path: Path) -> Iterator[np.ndarray]:
    """Frames of a video inside a DICOM file, whose fragments together are one video file."""
    from lusnb.readers import video

    data = pydicom.dcmread(path)
    whole = next(encaps.generate_frames(data.PixelData, number_of_frames=1))
    yield from video.open_video(whole, path.name).raw()


def _fps(data: pydicom.Dataset) -> float | None:
    """Frames a second, from the first tag that says it."""
    for name, per_second in (
        ("CineRate", float),
        ("RecommendedDisplayFrameRate", float),
        ("FrameTime", lambda ms: 1000 / float(ms)),
    ):
        value = data.get(name)
        if value and float(value) > 0:
            return per_second(value)
    return None


def _regions(data: pydicom.Dataset) -> list:
    return list(data.get("SequenceOfUltrasoundRegions") or [])


def _pixel_cm(data: pydicom.Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel in cm, of the one ultrasound region that declares them."""
    for region in _regions(data):
        units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
        down, across = region.get("PhysicalDeltaY"), region.get("PhysicalDeltaX")
        if units == {CENTIMETRES} and down and across:
            return abs(float(down)), abs(float(across))
    return None


def _region(data: pydicom.Dataset) -> Crop | None:
    """The rectangle of the first ultrasound region: left, top, width, height."""
    for region in _regions(data):
        ends = [region.get(f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        if None not in ends:
            left, top, right, bottom = map(int, ends)
            return left, top, right - left + 1, bottom - top + 1
    return None
