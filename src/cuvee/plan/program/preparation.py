"""Preparation: a problem with its candidates, what plans and baselines on equal terms share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import load_gpu_types
from cuvee.errors import DoesNotFitError, InputError
from cuvee.plan.candidates.candidate_set import CandidateSet, generate_candidates
from cuvee.plan.candidates.exclusions import Exclusions, limit_candidates, limited_provider, without_limits
from cuvee.plan.outcome.result import (
    PlanInputs,
)
from cuvee.plan.program.running import with_running
from cuvee.plan.question.problem import PlanProblem
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.engine import EngineSettings, find_engine
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.memory import free_bytes_per_gpu
from cuvee.profile.pessimism import lowered
from cuvee.profile.phases import AnalyticPhases, PhaseProvider
from cuvee.profile.providers import amid
from cuvee.profile.table import ThroughputProvider


@dataclass(frozen=True, eq=False)
class PreparedProblem:
    """A problem with its candidates: what plans and baselines on equal terms share.

    Attributes
        candidates    All that fit and the budget can buy.
        excluded      Pairs of replica and workload type that latency limits leave out; None without limits.
    """

    problem: PlanProblem
    candidates: CandidateSet
    inputs: PlanInputs
    provider: ThroughputProvider
    gpus: Mapping[str, GpuType]
    phases: PhaseProvider
    excluded: Exclusions | None = None


def prepare(
    problem: PlanProblem,
    *,
    engine: EngineSettings | None = None,
    network_gb_per_s: float = NETWORK_GB_PER_S,
    provider: ThroughputProvider | None = None,
    gpus: Mapping[str, GpuType] | None = None,
    scenario: str = "",
    must_fit: bool = True,
    phases: PhaseProvider | None = None,
) -> PreparedProblem:
    """Generate the candidates of `problem`.

    Parameters
        engine              Engine constants; the default engine where None.
        network_gb_per_s    Link between machines, one direction [GB/s].
        provider            Throughput of configurations; the analytic model of `engine` where None.
        gpus                GPU types by name; the catalogue where None.
        scenario            Where the problem comes from, kept in the plan.
        must_fit            Whether a model that fits no replica of any offer is an error.
        phases              Throughput of configurations that do one phase; the analytic model's where None.
    Raises                  DoesNotFitError, or InputError where context or precision rule it out: as `must_fit` says.
    """
    engine = engine or find_engine("vllm")
    gpus = load_gpu_types() if gpus is None else gpus
    models = {entry.model.name: entry.model for entry in problem.models}
    analytic = AnalyticProvider(models, gpus, engine, network_gb_per_s)
    phases = phases or AnalyticPhases(analytic)
    analytic = replace(analytic, mixes=problem.mixes)
    saturated = lowered(without_limits(provider or analytic), problem.caution.pessimism, engine)
    saturated = amid(saturated, problem.mixes)
    provider = limited_provider(saturated, analytic, problem.models)
    candidates = generate_candidates(problem, saturated, gpus, budget_usd_per_hour=problem.limits.budget_usd_per_hour)
    if must_fit and len(np.unique(candidates.model_index)) < len(problem.models):
        _require_fit(problem, generate_candidates(problem, saturated, gpus), gpus, engine)
    excluded = None
    if isinstance(provider, LimitedProvider):
        candidates, excluded = limit_candidates(candidates, provider)
    candidates = with_running(candidates, problem, provider)
    sources = tuple(dict.fromkeys(str(source) for table in candidates.tables for source in table.sources))
    inputs = PlanInputs(problem, engine, network_gb_per_s, sources, scenario, gpus=_own_gpus(problem, gpus))
    return PreparedProblem(problem, candidates, inputs, provider, gpus, phases, excluded)


def _own_gpus(problem: PlanProblem, gpus: Mapping[str, GpuType]) -> tuple[GpuType, ...]:
    """GPU types on offer that are not those of the catalogue."""
    offered = dict.fromkeys(offer.gpu for offer in problem.offers.offers)
    catalogue = load_gpu_types()
    return tuple(gpus[name] for name in offered if name in gpus and gpus[name] != catalogue.get(name))


def prepare_again(prepared: PreparedProblem, problem: PlanProblem, *, must_fit: bool = True) -> PreparedProblem:
    """`problem` prepared with the engine, the network, the throughput and the GPU types of `prepared`."""
    return prepare(
        problem,
        engine=prepared.inputs.engine,
        network_gb_per_s=prepared.inputs.network_gb_per_s,
        provider=prepared.provider,
        gpus=prepared.gpus,
        must_fit=must_fit,
        phases=prepared.phases,
    )


def _require_fit(
    problem: PlanProblem, candidates: CandidateSet, gpus: Mapping[str, GpuType], engine: EngineSettings
) -> None:
    """Raise where a model fits no replica even if money were no matter."""
    for index, entry in enumerate(problem.models):
        if (candidates.model_index == index).any():
            continue
        sizes = [
            offer.max_units * offer.num_gpus * free_bytes_per_gpu(gpus[offer.gpu], engine)
            for offer in problem.offers.offers
        ]
        longest = max(kind.input_tokens + kind.output_tokens for kind in entry.demand.types)
        shortest = min(kind.input_tokens + kind.output_tokens for kind in entry.demand.types)
        if shortest > entry.model.max_context:
            raise InputError(
                f"{entry.model.name} has a context of {entry.model.max_context:,} tokens; requests take "
                f"{shortest:,.0f} or more",
                expected="requests that fit the context, prompt and answer together",
                remedy="choose a model with a longer context, or a demand of shorter requests",
            )
        runs = [
            precision
            for precision in entry.precisions
            if any(gpus[offer.gpu].can_hold_weights(precision) for offer in problem.offers.offers)
        ]
        if not runs:
            raise InputError(
                f"no GPU type on offer runs {' or '.join(entry.precisions)} weights of {entry.model.name}",
                expected="a GPU type that supports the precision",
                remedy="offer other GPUs, or choose another precision (--precision bf16)",
            )
        smallest = min(runs, key=entry.model.weight_bytes)
        needed = entry.model.weight_bytes(smallest) + entry.model.kv_bytes(longest, entry.kv_precision)
        if needed > max(sizes):
            raise DoesNotFitError(
                f"{entry.model.name} in {smallest} with {longest:.0f} tokens per request",
                needed_gb=needed / 1e9,
                available_gb=max(sizes) / 1e9,
            )
