"""Everything that the pages tell people to type works: Python, commands, settings, make targets."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_pages import ROOT, blocks, commands, name_of, pages

PROSE_COMMAND = re.compile(r"`(stemlearn [^`\n]+)`")


def with_blocks(language: str) -> list[Any]:
    return [pytest.param(page, id=name_of(page)) for page in pages() if blocks(page, language)]


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small untrained networks in place of shipped models that are not there: the pages need something to load."""
    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import list_models, save_model
    from napari_stemlearn.networks.residual_unet import ResidualUNet

    folder = tmp_path_factory.mktemp("models")
    shipped = {entry.name for entry in list_models() if entry.origin == "shipped"}
    classes = {"tmd-defects": ("vacancy1", "vacancy2", "metal_vacancy", "antisite"), "columns": ("column",)}
    for name in sorted(set(classes) - shipped):
        network = ResidualUNet(1, len(classes[name]), width=4, levels=2)
        # an untrained network is undecided everywhere: this one finds a few sites, as a trained one would
        network.head.bias.data.fill_(-2.5)
        card = ModelCard(name=name, classes=classes[name], pixel_size=0.2, network=network.record())
        save_model(folder / name, network.eval(), card)
    return folder


@pytest.fixture
def workplace(tmp_path: Path, models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with models."""
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMLEARN_MODELS", str(models_folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("STEMLEARN_RUNS", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_runs(page: Path, workplace: Path) -> None:
    """The blocks of a page run one after the other, as somebody would type them."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        # empty lines in front make a traceback name the line of the page
        code = compile("\n" * (block.line - 1) + block.text, name_of(page), "exec")
        if block.mark != "not run":
            exec(code, names)


@pytest.mark.parametrize("page", with_blocks("bash"))
def test_commands_run(page: Path, workplace: Path) -> None:
    """The stemlearn commands of a page run one after the other; those marked otherwise are only parsed."""
    from typer.testing import CliRunner

    from napari_stemlearn.cli.app import app

    for block in blocks(page, "bash"):
        for words in commands(block):
            if words[0] == "stemlearn" and block.mark != "not run":
                done = CliRunner().invoke(app, words[1:])
                assert done.exit_code == 0, f"{name_of(page)}:{block.line}: {shlex.join(words)}\n{done.output}"


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in pages()])
def test_commands_are_known(page: Path) -> None:
    """Every command of a page, in blocks and in the text, has a command and options that exist."""
    lines = [(block.line, words) for block in blocks(page, "bash") for words in commands(block)]
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        lines += [(number, shlex.split(text)) for text in PROSE_COMMAND.findall(line)]
    for number, words in lines:
        place = f"{name_of(page)}:{number}: {shlex.join(words)}"
        if words[0] == "stemlearn":
            assert not _wrong_in_command(words[1:]), f"{place}: {_wrong_in_command(words[1:])}"
        elif words[0] == "make":
            targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
            assert set(words[1:]) <= targets, place
        else:
            assert words[0] in ("pip", "cd", "git", "napari", "python"), place


@cache
def _stemlearn() -> Any:
    """The command with all its parts."""
    import typer

    from napari_stemlearn.cli.app import app

    return typer.main.get_command(app)


def _wrong_in_command(words: list[str]) -> str:
    """What a command line names that does not exist, or lacks; empty where nothing is wrong."""
    command = _stemlearn()
    given: set[str] = set()
    places = 0
    queue = list(words)
    while queue:
        word = queue.pop(0)
        options = {name: option for option in command.params for name in getattr(option, "opts", ())}
        if word in ("-h", "--help"):
            return ""
        if word.startswith("-") and len(word) > 1:
            name, equals, _value = word.partition("=")
            if name not in options:
                return f"{name} is no option of {command.name}"
            given.add(options[name].name)
            if not equals and not getattr(options[name], "is_flag", False):
                if not queue:
                    return f"{name} lacks its value"
                queue.pop(0)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"there is no command {word}"
            command = command.commands[word]
            places = 0
        else:
            places += 1
    # in running text `stemlearn find` alone names the command
    if len(words) > 1 and (places or given):
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        many = any(one.nargs == -1 for one in arguments)
        needed = sum(1 for one in arguments if one.required)
        if places < needed or (places > len(arguments) and not many):
            return f"{command.name} takes {needed} arguments, not {places}"
        missing = [
            one.opts[0] for one in command.params if one.required and one.name not in given and one.opts[0][0] == "-"
        ]
        if missing:
            return f"{missing[0]} is missing"
    return ""


def test_wrong_commands_are_seen() -> None:
    """The check above sees what is wrong."""
    assert "no command" in _wrong_in_command(["fnd", "a.tif"])
    assert "no option" in _wrong_in_command(["find", "a.tif", "--modell", "log"])
    assert "is missing" in _wrong_in_command(["find", "a.tif", "--out", "sites.csv"])
    assert "arguments" in _wrong_in_command(["score", "found.csv", "--json"])
    assert not _wrong_in_command(["find", "a.tif", "b.tif", "--model", "log"])
    assert not _wrong_in_command(["runs", "show", "last"])


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_settings_are_allowed(page: Path, tmp_path: Path) -> None:
    """Settings files in the pages hold settings that exist, within their ranges."""
    import importlib

    from napari_stemlearn.cli.settings import MODELS
    from napari_stemlearn.cli.settings_options import chosen_settings

    for block in blocks(page, "yaml"):
        assert block.mark == "settings", f"{name_of(page)}:{block.line}: say which settings these are."
        module, _, name = MODELS[block.value].partition(":")
        path = tmp_path / "settings.yaml"
        path.write_text(block.text, encoding="utf-8")
        chosen = chosen_settings(getattr(importlib.import_module(module), name), file=path)
        given = yaml.safe_load(block.text)
        assert set(given) <= set(chosen.record())
