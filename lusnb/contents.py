"""The door of a cohort, its contents: what tables say of each other, and what lies in its files."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lusnb.checks import Unfit, problem, short

PNG_END = b"IEND\xaeB`\x82"  # the last chunk of every whole PNG
SF_AGREEMENT = 1.0  # S/F given and S/F computed may differ by this much, from rounding
FAINT = 12  # of 255: an image that never exceeds 5 % looks like a mask of ones, or like numbers of classes
MOST = 0.5  # share of a frame beyond which sure paint looks like the background


def check_links(folder: Path, meta: dict, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Check what one table says of another: known patients, clips, views and features."""
    links = [("exams", "patient_id", "patients"), ("clips", "patient_id", "patients")]
    links += [("labels", "clip_id", "clips"), ("truth", "clip_id", "clips")]
    known = [(t, c, set(tables[target][c]), f"{target}.csv") for t, c, target in links if t in tables]
    about = "cohort.yaml's features"
    known += [(t, "feature", set(meta["features"]), about) for t in ("labels", "truth") if t in tables]
    if meta["views"]:
        known.append(("clips", "view", set(meta["views"]), "cohort.yaml's views"))
    found = []
    for name, column, allowed, where in known:
        rows = tables[name]
        for i in np.flatnonzero(~rows[column].isin(allowed) & rows[column].notna()):
            expected = f"a {column} listed in {where}"
            arrived = short(rows[column].iloc[i])
            remedy = "correct it or add it there."
            found.append(problem(folder / f"{name}.csv", int(i) + 1, expected, arrived, remedy))
    return found


def check_exams(folder: Path, exams: pd.DataFrame, sf_max: float) -> list[dict]:
    """S/F must agree with SpO2 / FiO2 where all three are given, and stay within 0 to sf_max."""
    found = []
    computed = exams["spo2"] / exams["fio2"]
    for i, (given, want) in enumerate(zip(exams["sf_ratio"], computed, strict=True)):
        here = (folder / "exams.csv", i + 1)
        if pd.notna(given) and pd.notna(want) and abs(given - want) > SF_AGREEMENT:
            expected = f"sf_ratio within {SF_AGREEMENT:g} of spo2 / fio2 = {want:.1f}"
            remedy = "correct one of the three, or leave sf_ratio blank to have it computed."
            found.append(problem(*here, expected, f"sf_ratio {given:g}", remedy))
        value = given if pd.notna(given) else want
        if pd.notna(value) and value > sf_max + SF_AGREEMENT:
            remedy = "is fio2 a fraction from 0.21 to 1?"
            found.append(problem(*here, f"S/F of at most {sf_max:g}", f"{value:.1f}", remedy))
    return found


def inside(folder: Path, path: str) -> bool:
    """Whether a path stays in a folder, links followed."""
    try:
        return (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        return False


def find(folder: Path, path: str, kind: str, where: str, remedy: str) -> Path:
    """A file of a folder, by its path in it. Raises Unfit where the path leaves it or no file is there."""
    if not inside(folder, path):
        raise Unfit(f"a path inside {where}", short(path), remedy)
    if not os.path.isfile(folder / path):
        name = short(path).strip("'")
        arrived = f"{name}, which is no file" if os.path.exists(folder / path) else f"no file {name}"
        raise Unfit(kind, arrived, "put it there or correct the path.")
    return folder / path


def open_npy(path: Path, name: str) -> np.ndarray:
    """A .npy file, memory-mapped and never unpickled. Raises Unfit where it is none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header may raise anything
        told = "pickled objects, which are never loaded" if "object" in str(error) else error
        raise Unfit("a .npy array", f"{name}: {told}", "save it again with numpy.save.") from None
    if not isinstance(array, np.ndarray):
        raise Unfit("a .npy array", f"{name}: an archive of arrays", "save it again with numpy.save.")
    return array


def check_frame(frame: np.ndarray, number: int) -> None:
    """Refuse a labelled frame without an image: uint8 (H, W) of one grey alone. Raises Unfit."""
    if frame.min() == frame.max():
        remedy = "label another frame, or correct the frame's number."
        raise Unfit("a labelled frame with an image", f"frame {number}, {frame.min()} all over", remedy)


def check_paint(image: np.ndarray, name: str) -> Unfit | None:
    """What looks wrong with a confidence image, uint8 (H, W): an Unfit to warn of, or None.

    Raises Unfit where all of it is painted at 100 %.
    """
    sure = (image == 255).mean()
    remedy = "is the structure the black part? Then invert it: 255 is 100 % confidence."
    if sure == 1:
        raise Unfit("a confidence image", f"{name}, 100 % all over", remedy)
    if sure > MOST:
        return Unfit("a structure smaller than its background", f"{name}, {sure:.0%} of it at 100 %", remedy)
    if 0 < image.max() <= FAINT:
        remedy = "is it a mask of ones, or of class numbers? 255 is 100 % confidence."
        return Unfit("confidence up to 255", f"{name}, at most {image.max()}", remedy)
    return None


def _clip_shape(folder: Path, path: str) -> tuple[int, int, int]:
    """Shape (T, H, W) of a cohort's clip. Raises Unfit."""
    file = find(folder, path, "a clip file", "the cohort's folder", "copy the clip into clips/.")
    clip = open_npy(file, path)
    if clip.dtype != np.uint8 or clip.ndim != 3 or 0 in clip.shape:
        arrived = f"{path}: {clip.dtype} of shape {clip.shape}"
        remedy = "convert it to 8-bit grayscale."
        raise Unfit("a uint8 array (frames, height, width)", arrived, remedy)
    return clip.shape


def _label_image(folder: Path, path: str) -> np.ndarray:
    """A cohort's confidence image, uint8 (H, W). Raises Unfit."""
    file = find(folder, path, "a confidence image", "the cohort's folder", "copy the image into labels/.")
    expected = "an 8-bit grayscale PNG"
    try:
        with Image.open(file) as image:
            if image.format != "PNG":
                arrived = f"{path}, a {image.format}"
                raise Unfit(expected, arrived, "save it as PNG, which loses nothing.")
            if image.mode != "L":
                arrived = f"{path} of mode {image.mode}"
                raise Unfit(f"{expected} (mode L)", arrived, "save it as 8-bit grayscale.")
            if not file.read_bytes().rstrip(b"\0").endswith(PNG_END):
                raise Unfit(expected, f"{path}, which is cut short", "save it again.")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit(expected, f"{path}: {error}", "save it again.") from None


def check_size(shape: tuple, clip: tuple[int, int, int], name: str, frame: int) -> None:
    """Refuse a label (H, W) that does not fit a clip (T, H, W), or a frame that it lacks. Raises Unfit."""
    if shape != clip[1:]:
        arrived = f"{name} of {shape[0]} x {shape[1]}"
        remedy = "export it at the clip's size."
        if shape == clip[:2]:
            remedy = "are the clip's axes (height, width, frames)? They must be (frames, height, width)."
        elif shape == clip[:0:-1]:
            remedy = "are its height and width swapped? Turn it over (transpose)."
        raise Unfit(f"the clip's size, {clip[1]} x {clip[2]} (height x width)", arrived, remedy)
    if frame >= clip[0]:
        raise Unfit(f"a frame from 0 to {clip[0] - 1}", f"frame {frame}", "correct the frame number.")


def check_files(folder: Path, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Open every clip and every confidence image of a cohort; returns problems and warnings."""
    found, shapes, seen = [], {}, set()
    for i, clip in enumerate(tables["clips"].itertuples()):
        try:
            shapes[clip.clip_id] = _clip_shape(folder, clip.path), clip.path
        except Unfit as error:
            found.append(as_problem(folder / "clips.csv", i + 1, error))
    for name in ("labels", "truth"):
        for i, label in enumerate(tables[name].itertuples()):
            if label.clip_id not in shapes:
                continue
            shape, path = shapes[label.clip_id]
            try:
                image = _label_image(folder, label.path)
                check_size(image.shape, shape, label.path, label.frame)
                doubt = check_paint(image, label.path)
                if (label.clip_id, label.frame) not in seen:
                    seen.add((label.clip_id, label.frame))
                    check_frame(open_npy(folder / path, path)[label.frame], label.frame)
            except Unfit as error:
                found.append(as_problem(folder / f"{name}.csv", i + 1, error))
            else:
                found += [as_problem(folder / f"{name}.csv", i + 1, doubt, warning=True)] if doubt else []
    return found


def as_problem(file: Path, row: int | None, error: Unfit, warning: bool = False) -> dict:
    """A refusal as a row of the table of problems."""
    return problem(file, row, error.expected, error.arrived, error.remedy, warning)
