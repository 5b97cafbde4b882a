"""Arms beside the raters: does an arm agree with each rater as well as the others do?"""

import numpy as np
import pandas as pd

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.compare import ground
from lusnb.compare import raters as compare_raters
from lusnb.compare.raters import told
from lusnb.segment import predictions

RATERS = ["arm", "feature", "rater", "model", "model_fixed", "others", "pairs", "patients", "images"]


def rater_dice(
    models: dict[str, np.ndarray], raters: np.ndarray, names: list[str], threshold: float = 0.5
) -> pd.DataFrame:
    """Dice of models with each rater, beside what the other raters reach with that rater; one image.

    models: name -> mask, bool (H, W); raters: uint8 (R, H, W), those who looked, 255 = 1. names: of the R
    raters, whose masks are >= threshold (a fraction; > 0 at 0; tolerance 1/510). Columns: rater; one a model;
    others, of the other raters' mean map at the same threshold; pairs, the mean over the other raters one by
    one. NaN where both masks are empty, and in others and pairs of a single rater. A mean of raters is
    smoother than any of them: compare a model of a consensus with others, a model of one rater with pairs.
    """
    masks = confidence.targets(raters / 255, threshold)
    rows = []
    for a, name in enumerate(names):
        row = {"rater": name, **{key: compare_raters.mask_dice(own, masks[a]) for key, own in models.items()}}
        row |= {"others": np.nan, "pairs": np.nan}
        if len(names) > 1:
            mean = confidence.merge(np.delete(raters, a, axis=0), "mean")
            row["others"] = compare_raters.mask_dice(confidence.targets(mean / 255, threshold), masks[a])
            each = [compare_raters.mask_dice(mask, masks[a]) for b, mask in enumerate(masks) if b != a]
            row["pairs"] = pd.Series(each).mean()
        rows.append(row)
    return pd.DataFrame(rows, columns=["rater", *models, "others", "pairs"])


def against_raters(cohort: Cohort, patients: list[str], opened: dict, threshold: float = 0.5) -> pd.DataFrame:
    """Dice of each arm with each rater, beside what the other raters reach with that rater.

    Masks of raters are >= threshold with the tolerance of labels; the model's are at its own cut, and as
    model_fixed at 0.5. Only images that two or more raters looked at and on which this rater marked
    something: the same for model and raters, and for all arms. Mean over patients of their means over images;
    seeds averaged. Columns: arm, feature, rater, model, model_fixed, others (the mean map of the other
    raters), pairs (mean over the other raters one by one), patients, images. No rows where no two raters
    share an image.
    """
    names = sorted(cohort.labels["rater"].unique())
    table, where = ground.placed(cohort, patients)
    size, found = ground.size_of(opened), []
    for place, frame in zip(where if len(names) > 1 else [], table.itertuples(), strict=False):
        row = table[frame.Index : frame.Index + 1]
        maps, known = (array[0] for array in arrays.raters_of(cohort, row, size))  # (R, C, S, S), (R, C)
        for k in np.flatnonzero(known.sum(0) > 1):
            looked = np.flatnonzero(known[:, k])
            drawn = {names[r] for r in looked if confidence.targets(maps[r, k] / 255, threshold).any()}
            raters, own = maps[looked, k], [names[r] for r in looked]
            for (arm, _), held in opened.items():
                masks = {"model": held.masks(np.array([place]))[0, k]}
                masks["model_fixed"] = held.labelled[place, k] >= predictions.CUT
                dice = rater_dice(masks, raters, own, threshold)
                same = {"arm": arm, "feature": cohort.features[k], "patient_id": frame.patient_id}
                found.append(dice[dice["rater"].isin(drawn)].assign(place=place, **same))
    arms = list(dict.fromkeys(arm for arm, _ in opened))
    return (
        _rater_means(pd.concat(found), [*arms, *cohort.features]) if found else pd.DataFrame(columns=RATERS)
    )


def _rater_means(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    keys, values = ["arm", "feature", "rater"], ["model", "model_fixed", "others", "pairs"]
    patients = table.groupby([*keys, "patient_id"])[values].mean()
    counts = {"patients": patients.groupby(keys).size(), "images": table.groupby(keys)["place"].nunique()}
    means = patients.groupby(keys)[values].mean().assign(**counts).reset_index()
    place = {name: k for k, name in enumerate(order)}
    return means.sort_values(keys, key=lambda c: c if c.name == "rater" else c.map(place), ignore_index=True)


def raters_told(cohort: Cohort, table: pd.DataFrame) -> str:
    """One sentence on who labelled, and whether models stand beside raters. table: `against_raters`."""
    if len(table):
        return f"{told(cohort)}; up to {table['images'].max()} held-out images of a rater and feature"
    return f"{told(cohort)}; no two raters share a held-out image, so no model is compared with them"
