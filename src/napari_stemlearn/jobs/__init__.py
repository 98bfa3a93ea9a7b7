"""A long computation as a folder: start it, watch it, stop it, resume it, from a dock, the command or Python.

>>> from napari_stemlearn import jobs
>>> run = jobs.start("train", settings, runs_folder="runs")  # doctest: +SKIP
>>> for event in run.follow():  # doctest: +SKIP
...     print(event)
"""

from napari_stemlearn.jobs.launch import create, run_inline, start
from napari_stemlearn.jobs.registry import JobKind, job_kind, job_kinds
from napari_stemlearn.jobs.run import Run, RunState, list_runs

__all__ = ["JobKind", "Run", "RunState", "create", "job_kind", "job_kinds", "list_runs", "run_inline", "start"]
