"""The clinical tasks up close, a panel an arm or baseline: confusion, agreement, probabilities.

Test predictions and tidy scores (tasks/scores.py) to figures. Nothing here computes a result: titles and
lines are the tables' own numbers, pooled over pairs and over days. At most nine panels.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve

from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort import problems
from lusnb.compare.tasks import REGRESSIONS
from lusnb.report import task_tables
from lusnb.report.looks import BLUE, ORANGE, PALETTE, SMALL, WIDTH, nothing
from lusnb.report.tasks import IMPOSSIBLE
from lusnb.tasks import readmission, reference, sf_ratio
from lusnb.tasks import scores as tasks_scores
from lusnb.tasks.reference import TRIVIAL
from lusnb.tasks.sf_change_question import CLASSES

PANELS = 9
CURVE = 20  # with fewer patients no reliability is drawn
BINS = 4  # of the reliability, of equal counts


def _shown(scores: pd.DataFrame, arms: list[str], limit: int = PANELS) -> list[tuple[str, str]]:
    """(model, arm) of at most `limit` panels; arms that find no room are left out evenly.

    TSM of the arms, of grayscale and of true masks; the trivial model; one regression of the middle arm.
    """
    if scores.empty:
        return []
    there = scores.loc[scores["split"] == "test", ["model", "arm"]].drop_duplicates()
    there = list(there.itertuples(index=False, name=None))
    own = [("tsm", arm) for arm in arms if ("tsm", arm) in there]
    rest = [("tsm", arm) for arm in (GRAYSCALE, TRUE_MASKS) if ("tsm", arm) in there]
    rest += [row for row in there if row[0] in TRIVIAL][:1]
    middle = own[len(own) // 2][1] if own else ""
    rest += [(model, middle) for model in reversed(REGRESSIONS) if (model, middle) in there][:1]
    room = min(len(own), limit - len(rest))
    kept = np.linspace(0, len(own) - 1, room).round().astype(int).tolist() if room else []
    return [own[k] for k in kept] + rest


def _left_out(shown: list[tuple[str, str]], arms: list[str]) -> str:
    kept = sum(model == "tsm" and arm in arms for model, arm in shown)
    return "" if kept == len(arms) else f"{kept} of {len(arms)} arms. "


def _grid(count: int, side: float = 2.3, **same: Any) -> tuple[Figure, list[Axes]]:
    """Panels in rows of three, the empty places blank."""
    columns = min(3, count)
    rows = -(-count // columns)
    size = (max(4.2, WIDTH / 3 * columns), 0.6 + side * rows)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained", sharex=True, sharey=True, **same
    )
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, count - columns) : count]:
        ax.tick_params(labelbottom=True)  # also above a panel that is not there
    for ax in axes.flat[:count]:
        ax.tick_params(labelsize=7)
    return figure, list(axes.flat[:count])


def _numbers(scores: pd.DataFrame) -> pd.Series:
    """The table's number of each (model, arm, metric)."""
    return tasks_scores.over_folds(scores).set_index(["model", "arm", "metric"])["mean"].sort_index()


def _who(scores: pd.DataFrame, patients: int) -> str:
    """How many patients a picture is of, and over how many models each a table's numbers are averaged: seeds,
    times folds on the same patients."""
    runs = scores.loc[scores["split"] == "test", ["seed", "fold"]].drop_duplicates()
    models = len(runs[runs["fold"] == tasks_scores.POOLED]) or len(runs)
    who = problems.counted(patients, "patient")
    return who if models == 1 else f"{who}, each judged by {models} models (numbers: means over these)"


def change_confusion(scores: pd.DataFrame, arms: list[str]) -> Figure:
    """What each arm and baseline calls the change of S/F: shares of the true class, and counts.

    scores: of sf_change. Cross-day pairs; every pair where there are none.
    """
    shown = _shown(scores, arms)
    if not shown:
        return nothing(IMPOSSIBLE)
    numbers = _numbers(scores)
    crossing = numbers.xs("pairs_cross_day", level="metric").max() > 0
    end, which = ("_cross_day", "cross-day pairs") if crossing else ("", "pairs")
    patients = task_tables.tested(scores, "pairs_cross_day" if crossing else "pairs")
    figure, axes = _grid(len(shown), side=2.35)
    for ax, row in zip(axes, shown, strict=True):
        own = numbers[row]
        counts = np.array([[own[f"{true}_as_{called}{end}"] for called in CLASSES] for true in CLASSES])
        _confusion(ax, counts)
        ax.set_title(f"{task_tables.title(*row)}: {own[f'accuracy_3class{end}']:.2f} right", fontsize=SMALL)
    figure.supxlabel("called", fontsize=SMALL)
    figure.supylabel("true change of S/F", fontsize=SMALL)
    told = f"{_left_out(shown, arms)}Share of the true class and number of {which}, pooled; "
    told += _who(scores, patients)
    figure.suptitle(told, fontsize=SMALL)
    return figure


def _confusion(ax: Axes, counts: np.ndarray) -> None:
    """Counts (true, called): coloured by the share of the row; a class that is not there stays white."""
    rows = counts.sum(1, keepdims=True)
    shares = np.divide(counts, rows, out=np.full(counts.shape, np.nan), where=rows > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (i, j), share in np.ndenumerate(shares):
        if not np.isnan(share):
            text = f"{100 * share:.0f} %\n{np.round(counts[i, j], 1):g}"
            ax.text(j, i, text, ha="center", va="center", fontsize=7, color="w" if share > 0.55 else "0.1")
    names = list(CLASSES)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=7, length=0)


def ratio_agreement(
    predictions: pd.DataFrame, scores: pd.DataFrame, arms: list[str], sf_max: float
) -> Figure:
    """Bland and Altman (1986): how far a patient's day is predicted from the truth, one panel an arm.

    predictions, scores: of sf_ratio; a day is the mean over its views, in units of S/F (times sf_max). A dot
    is a patient's day as one model predicts it. Lines: bias and limits of agreement of the table.
    """
    shown = _shown(scores, arms)
    if not shown:
        return nothing(IMPOSSIBLE)
    numbers = _numbers(scores)
    figure, axes = _grid(len(shown), side=1.95)
    tested = reference.one(predictions[predictions["split"] == "test"])
    colour = _colours(tested["patient_id"])
    for ax, (model, arm) in zip(axes, shown, strict=True):
        own = tested[(tested["model"] == model) & (tested["arm"] == arm)]
        for _, run in own.groupby(["seed", "fold"], sort=True):
            days = sf_ratio.patient_days(run)
            middle, error = (days["mean"] + days["truth"]) / 2, days["mean"] - days["truth"]
            dots: dict[str, Any] = {"s": 11, "alpha": 0.65, "linewidths": 0}
            own_colours = [colour[p] for p in days["patient_id"]]
            ax.scatter(sf_max * middle, sf_max * error, c=own_colours, zorder=2, **dots)
        bias, low, high = (
            sf_max * numbers[model, arm, f"{m}_mean"] for m in ("bias", "limit_low", "limit_high")
        )
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=1)
        ax.axhline(bias, color=ORANGE, linewidth=1.2, zorder=3)
        for limit in (low, high):
            ax.axhline(limit, color=ORANGE, linewidth=1, linestyle="--", zorder=3)
        ax.set_title(f"{task_tables.title(model, arm)}: {bias:+.0f} [{low:.0f}, {high:.0f}]", fontsize=SMALL)
        sns.despine(ax=ax)
    figure.supxlabel("mean of predicted and true S/F", fontsize=SMALL)
    figure.supylabel("predicted less true S/F", fontsize=SMALL)
    each = "a colour a patient" if len(set(colour.values())) > 1 else "a dot a patient's day"
    who = _who(scores, task_tables.tested(scores))
    told = f"{_left_out(shown, arms)}Bias [95 % limits of agreement]; {who}; {each}"
    figure.suptitle(told, fontsize=SMALL)
    return figure


def _colours(patients: pd.Series) -> dict[str, str]:
    """A colour a patient where so few can be told apart, else one for all."""
    names, known = sorted(patients.unique()), [*PALETTE, "0.2"]
    return dict(zip(names, known, strict=False)) if len(names) <= len(known) else dict.fromkeys(names, BLUE)


def readmission_scores(predictions: pd.DataFrame, scores: pd.DataFrame, arms: list[str]) -> Figure:
    """Each patient's tempered probability of readmission by what came true, one panel an arm.

    predictions, scores: of readmission. A dot is a patient as one model judges them; titles are the table's:
    AUROC and Brier score are those of the tempered probabilities, as drawn.
    With at least 20 patients also the share readmitted in four bins of equal counts, against the diagonal.
    """
    shown = _shown(scores, arms)
    if not shown:
        return nothing(IMPOSSIBLE)
    numbers = _numbers(scores)
    figure, axes = _grid(len(shown), side=1.75)
    tested = reference.one(predictions[predictions["split"] == "test"])
    for ax, (model, arm) in zip(axes, shown, strict=True):
        own = tested[(tested["model"] == model) & (tested["arm"] == arm)]
        votes = [readmission.patient_votes(run) for _, run in own.groupby(["seed", "fold"], sort=True)]
        _probabilities(ax, pd.concat(votes))
        ranked, brier = (numbers.get((model, arm, m), np.nan) for m in ("auroc", "brier_tempered"))
        told = "none" if np.isnan(ranked) else f"{ranked:.2f}"
        told = f"{task_tables.title(model, arm)}\nAUROC {told}, tempered Brier {brier:.2f}"
        ax.set_title(told, fontsize=SMALL)
    axes[0].set_ylim(-0.3, 1.3)
    figure.supxlabel("predicted probability of readmission, tempered", fontsize=SMALL)
    patients = task_tables.tested(scores)
    line = f"; line: share readmitted in {BINS} bins" if patients >= CURVE else ""
    figure.suptitle(f"{_left_out(shown, arms)}{_who(scores, patients)}{line}", fontsize=SMALL)
    return figure


def _probabilities(ax: Axes, votes: pd.DataFrame) -> None:
    """Patients along two lines, not readmitted (0) and readmitted (1), each at a height of their own."""
    truth = votes["truth"].to_numpy(float)
    place = votes["patient_id"].rank(method="dense").to_numpy()
    height = truth + 0.36 * ((place - 0.5) / place.max() - 0.5)
    p = votes["probability_tempered"].to_numpy()
    ax.axvline(0.5, color="0.85", linewidth=0.8, zorder=0)
    look: dict[str, Any] = {"s": 11, "alpha": 0.6, "linewidths": 0, "c": np.where(truth == 1, ORANGE, BLUE)}
    ax.scatter(p, height, zorder=2, **look)
    if votes["patient_id"].nunique() >= CURVE:
        observed, predicted = calibration_curve(truth, p, n_bins=BINS, strategy="quantile")
        ax.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=1)
        ax.plot(predicted, observed, color="0.2", marker="o", markersize=3, linewidth=1, zorder=3)
    ax.set(xlim=(-0.03, 1.03), xticks=[0, 0.5, 1])
    ax.set_yticks([0, 1], ["stayed out", "readmitted"])
    sns.despine(ax=ax)
