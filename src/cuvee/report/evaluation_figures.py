"""The charts of the evaluation's page as Plotly figures."""

from collections.abc import Callable, Mapping, Sequence

from cuvee.evaluate.records import PERCENTILES, Outcome, SettingResult
from cuvee.evaluate.summary import gains, latency_rows
from cuvee.evaluate.ways import OURS, Family
from cuvee.report.study_figures import PALETTE, ROW_PX, Figure, shown

DASHES = ("solid", "dash", "dot")
MARGIN = {"l": 20, "r": 10, "t": 20, "b": 40}

KINDS: Mapping[str, Callable[[Outcome], bool]] = {
    "our plans": lambda each: each.name == OURS,
    "one GPU type": lambda each: each.family in (Family.SINGLE, Family.SINGLE_UNLIMITED),
    "other ways": lambda each: each.name != OURS and each.family not in (Family.SINGLE, Family.SINGLE_UNLIMITED),
}
"""What the points of the scatter are coloured by."""


def evaluation_figures(parts: Sequence[Sequence[SettingResult]]) -> dict[str, dict[str, Figure]]:
    """Every chart by its kind and by the part of the results, a number from 0."""
    return {
        "gains": {str(index): gain_points(part) for index, part in enumerate(parts)},
        "makespans": {str(index): makespan_points(part) for index, part in enumerate(parts)},
        "latencies": {str(index): latency_lines(part) for index, part in enumerate(parts)},
        "rates": {str(index): rate_bars(part) for index, part in enumerate(parts)},
    }


def gain_points(results: Sequence[SettingResult]) -> Figure:
    """A row for each way: times as many requests as it, a point for each setting and one for the mean."""
    found = list(reversed(gains(results)))
    data: list[Figure] = []
    x = [_rounded(1 + value) for each in found for value in each.values]
    y = [shown(each.name) for each in found for _ in each.values]
    data.append(
        {
            "type": "scatter", "mode": "markers", "name": "settings", "x": x, "y": y,
            "marker": {"color": PALETTE[0], "size": 6, "opacity": 0.5},
            "hovertemplate": "%{x:.2f} times<extra>%{y}</extra>",
        }
    )  # fmt: skip
    data.append(
        {
            "type": "scatter", "mode": "markers", "name": "mean", "x": [_rounded(1 + each.played) for each in found],
            "y": [shown(each.name) for each in found],
            "marker": {"color": PALETTE[1], "size": 10, "symbol": "diamond"},
            "hovertemplate": "mean %{x:.2f} times<extra>%{y}</extra>",
        }
    )  # fmt: skip
    even = {"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 1, "dash": "dot"}}
    layout = {
        "height": ROW_PX * 0.8 * len(found) + 90, "margin": MARGIN, "shapes": [even],
        "xaxis": _axis("requests per second of our plan over theirs, as played", type="log"),
        "yaxis": {"automargin": True, "fixedrange": True, "type": "category"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def makespan_points(results: Sequence[SettingResult]) -> Figure:
    """Every fleet: makespan of a burst by the plan, and as played."""
    data = []
    longest = 1.0
    for colour, (name, belongs) in zip(PALETTE, KINDS.items(), strict=False):
        pairs = [(result, each) for result in results for each in result.outcomes if each.serves and belongs(each)]
        longest = max([longest, *(each.played_makespan_s for _, each in pairs)])
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": name,
                "x": [_rounded(each.planned_makespan_s) for _, each in pairs],
                "y": [_rounded(each.played_makespan_s) for _, each in pairs],
                "customdata": [
                    f"{shown(each.name)}, {result.setting.name}: {each.error:+.1%}" for result, each in pairs
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
                "marker": {"color": colour, "size": 7, "opacity": 0.7},
            }
        )  # fmt: skip
    line = {"type": "line", "x0": 1, "y0": 1, "x1": longest, "y1": longest, "line": {"width": 1, "dash": "dot"}}
    layout = {
        "height": 480, "margin": MARGIN, "shapes": [line],
        "xaxis": _axis("makespan by the plan [s]", type="log"), "yaxis": _axis("as played [s]", type="log"),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def latency_lines(results: Sequence[SettingResult]) -> Figure:
    """Share of end-to-end time saved over each way, percentile by percentile."""
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "name": shown(name),
            "x": [f"p{each}" for each in PERCENTILES], "y": [_rounded(value) for value in values],
            "line": {"color": PALETTE[index % len(PALETTE)], "dash": DASHES[index // len(PALETTE) % len(DASHES)]},
        }
        for index, (name, values) in enumerate(latency_rows(results))
    ]  # fmt: skip
    layout = {
        "height": 520, "margin": MARGIN, "xaxis": _axis("percentile", type="category"),
        "yaxis": _axis("end-to-end time saved", tickformat=".0%"), "legend": {"font": {"size": 11}},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def rate_bars(results: Sequence[SettingResult]) -> Figure:
    """Requests per second of our plan in each setting, beside the best GPU type alone and a simpler way or two."""
    settings = [each.setting.name.split("/", 1)[1] for each in results]

    def best(family: Family) -> list[float | None]:
        rates = [[each.played_req_per_s for each in result.of_family(family)] for result in results]
        return [_rounded(max(values)) if values else None for values in rates]

    def named(name: str) -> list[float | None]:
        ways = [result.named(name) for result in results]
        return [_rounded(way.played_req_per_s) if way is not None else None for way in ways]

    rows = [
        ("our plan", named(OURS)),
        ("best GPU type, unlimited stock", best(Family.SINGLE_UNLIMITED)),
        ("best GPU type, same stock", best(Family.SINGLE)),
        ("even composition", named("even composition")),
        ("HexGen-like, our composition", named("HexGen-like, our composition")),
    ]
    data = [
        {"type": "bar", "name": name, "x": settings, "y": values, "marker": {"color": colour}}
        for (name, values), colour in zip(rows, PALETTE, strict=False)
    ]
    layout = {
        "height": 460, "margin": MARGIN, "barmode": "group", "xaxis": _axis("", type="category"),
        "yaxis": _axis("requests per second, as played"),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _axis(title: str, **more: str) -> Figure:
    return {"title": {"text": title, "standoff": 8}, "automargin": True, "fixedrange": True, **more}


def _rounded(value: float) -> float:
    """Four significant digits: more would only make the page larger."""
    return float(f"{value:.4g}")
