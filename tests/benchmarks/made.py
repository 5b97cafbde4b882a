"""Scores of studies in which nothing is to be found, in the shape that the package's functions take."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from lusnb.segment import averages
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.registry import TASKS

TRUTH_SD = 0.2  # of a patient's S/F / maximum about the mean of all, and of the days about the patient's
DAY_SD = 0.1
ARM_SD = 0.08  # what an arm's model errs by, in the middle
CLASSES = {"sf_change": 3, "readmission": 2}
TRIVIAL = {"sf_change": "majority", "sf_ratio": "mean", "readmission": "majority"}


def names(patients: int, first: int = 0) -> list[str]:
    """P0000 and on."""
    return [f"P{k:04}" for k in range(first, first + patients)]


# -- segmentation


def patient_scores(values: pd.DataFrame, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Each patient's IoU in each arm (a row, a column) as images of two features, averaged by the package."""
    parts = []
    for metric in metrics:
        for feature, off in (("sharp_pleura", 0.02), ("b_line", -0.02)):
            tidy = (values + off).rename_axis("patient_id").reset_index().melt("patient_id", var_name="arm")
            parts.append(tidy.assign(feature=feature, metric=metric))
    images = pd.concat(parts, ignore_index=True).assign(seed=0, frame=0)
    images["clip_id"] = images["patient_id"] + "_d0_L1"
    return averages.patient_scores(images, list(values.index))


# -- tasks


def units(task: str, patients: list[str], rng: Generator) -> pd.DataFrame:
    """What a task asks of each patient, with outcomes drawn at random: two days (three in S/F change)."""
    if task == "readmission":
        truth = rng.binomial(1, 0.4, len(patients))
        return pd.DataFrame(
            {"patient_id": patients, "view": "L1", "clip_1": "", "clip_2": "", "truth": truth}
        )
    if task == "sf_ratio":
        sf = 0.6 + rng.choice([-1, 1], len(patients)) * TRUTH_SD
        rows = [
            (p, f"{p}_{d}", d, "L1", sf[k] + rng.normal(0, DAY_SD))
            for k, p in enumerate(patients)
            for d in (0, 1)
        ]
        return pd.DataFrame(rows, columns=["patient_id", "clip_id", "day", "view", "truth"])
    rows = [(p, "", "", *days, rng.integers(3)) for p in patients for days in ((0, 1), (0, 2), (1, 2))]
    return pd.DataFrame(rows, columns=["patient_id", "clip_1", "clip_2", "day_1", "day_2", "truth"])


def predicted(
    task: str, asked: pd.DataFrame, guess: np.ndarray | float, noise: float, rng: Generator
) -> pd.DataFrame:
    """The units with a model's outputs. guess: S/F / maximum or the classes' shares, for all or one a row."""
    if task == "sf_ratio":
        return asked.assign(prediction=guess + rng.normal(0, noise, len(asked)))
    classes = CLASSES[task]
    logits = np.log(np.broadcast_to(guess, (len(asked), classes))) + rng.normal(
        0, noise, (len(asked), classes)
    )
    return asked.assign(**{f"logit_{k}": logits[:, k] for k in range(classes)}, temperature=1.0)


def learnt(task: str, asked: pd.DataFrame) -> np.ndarray | float:
    """What is trivially learnt of training units: their mean, or the classes' shares (one more of each)."""
    if task == "sf_ratio":
        return float(asked["truth"].mean())
    counts = np.bincount(asked["truth"].astype(int), minlength=CLASSES[task]) + 1
    return counts / counts.sum()


def run(made: pd.DataFrame, arm: str, model: str, fold: int) -> pd.DataFrame:
    """A model's test predictions of one fold as a part of a table of predictions."""
    return made.assign(arm=arm, model=model, seed=0, fold=fold, split="test")


GUESSES = ("constant", "folds' constants", "folds' own means", "noise")  # arms that know nothing


def ignorant(task: str, rng: Generator, train: int = 24, tested: int = 8, folds: int = 2) -> pd.DataFrame:
    """Scores (tasks_scores.score) under `paper` of models that know nothing, beside the trivial model.

    What is trivial is learnt in each fold from half of the patients outside the test. `constant`: one guess,
    learnt from all of them; `folds' constants`: each fold's own, from a half and off by some; `folds' own
    means`: what is trivial there; `noise`: scatters about it.
    """
    outside, asked = units(task, names(train), rng), units(task, names(tested, train), rng)
    everyone, parts = learnt(task, outside), []
    for fold in range(1, folds + 1):
        half = [p for k, p in enumerate(names(train)) if k % folds != fold - 1]
        own = learnt(task, outside[outside["patient_id"].isin(half)])
        off = own + 0.05 * rng.normal() if task == "sf_ratio" else own ** np.exp(0.3 * rng.normal())
        scatter = 0.05 if task == "sf_ratio" else 0.3
        guesses = dict(zip(GUESSES, ((everyone, 0), (off, 0), (own, 0), (own, scatter)), strict=True))
        made = [run(predicted(task, asked, own, 0, rng), "constant", TRIVIAL[task], fold)]
        made += [
            run(predicted(task, asked, g, noise, rng), arm, "tsm", fold)
            for arm, (g, noise) in guesses.items()
        ]
        parts += made
    return tasks_scores.score(TASKS[task], pd.concat(parts, ignore_index=True))


ARMS = ("one", "other")


def twins(task: str, protocol: str, groups: int, size: int, share: float, rng: Generator) -> pd.DataFrame:
    """Scores of two arms alike: `groups` folds of `size` patients each, to draw studies from (`drawn`).

    share: of the variance of what the arms differ by, how much a fold's patients have in common, as they have
    one model an arm under cross_fitted. Under `paper` one group: all patients, in each of two folds.
    """
    parts = []
    for arm in ARMS:
        for fold in range(1, groups + 1):
            who = names(size, size * (fold - 1) if protocol == "cross_fitted" else 0)
            common = np.random.default_rng([groups, fold if protocol == "cross_fitted" else 0])
            asked = units(task, who, common)  # the same in both arms
            luck = np.sqrt(share) * rng.normal() + np.sqrt(1 - share) * rng.normal(size=len(who))
            luck = pd.Series(luck, index=who).reindex(asked["patient_id"]).to_numpy()
            if task == "sf_ratio":
                off = (
                    ARM_SD * np.exp(luck / 2) * rng.choice([-1, 1], len(asked))
                )  # luck: how far, not which way
                made = predicted(task, asked, asked["truth"] + off, 0, rng)
            else:
                classes = CLASSES[task]
                right = np.exp(np.eye(classes)[asked["truth"].astype(int)] * (0.6 + luck)[:, None])
                made = predicted(task, asked, right / right.sum(1, keepdims=True), 0.7, rng)
            parts.append(run(made, arm, "tsm", fold))
    return tasks_scores.score(TASKS[task], pd.concat(parts, ignore_index=True), protocol)


def drawn(scores: pd.DataFrame, protocol: str, groups: int, patients: int, rng: Generator) -> pd.DataFrame:
    """A study from `twins`: some folds (under paper patients), in each of which the arms may be exchanged."""
    own = scores[(scores["patient_id"] != "") & (scores["fold"] > 0)]
    unit = own["fold"] if protocol == "cross_fitted" else own["patient_id"]
    chosen = rng.choice(unit.unique(), groups if protocol == "cross_fitted" else patients, replace=False)
    own = own[unit.isin(chosen)]
    swapped = unit[own.index].isin(chosen[rng.random(len(chosen)) < 0.5])
    arm = own["arm"].where(~swapped, own["arm"].map(dict(zip(ARMS, ARMS[::-1], strict=True))))
    return own.assign(arm=arm)
