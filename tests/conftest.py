"""Fixtures that the tests share: a tiny phantom cohort, parameters of a notebook, the folder of samples."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lusnb import params
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.segment import segmenter
from lusnb.segment.frames import Labelled
from tests.frames import ROLES, synthetic
from tests.predicted import held, partly_labelled

PROJECT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a phantom cohort: 6 patients, 26 clips of 6 frames at 64 x 64; read it, never change it."""
    plan = Plan(
        name="phantom_tests",
        n_patients=6,
        n_clips=26,
        size=64,
        n_frames=6,
        fps=10,
        split=(3, 1, 2),
        folds=2,
        seed=1,
    )
    return make_cohort(tmp_path_factory.mktemp("cohort") / "phantom_tests", plan)


@pytest.fixture(scope="session")
def cohort(phantom: Path) -> Cohort:
    """The phantom cohort, opened with two folds."""
    return cohorts.read(phantom, 2)


@pytest.fixture(scope="session")
def params_of() -> Callable[..., params.Params]:
    """Make a notebook's Params: its declared defaults, with overrides that it must know.

    `params_of(epochs=2)` is of 03_train_segmentation, `params_of("05_sf_change", epochs=2)` of another.
    """

    def make(notebook: str = "03_train_segmentation", /, **overrides: object) -> params.Params:
        declared = params.of_notebook(PROJECT / "notebooks" / f"{notebook}.ipynb")
        for name in set(overrides) - set(declared):
            raise params.ParameterError(params.unknown(notebook, name, declared))
        values = {name: default for name, (_, default) in declared.items()} | overrides
        kinds = {name: kind for name, (kind, _) in declared.items()}
        checked = {n: params.check(notebook, n, kinds[n], value) for n, value in values.items()}
        return params.Params(notebook, checked)

    return make


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of sample recordings: LUSNB_SAMPLES, or shared/data beside the project's folder."""
    folder = Path(os.environ.get("LUSNB_SAMPLES") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no samples: {folder} is not a folder; set LUSNB_SAMPLES to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def data() -> Labelled:
    """Twenty synthetic labelled frames of four patients: tests/frames.py."""
    return synthetic()


@pytest.fixture(scope="session")
def p(params_of: Callable) -> params.Params:
    """Parameters of a training of two epochs on `data`."""
    return params_of(epochs=2, batch=4, size=64, label_threshold=0.6, learning_rate=0.01)


@pytest.fixture(scope="session")
def trained(data: Labelled, p: params.Params) -> tuple:
    """Network and history of these two epochs."""
    return segmenter.train(data, ROLES, p)


@pytest.fixture(scope="session")
def part(cohort: Cohort) -> Cohort:
    """The phantom cohort, partly labelled: tests/predicted.py."""
    return partly_labelled(cohort)


@pytest.fixture(scope="session")
def patients(part: Cohort) -> list[str]:
    """Its test patients."""
    return part.patients_in("test")


@pytest.fixture(scope="session")
def opened(part: Cohort) -> dict:
    """Predictions of two arms and two seeds, (arm, seed) -> Held, of networks that were never trained."""
    return {(arm, seed): held(part, 10 * k + seed) for k, arm in enumerate("ab") for seed in (0, 1)}
