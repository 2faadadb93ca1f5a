"""What the replicas of a group did over time: requests they held, cache in use, sequences put back."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cuvee.simulate.arrays import BLOCK_TOKENS, NONE, Bools, Floats, Ints, picked
from cuvee.simulate.simulation import Simulation


@dataclass(frozen=True)
class GroupUse:
    """What the replicas of a group did.

    Attributes
        busy                Share of the time in which a replica computes [-], the mean over replicas: from the start to
                            the last arrival of all, or to the group's last token where that is later.
        busy_of_replicas    The same of each, and of each of its GPUs [-].
        running             Mean requests that a replica holds [-].
        waiting             Of those, without a first token [-].
        preemptions         Sequences that were put back.
        recomputed_share    Tokens computed anew, over answer tokens made [-].
        series_requests     Requests that the group holds, at the times of `Report.series_s` [-].
        series_waiting      Of those, without a first token.
        series_cache        Share of its cache that sequences hold [-], prompts that are computed and sent included.
    """

    group: str
    cost_usd_per_hour: float
    busy: float
    busy_of_replicas: tuple[float, ...]
    running: float
    waiting: float
    preemptions: int
    recomputed_share: float
    series_requests: tuple[float, ...] = field(repr=False)
    series_waiting: tuple[float, ...] = field(repr=False)
    series_cache: tuple[float, ...] = field(repr=False)


def group_use(simulation: Simulation, index: int) -> GroupUse:
    """Use of the group at `index`."""
    each, series_s = simulation.fleet.groups[index], simulation.series_s
    mine = simulation.fleet.group_of == index
    stays = _stays(simulation, mine)
    requests = simulation.requests
    here, sent = _of(mine, requests.replica) & (requests.finish_s >= 0), _of(mine, requests.sender)
    replicas, copies = picked(simulation.replicas, mine), max(int(mine.sum()), 1)
    until_s = max(float(series_s[-1]), 1e-9)
    held_s, queued_s = (
        float((np.minimum(end_s, until_s) - np.minimum(stays.from_s, until_s)).sum())
        for end_s in (stays.until_s, stays.waited_s)
    )
    came, waited, left = (np.searchsorted(np.sort(times_s), series_s, "right") for times_s in stays)
    last_s = float(max(requests.finish_s[here].max(initial=0.0), requests.first_s[sent].max(initial=0.0)))
    busy = np.minimum(replicas.busy_s / max(until_s, last_s), 1.0)
    room = max(each.law.cache_tokens // BLOCK_TOKENS * copies, 1)
    answers = int(requests.answer[here | sent].sum())
    return GroupUse(
        each.group.id,
        each.group.cost_usd_per_hour,
        busy=float(busy.mean()),
        busy_of_replicas=tuple(map(float, busy)),
        running=held_s / until_s / copies,
        waiting=queued_s / until_s / copies,
        preemptions=int(replicas.preemptions.sum()),
        recomputed_share=float(replicas.recomputed.sum() / max(answers, 1)),
        series_requests=tuple(map(float, came - left)),
        series_waiting=tuple(map(float, came - waited)),
        series_cache=tuple(map(float, simulation.cache_blocks[:, mine].sum(axis=1) / room)),
    )


class _Stays(NamedTuple):
    """From when requests were with a group, until they had a first token or had left, and until they left [s]."""

    from_s: Floats
    waited_s: Floats
    until_s: Floats


def _stays(simulation: Simulation, mine: Bools) -> _Stays:
    """When requests were with the replicas that are `mine`: those that were lost, until then."""
    requests, before = simulation.requests, simulation.stays
    came_s = requests.arrival_s
    if len(before):
        came_s = np.array(came_s)
        np.maximum.at(came_s, before.request, before.until_s)
    sent, here = _of(mine, requests.sender), _of(mine, requests.replica) & (requests.replica != requests.sender)
    until_s = np.where(np.isfinite(requests.finish_s[here]), requests.finish_s[here], requests.last_s[here])
    from_s = np.where(requests.sender[here] == NONE, came_s[here], requests.ready_s[here])
    from_s, first_s = np.minimum(from_s, until_s), requests.first_s[here]
    waited_s = np.where(first_s > 0, np.maximum(first_s, from_s), until_s)
    earlier = picked(before, mine[before.replica])
    return _Stays(
        np.concatenate([from_s, came_s[sent], earlier.from_s]),
        np.concatenate([waited_s, requests.first_s[sent], earlier.until_s]),
        np.concatenate([until_s, requests.first_s[sent], earlier.until_s]),
    )


def _of(mine: Bools, replica: Ints) -> Bools:
    """Whether each of these replicas is one that is `mine`; none is not."""
    return np.append(mine, False)[replica]
