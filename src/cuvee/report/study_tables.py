"""The tables that stand beside the charts of the study's page: the same figures without a picture."""

from collections.abc import Sequence

from cuvee.report.html import Markup, joined, table
from cuvee.report.study_text import error_text, lengths_text, number, parallel_text, prices_title
from cuvee.study.curves import Curves
from cuvee.study.leads import lead
from cuvee.study.performance import PERCENTILES
from cuvee.study.study import Study

TABLE_PERCENTILE = 95.0
"""Percentile of the table of curves [%]."""


def heat_table(studies: Sequence[Study]) -> Markup:
    """Requests per dollar of GPU types and workload types, of each study and model."""
    tables = []
    for study in reversed(studies):
        workloads = study.asked.workloads
        header = ["GPU", *(lengths_text(kind) for kind in workloads)]
        for model in study.models:
            tops = {kind.name: found.first for kind in workloads if (found := lead(study, model.name, kind.name))}
            rows = []
            for gpu in study.gpus:
                best = [study.best(model.name, gpu.name, kind.name) for kind in workloads]
                cells = [
                    "" if entry is None else f"{number(entry.efficiency)}{' ★' if entry is tops[kind.name] else ''}"
                    for entry, kind in zip(best, workloads, strict=True)
                ]
                rows.append([gpu.name, *cells])
            caption = f"{model.name}, {prices_title(study)}: req/s per $/h; ★ the most"
            tables.append(table(header, rows, caption=caption))
    return joined(tables)


def figure_table(studies: Sequence[Study]) -> Markup:
    """The best configuration of each GPU type on each workload type, with all that stands behind it."""
    header = [
        "request", "GPU", "configuration", "req/s", "$/h", "req/s per $/h", "$ per million", "error", "provenance",
        "leads below $/GPU-h", "seller", "prices of",
    ]  # fmt: skip
    tables = []
    for study in reversed(studies):
        for model in study.models:
            rows = []
            for kind in study.asked.workloads:
                found = lead(study, model.name, kind.name)
                for entry in found.ranking if found is not None else ():
                    money = f"{entry.price_usd_per_hour:.2f}"
                    row = [
                        lengths_text(kind), entry.gpu, parallel_text(entry), number(entry.rate_req_per_s), money,
                        number(entry.efficiency), number(entry.usd_per_million_requests), error_text(entry),
                        entry.provenance.value, number(found.price_to_lead_usd(entry)) if found else "",
                        entry.offer.seller, entry.offer.as_of,
                    ]  # fmt: skip
                    rows.append(row)
            tables.append(table(header, rows, caption=f"{model.name}, {prices_title(study)}"))
    return joined(tables)


def latency_table(study: Study) -> Markup:
    """Latency percentiles at the load of the study, and what each costs."""
    header = ["request", "GPU", "configuration", "$ per million"]
    for percentile in PERCENTILES:
        header += [
            f"TTFT p{percentile:g} [s]",
            f"end to end p{percentile:g} [s]",
            f"cost p{percentile:g} [$ per million]",
        ]
    tables = []
    for model in study.models:
        rows = []
        for kind in study.asked.workloads:
            for entry in study.ranking(model.name, kind.name):
                row = [
                    lengths_text(kind),
                    entry.gpu,
                    parallel_text(entry),
                    number(entry.usd_per_million_requests_at_load),
                ]
                for each in entry.latencies:
                    cost = entry.latency_usd_per_million(each.percentile)
                    row += [number(each.ttft_s), number(each.e2e_s), number(cost)]
                rows.append(row)
        tables.append(table(header, rows, caption=f"{model.name}, {prices_title(study)}, {study.asked.load:.0%} load"))
    return joined(tables)


def curve_table(study: Study, curves: Curves) -> Markup:
    """Both ends of each curve at `TABLE_PERCENTILE`: the fastest that money buys, and the cheapest there is."""
    header = [
        "request",
        "GPU",
        "fastest [s]",
        "as",
        "load",
        "$ per million",
        "cheapest [s]",
        "as",
        "load",
        "$ per million",
    ]
    tables = []
    for model in study.models:
        rows = []
        for kind in study.asked.workloads:
            for entry in study.ranking(model.name, kind.name):
                points = curves.get((model.name, entry.gpu, kind.name), ())
                if points:
                    row = [lengths_text(kind), entry.gpu]
                    for point in (points[0], points[-1]):
                        split = point.config.parallel_label.partition(" [")[0]
                        row += [number(point.e2e_s), split, f"{point.load:.0%}", number(point.usd_per_million_requests)]
                    rows.append(row)
        caption = f"{model.name}, {prices_title(study)}: end to end p{TABLE_PERCENTILE:g}"
        tables.append(table(header, rows, caption=caption))
    return joined(tables)
