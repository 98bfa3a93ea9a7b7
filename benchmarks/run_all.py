"""Run every benchmark, one after the other, each in a process of its own; figures go to benchmarks/results.

    python benchmarks/run_all.py            # all
    python benchmarks/run_all.py find_speed # some

Scripts that open windows need a screen.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LATER = ("realism",)
"""Scripts that look at what others trained."""
VARIANTS = {"scored_images": {"scored_images_tta": ["--tta"]}}
"""Further runs of a script: the name of their file of figures, and their options."""


def runs_of(script: str) -> list[list[str]]:
    """Options of each run of a script; each writes a file of figures of its own."""
    runs = {script: [], **VARIANTS.get(script, {})}
    return [[*options, "--out", str(RESULTS / f"{name}.json")] for name, options in runs.items()]


def main() -> int:
    """Run the chosen scripts; the number of runs that failed."""
    scripts = [path for path in HERE.glob("*.py") if path.name != Path(__file__).name]
    scripts.sort(key=lambda path: (path.stem in LATER, path.stem))
    chosen = set(sys.argv[1:])
    unknown = chosen - {path.stem for path in scripts}
    if unknown:
        sys.exit(f"There is no benchmark {min(unknown)}; choose from {', '.join(path.stem for path in scripts)}.")
    failed = 0
    for path in scripts:
        if chosen and path.stem not in chosen:
            continue
        for options in runs_of(path.stem):
            print(f"== {path.stem} {' '.join(options)}", flush=True)
            failed += subprocess.run([sys.executable, path, *options], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
