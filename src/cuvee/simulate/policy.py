"""The policies of `cuvee.routing` on the arrays of the kernel: the very functions, compiled."""

from enum import IntEnum

from cuvee.routing import policies
from cuvee.simulate.arrays import NONE, Bools, Floats, Ints
from cuvee.simulate.compiling import compiled, compiled_with, inlined

most_overdue = compiled(policies.most_overdue)
least_overfull = compiled(policies.least_overfull)
least_loaded = compiled(policies.least_loaded)
in_turn = compiled(policies.in_turn)
of_two = compiled(policies.of_two)
scrambled = compiled(policies.scrambled)
by_prefix = compiled_with(policies.by_prefix, least_loaded, scrambled)
by_plan = compiled_with(policies.by_plan, most_overdue, least_loaded, least_overfull, by_prefix)
least_work = compiled(policies.least_work)


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
    PLAN_PREFIX = 8


PLAN, PLAN_LIVE, LEAST_WORK, SHORTEST_QUEUE, POWER_OF_TWO, ROUND_ROBIN, WEIGHTED, PREFIX, PLAN_PREFIX = map(int, Policy)


@inlined
def route_by_plan(
    policy: int, row: int, prefix: int, shares: Floats, first: Ints, is_open: Bools, group_open: Bools, owed: Floats,
    group_turn: Ints, group_load: Floats, occupancy: Floats,
) -> int:  # fmt: skip
    """The replica that the shares of a plan give a request to; NONE where all that have one are closed."""
    if policy in (PLAN_LIVE, PLAN_PREFIX):
        known = prefix if policy == PLAN_PREFIX else NONE
        return by_plan(known, shares[row], owed[row], group_open, is_open, first, occupancy, group_load)
    group = most_overdue(owed[row], shares[row], group_open)
    if group == NONE:
        return NONE
    start, stop = first[group], first[group + 1]
    if policy == PREFIX:
        return by_prefix(prefix, occupancy, is_open, start, stop)
    group_turn[group] = in_turn(group_turn[group], is_open, start, stop)
    return group_turn[group]


@inlined
def route(
    policy: int, row: int, prefix: int, shares: Floats, occupies: Floats, first: Ints,
    is_open: Bools, group_open: Bools, owed: Floats, group_turn: Ints, row_turn: Ints, group_load: Floats,
    occupancy: Floats, waiting: Floats, draw: Ints,
) -> int:  # fmt: skip
    """The replica that gets a request; NONE where none can.

    Parameters
        is_open       Whether each replica takes it.
        group_open    Whether some replica of each group does.
    """
    number = len(occupancy)
    if policy in (PLAN, PLAN_LIVE, PREFIX, PLAN_PREFIX, WEIGHTED):
        chosen = route_by_plan(
            policy, row, prefix, shares, first, is_open, group_open, owed, group_turn, group_load, occupancy
        )
        return chosen if chosen != NONE else least_work(occupies[row], is_open, first, occupancy)
    if policy == LEAST_WORK:
        return least_work(occupies[row], is_open, first, occupancy)
    if policy == SHORTEST_QUEUE:
        return least_loaded(waiting, is_open, 0, number)
    if policy == POWER_OF_TWO:
        one = in_turn(scrambled(draw[0], 0) % number, is_open, 0, number)
        other = in_turn(scrambled(draw[0], 1) % number, is_open, 0, number)
        draw[0] = scrambled(draw[0], 2)
        return NONE if one == NONE else of_two(one, other, waiting, is_open)
    row_turn[row] = in_turn(row_turn[row], is_open, 0, number)
    return row_turn[row]
