"""The latency curve beside the event simulation, computed once: what the tests bound and docs/latency.md prints."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from cuvee.profile import AnalyticProvider
from cuvee.profile.limited import LimitedProvider
from cuvee.workload import LatencyLimits, LatencyObjective
from tests.profile.event_simulation import Simulated, simulate
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

CASES = (
    ("llama-3-8b", "RTX4090", 1, (496, 253)),
    ("llama-3-8b", "RTX4090", 1, (2455, 18)),
    ("llama-3-8b", "A40", 1, (824, 18)),
    ("llama-3-70b", "H100-SXM", 4, (2455, 253)),
)
LOADS = (0.4, 0.8)
NUM_REQUESTS = 4000
NAMES = ("ttft_s", "tpot_s", "e2e_s")


@dataclass(frozen=True)
class Ratios:
    """Latency of the curve over what was simulated [-], means and 95th percentiles of `NAMES`.

    Attributes
        load    Rate over the saturated rate [-].
    """

    label: str
    load: float
    exponential_lengths: bool
    mean: tuple[float, ...]
    percentile_95: tuple[float, ...]


@cache
def compared() -> tuple[Ratios, ...]:
    """Every case at every load, with fixed and with exponential lengths."""
    return tuple(ratios(*case, load, exponential) for case in CASES for load in LOADS for exponential in (False, True))


def ratios(
    model: str, gpu: str, size: int, lengths: tuple[float, float], load: float, exponential_lengths: bool
) -> Ratios:
    """One replica at one load."""
    config, kind = even_config(model, gpu, size), workload(*lengths)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    saturated = provider.table([config], [kind])
    rate = float(load * saturated.rate_req_per_s[0, 0])
    seen = simulate(
        provider,
        config,
        kind,
        rate_req_per_s=rate,
        num_requests=NUM_REQUESTS,
        exponential_lengths=exponential_lengths,
    )

    def of(statistic: str) -> tuple[float, ...]:
        objective = {model: LatencyObjective(LatencyLimits(1e6, statistic=statistic))}
        found = LimitedProvider(provider, provider, objective).latency_at(saturated, np.full((1, 1), rate))
        return tuple(float(getattr(found, name)[0, 0]) / _simulated(seen, name, statistic) for name in NAMES)

    label = f"{model} on {size} x {gpu}, ({lengths[0]}, {lengths[1]})"
    return Ratios(label, load, exponential_lengths, of("mean"), of("p95"))


def _simulated(seen: Simulated, name: str, statistic: str) -> float:
    values = getattr(seen, name)
    return float(values.mean() if statistic == "mean" else np.percentile(values, 95))


def comparison_table() -> str:
    """The ratios as a table in Markdown."""
    figures = [f"{name} {what}" for what in ("mean", "p95") for name in ("TTFT", "TPOT", "E2E")]
    header = ["Replica, (prompt, answer)", "load", "lengths", *figures]
    rows = [
        [each.label, f"{each.load:g}", "exponential" if each.exponential_lengths else "fixed"]
        + [f"{value:.2f}" for value in (*each.mean, *each.percentile_95)]
        for each in compared()
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
