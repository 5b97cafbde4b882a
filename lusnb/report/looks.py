"""Colours, widths and names that all pictures share."""

from matplotlib import color_sequences, colors
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

PALETTE = (
    "#0072b2",
    "#56b4e9",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
)  # Okabe and Ito, by feature order
BLUE, ORANGE, GREEN = PALETTE[0], PALETTE[5], PALETTE[3]
SMALL = 8  # points, of most words in a picture
WIDTH = 7.2  # inches, a journal's double column


def feature_colours(features: tuple[str, ...]) -> dict[str, str]:
    """A fixed colour for each feature, in the cohort's order."""
    more = [colors.to_hex(c) for c in color_sequences["tab20"]]
    return dict(zip(features, [*PALETTE, *more][: len(features)], strict=True))


def nothing(why: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure, ax = plt.subplots(figsize=(WIDTH, 0.6))
    ax.text(0.5, 0.5, why, ha="center", va="center", fontsize=8)
    ax.set_axis_off()
    return figure
