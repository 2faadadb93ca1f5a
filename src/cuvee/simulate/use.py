"""What the replicas of a group did over time: requests they held, cache in use, sequences put back."""

from dataclasses import dataclass, field

import numpy as np

from cuvee.simulate.arrays import Bools, Floats, Ints, Records, picked
from cuvee.simulate.simulation import Simulation


@dataclass(frozen=True)
class GroupUse:
    """What the replicas of a group did.

    Attributes
        busy                Share of the time in which a replica computes [-], the mean over replicas: from the start to
                            the last arrival of all, or to the group's last token where that is later.
        busy_of_replicas    The same of each, and of each of its GPUs [-].
        running             Mean requests that a replica holds [-].
        preemptions         Sequences that were put back.
        recomputed_share    Tokens computed anew, over answer tokens made [-].
        series_requests     Requests that the group holds, at the times of `Report.series_s` [-].
        series_waiting      Of those, without a first token.
        series_cache        Share of its cache in use [-].
    """

    group: str
    cost_usd_per_hour: float
    busy: float
    busy_of_replicas: tuple[float, ...]
    running: float
    preemptions: int
    recomputed_share: float
    series_requests: tuple[float, ...] = field(repr=False)
    series_waiting: tuple[float, ...] = field(repr=False)
    series_cache: tuple[float, ...] = field(repr=False)


def group_use(simulation: Simulation, index: int, chosen: Bools, served: Bools, series_s: Floats) -> GroupUse:
    """Use of the group at `index`, whose requests are `chosen`: what these hold grows by steps and lines, added up."""
    each = simulation.fleet.groups[index]
    mine = simulation.fleet.group_of == index
    requests = picked(simulation.requests, chosen & served)
    if each.sending is not None:
        requests.finish_s = requests.first_s  # the rest of the request is somebody else's
    replicas, copies = picked(simulation.replicas, mine), max(int(mine.sum()), 1)
    until_s = max(float(series_s[-1]), 1e-9)
    arrived, first, finish = (np.sort(getattr(requests, name)) for name in ("arrival_s", "first_s", "finish_s"))
    held = np.searchsorted(arrived, series_s, "right") - np.searchsorted(finish, series_s, "right")
    waiting = np.searchsorted(arrived, series_s, "right") - np.searchsorted(first, series_s, "right")
    seen_s = np.minimum(requests.finish_s, until_s) - np.minimum(requests.arrival_s, until_s)
    busy = np.minimum(replicas.busy_s / max(until_s, float(finish[-1]) if len(finish) else 0.0), 1.0)
    room = max(each.law.cache_tokens * copies, 1)
    return GroupUse(
        each.group.id,
        each.group.cost_usd_per_hour,
        busy=float(busy.mean()),
        busy_of_replicas=tuple(map(float, busy)),
        running=float(seen_s.sum() / until_s / copies),
        preemptions=int(replicas.preemptions.sum()),
        recomputed_share=float(replicas.recomputed.sum() / max(requests.answer.sum(), 1)),
        series_requests=tuple(map(float, held)),
        series_waiting=tuple(map(float, waiting)),
        series_cache=tuple(map(float, _cached(requests, series_s) / room)),
    )


def _cached(requests: Records, series_s: Floats) -> Floats:
    """Tokens that requests between first and last token hold at each time: the prompt, and the answer so far."""
    first, finish = np.argsort(requests.first_s), np.argsort(requests.finish_s)
    growth = requests.answer / np.maximum(requests.finish_s - requests.first_s, 1e-9)
    offset = requests.prompt - growth * requests.first_s

    def passed(order: Ints, times_s: Floats) -> Floats:
        place = np.searchsorted(times_s[order], series_s, "right")
        level, slope = (np.concatenate([[0.0], np.cumsum(values[order])]) for values in (offset, growth))
        return level[place] + slope[place] * series_s

    held: Floats = passed(first, requests.first_s) - passed(finish, requests.finish_s)
    return np.maximum(held, 0.0)
