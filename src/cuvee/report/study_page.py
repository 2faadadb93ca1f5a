"""The study as one self-contained page: the answer first, then charts to choose in, tables, observations and sources.

Nothing is loaded from elsewhere: style, script, data and plotly.js stand in the file, and its content security policy
keeps browsers from fetching anything.
"""

from collections.abc import Iterator, Mapping, Sequence

from cuvee._version import __version__
from cuvee.errors import InputError
from cuvee.report.chart_page import chart, chart_page, section
from cuvee.report.html import Markup, joined, select, table, tag
from cuvee.report.study_figures import figures, gpus_of
from cuvee.report.study_sections import method, observation_cards, prices
from cuvee.report.study_tables import TABLE_PERCENTILE, curve_table, figure_table, heat_table, latency_table
from cuvee.report.study_text import (
    counted,
    error_text,
    given_texts,
    lengths_text,
    number,
    offers_text,
    parallel_text,
    prices_title,
)
from cuvee.study.curves import CURVE_PERCENTILES, Curves, cost_curves
from cuvee.study.entry import Entry
from cuvee.study.leads import Lead, lead
from cuvee.study.performance import Performance
from cuvee.study.prices import listing_year
from cuvee.study.request_kinds import request_kind
from cuvee.study.study import Study

TITLE = "The cheapest GPU for each kind of LLM request"

MOST_KINDS = 30
"""Kinds of request on a page [-]: each has charts of its own, and further ones make it too large to open."""

ABOUT_BARS = (
    "Bars are requests a second for a dollar an hour of the best configuration. The thin line is the error band: for "
    "plain bars that of the measurement, or of the estimate beside public figures; for hatched ones none is known, and "
    "the line is what comparisons assume."
)
ABOUT_CURVES = (
    "The further left, the sooner the answer; the lower, the cheaper. Solid lines are data-centre GPUs, dashed ones "
    "workstation cards, dotted ones consumer cards. Each point is a configuration at a load that no "
    "other of its GPU type beats in both. Read off what a promise costs: choose the percentile, go to the latency."
)
ABOUT_PERCENTILES = (
    "What the replica costs while one request of that percentile is under way, times a million: latency at equal "
    "price. "
    "Percentiles below the median are left out, as the latency curve has none of its own there."
)


def study_page(studies: Sequence[Study], performances: Sequence[Performance]) -> str:
    """The page of studies of the same requests; the last one, of the newest prices, is the one it opens with.

    Raises          MissingExtraError: plotly is not installed. InputError: more kinds of request than a page can show.
    """
    newest = studies[-1]
    num_kinds = len(newest.asked.workloads)
    if num_kinds > MOST_KINDS:
        raise InputError(
            f"a page of {num_kinds} kinds of request",
            expected=f"at most {MOST_KINDS}",
            remedy="take fewer, e.g. --types 9; --csv has all of them",
        )
    curves = [
        {percentile: cost_curves(study, performances, percentile) for percentile in CURVE_PERCENTILES}
        for study in studies
    ]
    body = joined(
        [
            tag("header", tag("h1", TITLE), *_lede(studies)),
            tag("main", _answer(studies), _controls(studies), *_charts(studies, curves[-1])),
            tag("footer", tag("p", f"cuvée {__version__}, {newest.engine.name}. Rebuild: cuvee benchmark --html FILE")),
        ]
    )
    title = f"{TITLE}, {prices_title(newest)}"
    return chart_page(title, body, figures(studies, curves), what="the page of a study")


def _lede(studies: Sequence[Study]) -> Iterator[Markup]:
    """What the page found, in sentences."""
    newest = studies[-1]
    models = ", ".join(model.name for model in newest.models)
    yield tag("p", f"{models} · {prices_title(newest)} · {newest.engine.name}", class_="faint")
    for model in newest.models:
        leads = _leads(newest, model.name)
        if leads:
            yield tag("p", *_sentence(model.name, leads), class_="lead")
    given, unknown = list(given_texts(newest, "±")), newest.gpus_of_unknown_error
    if given:
        yield tag("div", *(tag("p", line) for line in given), class_="callout")
    if unknown:
        words = (
            f"{'Other rates' if given else 'Rates'} are estimates. No sound public figure of {newest.engine.name} "
            f"covers {', '.join(unknown)}: no accuracy is claimed for them, and a lead counts as a tie unless it is "
            "larger than the errors that would have to be assumed."
        )
        yield tag("div", tag("p", words), class_="callout")
    if newest.newest_year:
        yield tag("div", tag("p", _of_several_years(newest)), class_="callout")


def _of_several_years(study: Study) -> str:
    """What to know of prices that are not of one year."""
    found = [gpu.name for gpu in study.gpus if not _listed_in(study, gpu.name, study.newest_year)]
    return (
        f"Prices are listings of {study.prices_as_of}, the lowest of the newest year that each GPU type is listed in. "
        f"{', '.join(found) or 'Some sizes of machine'}: nothing of {study.newest_year}, older prices stand in. A lead "
        "at an older price says what was to be had then; errors count those of rates, not the age of prices."
    )


def _listed_in(study: Study, gpu: str, year: str) -> bool:
    return any(entry.gpu == gpu and listing_year(entry.offer) == year for entry in study.shown())


def _leads(study: Study, model: str) -> list[Lead]:
    found = (lead(study, model, kind.name) for kind in study.asked.workloads)
    return [each for each in found if each is not None]


def _sentence(model: str, leads: Sequence[Lead]) -> Iterator[str]:
    """Who is cheapest for how many kinds of requests, and how sure that is."""
    yield tag("strong", f"{model}: ")
    yield "cheapest "
    yield from _counted([found.first for found in leads])
    factors = [found.over_next.factor for found in leads if found.over_next is not None]
    if factors:
        span = " to ".join(dict.fromkeys(f"{each:.2f}" for each in (min(factors), max(factors))))
        yield f", {span} times as many requests per dollar as the next. "
    clear = sum(not found.ties for found in leads)
    if len(leads) == 1:
        yield f"This lead is {'outside' if clear else 'inside'} the errors. "
    else:
        yield f"{clear or 'None'} of the {len(leads)} leads {'are' if clear > 1 else 'is'} outside the errors. "
    if any(found.first.extrapolated for found in leads):
        extrapolated = ", ".join(sorted({found.first.gpu for found in leads if found.first.extrapolated}))
        yield f"{extrapolated} is extrapolated from GPUs of another maker. Without it "
        yield from _counted([found.covered for found in leads if found.covered is not None])
        yield ". "
    backed = [found.backed for found in leads if found.backed is not None]
    if backed:
        yield "Cheapest with a known error: "
        yield from _counted(backed)
        yield "."


def _counted(entries: Sequence[Entry]) -> Iterator[str]:
    """GPU types with the number of kinds of requests, most first."""
    for index, (gpu, count) in enumerate(counted(entries)):
        yield ", " if index else ""
        yield tag("strong", gpu)
        yield f" for {count}" if index else f" for {count} of {len(entries)} kinds of request"


def _answer(studies: Sequence[Study]) -> Markup:
    """The table of answers of each model, newest prices first, beside who was cheapest before."""
    newest, earlier = studies[-1], studies[:-1]
    header = [
        "request: prompt / answer", "cheapest", "price of", "$ per million requests", "requests per $ over the next",
        "how sure",
        *(["cheapest that is not extrapolated"] if any(entry.extrapolated for entry in newest.entries) else []),
        *([f"cheapest at prices of {newest.newest_year}"] if newest.newest_year else []),
        "cheapest with a known error", *(f"cheapest at {offers_text(study)}" for study in earlier),
    ]  # fmt: skip
    parts: list[Markup] = [tag("h2", "Which GPU for which request")]
    extrapolated = any(entry.extrapolated for entry in newest.entries)
    for model in newest.models:
        rows = [
            [
                *_answer_cells(newest, found, extrapolated=extrapolated),
                *(_named(lead(study, model.name, found.first.workload.name)) for study in earlier),
            ]
            for found in _leads(newest, model.name)
        ]
        caption = f"{model.name}, {prices_title(newest)}"
        parts.append(tag("div", table(header, rows, caption=caption), class_="answer"))
    return tag("section", *parts)


def _answer_cells(study: Study, found: Lead, *, extrapolated: bool) -> Iterator[str]:
    first = found.first
    yield f"{lengths_text(first.workload)} {request_kind(first.workload)}"
    yield f"{first.gpu} {parallel_text(first)}"
    yield first.offer.as_of or "no date"
    yield number(first.usd_per_million_requests)
    if found.over_next is None:
        yield from ("", "alone")
    else:
        yield f"{found.over_next.factor:.2f}× {found.ranking[1].gpu}"
        if found.ties:
            about = f"the lead over these is inside the errors: {', '.join(found.ties)}"
            yield tag("span", f"≈ tied with {len(found.ties)} of {len(found.ranking) - 1}", class_="pill", title=about)
        else:
            yield tag("span", "✓ outside the errors", class_="pill holds")
    if extrapolated:
        yield f"{found.covered.gpu} {parallel_text(found.covered)}" if found.covered is not None else "none"
    if study.newest_year:
        yield f"{found.newest.gpu} {parallel_text(found.newest)}" if found.newest is not None else "none"
    if found.backed is None:
        yield "none"
    else:
        yield f"{found.backed.gpu} {parallel_text(found.backed)}, {error_text(found.backed)}"


def _named(found: Lead | None) -> str:
    return f"{found.first.gpu} {parallel_text(found.first)}" if found is not None else "not on offer"


def _controls(studies: Sequence[Study]) -> Markup:
    """Prices and model of every chart below."""
    newest = len(studies) - 1
    return tag(
        "div",
        select("study", "prices", [prices_title(study) for study in studies], newest),
        select("model", "model", [model.name for model in studies[0].models]),
        class_="controls all",
    )


def _charts(studies: Sequence[Study], curves: Mapping[float, Curves]) -> Iterator[Markup]:
    newest = studies[-1]
    kinds = [f"{lengths_text(kind)} {request_kind(kind)}" for kind in newest.asked.workloads]
    workload = select("workload", "request: prompt / answer [tokens]", kinds)
    yield section(
        "GPU types beside each other",
        "Requests a second for a dollar an hour, and how near that is to the best of the column. ★ is the cheapest, = "
        "is "
        "tied with it: the lead is inside the errors. Each cell is the best of all ways to cut eight GPUs into "
        "replicas.",
        [],
        chart("heat", "study model", wide=True),
        heat_table(studies),
    )
    bars = chart("bars", "study model workload")
    yield section("One kind of request, with error bands", ABOUT_BARS, [workload], bars, figure_table(studies))
    yield section(
        "Configurations beside each other",
        "Eight GPUs of one type cut into equal replicas: requests per GPU, as a share of the best way (★). TP splits "
        "layers "
        "over GPUs, PP puts layers one after the other, and what is left of the eight are copies.",
        [select("gpu", "GPU type", gpus_of(studies))],
        chart("configurations", "model gpu", wide=True),
    )
    percentile = select("percentile", "percentile", [f"p{each:g}" for each in CURVE_PERCENTILES], 2)
    lines = chart("curves", "study model workload percentile")
    ends = curve_table(newest, curves[TABLE_PERCENTILE])
    yield section("What a promised latency costs", ABOUT_CURVES, [workload, percentile], lines, ends)
    about = f"{ABOUT_PERCENTILES} Here at {newest.asked.load:.0%} load, best configuration of each type."
    lines = chart("percentiles", "study model workload")
    yield section("Cost of each latency percentile", about, [workload], lines, latency_table(newest))
    yield observation_cards(studies)
    yield method(newest)
    yield prices(studies)
