"""The printed score: how far predictions are from measured points, group by group, and which are furthest off."""

from collections import defaultdict
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.profile.scoring import QUANTITIES, Comparison, Ordering, Score
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.units import plural

WORST = 8
"""Comparisons listed, the furthest off first."""

LABELS = {"rate": "req/s", "ttft": "TTFT", "tpot": "TPOT"}
SCHEMA_VERSION = 1


def print_score(score: Score, console: Console) -> None:
    """Print the errors of each group and of all, the worst rows and those that could not be modelled."""
    heading = f"{plural(score.num_points, 'measured point')} beside the model; error = |predicted / measured - 1|"
    console.print(Text(heading, style="bold"))
    if score.comparisons:
        console.print(_errors(score, console))
        console.print(indented(_ordering_line(score.ordering()), style="dim"))
        left_out, paced = score.not_sustained
        if left_out:
            text = f"{left_out} of {paced} paced points left out because the model says they are not sustained"
            console.print(indented(f"TTFT and TPOT: {text}", style="yellow"))
        console.print()
        console.print(Text("furthest off", style="bold"))
        console.print(_worst(score, console))
    by_reason: dict[str, list[str]] = defaultdict(list)
    for each in score.not_modelled:
        by_reason[each.reason].append(each.measurement.id)
    for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
        console.print(indented(literal(f"not modelled: {reason}: {shown}"), style="yellow"))
    for note in score.notes:
        console.print(indented(literal(f"note: {note}"), style="yellow"))
    if score.doubtful:
        text = f"left out, as the file doubts them: {len(score.doubtful)} (--with-doubtful compares them, too)"
        console.print(indented(text, style="dim"))


def score_record(score: Score) -> dict[str, Any]:
    """The same as plain data, with every comparison."""
    return {
        "schema_version": SCHEMA_VERSION,
        "num_points": score.num_points,
        "overall": _summaries(score, None),
        "groups": {group: _summaries(score, group) for group in score.groups},
        "paced_points": dict(zip(("not_sustained", "all"), score.not_sustained, strict=True)),
        "comparisons": [_comparison(each) for each in score.comparisons],
        "not_modelled": [
            {"id": each.measurement.id, "place": each.measurement.place, "reason": each.reason}
            for each in score.not_modelled
        ],
        "doubtful": [each.id for each in score.doubtful],
        "notes": list(score.notes),
    }


def _summaries(score: Score, group: str | None) -> dict[str, Any]:
    found = {name: score.errors(name, group) for name in QUANTITIES}
    errors = {name: asdict(errors) for name, errors in found.items() if errors}
    order = score.ordering(group)
    shares = {"right_share": order.right_share, "clear_right_share": order.clear_right_share}
    return {**errors, "pair_order": {**asdict(order), **shares}}


def _comparison(each: Comparison) -> dict[str, Any]:
    row = each.measurement
    return {
        "id": row.id,
        "place": row.place,
        "group": row.group,
        "gpu": row.gpu,
        "model": row.model,
        "deployment": row.deployment,
        "workload": row.workload,
        "engine_settings": each.engine,
        "quantity": each.quantity,
        "measured": each.measured,
        "predicted": each.predicted,
        "error": each.error,
        "num_sequences": each.num_sequences,
    }


def _errors(score: Score, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    table.add_column("group")
    table.add_column("of")
    for column in ("n", "median", "mean", "p90", "predicted / measured", "pairs in order"):
        table.add_column(column, justify="right")
    groups: list[str | None] = [*score.groups, *([None] if len(score.groups) > 1 else [])]
    for group in groups:
        label = "all" if group is None else literal(group)
        for name in QUANTITIES:
            errors = score.errors(name, group)
            if errors is None:
                continue
            order = _share(score.ordering(group).right_share) if name == "rate" else ""
            table.add_row(
                label, LABELS[name], f"{errors.count}", f"{errors.median:.1%}", f"{errors.mean:.1%}",
                f"{errors.p90:.1%}", f"{errors.bias:.2f}", order, style="bold" if group is None else None,
            )  # fmt: skip
            label = ""
    return fitted(table, console, fold=("group",), drop=("mean", "predicted / measured"))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _ordering_line(ordering: Ordering) -> str:
    if not ordering.pairs:
        return "no two deployments of one model on one kind of requests: nothing to put in order"
    clear = (
        f"; where they differ by a fifth or more, {_share(ordering.clear_right_share)} of {ordering.clear_pairs:,}"
        if ordering.clear_pairs
        else ""
    )
    return (
        f"in order: which of two deployments of one model serves more per GPU, right in "
        f"{_share(ordering.right_share)} of {ordering.pairs:,} pairs{clear}"
    )


def _worst(score: Score, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    for column in ("row", "deployment"):
        table.add_column(column)
    for column in ("tokens", "measured", "predicted", "error"):
        table.add_column(column, justify="right")
    for each in score.worst(WORST):
        row = each.measurement
        table.add_row(
            literal(row.id), literal(f"{row.model} {row.deployment}"), row.workload, _value(each, each.measured),
            _value(each, each.predicted), f"{each.error:.0%}",
        )  # fmt: skip
    return fitted(table, console, fold=("row", "deployment"), drop=("row",))


def _value(each: Comparison, value: float) -> str:
    return f"{value:.3g} req/s" if each.quantity == "rate" else f"{LABELS[each.quantity]} {value * 1e3:.3g} ms"
