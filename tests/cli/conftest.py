"""The command run in this process where that is enough, and as a user runs it where it is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cuvee.cli import main

COMMAND = (sys.executable, "-m", "cuvee.cli.main")

SMALL_SCENARIO = """\
models: [{model: llama-3-8b}]
mix: mix.csv
offers: offers.csv
budget_usd_per_hour: 3
search: {max_pipeline_stages: 1, max_mixed_stages: 0}
"""
SMALL_MIX = "name,input_tokens,output_tokens,share\nlong,2000,20,0.5\nshort,200,200,0.5\n"
SMALL_OFFERS = "gpu,seller,price_usd_per_hour,stock,as_of\nA40,s,0.5,3,2026-01-02\nH100-SXM,s,2.5,1,2026-01-02\n"


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a scenario that is planned in a blink and the files it names."""
    for name, text in (("scenario.yaml", SMALL_SCENARIO), ("mix.csv", SMALL_MIX), ("offers.csv", SMALL_OFFERS)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cuvee(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""

    def run(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["cuvee", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.run()
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start the command as a process of its own, with Ctrl-C switched on."""

    def run(*arguments: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, **options.pop("environment", {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path, **options}
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 a shell does the same
            **options,
        )

    return run
