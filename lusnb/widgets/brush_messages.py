"""What the brush in the browser and its Python half tell each other: nothing that arrives is trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lusnb.cohort import arrays
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.painting import Painting, PaintingError
from lusnb.cohort.problems import words
from lusnb.report.looks import feature_colours

LONGEST = 200  # letters of any text that the browser sends
MOST_SECONDS = 60.0  # of time spent that one message may report


class MessageError(ValueError):
    """A message of the browser that cannot be followed: what was expected and what arrived."""


class NotSaved(PaintingError):
    """What is painted could not be saved when it was asked for: the text says why."""


@dataclass(frozen=True)
class Patch:
    """A rectangle of one feature's map as the browser painted it.

    pixels: uint8 (h, w), 255 = 100 %; none where only `looked` changed. picture, revision: what the view had
    on the screen. source: what its painting was started from.
    """

    picture: int
    revision: int
    feature: int
    x: int
    y: int
    pixels: np.ndarray
    looked: bool
    source: str


def address(content: Mapping) -> tuple[str, int]:
    """The view and the number of a message, as far as they are there."""
    view, sequence = content.get("view"), content.get("sequence")
    known = view if isinstance(view, str) else ""
    return known[:LONGEST], sequence if isinstance(sequence, int) else 0


def number(content: Mapping, name: str, least: int, most: int) -> int:
    """A whole number of a message, from least to most; raises MessageError for anything else."""
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise MessageError(f"message: expected {name} from {least} to {most}, got {_short(value)}.")
    return value


def word(content: Mapping, name: str) -> str:
    """A text of a message, of at most LONGEST letters; raises MessageError for anything else."""
    value = content.get(name)
    if not isinstance(value, str) or len(value) > LONGEST:
        raise MessageError(f"message: expected {name} as a text, got {_short(value)}.")
    return value


def seconds(content: Mapping) -> float:
    """Time spent that a message reports, in seconds, from 0 to MOST_SECONDS; 0 where it is not a number."""
    value = content.get("seconds", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return 0.0
    return min(float(value), MOST_SECONDS)


def patch(content: Mapping, buffers: Sequence, shape: tuple[int, int, int]) -> Patch:
    """The patch that a message carries, for maps of a shape (C, H, W).

    Raises MessageError where it is not within them, or its one buffer is not of w x h bytes.
    """
    count, height, width = shape
    x, y = number(content, "x", 0, width), number(content, "y", 0, height)
    w, h = number(content, "w", 0, width - x), number(content, "h", 0, height - y)
    got = [memoryview(one).nbytes for one in buffers]
    if got != [w * h]:
        raise MessageError(f"message: expected one buffer of {w} x {h} bytes, got {got}.")
    if not isinstance(content.get("looked"), bool):
        raise MessageError(f"message: expected looked as yes or no, got {_short(content.get('looked'))}.")
    return Patch(
        picture=number(content, "picture", 0, 2**53),
        revision=number(content, "revision", 0, 2**53),
        feature=number(content, "feature", 0, count - 1),
        x=x,
        y=y,
        pixels=np.frombuffer(memoryview(buffers[0]).cast("B"), np.uint8).reshape(h, w),
        looked=content["looked"],
        source=word(content, "source"),
    )


def put(painting: Painting, change: Patch) -> None:
    """Paint a patch; a feature with paint counts as looked at."""
    h, w = change.pixels.shape
    layer = painting.maps[change.feature]
    layer[change.y : change.y + h, change.x : change.x + w] = change.pixels
    painting.looked[change.feature] = change.looked or bool(layer.any())
    painting.started_from = change.source


def hello(cohort: Cohort, rater: str, queue: pd.DataFrame) -> dict:
    """What a view shows of a cohort before any picture: features with their colours, and the queue."""
    colours = feature_colours(cohort.features)
    return {
        "rater": rater,
        "cohort": cohort.name,
        "features": [words(feature) for feature in cohort.features],
        "colours": [colours[feature] for feature in cohort.features],
        "queue": rows(queue),
    }


def picture(cohort: Cohort, painting: Painting) -> dict:
    """What a view shows beside the pixels of a painted frame; sizes in pixels, mm down and across or null."""
    clip = cohort.clips.set_index("clip_id").loc[painting.clip_id]
    mm = arrays.pixel_mm(cohort, painting.clip_id)
    known = bool(np.isfinite(mm).all())
    return {
        "clip_id": painting.clip_id,
        "frame": painting.frame,
        "frames": len(arrays.clip(cohort, painting.clip_id)),
        "height": painting.maps.shape[1],
        "width": painting.maps.shape[2],
        "mm": [float(x) for x in mm] if known else None,
        "stretch": float(mm[0] / mm[1]) if known else 1.0,
        "fps": _plain(clip["fps"]),
        "patient_id": str(clip["patient_id"]),
        "day": _plain(clip["day"]),
        "view": _plain(clip["view"]),
        "looked": [bool(on) for on in painting.looked],
        "source": painting.started_from,
    }


def rows(table: pd.DataFrame) -> list[list]:
    """A queue as JSON: one list a frame, in the order of its columns; null where nothing is known."""
    return [[_plain(value) for value in row] for row in table.itertuples(index=False)]


def _plain(value: object) -> object:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _short(value: object) -> str:
    return repr(value)[:40]
