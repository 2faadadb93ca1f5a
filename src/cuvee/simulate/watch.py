"""What is seen of a simulation at its events: who was with a replica that failed; and when it is looked at."""

import numpy as np

from cuvee.simulate.arrays import EVENT, NONE, STAY, Floats, Records
from cuvee.simulate.events import LOOK

NUM_BINS = 100
"""Points of the series over time."""


def with_looks(events: Records, look_s: Floats) -> Records:
    """`events`, and between them looks at all replicas at times in ascending order [s]; each has its number."""
    looks = np.zeros(len(look_s), EVENT)
    looks["time_s"], looks["kind"], looks["replica"] = look_s, LOOK, np.arange(len(look_s))
    both = np.concatenate([events, looks])
    return both[np.argsort(both["time_s"], kind="stable")].view(np.recarray)


class Watch:
    """Told of each event as `cuvee.simulate.play.play` tells it."""

    def __init__(self, requests: Records, events: Records) -> None:
        self._requests, self._events = requests, events
        self._since_s: dict[int, float] = {}
        self._stays: list[tuple[int, int, float, float]] = []

    def __call__(self, cursor: Records) -> None:
        """Note the requests that the event which has just happened leaves without a replica."""
        event = self._events[cursor[0].happened - 1]
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
