"""Words by which runs are told apart: the name that somebody gave, and when the run was made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from napari_stemlearn.jobs import Run
from napari_stemlearn.jobs.job_file import read_job_head


def is_there(run: Run) -> bool:
    """Whether the folder of a run is still one."""
    return (run.folder / "job.yaml").exists()


class RunNames:
    """Names of runs; the record of each is read once, and its name stays known when the folder is gone."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[str, float]] = {}

    def of(self, runs: Sequence[Run]) -> list[str]:
        """Words for runs in a list, such as "day a · 22 Nov 07:06"; with seconds where two would have the same."""
        words = [self._words(run, "%H:%M") for run in runs]
        return [
            self._words(run, "%H:%M:%S") if words.count(word) > 1 else word
            for run, word in zip(runs, words, strict=True)
        ]

    def _words(self, run: Run, clock: str) -> str:
        if run.folder not in self._known:
            head = read_job_head(run.folder / "job.yaml")
            if head is None:
                return run.name
            self._known[run.folder] = head
        label, created = self._known[run.folder]
        made, now = time.localtime(created), time.localtime()
        year = "" if made.tm_year == now.tm_year else f" {made.tm_year}"
        # the name of a month as in the rest of the window, whatever language the system speaks
        date = f"{made.tm_mday} {MONTHS[made.tm_mon - 1]}{year} {time.strftime(clock, made)}"
        return f"{label} · {date}" if label else date


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
