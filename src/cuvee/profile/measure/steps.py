"""Which load to measure next, and what the loads measured so far say of saturation: decisions without a clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import Point, WantedLoad

DOUBLE, LEAP = 2, 4
"""Factors by which the number of requests under way is raised [-]."""

NEARLY_LINEAR = 0.85
"""Growth of the rate over that of the requests under way that is as good as equal [-]: twice in a row, and saturation
is far away."""

TIMES_WITHIN = 2.0
"""An interval this many times wider than was asked for shows nothing [-]."""


@dataclass(frozen=True)
class Saturation:
    """The saturated rate of one type.

    Attributes
        point         Where it was measured.
        is_reached    Whether more requests under way were shown to bring no more.
    """

    point: Point
    is_reached: bool


def next_load(points: Sequence[Point], options: MeasureOptions, *, first: int, search: bool) -> WantedLoad | None:
    """The next load of a type; None where all is measured.

    Parameters
        points    Measured so far, of this type.
        first     Requests under way to begin with [-].
        search    Whether there is time left to search for saturation.
    """
    held = _held(points)
    if search and not held:
        return WantedLoad(min(first, max(options.max_concurrency // DOUBLE, 1)))  # one alone would show nothing
    if search and (concurrency := _next_concurrency(held, options)):
        return WantedLoad(concurrency)
    found = saturation(points, options)
    if found is None:
        return None
    done = {point.load for point in points}
    for share in options.loads:
        if share not in done:
            return WantedLoad(request_rate_req_per_s=share * found.point.rate_req_per_s, share=share)
    return None


def saturation(points: Sequence[Point], options: MeasureOptions) -> Saturation | None:
    """The saturated rate; None before anything was held under way.

    Notes       That of the most requests under way, at which more than fewer brought nothing: the highest of several
                rates would be the luckiest. Where it is clearly below another, as when requests are evicted, that one.
    """
    held = _held(points)
    if not held:
        return None
    best = held[-1]
    for point in reversed(held[:-1]):
        if _is_above(point, best, options):
            best = point
    known = all(point.interval.relative <= TIMES_WITHIN * options.within for point in held[-2:])
    is_reached = len(held) > 1 and known and not _is_above(held[-1], held[-2], options)
    return Saturation(best, is_reached)


def _next_concurrency(held: Sequence[Point], options: MeasureOptions) -> int | None:
    """Requests under way at which to look next [-]; None where the rate has stopped growing."""
    last = held[-1]
    if len(held) == 1:
        return _raised(last, DOUBLE, options)
    earlier = held[-2]
    if _under_way(last) > DOUBLE * _under_way(earlier) and not _is_linear(earlier, last):
        return _under_way(earlier) * DOUBLE  # it bends in what was leapt over, and fewer are sooner measured than more
    if not _is_above(last, earlier, options):
        return None
    far = len(held) > 2 and _is_linear(earlier, last) and _is_linear(held[-3], earlier)
    return _raised(last, LEAP if far else DOUBLE, options)


def _is_linear(earlier: Point, later: Point) -> bool:
    """Whether the rate grew nearly as the number under way did."""
    growth = later.rate_req_per_s / earlier.rate_req_per_s
    return growth >= NEARLY_LINEAR * _under_way(later) / _under_way(earlier)


def _raised(point: Point, factor: int, options: MeasureOptions) -> int | None:
    raised = min(_under_way(point) * factor, options.max_concurrency)
    return raised if raised > _under_way(point) else None


def _is_above(first: Point, second: Point, options: MeasureOptions) -> bool:
    """Whether the rate of `first` is higher by more than both intervals together allow, and by enough to matter."""
    apart = first.rate_req_per_s - second.rate_req_per_s
    both = math.hypot(first.interval.half_width, second.interval.half_width)
    return apart > max(both, options.least_growth * second.rate_req_per_s)


def _held(points: Sequence[Point]) -> list[Point]:
    return sorted((point for point in points if point.is_held), key=_under_way)


def _under_way(point: Point) -> int:
    return point.concurrency or 0
