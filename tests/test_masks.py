"""Whose masks a task reads: never those of a segmenter that knew the patient or the fold that is tested."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lusnb.cohort import arrays, splits
from lusnb.cohort import cohort as cohorts
from lusnb.segment.predictions import Predictions, index
from lusnb.tasks import masks as tasks_masks

SIZE, FRAMES, FOLDS = 32, 2, 3


@pytest.fixture(scope="module")
def cohort(phantom):
    """The phantom with three outer folds of two patients each."""
    found = cohorts.read(phantom, 2)
    blank = found.patients.assign(fold=pd.NA, split=None).astype({"fold": "Int64"})
    return replace(found, patients=splits.split(blank, FOLDS))


def part(cohort, mark: int, patients: list[str]) -> Predictions:
    """Predictions of the clips of some patients, all of whose bytes are `mark`."""
    clips = cohort.clips.loc[cohort.clips["patient_id"].isin(patients), "clip_id"]
    frames = np.full((len(clips), FRAMES, len(cohort.features), SIZE, SIZE // 8), mark, np.uint8)
    rows = [(clip_id, slot, slot) for clip_id in clips for slot in range(FRAMES)]
    table = pd.DataFrame(rows, columns=["clip_id", "slot", "frame"])
    none = pd.DataFrame(columns=["clip_id", "frame"])
    made_from = {"channels": "binary", "task_size": SIZE, "task_frames": FRAMES}
    empty = np.zeros((0, 6, 8, 8), np.uint8)
    return Predictions(empty, frames, index(none, table, np.array([], int), np.array([], int)), made_from)


@pytest.fixture(scope="module")
def parts(cohort):
    """What every outer and inner segmenter leaves of the patients it holds out; mark = 10 fold + inner."""
    outer = [(k, 0) for k in range(1, FOLDS + 1)]
    pairs = list(combinations(range(1, FOLDS + 1), 2))
    found = {}
    for fold, inner in outer + pairs:
        held_out = splits.roles(cohort.patients, fold, "cross_fitted", inner)["test"]
        found[fold, inner] = part(cohort, 10 * fold + inner, held_out), f"fold{fold}/inner{inner}"
    return found


def test_every_clip_is_segmented_by_a_model_that_saw_neither_its_patient_nor_the_tested_fold(cohort, parts):
    found = tasks_masks.cross_fitted(cohort, parts)
    outer = cohort.patients.set_index("patient_id")["outer_fold"]
    for tested in range(1, FOLDS + 1):
        masks = found.masks(tested)
        assert masks.shape == (len(cohort.clips), FRAMES, 6, SIZE, SIZE // 8)
        for n, clip in enumerate(cohort.clips.itertuples()):
            marks = set(np.unique(masks[n]))
            assert len(marks) == 1
            fold, inner = divmod(int(marks.pop()), 10)
            roles = splits.roles(cohort.patients, fold, "cross_fitted", inner)
            seen = set(roles["train"]) | set(roles["validation"])
            assert clip.patient_id not in seen
            assert not seen & set(outer.index[outer == tested])
            assert found.by(tested)[clip.clip_id] == f"fold{fold}/inner{inner}"


def test_one_inner_model_serves_both_folds_that_it_leaves_out():
    assert tasks_masks.pair(1, 3) == tasks_masks.pair(3, 1) == (1, 3)
    assert tasks_masks.pair(2, 2) == (2, 0)


def test_clips_are_found_by_name_whatever_their_order(cohort, parts):
    shuffled = dict(parts)
    found, name = parts[1, 0]
    order = np.arange(len(found.frames))[::-1]
    table = found.index.assign(position=len(order) - 1 - found.index["position"])
    marked = np.arange(len(order), dtype=np.uint8)[:, None, None, None, None] + np.zeros_like(found.frames)
    shuffled[1, 0] = Predictions(found.labelled, marked, table, found.made_from), name
    masks = tasks_masks.cross_fitted(cohort, shuffled).masks(1)
    own = cohort.clips["patient_id"].map(cohort.patients.set_index("patient_id")["outer_fold"]) == 1
    np.testing.assert_array_equal(masks[own.to_numpy(), 0, 0, 0, 0], order)


def test_a_clip_that_was_not_segmented_is_an_error(cohort, parts):
    with pytest.raises(KeyError):
        parts[1, 2][0].positions(cohort.clips["clip_id"])


def test_under_paper_every_fold_reads_one_segmenter(cohort, parts):
    everything = part(cohort, 7, list(cohort.patients["patient_id"]))
    found = tasks_masks.whole(cohort, everything, "fold0")
    assert found.masks(1) is found.masks(2) is everything.frames
    assert set(found.by(1)) == {"fold0"}
    assert (found.task_size, found.task_frames, found.full) == (SIZE, FRAMES, 1)


def test_true_masks_are_the_phantoms_own(cohort, parts):
    found = tasks_masks.true(cohort, parts[1, 0][0])
    masks = np.unpackbits(found.masks(1), axis=-1, count=SIZE)
    np.testing.assert_array_equal(masks, arrays.true_masks(cohort, SIZE, FRAMES))
    assert 0 < masks.mean() < 0.5 and found.masks(1) is found.masks(3)
