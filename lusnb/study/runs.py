"""Runs: how a notebook opens its own (study/making.py), and finds what finished ones left."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from lusnb.cohort import cohort as cohorts
from lusnb.cohort import fingerprint
from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.study import matrix, places, profile, proofs
from lusnb.study.making import READ, Run, one_thread, start

__all__ = ["Run", "one_thread", "start"]  # what notebooks take from here, beside what follows

IDS = ("arm", "reference", "patient_id", "clip_id", "clip_1", "clip_2", "feature", "view", "rater", "other")


class MissingRun(FileNotFoundError):
    """A finished run that a notebook needs and does not find, or not as it was left."""


def find(p: Params, notebook: str, **identity: object) -> Path:
    """The folder of a finished run of the same profile and cohort, whose files are what it left.

    Raises MissingRun with the one command that makes what is missing or damaged.
    """
    base = places.root()
    where = places.run_folder(notebook, {"profile": p.profile, "cohort": p.cohort, **identity})
    folder = base / "runs" / where
    proofs.settle(folder)
    try:
        proof = proofs.read(folder)
    except proofs.Unproven as error:
        lies = "which is not there" if str(error) == proofs.NOT_MADE else f"which is {error}"
        raise MissingRun(
            f"{p.notebook} needs the finished run runs/{where}, {lies}; "
            + profile.advice(p.profile, identity.get("arm"))
        ) from None
    if bad := proofs.damaged(folder, proof):
        raise MissingRun(
            f"{p.notebook} needs runs/{where}, but {', '.join(bad)} there is no longer what that run left; "
            + profile.advice(p.profile, identity.get("arm"))
        )
    READ["inputs"][where] = proofs.identity(proof)
    return folder


def trained(p: Params) -> Path | None:
    """The folder of a finished 03 run of the arm, seed and fold that p names; None where there is none."""
    try:
        return find(p, matrix.NOTEBOOKS["train"], arm=p.arm, seed=p.seed, fold=p.fold)
    except MissingRun:
        return None


def read_csv(folder: Path, name: str) -> pd.DataFrame:
    """Read a table of a finished run; identifiers stay text."""
    ids = dict.fromkeys(IDS, str)
    return pd.read_csv(folder / name, dtype=ids, keep_default_na=False, na_values=[""])


def open_cohort(p: Params) -> tuple[Cohort, str]:
    """Open a run's cohort, and the fingerprint that 00_cohort found; make the cohort where it is missing.

    Raises ValueError when the files are no longer those that 00_cohort checked.
    """
    base = places.root()
    checked = base / "runs" / places.run_folder("00_cohort", {"profile": p.profile, "cohort": p.cohort})
    if not _is_whole(checked):
        _make_cohort(p, base)
    proof, then = proofs.read(checked), fingerprint.checked(checked)
    folder = base / "data" / p.cohort
    now = fingerprint.fingerprint_now(folder, then)
    if now != then["cohort"]:
        raise ValueError(
            f"{folder}: files changed since 00_cohort checked them "
            f"({then['cohort']} then, {now} now); "
            f"run 00_cohort again, or: make study PROFILE={p.profile}"
        )
    READ["cohorts"][p.cohort] = now
    return cohorts.read(folder, proof["asked"]["folds"], look=False), now


def _is_whole(folder: Path) -> bool:
    """Whether a finished run lies there as it was left."""
    proofs.settle(folder)
    try:
        return not proofs.damaged(folder, proofs.read(folder))
    except proofs.Unproven:
        return False


def _make_cohort(p: Params, base: Path) -> None:
    made = [n for n in profile.nodes(profile.load(p.profile, base)) if n.notebook == "00_cohort"]
    node = next((n for n in made if dict(n.identity)["cohort"] == p.cohort), None)
    if node is None:
        raise MissingRun(
            f"{p.notebook}: cohort {p.cohort} is not in params/{p.profile}/study.yaml and 00_cohort has not "
            "checked it yet; add it there, or run 00_cohort with this profile and cohort."
        )
    print(f"cohort {p.cohort} is not there yet: 00_cohort makes it")
    make = [sys.executable, "-m", "lusnb.study.nodes", node.folder]
    done = subprocess.run(make, cwd=base, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"00_cohort failed: {done.stderr[-2000:]}")
