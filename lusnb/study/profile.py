"""A profile's study: which notebooks run, with which parameters, and what would make each run again.

Reads `params/<profile>/study.yaml` (the matrix) and `params/<profile>/<notebook>.yaml` (what differs from the
notebook's defaults). Imports nothing heavy, so that a rerun with nothing to do is quick.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from lusnb import arms, params
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort import fingerprint
from lusnb.segment import choices
from lusnb.study import matrix as matrices
from lusnb.study import places
from lusnb.study.matrix import ACROSS, NOTEBOOKS, STARTS_FROM, TASKS


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
    phantoms: tuple = ()  # the cohorts that are simulated, whose true masks are known
    chosen: tuple = ()  # the arms that go on to the tasks; none named: all of them

    @property
    def segmenter_folds(self) -> tuple:
        """The folds that segmenters are trained for: 0, the published split, or every outer fold."""
        return (0,) if self.protocol == "paper" else tuple(range(1, self.folds + 1))

    @property
    def inner_pairs(self) -> tuple:
        """Pairs of folds that inner segmenters leave out for the tasks: a clip of either fold may be learnt
        from while the other is tested. None under `paper`, where one segmenter serves everything."""
        if self.protocol == "paper" or not self.tasks:
            return ()
        return tuple(combinations(self.segmenter_folds, 2))

    @property
    def arms_on_tasks(self) -> tuple:
        """The segmentation arms that go on to the tasks, in their order."""
        return tuple(arm for arm in self.arms if arm in self.chosen or not self.chosen)

    def task_arms(self, cohort: str) -> tuple:
        """The arms whose tasks are trained: those of segmentation, and as baselines grayscale alone and, for
        a phantom, its true masks."""
        return (*self.arms_on_tasks, GRAYSCALE, *([TRUE_MASKS] if cohort in self.phantoms else []))


@dataclass(frozen=True)
class Node:
    """One run of one notebook: its identity (what the matrix says), and the nodes that it needs."""

    notebook: str
    identity: tuple  # of (name, value), in the order given to papermill
    needs: tuple = ()

    @property
    def folder(self) -> str:
        """The run's folder below runs/: only the levels that apply."""
        return places.run_folder(self.notebook, dict(self.identity))


def _profile_folder(profile: str, base: Path) -> Path:
    folder = base / "params" / profile
    if not re.fullmatch(arms.NAME, profile):
        raise params.ParameterError(
            f"profile {profile!r}: expected the name of a folder below params/, of letters, digits and _ . -."
        )
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
    path = _profile_folder(profile, base or places.root()) / "study.yaml"
    matrix = params.read_yaml(path)
    matrices.check(path, matrix)
    given = overrides(profile, NOTEBOOKS["cohort"], base)
    return Study(
        profile,
        {name: fields or {} for name, fields in matrix["cohorts"].items()},
        arms.copies(matrix["arms"], matrix.get("null_arms")),
        tuple(t for t in TASKS if t in matrix["tasks"]),
        tuple(matrix["seeds"]),
        matrix["folds"],
        matrix["protocol"],
        matrix.get("across", ""),
        tuple(
            name
            for name, fields in matrix["cohorts"].items()
            if {**given, **(fields or {})}.get("source", "phantom") == "phantom"
        ),
        tuple(matrix.get("task_arms", ())),
    )


def segmenter_of(study: Study, arm: str) -> str:
    """The arm whose stored frames a task arm reads: its own; for a baseline the first one on the tasks, of
    which it takes the size and the frames."""
    return study.arms_on_tasks[0] if arm in (GRAYSCALE, TRUE_MASKS) else arm


def advice(profile: str, arm: object) -> str:
    """What makes a missing run: the study; where that does not have the arm, another name, or 03 by hand."""
    known = load(profile).arms if (places.root() / "params" / profile / "study.yaml").is_file() else {}
    if not known or arm in (None, *known, GRAYSCALE, TRUE_MASKS):
        return f"make what is missing with: make study PROFILE={profile}"
    return (
        f"params/{profile}/study.yaml has no arm {arm!r} (its arms: {', '.join(known)}): correct the name, "
        f"or run {NOTEBOOKS['train']} with it first."
    )


def nodes(study: Study) -> list[Node]:
    """Every node of a study, each after the nodes it needs."""
    found = [node for cohort in study.cohorts for node in _cohort_nodes(study, cohort)]
    if study.across:
        compared = tuple(node for node in found if node.notebook == ACROSS[study.across])
        found.append(Node(study.across, (("profile", study.profile),), compared))
    return found


def _cohort_nodes(study: Study, cohort: str) -> Iterator[Node]:
    """The nodes of one cohort; one that is read across cohorts makes only what is read."""
    same = (("profile", study.profile), ("cohort", cohort))
    made = Node(NOTEBOOKS["cohort"], (*same, *study.cohorts[cohort].items(), ("folds", study.folds)))
    yield made
    maps = Node(NOTEBOOKS["confidence"], same, (made,))
    if not study.across:
        yield Node(NOTEBOOKS["explore"], same, (made,))
        yield maps
    trained, inner = _segmenters(study, same, made)
    yield from (*trained, *inner)
    segmented = Node(NOTEBOOKS["segmentation"], same, (made, *trained))
    if ACROSS.get(study.across, segmented.notebook) == segmented.notebook:
        yield segmented
    if study.across and not study.tasks:
        return
    tasks = _tasks(study, same, made, [*trained, *inner])
    yield from tasks
    compared = Node(NOTEBOOKS["tasks"], same, (made, *tasks))
    yield compared
    if study.tasks and not study.across:
        yield Node(NOTEBOOKS["drives"], same, (made, *trained, *inner, *tasks))
    if not study.across:
        yield Node(NOTEBOOKS["figures"], same, (made, maps, *trained, segmented, compared))


def _segmenters(study: Study, same: tuple, made: Node) -> tuple[list[Node], list[Node]]:
    """Every training of every arm: those whose held-out patients are compared, and the inner ones."""
    trained, inner = [], []
    for seed in study.seeds:
        for arm, fields in study.arms.items():
            own = (*same, ("arm", arm), *fields.items(), ("protocol", study.protocol), ("seed", seed))
            for fold in study.segmenter_folds:
                trained.append(Node(NOTEBOOKS["train"], (*own, ("fold", fold)), (made,)))
            for fold, other in study.inner_pairs if arm in study.arms_on_tasks else ():
                identity = (*own, ("fold", fold), ("inner", other))
                inner.append(Node(NOTEBOOKS["train"], identity, (made,)))
    return trained, inner


def _tasks(study: Study, same: tuple, made: Node, segmenters: list[Node]) -> list[Node]:
    """Every task of every arm and baseline."""
    tasks: dict[tuple[str, str, int], Node] = {}
    for seed in study.seeds:
        for arm in study.task_arms(dict(same)["cohort"]):
            for task in study.tasks:
                # a baseline takes no masks of an arm, but the frames and the size that the segmenters used
                own = {"arm": segmenter_of(study, arm), "seed": seed}.items()
                needs = [made, *(node for node in segmenters if own <= dict(node.identity).items())]
                first = STARTS_FROM.get(task)
                needs += [tasks[first, arm, seed]] if first else []
                identity = (*same, ("arm", arm), ("protocol", study.protocol), ("seed", seed))
                tasks[task, arm, seed] = Node(NOTEBOOKS[task], identity, tuple(needs))
    return list(tasks.values())


def overrides(profile: str, notebook: str, base: Path | None = None) -> dict:
    """Read `params/<profile>/<notebook>.yaml`: what differs from the notebook's defaults; {} where absent."""
    path = (base or places.root()) / "params" / profile / f"{notebook}.yaml"
    return params.read_yaml(path) if path.is_file() else {}


def check(study: Study, base: Path | None = None) -> None:
    """Check every key of a profile against its notebook before anything runs.

    Raises ParameterError on an unknown key, a wrong type, an impossible value, a key in both files, a file of
    no notebook, and on cohorts that the notebook across them would refuse.
    """
    base = base or places.root()
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
            params.check(place, name, known[name][0], value)
        asked = _merged(known, given, node)
        choices.check_together(where, asked, base)
        _check_names(study, node, asked, where, base)
        if (study.across, node.notebook) == (NOTEBOOKS["outcome"], NOTEBOOKS["cohort"]):
            _check_linked(study, asked)
        for name, _ in node.identity:
            if name in given:
                raise params.ParameterError(
                    f"{where}: `{name}` also comes from study.yaml (it is part of the node's identity); "
                    "keep it in one of the two."
                )


def _check_names(study: Study, node: Node, asked: dict, where: str, base: Path) -> None:
    """Names that only the whole study tells to be right: of raters, of arms that are compared."""
    if rater := asked.get("only_rater"):
        made = Node(NOTEBOOKS["cohort"], (*node.identity[:2], *study.cohorts[asked["cohort"]].items()))
        raters = _raters(parameters(made, base), base)
        if raters is not None and (told := arms.one_of("only_rater", rater, raters)):
            raise params.ParameterError(f"{where}: {told}")
    for arm in asked.get("explained_arms", []):
        if told := arms.one_of("explained_arms", arm, study.task_arms(asked["cohort"])):
            raise params.ParameterError(f"{where}: {told}")
    known = set(study.arms_on_tasks if node.notebook == NOTEBOOKS["tasks"] else study.arms)
    for pair in asked.get("pairs", []):
        names = str(pair).split(" - ")
        if len(names) != 2 or not set(names) <= known:
            meant = [params.near(name, known, 0.4) for name in names]
            hint = f"did you mean '{' - '.join(meant)}'?" if len(meant) == 2 and all(meant) else "correct it."
            raise params.ParameterError(
                f"{where}: pairs: expected 'arm - reference' with arms of {', '.join(sorted(known))}, got "
                f"{pair!r}; {hint}"
            )
    try:
        arms.named_pairs(asked.get("pairs", []), list(study.arms))
    except ValueError as error:
        raise params.ParameterError(f"{where}: {error}") from None


def _raters(cohort: dict, base: Path) -> list[str] | None:
    """The raters of a cohort, by the parameters that it is made with; None where they cannot be known yet."""
    if cohort["source"] == "phantom":
        return [f"rater_{k + 1}" for k in range(cohort["raters"])]
    place = base / "data" / cohort["cohort"]
    if cohort["source"] == "import":
        place = places.import_places(cohort, base)[1]
    return fingerprint.column(place / "labels.csv", "rater") or None


def _check_linked(study: Study, own: dict) -> None:
    """What 13_outcome needs of a cohort, made with these parameters, said before anything is trained."""
    matrices.check_linked(own["cohort"], own)
    if own["split"][2] < params.FEW:
        raise params.ParameterError(
            f"params/{study.profile}: cohort {own['cohort']}: expected at least {params.FEW} test patients "
            f"(the third number of split) for {study.across}, got {own['split'][2]}; set more."
        )


def parameters(node: Node, base: Path | None = None) -> dict:
    """All parameters of a node, as its notebook will have them."""
    base = base or places.root()
    profile = dict(node.identity)["profile"]
    known = params.of_notebook(base / "notebooks" / f"{node.notebook}.ipynb")
    return _merged(known, overrides(profile, node.notebook, base), node)


def _merged(known: dict[str, tuple[str, object]], given: dict, node: Node) -> dict:
    """A node's parameters: its notebook's defaults < the profile's file < the identity."""
    defaults = {name: value for name, (_, value) in known.items()}
    return {**defaults, **given, **dict(node.identity)}
