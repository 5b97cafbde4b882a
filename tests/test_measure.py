"""Measuring a trained arm, and what it leaves on disk."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lusnb import confidence
from lusnb.report import tables
from lusnb.segment import cuts, fitting, measure, metrics, predictions, segmenter
from tests.frames import FEATURES, ROLES

TUNED = ("cut", "temperature")


def tuned(scores: pd.DataFrame) -> pd.Series:
    return scores.loc[scores["metric"] == "cut", "value"]


@pytest.fixture(scope="module")
def measured(data, p, trained) -> measure.Measured:
    return measure.measure(trained[0], data, ROLES, FEATURES, p)


def test_measures_are_tidy_and_of_validation_and_test_only(data, p, measured):
    scores = measured.metrics
    columns = "arm, seed, fold, patient_id, clip_id, frame, feature, metric, value"
    assert list(scores) == columns.split(", ")
    cut = scores[scores["metric"] == "cut"]
    rows = scores[~scores["metric"].isin(TUNED)]
    assert set(rows["patient_id"]) == {"P3", "P4"}
    assert set(rows["metric"]) == set(tables.TABLE1)
    assert len(rows) == 8 * len(FEATURES) * len(tables.TABLE1)
    assert not rows.duplicated(["clip_id", "frame", "feature", "metric"]).any()
    own = data.table.set_index("clip_id")["patient_id"]
    assert (rows["patient_id"] == rows["clip_id"].map(own)).all()
    assert scores[["arm", "seed", "fold"]].drop_duplicates().to_numpy().tolist() == [[p.arm, p.seed, p.fold]]
    assert cut[["patient_id", "clip_id", "feature"]].to_numpy().tolist() == [["", "", ""]]


def test_probabilities_are_of_every_frame(data, measured, trained):
    levels = measured.levels
    assert levels.shape == data.confidence.shape
    assert levels.dtype == torch.uint8
    probability = segmenter.predict(trained[0], data.images, 20).sigmoid() * 255
    assert (levels.float() - probability).abs().max() <= 0.75  # half a step, and batches differ


def test_iou_is_that_of_the_returned_probabilities(data, p, measured):
    levels, scores = measured.levels, measured.metrics
    tuned = scores.loc[scores["metric"] == "cut", "value"].item()
    for metric, cut in (("iou_fixed", 128), ("iou", round(255 * tuned))):
        rows = scores[scores["metric"] == metric]
        for row in rows.itertuples():
            n, k = int(row.clip_id[1:]), FEATURES.index(row.feature)
            predicted = levels[n, k].numpy() >= cut
            y = data.confidence[n, k].numpy() / 255 >= p.label_threshold - 1 / 510
            expected = (predicted & y).sum() / (predicted | y).sum() if y.any() else np.nan
            expected = expected if data.known[n, k] else np.nan
            assert row.value == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert rows["value"].notna().sum() == 8 * 3 - 3  # two unknown, one empty
        assert rows["value"].max() > 0


def test_nothing_is_measured_of_an_unknown_feature(measured):
    scores = measured.metrics
    for clip_id, feature in (("C13", "one"), ("C16", "two")):
        rows = scores[(scores["clip_id"] == clip_id) & (scores["feature"] == feature)]
        assert len(rows) == len(tables.TABLE1)
        assert rows["value"].isna().all()


def test_the_cut_is_tuned_on_validation_images_alone(data, p, trained, measured):
    where = data.of(ROLES["validation"])
    y = confidence.targets(data.confidence[where].float() / 255, p.label_threshold)
    cut, _ = cuts.best(cuts.counts(measured.levels[where], y, data.known[where]))
    assert cut != predictions.CUT
    assert tuned(measured.metrics).tolist() == [cut / 255] and measured.cut == cut
    c = data.confidence.clone()
    c[data.of(ROLES["test"])] = 255
    other = measure.measure(trained[0], replace(data, confidence=c), ROLES, FEATURES, p)
    assert tuned(other.metrics).tolist() == [cut / 255]


def test_the_untrained_network_measures_the_same_as_itself(data, p):
    scores = measure.measure(segmenter.build(p, 3), data, ROLES, FEATURES, p).metrics
    wide = scores[scores["metric"].isin(["iou", "iou_untrained"])].pivot(
        index=["clip_id", "feature"], columns="metric", values="value"
    )
    np.testing.assert_allclose(wide["iou"], wide["iou_untrained"], rtol=1e-6)


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_measuring_without_patients_of_one_role(data, p, trained, empty):
    scores = measure.measure(trained[0], data, {**ROLES, empty: []}, FEATURES, p).metrics
    left = {"validation": "P4", "test": "P3"}[empty]
    assert set(scores.loc[~scores["metric"].isin(TUNED), "patient_id"]) == {left}


def test_what_is_stored_is_read_back_and_the_network_predicts_the_same(tmp_path, data, p, trained, measured):
    network, history = trained
    levels = measured.levels
    task = pd.DataFrame({"clip_id": ["C00"], "slot": [0], "frame": [0]})
    frames = np.zeros((1, 1, 3, 32, 4), np.uint8)
    measure.store(tmp_path, network, history, measured, data.table, (frames, task), "c0ffee", ROLES, p)
    found = predictions.read(tmp_path, "c0ffee")
    np.testing.assert_array_equal(found.labelled, levels)
    assert {k: found.made_from[k] for k in ("size", "task_size", "task_frames", "channels")} == {
        "size": 64, "task_size": 32, "task_frames": 2, "channels": "binary",
    }  # fmt: skip
    assert found.cut == found.made_from["task_cut"] == measured.cut
    fresh = fitting.restore(tmp_path / "model.safetensors", segmenter.build(p, 3))
    one, other = (segmenter.predict(n, data.images[:4], 4) for n in (fresh, network))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv", "metrics.csv", "model.safetensors", "patients.csv", "predictions",
    ]  # fmt: skip


def test_temperatures_are_those_of_the_validation_images_alone(data, p, trained, measured):
    where = data.of(ROLES["validation"])
    logits = segmenter.predict(trained[0], data.images[where], p.batch)
    wanted = metrics.temperatures(logits, data.confidence[where].float() / 255, data.known[where])
    rows = measured.metrics[measured.metrics["metric"] == "temperature"]
    assert rows["feature"].tolist() == list(FEATURES)
    np.testing.assert_allclose(rows["value"], wanted, rtol=1e-6)
    c = data.confidence.clone()
    c[data.of(ROLES["test"])] = 255
    other = measure.measure(trained[0], replace(data, confidence=c), ROLES, FEATURES, p).metrics
    np.testing.assert_array_equal(other.loc[other["metric"] == "temperature", "value"], rows["value"])


def test_dropout_is_a_mean_over_passes_that_differ_and_the_same_for_a_seed(data, p, trained, params_of):
    asked = params_of(**{**p, "mc_samples": 3})
    once, again = (measure.measure(trained[0], data, ROLES, FEATURES, asked) for _ in range(2))
    assert torch.equal(once.dropout, again.dropout)
    held_out = data.of(ROLES["test"])
    np.testing.assert_array_equal(once.held_out, held_out)
    torch.manual_seed(p.seed)
    passes = [segmenter.predict(trained[0], data.images[held_out], p.batch, dropout=True) for _ in range(3)]
    assert not torch.equal(passes[0], passes[1])
    mean = torch.stack(passes).sigmoid().mean(0)
    assert (once.dropout.float() - 255 * mean).abs().max() <= 0.51
    assert torch.equal(once.levels, measure.measure(trained[0], data, ROLES, FEATURES, p).levels)


def test_samples_of_a_network_without_dropout_are_refused(data, params_of):
    asked = params_of(decoder="Unet", mc_samples=2)
    with pytest.raises(ValueError, match="mc_samples: expected 0, Unet has no dropout layer, got 2; set 0"):
        segmenter.predict_dropout(segmenter.build(asked, 3), data.images[:1], asked)


def test_tempered_probabilities_are_of_logits_not_of_what_was_stored(data, p, trained, measured):
    rows = measured.metrics[measured.metrics["metric"] == "temperature"]
    where = data.of(ROLES["test"])
    logits = segmenter.predict(trained[0], data.images[where], p.batch).numpy()
    wanted = 255 / (1 + np.exp(-logits / rows["value"].to_numpy()[:, None, None]))
    assert np.abs(measured.tempered.numpy() - wanted).max() <= 0.75  # half a step, and batches differ
    none = measure.measure(trained[0], data, {**ROLES, "validation": []}, FEATURES, p)
    assert (none.tempered.int() - none.levels[where].int()).abs().max() <= 1  # no temperature: as it is
