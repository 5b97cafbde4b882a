"""The driver of a study: which nodes run and why, Snakemake over them, what people are told; `make clean`.

Which runs count is asked here, of what they are (study/nodes.py), and not of Snakemake, which is given the
others alone. It removes the outputs of a job that starts or fails, so of a node it knows one empty file, a
mark.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lusnb.cohort import fingerprint
from lusnb.params import ParameterError, read_yaml
from lusnb.study import locks, places, proofs, warm
from lusnb.study.matrix import NOTEBOOKS
from lusnb.study.nodes import differs, writers
from lusnb.study.profile import Node, Study, check, load, nodes, parameters

MARKS = Path(".snakemake", "lusnb")  # in the project's folder
SHOWN = 4  # nodes that are named for one reason, of many
Plan = dict[Node, list[str]]  # nodes to run, and why; no reason: after another, whose results may differ


def mark(node: Node) -> str:
    """The one file that Snakemake knows of a node: it ran, or its finished run stayed."""
    return (MARKS / node.folder.replace("/", "+")).as_posix()


def plan(study: Study, base: Path) -> Plan:
    """The nodes whose finished runs do not count, and those after them, asked again in their turn."""
    found: Plan = {}
    for node in nodes(study):
        reasons = differs(node, base)
        if reasons or any(needed in found for needed in node.needs):
            found[node] = reasons
    return found


def planned(study: Study, todo: Plan) -> str:
    """A plan in words: what runs, with the reason, reason by reason."""
    if not todo:
        return f"study {study.profile}: Nothing to be done"
    why: dict[str, list[str]] = {}
    for node, reasons in sorted(todo.items(), key=lambda item: not item[1]):  # those without a reason last
        told = ", ".join(reasons) or "after these, where what they read differs"
        why.setdefault(told, []).append(node.folder.removeprefix(f"{study.profile}/"))
    lines = [f"study {study.profile}: {len(todo)} of {len(nodes(study))} nodes to run"]
    for told, names in why.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"  {told}: {', '.join(names[:SHOWN])}{more}")
    return "\n".join(lines)


def clean(profile: str, base: Path | None = None) -> list[str]:
    """Remove a profile's runs, and the cohorts that it alone made; return the folders removed.

    A cohort is only removed when this profile makes it (a folder taken as it lies stays), its provenance says
    so, no other profile names it, and nobody painted in it. Raises locks.Busy where somebody writes one.
    """
    base = base or places.root()
    others = {p.parent.name for p in (base / "params").glob("*/study.yaml")} - {profile}
    shared = {cohort for other in others for cohort in load(other, base).cohorts}
    gone = [base / "runs" / profile]
    made = {
        asked["cohort"]
        for asked in (
            parameters(n, base) for n in nodes(load(profile, base)) if n.notebook == NOTEBOOKS["cohort"]
        )
        if asked["source"] != "folder"
    }
    for cohort in made - shared:
        meta = base / "data" / cohort / "cohort.yaml"
        content = read_yaml(meta) if meta.is_file() else {}
        made_by = str((content.get("provenance") or {}).get("made_by", ""))
        if made_by.startswith("lusnb.") and not fingerprint.painted_in(meta.parent):
            gone.append(meta.parent)
    gone = sorted(folder for folder in gone if folder.exists())
    try:
        _hold_all(gone, base)
        for folder in gone:
            shutil.rmtree(folder)
            locks.of(folder).unlink(missing_ok=True)
    finally:
        locks.release_all()
    return [str(folder.relative_to(base)) for folder in gone]


def _hold_all(folders: list[Path], base: Path) -> None:
    """Hold the lock of the project, and of everything below some folders. Raises locks.Busy."""
    hold_project(base)
    for folder in folders:
        for path in (*folder.rglob(".*.lock"), *([locks.of(folder)] if locks.of(folder).exists() else [])):
            name = path.name[1:].removesuffix(".lock").removesuffix(".executed")
            locks.hold(path, str(path.relative_to(base).with_name(name)))


def hold_project(base: Path) -> int:
    """Hold the lock of whoever drives a study or cleans, one at a time in a project. Raises locks.Busy."""
    path = base / ".snakemake" / "lusnb.lock"
    try:
        return locks.hold(path, "this project")
    except locks.Busy:
        raise locks.Busy(
            f"another study still runs here, {locks.holder(path)}: wait for it, or end it"
        ) from None


def tidy(study: Study, base: Path) -> None:
    """After a kill: complete what was being moved. Of runs that count: one executed notebook, theirs."""
    for node in nodes(study):
        folder = base / "runs" / node.folder
        left = folder / proofs.UNFINISHED
        proofs.settle(folder)
        if not (left.is_file() or _touched(folder)) or writers(node, base):
            continue
        if not differs(node, base):
            proofs.restamp(folder)
            if left.is_file() and not (folder / proofs.EXECUTED).is_file():
                os.replace(left, folder / proofs.EXECUTED)
            left.unlink(missing_ok=True)


def refuse_written(todo: Plan, base: Path) -> None:
    """Raise locks.Busy where another process writes what a plan would: a killed study's, or by hand."""
    for node in todo:
        if who := writers(node, base):
            raise locks.Busy(locks.busy(f"runs/{node.folder}", who))


def ending(study: Study, base: Path) -> str:
    """What to say when every node of a study is finished: where everything is."""
    lines = [f"study {study.profile} is complete:"]
    for cohort in study.cohorts:
        place = f"runs/{study.profile}/{cohort}"
        lines.append(
            f"  tables in {place}/tables, figures in {place}/figures, executed notebooks below {place}"
        )
    return "\n".join(lines)


def unfinished(study: Study, base: Path) -> list[str]:
    """Executed notebooks of nodes that did not finish, below the project."""
    left = [base / "runs" / node.folder / proofs.UNFINISHED for node in nodes(study)]
    return [str(path.relative_to(base)) for path in left if path.is_file()]


def failure(study: Study, base: Path) -> str:
    """What to say when a node failed: where its notebook lies, and how to go on."""
    left = unfinished(study, base) or ["none was written: see the messages above"]
    return "\n".join(
        [
            f"study {study.profile} stopped. Notebooks that did not finish (a failed one has its traceback):",
            *(f"  {path}" for path in left),
            f"Correct the cause, then go on with: make study PROFILE={study.profile} (what is finished "
            "stays, an earlier run of these nodes too)",
        ]
    )


def run(profile: str, jobs: int, more: list[str], dry: bool = False, cold: bool = False) -> int:
    """Run what does not count of a profile, and say last where everything is; returns the exit status.

    dry: only say what would run, and touch nothing. cold: every node imports for itself. Raises
    ParameterError, and locks.Busy where another study runs here, or another process writes what this one
    would.
    """
    base = places.root()
    study = load(profile, base)
    check(study, base)
    if dry:
        print(planned(study, plan(study, base)))
        return 0
    lock = hold_project(base)
    tidy(study, base)
    todo = plan(study, base)
    print(planned(study, todo), flush=True)
    refuse_written(todo, base)
    status = _snakemake(todo, jobs, more, lock, base, cold) if todo else 0
    left = plan(study, base) if todo else {}
    if left and not status:
        print(f"study {profile}: {len(left)} nodes are left; go on with: make study PROFILE={profile}")
        return status
    print(failure(study, base) if status else ending(study, base), flush=True)
    return status


def _snakemake(todo: Plan, jobs: int, more: list[str], lock: int, base: Path, cold: bool) -> int:
    """Run Snakemake over the nodes of a plan, next to a warm process that they are forked from.

    Snakemake holds the project's lock too, and keeps the warm process, should this process end.
    """
    shutil.rmtree(base / MARKS, ignore_errors=True)
    (base / MARKS).mkdir(parents=True)
    (base / MARKS / "plan.json").write_text(json.dumps([node.folder for node in todo]), encoding="utf-8")
    options = ["-j", str(jobs), "--config", f"plan={MARKS / 'plan.json'}", "--rerun-incomplete", "--nolock"]
    options += ["--keep-going"]  # a failed arm does not stop the others
    options += ["--scheduler", "greedy"]  # solving for the best order of 100 nodes took a tenth of the time
    options += ["--quiet", "host", "reason", "rules", *more]
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal tells Snakemake too, and it stops its nodes
    with warm.process(base, wanted=not cold) as (environment, kept):
        driver = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *options],
            cwd=base, pass_fds=(lock, *kept), env=os.environ | environment,
        )  # fmt: skip
        locks.tell(lock, os.getpid(), driver.pid)
        signal.signal(signal.SIGTERM, lambda *_: driver.terminate())
        return driver.wait()


def _touched(folder: Path) -> bool:
    """Whether a finished run has files whose times are not those that it noted."""
    try:
        files = proofs.read(folder)["files"]
        return any(proofs.place(folder, k).stat().st_mtime_ns != left["time"] for k, left in files.items())
    except (proofs.Unproven, OSError):
        return False


def main() -> None:
    """`python -m lusnb.study run <profile> [-n]` or `clean <profile>`; other options are Snakemake's."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["run", "clean"])
    parser.add_argument("profile")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cold", action="store_true", help="import anew for every node; default: once")
    parser.add_argument("-n", "--dry-run", "--dryrun", action="store_true", help="say what would run")
    asked, more = parser.parse_known_args()
    try:
        if asked.what == "run":
            sys.exit(run(asked.profile, asked.jobs, more, asked.dry_run, asked.cold))
        removed = clean(asked.profile)
    except (ParameterError, FileNotFoundError, locks.Busy) as error:
        sys.exit(f"error: {error}")
    print("removed " + ", ".join(removed) if removed else f"profile {asked.profile}: nothing to remove")
