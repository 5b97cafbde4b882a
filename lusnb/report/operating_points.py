"""Where each arm stands on its curve of precision and recall: at its own cut, and at 0.5."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lusnb.cohort.problems import words
from lusnb.report.arms import legend, mark
from lusnb.report.figures import MANY
from lusnb.report.looks import SMALL, WIDTH, feature_colours

TOPS = (0.2, 0.5, 1)  # where the scale of precision may end, the same in all panels


def precision_recall(table: pd.DataFrame) -> Figure:
    """Precision against recall, one panel a feature, one line an arm; where each arm stands at its two cuts.

    More arms than colours can tell apart are one panel each, with one line a feature.
    table: precision_recall.curves, of which the first seed is drawn; against the truth first, where it is
    known, then against the labels; of many arms against the first of these alone.
    """
    table = table[table["seed"] == table["seed"].min()]
    arms, features = (list(dict.fromkeys(table[name])) for name in ("arm", "feature"))
    against = [name for name in ("truth", "labels") if (table["against"] == name).any()]
    if len(arms) > MANY:
        panel, line, colours, columns = "arm", "feature", feature_colours(tuple(features)), 5
        shown = [(against[0], arm, arm) for arm in arms]
    else:
        panel, line, columns = "feature", "arm", min(3, len(features))
        colours = dict(zip(arms, sns.color_palette("viridis", len(arms)), strict=True))
        shown = [(name, feature, f"{words(feature)}, {name}") for name in against for feature in features]
    figure, axes = _panels(len(shown), columns)
    highest = table.loc[table["against"].isin([name for name, *_ in shown]), "precision"].max()
    top = next((top for top in TOPS if highest <= top), 1)
    for ax, (name, value, title) in zip(axes, shown, strict=True):
        own = table[(table["against"] == name) & (table[panel] == value)]
        _curves(ax, own, line, colours)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02 * top))
        for axis, end in ((ax.xaxis, 1), (ax.yaxis, top)):
            axis.set_ticks([0, end / 2, end], ["0", f"{end / 2:g}", f"{end:g}"])  # short: panels stand close
        ax.set_title(title, fontsize=SMALL)
    of_one = f" against the {against[0]}" if len(arms) > MANY else ""
    figure.supxlabel("recall", fontsize=SMALL)
    figure.supylabel(f"precision{of_one}", fontsize=SMALL)
    marks = [Line2D([], [], color=colour, label=words(key) if line == "feature" else key)
             for key, colour in colours.items()]  # fmt: skip
    points = [mark("o", "0.3", "own cut"), mark("o", "white", "cut at 0.5", edge="0.3")]
    legend(figure, [*marks, *points], "upper", columns=5)
    return figure


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    """So many panels in a grid, all on the same two axes."""
    rows = -(-count // columns)
    size = (WIDTH, 0.9 + (1.9 if columns <= 3 else 1.55) * rows)
    same: dict[str, Any] = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, figsize=size, **same)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, count - columns) : count]:
        ax.tick_params(labelbottom=True)  # also above a panel that is not there
    return figure, list(axes.flat[:count])


def _curves(ax: Axes, table: pd.DataFrame, line: str, colours: dict) -> None:
    """The curves of one panel, one line an arm or a feature, with the two points of each."""
    for name, colour in colours.items():
        own = table[table[line] == name]
        curve = own[own["point"].fillna("") == ""].dropna(subset=["precision", "recall"]).sort_values("level")
        ax.plot(curve["recall"], curve["precision"], color=colour, linewidth=1)
        for point, face in (("fixed", "white"), ("own", colour)):
            at = own[own["point"] == point]
            ax.scatter(at["recall"], at["precision"], s=16, facecolor=[face], edgecolor=[colour], zorder=3)
    ax.tick_params(labelsize=SMALL)
    sns.despine(ax=ax)
