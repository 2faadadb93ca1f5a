"""The steps of a user, as commands."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import Plan
from tests.e2e.setting import BUDGET_USD_PER_HOUR, KINDS, Kind, Setting
from tests.engines.llama_server import LlamaSettings, command, free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
PROCESSORS = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2]]
"""Where replicas run, in turn: those that do not move keep their caches."""

LONGEST_TYPE_S = 70.0
"""Most time for a type of requests on one engine [s]: twenty seconds at one load, of which few are needed."""


class StepFailedError(Exception):
    """A command of the loop that did not do what it should; says what it printed."""


def cuvee(*words: str | Path) -> str:
    """Run a command of ours; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli.main", *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise StepFailedError(f"cuvee {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def profile(setting: Setting, kind: Kind, url: str, within: float) -> None:
    """Measure the saturated rate of one engine on all types of requests, each to `within` [-]."""
    cuvee(
        "profile", url, "--gpu", kind.gpu, "--tp", "1", "--model", setting.model_folder / "config.json",
        "--served-name", "tiny", "--trace", setting.trace_file, "--types", str(setting.num_types), "--loads", "none",
        "--within", f"{within:g}", "--max-concurrency", str(most_under_way(kind)),
        "--max-seconds", f"{LONGEST_TYPE_S * setting.num_types:g}", "--force", "--save", setting.points_of(kind),
    )  # fmt: skip


def plan(setting: Setting, name: str, only: str | None = None) -> Plan:
    """Plan for the trace under the budget by the measured rates; of one GPU type where `only` names it."""
    caps = [f"limits.max_gpus.{kind.gpu}=0" for kind in KINDS if only not in (None, kind.gpu)]
    words: list[str | Path] = [
        "plan", "--model", setting.model_folder / "config.json", "--trace", setting.trace_file,
        "--types", str(setting.num_types), "--offers", setting.offers_file, "--budget", f"{BUDGET_USD_PER_HOUR:g}",
        "--throughput", _joined(setting),
        "--set", "search.max_pipeline_stages=1", "--set", "search.max_mixed_stages=0", "--json",
    ]  # fmt: skip
    for cap in caps:
        words += ["--set", cap]
    text = cuvee(*words)
    path = plan_file(setting, name)
    path.write_text(text)
    return load_plan(path)


def _joined(setting: Setting) -> Path:
    """The saturated rates of all kinds as one table.

    Notes       With twice as many requests under way as an engine runs at once it is saturated, whatever noise says of
                its growth. The engine's name is left out: the planner has no constants of llama.cpp, and with every
                rate measured it needs none.
    """
    rows: list[dict[str, str]] = []
    for kind in KINDS:
        with setting.points_of(kind).open(encoding="utf-8", newline="") as file:
            measured = [row for row in csv.DictReader(file) if row["concurrency"] == str(most_under_way(kind))]
        if len(measured) != setting.num_types:
            raise StepFailedError(f"{setting.points_of(kind)}: {len(measured)} saturated rates of {setting.num_types}")
        rows += [{**row, "engine": "", "engine_version": "", "saturated": "yes", "doubtful": ""} for row in measured]
    path = setting.folder / "points.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def most_under_way(kind: Kind) -> int:
    """Requests at which an engine of `kind` is saturated: none of its places is ever empty."""
    return 2 * kind.parallel


def keep_plan(setting: Setting, name: str, made: Plan) -> None:
    """Write a plan that was made by hand."""
    plan_file(setting, name).write_text(plan_to_json(made))


def plan_file(setting: Setting, name: str) -> Path:
    """Where a plan is kept."""
    return setting.folder / f"plan-{name}.json"


def engines_yaml(setting: Setting) -> str:
    """What stands in for each GPU type, as `cuvee up` reads it."""
    lines = ["version: 1", "gpus:"]
    for kind in KINDS:
        words = command(setting.weights_of(kind), 0, replace(settings_of(kind), cpus=()))
        words[words.index("--port") + 1] = "{port}"
        text = json.dumps(" ".join([*words, "--name", "{served_name}"]))
        lines += [f"  {kind.gpu}:", f"    command: {text}", "    uses_gpus: false", f"    cpus: {PROCESSORS}"]
        lines.append(f"    max_concurrency: {most_under_way(kind)}")
    return "\n".join(lines) + "\n"


def settings_of(kind: Kind) -> LlamaSettings:
    """How an engine of `kind` runs."""
    cpu = int(PROCESSORS[kind is not KINDS[0] and len(PROCESSORS) > 1])
    return LlamaSettings(parallel=kind.parallel, context=320, share=kind.share, cpus=(cpu,))


@contextmanager
def up(setting: Setting, name: str) -> Iterator["Fleet"]:
    """A plan's replicas and the gateway before them, started by `cuvee up`, meanwhile."""
    words = ("--engines", str(setting.engines_file))
    with started(plan_file(setting, name), setting.folder / f"fleet-{name}", *words) as fleet:
        yield fleet


@contextmanager
def started(plan_path: Path, folder: Path, *words: str, seconds: float = START_SECONDS) -> Iterator["Fleet"]:
    """`cuvee up` with more `words`, ready to serve."""
    folder.mkdir(parents=True, exist_ok=True)
    port, out = free_port(), folder / "up.txt"
    command_line = [
        sys.executable, "-m", "cuvee.cli.main", "up", str(plan_path), "--dir", str(folder), "--port", str(port),
        "--admin-port", "-1", "--grace", "5", *words,
    ]  # fmt: skip
    with out.open("wb") as log:
        process = subprocess.Popen(command_line, cwd=ROOT, stdout=log, stderr=log)
    fleet = Fleet(f"http://127.0.0.1:{port}", process, out)
    try:
        fleet.wait_until_ready(seconds)
        yield fleet
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Fleet:
    """A fleet that runs.

    Attributes
        url    Of its gateway.
    """

    def __init__(self, url: str, process: "subprocess.Popen[bytes]", out: Path) -> None:
        self.url = url
        self._process = process
        self._out = out

    @property
    def said(self) -> str:
        """What `cuvee up` has printed so far."""
        return self._out.read_text()

    @property
    def pids(self) -> Mapping[str, int]:
        """Process of each replica and the gateway, the latest where it was started again."""
        return {name: int(pid) for name, pid in re.findall(r"(\S+): started, pid (\d+)", self.said)}

    def wait_until_ready(self, seconds: float) -> None:
        """Until the gateway answers."""
        wait_for(lambda: "gateway: ready" in self.said or self._process.poll() is not None, seconds)
        if self._process.poll() is not None:
            raise StepFailedError(self.said)


def wait_for(holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Until something holds.

    Raises      StepFailedError: it took too long.
    """
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise StepFailedError(f"waited {seconds:g} s in vain")
        time.sleep(0.02)
