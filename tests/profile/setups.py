"""Configurations, GPUs and engines the throughput tests share."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cuvee.catalog import GpuType, ModelSpec, load_gpu_types, load_models
from cuvee.profile import AnalyticProvider, EngineSettings, ReplicaConfig, Stage, find_engine, split_layers
from cuvee.units import SECONDS_PER_HOUR
from cuvee.workload.records import WorkloadType

GPUS = load_gpu_types()
MODELS = load_models()
VLLM = find_engine("vllm")


def workload(input_tokens: float, output_tokens: float) -> WorkloadType:
    return WorkloadType(f"in{input_tokens:g}-out{output_tokens:g}", input_tokens, output_tokens)


def even_config(model: str, gpu: str, size: int = 1, depth: int = 1, precision: str = "bf16") -> ReplicaConfig:
    """Replica of `depth` stages of `size` GPUs each."""
    layers = split_layers(MODELS[model].num_layers, depth)
    return ReplicaConfig(model, tuple(Stage(gpu, size, count) for count in layers), precision)


def rate_of(
    config: ReplicaConfig,
    lengths: tuple[float, float],
    engine: EngineSettings = VLLM,
    gpus: Mapping[str, GpuType] = GPUS,
    models: Mapping[str, ModelSpec] = MODELS,
) -> float:
    """Rate of one replica [req/s]."""
    return float(AnalyticProvider(models, gpus, engine).table([config], [workload(*lengths)]).rate_req_per_s[0, 0])


def changed(gpu: str, **changes: object) -> dict[str, GpuType]:
    """The catalogue with one GPU type changed."""
    return {**GPUS, gpu: replace(GPUS[gpu], **changes)}  # type: ignore[arg-type]


def scaled_tflops(gpu: str, factor: float) -> dict[str, float]:
    return {precision: rate * factor for precision, rate in GPUS[gpu].tflops.items()}


PAPER_PRICES_USD_PER_HOUR = {
    "RTX4090": 0.53,
    "A40": 0.55,
    "A6000": 0.83,
    "L40": 0.83,
    "A100-80GB-SXM": 1.75,
    "H100-SXM": 2.99,
}
"""Prices of Jiang et al. (ICML 2025, arXiv 2502.00722), Table 1 [$/h per GPU]."""

PAPER_LENGTHS = [(inputs, outputs) for inputs in (2455, 496, 824) for outputs in (18, 253, 510)]
"""The paper's nine workload types: mean prompt and answer lengths [tokens]."""

Best = dict[tuple[str, tuple[int, int]], tuple[float, ReplicaConfig]]


def best_per_gpu(
    model: str,
    engine: EngineSettings = VLLM,
    gpus: Mapping[str, GpuType] = GPUS,
    lengths: Iterable[tuple[int, int]] = PAPER_LENGTHS,
) -> Best:
    """Most requests per dollar of each GPU type on each workload [req/$], and the configuration that gives them."""
    lengths = list(lengths)
    configs = [
        even_config(model, gpu, size, depth)
        for gpu in PAPER_PRICES_USD_PER_HOUR
        for size in (1, 2, 4, 8)
        for depth in range(1, 9)
        if size * depth <= 16
    ]
    table = AnalyticProvider(MODELS, gpus, engine).table(configs, [workload(*pair) for pair in lengths])
    best: Best = {}
    for row, config in enumerate(configs):
        gpu = config.stages[0].gpu
        price_usd_per_s = PAPER_PRICES_USD_PER_HOUR[gpu] * config.num_gpus / SECONDS_PER_HOUR
        for column, pair in enumerate(lengths):
            value = float(table.rate_req_per_s[row, column]) / price_usd_per_s
            best[gpu, pair] = max(best.get((gpu, pair), (0.0, config)), (value, config), key=lambda entry: entry[0])
    return best


def leader(best: Best, pair: tuple[int, int]) -> str:
    """GPU type with the best rate per dollar on a workload."""
    return max(PAPER_PRICES_USD_PER_HOUR, key=lambda gpu: best[gpu, pair][0])
