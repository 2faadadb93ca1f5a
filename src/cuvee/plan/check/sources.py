"""Where the rates and prices of a plan come from, as far as the plan itself tells."""

import re
from collections.abc import Iterator
from math import isnan

from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import Plan, RunnerUp
from cuvee.profile.table import NOT_STATED, Provenance

DATE = re.compile(r"(?:19|20)\d\d(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?")


def has_sources(plan: Plan) -> bool:
    """Whether the plan says where single rates come from; older files do not."""
    return bool(plan.inputs.rate_sources) or any(rate.source is not None for _, rate, _ in _rates(plan))


def check_sources(plan: Plan) -> Iterator[str]:
    """A line for each rate without provider, source, date or band, and for each source that its inputs do not name."""
    sources = plan.inputs.rate_sources
    for each in sources:
        if str(each) not in plan.inputs.throughput_sources:
            yield f"{each}: no source of the inputs"
        if each.date != NOT_STATED and not DATE.fullmatch(each.date):
            yield f"{each}: of {each.date!r}, which is no date"
    used: set[int] = set()
    for name, rate, provider in _rates(plan):
        if rate.source is None or not 0 <= rate.source < len(sources):
            yield f"{name}: a rate of source {rate.source}, and {len(sources)} are stated"
            continue
        used.add(rate.source)
        if provider not in (None, sources[rate.source].provider):
            yield f"{name}: {provider}, and its source is {sources[rate.source]}"
        band = rate.relative_error
        if band is not None and (isnan(band) or band < 0):
            yield f"{name}: an error band of {band}"
    yield from (f"{each}: no rate comes from it" for index, each in enumerate(sources) if index not in used)


def _rates(plan: Plan) -> Iterator[tuple[str, Cell | RunnerUp, Provenance | None]]:
    """Every rate with its name, and its provider where it states one itself."""
    for group in plan.groups:
        yield from ((f"{group.id} {cell.workload}", cell, cell.provenance) for cell in group.cells)
    for number, other in enumerate(plan.runners_up, start=1):
        yield f"rejected replica {number}", other, None
