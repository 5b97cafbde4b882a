"""Predictions of finished arms, frame by frame: of the right fold, and what is odd is said."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lusnb import files
from lusnb.cohort import cohort as cohorts
from lusnb.cohort import fingerprint
from lusnb.segment import predictions
from lusnb.widgets import arm_maps
from lusnb.widgets.arm_maps import Cuts
from tests.predicted import scaled

SIZE, TASK_SIZE, FEATURES = 32, 13, 6


def finished(
    runs: Path, cohort, arm="t060", seed=0, fold=0, roles=None, made_from="", channels="binary", **cuts
):
    """A finished training with random predictions: of all labelled frames, and of two frames a clip.

    cuts: cut and task_cut, levels; None: not written, as in a run older than these.
    """
    folder = runs / f"03_train_segmentation/{arm}/seed{seed}/fold{fold}"
    rng = np.random.default_rng([seed, fold, len(arm)])
    labelled = cohorts.labelled_frames(cohort)
    levels = rng.integers(0, 256, (len(labelled), FEATURES, SIZE, SIZE), np.uint8)
    clips = cohort.clips["clip_id"]
    slots = [(clip, slot, frame) for clip in clips for slot, frame in enumerate((0, 4))]
    tasks = pd.DataFrame(slots, columns=["clip_id", "slot", "frame"])
    masks = rng.integers(0, 256, (len(clips), 2, FEATURES, TASK_SIZE, TASK_SIZE), np.uint8)
    stored = predictions.pack(masks > 127) if channels == "binary" else masks
    held = np.arange(0)
    index = predictions.index(labelled, tasks, np.zeros(0, int), held)
    made = {"cohort": made_from, "model": "", "size": SIZE, "task_size": TASK_SIZE, "channels": channels}
    levels_cut = {"cut": 102, "task_cut": 102} | cuts
    made |= {name: level for name, level in levels_cut.items() if level is not None}
    arrays = {"labelled": levels, "frames": stored, "untrained": levels[held]}
    arrays["logits"] = levels[held].astype(np.float32)
    predictions.write(folder, arrays, index, made)
    if roles is not None:
        files.write_csv(
            folder / "patients.csv", pd.DataFrame(list(roles.items()), columns=["patient_id", "role"])
        )
    files.write_text(folder / "finished", "")
    return levels, masks


def checked(runs: Path, cohort) -> str:
    """What 00_cohort leaves: the fingerprint, which is returned."""
    found = {
        "cohort": fingerprint.cohort_fingerprint(cohort.folder),
        "stamp": fingerprint.cohort_stamp(cohort.folder),
    }
    files.write_json(runs / "00_cohort/fingerprint.json", found)
    return found["cohort"]


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs" / "smoke" / "phantom_tests"


def test_a_folder_that_is_not_there_has_no_names(cohort, runs):
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == () and found.note == ""
    assert not runs.exists()  # nor is it made


def test_labelled_frames_are_probabilities_and_the_tasks_frames_masks(cohort, runs):
    roles = {"P01": "test", "P02": "train"}
    levels, masks = finished(runs, cohort, roles=roles, made_from=checked(runs, cohort))
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == (("t060", 0),) and found.note == ""
    table = cohorts.labelled_frames(cohort)
    row = table.iloc[7]
    maps, _ = found.maps("t060", 0, row["clip_id"], row["frame"])
    np.testing.assert_array_equal(maps, levels[7])
    clip = cohort.clips["clip_id"][3]
    maps, _ = found.maps("t060", 0, clip, 4)
    assert maps.shape == (FEATURES, TASK_SIZE, TASK_SIZE) and maps.dtype == np.uint8
    np.testing.assert_array_equal(maps, np.where(masks[3, 1] > 127, 255, 0))
    assert found.maps("t060", 0, clip, 5) is None and found.maps("t060", 0, "no_clip", 0) is None
    with pytest.raises(KeyError):
        found.maps("t060", 1, clip, 4)


def test_a_frame_that_is_labelled_and_a_tasks_gives_its_probabilities(cohort, runs):
    levels, _ = finished(runs, cohort)
    frames = arm_maps.open_runs(runs, cohort).frames("t060", 0)
    table = cohorts.labelled_frames(cohort)
    assert list(frames.columns) == ["clip_id", "frame", "kind", "role"]
    assert not frames.duplicated(["clip_id", "frame"]).any()
    both = frames.merge(table[["clip_id", "frame"]])
    assert len(both) == len(table) and set(both["kind"]) == {"labelled"}
    assert len(frames) == len(
        set(zip(table["clip_id"], table["frame"], strict=True))
        | {(c, f) for c in cohort.clips["clip_id"] for f in (0, 4)}
    )


def test_grey_task_frames_stay_as_they_are(cohort, runs):
    _, masks = finished(runs, cohort, channels="probability")
    maps, _ = arm_maps.open_runs(runs, cohort).maps("t060", 0, cohort.clips["clip_id"][0], 4)
    np.testing.assert_array_equal(maps, masks[0, 1])


def test_roles_are_those_of_the_training_and_without_a_table_of_the_published_split(cohort, runs):
    patient = cohort.clips["patient_id"][0]
    clip = cohort.clips["clip_id"][0]
    finished(runs, cohort, "a", roles={patient: "validation"})
    finished(runs, cohort, "b")
    found = arm_maps.open_runs(runs, cohort)
    assert found.maps("a", 0, clip, 4)[1] == "validation"
    split = cohort.patients.set_index("patient_id")["split"]
    assert found.maps("b", 0, clip, 4)[1] == split[patient]
    frames = found.frames("a", 0)
    own = cohort.clips.loc[cohort.clips["patient_id"] == patient, "clip_id"]
    other = frames[~frames["clip_id"].isin(own)]
    assert set(other["role"]) == {""}  # nobody the training knew


def test_cross_fitted_maps_come_from_the_fold_that_held_the_patient_out(cohort, runs):
    ids = list(cohort.patients["patient_id"])
    held = {1: ids[:3], 2: ids[3:5]}  # the last patient is held out by no finished fold
    made = {
        fold: finished(runs, cohort, fold=fold, roles={i: "test" if i in who else "train" for i in ids})[1]
        for fold, who in held.items()
    }
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == (("t060", 0),)
    for n, row in enumerate(cohort.clips.itertuples()):
        fold = next((k for k, who in held.items() if row.patient_id in who), None)
        told = found.maps("t060", 0, row.clip_id, 4)
        if fold is None:
            assert told is None
        else:
            np.testing.assert_array_equal(told[0], np.where(made[fold][n, 1] > 127, 255, 0))
            assert told[1] == "test"
    assert set(found.frames("t060", 0)["role"]) == {"test"}


def test_every_arm_and_seed_is_cut_where_its_own_training_says(cohort, runs):
    finished(runs, cohort, "a", cut=31, task_cut=31)
    finished(runs, cohort, "a", seed=1, cut=76, task_cut=128)
    finished(runs, cohort, "grey", channels="probability", cut=200)
    finished(runs, cohort, "old", cut=None, task_cut=None)
    found, clip = arm_maps.open_runs(runs, cohort), cohort.clips["clip_id"][3]
    told = {key: found.cuts(*key, clip) for key in found.names}
    assert told == {
        ("a", 0): Cuts(31, 31),
        ("a", 1): Cuts(76, 128),
        ("grey", 0): Cuts(200, None),
        ("old", 0): Cuts(None, 128),  # it was cut at 0.5
    }
    assert found.cuts("a", 0, "no_clip") is None
    frame = int(cohorts.labelled_frames(cohort).set_index("clip_id").at[clip, "frame"])
    least = {key: found.least(*key, clip, frame) for key in found.names}
    assert least == {("a", 0): 31, ("a", 1): 76, ("grey", 0): 200, ("old", 0): 128}
    assert found.frames("a", 0).set_index(["clip_id", "frame"]).at[(clip, 4), "kind"] == "task"
    masks = {key: found.least(*key, clip, 4) for key in found.names}
    assert masks == {("a", 0): 128, ("a", 1): 128, ("grey", 0): 200, ("old", 0): 128}
    for what in (lambda: found.least("a", 0, clip, 5), lambda: found.cuts("a", 2, clip)):
        with pytest.raises(KeyError):
            what()


def test_cross_fitted_cuts_are_those_of_the_fold_that_held_the_patient_out(cohort, runs):
    ids = list(cohort.patients["patient_id"])
    held = {1: ids[:3], 2: ids[3:5]}
    for fold, who in held.items():
        roles = {i: "test" if i in who else "train" for i in ids}
        finished(runs, cohort, fold=fold, roles=roles, cut=50 * fold, task_cut=50 * fold)
    found = arm_maps.open_runs(runs, cohort)
    for row in cohort.clips.itertuples():
        fold = next((k for k, who in held.items() if row.patient_id in who), None)
        assert found.cuts("t060", 0, row.clip_id) == (Cuts(50 * fold, 50 * fold) if fold else None)


@pytest.mark.parametrize("name", ["cut", "task_cut"])
@pytest.mark.parametrize("level", [0, 256, 0.5, "128", True])
def test_a_cut_that_is_no_level_is_told(cohort, runs, name, level):
    finished(runs, cohort, **{name: level})
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == ()
    assert f"fingerprint.json cannot be read ({name}: expected a level from 1 to 255, got " in found.note


def test_names_are_in_the_order_of_study_yaml_then_by_name(cohort, runs, tmp_path):
    for arm, seed in (("x", 0), ("t060", 1), ("t060", 0), ("t000", 0)):
        finished(runs, cohort, arm, seed)
    unfinished = runs / "03_train_segmentation/half/seed0/fold0"
    unfinished.mkdir(parents=True)
    shutil.copytree(Path(__file__).parents[1] / "params" / "smoke", tmp_path / "params" / "smoke")
    assert [a for a, _ in arm_maps.open_runs(runs, cohort).names] == ["t000", "t060", "t060", "x"]
    study = tmp_path / "params" / "smoke" / "study.yaml"
    text = study.read_text()
    arms = "arms:\n  t060: {label_threshold: 0.6}\n  t000: {label_threshold: 0.0}\n"
    study.write_text(re.sub(r"arms:.*?\n(?=\w)", arms, text, flags=re.S))
    expected = (("t060", 0), ("t060", 1), ("t000", 0), ("x", 0))
    assert arm_maps.open_runs(runs, cohort).names == expected
    study.write_text("nothing: here")
    assert len(arm_maps.open_runs(runs, cohort).names) == 4  # a broken profile orders nothing, hides nothing


def test_a_cohort_that_changed_is_told_and_shown_all_the_same(cohort, runs, monkeypatch):
    finished(runs, cohort, "old", made_from="before")
    finished(runs, cohort, "new", made_from=checked(runs, cohort))
    found = arm_maps.open_runs(runs, cohort)
    assert found.note == (
        "The cohort's files changed since these predictions were made (old seed 0); "
        "make study PROFILE=smoke makes them anew."
    )
    assert found.maps("old", 0, cohort.clips["clip_id"][0], 4) is not None
    files.write_json(runs / "00_cohort/fingerprint.json", {"cohort": "", "stamp": ""})  # touched since
    assert "(old seed 0)" in arm_maps.open_runs(runs, cohort).note  # small enough to find out
    monkeypatch.setattr(arm_maps, "HASHED", 0)
    assert arm_maps.open_runs(runs, cohort).note == (
        "Files of the cohort were touched since 00_cohort checked it: predictions may be older; "
        "make study PROFILE=smoke makes them anew."
    )


def test_arms_that_do_not_fit_the_cohort_are_left_out_by_name(cohort, runs):
    finished(runs, cohort, "good", made_from=checked(runs, cohort))
    finished(runs, cohort, "five")
    path = runs / "03_train_segmentation/five/seed0/fold0/predictions/labelled.npy"
    np.save(path, np.zeros((2, 5, 8, 8), np.uint8))
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == (("good", 0),)
    assert f"five seed 0: {path}: expected 6 features, got an array of (2, 5, 8, 8)" in found.note
    path.unlink()
    note = arm_maps.open_runs(runs, cohort).note
    assert note.startswith(f"Left out: five seed 0: {path} cannot be read (No such file or directory). ")
    assert note.endswith("Delete an arm's folder, and make study PROFILE=smoke makes it anew.")


@pytest.mark.parametrize(
    "name", ["labelled.npy", "frames.npy", "index.csv", "fingerprint.json", "../patients.csv"]
)
@pytest.mark.parametrize("content", [None, b"", b"\xff, odd\n1, 2, 3\n", "cut"])
def test_whatever_file_is_missing_or_broken_the_other_arms_are_shown(cohort, runs, name, content):
    roles = dict.fromkeys(cohort.patients["patient_id"], "test")
    finished(runs, cohort, "good", fold=1, roles=roles, made_from=checked(runs, cohort))
    finished(runs, cohort, "odd", fold=1, roles=roles)
    path = (runs / "03_train_segmentation/odd/seed0/fold1/predictions" / name).resolve()
    if content is None:
        path.unlink()
    elif content == "cut":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2 if path.suffix == ".npy" else 7])
    else:
        path.write_bytes(content)
    found = arm_maps.open_runs(runs, cohort)
    assert found.names == (("good", 0),) and found.maps("good", 0, cohort.clips["clip_id"][0], 4)
    assert found.note.startswith(f"Left out: odd seed 0: {path} cannot be read (")


def test_an_index_that_is_not_of_its_arrays_is_told_when_they_are_opened(cohort, runs):
    finished(runs, cohort)
    place = runs / "03_train_segmentation/t060/seed0/fold0/predictions"
    for name in ("labelled", "frames"):
        whole = np.load(place / f"{name}.npy")
        np.save(place / f"{name}.npy", whole[:-1])
        found = arm_maps.open_runs(runs, cohort)
        told = f"{place / name}.npy: index.csv beside it is not of this array of {whole[:-1].shape}"
        assert found.names == () and told in found.note
        np.save(place / f"{name}.npy", whole)
    assert arm_maps.open_runs(runs, cohort).names == (("t060", 0),)


def test_files_that_nobody_looks_at_here_may_be_missing(cohort, runs):
    finished(runs, cohort, made_from=checked(runs, cohort))
    (runs / "03_train_segmentation/t060/seed0/fold0/predictions/logits.npy").unlink()
    found = arm_maps.open_runs(runs, cohort)  # nor is there a params.yaml, a history.csv or a model
    assert found.names == (("t060", 0),) and found.note == ""
    (runs / "00_cohort/fingerprint.json").write_text("{")
    assert arm_maps.open_runs(runs, cohort).note == ""  # the cohort is small: its fingerprint is found anew


def test_it_is_known_whether_patients_were_held_out_fold_by_fold(cohort, runs):
    assert not arm_maps.open_runs(runs, cohort).cross_fitted  # nothing is
    roles = dict.fromkeys(cohort.patients["patient_id"], "test")
    for fold in (1, 2):
        finished(runs, cohort, fold=fold, roles=roles)
    assert arm_maps.open_runs(runs, cohort).cross_fitted
    finished(runs, cohort, fold=0)
    assert not arm_maps.open_runs(runs, cohort).cross_fitted


def test_scaling_takes_the_nearest_pixel_by_hand():
    maps = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    assert scaled(maps, 2, 6)[0].tolist() == [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]]
    assert scaled(maps, 3, 2)[0].tolist() == [[0, 1], [2, 3], [2, 3]]
