"""Folders of generators: written whole or not at all, and only whole ones are offered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_stemlearn.learning.generator_cards import generators_in, words_on
from napari_stemlearn.learning.translators import CARD, load_translator
from untrained_generator import untrained_generator


def test_a_generator_that_cannot_be_replaced_whole_stays(tmp_path: Path) -> None:
    folder = untrained_generator(tmp_path / "day")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / CARD).chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        untrained_generator(folder, seed=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    load_translator(folder, "cpu")


def test_half_written_generators_are_not_offered(tmp_path: Path) -> None:
    folder = untrained_generator(tmp_path / "kept" / "day")
    shutil.copytree(folder, tmp_path / ".part" / "day")
    shutil.copytree(folder, tmp_path / ".day")
    assert generators_in(tmp_path) == [folder]


def test_the_kernel_distance_is_told_with_its_error() -> None:
    looks = {"simulated": {"kid": 0.0241, "kid_error": 0.0008}, "generated": {"kid": -0.00002, "kid_error": 0.0001}}
    assert words_on({"measured": {"looks": looks}}) == [
        "Distance to the experiment, before → after: KID 0.0241 ± 0.0008 → 0.0000 ± 0.0001."
    ]
    looks["generated"] = {"kid": None}
    assert words_on({"measured": {"looks": looks}}) == []
