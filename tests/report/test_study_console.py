"""The printed study on narrow terminals, and what its headline says of errors."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from cuvee.profile.table import NOT_STATED, Provenance, RateSource
from cuvee.report.study_console import print_study
from tests.study.test_study import OLD_AND_NEW
from tests.study.tiny import tiny_study


def printed(study, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_study([study], console, latencies=True, configurations=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def costly(study):
    """`study` with figures of six digits: 3333 times the money."""
    offers = {entry.offer for entry in study.entries}
    dear = {each: replace(each, price_usd_per_hour=each.price_usd_per_hour * 3333) for each in offers}
    return replace(study, entries=tuple(replace(each, offer=dear[each.offer]) for each in study.entries))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_number_is_split_over_lines(width):
    """A row of latencies begins with a GPU type, never with the last digits of the number above."""
    tables = printed(costly(tiny_study()), width).split("latency at")[1:]
    assert tables
    for table in tables:
        rows = table.partition("── \n")[2].splitlines()
        rows = rows[: next((at for at, row in enumerate(rows) if not row.strip()), len(rows))]
        assert rows
        assert {row.split()[0] for row in rows} <= {"A40", "H100-SXM"}


def with_errors(study, provider, *errors):
    """`study` with these errors, the last for all that follow, of rates of `provider`."""
    source = RateSource(provider, "a test", "2026-10-01")
    known = [*errors, *(errors[-1] for _ in study.entries)]
    entries = (
        replace(each, relative_error=error, rate_source=source)
        for each, error in zip(study.entries, known, strict=False)
    )
    return replace(study, entries=tuple(entries))


def test_the_headline_has_the_range_of_bands():
    """Cells of 70 % are no cells of 35 %. Tempting: the band of the engine alone."""
    mixed = with_errors(tiny_study(), Provenance.ESTIMATED, 0.7, 0.35)
    assert "estimates +-35% to +-70% on " in " ".join(printed(mixed).split())
    alike = with_errors(tiny_study(), Provenance.ESTIMATED, 0.35)
    assert "estimates +-35% on " in " ".join(printed(alike).split())


def test_measured_rates_are_no_estimates():
    """They are named with their number, error, source and date. Tempting: one range over them and the estimates."""
    text = " ".join(printed(tiny_study()).split())
    assert "vllm-0.11, no estimates measured: 6 of 6 rates, on A40, H100-SXM, +-5%: by hand, 2026-01-01" in text
    measured, estimated = tiny_study(), with_errors(tiny_study(), Provenance.ESTIMATED, 0.35)
    both = replace(measured, entries=(*measured.entries[:1], *estimated.entries[1:]))
    text = " ".join(printed(both).split())
    assert "estimates +-35% on A40, H100-SXM, unknown elsewhere measured: 1 of 6 rates, on A40, +-5%" in text
    undated = with_errors(tiny_study(), Provenance.MEASURED, math.inf)
    source = RateSource(Provenance.MEASURED, "a test", NOT_STATED)
    undated = replace(undated, entries=tuple(replace(each, rate_source=source) for each in undated.entries))
    assert "H100-SXM, no error stated: a test, date not stated" in " ".join(printed(undated).split())


def test_every_price_has_its_date():
    """Each leader and each listing used says of when it is, and the headline has their range."""
    text = printed(tiny_study(offers=OLD_AND_NEW))
    assert "prices of 2025 to 2026" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["A40", "0.50", "1", "this", "year", "2026"] in rows
    assert ["H100-SXM", "2.00", "1,", "2", "last", "year", ">=2025-12"] in rows
    assert next(row for row in rows if row[:1] == ["200/200"] and "A40" in row)[1:4] == ["A40", "TP1", "2026"]
    assert "cheapest at prices of 2026, which not every GPU type has: A40 for 2" in " ".join(text.split())
