"""`simulate`: requests played on the fleet of a plan."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.errors import InputError
from cuvee.plan.outcome.result import Plan
from cuvee.profile.step_law import StepLaw
from cuvee.routing.recognition import Foresight, recognised
from cuvee.simulate.arrays import EVENT, Floats, Ints, Records
from cuvee.simulate.events import CLOSE, FAIL, OPEN
from cuvee.simulate.fleet import Fleet, fleet_of
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import Split, play
from cuvee.simulate.policy import Policy
from cuvee.simulate.requests import Arrivals, arrivals_of
from cuvee.simulate.watch import NUM_BINS, Watch, with_looks
from cuvee.workload.records import Trace

POLICIES = {
    "plan": Policy.PLAN,
    "plan-live": Policy.PLAN_LIVE,
    "least-work": Policy.LEAST_WORK,
    "shortest-queue": Policy.SHORTEST_QUEUE,
    "power-of-two": Policy.POWER_OF_TWO,
    "round-robin": Policy.ROUND_ROBIN,
    "weighted": Policy.WEIGHTED,
    "prefix": Policy.PREFIX,
    "plan-prefix": Policy.PLAN_PREFIX,
}
"""Routing policies by the names of the command line."""

MOST_SEED = 2**31 - 1
"""Largest seed [-]."""

AFFINITY_TOKENS = 1024
"""Prompts that agree on so many tokens are for one replica, under the policy "prefix" [tokens]."""

KINDS = {"fail": FAIL, "drain": CLOSE, "start": OPEN, "interrupt": FAIL}
"""Events by their names: what happens at their time."""


@dataclass(frozen=True)
class ReplicaEvent:
    """A replica that fails, drains, starts, or is interrupted.

    Attributes
        kind       "fail": gone with all it holds; "drain": takes no more; "start": takes requests from then on, and
                   none before where nothing happened to it earlier; "interrupt": fails, and starts after `delay_s`,
                   or when the last has ended of those interruptions that overlap.
        group      Id of its group.
        replica    Which of the group, from 0; None: all.
        time_s     From the start of the simulation [s].
        delay_s    Of an interruption: until the replica, or one in its place, is ready again [s], > 0.
    """

    kind: str
    group: str
    time_s: float
    replica: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Simulation:
    """What happened.

    Attributes
        requests        Every request, an array of `cuvee.simulate.arrays.REQUEST`.
        row             Row of the fleet that each really belongs to, shape (num_requests,).
        replicas        Every replica at the end, an array of `REPLICA`.
        gaps            Times between tokens by group and row, shape (num_groups, num_rows, NUM_GAPS).
        stays           Where requests were before, whose replica failed and which were routed anew, an array of `STAY`.
        series_s        Times at which replicas were looked at, from the start to the last arrival [s].
        cache_blocks    Blocks of the cache that sequences held then, shape (num_times, num_replicas).
        cpu_s           Processor time of the simulation itself, compilation and results not included [s].
        found           Prompt tokens of each request that were in the cache of its replica [tokens]; -1 where it was
                        not admitted; None without prefix cache.
    """

    fleet: Fleet
    arrivals: Arrivals
    policy: str
    foresight: Foresight
    seed: int
    requests: Records
    row: Ints
    replicas: Records
    gaps: Ints
    stays: Records
    series_s: Floats
    cache_blocks: Ints
    cpu_s: float
    events: tuple[ReplicaEvent, ...] = ()
    found: Ints | None = None


def simulate(
    plan: Plan,
    trace: Trace | None = None,
    *,
    num_requests: int | None = None,
    load: float | None = None,
    rate_scale: float | None = None,
    policy: str = "plan",
    foresight: Foresight | str = Foresight.KNOWN,
    events: Sequence[ReplicaEvent] = (),
    prefix_cache: bool = False,
    progress: Callable[[float], None] | None = None,
    seed: int = 0,
    laws: Mapping[str, StepLaw] | None = None,
) -> Simulation:
    """Play requests on the fleet of `plan`, engine step by engine step.

    Parameters
        trace                           Requests; None: the plan's own types at their mean lengths.
        num_requests, load, rate_scale  See `cuvee.simulate.requests.arrivals_of`.
        policy                          A name of `POLICIES`.
        foresight                       What the router knows of answers when requests arrive.
        prefix_cache                    Whether replicas find what prompts have in common; the trace has to tell.
        progress                        Is told the share that is played [-]; see `cuvee.simulate.play.play`.
        seed                            Same seed, same result to the last bit.
        laws                            By group id, in place of those of the throughput model: fitted to runs.
    Raises                              InputError: a plan that cannot be played, or requests that cannot be had.
    """
    if policy not in POLICIES:
        remedy = "docs/simulator.md tells what each does"
        raise InputError(f"policy {policy!r}", expected=f"one of {', '.join(POLICIES)}", remedy=remedy)
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed {seed}", expected=f"a whole number from 0 to {MOST_SEED}", remedy="e.g. --seed 1")
    if foresight not in set(Foresight):
        remedy = "e.g. --answers online"
        raise InputError(f"answers {foresight!r}", expected=f"one of {', '.join(Foresight)}", remedy=remedy)
    foresight = Foresight(foresight)
    fleet = fleet_of(plan)
    if laws:
        fitted = (replace(each, law=laws.get(each.group.id, each.law)) for each in fleet.groups)
        fleet = replace(fleet, groups=tuple(fitted))
    longest = {entry.model.name: entry.model.max_context for entry in plan.inputs.problem.models}
    arrivals = arrivals_of(
        fleet, trace, num_requests=num_requests, load=load, rate_scale=rate_scale, seed=seed, longest=longest
    )
    if prefix_cache and arrivals.prefixes is None:
        raise InputError(
            f"--prefix-cache, and nothing of prefixes in {arrivals.source}",
            expected="a trace that tells which prompts begin alike: hash_ids, as Mooncake writes them",
            remedy="leave --prefix-cache out, or give such a trace",
        )
    return _played(fleet, arrivals, policy, foresight, tuple(events), seed, prefix_cache, progress)


def _played(
    fleet: Fleet, arrivals: Arrivals, policy: str, foresight: Foresight, events: tuple[ReplicaEvent, ...], seed: int,
    prefix_cache: bool, progress: Callable[[float], None] | None,
) -> Simulation:  # fmt: skip
    group_of = fleet.group_of
    told = _told_rows(fleet, arrivals, foresight)
    prefixes = arrivals.prefixes
    alike = None if prefixes is None else prefixes.at(AFFINITY_TOKENS)
    requests = packed_requests(arrivals.arrival_s, arrivals.prompt, arrivals.answer, told, alike, arrivals.row)
    engines = packed_engines(
        [each.law for each in fleet.groups], group_of, group_of,
        sending=[each.sending for each in fleet.groups] if fleet.is_apart else None, num_requests=len(requests),
        num_kinds=len(fleet.rows), prefixes=prefixes if prefix_cache else None, num_looks=NUM_BINS + 1,
    )  # fmt: skip
    split = _split(fleet, POLICIES[policy], seed)
    happening = _packed_events(fleet, events)
    earliest = np.unique(happening["replica"], return_index=True)[1]
    for event in happening[earliest]:
        if event["kind"] == OPEN:
            split.is_open[:, event["replica"]] = False
    for group in range(len(fleet.groups)):
        split.group_open[:, group] = split.is_open[:, group_of == group].any(axis=1)
    series_s = np.linspace(0, arrivals.arrival_s[-1], NUM_BINS + 1)
    happening = with_looks(happening, series_s)
    watch = Watch(requests, happening)
    began_s = time.process_time()
    play(requests, engines, split, happening, int(POLICIES[policy]), True, progress=progress, watch=watch)
    cpu_s = time.process_time() - began_s
    return Simulation(
        fleet, arrivals, policy, foresight, seed, requests, arrivals.row, engines.replicas, engines.gaps,
        watch.stays, series_s, engines.seen, cpu_s, events,
        np.array(engines.prefixes.sharing.found, dtype=np.int64) if prefix_cache else None,
    )  # fmt: skip


def _split(fleet: Fleet, policy: Policy, seed: int) -> Split:
    """Where requests may go; caches that were prefilled somewhere are rows of their own, after all others."""
    shares = fleet.weights if policy is Policy.WEIGHTED else fleet.shares
    occupies, serves = fleet.occupies, fleet.serves
    if fleet.is_apart:
        places = [np.array([each.place == place for each in fleet.groups]) for place in range(fleet.num_places)]
        shares = np.vstack([shares, *(fleet.decode_shares * here for here in places)])
        serves = np.vstack([serves, *(fleet.decodes & here for here in places)])
        occupies = np.tile(occupies, (1 + len(places), 1))
    return packed_split(shares, occupies, fleet.group_of, serves, seed=seed + 1)


def warm_up() -> None:
    """Compile the kernel, or load it from disk, so that the next simulation is timed without."""
    from cuvee.simulate.warming import smallest

    play(*smallest())


def _told_rows(fleet: Fleet, arrivals: Arrivals, foresight: Foresight) -> Ints:
    """Row that the router takes each request for."""
    if foresight is Foresight.KNOWN:
        return arrivals.row
    told = np.array(arrivals.row)
    model_of = np.array([fleet.models.index(row.model) for row in fleet.rows])[arrivals.row]
    places = {(each.model, each.kind.name): place for place, each in enumerate(fleet.rows)}
    for index, name in enumerate(fleet.models):
        mine = np.flatnonzero(model_of == index)
        demand = fleet.demands[name]
        of_type = [places[name, kind.name] for kind in demand.types]
        if len(mine):
            told[mine] = recognised(demand, arrivals.prompt[mine], arrivals.answer[mine], foresight, of_type)
    return told


def _packed_events(fleet: Fleet, events: Sequence[ReplicaEvent]) -> Records:
    """Events as the kernel takes them, by time."""
    ids = [each.group.id for each in fleet.groups]
    group_of = fleet.group_of
    found: list[tuple[float, int, int]] = []
    outages: dict[int, list[tuple[float, float]]] = {}
    for event in events:
        _check_times(event)
        if event.group not in ids:
            raise InputError(f"event of group {event.group!r}", expected=f"a group of the plan: {', '.join(ids)}")
        replicas = np.flatnonzero(group_of == ids.index(event.group)).tolist()
        if event.replica is not None and not 0 <= event.replica < len(replicas):
            raise InputError(
                f"event of {event.group} replica {event.replica}",
                expected=f"one of its {len(replicas)} replicas, from 0 to {len(replicas) - 1}",
            )
        for replica in replicas if event.replica is None else [replicas[event.replica]]:
            found.append((event.time_s, KINDS[event.kind], replica))
            if event.kind == "interrupt":
                outages.setdefault(replica, []).append((event.time_s, event.time_s + event.delay_s))
    found += [(end_s, OPEN, replica) for replica, spans in outages.items() for end_s in _ends(spans)]
    return np.array(sorted(found), dtype=EVENT).view(np.recarray)


def _check_times(event: ReplicaEvent) -> None:
    if event.kind not in KINDS or not (0 <= event.time_s < np.inf and 0 <= event.delay_s < np.inf):
        raise InputError(f"event {event.kind!r} at {event.time_s!r} s", expected=f"{', '.join(KINDS)}, at 0 s or later")
    if event.kind == "interrupt" and not event.time_s + event.delay_s > event.time_s:
        raise InputError(
            f"an interruption of {event.group} at {event.time_s:g} s that ends after {event.delay_s:g} s",
            expected="a delay above 0 s until it is ready again",
            remedy=f"e.g. --interrupt {event.group}@{event.time_s:g}+180, or --fail where it does not come back",
        )


def _ends(spans: Sequence[tuple[float, float]]) -> list[float]:
    """When outages, each from and to a time, are over: those that overlap are one [s]."""
    ends: list[float] = []
    for begin_s, end_s in sorted(spans):
        if ends and begin_s <= ends[-1]:
            ends[-1] = max(ends[-1], end_s)
        else:
            ends.append(end_s)
    return ends
