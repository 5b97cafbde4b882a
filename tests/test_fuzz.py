"""Readers under random input: nothing but a refusal in words, and what is whole comes back as it was.

The examples are drawn anew in the same order each time, and there is a bounded number of them.
"""

import json
import logging
import resource
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lusnb.cohort import problems, schema, tables
from lusnb.cohort.problems import CohortError, Unfit
from lusnb.readers import clips, dicom, labels, sheets
from lusnb.readers.folder import import_folder
from tests.faults import make
from tests.faults.make import HEIGHT, WIDTH, band

SECONDS, MEGABYTES = 10, 600  # that one reading may take, and that all of one file's may add
EXAMPLES = 120  # of damage, for each file
CLIPS = ["adler.mp4", "adler.avi", "lossless.mkv", "brandt.npy", "brandt.tif", "jpeg.tif", "conrad.dcm"]
CLIPS += ["conrad_jpeg.dcm", "rle.dcm", "conrad.png"]
LAYERS = {"polygons.json": "pleura", "layers.tif": "painted", "box.seg.nrrd": "B-line"}
LABELS = ["grey.png", "deep.png", "layer.png", "grey.bmp", "volume.nii", "volume.nii.gz", "volume.nrrd"]
LABELS += ["volume.mha", *LAYERS]


def few(examples: int) -> settings:
    """A bounded number of examples, the same ones every time."""
    checked = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=checked
    )


class TooLong(BaseException):
    """A reading that takes too long; no reader may catch it."""


@contextmanager
def bounded() -> Iterator[None]:
    """Neither hours nor warnings."""

    def stop(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)


def memory() -> float:
    """Most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every kind, whole: clips/ and labels/ of a source that is accepted, and some more."""
    folder = make.good(tmp_path_factory.mktemp("whole") / "source")
    make.film(folder / "clips/lossless.mkv", make.FRAMES, "ffv1", "gray")
    Image.fromarray(make.FRAMES[0]).save(folder / "clips/jpeg.tif", compression="jpeg")
    data = pydicom.dcmread(folder / "clips/conrad.dcm")
    data.compress(pydicom.uid.RLELossless)
    data.save_as(folder / "clips/rle.dcm")
    Image.fromarray(band()).save(folder / "labels/grey.bmp")
    make.nifti(folder / "labels/volume.nii", np.stack([band()] * 4))
    head = f"NDims = 2\nDimSize = {WIDTH} {HEIGHT}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (folder / "labels/volume.mha").write_bytes(head.encode() + band().tobytes())
    return folder


places = st.floats(0, 1, exclude_max=True) | st.floats(0, 0.1)  # of a file: anywhere, or in its header
junk = st.binary(min_size=1, max_size=8) | st.sampled_from(
    [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"99999"]
)
mutations = st.lists(
    st.tuples(st.sampled_from(["cut", "flip", "write", "insert", "delete", "copy"]), places, places, junk),
    min_size=1,
    max_size=6,
)


def mutated(content: bytes, edits: list[tuple[str, float, float, bytes]]) -> bytes:
    """A file's bytes after some damage."""
    out = bytearray(content)
    for kind, place, other, some in edits:
        at, there = int(place * len(out)), int(other * len(out))
        if kind == "cut":
            del out[max(at, 1) :]
        elif kind == "flip" and out:
            out[at] ^= 1 << some[0] % 8
        elif kind == "write":
            out[at : at + len(some)] = some
        elif kind == "insert":
            out[at:at] = some
        elif kind == "delete":
            del out[at : at + len(some)]
        elif kind == "copy":
            out[at:at] = out[there : there + 32]
    return bytes(out)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Decoders have much to say of damaged files."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", CLIPS)
def test_damaged_clips_are_read_or_refused(whole, tmp_path, name):
    content = (whole / "clips" / name).read_bytes()
    read = [frame.shape for frame in clips.stream(clips.open_clip(whole / "clips" / name))]
    assert set(read) == {(HEIGHT, WIDTH)}
    before = memory()

    @few(EXAMPLES)
    @given(mutations)
    def run(edits: list) -> None:
        (tmp_path / name).write_bytes(mutated(content, edits))
        with bounded():
            try:
                for frame in clips.stream(clips.open_clip(tmp_path / name)):
                    assert frame.dtype == np.uint8 and frame.ndim == 2
            except Unfit as error:
                assert error.expected and error.arrived and error.remedy

    run()
    assert memory() < before + MEGABYTES


@pytest.mark.parametrize("name", LABELS)
def test_damaged_labels_are_read_or_refused(whole, tmp_path, name):
    content, frame, layer = (whole / "labels" / name).read_bytes(), 2, LAYERS.get(name, "")
    frame = 0 if name == "box.seg.nrrd" else frame
    assert labels.read(whole / "labels" / name, (HEIGHT, WIDTH), frame=frame, layer=layer).any()
    before = memory()

    @few(EXAMPLES)
    @given(mutations)
    def run(edits: list) -> None:
        (tmp_path / name).write_bytes(mutated(content, edits))
        with bounded():
            try:
                image = labels.read(tmp_path / name, (HEIGHT, WIDTH), frame=frame, layer=layer)
                assert image.dtype == np.uint8 and image.ndim == 2
            except Unfit as error:
                assert error.expected and error.arrived and error.remedy

    run()
    assert memory() < before + MEGABYTES


@pytest.mark.parametrize("name", [*CLIPS, *LABELS])
def test_a_file_under_another_s_name_is_read_or_refused(whole, tmp_path, name):
    """Every file under every other's name."""
    for path in [*(whole / "clips").iterdir(), *(whole / "labels").iterdir()]:
        (tmp_path / name).write_bytes(path.read_bytes())
        with bounded(), suppress(Unfit):
            if name in CLIPS:
                assert sum(1 for _ in clips.stream(clips.open_clip(tmp_path / name)))
            else:
                labels.read(tmp_path / name, (HEIGHT, WIDTH), layer=LAYERS.get(name, ""))


def test_a_decoder_that_ends_its_process_ends_no_other(whole, tmp_path, monkeypatch):
    data = pydicom.dcmread(whole / "clips/rle.dcm")
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    data.save_as(tmp_path / "a.dcm")
    (tmp_path / "python").write_text("#!/bin/sh\nkill -ABRT $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(dicom.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Unfit, match=r"a DICOM file .*, got a\.dcm: the decoder broke down over it"):
        clips.read(tmp_path / "a.dcm")


cells = st.one_of(
    st.sampled_from(
        ["", " ", "0", "1", "-1", "-99", "1e999", "nan", "NA", "0,4", "9 5", "40%", "1_0", "0x1", "²"]
    ),
    st.sampled_from(
        ["adler-mp4", "Adler-7731", "R1", "b_line", "ann", "clips/brandt.npy", "labels/grey.png"]
    ),
    st.sampled_from(
        ["region", "0 0 4 4", "../x", "/etc/passwd", ".", "clips", "\0", '"', "a\nb", "=1+1", "😀"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.text(max_size=12),
)


def columns_of(name: str) -> list[str]:
    return list(schema.sheet(name).columns)


@few(100)
@given(st.sampled_from(["clips", "labels", "patients", "exams"]), st.data())
def test_any_table_is_read_or_its_cells_are_named(name, data):
    table = schema.sheet(name)
    names = columns_of(name)
    header = data.draw(st.just(names) | st.lists(st.sampled_from(names) | cells, min_size=1, max_size=12))
    rows = data.draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), max_size=4))
    quoted = data.draw(st.booleans())
    cell = (lambda text: '"' + text.replace('"', '""') + '"') if quoted else str
    content = "\n".join(",".join(map(cell, row)) for row in [header, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.csv"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        read, found = tables.read_table(path, table)
    problems.as_table(found)
    if not problems.sorted_out(found)[0]:
        assert list(read.columns) == names and (len(read) == len(rows) or not quoted)


@few(60)
@given(st.sampled_from(["clips", "labels", "patients", "exams"]), st.binary(max_size=60))
def test_any_bytes_are_a_table_or_refused(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.csv"
        path.write_bytes(content)
        problems.as_table(tables.read_table(path, schema.TABLES[name])[1])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
contents = st.dictionaries(st.sampled_from([*schema.META, "more"]), values, max_size=4)
descriptions = contents.map(lambda content: yaml.safe_dump(content, allow_unicode=True)) | st.text(
    max_size=40
)


@few(50)
@given(descriptions)
def test_any_cohort_yaml_is_read_or_refused(text):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("clips", "labels", "patients", "exams"):
            (Path(folder) / f"{name}.csv").write_text(getattr(make, name.upper()))
        (Path(folder) / "cohort.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        read, found = sheets.read(Path(folder))
        assert (read is None) <= bool(problems.sorted_out(found)[0])
        problems.as_table(found)


@few(40)
@given(
    st.lists(
        st.sampled_from(["clips", "labels", "patients", "exams"]).flatmap(
            lambda name: st.tuples(st.just(name), st.integers(1, 3), st.sampled_from(columns_of(name)), cells)
        ),
        min_size=1,
        max_size=2,
    ),
    st.booleans(),
)
def test_an_import_with_any_cell_changed_is_whole_or_nothing(whole, changes, study_ids):
    with tempfile.TemporaryDirectory() as folder, bounded():
        sheets_of = Path(folder) / "sheets"
        sheets_of.mkdir()
        for name in ("clips.csv", "labels.csv", "patients.csv", "exams.csv", "cohort.yaml"):
            (sheets_of / name).write_bytes((whole / name).read_bytes())
        for name, row, column, cell in changes:
            make.put(name, row, **{column: cell.encode("utf-8", "replace").decode()})(sheets_of)
        target = Path(folder) / "new"
        try:
            import_folder(whole, target, name="new", tables=sheets_of, study_ids=study_ids)
            assert (target / "cohort.yaml").is_file()
        except CohortError as error:
            assert len(error.problems) and error._render_traceback_()
            assert ".new.importing" not in str(error), "a problem of a file that is gone"
            assert [path.name for path in Path(folder).iterdir()] == ["sheets"]


sizes = st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12))
kinds = st.sampled_from([np.uint8, np.uint16])
frames_of_any_kind = kinds.flatmap(lambda kind: arrays.arrays(kind, sizes))


def grey(frames: np.ndarray) -> np.ndarray:
    """16 bits as 8, by the definition: value / 65535 * 255, rounded."""
    return (
        frames if frames.dtype == np.uint8 else np.rint(frames.astype(float) * 255 / 65535).astype(np.uint8)
    )


def written(folder: Path, frames: np.ndarray) -> list[Path]:
    """The same frames in every lossless format of clips."""
    np.save(folder / "a.npy", frames)
    make.stack(folder / "a.tif", frames)
    make.dicom(folder / "a.dcm", frames)
    Image.fromarray(frames[0]).save(folder / "a.png")
    return [folder / name for name in ("a.npy", "a.tif", "a.dcm", "a.png")]


@few(50)
@given(frames_of_any_kind, st.data())
def test_whole_clips_and_crops_of_them_come_back_as_they_were(frames, data):
    _, height, width = frames.shape
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    across, down = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    with tempfile.TemporaryDirectory() as folder:
        for path in written(Path(folder), frames):
            wanted = grey(frames[:1] if path.suffix == ".png" else frames)
            assert np.array_equal(clips.read(path), wanted), path.suffix
            cut = clips.read(path, (left, top, across, down))
            assert np.array_equal(cut, wanted[:, top : top + down, left : left + across]), path.suffix


@few(50)
@given(frames_of_any_kind)
def test_whole_labels_come_back_as_they_are_defined(values):
    """16 bits divided by 65535; what is painted at all stays above 0; foregrounds are 0 or 255."""
    wanted = np.maximum(grey(values), values > 0)
    frame, chosen = len(values) - 1, int(values[-1, 0, 0])
    with tempfile.TemporaryDirectory() as folder:
        make.nifti(Path(folder) / "a.nii", values)
        make.nrrd(Path(folder) / "a.nrrd", values)
        Image.fromarray(values[-1]).save(Path(folder) / "a.png")
        for name in ("a.nii", "a.nrrd", "a.png"):
            how = {"shape": values.shape[1:], "frame": frame}
            mask = labels.read(Path(folder) / name, **how, foreground=chosen)
            assert np.array_equal(mask, np.where(values[-1] == chosen, 255, 0)), name
            if values[-1].max() > 255 or (values.dtype == np.uint8 and values[-1].max() > 12):
                assert np.array_equal(labels.read(Path(folder) / name, **how), wanted[-1]), name


def even_odd(points: np.ndarray, x: float, y: float) -> tuple[bool, float]:
    """Whether a ray from (x, y) crosses the outline an odd number of times; and how near the outline lies."""
    inside, near = False, np.inf
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        along = np.array([x1 - x0, y1 - y0])
        length = along @ along
        share = np.clip(((x - x0) * along[0] + (y - y0) * along[1]) / length, 0, 1) if length else 0
        near = min(near, np.hypot(x - x0 - share * along[0], y - y0 - share * along[1]))
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            inside = not inside
    return inside, near


@few(50)
@given(arrays.arrays(float, st.tuples(st.integers(3, 7), st.just(2)), elements=st.floats(-4, 16, width=16)))
def test_polygons_cover_what_a_ray_says_is_inside(points):
    rays = [[even_odd(points, x + 0.5, y + 0.5) for x in range(12)] for y in range(10)]
    inside, near = (np.array([[one[k] for one in row] for row in rays]) for k in (0, 1))
    shapes = {"height_px": 10, "width_px": 12, "shapes": [{"label": "a", "points": points.tolist()}]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(shapes))
        try:
            image = labels.read(path, (10, 12), layer="a")
        except Unfit as error:
            assert "none covers a pixel" in str(error) and not inside[near > 1e-6].any()
        else:
            assert np.array_equal(image[near > 1e-6] == 255, inside[near > 1e-6])
