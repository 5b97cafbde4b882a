"""Runs: how a notebook opens its own (making.py), and finds what finished ones left."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from lusnb import arms as describe
from lusnb import cohort as cohorts
from lusnb import held, params, predictions, proofs, reruns, segmented, splits, study
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort import Cohort
from lusnb.held import Held
from lusnb.making import READ, Run, one_thread, start
from lusnb.params import ParameterError, Params
from lusnb.segmented import Segmented

__all__ = ["Run", "one_thread", "start"]  # what notebooks take from here, beside what follows

IDS = ("arm", "reference", "patient_id", "clip_id", "clip_1", "clip_2", "feature", "view", "rater", "other")


class MissingRun(FileNotFoundError):
    """A finished run that a notebook needs and does not find, or not as it was left."""


def find(p: Params, notebook: str, **identity: object) -> Path:
    """The folder of a finished run of the same profile and cohort, whose files are what it left.

    Raises MissingRun with the one command that makes what is missing or damaged.
    """
    base = study.root()
    where = study.run_folder(notebook, {"profile": p.profile, "cohort": p.cohort, **identity})
    folder = base / "runs" / where
    proofs.settle(folder)
    try:
        proof = proofs.read(folder)
    except proofs.Unproven as error:
        lies = "which is not there" if str(error) == proofs.NOT_MADE else f"which is {error}"
        raise MissingRun(
            f"{p.notebook} needs the finished run runs/{where}, {lies}; "
            + study.advice(p.profile, identity.get("arm"))
        ) from None
    if bad := proofs.damaged(folder, proof):
        raise MissingRun(
            f"{p.notebook} needs runs/{where}, but {', '.join(bad)} there is no longer what that run left; "
            + study.advice(p.profile, identity.get("arm"))
        )
    READ["inputs"][where] = proofs.identity(proof)
    return folder


def trained(p: Params) -> Path | None:
    """The folder of a finished 03 run of the arm, seed and fold that p names; None where there is none."""
    try:
        return find(p, study.NOTEBOOKS["train"], arm=p.arm, seed=p.seed, fold=p.fold)
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
    base = study.root()
    checked = base / "runs" / study.run_folder("00_cohort", {"profile": p.profile, "cohort": p.cohort})
    if not _is_whole(checked):
        _make_cohort(p, base)
    proof, then = proofs.read(checked), reruns.checked(checked)
    folder = base / "data" / p.cohort
    now = reruns.fingerprint_now(folder, then)
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


def _asked_of_arms(p: Params) -> dict[str, dict]:
    """All parameters of the training of each arm of the profile, its first seed and fold."""
    base = study.root()
    found: dict[str, dict] = {}
    for node in study.nodes(study.load(p.profile, base)):
        if node.notebook == study.NOTEBOOKS["train"]:
            found.setdefault(dict(node.identity)["arm"], study.parameters(node, base))
    return found


def arms(p: Params) -> pd.DataFrame:
    """The arms of the profile in the order of its study.yaml, indexed by arm: see `arms.table`."""
    path = study.root() / "notebooks" / f"{study.NOTEBOOKS['train']}.ipynb"
    declared = {name: value for name, (_, value) in params.of_notebook(path).items()}
    return describe.table(_asked_of_arms(p), declared | study.overrides(p.profile, study.NOTEBOOKS["train"]))


def check_measured_on(p: Params) -> None:
    """Raise ParameterError unless every arm was measured on labels merged as `p.measured_on` says."""
    for arm, asked in _asked_of_arms(p).items():
        if asked["measured_on"] != p.measured_on:
            raise ParameterError(
                f"{p.notebook}: measured_on is {p.measured_on!r}, but arm {arm} was measured on "
                f"{asked['measured_on']!r}; give all the same in params/{p.profile}."
            )


def tested(p: Params, cohort: Cohort) -> list[str]:
    """The patients that arms are compared on: the published test patients; where cross-fitted, everybody."""
    if study.load(p.profile).protocol == "paper":
        return cohort.patients_in("test")
    return list(cohort.patients["patient_id"])


def segmentation_metrics(p: Params, cohort: Cohort, names: list[str]) -> pd.DataFrame:
    """The training runs' metrics of some arms, every seed: of held-out patients, and what was tuned."""
    asked = study.load(p.profile)
    parts = []
    for fold in asked.segmenter_folds:
        table = gather(p, study.NOTEBOOKS["train"], "metrics.csv", names, fold=fold)
        held_out = splits.roles(cohort.patients, fold, asked.protocol)["test"]
        parts.append(table[table["patient_id"].isin(held_out) | table["patient_id"].isna()])
    return pd.concat(parts, ignore_index=True)


def gather(p: Params, notebook: str, name: str, arms: list[str], **identity: object) -> pd.DataFrame:
    """A table of every arm and seed of a profile, stacked in this order; MissingRun if one is absent."""
    seeds = study.load(p.profile).seeds
    found = [find(p, notebook, arm=arm, seed=seed, **identity) for arm in arms for seed in seeds]
    parts = [read_csv(folder, name) for folder in found]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def task_tables(p: Params, name: str) -> dict[str, pd.DataFrame]:
    """A table of every task of the profile, all its arms and baselines; empty for a task it leaves out.

    name: metrics.csv for the scores, predictions.csv for what they are of.
    """
    asked = study.load(p.profile)
    names = list(asked.task_arms(p.cohort))
    return {
        task: gather(p, study.NOTEBOOKS[task], name, names) if task in asked.tasks else pd.DataFrame()
        for task in study.TASKS
    }


def task_scores(p: Params) -> dict[str, pd.DataFrame]:
    """Scores of every task of the profile (outcomes.score)."""
    return task_tables(p, "metrics.csv")


def task_predictions(p: Params) -> dict[str, pd.DataFrame]:
    """Predictions of every task of the profile (outcomes.py)."""
    return task_tables(p, "predictions.csv")


def open_held_out(p: Params, names: list[str], fingerprint: str) -> dict[tuple[str, int], Held]:
    """What arms say about patients they never saw, every seed: (arm, seed) -> Held; folds put together."""
    asked = study.load(p.profile)
    found, notebook = {}, study.NOTEBOOKS["train"]
    for arm in names:
        for seed in asked.seeds:
            folders = [find(p, notebook, arm=arm, seed=seed, fold=fold) for fold in asked.segmenter_folds]
            found[arm, seed] = held.stitch([predictions.read(folder, fingerprint) for folder in folders])
    return found


def open_segmenter(p: Params, cohort: Cohort, fingerprint: str) -> Segmented:
    """The masks that a task run reads, fold by fold: of its arm, or the true ones.

    Where there are none, for grayscale alone, size and frames are those of the profile's first arm.
    """
    asked = study.load(p.profile)
    if p.protocol != asked.protocol:
        raise ParameterError(
            f"{p.notebook}: protocol is {p.protocol!r}, but profile {p.profile} has {asked.protocol!r}; "
            "give that."
        )
    arm = study.segmenter_of(asked, p.arm)
    parts = {}
    for fold, inner in [(fold, 0) for fold in asked.segmenter_folds] + list(asked.inner_pairs):
        folder = find(p, study.NOTEBOOKS["train"], arm=arm, seed=p.seed, fold=fold, inner=inner)
        name = folder.relative_to(study.root() / "runs" / p.profile / p.cohort).as_posix()
        parts[fold, inner] = predictions.read(folder, fingerprint), name
        if p.arm in (GRAYSCALE, TRUE_MASKS):
            break  # a baseline takes nothing of it but the size and the frames
    first = next(iter(parts.values()))
    if p.arm == TRUE_MASKS:
        return segmented.true(cohort, first[0])
    if p.arm == GRAYSCALE or asked.protocol == "paper":
        return segmented.whole(cohort, *first)
    return segmented.cross_fitted(cohort, parts)


def _make_cohort(p: Params, base: Path) -> None:
    made = [n for n in study.nodes(study.load(p.profile, base)) if n.notebook == "00_cohort"]
    node = next((n for n in made if dict(n.identity)["cohort"] == p.cohort), None)
    if node is None:
        raise MissingRun(
            f"{p.notebook}: cohort {p.cohort} is not in params/{p.profile}/study.yaml and 00_cohort has not "
            "checked it yet; add it there, or run 00_cohort with this profile and cohort."
        )
    print(f"cohort {p.cohort} is not there yet: 00_cohort makes it")
    make = [sys.executable, "-m", "lusnb.nodes", node.folder]
    done = subprocess.run(make, cwd=base, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"00_cohort failed: {done.stderr[-2000:]}")
