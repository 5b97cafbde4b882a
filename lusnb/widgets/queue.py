"""What to paint next, and from what to start: frames of a cohort, the most uncertain first."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd

from lusnb.cohort import arrays, painting, problems
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.painting import EMPTY, PaintingError
from lusnb.widgets.arm_maps import ArmMaps

COMMITTEE = 3  # arms and seeds that are asked for a frame's uncertainty; a large cohort would wait for more
FAINT = 13  # of 255: a network gives every pixel a few per cent, which nobody would paint
COLUMNS = ["clip_id", "frame", "patient_id", "day", "view", "uncertainty", "labelled_by", "painted"]


def queue(cohort: Cohort, rater: str, found: ArmMaps) -> pd.DataFrame:
    """The frames for a rater to paint, COLUMNS: unpainted ones first, and of those the most uncertain.

    They are all that somebody labelled, and one of each clip that nobody did: the first one, or of those
    that arms segmented the one of which they are least sure. uncertainty: see `uncertainty`; NaN where no
    arm says anything. labelled_by: other raters, "a, b".
    """
    theirs = cohort.labels[cohort.labels["rater"] != rater]
    by = theirs.groupby(["clip_id", "frame"])["rater"].unique().map(sorted).map(", ".join).to_dict()
    mine = painting.kept(cohort, rater)
    labelled = defaultdict(set)
    for clip_id, frame in {*by, *mine}:
        labelled[clip_id].add(frame)
    committee = _committee(found)
    segmented = _segmented(found, committee)
    rows = []
    for clip in cohort.clips.itertuples():
        frames = sorted(labelled[clip.clip_id]) or segmented[clip.clip_id] or [0]
        doubts = {frame: uncertainty(found, committee, clip.clip_id, frame) for frame in frames}
        if not labelled[clip.clip_id]:
            frames = [max(frames, key=lambda frame: np.nan_to_num(doubts[frame], nan=-1.0))]
        for frame in frames:
            place = (clip.clip_id, frame)
            known = (clip.patient_id, clip.day, clip.view, doubts[frame])
            rows.append((*place, *known, by.get(place, ""), place in mine))
    out = pd.DataFrame(rows, columns=COLUMNS)
    order = {"by": ["painted", "uncertainty"], "ascending": [True, False]}
    return out.sort_values(**order, kind="stable", ignore_index=True)


def _committee(found: ArmMaps) -> list[tuple[str, int]]:
    """Some arms and seeds, spread over all: where they part from one another nobody is sure."""
    at = np.linspace(0, len(found.names) - 1, min(COMMITTEE, len(found.names)))
    return [found.names[k] for k in at.round().astype(int)]


def _segmented(found: ArmMaps, committee: list[tuple[str, int]]) -> dict[str, list[int]]:
    """The frames of each clip that the committee segmented."""
    frames = defaultdict(list)
    for row in found.frames(*committee[0]).itertuples() if committee else ():
        frames[row.clip_id].append(row.frame)
    return frames


def uncertainty(found: ArmMaps, committee: list[tuple[str, int]], clip_id: str, frame: int) -> float:
    """Of what arms expect to be marked in a frame, the share that they expect to be wrong: 0 to 1.

    sum p (1 - p) / sum p over pixels and features, p being the mean of the committee's probabilities (or
    masks); NaN where nobody says anything of this frame, or nothing is marked. It is of probabilities, and so
    of no cut; where a frame has only the tasks' masks they are as they were cut for the tasks.
    """
    told = [found.maps(*one, clip_id, frame) for one in committee]
    maps = [one[0] for one in told if one is not None]
    same = [one for one in maps if one.shape == maps[0].shape]
    if not same:
        return float("nan")
    p = np.mean(same, axis=0, dtype=np.float32) / 255
    marked = float(p.sum())
    return float((p * (1 - p)).sum()) / marked if marked else float("nan")


def starts(cohort: Cohort, clip_id: str, frame: int, rater: str, found: ArmMaps) -> list[str]:
    """From what a rater can start on a frame: `empty`, `rater <name>` of others, `arm <name> seed <k>`.

    Raters are those whom labels.csv names now: others may paint in the cohort at the same time.
    """
    labels = painting.labels_now(cohort)
    rows = labels[(labels["clip_id"] == clip_id) & (labels["frame"] == frame)]
    others = sorted(set(rows["rater"]) - {rater})
    arms = [one for one in found.names if found.maps(*one, clip_id, frame) is not None]
    return [EMPTY, *(f"rater {name}" for name in others), *(f"arm {arm} seed {seed}" for arm, seed in arms)]


def start(
    cohort: Cohort, clip_id: str, frame: int, source: str, found: ArmMaps
) -> tuple[np.ndarray, np.ndarray]:
    """A frame's maps to start from, one of `starts`: uint8 (C, H, W), and what is looked at, bool (C,).

    A rater's map is as it was saved last, with the features that this rater looked at. An arm's is brought to
    the clip's size (bilinear), without what the arm does not predict, below its own validation cut (nor what
    is below FAINT), and counts as looked at where it marks something: what is left is what the explorer
    shows of this arm at first, at the arm's probability. Raises PaintingError for a source that is not there.
    """
    height, width = arrays.clip(cohort, clip_id).shape[1:]
    count = len(cohort.features)
    if source == EMPTY:
        return np.zeros((count, height, width), np.uint8), np.zeros(count, bool)
    if source.startswith("rater "):
        labels = painting.labels_now(cohort)
        labels = labels[labels["rater"] == source.removeprefix("rater ")]
        table = pd.DataFrame({"clip_id": [clip_id], "frame": [frame]})
        maps, known = arrays.confidence_of(replace(cohort, labels=labels), table, None)
        if known.any():
            return maps[0], known[0]
    named = {f"arm {arm} seed {seed}": (arm, seed) for arm, seed in found.names}
    told = found.maps(*named[source], clip_id, frame) if source in named else None
    if told is None:
        raise PaintingError(
            f"clip {clip_id}, frame {frame}: expected one of its starts, got {problems.short(source)}; "
            "choose again."
        )
    maps = np.stack([_resized(one, height, width) for one in told[0]])
    maps[maps < max(FAINT, found.least(*named[source], clip_id, frame))] = 0
    return maps, np.any(maps, axis=(1, 2))


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
