"""What a gateway knows of itself, and of the processes that share its port: the figures behind `/metrics`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from cuvee.serve.fetch import FAILURES, get
from cuvee.serve.metrics import metrics_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cuvee.serve.gateway import Gateway

SIBLING_S = 1.0
"""Longest wait for another process [s]."""

MOST_BYTES = 50_000_000
"""Largest record of one [bytes]."""


def record_of(gateway: Gateway) -> dict[str, Any]:
    """Figures of this process as plain data."""
    serving = gateway.serving
    replicas = [
        {
            "name": replica.name, "group": replica.group, "is_up": replica.is_up, "held": replica.held,
            "occupancy": serving.router.occupancy[place], "connections": len(replica.pool.connections),
            "failures": replica.num_failures, "ejections": replica.num_ejected, "engine": replica.engine,
        }
        for place, replica in enumerate(serving.replicas)
    ]  # fmt: skip
    return {
        "fingerprint": serving.fingerprint,
        "counters": gateway.counters.record(),
        "replicas": replicas,
        "waiting": {state.model: state.line.length for state in serving.models.values()},
        "under_way": len(gateway.exchanges),
        "clients": len(gateway.clients),
        "lost_lines": sum(journal.num_lost for journal in gateway.journals),
    }


async def metrics_of(gateway: Gateway, siblings: Sequence[tuple[str, int]]) -> bytes:
    """Metrics of this process, and of those that listen at the admin ports of `siblings`.

    Notes       One that does not answer in time, or serves other files because it is about to reload, is left out;
                `cuvee_processes_counted` says of how many the figures are.
    """
    others = await asyncio.gather(*(_record_from(host, port) for host, port in siblings))
    own = record_of(gateway)
    names = [each["name"] for each in own["replicas"]]
    alike = [
        other
        for other in others
        if other is not None
        and other["fingerprint"] == own["fingerprint"]
        and [each["name"] for each in other["replicas"]] == names
    ]
    return metrics_text(gateway.serving, [own, *alike], 1 + len(siblings))


async def _record_from(host: str, port: int) -> dict[str, Any] | None:
    """The record of another process; None where it gives none."""
    name = f"[{host}]" if ":" in host else host
    head = b"host: %b:%d\r\n" % (name.encode(), port)
    try:
        status, body = await get(host, port, b"/counters", head, timeout_s=SIBLING_S, most_bytes=MOST_BYTES)
        found: dict[str, Any] = orjson.loads(body)
    except FAILURES:
        return None
    return found if status == 200 else None
