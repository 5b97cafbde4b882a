"""Where a cohort comes from: simulated, imported, or already there."""

import os
from pathlib import Path

from lusnb import files, readers, reruns
from lusnb.params import Params
from lusnb.phantom import build

SOURCES = ("phantom", "rater_masks", "folder")


def samples(base: Path) -> Path:
    """The folder of real samples: LUSNB_SAMPLES, or ../shared/data beside the project."""
    return Path(os.environ.get("LUSNB_SAMPLES", base.parent / "shared" / "data"))


def make(p: Params, folder: Path, base: Path) -> None:
    """Make or import the cohort that 00_cohort's parameters ask for; `folder` (as it is) is left alone.

    Raises ValueError for an unknown source.
    """
    if p.source == "phantom":
        build.make_cohort(
            folder,
            name=p.cohort,
            n_patients=p.patients,
            n_clips=p.clips,
            size=p.size,
            n_frames=p.frames,
            fps=p.fps,
            split=p.split,
            folds=p.folds,
            seed=p.seed,
            workers=p.workers,
            calibration=p.calibration,
            noise=p.noise,
            link=p.link,
        )
    elif p.source == "rater_masks":
        source = samples(base) / p.rater_folder
        provenance = {"made_by": "lusnb.readers", "source": p.rater_folder}
        meta = {"name": p.cohort, "licence": p.licence, "provenance": provenance}
        readers.import_rater_masks(source, folder, feature=p.feature, foreground=p.foreground, meta=meta)
    elif p.source != "folder":
        raise ValueError(f"source: expected one of {SOURCES}, got {p.source!r}; correct the parameter.")


def remember(folder: Path, run_folder: Path) -> str:
    """Keep the fingerprint of a checked cohort in the run that checked it, and return it."""
    found = reruns.cohort_fingerprint(folder)
    files.write_json(run_folder / "fingerprint.json", {"cohort": found, "stamp": reruns.cohort_stamp(folder)})
    return found
