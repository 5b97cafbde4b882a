"""What a comparison of arms found: its verdict, in sentences that its tables bear out (tasks: task_verdicts).

A difference counts as shown where its corrected p (Holm) is below 0.05. Where none is shown, it is said how
many patients would be needed to show the largest one (stats.patients_needed, the level divided by the number
of comparisons). Under stats.FEW patients nothing is claimed. Tables in, text out; nothing is tested here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lusnb import stats
from lusnb.cohort.arrays import ALL
from lusnb.cohort.problems import counted
from lusnb.report import wording


def of_arms(
    by_patient: pd.DataFrame,
    means: pd.DataFrame,
    compared: pd.DataFrame,
    arms: pd.DataFrame,
    compared_at: float,
) -> str:
    """Which arm has the highest IoU, and which of its leads are shown; a sentence or more a line.

    Against the truth where it is known, then against the labels at `compared_at` (a fraction), at the arms'
    own cuts; then whether another arm is highest at 0.5. by_patient: of averages.patient_scores; means and
    compared: of compare.arms.intervals and .differences; arms: of arms.table. All but arms may be empty.
    """
    of_labels = f"IoU against the labels at {100 * compared_at:g} %"
    lines: list[str] = []
    known = means.dropna(subset="mean")
    for metric, name in (("truth_iou", "IoU against the truth"), ("iou", of_labels)):
        rows = known[known["metric"] == metric]
        if len(rows):
            values = by_patient[by_patient["metric"] == metric]
            values = values.pivot(index="patient_id", columns="arm", values="value")
            lines += _of_metric(name, rows, values, compared[compared["metric"] == metric], arms)
            lines += _at_half(rows, known[known["metric"] == f"{metric}_fixed"])
    if not lines:
        return "No arm has an IoU on a held-out patient: nothing is compared."
    return "\n".join([*lines, *wording.footnotes(lines)])


def of_labels(alone: pd.DataFrame, means: pd.DataFrame) -> str:
    """Where the labels themselves come closest to the truth, without a learner, beside the best arm.

    alone: of compare.truth.labels_alone, on the tested patients; means: of compare.arms.intervals.
    """
    pooled = alone[alone["feature"] == ALL].dropna(subset="iou")
    arms = means[means["metric"] == "truth_iou"].dropna(subset="mean")
    if pooled.empty or arms.empty:
        return "How near the labels come to the truth is not known here."
    best = pooled.loc[pooled["iou"] == pooled["iou"].max(), "threshold"]
    return (
        "Without a learner, the labels themselves, at their own size, come closest to the truth of these "
        f"patients at {wording.listed([f'{100 * t:g} %' for t in best])}: IoU {pooled['iou'].max():.3f}; the "
        f"best arm's is {arms['mean'].max():.3f}. Both are the best of several on these same patients."
    )


def _of_metric(
    name: str, rows: pd.DataFrame, values: pd.DataFrame, compared: pd.DataFrame, arms: pd.DataFrame
) -> list[str]:
    """The verdict on one metric: who is highest, over whom that is shown, each comparison, all pairs."""
    patients, (top, highest) = int(rows["patients"].max()), _highest(rows)
    start = f"{name}, own cuts, {counted(patients, 'patient')}: "
    if len(rows) == 1:
        return [f"{start}{highest}. It is the only arm, so nothing is compared."]
    if len(top) == len(rows):
        return [f"{start}{highest}: all arms are alike in it."]
    first = f"{start}{highest}"
    if patients < stats.FEW:
        return [f"{first}. {wording.too_few(compared)}"]
    opponents = [_highest(rows[~rows["arm"].isin(top)])[0][0], *compared["reference"]]
    lines: list[str] = []
    untested: list[str] = []
    over: dict[bool, list[str]] = {True: [], False: []}  # whether it is shown -> the other arms
    means = rows.set_index("arm")["mean"]
    for other in dict.fromkeys(arm for arm in opponents if arm in means and arm not in top):
        row = _pair(compared, top[0], other)
        if row is None:
            lead = f"The lead over {_described(other, arms)} is {means[top[0]] - means[other]:.3g}"
            lines.append(f"  {lead}; this pair was not tested.")
            untested.append(other)
            continue
        shown = bool(row["p_holm"] < wording.LEVEL and row["difference"] > 0)
        over[shown].append(other)
        needed = (
            "shown." if shown else f"not shown.{wording.needed(values[top[0]] - values[other], compared)}"
        )
        lines.append(
            f"  {_described(top[0], arms)} less {_described(other, arms)}: {wording.tested(row)}; {needed}"
        )
    return [f"{first}; {_standing(top, over, untested)}.", *lines, _all_pairs(compared)]


def _highest(rows: pd.DataFrame) -> tuple[list[str], str]:
    """The arm with the highest mean, several if they tie; and in words, with that of the first."""
    found = rows[np.isclose(rows["mean"], rows["mean"].max(), rtol=0, atol=1e-9)]
    top, (mean, low, high) = found["arm"].to_list(), found[["mean", "low", "high"]].to_numpy(float)[0]
    which = "a mean of" if len(rows) == 1 else "the highest mean,"
    limits = f" [{low:.3f}, {high:.3f}]" if low == low else ""
    return top, f"{wording.listed(top)} {'has' if len(top) == 1 else 'share'} {which} {mean:.3f}{limits}"


def _described(arm: str, arms: pd.DataFrame) -> str:
    return f"{arm} ({arms.at[arm, 'shown']})" if arm in arms.index else arm


def _pair(compared: pd.DataFrame, arm: str, reference: str) -> pd.Series | None:
    """The tested pair as arm less reference, whichever way round it was tested; None where it was not."""
    for one, other, sign in ((arm, reference, 1), (reference, arm, -1)):
        rows = compared[(compared["arm"] == one) & (compared["reference"] == other)].dropna(subset="p_holm")
        if len(rows):
            return wording.turned(rows.iloc[0], sign)
    return None


def _standing(top: Sequence[str], over: Mapping[bool, Sequence[str]], untested: Sequence[str]) -> str:
    said = [f"shown to be better than {wording.listed(over[True])}"] if over[True] else []
    said += [f"not shown to be better than {wording.listed(over[False], 'or')}"] if over[False] else []
    if not said:
        return f"no tested pair compares {top[0]} with the runner-up or a reference"
    said += [f"its lead over {wording.listed(untested)} not tested"] if untested else []
    return ("" if len(top) == 1 else f"{top[0]} is ") + ", ".join(said)


def _all_pairs(compared: pd.DataFrame) -> str:
    """How many of all tested pairs differ, the better arm named first."""
    known = compared.dropna(subset="p_holm")
    found = known[known["p_holm"] < wording.LEVEL]
    found = found.reindex(found["difference"].abs().sort_values(ascending=False, kind="stable").index)
    over = [" over ".join(wording.order(row)) for _, row in found.iterrows()]
    pairs = f"{len(found)} of {counted(len(known), 'tested pair')}"
    return f"  Shown to differ: {pairs}" + (f" ({wording.some(over)})." if over else ".")


def _at_half(own: pd.DataFrame, fixed: pd.DataFrame) -> list[str]:
    """Whether masks cut at 0.5 name another arm; nothing for one arm."""
    if len(own) < 2 or fixed.empty:
        return []
    (top, highest), (before, _) = _highest(fixed), _highest(own)
    return [f"  Cut at 0.5, {highest}: {'' if top == before else 'not '}the same as at own cuts."]


def of_few_patients(winners: pd.DataFrame) -> str:
    """What studies with few of these test patients would have said. winners: few_patients.winners."""
    if winners.empty:
        return "Nothing to draw: too few test patients, or one arm alone."
    lines = []
    for metric, rows in winners.groupby("metric", sort=False):
        first, against = rows.iloc[0], "the truth" if metric == "truth_iou" else "the labels"
        rows = rows.sort_values("share", ascending=False, kind="stable")
        shares = [f"{row.arm} in {100 * row.share:.0f} %" for row in rows.itertuples() if row.share >= 0.005]
        best = wording.listed(list(rows.loc[rows["best"], "arm"]))
        right = 100 * rows.loc[rows["best"], "share"].sum()
        lines.append(
            f"IoU against {against}: {first['few']} of these {first['patients']} patients, drawn "
            f"{first['draws']:,} times, name as the best arm {', '.join(shares)}. All of them name {best}: "
            f"{right:.0f} of 100 such studies would have agreed."
        )
    return "\n".join(lines)
