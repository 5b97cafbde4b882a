"""What is painted is kept whole or not at all, beside what others painted."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lusnb import files
from lusnb.cohort import arrays, cohort, fingerprint, painting, schema, tables
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.painting import Painting, PaintingError
from lusnb.readers import labels as readers
from lusnb.widgets import export


@pytest.fixture
def own(phantom: Path, tmp_path: Path) -> cohorts.Cohort:
    """A copy of the phantom cohort, to paint in."""
    shutil.copytree(phantom, tmp_path / "cohort")
    return cohorts.read(tmp_path / "cohort", 2)


@pytest.fixture
def clip(own: cohorts.Cohort) -> str:
    return own.clips["clip_id"].iloc[0]


def state(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def some(own: cohorts.Cohort, clip: str, frame: int = 0, rater: str = "anna", seed: int = 0) -> Painting:
    """Random marks of two features; the others were not looked at."""
    one = painting.read(own, clip, frame, rater)
    drawn = np.random.default_rng(seed).integers(0, 256, (2, *one.maps.shape[1:]), dtype=np.uint8)
    one.maps[[0, 5]], one.looked[[0, 5]] = drawn, True
    return one


def test_what_was_painted_opens_again_and_the_rest_stays(own, clip):
    before, one = state(own.folder), some(own, clip)
    one.seconds, one.started_from = 12.34, "rater rater_1"
    at = painting.save(own, one)
    assert len(at) == len("14:03:12")
    again = cohorts.read(own.folder, 2)  # through the door, every file looked at
    rows = again.labels[again.labels["rater"] == "anna"]
    assert list(rows["feature"]) == [own.features[0], own.features[5]]
    assert list(rows["path"]) == [f"labels/painted/anna/{clip}_f0/{f}.1.png" for f in rows["feature"]]
    for feature, path in zip(rows["feature"], rows["path"], strict=True):
        assert np.array_equal(arrays.image(again, path), one.maps[own.features.index(feature)])
    back = painting.read(again, clip, 0, "anna")
    assert np.array_equal(back.maps, one.maps) and np.array_equal(back.looked, one.looked)
    assert (back.seconds, back.started_from) == (12.3, "rater rater_1")
    after = state(own.folder)
    new = {"labels.csv", "annotations.csv", ".painting.lock", *rows["path"]}
    assert {k: v for k, v in after.items() if k not in new} == {
        k: v for k, v in before.items() if k not in new
    }
    others = again.labels[again.labels["rater"] != "anna"]
    pd.testing.assert_frame_equal(others.reset_index(drop=True), own.labels)


def test_every_earlier_save_is_kept(own, clip):
    one = some(own, clip)
    painting.save(own, one)
    first = one.maps[5].copy()
    one.maps[5, :10] = 7
    painting.save(own, one)
    painting.save(own, one)  # nothing changed: nothing new
    place = own.folder / "labels/painted/anna" / f"{clip}_f0"
    assert sorted(p.name for p in place.iterdir()) == ["b_line.1.png", "b_line.2.png", "sharp_pleura.1.png"]
    assert np.array_equal(arrays.image(own, f"labels/painted/anna/{clip}_f0/b_line.1.png"), first)
    assert painting.painted(own)["saves"].tolist() == [2]
    one.maps[5], one.looked[5] = 0, False
    painting.save(own, one)
    assert not painting.read(own, clip, 0, "anna").looked[5] and (place / "b_line.2.png").exists()
    one.looked[5] = True  # looked at, and nothing there
    painting.save(own, one)
    assert (place / "b_line.3.png").exists()
    back = painting.read(cohorts.read(own.folder, 2), clip, 0, "anna")
    assert back.looked[5] and not back.maps[5].any()


def test_nobody_paints_over_labels_that_came_from_elsewhere(own, clip):
    with pytest.raises(
        PaintingError, match="rater: 'rater_1' has labels in cohort that were not painted here"
    ):
        painting.claim(own, "rater_1")
    with pytest.raises(PaintingError, match="paint under another name"):
        painting.save(own, some(own, clip, rater="rater_1"))
    with pytest.raises(PaintingError, match="not painted here"):
        painting.claim(own, "truth")
    for bad in ("", "  ", "x" * 61, "a\x00b", "..."):
        with pytest.raises(PaintingError, match="expected a name of 1 to 60 letters"):
            painting.claim(own, bad)
    assert painting.claim(own, "  Anna   B. ") == "Anna B."


def test_the_advice_on_a_name_that_is_nearly_another_works_in_one_go(own, clip):
    told = "'RATER_1' and 'rater_1' differ by case .* 'rater_1' did not paint here: choose another name"
    with pytest.raises(PaintingError, match=told):
        painting.claim(own, "RATER_1")  # as 'rater_1' it would be refused again
    with pytest.raises(PaintingError, match="'Truth' and 'truth' .* choose another name"):
        painting.claim(own, "Truth")
    painting.save(own, some(own, clip, rater="anna"))
    with pytest.raises(
        PaintingError, match="'ANNA' and 'anna' differ by case or spaces alone; write it as 'anna'"
    ):
        painting.claim(own, "ANNA")
    assert painting.claim(own, "anna") == "anna"


def test_where_nobody_may_write_it_is_said_before_anything_is_painted(own, monkeypatch):
    def refused(path, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    before = state(own.folder)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        with pytest.raises(PaintingError) as told:
            painting.claim(own, "anna")
    assert str(told.value) == (
        "cohort: expected a cohort that can be written to, as every save goes there, got Read-only file "
        "system; copy the cohort, or ask for the right to write."
    )
    assert painting.claim(own, "anna") == "anna" and state(own.folder) == before | {".painting.lock": b""}


def test_two_raters_and_names_that_look_alike_as_paths_never_meet(own, clip):
    names = ["a/b", "a.b", "a b", "../../x", "Ärztin", "<script>"]
    paintings = [some(own, clip, rater=painting.claim(own, name), seed=k) for k, name in enumerate(names)]
    for one in paintings:
        painting.save(own, one)
    again = cohorts.read(own.folder, 2)
    for one in paintings:
        assert np.array_equal(painting.read(again, clip, 0, one.rater).maps, one.maps)
    assert len(list((own.folder / "labels/painted").iterdir())) == len(names)
    assert all(p.is_relative_to(own.folder) for p in (own.folder / "labels/painted").resolve().iterdir())


@pytest.mark.parametrize(
    "change, told",
    [
        (
            lambda one: one.maps.__setitem__(0, 255),
            "expected some of the frame unpainted, got sharp_pleura, 100 % all over; undo the fill",
        ),
        (lambda one: one.maps.__setitem__((3, 2, 2), 9), "not looked at, got a_line; mark it as looked at"),
        (lambda one: setattr(one, "maps", one.maps[:, :-1]), r"expected maps uint8 \(6, 64, 64\)"),
        (lambda one: setattr(one, "frame", 6), "expected a frame from 0 to 5, got 6"),
        (lambda one: setattr(one, "clip_id", "../x"), r"expected a clip of the cohort, got '../x'"),
    ],
)
def test_what_the_cohort_could_not_be_opened_with_is_refused_and_nothing_written(own, clip, change, told):
    one, before = some(own, clip), state(own.folder)
    change(one)
    with pytest.raises(PaintingError, match=told):
        painting.save(own, one)
    assert state(own.folder) == before


def test_a_frame_without_an_image_is_refused(own, clip):
    frames = np.array(arrays.clip(own, clip))
    frames[2] = 3
    files.write_npy(own.folder / own.clips["path"].iloc[0], frames)
    with pytest.raises(PaintingError, match="expected a labelled frame with an image, got frame 2, one grey"):
        painting.save(own, some(own, clip, frame=2))


@pytest.mark.parametrize("at", range(4))
def test_a_save_that_breaks_off_changes_nothing(own, clip, at, monkeypatch):
    painting.save(own, some(own, clip, seed=1))
    kept, calls, real = painting.read(own, clip, 0, "anna"), [], os.replace

    def failing(*places):
        calls.append(places)
        if len(calls) > at:
            raise OSError("No space left on device")
        real(*places)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError):
        painting.save(own, some(own, clip, seed=2))
    monkeypatch.undo()
    assert len(calls) == at + 1
    again = cohorts.read(own.folder, 2)
    assert np.array_equal(painting.read(again, clip, 0, "anna").maps, kept.maps)
    assert not [p for p in own.folder.rglob("*.part*")]
    painting.save(again, some(again, clip, seed=2))  # and the next one works


def test_processes_that_paint_at_once_lose_nothing(own):
    code = (
        "import sys, numpy as np\n"
        "from lusnb.cohort import cohort as cohorts, painting\n"
        "own = cohorts.read(sys.argv[1], 2, look=False)\n"
        "for clip in own.clips['clip_id'][:6]:\n"
        "    one = painting.read(own, clip, 0, sys.argv[2])\n"
        "    one.maps[1, 3:9, 3:9], one.looked[1] = 99, True\n"
        "    painting.save(own, one)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, own.folder, name]) for name in ("anna", "bert")]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    again = cohorts.read(own.folder, 2)
    assert again.labels["rater"].value_counts()[["anna", "bert"]].tolist() == [6, 6]
    assert len(painting.painted(again)) == 12 and len(again.labels) == len(own.labels) + 12


def test_other_columns_and_rows_of_the_table_are_kept(own, clip):
    table = pd.read_csv(own.folder / "labels.csv", dtype=str).assign(remark="as, it was")
    files.write_csv(own.folder / "labels.csv", table)
    painting.save(own, some(own, clip))
    after = pd.read_csv(own.folder / "labels.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(after.iloc[: len(table)], table)
    assert after["remark"].iloc[-1] == "" and len(after) == len(table) + 2


def test_a_cohort_without_labels_can_be_painted(own, clip):
    (own.folder / "labels.csv").write_text("clip_id,frame,rater,feature,path\n")
    bare = cohorts.read(own.folder, 2)
    painting.save(bare, some(bare, clip, frame=3))
    table = cohort.labelled_frames(cohorts.read(own.folder, 2))
    assert table[["clip_id", "frame"]].to_numpy().tolist() == [[clip, 3]]


def test_what_is_exported_reads_back(own, clip, tmp_path):
    one = some(own, clip, frame=1)
    painting.save(own, one)
    found = export.painted(own, "anna", tmp_path / "out")
    assert sorted(state(tmp_path / "out")) == sorted([*found["path"], "files.csv", "labels.csv"])
    for row in found.itertuples():
        values = readers.read(tmp_path / "out" / row.path, one.maps.shape[1:], frame=1)
        assert np.array_equal(values, one.maps[own.features.index(row.feature)]), row.path
    sheet = pd.read_csv(tmp_path / "out" / "labels.csv")
    assert sheet["path"].tolist() == [f"anna/{clip}_f1_sharp_pleura.png", f"anna/{clip}_f1_b_line.png"]
    import nibabel
    import SimpleITK as sitk

    down, across = arrays.pixel_mm(own, clip)
    stem = str(tmp_path / "out" / "anna" / f"{clip}_f1_b_line")
    nrrd, nifti = (sitk.ReadImage(f"{stem}.{ending}") for ending in ("nrrd", "nii"))
    assert nibabel.load(f"{stem}.nii").header.get_xyzt_units()[0] == "mm"
    sizes = found[["mm_down", "mm_across"]].to_numpy()
    assert sizes == pytest.approx(np.tile((down, across), (6, 1)))
    assert nrrd.GetSpacing() == pytest.approx((across, down, 1.0))
    corner = (nrrd.GetWidth() - 1, nrrd.GetHeight() - 1, 0)
    here, there = (one.TransformIndexToPhysicalPoint(corner) for one in (nrrd, nifti))
    assert here == pytest.approx(there), "both lie in the same place for other programs"


def test_raters_who_are_exported_to_one_folder_stay_apart(own, clip, tmp_path):
    out, paintings = tmp_path / "out", {}
    for seed, rater in enumerate(("anna", "b/o")):
        paintings[rater] = some(own, clip, rater=rater, seed=seed)
        painting.save(own, paintings[rater])
        export.painted(own, rater, out)
    export.painted(own, "anna", out)  # again: her rows are not there twice
    sheet, problems = tables.read_table(out / "labels.csv", schema.sheet("labels"))
    assert not problems and len(sheet) == 4 and sheet["rater"].tolist() == ["b/o"] * 2 + ["anna"] * 2
    for row in sheet.itertuples():
        one = paintings[row.rater]
        values = readers.read(out / row.path, one.maps.shape[1:], frame=0)
        assert np.array_equal(values, one.maps[own.features.index(row.feature)]), row.path
    listed = pd.read_csv(out / "files.csv")
    assert sorted(listed["path"]) == sorted(set(state(out)) - {"files.csv", "labels.csv"})
    assert {path.split("/")[0] for path in sheet["path"]} == {"anna", "b%2f%o"}


def test_an_export_overwrites_no_table_but_its_own(own, clip, tmp_path):
    painting.save(own, some(own, clip))
    before = state(own.folder)
    with pytest.raises(
        PaintingError, match="expected a folder of its own, got the cohort cohort; choose another"
    ):
        export.painted(own, "anna", own.folder)
    assert state(own.folder) == before
    (tmp_path / "labels.csv").write_text("name,colour\na,red\n")
    with pytest.raises(
        PaintingError, match="labels.csv of the export folder: expected clip_id, .*got 'name, colour'"
    ):
        export.painted(own, "anna", tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "name,colour\na,red\n"


def test_a_size_that_is_not_known_is_not_exported_as_one(own, clip, tmp_path):
    import nibabel

    clips = pd.read_csv(own.folder / "clips.csv", dtype=str)
    clips.loc[clips["clip_id"] == clip, ["depth_cm", "width_cm"]] = None
    files.write_csv(own.folder / "clips.csv", clips)
    bare = cohorts.read(own.folder, 2)
    other = bare.clips["clip_id"].iloc[1]
    for one in (clip, other):
        painting.save(bare, some(bare, one))
    found = export.painted(bare, "anna", tmp_path / "out")
    for table in (found, pd.read_csv(tmp_path / "out" / "files.csv")):
        known = table[["mm_down", "mm_across"]].notna()
        assert (known.to_numpy() == (table[["clip_id"]] == other).to_numpy()).all()
    header = nibabel.load(tmp_path / "out" / "anna" / f"{clip}_f0_b_line.nii").header
    assert header.get_xyzt_units()[0] == "unknown" and header.get_zooms() == (1, 1, 1)


def test_the_same_rater_in_two_windows_loses_nothing(own, clip):
    first, second = (painting.read(own, clip, 0, "anna") for _ in range(2))
    first.maps[0, 5:9], first.looked[0] = 90, True
    painting.save(own, first)
    second.maps[1, 5:9], second.looked[1] = 50, True
    with pytest.raises(PaintingError, match="anna painted this in another window meanwhile, and that stays"):
        painting.save(own, second)
    back = painting.read(own, clip, 0, "anna")
    assert back.looked.tolist() == [True] + [False] * 5 and (back.maps[0, 5:9] == 90).all()
    first.maps[0, 20:22] = 30
    painting.save(own, first)  # the first window goes on


def test_time_alone_makes_no_study_run_again(own, clip):
    one = some(own, clip)
    painting.save(own, one)
    before = fingerprint.cohort_fingerprint(own.folder), fingerprint.cohort_stamp(own.folder)
    one.seconds += 50
    painting.save(own, one)
    assert painting.painted(own)["seconds"].tolist() == [50.0]
    assert (fingerprint.cohort_fingerprint(own.folder), fingerprint.cohort_stamp(own.folder)) == before
    one.maps[0, 0, 0] ^= 1
    painting.save(own, one)
    assert fingerprint.cohort_fingerprint(own.folder) != before[0]


def test_files_that_lie_beside_the_saves_do_not_stop_them(own, clip):
    place = own.folder / f"labels/painted/anna/{clip}_f0"
    place.mkdir(parents=True)
    for name in ("b_line.1.copy.png", "b_line.x.png", "b_line.7.png"):
        (place / name).write_bytes(b"mine")
    painting.save(own, some(own, clip))
    assert (place / "b_line.8.png").exists() and (place / "b_line.7.png").read_bytes() == b"mine"


def test_names_of_any_length_become_paths_that_do_not_meet():
    long = ["clip " * 60 + end for end in ("a", "b", "\u00fc" * 90)]
    slugs = [painting.slug(name) for name in long]
    assert len(set(slugs)) == 3 and all(len(one.encode()) <= 120 for one in slugs)
    assert painting.slug("a b") == "a%20%b" and painting.slug("P01_d0-R1") == "P01_d0-R1"


def test_a_black_frame_is_told_and_can_be_left(own, clip):
    frames = np.array(arrays.clip(own, clip))
    frames[0] = 0
    files.write_npy(own.folder / own.clips["path"].iloc[0], frames)
    assert "cannot be saved: expected a labelled frame with an image" in painting.odd(own, clip, 0)
    assert painting.odd(own, clip, 1) == ""
    painting.save(own, painting.read(own, clip, 0, "anna"))  # nothing is painted: nothing to refuse
