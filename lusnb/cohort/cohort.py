"""Open, check and split a cohort; its frames and confidence maps as arrays."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb.cohort import contents, problems, schema, splits
from lusnb.cohort import meta as cohort_meta
from lusnb.cohort import tables as cohort_tables

FOLDS = 5  # to make where nobody asks for another number


@dataclass(frozen=True)
class Cohort:
    """A checked cohort: its tables in memory, its clips and confidence images on disk.

    `views` maps each view to its zone. `exams.sf_ratio` is filled in; `clips` carries `sf_ratio` of its day,
    divided by `sf_max`. `patients` has a split and an outer_fold for everyone, and a fold for all but the
    test patients. `masks` names the file of each clip's true masks (`true_masks`); empty unless a phantom.
    `warnings` is what looks odd but stops nothing: file, row, expected, arrived, remedy.
    """

    folder: Path
    name: str
    features: tuple[str, ...]
    views: dict
    sf_max: float
    patients: pd.DataFrame
    exams: pd.DataFrame
    clips: pd.DataFrame
    labels: pd.DataFrame
    truth: pd.DataFrame
    masks: pd.DataFrame
    meta: dict
    warnings: pd.DataFrame

    @property
    def origin(self) -> str:
        """What its clips are, for headings: 'phantom' or 'imported'."""
        made_by = (self.meta.get("provenance") or {}).get("made_by")
        return "phantom" if made_by == "lusnb.phantom" else "imported"

    def patients_in(self, split: str) -> list[str]:
        """Patient ids of one split, in table order."""
        return list(self.patients.loc[self.patients["split"] == split, "patient_id"])


def summary(cohort: Cohort) -> pd.DataFrame:
    """Counts per split: patients, clips, labelled frames, readmitted patients, days with S/F."""
    split_of = cohort.patients.set_index("patient_id")["split"]
    frames, with_sf = labelled_frames(cohort), cohort.exams[cohort.exams["sf_ratio"].notna()]
    counts = {
        "patients": cohort.patients["split"].value_counts(),
        "clips": cohort.clips["patient_id"].map(split_of).value_counts(),
        "labelled frames": frames["patient_id"].map(split_of).value_counts(),
        "readmitted": cohort.patients.groupby("split")["readmitted_30d"].sum(),
        "days with S/F": with_sf["patient_id"].map(split_of).value_counts(),
    }
    table = pd.DataFrame(counts).reindex(schema.SPLITS).fillna(0).astype(int)
    table.loc["all"] = table.sum()
    return table.rename_axis("split")


def _zones(views: dict | list) -> dict[str, object]:
    """View -> zone. In a plain list R1 and L1 are of zone 1, and any other view is a zone of its own."""
    if isinstance(views, dict):
        return {str(view): zone for view, zone in views.items()}
    names = [str(view) for view in views]
    return {name: int(name[1]) if re.fullmatch("[RL][1-3]", name) else name for name in names}


def read(folder: str | Path, folds: int | None = None, look: bool = True) -> Cohort:
    """Open a cohort folder and check all of it.

    `folds`: how many folds to make where the fold column is blank; patients.csv may name no other. None: 5,
    and it may name as many as there are patients. `look`: whether to open every clip and
    image too; only for a cohort whose files were checked before is it False. Raises problems.CohortError with
    every problem found; nothing is written.
    """
    folder = Path(folder)
    meta, found = cohort_meta.read(folder / "cohort.yaml", whole=True)
    if problems.sorted_out(found)[0] and not any(
        (folder / f"{name}.csv").is_file() for name in schema.TABLES
    ):
        raise problems.CohortError(found)
    tables = {}
    for name, table in schema.TABLES.items():
        tables[name], new = cohort_tables.read_table(folder / f"{name}.csv", table)
        found += new
    patients = tables["patients"]
    found += cohort_tables.check_links(folder, meta, tables, found)
    found += cohort_tables.check_names(folder, tables)
    found += cohort_tables.check_patients(folder, patients, folds or max(FOLDS, len(patients)))
    found += cohort_tables.check_exams(folder, tables["exams"], meta.get("sf_max", schema.SF_MAX))
    found += contents.check_files(folder, tables, len(meta.get("features", []))) if look else []
    wrong, odd = problems.sorted_out(found)
    if wrong:
        raise problems.CohortError(wrong)
    meta = {"sf_max": schema.SF_MAX, **meta, "views": _zones(meta.get("views", {}))}
    tables = {name: rows.reset_index(drop=True) for name, rows in tables.items()}
    tables["patients"] = splits.split(tables["patients"], folds or FOLDS, seed=int(meta.get("split_seed", 0)))
    tables["exams"] = _with_sf(tables["exams"])
    tables["clips"] = _with_target(tables["clips"], tables["exams"], meta["sf_max"])
    kept = {key: meta[key] for key in ("name", "views")} | {"sf_max": float(meta["sf_max"])}
    return Cohort(
        folder=folder,
        features=tuple(meta["features"]),
        meta=meta,
        warnings=problems.as_table(odd),
        **kept,
        **tables,
    )


def _with_sf(exams: pd.DataFrame) -> pd.DataFrame:
    return exams.assign(sf_ratio=exams["sf_ratio"].fillna(exams["spo2"] / exams["fio2"]).astype(float))


def _with_target(clips: pd.DataFrame, exams: pd.DataFrame, sf_max: float) -> pd.DataFrame:
    target = exams.set_index(["patient_id", "day"])["sf_ratio"].astype(float) / sf_max
    keys = zip(clips["patient_id"], clips["day"], strict=True)
    return clips.assign(sf_ratio=[target.get(k, np.nan) if pd.notna(k[1]) else np.nan for k in keys])


def labelled_frames(cohort: Cohort) -> pd.DataFrame:
    """The frames that carry a label, in clip order: clip_id, frame, patient_id, view, day."""
    frames = cohort.labels[["clip_id", "frame"]].drop_duplicates()
    table = cohort.clips[["clip_id", "patient_id", "view", "day"]].merge(frames, on="clip_id")
    return table.sort_values(["clip_id", "frame"], ignore_index=True)
