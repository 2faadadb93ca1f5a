"""Configurations: every replica of a model that could be deployed on some offer, wherever that offer stands.

On one GPU type: tensor parallelism in powers of two that divide the heads, inside one machine, times pipeline depth. On
two GPU types: pipeline stages of both, layers split so that the stages take equally long. Equal offers share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.offer import Offer
from cuvee.plan.candidates.layers import StageGroups, balanced_splits, spread_layers
from cuvee.plan.candidates.placement import Shape, tensor_parallel_sizes, usable_gpus
from cuvee.plan.question.problem import ModelDemand, PlanProblem
from cuvee.profile.replica_arrays import ReplicaArrays

Counts = NDArray[np.int64]

ROUNDING = 1e-9
"""Relative slack of a price [-]: prices that add up to the budget but for rounding are within it."""

Place = tuple[str, str, str, bool]
"""Seller, region and zone of GPUs that reach each other, and whether they are spot."""


@dataclass(frozen=True, eq=False)
class Sites:
    """The offers with stock that a model can run on, by what decides its configurations.

    Attributes
        of_shape    Offers of each shape.
        of_pair     Pairs of offers in one place, by the shapes of both; the GPU type with the slower memory first.
    """

    of_shape: Mapping[Shape, Sequence[int]]
    of_pair: Mapping[tuple[Shape, Shape], Sequence[tuple[int, int]]]


@dataclass(frozen=True, eq=False)
class Configurations:
    """Distinct configurations of one model, those of one kind side by side.

    Attributes
        kinds       Shapes of the one or two offers that configurations of a kind stand on.
        replicas    The configurations.
        kind        Index into `kinds` of each [-], ascending, shape (num_configs,).
        gpus        GPUs taken on the first and on the second of the kind's offers [-], shape (num_configs, 2).
        group       GPUs there that must share a machine [-], shape (num_configs, 2).
    """

    kinds: tuple[tuple[Shape, ...], ...]
    replicas: ReplicaArrays
    kind: Counts
    gpus: Counts
    group: Counts

    def __len__(self) -> int:
        return len(self.kind)

    def select(self, rows: Counts) -> "Configurations":
        """Those at `rows`, which must not descend."""
        replicas = self.replicas.select(rows)
        return Configurations(self.kinds, replicas, self.kind[rows], self.gpus[rows], self.group[rows])


def find_sites(entry: ModelDemand, problem: PlanProblem, gpus: Mapping[str, GpuType]) -> Sites:
    """Where replicas of one model can stand.

    Assumptions
        Units smaller than their host (`machine_gpus` of an offer above its `num_gpus`) stand on one host when they are
        rented together, so tensor parallelism may run over them.
        No pipeline runs over two offers of one GPU type. It would be as fast as one over the network on either offer,
        so it only helps where the stock of both is too small for it; left out, it keeps the candidates few. The
        optimum is the best over the configurations listed here.
    """
    shapes: dict[Shape, list[int]] = {}
    places: dict[Place, list[int]] = {}
    offers = problem.offers.offers
    for index, offer in enumerate(offers):
        if offer.max_units > 0 and any(gpus[offer.gpu].can_hold_weights(each) for each in entry.precisions):
            shapes.setdefault(Shape.of(offer), []).append(index)
            places.setdefault((offer.seller, offer.region, offer.zone, offer.spot), []).append(index)
    pairs: dict[tuple[Shape, Shape], list[tuple[int, int]]] = {}
    if problem.search.max_mixed_stages >= 2:
        for first, second in (pair for place in places.values() for pair in product(place, place)):
            # One order per pair: the later stage, which also holds the head, goes to the faster memory.
            if _speed(gpus[offers[first].gpu]) < _speed(gpus[offers[second].gpu]):
                pairs.setdefault((Shape.of(offers[first]), Shape.of(offers[second])), []).append((first, second))
    return Sites(shapes, pairs)


def _speed(gpu: GpuType) -> tuple[float, str]:
    return gpu.bandwidth_gb_per_s, gpu.name


def list_configurations(
    entry: ModelDemand,
    problem: PlanProblem,
    gpus: Mapping[str, GpuType],
    sites: Sites,
    *,
    budget_usd_per_hour: float | None = None,
) -> Configurations:
    """Every configuration of one model that memory allows, and on some site stock and budget."""
    offers = problem.offers.offers
    bounds = {shape: _room_and_price([offers[index] for index in here]) for shape, here in sites.of_shape.items()}
    kinds = (*((shape,) for shape in sites.of_shape), *sites.of_pair)
    pipelines, origins = [_none(0)], []
    for index, precision in product(range(len(kinds)), range(len(entry.precisions))):
        kind, name = kinds[index], entry.precisions[precision]
        if not all(gpus[shape.gpu].can_hold_weights(name) for shape in kind):
            continue
        found = _on_one(entry, kind[0], problem) if len(kind) == 1 else _on_two(entry, kind, gpus, problem, name)
        taken = found[:, 0:4:2] * found[:, 1:4:2]
        room, price = np.array([bounds[shape] for shape in kind]).T
        memory = np.array([gpus[shape.gpu].usable_memory_gb for shape in kind])
        counts = taken[:, : len(kind)]
        possible = (counts <= room).all(axis=1) & (counts @ memory >= entry.model.weight_bytes(name) / 1e9)
        if budget_usd_per_hour is not None:
            possible &= counts @ price <= budget_usd_per_hour * (1 + ROUNDING)
        pipelines.append(found[possible])
        origins.append((index, precision))
    repeats = [len(found) for found in pipelines[1:]]
    kind_of, precision_of = np.repeat(np.array(origins, dtype=np.int64).reshape(-1, 2), repeats, axis=0).T
    return _assembled(entry, kinds, (kind_of, precision_of), np.concatenate(pipelines))


def _room_and_price(offers: Sequence[Offer]) -> tuple[float, float]:
    """Most GPUs that groups can fill on one of equal offers [-], and the least price of one [$/h]."""
    room = max(offer.max_units * usable_gpus(offer) for offer in offers)
    return room, min(offer.price_usd_per_gpu_hour for offer in offers)


def _none(count: int) -> Counts:
    """Pipelines as rows of: size and depth on the first type, on the second, layers on the first [-]."""
    return np.zeros((count, 5), dtype=np.int64)


def _on_one(entry: ModelDemand, shape: Shape, problem: PlanProblem) -> Counts:
    """Sizes times depths on one GPU type."""
    sizes = tensor_parallel_sizes(entry.model, shape.host_gpus)
    depths = range(1, min(problem.search.max_pipeline_stages, entry.model.num_layers) + 1)
    found = _none(len(sizes) * len(depths))
    found[:, 0], found[:, 1] = np.repeat(sizes, len(depths)), np.tile(depths, len(sizes))
    found[:, 4] = entry.model.num_layers
    return found


def _on_two(
    entry: ModelDemand, kind: tuple[Shape, ...], gpus: Mapping[str, GpuType], problem: PlanProblem, precision: str
) -> Counts:
    """Sizes and depths on both GPU types, and ways to split the layers."""
    sizes = [tensor_parallel_sizes(entry.model, shape.host_gpus) for shape in kind]
    most = problem.search.max_mixed_stages
    depths = [(first, total - first) for total in range(2, most + 1) for first in range(1, total)]
    found = _none(len(sizes[0]) * len(sizes[1]) * len(depths))
    found[:, :4] = [(a, depth_a, b, depth_b) for a in sizes[0] for b in sizes[1] for depth_a, depth_b in depths]
    groups = [StageGroups(gpus[shape.gpu], found[:, 2 * i], found[:, 2 * i + 1]) for i, shape in enumerate(kind)]
    splits = balanced_splits(entry.model.num_layers, groups[0], groups[1], precision)
    row, way = np.nonzero(splits >= 0)
    found = found[row]
    found[:, 4] = splits[row, way]
    return found


def _assembled(
    entry: ModelDemand, kinds: tuple[tuple[Shape, ...], ...], origins: tuple[Counts, Counts], pipelines: Counts
) -> Configurations:
    """Records of `pipelines`, rows as `_none` lists them, each of a kind and a precision."""
    kind, precision = origins
    names = tuple(dict.fromkeys(shape.gpu for shapes in kinds for shape in shapes))
    ends = [(names.index(shapes[0].gpu), names.index(shapes[-1].gpu)) for shapes in kinds]
    gpu_of = np.array(ends, dtype=np.int64).reshape(-1, 2)
    size_a, depth_a, size_b, depth_b, layers_a = pipelines.T
    position = np.arange((depth_a + depth_b).max(initial=1))
    on_first = position < depth_a[:, None]
    present = position < (depth_a + depth_b)[:, None]

    def staged(first: Counts, second: Counts, absent: int) -> Counts:
        return np.where(present, np.where(on_first, first, second), absent)

    layers_b = entry.model.num_layers - layers_a
    taken = np.stack([size_a * depth_a, size_b * depth_b], axis=1)
    alone = np.array([len(shapes) == 1 for shapes in kinds], dtype=bool)[kind]
    host = np.array([shapes[0].host_gpus for shapes in kinds], dtype=np.int64)[kind]
    single = np.array([shapes[0].single_gpus for shapes in kinds], dtype=bool)[kind]
    spans = ~alone | (taken[:, 0] > host) | ~(single | (taken[:, 0] & (taken[:, 0] - 1) == 0))
    replicas = ReplicaArrays(
        entry.model.name,
        entry.kv_precision,
        names,
        entry.precisions,
        gpu=staged(gpu_of[kind, :1], gpu_of[kind, 1:], -1),
        size=staged(size_a[:, None], size_b[:, None], 0),
        layers=staged(
            spread_layers(layers_a[:, None], depth_a[:, None], position),
            spread_layers(layers_b[:, None], depth_b[:, None], position - depth_a[:, None]),
            0,
        ),
        precision=precision,
        spans_machines=spans,
        companies=((),),
        company=np.zeros(len(spans), dtype=np.int64),
    )
    group = np.where(spans[:, None], np.stack([size_a, size_b], axis=1), taken)
    return Configurations(kinds, replicas, kind, taken, group)
