"""Table 1: recomputed plainly, in order, beside what was published; and the words that all tables share."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lusnb import stats
from lusnb.report import tables
from lusnb.segment import averages

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
                        empty and metric not in averages.PLAIN or blank.get(metric) in (feature, "all")
                    )
                    for seed in seeds:
                        value = np.nan if undefined else rng.random()
                        rows.append((arm, seed, 0, patient, clip, 0, feature, metric, value))
        rows += [(arm, seed, 0, "", "", -1, "", "cut", 0.1 + 0.2 * seed) for seed in seeds]
    columns = ["arm", "seed", "fold", "patient_id", "clip_id", "frame", "feature", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def plainly(rows: pd.DataFrame, arm: str, metric: str, patients: list[str]) -> float:
    """Images, a patient's mean of a feature, the patient's mean over its features, patients: a loop a level.

    Of the plain macro average: all images of a feature alike, then features.
    """
    rows = rows[(rows["arm"] == arm) & (rows["metric"] == metric) & rows["value"].notna()]
    plain = metric in ("iou_plain", "iou_plain_fixed")
    means = []
    for one in FEATURES if plain else patients:
        own = rows[rows["feature" if plain else "patient_id"] == one]
        if plain:
            means.append(np.mean(own.loc[own["patient_id"].isin(patients), "value"].to_list()))
        else:
            groups = [own.loc[own["feature"] == feature, "value"].to_list() for feature in FEATURES]
            means.append(np.mean([np.mean(values) for values in groups if values]))
    return float(np.mean(means))


def test_table_1_is_the_mean_over_images_features_and_patients():
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
    means = averages.macro(plain.assign(metric="iou"), ["P1", "P4"])["iou"]  # patients of 1 and of 4 images
    ours = averages.macro(plain, ["P1", "P4"])["iou_plain"]
    assert (np.abs(means - ours) > 1e-3).any()
    images = plain[plain["patient_id"].isin(["P1", "P4"])].groupby("arm")["value"].mean()
    pd.testing.assert_series_equal(ours.sort_index(), images, check_names=False)  # as many of each feature


def test_a_feature_s_score_is_the_mean_over_patients_of_their_means_over_images():
    rows, patients = metrics(), ["P2", "P3", "P4"]
    table = averages.feature_means(rows, patients).set_index(["arm", "metric", "feature"])
    for (arm, metric, feature), row in table.iterrows():
        own = rows[(rows["arm"] == arm) & (rows["metric"] == metric) & (rows["feature"] == feature)]
        own = own[own["patient_id"].isin(patients)].dropna(subset="value")
        means = [own.loc[own["patient_id"] == patient, "value"].mean() for patient in patients]
        assert row["value"] == pytest.approx(np.nanmean(means), rel=1e-12)
        assert (row["images"], row["patients"]) == (len(own), np.isfinite(means).sum())


def test_a_patient_who_lacks_features_counts_as_much_as_one_who_has_them_all():
    """P1 has one feature, P2 has two: by hand, and not the mean over features of means over patients."""
    rows = [("P1", "a", 0.2), ("P2", "a", 0.4), ("P2", "a", 0.6), ("P2", "b", 0.9), ("P1", "b", np.nan)]
    table = pd.DataFrame(rows, columns=["patient_id", "feature", "value"]).assign(arm="x", metric="iou")
    scores = averages.patient_scores(table, ["P1", "P2"]).set_index("patient_id")["value"]
    assert scores.to_dict() == pytest.approx({"P1": 0.2, "P2": 0.7})
    assert averages.macro(table, ["P1", "P2"]).at["x", "iou"] == pytest.approx(0.45)  # not (0.35 + 0.9) / 2


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


def test_the_impossible_sd_is_blank_and_its_mean_stays():
    own = pd.Series([True] * 3)
    table = tables.beside_published(pd.DataFrame({"threshold": [0.5, 0.6, 0.8]}), 2, own)
    assert table["paper_accuracy_2class"].to_list() == [0.501, 0.515, 0.504]
    assert table["paper_accuracy_2class_sd"].isna().to_list() == [False, True, False]
    assert table["paper_accuracy_3class_sd"].to_list() == [0.022, 0.033, 0.049]


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


def test_a_heading_says_who_predicted_whom_where_everybody_is_held_out_once():
    who = "12 held-out patients, each predicted once, by models that never saw them."
    said = tables.heading(3, "here", "imported", 12, "cross_fitted")
    assert said == f"Table 3. Our runs on here, {who} Columns paper_*: as published."
    assert tables.heading(3, "here", "imported", 4, "paper") == tables.heading(3, "here", "imported", 4)


def test_what_is_to_be_said_of_the_patients_stands_behind_their_number():
    said = tables.heading(2, "here", "imported", 8, "cross_fitted", "6 of them thin")
    assert said.startswith(
        "Table 2. Our runs on here, 8 held-out patients (6 of them thin), each predicted once, "
    )


EQUAL = "That two are equal cannot be shown."
SKEWED = "Of {} patients p and interval are unreliable where differences are skewed."


@pytest.mark.parametrize(
    ("patients", "comparisons", "images", "said"),
    [
        (
            1, 1, 6,
            "1 held-out patient, 6 labelled images: an example, not a result; nothing here tells how an arm "
            "does on another patient.",
        ),
        (
            4, 6, 28,
            "4 held-out patients, 28 labelled images: an example, not a result. No p can fall below 0.125, "
            "so neither can a difference be shown nor that there is none; images of one patient are not "
            "independent.",
        ),
        (
            4, 14, None,
            "4 held-out patients: an example, not a result. No p can fall below 0.125, so neither can a "
            "difference be shown nor that there is none.",
        ),
        (
            6, 1, 6,
            "6 held-out patients, 6 labelled images: an example, not a result. The smallest p is 0.031, "
            f"corrected for 1 comparison 0.031: a large difference can be shown. {EQUAL} {SKEWED.format(6)}",
        ),
        (
            8, 25, 40,
            "8 held-out patients, 40 labelled images. The smallest p is 0.0078, corrected for 25 comparisons "
            f"0.2: no difference can be shown. {EQUAL} {SKEWED.format(8)}",
        ),
        (
            8, 4, 40,  # four named pairs of many arms
            "8 held-out patients, 40 labelled images. The smallest p is 0.0078, corrected for 4 comparisons "
            f"0.031: a large difference can be shown. {EQUAL} {SKEWED.format(8)}",
        ),
        (
            42, 6, None,
            "42 held-out patients. The smallest p is 0.0002, corrected for 6 comparisons 0.0012: "
            f"a large difference can be shown. {EQUAL} {SKEWED.format(42)}",
        ),
        (
            12, 0, 90,
            "12 held-out patients, 90 labelled images. There is one arm, and nothing to compare it with. "
            + SKEWED.format(12),
        ),
        (
            60, 6, None,
            "60 held-out patients. The smallest p is 0.0002, corrected for 6 comparisons 0.0012: "
            f"a large difference can be shown. {EQUAL}",
        ),
    ],
)  # fmt: skip
def test_what_so_many_patients_can_show(patients: int, comparisons: int, images: int | None, said: str):
    assert tables.can_show(patients, comparisons, images) == said


def test_the_smallest_p_of_many_patients_is_the_one_that_the_test_reaches():
    least = stats.sign_flip(np.ones(20), np.random.default_rng(0))
    assert least == pytest.approx(2 / (stats.RESAMPLES + 1))


def test_a_patient_s_score_is_the_mean_over_features_of_the_mean_over_images():
    rows = metrics((0, 1))
    own = rows[(rows["arm"] == "t060") & (rows["metric"] == "iou") & (rows["patient_id"] == "P3")]
    found = averages.patient_scores(rows, ["P3", "P4"]).set_index(["arm", "metric", "patient_id"])["value"]
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


def test_a_number_is_followed_by_its_interval():
    numbers = {
        "rmse": [0.25, 0.5],
        "rmse_sd": [0.1, np.nan],
        "rmse_low": [0.2, np.nan],
        "rmse_high": [0.3, np.nan],
    }
    shown = tables.readable(pd.DataFrame(numbers))
    assert list(shown) == ["rmse"] and shown["rmse"].to_list() == ["0.25 ± 0.1 [0.2, 0.3]", "0.5"]
    assert tables.readable(pd.DataFrame(numbers).drop(columns="rmse_sd"))["rmse"][0] == "0.25 [0.2, 0.3]"


def test_latex_escapes_names_and_holds_every_row(tmp_path: Path):
    table = pd.DataFrame({"arm": ["t_000", "t_060"], "iou_plain": [0.25, 0.125]})
    tables.write_latex(tmp_path / "table.tex", table, "Runs on phantom_quick, 95 % ± SD")
    text = (tmp_path / "table.tex").read_text()
    assert r"\caption{Runs on phantom\_quick, 95 \% $\pm$ SD}" in text
    assert r"t\_000 & 0.25 \\" in text and r"iou\_\allowbreak plain" in text and r"\toprule" in text


def test_a_page_has_the_published_metrics_each_beside_its_own():
    table = tables.segmentation(metrics(), ["P2", "P3"], ARMS)
    page = tables.for_paper(table, "arm", ("iou", "iou_plain"))
    assert not [name for name in page if name.endswith("_fixed")]  # a page has no room; the CSV has them
    assert list(page) == [
        *("arm", "iou", "paper_iou", "iou_plain", "weighted_ce", "paper_weighted_ce"),
        *("ce", "paper_ce", "trimap_ce", "paper_trimap_ce"),
    ]
    assert page["arm"].to_list() == list(ARMS.index)
    assert page["paper_iou"].to_list() == tables.rounded(table)["paper_iou"].to_list()


def test_a_latex_table_is_as_wide_as_the_text(tmp_path: Path):
    for others in (1, 5, 22):
        table = pd.DataFrame({f"long_name_{k}": ["0.5 ± 0.1"] for k in range(others)})
        table.insert(0, "row", "t_060")
        tables.write_latex(tmp_path / "table.tex", table, "Runs on phantom_quick")
        lines = (tmp_path / "table.tex").read_text().splitlines()
        (begin,) = [line for line in lines if line.startswith(r"\begin{tabular}")]
        shares = [
            float(share) for share in re.findall(r"p{\\dimexpr ([\d.]+)\\linewidth-2\\tabcolsep", begin)
        ]
        assert len(shares) == 1 + others and shares[0] == 0.2
        assert sum(shares) == pytest.approx(1, abs=0.002)
        names = lines[lines.index(r"\toprule") + 1]
        assert names.count(r"long\_\allowbreak name\_\allowbreak ") == others
        assert r"t\_060 & 0.5 $\pm$ 0.1" in lines[lines.index(r"\midrule") + 1]
        assert lines.index(r"\footnotesize\setlength{\tabcolsep}{3pt}") == lines.index(begin) - 1
