"""The path of the probe over the specimen, and where sites appear in the image that it records.

What goes wrong in a scan: Jones and Nellist, Microsc. Microanal. 19 (2013) 1050.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_stemlearn.errors import SettingsError

NEGLIGIBLE_SHIFT = 1e-4
"""Pixels; a flyback error below it is left out."""

_SPOT = 0.5  # angstrom; lines within this distance shift an atom's image together


@dataclass(frozen=True)
class ScanPath:
    """Where the probe is at pixel (i, j): ``(rows[i], columns[j] + row_shifts[i])``, in angstrom.

    Parameters
    ----------
    rows, row_shifts
        Shape (lines,).
    columns
        Shape (pixels,).
    regular_from
        From this pixel on the columns are multiples of the pixel size.
    pixel_size
        In angstrom.
    """

    rows: NDArray[np.float64]
    row_shifts: NDArray[np.float64]
    columns: NDArray[np.float64]
    regular_from: int
    pixel_size: float

    @property
    def reach(self) -> tuple[float, float]:
        """Largest distance (y, x) in angstrom by which the path leaves the undistorted frame."""
        height = (len(self.rows) - 1) * self.pixel_size
        width = (len(self.columns) - 1) * self.pixel_size
        y = max(-self.rows.min(), self.rows.max() - height, 0.0)
        low = self.columns.min() + self.row_shifts.min()
        high = self.columns.max() + self.row_shifts.max()
        return float(y), float(max(-low, high - width, 0.0))


def scan_path(
    shape: tuple[int, int], pixel_size: float, drawn: Mapping[str, float], rng: np.random.Generator
) -> ScanPath:
    """Draw the path of one frame.

    Parameters
    ----------
    shape
        Lines and pixels.
    pixel_size
        In angstrom.
    drawn
        Values with the names of `ScanSettings`; what is missing is off. Drift, shear and scale keep the frame's centre.
    rng
        For jitter, wobble and phases.

    Raises
    ------
    SettingsError
        If drift or flyback leave no way forward over the frame.
    """
    height, width = shape
    _refuse_standstill(shape, pixel_size, drawn)
    line = np.arange(height)
    centred = line - 0.5 * (height - 1)
    time = centred / height
    rows = line * pixel_size + centred * pixel_size * (drawn.get("scale_y", 1.0) - 1) + drawn.get("drift_y", 0.0) * time
    shifts = drawn.get("shear", 0.0) * centred * pixel_size + drawn.get("drift_x", 0.0) * time
    bow = drawn.get("drift_change", 0.0)
    if bow:
        # the parabola without mean has a root mean square of 1 / sqrt(180)
        parabola = (time**2 - np.mean(time**2)) * np.sqrt(180)
        rows += bow * rng.normal() * parabola
        shifts += bow * rng.normal() * parabola
    wobble = drawn.get("wobble", 0.0)
    if wobble:
        slow = smooth_noise(rng, (2, height), drawn.get("wobble_lines", 40.0))
        rows += wobble * slow[0]
        shifts += wobble * slow[1]
    hum = drawn.get("hum", 0.0)
    if hum:
        shifts += hum * np.sin(2 * np.pi * (line / drawn.get("hum_lines", 30.0) + rng.uniform()))
    jitter_y, jitter_x = drawn.get("line_jitter_y", 0.0), drawn.get("line_jitter_x", 0.0)
    if jitter_y:
        rows += jitter_y * rng.normal(size=height)
    if jitter_x:
        shifts += jitter_x * rng.normal(size=height)
    columns: NDArray[Any] = np.arange(width) * pixel_size
    flyback = drawn.get("flyback", 0.0)
    regular_from = 0
    if flyback:
        length = drawn.get("flyback_length", 15.0)
        columns = columns + flyback * np.exp(-np.arange(width) / length)
        smallness = abs(flyback) / (NEGLIGIBLE_SHIFT * pixel_size)
        regular_from = min(width, max(0, int(np.ceil(length * np.log(smallness))))) if smallness > 1 else 0
        columns[regular_from:] = np.arange(regular_from, width) * pixel_size
    return ScanPath(rows, shifts, columns, regular_from, pixel_size)


def _refuse_standstill(shape: tuple[int, int], pixel_size: float, drawn: Mapping[str, float]) -> None:
    """Refuse a path whose lines or pixels as a whole do not come forward: no place in the image would be a site's."""
    height, width = shape
    least_drift = -height * pixel_size * drawn.get("scale_y", 1.0)
    drift = drawn.get("drift_y", 0.0)
    if drift <= least_drift:
        raise SettingsError(
            f"Setting scan.drift_y: with {drift:.6g} angstrom in a frame of {height} lines of {pixel_size:.6g} "
            f"angstrom no line lies ahead of the one before; allowed: more than {least_drift:.6g} angstrom."
        )
    length = drawn.get("flyback_length", 15.0)
    most_flyback = (width - 1) * pixel_size / -np.expm1(-(width - 1) / length)
    flyback = drawn.get("flyback", 0.0)
    if flyback >= most_flyback:
        raise SettingsError(
            f"Setting scan.flyback: with {flyback:.6g} angstrom in lines of {width} pixels of {pixel_size:.6g} "
            "angstrom the end of a line does not lie ahead of its beginning; allowed: less than "
            f"{most_flyback:.6g} angstrom."
        )


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], length: float) -> NDArray[np.float64]:
    """Gaussian noise of unit variance with a correlation `length` along the last axis."""
    sigma = length / 2
    margin = int(np.ceil(3 * sigma))
    white = rng.normal(size=(shape[0], shape[1] + 2 * margin))
    return _unit_filter(white, sigma)[:, margin : margin + shape[1]]


def _unit_filter(white: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian filter that keeps unit variance."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    n = white.shape[1] + 2 * radius
    filtered = np.fft.irfft(np.fft.rfft(white, n) * np.fft.rfft(kernel, n), n)
    return filtered[:, radius : radius + white.shape[1]]


def places_in_image(
    path: ScanPath, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (y, x) at which points of the specimen (angstrom) appear; beyond the frame the path is continued.

    Line-to-line jitter is averaged over the lines that cross one atom, as the eye and the centroid do. What a strong
    flyback shows twice has its place where the scan goes forward.

    Raises
    ------
    SettingsError
        If no line lies ahead of the first one.
    """
    blur = _SPOT / path.pixel_size
    lines = np.arange(len(path.rows), dtype=float)
    rows = np.maximum.accumulate(_smoothed(path.rows, blur))
    if rows[-1] == rows[0]:
        raise SettingsError(
            f"Setting scan: no line of the frame ({len(rows)} lines of {path.pixel_size:.6g} angstrom) lies ahead of "
            "the first one; allowed: less drift_change, wobble or line_jitter_y, or a higher frame."
        )
    shifts = _smoothed(path.row_shifts, blur)
    image_y = _inverse(rows, np.asarray(y, dtype=float))
    shift = np.interp(image_y, lines, shifts)
    slope = (shifts[-1] - shifts[0]) / max(1, len(shifts) - 1)
    shift += slope * (np.minimum(image_y, 0) + np.maximum(image_y - lines[-1], 0))
    columns = np.minimum.accumulate(path.columns[::-1])[::-1]
    return image_y, _inverse(columns, np.asarray(x, dtype=float) - shift)


def _smoothed(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian mean over neighbouring lines that leaves a straight line as it is."""
    trend = np.linspace(values[0], values[-1], len(values))
    return trend + gaussian_filter1d(values - trend, sigma, mode="nearest")


def _inverse(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractional index at which rising `values` reach `wanted`, continued with the mean slope."""
    index = np.interp(wanted, values, np.arange(len(values), dtype=float))
    slope = (values[-1] - values[0]) / (len(values) - 1)
    return index + np.minimum(wanted - values[0], 0) / slope + np.maximum(wanted - values[-1], 0) / slope
