"""The printed plan: complete, literal, and within the columns there are."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from cuvee.plan.outcome.latency_reading import crowding
from cuvee.plan.outcome.result import Disaggregation, Plan
from cuvee.plan.question.caution import Spread, StressReport, Withstood
from cuvee.plan.question.problem import Objective
from cuvee.plan.solver.program import Termination
from cuvee.report.plan_console import print_plan
from tests.report.plans import (
    MARKUP,
    console_of,
    make_baselines,
    make_plan,
    text_of,
    with_latency_limits,
    with_moves,
    with_phases,
)

WITHSTOOD = Withstood(Spread(1234.5, 0.0123, 0.0), Spread(1.0, 0.5, 0.0), 0.57)
STRESS = StressReport(1000, 12345.6, WITHSTOOD, WITHSTOOD)

APART = Disaggregation(True, 12_345.6, 12_346.0, 123_456_789.0, 123_456_789.0, 9_999.0)

SHAPES = {
    "plain": make_plan(),
    "one group": make_plan(num_groups=1),
    "many groups": make_plan(num_groups=23, num_types=9),
    "49 types": make_plan(num_types=49, num_groups=11),
    "several models": make_plan(num_groups=8, models=("llama-3-8b", "llama-3-70b", "qwen3-235b-a22b")),
    "idle GPUs": make_plan(idle=True),
    "idle GPUs, several models": make_plan(idle=True, models=("llama-3-8b", "llama-3-70b")),
    "spot": make_plan(spot=True),
    "cost": make_plan(objective=Objective.COST),
    "long names": make_plan(type_name="a workload of a very long name " * 3 + "{0}", offers_name="x/" * 90 + "o.csv"),
    "long model": make_plan(models=("m" * 200, "n" * 200)),
    "wide characters": make_plan(type_name="工作负载工作负载工作负载工作负载工作负载{0}"),
    "long notes": make_plan(notes=("left out: 12 x " + "some reason " * 30, "y" * 300)),
    "stress": make_plan(stress=STRESS, spot=True),
    "phases apart": with_phases(make_plan(), APART),
    "phases apart, several models": with_phases(
        make_plan(num_groups=8, models=("llama-3-8b", "qwen3-235b-a22b")), APART
    ),
    "latency": with_latency_limits(make_plan()),
    "latency, 49 types": with_latency_limits(make_plan(num_types=49, num_groups=11)),
    "latency, several models": with_latency_limits(make_plan(num_groups=8, models=("llama-3-8b", "qwen3-235b-a22b"))),
    "latency, nothing left out": with_latency_limits(make_plan(), left_out=0),
    "moves": with_moves(make_plan()),
    "moves, 49 types": with_moves(make_plan(num_types=49, num_groups=11), capacity=0.5),
    "moves, several models": with_moves(make_plan(num_groups=8, models=(MARKUP, "qwen3-235b-a22b"))),
    "moves of least cost": with_moves(make_plan(objective=Objective.COST), capacity=None),
    "nothing to move": with_moves(make_plan(), steps=False),
    "stopped": make_plan(termination=Termination.FEASIBLE, bound=None, gap=None),
    "large numbers": make_plan(rate_req_per_s=123_456_789.0, cost_usd_per_hour=98_765_432.1, num_types=9),
}


def printed(plan: Plan, *, encoding: str = "utf-8", width: int = 100) -> str:
    console = console_of(encoding, width)
    print_plan(plan, make_baselines(plan), console)
    return text_of(console)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [100, 80, 60])
@pytest.mark.parametrize("plan", SHAPES.values(), ids=SHAPES)
def test_every_line_fits_and_nothing_is_cut(plan, width, encoding):
    """No line is wider than the console, and no cell ends in an ellipsis, whatever the plan's shape."""
    if plan is SHAPES["wide characters"]:
        encoding = "utf-8"
    text = printed(plan, width=width, encoding=encoding)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", [100, 80, 60])
@pytest.mark.parametrize("plan", SHAPES.values(), ids=SHAPES)
def test_every_number_of_a_group_stands_on_its_line(plan, width):
    """Copies, rate and cost of each group survive any width, unbroken."""
    lines = printed(plan, width=width).splitlines()
    for group in plan.groups:
        assert any(
            re.match(rf"\s*✓\s+{group.id}\s", line) and re.search(r"\b12\s+1,23[45]\s+1332\.00\b", line)
            for line in lines
        ), group.id


def test_the_decision_table_ticks_what_is_chosen_and_leaves_the_runners_up_without():
    """A tick per group; rejected replicas stand below, with what they earn."""
    lines = printed(make_plan()).splitlines()
    ticked = [line for line in lines if re.match(r"\s*✓\s+g\d", line)]
    rejected = [line for line in lines if "as good" in line or "97.8%" in line]
    assert len(ticked) == 3
    assert len(rejected) == 2
    assert not any("✓" in line for line in rejected)
    assert lines.index(ticked[-1]) < lines.index(rejected[0])


def test_a_row_has_replica_parallelism_and_shares():
    """GPU and count, TP x PP with layers where uneven, and a glyph per workload type."""
    text = printed(make_plan())
    assert re.search(r"g1 +4x H100-SXM +TP4 .* 100% +\S{4}\s", text)
    assert re.search(r"g2 +3x A40 +TP1 PP3 \[2x27,26\]", text)


@pytest.mark.parametrize(
    ("share", "glyph", "plain"), [(0.0, "·", "."), (1e-6, "▁", "1"), (0.5, "▄", "4"), (1.0, "█", "9")]
)
def test_a_share_above_zero_is_never_blank(share, glyph, plain):
    """The smallest share shows, none does not; both without Unicode as well."""
    from cuvee.report.style import share_glyph

    assert share_glyph(share, console_of()) == glyph
    assert share_glyph(share, console_of("ascii")) == plain


def test_the_heat_table_shows_every_share():
    """Each workload type has its row with every group's percentage; a trace of a share reads "<1"."""
    text = printed(make_plan())
    row = next(line for line in text.splitlines() if re.match(r" w1 ", line))
    assert row.split()[-3:] == ["100", "<1", "·"]
    assert sum(bool(re.match(r" w\d", line)) for line in text.splitlines()) == 4


def test_many_groups_get_several_heat_tables():
    """No group is left out where they do not fit side by side."""
    text = printed(SHAPES["many groups"])
    headers = " ".join(line for line in text.splitlines() if "workload" in line and "demand" in line)
    assert set(re.findall(r"g\d+", headers)) == {f"g{number}" for number in range(1, 24)}


def test_the_verdict_says_rate_money_tokens_and_the_best_single_type():
    """One line for the plan; the single type within stock and the one beyond it follow."""
    text = printed(make_plan())
    assert "✓ 12.50 req/s · 24.00 $/h of 30.00 · $" in text
    assert "per 1M tokens (in / out / blended)" in text
    assert "+25.0% throughput against the best of one GPU type (only A40: 10.00 req/s)" in text
    assert "a fleet of one type would win if it were in stock" in text


def test_a_least_cost_plan_is_judged_by_its_cost():
    """With objective cost, less money is the gain."""
    assert "-20.0% cost against the best of one GPU type (only A40: 30.00 $/h)" in printed(SHAPES["cost"])


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (SHAPES["plain"], "optimal for these rates, proven to 1e-04: no plan beats 12.5000 req/s (gap 0.0e+00)"),
        (SHAPES["stopped"], "feasible, ended before it was proven optimal: gap not proven"),
        (SHAPES["cost"], "no plan beats 24.0000 $/h"),
    ],
)
def test_the_proof_says_termination_bound_and_gap(plan, words):
    """A reader sees how sure the plan is."""
    assert words in printed(plan)


def test_the_legend_explains_the_arithmetic_and_the_sources_of_the_rates():
    """Rates are counted by provider; every sign is explained."""
    text = printed(make_plan())
    assert "rates: 4 measured, 4 calibrated, 4 estimated; with error band" in text
    for words in ("$/h = copies x GPUs x price", "busy = sum of", "layers of the pipeline stages", "output:input"):
        assert words in text


@pytest.mark.parametrize(("as_of", "words"), [("2026-01-02", "prices of 2026-01-02"), ("", "prices without a date")])
def test_prices_always_say_their_date(as_of, words):
    """Or that they have none."""
    assert words in printed(make_plan(as_of=as_of))


def test_idle_gpus_and_spot_are_named():
    """Money for GPUs nobody uses has its row; a group on spot offers says so."""
    assert re.search(r"3 idle of 2 x seller .*  3\.00", printed(make_plan(idle=True)))
    assert "4x H100-SXM spot" in printed(make_plan(spot=True))


def test_a_plan_over_several_sellers_says_where_to_rent():
    """Each group names its offers and the date of their prices; with one seller in one place there is no choice."""
    plan = make_plan()
    assert "g1 rents 48 GPUs of seller H100 (prices of 2026-01-01)" in printed(plan)
    one = replace(plan.inputs.problem.offers, offers=plan.inputs.problem.offers.offers[:1])
    problem = replace(plan.inputs.problem, offers=one)
    assert "rents" not in printed(replace(plan, inputs=replace(plan.inputs, problem=problem)))


def test_names_are_printed_as_they_are():
    """Names that look like rich markup or emoji are text."""
    plan = make_plan(
        models=(MARKUP, ":smile:"), type_name=MARKUP + "{0}", offers_name="[/]", notes=("[red]n[/]", "[/]")
    )
    text = printed(plan)
    for name in (MARKUP, ":smile:", MARKUP + "100", "[/] (prices", "[red]n[/]"):
        assert name in text


@pytest.mark.parametrize("width", [100, 60])
def test_names_cannot_move_the_cursor(width):
    """Escape sequences and line breaks of a file do not reach the terminal."""
    evil = "a\x1b[2Jb\nc\rd\x9be"
    text = printed(
        make_plan(models=(evil, "other"), type_name=evil + "{0}", offers_name=evil, notes=(evil,), idle=True),
        width=width,
    )
    assert not set(text) & {"\x1b", "\r", "\x9b"}
    assert "a?[2Jb?c?d?e" in text


def test_without_unicode_everything_is_ascii():
    """Ticks, rules, frames and glyphs have their plain form."""
    text = printed(SHAPES["idle GPUs"], encoding="ascii")
    assert text.isascii()
    assert re.search(r"^\|\+ \| g1", text, re.MULTILINE)


@pytest.mark.parametrize("width", [100, 60])
def test_without_a_plan_the_reason_is_printed(width):
    """An infeasible plan is a heading and its message, nothing else."""
    plan = make_plan(termination=Termination.INFEASIBLE, message="the budget is too [bold]small", groups=())
    text = printed(plan, width=width)
    assert "infeasible: the budget is too [bold]small" in text
    assert "2026-01-02" in text
    assert "w1" not in text


def test_the_stress_panel_has_every_figure():
    """Mean, 5th percentile and worst of rate and served share of both gateways, and what was drawn, spot included."""
    text = printed(SHAPES["stress"])
    assert "Under 1,000 draws of errors and losses (seed 0)" in text
    assert re.search(r"re-balances\s+1,234\s+0\.0123\s+0\s+100\.0%\s+50\.0%\s+0\.0%\s+57%", text)
    assert re.search(r"keeps shares\s+1,234\s", text)
    assert "each spot offer is taken back in 10.0%" in re.sub(r"\s+", " ", text)
    assert "each spot offer" not in printed(make_plan(stress=STRESS))


def test_latency_stands_against_its_limit():
    """The longest of any group that serves the type, the limit, and how much of it is used."""
    text = printed(with_latency_limits(make_plan()))
    assert "(p95, calibrated, estimated, measured)" in text
    assert re.search(r"in100-out10 +0\.45 s of 0\.5 s +20 ms of 50 ms +12300 s +90%", text)
    assert re.search(r"A40 +25 +25 +25 +25 +TTFT by 50%", text)
    assert (
        "60 of 340 pairs of replica and workload are left out; the JSON of the plan lists the nearest 12"
        in " ".join(text.split())
    )


def test_replicas_that_several_types_crowd_are_named():
    """12.5 req/s on 4 replicas that saturate at 5 load them to 62 %; each type alone may load them to 2.5 / 5.

    Tempting: 12.5 / (4 x 2.5), busier than all the time; but a limit is no saturation.
    """
    plan = with_latency_limits(make_plan(num_groups=1, num_types=4))
    crowded = replace(plan, groups=(replace(plan.groups[0], copies=4),))
    found = crowding(crowded)
    assert [each.workload for each in found] == [row.workload for row in plan.assignment]
    for each in found:
        assert (each.group, each.own_share) == ("g1", 0.5)
        assert each.busy_share == pytest.approx(0.625)
    words = " ".join(printed(crowded).split())
    assert "g1 is loaded to 62% by all it serves; in100-out10 alone keeps its limits up to 50%" in words
    assert "the same holds for 1 more of group and workload" in words
    assert not crowding(plan)  # twelve replicas are loaded to a fifth


def test_nothing_left_out_is_said():
    """One line in place of a table."""
    text = printed(with_latency_limits(make_plan(), left_out=0))
    assert "every one of 100 pairs of replica and workload is within the limits when idle" in " ".join(text.split())
    assert "Left out" not in text


def test_without_limits_there_is_no_word_on_latency():
    """Neither table nor line."""
    text = printed(make_plan())
    assert "Latency" not in text
    assert "left out" not in text


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Disaggregation(True, 10.0, 10.001, 10.73, 10.731, 0.073), "+7.3% throughput against the best plan of whole"),
        (Disaggregation(True, None, None, 10.0, 10.0, None), "whole replicas alone serve nothing"),
        (Disaggregation(False, 10.0, 10.001, None, 10.0005, None), "does not pay; no such plan beats 10.0005 req/s"),
        (Disaggregation(False, 10.0, 10.001, None, 12.0, None), "no better plan was found; no such plan beats 12.0000"),
        (Disaggregation(False, 10.0, 11.0, 10.5, 11.5, 0.05), "not taken: +5.0% throughput is no more than"),
        (Disaggregation(False, 10.0, 10.0, None, None, None), "not searched to a result"),
    ],
)
def test_what_the_phases_apart_bring_is_said(record, words):
    """By how much they win, that they do not pay, or that this is not known."""
    assert words in printed(with_phases(make_plan(), record))


def test_phases_that_were_not_asked_for_are_not_mentioned():
    """The word "prefill" is for those who allowed it."""
    assert "prefill" not in printed(make_plan())


def flat(plan: Plan) -> str:
    """What is printed, in one line."""
    return " ".join(printed(plan).split())


def test_moves_are_told():
    """Each step with its number, what it moves, how long, at what price, and at what capacity."""
    text = flat(SHAPES["moves"])
    assert "1 add 1 g1 6.4 12345.60 100% 2 shift the shares of 4 workload types 38.62 100%" in text
    assert "3 drain 2 o1 2.0 38.62 100% 4 remove 2 o1 29.89 100%" in text
    assert "moves cost 2.82 $ (2.13 starts, 0.69 drains): 0.47 $/h over 6 h" in text
    assert "they take 8.4 minutes, 8.4 of them above the budget; at most 12345.60 $/h are paid at once" in text
    assert "capacity never falls below what is needed, 12,650 req/s" in text
    assert "doing nothing: 0.00 req/s for 29.89 $/h, 98.1% of the demand" in text
    assert "if moves cost nothing: 13.80 req/s for 29.96 $/h; the moves to it cost 1.22 $" in text
    assert "o1 100, g1 <1" in text
    assert f"{MARKUP} other, not asked for" in text


def test_a_dip_is_told_with_its_step():
    """The first step with the lowest capacity is named, and what is not known of the order is said."""
    text = flat(SHAPES["moves, 49 types"])
    assert "step 1 leaves 50% of the 12,650 req/s that are needed" in text
    assert "another order may dip less" in text
    assert "37 more see --json" in text


def test_nothing_to_move_is_told():
    """Without steps there is no table, but what doing nothing comes to."""
    text = flat(SHAPES["nothing to move"])
    assert "Nothing to move: what runs now is what the plan rents." in text
    assert "moves cost 0" not in text
    assert "doing nothing:" in text
