"""What is wrong with the values of a form, in sentences: at their fields, and in short for a button."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from napari_stemlearn.settings import Settings, axes_of, example_of, settings_in
from napari_stemlearn.widgets.editors import field_label
from napari_stemlearn.widgets.typed_numbers import two_readings

Place = tuple[str | int, ...]
"""Names and numbers that lead to a value in nested settings."""

_NAMED = re.compile(r"(\w+) \((\w)\) is ")


def head_of(place: Place, sentence: str) -> str:
    """The field that a problem is about: by its place, or by the first word of the sentence."""
    return str(place[0]) if place else sentence.split(" ", 1)[0].split(".")[0].strip(":'")


def field_at(model: type[Settings], place: Place) -> FieldInfo | None:
    """The last field of settings that a place leads through; None where it leads through none."""
    models, found = [model], None
    for name in place:
        field = next((one.model_fields[str(name)] for one in models if str(name) in one.model_fields), None)
        if field is not None:
            found, models = field, settings_in(field.annotation)
    return found


def problems_of(error: ValidationError, model: type[Settings]) -> list[tuple[Place, str]]:
    """Where and what of each fault in a pydantic report on a model, one sentence a value."""
    found: dict[Place, tuple[bool, str]] = {}
    for entry in error.errors():
        place: Place = tuple(part for part in entry["loc"] if part not in ("float", "int", "str", "Distribution"))
        if "Distribution" in entry["loc"]:
            place = tuple(entry["loc"][: entry["loc"].index("Distribution")])
        ours = entry["type"] == "value_error"
        sentence = sentence_of(entry)
        field = field_at(model, place)
        if entry["type"] == "dict_type" and field is not None and example_of(field):
            # a part of what was typed means little to whoever typed it
            sentence = f"This is not of the form {example_of(field)}."
        named = _NAMED.match(sentence) if ours else None
        if named is not None and (field := field_at(model, (*place, named[1]))) and named[2] in axes_of(field):
            place = (*place, named[1], axes_of(field).index(named[2]))
        if place not in found or (ours and not found[place][0]):
            found[place] = (ours, sentence)
    return [(place, sentence) for place, (_ours, sentence) in found.items()]


def sentence_of(entry: ErrorDetails) -> str:
    """One fault of a pydantic report in plain words."""
    kind, given = entry["type"], entry.get("input")
    if isinstance(given, str) and (sentence := two_readings(given)):
        return sentence
    if kind in ("float_parsing", "float_type", "int_parsing", "int_type"):
        if given in ("", None):
            return "A number is needed here."
        return f"'{given}' is not a {'whole ' if kind.startswith('int') else ''}number."
    if kind == "int_from_float":
        return f"{given} is not a whole number."
    if kind in ("missing", "model_type", "string_type", "string_too_short"):
        return "A value is needed here."
    if kind == "extra_forbidden":
        return "There is no such setting."
    if kind in ("list_type", "tuple_type"):
        return f"'{given}' is not a list, such as a, b."
    if kind == "dict_type":
        return f"'{given}' is not of the form name: value."
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    message = message.replace("Input should be", "Allowed:")
    return f"{message[:1].upper() + message[1:] if kind != 'value_error' else message}."


def at_field(name: str, field: FieldInfo, problems: list[tuple[Place, str]]) -> str:
    """What is wrong with a field, in words for beneath it: of several numbers the first fault, and where it is.

    Parameters
    ----------
    name, field
        The field.
    problems
        Places inside the field, and sentences.
    """
    title = field_label(name, field)
    sentences = [re.sub(rf"^{name}\b", title, sentence) for _place, sentence in problems]
    axes = axes_of(field)
    if not axes or not any(place for place, _sentence in problems):
        return " ".join(dict.fromkeys(sentences))
    first = sentences[0]
    if first.startswith(title):
        return first
    where = [axes[int(place[0])] for (place, _said), told in zip(problems, sentences, strict=True) if told == first]
    return f"{', '.join(where)}: {first}"


def in_short(model: type[Settings], place: Place, sentence: str) -> str:
    """A problem for beneath a button: which field, by its titles, and what is wrong; the rest stands at the field."""
    models, titles = [model], []
    axes: tuple[str, ...] = ()
    rest = sentence
    first = head_of((), sentence)
    for name in (*place, first):
        # the sentence may name the number itself
        if isinstance(name, int) and axes and rest == sentence:
            titles[-1] += f" ({axes[name]})"
        field = next((one.model_fields[str(name)] for one in models if name in one.model_fields), None)
        if field is not None:
            titles.append(field_label(str(name), field))
            models, axes = settings_in(field.annotation), axes_of(field)
            rest = sentence.removeprefix(f"{first} ") if name == first else sentence
    if not titles:
        return sentence
    title = " › ".join(titles)
    if rest != sentence:
        return f"{title} {rest}"
    quoted = re.fullmatch(r"(?:'.*?'|This) ((?:is|can) .*)", sentence)
    if quoted is None:
        return f"{title}: {sentence[:1].lower()}{sentence[1:]}"
    # the field says which distributions there are
    distributions = quoted[1].startswith(("is neither", "is none of"))
    return f"{title} {'is neither a number nor a distribution.' if distributions else quoted[1]}"
