"""How near to what the processor can do: operations a second, over those of one large matrix product."""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.ways import Way, ratio

SIDE = 2000  # of the square matrices


def products() -> Callable[..., float]:
    """Products of two large float32 matrices; units are operations, a multiplication and an addition each."""
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)

    def work(*_: object) -> float:
        for _ in range(5):
            left @ right
        return 5 * 2.0 * SIDE**3

    return work


def operations(network: nn.Module, *shape: int) -> float:
    """Operations of a training step for one input of a batch of this shape: three times a forward pass's.

    Going back takes twice as many. PyTorch's counter counts convolutions and matrix products, a
    multiplication and an addition each; on the way back it counts those in groups many times over.
    """
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network.train()(torch.zeros(shape))
    return 3 * counted.get_total_flops() / shape[0]


def share(operations: float, way: Way, limit: Way, asked: tuple) -> float:
    """Operations a second of a way over those of the matrix product, side by side; `operations` of a unit."""
    return operations * ratio(limit, way, "wall", asked)
