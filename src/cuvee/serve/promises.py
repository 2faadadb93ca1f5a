"""Latencies that clients ask for: which groups can keep them, by figures reckoned when the plan is loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cuvee.routing.targets import latencies
from cuvee.units import MS_PER_S

if TYPE_CHECKING:
    from cuvee.plan.outcome.result import Plan

LEVELS = 5
"""Occupancies from 0 to 1 at which latencies are reckoned, besides 0 [-]."""


class Promises:
    """Latency of each row of the plan on each group, by how occupied its emptiest replica is.

    Attributes
        ttft_s, tpot_s    By row, group and level of occupancy [s]; inf where nothing is promised.
    """

    def __init__(self, plan: Plan) -> None:
        ttft_s, tpot_s = latencies(plan, [level / LEVELS for level in range(LEVELS + 1)])
        self.ttft_s: list[list[list[float]]] = ttft_s.transpose(1, 2, 0).tolist()
        self.tpot_s: list[list[list[float]]] = tpot_s.transpose(1, 2, 0).tolist()

    def holds(self, row: int, group: int, occupancy: float, ttft_s: float, tpot_s: float) -> bool:
        """Whether a replica of `group` that is so occupied is likely to keep these limits [s] on a request of `row`."""
        level = min(math.ceil(max(occupancy, 0.0) * LEVELS), LEVELS)
        return self.ttft_s[row][group][level] <= ttft_s and self.tpot_s[row][group][level] <= tpot_s


def limit_s(header: bytes) -> float:
    """A limit in milliseconds as a client sends it, inf where it sends none [s].

    Raises      ValueError: not a number above 0.
    """
    if not header:
        return math.inf
    value = float(header)
    if not value > 0:
        raise ValueError(header)
    return value / MS_PER_S
