"""Labels in every format become confidence: worked by hand, and in files that other libraries write."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lusnb.checks import Unfit
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


def test_the_polygons_of_the_real_clip_lie_on_its_pleura(samples):
    from lusnb.readers import clips

    frame = clips.read(samples / "lus_linear" / "clip.mp4")[60].astype(float)
    path = samples / "lus_linear" / "polygons.json"
    pleura, line = (labels.read(path, frame.shape, frame=60, layer=name) for name in ("pleura", "a_line"))
    depth = [np.argwhere(mask)[:, 0].mean() for mask in (pleura, line)]
    assert depth[1] == pytest.approx(2 * depth[0], rel=0.1)
    assert frame[pleura > 0].mean() > frame[pleura == 0].mean() + 40
