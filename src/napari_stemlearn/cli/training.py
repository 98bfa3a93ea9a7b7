"""What the commands that train have in common: options, and the run from its start or resumption to the product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from napari_stemlearn.jobs import Run

ResumeOption = Annotated[
    str | None, typer.Option("--resume", help="Go on with this run: its name, folder, or 'last'.", metavar="RUN")
]
BackgroundOption = Annotated[
    bool, typer.Option("--background", help="Start a process of its own and return; see 'stemlearn runs'.")
]


def check_delivery(out: Path | None, background: bool, card: str, what: str) -> None:
    """Refuse, before anything starts, a folder that cannot take the product.

    Parameters
    ----------
    out
        Folder that was asked for, or None.
    background
        Whether nobody will wait for the product.
    card
        Name of the file that tells such a product.
    what
        Its name in sentences.

    Raises
    ------
    SettingsError
        Says why.
    """
    from napari_stemlearn.cli.delivery import check_out
    from napari_stemlearn.errors import SettingsError

    if out is not None and background:
        raise SettingsError(f"With --background the {what} stays in the run folder; leave --out away.")
    if out is not None:
        check_out(out, card, what)


def run_to_resume(name: str, runs_folder: Path, kind: str, what: str) -> Run:
    """The run of a training that is to go on.

    Parameters
    ----------
    name
        Its name or folder, or ``last``.
    runs_folder
        Where runs lie.
    kind
        Of job.
    what
        Such a training in words, with its article.

    Raises
    ------
    JobError
        If there is none, or it is another kind of job.
    """
    from napari_stemlearn.cli.runs import run_named
    from napari_stemlearn.errors import JobError

    run = run_named(name, runs_folder)
    if run.job.kind != kind:
        raise JobError(f"The run {run.name} is a '{run.job.kind}' job, not {what}.")
    return run


def product_of(
    run: Run,
    command: str,
    doing: str,
    files: Sequence[str],
    what: str,
    *,
    resumed: bool,
    background: bool,
    out: Path | None,
) -> Path | None:
    """Run a training here and give the folder of its product; in the background, print the run's folder, give None.

    Parameters
    ----------
    run
        Of the training.
    command
        That goes on with it.
    doing
        Words beside the bar.
    files
        The product's files; the last one is its card.
    what
        Its name in sentences.
    resumed
        Whether the run goes on from its last checkpoint.
    background
        Start a process of its own.
    out
        Folder for a copy of the product.

    Raises
    ------
    typer.Exit
        After Ctrl-C.
    """
    from napari_stemlearn.cli.delivery import delivered
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.cli.refusals import INTERRUPTED
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch

    if background:
        run.resume() if resumed else run.start()
        typer.echo(str(run.folder))
        return None
    note(f"Run folder: {run.folder}")
    with stop_on_interrupt(run.stop):
        done = watch(run.execute(resume=resumed), doing)
    if done.stopped:
        note(f"Stopped with a checkpoint; go on with: stemlearn {command} --resume {run.folder}")
        raise typer.Exit(INTERRUPTED)
    return delivered(run.result_folder, out, files, what)
