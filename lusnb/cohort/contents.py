"""Check what the files of a cohort hold: clips, confidence images, true masks."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageSequence

from lusnb.cohort import true_masks
from lusnb.cohort.problems import Unfit, as_problem, decoding, problem, short

PNG_END = b"IEND\xaeB`\x82"  # the last chunk of every whole PNG
FAINT = 12  # of 255: an image that never exceeds 5 % looks like a mask of ones, or like numbers of classes
DIM = 8  # of 255: an image of which 99 % is darker shows nothing
MOST = 0.5  # share of a frame beyond which sure paint looks like the background


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


def open_npy(path: Path, name: str) -> np.memmap:
    """A .npy file, memory-mapped and never unpickled. Raises Unfit where it is none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header may raise anything
        told = "pickled objects, which are never loaded" if "object" in str(error) else error
        raise Unfit("a .npy array", f"{name}: {told}", "save it again with numpy.save.") from None
    if not isinstance(array, np.memmap):
        raise Unfit("a .npy array", f"{name}: an archive of arrays", "save it again with numpy.save.")
    return array


def check_frame(frame: np.ndarray, number: int) -> None:
    """Refuse a labelled frame without an image: uint8 (H, W) of one grey, or nearly black. Raises Unfit."""
    told = "one grey all over" if frame.min() == frame.max() else None
    if not told and frame.size >= 100 and np.percentile(frame, 99) < DIM:
        told = f"nearly black (99 % of it below {DIM} of 255)"
    if told:
        remedy = "label another frame, or correct the frame's number."
        raise Unfit("a labelled frame with an image", f"frame {number}, {told}", remedy)


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


def check_scale(counts: np.ndarray) -> Unfit | None:
    """What looks wrong with how sure a rater ever is of a feature: an Unfit to warn of, or None.

    `counts`: how many pixels have each value, (256,), over all images. Nothing above 100, but more than 50,
    and mostly steps of 5 look like per cent.
    """
    painted = np.flatnonzero(counts[1:]) + 1
    if not len(painted) or not 50 < painted[-1] <= 100:
        return None
    if counts[painted[painted % 5 == 0]].sum() <= 0.8 * counts[painted].sum():
        return None
    arrived = f"at most {painted[-1]} in all images, mostly in steps of 5"
    return Unfit("confidence up to 255", arrived, "is it painted in per cent? 255 is 100 %.")


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


def check_files(folder: Path, tables: dict[str, pd.DataFrame], features: int) -> list[dict]:
    """Open every clip, confidence image and file of masks of a cohort; returns problems and warnings.

    Rows whose path is blank are passed over, and of a label whose clip or frame is not known, the image alone
    is looked at. `features`: how many the cohort has, 0 where that is not known.
    """
    found: list[dict] = []
    shapes: dict[str, tuple[tuple[int, int, int], str]] = {}  # clip_id -> shape, path
    seen: set[tuple[str, int]] = set()
    for clip in tables["clips"].dropna(subset="path").itertuples():
        try:
            shape = _clip_shape(folder, clip.path)
            shapes.setdefault(clip.clip_id, (shape, clip.path))
        except Unfit as error:
            found.append(as_problem(folder / "clips.csv", clip.Index, error))
    scales: dict[tuple[str, str], tuple[tuple[Path, int], np.ndarray]] = {}
    for name in ("labels", "truth"):
        for label in tables[name].dropna(subset="path").itertuples():
            here = (folder / f"{name}.csv", label.Index)
            try:
                image = _label_image(folder, label.path)
                doubt = check_paint(image, label.path)
                found += [as_problem(*here, doubt, warning=True)] if doubt else []
                if name == "labels" and pd.notna(label.rater) and pd.notna(label.feature):
                    _, counts = scales.setdefault((label.rater, label.feature), (here, np.zeros(256, int)))
                    counts += np.bincount(image.ravel(), minlength=256)
                if pd.notna(label.clip_id) and label.clip_id in shapes:
                    _check_place(folder, image, label, *shapes[label.clip_id], seen)
            except Unfit as error:
                found.append(as_problem(*here, error))
    found += _check_masks(folder, tables["masks"], {name: one for name, (one, _) in shapes.items()}, features)
    doubts = [(here, check_scale(counts)) for here, counts in scales.values()]
    return found + [as_problem(*here, doubt, warning=True) for here, doubt in doubts if doubt]


def _check_place(folder: Path, image: np.ndarray, label, shape: tuple, path: str, seen: set) -> None:
    """Refuse a label that does not fit its clip, or whose frame shows nothing. Raises Unfit."""
    frame = label.frame if pd.notna(label.frame) else 0
    check_size(image.shape, shape, label.path, frame)
    if pd.notna(label.frame) and (label.clip_id, frame) not in seen:
        seen.add((label.clip_id, frame))
        check_frame(open_npy(folder / path, path)[frame], frame)


def _check_masks(folder: Path, rows: pd.DataFrame, shapes: dict[str, tuple], features: int) -> list[dict]:
    """Open every file of true masks; `shapes` (T, H, W) of the clips that are known."""
    table, found = folder / "masks.csv", []
    if len(rows) and features > true_masks.MOST_FEATURES:
        expected = f"at most {true_masks.MOST_FEATURES} features, of which each has a bit"
        return [problem(table, None, expected, f"{features}", "remove masks.csv, or leave features out.")]
    for row in rows.dropna(subset="path").itertuples():
        try:
            _check_pages(folder, row.path, shapes.get(row.clip_id), features)
        except Unfit as error:
            found.append(as_problem(table, row.Index, error))
    return found


def _check_pages(folder: Path, path: str, clip: tuple[int, int, int] | None, features: int) -> None:
    """Refuse true masks that do not fit a clip (T, H, W; None: not known) or the features. Raises Unfit."""
    file = find(folder, path, "a file of true masks", "the cohort's folder", "copy the masks into truth/.")
    expected = "an 8-bit grayscale TIFF, a page a frame"
    remedy = "make the phantom again, or remove masks.csv."
    with decoding(expected, path, remedy), Image.open(file, formats=["TIFF"]) as image:
        count, most = getattr(image, "n_frames", 1), 2 ** (features or true_masks.MOST_FEATURES) - 1
        if clip and count != clip[0]:
            raise Unfit(f"a page for each of the clip's {clip[0]} frames", f"{path} with {count}", remedy)
        for number, page in enumerate(ImageSequence.Iterator(image)):
            shape, name = page.size[::-1], f"page {number} of {path}"
            if page.mode != "L":
                raise Unfit(expected, f"{name} of mode {page.mode}", remedy)
            if clip and shape != clip[1:]:
                size = f"the clip's size, {clip[1]} x {clip[2]} (height x width)"
                raise Unfit(size, f"{name} of {shape[0]} x {shape[1]}", remedy)
            if (value := page.getextrema()[1]) > most:
                raise Unfit(f"a bit for each of {features} features", f"{name} with {value}", remedy)
