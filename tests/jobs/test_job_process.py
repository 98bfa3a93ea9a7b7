"""Jobs in a process of their own: start, follow, stop, kill, crash, resume, full disk, deleted folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from counting import KIND, CountingSettings

from napari_stemlearn import jobs
from napari_stemlearn.errors import JobError
from napari_stemlearn.events import Done, Failed, Metric, Started
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.jobs.processes import ProcessRecord, is_alive, is_here, read_process

SLOW = CountingSettings(total=1000, pause=0.02)


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def pid_of(run: Run) -> int:
    record = read_process(run.folder / "process.json")
    assert record is not None
    return record.pid


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def test_start_follow_stop_resume(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    pid = pid_of(run)
    assert run.state in (RunState.WAITING, RunState.RUNNING)
    if os.name == "posix":
        assert os.getpgid(pid) == pid
    asked = 0
    last = None
    for event in run.follow():
        last = event
        if isinstance(event, Metric) and not asked:
            asked = event.step
            assert psutil.Process(pid).nice() >= 10 or os.name != "posix"
            run.stop()
    assert isinstance(last, Done)
    assert last.stopped
    assert run.state is RunState.STOPPED
    reached = last.result["number"]
    assert asked <= reached < 1000
    until(lambda: is_gone(pid))
    assert "counting" in run.log_tail()

    # another program sees the same, then goes on
    again = Run(run.folder)
    position = again.events()[1]
    again.resume()
    for event in again.follow(position):
        if isinstance(event, Started):
            assert event.resumed_at == reached
        if isinstance(event, Metric):
            assert event.step == reached + 1
            break
    assert again.state is RunState.RUNNING
    assert again.attempt == 2
    with pytest.raises(JobError, match="cannot be resumed now"):
        again.resume()

    # killed on request
    again.kill()
    assert again.state is RunState.FAILED
    assert again.failure is not None
    assert again.failure.message == "The run was killed on request; what the last checkpoint holds can be resumed."


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("kill", "was killed (signal 9), which the system does when memory runs out"),
        ("exit", "ended with exit status 41 before it was done"),
        ("segfault", "ended by signal 11 (SIGSEGV)"),
        ("torch", "The GPU ran out of memory"),
    ],
)
def test_a_process_that_dies_leaves_a_readable_state(tmp_path: Path, how: str, words: str) -> None:
    run = jobs.start(KIND, CountingSettings(total=4, breaks_at=2, breaks_with=how), runs_folder=tmp_path)
    last = list(run.follow())[-1]
    assert isinstance(last, Failed)
    assert words in last.message
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == last.message
    until(lambda: is_gone(pid_of(run)))
    if how == "segfault":
        assert "Fatal Python error" in run.failure.detail
    # the cause stays readable for a program that did not start it
    code = f"from napari_stemlearn.jobs import Run; print(Run({str(run.folder)!r}).failure.message)"
    if how == "kill":
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert words in other.stdout


def test_terminate_means_stop(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    until(lambda: run.state is RunState.RUNNING)
    psutil.Process(pid_of(run)).terminate()
    assert run.wait(120) is RunState.STOPPED


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python as in a virtual environment on Windows: what is started runs the interpreter as its child."""
    if os.name != "posix":
        pytest.skip("the launcher is a shell script")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.usefixtures("launcher")
def test_a_job_runs_as_the_child_of_a_launcher(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    until(lambda: run.state is RunState.RUNNING)
    pid = pid_of(run)
    assert "napari_stemlearn.jobs" in psutil.Process(pid).cmdline()
    started = psutil.Process(pid).parent()
    assert started is not None
    assert started.name() == "python"
    assert started.pid != os.getpid()
    assert run.attempt == 1
    run.stop()
    assert run.wait(120) is RunState.STOPPED
    until(lambda: is_gone(pid) and is_gone(started.pid))

    run.resume()
    assert run.attempt == 2
    until(lambda: run.state is RunState.RUNNING)
    pid = pid_of(run)
    parent = psutil.Process(pid).ppid()
    run.kill()
    until(lambda: is_gone(pid) and is_gone(parent))
    assert run.attempt == 2
    assert run.failure is not None
    assert run.failure.message.startswith("The run was killed on request")


@pytest.mark.usefixtures("launcher")
def test_a_job_that_is_just_being_launched_is_killed_with_its_launcher(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    family: list[psutil.Process] = []
    started = psutil.Process(pid_of(run))
    until(lambda: family.extend(started.children()) or family, 10)
    run.kill()
    until(lambda: not started.is_running() and not any(member.is_running() for member in family))
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == "The run was killed on request; it can be resumed, but has no checkpoint yet."


def test_a_folder_deleted_under_a_process_ends_it_without_a_zombie(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    until(lambda: run.state is RunState.RUNNING)
    pid = pid_of(run)
    # a file written in between makes the first try stumble
    until(lambda: shutil.rmtree(run.folder, ignore_errors=True) or not run.folder.exists())
    until(lambda: is_gone(pid))
    assert not run.folder.exists()
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert "is gone" in run.failure.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can only be mounted as root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_ends_the_job_with_its_cause(small_disk: Path) -> None:
    run = jobs.start(KIND, CountingSettings(total=10_000), runs_folder=small_disk)
    assert run.wait(120) is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == f"The disk that holds {run.folder} is full; free some space, then resume."
    assert "No space left" in run.failure.detail
    until(lambda: is_gone(pid_of(run)))
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(JobError, match="is full"):
        jobs.create(KIND, CountingSettings(), runs_folder=small_disk)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_checkpoint_that_does_not_fit_ends_the_job_with_its_cause(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=2), runs_folder=tmp_path)
    (run.folder / "checkpoints" / "last.json").symlink_to("/dev/full")
    run.start()
    assert run.wait(120) is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == f"The disk that holds {run.folder} is full; free some space, then resume."
    until(lambda: is_gone(pid_of(run)))


def test_events_that_cannot_be_written_end_the_job_and_the_log_tells(tmp_path: Path) -> None:
    run = jobs.create(KIND, SLOW, runs_folder=tmp_path)
    (run.folder / "events.jsonl").mkdir()
    run.start()
    assert run.wait(120) is RunState.FAILED
    assert run.failure is not None
    assert "exit status 1" in run.failure.message
    assert "this could not be written as an event" in run.failure.detail
    until(lambda: is_gone(pid_of(run)))


def test_a_recycled_process_number_is_not_taken_for_the_job(tmp_path: Path) -> None:
    run = jobs.create(KIND, SLOW, runs_folder=tmp_path)
    mine = psutil.Process()
    recycled = ProcessRecord(pid=mine.pid, started=mine.create_time() - 3600, host=os.uname().nodename)
    assert not is_alive(recycled, run.folder)
    recycled.save(run.folder / "process.json")
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert "gone without a word" in run.failure.message
    real = ProcessRecord(pid=mine.pid, started=mine.create_time(), host=os.uname().nodename)
    assert is_alive(real, run.folder)


def test_a_resumed_run_that_vanished_does_not_end_with_the_word_of_its_first_attempt(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=3), runs_folder=tmp_path)
    for event in run.execute():
        if isinstance(event, Metric):
            run.stop()
    assert isinstance(list(run.follow())[-1], Done)
    size = (run.folder / "events.jsonl").stat().st_size
    gone = ProcessRecord(pid=2**22 + 1, started=0.0, host=os.uname().nodename, events_from=size, attempt=2)
    gone.save(run.folder / "process.json")
    last = list(run.follow())[-1]
    assert isinstance(last, Failed)
    assert "gone without a word" in last.message


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    until(lambda: run.state is RunState.RUNNING)
    second = subprocess.run(
        [sys.executable, "-m", "napari_stemlearn.jobs", str(run.folder)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 2
    assert "is already being worked on by process" in second.stderr
    assert run.state is RunState.RUNNING
    run.kill()


def test_a_run_on_another_computer_is_judged_by_its_events(tmp_path: Path) -> None:
    run = jobs.create(KIND, SLOW, runs_folder=tmp_path)
    ProcessRecord(pid=1, started=0.0, host="elsewhere").save(run.folder / "process.json")
    (run.folder / "events.jsonl").write_text(json.dumps(Started().record()) + "\n")
    assert run.state is RunState.RUNNING
    with pytest.raises(JobError, match="runs on elsewhere; kill it there"):
        run.kill()
    old = time.time() - 3600
    os.utime(run.folder / "events.jsonl", (old, old))
    assert run.state is RunState.FAILED


def test_a_job_is_known_and_killed_after_the_computer_changed_its_name(tmp_path: Path) -> None:
    run = jobs.start(KIND, SLOW, runs_folder=tmp_path)
    until(lambda: run.state is RunState.RUNNING)
    record = read_process(run.folder / "process.json")
    assert record is not None
    replace(record, host="yesterday").save(run.folder / "process.json")
    for log in run.folder.glob("events.jsonl"):
        os.utime(log, (0, 0))
    assert is_alive(replace(record, host="yesterday"), run.folder)
    # the same number elsewhere is another process
    assert not is_here(replace(record, host="elsewhere", started=record.started - 60), run.folder)
    run.kill()
    until(lambda: is_gone(record.pid))
    assert run.state is RunState.FAILED


def test_devices_are_listed_without_torch_here() -> None:
    code = (
        "import sys; from napari_stemlearn.jobs.devices import list_devices; d = list_devices();"
        "assert d is not list_devices() and d == list_devices();"
        "print([x.name for x in d], str(d[1]), 'torch' in sys.modules)"
    )
    words = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert words.startswith("['auto', 'cpu'")
    assert "GB free" in words
    assert words.strip().endswith("False")
