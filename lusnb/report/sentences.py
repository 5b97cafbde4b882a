"""What a sweep over calibration, noise and threshold shows, in sentences that its tables bear out."""

from collections.abc import Mapping

import pandas as pd

from lusnb.compare import truth
from lusnb.compare.truth import ALL

LEARNT = 0.5  # of the labels' own IoU: a learner that reaches less has a winner by how little it learnt
UNLEARNT = 0.05  # a feature whose IoU is below this at every threshold and in every cell was not learnt


def told(
    winners: Mapping[str, pd.DataFrame],
    measured: Mapping[str, pd.DataFrame],
    labels: pd.DataFrame,
    by_feature: pd.DataFrame,
) -> str:
    """What a sweep shows, one sentence a line, all of it computed.

    winners, measured: of sensitivity.winners and .curves, each by cut ('own', which leads, and 'fixed');
    by_feature: of sensitivity.feature_values at the own cut; labels: of truth.of_cells.
    """
    own = winners["own"]
    lines = ["At the learners' own cuts:", *_on_the_paper(own), *_on_departures(own), *_on_chance(own)]
    return "\n".join([*lines, *_on_limits(own, labels, by_feature), *on_the_cut(winners, measured)])


def on_the_cut(winners: Mapping[str, pd.DataFrame], measured: Mapping[str, pd.DataFrame]) -> list[str]:
    """What changes where all learners are cut at 0.5 instead of at their own cuts, a sentence each."""
    own, fixed = (winners[cut].set_index("cohort") for cut in ("own", "fixed"))
    fixed = fixed.loc[own.index]
    n, paper = len(own), _share(own["paper"])
    lower, higher = ((way * (fixed["winner"] - own["winner"]) > 0).sum() for way in (-1, 1))
    least = min(measured["own"]["threshold"])
    gains = {cut: _gain(table, own["paper"].iloc[0], least) for cut, table in measured.items()}
    above = {cut: int((gain > 0).sum()) for cut, gain in gains.items()}
    return [
        f"Cut at 0.5 the winner is a lower threshold in {lower} of {n} cells and a higher one in {higher}; "
        f"{paper} costs {_span(fixed['cost'])} in IoU there, {_span(own['cost'])} at the own cuts.",
        f"{paper} less {100 * least:g} %: {_span(gains['own'])} in IoU at the own cuts, above 0 in "
        f"{above['own']} of {n} cells; {_span(gains['fixed'])} at 0.5, above 0 in {above['fixed']}.",
    ]


def _gain(measured: pd.DataFrame, one: float, other: float) -> pd.Series:
    """IoU at one threshold less that at another, by cohort."""
    wide = measured.pivot(index="cohort", columns="threshold", values="iou")
    return wide[one] - wide[other]


def _places(rows: pd.DataFrame) -> str:
    return "; ".join(f"calibration {r.calibration:g} with noise {r.noise:g}" for r in rows.itertuples())


def _span(values: pd.Series, form: str = ".3f") -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"


def _share(values: pd.Series) -> str:
    return f"{_span(100 * values, '.0f')} %"


def _on_the_paper(w: pd.DataFrame) -> list[str]:
    n, paper, same = len(w), _share(w["paper"]), w["paper_alike"]
    worst = w.loc[[w["cost"].idxmax()]]
    most = "" if (w["winner"] == w["paper"]).all() else f", most at {_places(worst)} ({_within(worst)})"
    return [
        f"{paper} wins in {(w['winner'] == w['paper']).sum()} of {n} cells, and cannot be distinguished "
        f"from the winner in {same.sum()}" + ("." if same.all() else f"; it can at {_places(w[~same])}."),
        f"It costs {_span(w['cost'])} in IoU against the winner{most}.",
        f"After Holm the winner is better than {paper} in {(w['cost_p'] < 0.05).sum()} of {n} cells.",
    ]


def _within(row: pd.DataFrame) -> str:
    low, high = row[["cost_low", "cost_high"]].to_numpy(float)[0]
    return f"95 % interval {low:.3f} to {high:.3f}" if low == low else "too few patients for an interval"


def _on_departures(w: pd.DataFrame) -> list[str]:
    lines = [
        f"At calibration {c:g} the winner is {_share(own['winner'])}; the labels alone imply "
        f"{_share(own['implied'])} by IoU, {_share(own['pixelwise'])} pixel by pixel."
        for c, own in w.groupby("calibration")
    ]
    below, above, found = (w["departure"] < 0).sum(), (w["departure"] > 0).sum(), w[w["holds"]]
    where = f" ({_places(found)})" if len(found) else ""
    given = " in every seed" if (w["seeds"] > 1).all() else ", given these trainings"
    return [
        *lines,
        f"The winner lies below the threshold that the labels imply by IoU in {below} of {len(w)} cells, "
        f"above it in {above}.",
        f"Departures that hold{given}: {len(found)}{where}; above what labels imply: "
        f"{(found['departure'] > 0).sum()}.",
    ]


def _on_chance(w: pd.DataFrame) -> list[str]:
    lines = [
        f"Between its best and its worst threshold a cell spans {_span(w['span'])} in IoU; the best of the "
        f"cells are {_span(w['iou'])}.",
        f"The winner is best in {_share(w['frequency'])} "
        f"of the resamples of patients (bootstrap rank frequency).",
    ]
    if (w["seeds"] == 1).all():
        return [*lines, "One seed: by how much another training would differ is not known."]
    agreed = (w["seed_winners"].str.split().str.len() == 1).sum()
    return [
        *lines,
        f"Seeds of one threshold lie up to {w['seed_range'].max():.3f} apart in IoU, and name one winner in "
        f"{agreed} of {len(w)} cells: what is smaller than that is noise.",
    ]


def _on_limits(w: pd.DataFrame, labels: pd.DataFrame, by_feature: pd.DataFrame) -> list[str]:
    pooled = labels[labels["feature"] == ALL]
    share = w.set_index("cohort")["iou"] / pooled.groupby("cohort")["iou"].max()
    best = by_feature.groupby("feature", sort=False)["value"].max()
    weak = ", ".join(best.index[best < UNLEARNT])
    ends = w["winner"].isin([pooled["threshold"].min(), pooled["threshold"].max()]).sum()
    twins = [
        f"{100 * r.low:.0f} and {100 * r.high:.0f} % at calibration {r.calibration:g} with noise {r.noise:g}"
        for r in truth.one_arm(labels).itertuples()
    ]
    little = ": too little for its winner to mean much" if share.min() < LEARNT else ""
    return [
        f"At its best the learner reaches {_share(share)} of the IoU of the labels themselves{little}.",
        *([f"Learnt nowhere (IoU under {UNLEARNT:g} at every threshold): {weak}."] if weak else []),
        *(
            [f"The winner is the lowest or highest threshold tried in {ends} of {len(w)} cells."]
            if ends
            else []
        ),
        *([f"Nearly one arm, since the labels are nearly the same: {'; '.join(twins)}."] if twins else []),
    ]
