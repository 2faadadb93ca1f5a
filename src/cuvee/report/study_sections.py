"""The lower half of the study's page: the paper's observations, the method, and where prices come from."""

from collections.abc import Iterator, Sequence

from cuvee.profile.table import RateSource
from cuvee.report.html import Markup, joined, table, tag
from cuvee.report.study_text import (
    PAPER,
    case_text,
    estimates_text,
    factor_text,
    finding_text,
    given_texts,
    prices_title,
)
from cuvee.study.finding import Observation, Verdict
from cuvee.study.given import given_rates
from cuvee.study.observations import observations
from cuvee.study.performance import GPUS_OF_A_MACHINE
from cuvee.study.prices import UsedPrice, used_prices
from cuvee.study.study import Study

PILLS = {
    Verdict.HOLDS: ("✓", "holds"),
    Verdict.IN_PART: ("◐", "part"),
    Verdict.TIE: ("≈", "tie"),
    Verdict.FAILS: ("✗", "fails"),
}
"""Sign and style of each verdict."""


def pill(verdict: Verdict) -> Markup:
    """A verdict that can be told without colour."""
    sign, style = PILLS[verdict]
    return tag("span", f"{sign} {verdict.value}", class_=f"pill {style}")


def observation_cards(studies: Sequence[Study]) -> Markup:
    """Each of the paper's observations with its verdict at the prices of every study."""
    found = [observations(study) for study in studies]
    titles = list(dict.fromkeys(each.title for one in found for each in one))
    parts: list[Markup] = [
        tag("h2", "The paper's observations"),
        tag("p", f"{PAPER}. It measured; {_whose_figures(studies[-1])}, at the prices below."),
    ]
    for index, title in enumerate(titles, start=1):
        cards = [
            _card(study, observation)
            for study, one in zip(studies, found, strict=True)
            for observation in one
            if observation.title == title
        ]
        parts += [tag("h3", f"{index}. {title}"), tag("div", *cards, class_="then-now")]
    return tag("section", *parts)


def _whose_figures(study: Study) -> str:
    if not given_rates(study):
        return "the figures here are estimates"
    return "the figures here are those measured or fitted that were given, and estimates elsewhere"


def _card(study: Study, observation: Observation) -> Markup:
    largest = observation.largest.comparison
    places = [tag("li", f"largest: {case_text(case)}") for case in observation.largest_by_model]
    findings = [tag("li", pill(finding.verdict), f" {finding_text(finding)}") for finding in observation.findings]
    return tag(
        "div",
        tag("p", prices_title(study), class_="faint"),
        tag(
            "p", tag("span", f"{observation.largest.comparison.factor:.2f}× ", class_="big"), pill(observation.verdict)
        ),
        tag(
            "p",
            f"at most {factor_text(largest)}, at the median {observation.median:.2f}; "
            f"the paper: at most {observation.paper:.2f} ({observation.paper_about})",
        ),
        tag("ul", *places, *findings),
        class_="card",
    )


def method(study: Study) -> Markup:
    """How figures come about, what was assumed, and what a tie is."""
    bands = "; ".join([estimates_text(study, "±"), *given_texts(study, "±")])
    sources = dict.fromkeys(f"{source.provider}: {source.source}, {source.date}" for source in _sources(study))
    points = (
        "Rates: what one replica sustains on one kind of request alone. Measured and calibrated rates come first where "
        f"they were given, estimates by cuvée's throughput model elsewhere. {'; '.join(sources)}.",
        f"Error bands: {bands}. No public figure of pipelines was compared, so theirs is unknown everywhere. Where a "
        "band is "
        "unknown, comparisons assume twice the engine's; for extrapolated GPUs the largest there is. A lead inside "
        "the band "
        "of the factor between two rates is a tie.",
        "Extrapolated: constants were read off NVIDIA GPUs. For other makers the matrix rate of the data sheet is "
        "taken at "
        "the engine's share, without what the power limit sustains: expect less.",
        f"Configurations: all cuts of {GPUS_OF_A_MACHINE} GPUs of one type into equal replicas of 1, 2, 4 or 8, "
        "inside one "
        "machine. Pipelines over two machines and mixed GPU types are not compared here: cuvee plan has them.",
        "Prices: for each replica the lowest on-demand price per GPU of a machine with room for it, among listings of "
        "the newest year that such a machine is listed in; other replicas fill the rest. Stock is not looked at. A "
        "community host is no cloud, and the driver of a consumer card may not allow a data centre: money alone is "
        "compared.",
        f"Latency: from the same step times, with queueing, at {study.asked.load:.0%} of the saturated rate unless a "
        "curve says "
        "otherwise. Arrivals are random and lengths spread; a percentile is over moments of arrival. No band is "
        "stated.",
    )
    return tag("section", tag("h2", "Method and assumptions"), tag("ul", *(tag("li", point) for point in points)))


def _sources(study: Study) -> Iterator[RateSource]:
    return (entry.rate_source for entry in study.entries)


def prices(studies: Sequence[Study]) -> Markup:
    """Every price that some figure rests on, with seller, date and source."""
    header = ["GPU", "$/GPU-h", "for replicas of", "seller", "region", "machine", "prices of", "source"]
    tables = []
    for study in reversed(studies):
        rows = [_price_row(used) for gpu in study.gpus for used in used_prices(study.entries) if used.gpu == gpu.name]
        tables.append(table(header, rows, caption=f"{prices_title(study)}: {study.offers.source}"))
        tables.append(tag("ul", *(tag("li", note) for note in (*study.notes, *study.offers.notes))))
    return tag("section", tag("h2", "Where the prices come from"), joined(tables))


def _price_row(used: UsedPrice) -> list[str]:
    offer = used.offer
    money, sizes = f"{offer.price_usd_per_gpu_hour:.2f}", ", ".join(map(str, used.sizes))
    shape = f"{offer.instance or 'machine'} of {offer.machine_gpus}"
    return [used.gpu, money, sizes, offer.seller, offer.region, shape, offer.as_of, offer.source]
