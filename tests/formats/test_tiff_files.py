"""Calibrated TIFF: what others write is understood, what we write comes back as it was."""

from __future__ import annotations

import json
import signal

import dask.array
import numpy as np
import pytest
import tifffile

from data_folder import data_folder
from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats import read_micrograph, read_micrographs, read_provenance, write_tiff
from napari_stemlearn.formats.tiff_reading import is_grey_tiff
from napari_stemlearn.micrograph import Micrograph


@pytest.fixture
def image():
    return np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)


# --- round trip -------------------------------------------------------------------------------------------------------

DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 50), (3, 40, 50), (1, 40, 50), (5, 40, 3), (2, 2)])
def test_round_trip_is_exact(dtype, shape, tmp_path):
    rng = np.random.default_rng(3)
    if np.issubdtype(np.dtype(dtype), np.integer):
        limits = np.iinfo(dtype)
        data = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    else:
        data = rng.normal(size=shape).astype(dtype)
        data.flat[0] = np.nan
        data.flat[1] = np.inf
    if shape == (5, 40, 3):
        # what looks like colour must stay frames of three columns
        data = data.reshape(5, 40, 3)[:4]
    provenance = {"synthetic": True, "seed": 7, "settings": {"dose": 1e4, "name": "Ångström"}, "list": [1, 2]}
    before = Micrograph(data, 0.2074, "frame", provenance)
    path = write_tiff(tmp_path / "image.tif", before)
    for lazy in (False, True):
        after = read_micrograph(path, lazy=lazy)
        assert after.data.shape == data.shape
        assert after.data.dtype == data.dtype
        np.testing.assert_array_equal(np.asarray(after.data), data)
        assert after.pixel_size == before.pixel_size
        assert {name: after.provenance[name] for name in provenance} == provenance
        assert after.name == "image"
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.tif"]


def test_round_trip_of_mask_big_endian_and_unknown_pixel_size(tmp_path, image):
    mask = image > 900
    assert np.array_equal(read_micrograph(write_tiff(tmp_path / "mask.tif", Micrograph(mask))).data, mask)
    swapped = read_micrograph(write_tiff(tmp_path / "swapped.tif", Micrograph(image.astype(">u2"))))
    np.testing.assert_array_equal(swapped.data, image)
    assert swapped.pixel_size is None


def test_origin_survives_further_copies(tmp_path, image):
    first = write_tiff(tmp_path / "one.tif", Micrograph(image, 0.1, "one", {"source_file": "scan.dm4"}))
    second = write_tiff(tmp_path / "two.tif", read_micrograph(first))
    again = read_micrograph(second)
    assert again.provenance["source_file"] == "scan.dm4"
    assert again.provenance["file"] == "two.tif"


def test_stack_is_mapped_not_loaded(tmp_path, image):
    path = write_tiff(tmp_path / "stack.tif", Micrograph(np.stack([image, image + 1]), 0.2))
    assert isinstance(read_micrograph(path, lazy=True).data, np.memmap)


def test_lazy_stack_is_written_frame_by_frame(tmp_path, image):
    lazy = dask.array.stack([dask.array.from_array(image + index) for index in range(4)])
    path = write_tiff(tmp_path / "lazy.tif", Micrograph(lazy, 0.2))
    np.testing.assert_array_equal(read_micrograph(path).data, np.asarray(lazy))


def test_other_programs_read_the_pixel_size(tmp_path, image):
    path = write_tiff(tmp_path / "image.tif", Micrograph(image, 0.2074, provenance={"synthetic": False}))
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        numerator, denominator = page.tags["XResolution"].value
        assert page.tags["ResolutionUnit"].value == 3
        assert 1e8 * denominator / numerator == pytest.approx(0.2074, rel=1e-8)
        described = json.loads(page.description)
    assert described["pixel_size_angstrom"] == 0.2074
    assert described["unit"] == "angstrom"
    assert described["provenance"]["synthetic"] is False
    fine = write_tiff(tmp_path / "fine.tif", Micrograph(image, 0.0123))
    assert read_micrograph(fine).pixel_size == 0.0123


# --- refusals and full disks ------------------------------------------------------------------------------------------


def test_names_and_folders_that_cannot_be_written(tmp_path, image):
    micrograph = Micrograph(image, 0.2)
    with pytest.raises(FormatError, match=r"must end in \.tif"):
        write_tiff(tmp_path / "image.png", micrograph)
    with pytest.raises(FormatError, match=r"folder .* does not exist"):
        write_tiff(tmp_path / "nowhere" / "image.tif", micrograph)
    (tmp_path / "taken.tif").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        write_tiff(tmp_path / "taken.tif", micrograph)


def test_arrays_are_no_micrographs(tmp_path, image):
    with pytest.raises(MicrographError, match="A Micrograph is needed, not a value of type ndarray"):
        write_tiff(tmp_path / "image.tif", image)
    assert not list(tmp_path.iterdir())


def test_full_disk_leaves_nothing_behind_and_the_old_file_whole(tmp_path, image):
    old = write_tiff(tmp_path / "image.tif", Micrograph(image, 0.2))
    large = Micrograph(np.zeros((4, 512, 512), np.float32), 0.3)
    resource = pytest.importorskip("resource", reason="the limit of a file's size needs Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        for path in (old, tmp_path / "new.tif"):
            with pytest.raises(FormatError, match="cannot be written") as caught:
                write_tiff(path, large)
            assert "\n" not in str(caught.value)
        with pytest.raises(FormatError, match="cannot be written"):
            write_tiff(tmp_path / "new.tif", Micrograph(large.data[0].repeat(2, 0), 0.3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.tif"]
    np.testing.assert_array_equal(read_micrograph(old).data, image)


# --- files of others --------------------------------------------------------------------------------------------------


def test_shared_description_says_pixel_size_and_source():
    micrograph = read_micrograph(data_folder("mos2-haadf", "mos2_a.tif"))
    assert micrograph.pixel_size == 0.12791
    assert micrograph.provenance["pixel_size_from"] == "lattice (a = 3.16 A)"
    assert micrograph.provenance["source"].startswith("ziatdinovmax/SciLink")
    unknown = read_micrograph(data_folder("molecular-catalysts", "bpy_crop19.tif"))
    assert unknown.pixel_size is None
    assert unknown.provenance["pixel_size_from"] == "not stated"


@pytest.mark.parametrize("lazy", [False, True])
def test_compressed_stack_of_frames(lazy):
    path = data_folder("wse2-virtual", "day_a", "stack.tif")
    micrograph = read_micrograph(path, lazy=lazy)
    assert micrograph.data.shape == (6, 1024, 1024)
    assert micrograph.pixel_size == 0.2074
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(micrograph.frame(4), file.pages[4].asarray())


def test_pages_without_a_stated_shape_are_frames():
    micrograph = read_micrograph(data_folder("graphene-si-defects", "movie_si1c4.tif"))
    assert (micrograph.n_frames, micrograph.pixel_size) == (9, 0.12109)


@pytest.mark.parametrize(
    ("unit", "per_pixel", "expected"),
    [("nm", 0.02, 0.2), ("micron", 2e-5, 0.2), ("\\u00B5m", 2e-5, 0.2), ("pixel", 1.0, None), ("\\u00C5", 0.2, 0.2)],
)
def test_imagej(unit, per_pixel, expected, tmp_path, image):
    path = tmp_path / "imagej.tif"
    stack = np.stack([image, image])
    tifffile.imwrite(path, stack, imagej=True, resolution=(1 / per_pixel,) * 2, metadata={"unit": unit, "axes": "ZYX"})
    micrograph = read_micrograph(path)
    assert micrograph.data.shape == (2, 40, 50)
    assert micrograph.pixel_size == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_ome_metadata_and_channels(tmp_path, image):
    path = tmp_path / "detectors.ome.tif"
    both = np.stack([image, image + 5])
    size = {"PhysicalSizeX": 0.02, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.02, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(path, both, ome=True, photometric="minisblack", metadata={"axes": "CYX", **size})
    first, second = read_micrographs(path)
    assert first.pixel_size == pytest.approx(0.2)
    assert first.provenance["pixel_size_from"] == "OME metadata"
    np.testing.assert_array_equal(second.data, image + 5)
    with pytest.raises(FormatError, match=r"holds 2 images \(0 C0, 1 C1\)"):
        read_micrograph(path)
    assert read_micrograph(path, image="C1").name == "detectors.ome C1"


def _ome_size(size):
    return {"PhysicalSizeX": size, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": size, "PhysicalSizeYUnit": "nm"}


def test_each_ome_image_has_its_own_pixel_size(tmp_path, image):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(image, metadata={"axes": "YX", **_ome_size(0.02)})
        file.write(image[:30], metadata={"axes": "YX", **_ome_size(0.05)})
        file.write(image[:20], metadata={"axes": "YX"})
    sizes = {entry.shape[0]: entry.pixel_size for entry in read_micrographs(path)}
    assert sizes == {40: pytest.approx(0.2), 30: pytest.approx(0.5), 20: None}


def _gatan_tags(size):
    units = [(65003, "s", 3, "nm", True), (65004, "s", 3, "nm", True)]
    return [*units, (65009, "d", 1, size, True), (65010, "d", 1, size, True)]


def test_each_page_has_its_own_pixel_size(tmp_path, image):
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as file:
        for data, size in ((image, 0.02), (image[:30], 0.05)):
            file.write(data, extratags=_gatan_tags(size), metadata=None)
    assert [entry.pixel_size for entry in read_micrographs(path)] == [pytest.approx(0.2), pytest.approx(0.5)]
    with tifffile.TiffWriter(path) as file:
        for data, size in ((image, 0.2), (image[:30], 0.5)):
            file.write(data, metadata={"pixel_size_angstrom": size})
        file.write(image[:20], metadata=None)
    assert [entry.pixel_size for entry in read_micrographs(path)] == [0.2, 0.5, None]


@pytest.mark.parametrize("kind", ["gatan", "resolution"])
def test_pages_of_one_shape_and_two_pixel_sizes_are_no_stack(kind, tmp_path, image):
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as file:
        for size in (0.02, 0.05):
            tags = {"extratags": _gatan_tags(size)}
            if kind == "resolution":
                tags = {"resolution": (1e7 / size, 1e7 / size), "resolutionunit": "CENTIMETER"}
            file.write(image, metadata=None, **tags)
    with pytest.raises(FormatError, match=r"two\.tif has pages with pixels of different size"):
        read_micrograph(path)
    assert read_micrograph(path, pixel_size=0.2).n_frames == 2


@pytest.mark.parametrize(("unit", "per_unit"), [("inch", 72), ("cm", 28.35), ("mm", 2.835)])
def test_imagej_at_the_resolution_of_a_screen(unit, per_unit, tmp_path, image):
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size is None
    assert micrograph.provenance["pixel_size_from"] == "not in the file"
    tifffile.imwrite(path, image, imagej=True, resolution=(5e8, 5e8), metadata={"unit": "cm"})
    assert read_micrograph(path).pixel_size == pytest.approx(0.2)


@pytest.mark.parametrize("unit", ["1/nm", "1 / nm", "1 / \\u00C5", "mrad"])
def test_imagej_diffraction_pattern_is_refused(unit, tmp_path, image):
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(5, 5), metadata={"unit": unit})
    with pytest.raises(FormatError, match=r"imagej\.tif is a diffraction pattern"):
        read_micrograph(path)


def test_resolution_tags_but_not_those_of_printers(tmp_path, image):
    path = tmp_path / "tags.tif"
    tifffile.imwrite(path, image, resolution=(5e8, 5e8), resolutionunit="CENTIMETER")
    assert read_micrograph(path).pixel_size == pytest.approx(0.2)
    tifffile.imwrite(path, image, resolution=(1e9, 1e9), resolutionunit="INCH")
    assert read_micrograph(path).pixel_size == pytest.approx(0.254)
    tifffile.imwrite(path, image, resolution=(300, 300), resolutionunit="INCH")
    assert read_micrograph(path).pixel_size is None
    tifffile.imwrite(path, image)
    assert read_micrograph(path).pixel_size is None


def test_digital_micrograph_tags(tmp_path, image):
    path = tmp_path / "exported.tif"
    tags = [(65003, "s", 3, "nm", True), (65004, "s", 3, "nm", True), (65009, "d", 1, 0.02, True)]
    tifffile.imwrite(path, image, extratags=[*tags, (65010, "d", 1, 0.02, True)], metadata=None)
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size == pytest.approx(0.2)
    assert micrograph.provenance["pixel_size_from"] == "instrument tags"


def test_anisotropic_zero_and_absurd_pixel_sizes(tmp_path, image):
    path = tmp_path / "tags.tif"
    tifffile.imwrite(path, image, resolution=(5e8, 4e8), resolutionunit="CENTIMETER")
    with pytest.raises(MicrographError, match=r"0\.25 by 0\.2 angstrom"):
        read_micrograph(path)
    assert read_micrograph(path, pixel_size=0.21).pixel_size == 0.21
    for stated, expected in ((0, None), (None, None)):
        tifffile.imwrite(path, image, metadata={"pixel_size_angstrom": stated})
        assert read_micrograph(path).pixel_size is expected
    tifffile.imwrite(path, image, metadata={"pixel_size_angstrom": -0.2})
    with pytest.raises(MicrographError, match=r"between 0\.001 and 1000"):
        read_micrograph(path)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((40, 50, 3), {"photometric": "rgb"}, "colour"),
        ((2, 40, 50, 3), {"photometric": "rgb"}, "colour"),
        ((3, 40, 50), {"photometric": "rgb", "planarconfig": "separate", "metadata": None}, "colour"),
        ((3, 40, 50), {"photometric": "rgb", "planarconfig": "separate", "ome": True}, "colour"),
        ((2, 3, 40, 50), {"metadata": {"axes": "TZYX"}}, "4 axes"),
        ((1, 50), {}, "1 by 50"),
    ],
)
def test_colour_four_axes_and_lines_are_refused(shape, options, words, tmp_path):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), **options)
    with pytest.raises(MicrographError) as caught:
        read_micrograph(path)
    assert words in str(caught.value)
    assert is_grey_tiff(path) == ("colour" not in words)


def _with_table(path, values, levels, **options):
    table = np.broadcast_to(np.asarray(levels, np.uint16), (3, 256))
    tifffile.imwrite(path, values, photometric="palette", colormap=table, metadata=None, **options)
    return path


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("frames", [1, 5])
def test_numbers_in_a_table_of_greys_become_grey_levels(frames, lazy, tmp_path, image):
    values = np.squeeze(np.stack([(image % 256).astype(np.uint8)] * frames))
    up, fine = np.arange(256), np.arange(256) ** 2
    for levels, expected in (
        (up[::-1] * 257, 255 - values),
        (up * 256, values),
        (fine, fine.astype(np.uint16)[values]),
    ):
        path = _with_table(tmp_path / "table.tif", values, levels)
        assert is_grey_tiff(path)
        micrograph = read_micrograph(path, lazy=lazy)
        np.testing.assert_array_equal(np.asarray(micrograph.data), expected)
        assert micrograph.data.dtype == expected.dtype


def test_a_table_of_colours_is_colour_but_that_of_imagej_is_for_the_screen(tmp_path, image):
    path, values = tmp_path / "table.tif", (image % 256).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 65536, (3, 256))
    _with_table(path, values, colours)
    assert not is_grey_tiff(path)
    with pytest.raises(
        MicrographError, match=r"table\.tif is a colour image \(its values are numbers in a colour table"
    ):
        read_micrograph(path)
    _with_table(path, values, colours, description="ImageJ=1.53t\nunit=nm\n")
    assert is_grey_tiff(path)
    np.testing.assert_array_equal(read_micrograph(path).data, values)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("frames", [3, 4])
@pytest.mark.parametrize("lazy", [False, True])
def test_three_or_four_frames_are_no_colours(dtype, frames, lazy, tmp_path):
    path = tmp_path / "few.tif"
    data = np.random.default_rng(1).integers(0, 200, (frames, 40, 50)).astype(dtype)
    for options in ({}, {"compression": "zlib"}):
        # tifffile guesses colours from the number of frames
        tifffile.imwrite(path, data, resolution=(5e8, 5e8), resolutionunit="CENTIMETER", **options)
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "SYX"
        assert is_grey_tiff(path)
        micrograph = read_micrograph(path, lazy=lazy)
        np.testing.assert_array_equal(micrograph.data, data)
        assert micrograph.pixel_size == pytest.approx(0.2)


def test_complex_tiff_is_refused(tmp_path, image):
    path = tmp_path / "fourier.tif"
    tifffile.imwrite(path, image.astype(np.complex64))
    with pytest.raises(MicrographError, match="complex"):
        read_micrograph(path)


def test_thumbnail_is_dropped_and_two_images_are_told_apart(tmp_path, image):
    path = tmp_path / "scan.tif"
    for second, shapes in ((image[::4, ::4], [(40, 50)]), (image[:30], [(40, 50), (30, 50)])):
        with tifffile.TiffWriter(path) as file:
            file.write(image, metadata=None)
            file.write(second, metadata=None)
        assert [entry.shape for entry in read_micrographs(path)] == shapes
    with pytest.raises(FormatError, match="holds 2 images"):
        read_micrograph(path)
    assert read_micrograph(path, image=1).shape == (30, 50)


@pytest.mark.parametrize("lazy", [False, True])
def test_truncated_stack(lazy, tmp_path, image):
    path = write_tiff(tmp_path / "stack.tif", Micrograph(np.stack([image] * 4), 0.2))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 3000])
    with pytest.raises(FormatError, match="truncated"):
        read_micrograph(path, lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.33, 0.66, 0.9])
@pytest.mark.parametrize("options", [{}, {"imagej": True}], ids=["shaped", "imagej"])
def test_truncated_compressed_stack(options, kept, lazy, tmp_path):
    path = tmp_path / "stack.tif"
    data = np.random.default_rng(1).integers(0, 1000, (6, 100, 100)).astype(np.uint16)
    tifffile.imwrite(path, data, photometric="minisblack", compression="zlib", **options)
    whole = read_micrographs(path, lazy=lazy)
    assert sum(entry.n_frames for entry in whole) == 6
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(FormatError, match=r"stack\.tif .*truncated"):
        read_micrographs(path, lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_truncated_stack_of_imagej_with_one_page_before_all_planes(kept, lazy, tmp_path, image):
    path, stack = tmp_path / "stack.tif", np.stack([image] * 6).astype(">u2")
    words = "ImageJ=1.53t\nimages=6\nslices=6\nunit=nm\nloop=false\n"
    tifffile.imwrite(path, stack[0], byteorder=">", metadata=None, description=words, resolution=(50, 50))
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    whole = path.read_bytes()[:start] + stack.tobytes()
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_micrograph(path, lazy=lazy).data, stack)
    path.write_bytes(whole[: start + int(kept * stack.nbytes)])
    with pytest.raises(FormatError, match=r"stack\.tif is truncated: its description tells of 6 frames"):
        read_micrographs(path, lazy=lazy)


def test_a_lazy_stack_is_read_from_any_current_folder(tmp_path, image, monkeypatch):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image] * 6), photometric="minisblack", compression="zlib")
    monkeypatch.chdir(tmp_path)
    micrograph = read_micrograph("stack.tif", lazy=True)
    monkeypatch.chdir(tmp_path.parent)
    np.testing.assert_array_equal(micrograph.frame(3), image)


def test_an_image_cut_out_of_a_stack_may_keep_its_description(tmp_path, image):
    path = tmp_path / "crop.tif"
    tifffile.imwrite(path, image[:30], description='{"shape": [6, 40, 50], "pixel_size_angstrom": 0.2}', metadata=None)
    assert read_micrograph(path).shape == (30, 50)


def test_a_page_that_was_damaged_since_is_one_sentence(tmp_path, image):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([image] * 6), photometric="minisblack", compression="zlib")
    micrograph = read_micrograph(path, lazy=True)
    with tifffile.TiffFile(path) as file:
        start = file.pages[4].dataoffsets[0]
    raw = bytearray(path.read_bytes())
    raw[start : start + 20] = bytes(20)
    path.write_bytes(raw)
    np.testing.assert_array_equal(micrograph.frame(3), image)
    with pytest.raises(FormatError, match=r"Frame 4 of stack\.tif cannot be read"):
        micrograph.frame(4)


def test_a_file_that_may_not_be_opened_says_so(tmp_path, image, monkeypatch):
    path = write_tiff(tmp_path / "image.tif", Micrograph(image, 0.2))

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tifffile, "TiffFile", refuse)
    for read in (read_micrograph, read_provenance):
        with pytest.raises(FormatError) as caught:
            read(path)
        assert str(caught.value) == "image.tif cannot be read: Permission denied."


def test_a_write_that_was_cut_short_says_that_the_disk_is_full():
    assert reason(OSError("4096 requested and 2044 written")) == "the disk is full"
    assert reason(OSError("something else")) == "something else"
