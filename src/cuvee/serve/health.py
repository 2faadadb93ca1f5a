"""Who is up: probes, failures in a row, and how long whoever failed is left out."""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from cuvee.serve.fetch import FAILURES, get
from cuvee.serve.upstream import Failure

if TYPE_CHECKING:
    from cuvee.serve.counters import Counters
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.replica import Replica
    from cuvee.serve.serving import Serving

PATHS = (b"/health", b"/v1/models")
"""What is asked for: the second where the first is not known."""

MOST_BYTES = 1_000_000
"""Largest answer of a replica that is well [bytes]."""

AT_ONCE = frozenset({Failure.UNREACHABLE})
"""Failures that one is enough of: nobody listens."""

NO_FAILURE = frozenset({501, 505})
"""Statuses from 500 on that speak of the request, not of the replica."""


class Owner(Protocol):
    """Whose replicas are watched."""

    serving: Serving
    options: ServeOptions
    counters: Counters

    def replica_changed(self, replica: Replica) -> None:
        """A replica went down or came back."""


class Health:
    """Health of all replicas."""

    def __init__(self, gateway: Owner) -> None:
        self.gateway = gateway
        self.probes: dict[Replica, asyncio.Task[None]] = {}

    def watch(self) -> None:
        """Probe every replica that is served, and no other."""
        served = set(self.gateway.serving.replicas)
        for replica in self.probes.keys() - served:
            self.probes.pop(replica).cancel()
        for replica in served - self.probes.keys():
            self.probes[replica] = asyncio.get_running_loop().create_task(self._watch(replica))

    def stop(self) -> None:
        """Probe nobody any more."""
        for task in self.probes.values():
            task.cancel()

    def failed(self, replica: Replica, failure: Failure) -> None:
        """A request or probe failed; the replica is left out once that is enough."""
        is_enough = self._are_enough(replica)
        if replica.is_up and (is_enough or failure in AT_ONCE):
            self._eject(replica)

    def answered(self, replica: Replica, status: int) -> None:
        """A replica answered with a status of 500 or more; it is left out once that is enough and others are left.

        Notes       Who answers is alive, and some requests make any engine fail: so on their account no more than half
                    of a model's replicas are left out. One that is dead fails its probes and its connections.
        """
        if status not in NO_FAILURE and self._are_enough(replica) and replica.is_up and self._can_be_spared(replica):
            self._eject(replica)

    def _are_enough(self, replica: Replica) -> bool:
        """Count one more failure in a row; whether that is enough to leave the replica out."""
        replica.failures += 1
        replica.num_failures += 1
        return replica.failures >= self.gateway.options.failures

    def _can_be_spared(self, replica: Replica) -> bool:
        """Whether half of its model's replicas are up without it."""
        serving = self.gateway.serving
        model_of = {group.id: group.model for group in serving.plan.groups}
        alike = [each for each in serving.replicas if model_of.get(each.group) == model_of.get(replica.group)]
        return 2 * (sum(each.is_up for each in alike) - 1) >= len(alike)

    def succeeded(self, replica: Replica) -> None:
        """A request was answered well."""
        if replica.failures or replica.num_ejections:
            replica.failures = replica.num_ejections = 0

    def _eject(self, replica: Replica) -> None:
        options = self.gateway.options
        backoff_s = min(options.backoff_s * 2**replica.num_ejections, options.most_backoff_s)
        replica.up_at_s = monotonic() + backoff_s
        replica.num_ejections = min(replica.num_ejections + 1, 30)
        replica.num_ejected += 1
        replica.is_up = False
        self.gateway.counters.ejections += 1
        self.gateway.replica_changed(replica)

    def _readmit(self, replica: Replica) -> None:
        replica.is_up = True
        replica.failures = 0
        self.gateway.counters.readmissions += 1
        self.gateway.replica_changed(replica)

    async def _watch(self, replica: Replica) -> None:
        """Probe one replica for ever; a probe that works brings it back once its time is over."""
        probe_s = self.gateway.options.probe_s
        while True:
            is_well = await probe(replica, probe_s)
            if not is_well:
                self.failed(replica, Failure.SILENT)
            elif not replica.is_up:
                if monotonic() >= replica.up_at_s:
                    self._readmit(replica)
            elif replica.failures:
                replica.failures -= 1
            wait_s = probe_s if replica.is_up else max(min(probe_s, replica.up_at_s - monotonic()), 0.05)
            await asyncio.sleep(wait_s * random.uniform(0.9, 1.1))


async def probe(replica: Replica, timeout_s: float) -> bool:
    """Whether a replica answers within `timeout_s` [s], over a connection of its own."""
    try:
        async with asyncio.timeout(timeout_s):
            for path in PATHS:
                status, _ = await get(
                    replica.address.host, replica.address.port, replica.root + path, replica.own_head,
                    timeout_s=timeout_s, most_bytes=MOST_BYTES, tls=replica.pool.tls,
                )  # fmt: skip
                if status != 404:
                    return 200 <= status < 300
    except FAILURES:
        pass
    return False
