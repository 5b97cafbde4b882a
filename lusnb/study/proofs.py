"""A run is made beside its place, takes it when it is whole, and proves later that it is what it was.

.<name>.new/         a run that is being made, beside <name>/, where the last finished one lies
.<name>.new/ready    it is whole: whatever is left to be moved is moved by whoever comes next
<name>/finished      the proof: what was asked, what it was made from, the digest of each file that it left

`tables` and `figures` of a run go to the folders of these names beside its own, which the runs of a cohort
share. A kill at any moment leaves the old run, or the new one, or the new one on its way: never a mixture.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

from lusnb import files
from lusnb.study import locks

SHARED = ("tables", "figures")
PROOF, READY = "finished", "ready"
EXECUTED, UNFINISHED = "notebook.ipynb", "unfinished.ipynb"  # of a finished run; of one that runs or failed
KEPT = (
    "params.yaml",
    "provenance.json",
)  # the proof holds these texts too, to write them again
NOT_MADE = "not made yet"
PARTS = {"asked": dict, "code": str, "outside": dict, "cohorts": dict, "inputs": dict, "files": dict}


class Unproven(ValueError):
    """A folder that holds no finished run, and why."""


def staging(folder: Path) -> Path:
    """Where the run of a folder is made."""
    return folder.with_name(f".{folder.name}.new")


def place(folder: Path, name: str) -> Path:
    """Where a file of a finished run lies."""
    return (folder.parent if name.split("/")[0] in SHARED else folder) / name


def begin(folder: Path) -> Path:
    """An empty place to make a run in; one that was whole before takes its own place first. Hold the lock."""
    take(folder)
    shutil.rmtree(staging(folder), ignore_errors=True)
    staging(folder).mkdir(parents=True)
    return staging(folder)


def seal(folder: Path, made: dict, gone: Iterable[str] = ()) -> None:
    """Let the run in `staging(folder)` take its place. made: all PARTS but the files. Hold the lock.

    gone: files, named as in `place`, that go with the run before beside those that it left.
    """
    staged = staging(folder)
    names = sorted(p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file())
    left = {name: _left(staged / name) for name in names}
    texts = {name: (staged / name).read_text(encoding="utf-8") for name in KEPT if name in left}
    for path in (staged, *(p for p in staged.rglob("*") if p.is_dir())):
        files.to_disk(path)
    old = sorted({*gone, *_before(folder)} - set(left))
    proof = {**made, "texts": texts, "files": left}
    files.write_json(staged / READY, {"gone": old, "proof": proof}, sync=True)
    take(folder)


def take(folder: Path) -> None:
    """Move a run that is ready to its place, or what is left of it to move. Hold the lock."""
    staged, ready = staging(folder), _ready(folder)
    if ready is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROOF).unlink(missing_ok=True)
    for name in ready["gone"]:
        place(folder, name).unlink(missing_ok=True)
    for name in ready["proof"]["files"]:
        if (staged / name).exists():  # else it was moved before a kill
            place(folder, name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / name, place(folder, name))
    files.write_json(folder / PROOF, ready["proof"], sync=True)
    (staged / READY).unlink()
    shutil.rmtree(staged)


def settle(folder: Path) -> None:
    """Put right what a kill or a failure left: complete what was half moved, throw away what was half made,
    and write the small texts again that are not what they were.

    Raises locks.Busy where another process is at it; one that makes a new run is left to it.
    """
    ready, broken = _ready(folder), _broken(folder)
    if not ready and not broken and not staging(folder).exists():
        return
    lock = Path(os.path.abspath(locks.of(folder)))
    if lock in locks.HELD:  # this process makes it
        return
    try:
        locks.hold(lock, str(folder))
    except locks.Busy:
        if ready or broken:
            raise
        return
    take(folder)
    shutil.rmtree(staging(folder), ignore_errors=True)
    for name, text in ({} if ready else broken).items():
        files.write_text(folder / name, text)
    locks.release(lock)


def _broken(folder: Path) -> dict[str, str]:
    """The small texts of a finished run that are missing or others now: name -> what it was."""
    try:
        proof = read(folder)
    except Unproven:
        return {}
    texts = proof.get("texts", {})
    return {k: text for k, text in texts.items() if not _as_left(folder / k, proof["files"][k])}


def read(folder: Path) -> dict:
    """The proof of a finished run: PARTS. Raises Unproven, with the reason."""
    ready, path = _ready(folder), folder / PROOF
    if ready:
        return ready["proof"]
    if not path.is_file():
        raise Unproven(NOT_MADE)
    proof = _json(path)
    if not _is_proof(proof):
        raise Unproven(f"left with a {path.name} that cannot be read (cut short, or of an earlier version)")
    return proof


def _ready(folder: Path) -> dict | None:
    """What is to be moved to its place; None where nothing is, or was never whole."""
    found = _json(staging(folder) / READY)
    return found if isinstance(found, dict) and _is_proof(found.get("proof")) else None


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_proof(found: object) -> TypeGuard[dict]:
    return isinstance(found, dict) and all(isinstance(found.get(k), kind) for k, kind in PARTS.items())


def damaged(folder: Path, proof: dict) -> list[str]:
    """The files of a finished run that are missing or not what it left. Sizes and times tell of most."""
    return [name for name, left in proof["files"].items() if not _as_left(_now(folder, name), left)]


def identity(proof: dict) -> str:
    """Fingerprint of what a run left, for those that read it; where and when it was made does not count."""
    made = {name: left["sha256"] for name, left in proof["files"].items() if name != "provenance.json"}
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def restamp(folder: Path) -> None:
    """Note the times of files that are what they were, so that they are not read again to prove it."""
    proof = read(folder)
    times = {name: place(folder, name).stat().st_mtime_ns for name in proof["files"]}
    if any(left["time"] != times[name] for name, left in proof["files"].items()):
        for name, left in proof["files"].items():
            left["time"] = times[name]
        files.write_json(folder / PROOF, proof)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now(folder: Path, name: str) -> Path:
    """Where a file of a finished run lies, also while it is being moved."""
    staged = staging(folder) / name
    return staged if staged.exists() and _ready(folder) else place(folder, name)


def _as_left(path: Path, left: dict) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    if state.st_size != left["size"]:
        return False
    return state.st_mtime_ns == left["time"] or digest(path) == left["sha256"]


def _left(path: Path) -> dict:
    files.to_disk(path)
    state = path.stat()
    return {"sha256": digest(path), "size": state.st_size, "time": state.st_mtime_ns}


def _before(folder: Path) -> list[str]:
    """What the run before left: by its proof, and whatever lies in its own folder. Runs below it stay."""
    try:
        left = list(read(folder)["files"])
    except Unproven:
        left = []
    lying = [*folder.glob("*"), *folder.glob("predictions/*")]
    names = [p.relative_to(folder).as_posix() for p in lying if p.is_file() and not p.name.startswith(".")]
    return [*left, *(name for name in names if name != PROOF)]
