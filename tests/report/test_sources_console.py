"""What the printed plan says of its rates and prices: provider, source, date and error band of every group."""

from dataclasses import replace

import pytest

from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import Plan
from cuvee.profile.table import NOT_STATED, Provenance, RateSource
from cuvee.report.plan_console import print_plan
from cuvee.report.sources_console import price_line, rate_lines, rate_lines_of_several
from tests.report.plans import console_of, make_plan, text_of

RUN = RateSource(Provenance.MEASURED, "our run", "2026-09-30")
FIT = RateSource(Provenance.CALIBRATED, "points.csv: constants fitted to 5 measured points", "2026-11-01")
MODEL = RateSource(Provenance.ESTIMATED, "roofline with the constants of vllm-0.11", "2026-11-22")


def plan_with(*rates: tuple[RateSource, float | None]) -> Plan:
    """Three groups of four types each; rate after rate as given, over and over."""
    plan = make_plan()
    sources = tuple(dict.fromkeys(source for source, _ in rates))

    def said(cell: Cell, number: int) -> Cell:
        source, band = rates[number % len(rates)]
        return replace(cell, provenance=source.provider, relative_error=band, source=sources.index(source))

    groups = tuple(
        replace(group, cells=tuple(said(cell, 4 * row + place) for place, cell in enumerate(group.cells)))
        for row, group in enumerate(plan.groups)
    )
    return replace(plan, groups=groups, inputs=replace(plan.inputs, rate_sources=sources))


def test_groups_alike_share_a_line():
    """All three are estimated: one line for them, one for the source with the date of its constants."""
    assert list(rate_lines(plan_with((MODEL, 0.35)))) == [
        "rates: 12 estimated; with error band and source by group:",
        "g1, g2, g3: estimated +-35% [a]",
        "[a] estimated, constants of 2026-11-22: roofline with the constants of vllm-0.11",
    ]


def test_a_group_whose_types_come_from_several_providers_says_so():
    """Each provider with its number of types, its band and its source. Tempting: one word for the group."""
    lines = list(rate_lines(plan_with((RUN, 0.05), (MODEL, 0.35), (MODEL, 0.7), (FIT, 0.1))))
    assert lines[1:] == [
        "g1, g2, g3: 1 measured +-5% [b], 1 calibrated +-10% [c], 2 estimated +-35% to +-70% [a]",
        "[a] estimated, constants of 2026-11-22: roofline with the constants of vllm-0.11",
        "[b] measured, 2026-09-30: our run",
        "[c] calibrated, fit of 2026-11-01: points.csv: constants fitted to 5 measured points",
    ]


def test_a_band_that_is_not_known_is_no_accuracy():
    """It is said that no public figures cover it; beside known ones the number of types without is told."""
    assert "g1, g2, g3: estimated (no public figures to check against) [a]" in rate_lines(plan_with((MODEL, None)))
    mixed = rate_lines(plan_with((MODEL, 0.35), (MODEL, None)))
    assert "g1, g2, g3: estimated +-35% (2 without: no public figures to check against) [a]" in mixed


def test_a_measurement_without_a_date_says_so():
    """A blank would pass for something known."""
    lines = list(rate_lines(plan_with((replace(RUN, date=NOT_STATED), 0.05))))
    assert lines[-1] == "[a] measured, a date not stated: our run"


def test_many_sources_stay_few_lines():
    """Twelve runs: four are listed, the rest counted, in the group's line as well."""
    runs = [(replace(RUN, source=f"run {number}"), 0.05) for number in range(12)]
    lines = list(rate_lines(plan_with(*runs)))
    assert lines[1:3] == ["g1: measured +-5% [a b c d]", "g2, g3: measured +-5% [+4]"]
    assert len(lines) == 1 + 2 + 4 + 1
    assert lines[-1] == "and 8 more sources of rates, which --json lists"


def test_plans_side_by_side_tell_their_replicas():
    """A day or a frontier has plans whose groups share no names: GPUs stand for them, each kind once."""
    plans = [plan_with((MODEL, 0.35)), plan_with((RUN, 0.05))]
    names = "4x H100-SXM TP4, 3x A40 TP1 PP3 [2x27,26], 2x A100-80GB-SXM + 2x RTXPRO6000-Server TP2|TP2"
    assert list(rate_lines_of_several(plans)) == [
        f"rates of {names}: estimated +-35% [a]",
        f"rates of {names}: measured +-5% [b]",
        "[a] estimated, constants of 2026-11-22: roofline with the constants of vllm-0.11",
        "[b] measured, 2026-09-30: our run",
    ]


def test_a_plan_of_an_older_file_says_what_it_knows():
    """Providers and bands; its sources without a date, where it names some."""
    plan = make_plan()
    named = replace(plan.inputs, rate_sources=(), throughput_sources=("estimated: a model", "measured: a run"))
    lines = list(rate_lines(replace(plan, inputs=named)))
    assert "[a] estimated, constants of a date not stated: a model" in lines


@pytest.mark.parametrize("date", ["2026-01-01", ""])
def test_prices_name_seller_and_date(date):
    """Or that the date is not stated."""
    plan = make_plan()
    offers = tuple(replace(offer, as_of=date) for offer in plan.inputs.problem.offers.offers)
    problem = replace(plan.inputs.problem, offers=replace(plan.inputs.problem.offers, offers=offers))
    plan = replace(plan, inputs=replace(plan.inputs, problem=problem))
    assert price_line(plan) == f"prices: seller of {date or 'a date not stated'}"


@pytest.mark.parametrize("width", [80, 120])
def test_all_of_it_is_printed(width):
    """The plan as printed has every line of it, folded where the terminal is narrow."""
    plan = plan_with((RUN, 0.05), (MODEL, None))
    console = console_of(width=width)
    print_plan(plan, [], console)
    text = " ".join(text_of(console).split())
    for line in (*rate_lines(plan), price_line(plan)):
        assert line in text
