"""Errors as one sentence and an exit status."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from napari_stemlearn.cli import INTERRUPTED
from napari_stemlearn.errors import LabelsInTheWayError, MissingPixelSizeError, SeveralImagesError, StemlearnError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.memory_errors import is_out_of_memory

BAD_INPUT = 2
"""Exit status where the person can put it right: input, settings, disk, memory."""

OPTIONS = {
    MissingPixelSizeError: "--pixel-size",
    LabelsInTheWayError: "--overwrite",
    SeveralImagesError: "--title",
}
"""Options that put an error right, where a command has them."""


class SentenceGroup(TyperGroup):
    """Commands whose errors end as one sentence on stderr."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read what was typed; help and version are printed here."""
        with _in_words(str):
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with _in_words(lambda error: self._sentence(ctx, error)):
            return super().invoke(ctx)

    def _sentence(self, ctx: Any, error: StemlearnError) -> str:
        """What is wrong, with the option that the running command has for it."""
        command = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
        options = [option for parameter in command.params for option in parameter.opts] if command else []
        for kind, option in OPTIONS.items():
            if isinstance(error, kind) and option in options:
                return f"{str(error).removesuffix('.')} with {option}."
        return str(error)


@contextlib.contextmanager
def _in_words(sentence_of: Callable[[StemlearnError], str]) -> Iterator[None]:
    """End with one sentence on stderr and an exit status where something that is no fault in the code goes wrong."""
    try:
        yield
    except StemlearnError as error:
        _refuse(sentence_of(error))
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        if _is_of_standard_output(error):
            _leave_standard_output()
            _refuse(f"The output cannot be written to where it goes (stdout): {reason(error)}.")
        from napari_stemlearn.jobs.failures import explain_failure

        place = getattr(error, "filename", None)
        sentence = explain_failure(error, Path(str(place)) if place else Path.cwd())
        if sentence.startswith("The job broke with"):
            sentence = f"{place or 'A file'} cannot be used: {reason(error)}."
        _refuse(sentence)
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _is_of_standard_output(error: BaseException) -> bool:
    """Whether printing failed: such an error names no file."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, OSError) and any(frame.f_code is typer.echo.__code__ for frame in frames)


def _leave_standard_output() -> None:
    """Let what is still to be printed go nowhere: at the end Python would try again, and complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _refuse(sentence: str) -> None:
    typer.echo(f"Error: {sentence}", err=True)
    raise typer.Exit(BAD_INPUT) from None
