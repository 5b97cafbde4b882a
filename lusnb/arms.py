"""Arms: the ways of showing labels to a learner that a study compares; checked, copied, put into words."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from lusnb import confidence, params

LOSSES = {  # what each is computed on (segment/losses.py); on logits it wants the sigmoid
    "weighted_ce": "logits",
    "dice": "probabilities",
    "focal": "logits",
    "tversky": "probabilities",
    "lovasz": "logits",
    "dice_ce": "logits",
    "wing": "probabilities",
}
GRAYSCALE = "grayscale"  # a baseline arm of the tasks: they see no segmentation at all
TRUE_MASKS = "true_masks"  # the other one: they see the phantom's true masks
SEEDS = ("seed", "seed_offset")
ASIDE = (*SEEDS, "arm", "fold", "mc_samples")  # what members of one ensemble may differ in
SHARED = (  # what all arms of a profile share: said in <notebook>.yaml or by the matrix, not by an arm
    *("profile", "cohort", "arm", "seed", "fold", "inner", "protocol", "measured_on"),
    *("size", "task_size", "task_frames", "task_channels", "task_cut"),
)
NAIVE = 0.5  # the threshold that nobody thought about: labels cut where they are more likely than not
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # of an arm or a cohort: a folder's
WORDS = {  # how a parameter that differs from the notebook's default is told
    "confidence_weight": "confidence weight {}",
    "background_weight": "background weight {}",
    "loss": "loss {}",
    "merge": "raters merged by {}",
    "only_rater": "{} alone",
    "decoder": "{}",
    "encoder": "{}",
    "encoder_weights": "starts from {}",
    "epochs": "{} epochs",
    "learning_rate": "learning rate {}",
    "batch": "batches of {}",
    "interpolation": "{} interpolation",
}
AS_PUBLISHED = {  # what an arm of the paper is, at any of its seven thresholds
    "supervision": "threshold",
    "confidence_weight": "paper",
    "background_weight": "paper",
    "loss": "weighted_ce",
    "merge": "mean",
    "harmonise": False,
    "only_rater": "",
    "decoder": "FPN",
}


def check(where: str, arm: str, fields: object) -> None:
    """Check one arm of a study.yaml; where: what a message starts with.

    Raises ParameterError for a name that is taken, a missing or impossible threshold, a supervision that does
    not exist or does not take the weights given.
    """
    where = f"{where}, arm {arm}"
    if arm in (GRAYSCALE, TRUE_MASKS):
        raise params.ParameterError(f"{where}: this name is a baseline's; give the arm another one.")
    if not re.fullmatch(NAME, str(arm)):
        raise params.ParameterError(
            f"{where}: expected a name of letters, digits and _ . - that can be a folder's; rename the arm."
        )
    if not isinstance(fields, dict) or "label_threshold" not in fields:
        meant = params.near("label_threshold", fields if isinstance(fields, dict) else ())
        raise params.ParameterError(
            f"{where}: expected {{label_threshold: ...}}, got {fields!r}; "
            + (f"did you mean `label_threshold` by `{meant}`?" if meant else "add it.")
        )
    for name in fields:
        if name in SHARED:
            raise params.ParameterError(
                f"{where}: `{name}` is the same for all arms; set it in 03_train_segmentation.yaml."
            )
    params.check(where, "label_threshold", "float", fields["label_threshold"])
    for name in ("confidence_weight", "background_weight"):
        params.check(where, name, "str | float", fields.get(name, "paper"))
    params.check(where, "mc_samples", "int", fields.get("mc_samples", 0))
    if told := wrong_labels({**AS_PUBLISHED, **fields}):
        raise params.ParameterError(f"{where}: {told}")


def copies(arms: dict, count: int | None) -> dict:
    """Copies of the one arm: whatever parts them is chance, which calibrates tests between arms.

    The arms as they are where count is None.
    """
    if count is None:
        return arms
    ((name, fields),) = arms.items()
    return {f"{name}_{k + 1}": {**fields, "seed_offset": 1000 * k} for k in range(count)}


def table(asked: Mapping[str, Mapping], defaults: Mapping) -> pd.DataFrame:
    """What the arms of a study are, one row an arm, indexed by arm.

    asked: all parameters of each arm's training; defaults: of a plain arm. Columns: threshold (a fraction);
    target (the threshold of the target, blank where none cuts it); shown (in words); published (whether
    the paper has this arm, so that its numbers may stand beside); supervision; group (the first arm that
    differs from this one by its seed alone).
    """
    groups: dict[tuple, str] = {}
    rows = []
    for arm, p in asked.items():
        p = {k: float(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in p.items()}
        alike = tuple((k, repr(v)) for k, v in sorted(p.items()) if k not in ASIDE)
        rows.append(
            {
                "arm": arm,
                "threshold": float(p["label_threshold"]),
                "target": _target(p),
                "shown": words(p, defaults),
                "published": all(p[k] == v for k, v in AS_PUBLISHED.items())
                and p["label_threshold"] in confidence.THRESHOLDS,
                "supervision": p["supervision"],
                "group": groups.setdefault(alike, arm),
            }
        )
    return pd.DataFrame(rows).set_index("arm")


def _target(p: Mapping) -> float:
    cut = confidence.SUPERVISIONS[p["supervision"]].cut  # a trimap is told nothing where a rater was unsure
    return float(p["label_threshold"]) if cut else float("nan")


def pairs(arms: pd.DataFrame, asked: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Who is compared with whom, (arm, reference): the pairs asked for, or each arm with the first and with
    the naive one, no two arms twice.

    arms: of `table`. asked: each 'arm - reference'. The naive arm learns from labels cut at 50 %: that of the
    paper, else the first; where there is none, each arm is compared with the first alone.
    """
    names = list(arms.index)
    if asked:
        return named_pairs(asked, names)
    cut = arms[(arms["supervision"] == "threshold") & (arms["threshold"] == NAIVE)]
    cut = cut.sort_values("published", ascending=False, kind="stable")
    found: list[tuple[str, str]] = []
    for ref in dict.fromkeys([*names[:1], *cut.index[:1]]):
        found += [(arm, ref) for arm in names if arm != ref and (ref, arm) not in found]
    return found


def named_pairs(asked: Sequence[str], arms: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of arms that a profile names, 'arm - reference'; ValueError for an unknown arm, one arm with
    itself, or two arms twice."""
    found = [pair.split(" - ") for pair in asked]
    for k, (pair, names) in enumerate(zip(asked, found, strict=True)):
        if len(names) != 2 or not set(names) <= set(arms) or len(set(names)) == 1:
            raise ValueError(
                f"pairs: expected 'arm - reference' with two arms of {', '.join(arms)}, got {pair!r}; "
                "correct it."
            )
        if set(names) in map(set, found[:k]):
            raise ValueError(f"pairs: expected two arms once, got {pair!r} again; leave one out.")
    return [(arm, reference) for arm, reference in found]


def words(p: Mapping, defaults: Mapping) -> str:
    """One arm in words: what its learner is shown, and whatever else differs from the defaults."""
    way = confidence.SUPERVISIONS[p["supervision"]]
    said = [way.words + (f" {100 * p['label_threshold']:g} %" if way.cut else "")]
    if way.weighted and p["confidence_weight"] == p["background_weight"] == "none":
        said.append("no weights")
    else:
        weights = ("confidence_weight", "background_weight")
        said += [WORDS[k].format(_plain(p[k])) for k in weights if p[k] != "paper"]
    rest = [k for k in WORDS if k not in ("confidence_weight", "background_weight")]
    said += [WORDS[k].format(_plain(p[k])) for k in rest if p[k] != defaults[k]]
    said += ["raters harmonised"] if p["harmonise"] else []
    said += [f"seed +{p['seed_offset']:g}"] if p["seed_offset"] else []
    return ", ".join(said)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def one_of(name: str, value: object, known: Iterable[str], where: str = "") -> str:
    """What is wrong with a name that must be a known one, with the nearest; "" for nothing.

    where: words that say under what these are the known ones.
    """
    known = list(known)
    if value in known:
        return ""
    near = params.near(value, known)
    hint = f"; did you mean {near}?" if near else "."
    return f"{name}: expected one of {', '.join(known)}{where}, got {value!r}{hint}"


def wrong_labels(arm: Mapping) -> str:
    """What is wrong with how an arm shows its labels: supervision, weights, loss, merge; "" for nothing."""
    if told := one_of("supervision", arm["supervision"], confidence.SUPERVISIONS):
        return told
    try:
        way = confidence.supervision(arm)
        confidence.weights(np.array([0.5]), 0.5, arm["confidence_weight"], arm["background_weight"])
    except ValueError as error:
        return str(error)
    losses = [name for name, on in LOSSES.items() if on == "probabilities" or way.activation == "sigmoid"]
    merges = ("mean",) if way.raters_apart else params.MERGES  # there, nothing is merged
    under = f" under {arm['supervision']}"
    return one_of("loss", arm["loss"], losses, under) or one_of("merge", arm["merge"], merges, under)
