"""What the benchmarks share: a stopwatch, the machine, and where results go."""

import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

RESULTS = Path(__file__).parent / "results"


class Stopwatch:
    """Wall seconds of a `with` block, in `seconds`."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self.started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.started


def describe_machine() -> dict[str, Any]:
    """Commit, date, processors and versions a result belongs to."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parent,
    )
    return {
        "commit": described.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "highs": version("highspy"),
    }


def write_results(name: str, record: dict[str, Any]) -> None:
    """Write `benchmarks/results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
