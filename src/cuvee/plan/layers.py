"""How a pipeline over two GPU types splits its layers."""

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.profile.replica import split_layers

COMPUTE_SHARES = (0.0, 0.5, 1.0)
"""Share of a stage's time that is arithmetic, the rest being memory reads [-]: decode, both, prefill."""


def balanced_splits(
    model: ModelSpec,
    gpus: tuple[GpuType, GpuType],
    tensor_parallel_sizes: tuple[int, int],
    depths: tuple[int, int],
    precision: str,
) -> list[tuple[int, ...]]:
    """Layers of each stage, one split for each way of being balanced, without repeats.

    Notes           Equal stage times l_a tau_a = l_b tau_b with depth_a l_a + depth_b l_b = L give
                    l_a = L / (depth_a + depth_b tau_a / tau_b). A layer's time tau on a stage is
                    1 / (t F) for arithmetic and 1 / (t BW) for memory reads; which of the two matters depends on the
                    workload, so both and their mean are offered, and a split in proportion to stage memory,
                    the paper's rule, which leaves most room for the cache. The planner chooses among them.
    """
    compute = [size * gpu.compute_tflops(precision) for size, gpu in zip(tensor_parallel_sizes, gpus, strict=True)]
    bandwidth = [size * gpu.bandwidth_gb_per_s for size, gpu in zip(tensor_parallel_sizes, gpus, strict=True)]
    memory = [size * gpu.usable_memory_gb for size, gpu in zip(tensor_parallel_sizes, gpus, strict=True)]
    ratios = [share * compute[1] / compute[0] + (1 - share) * bandwidth[1] / bandwidth[0] for share in COMPUTE_SHARES]
    ratios.append(memory[1] / memory[0])
    splits = (_split(model.num_layers, depths, ratio) for ratio in ratios)
    return list(dict.fromkeys(split for split in splits if split))


def _split(num_layers: int, depths: tuple[int, int], time_ratio: float) -> tuple[int, ...] | None:
    """Whole layers per stage nearest to l_a = L / (depth_a + depth_b tau_a / tau_b); None where a stage gets none."""
    depth_a, depth_b = depths
    exact = num_layers / (depth_a + depth_b * time_ratio)
    total_a = min(max(round(exact * depth_a), depth_a), num_layers - depth_b)
    if total_a < depth_a or num_layers - total_a < depth_b:
        return None
    return split_layers(total_a, depth_a) + split_layers(num_layers - total_a, depth_b)
