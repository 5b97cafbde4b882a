"""True masks in the bits of pages: packed, kept, read in part, shrunk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lusnb.cohort import true_masks


def test_a_page_by_hand():
    true = np.array([[[1, 0, 0]], [[0, 0, 0]], [[1, 1, 0]]], bool)
    page = true_masks.pack(true)
    assert page.dtype == np.uint8 and page.tolist() == [[0b101, 0b100, 0]]
    assert true_masks.unpack(page[None], 3).tolist() == [true.astype(int).tolist()]


@pytest.mark.parametrize("count", [1, 6, 8])
def test_pages_come_back_as_they_were_in_the_order_asked_for(tmp_path: Path, count: int):
    true = np.random.default_rng(count).random((5, count, 7, 11)) < 0.4
    true_masks.write(tmp_path / "of" / "a.tif", np.stack([true_masks.pack(one) for one in true]))
    pages = true_masks.read(tmp_path / "of" / "a.tif", np.array([3, 0, 4, 4]))
    masks = true_masks.unpack(pages, count)
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, true[[3, 0, 4, 4]])


def test_the_same_pages_are_the_same_bytes_and_few(tmp_path: Path):
    pages = np.zeros((20, 128, 128), np.uint8)
    pages[:, 30:40] = 5
    for name in ("a.tif", "b.tif"):
        true_masks.write(tmp_path / name, pages)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert (tmp_path / "a.tif").stat().st_size < pages.size / 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_more_features_than_bits_are_refused():
    text = (
        "true masks: expected at most 8 features, a bit of a pixel each, got 9; leave some out of cohort.yaml"
    )
    with pytest.raises(ValueError, match=text):
        true_masks.pack(np.zeros((9, 2, 2), bool))
    with pytest.raises(ValueError, match=text):
        true_masks.unpack(np.zeros((1, 2, 2), np.uint8), 9)


def test_another_kind_of_image_is_not_read(tmp_path: Path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.tif", format="PNG")
    with pytest.raises(OSError, match="cannot identify"):
        true_masks.read(tmp_path / "a.tif", [0])


def test_half_of_an_area_is_enough_by_hand():
    masks = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], np.uint8)
    assert true_masks.shrink(masks, 2).tolist() == [[1, 0], [0, 1]]  # a row of the areas is a row of pixels
    assert true_masks.shrink(masks, 1).tolist() == [[0]]  # 3 of 8
    assert true_masks.shrink(np.uint8([[1, 1, 0, 0], [0, 0, 1, 1]]), 1).tolist() == [[1]]  # 4 of 8


@pytest.mark.parametrize(
    ("shape", "size"),
    [((64, 64), 32), ((40, 24), 9), ((9, 14), 4), ((5, 3), 5), ((8, 8), 8), ((6, 7), 13), ((300, 270), 1)],
)
def test_areas_are_those_of_adaptive_average_pooling(shape: tuple[int, int], size: int):
    rng = np.random.default_rng(size)
    for share in (0.2, 0.5, 0.8):
        masks = (rng.random((3, 2, *shape)) < share).astype(np.uint8)
        areas = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).double(), size)
        small = true_masks.shrink(masks, size)
        assert small.dtype == np.uint8
        np.testing.assert_array_equal(small, areas.numpy() > 0.5 - 1e-9)


def test_an_area_of_more_pixels_than_16_bits_count():
    masks = np.zeros((400, 400), np.uint8)
    masks[:200] = 1
    assert true_masks.shrink(masks, 1).tolist() == [[1]]
    masks[0, 0] = 0
    assert true_masks.shrink(masks, 1).tolist() == [[0]]
