"""Where a cohort comes from: simulated, imported, or already there."""

from pathlib import Path

import pandas as pd

from lusnb import files
from lusnb.cohort import fingerprint
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.problems import as_table
from lusnb.params import Params
from lusnb.phantom import build
from lusnb.phantom.plan import Plan
from lusnb.readers import folder as importing
from lusnb.readers.staging import MADE_BY
from lusnb.study import places


def make(p: Params, folder: Path, base: Path) -> None:
    """Make or import the cohort that 00_cohort's parameters ask for; `folder` (as it is) is left alone."""
    if p.source == "phantom":
        build.make_cohort(folder, Plan.of(p), p.workers)
    elif p.source == "import":
        source, tables = places.import_places(p, base)
        key = _key(p.key, base)
        importing.import_folder(source, folder, name=p.cohort, tables=tables, study_ids=p.study_ids, key=key)


def _key(place: str, base: Path) -> Path | None:
    """Where the key goes; a relative place is below the project. Raises ValueError for one inside of it."""
    key = base / place if place else None
    if key and key.resolve().is_relative_to(base.resolve()):
        raise ValueError(f"key: expected a file outside the project, got {place}; choose a safer place.")
    return key


def remember(cohort: Cohort, run_folder: Path) -> str:
    """Keep the fingerprint of a checked cohort in the run that checked it, with its warnings; return it."""
    found = fingerprint.cohort_fingerprint(cohort.folder)
    stamp = fingerprint.cohort_stamp(cohort.folder)
    files.write_json(run_folder / "fingerprint.json", {"cohort": found, "stamp": stamp})
    files.write_csv(run_folder / "warnings.csv", warnings(cohort))
    return found


def warnings(cohort: Cohort) -> pd.DataFrame:
    """What looks odd in a cohort: as its import found it, or else as it was found on opening."""
    provenance = cohort.meta.get("provenance") or {}
    if provenance.get("made_by") == MADE_BY:
        return as_table(provenance.get("warnings") or [])
    return cohort.warnings
