"""A run takes its place whole, whenever it is killed; what is damaged since is found by name."""

import json
import os
import shutil

import pytest

from lusnb.study import locks, proofs

MADE = {"asked": {"epochs": 4}, "code": "c0de", "outside": {}, "cohorts": {}, "inputs": {}}
OLD = {"params.yaml": "epochs: 4\n", "metrics.csv": "old", "predictions/dropout.npy": "old"}
NEW = {"params.yaml": "epochs: 5\n", "metrics.csv": "new", "predictions/labelled.npy": "new"}


class Killed(BaseException):
    """The end of a process, at a moment of the test's choice."""


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "runs" / "quick" / "c" / "04_compare"
    locks.release_all()


def make(folder, left, **more):
    """A run that leaves some files."""
    staged = proofs.begin(folder)
    for name, text in left.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_text(text)
    proofs.seal(folder, {**MADE, **more})


def content(folder):
    """Every file of a run's folder and of the shared ones, but hidden ones and the proof."""
    places = [folder, *(folder.parent / name for name in proofs.SHARED)]
    found = [p for place in places for p in place.rglob("*") if p.is_file() and p.name != proofs.PROOF]
    return {os.path.relpath(p, folder): p.read_text() for p in found if not p.name.startswith(".")}


def test_nothing_is_in_its_place_until_the_run_is_sealed(folder):
    staged = proofs.begin(folder)
    (staged / "metrics.csv").write_text("half")
    assert not folder.exists() and not list(folder.parent.glob("*.csv"))
    with pytest.raises(proofs.Unproven, match="^not made yet$"):
        proofs.read(folder)
    proofs.seal(folder, MADE)
    assert content(folder) == {"metrics.csv": "half"} and not staged.exists()


def test_a_new_run_replaces_all_of_the_old_and_leaves_the_runs_below_it(folder):
    make(folder, OLD | {"tables/table1.csv": "old", "tables/gone.csv": "old"})
    (folder / "notebook.ipynb").write_text("of the old run")
    below = folder / "inner2"
    make(below, OLD)
    (folder.parent / "tables" / "others.csv").write_text("another notebook's")
    make(folder, NEW | {"tables/table1.csv": "new"})
    assert content(folder) == {
        **NEW,
        **{f"inner2/{name}": text for name, text in OLD.items()},
        "../tables/table1.csv": "new",
        "../tables/others.csv": "another notebook's",
    }
    assert proofs.damaged(folder, proofs.read(folder)) == proofs.damaged(below, proofs.read(below)) == []


def moments(monkeypatch, stop):
    """Let the process be killed before the `stop`-th change on disk; returns how many there were."""
    seen = []

    def counted(do):
        def change(*args, **more):
            seen.append(args)
            if len(seen) == stop:
                raise Killed
            return do(*args, **more)

        return change

    for where, name in ((proofs.os, "replace"), (proofs.Path, "unlink"), (proofs.shutil, "rmtree")):
        monkeypatch.setattr(where, name, counted(getattr(where, name)))
    return seen


def test_a_kill_at_any_moment_leaves_the_old_run_or_the_new_one(folder, monkeypatch):
    """Each change on disk of taking a place is stopped once; then the next one who comes looks."""
    shared = {"tables/table1.csv": "old"}, {"tables/table1.csv": "new"}
    old = {**OLD, "../tables/table1.csv": "old"}
    new = {**NEW, "../tables/table1.csv": "new"}
    ends = []
    for stop in range(1, 100):
        shutil.rmtree(folder.parent, ignore_errors=True)
        make(folder, OLD | shared[0])
        staged = proofs.begin(folder)
        for name, text in (NEW | shared[1]).items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_text(text)
        with monkeypatch.context() as patched:
            moments(patched, stop)
            try:
                proofs.seal(folder, {**MADE, "asked": {"epochs": 5}})
                break
            except Killed:
                pass
        asked = proofs.read(folder)["asked"]  # as a dry run finds it
        assert proofs.damaged(folder, proofs.read(folder)) == []
        proofs.settle(folder)
        assert content(folder) == (new if asked == {"epochs": 5} else old), stop
        assert proofs.damaged(folder, proofs.read(folder)) == []
        assert proofs.read(folder)["asked"] == asked
        ends.append(asked["epochs"])
    assert ends == sorted(ends) and {4, 5} == set(ends) and len(ends) > 8


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.csv", "ne"),
        ("metrics.csv", "neX"),
        ("predictions/labelled.npy", "\0\0\0"),
        ("params.yaml", ""),
    ],
)
def test_what_is_not_what_the_run_left_is_found_by_name(folder, name, text):
    make(folder, NEW)
    (folder / name).write_text(text)
    assert proofs.damaged(folder, proofs.read(folder)) == [name]
    (folder / name).unlink()
    assert proofs.damaged(folder, proofs.read(folder)) == [name]


def test_a_file_that_was_touched_or_copied_is_read_once_and_then_known(folder, monkeypatch):
    make(folder, NEW)
    os.utime(folder / "metrics.csv", (1, 1))
    read = []
    digest = proofs.digest
    monkeypatch.setattr(proofs, "digest", lambda path: read.append(path.name) or digest(path))
    assert proofs.damaged(folder, proofs.read(folder)) == [] and read == ["metrics.csv"]
    before = proofs.identity(proofs.read(folder))
    proofs.restamp(folder)
    assert proofs.damaged(folder, proofs.read(folder)) == [] and read == ["metrics.csv"]
    assert proofs.identity(proofs.read(folder)) == before


def test_identity_is_of_what_a_run_left_and_not_of_when_it_was_made(folder):
    make(folder, {**NEW, "provenance.json": "yesterday"})
    first = proofs.identity(proofs.read(folder))
    make(folder, {**NEW, "provenance.json": "today"}, code="0ther")
    assert proofs.identity(proofs.read(folder)) == first
    make(folder, {**NEW, "metrics.csv": "neW"})
    assert proofs.identity(proofs.read(folder)) != first


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"files": 3}', "\xff"])
def test_a_proof_that_cannot_be_read_is_told_by_name_and_costs_nothing_else(folder, text):
    make(folder, NEW)
    (folder / "finished").write_text(text)
    with pytest.raises(proofs.Unproven, match="^left with a finished that cannot be read"):
        proofs.read(folder)
    proofs.settle(folder)
    assert content(folder) == NEW  # nothing is removed before a new run is whole
    make(folder, OLD)
    assert content(folder) == OLD


def test_small_texts_are_written_again_from_the_proof(folder):
    make(folder, {**NEW, "provenance.json": "{}"})
    (folder / "params.yaml").write_text("epo")
    (folder / "provenance.json").unlink()
    proofs.settle(folder)
    assert content(folder) == {**NEW, "provenance.json": "{}"}
    assert proofs.damaged(folder, proofs.read(folder)) == []


def test_a_run_that_was_never_whole_is_thrown_away_by_the_next(folder):
    make(folder, OLD)
    staged = proofs.begin(folder)
    (staged / "metrics.csv").write_text("half")
    (staged / "ready").write_text('{"gone": ["metrics.csv"], "pro')  # cut by a full disk
    proofs.settle(folder)
    assert content(folder) == OLD and proofs.read(folder)["asked"] == MADE["asked"]
    assert not staged.exists()


def test_a_run_that_somebody_makes_is_left_to_them_and_the_finished_one_read(folder, monkeypatch):
    make(folder, OLD)
    staged = proofs.begin(folder)
    (staged / "metrics.csv").write_text("half")
    monkeypatch.setattr(locks, "_locked", lambda _: None)  # somebody else has it
    proofs.settle(folder)
    assert (staged / "metrics.csv").read_text() == "half" and content(folder) == OLD
    monkeypatch.undo()
    locks.hold(locks.of(folder), "it")  # this process has it
    proofs.settle(folder)
    assert staged.exists()


def test_who_finds_a_run_on_its_way_does_not_move_it_under_the_hands_of_its_process(folder, monkeypatch):
    make(folder, OLD)
    staged = proofs.begin(folder)
    (staged / "metrics.csv").write_text("new")
    monkeypatch.setattr(proofs, "take", lambda _: None)
    proofs.seal(folder, MADE)
    monkeypatch.undo()
    monkeypatch.setattr(locks, "_locked", lambda _: None)  # somebody else has it
    with pytest.raises(locks.Busy, match="04_compare is being written by another process"):
        proofs.settle(folder)
    assert json.loads((folder / "finished").read_text())["asked"] == {"epochs": 4}
