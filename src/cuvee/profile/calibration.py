"""Constants fitted to measured points, configuration by configuration, and how far they are off: `calibrate`."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import CuveeError
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.bands import BAND_SHARE, distance
from cuvee.profile.calibrated import CalibratedReplica
from cuvee.profile.constants import CONSTANTS, NAMES, touches, tuned
from cuvee.profile.engine import unknown_version
from cuvee.profile.error_summary import CalibrationErrors, ErrorSummary
from cuvee.profile.fitting import NOISE, Fitted, Observed, fit
from cuvee.profile.measured import LENGTH_TOLERANCE
from cuvee.profile.measurements import Measurement, require_at_most
from cuvee.profile.points import CannotModelError, KnownPoint
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays

Array = NDArray[np.float64]

SHARED = (1.0, 0.5, 0.5)
"""Of a constant's spread, what its engine, its GPU type under that engine, and the configuration itself have [-]: most
of what a data sheet does not say is the engine's, and the same kernels serve all GPUs and models."""

UNEXPLAINED = 3.0
"""A point further than this many times the noise from the fit that knows it is an outlier [-]."""

GROSS = math.log(3.0)
"""A point alone of its configuration is an outlier where the model is off by more than this [-], as a logarithm."""

WIDEST_BAND = 1.0
"""Constants that predict points left out with a wider error band, or error where there is no band, are not used [-]."""

MOST_POINTS = 2_000
"""Points that constants are fitted to at once [-]: some minutes, and three of a configuration are enough."""

TELLING = 0.25
"""A constant within this many widths of its prior is none that the points speak of [-]."""

UNLIMITED = 1e9
"""Stands for the requests under way where they were not limited [-]."""

OFFERED = "arrivals were paced: its rate is the load offered, not what the replica sustains"
NO_RATE = "no rate: constants are fitted to rates"


@dataclass(frozen=True)
class CalibratedPoint:
    """One measured point beside what the model says of it; rates are of one replica [req/s].

    Attributes
        concurrency                Requests held under way per replica [-]; None where they were not limited.
        uncalibrated_req_per_s     Of the engine's constants.
        fitted_req_per_s           Of the constants fitted to all points.
        left_out_req_per_s         Of those fitted without the points of its kind of requests.
        is_outlier                 Whether no constants explain it beside the others; of one kind of requests, whether
                                   the model is more than 3 times off.
        date                       Of the measurement; "" where its file does not say.
    """

    id: str
    source: str
    input_tokens: float
    output_tokens: float
    concurrency: float | None
    rate_req_per_s: float
    uncalibrated_req_per_s: float
    fitted_req_per_s: float
    left_out_req_per_s: float
    is_outlier: bool
    date: str = ""

    def error(self, predicted_req_per_s: float) -> float:
        """|predicted / measured - 1| [-]."""
        return abs(predicted_req_per_s / self.rate_req_per_s - 1)


@dataclass(frozen=True)
class CalibratedConfiguration:
    """Constants of one configuration, with the points they come from.

    Attributes
        engine_version    As the points have it.
        kinds             What the points are measurements of [-]: pairs of lengths, or loads where all lengths are one.
    """

    replica: CalibratedReplica
    engine_version: str
    kinds: int
    points: tuple[CalibratedPoint, ...]

    @property
    def errors_uncalibrated(self) -> list[float]:
        """Of each point, with the engine's constants [-]."""
        return [point.error(point.uncalibrated_req_per_s) for point in self.points]

    @property
    def errors_left_out(self) -> list[float]:
        """Of each point, predicted without those of its kind [-]; none where there is one kind of requests."""
        return [point.error(point.left_out_req_per_s) for point in self.points] if self.kinds > 1 else []

    @property
    def errors(self) -> CalibrationErrors:
        """Errors of its points in a few figures."""
        return _errors_of([self], is_left_out=self.kinds > 1)

    @property
    def distances_left_out(self) -> list[float]:
        """The same as distances, of which bands are made [-]."""
        points = self.points if self.kinds > 1 else ()
        return [distance(point.left_out_req_per_s, point.rate_req_per_s) for point in points]

    def telling_constants(self, spreads: Mapping[str, float]) -> dict[str, float]:
        """Constants that the points speak of, those furthest from 1 by the widths of their priors `spreads` first."""
        by_width = sorted(self.replica.constants.items(), key=lambda each: -abs(math.log(each[1])) / spreads[each[0]])
        return {name: value for name, value in by_width if abs(math.log(value)) / spreads[name] > TELLING}


@dataclass(frozen=True)
class SetAside:
    """A point that says nothing of constants, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Calibration:
    """Constants of every configuration that was measured.

    Attributes
        date          Of the fit, e.g. "2026-11-22".
        noise         Scale of the error of a measured rate [-].
        spreads       Prior of each constant: standard deviation of its logarithm, all levels together [-].
        set_aside     Points left out.
    """

    date: str
    noise: float
    spreads: dict[str, float]
    configurations: tuple[CalibratedConfiguration, ...]
    set_aside: tuple[SetAside, ...] = ()

    @property
    def errors(self) -> CalibrationErrors | None:
        """Errors of all configurations of two or more kinds of requests together; None where there is none."""
        known = [each for each in self.configurations if each.kinds > 1]
        return _errors_of(known, is_left_out=True) if known else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth telling of the points: versions of engines that nobody knows."""
        told = (unknown_version(each.replica.engine, each.engine_version) for each in self.configurations)
        return tuple(dict.fromkeys(filter(None, told)))


def _errors_of(configurations: Sequence[CalibratedConfiguration], *, is_left_out: bool) -> CalibrationErrors:
    points = [point for each in configurations for point in each.points]
    before = ErrorSummary.of((point.uncalibrated_req_per_s, point.rate_req_per_s) for point in points)
    after = ErrorSummary.of((point.left_out_req_per_s, point.rate_req_per_s) for point in points)
    return CalibrationErrors(before, after if is_left_out else None)


def calibrate(
    measurements: Sequence[Measurement],
    *,
    date: str,
    with_doubtful: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Constants of every configuration with a measured rate, fitted to all points at once, at most `MOST_POINTS`.

    Parameters
        date             Of the fit.
        with_doubtful    Whether to use points that their own file doubts.
        progress         Told how far it is.
    Raises               InputError: more points.
    """
    require_at_most(MOST_POINTS, measurements)
    set_aside: list[SetAside] = []
    groups: dict[tuple[str, str, ReplicaConfig], list[KnownPoint]] = {}
    for number, measurement in enumerate(measurements):
        progress(f"looking up point {number + 1:,} of {len(measurements):,}")
        try:
            point = _usable(measurement, with_doubtful=with_doubtful)
        except CannotModelError as error:
            set_aside.append(SetAside(measurement.id, str(error)))
        except CuveeError as error:
            set_aside.append(SetAside(measurement.id, str(error).partition("\n")[0]))
        else:
            version = measurement.engine_version
            groups.setdefault((measurement.engine.lower(), version, point.config), []).append(point)
    alike = [_Alike(key[:2], tuple(points)) for key, points in groups.items()]
    spreads = np.array([constant.spread for constant in CONSTANTS])
    telling = [each for each in alike if each.kinds.max() > 0]
    found = fit([each.observed for each in telling], np.outer(SHARED, spreads), progress)
    fits = dict(zip(telling, found, strict=True))
    return Calibration(
        date=date,
        noise=NOISE,
        spreads=dict(zip(NAMES, (spreads * np.linalg.norm(SHARED)).tolist(), strict=True)),
        configurations=tuple(_banded(alike, [each.configuration(fits.get(each)) for each in alike])),
        set_aside=tuple(set_aside),
    )


def _usable(row: Measurement, *, with_doubtful: bool) -> KnownPoint:
    """The point of `row`; raises CannotModelError or CuveeError with the reason why it says nothing of constants."""
    if row.is_doubtful and not with_doubtful:
        raise CannotModelError("marked doubtful by its file")
    if row.rate_req_per_s is None:
        raise CannotModelError(NO_RATE)
    if row.request_rate_req_per_s is not None:
        raise CannotModelError(OFFERED)
    point = KnownPoint.of(row)
    point.require_possible()
    if not _Alike(("", ""), (point,)).rates({})[0] > 0:
        raise CannotModelError("weights and one request do not fit by the model's count")
    return point


@dataclass(frozen=True, eq=False)
class _Alike:
    """Points of one configuration.

    Attributes
        engine    Name and version as written.
    """

    engine: tuple[str, str]
    points: tuple[KnownPoint, ...]

    @cached_property
    def measured(self) -> Array:
        """Rates of one replica [req/s]."""
        rows = (point.measurement for point in self.points)
        return np.array([(row.rate_req_per_s or 0.0) / row.replicas for row in rows])

    @cached_property
    def loads(self) -> Array:
        """Logarithms of prompt and answer lengths and of the requests under way, shape (num_points, 3)."""
        rows = [point.measurement for point in self.points]
        held = [UNLIMITED if row.concurrency is None else row.concurrency / row.replicas for row in rows]
        lengths = [[row.input_tokens, row.output_tokens] for row in rows]
        loads: Array = np.log(np.column_stack([lengths, held]))
        return loads

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Which points have the same mean lengths but for 5 % [-]."""
        return _alike_within(self.loads[:, :2], LENGTH_TOLERANCE)

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """Which points are of one kind of requests [-]: of the same lengths; where all are, of the same concurrency."""
        return self.lengths if self.lengths.max() > 0 else _alike_within(self.loads, LENGTH_TOLERANCE)

    @cached_property
    def _configs(self) -> ReplicaArrays:
        return ReplicaArrays.of([self.points[0].config])

    @property
    def observed(self) -> Observed:
        """The points as the fit takes them."""
        config = self.points[0].config
        by_gpu = (self.engine, config.stages[0].gpu)
        floor = np.finfo(float).tiny  # constants may leave no room for a request

        def log_rates(log_constants: Array) -> Array:
            constants = dict(zip(NAMES, np.exp(log_constants).tolist(), strict=True))
            return np.log(np.maximum(self.rates(constants), floor))

        groups, touched = (self.engine, by_gpu, (by_gpu, config)), np.array(touches(config))
        return Observed(groups, log_rates, np.log(self.measured), touched, self.kinds)

    def rates(self, constants: Mapping[str, float]) -> Array:
        """Rates of one replica [req/s] with `constants`; 0 where it does not fit."""
        config = self.points[0].config
        model = self.points[0].models[config.model]
        found = np.zeros(len(self.points))
        for rows in self._by_limits().values():
            gpu = self.points[0].gpus[config.stages[0].gpu]
            corrected = tuned(model, config, gpu, self.points[rows[0]].engine, constants)
            provider = AnalyticProvider(self.points[0].models, {gpu.name: corrected.gpu}, corrected.engine)
            table = provider.table(self._configs, [self.points[row].workload for row in rows])
            found[rows] = table.rate_req_per_s[0] * corrected.overall
        return found

    def _by_limits(self) -> dict[int, list[int]]:
        """Points by the most sequences that their load lets the engine run."""
        rows: dict[int, list[int]] = {}
        for index, point in enumerate(self.points):
            rows.setdefault(point.engine.max_num_seqs, []).append(index)
        return rows

    def configuration(self, found: Fitted | None) -> CalibratedConfiguration:
        """The record of `found`; None where the points do not tell which constants are off."""
        config, kinds = self.points[0].config, int(self.kinds.max()) + 1
        stated = self.rates({})
        if found is None:
            residuals = np.log(self.measured / stated)
            found = Fitted(np.zeros(0), residuals, residuals)
        points = tuple(
            CalibratedPoint(
                id=row.id,
                source=row.source,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                concurrency=None if row.concurrency is None else row.concurrency / row.replicas,
                rate_req_per_s=float(rate),
                uncalibrated_req_per_s=float(before),
                fitted_req_per_s=float(rate * np.exp(-residual)),
                left_out_req_per_s=float(rate * np.exp(-left_out)),
                is_outlier=bool(abs(residual) > (UNEXPLAINED * NOISE if kinds > 1 else GROSS)),
                date=row.date,
            )
            for row, rate, before, residual, left_out in zip(
                (point.measurement for point in self.points), self.measured, stated, found.residuals, found.left_out,
                strict=True,
            )
        )  # fmt: skip
        replica = CalibratedReplica(
            gpu=config.stages[0].gpu,
            model=config.model,
            precision=config.precision,
            kv_precision=config.kv_precision,
            tensor_parallel_size=config.stages[0].tensor_parallel_size,
            pipeline_parallel_size=len(config.stages),
            engine=self.points[0].engine.name,
            constants=dict(zip(NAMES[: len(found.log_constants)], np.exp(found.log_constants).tolist(), strict=True)),
        )
        return CalibratedConfiguration(replica, self.engine[1], kinds, points)


def _banded(
    alike: Sequence[_Alike], configurations: Sequence[CalibratedConfiguration]
) -> Iterator[CalibratedConfiguration]:
    """`configurations` with their error bands; one with too few errors of its own has those of all of its engine."""
    # One kind of requests at several loads says how loads differ, not how other requests do.
    errors = [
        each.distances_left_out if points.lengths.max() > 0 else []
        for points, each in zip(alike, configurations, strict=True)
    ]
    for points, each, own in zip(alike, configurations, errors, strict=True):
        of_engine = [
            error
            for other, found in zip(alike, errors, strict=True)
            if other.engine == points.engine
            for error in found
        ]
        band = band_of(own)
        if band is None and own and (of_all := band_of(of_engine)) is not None:
            band = max(of_all, *own)
        if (max(own, default=0.0) if band is None else band) > WIDEST_BAND:
            yield replace(each, replica=replace(each.replica, constants={}))
            continue
        yield replace(each, replica=replace(each.replica, relative_error=band))


def band_of(errors: Iterable[float]) -> float | None:
    """Error band [-] from distances of points left out, never below the noise; None of fewer than four.

    Notes       The distance of rank ceil(0.8 (n + 1)): that which the next one stays below in four of five cases.
    """
    ranked = sorted(errors)
    rank = math.ceil(BAND_SHARE * (len(ranked) + 1) - 1e-9)
    return max(NOISE, ranked[rank - 1]) if rank <= len(ranked) else None


def _alike_within(values: Array, tolerance: float) -> NDArray[np.int64]:
    """Number of the first row that each row lies within `tolerance` of, counted from 0 over rows that begin a kind."""
    firsts: list[Array] = []
    kinds = np.zeros(len(values), dtype=np.int64)
    for index, row in enumerate(values):
        near = [number for number, first in enumerate(firsts) if np.abs(row - first).max() <= tolerance]
        if not near:
            firsts.append(row)
        kinds[index] = near[0] if near else len(firsts) - 1
    return kinds
