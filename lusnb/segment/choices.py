"""Which choices of a training go together: how labels are shown, with loss and weights; the network's parts.

Asked before anything runs, and without torch as long as the network is one that is known to work.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lusnb import arms, params
from lusnb.arms import one_of
from lusnb.params import ParameterError
from lusnb.segment import start_weights

DECODERS = (  # of segmentation-models-pytorch, by its own names
    *("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet"),
    *("DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet", "Segformer", "DPT"),
)
WORK = {"decoder": ("FPN", "Unet"), "encoder": ("mobilenet_v2", "resnet18", "resnet34", "tu-resnet10t")}


def wrong_network(p: Mapping) -> str:
    """What is wrong with encoder, decoder, decoder_channels and size of a segmenter; "" for nothing.

    One that is not known to work is built, without memory for its weights where that can be done.
    """
    if p["size"] % 32 or p["size"] < 64:
        return (
            "size: expected a multiple of 32 from 64 on (the network halves five times), "
            f"got {p['size']}; change it."
        )
    if told := one_of("decoder", p["decoder"], DECODERS):
        return told
    whole = p["decoder"] != "FPN" or (p["decoder_channels"] > 0 and p["decoder_channels"] % 64 == 0)
    if whole and all(p[part] in names for part, names in WORK.items()):
        return ""
    return _built(p["encoder"], p["decoder"], p["decoder_channels"], p["size"])


@cache
def _built(encoder: str, decoder: str, channels: int, size: int) -> str:
    """What keeps a network from being built and from taking an image; "" for nothing."""
    import torch

    from lusnb.segment import network as segment_network

    if encoder not in _encoders():
        near = params.near(encoder, _encoders())
        hint = f"did you mean {near}?" if near else "see its list of encoders, or timm's behind `tu-`."
        return f"encoder: expected one of segmentation-models-pytorch, got {encoder!r}; {hint}"
    for device in ("meta", "cpu"):  # some read their own numbers while they are built
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device(device):
                network = segment_network.build_segmenter(encoder, 1, channels, "none", decoder)
                network.eval()(torch.zeros(1, 1, size, size))
            return ""
        except (ValueError, RuntimeError, NotImplementedError) as error:
            told = f"encoder {encoder} with decoder {decoder} at {size} px: {error}"
    return told


@cache
def _encoders() -> tuple[str, ...]:
    import segmentation_models_pytorch as smp
    import timm

    return (*smp.encoders.encoders, *(f"tu-{name}" for name in timm.list_models()))


def check_together(where: str, found: Mapping[str, object], base: Path = Path()) -> None:
    """Raise ParameterError where values that are each right by themselves do not go together, or name what is
    not there. base: the folder that paths among them are relative to."""
    told = params.wrong_together(found)
    if not told and "encoder" in found:  # of a segmenter
        told = arms.wrong_labels(found) or wrong_network(found)
    if not told and "encoder_weights" in found:
        told = start_weights.wrong(found["encoder_weights"], found.get("encoder"), base)  # a task has but one
    if told:
        raise ParameterError(f"{where}: {told}")
