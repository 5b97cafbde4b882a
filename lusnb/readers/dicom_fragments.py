"""Compressed pixels of a DICOM file, piece by piece: what size a frame declares, and a film in fragments."""

import io
import struct
from typing import BinaryIO

from pydicom import encaps

FRAME_MARKS = [bytes([mark]) for mark in (*range(0xC0, 0xD0), 0xF7) if mark not in (0xC4, 0xC8, 0xCC)]


def size_of(piece: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG, JPEG-LS or JPEG 2000 image declares; None of other kinds."""
    if piece.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top = struct.unpack(">4I", piece[8:24])
        return bottom - top, right - left
    if not piece.startswith(b"\xff\xd8"):
        return None
    at, size = 2, (0, 0)
    while piece[at : at + 2] != b"\xff\xda":  # up to the scan, one segment follows the other
        mark, length = piece[at + 1 : at + 2], int.from_bytes(piece[at + 2 : at + 4], "big")
        if piece[at : at + 1] != b"\xff" or length < 2:
            raise ValueError("a JPEG image with a damaged header")
        if mark in FRAME_MARKS:
            size = struct.unpack(">2H", piece[at + 5 : at + 9])
        at += 2 + length
    return size


def _read_at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


class Pieces(io.RawIOBase):
    """The fragments of an open DICOM file, which stands at its pixels, read as if they were one file."""

    def __init__(self, file: BinaryIO):
        encaps.parse_basic_offsets(file)
        _, starts = encaps.parse_fragments(file)
        lengths = [int.from_bytes(_read_at(file, start + 4, 4), "little") for start in starts]
        self.file, self.at, self.length = file, 0, sum(lengths)
        self.pieces = [(start + 8, length) for start, length in zip(starts, lengths, strict=True)]

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place, from the beginning of the first piece."""
        return self.at

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        self.at = max(0, place + (0, self.at, self.length)[whence])
        return self.at

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, from one piece at a time."""
        left = self.at
        for start, length in self.pieces:
            if left < length:
                some = min(length - left, count if count >= 0 else length)
                found = _read_at(self.file, start + left, some)
                self.at += len(found)
                return found
            left -= length
        return b""
