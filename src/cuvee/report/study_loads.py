"""The printed latencies of a study over load: TTFT, TPOT and end to end of the best configuration of each GPU type."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from cuvee.report.study_text import lengths_text, number, parallel_text
from cuvee.report.style import fitted, new_table
from cuvee.study.performance import Performance
from cuvee.study.study import Study
from cuvee.study.under_load import LOADS, load_curves

SHOWN_PERCENTILE = 90.0
"""Percentile of the printed tables [%]; --json has others."""


def load_tables(study: Study, model: str, performances: Sequence[Performance], console: Console) -> Iterator[Table]:
    """One table for each workload type; none without `performances`."""
    curves = load_curves(study, performances) if performances else {}
    for kind in study.asked.workloads if curves else ():
        title = f"{model}, {lengths_text(kind)}: p{SHOWN_PERCENTILE:g} over load"
        table = new_table(console, title=title, gap=1)
        table.min_width = min(len(title) + 1, console.width)
        for header in ("GPU", "as", "latency"):
            table.add_column(header)
        for load in LOADS:
            table.add_column(f"{load:.0%}", justify="right")
        for entry in study.ranking(model, kind.name):
            found = [point.at(SHOWN_PERCENTILE) for point in curves[entry]]
            table.add_row(entry.gpu, parallel_text(entry), "TTFT [s]", *(number(each.ttft_s) for each in found))
            table.add_row("", "", "TPOT [ms]", *(number(each.tpot_s * 1e3) for each in found))
            table.add_row("", "", "E2E [s]", *(number(each.e2e_s) for each in found))
        if table.row_count:
            yield fitted(table, console, fold=("GPU",), gap=1)
