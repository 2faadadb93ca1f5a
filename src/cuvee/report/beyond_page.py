"""The evaluation beyond the paper as one self-contained page."""

from collections.abc import Sequence

from cuvee._version import __version__
from cuvee.evaluate.beyond import Beyond
from cuvee.evaluate.fortnight import Fortnight
from cuvee.evaluate.market import MarketResult
from cuvee.report.beyond_console import tables
from cuvee.report.chart_page import chart, chart_page
from cuvee.report.html import Markup, joined, select, table, tag
from cuvee.report.study_figures import PALETTE, Figure

TITLE = "Beyond the paper: this year's market, latency limits, fourteen days"
MARGIN = {"l": 20, "r": 10, "t": 20, "b": 40}


def beyond_page(found: Beyond) -> str:
    """The page.

    Raises      MissingExtraError: plotly is not installed.
    """
    sections = [
        tag("section", tag("h2", title), tag("p", about), table(columns, rows, caption=title))
        for title, columns, rows, about in tables(found)
    ]
    figures, charts = _charts(found)
    footer = tag("footer", tag("p", f"cuvée {__version__}. Rebuild: cuvee evaluate beyond --html FILE"))
    body = joined([tag("header", tag("h1", TITLE)), tag("main", *charts, *sections), footer])
    return chart_page(TITLE, body, figures, what="the page of an evaluation")


def _charts(found: Beyond) -> tuple[dict[str, dict[str, Figure]], list[Markup]]:
    """Figures by kind and choice, and their places."""
    figures: dict[str, dict[str, Figure]] = {}
    charts = []
    if found.market:
        models = list(dict.fromkeys(f"{each.model}, GPUs: {each.maker}" for each in found.market))
        figures["market"] = {
            str(index): _rates([each for each in found.market if f"{each.model}, GPUs: {each.maker}" == model])
            for index, model in enumerate(models)
        }
        choice = tag("div", select("model", "model", models), class_="controls")
        charts.append(tag("section", tag("h2", "Requests per second, played"), choice, chart("market", "model")))
    days = found.fortnight
    if days is not None:
        ways = [each for each in days.held if each.capacity_req_per_s]
        figures["days"] = {
            str(index): _demand(days, each.capacity_req_per_s, each.way) for index, each in enumerate(ways)
        }
        choice = tag("div", select("way", "way of renting", [each.way for each in ways]), class_="controls")
        charts.append(tag("section", tag("h2", "Demand and capacity"), choice, chart("days", "way", wide=True)))
    return figures, charts


def _rates(results: Sequence[MarketResult]) -> Figure:
    """Bars of requests per second, mix by mix."""
    titles = ("our plan", "best single type", "greedy")
    data = []
    for index, (title, colour) in enumerate(zip(titles, PALETTE, strict=False)):
        ways = [each.outcomes[index] for each in results if index < len(each.outcomes)]
        mixes = [each.mix for each in results if index < len(each.outcomes)]
        rates = [float(f"{way.played_req_per_s:.4g}") for way in ways]
        names = [way.name for way in ways]
        data.append({"type": "bar", "name": title, "x": mixes, "y": rates, "text": names, "marker": {"color": colour}})
    layout = {
        "height": 380, "margin": MARGIN, "barmode": "group", "yaxis": {"title": {"text": "requests per second"}},
        "xaxis": {"type": "category"}, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _demand(days: Fortnight, capacity_req_per_s: Sequence[float], way: str) -> Figure:
    """Demand of each hour, and what the fleet of a way sustains."""
    hours = list(range(len(days.demand_req_per_s)))
    lines = (("demand", days.demand_req_per_s), (way, capacity_req_per_s))
    data = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": hours, "line": {"color": colour, "shape": "hv"},
            "y": [float(f"{value:.4g}") for value in values],
        }
        for (name, values), colour in zip(lines, PALETTE, strict=False)
    ]  # fmt: skip
    layout = {
        "height": 380, "margin": MARGIN, "xaxis": {"title": {"text": "hours"}},
        "yaxis": {"title": {"text": "requests per second"}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}
