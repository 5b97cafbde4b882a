"""Clips in every format, against files whose pixels are known and against other readers."""

import struct
import subprocess
import tracemalloc
from pathlib import Path

import av
import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import encaps, uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from lusnb.cohort.problems import Unfit
from lusnb.readers import clips
from lusnb.readers.grey import luma


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def grey(rng) -> np.ndarray:
    """A small clip, uint8 (4, 24, 40)."""
    return rng.integers(0, 256, (4, 24, 40), np.uint8)


def film(path: Path, frames: np.ndarray, codec: str, pixels: str, options: dict | None = None) -> Path:
    """Write frames, (T, H, W) or (T, H, W, 3), as a video of 25 frames a second."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.options = options or {}
        for frame in frames:
            kind = "gray" if frame.ndim == 2 else "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=kind)))
        out.mux(stream.encode())
    return path


def dicom(path: Path, frames: np.ndarray, *, bits: int = 8, colours: str = "MONOCHROME2", **tags) -> Path:
    """Write frames as an uncompressed multi-frame DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName, data.PatientID = "Doe^Jane", "12345678"
    data.Rows, data.Columns, data.NumberOfFrames = frames.shape[1], frames.shape[2], len(frames)
    data.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    if frames.ndim == 4:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = colours
    data.BitsAllocated = 8 * frames.dtype.itemsize
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    data.PixelData = frames.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def compressed(path: Path, fragments: list[bytes], syntax: str, like: Path, **tags) -> Path:
    """The DICOM file `like`, its frames replaced by compressed ones."""
    data = pydicom.dcmread(like)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encaps.encapsulate(fragments)
    data["PixelData"].is_undefined_length = True
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def jpeg(frame: np.ndarray, path: Path) -> bytes:
    Image.fromarray(frame).save(path, quality=95)
    return path.read_bytes()


def test_npy_stills_colour_and_either_order_are_read(tmp_path, grey, rng):
    colour = rng.integers(0, 256, (4, 24, 40, 3), np.uint8)
    for name, array, wanted in (
        ("plain", grey, grey),
        ("still", grey[0], grey[:1]),
        ("fortran", np.asfortranarray(grey), grey),
        ("colour", colour, luma(colour)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        assert np.array_equal(clips.read(tmp_path / f"{name}.npy"), wanted), name


def test_a_colour_still_is_one_frame_not_one_a_row(tmp_path, rng):
    for channels in (3, 4):
        still = rng.integers(0, 256, (24, 40, channels), np.uint8)
        np.save(tmp_path / "still.npy", still)
        assert np.array_equal(clips.read(tmp_path / "still.npy"), luma(still)[None]), channels


def test_luma_is_that_of_pillow(rng):
    colour = rng.integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(luma(colour), np.asarray(Image.fromarray(colour).convert("L")))


def test_sixteen_bits_are_scaled_by_the_range_that_is_declared(tmp_path):
    deep = np.array([[[0, 257, 65535, 4095]]], np.uint16)
    np.save(tmp_path / "deep.npy", deep)
    assert clips.read(tmp_path / "deep.npy").tolist() == [[[0, 1, 255, 16]]]
    assert clips.read(tmp_path / "deep.npy", white=4095).tolist() == [[[0, 16, 255, 255]]]
    tags = {341: 4095}  # SMaxSampleValue
    Image.fromarray(deep[0]).save(tmp_path / "deep.tif", tiffinfo=tags)
    assert clips.read(tmp_path / "deep.tif").tolist() == [[[0, 16, 255, 255]]]
    Image.fromarray(deep[0]).save(tmp_path / "deep.png")
    assert clips.read(tmp_path / "deep.png").tolist() == [[[0, 1, 255, 16]]]
    dicom(tmp_path / "deep.dcm", np.array([[[0, 1024, 4095, 2048]]], np.uint16), bits=12)
    assert clips.read(tmp_path / "deep.dcm").tolist() == [[[0, 64, 255, 128]]]


def test_a_tiff_stack_is_a_frame_a_page_whatever_its_compression(tmp_path, grey):
    pages = [Image.fromarray(frame) for frame in grey]
    for compression in (None, "tiff_deflate", "tiff_lzw"):
        pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:], compression=compression)
        assert np.array_equal(clips.read(tmp_path / "stack.tif"), grey)


def test_white_is_zero_is_turned_over_at_either_depth(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert b"\xff\x00" in (tmp_path / "a.tif").read_bytes()  # Pillow turns 8 bits over, both ways
    assert clips.read(tmp_path / "a.tif").tolist() == [[[0, 255]]]
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "b.tif", tiffinfo={262: 0})
    assert b"\x00\x00\xff\xff" in (tmp_path / "b.tif").read_bytes()  # and leaves 16 bits as they are
    assert clips.read(tmp_path / "b.tif").tolist() == [[[255, 0]]]


def test_a_png_still_may_be_grey_colour_palette_or_have_alpha(tmp_path, grey, rng):
    colour = Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8))
    for mode in ("RGB", "P", "RGBA"):
        image = colour.convert(mode)
        image.save(tmp_path / "still.png")
        wanted = np.asarray(Image.open(tmp_path / "still.png").convert("RGB").convert("L"))
        assert np.array_equal(clips.read(tmp_path / "still.png")[0], wanted)
    Image.fromarray(grey[0]).convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(clips.read(tmp_path / "bits.png"))) <= {0, 255}


@pytest.mark.parametrize(
    ("ending", "codec", "pixels"), [("avi", "ffv1", "gray"), ("avi", "rawvideo", "gray")]
)
def test_lossless_grey_video_comes_back_as_it_was(tmp_path, grey, ending, codec, pixels):
    path = film(tmp_path / f"clip.{ending}", grey, codec, pixels)
    assert np.array_equal(clips.read(path), grey)
    assert clips.open_clip(path).fps == pytest.approx(25)


def test_lossless_colour_video_becomes_luma(tmp_path, rng):
    colour = rng.integers(0, 256, (3, 24, 40, 3), np.uint8)
    path = film(tmp_path / "clip.avi", colour, "ffv1", "bgr0")
    assert np.array_equal(clips.read(path), luma(colour))


def test_limited_range_video_reaches_black_and_white(tmp_path):
    steps = np.repeat(np.linspace(0, 255, 8).astype(np.uint8), 8)
    frames = np.broadcast_to(steps, (3, 48, 64))[..., None].repeat(3, -1)
    path = film(tmp_path / "clip.mp4", np.ascontiguousarray(frames), "mpeg4", "yuv420p", {"qscale": "1"})
    found = clips.read(path)
    assert np.abs(found[:, :, 4::8].astype(int) - frames[:, :, 4::8, 0]).max() <= 4


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """A copy of an MP4 whose track is to be shown by a matrix: x, y become ax + cy, bx + dy."""
    matrices = [struct.pack(">9i", *(v << 16 for v in (*m, 0, 0)), 1 << 30) for m in
                ((1, 0, 0, 0, 1, 0), (a, b, 0, c, d, 0))]  # fmt: skip
    head, track, rest = path.read_bytes().partition(b"tkhd")
    assert matrices[0] in rest
    copy = path.with_name("turned.mp4")
    copy.write_bytes(head + track + rest.replace(*matrices, 1))
    return copy


def test_a_video_is_turned_as_a_player_would_show_it(tmp_path):
    frames = np.zeros((3, 32, 48), np.uint8)
    frames[:, :8] = 200  # bright on top
    path = film(tmp_path / "clip.mp4", frames, "mpeg4", "yuv420p", {"qscale": "1"})
    stored = clips.read(path)
    for matrix, edge in (
        ((0, 1, -1, 0), np.s_[:, :, -8:]),  # by 90 degrees with the clock: the top is on the right
        ((-1, 0, 0, -1), np.s_[:, -8:]),
        ((0, -1, 1, 0), np.s_[:, :, :8]),
    ):
        clip, found = clips.open_clip(turned(path, *matrix)), clips.read(turned(path, *matrix))
        assert found.shape[1:] == (clip.height, clip.width) == ((48, 32) if matrix[0] == 0 else (32, 48))
        assert found[edge].min() > 190 and found.mean() == stored.mean(), matrix
    assert np.array_equal(np.rot90(clips.read(turned(path, 0, 1, -1, 0)), 1, (1, 2)), stored)


@pytest.mark.parametrize(
    ("matrix", "told"), [((-1, 0, 0, 1), "mirrored"), ((1, 1, -1, 1), "by the matrix 1 1 -1 1")]
)
def test_a_video_to_be_shown_otherwise_is_refused(tmp_path, grey, matrix, told):
    path = turned(film(tmp_path / "clip.mp4", grey, "mpeg4", "yuv420p"), *matrix)
    with pytest.raises(Unfit, match=rf"upright, or turned by 90.*turned\.mp4, to be shown {told}; export"):
        clips.open_clip(path)


def test_pages_of_unequal_size_are_refused_from_python_too(tmp_path, grey):
    pages = [Image.fromarray(grey[0]), Image.fromarray(grey[1, :9])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for crop in (None, (0, 0, 4, 4)):
        with pytest.raises(Unfit, match=r"frames of one size, \(24, 40\), got a\.tif, frame 1 of \(9, 40\)"):
            clips.read(tmp_path / "a.tif", crop)


def test_a_playlist_under_the_name_of_a_clip_opens_nothing(tmp_path, grey):
    film(tmp_path / "secret.avi", grey, "ffv1", "gray")
    entry = f"ffconcat version 1.0\nfile '{tmp_path / 'secret.avi'}'\n"
    lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path / 'secret.avi'}\n#EXT-X-ENDLIST\n"
    for text in (entry, lines):
        (tmp_path / "clip.mp4").write_text(text)
        with pytest.raises(Unfit, match="that can be decoded"):
            clips.read(tmp_path / "clip.mp4")


def test_every_frame_of_the_real_clip_is_read(samples):
    clip = clips.open_clip(samples / "lus_linear" / "clip.mp4")
    frames = clips.read(samples / "lus_linear" / "clip.mp4")
    assert (clip.count, clip.fps) == (164, 16) and frames.shape == (164, 310, 152)
    still = clips.read(samples / "lus_linear" / "frame060.png")[0].astype(float)
    apart = [np.abs(frame - still).mean() for frame in frames]
    assert int(np.argmin(apart)) == 60 and min(apart) < 2


def test_dicom_pixels_come_back_grey_inverted_or_in_colour(tmp_path, grey, rng):
    assert np.array_equal(clips.read(dicom(tmp_path / "a.dcm", grey)), grey)
    assert np.array_equal(clips.read(dicom(tmp_path / "b.dcm", grey, colours="MONOCHROME1")), 255 - grey)
    colour = rng.integers(0, 256, (2, 24, 40, 3), np.uint8)
    assert np.array_equal(clips.read(dicom(tmp_path / "c.dcm", colour, colours="RGB")), luma(colour))
    (tmp_path / "a.dcm").rename(tmp_path / "IM0001")
    assert np.array_equal(clips.read(tmp_path / "IM0001"), grey)


def test_palette_dicom_is_read_through_its_colours(tmp_path, grey):
    ramp = np.arange(256, dtype=np.uint16) * 257
    names = ("Red", "Green", "Blue")
    tags = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in names}
    tags |= {f"{name}PaletteColorLookupTableData": ramp[::-1].tobytes() for name in names}
    path = dicom(tmp_path / "palette.dcm", grey, colours="PALETTE COLOR", **tags)
    assert np.array_equal(clips.read(path), 255 - grey)


def test_a_palette_may_keep_eight_bits_in_entries_of_sixteen(tmp_path, grey):
    names = ("Red", "Green", "Blue")
    tags = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in names}
    tags |= {
        f"{name}PaletteColorLookupTableData": np.arange(256, dtype=np.uint16).tobytes() for name in names
    }
    path = dicom(tmp_path / "palette.dcm", grey, colours="PALETTE COLOR", **tags)
    assert np.array_equal(clips.read(path), grey)


def test_pixels_in_the_upper_bits_are_refused(tmp_path):
    deep = np.array([[[0, 1024, 4095, 2048]]], np.uint16)
    path = dicom(tmp_path / "a.dcm", deep << 4, bits=12, HighBit=15)
    with pytest.raises(
        Unfit, match="lowest 12 bits of each number, got a.dcm: 12 bits, .* highest is bit 15"
    ):
        clips.open_clip(path)


def long_dicom(folder: Path, rng: np.random.Generator) -> Path:
    """Two hundred compressed frames of noise, 13 MB in all."""
    pieces = [jpeg(rng.integers(0, 256, (256, 256), np.uint8), folder / "part.jpg") for _ in range(200)]
    like = dicom(folder / "like.dcm", np.zeros((1, 256, 256), np.uint8))
    return compressed(folder / "long.dcm", pieces, uid.JPEGBaseline8Bit, like, NumberOfFrames=200)


def test_compressed_frames_are_in_memory_one_at_a_time(tmp_path, rng):
    path = long_dicom(tmp_path, rng)
    clips.read(dicom(tmp_path / "like.dcm", np.zeros((1, 8, 8), np.uint8)))  # what is loaded once
    tracemalloc.start()
    try:
        assert sum(1 for _ in clips.stream(clips.open_clip(path))) == 200
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 5
    finally:
        tracemalloc.stop()


def jpeg_ls(path: Path, frames: np.ndarray) -> Path:
    """Frames (T, H, W) as a DICOM file that only GDCM decodes."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(dicom(path, frames)))
    assert reader.Read()
    change.SetInput(reader.GetImage())
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLSLossless))
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    return path


def test_what_gdcm_decodes_is_decoded_once_in_one_other_process(tmp_path, grey, monkeypatch):
    path, started, start = jpeg_ls(tmp_path / "a.dcm", grey), [], subprocess.Popen

    def count(*given, **how):
        started.append(start(*given, **how))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", count)
    assert np.array_equal(clips.read(path), grey) and len(started) == 1
    frames = clips.stream(clips.open_clip(path))
    next(frames)
    frames.close()
    assert started[-1].poll() is not None, "the other process goes on"


def test_compressed_dicom_is_what_its_decoder_gives(tmp_path, grey):
    smooth = np.stack([np.add.outer(np.arange(24), np.arange(40)) * 4 % 250] * 3).astype(np.uint8)
    plain = dicom(tmp_path / "plain.dcm", smooth)
    parts = [jpeg(frame, tmp_path / "part.jpg") for frame in smooth]
    path = compressed(tmp_path / "jpeg.dcm", parts, uid.JPEGBaseline8Bit, plain)
    wanted = np.asarray(Image.open(tmp_path / "part.jpg"))
    assert np.abs(clips.read(path).astype(int) - wanted).max() <= 1
    data = pydicom.dcmread(dicom(tmp_path / "rle.dcm", grey))
    data.compress(uid.RLELossless)
    data.save_as(tmp_path / "rle.dcm")
    assert np.array_equal(clips.read(tmp_path / "rle.dcm"), grey)


def test_compressed_colour_dicom_is_luma_not_its_first_channel(tmp_path):
    red = np.zeros((2, 24, 40, 3), np.uint8)
    red[..., 0] = 200
    plain = dicom(tmp_path / "plain.dcm", red, colours="RGB")
    parts = [jpeg(frame, tmp_path / "part.jpg") for frame in red]
    path = compressed(
        tmp_path / "jpeg.dcm", parts, uid.JPEGBaseline8Bit, plain, PhotometricInterpretation="YBR_FULL_422"
    )
    assert np.abs(clips.read(path).astype(int) - round(200 * 0.299)).max() <= 2


def test_a_film_inside_dicom_is_decoded(tmp_path, grey):
    smooth = np.broadcast_to(np.arange(48, dtype=np.uint8) * 5, (5, 32, 48))[..., None].repeat(3, -1)
    film(tmp_path / "film.mp4", np.ascontiguousarray(smooth), "mpeg4", "yuv420p", {"qscale": "1"})
    whole = (tmp_path / "film.mp4").read_bytes()
    plain = dicom(tmp_path / "plain.dcm", np.ascontiguousarray(smooth), colours="RGB")
    path = compressed(tmp_path / "film.dcm", [whole + b"\0" * (len(whole) % 2)], uid.MPEG4HP41, plain)
    assert np.array_equal(clips.read(path), clips.read(tmp_path / "film.mp4"))
    half = len(whole) // 4 * 2
    parts = [whole[:half], whole[half:] + b"\0" * (len(whole) % 2)]
    path = compressed(tmp_path / "parts.dcm", parts, uid.MPEG4HP41, plain)
    assert np.array_equal(clips.read(path), clips.read(tmp_path / "film.mp4"))


def test_dicom_declares_scale_rate_region_and_burned_in_text(tmp_path, grey):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.03
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 4, 2
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 23, 21
    path = dicom(
        tmp_path / "a.dcm",
        grey,
        FrameTime="40",
        BurnedInAnnotation="YES",
        SequenceOfUltrasoundRegions=[region],
        Manufacturer="Maker",
        OperatorsName="Who^Ever",
    )
    clip = clips.open_clip(path)
    assert clip.fps == 25 and clip.cm == (0.03, 0.02) and clip.burned_in is True
    assert clip.region == (4, 2, 20, 20)
    assert clip.tags["Manufacturer"] == "Maker" and clip.tags["NumberOfFrames"] == 4
    assert "Who" not in str(clip.tags) + repr(clip) and "12345678" not in str(clip.tags) + repr(clip)


def region(left: int, top: int, right: int, bottom: int, data: int, units: int, cm: float) -> Dataset:
    """An ultrasound region; data 1: tissue, units 3: centimetres."""
    out = Dataset()
    out.RegionLocationMinX0, out.RegionLocationMinY0 = left, top
    out.RegionLocationMaxX1, out.RegionLocationMaxY1 = right, bottom
    out.PhysicalUnitsXDirection = out.PhysicalUnitsYDirection = units
    out.PhysicalDeltaX = out.PhysicalDeltaY = cm
    out.RegionDataType = data
    return out


def test_the_region_is_the_largest_of_tissue_in_centimetres(tmp_path, grey):
    strip, curve = region(0, 0, 39, 3, 10, 0, 0.5), region(0, 0, 39, 23, 10, 3, 0.5)
    small, large = region(0, 4, 9, 9, 1, 3, 0.2), region(5, 4, 30, 20, 1, 3, 0.1)
    for regions, box, cm in (
        ([strip, small, large, curve], (5, 4, 26, 17), (0.1, 0.1)),
        ([strip, curve], (0, 0, 40, 24), (0.5, 0.5)),
        ([strip], None, None),
        ([], None, None),
    ):
        clip = clips.open_clip(dicom(tmp_path / "a.dcm", grey, SequenceOfUltrasoundRegions=regions))
        assert (clip.region, clip.cm) == (box, cm)


def test_the_rate_is_that_of_the_frames_before_that_of_the_machine(tmp_path, grey):
    for tags, rate in (
        ({"CineRate": 30, "FrameTime": "50"}, 20),
        ({"CineRate": 30, "FrameTimeVector": [0, 40, 40, 40]}, 25),
        ({"CineRate": 30, "RecommendedDisplayFrameRate": 10}, 10),
        ({"CineRate": 30, "FrameTime": "0"}, 30),
        ({}, None),
    ):
        assert clips.open_clip(dicom(tmp_path / "a.dcm", grey, **tags)).fps == rate


def test_a_name_that_a_program_gives_to_all_is_nobody(tmp_path, grey):
    for owner in ("NOID", "PATIENT", "1", "XXXX", "0000", "99", "Anonymized 3", "", "unknown1"):
        assert clips.open_clip(dicom(tmp_path / "a.dcm", grey, PatientID=owner)).owner is None, owner
    for owner in ("9063", "P01", "PATIENT17"):
        assert clips.open_clip(dicom(tmp_path / "a.dcm", grey, PatientID=owner)).owner == owner
    path = dicom(tmp_path / "a.dcm", grey, PatientID="9063", PatientIdentityRemoved="YES")
    assert clips.open_clip(path).owner is None


def test_a_crop_is_left_top_width_height(tmp_path, grey):
    np.save(tmp_path / "a.npy", grey)
    found = clips.read(tmp_path / "a.npy", crop=(3, 2, 10, 6))
    assert np.array_equal(found, grey[:, 2:8, 3:13])
    with pytest.raises(Unfit, match=r"a crop inside the frame of 40 x 24 \(width x height\), got 35 0 10 6"):
        clips.read(tmp_path / "a.npy", crop=(35, 0, 10, 6))


def test_writing_streams_what_numpy_then_reads(tmp_path, grey):
    seen = []
    shape = clips.write_npy(iter(grey), tmp_path / "out.npy", lambda t, frame: seen.append((t, frame.sum())))
    assert shape == grey.shape and np.array_equal(np.load(tmp_path / "out.npy"), grey)
    assert seen == [(t, frame.sum()) for t, frame in enumerate(grey)]


def test_no_frames_are_an_array_of_none(tmp_path):
    assert clips.write_npy(iter([]), tmp_path / "out.npy") == (0, 0, 0)
    assert np.load(tmp_path / "out.npy").shape == (0, 0, 0)


def test_a_broken_stream_leaves_no_file(tmp_path, grey):
    def breaks():
        yield grey[0]
        raise Unfit("a", "b", "c")

    with pytest.raises(Unfit):
        clips.write_npy(breaks(), tmp_path / "out.npy", lambda t, frame: None)
    assert not list(tmp_path.iterdir())
