"""What speaks against a load point by its own figures: failures, a short run, figures that contradict each other."""

import math
from collections.abc import Iterator

from cuvee.profile.imports.load_point import LoadPoint
from cuvee.profile.table import Provenance

FEW_FAILED = 0.01
"""Share of failed requests up to which a run is only remarked on [-]."""

SHORT_S = 10.0
"""A shorter run is mostly its beginning and its end [s]."""

FEW_REQUESTS = 20
ROUNDS = 2
"""Fewer answers than this for each request under way, and the run never was steady [-]."""

TOKENS_TOLERANCE = 0.05
"""Widest gap between req/s times answer length and output tokens/s [-], beside what rounding makes."""

ROUNDING_REQ_PER_S = 0.005
"""What two decimals, as most tools print them, may hide [req/s]."""

ABOVE_LITTLE = 0.10
"""Requests served beyond what their number under way over their time allows [-]: edges of the clock, no more."""

BELOW_LITTLE = 0.25
"""Requests short of that where the number was held [-]: then it was not held for a good part of the run."""

BEHIND = 0.10
"""Share of paced arrivals by which service may stay behind them, beside the noise of few requests [-]."""


def doubts_of(point: LoadPoint) -> Iterator[str]:
    """What speaks against the figures of a completed load point, one sentence each, with the arithmetic."""
    yield from point.doubts
    if point.provider is not Provenance.MEASURED:
        yield f"{point.provider}, not measured"
    yield from _gpus(point)
    yield from _failures(point)
    yield from _short(point)
    yield from _tokens(point)
    yield from _little(point)
    yield from _behind(point)


def remarks_of(point: LoadPoint) -> Iterator[str]:
    """What is worth telling of a load point and speaks not against it."""
    yield from point.remarks
    if point.failed and not list(_failures(point)):
        yield f"{point.failed} of {point.failed + (_answered(point) or 0)} requests failed"


def _gpus(point: LoadPoint) -> Iterator[str]:
    served = point.deployment
    if point.num_gpus not in (None, served.num_gpus):
        yield f"{point.num_gpus} GPUs are stated, but {served.replicas} replicas of TP{served.tp} PP{served.pp}"


def _answered(point: LoadPoint) -> int | None:
    """Requests answered in all [-], warm-up included; None where the file does not say."""
    return None if point.completed is None else point.completed + (point.warm_up_completed or 0)


def _failures(point: LoadPoint) -> Iterator[str]:
    answered = _answered(point)
    if point.failed and answered is not None:
        total = point.failed + answered
        if point.failed > FEW_FAILED * total:
            yield f"{point.failed} of {total} requests failed"


def _short(point: LoadPoint) -> Iterator[str]:
    if point.duration_s is not None and point.duration_s < SHORT_S:
        yield f"a run of {point.duration_s:.3g} s, below {SHORT_S:g} s"
    answered = _answered(point)
    if answered is None:
        return
    if answered < FEW_REQUESTS:
        yield f"{answered} requests, below {FEW_REQUESTS}"
    held = point.load.concurrency
    if held is not None and point.load.request_rate_req_per_s is None and answered < ROUNDS * held:
        yield f"{answered} requests with {held:g} under way: fewer than {ROUNDS} rounds"


def _tokens(point: LoadPoint) -> Iterator[str]:
    rate, tokens = point.rate_req_per_s, point.output_tokens_per_s
    if rate is None or tokens is None:
        return
    product = rate * point.output_tokens
    if abs(tokens / product - 1) > TOKENS_TOLERANCE + ROUNDING_REQ_PER_S / rate:
        yield (
            f"{rate:.4g} req/s x {point.output_tokens:.4g} tokens = {product:.4g} tokens/s, "
            f"but {tokens:.4g} tokens/s are stated"
        )


def end_to_end_s(point: LoadPoint) -> float | None:
    """Mean time of a request [s]: as stated, or TTFT and a TPOT for each further token."""
    if point.end_to_end is not None:
        return point.end_to_end.mean_s
    if point.ttft is None or point.tpot is None:
        return None
    return point.ttft.mean_s + point.tpot.mean_s * (point.output_tokens - 1)


def _little(point: LoadPoint) -> Iterator[str]:
    """Little's law: requests under way = rate x time of a request."""
    held, rate, time_s = point.load.concurrency, point.rate_req_per_s, end_to_end_s(point)
    if held is None or rate is None or time_s is None:
        return
    under_way = rate * time_s
    sum_text = f"{rate:.4g} req/s x {time_s:.4g} s a request = {under_way:.4g} under way"
    if under_way > held * (1 + ABOVE_LITTLE):
        yield f"{sum_text}, more than the {held:g} allowed"
    elif point.load.request_rate_req_per_s is None and under_way < held * (1 - BELOW_LITTLE):
        yield f"{sum_text}, but {held:g} were to be held: not steady for most of the run"


def _behind(point: LoadPoint) -> Iterator[str]:
    asked, rate = point.load.request_rate_req_per_s, point.rate_req_per_s
    if asked is None or rate is None:
        return
    noise = 3 / math.sqrt(point.completed) if point.completed else 0.0
    if rate < asked * (1 - BEHIND - noise):
        yield f"{rate:.4g} req/s served of {asked:.4g} req/s that arrived: latency grew for as long as the run lasted"
