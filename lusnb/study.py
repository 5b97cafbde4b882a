"""A profile's study: which notebooks run, with which parameters, and what would make each run again.

Reads `params/<profile>/study.yaml` (the matrix) and `params/<profile>/<notebook>.yaml` (what differs from the
notebook's defaults). Imports nothing heavy, so that a rerun with nothing to do is quick.
"""

import argparse
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from lusnb import params, reruns

NOTEBOOKS = {
    "cohort": "00_cohort",
    "explore": "01_explore_data",
    "confidence": "02_confidence_maps",
    "train": "03_train_segmentation",
    "segmentation": "04_compare_segmentation",
    "sf_change": "05_sf_change",
    "sf_ratio": "06_sf_ratio",
    "readmission": "07_readmission",
    "tasks": "08_compare_tasks",
    "figures": "09_figures",
}
TRAINED = ("params.yaml", "history.csv", "metrics.csv")
OUTPUTS = {  # what a finished node leaves, beside `finished`; ../ is the cohort's folder of runs
    "00_cohort": ("params.yaml", "fingerprint.json"),
    "01_explore_data": ("params.yaml",),
    "02_confidence_maps": ("params.yaml", "kept_area.csv", "thickness.csv"),
    "03_train_segmentation": (
        *TRAINED,
        "model.safetensors",
        *(f"predictions/{name}" for name in ("labelled.npy", "frames.npy", "index.csv", "fingerprint.json")),
    ),
    "04_compare_segmentation": tuple(
        f"../tables/{name}.csv"
        for name in (
            "table1_segmentation",
            "iou_by_feature",
            "threshold_matrix",
            "segmentation_differences",
            "reliability",
            "calibration",
        )
    ),
    **{
        notebook: (*TRAINED, "predictions.csv")
        for notebook in ("05_sf_change", "06_sf_ratio", "07_readmission")
    },
    "08_compare_tasks": tuple(
        f"../tables/{name}.csv"
        for name in (
            "table2_sf_change",
            "table3_sf_ratio",
            "table4_readmission",
            "task_differences",
            "task_scores",
        )
    ),
    "09_figures": tuple(
        f"../figures/{name}.{ending}"
        for ending in ("pdf", "png", "svg")
        for name in (
            "figure1_thresholds",
            "kept_area",
            "figure3_iou_by_feature",
            "figure4_predictions",
            "threshold_matrix",
            "reliability",
            "tasks",
        )
    ),
}
TASKS = ("sf_change", "sf_ratio", "readmission")
GRAYSCALE = "grayscale"  # the baseline arm: the tasks see no segmentation at all
PROTOCOLS = ("paper",)
STUDY_KEYS = {"cohorts": dict, "arms": dict, "tasks": list, "seeds": list, "folds": int, "protocol": str}


def root(start: Path | None = None) -> Path:
    """The project's folder: the nearest from here (or `start`) upwards that holds `params/` and `notebooks/`.

    Raises FileNotFoundError where there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        f"{here}: no lusnb project here or above (a folder with params/ and notebooks/); "
        "change to the project's folder."
    )


@dataclass(frozen=True)
class Study:
    """One profile's matrix, as read from its study.yaml."""

    profile: str
    cohorts: dict
    arms: dict
    tasks: tuple
    seeds: tuple
    folds: int
    protocol: str

    @property
    def task_arms(self) -> tuple:
        """The arms whose tasks are trained: every segmentation arm, and grayscale alone as a baseline."""
        return (*self.arms, GRAYSCALE)


@dataclass(frozen=True)
class Node:
    """One run of one notebook: its identity (what the matrix says), and the nodes that it needs."""

    notebook: str
    identity: tuple  # of (name, value), in the order given to papermill
    needs: tuple = ()

    @property
    def folder(self) -> str:
        """The run's folder below runs/: only the levels that apply."""
        return run_folder(self.notebook, dict(self.identity))

    @property
    def outputs(self) -> list[str]:
        """What it leaves, below the project's folder; `finished` last."""
        made = (Path("runs", self.folder, name) for name in (*OUTPUTS[self.notebook], "finished"))
        return [os.path.normpath(path) for path in made]


def run_folder(notebook: str, identity: dict) -> str:
    """`<profile>/<cohort>/<notebook>[/<arm>][/seed<k>][/fold<j>]`, from whatever of these is given."""
    parts = [identity["profile"], identity["cohort"], notebook]
    parts += [identity["arm"]] if "arm" in identity else []
    parts += [f"{level}{identity[level]}" for level in ("seed", "fold") if level in identity]
    return "/".join(parts)


def _profile_folder(profile: str, base: Path) -> Path:
    folder = base / "params" / profile
    if not (folder / "study.yaml").is_file():
        known = sorted(f.parent.name for f in base.glob("params/*/study.yaml"))
        raise params.ParameterError(
            f"{folder / 'study.yaml'}: no such file; profiles are {', '.join(known)}."
        )
    return folder


def load(profile: str, base: Path | None = None) -> Study:
    """Read and check `params/<profile>/study.yaml`.

    Raises ParameterError on an unknown or missing key, a wrong type, a threshold outside [0, 1].
    """
    path = _profile_folder(profile, base or root()) / "study.yaml"
    matrix = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for key in matrix:
        if key not in STUDY_KEYS:
            raise params.ParameterError(params.unknown(str(path), key, STUDY_KEYS))
    for key, kind in STUDY_KEYS.items():
        if not isinstance(matrix.get(key), kind):
            raise params.ParameterError(
                f"{path}: `{key}` must be a {kind.__name__}, got {matrix.get(key)!r}; "
                "see params/smoke/study.yaml."
            )
    for task in matrix["tasks"]:
        if task not in TASKS:
            raise params.ParameterError(params.unknown(str(path), task, dict.fromkeys(TASKS)))
    if matrix["protocol"] not in PROTOCOLS:
        raise params.ParameterError(
            f"{path}: protocol must be one of {PROTOCOLS}, got {matrix['protocol']!r}."
        )
    for arm, fields in matrix["arms"].items():
        params.fraction(f"{path}, arm {arm}", "label_threshold", (fields or {}).get("label_threshold", 0.0))
    return Study(
        profile,
        {name: fields or {} for name, fields in matrix["cohorts"].items()},
        {name: fields or {} for name, fields in matrix["arms"].items()},
        tuple(t for t in TASKS if t in matrix["tasks"]),
        tuple(matrix["seeds"]),
        matrix["folds"],
        matrix["protocol"],
    )


def segmenter_of(study: Study, arm: str) -> str:
    """The arm whose stored frames a task arm reads: its own, the first one for grayscale alone."""
    return next(iter(study.arms)) if arm == GRAYSCALE else arm


def nodes(study: Study) -> list[Node]:
    """Every node of a study, each after the nodes it needs."""
    return [node for cohort in study.cohorts for node in _cohort_nodes(study, cohort)]


def _cohort_nodes(study: Study, cohort: str) -> Iterator[Node]:
    same = (("profile", study.profile), ("cohort", cohort))
    made = Node(NOTEBOOKS["cohort"], (*same, *study.cohorts[cohort].items(), ("folds", study.folds)))
    yield made
    yield Node(NOTEBOOKS["explore"], same, (made,))
    maps = Node(NOTEBOOKS["confidence"], same, (made,))
    yield maps
    trained = {}
    for seed in study.seeds:
        for arm, fields in study.arms.items():
            identity = (*same, ("arm", arm), *fields.items(), ("seed", seed), ("fold", 0))
            trained[arm, seed] = Node(NOTEBOOKS["train"], identity, (made,))
    yield from trained.values()
    segmented = Node(NOTEBOOKS["segmentation"], same, (made, *trained.values()))
    yield segmented
    tasks = {}
    for seed in study.seeds:
        for arm in study.task_arms:
            for task in study.tasks:
                # grayscale alone takes no masks, but the frames and the size that the segmenters used
                needs = [made, trained[segmenter_of(study, arm), seed]]
                if task == "readmission" and ("sf_change", arm, seed) in tasks:
                    needs.append(tasks["sf_change", arm, seed])
                identity = (*same, ("arm", arm), ("seed", seed))
                tasks[task, arm, seed] = Node(NOTEBOOKS[task], identity, tuple(needs))
    yield from tasks.values()
    compared = Node(NOTEBOOKS["tasks"], same, (made, *tasks.values()))
    yield compared
    yield Node(NOTEBOOKS["figures"], same, (made, maps, *trained.values(), segmented, compared))


def overrides(profile: str, notebook: str, base: Path | None = None) -> dict:
    """Read `params/<profile>/<notebook>.yaml`: what differs from the notebook's defaults; {} where absent."""
    path = (base or root()) / "params" / profile / f"{notebook}.yaml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def check(study: Study, base: Path | None = None) -> None:
    """Check every key of a profile against its notebook before anything runs.

    Raises ParameterError on an unknown key, a wrong type, a key in both files, or a file of no notebook.
    """
    base = base or root()
    names = {path.stem for path in (base / "notebooks").glob("*.ipynb")}
    for path in sorted((base / "params" / study.profile).glob("*.yaml")):
        if path.stem != "study" and path.stem not in names:
            raise params.ParameterError(params.unknown(str(path), path.stem, dict.fromkeys(sorted(names))))
    for node in nodes(study):
        where = f"params/{study.profile}/{node.notebook}.yaml"
        known = params.of_notebook(base / "notebooks" / f"{node.notebook}.ipynb")
        given = overrides(study.profile, node.notebook, base)
        for name, value in (*given.items(), *node.identity):
            place = where if name in given else f"params/{study.profile}/study.yaml"
            if name not in known:
                raise params.ParameterError(params.unknown(place, name, known))
            params.check_type(place, name, known[name][0], value)
        for name, _ in node.identity:
            if name in given:
                raise params.ParameterError(
                    f"{where}: `{name}` also comes from study.yaml (it is part of the node's identity); "
                    "keep it in one of the two."
                )


def parameters(node: Node, base: Path | None = None) -> dict:
    """All parameters of a node: notebook defaults < the profile's file < the identity."""
    base = base or root()
    profile = dict(node.identity)["profile"]
    known = params.of_notebook(base / "notebooks" / f"{node.notebook}.ipynb")
    defaults = {name: value for name, (_, value) in known.items()}
    return {**defaults, **overrides(profile, node.notebook, base), **dict(node.identity)}


def papermill_arguments(node: Node, base: Path | None = None) -> str:
    """The `-f` and `-p`/`-r` arguments of a node, quoted for the shell: scalars only."""
    base = base or root()
    profile = dict(node.identity)["profile"]
    arguments = []
    if overrides(profile, node.notebook, base):
        arguments += ["-f", f"params/{profile}/{node.notebook}.yaml"]
    for name, value in node.identity:
        arguments += ["-r" if isinstance(value, str) else "-p", name, str(value)]
    return shlex.join(arguments)


def command(node: Node, base: Path | None = None) -> str:
    """The shell command, run in the project's folder, that executes one node by papermill alone."""
    output = f"runs/{node.folder}/notebook.ipynb"
    return (
        f"mkdir -p {shlex.quote(str(Path(output).parent))} && papermill notebooks/{node.notebook}.ipynb "
        f"{shlex.quote(output)} {papermill_arguments(node, base)}"
    )


def clean(profile: str, base: Path | None = None) -> list[str]:
    """Remove a profile's runs, and the phantom cohorts it made; return the folders removed."""
    base = base or root()
    study = load(profile, base)
    gone = [base / "runs" / profile]
    for cohort in study.cohorts:
        meta = base / "data" / cohort / "cohort.yaml"
        made = (yaml.safe_load(meta.read_text(encoding="utf-8")) if meta.is_file() else None) or {}
        if (made.get("provenance") or {}).get("profile") == profile:
            gone.append(meta.parent)
    gone = [folder for folder in gone if folder.exists()]
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
            f"study {study.profile} stopped. Executed notebooks that did not finish, each with its traceback:",
            *(f"  {path}" for path in left),
            f"Correct the cause, then go on with: make study PROFILE={study.profile} (what is finished stays)",
        ]
    )


def main() -> None:
    """`python -m lusnb.study clean <profile>`: remove what a profile made."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["clean"])
    parser.add_argument("profile")
    asked = parser.parse_args()
    removed = clean(asked.profile)
    print("removed " + ", ".join(removed) if removed else f"profile {asked.profile}: nothing to remove")


if __name__ == "__main__":
    main()
