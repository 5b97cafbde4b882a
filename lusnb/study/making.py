"""One run being made: beside its place, under its lock, with what proves it later."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lusnb import files
from lusnb.params import ParameterError, Params
from lusnb.segment import choices
from lusnb.study import locks, matrix, notebooks, places, profile, proofs, reruns

PACKAGES = ("lusnb", "torch", "torchvision", "lightning", "segmentation-models-pytorch", "numpy", "pandas")
LOADED = time.time_ns()  # code that is written later is not what this process runs
OTHER_CELLS, EDITED = "cells ran that are not the notebook's", "its code was edited while its kernel ran"
NOT_ITS_CODE = (OTHER_CELLS, EDITED)  # in place of the fingerprint of its code: why a run does not count
READ: dict[str, dict[str, str]] = {"inputs": {}, "cohorts": {}}  # by the run that is open, with fingerprints


@dataclass(frozen=True)
class Run:
    """An open run; `path` names its files, `finish` closes it.

    folder: where it writes, beside `place`, which it takes when it is finished: until then the finished run
    that lies there stays as it is.
    """

    folder: Path
    params: Params
    base: Path
    place: Path
    made: dict = field(repr=False)

    def path(self, name: str) -> Path:
        """A file of this run; tables/ and figures/ go to the folders that the runs of a cohort share."""
        return self.folder / name

    @property
    def tables(self) -> Path:
        """The finished tables of the cohort, to read; a run's own are `path("tables/...")`."""
        return self.base / "runs" / self.params.profile / self.params.cohort / "tables"

    @property
    def figures(self) -> Path:
        """Where this run puts figures."""
        return self.path("figures")

    @property
    def cohort_folder(self) -> Path:
        """The folder of the cohort that this run reads."""
        return self.base / "data" / self.params.cohort

    def finish(self) -> None:
        """Let what this run made take its place, with the proof that it is whole (study/proofs.py).

        Raises RuntimeError where it was finished before, or has not left all that it promises.
        """
        where = self.place.relative_to(self.base)
        if not self.folder.is_dir():
            raise RuntimeError(f"{where}: this run is finished; run the notebook again from the top.")
        promised = notebooks.promised(self.params.notebook)
        if lacks := [name for name in promised if not self.path(name).is_file()]:
            raise RuntimeError(
                f"{where}: expected it to leave {', '.join(lacks)} (lusnb/study/notebooks_and_outputs.yaml), "
                "found none."
            )
        made = {**self.made, **{name: dict(found) for name, found in READ.items()}}
        if not _as_written(self.params.notebook, self.base):
            made["code"] = OTHER_CELLS
        proofs.seal(self.place, made, promised)
        for found in READ.values():
            found.clear()
        locks.release_all()
        print(f"finished: {where}")


def one_thread() -> None:
    """Compute with one thread on a CPU: the same tables whatever runs beside it."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def start(p: Params) -> Run:
    """Open the run of some parameters, in an empty folder beside its place, whose lock it holds.

    Writes params.yaml and provenance.json. Raises ParameterError where choices of a training do not go
    together, and when the arm's fields are not those that the profile's study.yaml gives this arm, locks.Busy
    where another process writes this run, or the cohort that 00_cohort would write.
    """
    one_thread()
    base = places.root()
    choices.check_together(p.notebook, p, base)
    _check_arm(p, base)
    place = base / "runs" / places.run_folder(p.notebook, p)
    code = _code(p.notebook, base, p)
    made = {"asked": dict(p), "code": code, "outside": reruns.outside(p, base)}
    locks.release_all()  # of a run of this kernel that was not finished
    writes = [place, *([base / "data" / p.cohort] if p.notebook == matrix.NOTEBOOKS["cohort"] else [])]
    for folder in writes:
        locks.hold(locks.of(folder), str(folder.relative_to(base)))
    folder = proofs.begin(place)
    files.write_text(folder / "params.yaml", yaml.safe_dump(dict(p), sort_keys=False))
    files.write_json(folder / "provenance.json", _provenance(code, base))
    return Run(folder, p, base, place, made)


def _check_arm(p: Params, base: Path) -> None:
    if "label_threshold" not in p or not (base / "params" / p.profile / "study.yaml").is_file():
        return
    for name, value in profile.load(p.profile, base).arms.get(p.arm, {}).items():
        if p[name] != value:
            raise ParameterError(
                f"{p.notebook}: arm {p.arm} of profile {p.profile} has {name} = {value!r}, got {p[name]!r}; "
                "give that value, or the arm another name."
            )


def _code(notebook: str, base: Path, asked: Mapping[str, object] | None = None) -> str:
    """The fingerprint of the code that this process runs; EDITED where that is not what is on disk."""
    reruns.forget()
    times = [path.stat().st_mtime_ns for path in reruns.used(notebook, base) if path.suffix == ".py"]
    return reruns.code_fingerprint(notebook, base, asked) if max(times) < LOADED else EDITED


def _as_written(notebook: str, base: Path) -> bool:
    """Whether the cells that ran are the notebook's, each once, in its order, whatever its parameters.

    True outside of a notebook, where nobody knows. In JupyterLab cells may be changed, left out or repeated.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return True
    ran = [cell.strip() for cell in shell.history_manager.input_hist_raw if cell.strip()]
    first = max((k for k, cell in enumerate(ran) if "params.freeze(" in cell), default=0)
    cells = [cell.strip() for kind, cell in reruns.cells(notebook, base) if kind == "code"]
    begin = next(k for k, cell in enumerate(cells) if "params.freeze(" in cell)
    return ran[first:] == cells[begin:]


def _provenance(code: str, base: Path) -> dict:
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    git = ["git", "-C", str(base), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or None
    return {"python": platform.python_version(), "packages": versions, "commit": commit, "code": code}
