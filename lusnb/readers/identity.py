"""Study identifiers in place of patient identifiers, and the key that links them, only where asked for."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import files


def slugs(names: list[str]) -> dict[str, str]:
    """Names as they may stand in a file's name, each its own whatever the case of its letters."""
    found, used = {}, set()
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60] or "x"
        number, slug = 1, plain
        while slug.lower() in used:
            number += 1
            slug = f"{plain}-{number}"
        used.add(slug.lower())
        found[name] = slug
    return found


def study_ids(patients: list[str], clips: pd.DataFrame, seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """Patient -> P01, P02 ... in an order drawn from the seed; clip -> patient, day, view and a number.

    `clips`: clip_id, patient_id, day, view. Neither the old names nor their order can be seen in the new.
    """
    digits = max(2, len(str(len(patients))))
    drawn = np.random.default_rng(seed).permutation(len(patients))
    people = {name: f"P{place + 1:0{digits}d}" for name, place in zip(sorted(patients), drawn, strict=True)}
    names = []
    for clip in clips.itertuples():
        parts = [people.get(clip.patient_id, "P")]
        parts += [f"d{clip.day}"] if pd.notna(clip.day) else []
        parts += [*slugs([clip.view]).values()] if pd.notna(clip.view) else []
        names.append("_".join(parts))
    names = pd.Series(names, dtype=object)
    number = names.groupby(names).cumcount() + 1
    several = names.groupby(names).transform("size") > 1
    names = names.where(~several, names + "_" + number.astype(str))
    return people, dict(zip(clips["clip_id"], names, strict=True))


def check_key(key: Path, folder: Path) -> None:
    """Refuse a key inside the cohort, or one that would replace another file. Raises ValueError."""
    if key.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"key: expected a file outside the cohort, got {key}; choose another folder.")
    if key.exists() and not (key.is_file() and key.read_bytes().startswith(b"kind,original,study")):
        raise ValueError(f"key: expected a new file or an earlier key, got {key}; choose another name.")


def write_key(key: Path, people: dict[str, str], clips: dict[str, str]) -> None:
    """Write who is who: kind, original, study."""
    rows = [("patient", *pair) for pair in people.items()] + [("clip", *pair) for pair in clips.items()]
    files.write_csv(key, pd.DataFrame(rows, columns=["kind", "original", "study"]))
