"""Labels and images as people have them, turned into a cohort's folder."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from lusnb import files


def gray(path: Path) -> np.ndarray:
    """An image file as uint8 (H, W); colour becomes gray by luma (ITU-R 601)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def rater_masks(source: Path) -> pd.DataFrame:
    """The masks below `source`/raters/<person>_<tool>/seg_<image>.png: image, person, path.

    The case of file names is ignored. Raises FileNotFoundError when there is none.
    """
    rows = []
    for path in sorted((source / "raters").glob("*/*")):
        stem = path.stem.lower()
        if path.suffix.lower() == ".png" and stem.startswith("seg_"):
            rows.append((stem.removeprefix("seg_").upper(), path.parent.name.split("_")[0], path))
    if not rows:
        raise FileNotFoundError(
            f"{source / 'raters'}: expected masks as <person>_<tool>/seg_<image>.png, found none; "
            "set LUSNB_SAMPLES to the folder that holds the samples."
        )
    return pd.DataFrame(rows, columns=["image", "person", "path"])


def _claim(folder: Path) -> None:
    """Make a folder free for an import; only what an earlier import put there is removed."""
    if folder.is_dir() and any(folder.iterdir()):
        meta = folder / "cohort.yaml"
        content = (yaml.safe_load(meta.read_text(encoding="utf-8")) if meta.is_file() else None) or {}
        if (content.get("provenance") or {}).get("made_by") != "lusnb.readers":
            raise ValueError(
                f"{folder}: expected an empty folder or an earlier import, found other files; "
                "choose another name for the cohort."
            )
        shutil.rmtree(folder)


def import_rater_masks(source: Path, folder: Path, *, feature: str, foreground: int, meta: dict) -> None:
    """Turn images that several people outlined into a cohort of one feature, no views and no exams.

    Each image of `source`/raw becomes a clip of one frame and a patient of its own. A person's tools are
    averaged within the person, so that a person counts once; the people stay separate raters in labels.csv,
    and their mean is the confidence. `foreground` is the value of the structure in the masks.
    """
    masks = rater_masks(source)
    _claim(folder)
    labels, clips = [], []
    raw = {
        path.stem.upper(): path
        for path in sorted((source / "raw").iterdir())
        if path.suffix.lower() == ".png"
    }
    if set(masks["image"]) != set(raw):
        raise ValueError(
            f"{source}: expected masks of the images {sorted(raw)} in raw, got masks of "
            f"{sorted(set(masks['image']))}; add what is missing on either side."
        )
    for image, path in raw.items():
        frame = gray(path)
        files.write_npy(folder / "clips" / f"{image}.npy", frame[None])
        clips.append(
            {"clip_id": image, "patient_id": image, "day": "", "view": "", "path": f"clips/{image}.npy"}
        )
        for person, tools in masks[masks["image"] == image].groupby("person"):
            outlined = [gray(tool) == foreground for tool in tools["path"]]
            for tool, mask in zip(tools["path"], outlined, strict=True):
                if mask.shape != frame.shape:
                    raise ValueError(
                        f"{tool}: expected the image's size {frame.shape}, got {mask.shape}; export it again."
                    )
            share = np.mean(outlined, axis=0)
            name = f"labels/{image}_{person}_{feature}.png"
            files.write_png(folder / name, np.ceil(255 * share).astype(np.uint8))
            labels.append({"clip_id": image, "frame": 0, "rater": person, "feature": feature, "path": name})
    files.write_csv(folder / "clips.csv", pd.DataFrame(clips).assign(depth_cm="", fps=""))
    files.write_csv(folder / "labels.csv", pd.DataFrame(labels))
    files.write_csv(folder / "patients.csv", pd.DataFrame({"patient_id": list(raw), "readmitted_30d": ""}))
    content = {"features": [feature], "views": {}, "sf_max": 477, **meta}
    files.write_text(folder / "cohort.yaml", yaml.safe_dump(content, sort_keys=False))
