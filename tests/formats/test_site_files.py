"""Site tables on disk: round trips with all digits, foreign tables, and one sentence for wrong ones."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest

from data_folder import data_folder
from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.formats import belongs_to, read_sidecar, read_sites, sidecar_path, write_sites
from napari_stemlearn.formats.site_files import is_site_table, is_untouched, read_with_sidecar
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


def test_columns_of_a_table_that_was_changed_go_before_its_sidecar(tmp_path):
    path = write_sites(tmp_path / "s.csv", make_sites([10.0], [20.0], "W", pixel_size=0.25))
    path.write_text("frame,y,x,class,y_angstrom,x_angstrom\n0,10,20,W,4,8\n")
    assert list(read_sites(path)[["y_angstrom", "x_angstrom"]].iloc[0]) == [4.0, 8.0]
    table, sidecar = read_with_sidecar(path)
    assert sidecar.pixel_size_angstrom == pytest.approx(0.4)
    assert table["x_angstrom"][0] == 8.0
    assert list(read_sites(path, pixel_size=0.5)[["y_angstrom", "x_angstrom"]].iloc[0]) == [5.0, 10.0]
    sidecar_path(path).unlink()
    assert list(read_sites(path)[["y_angstrom", "x_angstrom"]].iloc[0]) == [4.0, 8.0]


def test_a_sidecar_that_was_changed_by_hand_goes_before_the_columns(tmp_path):
    path = write_sites(tmp_path / "s.csv", make_sites([10.0], [20.0], "W", pixel_size=0.25))
    record = json.loads(sidecar_path(path).read_text())
    for changes in ({}, {"table_sha256": ""}):
        sidecar_path(path).write_text(json.dumps({**record, **changes, "pixel_size_angstrom": 0.4}))
        assert read_sites(path)["x_angstrom"][0] == pytest.approx(8.0)
    del record["table_sha256"]
    sidecar_path(path).write_text(json.dumps({**record, "pixel_size_angstrom": 0.4}))
    assert read_sites(path)["x_angstrom"][0] == pytest.approx(8.0)


def test_rows_that_are_moved_in_a_spreadsheet_keep_the_pixel_size_of_the_sidecar(sites, tmp_path):
    path = write_sites(tmp_path / "s.csv", sites, pixel_size=PIXEL_SIZE)
    lines = path.read_text().splitlines()
    moved = lines[1].split(",")
    moved[1:3] = "3", "40"
    path.write_text("\n".join([lines[0], ",".join(moved), "0,5,6,,,W,,hand,,1,2,True,01", *lines[3:]]) + "\n")
    again, sidecar = read_with_sidecar(path)
    assert sidecar.pixel_size_angstrom == PIXEL_SIZE
    np.testing.assert_allclose(again["y_angstrom"], again["y"] * PIXEL_SIZE)
    # pixels alone say nothing of their size
    path.write_text("y,x\n10,20\n")
    assert read_sites(path)["x_angstrom"][0] == pytest.approx(20 * PIXEL_SIZE)


def test_a_table_is_untouched_until_somebody_changes_it(sites, tmp_path):
    path = write_sites(tmp_path / "s.csv", sites, pixel_size=PIXEL_SIZE, replaceable=True)
    assert is_untouched(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert not is_untouched(path)
    path.write_bytes(whole)
    assert is_untouched(path)
    sidecar_path(path).unlink()
    assert not is_untouched(path)
    write_sites(path, sites, pixel_size=PIXEL_SIZE)
    assert not is_untouched(path)


@pytest.mark.parametrize(
    "head",
    ["# by me\ny,x,class\n", "# by me, twice\n\n  # and again\ny,x,class\n", "# by me\n# y,x,class\n", "#y,x,class\n"],
)
def test_comments_before_the_names_of_columns_are_skipped(tmp_path, head):
    path = tmp_path / "labels.csv"
    path.write_text(f"{head}1.5,2,W\n3,4,#1\n", encoding="utf-8")
    table = read_sites(path)
    assert table["class"].tolist() == ["W", "#1"]
    assert table["y"].tolist() == [1.5, 3.0]


def test_a_column_of_numbers_may_be_called_by_its_sign(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("#,y,x\n1,5,6\n2,7,8\n", encoding="utf-8")
    assert read_sites(path)["x"].tolist() == [6, 8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y,x,y_angstrom,x_angstrom\n100,100,20,40\n200,200,40,80\n", "row 1 has x = 100 pixels and x_angstrom = 40"),
        ("y,x,y_angstrom,x_angstrom\n100,90,20,18\n200,99,40,19.8\n300,9,90,1.8\n", "row 3 has y = 300 pixels"),
        ("y,x,x_angstrom\n1,500,100\n2,900,183\n", "pixels and x_angstrom = "),
    ],
)
def test_angstrom_that_contradict_each_other_are_refused(text, words, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(text)
    with pytest.raises(SitesError) as caught:
        read_sites(path)
    assert str(caught.value).startswith("odd.csv: ")
    assert words in str(caught.value)
    assert read_sites(path, pixel_size=0.2)["x_angstrom"][0] == pytest.approx(
        0.2 * read_sites(path, pixel_size=1)["x"][0]
    )


def test_rounded_angstrom_contradict_nothing(tmp_path):
    path = tmp_path / "round.csv"
    y = np.arange(0, 500, 7.0)
    for digits in (1, 2):
        rows = "".join(f"{one:.{digits}f},3,{one * 0.2074:.1f},0.6\n" for one in y)
        path.write_text(f"y,x,y_angstrom,x_angstrom\n{rows}")
        assert read_sites(path)["y_angstrom"].iloc[-1] == pytest.approx(y[-1] * 0.2074, rel=5e-3)


def test_angstrom_alone_take_the_pixel_size_of_the_sidecar(tmp_path):
    path = write_sites(tmp_path / "s.csv", make_sites([10.0], [20.0], "W", pixel_size=0.25))
    path.write_text("class,y_angstrom,x_angstrom\nW,2.5,5\n")
    assert list(read_sites(path)[["y", "x"]].iloc[0]) == [10.0, 20.0]


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
        (" ,x,y\n1,2,1\n2,4,3\n", [(0, 1, 2, "atom"), (0, 3, 4, "atom")]),
        ("Slice,y,x\n1,1,2\n2,3,4\n", [(0, 1, 2, "atom"), (1, 3, 4, "atom")]),
        ("y,x,class\n1,2,W,\n3,4,Se2, ,\n", [(0, 1, 2, "W"), (0, 3, 4, "Se2")]),
        ("y;x;class\n1,5;2;W\n10,25;4,5;Se2\n", [(0, 1.5, 2, "W"), (0, 10.25, 4.5, "Se2")]),
        ("y\tx\tclass\n1,5\t2,125\tW\n", [(0, 1.5, 2.125, "W")]),
        ("\n\ny,x,,\n1,2,,\n\n3,4\n\n", [(0, 1, 2, "atom"), (0, 3, 4, "atom")]),
        ("y;x\n1,125;2,250\n", [(0, 1.125, 2.25, "atom")]),
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_of_tables(encoding, end, tmp_path):
    path = tmp_path / "foreign.csv"
    text = "y\tx\tclass\tRadius (µm)\n1,5\t2\tLücke\t3\n".replace("\n", end)
    path.write_bytes(text.encode(encoding))
    assert is_site_table(path)
    table = read_sites(path)
    assert table[["y", "x", "class", "Radius (µm)"]].to_numpy().tolist() == [[1.5, 2.0, "Lücke", 3]]


@pytest.mark.parametrize(
    "raw", ["y,x\n1,2\n".encode("utf-16-le"), "y,x,class\n1,2,\u7a7a".encode("utf-16")[:-1], b"y,x\n\x81,2"]
)
def test_unknown_encodings_say_what_to_do(raw, tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=r"cannot be read as a table: .* save it as UTF-8"):
        read_sites(path)


def test_results_of_imagej_that_are_known_to_be_pixels(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(" ,X,Y\n1,2,1\n2,4,3\n")
    assert read_sites(path, imagej_pixels=True)[["y", "x"]].to_numpy().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(SitesError, match="results table of ImageJ"):
        read_sites(path)


def test_columns_of_one_name_and_fields_in_quotes(tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_text('y,x,class,width,width\n1,2,"a, ""b""\nc",3,4\n')
    table = read_sites(path)
    assert table["class"].tolist() == ['a, "b"\nc']
    assert table[["width", "width.1"]].to_numpy().tolist() == [[3, 4]]
    path.write_text('y,x,class\n1,2,"W\n3,4,W\n')
    with pytest.raises(SitesError, match=r"foreign\.csv cannot be read as a table: unexpected end"):
        read_sites(path)


def test_scores_with_decimal_commas(tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_text("y;x;score\n1,5;2;0,25\n3;4;\n")
    np.testing.assert_array_equal(read_sites(path)["score"], [0.25, np.nan])


def test_further_columns_with_decimal_commas(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text("y;x;class;intensity;mixed;list;label of mine\n1,5;2;W;1234,5;1,5;1,2,3;a,b\n3;4;W;7;no;1;c\n")
    table = read_sites(path)
    assert table["intensity"].tolist() == [1234.5, 7.0]
    assert [table[name][0] for name in ("mixed", "list", "label of mine")] == ["1,5", "1,2,3", "a,b"]
    path.write_text("y;x;intensity\n1;2;0,5\n")
    assert read_sites(path)["intensity"].tolist() == [0.5]
    # points in positions: the comma is no decimal sign here
    path.write_text("y;x;pair\n1.5;2;0,5\n")
    assert read_sites(path)["pair"].tolist() == ["0,5"]
    path.write_text("y\tx\tintensity\n1\t2\t1,234\n")
    assert read_sites(path)["intensity"].tolist() == ["1,234"]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_line_that_names_the_separator(line, encoding, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(f"{line}\r\ny;x;class\r\n1,5;2;W\r\n".encode(encoding))
    assert is_site_table(path)
    assert read_sites(path)[["y", "x", "class"]].to_numpy().tolist() == [[1.5, 2.0, "W"]]
    path.write_bytes(f"{line}\n".encode(encoding))
    with pytest.raises(FormatError, match=r"excel\.csv is empty"):
        read_sites(path)


def test_names_and_blanks_of_further_columns_come_back(tmp_path):
    table = make_sites([1 / 3, 2], [3, 4], [" W", "Se "], pixel_size=None, origin="hand")
    table = table.assign(index=[3, 4], words=[" a", ' "b'], **{"Unnamed: 0": [0.1, 1 / 3], "": [5, 6]})
    again = read_sites(write_sites(tmp_path / "s.csv", table))
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    # row numbers of others still go
    sidecar_path(tmp_path / "s.csv").unlink()
    assert not {"index", "Unnamed: 0", ""} & set(read_sites(tmp_path / "s.csv"))


@pytest.mark.parametrize("letter", ["\r", "\0", "\udcf6"])
def test_words_that_would_not_come_back_are_not_written(letter, tmp_path):
    table = make_sites([1, 2], [3, 4], ["W", f"W{letter}x"], pixel_size=0.2)
    with pytest.raises(SitesError, match=r"the table: row 2 has class = .* a letter that a CSV file cannot keep"):
        write_sites(tmp_path / "s.csv", table)
    with pytest.raises(SitesError, match="row 1 has note = "):
        write_sites(tmp_path / "s.csv", make_sites([1], [3], "W", pixel_size=0.2).assign(note=f"{letter}"))
    assert not list(tmp_path.iterdir())


def test_whole_numbers_of_any_length_keep_their_digits(tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_text(f"y,x,small,large,huge\n1,2,-3,{2**63},{10**30 + 1}\n")
    table = read_sites(path)
    assert [table[name][0] for name in ("small", "large", "huge")] == [-3, 2**63, str(10**30 + 1)]
    again = read_sites(write_sites(tmp_path / "again.csv", table))
    assert again["large"].dtype == table["large"].dtype == np.uint64
    pd.testing.assert_frame_equal(again, table)


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
        (
            "y,x,class\n1,2,W\n10,5,20,5,W\n",
            "row 2 has 5 fields, but there are 3 columns in the first line, 'y,x,class'; numbers must have a decimal",
        ),
        ("labelled by me\ny,x\n1.5,2.5\n", "row 1 has 2 fields, but there is 1 column in the first line, 'labelled"),
        ("y,x\n10,5,20\n", "row 1 has 3 fields, but there are 2 columns"),
        ("y;x\n1;2;3\n", "row 1 has 3 fields, but there are 2 columns in the first line, 'y;x'."),
        ('y,x\n1,2\n"3,5",4\n', "row 2 has y = '3,5', which is no position"),
        ("y;x\n1.5;2\n3,5;4\n", "row 2 has y = '3,5', which is no position"),
        ("y;x\n1.024,5;2\n", "row 1 has y = '1.024,5', which is no position"),
        (
            "y\tx\n1,024\t512\n",
            "has numbers such as 1,024, where the comma may stand before decimals or between thousands",
        ),
        ("y,x,score\n1,2,0.5\n3,4,high\n", "row 2 has score = 'high', which is no number"),
        ("y,x,frame\n1,2,inf\n", "row 1 has inf"),
        ("y,x,frame\n1,2,1e30\n", "row 1 has 1e+30"),
        ("Slice,y,x\n1,1,2\ntop,3,4\n", "row 2 has top"),
        ("y,x,y_angstrom\n3,4,far\n", "row 1 has y_angstrom = 'far', which is no position"),
        ("y_angstrom,x_angstrom\n1,2\n3,\n", "row 2 has no x_angstrom"),
        (" ,Area,Mean,X,Y,Slice\n1,0,9,2,1,1\n", "results table of ImageJ, where X and Y have the unit of the image"),
        ("Area,Mean,X,Y\n0,9,2,1\n", "(X / pixel width - 0.5)"),
        (" \tX\tY\n1\t2\t1\n", "results table of ImageJ"),
    ],
)
def test_wrong_tables_are_one_sentence(text, words, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(SitesError) as caught:
        read_sites(path, pixel_size=0.2)
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
    with pytest.raises(FormatError, match=r"^binary\.csv cannot be read as a table: it is no text"):
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
    for missing in (None, np.nan, " "):
        sites["class"] = pd.Series(["W", missing, *["W"] * (len(sites) - 2)], dtype=object)
        with pytest.raises(SitesError, match="the table: row 2 has no class"):
            write_sites(tmp_path / "found.csv", sites)
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_for_its_sidecar(sites, tmp_path):
    path = tmp_path / ("n" * 251 + ".csv")
    with pytest.raises(FormatError, match=r"sites\.json cannot be written: .*too long"):
        write_sites(path, sites)
    assert list(tmp_path.iterdir()) == []
    path.write_text("y,x\n1,2\n")
    assert len(read_sites(path)) == 1
    with pytest.raises(FormatError, match="does not exist"):
        read_sites(tmp_path / ("n" * 300 + ".csv"))


@pytest.mark.parametrize("older", [True, False])
def test_table_and_sidecar_change_together(older, sites, tmp_path, monkeypatch):
    path = tmp_path / "found.csv"
    if older:
        write_sites(path, sites[:3])
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    replace = os.replace

    def refuse_sidecar(source, target):
        if str(target).endswith(".sites.json"):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_sidecar)
    with pytest.raises(FormatError, match=r"found\.sites\.json cannot be written: Permission denied"):
        write_sites(path, sites)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_read_only_table_is_kept(sites, tmp_path):
    path = write_sites(tmp_path / "found.csv", sites[:3])
    path.chmod(0o444)
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    with pytest.raises(FormatError, match=r"found\.csv cannot be written: the file is read-only"):
        write_sites(path, sites)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_x_tells_the_pixel_size_of_a_row_along_the_edge(tmp_path):
    path = write_sites(tmp_path / "edge.csv", make_sites([0, 0.5, 1], [10, 20, 30], "W", pixel_size=0.25))
    assert read_sidecar(path).pixel_size_angstrom == 0.25
    assert read_sites(path)["x_angstrom"].tolist() == [2.5, 5.0, 7.5]


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
