"""Marks of synthetic images are written, survive other programs, and are read back from everywhere they lie."""

from __future__ import annotations

import json

import imagecodecs
import numpy as np
import pytest
import tifffile

from data_folder import data_folder
from napari_stemlearn.errors import FormatError
from napari_stemlearn.formats import read_micrograph, read_provenance, write_sites, write_tiff
from napari_stemlearn.marking import SYNTHETIC_STATEMENT, embed_watermark, synthetic_provenance
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import empty_sites

RNG = np.random.default_rng(0)
PLAIN = RNG.normal(100, 10, (256, 260)).astype(np.float32)
MARKED = embed_watermark(PLAIN)


def kinds(report) -> list[tuple[str, str, bool]]:
    return [(mark.kind, mark.place, mark.synthetic) for mark in report.marks]


def eight_bits(image):
    return np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)


# --- TIFF -------------------------------------------------------------------------------------------------------------


def test_synthetic_tiff_says_so_in_plain_words(tmp_path):
    path = write_tiff(tmp_path / "a.tif", Micrograph(PLAIN, 0.2, "a", synthetic_provenance("day ä", seed=3)))
    with tifffile.TiffFile(path) as file:
        software = file.pages[0].tags["Software"].value
        description = file.pages[0].description
    assert "SYNTHETIC IMAGE, NOT A MEASUREMENT" in software
    assert "'day ?'" in software
    assert '"statement": "SYNTHETIC IMAGE' in description[:60]
    assert json.loads(description)["provenance"]["generator"] == "day ä"
    back = read_micrograph(path)
    assert back.provenance["synthetic"] is True
    assert back.provenance["statement"] == json.loads(description)["statement"]
    assert back.pixel_size == 0.2
    report = read_provenance(path)
    assert report.synthetic
    assert kinds(report) == [("description", "ImageDescription", True), ("TIFF tag", "Software", True)]
    assert "generator: day ä; seed: 3" in report.marks[0].words
    assert report.verdict == "SYNTHETIC, says the description, the TIFF tag."


@pytest.mark.parametrize("provenance", [{}, {"synthetic": False}])
def test_measured_tiff_says_nothing_of_the_kind(provenance, tmp_path):
    path = write_tiff(tmp_path / "a.tif", Micrograph(PLAIN, 0.2, "a", provenance))
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].tags["Software"].value.startswith("napari-stemlearn")
    assert "SYNTHETIC" not in path.read_bytes().decode("latin-1")
    report = read_provenance(path)
    assert not report.synthetic
    assert "does not prove" in report.verdict
    assert kinds(report) == ([("description", "ImageDescription", False)] if provenance else [])
    assert "statement" not in read_micrograph(path).provenance


def test_plain_simulation_gets_the_general_sentence(tmp_path):
    path = write_tiff(tmp_path / "a.tif", Micrograph(PLAIN, 0.2, "a", {"synthetic": True}))
    assert read_micrograph(path).provenance["statement"] == SYNTHETIC_STATEMENT
    again = write_tiff(tmp_path / "b.tif", read_micrograph(path))
    assert read_provenance(again).synthetic


def test_words_survive_in_the_tags_of_others(tmp_path):
    """Programs that drop our description: one keeps the software, ImageJ keeps what it showed as information."""
    described = json.dumps({"statement": SYNTHETIC_STATEMENT, "provenance": {"synthetic": True}})
    options = {
        "Software": {"software": f"x; {SYNTHETIC_STATEMENT}", "metadata": None},
        "Artist": {"extratags": [(315, "s", 0, SYNTHETIC_STATEMENT, True)], "metadata": None},
        "XPComment": {"extratags": [(40092, "B", None, SYNTHETIC_STATEMENT.encode("utf-16-le"), True)]},
        "ImageJ Info": {"imagej": True, "metadata": {"Info": described, "unit": "nm"}},
    }
    for place, option in options.items():
        path = tmp_path / "other.tif"
        tifffile.imwrite(path, PLAIN, **option)
        assert [mark.place for mark in read_provenance(path).marks] == [place]
        assert read_micrograph(path).provenance["synthetic"] is True, place


def test_contradiction_is_synthetic(tmp_path):
    path = tmp_path / "a.tif"
    text = json.dumps({"pixel_size_angstrom": 0.2, "provenance": {"synthetic": False}})
    tifffile.imwrite(path, PLAIN, description=text, metadata=None, software=SYNTHETIC_STATEMENT)
    report = read_provenance(path)
    assert [mark.synthetic for mark in report.marks] == [False, True]
    assert report.synthetic
    assert read_micrograph(path).provenance["synthetic"] is True


# --- pixels -----------------------------------------------------------------------------------------------------------


def test_watermark_in_files_of_all_kinds(tmp_path):
    grey = eight_bits(MARKED)
    tifffile.imwrite(tmp_path / "grey.tif", grey)
    tifffile.imwrite(tmp_path / "colour.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    tifffile.imwrite(tmp_path / "planes.tif", np.stack([grey] * 3), photometric="rgb", planarconfig="separate")
    (tmp_path / "grey.png").write_bytes(imagecodecs.png_encode(grey))
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(257 * grey.astype(np.uint16)))
    transparent = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    (tmp_path / "transparent.png").write_bytes(imagecodecs.png_encode(transparent))
    (tmp_path / "fine.jpg").write_bytes(imagecodecs.jpeg_encode(grey, level=95))
    write_tiff(tmp_path / "stack.tif", Micrograph(np.stack([MARKED, MARKED]), 0.2))
    for path in sorted(tmp_path.iterdir()):
        report = read_provenance(path)
        assert kinds(report) == [("watermark", path.stem, True)], path.name
        assert json.loads(json.dumps(report.record()))["synthetic"] is True
    tifffile.imwrite(tmp_path / "plain.tif", eight_bits(PLAIN))
    assert not read_provenance(tmp_path / "plain.tif").synthetic


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "resolution": (72, 72), "metadata": {"unit": "inch"}},
        {"resolution": (5e8, 4e8), "resolutionunit": "CENTIMETER"},
        {"metadata": {"pixel_size_angstrom": -1}},
        {"metadata": {"pixel_size_angstrom": 5000}},
        {"imagej": True, "metadata": {"unit": "1/nm"}, "resolution": (5, 5)},
    ],
    ids=["screen", "not square", "negative", "huge", "reciprocal"],
)
def test_the_watermark_is_found_whatever_the_pixel_size(options, tmp_path):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, MARKED, **options)
    report = read_provenance(path)
    assert kinds(report) == [("watermark", "odd", True)]
    assert not report.trouble


def test_the_watermark_is_found_in_frames_of_frames(tmp_path):
    path = tmp_path / "hyperstack.tif"
    tifffile.imwrite(path, np.stack([[MARKED] * 3] * 2), imagej=True, metadata={"axes": "TZYX"})
    report = read_provenance(path)
    assert kinds(report) == [("watermark", "hyperstack", True)]
    assert not report.trouble


def test_tags_are_read_where_the_pixels_are_no_micrograph(tmp_path):
    path = tmp_path / "many.tif"
    tifffile.imwrite(path, np.zeros((40, 50, 2, 3), np.uint8), metadata={"axes": "YXTZ"}, software=SYNTHETIC_STATEMENT)
    report = read_provenance(path)
    assert report.synthetic
    assert "axes YXTZ" in report.trouble
    tifffile.imwrite(path, PLAIN.astype(np.complex64))
    assert "complex" in read_provenance(path).trouble
    tifffile.imwrite(path, np.zeros((2, 3, 40, 50), np.uint8), metadata={"axes": "TZYX"})
    assert not read_provenance(path).synthetic


# --- beside and above -------------------------------------------------------------------------------------------------


def test_files_beside(tmp_path):
    tifffile.imwrite(tmp_path / "scan.tif", PLAIN)
    micrograph = Micrograph(PLAIN, 0.2, "scan")
    write_sites(tmp_path / "scan_sites.csv", empty_sites(), micrograph=micrograph, provenance={"synthetic": True})
    (tmp_path / "scan.json").write_text('{"synthetic": false}')
    (tmp_path / "scan2.json").write_text('{"synthetic": true}')
    (tmp_path / "scan_torn.json").write_text('{"synthetic": tr')
    other = Micrograph(PLAIN, 0.2, "other")
    write_sites(tmp_path / "scan_other.csv", empty_sites(), micrograph=other, provenance={"synthetic": True})
    (tmp_path / "scan_simulated.json").write_text('{"synthetic": true}')
    record = {"provenance": {"synthetic": True, "images": [{"name": "scan.tif"}]}}
    (tmp_path / "scan_table.json").write_text(json.dumps(record))
    assert kinds(read_provenance(tmp_path / "scan.tif")) == [
        ("file beside it", "scan.json", False),
        ("file beside it", "scan_sites.sites.json", True),
        ("file beside it", "scan_table.json", True),
    ]


@pytest.mark.parametrize(
    ("image", "record", "belongs"),
    [
        ("scan.tif", "scan.json", True),
        ("scan.tif", "scan.sites.json", True),
        ("scan.tif", "scan.tif.json", True),
        ("2024.05.01 scan.tif", "2024.05.01 scan.json", True),
        ("2024.05.01 scan.tif", "2024.05.01 simulation.json", False),
        ("wse2_v1.0_real.tif", "wse2_v1.5_sim.json", False),
        ("wse2_v1.tif", "wse2_v1.5_sim.json", False),
        ("a.tif", "a_simulated.json", False),
        ("a.tif", "ab.json", False),
    ],
)
def test_records_are_of_the_image_whose_whole_name_they_have(image, record, belongs, tmp_path):
    tifffile.imwrite(tmp_path / image, PLAIN)
    (tmp_path / record).write_text('{"synthetic": true}')
    assert read_provenance(tmp_path / image).synthetic is belongs


def test_data_set_above_and_as_a_whole(tmp_path):
    import zarr

    folder = tmp_path / "day.stemset"
    (folder / "images").mkdir(parents=True)
    tifffile.imwrite(folder / "images" / "0.tif", PLAIN)
    card = {"kind": "stemlearn data set", "synthetic": True, "generator": "day a"}
    for kind in ("something else", None):
        (folder / "dataset.json").write_text(json.dumps({**card, "kind": kind}))
        assert not read_provenance(folder / "images" / "0.tif").marks
    (folder / "dataset.json").write_text(json.dumps(card))
    report = read_provenance(folder / "images" / "0.tif")
    assert kinds(report) == [("data set", "day.stemset/dataset.json", True)]
    assert "generator: day a" in report.marks[0].words
    images = zarr.create_array(str(folder / "images.zarr"), shape=(40, 256, 260), chunks=(1, 256, 260), dtype="f4")
    for index in range(5):
        images[index] = MARKED
    report = read_provenance(folder)
    assert kinds(report) == [("data set", "dataset.json", True), *[("watermark", f"image {n}", True) for n in (0, 3)]]
    assert not report.trouble


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_refusals(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        read_provenance(tmp_path / "nowhere.tif")
    with pytest.raises(FormatError, match="no data set"):
        read_provenance(tmp_path)
    for name, words in (
        ("a.tif", "truncated, damaged"),
        ("a.png", "cannot be read as a picture"),
        ("a.dm4", "a.dm4"),
        ("a.txt", "ending '.txt'"),
    ):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(FormatError, match=words):
            read_provenance(tmp_path / name)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(FormatError, match="damaged"):
        read_provenance(tmp_path)
    (tmp_path / "dataset.json").write_text('{"name": "of another program"}')
    with pytest.raises(FormatError, match=r"is no data set: its dataset\.json is of another program; give the files"):
        read_provenance(tmp_path)


def test_measured_files_have_no_mark():
    for place in ("mos2-haadf/mos2_a.tif", "mos2-se-implanted/mos2_se_original.dm3"):
        report = read_provenance(data_folder(*place.split("/")))
        assert not report.synthetic
        assert not report.trouble
        assert report.watermarks
