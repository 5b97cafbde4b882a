"""What a task is asked, counted and ordered by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lusnb import examples
from lusnb.cohort import Cohort

VIEWS = {"R1": 1, "L1": 1, "R2": 2}


@pytest.fixture
def clips() -> pd.DataFrame:
    """Two patients on two days, out of order; S/F as a fraction of its maximum; one clip without any."""
    rows = [
        ("p2_x", "P2", 1, "R1", 0.5),
        ("p2_w", "P2", 0, "L1", 0.5),
        ("p1_e", "P1", 1, "R2", 0.8),
        ("p1_d", "P1", 1, "R1", 0.8),
        ("p1_c", "P1", 0, "R2", 0.6),
        ("p1_b", "P1", 0, "L1", 0.6),
        ("p1_a", "P1", 0, "R1", 0.6),
        ("p1_A", "P1", 0, "L1", 0.6),
        ("p1_n", "P1", 2, "R1", np.nan),
        ("p2_q", "P2", 0, "R9", 0.5),
    ]
    return pd.DataFrame(rows, columns=["clip_id", "patient_id", "day", "view", "sf_ratio"])


@pytest.mark.parametrize(
    ("first", "second", "tolerance", "want"),
    [
        (0.6, 0.5, 0.0, examples.DECREASE),
        (0.5, 0.5, 0.0, examples.SAME),
        (0.5, 0.6, 0.0, examples.INCREASE),
        (0.5, 0.6, 0.2, examples.SAME),
        (0.6, 0.5, 0.05, examples.DECREASE),
    ],
)
def test_change_class_by_hand(first: float, second: float, tolerance: float, want: int):
    assert examples.change_class(np.array([first]), np.array([second]), tolerance) == [want]


def test_a_change_of_exactly_the_tolerance_is_the_same_whatever_the_rounding():
    first, second = (np.arange(100, 477) / 477, np.arange(101, 478) / 477)  # S/F one unit apart
    assert (examples.change_class(first, second, 1 / 477) == examples.SAME).all()
    assert (examples.change_class(first, second, 0.99 / 477) == examples.INCREASE).all()


def test_pairs_within_a_patient_by_hand(clips: pd.DataFrame):
    pairs = examples.within_patient_pairs(clips, VIEWS, 0.0)
    got = [tuple(r) for r in pairs[["patient_id", "zone", "clip_1", "clip_2", "truth"]].to_numpy()]
    same, up = examples.SAME, examples.INCREASE
    assert got == [  # by day, then view in the cohort's order, then clip_id
        ("P1", 1, "p1_a", "p1_A", same),
        ("P1", 1, "p1_a", "p1_b", same),
        ("P1", 1, "p1_a", "p1_d", up),
        ("P1", 1, "p1_A", "p1_b", same),
        ("P1", 1, "p1_A", "p1_d", up),
        ("P1", 1, "p1_b", "p1_d", up),
        ("P1", 2, "p1_c", "p1_e", up),
        ("P2", 1, "p2_w", "p2_x", same),
    ]
    assert (pairs.loc[pairs["day_1"] == pairs["day_2"], "truth"] == same).all()
    assert (pairs["day_1"] <= pairs["day_2"]).all()


def test_a_wider_tolerance_makes_more_pairs_the_same(clips: pd.DataFrame):
    assert (examples.within_patient_pairs(clips, VIEWS, 0.25)["truth"] == examples.SAME).all()


def test_pairs_do_not_depend_on_the_order_of_the_rows(clips: pd.DataFrame):
    mixed = clips.sample(frac=1, random_state=np.random.default_rng(1))
    want = examples.within_patient_pairs(clips, VIEWS, 0.0)
    pd.testing.assert_frame_equal(examples.within_patient_pairs(mixed, VIEWS, 0.0), want)


def test_no_clips_give_no_pairs(clips: pd.DataFrame):
    pairs = examples.within_patient_pairs(clips[:0], VIEWS, 0.0)
    assert len(pairs) == 0
    assert list(pairs) == ["patient_id", "zone", "clip_1", "clip_2", "day_1", "day_2", "truth"]
    assert examples.training_pairs(clips[:0], VIEWS).shape == (0, 2)


def test_training_pairs_are_all_of_a_zone_across_patients_and_days(cohort: Cohort):
    pairs = examples.training_pairs(cohort.clips, cohort.views)
    zone = cohort.clips.set_index("clip_id")["view"].map(cohort.views)
    counts = zone.value_counts()
    assert len(pairs) == sum(n * (n - 1) // 2 for n in counts)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(zone[a] == zone[b] for a, b in pairs)


def test_orienting_swaps_about_half_of_the_pairs_and_changes_nothing_else():
    pairs = np.array([(f"a{k}", f"b{k}") for k in range(400)], dtype=object)
    turned = examples.orient(pairs, np.random.default_rng(0))
    swapped = turned[:, 0] != pairs[:, 0]
    assert 160 < swapped.sum() < 240
    np.testing.assert_array_equal(turned[swapped], pairs[swapped][:, ::-1])
    np.testing.assert_array_equal(turned[~swapped], pairs[~swapped])


@pytest.mark.parametrize("batch", [2, 3, 4, 8, 32])
@pytest.mark.parametrize("seed", [0, 1])
def test_zone_batches_hold_every_clip_once_of_one_zone_and_none_alone(batch: int, seed: int):
    rng = np.random.default_rng(seed)
    for count in range(2, 40):
        zones = np.array([1] * count + [2] * (count + 3) + ["apex"] * 2, dtype=object)
        zones = rng.permutation(zones)
        batches = examples.zone_batches(zones, batch, rng)
        assert sorted(np.concatenate(batches)) == list(range(len(zones)))
        assert all(len(set(zones[b])) == 1 for b in batches)
        assert all(2 <= len(b) <= max(2, 1.5 * batch) for b in batches), (
            f"{count} clips in batches of {batch}"
        )


def test_zone_batches_leave_out_a_zone_of_one_clip():
    zones = np.array([1, 1, 1, 2])
    (only,) = examples.zone_batches(zones, 8, np.random.default_rng(0))
    assert sorted(only) == [0, 1, 2]


def test_readmission_units_by_hand():
    rows = [
        ("b2", "P1", 1, "R1"),
        ("a9", "P1", 0, "R1"),  # two clips of one view and day: the first by clip_id
        ("a1", "P1", 0, "R1"),
        ("c1", "P1", 0, "L1"),  # no second day
        ("c2", "P1", 2, "L1"),
        ("d1", "P1", 0, "R2"),
        ("d2", "P1", 1, "R2"),
        ("e2", "P2", 1, "R1"),  # no first day
        ("f1", "P3", 0, "R1"),  # no outcome
        ("f2", "P3", 1, "R1"),
        ("g1", "P4", 0, "L1"),
        ("g2", "P4", 1, "L1"),
        ("h1", "P4", 0, None),  # no view
        ("h2", "P4", 1, None),
        ("i1", "P4", None, "R1"),  # no day
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "patient_id", "day", "view"]).astype({"day": "Int64"})
    outcome = pd.array([1, 0, pd.NA, 0], "Int64")
    patients = pd.DataFrame({"patient_id": ["P1", "P2", "P3", "P4"], "readmitted_30d": outcome})
    units = examples.readmission_units(clips, patients, VIEWS, (0, 1))
    columns = ["patient_id", "view", "clip_1", "clip_2", "truth"]
    assert sorted(map(tuple, units[columns].to_numpy().tolist())) == [
        ("P1", "R1", "a1", "b2", 1),
        ("P1", "R2", "d1", "d2", 1),
        ("P4", "L1", "g1", "g2", 0),
    ]
    later = examples.readmission_units(clips, patients, VIEWS, (0, 2))
    assert later[columns].to_numpy().tolist() == [["P1", "L1", "c1", "c2", 1]]
    none = examples.readmission_units(clips, patients, VIEWS, (3, 4))
    assert len(none) == 0 and set(columns) <= set(none)


def test_readmission_units_of_the_phantom_match_a_plain_search(cohort: Cohort):
    units = examples.readmission_units(cohort.clips, cohort.patients, cohort.views, (0, 1))
    clips = cohort.clips.sort_values("clip_id")
    want = {}
    for a, b in combinations(clips.itertuples(), 2):
        first, second = (a, b) if a.day == 0 else (b, a)
        if (first.day, second.day) == (0, 1) and (a.patient_id, a.view) == (b.patient_id, b.view):
            want.setdefault((a.patient_id, a.view), (first.clip_id, second.clip_id))
    got = {(r.patient_id, r.view): (r.clip_1, r.clip_2) for r in units.itertuples()}
    assert got == want and len(want) > 3
