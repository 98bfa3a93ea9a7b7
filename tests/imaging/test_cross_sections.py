"""Partial cross sections against reference values, another integration, and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.special import j0

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.scattering import (
    interaction_parameter,
    kirkland_table,
    projected_potential,
    scattering_factor,
    wavelength,
)

NUMBERS = {"C": 6, "O": 8, "Ti": 22, "Se": 34, "Mo": 42, "W": 74, "Au": 79}

# measured from a build of Kirkland's incostem
INCOSTEM = {
    (80, 63, 200): (6.62618e-4, 1.19215e-3, 7.06043e-3, 0.0148655, 0.0194444, 0.0397081, 0.0418527),
    (200, 50, 200): (2.32768e-4, 4.06004e-4, 2.65329e-3, 5.89891e-3, 8.24396e-3, 0.0189689, 0.0204944),
    (300, 80, 200): (4.83125e-5, 8.29777e-5, 5.8752e-4, 1.29323e-3, 1.90117e-3, 4.78935e-3, 5.28415e-3),
}


@pytest.mark.parametrize("microscope", INCOSTEM)
def test_match_incostem(microscope: tuple[float, float, float]) -> None:
    found = partial_cross_sections(list(NUMBERS.values()), *microscope)
    np.testing.assert_allclose(found, INCOSTEM[microscope], rtol=1e-3)


@pytest.mark.parametrize(
    ("number", "microscope"), [(7, (60, 50, 180)), (16, (120, 30, 90)), (78, (200, 68, 280)), (92, (40, 40, 150))]
)
def test_match_another_quadrature(number: int, microscope: tuple[float, float, float]) -> None:
    beam_energy, inner, outer = microscope
    radius = np.geomspace(1e-6, 6, 20001)
    phase = interaction_parameter(beam_energy) * projected_potential(number, radius)
    angles = np.linspace(inner, outer, 61) * 1e-3
    wave = wavelength(beam_energy)
    intensity = [
        abs(np.trapezoid(radius * j0(2 * np.pi * angle / wave * radius) * (1 - np.exp(1j * phase)), radius)) ** 2
        for angle in angles
    ]
    expected = 2 * np.pi * (2 * np.pi / wave) ** 2 * simpson(angles * np.array(intensity), x=angles)
    assert partial_cross_sections([number], *microscope)[0] == pytest.approx(expected, rel=1e-3)


def test_heavy_atoms_scatter_less_than_born_light_ones_alike() -> None:
    angles = np.linspace(63e-3, 200e-3, 2001)
    relativistic = 1 + 80 / 510.99895
    for number, ratio in ((74, 0.60), (34, 0.86), (8, 0.99)):
        factor = relativistic * scattering_factor(number, angles / wavelength(80))
        born = 2 * np.pi * np.trapezoid(angles * factor**2, angles)
        assert partial_cross_sections([number], 80, 63, 200)[0] / born == pytest.approx(ratio, abs=0.01)


def test_potential_is_the_transform_of_the_scattering_factor() -> None:
    # v_z(r) = 2 pi e a0 times the two-dimensional inverse transform of f
    frequency = np.linspace(0, 40, 100001)
    for number in (6, 34, 74):
        for radius in (0.2, 0.7):
            integrand = 2 * np.pi * frequency * scattering_factor(number, frequency)
            value = np.trapezoid(integrand * j0(2 * np.pi * radius * frequency), frequency)
            expected = 2 * np.pi * 0.529177 * 14.39964 * value
            assert projected_potential(number, np.array([radius]))[0] == pytest.approx(expected, rel=0.02)


def test_wavelengths() -> None:
    for beam_energy, expected in ((60, 0.04866), (80, 0.041757), (200, 0.025079), (300, 0.019687)):
        assert wavelength(beam_energy) == pytest.approx(expected, rel=1e-3)


def test_table_has_all_elements_and_the_coulomb_limit() -> None:
    table = kirkland_table()
    numbers = np.arange(1, 104)
    assert (table[1:, 1] > 0).all()
    assert (table[1:, 3] > 0).all()
    # Mott: far out a scattering factor becomes Z / (2 pi^2 a0 k^2)
    nucleus = table[1:, 0].sum(axis=1) * 2 * np.pi**2 * 0.529177
    assert np.corrcoef(nucleus, numbers)[0, 1] > 0.99
    np.testing.assert_array_less(np.abs(nucleus / numbers - 1), 0.35)


def test_keep_the_shape_and_add_over_angles() -> None:
    numbers = np.array([[6, 74], [79, 8]])
    whole = partial_cross_sections(numbers, 100, 50, 200)
    parts = partial_cross_sections(numbers, 100, 50, 90) + partial_cross_sections(numbers, 100, 90, 200)
    assert whole.shape == numbers.shape
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    assert partial_cross_sections([], 100, 50, 200).shape == (0,)


def test_refuse_angles_out_of_order_and_unknown_elements() -> None:
    with pytest.raises(SettingsError, match="inner must be the smaller"):
        partial_cross_sections([6], 80, 90, 60)
    for number in (0, 104, -3):
        with pytest.raises(SettingsError, match="1 to 103"):
            partial_cross_sections([6, number], 80, 60, 90)
