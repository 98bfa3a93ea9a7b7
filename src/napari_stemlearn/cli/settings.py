"""``stemlearn settings``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from napari_stemlearn.settings import Settings

MODELS = {
    "train": "napari_stemlearn.learning.settings:SegmentationSettings",
    "simulate": "napari_stemlearn.datasets.settings:SimulateSettings",
    "train-gan": "napari_stemlearn.learning.cyclegan_settings:CycleGANSettings",
    "generate": "napari_stemlearn.generation.settings:GenerateSettings",
    "find": "napari_stemlearn.finding.settings:FindSettings",
    "structure": "napari_stemlearn.structures.settings:StructureSettings",
    "imaging": "napari_stemlearn.imaging.settings:ImagingSettings",
}
"""What can be printed."""

WIDTH = 110


def settings(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(MODELS)}.")],
    preset: Annotated[str, typer.Option("--preset", help="Named settings.")] = "default",
) -> None:
    """Print settings as YAML, with units and allowed ranges: a start for --settings FILE."""
    from importlib import import_module

    from napari_stemlearn.errors import SettingsError

    if kind not in MODELS:
        raise SettingsError(f"There are no settings '{kind}'; choose one of {', '.join(MODELS)}.")
    module, _, name = MODELS[kind].partition(":")
    model: type[Settings] = getattr(import_module(module), name)
    chosen = model.preset(preset)
    typer.echo(f"# {kind}: {(model.__doc__ or '').strip().splitlines()[0]}  Presets: {', '.join(model.presets)}")
    typer.echo("\n".join(annotated(chosen)))


def annotated(chosen: Settings) -> list[str]:
    """Lines of YAML, each setting under a comment with its meaning, unit and range."""
    import textwrap

    from napari_stemlearn.settings import Settings, bounds_of, range_text, unit_of

    lines: list[str] = []
    record: dict[str, Any] = chosen.record()
    for name, field in type(chosen).model_fields.items():
        minimum, maximum = bounds_of(field)
        unit = unit_of(field)
        bounded = minimum is not None or maximum is not None
        allowed = range_text(minimum, maximum, unit) if bounded else unit
        words = " ".join(filter(None, [field.description, f"[{allowed}]" if allowed else ""]))
        lines += textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ")
        value = getattr(chosen, name)
        if isinstance(value, Settings):
            lines += [f"{name}:", *(f"  {line}" for line in annotated(value))]
        else:
            lines += _entry(name, record[name])
    return lines


def _entry(name: str, value: Any) -> list[str]:
    """One setting as YAML; a list of numbers stays on one line."""
    import yaml

    if not isinstance(value, (list, dict)):
        return yaml.safe_dump({name: value}, allow_unicode=True, width=WIDTH).rstrip().splitlines()
    # None puts lists and mappings without further parts on one line
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None)
    inner = text.rstrip().splitlines()
    if inner[0][0] in "[{" and len(inner) == 1:
        return [f"{name}: {inner[0]}"]
    return [f"{name}:", *(f"  {line}" for line in inner)]
