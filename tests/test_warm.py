"""A process that forks for whoever asks: what a child has of its own, and how each of them may end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from lusnb.study import ask, provisioner
from lusnb.study import warm as warm_module

SERVER = """
import os, sys, time
from lusnb.study import warm

def say():
    session = os.getsid(0) == os.getpid()
    print("argv", sys.argv, "folder", os.getcwd(), "own", os.environ.get("OWN"), "session", session)
    print("an error", file=sys.stderr)

def leave():
    sys.exit(3)

def complain():
    sys.exit("a sentence")

def die():
    os.kill(os.getpid(), 9)

def wait():
    open("waits" + os.environ["OWN"], "w").close()
    time.sleep(600)

warm.KINDS = {f.__name__: f for f in (say, leave, complain, die, wait)}
warm.load = lambda: None
{more}
warm.main()
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


def started(folder: Path, more: str = "") -> subprocess.Popen:
    """A warm process that imports nothing, and whose children do little."""
    (folder / "server.py").write_text(SERVER.replace("{more}", more))
    place = folder / "warm"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(folder / "server.py"), str(place)], stdin=subprocess.PIPE, env=environment
    )
    until(lambda: listens(place))
    return process


def listens(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(place)) == 0


@pytest.fixture
def warm(tmp_path, monkeypatch):
    process = started(tmp_path)
    monkeypatch.setenv(ask.WARM, str(tmp_path / "warm"))
    monkeypatch.chdir(tmp_path)
    yield process
    process.stdin.close()
    process.wait(10)


def until(holds, seconds: float = 20.0) -> None:
    """Wait for what is to come; fail where it does not."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def asked(kind: str, folder: Path, *argv: str) -> tuple[socket.socket, int, Path]:
    """Ask for a child whose output goes to a file: its line, its number, the file."""
    said = folder / f"{kind}.txt"
    with said.open("w") as out:
        line, child = ask.ask({"kind": kind, "argv": [kind, *argv]}, (0, out.fileno(), out.fileno()))
    return line, child, said


def test_a_child_has_the_folder_environment_arguments_and_output_of_who_asked(warm, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setenv("OWN", "mine")
    line, child, said = asked("say", tmp_path, "one")
    assert ask.receive(line) == "0" and child != warm.pid
    told = f"argv ['say', 'one'] folder {tmp_path / 'there'} own mine session True"
    assert sorted(said.read_text().splitlines()) == ["an error", told]


@pytest.mark.parametrize(("kind", "status"), [("leave", "3"), ("complain", "1"), ("die", "-9")])
def test_whoever_asks_hears_how_a_child_ended(warm, tmp_path, kind: str, status: str):
    line, _, said = asked(kind, tmp_path)
    assert ask.receive(line) == status
    assert said.read_text() == ("a sentence\n" if kind == "complain" else "")


def runs(child: int) -> bool:
    """Whether a process runs; one that has ended, and is not yet asked after, does not."""
    place = Path(f"/proc/{child}/stat")
    return place.exists() and place.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_child_that_dies_takes_nobody_with_it_and_who_leaves_takes_theirs(warm, tmp_path, monkeypatch):
    lines = []
    for name in "ab":
        monkeypatch.setenv("OWN", name)
        lines.append(asked("wait", tmp_path))
        until((tmp_path / f"waits{name}").exists)
    (first, a, _), (second, b, _) = lines
    line, _, _ = asked("die", tmp_path)
    assert ask.receive(line) == "-9" and runs(a) and runs(b)
    first.close()  # as at the end of who asked, killed or not
    until(lambda: not runs(a))
    assert runs(b)
    os.kill(b, signal.SIGKILL)
    assert ask.receive(second) == "-9"
    line, _, _ = asked("leave", tmp_path)
    assert ask.receive(line) == "3"


def test_it_ends_with_who_started_it_and_so_do_its_children(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("OWN", "a")
    line, child, _ = asked("wait", tmp_path)
    until((tmp_path / "waitsa").exists)
    warm.stdin.close()
    assert warm.wait(10) == 0
    until(lambda: not runs(child))
    assert ask.receive(line) == ""
    with pytest.raises(ask.Refused):
        ask.ask({"kind": "say", "argv": []})


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("from threading import Timer; t = Timer(60, print); t.daemon = True; t.start()", "it holds threads"),
        ("warm._written = lambda _: time.time_ns() + 10**12", "the code was changed"),
        ("warm._written = lambda _: os.stat('nowhere').st_mtime_ns", "No such file"),
    ],
)  # fmt: skip
def test_it_refuses_where_a_fork_would_not_be_sound(tmp_path, monkeypatch, more: str, why: str):
    process = started(tmp_path, more)
    monkeypatch.setenv(ask.WARM, str(tmp_path / "warm"))
    with pytest.raises(ask.Refused, match=why):
        ask.ask({"kind": "say", "argv": []})
    process.stdin.close()
    process.wait(10)


@pytest.mark.parametrize("place", ["", "/nowhere/at/all"])
def test_where_nobody_listens_a_node_is_run_by_a_process_of_its_own(monkeypatch, place: str):
    monkeypatch.setenv(ask.WARM, place)
    monkeypatch.setattr(sys, "argv", ["ask", "smoke/phantom_smoke/00_cohort"])
    called = []
    monkeypatch.setattr(os, "execv", lambda *command: called.append(command) or sys.exit(0))
    with pytest.raises(SystemExit):
        ask.main()
    (command,) = called
    assert command[1][1:] == ["-m", "lusnb.study.nodes", "smoke/phantom_smoke/00_cohort"]


def test_a_forked_child_is_polled_and_ended_as_a_kernel_is(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("OWN", "k")
    line, child, _ = asked("wait", tmp_path)
    process = provisioner.Forked(line, child)
    until((tmp_path / "waitsk").exists)
    assert process.poll() is None
    process.terminate()
    assert process.wait() == process.poll() == -signal.SIGTERM
    process.kill()  # after its end: nothing


def test_who_asks_imports_nothing_heavy():
    code = "import sys, json, lusnb.study.ask; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "pandas", "yaml", "torch", "papermill", "asyncio"} & set(json.loads(said))


def test_who_goes_away_while_asking_ends_nobody(warm, tmp_path, monkeypatch):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(os.environ[ask.WARM])
            line.sendall(b"half a request")
    line, _, _ = asked("leave", tmp_path)
    assert ask.receive(line) == "3" and warm.poll() is None


def test_a_node_that_was_asked_for_is_not_run_by_others_when_the_study_has_ended(tmp_path, monkeypatch):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "warm"))
    listening.listen(1)
    monkeypatch.setenv(ask.WARM, str(tmp_path / "warm"))
    monkeypatch.setattr(sys, "argv", ["ask", "smoke/phantom_smoke/00_cohort"])
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("run by itself"))
    Timer(0.3, lambda: listening.accept()[0].close()).start()  # it hears, and ends
    with pytest.raises(SystemExit, match="error: the process that forks for this study has ended"):
        ask.main()


@pytest.mark.parametrize("fault", [AttributeError, OSError])
def test_where_the_end_of_a_child_cannot_be_waited_for_there_is_no_such_process(tmp_path, monkeypatch, fault):
    def pidfd_open(_: int) -> int:
        raise fault

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    with warm_module.process(tmp_path) as (environment, kept):
        assert environment == {} and kept == ()
