"""The operating point: counts by brute force, the pooled IoU by scikit-learn, the cut and what moves it."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from lusnb.segment import cuts

KNOWN = torch.ones(1, 1, dtype=torch.bool)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels that follow the label loosely, lower or higher by seed; labels, some empty; known."""
    rng = np.random.default_rng(seed)
    y, known = rng.random((4, 3, 6, 6)) < 0.3, rng.random((4, 3)) < 0.7
    y[0], y[1, 1] = False, True
    levels = np.clip(rng.normal(40 + 20 * seed + 60 * y, 50), 0, 255).astype(np.uint8)
    return levels, y, known


def counted(levels: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    return cuts.counts(*map(torch.from_numpy, (levels, y, known)))


def pooled(levels: np.ndarray, y: np.ndarray, known: np.ndarray, cut: int) -> float:
    """Mean over labelled features of scikit-learn's IoU over all known images in one."""
    scores = []
    for k in range(y.shape[1]):
        own, drawn = y[known[:, k], k].ravel(), levels[known[:, k], k].ravel() >= cut
        if own.any():
            scores.append(jaccard_score(own, drawn, zero_division=0))
    return float(np.mean(scores)) if scores else np.nan


def test_counts_are_those_of_every_pixel_of_known_features():
    levels, y, known = random_case(2)
    found = counted(levels, y, known)
    for k in range(3):
        at, inside = levels[known[:, k], k].ravel(), y[known[:, k], k].ravel()
        np.testing.assert_array_equal(found[k, 0], np.bincount(at[~inside], minlength=256))
        np.testing.assert_array_equal(found[k, 1], np.bincount(at[inside], minlength=256))
    parts = [counted(levels[n : n + 1], y[n : n + 1], known[n : n + 1]) for n in range(4)]
    np.testing.assert_array_equal(sum(parts), found)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_best_cut_is_the_best_of_brute_force(seed):
    case = random_case(seed)
    level, score = cuts.best(counted(*case))
    every = [pooled(*case, cut) for cut in range(1, 256)]  # levels
    assert score == pytest.approx(max(every))
    assert level == max(k for k in range(1, 256) if every[k - 1] == pytest.approx(max(every), abs=1e-12))


def test_the_cut_by_hand():
    # the label is the two pixels of 204 and 179; 153 is a false positive at every cut up to 153
    levels = torch.tensor([204, 179, 153, 26], dtype=torch.uint8).view(1, 1, 2, 2)
    y = torch.tensor([True, True, False, False]).view(1, 1, 2, 2)
    assert cuts.best(cuts.counts(levels, y, KNOWN)) == (179, 1.0)


def test_what_is_drawn_on_images_without_the_feature_moves_the_cut():
    """A second image without a label is painted at 160: only a cut above that leaves it alone."""
    levels = torch.tensor([[200, 150, 150, 0], [160, 160, 160, 160]], dtype=torch.uint8).view(2, 1, 2, 2)
    y = torch.tensor([[True, True, True, False], [False] * 4]).view(2, 1, 2, 2)
    alone = cuts.counts(levels[:1], y[:1], KNOWN)
    assert cuts.best(alone) == (150, 1.0)
    both = cuts.counts(levels, y, torch.ones(2, 1, dtype=torch.bool))
    level, score = cuts.best(both)  # 3 of 3 + 4 pixels at 150, 1 of 3 at 200
    assert (level, score) == (150, pytest.approx(3 / 7))
    more = both + cuts.counts(levels[1:], y[1:], KNOWN)
    assert cuts.best(more) == (200, pytest.approx(1 / 3))  # 3 of 3 + 8 now


def test_nothing_labelled_or_nothing_found_gives_a_half():
    levels = torch.full((1, 1, 2, 2), 30, dtype=torch.uint8)
    y = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    level, score = cuts.best(cuts.counts(levels, y, KNOWN))
    assert level == 128 and np.isnan(score)
    y[0, 0, 0, 0] = True
    levels[0, 0, 0, 0] = 0  # the one pixel of the label is surely not of the feature
    assert cuts.best(cuts.counts(levels, y, KNOWN)) == (128, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_a_monotone_change_of_probabilities_changes_neither_masks_nor_score(seed):
    """The epoch and the masks at the own cut depend on the order of probabilities alone."""
    rng = np.random.default_rng(seed)
    levels, y, known = random_case(seed)
    there = np.unique(levels)
    change = np.zeros(256, np.uint8)
    change[there] = np.sort(rng.choice(np.arange(1, 256), len(there), replace=False))
    if there[0] == 0:
        change[0] = 0  # what is surely not there stays so: no cut takes it
    before, after = cuts.best(counted(levels, y, known)), cuts.best(counted(change[levels], y, known))
    assert after[1] == before[1]
    np.testing.assert_array_equal(change[levels] >= after[0], levels >= before[0])
