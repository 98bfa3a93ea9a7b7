"""The command in a folder of its own, a small trained-looking model, and one image that is fine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from napari_stemlearn.cli.app import app
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.card import ModelCard
from napari_stemlearn.models.store import save_model


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path / "user_models"))


@pytest.fixture
def stemlearn() -> Callable[..., Result]:
    """Run the command; an error that is no exit fails the test."""

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def refused(stemlearn: Callable[..., Result]) -> Callable[..., str]:
    """Run the command, which must end with status 2 and one sentence; gives the sentence."""

    def run(*words: object) -> str:
        result = stemlearn(*words)
        assert result.exit_code == 2, (result.stdout, result.stderr)
        (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert result.stderr.strip().splitlines()[-1] == sentence
        assert sentence.endswith("."), sentence
        return sentence.removeprefix("Error: ")

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network with random weights and its card."""
    import torch

    from napari_stemlearn.networks.residual_unet import ResidualUNet

    torch.manual_seed(0)
    network = ResidualUNet(1, 1, width=4, levels=2, stem=2)
    card = ModelCard(name="random", classes=("vacancy1",), pixel_size=0.2, network=network.record())
    save_model(tmp_path / "models" / "random", network, card)
    return tmp_path / "models" / "random"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """An image that can be searched: columns in noise."""
    image = np.random.default_rng(0).normal(100, 10, (40, 48)).astype(np.float32)
    y, x = np.mgrid[:40, :48]
    waves = np.cos(2 * np.pi * y / 10) + np.cos(2 * np.pi * x / 10)
    image += (100 * np.exp(2 * waves - 4)).astype(np.float32)
    return write_tiff(tmp_path / "good.tif", Micrograph(image, 0.2, "good"))
