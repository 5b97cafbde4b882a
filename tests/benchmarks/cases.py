"""What the benchmarks work on, and our ways of doing the work, each prepared in the process that does it."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from lusnb import confidence, params
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.segment import fitting, segmenter
from lusnb.segment import frames as segment_frames
from lusnb.study import matrix
from lusnb.study import profile as study_profile
from lusnb.tasks import batches, clipbank
from lusnb.tasks import network as tasks_network
from lusnb.tasks import train as tasks_train
from lusnb.tasks.clipbank import ClipBank
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

ROOT = Path(__file__).parents[2]
FOLDS = 2
ARM = {"arm": "t060", "label_threshold": 0.6}


def params_of(notebook: str, profile: str, **changed: object) -> Params:
    """Parameters of a notebook under a profile, some of them changed. notebook: a key of matrix.NOTEBOOKS."""
    name = matrix.NOTEBOOKS[notebook]
    known = params.of_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    for given in set(changed) - set(known):
        raise params.ParameterError(params.unknown(name, given, known))
    values = {given: default for given, (_, default) in known.items()}
    return Params(name, values | study_profile.overrides(profile, name, ROOT) | changed)


def phantom(folder: Path) -> Path:
    """A phantom cohort: 14 patients, most of them to train on, 48 clips of 4 frames at 256 pixels."""
    plan = Plan(
        name="bench", n_patients=14, n_clips=48, size=256, n_frames=4, fps=10, split=(10, 2, 2),
        folds=FOLDS, seed=1,
    )  # fmt: skip
    return make_cohort(folder, plan, workers=2)


def copies(folder: Path, target: Path, count: int) -> Path:
    """A cohort that holds another one `count` times, patients and clips under new names; files are linked."""
    target.mkdir(parents=True)
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path)
        parts = []
        for n in range(count):
            names = {k: f"c{n}" + table[k] for k in ("patient_id", "clip_id") if k in table}
            if "path" in table:
                names["path"] = f"{n}/" + table["path"]
                for old, new in zip(table["path"], names["path"], strict=True):
                    (target / new).parent.mkdir(parents=True, exist_ok=True)
                    os.link(folder / old, target / new)
            parts.append(table.assign(**names))
        pd.concat(parts).to_csv(target / path.name, index=False)
    (target / "cohort.yaml").write_bytes((folder / "cohort.yaml").read_bytes())
    return target


# -- segmentation


def segmentation_params(encoder: str, **changed: object) -> Params:
    """03 of the profile `quick`: 96 pixels, its batch, decoder and learning rate."""
    return params_of("train", "quick", encoder=encoder, **ARM, **changed)


def roles_of(cohort: Cohort) -> dict[str, list[str]]:
    """All but the test patients train, and nobody validates: an epoch is its training alone."""
    test = cohort.patients_in("test")
    train = [one for one in cohort.patients["patient_id"] if one not in test]
    return {"train": train, "validation": [], "test": test}


def segmenter_epochs(folder: Path, encoder: str, epochs: int) -> Callable[[], int]:
    """Our training of a segmenter from its labelled frames in memory, `epochs` epochs a round."""
    p = segmentation_params(encoder, epochs=epochs)
    cohort = cohorts.read(folder, FOLDS, look=False)
    roles = roles_of(cohort)
    frames = segment_frames.load(cohort, p, roles["train"])
    count = len(frames.of(roles["train"])) * epochs

    def work() -> int:
        segmenter.train(frames, roles, p)
        return count

    return work


def network_steps(encoder: str, steps: int, by_step: bool = False) -> Callable[..., int]:
    """Training steps of the network alone, always on one batch in memory; units are images, or steps."""
    p = segmentation_params(encoder)
    network = segmenter.build(p, 6).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    images = torch.rand(p.batch, 1, p.size, p.size).contiguous(memory_format=torch.channels_last)

    def work(*_: object) -> int:
        for _ in range(steps):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
        return steps * (1 if by_step else p.batch)

    return work


def fed(folder: Path, epochs: int, opened: bool = False) -> Callable[[], int]:
    """What our network is fed, without the network: batches, augmented, as targets and weights.

    opened: read and resize the cohort's frames and labels in the round too, as once a training.
    """
    p = segmentation_params("mobilenet_v2")
    cohort = cohorts.read(folder, FOLDS, look=False)
    roles = roles_of(cohort)
    module = segmenter.Segmenter(torch.nn.Identity(), p)
    frames = segment_frames.load(cohort, p, roles["train"])
    count = len(frames.of(roles["train"])) * epochs

    def work() -> int:
        data = segment_frames.load(cohort, p, roles["train"]) if opened else frames
        loader, _ = segmenter._loaders(data, roles, p)
        with torch.no_grad():
            for _ in range(epochs):
                for images, levels, _known in loader:
                    images, c = module.augment(images.float() / 255, levels[:, 0].float() / 255)
                    images = images.mul(2).sub(1).contiguous(memory_format=torch.channels_last)
                    confidence.shown(c, p)
        return count

    return work


IMAGES = 128 * 96**2  # pixels of the images that are augmented in a round, over all of them


def random_items(batch: int, size: int) -> tuple:
    """Images and levels as they lie in memory: uint8 (batch, 1, size, size), (batch, 6, size, size)."""
    return tuple(torch.randint(0, 256, (batch, c, size, size), dtype=torch.uint8) for c in (1, 6))


def repeats(batch: int, size: int) -> int:
    """How many batches of that kind are augmented in a round."""
    return max(2, IMAGES // (batch * size**2))


def augmented() -> Callable[[int, int], int]:
    """Our augmentation alone, of batches of a size."""
    augment = segmenter.Segmenter(torch.nn.Identity(), segmentation_params("mobilenet_v2")).augment

    def work(batch: int, size: int) -> int:
        images, levels = random_items(batch, size)
        with torch.no_grad():
            for _ in range(repeats(batch, size)):
                augment(images.float() / 255, levels.float() / 255)
        return batch * repeats(batch, size)

    return work


def trivial_steps(steps: int, plain: bool) -> Callable[[], int]:
    """Training steps of a network that does next to nothing: the loop is left. plain: without Lightning."""
    p = segmentation_params("mobilenet_v2")
    shapes = (p.batch, 1, 32, 32), (p.batch, 1, 6, 32, 32)
    batch = *(torch.randint(0, 256, s, dtype=torch.uint8) for s in shapes), torch.ones(p.batch, 1, 6) > 0
    loader = DataLoader([batch] * steps, batch_size=None)

    def work() -> int:
        module = segmenter.Segmenter(torch.nn.Conv2d(1, 6, 1), p)
        if not plain:
            given = {"monitor": "validation_iou", "highest": True, "precision": p.precision}
            fitting.fit(module, loader, None, epochs=1, **given)
            return steps
        optimizer, module.log = module.configure_optimizers()["optimizer"], lambda *_, **__: None
        for k, one in enumerate(loader):
            optimizer.zero_grad()
            module.training_step(one, k).backward()
            optimizer.step()
        return steps

    return work


# -- tasks

ONCE = "segment"  # what is done once an arm, beside the tasks


def open_tasks(folder: Path, size: int, frames: int) -> tuple:
    """A cohort, and the bank of its clips with random masks of the shape of a segmenter's."""
    cohort = cohorts.read(folder, FOLDS, look=False)
    bank = clipbank.load(cohort, size, frames)
    shape = (len(cohort.clips), frames, len(cohort.features), size, -(-size // 8))
    return cohort, replace(bank, packed=torch.randint(0, 256, shape, dtype=torch.uint8))


def change_steps(
    folder: Path, pairing: str, steps: int | None, size: int, frames: int, most: int | None = None
) -> Callable[[], int]:
    """Steps of task 1's training, or a whole epoch where `steps` is None; units are pairs.

    most: so many clips of each zone are trained on.
    """
    p = params_of("sf_change", "quick", pairing=pairing, batch=32, batch_pairs=16, refresh_norm=False)
    cohort, bank = open_tasks(folder, size, frames)
    dated = cohort.clips[cohort.clips["sf_ratio"].notna()]
    chosen = dated.groupby(dated["view"].map(cohort.views)).head(most or len(dated))
    network = tasks_train.build(QUESTIONS["sf_change"], bank, 1, p, None)
    rng, everybody = np.random.default_rng(0), list(cohort.patients["patient_id"])

    def work() -> int:
        lesson = batches.lesson(QUESTIONS["sf_change"], bank, replace(cohort, clips=chosen), everybody, p)
        drawn = list(islice(batches.one_epoch(lesson, rng), steps))
        module = tasks_network.ClipTask(network, bank, np.arange(len(chosen)), p, 1e-4)
        given = {"monitor": "validation_loss", "highest": False, "precision": p.precision}
        fitting.fit(module, DataLoader(drawn, batch_size=None), None, epochs=1, **given)
        return sum(len(batch.target) for batch in drawn)

    return work


def task_params(task: str, **changed: object) -> Params:
    """A task of the profile `quick`."""
    return params_of(task, "quick", arm=ARM["arm"], **changed)


def one_training(task: str, cohort: Cohort, bank: ClipBank, **changed: object) -> int:
    """Train one fold of a task as `quick` does, with one learning rate."""
    rate = task_params(task).learning_rates[:1]
    tasks_train.train_fold(
        QUESTIONS[task], cohort, bank, 1, task_params(task, learning_rates=rate, **changed)
    )
    return 1


def segmented_tasks(folder: Path, encoder: str, **changed: object) -> tuple:
    """A cohort, the bank of its clips without masks, a segmenter, and its parameters, of `quick`."""
    p = segmentation_params(encoder, **changed)
    cohort = cohorts.read(folder, FOLDS, look=False)
    network = segmenter.build(p, len(cohort.features)).eval()
    return cohort, clipbank.load(cohort, p.task_size, p.task_frames), network, p


def tasks(folder: Path, encoder: str, size: int) -> Callable[[str], int]:
    """What a further arm costs behind its segmenter: segment every clip once, a training of each task."""
    cohort, bank, network, p = segmented_tasks(folder, encoder, size=size)
    masks, _ = segmenter.segment_clips(network, cohort, p, 128)
    stored = replace(bank, packed=torch.from_numpy(masks))

    def work(task: str) -> int:
        if task != ONCE:
            return one_training(task, cohort, stored)
        segmenter.segment_clips(network, cohort, p, 128)
        return 1

    return work


# -- growth


def grown(folder: Path) -> Callable[[str], int]:
    """What grows with a cohort: opening it, reading its clips for the tasks, an epoch of each training."""
    p = segmentation_params("mobilenet_v2", size=64, epochs=1)
    cohort, bank = open_tasks(folder, 32, 2)
    roles = roles_of(cohort)
    frames = segment_frames.load(cohort, p, roles["train"])
    do = {
        "opening": lambda: cohorts.read(folder, FOLDS),
        "reading the clips": lambda: clipbank.load(cohort, 64, 4),
        "an epoch of task 1": lambda: one_training("sf_change", cohort, bank, epochs=1),
        "an epoch of the segmenter": lambda: segmenter.train(frames, roles, p),
    }

    def work(what: str) -> int:
        do[what]()
        return 1

    return work


GROWN = ("opening", "reading the clips", "an epoch of task 1", "an epoch of the segmenter")
