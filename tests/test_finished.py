"""Predictions of folds put together, each for the frames that its model never saw."""

import numpy as np
import pandas as pd

from lusnb.compare import finished, measured
from lusnb.segment import predictions
from lusnb.segment.predictions import Predictions


def fold(rng: np.random.Generator, held_out: list[int], dropout: bool = True) -> Predictions:
    def draw(n):
        return rng.integers(0, 256, (n, 2, 4, 4)).astype(np.uint8)

    labelled = pd.DataFrame({"clip_id": list("abcdef"), "frame": 0})
    none = np.zeros(0, int)
    table = predictions.index(labelled, labelled.assign(slot=0), none, np.array(held_out))
    part = draw(len(held_out)) if dropout else None
    made_from = {"cut": int(rng.integers(1, 256))}
    logits = rng.normal(size=(len(held_out), 2, 4, 4)).astype(np.float32)
    return Predictions(draw(6), draw(6), table, made_from, logits, draw(len(held_out)), part)


def test_each_frame_comes_from_the_fold_that_held_it_out():
    rng = np.random.default_rng(0)
    folds = [fold(rng, [4, 0, 3]), fold(rng, [1, 2, 5])]
    found = finished.stitch(dict(enumerate(folds, 1)))
    assert found.tempered is None and found.parts == {1: folds[0], 2: folds[1]}
    divisors = {("a", 0, 1): np.array([2.0, np.nan]), ("a", 0, 2): np.array([0.5, 1.0])}
    found = measured.tempered({("a", 0): found}, divisors)["a", 0]
    for own, where in zip(folds, ([4, 0, 3], [1, 2, 5]), strict=True):
        assert own.held_out.tolist() == where
        np.testing.assert_array_equal(found.labelled[where], own.labelled[where])
        by = [2.0, 1.0] if own is folds[0] else [0.5, 1.0]  # without a temperature: as it is
        wanted = 255 / (1 + np.exp(-own.logits.astype(float) / np.array(by)[:, None, None]))
        assert np.abs(found.tempered[where] - wanted).max() <= 0.51
        np.testing.assert_array_equal(found.dropout[where], own.dropout)
        assert found.cuts[where].tolist() == [own.cut] * len(where)
        np.testing.assert_array_equal(found.masks(np.array(where)), own.labelled[where] >= own.cut)
    assert folds[0].cut != folds[1].cut


def test_without_dropout_in_every_fold_there_is_none():
    rng = np.random.default_rng(1)
    assert finished.stitch({k: fold(rng, [k], dropout=k == 0) for k in range(2)}).dropout is None


def test_nothing_of_a_frame_that_a_model_saw_is_kept():
    found = finished.stitch({0: fold(np.random.default_rng(2), [1])})
    assert not found.labelled[[0, 2, 3, 4, 5]].any() and found.labelled[1].any()
