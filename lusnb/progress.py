"""A training as it went, for the notebook that trains: an edit to other figures must repeat no training."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lusnb.looks import WIDTH, words

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
            colour = COLOURS.get(column, "#0072b2")
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
