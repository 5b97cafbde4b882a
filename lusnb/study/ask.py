"""Run one node of a study, in a process that has already imported everything, if there is one.

`python -m lusnb.study.ask <folder below runs/>`. Where study/warm.py listens (WARM in the environment names
its socket) the node is run by a child forked there; else, and where that cannot be, by a process of its own,
as `python -m lusnb.study.nodes` does. Whoever asks imports nothing heavy: that is the point.
"""

import array
import json
import os
import signal
import socket
import sys
from contextlib import suppress

WARM = "LUSNB_WARM"  # of the environment: the socket of the process that has imported everything
STARTED, REFUSED = "started", "refused"


class Refused(RuntimeError):
    """Nobody listens, or whoever does cannot fork for what is asked now."""


class Ended(RuntimeError):
    """Whoever listened has ended, and so has the study: what was asked for is not to be run by others."""


def ask(what: dict, files: tuple[int, int, int] = (0, 1, 2)) -> tuple[socket.socket, int]:
    """Ask for a process, and return the connection that tells its end and its number.

    what: kind, argv; also folder and environment, where they are not those of this process. files:
    descriptors that become its input, output and errors. The child lives as long as the connection: when this
    process ends, however it does, the child is ended. Raises Refused, and Ended.
    """
    line = _connected()
    asked = {"folder": os.getcwd(), "environment": dict(os.environ)} | what
    message = json.dumps(asked).encode() + b"\n"
    try:
        sent = line.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
        line.sendall(message[sent:])
        answer = receive(line)
    except OSError:
        answer = ""
    if answer.startswith(STARTED):
        return line, int(answer.split()[1])
    line.close()
    if answer.startswith(REFUSED):
        raise Refused(answer)
    raise Ended("the process that forks for this study has ended, and so does this node")


def _connected() -> socket.socket:
    """A connection to whoever listens. Raises Refused."""
    if not os.environ.get(WARM):
        raise Refused("no process listens")
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(os.environ[WARM])
    except OSError as error:
        line.close()
        raise Refused(str(error)) from None
    return line


def receive(line: socket.socket) -> str:
    """One line of words; "" at the end of the connection."""
    found = b""
    while not found.endswith(b"\n"):
        piece = line.recv(1)
        if not piece:
            return ""
        found += piece
    return found[:-1].decode()


def main() -> None:
    """`python -m lusnb.study.ask <folder below runs/>`."""
    alone = [sys.executable, "-m", "lusnb.study.nodes", *sys.argv[1:]]
    try:
        line, child = ask({"kind": "node", "argv": alone[2:]})
    except Refused:
        os.execv(sys.executable, alone)
    except Ended as error:
        sys.exit(f"error: {error}")

    def forward(sent: int, _: object) -> None:
        with suppress(ProcessLookupError):  # it has ended a moment ago
            os.kill(child, sent)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    said = receive(line)
    sys.exit(int(said) if said else "the process that ran this node was ended")


if __name__ == "__main__":
    main()
