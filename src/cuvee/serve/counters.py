"""What is counted as requests go by: plain numbers and lists, which only a scrape makes text of."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
)  # fmt: skip
"""Upper bounds of the histograms [s]; a last bucket is without bound."""


class Histogram:
    """Times counted by bucket [s]."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, value_s: float) -> None:
        """Count one time."""
        self.counts[bisect_left(BOUNDS_S, value_s)] += 1
        self.sum_s += value_s


class GroupCounters:
    """What one group served of one row of the plan.

    Attributes
        requests          Answers that ended [-], by class of their status: index 2 has 200 to 299.
        ttft ... e2e      Time to first piece, between pieces, and to the last [s].
        queued            Time from arrival to the replica [s].
    """

    __slots__ = ("answer_tokens", "cancelled", "e2e", "itl", "prompt_tokens", "queued", "requests", "sent", "ttft")

    def __init__(self) -> None:
        self.sent = 0
        self.requests = [0] * 6
        self.cancelled = 0
        self.prompt_tokens = self.answer_tokens = 0
        self.ttft, self.itl, self.e2e, self.queued = Histogram(), Histogram(), Histogram(), Histogram()


class Counters:
    """All of them.

    Attributes
        groups          By model, workload type and group id: what `/metrics` names its labels by.
        refused         Requests that were answered with an error of ours, by its code.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, str], GroupCounters] = {}
        self.refused: dict[str, int] = {}
        self.retries = self.stale_connections = self.ejections = self.readmissions = 0
        self.reloads = self.failed_reloads = 0

    def of(self, model: str, workload: str, group: str) -> GroupCounters:
        """Those of one row and group."""
        key = (model, workload, group)
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = GroupCounters()
        return found
