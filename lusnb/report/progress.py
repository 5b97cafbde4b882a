"""A training as it went, for the notebook that trains: an edit to other figures must repeat no training."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lusnb.cohort.problems import words
from lusnb.report.looks import BLUE, SMALL, WIDTH, feature_colours, nothing

NOTHING = "not possible with this cohort"
COLOURS = {"train_loss": "0.55"}  # the others are blue
PANELS = {"loss": ["train_loss", "validation_loss"], "validation IoU": ["validation_iou"], "rate": ["lr"]}


def history(table: pd.DataFrame) -> Figure:
    """A segmenter's training: losses, validation IoU and learning rate by epoch; the kept epoch is marked.

    table: epoch, lr, train_loss, validation_loss, validation_iou, best. What was not measured is said.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.2), layout="constrained")
    kept = table.loc[table["best"], "epoch"].item() + 1
    for ax, (name, columns) in zip(axes, PANELS.items(), strict=True):
        measured = [column for column in columns if table[column].notna().any()]
        for column in measured:
            colour = COLOURS.get(column, BLUE)
            ax.plot(table["epoch"] + 1, table[column], ".-", color=colour, label=words(column), linewidth=1)
        if not measured:
            why = "no label to validate on:\nthe last epoch is kept"
            ax.text(0.5, 0.5, why, ha="center", va="center", fontsize=8, transform=ax.transAxes)
            ax.set(xlim=axes[0].get_xlim(), yticks=[])
        ax.axvline(kept, color="0.5", linestyle=":", linewidth=1)
        ax.set_title(name, fontsize=8)
        ax.set_xlabel("epoch", fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.tick_params(labelsize=8)
        sns.despine(ax=ax)
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def learning(history: pd.DataFrame) -> Figure:
    """Loss against optimiser steps, one panel a learning rate, a colour a fold; a dot: the kept epoch.

    history: of a task's training (train.train_fold). Solid: validation; dashed: training, mean over
    the epoch that ends there. The title says in how many folds this rate validated best and was taken.
    """
    if history.empty:
        return nothing(NOTHING)
    rates, folds = history["learning_rate"].unique(), sorted(history["fold"].unique())
    size = (max(4.5, 3.2 * len(rates)), 2.9)
    figure, axes = plt.subplots(1, len(rates), figsize=size, squeeze=False, sharey=True, layout="constrained")
    colours = feature_colours(tuple(folds))
    for ax, rate in zip(axes[0], rates, strict=True):
        own = history[history["learning_rate"] == rate]
        for fold, run in own.groupby("fold", sort=True):
            steps, look = run["steps"].cumsum(), {"color": colours[fold], "linewidth": 1.2}
            ax.plot(steps, run["train_loss"], linestyle="--", alpha=0.7, **look)
            ax.plot(steps, run["validation_loss"], label=f"fold {fold}", **look)
            ax.plot(steps[run["best"]], run.loc[run["best"], "validation_loss"], "o", markersize=4, **look)
        taken = own.loc[own["chosen"], "fold"].nunique()
        ax.set_title(f"learning rate {rate:g}: taken in {taken} of {len(folds)} folds", fontsize=SMALL)
        ax.set_xlabel("optimiser steps", fontsize=SMALL)
        ax.tick_params(labelsize=7)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        sns.despine(ax=ax)
    axes[0, 0].set_ylabel("loss: solid validation, dashed training", fontsize=SMALL)
    axes[0, -1].legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
