"""Pairs of clips drawn for training: in random order, in draws of few clips of one zone."""

from itertools import combinations

import numpy as np


def orient(pairs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each pair, (pairs, 2), a random order."""
    flip = rng.random(len(pairs)) < 0.5
    return np.where(flip[:, None], pairs[:, ::-1], pairs)


def pairs_among(ids: np.ndarray) -> np.ndarray:
    """Every unordered pair of some clips: (n,) -> (n (n - 1) / 2, 2)."""
    return ids[np.stack(np.triu_indices(len(ids), 1), 1)]


def zone_batches(zones: np.ndarray, batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle the clips of each zone into batches of one zone: positions, at most about `batch` each.

    zones: the zone of each clip. A zone is cut into equal parts, so that no clip is left without a partner.
    """
    batches = []
    for zone in sorted(set(zones), key=str):
        where = rng.permutation(np.flatnonzero(zones == zone))
        if len(where) > 1:
            batches += np.array_split(where, max(1, min(round(len(where) / batch), len(where) // 2)))
    return [batches[k] for k in rng.permutation(len(batches))]


def every_pair(zones: np.ndarray, batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Every unordered pair of clips of a zone, once, in draws of few clips: positions, (pairs, 2) a draw.

    zones: the zone of each clip. A draw holds at most `batch` clips, and at least two. A zone of more clips
    is shuffled and cut into equal blocks of at most half a draw. Each two blocks are a draw, with every pair
    between them and an equal share of the pairs within either, so that draws are of about one size and no
    pair weighs more than another. A clip is encoded once for every other block: some 2 n / batch times.
    """
    draws = []
    for zone in sorted(set(zones), key=str):
        where = rng.permutation(np.flatnonzero(zones == zone))
        if len(where) > 1:
            draws += [pairs_among(where)] if len(where) <= batch else _of_blocks(where, batch // 2, rng)
    return [draws[k] for k in rng.permutation(len(draws))]


def _of_blocks(where: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The draws of one zone, each of two blocks of at most `size` clips (one at least)."""
    blocks = np.array_split(where, -(-len(where) // max(1, size)))
    within = [np.array_split(rng.permutation(pairs_among(block)), len(blocks) - 1) for block in blocks]
    draws = []
    for i, j in combinations(range(len(blocks)), 2):
        between = np.stack(np.meshgrid(blocks[i], blocks[j]), -1).reshape(-1, 2)
        draws.append(np.concatenate([between, within[i].pop(), within[j].pop()]))
    return draws
