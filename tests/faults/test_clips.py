"""Clips that an import refuses: in which words, and without a trace."""

import io
import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid

from tests.faults import make
from tests.faults.conftest import Told, check
from tests.faults.make import FRAMES, HEIGHT, WIDTH, Break, array, both, cut, pixels, put, tagged, text

MP4, AVI, NPY, TIFF = ("clips.csv", 1), ("clips.csv", 2), ("clips.csv", 3), ("clips.csv", 4)
GREY, DEEP, BOX = ("labels.csv", 3), ("labels.csv", 4), ("labels.csv", 5)
DCM, JPEG, PNG = ("clips.csv", 5), ("clips.csv", 6), ("clips.csv", 7)
VIDEO = (r"a video \(MP4, AVI, MOV, MKV\) that can be decoded", "Invalid", "copy or export it again")
UINT8 = r"a uint8 or uint16 array \(frames, height, width\[, 3\]\)"
TURN = r"axes \(height, width, frames\)\? They must be \(frames, height, width\)"
NOT_NPY, SAVE = r"a \.npy array", r"save it again with numpy\.save"
IMAGE = "a PNG or TIFF image"
DICOM = "a DICOM file with an image or a clip"
COPY = "copy or export it again"


def header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file of bytes."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue()


def two_pages(first: np.ndarray, second: np.ndarray) -> Break:
    """A TIFF stack of two unlike pages, and labels for its first two frames alone."""
    save = dict(save_all=True, append_images=[Image.fromarray(second)])
    return both(pixels("clips/brandt.tif", lambda: first, **save), put("labels", 6, frame="1"))


def deflated(folder: Path) -> None:
    data = pydicom.dcmread(folder / "clips/conrad.dcm")
    data.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    data.save_as(folder / "clips/conrad.dcm")


def other_size(folder: Path) -> None:
    """A compressed DICOM file whose images are larger than it declares."""
    path = folder / "clips/conrad_jpeg.dcm"
    make.jpeg_dicom(path, np.pad(FRAMES[3:], ((0, 0), (8, 8), (8, 8))), BurnedInAnnotation="YES")
    tagged("conrad_jpeg.dcm", Rows=HEIGHT, Columns=WIDTH)(folder)


CLIPS: dict[str, tuple[Break, Told]] = {
    "an AVI cut at half": (
        cut("clips/adler.avi", 0.5), (*AVI, "6 frames, as it declares", r"adler\.avi: \d$", "cut short"),
    ),
    "an MP4 without its index": (cut("clips/adler.mp4", 0.5), (*MP4, *VIDEO)),
    "a film without pictures": (
        lambda d: make.sound(d / "clips/adler.mp4"),
        (*MP4, "a file with a video in it", r"adler\.mp4, which has none", "export the clip again"),
    ),
    "words in an MP4": (text("clips/adler.mp4", "words"), (*MP4, *VIDEO)),
    "a playlist of other files named MP4": (
        text("clips/adler.mp4", "ffconcat version 1.0\nfile adler.avi\n"), (*MP4, *VIDEO),
    ),
    "an empty MP4": (text("clips/adler.mp4", ""), (*MP4, *VIDEO)),
    "an empty AVI": (text("clips/adler.avi", ""), (*AVI, *VIDEO)),
    "an empty NPY": (text("clips/brandt.npy", ""), (*NPY, NOT_NPY, "No data left", SAVE)),
    "an empty TIFF": (text("clips/brandt.tif", ""), (*TIFF, IMAGE, "cannot identify", COPY)),
    "an empty PNG": (text("clips/conrad.png", ""), (*PNG, IMAGE, "cannot identify", COPY)),
    "an empty DICOM file": (text("clips/conrad.dcm", ""), (*DCM, DICOM, "missing", "export it again")),
    "NaN": (
        array(lambda: np.where(FRAMES > 250, np.nan, FRAMES)),
        (*NPY, UINT8, r"brandt\.npy: float64 of shape \(6, 24, 40\)", "convert it"),
    ),
    "floats": (array(lambda: FRAMES / np.float32(255)), (*NPY, UINT8, "float32", r"\(255 \* clip\)")),
    "int64": (array(lambda: FRAMES.astype(np.int64)), (*NPY, UINT8, "int64 of shape", "convert it")),
    "complex numbers": (array(lambda: FRAMES.astype(complex)), (*NPY, UINT8, "complex128", "convert it")),
    "one dimension": (array(lambda: FRAMES.ravel()), (*NPY, UINT8, r"shape \(5760,\)", "convert it")),
    "four channels": (
        array(lambda: np.stack([FRAMES] * 4, -1)), (*NPY, UINT8, r"shape \(6, 24, 40, 4\)", "convert it"),
    ),
    "no frames": (
        array(lambda: FRAMES[:0]), (*NPY, "1 to 100000 frames", "holds 0", "export the clip again"),
    ),
    "no height": (
        array(lambda: FRAMES[:, :0]), (*NPY, "1 to 8192 pixels a side", "declares 0 x 40", "Export it again"),
    ),
    "half an NPY": (cut("clips/brandt.npy", 0.5), (*NPY, NOT_NPY, "greater than file size", SAVE)),
    "an NPY that declares terabytes": (
        lambda d: (d / "clips/brandt.npy").write_bytes(header((90_000, 8000, 8000))),
        (*NPY, NOT_NPY, "greater than file size", SAVE),
    ),
    "an archive named NPY": (
        lambda d: np.savez((d / "clips/brandt.npy").open("wb"), FRAMES),
        (*NPY, NOT_NPY, "an archive of arrays", SAVE),
    ),
    "a zip bomb of a TIFF": (
        make.claims_to_be_large("clips/brandt.tif"), (*TIFF, IMAGE, "10000000000 pixels.*bomb", COPY),
    ),
    "a TIFF of floats": (
        pixels("clips/brandt.tif", lambda: FRAMES[0] / np.float32(255)),
        (*TIFF, "8 or 16 bits a pixel", r"brandt\.tif of mode F", "export it with 8 or 16 bits"),
    ),
    "a large stack of ImageJ": (
        pixels("clips/brandt.tif", lambda: FRAMES[0], tiffinfo={270: "ImageJ=1.54\nimages=400\n"}),
        (*TIFF, "a TIFF with a page a frame", "400 frames behind one", "save it as AVI"),
    ),
    "pages of two sizes": (
        two_pages(FRAMES[0], FRAMES[0, :9]),
        (*TIFF, r"frames of one size, \(24, 40\)", r"frame 1 of \(9, 40\)", "frames of one size"),
    ),
    "pages of 8 and of 16 bits": (
        two_pages(FRAMES[0], FRAMES[0].astype(np.uint16) * 257),
        (*TIFF, "frames of one kind, mode L", "frame 1 is of mode I;16", "export all frames alike"),
    ),
    "half a TIFF": (cut("clips/brandt.tif", 0.5), (*TIFF, IMAGE, r"brandt\.tif: ", COPY)),
    "half a PNG": (cut("clips/conrad.png", 0.5), (*PNG, IMAGE, "truncated", COPY)),
    "a JPEG named PNG": (
        pixels("clips/conrad.png", lambda: FRAMES[0], format="JPEG"),
        (*PNG, IMAGE, r"conrad\.png, a JPEG", "give it the ending of what it is"),
    ),
    "a black frame that is labelled": (
        array(lambda: FRAMES * (np.arange(6) != 1).astype(np.uint8)[:, None, None]),
        (*DEEP, "a labelled frame with an image", "frame 1, one grey all over", "label another frame"),
    ),
    "a DICOM file without pixels": (
        tagged(drop=("PixelData",)), (*DCM, DICOM, r"conrad\.dcm, which has no pixels", "choose the file"),
    ),
    "a DICOM file without its size": (
        tagged(drop=("Rows",)), (*DCM, DICOM, "does not say its Rows", "export it again"),
    ),
    "half a DICOM file": (cut("clips/conrad.dcm", 0.6), (*DCM, DICOM, r"conrad\.dcm: ", "cut short")),
    "half a DICOM file of JPEG images": (
        cut("clips/conrad_jpeg.dcm", 0.6), (*JPEG, DICOM, "truncated", "cut short"),
    ),
    "fewer frames than a DICOM file declares": (
        tagged(NumberOfFrames=9), (*DCM, DICOM, r"conrad\.dcm: ", "cut short"),
    ),
    "a DICOM file that declares a million frames": (
        tagged(NumberOfFrames=10**6), (*DCM, "1 to 100000 frames", "holds 1000000", "export the clip"),
    ),
    "pixels in the upper bits": (
        tagged(HighBit=6), (*DCM, "pixels in the lowest 8 bits", "highest is bit 6", "HighBit = "),
    ),
    "signed pixels": (
        tagged(PixelRepresentation=1), (*DCM, "unsigned pixels of up to 16 bits", "8 bits, signed", "export"),
    ),
    "images larger than the DICOM file declares": (
        other_size, (*JPEG, DICOM, "a frame of 40 x 56 in a file of 24 x 40", "export it again"),
    ),
    "a deflated DICOM file, which may unfold without end": (
        deflated, (*DCM, "a DICOM file that is not deflated", r"conrad\.dcm", "export it uncompressed"),
    ),
    "words in a DICOM file": (text("clips/conrad.dcm", "words"), (*DCM, DICOM, "missing", "export it again")),
    "burned-in text without a crop": (
        tagged(BurnedInAnnotation="YES"),
        (*DCM, "a crop, since the file declares burned-in text", r"no crop of clips/conrad\.dcm", "`crop`"),
    ),
    "a crop outside the frame": (
        put("clips", 6, crop="30 0 32 24"),
        (*JPEG, r"inside the frame of 40 x 24 \(width x height\)", "30 0 32 24", "left, top, width, height"),
    ),
    "a crop in words": (
        put("clips", 6, crop="left half"), (*JPEG, "`left top width height`", "'left half'", "four whole"),
    ),
    "a crop with an exponent for a number": (
        put("clips", 6, crop="0 0 ² 4"), (*JPEG, "`left top width height`", "'0 0 ² 4'", "four whole"),
    ),
    "a crop of nothing": (
        put("clips", 6, crop="0 0 0 4"), (*JPEG, "a crop of some width and height", "0 0 0 4", "write left"),
    ),
    "a region that the file does not declare": (
        put("clips", 6, crop="region"),
        (*JPEG, "a file that declares its ultrasound region", r"conrad_jpeg\.dcm", "write left, top"),
    ),
    "white at 0": (
        put("clips", 7, white="0"), (*PNG, "white to be a value from 1 to 65535", "0", "correct it"),
    ),
    "the same recording under two patients": (
        put("clips", 4, path="clips/adler.avi"),
        (*TIFF, "each recording once, of one patient", "same pixels as in row 2", "stay in one split"),
    ),
    "another kind of file": (
        put("clips", 3, path="cohort.yaml"), (*NPY, "a clip as MP4, AVI", r"cohort\.yaml", "convert it"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("claim", CLIPS)
def test_a_broken_clip_is_refused_in_its_own_words(source, refused, claim):
    break_it, told = CLIPS[claim]
    break_it(source)
    check(refused().problems, source, told)


def test_frames_last_are_found_where_a_label_lies(source, refused):
    array(lambda: FRAMES.transpose(1, 2, 0))(source)
    wanted = [
        (*GREY, "the clip's size, 40 x 6", "24 x 40", TURN),
        (*DEEP, "the clip's size", "24 x 40", TURN),
    ]
    check(refused().problems, source, *wanted, (*BOX, "a box inside 40 x 6", "3 x 25", "drawn on this clip"))


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self) -> tuple:
        return (open, (str(self.witness), "w"))


@pytest.mark.parametrize("wrapped", [False, True], ids=["a bare pickle", "an array of objects"])
def test_a_pickle_is_never_loaded(source, refused, tmp_path, wrapped):
    path, payload = source / "clips/brandt.npy", Payload(tmp_path / "witness")
    if wrapped:
        np.save(path, np.array([payload], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(payload))
    error = refused()
    check(error.problems, source, (*NPY, NOT_NPY, "pickled objects, which are never loaded", SAVE))
    assert "allow_pickle" not in str(error) and not payload.witness.exists()
    np.load(path, allow_pickle=True)  # the payload is live: only the refusal held it back
    assert payload.witness.exists()


def test_one_person_under_two_names_is_refused_without_saying_who(source, refused):
    put("clips", 6, patient_id="Brandt-4402")(source)
    error = refused()
    told = (
        *JPEG,
        "each person under one patient_id",
        "the person of row 5 under another",
        "correct patient_id",
    )
    check(error.problems, source, told)
    assert "9063" not in str(error) and "Cleo" not in str(error)
