"""What a full replica serves and loses, beside the event simulation: computed once, printed in the docs."""

from dataclasses import dataclass, replace
from functools import cache

from cuvee.profile import AnalyticProvider
from cuvee.profile.load import loadable
from cuvee.profile.replica_arrays import ReplicaArrays
from tests.profile.event_simulation import simulate
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

REPLICAS = (
    ("llama-3-8b", "RTX4090", 1),
    ("llama-3-8b", "A40", 1),
    ("llama-3-70b", "A40", 4),
    ("llama-3-70b", "A100-80GB-SXM", 2),
    ("llama-3-70b", "H100-SXM", 4),
)
LENGTHS = ((496, 253), (496, 510), (2455, 510))
OVERLOAD = 1.5
"""Requests that arrive over those the table says are served [-]."""


@dataclass(frozen=True)
class Saturated:
    """One full replica on one workload type.

    Attributes
        lost, simulated_lost    Tokens computed anew per answer token, estimated and simulated [-].
        rate                    Estimated over simulated [-].
        rate_without            The same of an estimate that knows of no loss [-].
    """

    label: str
    exponential_lengths: bool
    lost: float
    simulated_lost: float
    rate: float
    rate_without: float


@cache
def saturated() -> tuple[Saturated, ...]:
    """Every replica on every type, with fixed and with exponential lengths."""
    return tuple(
        _compared(*replica, lengths, exponential)
        for replica in REPLICAS
        for lengths in LENGTHS
        for exponential in (False, True)
    )


def _compared(model: str, gpu: str, size: int, lengths: tuple[float, float], exponential_lengths: bool) -> Saturated:
    config, kind = even_config(model, gpu, size), workload(*lengths)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    without = AnalyticProvider(MODELS, GPUS, replace(VLLM, recomputed_share=0.0))
    table = provider.table([config], [kind])
    rate, sequences = float(table.rate_req_per_s[0, 0]), float(table.num_sequences[0, 0])
    seen = simulate(
        provider,
        config,
        kind,
        rate_req_per_s=OVERLOAD * rate,
        num_requests=int(min(max(15 * sequences, 1000), 4000)),
        exponential_lengths=exponential_lengths,
    )
    return Saturated(
        f"{model} on {size} x {gpu}, ({lengths[0]}, {lengths[1]})",
        exponential_lengths,
        float(loadable(provider, ReplicaArrays.of([config]), [kind]).recomputed[0, 0]),
        seen.recomputed_share,
        rate / seen.rate_req_per_s,
        float(without.table([config], [kind]).rate_req_per_s[0, 0]) / seen.rate_req_per_s,
    )


def saturation_table() -> str:
    """The comparison as a table in Markdown."""
    header = ["Replica, (prompt, answer)", "lengths", "a", "simulated", "rate", "rate at a = 0"]
    rows = [
        [each.label, "exponential" if each.exponential_lengths else "fixed"]
        + [f"{value:.2f}" for value in (each.lost, each.simulated_lost, each.rate, each.rate_without)]
        for each in saturated()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])
