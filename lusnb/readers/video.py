"""Video by PyAV (FFmpeg): every frame that is stored, turned as the file says, one at a time."""

from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

import av
import numpy as np

from lusnb.cohort.problems import Unfit, decoding
from lusnb.readers.clip import Clip
from lusnb.readers.grey import check_declared

EXPECTED = "a video (MP4, AVI, MOV, MKV) that can be decoded"
REMEDY = "the file may be cut short: copy or export it again."
# No playlist, whatever its ending: it would have other files read, or addresses.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,m4v,h264,hevc"
# All stored frames count, also those that an editor only marked as cut away.
OPTIONS = {"ignore_editlist": "1", "format_whitelist": FORMATS, "protocol_whitelist": "file"}


# Quarter turns against the clock of what a display matrix (a, b, c, d) asks for: x, y -> ax + cy, bx + dy.
TURNS = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 1, (-1, 0, 0, -1): 2, (0, 1, -1, 0): 3}


def open_video(source: Path | RawIOBase, name: str) -> Clip:
    """Open a video file, by its path or as an open file. Raises Unfit.

    A recording that is to be shown turned, as telephones mark theirs, is turned, by quarters of a circle.
    """
    with decoding(EXPECTED, name, REMEDY), _opened(source) as container:
        if not container.streams.video:
            raise Unfit("a file with a video in it", f"{name}, which has none", "export the clip again.")
        stream = container.streams.video[0]
        height, width = stream.codec_context.height, stream.codec_context.width
        check_declared(height, width, stream.frames or None, name)
        count = stream.frames or None
        fps = float(stream.average_rate) if stream.average_rate else None
        tags = {"codec": stream.codec_context.name, "pixel_format": stream.codec_context.pix_fmt}
        turns = _turns(container, name)
    size = (width, height) if turns % 2 else (height, width)
    return Clip(name, *size, lambda: _frames(source, name, turns), count, fps=fps, tags=tags)


def _opened(source: Path | RawIOBase):
    if isinstance(source, Path):
        return av.open(str(source.absolute()), options=OPTIONS)  # a relative one may look like a protocol
    source.seek(0)
    return av.open(source, options=OPTIONS)


def _turns(container, name: str) -> int:
    """Quarter turns against the clock, by the display matrix of the first frame. Raises Unfit."""
    frame = next(container.decode(video=0), None)
    matrix = frame.side_data.get("DISPLAYMATRIX") if frame is not None else None
    if matrix is None:
        return 0
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()  # 16.16 fixed point
    turned = tuple(round(value / 65536, 3) for value in (a, b, c, d))
    if turned not in TURNS:
        remedy = "export it again as it is to be seen."
        raise Unfit("a video upright, or turned by 90, 180 or 270 degrees", _told(name, turned), remedy)
    return TURNS[turned]


def _told(name: str, turned: tuple[float, ...]) -> str:
    a, b, c, d = turned
    if a * d - b * c < 0:
        return f"{name}, to be shown mirrored"
    return f"{name}, to be shown by the matrix {a:g} {b:g} {c:g} {d:g}"


def _frames(source: Path | RawIOBase, name: str, turns: int) -> Iterator[np.ndarray]:
    with decoding(EXPECTED, name, REMEDY), _opened(source) as container:
        for frame in container.decode(video=0):
            # Grey stays as it is stored; colour goes by way of RGB, so that its range is the one declared.
            yield np.rot90(frame.to_ndarray(format="gray" if frame.format.name == "gray" else "rgb24"), turns)
