"""Who trains, who chooses, who is held out: patients, never clips, are dealt to splits and folds."""

import numpy as np
import pandas as pd

from lusnb.cohort import schema

FOLD_COLUMNS = {
    "paper": "fold",
    "cross_fitted": "outer_fold",
}  # protocol -> the column of its folds
SHARE, TASK_SHARE = 6, 4  # one in so many of those who are not held out validates
SHARES = {"test": 4 / 42, "validation": 6 / 42}  # the paper's split, 32 / 6 / 4 of 42 patients


def split(patients: pd.DataFrame, folds: int, seed: int = 0) -> pd.DataFrame:
    """Fill blank splits in the paper's proportion and blank folds in equal sizes, patient by patient.

    What the table says is kept. Every patient who is not in the test split gets a fold from 1 to `folds`.
    Test and validation are filled up to the paper's share of all patients. A column outer_fold is added, in
    which test patients have a fold too, the smallest one. The same table and seed give the same split,
    whatever the order of its rows.
    """
    patients, given_folds = patients.copy(), patients["fold"].astype("Int64")
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
    return patients.assign(outer_fold=_outer(patients["patient_id"], given_folds, patients["fold"], folds))


def _outer(names: pd.Series, given: pd.Series, dealt: pd.Series, folds: int) -> pd.Series:
    """An outer fold for every patient: the one given, else the one dealt; test patients without either go, by
    name, to the smallest ones."""
    outer = given.fillna(dealt)
    for row in names[outer.isna()].sort_values().index:
        counts = outer.value_counts()
        outer[row] = min(range(1, folds + 1), key=lambda k: (counts.get(k, 0), k))
    return outer


def _column(protocol: str) -> str:
    if protocol not in FOLD_COLUMNS:
        raise ValueError(
            f"protocol: expected paper or cross_fitted, got {protocol!r}; correct the parameter."
        )
    return FOLD_COLUMNS[protocol]


def task_folds(patients: pd.DataFrame, protocol: str = "paper") -> list[int]:
    """The folds that a task is trained for: those of the patients outside test, or every outer fold."""
    return sorted(int(k) for k in patients[_column(protocol)].dropna().unique())


def task_roles(patients: pd.DataFrame, fold: int, protocol: str = "paper") -> dict[str, list[str]]:
    """Patients of one fold of a task: ids under train, validation, test.

    'paper': fold k validates, the other folds train, the published test patients are the same for every k.
    'cross_fitted': as `roles`, so that fold k is tested and everybody is tested once; a quarter of the rest
    validates, about as many as under 'paper', since it also chooses the learning rate and the temperature.
    """
    if _column(protocol) == "outer_fold":
        return roles(patients, fold, protocol, share=TASK_SHARE)
    own = patients["fold"]
    chosen = {
        "train": own.notna() & (own != fold),
        "validation": (own == fold).fillna(False),
        "test": patients["split"] == "test",
    }
    return {name: list(patients.loc[who.astype(bool), "patient_id"]) for name, who in chosen.items()}


def roles(
    patients: pd.DataFrame, fold: int, protocol: str = "paper", inner: int = 0, share: int = SHARE
) -> dict[str, list[str]]:
    """Patients of a segmenter's training, validation and held-out set: ids under train, validation, test.

    patients: patient_id, split, fold, as `split` fills them in. 'paper': fold 0 is the published split; fold
    k leaves fold k out, and the published validation patients among the rest choose the epoch, or the first
    sixth of the rest where none of them is left. 'cross_fitted': every patient is in one of the outer folds
    (column outer_fold) and fold k is held out; one in `share` of the rest, from fold k + 1 on, chooses the
    epoch.
    inner: an inner model holds out that fold beside `fold`, and so may segment the one where the other is
    tested: without fold 1 and 2 is one and the same model for both.

    Raises ValueError for a fold that holds nobody and for an unknown protocol.
    """
    if inner and (protocol == "paper" or inner == fold):
        raise ValueError(
            f"inner: expected 0, or under cross_fitted another fold than {fold}, got {inner}; correct it."
        )
    if protocol == "paper" and fold == 0:
        named = patients.groupby("split")["patient_id"].agg(list)
        return {name: named.get(name, []) for name in schema.SPLITS}
    folds = patients.set_index("patient_id")[_column(protocol)].dropna().astype(int)
    if not {fold, inner or fold} <= set(folds):
        nobody = inner if fold in set(folds) else fold
        raise ValueError(
            f"fold: expected one of {sorted(set(folds))}"
            + (", or 0 for the published split" if protocol == "paper" else "")
            + f", got {nobody}; nobody is in it: set folds in study.yaml to the highest of these."
        )
    held_out = folds.isin([fold, inner])  # nobody is in fold 0
    rest = folds[~held_out]
    chosen = []
    if protocol == "cross_fitted":
        rest = rest.iloc[np.argsort((rest - fold) % folds.max(), kind="stable")]
    else:
        published = set(patients.loc[patients["split"] == "validation", "patient_id"])
        chosen = [p for p in rest.index if p in published]
    chosen = chosen or list(rest.index)[: max(1, len(rest) // share)]
    train = [p for p in folds.index if p in set(rest.index) - set(chosen)]
    if not train:
        raise ValueError(
            f"fold {fold}: expected patients to train on beside {len(chosen)} who choose the epoch and "
            f"{held_out.sum()} held out, found none; bring more patients, or set more folds."
        )
    return {"train": train, "validation": chosen, "test": list(folds.index[held_out])}
