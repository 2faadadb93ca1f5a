"""Routing policies as pure functions of plain numbers, lists or arrays.

The simulator compiles these very functions, and the gateway calls them as they are; so they use indices and loops only.
Replicas of a group stand side by side: a group is the range from `start` to `stop` in what is known of replicas.
Wherever two are equal, the first is taken.
"""

from collections.abc import MutableSequence, Sequence

FULL = 1.0
"""Occupancy at which a replica runs as many sequences as it does when saturated [-]: more have to wait."""

MARGIN = 0.1
"""How much less occupied another replica has to be, for a request to leave the one it is meant for [-]."""

MOST_OWED = 8.0
"""Turns that a group which is passed over may make up for later [-]."""

NONE = -1
"""Where there is nobody to send a request to."""


def most_overdue(owed: MutableSequence[float], shares: Sequence[float], is_open: Sequence[bool]) -> int:
    """The target that lags most behind its share, among those that are open; its turn is then booked.

    Parameters
        owed    Turns owed to each target [-]; changed in place.
        shares     Of each target [-], 0 or more; those of closed targets go to the open ones in proportion.
        is_open    Whether a target takes requests.
    Returns        its index; NONE where no open target has a share.
    Notes          After any number of requests, each target has got its share to within one request times the number
                   of targets, whatever the shares: nothing is drawn at random.
    """
    total = 0.0
    for target in range(len(shares)):
        if is_open[target]:
            total += shares[target]
    if total <= 0.0:
        return NONE
    chosen = NONE
    for target in range(len(shares)):
        if is_open[target] and shares[target] > 0.0:
            owed[target] += shares[target] / total
            if chosen == NONE or owed[target] > owed[chosen] + 1e-12:
                chosen = target
    owed[chosen] -= 1.0
    return chosen


def least_overfull(
    owed: MutableSequence[float],
    shares: Sequence[float],
    is_open: Sequence[bool],
    occupancy: Sequence[float],
    chosen: int,
) -> int:
    """The target that takes the turn of `chosen`, where that one is full and another is not as full.

    Parameters
        owed      As `most_overdue` left them; the turn is booked anew where it goes to another target.
        occupancy    Of each target's emptiest replica [-]; see `FULL`.
        chosen       What `most_overdue` returned.
    Returns          `chosen` unless it is full and one with a share is emptier by more than `MARGIN`: the emptiest.
    Notes            What `chosen` is owed it makes up for later, up to `MOST_OWED` turns.
    """
    if occupancy[chosen] < FULL:
        return chosen
    instead = chosen
    for target in range(len(shares)):
        if is_open[target] and shares[target] > 0.0 and occupancy[target] < occupancy[instead]:
            instead = target
    if occupancy[instead] > occupancy[chosen] - MARGIN:
        return chosen
    owed[chosen] = min(owed[chosen] + 1.0, MOST_OWED)
    owed[instead] = max(owed[instead] - 1.0, -MOST_OWED)
    return instead


def least_loaded(load: Sequence[float], is_open: Sequence[bool], start: int, stop: int) -> int:
    """The open replica from `start` to `stop` with the least `load`, in any unit; NONE where all are closed."""
    chosen = NONE
    for replica in range(start, stop):
        if is_open[replica] and (chosen == NONE or load[replica] < load[chosen]):
            chosen = replica
    return chosen


def in_turn(last: int, is_open: Sequence[bool], start: int, stop: int) -> int:
    """The open replica after `last`, from `start` to `stop` and round again; NONE where all are closed.

    Parameters
        last    The one that had the turn before; any number outside of the range for the first.
    """
    replica = last
    for _ in range(stop - start):
        replica += 1
        if replica >= stop or replica < start:
            replica = start
        if is_open[replica]:
            return replica
    return NONE


def of_two(first: int, second: int, load: Sequence[float], is_open: Sequence[bool]) -> int:
    """The less loaded of two replicas that were drawn, `first` where they are equal; NONE where both are closed."""
    if not is_open[first]:
        return second if is_open[second] else NONE
    if is_open[second] and load[second] < load[first]:
        return second
    return first


def by_prefix(prefix: int, occupancy: Sequence[float], is_open: Sequence[bool], start: int, stop: int) -> int:
    """The replica from `start` to `stop` that requests with this `prefix` go to; NONE where all are closed.

    Parameters
        prefix    Hash of the first tokens, 0 or more; below 0 where there is none: the least occupied takes it.
    Notes         Rendezvous hashing: each replica draws a number from prefix and itself, the highest wins, so that one
                  that comes or goes moves only its own prefixes. Where the winner is full, the next one that is not.
    """
    if prefix < 0:
        return least_loaded(occupancy, is_open, start, stop)
    chosen, highest = NONE, -1
    for replica in range(start, stop):
        if is_open[replica] and occupancy[replica] < FULL:
            drawn = scrambled(prefix, replica)
            if drawn > highest:
                chosen, highest = replica, drawn
    return chosen if chosen != NONE else least_loaded(occupancy, is_open, start, stop)


def by_plan(
    prefix: int,
    shares: Sequence[float],
    owed: MutableSequence[float],
    group_open: Sequence[bool],
    is_open: Sequence[bool],
    first: Sequence[int],
    occupancy: Sequence[float],
    group_load: MutableSequence[float],
) -> int:
    """The replica that a plan's shares, corrected by live load, give a request to; NONE where all with one are closed.

    Parameters
        prefix         As of `by_prefix`: replicas of the group that has the turn are chosen by it.
        shares         Of each group for requests of this type [-].
        owed           Turns owed to each group [-]; changed in place.
        group_open     Whether some replica of a group takes requests of this type.
        is_open        The same of each replica.
        first          First replica of each group and, at the end, the number of replicas.
        occupancy      Of each replica [-]; see `FULL`.
        group_load     Room for a number of each group; overwritten.
    """
    group = most_overdue(owed, shares, group_open)
    if group == NONE:
        return NONE
    emptiest = least_loaded(occupancy, is_open, first[group], first[group + 1])
    if occupancy[emptiest] >= FULL:
        for each in range(len(shares)):
            if group_open[each]:
                emptiest = least_loaded(occupancy, is_open, first[each], first[each + 1])
                group_load[each] = occupancy[emptiest]
        group = least_overfull(owed, shares, group_open, group_load, group)
    return by_prefix(prefix, occupancy, is_open, first[group], first[group + 1])


def least_work(
    occupies: Sequence[float], is_open: Sequence[bool], first: Sequence[int], occupancy: Sequence[float]
) -> int:
    """The open replica that is least occupied once it has the request too; NONE where all are closed.

    Parameters
        occupies    Share of a replica of each group that the request takes [-].
    """
    chosen, least = NONE, 0.0
    for group in range(len(occupies)):
        for replica in range(first[group], first[group + 1]):
            if is_open[replica]:
                work = occupancy[replica] + occupies[group]
                if chosen == NONE or work < least:
                    chosen, least = replica, work
    return chosen


def scrambled(value: int, salt: int) -> int:
    """A number from 0 to 2**31 - 1 that looks drawn at random, the same for the same `value` and `salt`, 0 or more."""
    mixed = (value % 2147483647 * 48271 + (salt + 1) * 69621) % 2147483647
    mixed = (mixed ^ (mixed >> 15)) * 16807 % 2147483647
    return (mixed ^ (mixed >> 13)) * 48271 % 2147483647
