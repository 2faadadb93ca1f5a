"""The policies of `cuvee.routing` on the arrays of the kernel: the very functions, compiled."""

import math
from enum import IntEnum

from cuvee.routing import policies
from cuvee.simulate.arrays import NONE, Bools, Floats, Ints, Records
from cuvee.simulate.compiling import compiled, compiled_with, inlined

most_overdue = compiled(policies.most_overdue)
least_overfull = compiled(policies.least_overfull)
least_loaded = compiled(policies.least_loaded)
in_turn = compiled(policies.in_turn)
of_two = compiled(policies.of_two)
scrambled = compiled(policies.scrambled)
by_prefix = compiled_with(policies.by_prefix, least_loaded, scrambled)


class Policy(IntEnum):
    """How a replica is chosen; see `cuvee.routing.policies`."""

    PLAN = 0
    PLAN_LIVE = 1
    LEAST_WORK = 2
    SHORTEST_QUEUE = 3
    POWER_OF_TWO = 4
    ROUND_ROBIN = 5
    WEIGHTED = 6
    PREFIX = 7


PLAN, PLAN_LIVE, LEAST_WORK, SHORTEST_QUEUE, POWER_OF_TWO, ROUND_ROBIN, WEIGHTED, PREFIX = map(int, Policy)


@compiled
def least_work(row: int, replicas: Records, occupies: Floats, is_open: Bools, occupancy: Floats) -> int:
    """The replica that is least occupied once it has the request too; NONE where none can serve it."""
    chosen, least = NONE, math.inf
    for replica in range(len(occupancy)):
        if is_open[row, replica]:
            work = occupancy[replica] + occupies[row, replicas[replica].group]
            if work < least:
                chosen, least = replica, work
    return chosen


@inlined
def route_by_plan(
    policy: int, row: int, prefix: int, shares: Floats, first: Ints, is_open: Bools, group_open: Bools, owed: Floats,
    group_turn: Ints, group_load: Floats, occupancy: Floats,
) -> int:  # fmt: skip
    """The replica that the shares of a plan give a request to; NONE where all that have one are closed."""
    group = most_overdue(owed[row], shares[row], group_open[row])
    if group == NONE:
        return NONE
    if policy == PLAN_LIVE:
        for each in range(len(group_load)):
            if group_open[row, each]:
                emptiest = least_loaded(occupancy, is_open[row], first[each], first[each + 1])
                group_load[each] = occupancy[emptiest]
        group = least_overfull(owed[row], shares[row], group_open[row], group_load, group)
    start, stop = first[group], first[group + 1]
    if policy == PREFIX:
        return by_prefix(prefix, occupancy, is_open[row], start, stop)
    if policy == PLAN_LIVE:
        return least_loaded(occupancy, is_open[row], start, stop)
    group_turn[group] = in_turn(group_turn[group], is_open[row], start, stop)
    return group_turn[group]


@inlined
def route(
    policy: int, row: int, prefix: int, replicas: Records, shares: Floats, occupies: Floats, first: Ints, model: Ints,
    is_open: Bools, group_open: Bools, owed: Floats, group_turn: Ints, model_turn: Ints, group_load: Floats,
    occupancy: Floats, waiting: Floats, draw: Ints,
) -> int:  # fmt: skip
    """The replica that gets a request; NONE where none can."""
    number = len(occupancy)
    if policy in (PLAN, PLAN_LIVE, PREFIX, WEIGHTED):
        chosen = route_by_plan(
            policy, row, prefix, shares, first, is_open, group_open, owed, group_turn, group_load, occupancy
        )
        return chosen if chosen != NONE else least_work(row, replicas, occupies, is_open, occupancy)
    if policy == LEAST_WORK:
        return least_work(row, replicas, occupies, is_open, occupancy)
    if policy == SHORTEST_QUEUE:
        return least_loaded(waiting, is_open[row], 0, number)
    if policy == POWER_OF_TWO:
        one = in_turn(scrambled(draw[0], 0) % number, is_open[row], 0, number)
        other = in_turn(scrambled(draw[0], 1) % number, is_open[row], 0, number)
        draw[0] = scrambled(draw[0], 2)
        return NONE if one == NONE else of_two(one, other, waiting, is_open[row])
    model_turn[model[row]] = in_turn(model_turn[model[row]], is_open[row], 0, number)
    return model_turn[model[row]]
