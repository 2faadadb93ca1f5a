"""Placements: replica configurations on offers, every one that stock and memory allow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.catalog.offer import Offer
from cuvee.plan.layers import balanced_splits
from cuvee.plan.problem import ModelDemand, PlanProblem
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers

MixedKey = tuple[str, str, tuple[tuple[int, ...], ...]]
"""What decides the pipelines over two GPU types: their names and the tensor-parallel sizes each allows."""


@dataclass(frozen=True)
class Placement:
    """A replica configuration and the GPUs it takes from each offer.

    Attributes
        gpus_per_offer    (index of the offer, GPUs) pairs, ascending by index.
    """

    config: ReplicaConfig
    gpus_per_offer: tuple[tuple[int, int], ...]

    def price_usd_per_hour(self, offers: Sequence[Offer]) -> float:
        """o_c: its share of the prices of the machines it stands on [$/h]."""
        return sum(count * offers[index].price_usd_per_gpu_hour for index, count in self.gpus_per_offer)


def list_placements(entry: ModelDemand, problem: PlanProblem, gpus: Mapping[str, GpuType]) -> Iterator[Placement]:
    """Placements of one model: on each offer alone, then on pairs of offers that can reach each other.

    Assumptions
        Units smaller than their host (`machine_gpus` of an offer above its `num_gpus`) stand on one host when they are
        rented together, so tensor parallelism may run over them.
        No pipeline runs over two offers of one GPU type. It would be as fast as one over the network on either offer,
        so it only helps where the stock of both is too small for it; left out, it keeps the candidates few. The
        optimum is the best over the placements listed here.
    """
    offers = [
        (index, offer)
        for index, offer in enumerate(problem.offers.offers)
        if offer.max_units > 0 and gpus[offer.gpu].can_hold_weights(entry.precision)
    ]
    for index, offer in offers:
        yield from _single_type(entry, index, offer, gpus, problem.search.max_pipeline_stages)
    yield from _on_pairs(entry, offers, gpus, problem.search.max_mixed_stages)


def usable_gpus(offer: Offer) -> int:
    """k'_o: GPUs of one unit that power-of-two groups can fill without gaps [-]."""
    return 1 << (offer.num_gpus.bit_length() - 1)


def host_gpus(offer: Offer) -> int:
    """GPUs that groups can fill on one host of `offer` [-]: the usable ones of every unit that fits on it."""
    return usable_gpus(offer) * (offer.machine_gpus // offer.num_gpus)


def tensor_parallel_sizes(model: ModelSpec, offer: Offer) -> list[int]:
    """Powers of two up to one host of `offer` that divide the heads and map onto the KV heads [-]."""
    sizes = [2**power for power in range(host_gpus(offer).bit_length())]
    return [
        size
        for size in sizes
        if model.num_heads % size == 0 and (model.num_kv_heads % size == 0 or size % model.num_kv_heads == 0)
    ]


def spans_machines(taken: Sequence[tuple[Offer, int]]) -> bool:
    """Whether stages on these (offer, GPUs) talk over the network.

    Notes           Pipelines over two offers always do. On one offer they stay on a host that has room for them. Units
                    of one GPU are rented where they are needed. In whole machines only powers of two fill every gap,
                    so other pipelines are taken to spread: their tensor-parallel groups pack, their stages do not.
    """
    if len(taken) > 1:
        return True
    ((offer, num_gpus),) = taken
    return num_gpus > host_gpus(offer) or not (offer.num_gpus == 1 or num_gpus.bit_count() == 1)


def _single_type(
    entry: ModelDemand, index: int, offer: Offer, gpus: Mapping[str, GpuType], max_stages: int
) -> Iterator[Placement]:
    model = entry.model
    available = offer.max_units * usable_gpus(offer)
    needed_gb = model.weight_bytes(entry.precision) / 1e9
    for size in tensor_parallel_sizes(model, offer):
        for depth in range(1, min(max_stages, model.num_layers) + 1):
            total = size * depth
            if total > available or total * gpus[offer.gpu].usable_memory_gb < needed_gb:
                continue
            stages = tuple(Stage(offer.gpu, size, layers) for layers in split_layers(model.num_layers, depth))
            spans = spans_machines([(offer, total)])
            yield Placement(
                ReplicaConfig(model.name, stages, entry.precision, entry.kv_precision, spans), ((index, total),)
            )


def _on_pairs(
    entry: ModelDemand, offers: Sequence[tuple[int, Offer]], gpus: Mapping[str, GpuType], max_stages: int
) -> Iterator[Placement]:
    """Pipelines over two offers in one place; each pair of GPU types is configured once, however many offer it."""
    places: dict[tuple[str, str, str, bool], list[tuple[int, Offer]]] = {}
    for index, offer in offers:
        places.setdefault((offer.seller, offer.region, offer.zone, offer.spot), []).append((index, offer))
    known: dict[MixedKey, list[tuple[ReplicaConfig, tuple[int, int]]]] = {}
    for place in places.values():
        for (first, offer), (second, other) in product(place, place):
            slower, faster = gpus[offer.gpu], gpus[other.gpu]
            # One order per pair: the later stage, which also holds the head, goes to the faster memory.
            if (slower.bandwidth_gb_per_s, slower.name) >= (faster.bandwidth_gb_per_s, faster.name):
                continue
            sizes = tuple(tuple(tensor_parallel_sizes(entry.model, each)) for each in (offer, other))
            key = (slower.name, faster.name, sizes)
            if key not in known:
                known[key] = list(_mixed_configs(entry, (slower, faster), sizes, max_stages))
            room = [each.max_units * usable_gpus(each) for each in (offer, other)]
            for config, counts in known[key]:
                if counts[0] <= room[0] and counts[1] <= room[1]:
                    yield Placement(config, tuple(sorted(zip((first, second), counts, strict=True))))


def _mixed_configs(
    entry: ModelDemand, pair: tuple[GpuType, GpuType], sizes: tuple[tuple[int, ...], ...], max_stages: int
) -> Iterator[tuple[ReplicaConfig, tuple[int, int]]]:
    """Pipelines over two GPU types whose memory holds the weights, and the GPUs of each they take."""
    model = entry.model
    needed_gb = model.weight_bytes(entry.precision) / 1e9
    depths = [(a, total - a) for total in range(2, max_stages + 1) for a in range(1, total)]
    for (size_a, size_b), (depth_a, depth_b) in product(product(*sizes), depths):
        counts = (size_a * depth_a, size_b * depth_b)
        if sum(count * gpu.usable_memory_gb for count, gpu in zip(counts, pair, strict=True)) < needed_gb:
            continue
        for layers in balanced_splits(model, pair, (size_a, size_b), (depth_a, depth_b), entry.precision):
            stages = tuple(
                Stage(pair[column >= depth_a].name, size_a if column < depth_a else size_b, count)
                for column, count in enumerate(layers)
            )
            yield (
                ReplicaConfig(model.name, stages, entry.precision, entry.kv_precision, spans_machines=True),
                counts,
            )
