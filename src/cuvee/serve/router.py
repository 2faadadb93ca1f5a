"""To which replica: the plan's shares and the load as it is, on plain lists that the policies of `routing/` take.

A row is a workload type of a model, as in the plan's assignment; replicas of a group stand side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from cuvee.routing.policies import MOST_OWED, NONE, by_plan, least_loaded, least_work

NO_PREFIX = -1


@dataclass
class Router:
    """Who gets a request.

    Attributes
        shares         Of each row's requests by group [-]; changed as a whole when replicas come and go.
        occupies       Share of a replica that a request of a row takes, by row and replica [-]; 0: it cannot serve it.
        group_of       Group of each replica, ascending.
        most           Requests that a replica holds at once at most, by replica [-].
        fullness       Occupancy from which a replica gets no more [-].
        room           Cache of a replica of each group [tokens].
        first          First replica of each group and, at the end, the number of replicas.
        occupancy      Of each replica, requests it holds included [-].
        held           Requests that each replica holds [-].
        is_up          Whether a replica is healthy.
        smallest       Least of `room` [tokens].
        every          That all groups hold a request.
        is_open        Whether a replica takes requests of a row: it is up, and has room.
        group_open     Whether some replica of a group does.
        owed           Turns owed, by row and group [-].
    """

    shares: list[list[float]]
    occupies: list[list[float]]
    group_of: list[int]
    most: list[float]
    fullness: float
    num_groups: int
    room: list[float]
    first: list[int] = field(init=False)
    occupancy: list[float] = field(init=False)
    held: list[int] = field(init=False)
    is_up: list[bool] = field(init=False)
    has_room: list[bool] = field(init=False)
    smallest: float = field(init=False)
    every: list[bool] = field(init=False)
    is_open: list[list[bool]] = field(init=False)
    group_open: list[list[bool]] = field(init=False)
    owed: list[list[float]] = field(init=False)
    group_load: list[float] = field(init=False)

    def __post_init__(self) -> None:
        counts = [self.group_of.count(group) for group in range(self.num_groups)]
        number, rows = len(self.group_of), len(self.shares)
        self.first = [0, *accumulate(counts)]
        self.occupancy, self.held = [0.0] * number, [0] * number
        self.is_up, self.has_room = [True] * number, [True] * number
        self.smallest, self.every = min(self.room), [True] * self.num_groups
        self.is_open = [[taken > 0 for taken in row] for row in self.occupies]
        self.group_open = [[False] * self.num_groups for _ in range(rows)]
        self.owed = [[0.0] * self.num_groups for _ in range(rows)]
        self.group_load = [0.0] * self.num_groups
        self._settle(range(number))

    def choose(self, row: int, prefix: int = NO_PREFIX, tokens: int = 0) -> int:
        """The replica that gets a request of `row`; NONE where it has to wait, or where nobody can serve it.

        Parameters
            tokens    What its prompt and the shortest answer take of a cache [tokens].
        Notes    What no group with a share can take for want of room waits for one. Where all of those are down, the
                 least occupied of the others takes it, though the plan thinks little of that. Replicas whose cache
                 never holds the request are as good as closed.
        """
        is_open, group_open = self.is_open[row], self.group_open[row]
        if tokens > self.smallest:
            holds = self._holders(row, tokens)
            is_open = [each and holds[group] for each, group in zip(is_open, self.group_of, strict=True)]
            group_open = [each and able for each, able in zip(group_open, holds, strict=True)]
        chosen = by_plan(
            prefix, self.shares[row], self.owed[row], group_open, is_open, self.first, self.occupancy, self.group_load
        )
        if chosen != NONE or self._some_shareholder_is_up(row, tokens):
            return chosen
        by_group = [self.occupies[row][first] if first < len(self.group_of) else 0.0 for first in self.first[:-1]]
        return least_work(by_group, is_open, self.first, self.occupancy)

    def _holders(self, row: int, tokens: int) -> list[bool]:
        """Groups whose cache holds so many tokens; all where none does that is up, for its engine to refuse them."""
        if tokens <= self.smallest:
            return self.every
        holds = [tokens <= each for each in self.room]
        served = any(
            up and taken > 0 and holds[group]
            for up, taken, group in zip(self.is_up, self.occupies[row], self.group_of, strict=True)
        )
        return holds if served else self.every

    def choose_keeping(self, row: int, chosen: int, keeps: Callable[[int, float], bool]) -> int:
        """A replica that keeps what was promised: `chosen` where it does, or where none does.

        Parameters
            keeps    Whether a replica of a group that is so occupied does.
        Notes        Of the others the emptiest of a group with a share, else the emptiest; the turn is booked anew.
        """
        before = self.group_of[chosen]
        if keeps(before, self.occupancy[chosen]):
            return chosen
        found: list[tuple[bool, float, int]] = []
        for group in range(self.num_groups):
            place = least_loaded(self.occupancy, self.is_open[row], self.first[group], self.first[group + 1])
            if place != NONE and keeps(group, self.occupancy[place]):
                found.append((self.shares[row][group] <= 0, self.occupancy[place], place))
        if not found:
            return chosen
        instead = min(found)[2]
        owed, after = self.owed[row], self.group_of[instead]
        owed[before] = min(owed[before] + 1.0, MOST_OWED)
        if self.shares[row][after] > 0:
            owed[after] = max(owed[after] - 1.0, -MOST_OWED)
        return instead

    def choose_other(self, row: int, tried: Sequence[int], tokens: int = 0) -> int:
        """The emptiest open replica that was not tried, of a group with a share if there is one; NONE of none.

        Parameters
            tokens    As of `choose`.
        """
        holds = self._holders(row, tokens)
        holders = [group for group, share in enumerate(self.shares[row]) if share > 0]
        for groups in (holders, range(self.num_groups)):
            left = [
                replica
                for group in groups
                if holds[group]
                for replica in range(self.first[group], self.first[group + 1])
                if self.is_open[row][replica] and replica not in tried
            ]
            if left:
                return min(left, key=self.occupancy.__getitem__)
        return NONE

    def is_served(self, row: int) -> bool:
        """Whether some replica that is up can serve requests of `row`, now or once it has room."""
        return any(up and taken > 0 for up, taken in zip(self.is_up, self.occupies[row], strict=True))

    def take(self, row: int, replica: int, sequences: int) -> float:
        """Book a request on a replica; returns the share of it that it takes, for `release` [-]."""
        taken = self.occupies[row][replica] * sequences
        self.occupancy[replica] += taken
        self.held[replica] += 1
        if self.occupancy[replica] >= self.fullness or self.held[replica] >= self.most[replica]:
            self._give_room(replica, False)
        return taken

    def release(self, replica: int, taken: float) -> None:
        """Take a request off a replica."""
        self.occupancy[replica] -= taken
        self.held[replica] -= 1
        if (
            not self.has_room[replica]
            and self.occupancy[replica] < self.fullness
            and self.held[replica] < self.most[replica]
        ):
            self._give_room(replica, True)

    def set_up(self, replica: int, is_up: bool) -> None:
        """Let a replica take requests, or no more."""
        if self.is_up[replica] != is_up:
            self.is_up[replica] = is_up
            self._settle((replica,))

    def carry(self, replica: int, old: "Router", place: int) -> None:
        """Go on with the load that a replica has from another router."""
        self.occupancy[replica], self.held[replica] = old.occupancy[place], old.held[place]
        self.is_up[replica] = old.is_up[place]
        self.has_room[replica] = self.occupancy[replica] < self.fullness and self.held[replica] < self.most[replica]
        self._settle((replica,))

    def _give_room(self, replica: int, has_room: bool) -> None:
        if self.has_room[replica] != has_room:
            self.has_room[replica] = has_room
            self._settle((replica,))

    def _settle(self, replicas: Sequence[int]) -> None:
        """Bring what is open in line with who is up and has room."""
        groups = {self.group_of[replica] for replica in replicas}
        for row, is_open in enumerate(self.is_open):
            for replica in replicas:
                able = self.occupies[row][replica] > 0
                is_open[replica] = able and self.is_up[replica] and self.has_room[replica]
            for group in groups:
                self.group_open[row][group] = any(is_open[self.first[group] : self.first[group + 1]])

    def _some_shareholder_is_up(self, row: int, tokens: int) -> bool:
        occupies, holds = self.occupies[row], self._holders(row, tokens)
        return any(
            share > 0
            and holds[group]
            and any(self.is_up[each] and occupies[each] > 0 for each in range(self.first[group], self.first[group + 1]))
            for group, share in enumerate(self.shares[row])
        )
