"""TSM-MobileNetV2: a 2D network that sees neighbouring frames by shifting channels in time."""

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.mobilenetv2 import InvertedResidual

from lusnb.segment import start_weights
from lusnb.segment.network import adapt_stem, start_state

SHIFTED = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)  # torchvision `features` with a residual that expand
BODY, STEM = "features.", "0.0.weight"  # names of torchvision's MobileNetV2: of its features, in them
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


def _features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a whole MobileNetV2's weights those of its features, by their own names."""
    found = {k.removeprefix(BODY): value for k, value in state.items() if k.startswith(BODY)}
    if STEM not in found:
        raise ValueError(
            f"encoder_weights: expected the weights of torchvision's MobileNetV2, found no {BODY}{STEM} "
            f"among {len(state)} names; give another file."
        )
    return found


def fit_stem(state: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Weights of the features whose stem, `state[STEM]` (32, k, 3, 3), takes another number of channels.

    A stem of one channel or three is one of pictures: network.adapt_stem. Any other is one of gray and masks,
    as tasks/pretrain.py trains it: gray keeps its own weights, and where there are more masks or fewer each
    takes the mean of theirs.
    """
    stem = state[STEM].float()  # half precision where it was stored so
    if stem.shape[1] in (1, 3, channels):
        return adapt_stem(state, STEM, channels)
    gray, masks = stem[:, :1], stem[:, 1:].mean(1, keepdim=True)
    return {**state, STEM: torch.cat([gray, masks.expand(-1, channels - 1, -1, -1)], 1)}


class ClipEncoder(nn.Module):
    """TSM-MobileNetV2: clips (N, T, C, H, W) -> features (N, 1280), the mean over frames."""

    def __init__(self, channels: int, frames: int, weights: str = "none"):
        super().__init__()
        start = start_state(weights, None)
        named = "IMAGENET1K_V1" if weights == start_weights.IMAGENET else None
        body = mobilenet_v2(weights=named).features
        state = body.state_dict() if start is None else _features(start)
        stem = nn.Conv2d(channels, body[0][0].out_channels, 3, stride=2, padding=1, bias=False)
        body[0][0] = stem
        if weights != start_weights.NONE:  # before the shifts are wrapped in, while the names still fit
            body.load_state_dict(fit_stem(state, channels))
        else:
            nn.init.kaiming_normal_(stem.weight, mode="fan_out")
        self.body, self.frames = body, frames
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
