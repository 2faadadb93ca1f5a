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
        precision = self.precisions[self.precision[index]]
        return ReplicaConfig(self.model, stages, precision, self.kv_precision, bool(self.spans_machines[index]))

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
        )

    @staticmethod
    def of(configs: Sequence[ReplicaConfig]) -> "ReplicaArrays":
        """The arrays of `configs`, at least one, all of one model and cache precision."""
        if isinstance(configs, ReplicaArrays):
            return configs
        gpu_names = tuple(dict.fromkeys(stage.gpu for config in configs for stage in config.stages))
        precisions = tuple(dict.fromkeys(config.precision for config in configs))
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
        )

    @staticmethod
    def joined(parts: Iterable["ReplicaArrays"]) -> "ReplicaArrays":
        """The configurations of all `parts`, one after the other; the model and cache precision are those of all."""
        parts = list(parts)
        depth = max(part.gpu.shape[1] for part in parts)
        gpu_names = tuple(dict.fromkeys(name for part in parts for name in part.gpu_names))
        precisions = tuple(dict.fromkeys(name for part in parts for name in part.precisions))

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
        )
