"""Commands that play requests on a plan: simulate."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.cli.terminal import Progress
    from cuvee.plan.outcome.result import Plan
    from cuvee.simulate.simulation import ReplicaEvent
    from cuvee.workload.latency_limits import LatencyLimits

POLICY_HELP = "plan, plan-live, least-work, shortest-queue, power-of-two, round-robin, weighted, prefix or plan-prefix."
EVENT_FORM = "GROUP[.REPLICA]@SECONDS, e.g. g1@600 or g1.0@600"
IN_DIGITS = "; times in plain digits, without exponent"
INTERRUPT_FORM = "GROUP[.REPLICA]@SECONDS+DELAY, e.g. g1.0@600+180"

Events = list[str] | None
FailOption = Annotated[Events, typer.Option(help=f"A replica that is gone: {EVENT_FORM}.")]
DrainOption = Annotated[Events, typer.Option(help="A replica that takes no more, in the same form.")]
StartOption = Annotated[Events, typer.Option(help="A replica that is ready only then.")]
InterruptOption = Annotated[
    Events, typer.Option(help=f"A replica that is gone, and ready again after the delay, as spot is: {INTERRUPT_FORM}.")
]
PrefixCacheOption = Annotated[
    bool, typer.Option("--prefix-cache", help="Find what prompts have in common, by the trace's hash_ids.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write every request as CSV; to a .parquet file as Parquet.")
]


def simulate(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, as `cuvee plan --json` writes it.")],
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Requests to play; default: the plan's own types and mix.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(help="Draw this many from the trace, arriving at random; default: replay it.")
    ] = None,
    load: Annotated[float | None, typer.Option(help="Mean rate over the plan's; of drawn requests 0.7.")] = None,
    rate_scale: Annotated[float | None, typer.Option(help="Factor on the trace's own rate.")] = None,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "plan",
    answers: Annotated[str, typer.Option(help="What the router knows of answers: known, mean or online.")] = "known",
    fail: FailOption = None,
    drain: DrainOption = None,
    start: StartOption = None,
    interrupt: InterruptOption = None,
    prefix_cache: PrefixCacheOption = False,
    ttft: Annotated[float | None, typer.Option(help="Limit on the time to first token [s], for attainment.")] = None,
    tpot: Annotated[float | None, typer.Option(help="Limit on the time per output token [s].")] = None,
    e2e: Annotated[float | None, typer.Option(help="Limit on the time to the last token [s].")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn; the same seed gives the same result.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write every request, as CSV or, to FILE.parquet, as Parquet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Play requests on a plan, engine step by engine step: rates, latencies, shares and use."""
    from cuvee.plan.outcome.files import load_plan
    from cuvee.report.request_files import check_requests_file, write_requests
    from cuvee.report.simulation_console import print_simulation, simulation_record
    from cuvee.simulate.compiling import IS_COMPILED
    from cuvee.simulate.metrics import report
    from cuvee.simulate.simulation import simulate as play
    from cuvee.simulate.simulation import warm_up
    from cuvee.workload.readers import load_trace

    refuse_overwriting(out, force, inputs=(plan_file, trace))
    if out is not None:
        check_requests_file(out)
    plan = load_plan(plan_file)
    asked_for = {"fail": fail, "drain": drain, "start": start, "interrupt": interrupt}
    events = [_event(kind, text) for kind, given in asked_for.items() for text in given or ()]
    with working(f"reading {trace}" if trace else "drawing requests") as progress:
        asked = load_trace(trace) if trace else None
        progress("getting the event kernel ready: it is compiled once, and kept" if IS_COMPILED else "simulating")
        warm_up()
        progress("simulating")
        done = play(
            plan, asked, num_requests=requests, load=load, rate_scale=rate_scale, policy=policy, foresight=answers,
            events=events, prefix_cache=prefix_cache, progress=_telling(progress), seed=seed,
        )  # fmt: skip
        progress("reckoning")
        found = report(done, limits=_limits(plan, ttft, tpot, e2e))
    if out is not None:
        write_requests(out, done)
    if as_json:
        print_json(simulation_record(done, found))
    else:
        print_simulation(done, found, stdout())


def _telling(progress: "Progress") -> "Callable[[float], None]":
    """Tells `progress` how much is played, and how long the rest takes at that speed."""
    began_s = time.monotonic()

    def tell(share: float) -> None:
        left_s = (time.monotonic() - began_s) * (1 - share) / share
        progress(f"simulating: {share:.0%}, {left_s:.0f} s left")

    return tell


def _event(kind: str, text: str) -> "ReplicaEvent":
    """An event of the command line."""
    from cuvee.simulate.simulation import ReplicaEvent

    number, delays = r"(\d{1,12}(?:\.\d{1,9})?)", kind == "interrupt"
    form = re.fullmatch(
        rf"(\w+)(?:\.(\d{{1,9}}))?@{number}{rf'[+]{number}' if delays else '()'}", text.strip(), re.ASCII
    )
    if form is None:
        remedy = "name a group as `cuvee plan` prints it, and a time"
        expected = (INTERRUPT_FORM if delays else EVENT_FORM) + IN_DIGITS
        raise InputError(f"--{kind} {text!r}", expected=expected, remedy=remedy)
    return ReplicaEvent(kind, form[1], float(form[3]), int(form[2]) if form[2] else None, float(form[4] or 0))


def _limits(
    plan: "Plan", ttft_s: float | None, tpot_s: float | None, e2e_s: float | None
) -> "list[LatencyLimits | None] | None":
    """Limits of each row of the plan: those of the command line, else the plan's own; None where there are none."""
    from cuvee.workload.latency_limits import LatencyLimits

    if ttft_s is not None or tpot_s is not None or e2e_s is not None:
        return [LatencyLimits(ttft_s, tpot_s, e2e_s)] * len(plan.assignment)
    entries = {entry.model.name: entry for entry in plan.inputs.problem.models}
    found = [
        objective.of(row.workload) if (objective := entries[row.model].latency) is not None else None
        for row in plan.assignment
    ]
    return found if any(each is not None for each in found) else None
