"""Simulations get the lattices and the mean cells of an experiment: what was set is found again in its images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from experiments import PIXEL_SIZE, experiment_of

from napari_stemlearn.distributions import Distribution
from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning import matched_settings as module
from napari_stemlearn.learning.cell_fit import fit_cell
from napari_stemlearn.learning.cell_model import CellModel, contents_of
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.matched_settings import matched_settings
from napari_stemlearn.learning.mean_cell import mean_cell, reflections
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

KNOWN = {"beam_energy": 80.0, "convergence_semiangle": 25.0}
BLURRED = {"source_fwhm": 0.9, "C12": 25.0, "phi12": 50.0, "C21": 400.0, "phi21": 100.0, "C30": 3000.0}
TO_TRANSLATE = ImagingSettings.preset("to_translate")
PROBE_OF_NUMBERS = {**dict.fromkeys(("C10", "C12", "C21", "C23", "phi12", "phi21", "phi23"), 0.0), **KNOWN, **BLURRED}


def frame(*, structure=None, probe=None, contrast=0.0, dose: float | None = 3e4, seed=0, scan=None):
    """A frame of 256 pixels."""
    given = {"crystal": "WSe2", "field_of_view": (57, 57), "margin": 10, "defects": [], **(structure or {})}
    imaging = {
        "shape": (256, 256),
        "pixel_size": PIXEL_SIZE,
        "probe": {**KNOWN, **(BLURRED if probe is None else probe)},
        "adf": {"z_contrast_change": contrast},
        "scan": scan or {},
        "detector": {"dose": dose or 1e5, "counting_noise": dose is not None},
    }
    specimen = build(StructureSettings.checked(given), seed)
    return specimen, simulate(specimen, ImagingSettings.checked(imaging), seed=seed).micrograph.data


def wse2(**changes):
    return MixtureSettings(structure=StructureSettings.checked({"crystal": "WSe2", **changes}))


def cell_of(specimen, image):
    basis = np.linalg.inv(specimen.lattice_vectors[:, ::-1]).T
    indices = reflections(basis, 0.95)
    cell = mean_cell(image, PIXEL_SIZE, basis, indices)
    assert cell is not None
    return cell, basis, indices


# --- the mean cell ----------------------------------------------------------------------------------------------------


def test_the_mean_cell_does_not_depend_on_noise_or_place():
    cells = [
        cell_of(*frame(structure={"rotation": 20.0}, seed=seed, dose=dose))[0] for seed, dose in ((0, None), (3, 2e4))
    ]
    strongest = np.abs(cells[0].coefficients).max()
    off = np.abs(cells[0].coefficients - cells[0].placed(cells[1].coefficients))
    assert (off < 0.03 * strongest).all()
    assert (cells[1].errors < 0.02 * strongest).all()


def test_the_model_of_the_cell_is_the_simulator():
    """Cells of known settings, with all kinds of aberrations, are those that are measured in simulated images."""
    probe = {**BLURRED, "C10": -20.0, "C23": 300.0, "phi23": 20.0, "C34": 4000.0, "phi34": 30.0, "focal_spread": 40.0}
    for structure in ({"rotation": 20.0}, {"crystal": "SrTiO3", "thickness": 12.0, "rotation": 7.0}):
        specimen, image = frame(structure={"displacement": 0.0, **structure}, probe=probe, contrast=-0.6, dose=None)
        cell, basis, indices = cell_of(specimen, image)
        imaging = ImagingSettings.checked(
            {"probe": {**KNOWN, **probe}, "adf": {"z_contrast_change": "normal(-0.6, 0.001)"}}
        )
        fit = fit_cell(cell, CellModel(imaging, contents_of(specimen, basis, indices, imaging), indices @ basis), False)
        assert fit.misfit < 0.01


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "contrast"), [(20.0, -0.1), (75.0, -0.8), (200.0, -0.2)])
def test_contrast_blur_and_aberrations_are_found_again(rotation, contrast):
    _, image = frame(structure={"rotation": rotation}, contrast=contrast, scan={"scale_y": 1.03})
    believed = TO_TRANSLATE.changed(adf={"z_contrast_change": f"normal({contrast + 0.1}, 0.1)"})
    matched = matched_settings([wse2()], believed, experiment_of(image))
    aligned, probe = matched.structures[0].structure, matched.imaging.probe
    assert matched.imaging.adf.z_contrast_change == pytest.approx(contrast, abs=0.1)
    # atoms tell what spots do not: it is the same again after 120 degrees, not after 60
    assert (aligned.rotation - rotation + 60) % 120 - 60 == pytest.approx(0, abs=1)
    assert probe.source_fwhm == pytest.approx(0.9, abs=0.15)
    assert pytest.approx(25, abs=8) == probe.C12
    assert (probe.phi12 - 50 + 90) % 180 - 90 == pytest.approx(0, abs=12)
    assert "fitted to the mean unit cell" in matched.remarks[1]


def test_where_light_and_heavy_may_change_places_both_orientations_are_simulated():
    """With contrasts from 0.6 to 1.8 times that of tungsten, selenium may be either."""
    image = frame(structure={"rotation": 20.0}, contrast=-0.2)[1]
    open_ = TO_TRANSLATE.changed(adf={"z_contrast_change": "uniform(-1.2, 0.4)"})
    matched = matched_settings([wse2()], open_, experiment_of(image))
    rotation = matched.structures[0].structure.rotation
    assert isinstance(rotation, Distribution)
    assert sorted(round(value) % 120 for value in rotation.values) == [20, 80]
    assert matched.imaging.adf == open_.adf
    assert matched.structures[0].structure.tilt == 0
    assert matched.imaging.probe.source_fwhm == pytest.approx(0.9, abs=0.2)
    assert "does not tell which columns are the heavy ones" in matched.remarks[1]


def test_the_bright_columns_tell_how_a_crystal_lies():
    """Whichever sort is the brighter one, and with a probe whose threefold astigmatism looks like two sorts itself."""
    threefold = {**BLURRED, "C23": 900.0, "phi23": 35.0}
    for rotation, contrast, believed in ((50.0, -0.9, "uniform(-1.2, -0.4)"), (110.0, 0.0, "normal(-0.1, 0.1)")):
        image = frame(structure={"rotation": rotation}, contrast=contrast, probe=threefold)[1]
        imaging = TO_TRANSLATE.changed(adf={"z_contrast_change": believed})
        found = matched_settings([wse2()], imaging, experiment_of(image)).structures[0].structure.rotation
        assert (found - rotation + 60) % 120 - 60 == pytest.approx(0, abs=1)


def test_a_crystal_that_half_a_turn_leaves_the_same_has_one_orientation():
    image = frame(structure={"crystal": "graphene", "rotation": 20.0}, probe={"beam_energy": 80.0}, dose=1e6)[1]
    graphene = MixtureSettings(structure=StructureSettings.checked({"crystal": "graphene"}))
    matched = matched_settings([graphene], TO_TRANSLATE, experiment_of(image))
    assert matched.structures[0].structure.rotation % 60 == pytest.approx(20, abs=1)
    assert "Contrast" in matched.remarks[1]
    assert "fitted to the mean unit cell" in matched.remarks[1]


def test_numbers_stay_and_frames_give_choices():
    images = [
        frame(structure={"rotation": angle}, contrast=-0.3, seed=number)[1] for number, angle in enumerate((5, 40))
    ]
    known = TO_TRANSLATE.changed(adf={"z_contrast_change": -0.3}, probe=PROBE_OF_NUMBERS)
    matched = matched_settings([wse2(lattice_scale=0.98)], known, experiment_of(*images))
    assert matched.imaging.adf == known.adf
    assert matched.imaging.probe == known.probe
    rotation = matched.structures[0].structure.rotation
    assert isinstance(rotation, Distribution)
    assert sorted(round(value) % 60 for value in rotation.values) == [5, 40]
    assert matched.structures[0].structure.lattice_scale == pytest.approx(1.0, abs=0.01)
    assert matched.structures[0].structure.lattice_anisotropy == 0


def test_lattices_alone():
    images = [
        frame(structure={"rotation": angle, "lattice_scale": 0.96}, scan={"scale_y": 1.02})[1] for angle in (10, 31)
    ]
    structure = wse2(lattice_scale=0.98, lattice_anisotropy="uniform(0, 0.1)")
    matched = matched_settings([structure], TO_TRANSLATE, experiment_of(*images), cells=False)
    aligned = matched.structures[0].structure
    assert aligned.lattice_scale == pytest.approx(0.96, abs=0.004)
    assert aligned.lattice_anisotropy == 0
    assert isinstance(aligned.rotation, Distribution)
    assert sorted(round(value % 60) for value in aligned.rotation.values) == [10, 10, 31, 31]
    assert matched.imaging.scan.scale_y.values[0] == pytest.approx(1.02, abs=0.005)
    assert matched.imaging.probe == TO_TRANSLATE.probe
    assert matched.imaging.scan.line_jitter_x == TO_TRANSLATE.scan.line_jitter_x
    assert len(matched.remarks) == 1
    assert "as in the experiment" in matched.remarks[0]


def test_what_explains_nothing_is_not_believed(monkeypatch):
    monkeypatch.setattr(module, "_believed", lambda _fit: False)
    matched = matched_settings([wse2()], TO_TRANSLATE, experiment_of(frame(structure={"rotation": 10.0})[1]))
    assert matched.imaging.probe == TO_TRANSLATE.probe
    assert matched.imaging.adf == TO_TRANSLATE.adf
    # which columns are the bright ones is seen all the same
    assert matched.structures[0].structure.rotation % 120 == pytest.approx(10, abs=1)
    assert "no setting explains the mean unit cell" in matched.remarks[1]


def test_a_mixture_or_frames_without_spots_stay_as_they_are():
    noise = np.random.default_rng(0).normal(size=(256, 256))
    matched = matched_settings([wse2()], TO_TRANSLATE, experiment_of(noise))
    assert (matched.structures, matched.imaging) == ((wse2(),), TO_TRANSLATE)
    assert "do not tell" in matched.remarks[0]
    both = [wse2(), MixtureSettings(structure=StructureSettings(crystal="graphene"))]
    matched = matched_settings(both, TO_TRANSLATE, experiment_of(frame()[1]))
    assert (list(matched.structures), matched.imaging) == (both, TO_TRANSLATE)
    assert "more than one crystal" in matched.remarks[0]


def test_a_resumed_training_takes_what_was_matched_when_it_began(tmp_path):
    day = write_tiff(tmp_path / "day.tif", Micrograph(frame(structure={"rotation": 20.0})[1], PIXEL_SIZE, "day"))
    settings = CycleGANSettings.preset("tiny", experiment=[str(day)]).changed(
        **{"survival.recall": 0.0, "survival.displacement": 10.0}
    )
    asked = iter([False] * 3)
    list(train_cyclegan(settings, tmp_path / "run", should_stop=lambda: next(asked, True)))
    kept = tmp_path / "run" / "checkpoints" / "matched.json"
    record = json.loads(kept.read_text())
    rotations = [record[which]["structures"][0]["structure"]["rotation"] for which in ("given", "matched")]
    assert rotations[0] != rotations[1]
    *_, done = train_cyclegan(settings, tmp_path / "run", resume=True)
    card = json.loads((Path(done.result["generator"]) / "generator.json").read_text())
    assert {name: card["settings"][name] for name in record["matched"]} == record["matched"]
    # the file, not another fit, tells it
    record["matched"]["structures"][0]["structure"]["rotation"] = 12.5
    kept.write_text(json.dumps(record))
    with pytest.raises(StemlearnError, match=r"was .* and is .*12\.5"):
        list(train_cyclegan(settings, tmp_path / "run", resume=True))
