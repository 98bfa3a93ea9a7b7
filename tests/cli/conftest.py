"""The command in this process, in a folder of its own, with a user folder of models of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from napari_stemlearn.cli.app import app

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path / "user_models"))
    monkeypatch.delenv("STEMLEARN_RUNS", raising=False)


@pytest.fixture
def stemlearn() -> Command:
    """Run the command; an error that is no exit fails the test."""

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def refused(stemlearn: Command) -> Callable[..., str]:
    """Run the command, which must end with status 2 and one sentence; gives the sentence."""

    def run(*words: object) -> str:
        result = stemlearn(*words)
        assert result.exit_code == 2, (result.stdout, result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, result.stderr
        assert "Traceback" not in result.stderr
        sentence = lines[0].removeprefix("Error: ")
        assert sentence.endswith("."), sentence
        return sentence

    return run


@pytest.fixture
def interrupt_when() -> Callable[[Callable[[], object]], None]:
    """Press Ctrl-C once something holds, while the test's own thread is busy with a command."""

    def begin(true: Callable[[], object]) -> None:
        def watch() -> None:
            end = time.monotonic() + 120
            while not true():
                if time.monotonic() > end:
                    return
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=watch, daemon=True).start()

    return begin
