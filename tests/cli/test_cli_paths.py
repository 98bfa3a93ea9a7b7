"""``~`` in paths that no shell has expanded."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from napari_stemlearn.cli.app import app
from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.settings_options import chosen_settings
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.settings import SegmentationSettings

NAMES_OR_PATHS = ("folder", "CIF file", "YAML file of one")
"""Words in the help of what is a name or a path."""

SMALL = ["-n", 1, "--set", "imaging.shape=[64, 64]", "--set", "imaging.pixel_size=0.2"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder beside the current one."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    return home


def commands(group: typer.Typer, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its words, those of groups included."""
    for one in (group.registered_callback, *group.registered_commands):
        if one is not None and one.callback is not None:
            name = getattr(one, "name", None)
            yield " ".join(filter(None, (above, name if isinstance(name, str) else ""))), one.callback
    for part in group.registered_groups:
        yield from commands(part.typer_instance, f"{above} {part.name}".strip())


def path_parameters() -> list[Any]:
    """Every argument and option of a command that takes a path."""
    found = []
    for words, function in commands(app):
        hints = get_type_hints(function, include_extras=True)
        for name in inspect.signature(function).parameters:
            kind, *notes = get_args(hints[name]) or (hints[name],)
            told = next((note for note in notes if hasattr(note, "help")), None)
            if told is None:
                continue
            is_path = "Path" in str(kind)
            if is_path or ("str" in str(kind) and any(part in (told.help or "") for part in NAMES_OR_PATHS)):
                found.append(pytest.param(told, id=f"{words} {name}"))
    return found


@pytest.mark.parametrize("parameter", path_parameters())
def test_every_path_of_a_command_expands_the_home_folder(parameter: Any) -> None:
    assert parameter.callback is expand_home


def test_the_walk_meets_all_commands() -> None:
    names = {parameter.id for parameter in path_parameters()}
    assert {"simulate out", "find images", "find model", "runs runs_folder", "runs stop name"} <= names
    assert {"train out", "train resume", "train recipe", "train settings", "train-gan structure"} <= names
    assert {"dataset export folder", "models show name", "generate generator", "score figure"} <= names


def test_what_is_nobodys_home_folder_stays_in_the_current_one(home: Path) -> None:
    assert expand_home(Path("~/a")) == home / "a"
    assert expand_home("~") == str(home)
    assert expand_home([Path("~/a"), Path("b~")]) == [home / "a", Path("b~")]
    assert expand_home("log") == "log"
    assert expand_home(None) is None
    assert expand_home(Path("~nobody at all.tif")) == Path.cwd() / "~nobody at all.tif"


def test_products_go_to_the_home_folder(stemlearn, home: Path) -> None:  # type: ignore[no-untyped-def]
    made = stemlearn("simulate", "~/simset", *SMALL)
    assert made.exit_code == 0, made.stderr
    assert stemlearn("find", "~/simset", "--model", "log", "--out=~/tables").exit_code == 0
    (table,) = (home / "tables").glob("*.csv")
    sites = f"~/tables/{table.name}"
    scored = stemlearn("score", sites, sites, "--out=~/scores.json", "--figure=~/scores.png")
    assert scored.exit_code == 0, scored.stderr
    assert {"scores.json", "scores.png"} <= {path.name for path in home.iterdir()}
    trained = stemlearn("train", "--preset", "tiny", "--out=~/models/x", "--runs-folder=~/runs")
    assert trained.exit_code == 0, trained.stderr
    assert (home / "models" / "x" / "card.json").is_file()
    assert stemlearn("runs", "--runs-folder=~/runs", "show", "last").exit_code == 0
    assert stemlearn("models", "show", "~/models/x").exit_code == 0
    assert not list(Path().iterdir())


def test_paths_in_settings_are_expanded(tmp_path: Path, home: Path) -> None:
    changes = ["data={source: simulation, generator: ~/look}", "start_from=~/models/x"]
    chosen = chosen_settings(SegmentationSettings, assignments=changes)
    assert (chosen.data.generator, chosen.start_from) == (str(home / "look"), str(home / "models" / "x"))
    file = tmp_path / "settings.yaml"
    file.write_text("experiment: [~/a.tif, b.tif]\n")
    assert chosen_settings(CycleGANSettings, file=file).experiment == (str(home / "a.tif"), "b.tif")
    crystal = chosen_settings(SimulateSettings, assignments=["structure.crystal=~/mine.cif"])
    assert crystal.structure.crystal == str(home / "mine.cif")
