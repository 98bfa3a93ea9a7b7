"""``stemlearn runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    from napari_stemlearn.jobs import Run

app = typer.Typer(
    help="List the runs of jobs; show, follow, stop, kill, resume or delete one.", invoke_without_command=True
)

FOLDER_HELP = "Where run folders lie."
RunsFolderOption = Annotated[
    Path,
    typer.Option("--runs-folder", help=FOLDER_HELP, envvar="STEMLEARN_RUNS", metavar="FOLDER", callback=expand_home),
]
OwnRunsFolderOption = Annotated[
    Path | None, typer.Option("--runs-folder", help=FOLDER_HELP, metavar="FOLDER", callback=expand_home)
]
DEFAULT_RUNS = Path("runs")
NameArgument = Annotated[
    str,
    typer.Argument(
        help="Name of a run, as listed under 'name' or given with --name; its folder; or 'last' for the newest.",
        callback=expand_home,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

NAMED = 5
"""Up to so many runs are named in a sentence."""


@app.callback()
def runs(ctx: typer.Context, runs_folder: RunsFolderOption = DEFAULT_RUNS, as_json: JsonOption = False) -> None:
    """List the runs, newest first."""
    ctx.obj = checked_runs_folder(runs_folder)
    if ctx.invoked_subcommand is not None:
        return
    from napari_stemlearn.cli.printing import note, print_json, print_table
    from napari_stemlearn.jobs import list_runs

    found = [_described(run) for run in list_runs(runs_folder)]
    if as_json:
        print_json(found)
        return
    if not found:
        note(f"There are no runs in {runs_folder}.")
        return
    names = ("name", "kind", "state", "done", "what")
    print_table(names, ([entry[name] for name in names] for entry in found))


@app.command("show")
def show(
    ctx: typer.Context, name: NameArgument, as_json: JsonOption = False, runs_folder: OwnRunsFolderOption = None
) -> None:
    """Show state, settings, result or failure of a run."""
    import yaml

    from napari_stemlearn.cli.printing import print_json

    run = run_named(name, runs_folder or ctx.obj)
    record: dict[str, Any] = _described(run)
    failure = run.failure
    if failure is not None:
        record["detail"] = failure.detail
    record |= {"attempts": run.attempt, "result": run.result, **run.job.model_dump(mode="json", exclude={"kind"})}
    if as_json:
        print_json(record)
    else:
        typer.echo(yaml.safe_dump(record, sort_keys=False, allow_unicode=True).rstrip())


@app.command("follow")
def follow(ctx: typer.Context, name: NameArgument, runs_folder: OwnRunsFolderOption = None) -> None:
    """Watch a run until it ends; Ctrl-C leaves it running."""
    from napari_stemlearn.cli.watching import watch

    run = run_named(name, runs_folder or ctx.obj)
    watch(run.follow(), run.name)
    typer.echo(f"{run.state}")


@app.command("stop")
def stop(ctx: typer.Context, name: NameArgument, runs_folder: OwnRunsFolderOption = None) -> None:
    """Ask a run to stop at its next safe point, with a checkpoint."""
    run = run_named(name, runs_folder or ctx.obj)
    run.stop()
    typer.echo(f"{run.state}")


@app.command("kill")
def kill(ctx: typer.Context, name: NameArgument, runs_folder: OwnRunsFolderOption = None) -> None:
    """End a run at once; its last checkpoint stays."""
    run = run_named(name, runs_folder or ctx.obj)
    run.kill()
    typer.echo(f"{run.state}")


@app.command("resume")
def resume(ctx: typer.Context, name: NameArgument, runs_folder: OwnRunsFolderOption = None) -> None:
    """Go on with a run from its last checkpoint, in the background."""
    run = run_named(name, runs_folder or ctx.obj)
    run.resume()
    typer.echo(f"{run.state}")


@app.command("delete")
def delete(ctx: typer.Context, name: NameArgument, runs_folder: OwnRunsFolderOption = None) -> None:
    """Delete a run that has ended, with its checkpoints and its result."""
    run = run_named(name, runs_folder or ctx.obj)
    run.delete()
    typer.echo(f"deleted {run.folder}")


def checked_runs_folder(folder: Path) -> Path:
    """The folder in which run folders lie, which need not be there.

    Raises
    ------
    JobError
        If it is a file.
    """
    from napari_stemlearn.errors import JobError

    if folder.exists() and not folder.is_dir():
        raise JobError(f"{folder} is a file; --runs-folder takes the folder in which run folders lie.")
    return folder


def run_named(name: str, runs_folder: Path) -> Run:
    """Find a run by its name, its folder, as the newest, or by the name that its user gave it.

    Raises
    ------
    JobError
        If there is none, or several were given that name.
    """
    from napari_stemlearn.errors import JobError
    from napari_stemlearn.jobs import Run, list_runs

    found = list_runs(checked_runs_folder(runs_folder))
    if name == "last" and found:
        return found[0]
    for place in (runs_folder / name, Path(name)):
        if (place / "job.yaml").exists():
            return Run(place)
    called = [run for run in found if _label(run) == name]
    if len(called) == 1:
        return called[0]
    if called:
        names = ", ".join(run.name for run in called[:NAMED]) + (", ..." if len(called) > NAMED else "")
        raise JobError(f"{len(called)} runs in {runs_folder} are called '{name}'; give the name of one: {names}.")
    known = ", ".join(run.name for run in found[:NAMED]) or "none"
    raise JobError(f"There is no run '{name}' in {runs_folder}; the newest there: {known}.")


def _label(run: Run) -> str | None:
    """The name that a user gave, or None for a damaged run."""
    from napari_stemlearn.errors import JobError

    try:
        return run.job.label
    except JobError:
        return None


def _described(run: Run) -> dict[str, Any]:
    from napari_stemlearn.errors import StemlearnError
    from napari_stemlearn.jobs.event_log import last_progress

    try:
        job = run.job
    except StemlearnError as error:
        return {"name": run.name, "kind": "-", "state": "failed", "done": "-", "what": str(error)}
    step = last_progress(run.folder / "events.jsonl")
    failure = run.failure
    return {
        "name": run.name,
        "kind": job.kind,
        "state": str(run.state),
        "done": f"{step.done} of {step.total}" if step else "-",
        "what": failure.message if failure is not None else job.label,
    }
