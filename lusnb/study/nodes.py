"""One node of a study: whether its finished run counts, and how it is run.

`python -m lusnb.study.nodes <profile>/<cohort>/<notebook>/...` runs one, unless its finished run counts
already.
"""

import argparse
import contextlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lusnb.cohort import fingerprint
from lusnb.params import ParameterError
from lusnb.study import locks, making, notebooks, proofs, reruns
from lusnb.study import places as study_places
from lusnb.study import profile as study_profile
from lusnb.study.matrix import NOTEBOOKS
from lusnb.study.profile import Node

if TYPE_CHECKING:
    from traitlets.config import Config

LONGEST_SOCKET = 90  # characters: a system takes 104 or 108, of which Jupyter adds a few
KERNEL = ["--log-level=ERROR"]  # not told: that it listens without encryption, on this machine alone


def differs(node: Node, base: Path) -> list[str]:
    """Why the finished run of a node does not count; [] where it does, whoever made it.

    It counts when its parameters, its code, its cohort, the runs it read and the files it left are those
    asked for. Nothing is written.
    """
    folder = base / "runs" / node.folder
    try:
        proof = proofs.read(folder)
    except proofs.Unproven as error:
        return [str(error)]
    asked = study_profile.parameters(node, base)
    outside = reruns.outside(asked, base)
    found = changes(proof["asked"], asked)
    if proof["code"] != reruns.code_fingerprint(node.notebook, base, proof["asked"]):  # by what that used
        found.append(proof["code"] if proof["code"] in making.NOT_ITS_CODE else "its code changed")
    found += [f"files of {k} changed" for k, then in proof["outside"].items() if outside.get(k, then) != then]
    found += [f"{name} is not what it left" for name in proofs.damaged(folder, proof)]
    found += [f"{name} is new" for name in notebooks.promised(node.notebook) if name not in proof["files"]]
    return found + (_changed_cohorts(node, proof, base) or _changed_inputs(proof, base))


def changes(then: Mapping, now: Mapping) -> list[str]:
    """How parameters differ, `name old -> new` each."""
    missing = "(none)"
    names = [*now, *(name for name in then if name not in now)]
    pairs = [(name, then.get(name, missing), now.get(name, missing)) for name in names]
    return [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]


def _changed_cohorts(node: Node, proof: dict, base: Path) -> list[str]:
    """Cohorts that are not what the run read, or, of 00_cohort, what it checked."""
    profile, found = dict(node.identity)["profile"], []
    if node.notebook == NOTEBOOKS["cohort"]:
        name, then = dict(node.identity)["cohort"], fingerprint.checked(base / "runs" / node.folder)
        if not then or fingerprint.fingerprint_now(base / "data" / name, then) != then["cohort"]:
            found.append(f"files of data/{name} changed")
    for name, then in proof["cohorts"].items():
        place = study_places.run_folder(NOTEBOOKS["cohort"], {"profile": profile, "cohort": name})
        if fingerprint.checked(base / "runs" / place).get("cohort", then) != then:  # unknown: after 00_cohort
            found.append(f"cohort {name} changed")
    return found


def _changed_inputs(proof: dict, base: Path) -> list[str]:
    """Runs that the run read and that are others now."""
    found = []
    for where, then in proof["inputs"].items():
        try:
            now = proofs.identity(proofs.read(base / "runs" / where))
        except proofs.Unproven:
            now = ""
        if now != then:
            found.append(f"{where} is another now")
    return found


def execution(folder: Path) -> Path:
    """The lock of whoever executes the notebook of a run's folder, from before its kernel has the run's."""
    return folder.with_name(f".{folder.name}.executed.lock")


def writers(node: Node, base: Path) -> str:
    """Who is writing what a node writes, in words; "" for nobody."""
    folder = base / "runs" / node.folder
    places = [locks.of(folder), execution(folder)]
    if node.notebook == NOTEBOOKS["cohort"]:
        places.append(locks.of(base / "data" / dict(node.identity)["cohort"]))
    return next((who for place in places if (who := locks.holder(place))), "")


def execute(node: Node, base: Path) -> None:
    """Run the notebook of a node by papermill; the project's folder is the current one.

    Raises RuntimeError in a sentence where it fails. While it runs, and when it failed, the executed notebook
    is unfinished.ipynb, beside that of the finished run, notebook.ipynb, which it replaces at the end.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    folder = base / "runs" / node.folder
    locks.hold(execution(folder), f"runs/{node.folder}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / proofs.UNFINISHED
    given = {
        **study_profile.overrides(dict(node.identity)["profile"], node.notebook, base),
        **dict(node.identity),
    }
    logging.getLogger("papermill").setLevel(logging.ERROR)
    told = f"its notebook: {path.relative_to(base)}"
    places = f"notebooks/{node.notebook}.ipynb", path.relative_to(base)
    try:
        with _own_sockets() as config:
            papermill.execute_notebook(
                *places, given, progress_bar=False, extra_arguments=KERNEL, config=config
            )
    except PapermillExecutionError as error:
        proofs.settle(folder)
        own = error.traceback and error.traceback[0].startswith(
            error.ename
        )  # shown in its own way, as a table
        shown = "\n".join(error.traceback) if own else f"{error.ename}: {error.evalue}"
        raise RuntimeError(f"{node.folder}: {shown}\n{told}") from None
    except DeadKernelError:
        proofs.settle(folder)
        raise RuntimeError(
            f"{node.folder}: its kernel was ended, mostly for lack of memory: set fewer JOBS, or a smaller "
            f"batch\n{told}"
        ) from None
    try:
        proofs.read(folder)
    except proofs.Unproven as error:
        raise RuntimeError(f"{node.folder}: ended without run.finish(), and is {error}\n{told}") from None
    os.replace(path, folder / proofs.EXECUTED)


@contextlib.contextmanager
def _own_sockets() -> Iterator["Config"]:
    """What tells Jupyter to reach a kernel by sockets in a folder of its own, where the platform has them.

    Ports, its other way, are chosen before they are used: of kernels that start at the same time, one in some
    hundreds finds that another took its port, and dies.
    """
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="lusnb-", ignore_cleanup_errors=True) as folder:
        place = str(Path(folder) / "kernel")
        if hasattr(socket, "AF_UNIX") and len(place) <= LONGEST_SOCKET:
            yield Config(ConnectionFileMixin={"transport": "ipc", "ip": place})
        else:
            yield Config()


def find(where: str, base: Path) -> Node:
    """The node of a folder below runs/. Raises ParameterError where its study has none."""
    made = study_profile.load(where.split("/")[0], base)
    for node in study_profile.nodes(made):
        if node.folder == where:
            return node
    raise ParameterError(f"params/{made.profile}/study.yaml asks for no run {where}; see `make study`.")


def main() -> None:
    """`python -m lusnb.study.nodes <folder below runs/>`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder")
    where = parser.parse_args().folder
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        base = study_places.root()
        os.chdir(base)
        node = find(where, base)
        proofs.settle(base / "runs" / where)
        if differs(node, base):
            execute(node, base)
        else:
            print(f"{where}: nothing that it depends on changed, so its finished run stays")
    except (ParameterError, FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{where}: stopped")


if __name__ == "__main__":
    main()
