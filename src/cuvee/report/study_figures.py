"""The charts of the study's page as Plotly figures: plain data and layouts, coloured by the page to its theme."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

from cuvee.report.heat import HEAT, colour_of, ink_on
from cuvee.report.study_text import error_text, lengths_text, number, parallel_text
from cuvee.report.style import literal
from cuvee.study.curves import CurvePoint, Curves
from cuvee.study.entry import Entry
from cuvee.study.gpu_classes import GpuClass, gpu_class
from cuvee.study.leads import Lead, lead
from cuvee.study.performance import PERCENTILES
from cuvee.study.study import Study

Figure = dict[str, Any]

PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866")
"""Colours that people with any kind of colour vision tell apart, and that are legible on light and dark pages.

Source      Paul Tol, bright scheme, and the orange of his light scheme.
"""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star", "hexagon", "pentagon")
DASHES = {GpuClass.DATA_CENTRE: "solid", GpuClass.WORKSTATION: "dash", GpuClass.CONSUMER: "dot"}
NO_PATTERN = {"shape": ""}
HATCHED = {"shape": "/", "fillmode": "overlay", "fgopacity": 0.35, "solidity": 0.25}

ROW_PX = 34.0
"""Height of a row of a heat map or bar [px]."""

UNKNOWN = "error not known"
COMPARED = "estimated, error known from public figures"
GIVEN = "measured or fitted, as given"
BAR_COLOURS = {GIVEN: PALETTE[2], COMPARED: PALETTE[0], UNKNOWN: PALETTE[6]}
"""Kinds of bars by what stands behind their error, with their colours."""


def figures(studies: Sequence[Study], curves: Sequence[Mapping[float, Curves]]) -> dict[str, dict[str, Figure]]:
    """Every chart by its kind and by the choices made on the page, joined by "|".

    Parameters
        curves    Of each study, by percentile.
    Returns     heat: study, model; bars: study, model, type; configurations: model, GPU type; curves: study, model,
                type, percentile; percentiles: study, model, type. Choices are numbers from 0.
    """
    workloads = studies[0].asked.workloads
    found: dict[str, dict[str, Figure]] = {
        "heat": {}, "bars": {}, "configurations": {}, "curves": {}, "percentiles": {}
    }  # fmt: skip
    for (s, study), (m, model) in product(enumerate(studies), enumerate(studies[0].models)):
        found["heat"][f"{s}|{m}"] = heat_map(study, model.name)
        for w, kind in enumerate(workloads):
            found["bars"][f"{s}|{m}|{w}"] = bars(study, model.name, kind.name)
            found["percentiles"][f"{s}|{m}|{w}"] = percentile_lines(study, model.name, kind.name)
            for p, (percentile, known) in enumerate(curves[s].items()):
                figure = curve_lines(study, known, model.name, kind.name, percentile)
                found["curves"][f"{s}|{m}|{w}|{p}"] = figure
    for (m, model), (g, gpu) in product(enumerate(studies[0].models), enumerate(gpus_of(studies))):
        study = next(each for each in studies if any(known.name == gpu for known in each.gpus))
        found["configurations"][f"{m}|{g}"] = configuration_map(study, model.name, gpu)
    return found


def gpus_of(studies: Sequence[Study]) -> tuple[str, ...]:
    """GPU types of all studies, each once."""
    return tuple(dict.fromkeys(gpu.name for study in reversed(studies) for gpu in study.gpus))


def heat_map(study: Study, model: str) -> Figure:
    """GPU types times workload types: requests per dollar over those of the cheapest GPU type."""
    workloads = study.asked.workloads
    leads = [lead(study, model, kind.name) for kind in workloads]
    gpus = [gpu.name for gpu in study.gpus]
    shares, texts, hovers = [], [], []
    for gpu in gpus:
        found = [study.best(model, gpu, kind.name) for kind in workloads]
        cells = list(zip(found, leads, strict=True))
        shares.append([_rounded(top.share_of(entry)) if entry and top else None for entry, top in cells])
        texts.append([_cell_text(entry, top) for entry, top in cells])
        hovers.append([_hover(entry, top) for entry, top in cells])
    rows = [shown(gpu) for gpu in gpus]
    return _heat_figure([lengths_text(kind) for kind in workloads], rows, shares, texts, hovers)


def _heat_figure(
    columns: Sequence[str],
    rows: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    hovers: Sequence[Sequence[str]],
) -> Figure:
    """Cells by their share of the best, and over them their texts, each in the ink that can be read there."""
    cells = {
        "type": "heatmap", "x": list(columns), "y": list(rows), "z": shares, "customdata": hovers,
        "hovertemplate": HOVER, "zmin": 0, "zmax": 1, "colorscale": [list(stop) for stop in HEAT], "xgap": 2,
        "ygap": 2, "hoverongaps": False,
        "colorbar": {"title": {"text": "of the best"}, "tickformat": ".0%", "thickness": 12, "len": 0.9},
    }  # fmt: skip
    # Plotly's own text of cells takes one of two greys, which on half of the scale nobody can read.
    written = [
        (column, row, text, ink_on(colour_of(share)))
        for row, values, labels in zip(rows, shares, texts, strict=True)
        for column, share, text in zip(columns, values, labels, strict=True)
        if share is not None
    ]
    over = {
        "type": "scatter", "mode": "text", "x": [each[0] for each in written], "y": [each[1] for each in written],
        "text": [each[2] for each in written], "textfont": {"color": [each[3] for each in written]},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    return {"data": [cells, over], "layout": _grid_layout(len(columns), len(rows), "prompt / answer [tokens]")}


HOVER = "%{customdata}<extra></extra>"


def configuration_map(study: Study, model: str, gpu: str) -> Figure:
    """Configurations of a GPU type times workload types: requests per GPU over those of the best configuration."""
    workloads = study.asked.workloads
    found = {kind.name: study.by_rate(model, gpu, kind.name) for kind in workloads}
    labels: dict[str, int] = {}
    for entry in (each for entries in found.values() for each in entries):
        labels[parallel_text(entry)] = entry.config.num_gpus
    rows = sorted(labels, key=lambda label: (labels[label], label))
    shares: list[list[float | None]] = []
    hovers: list[list[str]] = []
    for label in rows:
        cells = [next((each for each in found[kind.name] if parallel_text(each) == label), None) for kind in workloads]
        tops = [found[kind.name][0] if found[kind.name] else None for kind in workloads]
        pairs = list(zip(cells, tops, strict=True))
        shares.append([_rounded(cell.rate_share(top)) if cell and top else None for cell, top in pairs])
        hovers.append([_hover(cell, None) for cell in cells])
    texts = [["" if share is None else f"{share:.2f}{' ★' if share == 1 else ''}" for share in row] for row in shares]
    names = [shown(row) for row in rows]
    return _heat_figure([lengths_text(kind) for kind in workloads], names, shares, texts, hovers)


def bars(study: Study, model: str, workload: str) -> Figure:
    """Requests per dollar of GPU types on a workload type, with error bands: measured, compared and assumed ones."""
    ranking = list(reversed(study.ranking(model, workload)))
    found = lead(study, model, workload)
    data = []
    for name, colour in BAR_COLOURS.items():
        chosen = [entry for entry in ranking if _kind_of_error(entry) == name]
        if not chosen:
            continue
        known, values = name != UNKNOWN, [entry.efficiency for entry in chosen]
        data.append(
            {
                "type": "bar", "orientation": "h", "name": name, "y": [shown(entry.gpu) for entry in chosen],
                "x": [_rounded(value) for value in values], "customdata": [_hover(entry, found) for entry in chosen],
                "hovertemplate": HOVER, "text": [_cell_text(entry, found) for entry in chosen],
                "textposition": "auto", "insidetextanchor": "start", "textangle": 0,
                "insidetextfont": {"color": "#ffffff" if known else "#000000"},
                "marker": {"color": colour, "pattern": NO_PATTERN if known else HATCHED},
                "error_x": {
                    "type": "data", "symmetric": False, "thickness": 1.5, "width": 5,
                    "array": [_rounded(entry.efficiency_reach[1]) for entry in chosen],
                    "arrayminus": [_rounded(entry.efficiency_reach[0]) for entry in chosen],
                },
            }
        )  # fmt: skip
    order = [shown(entry.gpu) for entry in ranking]
    layout = _layout(height=ROW_PX * len(ranking) + 130)
    layout |= {
        "barmode": "overlay",
        "xaxis": _axis("req/s per $/h", rangemode="tozero"),
        "yaxis": {"categoryorder": "array", "categoryarray": order, "automargin": True, "fixedrange": True},
        "legend": {"orientation": "h", "y": -60 / max(ROW_PX * len(ranking), 1), "yanchor": "top"},
    }
    return {"data": data, "layout": layout}


def _kind_of_error(entry: Entry) -> str:
    if not entry.error_known:
        return UNKNOWN
    return COMPARED if entry.is_estimate else GIVEN


def percentile_lines(study: Study, model: str, workload: str) -> Figure:
    """Cost of each latency percentile: what the replica costs while such a request is under way."""
    data = [
        {
            **_line(study, entry.gpu),
            "x": [f"p{percentile:g}" for percentile in PERCENTILES],
            "y": [_rounded(entry.latency_usd_per_million(percentile)) for percentile in PERCENTILES],
            "text": [f"{number(each.e2e_s)} s end to end" for each in entry.latencies],
            "hovertemplate": f"<b>{shown(entry.gpu)}</b> {parallel_text(entry)}, {PERCENTILE_HOVER}",
        }
        for entry in study.ranking(model, workload)
    ]
    layout = _layout(height=460) | {
        "xaxis": {
            "title": {"text": "percentile of the latency", "standoff": 8},
            "fixedrange": True,
            "automargin": True,
        },
        "yaxis": _axis("$ per million × latency", type="log"),
        "legend": LEGEND,
    }
    return {"data": data, "layout": layout}


def curve_lines(study: Study, curves: Curves, model: str, workload: str, percentile: float) -> Figure:
    """Least money for a million requests over the latency that is promised, for each GPU type."""
    data = []
    for entry in study.ranking(model, workload):
        points = curves.get((model, entry.gpu, workload), ())
        data.append(
            {
                **_line(study, entry.gpu),
                "x": [_rounded(point.e2e_s) for point in points],
                "y": [_rounded(point.usd_per_million_requests) for point in points],
                "text": [f"{_split(point)}, {point.load:.0%} load" for point in points],
                "hovertemplate": f"<b>{shown(entry.gpu)}</b> %{{text}}<br>{CURVE_HOVER}",
            }
        )
    layout = _layout(height=520) | {
        "xaxis": _axis(f"end to end, p{percentile:g} [s]", type="log"),
        "yaxis": _axis("$ per million requests", type="log"),
        "legend": LEGEND,
    }
    return {"data": data, "layout": layout}


PERCENTILE_HOVER = "%{x}<br>%{text}<br>$%{y:.3g}<extra></extra>"
CURVE_HOVER = "%{x:.3g} s, $%{y:.3g} per million<extra></extra>"

LEGEND = {"orientation": "h", "y": -0.17, "yanchor": "top", "x": 0, "xanchor": "left"}


def _line(study: Study, gpu: str) -> Figure:
    """Colour, symbol and dash of a GPU type, the same in every chart: the dash is that of its class."""
    asked = study.asked.gpus
    kind = next(gpu_class(each) for each in asked if each.name == gpu)
    alike = [each.name for each in asked if gpu_class(each) is kind].index(gpu)
    index = [each.name for each in asked].index(gpu)
    return {
        "type": "scatter", "mode": "lines+markers", "name": shown(gpu),
        "line": {"color": PALETTE[alike % len(PALETTE)], "dash": DASHES[kind], "width": 2},
        "marker": {"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 8},
    }  # fmt: skip


def _split(point: CurvePoint) -> str:
    return point.config.parallel_label.partition(" [")[0]


def _cell_text(entry: Entry | None, found: Lead | None) -> str:
    if entry is None or found is None:
        return ""
    mark = " ★" if entry is found.first else " =" if entry.gpu in found.ties else ""
    return f"{number(entry.efficiency)}{mark}"


def _hover(entry: Entry | None, found: Lead | None) -> str:
    """All that stands behind a figure, in lines."""
    return "<br>".join(_hover_lines(entry, found)) if entry is not None else "does not fit, or is not on offer"


def _hover_lines(entry: Entry, found: Lead | None) -> Iterator[str]:
    offer = entry.offer
    yield f"<b>{shown(entry.gpu)}</b> {parallel_text(entry)}, {lengths_text(entry.workload)} tokens"
    rate, money = number(entry.rate_req_per_s), f"{entry.price_usd_per_hour:.2f}"
    yield f"{rate} req/s for ${money}/h: {number(entry.efficiency)} req/s per $/h"
    yield f"${number(entry.usd_per_million_requests)} per million requests at full load"
    yield f"{entry.provenance.value}, {shown(entry.rate_source.date)}, error {error_text(entry)}"
    yield f"${offer.price_usd_per_gpu_hour:.2f}/GPU-h: {shown(offer.seller)}, {shown(offer.as_of or 'no date')}"
    if found is not None and found.over_next is not None:
        price = number(found.price_to_lead_usd(entry))
        ahead = "leads up to" if entry is found.first else "would lead below"
        yield f"{ahead} ${price}/GPU-h"


def shown(text: str) -> str:
    """A name as Plotly shows it, which takes some HTML for markup."""
    return escape(literal(text))


def _grid_layout(num_columns: int, num_rows: int, title: str) -> Figure:
    layout = _layout(height=ROW_PX * num_rows + 80)
    layout["margin"] = {"l": 20, "r": 10, "t": 60, "b": 10}
    bare = {"fixedrange": True, "type": "category", "showgrid": False, "zeroline": False}
    columns, rows = [-0.5, num_columns - 0.5], [num_rows - 0.5, -0.5]
    return layout | {
        "xaxis": {"title": {"text": title}, "side": "top", "tickangle": 0, "range": columns, **bare},
        "yaxis": {"automargin": True, "range": rows, **bare},
    }


def _layout(*, height: float) -> Figure:
    return {"height": height, "margin": {"l": 20, "r": 10, "t": 20, "b": 40}, "hoverlabel": {"align": "left"}}


def _axis(title: str, **more: str) -> Figure:
    ticks = {"dtick": "D2", "tickformat": "~g"} if more.get("type") == "log" else {}
    return {"title": {"text": title, "standoff": 8}, "automargin": True, "fixedrange": True, **ticks, **more}


def _rounded(value: float) -> float:
    """Four significant digits: more would only make the page larger."""
    return float(f"{value:.4g}")
