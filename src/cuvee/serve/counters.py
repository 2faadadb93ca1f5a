"""What is counted as requests go by: plain numbers and lists, which only a scrape makes text of."""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic
from typing import Any

BOUNDS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
)  # fmt: skip
"""Upper bounds of histograms of times [s]; a last bucket is without bound."""

BOUNDS_TOKENS = (
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
)  # fmt: skip
"""The same of lengths [tokens]."""

TIMES = ("ttft", "itl", "tpot", "e2e", "queued")
LENGTHS = ("prompt_length", "answer_length")
NUMBERS = ("sent", "retried", "cancelled", "broken", "prompt_tokens", "answer_tokens")
TOTALS = ("retries", "stale_connections", "ejections", "readmissions", "reloads", "failed_reloads")


class Histogram:
    """Times [s] or lengths [tokens] counted by bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class GroupCounters:
    """What one group served of one row of the plan.

    Attributes
        sent              Requests that were sent to it [-], of which `retried` went on to another replica.
        requests          Answers that ended [-], by class of their status: index 2 has 200 to 299.
        cancelled         Clients that went before the end [-].
        broken            Answers that the replica cut off in between [-].
        prompt_tokens     Of all that ended; `prompt_length` and `answer_length` of the good and complete ones.
        ttft, itl, tpot   Of streamed answers: time to the first piece, between pieces, and per token after the first
                          [s].
        e2e, queued       From arrival to the last piece, and to the replica [s].
    """

    __slots__ = (*NUMBERS, *TIMES, *LENGTHS, "requests")

    def __init__(self) -> None:
        self.sent = self.retried = self.cancelled = self.broken = 0
        self.requests = [0] * 6
        self.prompt_tokens = self.answer_tokens = 0
        self.ttft, self.itl, self.tpot = Histogram(), Histogram(), Histogram()
        self.e2e, self.queued = Histogram(), Histogram()
        self.prompt_length, self.answer_length = Histogram(BOUNDS_TOKENS), Histogram(BOUNDS_TOKENS)

    def ended(self, status: int, *, prompt_tokens: int, answer_tokens: int, e2e_s: float, queued_s: float) -> None:
        """Count a request that is over, well or not."""
        self.requests[min(status // 100, 5)] += 1
        self.e2e.add(e2e_s)
        self.queued.add(queued_s)
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens

    def answered(self, *, prompt_tokens: int, answer_tokens: int, streamed_s: float) -> None:
        """Count the lengths of a good answer.

        Parameters
            answer_tokens    Of each of its sequences [tokens].
            streamed_s       From its first to its last piece [s]; 0 where it was not streamed.
        """
        self.prompt_length.add(prompt_tokens)
        self.answer_length.add(answer_tokens)
        if streamed_s and answer_tokens > 1:
            self.tpot.add(streamed_s / (answer_tokens - 1))


class Counters:
    """All of them, since the plan that is served was loaded.

    Attributes
        groups          By model, workload type and group id: what `/metrics` names its labels by.
        unserved        Requests that no replica answered, by model, workload type and reason; "" where they were
                        refused before those were known. Reasons are codes of ours, and no text of a client.
        since_s         When counting began, on the monotonic clock [s].
    """

    def __init__(self) -> None:
        self.retries = self.stale_connections = self.ejections = self.readmissions = 0
        self.reloads = self.failed_reloads = 0
        self.restart()

    def restart(self) -> None:
        """Count by another plan: its groups are others, even where they are called the same."""
        self.groups: dict[tuple[str, str, str], GroupCounters] = {}
        self.unserved: dict[tuple[str, str, str], int] = {}
        self.since_s = monotonic()

    def of(self, model: str, workload: str, group: str) -> GroupCounters:
        """Those of one row and group."""
        key = (model, workload, group)
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = GroupCounters()
        return found

    def turned_away(self, reason: str, model: str = "", workload: str = "") -> None:
        """Count a request that no replica answers."""
        key = (model, workload, reason)
        self.unserved[key] = self.unserved.get(key, 0) + 1

    def record(self) -> dict[str, Any]:
        """As plain data, for another process of the same gateway to add to its own."""
        return {
            "served_s": monotonic() - self.since_s,
            "totals": {name: getattr(self, name) for name in TOTALS},
            "unserved": [[*key, number] for key, number in self.unserved.items()],
            "groups": [[*key, _record(mine)] for key, mine in self.groups.items()],
        }

    def add(self, record: dict[str, Any]) -> None:
        """Add what `record` of another process returned."""
        for name, number in record["totals"].items():
            setattr(self, name, getattr(self, name) + number)
        for model, workload, reason, number in record["unserved"]:
            key = (model, workload, reason)
            self.unserved[key] = self.unserved.get(key, 0) + number
        for model, workload, group, figures in record["groups"]:
            _add(self.of(model, workload, group), figures)


def _record(mine: GroupCounters) -> dict[str, Any]:
    figures: dict[str, Any] = {name: getattr(mine, name) for name in (*NUMBERS, "requests")}
    for name in (*TIMES, *LENGTHS):
        histogram: Histogram = getattr(mine, name)
        figures[name] = [histogram.counts, histogram.sum]
    return figures


def _add(mine: GroupCounters, figures: dict[str, Any]) -> None:
    for name in NUMBERS:
        setattr(mine, name, getattr(mine, name) + figures[name])
    mine.requests = [one + other for one, other in zip(mine.requests, figures["requests"], strict=True)]
    for name in (*TIMES, *LENGTHS):
        histogram: Histogram = getattr(mine, name)
        counts, total = figures[name]
        histogram.counts = [one + other for one, other in zip(histogram.counts, counts, strict=True)]
        histogram.sum += total
