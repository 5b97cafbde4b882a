"""What the threshold explorer shows, as plain values: clips, one clip's pixels, patients' outcomes.

Everything is read from a cohort and from whatever runs are finished; nothing is written, nothing is drawn.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb.cohort import arrays, problems
from lusnb.cohort.cohort import Cohort
from lusnb.report import looks
from lusnb.study import matrix
from lusnb.widgets import curves
from lusnb.widgets.arm_maps import BROKEN, ArmMaps, Cuts, unreadable

MEAN, RATER, TRUTH = "mean", "rater:", "truth"  # sources: all raters, one by name, a phantom's truth
ARM_COLOURS = (  # far from one another, from looks.PALETTE (the features') and from a page, light or dark
    *("#8000f8", "#00d000", "#f80058", "#786038", "#f808c8", "#789808"),
    *("#3068f8", "#f8a080", "#9038a8", "#a8b8a8", "#a898f8", "#a83838"),
)
ROLES = {
    "train": "this patient was trained on",
    "validation": "this patient was not trained on, but chose the epoch and the cut",
    "test": "this patient was held out",
    "": "not known whether this patient was trained on",
}


# -- clips


def catalogue(cohort: Cohort) -> dict:
    """The cohort for a list to choose from.

    features (names, words, colours alike long); clips: clip_id, patient_id, day (None where unknown), view,
    split, labelled (frames), in table order.
    """
    labelled = cohort.labels.drop_duplicates(["clip_id", "frame"])["clip_id"].value_counts()
    split = cohort.patients.set_index("patient_id")["split"]
    clips = cohort.clips[["clip_id", "patient_id", "day", "view"]].assign(
        split=cohort.clips["patient_id"].map(split),
        labelled=cohort.clips["clip_id"].map(labelled).fillna(0).astype(int),
    )
    return {
        "name": cohort.name,
        "features": list(cohort.features),
        "words": [problems.words(name) for name in cohort.features],
        "colours": list(looks.feature_colours(cohort.features).values()),
        "clips": plain(clips),
    }


def clip_card(cohort: Cohort, clip_id: str) -> dict:
    """One clip in words and numbers; KeyError for a clip that the cohort does not have.

    clip_id, patient_id, day, view, frames, height, width (pixels), fps (None where unknown), mm (down and
    across a pixel, None each where unknown), labelled: frame -> its sources, each key, text and known (one
    truth value a feature: was it looked at).
    """
    row = cohort.clips.set_index("clip_id").loc[clip_id]
    frames, height, width = arrays.clip(cohort, clip_id).shape
    own, true = (table[table["clip_id"] == clip_id] for table in (cohort.labels, cohort.truth))
    labelled = {
        str(frame): _sources(cohort, rows, true[true["frame"] == frame])
        for frame, rows in own.groupby("frame", sort=True)
    }
    return {
        "clip_id": clip_id,
        "patient_id": row["patient_id"],
        **{name: _plain(row[name]) for name in ("day", "view", "fps")},
        **{"frames": frames, "height": height, "width": width, "labelled": labelled},
        "mm": [_plain(side) for side in arrays.pixel_mm(cohort, clip_id)],
    }


def _sources(cohort: Cohort, rows: pd.DataFrame, true: pd.DataFrame) -> list[dict]:
    """Whose confidence there is of one frame: the mean of several raters first."""
    raters = sorted(rows["rater"].unique())
    found = [(MEAN, f"mean of {len(raters)} raters", rows)] if len(raters) > 1 else []
    found += [(RATER + name, name, rows[rows["rater"] == name]) for name in raters]
    found += [(TRUTH, "truth", true)] if len(true) else []
    return [
        {"key": key, "text": text, "known": [bool((own["feature"] == f).any()) for f in cohort.features]}
        for key, text, own in found
    ]


def arm_card(arm_maps: ArmMaps, arm: str, seed: int, clip_id: str) -> dict:
    """What an arm predicted of one clip: frames (frame -> 'labelled' or 'task'), role, told (in words).

    cut: from which level on (1 to 255) the training that is shown predicts, fitted on its validation
    patients; None where it does not say. task_cut: at which its 'task' frames were cut already; None where
    they are probabilities.
    """
    table = arm_maps.frames(arm, seed)
    own = table[table["clip_id"] == clip_id].sort_values("frame")
    role = own["role"].iloc[0] if len(own) else ""
    told = ROLES[role] if len(own) else "this arm predicted nothing of this clip"
    frames = {str(frame): kind for frame, kind in zip(own["frame"], own["kind"], strict=True)}
    cuts = arm_maps.cuts(arm, seed, clip_id) or Cuts(None, None)
    return {"frames": frames, "role": role, "told": told, "cut": cuts.own, "task_cut": cuts.tasks}


def arm_colours(arms: Iterable[str]) -> dict[str, str]:
    """A colour for each arm, in their order; from the 13th on they come again."""
    names = list(dict.fromkeys(arms))
    return {name: ARM_COLOURS[k % len(ARM_COLOURS)] for k, name in enumerate(names)}


def pixels(cohort: Cohort, arm_maps: ArmMaps, what: Mapping) -> np.ndarray:
    """The bytes that a view asks for, uint8. what: kind, clip_id and, but for a clip, frame.

    'clip': (T, H, W). 'labels': (C, H, W), 255 = 100 %, of `source` (a key of `clip_card`). 'prediction':
    (C, S, S), 255 = 1, of `arm` and `seed`. Raises ValueError or KeyError for what is not there.
    """
    if what["kind"] == "clip":
        return arrays.clip(cohort, what["clip_id"])
    if what["kind"] == "labels":
        return _confidence(cohort, what["clip_id"], int(what["frame"]), what["source"])
    if what["kind"] == "prediction":
        found = arm_maps.maps(what["arm"], what["seed"], what["clip_id"], int(what["frame"]))
        if found is None:
            raise ValueError(f"{what['arm']} predicted nothing of {what['clip_id']}, frame {what['frame']}")
        return found[0]
    raise ValueError(f"kind: expected clip, labels or prediction, got {what['kind']!r}")


def _confidence(cohort: Cohort, clip_id: str, frame: int, source: str) -> np.ndarray:
    table = "truth" if source == TRUTH else "labels"
    rows = getattr(cohort, table)
    rows = rows[(rows["clip_id"] == clip_id) & (rows["frame"] == frame)]
    if source.startswith(RATER):
        rows = rows[rows["rater"] == source.removeprefix(RATER)]
    wanted = pd.DataFrame({"clip_id": [clip_id], "frame": [frame]})
    maps, _ = arrays.confidence_of(replace(cohort, **{table: rows}), wanted, None, "mean", table)
    return maps[0]


# -- outcomes of patients


def outcomes_of(
    folder: Path, sf_max: float, without: Collection[str] = ()
) -> tuple[dict[str, pd.DataFrame], str]:
    """What finished task runs said about each patient, networks (seeds and folds) averaged, by task; and a
    note: "", or which runs are left out since their file is missing or cannot be read.

    without: arms that do not count. Columns: arm, model, split ('test', 'validation'), patient_id, truth,
    value, count; of values also day. What they are says each task's card (tasks/task.py); numbers as 08 has
    them. A task without a finished run is not in the result.
    """
    from lusnb.tasks import registry, scores  # whose SciPy takes half a second, which only patients wait for

    found, odd = {}, []
    for name, task in registry.TASKS.items():
        tables = []
        for run in sorted(folder.glob(f"{matrix.TASKS[name]}/*/seed*/finished")):
            path = run.with_name("predictions.csv")
            if path.parts[-3] in without:
                continue
            try:
                table = curves.read(path)
                tables += [task.card.patients(scores.tempered(table), sf_max)] if len(table) else []
            except BROKEN as error:
                odd.append(unreadable(path, error))
        if tables:
            found[name] = _over_networks(pd.concat(tables, ignore_index=True))
    remedy = "Delete the folder of such a run, and the study makes it anew."
    return found, f"Left out: {'; '.join(odd)}. {remedy}" if odd else ""


def cards(tasks: Iterable[str]) -> list[dict[str, str]]:
    """How each of some tasks is shown, in words: task, title, and task.Card.words."""
    from lusnb.tasks import registry

    titles = {name: problems.sentence(registry.TASKS[name].title) for name in tasks}
    return [{"task": name, "title": titles[name], **registry.TASKS[name].card.words} for name in tasks]


def follows_split(tasks: Mapping[str, pd.DataFrame], cohort: Cohort) -> bool:
    """Whether all that these tables (outcomes_of) hold out are test patients of the published split. Where
    they are not, everybody was held out once (cross_fitted), and that split says nothing of them."""
    published = set(cohort.patients_in("test"))
    held_out = (set(t.loc[t["split"] == "test", "patient_id"]) for t in tasks.values())
    return all(patients <= published for patients in held_out)


def _over_networks(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of truth and value over seeds and folds; each network has one row a patient (and day)."""
    same = ["arm", "model", "split", "patient_id", *(["day"] if "day" in table else [])]
    groups = table.groupby(same, sort=False)
    found = groups.agg(truth=("truth", "mean"), value=("value", "mean"), count=("count", "max"))
    return found.reset_index().sort_values([*same[2:], "arm", "model"], ignore_index=True)


def patients_card(cohort: Cohort) -> list[dict]:
    """Every patient, in table order: patient_id, split, readmitted (None where unknown), sf (day -> S/F, by
    day), clips (ids)."""
    clips = cohort.clips.groupby("patient_id", sort=False)["clip_id"].agg(list)
    exams = cohort.exams.sort_values("day")[["patient_id", "day", "sf_ratio"]].dropna()
    sf = {
        who: dict(zip(own["day"].astype(str), own["sf_ratio"], strict=True))
        for who, own in exams.groupby("patient_id")
    }
    table = cohort.patients[["patient_id", "split", "readmitted_30d"]]
    table = table.rename(columns={"readmitted_30d": "readmitted"})
    return [
        row | {"sf": sf.get(row["patient_id"], {}), "clips": clips.get(row["patient_id"], [])}
        for row in plain(table)
    ]


def plain(table: pd.DataFrame) -> list[dict]:
    """Rows of a table as plain values for a browser: what is missing or not a number becomes None."""
    return [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")]


def _plain(value: object) -> object:
    if value is None or pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
