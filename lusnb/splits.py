"""Who trains, who chooses, who is held out: patients, never clips, are dealt to splits and folds."""

import numpy as np
import pandas as pd

from lusnb import checks

SHARES = {"test": 4 / 42, "validation": 6 / 42}  # the paper's split, 32 / 6 / 4 of 42 patients


def split(patients: pd.DataFrame, folds: int, seed: int = 0) -> pd.DataFrame:
    """Fill blank splits in the paper's proportion and blank folds in equal sizes, patient by patient.

    What the table says is kept. Every patient who is not in the test split gets a fold from 1 to `folds`.
    Test and validation are filled up to the paper's share of all patients. A column outer_fold is added, in
    which test patients have a fold too, the smallest one. The same table and seed give the same split,
    whatever the order of its rows.
    """
    patients = patients.copy()
    rng = np.random.default_rng(seed)
    order = patients["patient_id"].sort_values().index.to_numpy()
    blank = rng.permutation(order[patients.loc[order, "split"].isna()])
    given = patients["split"].value_counts()
    wanted = {
        name: max(1, round(share * len(patients))) - given.get(name, 0) for name, share in SHARES.items()
    }
    counts = {name: min(max(0, count), len(blank)) for name, count in wanted.items()}
    names = ["test"] * counts["test"] + ["validation"] * counts["validation"] if len(blank) > 2 else []
    patients.loc[blank, "split"] = (names + ["train"] * len(blank))[: len(blank)]
    others = patients["split"] != "test"
    patients.loc[~others, "fold"] = pd.NA
    blank = rng.permutation(order[(others & patients["fold"].isna()).loc[order]])
    patients.loc[blank, "fold"] = np.arange(len(blank)) % folds + 1
    patients = patients.astype({"fold": "Int64"})
    return patients.assign(outer_fold=_outer(patients, folds))


def _outer(patients: pd.DataFrame, folds: int) -> pd.Series:
    """An outer fold for every patient: their own fold; test patients, by name, go to the smallest ones."""
    outer = patients["fold"].astype("Int64").copy()
    for row in patients.loc[outer.isna(), "patient_id"].sort_values().index:
        counts = outer.value_counts()
        outer[row] = min(range(1, folds + 1), key=lambda k: (counts.get(k, 0), k))
    return outer


def roles(patients: pd.DataFrame, fold: int, protocol: str = "paper") -> dict[str, list[str]]:
    """Patients of a segmenter's training, validation and held-out set: ids under train, validation, test.

    patients: patient_id, split, fold, as `split` fills them in. 'paper': fold 0 is the published split; fold
    k leaves fold k out, and the published validation patients among the rest choose the epoch, or the first
    sixth of the rest where none of them is left. 'cross_fitted': every patient is in one of the outer folds
    (column outer_fold) and fold k is held out; a sixth of the rest, from fold k + 1 on, chooses the epoch.

    Raises ValueError for a fold that holds nobody and for an unknown protocol.
    """
    if protocol not in ("paper", "cross_fitted"):
        raise ValueError(
            f"protocol: expected paper or cross_fitted, got {protocol!r}; correct the parameter."
        )
    if protocol == "paper" and fold == 0:
        named = patients.groupby("split")["patient_id"].agg(list)
        return {name: named.get(name, []) for name in checks.SPLITS}
    column = "outer_fold" if protocol == "cross_fitted" else "fold"
    folds = patients.set_index("patient_id")[column].dropna().astype(int)
    if fold not in set(folds):
        raise ValueError(
            f"fold: expected one of {sorted(set(folds))}"
            + (", or 0 for the published split" if protocol == "paper" else "")
            + f", got {fold}; nobody is in it: set folds in study.yaml to the highest of these."
        )
    rest = folds[folds != fold]
    if protocol == "cross_fitted":
        rest = rest.iloc[np.argsort((rest - fold) % folds.max(), kind="stable")]
        chosen = list(rest.index)[: max(1, len(rest) // 6)]
    else:
        published = set(patients.loc[patients["split"] == "validation", "patient_id"])
        chosen = [p for p in rest.index if p in published] or list(rest.index)[: max(1, len(rest) // 6)]
    train = [p for p in folds.index if p in set(rest.index) - set(chosen)]
    if not train:
        raise ValueError(
            f"fold {fold}: expected patients to train on beside {len(chosen)} who choose the epoch and "
            f"{(folds == fold).sum()} held out, found none; bring more patients, or set more folds."
        )
    return {"train": train, "validation": chosen, "test": list(folds.index[folds == fold])}
