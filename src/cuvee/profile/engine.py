"""Engine settings: how far a serving engine stays below the data sheet, each constant with its source."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.errors import InputError, UnknownNameError

Array = NDArray[np.float64]

SHARES = (
    "compute_efficiency", "dequantized_efficiency", "memory_efficiency", "cache_efficiency", "attention_efficiency",
    "link_efficiency", "pcie_efficiency", "no_peer_efficiency", "memory_utilization", "free_memory_share",
    "output_reserved",
)  # fmt: skip
SHARES_BELOW_1 = ("unhidden_share",)
"""Shares whose rest something is divided by."""

SHARES_FROM_0 = ("held_up_share", "recomputed_share")
TIMES_S = ("step_overhead_s", "sequence_overhead_s", "scheduling_s", "collective_latency_s", "hop_latency_s")
AMOUNTS = ("element_bytes", "bubble_per_stage", "reserved_gb", "activation_copies", "relative_error")
COUNTS = ("max_num_seqs", "max_num_tokens", "max_req_per_s")

CHECKS: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (SHARES, lambda value: 0 < value <= 1, "a share in (0, 1]"),
    (SHARES_BELOW_1, lambda value: 0 <= value < 1, "a share in [0, 1)"),
    (SHARES_FROM_0, lambda value: 0 <= value <= 1, "a share in [0, 1]"),
    (TIMES_S, lambda value: 0 <= value < inf, "a time of 0 s or more"),
    (AMOUNTS, lambda value: 0 <= value < inf, "a number of 0 or more"),
    (COUNTS, lambda value: 0 < value < inf, "a number above 0"),
)
"""What must hold of the fields that are one number each."""


@dataclass(frozen=True)
class EngineSettings:
    """Constants of the analytic throughput model for one engine and version.

    Attributes
        compute_efficiency      Most of the dense matrix rate that layers reach [-].
        compute_ceiling         The same per GPU family, where runs on it showed more; its power limit still holds [-].
        compute_derate          Factor on it per GPU architecture, where the engine lags [-].
        dequantized_efficiency  Factor on it for weights that the GPU cannot multiply at their precision [-].
        memory_efficiency       Share of memory bandwidth reached by weight reads [-].
        cache_efficiency        Share of memory bandwidth reached by reads of the cache [-].
        attention_efficiency    Share of the 16-bit matrix rate reached by prefill attention [-].
        element_bytes           Traffic of norms, activations and cache writes per token, layer and hidden unit [B].
        step_overhead_s         Host time of a step [s].
        sequence_overhead_s     Host time of a step per sequence of the step [s]: sampling, detokenising, streaming.
        scheduling_s            Host time of a step per running sequence of the replica [s]: in a pipeline the scheduler
                                goes through those of all micro-batches at each.
        unhidden_share          Share of the shorter of arithmetic and weight reads that does not overlap with the
                                longer [-].
        collective_latency_s    Start of one all-reduce in one shot, as taken for few tokens [s].
        hop_latency_s           Each of the 2 (t - 1) hops of a ring all-reduce over t GPUs [s].
        link_efficiency         Share of the link rate that collectives reach over a dedicated fabric [-].
        pcie_efficiency         The same over PCIe [-]: the median of what the A100 PCIe and L40S rows of TensorRT-LLM
                                0.14 at TP2 to TP8 imply, 15 to 24 of 32 GB/s.
        pcie_gb_per_s           Most that collectives reach over PCIe, whatever its generation [GB/s]; None where the
                                share alone says it.
        no_peer_efficiency      The same over PCIe where GPUs cannot reach each other's memory: half, every byte goes
                                through the host [-].
        bubble_per_stage        Loss of a pipeline per stage beyond the first [-]; assumed where no public figures of
                                an engine's pipelines are known.
        held_up_share           How far a micro-batch with prefill holds up the others of a pipeline [-]: 1 where each
                                takes its prompts as they come, 0 where all take theirs in step.
        memory_utilization      Share of GPU memory the engine takes [-].
        reserved_gb             Memory per GPU for the runtime, its graphs and communication [10^9 B].
        activation_copies       Times the activations of the largest step are held [-].
        free_memory_share       Share for the cache of what weights, activations and reserve leave [-].
        max_num_seqs            Most sequences run at once, per replica [-].
        max_num_tokens          Token budget of one step [tokens].
        large_gpu_limits        (max_num_seqs, max_num_tokens) where the engine raises its defaults: on GPUs of 70 GB
                                and more that are newer than the A100; None where it does not.
        output_reserved         Share of the answer's cache held, averaged over a sequence's life: 0.55 where the
                                engine admits more than could finish, 1.0 where it reserves all [-].
        recomputed_share        Share of what answers grow that is lost elsewhere and computed anew, where the cache is
                                full [-]: 1 where the engine admits what fits now, less where it finds some of it
                                again, 0 where it leaves room.
        max_req_per_s           Most requests the server process accepts, per replica [req/s].
        schedules_ahead         Whether a step is scheduled while the one before it is computed; only played steps show
                                it.
        reuses_cache            Whether a sequence that was put back finds what nobody has taken of its cache; only
                                played steps show it.
        measured_sizes          Replicas whose rates under this engine were compared with sound public figures: GPU
                                types, with the tensor-parallel sizes seen [-]. A band is stated for these alone.
        relative_error          That band [-] (`bands.py`): it holds four of five errors seen, and more where the
                                constants were read off the very rows.
        source, date            Where the constants come from, and when they were last set.
    """

    name: str
    compute_efficiency: float = 0.75
    compute_ceiling: dict[str, float] = field(default_factory=dict, hash=False)
    compute_derate: dict[str, float] = field(default_factory=dict, hash=False)
    dequantized_efficiency: float = 0.80
    memory_efficiency: float = 0.85
    cache_efficiency: float = 0.80
    attention_efficiency: float = 0.45
    element_bytes: float = 24.0
    step_overhead_s: float = 1e-3
    sequence_overhead_s: float = 0.0
    scheduling_s: float = 5e-6
    unhidden_share: float = 0.5
    collective_latency_s: float = 10e-6
    hop_latency_s: float = 15e-6
    link_efficiency: float = 0.65
    pcie_efficiency: float = 0.50
    pcie_gb_per_s: float | None = None
    no_peer_efficiency: float = 0.25
    bubble_per_stage: float = 0.07
    held_up_share: float = 1.0
    memory_utilization: float = 0.90
    reserved_gb: float = 1.0
    activation_copies: float = 3.0
    free_memory_share: float = 1.0
    max_num_seqs: int = 256
    max_num_tokens: int = 2048
    large_gpu_limits: tuple[int, int] | None = None
    output_reserved: float = 0.55
    recomputed_share: float = 1.0
    max_req_per_s: float = 45.0
    schedules_ahead: bool = False
    reuses_cache: bool = False
    measured_sizes: dict[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    relative_error: float = 0.35
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        for labels, is_right, expected in CHECKS:
            for label in labels:
                if not is_right(getattr(self, label)):
                    raise self._error(label, getattr(self, label), expected)
        for label in ("compute_ceiling", "compute_derate"):
            for family, value in getattr(self, label).items():
                if not 0 < value <= 1:
                    raise self._error(f"{label} of {family}", value, "a share in (0, 1]")
        if self.pcie_gb_per_s is not None and not 0 < self.pcie_gb_per_s < inf:
            raise self._error("pcie_gb_per_s", self.pcie_gb_per_s, "a rate above 0 GB/s")
        if self.large_gpu_limits is not None and not min(self.large_gpu_limits) > 0:
            raise self._error("large_gpu_limits", self.large_gpu_limits, "two numbers above 0")

    def _error(self, label: str, value: object, expected: str) -> InputError:
        return InputError(f"engine {self.name!r}: {label} = {value!r}", expected=expected)

    def host_s(self, sequences: Array, running: Array) -> Array:
        """Host time of a step with `sequences` of the `running` sequences of a replica [s]."""
        return self.step_overhead_s + self.sequence_overhead_s * sequences + self.scheduling_s * running

    def limits_on(self, gpu: GpuType) -> tuple[int, int]:
        """Most sequences [-] and tokens per step [tokens] of a replica on `gpu`, by the engine's defaults."""
        large = gpu.memory_gb >= 70 and gpu.architecture not in ("Ampere", "Volta", "Turing")
        return self.large_gpu_limits if large and self.large_gpu_limits else (self.max_num_seqs, self.max_num_tokens)


SUSTAINED_TFLOPS_PER_WATT: dict[str, float] = {
    "Turing": 0.50, "Volta": 0.35, "Ampere": 0.60, "GA102": 0.25, "Ada": 0.50, "Hopper": 0.82, "Blackwell": 0.55,
    "GB100": 1.10,
}  # fmt: skip
"""16-bit matrix rate that a watt sustains [TFLOPS/W]; double for 8 bit. Cards with a low power limit cannot hold
their boost clock through a long prefill. Read off saturated prefill-heavy rows of TensorRT-LLM 0.14 (perf-overview),
beside decode, attention and element-wise work: A100 PCIe at 300 W reaches 0.58 of its 312 TFLOPS, H100 SXM at 700 W
0.58 of 989, L40S at 350 W 0.48 of 733 in 8 bit. Not measured, assumed: GB100 (B200) and Blackwell (RTX PRO 6000), after
rows in 4 bit, a precision that is not modelled; GA102 (A40, A6000, A10, RTX 3090; an older process than the A100's)
such that 300 W sustain the A100 PCIe's share; Turing and Volta."""

GPUSTACK = "saturated runs published by GPUStack Performance Lab, start and drain included"

CONSTANTS_DATE = "2026-11-22"
"""When the constants of all engines were last set, together: they share much."""

ENGINES: dict[str, EngineSettings] = {
    settings.name: replace(settings, date=CONSTANTS_DATE)
    for settings in (
        EngineSettings(
            "vllm-0.11",
            compute_efficiency=0.60,
            compute_derate={"Hopper": 0.65},
            sequence_overhead_s=1.45e-4,
            large_gpu_limits=(1024, 8192),
            measured_sizes=dict.fromkeys(("A100-80GB-SXM", "H100-SXM", "L4", "RTX4090"), (1,)),
            source=(
                f"matrix rate and host time per sequence read off 16 {GPUSTACK}, on A100 and H100; 4-48 streams on an "
                "RTX 4090 agree; the rest textbook"
            ),
        ),
        EngineSettings(
            "vllm-0.5",
            compute_efficiency=0.60,
            compute_derate={"Hopper": 0.65},
            step_overhead_s=10e-3,
            sequence_overhead_s=1.75e-4,
            source=(
                "vLLM 0.6.0 release notes (2024-09): 38 % of a step of 0.5.3 is GPU time for an 8B model on one H100, "
                "and 1.8 times less time for a 70B model on four; the engine of the paper's time"
            ),
        ),
        EngineSettings(
            "vllm-0.19",
            compute_efficiency=0.60,
            compute_ceiling={"Ada": 0.90, "Blackwell": 0.90},
            compute_derate={"Hopper": 0.65},
            memory_efficiency=0.93,
            cache_efficiency=0.85,
            step_overhead_s=0.3e-3,
            sequence_overhead_s=1e-5,
            pcie_gb_per_s=16.0,
            large_gpu_limits=(1024, 8192),
            recomputed_share=0.6,
            schedules_ahead=True,
            reuses_cache=True,
            source=(
                "two vLLM 0.19 runs, RTX 4090 and 2 x RTX PRO 6000 over PCIe (LLMServingSim): scheduling ahead hides "
                "the host's work; other families than these two keep the matrix rate of vllm-0.11"
            ),
        ),
        EngineSettings(
            "sglang-0.5",
            recomputed_share=0.0,
            compute_efficiency=0.65,
            compute_derate={"Hopper": 0.80},
            sequence_overhead_s=5.5e-5,
            max_num_seqs=1024,
            max_num_tokens=8192,
            max_req_per_s=80.0,
            source=f"2,542 against vLLM's 1,887 output tokens/s, Qwen3-14B on one A100 ({GPUSTACK}); else textbook",
        ),
        EngineSettings(
            "sglang-0.5.6",
            recomputed_share=0.0,
            compute_efficiency=0.65,
            compute_derate={"Hopper": 0.80},
            sequence_overhead_s=1.5e-5,
            max_num_seqs=1024,
            max_num_tokens=8192,
            max_req_per_s=110.0,
            source="44 closed-loop runs of Llama-3.1 8B on one to eight H200 (InferenceX); the rest as sglang-0.5",
        ),
        EngineSettings(
            "tensorrt-llm-0.14",
            bubble_per_stage=0.0,
            held_up_share=0.0,
            memory_utilization=1.0,
            free_memory_share=0.90,
            max_num_seqs=2048,
            max_num_tokens=8192,
            output_reserved=1.0,
            recomputed_share=0.0,
            max_req_per_s=240.0,
            relative_error=0.20,
            measured_sizes=dict.fromkeys(("A100-80GB-SXM", "A100-80GB-PCIe", "H100-SXM", "H200-SXM"), (1, 2, 4, 8))
            | {"L40S": (1, 4, 8)},
            source="textbook efficiencies; hops and watts read off the published perf-overview of TensorRT-LLM 0.14",
        ),
        EngineSettings(
            "tensorrt-llm-1.2",
            sequence_overhead_s=5.5e-5,
            bubble_per_stage=0.0,
            held_up_share=0.0,
            memory_utilization=1.0,
            free_memory_share=0.90,
            max_num_seqs=2048,
            max_num_tokens=8192,
            output_reserved=1.0,
            recomputed_share=0.0,
            max_req_per_s=80.0,
            measured_sizes={"A100-80GB-SXM": (1,)},
            source=f"host time of trtllm-serve per sequence read off {GPUSTACK}, on A100; else as tensorrt-llm-0.14",
        ),
    )
}
NOT_STATED = EngineSettings(
    "engine not stated", source="stands where every rate was measured: none of its constants is used"
)
"""The engine of profiles that name none."""

ENGINE_ALIASES = {
    "vllm": "vllm-0.11",
    "sglang": "sglang-0.5",
    "tensorrt-llm": "tensorrt-llm-0.14",
    "trtllm": "tensorrt-llm-0.14",
}


def find_engine(name: str) -> EngineSettings:
    """Engine settings by name or alias; a version without figures takes those of the nearest earlier one that has some.

    Raises      UnknownNameError: no such engine, or no figures of that version or an earlier one.
    """
    asked = name.strip().lower()
    key = ENGINE_ALIASES.get(asked, asked)
    if key in ENGINES:
        return ENGINES[key]
    family, _, version = key.rpartition("-")
    family = ENGINE_ALIASES.get(family, family).rpartition("-")[0]
    asked_version = _numbers(version)
    known = {_numbers(key.rpartition("-")[2]): key for key in ENGINES if key.rpartition("-")[0] == family}
    earlier = [each for each in known if each <= asked_version]
    if not earlier:
        raise UnknownNameError("engine", name, [*ENGINES, *ENGINE_ALIASES], remedy="choose one with --engine")
    nearest = ENGINES[known[max(earlier)]]
    source = f"no figures of this version are known: constants of {nearest.name}; {nearest.source}"
    return replace(nearest, name=f"{family}-{version}", measured_sizes={}, source=source)


FIRST_YEAR = 20
"""A version that begins with this or a larger number is a date, "24.08" or "2024-08" [-]."""


def engine_of_version(name: str, version: str) -> EngineSettings:
    """Settings of the version nearest to `version` and not later, of the earliest one known where all are later.

    Parameters
        name       An engine's name without version, or one that `find_engine` knows.
        version    As the engine prints it, e.g. "v0.11.0" or "0.5.6.post2"; where it begins with no number, or with a
                   year, it says nothing, and the engine's usual settings stand.
    Raises         UnknownNameError: no such engine.
    """
    usual = find_engine(name)
    if not is_version(version):
        return usual
    asked = _numbers(version)
    family = usual.name.rpartition("-")[0]
    known = {_numbers(key.rpartition("-")[2]): key for key in ENGINES if key.rpartition("-")[0] == family}
    earlier = [each for each in known if each <= asked]
    return ENGINES[known[max(earlier) if earlier else min(known)]] if known else usual


def unknown_version(name: str, version: str) -> str:
    """What is to be told of a version that says nothing; empty where it does, and for an engine that nobody knows."""
    if not version or is_version(version):
        return ""
    try:
        usual = find_engine(name).name
    except UnknownNameError:
        return ""
    return f"version {version!r} of {name} is unknown: the settings of {usual} stand in"


def is_version(text: str) -> bool:
    """Whether `text` says which version of an engine is meant: one that begins with no number, or a year, does not."""
    numbers = _numbers(text)
    return bool(numbers) and numbers[0] < FIRST_YEAR


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (0, 11, 2) of "v0.11.2"."""
    found = re.match(r"\s*v?(\d{1,9}(?:\.\d{1,9})*)", version, re.IGNORECASE)
    return tuple(int(part) for part in found[1].split("."))[:3] if found else ()
