"""Make a phantom cohort on disk, clip by clip, so that it can be stopped and gone on with.

First every clip is rendered; then the raters paint each clip's first frame, lending strokes from other clips'
first frames. Each part has its own generator, derived from the seed and the clip's place alone: the cohort is
the same to the last bit whatever the number of workers. `cohort.yaml` is written last; until then
`making.json` holds the parameters of what is being made.
"""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lusnb import files
from lusnb.cohort import fingerprint, schema, true_masks
from lusnb.phantom import plan as plans
from lusnb.phantom.anatomy import FEATURES, Scene
from lusnb.phantom.mistakes import paint
from lusnb.phantom.plan import Plan, generator
from lusnb.phantom.raters import Sight, recognise
from lusnb.phantom.scan import render
from lusnb.phantom.structures_and_artefacts import masks, masks_of_frames, structures

Numbered = tuple[int, dict]  # a clip's place in the cohort and its row of the views


def make_clip(folder: Path, plan: Plan, clip: Numbered) -> str:
    """Render one clip and draw its truth; returns its name. Runs in a worker."""
    index, row = clip
    scene = plans.scene_of(plan, index, row)
    frames = render(generator(plan.seed, 1, index, 1), scene, plan.size, plan.n_frames, plan.fps)
    true = true_pages(plan, scene)
    path, masks_path, *truth_paths = plans.picture_paths(row["clip_id"])
    for mask, truth_path in zip(true_masks.unpack(true[:1], len(FEATURES))[0], truth_paths, strict=True):
        files.write_png(folder / truth_path, mask * 255)
    true_masks.write(folder / masks_path, true)
    files.write_npy(folder / path, frames)
    return row["clip_id"]


def true_pages(plan: Plan, scene: Scene) -> np.ndarray:
    """What is in each frame of a clip, uint8 (T, H, W) as true_masks.pack has it."""
    grid = plans.grid_of(plan, scene)
    return np.stack([true_masks.pack(m) for m in masks_of_frames(scene, grid, plan.n_frames, plan.fps)])


def sight_of(folder: Path, plan: Plan, clip: Numbered) -> Sight:
    """The first frame of a clip that was made, and what is in it."""
    index, row = clip
    scene = plans.scene_of(plan, index, row)
    grid = plans.grid_of(plan, scene)
    ribbons = structures(scene, grid, scene.breathing.pose(0.0))
    path = folder / plans.picture_paths(row["clip_id"])[0]
    first = np.load(path, mmap_mode="r", allow_pickle=False)[0]
    return Sight(first.astype(np.float32), ribbons, masks(ribbons, grid), grid)


def label_clip(folder: Path, plan: Plan, clip: Numbered, lenders: list[Numbered]) -> str:
    """Have every rater paint one clip's first frame; returns the clip's name. Runs in a worker.

    `lenders` are the clips whose strokes, as the same rater painted them, come back as mistakes here. Under
    the null "confidence" all raters see with the first one's eyes, and only the levels are their own.
    """
    index, row = clip
    sights = [sight_of(folder, plan, one) for one in (clip, *lenders)]
    null = plan.null == "confidence"
    for k, person in enumerate(plan.people()):
        eyes = 0 if null else k
        own, *rest = [
            recognise(generator(plan.seed, 1, place, 2, eyes), sight, person)
            for (place, _), sight in zip((clip, *lenders), sights, strict=True)
        ]
        lent = [[(mark, sight.grid) for mark in marks] for marks, sight in zip(rest, sights[1:], strict=True)]
        apart = generator(plan.seed, 1, index, 4, k) if null else None
        label = paint(generator(plan.seed, 1, index, 3, eyes), sights[0], own, lent, person, apart)
        for image, path in zip(label, plans.label_paths(row["clip_id"], person.rater), strict=True):
            files.write_png(folder / path, image)
    return row["clip_id"]


def found(folder: Path) -> tuple[dict | None, bool]:
    """The parameters of the cohort in a folder, None without one, and whether it is finished."""
    if (folder / "cohort.yaml").exists():
        content = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8")) or {}
        return content.get("provenance") or {}, True
    if (folder / "making.json").exists():
        try:
            return json.loads((folder / "making.json").read_text(encoding="utf-8")), False
        except ValueError:  # cut short: of a phantom, but who knows which
            return {"made_by": "lusnb.phantom"}, False
    return None, False


def start_over(folder: Path) -> None:
    """Remove a phantom cohort's own files, and nothing else; cohort.yaml first: it marks the end."""
    for name in ("cohort.yaml", "making.json", *(f"{table}.csv" for table in plans.TABLES)):
        (folder / name).unlink(missing_ok=True)
    for pattern in ("clips/*.npy", "labels/*.png", "truth/*.png", "truth/*.tif"):
        for path in folder.glob(pattern):
            path.unlink()


def refuse_painted(folder: Path) -> None:
    """Raise ValueError where labels were painted by hand, which making the phantom anew would remove."""
    if fingerprint.painted_in(folder):
        raise ValueError(
            f"{folder}: expected a phantom alone, as this one has other parameters, got labels painted by "
            f"hand ({fingerprint.ANNOTATIONS}); give the phantom another name, or move the folder away."
        )


def claim(folder: Path, plan: Plan) -> bool:
    """Make the folder ready for this plan; True when it already holds the finished cohort."""
    there, finished = found(folder)
    if there == plans.asked(plan):
        return finished
    if there is not None and there.get("made_by") != "lusnb.phantom":
        raise ValueError(
            f"{folder}: expected an empty folder or a phantom cohort, got another kind of cohort; choose "
            "another folder."
        )
    if there is None and folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"{folder}: expected an empty folder or a phantom cohort, got other files; choose another folder."
        )
    refuse_painted(folder)
    start_over(folder)
    files.write_json(folder / "making.json", plans.asked(plan))
    return False


def run(make: Callable, jobs: list[tuple], pool: ProcessPoolExecutor | None, report: Callable) -> None:
    """Call make(*job) for each job, in the pool's processes or in this one; `report` after each one."""
    if pool is None:
        for job in jobs:
            make(*job)
            report()
        return
    waiting = [pool.submit(make, *job) for job in jobs]
    try:
        for future in as_completed(waiting):
            future.result()
            report()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise


def make_clips(
    folder: Path, plan: Plan, views: pd.DataFrame, lenders: list[list[int]], workers: int, progress: Callable
) -> None:
    """Render, then paint, what is not there yet. `lenders`: plan.lenders_of."""
    clips = list(enumerate(views.to_dict("records")))
    raters = [person.rater for person in plan.people()]

    def missing(paths_of: Callable[[str], list[str]]) -> list[Numbered]:
        return [c for c in clips if not all((folder / p).exists() for p in paths_of(c[1]["clip_id"]))]

    bare = missing(plans.picture_paths)
    unpainted = missing(lambda clip_id: [p for rater in raters for p in plans.label_paths(clip_id, rater)])
    done = 2 * len(clips) - len(bare) - len(unpainted)

    def report() -> None:
        nonlocal done
        done += 1
        progress(done // 2, len(clips))

    rendering = [(folder, plan, clip) for clip in bare]
    painting = [(folder, plan, clip, [clips[k] for k in lenders[clip[0]]]) for clip in unpainted]
    most = min(workers, max(len(bare), len(unpainted)))
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(most, context, files.end_with_parent) if most > 1 else nullcontext()
    with executor as pool:
        run(make_clip, rendering, pool, report)
        run(label_clip, painting, pool, report)


def make_cohort(
    folder: str | Path,
    plan: Plan,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Make a phantom cohort, or go on with one that was interrupted; returns its folder.

    `workers`: processes that share the clips; the cohort does not depend on it. `progress(done, total)`
    counts clips. Raises ValueError for a plan that cannot be made, and for a folder that holds something
    else; then nothing was written.
    """
    folder = Path(folder)
    plans.check(plan, workers)
    drawn = plans.people_and_views(plan)
    if claim(folder, plan):
        return folder
    views = drawn.pop("views")
    lenders = plans.lenders_of(plan.seed, plans.groups_of(views, drawn["patients"]))
    for table, content in {**drawn, **plans.clip_tables(plan, views)}.items():
        files.write_csv(folder / f"{table}.csv", schema.shaped(table, content))
    make_clips(folder, plan, views, lenders, workers, progress)
    files.write_text(folder / "cohort.yaml", plans.describe(plan))
    (folder / "making.json").unlink(missing_ok=True)
    return folder
