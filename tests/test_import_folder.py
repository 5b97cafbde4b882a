"""A folder of files and its spreadsheets become a cohort: worked by hand, on real samples, and privately."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb.cohort import arrays, painting
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.problems import CohortError
from lusnb.readers.folder import import_folder
from tests.test_readers_clips import dicom

SPREADSHEETS = Path(__file__).parents[1] / "notebooks" / "samples"
INSIDE, OUTSIDE = 0, 255  # in these masks the structure is black


def write(path: Path, pixels: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def sheet(path: Path, text: str) -> None:
    """Write a spreadsheet; blanks between its cells are for reading here."""
    lines = [",".join(cell.strip() for cell in line.split(",")) for line in text.strip().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Still C1 outlined by Ann with two tools and by Bo and Cy with one each; C2 by Bo alone."""
    folder, i, o = tmp_path / "source", INSIDE, OUTSIDE
    write(folder / "c1.png", [[10, 20, 30, 40], [50, 60, 70, 80]])
    write(folder / "C2.png", [[1, 2], [3, 4]])
    write(folder / "ann_x.png", [[i, i, o, o], [i, o, o, o]])
    write(folder / "ann_y.png", [[i, o, i, o], [i, o, o, o]])
    write(folder / "bo.png", [[i, i, o, o], [o, i, o, o]])
    write(folder / "cy.png", [[i, i, o, o], [o, o, o, o]])
    write(folder / "bo2.png", [[i, o], [o, o]])
    sheet(folder / "clips.csv", "clip_id, patient_id, path\n C1, Eve, c1.png\n C2, Adam, C2.png")
    sheet(
        folder / "labels.csv",
        """clip_id, frame, rater, reading, feature, path, foreground
        C1, 0, Ann, x, cell, ann_x.png, 0
        C1, 0, Ann, y, cell, ann_y.png, 0
        C1, 0, Bo, , cell, bo.png, 0
        C1, 0, Cy, , cell, cy.png, 0
        C2, 0, Bo, , cell, bo2.png, 0""",
    )
    return folder


def imported(source: Path, folder: Path, **how) -> cohorts.Cohort:
    import_folder(source, folder, name="cells", **{"study_ids": False, **how})
    return cohorts.read(folder)


def test_a_rater_s_readings_are_averaged_and_raters_stay_apart(source, tmp_path):
    cohort = imported(source, tmp_path / "cohort")
    labels = cohort.labels.set_index(["clip_id", "rater"])["path"]
    assert sorted(labels.index) == [("C1", "Ann"), ("C1", "Bo"), ("C1", "Cy"), ("C2", "Bo")]
    ann, bo = (arrays.image(cohort, labels["C1", who]).tolist() for who in ("Ann", "Bo"))
    assert ann == [[255, 128, 128, 0], [255, 0, 0, 0]]
    assert bo == [[255, 255, 0, 0], [0, 255, 0, 0]]
    assert cohort.features == ("cell",) and cohort.views == {} and cohort.origin == "imported"
    assert arrays.clip(cohort, "C1").tolist() == [[[10, 20, 30, 40], [50, 60, 70, 80]]]


def test_confidence_is_the_mean_over_people_not_over_masks(source, tmp_path):
    cohort = imported(source, tmp_path / "cohort")
    maps, known = arrays.confidence_of(cohort, cohorts.labelled_frames(cohort)[:1], None)
    assert maps[0, 0].tolist() == [[255, round((128 + 255 + 255) / 3), 43, 0], [85, 85, 0, 0]] and known.all()


def test_the_same_files_are_imported_once_and_changed_ones_again(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    imported(source, folder)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    write(source / "C2.png", [[9, 8], [7, 6]])
    assert arrays.clip(imported(source, folder), "C2").tolist() == [[[9, 8], [7, 6]]]


def test_what_was_painted_in_an_import_is_kept_and_used(source, tmp_path):
    folder = tmp_path / "cohort"
    cohort = imported(source, folder)
    clip = cohort.clips["clip_id"].iloc[0]
    one = painting.read(cohort, clip, 0, "anna")
    one.maps[0, 0, 0], one.looked[0] = 77, True
    painting.save(cohort, one)
    again = imported(source, folder)  # as 00_cohort does, whenever the cohort changed
    assert "anna" in set(again.labels["rater"]) and painting.read(again, clip, 0, "anna").maps[0, 0, 0] == 77
    write(source / "C2.png", [[9, 8], [7, 6]])
    with pytest.raises(ValueError, match="importing anew would lose that"):
        imported(source, folder)


def test_two_imports_are_the_same_byte_for_byte_by_name_or_by_key(source, tmp_path):
    for name in ("one", "two"):
        imported(source, tmp_path / name)
        imported(source, tmp_path / f"key_{name}", study_ids=True, key=tmp_path / "key.csv")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert files_of(tmp_path / "key_one") == files_of(tmp_path / "key_two")


def test_the_order_of_study_names_is_drawn_anew_each_time(tmp_path):
    from lusnb.readers.identity import Key, study_ids

    people = [f"p{k:02d}" for k in range(40)]
    clips = pd.DataFrame({"clip_id": people, "patient_id": people, "day": pd.NA, "view": pd.NA})
    one, two = (study_ids(people, clips, Key({}, {})).patients for _ in range(2))
    assert one != two and sorted(one.values()) == sorted(two.values()) == [f"P{k:02d}" for k in range(1, 41)]


def test_a_key_keeps_the_names_of_those_it_knows_and_learns_the_others(source, tmp_path):
    key = tmp_path / "safe" / "key.csv"
    imported(source, tmp_path / "cohort", study_ids=True, key=key)
    first = pd.read_csv(key).set_index("original")["study"]
    text = (source / "clips.csv").read_text().splitlines()
    (source / "clips.csv").write_text("\n".join([text[0], "C3,Abel,C2.png", *reversed(text[1:])]) + "\n")
    write(source / "C2.png", [[9, 8], [7, 6]])
    with pytest.raises(CohortError, match="the same pixels as in row"):  # C3 is C2 under another patient
        imported(source, tmp_path / "cohort", study_ids=True, key=key)
    write(source / "c3.png", [[1, 8], [7, 6]])
    (source / "clips.csv").write_text(
        (source / "clips.csv").read_text().replace("Abel,C2.png", "Abel,c3.png")
    )
    cohort = imported(source, tmp_path / "cohort", study_ids=True, key=key)
    second = pd.read_csv(key).set_index("original")["study"]
    assert second[first.index].equals(first) and second["Abel"] == "P03"
    assert set(cohort.patients["patient_id"]) == {"P01", "P02", "P03"}


def test_a_key_that_cannot_be_written_makes_no_cohort(source, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="key: .* cannot be written"):
        imported(source, tmp_path / "cohort", study_ids=True, key=tmp_path / "file" / "key.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "source"]


def test_a_cohort_is_never_made_over_its_own_files(source, tmp_path):
    for folder in (source, source / "cohort", tmp_path):
        with pytest.raises(ValueError, match="expected the cohort apart from its files"):
            imported(source, folder)
    before = files_of(source)
    folder = tmp_path / "cohort"
    imported(source, folder)
    (folder / "notes.txt").write_text("mine")
    write(source / "C2.png", [[9, 8], [7, 6]])
    with pytest.raises(ValueError, match=r"found also \['notes.txt'\]; an import would remove it"):
        imported(source, folder)
    assert (folder / "notes.txt").read_text() == "mine" and before.keys() == files_of(source).keys()


def test_tables_that_were_edited_are_kept_and_never_lost(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    table = (folder / "patients.csv").read_text().replace("Adam,,,", "Adam,,test,")
    (folder / "patients.csv").write_text(table)
    assert imported(source, folder).patients_in("test") == ["Adam"]
    write(source / "C2.png", [[9, 8], [7, 6]])
    with pytest.raises(
        ValueError, match=r"found \['patients.csv'\] changed by hand; importing anew would lose"
    ):
        imported(source, folder)
    assert (folder / "patients.csv").read_text() == table


def test_a_damaged_import_is_mended_by_importing_again(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    whole = files_of(folder)
    (folder / "clips" / "C1.npy").unlink()
    (folder / "clips" / "C2.npy").write_bytes(b"cut")
    imported(source, folder)
    assert files_of(folder) == whole | {".source": files_of(folder)[".source"]}


def test_a_note_of_an_import_that_was_cut_short_is_named(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    (folder / ".source").write_text('{"coho')
    with pytest.raises(
        ValueError, match=r"cohort/\.source: expected what .* cannot be read: move the folder"
    ):
        imported(source, folder)


def test_what_killed_imports_left_is_put_right(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    folder.rename(tmp_path / ".cohort.replaced")  # killed between the two last steps
    (tmp_path / ".cohort.importing-999999999-x").mkdir()  # killed before
    (source / "c1.png").write_bytes(b"no image")
    with pytest.raises(CohortError):
        imported(source, folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort", "source"]
    assert len(cohorts.read(folder).clips) == 2


def test_an_import_that_fails_leaves_an_earlier_one_as_it_was(source, tmp_path):
    folder = tmp_path / "cohort"
    imported(source, folder)
    before = files_of(tmp_path / "cohort")
    (source / "c1.png").write_bytes(b"no image")
    with pytest.raises(CohortError, match=r"clips\.csv, row 1: expected a PNG or TIFF image, got c1\.png"):
        imported(source, folder)
    assert files_of(folder) == before and sorted(p.name for p in tmp_path.iterdir()) == ["cohort", "source"]


def test_other_people_s_folders_are_never_touched(source, tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an empty folder or an earlier import, found other files"):
        imported(source, folder)
    assert files_of(folder) == {"thesis.txt": b"mine"}


def test_a_crop_takes_the_labels_with_it(source, tmp_path):
    sheet(
        source / "clips.csv",
        "clip_id, patient_id, path, crop\n C1, Eve, c1.png, 1 0 2 2\n C2, Adam, C2.png,",
    )
    write(source / "cy.png", [[INSIDE, OUTSIDE], [OUTSIDE, OUTSIDE]])  # drawn on the crop itself
    cohort = imported(source, tmp_path / "cohort")
    assert arrays.clip(cohort, "C1").tolist() == [[[20, 30], [60, 70]]]
    labels = cohort.labels.set_index(["clip_id", "rater"])["path"]
    assert arrays.image(cohort, labels["C1", "Bo"]).tolist() == [[255, 0], [255, 0]]
    assert arrays.image(cohort, labels["C1", "Cy"]).tolist() == [[255, 0], [0, 0]]


def test_scale_and_rate_come_from_the_file_unless_the_sheet_gives_them(source, tmp_path):
    region = dicom_region(0.02, 0.05)
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
    dicom(source / "a.dcm", frames, FrameTime="50", SequenceOfUltrasoundRegions=[region])
    sheet(
        source / "clips.csv",
        """clip_id, patient_id, path, crop, depth_cm
        C1, Eve, c1.png, ,
        C2, Adam, C2.png, ,
        D1, Ida, a.dcm, 0 0 10 8,
        D2, Ida, a.dcm, 0 0 30 20, 4.5""",
    )
    clips = imported(source, tmp_path / "cohort").clips.set_index("clip_id")
    assert clips.loc["D1", ["depth_cm", "width_cm", "fps"]].tolist() == pytest.approx([0.4, 0.2, 20])
    assert clips.loc["D2", ["depth_cm", "width_cm"]].tolist() == pytest.approx([4.5, 0.6])


def dicom_region(across: float, down: float):
    from pydicom.dataset import Dataset

    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = across, down
    return region


@pytest.fixture
def private(source: Path) -> Path:
    """A source full of identifiers: names in files' names, tables and DICOM tags."""
    rng = np.random.default_rng(0)
    for name in ("Doe_Jane_1", "Doe_Jane_2"):
        frames = rng.integers(0, 256, (2, 20, 30), np.uint8)
        dicom(source / f"{name}.dcm", frames, OperatorsName="Who^Ever", InstitutionName="Saint Elsewhere")
    frames = rng.integers(0, 256, (2, 20, 30), np.uint8)
    dicom(source / "Roe.dcm", frames, PatientID="87654321", Manufacturer="Maker")
    mask = np.zeros((20, 30), np.uint8)
    mask[:12] = 255
    write(source / "Doe_Jane_mask.png", mask)
    sheet(
        source / "clips.csv",
        """clip_id, patient_id, day, view, path, operator
        Doe-1, Doe Jane, 0, R1, Doe_Jane_1.dcm, Who Ever
        Doe-2, Doe Jane, 1, R1, Doe_Jane_2.dcm, Who Ever
        Roe-1, Roe, 0, L1, Roe.dcm, Who Ever""",
    )
    sheet(
        source / "labels.csv",
        "clip_id, frame, rater, feature, path\n Doe-1, 1, rater_1, b_line, Doe_Jane_mask.png",
    )
    sheet(source / "patients.csv", "patient_id, readmitted_30d\n Doe Jane, 1\n Roe, 0\n Noclip Nancy, 0")
    sheet(source / "exams.csv", "patient_id, day, spo2, fio2\n Doe Jane, 0, 95, 0.5\n Roe, 0, 97, 0.21")
    return source


IDENTIFYING = ("Doe", "Jane", "Roe", "12345678", "87654321", "Who", "Ever", "Elsewhere", "Nancy")


def test_study_identifiers_leave_no_trace_of_the_patients(private, tmp_path):
    folder, key = tmp_path / "cohort", tmp_path / "safe" / "key.csv"
    odd = import_folder(private, folder, name="private", study_ids=True, key=key)
    cohort = cohorts.read(folder)
    for path, content in files_of(folder).items():
        assert not [word for word in IDENTIFYING if word.encode() in content or word in path], path
    assert set(cohort.patients["patient_id"]) == {"P01", "P02", "P03"}
    who = pd.read_csv(key).query("kind == 'patient'").set_index("original")["study"]
    outcome = cohort.patients.set_index("patient_id")["readmitted_30d"]
    assert outcome[who["Doe Jane"]] == 1 and outcome[who["Roe"]] == 0
    exams = cohort.exams.set_index("patient_id")["sf_ratio"]
    assert exams[who["Doe Jane"]] == 190 and exams[who["Roe"]] == pytest.approx(97 / 0.21)
    assert list(cohort.labels["clip_id"]) == [f"{who['Doe Jane']}_d0_R1"]
    assert "Maker" in (folder / "recordings.csv").read_text()
    kept = cohort.meta["provenance"]["warnings"]
    assert len(kept) == len(odd) >= 4  # an unknown column, three files silent on burned-in text, much paint
    assert {Path(one["file"]).name for one in kept} == {"clips.csv", "labels.csv"}


def test_without_a_key_nobody_can_tell_who_is_who(private, tmp_path):
    import_folder(private, tmp_path / "cohort", name="private", study_ids=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort", "source"]


def test_burned_in_text_needs_a_crop(private, tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (2, 20, 30), np.uint8)
    dicom(private / "Roe.dcm", frames, PatientID="87654321", BurnedInAnnotation="YES")
    with pytest.raises(CohortError, match="a crop, since the file declares burned-in text, got no crop"):
        import_folder(private, tmp_path / "cohort", name="private")
    text = (private / "clips.csv").read_text().replace("path,operator", "path,crop")
    (private / "clips.csv").write_text(text.replace("Who Ever", "0 4 30 16"))
    mask = np.zeros((20, 30), np.uint8)
    mask[6:9] = 200
    write(private / "Doe_Jane_mask.png", mask)
    import_folder(private, tmp_path / "cohort", name="private")
    cohort = cohorts.read(tmp_path / "cohort")
    assert {arrays.clip(cohort, one).shape for one in cohort.clips["clip_id"]} == {(2, 16, 30)}


def test_one_person_under_two_names_is_refused_without_saying_who(private, tmp_path):
    text = (private / "clips.csv").read_text().replace("Doe-2,Doe Jane", "Doe-2,Roe")
    (private / "clips.csv").write_text(text)
    with pytest.raises(CohortError, match="each person under one patient_id") as caught:
        import_folder(private, tmp_path / "cohort", name="private")
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "counts"), [("bubil", (6, 30, 1)), ("usgra", (12, 24, 2)), ("lus_linear", (1, 56, 6))]
)
def test_the_real_samples_become_cohorts(samples, tmp_path, name, counts):
    import_folder(samples / name, tmp_path / name, name=name, tables=SPREADSHEETS / name, study_ids=False)
    cohort = cohorts.read(tmp_path / name)
    assert (len(cohort.clips), len(cohort.labels), len(cohort.features)) == counts
    assert cohort.warnings.empty and cohort.meta["provenance"]["warnings"] == []
    table = cohorts.labelled_frames(cohort)[:3]
    maps, known = arrays.confidence_of(cohort, table, 64)
    assert known.any() and maps[known].any()


def test_real_masks_average_to_what_a_loop_over_people_gives(samples, tmp_path):
    import_folder(samples / "bubil", tmp_path / "b", name="b", tables=SPREADSHEETS / "bubil", study_ids=False)
    cohort = cohorts.read(tmp_path / "b")
    people = []
    for k in range(1, 6):
        tools = sorted((samples / "bubil" / "raters").glob(f"Person{k}_*/[sS][eE][gG]_[bB]01.png"))
        masks = [np.asarray(Image.open(tool).convert("L")) == 0 for tool in tools]
        people.append(np.mean(masks, axis=0))
    maps, _ = arrays.confidence_of(cohort, cohorts.labelled_frames(cohort)[:1], None)
    assert np.abs(maps[0, 0] / 255 - np.mean(people, axis=0)).max() <= 1 / 255


def test_a_real_mask_of_ones_gives_the_same_target_at_every_threshold(samples, tmp_path):
    from lusnb import confidence

    import_folder(samples / "usgra", tmp_path / "u", name="u", tables=SPREADSHEETS / "usgra", study_ids=False)
    cohort = cohorts.read(tmp_path / "u")
    maps, _ = arrays.confidence_of(cohort, cohorts.labelled_frames(cohort), 64)
    targets = [confidence.targets(maps / 255, t) for t in (0.2, 0.5, 1.0)]
    assert targets[0].any() and all(np.array_equal(t, targets[0]) for t in targets)


def test_names_that_run_into_each_other_keep_files_of_their_own(source, tmp_path):
    sheet(
        source / "labels.csv",
        """clip_id, frame, rater, feature, path, foreground
        C1, 0, x, sub_a_line, bo.png, 0
        C1, 0, x_sub, a_line, cy.png, 0
        C1, 0, X, sub_a_line, ann_x.png, 0""",
    )
    cohort = imported(source, tmp_path / "cohort")
    paths = cohort.labels.set_index("rater")["path"]
    assert len({path.lower() for path in paths}) == 3
    painted = {rater: int((arrays.image(cohort, path) == 255).sum()) for rater, path in paths.items()}
    assert painted == {"x": 3, "x_sub": 2, "X": 3}
