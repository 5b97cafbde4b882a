"""Locks: one holder at a time, named; gone with its process, and with no child that it forked."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lusnb.study import locks

ROOT = Path(__file__).parents[1]
HOLD = "import sys, time; from pathlib import Path; from lusnb.study import locks; "
HOLD += "locks.hold(Path(sys.argv[1]), 'it'); {}print('held', flush=True); time.sleep(60)"
FORKED = "import os; here, there = os.pipe(); os.fork() or (os.write(there, b'.'), time.sleep(60)); "
FORKED += "os.read(here, 1); "  # the child runs: before that it still has the parent's descriptors


@pytest.fixture
def lock(tmp_path):
    yield tmp_path / "runs" / ".fold0.lock"
    locks.release_all()


def held_by_another(lock, more=""):
    """A process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(more), str(lock)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_of_another_process_is_refused_and_the_process_named(lock):
    other = held_by_another(lock)
    try:
        with pytest.raises(locks.Busy, match=rf"t060 is being written by process {other.pid} \(.*-c import"):
            locks.hold(lock, "t060")
        assert f"process {other.pid} (" in locks.holder(lock)
    finally:
        other.kill()
        other.wait()
    assert locks.holder(lock) == ""
    locks.hold(lock, "t060")
    assert f"process {os.getpid()} (" in locks.holder(lock)


def test_who_holds_a_lock_may_ask_for_it_again_and_gives_it_back(lock):
    assert locks.hold(lock, "t060") == locks.hold(lock, "t060")
    locks.release(lock)
    assert locks.holder(lock) == ""
    locks.release(lock)  # of what is not held: nothing


def test_a_forked_child_does_not_outlive_its_parent_s_lock(lock):
    other = held_by_another(lock, FORKED)  # the child sleeps on when the parent is killed
    try:
        other.kill()
        other.wait()
        assert locks.holder(lock) == ""
    finally:
        other.stdout.close()


def test_a_lock_file_that_was_removed_keeps_nobody_out_and_is_noticed(lock):
    locks.hold(lock, "t060")
    lock.unlink()
    other = held_by_another(lock)  # a new file of the same name
    try:
        with pytest.raises(locks.Busy, match=f"process {other.pid}"):
            locks.hold(lock, "t060")
    finally:
        other.kill()
        other.wait()


def test_asking_makes_no_file_and_changes_none(lock):
    assert locks.holder(lock) == "" and not lock.exists()
    locks.hold(lock, "t060")
    before = lock.stat().st_mtime_ns
    locks.holder(lock)
    assert lock.stat().st_mtime_ns == before


def test_a_holder_on_another_machine_or_one_that_ended_is_told_as_such(lock):
    told = locks.hold(lock, "t060")
    os.ftruncate(told, 0)
    os.pwrite(told, b"elsewhere 17", 0)
    assert locks.holder(lock) == "process 17 on elsewhere"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    locks.tell(told, ended.pid)
    assert locks.holder(lock) == f"what process {ended.pid} started"
    os.ftruncate(told, 0)
    assert locks.holder(lock) == "process ? on ?"


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import multiprocessing, os, sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from lusnb import files\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), files.end_with_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "parent.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], env=environment, stdout=subprocess.PIPE, text=True
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _lives(worker)


def _lives(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
