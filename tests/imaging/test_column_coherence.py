"""Two atoms of a column: against kinematic scattering where it holds, limits, and what an image shows of it."""

from __future__ import annotations

import numpy as np
import pytest
from microscopes import microscope

from napari_stemlearn.imaging import column_coherence
from napari_stemlearn.imaging.column_coherence import column_factors
from napari_stemlearn.imaging.scattering import scattering_factor, wavelength
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

CARBON, SE, W = 6, 34, 74
LOW = {"beam_energy": 80.0, "inner_angle": 40.0, "outer_angle": 200.0}


def factors(numbers, heights, columns=None, *, coherence=1.0, **changes):
    columns = np.zeros(len(numbers), dtype=int) if columns is None else np.array(columns)
    return column_factors(
        np.array(numbers), np.array(heights, dtype=float), columns, coherence=coherence, **{**LOW, **changes}
    )


@pytest.mark.parametrize(("inner", "outer"), [(20.0, 40.0), (30.0, 80.0), (40.0, 120.0)])
@pytest.mark.parametrize(("number", "apart"), [(CARBON, 3.5), (5, 2.0)])
def test_light_atoms_interfere_as_in_kinematic_scattering(monkeypatch, number, apart, inner, outer):
    """At 300 keV, with waves that differ in phase by pi t^2 dz / wavelength."""
    monkeypatch.setattr(column_coherence, "VIBRATION", 0.0)
    column_coherence._pair_beyond.cache_clear()
    angles = np.linspace(inner, outer, 2001) * 1e-3
    wave = wavelength(300.0)
    alone = angles * scattering_factor(number, angles / wave) ** 2
    expected = 1 + (alone * np.cos(np.pi * angles**2 * apart / wave)).sum() / alone.sum()
    found = factors([number, number], [0.0, apart], beam_energy=300.0, inner_angle=inner, outer_angle=outer)
    column_coherence._pair_beyond.cache_clear()
    assert found == pytest.approx([expected, expected], rel=0.04)


def test_limits():
    # side by side in phase: the square of the sum
    assert factors([CARBON, CARBON], [0, 0.5], inner_angle=10.0, outer_angle=30.0) == pytest.approx([2, 2], rel=0.05)
    assert np.array_equal(factors([SE, SE], [0, 3.35], coherence=0.0), [1.0, 1.0])
    half, whole = factors([SE, SE], [0, 3.35], coherence=0.5), factors([SE, SE], [0, 3.35])
    assert half - 1 == pytest.approx((whole - 1) / 2)
    by_angle = [factors([SE, SE], [0, 3.35], inner_angle=angle)[0] for angle in (25.0, 40.0, 55.0, 70.0)]
    assert by_angle == sorted(by_angle, reverse=True)
    # which one is above counts, which one stands first in the table does not
    assert factors([SE, W], [0, 3.35]) == pytest.approx(factors([W, SE], [3.35, 0]))
    assert factors([SE, W], [0, 3.35]) != pytest.approx(factors([W, SE], [0, 3.35]), rel=1e-3)


def test_only_columns_of_two():
    assert np.array_equal(factors([SE, SE, W], [0, 3.35, 1.7], [0, 1, 2]), np.ones(3))
    mixed = factors([SE, W, SE], [0, 1.7, 3.35], [4, 0, 4])
    assert mixed[1] == 1
    assert mixed[0] == mixed[2] > 1.2
    assert np.array_equal(factors([SE] * 3, np.arange(3) * 3.0), np.ones(3))
    assert len(factors([], [])) == 0


def test_a_vacancy_is_darker_at_low_angles():
    """Of a Se2 column, less than half is left without one of its atoms; columns of single atoms stay as they are."""
    defects = [{"kind": "vacancy1", "probability": 0.2}]
    settings = StructureSettings.checked(
        {"crystal": "WSe2", "field_of_view": (26, 26), "margin": 8, "displacement": 0.0, "defects": defects}
    )
    specimen = build(settings, 0)
    image = {}
    for coherence in (0.0, 1.0):
        imaging = microscope(
            (130, 130),
            0.2,
            probe={"beam_energy": 80, "convergence_semiangle": 30, "source_fwhm": 0.3},
            adf={"inner_angle": 40, "outer_angle": 200, "column_coherence": coherence},
            detector={"counting_noise": False},
        )
        image[coherence] = simulate(specimen, imaging, seed=1).micrograph.data
    table = specimen.columns
    inside = table[table.y_angstrom.between(3, 23) & table.x_angstrom.between(3, 23)]

    def brightness(which, coherence):
        y, x = (np.rint(which[name] / 0.2).astype(int) for name in ("y_angstrom", "x_angstrom"))
        return float(np.median(image[coherence][y, x]))

    kinds = {name: inside[inside["class"] == name] for name in ("W", "Se2", "Se")}
    gain = {name: brightness(which, 1.0) / brightness(which, 0.0) for name, which in kinds.items()}
    assert gain["Se2"] == pytest.approx(1.41, abs=0.06)
    assert gain["Se"] == pytest.approx(1.0, abs=0.04)
    assert gain["W"] == pytest.approx(1.0, abs=0.04)
