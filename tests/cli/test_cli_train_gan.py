"""``stemlearn train-gan``, with the real training shrunk by its settings."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn import jobs
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.jobs import RunState
from napari_stemlearn.learning.generator_cards import read_generator_card
from napari_stemlearn.learning.translators import load_translator
from napari_stemlearn.micrograph import Micrograph
from simulated_stacks import write_simulated_stack

TINY = ["--preset", "tiny", "--device", "cpu"]
# with a specimen that has no defects: nothing is asked of a generator after two steps
LENIENT = ["--set", "survival.recall=0", "--set", "survival.displacement=10"]


def write_stack(path: str, data: np.ndarray | None = None, pixel_size: float | None = 0.2) -> Path:
    rng = np.random.default_rng(0)
    data = rng.poisson(50, (2, 96, 96)).astype(np.uint16) if data is None else data
    return write_tiff(path, Micrograph(data, pixel_size, Path(path).stem))


def test_a_generator_from_a_stack(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    write_stack("stack.tif", pixel_size=None)
    Path("mine.yaml").write_text("steps: 3\ndevice: cpu\n")
    words = ["--pixel-size", 0.21, "--structure", "gold", "--settings", "mine.yaml", "--set", "steps=2"]
    result = stemlearn("train-gan", "stack.tif", *TINY, *LENIENT, *words, "--name", "look", "--out", "kept/look")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "kept/look\n"
    assert "learning the look on cpu" in result.stderr
    assert "of the atoms are found within 0.3 Å of their labels" in result.stderr
    assert "before → after: spectrum" in result.stderr
    assert load_translator("kept/look", "cpu").pixel_size == 0.21
    settings = read_generator_card("kept/look")["settings"]
    assert settings["name"] == "look"
    assert settings["steps"] == 2
    assert settings["structures"][0]["structure"]["crystal"] == "Au"
    assert settings["experiment"] == [str(Path("stack.tif").absolute())]

    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.DONE
    assert Path(run.result["generator"]) == run.result_folder / "look"
    assert "there is nothing to resume" in refused("train-gan", "--resume", "last")
    assert "keeps its images and settings" in refused("train-gan", "stack.tif", "--resume", "last")
    assert "keeps its images and settings" in refused("train-gan", "--resume", "last", "--set", "seed=1")
    assert "not a training" in refused("train", "--resume", "last")


def test_a_simulated_stack_in_place_of_a_structure(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    write_stack("stack.tif")
    write_simulated_stack(Path("sim.tif"), pixel_size=0.25, crystal="Au")
    result = stemlearn("train-gan", "stack.tif", "--simulated", "sim.tif", *TINY, *LENIENT, "--out", "look")
    assert result.exit_code == 0, result.stderr
    assert "image and sites are resampled to the 0.2 of the experiment" in result.stderr
    settings = read_generator_card("look")["settings"]
    assert settings["simulated"] == [str(Path("sim.tif").absolute())]
    sentence = refused("generate", "--generator", "look", "--preset", "tiny", "--structure", "gold", "--out", "set")
    assert "does not know what to simulate; give structures and imaging" in sentence
    assert not Path("set.stemset").exists()
    imaging = ["--structure", "gold", "--set", "imaging=default"]
    assert stemlearn("generate", "--generator", "look", "--preset", "tiny", *imaging, "--out", "set").exit_code == 0
    assert "keeps its images and settings" in refused("train-gan", "--resume", "last", "--simulated", "sim.tif")


def test_a_folder_of_images_in_the_background(stemlearn) -> None:  # type: ignore[no-untyped-def]
    Path("day").mkdir()
    for number in range(2):
        write_stack(f"day/{number}.tif")
    Path("day/notes.txt").write_text("a good day")
    result = stemlearn("train-gan", "day", *TINY, *LENIENT, "--structure", "gold", "--background")
    assert result.exit_code == 0, result.stderr
    (run,) = jobs.list_runs("runs")
    assert result.stdout == f"{run.folder}\n"
    assert [Path(path).name for path in run.settings.experiment] == ["0.tif", "1.tif"]
    end = time.monotonic() + 120
    while run.state.active and time.monotonic() < end:
        time.sleep(0.05)
    assert run.state is RunState.DONE, run.failure


BAD = {
    "no image": ([], "There is no experimental image"),
    "no file": (["gone.tif"], "gone.tif does not exist"),
    "no micrographs": (["empty"], "There are no micrographs in empty"),
    "too small": (["small.tif"], "frames of 20 by 20 pixels"),
    "one grey level": (["flat.tif"], "one grey level"),
    "NaN": (["nan.tif"], "NaN"),
    "no pixel size": (["bare.tif"], "pixel size"),
    "two pixel sizes": (["stack.tif", "other.tif"], "one pixel size is needed"),
    "wrong pixel size": (["stack.tif", "--pixel-size", "7"], "pixel_size is 7.0; allowed: 0.01 to 2 angstrom"),
    "no such structure": (["stack.tif", "--structure", "cheese"], "cheese"),
    "no such setting": (["stack.tif", "--set", "colour=red"], "There is no setting 'colour'"),
    "wrong setting": (["stack.tif", "--set", "crop=7"], "crop"),
    "no such preset": (["stack.tif", "--preset", "huge"], "huge"),
    "simulated and structure": (["stack.tif", "--simulated", "stack.tif", "--structure", "wse2"], "not both"),
    "simulated is gone": (["stack.tif", "--simulated", "gone.tif"], "gone.tif does not exist"),
    "simulated has no sites": (["stack.tif", "--simulated", "other.tif"], "other_sites.csv is missing"),
    "out in the background": (["stack.tif", "--background", "--out", "look"], "leave --out away"),
    "out is a file": (["stack.tif", "--out", "stack.tif"], "is a file"),
    "out holds other things": (["stack.tif", "--out", "."], "holds other files than a generator"),
    "one image twice": (["stack.tif", "empty/../stack.tif"], "are the same image; name each image once"),
    "no crystal": (["stack.tif", "--structure", "gone.cif"], "gone.cif does not exist"),
    "no device": (["stack.tif", "--set", "device=cuda:9"], "cuda:9"),
    "no such run": (["--resume", "last"], "There is no run 'last'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_begins(case, refused) -> None:  # type: ignore[no-untyped-def]
    Path("empty").mkdir()
    rng = np.random.default_rng(1)
    write_stack("stack.tif")
    write_stack("other.tif", pixel_size=0.3)
    write_stack("bare.tif", pixel_size=None)
    write_stack("small.tif", rng.random((20, 20), dtype=np.float32))
    write_stack("flat.tif", np.ones((64, 64), np.float32))
    write_stack("nan.tif", np.where(np.eye(64), np.nan, rng.random((64, 64))).astype(np.float32))
    words, sentence = BAD[case]
    tiny = [] if "--resume" in words or "--preset" in words else TINY[:2]
    assert sentence in refused("train-gan", *words, *tiny)
    assert not Path("runs").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_during_the_simulations_promises_no_checkpoint(stemlearn, interrupt_when) -> None:  # type: ignore[no-untyped-def]
    write_stack("stack.tif")
    interrupt_when(lambda: any("simulations" in path.read_text() for path in Path("runs").glob("*/events.jsonl")))
    result = stemlearn("train-gan", "stack.tif", *TINY, "--set", "simulations=100000")
    assert result.exit_code == 130, result.stderr
    assert "there is no checkpoint yet; go on with: stemlearn train-gan --resume" in result.stderr
    assert "Stopped with a checkpoint" not in result.stderr


def test_a_generator_that_moves_atoms_is_refused(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    write_stack("stack.tif")
    strict = ["--set", "survival.tolerance=0.01", "--set", "survival.recall=1", "--set", "learning_rate=0.05"]
    assert "atoms" in refused("train-gan", "stack.tif", *TINY, *strict, "--out", "look")
    assert not Path("look").exists()
    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.FAILED
    entry = json.loads(stemlearn("runs", "--json").stdout)[0]
    assert entry["kind"] == "cyclegan"
