"""Whole simulations: reference values, records, reproducibility, bad input."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from microscopes import atoms, fractions, microscope, random_atoms
from scipy.ndimage import maximum_filter

from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.imaging.computation import compute_images
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.preparation import prepare_image
from napari_stemlearn.imaging.settings import ImagingSettings, ProbeSettings, ScanSettings
from napari_stemlearn.imaging.simulate import PlainSpecimen, simulate, simulate_batch
from napari_stemlearn.sites import COLUMNS
from napari_stemlearn.structures import StructureSettings, build

# measured from a build of Kirkland's incostem: one W atom, 80 keV, 25.2 mrad, 63 to 200 mrad, 128 by 128 pixels
INCOSTEM = [
    ({"source_fwhm": 0.0}, 0.730324, 0.044906),
    ({"source_fwhm": 1.0}, 1.24723, 0.018520),
    ({"source_fwhm": 1.0, "C10": -50.0}, 1.75373, 0.012166),
    ({"source_fwhm": 1.0, "C30": 1e4}, 1.24948, 0.018491),
    ({"source_fwhm": 1.0, "focal_spread": 50.0}, 1.34644, 0.017277),
    ({"source_fwhm": 1.0, "C21": 1000.0}, 1.29155, 0.018198),
]


def width_of_half_the_intensity(image: np.ndarray, pixel_size: float) -> float:
    """Kirkland's FWHM-II: radius of half the intensity, doubled, from rings half a pixel wide."""
    y, x = np.indices(image.shape)
    radius = np.hypot(y - image.shape[0] // 2, x - image.shape[1] // 2)
    inside = np.cumsum(np.bincount((2 * radius + 0.5).astype(int).ravel(), image.ravel()))
    ring = np.searchsorted(inside, inside[-1] / 2)
    return (ring - 1 + (inside[-1] / 2 - inside[ring - 1]) / (inside[ring] - inside[ring - 1])) * pixel_size


@pytest.mark.parametrize(("probe", "width", "peak"), INCOSTEM, ids=lambda value: str(value))
def test_single_atom_matches_incostem(probe: dict[str, float], width: float, peak: float) -> None:
    settings = microscope((128, 128), 0.2074, probe={"convergence_semiangle": 25.2, **probe}, periodic=True)
    image = fractions(simulate_batch([atoms((64 * 0.2074, 64 * 0.2074))], settings, [0]).images[0].numpy(), settings)
    assert image.max() == pytest.approx(peak, rel=1e-3)
    assert image.sum() * 0.2074**2 == pytest.approx(0.039708, rel=1e-3)
    assert width_of_half_the_intensity(image, 0.2074) == pytest.approx(width, rel=1e-3)


def test_mean_is_the_cross_section_over_the_area() -> None:
    specimen = random_atoms(0, 3000, (51.2, 51.2))
    settings = microscope((256, 256), 0.2, probe={"source_fwhm": 1.0}, periodic=True)
    image = fractions(simulate_batch([specimen], settings, [0]).images[0].numpy(), settings)
    total = partial_cross_sections(specimen.numbers, 80.0, 63.0, 200.0).sum()
    assert image.mean() == pytest.approx(total / 51.2**2, rel=1e-4)


def test_the_margin_of_a_specimen_that_repeats_is_not_imaged_a_second_time() -> None:
    settings = microscope((100, 90), 0.2, periodic=True)
    structure = StructureSettings.checked({"field_of_view": (20.0, 18.0), "margin": 12.0})
    specimen = build(structure, 1)
    labelled = simulate(specimen, settings, 2)
    inside = ((specimen.column_positions >= 0) & (specimen.column_positions < (20.0, 18.0))).all(axis=1)
    assert len(labelled.columns) == inside.sum()
    atoms_inside = specimen.numbers[inside[specimen.atom_columns]]
    total = partial_cross_sections(atoms_inside, 80.0, 63.0, 200.0).sum()
    assert fractions(labelled.micrograph.data, settings).mean() == pytest.approx(total / (20.0 * 18.0), rel=1e-4)


@pytest.mark.parametrize("scan", [{}, {"drift_y": 9.0, "drift_x": -6.0, "shear": 0.05}], ids=["straight", "distorted"])
def test_truth_has_all_that_is_seen_where_a_specimen_repeats(scan: dict[str, float]) -> None:
    # the third one is seen half a pixel before the first pixel, the last one by its copy only
    places = (3.0, 4.0), (10.0, 17.9), (19.92, 9.0), (12.0, 8.0), (6.0, 12.0), (27.0, -4.0)
    settings = microscope((100, 90), 0.2, scan=scan, probe={"source_fwhm": 1.0}, periodic=True)
    labelled = simulate(atoms(*places), settings)
    image = np.asarray(labelled.micrograph.data)
    peaks = np.argwhere((image == maximum_filter(image, 7)) & (image > 0.3 * image.max()))
    sites = labelled.columns[["y", "x"]].to_numpy()
    assert len(peaks) >= len(places)
    far = np.hypot(*(peaks[:, None] - sites[None]).transpose(2, 0, 1))
    # flanks of what is seen just beyond the frame may be brightest at its edge
    of_edge = ((peaks == 0) | (peaks == np.array(image.shape) - 1)).any(axis=1)
    assert (far.min(axis=1)[~of_edge] < 1.2).all()
    assert (far.min(axis=0) < 1.2).all()


def test_a_note_says_where_the_model_ends() -> None:
    settings = microscope(probe={"convergence_semiangle": 25.0})
    column = np.column_stack([np.full((60, 2), 6.0), 3.0 * np.arange(60)])
    thin, thick = (simulate(PlainSpecimen(column[:n], np.full(n, 79)), settings) for n in (2, 60))
    assert thin.notes == {}
    assert "notes" not in thin.micrograph.provenance
    brightest = fractions(thick.micrograph.data, settings).max()
    assert brightest > 1
    assert f"gets {brightest:.0%} of the incident beam" in thick.notes["brightness"]
    assert thick.micrograph.provenance["notes"] == [thick.notes["brightness"]]
    # nothing of the physics is changed: still twice the atoms, twice the signal
    half = simulate(PlainSpecimen(column[:30], np.full(30, 79)), settings)
    assert brightest == pytest.approx(2 * fractions(half.micrograph.data, settings).max(), rel=1e-5)
    inside = simulate(atoms((6.0, 6.0)), settings.changed(adf={"inner_angle": 20.0}))
    assert list(inside.notes) == ["inner_angle"]
    assert "20 mrad lies within the convergence semiangle of 25 mrad" in inside.notes["inner_angle"]


def test_contrast_change_multiplies_cross_sections() -> None:
    for value in (-0.6, 0.4):
        for number in (34, 74):
            specimen = atoms((6.0, 6.0), number=number)
            plain = simulate_batch([specimen], microscope(), [0]).images[0]
            changed = simulate_batch([specimen], microscope(adf={"z_contrast_change": value}), [0]).images[0]
            torch.testing.assert_close(
                changed, plain * (number / 40) ** value, rtol=1e-4, atol=1e-4 * float(plain.max())
            )


def varied(shape: tuple[int, int] = (64, 72)) -> ImagingSettings:
    return ImagingSettings.preset("varied", shape=shape)


def test_same_seed_same_image_in_any_batch() -> None:
    settings = varied()
    specimens = [random_atoms(seed, 120, (12.8, 14.4)) for seed in range(4)]
    batch = simulate_batch(specimens, settings, [3, 1, 4, 1])
    for index, seed in enumerate([3, 1, 4, 1]):
        alone = simulate_batch([specimens[index]], settings, [seed])
        assert torch.equal(alone.images[0], batch.images[index])
        assert alone.drawn[0] == batch.drawn[index]
        np.testing.assert_array_equal(alone.column_sites[0].positions, batch.column_sites[index].positions)
    assert not torch.equal(batch.images[1], batch.images[3])
    other = simulate_batch([specimens[0]], settings, [5])
    assert not torch.equal(other.images[0], batch.images[0])


def test_global_random_numbers_are_neither_used_nor_changed() -> None:
    settings, specimen = varied(), random_atoms(0, 100, (12.8, 14.4))
    first = simulate_batch([specimen], settings, [1]).images
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    state = torch.get_rng_state()
    assert torch.equal(first, simulate_batch([specimen], settings, [1]).images)
    assert torch.equal(state, torch.get_rng_state())


def test_drawn_values_are_recorded_and_reproduce_the_image() -> None:
    settings = varied()
    specimen = random_atoms(0, 120, (12.8, 14.4))
    batch = simulate_batch([specimen], settings, [9])
    drawn = batch.drawn[0]
    assert set(drawn) == {"probe", "adf", "scan", "contamination", "detector"}
    assert 21 <= drawn["probe"]["convergence_semiangle"] <= 33
    assert 5e3 <= drawn["detector"]["dose"] <= 3e5
    fixed = settings.changed(**drawn)
    again = simulate_batch([specimen], fixed, [9])
    assert again.drawn[0] == drawn
    # the paths and noise come from streams that the drawing itself has moved on, so only noise-free parts are equal
    quiet = {"counting_noise": False, "readout_noise": 0.0, "flicker": 0.0}
    still = dict.fromkeys(("drift_change", "line_jitter_x", "line_jitter_y", "wobble", "hum"), 0.0)
    changes = {"detector": {**drawn["detector"], **quiet}, "scan": {**drawn["scan"], **still}}
    changes["contamination"] = {**drawn["contamination"], "thickness": 0.0, "background_variation": 0.0}
    one = simulate_batch([specimen], fixed.changed(**changes), [9]).images
    two = simulate_batch([specimen], fixed.changed(**changes), [10]).images
    assert torch.equal(one, two)


def test_distributions_are_drawn_for_each_image() -> None:
    settings = microscope(probe={"C10": "uniform(-50, 50)"}, adf={"inner_angle": "choice(50, 70)"})
    batch = simulate_batch([atoms((6, 6))] * 30, settings, range(30))
    assert len({drawn["probe"]["C10"] for drawn in batch.drawn}) == 30
    assert {drawn["adf"]["inner_angle"] for drawn in batch.drawn} == {50.0, 70.0}


def test_batch_unpacks_into_tables() -> None:
    specimen = atoms((3.0, 4.0), (6.0, 6.0), (-2.0, 3.0), number=34)
    images, columns, defects, drawn = simulate_batch([specimen] * 2, microscope(), [0, 1])
    assert images.shape == (2, 64, 64)
    assert images.dtype == torch.float32
    assert len(columns) == len(defects) == len(drawn) == 2
    table = columns[0]
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    np.testing.assert_allclose(table[["y", "x"]], [[15, 20], [30, 30]], atol=1e-9)
    np.testing.assert_allclose(table[["y_angstrom", "x_angstrom"]], [[3, 4], [6, 6]], atol=1e-9)
    assert table["class"].tolist() == ["Se", "Se"]
    assert (table["origin"] == "truth").all()
    assert len(defects[0]) == 0


def test_specimens_of_the_structures_are_accepted() -> None:
    from napari_stemlearn.structures.build import build
    from napari_stemlearn.structures.settings import StructureSettings

    specimen = build(StructureSettings(field_of_view=(25.6, 25.6)), 3)
    made = simulate(specimen, ImagingSettings(shape=(128, 128), pixel_size=0.2), seed=1)
    assert made.micrograph.shape == (128, 128)
    assert made.micrograph.pixel_size == 0.2
    inside = specimen.columns["y_angstrom"].between(-0.1, 25.5) & specimen.columns["x_angstrom"].between(-0.1, 25.5)
    assert len(made.columns) == int(inside.sum())
    assert set(made.columns["class"]) == set(specimen.columns.loc[inside, "class"])
    assert "sublattice" in made.columns
    bright = made.micrograph.data[
        made.columns["y"].round().astype(int).clip(0, 127), made.columns["x"].round().astype(int).clip(0, 127)
    ]
    assert bright.mean() > 1.5 * made.micrograph.data.mean()


def test_micrograph_has_provenance_and_the_bits_dtype() -> None:
    for bits, dtype in ((0, np.float32), (8, np.uint8), (12, np.uint16), (16, np.uint16)):
        made = simulate(atoms((6, 6)), microscope(detector={"bits": bits}), seed=7)
        assert made.micrograph.data.dtype == dtype
    provenance = made.micrograph.provenance
    assert provenance["synthetic"] is True
    assert provenance["seed"] == 7
    assert provenance["drawn"] == made.drawn
    assert ImagingSettings.checked(provenance["imaging"]) == microscope(detector={"bits": 16})


def test_gain_and_offset_in_effect_are_recorded() -> None:
    specimen = random_atoms(0, 120, (12.8, 12.8))
    section = {"counting_noise": False, "gain": 5.0, "offset": 3.0}
    given = simulate(specimen, microscope(detector=section))
    assert (given.drawn["detector"]["gain"], given.drawn["detector"]["offset"]) == (5.0, 3.0)
    made = simulate(specimen, microscope(detector={**section, "stretch": True, "bits": 16}))
    detector = made.micrograph.provenance["drawn"]["detector"]
    assert made.drawn["detector"] == detector
    electrons = (made.micrograph.data.astype(float) - detector["offset"]) / detector["gain"]
    np.testing.assert_allclose(electrons, (given.micrograph.data - 3.0) / 5.0, rtol=0, atol=0.51 / detector["gain"])


def test_pixel_sizes_may_differ_within_a_batch() -> None:
    specimen = atoms((5.0, 6.0))
    batch = simulate_batch([specimen] * 2, microscope(), [0, 1], pixel_sizes=[0.2, 0.25])
    assert torch.equal(batch.images[1], simulate_batch([specimen], microscope(pixel_size=0.25), [1]).images[0])
    np.testing.assert_allclose(batch.column_sites[1].positions, [[20, 24]])
    assert batch.pixel_sizes == [0.2, 0.25]
    np.testing.assert_allclose(batch.columns[1][["y_angstrom", "x_angstrom"]], [[5.0, 6.0]])


def test_empty_specimens_give_dark_images() -> None:
    empty = PlainSpecimen(np.zeros((0, 3)), np.zeros(0, dtype=int))
    batch = simulate_batch([empty], varied(), [0])
    assert torch.isfinite(batch.images).all()
    assert len(batch.columns[0]) == 0
    assert not simulate_batch([empty], microscope(), [0]).images.any()
    assert simulate_batch([], microscope(), []).images.shape == (0, 64, 64)


@pytest.mark.parametrize("preset", ImagingSettings.presets)
def test_presets_work(preset: str) -> None:
    settings = ImagingSettings.preset(preset, shape=(48, 40))
    batch = simulate_batch([random_atoms(0, 60, (10.0, 8.0))] * 3, settings, [0, 1, 2])
    assert torch.isfinite(batch.images).all()
    assert batch.images.flatten(1).std(dim=1).min() > 0


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="2 specimens and 1 seeds"):
        simulate_batch([atoms((1, 1))] * 2, microscope(), [0])
    with pytest.raises(SettingsError, match="1 pixel sizes for 2 images"):
        simulate_batch([atoms((1, 1))] * 2, microscope(), [0, 1], pixel_sizes=[0.2])
    with pytest.raises(SettingsError, match="negative"):
        simulate_batch([atoms((1, 1))], microscope(), [-1])
    with pytest.raises(StemlearnError, match=r"\(n, 3\)"):
        simulate_batch([PlainSpecimen(np.zeros((4, 2)), np.ones(4, dtype=int))], microscope(), [0])
    with pytest.raises(SettingsError, match="1 to 103"):
        simulate_batch([atoms((6, 6), number=118)], microscope(), [0])
    with pytest.raises(SettingsError, match="inner must be the smaller"):
        simulate_batch([atoms((6, 6))], microscope(adf={"inner_angle": 90.0, "outer_angle": 80.0}), [0])
    with pytest.raises(SettingsError, match="no chemical element"):
        ProbeSettings.checked({"rms_displacement_by_element": {"Xx": 0.1}})
    with pytest.raises(SettingsError, match="8 to 16384"):
        ImagingSettings.checked({"shape": (4, 64)})
    with pytest.raises(SettingsError, match="flyback_length"):
        ScanSettings.checked({"flyback_length": 0.0})
    with pytest.raises(SettingsError, match=r"no setting 'probe\.c10'"):
        ImagingSettings.checked({"probe": {"c10": 3}})


def test_settings_load_without_torch() -> None:
    names = "imaging, napari_stemlearn.imaging.settings, napari_stemlearn.imaging.preparation"
    code = f"import sys, napari_stemlearn.{names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_images_can_be_prepared_in_another_process() -> None:
    settings, specimen = varied(), random_atoms(0, 120, (12.8, 14.4))
    sent = pickle.loads(pickle.dumps(prepare_image(specimen, settings, 5)))
    assert torch.equal(compute_images([sent], settings), simulate_batch([specimen], settings, [5]).images)


def test_devices_are_named_as_everywhere() -> None:
    settings, specimen = varied(), random_atoms(0, 120, (12.8, 14.4))
    assert simulate(specimen, settings, 5, device="auto").micrograph.shape == settings.shape
    with pytest.raises(SettingsError, match="There is no device 'abacus'; allowed: auto, cpu"):
        simulate(specimen, settings, device="abacus")
    with pytest.raises(SettingsError, match="This computer has no device 'cuda:77'"):
        simulate_batch([specimen], settings, [0], "cuda:77")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_the_cpu() -> None:
    quiet = {"counting_noise": False, "readout_noise": 0.0}
    base = varied()
    settings = base.changed(detector={**base.detector.record(), **quiet})
    specimens = [random_atoms(seed, 120, (12.8, 14.4)) for seed in range(6)]
    cpu = simulate_batch(specimens, settings, range(6)).images
    gpu = simulate_batch(specimens, settings, range(6), "cuda").images.cpu()
    torch.testing.assert_close(gpu, cpu, rtol=0, atol=1e-3 * float(cpu.max()))
    noisy = simulate_batch(specimens, base, range(6), "cuda").images
    assert torch.isfinite(noisy).all()
    torch.testing.assert_close(noisy.cpu().mean(dim=(1, 2)), cpu.mean(dim=(1, 2)), rtol=0.02, atol=0.05)
