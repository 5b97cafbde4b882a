"""Random flip, rotation and intensity of images, and the same warp of their confidence.

Every image by its own draw, the whole batch at once, on whatever device it lies: plain tensor arithmetic with
PyTorch's `grid_sample`. What kornia and torchvision's v2 take for the same is measured by `make bench`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRIGHTNESS, CONTRAST, GAMMA = (-0.15, 0.15), (0.8, 1.2), (0.8, 1.25)  # added; times; to the power of
DRAWN = ("flip", "angle", "brightness", "contrast", "gamma")


def draw(count: int, rotation: float) -> Tensor:
    """What happens to each image, (count, 5) as DRAWN, on the CPU, from PyTorch's random numbers.

    flip: -1 or 1. angle: radians, within `rotation` degrees. Each applies to half of the images (the paper:
    'probabilistically'); the others have 1, 0, 0, 1, 1.
    """
    most = math.radians(rotation)
    spans = torch.tensor([(-1.0, -1.0), (-most, most), BRIGHTNESS, CONTRAST, GAMMA])
    values = spans[:, 0] + (spans[:, 1] - spans[:, 0]) * torch.rand(count, len(DRAWN))
    return torch.where(torch.rand(count, len(DRAWN)) < 0.5, values, torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0]))


def sampling_grid(flip: Tensor, angle: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel is taken from: (N, H, W, 2), x and y of `grid_sample`; flipped, then turned.

    Elementwise, since under autocast a matrix product would round the coordinates to bfloat16, by pixels.
    """
    x = torch.arange(width, device=angle.device) * 2 + 1 - width  # half pixels from the centre
    y = torch.arange(height, device=angle.device)[:, None] * 2 + 1 - height
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    across = (x * cos - y * sin) * flip.view(-1, 1, 1)
    return torch.stack([across / width, (x * sin + y * cos) / height], dim=-1)


class Augmentation(nn.Module):
    """Images (N, 1, H, W) and confidence (N, C, H, W), both float 0 to 1, -> the same, changed at random.

    confidence is warped by nearest neighbour, as blur is biased by threshold, or with `interpolation`
    'linear' as images are. What lies beyond the image is 0.
    """

    def __init__(self, rotation: float, interpolation: str = "nearest"):
        super().__init__()
        self.rotation, self.how = rotation, {"nearest": "nearest", "linear": "bilinear"}[interpolation]

    def forward(self, images: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        drawn = draw(len(images), self.rotation).to(images.device, non_blocking=True)
        flip, angle, *levels = drawn.unbind(1)
        grid = sampling_grid(flip, angle, *images.shape[-2:])
        brightness, contrast, gamma = (level.view(-1, 1, 1, 1) for level in levels)
        images = F.grid_sample(images, grid, align_corners=False)
        images = ((images + brightness).clamp(0, 1) * contrast).clamp(0, 1) ** gamma
        return images, F.grid_sample(confidence, grid, mode=self.how, align_corners=False)
