"""The printed comparison of the simulator with runs of real engines: statistics, what was fitted, what a step costs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.simulate.run_play import QUANTITIES
from cuvee.simulate.run_score import RunScore, RunStatistic
from cuvee.units import MS_PER_S, US_PER_S

SCHEMA_VERSION = 1
LABELS = {"ttft": "TTFT", "tpot": "TPOT", "e2e": "end to end"}


def print_run_scores(scores: Sequence[RunScore], console: Console) -> None:
    """Print each run within the width of `console`, and the largest error of all."""
    for score in scores:
        console.print(Text(literal(_heading(score)), style="bold"))
        console.print(_table(score, console))
        for line in _lines(score):
            console.print(indented(literal(line)))
        console.print(indented(literal("; ".join((_costs(score), *score.run.setup.notes))), style="dim"))
        console.print()
    if len(scores) > 1:
        worst = max(scores, key=lambda each: abs(each.worst.error))
        shown = f"{worst.run.folder.name}, {_name(worst.worst)}"
        console.print(Text(literal(f"largest error of {len(scores)} runs: {worst.worst.error:+.1%} ({shown})")))


def run_scores_record(scores: Sequence[RunScore]) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "worst_error": max((abs(score.worst.error) for score in scores), default=None),
        "runs": [_record(score) for score in scores],
    }


def _record(score: RunScore) -> dict[str, Any]:
    setup = score.run.setup
    return {
        "folder": str(score.run.folder),
        "gpu": setup.gpu.name,
        "gpu_from": setup.gpu_from,
        "model": setup.model.name,
        "deployment": setup.config.parallel_label,
        "replicas": setup.num_replicas,
        "precision": setup.config.precision,
        "kv_precision": setup.config.kv_precision,
        "engine_version": setup.version,
        "engine_settings": setup.engine.name,
        "max_num_seqs": setup.engine.max_num_seqs,
        "max_num_tokens": setup.engine.max_num_tokens,
        "cache_tokens": setup.cache_tokens,
        "requests": score.run.num_requests,
        "requests_left_out": score.run.left_out,
        "fit": score.fit,
        "coefficients": None if score.coefficients is None else asdict(score.coefficients),
        "step": asdict(score.costs),
        "scored_requests": score.num_scored,
        "statistics": [{**asdict(each), "error": each.error} for each in score.statistics],
        "worst_error": abs(score.worst.error),
        "mean_error": score.mean_error,
        "per_request": score.per_request,
        "preemptions": score.preemptions,
        "recomputed_tokens": score.recomputed_tokens,
        "notes": list(setup.notes),
    }


def _heading(score: RunScore) -> str:
    run, setup = score.run, score.run.setup
    fit = "coefficients fitted on the other half" if score.fit == "half" else "nothing fitted"
    ranks = f" x{setup.num_replicas}" if setup.num_replicas > 1 else ""
    return (
        f"{run.folder.name}: {setup.model.name} on {setup.config.gpu_label} {setup.config.parallel_label}{ranks}, "
        f"vLLM {setup.version or 'of unknown version'}, {score.num_scored:,} of {run.num_requests:,} requests, {fit}"
    )


def _table(score: RunScore, console: Console) -> RenderableType:
    table = new_table(console)
    table.add_column("")
    for header in ("mean", "p50", "p90", "p99", "off by, a request"):
        table.add_column(header, justify="right")
    for quantity in QUANTITIES:
        mine = [each for each in score.statistics if each.quantity == quantity]
        if not mine:
            continue
        for label, cells in (
            (f"{LABELS[quantity]} measured", [_time(each.measured_s) for each in mine]),
            ("  simulated", [_time(each.simulated_s) for each in mine]),
        ):
            table.add_row(label, *cells, "")
        table.add_row("  error", *(f"{each.error:+.1%}" for each in mine), f"{score.per_request[quantity]:.1%}")
    return fitted(table, console, fold=(), drop=("off by, a request",))


def _lines(score: RunScore) -> list[str]:
    lines = [f"largest error {score.worst.error:+.1%} ({_name(score.worst)}), mean {score.mean_error:.1%}"]
    if score.preemptions:
        times, tokens = f"{score.preemptions:,.0f}", f"{score.recomputed_tokens:,.0f}"
        lines.append(f"simulated cache: {times} times a sequence was put back, {tokens} tokens computed anew")
    if score.run.left_out:
        lines.append(f"left out: {score.run.left_out:,} requests without an answer")
    if score.coefficients is not None:
        found = score.coefficients
        shown = ", ".join(f"{name} {getattr(found, name):.2f}" for name in ("fixed", "token", "sequence", "attended"))
        room = "" if found.room == 1 else f", room of the cache {found.room:.3f}"
        cold = f"; first step {_time(found.cold_start_s)} longer" if found.cold_start_s else ""
        lines.append(f"fitted multipliers on the throughput model: {shown}{room}{cold}")
    return lines


def _costs(score: RunScore) -> str:
    costs = score.costs
    return (
        f"a step takes {costs.fixed_s * MS_PER_S:.2f} ms, and {costs.prompt_token_s * US_PER_S:.1f} us a prompt token, "
        f"{costs.sequence_s * US_PER_S:.1f} us a decoding sequence, {costs.attended_token_s * US_PER_S:.3f} us a token "
        f"that it attends to; GPU type {score.run.setup.gpu_from}"
    )


def _name(each: RunStatistic) -> str:
    return f"{each.statistic} of {LABELS[each.quantity]}"


def _time(value_s: float) -> str:
    if value_s < 1:
        return f"{value_s * MS_PER_S:.1f} ms"
    return f"{value_s:.1f} s" if value_s >= 10 else f"{value_s:.2f} s"
