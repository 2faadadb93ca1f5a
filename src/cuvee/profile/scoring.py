"""How far predicted throughput and latency are from measured points: `score`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.catalog.quantization import written_precision
from cuvee.errors import CuveeError
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.engine import unknown_version
from cuvee.profile.error_summary import ErrorSummary
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.measurements import Measurement, require_at_most
from cuvee.profile.points import CannotModelError, KnownPoint
from cuvee.profile.table import ThroughputTable
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective

QUANTITIES = ("rate", "ttft", "tpot")
"""What is compared: requests a second, time to first token, time per output token."""

NO_LIMIT_S = 1e6
"""A latency limit that nothing misses [s]: with one, the latency curve is drawn."""

ABOVE = "arrivals at a rate the model says the replica does not sustain"

MOST_POINTS = 20_000
"""Points that are compared at once [-]: some minutes."""

CLEARLY = 1.2
"""Ratio of measured rates from which a pair is ordered clearly [-]."""


@dataclass(frozen=True)
class Comparison:
    """One measured quantity beside the predicted one.

    Attributes
        quantity               One of `QUANTITIES`.
        engine                 Name of the engine settings the prediction stands on.
        measured, predicted    Of one replica [req/s], or [s].
        num_sequences          Sequences the prediction runs at once [-].
    """

    measurement: Measurement
    quantity: str
    engine: str
    measured: float
    predicted: float
    num_sequences: float

    @property
    def error(self) -> float:
        """|predicted / measured - 1| [-]."""
        return abs(self.predicted / self.measured - 1)


@dataclass(frozen=True)
class NotModelled:
    """A measured point that no prediction can be held against, and why."""

    measurement: Measurement
    reason: str


@dataclass(frozen=True)
class Ordering:
    """Pairs of deployments of one model on one kind of requests: which serves more per GPU.

    Attributes
        pairs, right                    Pairs, and those ordered as measured [-].
        clear_pairs, clear_right        The same of pairs whose measured rates differ by a fifth or more [-].
    """

    pairs: int
    right: int
    clear_pairs: int
    clear_right: int

    @property
    def right_share(self) -> float | None:
        """Share of the pairs that are ordered as measured [-]; None without any."""
        return self.right / self.pairs if self.pairs else None

    @property
    def clear_right_share(self) -> float | None:
        """The same of pairs that differ clearly."""
        return self.clear_right / self.clear_pairs if self.clear_pairs else None


@dataclass(frozen=True)
class Score:
    """How far predictions are from a table of measured points.

    Attributes
        comparisons     Every quantity of every point that could be modelled.
        not_modelled    Points that could not, and why.
        doubtful        Points left out because their own file doubts them.
    """

    comparisons: tuple[Comparison, ...]
    not_modelled: tuple[NotModelled, ...]
    doubtful: tuple[Measurement, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups with a comparison, in the order of the file."""
        return tuple(dict.fromkeys(each.measurement.group for each in self.comparisons))

    def of(self, quantity: str, group: str | None = None) -> tuple[Comparison, ...]:
        """Comparisons of one quantity, of one group or of all."""
        return tuple(
            each for each in self.comparisons if each.quantity == quantity and group in (None, each.measurement.group)
        )

    @property
    def num_points(self) -> int:
        """Measured points with a comparison [-]."""
        return len({each.measurement.place for each in self.comparisons})

    def errors(self, quantity: str, group: str | None = None) -> ErrorSummary | None:
        """Summary of the comparisons of one quantity, of one group or of all; None without any."""
        found = self.of(quantity, group)
        return ErrorSummary.of((each.predicted, each.measured) for each in found) if found else None

    @property
    def not_sustained(self) -> tuple[int, int]:
        """Points with paced arrivals that the model says are not sustained, and all that could be looked up [-].

        Notes       Latency is compared at loads that the model bears: where it is too slow, the worst are in no error.
        """
        left_out = sum(each.reason == ABOVE for each in self.not_modelled)
        compared = {each.measurement.place for each in self.comparisons if each.quantity != "rate"}
        return left_out, left_out + len(compared)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth telling of the comparisons: versions of engines that nobody knows."""
        rows = (each.measurement for each in self.comparisons)
        return tuple(dict.fromkeys(filter(None, (unknown_version(row.engine, row.engine_version) for row in rows))))

    def worst(self, count: int) -> tuple[Comparison, ...]:
        """The comparisons that are furthest off."""
        return tuple(sorted(self.comparisons, key=lambda each: -each.error)[:count])

    def ordering(self, group: str | None = None) -> Ordering:
        """How many pairs of deployments are ordered right by throughput per GPU.

        Notes       A pair is of one group, model, kind of requests and number of them under way, and differs in GPU
                    type, parallelism or precision, not in the number of replicas alone; two equal rates have no
                    order, measured or predicted.
        """
        alike: dict[tuple[object, ...], list[tuple[int, float, float]]] = {}
        numbers: dict[tuple[object, ...], int] = {}
        for each in self.of("rate", group):
            row = each.measurement
            gpus = row.tensor_parallel_size * row.pipeline_parallel_size
            under_way = None if row.concurrency is None else row.concurrency / row.replicas
            key = (row.group, row.model.lower(), row.workload, under_way)
            parallel = (row.tensor_parallel_size, row.pipeline_parallel_size)
            deployed = (row.gpu.lower(), *parallel, written_precision(row.weights), written_precision(row.kv))
            number = numbers.setdefault(deployed, len(numbers))
            alike.setdefault(key, []).append((number, each.measured / gpus, each.predicted / gpus))
        counts = np.zeros(4, dtype=np.int64)
        for rows in alike.values():
            deployment, measured, predicted = np.array(rows).T
            for index in range(len(rows) - 1):  # not all pairs at once: there may be millions
                later = slice(index + 1, None)
                apart = (measured[index] - measured[later]) * (predicted[index] - predicted[later])
                is_pair = (deployment[index] != deployment[later]) & (apart != 0)
                low, high = np.minimum(measured[index], measured[later]), np.maximum(measured[index], measured[later])
                is_clear = is_pair & (high >= CLEARLY * low)
                counts += [is_pair.sum(), (is_pair & (apart > 0)).sum(), is_clear.sum(), (is_clear & (apart > 0)).sum()]
        return Ordering(*counts.tolist())


def score(
    measurements: Sequence[Measurement],
    *,
    with_doubtful: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Score:
    """The analytic model beside measured points, at most `MOST_POINTS` of them.

    Parameters
        with_doubtful    Whether to compare points that their own file doubts.
        progress         Told how far it is.
    Raises               InputError: more points.
    Notes                A rate is compared where requests came all at once or a fixed number was under way, in which
                         case the replica runs no more sequences than that; latency where arrivals were paced. Of a
                         fixed number, latency is not compared: it hangs on how the load generator bunches requests.
    """
    comparisons: list[Comparison] = []
    not_modelled: list[NotModelled] = []
    doubtful: list[Measurement] = []
    require_at_most(MOST_POINTS, measurements)
    for number, measurement in enumerate(measurements):
        progress(f"point {number + 1:,} of {len(measurements):,}")
        if measurement.is_doubtful and not with_doubtful:
            doubtful.append(measurement)
            continue
        try:
            comparisons += _compared(KnownPoint.of(measurement))
        except CannotModelError as error:
            not_modelled.append(NotModelled(measurement, str(error)))
        except CuveeError as error:
            not_modelled.append(NotModelled(measurement, str(error).partition("\n")[0]))
    return Score(tuple(comparisons), tuple(not_modelled), tuple(doubtful))


def _compared(point: KnownPoint) -> list[Comparison]:
    """Every quantity that was measured and can be predicted."""
    row = point.measurement
    provider = AnalyticProvider(point.models, point.gpus, point.engine, NETWORK_GB_PER_S)
    table = provider.table([point.config], [point.workload])
    if not table.fits[0, 0]:
        raise CannotModelError("weights and one request do not fit by the model's count")
    point.require_possible()
    paced = row.request_rate_req_per_s is not None
    predicted = _at_load(point, provider, table) if paced else {"rate": float(table.rate_req_per_s[0, 0])}
    measured = {"rate": row.rate_req_per_s, "ttft": row.ttft_s, "tpot": row.tpot_s}
    if row.rate_req_per_s is not None:
        measured["rate"] = row.rate_req_per_s / row.replicas
    sequences = float(table.num_sequences[0, 0])
    found = [
        Comparison(row, name, point.engine.name, seen, predicted[name], sequences)
        for name, seen in measured.items()
        if seen is not None and name in predicted
    ]
    if not found:
        raise CannotModelError("nothing measured that the model predicts at this kind of load")
    return found


def _at_load(point: KnownPoint, provider: AnalyticProvider, table: ThroughputTable) -> dict[str, float]:
    """Predictions where arrivals were paced."""
    rate = (point.measurement.request_rate_req_per_s or 0.0) / point.measurement.replicas
    if rate >= float(table.rate_req_per_s[0, 0]):
        raise CannotModelError(ABOVE)
    objective = {point.config.model: LatencyObjective(LatencyLimits(NO_LIMIT_S, statistic="mean"))}
    found = LimitedProvider(provider, provider, objective).latency_at(table, np.full((1, 1), rate))
    return {"ttft": float(found.ttft_s[0, 0]), "tpot": float(found.tpot_s[0, 0])}
