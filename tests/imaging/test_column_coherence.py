"""Two and three atoms of a column: against kinematic scattering where it holds, limits, what an image shows of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from microscopes import microscope

from napari_stemlearn.imaging import column_coherence
from napari_stemlearn.imaging.column_coherence import column_factors
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.scattering import scattering_factor, wavelength
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

CARBON, OXYGEN, SE, W = 6, 8, 34, 74
LOW = {"beam_energy": 80.0, "inner_angle": 40.0, "outer_angle": 200.0}


def factors(numbers, heights, columns=None, *, coherence=1.0, **changes):
    columns = np.zeros(len(numbers), dtype=int) if columns is None else np.array(columns)
    return column_factors(
        np.array(numbers), np.array(heights, dtype=float), columns, coherence=coherence, **{**LOW, **changes}
    )


@pytest.fixture
def still(monkeypatch):
    """Atoms that do not vibrate."""
    monkeypatch.setattr(column_coherence, "VIBRATION", 0.0)
    column_coherence._chain_beyond.cache_clear()
    yield
    column_coherence._chain_beyond.cache_clear()


def kinematic(number, heights, inner, outer):
    """Intensity of light atoms at 300 keV over that of each alone: waves differ by pi t^2 dz / wavelength in phase."""
    angles = np.linspace(inner, outer, 2001) * 1e-3
    wave = wavelength(300.0)
    alone = angles * scattering_factor(number, angles / wave) ** 2
    waves = np.exp(1j * np.pi * np.outer(heights, angles**2) / wave).sum(axis=0)
    return (alone * np.abs(waves) ** 2).sum() / alone.sum() / len(heights)


@pytest.mark.parametrize(("inner", "outer"), [(20.0, 40.0), (30.0, 80.0), (40.0, 120.0)])
@pytest.mark.parametrize(
    ("number", "heights"), [(CARBON, [0.0, 3.5]), (5, [0.0, 2.0]), (1, [0.0, 1.5, 5.0]), (2, [0.0, 2.0, 4.0])]
)
def test_light_atoms_interfere_as_in_kinematic_scattering(still, number, heights, inner, outer):
    found = factors([number] * len(heights), heights, beam_energy=300.0, inner_angle=inner, outer_angle=outer)
    assert found == pytest.approx([kinematic(number, heights, inner, outer)] * len(heights), rel=0.04)


def test_any_two_of_three_atoms_vibrate_as_two_do():
    apart = np.sqrt(-4 * np.log(1 - column_coherence._QUANTILES))
    ends = np.abs(apart + apart[column_coherence._ORDER_BELOW] * column_coherence._SIDE_BELOW)
    assert np.sort(ends) == pytest.approx(apart, abs=0.3)
    assert np.mean(ends**2) == pytest.approx(np.mean(apart**2), rel=0.01)


@pytest.mark.parametrize("inner", [30.0, 45.0, 63.0, 85.0])
@pytest.mark.parametrize(("column", "heights"), [([SE, SE], [0, 3.34]), ([W], [1.67])], ids=lambda value: str(value))
def test_an_adatom_never_darkens_its_column(column, heights, inner):
    def brightness(numbers, heights, energy):
        angles = {"beam_energy": energy, "inner_angle": inner}
        sections = partial_cross_sections(np.array(numbers), energy, inner, LOW["outer_angle"])
        return (sections * factors(numbers, heights, **angles)).sum()

    for energy in (80.0, 200.0):
        without = brightness(column, heights, energy)
        for number in (CARBON, OXYGEN, SE):
            with_it = brightness([number, *column], [heights[0] - 2.0, *heights], energy)
            # at least what it adds alone, for they are in phase or one is a lens for the others
            alone = brightness([number], [0.0], energy)
            assert with_it > without + alone


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


def test_columns_of_two_and_three_alone():
    assert np.array_equal(factors([SE, SE, W], [0, 3.35, 1.7], [0, 1, 2]), np.ones(3))
    mixed = factors([SE, W, SE], [0, 1.7, 3.35], [4, 0, 4])
    assert mixed[1] == 1
    assert mixed[0] == mixed[2] > 1.2
    assert np.array_equal(factors([SE] * 4, np.arange(4) * 3.0), np.ones(4))
    assert len(factors([], [])) == 0


def test_columns_of_many_kinds_do_not_mix():
    contents = [([SE, SE], [0, 3.35]), ([CARBON, SE, SE], [-2, 0, 3.35]), ([W], [1.7]), ([CARBON, W], [-0.3, 1.7])]
    contents += [([SE, CARBON, SE], [-2, 0, 3.35]), ([CARBON, SE, SE], [-2, 0, 3.85]), ([SE] * 4, [0, 3, 6, 9])]
    of = [0, 3, 1, 4, 2, 5, 1, 6, 0, 3, 4]
    numbers = np.concatenate([contents[kind][0] for kind in of])
    heights = np.concatenate([contents[kind][1] for kind in of])
    columns = np.repeat(np.arange(len(of)), [len(contents[kind][0]) for kind in of])
    expected = np.concatenate([factors(*contents[kind]) for kind in of])
    assert len(set(expected)) == 6
    mixed = np.random.default_rng(0).permutation(len(numbers))
    assert np.array_equal(factors(numbers[mixed], heights[mixed], columns[mixed]), expected[mixed])


def test_factors_of_pairs_stay_what_they_are():
    """Values from before columns of three were computed, to the last digit but for another machine's rounding."""
    found = [factors([SE, SE], [0, 3.34])[0], factors([CARBON, W], [0, 2.0])[0], factors([W, SE], [0, 3.34])[0]]
    assert found == pytest.approx([1.4135913571365981, 1.1377766042923618, 1.364415895884675], rel=1e-9)


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


def test_an_adatom_on_selenium_is_seen_as_brighter_selenium():
    defects = [{"kind": "adatom", "sublattice": "chalcogen", "elements": "C", "probability": 0.3}]
    settings = StructureSettings.checked(
        {"crystal": "WSe2", "field_of_view": (26, 26), "margin": 8, "displacement": 0.0, "defects": defects}
    )
    specimen = build(settings, 0)
    imaging = microscope(
        (130, 130),
        0.2,
        probe={"beam_energy": 80, "convergence_semiangle": 30, "source_fwhm": 0.3},
        adf={"inner_angle": 45, "outer_angle": 200, "column_coherence": 1.0},
        detector={"counting_noise": False},
    )
    image = simulate(specimen, imaging, seed=1).micrograph.data
    table = specimen.columns
    inside = table[table.y_angstrom.between(3, 23) & table.x_angstrom.between(3, 23)]
    y, x = (np.rint(inside[name] / 0.2).astype(int) for name in ("y_angstrom", "x_angstrom"))
    of_class = pd.Series(image[y, x], inside["class"].to_numpy()).groupby(level=0)
    counts = of_class.size()
    assert set(counts.index) == {"W", "Se2", "CSe2"}
    assert counts.min() > 5
    seen = of_class.median()
    assert seen["CSe2"] / seen["Se2"] == pytest.approx(1.156, abs=0.05)
