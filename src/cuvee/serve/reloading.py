"""Another plan, other replicas, and no request lost: read beside the event loop, then put in place at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cuvee.routing.policies import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.gateway import Gateway
    from cuvee.serve.serving import Serving


class Reloader:
    """Reloads one gateway, one time after the other.

    Parameters
        load    Reads the files that were given at the start, and no others.
    """

    def __init__(self, gateway: Gateway, load: Callable[[], Serving]) -> None:
        self.gateway = gateway
        self.load = load
        self._turn = asyncio.Lock()

    async def reload(self) -> list[str]:
        """Go on with the files as they are now; returns what is to be known of them.

        Raises      InputError: files that cannot be used; everything stays as it was. So does it with other errors.
        """
        async with self._turn:
            try:
                fresh = await asyncio.to_thread(self.load)
            except Exception:
                self.gateway.counters.failed_reloads += 1
                raise
            put_in_place(self.gateway, fresh)
            return list(fresh.notes)


def put_in_place(gateway: Gateway, fresh: Serving) -> None:
    """Have `fresh` served: what is under way ends where it is, what waits waits for the new plan."""
    old = gateway.serving
    gone = fresh.adopt(old)
    waiting = [exchange for state in set(old.models.values()) for exchange in state.line.all()]
    gateway.serving = fresh
    if fresh.fingerprint != old.fingerprint:
        gateway.counters.restart()
    states = {state.model: state for state in fresh.models.values()}
    for exchange in gateway.exchanges:
        state = states.get(exchange.model.model)
        if state is None:
            exchange.row = NONE
        else:
            exchange.model = state
            exchange.row = state.types.row(exchange.prompt_tokens, exchange.expected_tokens)
    for exchange in sorted(waiting, key=lambda each: each.arrived_s):
        if exchange.row == NONE:
            exchange.refuse(404, "model_not_found", "the model is no longer served here", param="model")
        else:
            exchange.model.line.add(exchange)
    for replica in gone:
        if not replica.held:
            replica.pool.close()
    gateway.counters.reloads += 1
    gateway.health.watch()
    if gateway.engine_metrics is not None:
        gateway.engine_metrics.watch(fresh.replicas)
    gateway.settle()
    gateway.serve_waiting()
