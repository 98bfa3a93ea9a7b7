"""Images that cannot be searched are refused with one sentence, by the network and by the classical finder alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_folder import data_folder
from napari_stemlearn.formats import read_sites, write_tiff
from napari_stemlearn.micrograph import Micrograph

PER_CENTIMETRE = 1e8 / 0.2
CALIBRATED = {"resolution": (PER_CENTIMETRE, PER_CENTIMETRE), "resolutionunit": "CENTIMETER"}
NOISE = np.random.default_rng(1).normal(100, 10, (40, 48))

Refused = Callable[..., str]


@pytest.fixture(params=["log", "network"])
def finder(request: pytest.FixtureRequest, model: Path) -> str:
    """Both finders."""
    return "log" if request.param == "log" else str(model)


def write(data: np.ndarray, **options: object) -> Path:
    """A TIFF as another program would write it, at 0.2 angstrom a pixel."""
    tifffile.imwrite("bad.tif", data, **{"photometric": "minisblack", **CALIBRATED, **options})
    return Path("bad.tif")


def test_empty_file(refused: Refused, finder: str) -> None:
    Path("bad.tif").write_bytes(b"")
    assert refused("find", "bad.tif", "--model", finder) == "bad.tif is empty (0 bytes)."
    assert refused("info", "bad.tif") == "bad.tif is empty (0 bytes)."


def test_missing_file_and_folder(refused: Refused, finder: str) -> None:
    assert refused("find", "nowhere.tif", "--model", finder) == "The file nowhere.tif does not exist."
    Path("folder.tif").mkdir()
    assert "is a folder" in refused("find", "folder.tif", "--model", finder)


def test_unknown_and_misnamed_files(refused: Refused, finder: str) -> None:
    Path("image.jpg").write_bytes(b"\xff\xd8\xff")
    assert "micrographs can be read from dm3, dm4" in refused("find", "image.jpg", "--model", finder)
    for ending in ("tif", "dm4", "emd", "mrc", "ser", "hspy"):
        Path(f"text.{ending}").write_text("Dear diary, today the beam was stable.\n" * 50)
        assert f"text.{ending}" in refused("find", f"text.{ending}", "--model", finder)


def test_constant_image(refused: Refused, finder: str) -> None:
    sentence = refused("find", write(np.full((40, 48), 7, np.uint16)), "--model", finder)
    assert "one grey level (7) everywhere" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_pixels(refused: Refused, finder: str, value: float) -> None:
    image = NOISE.astype(np.float32)
    image[3, 4] = value
    assert "has 1 pixels that are NaN or infinite" in refused("find", write(image), "--model", finder)
    stack = np.stack([NOISE.astype(np.float32), image])
    assert "rame 1 of" in refused("find", write(stack), "--model", finder)


def test_bad_frames_are_left_out_on_request(stemlearn: Callable, finder: str) -> None:
    stack = np.stack([NOISE, np.full(NOISE.shape, np.nan), NOISE]).astype(np.float32)
    words = ("--model", finder, "--set", "skip_bad_frames=true", "--threshold", 0.01, "--out", "sites.csv")
    result = stemlearn("find", write(stack), *words)
    assert result.exit_code == 0, result.stderr
    assert "it was left out" in result.stderr
    assert 1 not in set(read_sites("sites.csv")["frame"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 48), (40, 1)])
def test_one_pixel(refused: Refused, finder: str, shape: tuple[int, int]) -> None:
    data = np.arange(1, 1 + shape[0] * shape[1], dtype=np.float32).reshape(shape)
    assert "at least 2 by 2 are needed" in refused("find", write(data), "--model", finder)


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (7, 8)])
def test_tiny_images_do_not_crash(stemlearn: Callable, finder: str, shape: tuple[int, int]) -> None:
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    result = stemlearn("find", write(data), "--model", finder, "--out", "sites.csv")
    assert result.exit_code in (0, 2), result.stderr
    assert "Traceback" not in result.stderr
    if result.exit_code == 0:
        sites = read_sites("sites.csv")
        assert sites["y"].between(-0.5, shape[0] - 0.5).all()
        assert sites["x"].between(-0.5, shape[1] - 0.5).all()


def test_rgb_image(refused: Refused, finder: str) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    sentence = refused("find", write(colour, photometric="rgb"), "--model", finder)
    assert "colour" in sentence


def test_8_bit_image_works(stemlearn: Callable, finder: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 48), dtype=np.uint8)
    result = stemlearn("find", write(image), "--model", finder, "--threshold", 0.01, "--out", "sites.csv")
    assert result.exit_code == 0, result.stderr
    eight = read_sites("sites.csv")
    assert len(eight)
    stemlearn("find", write(image.astype(np.float32)), "--model", finder, "--threshold", 0.01, "--out", "sites.csv")
    real = read_sites("sites.csv")
    np.testing.assert_allclose(real[["y", "x"]], eight[["y", "x"]], atol=1e-3)


def test_complex_image(refused: Refused, finder: str) -> None:
    data = (NOISE + 1j).astype(np.complex64)
    assert "complex" in refused("find", write(data), "--model", finder)


def test_4d_data(refused: Refused, finder: str) -> None:
    data = np.random.default_rng(0).normal(size=(3, 4, 16, 16)).astype(np.float32)
    sentence = refused("find", write(data), "--model", finder)
    assert "4 axes" in sentence or "4D" in sentence


def test_frames_on_the_last_axis(refused: Refused, finder: str) -> None:
    data = np.random.default_rng(0).normal(size=(40, 48, 4)).astype(np.float32)
    assert "the last axis" in refused("find", write(data), "--model", finder)


def test_truncated_dm4(refused: Refused, finder: str) -> None:
    whole = next(iter(sorted(data_folder("wse2-ti-doped-labelled").glob("*.dm4"))), None)
    if whole is None:
        pytest.skip("no dm4 file in the folder of micrographs")
    content = whole.read_bytes()
    for part in (len(content) // 2, 4000, 10):
        Path("torn.dm4").write_bytes(content[:part])
        assert "torn.dm4" in refused("find", "torn.dm4", "--model", finder)


def test_torn_dm4_header(refused: Refused, finder: str) -> None:
    Path("torn.dm4").write_bytes(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]) + bytes(30))
    assert "torn.dm4" in refused("find", "torn.dm4", "--model", finder)


def test_truncated_tiff(refused: Refused, finder: str, good: Path) -> None:
    content = good.read_bytes()
    for part in (len(content) - 3000, 200, 5):
        Path("torn.tif").write_bytes(content[:part])
        assert "torn.tif" in refused("find", "torn.tif", "--model", finder)


def test_missing_pixel_size(stemlearn: Callable, refused: Refused, finder: str) -> None:
    write_tiff("plain.tif", Micrograph(NOISE.astype(np.float32), None, "plain"))
    sentence = refused("find", "plain.tif", "--model", finder)
    assert sentence == "plain.tif does not tell its pixel size; give it in angstrom with --pixel-size."
    given = stemlearn("find", "plain.tif", "--model", finder, "--pixel-size", 0.2, "--out", "sites.csv")
    assert given.exit_code == 0, given.stderr


@pytest.mark.parametrize("value", ["0", "-0.2", "nan", "inf", "5000"])
def test_impossible_pixel_size(refused: Refused, finder: str, good: Path, value: str) -> None:
    sentence = refused("find", good, "--model", finder, "--pixel-size", value)
    assert "must be one number between 0.001 and 1000 angstrom" in sentence


def test_zero_pixel_size_in_the_file(refused: Refused, finder: str) -> None:
    path = write(NOISE.astype(np.float32), resolution=(0, 0), description='{"pixel_size_angstrom": 0}')
    assert "pixel size" in refused("find", path, "--model", finder)


def test_anisotropic_pixels(refused: Refused, finder: str) -> None:
    path = write(NOISE.astype(np.float32), resolution=(PER_CENTIMETRE, PER_CENTIMETRE / 2))
    sentence = refused("find", path, "--model", finder)
    assert "only square pixels" in sentence


def test_nothing_is_written_for_a_refused_image(refused: Refused, finder: str, good: Path) -> None:
    Path("before.csv").write_text("keep me")
    bad = write(np.full((40, 48), 7, np.uint16))
    options = ("--model", finder, "--out", "before.csv", "--overwrite")
    refused("find", bad, good, *options)
    assert Path("before.csv").read_text() == "keep me"
    # what was found before the bad image is not lost
    assert "(written: the sites of good.tif)." in refused("find", good, bad, *options)
    assert set(read_sites("before.csv")["image"]) == {"good.tif"}
