"""Files are whole or not there."""

import os

import pytest

from napari_stemlearn.atomic_writing import replacing, taken_back, write_bytes


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
