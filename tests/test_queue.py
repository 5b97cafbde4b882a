"""What is painted next: the most uncertain first, and what there is to start from."""

import shutil
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb.cohort import arrays, painting
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.painting import PaintingError
from lusnb.widgets import queue


@dataclass
class Arms:
    """Predictions by hand: {(arm, seed): {(clip_id, frame): maps}}."""

    told: dict = field(default_factory=dict)
    cut: int = 1  # from which level on they predict

    @property
    def names(self):
        return tuple(self.told)

    def frames(self, arm, seed):
        return pd.DataFrame(list(self.told[arm, seed]), columns=["clip_id", "frame"])

    def maps(self, arm, seed, clip_id, frame):
        found = self.told[arm, seed].get((clip_id, frame))
        return None if found is None else (found, "test")

    def least(self, arm, seed, clip_id, frame):
        return self.cut


@pytest.fixture
def own(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "cohort")
    return cohorts.read(tmp_path / "cohort", 2)


def flat(value):
    return np.full((6, 8, 8), value, np.uint8)


def test_uncertainty_worked_by_hand():
    """Two arms say 255 and 0 of one pixel (p = 1/2), and 255 and 255 of another (p = 1), nothing elsewhere:
    1/2 * 1/2 + 0 of 1/2 + 1 are expected to be wrong."""
    one, two = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)
    one[0, 0], two[0, 0, 1] = 255, 255
    found = Arms({("a", 0): {("c", 0): one}, ("b", 0): {("c", 0): two, ("d", 0): np.zeros_like(one)}})
    assert queue.uncertainty(found, list(found.names), "c", 0) == pytest.approx(0.25 / 1.5)
    assert np.isnan(queue.uncertainty(found, list(found.names), "d", 0)), "nothing is marked"
    assert np.isnan(queue.uncertainty(found, list(found.names), "e", 0)), "nobody says anything"
    assert np.isnan(queue.uncertainty(found, [], "c", 0))


def test_the_most_uncertain_come_first_and_the_painted_last(own):
    clips = list(own.clips["clip_id"])
    told = {(clips[3], 0): flat(128), (clips[1], 0): flat(30), (clips[2], 0): flat(250)}
    one = painting.read(own, clips[3], 0, "anna")
    one.looked[0] = True
    painting.save(own, one)
    table = queue.queue(own, "anna", Arms({("a", 0): told}))
    assert list(table.columns) == queue.COLUMNS and len(table) == len(clips)
    assert list(table["clip_id"][:2]) == [clips[1], clips[2]], "1 - 30/255 before 1 - 250/255"
    assert table["uncertainty"][0] == pytest.approx(1 - 30 / 255)
    assert table["clip_id"].iloc[-1] == clips[3] and table["painted"].sum() == 1
    assert set(table["labelled_by"]) == {"rater_1"}
    waiting = [clip for clip in clips if clip not in clips[1:4]]
    assert list(table["clip_id"][2:-1]) == waiting, "those of whom nothing is known, in the cohort's order"


def test_of_a_clip_that_nobody_labelled_the_most_uncertain_segmented_frame_is_asked(own):
    clips = list(own.clips["clip_id"])
    (own.folder / "labels.csv").write_text("clip_id,frame,rater,feature,path\n")
    bare = cohorts.read(own.folder, 2)
    told = {(clips[5], frame): flat(level) for frame, level in ((1, 240), (3, 100), (5, 200))}
    table = queue.queue(bare, "anna", Arms({("a", 0): told})).set_index("clip_id")
    assert table.at[clips[5], "frame"] == 3 and table.index[0] == clips[5]
    assert table.at[clips[0], "frame"] == 0 and np.isnan(table.at[clips[0], "uncertainty"])
    assert len(table) == len(clips) and set(table["labelled_by"]) == {""}
    alone = queue.queue(bare, "anna", Arms())
    assert list(alone["clip_id"]) == clips and not alone["frame"].any()


def test_a_committee_is_spread_over_the_arms():
    arms = Arms({(f"t{k}", 0): {} for k in range(7)})
    assert queue._committee(arms) == [("t0", 0), ("t3", 0), ("t6", 0)]
    assert queue._committee(Arms({("a", 0): {}, ("a", 1): {}})) == [("a", 0), ("a", 1)]
    assert queue._committee(Arms()) == []


def test_what_there_is_to_start_from(own):
    clip = own.clips["clip_id"].iloc[0]
    ramp = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    found = Arms({("a", 0): {(clip, 0): ramp}, ("b", 1): {}})
    assert queue.starts(own, clip, 0, "anna", found) == ["empty", "rater rater_1", "arm a seed 0"]
    assert queue.starts(own, clip, 0, "rater_1", found) == ["empty", "arm a seed 0"]
    assert queue.starts(own, clip, 2, "anna", found) == ["empty"]
    maps, looked = queue.start(own, clip, 0, "empty", found)
    assert maps.shape == (6, 64, 64) and not maps.any() and not looked.any()
    maps, looked = queue.start(own, clip, 0, "rater rater_1", found)
    table = pd.DataFrame({"clip_id": [clip], "frame": [0]})
    assert np.array_equal(maps, arrays.confidence_of(own, table, None)[0][0]) and looked.all()
    maps, looked = queue.start(own, clip, 0, "arm a seed 0", found)
    want = Image.fromarray(ramp[2]).resize((64, 64), Image.Resampling.BILINEAR)
    want = np.where(np.asarray(want) < 13, 0, want)
    assert np.array_equal(maps[2], want) and looked.all() and not (np.isin(maps, range(1, 13))).any()
    faint = Arms({("a", 0): {(clip, 0): np.stack([flat(12)[0]] * 5 + [flat(200)[0]])}})
    maps, looked = queue.start(own, clip, 0, "arm a seed 0", faint)
    assert looked.tolist() == [False] * 5 + [True] and not maps[:5].any()
    for bad in ("rater nobody", "arm b seed 1", "arm x seed 0", "../etc"):
        with pytest.raises(PaintingError, match="expected one of its starts, got"):
            queue.start(own, clip, 0, bad, found)


@pytest.mark.parametrize("cut", [5, 26, 77, 200])
def test_a_start_from_an_arm_is_what_it_predicts_at_its_own_cut(own, cut):
    clip = own.clips["clip_id"].iloc[0]
    ramp = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    found = Arms({("a", 0): {(clip, 0): ramp}}, cut)
    maps, looked = queue.start(own, clip, 0, "arm a seed 0", found)
    for c in range(6):
        every = np.asarray(Image.fromarray(ramp[c]).resize((64, 64), Image.Resampling.BILINEAR))
        assert np.array_equal(maps[c], np.where(every < max(13, cut), 0, every))
        assert looked[c] == (every >= max(13, cut)).any()
    assert not looked.all() or cut < 200


def test_uncertainty_is_of_no_cut(own):
    clip = own.clips["clip_id"].iloc[0]
    told = {("a", 0): {(clip, 0): flat(128)}}
    found = [queue.queue(own, "anna", Arms(told, cut))["uncertainty"] for cut in (20, 128, 230)]
    for other in found[1:]:
        pd.testing.assert_series_equal(found[0], other)


def test_what_others_saved_since_the_cohort_was_opened_is_offered_as_it_is_now(own):
    clip = own.clips["clip_id"].iloc[0]
    one = painting.read(own, clip, 0, "ben")
    for value in (90, 40):
        one.maps[2, 3:5], one.looked[2] = value, True
        painting.save(own, one)
        assert queue.starts(own, clip, 0, "anna", Arms()) == ["empty", "rater ben", "rater rater_1"]
        maps, looked = queue.start(own, clip, 0, "rater ben", Arms())
        assert np.array_equal(maps, one.maps) and looked.tolist() == one.looked.tolist()
    one.looked[2], one.maps[2] = False, 0
    painting.save(own, one)
    assert queue.starts(own, clip, 0, "anna", Arms()) == ["empty", "rater rater_1"]
    with pytest.raises(PaintingError, match="expected one of its starts, got 'rater ben'"):
        queue.start(own, clip, 0, "rater ben", Arms())
