"""Metrics of trainings, computed from what they left."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lusnb.compare import finished, measured
from lusnb.report import tables
from lusnb.segment import metrics, predict, predictions, segmenter
from lusnb.segment.segmenter import Segments
from tests.frames import FEATURES, ROLES

TUNED = ("cut", "temperature")
KEY = ("t060", 0, 0)


class NoCohort:
    features = FEATURES


def left(folder, network, data, roles, p):
    """What a training of the arm leaves, read back: (arm, seed) -> Held."""
    predicted = predict.labelled(network, data, roles, p)
    task = pd.DataFrame({"clip_id": ["C00"], "slot": [0], "frame": [0]})
    segments = Segments(np.zeros((1, 1, 3, 32, 4), np.uint8), task)
    predict.store(folder, (network, pd.DataFrame()), roles, predicted, segments, "c0ffee", p)
    return {KEY[:2]: finished.stitch({0: predictions.read(folder, "c0ffee")})}


@pytest.fixture
def of_data(data, monkeypatch):
    """Labels come from the test's own frames, or from others."""

    def use(other):
        def labels_of(cohort, where, size, merge):
            assert size == other.confidence.shape[-1] and merge == "mean"
            spacing = [other.spacing[n] for n in where]
            table = other.table.iloc[where]
            return measured.Labels(table, other.confidence[where], other.known[where], spacing)

        monkeypatch.setattr(measured, "labels_of", labels_of)

    use(data)
    return use


def scores_of(opened, p):
    by = measured.temperatures(NoCohort, opened, "mean")
    return measured.of_arms(NoCohort, opened, {"t060": p}, by, "mean")


@pytest.fixture
def opened(tmp_path, data, p, trained, of_data):
    return left(tmp_path, trained[0], data, ROLES, p)


def test_scores_are_tidy_and_of_held_out_patients_alone(data, p, opened):
    scores = scores_of(opened, p)
    columns = "arm, seed, fold, patient_id, clip_id, frame, feature, metric, value"
    assert list(scores) == columns.split(", ")
    rows = scores[~scores["metric"].isin(TUNED)]
    assert set(rows["patient_id"]) == set(ROLES["test"])
    assert set(rows["metric"]) == set(tables.TABLE1)
    held_out = data.of(ROLES["test"])
    assert len(rows) == len(held_out) * len(FEATURES) * len(tables.TABLE1)
    assert not rows.duplicated(["clip_id", "frame", "feature", "metric"]).any()
    assert scores[["arm", "seed", "fold"]].drop_duplicates().to_numpy().tolist() == [list(KEY)]
    cut = scores[scores["metric"] == "cut"]
    assert cut[["patient_id", "clip_id", "feature"]].to_numpy().tolist() == [["", "", ""]]
    assert cut["value"].item() == opened[KEY[:2]].parts[0].cut / 255


def test_iou_is_that_of_the_stored_probabilities(data, p, opened):
    scores, levels = scores_of(opened, p), opened[KEY[:2]].labelled
    own = scores.loc[scores["metric"] == "cut", "value"].item()
    for metric, cut in (("iou_fixed", 128), ("iou", round(255 * own))):
        rows = scores[scores["metric"] == metric]
        for row in rows.itertuples():
            n, k = int(row.clip_id[1:]), FEATURES.index(row.feature)
            predicted = levels[n, k] >= cut
            y = data.confidence[n, k].numpy() / 255 >= p.label_threshold - 1 / 510
            expected = (predicted & y).sum() / (predicted | y).sum() if y.any() else np.nan
            expected = expected if data.known[n, k] else np.nan
            assert row.value == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert rows["value"].max() > 0


def test_nothing_is_measured_of_an_unknown_feature(p, opened):
    scores = scores_of(opened, p)
    rows = scores[(scores["clip_id"] == "C16") & (scores["feature"] == "two")]
    assert len(rows) == len(tables.TABLE1) and rows["value"].isna().all()


def test_temperatures_are_those_of_the_validation_images_alone(data, p, trained, opened, of_data):
    where = data.of(ROLES["validation"])
    logits = segmenter.predict(trained[0], data.images[where], p.batch)
    wanted = metrics.temperatures(logits, data.confidence[where].float() / 255, data.known[where])
    found = measured.temperatures(NoCohort, opened, "mean")
    np.testing.assert_allclose(found[KEY], wanted, rtol=1e-6)
    scores = scores_of(opened, p)
    rows = scores[scores["metric"] == "temperature"]
    assert rows["feature"].tolist() == list(FEATURES)
    np.testing.assert_array_equal(rows["value"], found[KEY])
    c = data.confidence.clone()
    c[data.of(ROLES["test"])] = 255
    of_data(replace(data, confidence=c))
    np.testing.assert_array_equal(measured.temperatures(NoCohort, opened, "mean")[KEY], found[KEY])


def test_tempered_probabilities_are_of_logits_not_of_what_was_stored(data, p, trained, opened):
    by = measured.temperatures(NoCohort, opened, "mean")
    held = measured.tempered(opened, by)[KEY[:2]]
    where = data.of(ROLES["test"])
    logits = segmenter.predict(trained[0], data.images[where], p.batch).numpy()
    wanted = 255 / (1 + np.exp(-logits / by[KEY][:, None, None]))
    assert np.abs(held.tempered[where] - wanted).max() <= 0.75  # half a step, and batches differ
    none = measured.tempered(opened, {KEY: np.full(3, np.nan)})[KEY[:2]]
    assert np.abs(none.tempered[where].astype(int) - held.labelled[where]).max() <= 1  # as it is


def test_the_untrained_network_measures_the_same_as_itself(tmp_path, data, p, of_data):
    torch.manual_seed(0)
    scores = scores_of(left(tmp_path, segmenter.build(p, 3), data, ROLES, p), p)
    wide = scores[scores["metric"].isin(["iou", "iou_untrained"])].pivot(
        index=["clip_id", "feature"], columns="metric", values="value"
    )
    np.testing.assert_allclose(wide["iou"], wide["iou_untrained"], rtol=1e-6)


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_without_patients_of_one_role(tmp_path, data, p, trained, of_data, empty):
    scores = scores_of(left(tmp_path, trained[0], data, {**ROLES, empty: []}, p), p)
    of = {"validation": set(ROLES["test"]), "test": set()}[empty]
    assert set(scores.loc[~scores["metric"].isin(TUNED), "patient_id"]) == of
    assert scores.loc[scores["metric"] == "temperature", "value"].isna().all() == (empty == "validation")


def test_labels_are_those_that_the_network_would_be_shown(cohort):
    from lusnb.cohort import cohort as cohorts

    table = cohorts.labelled_frames(cohort)
    found = measured.labels_of(cohort, np.array([2, 0]), 64, "mean")
    assert found.table["clip_id"].tolist() == table["clip_id"].iloc[[2, 0]].tolist()
    assert found.confidence.shape == (2, len(cohort.features), 64, 64)
    assert found.known.all() and found.confidence.dtype == torch.uint8
