"""Shapes that patients' scores and their differences have here, each with the mean that it has in truth.

Looked at: of 60 phantoms' labels at five thresholds against the truth, each patient's IoU has a skewness of
-0.2 to 0 and an excess kurtosis of -0.8 to -0.5, the ten differences -0.1 to 0.6 and -0.9 to 0.3, but for one
pair with a patient far off (2.8 and 15). S/F of phantoms has two humps, so that squared errors about its mean
are not skewed; those of a model that knows S/F but for a normal error are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

SD = 0.05  # of a difference in IoU, and of what a score is off by


@dataclass(frozen=True)
class Shape:
    """draw(rng, size) -> float array of that size, one value a patient; mean: what it has in truth."""

    name: str
    draw: Callable[[Generator, tuple[int, ...]], np.ndarray]
    mean: float
    difference: bool = True  # of two arms, or a score of one


def far_off(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Normal, but for one patient in twenty whose SD is five times as large."""
    return SD * rng.normal(size=size) * np.where(rng.random(size) < 0.05, 5, 1)


def skewed(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Gamma with a skewness of 1, about 0."""
    return SD * (rng.gamma(4.0, size=size) - 4) / 2


def exponential(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Exponential, a skewness of 2, about 0: no score here is more skewed."""
    return SD * (rng.exponential(size=size) - 1)


def pairs_right(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Share of a patient's six pairs that are classed rightly; patients differ in how hard they are."""
    return rng.binomial(6, rng.beta(4, 2, size)) / 6


def squares(rng: Generator, size: tuple[int, ...], patient: float = 0.1, day: float = 0.07) -> np.ndarray:
    """Mean over three days of the squared error of S/F / maximum: the patient's own error and the day's."""
    error = rng.normal(0, patient, (*size, 1)) + rng.normal(0, day, (*size, 3))
    return (error**2).mean(axis=-1)


def squares_saved(rng: Generator, size: tuple[int, ...]) -> np.ndarray:
    """Squared error of the mean less that of a model which knows a third of the way to the truth."""
    truth = rng.choice([-0.2, 0.2], (*size, 1)) + rng.normal(0, 0.1, (*size, 3))
    error = truth * 2 / 3 + rng.normal(0, 0.05, (*size, 3))
    return (truth**2 - error**2).mean(axis=-1)


SHAPES = (
    Shape("IoU of an arm", lambda rng, size: rng.beta(12, 14, size), 12 / 26, difference=False),
    Shape("right or wrong, 7 of 10 right", lambda rng, size: rng.binomial(1, 0.7, size), 0.7, False),
    Shape("share of 6 pairs right", pairs_right, 2 / 3, False),
    Shape("squared error of S/F", squares, 0.1**2 + 0.07**2, False),
    Shape("difference, normal", lambda rng, size: SD * rng.normal(size=size), 0.0),
    Shape("difference, a patient far off", far_off, 0.0),
    Shape("difference, skewness 1", skewed, 0.0),
    Shape("difference, skewness 2", exponential, 0.0),
    Shape("difference of two votes", lambda rng, size: rng.choice([-1, 0, 0, 0, 1], size), 0.0),
    Shape(
        "difference of shares of 6 pairs",
        lambda rng, size: (rng.binomial(6, 0.7, size) - rng.binomial(6, 0.6, size)) / 6,
        0.1,
    ),
    Shape("squared error saved", squares_saved, 0.05 * 5 / 9 - 0.05**2),
)
