"""What the explorer shows: held against files read by other means, and against the package's own scores."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import files
from lusnb.cohort import cohort as cohorts
from lusnb.report import looks
from lusnb.study import matrix as study_matrix
from lusnb.tasks import readmission, sf_change, sf_ratio
from lusnb.widgets import arm_maps, curves, explorer_data
from tests.test_arm_maps import checked, finished


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs" / "smoke" / "phantom_tests"


def done(runs, notebook):
    files.write_text(runs / notebook / "finished", "")


def image(cohort, path):
    return np.asarray(Image.open(cohort.folder / path))


# -- clips


def test_the_catalogue_names_every_clip_once(cohort):
    found = explorer_data.catalogue(cohort)
    assert [clip["clip_id"] for clip in found["clips"]] == list(cohort.clips["clip_id"])
    assert found["features"] == list(cohort.features) and found["words"][0] == "sharp pleura"
    assert len(found["colours"]) == 6 and found["colours"][0] == "#0072b2"
    labelled = {clip["clip_id"]: clip["labelled"] for clip in found["clips"]}
    assert sum(labelled.values()) == len(cohorts.labelled_frames(cohort))
    splits = dict(zip(cohort.patients["patient_id"], cohort.patients["split"], strict=True))
    assert all(clip["split"] == splits[clip["patient_id"]] for clip in found["clips"])
    json.dumps(found, allow_nan=False)  # a browser cannot read NaN


def test_what_is_missing_is_none_in_the_browser(cohort):
    blank = cohort.clips.assign(day=pd.array([pd.NA] * len(cohort.clips), "Int64"), view=None)
    found = explorer_data.catalogue(replace(cohort, clips=blank, labels=cohort.labels[:0]))
    assert found["clips"][0]["day"] is None and found["clips"][0]["view"] is None
    assert {clip["labelled"] for clip in found["clips"]} == {0}


def test_a_clips_card_says_whose_labels_there_are_and_of_which_frame(cohort):
    row = cohort.labels.iloc[0]
    own = cohort.labels[(cohort.labels["clip_id"] == row["clip_id"])]
    second = own[own["feature"].isin(cohort.features[:2])].assign(rater="<b>rater</b>")
    two = replace(cohort, labels=pd.concat([cohort.labels, second], ignore_index=True))
    card = explorer_data.clip_card(two, row["clip_id"])
    assert (card["frames"], card["height"], card["width"]) == (6, 64, 64)
    assert list(card["labelled"]) == [str(row["frame"])]
    sources = card["labelled"][str(row["frame"])]
    name = row["rater"]
    keys = ["mean", "rater:<b>rater</b>", f"rater:{name}", "truth"]
    assert [one["key"] for one in sources] == keys
    assert [one["text"] for one in sources] == ["mean of 2 raters", "<b>rater</b>", name, "truth"]
    assert sources[1]["known"] == [True, True, False, False, False, False]
    assert sources[0]["known"] == [True] * 6
    down, across = card["mm"]
    clip = cohort.clips.set_index("clip_id").loc[row["clip_id"]]
    assert down == pytest.approx(10 * clip["depth_cm"] / 64)
    assert across == pytest.approx(10 * clip["width_cm"] / 64)
    with pytest.raises(KeyError):
        explorer_data.clip_card(cohort, "no_clip")


def test_without_a_depth_millimetres_are_not_known(cohort):
    flat = replace(cohort, clips=cohort.clips.assign(depth_cm=np.nan, width_cm=np.nan, fps=np.nan))
    card = explorer_data.clip_card(flat, cohort.clips["clip_id"][0])
    assert card["mm"] == [None, None] and card["fps"] is None


def test_one_raters_map_is_the_file_and_the_mean_is_of_those_who_looked(cohort, tmp_path):
    rows = cohort.labels.groupby("clip_id").get_group(cohort.labels["clip_id"][0])
    rows = rows.set_index("feature").loc[list(cohort.features)].reset_index()
    other = rows.iloc[:1].assign(rater="other", path=rows["path"][1])  # paints the first as the second
    two = replace(cohort, labels=pd.concat([cohort.labels, other], ignore_index=True))
    what = {"kind": "labels", "clip_id": rows["clip_id"][0], "frame": rows["frame"][0]}
    files_ = np.stack([image(cohort, path) for path in rows["path"]])
    own = explorer_data.pixels(two, None, what | {"source": f"rater:{rows['rater'][0]}"})
    np.testing.assert_array_equal(own, files_)
    alone = explorer_data.pixels(two, None, what | {"source": "rater:other"})
    np.testing.assert_array_equal(alone[0], files_[1])
    assert alone[1:].max() == 0
    mean = explorer_data.pixels(two, None, what | {"source": "mean"})
    expected = np.rint((files_[0].astype(float) + files_[1]) / 2)
    np.testing.assert_array_equal(mean[0], expected)
    np.testing.assert_array_equal(mean[1:], files_[1:])
    truth = explorer_data.pixels(two, None, what | {"source": "truth"})
    path = cohort.truth.set_index(["clip_id", "feature"]).at[(what["clip_id"], cohort.features[3]), "path"]
    np.testing.assert_array_equal(truth[3], image(cohort, path))


def test_clips_and_predictions_come_as_they_lie(cohort, runs):
    levels, _ = finished(runs, cohort, made_from=checked(runs, cohort))
    maps = arm_maps.open_runs(runs, cohort)
    table = cohorts.labelled_frames(cohort)
    what = {"clip_id": table["clip_id"][2], "frame": int(table["frame"][2])}
    asked = {"kind": "prediction", "arm": "t060", "seed": 0}
    np.testing.assert_array_equal(explorer_data.pixels(cohort, maps, what | asked), levels[2])
    clip = explorer_data.pixels(cohort, maps, what | {"kind": "clip"})
    assert clip.shape == (6, 64, 64) and isinstance(clip, np.memmap)  # not read before a piece is asked for
    with pytest.raises(ValueError, match=f"t060 predicted nothing of {what['clip_id']}, frame 5"):
        explorer_data.pixels(cohort, maps, what | asked | {"frame": 5})
    with pytest.raises(ValueError, match="expected clip, labels or prediction, got 'file'"):
        explorer_data.pixels(cohort, maps, {"kind": "file"})


def test_an_arms_card_says_plainly_who_was_trained_on(cohort, runs):
    row = cohort.clips.iloc[0]
    for arm, role in (("a", "train"), ("b", "test"), ("c", "validation")):
        finished(runs, cohort, arm, roles={row["patient_id"]: role})
    maps = arm_maps.open_runs(runs, cohort)
    cards = [explorer_data.arm_card(maps, arm, 0, row["clip_id"]) for arm in "abc"]
    assert [card["told"] for card in cards] == [
        "this patient was trained on",
        "this patient was held out",
        "this patient was not trained on, but chose the epoch and the cut",
    ]
    frame = str(cohort.labels.set_index("clip_id").at[row["clip_id"], "frame"].iloc[0])
    assert cards[0]["frames"][frame] == "labelled" and cards[0]["frames"]["4"] == "task"
    nobody = explorer_data.arm_card(maps, "a", 0, "no_clip")
    told = "this arm predicted nothing of this clip"
    assert nobody == {"frames": {}, "role": "", "told": told, "cut": None, "task_cut": None}


def test_an_arms_card_names_its_cuts(cohort, runs):
    finished(runs, cohort, "a", cut=31, task_cut=128)
    finished(runs, cohort, "old", cut=None, task_cut=None)
    maps, clip = arm_maps.open_runs(runs, cohort), cohort.clips["clip_id"][0]
    cards = [explorer_data.arm_card(maps, arm, 0, clip) for arm in ("a", "old")]
    assert [(card["cut"], card["task_cut"]) for card in cards] == [(31, 128), (None, 128)]
    json.dumps(cards, allow_nan=False)


def test_more_arms_than_colours_repeat_them():
    names = [f"a{k}" for k in range(14)]
    found = explorer_data.arm_colours([*names, "a0"])
    assert list(found) == names and len(set(found.values())) == 12
    assert found["a12"] == found["a0"]


def lab(colour):
    """CIELAB of '#rrggbb', by its definition (D65), and the luminance from 0 to 1."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(xyz / [0.9505, 1, 1.089])  # none of these colours is as dark as the linear part
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)]), xyz[1]


def test_an_arm_cannot_be_taken_for_a_feature_nor_for_another_arm():
    arms = [lab(colour) for colour in explorer_data.ARM_COLOURS]
    features = [lab(colour)[0] for colour in looks.PALETTE]
    for k, (own, luminance) in enumerate(arms):
        others = [*features, *(other for other, _ in arms[:k])]
        assert min(np.linalg.norm(own - other) for other in others) > 35
        assert 1.05 / (luminance + 0.05) > 2 and (luminance + 0.05) / 0.065 > 2.5  # on white, on #212121


# -- curves


def test_curves_of_finished_tables_by_hand(cohort, runs):
    feature = cohort.features[0]
    kept = pd.DataFrame(
        {
            "feature": [feature] * 4,
            "threshold": [0.5, 0.5, 0.0, 0.0],
            "share": [0.2, 0.4, 1.0, np.nan],
        }
    )
    files.write_csv(runs / "02_confidence_maps/kept_area.csv", kept)
    matrix = pd.DataFrame({"arm": ["007", "x"], "0.5": [0.25, np.nan], "0.0": [0.5, 0.125]})
    files.write_csv(runs / "tables/threshold_matrix.csv", matrix)
    files.write_csv(runs / "tables/threshold_matrix_fixed.csv", matrix.assign(**{"0.5": [0.1, 0.2]}))
    same = {"pixels": "band", "scaled": "raw", "against": "labels", "feature": "all", "arm": "007"}
    rows = [
        same | {"seed": 0, "bin": 3, "count": 30, "predicted": 0.2, "observed": 0.1},
        same | {"seed": 1, "bin": 3, "count": 10, "predicted": 0.24, "observed": 0.3},
        same | {"seed": 0, "bin": 1, "count": 5, "predicted": 0.05, "observed": 0.5},
        same | {"seed": 0, "bin": 2, "count": 0, "predicted": np.nan, "observed": np.nan},
        same | {"seed": 0, "bin": 3, "count": 9, "predicted": 0.9, "observed": 0.9, "pixels": "all"},
        same | {"seed": 0, "bin": 3, "count": 9, "predicted": 0.9, "observed": 0.9, "scaled": "tempered"},
        same | {"seed": 0, "bin": 3, "count": 9, "predicted": 0.9, "observed": 0.9, "against": "truth"},
        same | {"seed": 0, "bin": 3, "count": 9, "predicted": 0.9, "observed": 0.8, "feature": feature},
    ]
    files.write_csv(runs / "tables/reliability.csv", pd.DataFrame(rows))
    done(runs, "02_confidence_maps")
    done(runs, "04_compare_segmentation")
    found = curves.curves(runs, cohort, "smoke")
    assert found["kept"][feature] == [[0.0, 1.0], [0.5, pytest.approx(0.3)]]
    assert found["kept"][cohort.features[1]] == []
    assert found["iou"] == {"007": [[0.0, 0.5], [0.5, 0.25]], "x": [[0.0, 0.125]]}
    assert found["iou_fixed"] == {"007": [[0.0, 0.5], [0.5, 0.1]], "x": [[0.0, 0.125], [0.5, 0.2]]}
    assert found["calibration"]["all"] == {"007": [[0.05, 0.5], [0.21, 0.15]]}  # seeds weighed by pixels
    assert found["calibration"][feature] == {"007": [[0.9, 0.8]]}
    assert found["missing"] == {}
    json.dumps(found, allow_nan=False)


def test_reliability_of_an_earlier_version_is_read_too(cohort, runs):
    old = pd.DataFrame(
        {
            "arm": ["a", "a"],
            "pixels": ["band", "all"],
            "bin": [0, 0],
            "count": [2, 2],
            "predicted": [0.1, 0.3],
            "observed": [0.2, 0.4],
        }
    )
    files.write_csv(runs / "tables/reliability.csv", old)
    assert curves._calibration(runs / "tables/reliability.csv", cohort) == {"all": {"a": [[0.1, 0.2]]}}


def test_the_only_iou_of_a_run_older_than_the_arms_own_cuts_is_at_a_half(cohort, runs):
    files.write_csv(runs / "tables/threshold_matrix.csv", pd.DataFrame({"arm": ["a"], "0.5": [0.25]}))
    done(runs, "04_compare_segmentation")
    found = curves.curves(runs, cohort, "do this")
    assert found["iou"] == {} and found["iou_fixed"] == {"a": [[0.5, 0.25]]}
    assert "iou" not in found["missing"] and "iou_fixed" not in found["missing"]


def test_without_runs_each_curve_says_what_to_run(cohort, runs):
    files.write_csv(runs / "tables/threshold_matrix.csv", pd.DataFrame({"arm": ["a"], "0.5": [1.0]}))
    remedy = "make study PROFILE=quick"
    found = curves.curves(runs, cohort, remedy)  # a table without a finished run is half a table
    assert found["iou"] == found["kept"] == found["calibration"] == {}
    assert found["missing"]["kept"] == "02_confidence_maps is not finished: make study PROFILE=quick"
    assert found["missing"]["iou"] == "04_compare_segmentation is not finished: make study PROFILE=quick"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"other,columns\n1,2\n"])
def test_a_curve_whose_table_is_gone_or_odd_leaves_the_others_alone(cohort, runs, content):
    matrix = pd.DataFrame({"arm": ["a"], "0.5": [0.25]})
    kept = pd.DataFrame({"feature": [cohort.features[0]], "threshold": [0.5], "share": [0.2]})
    files.write_csv(runs / "02_confidence_maps/kept_area.csv", kept)
    curve = {"arm": ["a"], "pixels": "band", "bin": 0, "count": 2, "predicted": 0.1, "observed": 0.2}
    names = {
        "kept": "02_confidence_maps/kept_area",
        "iou": "tables/threshold_matrix",
        "iou_fixed": "tables/threshold_matrix_fixed",
        "calibration": "tables/reliability",
    }
    for name in ("iou", "iou_fixed"):
        files.write_csv(runs / f"{names[name]}.csv", matrix)
    files.write_csv(runs / "tables/reliability.csv", pd.DataFrame(curve))
    done(runs, "02_confidence_maps")
    done(runs, "04_compare_segmentation")
    whole = curves.curves(runs, cohort, "do this")
    assert whole["missing"] == {}
    for name, place in names.items():
        if name == "iou_fixed" and content is None:
            continue  # as of a run that is older than this table
        path = runs / f"{place}.csv"
        kept = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        found = curves.curves(runs, cohort, "do this")
        assert list(found["missing"]) == [name] and found[name] == {}
        assert found["missing"][name].startswith(f"{path} cannot be read (")
        assert found["missing"][name].endswith(f"delete {curves.READS[name]}/finished, then do this")
        assert all(found[other] == whole[other] for other in set(names) - {name})
        path.write_bytes(kept)


# -- outcomes


def predictions(task, seed):
    """Random predictions of one arm's task: two folds, two models, four patients of the test split."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold in (1, 2):
        for model in ("tsm", "mean"):
            for k in range(24):
                same = {"arm": "t060", "model": model, "seed": seed, "fold": fold, "split": "test"}
                same |= {"patient_id": f"00{k % 4}", "day": k // 4 % 3, "view": k}
                if task == "sf_ratio":
                    same |= {"truth": 0.2 + 0.1 * (k % 12), "prediction": rng.random()}
                else:
                    count = 3 if task == "sf_change" else 2
                    truth = int(rng.integers(3)) if task == "sf_change" else k % 4 % 2
                    same |= {"truth": truth, "day_1": 0, "day_2": 1}
                    same |= {f"logit_{c}": rng.normal() for c in range(count)}
                rows.append(same)
    return pd.DataFrame(rows)


@pytest.fixture
def tasks(runs):
    made = {}
    for task in study_matrix.TASKS:
        made[task] = [predictions(task, seed) for seed in (0, 1)]
        for seed, table in enumerate(made[task]):
            folder = runs / study_matrix.NOTEBOOKS[task] / "t060" / f"seed{seed}"
            files.write_csv(folder / "predictions.csv", table)
            files.write_text(folder / "finished", "")
    half = runs / study_matrix.NOTEBOOKS["sf_ratio"] / "half" / "seed0"
    files.write_csv(half / "predictions.csv", made["sf_ratio"][0].assign(arm="half"))
    return made


def networks(tables, model="tsm"):
    """The predictions of every network apart."""
    table = pd.concat(tables)
    return [own for _, own in table[table["model"] == model].groupby(["seed", "fold"])]


def one(found, task, **where):
    table = found[task]
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_outcomes_are_the_packages_own_averaged_over_networks(runs, tasks):
    found, note = explorer_data.outcomes_of(runs, 477)
    assert list(found) == list(study_matrix.TASKS) and note == ""
    days = [
        sf_ratio.patient_days(own).set_index(["patient_id", "day"]) for own in networks(tasks["sf_ratio"])
    ]
    row = one(found, "sf_ratio", patient_id="002", day=1, model="tsm")
    assert row["value"] == pytest.approx(477 * np.mean([d.at[("002", 1), "mean"] for d in days]))
    assert row["truth"] == pytest.approx(477 * days[0].at[("002", 1), "truth"]) and row["count"] == 2
    scores = [
        sf_change.change_scores(own[own["patient_id"] == "001"]) for own in networks(tasks["sf_change"])
    ]
    row = one(found, "sf_change", patient_id="001", model="tsm")
    assert row["value"] == pytest.approx(np.mean([s["accuracy_3class"] for s in scores]))
    assert row["truth"] == pytest.approx(np.mean([s["true_increase"] / s["pairs"] for s in scores]))
    assert row["count"] == 6
    votes = [readmission.patient_votes(own).set_index("patient_id") for own in networks(tasks["readmission"])]
    row = one(found, "readmission", patient_id="003", model="tsm")
    assert row["value"] == pytest.approx(np.mean([v.at["003", "probability_tempered"] for v in votes]))
    assert row["truth"] == 1 and set(found["readmission"]["truth"]) == {0, 1}


def test_only_finished_task_runs_count(runs, tasks, tmp_path):
    found, note = explorer_data.outcomes_of(runs, 477)
    assert set(found["sf_ratio"]["arm"]) == {"t060"} and note == ""  # 'half' is not finished
    assert set(found["sf_ratio"]["model"]) == {"tsm", "mean"}
    assert explorer_data.outcomes_of(tmp_path / "nowhere", 477) == ({}, "")
    assert explorer_data.outcomes_of(runs, 477, {"t060"}) == ({}, "")  # an arm that has no tasks any more


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"arm,seed\na,0\n"])
def test_a_task_run_whose_file_is_gone_or_odd_is_left_out_by_name(runs, tasks, content):
    path = runs / study_matrix.NOTEBOOKS["sf_ratio"] / "t060" / "seed0" / "predictions.csv"
    path.unlink() if content is None else path.write_bytes(content)
    found, note = explorer_data.outcomes_of(runs, 477)
    assert note.startswith(f"Left out: {path} cannot be read (") and list(found) == list(study_matrix.TASKS)
    assert note.endswith("). Delete the folder of such a run, and the study makes it anew.")
    alone = [
        sf_ratio.patient_days(own).set_index(["patient_id", "day"]) for own in networks(tasks["sf_ratio"][1:])
    ]
    row = one(found, "sf_ratio", patient_id="002", day=1, model="tsm")
    assert row["value"] == pytest.approx(477 * np.mean([d.at[("002", 1), "mean"] for d in alone]))


def test_tasks_follow_the_published_split_where_they_hold_out_its_test_patients_alone(cohort):
    test, other = cohort.patients_in("test"), cohort.patients_in("train")[0]
    rows = [{"split": "test", "patient_id": one} for one in test]
    rows += [{"split": "validation", "patient_id": other}]
    paper = {"sf_ratio": pd.DataFrame(rows)}
    assert explorer_data.follows_split(paper, cohort) and explorer_data.follows_split({}, cohort)
    crossed = pd.DataFrame([*rows, {"split": "test", "patient_id": other}])
    assert not explorer_data.follows_split(paper | {"readmission": crossed}, cohort)


def test_patients_come_with_their_clips_and_true_values(cohort):
    found = explorer_data.patients_card(cohort)
    assert [who["patient_id"] for who in found] == list(cohort.patients["patient_id"])
    clips = [clip for who in found for clip in who["clips"]]
    assert sorted(clips) == sorted(cohort.clips["clip_id"])
    first = found[0]
    exams = cohort.exams[cohort.exams["patient_id"] == first["patient_id"]].set_index("day")["sf_ratio"]
    assert first["sf"] == {str(day): pytest.approx(value) for day, value in exams.items()}
    none = replace(cohort, exams=cohort.exams[:0], patients=cohort.patients.assign(readmitted_30d=None))
    assert explorer_data.patients_card(none)[0]["sf"] == {}
    assert explorer_data.patients_card(none)[0]["readmitted"] is None
    json.dumps(found, allow_nan=False)


def test_nothing_is_written_where_all_is_read(cohort, runs, tasks):
    finished(runs, cohort, made_from=checked(runs, cohort))
    places = (cohort.folder, runs)
    before = [{p: p.stat().st_mtime_ns for p in place.rglob("*")} for place in places]
    maps = arm_maps.open_runs(runs, cohort)
    clip = cohort.clips["clip_id"][0]
    explorer_data.catalogue(cohort)
    card = explorer_data.clip_card(cohort, clip)
    explorer_data.arm_card(maps, "t060", 0, clip)
    for frame, sources in card["labelled"].items():
        for source in sources:
            what = {"kind": "labels", "clip_id": clip, "frame": frame, "source": source["key"]}
            explorer_data.pixels(cohort, maps, what)
    curves.curves(runs, cohort, "")
    explorer_data.outcomes_of(runs, 477)
    assert before == [{p: p.stat().st_mtime_ns for p in place.rglob("*")} for place in places]
