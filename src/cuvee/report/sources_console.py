"""What the printed plan says of where its rates and prices come from."""

from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.table import NOT_STATED, Provenance, RateSource

NO_FIGURES = "no public figures to check against"
"""What stands in place of a band that is not known."""

MOST_SOURCES = 4
"""Sources of rates listed [-]; the plan file has them all."""

MOST_LINES = 6
"""Kinds of groups listed [-], by where their rates come from."""

MOST_NAMES = 6
"""Replicas named that stand on the same [-]."""

MOST_SELLERS = 6

LONGEST_SOURCE = 140
"""Characters of a source; the plan file has all of it."""

OF = {
    Provenance.MEASURED: "measured,",
    Provenance.CALIBRATED: "calibrated, fit of",
    Provenance.KERNEL_TABLES: "kernel tables, read",
    Provenance.ESTIMATED: "estimated, constants of",
}
"""What the date of a source is that of."""


def rate_lines(plan: Plan) -> Iterator[str]:
    """Provider, error band and source of the rates of each group, groups alike on one line; then sources with dates."""
    cells = [cell for group in plan.groups for cell in group.cells]
    counts = {kind: sum(cell.provenance is kind for cell in cells) for kind in Provenance}
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    yield f"rates: {kinds}; with error band and source by group:"
    sources = _sources([plan])
    alike: dict[str, list[str]] = {}
    for group in plan.groups:
        alike.setdefault(_told(group, plan, sources), []).append(group.id)
    for said, names in list(alike.items())[:MOST_LINES]:
        yield f"{', '.join(names)}: {said}"
    if len(alike) > MOST_LINES:
        yield f"and {len(alike) - MOST_LINES} more kinds of groups, which --json lists"
    yield from _source_lines(sources)


def rate_lines_of_several(plans: Sequence[Plan]) -> Iterator[str]:
    """The same of plans side by side, whose groups are told by what they are."""
    sources = _sources(plans)
    alike: dict[str, dict[str, None]] = {}
    for plan in plans:
        for group in plan.groups:
            alike.setdefault(_told(group, plan, sources), {})[f"{group.config.gpu_label} {plan.deployed(group)}"] = None
    for said, names in list(alike.items())[:MOST_LINES]:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield f"rates of {', '.join(list(names)[:MOST_NAMES])}{more}: {said}"
    if len(alike) > MOST_LINES:
        yield f"and {len(alike) - MOST_LINES} more kinds of replicas, which --json lists"
    yield from _source_lines(sources)


def _source_lines(sources: Sequence[RateSource]) -> Iterator[str]:
    """The first few sources with their marks and dates."""
    for mark, source in zip(ascii_lowercase, sources[:MOST_SOURCES], strict=False):
        yield f"[{mark}] {_when(source)}: {_shortened(source.source)}"
    if len(sources) > MOST_SOURCES:
        yield f"and {len(sources) - MOST_SOURCES} more sources of rates, which --json lists"


def price_line(plan: Plan) -> str:
    """Who asks the prices of what is rented, and when that was read."""
    offers = plan.inputs.problem.offers.offers
    dates: dict[str, list[str]] = {}
    for group in plan.groups:
        for part in group.rented:
            dates.setdefault(part.seller, []).append(offers[part.offer].as_of or "a date not stated")
    told = [f"{seller} of {' and '.join(dict.fromkeys(sorted(found)))}" for seller, found in dates.items()]
    more = f" and {len(told) - MOST_SELLERS} more" if len(told) > MOST_SELLERS else ""
    return f"prices: {', '.join(told[:MOST_SELLERS])}{more}"


def _sources(plans: Sequence[Plan]) -> list[RateSource]:
    """Sources of the groups' rates, those of most rates first; of older plan files what they say of each provider."""
    counts: Counter[RateSource] = Counter()
    for plan in plans:
        found = (plan.inputs.source_of(cell) for group in plan.groups for cell in group.cells)
        counts.update(source for source in found if source is not None)
    if counts:
        return [source for source, _ in counts.most_common()]
    lines = (line.partition(": ") for plan in plans for line in dict.fromkeys(plan.inputs.throughput_sources))
    return [RateSource(Provenance(kind), text, NOT_STATED) for kind, _, text in lines if kind in list(Provenance)]


def _told(group: Group, plan: Plan, sources: Sequence[RateSource]) -> str:
    """Of each provider how many rates, their band, and the marks of their sources."""
    parts = []
    for kind in Provenance:
        mine = [cell for cell in group.cells if cell.provenance is kind]
        if not mine:
            continue
        count = f"{len(mine)} " if len(mine) < len(group.cells) else ""
        parts.append(f"{count}{kind} {_band(mine)}{_marks(mine, plan, sources)}")
    return ", ".join(parts)


def _band(cells: Sequence[Cell]) -> str:
    known = sorted({cell.relative_error for cell in cells if cell.relative_error is not None})
    unknown = sum(cell.relative_error is None for cell in cells)
    if not known:
        return f"({NO_FIGURES})"
    band = f"+-{known[0]:.0%}" + (f" to +-{known[-1]:.0%}" if len(known) > 1 else "")
    return band + (f" ({unknown} without: {NO_FIGURES})" if unknown else "")


def _marks(cells: Sequence[Cell], plan: Plan, sources: Sequence[RateSource]) -> str:
    """Letters of the sources of some cells, those that are listed."""
    used = {plan.inputs.source_of(cell) for cell in cells}
    provider = cells[0].provenance
    listed = list(zip(ascii_lowercase, sources[:MOST_SOURCES], strict=False))
    marks = [mark for mark, source in listed if source in used or (used == {None} and source.provider is provider)]
    more = len(used - {None}) - len(marks)
    inside = " ".join([*marks, *([f"+{more}"] if more > 0 else [])])
    return f" [{inside}]" if inside else ""


def _when(source: RateSource) -> str:
    return f"{OF[source.provider]} {'a date not stated' if source.date == NOT_STATED else source.date}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SOURCE else f"{text[:LONGEST_SOURCE].rpartition(' ')[0]} ..."
