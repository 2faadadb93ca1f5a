"""What a measurement will take, by the throughput model: requests, tokens and time, before anything is sent."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cuvee.errors import CuveeError
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.held import FEWEST_ANSWERS
from cuvee.profile.measure.options import USUAL_FIRST, MeasureOptions
from cuvee.profile.measure.point import TIGHT, Point, WantedLoad
from cuvee.profile.measure.steps import next_load
from cuvee.profile.measurements import Measurement
from cuvee.profile.points import CannotModelError, KnownPoint
from cuvee.workload.records import WorkloadType

USUAL_ENGINE = "vllm"
"""Stands for the engine where nobody has named it yet."""

BELIEVED = 2.0
"""Times longer or shorter than measured that the model may say a lone request takes [-]."""


@dataclass(frozen=True)
class Expected:
    """What one type will take; about, as the rates are those of a model.

    Attributes
        rate_req_per_s    Highest of the loads that hold requests under way [req/s].
        loads             In the order they come.
        requests, tokens, seconds    [-], [tokens], [s].
    """

    workload: WorkloadType
    rate_req_per_s: float
    loads: tuple[WantedLoad, ...]
    requests: float
    tokens: float
    seconds: float


def expected_of(
    deployment: Deployment, types: Iterable[WorkloadType], options: MeasureOptions
) -> tuple[Expected | None, ...]:
    """What each type will take; None where the model knows no rate of it."""
    return tuple(_expected(deployment, workload, options) for workload in types)


def _expected(deployment: Deployment, workload: WorkloadType, options: MeasureOptions) -> Expected | None:
    modelled = _modelled(deployment, workload)
    if modelled is None:
        return None
    alone_s = 1.0 / (_held_rate_req_per_s(deployment, workload, 1) or modelled[0])
    points: list[Point] = []
    requests = seconds = 0.0
    first = first_concurrency(deployment, workload, options)
    while load := next_load(points, options, first=first, search=True):
        if load.concurrency is not None:
            rate = _held_rate_req_per_s(deployment, workload, load.concurrency) or modelled[0]
            life_s = load.concurrency / rate
            answers = max(FEWEST_ANSWERS - load.concurrency, options.rounds * load.concurrency)
        else:
            rate, life_s, answers = load.request_rate_req_per_s or 0.0, alone_s, options.least_requests
        took_s = life_s + max(answers / rate, options.least_window_s)
        seconds += took_s
        requests += rate * took_s
        points.append(_point(workload, load, rate))
    # Those that are under way at the end have no answer, and were sent all the same.
    requests += max(point.concurrency or 0 for point in points)
    tokens = requests * (workload.input_tokens + workload.output_tokens)
    loads = tuple(WantedLoad(point.concurrency, point.request_rate_req_per_s, point.load) for point in points)
    highest = max(point.rate_req_per_s for point in points if point.is_held)
    return Expected(workload, highest, loads, requests, tokens, seconds)


def _held_rate_req_per_s(deployment: Deployment, workload: WorkloadType, concurrency: int) -> float | None:
    """Rate with `concurrency` requests under way over all replicas [req/s]; None where the model knows none."""
    modelled = _modelled(deployment, workload, concurrency=float(concurrency))
    if modelled is None:
        return None
    rate, under_way = modelled
    return rate * min(1.0, concurrency / under_way)  # a replica is modelled with one request at least


def first_concurrency(
    deployment: Deployment, workload: WorkloadType, options: MeasureOptions, *, alone_s: float | None = None
) -> int:
    """Requests under way where the search for saturation begins [-].

    Parameters
        alone_s    Time that one request took alone [s]: a model that does not know that knows nothing of others.
    Notes          Half of what the model says are running at saturation, as a power of two: a model that is twice too
                   high or too low costs one load more, and the result hangs on what is measured alone.
    """
    if options.first_concurrency is not None:
        return options.first_concurrency
    modelled = _modelled(deployment, workload)
    alone = _modelled(deployment, workload, concurrency=1.0) if alone_s else None
    if modelled is None or (alone is not None and not 1 / BELIEVED <= (alone_s or 0.0) * alone[0] <= BELIEVED):
        return USUAL_FIRST
    return int(2 ** max(int(math.log2(max(modelled[1], 1.0))) - 1, 0))


def _modelled(
    deployment: Deployment, workload: WorkloadType, *, concurrency: float | None = None
) -> tuple[float, float] | None:
    """Rate [req/s] and requests under way [-] of the whole deployment: saturated, or with `concurrency` held [-]."""
    row = Measurement(
        place="", id="", group="",
        gpu=deployment.gpu or "", model=deployment.model or "", engine=deployment.engine or USUAL_ENGINE,
        engine_version=deployment.engine_version or "", weights=deployment.weights or "", kv=deployment.kv or "",
        num_gpus=None, tensor_parallel_size=deployment.tp or 1, pipeline_parallel_size=deployment.pp or 1,
        replicas=deployment.replicas or 1, input_tokens=workload.input_tokens, output_tokens=workload.output_tokens,
        concurrency=concurrency, request_rate_req_per_s=None, rate_req_per_s=None, ttft_s=None, tpot_s=None,
        is_doubtful=False, note="", source="",
    )  # fmt: skip
    try:
        known = KnownPoint.of(row)
    except (CannotModelError, CuveeError):
        return None
    provider = AnalyticProvider(known.models, known.gpus, known.engine, NETWORK_GB_PER_S)
    table = provider.table([known.config], [known.workload])
    rate, under_way = float(table.rate_req_per_s[0, 0]), float(table.num_sequences[0, 0])
    return (rate * row.replicas, under_way * row.replicas) if rate > 0 and under_way > 0 else None


def _point(workload: WorkloadType, load: WantedLoad, rate_req_per_s: float) -> Point:
    """A load as if it had been measured, without error."""
    return Point(
        workload.name, load.concurrency, load.request_rate_req_per_s, load.share, workload.input_tokens,
        workload.output_tokens, rate_req_per_s, 0.0, None, None, None, None, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, TIGHT, "",
    )  # fmt: skip
