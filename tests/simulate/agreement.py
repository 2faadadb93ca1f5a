"""The planner's rates and latency curves beside the simulator, on the paper's GPU and workload types.

Run: python -m tests.simulate.agreement    # prints the tables of docs/simulator.md and docs/latency.md
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.profile import AnalyticProvider, EngineSettings, ReplicaConfig
from cuvee.profile.latency import Statistic, latency
from cuvee.profile.load import loadable
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.step_law import step_law
from cuvee.simulate.arrays import Records, picked
from cuvee.workload import Demand, load_mix
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload
from tests.simulate.worlds import played

PAPER_GPUS = ("A6000", "A40", "L40", "A100-80GB-SXM", "H100-SXM", "RTX4090")
LENGTHS = tuple((prompt, answer) for prompt in (2455, 496, 824) for answer in (18, 253, 510))
SPREAD = 0.3
"""Coefficient of variation of lengths about their means [-]; requests all alike march in step, real ones do not."""

CURVE_CASES = (
    ("llama-3-70b", "A100-80GB-SXM", 4),
    ("llama-3-70b", "H100-SXM", 4),
    ("llama-3-8b", "RTX4090", 1),
    ("llama-3-8b", "A40", 1),
    ("llama-3-8b", "H100-SXM", 1),
)
CURVE_LENGTHS = ((2455, 510), (2455, 18), (496, 510), (496, 18), (824, 253))
MIXES = {name: load_mix(name) for name in ("trace-1", "trace-2", "trace-3")} | {
    "2455/18 and 496/510": Demand((workload(2455, 18), workload(496, 510)), (1, 1))
}
LOADS = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Compared:
    """One replica on one workload type.

    Attributes
        error           Predicted over simulated, less 1 [-].
        num_sequences   Of its steady batch [-].
    """

    config: ReplicaConfig
    lengths: tuple[float, float]
    error: float
    num_sequences: float


def simulated(
    config: ReplicaConfig,
    lengths: Sequence[float] | np.ndarray,
    rate_req_per_s: float,
    number: int,
    engine: EngineSettings = VLLM,
) -> Records:
    """Requests that arrive at random at one replica, their lengths spread about the means: two, or two of each."""
    prompt_tokens, answer_tokens = (float(np.mean(each)) for each in lengths)
    context = prompt_tokens + answer_tokens / 2
    law = step_law(
        MODELS[config.model], config, GPUS, engine, prompt_tokens=prompt_tokens, context_tokens=context
    )  # fmt: skip
    rng = np.random.default_rng(0)
    arrival_s = np.cumsum(rng.exponential(1 / rate_req_per_s, number))
    shape = 1 / SPREAD**2
    prompt, answer = (
        np.maximum(rng.gamma(shape, np.asarray(mean) / shape, number).round(), 1).astype(np.int64) for mean in lengths
    )
    return played([law], arrival_s, np.minimum(prompt, law.cache_tokens - answer - 16), answer).requests


def rates(depths: tuple[int, ...] = (1,), engine: EngineSettings = VLLM) -> Iterator[Compared]:
    """Rates of even replicas of up to eight GPUs beside what comes out where one and a half times as much goes in."""
    for model in ("llama-3-8b", "llama-3-70b"):
        configs = [
            even_config(model, gpu, size, depth)
            for gpu in PAPER_GPUS for size in (1, 2, 4, 8) for depth in depths if size * depth <= 8
        ]  # fmt: skip
        table = AnalyticProvider(MODELS, GPUS, engine).table(configs, [workload(*lengths) for lengths in LENGTHS])
        for row, column in zip(*np.nonzero(table.fits), strict=True):
            predicted, sequences = table.rate_req_per_s[row, column], table.num_sequences[row, column]
            number = int(min(max(20 * sequences, 3000), 12_000))
            finish_s = np.sort(simulated(configs[row], LENGTHS[column], 1.5 * predicted, number, engine).finish_s)
            first, last = number // 4, number * 2 // 3
            rate = (last - first) / (finish_s[last] - finish_s[first])
            yield Compared(configs[row], LENGTHS[column], float(predicted / rate - 1), float(sequences))


def mixed_rates(depths: tuple[int, ...]) -> Iterator[tuple[str, float, float]]:
    """Name of a mix, and the rate of a replica that serves it over those predicted, less 1: in the mix, and alone."""
    for name, asked in MIXES.items():
        lengths = [(kind.input_tokens, kind.output_tokens) for kind in asked.types]
        mix = {kind.name: share for kind, share in zip(asked.types, asked.shares, strict=True)}
        configs = [
            even_config("llama-3-70b", gpu, size, depth)
            for gpu in PAPER_GPUS for size in (1, 2, 4, 8) for depth in depths if size * depth <= 8
        ]  # fmt: skip
        alone = AnalyticProvider(MODELS, GPUS, VLLM)
        tables = [each.table(configs, asked.types) for each in (replace(alone, mixes={"llama-3-70b": mix}), alone)]
        for row in np.flatnonzero(tables[0].fits.all(axis=1)):
            within, summed = (1 / (np.array(asked.shares) / table.rate_req_per_s[row]).sum() for table in tables)
            number = int(min(max(25 * tables[0].num_sequences[row].mean(), 2000), 8000))
            of = np.random.default_rng(0).choice(len(lengths), size=number, p=asked.shares)
            finish_s = np.sort(simulated(configs[row], np.array(lengths)[of].T, 1.5 * summed, number).finish_s)
            first, last = number // 4, number * 2 // 3
            rate = (last - first) / (finish_s[last] - finish_s[first])
            yield name, rate / within - 1, rate / summed - 1


def curves(number: int = 8000) -> dict[tuple[str, float], np.ndarray]:
    """Latency of the curve over that simulated, less 1, by figure and load; one value a case."""
    found: dict[tuple[str, float], list[float]] = {}
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    for model, gpu, size in CURVE_CASES:
        config = even_config(model, gpu, size)
        for lengths in CURVE_LENGTHS:
            replicas = loadable(provider, ReplicaArrays.of([config]), [workload(*lengths)])
            nothing = np.zeros((1, 1))
            idle, full = replicas.at(nothing), replicas.at(nothing + 1)
            for load in LOADS:
                asked = load * float(full.rate_req_per_s[0, 0])
                occupancy = np.linspace(0, 1, 4001)
                reached = np.array([replicas.at(nothing + each).rate_req_per_s[0, 0] for each in occupancy[::40]])
                at = np.interp(asked, reached, occupancy[::40])
                requests = simulated(config, lengths, asked, number)
                warm = np.arange(number) >= number // 10
                requests = picked(requests, warm & (requests.answer > 1))
                ttft_s = requests.first_s - requests.arrival_s
                tpot_s = (requests.finish_s - requests.first_s) / (requests.answer - 1)
                for label, percentile in (("mean", None), ("p95", 95.0)):
                    curve = latency(replicas, replicas.at(nothing + at), idle, full, Statistic.of([percentile]))
                    for name, predicted_s, values_s in (
                        ("TTFT", curve.ttft_s, ttft_s), ("TPOT", curve.tpot_s, tpot_s)
                    ):  # fmt: skip
                        seen_s = values_s.mean() if percentile is None else np.percentile(values_s, percentile)
                        error = float(predicted_s[0, 0]) / seen_s - 1
                        found.setdefault((f"{label} {name}", load), []).append(error)
    return {key: np.array(errors) for key, errors in found.items()}


def tables() -> Iterator[str]:
    """Both tables, line by line."""
    yield from ("| replicas | cells | median | within 3 % | within 5 % | 90 % within |", "|---|---|---|---|---|---|")
    for label, depths in (("one stage", (1,)), ("pipelines", (2, 4, 8))):
        errors = np.array([each.error for each in rates(depths)])
        size = np.abs(errors)
        yield (
            f"| {label} | {len(errors)} | {np.median(errors):+.1%} | {(size < 0.03).mean():.0%} | "
            f"{(size < 0.05).mean():.0%} | {np.percentile(size, 90):.1%} |"
        )
    yield from ("", "| mix | replicas | within the mix, median | 10th to 90th | sum of types alone | 10th to 90th |")
    yield "|---|---|---|---|---|---|"
    for label, depths in (("one stage", (1,)), ("pipelines", (2, 4, 8))):
        by_mix: dict[str, list[tuple[float, float]]] = {}
        for name, *both in mixed_rates(depths):
            by_mix.setdefault(name, []).append((both[0], both[1]))
        for name, found_errors in by_mix.items():
            low, middle, high = np.percentile(found_errors, [10, 50, 90], axis=0)
            told = " | ".join(f"{middle[i]:+.0%} | {low[i]:+.0%} to {high[i]:+.0%}" for i in range(2))
            yield f"| {name} | {len(found_errors)} of {label} | {told} |"
    found = curves()
    yield from ("", "| curve over simulated | " + " | ".join(f"{load:.0%} load" for load in LOADS) + " |")
    yield "|---" * (len(LOADS) + 1) + "|"
    for name in dict.fromkeys(name for name, _ in found):
        cells = [
            "{:+.0%} ({:+.0%} to {:+.0%})".format(*np.percentile(found[name, load], [50, 10, 90])) for load in LOADS
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables()) + "\n")
