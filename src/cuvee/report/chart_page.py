"""A self-contained page with Plotly charts: nothing is loaded from elsewhere.

Style, script, data and plotly.js stand in the file, and its content security policy keeps browsers from fetching
anything.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from cuvee.errors import MissingExtraError
from cuvee.report.html import Markup, embedded_json, joined, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""What a browser may load for the page: nothing."""


def chart_page(title: str, body: Markup, figures: Mapping[str, Any], *, what: str) -> str:
    """The page.

    Parameters
        body       Header, main part and footer, with the places of `chart`.
        figures    Charts by kind, then by the choices made on the page, joined by "|".
        what       What it is, for the message where plotly is missing.
    Raises         MissingExtraError: plotly is not installed.
    """
    library = plotly_js(what)
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<link rel="icon" href="data:,">'),
            tag("title", title),
            Markup(f"<style>{_resource('style.css')}</style>"),
        ]
    )
    scripts = joined(
        [
            embedded_json("figures", figures),
            Markup(f"<script>{library}</script>"),
            Markup(f"<script>{_resource('script.js')}</script>"),
        ]
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n{scripts}\n</body>\n</html>\n'


def plotly_js(what: str) -> str:
    """The library, as a script element may hold it; raises MissingExtraError where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingExtraError(what, "report") from None
    # A script element ends at this text, wherever in it that stands.
    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _resource(name: str) -> str:
    return resources.files("cuvee.report").joinpath("page", name).read_text(encoding="utf-8")


def section(title: str, about: str, choices: Sequence[Markup], drawn: Markup, details: Markup | None = None) -> Markup:
    """A heading, what it shows, choices of its own, a chart, and the same as a table to unfold."""
    controls = [tag("div", *choices, class_="controls")] if choices else []
    tables = [tag("details", tag("summary", "As a table"), details)] if details is not None else []
    return tag("section", tag("h2", title), tag("p", about), *controls, drawn, *tables)


def chart(kind: str, choices: str, *, wide: bool = False) -> Markup:
    """Where the script draws a figure.

    Parameters
        choices    Names of the choices that tell which, with blanks between; at least one.
        wide       Whether it scrolls on a narrow screen rather than shrink.
    """
    place = tag("div", class_="chart", data_figures=kind, data_key=choices, role="img", aria_label=f"chart: {kind}")
    return tag("div", place, class_="wide", tabindex="0") if wide else place
