"""What a gateway has counted, read from its metrics: requests, latencies and lengths by model, type and group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cuvee.errors import InputError
from cuvee.metrics_text import Sample, read_samples

Key = tuple[str, str, str]
"""Model, workload type and group."""

WAITED = frozenset({"queue_full", "queue_timeout", "no_replica", "client_gone"})
"""Reasons of requests that were asked for and had no replica: what was refused for its key or its form is no demand."""

EXPECTED = "the metrics of `cuvee serve`, as its admin port has them at /metrics"


@dataclass(frozen=True)
class Spread:
    """Figures counted by bucket.

    Attributes
        counts    By upper bound [-], the last one infinite; not added up.
        total     Sum of the figures, in their unit.
    """

    counts: Mapping[float, float]
    total: float

    @property
    def number(self) -> float:
        """Figures counted [-]."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float:
        """Their mean, in their unit; nan of none."""
        return self.total / self.number if self.number else math.nan

    @property
    def deviation(self) -> float:
        """Their standard deviation, each taken for the middle of its bucket; those beyond all bounds for the last."""
        bounds = sorted(self.counts)
        below = [0.0, *bounds][: len(bounds)]
        middles = [(low + high) / 2 if math.isfinite(high) else low for low, high in zip(below, bounds, strict=True)]
        number = max(self.number, 1.0)
        mean = sum(self.counts[bound] * middle for bound, middle in zip(bounds, middles, strict=True)) / number
        squares = (self.counts[bound] * (middle - mean) ** 2 for bound, middle in zip(bounds, middles, strict=True))
        return math.sqrt(sum(squares) / number)

    def at_most(self, limit: float) -> tuple[float, float]:
        """Between which numbers those lie that are at most `limit` [-]: the bucket it falls into may be either."""
        surely = sum(number for bound, number in self.counts.items() if bound <= limit)
        bounds = [bound for bound in sorted(self.counts) if bound > limit]
        maybe = 0.0 if not bounds or limit in self.counts else self.counts[bounds[0]]
        return surely, surely + maybe

    def plus(self, other: Spread, sign: float = 1.0) -> Spread:
        """Both together, or the one less the other."""
        bounds = self.counts.keys() | other.counts.keys()
        counts = {each: self.counts.get(each, 0.0) + sign * other.counts.get(each, 0.0) for each in bounds}
        return Spread(counts, self.total + sign * other.total)


NOTHING = Spread({}, 0.0)


@dataclass(frozen=True)
class Observed:
    """What was counted while a plan was served.

    Attributes
        fingerprint       Of the plan.
        served_s          Time that it was counted over [s].
        placed            Requests by the group that got them in the end [-].
        waited_in_vain    Requests by model and type that no replica took [-].
        failed            Requests that ended with an error of server or gateway, or were cut off [-].
        ttft, tpot        Of streamed answers [s].
        lengths           Of good answers [tokens].
        up                Replicas that are up, by group [-].
        processes, processes_counted    Gateways that share the port, and those the figures are of [-].
    """

    fingerprint: str
    served_s: float
    placed: Mapping[Key, float]
    waited_in_vain: Mapping[tuple[str, str], float]
    failed: float
    ttft: Mapping[Key, Spread]
    tpot: Mapping[Key, Spread]
    lengths: Mapping[Key, Spread]
    up: Mapping[str, int] = field(default_factory=dict)
    processes: int = 1
    processes_counted: int = 1

    def since(self, earlier: Observed) -> Observed:
        """What was counted after `earlier`.

        Raises      InputError: it is of another plan, or from before the counting began anew.
        """
        if earlier.fingerprint != self.fingerprint or earlier.served_s >= self.served_s or self._went_back(earlier):
            raise InputError(
                "two readings between which the gateway was restarted, or given another plan",
                expected="two of one time of service",
                remedy="read its metrics twice again",
            )

        def less(now: Mapping[Key, Spread], then: Mapping[Key, Spread]) -> dict[Key, Spread]:
            return {key: spread.plus(then.get(key, NOTHING), -1.0) for key, spread in now.items()}

        return Observed(
            self.fingerprint,
            self.served_s - earlier.served_s,
            {key: number - earlier.placed.get(key, 0.0) for key, number in self.placed.items()},
            {key: number - earlier.waited_in_vain.get(key, 0.0) for key, number in self.waited_in_vain.items()},
            self.failed - earlier.failed,
            less(self.ttft, earlier.ttft),
            less(self.tpot, earlier.tpot),
            less(self.lengths, earlier.lengths),
            self.up,
            self.processes,
            min(self.processes_counted, earlier.processes_counted),
        )

    def _went_back(self, earlier: Observed) -> bool:
        return any(number < earlier.placed.get(key, 0.0) for key, number in self.placed.items())


def read_observed(text: str, source: str) -> Observed:
    """What the metrics of a gateway say.

    Parameters
        source    Where they come from, for messages.
    Raises        InputError: no metrics, or not those of a gateway.
    """
    by_name: dict[str, list[Sample]] = {}
    try:
        for sample in read_samples(text, lambda name: name.startswith("cuvee_")):
            by_name.setdefault(sample.name, []).append(sample)
        infos = by_name["cuvee_plan_info"]
        served_s = by_name["cuvee_plan_served_seconds"][0].value
    except ValueError as error:
        raise InputError(f"{source}: {error}", expected=EXPECTED, remedy="name its address") from None
    except KeyError:
        raise InputError(
            f"{source}: metrics, but not of a gateway", expected=EXPECTED, remedy="name the admin port's /metrics"
        ) from None
    sent = _sums(by_name.get("cuvee_sent_requests_total", ()), "model", "workload", "group")
    retried = _sums(by_name.get("cuvee_retried_requests_total", ()), "model", "workload", "group")
    unserved = by_name.get("cuvee_unserved_requests_total", ())
    waited = [each for each in unserved if each.labels.get("reason") in WAITED and each.labels.get("workload")]
    ended = by_name.get("cuvee_requests_total", ())
    errors = [each for each in ended if each.labels.get("status") == "5xx"]
    up = _sums(by_name.get("cuvee_replica_up", ()), "group")
    return Observed(
        fingerprint=infos[0].labels.get("fingerprint", ""),
        served_s=served_s,
        placed={(key[0], key[1], key[2]): number - retried.get(key, 0.0) for key, number in sent.items()},
        waited_in_vain={(key[0], key[1]): number for key, number in _sums(waited, "model", "workload").items()},
        failed=sum(each.value for each in [*errors, *by_name.get("cuvee_broken_answers_total", ())]),
        ttft=_spreads(by_name, "cuvee_time_to_first_token_seconds"),
        tpot=_spreads(by_name, "cuvee_time_per_output_token_seconds"),
        lengths=_spreads(by_name, "cuvee_answer_length_tokens"),
        up={key[0]: round(number) for key, number in up.items()},
        processes=_one(by_name, "cuvee_processes"),
        processes_counted=_one(by_name, "cuvee_processes_counted"),
    )


def _one(by_name: Mapping[str, list[Sample]], name: str) -> int:
    return round(by_name[name][0].value) if name in by_name else 1


def _sums(samples: Iterable[Sample], *labels: str) -> dict[tuple[str, ...], float]:
    """Values added up over all other labels."""
    found: dict[tuple[str, ...], float] = {}
    for each in samples:
        key = tuple(each.labels.get(label, "") for label in labels)
        found[key] = found.get(key, 0.0) + each.value
    return found


def _spreads(by_name: Mapping[str, list[Sample]], name: str) -> dict[Key, Spread]:
    """Histograms of one metric."""
    labels = ("model", "workload", "group")
    totals = _sums(by_name.get(f"{name}_sum", ()), *labels)
    cumulative: dict[Key, dict[float, float]] = {}
    for key, value in _sums(by_name.get(f"{name}_bucket", ()), *labels, "le").items():
        cumulative.setdefault((key[0], key[1], key[2]), {})[float(key[3])] = value
    found = {}
    for place, counts in cumulative.items():
        before, apart = 0.0, {}
        for bound in sorted(counts):
            apart[bound] = counts[bound] - before
            before = counts[bound]
        found[place] = Spread(apart, totals.get(place, 0.0))
    return found
