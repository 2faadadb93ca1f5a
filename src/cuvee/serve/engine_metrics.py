"""What engines say of themselves: running, waiting, cache in use, asked of the configured replicas and nobody else."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from cuvee.metrics_text import read_samples
from cuvee.serve.fetch import FAILURES, get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cuvee.metrics_text import Sample
    from cuvee.serve.replica import Replica

TIMEOUT_S = 2.0
"""Longest wait for an engine's metrics [s]."""

MOST_BYTES = 4_000_000
"""Largest text of metrics that is read [bytes]."""

NOT_OFFERED_S = 300.0
"""Time until an engine that has none is asked again [s]."""

NAMES: dict[str, tuple[str, Callable[[Iterable[float]], float]]] = {
    "vllm:num_requests_running": ("requests_running", sum),
    "vllm:num_requests_waiting": ("requests_waiting", sum),
    "vllm:kv_cache_usage_perc": ("kv_cache_usage_ratio", max),
    "vllm:gpu_cache_usage_perc": ("kv_cache_usage_ratio", max),
    "sglang:num_running_reqs": ("requests_running", sum),
    "sglang:num_queue_reqs": ("requests_waiting", sum),
    "sglang:token_usage": ("kv_cache_usage_ratio", max),
    "llamacpp:requests_processing": ("requests_running", sum),
    "llamacpp:requests_deferred": ("requests_waiting", sum),
    "llamacpp:kv_cache_usage_ratio": ("kv_cache_usage_ratio", max),
    "trtllm_num_requests_running": ("requests_running", sum),
    "trtllm_num_requests_waiting": ("requests_waiting", sum),
    "trtllm_kv_cache_utilization": ("kv_cache_usage_ratio", max),
}
"""Names of engines: what it is here, and what several samples of one name come to.

Source    vLLM 0.32, SGLang and llama.cpp: their pages on metrics, read 2026-11-23; a llama.cpp of 2026 has no cache
          usage. TensorRT-LLM: the model server protocol of the Gateway API inference extension.
"""


def engine_figures(text: str) -> dict[str, float]:
    """Figures of `NAMES` in the metrics of an engine; nothing of engines that are not known.

    Raises      ValueError: no metrics.
    """
    found: dict[str, list[Sample]] = {}
    for sample in read_samples(text, NAMES.__contains__):
        found.setdefault(sample.name, []).append(sample)
    figures: dict[str, float] = {}
    for name, (ours, combined) in NAMES.items():
        if name in found and ours not in figures:
            figures[ours] = combined(sample.value for sample in found[name])
    return figures


class EngineMetrics:
    """Asks every replica now and then.

    Parameters
        period_s    Time between two questions to one replica [s].
    """

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.asking: dict[Replica, asyncio.Task[None]] = {}

    def watch(self, replicas: Iterable[Replica]) -> None:
        """Ask these replicas, and no other."""
        wanted = set(replicas)
        for replica in self.asking.keys() - wanted:
            self.asking.pop(replica).cancel()
        for replica in wanted - self.asking.keys():
            self.asking[replica] = asyncio.get_running_loop().create_task(self._ask(replica))

    def stop(self) -> None:
        """Ask nobody any more."""
        self.watch(())

    async def _ask(self, replica: Replica) -> None:
        while True:
            is_offered = await ask(replica)
            wait_s = self.period_s if is_offered else max(self.period_s, NOT_OFFERED_S)
            await asyncio.sleep(wait_s * random.uniform(0.9, 1.1))


async def ask(replica: Replica) -> bool:
    """Bring the figures of a replica's engine up to date; False where it answers and has none to offer.

    Notes       What cannot be had is not shown: an engine that is down has no figures.
    """
    address = replica.address
    try:
        status, body = await get(
            address.host, address.port, replica.root + b"/metrics", replica.own_head, timeout_s=TIMEOUT_S,
            most_bytes=MOST_BYTES, tls=replica.pool.tls,
        )  # fmt: skip
        replica.engine = engine_figures(body.decode("utf-8", "replace")) if status == 200 else {}
    except FAILURES:
        replica.engine = {}
        return True
    return status == 200
