"""Losses that a segmenter can be trained with, each per image and feature.

Arrays are torch tensors (N, C, H, W): images, features, height, width. `logits` are float, without bounds;
`p` are probabilities in [0, 1]; `y` are targets in [0, 1], bool or float, and may be soft; `w` are weights of
pixels, 0 or more. Features are independent: a pixel may be of several. Every loss returns float (N, C) and
takes each image and feature by itself; the caller leaves out the features that are not known. All are 0 or
more, `dice` and `tversky` under 1; an empty or a full target that is met is a loss of 0.

Soft targets: where the target is q everywhere, the loss should be least at p = q. It is for every loss here
but `lovasz`. Where the image does not tell which of several targets a pixel has, cross-entropy alone is least
at their mean; focal is beside it, towards 0.5; Dice and Tversky mostly above it, up to 1. Wing depends on its
map: where that weighs all pixels alike, a mean of 0 and 1 under a half becomes less (0.30 becomes 0.175), and
one of 0.55 or more 1; where it leaves empty surroundings out, a tenth of marked pixels is enough for 1.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lusnb import arms, confidence

ACTIVATIONS = ("sigmoid", "normalised_relu")
SMALLEST_MAXIMUM = 1e-6  # a feature of an image whose highest activation is no higher is silent
LEAK = 0.01  # slope of a silent feature's gradient, as of a leaky ReLU
SMOOTH = 1.0  # pixels added to both sides of Dice's and Tversky's fraction: empty on empty is a loss of 0
MISSED = 0.7  # Tversky's weight of missed pixels, and 1 - it of false ones (Salehi et al. 2017)
GAMMA = 2.0  # of the focal loss (Lin et al. 2017)
OMEGA, THETA, EPSILON, ALPHA = 14.0, 0.5, 1.0, 2.1  # of the adaptive wing, as its authors chose them
MAP_WEIGHT, MAP_LEVEL, MAP_SIDE = 10.0, 0.2, 3  # and of its map: extra weight, target, pixels


def activate(logits: Tensor, name: str) -> Tensor:
    """Probabilities in [0, 1] from a network's output, same shape (N, C, H, W).

    'sigmoid'; 'normalised_relu' (SoftSeg, Gros et al. 2021): what is above 0, divided by its maximum in that
    image and feature, so that the highest pixel is 1; 0 everywhere where nothing is above 0, but with a small
    gradient there (LEAK): a feature that fell silent could otherwise never come back. Raises ValueError for
    another name.
    """
    if name == "sigmoid":
        return torch.sigmoid(logits)
    if name == "normalised_relu":
        highest = logits.amax((-2, -1), keepdim=True)
        leak = LEAK * logits
        silent = highest <= SMALLEST_MAXIMUM
        return torch.where(silent, leak - leak.detach(), F.relu(logits) / torch.where(silent, 1.0, highest))
    raise ValueError(
        f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}; correct the parameter."
    )


def as_logits(outputs: Tensor, activation: str) -> Tensor:
    """Logits of the probabilities that an activation gives, same shape: the outputs themselves for sigmoid.

    Others reach 0 and 1, whose logits have no bounds: they are taken as 1/1020 and 1 - 1/1020, half a step
    of what 8 bits can store. Of half precision as float32: bfloat16 cannot tell 1 - 1/1020 from 1.
    """
    outputs = _wide(outputs)
    return outputs if activation == "sigmoid" else torch.logit(activate(outputs, activation), eps=1 / 1020)


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


# -- on logits, so sigmoid alone


def weighted_ce(logits: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Mean over pixels of w times the cross-entropy, natural log (paper, Eq. 1): `metrics.cross_entropy`."""
    return F.binary_cross_entropy_with_logits(logits, y, w, reduction="none").mean((-2, -1))


def focal(logits: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Mean over pixels of w times the focal loss: (1 - exp(-ce)) ** 2 times the cross-entropy ce (SMP).

    Lin et al. 2017 for targets of 0 and 1. It rises with ce, so that a soft target keeps its least at p = q.
    MONAI's does not: there the least lies at p = 0 for every target under 0.5, and at 1 for every one above.
    """
    from segmentation_models_pytorch.losses import FocalLoss

    form = FocalLoss("binary", gamma=GAMMA, reduction="none")  # 'multilabel' would average over the images
    return (w * form(logits, y).view_as(logits)).mean((-2, -1))


def lovasz(logits: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Lovasz hinge (Berman, Triki, Blaschko 2018): a convex bound of 1 - IoU in which a pixel counts w times.

    It is defined for binary targets: soft ones are cut at 0.5, and their grades are lost. On an empty target
    only the highest pixel gets a gradient. SMP's takes no weights and returns one number a batch; at w = 1
    this is the same.
    """
    y = confidence.targets(y, 0.5).to(logits.dtype)
    errors, order = (1 - logits * (2 * y - 1)).flatten(2).sort(-1, descending=True)  # (N, C, H * W)
    y, w = (values.flatten(2).gather(-1, order) for values in (y, w))
    wrong = w.cumsum(-1)  # weight of the pixels up to here, were all of them wrong
    union = (w * y).sum(-1, keepdim=True) + (w * (1 - y)).cumsum(-1)
    jaccard = wrong / union.clamp(min=torch.finfo(w.dtype).tiny)
    return (F.relu(errors) * torch.diff(jaccard, prepend=torch.zeros_like(jaccard[..., :1]))).sum(-1)


def dice_ce(logits: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """`dice` plus `weighted_ce`, one to one."""
    return dice(torch.sigmoid(logits), y, w) + weighted_ce(logits, y, w)


# -- on probabilities of any activation


def dice(p: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """1 - Dice in its L1 form, (sum w |p - y|) / (sum w p + sum w y + 1): a pixel counts w times (MONAI).

    Dice semimetric loss (Wang et al. 2023, MICCAI). For targets of 0 and 1 it is the ordinary soft Dice; the
    product form of that one is least at p = 1 for every soft target. SMP's Dice has the L1 form too, but sums
    over the batch and skips empty targets. Here the gradient on an empty target fades with the square of the
    predicted area.
    """
    from monai.losses import DiceLoss

    form = DiceLoss(soft_label=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    return form(w * p, w * y).flatten(1)


def tversky(p: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """1 - Tversky index, missed pixels 0.7 and false ones 0.3 (Salehi et al. 2017), in its L1 form (MONAI).

    Hit, missed and false are sum w min(p, y), sum w (y - p)+ and sum w (p - y)+; the rest is as in `dice`.
    """
    from monai.losses import TverskyLoss

    form = TverskyLoss(
        alpha=1 - MISSED, beta=MISSED, soft_label=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH
    )
    return form(w * p, w * y)


def wing(p: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Mean over pixels of w times the weight map times the adaptive wing loss (Wang, Bo, Fuxin 2019).

    omega ln(1 + (d / epsilon) ** (alpha - y)) where d = |p - y| is under theta, a straight line beyond. Their
    map is 11 where a target of at least 0.2 lies within the 3 x 3 pixels around, elsewhere 1.
    """
    distance, power = (p - y).abs(), ALPHA - y
    bend = (THETA / EPSILON) ** power
    slope = OMEGA * power * bend / (THETA * (1 + bend))
    curve = OMEGA * torch.log1p((distance / EPSILON) ** power)
    line = OMEGA * torch.log1p(bend) + slope * (distance - THETA)
    near = confidence.targets(F.max_pool2d(y, MAP_SIDE, stride=1, padding=MAP_SIDE // 2), MAP_LEVEL)
    return (w * (1 + MAP_WEIGHT * near) * torch.where(distance < THETA, curve, line)).mean((-2, -1))


# -- by name

FORMS = {  # a new one is its function, a line here, and one in arms.LOSSES
    "weighted_ce": weighted_ce,
    "dice": dice,
    "focal": focal,
    "tversky": tversky,
    "lovasz": lovasz,
    "dice_ce": dice_ce,
    "wing": wing,
}


def loss(name: str, activation: str = "sigmoid") -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The loss of that name: (logits, y, w), each (N, C, H, W), to float (N, C).

    activation: what makes probabilities of the logits, see `activate`. Logits of half precision are computed
    with as float32. Raises ValueError for an unknown name, and for a loss that is defined on logits
    (arms.LOSSES) with another activation than sigmoid.
    """
    if name not in FORMS:
        raise ValueError(f"loss: expected one of {', '.join(FORMS)}, got {name!r}; correct the arm.")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}; correct the arm."
        )
    on_logits = arms.LOSSES[name] == "logits"
    if on_logits and activation != "sigmoid":
        known = ", ".join(other for other, on in arms.LOSSES.items() if on == "probabilities")
        raise ValueError(
            f"loss {name}: expected the activation sigmoid, got {activation!r}; "
            f"with it the loss can be {known}."
        )

    def compute(logits: Tensor, y: Tensor, w: Tensor) -> Tensor:
        logits = _wide(logits)
        y, w = y.to(logits.dtype), w.to(logits.dtype)
        return FORMS[name](logits if on_logits else activate(logits, activation), y, w)

    return compute
