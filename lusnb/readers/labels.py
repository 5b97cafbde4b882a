"""Labels as people have them become confidence images: uint8 (H, W), 255 = 100 %.

    image = labels.read("b_lines.png", shape=(310, 152))

Grey images of 8 or 16 bits, layers with alpha, polygons, masks with any foreground value; volumes are in
`volumes`. Whatever cannot be read raises problems.Unfit: expected, arrived, remedy.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Outline
from PIL import Image

from lusnb.cohort.contents import FAINT
from lusnb.cohort.problems import Unfit, decoding, short
from lusnb.readers.grey import check_declared
from lusnb.readers.images import DEEP

IMAGES = (".png", ".tif", ".tiff", ".bmp")
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
KNOWN = "PNG, TIFF, BMP, NIfTI, NRRD or polygon JSON"
LARGEST_JSON = 50_000_000  # bytes
MOST_POINTS = 50_000  # of one label on one frame
POINTS = ("polygon_xy_px", "points")  # our own name, and LabelMe's
CLOSE = 1e-5  # of confidence: fractions this near to 0 or 1 differ from it by rounding alone


def read(
    path: str | Path,
    shape: tuple[int, int],
    *,
    frame: int = 0,
    layer: str = "",
    foreground: int | None = None,
) -> np.ndarray:
    """One label of one frame as confidence: uint8 (H, W), 0 = not there, 255 = 100 %.

    `path`: PNG, TIFF, BMP, NIfTI, NRRD, `.seg.nrrd`, MetaImage or polygon JSON. `shape`: (H, W) of the whole
    clip in pixels, which polygons and the boxes of segments are put on; an image keeps its own size. `frame`:
    which frame, from 0, of a volume or a polygon file. `layer`: the page of a TIFF, the segment of a
    `.seg.nrrd`, the polygons' label. `foreground`: the value of the structure in a mask; without it the
    values are confidence, see `as_confidence`. A mask without that value, or polygons of other labels alone,
    are an empty label: all zero. Raises problems.Unfit, which says what was expected, what arrived and what
    to do, for whatever cannot be read or could mean something else.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(VOLUMES):
        from lusnb.readers import volumes

        return as_confidence(volumes.read(path, shape, frame, layer), path.name, foreground)
    if name.endswith(".json"):
        return _polygons(path, shape, frame, layer)
    if name.endswith(IMAGES):
        return _image(path, layer, foreground)
    raise Unfit(f"a label as {KNOWN}", path.name, "convert it to one of these.")


def as_confidence(values: np.ndarray, name: str, foreground: int | None) -> np.ndarray:
    """Numbers of any kind as confidence, uint8. Raises Unfit where they could mean something else.

    With a foreground: 100 % where the value is that. Without: 8 bits as they are, 16 bits divided by 65535
    (32767 where they are signed), floats from 0 to 1, give or take CLOSE. What is above 0 stays above 0.
    """
    if values.dtype.kind not in "buif" or values.ndim != 2 or not values.size:
        arrived = f"{name}: {values.dtype} of shape {values.shape}"
        raise Unfit("one real number a pixel", arrived, "export one grey label map.")
    if foreground is not None:
        there = np.isclose(values, foreground) if values.dtype.kind == "f" else values == foreground
        return np.where(there, 255, 0).astype(np.uint8)
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.dtype.kind == "f":
        return _fractions(values, name)
    if values.min() < 0 or values.max() > 65535:
        arrived = f"{name}: {values.min()} to {values.max()}"
        raise Unfit("confidence of 8 or 16 bits", arrived, "is it a map of classes? Give `foreground`.")
    if 0 < values.max() <= FAINT:
        remedy = "a mask or a map of classes: give the structure's value as `foreground`."
        raise Unfit("confidence up to 255", f"{name}, at most {values.max()}", remedy)
    if values.dtype == np.uint16 or values.max() > 255:
        return _scaled(
            values, 32767.0 if values.dtype.kind == "i" and values.dtype.itemsize == 2 else 65535.0
        )
    return _scaled(values, 127.0 if values.dtype.itemsize == 1 and values.dtype.kind == "i" else 255.0)


def _fractions(values: np.ndarray, name: str) -> np.ndarray:
    """Floats from 0 to 1 as confidence. Raises Unfit."""
    expected = "confidence from 0 to 1 in a file of floats"
    odd = values.size - int(np.isfinite(values).sum())
    if odd:
        arrived = f"{name}: {odd} of {values.size} that are NaN or infinite"
        raise Unfit(expected, arrived, "write 0 where nothing is painted.")
    if values.min() < -CLOSE or values.max() > 1 + CLOSE:
        remedy = "divide by its maximum; or is it a map of classes? Give `foreground`."
        raise Unfit(expected, f"{name}: {values.min():g} to {values.max():g}", remedy)
    return _scaled(np.where(values < CLOSE, 0, np.minimum(values, 1)), 1.0)


def _scaled(values: np.ndarray, full: float) -> np.ndarray:
    out = np.rint(values * (255.0 / full))
    return np.where(values > 0, np.maximum(out, 1), 0).astype(np.uint8)


def _image(path: Path, layer: str, foreground: int | None) -> np.ndarray:
    with decoding("an image", path.name, "export it again."), Image.open(path) as image:
        if image.format not in ("PNG", "TIFF", "BMP"):
            remedy = "save it as PNG, which loses nothing."
            raise Unfit("an image that loses nothing", f"{path.name}, a {image.format}", remedy)
        pages = getattr(image, "n_frames", 1)
        check_declared(image.height, image.width, pages, path.name)
        if pages > 1:
            image.seek(_page(image, pages, path.name, layer))
            check_declared(image.height, image.width, None, path.name)
        return _painted(image, path.name, foreground)


def _page(image: Image.Image, pages: int, name: str, layer: str) -> int:
    """The page of a layered TIFF: by its name (tag 285, PageName), or by its number from 0."""
    names = []
    for page in range(pages):
        image.seek(page)
        names.append(str(image.tag_v2.get(285, "")).strip("\0 ") if hasattr(image, "tag_v2") else "")
    if layer in names and layer:
        return names.index(layer)
    if layer.isdigit() and int(layer) < pages:
        return int(layer)
    arrived = f"{name}, whose layers are {short([n or k for k, n in enumerate(names)])}"
    raise Unfit(f"a layer {layer!r}", arrived, "give its name or its number (from 0) as `layer`.")


def _painted(image: Image.Image, name: str, foreground: int | None) -> np.ndarray:
    """One Pillow image as confidence, by its mode."""
    if image.mode == "1" or image.mode == "F":
        return as_confidence(np.asarray(image), name, foreground)
    if image.mode in DEEP:
        values = np.asarray(image)  # int32 where the mode is I: a TIFF of 32 bits, or a PNG of 16
        values = values if values.max() > 65535 or values.min() < 0 else values.astype(np.uint16)
        return as_confidence(values, name, foreground)
    if image.mode == "P":
        if foreground is None:
            remedy = "give the structure's number as `foreground`."
            raise Unfit("confidence", f"{name}, a palette image of classes", remedy)
        return as_confidence(np.asarray(image), name, foreground)
    if image.mode in ("RGBA", "LA") and foreground is None:
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            return alpha
        if not _is_grey(image):
            remedy = "export the layer without its background."
            raise Unfit("a layer whose alpha is the confidence", f"{name}, opaque all over", remedy)
    if image.mode in ("RGB", "RGBA") and not _is_grey(image):
        remedy = "export it as grey, or as a layer with transparency."
        raise Unfit("grey, or a layer whose alpha is the confidence", f"{name}, in colour", remedy)
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return as_confidence(np.asarray(image.getchannel(0)), name, foreground)
    raise Unfit("a grey image of 8 or 16 bits", f"{name} of mode {image.mode}", "export it as 8-bit grey.")


def _is_grey(image: Image.Image) -> bool:
    """Whether the channels, beside an alpha, are equal all over."""
    first, *others = (np.asarray(image.getchannel(one)) for one in image.getbands() if one != "A")
    return all((first == other).all() for other in others)


def _polygons(path: Path, shape: tuple[int, int], frame: int, layer: str) -> np.ndarray:
    """Polygons of one label on one frame, each filled with its own confidence (1 where it gives none).

    A pixel belongs to a polygon where its centre does; the corner of the first pixel is (0, 0). Where two
    overlap the surer counts. Understands `{"shapes": [{"frame", "label", "polygon_xy_px", "confidence"}]}`
    and LabelMe's files, whose shapes have `points` and no frame, or null; its rectangles are polygons too.
    """
    shapes = _shapes(path, shape)
    mine = [s for s in shapes if str(s.get("label")) == layer and s.get("frame") in (None, frame)]
    out = np.zeros(shape, np.uint8)
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    outlines = [_outline(path, one) for one in mine]
    if sum(len(points) for points, _ in outlines) > MOST_POINTS:
        raise Unfit(f"at most {MOST_POINTS:,} points a frame", path.name, "simplify its polygons.")
    for points, sure in outlines:
        inside = Outline(points).contains_points(centres).reshape(shape)
        np.maximum(out, np.where(inside, max(1, round(255 * sure)), 0).astype(np.uint8), out=out)
    if mine and not out.any():
        raise Unfit("polygons inside the frame", f"{path.name}: none covers a pixel", "are x and y swapped?")
    return out


def _shapes(path: Path, shape: tuple[int, int]) -> list[dict]:
    expected, remedy = "polygons as JSON", "see the guide in 00_bring_your_own."
    if path.stat().st_size > LARGEST_JSON:
        raise Unfit(f"at most {LARGEST_JSON / 1e6:g} MB of polygons", path.name, remedy)
    with decoding(expected, path.name, remedy):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(s, dict) for s in shapes):
        raise Unfit(f"{expected}: {{'shapes': [...]}}", f"{path.name}: {short(content)}", remedy)
    odd = [s["frame"] for s in shapes if not isinstance(s.get("frame"), int | None)]
    if odd:
        arrived = f"{path.name}: frame {short(odd[0])}"
        raise Unfit("frames as whole numbers", arrived, "write it without quotes or a point.")
    for names, size in ((("height_px", "imageHeight"), shape[0]), (("width_px", "imageWidth"), shape[1])):
        told = next((content[n] for n in names if n in content), size)
        if told != size:
            arrived = f"{path.name}, drawn on {short(told)} pixels"
            raise Unfit(f"polygons drawn on the clip's {size} pixels", arrived, "export both at one size.")
    return shapes


def _outline(path: Path, one: dict) -> tuple[np.ndarray, float]:
    """Points (N, 2) as x, y and the confidence of one polygon."""
    expected = "polygons of three points and more, with a confidence from 0 to 1"
    with decoding(expected, path.name, "correct it."):
        points = np.asarray(next(one[name] for name in POINTS if name in one), float)
        kind = one.get("shape_type") or "polygon"
        if kind not in ("polygon", "rectangle"):
            arrived = f"{path.name}: a {short(kind)}"
            raise Unfit(
                "shapes of the type polygon or rectangle", arrived, "draw a polygon around the structure."
            )
        if kind == "rectangle" and points.shape == (2, 2):
            (left, top), (right, bottom) = points.min(0), points.max(0)
            points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        sure = float(one.get("confidence", 1.0))
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
            raise Unfit(expected, f"{path.name}: points {short(points.tolist())}", "correct it.")
        if not 0 < sure <= 1:
            raise Unfit(expected, f"{path.name}: confidence {sure:g}", "write 80 % as 0.8.")
    return points, sure


def polygon_frames(path: Path) -> dict[str, set[int | None]]:
    """Label -> the frames on which a polygon file draws it; None among them is every frame. Raises Unfit."""
    expected, remedy = "polygons as JSON", "see the guide in 00_bring_your_own."
    if path.stat().st_size > LARGEST_JSON:
        raise Unfit(f"at most {LARGEST_JSON / 1e6:g} MB of polygons", path.name, remedy)
    found: dict[str, set[int | None]] = {}
    with decoding(expected, path.name, remedy):
        for one in json.loads(path.read_text(encoding="utf-8-sig"))["shapes"]:
            found.setdefault(str(one.get("label")), set()).add(one.get("frame"))
    return found
