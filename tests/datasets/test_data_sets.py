"""Data sets on disk: exact round trips, what a crash leaves, what cannot be opened, files for others."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.datasets import DataSet, create_data_set, open_data_set
from napari_stemlearn.datasets.entry import Entry
from napari_stemlearn.datasets.image_table import read_write_uri
from napari_stemlearn.datasets.places import CARD, data_set_folder, is_data_set
from napari_stemlearn.datasets.site_packing import pack_sites, unpack_positions, unpack_sites
from napari_stemlearn.datasets.store import IMAGES, TABLE
from napari_stemlearn.errors import FormatError, MicrographError, SitesError
from napari_stemlearn.formats import read_micrograph, read_sites
from napari_stemlearn.learning.stored import read_set
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import concat_sites, make_sites

SHAPE = (20, 24)


def some_sites(seed: int, defects: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0, 19, (2, 30))
    names = rng.choice(["W", "Se2"], 30)
    extra = {"sublattice": names, "n_atoms": rng.integers(1, 3, 30), "kind": "column", "removed": ""}
    columns = make_sites(y, x, names, pixel_size=0.2, extra=extra)
    taken = {"sublattice": "Se2", "n_atoms": 1, "kind": "defect", "removed": "Se"}
    return concat_sites([columns, make_sites(y[:defects], x[:defects], "vacancy1", pixel_size=0.2, extra=taken)])


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    made = create_data_set(tmp_path / "small.stemset", shape=SHAPE, pixel_size=0.2, synthetic=True, number=2)
    for seed in range(3):
        made.add(
            pixels(seed),
            some_sites(seed, defects=seed),
            {"imaging": {"detector": {"dose": 1e4 * (seed + 1), "stretch": seed == 1}}, "structure.crystal": "WSe2"},
        )
    return made


def test_what_is_put_in_comes_out(data_set: DataSet) -> None:
    again = open_data_set(data_set.path)
    assert len(again) == 3
    assert again.shape == SHAPE
    for seed in range(3):
        micrograph = again.image(seed)
        np.testing.assert_array_equal(micrograph.data, pixels(seed))
        assert micrograph.data.dtype == np.float32
        assert micrograph.pixel_size == 0.2
        assert micrograph.provenance["synthetic"] is True
        assert "SYNTHETIC" in micrograph.provenance["statement"]
        assert micrograph.provenance["drawn"]["imaging.detector.dose"] == 1e4 * (seed + 1)
        wanted = some_sites(seed, defects=seed)
        pd.testing.assert_frame_equal(again.sites(seed)[list(wanted.columns)], wanted)
        classes, y, x = again.positions(seed)
        np.testing.assert_array_equal(np.stack([y, x]), wanted[["y", "x"]].to_numpy().T)
        assert list(classes) == list(wanted["class"])
    assert again.settings == {}
    with pytest.raises(FormatError, match="has no image 3"):
        again.image(3)


def test_labels_keep_every_digit_and_every_type() -> None:
    table = some_sites(5).assign(score=np.linspace(0, 1, 32), frame=0, flag=np.arange(32) % 3 == 0)
    table.loc[3, "y_angstrom"] += 1e-9
    block = pack_sites(table, 0.2)
    pd.testing.assert_frame_equal(unpack_sites(block, 0.2)[list(table.columns)], table)
    empty = unpack_sites(pack_sites(table[:0], 0.2), 0.2)
    assert len(empty) == 0
    assert set(table.columns) <= set(empty.columns)
    for damaged in (block[:-8], b"nonsense", pickle.dumps({"sites": 1})):
        with pytest.raises(FormatError, match="labels of an image are damaged"):
            unpack_positions(damaged)


def test_an_image_counts_once_its_row_is_there(data_set: DataSet) -> None:
    # what a crash between pixels and row leaves
    data_set.grow(5)
    data_set._array[3] = pixels(9)
    again = open_data_set(data_set.path)
    assert len(again) == 3
    assert 3 not in again
    with pytest.raises(FormatError, match="has no image 3"):
        again.image(3)
    again.add(pixels(3), some_sites(3), index=3)
    np.testing.assert_array_equal(again.pixels(3), pixels(3))
    with pytest.raises(FormatError, match="image 3 already"):
        again.add(pixels(4), some_sites(4), index=3)
    np.testing.assert_array_equal(again.pixels(3), pixels(3))


def test_images_whose_files_are_gone_or_damaged_are_named_and_can_be_made_again(data_set: DataSet) -> None:
    (data_set.path / IMAGES / "1.0.0").unlink()
    with pytest.raises(FormatError, match=r"pixels of image 1 .* are missing"):
        data_set.pixels(1)
    chunk = data_set.path / IMAGES / "2.0.0"
    content = bytearray(chunk.read_bytes())
    content[100] ^= 255
    chunk.write_bytes(content)
    with pytest.raises(FormatError, match=r"Image 2 .* cannot be read"):
        data_set.pixels(2)
    assert data_set.mend() == [1]
    assert data_set.indices() == [0, 2]
    data_set.add(pixels(1), some_sites(1), index=1)
    np.testing.assert_array_equal(data_set.pixels(1), pixels(1))


def test_rows_come_all_or_none(data_set: DataSet) -> None:
    entries = {index: Entry.of(pixels(index), some_sites(index), {"new": 1}, pixel_size=0.2) for index in (7, 8)}
    rows = {7: entries[7].row, 1: entries[8].row}
    with pytest.raises(FormatError, match="holds the image already"):
        data_set.table.add(rows)
    assert data_set.indices() == [0, 1, 2]
    assert "new" not in data_set.query()
    data_set.add_entries(entries)
    assert data_set.query()["new"].tolist()[-2:] == [1, 1]
    assert data_set.query()["new"].isna().sum() == 3


def test_an_open_set_sees_what_others_add(data_set: DataSet) -> None:
    early = open_data_set(data_set.path)
    assert len(early) == 3
    np.testing.assert_array_equal(early.pixels(0), pixels(0))
    data_set.grow(40)
    data_set.add(pixels(30), some_sites(30), {"later": "yes"}, index=30)
    np.testing.assert_array_equal(early.pixels(30), pixels(30))
    assert early.indices("later = yes") == [30]


def test_a_set_that_was_deleted_is_not_made_again(data_set: DataSet) -> None:
    data_set.pixels(0)
    shutil.rmtree(data_set.path)
    with pytest.raises(FormatError, match="is gone"):
        data_set.add_entries({5: Entry.of(pixels(5), some_sites(5), {}, pixel_size=0.2)})
    assert not data_set.path.exists()


def test_two_writers_take_turns(data_set: DataSet) -> None:
    start = threading.Barrier(2, timeout=30)

    def add_ten(first: int) -> None:
        own = open_data_set(data_set.path)
        for seed in range(first, first + 10):
            start.wait()
            own.add(pixels(seed), some_sites(seed), {"seed": seed})
        own.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add_ten, (100, 200)))
    made = data_set.query()["seed"].dropna()
    assert sorted(made) == [*range(100, 110), *range(200, 210)]
    for index, seed in made.items():
        np.testing.assert_array_equal(data_set.pixels(index), pixels(int(seed)))
        wanted = some_sites(int(seed))
        pd.testing.assert_frame_equal(data_set.sites(index)[list(wanted.columns)], wanted)


def test_who_opened_the_set_before_it_grew_takes_nothing_from_it(data_set: DataSet) -> None:
    other = open_data_set(data_set.path)
    assert other._array.shape[0] == 3
    data_set.add(pixels(40), some_sites(40), index=40)
    other.add(pixels(31), some_sites(31), index=31)
    other.grow(20)
    again = open_data_set(data_set.path)
    for index in (31, 40):
        np.testing.assert_array_equal(again.pixels(index), pixels(index))
    assert again.card["number"] == 41


def test_nothing_is_written_into_another_set_that_came_in_its_place(data_set: DataSet) -> None:
    shutil.rmtree(data_set.path)
    new = create_data_set(data_set.path, shape=SHAPE, pixel_size=0.2, synthetic=True)
    new.add(pixels(1), some_sites(1))
    for wrong in (lambda: data_set.add(pixels(2), some_sites(2), index=0), lambda: data_set.grow(9), data_set.mend):
        with pytest.raises(FormatError, match="replaced by another one"):
            wrong()
    np.testing.assert_array_equal(open_data_set(data_set.path).pixels(0), pixels(1))
    assert len(open_data_set(data_set.path)) == 1


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_parameter_may_have_no_value_at_first(data_set: DataSet, nothing: float | None) -> None:
    data_set.add(pixels(5), some_sites(5), {"tilt": nothing})
    data_set.add(pixels(6), some_sites(6), {"tilt": 1.5})
    assert data_set.indices("tilt > 1") == [4]
    assert "tilt" not in data_set.table.parameters(3)
    assert data_set.query()["tilt"].isna().tolist() == [True] * 4 + [False]


def test_images_that_do_not_belong_are_refused(data_set: DataSet) -> None:
    with pytest.raises(MicrographError, match="have 20 by 24 pixels; image 3 has 4 by 4"):
        data_set.add(np.ones((4, 4)), some_sites(0))
    with pytest.raises(MicrographError, match="NaN"):
        data_set.add(np.full(SHAPE, np.nan), some_sites(0))
    with pytest.raises(FormatError, match="same name"):
        data_set.add(pixels(0), some_sites(0), {"Dose": 1, "dose": 2})
    assert len(data_set) == 3


def test_micrographs_that_do_not_belong_are_refused(data_set: DataSet) -> None:
    with pytest.raises(MicrographError, match=r"pixel size of 'x' is 0\.4 angstrom; images of .* have 0\.2 angstrom"):
        data_set.add(Micrograph(pixels(0), 0.4, "x"), some_sites(0))
    stack = np.stack([pixels(seed) for seed in range(3)])
    with pytest.raises(MicrographError, match="'x' is a stack of 3 frames"):
        data_set.add(Micrograph(stack, 0.2, "x"), some_sites(0))
    with pytest.raises(SitesError, match="30 sites are of frames other than 0, the first of frame 2"):
        data_set.add(pixels(0), concat_sites([some_sites(0, 0), some_sites(1, 0).assign(frame=2)]))
    before = data_set.pixels(2)
    with pytest.raises(FormatError, match=r"cannot have the number -1; they count from 0"):
        data_set.add(pixels(0), some_sites(0), index=-1)
    np.testing.assert_array_equal(data_set.pixels(2), before)
    for column in ("class", "kind"):
        with pytest.raises(SitesError, match=f"Row 4 of the sites has no {column}"):
            data_set.add(pixels(0), some_sites(0).assign(**{column: [*["W"] * 3, None, *["W"] * 28]}))
    with pytest.raises(FormatError, match=r"'seed' is 9223372036854775808; whole numbers from -2\^63 to 2\^63 - 1"):
        data_set.add(pixels(0), some_sites(0), {"seed": 2**63})
    assert data_set.indices() == [0, 1, 2]
    # rounding, an unknown pixel size and a stack of one frame do no harm
    for image in (
        Micrograph(pixels(7), 0.20001),
        Micrograph(pixels(7), None),
        Micrograph(pixels(7)[None], 0.2),
    ):
        number = data_set.add(image, some_sites(0), {"seed": 2**63 - 1})
        np.testing.assert_array_equal(data_set.pixels(number), pixels(7))
    assert data_set.indices("seed > 9e18") == [3, 4, 5]


def test_missing_words_stay_missing(data_set: DataSet, tmp_path: Path) -> None:
    table = some_sites(5).assign(remark=[*["good"] * 2, None, np.nan, *["nan"] * 28])
    data_set.add(pixels(5), table)
    again = data_set.sites(3)
    assert again["remark"].isna().tolist() == [False] * 2 + [True] * 2 + [False] * 28
    assert again["remark"].tolist()[:2] == ["good", "good"]
    assert again["remark"].tolist()[4] == "nan"
    nothing = unpack_sites(pack_sites(table.assign(remark=pd.Series([None] * 32, dtype=object)), 0.2), 0.2)
    assert nothing["remark"].isna().all()
    data_set.export(tmp_path / "files", "image = 3")
    exported = pd.read_csv(tmp_path / "files" / "00003_sites.csv", keep_default_na=False)
    assert exported["remark"].tolist()[:5] == ["good", "good", "", "", "nan"]


def test_info_tells_what_is_there(data_set: DataSet) -> None:
    info = data_set.info()
    assert info["images"] == 3
    assert info["defects"] == {"vacancy1": 3}
    assert sum(info["columns"].values()) == 90
    assert info["parameters"]["imaging.detector.dose"] == [1e4, 3e4]
    assert info["synthetic"] is True
    assert info["bytes"] > 3 * 1000
    json.dumps(info)


def test_a_set_can_be_sent_to_another_process(data_set: DataSet) -> None:
    copy = pickle.loads(pickle.dumps(data_set))
    np.testing.assert_array_equal(copy.pixels(1), pixels(1))
    assert copy.indices("dose > 15000") == [1, 2]


def test_files_for_others(data_set: DataSet, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    # what a system hides in a folder is no other file
    for name in (".DS_Store", "._00001.tif"):
        (tmp_path / "files" / name).write_text("")
    files = data_set.export(tmp_path / "files", "class has vacancy1")
    assert [file.name for file in files] == ["00001.tif", "00002.tif"]
    micrograph = read_micrograph(files[1])
    np.testing.assert_array_equal(micrograph.data, pixels(2))
    assert micrograph.pixel_size == pytest.approx(0.2)
    assert micrograph.provenance["synthetic"] is True
    sites = read_sites(tmp_path / "files" / "00002_sites.csv")
    wanted = some_sites(2)
    pd.testing.assert_frame_equal(sites[list(wanted.columns)], wanted)
    table = pd.read_csv(tmp_path / "files" / "images.csv")
    assert list(table["image"]) == ["00001.tif", "00002.tif"]
    assert list(table["n_vacancy1"]) == [1, 2]
    assert len(read_set(tmp_path / "files")) == 2
    with pytest.raises(FormatError, match="holds other files"):
        data_set.export(tmp_path / "files")
    with pytest.raises(FormatError, match="No image"):
        data_set.export(tmp_path / "none", "dose > 1e9")
    assert not (tmp_path / "none").exists()


def _without_card(path: Path) -> None:
    (path / CARD).unlink()


def _half_a_card(path: Path) -> None:
    (path / CARD).write_text((path / CARD).read_text()[:40])


def _newer(path: Path) -> None:
    (path / CARD).write_text(json.dumps({**json.loads((path / CARD).read_text()), "format": 99}))


def _of_another_program(path: Path) -> None:
    (path / CARD).write_text(json.dumps({**json.loads((path / CARD).read_text()), "kind": "pictures"}))


def _a_list(path: Path) -> None:
    (path / CARD).write_text("[1]")


def _without_table(path: Path) -> None:
    (path / TABLE).unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_without_card, "is no data set"),
        (_half_a_card, "is damaged"),
        (_newer, "of version 99"),
        (_of_another_program, r"is no data set: its dataset\.json is of another program"),
        (_a_list, "is damaged"),
        (_without_table, r"table\.sqlite is missing"),
    ],
)
def test_folders_that_cannot_be_opened(data_set: DataSet, harm: Any, words: str) -> None:
    harm(data_set.path)
    with pytest.raises(FormatError, match=words):
        open_data_set(data_set.path)


def test_a_card_of_another_program_makes_no_data_set(data_set: DataSet) -> None:
    assert is_data_set(data_set.path)
    _half_a_card(data_set.path)
    # opening it says what is wrong
    assert is_data_set(data_set.path)
    (data_set.path / CARD).write_text('{"name": "of another program"}')
    assert not is_data_set(data_set.path)
    assert not is_data_set(data_set.path / "nowhere")


def test_places_that_cannot_take_a_set(data_set: DataSet, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        open_data_set(tmp_path / "nowhere.stemset")
    with pytest.raises(FormatError, match="is there already"):
        create_data_set(data_set.path, shape=SHAPE, pixel_size=0.2, synthetic=True)
    with pytest.raises(FormatError, match=r"must end in \.stemset"):
        create_data_set(tmp_path / "set", shape=SHAPE, pixel_size=0.2, synthetic=True)
    with pytest.raises(MicrographError, match="would have 0 by 50 pixels; at least 2 by 2 are needed"):
        create_data_set(tmp_path / "bad.stemset", shape=(0, 50), pixel_size=0.2, synthetic=True)
    with pytest.raises(MicrographError, match="pixel size"):
        create_data_set(tmp_path / "bad.stemset", shape=SHAPE, pixel_size=0, synthetic=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="cannot be made"):
        create_data_set(tmp_path / "file" / "x.stemset", shape=SHAPE, pixel_size=0.2, synthetic=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "small.stemset"]


def test_a_damaged_table_is_one_sentence(data_set: DataSet) -> None:
    data_set.close()
    (data_set.path / TABLE).write_bytes(b"no table at all, but long enough to be taken for one" * 40)
    with pytest.raises(FormatError, match=r"table .* cannot be read") as caught:
        open_data_set(data_set.path).query()
    assert isinstance(caught.value.__cause__, sqlite3.Error)


def test_names_become_folders() -> None:
    assert data_set_folder("day A: 3/4") == "day A_ 3_4.stemset"
    assert data_set_folder("..") == "data set.stemset"
    assert data_set_folder("x.stemset") == "x.stemset"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (PureWindowsPath(r"\\lab\share\day 1.stemset\table.sqlite"), "file:////lab/share/day%201.stemset/table.sqlite"),
        (PureWindowsPath(r"C:\data\a#b.stemset\table.sqlite"), "file:///C:/data/a%23b.stemset/table.sqlite"),
        (PurePosixPath("/data/what?.stemset/table.sqlite"), "file:///data/what%3F.stemset/table.sqlite"),
    ],
    ids=str,
)
def test_the_table_of_a_set_is_opened_on_a_network_share_too(path: PurePath, address: str) -> None:
    assert read_write_uri(path) == f"{address}?mode=rw"


def test_sqlite_takes_an_address_that_begins_like_a_share(tmp_path: Path) -> None:
    place = tmp_path / "what? 5 % #1"
    place.mkdir()
    sqlite3.connect(place / TABLE).execute("CREATE TABLE images (image)").connection.close()
    for uri in (read_write_uri(place / TABLE), read_write_uri(place / TABLE).replace("file://", "file:///", 1)):
        connection = sqlite3.connect(uri, uri=True)
        assert connection.execute("SELECT * FROM images").fetchall() == []
        connection.close()


@pytest.mark.parametrize("part", ["table", "card"])
def test_a_table_or_card_that_cannot_be_written_whole_is_not_half_there(
    data_set: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    write = pd.DataFrame.to_csv
    before = (data_set.path / CARD).read_bytes()

    def full(table: pd.DataFrame, path: Path | None = None, **named: Any) -> str | None:
        if path is None:
            return write(table, **named)
        Path(path).write_text("index,ima")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if part == "table":
        monkeypatch.setattr(pd.DataFrame, "to_csv", full)
        with pytest.raises(FormatError, match="No space left on device"):
            data_set.export(tmp_path / "files")
        assert not list((tmp_path / "files").glob("*images*"))
    else:
        monkeypatch.setattr(os, "fsync", lambda _descriptor: full(pd.DataFrame(), tmp_path / "other"))
        with pytest.raises(FormatError, match="No space left on device"):
            data_set.grow(100)
        assert (data_set.path / CARD).read_bytes() == before
        assert not list(data_set.path.glob(".*"))
