"""The constants of the analytic model that measured points may correct, as multipliers with priors.

Every multiplier says how many times as fast, or as large, something is as the engine's settings have it: 1 changes
nothing, above 1 is faster. They act on data-sheet figures and engine settings before the analytic model reads them, so
that this module holds none of its formulas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import kv_capacity_tokens
from cuvee.profile.replica import ReplicaConfig


@dataclass(frozen=True)
class Constant:
    """One multiplier and its prior: normal in the logarithm, around 0.

    Attributes
        name      As reports and profile files call it.
        spread    Standard deviation of the logarithm [-]: 0.3 says that two thirds lie within a factor of 1.35.
        reason    Why the prior is as wide as that.
    """

    name: str
    spread: float
    reason: str


CONSTANTS = (
    Constant("compute", 0.3, "matrix efficiencies of public runs lie between 0.4 and 0.8 of the data sheet"),
    Constant("bandwidth", 0.2, "weight reads reach 0.65 to 0.95 of the data sheet"),
    Constant("cache_reads", 0.3, "depends on the attention kernel and the block size"),
    Constant("attention", 0.3, "depends on the attention kernel and the head size"),
    Constant("elements", 0.5, "how much an engine fuses is not known"),
    Constant("step_host", 1.0, "host times differ tenfold between engines, versions and hosts"),
    Constant("sequence_host", 1.0, "host times differ tenfold between engines, versions and hosts"),
    Constant("links", 0.4, "topology, and whether GPUs reach each other's memory, are not on the data sheet"),
    Constant("collective_start", 1.0, "10 to 70 us are reported; custom all-reduce kernels are faster yet"),
    Constant("pipeline", 0.7, "the bubble hangs on the scheduler"),
    Constant("room", 0.3, "a few GB of activations and graphs, and how many tokens of an answer are reserved"),
    Constant("server", 1.0, "37 to 210 req/s were seen, by engine, host and whether a server stands before it"),
    Constant("overall", 0.1, "what no other constant stands for"),
)
"""All that may be fitted, each with its prior."""

BETWEEN_GPUS = ("links",)
WITHIN_STAGES = ("collective_start",)
BETWEEN_STAGES = ("pipeline",)

NAMES = tuple(constant.name for constant in CONSTANTS)
FACTOR_AT_MOST = 1e3
"""Multipliers lie within this factor of 1, either way [-]; fitted ones by far."""


@dataclass(frozen=True)
class Tuned:
    """GPU type and engine settings as corrected, and the factor on the rate that then remains [-]."""

    gpu: GpuType
    engine: EngineSettings
    overall: float


def touches(config: ReplicaConfig) -> tuple[bool, ...]:
    """Which of `CONSTANTS` the rate of `config` can hang on: one GPU has no links, stages of one GPU no all-reduces,
    one stage no bubble.
    """
    absent = (
        *(BETWEEN_GPUS if config.num_gpus == 1 else ()),
        *(WITHIN_STAGES if all(stage.tensor_parallel_size == 1 for stage in config.stages) else ()),
        *(BETWEEN_STAGES if len(config.stages) == 1 else ()),
    )
    return tuple(name not in absent for name in NAMES)


def tuned(
    model: ModelSpec, config: ReplicaConfig, gpu: GpuType, engine: EngineSettings, constants: Mapping[str, float]
) -> Tuned:
    """`gpu` and `engine` with `constants`, of replicas as `config`; a constant not named is 1."""
    of = {name: constants.get(name, 1.0) for name in NAMES}
    fast = replace(
        gpu,
        tflops={name: rate * of["compute"] for name, rate in gpu.tflops.items()},
        tdp_w=gpu.tdp_w and gpu.tdp_w * of["compute"],  # the power limit holds the matrix rate down
        bandwidth_gb_per_s=gpu.bandwidth_gb_per_s * of["bandwidth"],
        link_gb_per_s=gpu.link_gb_per_s * of["links"],
    )
    settings = replace(
        engine,
        cache_efficiency=min(1.0, engine.cache_efficiency * of["cache_reads"]),
        attention_efficiency=min(1.0, engine.attention_efficiency * of["attention"]),
        element_bytes=engine.element_bytes / of["elements"],
        step_overhead_s=engine.step_overhead_s / of["step_host"],
        sequence_overhead_s=engine.sequence_overhead_s / of["sequence_host"],
        collective_latency_s=engine.collective_latency_s / of["collective_start"],
        hop_latency_s=engine.hop_latency_s / of["collective_start"],  # a ring starts once per hop
        pcie_gb_per_s=engine.pcie_gb_per_s and engine.pcie_gb_per_s * of["links"],  # the cap is a link's rate too
        bubble_per_stage=engine.bubble_per_stage / of["pipeline"],
        max_req_per_s=engine.max_req_per_s * of["server"],
    )
    return Tuned(_with_room(model, config, fast, settings, of["room"]), settings, of["overall"])


def _with_room(model: ModelSpec, config: ReplicaConfig, gpu: GpuType, engine: EngineSettings, room: float) -> GpuType:
    """`gpu` with the memory that holds `room` times as many tokens of cache; as it is where weights do not fit."""
    if room == 1.0:
        return gpu
    more = replace(gpu, usable_memory_gb=gpu.usable_memory_gb * 1.1)
    tokens, more_tokens = (kv_capacity_tokens(model, config, {gpu.name: each}, engine) for each in (gpu, more))
    if tokens <= 0 or more_tokens <= tokens:
        return gpu
    # Tokens are linear in memory on the stage that has least.
    added_gb = (room - 1) * tokens / (more_tokens - tokens) * 0.1 * gpu.usable_memory_gb
    return replace(gpu, usable_memory_gb=gpu.usable_memory_gb + added_gb)
