"""What a task is asked, counted and ordered by hand."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lusnb.cohort.cohort import Cohort
from lusnb.params import Params
from lusnb.tasks import coverage, draws, question, readmission_question, sf_change_question
from lusnb.tasks.registry import TASKS

VIEWS = {"R1": 1, "L1": 1, "R2": 2}
ASKED = Params("", {"tolerance": 0.0, "first_day": 0, "second_day": 1})


def of(clips: pd.DataFrame, patients: pd.DataFrame | None = None) -> SimpleNamespace:
    """As much of a cohort as a task looks at."""
    return SimpleNamespace(clips=clips, patients=patients, views=VIEWS, sf_max=477)


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
        (0.6, 0.5, 0.0, sf_change_question.DECREASE),
        (0.5, 0.5, 0.0, sf_change_question.SAME),
        (0.5, 0.6, 0.0, sf_change_question.INCREASE),
        (0.5, 0.6, 0.2, sf_change_question.SAME),
        (0.6, 0.5, 0.05, sf_change_question.DECREASE),
    ],
)
def test_change_class_by_hand(first: float, second: float, tolerance: float, want: int):
    assert sf_change_question.change_class(np.array([first]), np.array([second]), tolerance) == [want]


def test_a_change_of_exactly_the_tolerance_is_the_same_whatever_the_rounding():
    first, second = (np.arange(100, 477) / 477, np.arange(101, 478) / 477)  # S/F one unit apart
    assert (sf_change_question.change_class(first, second, 1 / 477) == sf_change_question.SAME).all()
    assert (sf_change_question.change_class(first, second, 0.99 / 477) == sf_change_question.INCREASE).all()


def test_pairs_within_a_patient_by_hand(clips: pd.DataFrame):
    pairs = sf_change_question.within_patient_pairs(of(clips), 0.0)
    got = [tuple(r) for r in pairs[["patient_id", "zone", "clip_1", "clip_2", "truth"]].to_numpy()]
    same, up = sf_change_question.SAME, sf_change_question.INCREASE
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
    assert (
        sf_change_question.within_patient_pairs(of(clips), 0.25)["truth"] == sf_change_question.SAME
    ).all()


def test_pairs_do_not_depend_on_the_order_of_the_rows(clips: pd.DataFrame):
    mixed = clips.sample(frac=1, random_state=np.random.default_rng(1))
    want = sf_change_question.within_patient_pairs(of(clips), 0.0)
    pd.testing.assert_frame_equal(sf_change_question.within_patient_pairs(of(mixed), 0.0), want)


def test_no_clips_give_no_pairs(clips: pd.DataFrame):
    pairs = sf_change_question.within_patient_pairs(of(clips[:0]), 0.0)
    assert len(pairs) == 0
    assert list(pairs) == ["patient_id", "zone", "clip_1", "clip_2", "day_1", "day_2", "truth"]
    assert sf_change_question.training_pairs(of(clips[:0])).shape == (0, 2)


def test_training_pairs_are_all_of_a_zone_across_patients_and_days(cohort: Cohort):
    pairs = sf_change_question.training_pairs(cohort)
    zone = cohort.clips.set_index("clip_id")["view"].map(cohort.views)
    counts = zone.value_counts()
    assert len(pairs) == sum(n * (n - 1) // 2 for n in counts)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(zone[a] == zone[b] for a, b in pairs)


def test_orienting_swaps_about_half_of_the_pairs_and_changes_nothing_else():
    pairs = np.array([(f"a{k}", f"b{k}") for k in range(400)], dtype=object)
    turned = draws.orient(pairs, np.random.default_rng(0))
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
        batches = draws.zone_batches(zones, batch, rng)
        assert sorted(np.concatenate(batches)) == list(range(len(zones)))
        assert all(len(set(zones[b])) == 1 for b in batches)
        assert all(2 <= len(b) <= max(2, 1.5 * batch) for b in batches), (
            f"{count} clips in batches of {batch}"
        )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 8, 32])
def test_every_pair_of_a_zone_is_in_one_draw(batch: int):
    """Any number of clips: each unordered pair of a zone once, none across zones, no draw above its size."""
    rng = np.random.default_rng(batch)
    for count in range(1, 40):
        zones = rng.permutation(np.array([1] * count + [2] * (count + 3) + ["apex"], dtype=object))
        found = draws.every_pair(zones, batch, rng)
        met = [frozenset(pair) for pair in np.concatenate(found).tolist()]
        wanted = {frozenset(p) for p in combinations(range(len(zones)), 2) if zones[p[0]] == zones[p[1]]}
        assert len(met) == len(wanted) and set(met) == wanted
        assert all(len(np.unique(draw)) <= max(2, batch) for draw in found)


def test_draws_of_blocks_by_hand_and_of_about_one_size():
    """Ten clips in draws of four: five blocks of two; each two are a draw, the four pairs between in it."""
    found = draws.every_pair(np.zeros(10), 4, np.random.default_rng(0))
    assert len(found) == 5 * 4 / 2
    assert sum(map(len, found)) == 10 * 9 / 2 and all(4 <= len(draw) <= 6 for draw in found)
    big = [len(draw) for draw in draws.every_pair(np.zeros(112), 32, np.random.default_rng(0))]
    assert len(big) == 7 * 6 / 2 and sum(big) == 112 * 111 / 2
    assert max(big) - min(big) <= 2  # no pair weighs more in its batch than another
    assert sum(32 for _ in big) == 112 * (7 - 1)  # encodings: each clip with every other block
    assert len(draws.every_pair(np.zeros(32), 32, np.random.default_rng(0))) == 1


def test_zone_batches_leave_out_a_zone_of_one_clip():
    zones = np.array([1, 1, 1, 2])
    (only,) = draws.zone_batches(zones, 8, np.random.default_rng(0))
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
    units = readmission_question.readmission_units(of(clips, patients), (0, 1))
    columns = ["patient_id", "view", "clip_1", "clip_2", "truth"]
    assert sorted(map(tuple, units[columns].to_numpy().tolist())) == [
        ("P1", "R1", "a1", "b2", 1),
        ("P1", "R2", "d1", "d2", 1),
        ("P4", "L1", "g1", "g2", 0),
    ]
    later = readmission_question.readmission_units(of(clips, patients), (0, 2))
    assert later[columns].to_numpy().tolist() == [["P1", "L1", "c1", "c2", 1]]
    none = readmission_question.readmission_units(of(clips, patients), (3, 4))
    assert len(none) == 0 and set(columns) <= set(none)


def test_readmission_units_of_the_phantom_match_a_plain_search(cohort: Cohort):
    units = readmission_question.readmission_units(cohort, (0, 1))
    clips = cohort.clips.sort_values("clip_id")
    want = {}
    for a, b in combinations(clips.itertuples(), 2):
        first, second = (a, b) if a.day == 0 else (b, a)
        if (first.day, second.day) == (0, 1) and (a.patient_id, a.view) == (b.patient_id, b.view):
            want.setdefault((a.patient_id, a.view), (first.clip_id, second.clip_id))
    got = {(r.patient_id, r.view): (r.clip_1, r.clip_2) for r in units.itertuples()}
    assert got == want and len(want) > 3


# -- what is used and what is left out, counted


@pytest.fixture
def patchy() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clips and patients with one case of everything a task can leave out."""
    rows = [
        ("a1", "P1", 0, "R1", 0.5),
        ("a2", "P1", 0, "R1", 0.5),  # a second clip of one view and day
        ("a3", "P1", 1, "R1", 0.7),
        ("a4", "P1", 0, "R2", 0.5),  # alone in its zone; its view is missing on day 1
        ("a5", "P1", 2, "L1", 0.9),  # neither day 0 nor day 1
        ("a6", "P1", 0, None, 0.5),  # no view
        ("b1", "P2", 0, "R9", 0.5),  # a view that nobody names
        ("b2", "P2", None, "R1", np.nan),  # no day
        ("b3", "P2", 1, "R1", np.nan),  # no S/F
        ("c1", "P3", 0, "L1", 0.4),  # no outcome
        ("c2", "P3", 1, "L1", 0.4),
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "patient_id", "day", "view", "sf_ratio"])
    outcome = pd.array([1, 0, pd.NA, 0], "Int64")  # P4 has no clips
    split = ["train", "test", "train", "validation"]
    ids = ["P1", "P2", "P3", "P4"]
    patients = pd.DataFrame({"patient_id": ids, "readmitted_30d": outcome, "split": split})
    return clips.astype({"day": "Int64"}), patients


def counted(table: pd.DataFrame, split: str = "all") -> dict[tuple[str, str], tuple[int, int, int]]:
    """Rows of `coverage` that count anything: (kind, what) -> patients, clips, units."""
    rows = table[table["split"] == split].itertuples()
    found = {(r.kind, r.what): (r.patients, r.clips, r.units) for r in rows}
    return {key: counts for key, counts in found.items() if any(counts)}


WHY = coverage.REASONS
BY_HAND = {
    "sf_change": {
        ("all", "all"): (4, 11, 7),
        ("left out", WHY["view"]): (0, 1, 0),
        ("left out", WHY["unknown"]): (0, 1, 0),
        ("left out", WHY["day"]): (0, 1, 0),
        ("left out", WHY["sf"]): (1, 1, 0),  # P2's clip that came furthest
        ("left out", WHY["alone"]): (0, 1, 0),
        ("left out", WHY["none"]): (1, 0, 0),
        ("used", "used"): (2, 6, 7),  # a1, a2, a3, a5 in 6 pairs, c1 and c2 in one
        ("views", "0"): (2, 3, 0),
        ("views", "1"): (1, 2, 1),
        ("views", "2"): (1, 6, 6),
        ("days", "0"): (2, 3, 0),
        ("days", "2"): (1, 2, 1),
        ("days", "3"): (1, 6, 6),
    },
    "sf_ratio": {
        ("all", "all"): (4, 11, 7),
        ("left out", WHY["view"]): (0, 1, 0),
        ("left out", WHY["unknown"]): (0, 1, 0),
        ("left out", WHY["day"]): (0, 1, 0),
        ("left out", WHY["sf"]): (1, 1, 0),
        ("left out", WHY["none"]): (1, 0, 0),
        ("used", "used"): (2, 7, 7),
        ("views", "0"): (2, 3, 0),
        ("views", "1"): (1, 2, 2),
        ("views", "3"): (1, 6, 5),
        ("days", "0"): (2, 3, 0),
        ("days", "2"): (1, 2, 2),
        ("days", "3"): (1, 6, 5),
    },
    "readmission": {
        ("all", "all"): (4, 11, 1),
        ("left out", WHY["outcome"]): (1, 2, 0),
        ("left out", WHY["view"]): (0, 1, 0),
        ("left out", WHY["unknown"]): (0, 1, 0),
        ("left out", WHY["day"]): (0, 1, 0),
        ("left out", WHY["elsewhen"]): (0, 1, 0),
        ("left out", WHY["once"]): (1, 2, 0),  # a4; b3, without which P2 has nothing
        ("left out", WHY["again"]): (0, 1, 0),
        ("left out", WHY["none"]): (1, 0, 0),
        ("used", "used"): (1, 2, 1),
        ("views", "0"): (3, 5, 0),
        ("views", "1"): (1, 6, 1),
        ("days", "0"): (3, 5, 0),
        ("days", "2"): (1, 6, 1),
    },
}


@pytest.mark.parametrize("task", BY_HAND)
def test_coverage_by_hand(patchy: tuple, task: str):
    assert counted(coverage.coverage(TASKS[task].question, of(*patchy), ASKED)) == BY_HAND[task]


def test_coverage_of_each_split_is_that_of_its_patients_alone(patchy: tuple):
    table = coverage.coverage(TASKS["sf_change"].question, of(*patchy), ASKED)
    assert list(dict.fromkeys(table["split"])) == ["all", "train", "validation", "test"]
    assert counted(table, "test") == {
        ("all", "all"): (1, 3, 0),
        ("left out", WHY["unknown"]): (0, 1, 0),
        ("left out", WHY["day"]): (0, 1, 0),
        ("left out", WHY["sf"]): (1, 1, 0),
        ("views", "0"): (1, 3, 0),
        ("days", "0"): (1, 3, 0),
    }
    assert counted(table, "validation")[("left out", WHY["none"])] == (1, 0, 0)
    whole = table[table["split"] == "all"].set_index(["kind", "what"])[["patients", "clips", "units"]]
    parts = table[table["split"] != "all"].groupby(["kind", "what"])[["patients", "clips", "units"]].sum()
    pd.testing.assert_frame_equal(parts.loc[whole.index], whole)


@pytest.mark.parametrize("task", BY_HAND)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_dropped_in_silence(task: str, seed: int):
    rng = np.random.default_rng(seed)
    n, people = 60, [f"P{k}" for k in range(12)]
    clips = pd.DataFrame(
        {
            "clip_id": [f"c{k:02d}" for k in rng.permutation(n)],
            "patient_id": rng.choice(people[:-1], n),
            "day": pd.array(rng.choice([0, 1, 2, None], n, p=[0.4, 0.4, 0.1, 0.1]), "Int64"),
            "view": rng.choice(np.array([*VIEWS, "R9", None], object), n),
        }
    )
    measured = {(who, day): rng.choice([np.nan, rng.random()]) for who in people for day in range(3)}
    keys = zip(clips["patient_id"], clips["day"], strict=True)
    clips["sf_ratio"] = [measured.get(key, np.nan) if pd.notna(key[1]) else np.nan for key in keys]
    patients = pd.DataFrame(
        {
            "patient_id": people,
            "readmitted_30d": pd.array(rng.choice([0, 1, None], 12), "Int64"),
            "split": rng.choice(["train", "test"], 12),
        }
    )
    table = coverage.coverage(TASKS[task].question, of(clips, patients), ASKED)
    assert WHY["other"] not in set(table["what"])  # every reason has a name
    numbers = ["patients", "clips", "units"]
    for split, part in table.groupby("split"):
        sums = part.groupby("kind")[numbers].sum()
        own = patients["split"].isin([split]) | (split == "all")
        ids = set(patients.loc[own, "patient_id"])
        assert sums.loc["all", ["patients", "clips"]].to_list() == [
            len(ids),
            clips["patient_id"].isin(ids).sum(),
        ]
        assert (sums.loc["left out"] + sums.loc["used"]).to_list() == sums.loc["all"].to_list()
        assert sums.loc["views"].to_list() == sums.loc["days"].to_list() == sums.loc["all"].to_list()
    units = {
        "sf_change": sf_change_question.within_patient_pairs(of(clips), 0.0),
        "sf_ratio": question.dated(of(clips)),
        "readmission": readmission_question.readmission_units(of(clips, patients), (0, 1)),
    }[task]
    used = table[(table["split"] == "all") & (table["kind"] == "used")].iloc[0]
    names = [c for c in ("clip_id", "clip_1", "clip_2") if c in units]
    asked = (units["patient_id"].nunique(), len({*units[names].to_numpy().ravel()}), len(units))
    assert asked == (used["patients"], used["clips"], used["units"])
    assert min(asked) > 0


def test_coverage_without_any_clip_still_counts_the_patients(patchy: tuple):
    clips, patients = patchy
    for task in BY_HAND:
        table = coverage.coverage(TASKS[task].question, of(clips[:0], patients), ASKED)
        assert counted(table) == {
            ("all", "all"): (4, 0, 0),
            ("left out", WHY["none"]): (4, 0, 0),
            ("views", "0"): (4, 0, 0),
            ("days", "0"): (4, 0, 0),
        }


def test_coverage_names_a_clip_that_no_reason_explains(patchy: tuple, monkeypatch: pytest.MonkeyPatch):
    found = question.dated
    monkeypatch.setattr(question, "dated", lambda cohort: found(cohort).query("clip_id != 'a1'"))
    table = coverage.coverage(TASKS["sf_ratio"].question, of(*patchy), ASKED)
    assert counted(table)[("left out", WHY["other"])] == (0, 1, 0)


def test_coverage_in_words(patchy: tuple):
    told = coverage.coverage_told(coverage.coverage(TASKS["sf_ratio"].question, of(*patchy), ASKED))
    assert told == (
        "Used: clips 7 of 11, patients 2 of 4, units 7. Left out: no view (clips 1, whole patients 0); "
        "a view that the cohort does not name (clips 1, whole patients 0); "
        "no day (clips 1, whole patients 0); "
        "no S/F on its day (clips 1, whole patients 1); a patient without clips (clips 0, whole patients 1). "
        "Views in use, a patient: 0 to 3, median 0.5."
    )
    clips, patients = (table[table["patient_id"] == "P3"] for table in patchy)
    told = coverage.coverage_told(coverage.coverage(TASKS["sf_change"].question, of(clips, patients), ASKED))
    assert told == (
        "Used: clips 2 of 2, patients 1 of 1, units 1. Left out: nothing. "
        "Views in use, a patient: 1 to 1, median 1."
    )
