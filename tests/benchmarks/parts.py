"""What the networks of the `paper` profile take where this runs: a GPU, or a processor at a tiny scale."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from statistics import median

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity
from torch.profiler import profile as record
from torch.utils.data import DataLoader

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.segment import fitting, frames, segmenter
from lusnb.study import matrix
from lusnb.tasks import batches, clipbank, train
from lusnb.tasks import network as tasks_network
from lusnb.tasks.registry import TASKS
from tests.benchmarks import cases

QUESTIONS = {name: task.question for name, task in TASKS.items()}

REPEATS = 3
PAPER = {"encoder": "resnet34", "decoder_channels": 256, "size": 512, "task_size": 224, "task_frames": 8}
SMALL = {"encoder": "mobilenet_v2", "decoder_channels": 64, "size": 64, "task_size": 32, "task_frames": 2}


@dataclass(frozen=True)
class Scale:
    """How large the measurements are. fields: of 03. clips: in a batch of the tasks. every: of VARIANTS."""

    fields: dict
    batches: tuple[int, ...]
    steps: int
    clips: int
    every: int


FULL, TINY = Scale(PAPER, (8, 16, 32), 60, 32, 1), Scale(SMALL, (4,), 2, 8, 5)
PRECISIONS = ("32-true", "bf16-mixed")
LAYOUTS = (torch.contiguous_format, torch.channels_last)
VARIANTS = tuple(product(("segmenter", "tasks"), PRECISIONS, LAYOUTS, (False, True)))


def wait() -> None:
    """Until the GPU has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    """Of one call: the median of a few, after one that is not counted."""
    found = []
    for _ in range(REPEATS + 1):
        wait()
        start = time.perf_counter()
        work()
        wait()
        found.append(time.perf_counter() - start)
    return median(found[1:])


def asked(scale: Scale, batch: int, precision: str) -> Params:
    """03 of the profile `paper` at this scale, one epoch."""
    given = {**scale.fields, "batch": batch, "precision": precision, "epochs": 1}
    return cases.params_of("train", "paper", **cases.ARM, **given)


ALL = {"train": ["P"], "validation": [], "test": []}


def random_frames(count: int, size: int) -> frames.Labelled:
    """Random labelled frames of one patient, P."""
    table = pd.DataFrame({"clip_id": [f"c{n}" for n in range(count)], "frame": 0, "patient_id": "P"})
    images, levels = cases.random_items(count, size)
    return frames.Labelled(table, images, levels, torch.ones(count, 6) > 0, [(0.1, 0.1)] * count)


def segmenter_speed(scale: Scale) -> pd.DataFrame:
    """Images a second of the package's own training, all that is in a step included, and of predicting."""
    rows = []
    for precision in PRECISIONS:
        for batch in scale.batches:
            p, data = asked(scale, batch, precision), random_frames(batch * scale.steps, scale.fields["size"])
            learn = seconds(lambda: segmenter.train(data, ALL, p))  # noqa: B023
            network = segmenter.build(p, 6)
            see = seconds(lambda: segmenter.predict(network, data.images, p.batch))  # noqa: B023
            row = {"precision": precision, "batch": batch, "images/s": len(data.images) / learn}
            rows.append(row | {"images/s predicted": len(data.images) / see})
    return pd.DataFrame(rows)


def network_speed(scale: Scale) -> pd.DataFrame:
    """Images or clips a second of a step of the networks alone, compiled (torch.compile) or not."""
    rows = []
    for name, precision, layout, compiled in VARIANTS[:: scale.every]:
        step, count = network_step(scale, name, precision, layout, compiled)
        start = time.perf_counter()
        step()
        wait()
        first = time.perf_counter() - start
        took = seconds(lambda: [step() for _ in range(scale.steps)])  # noqa: B023
        row = {"network": name, "precision": precision, "channels-last": layout == torch.channels_last}
        row |= {"compiled": compiled, "batch": count, "first step s": first}
        rows.append(row | {"items/s": count * scale.steps / took})
    return pd.DataFrame(rows)


def network_step(
    scale: Scale, name: str, precision: str, layout: torch.memory_format, compiled: bool
) -> tuple[Callable[[], None], int]:
    """A training step of a network alone, on inputs that are there already, and its images or clips."""
    p, where = asked(scale, scale.batches[0], precision), fitting.device()
    if name == "segmenter":
        network, more, shape = segmenter.build(p, 6), (), (p.batch, 1, p.size, p.size)
    else:
        network, more = (
            tasks_network.TaskNetwork(0, 7, p.task_frames),
            (None,),
        )
        shape = (scale.clips, p.task_frames, 7, p.task_size, p.task_size)
    network = network.to(where, memory_format=layout).train()
    inputs = torch.rand(shape, device=where)
    optimizer = torch.optim.Adam(network.parameters(), lr=p.learning_rate, fused=True)
    forward = torch.compile(network) if compiled else network

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(where.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            x = inputs if inputs.ndim > 4 else inputs.contiguous(memory_format=layout)
            outputs = forward(x, *more)
        nn.functional.softplus(outputs.float()).mean().backward()
        optimizer.step()

    return step, len(inputs)


def random_bank(scale: Scale, cohort: Cohort) -> clipbank.ClipBank:
    """Random frames and masks of every clip, where the package would place them."""
    size, shape = scale.fields["task_size"], (len(cohort.clips), scale.fields["task_frames"])
    gray = torch.randint(0, 256, (*shape, size, size), dtype=torch.uint8)
    packed = torch.randint(0, 256, (*shape, 6, size, -(-size // 8)), dtype=torch.uint8)
    return clipbank.ClipBank(cohort.clips, fitting.place(gray), cohort.features, fitting.place(packed))


def drawn_batches(task: str, cohort: Cohort, bank: clipbank.ClipBank, p: Params, count: int) -> list:
    """So many batches of a task, of all the patients of a cohort."""
    rng, found = np.random.default_rng(0), []
    lesson = batches.lesson(QUESTIONS[task], bank, cohort, list(cohort.patients["patient_id"]), p)
    while len(found) < count:
        found += batches.one_epoch(lesson, rng)
    return found[:count]


def task_speed(scale: Scale, cohort: Cohort) -> pd.DataFrame:
    """Seconds of a training step of each task, and of a clip that is only encoded, in each precision."""
    bank, rows = random_bank(scale, cohort), []
    for task in matrix.TASKS:
        batch = scale.clips // 2 if task == "readmission" else scale.clips
        for precision in PRECISIONS:
            p = cases.params_of(task, "paper", batch=batch, precision=precision, refresh_norm=False)
            network = train.build(QUESTIONS[task], bank, 1, p, None)
            drawn = drawn_batches(task, cohort, bank, p, scale.steps)
            learn = seconds(lambda: fit(network, bank, drawn, p))  # noqa: B023
            where = np.arange(min(len(cohort.clips), 8 * scale.clips))
            network = network.to(fitting.device()).eval()
            see = seconds(lambda: tasks_network.encode(network, bank, where, scale.clips))  # noqa: B023
            clips = sum(len(one.clips) for one in drawn)
            row = {"notebook": p.notebook, "precision": precision, "ms/step": 1e3 * learn / len(drawn)}
            rows.append(row | {"clips/s": clips / learn, "clips/s predicted": len(where) / see})
    return pd.DataFrame(rows)


def fit(network: nn.Module, bank: clipbank.ClipBank, drawn: list, p: Params) -> None:
    """Train on batches that are drawn already."""
    module, loader = (
        tasks_network.ClipTask(network, bank, np.arange(1), p, 1e-4),
        DataLoader(drawn, batch_size=None),
    )
    given = {"monitor": "validation_loss", "highest": False, "precision": p.precision}
    fitting.fit(module, loader, None, epochs=1, **given)


def where_time_goes(scale: Scale) -> tuple[str, float]:
    """A table of the segmenter's training by operation, and the share of the time that the GPU computes."""
    p = asked(scale, scale.batches[0], PRECISIONS[-1])
    data = random_frames(p.batch * scale.steps, p.size)
    segmenter.train(data, ALL, p)
    cuda = torch.cuda.is_available()
    with record(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as seen:
        start = time.perf_counter()
        segmenter.train(data, ALL, p)
        wait()
        took = time.perf_counter() - start
    averages = seen.key_averages()
    key = "self_device_time_total" if cuda else "self_cpu_time_total"
    busy = sum(one.self_device_time_total for one in averages) / 1e6 / took
    return averages.table(sort_by=key, row_limit=20, max_name_column_width=60), busy
