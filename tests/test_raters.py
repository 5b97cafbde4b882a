"""Agreement, harmonisation and reliability on a cohort painted by hand, against independent references."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.compare import raters as compare_raters
from lusnb.compare import truth as compare_truth
from lusnb.segment import harmonise

FEATURES = ("a_line", "b_line")


def painted(
    folder: Path, images: dict[tuple, np.ndarray], truth: dict[tuple, np.ndarray] | None = None
) -> Cohort:
    """A cohort of clips of one frame, named `<patient>_<n>`.

    images: (clip, rater, feature) -> uint8 (H, W); truth: (clip, feature) -> bool (H, W).
    """
    folder.mkdir(exist_ok=True)
    tables = {"labels": [], "truth": []}
    masks = {
        (clip, "truth", feature): np.where(mask, 255, 0) for (clip, feature), mask in (truth or {}).items()
    }
    for table, maps in (("labels", images), ("truth", masks)):
        for (clip, rater, feature), image in maps.items():
            name = f"{clip}_{rater}_{feature}.png"
            Image.fromarray(image.astype(np.uint8)).save(folder / name)
            frame = np.arange(image.size).reshape(1, *image.shape) % 256
            np.save(folder / f"{clip}.npy", frame.astype(np.uint8))
            tables[table].append((clip, 0, rater, feature, name))
        columns = ["clip_id", "frame", "rater", "feature", "path"]
        if tables[table]:
            pd.DataFrame(tables[table], columns=columns).to_csv(folder / f"{table}.csv", index=False)
    clips = sorted({clip for clip, _, _ in images})
    owners = [clip.split("_")[0] for clip in clips]
    blank = dict.fromkeys(["day", "view", "depth_cm", "fps", "width_cm"])
    rows = {"clip_id": clips, "patient_id": owners, "path": [f"{clip}.npy" for clip in clips], **blank}
    pd.DataFrame(rows).to_csv(folder / "clips.csv", index=False)
    rows = {"patient_id": sorted(set(owners)), **dict.fromkeys(["readmitted_30d", "split", "fold"])}
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.yaml").write_text(f"name: painted\nfeatures: [{', '.join(FEATURES)}]\n")
    return cohorts.read(folder)


def row_of(*levels: int) -> np.ndarray:
    """An image of one row of pixels."""
    return np.array([levels], np.uint8)


def random_images(seed: int, raters: str = "rst", clips: int = 4) -> dict[tuple, np.ndarray]:
    """Raters who see the same blobs with errors: 16 x 16, tens of per cent, half of it unpainted."""
    rng = np.random.default_rng(seed)
    images = {}
    for k in range(clips):
        for feature in FEATURES:
            base = rng.integers(-10, 11, (16, 16))
            for rater in raters:
                level = np.clip(base + rng.integers(-3, 4, (16, 16)), 0, 10)
                images[f"p{k // 2}_{k}", rater, feature] = np.rint(25.5 * level).astype(np.uint8)
    return images


# -- who labelled


def test_the_sentence_on_raters(tmp_path: Path):
    one = {("p_0", "r", "a_line"): row_of(0, 1)}
    assert compare_raters.told(painted(tmp_path / "one", one)) == (
        "one rater, r (1 image): nothing to compare and nothing to harmonise"
    )
    apart = one | {("p_0", "s", "b_line"): row_of(0, 1)}
    assert compare_raters.told(painted(tmp_path / "apart", apart)) == (
        "2 raters who share no image, r (1 image), s (1 image): nothing to compare and nothing to harmonise"
    )
    two = apart | {("p_0", "s", "a_line"): row_of(0, 1)}
    assert compare_raters.told(painted(tmp_path / "two", two)) == (
        "2 raters, r (1 image), s (2 images): 1 of 2 labels are of two or more"
    )


def test_every_image_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = random_images(0)
    true = {(clip, feature): image > 90 for (clip, rater, feature), image in images.items() if rater == "r"}
    cohort, read, real = painted(tmp_path / "c", images, true), [], arrays.image
    monkeypatch.setattr(arrays, "image", lambda c, path: read.append(path) or real(c, path))
    everyone = list(cohort.patients["patient_id"])
    for table in (compare_raters.dice, compare_raters.alpha, lambda c: harmonise.fit(c, everyone)):
        read.clear()
        table(cohort)
        assert sorted(read) == sorted(cohort.labels["path"])
    read.clear()
    compare_truth.right_counts(cohort)
    assert sorted(read) == sorted([*cohort.labels["path"], *cohort.truth["path"]])


# -- Dice


@pytest.fixture
def three(tmp_path: Path) -> Cohort:
    """Two patients, three raters; in p_0 r has 2 pixels, s these and one more, t none; 127 counts as 50 %."""
    images = {
        ("p_0", "r", "a_line"): row_of(255, 127, 126, 0),
        ("p_0", "s", "a_line"): row_of(255, 255, 255, 0),
        ("p_0", "t", "a_line"): row_of(0, 0, 0, 0),
        ("p_1", "r", "a_line"): row_of(255, 0, 0, 0),
        ("p_1", "s", "a_line"): row_of(255, 0, 0, 0),
        ("q_0", "s", "a_line"): row_of(0, 0, 0, 0),
        ("q_0", "r", "a_line"): row_of(100, 0, 0, 0),
        ("q_1", "r", "a_line"): row_of(0, 255, 0, 0),
        ("q_1", "s", "a_line"): row_of(0, 0, 255, 0),
        ("q_1", "r", "b_line"): row_of(0, 255, 0, 0),
    }
    return painted(tmp_path / "three", images)


def test_dice_by_hand(three: Cohort):
    table = compare_raters.dice(three, 0.5)
    assert list(table) == compare_raters.DICE
    assert set(table["feature"]) == {"a_line"}  # b_line: one rater alone looked
    pairs = table[table["measure"] == "pair"].set_index(["rater", "other"])
    # r and s: patient p has 2 * 2 / (2 + 3) and 1, patient q one frame of 0 and one where both are empty
    assert pairs.loc[("r", "s"), "value"] == pytest.approx(((4 / 5 + 1) / 2 + 0) / 2)
    assert pairs.loc[("r", "s"), ["patients", "frames", "both_empty"]].to_list() == [2, 3, 1]
    assert pairs.loc[("r", "t"), "value"] == 0 and pairs.loc[("r", "t"), "frames"] == 1  # one empty
    others = table[table["measure"] == "others"].set_index("rater")
    # p_0: r against the mean of s and t, 128 on three pixels, which is at least 50 %
    assert others.loc["r", "value"] == pytest.approx(((2 * 2 / 5 + 1) / 2 + 0) / 2)
    # p_0: t against the mean of r and s: two pixels and (126 + 255) / 2 = 190: none of them t's
    assert others.loc["t", "value"] == 0
    assert others.loc["t", ["patients", "frames", "both_empty"]].to_list() == [1, 1, 0]


def test_dice_at_other_thresholds(three: Cohort):
    values = {}
    for t in (0.0, 0.3, 1.0):
        table = compare_raters.dice(three, t)
        assert (table["threshold"] == t).all()
        values[t] = table[table["measure"] == "pair"].set_index(["rater", "other"]).loc[("r", "s"), "value"]
    # at c > 0 and 30 % q_0 counts too, as 0: one empty; at 100 % p_0 has 2 * 1 / (1 + 3)
    assert values[0.0] == pytest.approx(((1 + 1) / 2 + 0) / 2)
    assert values[0.3] == pytest.approx(((1 + 1) / 2 + 0) / 2)
    assert values[1.0] == pytest.approx(((1 / 2 + 1) / 2 + 0) / 2)
    with pytest.raises(ValueError, match="expected a fraction from 0 to 1, got 50"):
        compare_raters.dice(three, 50)


def test_two_empty_masks_everywhere_give_no_number(tmp_path: Path):
    images = {("p_0", rater, "a_line"): row_of(0, 0) for rater in "rs"}
    table = compare_raters.dice(painted(tmp_path / "c", images))
    assert table["value"].isna().all()
    assert table[["patients", "frames", "both_empty"]].to_numpy().tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize("seed", range(3))
def test_dice_is_the_f1_score(tmp_path: Path, seed: int):
    images = random_images(seed)
    cohort = painted(tmp_path / "c", images)
    frames = compare_raters.dice_of_frames(cohort, 0.6)
    assert len(frames) == 4 * 2 * (3 + 3)
    for row in frames.itertuples():
        own = confidence.targets(images[row.clip_id, row.rater, row.feature] / 255, 0.6)
        names = [row.other] if row.measure == "pair" else set("rst") - {row.rater}
        other = np.mean([images[row.clip_id, name, row.feature] for name in names], axis=0) / 255
        expected = f1_score(own.ravel(), confidence.targets(other, 0.6).ravel())
        assert row.value == pytest.approx(expected)
    assert set(zip(frames["rater"], frames["other"], strict=True)) == {
        ("r", "s"), ("r", "t"), ("s", "t"), ("r", ""), ("s", ""), ("t", "")
    }  # fmt: skip


def test_the_order_of_rows_in_labels_csv_does_not_matter(tmp_path: Path):
    images = random_images(3)
    keys = list(images)
    shuffled = {keys[k]: images[keys[k]] for k in np.random.default_rng(0).permutation(len(keys))}
    one, other = painted(tmp_path / "c", images), painted(tmp_path / "d", shuffled)
    pd.testing.assert_frame_equal(compare_raters.dice(one), compare_raters.dice(other))
    pd.testing.assert_frame_equal(compare_raters.alpha(one), compare_raters.alpha(other))
    everyone = list(one.patients["patient_id"])
    pd.testing.assert_frame_equal(harmonise.fit(one, everyone), harmonise.fit(other, everyone))


# -- Krippendorff's alpha

TEXTBOOK = {  # Krippendorff, Computing Krippendorff's alpha-reliability (2011), part C: four coders, 12 units
    "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}


def by_coincidences(ratings: list[tuple]) -> float:
    """Alpha with interval distance from the matrix of coincidences, of (rater, unit, level) triples."""
    values = sorted({level for _, _, level in ratings})
    matrix = np.zeros((len(values), len(values)))
    for unit in {unit for _, unit, _ in ratings}:
        said = [values.index(level) for _, u, level in ratings if u == unit]
        for a, b in permutations(said, 2):
            matrix[a, b] += 1 / (len(said) - 1)
    n = matrix.sum(axis=1)
    apart = np.subtract.outer(values, values) ** 2.0
    expected = (np.outer(n, n) - np.diag(n)) / (n.sum() - 1)
    return 1 - (matrix * apart).sum() / (expected * apart).sum()


def test_the_textbook_example():
    ratings = [(c, u, v) for c, row in TEXTBOOK.items() for u, v in enumerate(row) if v is not None]
    value, reading = compare_raters._alpha(ratings, 4)
    assert value == pytest.approx(0.849, abs=5e-4) and reading == ""
    assert by_coincidences(ratings) == pytest.approx(value)


def test_alpha_of_a_cohort_is_that_of_its_coincidences(tmp_path: Path):
    images = random_images(1)
    del images["p0_0", "t", "a_line"]  # missing, not zero
    table = compare_raters.alpha(painted(tmp_path / "c", images), points=8).set_index("feature")
    for feature in FEATURES:
        ratings, count = [], 0
        for clip in ("p0_0", "p0_1", "p1_2", "p1_3"):
            named = {r: images[clip, r, feature] for r in "rst" if (clip, r, feature) in images}
            levels = compare_raters.units(np.stack(list(named.values())), points=8)
            ratings += [
                (name, (clip, k), v)
                for name, row in zip(named, levels, strict=True)
                for k, v in enumerate(row)
            ]
            count += levels.shape[1]
        assert table.loc[feature, "value"] == pytest.approx(by_coincidences(ratings))
        assert table.loc[feature, ["raters", "patients", "frames", "units"]].to_list() == [3, 2, 4, count]


def test_units_by_hand():
    maps = np.zeros((2, 10, 10), np.uint8)
    maps[0, 4, 4], maps[1, 4, 5] = 255, 13  # 13/255 is 5 %: the next ten is 10 %
    levels = compare_raters.units(maps, points=10, margin=0.1)  # a pixel on all sides: 3 x 4 of them
    assert levels.shape == (2, 12)
    assert np.sort(levels).tolist() == [[0] * 11 + [10], [0] * 11 + [1]]
    assert compare_raters.units(maps, points=10, margin=0.0).shape == (2, 12)  # at least a pixel
    assert compare_raters.units(maps, points=10, margin=0.2).shape == (2, 5 * 6)
    assert compare_raters.units(maps, points=5, margin=0.1).shape == (
        2,
        2 * 2,
    )  # rows 1 3 5 7 9, columns as well
    assert compare_raters.units(maps * 0, points=10).shape == (2, 0)
    assert compare_raters.units(maps, points=99, margin=0.1).shape == (2, 12)  # no pixel twice


def test_alpha_does_not_depend_on_how_much_of_nothing_is_in_view(tmp_path: Path):
    images = random_images(2)
    wider = {key: np.pad(image, 8) for key, image in images.items()}
    one = compare_raters.alpha(painted(tmp_path / "c", {k: np.pad(v, 2) for k, v in images.items()}), 99, 0.0)
    other = compare_raters.alpha(painted(tmp_path / "d", wider), 99, 0.0)
    pd.testing.assert_frame_equal(one, other)


def test_alpha_where_it_is_not_defined(tmp_path: Path):
    def reading(name: str, images: dict[tuple, np.ndarray], points: int = 48) -> str:
        table = compare_raters.alpha(painted(tmp_path / name, images), points)
        row = table.set_index("feature").loc["a_line"]
        assert np.isnan(row["value"])
        return row["reading"]

    one = {("p_0", "r", "a_line"): row_of(255, 0)}
    assert reading("one", one) == "not defined: no frame was looked at by two raters"
    apart = one | {("p_1", "s", "a_line"): row_of(255, 0)}
    assert reading("apart", apart) == "not defined: no frame was looked at by two raters"
    empty = {("p_0", rater, "a_line"): row_of(0, 0) for rater in "rs"}
    assert reading("empty", empty) == "not defined: nobody painted it where two raters looked"
    same = {("p_0", rater, "a_line"): row_of(0, 255, 0) for rater in "rs"}
    assert reading("same", same, points=1) == "not defined: every unit has the same level"


# -- harmonisation


def test_a_map_by_hand(tmp_path: Path):
    # r says 20 % where s says 40 and 60 %, 40 % where s says 20 %, 100 % as s does, 0 where s says 0 and 20 %
    images = {
        ("p_0", "r", "a_line"): row_of(51, 51, 102, 255, 0, 0),
        ("p_0", "s", "a_line"): row_of(102, 153, 51, 255, 0, 51),
    }
    table = harmonise.fit(painted(tmp_path / "c", images), ["p"])
    assert list(table) == harmonise.MAPS and set(table["feature"]) == {arrays.ALL}
    r = table[table["rater"] == "r"].set_index("level")
    assert r["pixels"][[0, 51, 102, 255]].to_list() == [2, 2, 1, 1] and r["pixels"].sum() == 6
    assert r["consensus"][[0, 51, 102, 255]].to_list() == pytest.approx([0.1, 0.5, 0.2, 1.0])
    # 50 % from two pixels, then 20 % from one: pooled to 40 %
    assert r["mapped"][[0, 51, 102, 255]].to_list() == pytest.approx([0, 0.4, 0.4, 1.0])
    assert r["mapped"][[17, 34]].to_list() == pytest.approx([0.4 / 3, 0.8 / 3])  # never said: on the line
    assert r["mapped"][153] == pytest.approx(0.4 + 0.6 * 51 / 153)


def test_the_fit_is_isotonic_regression_on_every_painted_pixel(tmp_path: Path):
    images = random_images(4)
    del images["p0_0", "t", "a_line"]
    table = harmonise.fit(painted(tmp_path / "c", images), ["p0"])
    assert len(table) == 256 * 3 and set(table["feature"]) == {arrays.ALL}
    for rater in "rst":
        own, others = [], []
        for (clip, name, feature), image in images.items():
            if name == rater and clip.startswith("p0"):
                rest = [
                    images[clip, o, feature] for o in "rst" if o != rater and (clip, o, feature) in images
                ]
                own.append(image.ravel())
                others.append(np.mean(rest, axis=0).ravel() / 255)
        own, others = np.concatenate(own), np.concatenate(others)
        reference = IsotonicRegression().fit(own[own > 0], others[own > 0])
        rows = table[table["rater"] == rater]
        said = np.unique(own[own > 0])
        np.testing.assert_allclose(rows["mapped"].to_numpy()[said], reference.predict(said), atol=1e-12)
        assert (np.diff(rows["mapped"]) >= 0).all() and rows["mapped"].between(0, 1).all()
        assert rows["pixels"].to_list() == np.bincount(own, minlength=256).tolist()


def test_the_consensus_leaves_the_rater_out(tmp_path: Path):
    """Whatever r says of a pixel, what the others say of it is the same: only r's own levels move."""
    images = random_images(5)
    shifted = {k: np.where(v, 255 - v // 2, 0) if k[1] == "r" else v for k, v in images.items()}
    one = (
        harmonise.fit(painted(tmp_path / "c", images), ["p0", "p1"]).query("rater == 'r'").set_index("level")
    )
    other = (
        harmonise.fit(painted(tmp_path / "d", shifted), ["p0", "p1"]).query("rater == 'r'").set_index("level")
    )
    for level in range(1, 256):
        if one["pixels"][level]:
            assert other["consensus"][255 - level // 2] == pytest.approx(one["consensus"][level])
    assert other["consensus"][0] == one["consensus"][0]


def test_patients_outside_do_not_influence_the_fit(tmp_path: Path):
    images = random_images(6)
    changed = {key: 255 - image if key[0].startswith("p1") else image for key, image in images.items()}
    one, other = painted(tmp_path / "c", images), painted(tmp_path / "d", changed)
    pd.testing.assert_frame_equal(harmonise.fit(one, ["p0"]), harmonise.fit(other, ["p0"]))
    assert not harmonise.fit(one, ["p1"]).equals(harmonise.fit(other, ["p1"]))


def test_nothing_to_harmonise(tmp_path: Path):
    alone = painted(tmp_path / "one", {("p_0", "r", "a_line"): row_of(255, 0)})
    assert harmonise.fit(alone, ["p"]).empty and list(harmonise.fit(alone, ["p"])) == harmonise.MAPS
    assert harmonise.gain(alone, ["p"], harmonise.fit(alone, ["p"])).empty
    assert compare_raters.dice(alone).empty and list(compare_raters.dice(alone)) == compare_raters.DICE
    images = {("p_0", "r", "a_line"): row_of(255, 0), ("p_0", "s", "a_line"): row_of(0, 0)}
    assert set(harmonise.fit(painted(tmp_path / "two", images), ["p"])["rater"]) == {"r"}  # s painted nothing


def test_a_map_of_each_rater_serves_every_feature(tmp_path: Path):
    table = harmonise.fit(painted(tmp_path / "c", random_images(7)), ["p0", "p1"])
    found = harmonise.mappings(table, FEATURES)
    assert set(found) == {(rater, feature) for rater in "rst" for feature in FEATURES}
    mapping = found["r", "b_line"]
    assert mapping.dtype == np.uint8 and mapping.shape == (256,) and mapping[0] == 0
    rows = table[(table["rater"] == "r") & table["feature"].isin(["b_line", arrays.ALL])]
    assert mapping[102] == round(255 * rows.set_index("level")["mapped"][102])


def test_the_gain_is_that_of_the_pixels(tmp_path: Path):
    images = random_images(8)
    cohort = painted(tmp_path / "c", images)
    table = harmonise.fit(cohort, ["p0"])
    gains = harmonise.gain(cohort, ["p1"], table)
    assert list(gains) == harmonise.GAINS
    for row in gains.itertuples():
        features = FEATURES if row.feature == arrays.ALL else [row.feature]
        rows = table[(table["rater"] == row.rater) & (table["feature"] == row.feature)]
        said = rows.sort_values("level")["mapped"].to_numpy()
        before, after = [], []
        for clip in ("p1_2", "p1_3"):
            for feature in features:
                own = images[clip, row.rater, feature]
                others = np.mean([images[clip, o, feature] for o in "rst" if o != row.rater], axis=0) / 255
                before.append((own / 255 - others)[own > 0])
                after.append((said[own] - others)[own > 0])
        before, after = np.concatenate(before), np.concatenate(after)
        assert (row.patients, row.pixels) == (1, len(before))
        assert row.before == pytest.approx(np.sqrt((before**2).mean()))
        assert row.after == pytest.approx(np.sqrt((after**2).mean()))
    own = harmonise.gain(cohort, ["p0"], table)
    assert (own["after"] <= own["before"]).all()


# -- truth


def test_reliability_by_hand(tmp_path: Path):
    images = {
        ("p_0", "r", "a_line"): row_of(0, 102, 102, 255),
        ("q_0", "r", "a_line"): row_of(0, 102, 255, 0),
        ("q_0", "s", "a_line"): row_of(255, 255, 0, 0),
        ("q_0", "r", "b_line"): row_of(255, 0, 0, 0),  # no truth of it: left out
    }
    true = {
        ("p_0", "a_line"): np.array([[0, 1, 0, 1]], bool),
        ("q_0", "a_line"): np.array([[1, 1, 1, 0]], bool),
    }
    counts = compare_truth.right_counts(painted(tmp_path / "c", images, true))
    table = compare_truth.reliability(counts)
    assert list(table) == ["rater", "feature", "level", "said", "share", "pixels", "right", "patients"]
    assert set(table["feature"]) == {"a_line"}
    r = table[table["rater"] == "r"].set_index("level")
    assert r[["pixels", "right", "patients"]].to_numpy().tolist() == [[3, 1, 2], [3, 2, 2], [2, 2, 2]]
    assert r["share"].to_list() == pytest.approx([1 / 3, 2 / 3, 1]) and list(r.index) == [0, 40, 100]
    assert r["said"].to_list() == pytest.approx([0, 0.4, 1])
    alone = compare_truth.reliability(counts, ("patient_id", "rater"))
    q = alone[(alone["patient_id"] == "q") & (alone["rater"] == "s")]
    assert q[["level", "share", "pixels"]].to_numpy().tolist() == [[0, 0.5, 2], [100, 1.0, 2]]
    assert compare_truth.right_told(counts) == (
        "r says 64% on average where it paints, 80% is right\n"
        "s says 100% on average where it paints, 100% is right"
    )


def test_levels_are_told_to_the_next_ten_with_what_was_said(tmp_path: Path):
    images = {("p_0", "r", "a_line"): row_of(0, 128, 128, 140)}  # 50.2, 50.2 and 54.9 %
    counts = compare_truth.right_counts(
        painted(tmp_path / "c", images, {("p_0", "a_line"): row_of(0, 1, 1, 1) > 0})
    )
    table = compare_truth.reliability(counts, ("rater",))
    assert table["level"].to_list() == [0, 50]
    assert table["said"].to_list() == pytest.approx([0, (128 + 128 + 140) / 3 / 255])


def test_a_cohort_without_truth(tmp_path: Path):
    counts = compare_truth.right_counts(painted(tmp_path / "c", {("p_0", "r", "a_line"): row_of(0, 255)}))
    assert counts.empty and compare_truth.reliability(counts).empty
    assert list(compare_truth.reliability(counts)) == [
        "rater", "feature", "level", "said", "share", "pixels", "right", "patients"
    ]  # fmt: skip
    assert compare_truth.right_told(counts) == "no truth in this cohort: whether a rater is right is unknown"


def test_counts_of_a_phantom_are_those_of_its_pixels(cohort: Cohort):
    counts = compare_truth.right_counts(cohort)
    frames = cohorts.labelled_frames(cohort)
    labels, known = arrays.confidence_of(cohort, frames, None)
    true, _ = arrays.confidence_of(cohort, frames, None, source="truth")
    assert known.all()
    for c, feature in enumerate(cohort.features):
        rows = counts[counts["feature"] == feature].groupby("level")[["pixels", "right"]].sum()
        np.testing.assert_array_equal(rows["pixels"], np.bincount(labels[:, c].ravel())[rows.index])
        assert rows["right"].sum() == (true[:, c] > 0).sum()
    assert counts["pixels"].sum() == labels.size
    table = compare_truth.reliability(counts, ("rater",))
    assert table["pixels"].sum() == labels.size
    assert np.corrcoef(table["said"], table["share"])[0, 1] > 0.95  # made to be calibrated
