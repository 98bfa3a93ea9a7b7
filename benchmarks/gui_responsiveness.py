"""How long napari's window stands still: opening docks, while a training runs, while a stack is searched.

A timer of 5 ms runs in the event loop; the longest time between two of its ticks is the longest stall. The same is
measured with nothing going on, as the peer of the same run. Needs a screen: ``xvfb-run python
benchmarks/gui_responsiveness.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from traceback import extract_stack as extract
from typing import Any

DOCKS = ("Structure", "Simulate", "CycleGAN", "Train", "Find", "Label and score")
HEAVY = ("torch", "abtem", "hyperspy")


class Pulse:
    """A timer in the event loop that notes the gaps between its ticks, and what the window was doing in long ones."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.gaps: list[tuple[float, float]] = []
        self.places: dict[str, float] = {}
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.gaps.append((now - self._last, worked - self._worked))
        self._last, self._worked = now, worked

    def _look(self, main: int, stop: threading.Event) -> None:
        """Look where the main thread stands in gaps that have lasted for 100 ms."""
        while not stop.wait(0.03):
            if time.perf_counter() - self._last > 0.1:
                frame = sys._current_frames().get(main)
                names = [f"{entry.name} ({Path(entry.filename).name}:{entry.lineno})" for entry in extract(frame)]
                key = " < ".join(reversed(names[-6:]))
                self.places[key] = self.places.get(key, 0.0) + 0.03

    def run(self, until: Callable[[], bool], timeout: float) -> dict[str, Any]:
        """Let the event loop run until something is true; milliseconds of the longest stall and of others.

        ``busy`` is the longest time that the window's own thread computed without a tick: what is left of a stall when
        other programs do not take the processor away.
        """
        from qtpy.QtTest import QTest

        self.gaps.clear()
        self.places.clear()
        self._last, self._worked = time.perf_counter(), time.thread_time()
        stop = threading.Event()
        looker = threading.Thread(target=self._look, args=(threading.get_ident(), stop), daemon=True)
        looker.start()
        self._timer.start()
        end = time.perf_counter() + timeout
        while not until() and time.perf_counter() < end:
            QTest.qWait(20)
        self._timer.stop()
        stop.set()
        looker.join()
        gaps = sorted(1000 * gap for gap, _busy in self.gaps) or [float("nan")]
        places = sorted(self.places.items(), key=lambda entry: -entry[1])[:5]
        return {
            "longest_ms": round(gaps[-1], 1),
            "second_ms": round(gaps[-2] if len(gaps) > 1 else gaps[-1], 1),
            "percentile_99_ms": round(gaps[int(0.99 * (len(gaps) - 1))], 1),
            "busy_ms": round(1000 * max((busy for _gap, busy in self.gaps), default=float("nan")), 1),
            "seconds": round(sum(gaps) / 1000, 1),
            "finished": bool(until()),
            "places": {place: round(seconds, 2) for place, seconds in places},
        }


def window() -> Any:
    """A napari viewer that shows."""
    import napari
    from qtpy.QtTest import QTest

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1500, 950)
    QTest.qWait(1000)
    return viewer


def add_stack(viewer: Any, frames: int, side: int) -> None:
    """Open a stack, as everybody has before starting anything: a square lattice in noise."""
    import numpy as np
    from qtpy.QtTest import QTest

    from napari_stemlearn.micrograph import Micrograph
    from napari_stemlearn.widgets.layers import add_image

    step = 12.0
    y, x = np.mgrid[:side, :side].astype(np.float32)
    lattice = np.exp(4 * (np.cos(2 * np.pi * y / step) + np.cos(2 * np.pi * x / step) - 2))
    noise = np.random.default_rng(0).normal(0, 0.1, (frames, side, side)).astype(np.float32)
    add_image(viewer, Micrograph(lattice + noise, 0.2, "stack"))
    QTest.qWait(1000)


def open_dock(name: str) -> dict[str, Any]:
    """Time from asking for a dock until it is drawn, in this fresh program."""
    from qtpy.QtWidgets import QApplication

    viewer = window()
    wall, cpu = time.perf_counter(), time.thread_time()
    viewer.window.add_plugin_dock_widget("napari-stemlearn", name)
    QApplication.processEvents()
    return {
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.thread_time() - cpu, 3),
        "heavy": [module for module in HEAVY if module in sys.modules],
    }


def in_fresh_program(*arguments: str) -> dict[str, Any]:
    """Run this file with some arguments and read the JSON that it prints last."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def opening(repeats: int) -> dict[str, Any]:
    """Each dock, opened in fresh programs."""
    found = {}
    for name in DOCKS:
        runs = [in_fresh_program("--open", name) for _ in range(repeats)]
        found[name] = min(runs, key=lambda run: run["seconds"])
    return found


def idle(viewer: Any, seconds: float) -> dict[str, Any]:
    """Nothing going on."""
    start = time.perf_counter()
    return Pulse().run(lambda: time.perf_counter() - start > seconds, seconds + 5)


def training(viewer: Any, seconds: float) -> dict[str, Any]:
    """From the click on Train on: start, curves, previews, checkpoints."""
    from qtpy.QtTest import QTest

    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Train")
    QTest.qWait(4000)
    quick = {
        "optimisation.batch_size": 4,
        "optimisation.steps": 1_000_000,
        "optimisation.report_every": 2,
        "validation.every": 10,
        "validation.images": 4,
        "data.workers": 0,
    }
    dock.form.set_value(dock.settings().changed(**quick))
    QTest.qWait(200)
    dock.panel.start_button.click()
    start: list[float] = []

    def long_enough() -> bool:
        if dock.panel.state is not None and not dock.panel.state.active:
            raise SystemExit(f"The training ended: {dock.panel.error.text()}")
        if not start and "held_out_f1" in dock.panel.last_metrics:
            start.append(time.perf_counter())
        return bool(start) and time.perf_counter() - start[0] > seconds

    stalls = Pulse().run(long_enough, 20 * seconds + 120)
    stalls["validations_seen"] = len(dock.panel.curves.points.get("held_out_f1", ([], []))[0])
    dock.panel.run.stop()
    dock.panel.run.wait(120)
    QTest.qWait(500)
    return stalls


def searching(viewer: Any, model: str) -> dict[str, Any]:
    """From the click on Find to the last frame; the search process starts within this time."""
    from qtpy.QtTest import QTest

    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Find")
    if model:
        dock.model.choose(model)
    QTest.qWait(1000)
    dock.find_button.click()
    stalls: dict[str, Any] = Pulse().run(lambda: dock.worker is None, 1200)
    stalls["model"] = dock.model.name
    stalls["sites"] = len(dock.layer.data) if dock.layer is not None else 0
    return stalls


def sentence(name: str, run: dict[str, Any], peer: float) -> str:
    """One line of the report."""
    words = [
        f"{name:<10} longest stall {run['longest_ms']:7.1f} ms ({run['longest_ms'] / peer:.1f} times idle)",
        f"busy {run['busy_ms']:.1f} ms",
        f"next {run['second_ms']:.1f} ms",
        f"99 % below {run['percentile_99_ms']:.1f} ms",
        f"{run['seconds']:.0f} s",
    ]
    return ", ".join(words if run["finished"] else [*words, "NOT FINISHED"])


def watched(part: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """One part and its peer, in this program: nothing going on, then the part."""
    viewer = window()
    add_stack(viewer, chosen.frames, chosen.side)
    peer = idle(viewer, min(chosen.seconds, 10))
    run = training(viewer, chosen.seconds) if part == "training" else searching(viewer, chosen.model)
    viewer.close()
    return {**run, "idle": peer}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", choices=DOCKS, help="only open this dock, and print JSON")
    parser.add_argument("--watch", choices=("training", "searching"), help="only watch this, and print JSON")
    parser.add_argument("--only", choices=("opening", "training", "searching"))
    parser.add_argument("--repeats", type=int, default=3, help="fresh programs a dock is opened in; the best counts")
    parser.add_argument("--seconds", type=float, default=20, help="how long to watch a training")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--model", default="", help="model of the Find dock; its first choice by default")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--places", action="store_true", help="tell where the window stood in long stalls")
    chosen = parser.parse_args()
    if chosen.open:
        print(json.dumps(open_dock(chosen.open)))
        return
    if chosen.watch:
        print(json.dumps(watched(chosen.watch, chosen)))
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="stemlearn-") as folder:
        os.environ["STEMLEARN_PROJECT"] = folder
        if chosen.only in (None, "opening"):
            figures["opening"] = opening(chosen.repeats)
            for name, run in figures["opening"].items():
                heavy = f"; loads {', '.join(run['heavy'])}" if run["heavy"] else ""
                print(f"opening {name:<16} {run['seconds']:6.3f} s ({run['cpu_seconds']:.3f} s of CPU){heavy}")
        for part in ("training", "searching"):
            if chosen.only in (None, part):
                options = [f"--{key}={getattr(chosen, key)}" for key in ("seconds", "frames", "side", "model")]
                run = figures[part] = in_fresh_program("--watch", part, *options)
                print(sentence(part, run, run["idle"]["longest_ms"]))
                for place, seconds in run["places"].items() if chosen.places else ():
                    print(f"    {seconds:.2f} s in {place}")
    if chosen.out:
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
