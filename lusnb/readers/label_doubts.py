"""What labels say when they are seen together: a structure never there, off by one frame, in per cent."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb.cohort import contents
from lusnb.cohort.problems import Unfit, short
from lusnb.readers import labels

LIKE = 0.8  # of 1: names at least this much alike may be one name, misspelt
Told = tuple[int, Unfit, bool]  # row, what is wrong, whether it is a warning


@dataclass
class Seen:
    """What was seen of the labels: per feature and rater, and the rows that draw polygons."""

    masks: dict[tuple, dict[int, bool | None]] = field(default_factory=dict)  # row -> painted; None: not read
    counts: dict[tuple, np.ndarray] = field(default_factory=dict)  # pixels of each value, (256,)
    first: dict[tuple, int] = field(default_factory=dict)  # the first row that was counted
    outlines: list = field(default_factory=list)  # rows of polygon files that were read

    def add(self, row, image: np.ndarray | None) -> None:
        """Remember a label, uint8 (H, W), before any crop; None where it could not be read."""
        key = (row.feature, row.rater)
        polygons = is_polygons(row.path)
        if polygons or pd.notna(row.foreground):
            painted = None if image is None else bool(image.any())
            self.masks.setdefault(key, {})[row.row] = painted
        elif image is not None:
            self.counts[key] = self.counts.get(key, 0) + np.bincount(image.ravel(), minlength=256)
            self.first.setdefault(key, row.row)
        if polygons and image is not None:
            self.outlines.append(row)


def is_polygons(path: str) -> bool:
    """Whether a label's path is that of a polygon file."""
    return path.lower().endswith(".json")


def layer_of(row) -> str:
    """The name under which a label's file holds it."""
    return row.layer if isinstance(row.layer, str) else row.feature


def together(seen: Seen, source: Path, lengths: dict[str, int]) -> list[Told]:
    """All that is odd about the labels of a source; `lengths`: the number of frames of each clip."""
    drawn = {path: labels.polygon_frames(source / path) for path in {row.path for row in seen.outlines}}
    misnamed, told = _misnamed(seen, drawn)
    told += [*_beyond(seen, drawn, lengths), *_off_by_one(seen, drawn)]
    for (feature, rater), masks in seen.masks.items():
        left = {row: painted for row, painted in masks.items() if row not in misnamed}
        if left and all(painted is False for painted in left.values()):
            arrived = f"nothing of that value or name in {len(left)} of {len(left)}"
            expected = f"{feature} in at least one of its labels by {rater}"
            told.append((min(left), Unfit(expected, arrived, "correct `foreground` or `layer`."), False))
    for key, counts in seen.counts.items():
        doubt = contents.check_scale(counts)
        told += [(seen.first[key], doubt, True)] if doubt else []
    return told


def _misnamed(seen: Seen, drawn: dict[str, dict]) -> tuple[set[int], list[Told]]:
    """Rows whose label no polygon file of their clip knows, though others are drawn there.

    An error where it may be misspelt: another is written much like it, or no clip has it. Else a warning.
    """
    there: dict[str, set[str]] = {}  # clip_id -> labels drawn
    rows: dict[tuple, list] = {}
    for row in seen.outlines:
        there.setdefault(row.clip_id, set()).update(drawn[row.path])
    anywhere = set().union(*there.values())
    for row in seen.outlines:
        here, layer = there[row.clip_id], layer_of(row)
        if here and layer not in here:
            known = {name.casefold(): name for name in here}
            like = bool(get_close_matches(layer.casefold(), known, 1, LIKE))
            wrong = like or layer not in anywhere
            rows.setdefault((row.feature, row.rater, layer, None if wrong else row.clip_id), []).append(row)
    told, misnamed = [], set()
    for (feature, rater, layer, clip_id), mine in rows.items():
        names = short(sorted(set().union(*(there[row.clip_id] for row in mine))))
        arrived = f"nothing of that value or name, {layer!r}, in {len(mine)} rows, but {names}"
        if clip_id is None:
            misnamed |= {row.row for row in mine}
            error = Unfit(f"{feature} in at least one polygon by {rater}", arrived, "correct `layer`.")
        else:
            remedy = "is it not there? Then all is well; else correct `layer`."
            error = Unfit("polygons of this label, where others are drawn", arrived, remedy)
        told.append((mine[0].row, error, clip_id is not None))
    return misnamed, told


def _beyond(seen: Seen, drawn: dict[str, dict], lengths: dict[str, int]) -> list[Told]:
    """Polygon files with shapes on frames that their clip does not have."""
    told, done = [], set()
    for row in seen.outlines:
        last = lengths[row.clip_id] - 1
        frames = set().union(*drawn[row.path].values()) - {None}
        strange = sorted(frame for frame in frames if not 0 <= frame <= last)
        if strange and (row.clip_id, row.path) not in done:
            done.add((row.clip_id, row.path))
            arrived = f"{row.path} with frames {short(strange)}"
            remedy = "is it the file of another clip, or are frames counted from 1?"
            told.append((row.row, Unfit(f"polygons on frames from 0 to {last}", arrived, remedy), False))
    return told


def _off_by_one(seen: Seen, drawn: dict[str, dict]) -> list[Told]:
    """Labels without a polygon of their frame, where a frame beside it has one."""
    told = []
    for row in seen.outlines:
        frames = drawn[row.path].get(layer_of(row), {None})
        near = sorted({row.frame - 1, row.frame + 1} & frames)
        if near and not {row.frame, None} & frames:
            arrived = f"none on frame {row.frame} of {row.path}, but on frame {near[0]}"
            remedy = "is it off by one? Frames count from 0."
            told.append((row.row, Unfit("a polygon on the labelled frame", arrived, remedy), True))
    return told
