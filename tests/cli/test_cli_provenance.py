"""``stemlearn provenance``: marks in words and as JSON, one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn.formats import write_tiff
from napari_stemlearn.marking import embed_watermark, synthetic_provenance
from napari_stemlearn.micrograph import Micrograph


@pytest.fixture
def images(tmp_path: Path) -> None:
    plain = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    marked = np.fliplr(embed_watermark(plain))
    write_tiff(tmp_path / "generated.tif", Micrograph(marked, 0.2, "x", synthetic_provenance("day a", watermark=True)))
    write_tiff(tmp_path / "measured.tif", Micrograph(plain, 0.2, "y", {"synthetic": False}))
    write_tiff(tmp_path / "small.tif", Micrograph(plain[:40, :40], 0.2))


@pytest.mark.usefixtures("images")
def test_in_words(stemlearn) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("provenance", "generated.tif", "measured.tif", "small.tif")
    assert result.exit_code == 0
    generated, measured, small = result.stdout.split("tif: ")[1:]
    assert generated.startswith("SYNTHETIC, says the description, the TIFF tag, the watermark.")
    assert "generator 'day a'" in generated
    assert "watermark: in the pixels" in generated
    assert "mirrored" in generated
    assert measured.startswith("No mark found, which does not prove that it was measured.")
    assert "description ImageDescription: synthetic: false" in measured
    assert "watermark: not in the pixels" in measured
    assert "may not show" in small


@pytest.mark.usefixtures("images")
def test_as_json(stemlearn) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(stemlearn("provenance", "--json", "generated.tif", "measured.tif").stdout)
    assert [entry["synthetic"] for entry in told] == [True, False]
    assert [mark["kind"] for mark in told[0]["marks"]] == ["description", "TIFF tag", "watermark"]
    assert told[0]["watermark"]["generated"]["mirrored"] is True
    assert told[1]["watermark"]["measured"]["present"] is False


def test_simulated_images_are_marked(stemlearn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = stemlearn("simulate", "out", "--number", "1", "--set", "imaging.shape=[64, 64]", "--seed", "1")
    assert done.exit_code == 0, done.stderr
    told = json.loads(stemlearn("provenance", "--json", "out/00000.tif").stdout)
    assert told[0]["synthetic"]
    assert [mark["kind"] for mark in told[0]["marks"]] == ["description", "TIFF tag", "file beside it"]


def test_bad_input(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "does not exist" in refused("provenance", "nowhere.tif")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    assert "a.tif" in refused("provenance", "a.tif")
    (tmp_path / "a.doc").write_bytes(b"x")
    assert "ending '.doc'" in refused("provenance", "a.doc")
