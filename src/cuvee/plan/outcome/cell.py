"""Rates of a plan: what one replica of a group does with one workload type, and where that comes from."""

from dataclasses import dataclass
from math import isfinite

from cuvee.profile.table import Provenance, RateSource


@dataclass(frozen=True)
class UnderLoad:
    """Latency of one replica on one workload type at the planned load, in the statistic of the type's limits.

    Attributes
        saturated_req_per_s     Rate without limits [req/s].
        rate_req_per_s          The load: as busy as the plan has the replica, with this type alone [req/s].
        ttft_s, tpot_s, e2e_s   Latency at that load [s]; inf where nothing bounds the queue.
    """

    saturated_req_per_s: float
    rate_req_per_s: float
    ttft_s: float
    tpot_s: float
    e2e_s: float


@dataclass(frozen=True)
class Cell:
    """What one replica of a group does with one workload type.

    Attributes
        rate_req_per_s    h: rate when it serves this type alone, within the latency limits if there are some [req/s].
        relative_error    Error band of the rate [-] (`profile/bands.py`); None where no sound public figure covers it.
        source            Index of where the rate comes from in `PlanInputs.rate_sources`; None in older files.
        ttft_s, tpot_s    Time to first and per output token at that rate [s], None where not known: without queueing,
                          but with it where there are latency limits, and in their statistic.
        under_load        Latency at the planned load; None without latency limits.
    """

    workload: str
    rate_req_per_s: float
    provenance: Provenance
    relative_error: float | None
    ttft_s: float | None
    tpot_s: float | None
    under_load: UnderLoad | None = None
    source: int | None = None


def index_of_source(source: RateSource | None, sources: list[RateSource]) -> int | None:
    """Place of `source` among `sources`, where it is added if need be; None of none."""
    if source is None:
        return None
    if source not in sources:
        sources.append(source)
    return sources.index(source)


def known_latency(seconds: float) -> float | None:
    """A latency for the records of a plan [s]; None where a table has 0 for one that it does not know."""
    return float(seconds) if seconds > 0 else None


def known_band(relative_error: float) -> float | None:
    """An error band for the records of a plan; None where it is not known."""
    return float(relative_error) if isfinite(relative_error) else None
