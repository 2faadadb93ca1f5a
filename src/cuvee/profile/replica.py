"""Replica configurations: which GPUs serve one copy of a model, and how the model is split over them."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from cuvee.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One pipeline stage: `tensor_parallel_size` GPUs of one type, in one machine, holding `layers` layers."""

    gpu: str
    tensor_parallel_size: int
    layers: int

    def __post_init__(self) -> None:
        if self.tensor_parallel_size < 1 or self.layers < 1:
            raise InputError(
                f"stage on {self.gpu}: tensor_parallel_size {self.tensor_parallel_size}, layers {self.layers}",
                expected="whole numbers of at least 1",
            )


@dataclass(frozen=True)
class ReplicaConfig:
    """One replica of one model; the planner's configuration c without its price.

    Attributes
        model          Model name.
        stages         Pipeline stages in the order a token passes them; the last one holds the head.
        precision      Weights.
        kv_precision   Cache.
        spans_machines Whether stages talk over the network; False when all GPUs share one machine.
        keeps_to       Names of the workload types it serves and is rated for; none: any, in the mix of its model.
    """

    model: str
    stages: tuple[Stage, ...]
    precision: str = "bf16"
    kv_precision: str = "bf16"
    spans_machines: bool = False
    keeps_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.stages:
            raise InputError(f"replica of {self.model!r} without stages", expected="at least one stage")

    @property
    def num_layers(self) -> int:
        """Layers over all stages [-]."""
        return sum(stage.layers for stage in self.stages)

    @property
    def gpu_counts(self) -> dict[str, int]:
        """d_n(c): GPUs of each type [-]."""
        counts: Counter[str] = Counter()
        for stage in self.stages:
            counts[stage.gpu] += stage.tensor_parallel_size
        return dict(counts)

    @property
    def num_gpus(self) -> int:
        """GPUs over all types [-]."""
        return sum(stage.tensor_parallel_size for stage in self.stages)

    @property
    def gpu_label(self) -> str:
        """E.g. "4x A40" or "2x A100-80GB-SXM + 4x A40"."""
        return " + ".join(f"{count}x {gpu}" for gpu, count in self.gpu_counts.items())

    @property
    def parallel_label(self) -> str:
        """E.g. "TP4", "TP2 PP2", "TP1 PP3 [2x27,26]"; mixed pipelines name each run of equal stages.

        Layers per stage stand in brackets where they are uneven.
        """
        sizes = groupby((stage.gpu, stage.tensor_parallel_size) for stage in self.stages)
        runs = [(size, len(list(run))) for (_, size), run in sizes]
        parallel = "|".join(f"TP{size}" + (f" PP{depth}" if depth > 1 else "") for size, depth in runs)
        layers = [(count, len(list(run))) for count, run in groupby(stage.layers for stage in self.stages)]
        if len(layers) == 1:
            return parallel
        return f"{parallel} [{','.join(f'{times}x{count}' if times > 1 else str(count) for count, times in layers)}]"


def split_layers(num_layers: int, num_stages: int) -> tuple[int, ...]:
    """Layers of each of `num_stages` equal stages; earlier stages take the remainder, the last also holds the head."""
    base, extra = divmod(num_layers, num_stages)
    return tuple(base + (index < extra) for index in range(num_stages))
