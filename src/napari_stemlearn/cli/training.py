"""What the commands that train have in common: options, and the run from its start or resumption to the product."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    from napari_stemlearn.jobs import Run

ResumeOption = Annotated[
    str | None,
    typer.Option(
        "--resume", help="Go on with this run: its name, folder, or 'last'.", metavar="RUN", callback=expand_home
    ),
]
BackgroundOption = Annotated[
    bool, typer.Option("--background", help="Start a process of its own and return; see 'stemlearn runs'.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what another training left at --out.")]


@dataclass(frozen=True)
class Training:
    """A command that trains.

    Parameters
    ----------
    command
        Its name.
    kind
        Of its jobs.
    words
        What such a job is, with its article.
    doing
        Words beside the bar.
    what
        Its product, in sentences.
    files
        Those of the product; the last one is its card.
    """

    command: str
    kind: str
    words: str
    doing: str
    what: str
    files: tuple[str, ...]

    def check_out(self, out: Path | None, background: bool, overwrite: bool) -> None:
        """Refuse, before hours of training, a folder that cannot take the product.

        Parameters
        ----------
        out
            Folder that was asked for, or None.
        background
            Whether nobody will wait for the product.
        overwrite
            Whether the product of another training may be replaced.

        Raises
        ------
        SettingsError
            If nobody brings the product there, or the folder holds something else or cannot be written.
        """
        from napari_stemlearn.errors import SettingsError
        from napari_stemlearn.file_errors import reason
        from napari_stemlearn.formats.folders import holds_files

        if out is None:
            if overwrite:
                raise SettingsError("--overwrite replaces what lies at --out; give both, or neither.")
            return
        if background:
            raise SettingsError(f"With --background the {self.what} stays in the run folder; leave --out away.")
        if out.exists() and not out.is_dir():
            raise SettingsError(f"{out} is a file; --out takes a folder.")
        if (out / self.files[-1]).exists():
            if not overwrite:
                raise SettingsError(
                    f"{out} holds a {self.what} already; choose another folder, or give --overwrite to replace it."
                )
        elif out.is_dir() and holds_files(out):
            raise SettingsError(f"{out} holds other files than a {self.what}; choose a new or empty folder.")
        try:
            try_writing(out)
        except OSError as error:
            raise SettingsError(f"Nothing can be written to {out}: {reason(error)}.") from error

    def run_to_resume(self, name: str, runs_folder: Path) -> Run:
        """The run that is to go on, by its name or folder, or ``last``.

        Raises
        ------
        JobError
            If there is none, or it is another kind of job.
        """
        from napari_stemlearn.cli.runs import run_named
        from napari_stemlearn.errors import JobError

        run = run_named(name, runs_folder)
        if run.job.kind != self.kind:
            raise JobError(f"The run {run.name} is a '{run.job.kind}' job, not {self.words}.")
        return run

    def product(self, run: Run, *, resumed: bool, background: bool, out: Path | None) -> Path | None:
        """Run a training here and give the folder of its product; in the background, print the run's folder, give None.

        Parameters
        ----------
        run
            Of the training.
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
        JobError
            If the run left no product, or it cannot be copied.
        """
        from napari_stemlearn.cli import INTERRUPTED
        from napari_stemlearn.cli.printing import note
        from napari_stemlearn.cli.watching import stop_on_interrupt, watch

        if background:
            run.resume() if resumed else run.start()
            typer.echo(str(run.folder))
            return None
        note(f"Run folder: {run.folder}")
        with stop_on_interrupt(run.stop):
            done = watch(run.execute(resume=resumed), self.doing)
        if done.stopped:
            note(f"{self._kept(run)}; go on with: stemlearn {self.command} --resume {run.folder}")
            raise typer.Exit(INTERRUPTED)
        return self._delivered(run.result_folder, out)

    @staticmethod
    def _kept(run: Run) -> str:
        """Words on what a stopped run goes on from."""
        from napari_stemlearn.learning.checkpoints import checkpoint_path

        there = checkpoint_path(run.folder, "last").exists()
        return "Stopped with a checkpoint" if there else "Stopped before the first step, so there is no checkpoint yet"

    def _delivered(self, result: Path, out: Path | None) -> Path:
        """Where the product of a run lies; copied to `out` where that was asked for."""
        import shutil

        from napari_stemlearn.atomic_writing import replacing_together
        from napari_stemlearn.errors import JobError
        from napari_stemlearn.file_errors import reason

        cards = sorted(result.rglob(self.files[-1]))
        if not cards:
            raise JobError(f"The training left no {self.what} in {result}.")
        folder = cards[0].parent
        if out is None:
            return folder
        try:
            out.mkdir(parents=True, exist_ok=True)
            with replacing_together(*(out / file for file in self.files)) as parts:
                for file, part in zip(self.files, parts, strict=True):
                    shutil.copyfile(folder / file, part)
        except OSError as error:
            raise JobError(
                f"The {self.what} cannot be copied to {out}: {reason(error)}; it lies in {folder}."
            ) from error
        return out


def try_writing(folder: Path) -> None:
    """Make a folder and a file in it, and remove what was made.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    import tempfile

    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"a file")
    finally:
        for place in missing:
            if place.is_dir():
                place.rmdir()
