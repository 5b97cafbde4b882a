"""Labels that an import refuses: in which words, and without a trace."""

import numpy as np
import pytest
from PIL import Image

from tests.faults import make
from tests.faults.conftest import Told, check
from tests.faults.make import HEIGHT, WIDTH, Break, band, both, cut, pixels, put, text

POLYGONS, LAYER, GREY = ("labels.csv", 1), ("labels.csv", 2), ("labels.csv", 3)
BOX, LAYERS, NIFTI, NRRD = ("labels.csv", 5), ("labels.csv", 6), ("labels.csv", 7), ("labels.csv", 8)
MASK = ("labels.csv", 9)
OUTLINE = "three points and more, with a confidence from 0 to 1"
ELSEWHERE = ("a volume in one file", "a header that names another file", "save header and data in one file")
COPY = "copy or export it again"
META_IMAGE = "NDims = 2\nDimSize = 40 24\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n"


def polygon(points: object = ((5, 8), (30, 8), (30, 11)), **more: object) -> Break:
    return lambda folder: make.polygons(folder / "labels/polygons.json", points, **more)


def volume(slices: np.ndarray) -> Break:
    return lambda folder: make.nifti(folder / "labels/volume.nii.gz", slices)


def header_only(*more: str) -> Break:
    return lambda folder: make.nrrd(folder / "labels/volume.nrrd", band()[None], *more, data=b"")


def as_volume(name: str, content: str) -> Break:
    return both(text(f"labels/{name}", content), put("labels", 8, path=f"labels/{name}"))


def segment(**how: object) -> Break:
    return lambda folder: make.slicer(folder / "labels/box.seg.nrrd", **how)


LABELS: dict[str, tuple[Break, Told]] = {
    "a label of a frame beyond the end": (
        put("labels", 3, frame="6"), (*GREY, "a frame from 0 to 5", "frame 6", "correct the frame number"),
    ),
    "a label of another size": (
        pixels("labels/grey.png", lambda: np.pad(band(), 3)),
        (*GREY, r"size, 24 x 40 \(height x width\)", r"grey\.png of 30 x 46", "at the clip's size"),
    ),
    "a label lying on its side": (
        pixels("labels/grey.png", lambda: band().T),
        (*GREY, "the clip's size, 24 x 40", "40 x 24", "height and width swapped"),
    ),
    "a palette image without a foreground": (
        lambda d: Image.fromarray(band(1)).convert("P").save(d / "labels/grey.png"),
        (*GREY, "confidence", "a palette image of classes", "as `foreground`"),
    ),
    "an opaque layer": (
        lambda d: Image.fromarray(make.painted()).convert("RGB").convert("RGBA").save(d / "labels/layer.png"),
        (*LAYER, "a layer whose alpha is the confidence", "opaque all over", "without its background"),
    ),
    "a label in colour": (
        lambda d: Image.fromarray(make.painted()).convert("RGB").save(d / "labels/grey.png"),
        (*GREY, "grey, or a layer", "in colour", "export it as grey"),
    ),
    "a label that lost detail as a JPEG": (
        pixels("labels/grey.png", band, format="JPEG"),
        (*GREY, "an image that loses nothing", r"grey\.png, a JPEG", "save it as PNG, which loses nothing"),
    ),
    "half a label": (cut("labels/grey.png", 0.6), (*GREY, "an image", "truncated", "export it again")),
    "an empty label": (text("labels/grey.png", ""), (*GREY, "an image", "cannot identify", "export it")),
    "a zip bomb of a label": (
        make.claims_to_be_large("labels/layers.tif"), (*LAYERS, "an image", "10000000000 pixels", "export"),
    ),
    "a layer that is not there": (
        put("labels", 6, layer="paint"),
        (*LAYERS, "a layer 'paint'", r"\['empty', 'painted'\]", "give its name or its number"),
    ),
    "a mask of ones without a foreground": (
        pixels("labels/grey.png", lambda: band(1)),
        (*GREY, "confidence up to 255", r"grey\.png, at most 1", "value as `foreground`"),
    ),
    "a label that is sure of everything": (
        pixels("labels/grey.png", lambda: np.full((HEIGHT, WIDTH), 255, np.uint8)),
        (*GREY, "a confidence image", "100 % all over", "Then invert it"),
    ),
    "foreground 0 where 0 is the background": (
        put("labels", 9, foreground="0"),
        (*MASK, "a structure smaller than its background", "92% of it 0", "is 0 the background"),
    ),
    "a foreground that no label holds": (
        put("labels", 9, foreground="7"),
        (*MASK, "b_line in at least one of its labels", "nothing of that value", "correct `foreground`"),
    ),
    "a polygon of two points": (polygon([[1, 1], [9, 9]]), (*POLYGONS, OUTLINE, r"9\.0\]", "correct")),
    "a polygon with NaN": (
        polygon([[1, 1], [9, 9], [float("nan"), 3]]), (*POLYGONS, OUTLINE, "nan", "correct it"),
    ),
    "a polygon with a confidence in per cent": (
        polygon(confidence=80), (*POLYGONS, OUTLINE, "confidence 80", r"write 80 % as 0\.8"),
    ),
    "a polygon on frame '2'": (
        polygon(frame="2"), (*POLYGONS, "frames as whole numbers", "frame '2'", "without quotes"),
    ),
    "a line for a polygon": (
        polygon(shape_type="linestrip"),
        (*POLYGONS, "of the type polygon or rectangle", "a 'linestrip'", "draw a polygon around"),
    ),
    "a polygon with x and y swapped": (
        polygon([[8, 25], [11, 25], [11, 30]]), (*POLYGONS, "inside the frame", "none covers", "swapped"),
    ),
    "polygons drawn on another size": (
        make.edit("labels/polygons.json", lambda b: b.replace(b'"height_px": 24', b'"height_px": 480')),
        (*POLYGONS, "the clip's 24 pixels", "drawn on 480 pixels", "export both at one size"),
    ),
    "polygons of other labels alone": (
        polygon(label="rib"), (*POLYGONS, "sharp_pleura in at least one", "nothing of that value", "layer"),
    ),
    "more points than anyone draws": (
        polygon([[5, 8], [30, 8], [30, 11]] * 20_000),
        (*POLYGONS, "at most 50,000 points", r"polygons\.json", "simplify its polygons"),
    ),
    "JSON that is a list": (
        text("labels/polygons.json", "[]"), (*POLYGONS, r"JSON: \{'shapes': \[\.\.\.\]\}", ": ", "guide"),
    ),
    "JSON of lists within lists": (
        text("labels/polygons.json", "[" * 100_000), (*POLYGONS, "polygons as JSON", "recursion", "guide"),
    ),
    "JSON cut short": (cut("labels/polygons.json", 0.5), (*POLYGONS, "polygons as JSON", "JSON", "guide")),
    "too few slices": (
        both(volume(np.stack([band()] * 2)), put("labels", 7, frame="3")),
        (*NIFTI, "a slice for frame 3", r"volume\.nii\.gz with 2 slices", "one slice a frame"),
    ),
    "floats above 1": (
        volume(np.stack([band().astype(np.float32)] * 4)),
        (*NIFTI, "confidence from 0 to 1", "0 to 255", "divide by its maximum"),
    ),
    "floats that are no numbers": (
        volume(np.full((4, HEIGHT, WIDTH), np.nan, np.float32)),
        (*NIFTI, "confidence from 0 to 1", "960 of 960 that are NaN or infinite", "write 0"),
    ),
    "negative numbers": (
        volume(-np.stack([band().astype(np.int16)] * 4)),
        (*NIFTI, "confidence of 8 or 16 bits", "-255 to 0", "Give `foreground`"),
    ),
    "a volume of complex numbers": (
        volume(np.stack([band().astype(np.complex64)] * 4)),
        (*NIFTI, "one real number a pixel", "complex64", "export one grey label map"),
    ),
    "a volume of colours": (
        volume(np.zeros((4, HEIGHT, WIDTH), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        (*NIFTI, "one real number a pixel", "'R'", "export one grey label map"),
    ),
    "a volume of colours with a foreground": (
        both(
            volume(np.zeros((4, HEIGHT, WIDTH), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
            put("labels", 7, foreground="1"),
        ),
        (*NIFTI, "one real number a pixel", "'R'", "export one grey label map"),
    ),
    "half a NIfTI": (cut("labels/volume.nii.gz", 0.5), (*NIFTI, "a NIfTI volume", r"nii\.gz", COPY)),
    "an empty NIfTI": (text("labels/volume.nii.gz", ""), (*NIFTI, "a NIfTI volume", "Empty file", COPY)),
    "an NRRD header that names another file": (header_only("data file: /etc/passwd"), (*NRRD, *ELSEWHERE)),
    "an NRRD header that names another file far down": (
        header_only(*["# " + "-" * 998] * 70, "data file: /etc/passwd"), (*NRRD, *ELSEWHERE),
    ),
    "an NRRD header without its data": (
        both(lambda d: (d / "labels/volume.nrrd").rename(d / "labels/volume.nhdr"),
             put("labels", 8, path="labels/volume.nhdr")),
        (*NRRD, "a label as PNG, TIFF", r"volume\.nhdr", "convert it"),
    ),
    "a MetaImage header that names another file": (
        as_volume("v.mha", META_IMAGE), (*NRRD, *ELSEWHERE),
    ),
    "a MetaImage header that names another file after a comment": (
        as_volume("v.mha", "Comment = ElementDataFile = LOCAL\n" + META_IMAGE), (*NRRD, *ELSEWHERE),
    ),
    "half an NRRD": (
        cut("labels/volume.nrrd", 0.5), (*NRRD, "an NRRD header, a blank line and the data", "nrrd", COPY),
    ),
    "an NRRD that declares terabytes": (
        make.edit("labels/volume.nrrd", lambda b: b.replace(b"sizes: 40 24 1", b"sizes: 8000 8000 50000")),
        (*NRRD, "a volume of at most 268,435,456 bytes", "50000 slices of 8000 x 8000", "labelled slices"),
    ),
    "a segmentation without the segment": (
        segment(name="rib"), (*BOX, "a segment 'B-line'", r"\['rib'\]", "give its name as `layer`"),
    ),
    "a segment's box beyond the frame": (
        segment(offset="30 8 0"), (*BOX, "a box inside 24 x 40", "row 8, column 30", "drawn on this clip"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("claim", LABELS)
def test_a_broken_label_is_refused_in_its_own_words(source, refused, claim):
    break_it, told = LABELS[claim]
    break_it(source)
    check(refused().problems, source, told)
