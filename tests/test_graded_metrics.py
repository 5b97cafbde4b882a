"""Soft metrics against independent references and cases by hand; known temperatures; truth as label."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, log_loss
from torch import Tensor

from lusnb import calibration, confidence
from lusnb.cohort import arrays as cohort_arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import arms_beside_raters
from lusnb.segment import cuts, metrics, predictions

nan = float("nan")


def uint8(seed: int, *shape: int) -> np.ndarray:
    """Levels in tens of per cent, half of the pixels 0."""
    tens = np.random.default_rng(seed).integers(-10, 11, shape).clip(0)
    return np.rint(25.5 * tens).astype(np.uint8)


def fraction(levels: np.ndarray) -> Tensor:
    return torch.from_numpy(levels).float() / 255


# Dice over levels


def naive_level_dice(p: np.ndarray, c: np.ndarray) -> tuple[list[float], int, list[float]]:
    """Dice at each level, pixel by pixel in exact fractions, how many levels are empty in both, and Dice at
    the levels where the label is not empty."""
    scores, empty, marked = [], 0, []
    for tenth in range(1, 10):
        cut = Fraction(tenth, 10) - Fraction(1, 510)
        a, b = ({k for k, v in enumerate(x.ravel().tolist()) if Fraction(v, 255) >= cut} for x in (p, c))
        empty += not a and not b
        scores.append(2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0)
        marked += [scores[-1]] if b else []
    return scores, empty, marked


def test_level_dice_is_set_arithmetic_and_monais():
    p, c = uint8(0, 4, 3, 9, 8), uint8(1, 4, 3, 9, 8)
    c[0, 0], p[1, 0], p[1, 1], c[1, 1] = 0, 0, 0, 0
    p[2], c[2] = np.minimum(p[2], 102), np.minimum(c[2], 77)  # no more than 40 % and 30 %
    found = metrics.level_dice(fraction(p), fraction(c))
    assert {tuple(value.shape) for value in found.values()} == {(4, 3)}
    for n, k in np.ndindex(4, 3):
        scores, empty, marked = naive_level_dice(p[n, k], c[n, k])
        assert found["level_dice"][n, k].item() == pytest.approx(np.mean(scores), abs=1e-6)
        assert found["level_dice_empty"][n, k] == empty
        mean = np.mean(marked) if marked else nan
        assert found["level_dice_marked"][n, k].item() == pytest.approx(mean, abs=1e-6, nan_ok=True)
    assert found["level_dice_empty"][2].tolist() == [5, 5, 5]
    monai = [
        compute_dice(*(confidence.targets(fraction(x), t).float() for x in (p, c)), ignore_empty=False)
        for t in metrics.TENTHS
    ]
    torch.testing.assert_close(found["level_dice"], torch.stack(monai).mean(0), rtol=0, atol=1e-6)


def test_level_dice_by_hand():
    # one pixel at 55 % against 35 %: both in at 10, 20, 30 %, one of them at 40 and 50 %, neither beyond
    found = metrics.level_dice(torch.full((1, 1, 1, 1), 0.55), torch.full((1, 1, 1, 1), 0.35))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"level_dice": 7 / 9, "level_dice_empty": 4, "level_dice_marked": 1}
    )


@pytest.mark.parametrize(
    ("p", "c", "expected"),
    [(0.0, 0.0, (1, 9, nan)), (1.0, 1.0, (1, 0, 1)), (1.0, 0.0, (0, 0, nan)), (0.0, 1.0, (0, 0, 0))],
)
@pytest.mark.parametrize("size", [1, 4])
def test_level_dice_of_empty_and_full(p, c, expected, size):
    found = metrics.level_dice(torch.full((1, 1, size, size), p), torch.full((1, 1, size, size), c))
    assert [value.item() for value in found.values()] == pytest.approx(expected, nan_ok=True)


def test_a_level_keeps_the_8_bit_step_below_it():
    for tenth in range(1, 10):
        step = np.floor(25.5 * tenth)  # the level painted as tenth, rounded down
        one = torch.full((1, 1, 1, 1), step / 255)
        assert metrics.level_dice(one, torch.ones_like(one), (tenth / 10,))["level_dice"] == 1
        assert metrics.level_dice(one - 1 / 255, torch.ones_like(one), (tenth / 10,))["level_dice"] == 0


@pytest.mark.parametrize("name", ["level_dice", "hausdorff95"])
def test_what_stands_in_an_unknown_feature_touches_nothing_else(name):
    arrays = [fraction(uint8(seed, 2, 3, 7, 8)) for seed in (20, 21)]

    def scores() -> Tensor:
        if name == "level_dice":
            return metrics.level_dice(*arrays)[name]
        return metrics.hausdorff95(*(a > 0.5 for a in arrays), [(0.5, 0.25), (1.0, 1.0)])

    before = scores()
    assert before.dtype == torch.float32
    arrays[0][0, 1], arrays[1][0, 1] = nan, 1.0
    after, elsewhere = scores(), torch.ones(2, 3, dtype=torch.bool)
    elsewhere[0, 1] = False
    assert (after[elsewhere] == before[elsewhere]).all()


# raters


def test_rater_dice_by_hand():
    # masks at 50 %: r 0 1, s 0 1 2, t 3; means of the others: of s, t 127.5 -> 128 in 0 to 3
    raters = np.array([[[255, 128, 0, 0]], [[255, 255, 255, 0]], [[0, 0, 0, 255]]], np.uint8)
    masks = {"model": np.array([[1, 0, 0, 0]], bool), "wider": np.array([[1, 1, 0, 1]], bool)}
    found = arms_beside_raters.rater_dice(masks, raters, ["r", "s", "t"]).set_index("rater")
    assert list(found) == ["model", "wider", "others", "pairs"]
    assert found["model"].tolist() == pytest.approx([2 / 3, 2 / 4, 0])
    assert found["wider"].tolist() == pytest.approx([4 / 5, 4 / 6, 2 / 4])
    # of s, t: 0 1 2 3; of r, t: 0 (128) and 3, since 64 and 0 are under 50 %; of r, s: 0 1 2 (128)
    assert found["others"].tolist() == pytest.approx([4 / 6, 2 / 5, 0])
    assert found["pairs"].tolist() == pytest.approx([(4 / 5 + 0) / 2, (4 / 5 + 0) / 2, 0])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_rater_dice_is_scikit_learns_f1(threshold):
    raters, levels = uint8(2, 4, 10, 11), uint8(3, 10, 11)
    raters[2] = np.where(raters[1] > 0, raters[1], raters[2])
    masks = {"model": levels >= 90, "model_fixed": levels >= 128}  # whatever the raters' threshold
    found = arms_beside_raters.rater_dice(masks, raters, list("rstu"), threshold)
    at = threshold - 1 / 510 if threshold else 1e-9

    def f1(a: np.ndarray, b: np.ndarray) -> float:
        return f1_score(a.ravel(), b.ravel())

    for k, row in found.iterrows():
        own = raters[k] / 255 >= at
        rest = [raters[j] for j in range(4) if j != k]
        for name, mask in masks.items():
            assert row[name] == pytest.approx(f1(mask, own))
        assert row["others"] == pytest.approx(f1(np.rint(np.mean(rest, axis=0)) / 255 >= at, own))
        assert row["pairs"] == pytest.approx(np.mean([f1(other / 255 >= at, own) for other in rest]))
    assert (found["model"] != found["model_fixed"]).any()


def test_rater_dice_where_it_is_not_defined():
    one, empty = np.full((1, 2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8)
    nothing, all_of_it = {"model": empty > 0}, {"model": one[0] > 0}
    alone = arms_beside_raters.rater_dice(nothing, one, ["r"]).iloc[0]
    assert (alone["rater"], alone["model"]) == ("r", 0)
    assert alone[["others", "pairs"]].isna().all()
    found = arms_beside_raters.rater_dice(nothing, np.stack([empty, empty, one[0]]), ["r", "s", "t"])
    assert found["model"].tolist() == pytest.approx([nan, nan, 0], nan_ok=True)
    assert found["pairs"].tolist() == pytest.approx([0, 0, 0], nan_ok=True)  # r with s is left out
    none = arms_beside_raters.rater_dice(nothing, one[:0], [])
    assert len(none) == 0 and list(none) == ["rater", "model", "others", "pairs"]
    full = arms_beside_raters.rater_dice(all_of_it, np.repeat(one, 3, axis=0), ["r", "s", "t"])
    assert (full[["model", "others", "pairs"]] == 1).all(axis=None)


@pytest.mark.parametrize("size", [(1, 1), (4, 5)])
@pytest.mark.parametrize(
    ("model", "own", "others", "expected"),
    [
        (False, 0, 0, (nan, nan, nan)),
        (True, 255, 255, (1, 1, 1)),
        (True, 0, 0, (0, nan, nan)),
        (False, 255, 0, (0, 0, 0)),
        (False, 0, 255, (nan, 0, 0)),
    ],
)
def test_rater_dice_of_empty_full_and_one_pixel(size, model, own, others, expected):
    raters = np.stack([np.full(size, v, np.uint8) for v in (own, others, others)])
    found = arms_beside_raters.rater_dice({"model": np.full(size, model)}, raters, ["r", "s", "t"]).iloc[0]
    assert found[["model", "others", "pairs"]].tolist() == pytest.approx(expected, nan_ok=True)


# Hausdorff


def edge(mask: np.ndarray) -> np.ndarray:
    """Foreground pixels with one of the four neighbours outside the mask or the image."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[:-2, 1:-1] & padded[2:, 1:-1]
    return np.argwhere(mask & ~inside)


def hausdorff95(predicted: np.ndarray, target: np.ndarray, mm: tuple[float, float]) -> float:
    if not predicted.any() or not target.any():
        return nan
    gaps = cdist(edge(predicted) * mm, edge(target) * mm)
    return max(np.percentile(gaps.min(axis=k), 95) for k in (0, 1))


def test_hausdorff_is_brute_force_at_anisotropic_spacing():
    rng = np.random.default_rng(4)
    predicted, target = (torch.from_numpy(rng.random((4, 3, 14, 11)) < 0.06) for _ in range(2))
    predicted[:, 2, 2:9, 3:9], target[:, 2, 4:12, 1:6] = True, True
    predicted[0, 0], target[1, 0], predicted[2, 0], target[2, 0] = False, False, False, False
    predicted[3, 0], target[3, 1] = True, True  # full
    spacing = [(0.4, 1.1), (1.1, 0.4), (0.7, 0.45), (2.0, 2.0)]
    found = metrics.hausdorff95(predicted, target, spacing)
    by_hand = [
        [hausdorff95(predicted[n, k].numpy(), target[n, k].numpy(), spacing[n]) for k in range(3)]
        for n in range(4)
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    assert found.isnan().sum() == 3


def test_hausdorff_of_one_pixel_by_hand_and_without_a_scale():
    predicted, target = torch.zeros(3, 1, 8, 8, dtype=torch.bool), torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    predicted[:, 0, 2, 2] = True
    target[0, 0, 5, 6] = target[1, 0, 2, 2] = target[2, 0, 5, 6] = True
    spacing = [(0.5, 0.25), (0.5, 0.25), (nan, nan)]
    found = metrics.hausdorff95(predicted, target, spacing).flatten().tolist()
    assert found == pytest.approx([np.hypot(1.5, 1.0), 0, nan], nan_ok=True)


@pytest.mark.parametrize("size", [1, 6])
def test_hausdorff_without_one_of_the_masks_is_not_defined(size):
    one, none = (torch.zeros(1, 1, size, size, dtype=torch.bool) for _ in range(2))
    one[..., 0, 0] = True
    for pair in ((one, none), (none, one), (~none, none), (none, ~none), (none, none)):
        assert metrics.hausdorff95(*pair, [(1.0, 1.0)]).isnan().all()
    assert metrics.hausdorff95(~none, ~none, [(1.0, 1.0)]).item() == 0


# temperature


def soft_sample(seed: int, temperature: list[float], size: int = 64) -> tuple[Tensor, Tensor]:
    """Logits (2, C, size, size) and the labels that they give at these temperatures, one a feature."""
    z = torch.from_numpy(np.random.default_rng(seed).normal(-0.5, 2.0, (2, len(temperature), size, size)))
    return z, torch.sigmoid(z / torch.tensor(temperature, dtype=z.dtype)[:, None, None])


def all_known(z: Tensor) -> Tensor:
    return torch.ones(z.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 7.0])
def test_a_known_temperature_is_found(temperature):
    z, c = soft_sample(5, [temperature, 1.5])
    found = metrics.temperatures(z, c, all_known(z))
    assert found == pytest.approx([temperature, 1.5], rel=1e-6)
    hard = (torch.from_numpy(np.random.default_rng(6).random(c.shape)) < c).double()
    assert metrics.temperatures(z, hard, all_known(z))[0] == pytest.approx(temperature, rel=0.1)


def test_the_temperature_is_that_of_the_least_cross_entropy():
    rng = np.random.default_rng(7)
    z, c = (torch.from_numpy(a) for a in (rng.normal(0, 3, (2, 2, 20, 20)), rng.random((2, 2, 20, 20))))
    c = (c + torch.sigmoid(z)) / 2
    y, p = c[:, 0].numpy().ravel(), z[:, 0].numpy().ravel()

    def nll(log_t: float) -> float:  # scikit-learn's, a soft label as two weighted hard ones
        both = np.tile(1 / (1 + np.exp(-p / np.exp(log_t))), 2)
        return log_loss(np.repeat([1, 0], len(y)), both, sample_weight=np.concatenate([y, 1 - y]))

    best = minimize_scalar(nll, bounds=(-2, 3), method="bounded", options={"xatol": 1e-8})
    found = metrics.temperatures(z, c, all_known(z))
    assert found[0] == pytest.approx(np.exp(best.x), rel=1e-4)
    after = metrics.cross_entropy(z / torch.from_numpy(found)[:, None, None], c)
    assert (after.mean(0) < metrics.cross_entropy(z, c).mean(0)).all()


def test_unknown_features_and_pixels_left_out_do_not_count():
    z, c = soft_sample(9, [2.0, 2.0])
    c[1, 0] = 0.9
    known = torch.tensor([[True, False], [False, False]])
    found = metrics.temperatures(z, c, known)
    assert found[0] == pytest.approx(2.0)
    assert np.isnan(found[1])
    assert np.isnan(metrics.temperatures(z, c, torch.zeros_like(known))).all()
    z, c = soft_sample(10, [2.0])
    band = torch.zeros(z.shape, dtype=torch.bool)
    band[..., 10:20] = True
    assert metrics.temperatures(z, torch.where(band, c, 0.7), band) == pytest.approx([2.0])


def likelihood(z: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy in nats, NumPy's own way."""
    return float(np.mean(np.logaddexp(0, z) - y * z))


@pytest.mark.parametrize("pixels", ["all", "known", "band"])
@pytest.mark.parametrize("kind", ["useless", "soft", "hard", "upside down"])
def test_a_temperature_never_raises_the_cross_entropy_that_it_is_fitted_to(kind, pixels):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        z = rng.normal(rng.normal(0, 2), 10 ** rng.uniform(-1, 1.5), (3, 2, 12, 12))
        q = 1 / (1 + np.exp(-z / 10 ** rng.uniform(-1, 1)))
        draw = rng.random(z.shape)
        c = {"useless": draw, "soft": q, "hard": (draw < q) * 1.0, "upside down": 1 - q}[kind]
        known = rng.random(z.shape if pixels == "band" else (3, 2)) < (1 if pixels == "all" else 0.5)
        known.flat[0] = known.flat[-1] = True
        every = np.broadcast_to(known if pixels == "band" else known[:, :, None, None], z.shape)
        tensors = [torch.from_numpy(a) for a in (np.where(every, z, nan), np.where(every, c, nan), known)]
        own = metrics.temperatures(*tensors)
        for k in range(2):
            zk, ck = z[:, k][every[:, k]], c[:, k][every[:, k]]
            least = likelihood(zk / own[k], ck)
            for other in (1.0, *own, own[k] * 1.01, own[k] / 1.01):
                if 0.05 <= other <= 20:
                    assert least <= likelihood(zk / other, ck) + 1e-12


def test_logits_of_half_precision_give_the_temperature_of_the_same_numbers():
    z, c = soft_sample(15, [2.0])
    z = z.to(torch.bfloat16)
    found = metrics.temperatures(z, c.float(), all_known(z))
    assert found.dtype == np.float64
    assert found == pytest.approx(metrics.temperatures(z.double(), c.float(), all_known(z)), rel=1e-9)


@pytest.mark.parametrize(
    ("z", "c", "expected"),
    [
        ([-1.0, 2.0], [0.0, 1.0], 0.05),  # separated: the sharper the better
        ([-1.0, 2.0], [1.0, 0.0], 20.0),  # upside down: the flatter the better
        ([-1.0, -2.0], [0.0, 0.0], 0.05),  # empty
        ([1.0, 2.0], [1.0, 1.0], 0.05),  # full
        ([0.0, 0.0], [0.3, 0.8], nan),  # nothing to scale
        ([1.0], [torch.sigmoid(torch.tensor(0.5)).item()], 2.0),  # one pixel
        ([1e4, -1e4, 1.0], [1.0, 0.0, 0.6224593], 2.0),  # logits far out
    ],
)
def test_temperatures_at_their_ends(z, c, expected):
    arrays = (torch.tensor(a)[None, None, None] for a in (z, c))
    found = metrics.temperatures(*arrays, torch.tensor([[True]]))
    assert found[0] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_counts_are_a_loop_over_pixels():
    rng = np.random.default_rng(22)
    levels, c = (rng.integers(0, 256, (3, 2, 9, 9), np.uint8) for _ in range(2))
    known = rng.random(levels.shape) < 0.6
    expected = np.zeros((2, 2, 256))
    for n, k, i, j in np.argwhere(known):
        expected[k, 0, levels[n, k, i, j]] += 1
        expected[k, 1, levels[n, k, i, j]] += c[n, k, i, j] / 255
    np.testing.assert_allclose(metrics.level_counts(levels, c, known), expected, rtol=1e-12)


def test_counts_of_unknown_features_are_zero():
    levels = uint8(12, 2, 2, 4, 4)
    counts = metrics.level_counts(levels, levels, np.array([[True, False], [True, False]]))
    assert counts[0, 0].sum() == 32
    assert (counts[1] == 0).all()
    pixels = np.zeros(levels.shape, bool)
    pixels[0, 1, 0, :3] = True
    assert metrics.level_counts(levels, levels, pixels)[:, 0].sum(1).tolist() == [0, 3]


def test_a_temperature_calibrates():
    z, c = soft_sample(14, [3.0], 128)
    levels, label = cuts.quantise(z).numpy(), (255 * c).round().to(torch.uint8).numpy()
    found = metrics.temperatures(z, c, all_known(z))
    after = cuts.quantise(z / found[0]).numpy()
    errors = [calibration.calibration_error(reliability(a, label))["ece"] for a in (levels, after)]
    assert errors[0] > 0.15
    assert errors[1] < 0.001


# truth as label


def test_truth_of_a_phantom_is_taken_as_a_label(cohort: Cohort):
    table = cohorts.labelled_frames(cohort)
    truth, known = cohort_arrays.confidence_of(cohort, table, 64, source="truth")
    labels, _ = cohort_arrays.confidence_of(cohort, table, 64)
    assert set(np.unique(truth)) == {0, 255}
    y = fraction(truth)
    z = torch.logit(fraction(labels), eps=1 / 1020)  # a model that says what the raters say
    levels = cuts.quantise(z)
    spacing = [cohort_arrays.pixel_mm(cohort, clip_id, 64) for clip_id in table["clip_id"]]
    drawn = truth.any((2, 3))
    found = {
        "iou": metrics.labelled_iou(levels >= predictions.CUT, y > 0),
        "hausdorff95": metrics.hausdorff95(levels >= predictions.CUT, y > 0, spacing),
        **metrics.level_dice(torch.sigmoid(z), y),
    }
    for name, value in found.items():
        assert value.shape == known.shape, name
    assert (found["iou"].isfinite().numpy() == drawn).all()
    assert 0.2 < found["iou"].nanmean() < 1
    assert (found["level_dice"][torch.from_numpy(drawn)] < 1).any()
    temperature = metrics.temperatures(z, y, torch.from_numpy(known))
    curve = reliability(levels.numpy(), truth)
    assert curve["count"].sum() == truth.size
    assert np.isfinite(list(calibration.calibration_error(curve).values())).all()
    before, after = metrics.cross_entropy(z, y), metrics.cross_entropy(z / fitted(temperature), y)
    assert after.mean() <= before.mean()


def reliability(levels: np.ndarray, c: np.ndarray, bins: int = 20) -> dict[str, np.ndarray]:
    """`calibration.reliability` of uint8 probabilities against uint8 labels of any one shape."""
    cell = (levels.reshape(1, 1, 1, -1), c.reshape(1, 1, 1, -1), np.ones((1, 1), bool))
    return calibration.reliability(metrics.level_counts(*cell)[0], bins)


def fitted(temperature: np.ndarray) -> Tensor:
    """Temperatures (C,) that divide logits (N, C, H, W)."""
    assert np.isfinite(temperature).all()
    return torch.from_numpy(temperature).float()[:, None, None]
