"""What a brush is to paint, by other ways than the browser's: all pixels at once, in NumPy."""

import numpy as np
from scipy import ndimage


def centres(shape):
    """Centres of all pixels as complex numbers x + iy: (H, W)."""
    rows, columns = np.indices(shape)
    return columns + 0.5 + 1j * (rows + 0.5)


def stroke(old, points, kind, value, hardness):
    """One layer after a stroke, before rounding: float (H, W).

    old: uint8 (H, W). points: (x, y, radius, strength), pixels. kind: set, build or erase. value: 0..255.
    """
    where = centres(old.shape)
    cover, strength = np.zeros(old.shape), np.zeros(old.shape)
    for a, b in zip([points[0], *points[:-1]], points, strict=True):  # the first point, then the segments
        m, s = _segment(where, a, b, hardness)
        more = (m > cover) | ((m == cover) & (s > strength))
        cover, strength = np.where(more, m, cover), np.where(more, s, strength)
    if kind == "erase":
        return old * (1 - cover * strength)
    if kind == "build":
        return np.minimum(255, old + np.floor(value * strength * cover + 0.5))
    return old * (1 - cover) + value * strength * cover


def _segment(where, a, b, hardness):
    start, way = complex(a[0], a[1]), complex(b[0] - a[0], b[1] - a[1])
    along = np.ones(where.shape)
    if way:
        along = np.clip(((where - start) / way).real, 0, 1)
    distance = np.abs(where - start - along * way)
    radius, strength = (a[k] + along * (b[k] - a[k]) for k in (2, 3))
    slope = radius * (1 - hardness)
    soft = np.divide(radius - distance, slope, out=np.zeros_like(distance), where=slope > 0)
    return np.where(distance <= hardness * radius, 1.0, np.clip(soft, 0, 1)), strength


def line(old, a, b, size, value):
    """A hard line from a to b (x, y) of a width: float (H, W)."""
    return stroke(old, [(*a, size / 2, 1.0), (*b, size / 2, 1.0)], "set", value, 1.0)


def filled(old, column, row, value):
    """The region of equal bytes around a pixel, across edges: uint8 (H, W)."""
    regions, _ = ndimage.label(old == old[row, column])
    return np.where(regions == regions[row, column], np.uint8(value), old)


def polygon(old, points, value):
    """Pixels whose centre lies inside, even-odd, counted along columns: uint8 (H, W)."""
    where, inside = centres(old.shape), np.zeros(old.shape, bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if x0 == x1:
            continue
        between = (x0 > where.real) != (x1 > where.real)
        inside ^= between & (where.imag < y0 + (where.real - x0) * (y1 - y0) / (x1 - x0))
    return np.where(inside, np.uint8(value), old)


def far_off(painted, expected):
    """Largest distance of painted bytes from what is expected before rounding; up to 0.5 is right."""
    return float(np.abs(painted.astype(float) - expected).max())
