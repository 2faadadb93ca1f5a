"""What was found, as a record and as the tables of docs/real-fleet.md."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cuvee.simulate.arrays import EVENT
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import play
from cuvee.simulate.policy import Policy
from cuvee.simulate.run_fit import StepCosts
from tests.e2e.loop import FittedLaw, Loop, Run, simulated_rate
from tests.e2e.replay import Floats

PERCENTILES = (50, 90)


def record_of(loop: Loop, load_before: float) -> dict[str, Any]:
    """All figures, in plain JSON."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg()[0],
        "seconds": round(loop.seconds),
        "gauge_s": loop.gauge_s,
        "laws": {gpu: _law_record(each) for gpu, each in loop.laws.items()},
        "plans": {
            name: {
                "fleet": [(each.copies, each.config.gpu_label) for each in plan.groups],
                "cost_usd_per_hour": plan.cost_usd_per_hour,
                "rate_req_per_s": plan.rate_req_per_s,
                "rates_req_per_s": {
                    each.config.gpu_label: {cell.workload: cell.rate_req_per_s for cell in each.cells}
                    for each in plan.groups
                },
                "shares": {row.workload: row.shares for row in plan.assignment},
            }
            for name, plan in loop.plans.items()
        },
        "runs": [_run_record(run) for run in loop.runs],
    }


def _law_record(found: FittedLaw) -> dict[str, Any]:
    """The law in plain figures, and its own run under it: half of what is off in a fleet may be off here already."""
    law, run = found.law, found.run
    number = len(run.due_s)
    requests = packed_requests(run.due_s, run.prompt, np.maximum(run.answer, 1))
    none, one = np.zeros(1, np.int64), np.ones((1, 1))
    split = packed_split(one, one, none, np.ones((1, 1), bool))
    engines = packed_engines([law], none, none)
    play(requests, engines, split, np.zeros(0, EVENT).view(np.recarray), int(Policy.SHORTEST_QUEUE), True)
    return {
        **asdict(StepCosts.of(law, law.max_num_seqs)),
        "requests": number,
        "ttft_s": _both(run.ttft_s, requests.first_s - run.due_s),
        "e2e_s": _both(run.e2e_s, requests.finish_s - run.due_s),
    }


def _run_record(run: Run) -> dict[str, Any]:
    seen, played = run.measured, run.simulated
    arrival_s = played.arrivals.arrival_s
    return {
        "fleet": run.fleet,
        "load": run.load,
        "requests": len(seen.due_s),
        "failed": seen.failed,
        "errors": sorted({error for error in seen.error if error})[:5],
        "offered_req_per_s": len(seen.due_s) / float(seen.due_s[-1]),
        "rate_req_per_s": {"measured": seen.rate_req_per_s(), "simulated": simulated_rate(played)},
        "ttft_s": _both(seen.ttft_s, played.requests.first_s - arrival_s),
        "e2e_s": _both(seen.e2e_s, played.requests.finish_s - arrival_s),
        "shares": {"measured": seen.shares(), "planned": _planned(run)},
        "load_generator": {
            "processor_share": seen.processor_share,
            "late_p99_s": float(np.nanpercentile(seen.late_s, 99)),
        },
    }


def _both(measured_s: Floats, simulated_s: Floats) -> dict[str, dict[str, float]]:
    return {
        name: {f"p{each}": float(np.nanpercentile(values, each)) for each in PERCENTILES}
        for name, values in (("measured", measured_s), ("simulated", simulated_s))
    }


def _planned(run: Run) -> dict[str, float]:
    """Share of each group of the requests that were replayed, by the plan [-]."""
    rows = {row.workload: row for row in run.plan.assignment}
    names = [each.kind.name for each in run.simulated.fleet.rows]
    counts = np.bincount(run.simulated.row, minlength=len(names))
    return {
        group.id: sum(count * rows[name].share_of(group) for count, name in zip(counts, names, strict=True))
        / counts.sum()
        for group in run.plan.groups
    }


def table_of(record: dict[str, Any]) -> str:
    """The table of the docs."""
    lines = [
        "| fleet | $/h | req/s planned | served: measured | simulated | off | TTFT p50 / p90, measured | simulated"
        " | whole request p50 / p90, measured | simulated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in record["runs"]:
        plan, rate = record["plans"][run["fleet"]], run["rate_req_per_s"]
        off = rate["simulated"] / rate["measured"] - 1 if rate["measured"] else float("nan")
        fleet = " + ".join(f"{count} {label.removeprefix('1x ')}" for count, label in plan["fleet"])
        cells: Sequence[str] = (
            f"{run['fleet']} ({fleet}), offered {run['offered_req_per_s']:.2f} req/s",
            f"{plan['cost_usd_per_hour']:.2f}", f"{plan['rate_req_per_s']:.2f}",
            f"{rate['measured']:.2f}", f"{rate['simulated']:.2f}", f"{off:+.0%}",
            *(_latency(run[name][who]) for name in ("ttft_s", "e2e_s") for who in ("measured", "simulated")),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| run | shares planned | achieved | failed | load generator: processor, late p99 |",
        "|---|---|---|---|---|",
    ]
    for run in record["runs"]:
        generator = run["load_generator"]
        lines.append(
            f"| {run['fleet']} at {run['load']:.0%} | {_shares(run['shares']['planned'])} |"
            f" {_shares(run['shares']['measured'])} | {run['failed']} of {run['requests']} |"
            f" {generator['processor_share']:.0%}, {generator['late_p99_s'] * 1e3:.0f} ms |"
        )
    gauge = ", ".join(f"{each * 1e3:.0f} ms" for each in record["gauge_s"])
    lines += ["", f"a lone request before measuring, before and after the replays: {gauge}"]
    return "\n".join(lines)


def _latency(times_s: dict[str, float]) -> str:
    return " / ".join(f"{times_s[f'p{each}']:.2f} s" for each in PERCENTILES)


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{group} {share:.1%}" for group, share in shares.items())
