"""Close the loop once, and say what came of it."""

import argparse
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.loop import FULL, SHORT, closed
from tests.e2e.setting import prepared
from tests.e2e.table import record_of, table_of

PRIORITY = -10
"""Niceness where it may be taken: other work on the machine then spoils less."""

LOST_TOO_MUCH = 0.01


def main() -> int:
    """Exit code 1 where requests failed or less was served than planned by more than noise explains."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e")
    parser.add_argument("--short", action="store_true", help="two types of requests and short runs, for CI")
    parser.add_argument("--dir", type=Path, default=Path("build/e2e"))
    given = parser.parse_args()
    length = SHORT if given.short else FULL
    load_before, began_s = os.getloadavg()[0], time.monotonic()
    with suppress(OSError):
        os.nice(PRIORITY)

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began_s:6.1f} s  {text}\n")
        sys.stdout.flush()

    record = record_of(closed(prepared(given.dir, length.num_types), length, say), load_before)
    (given.dir / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(f"\n{table_of(record)}\n\n{given.dir / 'results.json'} has all figures\n")
    failed = sum(run["failed"] for run in record["runs"])
    return int(failed > LOST_TOO_MUCH * sum(run["requests"] for run in record["runs"]))


if __name__ == "__main__":
    sys.exit(main())
