"""Labels kept as volumes: NIfTI by nibabel; NRRD, MetaImage and 3D Slicer's segmentations by SimpleITK.

A volume's slices are a clip's frames. The order of its pixels is kept as it is stored, columns before rows;
orientations in space mean nothing for frames and are not applied.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lusnb.cohort.problems import Unfit, decoding, short
from lusnb.readers.grey import check_declared

REMEDY = "it may be cut short: copy or export it again."
LONGEST_HEADER = 2**20  # bytes
MOST_BYTES = 2**28  # that may be unpacked to reach one slice: 256 slices of 1024 x 1024 bytes


def read(path: Path, shape: tuple[int, int], frame: int, layer: str) -> np.ndarray:
    """The slice of one frame, (H, W), in the file's own type; bool for a segment. Raises Unfit.

    A volume of one slice is the label of whatever frame is asked for. `shape`: (H, W) of the clip, on which
    the box that Slicer keeps of a segment is put back.
    """
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti(path, frame)
    if name.endswith(".seg.nrrd"):
        return _segment(path, shape, frame, layer)
    return _itk(path, frame)


def _frame_of(count: int, name: str, frame: int) -> int:
    """Which slice holds a frame."""
    if count == 1:
        return 0
    if frame >= count:
        remedy = "export one slice a frame, or the labelled slice alone."
        raise Unfit(f"a slice for frame {frame}", f"{name} with {count} slices", remedy)
    return frame


def _nifti(path: Path, frame: int) -> np.ndarray:
    import nibabel

    with decoding("a NIfTI volume", path.name, REMEDY):
        image: Any = nibabel.load(path)  # declared as a base class without pixels
        sides = [*image.shape, 1]
        columns, rows, *rest = sides
        count = math.prod(map(int, rest))
        packed = path.name.lower().endswith(".gz")
        _check_volume(rows, columns, count, image.get_data_dtype().itemsize, packed, path.name)
        place = _frame_of(count, path.name, frame)
        if len(image.shape) == 2:
            return np.asanyarray(image.dataobj).T
        where = np.unravel_index(place, tuple(rest[:-1]), order="F")
        return np.asanyarray(image.dataobj[(slice(None), slice(None), *map(int, where))]).T


def _itk(path: Path, frame: int) -> np.ndarray:
    """One slice of an NRRD or MetaImage volume."""
    with _reading(path) as reader:
        size, layers = reader.GetSize(), reader.GetNumberOfComponents()
        if len(size) > 3 or layers > 1:
            arrived = f"{path.name} of {' x '.join(map(str, size))} pixels, {layers} values each"
            raise Unfit("one value a pixel", arrived, "export one label map.")
        count = (*size, 1)[2]
        return _slice(reader, _frame_of(count, path.name, frame))


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """A SimpleITK reader that has read a header, whose volume is of a size that may be read."""
    import SimpleITK

    with decoding("an NRRD or MetaImage volume", path.name, REMEDY):
        _refuse_detached(path)
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("MetaImageIO" if path.name.lower().endswith(".mha") else "NrrdImageIO")
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            sides = [*reader.GetSize(), 1]
            columns, rows, *rest = sides
            layers = reader.GetNumberOfComponents()
            one = SimpleITK.Image([1, 1], reader.GetPixelID(), layers if layers > 1 else 0)
            size = one.GetSizeOfPixelComponent() * layers
            _check_volume(rows, columns, math.prod(rest), size, True, path.name)
            yield reader
        except RuntimeError as error:  # what went wrong stands in its last line
            raise ValueError(str(error).strip().splitlines()[-1]) from None


def _slice(reader, place: int) -> np.ndarray:
    """One slice of the volume, (H, W[, layers]); the rest is not kept, though most files are read in full."""
    import SimpleITK

    size = list(reader.GetSize())
    if len(size) > 2:
        reader.SetExtractIndex([0, 0, place])
        reader.SetExtractSize([*size[:2], 0])
    return SimpleITK.GetArrayFromImage(reader.Execute())


def _check_volume(rows: int, columns: int, count: int, size: int, packed: bool, name: str) -> None:
    """Refuse what no volume of frames measures, before it is read; `size`: bytes a pixel. Raises Unfit.

    `packed`: one slice cannot be read without those before it.
    """
    check_declared(rows, columns, count, name)
    if rows * columns * size * (count if packed else 1) > MOST_BYTES:
        arrived = f"{name}, which declares {count} slices of {rows} x {columns} pixels of {size} bytes"
        remedy = "export the labelled slices alone, with 8 bits a pixel."
        raise Unfit(f"a volume of at most {MOST_BYTES:,} bytes", arrived, remedy)


def _refuse_detached(path: Path) -> None:
    """A header may name any file on the disk as its data: only volumes that hold their own data are read."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER).lower()
    if path.name.lower().endswith(".mha"):
        named = re.findall(rb"elementdatafile[^\n]*", head)
        own = len(named) == 1 and bool(re.search(rb"(^|\n)elementdatafile\s*=\s*local\s*\n", head))
    else:
        text, end, _ = head.replace(b"\r\n", b"\n").partition(b"\n\n")
        if not (text.startswith(b"nrrd") and end):
            raise Unfit("an NRRD header, a blank line and the data", path.name, REMEDY)
        own = not re.search(rb"(^|[\r\n])\s*data\s*file\s*:", text)
    if not own:
        remedy = "save header and data in one file."
        raise Unfit("a volume in one file", f"{path.name}, a header that names another file", remedy)


def _segment(path: Path, shape: tuple[int, int], frame: int, layer: str) -> np.ndarray:
    """One segment of a 3D Slicer segmentation: bool (H, W) of the whole reference image.

    Slicer keeps only the box that is painted and says where it lies
    (`Segmentation_ReferenceImageExtentOffset`); where segments overlap each names its layer and its value.
    """
    with _reading(path) as reader:
        header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
        own = _named(header, layer, path.name)
        offset = header.get("Segmentation_ReferenceImageExtentOffset", "0 0 0").split()
        left, top, first = map(int, offset)
        columns, rows, count = (*reader.GetSize(), 1)[:3]
        whole = np.zeros(shape, bool)
        alone = count == 1 and first == 0
        if not alone and not first <= frame < first + count:
            return whole
        if min(left, top) < 0 or top + rows > shape[0] or left + columns > shape[1]:
            arrived = f"{path.name}: {rows} x {columns} from row {top}, column {left}"
            raise Unfit(f"a box inside {shape[0]} x {shape[1]}", arrived, "was it drawn on this clip?")
        box = _slice(reader, 0 if alone else frame - first)
        if box.ndim == 3:
            box = box[..., int(header.get(f"{own}_Layer", 0))]
        whole[top : top + rows, left : left + columns] = box == int(header.get(f"{own}_LabelValue", 1))
    return whole


def _named(header: dict[str, str], layer: str, name: str) -> str:
    """What the keys of the segment of that name begin with. Raises Unfit."""
    names = {}
    for key, value in header.items():
        if key.startswith("Segment") and key.endswith("_Name"):
            names[value] = key.removesuffix("_Name")
    if layer not in names:
        arrived = f"{name}, whose segments are {short(sorted(names))}"
        raise Unfit(f"a segment {layer!r}", arrived, "give its name as `layer`.")
    return names[layer]
