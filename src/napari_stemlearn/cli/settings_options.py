"""Settings from a preset, a file and single values, in this order."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_stemlearn.cli.paths import expand_home, expand_home_within

if TYPE_CHECKING:
    from napari_stemlearn.settings import Settings

    Model = TypeVar("Model", bound=Settings)
else:
    Model = TypeVar("Model")

PRESET_HELP = "Named settings to start from: "
SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="YAML file of settings; overrides the preset.", metavar="FILE", callback=expand_home
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda:0 or mps; default: that of the settings.")
]


def set_option(examples: str) -> Any:
    """The option ``--set`` with examples that the command understands."""
    return typer.Option("--set", help=f"One setting, such as {examples}. Repeatable.", metavar="NAME=VALUE")


def chosen_settings(
    model: type[Model],
    *,
    preset: str = "default",
    file: Path | None = None,
    assignments: list[str] | None = None,
    changes: dict[str, Any] | None = None,
    base: Model | None = None,
    first: tuple[str, ...] = (),
) -> Model:
    """Put settings together.

    Parameters
    ----------
    model
        Settings model.
    preset
        Named settings to start from.
    file
        YAML file; what it holds overrides the preset. A section may be the name of its preset.
    assignments
        ``name=value`` texts, which override the file.
    changes
        From options of their own, which override everything; None leaves as it is. Dots reach into sections.
    base
        Complete settings to start from, in place of preset and file.
    first
        Settings without parts on which sections of the file depend: assignments and changes of them come first.

    Raises
    ------
    SettingsError
        Names the setting, what is wrong and what is allowed.
    """
    from napari_stemlearn.settings import with_presets

    given = {key: value for key, value in (changes or {}).items() if value is not None}
    parsed = [(*_parsed(assignment), assignment) for assignment in assignments or []]
    known = {keys[0]: value for keys, value, _ in parsed if len(keys) == 1} | given
    early = expand_home_within({name: known[name] for name in first if name in known})
    record = (base or _from_preset_and_file(model, preset, file, early)).record()
    for keys, value, assignment in parsed:
        _assign(record, keys, value, assignment)
        record = with_presets(model, record)
    for key, value in given.items():
        _assign(record, key.split("."), value, key)
    return model.checked(expand_home_within(record))


def _from_preset_and_file(model: type[Model], preset: str, file: Path | None, early: dict[str, Any]) -> Model:
    from napari_stemlearn.settings import laid_over, read_yaml

    model.preset(preset)
    values = copy.deepcopy(model.presets[preset])
    if file is not None:
        values = laid_over(model, values, read_yaml(file))
    return model.checked({**values, **early})


def _parsed(assignment: str) -> tuple[list[str], Any]:
    from napari_stemlearn.settings import parse_assignments

    value: Any = parse_assignments([assignment])
    keys = assignment.partition("=")[0].strip().split(".")
    for key in keys:
        value = value[key]
    return keys, value


def _assign(values: Any, keys: list[str], value: Any, assignment: str) -> None:
    """Set a value deep inside; a number counts entries of a list from 0."""
    from napari_stemlearn.errors import SettingsError

    *parents, last = keys
    for parent in parents:
        values = _entry(values, parent, assignment)
    if isinstance(values, list):
        _entry(values, last, assignment)
        values[int(last)] = value
    elif isinstance(values, dict):
        values[last] = value
    else:
        raise SettingsError(f"'{assignment}' reaches into {'.'.join(parents)}, which has no parts.")


def _entry(values: Any, key: str, assignment: str) -> Any:
    from napari_stemlearn.errors import SettingsError

    if isinstance(values, list):
        if not key.isdigit() or int(key) >= len(values):
            raise SettingsError(f"'{assignment}': '{key}' is no entry of a list of {len(values)}, counted from 0.")
        return values[int(key)]
    if isinstance(values, dict):
        if values.get(key) is None:
            values[key] = {}
        return values[key]
    raise SettingsError(f"'{assignment}' reaches into a setting that has no parts.")
