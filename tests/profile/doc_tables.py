"""The tables of docs/throughput-model.md, computed: the page is checked against them."""

from dataclasses import replace

from cuvee.profile import ENGINES, EngineSettings
from tests.profile.public_figures import (
    Comparison,
    error_summary,
    sglang_closed_loop,
    sglang_runs,
    tensorrt_llm_offline,
    tensorrt_llm_served,
    vllm_runs,
)
from tests.profile.setups import GPUS, PAPER_LENGTHS, PAPER_PRICES_USD_PER_HOUR, VLLM, best_per_gpu

CONSTANTS = {
    "`compute_efficiency`": lambda engine: f"{engine.compute_efficiency:.2f}",
    "`compute_ceiling`": lambda engine: _by_family(engine.compute_ceiling),
    "`compute_derate`": lambda engine: _by_family(engine.compute_derate),
    "`dequantized_efficiency`": lambda engine: f"{engine.dequantized_efficiency:.2f}",
    "`memory_efficiency`": lambda engine: f"{engine.memory_efficiency:.2f}",
    "`cache_efficiency`": lambda engine: f"{engine.cache_efficiency:.2f}",
    "`attention_efficiency`": lambda engine: f"{engine.attention_efficiency:.2f}",
    "`element_bytes` [B]": lambda engine: f"{engine.element_bytes:g}",
    "`step_overhead_s` [ms]": lambda engine: f"{engine.step_overhead_s * 1e3:g}",
    "`sequence_overhead_s` [us]": lambda engine: f"{engine.sequence_overhead_s * 1e6:g}",
    "`scheduling_s` [us]": lambda engine: f"{engine.scheduling_s * 1e6:g}",
    "`unhidden_share`": lambda engine: f"{engine.unhidden_share:.2f}",
    "`collective_latency_s` [us]": lambda engine: f"{engine.collective_latency_s * 1e6:g}",
    "`hop_latency_s` [us]": lambda engine: f"{engine.hop_latency_s * 1e6:g}",
    "`link_efficiency`": lambda engine: f"{engine.link_efficiency:.2f}",
    "`pcie_efficiency`": lambda engine: f"{engine.pcie_efficiency:.2f}",
    "`pcie_gb_per_s` [GB/s]": lambda engine: f"{engine.pcie_gb_per_s:g}" if engine.pcie_gb_per_s else "-",
    "`no_peer_efficiency`": lambda engine: f"{engine.no_peer_efficiency:.2f}",
    "`bubble_per_stage`, `held_up_share`": lambda engine: f"{engine.bubble_per_stage:.2f}, {engine.held_up_share:g}",
    "`memory_utilization`": lambda engine: f"{engine.memory_utilization:.2f}",
    "`reserved_gb` [GB]": lambda engine: f"{engine.reserved_gb:g}",
    "`activation_copies`": lambda engine: f"{engine.activation_copies:g}",
    "`free_memory_share`": lambda engine: f"{engine.free_memory_share:.2f}",
    "`max_num_seqs`, `max_num_tokens`": lambda engine: f"{engine.max_num_seqs}, {engine.max_num_tokens}",
    "`large_gpu_limits`": lambda engine: ", ".join(map(str, engine.large_gpu_limits or ("as above",))),
    "`output_reserved`": lambda engine: f"{engine.output_reserved:.2f}",
    "`recomputed_share`": lambda engine: f"{engine.recomputed_share:g}",
    "`max_req_per_s` [req/s]": lambda engine: f"{engine.max_req_per_s:g}",
    "`relative_error`": lambda engine: f"{engine.relative_error:.2f}",
}


def _by_family(values: dict[str, float]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "none"


def constants_table() -> str:
    """Constants of every engine."""
    header = ["Constant", *ENGINES]
    return _markdown(header, [[name, *map(show, ENGINES.values())] for name, show in CONSTANTS.items()])


def error_table() -> str:
    """Errors against public rows, by engine and GPU type."""
    rows: list[list[str]] = []
    for label, comparisons in (
        ("TensorRT-LLM 0.14, offline", tensorrt_llm_offline()),
        ("vLLM", vllm_runs()),
        ("TensorRT-LLM 1.2, served", tensorrt_llm_served()),
        ("SGLang 0.5.6, closed loop", sglang_closed_loop()),
        ("SGLang 0.5.5", sglang_runs()),
    ):
        rows.append(_error_row(f"**{label}**", comparisons))
        gpus = sorted({row.gpu for row in comparisons})
        rows.extend(_error_row(f"{label}: {gpu}", [row for row in comparisons if row.gpu == gpu]) for gpu in gpus)
    return _markdown(["Group", "n", "median", "mean", "p90"], rows)


def _error_row(label: str, comparisons: list[Comparison]) -> list[str]:
    count, *shares = error_summary(comparisons)
    return [label, str(count), *(f"{share * 100:.1f} %" for share in shares)]


def requests_per_dollar_table(model: str) -> str:
    """Requests per dollar of the best configuration of each GPU type, the leader in bold."""
    best = best_per_gpu(model)
    rows = []
    for pair in PAPER_LENGTHS:
        top = max(best[gpu, pair][0] for gpu in PAPER_PRICES_USD_PER_HOUR)
        cells = []
        for gpu in PAPER_PRICES_USD_PER_HOUR:
            value, config = best[gpu, pair]
            text = f"{value:.0f} {config.parallel_label.partition(' [')[0]}"
            cells.append(f"**{text}**" if value == top else text)
        rows.append([str(pair), *cells])
    return _markdown(["(prompt, answer)", *PAPER_PRICES_USD_PER_HOUR], rows)


ABLATIONS: dict[str, dict[str, object]] = {
    "as embedded": {},
    "no host time per sequence": {"sequence_overhead_s": 0.0},
    "no power limit": {},
    "no Hopper derate": {"compute_derate": {}},
    "no batch limits (2048 sequences, 8192 tokens on every GPU)": {
        "max_num_seqs": 2048,
        "max_num_tokens": 8192,
        "large_gpu_limits": None,
    },
    "PCIe as efficient as NVLink": {
        "pcie_efficiency": VLLM.link_efficiency,
        "no_peer_efficiency": VLLM.link_efficiency,
    },
    "no cache lost": {"recomputed_share": 0.0},
    "all of them off: the naive roofline": {},
}


def ablation_table() -> str:
    """Requests per dollar of the A40 over those of the H100, with each effect switched off."""
    rows = []
    for name in ABLATIONS:
        ratios = [f"{ratio:.2f}" for model in ("llama-3-70b", "llama-3-8b") for ratio in ablated_ratios(name, model)]
        rows.append([name, *ratios])
    columns = [f"{model} {pair}" for model in ("70B", "8B") for pair in ((2455, 18), (496, 510))]
    return _markdown(["Model", *columns], rows)


def ablated_ratios(name: str, model: str) -> list[float]:
    """A40 over H100 on (2455, 18) and (496, 510) [-]."""
    everything = name.startswith("all of them")
    changes = (
        {key: value for case in ABLATIONS.values() for key, value in case.items()} if everything else ABLATIONS[name]
    )
    engine: EngineSettings = replace(VLLM, **changes)  # type: ignore[arg-type]
    unlimited = everything or name == "no power limit"
    gpus = {key: replace(gpu, tdp_w=None) for key, gpu in GPUS.items()} if unlimited else GPUS
    pairs = [(2455, 18), (496, 510)]
    best = best_per_gpu(model, engine, gpus, pairs)
    return [best["A40", pair][0] / best["H100-SXM", pair][0] for pair in pairs]


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
