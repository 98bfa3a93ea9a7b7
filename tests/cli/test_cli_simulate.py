"""``stemlearn simulate``: files, order of settings, going on, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT between processes")
def test_ctrl_c_stops_after_the_image_at_hand_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "napari_stemlearn.cli", "simulate", "set", "-n", "5000", *SMALL]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    end = time.monotonic() + 60
    while not (tmp_path / "set" / "00001.tif").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Stopping at the next safe point" in stderr
    assert "Traceback" not in stderr
    assert stdout == "set\n"
    made = len(pd.read_csv(tmp_path / "set" / "images.csv"))
    assert 2 <= made < 5000
    assert len(list((tmp_path / "set").glob("*.tif"))) == made
