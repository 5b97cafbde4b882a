"""Labelled frames: read at the working size, with what is trained on beside what is measured on."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.segment import frames as segment_frames
from lusnb.segment import harmonise


@pytest.mark.parametrize("size", [48, 100])
def test_a_size_the_network_cannot_halve_is_refused(cohort, params_of, size):
    text = re.escape(f"expected a multiple of 32 from 64 on (the network halves five times), got {size};")
    with pytest.raises(ValueError, match=text):
        segment_frames.load(cohort, params_of(size=size), [])


@pytest.mark.parametrize("size", [0, 32])
def test_a_size_that_leaves_one_pixel_or_none_to_normalise_over_is_refused(cohort, params_of, size):
    """At 32 x 32 the deepest maps are of one pixel, and a batch of one image cannot be normalised."""
    with pytest.raises(ValueError, match=f"size: expected .*, got {size}"):
        segment_frames.load(cohort, params_of(size=size), [])


def test_labelled_frames_are_read_at_the_working_size(cohort, params_of):
    data = segment_frames.load(cohort, params_of(size=96), [])
    n = len(cohort.clips)
    assert (data.images.shape, data.images.dtype) == ((n, 1, 96, 96), torch.uint8)
    assert (data.confidence.shape, data.confidence.dtype) == ((n, 6, 96, 96), torch.uint8)
    assert data.known.all()
    row = cohort.clips.set_index("clip_id").loc[data.table["clip_id"][3]]
    assert data.spacing[3] == pytest.approx((row["depth_cm"] * 10 / 96, row["width_cm"] * 10 / 96))
    whole = segment_frames.load(cohort, params_of(size=64), [])
    assert set(data.confidence.unique().tolist()) <= set(whole.confidence.unique().tolist())


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A phantom whose frames three raters painted, with habits of their own."""
    folder = tmp_path_factory.mktemp("rated") / "phantom"
    size = {"n_patients": 5, "n_clips": 10, "size": 64, "n_frames": 2, "fps": 10, "split": (3, 1, 1)}
    make_cohort(folder, Plan(name="rated", **size, folds=2, seed=3, raters=3, habits=0.6))
    return cohorts.read(folder, 2)


def test_an_arm_is_taught_what_all_are_measured_on_unless_it_says_otherwise(rated, params_of):
    frames = segment_frames.load(rated, params_of(), [])
    assert frames.shown is None
    maps, known = frames.taught
    assert torch.equal(maps[:, 0], frames.confidence) and torch.equal(known[:, 0], frames.known)


def test_a_consensus_is_taught_and_the_common_labels_stay(rated, params_of):
    plain = segment_frames.load(rated, params_of(), [])
    frames = segment_frames.load(rated, params_of(supervision="consensus", merge="majority"), [])
    assert torch.equal(frames.confidence, plain.confidence)
    maps, _ = frames.taught
    raters, _ = arrays.raters_of(rated, frames.table, 64)
    votes = (raters >= 128).sum(1)
    np.testing.assert_array_equal(maps[:, 0] == 255, votes >= 2)
    assert set(maps.unique().tolist()) == {0, 255}


def test_confidence_is_blurred_where_an_arm_asks_for_it_and_never_where_all_are_measured(rated, params_of):
    plain = segment_frames.load(rated, params_of(size=96), [])
    for supervision in ("softseg", "rater"):
        asked = {"size": 96, "supervision": supervision, "loss": "wing", "interpolation": "linear"}
        frames = segment_frames.load(rated, params_of(**asked), [])
        assert torch.equal(frames.confidence, plain.confidence)
        nearest = segment_frames.load(rated, params_of(**{**asked, "interpolation": "nearest"}), []).taught[0]
        assert frames.taught[0].unique().numel() > 2 * nearest.unique().numel()
    row = rated.labels.iloc[0]
    small = Image.fromarray(arrays.image(rated, row["path"])).resize((96, 96), Image.Resampling.BILINEAR)
    n = frames.table.index[frames.table["clip_id"] == row["clip_id"]][0]
    k = sorted(rated.labels["rater"].unique()).index(row["rater"])
    np.testing.assert_array_equal(frames.taught[0][n, k, rated.features.index(row["feature"])], small)


def test_raters_are_taught_apart_in_the_order_of_their_names(rated, params_of):
    maps, known = segment_frames.load(rated, params_of(supervision="rater"), []).taught
    names = sorted(rated.labels["rater"].unique())
    assert maps.shape[1] == known.shape[1] == len(names) == 3
    row = rated.labels[rated.labels["rater"] == names[1]].iloc[7]
    table = cohorts.labelled_frames(rated)
    n = table.index[(table["clip_id"] == row["clip_id"]) & (table["frame"] == row["frame"])][0]
    drawn = arrays.image(rated, row["path"])
    np.testing.assert_array_equal(maps[n, 1, rated.features.index(row["feature"])], drawn)
    assert not torch.equal(maps[:, 0], maps[:, 1])


def test_raters_are_harmonised_by_what_training_patients_show(rated, params_of):
    train = rated.patients_in("train")
    frames = segment_frames.load(rated, params_of(supervision="soft", harmonise=True), train)
    change = harmonise.mappings(harmonise.fit(rated, train), rated.features)
    raters, _ = arrays.raters_of(rated, frames.table, 64)
    names = sorted(rated.labels["rater"].unique())
    mapped = [
        [change[r, f][raters[:, a, k]] for k, f in enumerate(rated.features)] for a, r in enumerate(names)
    ]
    mean = np.rint(np.array(mapped).mean(0)).astype(np.uint8).swapaxes(0, 1)  # (N, C, S, S)
    np.testing.assert_array_equal(frames.taught[0][:, 0], mean)
    other = segment_frames.load(rated, params_of(supervision="soft", harmonise=True), train[:1])
    assert not torch.equal(other.taught[0], frames.taught[0])


def test_one_rater_alone_may_be_taught(rated, params_of):
    names = sorted(rated.labels["rater"].unique())
    frames = segment_frames.load(rated, params_of(supervision="consensus", only_rater=names[2]), [])
    apart, _ = segment_frames.load(rated, params_of(supervision="rater"), []).taught
    assert torch.equal(frames.taught[0][:, 0], apart[:, 2])
    with pytest.raises(ValueError, match=f"only_rater: expected one of {names[0]}, .*, got 'nobody'"):
        segment_frames.load(rated, params_of(only_rater="nobody"), [])
