"""What a study does on the processor beside its networks, measured in seconds of processor."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import measured
from lusnb.params import Params
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.segment import frames, segmenter
from lusnb.study import profile
from tests.benchmarks import workload
from tests.benchmarks.ways import processor
from tests.benchmarks.workload import Speeds
from tests.test_smoke import copy_project

COHORT = {"n_patients": 4, "n_clips": 8, "split": (2, 1, 1), "folds": 2, "seed": 0}


class Flat(nn.Module):
    """A network that takes no time: its logits are the image, once for each of six features."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, S, S) -> (N, 6, S, S)."""
        return images.expand(-1, 6, -1, -1)


def seconds(work: Callable[[], object]) -> float:
    """Seconds of processor of one call, its processes included."""
    start = processor()
    work()
    return processor() - start


def speeds(p: Params) -> Speeds:
    """Without those of the networks. p: parameters of 03, whose sizes are taken."""
    made = workload.asked(workload.simulations(profile.nodes(profile.load("paper")))[0])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "bench"
        given = {"size": made.size, "n_frames": made.frames, "fps": made.fps, "name": "bench", **COHORT}
        simulated = seconds(lambda: make_cohort(folder, Plan(**given))) / COHORT["n_clips"]
        cohort = cohorts.read(folder, COHORT["folds"])
        stored = seconds(lambda: segmenter.segment_clips(Flat(), cohort, p, 128)) / len(cohort.clips)
        return Speeds({}, {}, *labels_seconds(cohort, p), stored, simulated, node_seconds())


def labels_seconds(cohort: Cohort, p: Params) -> tuple[float, float]:
    """Seconds of a labelled frame: reading it and its labels, and taking all metrics of a good prediction."""
    read = seconds(lambda: frames.load(cohort, p, [])) / len(cohorts.labelled_frames(cohort))
    data = frames.load(cohort, p, [])
    c = data.confidence.float() / 255
    return read, seconds(lambda: measured.evaluate(8 * c - 4, c, p, data.spacing, 0.5)) / len(c)


def node_seconds() -> float:
    """Seconds of processor of a node of the profile `smoke`, little of which is computing."""
    with tempfile.TemporaryDirectory() as place:
        project = copy_project(Path(place) / "project")
        command = [sys.executable, "-m", "lusnb.study", "run", "smoke", "--jobs", "1"]
        run = lambda: subprocess.run(command, cwd=project, check=True, capture_output=True)  # noqa: E731
        return seconds(run) / len(profile.nodes(profile.load("smoke")))
