"""Writes the tables of docs/benchmarks.md from benchmarks/results/*.json.

Run: make bench, then python benchmarks/render_docs.py
"""

import json
from math import log10
from pathlib import Path
from typing import Any

from cuvee.report import svg

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """The machine and versions that results belong to."""
    return [
        f"Commit {machine['commit']}, {machine['date']}, {machine['cpus']} shared cores {machine['processor']}, Python "
        f"{machine['python']}, HiGHS {machine['highs']}.",
        "",
    ]


def planner_table(results: dict[str, Any]) -> str:
    """The 36 problems of the paper's setting as a Markdown table, with a line on the machine."""
    summary = results["summary"]
    lines = [
        *machine_lines(results["machine"]),
        "| | median | worst |",
        "|---|---|---|",
        f"| direct program, seconds to a proven gap of 1e-4 | {summary['direct_median_s']:.2f} | "
        f"{summary['direct_worst_s']:.2f} |",
        f"| bisection to 1 %, seconds | {summary['bisection_median_s']:.2f} | "
        f"{max(row['bisection_s'] for row in results['rows']):.2f} |",
        f"| bisection over direct | {summary['ratio_median']:.1f} | {summary['ratio_lowest']:.1f} |",
        f"| candidates, generated and rated, seconds | {summary['prepare_median_s']:.2f} | "
        f"{max(row['prepare_s'] for row in results['rows']):.2f} |",
        f"| gap | {sorted(row['direct_gap'] for row in results['rows'])[len(results['rows']) // 2]:.0e} | "
        f"{summary['worst_gap']:.1e} |",
        "",
        "| mix | stock | $/h | candidates | direct [s] | T [s] | bisection [s] | T [s] | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['mix']} | {row['stock'].removeprefix('paper-')} | {row['budget_usd_per_hour']:.0f} | "
        f"{row['candidates']} | {row['direct_s']:.2f} | {row['direct_makespan_s']:.2f} | {row['bisection_s']:.2f} | "
        f"{row['bisection_makespan_s']:.2f} | {row['bisection_s'] / row['direct_s']:.1f} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


def periods_table(results: dict[str, Any]) -> str:
    """Each day against its constant fleet as a Markdown table."""
    lines = [
        *machine_lines(results["machine"]),
        "| offers | peak [req/s] | periods | constant [$/day] | in periods [$/day] | saved | starts [$/day] | gap | "
        "[s] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['offers'].removeprefix('paper-')} | {row['peak_req_per_s']:.0f} | {row['periods']} | "
        f"{row['constant_usd_per_day']:.2f} | {row['cost_usd_per_day']:.2f} | {row['saving']:.1%} | "
        f"{row['start_usd_per_day']:.2f} | {row['gap']:.1e} | {row['seconds']:.1f} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


def melange_table(results: dict[str, Any]) -> str:
    """Continuous shares against slices as a Markdown table."""
    summary = results["summary"]
    lines = [
        *machine_lines(results["machine"]),
        "| | median | worst |",
        "|---|---|---|",
        f"| `cuvee plan --melange`, whole command, CPU seconds | {summary['command_cpu_median_s']:.2f} | "
        f"{summary['command_cpu_worst_s']:.2f} |",
        f"| reading, preparing and proving within it, CPU seconds | {summary['plan_cpu_median_s']:.2f} | "
        f"{summary['plan_cpu_worst_s']:.2f} |",
        f"| slices and CBC, CPU seconds | {summary['sliced_cpu_median_s']:.2f} | {summary['sliced_cpu_worst_s']:.2f} |",
        f"| slices over shares, CPU | {summary['ratio_median']:.1f} | {summary['ratio_lowest']:.1f} |",
        f"| slices dearer by | {summary['sliced_dearer_median']:.2%} | {summary['sliced_dearer_worst']:.1%} |",
        "",
        f"Of the {summary['cases']} cases CBC left {summary['sliced_unproven']} unproven after "
        f"{summary['limit_s']:.0f} s, {summary['sliced_without_answer']} of them without an answer; cuvee proved all, "
        f"the largest gap {summary['worst_gap']:.1e}.",
        "",
        "| cells | GPUs | req/s | shares [$/h] | CPU [s] | slices [$/h] | CPU [s] | proven |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['grid']} | {row['gpus']} | {row['rate_req_per_s']:.0f} | {row['cost_usd_per_hour']:.3f} | "
        f"{row['plan_cpu_s']:.2f} | "
        f"{'none' if row['sliced_cost_usd_per_hour'] is None else format(row['sliced_cost_usd_per_hour'], '.3f')} | "
        f"{row['sliced_cpu_s']:.2f} | {'yes' if row['sliced_proven'] else 'no'} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


def frontier_table(results: dict[str, Any]) -> str:
    """Each grid both ways, and the sweep that chooses its questions."""
    summary = results["summary"]
    lines = [
        *machine_lines(results["machine"]),
        "| grid | points | solved | sweep [s] | one by one [s] | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['count']} | {row['solved']} | {row['sweep_s']:.1f} | {row['alone_s']:.1f} | "
        f"{row['alone_s'] / row['sweep_s']:.1f} |"
        for row in results["rows"]
    ]
    lines += [
        "",
        f"Where the sweep chooses its questions, from 2 to 12 $/h, it finds all {summary['chosen_steps']} steps with "
        f"{summary['chosen_points']} problems in {summary['chosen_s']:.0f} s, and proves that there are no others. As "
        f"many evenly spaced plans show {summary['even_steps']} of them.",
    ]
    return "\n".join(lines) + "\n"


def market_table(results: dict[str, Any]) -> str:
    """Each budget on the market."""
    lines = [
        *machine_lines(results["machine"]),
        "| budget [$/h] | configurations | candidates | req/s | replica groups | gap | prepare [s] | plan [s] | GiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['budget_usd_per_hour']:.0f} | {row['configurations']:,} | {row['candidates']:,} | "
        f"{row['rate_req_per_s']:.1f} | {row['groups']} | {row['gap']:.1e} | {row['prepare_s']:.1f} | "
        f"{row['plan_s']:.1f} | {row['peak_gib']:.1f} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


def fleet_table(results: dict[str, Any]) -> str:
    """Each seeded problem, from small to large."""
    lines = [
        *machine_lines(results["machine"]),
        "| models | types | offers | GPUs in stock | seed | candidates | req/s | GPUs rented | $/h | gap | "
        "prepare [s] | plan [s] | GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['models']} | {row['types']} | {row['offers']:,} | {row['stock']:,} | {row['seed']} | "
        f"{row['candidates']:,} | {row['rate_req_per_s']:,.0f} | {row['gpus']:,} | {row['cost_usd_per_hour']:,.0f} | "
        f"{row['gap']:.1e} | {row['prepare_s']:.1f} | {row['plan_s']:.1f} | {row['peak_gib']:.1f} |"
        for row in results["rows"]
    ]
    return "\n".join(lines) + "\n"


def fleet_picture(results: dict[str, Any]) -> str:
    """Seconds against candidates, both on logarithmic axes."""
    left, right, top, bottom = 70.0, 690.0, 50.0, 330.0
    wide, tall = (2.7, 5.7), (0.0, 2.0)  # powers of ten

    def x(candidates: float) -> float:
        return left + (log10(candidates) - wide[0]) / (wide[1] - wide[0]) * (right - left)

    def y(seconds: float) -> float:
        return bottom - (log10(seconds) - tall[0]) / (tall[1] - tall[0]) * (bottom - top)

    parts = [svg.element("text", "Seconds to a plan, preparation included", x=20, y=28, class_="strong")]
    for seconds in (1, 3, 10, 30, 60, 100):
        parts.append(svg.path([(left, y(seconds)), (right, y(seconds))], class_="grid"))
        beside = {"x": left - 10, "y": y(seconds) + 4}
        parts.append(svg.element("text", f"{seconds}", text_anchor="end", class_="faint", **beside))
    for candidates in (1_000, 3_000, 10_000, 30_000, 100_000, 300_000):
        text = f"{candidates:,}"
        parts.append(svg.element("text", text, x=x(candidates), y=bottom + 22, text_anchor="middle", class_="faint"))
    parts.append(svg.element("text", "candidates", x=right, y=bottom + 42, text_anchor="end", class_="faint"))
    parts.append(svg.element("text", "s", x=left - 10, y=top - 6, text_anchor="end", class_="faint"))
    parts.append(svg.path([(left, bottom), (right, bottom)], class_="axis"))
    for row in results["rows"]:
        at = (x(row["candidates"]), y(max(row["prepare_s"] + row["plan_s"], 1.0)))
        proven = row["gap"] <= 1e-2
        parts.append(svg.element("circle", cx=at[0], cy=at[1], r=5, class_="dot" if proven else "knee"))
        if not proven:
            parts.append(svg.element("text", f"{row['gap']:.1%}", x=at[0] + 10, y=at[1] + 4, class_="faint"))
    legend = "blue: proven to 1 %; orange: the gap at which 60 s ended the search"
    parts.append(svg.element("text", legend, x=left, y=370, class_="faint"))
    return svg.document(720, 390, parts, title="Seconds to a proven plan by the number of candidates")


def simulator_table(results: dict[str, Any]) -> str:
    """Requests simulated per CPU second, by size and policy, as a Markdown table."""
    summary = results["summary"]
    lines = [
        *machine_lines(results["machine"]),
        "| requests | replicas | policy | requests per CPU second | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['requests']:,} | {row['replicas']:,} | {row['policy'].lower().replace('_', '-')} | "
        f"{row['requests_per_cpu_s']:,.0f} | {row['peak_mb']:,.0f} |"
        for row in results["rows"]
    ]
    lines += [
        "",
        f"10,000 requests in a process that has simulated before: {summary['warm_10000_ms']:.1f} ms; from a cold start "
        f"with the kernel on disk, imports included: {summary['cold_start_s']:.2f} s.",
    ]
    if summary["dynamo_requests_per_cpu_s"]:
        lines.append(
            f"Dynamo's offline replay of the same 10,000 requests over 16 mock engines, round-robin: "
            f"{summary['dynamo_requests_per_cpu_s']:,.0f} requests per CPU second, start included; ours under "
            f"round-robin does {summary['ratio_to_dynamo']:,.0f} times as many."
        )
    return "\n".join(lines) + "\n"


def gateway_table(results: dict[str, Any]) -> str:
    """Processor time and latency of each way to the engines, and how often that of nginx."""
    nginx = next((row for row in results["rows"] if row["name"] == "nginx"), None)

    def cost(row: dict[str, Any], kind: str) -> str:
        spent = row[kind]["cpu_us_per_request"]
        if not spent:
            return "-"
        return f"{spent:.0f}" + (f" ({spent / nginx[kind]['cpu_us_per_request']:.1f})" if nginx else "")

    lines = [
        *machine_lines(results["machine"]),
        "| | JSON, CPU us (over nginx) | stream, CPU us | JSON req/s | streams/s | JSON p50 [ms] | first event [ms] |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {cost(row, 'json')} | {cost(row, 'sse')} | {row['json']['req_per_s']:,.0f} | "
        f"{row['sse']['req_per_s']:,.0f} | {row['json']['end_p50_ms']:.2f} | {row['sse']['first_p50_ms']:.2f} |"
        for row in results["rows"]
    ]
    ours = next(row for row in results["rows"] if row["name"] == "cuvee serve")
    lines += [
        "",
        f"Of 500 requests that are to be split 70 to 30, {ours['share_of_70']:.1%} went to the first group. "
        f"Load of the machine after the run: {results['load']:.1f}.",
    ]
    return "\n".join(lines) + "\n"


TABLES = {
    "market": market_table, "fleet": fleet_table,
    "planner": planner_table, "periods": periods_table, "melange": melange_table, "frontier": frontier_table,
    "simulator": simulator_table, "gateway": gateway_table,
}  # fmt: skip


def main() -> None:
    """Replace what stands between the marks of each table."""
    page = PAGE.read_text()
    for name, table in TABLES.items():
        start, end = f"<!-- {name} table: start -->\n", f"<!-- {name} table: end -->\n"
        before, rest = page.split(start)
        results = json.loads((HERE / "results" / f"{name}.json").read_text())
        page = before + start + table(results) + end + rest.split(end)[1]
    PAGE.write_text(page)
    fleet = json.loads((HERE / "results" / "fleet.json").read_text())
    (PAGE.parent / "fleet.svg").write_text(fleet_picture(fleet))


if __name__ == "__main__":
    main()
