"""Every loss: where it is least, what it equals, what weights, neighbours, empties and extremes do to it."""

import itertools

import numpy as np
import pytest
import segmentation_models_pytorch.losses as smp
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lusnb import arms
from lusnb.segment import cuts, losses, metrics

GRID = torch.arange(1, 200, dtype=torch.float64) / 200  # predictions tried, one an image
TENTHS = [k / 10 for k in range(11)]
ON_LOGITS, ON_PROBABILITIES = (
    [name for name, on in arms.LOSSES.items() if on == what] for what in ("logits", "probabilities")
)
SOFT = [name for name in arms.LOSSES if name != "lovasz"]  # which sees a soft target as cut at 0.5
ARMS = [(name, "sigmoid") for name in arms.LOSSES] + [(name, "normalised_relu") for name in ON_PROBABILITIES]
SHAPE = (3, 2, 6, 7)


def sample(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, soft targets and weights from 0 to 2, float64."""
    rng = np.random.default_rng(seed)
    arrays = rng.normal(0, 2, shape), rng.random(shape), rng.uniform(0, 2, shape)
    return tuple(torch.from_numpy(array) for array in arrays)


def least(form, targets: list[float]) -> tuple[float, float]:
    """The lowest and the highest of the constant predictions at which a loss of (logits, y, w) is least.

    The region is an image of 20 pixels for each of the targets.
    """
    y = torch.tensor(targets, dtype=torch.float64).repeat_interleave(20).expand(len(GRID), 1, 1, -1)
    values = form(torch.logit(GRID)[:, None, None, None].expand(y.shape), y, torch.ones_like(y)).flatten()
    at = GRID[values <= values.min() + 1e-9]
    return at[0].item(), at[-1].item()


def each(form):
    """A library's loss, which returns one number a batch, image by image and feature by feature."""

    def compute(logits: Tensor, y: Tensor, _: Tensor) -> Tensor:
        cells = np.ndindex(*y.shape[:2])
        return torch.stack([form(logits[n, c][None, None], y[n, c][None, None]) for n, c in cells])

    return compute


def pixels(z: Tensor, y: Tensor, w: Tensor) -> list[tuple[float, float, float]]:
    """Prediction, target and weight of each pixel of one image and feature."""
    p = 1 / (1 + np.exp(-z.numpy().ravel()))
    return list(zip(p, y.numpy().ravel(), w.numpy().ravel(), strict=True))


# where the losses are least


@pytest.mark.parametrize("q", TENTHS)
@pytest.mark.parametrize("name", SOFT)
def test_a_constant_target_is_predicted_as_it_is(name, q):
    nearest = min(max(q, 0.005), 0.995)
    assert least(losses.loss(name), [q]) == pytest.approx((nearest, nearest), abs=0.002)


WRONG = {  # forms of the libraries that are wrong for soft targets: the least of q = 0.1 ... 0.9
    "MONAI Dice, product": (DiceLoss(sigmoid=True), [1.0] * 9),
    "MONAI Tversky, product": (TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7), [1.0] * 9),
    "MONAI focal": (FocalLoss(), [0, 0, 0, 0, 0.5, 1, 1, 1, 1]),
}


@pytest.mark.parametrize(("form", "expected"), WRONG.values(), ids=WRONG.keys())
def test_forms_that_are_wrong_for_soft_targets(form, expected):
    found = [least(each(form), [q])[1] for q in TENTHS[1:-1]]
    assert found == pytest.approx(expected, abs=0.0051)


def test_smps_dice_is_right_for_soft_targets_but_has_nothing_to_say_on_empty_ones():
    form = each(smp.DiceLoss("multilabel"))
    assert [least(form, [q])[0] for q in TENTHS[1:-1]] == pytest.approx(TENTHS[1:-1])
    assert least(form, [0.0]) == pytest.approx((0.005, 0.995))  # no loss at any prediction
    assert least(losses.loss("dice"), [0.0]) == pytest.approx((0.005, 0.005))


MIXED = {  # targets of one region that the prediction cannot tell apart; mean; the least of each loss
    "0 0 0 1": ([0, 0, 0, 1], 0.25, {"dice": 1, "tversky": 1, "focal": 0.40, "wing": 1}),
    "0 1": ([0, 1], 0.5, {"dice": 1, "tversky": 1, "focal": 0.5, "wing": 1}),
    "7 of 0, 3 of 0.6": (
        [0] * 7 + [0.6] * 3,
        0.18,
        {"dice": 0.6, "tversky": 0.6, "focal": 0.32, "wing": 0.585},
    ),
    "0.2 0.4 0.9": ([0.2, 0.4, 0.9], 0.5, {"dice": 0.4, "tversky": 0.9, "focal": 0.5, "wing": 0.455}),
    "3 of 0.8, 0.1": ([0.8] * 3 + [0.1], 0.625, {"dice": 0.8, "tversky": 0.8, "focal": 0.58, "wing": 0.8}),
}


@pytest.mark.parametrize(("targets", "mean", "where"), MIXED.values(), ids=MIXED.keys())
def test_of_mixed_targets_cross_entropy_alone_predicts_the_mean(targets, mean, where):
    assert least(losses.loss("weighted_ce"), targets) == pytest.approx((mean, mean), abs=0.0051)
    for name, expected in where.items():
        assert least(losses.loss(name), targets)[0] == pytest.approx(expected, abs=0.006), name


def marked(share: float, side: int = 30) -> Tensor:
    """An image of 0 and 1 with that share of 1, and one of these beside every pixel, float64 (1, 1, S, S)."""
    y = np.zeros((side, side))
    y[1::3, 1::3] = 1
    empty = np.flatnonzero(y == 0)
    more = np.random.default_rng(0).choice(empty, round(share * y.size - y.sum()), replace=False)
    y.flat[more] = 1
    return torch.from_numpy(y)[None, None]


UNDER_ITS_MAP = {0.2: 0.105, 0.3: 0.175, 0.45: 0.335, 0.5: 0.425, 0.55: 0.995, 0.7: 0.995}


@pytest.mark.parametrize(("share", "at"), UNDER_ITS_MAP.items())
def test_wing_is_below_the_mean_under_a_half_and_above_it_over_where_its_map_is_on_everywhere(share, at):
    y = marked(share)
    assert y.mean().item() == pytest.approx(share)
    assert (F.max_pool2d(y, losses.MAP_SIDE, 1, losses.MAP_SIDE // 2) >= losses.MAP_LEVEL).all()
    form, one = losses.loss("wing"), torch.ones_like(y)
    values = [form(torch.logit(p).expand(y.shape), y, one).item() for p in GRID]
    assert GRID[int(np.argmin(values))].item() == pytest.approx(at, abs=0.0051)
    # by hand: the share of 1 times the cost of a miss, and of 0 times that of a false pixel
    by_hand = [share * wing_by_hand(p, 1) + (1 - share) * wing_by_hand(p, 0) for p in GRID.tolist()]
    assert int(np.argmin(by_hand)) == int(np.argmin(values))


def test_where_wings_map_leaves_out_empty_surroundings_a_tenth_of_marked_pixels_is_enough_for_one():
    found = {share: least(losses.loss("wing"), [0] * (100 - share) + [1] * share) for share in (5, 10, 25)}
    assert found[5] == pytest.approx((0.23, 0.23), abs=0.0051)
    assert found[10] == found[25] == pytest.approx((0.995, 0.995))


def test_wing_without_its_map_is_nearer_the_mean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "MAP_WEIGHT", 0.0)
    found = [least(losses.loss("wing"), targets)[0] for targets, *_ in MIXED.values()]
    assert found == pytest.approx([0.14, 0.42, 0.19, 0.455, 0.795], abs=0.0051)


def test_the_squared_form_of_dice_predicts_the_root_mean_square():
    form = each(DiceLoss(sigmoid=True, squared_pred=True))
    assert [least(form, [q])[0] for q in TENTHS[1:-1]] == pytest.approx(TENTHS[1:-1])
    for targets, *_ in MIXED.values():
        assert least(form, targets)[0] == pytest.approx(np.sqrt(np.mean(np.square(targets))), abs=0.0026)


@pytest.mark.parametrize("q", TENTHS)
def test_lovasz_sees_a_soft_target_as_cut_at_a_half(q):
    low, high = least(losses.loss("lovasz"), [q])
    sure = torch.sigmoid(torch.tensor(1.0)).item()  # beyond the margin of the hinge
    assert (low, high) == pytest.approx((sure, 0.995) if q >= 0.5 else (0.005, 1 - sure), abs=0.0051)


@pytest.mark.parametrize("name", SOFT)
def test_descent_finds_the_targets(name):
    _, y, w = sample(0, (1, 2, 8, 8))
    y = 0.05 + 0.9 * y
    logits = torch.zeros_like(y, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        optimizer.zero_grad()
        losses.loss(name)(logits, y, 0.1 + w).sum().backward()
        optimizer.step()
        schedule.step()
    assert (torch.sigmoid(logits) - y).abs().max() < 0.03


def test_descent_finds_the_targets_of_softseg():
    _, y, _ = sample(1, (2, 2, 8, 8))
    y = y / y.amax((-2, -1), keepdim=True)  # a normalised ReLU has a pixel of 1
    logits = torch.ones_like(y, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        losses.loss("wing", "normalised_relu")(logits, y, torch.ones_like(y)).sum().backward()
        optimizer.step()
    assert (losses.activate(logits, "normalised_relu") - y).abs().mean() < 0.02


# what they equal


def test_weighted_ce_is_that_of_the_metrics():
    z, y, w = sample(2)
    torch.testing.assert_close(losses.loss("weighted_ce")(z, y, w), metrics.cross_entropy(z, y, w))
    hard = y > 0.5
    torch.testing.assert_close(losses.loss("weighted_ce")(z, hard, w), metrics.cross_entropy(z, hard, w))


def region(z: Tensor, y: Tensor, w: Tensor, false: float, missed: float) -> float:
    """1 - Tversky index by its definition for fuzzy sets, pixel by pixel, plus one pixel on both sides."""
    hit, extra, lost = np.sum(
        [(u * min(p, q), u * max(p - q, 0), u * max(q - p, 0)) for p, q, u in pixels(z, y, w)], axis=0
    )
    return 1 - (hit + 1) / (hit + false * extra + missed * lost + 1)


def test_dice_and_tversky_are_their_definitions():
    z, y, w = sample(3)
    for n, c in np.ndindex(SHAPE[:2]):
        cell = z[n, c], y[n, c], w[n, c]
        hit = sum(u * min(p, q) for p, q, u in pixels(*cell))
        total = sum(u * (p + q) for p, q, u in pixels(*cell))
        assert losses.loss("dice")(z, y, w)[n, c].item() == pytest.approx(1 - (2 * hit + 1) / (total + 1))
        assert losses.loss("tversky")(z, y, w)[n, c].item() == pytest.approx(region(*cell, 0.3, 0.7))
    torch.testing.assert_close(
        losses.loss("dice_ce")(z, y, w), losses.loss("dice")(z, y, w) + metrics.cross_entropy(z, y, w)
    )


def test_on_binary_targets_dice_and_tversky_are_the_ordinary_ones():
    z, y, w = sample(4)
    y, w, smooth = (y > 0.6).double(), torch.ones_like(w), {"smooth_nr": 1, "smooth_dr": 1}
    dice = DiceLoss(sigmoid=True, reduction="none", **smooth)(z, y).flatten(1)
    tversky = TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, reduction="none", **smooth)(z, y)
    torch.testing.assert_close(losses.loss("dice")(z, y, w), dice)
    torch.testing.assert_close(losses.loss("tversky")(z, y, w), tversky)


def test_focal_is_its_definition_and_on_binary_targets_torchvisions():
    z, y, w = sample(5)
    for n, c in np.ndindex(SHAPE[:2]):
        ce = [(-q * np.log(p) - (1 - q) * np.log(1 - p), u) for p, q, u in pixels(z[n, c], y[n, c], w[n, c])]
        by_hand = np.mean([u * (1 - np.exp(-value)) ** 2 * value for value, u in ce])
        assert losses.loss("focal")(z, y, w)[n, c].item() == pytest.approx(by_hand)
    y = (y > 0.6).double()
    vision = (w * sigmoid_focal_loss(z, y, alpha=-1, gamma=2, reduction="none")).mean((-2, -1))
    torch.testing.assert_close(losses.loss("focal")(z, y, w), vision)


def test_lovasz_without_weights_is_smps():
    z, y, w = sample(6)
    z, y = z.float(), (y > 0.7).float()
    y[0, 0], y[0, 1] = 0, 1
    found = losses.loss("lovasz")(z, y, torch.ones_like(w))
    for n, c in np.ndindex(SHAPE[:2]):
        torch.testing.assert_close(found[n, c], smp.LovaszLoss("binary")(z[n, c][None], y[n, c][None]))


def test_lovasz_at_a_margin_of_one_is_one_minus_iou():
    _, y, w = sample(7)
    predicted, y = y > 0.4, w > 1.2
    z = torch.where(predicted, 1.0, -1.0)  # an error of 2 where wrong, of 0 where right
    iou = torch.stack([(w * (predicted & y)).sum((-2, -1)), (w * (predicted | y)).sum((-2, -1))])
    torch.testing.assert_close(losses.loss("lovasz")(z.double(), y, w), 2 * (1 - iou[0] / iou[1]))


def wing_by_hand(p: float, y: float) -> float:
    """Adaptive wing of one pixel, with the constants A and C as the paper writes them."""
    omega, theta, epsilon, power = 14, 0.5, 1, 2.1 - y
    a = omega * (1 / (1 + (theta / epsilon) ** power)) * power * (theta / epsilon) ** (power - 1) / epsilon
    c = theta * a - omega * np.log(1 + (theta / epsilon) ** power)
    distance = abs(y - p)
    near = omega * np.log(1 + (distance / epsilon) ** power)
    return near if distance < theta else a * distance - c


def test_wing_is_the_papers_with_its_map():
    z, y, w = sample(8)
    y = torch.where(y < 0.9, 0.15 * y, y)
    y[0, 0] = 0.1
    found, mapped = losses.loss("wing")(z, y, w), set()
    for n, c in np.ndindex(SHAPE[:2]):
        total = 0
        for i, j in np.ndindex(SHAPE[2:]):
            around = y[n, c, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            weight = 11 if around.max() >= 0.2 else 1
            mapped.add(weight)
            p = 1 / (1 + np.exp(-z[n, c, i, j].item()))
            total += w[n, c, i, j].item() * weight * wing_by_hand(p, y[n, c, i, j].item())
        assert found[n, c].item() == pytest.approx(total / 42)
    assert mapped == {1, 11}


@pytest.mark.parametrize("y", [0.0, 0.3, 0.5, 1.0])
def test_wing_is_smooth_where_the_curve_becomes_a_line(y):
    target = torch.full((1, 1, 1, 1), y, dtype=torch.float64)
    p = torch.full_like(target, y + 0.5 if y < 0.6 else y - 0.5)
    values, slopes = [], []
    for step in (-1e-7, 1e-7):
        at = (p + step).clone().requires_grad_()
        value = losses.wing(at, target, torch.ones_like(target))
        slopes.append(torch.autograd.grad(value.sum(), at)[0].item())
        values.append(value.item())
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-5)


# weights


@pytest.mark.parametrize("name", ["dice", "tversky", "lovasz"])
def test_in_losses_of_regions_a_weight_of_3_is_a_pixel_three_times(name):
    z, y, _ = sample(9, (2, 2, 1, 12))
    count = torch.tensor([1, 0, 3, 2, 1, 1, 2, 0, 3, 1, 1, 2])
    weighted = losses.loss(name)(z, y, count.expand(z.shape))
    z, y = z.repeat_interleave(count, -1), y.repeat_interleave(count, -1)
    torch.testing.assert_close(weighted, losses.loss(name)(z, y, torch.ones_like(y)))


@pytest.mark.parametrize("name", ["weighted_ce", "focal", "wing"])
def test_in_means_over_pixels_each_counts_by_its_weight(name):
    z, y, w = sample(10, (1, 1, 3, 3))
    one = [torch.zeros_like(w).flatten().scatter(0, torch.tensor(k), 1.0).view_as(w) for k in range(9)]
    alone = torch.stack([losses.loss(name)(z, y, mask) for mask in one]).flatten()
    torch.testing.assert_close(losses.loss(name)(z, y, w).squeeze(), (alone * w.flatten()).sum())


@pytest.mark.parametrize(("name", "activation"), ARMS)
def test_pixels_without_weight_do_not_count(name, activation):
    z, y, w = sample(11)
    w[..., 2:4] = 0
    other, wrong = z.clone().requires_grad_(), y.clone()
    if activation == "sigmoid":  # elsewhere a pixel's logit may be its image's maximum
        other.data[..., 2:4] = 5
    if name != "wing":  # its map looks at the neighbours' targets
        wrong[..., 2:4] = 0.9
    value = losses.loss(name, activation)(other, wrong, w)
    torch.testing.assert_close(value, losses.loss(name, activation)(z, y, w))
    if activation == "sigmoid":
        value.sum().backward()
        assert (other.grad[..., 2:4] == 0).all()
        assert (other.grad[..., 4:] != 0).any()


@pytest.mark.parametrize("name", arms.LOSSES)
def test_no_weight_at_all_is_no_loss(name):
    z, y, w = sample(12)
    assert (losses.loss(name)(z, y, 0 * w) == 0).all()


# images and features apart


@pytest.mark.parametrize(("name", "activation"), ARMS)
def test_an_image_and_feature_does_not_depend_on_the_others(name, activation):
    z, y, w = sample(13)
    y[1, 0] = 0
    form = losses.loss(name, activation)
    together = form(z, y, w)
    assert together.shape == SHAPE[:2]
    for n, c in np.ndindex(SHAPE[:2]):
        cell = (slice(n, n + 1), slice(c, c + 1))
        torch.testing.assert_close(together[cell], form(z[cell], y[cell], w[cell]))


@pytest.mark.parametrize(("name", "activation"), ARMS)
def test_an_unknown_feature_that_the_caller_leaves_out_teaches_nothing(name, activation):
    known = torch.tensor([[True, False], [True, True], [False, True]])
    gradients = []
    for seed in (14, 15):  # what stands in the unknown ones differs
        z, y, w = sample(14)
        garbage = sample(seed)
        z, y, w = (torch.where(known[..., None, None], a, b) for a, b in zip((z, y, w), garbage, strict=True))
        z.requires_grad_()
        ((losses.loss(name, activation)(z, y, w) * known).sum() / known.sum()).backward()
        assert (z.grad[~known] == 0).all()
        gradients.append(z.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


# empties, extremes, gradients


@pytest.mark.parametrize(("name", "activation"), ARMS)
@pytest.mark.parametrize("size", [(1, 1), (5, 4)])
def test_losses_and_gradients_are_finite(name, activation, size):
    targets = {"empty": 0.0, "full": 1.0, "half": 0.5, "one": None}
    logits = [-1e4, -80.0, -1e-9, 0.0, 1e-9, 80.0, 1e4]
    for value, (_, target) in itertools.product(logits, targets.items()):
        y = torch.zeros(2, 1, *size) if target is None else torch.full((2, 1, *size), target)
        y[..., 0, 0] = 1.0 if target is None else target
        z = torch.full_like(y, value)
        z[1, 0, -1, -1] = -value
        z.requires_grad_()
        found = losses.loss(name, activation)(z, y, torch.ones_like(y))
        found.sum().backward()
        assert found.isfinite().all()
        assert (found > -1e-5).all()
        assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", arms.LOSSES)
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_an_empty_or_full_target_that_is_met_costs_nothing_and_the_opposite_much(name, y):
    target = torch.full((1, 1, 8, 8), y)
    right, wrong = (
        losses.loss(name)(torch.full_like(target, z), target, torch.ones_like(target))
        for z in (40 * (2 * y - 1), -40 * (2 * y - 1))
    )
    assert right.item() == pytest.approx(0, abs=1e-5)
    assert wrong.item() > 0.9


def test_dice_of_an_empty_target_by_hand():
    p = torch.tensor([[0.5, 0.25], [0.25, 0.0]])[None, None]
    ones, empty = torch.ones_like(p), torch.zeros_like(p)
    assert losses.dice(p, empty, ones).item() == pytest.approx(1 - 1 / (1 + 1))  # one pixel of false area
    assert losses.dice(empty, empty, ones).item() == 0


@pytest.mark.parametrize(("name", "activation"), ARMS)
def test_gradients_are_those_of_finite_differences(name, activation):
    z, y, w = sample(16, (2, 2, 3, 3))
    form = losses.loss(name, activation)
    assert torch.autograd.gradcheck(lambda z: form(z, y, w), (z.requires_grad_(),))


@pytest.mark.parametrize("name", arms.LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(name, dtype):
    z, y, w = (a.float() for a in sample(17, (1, 1, 128, 128)))
    z = z.to(dtype)
    found = losses.loss(name)(z, y, w)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, losses.loss(name)(z.float(), y, w))


@pytest.mark.parametrize("name", arms.LOSSES)
def test_binary_targets_may_be_bool(name):
    z, y, w = sample(18)
    torch.testing.assert_close(losses.loss(name)(z, y > 0.5, w), losses.loss(name)(z, (y > 0.5).double(), w))


@pytest.mark.parametrize(("name", "activation"), ARMS)
def test_no_loss_makes_tensors_on_a_device_of_its_own(name, activation):
    z, y, w = (a.float().to("meta") for a in sample(20))  # where whatever is made elsewhere fails
    found = losses.loss(name, activation)(z, y, w)
    assert (found.device.type, found.dtype, tuple(found.shape)) == ("meta", torch.float32, SHAPE[:2])


# activations


def test_softsegs_activation_has_its_maximum_per_image_and_feature():
    z = torch.tensor(
        [[[[-3.0, 1.0], [2.0, 4.0]], [[0.5, 0.25], [0.0, -1.0]]], [[[8.0, 2.0], [0.0, 6.0]]] * 2]
    )
    p = losses.activate(z, "normalised_relu")
    by_hand = [[[[0, 0.25], [0.5, 1]], [[1, 0.5], [0, 0]]], [[[1, 0.25], [0, 0.75]]] * 2]
    torch.testing.assert_close(p, torch.tensor(by_hand))


def test_softsegs_activation_of_nothing_is_nothing_but_can_come_back():
    z = torch.tensor([[-1.0, -2.0], [0.0, 0.0], [1e-30, 0.0], [1e-3, 0.0]])[None, :, None]
    z.requires_grad_()
    p = losses.activate(z, "normalised_relu")
    assert p[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0, 1])
    p.sum().backward()
    assert z.grad.isfinite().all()
    torch.testing.assert_close(z.grad[0, :3], torch.full((3, 1, 2), losses.LEAK))


def test_sigmoid_is_torchs():
    z, _, _ = sample(19)
    torch.testing.assert_close(losses.activate(z, "sigmoid"), F.sigmoid(z))


def test_logits_of_an_activation_give_its_probabilities_back():
    z, _, _ = sample(21)
    assert losses.as_logits(z, "sigmoid") is z
    p = losses.activate(z, "normalised_relu")
    found = losses.as_logits(z, "normalised_relu")
    back = torch.sigmoid(found)
    inside = (p > 1 / 1020) & (p < 1 - 1 / 1020)
    torch.testing.assert_close(back[inside], p[inside])
    assert (back[p == 0] == pytest.approx(1 / 1020)) and (back[p == 1] == pytest.approx(1 - 1 / 1020))
    assert torch.equal(cuts.quantise(found), (255 * p).round().to(torch.uint8))


@pytest.mark.parametrize("activation", losses.ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_those_of_the_same_numbers(activation, dtype):
    z = sample(22)[0].to(dtype)
    found = losses.as_logits(z, activation)
    assert (found.dtype, found.isfinite().all()) == (torch.float32, True)
    torch.testing.assert_close(found, losses.as_logits(z.float(), activation))


# messages


def test_unknown_names_are_told_all_names():
    every = "weighted_ce, dice, focal, tversky, lovasz, dice_ce, wing"
    with pytest.raises(ValueError, match=rf"^loss: expected one of {every}, got 'hinge'; correct the arm\.$"):
        losses.loss("hinge")
    with pytest.raises(
        ValueError, match=r"^activation: expected one of sigmoid, normalised_relu, got 'tanh'; "
    ):
        losses.loss("dice", "tanh")
    with pytest.raises(
        ValueError, match=r"^activation: expected one of sigmoid, normalised_relu, got 'tanh'; "
    ):
        losses.activate(torch.zeros(1, 1, 1, 1), "tanh")
    assert list(losses.FORMS) == list(arms.LOSSES)


@pytest.mark.parametrize("name", ON_LOGITS)
def test_a_loss_on_logits_refuses_softsegs_activation(name):
    told = (
        rf"^loss {name}: expected the activation sigmoid, got 'normalised_relu'; "
        r"with it the loss can be dice, tversky, wing\.$"
    )
    with pytest.raises(ValueError, match=told):
        losses.loss(name, "normalised_relu")
