"""Candidates of one phase: the same replicas on the same offers, with the rates of prefill or of decode alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.offer import Offer
from cuvee.plan.candidates.candidate_set import OF_EACH, Array, CandidateSet, Counts, generate_candidates
from cuvee.plan.candidates.placement import host_gpus
from cuvee.plan.candidates.pools import PHASES, Pools
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.profile.pessimism import lowered
from cuvee.profile.phases import Phase, PhaseRates
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.table import ThroughputProvider

APART = (Phase.PREFILL, Phase.DECODE)


def with_pools(prepared: PreparedProblem) -> PreparedProblem:
    """`prepared` with candidates that only prefill or only decode behind the whole ones, in places where both can be.

    Notes       What stands in one place, a seller's region and zone, can send to all that stands there, whether the
                seller may take it back or not.
    """
    models, whole = range(len(prepared.problem.models)), prepared.candidates
    place_of_offer = _places(prepared.problem.offers.offers)
    rated = [_rated(prepared, phase) for phase in APART]
    parts, model_of, phase_of = [whole], list(models), [0 for _ in models]
    for model in models:
        for place in np.unique(place_of_offer):
            pools = [_pool(found, model, place_of_offer == place) for found in rated]
            if all(len(pool) for pool in pools):
                parts += pools
                model_of += [model, model]
                phase_of += [PHASES.index(phase) for phase in APART]
    names = [name for name in OF_EACH if name != "model_index"]
    behind = np.repeat(np.arange(len(parts) - 1), [len(part) for part in parts[1:]])
    candidates = CandidateSet(
        tuple(table for part in parts for table in part.tables),
        np.concatenate([whole.model_index, len(whole.tables) + behind]),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        num_generated=whole.num_generated + sum(found.num_generated for found in rated),
        pools=Pools(np.array(model_of), np.array(phase_of)),
    )
    sources = tuple(dict.fromkeys(str(source) for table in candidates.tables for source in table.sources))
    return replace(prepared, candidates=candidates, inputs=replace(prepared.inputs, throughput_sources=sources))


def _places(offers: Sequence[Offer]) -> Counts:
    """Index of the place of each offer, shape (num_offers,)."""
    names = [(offer.seller, offer.region, offer.zone) for offer in offers]
    index_of = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([index_of[name] for name in names], dtype=np.int64)


def _rated(prepared: PreparedProblem, phase: Phase) -> CandidateSet:
    """Every candidate that fits in `phase`, with its rates over the links it has.

    Notes       Company changes no rate of a phase alone, so nothing is kept for short answers.
    """
    problem = prepared.problem

    def rates(links: Sequence[float]) -> ThroughputProvider:
        provider = PhaseRates(prepared.phases, phase, links)
        return lowered(provider, problem.caution.pessimism, prepared.inputs.engine)

    budget = problem.limits.budget_usd_per_hour
    found = generate_candidates(problem, rates((np.inf,)), prepared.gpus, budget_usd_per_hour=budget, dedicates=False)
    tables = []
    for model, (entry, table) in enumerate(zip(problem.models, found.tables, strict=True)):
        links = candidate_links(found, model, problem.offers.offers)
        tables.append(replace(rates(links.tolist()).table(table.configs, entry.demand.types), configs=table.configs))
    return replace(found, tables=tuple(tables))


def candidate_links(found: CandidateSet, model: int, offers: Sequence[Offer]) -> Array:
    """Links of each configuration of a table [-], as `links_of`: those on other hosts are other configurations."""
    configs = found.tables[model].configs
    if not isinstance(configs, ReplicaArrays):
        configs = ReplicaArrays.of(configs)
    mine = np.flatnonzero(found.model_index == model)
    placed, first = np.unique(found.config[mine], return_index=True)
    standing = found.offers[mine[first]]
    hosts = np.array([*(host_gpus(offer) for offer in offers), 0])[standing]
    names = {name: index for index, name in enumerate(configs.gpu_names)}
    gpu = np.array([*(names.get(offer.gpu, -2) for offer in offers), -2])[standing]
    host = np.where(configs.gpu[placed] == gpu[:, :1], hosts[:, :1], hosts[:, 1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        stage = configs.size[placed] / host * configs.layers.sum(axis=1)[placed, None] / configs.layers[placed]
    links = np.ones(len(configs))
    links[placed] = np.where(configs.present[placed], stage, np.inf).min(axis=1)
    return links


def _pool(found: CandidateSet, model: int, here: NDArray[np.bool_]) -> CandidateSet:
    """Candidates of one model on the offers where `here` is True, in a table of their own."""
    pool = found.select((found.model_index == model) & found.stands_on(here))
    distinct, config = np.unique(pool.config, return_inverse=True)
    return replace(pool, tables=(found.tables[model].select(distinct),), config=config)
