"""What every opener of a clip returns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from lusnb.readers.grey import Crop


@dataclass(frozen=True)
class Clip:
    """An opened clip: what it declares, and its frames, which are decoded as they are asked for.

    `raw()` yields uint8 or uint16, (H, W) or (H, W, 3). `count` is None where only reading to the end tells.
    `white` is the value shown as white, `inverted` whether 0 is. `cm` is the size of a pixel, (down, across).
    `burned_in`: whether the file declares text in its pixels; None where it says nothing. `region` is the
    image's rectangle, where the file declares one. `tags` are technical; nothing else is ever kept. `owner`
    is whoever the file says was scanned: for comparing, never for writing.
    """

    name: str
    height: int
    width: int
    raw: Callable[[], Iterator[np.ndarray]]
    count: int | None = None
    white: int = 255
    inverted: bool = False
    fps: float | None = None
    cm: tuple[float, float] | None = None
    burned_in: bool | None = None
    region: Crop | None = None
    tags: dict = field(default_factory=dict)
    owner: str | None = field(default=None, repr=False)
