"""Where each arm stands on its curve of precision and recall: at its own cut, and at 0.5."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lusnb.arm_figures import SMALL, legend, mark
from lusnb.looks import WIDTH, words


def precision_recall(table: pd.DataFrame, columns: int = 3) -> Figure:
    """Precision against recall, one panel a feature, one line an arm; where each arm stands at its two cuts.

    table: precision_recall.curves, of which the first seed is drawn; against the truth first, where it is
    known, then against the labels.
    """
    table = table[table["seed"] == table["seed"].min()]
    arms, features = (list(dict.fromkeys(table[name])) for name in ("arm", "feature"))
    against = [name for name in ("truth", "labels") if (table["against"] == name).any()]
    shown = [(name, feature) for name in against for feature in features]
    columns = min(columns, len(features))
    rows = -(-len(shown) // columns)
    size = (WIDTH, 0.9 + 1.9 * rows)
    same = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, figsize=size, **same)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    colours = dict(zip(arms, sns.color_palette("viridis", len(arms)), strict=True))
    for ax, (name, feature) in zip(axes.flat, shown, strict=False):
        own = table[(table["against"] == name) & (table["feature"] == feature)]
        _one_curve(ax, own, colours)
        ax.set_title(f"{words(feature)}, {name}", fontsize=SMALL)
    figure.supxlabel("recall", fontsize=SMALL)
    figure.supylabel("precision", fontsize=SMALL)
    marks = [Line2D([], [], color=colour, label=arm) for arm, colour in colours.items()]
    points = [mark("o", "0.3", "own cut"), mark("o", "white", "cut at 0.5")]
    points[1].set_markeredgecolor("0.3")
    legend(figure, [*marks, *points], "upper", columns=5)
    return figure


def _one_curve(ax: Axes, table: pd.DataFrame, colours: dict) -> None:
    for arm, colour in colours.items():
        own = table[table["arm"] == arm]
        curve = own[own["point"].fillna("") == ""].dropna().sort_values("level")
        ax.plot(curve["recall"], curve["precision"], color=colour, linewidth=1)
        for point, face in (("fixed", "white"), ("own", colour)):
            at = own[own["point"] == point]
            ax.scatter(at["recall"], at["precision"], s=16, facecolor=[face], edgecolor=[colour], zorder=3)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.tick_params(labelsize=SMALL, labelbottom=True)
    sns.despine(ax=ax)
