"""The door of a cohort: every table and file is checked, and all problems are found in one pass."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from PIL import Image

PNG_END = b"IEND\xaeB`\x82"  # the last chunk of every whole PNG
SPLITS = ("train", "validation", "test")
TOLD = 20  # problems spelt out in a message
SF_AGREEMENT = 1.0  # S/F given and S/F computed may differ by this much, from rounding

ID = {"dtype": str, "nullable": False, "checks": pa.Check(lambda s: s.str.strip() != "", error="not blank")}


def _column(
    kind: object, check: pa.Check | None = None, blank: bool = False, required: bool = True
) -> pa.Column:
    return pa.Column(kind, check, nullable=blank, required=required, coerce=True)


TABLES = {
    "patients": pa.DataFrameSchema(
        {
            "patient_id": pa.Column(**ID),
            "readmitted_30d": _column("Int64", pa.Check.isin([0, 1], error="0, 1 or blank"), blank=True),
            "split": _column(
                str, pa.Check.isin(SPLITS, error="train, validation, test or blank"), blank=True
            ),
            "fold": _column("Int64", pa.Check.ge(1, error="a number from 1 on, or blank"), blank=True),
        }
    ),
    "exams": pa.DataFrameSchema(
        {
            "patient_id": pa.Column(**ID),
            "day": _column(int, pa.Check.ge(0, error="a number from 0 on")),
            "spo2": _column(float, pa.Check.in_range(0, 100, error="per cent from 0 to 100"), blank=True),
            "fio2": _column(float, pa.Check.in_range(0.21, 1, error="a fraction from 0.21 to 1"), blank=True),
            "sf_ratio": _column(float, pa.Check.ge(0, error="a number from 0 on"), blank=True),
        }
    ),
    "clips": pa.DataFrameSchema(
        {
            "clip_id": pa.Column(**ID),
            "patient_id": pa.Column(**ID),
            "day": _column("Int64", pa.Check.ge(0, error="a number from 0 on"), blank=True),
            "view": _column(str, blank=True),
            "path": pa.Column(**ID),
            "depth_cm": _column(float, pa.Check.gt(0, error="a number above 0"), blank=True),
            "fps": _column(float, pa.Check.gt(0, error="a number above 0"), blank=True),
            "width_cm": _column(float, pa.Check.gt(0, error="a number above 0"), blank=True),
        }
    ),
    "labels": pa.DataFrameSchema(
        {
            "clip_id": pa.Column(**ID),
            "frame": _column(int, pa.Check.ge(0, error="a number from 0 on")),
            "rater": pa.Column(**ID),
            "feature": pa.Column(**ID),
            "path": pa.Column(**ID),
        }
    ),
}
TABLES["truth"] = TABLES["labels"]
KEYS = {
    "patients": ["patient_id"],
    "exams": ["patient_id", "day"],
    "clips": ["clip_id"],
    "labels": ["clip_id", "frame", "rater", "feature"],
    "truth": ["clip_id", "frame", "rater", "feature"],
}
OPTIONAL_TABLES = ("exams", "truth")
OPTIONAL_COLUMNS = {"patients": ["readmitted_30d", "split", "fold"], "exams": ["sf_ratio", "spo2", "fio2"]}
OPTIONAL_COLUMNS["clips"] = ["day", "view", "fps", "width_cm", "depth_cm"]


TEXT = ("patient_id", "clip_id", "rater", "feature", "path", "view", "split")


class CohortError(ValueError):
    """A cohort that cannot be used; `problems` holds all of them: file, row, expected, arrived, remedy."""

    def __init__(self, problems: list[dict]):
        self.problems = pd.DataFrame(problems, columns=["file", "row", "expected", "arrived", "remedy"])
        sentences = [_sentence(p) for p in problems[:TOLD]]
        if len(problems) > TOLD:
            sentences.append(f"... and {len(problems) - TOLD} more problems: see `.problems`")
        super().__init__("\n".join(sentences))


def _sentence(p: dict) -> str:
    row = "" if p["row"] is None else f", row {p['row']}"
    return f"{p['file']}{row}: expected {p['expected']}, got {p['arrived']}; {p['remedy']}"


def problem(file: object, row: int | None, expected: str, arrived: str, remedy: str) -> dict:
    """One problem; `row` counts from 1 below the header; None means the whole file."""
    return {"file": str(file), "row": row, "expected": expected, "arrived": arrived, "remedy": remedy}


def read_table(folder: Path, name: str) -> tuple[pd.DataFrame, list[dict]]:
    """Read and check one table of a cohort; return it with the right types, and its problems."""
    path = folder / f"{name}.csv"
    columns = list(TABLES[name].columns)
    empty = pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
    if not path.is_file():
        if name in OPTIONAL_TABLES:
            return empty, []
        return empty, [
            problem(path, None, "a table", "no such file", f"write it with the columns {columns}.")
        ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserWarning) as error:
        return empty, [problem(path, None, "a comma-separated UTF-8 table", str(error), "export it again.")]
    missing = [c for c in columns if c not in table and c not in OPTIONAL_COLUMNS.get(name, [])]
    if missing:
        return empty, [problem(path, None, f"the columns {missing}", f"columns {list(table)}", "add them.")]
    table = table.apply(lambda column: column.str.strip()).replace("", np.nan)
    return _validated(path, name, table.reindex(columns=columns))


def _numbers(path: Path, name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """Text columns that should hold numbers as floats, with one problem for each cell that is none."""
    found, table = [], table.copy()
    for column, rule in TABLES[name].columns.items():
        if column in TEXT:
            continue
        number = pd.to_numeric(table[column], errors="coerce").astype(float)
        whole = "int" in str(rule.dtype).lower()
        bad = table[column].notna() & ~np.isfinite(number)
        bad |= number.notna() & whole & (number % 1 != 0)
        wanted = f"{column} to be a {'whole ' if whole else ''}number"
        found += [
            problem(path, i + 1, wanted, repr(table[column][i]), "correct it.") for i in np.flatnonzero(bad)
        ]
        table[column] = number.mask(bad)
    return table, found


def _validated(path: Path, name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    table, found = _numbers(path, name, table)
    if found:
        return table, found
    try:
        table = TABLES[name].validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.to_dict("records")
        return table, [problem(path, *_case(case), "correct it.") for case in cases]
    twice = table.duplicated(KEYS[name])
    return table, [_twice(path, name, table, i) for i in np.flatnonzero(twice)]


def _case(case: dict) -> tuple[int | None, str, str]:
    """Row, what was expected and what arrived, of one of pandera's failure cases."""
    row = None if pd.isna(case["index"]) else int(case["index"]) + 1
    check = "not blank" if case["check"] == "not_nullable" else case["check"]
    value = "a blank" if pd.isna(case["failure_case"]) else repr(case["failure_case"])
    return row, f"{case['column']} to be {check}", value


def _twice(path: Path, name: str, table: pd.DataFrame, row: int) -> dict:
    key = table.loc[row, KEYS[name]]
    same = table[(table[KEYS[name]] == key).all(axis=1)]
    if name == "patients" and same["split"].nunique() > 1:
        both = " and ".join(same["split"].dropna().unique())
        return problem(
            path,
            row + 1,
            "each patient in one split",
            f"patient {key.iloc[0]} in {both}",
            "keep one of its rows.",
        )
    words = ", ".join(f"{k} {v}" for k, v in key.items())
    return problem(
        path, row + 1, "each row once", f"{words} a second time", "remove or rename one of the two."
    )


def check_links(folder: Path, meta: dict, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Check what one table says of another: known patients, clips, views and features."""
    links = [("exams", "patient_id", "patients"), ("clips", "patient_id", "patients")]
    links += [("labels", "clip_id", "clips"), ("truth", "clip_id", "clips")]
    known = [(t, c, set(tables[target][c]), f"{target}.csv") for t, c, target in links]
    known += [(t, "feature", set(meta["features"]), "cohort.yaml's features") for t in ("labels", "truth")]
    if meta["views"]:
        known.append(("clips", "view", set(meta["views"]), "cohort.yaml's views"))
    found = []
    for name, column, allowed, where in known:
        table = tables[name]
        for i in np.flatnonzero(~table[column].isin(allowed) & table[column].notna()):
            found.append(
                problem(
                    folder / f"{name}.csv",
                    int(i) + 1,
                    f"a {column} listed in {where}",
                    repr(table[column].iloc[i]),
                    "correct it or add it there.",
                )
            )
    return found


def check_exams(folder: Path, exams: pd.DataFrame, sf_max: float) -> list[dict]:
    """S/F must agree with SpO2 / FiO2 where all three are given, and stay within 0 to sf_max."""
    found = []
    computed = exams["spo2"] / exams["fio2"]
    for i, (given, want) in enumerate(zip(exams["sf_ratio"], computed, strict=True)):
        here = (folder / "exams.csv", i + 1)
        if pd.notna(given) and pd.notna(want) and abs(given - want) > SF_AGREEMENT:
            found.append(
                problem(
                    *here,
                    f"sf_ratio within {SF_AGREEMENT:g} of spo2 / fio2 = {want:.1f}",
                    f"sf_ratio {given:g}",
                    "correct one of the three, or leave sf_ratio blank to have it computed.",
                )
            )
        value = given if pd.notna(given) else want
        if pd.notna(value) and value > sf_max + SF_AGREEMENT:
            found.append(
                problem(
                    *here, f"S/F of at most {sf_max:g}", f"{value:.1f}", "is fio2 a fraction from 0.21 to 1?"
                )
            )
    return found


def _inside(folder: Path, path: str) -> bool:
    return (folder / path).resolve().is_relative_to(folder.resolve())


def _clip_problem(folder: Path, path: str) -> tuple[tuple | None, tuple[str, str, str] | None]:
    """Shape (T, H, W) of a clip, or what is wrong with it."""
    if not _inside(folder, path):
        return None, ("a path inside the cohort's folder", repr(path), "copy the clip into clips/.")
    if not (folder / path).is_file():
        return None, ("a clip file", f"no file {path}", "put it there or correct the path.")
    try:
        clip = np.load(folder / path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        return None, ("a .npy array", f"{path}: {error}", "save it again with numpy.save.")
    if not isinstance(clip, np.ndarray):
        return None, ("a .npy array", f"{path}: an archive of arrays", "save it again with numpy.save.")
    if clip.dtype != np.uint8 or clip.ndim != 3 or 0 in clip.shape:
        arrived = f"{path}: {clip.dtype} of shape {clip.shape}"
        return None, ("a uint8 array (frames, height, width)", arrived, "convert it to 8-bit grayscale.")
    return clip.shape, None


def _label_problem(folder: Path, path: str, frame: int, clip: tuple) -> tuple[str, str, str] | None:
    """What is wrong with one confidence image of a clip of shape (T, H, W), or None."""
    if not _inside(folder, path):
        return ("a path inside the cohort's folder", repr(path), "copy the image into labels/.")
    if not (folder / path).is_file():
        return ("a confidence image", f"no file {path}", "put it there or correct the path.")
    try:
        with Image.open(folder / path) as image:
            mode, (width, height), kind = image.mode, image.size, image.format
    except OSError as error:
        return ("an 8-bit grayscale PNG", f"{path}: {error}", "save it again.")
    if kind != "PNG":
        return ("an 8-bit grayscale PNG", f"{path}, a {kind}", "save it as PNG, which loses nothing.")
    if not (folder / path).read_bytes().rstrip(b"\0").endswith(PNG_END):
        return ("an 8-bit grayscale PNG", f"{path}, which is cut short", "save it again.")
    if mode != "L":
        return ("an 8-bit grayscale PNG (mode L)", f"{path} of mode {mode}", "save it as 8-bit grayscale.")
    if (height, width) != clip[1:]:
        arrived = f"{path} of {height} x {width}"
        return (
            f"the clip's size, {clip[1]} x {clip[2]} (height x width)",
            arrived,
            "export it at the clip's size.",
        )
    if frame >= clip[0]:
        return (f"a frame from 0 to {clip[0] - 1}", f"frame {frame}", "correct the frame number.")
    return None


def check_files(folder: Path, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Open the header of every clip and every confidence image, and compare sizes and frames."""
    found, shapes = [], {}
    for i, clip in enumerate(tables["clips"].itertuples()):
        shapes[clip.clip_id], wrong = _clip_problem(folder, clip.path)
        if wrong:
            found.append(problem(folder / "clips.csv", i + 1, *wrong))
    for name in ("labels", "truth"):
        for i, label in enumerate(tables[name].itertuples()):
            shape = shapes.get(label.clip_id)
            wrong = shape and _label_problem(folder, label.path, label.frame, shape)
            if wrong:
                found.append(problem(folder / f"{name}.csv", i + 1, *wrong))
    return found
