"""Where an import goes: a place beside the cohort's folder, which it takes only when all of it is there."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import yaml

from lusnb.cohort import problems
from lusnb.readers.identity import Key

MADE_BY = "lusnb.readers"
STAMP = ".source"  # what the cohort was imported from, and as what; hidden, so no part of the cohort


def check_places(source: Path, tables: Path, folder: Path) -> None:
    """Refuse to read what is not there, and to write over anything but an earlier import, as it was made.

    Raises FileNotFoundError, ValueError.
    """
    for needed in (source, tables):
        if not needed.is_dir():
            raise FileNotFoundError(f"{needed}: expected a folder, found none; correct the path.")
    here, there = folder.resolve(), source.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here) or tables.resolve().is_relative_to(here):
        raise ValueError(
            f"{folder}: expected the cohort apart from its files in {source}; choose another place."
        )
    replaced = folder.with_name(f".{folder.name}.replaced")
    if replaced.is_dir() and not folder.exists():  # an import was killed between its two last steps
        replaced.rename(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    made_by = None
    with suppress(Exception):  # somebody else's cohort.yaml may hold anything
        content = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8"))
        made_by = content["provenance"]["made_by"]
    if made_by != MADE_BY or not (folder / STAMP).is_file():
        raise ValueError(
            f"{folder}: expected an empty folder or an earlier import, found other files; "
            "choose another name for the cohort."
        )


def check_alone(folder: Path) -> None:
    """Refuse to make an import anew where something was put beside it, as by painting. Raises ValueError."""
    if not (folder / STAMP).is_file():
        return
    if added := sorted(set(state_of(folder)) - set(_stamp(folder)["cohort"])):
        raise ValueError(
            f"{folder}: expected an earlier import alone, found also {problems.short(added)}; "
            "an import would remove it: move it elsewhere."
        )


def _stamp(folder: Path) -> dict:
    """What an earlier import noted of itself. Raises ValueError where that cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"cohort", "source"} <= set(found):
            return found
    raise ValueError(
        f"{folder / STAMP}: expected what the earlier import noted, found a file that cannot be read: move "
        "the folder away, or remove it, and import again."
    )


def state_of(folder: Path) -> dict[str, str]:
    """What an import left, hidden files aside: size of each file, content of the small ones in its top."""
    state = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != STAMP):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.parent == folder else ""
        state[path.relative_to(folder).as_posix()] = f"{path.stat().st_size} {content}".strip()
    return state


def is_there(folder: Path, stamp: str, key: Path | None, known: Key) -> bool:
    """Whether a folder holds the import of the same files, whole, and the key that is asked for knows it.

    Raises ValueError where its tables were changed by hand since: importing anew would lose that.
    """
    if not (folder / STAMP).is_file():
        return False
    then, now = _stamp(folder), state_of(folder)
    changed = [name for name, state in then["cohort"].items() if now.get(name) != state]
    edited = [name for name in changed if "/" not in name and name in now]
    whole = not set(changed) - set(edited)  # tables that were edited since are the user's own, and are kept
    if whole and then["source"] == stamp and (key is None or known.clips):
        return True
    if edited:
        raise ValueError(
            f"{folder}: expected the import as it was made, found {problems.short(edited)} changed by hand; "
            "importing anew would lose that: change the spreadsheets instead, or move the folder away."
        )
    return False


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A place of its own beside `folder` to make it in; what is left of it goes, and parents made in vain."""
    new = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.importing-*"):
        if not _runs(int(left.name.split("-")[-2])):
            shutil.rmtree(left, ignore_errors=True)
    staging = Path(mkdtemp(prefix=f".{folder.name}.importing-{os.getpid()}-", dir=folder.parent))
    staging.chmod(0o777 & ~_umask())
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for parent in new:
            with suppress(OSError):  # not empty: the cohort is in it
                parent.rmdir()


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _runs(process: int) -> bool:
    """Whether a process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def put(staging: Path, folder: Path) -> None:
    """Let the finished import take the place of an earlier one."""
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
