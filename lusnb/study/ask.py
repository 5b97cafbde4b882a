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

WARM = "LUSNB_WARM"  # of the environment: the socket of the process that has imported everything
STARTED, REFUSED = "started", "refused"


class Refused(RuntimeError):
    """Nobody listens, or whoever does cannot fork for what is asked now."""


def ask(what: dict, files: tuple[int, int, int] = (0, 1, 2)) -> tuple[socket.socket, int]:
    """Ask for a process, and return the connection that tells its end and its number.

    what: kind, argv. files: descriptors that become its input, output and errors. The child lives as long as
    the connection: when this process ends, however it does, the child is ended. Raises Refused.
    """
    place = os.environ.get(WARM, "")
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not place:
            raise Refused("no process listens")
        line.connect(place)
        asked = what | {"folder": os.getcwd(), "environment": dict(os.environ)}
        message = json.dumps(asked).encode() + b"\n"
        sent = line.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
        line.sendall(message[sent:])
        answer = receive(line)
    except OSError as error:
        line.close()
        raise Refused(str(error)) from None
    if not answer.startswith(STARTED):
        line.close()
        raise Refused(answer or "it ended")
    return line, int(answer.split()[1])


def receive(line: socket.socket) -> str:
    """One line of words; "" at the end of the connection."""
    found = b""
    while not found.endswith(b"\n"):
        piece = line.recv(1)
        if not piece:
            return ""
        found += piece
    return found.decode().strip()


def main() -> None:
    """`python -m lusnb.study.ask <folder below runs/>`."""
    alone = [sys.executable, "-m", "lusnb.study.nodes", *sys.argv[1:]]
    try:
        line, child = ask({"kind": "node", "argv": alone[2:]})
    except Refused:
        os.execv(sys.executable, alone)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda sent, _: os.kill(child, sent))
    said = receive(line)
    sys.exit(int(said) if said else "the process that ran this node was ended")


if __name__ == "__main__":
    main()
