"""What the make targets do first: system packages that are missing are named, and a second time takes no time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="system packages are those of Debian")


def program(path: Path, *lines: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the script reads, with programs of the system in its place: a Python that will do, and no administrator."""
    project = tmp_path / "project"
    for name in ("pyproject.toml", "constraints.txt", "tools/setup.sh"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    program(tmp_path / "bin" / "python3.11", f'exec "{sys.executable}" "$@"')
    program(tmp_path / "bin" / "id", "echo 1000")
    return project


def set_up(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with the programs beside the project before those of the system."""
    environment = {**os.environ, "PATH": f"{project.parent / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", str(project / "tools" / "setup.sh")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_system_packages_that_are_missing_are_told_in_one_sentence(project: Path) -> None:
    program(project.parent / "bin" / "dpkg-query", "exit 1")
    done = set_up(project)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("System packages are missing; run: sudo apt-get install xvfb xauth ")
    assert not (project / ".venv").exists()


def test_what_is_set_up_is_left_alone_until_something_changes(project: Path) -> None:
    program(project.parent / "bin" / "dpkg-query", "echo installed")
    program(project / ".venv" / "bin" / "python", 'echo "$*" >> .venv/calls')
    begun = set_up(project)
    assert begun.returncode == 0, begun.stderr
    calls = (project / ".venv" / "calls").read_text()
    assert "-e .[all]" in calls
    again = set_up(project)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (project / ".venv" / "calls").read_text() == calls
    (project / "constraints.txt").write_text("")
    assert set_up(project).returncode == 0
    assert (project / ".venv" / "calls").read_text() != calls
