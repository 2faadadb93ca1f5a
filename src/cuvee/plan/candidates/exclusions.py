"""Pairs of replica and workload type that miss a latency limit even when idle: left out, and listed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.question.problem import ModelDemand, PlanProblem
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.limited import LimitedProvider, LimitedTable
from cuvee.profile.replica import Stage
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.table import ThroughputProvider
from cuvee.workload.latency_limits import LABELS, time_text

MOST_LISTED = 1000
"""Excluded pairs that a plan lists one by one [-], those nearest to their limit; all of them are counted."""


MOST_NAMED = 3
"""Workload types without any replica that a message describes [-]."""


@dataclass(frozen=True)
class ExcludedPair:
    """A replica that cannot serve a workload type within the limits, whatever its load.

    Attributes
        limit      The limit it misses by most: "ttft_s", "tpot_s" or "e2e_s".
        limit_s    That limit [s].
        idle_s     The same latency of an idle replica [s]; None where there is no estimate of it, so that no limit can
                   be shown to hold.
    """

    model: str
    stages: tuple[Stage, ...]
    precision: str
    spans_machines: bool
    workload: str
    limit: str
    limit_s: float
    idle_s: float | None

    @property
    def excess(self) -> float:
        """By how much of the limit the idle replica misses it [-]; inf where there is no estimate."""
        return math.inf if self.idle_s is None else self.idle_s / self.limit_s - 1


@dataclass(frozen=True)
class ExcludedKind:
    """Excluded pairs of one workload type on one GPU type.

    Attributes
        gpu           GPU type; "" for pipelines over several.
        num_pairs     Replica configurations left out [-].
        num_fitting   Those that fit in memory, these among them [-].
        nearest       The one that misses its limit by least.
    """

    model: str
    gpu: str
    workload: str
    num_pairs: int
    num_fitting: int
    nearest: ExcludedPair

    @property
    def share(self) -> float:
        """Of those that fit, the share that is left out [-]."""
        return self.num_pairs / self.num_fitting


@dataclass(frozen=True)
class Exclusions:
    """What latency limits leave out.

    Attributes
        num_pairs     Pairs of replica configuration and workload type left out [-].
        num_fitting   Pairs that fit in memory, these among them [-].
        kinds         All of them, counted by model, GPU type and workload type.
        pairs         One by one those nearest to their limit, `MOST_LISTED` at most.
    """

    num_pairs: int
    num_fitting: int
    kinds: tuple[ExcludedKind, ...]
    pairs: tuple[ExcludedPair, ...]


def limited_provider(
    provider: ThroughputProvider, estimates: AnalyticProvider, models: Sequence[ModelDemand]
) -> ThroughputProvider:
    """`provider` within the latency limits of `models` instead of those it had; without any where they have none."""
    saturated = without_limits(provider)
    objectives = {entry.model.name: entry.latency for entry in models if entry.latency is not None}
    limiting = {name: each for name, each in objectives.items() if each.limits_anything}
    if not limiting:
        return saturated
    # Where no rate is known that is not the estimate's, none need be stretched.
    return LimitedProvider(estimates if saturated == estimates else saturated, estimates, limiting)


def without_limits(provider: ThroughputProvider) -> ThroughputProvider:
    """The provider that latency limits were put around, if any were."""
    return provider.provider if isinstance(provider, LimitedProvider) else provider


def limit_candidates(candidates: CandidateSet, provider: LimitedProvider) -> tuple[CandidateSet, Exclusions]:
    """`candidates`, with saturated rates, within the limits of `provider`; and the pairs that drop out."""
    limited = [provider.limited(table) for table in candidates.tables]
    keep = np.zeros(len(candidates), dtype=bool)
    for index, each in enumerate(limited):
        mine = np.flatnonzero(candidates.model_index == index)
        keep[mine] = np.asarray(each.table.fits.any(axis=1))[candidates.config[mine]]
    kept = replace(candidates, tables=tuple(each.table for each in limited)).select(keep)
    return kept, list_exclusions(limited, provider)


def list_exclusions(limited: Sequence[LimitedTable], provider: LimitedProvider) -> Exclusions:
    """The pairs that fit and cannot hold the limits, nearest to its limit first."""
    found: list[tuple[float, int, int, int]] = []
    num_pairs = 0
    for index, each in enumerate(limited):
        rows, columns = np.nonzero(each.saturated.fits & ~each.table.fits)
        num_pairs += len(rows)
        ratios = np.nan_to_num(each.excess[rows, columns], nan=np.inf)
        nearest = np.argsort(ratios, kind="stable")[:MOST_LISTED]
        found += [(float(ratios[at]), index, int(rows[at]), int(columns[at])) for at in nearest]
    found.sort()
    pairs = tuple(_pair(limited[index], provider, row, column) for _, index, row, column in found[:MOST_LISTED])
    kinds = tuple(kind for each in limited for kind in _kinds(each, provider))
    return Exclusions(num_pairs, sum(int(each.saturated.fits.sum()) for each in limited), kinds, pairs)


def _kinds(limited: LimitedTable, provider: LimitedProvider) -> Iterator[ExcludedKind]:
    """The pairs left out by GPU type and workload type."""
    table = limited.saturated
    if not len(table.configs):
        return
    configs = ReplicaArrays.of(table.configs)
    first = configs.gpu[:, :1]
    gpu = np.where(((configs.gpu == first) | ~configs.present).all(axis=1), first[:, 0], -1)
    left_out = table.fits & ~limited.table.fits
    for index in sorted(np.unique(gpu).tolist(), key=lambda index: (index < 0, index)):
        rows = np.flatnonzero(gpu == index)
        name = configs.gpu_names[index] if index >= 0 else ""
        for column in np.flatnonzero(left_out[rows].any(axis=0)):
            mine = rows[left_out[rows, column]]
            ratios = np.nan_to_num(limited.excess[mine, column], nan=np.inf)
            nearest = _pair(limited, provider, int(mine[ratios.argmin()]), int(column))
            num_fitting = int(table.fits[rows, column].sum())
            yield ExcludedKind(nearest.model, name, nearest.workload, len(mine), num_fitting, nearest)


def explain_limits(problem: PlanProblem, candidates: CandidateSet, provider: LimitedProvider) -> str:
    """Why a workload type is served by no pair under the limits, where it is by some without; "" where none is.

    Parameters
        candidates    All that fit in the stock, whatever they cost, with saturated rates.
    """
    lines = []
    for entry, table in zip(problem.models, candidates.tables, strict=True):
        limited = provider.limited(table)
        lost = np.flatnonzero(limited.saturated.fits.any(axis=0) & ~limited.table.fits.any(axis=0))
        named = [_nearest(entry, limited, provider, int(column)) for column in lost[:MOST_NAMED]]
        named += [f"{len(lost) - MOST_NAMED} more types"] if len(lost) > MOST_NAMED else []
        if named:
            lines.append(f"no replica serves {entry.model.name} within the latency limits on {'; '.join(named)}")
    return "; ".join(lines)


def _pair(limited: LimitedTable, provider: LimitedProvider, row: int, column: int) -> ExcludedPair:
    table = limited.saturated
    config, workload = table.configs[row], table.workloads[column].name
    limits = provider.limits_of(config.model, workload).as_dict()
    idle = {name: float(getattr(limited.idle, name)[row, column]) for name in limits}
    worst = max(limits, key=lambda name: idle[name] / limits[name])
    return ExcludedPair(
        config.model,
        config.stages,
        config.precision,
        config.spans_machines,
        workload,
        worst,
        limits[worst],
        idle[worst] if np.isfinite(idle[worst]) else None,
    )


def _nearest(entry: ModelDemand, limited: LimitedTable, provider: LimitedProvider, column: int) -> str:
    """The replica that misses the limits on one workload type by least, by how much, and what it would take."""
    kind = limited.saturated.workloads[column]
    limits = provider.limits_of(entry.model.name, kind.name)
    ratios = np.where(limited.saturated.fits[:, column], limited.excess[:, column], np.inf)
    row = int(np.nan_to_num(ratios, nan=np.inf).argmin())
    config = limited.saturated.configs[row]
    idle = {name: float(getattr(limited.idle, name)[row, column]) for name in limits.as_dict()}
    if not np.isfinite(list(idle.values())).all():
        return f"{kind.name}: nothing is known of the latency of any, so that no limit can be shown to hold"
    missed = {name: limit for name, limit in limits.as_dict().items() if idle[name] > limit}
    takes = " and ".join(
        f"{LABELS[name]} {time_text(idle[name])} (limit {time_text(most)})" for name, most in missed.items()
    )
    enough = ",".join(f"{name.removesuffix('_s')}={_above(idle[name]):g}" for name in missed)
    half = provider.latency_at_share(limited.saturated.select([row]), 0.5)
    at_half = " and ".join(f"{LABELS[name]} {time_text(float(getattr(half, name)[0, column]))}" for name in missed)
    label = " ".join(
        [config.gpu_label, config.parallel_label, *([config.precision] if len(entry.precisions) > 1 else [])]
    )
    return (
        f"{kind.name}: the nearest, {label}, has {limits.statistic} {takes} even "
        f"when idle; the least that works is --slo {kind.name}:{enough}, and half of its load takes {at_half}"
    )


def _above(value_s: float) -> float:
    """`value_s` [s] rounded up to three digits, so that an idle replica is within it with something to spare."""
    step = 10.0 ** (np.floor(np.log10(value_s)) - 2)
    return float(f"{(np.floor(value_s / step * (1 + 1e-9)) + 1) * step:.3g}")
