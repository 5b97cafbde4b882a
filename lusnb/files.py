"""Files that appear whole or not at all: each is written beside its place, then renamed."""

import errno
import json
import math
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

LARGE = 4  # an array that takes more than this part of the memory lies in a file


def room(shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array of zeros to fill: in memory, or, where it would take more than a quarter of it, mapped to
    a temporary file that goes when the array goes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if LARGE * math.prod(shape) <= memory:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        _reserve(file.fileno(), math.prod(shape))
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _reserve(file: int, size: int) -> None:
    """Give an open file its size in bytes, with room for it on the disk.

    So a full disk raises OSError here, where otherwise the process would be killed while the array is filled.
    macOS cannot reserve the room: there it is looked for, and others may take it meanwhile.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    disk = os.fstatvfs(file)
    if disk.f_bavail * disk.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.truncate(file, size)


def stack(arrays: Iterator[np.ndarray], count: int) -> np.ndarray:
    """`count` uint8 arrays of one shape, one after the other into one: (count, ...), see `room`."""
    first = next(arrays, None)
    if first is None:
        raise ValueError("no image to read: expected at least one, got an empty table; label some frames.")
    out = room((count, *first.shape))
    out[0] = first
    for n, array in enumerate(arrays, 1):
        out[n] = array
    return out


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where no power cut empties them."""
    found = os.open(path, os.O_RDONLY)
    try:
        os.fsync(found)
    finally:
        os.close(found)


@contextmanager
def whole(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    The temporary name keeps the ending, so that writers which look at it still work. sync: see `to_disk`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        if sync:
            to_disk(beside)
        os.replace(beside, path)
        if sync:
            to_disk(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: str | Path, text: str, sync: bool = False) -> None:
    """Write UTF-8 text; sync: see `whole`."""
    with whole(path, sync) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object, sync: bool = False) -> None:
    """Write indented JSON with a final newline; sync: see `whole`."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n", sync)


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table without its index; floats keep every digit, so that reading gives them back."""
    with whole(path) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write one array as .npy, never pickled."""
    with whole(path) as beside:
        np.save(beside, array, allow_pickle=False)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 image as PNG: grey (H, W), or colour and alpha (H, W, 4)."""
    with whole(path) as beside:
        Image.fromarray(image).save(beside)


def write_with(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file that is given to it as a path (a figure, a set of weights)."""
    with whole(path) as beside:
        write(beside)


def end_with_parent() -> None:
    """Let this process, a worker of a pool, end when the one that started it does, even when that is killed.

    To be given to a pool as its initializer: else its workers wait for work for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
