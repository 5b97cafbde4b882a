"""Labels in every format become confidence: worked by hand, and in files that other libraries write."""

import gzip
import json
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lusnb.cohort.problems import Unfit
from lusnb.readers import labels

SHAPE = (4, 6)  # height, width
LEVELS = np.array(
    [[0, 0, 0, 0, 0, 0], [0, 51, 102, 0, 0, 0], [0, 255, 128, 0, 0, 0], [0, 0, 0, 0, 0, 153]], np.uint8
)


def read(path: Path, **how) -> np.ndarray:
    return labels.read(path, SHAPE, **how)


def test_grey_of_eight_bits_is_confidence_as_it_is(tmp_path):
    for ending in ("png", "tif", "bmp"):
        Image.fromarray(LEVELS).save(tmp_path / f"a.{ending}")
        assert np.array_equal(read(tmp_path / f"a.{ending}"), LEVELS), ending


def test_grey_of_sixteen_bits_is_divided_and_nothing_painted_is_lost(tmp_path):
    deep = LEVELS.astype(np.uint16) * 257
    deep[3, 0] = 1  # the faintest stroke
    Image.fromarray(deep).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found[3, 0] == 1
    assert np.array_equal(np.delete(found, 18), np.delete(LEVELS, 18))


def test_the_alpha_of_a_layer_is_the_confidence_whatever_its_colour(tmp_path):
    layer = np.full((*SHAPE, 4), (255, 0, 10, 0), np.uint8)
    layer[..., 3] = LEVELS
    Image.fromarray(layer).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), LEVELS)


def test_layers_of_a_tiff_go_by_name_or_by_number(tmp_path):
    pages = []
    for alpha in (LEVELS, LEVELS[::-1]):
        layer = np.zeros((*SHAPE, 4), np.uint8)
        layer[..., 3] = alpha
        pages.append(Image.fromarray(layer))
    names = [{285: "b_line"}, {285: "a_line"}]
    for page, name in zip(pages, names, strict=True):
        page.encoderinfo = {"tiffinfo": name}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo=names[0])
    assert np.array_equal(read(tmp_path / "a.tif", layer="b_line"), LEVELS)
    assert np.array_equal(read(tmp_path / "a.tif", layer="1"), LEVELS[::-1])
    with pytest.raises(Unfit, match=r"expected a layer 'c_line', got a\.tif, whose layers are \['b_line'"):
        read(tmp_path / "a.tif", layer="c_line")


@pytest.mark.parametrize("value", [0, 1, 7, 255])
def test_a_mask_of_any_foreground_value_is_sure_there(tmp_path, value):
    other = 3
    mask = np.where(LEVELS > 0, value, other).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "a.png")
    palette = Image.fromarray(mask, "L").convert("P")
    palette.putdata(mask.ravel().tolist())
    palette.save(tmp_path / "p.png")
    wanted = np.where(LEVELS > 0, 255, 0)
    assert np.array_equal(read(tmp_path / "a.png", foreground=value), wanted)
    assert np.array_equal(read(tmp_path / "p.png", foreground=value), wanted)
    assert not read(tmp_path / "a.png", foreground=99).any()


def test_a_mask_of_two_colours_is_a_mask(tmp_path):
    Image.fromarray(LEVELS).point(lambda v: 255 if v else 0).convert("1").save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), np.where(LEVELS > 0, 255, 0))
    assert read(tmp_path / "a.png").dtype == np.uint8
    assert np.array_equal(read(tmp_path / "a.png", foreground=0), np.where(LEVELS > 0, 0, 255))


def test_numbers_that_could_be_classes_are_refused_without_a_foreground(tmp_path):
    Image.fromarray((LEVELS > 0).astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(
        Unfit, match=r"confidence up to 255, got a\.png, at most 1; a mask or a map of classes"
    ):
        read(tmp_path / "a.png")


def test_nifti_is_columns_first_and_a_slice_a_frame(tmp_path):
    volume = np.stack([LEVELS, LEVELS // 2, LEVELS[::-1]])  # (frames, H, W)
    stored = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]))
    nibabel.save(stored, tmp_path / "a.nii.gz")
    for frame in range(3):
        assert np.array_equal(read(tmp_path / "a.nii.gz", frame=frame), volume[frame])
    # SimpleITK, which keeps (slices, rows, columns), reads the same pixels
    assert np.array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "a.nii.gz")), volume)
    with pytest.raises(Unfit, match=r"a slice for frame 3, got a\.nii\.gz with 3 slices"):
        read(tmp_path / "a.nii.gz", frame=3)


def test_nifti_as_simpleitk_writes_it_flat_serves_any_frame(tmp_path):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LEVELS), tmp_path / "a.nii")
    assert np.array_equal(read(tmp_path / "a.nii", frame=5), LEVELS)


def test_floats_are_fractions(tmp_path):
    fractions = (LEVELS / 255).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(fractions.T, np.eye(4)), tmp_path / "a.nii")
    assert np.array_equal(read(tmp_path / "a.nii"), LEVELS)


def test_fractions_that_a_header_scales_may_exceed_one_by_rounding(tmp_path):
    image = nibabel.Nifti1Image(LEVELS.T, np.eye(4))
    image.header.set_slope_inter(1 / 255, 0)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj).max() > 1
    assert np.array_equal(read(tmp_path / "a.nii"), LEVELS)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.nan, r"got a\.nii: 1 of 24 that are NaN or infinite; write 0 where nothing"),
        (1.01, r"got a\.nii: 0 to 1\.01; divide by its maximum; or is it a map of classes\? Give `fore"),
        (-0.5, r"got a\.nii: -0\.5 to 1; "),
    ],
)
def test_other_floats_are_refused_in_their_own_words(tmp_path, value, told):
    fractions = (LEVELS / 255).astype(np.float32)
    fractions[0, 0] = value
    nibabel.save(nibabel.Nifti1Image(fractions.T, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(Unfit, match=told):
        read(tmp_path / "a.nii")


def test_a_mask_in_colour_is_refused_with_a_foreground_too(tmp_path):
    rgb = np.zeros((6, 4, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for values in (rgb, np.zeros((6, 4, 1), np.complex64)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
        for foreground in (None, 0, 1):
            with pytest.raises(Unfit, match="one real number a pixel"):
                read(tmp_path / "a.nii", foreground=foreground)


def test_signed_numbers_reach_up_to_the_largest_of_their_type(tmp_path):
    for kind, full in ((np.int16, 32767), (np.int8, 127), (np.uint16, 65535)):
        values = np.zeros(SHAPE, kind)
        values[0, 0], values[1, 1] = full, full // 2
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), tmp_path / "a.nii")
        found = read(tmp_path / "a.nii")
        assert (found[0, 0], found[1, 1], found.max()) == (255, round(255 * (full // 2) / full), 255), kind


def test_images_of_32_bits_are_fractions_or_in_range(tmp_path):
    Image.fromarray((LEVELS / 255).astype(np.float32)).save(tmp_path / "a.tif")
    assert np.array_equal(read(tmp_path / "a.tif"), LEVELS)
    Image.fromarray(LEVELS.astype(np.int32) * 257).save(tmp_path / "a.tif")
    assert np.array_equal(read(tmp_path / "a.tif"), LEVELS)
    Image.fromarray(LEVELS.astype(np.int32) * 1000).save(tmp_path / "a.tif")
    with pytest.raises(Unfit, match=r"confidence of 8 or 16 bits, got a\.tif: 0 to 255000"):
        read(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif", foreground=51000).sum() == 255


def test_an_opaque_grey_image_is_read_as_grey(tmp_path):
    for mode in ("RGBA", "LA", "RGB"):
        Image.fromarray(LEVELS).convert(mode).save(tmp_path / "a.png")
        assert np.array_equal(read(tmp_path / "a.png"), LEVELS), mode


def volumes_of(folder: Path, volume: np.ndarray, gigantic: bool) -> dict[str, Path]:
    """A volume as packed NRRD, MetaImage and NIfTI; `gigantic`: it fits in little once it is packed."""
    image = SimpleITK.GetImageFromArray(volume)
    paths = {ending: folder / f"a.{ending}" for ending in ("nrrd", "mha", "nii.gz")}
    for path in paths.values():
        SimpleITK.WriteImage(image, path, useCompression=True)
        assert not gigantic or path.stat().st_size < 1e6
    return paths


def test_volumes_that_unfold_beyond_measure_are_refused_whatever_their_type(tmp_path):
    for path in volumes_of(tmp_path, np.zeros((33, 1024, 1024), np.float64), gigantic=True).values():
        told = rf"at most 268,435,456 bytes, got {path.name}, .* 33 slices of 1024 x 1024 pixels of 8 bytes"
        with pytest.raises(Unfit, match=told):
            labels.read(path, (1024, 1024))


def test_only_the_slice_that_is_asked_for_is_kept(tmp_path):
    volume = np.zeros((60, 512, 512), np.uint8)
    volume[7, 3, 5] = 255
    for path in volumes_of(tmp_path, volume, gigantic=True).values():
        labels.read(path, (512, 512), frame=0)  # what is loaded once
        tracemalloc.start()
        try:
            found = labels.read(path, (512, 512), frame=7)
            assert tracemalloc.get_traced_memory()[1] < volume.nbytes / 2, path.name
        finally:
            tracemalloc.stop()
        assert np.argwhere(found).tolist() == [[3, 5]]


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_nrrd_and_metaimage_are_read(tmp_path, ending):
    volume = np.stack([LEVELS, LEVELS[::-1]])
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume), tmp_path / f"a.{ending}", useCompression=True)
    assert np.array_equal(read(tmp_path / f"a.{ending}", frame=1), LEVELS[::-1])


def slicer(path: Path, data: np.ndarray, offset: str, segments: list[tuple[str, int, int]]) -> Path:
    """A segmentation as 3D Slicer writes it; data (slices, rows, columns[, layers])."""
    layered = data.ndim == 4
    kinds = "list domain domain domain" if layered else "domain domain domain"
    sizes = ([data.shape[3]] if layered else []) + [data.shape[2], data.shape[1], data.shape[0]]
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {'none ' if layered else ''}(1,0,0) (0,1,0) (0,0,1)",
        f"kinds: {kinds}",
        "encoding: gzip",
        "space origin: (0,0,0)",
    ]
    for k, (name, layer, value) in enumerate(segments):
        lines += [f"Segment{k}_Name:={name}", f"Segment{k}_Layer:={layer}", f"Segment{k}_LabelValue:={value}"]
    lines += [f"Segmentation_ReferenceImageExtentOffset:={offset}"]
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + gzip.compress(data.astype(np.uint8).tobytes()))
    return path


def test_a_slicer_segment_is_put_back_where_its_box_lay(tmp_path):
    box = np.array([[[1, 2], [1, 1]]])
    path = slicer(tmp_path / "a.seg.nrrd", box, "3 1 0", [("a_line", 0, 1), ("b_line", 0, 2)])
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[1:3, 3] = wanted[2, 4] = 255
    assert np.array_equal(read(path, layer="a_line"), wanted)
    assert np.argwhere(read(path, layer="b_line")).tolist() == [[1, 4]]
    with pytest.raises(Unfit, match=r"a segment 'pleura', got a\.seg\.nrrd, whose segments are \['a_line'"):
        read(path, layer="pleura")


def test_slicer_segments_that_overlap_lie_in_layers_and_frames_outside_the_box_are_empty(tmp_path):
    data = np.zeros((2, 2, 2, 2), int)  # slices, rows, columns, layers
    data[0, 0, 0] = (1, 1)
    data[1, 1, 1] = (0, 1)
    path = slicer(tmp_path / "a.seg.nrrd", data, "0 0 4", [("a_line", 0, 1), ("b_line", 1, 1)])
    assert np.argwhere(read(path, layer="a_line", frame=4)).tolist() == [[0, 0]]
    assert np.argwhere(read(path, layer="b_line", frame=4)).tolist() == [[0, 0]]
    assert not read(path, layer="a_line", frame=5).any()
    assert np.argwhere(read(path, layer="b_line", frame=5)).tolist() == [[1, 1]]
    assert not read(path, layer="b_line", frame=6).any()


def drawn(path: Path, shapes: list[dict], **more) -> Path:
    path.write_text(json.dumps({"shapes": shapes, **more}))
    return path


def test_a_polygon_covers_the_pixels_whose_centres_it_holds(tmp_path):
    square = {"frame": 0, "label": "a_line", "polygon_xy_px": [[1, 1], [3, 1], [3, 3], [1, 3]]}
    found = read(drawn(tmp_path / "a.json", [square], width_px=6, height_px=4), layer="a_line")
    assert np.argwhere(found).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]] and found.max() == 255


def test_polygons_carry_their_confidence_and_the_surer_counts(tmp_path):
    faint = {"frame": 0, "label": "a", "polygon_xy_px": [[0, 0], [4, 0], [4, 2], [0, 2]], "confidence": 0.4}
    sure = {"frame": 0, "label": "a", "polygon_xy_px": [[0, 0], [1, 0], [1, 1], [0, 1]], "confidence": 0.8}
    other = {"frame": 1, "label": "a", "polygon_xy_px": [[0, 0], [6, 0], [6, 4], [0, 4]]}
    found = read(drawn(tmp_path / "a.json", [sure, faint, other]), layer="a")
    assert found[:2, :4].tolist() == [[204, 102, 102, 102], [102, 102, 102, 102]] and not found[2:].any()
    assert (read(tmp_path / "a.json", layer="a", frame=1) == 255).all()
    assert not read(tmp_path / "a.json", layer="a", frame=2).any()


def test_labelme_files_are_understood(tmp_path):
    shape = {"label": "b_line", "points": [[0, 0], [2, 0], [2, 4], [0, 4]], "shape_type": "polygon"}
    path = drawn(tmp_path / "a.json", [shape], imageHeight=4, imageWidth=6, version="5.0", flags={})
    assert np.array_equal(read(path, layer="b_line", frame=9)[0], [255, 255, 0, 0, 0, 0])


def test_rectangles_of_labelme_are_boxes_and_a_null_frame_is_none(tmp_path):
    shape = {"label": "a", "points": [[4, 3], [1, 1]], "shape_type": "rectangle", "frame": None}
    found = read(drawn(tmp_path / "a.json", [shape]), layer="a", frame=5)
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[1:3, 1:4] = 255
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["linestrip", "line", "point", "points", "circle", "mask", ["polygon"]])
def test_shapes_without_an_inside_are_refused_by_name(tmp_path, kind):
    shape = {"label": "a", "points": [[1, 1], [4, 1], [4, 3]], "shape_type": kind}
    path = drawn(tmp_path / "a.json", [shape])
    told = kind if isinstance(kind, str) else "polygon"
    with pytest.raises(Unfit, match=rf"type polygon or rectangle, got a\.json: a .*{told}.*; draw a polygon"):
        read(path, layer="a")
    assert not read(path, layer="b").any()


def test_the_polygons_of_the_real_clip_lie_on_its_pleura(samples):
    from lusnb.readers import clips

    frame = clips.read(samples / "lus_linear" / "clip.mp4")[60].astype(float)
    path = samples / "lus_linear" / "polygons.json"
    pleura, line = (labels.read(path, frame.shape, frame=60, layer=name) for name in ("pleura", "a_line"))
    depth = [np.argwhere(mask)[:, 0].mean() for mask in (pleura, line)]
    assert depth[1] == pytest.approx(2 * depth[0], rel=0.1)
    assert frame[pleura > 0].mean() > frame[pleura == 0].mean() + 40
