"""How much work a profile is, counted from params/ alone, and how many minutes it is at given speeds.

The cohort's tables are drawn as 00_cohort would draw them; no clip is rendered and no network trained.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lusnb import files
from lusnb.cohort import cohort as cohorts
from lusnb.cohort import splits
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.phantom import plan as plans
from lusnb.phantom.plan import Plan
from lusnb.study import matrix
from lusnb.study import profile as study_profile
from lusnb.tasks import batches, clipbank
from lusnb.tasks.registry import TASKS

QUESTIONS = {name: task.question for name, task in TASKS.items()}

TRAIN = matrix.NOTEBOOKS["train"]
TASK_OF = {matrix.NOTEBOOKS[task]: task for task in matrix.TASKS}


@dataclass(frozen=True)
class Work:
    """The work of one training node, over all its folds, learning rates and epochs.

    steps: of the optimiser. learnt: images (03) or clips (tasks) over all of them. seen: those that only go
    forward. Of 03 alone: read, labelled frames; measured, of which metrics are taken; segmented, clips.
    """

    notebook: str
    arm: str
    steps: int
    learnt: int
    seen: int
    read: int = 0
    measured: int = 0
    segmented: int = 0


@dataclass(frozen=True)
class Speeds:
    """Seconds: of an image or clip that is learnt (with its part of the step), or only seen, by notebook; of
    the processor for a labelled frame that is read or measured, for a clip that is segmented beside the
    network, for a clip that is simulated (one process), and for a notebook that computes next to nothing."""

    learnt: dict[str, float]
    seen: dict[str, float]
    read: float
    measured: float
    segmented: float
    simulated: float
    node: float


def asked(node: study_profile.Node) -> Params:
    """A node's parameters."""
    return Params(node.notebook, study_profile.parameters(node))


def tables_of(node: study_profile.Node) -> Cohort:
    """The cohort of a phantom's 00_cohort node, its tables alone."""
    p = asked(node)
    plan = Plan.of(p)
    drawn = plans.people_and_views(plan)
    views = drawn.pop("views")
    with tempfile.TemporaryDirectory() as place:
        for name, table in {**drawn, **plans.clip_tables(plan, views)}.items():
            files.write_csv(Path(place) / f"{name}.csv", table)
        files.write_text(Path(place) / "cohort.yaml", plans.describe(plan))
        return cohorts.read(place, p.folds, look=False)


def _segmenter(node: study_profile.Node, cohort: Cohort) -> Work:
    p, frames = asked(node), cohorts.labelled_frames(cohort)
    roles = splits.roles(cohort.patients, p.fold, p.protocol)
    count = {name: int(frames["patient_id"].isin(ids).sum()) for name, ids in roles.items()}
    steps = -(-count["train"] // p.batch)
    steps -= steps > 1 and count["train"] % p.batch == 1  # a last batch of one joins the one before
    measured, clips = count["validation"] + count["test"], len(cohort.clips)
    # every epoch validates; then come all frames, those that are measured without training, all clips' frames
    seen = p.epochs * count["validation"] + len(frames) + measured + clips * p.task_frames
    learnt = p.epochs * count["train"]
    return Work(node.notebook, p.arm, p.epochs * steps, learnt, seen, len(frames), measured, clips)


def _task(node: study_profile.Node, cohort: Cohort) -> Work:
    p, task = asked(node), TASK_OF[node.notebook]
    bank = clipbank.ClipBank(cohort.clips, torch.zeros(len(cohort.clips), 1, 1, 1), cohort.features)
    steps = learnt = seen = 0
    for fold in splits.task_folds(cohort.patients, p.protocol):
        roles = splits.task_roles(cohort.patients, fold, p.protocol)
        lesson = batches.lesson(QUESTIONS[task], bank, cohort, roles["train"], p)
        drawn = list(batches.one_epoch(lesson, np.random.default_rng(0)))
        clips = {}
        for role in ("validation", "test"):
            units = batches.units(QUESTIONS[task], cohort, roles[role], p)
            clips[role] = len(batches.as_batch(bank, units).clips) if len(units) else 0
        again = cohort.clips["patient_id"].isin(roles["train"]).sum() if p.refresh_norm else 0
        epochs = p.epochs * len(p.learning_rates)
        steps += epochs * len(drawn)
        learnt += epochs * sum(len(batch.clips) for batch in drawn)
        seen += epochs * (clips["validation"] + again) + sum(clips.values())
    return Work(node.notebook, p.arm, steps, learnt, int(seen))


def of_profile(profile: str) -> tuple[pd.DataFrame, list[study_profile.Node]]:
    """The work of every training node of a profile, one row each (Work), and all its nodes."""
    nodes = study_profile.nodes(study_profile.load(profile))
    made = {dict(n.identity)["cohort"]: tables_of(n) for n in simulations(nodes)}
    cohort_of = lambda node: made[dict(node.identity)["cohort"]]  # noqa: E731
    rows = [_segmenter(node, cohort_of(node)) for node in nodes if node.notebook == TRAIN]
    rows += [_task(node, cohort_of(node)) for node in nodes if node.notebook in TASK_OF]
    return pd.DataFrame(rows), nodes


def simulations(nodes: list[study_profile.Node]) -> list[study_profile.Node]:
    """The nodes that make a cohort."""
    return [node for node in nodes if node.notebook == matrix.NOTEBOOKS["cohort"]]


def minutes(work: pd.DataFrame, nodes: list[study_profile.Node], speeds: Speeds) -> pd.DataFrame:
    """Minutes of a whole profile, one node at a time: gpu (networks), and cpu, which GPUs do not shorten."""
    rows = {}
    for name, count in work.groupby("notebook").sum(numeric_only=True).iterrows():
        rows[f"{name}: learn"] = count["learnt"] * speeds.learnt[name], 0
        rows[f"{name}: validate, predict"] = count["seen"] * speeds.seen[name], 0
    count = work.sum(numeric_only=True)
    rows["read labels"] = 0, count["read"] * speeds.read
    rows["measure frames"] = 0, count["measured"] * speeds.measured
    rows["store clips' masks"] = 0, count["segmented"] * speeds.segmented
    clips = sum(asked(node).clips / asked(node).workers for node in simulations(nodes))
    rows["simulate the cohort"] = 0, clips * speeds.simulated
    rows[f"{len(nodes)} notebooks themselves"] = 0, len(nodes) * speeds.node
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["gpu", "cpu"]) / 60
    table.loc["together"] = table.sum()
    return table
