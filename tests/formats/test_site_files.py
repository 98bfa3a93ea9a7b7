"""Site tables on disk: round trips with all digits, foreign tables, and one sentence for wrong ones."""

from __future__ import annotations

import json
import signal

import numpy as np
import pandas as pd
import pytest

from data_folder import data_folder
from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.formats import belongs_to, read_sidecar, read_sites, sidecar_path, write_sites
from napari_stemlearn.formats.site_files import is_site_table
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import COLUMNS, empty_sites, make_sites

PIXEL_SIZE = 0.2074


@pytest.fixture
def micrograph():
    return Micrograph(np.arange(3 * 32 * 48, dtype=np.uint16).reshape(3, 32, 48), PIXEL_SIZE, "day_a")


@pytest.fixture
def sites():
    rng = np.random.default_rng(5)
    n = 200
    table = make_sites(
        rng.uniform(-1, 31, n),
        rng.uniform(0, 47, n),
        rng.choice(["vacancy1", "NA", "None", "W", "a, b", 'say "x"', "é"], n),
        pixel_size=PIXEL_SIZE,
        frame=rng.integers(0, 3, n),
        score=np.where(rng.random(n) < 0.5, np.nan, rng.random(n)),
        origin="predicted",
        extra={
            "sublattice": rng.choice(["metal", "NA", "2"], n),
            "n_atoms": rng.integers(1, 3, n),
            "width": rng.random(n) / 3,
            "kept": rng.random(n) < 0.5,
            "digits": rng.choice(["01", "2"], n),
        },
    )
    table["origin"] = rng.choice(["truth", "hand", "predicted", "edited"], n)
    return table


def test_round_trip_is_exact(sites, micrograph, tmp_path):
    path = write_sites(tmp_path / "found.csv", sites, micrograph=micrograph, provenance={"model": "m", "seed": 3})
    again = read_sites(path)
    assert list(again.columns) == list(sites.columns)
    for column in sites.columns:
        expected, found = sites[column], again[column]
        assert found.dtype.kind == expected.dtype.kind, column
        np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    write_sites(tmp_path / "again.csv", again, micrograph=micrograph)
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_sidecar_tells_units_classes_image_and_provenance(sites, micrograph, tmp_path):
    path = write_sites(
        tmp_path / "found.csv", sites, micrograph=micrograph, classes=["vacancy2", "W"], provenance={"model": "tmd"}
    )
    record = json.loads((tmp_path / "found.sites.json").read_text())
    assert record["units"]["y"] == "pixel"
    assert record["units"]["y_angstrom"] == "angstrom"
    sidecar = read_sidecar(path)
    assert sidecar.pixel_size_angstrom == PIXEL_SIZE
    assert sidecar.classes[:2] == ["vacancy2", "W"]
    assert set(sidecar.classes) == {"vacancy2", *sites["class"]}
    assert sidecar.provenance == {"model": "tmd"}
    assert (sidecar.image.name, sidecar.image.shape) == ("day_a", (3, 32, 48))
    assert belongs_to(sidecar, micrograph) is True
    assert belongs_to(sidecar, Micrograph(np.asarray(micrograph.data) + 1, PIXEL_SIZE)) is False
    assert belongs_to(sidecar, Micrograph(micrograph.data.astype(">u2"), PIXEL_SIZE)) is True
    write_sites(tmp_path / "plain.csv", sites)
    assert belongs_to(read_sidecar(tmp_path / "plain.csv"), micrograph) is None
    assert read_sidecar(tmp_path / "plain.csv").pixel_size_angstrom == pytest.approx(PIXEL_SIZE, rel=1e-12)


def test_empty_table_and_unknown_pixel_size(tmp_path):
    path = write_sites(tmp_path / "none.csv", empty_sites())
    assert list(read_sites(path).columns) == list(COLUMNS)
    assert len(read_sites(path)) == 0
    path = write_sites(tmp_path / "some.csv", make_sites([1.5], [2.5], "W", pixel_size=None))
    again = read_sites(path)
    assert np.isnan(again["y_angstrom"][0])
    assert read_sites(path, pixel_size=0.5)["x_angstrom"][0] == 1.25


def test_table_without_sidecar_keeps_its_angstrom(sites, tmp_path):
    path = write_sites(tmp_path / "found.csv", sites, pixel_size=PIXEL_SIZE)
    sidecar_path(path).unlink()
    again = read_sites(path)
    np.testing.assert_allclose(again["x_angstrom"], sites["x_angstrom"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y,x,class\n1,2,W\n3.5,4,Se2\n", [(0, 1, 2, "W"), (0, 3.5, 4, "Se2")]),
        ("X,Y\n2,1\n", [(0, 1, 2, "atom")]),
        (" ,X,Y\n1,2,1\n2,4,3\n", [(0, 1, 2, "atom"), (0, 3, 4, "atom")]),
        (" ,Area,Mean,X,Y,Slice\n1,0,9,2,1,1\n2,0,9,4,3,2\n", [(0, 1, 2, "atom"), (1, 3, 4, "atom")]),
        ("index,axis-0,axis-1\n0,1,2\n", [(0, 1, 2, "atom")]),
        ("index,axis-0,axis-1,axis-2,class\n0,3,1,2,Si\n", [(3, 1, 2, "Si")]),
        ("Frame;Row;Column;Label\n2;1;2;C\n", [(2, 1, 2, "C")]),
        ("y\tx\tspecies\n1\t2\tPt\n", [(0, 1, 2, "Pt")]),
        ("\ufeffy, x, class\n1, 2, W\n", [(0, 1, 2, "W")]),
    ],
)
def test_tables_of_others(text, expected, tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_text(text, encoding="utf-8")
    assert is_site_table(path)
    table = read_sites(path, origin="truth", pixel_size=0.5)
    assert [tuple(row) for row in table[["frame", "y", "x", "class"]].to_numpy()] == expected
    assert set(table["origin"]) == {"truth"}
    np.testing.assert_allclose(table["y_angstrom"], table["y"] * 0.5)


def test_angstrom_alone_needs_a_pixel_size(tmp_path):
    path = tmp_path / "angstrom.csv"
    path.write_text("y_angstrom,x_angstrom,class\n1.0,2.0,W\n")
    assert read_sites(path, pixel_size=0.5)[["y", "x"]].to_numpy().tolist() == [[2.0, 4.0]]
    with pytest.raises(SitesError, match="lacks the columns y and x"):
        read_sites(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n", "lacks the columns y and x; it has a, b, c"),
        ("y,class\n1,W\n", "lacks the column x"),
        ("y,x\n1,2\n3,four\n", "row 2 has x = 'four'"),
        ("y,x\n1,2\n,4\n", "row 2 has no y"),
        ("y,x,frame\n1,2,0.5\n", "frame column must hold whole numbers"),
        ("y,x,frame\n1,2,-1\n", "frame column must hold whole numbers"),
        ("y,x,origin\n1,2,guess\n", "origin 'guess' is unknown; allowed: truth, hand"),
        ("y,x,class\n1,2,W\n3,4,\n", "row 2 has no class"),
    ],
)
def test_wrong_tables_are_one_sentence(text, words, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(SitesError) as caught:
        read_sites(path)
    assert words in str(caught.value)
    assert "wrong.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        read_sites(tmp_path / "absent.csv")
    (tmp_path / "empty.csv").write_text(" \n")
    with pytest.raises(FormatError, match="is empty"):
        read_sites(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(FormatError, match="cannot be read as a table"):
        read_sites(tmp_path / "binary.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        read_sites(tmp_path / "folder.csv")
    assert not is_site_table(tmp_path / "absent.csv")
    (tmp_path / "shapes.csv").write_text("index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,2\n")
    assert not is_site_table(tmp_path / "shapes.csv")


def test_damaged_sidecar_is_named(sites, tmp_path):
    path = write_sites(tmp_path / "found.csv", sites)
    sidecar_path(path).write_text("{")
    with pytest.raises(SitesError, match=r"found\.sites\.json beside found\.csv is damaged"):
        read_sites(path)
    sidecar_path(path).write_text('{"version": 1, "pixel_size_angstrom": "wide"}')
    with pytest.raises(SitesError, match="damaged"):
        read_sites(path)
    sidecar_path(path).write_text('{"version": 99}')
    with pytest.raises(SitesError, match="version 99"):
        read_sites(path)


def test_tables_that_cannot_be_written(sites, tmp_path):
    with pytest.raises(FormatError, match=r"must end in \.csv"):
        write_sites(tmp_path / "found.txt", sites)
    with pytest.raises(SitesError, match="lacks the column x"):
        write_sites(tmp_path / "found.csv", pd.DataFrame({"y": [1.0]}))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_nothing_behind(sites, tmp_path):
    path = write_sites(tmp_path / "found.csv", sites[:3])
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    resource = pytest.importorskip("resource", reason="the limit of a file's size needs Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(FormatError, match="cannot be written"):
            write_sites(path, sites)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_every_label_file_of_the_data_folder_is_read():
    folder = data_folder()
    paths = [*folder.glob("*/*_labels.csv"), *folder.glob("wse2-virtual/*/*_defects.csv")]
    assert len(paths) > 20
    for path in paths:
        table = read_sites(path, origin="truth")
        lines = path.read_text().strip().splitlines()
        assert len(table) == len(lines) - 1
        first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
        assert (table["y"][0], table["x"][0]) == (float(first["y"]), float(first["x"]))
        assert table["class"][0] == first["class"]
        assert is_site_table(path)
