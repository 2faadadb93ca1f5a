"""Requests that wait for room: a bounded line for each row of the plan, first come first served over all rows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Waiting(Protocol):
    """Who waits: of which row, since when and until when [s]."""

    row: int
    arrived_s: float
    deadline_s: float


Who = TypeVar("Who", bound=Waiting)


class Line(Generic[Who]):
    """Requests of one model that wait.

    Parameters
        most    Requests that may wait [-].
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.by_row: dict[int, deque[Who]] = {}
        self.length = 0

    @property
    def is_full(self) -> bool:
        """Whether no other may wait."""
        return self.length >= self.most

    def waits(self, row: int) -> bool:
        """Whether a request of `row` waits: the next of that row does not pass it; others may find room elsewhere."""
        return bool(self.by_row.get(row))

    def add(self, exchange: Who) -> None:
        """Put a request at the end."""
        self.by_row.setdefault(exchange.row, deque()).append(exchange)
        self.length += 1

    def remove(self, exchange: Who) -> None:
        """Take a request out whose client is gone."""
        row = self.by_row.get(exchange.row)
        if row is not None and exchange in row:
            row.remove(exchange)
            self.length -= 1

    def next(self, place: Callable[[Who], bool]) -> bool:
        """Have `place` send on the one that waits longest of those for which there is room; False where none is."""
        for row in sorted((each for each in self.by_row.values() if each), key=lambda each: each[0].arrived_s):
            if place(row[0]):
                row.popleft()
                self.length -= 1
                return True
        return False

    def overdue(self, now_s: float) -> Iterable[Who]:
        """Take out those whose deadline is past."""
        for row in self.by_row.values():
            late = [each for each in row if each.deadline_s <= now_s]
            for each in late:
                row.remove(each)
                self.length -= 1
            yield from late

    def all(self) -> list[Who]:
        """Everyone, and the line is empty."""
        waiting = sorted((each for row in self.by_row.values() for each in row), key=lambda each: each.arrived_s)
        self.by_row, self.length = {}, 0
        return waiting
