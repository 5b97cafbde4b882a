"""What a phantom cohort is made from, what its bytes depend on, and which files and tables hold it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import yaml

from lusnb.cohort import schema
from lusnb.params import NULLS
from lusnb.phantom.anatomy import FEATURES, Scene, draw_scene
from lusnb.phantom.patients import SF_MAX, VIEWS, draw_tables
from lusnb.phantom.raters import Habits, draw_habits
from lusnb.phantom.structures_and_artefacts import Grid, b_ribbons

TABLES = (*schema.TABLES, "scenes", "raters")
# Raised whenever the same parameters would give other bytes, so that an old cohort is made anew.
VERSION = "4"
LARGEST_SIZE = 1024  # pixels a side: beyond any linear probe's resolution
# The false strokes of a frame are lent by this many others of the same split and fold.
LENDERS = 4
# What 00_cohort calls by another name than the plan: field -> parameter.
PARAMETERS = {"name": "cohort", "n_patients": "patients", "n_clips": "clips", "n_frames": "frames"}


@dataclass(frozen=True)
class Plan:
    """All that a cohort's bytes depend on; what is not given is as in the profile `smoke`.

    `size` pixels a side, `fps` frames a second, `split` patients in train, validation and test, `folds` over
    those outside test. `calibration` and `noise` are the raters', `raters` people paint each frame, `habits`
    (0 to 2) is how far they differ (raters.csv). `link` (0 to 1): how strongly congestion drives S/F and
    readmission. `b_fade` (0 to 10): what B lines lose in dB per mm below the pleura, `b_erases`: whether they
    erase the A lines they cross, faded or not.

    `null`: "outcome": S/F courses and readmission are permuted over patients; "confidence": what is said
    tells nothing about what is true, for one rater and for any merge of several: all paint the same strokes,
    true and false, and only the levels are each rater's own; habits and calibration have no effect.
    """

    name: str = "phantom_smoke"
    n_patients: int = 8
    n_clips: int = 32
    size: int = 96
    n_frames: int = 8
    fps: float = 15.0
    split: tuple[int, int, int] = (4, 2, 2)
    folds: int = 2
    seed: int = 0
    calibration: float = 1.0
    noise: float = 0.5
    link: float = 0.6
    raters: int = 1
    habits: float = 0.0
    null: str = "none"
    b_fade: float = 0.0
    b_erases: bool = True

    def __post_init__(self):
        """Give numbers their type: plans that differ by 10 and 10.0 frames a second alone are the same."""
        for field in fields(self):
            if field.type in (float, bool):
                object.__setattr__(self, field.name, field.type(getattr(self, field.name)))
        object.__setattr__(self, "split", tuple(int(count) for count in self.split))

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """The plan that the parameters of 00_cohort ask for; those that concern no phantom are ignored."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: parameters[PARAMETERS.get(name, name)] for name in names})

    def people(self) -> list[Habits]:
        """The raters and their habits; under the null "confidence" they have none, or the share of raters
        who painted a pixel would tell what is true."""
        habits = 0.0 if self.null == "confidence" else self.habits
        return draw_habits(self.raters, habits, self.calibration, self.noise)


def check(plan: Plan, workers: int) -> None:
    """Refuse what cannot be made; what concerns patients and clips is refused where they are drawn."""
    bounds = {
        "size": (32, plan.size, LARGEST_SIZE),
        "n_frames": (1, plan.n_frames, 10_000),
        "workers": (1, workers, 256),
        "n_patients": (1, plan.n_patients, 10_000),
        "fps": (1, plan.fps, 200),
        "calibration": (0.1, plan.calibration, 10),
        "noise": (0, plan.noise, 10),
        "link": (0, plan.link, 1),
        "raters": (1, plan.raters, 20),
        "habits": (0, plan.habits, 2),
        "b_fade": (0, plan.b_fade, 10),
    }
    for name, (low, value, high) in bounds.items():
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low} to {high}, got {value}; change {name}.")
    if plan.null not in NULLS:
        raise ValueError(f"null: expected one of {', '.join(NULLS)}, got {plan.null!r}; change null.")


def generator(seed: int, *place: int) -> np.random.Generator:
    """The generator of one part of the cohort: (0,) the tables, (1, clip, part, ...) a clip's parts.

    A clip's parts are 0 its scene, 1 its picture, (2, rater) what a rater recognises, (3, rater) what the
    rater takes for it, (4, rater) the levels under the null "confidence"; (2,) is who lends strokes to whom.
    (3, scene) belongs to no cohort: scenes.py.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def people_and_views(plan: Plan) -> dict[str, pd.DataFrame]:
    """The plan's patients, exams and views, as patients.draw_tables draws them. Raises ValueError."""
    rng = generator(plan.seed, 0)
    return draw_tables(rng, plan.n_patients, plan.n_clips, plan.split, plan.folds, plan.link, plan.null)


def scene_of(plan: Plan, index: int, row: dict) -> Scene:
    """The scene of one clip. `row` is its row of the views that patients.draw_tables drew."""
    zone = VIEWS[row["view"]]
    drawn = draw_scene(generator(plan.seed, 1, index, 0), zone, row["congestion"], row["habitus_mm"])
    return replace(drawn, b_fade_db_per_mm=plan.b_fade, b_erases=plan.b_erases)


def grid_of(plan: Plan, scene: Scene) -> Grid:
    """The pixels of a clip's frames."""
    return Grid(plan.size, plan.size, scene.depth_mm, scene.width_mm)


def lenders_of(seed: int, groups: Sequence[Hashable]) -> list[list[int]]:
    """For each clip the clips that lend it strokes: its followers in its group's ring, never itself.

    `groups` says for each clip which group of patients it belongs to. Each group is a ring of its own, in
    seeded order: nothing passes between groups. In a group of fewer than LENDERS + 1 clips all others lend,
    and a clip alone in its group borrows nothing.
    """
    rings: dict[Hashable, list[int]] = {}
    for index in generator(seed, 2).permutation(len(groups)):
        rings.setdefault(groups[index], []).append(int(index))
    lenders: list[list[int]] = [[] for _ in groups]
    for ring in rings.values():
        after = range(1, min(LENDERS, len(ring) - 1) + 1)
        for place, index in enumerate(ring):
            lenders[index] = [ring[(place + step) % len(ring)] for step in after]
    return lenders


def groups_of(views: pd.DataFrame, patients: pd.DataFrame) -> list[tuple[str, int]]:
    """For each clip its patient's split and fold (0 without one): no stroke is lent across either."""
    fold = patients["fold"].fillna(0).astype(int)
    group = dict(zip(patients["patient_id"], zip(patients["split"], fold, strict=True), strict=True))
    return [group[patient] for patient in views["patient_id"]]


def picture_paths(clip_id: str) -> list[str]:
    """The files of a clip that no rater has touched, relative to the cohort.

    The clip, the true masks of all its frames in one file, then those of its first frame in feature order.
    """
    truth = [f"truth/{clip_id}_{feature}.png" for feature in FEATURES]
    return [f"clips/{clip_id}.npy", f"truth/{clip_id}_frames.tif", *truth]


def label_paths(clip_id: str, rater: str) -> list[str]:
    """The confidence images that one rater painted of a clip, relative to the cohort, in feature order."""
    return [f"labels/{clip_id}_{rater}_{feature}.png" for feature in FEATURES]


def simulated(scene: Scene, congestion: float) -> dict:
    """What scenes.csv says of a clip; B lines as its first frame shows them."""
    low, high = scene.pleura.fuzzy_span_mm
    grid = Grid(256, 256, scene.depth_mm, scene.width_mm)
    lines = b_ribbons(scene, grid, scene.breathing.pose(0.0))
    covered = np.zeros(grid.columns, bool)
    for line in lines:
        covered |= (grid.x_mm >= line.low_mm[-1]) & (grid.x_mm <= line.high_mm[-1])
    return {
        "congestion": congestion,
        "pleura_depth_mm": scene.pleura.depth_mm,
        "fuzzy": int(low < high),
        "b_lines": len(lines),
        "b_covered": float(covered.mean()),
    }


def clip_tables(plan: Plan, views: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that follow from the plan and its clips: clips, labels, truth, masks, raters, scenes.

    raters.csv holds each rater's habits; scenes.csv what was simulated.
    """
    clips, scenes, masks = [], [], []
    labels: list[dict] = []
    truth: list[dict] = []
    people = plan.people()
    for index, row in enumerate(views.to_dict("records")):
        scene, clip_id = scene_of(plan, index, row), row["clip_id"]
        clip_path, masks_path, *truth_paths = picture_paths(clip_id)
        who = {key: row[key] for key in ("clip_id", "patient_id", "day", "view")}
        size = {"depth_cm": scene.depth_mm / 10, "fps": plan.fps, "width_cm": scene.width_mm / 10}
        clips.append({**who, "path": clip_path, **size})
        masks.append({"clip_id": clip_id, "path": masks_path})
        scenes.append({"clip_id": clip_id, **simulated(scene, row["congestion"])})
        for rater, paths, rows in [
            *((person.rater, label_paths(clip_id, person.rater), labels) for person in people),
            ("truth", truth_paths, truth),
        ]:
            for feature, path in zip(FEATURES, paths, strict=True):
                rows.append(
                    {"clip_id": clip_id, "frame": 0, "rater": rater, "feature": feature, "path": path}
                )
    habits = [asdict(person) for person in people]
    tables = {"clips": clips, "labels": labels, "truth": truth, "masks": masks, "raters": habits}
    tables["scenes"] = scenes
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def asked(plan: Plan) -> dict:
    """What the cohort was made by, as it stands in making.json and in cohort.yaml."""
    plain = {**asdict(plan), "split": list(plan.split)}
    return {"made_by": "lusnb.phantom", "phantom_version": VERSION, **plain}


def describe(plan: Plan) -> str:
    """The text of cohort.yaml."""
    content = {
        "name": plan.name,
        "version": VERSION,
        "features": list(FEATURES),
        "views": dict(VIEWS),
        "sf_max": SF_MAX,
        "licence": "CC0-1.0",
        "notes": "Simulated: no patient stands behind any of it, no result on it is a result on patients.",
        "provenance": asked(plan),
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
