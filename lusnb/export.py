"""What was painted, for other programs: NRRD, NIfTI and layers as PNG."""

from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import cohort as cohorts
from lusnb import files, painting
from lusnb.cohort import Cohort
from lusnb.looks import feature_colours

ENDINGS = (".png", ".nrrd", ".nii")


def painted(cohort: Cohort, rater: str, folder: Path) -> pd.DataFrame:
    """Write all that a rater painted here for other programs: clip_id, frame, rater, feature, path.

    Paths are below `folder`. Per frame and feature: a layer as PNG (its colour, alpha is the confidence),
    NRRD and NIfTI of one slice, uint8, 255 = 100 %, with the size of a pixel in mm where it is known (1 where
    not). labels.csv beside them names the layers as an import wants it. Other files there are left alone.
    """
    table = painting.painted(cohort)
    rows = []
    for one in table[table["rater"] == rater].itertuples():
        one_painting = painting.read(cohort, one.clip_id, one.frame, rater)
        down, across = (x if np.isfinite(x) else 1.0 for x in cohorts.pixel_mm(cohort, one.clip_id))
        for feature in painting.looked_at(cohort, one_painting):
            stem = f"{painting.slug(one.clip_id)}_f{one.frame}_{painting.slug(feature)}"
            values = one_painting.maps[cohort.features.index(feature)]
            _write(folder / stem, values, (down, across), feature_colours(cohort.features)[feature])
            rows += [(one.clip_id, one.frame, rater, feature, stem + ending) for ending in ENDINGS]
    found = pd.DataFrame(rows, columns=["clip_id", "frame", "rater", "feature", "path"])
    if len(found):
        files.write_csv(folder / "labels.csv", found[found["path"].str.endswith(".png")])
    return found


def _write(stem: Path, values: np.ndarray, mm: tuple[float, float], colour: str) -> None:
    """One map (H, W) as <stem>.png, .nrrd and .nii; mm: height and width of a pixel."""
    import nibabel
    import SimpleITK as sitk

    layer = np.empty((*values.shape, 4), np.uint8)
    layer[..., :3] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    layer[..., 3] = values
    files.write_png(stem.with_name(stem.name + ".png"), layer)
    volume = sitk.GetImageFromArray(values[None])
    volume.SetSpacing((mm[1], mm[0], 1.0))
    files.write_with(
        stem.with_name(stem.name + ".nrrd"), lambda to: sitk.WriteImage(volume, str(to), useCompression=True)
    )
    # NIfTI counts to the right and to the front where NRRD counts to the left and to the back
    image = nibabel.Nifti1Image(values.T[:, :, None], np.diag([-mm[1], -mm[0], 1.0, 1.0]))
    files.write_with(stem.with_name(stem.name + ".nii"), lambda to: nibabel.save(image, to))
