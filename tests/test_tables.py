"""Tables 1 to 4: recomputed plainly, in order, beside what was published."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lusnb import outcomes, stats, tables

FEATURES = ("pleura", "b_line", "a_line")
ARMS = pd.DataFrame(
    {"threshold": [0.0, 0.6, 0.3], "published": [True, True, False]}, index=["t000", "t060", "t030"]
).rename_axis("arm")


def metrics(seeds: tuple[int, ...] = (0,), **blank: str) -> pd.DataFrame:
    """Random tidy metrics: 3 arms, 4 patients of 1 to 4 images, 3 features; about a quarter is undefined."""
    rng = np.random.default_rng(0)
    images = [(f"P{k}", f"P{k}_{n}") for k in range(1, 5) for n in range(k)]
    rows = []
    for arm in ARMS.index:
        for patient, clip in images:
            for feature in FEATURES:
                empty = rng.random() < 0.25  # a label-empty image, the same for all metrics and seeds
                for metric in tables.TABLE1:
                    undefined = (
                        empty and metric not in tables.PER_IMAGE or blank.get(metric) in (feature, "all")
                    )
                    for seed in seeds:
                        value = np.nan if undefined else rng.random()
                        rows.append((arm, seed, 0, patient, clip, 0, feature, metric, value))
        rows += [(arm, seed, 0, "", "", -1, "", "cut", 0.1 + 0.2 * seed) for seed in seeds]
    columns = ["arm", "seed", "fold", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def plainly(rows: pd.DataFrame, arm: str, metric: str, patients: list[str]) -> float:
    """Mean over images within a patient, over patients, over features, one loop a level."""
    rows = rows[(rows["arm"] == arm) & (rows["metric"] == metric) & rows["value"].notna()]
    by_feature = []
    for feature in FEATURES:
        own = rows[rows["feature"] == feature]
        by_patient = [own.loc[own["patient_id"] == patient, "value"].to_list() for patient in patients]
        if metric == "iou_plain":
            by_feature.append(np.mean(sum(by_patient, [])))
        else:
            by_feature.append(np.mean([np.mean(values) for values in by_patient if values]))
    return float(np.mean(by_feature))


def test_table_1_is_the_mean_within_patients_over_patients_over_features():
    rows, patients = metrics(), ["P2", "P3", "P4"]
    table = tables.segmentation(rows, patients, ARMS)
    assert list(table["arm"]) == ["t000", "t060", "t030"]
    assert list(table.columns[:3]) == ["arm", "threshold", "labels_counted"]
    for row in table.to_dict("records"):
        for metric in tables.TABLE1:
            assert row[metric] == pytest.approx(plainly(rows, row["arm"], metric, patients), rel=1e-12), (
                metric
            )
    of_test = rows[rows["patient_id"].isin(patients) & (rows["metric"] == "iou")]
    counts = of_test.groupby("arm")["value"].count()
    assert table["labels_counted"].to_list() == counts[list(ARMS.index)].to_list()
    assert (table["labels_counted"] < 27).all()
    assert table["cut"].to_list() == pytest.approx([0.1] * 3)


def test_the_plain_macro_average_is_another_number_than_the_mean_over_patients():
    rows = metrics()
    plain = rows[rows["metric"] == "iou_plain"]
    means = tables.feature_means(plain.assign(metric="iou"), ["P1", "P4"])
    ours = tables.feature_means(plain, ["P1", "P4"])
    assert (np.abs(means["value"] - ours["value"]) > 1e-3).any()
    assert ours["images"].to_list() == means["images"].to_list() == [5] * 9


def test_table_1_counts_an_image_once_whatever_the_number_of_seeds():
    one = tables.segmentation(metrics(), ["P2", "P3"], ARMS)
    three = tables.segmentation(metrics((0, 1, 2)), ["P2", "P3"], ARMS)
    rows = metrics((0, 1, 2))
    known = rows[(rows["metric"] == "iou") & rows["patient_id"].isin(["P2", "P3"])].dropna(subset="value")
    images = known.drop_duplicates(["arm", "clip_id", "feature"]).groupby("arm").size()
    assert three["labels_counted"].to_list() == images[list(ARMS.index)].to_list()
    assert three["cut"].to_list() == pytest.approx([0.3] * 3)
    assert list(one) == list(three)


def test_a_metric_that_no_image_defines_is_blank():
    table = tables.segmentation(metrics(false_area_mm2="all"), ["P2", "P3"], ARMS)
    assert table["false_area_mm2"].isna().all()
    assert table["iou"].notna().all()


def test_a_feature_that_nobody_looked_at_does_not_count():
    nobody = dict.fromkeys(tables.TABLE1, "a_line")
    rows, patients = metrics(**nobody), ["P2", "P3", "P4"]
    table = tables.segmentation(rows, patients, ARMS)
    known = rows[rows["feature"] != "a_line"]
    want = tables.segmentation(known, patients, ARMS)
    pd.testing.assert_frame_equal(table, want)


def test_published_numbers_are_the_paper_s(samples: Path):
    source = samples.parent / "paper" / "published_tables.csv"
    if not source.is_file():
        pytest.skip(f"no published tables beside the samples: {source}")
    pd.testing.assert_frame_equal(tables.published(), pd.read_csv(source))


def test_published_numbers_stand_beside_their_threshold_and_nowhere_else():
    table = tables.segmentation(metrics(), ["P2", "P3"], ARMS)
    assert table["paper_iou"].to_list()[:2] == [0.597, 0.432]
    assert table["paper_trimap_ce"].to_list()[:2] == [0.099, 0.029]
    assert np.isnan(table["paper_iou"][2])  # the paper has no arm at 30 %
    assert not [c for c in table if c.startswith("paper_") and c.endswith("_sd")]


def test_another_arm_of_a_published_threshold_has_no_published_number_beside_it():
    arms = ARMS.assign(threshold=0.6)
    table = tables.segmentation(metrics(), ["P2", "P3"], arms.assign(published=[False, True, False]))
    assert table["paper_iou"].isna().to_list() == [True, False, True]
    assert table["threshold"].to_list() == [0.6] * 3
    rows = scores("accuracy", "majority")
    table = tables.task("readmission", rows, arms.assign(published=[False, False, True]))
    printed = table[table["paper_accuracy"].notna()]
    assert list(zip(printed["model"], printed["arm"], strict=True)) == [("tsm", "t030")]


def test_the_impossible_sd_is_blank_and_its_mean_stays():
    own = pd.Series([True] * 3)
    table = tables.beside_published(pd.DataFrame({"threshold": [0.5, 0.6, 0.8]}), 2, own)
    assert table["paper_accuracy_2class"].to_list() == [0.501, 0.515, 0.504]
    assert table["paper_accuracy_2class_sd"].isna().to_list() == [False, True, False]
    assert table["paper_accuracy_3class_sd"].to_list() == [0.022, 0.033, 0.049]


# -- tables 2 to 4


def scores(metric: str, trivial: str, folds: int = 3) -> pd.DataFrame:
    """Pooled test scores: TSM of three arms and of grayscale, a trivial model and ridge beside each."""
    rng = np.random.default_rng(1)
    rows = []
    for arm in ("grayscale", "t060", "t000", "t030"):
        for model in ("tsm", trivial, *([] if arm == "grayscale" else ["ridge"])):
            for fold in range(1, folds + 1):
                value = 0.1 * fold if model == trivial else rng.random()
                rows.append((arm, model, 0, fold, "test", "", metric, value))
    return pd.DataFrame(rows, columns=[*outcomes.RUN, "patient_id", "metric", "value"])


@pytest.mark.parametrize(
    ("task", "metric", "trivial"),
    [
        ("sf_change", "accuracy_3class", "majority"),
        ("sf_ratio", "rmse_mean", "mean"),
        ("readmission", "recall", "majority"),
    ],
)
def test_rows_of_a_task_are_arms_grayscale_the_trivial_model_and_ridge(task: str, metric: str, trivial: str):
    rows = scores(metric, trivial)
    table = tables.task(task, rows, ARMS)
    arms = list(ARMS.index)
    assert list(zip(table["model"], table["arm"], strict=True)) == [
        *(("tsm", arm) for arm in [*arms, "grayscale"]),
        (trivial, ""),
        *(("ridge", arm) for arm in arms),
    ]
    for row in table[table["arm"] != ""].itertuples():
        values = rows.loc[(rows["arm"] == row.arm) & (rows["model"] == row.model), "value"].to_numpy()
        assert getattr(row, metric) == pytest.approx(values.mean())
        assert getattr(row, f"{metric}_sd") == pytest.approx(
            np.sqrt(((values - values.mean()) ** 2).sum() / 2)
        )
    assert table.loc[4, metric] == pytest.approx(0.2)
    published = tables.published()
    printed = published[(published["metric"] == metric) & (published["threshold"] == 0.6)]["mean"].item()
    assert table[f"paper_{metric}"][1] == printed
    assert table[f"paper_{metric}"].notna().to_list() == [True, True] + [False] * 6
    assert table["threshold"].notna().to_list() == [True] * 3 + [False] * 5


def test_a_task_of_one_fold_has_no_spread():
    table = tables.task("sf_ratio", scores("rmse_mean", "mean", folds=1), ARMS)
    assert len(table) == 8 and table["rmse_mean"].notna().all()
    assert "rmse_mean_sd" not in table or table["rmse_mean_sd"].isna().all()


def test_a_task_that_was_not_possible_gives_a_table_with_headers_alone():
    for task, names in tables.TASK_METRICS.items():
        table = tables.task(task, scores("accuracy", "majority")[:0], ARMS)
        assert len(table) == 0 and list(table) == ["model", "arm", "threshold", *names, *tables.COUNTS[task]]


def patient_scores() -> pd.DataFrame:
    """Two arms, two folds, two seeds, three patients: the score is fold + 10 x patient, + 100 in arm t060."""
    rows = [
        (arm, "tsm", seed, fold, "test", f"P{k}", "accuracy", fold + 10 * k + 100 * (arm == "t060"))
        for arm in ("t000", "t060")
        for seed in (0, 1)
        for fold in (1, 2)
        for k in (1, 2, 3)
    ]
    table = pd.DataFrame(rows, columns=[*outcomes.RUN, "patient_id", "metric", "value"])
    others = [table.assign(model="ridge"), table.assign(split="validation"), table.assign(patient_id="")]
    return pd.concat([table, *(other.assign(value=-9.0) for other in others)])


def test_patient_values_average_folds_and_seeds_of_the_network_s_test_scores():
    values = tables.patient_values(patient_scores(), "accuracy")
    assert values.to_dict() == {
        "t000": {"P1": 11.5, "P2": 21.5, "P3": 31.5},
        "t060": {"P1": 111.5, "P2": 121.5, "P3": 131.5},
    }


def test_differences_of_tasks_are_to_the_first_arm_with_the_patient_as_the_unit():
    empty = patient_scores()[:0]
    every = {"sf_change": empty, "sf_ratio": empty, "readmission": patient_scores()}
    (row,) = tables.task_differences(every, ["t000", "t060"], np.random.default_rng(0)).itertuples()
    assert (row.task, row.metric, row.arm, row.reference) == ("readmission", "accuracy", "t060", "t000")
    assert (row.patients, row.difference, row.attainable_p) == (3, 100, stats.attainable_p(3))
    none = tables.task_differences(dict.fromkeys(every, empty), ["t000"], np.random.default_rng(0))
    assert len(none) == 0 and {"arm", "reference", "patients", "reading"} <= set(none)


# -- words


def test_headings_say_whose_numbers_these_are():
    phantom = tables.heading(2, "phantom_quick", "phantom", 4)
    assert phantom == (
        "Table 2. Our runs on the phantom cohort phantom_quick, 4 held-out patients. "
        "A phantom is not a patient. Columns paper_*: as published."
    )
    assert tables.heading(1, "bubil", "imported", 1).startswith(
        "Table 1. Our runs on bubil, 1 held-out patient"
    )
    assert "phantom" not in tables.heading(1, "bubil", "imported", 4).lower()


EQUAL = "That arms are equal cannot be shown."
NARROW = "Intervals of {} patients are too narrow."


@pytest.mark.parametrize(
    ("patients", "images", "arms", "said"),
    [
        (
            1, 6, 2,
            "1 held-out patient, 6 labelled images: an example, not a result; nothing here tells how an arm "
            "does on another patient.",
        ),
        (
            4, 28, 7,
            "4 held-out patients, 28 labelled images: an example, not a result. No p can fall below 0.125, "
            "so neither can a difference between arms be shown nor that there is none; images of one patient "
            "are not independent.",
        ),
        (
            6, 6, 2,
            "6 held-out patients, 6 labelled images: an example, not a result. The smallest p is 0.031, "
            f"corrected for 1 comparison 0.031: a large difference can be shown. {EQUAL} {NARROW.format(6)}",
        ),
        (
            8, 40, 26,
            "8 held-out patients, 40 labelled images. The smallest p is 0.0078, corrected for 25 comparisons "
            f"0.2: no difference from the first arm can be shown. {EQUAL} {NARROW.format(8)}",
        ),
        (
            42, 466, 7,
            "42 held-out patients, 466 labelled images. The smallest p is 0.0002, corrected for 6 "
            f"comparisons 0.0012: a large difference can be shown. {EQUAL}",
        ),
    ],
)  # fmt: skip
def test_what_so_many_patients_can_show(patients: int, images: int, arms: int, said: str):
    assert tables.can_show(patients, images, arms) == said


def test_the_smallest_p_of_many_patients_is_the_one_that_the_test_reaches():
    least = stats.sign_flip(np.ones(20), np.random.default_rng(0))
    assert least == pytest.approx(2 / (stats.RESAMPLES + 1))


def test_a_patient_s_score_is_the_mean_over_features_of_the_mean_over_images():
    rows = metrics((0, 1))
    own = rows[(rows["arm"] == "t060") & (rows["metric"] == "iou") & (rows["patient_id"] == "P3")]
    found = tables.patient_scores(rows, ["P3", "P4"]).set_index(["arm", "metric", "patient_id"])["value"]
    assert found["t060", "iou", "P3"] == pytest.approx(own.groupby("feature")["value"].mean().mean())
    assert set(found.index.get_level_values("patient_id")) == {"P3", "P4"}


def test_readable_numbers_by_hand():
    table = pd.DataFrame(
        {
            "arm": ["a", "b", "c"],
            "iou": [0.12345, 0.5, np.nan],
            "iou_sd": [0.01, np.nan, np.nan],
            "n": [10, 0, 7],
        }
    )
    assert tables.rounded(table)["n"].to_list() == ["10", "0", "7"]
    shown = tables.readable(table)
    assert list(shown) == ["arm", "iou", "n"]
    assert shown["iou"].to_list() == ["0.123 ± 0.01", "0.5", ""]
    assert table["iou"][0] == 0.12345


def test_latex_escapes_names_and_holds_every_row(tmp_path: Path):
    table = pd.DataFrame({"arm": ["t_000", "t_060"], "iou_plain": [0.25, 0.125]})
    tables.write_latex(tmp_path / "table.tex", table, "Runs on phantom_quick")
    text = (tmp_path / "table.tex").read_text()
    assert r"\caption{Runs on phantom\_quick}" in text
    assert r"t\_000 & 0.25 \\" in text and r"iou\_plain" in text and r"\toprule" in text


def test_stacked_scores_name_their_task():
    one = scores("rmse_mean", "mean")
    table = tables.stacked({"sf_ratio": one, "readmission": one[:2]})
    assert table["task"].value_counts().to_dict() == {"sf_ratio": len(one), "readmission": 2}
