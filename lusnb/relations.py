"""The door of a cohort, its tables: what they say of each other, and what of one row must fit another."""

from pathlib import Path

import pandas as pd

from lusnb.checks import problem, short, unread
from lusnb.contents import plain

SF_AGREEMENT = 1.0  # S/F given and S/F computed may differ by this much, from rounding


def check_links(folder: Path, meta: dict, tables: dict[str, pd.DataFrame], found: list[dict]) -> list[dict]:
    """Check what one table says of another: known patients, clips, views and features.

    `found`: what was found before. No link to a table or list that could not be read is told, nor what may be
    the name of a row whose own is not legible.
    """
    links = [("exams", "patient_id", "patients"), ("clips", "patient_id", "patients")]
    links += [(name, "clip_id", "clips") for name in ("labels", "truth", "masks")]
    links = [link for link in links if link[0] in tables and link[2] not in unread(found)]
    known = [(t, c, tables[target][c], f"{target}.csv") for t, c, target in links]
    about = "cohort.yaml's features"
    if meta.get("features"):
        known += [
            (t, "feature", pd.Series(meta["features"]), about) for t in ("labels", "truth") if t in tables
        ]
    if meta.get("views"):
        known.append(("clips", "view", pd.Series(list(meta["views"])), "cohort.yaml's views"))
    told = []
    for name, column, allowed, where in known:
        cells = tables[name][column]
        strange = cells[~cells.isin(set(allowed)) & cells.notna()]
        if strange.nunique() <= allowed.isna().sum():
            continue
        for row, value in strange.items():
            expected, remedy = f"a {column} listed in {where}", "correct it or add it there."
            told.append(problem(folder / f"{name}.csv", row, expected, short(value), remedy))
    return told


def check_names(folder: Path, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Names that differ so little that they may mean one and the same: warnings."""
    found = []
    people = "patients" if (folder / "patients.csv").is_file() else "clips"
    written = [(people, "patient_id"), ("clips", "clip_id"), ("labels", "rater"), ("labels", "feature")]
    for name, column in written:
        seen = {}
        for row, value in tables[name][column].dropna().drop_duplicates().items():
            other = seen.setdefault(plain(value), value)
            if other != value:
                expected = f"each {column} written in one way"
                remedy = "are they the same? Then write them alike."
                arrived = f"{short(other)} and {short(value)}"
                found.append(problem(folder / f"{name}.csv", row, expected, arrived, remedy, warning=True))
    return found


def check_patients(folder: Path, patients: pd.DataFrame, folds: int) -> list[dict]:
    """Folds must be among those asked for; without a test patient a warning is due."""
    path, found = folder / "patients.csv", []
    for row, fold in patients["fold"].dropna().items():
        if fold > folds:
            remedy = "correct it, leave it blank, or ask for more folds."
            found.append(problem(path, row, f"a fold from 1 to {folds}", f"fold {fold}", remedy))
    given = patients["split"].dropna()
    if len(given) and "test" not in set(given) and len(patients) - len(given) <= 2:
        arrived = f"{len(given)} of {len(patients)} patients in {' and '.join(sorted(set(given)))}"
        remedy = "name some `test`, or leave more splits blank to have them drawn."
        found.append(problem(path, None, "patients to test on", arrived, remedy, warning=True))
    return found


def check_exams(folder: Path, exams: pd.DataFrame, sf_max: float) -> list[dict]:
    """S/F must agree with SpO2 / FiO2 where all three are given, and stay within 0 to sf_max."""
    found = []
    computed = exams["spo2"] / exams["fio2"]
    for row, given, want in zip(exams.index, exams["sf_ratio"], computed, strict=True):
        here = (folder / "exams.csv", row)
        if pd.notna(given) and pd.notna(want) and abs(given - want) > SF_AGREEMENT:
            expected = f"sf_ratio within {SF_AGREEMENT:g} of spo2 / fio2 = {want:.1f}"
            remedy = "correct one of the three, or leave sf_ratio blank to have it computed."
            found.append(problem(*here, expected, f"sf_ratio {given:g}", remedy))
        value = given if pd.notna(given) else want
        if pd.notna(value) and value > sf_max + SF_AGREEMENT:
            remedy = "is fio2 a fraction from 0.21 to 1?"
            found.append(problem(*here, f"S/F of at most {sf_max:g}", f"{value:.1f}", remedy))
    return found + _both_kinds(folder, exams)


def _both_kinds(folder: Path, exams: pd.DataFrame) -> list[dict]:
    """A warning where a patient's S/F is given on one day and computed on another, and they differ by no more
    than rounding may: it would count as a change."""
    computed = exams["spo2"] / exams["fio2"]
    known = exams.assign(computed=computed.where(exams["sf_ratio"].isna()))
    pairs = known.reset_index(names="row").dropna(subset="computed")
    pairs = pairs.merge(known.dropna(subset="sf_ratio"), on="patient_id", suffixes=("", "_other"))
    apart = (pairs["computed"] - pairs["sf_ratio_other"]).abs()
    odd = pairs[(apart > 0) & (apart <= SF_AGREEMENT)].drop_duplicates("row")
    expected = "sf_ratio given on all days of a patient, or computed on all"
    remedy = "give or leave out all: so little is rounding, and would count as a change."
    told = "computed as {:.1f} here and given as {:g} on day {}"
    return [
        problem(
            folder / "exams.csv", one.row, expected,
            told.format(one.computed, one.sf_ratio_other, one.day_other), remedy, warning=True,
        )
        for one in odd.itertuples()
    ]  # fmt: skip
