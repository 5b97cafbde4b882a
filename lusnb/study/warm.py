"""One process that has imported everything, and forks a child for each node of a study and for each kernel.

Importing takes longer than most nodes compute. `python -m lusnb.study.warm <socket>` imports the package and
what it needs, starts no thread and touches no GPU, and then forks for whoever asks (study/ask.py): a child
that runs a node by papermill, and, asked by that one through a Jupyter kernel provisioner, one that is the
node's kernel. Each child has its own folder, environment, output, session and death; one that dies takes
nobody with it, and each is ended when whoever asked for it ends. The process itself ends with the study that
started it: when its input does.
"""

import atexit
import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lusnb.study import ask

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
INLINE = "module://matplotlib_inline.backend_inline"  # as ipykernel sets it before matplotlib is imported
# not matplotlib_inline.backend_inline, which looks for its kernel when it is imported, and would never draw
OTHERS = ("papermill", "ipykernel.kernelapp", "ipykernel.zmqshell")
PROVISIONERS, PROVISIONER = "jupyter_client.kernel_provisioners", "lusnb-warm"  # study/provisioner.py
COLUMNS = 20  # of a table that pandas shows in a notebook, by its own default
NOT_OURS = ("lusnb.widgets", "lusnb.study.__main__")  # what no node imports


# -- the driver's side


@contextlib.contextmanager
def process(base: Path, wanted: bool = True) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """A warm process for as long as a study runs: what its nodes need in their environment, and descriptors.

    It ends when nobody holds these any more: neither this process nor one that it passes them to. There is
    none where it is not wanted, nor without Linux: forking what has imported so much is not safe elsewhere.
    """
    if not wanted or not _can_watch():
        yield {}, ()
        return
    with tempfile.TemporaryDirectory(prefix="lusnb-") as folder:
        place = str(Path(folder) / "warm")
        listens, keeps = os.pipe()
        command = [sys.executable, "-m", "lusnb.study.warm", place]
        warm = subprocess.Popen(command, cwd=base, stdin=listens, stdout=subprocess.DEVNULL)
        os.close(listens)
        try:
            yield {ask.WARM: place}, (keeps,)
        finally:
            os.close(keeps)
            warm.wait()


def _can_watch() -> bool:
    """Whether the end of a child can be waited for: on Linux, by a Python that was built for it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return sys.platform == "linux"


# -- the process that forks


def load() -> None:
    """Import what nodes and their kernels import."""
    import lusnb

    for name in OTHERS:
        importlib.import_module(name)
    for found in pkgutil.walk_packages(lusnb.__path__, "lusnb."):
        if not found.name.startswith(NOT_OURS):
            importlib.import_module(found.name)
    # imported where no kernel is, pandas takes its tables for a terminal's, and cuts them to its width
    importlib.import_module("pandas").set_option("display.max_columns", COLUMNS)


def _written(package: Path) -> int:
    """When the code of the package was last written."""
    return max(path.stat().st_mtime_ns for path in package.rglob("*.py"))


class Forking:
    """Children by their connection: a line that tells the end of each, and ends it when it is closed."""

    def __init__(self, listening: socket.socket):
        self.listening, self.loaded = listening, time.time_ns()
        self.children: dict[socket.socket, tuple[int, int]] = {}  # line -> process, its descriptor
        self.selector, self.going = selectors.DefaultSelector(), True

    def serve(self) -> None:
        """Fork for whoever asks, until the input ends; then end all children."""
        self.selector.register(0, selectors.EVENT_READ, self.stop)
        self.selector.register(self.listening, selectors.EVENT_READ, self.accept)
        try:
            while self.going:
                for key, _ in self.selector.select():
                    if self.selector.get_map().get(key.fileobj) is key:  # not ended by another of these
                        key.data()
        finally:
            for line in list(self.children):
                self.end(line)

    def stop(self) -> None:
        """The input has ended, as nothing is ever written to it."""
        self.going = False

    def accept(self) -> None:
        """Somebody asks."""
        self.hear(self.listening.accept()[0])

    def hear(self, line: socket.socket) -> None:
        """Fork what is asked, or say why not."""
        files: list[int] = []
        try:
            first, files, _, _ = socket.recv_fds(line, 65536, 3)
            text = first.decode() + ("" if first.endswith(b"\n") else ask.receive(line))
            asked, why = json.loads(text), self.cannot()
            if not why:
                self.fork(asked, files, line)
                return
            line.sendall(f"{ask.REFUSED} {why}\n".encode())
            line.close()
        except (OSError, ValueError):  # whoever asked has gone
            line.close()
        finally:
            for file in files:
                os.close(file)

    def cannot(self) -> str:
        """Why no child can be forked now; "" where it can."""
        try:
            if len(os.listdir("/proc/self/task")) > 1:
                return "it holds threads"
            return "the code was changed" if _written(Path(__file__).parents[1]) > self.loaded else ""
        except OSError as error:  # an editor's link that leads nowhere, a file that has just gone
            return str(error)

    def fork(self, asked: dict, files: list[int], line: socket.socket) -> None:
        """A child that is what was asked for, and watched."""
        child = os.fork()
        if child == 0:
            self.selector.close()
            _become(asked, files, [self.listening, line, *self.children])
        try:
            descriptor = os.pidfd_open(child)
        except OSError:
            os.kill(child, signal.SIGKILL)
            raise
        self.children[line] = (child, descriptor)
        self.selector.register(line, selectors.EVENT_READ, partial(self.end, line))
        self.selector.register(descriptor, selectors.EVENT_READ, partial(self.tell, line))
        with contextlib.suppress(OSError):
            line.sendall(f"{ask.STARTED} {child}\n".encode())

    def tell(self, line: socket.socket) -> None:
        """A child has ended: tell whoever asked for it."""
        child = self.forget(line)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        line.close()

    def end(self, line: socket.socket) -> None:
        """Whoever asked has ended, or all shall: so does the child, and what it started."""
        child = self.forget(line)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may not have come to a session of its own
        os.waitpid(child, 0)
        line.close()

    def forget(self, line: socket.socket) -> int:
        """Watch a child no longer; its number."""
        child, descriptor = self.children.pop(line)
        self.selector.unregister(line)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        return child


def _become(asked: dict, files: list[int], foreign: list[socket.socket]) -> None:
    """In a child: be the process that was asked for, and never return."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for line in foreign:
            line.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = asked["argv"]
        gc.unfreeze()
        KINDS[asked["kind"]]()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _node() -> None:
    from lusnb.study import nodes

    if importlib.metadata.entry_points(group=PROVISIONERS, name=PROVISIONER):
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = PROVISIONER
    nodes.main()


def _kernel() -> None:
    from ipykernel import kernelapp

    # whose end it shall share; without one it would print how to connect to it
    sys.argv.append(f"--IPKernelApp.parent_handle={os.getppid()}")
    kernelapp.launch_new_instance()


KINDS: dict[str, Callable[[], None]] = {"node": _node, "kernel": _kernel}


def main() -> None:
    """`python -m lusnb.study.warm <socket>`: load, and fork until the input ends."""
    # of Ctrl-C the terminal tells those who asked, and they their children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ |= dict.fromkeys(ONE_THREAD, "1") | {"MPLBACKEND": os.environ.get("MPLBACKEND", INLINE)}
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(sys.argv[1])
    listening.listen(64)  # who asks while it loads waits
    loading = Forking(listening)
    load()
    gc.collect()
    gc.freeze()  # so that a child's collections copy little
    loading.serve()


if __name__ == "__main__":
    main()
