"""What a rate hangs on: how far it would rise with more arithmetic, bandwidth, cache or faster links."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from math import log

from cuvee.catalog.gpu import GpuType
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.hardware import link_bytes_per_s, sustained_efficiency
from cuvee.profile.memory import kv_capacity_tokens
from cuvee.profile.replica import ReplicaConfig
from cuvee.units import BYTES_PER_GB
from cuvee.workload.records import WorkloadType

STEP = 1.1
"""How many times as much of a resource is tried [-]: enough to pass the steps of whole sequences."""


class Resource(StrEnum):
    """What a replica has some of; its cache is the memory that weights leave."""

    COMPUTE = "compute"
    BANDWIDTH = "memory bandwidth"
    CACHE = "cache"
    LINKS = "links"


def rate_elasticities(
    provider: AnalyticProvider, config: ReplicaConfig, workload: WorkloadType, *, beside: Sequence[WorkloadType] = ()
) -> dict[Resource, float]:
    """By how many percent the rate rises with one percent more of each resource [-], by the analytic model.

    Parameters
        beside      Workload types that the replica is rated for together with `workload`, as `provider.mixes` has them.
    Returns         0 for all where the replica does not fit.
    Notes           e_r = ln(h' / h) / ln(r' / r), where r' is 1.1 r, or the cache with 1.1 times the memory. They need
                    not sum to 1: engines have overheads and limits of their own, which no hardware moves.
    """
    mine = {name: provider.gpus[name] for name in config.gpu_counts}
    model, engine = provider.models[config.model], provider.engine
    kinds = [workload, *(each for each in beside if each.name != workload.name)]

    def rate(gpus: Mapping[str, GpuType], links: float) -> float:
        # What an engine reaches over PCIe at most is a property of the links as well.
        capped = replace(engine, pcie_gb_per_s=engine.pcie_gb_per_s and engine.pcie_gb_per_s * links)
        network_gb_per_s = provider.network_gb_per_s * links
        changed = replace(provider, gpus=gpus, engine=capped, network_gb_per_s=network_gb_per_s)
        return float(changed.table([config], kinds).rate_req_per_s[0, 0])

    before = rate(mine, 1.0)
    if before <= 0:
        return dict.fromkeys(Resource, 0.0)
    elasticities = {}
    for resource in Resource:
        more = {name: _with_more(gpu, resource) for name, gpu in mine.items()}
        after = rate(more, STEP if resource is Resource.LINKS else 1.0)
        cached = [kv_capacity_tokens(model, config, each, engine) for each in (mine, more)]
        raised = cached[1] / cached[0] if resource is Resource.CACHE else STEP
        elasticities[resource] = log(after / before) / log(raised)
    return elasticities


def _with_more(gpu: GpuType, resource: Resource) -> GpuType:
    """`gpu` with STEP times as much of `resource`; of memory where the cache is to grow."""
    if resource is Resource.COMPUTE:
        watts = gpu.tdp_w and gpu.tdp_w * STEP  # the power limit holds the matrix rate down
        return replace(gpu, tflops={name: rate * STEP for name, rate in gpu.tflops.items()}, tdp_w=watts)
    if resource is Resource.BANDWIDTH:
        return replace(gpu, bandwidth_gb_per_s=gpu.bandwidth_gb_per_s * STEP)
    if resource is Resource.CACHE:
        return replace(gpu, usable_memory_gb=gpu.usable_memory_gb * STEP)
    return replace(gpu, link_gb_per_s=gpu.link_gb_per_s * STEP)


def owned_amount(provider: AnalyticProvider, config: ReplicaConfig, resource: Resource) -> float:
    """What a replica has of `resource` over its GPUs [sustained PFLOPS, TB/s, GB of cache, GB/s between GPUs].

    Notes           Links count within tensor-parallel groups, as far as an engine uses them; 0 where there are none.
    """
    model, gpus, engine = provider.models[config.model], provider.gpus, provider.engine
    counts = config.gpu_counts.items()
    if resource is Resource.COMPUTE:
        precision = config.precision
        shares = {gpu: sustained_efficiency(gpus[gpu], precision, engine) for gpu in config.gpu_counts}
        return sum(count * gpus[gpu].compute_tflops(precision) * shares[gpu] for gpu, count in counts) / 1000
    if resource is Resource.BANDWIDTH:
        return sum(count * gpus[gpu].bandwidth_gb_per_s for gpu, count in counts) / 1000
    if resource is Resource.CACHE:
        tokens = kv_capacity_tokens(model, config, gpus, engine)
        return max(tokens, 0.0) * model.kv_bytes_per_token(config.kv_precision) / BYTES_PER_GB
    return sum(
        stage.tensor_parallel_size * link_bytes_per_s(gpus[stage.gpu], engine) / BYTES_PER_GB
        for stage in config.stages
        if stage.tensor_parallel_size > 1
    )
