"""One figure of a study: what a replica on one GPU type serves of one workload type for its money."""

from dataclasses import dataclass

from cuvee.catalog.offer import Offer
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import Provenance, RateSource
from cuvee.units import SECONDS_PER_HOUR
from cuvee.workload.records import WorkloadType

MILLION = 1e6
"""Requests that costs are stated for [-]: those of one are too small to read."""


@dataclass(frozen=True)
class PercentileLatency:
    """Latency at one percentile over requests, at the load of the study.

    Attributes
        percentile    Share of the requests that take no longer [%].
        ttft_s        Time to first token [s].
        tpot_s        Time per output token after it [s].
        e2e_s         Time from arrival to the last token [s].
    """

    percentile: float
    ttft_s: float
    tpot_s: float
    e2e_s: float


@dataclass(frozen=True)
class Entry:
    """A replica on a workload type, with its price.

    Attributes
        config            Replica of one GPU type.
        rate_req_per_s    Saturated rate of one replica on this type alone [req/s].
        offer             Where the GPUs are cheapest, of the offers that have room for the replica in one machine.
        relative_error    Half-width of the rate's error band [-]; inf where no sound public figure covers it.
        band              The same as comparisons reckon with it [-]: a stand-in where none is known.
        rate_source       Where the rate comes from.
        extrapolated      Whether nothing was ever read off GPUs of that architecture.
        load              Share of the saturated rate at which latencies are stated [-].
        latencies         At each percentile of the study, ascending.
    """

    config: ReplicaConfig
    workload: WorkloadType
    rate_req_per_s: float
    offer: Offer
    relative_error: float
    band: float
    rate_source: RateSource
    extrapolated: bool
    load: float
    latencies: tuple[PercentileLatency, ...]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.config.model

    @property
    def gpu(self) -> str:
        """Name of the GPU type."""
        return self.config.stages[0].gpu

    @property
    def provenance(self) -> Provenance:
        """Whether the rate was measured, calibrated or estimated."""
        return self.rate_source.provider

    @property
    def price_usd_per_hour(self) -> float:
        """Of one replica [$/h]: its GPUs at the offer's price per GPU; others fill the rest of the machine."""
        return self.offer.price_usd_per_gpu_hour * self.config.num_gpus

    @property
    def rate_per_gpu(self) -> float:
        """Requests a second for each GPU of the replica [req/s]."""
        return self.rate_req_per_s / self.config.num_gpus

    def rate_share(self, best: "Entry") -> float:
        """Requests a second for each GPU over those of `best` [-]."""
        return self.rate_per_gpu / best.rate_per_gpu

    @property
    def efficiency(self) -> float:
        """Requests a second for a dollar an hour [req/s per $/h]."""
        return self.rate_req_per_s / self.price_usd_per_hour

    @property
    def usd_per_million_requests(self) -> float:
        """Money for a million requests at the saturated rate [$]."""
        return MILLION / (self.efficiency * SECONDS_PER_HOUR)

    @property
    def usd_per_million_requests_at_load(self) -> float:
        """Money for a million requests at the load of the latencies [$]."""
        return self.usd_per_million_requests / self.load

    def latency_at(self, percentile: float) -> PercentileLatency:
        """Latency at one of the study's percentiles; raises KeyError for another."""
        return {each.percentile: each for each in self.latencies}[percentile]

    def latency_usd(self, percentile: float) -> float:
        """Cost of a latency percentile [$]: what the replica costs for as long as such a request takes."""
        return self.price_usd_per_hour * self.latency_at(percentile).e2e_s / SECONDS_PER_HOUR

    def latency_usd_per_million(self, percentile: float) -> float:
        """The same of a million such requests, one after the other [$]."""
        return self.latency_usd(percentile) * MILLION

    @property
    def efficiency_reach(self) -> tuple[float, float]:
        """How far the band reaches below and above the efficiency [req/s per $/h]."""
        return self.efficiency * self.band / (1 + self.band), self.efficiency * self.band

    @property
    def error_known(self) -> bool:
        """Whether the rate has an error band: of its measurement or fit, or of sound public figures if an estimate."""
        return self.relative_error != float("inf")

    @property
    def is_estimate(self) -> bool:
        """Whether nobody gave the rate: the throughput model computed it."""
        return self.provenance is Provenance.ESTIMATED
