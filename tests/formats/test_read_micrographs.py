"""Originals of the microscopes' own programs against the arrays that were taken out of them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

from data_folder import data_folder
from napari_stemlearn.errors import FormatError, MicrographError, StemlearnError
from napari_stemlearn.formats import read_micrograph, read_micrographs, read_provenance, read_stack, write_tiff
from napari_stemlearn.micrograph import Micrograph

ORIGINALS = [
    # original, array beside it, pixel size in angstrom, facts of the exposure
    (
        "wse2-ti-doped-labelled/ti2_adf1_original.dm4",
        "wse2-ti-doped-labelled/ti2_adf1.tif",
        0.39879352,
        {"beam_energy_kev": 80.0, "dwell_time_us": 38.0, "detector": "ADF1", "magnification": 1e7},
    ),
    (
        "mos2-se-implanted/mos2_se_original.dm3",
        "mos2-se-implanted/mos2_se.tif",
        0.126953125,
        {"beam_energy_kev": 60.0, "dwell_time_us": pytest.approx(32.4), "detector": "HAADF", "date": "2016-07-03"},
    ),
    (
        "srtio3-haadf/sto_001_original_1.ser",
        "srtio3-haadf/sto_001.tif",
        0.1001270424,
        {},
    ),
    (
        "srtio3-haadf/sto_001_original.emi",
        "srtio3-haadf/sto_001.tif",
        0.1001270424,
        {"beam_energy_kev": 80.0, "dwell_time_us": 29.0, "mode": "STEM", "microscope": "TitanCubed D3147 S-Twin"},
    ),
    (
        "srtio3-haadf/sto_team05_original_berkeley.emd",
        "srtio3-haadf/sto_team05.tif",
        0.12246524915,
        {"beam_energy_kev": 200.0, "convergence_semiangle_mrad": pytest.approx(24.979, abs=1e-3), "dwell_time_us": 1.0},
    ),
    (
        "perovskite-abf-series/abf_movie_5frames_original.hspy",
        "perovskite-abf-series/abf_movie_5frames.tif",
        0.09202398360,
        {},
    ),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("original", "beside", "pixel_size", "facts"), ORIGINALS, ids=lambda value: str(value)[-28:])
def test_original_equals_the_array_beside_it(original, beside, pixel_size, facts, lazy):
    micrograph = read_micrograph(data_folder(original), lazy=lazy)
    expected = tifffile.imread(data_folder(beside))
    assert micrograph.data.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(micrograph.data), expected)
    assert micrograph.pixel_size == pytest.approx(pixel_size, rel=1e-7)
    assert micrograph.provenance["pixel_size_from"] == "file"
    acquisition = micrograph.provenance["acquisition"]
    assert {name: acquisition.get(name) for name in facts} == facts
    json.dumps(micrograph.provenance)


def test_velox_image_holds_the_crop_beside_it():
    micrograph = read_micrograph(data_folder("au-nanoparticle-columns", "au_np_original_velox.emd"))
    crop = tifffile.imread(data_folder("au-nanoparticle-columns", "au_np_crop.tif"))
    assert micrograph.shape == (2048, 2048)
    np.testing.assert_array_equal(micrograph.data[634 : 634 + 479, 1260 : 1260 + 504], crop)
    assert micrograph.pixel_size == pytest.approx(0.0749840149)
    facts = micrograph.provenance["acquisition"]
    assert facts["detector"] == "HAADF"
    assert facts["collection_angles_mrad"] == pytest.approx([41.2275, 247.516])
    assert facts["convergence_semiangle_mrad"] == pytest.approx(17.9034, abs=1e-3)
    assert (facts["dwell_time_us"], facts["beam_energy_kev"]) == (2.5, 300.0)


READER_TESTS = [
    # file, shape, type, pixel size, (mean, one value) from an independent look at the bytes
    ("64x64x5_TEM_preview.emi", (5, 64, 64), "float32", 62.81833616),
    ("64x64x5_TEM_preview_1.ser", (5, 64, 64), "float32", 62.81833616),
    ("HAADFscan.mrc", (16, 16), "uint16", 56.79131317),
    ("fei_example_tem_stack.emd", (2, 3, 3), "int16", 0.08172883),
    ("nanoparticle_haadf.dm3", (512, 512), "uint32", 0.15616237),
    ("test_STEM_image.dm3", (68, 68), "uint32", 2.48538017),
]


@pytest.mark.parametrize(("name", "shape", "dtype", "pixel_size"), READER_TESTS)
def test_reader_files(name, shape, dtype, pixel_size):
    micrograph = read_micrograph(data_folder("reader-tests", name))
    assert micrograph.data.shape == shape
    assert micrograph.data.dtype == dtype
    assert micrograph.pixel_size == pytest.approx(pixel_size, rel=1e-6)
    assert micrograph.name == name.rpartition(".")[0]
    assert np.ptp(micrograph.frame(0).astype(float)) > 0


def test_mrc_equals_mrcfile():
    path = data_folder("reader-tests", "HAADFscan.mrc")
    with mrcfile.open(path, permissive=True) as file:
        np.testing.assert_array_equal(read_micrograph(path).data, np.squeeze(file.data))
        assert read_micrograph(path).pixel_size == pytest.approx(float(file.voxel_size.x))


def test_velox_frames_equal_the_file_and_come_first():
    path = data_folder("reader-tests", "fei_example_tem_stack.emd")
    with h5py.File(path) as file:
        stored = next(iter(file["Data/Image"].values()))["Data"][:]
    np.testing.assert_array_equal(read_micrograph(path).data, np.moveaxis(stored, -1, 0))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("EELS_SI.dm4", "spectrum image (2048 by 2 by 2)"),
        ("test1.blo", "4D-STEM data set (3 by 2 by 144 by 144)"),
        ("Merlin_navigation4x2_ROI.zip", "ending '.zip'"),
    ],
)
def test_what_is_no_micrograph_is_refused_by_name(name, words):
    with pytest.raises(FormatError) as caught:
        read_micrograph(data_folder("reader-tests", name))
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_merlin_patterns_are_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(data_folder("reader-tests", "Merlin_navigation4x2_ROI.zip")) as archive:
        archive.extractall(tmp_path)
    path = next(tmp_path.rglob("*.mib"))
    with pytest.raises(FormatError, match="diffraction patterns"):
        read_micrograph(path)


# --- damaged files ----------------------------------------------------------------------------------------------------

DAMAGED = [
    "wse2-ti-doped-labelled/ti2_adf1_original.dm4",
    "mos2-se-implanted/mos2_se_original.dm3",
    "srtio3-haadf/sto_001_original_1.ser",
    "reader-tests/HAADFscan.mrc",
    "reader-tests/fei_example_tem_stack.emd",
    "perovskite-abf-series/abf_movie_5frames_original.hspy",
    "mos2-haadf/mos2_a.tif",
]


@pytest.mark.parametrize("original", DAMAGED)
def test_truncated_file_is_one_sentence(original, tmp_path):
    raw = data_folder(original).read_bytes()
    path = tmp_path / f"cut.{original.rpartition('.')[2]}"
    for kept in (0.01, 0.3, 0.6):
        path.write_bytes(raw[: int(len(raw) * kept)])
        with pytest.raises(FormatError) as caught:
            read_micrograph(path)
        _is_one_sentence(caught.value, path.name)


def test_truncated_dm4_by_a_few_bytes(tmp_path):
    raw = data_folder("wse2-ti-doped-labelled", "ti2_adf1_original.dm4").read_bytes()
    path = tmp_path / "cut.dm4"
    path.write_bytes(raw[:-200])
    with pytest.raises(FormatError, match="truncated"):
        read_micrograph(path)


@pytest.mark.parametrize("ending", ["dm3", "dm4", "emd", "ser", "mrc", "hspy", "tif", "tiff", "blo"])
def test_noise_empty_and_missing_files(ending, tmp_path):
    path = tmp_path / f"image.{ending}"
    with pytest.raises(FormatError, match="does not exist"):
        read_micrograph(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError, match=r"empty \(0 bytes\)"):
        read_micrograph(path)
    path.write_bytes(np.random.default_rng(1).bytes(4000))
    with pytest.raises(FormatError) as caught:
        read_micrograph(path)
    _is_one_sentence(caught.value, path.name)


@pytest.mark.parametrize("read", [read_micrograph, read_provenance])
def test_a_name_longer_than_any_disk_allows(read, tmp_path):
    with pytest.raises(FormatError, match=r"The file .* does not exist"):
        read(tmp_path / ("n" * 300 + ".tif"))


def test_folder_and_unknown_ending(tmp_path):
    (tmp_path / "run.tif").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        read_micrograph(tmp_path / "run.tif")
    (tmp_path / "image.png").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"ending '\.png'.*dm3, dm4"):
        read_micrograph(tmp_path / "image.png")


def _is_one_sentence(error, name):
    text = str(error)
    assert name in text
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text


# --- files made for the purpose ---------------------------------------------------------------------------------------


def _axis(name, size, scale=1.0, units="nm", navigate=False, index=0):
    return {
        "_type": "UniformDataAxis",
        "name": name,
        "size": size,
        "scale": scale,
        "offset": 0.0,
        "units": units,
        "navigate": navigate,
        "is_binned": False,
        "index_in_array": index,
    }


def _write_hyperspy(path, data, axes, signal_type=""):
    """Write the .hspy or .zspy file that hyperspy writes for such a signal."""
    metadata = {"General": {"title": "made"}, "Signal": {"signal_type": signal_type}}
    if path.suffix == ".zspy":
        return _write_zspy(path, data, axes, metadata)
    import rsciio.hspy

    signal = {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "learning_results": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "models": None,
        "package_info": {"package": "hyperspy", "package_version": "2"},
    }
    rsciio.hspy.file_writer(str(path), signal)
    return path


def _write_zspy(path, data, axes, metadata):
    """The groups and attributes of .zspy 3.3; rosettasciio's own writer wants an older zarr."""
    import zarr

    file = zarr.open_group(path, mode="w", zarr_format=2)
    file.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    experiment = file.create_group("Experiments/made")
    experiment.attrs.update({"package": "hyperspy", "package_version": "2"})
    for place, axis in enumerate(axes):
        experiment.create_group(f"axis-{place}").attrs.update(axis)
    for name, values in metadata.items():
        experiment.create_group(f"metadata/{name}").attrs.update(values)
    experiment.create_group("original_metadata")
    experiment.create_group("learning_results")
    experiment.create_group("attributes").attrs.update({"_lazy": False, "ragged": False})
    array = experiment.create_array(
        "data", shape=data.shape, dtype=data.dtype, chunk_key_encoding={"name": "v2", "separator": "/"}
    )
    array[...] = data
    return path


@pytest.mark.parametrize("ending", ["hspy", "zspy"])
@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        (0.02, "nm", 0.2),
        (0.2, "Å", 0.2),
        (0.2, "A", 0.2),
        (20.0, "pm", 0.2),
        (2e-5, "µm", 0.2),
        (2e-5, "\u03bcm", 0.2),
        (2e-11, "m", 0.2),
        (-0.02, "nm", 0.2),
        (0.0, "nm", None),
        (1.0, "", None),
        (1.0, "px", None),
        (0.2, "furlong", None),
    ],
)
def test_units_become_angstrom(ending, scale, units, expected, tmp_path, image):
    axes = [_axis("y", 24, scale, units), _axis("x", 32, scale, units, index=1)]
    path = _write_hyperspy(tmp_path / f"made.{ending}", image, axes)
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.data, image)
    if expected is None:
        assert micrograph.pixel_size is None
        assert micrograph.provenance["pixel_size_from"].startswith("not")
    else:
        assert micrograph.pixel_size == pytest.approx(expected)


@pytest.fixture
def image():
    return np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)


def test_zspy_folder_is_read(tmp_path, image):
    path = _write_hyperspy(
        tmp_path / "made.zspy", np.stack([image, image + 1]), [_axis("z", 2, 1.0, "s", True), *_square()]
    )
    assert path.is_dir()
    for lazy in (False, True):
        micrograph = read_micrograph(path, lazy=lazy)
        assert micrograph.axes == ("frame", "y", "x")
        np.testing.assert_array_equal(micrograph.frame(1), image + 1)


def _square(scale=0.02, units="nm"):
    return [_axis("y", 24, scale, units, index=1), _axis("x", 32, scale, units, index=2)]


def test_given_pixel_size_goes_first(tmp_path, image):
    path = _write_hyperspy(tmp_path / "made.hspy", image, _square())
    micrograph = read_micrograph(path, pixel_size=0.31)
    assert (micrograph.pixel_size, micrograph.provenance["pixel_size_from"]) == (0.31, "given")
    with pytest.raises(MicrographError, match=r"between 0\.001 and 1000"):
        read_micrograph(path, pixel_size=0.0)


def test_anisotropic_pixels_are_refused(tmp_path, image):
    axes = [_axis("y", 24, 0.02), _axis("x", 32, 0.03, index=1)]
    path = _write_hyperspy(tmp_path / "made.hspy", image, axes)
    with pytest.raises(MicrographError, match=r"0\.2 by 0\.3 angstrom.*square"):
        read_micrograph(path)


@pytest.mark.parametrize(
    ("shape", "units", "signal_type", "words"),
    [
        ((24, 32), "1/nm", "", "diffraction pattern"),
        ((24, 32), "1/Å", "", "diffraction pattern"),
        ((24, 32), "1 / nm", "", "diffraction pattern"),
        ((24, 32), "1 / angstrom", "", "diffraction pattern"),
        ((24, 32), "nm^-1", "", "diffraction pattern"),
        ((24, 32), "mrad", "", "diffraction pattern"),
        ((24, 32), "px", "electron_diffraction", "diffraction pattern"),
        ((2, 3, 24, 32), "1/nm", "", "4D data set (2 by 3 by 24 by 32)"),
        ((2, 3, 24, 32), "nm", "", "4D data set"),
        ((8, 24, 32), "eV", "", "spectrum image"),
        ((8, 24, 32), "nm", "EDS_TEM", "spectrum image"),
        ((32,), "eV", "", "a spectrum"),
        ((32,), "nm", "", "a line of 32 values"),
    ],
)
def test_diffraction_spectra_and_4d_are_refused(shape, units, signal_type, words, tmp_path):
    axes = [_axis(f"a{place}", length, 0.1, units, index=place) for place, length in enumerate(shape)]
    path = _write_hyperspy(tmp_path / "made.hspy", np.zeros(shape, np.float32), axes, signal_type)
    with pytest.raises(FormatError) as caught:
        read_micrograph(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "navigate", "words"),
    [
        ((20, 24, 32), (True, True, False), "made.hspy is a spectrum image (20 by 24 by 32"),
        ((24, 32), (True, False), "made.hspy is a line of spectra (24 by 32"),
        ((24, 32), (True, True), ""),
        ((20, 24, 32), (True, True, True), ""),
        ((20, 24, 32), (True, False, False), ""),
        ((20, 24, 32), (False, False, False), ""),
    ],
)
@pytest.mark.parametrize("units", ["nm", "", None])
def test_spectra_without_a_unit_of_energy_are_refused(shape, navigate, words, units, tmp_path):
    axes = [_axis(f"a{place}", length, 0.1, units, navigate[place], place) for place, length in enumerate(shape)]
    path = _write_hyperspy(tmp_path / "made.hspy", np.zeros(shape, np.float32), axes)
    if not words:
        assert read_micrograph(path).data.shape == shape
        return
    with pytest.raises(FormatError) as caught:
        read_micrograph(path)
    assert words in str(caught.value)


def test_survey_images_are_refused_by_their_pixel_size(tmp_path, image):
    axes = [_axis("y", 24, 0.5, "µm"), _axis("x", 32, 0.5, "µm", index=1)]
    path = _write_hyperspy(tmp_path / "survey.hspy", image, axes)
    with pytest.raises(MicrographError, match=r"'survey' is 5000\.0; it must be one number between 0\.001 and 1000"):
        read_micrograph(path)


def test_complex_data_are_refused(tmp_path, image):
    path = _write_hyperspy(tmp_path / "made.hspy", image.astype(np.complex64), _square())
    with pytest.raises(MicrographError, match="complex"):
        read_micrograph(path)


def test_mrc_stack_and_mrc_without_pixel_size(tmp_path):
    stack = np.arange(3 * 24 * 32, dtype=np.int16).reshape(3, 24, 32)
    for voxel, expected in ((0.25, 0.25), (0.0, None)):
        path = tmp_path / f"stack{voxel}.mrc"
        with mrcfile.new(path) as file:
            file.set_data(stack)
            file.set_image_stack()
            file.voxel_size = voxel
        micrograph = read_micrograph(path)
        np.testing.assert_array_equal(micrograph.data, stack)
        assert micrograph.pixel_size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("version", "stamp", "signed"), [(20140, None, True), (20141, 1, True), (20141, 0, False), (0, None, False)]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_bytes_of_mrc_have_a_sign_as_the_header_says(version, stamp, signed, lazy, tmp_path):
    path, values = tmp_path / "bytes.mrc", np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    with mrcfile.new(path) as file:
        file.set_data(values)
    raw = bytearray(path.read_bytes())
    raw[108:112] = struct.pack("<i", version)
    if stamp is not None:
        raw[152:160] = struct.pack("<2i", 1146047817, stamp)
    path.write_bytes(raw)
    data = np.asarray(read_micrograph(path, lazy=lazy).data)
    np.testing.assert_array_equal(data, values if signed else values.view(np.uint8))


@pytest.mark.parametrize("names", ["tyx", "yxt", "xyt", "ytx", "XYZ"])
@pytest.mark.parametrize("lazy", [False, True])
def test_axes_of_berkeley_stacks_are_known_by_their_names(names, lazy, tmp_path):
    stack = np.arange(5 * 24 * 32, dtype=np.float32).reshape(5, 24, 32)
    data = stack.transpose(["tyx".index(name.lower().replace("z", "t")) for name in names])
    path = _write_berkeley(tmp_path / "stack.emd", {"HAADF": data}, names, {"t": "s"})
    micrograph = read_micrograph(path, lazy=lazy)
    np.testing.assert_array_equal(np.asarray(micrograph.data), stack)
    assert micrograph.pixel_size == pytest.approx(0.2)


def test_time_is_neither_rows_nor_columns(tmp_path):
    path = _write_berkeley(tmp_path / "stack.emd", {"HAADF": np.zeros((24, 32, 5), np.float32)}, "abc", {"a": "ms"})
    with pytest.raises(FormatError, match=r"stack\.emd has an axis in ms where rows or columns belong"):
        read_micrograph(path)


def _write_berkeley(path, images, names="yx", units=None):
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        for name, image in images.items():
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = image
            for number, (axis, length) in enumerate(zip(names, image.shape, strict=True), 1):
                dimension = group.create_dataset(f"dim{number}", data=np.arange(length) * 0.02)
                dimension.attrs["name"], dimension.attrs["units"] = axis, (units or {}).get(axis, "[n_m]")
    return path


def test_file_with_several_images(tmp_path, image):
    path = _write_berkeley(tmp_path / "pair.emd", {"HAADF": image, "BF": image + 7})
    found = {entry.provenance["title"]: entry for entry in read_micrographs(path)}
    assert set(found) == {"HAADF", "BF"}
    assert found["BF"].name == "pair BF"
    np.testing.assert_array_equal(found["BF"].data, image + 7)
    assert found["HAADF"].pixel_size == pytest.approx(0.2)
    with pytest.raises(FormatError, match=r"holds 2 images.*HAADF.*say which"):
        read_micrograph(path)
    np.testing.assert_array_equal(read_micrograph(path, image="BF").data, image + 7)
    with pytest.raises(FormatError, match="has no image 'DF'"):
        read_micrograph(path, image="DF")


def test_single_images_become_a_stack(tmp_path, image):
    paths = [_write_hyperspy(tmp_path / f"frame{index}.hspy", image + index, _square()) for index in range(3)]
    stack = read_stack(paths)
    assert stack.data.shape == (3, 24, 32)
    assert stack.pixel_size == pytest.approx(0.2)
    assert stack.provenance["files"] == ["frame0.hspy", "frame1.hspy", "frame2.hspy"]
    odd = _write_hyperspy(tmp_path / "odd.hspy", image, _square(scale=0.03))
    with pytest.raises(FormatError, match=r"odd\.hspy has pixels of 0\.3"):
        read_stack([*paths, odd])
    small = _write_hyperspy(tmp_path / "small.hspy", image[:20], [_axis("y", 20, 0.02), _axis("x", 32, 0.02, index=1)])
    with pytest.raises(FormatError, match=r"small\.hspy is 20 by 32"):
        read_stack([*paths, small])
    with pytest.raises(FormatError, match="no file"):
        read_stack([])


def test_a_stack_with_a_synthetic_frame_is_synthetic(tmp_path, image):
    measured = write_tiff(tmp_path / "measured.tif", Micrograph(image, 0.2, "a", {"synthetic": False, "seed": 1}))
    marked = {"synthetic": True, "statement": "SYNTHETIC IMAGE, NOT A MEASUREMENT: by day a.", "generator": "day a"}
    made = write_tiff(tmp_path / "made.tif", Micrograph(image, 0.2, "b", marked))
    for paths in ([measured, made], [made, measured]):
        provenance = read_stack(paths).provenance
        assert {name: provenance[name] for name in marked} == marked
        assert provenance["synthetic_files"] == ["made.tif"]
    measured_only = read_stack([measured, measured]).provenance
    assert measured_only["synthetic"] is False
    assert "synthetic_files" not in measured_only


def test_emi_without_its_ser_says_what_is_missing(tmp_path):
    path = tmp_path / "scan.emi"
    path.write_bytes(data_folder("reader-tests", "64x64x5_TEM_preview.emi").read_bytes())
    with pytest.raises(FormatError, match=r"scan\.emi holds no image itself: .* scan_1\.ser"):
        read_micrograph(path)


def test_a_file_of_a_microscope_that_may_not_be_opened(tmp_path, monkeypatch):
    import rsciio.mrc

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rsciio.mrc, "file_reader", refuse)
    (tmp_path / "scan.mrc").write_bytes(b"x")
    with pytest.raises(FormatError) as caught:
        read_micrograph(tmp_path / "scan.mrc")
    assert str(caught.value) == "scan.mrc cannot be read: Permission denied."


def test_errors_are_our_own():
    assert issubclass(FormatError, StemlearnError)


def test_importing_formats_is_light():
    heavy = "{'rsciio', 'torch', 'tifffile', 'h5py'}"
    code = f"import sys, napari_stemlearn.formats; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
