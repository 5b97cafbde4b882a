"""Arms of a study: what is refused, which are the paper's, which differ by their seed alone."""

import numpy as np
import pandas as pd
import pytest

from lusnb import arms, confidence, params
from lusnb.compare import measured
from lusnb.segment import losses, predict, segmenter
from tests.frames import ROLES

PLAIN = {
    "arm": "x", "supervision": "threshold", "label_threshold": 0.6, "confidence_weight": "paper",
    "background_weight": "paper", "loss": "weighted_ce", "merge": "mean", "harmonise": False,
    "only_rater": "", "decoder": "FPN", "encoder": "mobilenet_v2", "interpolation": "nearest",
    "encoder_weights": "none", "seed": 0, "seed_offset": 0, "fold": 0, "mc_samples": 0, "epochs": 4,
    "learning_rate": 0.003, "batch": 4,
}  # fmt: skip


def told(**change: object) -> dict:
    return arms.table({"x": PLAIN | change}, PLAIN).loc["x"].to_dict()


@pytest.mark.parametrize(
    ("change", "words", "published"),
    [
        ({}, "threshold 60 %", True),
        ({"label_threshold": 0.0}, "threshold 0 %", True),
        ({"label_threshold": 0.3}, "threshold 30 %", False),
        ({"background_weight": 0.2}, "threshold 60 %, background weight 0.2", False),
        ({"confidence_weight": "none", "background_weight": "none"}, "threshold 60 %, no weights", False),
        ({"loss": "dice_ce"}, "threshold 60 %, loss dice_ce", False),
        ({"merge": "staple"}, "threshold 60 %, raters merged by staple", False),
        ({"supervision": "soft"}, "confidence itself", False),
        ({"only_rater": "R_b"}, "threshold 60 %, R_b alone", False),
        ({"supervision": "rater"}, "one rater drawn at each step, threshold 60 %", False),
        ({"decoder": "Unet"}, "threshold 60 %, Unet", False),
        ({"encoder": "resnet34"}, "threshold 60 %, resnet34", True),  # the paper names no encoder
        ({"epochs": 7}, "threshold 60 %, 7 epochs", True),
        ({"encoder_weights": "phantom"}, "threshold 60 %, starts from phantom", True),
        ({"interpolation": "linear"}, "threshold 60 %, linear interpolation", True),
        ({"harmonise": True}, "threshold 60 %, raters harmonised", False),
        ({"seed_offset": 1000}, "threshold 60 %, seed +1000", True),
    ],
)
def test_arms_in_words_and_whether_the_paper_has_them(change: dict, words: str, published: bool):
    found = told(**change)
    assert (found["shown"], found["published"]) == (words, published)


def test_arms_that_differ_by_their_seed_alone_are_one_group():
    asked = {
        "a": PLAIN,
        "b": PLAIN | {"arm": "b", "seed_offset": 1000, "mc_samples": 5},
        "c": PLAIN | {"loss": "dice"},
        "d": PLAIN | {"arm": "d", "seed_offset": 2000},
    }
    assert arms.table(asked, PLAIN)["group"].to_dict() == {"a": "a", "b": "a", "c": "c", "d": "a"}


def test_each_arm_is_compared_with_the_first_and_the_naive_one_no_two_twice():
    def pairs(**ways: tuple[str, float]) -> list[str]:
        asked = {
            name: PLAIN | {"arm": name, "supervision": supervision, "label_threshold": threshold}
            for name, (supervision, threshold) in ways.items()
        }
        return [" - ".join(pair) for pair in arms.pairs(arms.table(asked, PLAIN))]

    cut, soft = "threshold", "soft"
    assert pairs(a=(cut, 0.0), b=(cut, 0.5), c=(cut, 0.6)) == ["b - a", "c - a", "c - b"]
    assert pairs(a=(cut, 0.5), b=(soft, 0.5), c=(cut, 0.6)) == [
        "b - a",
        "c - a",
    ]  # the first is naive
    assert pairs(a=(cut, 0.0), b=(soft, 0.5)) == ["b - a"]  # 50 % is where it is measured
    assert pairs(a=(cut, 0.5)) == []


def test_of_two_naive_arms_the_paper_s_is_the_reference():
    asked = {name: PLAIN | {"arm": name, "label_threshold": 0.5} for name in ("plain", "own")}
    asked["plain"] |= {"confidence_weight": "none", "background_weight": "none"}
    asked = {"first": PLAIN | {"label_threshold": 0.0}} | asked
    table = arms.table(asked, PLAIN)
    assert arms.pairs(table) == [("plain", "first"), ("own", "first"), ("plain", "own")]
    assert arms.pairs(table, ["own - plain"]) == [("own", "plain")]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["a-b"], "expected 'arm - reference' with two arms of a, b, got 'a-b'; correct it"),
        (["a - c"], "expected 'arm - reference' with two arms of a, b, got 'a - c'"),
        (["a - a"], "expected 'arm - reference' with two arms of a, b, got 'a - a'"),
        (["a - b", "b - a"], "expected two arms once, got 'b - a' again; leave one out"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(asked: list[str], text: str):
    with pytest.raises(ValueError, match=text):
        arms.pairs(arms.table({name: PLAIN | {"arm": name} for name in "ab"}, PLAIN), asked)


@pytest.mark.parametrize(
    ("supervision", "target"),
    [
        *(("threshold", 0.6), ("smoothed", 0.6), ("rater", 0.6), ("consensus", 0.6)),
        *(("soft", None), ("softseg", None), ("sampled", None)),  # graded
        ("trimap", None),  # told nothing of pixels where the rater was unsure
    ],
)
def test_an_arm_estimates_labels_at_its_threshold_where_that_cuts_its_target(supervision, target):
    found = told(supervision=supervision)["target"]
    assert found == target if target is not None else np.isnan(found)


# -- pairs


def asked_for(*names: str, **change: dict) -> pd.DataFrame:
    """Arms at the threshold of their names, t000 to t100, in this order; fields of some changed."""
    fields = {n: PLAIN | {"arm": n, "label_threshold": int(n[1:4]) / 100} | change.get(n, {}) for n in names}
    return arms.table(fields, PLAIN)


def test_each_arm_is_held_against_the_first_and_against_the_naive_one():
    found = arms.pairs(asked_for("t000", "t020", "t050", "t060"))
    assert found == [
        ("t020", "t000"), ("t050", "t000"), ("t060", "t000"),
        ("t020", "t050"), ("t060", "t050"),
    ]  # fmt: skip
    assert arms.pairs(asked_for("t000", "t050")) == [("t050", "t000")]
    assert arms.pairs(asked_for("t050")) == []


@pytest.mark.parametrize("asked", [None, []])
def test_without_a_naive_arm_the_first_alone_is_the_reference(asked):
    assert arms.pairs(asked_for("t000", "t060"), asked) == [("t060", "t000")]
    soft = asked_for("t000", "t060", "t050", t050={"supervision": "soft"})  # measured at 50 %, not cut there
    assert arms.pairs(soft, asked) == [("t060", "t000"), ("t050", "t000")]


def test_a_naive_arm_that_comes_first_is_one_reference():
    found = arms.pairs(asked_for("t050", "t000", "t060"))
    assert found == [("t000", "t050"), ("t060", "t050")]


def test_copies_of_the_naive_arm_are_held_against_one_of_them():
    copies = arms.copies({"t050": {"label_threshold": 0.5}}, 5)
    table = arms.table({name: PLAIN | fields for name, fields in copies.items()}, PLAIN)
    assert table["published"].all()
    assert arms.pairs(table) == [(f"t050_{k}", "t050_1") for k in (2, 3, 4, 5)]
    some = {"t000": {"label_threshold": 0.0}, **copies}
    table = arms.table({name: PLAIN | fields for name, fields in some.items()}, PLAIN)
    assert {reference for _, reference in arms.pairs(table)} == {"t000", "t050_1"}
    assert len(arms.pairs(table)) == 5 + 4


SEVEN = ("t000", "t020", "t040", "t050", "t060", "t080", "t100")


@pytest.mark.parametrize("names", [SEVEN, ("t050", "t000")])
def test_no_pair_is_tested_twice_in_either_direction(names):
    found = [frozenset(pair) for pair in arms.pairs(asked_for(*names))]
    assert len(set(found)) == len(found) == (11 if len(names) == 7 else 1)
    assert all(len(pair) == 2 for pair in found)


def test_pairs_that_are_asked_for_are_those():
    table = asked_for("t000", "t050", "t060")
    assert arms.pairs(table, ["t060 - t050", "t000 - t060"]) == [("t060", "t050"), ("t000", "t060")]


NO_PAIRS = ["t060-t050", "t060 - t070", "t060", "t060 - t060", "a - b - c", "-", " - "]


@pytest.mark.parametrize("wrong", NO_PAIRS)
def test_a_pair_of_no_two_arms_is_told_with_the_arms_there_are(wrong):
    said = f"pairs: expected 'arm - reference' with two arms of t050, t060, got '{wrong}'; correct it."
    with pytest.raises(ValueError) as raised:
        arms.pairs(asked_for("t050", "t060"), ["t060 - t050", wrong])
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"supervision": "soft"}, r"here, arm x: expected \{label_threshold: ...\}, got"),
        ({"label_threshold": 60}, "label_threshold: expected a fraction from 0 to 1 .*, got 60"),
        (
            {"label_threshold": 0.5, "supervision": "smooth"},
            "here, arm x: supervision: expected one of .*'smooth'",
        ),
        (
            {"label_threshold": 0.5, "supervision": "soft", "background_weight": 0.1},
            "beside supervision soft",
        ),
        ({"label_threshold": 0.5, "confidence_weight": "linear"}, "confidence_weight: expected .*'linear'"),
        ({"label_threshold": 0.5, "background_weight": True}, "expected str | float, got True"),
        (
            {"label_threshold": 0.5, "supervision": ["soft"]},
            r"supervision: expected one of .*, got \['soft'\]",
        ),
        (
            {"label_threshold": 0.5, "supervision": "softseg"},
            "loss: expected one of dice, tversky, wing under s",
        ),
        ({"label_threshold": 0.5, "loss": "hinge"}, "loss: expected one of weighted_ce, .*, got 'hinge'"),
        ({"label_threshold": 0.5, "merge": "median"}, "merge: expected one of mean, majority, .*'median'"),
        (
            {"label_threshold": 0.5, "supervision": "rater", "merge": "staple"},
            "merge: expected one of mean under rater, got 'staple'",
        ),
        ({"label_threshold": 0.5, "mc_samples": -2}, "mc_samples: expected 0 or more, got -2"),
        (
            {"label_threshold": 0.5, "size": 128},
            "`size` is the same for all arms; set it in 03_",
        ),
    ],
)
def test_arms_that_cannot_be_trained_stop_before_anything_runs(fields: dict, text: str):
    with pytest.raises(params.ParameterError, match=text):
        arms.check("here", "x", fields)


@pytest.mark.parametrize("name", ["../z", "a/b", "", ".hidden", "a b", "<b>"])
def test_a_name_that_could_not_be_a_folder_s_is_refused(name):
    with pytest.raises(params.ParameterError, match="expected a name of letters, digits and _ . -"):
        arms.check("here", name, {"label_threshold": 0.5})


def test_the_losses_that_an_arm_may_name_are_those_there_are():
    assert list(losses.FORMS) == list(arms.LOSSES)


def test_the_baseline_s_name_is_taken():
    with pytest.raises(params.ParameterError, match="this name is a baseline's"):
        arms.check("here", arms.GRAYSCALE, {"label_threshold": 0.5})


def test_a_new_way_of_showing_labels_is_one_function_and_one_line(data, params_of, monkeypatch):
    """Half of the confidence as the target: checked, put into words, trained, chosen and measured."""
    new = confidence.Supervision(lambda c, arm, draw: (c / 2, c * 0 + 1), "half of confidence", graded=True)
    monkeypatch.setitem(confidence.SUPERVISIONS, "half", new)
    fields = {"supervision": "half", "label_threshold": 0.5}
    arms.check("here", "half", fields)
    assert told(**fields)["shown"] == "half of confidence"
    asked = params_of(**fields, epochs=2, batch=4, size=64, learning_rate=0.01)
    trained = segmenter.train(data, ROLES, asked)
    found = predict.labelled(trained[0], data, ROLES, asked)
    c = data.confidence[found.held_out].float() / 255
    spacing = [data.spacing[n] for n in found.held_out]
    scores = measured.evaluate(found.logits[len(found.validation) :], c, asked, spacing, found.cut)
    mean = {name: np.nanmean(scores[name]) for name in ("iou", "weighted_ce", "ce")}
    assert np.isfinite(list(mean.values())).all() and mean["weighted_ce"] != mean["ce"]
