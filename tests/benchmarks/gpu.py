"""The `paper` profile on one GPU: what its parts take, what the time goes to, and what the whole would take.

    python -m tests.benchmarks.gpu              on a GPU; about ten minutes
    python -m tests.benchmarks.gpu --tiny       anywhere, small: that it runs, not how fast a GPU is
    python -m tests.benchmarks.gpu --estimate   no GPU: an H200 reckoned from its data sheet (estimate.py)

The minutes of the whole are the seconds of an image or a clip times all those that the profile asks for
(workload.py), and what the processor does beside them (beside.py), measured where this runs.
"""

import argparse
import sys
from dataclasses import replace

import pandas as pd
import torch

from lusnb.study import profile
from tests.benchmarks import beside, estimate, parts, workload
from tests.benchmarks.parts import FULL, PRECISIONS, TINY, Scale
from tests.benchmarks.workload import TRAIN, Speeds

TARGET_IMAGES, TARGET_MINUTES = 600, 60  # images a second at 512 px and batch 8; the whole profile
NO_GPU = "THESE ARE NO FIGURES OF A GPU: "


def tell(title: str, what: pd.DataFrame | str) -> None:
    """Print a table or a text under its title."""
    print(f"\n{title}\n{what if isinstance(what, str) else what.round(3).to_string()}", flush=True)


def measured(scale: Scale, cpu: Speeds) -> Speeds:
    """Measure the networks, tell each table, and return the speeds with them."""
    simulated = workload.simulations(profile.nodes(profile.load("paper")))[0]
    segmenters = parts.segmenter_speed(scale)
    tell("the segmenter's training and predicting, as the package does it", segmenters)
    tell("a step of its network alone", parts.network_speed(scale))
    tasks = parts.task_speed(scale, workload.tables_of(simulated))
    tell("the tasks", tasks)
    goes, busy = parts.where_time_goes(scale)
    tell(f"what the segmenter's training goes to; a GPU computes {busy:.0%} of the time", goes)
    first = segmenters[segmenters["precision"] == PRECISIONS[-1]].iloc[0]  # at the batch of the profile
    used = tasks[tasks["precision"] == PRECISIONS[-1]].set_index("notebook")
    learnt = {TRAIN: 1 / first["images/s"], **(1 / used["clips/s"]).to_dict()}
    seen = {TRAIN: 1 / first["images/s predicted"], **(1 / used["clips/s predicted"]).to_dict()}
    return replace(cpu, learnt=learnt, seen=seen)


def estimated(found: dict[str, estimate.Part], name: str, cpu: Speeds) -> Speeds:
    """Speeds of an H200 under one of the assumptions of estimate.py."""
    part = {n: found["segmenter" if n == TRAIN else "tasks"] for n in (TRAIN, *workload.TASK_OF)}
    learnt = {n: one.seconds(one.learn, name) for n, one in part.items()}
    return replace(cpu, learnt=learnt, seen={n: one.seconds(one.see, name) for n, one in part.items()})


def verdict(where: str, work: pd.DataFrame, nodes: list[profile.Node], speeds: Speeds) -> None:
    """Tell the images a second and the minutes of the whole, beside their targets."""
    table = workload.minutes(work, nodes, speeds)
    alone, beside_it = table.loc["together"]
    tell(f"{where}minutes of the whole profile, one node at a time", table)
    print(f"{where}segmenter: {1 / speeds.learnt[TRAIN]:.0f} images/s, target {TARGET_IMAGES}")
    print(
        f"{where}whole: {alone + beside_it:.0f} minutes with one node at a time, {max(alone, beside_it):.0f} "
        f"where the processor's work of some nodes hides behind the GPU's of others (JOBS); "
        f"target {TARGET_MINUTES}"
    )


def main(words: list[str]) -> None:
    """Measure or reckon, and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--profile", default="paper")
    given = parser.parse_args(words)
    if not (given.tiny or given.estimate or torch.cuda.is_available()):
        sys.exit(
            "no GPU here: --tiny shows that the harness runs, --estimate reckons what an H200 would take"
        )
    scale = TINY if given.tiny else FULL
    torch.set_num_threads(1)  # as in a study
    work, nodes = workload.of_profile(given.profile)
    tell(f"the work of {given.profile}", work.groupby("notebook").sum(numeric_only=True))
    cpu = beside.speeds(parts.asked(scale, scale.batches[0], PRECISIONS[0]))
    if not given.estimate:
        where = "" if torch.cuda.is_available() else NO_GPU
        verdict(where, work, nodes, measured(scale, cpu))
        return
    found = estimate.parts(given.profile)
    tell("ESTIMATE for an H200, from its data sheet: a step", estimate.table_of(found))
    tell("the same for a GPU that others measured, images/s in training", estimate.check())
    for name in estimate.ASSUMED:
        verdict(f"ESTIMATE, {name}: ", work, nodes, estimated(found, name, cpu))


if __name__ == "__main__":
    main(sys.argv[1:])
