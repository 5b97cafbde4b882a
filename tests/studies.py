"""Finished runs of a study that nobody trained: each node's files hold a few letters, its proof is right."""

import json
from pathlib import Path

from lusnb.cohort import fingerprint
from lusnb.study import notebooks, proofs, reruns
from lusnb.study import profile as study_profile


def finish(node: study_profile.Node, base: Path, text: str = "made", **change: object) -> Path:
    """A finished run of a node, as its notebook would leave it: its folder. change: other parameters."""
    folder = base / "runs" / node.folder
    staged = proofs.begin(folder)
    for name in notebooks.promised(node.notebook):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_text(f"{node.folder} {name} {text}")
    identity = dict(node.identity)
    asked = study_profile.parameters(node, base) | change
    (staged / "params.yaml").write_text(json.dumps(asked))
    checked = fingerprint.checked(
        base / "runs" / identity["profile"] / identity.get("cohort", "") / "00_cohort"
    )
    if node.notebook == "00_cohort":
        data = base / "data" / identity["cohort"]
        if not data.is_dir():
            data.mkdir(parents=True)
            (data / "cohort.yaml").write_text("name: c")
        found = {"cohort": fingerprint.cohort_fingerprint(data), "stamp": fingerprint.cohort_stamp(data)}
        (staged / "fingerprint.json").write_text(json.dumps(found))
        checked = {}
    inputs = {
        needed.folder: proofs.identity(proofs.read(base / "runs" / needed.folder))
        for needed in node.needs
        if needed.notebook != "00_cohort"
    }
    made = {
        "asked": asked,
        "code": reruns.code_fingerprint(node.notebook, base, asked),
        "outside": reruns.outside(asked, base),
        "cohorts": {identity["cohort"]: checked["cohort"]} if checked else {},
        "inputs": inputs,
    }
    proofs.seal(folder, made)
    (folder / proofs.EXECUTED).write_text("{}")
    return folder


def finish_all(profile: str, base: Path) -> dict[str, study_profile.Node]:
    """Finished runs of every node of a profile; folder, below the cohort's -> node."""
    made = study_profile.nodes(study_profile.load(profile, base))
    for node in made:
        finish(node, base)
    return {node.folder.split("/", 2)[-1]: node for node in made}
