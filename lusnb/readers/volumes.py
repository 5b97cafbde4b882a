"""Labels kept as volumes: NIfTI by nibabel; NRRD, MetaImage and 3D Slicer's segmentations by SimpleITK.

A volume's slices are a clip's frames. The order of its pixels is kept as it is stored, columns before rows;
orientations in space mean nothing for frames and are not applied.
"""

import math
import re
from pathlib import Path

import numpy as np

from lusnb.checks import Unfit, short
from lusnb.readers.grey import check_declared, decoding

REMEDY = "it may be cut short: copy or export it again."
LONGEST_HEADER = 2**20  # bytes
MOST_VALUES = 2**31  # of one volume: 2000 slices of 1024 x 1024


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
    return _slice(_itk(path)[0], path.name, frame)


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
        image = nibabel.load(path)
        columns, rows, *rest = (*image.shape, 1)
        count = math.prod(map(int, rest))
        _check_volume(rows, columns, count, path.name)
        place = _frame_of(count, path.name, frame)
        if len(image.shape) == 2:
            return np.asanyarray(image.dataobj).T
        where = np.unravel_index(place, tuple(rest[:-1]), order="F")
        return np.asanyarray(image.dataobj[(slice(None), slice(None), *map(int, where))]).T


def _itk(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """A volume (slices, H, W[, layers]) and its header; its size is checked before it is read."""
    import SimpleITK

    with decoding("an NRRD or MetaImage volume", path.name, REMEDY):
        _refuse_detached(path)
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("MetaImageIO" if path.name.lower().endswith(".mha") else "NrrdImageIO")
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            columns, rows, *rest = (*reader.GetSize(), 1)
            layers = reader.GetNumberOfComponents()
            _check_volume(rows, columns, math.prod(rest) * layers, path.name)
            header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
            values = SimpleITK.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:  # what went wrong stands in its last line
            raise ValueError(str(error).strip().splitlines()[-1]) from None
    spatial = values.ndim - (layers > 1)
    return (values[None] if spatial == 2 else values), header


def _check_volume(rows: int, columns: int, count: int, name: str) -> None:
    """Refuse what no volume of frames measures, before it is read. Raises Unfit."""
    check_declared(rows, columns, count, name)
    if rows * columns * count > MOST_VALUES:
        arrived = f"{name}, which declares {count} slices of {rows} x {columns}"
        raise Unfit(f"a volume of at most {MOST_VALUES:,} values", arrived, "export the labelled slices.")


def _refuse_detached(path: Path) -> None:
    """A header may name any file on the disk as its data: only volumes that hold their own data are read."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER).lower()
    if path.name.lower().endswith(".mha"):
        named = re.findall(rb"elementdatafile[^\n]*", head)
        own = len(named) == 1 and re.search(rb"(^|\n)elementdatafile\s*=\s*local\s*\n", head)
    else:
        text, end, _ = head.replace(b"\r\n", b"\n").partition(b"\n\n")
        if not (text.startswith(b"nrrd") and end):
            raise Unfit("an NRRD header, a blank line and the data", path.name, REMEDY)
        own = not re.search(rb"(^|[\r\n])\s*data\s*file\s*:", text)
    if not own:
        remedy = "save header and data in one file."
        raise Unfit("a volume in one file", f"{path.name}, a header that names another file", remedy)


def _slice(values: np.ndarray, name: str, frame: int) -> np.ndarray:
    if values.ndim != 3:
        raise Unfit("one value a pixel", f"{name} of shape {values.shape}", "export one label map.")
    return values[_frame_of(len(values), name, frame)]


def _segment(path: Path, shape: tuple[int, int], frame: int, layer: str) -> np.ndarray:
    """One segment of a 3D Slicer segmentation: bool (H, W) of the whole reference image.

    Slicer keeps only the box that is painted and says where it lies
    (`Segmentation_ReferenceImageExtentOffset`); where segments overlap each names its layer and its value.
    """
    values, header = _itk(path)
    names = {}
    for key, value in header.items():
        if key.startswith("Segment") and key.endswith("_Name"):
            names[value] = key.removesuffix("_Name")
    if layer not in names:
        arrived = f"{path.name}, whose segments are {short(sorted(names))}"
        raise Unfit(f"a segment {layer!r}", arrived, "give its name as `layer`.")
    with decoding("a 3D Slicer segmentation", path.name, REMEDY):
        own = names[layer]
        if values.ndim == 4:
            values = values[..., int(header.get(f"{own}_Layer", 0))]
        offset = header.get("Segmentation_ReferenceImageExtentOffset", "0 0 0").split()
        left, top, first = map(int, offset)
        inside = values == int(header.get(f"{own}_LabelValue", 1))  # (slices, rows, columns) of the box
        whole = np.zeros(shape, bool)
        alone = len(inside) == 1 and first == 0
        if alone or first <= frame < first + len(inside):
            box = inside[0 if alone else frame - first]
            height, width = box.shape
            if min(left, top) < 0 or top + height > shape[0] or left + width > shape[1]:
                arrived = f"{path.name}: {height} x {width} from row {top}, column {left}"
                raise Unfit(f"a box inside {shape[0]} x {shape[1]}", arrived, "was it drawn on this clip?")
            whole[top : top + height, left : left + width] = box
    return whole
