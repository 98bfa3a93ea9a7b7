"""Help, version, bad usage, and the commands that only print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml

from napari_stemlearn import __version__
from napari_stemlearn.cli.app import app
from napari_stemlearn.cli.settings import MODELS
from napari_stemlearn.cli.settings_options import chosen_settings
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.settings import StructureSettings

SCRIPT = Path(sys.executable).with_name("stemlearn")


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_stemlearn.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'numpy', 'pandas', 'pydantic', 'abtem', 'hyperspy', 'matplotlib', 'napari', 'qtpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    for command in (
        "simulate",
        "train",
        "train-gan",
        "find",
        "score",
        "models",
        "runs",
        "crystals",
        "info",
        "settings",
    ):
        assert command in shown


def test_the_installed_command_runs(tmp_path: Path) -> None:
    words = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "napari_stemlearn.cli"]
    begun = time.perf_counter()
    done = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
    print(f"stemlearn --version: {time.perf_counter() - begun:.2f} s")
    assert done.stdout.strip() == f"napari-stemlearn {__version__}"
    bad = subprocess.run([*words, "info", "nowhere.tif"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert bad.returncode == 2
    assert bad.stderr == "Error: The file nowhere.tif does not exist.\n"
    assert bad.stdout == ""


@pytest.mark.parametrize("module", ["napari_stemlearn.cli.app", "napari_stemlearn.structures.presets"])
def test_an_interruption_while_modules_load_is_told_in_a_word(module: str) -> None:
    code = (
        "import sys\n"
        "class Pressed:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed)\n"
        "sys.argv = ['stemlearn', 'crystals']\n"
        "from napari_stemlearn.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["crystals"], ["--help"], ["--version"], ["settings", "train"]])
def test_output_that_cannot_be_written_is_told_of_stdout(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "napari_stemlearn.cli", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "Error: The output cannot be written to where it goes (stdout): No space left on device.\n"
    assert done.returncode == 2


@pytest.mark.parametrize("words", [["bake"], ["info"], ["simulate", "out", "--number", "many"], ["score", "one.csv"]])
def test_bad_usage_ends_with_status_2(stemlearn, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


def test_crystals(stemlearn) -> None:  # type: ignore[no-untyped-def]
    table = stemlearn("crystals")
    assert table.exit_code == 0
    assert any(line.startswith("WSe2 ") and "chalcogen" in line for line in table.stdout.splitlines())
    entries = json.loads(stemlearn("crystals", "--json").stdout)
    assert {"graphene", "WSe2", "SrTiO3"} <= {entry["name"] for entry in entries}
    assert all(entry["lattice_constant"] > 2 for entry in entries)


def test_an_unknown_preset_prints_nothing_but_its_refusal(stemlearn) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("settings", "train", "--preset", "foo")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "There is no preset 'foo'" in result.stderr


def test_folders_that_are_none_are_refused(refused) -> None:  # type: ignore[no-untyped-def]
    Path("file").write_text("")
    assert refused("models", "--folder", "nope") == "nope is no folder of models: nothing is there."
    assert refused("models", "show", "columns", "--folder", "file") == "file is no folder of models: it is a file."
    assert refused("runs", "--runs-folder", "file").startswith("file is a file; --runs-folder takes the folder")


@pytest.mark.parametrize("kind", list(MODELS))
def test_printed_settings_are_the_default_ones(stemlearn, kind: str) -> None:  # type: ignore[no-untyped-def]
    from importlib import import_module

    printed = stemlearn("settings", kind)
    assert printed.exit_code == 0
    module, _, name = MODELS[kind].partition(":")
    model = getattr(import_module(module), name)
    assert model.checked(yaml.safe_load(printed.stdout)) == model.preset()


def test_printed_settings_tell_units_and_ranges(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    text = stemlearn("settings", "imaging").stdout
    assert "# Beam energy. [10 to 1000 keV]\n  beam_energy: 80.0" in text
    assert "shape: [256, 256]" in text
    tiny = yaml.safe_load(stemlearn("settings", "train", "--preset", "tiny").stdout)
    assert SegmentationSettings.checked(tiny) == SegmentationSettings.preset("tiny")
    assert refused("settings", "bake").startswith("There are no settings 'bake'; choose one of train, simulate")
    assert "There is no preset 'huge'; choose one of default, quick, tiny" in refused(
        "settings", "train", "--preset", "huge"
    )


@pytest.mark.parametrize("command", ["train", "train-gan", "generate", "simulate", "find"])
def test_help_names_the_presets(stemlearn, command: str) -> None:  # type: ignore[no-untyped-def]
    from importlib import import_module

    module, _, name = MODELS[command].partition(":")
    words = " ".join(stemlearn(command, "--help").stdout.split())
    presets = ", ".join(getattr(import_module(module), name).presets)
    assert f"Named settings to start from: {presets}. [default: default]" in words


@pytest.mark.parametrize("command", ["train", "train-gan", "generate", "simulate", "find"])
def test_help_tells_where_the_device_comes_from(stemlearn, command: str) -> None:  # type: ignore[no-untyped-def]
    from importlib import import_module

    module, _, name = MODELS[command].partition(":")
    in_settings = "device" in getattr(import_module(module), name).model_fields
    words = " ".join(stemlearn(command, "--help").stdout.split())
    assert ("cpu, cuda:0 or mps; default: that of the settings." in words) == in_settings
    assert ("cpu, cuda:0 or mps; default: auto." in words) != in_settings


def test_settings_override_each_other_in_order(tmp_path: Path) -> None:
    from napari_stemlearn.cli.settings_options import chosen_settings

    file = tmp_path / "settings.yaml"
    file.write_text("number: 3\nseed: 4\nimaging:\n  pixel_size: 0.3\n  shape: [32, 32]\nstructure: graphene\n")
    chosen = chosen_settings(
        SimulateSettings,
        file=file,
        assignments=["seed=5", "imaging.shape=[48, 40]", "structure.defects.1.probability=0.25"],
        changes={"seed": 6, "number": None},
    )
    assert (chosen.number, chosen.seed) == (3, 6)
    assert chosen.imaging.pixel_size == 0.3
    assert chosen.imaging.shape == (48, 40)
    assert chosen.structure.crystal == "graphene"
    assert chosen.structure.defects[1].probability == 0.25
    varied = chosen_settings(SimulateSettings, assignments=["imaging=varied", "imaging.probe.beam_energy=200"])
    assert varied.imaging.probe.beam_energy == 200
    assert str(varied.imaging.probe.C30) == "normal(0, 5000)"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("imaging.pixel_size=fine", "pixel_size"),
        ("imaging.pixel_size=-1", "allowed: 0.01 to 2 angstrom"),
        ("imaging.pixels=3", "There is no setting 'imaging.pixels'"),
        ("imaging=blurry", "Setting imaging: There is no preset 'blurry'; choose one of default"),
        ("number", "'number' is not of the form name=value"),
        ("structure.defects.7.probability=1", "'7' is no entry of a list of 1"),
        ("seed.more=1", "reaches into"),
        ("structure.crystal=Unobtainium", "There is no crystal preset 'Unobtainium'"),
        ("imaging.shape=[1", "is not YAML"),
    ],
)
def test_bad_settings_are_one_sentence(refused, assignment: str, words: str) -> None:  # type: ignore[no-untyped-def]
    assert words in refused("simulate", "out", "--set", assignment)
    assert not Path("out").exists()


def test_presets_by_name_within_lists(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from napari_stemlearn.cli.settings_options import chosen_settings

    file = tmp_path / "settings.yaml"
    file.write_text("structures: [{structure: wse2, weight: 3}, {structure: graphene}]\n")
    chosen = chosen_settings(SegmentationSettings, preset="tiny", file=file, assignments=["structures.1.weight=2"])
    assert [part.structure for part in chosen.structures] == [
        StructureSettings.preset("wse2"),
        StructureSettings.preset("graphene"),
    ]
    assert [part.weight for part in chosen.structures] == [3, 2]
    single = chosen_settings(SegmentationSettings, assignments=["structures=[{structure: wse2, weight: 2}]"])
    assert single.structures[0].structure == StructureSettings.preset("wse2")
    assert refused("train", "--set", "structures=[{structure: wse}]").startswith(
        "Setting structures.0.structure: There is no preset 'wse'; choose one of default, "
    )
    assert "structures.0 is 'wse2'; it must be a section" in refused("train", "--set", "structures=[wse2]")
    assert refused("train", "--set", "structures=wse2") == "Setting structures is 'wse2'; it must be a list."
    assert not list(tmp_path.glob("runs/*"))


def test_bad_settings_files(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "does not exist" in refused("simulate", "out", "--settings", "nowhere.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    assert "holds a list" in refused("simulate", "out", "--settings", "list.yaml")
    (tmp_path / "torn.yaml").write_text("number: [1\n")
    assert "cannot be read as YAML" in refused("simulate", "out", "--settings", "torn.yaml")


def test_info_tells_shape_pixel_size_and_trouble(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    image = np.arange(12 * 10, dtype=np.float32).reshape(12, 10)
    write_tiff(tmp_path / "a.tif", Micrograph(image, 0.25, "a", {"synthetic": False, "microscope": "x"}))
    told = json.loads(stemlearn("info", "a.tif", "--json").stdout)
    assert told[0]["shape"] == [12, 10]
    assert told[0]["pixel_size_angstrom"] == pytest.approx(0.25)
    assert told[0]["field_of_view_angstrom"] == pytest.approx([3.0, 2.5])
    assert told[0]["first_frame"] == {"minimum": 0.0, "maximum": 119.0, "mean": pytest.approx(59.5)}
    assert "trouble" not in told[0]
    assert "microscope: x" in stemlearn("info", "a.tif").stdout
    image[3, 3] = np.nan
    write_tiff(tmp_path / "b.tif", Micrograph(np.stack([image, image]), None, "b"))
    told = json.loads(stemlearn("info", "b.tif", "--json").stdout)
    assert told[0]["axes"] == ["frame", "y", "x"]
    assert told[0]["pixel_size_angstrom"].startswith("unknown")
    assert "1 pixels that are NaN" in told[0]["trouble"]
    assert "does not exist" in refused("info", "nowhere.tif")


@pytest.mark.parametrize("name", ["simulate", "find", "train", "train-gan", "generate"])
def test_the_examples_of_set_are_settings_of_the_command(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    (text,) = (parameter.help for parameter in command.params if "--set" in parameter.opts)
    examples = re.findall(r"[\w.]+=[^ ]+", text)
    assert len(examples) == 2
    module, _, model = MODELS[name].partition(":")
    chosen_settings(getattr(import_module(module), model), assignments=[example.rstrip(".") for example in examples])
