"""What a fleet of real engines does when one of them dies, hangs or crawls, and when the gateway itself dies.

Run: python -m tests.e2e.faults, which prints what each fault cost and how long it took to mend.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cuvee
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.plan.outcome.files import plan_to_json
from cuvee.plan.outcome.result import Plan
from tests.e2e.commands import Fleet, started
from tests.e2e.replay import Replayed, replay
from tests.engines.gguf_file import write_gguf
from tests.engines.llama_server import LlamaSettings, command
from tests.engines.shape import NARROW

MODEL = "llama-3-8b"
RATE_REQ_PER_S, SECONDS, FAULT_AT_S = 15.0, 8.0, 2.0
PROMPT, ANSWER = 24, 24
SILENT_S = 3
VICTIM = "g2.0"


@dataclass(frozen=True)
class Mended:
    """What a fault cost.

    Attributes
        failed          Requests that ended with an error, each told to its client [-].
        last_failed_s   From the fault to the arrival of the last of them [s]; 0 without any.
        ready_s         From the fault until the replica, or the gateway, answered again [s]; None where it never left.
        slowest_s       Longest time of a whole answer [s].
    """

    requests: Replayed
    failed: int
    last_failed_s: float
    ready_s: float | None
    slowest_s: float


def small_plan() -> Plan:
    """One replica that stands for an H100 and two for A40; the engines are all alike."""
    kind = cuvee.WorkloadType("short", 200, 200)
    offers = (Offer("H100-SXM", "here", 2.5, stock=1), Offer("A40", "here", 0.5, stock=2))
    demand = cuvee.ModelDemand(cuvee.load_model(MODEL), cuvee.Demand((kind,), (10.0,)))
    search = cuvee.SearchOptions(max_pipeline_stages=1, max_mixed_stages=0)
    offered = OfferSet("here", offers, as_of="2026-11-23", source="made up")
    return cuvee.plan(cuvee.PlanProblem((demand,), offered, cuvee.Limits(3.5), search=search))


@contextlib.contextmanager
def small_fleet(folder: Path) -> Iterator[Fleet]:
    """Three tiny engines and the gateway, started by `cuvee up`; a silence of `SILENT_S` counts as hung."""
    model = write_gguf(folder / "tiny.gguf", NARROW)
    (folder / "plan.json").write_text(plan_to_json(small_plan()))
    words = command(model, 0, LlamaSettings(parallel=8, context=256))
    words[words.index("--port") + 1] = "{port}"
    engine = " ".join([*words, "--name", "{served_name}"])
    with started(
        folder / "plan.json", folder / "fleet", "--engine", engine, "--silent-timeout", str(SILENT_S)
    ) as fleet:
        yield fleet


def hurt(fleet: Fleet, fault: Callable[[], None], who: str) -> Mended:
    """Load the fleet, let `fault` happen, wait until `who` is ready again, and see what became of the requests."""
    number = round(RATE_REQ_PER_S * SECONDS)
    due_s = np.cumsum(np.random.default_rng(0).exponential(1 / RATE_REQ_PER_S, number))
    ready: list[float] = []

    def happen() -> None:
        time.sleep(FAULT_AT_S)
        times_ready, hurt_s = fleet.said.count(f"{who}: ready"), time.monotonic()
        fault()
        until = time.monotonic() + (60 if who else 0)
        while time.monotonic() < until and fleet.said.count(f"{who}: ready") == times_ready:
            time.sleep(0.02)
        if fleet.said.count(f"{who}: ready") > times_ready:
            ready.append(time.monotonic() - hurt_s)

    watcher = threading.Thread(target=happen)
    watcher.start()
    lengths = np.full(number, PROMPT), np.full(number, ANSWER)
    seen = replay(fleet.url, MODEL, due_s, *lengths)
    watcher.join()
    wrong = np.array([bool(error) for error in seen.error])
    last = float(due_s[wrong].max()) - FAULT_AT_S if wrong.any() else 0.0
    slowest = float(np.nanmax(seen.e2e_s))
    return Mended(seen, int(wrong.sum()), last, ready[0] if ready else None, slowest)


def send(fleet: Fleet, name: str, number: int) -> None:
    """A signal to the engine, or the gateway, of that name, and to its children."""
    os.killpg(fleet.pids[name], number)


@contextlib.contextmanager
def slowed(fleet: Fleet, name: str, share: float = 0.1, period_s: float = 0.05) -> Iterator[None]:
    """Meanwhile the engine of that name runs for `share` of the time [-]."""
    over = threading.Event()

    def brake() -> None:
        while not over.is_set():
            send(fleet, name, signal.SIGSTOP)
            over.wait(period_s * (1 - share))
            send(fleet, name, signal.SIGCONT)
            time.sleep(period_s * share)

    thread = threading.Thread(target=brake)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    """Hurt one fleet in every way, and print what it cost."""
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder, small_fleet(Path(folder)) as fleet:
        for text, who, number in (
            ("replica killed", VICTIM, signal.SIGKILL),
            ("replica stopped", VICTIM, signal.SIGSTOP),
            ("gateway killed", "gateway", signal.SIGKILL),
        ):
            out(_line(text, hurt(fleet, lambda who=who, number=number: send(fleet, who, number), who)))  # type: ignore[misc]
            time.sleep(3)
        with slowed(fleet, VICTIM):
            out(_line("replica ten times slower", hurt(fleet, lambda: None, "")))


def _line(text: str, mended: Mended) -> str:
    again = "-" if mended.ready_s is None else f"{mended.ready_s:.1f} s"
    number = len(mended.requests.due_s)
    return (
        f"| {text} | {number} | {mended.failed} | {mended.last_failed_s:.1f} s | {again} | {mended.slowest_s:.2f} s |\n"
    )


if __name__ == "__main__":
    main()
