"""What thresholds keep, and how thick lines are, on a cohort drawn by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import cohort as cohorts
from lusnb import labels
from lusnb.cohort import Cohort

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
    table = labels.kept(cohort, None, "mean", [0.0, 0.2, 0.5, 0.6, 0.8, 1.0])
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
    table = labels.kept(faint, 4, "mean", [0.4, 0.5])
    assert table[["area", "share", "present"]].to_numpy().tolist() == [[1, 1, True], [0, 0, False]]


def test_levels_used_by_hand(cohort: Cohort):
    table = labels.levels_used(cohort, "mean")
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
    burst = np.full((16, 8), 90.0)
    cohort = drawn(tmp_path / "lines", {("a", "sharp_pleura"): line, ("a", "b_line"): burst})
    table = labels.thickness(cohort, "mean", [8, 64]).set_index("feature")
    assert list(table.index) == ["sharp_pleura", "a_line"]  # a B line has no thickness
    assert table.loc["sharp_pleura", ["mm", "px_8", "px_64"]].to_list() == pytest.approx(
        [3 * 40 / 16, 3 * 8 / 16, 3 * 64 / 16]
    )
    assert table.loc["a_line"].isna().all()


def test_thickness_is_the_median_over_columns_of_all_clips(tmp_path: Path):
    images = {}
    for clip, columns, rows in (("a", 3, 2), ("b", 5, 6)):
        image = np.zeros((16, 8))
        image[1 : 1 + rows, :columns] = 80
        images[clip, "a_line"] = image
    table = labels.thickness(drawn(tmp_path / "two", images), "mean", [32]).set_index("feature")
    assert table.loc["a_line", "px_32"] == pytest.approx(6 * 32 / 16)  # 3 columns of 2, 5 of 6


@pytest.mark.parametrize(
    ("thin", "words"),
    [
        (2.9, "working sizes 64, 128 px: too small, a pleura is under 3 pixels thick: 64 px"),
        (3.0, "working sizes 64, 128 px: none is too small"),
        (1.4, "working sizes 64, 128 px: too small, a pleura is under 3 pixels thick: 64, 128 px"),
    ],
)
def test_the_sentence_on_working_sizes_by_hand(thin: float, words: str):
    rows = [("sharp_pleura", 1.0, thin, 2 * thin), ("fuzzy_pleura", 2.0, 9, 18), ("a_line", 0.1, 1, 2)]
    table = pd.DataFrame(rows, columns=["feature", "mm", "px_64", "px_128"])
    assert labels.too_thin(table) == words


def test_without_a_pleura_there_is_nothing_to_judge_by():
    table = pd.DataFrame({"feature": ["sharp_pleura", "a_line"], "mm": [np.nan, 1.0], "px_64": [np.nan, 2.0]})
    assert labels.too_thin(table).startswith("no pleura is painted in this cohort")


def test_true_burden_is_the_share_of_b_line_pixels_beside_its_sf(
    request: pytest.FixtureRequest, phantom: Path
):
    opened = cohorts.read(phantom, 2)
    table = labels.true_burden(opened).set_index("clip_id")
    assert len(table) == 26
    for clip in opened.clips.iloc[::5].itertuples():
        with Image.open(phantom / f"truth/{clip.clip_id}_b_line.png") as image:
            assert table.at[clip.clip_id, "burden"] == (np.asarray(image) > 0).mean()
        assert table.at[clip.clip_id, "sf_ratio"] == clip.sf_ratio


def test_a_cohort_without_truth_has_no_true_burden(cohort: Cohort):
    assert len(labels.true_burden(cohort)) == 0
