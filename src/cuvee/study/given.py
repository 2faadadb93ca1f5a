"""Rates of a study that are no estimates of its own: measured ones and those fitted, from the files that were given."""

from dataclasses import dataclass

from cuvee.profile.table import Provenance, RateSource
from cuvee.study.entry import Entry
from cuvee.study.study import Study


@dataclass(frozen=True)
class GivenRates:
    """All rates of one provenance.

    Attributes
        sources      Where they come from, with dates, each once.
        gpus         GPU types that have any, in the order asked.
        num_rates    How many there are [-].
        errors       Narrowest and widest error band [-]; None where none is known.
    """

    provenance: Provenance
    sources: tuple[RateSource, ...]
    gpus: tuple[str, ...]
    num_rates: int
    errors: tuple[float, float] | None


def given_rates(study: Study) -> tuple[GivenRates, ...]:
    """The given rates by provenance, in the order of their first use."""
    found: dict[Provenance, list[Entry]] = {}
    for entry in study.entries:
        if not entry.is_estimate:
            found.setdefault(entry.provenance, []).append(entry)
    return tuple(_summed(study, provenance, entries) for provenance, entries in found.items())


def _summed(study: Study, provenance: Provenance, entries: list[Entry]) -> GivenRates:
    present = {entry.gpu for entry in entries}
    known = [entry.relative_error for entry in entries if entry.error_known]
    return GivenRates(
        provenance,
        tuple(dict.fromkeys(entry.rate_source for entry in entries)),
        tuple(gpu.name for gpu in study.gpus if gpu.name in present),
        len(entries),
        (min(known), max(known)) if known else None,
    )
