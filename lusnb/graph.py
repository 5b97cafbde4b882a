"""What Snakemake is told about each node of a study, and what people are told when it ends.

Which runs are unfinished, what `make clean` removes.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from lusnb import reruns
from lusnb.params import ParameterError
from lusnb.study import NOTEBOOKS, Node, Study, check, load, nodes, parameters, root, run_folder


def fingerprint(node: Node, base: Path) -> dict:
    """What a node depends on beside its needs and its code: parameters, and the files that it imports.

    Where these are out of reach (a drive taken away) they count as they were when last seen.
    """
    asked = parameters(node, base)
    if asked.get("source") == "import":
        places = reruns.import_places(asked, base)
        seen = base / ".snakemake" / "imported" / f"{node.folder.replace('/', '__')}.json"
        if all(place.is_dir() for place in places) or not seen.is_file():
            seen.parent.mkdir(parents=True, exist_ok=True)
            seen.write_text(json.dumps([reruns.cohort_stamp(place) for place in places]), encoding="utf-8")
        asked["imported"] = json.loads(seen.read_text(encoding="utf-8"))
    return asked


def clean(profile: str, base: Path | None = None) -> list[str]:
    """Remove a profile's runs, and the cohorts that it alone made; return the folders removed.

    A cohort is only removed when this profile makes it (a folder taken as it lies stays), its provenance says
    so, no other profile names it, and nobody painted in it.
    """
    base = base or root()
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
        content = (yaml.safe_load(meta.read_text(encoding="utf-8")) if meta.is_file() else None) or {}
        made_by = str((content.get("provenance") or {}).get("made_by", ""))
        if made_by.startswith("lusnb.") and not reruns.painted_in(meta.parent):
            gone.append(meta.parent)
    gone = sorted(folder for folder in gone if folder.exists())
    for folder in gone:
        shutil.rmtree(folder)
    return [str(folder.relative_to(base)) for folder in gone]


def unfinished(study: Study, base: Path | None = None) -> list[str]:
    """Executed notebooks of nodes that did not finish, below runs/."""
    runs = (base or root()) / "runs"
    folders = [runs / node.folder for node in nodes(study)]
    return [
        str((f / "notebook.ipynb").relative_to(runs.parent))
        for f in folders
        if (f / "notebook.ipynb").is_file() and not (f / "finished").is_file()
    ]


def forget_changed_cohort(profile: str, cohort: str, base: Path) -> None:
    """Undo 00_cohort's `finished` when the cohort's files are no longer those that it checked."""
    checked = base / "runs" / run_folder(NOTEBOOKS["cohort"], {"profile": profile, "cohort": cohort})
    if (checked / "finished").is_file():
        then = json.loads((checked / "fingerprint.json").read_text(encoding="utf-8"))
        if reruns.fingerprint_now(base / "data" / cohort, then) != then["cohort"]:
            (checked / "finished").unlink()


def ending(study: Study, base: Path) -> str:
    """What to say when every node of a study is finished: where everything is."""
    lines = [f"study {study.profile} is complete:"]
    for cohort in study.cohorts:
        place = f"runs/{study.profile}/{cohort}"
        lines.append(
            f"  tables in {place}/tables, figures in {place}/figures, executed notebooks below {place}"
        )
    return "\n".join(lines)


def failure(study: Study, base: Path) -> str:
    """What to say when a node failed: where its notebook lies, and how to go on."""
    left = unfinished(study, base) or ["none was written: see the messages above"]
    return "\n".join(
        [
            f"study {study.profile} stopped. Notebooks that did not finish (a failed one has its traceback):",
            *(f"  {path}" for path in left),
            f"Correct the cause, then go on with: make study PROFILE={study.profile} (finished nodes stay)",
        ]
    )


def run(profile: str, jobs: int, more: list[str]) -> int:
    """Run Snakemake on one profile, and say last where everything is; returns its exit status.

    The lock dies with Snakemake and its papermill children: unlike Snakemake's own, which outlives a killed
    driver, it holds exactly as long as something still writes.
    """
    base = root()
    study = load(profile, base)
    check(study, base)
    (base / ".snakemake").mkdir(exist_ok=True)
    lock = os.open(base / ".snakemake" / "lusnb.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another study (or a notebook of one that was killed) still runs here: wait, or end it")
    options = ["-j", str(jobs), "--config", f"profile={profile}", "--rerun-incomplete", "--nolock"]
    options += ["--keep-going"]  # a failed arm does not stop the others
    options += ["--scheduler", "greedy"]  # solving for the best order of 100 nodes took a tenth of the time
    options += ["--quiet", "host", "reason", "rules", *more]
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal tells Snakemake too, and it stops its nodes
    driver = subprocess.Popen([sys.executable, "-m", "snakemake", *options], cwd=base, pass_fds=(lock,))
    signal.signal(signal.SIGTERM, lambda *_: driver.terminate())
    status = driver.wait()
    if "-n" not in more:
        print(failure(study, base) if status else ending(study, base), flush=True)
    return status


def main() -> None:
    """`python -m lusnb.graph run <profile>` or `clean <profile>`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["run", "clean"])
    parser.add_argument("profile")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked, more = parser.parse_known_args()
    try:
        if asked.what == "run":
            sys.exit(run(asked.profile, asked.jobs, more))
        removed = clean(asked.profile)
    except (ParameterError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    print("removed " + ", ".join(removed) if removed else f"profile {asked.profile}: nothing to remove")


if __name__ == "__main__":
    main()
