"""The settings model of a step: its form in the dock, its YAML file and flags, the record kept with every product."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_args, get_origin

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.distributions import Distribution, draw
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.yaml_reading import parse_yaml, yaml_fault

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _Metaclass
else:
    _Metaclass = type(BaseModel)

SEED_LIMIT = 1 << 63
"""Seeds are below it: numpy takes any, torch 64 bits."""


def quantity(
    default: Any,
    unit: str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    advanced: bool = False,
    empty: str = "",
) -> Any:
    """Declare a settings field with a unit and bounds; works for plain numbers and for `Drawn` ones.

    Parameters
    ----------
    default
        Default value.
    unit
        Unit as shown to the user ("angstrom", "mrad", "1" for none).
    description
        One sentence for the tool tip and the reference.
    minimum, maximum
        Inclusive bounds of the value, or of what a distribution may draw.
    advanced
        The form folds the field away under "More".
    empty
        What holds where an optional field is empty, in a word or two that stand there in the form.
    """
    extra: dict[str, Any] = {"unit": unit, "minimum": minimum, "maximum": maximum, "advanced": advanced}
    if empty:
        extra["empty"] = empty
    return Field(default, description=description, json_schema_extra=extra, validate_default=True)


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None]:
    """Inclusive bounds that `quantity` put on a field."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return extra.get("minimum"), extra.get("maximum")  # type: ignore[return-value]


def unit_of(field: FieldInfo) -> str:
    """Unit that `quantity` put on a field, or an empty text."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = extra.get("unit", "")
    return "" if unit in (None, "1") else str(unit)


def meaning_of_empty(field: FieldInfo) -> str:
    """What `quantity` says that holds where a field is empty, or ``none``."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return str(extra.get("empty") or "none")


def axes_of(field: FieldInfo) -> tuple[str, ...]:
    """Names of the numbers of a field that holds two or three: y and x of a plane, u, v and w of a zone axis."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        members = get_args(annotation) if get_origin(annotation) is tuple else ()
        if members and all(member in (int, float) for member in members):
            return {2: ("y", "x"), 3: ("u", "v", "w")}.get(len(members), ())
    return ()


def example_of(field: FieldInfo) -> str:
    """A value of a field as it is typed, or an empty text."""
    return str(field.examples[0]) if field.examples else ""


def is_advanced(field: FieldInfo) -> bool:
    """Whether the form folds the field away."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return bool(extra.get("advanced"))


def range_text(minimum: float | None, maximum: float | None, unit: str) -> str:
    """Words for an allowed range."""
    suffix = f" {unit}" if unit else ""
    if minimum is not None and maximum is not None:
        return f"{minimum:.10g} to {maximum:.10g}{suffix}"
    if minimum is not None:
        return f"at least {minimum:.10g}{suffix}"
    if maximum is not None:
        return f"at most {maximum:.10g}{suffix}"
    return f"any number{suffix}"


def _checked_seed(value: int) -> int:
    # as a bound it would be rounded to a number that torch does not take
    if value >= SEED_LIMIT:
        raise ValueError(f"{value} is too large for a seed; allowed: whole numbers from 0 to {SEED_LIMIT - 1}")
    return value


Seed = Annotated[int, AfterValidator(_checked_seed)]
"""A seed: a whole number that numpy and torch take; declare it with a minimum of 0."""


class _OneSentence(_Metaclass):
    """Lets a refused construction say one sentence; what pydantic builds inside does not come this way."""

    def __call__(cls, *arguments: Any, **values: Any) -> Any:
        try:
            return super().__call__(*arguments, **values)
        except ValidationError as error:
            raise SettingsError(explain(error)) from error


class Settings(BaseModel, metaclass=_OneSentence):
    """Base of every settings model: unknown fields are refused, bounds checked, presets named.

    Raises
    ------
    SettingsError
        Names the field, what is wrong and what is allowed.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=True)

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}

    def model_post_init(self, _context: Any) -> None:
        """Check bounds of numbers and of what distributions may draw."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            minimum, maximum = bounds_of(field)
            if minimum is None and maximum is None:
                continue
            axes = axes_of(field)
            for place, entry in enumerate(_entries(value)):
                low, high = entry.extent() if isinstance(entry, Distribution) else (entry, entry)
                below = minimum is not None and low < minimum
                above = maximum is not None and high > maximum
                if isinstance(entry, Distribution) and entry.kind == "normal":
                    # a normal distribution has no ends: its draws are put on the bound, only its mean must lie inside
                    below = minimum is not None and entry.values[0] < minimum
                    above = maximum is not None and entry.values[0] > maximum
                if below or above or not np.isfinite([low, high]).all():
                    allowed = range_text(minimum, maximum, unit_of(field))
                    which = f"{name} ({axes[place]}) is {entry:.10g}" if axes else f"{name} is {value}"
                    raise ValueError(f"{which}; allowed: {allowed}")

    @classmethod
    def preset(cls, name: str = "default", /, **changes: Any) -> Self:
        """Build a named preset, with changes.

        Raises
        ------
        SettingsError
            If there is no such preset or a change is not allowed.
        """
        if name not in cls.presets:
            raise SettingsError(f"There is no preset '{name}'; choose one of {', '.join(cls.presets)}.")
        return cls.checked({**cls.presets[name], **changes})

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Build from plain values, with one sentence instead of a validation report.

        A section, or an entry of a list of sections, may be the name of its preset.

        Raises
        ------
        SettingsError
            Names the field, what is wrong and what is allowed.
        """
        return cls(**with_presets(cls, values))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file of settings.

        Raises
        ------
        SettingsError
            If the file is missing, is no mapping, or holds a value that is not allowed.
        """
        return cls.checked(read_yaml(path))

    def save(self, path: str | Path) -> None:
        """Write as YAML, whole or not at all.

        Raises
        ------
        OSError
            If the folder is missing, an older file is read-only or the disk refuses; an older file stays as it was.
        """
        text = yaml.safe_dump(self.record(), sort_keys=False, allow_unicode=True)
        write_bytes(Path(path), text.encode("utf-8"))

    def record(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and provenance."""
        return self.model_dump(mode="json")

    def changed(self, **changes: Any) -> Self:
        """Copy with changed fields, checked again; dots reach into sections (``changed(**{"train.steps": 5})``)."""
        values = self.record()
        for key, value in changes.items():
            set_path(values, key, value)
        return type(self).checked(values)

    def drawn(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw every field that is a number or a distribution, in the order of declaration, inside its bounds."""
        values = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Distribution) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
                values[name] = draw(value, rng, *bounds_of(field))
        return values


def _entries(value: Any) -> list[float | Distribution]:
    """A number or a distribution, or each of those in a mapping or sequence."""
    if isinstance(value, Distribution):
        return [value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, (int, float)):
        return [float(value)]
    if isinstance(value, dict):
        return [entry for part in value.values() for entry in _entries(part)]
    if isinstance(value, (list, tuple)):
        return [entry for part in value for entry in _entries(part)]
    return []


def section_of(model: type[Settings], name: str) -> type[Settings] | None:
    """Settings model of a field that is a section of its own, or a list of sections."""
    field = model.model_fields.get(name)
    return None if field is None else next(iter(settings_in(field.annotation)), None)


def laid_over(model: type[Settings], below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of a settings model with others laid over them.

    Parameters
    ----------
    model
        Tells which values are sections: these are gone into, however deep; all else is replaced as a whole, tables of
        values and distributions too.
    below, above
        Nested as in the model; names of neither need be complete.
    """
    done = dict(below)
    for name, value in above.items():
        section, under = section_of(model, name), done.get(name)
        if section is not None and isinstance(value, Mapping) and isinstance(under, Mapping):
            done[name] = laid_over(section, under, value)
        else:
            done[name] = value
    return done


def settings_in(annotation: Any) -> list[type[Settings]]:
    """All settings models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [found for part in get_args(annotation) for found in settings_in(part)]


def with_presets(model: type[Settings], values: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Replace the name of a preset by what it stands for, in every section and list of sections.

    Raises
    ------
    SettingsError
        Names the setting and the presets that there are.
    """
    done = dict(values)
    for key, value in values.items():
        section = section_of(model, key)
        if section is None:
            continue
        annotation = model.model_fields[key].annotation
        listed = any(get_origin(part) in (tuple, list) for part in (annotation, *get_args(annotation)))
        if not listed:
            done[key] = _with_preset(section, value, f"{place}{key}")
        elif isinstance(value, (list, tuple)):
            done[key] = [_with_preset(section, entry, f"{place}{key}.{number}") for number, entry in enumerate(value)]
    return done


def _with_preset(section: type[Settings], value: Any, place: str) -> Any:
    if isinstance(value, str) and len(section.presets) > 1:
        try:
            return section.preset(value).record()
        except SettingsError as error:
            raise SettingsError(f"Setting {place}: {error}") from error
    if isinstance(value, dict):
        return with_presets(section, value, f"{place}.")
    return value


def explain(error: ValidationError) -> str:
    """Turn a pydantic report into one sentence about its first fault."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("float", "Distribution"))
    kind = first["type"]
    if kind == "extra_forbidden":
        return f"There is no setting '{place}'."
    if kind == "missing":
        return f"The setting '{place}' is missing."
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if kind == "value_error":
        return f"Setting {place + ': ' if place else ''}{message}."
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"Setting {place} is {first['input']!r}; it must be a section of 'name: value' settings."
    if kind in ("list_type", "tuple_type"):
        return f"Setting {place} is {first['input']!r}; it must be a list."
    return f"Setting {place} is {first['input']!r}: {message[0].lower()}{message[1:]}."


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    SettingsError
        If the file is missing or does not hold a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        values = parse_yaml(text)
    except FileNotFoundError:
        raise SettingsError(f"The settings file {path} does not exist.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"The settings file {path} cannot be read as YAML: {yaml_fault(error, text)}.") from error
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(
            f"The settings file {path} cannot be read as YAML: {str(error).splitlines()[0]}."
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"The settings file {path} holds a {type(values).__name__}, not 'name: value' lines.")
    return values


def set_path(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b.c`` in nested mappings."""
    *parents, last = key.split(".")
    for parent in parents:
        below = values.get(parent)
        if not isinstance(below, dict):
            below = {}
            values[parent] = below
        values = below
    values[last] = value


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Turn ``["dose=1e4", "scan.shear=0.01"]`` into nested values; each value is read as YAML.

    Raises
    ------
    SettingsError
        If an entry has no ``=``.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.strip():
            raise SettingsError(f"'{assignment}' is not of the form name=value.")
        try:
            value = parse_yaml(text)
        except yaml.YAMLError as error:
            fault = yaml_fault(error, text).removeprefix("line 1: ")
            raise SettingsError(f"'{assignment}': what stands after the = is not YAML: {fault}.") from None
        if isinstance(value, str):
            # YAML 1.1 reads 1e4 as text
            with contextlib.suppress(ValueError):
                value = float(value)
        set_path(values, key.strip(), value)
    return values
