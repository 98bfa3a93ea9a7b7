"""``stemlearn simulate``: files, order of settings, going on, Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

SMALL = ["--set", "imaging.shape=[32, 32]", "--device", "cpu"]


def test_simulate_writes_images_and_truth(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("simulate", "set", "-n", 2, "--seed", 3, *SMALL)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "set\n"
    assert "simulating on cpu" in result.stderr
    table = pd.read_csv("set/images.csv")
    assert list(table["image"]) == ["00000.tif", "00001.tif"]
    before = Path("set/00000.tif").stat().st_mtime_ns
    more = stemlearn("simulate", "set", "-n", 3, "--seed", 3, *SMALL)
    assert more.exit_code == 0
    assert "2 images are there already and stay." in more.stderr
    assert Path("set/00000.tif").stat().st_mtime_ns == before
    assert Path("set/00002_sites.csv").exists()
    assert "('seed' differs)" in refused("simulate", "set", "-n", 2, "--seed", 4, *SMALL)
    assert "holds other files" in refused("simulate", tmp_path, *SMALL)
    Path("file").write_text("")
    assert "file" in refused("simulate", "file", *SMALL)
    assert "This computer has no device 'cuda:7'" in refused("simulate", "new", "--device", "cuda:7")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_stops_after_the_image_at_hand_and_the_same_command_goes_on(stemlearn, interrupt_when) -> None:  # type: ignore[no-untyped-def]
    interrupt_when(Path("set/00001.tif").exists)
    before = signal.getsignal(signal.SIGINT)
    result = stemlearn("simulate", "set", "-n", 5000, *SMALL)
    assert result.exit_code == 130, result.stderr
    assert "Stopping at the next safe point" in result.stderr
    assert result.stdout == "set\n"
    assert signal.getsignal(signal.SIGINT) is before
    made = len(pd.read_csv("set/images.csv"))
    assert 2 <= made < 5000
    assert len(list(Path("set").glob("*.tif"))) == made
    more = stemlearn("simulate", "set", "-n", made + 1, *SMALL)
    assert more.exit_code == 0
    assert len(pd.read_csv("set/images.csv")) == made + 1
