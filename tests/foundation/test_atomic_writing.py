"""Files are whole or not there."""

import os

import pytest

from napari_stemlearn import atomic_writing
from napari_stemlearn.atomic_writing import replacing, replacing_together, taken_back, visible_files, write_bytes


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("half")
        assert path.read_text() == "old"
    assert path.read_text() == "half"
    assert os.listdir(tmp_path) == ["sites.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_older_file(tmp_path, error):
    path = tmp_path / "sites.csv"
    path.write_text("old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["sites.csv"]


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    write_bytes(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "gone" / "last.json", b"{}")
    assert not os.listdir(tmp_path)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "sites.csv", tmp_path / "sites.csv"
    target.write_text("old")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("links may not be made here")
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path / "store") == ["sites.csv"]


def test_a_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["sites.csv"]


@pytest.mark.parametrize("linkable", [True, False])
@pytest.mark.parametrize("older", ["old", None])
def test_a_file_is_taken_back_when_its_companion_fails(tmp_path, monkeypatch, linkable, older):
    def no_link(*_paths: object) -> None:
        raise OSError("no links on this disk")

    if not linkable:
        monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "sites.csv"
    if older:
        path.write_text(older)

    def both() -> None:
        with taken_back(path):
            write_bytes(path, b"new")
            assert path.read_text() == "new"
            raise OSError("the companion cannot be written")

    with pytest.raises(OSError, match="companion"):
        both()
    assert os.listdir(tmp_path) == (["sites.csv"] if older else [])
    assert not older or path.read_text() == older
    with taken_back(path):
        write_bytes(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["sites.csv"]


def test_files_that_belong_together_are_replaced_together(tmp_path):
    weights, card = tmp_path / "weights.bin", tmp_path / "card.json"
    with replacing_together(weights, card) as (first, second):
        first.write_text("1")
        second.write_text("a")
    assert (weights.read_text(), card.read_text()) == ("1", "a")
    assert sorted(os.listdir(tmp_path)) == ["card.json", "weights.bin"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("refused", ["weights.bin", "card.json"])
def test_where_one_of_the_files_is_refused_none_is_replaced(tmp_path, monkeypatch, before, refused):
    weights, card = tmp_path / "weights.bin", tmp_path / "card.json"
    if before:
        weights.write_text("old")
        card.write_text("older")
    replace = os.replace

    def refusing(source, target):
        if str(target).endswith(refused) and not str(source).endswith(".old"):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)

    def both():
        with replacing_together(weights, card) as (first, second):
            first.write_text("new")
            second.write_text("new")

    with pytest.raises(PermissionError):
        both()
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == ({"weights.bin": "old", "card.json": "older"} if before else {})


@pytest.mark.parametrize("killed_long_ago", [True, False])
def test_what_killed_writers_left_goes_when_the_file_is_written_again(tmp_path, monkeypatch, killed_long_ago):
    mark = "0123456789ab"
    left = [f".labels-{mark}.old", f".labels-{mark}.csv"]
    kept = [
        f".other-{mark}.old",
        f".labels-{mark}.old.csv",
        ".labels-2.old",
        f"labels-{mark}.old",
        f".labels-{mark}.json",
    ]
    for name in (*left, *kept):
        (tmp_path / name).write_text("mine")
    if killed_long_ago:
        monkeypatch.setattr(atomic_writing, "_A_DAY", -1.0)
    path = tmp_path / "labels.csv"
    for content in (b"1", b"2"):
        with taken_back(path):
            write_bytes(path, content)
            # while files are replaced together, what was there before may be needed
            assert (tmp_path / left[0]).exists() == (content == b"1" or not killed_long_ago)
    assert set(os.listdir(tmp_path)) == {"labels.csv", *kept, *(() if killed_long_ago else left)}


def test_hidden_and_half_written_files_are_not_listed(tmp_path):
    place = tmp_path / ".hidden" / "place"
    for name in ("b/card.json", "a/card.json", ".part/card.json", "c/.card.json", "a/.d/card.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    assert visible_files(place, "*/card.json") == [place / "a" / "card.json", place / "b" / "card.json"]
    assert visible_files(place, "**/*.json") == visible_files(place, "*/card.json")
    assert visible_files(tmp_path / "gone", "*") == []
