"""Predictions of the three tasks without any training, drawn from a seeded generator."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd

from lusnb.tasks import scores
from lusnb.tasks.registry import TASKS

ARMS = ("t000", "t060", "grayscale", "true_masks")
SKILL = {"t000": 0.5, "t060": 1.0, "grayscale": 0.3, "true_masks": 2.0}  # how much of the truth a guess holds
VIEWS = ("R1", "L1", "R2")
TIDY = [*scores.RUN, "patient_id", "metric", "value"]
MODELS = {"sf_change": ("tsm", "majority", "ridge", "logistic"), "sf_ratio": ("tsm", "mean", "ridge")}


def units(task: str, patients: int, rng: np.random.Generator) -> pd.DataFrame:
    """What a task asks of so many patients: each seen on three days from three views."""
    names = [f"P{k:02}" for k in range(patients)]
    readmitted = dict(zip(names, rng.permutation(np.arange(patients) % 2), strict=True))
    sf = {(name, day): value for name in names for day, value in enumerate(rng.uniform(0.3, 1, 3).round(1))}
    clips = [(name, day, view) for name in names for day in range(3) for view in VIEWS]
    if task == "sf_ratio":
        rows = [(p, f"{p}_{d}_{v}", d, v, sf[p, d]) for p, d, v in clips]
        return pd.DataFrame(rows, columns=["patient_id", "clip_id", "day", "view", "truth"])
    if task == "readmission":
        rows = [(p, v, f"{p}_0_{v}", f"{p}_1_{v}", readmitted[p]) for p in names for v in VIEWS]
        return pd.DataFrame(rows, columns=["patient_id", "view", "clip_1", "clip_2", "truth"])
    pairs = [(a, b) for a, b in combinations(clips, 2) if a[0] == b[0] and a[2] != b[2]]
    columns = ["patient_id", "clip_1", "clip_2", "day_1", "day_2", "truth"]
    rows = [
        (a[0], "_".join(map(str, a)), "_".join(map(str, b)), a[1], b[1], sf[b[:2]] - sf[a[:2]])
        for a, b in pairs
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(truth=np.sign(table["truth"].round(6)).astype(int) + 1)


def guess(task: str, table: pd.DataFrame, model: str, skill: float, rng: np.random.Generator) -> pd.DataFrame:
    """The table with a model's outputs: a share `skill` of the truth, and noise."""
    if task == "sf_ratio":
        known = 0.65 + skill / 3 * (table["truth"] - 0.65) + rng.normal(0, 0.05, len(table))
        return table.assign(prediction=0.65 + rng.normal(0, 0.01) if model == "mean" else known)
    classes = 2 if task == "readmission" else 3
    logits = skill * np.eye(classes)[table["truth"]] + rng.normal(0, 0.7, (len(table), classes))
    if model == "majority":
        logits = np.tile(np.log(np.arange(1, classes + 1) / 3) + rng.normal(0, 0.1), (len(table), 1))
    named = {f"logit_{k}": logits[:, k] for k in range(classes)}
    return table.assign(**named, temperature=rng.uniform(0.5, 2) if model == "tsm" else 1.0)


def predictions(
    task: str,
    protocol: str,
    rng: np.random.Generator,
    arms: tuple[str, ...] = ARMS,
    patients: int = 12,
    folds: int = 3,
    seeds: tuple[int, ...] = (0,),
) -> pd.DataFrame:
    """Predictions of every arm, model, seed and fold. paper: the last third is tested in every fold."""
    asked = units(task, patients, rng)
    number = asked["patient_id"].str[1:].astype(int)
    own, tested = number % folds + 1, number >= patients - max(1, patients // 3)
    parts = []
    for arm in arms:
        for model in MODELS.get(task, MODELS["sf_change"]):
            if arm == "grayscale" and model in ("ridge", "logistic"):
                continue
            for seed in seeds:
                for fold in range(1, folds + 1):
                    who = {"validation": (own == fold) & ~tested, "test": tested}
                    if protocol == "cross_fitted":
                        who = {"validation": own == fold % folds + 1, "test": own == fold}
                    draw = np.random.default_rng([fold, seed]) if model in ("majority", "mean") else rng
                    for split, chosen in who.items():
                        made = guess(task, asked[chosen], model, SKILL.get(arm, 1.0), draw)
                        parts.append(made.assign(arm=arm, model=model, seed=seed, fold=fold, split=split))
    table = pd.concat(parts, ignore_index=True)
    return table[[*scores.RUN, *(c for c in table if c not in scores.RUN)]]


@cache
def every(protocol: str, patients: int = 8) -> tuple[dict, dict]:
    """Predictions and scores of the three tasks; shared by tests, so not to be changed."""
    rng = np.random.default_rng(0)
    made = {task: predictions(task, protocol, rng, patients=patients, folds=2) for task in TASKS}
    return made, {task: scores.score(TASKS[task], table, protocol) for task, table in made.items()}


def patient_scores() -> pd.DataFrame:
    """Two arms, two folds, two seeds, three patients: the score is fold + 10 x patient, + 100 in arm t060."""
    rows = [
        (arm, "tsm", seed, fold, "test", f"P{k}", "accuracy", fold + 10 * k + 100 * (arm == "t060"))
        for arm in ("t000", "t060")
        for seed in (0, 1)
        for fold in (1, 2)
        for k in (1, 2, 3)
    ]
    table = pd.DataFrame(rows, columns=TIDY)
    others = [table.assign(model="ridge"), table.assign(split="validation"), table.assign(patient_id="")]
    return pd.concat([table, *(other.assign(value=-9.0) for other in others)])


def errors(values: dict[tuple[str, str], list[float]], metric: str) -> pd.DataFrame:
    """Test scores of patients, a list each (model, arm)."""
    rows = [
        (arm, model, 0, 1, "test", f"P{k:02}", metric, value)
        for (model, arm), own in values.items()
        for k, value in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=TIDY)
