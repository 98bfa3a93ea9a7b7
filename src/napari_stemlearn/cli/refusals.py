"""Errors as one sentence and an exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from napari_stemlearn.errors import LabelsInTheWayError, MissingPixelSizeError, SeveralImagesError, StemlearnError
from napari_stemlearn.memory_errors import is_out_of_memory

BAD_INPUT = 2
"""Exit status where the person can put it right: input, settings, disk, memory."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

OPTIONS = {
    MissingPixelSizeError: "--pixel-size",
    LabelsInTheWayError: "--overwrite",
    SeveralImagesError: "--title",
}
"""Options that put an error right, where a command has them."""


class SentenceGroup(TyperGroup):
    """Commands whose errors end as one sentence on stderr."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except StemlearnError as error:
            _refuse(self._sentence(ctx, error))
        except BrokenPipeError:
            raise
        except (OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            from napari_stemlearn.jobs.failures import explain_failure

            place = getattr(error, "filename", None)
            sentence = explain_failure(error, Path(str(place)) if place else Path.cwd())
            if sentence.startswith("The job broke with"):
                sentence = f"{place or 'A file'} cannot be used: {getattr(error, 'strerror', None) or error}."
            _refuse(sentence)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    def _sentence(self, ctx: Any, error: StemlearnError) -> str:
        """What is wrong, with the option that the running command has for it."""
        command = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
        options = [option for parameter in command.params for option in parameter.opts] if command else []
        for kind, option in OPTIONS.items():
            if isinstance(error, kind) and option in options:
                return f"{str(error).removesuffix('.')} with {option}."
        return str(error)


def _refuse(sentence: str) -> None:
    typer.echo(f"Error: {sentence}", err=True)
    raise typer.Exit(BAD_INPUT) from None
