"""What a gateway knows of itself, and of the processes that share its port: the figures behind `/metrics`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from cuvee.serve.fetch import FAILURES, get
from cuvee.serve.metrics import metrics_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cuvee.serve.gateway import Gateway

SIBLING_S = 1.0
"""Longest wait for another process [s]."""

MOST_KEPT = 64
"""Records that are kept of processes that do not answer, or are gone [-]."""

MOST_BYTES = 50_000_000
"""Largest record of one [bytes]."""


@dataclass
class Siblings:
    """Other processes that share the port.

    Attributes
        addresses    Host and admin port of each.
        last         The last record of each that served this plan, also of those that were replaced since: without
                     them counters would go back.
    """

    addresses: Sequence[tuple[str, int]] = ()
    last: dict[str, dict[str, Any]] = field(default_factory=dict)

    def learn(self, own: dict[str, Any], answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep `answers` of those that serve what `own` says; returns the records of all others that are known."""
        plan = own["fingerprint"]
        fresh = {each["process"]: each for each in answers if each["fingerprint"] == plan}
        older = {name: each for name, each in self.last.items() if each["fingerprint"] == plan and name not in fresh}
        self.last = dict([*older.items(), *fresh.items()][-MOST_KEPT:])
        return list(older.values())


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
        "process": f"{os.getpid()}-{id(gateway):x}",
        "fingerprint": serving.fingerprint,
        "counters": gateway.counters.record(),
        "replicas": replicas,
        "waiting": {state.model: state.line.length for state in serving.models.values()},
        "under_way": len(gateway.exchanges),
        "clients": len(gateway.clients),
        "lost_lines": sum(journal.num_lost for journal in gateway.journals),
    }


async def metrics_of(gateway: Gateway, siblings: Siblings) -> bytes:
    """Metrics of this process, and of those that listen at the admin ports of `siblings`.

    Notes       Of one that does not answer in time, or serves other files because it is about to reload, counters are
                those that it told last, and what it has right now is left out; `cuvee_processes_counted` says of how
                many that is.
    """
    answers = await asyncio.gather(*(_record_from(host, port) for host, port in siblings.addresses))
    others = [each for each in answers if each is not None]
    own = record_of(gateway)
    older = siblings.learn(own, others)
    names = [each["name"] for each in own["replicas"]]
    alike, unlike = [own], older
    for other in others:
        if other["fingerprint"] == own["fingerprint"]:
            is_alike = [each["name"] for each in other["replicas"]] == names
            (alike if is_alike else unlike).append(other)
    return metrics_text(gateway.serving, alike, 1 + len(siblings.addresses), unlike)


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
