"""Words and numbers that the printed study and its page share."""

from collections import Counter
from collections.abc import Iterable, Iterator

from cuvee.catalog.offer import Offer
from cuvee.profile.table import NOT_STATED, RateSource
from cuvee.report.style import dated
from cuvee.study.comparison import Comparison
from cuvee.study.entry import Entry
from cuvee.study.finding import Case, Finding, Observation, Verdict
from cuvee.study.given import given_rates
from cuvee.study.question import PAPER_PRICES
from cuvee.study.study import Study
from cuvee.workload.records import WorkloadType

PAPER = (
    "Jiang et al., Demystifying Cost-Efficiency in LLM Serving over Heterogeneous GPUs (ICML 2025, arXiv 2502.00722)"
)


MOST_SOURCES = 3
"""Sources of measured rates that are named [-]; --json has that of each rate."""


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if value > 0 else "0"


def factor_text(comparison: Comparison) -> str:
    """A factor with its band: "2.29 (1.50 to 3.50)"."""
    return f"{comparison.factor:.2f} ({comparison.low:.2f} to {comparison.high:.2f})"


def lengths_text(kind: WorkloadType) -> str:
    """Mean lengths of a type: "2455/18"."""
    return f"{kind.input_tokens:.0f}/{kind.output_tokens:.0f}"


def offers_text(study: Study) -> str:
    """Whose prices a study has."""
    return "the paper's prices" if study.offers.name == PAPER_PRICES else study.offers.name


def prices_title(study: Study) -> str:
    """Whose prices a study has, and of when."""
    if study.offers.name == PAPER_PRICES:
        return f"{offers_text(study)} of {study.prices_as_of}"
    return f"{study.offers.name}, {dated(study.prices_as_of)}"


def listed_text(offer: Offer) -> str:
    """Of when a price is, without the remark in brackets that a table has no room for."""
    return offer.as_of.partition(" (")[0] or "no date"


def parallel_text(entry: Entry) -> str:
    """How a replica splits its model, and the precision where it is not the usual one: "TP2 PP2", "TP1 fp8"."""
    split = entry.config.parallel_label.partition(" [")[0]
    return split if entry.config.precision == "bf16" else f"{split} {entry.config.precision}"


def error_text(entry: Entry) -> str:
    """The error band of a rate, or that there is none."""
    if entry.error_known:
        return f"±{entry.relative_error:.0%}"
    return "unknown, extrapolated" if entry.extrapolated else "unknown"


def estimates_text(study: Study, sign: str = "") -> str:
    """What is known of the errors of a study's estimates: narrowest and widest band, each after `sign`, and where."""
    if all(not entry.is_estimate for entry in study.entries):
        return "no estimates"
    if study.estimate_errors is None:
        return "estimates without a known error"
    return f"estimates {_range(study.estimate_errors, sign)} on {', '.join(study.compared_gpus)}, unknown elsewhere"


def given_texts(study: Study, sign: str = "") -> Iterator[str]:
    """What rates were given, how sure they are, and where they come from."""
    for given in given_rates(study):
        band = _range(given.errors, sign) if given.errors is not None else "no error stated"
        sources = [f"{each.source}, {_date_text(each)}" for each in given.sources[:MOST_SOURCES]]
        more = len(given.sources) - len(sources)
        named = "; ".join([*sources, *([f"and {more} more"] if more else [])])
        count = f"{given.num_rates:,} of {len(study.entries):,} rates"
        yield f"{given.provenance.value}: {count}, on {', '.join(given.gpus)}, {band}: {named}"


def _date_text(source: RateSource) -> str:
    return f"date {NOT_STATED}" if source.date == NOT_STATED else source.date


def _range(errors: tuple[float, float], sign: str) -> str:
    """Both ends, or one where they are alike."""
    return " to ".join(dict.fromkeys(f"{sign}{each:.0%}" for each in errors))


def case_text(case: Case) -> str:
    """One case in words."""
    return f"{case.model or 'all models'} {case.where}: {case.ahead} over {case.behind}, {factor_text(case.comparison)}"


def finding_text(finding: Finding) -> str:
    """A finding with what it rests on."""
    total = len(finding.cases)
    if total == 1:
        return f"{finding.claim}: {case_text(finding.cases[0])}"
    smallest, largest = finding.factors
    level = f", level in {finding.num_level}" if finding.num_level else ""
    ahead = f"so in {finding.num_ahead} of {total} cases{level}"
    counted = f"{ahead}, {finding.num_clear} of them outside the error"
    if finding.num_ahead < total:
        counted = f"{ahead}; {finding.num_clear} of all are outside the error"
    return f"{finding.claim}: {counted}; factors {smallest:.2f} to {largest:.2f}"


def observation_text(observation: Observation) -> str:
    """The factor of an observation beside the paper's."""
    return (
        f"up to {factor_text(observation.largest.comparison)}, median {observation.median:.2f}; paper: up to "
        f"{observation.paper:.2f}: {observation.paper_about}"
    )


def counted(entries: Iterable[Entry]) -> list[tuple[str, int]]:
    """GPU types with the number of kinds of request each is cheapest for, most first."""
    return Counter(entry.gpu for entry in entries).most_common()


MARKS = {Verdict.HOLDS: "+", Verdict.IN_PART: "~", Verdict.TIE: "=", Verdict.FAILS: "-"}
"""One character for each verdict."""
