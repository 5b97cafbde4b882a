"""What a clinical task's answers are worth, as one object: its scores, their names, and what is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import pandas as pd

from lusnb.tasks.question import Question

ROOT, UNDER = "rmse_", "mse_"  # an RMSE is no mean over patients, but the root of one


@dataclass(frozen=True)
class Card:
    """How the explorer shows a task: what a patient (and day) has of it, and in which words.

    kind: value (predicted against true, in a unit), share or probability (0 to 1). patients: of a task's
    predictions and the cohort's sf_max, a row a network (scores.RUN) and patient: truth, value, count; for
    kind value also day. words: kind itself, and of the plot and the table: axis, heading, note; for a share
    also units, what is counted; for a value also known, where a patient's card holds the true ones ("sf").
    """

    kind: str
    patients: Callable[[pd.DataFrame, float], pd.DataFrame]
    axis: str
    heading: str
    note: str
    units: str = ""
    known: str = ""

    @property
    def words(self) -> dict[str, str]:
        """All but the function, for a browser."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "patients"}


@dataclass(frozen=True)
class Task:
    """A question with its scores.

    title: in words. number: of its table. scores: of predictions (tasks/scores.py) of one run -> name ->
    value.
    leading: the score that its table leads with, a mean over patients (an RMSE: the root of one). metrics,
    counts, second: the table's other scores, what they rest on, and the second table's. compared: what
    baselines are compared in. errors: of these, the smaller the better.
    several: a patient is asked several units, over which one can pool. rests: the count without which a
    patient has no leading score; "": all have one. words: names of scores, in words.
    """

    question: Question
    title: str
    number: int
    scores: Callable[[pd.DataFrame], dict[str, float]]
    leading: str
    metrics: tuple[str, ...]
    counts: tuple[str, ...]
    second: tuple[str, ...]
    compared: str
    card: Card
    errors: tuple[str, ...] = ()
    several: bool = True
    rests: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def each(self) -> str:
        """What each patient has of the leading score."""
        return self.leading.replace(ROOT, UNDER)
