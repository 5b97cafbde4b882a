"""What was painted, for other programs: NRRD, NIfTI and layers as PNG."""

from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import files
from lusnb.cohort import arrays, painting, problems, schema, tables
from lusnb.cohort.cohort import Cohort
from lusnb.cohort.painting import PaintingError
from lusnb.report.looks import feature_colours

ENDINGS = (".png", ".nrrd", ".nii")
SIZES = ["mm_down", "mm_across"]  # columns of files.csv after those of labels.csv


def painted(cohort: Cohort, rater: str, folder: Path) -> pd.DataFrame:
    """Write all that a rater painted here for other programs; returns the rows of files.csv, one a file.

    <folder>/<rater>/<clip>_f<frame>_<feature>  .png: a layer in the feature's colour, alpha is confidence
                                                .nrrd, .nii: one slice, uint8, 255 = 100 %, in mm
    <folder>/files.csv                          all files of all raters: columns of labels.csv, and SIZES
    <folder>/labels.csv                         their layers, with the columns that an import reads

    Paths are below `folder`; raters never write over one another, and both tables keep other raters' rows.
    mm_down, mm_across: height and width of a pixel in mm; blank where the cohort does not know them: there
    the files count pixels, each 1 across, and NIfTI says that the unit is unknown. Raises PaintingError for a
    folder that is a cohort, or whose tables are something else.
    """
    names = schema.columns("labels")
    expected = {"files.csv": [*names, *SIZES], "labels.csv": names}
    others = {name: _others(folder, name, columns, rater) for name, columns in expected.items()}
    details = _details(cohort)
    table = painting.painted(cohort)
    rows = []
    for one in table[table["rater"] == rater].itertuples():
        one_painting = painting.read(cohort, one.clip_id, one.frame, rater)
        mm = arrays.pixel_mm(cohort, one.clip_id)
        mm = mm if np.isfinite(mm).all() else (np.nan, np.nan)
        for feature in painting.looked_at(cohort, one_painting):
            name = f"{painting.slug(one.clip_id)}_f{one.frame}_{painting.slug(feature)}"
            stem = f"{painting.slug(rater)}/{name}"
            values = one_painting.maps[cohort.features.index(feature)]
            _write(folder / stem, values, mm, feature_colours(cohort.features)[feature])
            key = (one.clip_id, one.frame, rater, feature)
            row = dict(zip(schema.TABLES["labels"].key, key, strict=True), **details.get(key, {}))
            row |= dict(zip(SIZES, mm, strict=True))
            rows += [row | {"path": stem + ending} for ending in ENDINGS]
    found = pd.DataFrame(rows, columns=expected["files.csv"])
    layers = found.loc[found["path"].str.endswith(".png"), names]
    for name, own in (("files.csv", found), ("labels.csv", layers)):
        if len(own) or len(others[name]):
            both = pd.concat([others[name], own.astype(object)], ignore_index=True)
            files.write_csv(folder / name, both)
    return found


def _details(cohort: Cohort) -> dict[tuple, dict]:
    """What further columns of labels.csv say of each label, by its key."""
    table = schema.TABLES["labels"]
    rows = painting.labels_now(cohort).reindex(columns=list(table.columns))
    keys = rows[table.key].itertuples(index=False, name=None)
    return dict(zip(keys, rows[table.details].to_dict("records"), strict=True))


def _others(folder: Path, name: str, columns: list[str], rater: str) -> pd.DataFrame:
    """What a table of an earlier export says of other raters, all cells as text."""
    if (folder / "cohort.yaml").exists():
        raise PaintingError(
            f"export folder: expected a folder of its own, got the cohort {folder.name}; choose another."
        )
    if not (folder / name).exists():
        return pd.DataFrame(columns=columns, dtype=object)
    table = tables.text(folder / name).rename_axis(columns=None)
    if not set(columns) - set(schema.TABLES["labels"].optional) <= set(table.columns):
        raise PaintingError(
            f"{name} of the export folder: expected {', '.join(columns)}, as an earlier export has them, "
            f"got {problems.short(', '.join(table.columns))}; choose another folder."
        )
    return table[table["rater"] != rater].reset_index(drop=True).astype(object)


def _write(stem: Path, values: np.ndarray, mm: tuple[float, float], colour: str) -> None:
    """One map (H, W) as <stem>.png, .nrrd and .nii; mm: height and width of a pixel, NaN: not known."""
    import nibabel
    import SimpleITK as sitk

    layer = np.empty((*values.shape, 4), np.uint8)
    layer[..., :3] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    layer[..., 3] = values
    files.write_png(stem.with_name(stem.name + ".png"), layer)
    known = bool(np.isfinite(mm).all())
    down, across = mm if known else (1.0, 1.0)
    volume = sitk.GetImageFromArray(values[None])
    volume.SetSpacing((across, down, 1.0))
    files.write_with(
        stem.with_name(stem.name + ".nrrd"), lambda to: sitk.WriteImage(volume, str(to), useCompression=True)
    )
    # NIfTI counts to the right and to the front where NRRD counts to the left and to the back
    image = nibabel.Nifti1Image(values.T[:, :, None], np.diag([-across, -down, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if known else "unknown")
    files.write_with(stem.with_name(stem.name + ".nii"), lambda to: nibabel.save(image, to))
