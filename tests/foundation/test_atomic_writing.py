"""Files are whole or not there."""

import os

import pytest

from napari_stemlearn.atomic_writing import replacing, write_bytes


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
