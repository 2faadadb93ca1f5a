"""The evaluation as one self-contained page: gains, the paper's figures beside ours, latencies, makespans."""

from collections.abc import Iterator, Sequence

from cuvee._version import __version__
from cuvee.evaluate.paper import PAPER, claims
from cuvee.evaluate.records import PERCENTILES, SettingResult
from cuvee.evaluate.summary import WIDE_ERROR, gains, latency_rows, predictions
from cuvee.report.chart_page import chart, chart_page, section
from cuvee.report.evaluation_console import (
    CLAIM_COLUMNS,
    GAIN_COLUMNS,
    claim_cells,
    gain_cells,
    legend,
    parts,
    percent,
)
from cuvee.report.evaluation_figures import evaluation_figures
from cuvee.report.html import Markup, joined, select, table, tag

TITLE = "What planning a fleet is worth"

ABOUT_GAINS = (
    "Each point is a setting: requests per second of our plan over those of another way of choosing a fleet, both "
    "played in the simulator on the same burst. Left of the dotted line the other way serves more."
)
ABOUT_LATENCIES = (
    "Mean over the settings in which the other fleet keeps up, at the same rate of arrival for all. Below zero our "
    "plan answers later: it rents for most requests per dollar, not for the shortest answer."
)
ABOUT_MAKESPANS = "Each point is a fleet. On the dotted line the plan foretold the time that the burst took."


def evaluation_page(results: Sequence[SettingResult], num_asked: int) -> str:
    """The page of `results`, at least one.

    Raises      MissingExtraError: plotly is not installed.
    """
    found = parts(results)
    choice = select("part", "models and requests", [f"{title} ({len(group)})" for title, group in found])
    count = f"{len(results)} of {num_asked} settings. {PAPER}"
    body = joined(
        [
            tag("header", tag("h1", TITLE), tag("p", count, class_="faint")),
            tag("main", _beside_the_paper(results), tag("div", choice, class_="controls all"), *_charts(found)),
            tag("footer", tag("p", f"cuvée {__version__}. Rebuild: cuvee evaluate paper --html FILE")),
        ]
    )
    figures = evaluation_figures([group for _, group in found])
    return chart_page(TITLE, body, figures, what="the page of an evaluation")


def _beside_the_paper(results: Sequence[SettingResult]) -> Markup:
    rows = [claim_cells(each) for each in claims(results)]
    if not rows:
        return Markup("")
    return tag("section", tag("h2", "Beside the paper"), table(CLAIM_COLUMNS, rows, caption=PAPER))


def _charts(found: Sequence[tuple[str, Sequence[SettingResult]]]) -> Iterator[Markup]:
    yield section("Gains", ABOUT_GAINS, [], chart("gains", "part"), joined(_gain_tables(found)))
    yield section("Setting by setting", "Requests per second of a burst.", [], chart("rates", "part", wide=True))
    yield section("Latency", ABOUT_LATENCIES, [], chart("latencies", "part"), joined(_latency_tables(found)))
    yield section("Makespans", ABOUT_MAKESPANS, [], chart("makespans", "part"), joined(_prediction_tables(found)))


def _gain_tables(found: Sequence[tuple[str, Sequence[SettingResult]]]) -> Iterator[Markup]:
    for title, group in found:
        rows = list(gains(group))
        yield table(GAIN_COLUMNS, [gain_cells(each) for each in rows], caption=title)
        lost = [f"{each.name}: {', '.join(each.not_won)}" for each in rows if each.not_won]
        yield tag("p", f"Not won. {'; '.join(lost) or 'None.'}", class_="note")
    yield tag("ul", *(tag("li", line) for line in legend()))


def _latency_tables(found: Sequence[tuple[str, Sequence[SettingResult]]]) -> Iterator[Markup]:
    header = ["over", *(f"p{each}" for each in PERCENTILES)]
    for title, group in found:
        rows = [[name, *map(percent, values)] for name, values in latency_rows(group)]
        yield table(header, rows, caption=f"{title}: end-to-end time saved")


def _prediction_tables(found: Sequence[tuple[str, Sequence[SettingResult]]]) -> Iterator[Markup]:
    header = ["fleets", "number", "mean error", "mean size", "p90", f"off by more than {WIDE_ERROR:.0%}"]
    for title, group in found:
        rows = [
            [each.name, str(each.num_fleets), f"{each.mean:+.1%}", f"{each.absolute:.1%}", f"{each.p90:.1%}",
             f"{each.share_wide:.0%}"]
            for each in predictions(group)
        ]  # fmt: skip
        yield table(header, rows, caption=title)
