"""Every metric against an independent reference or a case worked by hand, and its empty case."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric, compute_iou
from monai.metrics.calibration import calibration_binning
from sklearn.metrics import log_loss
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

from lusnb import calibration, confidence
from lusnb.compare import measured
from lusnb.report import tables
from lusnb.segment import cuts, metrics, predictions

nan = float("nan")
SIZES = [(1, 1), (5, 4)]  # one pixel, and a few


def one(rows: list) -> Tensor:
    """One image with one feature: rows (H, W) -> (1, 1, H, W)."""
    return torch.tensor(rows)[None, None]


def random_masks(seed: int, shape: tuple[int, ...], share: float = 0.4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape) < share)


def random_logits(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 2, shape))


def pixels(mask: Tensor) -> set[tuple[int, int]]:
    return {(i, j) for i, j in mask.nonzero().tolist()}


# IoU


@pytest.mark.parametrize("features", [1, 6])
def test_iou_is_set_arithmetic_and_monais(features):
    shape = (7, features, 9, 11)
    predicted, target = random_masks(0, shape), random_masks(1, shape, 0.2)
    predicted[0, 0], target[1, 0] = False, False  # one of the two empty: 0, not undefined
    scores = metrics.iou(predicted, target)
    for n in range(shape[0]):
        for c in range(features):
            p, y = pixels(predicted[n, c]), pixels(target[n, c])
            assert scores[n, c] == pytest.approx(len(p & y) / len(p | y), abs=1e-6)
    monais = compute_iou(predicted.float(), target.float(), ignore_empty=False)
    torch.testing.assert_close(scores.float(), monais.float(), rtol=0, atol=1e-6)
    assert scores[0, 0] == scores[1, 0] == 0


def test_the_empty_cases_of_iou_by_hand():
    # four images: both empty, label empty, prediction empty, both there (1 of 3 pixels shared)
    empty, p, y = [[0, 0], [0, 0]], [[1, 1], [0, 0]], [[0, 1], [1, 0]]
    predicted = torch.tensor([[empty], [p], [empty], [p]]).bool()
    target = torch.tensor([[empty], [empty], [y], [y]]).bool()

    def check(scores: Tensor, by_hand: list[float]) -> None:
        np.testing.assert_allclose(scores[:, 0], by_hand, atol=1e-6)

    check(metrics.iou(predicted, target), [nan, 0, 0, 1 / 3])
    check(metrics.plain_iou(predicted, target), [1, 0, 0, 1 / 3])
    check(metrics.labelled_iou(predicted, target), [nan, nan, 0, 1 / 3])
    mm2 = torch.tensor([0.5, 0.25, 1.0, 1.0])
    check(metrics.false_area(predicted, target, mm2), [0, 2 * 0.25, nan, nan])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("predicted", "target", "iou", "plain", "labelled", "false_share", "surface"),
    [
        (False, False, nan, 1, nan, 0, nan),
        (True, False, 0, 0, nan, 1, 0),
        (False, True, 0, 0, 0, nan, 0),
        (True, True, 1, 1, 1, nan, 1),
    ],
)
def test_masks_that_are_empty_or_full(size, predicted, target, iou, plain, labelled, false_share, surface):
    masks = torch.full((1, 1, *size), predicted), torch.full((1, 1, *size), target)
    found = {
        metrics.iou(*masks): iou,
        metrics.plain_iou(*masks): plain,
        metrics.labelled_iou(*masks): labelled,
        metrics.false_area(*masks, torch.tensor([0.25])): false_share * size[0] * size[1] * 0.25,
        metrics.surface_dice(*masks, [(0.5, 0.5)]): surface,
    }
    assert [value.item() for value in found] == pytest.approx(list(found.values()), nan_ok=True)


def test_false_area_is_a_count_of_pixels_where_the_label_is_empty():
    predicted, target = random_masks(17, (5, 3, 6, 7)), random_masks(18, (5, 3, 6, 7), 0.01)
    mm2 = np.array([0.5, 0.25, 1.0, 0.04, nan])
    found = metrics.false_area(predicted, target, torch.from_numpy(mm2))
    area = np.sum(predicted.numpy(), axis=(2, 3)) * mm2[:, None]
    np.testing.assert_allclose(found, np.where(np.any(target.numpy(), axis=(2, 3)), nan, area))
    assert 0 < found.isfinite().sum() < found.numel()


def test_images_without_the_feature_are_painted_or_not():
    predicted, target = random_masks(17, (5, 3, 6, 7), 0.02), random_masks(18, (5, 3, 6, 7), 0.01)
    found = metrics.falsely_painted(predicted, target)
    drawn, labelled = (np.any(mask.numpy(), axis=(2, 3)) for mask in (predicted, target))
    np.testing.assert_array_equal(found, np.where(labelled, nan, drawn))
    assert {0.0, 1.0} < set(found.flatten().tolist())


def test_cross_entropy_is_scikit_learns():
    logits, y = random_logits(2, (3, 2, 5, 6)), random_masks(3, (3, 2, 5, 6))
    scores = metrics.cross_entropy(logits, y)
    for n, c in np.ndindex(3, 2):
        p = 1 / (1 + np.exp(-logits[n, c].numpy().ravel()))
        assert scores[n, c].item() == pytest.approx(log_loss(y[n, c].numpy().ravel(), p, labels=[0, 1]))


def test_weighted_cross_entropy_is_a_mean_over_pixels_not_over_weights():
    logits, y = random_logits(4, (1, 1, 8, 8)), random_masks(5, (1, 1, 8, 8))
    w = torch.from_numpy(np.random.default_rng(6).random((1, 1, 8, 8)))
    p = torch.sigmoid(logits).numpy().ravel()
    total = log_loss(y.numpy().ravel(), p, sample_weight=w.numpy().ravel(), normalize=False, labels=[0, 1])
    assert metrics.cross_entropy(logits, y, w).item() == pytest.approx(total / 64)


def test_weighted_cross_entropy_by_hand():
    # p = 1/2 everywhere, so each pixel gives log 2 times its weight: mean weight (1 + 3 + 0 + 2) / 4
    scores = metrics.cross_entropy(
        torch.zeros(1, 1, 2, 2), one([[1, 0], [1, 0]]), one([[1.0, 3.0], [0.0, 2.0]])
    )
    assert scores.item() == pytest.approx(1.5 * np.log(2))


def test_cross_entropy_against_raw_confidence_is_the_formula():
    logits = random_logits(7, (2, 3, 6, 6))
    c = torch.from_numpy(np.random.default_rng(8).random((2, 3, 6, 6)))
    p = 1 / (1 + np.exp(-logits.numpy()))
    formula = -(c.numpy() * np.log(p) + (1 - c.numpy()) * np.log(1 - p)).mean((2, 3))
    np.testing.assert_allclose(metrics.cross_entropy(logits, c), formula, rtol=1e-12)


def test_entropy_by_hand_and_as_the_least_cross_entropy():
    c = one([[0.0, 1.0], [0.5, 0.25]])
    quarter = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert metrics.entropy(c).item() == pytest.approx((np.log(2) + quarter) / 4)
    c = torch.from_numpy(np.random.default_rng(9).uniform(0.02, 0.98, (2, 2, 4, 4)))
    own = torch.logit(c)
    torch.testing.assert_close(metrics.cross_entropy(own, c), metrics.entropy(c))
    assert (metrics.cross_entropy(own + 0.1, c) > metrics.entropy(c)).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("c", "ce", "entropy", "foreground", "background"),
    [
        (0.0, np.log(4), 0, nan, np.log(4)),  # p = 3/4
        (1.0, np.log(4 / 3), 0, np.log(4 / 3), nan),
        (0.5, np.log(16 / 3) / 2, np.log(2), nan, nan),
    ],
)
def test_cross_entropies_of_a_label_that_is_empty_full_or_unsure(
    size, c, ce, entropy, foreground, background
):
    logits, c = torch.full((1, 1, *size), np.log(3)), torch.full((1, 1, *size), c)
    trimap = metrics.trimap_cross_entropy(logits, c)
    found = [metrics.cross_entropy(logits, c), metrics.entropy(c)]
    found += [trimap[f"trimap_ce{part}"] for part in ("_foreground", "_background", "")]
    both = np.nanmax([foreground, background]) if c.mean() != 0.5 else nan
    expected = [ce, entropy, foreground, background, both]
    assert [value.item() for value in found] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_cross_entropies_of_logits_far_out_are_finite():
    logits, c = one([[1e4, -1e4, 1e4, -1e4]]), one([[1.0, 0.0, 0.0, 1.0]])
    trimap = metrics.trimap_cross_entropy(logits, c)
    assert metrics.cross_entropy(logits, c).item() == 5e3
    assert [value.item() for value in trimap.values()] == [5e3, 5e3, 5e3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropies_keep_their_dtype_and_their_device(dtype):
    for device in ("cpu", "meta"):  # on `meta` whatever makes a tensor elsewhere fails
        logits, c = torch.zeros(2, 3, 4, 4, dtype=dtype, device=device), torch.ones(2, 3, 4, 4, device=device)
        w, trimap = c.to(dtype), metrics.trimap_cross_entropy(logits, c).values()
        found = [metrics.cross_entropy(logits, c, w), metrics.cross_entropy(logits, c > 0), *trimap]
        found.append(metrics.entropy(c.to(dtype)))
        assert {(value.dtype, value.device.type, tuple(value.shape)) for value in found} == {
            (dtype, device, (2, 3))
        }


# trimap


def test_trimap_is_scikit_learns_on_certain_pixels():
    rng = np.random.default_rng(20)
    logits, levels = random_logits(21, (3, 2, 8, 9)), rng.choice([0, 1, 128, 254, 255], (3, 2, 8, 9))
    found = metrics.trimap_cross_entropy(logits, torch.from_numpy(levels) / 255)
    for n, k in np.ndindex(3, 2):
        p, level = 1 / (1 + np.exp(-logits[n, k].numpy().ravel())), levels[n, k].ravel()
        for name, part in {"": (0, 255), "_foreground": (255,), "_background": (0,)}.items():
            at = np.isin(level, part)
            expected = log_loss(level[at] == 255, p[at], labels=[False, True])
            assert found[f"trimap_ce{name}"][n, k].item() == pytest.approx(expected)


def test_trimap_counts_certain_pixels_only_by_hand():
    c = one([[0.0, 1.0, 0.5], [0.0, 0.99999, 0.9], [0.0, 0.001, 0.4]])
    p = one([[0.2, 0.7, 0.0001], [0.4, 0.9, 0.0001], [0.1, 0.9999, 0.9999]])
    scores = metrics.trimap_cross_entropy(torch.logit(p), c)
    background = -np.log([0.8, 0.6, 0.9])  # p = 0.2, 0.4, 0.1 where c = 0
    foreground = -np.log([0.7, 0.9])  # where c = 1
    assert scores["trimap_ce_background"].item() == pytest.approx(background.mean(), abs=1e-6)
    assert scores["trimap_ce_foreground"].item() == pytest.approx(foreground.mean(), abs=1e-6)
    everything = np.concatenate([background, foreground]).mean()
    assert scores["trimap_ce"].item() == pytest.approx(everything, abs=1e-6)


def test_trimap_without_certain_pixels_is_not_defined():
    logits = torch.zeros(2, 1, 2, 2)
    c = torch.tensor([[[[0.0, 0.5], [0.9, 0.0]]], [[[0.1, 0.5], [0.9, 0.2]]]])
    scores = {name: value[:, 0].tolist() for name, value in metrics.trimap_cross_entropy(logits, c).items()}
    assert np.isnan(scores["trimap_ce_foreground"]).all()
    np.testing.assert_allclose(scores["trimap_ce_background"], [np.log(2), nan], rtol=1e-6)
    np.testing.assert_allclose(scores["trimap_ce"], [np.log(2), nan], rtol=1e-6)


# surface Dice


def edge(mask: np.ndarray) -> list[tuple[int, int]]:
    """Foreground pixels with one of the four neighbours outside the mask or the image."""
    padded = np.pad(mask, 1)
    return [
        (i, j)
        for i, j in np.argwhere(mask)
        if not (padded[i, j + 1] and padded[i + 2, j + 1] and padded[i + 1, j] and padded[i + 1, j + 2])
    ]


def surface_dice(predicted: np.ndarray, target: np.ndarray, mm: tuple[float, float]) -> float:
    """Share of both edges that lies within 1 mm of the other one, pixel by pixel."""
    a, b = edge(predicted), edge(target)

    def near(points: list, others: list) -> int:
        return sum(
            any(np.hypot((i - k) * mm[0], (j - m) * mm[1]) <= 1.0 for k, m in others) for i, j in points
        )

    return (near(a, b) + near(b, a)) / (len(a) + len(b)) if a or b else nan


def test_surface_dice_is_brute_force_at_anisotropic_spacing():
    predicted, target = random_masks(10, (4, 3, 9, 12), 0.08), random_masks(11, (4, 3, 9, 12), 0.08)
    predicted[:, 2, 2:7, 3:9], target[:, 2, 3:8, 1:8] = True, True  # a solid one: its inside is no edge
    predicted[0, 0], predicted[1, 0], target[1, 0], target[2, 0] = False, False, False, False
    spacing = [(0.4, 1.1), (1.1, 0.4), (0.7, 0.45), (2.0, 2.0)]
    scores = metrics.surface_dice(predicted, target, spacing)
    by_hand = [
        [surface_dice(predicted[n, c].numpy(), target[n, c].numpy(), spacing[n]) for c in range(3)]
        for n in range(4)
    ]
    np.testing.assert_allclose(scores, by_hand, atol=1e-6)
    assert (scores[0, 0], scores[2, 0]) == (0, 0)
    assert np.isnan(by_hand[1][0])
    assert len({round(v, 3) for row in by_hand for v in row}) > 6  # not all alike


@pytest.mark.parametrize(
    ("down", "across", "expected"),
    [
        (0, 0, 1.0),  # identical
        (2, 0, 1.0),  # 2 rows of 0.4 mm: 0.8 mm
        (3, 0, 0.0),  # 1.2 mm
        (0, 1, 0.9),  # 1 column of 1.5 mm: the free end of each line, 1 pixel of 10, is 1.5 mm away
    ],
)
def test_surface_dice_of_a_line_that_is_shifted(down, across, expected):
    target = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    target[..., 6, 2:12] = True
    predicted = target.roll((down, across), (-2, -1))
    assert metrics.surface_dice(predicted, target, [(0.4, 1.5)]).item() == pytest.approx(expected)


def test_surface_dice_without_a_scale_is_not_defined():
    masks = random_masks(22, (3, 2, 6, 6)), random_masks(23, (3, 2, 6, 6))
    found = metrics.surface_dice(*masks, [(0.5, 0.5), (nan, 0.5), (nan, nan)])
    assert found.isfinite().tolist() == [[True, True], [False, False], [False, False]]
    assert found.dtype == torch.float32


# cuts


def test_quantised_probabilities_at_the_cut_are_probabilities_of_a_half():
    p = torch.from_numpy(np.random.default_rng(12).random(10_000))
    p = torch.cat([p, torch.tensor([0.0, 0.5, 1.0])])
    levels = cuts.quantise(torch.logit(p))
    assert levels.dtype == torch.uint8
    np.testing.assert_array_equal(levels, np.rint(p.numpy() * 255))
    at_half = levels >= predictions.CUT
    off = p[at_half != (p >= 0.5)]
    assert ((off - 0.5).abs() <= 0.5 / 255).all()  # never by more than half a step
    assert len(off) < 40
    assert cuts.quantise(torch.tensor([-1e-9, 0.0, 1e-9])).tolist() == [128, 128, 128]


# calibration


def reliability(levels: np.ndarray, c: np.ndarray, bins: int = 20) -> dict[str, np.ndarray]:
    """`calibration.reliability` of uint8 probabilities against uint8 labels of any one shape."""
    cell = (levels.reshape(1, 1, 1, -1), c.reshape(1, 1, 1, -1), np.ones((1, 1), bool))
    return calibration.reliability(metrics.level_counts(*cell)[0], bins)


def naive_reliability(levels: np.ndarray, c: np.ndarray, bins: int) -> list[list[tuple[float, float]]]:
    """Pixel by pixel, in exact fractions: the (prediction, confidence) pairs of each bin."""
    found = [[] for _ in range(bins)]
    for p, q in zip(levels.ravel().tolist(), c.ravel().tolist(), strict=True):
        found[min(int(Fraction(p, 255) * bins), bins - 1)].append((p / 255, q / 255))
    return found


@pytest.mark.parametrize("bins", [20, 7, 15])
def test_reliability_is_a_loop_over_pixels(bins):
    rng = np.random.default_rng(13)
    levels = np.concatenate([np.arange(256), rng.integers(0, 256, 1000)]).astype(np.uint8)
    c = rng.integers(0, 256, len(levels), np.uint8)
    curve, naive = reliability(levels, c, bins), naive_reliability(levels, c, bins)
    assert curve["count"].tolist() == [len(pairs) for pairs in naive]
    means = np.array([np.mean(pairs, axis=0) for pairs in naive])
    np.testing.assert_allclose(curve["predicted"], means[:, 0], rtol=1e-12)
    np.testing.assert_allclose(curve["observed"], means[:, 1], rtol=1e-12)


def test_reliability_adds_up_over_images():
    rng = np.random.default_rng(14)
    levels, c = (rng.integers(0, 256, (6, 10, 10), np.uint8) for _ in range(2))
    whole = reliability(levels, c)
    parts = [reliability(levels[k], c[k]) for k in range(6)]
    count = sum(part["count"] for part in parts)
    assert count.tolist() == whole["count"].tolist()
    assert count.sum() == 600
    for name in ("predicted", "observed"):
        total = sum(np.nan_to_num(part[name]) * part["count"] for part in parts)
        np.testing.assert_allclose(total / count, whole[name], rtol=1e-12)


def test_reliability_and_its_errors_are_monais():
    rng = np.random.default_rng(24)
    levels, c = (rng.integers(0, 256, 3000, np.uint8) for _ in range(2))
    levels = np.where((levels > 100) & (levels < 150), 160, levels).astype(np.uint8)  # an empty bin of 7
    curve = reliability(levels, c, 7)  # 7: no stored probability but the ends lies between two bins
    p, q = (torch.from_numpy(a / 255)[None, None] for a in (levels, c))
    for name, values in zip(("predicted", "observed", "count"), calibration_binning(p, q, 7), strict=True):
        np.testing.assert_allclose(curve[name], values[0, 0], rtol=1e-4)
    for name, kind in {"ece": "expected", "ace": "average", "mce": "maximum"}.items():
        form = CalibrationErrorMetric(7, calibration_reduction=kind)
        form(p, q)
        assert calibration.calibration_error(curve)[name] == pytest.approx(form.aggregate().item(), rel=1e-4)


@pytest.mark.parametrize(("name", "norm"), [("ece", "l1"), ("mce", "max")])
def test_calibration_errors_of_binary_labels_are_torchmetrics(name, norm):
    rng = np.random.default_rng(25)
    levels = rng.integers(0, 256, 2000, np.uint8)
    y = rng.random(2000) < (levels / 255) ** 2
    expected = binary_calibration_error(
        torch.from_numpy(levels / 255), torch.from_numpy(y).int(), n_bins=7, norm=norm
    )
    found = calibration.calibration_error(reliability(levels, np.uint8(255) * y, 7))[name]
    assert found == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("pixels", [1, 20])
@pytest.mark.parametrize(
    ("level", "c", "place"), [(0, 0, 0), (255, 255, 19), (0, 255, 0), (255, 0, 19), (204, 51, 16)]
)
def test_reliability_of_empty_full_and_one_pixel(pixels, level, c, place):
    curve = reliability(np.full(pixels, level, np.uint8), np.full(pixels, c, np.uint8))
    assert curve["count"].tolist() == [pixels * (k == place) for k in range(20)]
    errors = calibration.calibration_error(curve)
    assert list(errors.values()) == pytest.approx([abs(level - c) / 255] * 3)


def test_calibration_error_by_hand_with_empty_bins():
    # bin 0: three pixels at 0, confidence 0, 0, 102/255 = 0.4; bin 19: one at 1, confidence 204/255 = 0.8
    curve = reliability(np.array([0, 0, 0, 255], np.uint8), np.array([0, 0, 102, 204], np.uint8))
    assert curve["count"].tolist() == [3, *[0] * 18, 1]
    assert np.isnan(curve["predicted"][1:19]).all()
    assert np.isnan(curve["observed"][1:19]).all()
    gaps = [0.4 / 3, 0.2]
    errors = calibration.calibration_error(curve)
    assert errors["ece"] == pytest.approx((3 * gaps[0] + gaps[1]) / 4)
    assert errors["ace"] == pytest.approx(np.mean(gaps))
    assert errors["mce"] == pytest.approx(0.2)


def test_calibration_error_of_nothing_is_not_defined():
    errors = calibration.calibration_error(reliability(np.array([], np.uint8), np.array([], np.uint8)))
    assert set(errors) == {"ece", "ace", "mce"}
    assert np.isnan(list(errors.values())).all()


# all of them


def arm_of(**settings: object) -> dict:
    """An arm: the paper's at 50 %, and what is set."""
    paper = {"confidence_weight": "paper", "background_weight": "paper"}
    return {"supervision": "threshold", "label_threshold": 0.5, **paper, **settings}


@pytest.fixture(scope="module")
def evaluated() -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Random logits and graded confidence of 2 images, 3 features, the last without a label."""
    rng = np.random.default_rng(15)
    c = torch.from_numpy(rng.integers(0, 256, (2, 3, 8, 8)) / 255).float()
    c[:, 2] = 0
    logits = random_logits(16, (2, 3, 8, 8)).float()
    arm = arm_of(label_threshold=0.6, confidence_weight="none", background_weight=0.3)
    return logits, c, measured.evaluate(logits, c, arm, [(0.5, 0.25), (1.0, 1.0)], cut=178)


def test_evaluate_gives_every_metric_of_table_1(evaluated):
    _, _, scores = evaluated
    assert set(scores) == set(tables.TABLE1) - {"iou_untrained"}
    assert {tuple(value.shape) for value in scores.values()} == {(2, 3)}


def test_evaluate_takes_the_arms_labels_weights_and_cut(evaluated):
    logits, c, scores = evaluated
    z, c = logits.double().numpy(), c.double().numpy()
    p = 1 / (1 + np.exp(-z))
    y = c >= 0.6 - 1 / 510

    def mean_ce(target: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return -(weight * (target * np.log(p) + (1 - target) * np.log(1 - p))).mean((2, 3))

    def iou(cut: float) -> np.ndarray:
        return ((p >= cut) & y).sum((2, 3)) / ((p >= cut) | y).sum((2, 3))

    half = c >= 0.5 - 1 / 510
    raw = mean_ce(c, np.ones_like(c))
    np.testing.assert_allclose(scores["weighted_ce"], mean_ce(y, np.where(y, 1, 0.3)), rtol=1e-5)
    np.testing.assert_allclose(scores["reference_ce"], mean_ce(half, np.where(half, c, 0.5)), rtol=1e-5)
    np.testing.assert_allclose(scores["ce"], raw, rtol=1e-5)
    np.testing.assert_allclose(scores["iou_fixed"][:, :2], iou(0.5)[:, :2], rtol=1e-5)
    np.testing.assert_allclose(scores["iou"][:, :2], iou(177.5 / 255)[:, :2], rtol=1e-5)
    assert (iou(0.5) != iou(0.7)).any()
    np.testing.assert_allclose(scores["ce_excess"][:, 2], raw[:, 2], rtol=1e-5)  # no confidence, no entropy
    assert (scores["ce_excess"][:, :2] < scores["ce"][:, :2]).all()
    np.testing.assert_allclose(
        scores["false_area_mm2_fixed"],
        np.where(y.any((2, 3)), nan, (p >= 0.5).sum((2, 3)) * [[0.125], [1.0]]),
    )


def test_evaluate_leaves_label_empty_images_out_of_iou_and_surface_dice(evaluated):
    _, _, scores = evaluated
    for name in ("iou", "iou_fixed", "surface_dice", "surface_dice_fixed"):
        assert scores[name][:, 2].isnan().all()
        assert scores[name][:, :2].isfinite().all()
    assert (scores["iou_plain"][:, 2] == 0).all()


def test_weights_of_the_papers_arm_are_those_of_confidence_py(evaluated):
    logits, c, _ = evaluated
    arm = arm_of(label_threshold=1.0)
    scores = measured.evaluate(logits, c, arm, [(1.0, 1.0)] * 2, cut=128)
    w = confidence.weights(c.numpy(), 1.0)
    loss = np.logaddexp(0, -logits.numpy()) * (c.numpy() >= 1 - 1 / 510)
    loss += np.logaddexp(0, logits.numpy()) * (c.numpy() < 1 - 1 / 510)
    np.testing.assert_allclose(scores["weighted_ce"], (w * loss).mean((2, 3)), rtol=1e-5)


def test_what_arms_are_compared_by_does_not_depend_on_the_arm(evaluated):
    logits, c, _ = evaluated
    arms = {t: arm_of(label_threshold=t) for t in (0.0, 0.5, 1.0)} | {
        name: arm_of(supervision=name) for name in ("soft", "trimap")
    }
    found = {name: measured.evaluate(logits, c, arm, [(1.0, 1.0)] * 2, 0.5) for name, arm in arms.items()}
    for name in ("reference_ce", "ce", "ce_excess", "trimap_ce", "trimap_ce_foreground"):
        for scores in found.values():
            torch.testing.assert_close(scores[name], found[0.0][name], equal_nan=True)
    y = c.numpy() >= 0.5 - 1 / 510
    half = np.where(y, c, 0.5) * np.logaddexp(0, np.where(y, -1, 1) * logits.numpy())
    np.testing.assert_allclose(found["soft"]["reference_ce"], half.mean((2, 3)), rtol=1e-5)
    torch.testing.assert_close(found[0.5]["weighted_ce"], found[0.5]["reference_ce"])
    torch.testing.assert_close(found["soft"]["weighted_ce"], found["soft"]["ce"])
    share = confidence.certain(c).float().mean((2, 3))
    trimap = torch.where(share > 0, share * found["trimap"]["trimap_ce"], 0.0)
    torch.testing.assert_close(found["trimap"]["weighted_ce"], trimap)
    assert not torch.allclose(found[0.0]["weighted_ce"], found[1.0]["weighted_ce"])


def test_an_unknown_feature_and_an_unknown_scale_touch_nothing_else(evaluated):
    logits, c, scores = evaluated
    arm = arm_of(label_threshold=0.6, confidence_weight="none", background_weight=0.3)
    logits, c = logits.clone(), c.clone()
    logits[0, 1], c[0, 1] = nan, 1.0  # what stands where a feature is not known
    found = measured.evaluate(logits, c, arm, [(0.5, 0.25), (nan, nan)], cut=178)
    elsewhere = torch.ones(2, 3, dtype=torch.bool)
    elsewhere[0, 1] = False
    for name, value in found.items():
        if name.startswith(("false_area_mm2", "surface_dice")):
            assert value[1].isnan().all()
            torch.testing.assert_close(value[0, ::2], scores[name][0, ::2], equal_nan=True)
        else:
            torch.testing.assert_close(value[elsewhere], scores[name][elsewhere], equal_nan=True)
