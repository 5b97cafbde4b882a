"""TSM-MobileNetV2: a 2D network that sees neighbouring frames by shifting channels in time."""

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.mobilenetv2 import InvertedResidual

from lusnb.segment.network import adapt_stem, load_state

SHIFTED = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)  # torchvision `features` with a residual that expand
FEATURES = 1280  # MobileNetV2's last channel count


class Shifted(nn.Module):
    """Temporal shift in front of a convolution (TSM, Lin et al. 2019).

    Input (N * T, C, H, W) with T contiguous. Of C // 8 channels each frame takes its successor's, of the next
    C // 8 its predecessor's; beyond the ends of the clip there are zeros. The rest is untouched.
    """

    def __init__(self, conv: nn.Module, frames: int):
        super().__init__()
        self.conv, self.frames = conv, frames

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(shift(x, self.frames))


def shift(x: Tensor, frames: int) -> Tensor:
    """Shift channels along time: x is (N * T, C, H, W); see `Shifted`."""
    x = x.unflatten(0, (-1, frames))  # (N, T, C, H, W)
    fold = x.shape[2] // 8
    out = torch.zeros_like(x)
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return out.flatten(0, 1)  # (N * T, C, H, W)


class ClipEncoder(nn.Module):
    """TSM-MobileNetV2: clips (N, T, C, H, W) -> features (N, 1280), the mean over frames."""

    def __init__(self, channels: int, frames: int, weights: str = "none"):
        super().__init__()
        body = mobilenet_v2(weights="IMAGENET1K_V1" if weights == "imagenet" else None)
        stem = body.features[0][0]
        state = body.state_dict() if weights in ("none", "imagenet") else load_state(weights)
        body.features[0][0] = nn.Conv2d(channels, stem.out_channels, 3, stride=2, padding=1, bias=False)
        if weights != "none":  # before the shifts are wrapped in, while the names still fit
            body.load_state_dict(adapt_stem(state, "features.0.0.weight", channels))
        else:
            nn.init.kaiming_normal_(body.features[0][0].weight, mode="fan_out")
        self.body, self.frames = body.features, frames
        self._insert_shifts(frames)

    def _insert_shifts(self, frames: int) -> None:
        shifted = []
        for k, block in enumerate(self.body):
            if isinstance(block, InvertedResidual) and block.use_res_connect and len(block.conv) == 4:
                block.conv[0][0] = Shifted(block.conv[0][0], frames)  # the 1x1 expansion
                shifted.append(k)
        if tuple(shifted) != SHIFTED:
            raise RuntimeError(
                f"TSM: expected shifts in blocks {SHIFTED} of MobileNetV2, inserted in {shifted}."
            )

    def forward(self, clips: Tensor) -> Tensor:
        if clips.shape[1] != self.frames:
            raise ValueError(f"clips: expected {self.frames} frames each, got {clips.shape[1]}.")
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        maps = self.body(frames)  # (N * T, 1280, h, w)
        return maps.mean((-2, -1)).unflatten(0, (-1, self.frames)).mean(1)
