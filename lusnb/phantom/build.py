"""Make a phantom cohort on disk, clip by clip, so that it can be stopped and gone on with.

Each clip has its own generators, derived from the seed and the clip's place alone: the cohort is the same to
the last bit whatever the number of workers. `cohort.yaml` is written last; until then `making.json` holds the
parameters of what is being made.
"""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lusnb import files
from lusnb.phantom.anatomy import FEATURES, Scene, draw_scene
from lusnb.phantom.patients import SF_MAX, VIEWS, draw_tables
from lusnb.phantom.raters import paint
from lusnb.phantom.scan import render
from lusnb.phantom.structures import Grid, masks, structures

RATER = "phantom_rater"
TABLES = ("patients", "exams", "clips", "labels", "truth", "scenes")
# Raised whenever the same parameters would give other bytes, so that an old cohort is made anew.
VERSION = "1"
LARGEST_SIZE = 1024  # pixels a side: beyond any linear probe's resolution


@dataclass(frozen=True)
class Plan:
    """All that a cohort's bytes depend on."""

    name: str
    n_patients: int
    n_clips: int
    size: int
    n_frames: int
    fps: float
    split: tuple[int, int, int]
    folds: int
    seed: int
    calibration: float
    noise: float
    link: float


def generator(seed: int, *place: int) -> np.random.Generator:
    """The generator of one part of the cohort: (0,) the tables, (1, clip, part) a clip's parts."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def scene_of(plan: Plan, index: int, view: str, congestion: float, habitus_mm: float) -> Scene:
    """The scene of one clip."""
    return draw_scene(generator(plan.seed, 1, index, 0), VIEWS[view], congestion, habitus_mm)


def paths_of(clip_id: str) -> dict[tuple[str, str], str]:
    """Every file of a clip, relative to the cohort: (kind, feature) -> path; the clip has no feature."""
    paths = {("clip", ""): f"clips/{clip_id}.npy"}
    for feature in FEATURES:
        paths["labels", feature] = f"labels/{clip_id}_{RATER}_{feature}.png"
        paths["truth", feature] = f"truth/{clip_id}_{feature}.png"
    return paths


def make_clip(folder: Path, plan: Plan, index: int, row: dict) -> str:
    """Make one clip's files; returns its name. Runs in a worker."""
    scene = scene_of(plan, index, row["view"], row["congestion"], row["habitus_mm"])
    clip = render(generator(plan.seed, 1, index, 1), scene, plan.size, plan.n_frames, plan.fps)
    grid = Grid(plan.size, plan.size, scene.depth_mm, scene.width_mm)
    ribbons = structures(scene, grid, scene.breathing.pose(0.0))
    true = masks(ribbons, grid)
    rater = generator(plan.seed, 1, index, 2)
    label = paint(rater, clip[0], ribbons, true, grid, calibration=plan.calibration, noise=plan.noise)
    paths = paths_of(row["clip_id"])
    for channel, feature in enumerate(FEATURES):
        files.write_png(folder / paths["labels", feature], label[channel])
        files.write_png(folder / paths["truth", feature], true[channel].astype(np.uint8) * 255)
    files.write_npy(folder / paths["clip", ""], clip)
    return row["clip_id"]


def scene_tables(plan: Plan, views: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that follow from the clips' scenes: clips, labels, truth and scenes (what was simulated)."""
    clips, scenes, labels, truth = [], [], [], []
    for index, row in enumerate(views.to_dict("records")):
        scene = scene_of(plan, index, row["view"], row["congestion"], row["habitus_mm"])
        paths = paths_of(row["clip_id"])
        who = {key: row[key] for key in ("clip_id", "patient_id", "day", "view")}
        size = {"depth_cm": scene.depth_mm / 10, "fps": plan.fps, "width_cm": scene.width_mm / 10}
        clips.append({**who, "path": paths["clip", ""], **size})
        low, high = scene.pleura.fuzzy_span_mm
        scenes.append(
            {
                "clip_id": row["clip_id"],
                "congestion": row["congestion"],
                "pleura_depth_mm": scene.pleura.depth_mm,
                "fuzzy": int(low < high),
                "b_lines": len(scene.b_lines),
                "b_burden_mm": sum(line.width_mm for line in scene.b_lines),
            }
        )
        for feature in FEATURES:
            first = {"clip_id": row["clip_id"], "frame": 0}
            labels.append({**first, "rater": RATER, "feature": feature, "path": paths["labels", feature]})
            truth.append({**first, "rater": "truth", "feature": feature, "path": paths["truth", feature]})
    tables = {"clips": clips, "labels": labels, "truth": truth, "scenes": scenes}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


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


def asked(plan: Plan) -> dict:
    """What the cohort was made by, as it stands in making.json and in cohort.yaml."""
    plain = {**asdict(plan), "split": list(plan.split)}
    return {"made_by": "lusnb.phantom", "phantom_version": VERSION, **plain}


def found(folder: Path) -> tuple[dict | None, bool]:
    """The parameters of the cohort in a folder, None without one, and whether it is finished."""
    if (folder / "cohort.yaml").exists():
        content = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8")) or {}
        return content.get("provenance") or {}, True
    if (folder / "making.json").exists():
        return json.loads((folder / "making.json").read_text(encoding="utf-8")), False
    return None, False


def start_over(folder: Path) -> None:
    """Remove a phantom cohort's own files, and nothing else; cohort.yaml first: it marks the end."""
    for name in ("cohort.yaml", "making.json", *(f"{table}.csv" for table in TABLES)):
        (folder / name).unlink(missing_ok=True)
    for pattern in ("clips/*.npy", "labels/*.png", "truth/*.png"):
        for path in folder.glob(pattern):
            path.unlink()


def claim(folder: Path, plan: Plan) -> bool:
    """Make the folder ready for this plan; True when it already holds the finished cohort."""
    there, finished = found(folder)
    if there == asked(plan):
        return finished
    if there is not None and there.get("made_by") != "lusnb.phantom":
        raise ValueError(
            f"{folder} should be empty or hold a phantom cohort, but holds another one: choose another folder"
        )
    if there is None and folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"{folder} should be empty or hold a phantom cohort, but holds other files: choose another"
        )
    start_over(folder)
    files.write_json(folder / "making.json", asked(plan))
    return False


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
    }
    for name, (low, value, high) in bounds.items():
        if not low <= value <= high:
            raise ValueError(f"{name} must be {low} to {high}, got {value}: change {name}")


def make_clips(folder: Path, plan: Plan, views: pd.DataFrame, workers: int, progress) -> None:
    """Make the clips that are not there yet, in this process or in several."""
    jobs = []
    for index, row in enumerate(views.to_dict("records")):
        if not all((folder / path).exists() for path in paths_of(row["clip_id"]).values()):
            jobs.append((index, row))
    done = len(views) - len(jobs)
    if workers == 1:
        for index, row in jobs:
            make_clip(folder, plan, index, row)
            done += 1
            progress(done, len(views))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(len(jobs), 1)), context) as pool:
        waiting = [pool.submit(make_clip, folder, plan, index, row) for index, row in jobs]
        try:
            for future in as_completed(waiting):
                future.result()
                done += 1
                progress(done, len(views))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def make_cohort(
    folder: str | Path,
    *,
    name: str,
    n_patients: int,
    n_clips: int,
    size: int,
    n_frames: int,
    fps: float,
    split: tuple[int, int, int],
    folds: int,
    seed: int,
    workers: int,
    calibration: float = 1.0,
    noise: float = 0.5,
    link: float = 0.6,
    progress=lambda done, total: None,
) -> Path:
    """Make a phantom cohort, or go on with one that was interrupted; returns its folder.

    `size` pixels a side of the square image, `fps` frames a second, `split` patients in train, validation and
    test, `folds` over the patients outside test. `calibration` and `noise` are the rater's; `link`, 0 to 1,
    is how strongly congestion drives S/F and readmission. `progress(done, total)` is called after each clip.
    """
    folder, split = Path(folder), tuple(int(count) for count in split)
    plan = Plan(
        name, n_patients, n_clips, size, n_frames, float(fps), split, folds, seed,
        float(calibration), float(noise), float(link),
    )  # fmt: skip
    check(plan, workers)
    drawn = draw_tables(generator(seed, 0), n_patients, n_clips, split, folds, link)
    if claim(folder, plan):
        return folder
    tables = {"patients": drawn["patients"], "exams": drawn["exams"], **scene_tables(plan, drawn["views"])}
    for table, content in tables.items():
        files.write_csv(folder / f"{table}.csv", content)
    make_clips(folder, plan, drawn["views"], workers, progress)
    files.write_text(folder / "cohort.yaml", describe(plan))
    (folder / "making.json").unlink(missing_ok=True)
    return folder
