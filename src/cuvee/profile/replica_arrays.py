"""Replica configurations as arrays: one row a replica, one column a pipeline stage, made into records on demand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.replica import ReplicaConfig, Stage

Rows = NDArray[np.int64] | NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ReplicaArrays(Sequence[ReplicaConfig]):
    """Configurations of one model. A sequence of `ReplicaConfig`, each made when it is asked for.

    Attributes
        gpu_names         GPU types that `gpu` counts in.
        precisions        Weight precisions that `precision` counts in.
        gpu               Index of each stage's GPU type [-], -1 where there is none; (num_configs, max_stages).
        size              Tensor-parallel size of each stage [-], 0 where there is none; the same shape.
        layers            Layers of each stage [-], 0 where there is none; the same shape.
        precision         Index of the weight precision [-], shape (num_configs,).
        spans_machines    Whether stages talk over the network, shape (num_configs,).
        companies         Workload types that `company` counts in, by name; none: any.
        company           Index of those a replica keeps to [-], shape (num_configs,).
    """

    model: str
    kv_precision: str
    gpu_names: tuple[str, ...]
    precisions: tuple[str, ...]
    gpu: NDArray[np.int64]
    size: NDArray[np.int64]
    layers: NDArray[np.int64]
    precision: NDArray[np.int64]
    spans_machines: NDArray[np.bool_]
    companies: tuple[tuple[str, ...], ...]
    company: NDArray[np.int64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which stages there are, shape (num_configs, max_stages)."""
        return self.gpu >= 0

    @property
    def num_stages(self) -> NDArray[np.int64]:
        """S of each configuration [-], shape (num_configs,)."""
        return np.asarray(self.present.sum(axis=1), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.gpu)

    @overload
    def __getitem__(self, index: int) -> ReplicaConfig: ...

    @overload
    def __getitem__(self, index: slice) -> "ReplicaArrays": ...

    def __getitem__(self, index: "int | slice") -> "ReplicaConfig | ReplicaArrays":
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        stages = tuple(
            Stage(self.gpu_names[gpu], int(size), int(layers))
            for gpu, size, layers in zip(self.gpu[index], self.size[index], self.layers[index], strict=True)
            if gpu >= 0
        )
        precision, keeps_to = self.precisions[self.precision[index]], self.companies[self.company[index]]
        spans = bool(self.spans_machines[index])
        return ReplicaConfig(self.model, stages, precision, self.kv_precision, spans, keeps_to)

    @property
    def is_dedicated(self) -> NDArray[np.bool_]:
        """Which keep to some workload types, shape (num_configs,)."""
        return np.array([bool(each) for each in self.companies])[self.company]

    def serves(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether replicas take requests of the workload types `names`, shape (num_configs, len(names))."""
        takes = np.array([[not each or name in each for name in names] for each in self.companies])
        return takes[self.company]

    def staged_as(self, stages: Sequence[tuple[str, int]]) -> NDArray[np.bool_]:
        """Whether the stages are these (GPU type, tensor-parallel size), in this order, shape (num_configs,)."""
        if len(stages) > self.gpu.shape[1] or any(gpu not in self.gpu_names for gpu, _ in stages):
            return np.zeros(len(self), dtype=bool)
        found: NDArray[np.bool_] = self.num_stages == len(stages)
        for column, (gpu, size) in enumerate(stages):
            found &= (self.gpu[:, column] == self.gpu_names.index(gpu)) & (self.size[:, column] == size)
        return found

    def kept_to(self, names: tuple[str, ...], rows: NDArray[np.bool_]) -> "ReplicaArrays":
        """The same, where those at `rows` keep to the workload types `names`."""
        return replace(
            self, companies=(*self.companies, names), company=np.where(rows, len(self.companies), self.company)
        )

    def select(self, rows: Rows) -> "ReplicaArrays":
        """The configurations at `rows`, in that order, no wider than they need."""
        depth = int(self.num_stages[rows].max(initial=1))
        return replace(
            self,
            gpu=self.gpu[rows, :depth],
            size=self.size[rows, :depth],
            layers=self.layers[rows, :depth],
            precision=self.precision[rows],
            spans_machines=self.spans_machines[rows],
            company=self.company[rows],
        )

    @staticmethod
    def of(configs: Sequence[ReplicaConfig]) -> "ReplicaArrays":
        """The arrays of `configs`, at least one, all of one model and cache precision."""
        if isinstance(configs, ReplicaArrays):
            return configs
        gpu_names = tuple(dict.fromkeys(stage.gpu for config in configs for stage in config.stages))
        precisions = tuple(dict.fromkeys(config.precision for config in configs))
        companies = tuple(dict.fromkeys(config.keeps_to for config in configs))
        index_of = {name: index for index, name in enumerate(gpu_names)}
        depth = max(len(config.stages) for config in configs)
        gpu = np.full((len(configs), depth), -1)
        size, layers = np.zeros_like(gpu), np.zeros_like(gpu)
        for row, config in enumerate(configs):
            for column, stage in enumerate(config.stages):
                gpu[row, column] = index_of[stage.gpu]
                size[row, column], layers[row, column] = stage.tensor_parallel_size, stage.layers
        return ReplicaArrays(
            configs[0].model,
            configs[0].kv_precision,
            gpu_names,
            precisions,
            gpu,
            size,
            layers,
            np.array([precisions.index(config.precision) for config in configs]),
            np.array([config.spans_machines for config in configs]),
            companies,
            np.array([companies.index(config.keeps_to) for config in configs]),
        )

    @staticmethod
    def joined(parts: Iterable["ReplicaArrays"]) -> "ReplicaArrays":
        """The configurations of all `parts`, one after the other; the model and cache precision are those of all."""
        parts = list(parts)
        depth = max(part.gpu.shape[1] for part in parts)
        gpu_names = tuple(dict.fromkeys(name for part in parts for name in part.gpu_names))
        precisions = tuple(dict.fromkeys(name for part in parts for name in part.precisions))
        companies = tuple(dict.fromkeys(each for part in parts for each in part.companies))

        def stacked(arrays: Iterable[NDArray[np.int64]], absent: int) -> NDArray[np.int64]:
            return np.concatenate(
                [np.pad(each, ((0, 0), (0, depth - each.shape[1])), constant_values=absent) for each in arrays]
            )

        gpu = [np.array([*map(gpu_names.index, part.gpu_names), -1])[part.gpu] for part in parts]
        precision = [np.array([*map(precisions.index, part.precisions)])[part.precision] for part in parts]
        return ReplicaArrays(
            parts[0].model,
            parts[0].kv_precision,
            gpu_names,
            precisions,
            stacked(gpu, -1),
            stacked((part.size for part in parts), 0),
            stacked((part.layers for part in parts), 0),
            np.concatenate(precision),
            np.concatenate([part.spans_machines for part in parts]),
            companies,
            np.concatenate([np.array([*map(companies.index, part.companies)])[part.company] for part in parts]),
        )
