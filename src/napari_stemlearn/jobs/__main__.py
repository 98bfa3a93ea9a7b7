"""``python -m napari_stemlearn.jobs RUN_FOLDER [--resume]``: the process of one run."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import signal
import sys
from pathlib import Path
from types import FrameType

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.events import Done, Event, Failed
from napari_stemlearn.jobs.execute import execute
from napari_stemlearn.jobs.job_file import read_job_file
from napari_stemlearn.jobs.processes import lower_priority


def main(arguments: list[str] | None = None) -> int:
    """Do the work of a run folder; returns 0 when done or stopped, 1 when failed, 2 when it cannot begin."""
    parser = argparse.ArgumentParser(prog="python -m napari_stemlearn.jobs", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--token", default="", help="of the attempt, as it stands in process.json")
    chosen = parser.parse_args(arguments)
    folder = chosen.run_folder.absolute()
    faulthandler.enable()
    lower_priority()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            (folder / "stop").touch()

    signal.signal(signal.SIGTERM, ask_to_stop)
    last: Event | None = None
    try:
        job = read_job_file(folder / "job.yaml")
        for event in execute(folder, job, resume=chosen.resume, inline=False, token=chosen.token):
            last = event
    except StemlearnError as error:
        print(error, file=sys.stderr)
        return 2
    if isinstance(last, Failed):
        print(f"{last.message}\n{last.detail}", file=sys.stderr)
    return 0 if isinstance(last, Done) else 1


if __name__ == "__main__":
    sys.exit(main())
