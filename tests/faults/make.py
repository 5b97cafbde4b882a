"""A small folder that an import accepts, with a file of every kind; and the means to break it.

Every name of a person, a patient or a file in it is of the kind that must not come along into a cohort.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import av
import nibabel
import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom import encaps, uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

Break = Callable[[Path], object]
COUNT, HEIGHT, WIDTH = 6, 24, 40
RNG = np.random.default_rng(7)
FRAMES = RNG.integers(0, 256, (COUNT, HEIGHT, WIDTH), np.uint8)
PERSONS = ("Adler", "7731", "Brandt", "4402", "Conrad", "9063", "brandt@example.org", "Unit 12")

CLIPS = """clip_id,patient_id,day,view,path,crop,white,fps
adler-mp4,Adler-7731,0,R1,clips/adler.mp4,,,
adler-avi,Adler-7731,1,L1,clips/adler.avi,,,
brandt-npy,Brandt-4402,0,R1,clips/brandt.npy,,,10
brandt-tif,Brandt-4402,1,R2,clips/brandt.tif,,,10
conrad-dcm,Conrad-9063,0,L2,clips/conrad.dcm,,,
conrad-jpeg,Conrad-9063,1,R1,clips/conrad_jpeg.dcm,8 0 32 24,,
conrad-png,Conrad-9063,1,L2,clips/conrad.png,,4095,
"""
LABELS = """clip_id,frame,rater,feature,path,layer,foreground
adler-mp4,2,ann,sharp_pleura,labels/polygons.json,pleura,
adler-avi,3,ann,b_line,labels/layer.png,,
brandt-npy,0,ann,sharp_pleura,labels/grey.png,,
brandt-npy,1,ann,a_line,labels/deep.png,,
brandt-npy,2,bo,b_line,labels/box.seg.nrrd,B-line,
brandt-tif,2,bo,b_line,labels/layers.tif,painted,
conrad-dcm,1,ann,a_line,labels/volume.nii.gz,,
conrad-jpeg,0,ann,a_line,labels/volume.nrrd,,
conrad-png,0,ann,b_line,labels/mask.png,,1
"""
PATIENTS = """patient_id,readmitted_30d,split,fold
Adler-7731,0,train,1
Brandt-4402,1,train,2
Conrad-9063,,test,
"""
EXAMS = """patient_id,day,spo2,fio2,sf_ratio
Adler-7731,0,92,0.4,230
Adler-7731,1,95,0.21,
Conrad-9063,0,97,,
"""
META = """features: [sharp_pleura, a_line, b_line]
views: [R1, L1, R2, L2]
licence: for tests alone
"""


def good(folder: Path) -> Path:
    """Write the whole source."""
    (folder / "clips").mkdir(parents=True)
    (folder / "labels").mkdir()
    for name, text in (("clips", CLIPS), ("labels", LABELS), ("patients", PATIENTS), ("exams", EXAMS)):
        (folder / f"{name}.csv").write_text(text)
    (folder / "cohort.yaml").write_text(META)
    clips, labels = folder / "clips", folder / "labels"
    film(clips / "adler.mp4", FRAMES, "mpeg4", "yuv420p")
    film(clips / "adler.avi", FRAMES[::-1], "mjpeg", "yuvj420p")
    np.save(clips / "brandt.npy", FRAMES)
    stack(clips / "brandt.tif", FRAMES[1:])
    dicom(clips / "conrad.dcm", FRAMES[2:], BurnedInAnnotation="NO")
    jpeg_dicom(clips / "conrad_jpeg.dcm", FRAMES[3:], BurnedInAnnotation="YES")
    Image.fromarray(FRAMES[0].astype(np.uint16) * 16).save(clips / "conrad.png")
    Image.fromarray(band()).save(labels / "grey.png")
    Image.fromarray(band().astype(np.uint16) * 257).save(labels / "deep.png")
    Image.fromarray(painted()).save(labels / "layer.png")
    layers(labels / "layers.tif")
    Image.fromarray(band(1)).save(labels / "mask.png")
    nifti(labels / "volume.nii.gz", np.stack([band()] * 4))
    nrrd(labels / "volume.nrrd", band()[None])
    slicer(labels / "box.seg.nrrd")
    polygons(labels / "polygons.json")
    return folder


def band(value: int = 255) -> np.ndarray:
    """A label: a band of one value, uint8 (H, W)."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[8:11, 5:30] = value
    return image


def painted() -> np.ndarray:
    """A layer in colour whose alpha is the band at 80 %, uint8 (H, W, 4)."""
    image = np.full((HEIGHT, WIDTH, 4), (250, 200, 10, 0), np.uint8)
    image[..., 3] = band(204)
    return image


def film(path: Path, frames: np.ndarray, codec: str, pixels: str, **options: str) -> Path:
    """Frames (T, H, W) as a video."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.options = options
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")))
        out.mux(stream.encode())
    return path


def sound(path: Path) -> None:
    """A film that is heard alone."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def stack(path: Path, frames: np.ndarray, **tags: object) -> Path:
    """Frames (T, H, W) as a TIFF of a page a frame."""
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_deflate", **tags)
    return path


def layers(path: Path) -> Path:
    """Two RGBA pages with names (tag 285): nothing on `empty`, the band on `painted`."""
    nothing = Image.fromarray(painted() * np.array([1, 1, 1, 0], np.uint8))
    nothing.encoderinfo = {"tiffinfo": {285: "empty"}}
    page = Image.fromarray(painted())
    page.encoderinfo = {"tiffinfo": {285: "painted"}}
    nothing.save(path, save_all=True, append_images=[page], tiffinfo={285: "empty"})
    return path


def dicom(path: Path, frames: np.ndarray, patient: str = "9063", **tags: object) -> Path:
    """Frames (T, H, W) as an uncompressed DICOM file that says who was scanned."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = uid.UID("1.2.3.4")
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName, data.PatientID, data.PatientBirthDate = "Conrad^Cleo", patient, "19500101"
    data.InstitutionName, data.OperatorsName, data.ImageComments = "Unit 12", "Brandt^Bo", "Conrad, bed 3"
    data.Modality, data.ManufacturerModelName = "US", "Scanner 3000"
    data.Rows, data.Columns, data.NumberOfFrames = *frames.shape[1:3], len(frames)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * frames.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, 0
    data.CineRate = 20
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.1, 0.2
    data.SequenceOfUltrasoundRegions = [region]
    data.PixelData = frames.tobytes()
    data.add_new((0x0009, 0x0010), "LO", "brandt@example.org")  # private tags may hold anything
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def jpeg_dicom(path: Path, frames: np.ndarray, **tags: object) -> Path:
    """Frames (T, H, W) as a DICOM file of JPEG images."""
    pieces = []
    for frame in frames:
        Image.fromarray(frame).save(path.with_suffix(".jpg"), quality=90)
        pieces.append(path.with_suffix(".jpg").read_bytes())
    path.with_suffix(".jpg").unlink()
    data = pydicom.dcmread(dicom(path, frames, **tags))
    data.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    data.PixelData = encaps.encapsulate(pieces)
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    return path


def nifti(path: Path, slices: np.ndarray) -> Path:
    """Slices (T, H, W) as a NIfTI volume, which is columns first."""
    nibabel.save(nibabel.Nifti1Image(slices.transpose(2, 1, 0), np.eye(4)), path)
    return path


def nrrd(path: Path, slices: np.ndarray, *more: str, data: bytes | None = None) -> Path:
    """Slices (T, H, W) as a gzipped NRRD volume, written by hand; `more`: further lines of its header."""
    sizes = " ".join(map(str, slices.shape[::-1]))
    kind = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[slices.dtype.name]
    lines = ["NRRD0004", f"type: {kind}", f"dimension: {slices.ndim}", f"sizes: {sizes}", "encoding: gzip"]
    head = "\n".join([*lines, "endian: little", *more]) + "\n\n"
    path.write_bytes(head.encode() + (gzip.compress(slices.tobytes(), mtime=0) if data is None else data))
    return path


def slicer(path: Path, offset: str = "5 8 0", size: tuple[int, int] = (3, 25), name: str = "B-line") -> Path:
    """A 3D Slicer segmentation: a box that is painted all over, at an offset of columns, rows, slices."""
    return nrrd(
        path,
        np.ones((1, *size), np.uint8),
        "space: left-posterior-superior",
        "space directions: (1,0,0) (0,1,0) (0,0,1)",
        f"Segmentation_ReferenceImageExtentOffset:={offset}",
        f"Segment0_Name:={name}",
        "Segment0_LabelValue:=1",
        "Segment0_Layer:=0",
    )


def polygons(path: Path, points: object = ((5, 8), (30, 8), (30, 11), (5, 11)), **more: object) -> Path:
    """One polygon of the pleura on frame 2; `more` replaces what it says."""
    one = {"frame": 2, "label": "pleura", "polygon_xy_px": points, "confidence": 0.8} | more
    path.write_text(json.dumps({"height_px": HEIGHT, "width_px": WIDTH, "shapes": [one]}))
    return path


def put(name: str, row: int, **values: str) -> Break:
    """Change some values of one row, counted from 1."""

    def change(folder: Path) -> None:
        rows = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        for column, value in values.items():
            rows.loc[row - 1, column] = value
        rows.to_csv(folder / f"{name}.csv", index=False)

    return change


def repeat(name: str, row: int, **values: str) -> Break:
    """Add a copy of one row, with some values changed, to the end of its table."""

    def change(folder: Path) -> None:
        rows = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        rows = pd.concat([rows, rows.iloc[[row - 1]].assign(**values)])
        rows.to_csv(folder / f"{name}.csv", index=False)

    return change


def both(*breaks: Break) -> Break:
    """One breakage after the other."""
    return lambda folder: [one(folder) for one in breaks]


def text(name: str, content: str) -> Break:
    """Another text in a file."""
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


def edit(name: str, change: Callable[[bytes], bytes]) -> Break:
    """A file's bytes, changed."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def cut(name: str, share: float) -> Break:
    """The beginning of a file."""
    return edit(name, lambda content: content[: int(len(content) * share)])


def array(make: Callable[[], np.ndarray]) -> Break:
    """Another array in the NPY clip."""
    return lambda folder: np.save(folder / "clips/brandt.npy", make())


def pixels(name: str, make: Callable[[], np.ndarray], **how: object) -> Break:
    """Another image in a file, of whatever format `how` says."""
    return lambda folder: Image.fromarray(make()).save(folder / name, **how)


def claims_to_be_large(path: str) -> Break:
    """A TIFF that declares 100000 x 100000 pixels."""

    def change(folder: Path) -> None:
        Image.fromarray(FRAMES[0]).save(folder / path)
        content = bytearray((folder / path).read_bytes())
        for tag, side in ((256, WIDTH), (257, HEIGHT)):
            entry = tag.to_bytes(2, "little") + b"\4\0\1\0\0\0"
            at = content.index(entry + side.to_bytes(4, "little")) + len(entry)
            content[at : at + 4] = (100_000).to_bytes(4, "little")
        (folder / path).write_bytes(content)

    return change


def tagged(name: str = "conrad.dcm", drop: tuple[str, ...] = (), **tags: object) -> Break:
    """A DICOM clip with other tags, or without some."""

    def change(folder: Path) -> None:
        path = folder / "clips" / name
        data = pydicom.dcmread(path)
        for tag, value in tags.items():
            setattr(data, tag, value)
        for tag in drop:
            delattr(data, tag)
        data.save_as(path)

    return change


def snapshot(folder: Path) -> dict[str, object]:
    """What lies in a folder: files with their bytes, links with their targets, the names of the rest."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            seen[name] = path.readlink()
        else:
            seen[name] = path.read_bytes() if path.is_file() else None
    return seen
