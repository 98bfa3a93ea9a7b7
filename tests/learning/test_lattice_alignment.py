"""Simulated lattices lie as the experiment's: rotation, scale, step of the lines and shear are found again."""

from __future__ import annotations

import numpy as np
import pytest
from experiments import PIXEL_SIZE, experiment_of

from napari_stemlearn.finding.bragg_spots import Spots, bragg_spots
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning.lattice_alignment import align_lattice, alignments
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings


def frame(crystal="WSe2", *, rotation=0.0, scale=1.0, scale_y=1.0, shear=0.0, seed=0):
    structure = StructureSettings.checked(
        {
            "crystal": crystal,
            "field_of_view": (56, 56),
            "margin": 10,
            "rotation": rotation,
            "lattice_scale": scale,
            "thickness": 20,
        }
    )
    imaging = ImagingSettings.checked(
        {
            "shape": (256, 256),
            "pixel_size": PIXEL_SIZE,
            "scan": {"scale_y": scale_y, "shear": shear},
            "detector": {"dose": 3e4},
        }
    )
    return simulate(build(structure, seed), imaging, seed=seed).micrograph.data


@pytest.mark.parametrize(
    ("crystal", "symmetry", "rotation", "scale", "scale_y", "shear"),
    [
        ("WSe2", 60, 7.0, 1.0, 1.0, 0.0),
        ("WSe2", 60, 33.0, 0.97, 1.03, 0.02),
        ("WSe2", 60, 50.0, 1.03, 0.94, -0.04),
        ("SrTiO3", 90, 20.0, 1.02, 1.02, 0.05),
    ],
)
def test_what_specimen_and_scan_did_is_found_again(crystal, symmetry, rotation, scale, scale_y, shear):
    image = frame(crystal, rotation=rotation, scale=scale, scale_y=scale_y, shear=shear)
    mixture = MixtureSettings(structure=StructureSettings(crystal=crystal, thickness=20.0))
    ((seen, found),) = alignments(experiment_of(image), mixture)
    assert np.array_equal(seen, image)
    turned = (found.rotation - rotation + symmetry / 2) % symmetry - symmetry / 2
    assert turned == pytest.approx(0, abs=0.3)
    assert found.lattice_scale == pytest.approx(scale, abs=0.004)
    assert found.scale_y == pytest.approx(scale_y, abs=0.005)
    assert found.shear == pytest.approx(shear, abs=0.006)


def test_spots_of_another_crystal_are_no_match():
    crystal = bragg_spots(frame(), PIXEL_SIZE)
    rng = np.random.default_rng(1)
    other = Spots(rng.uniform(0.13, 0.2, 5), rng.uniform(0, np.pi, 5), np.ones(5))
    assert align_lattice(other, crystal) is None
