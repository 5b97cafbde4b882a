"""What thresholds keep, and how thick lines are, on a cohort drawn by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import thresholds, truth

FEATURES = ("sharp_pleura", "b_line", "a_line")


def drawn(folder: Path, images: dict[tuple[str, str], np.ndarray], depth: float | None = 4.0) -> Cohort:
    """A cohort of one-frame clips; images: (clip, feature) -> confidence in per cent."""
    folder.mkdir(exist_ok=True)
    rows = []
    for (clip, feature), percent in images.items():
        name = f"{clip}_{feature}.png"
        Image.fromarray(np.rint(percent * 2.55).astype(np.uint8)).save(folder / name)
        frame = np.add.outer(*map(np.arange, percent.shape)).astype(np.uint8)
        np.save(folder / f"{clip}.npy", frame[None])
        rows.append((clip, 0, "r", feature, name))
    clips = sorted({clip for clip, _ in images})
    columns = ["clip_id", "frame", "rater", "feature", "path"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "labels.csv", index=False)
    blank = {"day": None, "view": None, "depth_cm": depth, "fps": None, "width_cm": None}
    paths = [f"{c}.npy" for c in clips]
    pd.DataFrame({"clip_id": clips, "patient_id": clips, "path": paths, **blank}).to_csv(
        folder / "clips.csv", index=False
    )
    patients = {"patient_id": clips, "readmitted_30d": None, "split": None, "fold": None}
    pd.DataFrame(patients).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.yaml").write_text(f"name: drawn\nfeatures: [{', '.join(FEATURES)}]\n")
    return cohorts.read(folder)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Clip a: 8 x 8, a pleura of 4 columns at 100, 60, 20 and 0 %, b_line empty, a_line unknown."""
    pleura = np.zeros((8, 8))
    pleura[2:5, 0], pleura[2:4, 1], pleura[2, 2] = 100, 60, 20  # 3, 2 and 1 pixels
    return drawn(tmp_path / "drawn", {("a", "sharp_pleura"): pleura, ("a", "b_line"): np.zeros((8, 8))})


def test_kept_areas_by_hand(cohort: Cohort):
    table = thresholds.kept(cohort, None, "mean", [0.0, 0.2, 0.5, 0.6, 0.8, 1.0])
    pleura = table[table["feature"] == "sharp_pleura"].set_index("threshold")
    assert (pleura["area"] * 64).to_list() == pytest.approx([6, 6, 5, 5, 3, 3])
    assert pleura["share"].to_list() == pytest.approx([1, 1, 5 / 6, 5 / 6, 1 / 2, 1 / 2])
    assert pleura["present"].all()
    b_line = table[table["feature"] == "b_line"]
    assert (b_line["area"] == 0).all() and b_line["share"].isna().all() and not b_line["present"].any()
    assert set(table["feature"]) == {"sharp_pleura", "b_line"}  # what nobody looked for has no rows
    assert set(table["patient_id"]) == {"a"}


def test_kept_names_the_threshold_at_which_a_line_is_gone(tmp_path: Path):
    faint = drawn(tmp_path / "faint", {("a", "a_line"): np.full((8, 8), 40.0)})
    table = thresholds.kept(faint, 4, "mean", [0.4, 0.5])
    assert table[["area", "share", "present"]].to_numpy().tolist() == [[1, 1, True], [0, 0, False]]


def test_levels_used_by_hand(cohort: Cohort):
    table = thresholds.levels_used(cohort, "mean")
    pleura = table[table["feature"] == "sharp_pleura"].set_index("level")["share"]
    assert pleura[[100, 60, 20]].to_list() == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert pleura.sum() == pytest.approx(1)
    assert table.loc[table["feature"] == "b_line", "share"].sum() == 0


def test_thickness_by_hand(tmp_path: Path):
    line = np.zeros((16, 8))
    line[4:7, 0:5] = 100  # five columns of 3 pixels
    line[9, 0:2] = 100  # a second, thinner run below two of them: the longest counts
    line[4:9, 5] = 50  # one of 5, at 50 %
    line[0:9, 6] = 40  # under 50 %: not painted enough
    burst = np.full((16, 8), 20.0)
    burst[:, 3:5] = 90  # 2 across, 16 down
    cohort = drawn(tmp_path / "lines", {("a", "sharp_pleura"): line, ("a", "b_line"): burst})
    table = thresholds.thickness(cohort, "mean", [8, 64]).set_index("feature")
    assert list(table.index) == list(FEATURES)
    down, across = arrays.pixel_mm(cohort, "a")
    assert down == pytest.approx(40 / 16)
    assert table.loc["sharp_pleura"].to_list() == ["down", pytest.approx(3 * down), 3 * 8 / 16, 3 * 64 / 16]
    assert table.loc["b_line"].to_list() == ["across", pytest.approx(2 * across), 2 * 8 / 8, 2 * 64 / 8]
    assert table.loc["a_line", "along"] == "" and table.loc["a_line"].iloc[1:].isna().all()


def test_thickness_is_the_median_over_columns_of_all_clips(tmp_path: Path):
    images = {}
    for clip, columns, rows in (("a", 3, 2), ("b", 5, 6)):
        image = np.zeros((16, 8))
        image[1 : 1 + rows, :columns] = 80
        images[clip, "a_line"] = image
    table = thresholds.thickness(drawn(tmp_path / "two", images), "mean", [32]).set_index("feature")
    assert table.loc["a_line", "px_32"] == pytest.approx(6 * 32 / 16)  # 3 columns of 2, 5 of 6


TOO_SMALL = "too small, under 3 pixels thick"


@pytest.mark.parametrize(
    ("thin", "first", "second"),
    [
        (2.9, f"{TOO_SMALL}: sharp pleura (2.9), a line (2.0)", "thick enough"),
        (3.0, f"{TOO_SMALL}: a line (2.0)", "thick enough"),
        (1.4, f"{TOO_SMALL}: sharp pleura (1.4), a line (2.0)", f"{TOO_SMALL}: sharp pleura (2.8)"),
    ],
)
def test_every_feature_is_judged_at_every_working_size(thin: float, first: str, second: str):
    rows = [("sharp_pleura", 1.0, thin, 2 * thin), ("fuzzy_pleura", 2.0, 9, 18), ("a_line", 0.1, 2.0, 4.0)]
    table = pd.DataFrame(rows, columns=["feature", "mm", "px_64", "px_128"])
    told = thresholds.too_thin(table).splitlines()
    assert told == ["judged: sharp pleura, fuzzy pleura, a line", f"64 px: {first}", f"128 px: {second}"]


def test_a_thin_line_of_any_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(globals(), "FEATURES", ("nerve", "needle", "fascia"))
    nerve, needle = np.zeros((64, 64)), np.zeros((64, 64))
    nerve[10:40, 20:50] = 100
    needle[5:60, 30:32] = 100  # 2 pixels across
    images = {("a", "nerve"): nerve, ("a", "needle"): needle, ("a", "fascia"): np.zeros((64, 64))}
    cohort = drawn(tmp_path / "other", images)
    assert thresholds.too_thin(thresholds.thickness(cohort, "mean", [64, 96])).splitlines() == [
        "judged: nerve, needle",
        "not judged, as nowhere painted with at least 50 %: fascia",
        f"64 px: {TOO_SMALL}: needle (2.0)",
        "96 px: thick enough",
    ]


def test_what_is_shown_as_three_pixels_is_three_pixels(tmp_path: Path):
    image = np.zeros((65, 64))
    image[10:13] = 100  # 2.954 pixels of 64
    table = thresholds.thickness(drawn(tmp_path / "three", {("a", "a_line"): image}), "mean", [64])
    assert table.set_index("feature").at["a_line", "px_64"] == 3.0
    assert thresholds.too_thin(table).endswith("64 px: thick enough")


def test_a_cohort_without_millimetres_is_judged_too(tmp_path: Path):
    image = np.zeros((64, 64))
    image[10:12] = 100
    cohort = drawn(tmp_path / "pixels", {("a", "sharp_pleura"): image}, depth=None)
    table = thresholds.thickness(cohort, "mean", [64])
    assert table["mm"].isna().all()
    assert thresholds.too_thin(table).endswith(f"64 px: {TOO_SMALL}: sharp pleura (2.0)")


def test_without_paint_there_is_nothing_to_judge_by():
    table = pd.DataFrame({"feature": ["sharp_pleura", "a_line"], "mm": np.nan, "px_64": np.nan})
    assert thresholds.too_thin(table).startswith("nothing is painted with at least 50 % in this cohort")


def test_true_burden_is_the_share_of_b_line_pixels_beside_its_sf(
    request: pytest.FixtureRequest, phantom: Path
):
    opened = cohorts.read(phantom, 2)
    table = truth.true_burden(opened).set_index("clip_id")
    assert len(table) == 26
    for clip in opened.clips.iloc[::5].itertuples():
        with Image.open(phantom / f"truth/{clip.clip_id}_b_line.png") as image:
            assert table.at[clip.clip_id, "burden"] == (np.asarray(image) > 0).mean()
        own = table.loc[clip.clip_id, ["patient_id", "day", "sf_ratio"]].to_list()
        assert own == [clip.patient_id, clip.day, clip.sf_ratio]


def test_what_burden_tells_of_sf_is_of_clips_and_of_patient_days_by_hand():
    """Clip by clip the ranks 1 2 3 4 meet 3.5 3.5 1.5 1.5; the two days are in perfect order."""
    rows = [
        ("a", "P1", 0, 0.1, 0.9),
        ("b", "P1", 0, 0.2, 0.9),
        ("c", "P1", 1, 0.3, 0.4),
        ("d", "P1", 1, 0.4, 0.4),
    ]
    table = pd.DataFrame(rows, columns=["clip_id", "patient_id", "day", "burden", "sf_ratio"])
    assert np.corrcoef([1, 2, 3, 4], [3.5, 3.5, 1.5, 1.5])[0, 1] == pytest.approx(-0.894, abs=0.001)
    assert truth.burden_told(table) == "rho -0.89 over 4 clips, -1.00 over 2 patient-days"


def test_a_cohort_without_truth_has_no_true_burden(cohort: Cohort):
    assert len(truth.true_burden(cohort)) == 0
