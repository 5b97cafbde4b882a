"""Whoever writes a folder holds its lock, until it is done or ends, however it was started.

A lock is a hidden file beside the folder (flock); the system gives it back when its process ends, killed or
not. The file says which process it is. Nothing below asks whether a process exists: only whether it holds on.
"""

import fcntl
import os
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

PATIENCE = 5  # times that a lock is asked for: `holder` takes it for a moment
HELD: dict[Path, int] = {}  # lock file -> its descriptor, of what this process holds


class Busy(RuntimeError):
    """A folder that another process is writing."""


def of(folder: Path) -> Path:
    """The lock file of a folder, beside it."""
    return folder.with_name(f".{folder.name}.lock")


def hold(path: Path, what: str) -> int:
    """Hold a lock until `release` or the end of this process; returns its descriptor.

    A process that forks from this one does not hold it. what: that is locked, for the message. Raises Busy,
    which names the process that holds it.
    """
    path = Path(os.path.abspath(path))
    if path in HELD and _is(HELD[path], path):
        return HELD[path]
    _watch_forks()
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _locked(path)
    if found is None:
        raise Busy(busy(what, holder(path) or "another process"))
    HELD[path] = found
    tell(found, os.getpid())
    return found


def busy(what: str, who: str) -> str:
    """The sentence that refuses to write beside another process."""
    return (
        f"{what} is being written by {who}: wait for it, or end it (in JupyterLab: shut down that notebook's "
        "kernel)."
    )


def tell(descriptor: int, *processes: int) -> None:
    """Write into a lock that is held which processes hold it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, " ".join([socket.gethostname(), *map(str, processes)]).encode(), 0)


def release(path: Path) -> None:
    """Give a lock back, where this process holds it."""
    found = HELD.pop(Path(os.path.abspath(path)), None)
    if found is not None:
        os.close(found)


def release_all() -> None:
    """Give back every lock of this process."""
    for path in list(HELD):
        release(path)


def holder(path: Path) -> str:
    """Who holds a lock, in words; "" where nobody does. Writes nothing, and makes no file."""
    try:
        asking = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _words(os.read(asking, 1000).decode(errors="replace").split())
    finally:
        os.close(asking)
    return ""


def _locked(path: Path) -> int | None:
    """The descriptor of a lock file that nobody else holds; None where somebody does."""
    for again in range(PATIENCE):
        found = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(found)
            time.sleep(0.1 * (again + 1 < PATIENCE))
            continue
        if _is(found, path):
            return found
        os.close(found)  # the file was removed meanwhile: a lock on it would keep nobody out
    return None


def _is(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is still the file of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _words(said: list[str]) -> str:
    host, *processes = said or ["?"]
    if host != socket.gethostname():
        return f"process {' or '.join(processes) or '?'} on {host}"
    told = [f"process {number}{_command(number)}" for number in processes if _runs(number)]
    return " and ".join(told) or f"what process {' or '.join(processes) or '?'} started"


def _runs(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _command(number: str) -> str:
    """The command line of a process, where the system tells."""
    with suppress(OSError):
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        line = b" ".join(words).decode(errors="replace").strip()
        return f" ({line[:117]}...)" if len(line) > 120 else f" ({line})"
    return ""


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """In a forked child: its copies of the descriptors would hold on when the parent has ended."""
    for found in HELD.values():
        os.close(found)
    HELD.clear()
