"""DICOM clips by pydicom and its decoders: pixels and an allow-list of technical tags, nothing else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom import encaps
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
VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"  # MPEG-2, MPEG-4 and HEVC begin so: .100 to .108


def open_dicom(path: Path) -> Clip:
    """Open a DICOM file. Raises Unfit."""
    with decoding(EXPECTED, path.name, REMEDY):
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
        palette = pydicom.dcmread(path, stop_before_pixels=True) if colours == "PALETTE COLOR" else None
        for frame in iter_pixels(path):
            if palette is not None:
                frame = apply_color_lut(frame, palette)
                frame = (frame >> 8).astype(np.uint8) if frame.dtype == np.uint16 else frame
            yield frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.uint16)


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
