"""How an echo becomes grey: point spread, gain, noise, log compression and display.

The complex echo is kept at baseband, so its magnitude is the envelope. Amplitudes are relative to the echo
that saturates the display; levels in dB are 20 log10 of them.

Sources
- Speckle as circular Gaussian scatterers through a point spread, Rayleigh envelope, mean / SD 1.91:
  Burckhardt 1978, IEEE Trans Sonics Ultrason 25:1; Wagner et al. 1983, the same journal 30:156.
- AXIAL_FWHM_MM, FOCUS_FWHM_MM: half a pulse length, and wavelength times f-number (Szabo, Diagnostic
  Ultrasound Imaging: Inside Out), for 7.5 MHz, 1540 m/s, four cycles, f/4: 0.41 and 0.82 mm, rounded.
- WIDENING: chosen, between the -6 dB width of a f/4 beam far from its focus (0.25 mm a mm) and the even
  beam of a console that focuses dynamically on reception.
- NOISE_RISE_DB_PER_MM: from 0.5 dB/cm/MHz, the usual figure for soft tissue (Szabo); the quarter of it that
  is visible, NOISE_DB, DYNAMIC_RANGE_DB and RESIDUAL_DB_PER_MM: chosen, as consoles commonly show.
- Gain errors (draw_gain), SMOOTHING_MM, GREY_GAMMA: chosen by eye beside a real clip, whose speckle below
  the pleura is half correlated at 0.3 mm axially and 0.9 mm laterally.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from lusnb.phantom.anatomy import draw_curve
from lusnb.phantom.structures_and_artefacts import Grid

# Axial resolution: a pulse of some four cycles at 7.5 MHz (wavelength 0.205 mm at 1540 m/s) spans half its
# length in depth, 0.41 mm; the matched filter smooths it a little.
AXIAL_FWHM_MM = 0.45
# Lateral resolution at the focus: wavelength times f-number, 0.2 mm x 4.
FOCUS_FWHM_MM = 0.8
# How fast the beam widens away from its focus, mm of FWHM a mm of depth.
WIDENING = 0.05
# Log compression: 60 dB from black to white, the usual preset of a linear probe.
DYNAMIC_RANGE_DB = 60.0
# Receiver noise at the probe face, and how far the gain lifts it per mm of depth: two-way attenuation of soft
# tissue, 0.5 dB/cm/MHz x 2 x 7.5 MHz = 0.75 dB/mm, of which the gain visibly lifts a quarter (24 %): chosen.
NOISE_DB = -72.0
NOISE_RISE_DB_PER_MM = 0.18
# What the gain leaves uncompensated of the attenuation.
RESIDUAL_DB_PER_MM = 0.06
# The console's speckle reduction after compression: Gaussian sigma along z and x.
SMOOTHING_MM = (0.1, 0.15)
# The console's grey map: output = input ** GREY_GAMMA on 0 to 1, which keeps the dark half dark.
GREY_GAMMA = 1.2


def lateral_fwhm_mm(depth_mm: np.ndarray, focus_mm: float) -> np.ndarray:
    """Lateral full width at half maximum of the point-spread function's amplitude at each depth, mm."""
    return np.hypot(FOCUS_FWHM_MM, WIDENING * (depth_mm - focus_mm))


def speckle(
    rng: np.random.Generator,
    shape: tuple[int, int],
    steps_mm: tuple[float, float],
    axial_mm: float,
    lateral_mm,
) -> np.ndarray:
    """Fully developed speckle: circular Gaussian scatterers through a separable Gaussian point spread.

    `shape` (rows, columns); `steps_mm` the pixel's height and width; `axial_mm` and `lateral_mm` the full
    widths at half maximum of the amplitude, the lateral one a number or one per row. Returns complex64 (rows,
    columns) of unit mean power in every row; it wraps round at the edges.
    """
    rows, columns = shape
    white = rng.standard_normal((2, rows, columns), dtype=np.float32)
    field = np.fft.fft2(white[0] + 1j * white[1])
    sigma = np.asarray(axial_mm) / 2.3548
    axial = np.exp(-0.5 * (2 * np.pi * np.fft.fftfreq(rows, steps_mm[0]) * sigma) ** 2)
    axial /= np.sqrt(2 * np.mean(axial**2))
    field = np.fft.ifft(field * axial[:, None], axis=0)
    sigma = np.broadcast_to(np.asarray(lateral_mm, float) / 2.3548, (rows,))
    lateral = np.exp(-0.5 * (2 * np.pi * np.fft.fftfreq(columns, steps_mm[1]) * sigma[:, None]) ** 2)
    lateral /= np.sqrt(np.mean(lateral**2, axis=1, keepdims=True))
    return np.fft.ifft(field * lateral, axis=1).astype(np.complex64)


def amplitude(level_db: np.ndarray) -> np.ndarray:
    """dB to amplitude, float32."""
    return np.power(10.0, np.asarray(level_db, np.float32) / 20.0, dtype=np.float32)


def draw_gain(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Imperfect gain as amplitude, float32 (rows, columns): overall, over depth, and at the sides."""
    overall = rng.normal(0.0, 1.5)
    over_depth = draw_curve(rng, 1.0, 20.0, 60.0)(grid.z_mm) - RESIDUAL_DB_PER_MM * grid.z_mm
    side = rng.uniform(-1.0, 1.0) * grid.x_mm / (grid.width_mm / 2)
    # The aperture is cut at the ends of the probe, and one side often loses contact.
    contact = -3.0 * np.clip((np.abs(grid.x_mm) - 16.0) / 3.0, 0.0, 1.0) - 3.0 * np.clip(side, 0.0, 1.0)
    return amplitude(overall + over_depth[:, None] + contact[None, :])


def compress(envelope: np.ndarray, dynamic_range_db: float = DYNAMIC_RANGE_DB) -> np.ndarray:
    """Log compression of an envelope to grey levels 0 to 255, float32 of the same shape."""
    level = 20.0 * np.log10(np.maximum(envelope, 1e-6))
    return np.clip(255.0 * (1.0 + level / dynamic_range_db), 0.0, 255.0)


def display(grey: np.ndarray, steps_mm: tuple[float, float]) -> np.ndarray:
    """Speckle reduction and grey map, float 0 to 255 (rows, columns) in and out."""
    smooth = gaussian_filter(
        grey, [s / step for s, step in zip(SMOOTHING_MM, steps_mm, strict=True)], truncate=3
    )
    return 255.0 * (smooth / 255.0) ** GREY_GAMMA
