"""Files appear whole or not at all."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import files


class Stop(BaseException):
    """Something that is no ordinary error, as an interrupt from the keyboard."""


@pytest.mark.parametrize("error", [RuntimeError, Stop])
def test_an_error_leaves_neither_the_file_nor_a_temporary_one(tmp_path, error):
    with pytest.raises(error), files.whole(tmp_path / "table.csv") as beside:
        beside.write_text("half")
        assert [p.name for p in tmp_path.iterdir()] == [beside.name]
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_an_existing_file_as_it_was(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk full"), files.whole(path) as beside:
        beside.write_text("new")
        raise RuntimeError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_done(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with files.whole(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_keeps_the_ending_and_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "model.safetensors"
    with files.whole(path) as beside:
        assert (beside.suffix, beside.parent) == (".safetensors", path.parent)
        beside.write_bytes(b"x")
    assert path.read_bytes() == b"x"


def test_an_error_of_a_writer_passes_through(tmp_path):
    def half(beside):
        beside.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        files.write_with(tmp_path / "figure.png", half)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        files.write_npy(tmp_path / "array.npy", np.array([{}], object))
    assert list(tmp_path.iterdir()) == []


def test_what_must_survive_a_power_cut_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done, replace = [], files.os.replace
    monkeypatch.setattr(files, "to_disk", lambda path: done.append(path.name))
    monkeypatch.setattr(files.os, "replace", lambda old, new: done.append("name") or replace(old, new))
    files.write_json(tmp_path / "finished", {}, sync=True)
    assert done[1:] == ["name", tmp_path.name] and done[0].startswith(".finished.")
    files.write_json(tmp_path / "finished", {})
    assert done[3:] == ["name"]


def test_what_is_written_is_read_back_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"id": ["a", "b"], "value": rng.normal(size=2)})
    files.write_csv(tmp_path / "t.csv", table)
    lines = [line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines()]
    assert lines[0] == ["id", "value"]
    assert [(name, float(value)) for name, value in lines[1:]] == list(table.itertuples(index=False))
    image = rng.integers(0, 256, (5, 7), np.uint8)
    files.write_png(tmp_path / "i.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "i.png")), image)
    files.write_npy(tmp_path / "a.npy", image)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), image)
    files.write_json(tmp_path / "j.json", {"b": 1, "a": [2.5]})
    assert (tmp_path / "j.json").read_text() == '{\n "a": [\n  2.5\n ],\n "b": 1\n}\n'


def test_an_array_too_large_for_memory_lies_in_a_file(monkeypatch):
    small = files.room((3, 4))
    assert type(small) is np.ndarray and not small.any()
    monkeypatch.setattr(files, "LARGE", 10**15)
    mapped = files.stack((np.full((2, 2), k, np.uint8) for k in range(3)), 3)
    assert isinstance(mapped, np.memmap) and mapped.dtype == np.uint8
    assert mapped[:, 0, 0].tolist() == [0, 1, 2] and mapped.flags.writeable


def sparse_or_not(path, size: int) -> int:
    """Bytes that a file of `size` takes on the disk, made by `_reserve`."""
    with path.open("wb") as file:
        files._reserve(file.fileno(), size)
    assert path.stat().st_size == size
    return 512 * path.stat().st_blocks


def test_room_on_the_disk_is_reserved_where_the_system_can(tmp_path):
    if hasattr(os, "posix_fallocate"):
        assert sparse_or_not(tmp_path / "array", 1 << 20) >= 1 << 20


def test_without_posix_fallocate_a_full_disk_is_noticed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on macOS
    sparse_or_not(tmp_path / "array", 1 << 20)
    monkeypatch.setattr(files, "LARGE", 10**15)
    assert files.room((5, 4)).shape == (5, 4) and not files.room((5, 4)).any()
    with pytest.raises(OSError, match="No space left on device"):
        sparse_or_not(tmp_path / "array", 1 << 60)
    assert (tmp_path / "array").stat().st_size == 0


def test_nothing_to_stack_is_said_so():
    with pytest.raises(ValueError, match="no image to read: expected at least one, got an empty table"):
        files.stack(iter([]), 0)
