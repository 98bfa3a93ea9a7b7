"""The search process: large frames on their way to it, early stops, threads, and files that it still holds."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from sites_and_images import PIXEL_SIZE, lattice_stack

from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets import search_process
from napari_stemlearn.widgets.frame_files import FrameFiles
from napari_stemlearn.widgets.search_child import SearchRequest, limit_threads
from napari_stemlearn.widgets.search_process import SearchProcess


def request(data: np.ndarray) -> SearchRequest:
    return SearchRequest("log", "cpu", {}, "stack", data.shape, data.dtype.str, PIXEL_SIZE)


@pytest.fixture
def process():
    process = SearchProcess()
    yield process
    process.kill()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_stop_before_the_search_has_begun_ends_it(process):
    data = lattice_stack()[0]
    heard = []
    messages = process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack"))
    process.stop()
    heard += messages
    assert heard == [("end", True)]
    messages = list(process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack")))
    assert messages[-1] == ("end", False)


def test_a_stop_while_the_process_starts_ends_the_search(process, monkeypatch):
    data = lattice_stack()[0]
    start = process.start

    def stopped_meanwhile():
        start()
        process.stop()

    monkeypatch.setattr(process, "start", stopped_meanwhile)
    messages = list(process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack")))
    assert messages[-1] == ("end", True)
    assert not [message for message in messages if message[0] == "found"]


def test_large_frames_have_a_file_each_and_none_stays(process, temporary, monkeypatch):
    monkeypatch.setattr(search_process, "LARGE", 0)
    data = lattice_stack()[0]
    names = []
    put = FrameFiles.put
    monkeypatch.setattr(FrameFiles, "put", lambda self, frame: names.append(put(self, frame)) or names[-1])
    messages = list(process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack")))
    assert messages[-1] == ("end", False)
    assert [message[1].frame for message in messages if message[0] == "found"] == list(range(len(data)))
    assert len({Path(name).name for name in names}) == len(data) > 1
    assert not os.listdir(temporary)


def test_a_file_that_is_still_held_is_removed_later(process, temporary, monkeypatch):
    monkeypatch.setattr(search_process, "LARGE", 0)
    data = lattice_stack()[0]
    with monkeypatch.context() as held:
        held.setattr(shutil, "rmtree", lambda *_arguments, **_named: None)
        messages = list(process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack")))
    assert messages[-1] == ("end", False)
    (folder,) = temporary.iterdir()
    assert len(list(folder.iterdir())) == len(data)
    process.close()
    end = time.monotonic() + 60
    while os.listdir(temporary):
        assert time.monotonic() < end, "the files were not removed when the process had gone"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_temporary_folder_is_said_and_nothing_stays(process, temporary, monkeypatch):
    monkeypatch.setattr(search_process, "LARGE", 0)
    data = lattice_stack()[0]
    save = np.save

    def full(path, frame):
        save(path, frame)
        with open("/dev/full", "wb", buffering=0) as stream:
            stream.write(b"frame")

    monkeypatch.setattr(np, "save", full)
    messages = list(process.search(request(data), Micrograph(data, PIXEL_SIZE, "stack")))
    assert messages[-1] == (
        "failed",
        "The image cannot be written to the temporary folder: No space left on device.",
        "",
    )
    assert not os.listdir(temporary)


@pytest.mark.parametrize(("chosen", "lower"), [("1", True), ("many", False), (None, False)])
def test_a_lower_number_of_threads_is_left(monkeypatch, chosen, lower):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "nice", lambda _by: 0, raising=False)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
        if chosen is not None:
            monkeypatch.setenv(name, chosen)
    limit_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        assert os.environ[name] == ("1" if lower else "7")
