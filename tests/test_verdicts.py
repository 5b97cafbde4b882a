"""Verdicts: hand-worked tables whose sentences are known; ties, one arm, few patients and nothing at all."""

import numpy as np
import pandas as pd
import pytest

from lusnb import stats
from lusnb.compare import arms as compare_arms
from lusnb.compare import tasks
from lusnb.report import task_verdicts, verdicts
from tests.guesses import TIDY

SHOWN = {
    "t000": "threshold 0 %",
    "t050": "threshold 50 %",
    "t060": "threshold 60 %",
    "t080": "threshold 80 %",
}
GIVEN = (
    "Intervals are not corrected for the number of comparisons. Intervals and p are conditional on these "
    "trained models. The largest of several means or leads is overstated on average, since these same "
    "patients chose it."
)
NEEDED = (
    "Patients needed: paired t-test, 80 % power, two-sided 5 % divided by the number of comparisons, if mean "
    "and SD of the difference are as here."
)
BLANK = "Too few trainings to say anything about retrained arms: p_retrained is blank."


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def arms_of(*names: str) -> pd.DataFrame:
    table = {"shown": [SHOWN[name] for name in names], "threshold": [int(name[1:]) / 100 for name in names]}
    return pd.DataFrame(table, index=pd.Index(names, name="arm")).assign(
        supervision="threshold", published=True
    )


def scored(**values: dict[str, list[float]]) -> pd.DataFrame:
    """metric=arm -> a value a patient, as averages.patient_scores leaves them."""
    rows = [
        (arm, metric, f"P{k:02}", value)
        for metric, own in values.items()
        for arm, column in own.items()
        for k, value in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "patient_id", "value"])


def verdict(by_patient: pd.DataFrame, names: list[str], pairs: list[str] | None = None) -> list[str]:
    arms, means = arms_of(*names), compare_arms.intervals(by_patient, rng())
    compared = compare_arms.differences(by_patient, arms, rng(), pairs)
    return verdicts.of_arms(by_patient, means, compared, arms, 0.5).split("\n")


# Eight patients. t060 is 0.1 better than t000 in each, and now better, now worse than t050: the mean is 0.01.
FLAT = [0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64]
WAVE = [0.05, -0.03, 0.05, -0.03, 0.05, -0.03, 0.05, -0.03]
EIGHT = {
    "t000": [value - 0.1 + 0.001 * k for k, value in enumerate(FLAT)],
    "t050": [value - wave for value, wave in zip(FLAT, WAVE, strict=True)],
    "t060": FLAT,
}


def test_who_is_highest_over_whom_that_is_shown_and_how_many_patients_the_rest_would_need():
    own = {arm: [value - 0.02 * (arm == "t060") for value in column] for arm, column in EIGHT.items()}
    said = verdict(scored(iou=EIGHT, iou_fixed=own), ["t000", "t050", "t060"])
    low, high = stats.interval(np.array(FLAT), rng())
    assert said[0] == (
        f"IoU against the labels at 50 %, own cuts, 8 patients: t060 has the highest mean, 0.570 "
        f"[{low:.3f}, {high:.3f}]; shown to be better than t000, not shown to be better than t050."
    )
    # SD of WAVE: 0.04 * sqrt(8 / 7); effect 0.2339; at 0.05 / 3 and 80 % power 195 or so
    assert said[1].startswith("  t060 (threshold 60 %) less t050 (threshold 50 %): 0.01 (95 % interval -0.")
    assert said[1].endswith("not shown. To show it, about 200 patients would be needed (rough: from 8).")
    assert said[2].startswith("  t060 (threshold 60 %) less t000 (threshold 0 %): 0.0965 (95 % interval 0.09")
    assert said[2].endswith("corrected p 0.023); shown.")  # 2 / 2^8, times the three pairs
    assert said[3] == "  Shown to differ: 2 of 3 tested pairs (t060 over t000; t050 over t000)."
    assert said[4].startswith("  Cut at 0.5, t050 has the highest mean, 0.560 [")
    assert said[4].endswith("]: not the same as at own cuts.")
    assert said[5:] == [NEEDED, GIVEN]


def test_the_truth_leads_where_it_is_known():
    swapped = {"t000": FLAT, "t050": EIGHT["t000"]}
    said = verdict(scored(iou=swapped, truth_iou={"t000": EIGHT["t000"], "t050": FLAT}), ["t000", "t050"])
    first = [line for line in said if "own cuts, 8 patients" in line]
    assert first[0].startswith(
        "IoU against the truth, own cuts, 8 patients: t050 has the highest mean, 0.570"
    )
    assert first[1].startswith(
        "IoU against the labels at 50 %, own cuts, 8 patients: t000 has the highest mean"
    )
    # t000 is the reference of the tested pair: its lead is the pair turned round
    assert "  t000 (threshold 0 %) less t050 (threshold 50 %): 0.0965 (95 % interval 0.09" in "\n".join(said)
    assert all("shown to be better than" in line and "not shown" not in line for line in first)


def test_a_lead_that_no_tested_pair_holds_is_said_to_be_untested():
    said = verdict(scored(iou=EIGHT), ["t000", "t050", "t060"], ["t050 - t000"])
    assert said[0].endswith("; no tested pair compares t060 with the runner-up or a reference.")
    assert said[1] == "  The lead over t050 (threshold 50 %) is 0.01; this pair was not tested."
    assert said[2] == "  The lead over t000 (threshold 0 %) is 0.0965; this pair was not tested."
    assert said[3] == "  Shown to differ: 1 of 1 tested pair (t050 over t000)." and len(said) == 4


def test_shown_pairs_go_by_size_with_the_better_arm_first():
    apart = {arm: [v + by + 0.001 * (k % 3) * by for k, v in enumerate(FLAT)] for arm, by in zip(
        ("t000", "t050", "t060"), (0.0, -0.3, 0.1), strict=True)}  # fmt: skip
    shown = " (t060 over t050; t000 over t050; t060 over t000)."
    assert verdict(scored(iou=apart), list(apart))[3] == f"  Shown to differ: 3 of 3 tested pairs{shown}"


def test_the_highest_mean_of_other_patients_is_not_shown_to_be_better():
    """t060 is worse in each patient that both have; a ninth, whom it alone has, lifts its mean."""
    both = {"t050": [*FLAT, np.nan], "t060": [*(value - 0.01 for value in FLAT), 1.0]}
    said = verdict(scored(iou=both).dropna(), ["t050", "t060"])
    assert "t060 has the highest mean" in said[0] and "; not shown to be better than t050." in said[0]
    assert "less t050 (threshold 50 %): -0.01 (" in said[1] and "; not shown." in said[1]
    assert said[2] == "  Shown to differ: 1 of 1 tested pair (t050 over t060)."


def test_more_pairs_than_so_few_patients_can_show():
    six = {f"t{k:03}": [k / 1000 + 0.1 * n for n in range(6)] for k in (0, 50, 60)}
    six["t000"] = [value - 0.01 * (n + 1) for n, value in enumerate(six["t000"])]
    said = verdict(scored(iou=six), ["t000", "t050", "t060"])
    assert "not shown to be better than t050 or t000." in said[0]
    # every difference points the same way, and 2 / 2^6 times three pairs is 0.094; seven could show it
    assert said[1].endswith(
        "(no interval, corrected p 0.094); not shown. To show it, about 7 patients would be needed "
        "(rough: from 6); with 6 no corrected p can be below 0.094."
    )
    assert said[3] == "  Shown to differ: 0 of 3 tested pairs."


def test_under_six_patients_no_arm_is_claimed_to_be_better():
    four = {arm: column[:4] for arm, column in EIGHT.items()}
    said = verdict(scored(iou=four, iou_fixed=four), ["t000", "t050", "t060"])
    assert said == [
        "IoU against the labels at 50 %, own cuts, 4 patients: t060 has the highest mean, 0.530. Under 6 "
        "patients nothing is claimed: with 3 comparisons it takes at least 7 patients to show even a large "
        "difference.",
        "  Cut at 0.5, t060 has the highest mean, 0.530: the same as at own cuts.",
    ]
    one = {arm: column[:1] for arm, column in EIGHT.items()}
    assert (
        "own cuts, 1 patient: t060 has the highest mean, 0.500. Under 6"
        in verdict(scored(iou=one), ["t000", "t050", "t060"])[0]
    )


def test_one_arm_is_compared_with_nobody():
    assert verdict(scored(iou={"t060": FLAT[:2]}, iou_fixed={"t060": FLAT[:2]}), ["t060"]) == [
        "IoU against the labels at 50 %, own cuts, 2 patients: t060 has a mean of 0.510. It is the only arm, "
        "so nothing is compared."
    ]


def test_arms_that_tie_share_the_highest_mean():
    tied = {"t000": EIGHT["t000"], "t050": FLAT, "t060": FLAT}
    said = verdict(
        scored(iou=tied, iou_fixed={"t000": FLAT, "t050": FLAT, "t060": FLAT}), ["t000", "t050", "t060"]
    )
    assert "8 patients: t050 and t060 share the highest mean, 0.570 [" in said[0]
    assert said[0].endswith("]; t050 is shown to be better than t000.")
    assert "  Cut at 0.5, t000, t050 and t060 share the highest mean, 0.570 [" in said[3]
    assert said[3].endswith("not the same as at own cuts.")
    alike = verdict(scored(iou={"t050": FLAT, "t060": FLAT}), ["t050", "t060"])
    assert alike[0].endswith("]: all arms are alike in it.") and len(alike) == 1


def test_no_scores_and_blank_scores_are_said():
    nothing = "No arm has an IoU on a held-out patient: nothing is compared."
    assert verdict(scored(), ["t000", "t060"]) == [nothing]
    assert verdict(scored(surface_dice={"t000": FLAT}), ["t000"]) == [nothing]


# -- tasks


def task_scores(task: str, values: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """(model, arm) -> a value a patient, in the leading score and in that of baselines; one training."""
    each = {"sf_change": "accuracy_2class_cross_day", "sf_ratio": "mse_mean", "readmission": "accuracy"}[task]
    against = {"sf_change": "brier_cross_day", "sf_ratio": "mse_mean", "readmission": "brier"}[task]
    rows = [
        (arm, model, 0, 1, "test", f"P{k:02}", metric, 1 - value if metric == "accuracy" else value)
        for (model, arm), column in values.items()
        for metric in dict.fromkeys((each, against))
        for k, value in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=TIDY)


def task_verdict(scores: dict[str, pd.DataFrame], names: list[str], lacks: dict | None = None) -> list[str]:
    tables = {task: scores.get(task, pd.DataFrame()) for task in ("sf_change", "sf_ratio", "readmission")}
    against = tasks.against_baselines(tables, names, rng())
    compared = tasks.differences(tables, arms_of(*names), rng())
    return task_verdicts.of_tasks(tables, against, compared, lacks or {}).split("\n")


def shifted(by: float, patients: int = 12) -> list[float]:
    """A patient's squared errors: those of the mean less `by`, in each patient a little otherwise."""
    return [0.5 - by + 0.001 * (k % 3) * (by != 0) for k in range(patients)]


NONE = "Not asked by this profile, or of nobody held out: S/F change, readmission."


def test_an_arm_that_beats_the_mean_the_network_without_masks_and_its_reference():
    values = {("mean", "t000"): shifted(0), ("tsm", "t000"): shifted(-0.1), ("tsm", "t060"): shifted(0.1)}
    values |= {("tsm", "grayscale"): shifted(0), ("ridge", "t060"): shifted(0.05)}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", values)}, ["t000", "t060"])
    error = "squared error of S/F / maximum"
    assert said[0] == "S/F ratio, 12 patients:"
    assert said[1].startswith(
        f"  Does anything beat the training mean ({error})? Shown: t060 by 0.099 (95 % interval 0.0985 to "
        "0.0995, corrected p 0.0029); ridge on t060 by 0.049 ("
    )
    assert said[1].endswith(" Shown to be worse: t000.")
    assert said[2].startswith(
        f"  Does an arm beat the network without masks ({error})? Shown: t060 by 0.099 ("
    )
    assert said[3] == (
        f"  Do arms differ ({error})? Shown: t060 over t000 by 0.2 (no interval, corrected p 0.00049), "
        "unknown for retrained arms."
    )
    assert said[4:] == [NONE, GIVEN, BLANK]


def test_nothing_beats_the_mean_and_how_many_patients_it_would_take():
    wave = [0.5 - wave for wave in WAVE]
    values = {("mean", "t060"): [0.5] * 8, ("tsm", "t060"): wave, ("tsm", "t000"): [0.6] * 8}
    values |= {("tsm", "true_masks"): [0.55] * 8}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", values)}, ["t000", "t060"])
    # five comparisons: both arms and the true masks with the mean, both arms with the true masks
    differences = np.array(WAVE)
    number = stats.patients_needed(differences, level=0.05 / 5)
    assert 210 < number < 225
    assert "? Not shown. Largest lead: t060 by 0.01 (95 % interval -0." in said[1]
    assert said[1].endswith(
        "To show it, about 220 patients would be needed (rough: from 8). Shown to be worse: t000."
    )
    assert said[2] == (
        "  Does anything with the true masks beat the training mean (squared error of S/F / maximum)? "
        "Not shown; none has a better mean. Shown to be worse: true masks."
    )
    assert said[3].endswith(
        ", unknown for retrained arms, though t060 is not shown to beat the trivial model."
    )


def test_a_shown_difference_says_whether_arms_trained_anew_differ():
    rows = pd.DataFrame({"task": ["sf_ratio"] * 3, "metric": "mse_mean", "arm": ["t050", "t060", "t080"]})
    limits = {"low": [-0.3, 0.05, -0.1], "high": [-0.1, 0.2, 0.1]}
    rows = rows.assign(reference="t000", patients=20, difference=[-0.2, 0.1, 0.01], **limits)
    rows = rows.assign(p_holm=[0.002, 0.002, 0.9], p_retrained=[0.01, 0.3, 0.8])
    scores = {"sf_ratio": task_scores("sf_ratio", {("tsm", "t000"): shifted(0, 20)})}
    said = task_verdicts.of_tasks(scores, pd.DataFrame(columns=tasks.COMPARED), rows, {}).split("\n")
    assert said[1] == (
        "  Do arms differ (squared error of S/F / maximum)? Shown: t000 over t050 by 0.2 (95 % interval 0.1 "
        "to 0.3, corrected p 0.002), also shown for retrained arms, though t000 is not shown to beat the "
        "trivial model; t060 over t000 by 0.1 (95 % interval 0.05 to 0.2, corrected p 0.002), not shown for "
        "retrained arms, though t060 is not shown to beat the trivial model."
    )
    both = "Shown both for these trained models and for retrained arms (p_retrained): {} of 3 pairs."
    assert said[-1] == both.format(1)
    rows = rows.assign(p_holm=[0.002, 0.002, 0.9], p_retrained=[0.06, np.nan, 0.01])  # never both
    assert task_verdicts.of_tasks(scores, pd.DataFrame(columns=tasks.COMPARED), rows, {}).endswith(
        both.format(0)
    )


def test_few_patients_alike_arms_one_arm_and_tasks_that_did_not_run():
    few = {("mean", "t060"): [0.5] * 4, ("tsm", "t060"): [0.1] * 4, ("tsm", "t000"): [0.6] * 4}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", few)}, ["t000", "t060"])
    assert said == [
        "S/F ratio: 4 patients. Under 6 patients nothing is claimed: with 2 comparisons it takes at least 7 "
        "patients to show even a large difference.",
        NONE,
    ]
    alike = {("tsm", "t060"): [0.5] * 8, ("tsm", "t000"): [0.5] * 8, ("mean", "t000"): [0.5] * 8}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", alike)}, ["t000", "t060"])
    assert said[1].endswith("? Not shown; none has a better mean.")
    assert said[2].endswith("? Not shown; every mean difference is 0.")
    alone = {("mean", "t060"): [0.5] * 8, ("tsm", "t060"): [0.6] * 8}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", alone)}, ["t060"])
    assert said[2] == "  Do arms differ? There are no two arms to compare." and said[-1] == NONE
    lacks = {"sf_change": ["no clip has an S/F ratio"], "sf_ratio": ["the same"], "readmission": []}
    assert task_verdict({}, ["t000", "t060"], lacks) == [
        "Not possible with this cohort: S/F change, S/F ratio.",
        "Not asked by this profile, or of nobody held out: readmission.",
    ]


def test_a_blank_score_is_no_comparison():
    blank = {("mean", "t060"): [np.nan] * 8, ("tsm", "t060"): [np.nan] * 8, ("tsm", "t000"): [np.nan] * 8}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", blank)}, ["t000", "t060"])
    assert said == ["S/F ratio: no held-out patient has a value to compare.", NONE]


@pytest.mark.parametrize("mean", [1e-6, 1e-3])
def test_a_difference_of_nearly_0_asks_for_more_patients_than_can_be_had(mean: float):
    wave = np.array([1, -1] * 10) + mean
    values = {("mean", "t060"): [2.0] * 20, ("tsm", "t060"): (2 - wave).tolist()}
    said = task_verdict({"sf_ratio": task_scores("sf_ratio", values)}, ["t060"])
    assert said[1].endswith("To show it, more than 10,000 patients would be needed.")


def alone(**iou: float) -> pd.DataFrame:
    """threshold in per cent -> IoU of the labels there, as truth.labels_alone leaves it."""
    rows = [("all", int(name[1:]) / 100, value) for name, value in iou.items()]
    return pd.DataFrame([*rows, ("b_line", 0.5, 0.99)], columns=["feature", "threshold", "iou"])


def test_what_labels_reach_without_a_learner_stands_beside_the_best_arm():
    means = compare_arms.intervals(scored(truth_iou={"t020": [0.4] * 6, "t050": [0.3] * 6}), rng())
    assert verdicts.of_labels(alone(t020=0.45, t040=0.5, t050=0.48), means) == (
        "Without a learner, the labels themselves, at their own size, come closest to the truth of these "
        "patients at 40 %: IoU 0.500; the best arm's is 0.400. Both are the best of several on these same "
        "patients."
    )
    assert "at 20 % and 40 %: IoU 0.500" in verdicts.of_labels(alone(t020=0.5, t040=0.5), means)


@pytest.mark.parametrize(
    "labels, metric", [(alone(), "truth_iou"), (alone(t020=np.nan), "truth_iou"), (alone(t020=0.5), "iou")]
)
def test_without_the_truth_nothing_is_said_of_how_near_labels_come(labels, metric):
    means = compare_arms.intervals(scored(**{metric: {"t020": [0.4] * 6}}), rng())
    assert verdicts.of_labels(labels, means) == "How near the labels come to the truth is not known here."
