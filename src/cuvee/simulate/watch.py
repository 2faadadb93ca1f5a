"""What is seen of a simulation at its events: who was with a replica that failed, and how much cache is held."""

import numpy as np

from cuvee.simulate.arrays import BLOCK_TOKENS, DECODE, EVENT, IDLE, NONE, STAY, WAKE, Floats, Ints, Records
from cuvee.simulate.events import LOOK
from cuvee.simulate.play import Engines

NUM_BINS = 100
"""Points of the series over time."""


def with_looks(events: Records, look_s: Floats) -> Records:
    """`events`, and between them looks at all replicas at times in ascending order [s]."""
    looks = np.zeros(len(look_s), EVENT)
    looks["time_s"], looks["kind"], looks["replica"] = look_s, LOOK, NONE
    both = np.concatenate([events, looks])
    return both[np.argsort(both["time_s"], kind="stable")].view(np.recarray)


class Watch:
    """Told of each event as `cuvee.simulate.play.play` tells it."""

    def __init__(self, requests: Records, engines: Engines, events: Records) -> None:
        self._requests, self._engines, self._events = requests, engines, events
        self._since_s: dict[int, float] = {}
        self._stays: list[tuple[int, int, float, float]] = []
        self._cache_blocks: list[Ints] = []

    def __call__(self, cursor: Records) -> None:
        """Note the requests that the event which has just happened leaves without a replica, or what replicas hold."""
        event = self._events[cursor[0].happened - 1]
        if event.kind == LOOK:
            self._cache_blocks.append(cache_blocks(self._engines, float(event.time_s)))
        until_s, request, following = float(cursor[0].orphaned_s), int(cursor[0].orphans), self._requests["next"]
        while request != NONE:
            from_s = self._since_s.get(request, float(self._requests["arrival_s"][request]))
            self._stays.append((request, int(event.replica), from_s, until_s))
            self._since_s[request] = until_s
            request = int(following[request])

    @property
    def stays(self) -> Records:
        """Where requests were that were routed anew, by time: an array of `STAY`."""
        return np.array(self._stays, dtype=STAY).view(np.recarray)

    @property
    def cache_blocks(self) -> Ints:
        """Blocks of the cache that sequences held at each look, shape (num_looks, num_replicas)."""
        return np.array(self._cache_blocks, dtype=np.int64).reshape(-1, len(self._engines.replicas))


def cache_blocks(engines: Engines, now_s: float) -> Ints:
    """Blocks of each cache that sequences hold in the round which is computed at `now_s` [s]."""
    replicas, phase = engines.replicas, engines.phase
    # Of a run of rounds, each longer by as much, those that are over: the root of a line of lengths, added up.
    elapsed_s, half_s = np.maximum(now_s - replicas.start_s, 0.0), replicas.base_s - replicas.growth_s / 2
    root_s = half_s + np.sqrt(half_s**2 + 2 * replicas.growth_s * elapsed_s)
    over = np.divide(2 * elapsed_s, root_s, out=np.zeros(len(replicas)), where=root_s > 0).astype(np.int64)
    rounds = 1 + np.where(replicas.mode == DECODE, np.minimum(over, replicas.rounds - 1), 0)
    rounds[(replicas.mode == IDLE) | (replicas.mode == WAKE) | (engines.laws.reserves[replicas.law] > 0)] = 0
    later = np.arange(1, BLOCK_TOKENS)
    steps = (replicas.step[:, None] + later) % BLOCK_TOKENS
    parts = np.where(later <= (rounds % BLOCK_TOKENS)[:, None], np.take_along_axis(phase, steps, axis=1), 0)
    taken = replicas.decoding * (rounds // BLOCK_TOKENS) + parts.sum(axis=1)
    held: Ints = replicas.held + replicas.reserved + taken
    return held
