"""``stemlearn generate`` and ``dataset``: a set is made, gone on with, queried, exported and learnt from."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.datasets import open_data_set
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.learning.stored import read_set
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import load_model, shipped_folder
from untrained_generator import PIXEL_SIZE, untrained_generator

SMALL = ["--preset", "tiny", "--structure", "wse2"]
DOSE = ["--set", "imaging.detector.dose=log_uniform(1e4, 1e5)"]


@pytest.fixture
def day(stemlearn) -> Path:  # type: ignore[no-untyped-def]
    """A set of four images."""
    result = stemlearn("generate", *SMALL, *DOSE, "-n", 4, "--seed", 1, "--out", "day")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "day.stemset\n"
    assert "generating on cpu (CPU, 1 process)" in result.stderr
    return Path("day.stemset")


def test_a_set_is_made_gone_on_with_and_not_written_over(stemlearn, refused, day) -> None:  # type: ignore[no-untyped-def]
    first = open_data_set(day).pixels(0).copy()
    assert open_data_set(day).name == "day"
    assert "is there already" in refused("generate", *SMALL, *DOSE, "--out", day)
    more = stemlearn("generate", "--out", day, "--resume", "-n", 5)
    assert more.exit_code == 0, more.stderr
    assert "4 images are there already and stay." in more.stderr
    again = open_data_set(day)
    assert len(again) == 5
    assert (again.pixels(0) == first).all()
    assert "keeps its settings" in refused("generate", "--out", day, "--resume", "--seed", 2)
    assert "Give its folder with --out" in refused("generate", "--resume")
    assert "does not exist" in refused("generate", "--out", "nothing", "--resume")


def test_a_generator_and_a_mark_from_options(stemlearn, refused, tmp_path) -> None:  # type: ignore[no-untyped-def]
    untrained_generator(tmp_path / "look")
    words = ["--generator", "look", "--name", "with look", "--visible-mark", "--workers", 0]
    result = stemlearn("generate", "--preset", "tiny", "-n", 1, *words)
    assert result.exit_code == 0, result.stderr
    made = open_data_set("with look.stemset")
    assert made.pixel_size == PIXEL_SIZE
    assert made.card["marks"] == {"watermark": True, "visible_mark": True}
    assert "no generator in nowhere" in refused("generate", "--generator", "nowhere")
    shutil.copytree(shipped_folder() / "columns", "found by")
    assert refused("generate", "--generator", "found by").startswith("found by is a model, which finds sites;")
    write_tiff("image.tif", Micrograph(np.zeros((32, 32), np.float32), 0.2, "image"))
    for words in (["find", "image.tif", "--model", "look"], ["models", "show", "look"]):
        assert refused(*words).startswith("look is a generator, which gives simulations the look of a day;")
    assert "There is no setting 'dose'" in refused("generate", "--set", "dose=3")


def test_settings_of_the_microscope_are_laid_over_what_the_generator_learnt(stemlearn, refused, tmp_path) -> None:  # type: ignore[no-untyped-def]
    learnt = {"probe": {"C12": 7.0}, "detector": {"counting_noise": False}}
    untrained_generator(tmp_path / "look", imaging=learnt)
    Path("file.yaml").write_text("imaging:\n  probe:\n    C10: 3\n")
    words = ["generate", "--preset", "tiny", "-n", 1, "--generator", "look", "--workers", 0, "--out", "set"]
    dose = ["--set", "imaging.detector.dose=5e4"]
    result = stemlearn(*words, "--settings", "file.yaml", *dose)
    assert result.exit_code == 0, result.stderr
    imaging = open_data_set("set.stemset").settings["imaging"]
    assert (imaging["probe"]["C10"], imaging["probe"]["C12"]) == (3.0, 7.0)
    assert imaging["detector"]["dose"] == 5e4
    assert imaging["detector"]["counting_noise"] is False
    for before in ([], ["--set", "imaging=varied"], ["--settings", "file.yaml"]):
        more = [*words[:-1], "refused", *before]
        assert "give shape=[128, 96]" in refused(*more, "--set", "imaging.shape=[128,96]")
        assert "'day_x' makes images of 0.25 angstrom" in refused(*more, "--set", "imaging.pixel_size=0.1")
    assert not Path("refused.stemset").exists()


def test_what_a_set_holds(stemlearn, refused, day) -> None:  # type: ignore[no-untyped-def]
    shown = stemlearn("dataset", "info", day).stdout
    assert "images: 4" in shown
    assert "synthetic: true" in shown
    assert "imaging.detector.dose" in shown
    assert "imaging.probe.C10" not in shown
    told = json.loads(stemlearn("dataset", "info", day, "--json").stdout)
    assert told["parameters"]["imaging.probe.C10"] == [0, 0]
    assert told["columns"]["W"] > 20
    assert "does not exist" in refused("dataset", "info", "nothing.stemset")


def test_queries(stemlearn, refused, day) -> None:  # type: ignore[no-untyped-def]
    doses = open_data_set(day).query()["imaging.detector.dose"]
    middle = doses.median()
    many = doses[doses > middle]
    result = stemlearn("dataset", "query", day, f"dose > {middle:.6f} and class has W")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["image", "n_columns", "n_defects"]
    assert [int(line.split()[0]) for line in lines[1:]] == list(many.index)
    assert "2 of 4 images." in result.stderr
    as_csv = pd.read_csv(StringIO(stemlearn("dataset", "query", day, "--csv").stdout), index_col="image")
    assert as_csv["imaging.detector.dose"].tolist() == pytest.approx(doses.tolist(), rel=1e-12)
    as_json = json.loads(stemlearn("dataset", "query", day, "image = 2", "--json", "--columns", "dose,n_W").stdout)
    assert as_json == [{"image": 2, "imaging.detector.dose": doses[2], "n_W": as_json[0]["n_W"]}]
    assert "'dosis' is no parameter of this set" in refused("dataset", "query", day, "dosis > 3")
    assert "'dosis' is no parameter of this set" in refused("dataset", "query", day, "--columns", "dosis")
    assert "not both" in refused("dataset", "query", day, "--csv", "--json")


def test_files_for_others(stemlearn, refused, day) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("dataset", "export", day, "files", "image >= 2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "files\n"
    assert [frame.micrograph.name for frame in read_set("files")] == ["00002", "00003"]
    assert "holds other files" in refused("dataset", "export", day, "files")


def test_train_on_a_query_of_a_set(stemlearn, refused, day) -> None:  # type: ignore[no-untyped-def]
    data = ["--set", "data.source=folder", "--set", f"data.folder={day}", "--set", "data.where=image < 3"]
    classes = ["--set", "targets.classes={column: [all columns]}"]
    result = stemlearn("train", "--preset", "tiny", *data, *classes, "--out", "model")
    assert result.exit_code == 0, result.stderr
    assert load_model("model", "cpu").card.settings["data"]["where"] == "image < 3"
