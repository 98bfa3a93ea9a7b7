"""Run every benchmark, one after the other, each in a process of its own.

    python benchmarks/run_all.py            # all
    python benchmarks/run_all.py find_speed # some

Scripts that open windows need a screen.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WITH_ARGUMENTS = {"scored_images": ["--out", str(HERE / "results" / "scored_images.json")]}


def main() -> int:
    """Run the chosen scripts; the number of those that failed."""
    scripts = sorted(path for path in HERE.glob("*.py") if path.name != Path(__file__).name)
    chosen = set(sys.argv[1:])
    unknown = chosen - {path.stem for path in scripts}
    if unknown:
        sys.exit(f"There is no benchmark {min(unknown)}; choose from {', '.join(path.stem for path in scripts)}.")
    failed = 0
    for path in scripts:
        if chosen and path.stem not in chosen:
            continue
        print(f"== {path.stem}", flush=True)
        failed += (
            subprocess.run([sys.executable, path, *WITH_ARGUMENTS.get(path.stem, [])], check=False).returncode != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
