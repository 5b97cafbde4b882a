"""Study identifiers in place of patient identifiers, and the key that links them, only where asked for."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import pandas as pd

from lusnb import files

HEADER = "kind,original,study"


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


@dataclass(frozen=True)
class Key:
    """Who is who: original name -> name in the study, of patients and of clips."""

    patients: dict[str, str]
    clips: dict[str, str]


def study_ids(patients: list[str], clips: pd.DataFrame, known: Key) -> Key:
    """P01, P02 ... for patients, patient_day_view for clips, a number where these are the same.

    `clips`: clip_id, patient_id, day, view. Who is `known` keeps the name; the others follow in an order that
    is drawn anew each time, from the system's own randomness: neither names nor order can be worked out from
    the old ones without the key.
    """
    drawn = SystemRandom()
    new = [name for name in patients if name not in known.patients]
    used = [int(name[1:]) for name in known.patients.values()]
    numbers = range(max(used, default=0) + 1, max(used, default=0) + len(new) + 1)
    digits = max(2, len(str(len(patients))), *(len(name) - 1 for name in known.patients.values()))
    people = {
        name: f"P{number:0{digits}d}"
        for name, number in zip(drawn.sample(new, len(new)), numbers, strict=True)
    }
    people = known.patients | people
    rows = list(clips[~clips["clip_id"].isin(known.clips)].itertuples())
    plain = {row.clip_id: _plain_name(row, people) for row in rows}
    several = Counter([*plain.values(), *(re.sub(r"_c\d+$", "", name) for name in known.clips.values())])
    named, taken = {}, set(known.clips.values())
    for clip_id in drawn.sample(list(plain), len(plain)):
        name, number = plain[clip_id], 1
        while several[plain[clip_id]] > 1 and (name == plain[clip_id] or name in taken):
            name, number = f"{plain[clip_id]}_c{number}", number + 1
        taken.add(name)
        named[clip_id] = name
    return Key(people, known.clips | named)


def _plain_name(clip, people: dict[str, str]) -> str:
    """A clip's name from its patient, day and view, where these are known."""
    parts = [people.get(clip.patient_id, "P")]  # an unknown patient is told with all else that is wrong
    parts += [f"d{clip.day}"] if pd.notna(clip.day) else []
    parts += [*slugs([clip.view]).values()] if pd.notna(clip.view) else []
    return "_".join(parts)


def own_names(patients: list[str], clips: pd.DataFrame) -> Key:
    """Everyone under the name that the spreadsheets give."""
    return Key({name: name for name in patients}, {name: name for name in clips["clip_id"]})


def read_key(path: Path | None, folder: Path) -> Key:
    """The key of an earlier import, empty where there is none.

    Raises ValueError where the place is inside the cohort, or holds another file.
    """
    if path is None:
        return Key({}, {})
    if path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"key: expected a file outside the cohort, got {path}; choose another folder.")
    if not path.exists():
        return Key({}, {})
    if not (path.is_file() and path.read_bytes().startswith(HEADER.encode())):
        raise ValueError(f"key: expected a new file or an earlier key, got {path}; choose another name.")
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    kinds = {kind: group.set_index("original")["study"].to_dict() for kind, group in rows.groupby("kind")}
    return Key(kinds.get("patient", {}), kinds.get("clip", {}))


def write_key(path: Path, key: Key) -> None:
    """Write who is who: kind, original, study. Raises ValueError where that cannot be written."""
    rows = [("patient", *pair) for pair in key.patients.items()] + [
        ("clip", *pair) for pair in key.clips.items()
    ]
    try:
        files.write_csv(path, pd.DataFrame(rows, columns=HEADER.split(",")))
    except OSError as error:
        raise ValueError(f"key: {path} cannot be written ({error}); choose another place.") from None
