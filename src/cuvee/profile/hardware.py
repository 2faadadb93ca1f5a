"""What an engine gets out of a GPU: matrix rate under the power limit, and links between GPUs."""

import math

from cuvee.catalog.gpu import GpuType
from cuvee.profile.engine import SUSTAINED_TFLOPS_PER_WATT, EngineSettings
from cuvee.units import BYTES_PER_GB


def gpu_family(gpu: GpuType) -> str:
    """Key of `gpu` in tables of constants: its architecture; "GA102" for the smaller Ampere chips, "GB100" for the
    larger Blackwell chips.
    """
    if gpu.compute_capability.startswith("10."):
        return "GB100"
    return "GA102" if gpu.compute_capability == "8.6" else gpu.architecture.split()[0]


def sustained_efficiency(gpu: GpuType, precision: str, engine: EngineSettings) -> float:
    """Share of the dense matrix rate of `gpu` at `precision` that layers reach [-]: the lower of engine and power."""
    family = gpu_family(gpu)
    ceiling = engine.compute_ceiling.get(family, engine.compute_efficiency)
    dequantized = precision not in ("bf16", "fp16") and gpu.compute_tflops(precision) <= gpu.compute_tflops("bf16")
    if dequantized:
        ceiling *= engine.dequantized_efficiency
    per_watt = SUSTAINED_TFLOPS_PER_WATT.get(family)
    if gpu.tdp_w and per_watt:
        speedup = 2.0 if gpu.compute_tflops(precision) > 1.5 * gpu.compute_tflops("bf16") else 1.0
        ceiling = min(ceiling, per_watt * speedup * gpu.tdp_w / gpu.compute_tflops(precision))
    return ceiling * engine.compute_derate.get(family, 1.0)


def link_bytes_per_s(gpu: GpuType, engine: EngineSettings) -> float:
    """Rate at which GPUs of one machine exchange activations, one direction [B/s]."""
    if gpu.has_fast_link:
        return gpu.link_gb_per_s * engine.link_efficiency * BYTES_PER_GB
    efficiency = engine.pcie_efficiency if gpu.peer_to_peer else engine.no_peer_efficiency
    return min(gpu.link_gb_per_s * efficiency, engine.pcie_gb_per_s or math.inf) * BYTES_PER_GB
