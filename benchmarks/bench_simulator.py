"""Requests simulated per CPU second: by size, cold and warm, and beside Dynamo's replay.

16 replicas of two kinds, lengths of the Azure 2023 conversations (`../shared`; else the same by quantiles, embedded),
arriving at random at 70 % of what the fleet sustains, split by shares among four groups. Dynamo's replay gets the same
requests and its own mock engines, where `make dynamo` has installed it.

Run: make bench, or python benchmarks/bench_simulator.py [--quick]. Writes benchmarks/results/simulator.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import EVENT
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import play
from cuvee.simulate.policy import Policy
from cuvee.simulate.simulation import warm_up
from harness import describe_machine, in_own_processes, write_results

HERE = Path(__file__).parent
TRACE = HERE.parents[1] / "shared" / "data" / "traces" / "azure2023_conv.csv.gz"
EMBEDDED = HERE / "azure_conversations_49.csv"
DYNAMO = HERE.parent / ".venv-dynamo" / "bin" / "python"
LOAD = 0.7
NUM_GROUPS = 4
LONGEST_TOKENS = 4096


def lengths(number: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Prompt and answer lengths [tokens], drawn with replacement and cut to 4,096 in all."""
    from cuvee.workload.readers import load_trace

    trace = load_trace(TRACE if TRACE.is_file() else EMBEDDED)
    picked = rng.integers(0, trace.num_requests, number)
    prompt, answer = trace.input_tokens[picked], trace.output_tokens[picked]
    prompt = np.minimum(prompt, LONGEST_TOKENS - 1)
    return prompt, np.minimum(answer, LONGEST_TOKENS - prompt)


def laws() -> list[StepLaw]:
    """Two kinds of replicas, one half as fast as the other: an 8B model on an A100 and on an A40, roughly."""
    one = np.ones(1)
    return [
        StepLaw(
            token_s=np.arange(2049.0)[None] * (3.3e-5 * slower), sequence_s=one * 0, cache_s=one * 1e-7 * slower,
            pair_s=one * 1e-9 * slower, head_s=one * 0, head_read_s=one * 0, step_overhead_s=5e-3 * slower,
            sequence_overhead_s=0.0, scheduling_s=0.0, bubble=1.0, held_up_share=1.0, max_num_seqs=256,
            max_num_tokens=2048, cache_tokens=150_000, reserves_answers=False, max_req_per_s=1e9,
        )
        for slower in (1.0, 2.0)
    ]  # fmt: skip


RATES_REQ_PER_S = (13.0, 6.5)
"""What a replica of each kind sustains on these lengths, by a run at twice the load [req/s]."""


def world(num_requests: int, num_replicas: int, seed: int = 0) -> tuple[Any, ...]:
    """What the kernel plays."""
    rng = np.random.default_rng(seed)
    group_of = np.arange(num_replicas) * min(NUM_GROUPS, num_replicas) // num_replicas
    law_of = group_of % 2
    rates = np.array(RATES_REQ_PER_S)[law_of]
    prompt, answer = lengths(num_requests, rng)
    arrival_s = np.cumsum(rng.exponential(1 / (LOAD * rates.sum()), num_requests))
    shares = np.bincount(group_of, weights=rates)[None] / rates.sum()
    split = packed_split(shares, np.full(shares.shape, 1 / 64), group_of, np.ones(shares.shape, bool))
    return (
        packed_requests(arrival_s, prompt, answer), packed_engines(laws(), law_of, group_of), split,
        np.zeros(0, EVENT).view(np.recarray),
    )  # fmt: skip


def play_all(parts: tuple[Any, ...], policy: Policy = Policy.PLAN) -> None:
    """Play what `world` made."""
    requests, engines, split, events = parts
    play(requests, engines, split, events, int(policy), True)


def solve_one(case: dict[str, Any]) -> dict[str, Any]:
    """One size under one policy, in a process of its own: best of some runs, and the peak of its memory."""
    warm_up()
    seconds: list[float] = []
    for _ in range(case["repeats"]):
        parts: tuple[Any, ...] = ()  # what was played before makes room first
        parts = world(case["requests"], case["replicas"])
        began_s = time.process_time()
        play_all(parts, Policy[case["policy"]])
        seconds.append(time.process_time() - began_s)
    requests = parts[0]
    return {
        **case,
        "requests_per_cpu_s": case["requests"] / min(seconds),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "p95_ttft_s": float(np.percentile(requests.first_s - requests.arrival_s, 95)),
    }


def cold_start() -> float:
    """Wall seconds of a process that imports, loads the compiled kernel and plays 10,000 requests [s]."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from bench_simulator import *; play_all(world(10_000, 16))"
    found = []
    for _ in range(3):
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        found.append(time.perf_counter() - began_s)
    return min(found)


def warm_what_if() -> float:
    """Wall milliseconds of 10,000 requests in a process that has played before [ms]."""
    warm_up()
    found = []
    for seed in range(7):
        parts = world(10_000, 16, seed)
        began_s = time.perf_counter()
        play_all(parts)
        found.append(time.perf_counter() - began_s)
    return statistics.median(found) * 1e3


def dynamo(num_requests: int) -> float | None:
    """Requests per CPU second of Dynamo's offline replay, round-robin over 16 mock engines; None without it."""
    if not DYNAMO.is_file():
        return None
    requests = world(num_requests, 16)[0]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        block = 0
        with trace.open("w") as stream:
            for each in requests:
                blocks = -(-int(each.prompt) // 512)
                row = {"timestamp": int(each.arrival_s * 1000), "input_length": int(each.prompt),
                       "output_length": int(each.answer), "hash_ids": list(range(block, block + blocks))}  # fmt: skip
                block += blocks
                stream.write(json.dumps(row) + "\n")
        command = [
            str(DYNAMO), "-m", "dynamo.replay", str(trace), "--num-workers", "16", "--replay-mode", "offline",
            "--router-mode", "round_robin", "--trace-block-size", "512", "--report-json", str(Path(folder) / "r.json"),
            "--extra-engine-args", json.dumps({"block_size": 16, "num_gpu_blocks": 9375, "max_num_seqs": 256,
                                               "max_num_batched_tokens": 2048}),
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(f"Dynamo's replay failed: {done.stderr[-300:]}", file=sys.stderr)
        return None
    spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return num_requests / spent


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="sizes up to 100,000 requests")
    quick = parser.parse_args().quick
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    most = 100_000 if quick else 10_000_000
    by_requests = [10**exponent for exponent in range(4, 8) if 10**exponent <= most]
    base = {"replicas": 16, "policy": "PLAN", "requests": min(1_000_000, most), "repeats": 3}
    cases = [{**base, "requests": number, "repeats": 3 if number < 10**7 else 1} for number in by_requests]
    cases += [{**base, "replicas": number} for number in (1, 4, 64, 256, 1000)]
    cases += [{**base, "policy": name} for name in ("PLAN_LIVE", "LEAST_WORK", "SHORTEST_QUEUE", "ROUND_ROBIN")]
    warm_up()
    rows = []
    for row in in_own_processes("bench_simulator", cases):
        rows.append(row)
        print(f"{row['requests']:>10,} requests, {row['replicas']:>5} replicas, {row['policy']:<15} "
              f"{row['requests_per_cpu_s']:>12,.0f} requests/CPU s, {row['peak_mb']:,.0f} MB")  # fmt: skip
    summary: dict[str, Any] = {"cold_start_s": cold_start(), "warm_10000_ms": warm_what_if()}
    summary["dynamo_requests_per_cpu_s"] = dynamo(10_000)
    own = next(row["requests_per_cpu_s"] for row in rows if row["policy"] == "ROUND_ROBIN")
    if summary["dynamo_requests_per_cpu_s"]:
        summary["ratio_to_dynamo"] = own / summary["dynamo_requests_per_cpu_s"]
    print(summary)
    write_results("simulator", {"machine": describe_machine(), "summary": summary, "rows": rows, "quick": quick})


if __name__ == "__main__":
    main()
