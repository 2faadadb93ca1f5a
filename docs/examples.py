"""Runs the commands that README and docs show, and lists the lines they show that no command of the page prints.

Run: python docs/examples.py [PAGE ...]    # some minutes for all pages; exit code 1 where anything differs

Commands are the lines after "$ " of console blocks; a line that ends with a backslash goes on. They run in a copy of
the repository, page by page and in order, so that files which one writes are there for the next. Lines of console
blocks and of blocks without a language are output; spaces and seconds do not count, nor what "..." stands for.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
COPIED = ("README.md", "docs", "examples", "benchmarks")
SKIPPED = ("git ", "make ", "cd ", "python", "pip ", "uv ", "source ")
"""Commands that set up or measure; other tests run those."""

LONG = ("cuvee evaluate",)
"""Commands of half an hour and more: `make evaluation` runs those."""

YOURS = (
    "requests",
    "my_offers.csv",
    "my.yaml",
    "case.json",
    "a100.json",
    "other.csv",
    "plans/",
    "scenario.yaml --demand",
)
"""Files of the reader's own, and folders that commands with such files write."""

LIMIT_S = 600
"""Longest a command may take [s]; what follows one that takes longer is compared all the same, and listed."""

SECONDS = re.compile(r"\b\d[\d,.]* (?:ms|s)\b")


@dataclass
class Page:
    """Commands of a page in order, and lines of output it shows with their line numbers."""

    commands: list[str] = field(default_factory=list)
    shown: list[tuple[int, str]] = field(default_factory=list)


def read(path: Path) -> Page:
    """Commands and output of one page."""
    page, language, pending = Page(), None, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            language = line[3:].strip() if language is None else None
        elif language in ("console", ""):
            if pending or line.startswith("$ "):
                pending += line.removeprefix("$ ").strip()
                if pending.endswith("\\"):
                    pending = pending[:-1]
                else:
                    page.commands.append(pending.partition(" #")[0].strip())
                    pending = ""
            elif line.strip() and line.strip() != "..." and not (page.commands and is_skipped(page.commands[-1])):
                page.shown.append((number, line))
    return page


def is_skipped(command: str) -> bool:
    """Whether a command is not run, and what follows it is not compared."""
    is_long = command.startswith(LONG) and "--quick" not in command
    return is_long or command.startswith(SKIPPED) or any(name in command for name in YOURS)


def plain(line: str) -> str:
    """A line as it is compared: one space for many, no seconds."""
    return SECONDS.sub("_", " ".join(line.replace("...", " ").split()))


def run(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of a command as a shell runs it in `folder`."""
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"stopped after {LIMIT_S} s"
    return done.returncode, done.stdout + done.stderr


def differences(path: Path) -> list[str]:
    """What of one page is not so."""
    page, found, printed = read(path), [], ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for copied in COPIED:
            source = ROOT / copied
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / copied)
        for command in page.commands:
            if is_skipped(command):
                continue
            code, output = run(command, folder)
            printed += "\n" + output
            if code not in (0, 1):
                last = (output.strip().splitlines() or [""])[-1]
                found.append(f"{path.name}: exit code {code} of: {command}: {last}")
    lines = {plain(line) for line in printed.splitlines()}
    everything = " ".join(plain(line) for line in printed.splitlines())
    found += [
        f"{path.name}:{number}: not printed: {line.strip()}"
        for number, line in page.shown
        if plain(line) not in lines and plain(line) not in everything
    ]
    return found if page.commands else []


def main() -> None:
    """Every page, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    wrong = 0
    for path in parser.parse_args().pages:
        for line in differences(path):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            wrong += 1
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
