"""A profile's study: which notebooks run, with which parameters, and what would make each run again.

Reads `params/<profile>/study.yaml` (the matrix) and `params/<profile>/<notebook>.yaml` (what differs from the
notebook's defaults). Imports nothing heavy, so that a rerun with nothing to do is quick.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from lusnb import arms, params, reruns
from lusnb.arms import GRAYSCALE

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
    "sensitivity": "12_sensitivity",
}
ACROSS = ("12_sensitivity",)  # notebooks over all cohorts of a profile
TASKS = ("sf_change", "sf_ratio", "readmission")
PROTOCOLS = ("paper", "cross_fitted")
OPTIONAL_KEYS = {
    "null_arms": int,  # how many copies of the one arm, which differ by their seed alone
    "across": str,  # a notebook that reads the finished comparisons of all the cohorts
}
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
    across: str = ""

    @property
    def segmenter_folds(self) -> tuple:
        """The folds that segmenters are trained for: 0, the published split, or every outer fold."""
        return (0,) if self.protocol == "paper" else tuple(range(1, self.folds + 1))

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


def run_folder(notebook: str, identity: dict) -> str:
    """`<profile>[/<cohort>]/<notebook>[/<arm>][/seed<k>][/fold<j>]`, from whatever of these is given."""
    parts = [identity["profile"], *([identity["cohort"]] if "cohort" in identity else []), notebook]
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
        if key not in STUDY_KEYS | OPTIONAL_KEYS:
            raise params.ParameterError(params.unknown(str(path), key, STUDY_KEYS | OPTIONAL_KEYS))
    for key, kind in (STUDY_KEYS | {k: v for k, v in OPTIONAL_KEYS.items() if k in matrix}).items():
        if not isinstance(matrix.get(key), kind):
            raise params.ParameterError(
                f"{path}: `{key}` must be a {kind.__name__}, got {matrix.get(key)!r}; "
                "see params/smoke/study.yaml."
            )
    for task in matrix["tasks"]:
        if task not in TASKS:
            raise params.ParameterError(params.unknown(str(path), task, dict.fromkeys(TASKS)))
    if matrix["protocol"] not in PROTOCOLS:
        told = f"{path}: protocol must be one of {PROTOCOLS}, got {matrix['protocol']!r}."
        raise params.ParameterError(told)
    _check_matrix(path, matrix)
    return Study(
        profile,
        {name: fields or {} for name, fields in matrix["cohorts"].items()},
        arms.copies(matrix["arms"], matrix.get("null_arms")),
        tuple(t for t in TASKS if t in matrix["tasks"]),
        tuple(matrix["seeds"]),
        matrix["folds"],
        matrix["protocol"],
        matrix.get("across", ""),
    )


def _check_matrix(path: Path, matrix: dict) -> None:
    """What the types alone do not tell: arms with a threshold each, enough folds, tasks that can start."""
    for arm, fields in matrix["arms"].items():
        arms.check(str(path), arm, fields)
    seeds = matrix["seeds"]
    if not matrix["arms"] or not seeds or len(set(seeds)) < len(seeds):
        raise params.ParameterError(
            f"{path}: expected at least one arm, and seeds that differ; add or correct."
        )
    if "null_arms" in matrix and (matrix["null_arms"] < 2 or len(matrix["arms"]) != 1):
        raise params.ParameterError(
            f"{path}: null_arms copies one arm at least twice, got {matrix['null_arms']} copies of "
            f"{len(matrix['arms'])} arms; name one arm, or leave null_arms out."
        )
    if matrix.get("across", ACROSS[0]) not in ACROSS:
        raise params.ParameterError(f"{path}: across must be one of {ACROSS}, got {matrix['across']!r}.")
    if "across" in matrix and matrix["protocol"] != "paper":
        raise params.ParameterError(
            f"{path}: beside across, protocol must be paper, whose training patients are tested nowhere."
        )
    alone = matrix["protocol"] == "cross_fitted" or "across" in matrix
    if alone and matrix["tasks"]:
        raise params.ParameterError(
            f"{path}: tasks must be [] under cross_fitted and beside across, where segmenters alone are "
            f"trained, got {matrix['tasks']}; set tasks to [], or protocol to paper without across."
        )
    if matrix["folds"] < 2:
        raise params.ParameterError(f"{path}: folds must be at least 2, got {matrix['folds']}.")
    if "readmission" in matrix["tasks"] and "sf_change" not in matrix["tasks"]:
        raise params.ParameterError(
            f"{path}: readmission starts from sf_change's networks; add sf_change to tasks."
        )


def segmenter_of(study: Study, arm: str) -> str:
    """The arm whose stored frames a task arm reads: its own, the first one for grayscale alone."""
    return next(iter(study.arms)) if arm == GRAYSCALE else arm


def nodes(study: Study) -> list[Node]:
    """Every node of a study, each after the nodes it needs."""
    found = [node for cohort in study.cohorts for node in _cohort_nodes(study, cohort)]
    if study.across:
        compared = tuple(node for node in found if node.notebook == NOTEBOOKS["segmentation"])
        found.append(Node(study.across, (("profile", study.profile),), compared))
    return found


def _cohort_nodes(study: Study, cohort: str) -> Iterator[Node]:
    same = (("profile", study.profile), ("cohort", cohort))
    made = Node(NOTEBOOKS["cohort"], (*same, *study.cohorts[cohort].items(), ("folds", study.folds)))
    yield made
    maps = Node(NOTEBOOKS["confidence"], same, (made,))
    if not study.across:  # a sweep over cohorts is read across them, not one by one
        yield Node(NOTEBOOKS["explore"], same, (made,))
        yield maps
    trained = {}
    for seed in study.seeds:
        for arm, fields in study.arms.items():
            for fold in study.segmenter_folds:
                own = (("protocol", study.protocol), ("seed", seed), ("fold", fold))
                identity = (*same, ("arm", arm), *fields.items(), *own)
                trained[arm, seed, fold] = Node(NOTEBOOKS["train"], identity, (made,))
    yield from trained.values()
    segmented = Node(NOTEBOOKS["segmentation"], same, (made, *trained.values()))
    yield segmented
    if study.across:
        return
    tasks = {}
    for seed in study.seeds:
        for arm in study.task_arms:
            for task in study.tasks:
                # grayscale alone takes no masks, but the frames and the size that the segmenters used
                needs = [made, trained[segmenter_of(study, arm), seed, 0]]
                if task == "readmission":
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
    content = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
    if not isinstance(content, dict):
        raise params.ParameterError(f"{path}: expected `name: value` lines, got {content!r}.")
    return content


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
