"""What an H200 would take for a step, reckoned operation by operation without running it: an estimate.

Networks and tensors lie on PyTorch's `meta` device, which knows shapes and computes nothing. Each operation
of forward, backward and optimiser takes the longest of: its arithmetic at a share of the GPU's peak, the
bytes that it reads and writes at a share of the memory's rate, and the least that any kernel takes. The host,
which launches one after another, may take longer than all of them together; then it decides. `check` does the
same for another GPU, for which others have published measurements.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torchvision import models

from lusnb.segment import network as segment_network
from lusnb.tasks.network import TaskNetwork
from tests.benchmarks import cases


@dataclass(frozen=True)
class Sheet:
    """A GPU by its data sheet: dense FLOP/s in half precision, bytes/s of its memory."""

    peak: float
    bandwidth: float


H200, RTX3090 = Sheet(989e12, 4.8e12), Sheet(71e12, 0.936e12)
# images/s in training at 224 px and batch 512: timm, results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv
PUBLISHED = {"mobilenet_v2": 2313, "resnet34": 2037}


@dataclass(frozen=True)
class Assumed:
    """What part of its data sheet a GPU reaches, and what the host needs."""

    arithmetic: float  # share of the peak in dense convolutions
    memory: float  # share of the memory's rate in elementwise operations and normalisation
    depthwise: float  # the same in depthwise convolutions
    launch: float  # seconds of the host an operation
    loop: float = 2.5e-3  # seconds of the host a step: Lightning, batch, augmentation (bench_segmentation.py)
    kernel: float = 3e-6  # seconds that the smallest kernel takes


ASSUMED = {
    "likely": Assumed(arithmetic=0.35, memory=0.75, depthwise=0.35, launch=7e-6),
    "cautious": Assumed(arithmetic=0.20, memory=0.50, depthwise=0.15, launch=1e-5),
}


class Operations(TorchDispatchMode):
    """Count the operations that run within: FLOP, bytes read and written, whether they are depthwise."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        returned = [one.alias_info for one in func._schema.returns]
        if not any(alias is not None and not alias.is_write for alias in returned):  # not a view
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            count = flop_registry.get(func.overloadpacket)
            groups = [x for x in args if isinstance(x, int) and not isinstance(x, bool)] if count else []
            depthwise = any(one > 1 for one in groups)
            flops = count(*args, **(kwargs or {}), out_val=out) if count and not depthwise else 0
            size = sum(x.numel() * x.element_size() for x in tensors)
            self.rows.append((func.overloadpacket.__name__, flops, size, depthwise))
        return out


def operations(work: Callable[[], object]) -> pd.DataFrame:
    """The operations of some work: name, flops (depthwise: 0, they wait for memory), bytes, depthwise."""
    with Operations() as seen:
        work()
    return pd.DataFrame(seen.rows, columns=["name", "flops", "bytes", "depthwise"])


def seconds(found: pd.DataFrame, assumed: Assumed, gpu: Sheet = H200) -> dict[str, float]:
    """Seconds that the GPU, and that the host, needs for these operations."""
    share = found["depthwise"].map({True: assumed.depthwise, False: assumed.memory})
    limits = pd.DataFrame(
        {
            "arithmetic": found["flops"] / (assumed.arithmetic * gpu.peak),
            "memory": found["bytes"] / (share * gpu.bandwidth),
            "kernel": assumed.kernel,
        }
    )
    return {"gpu": limits.max(axis=1).sum(), "host": len(found) * assumed.launch + assumed.loop}


@dataclass(frozen=True)
class Part:
    """Operations of a training step and of a forward pass, and how many images or clips are in it."""

    learn: pd.DataFrame
    see: pd.DataFrame
    items: int

    def seconds(self, done: pd.DataFrame, name: str) -> float:
        """Seconds of an image or clip on an H200, with one of ASSUMED."""
        return max(seconds(done, ASSUMED[name]).values()) / self.items


def _part(network: nn.Module, shape: tuple[int, ...], loss: Callable, *more: object) -> Part:
    half = {"device": "meta", "dtype": torch.bfloat16}
    network, inputs = network.to(**half).train(), torch.empty(shape, **half)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, foreach=True)

    def learn() -> None:
        loss(network(inputs, *more).float()).backward()
        optimizer.step()

    learnt = operations(learn)
    network.eval()
    with torch.no_grad():
        return Part(learnt, operations(lambda: network(inputs, *more)), shape[0])


def parts(profile: str) -> dict[str, Part]:
    """The segmenter and the tasks' network of a profile, at its sizes and batches."""
    p = cases.params_of("train", profile, **cases.ARM)
    batch = cases.params_of("sf_change", profile).batch
    fpn = segment_network.build_segmenter(p.encoder, 6, p.decoder_channels)
    entropy = lambda x: nn.functional.binary_cross_entropy_with_logits(x, torch.empty_like(x))  # noqa: E731
    clips = TaskNetwork(0, 7, p.task_frames)
    shape = (batch, p.task_frames, 7, p.task_size, p.task_size)
    return {
        "segmenter": _part(fpn, (p.batch, 1, p.size, p.size), entropy),
        "tasks": _part(clips, shape, lambda x: x.square().mean(), None),
    }


def table_of(found: dict[str, Part]) -> pd.DataFrame:
    """What a step is and would take, under each assumption."""
    rows = []
    for name, part in found.items():
        for what, done in (("learn", part.learn), ("see", part.see)):
            for called, assumed in ASSUMED.items():
                took = seconds(done, assumed)
                row = {"part": name, "what": what, "assumed": called, "operations": len(done)}
                row |= {"GFLOP/item": done["flops"].sum() / part.items / 1e9}
                row |= {"MB/item": done["bytes"].sum() / part.items / 1e6}
                row |= {f"{k} ms/step": 1e3 * v for k, v in took.items()}
                rows.append(row | {"items/s": part.items / max(took.values())})
    return pd.DataFrame(rows)


def check() -> pd.DataFrame:
    """Images a second in training on an RTX 3090: published, and reckoned here."""
    rows = []
    for name, published in PUBLISHED.items():
        part = _part(getattr(models, name)(), (512, 3, 224, 224), lambda x: x.square().mean())
        found = {k: part.items / seconds(part.learn, v, RTX3090)["gpu"] for k, v in ASSUMED.items()}
        rows.append({"network": name, "published": published} | found)
    return pd.DataFrame(rows)
