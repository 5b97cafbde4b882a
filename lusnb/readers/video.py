"""Video by PyAV (FFmpeg): every frame that is stored, one at a time."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from lusnb.checks import Unfit
from lusnb.readers.clips import Clip
from lusnb.readers.grey import decoding

EXPECTED = "a video (MP4, AVI, MOV, MKV) that can be decoded"
REMEDY = "the file may be cut short: copy or export it again."
# No playlist, whatever its ending: it would have other files read, or addresses.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,m4v,h264,hevc"
# All stored frames count, also those that an editor only marked as cut away.
OPTIONS = {"ignore_editlist": "1", "format_whitelist": FORMATS, "protocol_whitelist": "file"}


def open_video(source: Path | bytes, name: str | None = None) -> Clip:
    """Open a video file, or one that lies in memory. Raises Unfit."""
    name = name or source.name
    with decoding(EXPECTED, name, REMEDY), _opened(source) as container:
        if not container.streams.video:
            raise Unfit("a file with a video in it", f"{name}, which has none", "export the clip again.")
        stream = container.streams.video[0]
        height, width = stream.codec_context.height, stream.codec_context.width
        count = stream.frames or None
        fps = float(stream.average_rate) if stream.average_rate else None
        tags = {"codec": stream.codec_context.name, "pixel_format": stream.codec_context.pix_fmt}
    return Clip(name, height, width, lambda: _frames(source, name), count, fps=fps, tags=tags)


def _opened(source: Path | bytes):
    if isinstance(source, bytes):
        return av.open(io.BytesIO(source), options=OPTIONS)
    return av.open(str(source.absolute()), options=OPTIONS)  # a relative one may look like a protocol


def _frames(source: Path | bytes, name: str) -> Iterator[np.ndarray]:
    with decoding(EXPECTED, name, REMEDY), _opened(source) as container:
        for frame in container.decode(video=0):
            # Grey stays as it is stored; colour goes by way of RGB, so that its range is the one declared.
            yield frame.to_ndarray(format="gray" if frame.format.name == "gray" else "rgb24")
