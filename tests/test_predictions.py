"""Predictions on disk: packed and unpacked, in the right places, refused when stale."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from lusnb import params
from lusnb.segment import predictions
from lusnb.segment.predictions import StalePredictions

# two clips, the later first: positions follow the order of the rows, not of the names
LABELLED = pd.DataFrame({"clip_id": ["007", "021"], "frame": [0, 3], "patient_id": ["P2", "P1"]})
TASK = pd.DataFrame(
    {"clip_id": ["021"] * 3 + ["007"] * 3, "slot": [0, 1, 2] * 2, "frame": [1, 4, 7, 0, 2, 4]}
)

HELD = np.array([1])  # the second labelled frame is held out
VALIDATION = np.array([0])


def masks(width: int, seed: int = 0) -> np.ndarray:
    """Random masks of 2 clips, 3 frames, 6 features: bool (2, 3, 6, 5, width)."""
    return np.random.default_rng(seed).random((2, 3, 6, 5, width)) < 0.5


def opened(frames: np.ndarray, **made_from) -> predictions.Predictions:
    none = np.zeros(0, np.uint8)
    return predictions.Predictions(none, frames, pd.DataFrame(), made_from, none, none)


@pytest.mark.parametrize("width", [1, 7, 8, 13, 16])
def test_packed_masks_unpack_to_what_they_were(width):
    binary = masks(width)
    packed = predictions.pack(binary)
    assert packed.dtype == np.uint8
    assert packed.shape == (2, 3, 6, 5, -(-width // 8))
    np.testing.assert_array_equal(np.unpackbits(packed, axis=-1, count=width), binary)


def test_eight_pixels_a_byte_by_hand():
    row = np.array([[1, 0, 0, 0, 0, 0, 0, 1, 0, 1]], bool)
    assert predictions.pack(row).tolist() == [[0b10000001, 0b01000000]]


def test_clips_are_found_by_name(folder):
    found = predictions.read(folder, "c0ffee")
    assert found.positions(pd.Series(["007", "021", "007"])).tolist() == [1, 0, 1]
    with pytest.raises(KeyError, match="042"):
        found.positions(pd.Series(["042"]))


def test_a_sure_pixel_is_stored_as_one_or_255():
    assert [opened(np.zeros(0), channels=c).full for c in params.CHANNELS] == [1, 255]


def test_the_index_says_what_each_entry_is_of():
    table = predictions.index(LABELLED, TASK, VALIDATION, HELD)
    assert list(table) == ["array", "position", "slot", "clip_id", "frame"]
    assert list(table.itertuples(index=False, name=None)) == [
        ("labelled", 0, 0, "007", 0),
        ("labelled", 1, 0, "021", 3),
        ("frames", 0, 0, "021", 1),
        ("frames", 0, 1, "021", 4),
        ("frames", 0, 2, "021", 7),
        ("frames", 1, 0, "007", 0),
        ("frames", 1, 1, "007", 2),
        ("frames", 1, 2, "007", 4),
        ("validation", 0, 0, "007", 0),
        ("held_out", 1, 1, "021", 3),
    ]


@pytest.fixture
def folder(tmp_path):
    """A finished segmenter's folder with predictions of LABELLED and TASK."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    made_from = {
        "cohort": "c0ffee",
        "model": predictions.model_fingerprint(tmp_path / "model.safetensors"),
        "task_size": 13,
        "channels": "binary",
    }
    labelled = np.random.default_rng(2).integers(0, 256, (2, 6, 8, 8), np.uint8)
    table = predictions.index(LABELLED, TASK, VALIDATION, HELD)
    arrays = {"labelled": labelled, "frames": predictions.pack(masks(13))}
    arrays |= {"logits": labelled / np.float32(7), "untrained": labelled[::-1]}
    predictions.write(tmp_path, arrays, table, made_from)
    return tmp_path


def test_what_is_written_is_read_back(folder):
    found = predictions.read(folder, "c0ffee")
    labelled = np.random.default_rng(2).integers(0, 256, (2, 6, 8, 8), np.uint8)
    np.testing.assert_array_equal(found.labelled, labelled)
    assert found.validation.tolist() == [0] and found.held_out.tolist() == [1] and found.dropout is None
    np.testing.assert_array_equal(found.logits, labelled / np.float32(7))
    assert found.logits.dtype == np.float32 and isinstance(found.logits, np.memmap)
    np.testing.assert_array_equal(found.untrained, labelled[::-1])
    assert isinstance(found.frames, np.memmap)
    np.testing.assert_array_equal(found.frames, predictions.pack(masks(13)))
    pd.testing.assert_frame_equal(
        found.index, predictions.index(LABELLED, TASK, VALIDATION, HELD)
    )  # "007" stays a text
    assert found.made_from["task_size"] == 13


def test_predictions_of_another_cohort_are_refused(folder):
    text = (
        re.escape(str(folder / "predictions")) + ": made from the cohort c0ffee, but the cohort is now f00d; "
        "run 03_train_segmentation again"
    )
    with pytest.raises(StalePredictions, match=text):
        predictions.read(folder, "f00d")


def test_predictions_of_another_model_are_refused(folder):
    before = predictions.model_fingerprint(folder / "model.safetensors")
    (folder / "model.safetensors").write_bytes(b"weightS")
    after = predictions.model_fingerprint(folder / "model.safetensors")
    assert before != after
    with pytest.raises(StalePredictions, match=f"made from the model {before}, but the model is now {after}"):
        predictions.read(folder, "c0ffee")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cohort": "c0ffee"}', None])
def test_a_fingerprint_that_cannot_be_read_is_named(folder, text):
    path = folder / "predictions" / "fingerprint.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(StalePredictions, match=re.escape(str(path)) + " cannot be read: .*; run 03_train_s"):
        predictions.read(folder, "c0ffee")


def test_the_fingerprint_comes_last(folder, monkeypatch):
    written = []
    monkeypatch.setattr(predictions.files, "write_npy", lambda path, _: written.append(path.name))
    monkeypatch.setattr(predictions.files, "write_csv", lambda path, _: written.append(path.name))
    monkeypatch.setattr(predictions.files, "write_json", lambda path, _: written.append(path.name))
    predictions.write(folder, {"labelled": np.zeros(1), "frames": np.zeros(1)}, pd.DataFrame(), {})
    assert written == ["labelled.npy", "frames.npy", "index.csv", "fingerprint.json"]


def test_an_array_with_pickled_objects_is_not_opened(folder):
    np.save(folder / "predictions" / "frames.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="[Pp]ython objects|allow_pickle"):
        predictions.read(folder, "c0ffee")


def test_the_fingerprint_on_disk_is_plain_json(folder):
    made_from = json.loads((folder / "predictions" / "fingerprint.json").read_text())
    assert made_from["cohort"] == "c0ffee"
