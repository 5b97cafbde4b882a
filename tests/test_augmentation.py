"""Augmentation: each transform against kornia's or scipy's, what is drawn, and what stays as it was."""

import numpy as np
import pytest
import torch
from kornia import enhance
from scipy import ndimage
from torch import Tensor

from lusnb import confidence
from lusnb.segment import augmentation
from lusnb.segment.augmentation import Augmentation


def fixed(monkeypatch: pytest.MonkeyPatch, **chosen: float) -> None:
    """Let every image draw the same."""
    still = dict(zip(augmentation.DRAWN, (1.0, 0.0, 0.0, 1.0, 1.0), strict=True)) | chosen
    monkeypatch.setattr(augmentation, "draw", lambda n, _: torch.tensor([list(still.values())] * n))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 1, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def maps() -> Tensor:
    return torch.rand(3, 2, 32, 48, generator=torch.Generator().manual_seed(1)).mul(4).round().div(4)


def test_nothing_drawn_leaves_all_as_it_was(monkeypatch, images, maps):
    fixed(monkeypatch)
    found, warped = Augmentation(15.0)(images, maps)
    torch.testing.assert_close(found, images, atol=1e-5, rtol=0)
    assert torch.equal(warped, maps)


def test_a_flip_mirrors_the_width(monkeypatch, images, maps):
    fixed(monkeypatch, flip=-1.0)
    found, warped = Augmentation(15.0)(images, maps)
    torch.testing.assert_close(found, images.flip(-1), atol=1e-5, rtol=0)
    assert torch.equal(warped, maps.flip(-1))


@pytest.mark.parametrize("degrees", [-15.0, 7.0])
def test_a_rotation_is_scipys(monkeypatch, images, maps, degrees):
    fixed(monkeypatch, angle=float(np.radians(degrees)))
    found, warped = Augmentation(15.0)(images, maps)
    for array, result, order, off in ((images, found, 1, 1e-4), (maps, warped, 0, 0.0)):
        for n, k in np.ndindex(array.shape[:2]):
            wanted = ndimage.rotate(array[n, k].numpy(), degrees, reshape=False, order=order)
            inner = (slice(8, -8), slice(8, -8))  # scipy ends half a pixel earlier at the border
            close = np.abs(wanted - result[n, k].numpy())[inner] <= off
            assert close.mean() > 0.99  # nearest: ties at pixel edges go either way


def test_intensity_is_kornias(monkeypatch, images, maps):
    fixed(monkeypatch, brightness=0.1, contrast=1.2, gamma=0.8)
    found, warped = Augmentation(15.0)(images, maps)
    wanted = enhance.adjust_contrast(enhance.adjust_brightness(images, 0.1), 1.2)
    torch.testing.assert_close(found, enhance.adjust_gamma(wanted, 0.8), atol=1e-4, rtol=0)
    assert torch.equal(warped, maps)  # confidence is no intensity


def test_each_image_has_its_own_draw_of_half_and_half():
    torch.manual_seed(0)
    drawn = augmentation.draw(20000, 15.0)
    still = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    np.testing.assert_allclose((drawn == still).float().mean(0), 0.5, atol=0.02)
    flip, angle, *levels = drawn.unbind(1)
    assert set(flip.tolist()) == {-1.0, 1.0}
    assert np.degrees(angle.abs().max().item()) == pytest.approx(15, abs=0.05)
    assert angle[angle != 0].mean() == pytest.approx(0, abs=0.005)
    for found, (low, high) in zip(levels, ((-0.15, 0.15), (0.8, 1.2), (0.8, 1.25)), strict=True):
        assert found.min() == pytest.approx(low, abs=1e-3) and found.max() == pytest.approx(high, abs=1e-3)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 0.03  # independent of each other


def test_coordinates_are_not_rounded_under_autocast():
    angle = torch.full((1,), 0.25)
    exact = augmentation.sampling_grid(torch.ones(1), angle, 512, 512)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augmentation.sampling_grid(torch.ones(1), angle, 512, 512), exact)


LEVELS = (51, 102, 128, 153, 204, 255)  # 20, 40, 50, 60, 80, 100 %


# -- what an arm's targets are made of


def lines(seed: int, count: int = 64) -> Tensor:
    """Confidence with one line a feature, inside the circle that no rotation moves out of the frame.

    (count, 6, 64, 64), 3 to 5 pixels thick at the feature's level, between bands of 3 pixels at half of it.
    """
    rng = np.random.default_rng(seed)
    c = torch.zeros(count, len(LEVELS), 64, 64)
    for n, k in np.ndindex(c.shape[:2]):
        thick, left = rng.integers(3, 6), rng.integers(12, 16)
        top = rng.integers(20, 38 - thick)
        c[n, k, top - 3 : top + thick + 3, left : left + 36] = LEVELS[k] // 2 / 255
        c[n, k, top : top + thick, left : left + 36] = LEVELS[k] / 255
    return c


def areas_after(interpolation: str, c: Tensor) -> dict[float, float]:
    """Mean target area after augmentation over that before it, at every threshold; 12 draws."""
    augment = Augmentation(15.0, interpolation)
    torch.manual_seed(0)
    drawn = torch.cat([augment(torch.zeros(len(c), 1, 64, 64), c)[1] for _ in range(12)])
    area = {t: confidence.targets(drawn, t).double().mean() for t in confidence.THRESHOLDS}
    return {t: (area[t] / confidence.targets(c, t).double().mean()).item() for t in confidence.THRESHOLDS}


def test_augmentation_keeps_the_target_area_at_every_threshold():
    for t, ratio in areas_after("nearest", lines(0)).items():
        assert ratio == pytest.approx(1, abs=0.05), t


def test_bilinear_warping_would_not_keep_the_target_area():
    ratios = areas_after("linear", lines(0))
    assert ratios[0.0] > 1.05
    assert ratios[1.0] < 0.95


def test_augmentation_keeps_the_set_of_levels():
    c = lines(1, 16)
    torch.manual_seed(1)
    _, warped = Augmentation(15.0)(torch.zeros(16, 1, 64, 64), c)
    assert (warped != c).any()
    assert set(warped.unique().tolist()) == set(c.unique().tolist())


def test_image_and_confidence_are_warped_alike():
    c = torch.zeros(64, 2, 64, 64)
    c[:, 0, 16:26, 14:44], c[:, 0, 26:50, 14:24] = 1.0, 1.0  # an L: no flip or rotation leaves it as it was
    c[:, 1] = 1 - c[:, 0]
    torch.manual_seed(2)
    images, warped = Augmentation(15.0)(0.2 + 0.5 * c[:, :1], c)
    moved = 0
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    inside = (rows - 31.5) ** 2 + (columns - 31.5) ** 2 < 31**2  # away from the corners that become black
    for image, mask in zip(images[:, 0], warped[:, 0] > 0.5, strict=True):
        seen = (image > (image[inside].min() + image[inside].max()) / 2) & inside
        assert (seen & mask).sum() / (seen | mask).sum() > 0.92
        for axis in (rows, columns):
            assert axis[seen].mean().item() == pytest.approx(axis[mask].mean().item(), abs=0.3)
        moved += bool((mask != (c[0, 0] > 0.5)).any())
    assert 30 < moved < 64  # flipped or rotated: three of four


def test_images_of_a_batch_are_drawn_apart_and_stay_in_range():
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)).repeat(16, 1, 1, 1)
    torch.manual_seed(3)
    drawn, _ = Augmentation(15.0)(images, images)
    assert len({tuple(image.flatten().tolist()) for image in drawn}) > 10
    assert drawn.min() >= 0
    assert drawn.max() <= 1
