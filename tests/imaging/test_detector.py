"""Dose, noise, afterglow and digitising."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_stemlearn.imaging.detector import detect
from napari_stemlearn.imaging.dose import electrons_per_pixel, line_currents
from napari_stemlearn.imaging.settings import DetectorSettings


def values(**changes: Any) -> dict[str, float]:
    return DetectorSettings(**changes).drawn(np.random.default_rng(0))


def detected(
    fractions: torch.Tensor, seed: int = 0, bits: int = 0, stretch: bool = False, **changes: Any
) -> np.ndarray:
    noise = changes.pop("counting_noise", True)
    currents = changes.pop("currents", np.ones(fractions.shape[:2]))
    found = detect(
        fractions.clone(),
        [values(**changes)] * len(fractions),
        pixel_sizes=[0.2] * len(fractions),
        currents=currents,
        seeds=range(seed, seed + len(fractions)),
        counting_noise=noise,
        stretch=stretch,
        bits=bits,
    )
    return found.images.double().numpy()


FLAT = torch.full((1, 200, 250), 0.02)


def test_dose_or_current_and_dwell_time() -> None:
    assert electrons_per_pixel(values(dose=1e5), 0.2) == pytest.approx(4000)
    assert electrons_per_pixel(values(dose=None, current=30.0, dwell_time=20.0), 0.2) == pytest.approx(3744.9, rel=1e-4)


def test_counts_have_poisson_mean_and_variance() -> None:
    image = detected(FLAT, dose=2e5)
    assert image.mean() == pytest.approx(160, rel=2e-3)
    assert image.var() == pytest.approx(160, rel=0.03)
    np.testing.assert_array_equal(image, np.round(image))
    np.testing.assert_allclose(detected(FLAT, dose=2e5, counting_noise=False), 160, rtol=1e-5)


def test_gain_offset_and_readout() -> None:
    image = detected(FLAT, counting_noise=False, dose=2e5, gain=3.0, offset=50.0, readout_noise=7.0)
    assert image.mean() == pytest.approx(530, rel=2e-3)
    assert image.std() == pytest.approx(21, rel=0.02)


def test_flicker_belongs_to_lines() -> None:
    currents = line_currents(np.random.default_rng(0), 4000, values(flicker=0.1))
    assert currents.std() == pytest.approx(0.1, rel=0.05)
    slow = line_currents(np.random.default_rng(0), 4000, values(flicker=0.1, flicker_lines=20.0))
    assert np.abs(np.diff(slow)).mean() < 0.3 * np.abs(np.diff(currents)).mean()
    assert line_currents(np.random.default_rng(0), 5, values()).tolist() == [1] * 5
    image = detected(FLAT, counting_noise=False, dose=2e5, currents=currents[None, :200])
    np.testing.assert_allclose(image[0].mean(axis=1), 160 * currents[:200], rtol=1e-5)
    assert image.std(axis=2).max() < 1e-3


def test_afterglow_trails_along_the_line_and_keeps_the_signal() -> None:
    point = torch.zeros(1, 5, 64)
    point[0, 2, 20] = 1.0
    image = detected(point, counting_noise=False, dose=100 / 0.04, afterglow=0.4, afterglow_length=2.0)[0]
    left = np.exp(-1 / 2)
    expected = np.zeros(64)
    expected[20] = 60
    expected[21:] = 40 * (1 - left) * left ** np.arange(43)
    np.testing.assert_allclose(image[2], expected, atol=1e-3)
    np.testing.assert_allclose(image[[0, 1, 3, 4]], 0, atol=1e-4)


def test_afterglow_does_not_come_round() -> None:
    point = torch.zeros(1, 3, 40)
    point[0, 1, 39] = 1.0
    image = detected(point, counting_noise=False, dose=1000 / 0.04, afterglow=0.9, afterglow_length=30.0)[0]
    np.testing.assert_allclose(image[:, :39], 0, atol=0.01)


def test_bits_round_and_saturate() -> None:
    ramp = torch.linspace(0, 0.2, 500).repeat(1, 4, 1)
    image = detected(ramp, bits=8, dose=1e5, offset=-20.0)
    assert image.min() == 0
    assert image.max() == 255
    np.testing.assert_array_equal(image, np.round(image))
    assert (image == 255).mean() > 0.1


def test_stretching_fills_the_range_and_clips_what_is_asked() -> None:
    ramp = torch.linspace(0.01, 0.05, 1000).repeat(1, 10, 1)
    image = detected(ramp, bits=8, stretch=True, counting_noise=False)
    assert (image.min(), image.max()) == (0, 255)
    cut = detected(ramp, bits=16, stretch=True, counting_noise=False, clipped_dark=0.1, clipped_bright=0.02)
    assert (cut == 0).mean() == pytest.approx(0.1, abs=0.002)
    assert (cut == 65535).mean() == pytest.approx(0.02, abs=0.002)
    unit = detected(ramp, stretch=True, counting_noise=False)
    assert (unit.min(), unit.max()) == (0, 1)
    even = detected(FLAT, bits=8, stretch=True, counting_noise=False)
    assert np.isfinite(even).all()


@pytest.mark.parametrize(("bits", "clipped"), [(0, 0.0), (16, 0.0), (16, 0.05)])
def test_gain_and_offset_of_stretching_turn_grey_levels_back_into_electrons(bits: int, clipped: float) -> None:
    ramps = torch.stack([torch.linspace(0.01, 0.05, 1000), torch.linspace(0.3, 0.2, 1000)])[:, None].repeat(1, 10, 1)
    drawn = values(dose=1e5, gain=3.0, offset=70.0, clipped_dark=clipped, clipped_bright=clipped)
    found = detect(
        ramps.clone(),
        [drawn] * 2,
        pixel_sizes=[0.2, 0.2],
        currents=np.ones((2, 10)),
        seeds=[0, 1],
        counting_noise=False,
        stretch=True,
        bits=bits,
    )
    assert found.stretched is not None
    levels = found.images.double()
    gain, offset = found.stretched.double()[:, :, None, None].unbind(1)
    kept = (levels > 0) & (levels < levels.amax())
    assert kept.double().mean() == pytest.approx(1 - 2 * clipped, abs=0.01)
    rounding = 0.5 / float(gain.min()) if bits else 0.0
    torch.testing.assert_close(
        ((levels - offset) / gain)[kept], 4000 * ramps.double()[kept], rtol=1e-6, atol=1.01 * rounding
    )


def test_noise_of_an_image_depends_on_its_own_seed_only() -> None:
    both = detected(FLAT.repeat(2, 1, 1), seed=5, dose=2e4, readout_noise=1.0)
    np.testing.assert_array_equal(both[1], detected(FLAT, seed=6, dose=2e4, readout_noise=1.0)[0])
    assert (both[0] != both[1]).mean() > 0.8


def test_large_counts_keep_their_statistics() -> None:
    image = detected(FLAT, dose=1e9)
    assert image.mean() == pytest.approx(8e5, rel=1e-4)
    assert image.std() == pytest.approx(np.sqrt(8e5), rel=0.02)
