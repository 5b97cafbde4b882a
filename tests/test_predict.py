"""What a trained arm says about labelled frames, and what it leaves on disk."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lusnb import confidence
from lusnb.segment import cuts, fitting, predict, predictions, segmenter
from lusnb.segment.segmenter import Segments
from tests.frames import FEATURES, ROLES


@pytest.fixture(scope="module")
def predicted(data, p, trained) -> predict.Predicted:
    return predict.labelled(trained[0], data, ROLES, p)


def test_probabilities_are_of_every_frame(data, predicted, trained):
    levels = predicted.levels
    assert levels.shape == data.confidence.shape
    assert levels.dtype == torch.uint8
    probability = segmenter.predict(trained[0], data.images, 20).sigmoid() * 255
    assert (levels.float() - probability).abs().max() <= 0.75  # half a step, and batches differ


def test_logits_are_of_validation_frames_then_of_held_out_ones(data, predicted, trained, p):
    where = np.concatenate([data.of(ROLES["validation"]), data.of(ROLES["test"])])
    assert [*predicted.validation, *predicted.held_out] == where.tolist()
    logits = segmenter.predict(trained[0], data.images[where], 20)
    torch.testing.assert_close(predicted.logits, logits, rtol=0, atol=1e-4)
    before = segmenter.predict(segmenter.build(p, len(FEATURES)), data.images[where], 20).sigmoid() * 255
    assert (predicted.untrained.float() - before).abs().max() <= 0.75


def test_the_cut_is_fitted_on_validation_images_alone(data, p, trained, predicted):
    where = data.of(ROLES["validation"])
    y = confidence.targets(data.confidence[where].float() / 255, p.label_threshold)
    cut, _ = cuts.best(cuts.counts(predicted.levels[where], y, data.known[where]))
    assert cut != predictions.CUT and predicted.cut == cut
    c = data.confidence.clone()
    c[data.of(ROLES["test"])] = 255
    assert predict.labelled(trained[0], replace(data, confidence=c), ROLES, p).cut == cut


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_without_patients_of_one_role(data, p, trained, empty):
    found = predict.labelled(trained[0], data, {**ROLES, empty: []}, p)
    left = {"validation": found.held_out, "test": found.validation}[empty]
    assert len(found.logits) == len(left) == len(found.untrained) > 0


def test_an_inner_model_leaves_a_cut_and_nothing_to_measure(data, p, trained, params_of, predicted):
    found = predict.labelled(trained[0], data, ROLES, params_of(**{**p, "inner": 2}))
    assert found.cut == predicted.cut
    assert not len(found.levels) and not len(found.logits) and not len(found.table)
    assert found.levels.shape[1:] == predicted.levels.shape[1:]


def test_what_is_stored_is_read_back_and_the_network_predicts_the_same(tmp_path, data, p, trained, predicted):
    network, _ = trained
    levels = predicted.levels
    task = pd.DataFrame({"clip_id": ["C00"], "slot": [0], "frame": [0]})
    frames = np.zeros((1, 1, 3, 32, 4), np.uint8)
    predict.store(tmp_path, trained, ROLES, predicted, Segments(frames, task), "c0ffee", p)
    found = predictions.read(tmp_path, "c0ffee")
    np.testing.assert_array_equal(found.labelled, levels)
    np.testing.assert_array_equal(found.logits, predicted.logits)
    np.testing.assert_array_equal(found.untrained, predicted.untrained)
    np.testing.assert_array_equal([*found.validation, *found.held_out],
                                  [*predicted.validation, *predicted.held_out])  # fmt: skip
    assert {k: found.made_from[k] for k in ("size", "task_size", "task_frames", "channels")} == {
        "size": 64, "task_size": 32, "task_frames": 2, "channels": "binary",
    }  # fmt: skip
    assert found.cut == found.made_from["task_cut"] == predicted.cut
    fresh = fitting.restore(tmp_path / "model.safetensors", segmenter.build(p, 3))
    one, other = (segmenter.predict(n, data.images[:4], 4) for n in (fresh, network))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv", "model.safetensors", "patients.csv", "predictions",
    ]  # fmt: skip


def test_dropout_is_a_mean_over_passes_that_differ_and_the_same_for_a_seed(data, p, trained, params_of):
    asked = params_of(**{**p, "mc_samples": 3})
    once, again = (predict.labelled(trained[0], data, ROLES, asked) for _ in range(2))
    assert torch.equal(once.dropout, again.dropout)
    held_out = data.of(ROLES["test"])
    np.testing.assert_array_equal(once.held_out, held_out)
    torch.manual_seed(p.seed)
    passes = [segmenter.predict(trained[0], data.images[held_out], p.batch, dropout=True) for _ in range(3)]
    assert not torch.equal(passes[0], passes[1])
    mean = torch.stack(passes).sigmoid().mean(0)
    assert (once.dropout.float() - 255 * mean).abs().max() <= 0.51
    assert torch.equal(once.levels, predict.labelled(trained[0], data, ROLES, p).levels)


def test_samples_of_a_network_without_dropout_are_refused(data, params_of):
    asked = params_of(decoder="Unet", mc_samples=2)
    with pytest.raises(ValueError, match="mc_samples: expected 0, Unet has no dropout layer, got 2; set 0"):
        segmenter.predict_dropout(segmenter.build(asked, 3), data.images[:1], asked)
