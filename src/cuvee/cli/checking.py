"""`cuvee check --metrics`: whether a gateway follows its plan."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cuvee.cli.terminal import print_json, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.plan.outcome.result import Plan

DRIFTS = 1
NOT_ENOUGH = 3


def check_metrics(
    plan: "Plan", plan_file: Path, metrics: str, *, over_s: float | None, since: str | None, as_json: bool
) -> None:
    """Compare, print, and end with the code of the verdict: 0 follows, 1 drifts, 3 not enough data yet."""
    from cuvee.control.advice import advice_on
    from cuvee.control.drift import Verdict, drift_of
    from cuvee.control.reading import observe
    from cuvee.report.drift_console import drift_record, print_drift

    if over_s is not None and since is not None:
        raise InputError("--over and --since", expected="one of them", remedy="leave one out")
    with working(f"reading {metrics}") as progress:
        observed = observe(metrics)
        if since is not None:
            observed = observed.since(observe(since))
        elif over_s is not None:
            progress(f"counting for {over_s:g} s")
            time.sleep(over_s)
            observed = observe(metrics).since(observed)
    drift = drift_of(plan, observed)
    advice = advice_on(drift, plan, observed, str(plan_file))
    if as_json:
        print_json(drift_record(drift, advice))
    else:
        print_drift(drift, advice, stdout())
    if drift.verdict is not Verdict.FOLLOWS:
        raise typer.Exit(DRIFTS if drift.verdict is Verdict.DRIFTS else NOT_ENOUGH)
