"""Pipelines that keep to short answers: prompts come densely there, and hold up nobody who writes a long answer.

A pipeline that may get any request is rated as it serves all of its model's. Kept for requests with short answers
alone, it may be several times as fast on them. So each that gains by it stands among the candidates twice.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.configurations import Configurations
from cuvee.profile.table import ThroughputTable
from cuvee.workload.records import Demand

SHORTER_BY = 3.0
"""Answers so many times as long as the next shorter ones are another class [-]: rates of prompts in a round differ as
much."""

WORTH = 1.05
"""Rate over that in any company from which a pipeline of its own is worth a candidate [-]."""


def short_answers(demand: Demand) -> tuple[str, ...]:
    """Names of the types below the widest gap between lengths of answers; none where no gap is wide."""
    lengths = np.array([kind.output_tokens for kind in demand.types])
    order = np.sort(lengths)
    if len(order) < 2 or order[0] <= 0:
        return ()
    gaps = order[1:] / order[:-1]
    widest = int(gaps.argmax())
    if gaps[widest] < SHORTER_BY:
        return ()
    return tuple(kind.name for kind in demand.types if kind.output_tokens <= order[widest])


def with_dedicated(found: Configurations, names: tuple[str, ...]) -> Configurations:
    """`found`, and after each pipeline the same that keeps to the types `names`."""
    if not names:
        return found
    pipelines = np.flatnonzero(found.replicas.num_stages > 1)
    rows = np.concatenate([np.arange(len(found)), pipelines])
    order = np.argsort(rows, kind="stable")
    both = found.select(rows[order])
    return replace(both, replicas=both.replicas.kept_to(names, order >= len(found)))


def worthwhile(table: ThroughputTable, is_dedicated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which configurations to keep: all but those that gain nothing over the same one before them in any company."""
    gains = np.zeros(len(is_dedicated), dtype=bool)
    rows = np.flatnonzero(is_dedicated)
    gains[rows] = (table.rate_req_per_s[rows] > table.rate_req_per_s[rows - 1] * WORTH).any(axis=1)
    return gains | ~is_dedicated
